//! User, `EnterpriseUser`, Group and the three service schemas as RFC 7643 section 8.7 gives them; the common attributes of section 3.1.
//! Does not say which resource types exist: that is `schema::set`.
//!
//! The documents under `data/` follow the text of section 8.7 with the corrections that the RFC's other sections force: `addresses.primary` (used by
//! figure 8.2), `members.display` (section 2.4), references and binaries compared with case (section 2.3), plural attributes of section 8.7.2.

use std::sync::LazyLock;

use super::{Attribute, AttributeType, Mutability, Returned, Schema, Uniqueness};

/// The core User schema.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The core Group schema.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The enterprise extension of User.
pub const ENTERPRISE_USER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The schema of `ServiceProviderConfig`.
pub const SERVICE_PROVIDER_CONFIG: &str =
    "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
/// The schema of `ResourceType`.
pub const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
/// The schema of Schema.
pub const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";

const USER_INDEXED: &[&str] = &[
    "userName",
    "displayName",
    "name.familyName",
    "name.givenName",
    "nickName",
    "title",
    "userType",
    "active",
    "emails.value",
    "phoneNumbers.value",
];
const ENTERPRISE_INDEXED: &[&str] = &[
    "employeeNumber",
    "department",
    "costCenter",
    "organization",
    "division",
    "manager.value",
];
const GROUP_INDEXED: &[&str] = &["displayName"];

static SCHEMAS: LazyLock<Vec<Schema>> = LazyLock::new(|| {
    let documents: [(&str, &[&str]); 6] = [
        (include_str!("data/user.json"), USER_INDEXED),
        (
            include_str!("data/enterprise_user.json"),
            ENTERPRISE_INDEXED,
        ),
        (include_str!("data/group.json"), GROUP_INDEXED),
        (include_str!("data/service_provider_config.json"), &[]),
        (include_str!("data/resource_type.json"), &[]),
        (include_str!("data/schema.json"), &[]),
    ];
    // A document that does not parse would be missing here; the tests below count them.
    documents
        .iter()
        .filter_map(|(text, indexed)| read(text, indexed))
        .collect()
});

pub(super) fn read(text: &str, indexed: &[&str]) -> Option<Schema> {
    let mut schema: Schema = serde_json::from_str(text).ok()?;
    for path in indexed {
        let (name, sub) = path
            .split_once('.')
            .map_or((*path, None), |(name, sub)| (name, Some(sub)));
        let attribute = schema
            .attributes
            .iter_mut()
            .find(|attribute| attribute.name == name);
        let target = match (attribute, sub) {
            (Some(attribute), Some(sub)) => attribute
                .sub_attributes
                .iter_mut()
                .find(|attribute| attribute.name == sub),
            (attribute, _) => attribute,
        };
        if let Some(target) = target {
            target.indexed = true;
        }
    }
    Some(schema)
}

/// All standard schemas: User, `EnterpriseUser`, Group, `ServiceProviderConfig`, `ResourceType`, Schema.
pub fn schemas() -> Vec<Schema> {
    SCHEMAS.clone()
}

/// `schemas`, `id`, `externalId`, `meta` (RFC 7643 section 3 and 3.1).
pub fn common_attributes() -> Vec<Attribute> {
    COMMON.clone()
}

static COMMON: LazyLock<Vec<Attribute>> = LazyLock::new(|| {
    let read_only = |name: &str, kind, description: &str| Attribute {
        mutability: Mutability::ReadOnly,
        case_exact: matches!(kind, AttributeType::String | AttributeType::Reference),
        ..plain(name, kind, description)
    };
    vec![
        Attribute {
            multi_valued: true,
            required: true,
            case_exact: true,
            returned: Returned::Always,
            reference_types: vec!["uri".into()],
            ..plain(
                "schemas",
                AttributeType::Reference,
                "The URNs of the schemas of the resource.",
            )
        },
        Attribute {
            returned: Returned::Always,
            uniqueness: Uniqueness::Server,
            ..read_only(
                "id",
                AttributeType::String,
                "The unique identifier that the service provider gives to the resource.",
            )
        },
        Attribute {
            case_exact: true,
            indexed: true,
            ..plain(
                "externalId",
                AttributeType::String,
                "The identifier that the provisioning client gives to the resource.",
            )
        },
        Attribute {
            sub_attributes: vec![
                read_only(
                    "resourceType",
                    AttributeType::String,
                    "The name of the resource type.",
                ),
                read_only(
                    "created",
                    AttributeType::DateTime,
                    "When the resource was added to the service provider.",
                ),
                read_only(
                    "lastModified",
                    AttributeType::DateTime,
                    "When the resource was last changed.",
                ),
                Attribute {
                    reference_types: vec!["uri".into()],
                    ..read_only(
                        "location",
                        AttributeType::Reference,
                        "The URI of the resource.",
                    )
                },
                read_only(
                    "version",
                    AttributeType::String,
                    "The version of the resource, as in the ETag header.",
                ),
            ],
            ..read_only(
                "meta",
                AttributeType::Complex,
                "What the service provider says about the resource.",
            )
        },
    ]
});

