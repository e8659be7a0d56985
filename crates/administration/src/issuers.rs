//! Foreign issuers whose JWTs a tenant accepts besides its own tokens.

use std::collections::BTreeMap;

use access::issuer::{IssuerRecord, IssuerSettings};
use directory::DirectoryError;
use jiff::Timestamp;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::administration::{Administration, has_room};
use crate::administrator::{Administrator, NOTHING};
use crate::operations::{CREATE_ISSUER, READ_ISSUERS, REMOVE_ISSUER};
use crate::permissions::{Allowed, RequestedPermissions};

/// Whose tokens shall be accepted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewIssuer {
    /// What people call it; one issuer's in its tenant.
    pub name: String,
    /// Its `iss`, to the letter.
    pub issuer: String,
    /// Where its public keys are.
    pub jwks_url: String,
    /// One of these must be in `aud`.
    pub audiences: Vec<String>,
    /// Claims that must have these values, or hold them in a list.
    #[serde(default)]
    pub required_claims: BTreeMap<String, String>,
    /// The claim that names the caller; `sub` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_claim: Option<String>,
    /// What its tokens are allowed.
    #[serde(default)]
    pub permissions: RequestedPermissions,
}

/// An issuer as it is shown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Issuer {
    /// What people call it.
    pub name: String,
    /// When it was added.
    #[schema(value_type = String)]
    pub created: Timestamp,
    /// Its `iss`.
    #[serde(rename = "issuer")]
    pub iss: String,
    /// Where its public keys are.
    pub jwks_url: String,
    /// One of these must be in `aud`.
    pub audiences: Vec<String>,
    /// Claims that must have these values, or hold them in a list.
    pub required_claims: BTreeMap<String, String>,
    /// The claim that names the caller.
    pub subject_claim: String,
    /// What its tokens are allowed.
    pub permissions: Allowed,
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
            created,
            iss: settings.issuer,
            jwks_url: settings.jwks_url,
            audiences: settings.audiences,
            required_claims: settings.required_claims,
            subject_claim: settings.subject_claim,
        }
    }
}

impl NewIssuer {
    fn check(self, on: &Administration, by: &Administrator) -> Result<IssuerRecord, Error> {
        let wrong =
            |path: &str, detail: &str| Err(Error::new(ErrorKind::InvalidValue, detail).at(path));
        if !Url::parse(&self.jwks_url).is_ok_and(|url| matches!(url.scheme(), "https" | "http")) {
            return wrong(
                "jwksUrl",
                "`jwksUrl` is not a URL; accepted is one that begins with `https://`.",
            );
        }
        if let Some(why) = on.key_sets.never(&self.jwks_url) {
            let detail = format!(
                "`jwksUrl` can never be fetched: {why}. The operator of this server can allow an address that is not public, or plain HTTP, in `allow_private`."
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
            permissions: self.permissions.check_for_good(&by.caller)?,
        };
        Ok(IssuerRecord {
            tenant: by.caller.tenant.id,
            name: self.name,
            created: on.clock.now(),
            settings,
        })
    }
}

/// All issuers, by name.
pub async fn list(on: &Administration, by: &Administrator) -> Result<Vec<Issuer>, DirectoryError> {
    by.may(&READ_ISSUERS)?;
    let found = on.issuers.list_issuers(by.caller.tenant.id).await?;
    Ok(found.into_iter().map(Issuer::of).collect())
}

/// Accepts the tokens of an issuer.
pub async fn create(
    on: &Administration,
    by: &Administrator,
    new: NewIssuer,
) -> Result<Issuer, DirectoryError> {
    by.may(&CREATE_ISSUER)?;
    let record = new.check(on, by)?;
    let there = on.issuers.list_issuers(record.tenant).await?;
    has_room(there.len(), on.options.partners_max, "issuers")?;
    let (added, at) = (Issuer::of(record.clone()), record.created);
    let entry = by.entry(&CREATE_ISSUER, &added.name, at, NOTHING, Some(&added));
    if on.issuers.add_issuer(record, entry).await? {
        return Ok(added);
    }
    let detail = format!("There is an issuer `{}` already.", added.name);
    Err(Error::new(ErrorKind::Uniqueness, detail).at("name").into())
}

/// Accepts no tokens of an issuer any more, at once.
pub async fn remove(
    on: &Administration,
    by: &Administrator,
    name: &str,
) -> Result<(), DirectoryError> {
    by.may(&REMOVE_ISSUER)?;
    let missing = || Error::new(ErrorKind::NotFound, format!("There is no issuer `{name}`."));
    let tenant = by.caller.tenant.id;
    let there = on.issuers.list_issuers(tenant).await?.into_iter();
    let mut found = there.filter(|issuer| issuer.name == name);
    let record = found.next().ok_or_else(missing)?;
    by.caller.may_end(&record.settings.permissions)?;
    let before = Issuer::of(record);
    let entry = by.entry(&REMOVE_ISSUER, name, on.clock.now(), Some(&before), NOTHING);
    if on.issuers.remove_issuer(tenant, name, entry).await? {
        return Ok(());
    }
    Err(missing().into())
}
