//! Routes of tenants, for those who own the installation. What they mean is in `administration`'s `tenants.rs`; here are the bodies that are too large for memory.

use std::sync::Arc;

use administration::tenants::{self, Change, NewTenant, Tenant};
use axum::body::Body;
use axum::extract::{Query, State as Extract};
use axum::response::{IntoResponse, Response};
use directory::store::Fault;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body::Body as _;
use scim_protocol::{Error, ErrorKind};
use serde::Deserialize;

use super::administrator::{Acting, ActingOnInstallation, Refused, Reply};
use super::body::{Given, Parameters};
use super::lines::stream;
use super::spool::{spool, too_large};
use crate::refusal::Failure;
use crate::state::{Life, State};

/// All tenants, by name.
#[utoipa::path(get, path = "/tenants", tag = "tenants", responses((status = 200, body = Vec<Tenant>)))]
pub(crate) async fn list(ActingOnInstallation(at): ActingOnInstallation) -> Reply<Vec<Tenant>> {
    let found = tenants::list(&at.administration, &at.administrator).await;
    at.reply(StatusCode::OK, found)
}

/// Makes a tenant.
#[utoipa::path(post, path = "/tenants", tag = "tenants", request_body = NewTenant, responses((status = 201, body = Tenant), (status = 409)))]
pub(crate) async fn create(
    ActingOnInstallation(at): ActingOnInstallation,
    Given(new): Given<NewTenant>,
) -> Reply<Tenant> {
    let made = tenants::create(&at.administration, &at.administrator, new).await;
    at.reply(StatusCode::CREATED, made)
}

/// One tenant.
#[utoipa::path(get, path = "/tenants/{name}", tag = "tenants", params(("name" = String, Path)), responses((status = 200, body = Tenant), (status = 404)))]
pub(crate) async fn show(
    ActingOnInstallation(at): ActingOnInstallation,
    Parameters(name): Parameters<String>,
) -> Reply<Tenant> {
    let found = tenants::show(&at.administration, &at.administrator, &name).await;
    at.reply(StatusCode::OK, found)
}

/// Changes settings of a tenant; those that are not named stay.
#[utoipa::path(patch, path = "/tenants/{name}", tag = "tenants", params(("name" = String, Path)), request_body = Change,
    responses((status = 200, body = Tenant), (status = 400), (status = 404)))]
pub(crate) async fn change(
    ActingOnInstallation(at): ActingOnInstallation,
    Parameters(name): Parameters<String>,
    Given(change): Given<Change>,
) -> Reply<Tenant> {
    let changed = tenants::change(&at.administration, &at.administrator, &name, change).await;
    at.reply(StatusCode::OK, changed)
}

/// Suspends a tenant: it refuses every caller and sends nothing to applications; all data stays.
#[utoipa::path(post, path = "/tenants/{name}/suspend", tag = "tenants", params(("name" = String, Path)), responses((status = 200, body = Tenant), (status = 404)))]
pub(crate) async fn suspend(
    ActingOnInstallation(at): ActingOnInstallation,
    Parameters(name): Parameters<String>,
) -> Reply<Tenant> {
    let done = tenants::set_suspended(&at.administration, &at.administrator, &name, true).await;
    at.reply(StatusCode::OK, done)
}

/// Lets a suspended tenant answer again, and tells its applications what waited.
#[utoipa::path(post, path = "/tenants/{name}/resume", tag = "tenants", params(("name" = String, Path)), responses((status = 200, body = Tenant), (status = 404)))]
pub(crate) async fn resume(
    ActingOnInstallation(at): ActingOnInstallation,
    Parameters(name): Parameters<String>,
) -> Reply<Tenant> {
    let done = tenants::set_suspended(&at.administration, &at.administrator, &name, false).await;
    at.reply(StatusCode::OK, done)
}

/// Everything of a tenant apart from secrets, one line of JSON for each row, from one moment. A file without its last line is not whole.
#[utoipa::path(get, path = "/tenants/{name}/export", tag = "tenants", params(("name" = String, Path)),
    responses((status = 200, content_type = "application/jsonl", body = String), (status = 404)))]
