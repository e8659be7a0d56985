//! What an application shows beside what it was told: which values contradict it, and which are not shown at all. What is not shown is unknown, not empty
//! (RFC 7643 section 7, `returned`). Decides nothing about what follows.

use std::collections::BTreeSet;

use scim_protocol::TypeSchema;
use scim_protocol::schema::{Attribute, AttributeType};
use serde_json::{Map, Value};

use crate::account::{Place, text_of};
use crate::mapping::{is_empty, restrict, writable};

/// The places that a document has values in: sub-attributes of single complex attributes and attributes of extensions each on their own.
pub fn places<'a>(
    schema: &TypeSchema,
    documents: impl IntoIterator<Item = &'a Map<String, Value>>,
) -> BTreeSet<Place> {
    let mut result = BTreeSet::new();
    for document in documents {
        for (name, value) in document {
            match (schema.extension(name), schema.core_attribute(name), value) {
                (Some(_), _, Value::Object(inner)) => {
                    let place = |attribute: &String| Place {
                        extension: Some(name.clone()),
                        attribute: attribute.clone(),
                        sub: None,
                    };
                    result.extend(inner.keys().map(place));
                }
                (None, Some(attribute), Value::Object(inner)) if is_single_complex(attribute) => {
                    let place = |sub: &String| Place {
                        extension: None,
                        attribute: name.clone(),
                        sub: Some(sub.clone()),
                    };
                    result.extend(inner.keys().map(place));
                }
                _ => drop(result.insert(Place::core(name))),
            }
        }
    }
    result
}

pub(crate) fn is_single_complex(attribute: &Attribute) -> bool {
    attribute.kind == AttributeType::Complex && !attribute.multi_valued
}

fn attribute_at<'a>(schema: &'a TypeSchema, place: &Place) -> Option<&'a Attribute> {
    let attribute = match &place.extension {
        Some(urn) => schema.extension(urn)?.attribute(&place.attribute)?,
        None => schema.core_attribute(&place.attribute)?,
    };
    match &place.sub {
        Some(sub) => attribute.sub_attribute(sub),
        None => Some(attribute),
    }
}

/// What an application was told, as far as it shows otherwise or nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// What it shows of the places that matter; in our spelling where the schema says that spelling does not matter.
    pub shown: Map<String, Value>,
    /// Where it shows another value than it was told.
    pub contradicted: BTreeSet<Place>,
    /// Where it was told something and shows nothing.
    pub not_shown: BTreeSet<Place>,
}

/// Compares what an application shows with what it was told last (`told`); `wanted`: what it is to be told, which says what else matters.
pub fn compare(
    schema: &TypeSchema,
    account: &Map<String, Value>,
    told: &Map<String, Value>,
    wanted: &Map<String, Value>,
) -> Comparison {
    let account = writable(schema, account);
    let mut result = Comparison::default();
    for place in places(schema, [told, wanted]) {
        let is_unset = |value: &&Value| is_empty(value) || value.as_str() == Some("");
        let shown = place.value_in(&account).filter(|value| !is_unset(value));
        let told = place.value_in(told).filter(|value| !value.is_null());
        match (told, shown) {
            (None, None) => {}
            (Some(_), None) => drop(result.not_shown.insert(place)),
            (Some(told), Some(shown))
                if !contradicts(attribute_at(schema, &place), told, shown) =>
            {
                place.put(&mut result.shown, Some(told.clone()));
            }
            (told, Some(shown)) => {
                let expected: Vec<&Value> =
                    place.value_in(wanted).into_iter().chain(told).collect();
                place.put(&mut result.shown, Some(restrict(shown, &expected)));
                if told.is_some() {
                    result.contradicted.insert(place);
                }
            }
        }
    }
    result
}

/// Whether what is shown is another value than what was told. Sub-attributes that are not shown, or that nobody spoke of, contradict nothing.
pub fn contradicts(attribute: Option<&Attribute>, told: &Value, shown: &Value) -> bool {
    match (told, shown) {
        (Value::Object(told), Value::Object(shown)) => told.iter().any(|(name, told)| {
            let sub = attribute.and_then(|attribute| attribute.sub_attribute(name));
            let shown = crate::account::get(shown, name).filter(|shown| !is_empty(shown));
            shown.is_some_and(|shown| contradicts(sub, told, shown))
        }),
        (Value::Array(told), Value::Array(shown)) => {
            let mut left: Vec<&Value> = shown.iter().collect();
            let is_there = |told: &Value| {
                let found = left
                    .iter()
                    .position(|shown| !contradicts(attribute, told, shown));
                found.map(|place| left.remove(place)).is_some()
            };
            shown.len() != told.len() || !told.iter().all(is_there)
        }
        (Value::Bool(told), Value::String(shown)) => {
            !shown.eq_ignore_ascii_case(if *told { "true" } else { "false" })
        }
        _ => match (text_of(told), text_of(shown)) {
            (Some(told), Some(shown))
                if attribute.is_some_and(|attribute| attribute.case_exact) =>
            {
                told != shown
            }
            (Some(told), Some(shown)) => {
                told != shown && told.to_lowercase() != shown.to_lowercase()
            }
            _ => told != shown,
        },
    }
}

#[cfg(test)]
mod tests {
    use scim_protocol::SchemaSet;
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn what_is_not_shown_contradicts_nothing() {
        let schemas = SchemaSet::standard();
        let schema = schemas.by_name("User").unwrap();
        let check = |told: Value, shown: Value, contradicted: &[&str], not_shown: &[&str]| {
            let found = compare(schema, &map(shown), &map(told.clone()), &map(told));
            let names = |places: &BTreeSet<Place>| {
                places.iter().map(ToString::to_string).collect::<Vec<_>>()
            };
            assert_eq!(
                (names(&found.contradicted), names(&found.not_shown)),
                (
                    contradicted.iter().map(|s| (*s).to_owned()).collect(),
                    not_shown.iter().map(|s| (*s).to_owned()).collect()
                )
            );
        };
        check(
            json!({"userName": "Ada"}),
            json!({"userName": "ada"}),
            &[],
            &[],
        );
        check(
            json!({"externalId": "A"}),
            json!({"externalId": "a"}),
            &["externalId"],
            &[],
        );
        check(
            json!({"externalId": "7"}),
            json!({"externalId": 7}),
            &[],
            &[],
        );
        check(
            json!({"active": false}),
            json!({"active": true}),
            &["active"],
            &[],
        );
        check(
            json!({"active": false}),
            json!({"active": "False"}),
            &[],
            &[],
        );
        check(json!({"active": false}), json!({}), &[], &["active"]);
        check(json!({"title": "x"}), json!({"title": ""}), &[], &["title"]);
        check(
            json!({"name": {"givenName": "A", "familyName": "B"}}),
            json!({"name": {"givenName": "C"}}),
            &["name.givenName"],
            &["name.familyName"],
        );
        let work = json!([{"value": "a@b", "type": "work", "primary": true}]);
        check(
            json!({ "emails": work }),
            json!({"emails": [{"value": "A@b", "display": "x"}]}),
            &[],
            &[],
        );
        check(
            json!({ "emails": work }),
            json!({"emails": [{"value": "c@d"}]}),
            &["emails"],
            &[],
        );
        check(
            json!({ "emails": work }),
            json!({"emails": []}),
            &[],
            &["emails"],
        );
    }
}
