//! Everything that an administrator can do: one file for each noun, one function for each act.
//!
//! A function takes the `Administration` (the ports), the `Administrator` who acts, and a typed request; it checks the role and the limits, commits the change
//! together with its audit entry, and returns a typed answer or a refusal. The admin API, the command line and later the console are faces of these
//! functions. Knows neither SQL nor HTTP.
//!
//! Modules in dependency order: a module uses only those above it. (The blank lines keep rustfmt from sorting them.)

pub mod operations;

pub mod administrator;

pub mod administration;

pub mod permissions;

pub mod tenants;

pub mod tokens;

pub mod clients;

pub mod issuers;

pub mod receivers;

pub mod dead_letters;

pub mod signing_keys;

pub mod audit;

pub mod applications;

pub mod sync;

pub use administration::Administration;
pub use administrator::Administrator;
