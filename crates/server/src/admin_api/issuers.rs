//! Foreign issuers whose JWTs a tenant accepts besides its own tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use access::issuer::{IssuerRecord, IssuerSettings, Issuers};
use axum::extract::State as Extract;
use http::StatusCode;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::administrator::{Administrator, Refuse, Refused, has_room};
use super::body::{Answer, Given, Parameters};
use super::wishes::{Allowed, Wishes};
use crate::state::State;

/// Whose tokens shall be accepted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewIssuer {
    /// What people call it; one issuer's in its tenant.
    name: String,
    /// Its `iss`, to the letter.
    issuer: String,
    /// Where its public keys are.
    jwks_url: String,
    /// One of these must be in `aud`.
    audiences: Vec<String>,
    /// Claims that must have these values, or hold them in a list.
    #[serde(default)]
    required_claims: BTreeMap<String, String>,
    /// The claim that names the caller; `sub` where it is left out.
    subject_claim: Option<String>,
    /// What its tokens are allowed.
    #[serde(default)]
    permissions: Wishes,
}

/// An issuer as it is shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Issuer {
    name: String,
    created: String,
    #[serde(rename = "issuer")]
    iss: String,
    jwks_url: String,
    audiences: Vec<String>,
    required_claims: BTreeMap<String, String>,
    subject_claim: String,
    permissions: Allowed,
}

impl Issuer {
    fn of(record: IssuerRecord) -> Self {
        let IssuerRecord {
            name,
            created,
            settings,
            ..
        } = record;
        Self {
            permissions: Allowed::of(&settings.permissions),
            name,
            created: created.to_string(),
            iss: settings.issuer,
            jwks_url: settings.jwks_url,
            audiences: settings.audiences,
            required_claims: settings.required_claims,
            subject_claim: settings.subject_claim,
        }
    }
}

impl NewIssuer {
    fn into_record(
        self,
        state: &State,
        administrator: &Administrator,
    ) -> Result<IssuerRecord, Error> {
        let wrong =
            |path: &str, detail: &str| Err(Error::new(ErrorKind::InvalidValue, detail).at(path));
        if !Url::parse(&self.jwks_url).is_ok_and(|url| matches!(url.scheme(), "https" | "http")) {
            return wrong(
                "jwksUrl",
                "`jwksUrl` is not a URL; accepted is one that begins with `https://`.",
            );
        }
        if let Some(why) = state
            .callers()
            .and_then(|callers| callers.key_sets.never(&self.jwks_url))
        {
            let detail = format!(
                "`jwksUrl` can never be fetched: {why}. The operator of this server can allow an address that is not public, or plain HTTP."
            );
            return wrong("jwksUrl", &detail);
        }
        if self.audiences.is_empty() {
            return wrong(
                "audiences",
                "`audiences` is empty; without any, tokens that were made for somebody else would be accepted.",
            );
        }
        let settings = IssuerSettings {
            issuer: self.issuer,
            jwks_url: self.jwks_url,
            audiences: self.audiences,
            required_claims: self.required_claims,
            subject_claim: self.subject_claim.unwrap_or_else(|| "sub".into()),
            permissions: self.permissions.grant_for_good(administrator)?,
        };
        Ok(IssuerRecord {
            tenant: administrator.0.tenant.id,
            name: self.name,
            created: state.clock.now(),
            settings,
        })
    }
}

fn issuers<'s>(state: &'s State, refuse: &Refuse) -> Result<&'s dyn Issuers, Refused> {
    let missing = || {
        refuse.with(Error::new(
            ErrorKind::NotImplemented,
            "This server accepts no tokens of others.",
        ))
    };
    state
        .callers()
        .map(|callers| &*callers.issuers)
        .ok_or_else(missing)
}

/// All issuers, by name.
#[utoipa::path(get, path = "/issuers", tag = "issuers", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Issuer>)))]
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
) -> Result<Answer<Vec<Issuer>>, Refused> {
    let found = issuers(&state, &refuse)?
        .list_issuers(caller.tenant.id)
        .await
        .map_err(|fault| refuse.with(fault))?;
    Ok(Answer(
        StatusCode::OK,
        found.into_iter().map(Issuer::of).collect(),
    ))
}

/// Accepts the tokens of an issuer.
#[utoipa::path(post, path = "/issuers", tag = "issuers", params(("tenant" = String, Path)), request_body = NewIssuer,
    responses((status = 201, body = Issuer), (status = 400), (status = 409)))]
pub(crate) async fn create(
    Extract(state): Extract<Arc<State>>,
    administrator: Administrator,
    refuse: Refuse,
    Given(new): Given<NewIssuer>,
) -> Result<Answer<Issuer>, Refused> {
    let record = new
        .into_record(&state, &administrator)
        .map_err(|error| refuse.with(error))?;
    let there = issuers(&state, &refuse)?
        .list_issuers(administrator.0.tenant.id)
        .await
        .map_err(|fault| refuse.with(fault))?;
    has_room(there.len(), state.options.partners_max, "issuers")
        .map_err(|error| refuse.with(error))?;
    let added = issuers(&state, &refuse)?
        .add_issuer(record.clone())
        .await
        .map_err(|fault| refuse.with(fault))?;
    if !added {
        return Err(refuse.with(
            Error::new(
                ErrorKind::Uniqueness,
                format!("There is an issuer `{}` already.", record.name),
            )
            .at("name"),
        ));
    }
    Ok(Answer(StatusCode::CREATED, Issuer::of(record)))
}

/// Accepts no tokens of an issuer any more, at once.
#[utoipa::path(delete, path = "/issuers/{name}", tag = "issuers", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn remove(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Result<StatusCode, Refused> {
    let removed = issuers(&state, &refuse)?
        .remove_issuer(caller.tenant.id, &name)
        .await
        .map_err(|fault| refuse.with(fault))?;
    if removed {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(refuse.with(Error::new(
        ErrorKind::NotFound,
        format!("There is no issuer `{name}`."),
    )))
}
