//! A tenant's own schemas and resource types over the standard ones, as documents with versions. Does not decide which changes are allowed.

use std::sync::LazyLock;

use jiff::Timestamp;
use scim_protocol::schema::optional;
use scim_protocol::schema::set::ResourceType;
use scim_protocol::schema::{Schema, standard};
use scim_protocol::{Error, SchemaSet};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The author of the documents of a tenant that was just made: no credential's id.
pub const PROGRAM: &str = "rollcall";

/// What a document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DocumentKind {
    /// A schema (RFC 7643 section 7).
    Schema,
    /// A resource type (RFC 7643 section 6).
    ResourceType,
}

impl DocumentKind {
    /// As the store writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::ResourceType => "resource-type",
        }
    }
}

/// A version of a document. Versions are never deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentVersion {
    /// Counted from 1.
    pub version: u64,
    /// When it became the current one.
    pub at: Timestamp,
    /// The public id of the credential that made it.
    pub author: String,
    /// What it says; `None`: the document was removed.
    pub document: Option<Value>,
}

/// The documents that hold in a tenant beside the standard ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TenantTypes {
    /// Raised with every change; 0 where there never was one.
    pub revision: u64,
    /// Its own schemas, and standard ones with constraints of its own.
    pub schemas: Vec<Schema>,
    /// Its own resource types, and standard ones with extensions of its own.
    pub resource_types: Vec<ResourceType>,
}

/// The types of a tenant that was just made, and what they come to: nearly all tenants share it.
static FIRST: LazyLock<(TenantTypes, Result<SchemaSet, Error>)> = LazyLock::new(|| {
    let quiet = |brought: &optional::OptionalType| ResourceType {
        quiet: true,
        ..brought.resource_type.clone()
    };
    let mut resource_types: Vec<ResourceType> = optional::types().iter().map(quiet).collect();
    // The order in which stores give documents that came at one moment.
    resource_types.sort_by_key(|brought| brought.name.to_ascii_lowercase());
    let types = TenantTypes {
        revision: 1,
        schemas: Vec::new(),
        resource_types,
    };
    let set = types.build();
    (types, set)
});

/// A schema as it is kept and shown to administrators: with `x-indexed` and `x-enforced`.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    #[serde(default)]
    schemas: Vec<String>,
    #[serde(flatten)]
    document: T,
}

/// The document of a schema, as it is kept.
pub fn schema_document(schema: &Schema) -> Value {
    document(standard::SCHEMA, schema)
}

/// The document of a resource type, as it is kept.
pub fn resource_type_document(resource_type: &ResourceType) -> Value {
    document(standard::RESOURCE_TYPE, resource_type)
}

/// These structures hold strings, booleans and lists of such, which always can be JSON.
fn document(urn: &str, document: &impl Serialize) -> Value {
    serde_json::to_value(Kept {
        schemas: vec![urn.to_owned()],
        document,
    })
    .unwrap_or_default()
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

impl TenantTypes {
    /// Those of a tenant that was just made: every type that this program brings is on, and quiet.
    pub fn first() -> &'static Self {
        &FIRST.0
    }

    /// One of its own schemas, without case.
    pub fn schema(&self, urn: &str) -> Option<&Schema> {
        self.schemas.iter().find(|schema| same(&schema.id, urn))
    }

    /// One of its own resource types, without case.
    pub fn resource_type(&self, name: &str) -> Option<&ResourceType> {
        self.resource_types
            .iter()
            .find(|resource_type| same(&resource_type.name, name))
    }

    /// The schema that holds: its own, or the one that this program brings.
    pub fn known_schema(&self, urn: &str) -> Option<Schema> {
        self.schema(urn).cloned().or_else(|| brought_schema(urn))
    }

    /// The resource type that holds: its own, or User or Group.
    pub fn known_type(&self, name: &str) -> Option<ResourceType> {
        self.resource_type(name)
            .cloned()
            .or_else(|| standard_type(name))
    }

    /// All resource types: User and Group first.
    pub fn all_types(&self) -> Vec<ResourceType> {
        let set = SchemaSet::standard();
        let standard = set.types().iter().map(|schema| schema.name().to_owned());
        let mut types: Vec<ResourceType> =
            standard.filter_map(|name| self.known_type(&name)).collect();
        types.extend(
            self.resource_types
                .iter()
                .filter(|own| standard_type(&own.name).is_none())
                .cloned(),
        );
        types
    }

    /// The tenant's schemas. Refuses types whose schemas are not there.
    pub fn schema_set(&self) -> Result<SchemaSet, Error> {
        if self.revision == 0 {
            return Ok(SchemaSet::standard());
        }
        if self == Self::first() {
            FIRST.1.clone()
        } else {
            self.build()
        }
    }

    /// Whether its schemas are those of many tenants, and made already.
    pub fn is_shared(&self) -> bool {
        self.revision == 0 || self == Self::first()
    }

    fn build(&self) -> Result<SchemaSet, Error> {
        let types = self.all_types();
        let mut schemas: Vec<Schema> = standard::schemas()
            .into_iter()
            .map(|schema| self.schema(&schema.id).cloned().unwrap_or(schema))
            .collect();
        let brought = optional::types().iter().filter(|brought| {
            types
                .iter()
                .any(|found| same(&found.name, &brought.resource_type.name))
        });
        let named = types.iter().flat_map(|found| {
            std::iter::once(&found.schema).chain(found.schema_extensions.iter().map(|e| &e.schema))
        });
        let urns: Vec<String> = brought
            .flat_map(|brought| brought.schemas.iter().map(|schema| schema.id.clone()))
            .chain(named.cloned())
            .chain(self.schemas.iter().map(|schema| schema.id.clone()))
            .collect();
        for urn in urns {
            if !schemas.iter().any(|schema| same(&schema.id, &urn)) {
                schemas.extend(self.known_schema(&urn));
            }
        }
        SchemaSet::at_revision(types, schemas, self.revision)
    }
}

