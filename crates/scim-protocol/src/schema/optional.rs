//! Resource types that a tenant may have beside User and Group: devices (RFC 9944), agents, roles and entitlements (drafts). Which of them a tenant has
//! is in the tenant's own list, not here.
//!
//! Where the texts leave a choice: RFC 9944's uniqueness "Manufacturer" is none that RFC 7643 knows, so device addresses are indexed and not unique; `irk`
//! is write-only and never kept; what only a gateway could say (`clientToken`, the enterprise endpoints) is read-only. In the draft no client may
//! write roles and entitlements through SCIM; here an administrator writes them so, and they are read-write.

use std::sync::LazyLock;

use super::set::{ResourceType, SchemaExtension, SchemaSet, TypeSchema};
use super::{Attribute, Schema, standard};

/// The schema of roles.
pub const ROLE: &str = "urn:ietf:params:scim:schemas:core:2.0:Role";
/// The schema of entitlements.
pub const ENTITLEMENT: &str = "urn:ietf:params:scim:schemas:core:2.0:Entitlement";
/// The schema of agents.
pub const AGENT: &str = "urn:ietf:params:scim:schemas:core:2.0:Agent";
/// The schema of agentic applications.
pub const AGENTIC_APPLICATION: &str = "urn:ietf:params:scim:schemas:core:2.0:AgenticApplication";

/// A resource type that a tenant may switch on.
#[derive(Clone, Debug)]
pub struct OptionalType {
    /// The type.
    pub resource_type: ResourceType,
    /// Its schema, its extensions, and documents that belong to them.
    pub schemas: Vec<Schema>,
    /// Whether it follows a draft that may still change.
    pub experimental: bool,
}

struct Document {
    text: &'static str,
    indexed: &'static [&'static str],
}

const fn document(text: &'static str, indexed: &'static [&'static str]) -> Document {
    Document { text, indexed }
}

const DEVICE: &[Document] = &[
    document(include_str!("data/device.json"), &["displayName", "active"]),
    document(include_str!("data/device_ble.json"), &["deviceMacAddress"]),
    document(
        include_str!("data/device_dpp.json"),
        &["deviceMacAddress", "serialNumber"],
    ),
    document(
        include_str!("data/device_ethernet_mab.json"),
        &["deviceMacAddress"],
    ),
    document(include_str!("data/device_fdo.json"), &[]),
    document(
        include_str!("data/device_zigbee.json"),
        &["deviceEui64Address"],
    ),
    document(
        include_str!("data/device_endpoint_apps.json"),
        &["applications.value"],
    ),
];
/// Shown under /Schemas; the device's BLE extension holds them as attributes.
const PAIRING: &[Document] = &[
    document(include_str!("data/device_pairing_null.json"), &[]),
    document(include_str!("data/device_pairing_just_works.json"), &[]),
    document(include_str!("data/device_pairing_pass_key.json"), &[]),
    document(include_str!("data/device_pairing_oob.json"), &[]),
];
const ENDPOINT_APP: &[Document] = &[document(
    include_str!("data/endpoint_app.json"),
    &["applicationName", "applicationType"],
)];
const AGENTS: &[Document] = &[document(
    include_str!("data/agent.json"),
    &[
        "displayName",
        "agentType",
        "active",
        "subject",
        "owners.value",
        "parent.value",
    ],
)];
const AGENTIC_APPLICATIONS: &[Document] = &[document(
    include_str!("data/agentic_application.json"),
    &[
        "displayName",
        "active",
        "applicationUrls.value",
        "agents.value",
    ],
)];
const ROLES: &[Document] = &[document(
    include_str!("data/role.json"),
    &["display", "supported"],
)];
const ENTITLEMENTS: &[Document] = &[document(
    include_str!("data/entitlement.json"),
    &["display", "supported"],
)];

static TYPES: LazyLock<Vec<OptionalType>> = LazyLock::new(|| {
    let one = |name: &str,
               description: &str,
               documents: &[Document],
               others: &[Document],
               experimental: bool| {
        let read = |document: &Document| standard::read(document.text, document.indexed);
        let mut schemas: Vec<Schema> = documents.iter().filter_map(read).collect();
        let urn = |schema: &Schema| schema.id.clone();
        let extensions = schemas
            .iter()
            .skip(1)
            .map(|schema| SchemaExtension {
                schema: urn(schema),
                required: false,
            })
            .collect();
        let resource_type = ResourceType {
            id: name.into(),
            name: name.into(),
            endpoint: format!("/{name}s"),
            description: description.into(),
            schema: schemas.first().map(urn).unwrap_or_default(),
            schema_extensions: extensions,
            quiet: false,
        };
        schemas.extend(others.iter().filter_map(read));
        schemas
            .iter_mut()
            .flat_map(|schema| &mut schema.attributes)
            .for_each(enforce);
        OptionalType {
            resource_type,
            schemas,
            experimental,
        }
    };
    vec![
        one("Device", "Device (RFC 9944)", DEVICE, PAIRING, false),
        one(
            "EndpointApp",
            "Endpoint application (RFC 9944)",
            ENDPOINT_APP,
            &[],
            false,
        ),
        one("Agent", "Agent (experimental)", AGENTS, &[], true),
        one(
            "AgenticApplication",
            "Agentic application (experimental)",
            AGENTIC_APPLICATIONS,
            &[],
            true,
        ),
        one(
            "Role",
            "A value that roles may have (experimental)",
            ROLES,
            &[],
            true,
        ),
        one(
            "Entitlement",
            "A value that entitlements may have (experimental)",
            ENTITLEMENTS,
            &[],
            true,
        ),
    ]
});

/// RFC 9944 section 6: `applicationType` has one of two values.
fn enforce(attribute: &mut Attribute) {
    attribute.enforced = attribute.name == "applicationType";
}

/// What drafts add to `ServiceProviderConfig` where a tenant has their types.
static ANNOUNCED: LazyLock<Vec<Attribute>> = LazyLock::new(|| {
    let read = standard::read(
        include_str!("data/service_provider_config_drafts.json"),
        &[],
    );
    read.map(|schema| schema.attributes).unwrap_or_default()
});

/// The attributes that drafts add to the schema of `ServiceProviderConfig`.
pub fn announced() -> &'static [Attribute] {
    &ANNOUNCED
}

