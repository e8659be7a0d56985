//! OAuth 2.0 for clients that are programs: the token endpoint with the grant `client_credentials` (RFC 6749 section 4.4) and its metadata (RFC 8414).
//! Refusals have the form of RFC 6749 section 5.2. How a client shows who it is, is in the module below.

mod client;

use keys::signed_token::ALGORITHMS;
use std::sync::Arc;

use access::access_token::{AccessClaims, seal};
use access::client::ClientRecord;
use axum::body::Body;
use axum::response::Response;
use directory::access::Scope;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use scim_protocol::{Error, ErrorKind};
use serde_json::{Map, Value, json};

pub use self::client::ASSERTION_SECONDS_MAX;
use self::client::{Form, Given, authenticate};
use crate::address::origin;
use crate::authenticate::spend;
use crate::refusal::{Failure, response};
use crate::state::State;
use crate::tls::ClientCertificate;
use crate::trace::{Refusal, Trace};

/// Largest body of a token request, in bytes.
pub const TOKEN_REQUEST_BYTES_MAX: usize = 32 * 1024;

/// Why there is no token (RFC 6749 section 5.2).
pub(crate) enum Denied {
    /// With an error code and a sentence.
    Because(&'static str, String),
    /// The client is not known, or did not show that it is this one.
    InvalidClient {
        /// Whether it tried by the `Authorization` header, which is then challenged.
        by_header: bool,
        /// The client of this tenant whose id it used. Told to administrators only; what else was given for an id could be a secret in the wrong field.
        known: Option<String>,
    },
    /// The caller has to wait, or we are at fault.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Denied {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

pub(crate) fn invalid_request(detail: &str) -> Denied {
    Denied::Because("invalid_request", detail.to_owned())
}

/// The tenant of a path of ours, and whether it is the token endpoint (else the metadata).
pub(crate) fn part(path: &str) -> Option<(&str, bool)> {
    // RFC 8414 section 3.1 puts the well-known part in front of the issuer's path.
    if let Some(tenant) = path.strip_prefix("/.well-known/oauth-authorization-server/t/") {
        return (!tenant.contains('/')).then_some((tenant, false));
    }
    let (tenant, rest) = path.strip_prefix("/t/")?.split_once('/')?;
    match rest {
        "oauth2/token" => Some((tenant, true)),
        ".well-known/oauth-authorization-server" => Some((tenant, false)),
        _ => None,
    }
}

/// Answers a request to one of them.
pub(crate) async fn answer(
    state: Arc<State>,
    request: Request<Body>,
    request_id: &str,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some((tenant, is_token)) = part(parts.uri.path()) else {
        return response(nothing(), request_id);
    };
    if let Some(trace) = parts.extensions.get::<Trace>().filter(|_| is_token) {
        trace.named(tenant, &parts);
        trace.routed("/oauth2/token".to_owned(), None);
    }
    let issuer = format!(
        "{}/t/{tenant}",
        origin(&state.options, &parts.headers, &parts.extensions)
    );
    let given = match (is_token, &parts.method) {
        (true, &Method::POST) => grant(&state, tenant, &issuer, &parts, body).await,
        (false, &Method::GET | &Method::HEAD) => metadata(&state, &issuer),
        (_, _) => {
            let allowed = if is_token { "POST" } else { "GET" };
            return response(Failure::MethodNotAllowed { allowed }, request_id);
        }
    };
    match given {
        Ok(document) => json_response(StatusCode::OK, &document),
        Err(denied) => refused(denied, request_id),
    }
}

/// A refusal in the form of RFC 6749 section 5.2.
pub(crate) fn refused(denied: Denied, request_id: &str) -> Response {
    match denied {
        Denied::Failed(Failure::Limited { detail, seconds }) => {
            let mut response = error(
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                &format!("{detail} Try again in {seconds} seconds."),
            );
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
            response
        }
        Denied::Failed(failure) => response(failure, request_id),
        Denied::Because(code, detail) => error(StatusCode::BAD_REQUEST, code, &detail),
        Denied::InvalidClient { by_header, known } => {
            let mut response = error(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "The client is not known here, or its credential is not accepted.",
            );
            if by_header {
                response.headers_mut().insert(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static("Basic realm=\"rollcall\""),
                );
            }
            if let Some(client) = known {
                let detail = format!(
                    "The client `{client}` is revoked, or the credential that was given is not its own."
                );
                response.extensions_mut().insert(Refusal {
                    scim_type: None,
                    detail,
                });
            }
            response
        }
    }
}

/// A token for a client that showed who it is.
async fn grant(
    state: &Arc<State>,
    tenant: &str,
    issuer: &str,
    parts: &Parts,
    body: Body,
) -> Result<Value, Denied> {
    let form = read_form(parts, body).await?;
    let given = Given::read(parts.headers.get(AUTHORIZATION), &form)?;
    let certificate = parts
        .extensions
        .get::<Arc<ClientCertificate>>()
        .map(Arc::as_ref);
    let (tenant, client) = authenticate(state, tenant, issuer, parts, &given, certificate).await?;
    match form.get("grant_type").map(String::as_str) {
        Some("client_credentials") => {}
        Some(_) => {
            return Err(Denied::Because(
                "unsupported_grant_type",
                "The grant type here is `client_credentials`.".into(),
            ));
        }
        None => {
            return Err(invalid_request(
                "`grant_type` is missing; accepted is `client_credentials`.",
            ));
        }
    }
    spend(state, tenant.id, &client.id, &client.permissions, parts)?;
    let scopes = scopes(form.get("scope").map(String::as_str), &client)?;
    let now = state.clock.now();
    let seconds = state.options.access_token_seconds;
    let secret = state.ids.secret();
    let claims = AccessClaims {
        client: client.id,
        expires: now.as_second().saturating_add(seconds),
        scopes: scopes.clone(),
        // RFC 8705 section 3: who came by a certificate gets a token that is worth nothing without it.
        certificate: certificate.map(|certificate| certificate.thumbprint),
        number: secret
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes)),
    };
    Ok(json!({
        "access_token": seal(&*state.hasher, tenant.id, &claims),
        "token_type": "Bearer",
        "expires_in": seconds,
        "scope": scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" "),
    }))
}

