//! How a client shows at the token endpoint who it is: by a secret (RFC 6749 section 2.3.1), by a signed assertion (RFC 7523 section 2.2), or by its
//! certificate (RFC 8705 section 2.1). Makes no tokens.

use keys::signed_token::{PublicKey, Signed};
use std::collections::HashMap;

use access::client::{ClientAuthentication, ClientRecord};
use access::issuer::{LEEWAY_SECONDS, check_times, names_audience};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use directory::tenant::Tenant;
use http::HeaderValue;
use http::request::Parts;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Denied, invalid_request};
use crate::authenticate::Attempt;
use crate::refusal::Failure;
use crate::state::State;
use crate::tls::ClientCertificate;
use crate::trace::Trace;

/// The parameters of a token request.
pub(crate) type Form = HashMap<String, String>;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Longest time that an assertion may be good for, in seconds.
pub const ASSERTION_SECONDS_MAX: i64 = 3_600;

/// What a client gave to show who it is.
pub(crate) struct Given<'a> {
    client_id: String,
    way: Way<'a>,
}

enum Way<'a> {
    Secret { secret: String, by_header: bool },
    Assertion(&'a str),
    Certificate,
}

impl<'a> Given<'a> {
    /// Reads the one way that a request uses; two are refused (RFC 6749 section 2.3).
    pub(crate) fn read(header: Option<&HeaderValue>, form: &'a Form) -> Result<Self, Denied> {
        let field = |name: &str| form.get(name).map(String::as_str);
        let ways = [
            header.is_some(),
            field("client_secret").is_some(),
            field("client_assertion").is_some(),
        ];
        if ways.iter().filter(|way| **way).count() > 1 {
            return Err(invalid_request(
                "The client shows who it is in more than one way; accepted is one.",
            ));
        }
        let client_id = || {
            field("client_id")
                .map(str::to_owned)
                .ok_or_else(|| invalid_request("`client_id` is missing."))
        };
        if let Some(header) = header {
            return Self::of_header(header, field("client_id"));
        }
        if let Some(secret) = field("client_secret") {
            return Ok(Self {
                client_id: client_id()?,
                way: Way::Secret {
                    secret: secret.to_owned(),
                    by_header: false,
                },
            });
        }
        match field("client_assertion") {
            Some(assertion) => Self::of_assertion(
                assertion,
                field("client_assertion_type"),
                field("client_id"),
            ),
            None => Ok(Self {
                client_id: client_id()?,
                way: Way::Certificate,
            }),
        }
    }

    /// `named`: the `client_id` of the form.
    fn of_header(header: &HeaderValue, named: Option<&str>) -> Result<Self, Denied> {
        let (id, secret) = basic(header).ok_or(Denied::InvalidClient {
            by_header: true,
            known: None,
        })?;
        if named.is_some_and(|named| named != id) {
            return Err(invalid_request(
                "`client_id` is not the client of the `Authorization` header.",
            ));
        }
        Ok(Self {
            client_id: id,
            way: Way::Secret {
                secret,
                by_header: true,
            },
        })
    }

    /// RFC 7523 section 3: `iss` and `sub` are the client; `client_id` may be left out.
    fn of_assertion(
        assertion: &'a str,
        assertion_type: Option<&str>,
        named: Option<&str>,
    ) -> Result<Self, Denied> {
        if assertion_type != Some(ASSERTION_TYPE) {
            return Err(invalid_request(
                "`client_assertion_type` must be `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.",
            ));
        }
        let subject = Signed::parse(assertion)
            .and_then(|signed| signed.claims.get("sub")?.as_str().map(str::to_owned));
        let subject = subject.ok_or(Denied::InvalidClient {
            by_header: false,
            known: None,
        })?;
        if named.is_some_and(|named| named != subject) {
            return Err(invalid_request(
                "`client_id` is not the `sub` of the assertion.",
            ));
        }
        Ok(Self {
            client_id: subject,
            way: Way::Assertion(assertion),
        })
    }

    fn by_header(&self) -> bool {
        matches!(
            self.way,
            Way::Secret {
                by_header: true,
                ..
            }
        )
    }

    /// By what a good one is known again. A secret is what guesses are made at. Signatures and certificates cannot be guessed, so there the client's id
    /// says enough, whoever else sends it.
    fn text(&self) -> String {
        match &self.way {
            Way::Secret { secret, .. } => format!("client secret\n{}\n{secret}", self.client_id),
            Way::Assertion(_) | Way::Certificate => format!("client\n{}", self.client_id),
        }
    }
}

/// `client_secret_basic`: both parts are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn basic(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |part: &str| {
        Some(
            percent_decode_str(&part.replace('+', " "))
                .decode_utf8()
                .ok()?
                .into_owned(),
        )
    };
    Some((decode(id)?, decode(secret)?))
}

