//! Conversations as data, replayed against anything that answers HTTP: Rollcall's own server, and the application that embeds it.
//!
//! A line of `wire_cases.jsonl` is a case: `{"id", "client", "why", "steps": [{"call", "headers", "body" or "raw", "save", "expect"}]}`. `{{name}}` is a
//! saved value, `{{uid}}` a text of the case's own. `expect` has a status (or several), `header:Name`, and JSON pointers into the body; a value is a
//! literal, or one of `$exists`, `$len`, `$has`, `$lacks`, `$match` (a regular expression), `$any`, `$not`, `$where` with `$count`.

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use http::{HeaderMap, Request, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use regex::Regex;
use serde_json::{Map, Value};

/// What a URL cannot have in its query.
const QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'#')
    .add(b'[')
    .add(b']')
    .add(b'+')
    .add(b'%')
    .add(b'\\');

type Names = BTreeMap<String, String>;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// `null` where there was none.
    pub body: Value,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = || {
            String::from_utf8(bytes.to_vec())
                .ok()
                .filter(|text| !text.is_empty())
        };
        let body = serde_json::from_slice(&bytes)
            .ok()
            .or_else(|| text().map(Value::String))
            .unwrap_or(Value::Null);
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The text at a JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.body
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("nothing at {pointer}: {self:?}"))
    }
}

fn fill_text(text: &str, names: &Names) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{{{name}}}}}"), value)
    })
}

fn fill(value: &Value, names: &Names) -> Value {
    match value {
        Value::String(text) => fill_text(text, names).into(),
        Value::Array(elements) => elements
            .iter()
            .map(|element| fill(element, names))
            .collect(),
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| (fill_text(name, names), fill(value, names)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn holds(found: Option<&Value>, wanted: &Value) -> bool {
    let Some((operator, operand)) = wanted
        .as_object()
        .and_then(|map| map.iter().find(|(name, _)| name.starts_with('$')))
    else {
        return found == Some(wanted);
    };
    let elements = || {
        found
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    };
    let contains = || match found {
        Some(Value::String(text)) => operand.as_str().is_some_and(|part| text.contains(part)),
        _ => elements().contains(operand),
    };
    match operator.as_str() {
        "$exists" => *operand == found.is_some(),
        "$len" => *operand == elements().len(),
        "$has" => contains(),
        "$lacks" => !contains(),
        "$not" => found != Some(operand),
        "$any" => operand
            .as_array()
            .unwrap()
            .contains(found.unwrap_or(&Value::Null)),
        "$match" => {
            let text = found.map(|found| {
                found
                    .as_str()
                    .map_or_else(|| found.to_string(), str::to_owned)
            });
            text.is_some_and(|text| {
                Regex::new(operand.as_str().unwrap())
                    .unwrap()
                    .is_match(&text)
            })
        }
        "$where" => {
            let has_all = |row: &&Value| {
                operand
                    .as_object()
                    .unwrap()
                    .iter()
                    .all(|(name, value)| row.get(name) == Some(value))
            };
            wanted["$count"] == elements().iter().filter(has_all).count()
        }
        other => panic!("a case expects by the unknown operator {other}"),
    }
}

fn request(token: &str, step: &Value, names: &Names) -> Request<Body> {
    let call = fill_text(step["call"].as_str().unwrap(), names);
    let (method, path) = call.split_once(' ').unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let uri = format!(
        "/scim/v2{path}{}{}",
        if query.is_empty() { "" } else { "?" },
        utf8_percent_encode(query, QUERY)
    );
    let mut headers: BTreeMap<String, Option<String>> =
        BTreeMap::from([("authorization".to_owned(), Some(format!("Bearer {token}")))]);
    let body = match (step.get("body"), step.get("raw")) {
        (Some(body), _) => fill(body, names).to_string(),
        (None, Some(raw)) => fill_text(raw.as_str().unwrap(), names),
        (None, None) => String::new(),
    };
    if !body.is_empty() {
        headers.insert("content-type".into(), Some("application/scim+json".into()));
    }
    for (name, value) in step
        .get("headers")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        headers.insert(
            name.to_ascii_lowercase(),
            fill(value, names).as_str().map(str::to_owned),
        );
    }
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    request.body(Body::from(body)).unwrap()
}

fn at(answer: &Answer, place: &str) -> Option<Value> {
    match place.strip_prefix("header:") {
        Some(name) => answer.header(name).map(Value::from),
        None => answer.body.pointer(place).cloned(),
    }
}

/// What goes wrong in a case, if anything does.
async fn run(
    send: &impl AsyncFn(Request<Body>) -> Answer,
    token: &str,
    case: &Value,
    uid: usize,
) -> Result<(), String> {
    let mut names = Names::from([
        ("uid".to_owned(), format!("c{uid}")),
        ("base".to_owned(), "http://localhost/scim/v2".to_owned()),
    ]);
    for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        let answer = send(request(token, step, &names)).await;
        let expected = step.get("expect").map(|expected| fill(expected, &names));
        for (place, wanted) in expected
            .as_ref()
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let status = Value::from(answer.status.as_u16());
            let is_met = match (place.as_str(), wanted) {
                ("status", Value::Array(accepted)) => accepted.contains(&status),
                ("status", wanted) => status == *wanted,
                (place, wanted) => holds(at(&answer, place).as_ref(), wanted),
            };
            if !is_met {
                return Err(format!(
                    "step {}: {place} wanted {wanted}, got {} {}",
                    number + 1,
                    answer.status,
                    answer.body
                ));
            }
        }
        for (name, place) in step
            .get("save")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let value = at(&answer, place.as_str().unwrap())
                .ok_or_else(|| format!("step {}: nothing at {place}", number + 1))?;
            names.insert(
                name.clone(),
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned),
            );
        }
    }
    Ok(())
}

