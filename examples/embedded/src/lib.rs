//! A small issue tracker that identity providers can provision: it keeps its own users, and mounts Rollcall's SCIM routes over them.
//!
//! What it had before SCIM is `issues.rs`; what SCIM took is `accounts.rs` and the one line in `application`.

pub mod tracker;

mod issues;

mod accounts;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use embedding::{Fault, Options, ScimRoutes};

pub use tracker::Tracker;

/// The whole application: its own routes, and SCIM's.
pub async fn application(
    tracker: Arc<Tracker>,
    folder: &Path,
    token: &str,
) -> Result<Router, Fault> {
    let scim = ScimRoutes::open(tracker.clone(), folder, Options::default()).await?;
    scim.accept_token("identity provider", token).await?;
    Ok(issues::routes(tracker).fallback_service(scim.router()))
}
