//! What a checked resource looks like to the store: its document, its name for people, its index entries. Does not check.

use scim_protocol::filter::compare::index_key;
use scim_protocol::schema::set::IndexedAttribute;
use scim_protocol::{TypeSchema, ValidResource};
use serde_json::{Map, Value};

use crate::change_set::{Content, IndexEntry};

/// A resource, ready to be stored.
pub fn content(schema: &TypeSchema, resource: ValidResource) -> Content {
    let document = resource.into_document();
    let mut index = Vec::with_capacity(schema.indexed().len());
    // What stands next to each other is looked up together.
    for of_schema in schema
        .indexed()
        .chunk_by(|one, next| one.extension == next.extension)
    {
        let Some(held) = of_schema
            .first()
            .and_then(|indexed| holder(indexed, &document))
        else {
            continue;
        };
        for of_attribute in of_schema.chunk_by(|one, next| top_name(one) == top_name(next)) {
            let Some(value) = of_attribute
                .first()
                .and_then(|indexed| held.get(top_name(indexed)))
            else {
                continue;
            };
            for indexed in of_attribute {
                add_entries(indexed, value, &mut index);
            }
        }
    }
    Content {
        display: display(&document),
        index,
        document: document.into(),
    }
}

/// What people call it: `displayName`, else `userName`.
pub(crate) fn display(document: &Map<String, Value>) -> String {
    let text = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    text("displayName")
        .or_else(|| text("userName"))
        .unwrap_or_default()
        .to_owned()
}

/// The object that holds an attribute: the document, or that of an extension.
fn holder<'a>(
    indexed: &IndexedAttribute,
    document: &'a Map<String, Value>,
) -> Option<&'a Map<String, Value>> {
    match &indexed.extension {
        Some(urn) => document.get(urn).and_then(Value::as_object),
        None => Some(document),
    }
}

/// The name of the attribute in that object: its own, or that of the complex one that it is in.
fn top_name(indexed: &IndexedAttribute) -> &str {
    indexed.parent.as_ref().unwrap_or(&indexed.attribute.name)
}

fn add_entries(indexed: &IndexedAttribute, value: &Value, index: &mut Vec<IndexEntry>) {
    let begin = index.len();
    for element in elements(value) {
        let values = match &indexed.parent {
            Some(_) => element
                .get(&indexed.attribute.name)
                .map(elements)
                .unwrap_or_default(),
            None => std::slice::from_ref(element),
        };
        for key in values
            .iter()
            .filter_map(|value| index_key(&indexed.attribute, value))
        {
            // Two elements may have the same value; one row says it.
            if index.iter().skip(begin).all(|entry| entry.key != key) {
                index.push(IndexEntry {
                    path: indexed.path.clone(),
                    unique: indexed.unique,
                    key,
                });
            }
        }
    }
}

fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(elements) => elements,
        single => std::slice::from_ref(single),
    }
}

#[cfg(test)]
mod tests {
    use scim_protocol::SchemaSet;
    use scim_protocol::schema::standard::ENTERPRISE_USER;
    use serde_json::json;

    use super::*;

    fn entries(type_name: &str, document: Value) -> (String, Vec<(String, String)>) {
        let set = SchemaSet::standard();
        let Value::Object(document) = document else {
            panic!("not an object")
        };
        let content = content(
            set.by_name(type_name).unwrap(),
            ValidResource::trusted(document),
        );
        let text = |entry: &IndexEntry| {
            (
                entry.path.clone(),
                String::from_utf8(entry.key.clone()).unwrap(),
            )
        };
        (content.display, content.index.iter().map(text).collect())
    }

    #[test]
    fn entries_of_all_kinds() {
        let (display, index) = entries(
            "User",
            json!({
                "userName": "Ann", "externalId": "E1", "active": true,
                "emails": [{"value": "A@x"}, {"value": "a@X", "type": "home"}, {"type": "work"}, {"value": "b@x"}],
                ENTERPRISE_USER: {"manager": {"value": "m"}}
            }),
        );
        let manager = format!("{ENTERPRISE_USER}:manager.value");
        let expected = [
            ("externalId", "E1"),
            ("userName", "ann"),
            ("active", "\u{1}"),
            ("emails.value", "a@x"),
            ("emails.value", "b@x"),
            (&manager, "m"),
        ];
        assert_eq!(display, "Ann");
        assert_eq!(index.len(), expected.len());
        for (path, key) in expected {
            assert!(
                index.contains(&(path.to_owned(), key.to_owned())),
                "{path} {key}"
            );
        }
    }

    #[test]
    fn the_display_name_is_preferred() {
        assert_eq!(
            entries("User", json!({"userName": "u", "displayName": "Ann Lee"})).0,
            "Ann Lee"
        );
        assert_eq!(
            entries("User", json!({"userName": "u", "displayName": ""})).0,
            "u"
        );
        assert_eq!(entries("Group", json!({"displayName": "Team"})).0, "Team");
    }
}
