//! The bearer tokens of a tenant. A token is shown once, when it is made; the store knows only its keyed hash.

use access::credential::{TokenRecord, TokenRequest, issue, token_text};
use directory::DirectoryError;
use jiff::Timestamp;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::administration::{Administration, has_room};
use crate::administrator::{Administrator, NOTHING};
use crate::operations::{
    CREATE_TOKEN, CREATE_TOKEN_IN_TENANT, READ_TOKENS, REVOKE_TOKEN, REVOKE_TOKEN_OF_PERSON,
};
use crate::permissions::{Allowed, RequestedPermissions};

/// What a new token shall be.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewToken {
    /// What it is for, so that people know it again.
    pub name: String,
    /// When it stops to work (RFC 3339); without it, never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// What it opens: `read`, `write`, `admin`, `operator`; without it, `read` and `write`, or what the role needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// The role of its bearer as an administrator: `auditor`, `help-desk`, `administrator`, `owner`; without it, as the scopes say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The resource types it is for; without it, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_types: Option<Vec<String>>,
    /// The client profile of its bearer, such as `entra`; without it, the tenant's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Requests a second that its bearer may make, and ten times as many at once; 0: any number; without it, as the server has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
    /// The id of the active User whom `/Me` is for its bearer; without it, `/Me` is not offered. The token ends when that User is deactivated or deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// A token as it is shown.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// Its public id.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// When it was made.
    #[schema(value_type = String)]
    pub created: Timestamp,
    /// When it stops to work; null: never.
    #[schema(value_type = Option<String>)]
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>)]
    pub revoked: Option<Timestamp>,
    /// To the minute.
    #[schema(value_type = Option<String>)]
    pub last_used: Option<Timestamp>,
    /// The id of the User whom `/Me` is for its bearer.
    pub user: Option<String>,
    /// What it lets its bearer do.
    #[serde(flatten)]
    pub allowed: Allowed,
    /// The token itself; only in the answer that made it.
    #[serde(rename = "token", skip_serializing_if = "Option::is_none", default)]
    pub value: Option<String>,
}

impl Token {
    fn of(record: TokenRecord) -> Self {
        Self {
            allowed: Allowed::of(&record.permissions),
            id: record.id,
            name: record.name,
            created: record.created,
            expires: record.expires,
            revoked: record.revoked,
            last_used: record.last_used,
            user: record.permissions.user,
            value: None,
        }
    }
}

impl NewToken {
    fn check(self, by: &Administrator) -> Result<TokenRequest, Error> {
        let requested = RequestedPermissions {
            scopes: self.scopes,
            role: self.role,
            resource_types: self.resource_types,
            profile: self.profile,
            requests_per_second: self.requests_per_second,
        };
        let mut permissions = requested.check(&by.caller)?;
        let not_an_instant = |_| {
            let detail = "`expires` is not an instant; accepted is RFC 3339, such as `2030-01-31T00:00:00Z`.";
            Error::new(ErrorKind::InvalidValue, detail).at("expires")
        };
        let expires: Option<Timestamp> = self
            .expires
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(not_an_instant)?;
        permissions.user = self.user;
        by.caller.may_give(&permissions, expires)?;
        Ok(TokenRequest {
            tenant: by.caller.tenant.id,
            name: self.name,
            expires,
            permissions,
        })
    }
}

/// All tokens, oldest first; never their values.
pub async fn list(on: &Administration, by: &Administrator) -> Result<Vec<Token>, DirectoryError> {
    by.may(&READ_TOKENS)?;
    let tokens = on.tenants.list_tokens(by.caller.tenant.id).await?;
    let shown = |record: TokenRecord| {
        let mut token = Token::of(record);
        // The person of a token is shown to those who may know people.
        token.user = token.user.filter(|_| by.caller.permissions.covers("User"));
        token
    };
    Ok(tokens.into_iter().map(shown).collect())
}

/// Makes a token; the answer is the only one that shows it.
pub async fn create(
    on: &Administration,
    by: &Administrator,
    new: NewToken,
) -> Result<Token, DirectoryError> {
    by.may(&CREATE_TOKEN)?;
    let request = new.check(by)?;
    let tokens = on.tenants.list_tokens(request.tenant).await?;
    let live = tokens
        .iter()
        .filter(|token| token.revoked.is_none())
        .count();
    has_room(live, on.options.credentials_max, "tokens")?;
    let (text, at) = (token_text(&on.ids.secret()), on.clock.now());
    let record = issue(&*on.hasher, on.ids.id(), &text, request, at);
    let made = Token::of(record.clone());
    let entry = by.entry(&CREATE_TOKEN, &made.id, at, NOTHING, Some(&made));
    if !on.tenants.create_token(record, entry).await? {
        let id = made.user.unwrap_or_default();
        let detail = format!(
            "There is no active User with the id `{id}`: the person is not there or not active; use the `id` of a User whose `active` is not false."
        );
        return Err(Error::new(ErrorKind::InvalidValue, detail)
            .at("user")
            .into());
    }
    Ok(Token {
        value: Some(text),
        ..made
    })
}

/// Makes a token of any tenant, such as the first of one that was just made.
pub async fn create_in_tenant(
    on: &Administration,
    by: &Administrator,
    tenant: &str,
    new: NewToken,
) -> Result<Token, DirectoryError> {
    by.may(&CREATE_TOKEN_IN_TENANT)?;
    create(on, &on.in_tenant(by, tenant).await?, new).await
}

/// Makes a token stop to work, at once.
pub async fn revoke(
    on: &Administration,
    by: &Administrator,
    id: &str,
) -> Result<(), DirectoryError> {
    by.may(&REVOKE_TOKEN_OF_PERSON)?;
    let tenant = by.caller.tenant.id;
    let tokens = on.tenants.list_tokens(tenant).await?;
    let missing = || {
        let detail = format!("There is no token with the id `{id}`.");
        DirectoryError::from(Error::new(ErrorKind::NotFound, detail))
    };
    let record = tokens
        .into_iter()
        .find(|token| token.id == id)
        .ok_or_else(missing)?;
    if record.permissions.user.is_none() {
        by.may(&REVOKE_TOKEN)?;
    }
    if id != by.caller.credential_id {
        by.caller.may_end(&record.permissions)?;
    }
    if record.revoked.is_some() {
        return Ok(());
    }
    let at = on.clock.now();
    let before = Token::of(record);
    let after = Token {
        revoked: Some(at),
        ..before.clone()
    };
    let entry = by.entry(&REVOKE_TOKEN, id, at, Some(&before), Some(&after));
    if on.tenants.revoke_token(tenant, id, at, entry).await? {
        return Ok(());
    }
    Err(missing())
}
