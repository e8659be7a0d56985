//! Foreign issuers: whose tokens a tenant accepts besides its own, and what their claims must say. Verifies no signature; `server` does.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use directory::access::Permissions;
use directory::audit::Entry;
use directory::store::Fault;
use directory::tenant::TenantId;

/// How far clocks may differ, in seconds.
pub const LEEWAY_SECONDS: i64 = 60;
/// Longest subject that is kept as the id of a credential, in characters.
const SUBJECT_CHARACTERS_MAX: usize = 200;

/// What of an issuer's tokens is accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IssuerSettings {
    /// Its `iss`, to the letter.
    pub issuer: String,
    /// Where its public keys are.
    pub jwks_url: String,
    /// One of these must be in `aud`.
    pub audiences: Vec<String>,
    /// Claims that must have these values, or hold them in a list.
    #[serde(default)]
    pub required_claims: BTreeMap<String, String>,
    /// The claim that names the caller.
    #[serde(default = "subject_claim")]
    pub subject_claim: String,
    /// What such a token lets its bearer do.
    pub permissions: Permissions,
}

fn subject_claim() -> String {
    "sub".into()
}

/// What the store remembers of an issuer.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuerRecord {
    /// Whose it is.
    pub tenant: TenantId,
    /// For people; one issuer's in its tenant.
    pub name: String,
    /// When it was added.
    pub created: Timestamp,
    /// What is accepted.
    pub settings: IssuerSettings,
}

/// Issuers.
#[async_trait]
pub trait Issuers: Send + Sync {
    /// Stores an issuer; false where the name is taken.
    /// The audit entry goes into the tenant's chain with it.
    async fn add_issuer(&self, issuer: IssuerRecord, entry: Entry) -> Result<bool, Fault>;
    /// All of a tenant, by name.
    async fn list_issuers(&self, tenant: TenantId) -> Result<Vec<IssuerRecord>, Fault>;
    /// Removes one, and with the tenant's revision what is remembered of its tokens; false where there is none.
    /// The audit entry goes into the tenant's chain with it.
    async fn remove_issuer(
        &self,
        tenant: TenantId,
        name: &str,
        entry: Entry,
    ) -> Result<bool, Fault>;
}

/// The way to the public keys of an issuer.
#[async_trait]
pub trait KeySets: Send + Sync {
    /// Why nothing can ever be fetched from a URL, where that is known beforehand: its address may not be reached, or its scheme not be used.
    fn never(&self, url: &str) -> Option<String>;
    /// The JWK set at a URL (RFC 7517 section 5).
    async fn fetch(&self, url: &str) -> Result<Value, Fault>;
}

/// Who a token with these claims speaks for, and until when; its signature is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The caller, for logs.
    pub credential_id: String,
    /// When the token ends, with the leeway.
    pub expires: Timestamp,
}

/// Checks the claims (RFC 7519 section 4.1). `None`: not accepted; why, nobody outside learns.
pub fn accept(
    issuer: &IssuerRecord,
    claims: &Map<String, Value>,
    now: Timestamp,
) -> Option<Accepted> {
    let settings = &issuer.settings;
    if claims.get("iss").and_then(Value::as_str) != Some(&settings.issuer)
        || !names_audience(claims, &settings.audiences)
    {
        return None;
    }
    let expires = check_times(claims, now)?;
    let required = settings
        .required_claims
        .iter()
        .all(|(name, wanted)| claims.get(name).is_some_and(|found| holds(found, wanted)));
    let subject = claims
        .get(&settings.subject_claim)?
        .as_str()
        .filter(|subject| !subject.is_empty())?;
    let subject: String = subject
        .chars()
        .filter(|c| !c.is_control())
        .take(SUBJECT_CHARACTERS_MAX)
        .collect();
    required.then(|| Accepted {
        credential_id: format!("{}/{subject}", issuer.name),
        expires,
    })
}

/// Whether `aud`, a text or a list of texts, has one of these.
pub fn names_audience(claims: &Map<String, Value>, audiences: &[String]) -> bool {
    claims.get("aud").is_some_and(|found| {
        audiences.iter().any(|audience| match found {
            Value::String(text) => text == audience,
            Value::Array(items) => items.iter().any(|item| item.as_str() == Some(audience)),
            _ => false,
        })
    })
}

