//! The OpenAPI document: the admin API as its code describes itself, the SCIM API of the resource types that a tenant has, and what else is answered for a
//! tenant. Answers no request.

mod paths;

use scim_protocol::SchemaSet;
use scim_protocol::error::ERROR_SCHEMA;
use scim_protocol::json_schema::{Direction, of_type};
use scim_protocol::messages::{
    BULK_REQUEST_SCHEMA, BULK_RESPONSE_SCHEMA, LIST_SCHEMA, SEARCH_SCHEMA,
};
use scim_protocol::patch_path::PATCH_SCHEMA;
use serde_json::{Map, Value, json};

use self::paths::{service_paths, tenant_paths, type_paths};

/// The media type of SCIM bodies (RFC 7644 section 3.1).
const SCIM: &str = "application/scim+json";

/// Adds the SCIM API below `base_path` to a description of the admin API.
pub(crate) fn with_scim(mut document: Value, set: &SchemaSet, base_path: &str) -> Value {
    let mut paths = service_paths(base_path);
    // Anybody may read the configuration (RFC 7643 section 5).
    if let Some(open) = paths
        .get_mut(&format!("{base_path}/ServiceProviderConfig"))
        .and_then(|path| path.get_mut("get"))
    {
        open.as_object_mut()
            .map(|open| open.insert("security".into(), json!([{}, {"bearer": []}])));
    }
    let mut schemas = messages();
    schemas.extend(memberships());
    // Memberships are made and ended, never changed; what is said of them is the same for all.
    for schema in set
        .types()
        .iter()
        .filter(|schema| schema.name() != "GroupMember")
    {
        let name = schema.name();
        schemas.insert(name.into(), of_type(schema, Direction::Answer));
        schemas.insert(
            format!("{name}Request"),
            of_type(schema, Direction::Request),
        );
        schemas.insert(format!("{name}List"), list_of(&reference(name)));
        type_paths(schema, base_path, &mut paths);
    }
    paths.extend(tenant_paths());
    if let Some(own) = document
        .pointer_mut("/paths")
        .and_then(Value::as_object_mut)
    {
        // The code names them after its functions, which have short names that many files use.
        own.values_mut()
            .flat_map(operations)
            .for_each(|(_, operation)| drop(operation.shift_remove("operationId")));
        own.extend(paths);
        name_operations(own);
    }
    if let Some(own) = document
        .pointer_mut("/components/schemas")
        .and_then(Value::as_object_mut)
    {
        own.extend(schemas);
    }
    with_refusals(document)
}

/// The operations of a path, with their methods.
fn operations(path: &mut Value) -> impl Iterator<Item = (&str, &mut Map<String, Value>)> {
    let all = path.as_object_mut().into_iter().flatten();
    all.filter(|(name, _)| METHODS.contains(&name.as_str()))
        .filter_map(|(name, operation)| Some((name.as_str(), operation.as_object_mut()?)))
}

const METHODS: &[&str] = &["get", "head", "post", "put", "patch", "delete"];

/// Gives each operation without a name one of its own, as OpenAPI demands: its method and its path, `getTenantsByName`.
fn name_operations(paths: &mut Map<String, Value>) {
    for (path, item) in paths.iter_mut() {
        let words = path
            .split(['/', '.', '-', '_'])
            .filter(|word| !word.is_empty());
        let name: String = words
            .map(|word| {
                word.strip_prefix('{').map_or_else(
                    || upper(word),
                    |word| format!("By{}", upper(word.trim_end_matches('}'))),
                )
            })
            .collect();
        for (method, operation) in operations(item) {
            operation
                .entry("operationId")
                .or_insert_with(|| format!("{method}{name}").into());
        }
    }
}

fn upper(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .collect()
}

