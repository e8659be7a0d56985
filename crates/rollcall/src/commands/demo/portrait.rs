//! What a SCIM server holds, with its own ids taken out, so that two servers can be compared attribute by attribute. Does not fetch anything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Attributes that are a server's own: ids, times, derived references (RFC 7643 section 3.1 and 4.1.2).
const OWN: [&str; 6] = ["id", "meta", "externalId", "groups", "schemas", "$ref"];

/// People by `userName` and groups by `displayName`, each as attribute paths and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portrait {
    resources: BTreeMap<String, BTreeSet<(String, String)>>,
}

impl Portrait {
    /// Of all users and groups of one server.
    pub fn new(users: &[Map<String, Value>], groups: &[Map<String, Value>]) -> Self {
        let names: BTreeMap<&str, String> = users
            .iter()
            .chain(groups)
            .filter_map(|one| Some((one.get("id")?.as_str()?, name(one)?)))
            .collect();
        let resources = users
            .iter()
            .chain(groups)
            .filter_map(|one| Some((name(one)?, attributes(one, &names))))
            .collect();
        Self { resources }
    }

    /// How many attribute values there are.
    pub fn values(&self) -> usize {
        self.resources.values().map(BTreeSet::len).sum()
    }

    /// What differs, in words; empty where both are equal.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let names: BTreeSet<&String> = self
            .resources
            .keys()
            .chain(other.resources.keys())
            .collect();
        for name in names {
            match (self.resources.get(name), other.resources.get(name)) {
                (Some(_), None) => found.push(format!("{name} is missing")),
                (None, Some(_)) => found.push(format!("{name} should not be there")),
                (Some(ours), Some(theirs)) => {
                    found.extend(
                        ours.difference(theirs)
                            .map(|(path, value)| format!("{name}: {path} = {value} is missing")),
                    );
                    found.extend(theirs.difference(ours).map(|(path, value)| {
                        format!("{name}: {path} = {value} should not be there")
                    }));
                }
                (None, None) => {}
            }
        }
        found
    }
}

fn name(resource: &Map<String, Value>) -> Option<String> {
    let user = resource
        .get("userName")
        .and_then(Value::as_str)
        .map(|name| format!("User {name}"));
    user.or_else(|| {
        resource
            .get("displayName")
            .and_then(Value::as_str)
            .map(|name| format!("Group {name}"))
    })
}

fn attributes(
    resource: &Map<String, Value>,
    names: &BTreeMap<&str, String>,
) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (key, value) in resource {
        if OWN.contains(&key.as_str()) {
            continue;
        }
        if key == "members" {
            let members = value.as_array().into_iter().flatten();
            found.extend(
                members
                    .filter_map(|member| Some((key.clone(), refer(member.get("value")?, names)))),
            );
        } else {
            collect(key, value, names, &mut found);
        }
    }
    found
}

/// The name of the resource with this id, for ids differ from server to server.
fn refer(id: &Value, names: &BTreeMap<&str, String>) -> String {
    let text = id.as_str().unwrap_or_default();
    names
        .get(text)
        .cloned()
        .unwrap_or_else(|| format!("(unknown id {text})"))
}

fn collect(
    path: &str,
    value: &Value,
    names: &BTreeMap<&str, String>,
    into: &mut BTreeSet<(String, String)>,
) {
    match value {
        Value::Null => {}
        Value::Object(object) => {
            for (key, value) in object {
                if key == "manager" {
                    let id = value.get("value");
                    into.extend(id.map(|id| (format!("{path}:manager"), refer(id, names))));
                } else if !OWN.contains(&key.as_str()) {
                    collect(&format!("{path}.{key}"), value, names, into);
                }
            }
        }
        Value::Array(elements) => {
            for element in elements {
                into.insert((path.to_owned(), sorted(element)));
            }
        }
        simple => {
            into.insert((path.to_owned(), simple.to_string()));
        }
    }
}

/// An element with its sub-attributes in one order. `primary: false` is as good as nothing (RFC 7643 section 2.4).
fn sorted(element: &Value) -> String {
    let Value::Object(object) = element else {
        return element.to_string();
    };
    let parts: BTreeMap<&str, String> = object
        .iter()
        .filter(|(key, value)| {
            !value.is_null()
                && *key != "$ref"
                && !(*key == "primary" && **value == Value::Bool(false))
        })
        .map(|(key, value)| (key.as_str(), value.to_string()))
        .collect();
    parts
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn portrait(users: &Value, groups: &Value) -> Portrait {
        let maps = |value: &Value| {
            value
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one.as_object().unwrap().clone())
                .collect::<Vec<_>>()
        };
        Portrait::new(&maps(users), &maps(groups))
    }

    #[test]
    fn ids_and_order_do_not_matter_and_values_do() {
        let here = portrait(
            &json!([
                {"id": "1", "userName": "ada", "active": true, "emails": [{"value": "a@b.c", "type": "work"}, {"value": "h@b.c"}]},
                {"id": "2", "userName": "alan", "urn:e": {"manager": {"value": "1", "displayName": "Ada"}}}
            ]),
            &json!([{"id": "3", "displayName": "Engines", "members": [{"value": "1"}, {"value": "2"}]}]),
        );
        let there = |title: Option<&str>, members: Value, active: bool| {
            let mut users = json!([
                {"id": "y", "userName": "alan", "urn:e": {"manager": {"value": "x"}}},
                {"id": "x", "userName": "ada", "active": active, "emails": [{"value": "h@b.c", "primary": false}, {"type": "work", "value": "a@b.c"}]}
            ]);
            if let Some(title) = title {
                users[0]["title"] = json!(title);
            }
            portrait(
                &users,
                &json!([{"id": "z", "displayName": "Engines", "members": members}]),
            )
        };
        let check =
            |there: &Portrait, expected: &[&str]| assert_eq!(here.differences(there), expected);
        let both = json!([{"value": "y"}, {"value": "x"}]);
        check(&there(None, both.clone(), true), &[]);
        check(
            &there(Some("Dr"), both.clone(), true),
            &["User alan: title = \"Dr\" should not be there"],
        );
        check(
            &there(None, json!([{"value": "y"}]), true),
            &["Group Engines: members = User ada is missing"],
        );
        check(
            &there(None, both, false),
            &[
                "User ada: active = true is missing",
                "User ada: active = false should not be there",
            ],
        );
        assert_eq!(here.values(), 9);
    }

    #[test]
    fn missing_and_surplus_people_are_named() {
        let one = portrait(&json!([{"id": "1", "userName": "ada"}]), &json!([]));
        let none = portrait(&json!([]), &json!([]));
        assert_eq!(one.differences(&none), ["User ada is missing"]);
        assert_eq!(none.differences(&one), ["User ada should not be there"]);
    }
}
