//! What an answer of HTTP and SCIM means: done, and shown what; refused, and why; or nothing that can be relied on. The one table of status codes.

use percent_encoding::percent_decode_str;
use provisioning::account::{Account, AccountId, get};
use provisioning::connector::{
    Created, Exchange, Failure, Refusal, RefusalKind, RetryAfter, Trace,
};
use provisioning::proof::{Acknowledged, Listing};
use scim_client::{Response, SendError};
use scim_protocol::TypeSchema;
use serde_json::{Map, Value};

use super::{Sent, words};

const ERROR_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// What came of a request. `accept` takes what a success must show, and nothing else.
fn exchange<T>(
    sent: Sent,
    names: &[String],
    accept: impl FnOnce(&mut Response) -> Option<T>,
) -> Exchange<T> {
    let milliseconds = u64::try_from(sent.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut trace = Trace {
        request: sent.request.describe(),
        body: sent.request.body.map(without_password),
        milliseconds,
        ..Trace::default()
    };
    let mut response = match sent.result {
        Ok(response) => response,
        Err(SendError::NotSent(why)) => {
            trace.said = format!("not sent: {why}");
            return Exchange {
                trace,
                wait: None,
                outcome: Err(Failure::NotReached),
            };
        }
        Err(SendError::Lost(why)) => {
            trace.said = format!("no answer: {why}");
            return Exchange {
                trace,
                wait: None,
                outcome: Err(Failure::Unknown { answered: false }),
            };
        }
    };
    trace.status = Some(response.status);
    let wait = response
        .retry_after
        .or(response.rate_limit)
        .map(|wait| match wait {
            scim_client::RetryAfter::Seconds(seconds) => RetryAfter::Seconds(seconds),
            scim_client::RetryAfter::At(instant) => RetryAfter::At(instant),
        });
    let outcome = if response.is_success() {
        let said = words::describe(&response);
        accept(&mut response).ok_or_else(|| {
            trace.said = said;
            Failure::NotUnderstood
        })
    } else {
        trace.said = words::describe(&response);
        Err(failure(&response, names))
    };
    Exchange {
        trace,
        wait,
        outcome,
    }
}

/// Why a request was not done.
fn failure(response: &Response, names: &[String]) -> Failure {
    let refused = |kind| {
        Failure::Refused(Refusal {
            kind,
            attribute: words::named(response, names),
        })
    };
    let has_scim_type = |wanted: &str| {
        let found = response.body.as_ref().and_then(words::scim_type);
        found.is_some_and(|found| found.eq_ignore_ascii_case(wanted))
    };
    match response.status {
        // Not followed: what it leads to is no answer of the application, and often a page to log in with that is there for a while.
        300..=399 => Failure::NotUnderstood,
        401 => Failure::Unauthorized,
        429 => Failure::Throttled,
        // An answer that names a time refuses before it does anything; a 503 that does not may come from a proxy that lost the application's answer.
        400..=499 | 503 if response.retry_after.is_some() => Failure::Throttled,
        403 | 503 if response.rate_limit.is_some() => Failure::Throttled,
        405 | 501 => refused(RefusalKind::NotOffered),
        408 | 425 | 500..=599 => Failure::Unknown { answered: true },
        403 => refused(RefusalKind::Forbidden),
        404 | 410 if is_error(response) => refused(RefusalKind::Gone),
        404 | 410 => refused(RefusalKind::NotFound),
        412 => refused(RefusalKind::Version),
        409 if is_about_uniqueness(response) => refused(RefusalKind::Uniqueness),
        409 => refused(RefusalKind::Conflict),
        400..=499 if has_scim_type("uniqueness") => refused(RefusalKind::Uniqueness),
        400..=499 if has_scim_type("invalidValue") || has_scim_type("mutability") => {
            refused(RefusalKind::InvalidValue)
        }
        _ => refused(RefusalKind::Other),
    }
}

/// Whether a body is an error of SCIM (RFC 7644 section 3.12), which neither a proxy nor the framework of an application makes by itself.
fn is_error(response: &Response) -> bool {
    let Some(body) = &response.body else {
        return false;
    };
    let schemas = get(body, "schemas")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let is_named = schemas
        .filter_map(Value::as_str)
        .any(|urn| urn.eq_ignore_ascii_case(ERROR_SCHEMA));
    is_named
        || get(body, "scimType").is_some()
        || (get(body, "detail").is_some() && get(body, "status").is_some())
}

fn is_about_uniqueness(response: &Response) -> bool {
    let Some(body) = &response.body else {
        return false;
    };
    if let Some(scim_type) = words::scim_type(body) {
        return scim_type.eq_ignore_ascii_case("uniqueness");
    }
    let said = words::words_of(body).to_lowercase();
    [
        "unique",
        "already exist",
        "exists already",
        "duplicate",
        "already taken",
        "already in use",
    ]
    .iter()
    .any(|words| said.contains(words))
}

/// What a discovery endpoint published; `read` is given nothing where it merely does not. Fails where the application cannot be spoken to: then nothing is
/// known.
pub(super) fn described<T>(
    sent: Sent,
    read: impl FnOnce(Option<&Map<String, Value>>) -> T,
) -> Exchange<T> {
    let is_absent = matches!(
        &sent.result,
        Ok(Response {
            status: 400 | 404 | 405 | 501,
            ..
        })
    );
    if is_absent {
        let mut nothing = exchange(sent, &[], |_| None::<()>);
        nothing.trace.said.clear();
        return Exchange {
            trace: nothing.trace,
            wait: nothing.wait,
            outcome: Ok(read(None)),
        };
    }
    exchange(sent, &[], |response| {
        if is_error(response) {
            None
        } else {
            response.body.as_ref().map(|body| read(Some(body)))
        }
    })
}

/// A list.
pub(super) fn listed(sent: Sent, whole: bool) -> Exchange<Listing> {
    exchange(sent, &[], |response| {
        if is_error(response) {
            return None;
        }
        let body = response.body.take()?;
        // Some write the number as a string.
        let number = |value: &Value| {
            value
                .as_u64()
                .or_else(|| value.as_str()?.trim().parse().ok())
        };
        let counted = get(&body, "totalResults").and_then(number);
        let resources = get(&body, "Resources").and_then(Value::as_array);
        if resources.is_none() && counted.is_none() {
            return None;
        }
        let mut listing = Listing {
            counted,
            whole,
            ..Listing::default()
        };
        for resource in resources.into_iter().flatten().filter_map(Value::as_object) {
            match Account::of_json(resource.clone()) {
                Some(account) => listing.accounts.push(account),
                None => listing.without_id.push(resource.clone()),
            }
        }
        Some(listing)
    })
}

/// The account that was asked for.
pub(super) fn read(sent: Sent, id: &AccountId) -> Exchange<Account> {
    exchange(sent, &[], |response| {
        let body = response.body.take().filter(|_| response.status == 200)?;
        Account::of_json(body).and_then(|account| account.answering(id))
    })
}

/// The account that was made, or as much of it as the answer shows.
pub(super) fn created(sent: Sent, schema: &TypeSchema, names: &[String]) -> Exchange<Created> {
    exchange(sent, names, |response| {
        if is_error(response) || !response.text.is_empty() {
            return None;
        }
        let body = response.body.take().unwrap_or_default();
        if let Some(account) = Account::of_json(body.clone()) {
            return Some(Created::Shown(account));
        }
        if let Some(id) = response
            .location
            .as_deref()
            .and_then(|location| id_in(location, super::render::endpoint(schema)))
        {
            return Some(Created::Named(id));
        }
        let schemas = get(&body, "schemas")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let is_one = schemas
            .filter_map(Value::as_str)
            .any(|urn| urn.eq_ignore_ascii_case(&schema.core.id));
        (is_one || matches!(response.status, 201 | 202)).then_some(Created::Unnamed)
    })
}

/// The id in `Location`, which ends in the endpoint and the id (RFC 7644 section 3.3).
fn id_in(location: &str, endpoint: &str) -> Option<AccountId> {
    let path = location.split(['?', '#']).next()?.trim_end_matches('/');
    let (before, id) = path.rsplit_once('/')?;
    let id = percent_decode_str(id).decode_utf8().ok()?.into_owned();
    (before == endpoint || before.ends_with(&format!("/{endpoint}"))).then(|| AccountId::new(id))?
}

/// A change: acknowledged by 204 and 202 without a word, or by the account itself.
pub(super) fn written(sent: Sent, id: &AccountId, names: &[String]) -> Exchange<Acknowledged> {
    exchange(sent, names, |response| {
        if matches!(response.status, 202 | 204) && is_silent(response) {
            return Some(Acknowledged::silently());
        }
        let body = response.body.take()?;
        Account::of_json(body).and_then(|account| Acknowledged::showing(id, account))
    })
}

/// A deletion: acknowledged by an answer that says nothing.
pub(super) fn removed(sent: Sent) -> Exchange<Acknowledged> {
    exchange(sent, &[], |response| {
        is_silent(response).then(Acknowledged::silently)
    })
}

fn is_silent(response: &Response) -> bool {
    response.text.is_empty() && response.body.as_ref().is_none_or(Map::is_empty)
}

/// The body as the log may keep it.
fn without_password(mut body: Value) -> Value {
    if let Value::Object(object) = &mut body {
        for (name, value) in object.iter_mut() {
            if name.eq_ignore_ascii_case("password") {
                *value = "(hidden)".into();
            }
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;

    fn response(status: u16, body: Value) -> Response {
        match body {
            Value::String(text) => Response {
                status,
                text,
                ..Response::default()
            },
            body => Response {
                status,
                body: body.as_object().cloned(),
                ..Response::default()
            },
        }
    }

    fn sent(response: Response) -> Sent {
        let request = scim_client::Request::new(reqwest::Method::GET, &["Users"]);
        Sent {
            request,
            begun: Instant::now(),
            result: Ok(response),
        }
    }

    fn error() -> Value {
        json!({"schemas": [ERROR_SCHEMA], "detail": "no"})
    }

    #[test]
    fn each_answer_has_its_class() {
        let refused = |kind| {
            Failure::Refused(Refusal {
                kind,
                attribute: None,
            })
        };
        let seven = Some(scim_client::RetryAfter::Seconds(7));
        let waiting = |status| Response {
            retry_after: seven,
            ..response(status, json!(""))
        };
        let used_up = |status| Response {
            rate_limit: seven,
            ..response(status, json!(""))
        };
        let cases = [
            (response(429, json!("")), Failure::Throttled),
            (waiting(429), Failure::Throttled),
            (waiting(503), Failure::Throttled),
            (waiting(403), Failure::Throttled),
            (waiting(409), Failure::Throttled),
            (used_up(403), Failure::Throttled),
            (used_up(400), refused(RefusalKind::Other)),
            (waiting(500), Failure::Unknown { answered: true }),
            (
                response(503, json!("")),
                Failure::Unknown { answered: true },
            ),
            (response(500, error()), Failure::Unknown { answered: true }),
            (response(401, json!("")), Failure::Unauthorized),
            (response(403, error()), refused(RefusalKind::Forbidden)),
            (response(409, error()), refused(RefusalKind::Conflict)),
            (
                response(409, json!({"scimType": "uniqueness"})),
                refused(RefusalKind::Uniqueness),
            ),
            (
                response(409, json!({"message": "name already exists"})),
                refused(RefusalKind::Uniqueness),
            ),
            (
                response(409, json!({"message": "seat limit reached"})),
                refused(RefusalKind::Conflict),
            ),
            (
                response(400, json!({"scimType": "uniqueness"})),
                refused(RefusalKind::Uniqueness),
            ),
            (response(412, error()), refused(RefusalKind::Version)),
            (response(404, error()), refused(RefusalKind::Gone)),
            // What a framework says of a path that it does not know.
            (
                response(404, json!({"detail": "Not Found"})),
                refused(RefusalKind::NotFound),
            ),
            (
                response(404, json!("<html>")),
                refused(RefusalKind::NotFound),
            ),
            (response(405, error()), refused(RefusalKind::NotOffered)),
            (response(501, error()), refused(RefusalKind::NotOffered)),
            (response(400, error()), refused(RefusalKind::Other)),
            (response(410, error()), refused(RefusalKind::Gone)),
            (response(410, json!("")), refused(RefusalKind::NotFound)),
            (response(302, json!("")), Failure::NotUnderstood),
            (response(307, json!("<html>")), Failure::NotUnderstood),
        ];
        for (response, expected) in cases {
            assert_eq!(failure(&response, &[]), expected, "{response:?}");
        }
    }

    #[test]
    fn only_the_right_shape_acknowledges() {
        let id = AccountId::new("7").unwrap();
        let log_in = || json!("<!DOCTYPE html><title>Log in</title>");
        let changed = |status, body| {
            written(sent(response(status, body)), &id, &[])
                .outcome
                .is_ok()
        };
        assert!(
            changed(204, json!("")) && changed(202, json!("")) && changed(200, json!({"id": 7}))
        );
        assert!(
            !changed(200, json!(""))
                && !changed(200, log_in())
                && !changed(202, log_in())
                && !changed(200, error())
        );
        assert!(!changed(200, json!({"id": "8"})) && !changed(200, json!({})));
        let gone = |status, body| removed(sent(response(status, body))).outcome.is_ok();
        assert!(gone(204, json!("")) && gone(202, json!("")) && gone(200, json!("")));
        assert!(!gone(200, log_in()) && !gone(200, error()) && !gone(200, json!({"id": "7"})));
        let found = |body| listed(sent(response(200, body)), false).outcome.is_ok();
        assert!(found(json!({"totalResults": "0"})) && !found(json!({"totalResults": "none"})));
        assert!(found(json!({"totalResults": 0})) && found(json!({"Resources": []})));
        assert!(!found(json!({"hello": "world"})) && !found(log_in()) && !found(error()));
        let seen = |body| read(sent(response(200, body)), &id).outcome.is_ok();
        assert!(
            seen(json!({"id": "7"}))
                && !seen(json!({"id": "8"}))
                && !seen(error())
                && !seen(log_in())
        );
    }

    #[test]
    fn an_account_that_was_made_is_named_somehow() {
        let schemas = scim_protocol::SchemaSet::standard();
        let schema = schemas.by_name("User").unwrap();
        let check = |status, body: Value, location: Option<&str>, expected: &str| {
            let response = Response {
                location: location.map(str::to_owned),
                ..response(status, body)
            };
            let found = match created(sent(response), schema, &[]).outcome {
                Ok(Created::Shown(account)) => format!("shown {}", account.id),
                Ok(Created::Named(id)) => format!("named {id}"),
                Ok(Created::Unnamed) => "unnamed".to_owned(),
                Err(failure) => format!("{failure:?}"),
            };
            assert_eq!(found, expected);
        };
        check(201, json!({"id": 7}), None, "shown 7");
        check(
            201,
            json!(""),
            Some("https://a.example/scim/v2/Users/a%2Fb"),
            "named a/b",
        );
        check(
            201,
            json!({"userName": "ada"}),
            Some("/Users/7?x=1"),
            "named 7",
        );
        check(201, json!(""), Some("https://a.example/"), "unnamed");
        check(201, json!({"id": null}), None, "unnamed");
        check(200, json!({"hello": "world"}), None, "NotUnderstood");
        check(200, json!("<html>"), None, "NotUnderstood");
        check(200, error(), None, "NotUnderstood");
    }
}