/// What any operation may be refused with, in the form of SCIM errors, whatever its own description says; said once, for both APIs.
const REFUSALS: &[(&str, &str)] = &[
    (
        "400",
        "The request is not understood, or not acceptable; `detail` says why and what would be.",
    ),
    ("401", "No credential, or one that is not accepted here."),
    ("403", "The credential does not open this."),
    ("404", "What the path names is not there."),
    ("409", "The request contradicts what is there."),
    (
        "412",
        "The version is not the one that the request demands.",
    ),
    (
        "413",
        "The body is longer than is accepted, or has more operations.",
    ),
    ("415", "The body has another media type than JSON."),
    (
        "429",
        "Too many requests, or too many credentials that were not accepted; `Retry-After` says how long to wait.",
    ),
    ("500", "Something failed on our side."),
    ("501", "Not offered."),
    (
        "503",
        "The request took too long, or cannot be answered now.",
    ),
];

fn with_refusals(mut document: Value) -> Value {
    let content = json!({SCIM: {"schema": reference("Error")}});
    let refusals = REFUSALS.iter().map(|(status, description)| {
        (
            format!("Refused{status}"),
            json!({"description": description, "content": content}),
        )
    });
    let refusals: Map<String, Value> = refusals.collect();
    if let Some(components) = document
        .pointer_mut("/components")
        .and_then(Value::as_object_mut)
    {
        components.insert("responses".into(), refusals.into());
    }
    let paths = document
        .pointer_mut("/paths")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten();
    let all = paths.flat_map(|(_, path)| operations(path));
    for responses in all.filter_map(|(_, operation)| {
        operation
            .get_mut("responses")
            .and_then(Value::as_object_mut)
    }) {
        for (status, _) in REFUSALS {
            let is_told = responses
                .get(*status)
                .is_some_and(|response| response.get("content").is_some());
            if !is_told {
                responses.insert(
                    (*status).to_owned(),
                    json!({"$ref": format!("#/components/responses/Refused{status}")}),
                );
            }
        }
    }
    document
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn list_of(element: &Value) -> Value {
    json!({
        "type": "object",
        "properties": {
            "schemas": {"type": "array", "items": {"type": "string", "enum": [LIST_SCHEMA]}},
            "totalResults": {"type": "integer", "minimum": 0},
            "startIndex": {"type": "integer", "minimum": 1},
            "itemsPerPage": {"type": "integer", "minimum": 0},
            "nextCursor": {"type": "string"},
            "Resources": {"type": "array", "items": element},
        },
        "required": ["schemas"],
    })
}

/// Messages of RFC 7644 that are the same for every type.
fn messages() -> Map<String, Value> {
    let schemas = |urn: &str| json!({"type": "array", "items": {"type": "string", "enum": [urn]}, "minItems": 1});
    let text = || json!({"type": "string"});
    let object = || json!({"type": "object"});
    let value = json!({
        "Error": {
            "type": "object",
            "properties": {"schemas": schemas(ERROR_SCHEMA), "status": text(), "scimType": text(), "detail": text()},
            "required": ["schemas", "status"],
        },
        "SearchRequest": {
            "type": "object",
            "properties": {
                "schemas": schemas(SEARCH_SCHEMA), "filter": text(), "sortBy": text(),
                "sortOrder": {"type": "string", "enum": ["ascending", "descending"]},
                "startIndex": {"type": "integer"}, "count": {"type": "integer"}, "cursor": text(),
                "attributes": {"type": "array", "items": text()}, "excludedAttributes": {"type": "array", "items": text()},
            },
            "required": ["schemas"],
        },
        "PatchOp": {
            "type": "object",
            "properties": {
                "schemas": schemas(PATCH_SCHEMA),
                "Operations": {"type": "array", "minItems": 1, "items": {
                    "type": "object",
                    "properties": {"op": {"type": "string", "enum": ["add", "replace", "remove"]}, "path": text(), "value": {}},
                    "required": ["op"],
                }},
            },
            "required": ["schemas", "Operations"],
        },
        "BulkRequest": {
            "type": "object",
            "properties": {
                "schemas": schemas(BULK_REQUEST_SCHEMA), "failOnErrors": {"type": "integer", "minimum": 0},
                "atomic": {"type": "boolean", "description": "All operations are carried out, or none of them; ours, not of the RFC."},
                "Operations": {"type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "method": {"type": "string", "enum": ["POST", "PUT", "PATCH", "DELETE"]},
                        "path": text(), "bulkId": text(), "version": text(), "data": object(),
                    },
                    // Nothing is required here: an operation without is answered with its own error, and the others are carried out.
                }},
            },
            "required": ["schemas", "Operations"],
        },
        "BulkResponse": {
            "type": "object",
            "properties": {
                "schemas": schemas(BULK_RESPONSE_SCHEMA),
                "Operations": {"type": "array", "items": {
                    "type": "object",
                    "properties": {"method": text(), "bulkId": text(), "version": text(), "location": text(), "status": text(), "response": object()},
                    "required": ["status"],
                }},
            },
            "required": ["schemas", "Operations"],
        },
        "AnyList": list_of(&object()),
        "Discovery": object(),
    });
    map_of(value)
}

