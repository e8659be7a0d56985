//! Tenants: isolated directories in one database. For whoever runs the installation.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State as Extract};
use axum::response::{IntoResponse, Response};
use directory::store::Fault;
use directory::tenant::{Tenant as Stored, TenantSettings, check_name};
use directory::tenant_life::{RestoreError, TenantLife};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body::Body as _;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::administrator::{Operator, Refuse, Refused};
use super::body::{Answer, Given, Parameters};
use super::lines::stream;
use super::spool::{spool, too_large};
use crate::refusal::Failure;
use crate::state::{DEFAULT_TENANT, Life, State};

/// How often settings are changed while others change them.
const ATTEMPTS_MAX: usize = 8;

/// What a new tenant shall be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewTenant {
    /// 1 to 63 lower-case letters, digits and hyphens; part of its base URL.
    name: String,
    /// Its switches; those left out have their defaults.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: TenantSettings,
}

/// A tenant as it is shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tenant {
    name: String,
    base_path: String,
    created: String,
    #[schema(value_type = Object)]
    settings: TenantSettings,
}

impl Tenant {
    fn of(tenant: Stored) -> Self {
        Self {
            base_path: format!("/t/{}/scim/v2", tenant.name),
            created: tenant.created.to_string(),
            settings: tenant.settings,
            name: tenant.name,
        }
    }
}

/// All tenants, by name.
#[utoipa::path(get, path = "/tenants", tag = "tenants", responses((status = 200, body = Vec<Tenant>)))]
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    _: Operator,
    refuse: Refuse,
) -> Result<Answer<Vec<Tenant>>, Refused> {
    let tenants = state
        .tenants
        .list_tenants()
        .await
        .map_err(|fault| refuse.with(fault))?;
    Ok(Answer(
        StatusCode::OK,
        tenants.into_iter().map(Tenant::of).collect(),
    ))
}

/// Makes a tenant.
#[utoipa::path(post, path = "/tenants", tag = "tenants", request_body = NewTenant, responses((status = 201, body = Tenant), (status = 409)))]
pub(crate) async fn create(
    Extract(state): Extract<Arc<State>>,
    _: Operator,
    refuse: Refuse,
    Given(new): Given<NewTenant>,
) -> Result<Answer<Tenant>, Refused> {
    check_name(&new.name)
        .and_then(|()| new.settings.check())
        .map_err(|error| refuse.with(error))?;
    let made = state
        .tenants
        .create_tenant(&new.name, new.settings, state.clock.now())
        .await
        .map_err(|fault| refuse.with(fault))?;
    let taken = || {
        Error::new(
            ErrorKind::Uniqueness,
            format!("There is a tenant `{}` already.", new.name),
        )
        .at("name")
    };
    let made = made.ok_or_else(|| refuse.with(taken()))?;
    Ok(Answer(StatusCode::CREATED, Tenant::of(made)))
}

/// One tenant.
#[utoipa::path(get, path = "/tenants/{name}", tag = "tenants", params(("name" = String, Path)), responses((status = 200, body = Tenant), (status = 404)))]
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    _: Operator,
    refuse: Refuse,
    Parameters(name): Parameters<String>,
) -> Result<Answer<Tenant>, Refused> {
    let found = state
        .tenants
        .find_tenant(&name)
        .await
        .map_err(|fault| refuse.with(fault))?;
    let missing = || Error::new(ErrorKind::NotFound, format!("There is no tenant `{name}`."));
    let found = found.ok_or_else(|| refuse.with(missing()))?;
    Ok(Answer(StatusCode::OK, Tenant::of(found)))
}

/// What of a tenant shall be otherwise.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// The settings that shall be others (a merge patch, RFC 7396); null gives one its default.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

/// Changes settings of a tenant; those that are not named stay.
#[utoipa::path(patch, path = "/tenants/{name}", tag = "tenants", params(("name" = String, Path)), request_body = Change,
    responses((status = 200, body = Tenant), (status = 400), (status = 404)))]
pub(crate) async fn change(
    Extract(state): Extract<Arc<State>>,
    _: Operator,
    refuse: Refuse,
    Parameters(name): Parameters<String>,
    Given(Change { settings }): Given<Change>,
) -> Result<Answer<Tenant>, Refused> {
    for _ in 0..ATTEMPTS_MAX {
        let (tenant, life) = find(&state, &name)
            .await
            .map_err(|failure| refuse.with(failure))?;
        let wanted = tenant
            .settings
            .merged(&settings)
            .map_err(|error| refuse.with(error))?;
        if life
            .set_settings(&tenant, wanted.clone())
            .await
            .map_err(|fault| refuse.with(fault))?
        {
            return Ok(Answer(
                StatusCode::OK,
                Tenant::of(Stored {
                    settings: wanted,
                    ..tenant
                }),
            ));
        }
    }
    Err(refuse.with(Error::new(
        ErrorKind::Conflict,
        "The tenant is being changed by others all the time; try again.",
    )))
}

/// Suspends a tenant: it answers nobody and no application is told anything; everything stays.
#[utoipa::path(post, path = "/tenants/{name}/suspend", tag = "tenants", params(("name" = String, Path)), responses((status = 200, body = Tenant), (status = 404)))]
pub(crate) async fn suspend(
    Extract(state): Extract<Arc<State>>,
    _: Operator,
    refuse: Refuse,
    Parameters(name): Parameters<String>,
) -> Result<Answer<Tenant>, Refused> {
    set_suspended(&state, &name, true)
        .await
        .map_err(|failure| refuse.with(failure))
}