/// All of them.
pub fn types() -> &'static [OptionalType] {
    &TYPES
}

/// By name, without case.
pub fn type_named(name: &str) -> Option<&'static OptionalType> {
    TYPES
        .iter()
        .find(|optional| optional.resource_type.name.eq_ignore_ascii_case(name))
}

/// A set with these of its types only, and without the schemas that only the others have.
pub fn restricted(set: &SchemaSet, keeps: impl Fn(&TypeSchema) -> bool) -> SchemaSet {
    let (types, others): (Vec<&TypeSchema>, Vec<&TypeSchema>) = set
        .types()
        .iter()
        .map(|schema| &**schema)
        .partition(|schema| keeps(schema));
    if others.is_empty() {
        return set.clone();
    }
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let has = |one: &TypeSchema, urn: &str| same(&one.core.id, urn) || one.extension(urn).is_some();
    let brought = |one: &TypeSchema, urn: &str| {
        type_named(one.name())
            .is_some_and(|own| own.schemas.iter().any(|schema| same(&schema.id, urn)))
    };
    let stays = |urn: &str| {
        types.iter().any(|one| has(one, urn))
            || !others.iter().any(|one| has(one, urn) || brought(one, urn))
    };
    let schemas = set
        .schemas()
        .iter()
        .filter(|schema| stays(&schema.id))
        .cloned()
        .collect();
    let types = types
        .into_iter()
        .map(|schema| schema.resource_type.clone())
        .collect();
    SchemaSet::at_revision(types, schemas, set.revision()).unwrap_or_else(|_| set.clone())
}

