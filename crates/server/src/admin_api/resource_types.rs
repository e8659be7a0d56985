//! Routes of a tenant's own resource types (RFC 7643 section 6), and of those that this program brings. What they mean is in `administration`'s `schemas.rs`.

use administration::schemas::{self, Outcome, Trying, Version};
use directory::tenant_types::DocumentKind::ResourceType;
use http::StatusCode;
use serde_json::Value;

use super::administrator::{Acting, Reply};
use super::body::{Asking, Given, Parameters};

/// The tenant's own resource types, and User and Group where it extended them.
#[utoipa::path(get, path = "/resource-types", tag = "resource-types", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Object>)))]
pub(crate) async fn list(at: Acting) -> Reply<Vec<Value>> {
    let found = schemas::list(&at.administration, &at.administrator, ResourceType).await;
    at.reply(StatusCode::OK, found)
}

/// Adds or changes a resource type; the name alone switches on one that this program brings.
#[utoipa::path(
    post,
    path = "/resource-types",
    tag = "resource-types",
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
        schemas::put(on, by, ResourceType, document, trying).await,
    )
}

/// One of them.
#[utoipa::path(get, path = "/resource-types/{name}", tag = "resource-types", params(("tenant" = String, Path), ("name" = String, Path)), responses((status = 200, body = Object), (status = 404)))]
pub(crate) async fn show(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Reply<Value> {
    let found = schemas::show(&at.administration, &at.administrator, ResourceType, &name).await;
    at.reply(StatusCode::OK, found)
}

/// Removes a resource type of which there are no resources.
#[utoipa::path(
    delete,
    path = "/resource-types/{name}",
    tag = "resource-types",
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
        schemas::remove(on, by, ResourceType, name, trying).await,
    )
}

/// All versions that there ever were, oldest first.
#[utoipa::path(
    get,
    path = "/resource-types/{name}/history",
    tag = "resource-types",
    params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Vec<Version>), (status = 404))
)]
pub(crate) async fn history(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Reply<Vec<Version>> {
    let found = schemas::history(&at.administration, &at.administrator, ResourceType, &name).await;
    at.reply(StatusCode::OK, found)
}
