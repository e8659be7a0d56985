//! The bearer tokens of a tenant. A token is shown once, when it is made; the store knows only its keyed hash.

use std::sync::Arc;

use axum::extract::State as Extract;
use directory::access::{Permissions, Scope};
use directory::credential::{TokenRecord, TokenRequest, issue, token_text};
use http::StatusCode;
use jiff::Timestamp;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::administrator::{Administrator, Refuse, Refused};
use super::body::{Answer, Given, Parameters};
use crate::state::{DEFAULT_TENANT, State};

/// What a new token shall be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewToken {
    /// What it is for, so that people know it again.
    name: String,
    /// When it stops to work (RFC 3339); without it, never.
    expires: Option<String>,
    /// What it opens: `read`, `write`, `admin`, `operator`; without it, `read` and `write`.
    scopes: Option<Vec<String>>,
    /// The resource types it is for; without it, all.
    resource_types: Option<Vec<String>>,
}

/// A token as it is shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Token {
    id: String,
    name: String,
    created: String,
    expires: Option<String>,
    revoked: Option<String>,
    /// To the minute.
    last_used: Option<String>,
    scopes: Vec<String>,
    resource_types: Option<Vec<String>>,
    /// The token itself; only in the answer that made it.
    #[serde(rename = "token", skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

impl Token {
    fn of(record: TokenRecord) -> Self {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            id: record.id,
            name: record.name,
            created: record.created.to_string(),
            expires: text(record.expires),
            revoked: text(record.revoked),
            last_used: text(record.last_used),
            scopes: record.permissions.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
            resource_types: record.permissions.resource_types,
            value: None,
        }
    }
}

impl NewToken {
    /// Refuses scopes and types that do not exist, and `operator` outside the tenant `default`.
    fn into_request(self, administrator: &Administrator) -> Result<TokenRequest, Error> {
        let Administrator(caller) = administrator;
        let refuse = |path: &str, detail: String| Err(Error::new(ErrorKind::InvalidValue, detail).at(path));
        let mut permissions = Permissions::default();
        if let Some(names) = &self.scopes {
            let scopes: Option<Vec<Scope>> = names.iter().map(|name| Scope::by_name(name)).collect();
            let Some(scopes) = scopes.filter(|scopes| !scopes.is_empty()) else {
                let known = Scope::ALL.map(Scope::name).join("`, `");
                return refuse("scopes", format!("`scopes` names a scope that does not exist; accepted are one or more of `{known}`."));
            };
            permissions = Permissions::of(&scopes);
        }
        if permissions.has(Scope::Operator) && !(caller.tenant.name == DEFAULT_TENANT && caller.permissions.has(Scope::Operator)) {
            return Err(Error::new(
                ErrorKind::Forbidden,
                "Only an operator can make a token with the scope `operator`, in the tenant `default`.",
            ));
        }
        if let Some(name) = self.resource_types.iter().flatten().find(|name| caller.schemas.by_name(name).is_none()) {
            return refuse("resourceTypes", format!("`resourceTypes` names `{name}`, but there is no such resource type."));
        }
        let expires: Option<Timestamp> = match self.expires.as_deref().map(str::parse).transpose() {
            Ok(expires) => expires,
            Err(_) => {
                return refuse("expires", "`expires` is not an instant; accepted is RFC 3339, such as `2030-01-31T00:00:00Z`.".into());
            }
        };
        permissions.resource_types = self.resource_types;
        Ok(TokenRequest { tenant: caller.tenant.id, name: self.name, expires, permissions })
    }
}

/// All tokens, oldest first; never their values.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Token>)))]
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
) -> Result<Answer<Vec<Token>>, Refused> {
    let tokens = state.tenants.list_tokens(caller.tenant.id).await.map_err(|fault| refuse.with(fault))?;
    Ok(Answer(StatusCode::OK, tokens.into_iter().map(Token::of).collect()))
}

/// Makes a token; the answer is the only one that shows it.
#[utoipa::path(post, path = "/tokens", tag = "tokens", params(("tenant" = String, Path)), request_body = NewToken, responses((status = 201, body = Token)))]
pub(crate) async fn create(
    Extract(state): Extract<Arc<State>>,
    administrator: Administrator,
    refuse: Refuse,
    Given(new): Given<NewToken>,
) -> Result<Answer<Token>, Refused> {
    let request = new.into_request(&administrator).map_err(|error| refuse.with(error))?;
    let text = token_text(&state.ids.secret());
    let record = issue(&*state.hasher, state.ids.id(), &text, request, state.clock.now());
    state.tenants.create_token(record.clone()).await.map_err(|fault| refuse.with(fault))?;
    Ok(Answer(StatusCode::CREATED, Token { value: Some(text), ..Token::of(record) }))
}

/// Makes a token stop to work, at once.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("tenant" = String, Path), ("id" = String, Path)), responses((status = 204), (status = 404)))]
pub(crate) async fn revoke(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, id)): Parameters<(String, String)>,
) -> Result<StatusCode, Refused> {
    let revoked = state.tenants.revoke_token(caller.tenant.id, &id, state.clock.now()).await.map_err(|fault| refuse.with(fault))?;
    if revoked {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(refuse.with(Error::new(ErrorKind::NotFound, format!("There is no token with the id `{id}`."))))
}
