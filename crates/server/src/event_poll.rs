//! Security Event Tokens for those who fetch them (`POST /t/{tenant}/receivers/{name}/poll`, RFC 8936), and the keys by which anybody verifies them
//! (`GET /t/{tenant}/.well-known/jwks.json`, RFC 7517). Does not sign.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use directory::store::Fault;
use directory::tenant::TenantId;
use events::event_log::Acknowledgements;
use events::receiver::{Receiver, ReceiverKind};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use scim_protocol::{Error, ErrorKind};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout};

use crate::authenticate::bearer;
use crate::decoy_keys::decoy_keys;
use crate::event_feed::too_many;
use crate::refusal::Failure;
use crate::scim_api::read_body;
use crate::state::{Events, State};

/// How often a poll that waits looks for itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A poll request (RFC 8936 section 2.2).
#[derive(Debug, Default, PartialEq, Eq)]
struct Poll {
    most: usize,
    at_once: bool,
    said: Acknowledgements,
}

/// Takes what the receiver says about earlier tokens, and answers with the next.
pub(crate) async fn poll(
    (state, events): (&Arc<State>, &Events),
    tenant: &str,
    name: &str,
    parts: &Parts,
    body: Body,
) -> Result<Response, Failure> {
    let receiver = receiver((state, events), tenant, name, &parts.headers).await?;
    let body = read_body(
        state,
        Some(receiver.tenant),
        &parts.headers,
        body,
        state.options.body_bytes_max,
    )
    .await?;
    let Poll {
        most,
        at_once,
        mut said,
    } = read(&body, state.options.event_page_max)?;
    let until = Instant::now() + Duration::from_secs(state.options.event_wait_seconds_max);
    let mut commits = events.commits.clone();
    let mut listener = None;
    loop {
        let (tokens, more) = events
            .delivery
            .poll(&receiver, std::mem::take(&mut said), most)
            .await?;
        let left = until.saturating_duration_since(Instant::now());
        if !tokens.is_empty() || at_once || most == 0 || left.is_zero() {
            let sets: Map<String, Value> = tokens
                .into_iter()
                .map(|(id, token)| (id, token.into()))
                .collect();
            return Ok(answer(
                &json!({"sets": sets, "moreAvailable": more}),
                "no-store",
            ));
        }
        if listener.is_none() {
            listener = state.listeners.enter(receiver.tenant);
            if listener.is_none() {
                return Ok(too_many());
            }
        }
        if let Ok(Err(_)) = timeout(left.min(LOOK_EVERY), commits.changed()).await {
            return Ok(answer(
                &json!({"sets": {}, "moreAvailable": false}),
                "no-store",
            ));
        }
    }
}

/// The public keys of a tenant. One that has signed nothing yet and one that does not exist are answered alike, in the form of one that signs and with as
/// much work, so that the answer does not tell which tenants exist.
pub(crate) async fn keys(
    (state, events): (&Arc<State>, &Events),
    tenant: &str,
) -> Result<Response, Failure> {
    let now = state.clock.now();
    let decoys = decoy_keys(&*state.hasher, tenant, now);
    let id = state
        .tenants
        .find_tenant(tenant)
        .await?
        .map_or(TenantId::NONE, |tenant| tenant.id);
    let keys: Vec<Value> = events
        .keys
        .signing_keys(id, now)
        .await?
        .into_iter()
        .map(|key| key.public)
        .collect();
    let keys = if keys.is_empty() { decoys } else { keys };
    Ok(answer(&json!({"keys": keys}), "public, max-age=300"))
}

