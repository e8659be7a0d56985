//! RFC 7643 and RFC 7644 as pure Rust: schemas, paths, filters, PATCH, messages.
//!
//! Owns what a path, a filter, a PATCH, an attribute or a quirk *means*. Knows no tenant, no database, no clock and no
//! network; every function here goes from values to values.
//!
//! Modules in dependency order: a module uses only those above it. (The blank lines keep rustfmt from sorting
//! them.)

pub mod error;

pub mod json;

pub mod attribute_path;

pub mod schema;

pub mod filter;

pub mod messages;

pub mod projection;

pub mod patch_path;

pub mod member;

pub mod quirk;

pub mod profile;

pub mod resource;

pub mod validate;

pub mod patch;

pub mod redaction;

pub mod event_uri;

pub mod discovery;

pub mod json_schema;

pub use attribute_path::AttributePath;
pub use error::{Error, ErrorKind};
pub use filter::Filter;
pub use profile::Profile;
pub use resource::ValidResource;
pub use schema::set::{SchemaSet, TypeSchema};