/// The client, where it is one of this tenant and showed it. All refusals are one, so that nobody learns which clients there are.
pub(crate) async fn authenticate(
    state: &State,
    tenant: &str,
    issuer: &str,
    parts: &Parts,
    given: &Given<'_>,
    certificate: Option<&ClientCertificate>,
) -> Result<(Tenant, ClientRecord), Denied> {
    let now = state.clock.now();
    let attempt = Attempt::begin(state, parts, state.hasher.hash(&given.text()), now)?;
    // Looked for also where there is no such tenant: the time that a refusal takes does not tell which there are.
    let tenant = state
        .tenants
        .find_tenant(tenant)
        .await?
        .unwrap_or_else(Tenant::none);
    let found = match state.callers() {
        Some(callers) => callers
            .clients
            .find_client(tenant.id, &given.client_id)
            .await?
            .map(|client| (tenant, client)),
        None => None,
    };
    let known = found.as_ref().map(|(_, client)| client.id.clone());
    if let Some((tenant, client)) = found
        && client.is_live()
        && shows(state, issuer, &client, given, certificate, now).await?
    {
        if let Some(trace) = parts.extensions.get::<Trace>() {
            trace.called_by_client(&tenant, &client);
        }
        attempt.succeeded(state, &tenant.settings)?;
        return Ok((tenant, client));
    }
    // Only counted here; the answer is the token endpoint's own.
    let _ = attempt.failed(state, Failure::Unauthorized { token_given: true });
    Err(Denied::InvalidClient {
        by_header: given.by_header(),
        known,
    })
}

async fn shows(
    state: &State,
    issuer: &str,
    client: &ClientRecord,
    given: &Given<'_>,
    certificate: Option<&ClientCertificate>,
    now: Timestamp,
) -> Result<bool, Failure> {
    match (&given.way, &client.authentication) {
        (Way::Secret { secret, .. }, ClientAuthentication::ClientSecret { .. }) => {
            Ok(client.has_secret(&*state.hasher, secret))
        }
        (Way::Certificate, ClientAuthentication::TlsClientAuth { name }) => {
            Ok(certificate.is_some_and(|certificate| certificate.names.contains(name)))
        }
        (Way::Assertion(text), ClientAuthentication::PrivateKeyJwt { keys }) => {
            let Some((number, expires)) = check_assertion(text, keys, issuer, client, now) else {
                return Ok(false);
            };
            let number = state.hasher.hash(&format!("assertion\n{number}"));
            let Some(callers) = state.callers() else {
                return Ok(false);
            };
            Ok(callers
                .clients
                .use_assertion(client.tenant, &client.id, number, expires, now)
                .await?)
        }
        _ => Ok(false),
    }
}

/// RFC 7523 section 3. Its number (`jti`) and its end.
fn check_assertion(
    text: &str,
    keys: &[Value],
    issuer: &str,
    client: &ClientRecord,
    now: Timestamp,
) -> Option<(String, Timestamp)> {
    let signed = Signed::parse(text).filter(Signed::may_be_assertion)?;
    let keys: Vec<PublicKey> = keys.iter().filter_map(PublicKey::from_jwk).collect();
    let is_client =
        |name: &str| signed.claims.get(name).and_then(Value::as_str) == Some(client.id.as_str());
    let audiences = [issuer.to_owned(), format!("{issuer}/oauth2/token")];
    if !signed.is_signed_by(&keys)
        || !is_client("iss")
        || !is_client("sub")
        || !names_audience(&signed.claims, &audiences)
    {
        return None;
    }
    let expires = check_times(&signed.claims, now)?;
    if expires.duration_since(now).as_secs() > ASSERTION_SECONDS_MAX + LEEWAY_SECONDS {
        return None;
    }
    let number = signed
        .claims
        .get("jti")?
        .as_str()
        .filter(|number| !number.is_empty())?;
    Some((number.to_owned(), expires))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_encoded() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let header =
                HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(text))).unwrap();
            assert_eq!(
                basic(&header),
                expected.map(|(id, secret)| (id.to_owned(), secret.to_owned())),
                "{text}"
            );
        };
        check("a:b", Some(("a", "b")));
        check("a:b:c", Some(("a", "b:c")));
        check("a%3Ab:c+d%2F", Some(("a:b", "c d/")));
        check("nothing", None);
        assert_eq!(basic(&HeaderValue::from_static("Bearer abc")), None);
        assert_eq!(basic(&HeaderValue::from_static("Basic ###")), None);
    }

    #[test]
    fn one_way_only() {
        let check = |header: bool, fields: &[(&str, &str)], accepted: bool| {
            let header = header.then(|| {
                HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode("a:b"))).unwrap()
            });
            let form: Form = fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            assert_eq!(
                Given::read(header.as_ref(), &form).is_ok(),
                accepted,
                "{fields:?}"
            );
        };
        check(true, &[], true);
        check(true, &[("client_id", "a")], true);
        check(true, &[("client_id", "b")], false);
        check(true, &[("client_id", "a"), ("client_secret", "b")], false);
        check(false, &[("client_id", "a"), ("client_secret", "b")], true);
        check(false, &[("client_secret", "b")], false);
        check(false, &[("client_id", "a")], true);
        check(false, &[], false);
        check(
            false,
            &[
                ("client_assertion", "a.b.c"),
                ("client_assertion_type", ASSERTION_TYPE),
            ],
            false,
        );
        check(false, &[("client_assertion", "a.b.c")], false);
    }
}