/// A schema that this program brings, without case.
pub fn brought_schema(urn: &str) -> Option<Schema> {
    standard::schemas()
        .into_iter()
        .find(|schema| same(&schema.id, urn))
        .or_else(|| optional::schema(urn).cloned())
}

/// User or Group as RFC 7643 has them.
pub fn standard_type(name: &str) -> Option<ResourceType> {
    SchemaSet::standard()
        .by_name(name)
        .map(|schema| schema.resource_type.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_are_switched_on_bring_their_schemas() {
        let device = optional::type_named("Device").unwrap();
        let types = TenantTypes {
            revision: 3,
            schemas: Vec::new(),
            resource_types: vec![device.resource_type.clone()],
        };
        let set = types.schema_set().unwrap();
        assert_eq!(set.revision(), 3);
        let names: Vec<_> = set
            .types()
            .iter()
            .map(|schema| (schema.name(), schema.revision))
            .collect();
        assert_eq!(names, [("User", 3), ("Group", 3), ("Device", 3)]);
        assert_eq!(set.schemas().len(), 6 + device.schemas.len());
        assert_eq!(
            TenantTypes::default().schema_set().unwrap().schemas().len(),
            6
        );
    }

    #[test]
    fn tenants_that_were_just_made_share_their_schemas() {
        let set = |types: TenantTypes| types.schema_set().unwrap();
        let (one, other) = (
            set(TenantTypes::first().clone()),
            set(TenantTypes::first().clone()),
        );
        assert!(
            std::ptr::eq(one.schemas(), other.schemas())
                && std::ptr::eq(one.types(), other.types())
        );
        let names: Vec<_> = one.types().iter().map(|schema| schema.name()).collect();
        assert_eq!(
            names,
            [
                "User",
                "Group",
                "Agent",
                "AgenticApplication",
                "Device",
                "EndpointApp",
                "Entitlement",
                "Role"
            ]
        );
        assert_eq!(one.revision(), 1);
        // A tenant that changed anything has types of its own.
        let mut changed = TenantTypes {
            revision: 2,
            ..TenantTypes::first().clone()
        };
        assert_eq!(set(changed.clone()).revision(), 2);
        changed.resource_types.pop();
        assert!(
            set(TenantTypes {
                revision: 1,
                ..changed
            })
            .by_name("Role")
            .is_none()
        );
    }

    #[test]
    fn what_is_kept_reads_back() {
        let device = optional::type_named("EndpointApp").unwrap();
        let schema = device.schemas.first().unwrap();
        let kept = schema_document(schema);
        assert_eq!(kept["schemas"][0], standard::SCHEMA);
        assert_eq!(kept["attributes"][0]["x-enforced"], true);
        assert_eq!(&serde_json::from_value::<Schema>(kept).unwrap(), schema);
        let kept = resource_type_document(&device.resource_type);
        assert_eq!(
            serde_json::from_value::<ResourceType>(kept).unwrap(),
            device.resource_type
        );
    }
}
