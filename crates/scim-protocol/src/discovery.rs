//! `ServiceProviderConfig`, `ResourceTypes` and `Schemas` (RFC 7643 sections 5 to 7), generated from what is enforced. Does not enforce it.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::event_uri;
use crate::schema::set::SchemaSet;
use crate::schema::standard::{RESOURCE_TYPE, SCHEMA, SERVICE_PROVIDER_CONFIG};
use crate::schema::{Schema, optional};

/// What the server enforces.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// Most operations in one bulk request.
    pub bulk_operations_max: usize,
    /// Largest bulk body, in bytes.
    pub bulk_body_bytes_max: usize,
    /// Largest page.
    pub page_size_max: usize,
    /// Size of a page where the client does not say.
    pub page_size_default: usize,
    /// Whether access tokens are given to OAuth clients.
    pub takes_client_credentials: bool,
    /// How long a cursor is good for, in seconds; `None` where cursors are not offered.
    pub cursor_seconds_max: Option<i64>,
    /// Whether events are sent (RFC 9967).
    pub events: bool,
}

/// The `ServiceProviderConfig` document.
pub fn service_provider_config(capabilities: &Capabilities, base_url: &str) -> Map<String, Value> {
    let mut body = json!({
        "patch": {"supported": true},
        "bulk": {
            "supported": true,
            "maxOperations": capabilities.bulk_operations_max,
            "maxPayloadSize": capabilities.bulk_body_bytes_max,
        },
        "filter": {"supported": true, "maxResults": capabilities.page_size_max},
        "changePassword": {"supported": false},
        "sort": {"supported": true},
        "etag": {"supported": true},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "OAuth Bearer Token",
            "description": "A bearer token in the Authorization header (RFC 6750).",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "documentationUri": "https://www.rfc-editor.org/rfc/rfc6750",
            "primary": true,
        }],
    });
    if capabilities.takes_client_credentials
        && let Some(Value::Array(schemes)) = body.get_mut("authenticationSchemes")
    {
        schemes.push(json!({
            "type": "oauth2",
            "name": "OAuth 2.0 client credentials",
            "description": "A bearer token from the token endpoint, which /.well-known/oauth-authorization-server of the tenant names (RFC 6749 section 4.4, RFC 8414).",
            "specUri": "https://www.rfc-editor.org/info/rfc6749",
            "documentationUri": "https://www.rfc-editor.org/rfc/rfc6749#section-4.4",
            "primary": false,
        }));
    }
    if let Value::Object(map) = &mut body {
        map.insert("pagination".into(), pagination(capabilities));
    }
    if let (true, Value::Object(map)) = (capabilities.events, &mut body) {
        // RFC 9967: which events are sent; no request is answered later by one.
        map.insert(
            "securityEvents".into(),
            json!({"asyncRequest": "none", "eventUris": event_uri::ALL}),
        );
    }
    document(
        SERVICE_PROVIDER_CONFIG,
        body,
        "ServiceProviderConfig",
        &location(base_url, "ServiceProviderConfig"),
    )
}

/// RFC 9865 section 4.
fn pagination(capabilities: &Capabilities) -> Value {
    let mut pagination = json!({
        "cursor": capabilities.cursor_seconds_max.is_some(),
        "index": true,
        "defaultPaginationMethod": "index",
        "defaultPageSize": capabilities.page_size_default,
        "maxPageSize": capabilities.page_size_max,
    });
    if let (Value::Object(map), Some(seconds)) = (&mut pagination, capabilities.cursor_seconds_max)
    {
        map.insert("cursorTimeout".into(), seconds.into());
    }
    pagination
}

/// What the drafts want announced of these types: roles and entitlements (draft-ietf-scim-roles-entitlements section 3.1), agents
/// (draft-abbey-scim-agent-extension section 4.1). Nothing where it has none of them, as clients know only what the RFC has.
pub fn announce_types(config: &mut Map<String, Value>, set: &SchemaSet) {
    let has = |name: &str| set.by_name(name).is_some();
    if has("Role") || has("Entitlement") {
        let of = |name: &str, several: &str| json!({"supported": has(name), several: true, "primarySupported": true, "typeSupported": true});
        let roles = of("Role", "multipleRolesSupported");
        let entitlements = of("Entitlement", "multipleEntitlementsSupported");
        config.insert(
            "RolesAndEntitlements".into(),
            json!({"roles": roles, "entitlements": entitlements}),
        );
    }
    let (agents, applications) = (has("Agent"), has("AgenticApplication"));
    if agents || applications {
        let extension = json!({"supported": true, "agentsSupported": agents, "agenticApplicationsSupported": applications});
        config.insert("agentExtension".into(), extension);
    }
}