/// Lets a suspended tenant answer again, and tells its applications what waited.
#[utoipa::path(post, path = "/tenants/{name}/resume", tag = "tenants", params(("name" = String, Path)), responses((status = 200, body = Tenant), (status = 404)))]
pub(crate) async fn resume(
    Extract(state): Extract<Arc<State>>,
    _: Operator,
    refuse: Refuse,
    Parameters(name): Parameters<String>,
) -> Result<Answer<Tenant>, Refused> {
    set_suspended(&state, &name, false)
        .await
        .map_err(|failure| refuse.with(failure))
}

/// Everything of a tenant apart from secrets, one line of JSON for each row, from one moment. A file without its last line is not whole.
#[utoipa::path(get, path = "/tenants/{name}/export", tag = "tenants", params(("name" = String, Path)),
    responses((status = 200, content_type = "application/jsonl", body = String), (status = 404)))]
pub(crate) async fn export(
    Extract(state): Extract<Arc<State>>,
    _: Operator,
    refuse: Refuse,
    Parameters(name): Parameters<String>,
) -> Result<Response, Refused> {
    let (tenant, life) = find(&state, &name)
        .await
        .map_err(|failure| refuse.with(failure))?;
    let (life, now, (sink, lines)) = (Arc::clone(life), state.clock.now(), stream());
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
    _: Operator,
    refuse: Refuse,
    Parameters(name): Parameters<String>,
    body: Body,
) -> Result<Answer<Tenant>, Refused> {
    let tenant = restored(&state, &name, body)
        .await
        .map_err(|failure| refuse.with(failure))?;
    Ok(Answer(StatusCode::CREATED, Tenant::of(tenant)))
}

/// What can be refused before the body has come is.
async fn restored(state: &State, name: &str, body: Body) -> Result<Stored, Failure> {
    check_name(name)?;
    let taken = || {
        Error::new(
            ErrorKind::Uniqueness,
            format!("There is a tenant `{name}` already."),
        )
        .at("name")
    };
    let life = life(state)?;
    if state.tenants.find_tenant(name).await?.is_some() {
        return Err(taken().into());
    }
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
    let (tenants, at, new_name) = (
        Arc::clone(&life.tenants),
        state.clock.now(),
        name.to_owned(),
    );
    // It goes on where the client does not wait for it, and keeps others waiting as long.
    let restoring = tokio::spawn(async move {
        let restored = tenants.restore(&new_name, at, Box::new(file)).await;
        drop(turn);
        restored
    });
    let outcome = restoring
        .await
        .map_err(|error| Fault::from_source("a tenant was not restored to its end", error))?;
    outcome.map_err(|error| match error {
        RestoreError::NameTaken => taken().into(),
        RestoreError::Refused(why) => Error::new(
            ErrorKind::InvalidValue,
            format!("The tenant was not restored, and nothing was changed: {why}."),
        )
        .into(),
        RestoreError::Fault(fault) => fault.into(),
    })
}

/// Erases a tenant and everything of it for good; `confirm` is its name again.
#[utoipa::path(delete, path = "/tenants/{name}", tag = "tenants", params(("name" = String, Path), ("confirm" = String, Query)),
    responses((status = 204), (status = 400), (status = 404)))]
pub(crate) async fn erase(
    Extract(state): Extract<Arc<State>>,
    _: Operator,
    refuse: Refuse,
    Parameters(name): Parameters<String>,
    Query(Confirmation { confirm }): Query<Confirmation>,
) -> Result<StatusCode, Refused> {
    if confirm.as_deref() != Some(name.as_str()) {
        let detail = format!(
            "A tenant is erased for good: `confirm` has to be its name again (`?confirm={name}`)."
        );
        return Err(refuse.with(Error::new(ErrorKind::InvalidValue, detail).at("confirm")));
    }
    if name == DEFAULT_TENANT {
        return Err(refuse.with(Error::new(
            ErrorKind::Forbidden,
            "The tenant `default` is the home of this request's token, and stays.",
        )));
    }
    let (tenant, life) = find(&state, &name)
        .await
        .map_err(|failure| refuse.with(failure))?;
    life.erase(tenant.id)
        .await
        .map_err(|fault| refuse.with(fault))?;
    // It may be in a file of its own.
    if let Some(log) = &state.request_log {
        log.erase(tenant.id)
            .await
            .map_err(|fault| refuse.with(fault))?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// What `DELETE` of a tenant wants to hear.
#[derive(Deserialize)]
pub(crate) struct Confirmation {
    confirm: Option<String>,
}

async fn find<'s>(
    state: &'s State,
    name: &str,
) -> Result<(Stored, &'s Arc<dyn TenantLife>), Failure> {
    let missing = || Error::new(ErrorKind::NotFound, format!("There is no tenant `{name}`."));
    let tenant = state.tenants.find_tenant(name).await?.ok_or_else(missing)?;
    Ok((tenant, &life(state)?.tenants))
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

async fn set_suspended(
    state: &State,
    name: &str,
    suspended: bool,
) -> Result<Answer<Tenant>, Failure> {
    if name == DEFAULT_TENANT && suspended {
        return Err(Error::new(
            ErrorKind::Forbidden,
            "The tenant `default` cannot be suspended: whoever runs this installation calls by it.",
        )
        .into());
    }
    let (tenant, life) = find(state, name).await?;
    life.set_suspended(tenant.id, suspended).await?;
    let (tenant, _) = find(state, name).await?;
    Ok(Answer(StatusCode::OK, Tenant::of(tenant)))
}
