//! Tenants: isolated directories in one database. For whoever runs the installation.

use std::sync::Arc;

use axum::extract::State as Extract;
use directory::tenant::{Tenant as Stored, TenantSettings, check_name};
use http::StatusCode;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::administrator::{Operator, Refuse, Refused};
use super::body::{Answer, Given, Parameters};
use crate::state::State;

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
pub(crate) async fn list(Extract(state): Extract<Arc<State>>, _: Operator, refuse: Refuse) -> Result<Answer<Vec<Tenant>>, Refused> {
    let tenants = state.tenants.list_tenants().await.map_err(|fault| refuse.with(fault))?;
    Ok(Answer(StatusCode::OK, tenants.into_iter().map(Tenant::of).collect()))
}

/// Makes a tenant.
#[utoipa::path(post, path = "/tenants", tag = "tenants", request_body = NewTenant, responses((status = 201, body = Tenant), (status = 409)))]
pub(crate) async fn create(
    Extract(state): Extract<Arc<State>>,
    _: Operator,
    refuse: Refuse,
    Given(new): Given<NewTenant>,
) -> Result<Answer<Tenant>, Refused> {
    check_name(&new.name).map_err(|error| refuse.with(error))?;
    let made = state.tenants.create_tenant(&new.name, new.settings, state.clock.now()).await.map_err(|fault| refuse.with(fault))?;
    let taken = || Error::new(ErrorKind::Uniqueness, format!("There is a tenant `{}` already.", new.name)).at("name");
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
    let found = state.tenants.find_tenant(&name).await.map_err(|fault| refuse.with(fault))?;
    let missing = || Error::new(ErrorKind::NotFound, format!("There is no tenant `{name}`."));
    let found = found.ok_or_else(|| refuse.with(missing()))?;
    Ok(Answer(StatusCode::OK, Tenant::of(found)))
}