/// All `ResourceType` documents.
pub fn resource_types(set: &SchemaSet, base_url: &str) -> Vec<Map<String, Value>> {
    let one = |resource_type: &crate::schema::set::ResourceType| {
        let mut body = to_value(resource_type);
        drop_own_names(&mut body);
        // Section 8.6 leaves the member out where there is no extension.
        if resource_type.schema_extensions.is_empty()
            && let Some(map) = body.as_object_mut()
        {
            map.shift_remove("schemaExtensions");
        }
        document(
            RESOURCE_TYPE,
            body,
            "ResourceType",
            &location(base_url, &format!("ResourceTypes/{}", resource_type.id)),
        )
    };
    set.types()
        .iter()
        .map(|schema| one(&schema.resource_type))
        .collect()
}

/// All Schema documents. That of `ServiceProviderConfig` lists what may be announced of these types.
pub fn schemas(set: &SchemaSet, base_url: &str) -> Vec<Map<String, Value>> {
    let mut announcement = Map::new();
    announce_types(&mut announcement, set);
    let announced = || {
        optional::announced()
            .iter()
            .filter(|attribute| announcement.contains_key(&attribute.name))
    };
    let one = |schema: &Schema| {
        let mut body = to_value(schema);
        if let Some(Value::Array(attributes)) = body.get_mut("attributes") {
            // Extensions within an extension (RFC 9944 section 7.1.2) are schemas of their own here: a URN is no attribute name (RFC 7643 section 2.1).
            attributes.retain(|attribute| {
                attribute
                    .get("name")
                    .and_then(Value::as_str)
                    .is_none_or(|name| !name.contains(':'))
            });
            if schema.id == SERVICE_PROVIDER_CONFIG {
                attributes.extend(announced().map(to_value));
            }
        }
        drop_own_names(&mut body);
        document(
            SCHEMA,
            body,
            "Schema",
            &location(base_url, &format!("Schemas/{}", schema.id)),
        )
    };
    set.schemas().iter().map(one).collect()
}

/// Members that only administrators use (`x-indexed`, `x-quiet`) would be unknown to clients.
fn drop_own_names(body: &mut Value) {
    match body {
        Value::Array(elements) => elements.iter_mut().for_each(drop_own_names),
        Value::Object(map) => {
            map.retain(|name, _| !name.starts_with("x-"));
            map.values_mut().for_each(drop_own_names);
        }
        _ => {}
    }
}

/// These structures hold strings, booleans and lists of such, which always can be JSON.
fn to_value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn location(base_url: &str, path: &str) -> String {
    format!("{}/{path}", base_url.trim_end_matches('/'))
}

