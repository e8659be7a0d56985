//! How callers show who they are: bearer tokens, OAuth clients and the access tokens made for them, and foreign issuers.
//!
//! This crate says what each kind of credential is, how it is checked, and through which ports it is stored: `credential::Tokens`, `client::Clients`,
//! `issuer::Issuers`, and `issuer::KeySets` for the public keys of foreign issuers. `credential::authenticate`, `access_token::open` and `issuer::accept`
//! decide whether a credential is good. What a caller may then do is judged in `directory`, which has `Caller` and its permissions.
//!
//! A token is stored only as a keyed hash. A refusal is the same for every reason, so that a caller cannot learn which credentials there are. Nothing here
//! makes or verifies a signature, knows SQL, or knows HTTP.
//!
//! Modules in dependency order: a module uses only those above it.

pub mod credential;

pub mod access_token;

pub mod client;

pub mod issuer;
