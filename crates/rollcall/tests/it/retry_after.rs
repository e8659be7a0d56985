//! Receivers of events that ask for time with `Retry-After` (RFC 9110 section 10.2.3): they get it, and then they are asked again. Real receivers, a clock that
//! the test moves.

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Value, json};

use crate::parts::{Asked, Parts};

/// What a receiver was told: an id that repetitions share, and the userName.
fn told(asked: &Asked) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    if asked.message_id.is_empty() {
        let claims = BASE64_URL_SAFE_NO_PAD
            .decode(asked.body.split('.').nth(1).unwrap())
            .unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let name =
            &claims["events"]["urn:ietf:params:scim:event:prov:create:full"]["data"]["userName"];
        return (text(&claims["jti"]), text(name));
    }
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    (
        asked.message_id.clone(),
        text(&body["data"]["events"][0]["resource"]["userName"]),
    )
}

/// One that asks for time, and is asked again after so many seconds.
fn check(kind: &str, status: StatusCode, retry_after: Option<&str>, seconds: i64) {
    let case = format!("{kind}, {status}, {retry_after:?}");
    let parts = Parts::new();
    let receiver = parts.outside();
    let dated = jiff::Timestamp::from_second(parts.now().as_second() + seconds).unwrap();
    let dated = DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&dated)
        .unwrap();
    let header = retry_after.map(|text| {
        if text == "a date" {
            dated
        } else {
            text.to_owned()
        }
    });
    receiver.says(move |_| {
        let mut answer = axum::response::IntoResponse::into_response(status);
        if let Some(text) = &header {
            answer
                .headers_mut()
                .insert(RETRY_AFTER, text.parse().unwrap());
        }
        answer
    });
    parts.add(
        "receivers",
        &json!({"name": "app", "kind": kind, "url": format!("{}/hook", receiver.address)}),
    );
    parts.user("ada");
    parts.deliver();
    assert_eq!(receiver.asked().len(), 1, "{case}");
    // It would take everything now, and there is news; both change nothing before the time.
    receiver.says(|_| StatusCode::ACCEPTED);
    parts.deliver();
    parts.wait(seconds - 1);
    parts.user("bob");
    parts.deliver();
    assert_eq!(receiver.asked().len(), 1, "{case}: before the time");
    let shown = parts
        .send("GET", "/t/default/admin/v1/receivers/app", None)
        .body;
    assert!(
        shown["lastError"]
            .as_str()
            .unwrap()
            .contains(status.as_str()),
        "{case}: {shown}"
    );
    parts.wait(1);
    parts.deliver();
    let told: Vec<(String, String)> = receiver.asked().iter().map(told).collect();
    let names: Vec<&str> = told.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["ada", "ada", "bob"], "{case}: at the time");
    assert!(
        told[0].0 == told[1].0 && told[1].0 != told[2].0,
        "{case}: a repetition can be told: {told:?}"
    );
    parts.wait(100_000);
    parts.deliver();
    assert_eq!(
        receiver.asked().len(),
        3,
        "{case}: what was taken is not sent again"
    );
}

#[test]
fn a_receiver_that_asks_for_time_gets_it_and_is_asked_again_then() {
    for kind in ["push", "webhook"] {
        for status in [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ] {
            check(kind, status, Some("3600"), 3_600);
        }
        check(kind, StatusCode::SERVICE_UNAVAILABLE, Some("a date"), 7_200);
    }
}

#[test]
fn what_a_receiver_says_about_time_has_bounds() {
    // Nothing said, or nothing that can be read: the usual wait of at most a second.
    check("push", StatusCode::TOO_MANY_REQUESTS, None, 1);
    check("webhook", StatusCode::SERVICE_UNAVAILABLE, Some("soon"), 1);
    // Whoever asks for no time at all has had too much all the same.
    check("webhook", StatusCode::TOO_MANY_REQUESTS, Some("0"), 2);
    // Nobody is believed beyond a day.
    check(
        "push",
        StatusCode::SERVICE_UNAVAILABLE,
        Some("1000000000"),
        86_400,
    );
}
