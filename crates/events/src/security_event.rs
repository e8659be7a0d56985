//! The claims of a Security Event Token about a change (RFC 8417, RFC 9967). Does not sign.

use jiff::Timestamp;
use scim_protocol::event_uri as uri;
use serde_json::{Map, Value, json};

use crate::event::{Kind, LoggedEvent};
use crate::receiver::Detail;

/// The type of such a token (RFC 8417 section 2.3).
pub const TOKEN_TYPE: &str = "secevent+jwt";

/// Issuer, audience and time of a token.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`.
    pub audience: &'a str,
    /// `iat`.
    pub now: Timestamp,
    /// The path of the resource below the base URL (`/Users/1`).
    pub path: &'a str,
}

/// The claims. `resource` is the resource as it is now, where it still exists. Where the receiver wants values and they are not known, the token has only
/// the names, and the receiver can read the resource.
pub fn claims(
    event: &LoggedEvent,
    resource: Option<&Map<String, Value>>,
    detail: Detail,
    envelope: Envelope<'_>,
) -> Value {
    let mut subject = Map::new();
    subject.insert("format".into(), "scim".into());
    subject.insert("uri".into(), envelope.path.into());
    if let Some(external_id) = resource.and_then(|resource| resource.get("externalId")) {
        subject.insert("externalId".into(), external_id.clone());
    }
    json!({
        "iss": envelope.issuer,
        "iat": envelope.now.as_second(),
        "jti": event.id(),
        "aud": envelope.audience,
        "txn": event.change_id.to_string(),
        "toe": event.at.as_second(),
        "sub_id": subject,
        "events": events(event, resource, detail),
    })
}

/// One change may be two events: a PATCH that also deactivates the resource.
fn events(
    event: &LoggedEvent,
    resource: Option<&Map<String, Value>>,
    detail: Detail,
) -> Map<String, Value> {
    let values = resource.filter(|_| detail == Detail::Full);
    let mut events = Map::new();
    let mut add = |uri: &str, payload: Value| events.insert(uri.to_owned(), payload);
    match (event.kind, values) {
        (Kind::Create, Some(resource)) => add(
            uri::CREATE_FULL,
            with_version(event, "data", Value::Object(resource.clone())),
        ),
        (Kind::Create, None) => add(
            uri::CREATE_NOTICE,
            with_version(event, "attributes", json!(names(resource))),
        ),
        (Kind::Replace, Some(resource)) => add(
            uri::PUT_FULL,
            with_version(event, "data", Value::Object(resource.clone())),
        ),
        (Kind::Replace, None) => add(
            uri::PUT_NOTICE,
            with_version(event, "attributes", json!(event.attributes)),
        ),
        (Kind::Patch, Some(resource)) if is_told_whole(event, resource) => add(
            uri::PATCH_FULL,
            with_version(event, "data", patch(event, resource)),
        ),
        (Kind::Patch, _) => add(
            uri::PATCH_NOTICE,
            with_version(event, "attributes", json!(event.attributes)),
        ),
        (Kind::Delete, _) => add(uri::DELETE, json!({})),
        (Kind::FeedAdd, _) => add(uri::FEED_ADD, json!({})),
        (Kind::FeedRemove, _) => add(uri::FEED_REMOVE, json!({})),
    };
    match event.active {
        Some(true) => add(uri::ACTIVATE, json!({})),
        Some(false) => add(uri::DEACTIVATE, json!({})),
        None => None,
    };
    events
}

fn with_version(event: &LoggedEvent, name: &str, value: Value) -> Value {
    let mut payload = Map::new();
    payload.insert(
        "version".into(),
        directory::version::version_tag(event.version).into(),
    );
    payload.insert(name.into(), value);
    Value::Object(payload)
}

fn names(resource: Option<&Map<String, Value>>) -> Vec<&str> {
    let own = |name: &&String| !matches!(name.as_str(), "schemas" | "id" | "meta");
    resource
        .into_iter()
        .flat_map(|resource| resource.keys().filter(own))
        .map(String::as_str)
        .collect()
}

