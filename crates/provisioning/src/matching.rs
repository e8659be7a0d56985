//! Finding the account that already exists, before any create: what is looked for. Does not send the lookups and does not judge the answers.

use serde_json::{Map, Value};

use crate::account::{get, text_of};

/// A lookup by one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// `externalId`, `userName` or `displayName`.
    pub attribute: &'static str,
    /// The value.
    pub value: String,
}

impl Lookup {
    /// Whether a resource has the value. `externalId` is compared with case, names without (RFC 7643 sections 3.1, 4.1.1 and 4.2).
    pub fn is_of(&self, resource: &Map<String, Value>) -> bool {
        get(resource, self.attribute)
            .and_then(text_of)
            .is_some_and(|value| {
                if self.is_name() {
                    value.to_lowercase() == self.value.to_lowercase()
                } else {
                    value == self.value
                }
            })
    }

    /// Whether it is about the name that people know, which is compared without case.
    pub fn is_name(&self) -> bool {
        self.attribute != "externalId"
    }
}

/// Matching attributes of a resource type; the stronger one first. An application may hold each of them to be unique.
pub fn attributes(resource_type: &str) -> [&'static str; 2] {
    if resource_type == "User" {
        ["externalId", "userName"]
    } else {
        ["externalId", "displayName"]
    }
}

/// What to look for: what the account should be, and what an earlier create whose answer was lost may have made it. A name is looked for in lower case as
/// well: some applications keep names so and compare them with case when they look.
pub fn lookups(
    resource_type: &str,
    desired: Option<&Map<String, Value>>,
    attempted: Option<&Map<String, Value>>,
) -> Vec<Lookup> {
    let mut result = Vec::new();
    let mut add = |lookup: Lookup| {
        if !result.contains(&lookup) {
            result.push(lookup);
        }
    };
    for document in [desired, attempted].into_iter().flatten() {
        for attribute in attributes(resource_type) {
            let Some(value) = document.get(attribute).and_then(Value::as_str) else {
                continue;
            };
            add(Lookup {
                attribute,
                value: value.to_owned(),
            });
            if attribute == "userName" {
                add(Lookup {
                    attribute,
                    value: value.to_lowercase(),
                });
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_earlier_attempt_is_looked_for_too() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        let desired = map(json!({"externalId": "e", "userName": "new"}));
        let attempted = map(json!({"externalId": "e", "userName": "Old"}));
        let found: Vec<String> = lookups("User", Some(&desired), Some(&attempted))
            .into_iter()
            .map(|l| l.value)
            .collect();
        assert_eq!(found, ["e", "new", "Old", "old"]);
    }

    #[test]
    fn names_are_compared_without_case_and_external_ids_with() {
        let check = |attribute, value: &str, resource: Value, expected| {
            let lookup = Lookup {
                attribute,
                value: value.into(),
            };
            assert_eq!(
                lookup.is_of(resource.as_object().unwrap()),
                expected,
                "{resource}"
            );
        };
        check("userName", "Ada", json!({"username": "ADA"}), true);
        check("externalId", "e", json!({"externalId": "E"}), false);
        check("externalId", "7", json!({"externalId": 7}), true);
        check("userName", "ada", json!({}), false);
    }
}
