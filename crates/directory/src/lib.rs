//! What every read and write of identities means.
//!
//! Decisions are plain functions from values to values; `directory.rs` is the thin shell that reads, calls the decision and commits. Knows neither
//! SQL nor HTTP.
//!
//! Modules in dependency order: a module uses only those above it. (The blank lines keep rustfmt from sorting them.)

pub mod clock;

pub mod secret;

pub mod retry;

pub mod deletion_guard;

pub mod tenant;

pub mod shares;

pub mod stop;

pub mod access;

pub mod audit;

pub mod version;

pub mod document;

pub mod change_set;

pub mod content;

pub mod create;

pub mod replace;

pub mod delete;

pub mod search;

pub mod tombstone;

pub mod store;

pub mod audit_log;

pub mod names;

pub mod readiness;

pub mod rehearsal;

pub mod journal;

pub mod request_log;

pub mod tenant_life;

pub mod history;

pub mod pending;

pub mod revival;

pub mod self_service;

pub mod parking;

pub mod undo;

pub mod membership;

pub mod patch;

pub mod bulk;

pub mod tenant_types;

pub mod schema_document;

pub mod resource_type_document;

pub mod schema_effect;

pub mod rebase;

pub mod allowed_values;

pub mod schema_change;

pub mod schema_store;

pub mod directory;

pub use directory::{Directory, DirectoryError};