fn document(schema: &str, body: Value, resource_type: &str, location: &str) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("schemas".into(), json!([schema]));
    if let Value::Object(body) = body {
        document.extend(body);
    }
    document.insert(
        "meta".into(),
        json!({"resourceType": resource_type, "location": location}),
    );
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Attribute, standard};

    #[test]
    fn the_configuration_has_all_that_its_schema_requires() {
        let capabilities = Capabilities {
            bulk_operations_max: 7,
            bulk_body_bytes_max: 8,
            page_size_max: 9,
            page_size_default: 5,
            takes_client_credentials: false,
            cursor_seconds_max: Some(600),
            events: true,
        };
        let config = service_provider_config(&capabilities, "https://x/scim/v2/");
        let all = standard::schemas();
        let schema = all
            .iter()
            .find(|schema| schema.id == SERVICE_PROVIDER_CONFIG)
            .unwrap();
        let check = |attribute: &Attribute, holder: &Map<String, Value>| {
            assert!(
                !attribute.required || holder.contains_key(&attribute.name),
                "{}",
                attribute.name
            );
        };
        for attribute in &schema.attributes {
            check(attribute, &config);
            let holders = config.get(&attribute.name).map(|value| {
                value
                    .as_array()
                    .cloned()
                    .unwrap_or_else(|| vec![value.clone()])
            });
            for holder in holders.iter().flatten().filter_map(Value::as_object) {
                attribute
                    .sub_attributes
                    .iter()
                    .for_each(|sub| check(sub, holder));
                assert!(
                    holder
                        .keys()
                        .all(|name| attribute.sub_attribute(name).is_some())
                );
            }
        }
        let config = Value::Object(config);
        assert_eq!(config.pointer("/bulk/maxOperations"), Some(&json!(7)));
        assert_eq!(config.pointer("/bulk/maxPayloadSize"), Some(&json!(8)));
        assert_eq!(config.pointer("/filter/maxResults"), Some(&json!(9)));
        let pagination = json!({"cursor": true, "index": true, "defaultPaginationMethod": "index", "defaultPageSize": 5, "maxPageSize": 9, "cursorTimeout": 600});
        assert_eq!(config.pointer("/pagination"), Some(&pagination));
        assert_eq!(
            config.pointer("/meta/location"),
            Some(&json!("https://x/scim/v2/ServiceProviderConfig"))
        );
    }

    /// RFC 7643 section 8.6.
    #[test]
    fn resource_types_are_as_in_the_rfc() {
        let documents = resource_types(&SchemaSet::standard(), "https://example.com/v2");
        let expected = json!([
            {
                "schemas": [RESOURCE_TYPE], "id": "User", "name": "User", "endpoint": "/Users", "description": "User Account",
                "schema": standard::USER, "schemaExtensions": [{"schema": standard::ENTERPRISE_USER, "required": false}],
                "meta": {"resourceType": "ResourceType", "location": "https://example.com/v2/ResourceTypes/User"}
            },
            {
                "schemas": [RESOURCE_TYPE], "id": "Group", "name": "Group", "endpoint": "/Groups", "description": "Group",
                "schema": standard::GROUP, "meta": {"resourceType": "ResourceType", "location": "https://example.com/v2/ResourceTypes/Group"}
            }
        ]);
        assert_eq!(serde_json::to_value(documents).unwrap(), expected);
    }

    #[test]
    fn schemas_show_every_characteristic() {
        let documents = schemas(&SchemaSet::standard(), "https://example.com/v2");
        assert_eq!(documents.len(), 6);
        let user = Value::Object(documents[0].clone());
        assert_eq!(
            user["meta"],
            json!({"resourceType": "Schema", "location": format!("https://example.com/v2/Schemas/{}", standard::USER)})
        );
        let user_name = &user["attributes"][0];
        for name in [
            "name",
            "type",
            "multiValued",
            "description",
            "required",
            "caseExact",
            "mutability",
            "returned",
            "uniqueness",
        ] {
            assert!(!user_name[name].is_null(), "{name}");
        }
        assert!(user_name["x-indexed"].is_null());
    }

    /// What is announced of a tenant's types is listed in the schema that it is shown, to the last sub-attribute; and nothing else is.
    #[test]
    fn the_configuration_and_its_schema_say_the_same_of_a_tenants_types() {
        fn check(listed: &Value, said: &Map<String, Value>) {
            let listed = listed.as_array().unwrap();
            assert_eq!(listed.len(), said.len(), "{said:?}");
            for (name, value) in said {
                let attribute = listed
                    .iter()
                    .find(|attribute| attribute["name"] == **name)
                    .unwrap_or_else(|| panic!("{name}"));
                match value.as_object() {
                    Some(inner) => check(&attribute["subAttributes"], inner),
                    None => assert!(
                        value.is_boolean() && attribute["type"] == "boolean",
                        "{name}"
                    ),
                }
            }
        }
        let plain = standard::schemas()
            .iter()
            .find(|schema| schema.id == SERVICE_PROVIDER_CONFIG)
            .unwrap()
            .attributes
            .len();
        for names in [
            vec!["Role"],
            vec!["Entitlement", "Agent"],
            vec!["AgenticApplication"],
            vec!["Device"],
            vec![],
        ] {
            let brought: Vec<_> = optional::types()
                .iter()
                .filter(|brought| names.contains(&brought.resource_type.name.as_str()))
                .collect();
            let all = standard::schemas()
                .into_iter()
                .chain(brought.iter().flat_map(|brought| brought.schemas.clone()))
                .collect();
            let set = SchemaSet::new(
                brought
                    .iter()
                    .map(|brought| brought.resource_type.clone())
                    .collect(),
                all,
            )
            .unwrap();
            let mut said = Map::new();
            announce_types(&mut said, &set);
            let shown = schemas(&set, "https://example.com/v2");
            let shown = shown
                .iter()
                .find(|schema| schema["id"] == SERVICE_PROVIDER_CONFIG)
                .unwrap();
            let added = shown["attributes"]
                .as_array()
                .unwrap()
                .get(plain..)
                .unwrap()
                .to_vec();
            check(&Value::Array(added), &said);
        }
    }

    #[test]
    fn what_follows_a_draft_says_so() {
        for brought in optional::types() {
            let described = [
                &brought.resource_type.description,
                &brought.schemas[0].description,
            ];
            assert!(
                described
                    .iter()
                    .all(|text| text.contains("experimental") == brought.experimental),
                "{described:?}"
            );
        }
        assert!(
            optional::announced()
                .iter()
                .all(|attribute| attribute.description.contains("experimental"))
        );
    }
}
