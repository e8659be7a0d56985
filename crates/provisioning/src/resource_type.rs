//! What the schema of a resource type tells the engine: by which name people know its resources, whether an account can be deactivated, whether it has members.
//! Knows no type by its name.

use scim_protocol::TypeSchema;
use scim_protocol::schema::{Attribute, AttributeType, Uniqueness};

/// Names of attributes by which people know a resource, where no attribute of the schema is unique.
const NAMES: [&str; 4] = ["userName", "displayName", "name", "value"];

/// The attribute by which people know a resource of this type: the first one that is unique, else the first of the usual names.
pub fn name_attribute(schema: &TypeSchema) -> Option<&Attribute> {
    let is_text =
        |attribute: &&Attribute| attribute.kind == AttributeType::String && !attribute.multi_valued;
    let is_name = |attribute: &&Attribute| {
        attribute.uniqueness != Uniqueness::None
            && !["id", "externalId"].contains(&attribute.name.as_str())
    };
    let mut unique = schema.core.attributes.iter().filter(is_text);
    unique.find(is_name).or_else(|| {
        NAMES
            .iter()
            .filter_map(|name| schema.core_attribute(name))
            .find(is_text)
    })
}

/// Whether an account of this type can be deactivated.
pub fn has_active(schema: &TypeSchema) -> bool {
    schema
        .core_attribute("active")
        .is_some_and(|active| active.kind == AttributeType::Boolean)
}

/// Whether an account of this type has members.
pub fn has_members(schema: &TypeSchema) -> bool {
    schema
        .core_attribute("members")
        .is_some_and(|members| members.kind == AttributeType::Complex && members.multi_valued)
}

#[cfg(test)]
mod tests {
    use scim_protocol::SchemaSet;

    use super::*;

    #[test]
    fn a_schema_says_what_its_type_is_like() {
        let schemas = SchemaSet::standard();
        let optional = directory::tenant_types::TenantTypes::first()
            .schema_set()
            .unwrap();
        let check = |schemas: &SchemaSet, name: &str, expected: (&str, bool, bool)| {
            let schema = schemas.by_name(name).unwrap();
            let found = name_attribute(schema).map_or("", |attribute| &attribute.name);
            assert_eq!(
                (found, has_active(schema), has_members(schema)),
                expected,
                "{name}"
            );
        };
        check(&schemas, "User", ("userName", true, false));
        check(&schemas, "Group", ("displayName", false, true));
        check(&optional, "Device", ("displayName", true, false));
        check(&optional, "Agent", ("name", true, false));
        check(&optional, "Role", ("value", false, false));
    }
}
