//! What a checked resource looks like to the store: its document, its name for people, its index entries. Does not check.

use scim_protocol::filter::compare::index_key;
use scim_protocol::schema::set::IndexedAttribute;
use scim_protocol::{TypeSchema, ValidResource};
use serde_json::{Map, Value};

use crate::change_set::{Content, IndexEntry};

/// A resource, ready to be stored.
pub fn content(schema: &TypeSchema, resource: ValidResource) -> Content {
    let document = resource.into_document();
    let mut index = Vec::new();
    for attribute in schema.indexed() {
        add_entries(attribute, &document, &mut index);
    }
    Content { display: display(&document), index, document: document.into() }
}

/// What people call it: `displayName`, else `userName`.
pub(crate) fn display(document: &Map<String, Value>) -> String {
    let text = |name: &str| document.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("displayName").or_else(|| text("userName")).unwrap_or_default().to_owned()
}

fn add_entries(indexed: &IndexedAttribute, document: &Map<String, Value>, index: &mut Vec<IndexEntry>) {
    let holder = match &indexed.extension {
        Some(urn) => document.get(urn).and_then(Value::as_object),
        None => Some(document),
    };
    let first = indexed.parent.as_ref().unwrap_or(&indexed.attribute.name);
    let Some(value) = holder.and_then(|holder| holder.get(first)) else { return };
    let begin = index.len();
    for element in elements(value) {
        let values = match &indexed.parent {
            Some(_) => element.get(&indexed.attribute.name).map(elements).unwrap_or_default(),
            None => std::slice::from_ref(element),
        };
        for key in values.iter().filter_map(|value| index_key(&indexed.attribute, value)) {
            // Two elements may have the same value; one row says it.
            if index.iter().skip(begin).all(|entry| entry.key != key) {
                index.push(IndexEntry { path: indexed.path.clone(), unique: indexed.unique, key });
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
        let Value::Object(document) = document else { panic!("not an object") };
        let content = content(set.by_name(type_name).unwrap(), ValidResource::trusted(document));
        let text = |entry: &IndexEntry| (entry.path.clone(), String::from_utf8(entry.key.clone()).unwrap());
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
            assert!(index.contains(&(path.to_owned(), key.to_owned())), "{path} {key}");
        }
    }

    #[test]
    fn the_display_name_is_preferred() {
        assert_eq!(entries("User", json!({"userName": "u", "displayName": "Ann Lee"})).0, "Ann Lee");
        assert_eq!(entries("User", json!({"userName": "u", "displayName": ""})).0, "u");
        assert_eq!(entries("Group", json!({"displayName": "Team"})).0, "Team");
    }
}