fn plain(name: &str, kind: AttributeType, description: &str) -> Attribute {
    Attribute {
        name: name.into(),
        kind,
        sub_attributes: Vec::new(),
        multi_valued: false,
        description: description.into(),
        required: false,
        canonical_values: Vec::new(),
        case_exact: false,
        mutability: Mutability::ReadWrite,
        returned: Returned::Default,
        uniqueness: Uniqueness::None,
        reference_types: Vec::new(),
        indexed: false,
        enforced: false,
        forms: Vec::new(),
    }
}

static DEFAULT_SUB_ATTRIBUTES: LazyLock<[Attribute; 5]> = LazyLock::new(|| {
    [
        plain("value", AttributeType::String, "The value."),
        plain(
            "display",
            AttributeType::String,
            "A name of the value for people.",
        ),
        plain("type", AttributeType::String, "What the value is for."),
        plain(
            "primary",
            AttributeType::Boolean,
            "Whether the value is the preferred one.",
        ),
        Attribute {
            case_exact: true,
            reference_types: vec!["uri".into()],
            ..plain(
                "$ref",
                AttributeType::Reference,
                "The URI of the resource that the value names.",
            )
        },
    ]
});

/// The sub-attributes that RFC 7643 section 2.4 gives to every multi-valued complex attribute, whether or not its schema lists them.
pub fn default_sub_attribute(name: &str) -> Option<&'static Attribute> {
    DEFAULT_SUB_ATTRIBUTES
        .iter()
        .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn find<'a>(urn: &str, name: &str, sub: Option<&str>, all: &'a [Schema]) -> &'a Attribute {
        let attribute = all
            .iter()
            .find(|s| s.id == urn)
            .unwrap()
            .attributes
            .iter()
            .find(|a| a.name == name)
            .unwrap();
        sub.map_or(attribute, |sub| {
            attribute
                .sub_attributes
                .iter()
                .find(|a| a.name == sub)
                .unwrap()
        })
    }

    /// Every characteristic of the documents survives reading and printing.
    #[test]
    fn rfc7643_section_8_7_documents_round_trip() {
        fn same(document: &Value, printed: &Value, path: &str) {
            for (key, value) in document.as_object().unwrap() {
                let ours = &printed[key];
                match (key.as_str(), value) {
                    ("schemas" | "meta", _) if path.is_empty() => {}
                    ("attributes" | "subAttributes", Value::Array(list)) => {
                        assert_eq!(list.len(), ours.as_array().unwrap().len(), "{path}");
                        for (a, b) in list.iter().zip(ours.as_array().unwrap()) {
                            same(a, b, &format!("{path}/{}", a["name"]));
                        }
                    }
                    _ => assert_eq!(value, ours, "{path}/{key}"),
                }
            }
        }
        let documents = [
            include_str!("data/user.json"),
            include_str!("data/enterprise_user.json"),
            include_str!("data/group.json"),
            include_str!("data/service_provider_config.json"),
            include_str!("data/resource_type.json"),
            include_str!("data/schema.json"),
        ];
        let all = schemas();
        assert_eq!(all.len(), documents.len());
        for (document, schema) in documents.iter().zip(&all) {
            same(
                &serde_json::from_str(document).unwrap(),
                &serde_json::to_value(schema).unwrap(),
                "",
            );
        }
    }

    /// Spot checks against the text of RFC 7643 section 8.7.1.
    #[test]
    fn rfc7643_section_8_7_1_characteristics() {
        let all = schemas();
        let user_name = find(USER, "userName", None, &all);
        assert_eq!(
            (
                user_name.required,
                user_name.case_exact,
                user_name.uniqueness
            ),
            (true, false, Uniqueness::Server)
        );
        let password = find(USER, "password", None, &all);
        assert_eq!(
            (password.mutability, password.returned),
            (Mutability::WriteOnly, Returned::Never)
        );
        assert_eq!(
            find(USER, "emails", Some("type"), &all).canonical_values,
            ["work", "home", "other"]
        );
        assert_eq!(
            find(USER, "groups", None, &all).mutability,
            Mutability::ReadOnly
        );
        assert_eq!(
            find(USER, "x509Certificates", Some("value"), &all).kind,
            AttributeType::Binary
        );
        assert_eq!(
            find(USER, "groups", Some("$ref"), &all).reference_types,
            ["User", "Group"]
        );
        assert!(!find(GROUP, "displayName", None, &all).required);
        assert_eq!(
            find(GROUP, "members", Some("value"), &all).mutability,
            Mutability::Immutable
        );
        let manager = find(ENTERPRISE_USER, "manager", Some("value"), &all);
        assert_eq!((manager.required, manager.case_exact), (false, false));
        assert_eq!(
            find(ENTERPRISE_USER, "manager", Some("displayName"), &all).mutability,
            Mutability::ReadOnly
        );
    }

    #[test]
    fn every_name_in_the_index_lists_exists() {
        let all = schemas();
        for (urn, paths) in [
            (USER, USER_INDEXED),
            (ENTERPRISE_USER, ENTERPRISE_INDEXED),
            (GROUP, GROUP_INDEXED),
        ] {
            for path in paths {
                let (name, sub) = path
                    .split_once('.')
                    .map_or((*path, None), |(a, b)| (a, Some(b)));
                assert!(find(urn, name, sub, &all).indexed, "{path}");
            }
        }
    }
}
