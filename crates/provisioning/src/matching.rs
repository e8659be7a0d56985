//! Finding the account that already exists, before any create. Does not send the lookups.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::connector::{Answer, get};

/// A lookup by one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// `externalId`, `userName` or `displayName`.
    pub attribute: &'static str,
    /// The value.
    pub value: String,
}

/// Matching attributes of a resource type; the stronger one first. An application may hold each of them to be unique.
pub fn attributes(resource_type: &str) -> [&'static str; 2] {
    if resource_type == "User" { ["externalId", "userName"] } else { ["externalId", "displayName"] }
}

/// What to look for: what the account should be, and what an earlier create whose answer was lost may have made it.
pub fn lookups(resource_type: &str, desired: Option<&Map<String, Value>>, attempted: Option<&Map<String, Value>>) -> Vec<Lookup> {
    let mut result = Vec::new();
    for document in [desired, attempted].into_iter().flatten() {
        for attribute in attributes(resource_type) {
            let Some(value) = document.get(attribute).and_then(Value::as_str) else { continue };
            let lookup = Lookup { attribute, value: value.to_owned() };
            if !result.contains(&lookup) {
                result.push(lookup);
            }
        }
    }
    result
}

/// What a lookup found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Proof that there is none: a list in the form of SCIM, without such a resource.
    Nothing,
    /// These, by id.
    Accounts(BTreeMap<String, Map<String, Value>>),
    /// None among those that are listed, and more are counted than listed: the application has not looked, or shows a page only.
    Partial,
    /// The answer proves nothing.
    Unproven,
}

/// Reads the answer to a lookup. Resources that do not have the value are passed over: some servers ignore filters they do not know.
pub fn evaluate(lookup: &Lookup, answer: &Answer) -> Found {
    let Some(body) = answer.body.as_ref().filter(|_| answer.is_success()) else { return Found::Unproven };
    let resources = get(body, "resources").and_then(Value::as_array);
    if resources.is_none() && get(body, "totalResults").is_none() {
        return Found::Unproven;
    }
    let mut accounts = BTreeMap::new();
    for resource in resources.into_iter().flatten().filter_map(Value::as_object) {
        let id = get(resource, "id").and_then(Value::as_str).filter(|id| !id.is_empty());
        if let (Some(id), true) = (id, has(resource, lookup)) {
            accounts.insert(id.to_owned(), resource.clone());
        }
    }
    if !accounts.is_empty() {
        return Found::Accounts(accounts);
    }
    let listed = resources.map_or(0, Vec::len);
    let total = get(body, "totalResults").and_then(Value::as_u64).and_then(|total| usize::try_from(total).ok());
    // Nothing listed and nothing counted is no match; somebody else's account in a list that does not count them may be the first of many.
    if total.map_or(listed == 0, |total| total <= listed) { Found::Nothing } else { Found::Partial }
}

/// `externalId` is compared with case, names without (RFC 7643 sections 3.1, 4.1.1 and 4.2).
pub fn has(resource: &Map<String, Value>, lookup: &Lookup) -> bool {
    get(resource, lookup.attribute).and_then(Value::as_str).is_some_and(|value| {
        if lookup.attribute == "externalId" { value == lookup.value } else { value.to_lowercase() == lookup.value.to_lowercase() }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer { status, body: body.as_object().cloned(), ..Answer::default() }
    }

    #[test]
    fn only_a_list_proves_absence() {
        let lookup = Lookup { attribute: "userName", value: "ada".into() };
        let check = |status, body: Value, expected: &str| {
            let found = match evaluate(&lookup, &answer(status, &body)) {
                Found::Nothing => "nothing".to_owned(),
                Found::Partial => "partial".to_owned(),
                Found::Unproven => "unproven".to_owned(),
                Found::Accounts(accounts) => accounts.into_keys().collect::<Vec<_>>().join(","),
            };
            assert_eq!(found, expected, "{status} {body}");
        };
        check(200, json!({"totalResults": 0}), "nothing");
        check(200, json!({"Resources": []}), "nothing");
        check(200, json!({"resources": [{"id": "1", "username": "ADA"}]}), "1");
        check(200, json!({"totalResults": 1, "Resources": [{"id": "1", "userName": "bob"}]}), "nothing");
        check(200, json!({"Resources": [{"id": "1", "userName": "bob"}]}), "partial");
        check(200, json!({"totalResults": 5, "Resources": [{"id": "1", "userName": "bob"}]}), "partial");
        check(200, json!({"totalResults": 5}), "partial");
        check(200, json!({"Resources": [{"id": "1", "userName": "ada"}, {"id": "2", "userName": "Ada"}]}), "1,2");
        check(200, json!({"hello": "world"}), "unproven");
        check(404, json!({"totalResults": 0}), "unproven");
        check(200, json!("<html>"), "unproven");
    }

    #[test]
    fn an_earlier_attempt_is_looked_for_too() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        let desired = map(json!({"externalId": "e", "userName": "new"}));
        let attempted = map(json!({"externalId": "e", "userName": "old"}));
        let found: Vec<String> = lookups("User", Some(&desired), Some(&attempted)).into_iter().map(|l| l.value).collect();
        assert_eq!(found, ["e", "new", "old"]);
    }
}
