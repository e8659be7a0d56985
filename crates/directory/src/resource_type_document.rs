//! A resource type document that an administrator posts (RFC 7643 section 6), checked against what the tenant has. Does not look at what is stored.

use scim_protocol::Error;
use scim_protocol::schema::optional;
use scim_protocol::schema::set::ResourceType;
use serde_json::Value;

use crate::schema_document::refuse;
use crate::tenant_types::{TenantTypes, standard_type};

/// Longest name and endpoint, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Endpoints with a meaning of their own (RFC 7644 section 3.2), and those of types that this program may have.
const RESERVED_ENDPOINTS: [&str; 6] = [
    "Schemas",
    "ResourceTypes",
    "ServiceProviderConfig",
    "Bulk",
    "Me",
    "GroupMembers",
];
/// Names of types that are there and are no tenant's.
const RESERVED_NAMES: [&str; 4] = [
    "Schema",
    "ResourceType",
    "ServiceProviderConfig",
    "GroupMember",
];
const NAMES: [&str; 9] = [
    "schemas",
    "id",
    "name",
    "endpoint",
    "description",
    "schema",
    "schemaExtensions",
    "x-quiet",
    "meta",
];

/// Reads a document. Only a name switches on a type that this program brings, or lists one that is quiet.
pub fn read(current: &TenantTypes, document: &Value) -> Result<ResourceType, Error> {
    let map = document.as_object().ok_or_else(|| {
        refuse(
            "name",
            "A resource type document must be a JSON object (RFC 7643 section 6)",
        )
    })?;
    if let Some(unknown) = map.keys().find(|key| !NAMES.contains(&key.as_str())) {
        let known = NAMES.map(|name| format!("`{name}`")).join(", ");
        return Err(refuse(
            unknown,
            format!("`{unknown}` is not a member of a resource type document; use one of {known}"),
        ));
    }
    let name = map
        .get("name")
        .and_then(Value::as_str)
        .ok_or_else(|| refuse("name", "`name` is missing"))?;
    let brought = optional::type_named(name);
    if map.len() == 1 {
        return match brought {
            Some(brought) => Ok(brought.resource_type.clone()),
            None => Err(refuse(
                "name",
                format!(
                    "`{name}` is none of the types that can be switched on by name alone: {}",
                    optional_names()
                ),
            )),
        };
    }
    let mut filled = map.clone();
    filled.entry("id").or_insert_with(|| name.into());
    let read: ResourceType = serde_json::from_value(Value::Object(filled)).map_err(|error| {
        refuse(
            "name",
            format!("The document is not a resource type (RFC 7643 section 6): {error}"),
        )
    })?;
    check_names(current, &read)?;
    check_schemas(current, &read)?;
    let fixed =
        standard_type(name).or_else(|| brought.map(|brought| brought.resource_type.clone()));
    fixed.map_or(Ok(()), |fixed| keeps(&fixed, &read))?;
    Ok(read)
}

fn optional_names() -> String {
    optional::types()
        .iter()
        .map(|brought| format!("`{}`", brought.resource_type.name))
        .collect::<Vec<_>>()
        .join(", ")
}

fn is_word(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        && text.len() <= NAME_BYTES_MAX
}

fn check_names(current: &TenantTypes, read: &ResourceType) -> Result<(), Error> {
    let ResourceType {
        id, name, endpoint, ..
    } = read;
    if !is_word(name) {
        return Err(refuse(
            "name",
            format!(
                "`{name}` cannot be a name; use a letter and then letters, digits, `-` and `_`, at most 64 bytes"
            ),
        ));
    }
    if RESERVED_NAMES
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(name))
    {
        return Err(refuse(
            "name",
            format!("`{name}` has a meaning of its own; choose another name"),
        ));
    }
    if id != name {
        return Err(refuse(
            "id",
            format!("`id` is `{id}`; it must be the name, `{name}`, or be left out"),
        ));
    }
    let word = endpoint.strip_prefix('/').filter(|word| is_word(word));
    let word = word.ok_or_else(|| {
        refuse(
            "endpoint",
            format!(
                "`{endpoint}` cannot be an endpoint; use one word behind a slash, such as `/Badges`"
            ),
        )
    })?;
    let is_known = standard_type(name).is_some() || optional::type_named(name).is_some();
    let taken = |other: &ResourceType| {
        !other.name.eq_ignore_ascii_case(name) && other.endpoint.eq_ignore_ascii_case(endpoint)
    };
    let brought = optional::types()
        .iter()
        .map(|brought| &brought.resource_type);
    if RESERVED_ENDPOINTS
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(word))
        || (!is_known && brought.into_iter().any(taken))
    {
        return Err(refuse(
            "endpoint",
            format!("`{endpoint}` has a meaning of its own; choose another endpoint"),
        ));
    }
    match current.all_types().iter().find(|other| taken(other)) {
        Some(other) => Err(refuse(
            "endpoint",
            format!(
                "`{endpoint}` is the endpoint of the resource type {}",
                other.name
            ),
        )),
        None => Ok(()),
    }
}

