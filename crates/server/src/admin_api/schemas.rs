//! A tenant's own schemas (RFC 7643 section 7): extensions, schemas of its own types, constraints on standard ones.

use std::sync::Arc;

use axum::extract::{RawQuery, State as Extract};
use directory::schema_change::Edit;
use directory::tenant_types::{DocumentKind, schema_document};
use http::StatusCode;
use scim_protocol::{Error, ErrorKind};
use serde_json::Value;

use super::administrator::{Administrator, Refuse, Refused};
use super::body::{Answer, Given, Parameters};
use super::types::{Outcome, Version, edit};
use crate::state::State;

/// The tenant's own schemas, and standard ones with its constraints.
#[utoipa::path(get, path = "/schemas", tag = "schemas", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Object>)))]
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
        types.schemas.iter().map(schema_document).collect(),
    ))
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
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    query: RawQuery,
    Given(document): Given<Value>,
) -> Result<Answer<Outcome>, Refused> {
    edit(&state, &caller, Edit::PutSchema(document), query)
        .await
        .map_err(|failure| refuse.with(failure))
}

/// One of them.
#[utoipa::path(get, path = "/schemas/{name}", tag = "schemas", params(("tenant" = String, Path), ("name" = String, Path)), responses((status = 200, body = Object), (status = 404)))]
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
    let missing = || Error::new(ErrorKind::NotFound, format!("There is no schema `{name}`."));
    let found = types
        .known_schema(&name)
        .as_ref()
        .map(schema_document)
        .ok_or_else(|| refuse.with(missing()))?;
    Ok(Answer(StatusCode::OK, found))
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
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    query: RawQuery,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Result<Answer<Outcome>, Refused> {
    edit(&state, &caller, Edit::RemoveSchema(name), query)
        .await
        .map_err(|failure| refuse.with(failure))
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
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Result<Answer<Vec<Version>>, Refused> {
    super::types::history(&state, &caller, DocumentKind::Schema, &name, &refuse).await
}