/// The schema with this URN, without case.
pub fn schema(urn: &str) -> Option<&'static Schema> {
    TYPES
        .iter()
        .flat_map(|optional| &optional.schemas)
        .find(|schema| schema.id.eq_ignore_ascii_case(urn))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::attribute_path::AttributePath;
    use crate::filter::{Filter, FilterLimits};
    use crate::patch::{self, apply::apply, difference::difference};
    use crate::projection::Projection;
    use crate::quirk::{QuirkSet, normalize_patch, normalize_resource};
    use crate::resource::ValidResource;
    use crate::schema::set::{SchemaSet, TypeSchema};
    use crate::validate::validate;

    const DEVICE_URN: &str = "urn:ietf:params:scim:schemas:core:2.0:Device";
    const BLE: &str = "urn:ietf:params:scim:schemas:extension:ble:2.0:Device";
    const PASS_KEY: &str = "urn:ietf:params:scim:schemas:extension:pairingPassKey:2.0:Device";
    const JUST_WORKS: &str = "urn:ietf:params:scim:schemas:extension:pairingJustWorks:2.0:Device";
    const NULL: &str = "urn:ietf:params:scim:schemas:extension:pairingNull:2.0:Device";
    const OOB: &str = "urn:ietf:params:scim:schemas:extension:pairingOOB:2.0:Device";

    fn set() -> SchemaSet {
        let all = types()
            .iter()
            .flat_map(|optional| optional.schemas.clone())
            .collect();
        SchemaSet::new(
            types()
                .iter()
                .map(|optional| optional.resource_type.clone())
                .collect(),
            all,
        )
        .unwrap()
    }

    fn device(extra: Value) -> ValidResource {
        let mut ble = json!({"versionSupport": ["5.3"], "deviceMacAddress": "2C:54:91:88:C9:E2", "pairingMethods": [PASS_KEY]});
        ble.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let body = json!({"schemas": [DEVICE_URN, BLE], "displayName": "BLE Heart Monitor", "active": true, BLE: ble});
        validate(
            set().by_name("Device").unwrap(),
            body,
            None,
            &QuirkSet::strict(),
        )
        .unwrap()
        .resource
    }

    #[test]
    fn every_document_reads_and_every_indexed_name_exists() {
        let counts: Vec<_> = types()
            .iter()
            .map(|optional| {
                (
                    optional.resource_type.endpoint.as_str(),
                    optional.schemas.len(),
                )
            })
            .collect();
        let expected = [
            ("/Devices", 11),
            ("/EndpointApps", 1),
            ("/Agents", 1),
            ("/AgenticApplications", 1),
            ("/Roles", 1),
            ("/Entitlements", 1),
        ];
        assert_eq!(counts, expected);
        let set = set();
        let named: usize = [
            DEVICE,
            PAIRING,
            ENDPOINT_APP,
            AGENTS,
            AGENTIC_APPLICATIONS,
            ROLES,
            ENTITLEMENTS,
        ]
        .iter()
        .flat_map(|documents| documents.iter())
        .map(|document| document.indexed.len())
        .sum();
        // Beside those named: `externalId` of each type, and the unique `name` or `value` of four.
        let indexed: usize = set
            .types()
            .iter()
            .map(|schema| schema.indexed().len())
            .sum();
        assert_eq!(indexed, named + types().len() + 4);
        assert!(
            schema(&BLE.to_uppercase()).is_some()
                && type_named("device").is_some()
                && type_named("User").is_none()
        );
    }

    /// RFC 9944 section 7.1: the example with every pairing method.
    #[test]
    fn a_device_with_pairing_methods_within_its_extension() {
        let resource = device(json!({
            "irk": "secret", NULL: null, JUST_WORKS: {"key": null}, PASS_KEY.to_uppercase().replace("URN", "urn"): {"key": 123_456},
            OOB: {"key": "TheKey", "randNumber": 238_796_813_516_896_i64}
        }));
        let expected = json!({
            "versionSupport": ["5.3"], "deviceMacAddress": "2C:54:91:88:C9:E2", "pairingMethods": [PASS_KEY],
            PASS_KEY: {"key": 123_456}, OOB: {"key": "TheKey", "randNumber": 238_796_813_516_896_i64}
        });
        assert_eq!(resource.get(BLE), Some(&expected));
        let set = set();
        let refused = |extra: Value, path: &str| {
            let mut body = json!({"schemas": [DEVICE_URN, BLE], "active": true, BLE: extra});
            body[BLE]["versionSupport"] = json!(["5.3"]);
            let error = validate(
                set.by_name("Device").unwrap(),
                body,
                None,
                &QuirkSet::strict(),
            )
            .unwrap_err();
            assert_eq!(error.path(), Some(path), "{error}");
        };
        refused(
            json!({OOB: {"key": "k"}}),
            &format!("{BLE}:{OOB}.randNumber"),
        );
        refused(
            json!({PASS_KEY: {"key": "x"}}),
            &format!("{BLE}:{PASS_KEY}.key"),
        );
        refused(json!({PASS_KEY: 7}), &format!("{BLE}:{PASS_KEY}"));
        refused(json!({}), &format!("{BLE}:deviceMacAddress"));
    }

    /// RFC 9944 sections 7.1 to 7.5. Its examples have colons in an EUI-64 address; clients of its drafts leave them out.
    #[test]
    fn addresses_have_one_form() {
        let set = set();
        let schema = set.by_name("Device").unwrap();
        let extension =
            |name: &str| format!("urn:ietf:params:scim:schemas:extension:{name}:2.0:Device");
        let check = |name: &str, attribute: &str, value: Value, form: Option<&str>| {
            let urn = extension(name);
            let mut inside = json!({"versionSupport": ["1"], "pairingMethods": [NULL], "dppVersion": 2, "bootstrappingMethod": ["QR"], "bootstrapKey": "k",
                "deviceMacAddress": "00:00:00:00:00:00"});
            let known = schema.extension(&urn).unwrap();
            inside
                .as_object_mut()
                .unwrap()
                .retain(|name, _| known.attribute(name).is_some());
            inside[attribute] = value.clone();
            let body = json!({"schemas": [DEVICE_URN, urn], "active": true, urn.clone(): inside});
            for quirks in [QuirkSet::strict(), QuirkSet::standard()] {
                let checked = validate(schema, body.clone(), None, &quirks);
                match (form, checked) {
                    (None, checked) => assert!(checked.is_ok(), "{value}: {:?}", checked.err()),
                    (Some(form), Ok(_)) => panic!("{value} has not the form {form}"),
                    (Some(form), Err(error)) => {
                        assert!(
                            error
                                .path()
                                .unwrap()
                                .starts_with(&format!("{urn}:{attribute}")),
                            "{error}"
                        );
                        assert!(error.detail().contains(&format!("`{form}`")), "{error}");
                    }
                }
            }
        };
        let mac = Some("XX:XX:XX:XX:XX:XX");
        for name in ["ble", "dpp", "ethernet-mab"] {
            check(name, "deviceMacAddress", json!("2C:54:91:88:C9:e2"), None);
            for wrong in [
                "2C:54:91:88:C9",
                "2C:54:91:88:C9:E2:00",
                "2C-54-91-88-C9-E2",
                "2C549188C9E2",
                "2G:54:91:88:C9:E2",
                "2C:54:91:88:C9:é",
                "",
            ] {
                check(name, "deviceMacAddress", json!(wrong), mac);
            }
        }
        check(
            "ble",
            "separateBroadcastAddress",
            json!(["2C:54:91:88:C9:E3", "AA:BB:88:77:22:11"]),
            None,
        );
        check(
            "ble",
            "separateBroadcastAddress",
            json!(["2C:54:91:88:C9:E3", "none"]),
            mac,
        );
        let eui = "deviceEui64Address";
        check("zigbee", eui, json!("50:32:5F:FF:FE:E7:67:28"), None);
        check("zigbee", eui, json!("50325FFFFEE76728"), None);
        check(
            "zigbee",
            eui,
            json!("50:32:5F:FF:FE:E7"),
            Some("XX:XX:XX:XX:XX:XX:XX:XX"),
        );
        check(
            "zigbee",
            eui,
            json!("50325FFFFEE7672"),
            Some("XXXXXXXXXXXXXXXX"),
        );
    }

    #[test]
    fn paths_lead_into_extensions_within_the_extension() {
        let set = set();
        let schema = set.by_name("Device").unwrap();
        let check = |path: &str, expected: Option<&str>| {
            let found = schema
                .resolve(&AttributePath::parse(path).unwrap())
                .map(|found| found.canonical_path());
            assert_eq!(found.as_deref(), expected, "{path}");
        };
        let (whole, key) = (format!("{BLE}:{PASS_KEY}"), format!("{BLE}:{PASS_KEY}.key"));
        check(&whole, Some(&whole));
        check(&key, Some(&key));
        check(&key.to_lowercase(), Some(&key));
        check(&format!("{whole}.nothing"), None);
        check(BLE, Some(BLE));
        check(PASS_KEY, None);
        check(&format!("{BLE}:urn:x:Device"), None);
        let resource = device(json!({PASS_KEY: {"key": 123_456}}));
        for (text, expected) in [
            (format!("{key} eq 123456"), true),
            (format!("{key} gt 123456"), false),
            (format!("{whole} pr"), true),
            (format!("{BLE}:{OOB} pr"), false),
            (format!("{BLE}:pairingMethods eq \"{PASS_KEY}\""), true),
        ] {
            let filter = Filter::parse(&text, FilterLimits::default()).unwrap();
            filter.check(&[schema.as_ref()]).unwrap();
            assert_eq!(
                filter.matches(schema, resource.document()),
                expected,
                "{text}"
            );
        }
        let mut shown = resource.document().clone();
        Projection::new(std::slice::from_ref(&key), &[])
            .unwrap()
            .apply(schema, &mut shown);
        assert_eq!(shown.get(BLE), Some(&json!({PASS_KEY: {"key": 123_456}})));
        let mut shown = resource.document().clone();
        Projection::new(&[], std::slice::from_ref(&whole))
            .unwrap()
            .apply(schema, &mut shown);
        assert!(shown[BLE].get(PASS_KEY).is_none() && shown[BLE].get("versionSupport").is_some());
        let irk = Filter::parse(&format!("{BLE}:irk pr"), FilterLimits::default()).unwrap();
        assert!(irk.check(&[schema.as_ref()]).is_err());
    }

    fn patched(
        schema: &TypeSchema,
        before: &ValidResource,
        operations: Value,
        quirks: &QuirkSet,
    ) -> ValidResource {
        let mut body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
        normalize_patch(quirks, schema, &mut body);
        apply(
            schema,
            before,
            &patch::parse(schema, body, quirks).unwrap(),
            quirks,
        )
        .unwrap()
    }

    #[test]
    fn patch_reaches_extensions_within_the_extension() {
        let set = set();
        let schema = set.by_name("Device").unwrap();
        let (before, after) = (
            device(json!({PASS_KEY: {"key": 123_456}})),
            device(json!({PASS_KEY: {"key": 7}})),
        );
        let (whole, key) = (format!("{BLE}:{PASS_KEY}"), format!("{BLE}:{PASS_KEY}.key"));
        for quirks in [QuirkSet::strict(), QuirkSet::standard()] {
            for operations in [
                json!([{"op": "replace", "path": key, "value": 7}]),
                json!([{"op": "replace", "path": whole, "value": {"key": 7}}]),
                json!([{"op": "add", "path": BLE, "value": {PASS_KEY: {"key": 7}}}]),
                json!([{"op": "replace", "value": {BLE: {PASS_KEY: {"key": 7}}}}]),
                json!([{"op": "remove", "path": whole}, {"op": "add", "path": key, "value": 7}]),
            ] {
                assert_eq!(
                    patched(schema, &before, operations.clone(), &quirks),
                    after,
                    "{operations}"
                );
            }
            assert_eq!(
                patched(
                    schema,
                    &before,
                    json!([{"op": "remove", "path": whole}]),
                    &quirks
                ),
                device(json!({}))
            );
        }
        for (from, to) in [
            (&before, &after),
            (&before, &device(json!({}))),
            (&device(json!({})), &after),
        ] {
            let operations = difference(schema, from, to);
            assert_eq!(
                apply(schema, from, &operations, &QuirkSet::strict()).unwrap(),
                *to
            );
            let printed = patch::to_json(&operations);
            let parsed = patch::parse(schema, printed, &QuirkSet::strict()).unwrap();
            assert_eq!(
                apply(schema, from, &parsed, &QuirkSet::strict()).unwrap(),
                *to
            );
        }
    }

    #[test]
    fn quirks_leave_urn_named_attributes_alone() {
        let set = set();
        let mut body = json!({"schemas": [DEVICE_URN, BLE], "active": "True", BLE: {
            "versionSupport": ["5.3"], "deviceMacAddress": "2C:54:91:88:C9:E2", "pairingMethods": [PASS_KEY], PASS_KEY: {"key": 7}}});
        let schema = set.by_name("Device").unwrap();
        normalize_resource(&QuirkSet::standard(), schema, &mut body);
        let resource = validate(schema, body, None, &QuirkSet::standard())
            .unwrap()
            .resource;
        assert_eq!(resource.get("active"), Some(&json!(true)));
        assert_eq!(
            resource.get(BLE).and_then(|ble| ble.get(PASS_KEY)),
            Some(&json!({"key": 7}))
        );
    }

    #[test]
    fn an_application_type_is_one_of_two() {
        let set = set();
        let check = |kind: &str| {
            let urn = "urn:ietf:params:scim:schemas:core:2.0:EndpointApp";
            let body = json!({"schemas": [urn], "applicationName": "A", "applicationType": kind, "clientToken": "t"});
            validate(
                set.by_name("EndpointApp").unwrap(),
                body,
                None,
                &QuirkSet::strict(),
            )
        };
        assert!(check("DeviceControl").is_ok());
        let kept: Map<String, Value> = check("telemetry").unwrap().resource.into_document();
        assert!(!kept.contains_key("clientToken"));
        let error = check("other").unwrap_err();
        assert!(
            error.detail().contains("`deviceControl`, `telemetry`"),
            "{error}"
        );
    }
}