fn answer(body: &Value, cache: &'static str) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

/// The receiver, where the token is its own. An unknown tenant or receiver, or one that does not poll, is refused in the same words as a wrong token.
async fn receiver(
    (state, events): (&State, &Events),
    tenant: &str,
    name: &str,
    headers: &HeaderMap,
) -> Result<Receiver, Failure> {
    let Some(token) = bearer(headers) else {
        return Err(Failure::Unauthorized { token_given: false });
    };
    let refused = Failure::Unauthorized { token_given: true };
    let Some(found) = find((state, events), tenant, name).await? else {
        return Err(refused);
    };
    // Keyed hashes are compared, so that the time it takes says nothing about the secret.
    let given = state.hasher.hash(token);
    let is_it = found
        .secrets
        .live(state.clock.now())
        .any(|secret| state.hasher.hash(secret.reveal()) == given);
    if is_it { Ok(found) } else { Err(refused) }
}

async fn find(
    (state, events): (&State, &Events),
    tenant: &str,
    name: &str,
) -> Result<Option<Receiver>, Fault> {
    let id = state
        .tenants
        .find_tenant(tenant)
        .await?
        .map_or(TenantId::NONE, |tenant| tenant.id);
    let receivers = events.receivers.list_receivers(id).await?;
    Ok(receivers
        .into_iter()
        .find(|receiver| receiver.name == name && receiver.kind == ReceiverKind::Poll))
}

fn read(body: &Value, most: usize) -> Result<Poll, Error> {
    let refuse = |name: &str, accepted: &str| {
        Error::new(
            ErrorKind::InvalidValue,
            format!("`{name}` is not what it must be; accepted is {accepted}."),
        )
        .at(name.to_owned())
    };
    let Some(body) = body.as_object() else {
        return Err(Error::new(
            ErrorKind::InvalidSyntax,
            "The body is not a poll request; accepted is a JSON object (RFC 8936 section 2.2).",
        ));
    };
    let mut poll = Poll {
        most,
        ..Poll::default()
    };
    if let Some(value) = body.get("maxEvents") {
        let asked = value
            .as_u64()
            .ok_or_else(|| refuse("maxEvents", "a number from 0 on"))?;
        poll.most = usize::try_from(asked).unwrap_or(usize::MAX).min(most);
    }
    if let Some(value) = body.get("returnImmediately") {
        poll.at_once = value
            .as_bool()
            .ok_or_else(|| refuse("returnImmediately", "`true` or `false`"))?;
    }
    if let Some(value) = body.get("ack") {
        let texts = value.as_array().map(|ids| {
            ids.iter()
                .map(|id| id.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
        });
        poll.said.taken = texts
            .flatten()
            .ok_or_else(|| refuse("ack", "a list of `jti` values"))?;
    }
    if let Some(value) = body.get("setErrs") {
        let errors = value
            .as_object()
            .ok_or_else(|| refuse("setErrs", "an object whose members are `jti` values"))?;
        let text = |error: &Value, name: &str| {
            error
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let said =
            |error: &Value| format!("{}: {}", text(error, "err"), text(error, "description"));
        poll.said.refused = errors
            .iter()
            .map(|(id, error)| (id.clone(), said(error)))
            .collect();
    }
    Ok(poll)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_rfc_8936_section_2_4() {
        let check = |body: Value, expected: Option<Poll>| {
            assert_eq!(read(&body, 100).ok(), expected, "{body}");
        };
        let texts = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        check(
            json!({"returnImmediately": true}),
            Some(Poll {
                most: 100,
                at_once: true,
                ..Poll::default()
            }),
        );
        let taken = Acknowledgements {
            taken: texts(&["4d3", "3d0"]),
            refused: Vec::new(),
        };
        check(
            json!({"ack": ["4d3", "3d0"], "maxEvents": 0}),
            Some(Poll {
                most: 0,
                at_once: false,
                said: taken,
            }),
        );
        let errors = json!({"4d3": {"err": "authentication_failed", "description": "The SET could not be authenticated"}});
        let said = "authentication_failed: The SET could not be authenticated".to_owned();
        let refused = Acknowledgements {
            taken: texts(&["3d0"]),
            refused: vec![("4d3".into(), said)],
        };
        check(
            json!({"ack": ["3d0"], "setErrs": errors}),
            Some(Poll {
                most: 100,
                at_once: false,
                said: refused,
            }),
        );
        check(
            json!({"maxEvents": 1_000}),
            Some(Poll {
                most: 100,
                ..Poll::default()
            }),
        );
        for refused in [
            json!([]),
            json!({"maxEvents": -1}),
            json!({"ack": "x"}),
            json!({"ack": [1]}),
            json!({"setErrs": []}),
            json!({"returnImmediately": 1}),
        ] {
            check(refused, None);
        }
    }
}
