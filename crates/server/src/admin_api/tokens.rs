//! The bearer tokens of a tenant. A token is shown once, when it is made; the store knows only its keyed hash.

use std::sync::Arc;

use access::credential::{TokenRecord, TokenRequest, issue, token_text};
use axum::extract::State as Extract;
use directory::access::Caller;
use http::StatusCode;
use jiff::Timestamp;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::administrator::{Administrator, Operator, Refuse, Refused, has_room};
use super::body::{Answer, Given, Parameters};
use super::wishes::{Allowed, Wishes};
use crate::refusal::Failure;
use crate::state::State;

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
    /// The client profile of its bearer, such as `entra`; without it, the tenant's.
    profile: Option<String>,
    /// Requests a second that its bearer may make, and ten times as many at once; 0: any number; without it, as the server has it.
    requests_per_second: Option<u32>,
    /// The id of the active User whom `/Me` is for its bearer; without it, `/Me` is not offered. The token ends when that User is deactivated or deleted.
    user: Option<String>,
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
    /// The id of the User whom `/Me` is for its bearer.
    user: Option<String>,
    #[serde(flatten)]
    allowed: Allowed,
    /// The token itself; only in the answer that made it.
    #[serde(rename = "token", skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

impl Token {
    fn of(record: TokenRecord) -> Self {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            allowed: Allowed::of(&record.permissions),
            id: record.id,
            name: record.name,
            created: record.created.to_string(),
            expires: text(record.expires),
            revoked: text(record.revoked),
            last_used: text(record.last_used),
            user: record.permissions.user,
            value: None,
        }
    }
}

impl NewToken {
    fn into_request(self, administrator: &Administrator) -> Result<TokenRequest, Error> {
        let Self {
            name,
            expires,
            scopes,
            resource_types,
            profile,
            requests_per_second,
            user,
        } = self;
        let mut permissions = Wishes {
            scopes,
            resource_types,
            profile,
            requests_per_second,
        }
        .grant(administrator)?;
        let refuse =
            |path: &str, detail: String| Error::new(ErrorKind::InvalidValue, detail).at(path);
        let not_an_instant = |_| {
            refuse("expires", "`expires` is not an instant; accepted is RFC 3339, such as `2030-01-31T00:00:00Z`.".into())
        };
        let expires: Option<Timestamp> = expires
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(not_an_instant)?;
        let tenant = administrator.0.tenant.id;
        permissions.user = user;
        administrator.0.may_give(&permissions, expires)?;
        Ok(TokenRequest {
            tenant,
            name,
            expires,
            permissions,
        })
    }
}

/// All tokens, oldest first; never their values.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Token>)))]
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
) -> Result<Answer<Vec<Token>>, Refused> {
    let tokens = state
        .tenants
        .list_tokens(caller.tenant.id)
        .await
        .map_err(|fault| refuse.with(fault))?;
    let shown = |record: TokenRecord| {
        let mut token = Token::of(record);
        // Whom a token stands for is the business of those who may know people.
        token.user = token.user.filter(|_| caller.permissions.covers("User"));
        token
    };
    Ok(Answer(
        StatusCode::OK,
        tokens.into_iter().map(shown).collect(),
    ))
}

/// Makes a token; the answer is the only one that shows it.
#[utoipa::path(post, path = "/tokens", tag = "tokens", params(("tenant" = String, Path)), request_body = NewToken, responses((status = 201, body = Token)))]
pub(crate) async fn create(
    Extract(state): Extract<Arc<State>>,
    administrator: Administrator,
    refuse: Refuse,
    Given(new): Given<NewToken>,
) -> Result<Answer<Token>, Refused> {
    make(&state, &administrator, new)
        .await
        .map_err(|failure| refuse.with(failure))
}

/// Makes a token of any tenant, such as the first of one that was just made; the answer is the only one that shows it.
#[utoipa::path(post, path = "/tenants/{name}/tokens", tag = "tenants", params(("name" = String, Path)), request_body = NewToken,
    responses((status = 201, body = Token), (status = 404)))]
pub(crate) async fn create_in_tenant(
    Extract(state): Extract<Arc<State>>,
    Operator(operator): Operator,
    refuse: Refuse,
    Parameters(name): Parameters<String>,
    Given(new): Given<NewToken>,
) -> Result<Answer<Token>, Refused> {
    let made = async {
        let missing = || Error::new(ErrorKind::NotFound, format!("There is no tenant `{name}`."));
        let tenant = state
            .tenants
            .find_tenant(&name)
            .await?
            .ok_or_else(missing)?;
        let Caller {
            credential_id,
            permissions,
            expires,
            ..
        } = operator;
        let there = state
            .directory
            .caller(Arc::new(tenant), credential_id, permissions)
            .await?;
        make(&state, &Administrator(Caller { expires, ..there }), new).await
    };
    made.await.map_err(|failure| refuse.with(failure))
}

async fn make(
    state: &State,
    administrator: &Administrator,
    new: NewToken,
) -> Result<Answer<Token>, Failure> {
    let request = new.into_request(administrator)?;
    let tokens = state.tenants.list_tokens(request.tenant).await?;
    let live = tokens
        .iter()
        .filter(|token| token.revoked.is_none())
        .count();
    has_room(live, state.options.credentials_max, "tokens")?;
    let text = token_text(&state.ids.secret());
    let record = issue(
        &*state.hasher,
        state.ids.id(),
        &text,
        request,
        state.clock.now(),
    );
    if !state.tenants.create_token(record.clone()).await? {
        let id = record.permissions.user.as_deref().unwrap_or_default();
        let detail = format!(
            "`user` is `{id}`, but there is no active User with that id; accepted is the `id` of one whose `active` is not false."
        );
        return Err(Error::new(ErrorKind::InvalidValue, detail)
            .at("user")
            .into());
    }
    Ok(Answer(
        StatusCode::CREATED,
        Token {
            value: Some(text),
            ..Token::of(record)
        },
    ))
}

/// Makes a token stop to work, at once.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("tenant" = String, Path), ("id" = String, Path)), responses((status = 204), (status = 404)))]
pub(crate) async fn revoke(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, id)): Parameters<(String, String)>,
) -> Result<StatusCode, Refused> {
    let revoked = state
        .tenants
        .revoke_token(caller.tenant.id, &id, state.clock.now())
        .await
        .map_err(|fault| refuse.with(fault))?;
    if revoked {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(refuse.with(Error::new(
        ErrorKind::NotFound,
        format!("There is no token with the id `{id}`."),
    )))
}
