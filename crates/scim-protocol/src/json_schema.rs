//! Resource types as JSON Schema, for OpenAPI: the shape of what is answered and of what is accepted. Says only what is promised to clients; it validates
//! nothing here.

use serde_json::{Map, Value, json};

use crate::schema::set::TypeSchema;
use crate::schema::{Attribute, AttributeType, Mutability, Schema};

/// Which messages a schema is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What the server answers: no member is promised but those that are always returned.
    Answer,
    /// What a client sends in POST and PUT: without read-only attributes, with the required ones.
    Request,
}

/// The schema of a resource of this type.
pub fn of_type(schema: &TypeSchema, direction: Direction) -> Value {
    let mut properties = Map::new();
    let mut required = vec![json!("schemas")];
    for attribute in schema.common.iter().chain(&schema.core.attributes) {
        add(attribute, direction, &mut properties, &mut required);
    }
    for extension in &schema.extensions {
        properties.insert(
            extension.id.clone(),
            object(&extension.attributes, &extension.description, direction),
        );
    }
    if direction == Direction::Answer {
        // Who names attributes is answered without the others, `meta` among them (RFC 7644 section 3.9).
        required.push(json!("id"));
    }
    // Sending what the server answers alone is allowed (RFC 7644 section 3.5.1), so nothing else is forbidden.
    json!({"type": "object", "description": description(&schema.core), "properties": properties, "required": required})
}

fn description(schema: &Schema) -> &str {
    if schema.description.is_empty() {
        &schema.name
    } else {
        &schema.description
    }
}

fn object(attributes: &[Attribute], description: &str, direction: Direction) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for attribute in attributes {
        add(attribute, direction, &mut properties, &mut required);
    }
    let mut object =
        json!({"type": "object", "description": description, "properties": properties});
    if let (Some(map), false) = (object.as_object_mut(), required.is_empty()) {
        map.insert("required".into(), required.into());
    }
    object
}

fn add(
    attribute: &Attribute,
    direction: Direction,
    properties: &mut Map<String, Value>,
    required: &mut Vec<Value>,
) {
    let is_shown = match direction {
        Direction::Answer => attribute.is_readable(),
        Direction::Request => {
            attribute.mutability != Mutability::ReadOnly || attribute.name == "schemas"
        }
    };
    if !is_shown {
        return;
    }
    // Projections leave attributes out of answers, so only requests require any.
    if direction == Direction::Request && attribute.required && attribute.name != "schemas" {
        required.push(attribute.name.clone().into());
    }
    let one = element(attribute, direction);
    let value = if attribute.multi_valued {
        json!({"type": "array", "items": one})
    } else {
        one
    };
    properties.insert(attribute.name.clone(), value);
}

fn element(attribute: &Attribute, direction: Direction) -> Value {
    let description = &attribute.description;
    match attribute.kind {
        AttributeType::Complex => object(&attribute.sub_attributes, description, direction),
        AttributeType::Boolean => json!({"type": "boolean", "description": description}),
        AttributeType::Integer => {
            json!({"type": "integer", "format": "int64", "description": description})
        }
        AttributeType::Decimal => json!({"type": "number", "description": description}),
        AttributeType::DateTime => {
            json!({"type": "string", "format": "date-time", "description": description})
        }
        AttributeType::Binary => {
            json!({"type": "string", "format": "byte", "description": description})
        }
        AttributeType::String | AttributeType::Reference => {
            let mut schema = json!({"type": "string", "description": description});
            // Canonical values are suggestions (RFC 7643 section 7), so they are examples and no enumeration.
            if let (Some(map), false) = (
                schema.as_object_mut(),
                attribute.canonical_values.is_empty(),
            ) {
                map.insert("examples".into(), attribute.canonical_values.clone().into());
            }
            // What an earlier program kept may have another form.
            if let (Some(map), false, Direction::Request) = (
                schema.as_object_mut(),
                attribute.forms.is_empty(),
                direction,
            ) {
                let forms: Vec<String> = attribute
                    .forms
                    .iter()
                    .map(|form| form.replace('X', "[0-9A-Fa-f]"))
                    .collect();
                map.insert("pattern".into(), format!("^({})$", forms.join("|")).into());
            }
            schema
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::set::SchemaSet;
    use crate::schema::standard::ENTERPRISE_USER;

    #[test]
    fn a_user_as_it_is_sent_and_answered() {
        let set = SchemaSet::standard();
        let user = set.by_name("User").unwrap();
        let (answer, request) = (
            of_type(user, Direction::Answer),
            of_type(user, Direction::Request),
        );
        let check = |schema: &Value, pointer: &str, expected: Option<Value>| {
            assert_eq!(schema.pointer(pointer).cloned(), expected, "{pointer}");
        };
        check(&answer, "/required", Some(json!(["schemas", "id"])));
        check(&request, "/required", Some(json!(["schemas", "userName"])));
        check(&answer, "/properties/password", None);
        check(&request, "/properties/password/type", Some(json!("string")));
        check(&request, "/properties/groups", None);
        check(&request, "/properties/id", None);
        check(
            &answer,
            "/properties/groups/items/properties/value/type",
            Some(json!("string")),
        );
        check(
            &answer,
            "/properties/emails/items/properties/primary/type",
            Some(json!("boolean")),
        );
        check(
            &answer,
            "/properties/meta/properties/created/format",
            Some(json!("date-time")),
        );
        let pointer =
            format!("/properties/{ENTERPRISE_USER}/properties/manager/properties/value/type");
        check(&answer, &pointer, Some(json!("string")));
    }
}