/// Whether a PATCH can be rendered with its values: they are known, and none was left out because it is too large (`members`).
fn is_told_whole(event: &LoggedEvent, resource: &Map<String, Value>) -> bool {
    let left_out =
        event.attributes.iter().any(|name| name == "members") && !resource.contains_key("members");
    !event.attributes.is_empty() && !left_out
}

/// A PATCH with the attributes that changed, as they are now.
fn patch(event: &LoggedEvent, resource: &Map<String, Value>) -> Value {
    let operation = |path: &String| match value_at(resource, path) {
        Some(value) => json!({"op": "replace", "path": path, "value": value}),
        None => json!({"op": "remove", "path": path}),
    };
    let operations: Vec<Value> = event.attributes.iter().map(operation).collect();
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

/// The value of an attribute by the name that the change log gives it: the URN of an extension before the last colon.
fn value_at<'a>(resource: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    resource.get(path).or_else(|| {
        let (urn, name) = path.rsplit_once(':')?;
        resource.get(urn)?.get(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::sample;

    #[test]
    fn what_is_told_of_each_change() {
        let Value::Object(resource) = json!({
            "schemas": ["s"], "id": "u1", "userName": "ann", "externalId": "E1", "active": false, "urn:x:User": {"department": "d"}, "meta": {}
        }) else {
            panic!("not an object")
        };
        let check = |event: LoggedEvent, there: bool, detail: Detail, expected: Value| {
            assert_eq!(
                Value::Object(events(&event, there.then_some(&resource), detail)),
                expected
            );
        };
        let v = "W/\"3\"";
        let names = json!(["userName", "externalId", "active", "urn:x:User"]);
        check(
            sample(Kind::Create, None, &[]),
            true,
            Detail::Full,
            json!({uri::CREATE_FULL: {"version": v, "data": resource}}),
        );
        check(
            sample(Kind::Create, None, &[]),
            true,
            Detail::Notice,
            json!({uri::CREATE_NOTICE: {"version": v, "attributes": names}}),
        );
        check(
            sample(Kind::Create, None, &[]),
            false,
            Detail::Full,
            json!({uri::CREATE_NOTICE: {"version": v, "attributes": []}}),
        );
        let operations = json!([
            {"op": "replace", "path": "active", "value": false},
            {"op": "remove", "path": "title"},
            {"op": "replace", "path": "urn:x:User:department", "value": "d"}
        ]);
        let data = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
        let off = sample(
            Kind::Patch,
            Some(false),
            &["active", "title", "urn:x:User:department"],
        );
        check(
            off,
            true,
            Detail::Full,
            json!({uri::PATCH_FULL: {"version": v, "data": data}, uri::DEACTIVATE: {}}),
        );
        let attributes = json!(["members"]);
        check(
            sample(Kind::Patch, None, &["members"]),
            true,
            Detail::Full,
            json!({uri::PATCH_NOTICE: {"version": v, "attributes": attributes}}),
        );
        check(
            sample(Kind::Replace, Some(true), &["active"]),
            true,
            Detail::Notice,
            json!({uri::PUT_NOTICE: {"version": v, "attributes": ["active"]}, uri::ACTIVATE: {}}),
        );
        check(
            sample(Kind::Delete, None, &[]),
            false,
            Detail::Full,
            json!({uri::DELETE: {}}),
        );
        check(
            sample(Kind::FeedAdd, None, &["5"]),
            true,
            Detail::Full,
            json!({uri::FEED_ADD: {}}),
        );
    }

    #[test]
    fn claims_of_a_token() {
        let now = "2026-11-24T10:00:05Z".parse().unwrap();
        let envelope = Envelope {
            issuer: "https://r.example/t/acme",
            audience: "https://app.example",
            now,
            path: "/Users/u1",
        };
        let claims = claims(
            &sample(Kind::Delete, None, &[]),
            None,
            Detail::Full,
            envelope,
        );
        let expected = json!({
            "iss": "https://r.example/t/acme", "iat": 1_795_514_405, "jti": "000000000000000000000000000000ab-7", "aud": "https://app.example",
            "txn": "00000000-0000-0000-0000-0000000000ab", "toe": 1_795_514_400,
            "sub_id": {"format": "scim", "uri": "/Users/u1"}, "events": {uri::DELETE: {}}
        });
        assert_eq!(claims, expected);
    }
}