pub(crate) async fn export(
    ActingOnInstallation(at): ActingOnInstallation,
    Parameters(name): Parameters<String>,
) -> Result<Response, Refused> {
    let begun = tenants::begin_export(&at.administration, &at.administrator, &name).await;
    let tenant = at.done_with(begun)?;
    let (life, now) = (
        Arc::clone(&at.administration.life),
        at.administration.clock.now(),
    );
    let (sink, lines) = stream();
    tokio::spawn(async move {
        if let Err(fault) = life.export(tenant.id, now, Box::new(sink)).await {
            tracing::warn!(
                error = &fault as &dyn std::error::Error,
                "a tenant was not exported to its end"
            );
        }
    });
    Ok(([(CONTENT_TYPE, "application/jsonl")], lines).into_response())
}

/// Makes a tenant of this name of what `export` answered, which is the body byte by byte, all of it or nothing. What it has secrets for gets new ones
/// afterwards.
#[utoipa::path(post, path = "/tenants/{name}/restore", tag = "tenants", params(("name" = String, Path)),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 201, body = Tenant), (status = 400), (status = 409), (status = 413), (status = 503)))]
pub(crate) async fn restore(
    Extract(state): Extract<Arc<State>>,
    ActingOnInstallation(at): ActingOnInstallation,
    Parameters(name): Parameters<String>,
    body: Body,
) -> Reply<Tenant> {
    let restored = restored(&state, &at, name, body).await;
    at.reply(StatusCode::CREATED, restored)
}

/// What can be refused before the body has come is.
async fn restored(state: &State, at: &Acting, name: String, body: Body) -> Result<Tenant, Failure> {
    let life = life(state)?;
    tenants::may_restore(&at.administration, &at.administrator, &name).await?;
    let bytes_max = state.options.restore_bytes_max;
    if body.size_hint().lower() > bytes_max {
        return Err(too_large(bytes_max).into());
    }
    let busy = |_| {
        Error::new(
            ErrorKind::Unavailable,
            "Another tenant is being restored; try again when that is done.",
        )
    };
    let turn = Arc::clone(&life.restoring)
        .try_acquire_owned()
        .map_err(busy)?;
    let file = spool(body, &life.folder, &state.ids.id().to_string(), bytes_max).await?;
    let (administration, by) = (Arc::clone(&at.administration), at.administrator.clone());
    // It goes on where the client does not wait for it, and keeps others waiting as long.
    let restoring = tokio::spawn(async move {
        let restored = tenants::restore(&administration, &by, &name, Box::new(file)).await;
        drop(turn);
        restored
    });
    let restored = restoring
        .await
        .map_err(|error| Fault::from_source("a tenant was not restored to its end", error))?;
    Ok(restored?)
}

/// Erases a tenant and everything of it for good; `confirm` is its name again.
#[utoipa::path(delete, path = "/tenants/{name}", tag = "tenants", params(("name" = String, Path), ("confirm" = String, Query)),
    responses((status = 204), (status = 400), (status = 404)))]
pub(crate) async fn erase(
    ActingOnInstallation(at): ActingOnInstallation,
    Parameters(name): Parameters<String>,
    Query(Confirmation { confirm }): Query<Confirmation>,
) -> Result<StatusCode, Refused> {
    let confirm = confirm.as_deref();
    at.done(tenants::erase(&at.administration, &at.administrator, &name, confirm).await)
}

/// What `DELETE` of a tenant wants to hear.
#[derive(Deserialize)]
pub(crate) struct Confirmation {
    confirm: Option<String>,
}

fn life(state: &State) -> Result<&Life, Error> {
    let refusal = || {
        Error::new(
            ErrorKind::NotImplemented,
            "The accounts here belong to another program, which keeps its tenants itself.",
        )
    };
    state.tenant_life().ok_or_else(refusal)
}