/// What the client asks for, or all that it may have.
fn scopes(asked: Option<&str>, client: &ClientRecord) -> Result<Vec<Scope>, Denied> {
    let own = &client.permissions.scopes;
    let Some(asked) = asked.filter(|asked| !asked.trim().is_empty()) else {
        return Ok(own.clone());
    };
    let mut scopes = Vec::new();
    for name in asked.split_ascii_whitespace() {
        match Scope::by_name(name).filter(|scope| own.contains(scope)) {
            Some(scope) if scopes.contains(&scope) => {}
            Some(scope) => scopes.push(scope),
            None => {
                let may = own
                    .iter()
                    .map(|scope| scope.name())
                    .collect::<Vec<_>>()
                    .join(" ");
                return Err(Denied::Because(
                    "invalid_scope",
                    format!(
                        "A scope that was asked for is not one of this client, which are: {may}."
                    ),
                ));
            }
        }
    }
    scopes.sort_unstable();
    Ok(scopes)
}

async fn read_form(parts: &Parts, body: Body) -> Result<Form, Denied> {
    let essence = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    if !essence.is_some_and(|essence| {
        essence
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }) {
        return Err(invalid_request(
            "The content type of the body must be `application/x-www-form-urlencoded`.",
        ));
    }
    let collected = Limited::new(body, TOKEN_REQUEST_BYTES_MAX).collect().await;
    let bytes = collected
        .map_err(|_| invalid_request("The body is too large, or broke off before its end."))?
        .to_bytes();
    if let Some(trace) = parts.extensions.get::<Trace>() {
        // Only its size: a secret or an assertion is in it.
        trace.received(&bytes, None, TOKEN_REQUEST_BYTES_MAX);
    }
    let mut form = Form::new();
    for (name, value) in url::form_urlencoded::parse(&bytes).into_owned() {
        // RFC 6749 section 3.2: a parameter without a value counts as none, and none may be there twice.
        if !value.is_empty() && form.insert(name, value).is_some() {
            return Err(invalid_request("A parameter is there twice."));
        }
    }
    Ok(form)
}

/// RFC 8414 section 2. The same for every tenant, also for one that does not exist, so that nobody learns which there are.
fn metadata(state: &State, issuer: &str) -> Result<Value, Denied> {
    if state.callers().is_none() {
        return Err(Denied::Failed(nothing()));
    }
    let mut document = Map::new();
    let mut add = |name: &str, value: Value| document.insert(name.to_owned(), value);
    add("issuer", issuer.into());
    add("token_endpoint", format!("{issuer}/oauth2/token").into());
    add("response_types_supported", json!([]));
    add("grant_types_supported", json!(["client_credentials"]));
    add("scopes_supported", json!(Scope::ALL.map(Scope::name)));
    let mut methods = vec![
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    ];
    if state.options.takes_client_certificates {
        methods.push("tls_client_auth");
        add("tls_client_certificate_bound_access_tokens", true.into());
    }
    add("token_endpoint_auth_methods_supported", json!(methods));
    add(
        "token_endpoint_auth_signing_alg_values_supported",
        json!(ALGORITHMS),
    );
    Ok(Value::Object(document))
}

fn nothing() -> Failure {
    Error::new(ErrorKind::NotFound, "There is nothing under this path.").into()
}

fn error(status: StatusCode, code: &str, detail: &str) -> Response {
    let mut response = json_response(status, &json!({"error": code, "error_description": detail}));
    response.extensions_mut().insert(Refusal {
        scim_type: None,
        detail: detail.to_owned(),
    });
    response
}

fn json_response(status: StatusCode, document: &Value) -> Response {
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // RFC 6749 section 5.1.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn paths() {
        let check =
            |path: &str, expected: Option<(&str, bool)>| assert_eq!(part(path), expected, "{path}");
        check("/t/acme/oauth2/token", Some(("acme", true)));
        check(
            "/t/acme/.well-known/oauth-authorization-server",
            Some(("acme", false)),
        );
        check(
            "/.well-known/oauth-authorization-server/t/acme",
            Some(("acme", false)),
        );
        check("/.well-known/oauth-authorization-server/t/acme/x", None);
        check("/t/acme/oauth2/tokens", None);
        check("/oauth2/token", None);
    }
}
