//! What RFC 7643 and RFC 7644 demand of a service provider and no other test shows, a test for each demand; `docs/rfc-checklist.md` names them. Here is what
//! these tests share.

use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{Answer, House};

pub(crate) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(crate) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub(crate) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
pub(crate) const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
pub(crate) const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
pub(crate) const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
pub(crate) const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
pub(crate) const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// A User with what is given beside.
pub(crate) fn user(beside: Value) -> Value {
    let mut body = json!({"schemas": [USER]});
    body.as_object_mut()
        .unwrap()
        .extend(beside.as_object().unwrap().clone());
    body
}

pub(crate) fn operations(operations: Value) -> Option<Value> {
    Some(json!({"schemas": [PATCH], "Operations": operations}))
}

pub(crate) async fn made(house: &House, beside: Value) -> Answer {
    let made = house.scim("POST", "/Users", Some(user(beside))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    made
}

/// Refused with this status and `scimType`, in the form of RFC 7644 section 3.12.
#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, scim_type: Option<&str>) {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert_eq!(answer.body["schemas"], json!([ERROR]), "{answer:?}");
    assert_eq!(
        answer.body["status"],
        json!(status.to_string()),
        "{answer:?}"
    );
    assert_eq!(
        answer.body.get("scimType").and_then(Value::as_str),
        scim_type,
        "{answer:?}"
    );
    assert!(
        answer.body["detail"]
            .as_str()
            .is_some_and(|detail| detail.len() > 10),
        "{answer:?}"
    );
    assert_eq!(answer.header("content-type"), Some("application/scim+json"));
}

/// `userName`s of a list, in order.
pub(crate) fn names(list: &Answer) -> Vec<&str> {
    let resources = list.body["Resources"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    resources
        .iter()
        .filter_map(|resource| resource["userName"].as_str())
        .collect()
}

pub(crate) fn query(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub(crate) async fn find(house: &House, path: &str, filter: &str) -> Answer {
    house
        .scim("GET", &format!("{path}?filter={}", query(filter)), None)
        .await
}