fn check_schemas(current: &TenantTypes, read: &ResourceType) -> Result<(), Error> {
    let named = std::iter::once(("schema", &read.schema)).chain(
        read.schema_extensions
            .iter()
            .map(|e| ("schemaExtensions", &e.schema)),
    );
    for (place, urn) in named {
        let schema = current.known_schema(urn);
        if schema.is_none_or(|schema| schema.attributes.is_empty()) {
            return Err(refuse(
                place,
                format!(
                    "There is no schema `{urn}` with attributes; add it before the resource type that uses it"
                ),
            ));
        }
    }
    let mut seen = vec![read.schema.to_ascii_lowercase()];
    for extension in &read.schema_extensions {
        let urn = extension.schema.to_ascii_lowercase();
        if seen.contains(&urn) {
            return Err(refuse(
                "schemaExtensions",
                format!(
                    "`{}` is there twice; each schema has one place in a resource type",
                    extension.schema
                ),
            ));
        }
        seen.push(urn);
    }
    Ok(())
}

/// A type that this program brings may be extended, and nothing else.
fn keeps(fixed: &ResourceType, read: &ResourceType) -> Result<(), Error> {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    if read.name != fixed.name
        || read.endpoint != fixed.endpoint
        || !same(&read.schema, &fixed.schema)
    {
        let detail = format!(
            "{} has the endpoint `{}` and the schema `{}`, which cannot be changed",
            fixed.name, fixed.endpoint, fixed.schema
        );
        return Err(refuse("schema", detail));
    }
    let missing = fixed.schema_extensions.iter().find(|e| {
        !read
            .schema_extensions
            .iter()
            .any(|own| same(&own.schema, &e.schema))
    });
    match missing {
        Some(missing) => Err(refuse(
            "schemaExtensions",
            format!(
                "`{}` belongs to {} and cannot be left out",
                missing.schema, fixed.name
            ),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use scim_protocol::schema::standard::{ENTERPRISE_USER, USER};
    use serde_json::json;

    use super::*;

    fn types() -> TenantTypes {
        let badge = serde_json::from_value(
            json!({"id": "urn:x:Badge", "attributes": [{"name": "number", "type": "string"}]}),
        )
        .unwrap();
        TenantTypes {
            revision: 1,
            schemas: vec![badge],
            resource_types: Vec::new(),
        }
    }

    #[test]
    fn documents_read() {
        let read = |document: Value| read(&types(), &document).unwrap();
        assert_eq!(read(json!({"name": "device"})).endpoint, "/Devices");
        let badge = read(json!({"name": "Badge", "endpoint": "/Badges", "schema": "urn:x:badge"}));
        assert_eq!(
            (badge.id.as_str(), badge.schema_extensions.len()),
            ("Badge", 0)
        );
        let extensions = json!([{"schema": ENTERPRISE_USER, "required": false}, {"schema": "urn:x:Badge", "required": true}]);
        let user = read(
            json!({"name": "User", "endpoint": "/Users", "schema": USER, "schemaExtensions": extensions}),
        );
        assert_eq!(user.schema_extensions.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |document: Value, place: &str, said: &str| {
            let error = read(&types(), &document).unwrap_err();
            assert!(
                error.path() == Some(place) && error.detail().contains(said),
                "{document}: {error}"
            );
        };
        let badge = |changes: Value| {
            let mut document =
                json!({"name": "Badge", "endpoint": "/Badges", "schema": "urn:x:Badge"});
            document
                .as_object_mut()
                .unwrap()
                .extend(changes.as_object().unwrap().clone());
            document
        };
        check(json!({"name": "Pet"}), "name", "`Device`");
        check(badge(json!({"extends": []})), "extends", "not a member");
        check(badge(json!({"name": "a b"})), "name", "cannot be a name");
        check(
            badge(json!({"name": "groupmember"})),
            "name",
            "meaning of its own",
        );
        check(badge(json!({"id": "Other"})), "id", "must be the name");
        for endpoint in ["Badges", "/a/b", "/", "/a b"] {
            check(
                badge(json!({"endpoint": endpoint})),
                "endpoint",
                "one word behind a slash",
            );
        }
        check(
            badge(json!({"endpoint": "/schemas"})),
            "endpoint",
            "meaning of its own",
        );
        check(
            badge(json!({"endpoint": "/Devices"})),
            "endpoint",
            "meaning of its own",
        );
        check(
            badge(json!({"endpoint": "/users"})),
            "endpoint",
            "resource type User",
        );
        check(
            badge(json!({"schema": "urn:x:None"})),
            "schema",
            "no schema `urn:x:None`",
        );
        check(
            badge(json!({"schemaExtensions": [{"schema": "urn:x:Badge", "required": false}]})),
            "schemaExtensions",
            "twice",
        );
        check(
            json!({"name": "User", "endpoint": "/People", "schema": USER}),
            "schema",
            "cannot be changed",
        );
        // A tenant without the type that this program brings cannot give its name another meaning.
        check(
            badge(json!({"name": "Device", "endpoint": "/Gadgets"})),
            "schema",
            "cannot be changed",
        );
        check(
            json!({"name": "User", "endpoint": "/Users", "schema": USER}),
            "schemaExtensions",
            "cannot be left out",
        );
        check(
            json!({"name": "Badge", "endpoint": "/Badges"}),
            "name",
            "missing field `schema`",
        );
    }
}