/// Memberships, which are the same for every tenant.
fn memberships() -> Map<String, Value> {
    let text = || json!({"type": "string"});
    let member = || json!({"type": "object", "properties": {"value": {"type": "string", "minLength": 1}}, "required": ["value"]});
    map_of(json!({
        "GroupMember": {
            "type": "object",
            "properties": {"schemas": {"type": "array", "items": text()}, "id": text(), "group": member(), "member": member(), "meta": {"type": "object"}},
            "required": ["schemas", "group", "member"],
        },
        "GroupMemberRequest": {
            "type": "object",
            "properties": {"schemas": {"type": "array", "items": text()}, "group": member(), "member": member()},
            "required": ["group", "member"],
        },
        "GroupMemberList": list_of(&reference("GroupMember")),
    }))
}

fn map_of(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reference leads to a schema, and every type has its paths.
    #[test]
    fn every_operation_tells_how_it_is_refused() {
        let admin = json!({"components": {"schemas": {}}, "paths": {"/x": {"get": {"responses": {"200": {}, "404": {"description": "gone"}}}}}});
        let document = with_scim(admin, &SchemaSet::standard(), "/scim/v2");
        for path in ["/x", "/scim/v2/Users", "/scim/v2/Bulk"] {
            for (_, operation) in document["paths"][path]
                .as_object()
                .unwrap()
                .iter()
                .filter(|(name, _)| *name != "parameters")
            {
                for (status, _) in REFUSALS {
                    let response = &operation["responses"][*status];
                    let told = response.get("$ref").map(|name| {
                        document
                            .pointer(name.as_str().unwrap().trim_start_matches('#'))
                            .unwrap()
                    });
                    let told = told.unwrap_or(response);
                    assert_eq!(
                        told["content"][SCIM]["schema"]["$ref"], "#/components/schemas/Error",
                        "{path} {status}"
                    );
                }
            }
        }
        assert!(
            document["paths"]["/x"]["get"]["responses"]["200"]
                .get("content")
                .is_none()
        );
        assert_eq!(
            document["paths"]["/scim/v2/ServiceProviderConfig"]["get"]["security"][0],
            json!({}),
            "anybody may read it"
        );
    }

    #[test]
    fn the_document_is_whole() {
        let admin = json!({"paths": {"/admin": {}}, "components": {"schemas": {"Own": {}}}});
        let document = with_scim(admin, &SchemaSet::standard(), "/scim/v2");
        for path in [
            "/admin",
            "/scim/v2/Users",
            "/scim/v2/Users/{id}",
            "/scim/v2/Groups/.search",
            "/scim/v2/Bulk",
        ] {
            assert!(document["paths"].get(path).is_some(), "{path}");
        }
        let text = document.to_string();
        let mut count = 0;
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
            count += 1;
        }
        assert!(count > 20);
        assert!(document.pointer("/components/schemas/Own").is_some());
    }
}
