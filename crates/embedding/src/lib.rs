//! SCIM inside an application that is not Rollcall: the application keeps its accounts, this crate speaks for them.
//!
//! An application implements `AccountStore` (four methods, one with a default) over the tables it has, and mounts `ScimRoutes`. Filters, PATCH, quirks,
//! versions, bulk and discovery are Rollcall's own: the adapter makes of an `AccountStore` the store that `directory` works with. What is not an account
//! (tokens above all) is kept in a small database in a folder of its own.
//!
//! Does not sync to other applications, and does not keep accounts.
//!
//! Modules in dependency order: a module uses only those above it. (The blank lines keep rustfmt from sorting them.)

pub mod account_store;

mod condition;

mod memberships;

mod draft;

pub mod adapter;

pub mod routes;

pub use account_store::{AccountChange, AccountStore, Record};
pub use directory::store::Fault;
pub use routes::ScimRoutes;
pub use server::serve::serve;
pub use server::{Connection, Options};
