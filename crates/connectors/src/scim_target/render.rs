//! Accounts and changes to them as SCIM writes them. Sends nothing.

use provisioning::account::{AccountChange, Members};
use scim_protocol::TypeSchema;
use scim_protocol::patch::PATCH_SCHEMA;
use serde_json::{Map, Value, json};

/// The endpoint of a resource type (RFC 7644 section 3.2).
pub(super) fn endpoint(schema: &TypeSchema) -> &str {
    schema.resource_type.endpoint.trim_start_matches('/')
}

/// The body of a POST or a PUT: `schemas`, the attributes, and the members.
pub(super) fn resource(
    schema: &TypeSchema,
    attributes: &Map<String, Value>,
    members: &Members,
) -> Map<String, Value> {
    let urns = attributes.keys().filter(|name| name.contains(':'));
    let schemas: Vec<&String> = std::iter::once(&schema.core.id).chain(urns).collect();
    let mut body = Map::new();
    body.insert("schemas".into(), json!(schemas));
    body.extend(attributes.clone());
    if !members.is_empty() {
        body.insert("members".into(), Value::Array(elements(members)));
    }
    body
}

/// Elements of `members`. Only a group says its type: applications that know users only do not expect one.
fn elements(members: &Members) -> Vec<Value> {
    members
        .iter()
        .map(|(id, group)| {
            if *group {
                json!({ "value": id, "type": "Group" })
            } else {
                json!({ "value": id })
            }
        })
        .collect()
}

/// The PATCH message of a change (RFC 7644 section 3.5.2), in the forms that most applications accept: one plain path each.
pub(super) fn patch(change: &AccountChange) -> Value {
    let mut operations = Vec::new();
    for edit in &change.edits {
        let path = edit.place.to_string();
        operations.push(match &edit.value {
            // Replace where there is nothing yet is an add (RFC 7644 section 3.5.2.3), and on a multi-valued attribute it never merges.
            Some(value) => json!({ "op": "replace", "path": path, "value": value }),
            None => json!({ "op": "remove", "path": path }),
        });
    }
    for id in &change.removed {
        // A remove with a value array means "remove these" to some and "remove all" to others; a value path means one thing to all. A string of a filter is
        // that of JSON (RFC 7644 section 3.4.2.2).
        operations.push(json!({ "op": "remove", "path": format!("members[value eq {}]", Value::from(id.as_str())) }));
    }
    if !change.added.is_empty() {
        operations
            .push(json!({ "op": "add", "path": "members", "value": elements(&change.added) }));
    }
    json!({ "schemas": [PATCH_SCHEMA], "Operations": operations })
}

/// Names of what is sent, for finding them in a refusal.
pub(super) fn names(attributes: &Map<String, Value>, members: &Members) -> Vec<String> {
    let mut names: Vec<String> = attributes
        .keys()
        .filter(|name| !name.contains(':'))
        .cloned()
        .collect();
    let extensions = attributes
        .iter()
        .filter(|(name, _)| name.contains(':'))
        .filter_map(|(_, value)| value.as_object());
    names.extend(extensions.flat_map(|inner| inner.keys().cloned()));
    if !members.is_empty() {
        names.push("members".to_owned());
    }
    names
}

/// The same of a change.
pub(super) fn names_of_change(change: &AccountChange) -> Vec<String> {
    let mut names: Vec<String> = change
        .edits
        .iter()
        .map(|edit| edit.place.attribute.clone())
        .collect();
    if !(change.added.is_empty() && change.removed.is_empty()) {
        names.push("members".to_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use provisioning::account::{AccountId, Edit, Place};
    use scim_protocol::SchemaSet;

    use super::*;

    #[test]
    fn a_change_is_one_plain_path_each() {
        let mut change = AccountChange::of(AccountId::new("7").unwrap());
        let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let name = Place {
            extension: None,
            attribute: "name".into(),
            sub: Some("familyName".into()),
        };
        let department = Place {
            extension: Some(urn.into()),
            attribute: "department".into(),
            sub: None,
        };
        change.edits = vec![
            Edit {
                place: name,
                value: Some(json!("King")),
            },
            Edit {
                place: department,
                value: None,
            },
        ];
        change.removed.insert("a\"b".into());
        change.added = [("g".to_owned(), true), ("u".to_owned(), false)].into();
        let expected = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
            {"op": "replace", "path": "name.familyName", "value": "King"},
            {"op": "remove", "path": format!("{urn}:department")},
            {"op": "remove", "path": "members[value eq \"a\\\"b\"]"},
            {"op": "add", "path": "members", "value": [{"value": "g", "type": "Group"}, {"value": "u"}]},
        ]});
        assert_eq!(patch(&change), expected);
    }

    #[test]
    fn a_resource_names_its_schemas() {
        let schemas = SchemaSet::standard();
        let attributes = json!({"userName": "ada", "urn:app:own": {"tier": "gold"}})
            .as_object()
            .cloned()
            .unwrap();
        let body = resource(
            schemas.by_name("User").unwrap(),
            &attributes,
            &Members::new(),
        );
        assert_eq!(
            body["schemas"],
            json!(["urn:ietf:params:scim:schemas:core:2.0:User", "urn:app:own"])
        );
        assert_eq!(
            (&body["userName"], body.get("members")),
            (&json!("ada"), None)
        );
        assert_eq!(names(&attributes, &Members::new()), ["userName", "tier"]);
    }
}
