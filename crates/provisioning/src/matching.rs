//! Finding the account that already exists, before any create: what is looked for. Does not send the lookups and does not judge the answers.

use scim_protocol::TypeSchema;
use scim_protocol::schema::Uniqueness;
use serde_json::{Map, Value};

use crate::account::{get, text_of};
use crate::resource_type::name_attribute;

/// The attribute by which a client knows a resource, of every type (RFC 7643 section 3.1).
const EXTERNAL_ID: &str = "externalId";

/// A lookup by one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// `externalId`, or the attribute by which people know a resource of the type.
    pub attribute: String,
    /// The value.
    pub value: String,
    /// Whether the value is compared with case.
    pub case_exact: bool,
}

impl Lookup {
    /// A lookup by an attribute of a resource type.
    pub fn new(schema: &TypeSchema, attribute: &str, value: &str) -> Self {
        Self {
            attribute: attribute.to_owned(),
            value: value.to_owned(),
            case_exact: schema
                .core_attribute(attribute)
                .is_some_and(|attribute| attribute.case_exact),
        }
    }

    /// Whether a resource has the value, compared as the schema says (RFC 7643 sections 3.1, 4.1.1 and 4.2).
    pub fn is_of(&self, resource: &Map<String, Value>) -> bool {
        get(resource, &self.attribute)
            .and_then(text_of)
            .is_some_and(|value| {
                value == self.value
                    || (!self.case_exact && value.to_lowercase() == self.value.to_lowercase())
            })
    }

    /// Whether it is about the name that people know.
    pub fn is_name(&self) -> bool {
        self.attribute != EXTERNAL_ID
    }
}

/// Matching attributes of a resource type; the stronger one first. An application may hold each of them to be unique.
pub fn attributes(schema: &TypeSchema) -> Vec<&str> {
    std::iter::once(EXTERNAL_ID)
        .chain(name_attribute(schema).map(|attribute| attribute.name.as_str()))
        .collect()
}

/// What to look for: what the account should be, and what an earlier create whose answer was lost may have made it. A unique name is looked for in lower case
/// as well: some applications keep names so and compare them with case when they look.
pub fn lookups(
    schema: &TypeSchema,
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
        for attribute in attributes(schema) {
            let Some(value) = document.get(attribute).and_then(Value::as_str) else {
                continue;
            };
            let lookup = Lookup::new(schema, attribute, value);
            let is_unique = schema
                .core_attribute(attribute)
                .is_some_and(|attribute| attribute.uniqueness != Uniqueness::None);
            let in_lower_case = (is_unique && !lookup.case_exact).then(|| Lookup {
                value: value.to_lowercase(),
                ..lookup.clone()
            });
            add(lookup);
            in_lower_case.into_iter().for_each(&mut add);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use scim_protocol::SchemaSet;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_earlier_attempt_is_looked_for_too() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        let schemas = SchemaSet::standard();
        let desired = map(json!({"externalId": "e", "userName": "new"}));
        let attempted = map(json!({"externalId": "e", "userName": "Old"}));
        let schema = schemas.by_name("User").unwrap();
        let found: Vec<String> = lookups(schema, Some(&desired), Some(&attempted))
            .into_iter()
            .map(|l| l.value)
            .collect();
        assert_eq!(found, ["e", "new", "Old", "old"]);
    }

    #[test]
    fn names_are_compared_without_case_and_external_ids_with() {
        let schemas = SchemaSet::standard();
        let check = |attribute, value: &str, resource: Value, expected| {
            let lookup = Lookup::new(schemas.by_name("User").unwrap(), attribute, value);
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
