//! JOSE: keys that sign (RFC 7518), public keys and key sets (RFC 7517), signed tokens (RFC 7515) made and checked.
//!
//! This crate is the only one that signs or verifies a token. It stores no key, fetches no key set, and decides nothing about claims.
//!
//! Entry points: `signed_token::Signed` takes a token apart and checks its signature; `signing_key::make` makes a key pair and `signing_key::sign` signs with
//! it.
//!
//! Modules in dependency order: a module uses only those above it.

pub mod signed_token;
pub mod signing_key;
