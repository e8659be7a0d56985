//! Routes of a tenant's own schemas (RFC 7643 section 7). What they mean is in `administration`'s `schemas.rs`.

use administration::schemas::{self, Outcome, Trying, Version};
use directory::tenant_types::DocumentKind::Schema;
use http::StatusCode;
use serde_json::Value;

use super::administrator::{Acting, Reply};
use super::body::{Asking, Given, Parameters};

/// The tenant's own schemas, and standard ones with its constraints.
#[utoipa::path(get, path = "/schemas", tag = "schemas", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Object>)))]
pub(crate) async fn list(at: Acting) -> Reply<Vec<Value>> {
    let found = schemas::list(&at.administration, &at.administrator, Schema).await;
    at.reply(StatusCode::OK, found)
}

/// Adds or changes a schema, where it does not contradict what is stored.
#[utoipa::path(
    post,
    path = "/schemas",
    tag = "schemas",
    params(("tenant" = String, Path), ("dryRun" = Option<bool>, Query)),
    request_body = Object,
    responses((status = 200, body = Outcome), (status = 400), (status = 409))
)]
pub(crate) async fn put(
    at: Acting,
    Asking(trying): Asking<Trying>,
    Given(document): Given<Value>,
) -> Reply<Outcome> {
    let (on, by) = (&at.administration, &at.administrator);
    at.reply(
        StatusCode::OK,
        schemas::put(on, by, Schema, document, trying).await,
    )
}

/// One of them.
#[utoipa::path(get, path = "/schemas/{name}", tag = "schemas", params(("tenant" = String, Path), ("name" = String, Path)), responses((status = 200, body = Object), (status = 404)))]
pub(crate) async fn show(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Reply<Value> {
    let found = schemas::show(&at.administration, &at.administrator, Schema, &name).await;
    at.reply(StatusCode::OK, found)
}

/// Removes a schema that no resource type is made of and no resource has values of.
#[utoipa::path(
    delete,
    path = "/schemas/{name}",
    tag = "schemas",
    params(("tenant" = String, Path), ("name" = String, Path), ("dryRun" = Option<bool>, Query)),
    responses((status = 200, body = Outcome), (status = 404), (status = 409))
)]
pub(crate) async fn remove(
    at: Acting,
    Asking(trying): Asking<Trying>,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Reply<Outcome> {
    let (on, by) = (&at.administration, &at.administrator);
    at.reply(
        StatusCode::OK,
        schemas::remove(on, by, Schema, name, trying).await,
    )
}

/// All versions that there ever were, oldest first.
#[utoipa::path(
    get,
    path = "/schemas/{name}/history",
    tag = "schemas",
    params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Vec<Version>), (status = 404))
)]
pub(crate) async fn history(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Reply<Vec<Version>> {
    let found = schemas::history(&at.administration, &at.administrator, Schema, &name).await;
    at.reply(StatusCode::OK, found)
}
