//! A tenant's own resource types (RFC 7643 section 6), and those that this program brings, switched off and on or extended.

use std::sync::Arc;

use axum::extract::{RawQuery, State as Extract};
use directory::schema_change::Edit;
use directory::tenant_types::{DocumentKind, resource_type_document};
use http::StatusCode;
use scim_protocol::{Error, ErrorKind};
use serde_json::Value;

use super::administrator::{Administrator, Refuse, Refused};
use super::body::{Answer, Given, Parameters};
use super::types::{Outcome, Version, edit};
use crate::state::State;

/// The tenant's own resource types, and User and Group where it extended them.
#[utoipa::path(get, path = "/resource-types", tag = "resource-types", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Object>)))]
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
) -> Result<Answer<Vec<Value>>, Refused> {
    let types = state
        .directory
        .types(&caller)
        .await
        .map_err(|error| refuse.with(error))?;
    Ok(Answer(
        StatusCode::OK,
        types
            .resource_types
            .iter()
            .map(resource_type_document)
            .collect(),
    ))
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
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    query: RawQuery,
    Given(document): Given<Value>,
) -> Result<Answer<Outcome>, Refused> {
    edit(&state, &caller, Edit::PutResourceType(document), query)
        .await
        .map_err(|failure| refuse.with(failure))
}

/// One of them.
#[utoipa::path(get, path = "/resource-types/{name}", tag = "resource-types", params(("tenant" = String, Path), ("name" = String, Path)), responses((status = 200, body = Object), (status = 404)))]
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Result<Answer<Value>, Refused> {
    let types = state
        .directory
        .types(&caller)
        .await
        .map_err(|error| refuse.with(error))?;
    let missing = || {
        Error::new(
            ErrorKind::NotFound,
            format!("There is no resource type `{name}`."),
        )
    };
    let found = types
        .known_type(&name)
        .as_ref()
        .map(resource_type_document)
        .ok_or_else(|| refuse.with(missing()))?;
    Ok(Answer(StatusCode::OK, found))
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
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    query: RawQuery,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Result<Answer<Outcome>, Refused> {
    edit(&state, &caller, Edit::RemoveResourceType(name), query)
        .await
        .map_err(|failure| refuse.with(failure))
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
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Result<Answer<Vec<Version>>, Refused> {
    super::types::history(&state, &caller, DocumentKind::ResourceType, &name, &refuse).await
}