/// `exp` is there and not over, `nbf` and `iat` are not to come. The end, with the leeway.
pub fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Option<Timestamp> {
    let leeway =
        |seconds: f64| seconds + f64::from(i16::try_from(LEEWAY_SECONDS).unwrap_or_default());
    let second = f64::from(u32::try_from(now.as_second()).ok()?);
    // A NumericDate may have a fraction.
    let at = |name: &str| match claims.get(name) {
        None => Some(None),
        Some(value) => value
            .as_f64()
            .filter(|at| at.is_finite() && (0.0..f64::from(u32::MAX)).contains(at))
            .map(Some),
    };
    let (expires, not_before, issued) = (at("exp")??, at("nbf")?, at("iat")?);
    let to_come = |time: Option<f64>| time.is_some_and(|time| time > leeway(second));
    if second >= leeway(expires) || to_come(not_before) || to_come(issued) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is below 2^32")]
    let whole = expires.floor() as i64;
    Timestamp::from_second(whole + LEEWAY_SECONDS).ok()
}

fn holds(found: &Value, wanted: &str) -> bool {
    match found {
        Value::String(text) => text == wanted,
        Value::Array(items) => items.iter().any(|item| item.as_str() == Some(wanted)),
        Value::Bool(_) | Value::Number(_) => {
            let text = found.to_string();
            text == wanted
        }
        Value::Null | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn issuer() -> IssuerRecord {
        let settings = json!({"issuer": "https://id.example", "jwksUrl": "https://id.example/keys", "audiences": ["scim", "rollcall"],
            "requiredClaims": {"tid": "t-1", "roles": "provisioner"}, "permissions": {}});
        let settings = serde_json::from_value(settings).unwrap();
        IssuerRecord {
            tenant: TenantId(1),
            name: "entra".into(),
            created: Timestamp::UNIX_EPOCH,
            settings,
        }
    }

    #[test]
    fn which_claims_are_accepted() {
        let good = json!({"iss": "https://id.example", "aud": "scim", "exp": 1_000, "sub": "app", "tid": "t-1", "roles": ["x", "provisioner"]});
        let check = |changes: Value, now: i64, accepted: bool| {
            let mut claims = good.as_object().unwrap().clone();
            for (name, value) in changes.as_object().unwrap() {
                if value.is_null() {
                    claims.remove(name);
                } else {
                    claims.insert(name.clone(), value.clone());
                }
            }
            let found = accept(&issuer(), &claims, Timestamp::from_second(now).unwrap());
            assert_eq!(found.is_some(), accepted, "{changes} at {now}");
        };
        check(json!({}), 999, true);
        check(json!({}), 1_059, true);
        check(json!({}), 1_060, false);
        check(json!({"exp": null}), 1, false);
        check(json!({"exp": "1000"}), 1, false);
        check(json!({"exp": 1e300}), 1, false);
        check(json!({"exp": 999.5}), 1, true);
        check(json!({"nbf": 161}), 100, false);
        check(json!({"nbf": 160, "iat": 100}), 100, true);
        check(json!({"iat": 161}), 100, false);
        check(json!({"iss": "https://id.example/"}), 1, false);
        check(json!({"iss": null}), 1, false);
        check(json!({"aud": ["other", "rollcall"]}), 1, true);
        check(json!({"aud": ["other"]}), 1, false);
        check(json!({"aud": null}), 1, false);
        check(json!({"tid": "t-2"}), 1, false);
        check(json!({"tid": null}), 1, false);
        check(json!({"roles": "provisioner"}), 1, true);
        check(json!({"roles": []}), 1, false);
        check(json!({"sub": null}), 1, false);
        check(json!({"sub": ""}), 1, false);
    }

    #[test]
    fn who_it_is() {
        let claims = json!({"iss": "https://id.example", "aud": "scim", "exp": 1_000, "sub": "a\nb", "tid": "t-1", "roles": "provisioner"});
        let found = accept(
            &issuer(),
            claims.as_object().unwrap(),
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        assert_eq!(
            (found.credential_id.as_str(), found.expires.as_second()),
            ("entra/ab", 1_060)
        );
    }
}
