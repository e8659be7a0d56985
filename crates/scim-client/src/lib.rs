//! Talks to any SCIM server: one request, one answer, and a clear sign where the outcome is not known. Retries nothing and decides nothing.
//!
//! Modules in dependency order: a module uses only those above it. (The blank lines keep rustfmt from sorting
//! them.)

pub mod hiding;

mod rate_limit;

pub mod response;

pub mod client;

pub mod paging;

pub use client::{Client, Request};
pub use rate_limit::RetryAfter;
/// HTTP methods.
pub use reqwest::Method;
pub use response::{Response, SendError};