/// Everything that goes wrong in any case, a line each.
pub(crate) async fn every_case(
    token: &str,
    send: impl AsyncFn(Request<Body>) -> Answer,
) -> Vec<String> {
    let cases = include_str!("wire_cases.jsonl");
    assert_eq!(cases.lines().count(), 59);
    failed_cases(cases, token, send).await
}

/// The same of other cases, one a line.
pub(crate) async fn failed_cases(
    cases: &str,
    token: &str,
    send: impl AsyncFn(Request<Body>) -> Answer,
) -> Vec<String> {
    let mut failed = Vec::new();
    let cases: Vec<Value> = cases
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (number, case) in cases.iter().enumerate() {
        if let Err(wrong) = run(&send, token, case, number).await {
            failed.push(format!("{}: {wrong}", case["id"]));
        }
    }
    failed
}

#[test]
fn expectations_can_fail() {
    let body = serde_json::json!({"list": [{"a": 1}, {"a": 2}], "text": "abc"});
    let check = |pointer: &str, wanted: Value, expected: bool| {
        assert_eq!(
            holds(body.pointer(pointer), &wanted),
            expected,
            "{pointer} {wanted}"
        );
    };
    check("/text", "abc".into(), true);
    check("/text", "ab".into(), false);
    check("/none", serde_json::json!({"$exists": true}), false);
    check("/list", serde_json::json!({"$len": 2}), true);
    check("/list", serde_json::json!({"$len": 1}), false);
    check(
        "/list",
        serde_json::json!({"$where": {"a": 1}, "$count": 1}),
        true,
    );
    check(
        "/list",
        serde_json::json!({"$where": {"a": 3}, "$count": 1}),
        false,
    );
    check("/list", serde_json::json!({"$has": {"a": 3}}), false);
    check("/text", serde_json::json!({"$match": "^b"}), false);
    check("/text", serde_json::json!({"$any": [null, "abc"]}), true);
    check("/text", serde_json::json!({"$not": "abc"}), false);
}
