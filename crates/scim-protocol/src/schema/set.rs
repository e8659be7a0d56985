//! A tenant's schemas and resource types, and how a path finds its attribute in them. Does not check values.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Attribute, AttributeType, Mutability, Schema, Uniqueness, standard};
use crate::attribute_path::AttributePath;
use crate::error::{Error, ErrorKind};

/// A resource type (RFC 7643 section 6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceType {
    /// `User`.
    pub id: String,
    /// `User`.
    pub name: String,
    /// `/Users`.
    pub endpoint: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// URN of the core schema.
    pub schema: String,
    /// Extensions.
    #[serde(default)]
    pub schema_extensions: Vec<SchemaExtension>,
    /// Whether lists of what there is leave it out until there is a resource of it.
    #[serde(
        default,
        rename = "x-quiet",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub quiet: bool,
}

/// An extension of a resource type (RFC 7643 section 6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SchemaExtension {
    /// URN of the extension's schema.
    pub schema: String,
    /// Whether every resource must have it.
    pub required: bool,
}

/// A resource type with its schemas at hand.
#[derive(Clone, Debug)]
pub struct TypeSchema {
    /// The resource type.
    pub resource_type: ResourceType,
    /// Its core schema.
    pub core: Schema,
    /// Its extensions, in the order of `resource_type.schema_extensions`.
    pub extensions: Vec<Schema>,
    /// `schemas`, `id`, `externalId`, `meta`; without what the core schema has itself.
    pub common: Vec<Attribute>,
    /// The revision of the tenant's types that it belongs to; 0 for the standard ones.
    pub revision: u64,
    indexed: Vec<IndexedAttribute>,
    /// Names of attributes and sub-attributes that an answer has only if they are asked for, or never, as they stand in JSON: in quotes.
    hidden: Vec<String>,
}

/// Where a path leads.
#[derive(Clone, Copy, Debug)]
pub struct Resolved<'a> {
    /// URN of the extension (its canonical spelling), where the attribute is in one.
    pub extension: Option<&'a str>,
    /// The attribute; `None` where the path names a whole extension.
    pub attribute: Option<&'a Attribute>,
    /// The sub-attribute.
    pub sub_attribute: Option<&'a Attribute>,
}

impl<'a> Resolved<'a> {
    /// The canonical path, the key of index rows: `userName`, `emails.value`, `urn:...:User:department`.
    pub fn canonical_path(&self) -> String {
        let names = [self.attribute, self.sub_attribute]
            .map(|found| found.map(|attribute| attribute.name.as_str()));
        match names {
            [Some(attribute), sub] => canonical(self.extension, attribute, sub),
            [None, _] => self.extension.unwrap_or_default().to_owned(),
        }
    }

    /// The innermost attribute that the path names.
    pub fn leaf(&self) -> Option<&'a Attribute> {
        self.sub_attribute.or(self.attribute)
    }

    /// The same, with the sub-attribute `value` where a complex attribute is named alone: that is what `emails co "x"` compares and what `sortBy=emails`
    /// sorts by. `None` where there is nothing simple to compare.
    pub fn comparable(self) -> Option<Self> {
        let attribute = self.attribute?;
        match self.sub_attribute {
            None if attribute.kind == AttributeType::Complex => {
                let value =
                    find(&attribute.sub_attributes, "value").filter(|sub| sub.is_readable())?;
                Some(Self {
                    sub_attribute: Some(value),
                    ..self
                })
            }
            Some(sub) if sub.kind == AttributeType::Complex => None,
            _ => Some(self),
        }
    }

    /// Whether everything on the way may be read (RFC 7644 section 3.4.2.2: what is never returned is not filtered on).
    pub fn is_readable(&self) -> bool {
        self.attribute.is_none_or(Attribute::is_readable)
            && self.sub_attribute.is_none_or(Attribute::is_readable)
    }

    /// What to name in a filter or an order instead of a URI that is written when a resource is answered, from the URL of the request: no store has it.
    /// `None` for everything that is stored, such as a `$ref` that clients write.
    pub fn stored_instead(&self) -> Option<String> {
        let (attribute, sub) = (self.attribute?, self.sub_attribute?);
        match (attribute.name.as_str(), sub.name.as_str()) {
            ("meta", "location") if self.extension.is_none() => Some("id".to_owned()),
            (name, "$ref") => {
                let is_ours = [attribute, sub]
                    .iter()
                    .any(|found| found.mutability == Mutability::ReadOnly);
                let is_member =
                    self.extension.is_none() && name == "members" && attribute.multi_valued;
                (is_ours || is_member).then(|| canonical(self.extension, name, Some("value")))
            }
            _ => None,
        }
    }

    /// The value of the attribute (not of the sub-attribute) in a resource with canonical names; the whole object where the path names an extension.
    pub fn value_in<'r>(&self, resource: &'r Map<String, Value>) -> Option<&'r Value> {
        match (self.extension, self.attribute) {
            (None, Some(attribute)) => resource.get(&attribute.name),
            (Some(urn), Some(attribute)) => resource.get(urn)?.get(&attribute.name),
            (Some(urn), None) => resource.get(urn),
            (None, None) => None,
        }
    }
}

fn canonical(extension: Option<&str>, attribute: &str, sub: Option<&str>) -> String {
    let mut path = String::with_capacity(32);
    if let Some(urn) = extension {
        path.push_str(urn);
        path.push(':');
    }
    path.push_str(attribute);
    if let Some(sub) = sub {
        path.push('.');
        path.push_str(sub);
    }
    path
}

fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes
        .iter()
        .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

/// Whether `urn` is `schema:attribute` or `schema:attribute.sub`, which is how a path that is only a URN was parsed.
fn is_bare_urn(path: &AttributePath, schema: &str, urn: &str) -> bool {
    let tail = |text: &str, rest: &str| text.len() == rest.len() && text.eq_ignore_ascii_case(rest);
    let Some((start, rest)) = urn.rsplit_once(':') else {
        return false;
    };
    if !start.eq_ignore_ascii_case(schema) {
        return false;
    }
    match &path.sub_attribute {
        None => tail(&path.attribute, rest),
        Some(sub) => rest
            .split_once('.')
            .is_some_and(|(a, b)| tail(&path.attribute, a) && tail(sub, b)),
    }
}

impl TypeSchema {
    /// A resource type with its schemas; `extensions` in the order of `resource_type.schema_extensions`.
    pub fn new(resource_type: ResourceType, core: Schema, extensions: Vec<Schema>) -> Self {
        let mut common = standard::common_attributes();
        // A tenant's constraint on a common attribute is in its core schema.
        common.retain(|attribute| core.attribute(&attribute.name).is_none());
        let mut indexed = Vec::new();
        // `id` and `meta` are columns of their own in every store, so of the common attributes only `externalId` is marked.
        collect_indexed(
            None,
            common.iter().filter(|attribute| attribute.indexed),
            &mut indexed,
        );
        collect_indexed(None, core.attributes.iter(), &mut indexed);
        for extension in &extensions {
            collect_indexed(
                Some(&extension.id),
                extension.attributes.iter(),
                &mut indexed,
            );
        }
        let all = extensions
            .iter()
            .flat_map(|extension| &extension.attributes)
            .chain(&common)
            .chain(&core.attributes);
        let all =
            all.flat_map(|attribute| std::iter::once(attribute).chain(&attribute.sub_attributes));
        let hidden = all
            .filter(|attribute| attribute.is_hidden())
            .map(|attribute| format!("\"{}\"", attribute.name))
            .collect();
        Self {
            resource_type,
            core,
            extensions,
            common,
            revision: 0,
            indexed,
            hidden,
        }
    }

    /// The names, in quotes, of what an answer does not have unless it is asked for.
    pub(crate) fn hidden_names(&self) -> impl Iterator<Item = &str> {
        self.hidden.iter().map(String::as_str)
    }

    /// `User`.
    pub fn name(&self) -> &str {
        &self.resource_type.name
    }

    /// The extension with this URN, without case.
    pub fn extension(&self, urn: &str) -> Option<&Schema> {
        self.extensions
            .iter()
            .find(|extension| extension.id.eq_ignore_ascii_case(urn))
    }

    /// Finds what a path names, without case, in core, common and extension attributes; `None` where nothing is named so. A path without URN names
    /// core and common attributes only (RFC 7644 section 3.10).
    pub fn resolve(&self, path: &AttributePath) -> Option<Resolved<'_>> {
        let Some(schema) = path.schema.as_deref() else {
            return Self::within(None, self.core_attribute(&path.attribute)?, path);
        };
        if schema.eq_ignore_ascii_case(&self.core.id) {
            return Self::within(None, self.core_attribute(&path.attribute)?, path);
        }
        if let Some(extension) = self.extension(schema) {
            return Self::within(
                Some(&extension.id),
                find(&extension.attributes, &path.attribute)?,
                path,
            );
        }
        let whole = self
            .extensions
            .iter()
            .find(|extension| is_bare_urn(path, schema, &extension.id));
        match whole {
            Some(whole) => Some(Resolved {
                extension: Some(&whole.id),
                attribute: None,
                sub_attribute: None,
            }),
            None => self.named_by_urn(path, schema),
        }
    }

    /// The path that a client means by one that leads nowhere. `None` where there is nothing that it could be, or more than one thing.
    ///
    /// - The name of an attribute that the core schema does not have and exactly one extension has (`manager`) is that of the extension.
    /// - A dot behind the URN of a schema (`urn:...:2.0:User.manager`) stands for a colon.
    ///
    /// The sub-attribute is taken over as it is, so that a refusal of it names the attribute that was found.
    pub fn meant(&self, path: &AttributePath) -> Option<AttributePath> {
        if self.resolve(path).is_some() || self.names_whole_core(path) {
            return None;
        }
        if path.schema.is_some() {
            return self.behind_a_dot(path);
        }
        if self.core_attribute(&path.attribute).is_some() {
            return None;
        }
        let mut having = self
            .extensions
            .iter()
            .filter(|extension| extension.attribute(&path.attribute).is_some());
        match (having.next(), having.next()) {
            (Some(only), None) => Some(AttributePath {
                schema: Some(only.id.clone()),
                ..path.clone()
            }),
            _ => None,
        }
    }

    fn behind_a_dot(&self, path: &AttributePath) -> Option<AttributePath> {
        let text = path.to_string();
        let behind = |urn: &str| {
            let start = text.get(..urn.len())?;
            let rest = text.get(urn.len()..)?.strip_prefix('.')?;
            let named = AttributePath::parse(rest)
                .ok()
                .filter(|_| start.eq_ignore_ascii_case(urn))?;
            Some(AttributePath {
                schema: Some(urn.to_owned()),
                ..named
            })
        };
        let urns = self
            .extensions
            .iter()
            .chain([&self.core])
            .map(|schema| schema.id.as_str());
        let mut found = urns.filter_map(behind).filter(|path| {
            let alone = AttributePath {
                sub_attribute: None,
                ..path.clone()
            };
            self.resolve(&alone).is_some()
        });
        match (found.next(), found.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }

    /// RFC 9944 section 7.1.2 puts extensions within an extension: complex attributes that are named by a URN. A path to one, `EXTENSION:URN` or
    /// `EXTENSION:URN.sub`, was parsed with its last colon as the end of the schema.
    fn named_by_urn(&self, path: &AttributePath, schema: &str) -> Option<Resolved<'_>> {
        self.extensions.iter().find_map(|extension| {
            let start = schema.get(..extension.id.len())?;
            let rest = schema.get(extension.id.len()..)?.strip_prefix(':')?;
            if !start.eq_ignore_ascii_case(&extension.id) {
                return None;
            }
            let is_it = |attribute: &&Attribute| {
                let parts = attribute.name.rsplit_once(':');
                parts.is_some_and(|(first, last)| {
                    first.eq_ignore_ascii_case(rest) && last.eq_ignore_ascii_case(&path.attribute)
                })
            };
            Self::within(
                Some(&extension.id),
                extension.attributes.iter().find(is_it)?,
                path,
            )
        })
    }

    /// Whether a path is the URN of the core schema and nothing else.
    pub fn names_whole_core(&self, path: &AttributePath) -> bool {
        path.schema
            .as_deref()
            .is_some_and(|schema| is_bare_urn(path, schema, &self.core.id))
    }

    /// A core or common attribute by its name, without case.
    pub fn core_attribute(&self, name: &str) -> Option<&Attribute> {
        find(&self.core.attributes, name).or_else(|| find(&self.common, name))
    }

    fn within<'a>(
        extension: Option<&'a str>,
        attribute: &'a Attribute,
        path: &AttributePath,
    ) -> Option<Resolved<'a>> {
        let sub_attribute = match path.sub_attribute.as_deref() {
            None => None,
            Some(name) => Some(attribute.sub_attribute(name)?),
        };
        Some(Resolved {
            extension,
            attribute: Some(attribute),
            sub_attribute,
        })
    }

    /// Every attribute or sub-attribute the store indexes (unique, or `x-indexed`), with its canonical path.
    pub fn indexed(&self) -> &[IndexedAttribute] {
        &self.indexed
    }
}

fn collect_indexed<'a>(
    extension: Option<&str>,
    attributes: impl Iterator<Item = &'a Attribute>,
    into: &mut Vec<IndexedAttribute>,
) {
    let mut add = |attribute: &Attribute, parent: Option<&Attribute>| {
        let unique = attribute.uniqueness != Uniqueness::None;
        if attribute.kind == AttributeType::Complex || !(attribute.indexed || unique) {
            return;
        }
        let path = match parent {
            Some(parent) => canonical(extension, &parent.name, Some(&attribute.name)),
            None => canonical(extension, &attribute.name, None),
        };
        into.push(IndexedAttribute {
            path,
            extension: extension.map(str::to_owned),
            attribute: attribute.clone(),
            parent: parent.map(|parent| parent.name.clone()),
            unique,
        });
    };
    for attribute in attributes {
        add(attribute, None);
        for sub in &attribute.sub_attributes {
            add(sub, Some(attribute));
        }
    }
}

/// An attribute for which the store keeps index rows.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexedAttribute {
    /// Canonical path.
    pub path: String,
    /// URN of the extension it is in.
    pub extension: Option<String>,
    /// The attribute (a sub-attribute's characteristics where `parent` is there).
    pub attribute: Attribute,
    /// Name of the complex attribute that holds it.
    pub parent: Option<String>,
    /// Whether values are unique among resources of the type.
    pub unique: bool,
}

/// The schemas of a tenant. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct SchemaSet {
    types: Arc<[Arc<TypeSchema>]>,
    schemas: Arc<[Schema]>,
    revision: u64,
}

static STANDARD: LazyLock<SchemaSet> = LazyLock::new(|| {
    let resource_type =
        |name: &str, endpoint: &str, description: &str, schema: &str, extensions: &[&str]| {
            ResourceType {
                id: name.into(),
                name: name.into(),
                endpoint: endpoint.into(),
                description: description.into(),
                schema: schema.into(),
                schema_extensions: extensions
                    .iter()
                    .map(|urn| SchemaExtension {
                        schema: (*urn).into(),
                        required: false,
                    })
                    .collect(),
                quiet: false,
            }
        };
    let types = vec![
        resource_type(
            "User",
            "/Users",
            "User Account",
            standard::USER,
            &[standard::ENTERPRISE_USER],
        ),
        resource_type("Group", "/Groups", "Group", standard::GROUP, &[]),
    ];
    // The documents are compiled in and tested, so the empty set is never seen.
    SchemaSet::new(types, standard::schemas()).unwrap_or_else(|_| SchemaSet {
        types: Arc::new([]),
        schemas: Arc::new([]),
        revision: 0,
    })
});

impl SchemaSet {
    /// User with `EnterpriseUser`, and Group.
    pub fn standard() -> Self {
        STANDARD.clone()
    }

    /// Builds a set; refuses a type whose schema is missing.
    pub fn new(types: Vec<ResourceType>, schemas: Vec<Schema>) -> Result<Self, Error> {
        Self::at_revision(types, schemas, 0)
    }

    /// The same, as a revision of a tenant's types.
    pub fn at_revision(
        types: Vec<ResourceType>,
        schemas: Vec<Schema>,
        revision: u64,
    ) -> Result<Self, Error> {
        let by_urn = |urn: &str, name: &str| {
            schemas
                .iter()
                .find(|schema| schema.id.eq_ignore_ascii_case(urn))
                .cloned()
                .ok_or_else(|| {
                    Error::new(
                        ErrorKind::InvalidValue,
                        format!(
                            "Resource type `{name}` names the schema `{urn}`, which is not defined."
                        ),
                    )
                    .at("schema")
                })
        };
        let mut built = Vec::with_capacity(types.len());
        for resource_type in types {
            let core = by_urn(&resource_type.schema, &resource_type.name)?;
            let extensions = resource_type
                .schema_extensions
                .iter()
                .map(|e| by_urn(&e.schema, &resource_type.name))
                .collect::<Result<Vec<_>, _>>()?;
            built.push(Arc::new(TypeSchema {
                revision,
                ..TypeSchema::new(resource_type, core, extensions)
            }));
        }
        Ok(Self {
            types: built.into(),
            schemas: schemas.into(),
            revision,
        })
    }

    /// By name (`User`), without case.
    pub fn by_name(&self, name: &str) -> Option<&Arc<TypeSchema>> {
        self.types
            .iter()
            .find(|found| found.name().eq_ignore_ascii_case(name))
    }

    /// By endpoint (`/Users` or `Users`), without case.
    pub fn by_endpoint(&self, endpoint: &str) -> Option<&Arc<TypeSchema>> {
        let name = endpoint.strip_prefix('/').unwrap_or(endpoint);
        self.types.iter().find(|found| {
            let own = found.resource_type.endpoint.as_str();
            own.strip_prefix('/')
                .unwrap_or(own)
                .eq_ignore_ascii_case(name)
        })
    }

    /// All resource types.
    pub fn types(&self) -> &[Arc<TypeSchema>] {
        &self.types
    }

    /// The revision of the tenant's types; 0 for the standard ones.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// All schemas.
    pub fn schemas(&self) -> &[Schema] {
        &self.schemas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(type_name: &str, path: &str) -> Option<String> {
        let set = SchemaSet::standard();
        let schema = set.by_name(type_name).unwrap();
        schema
            .resolve(&AttributePath::parse(path).unwrap())
            .map(|found| found.canonical_path())
    }

    #[test]
    fn paths_resolve_without_case() {
        let check = |type_name: &str, path: &str, expected: Option<&str>| {
            assert_eq!(
                resolve(type_name, path).as_deref(),
                expected,
                "{type_name} {path}"
            );
        };
        let department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
        check("User", "USERNAME", Some("userName"));
        check("User", "name.FAMILYname", Some("name.familyName"));
        check(
            "User",
            "urn:ietf:params:scim:schemas:core:2.0:USER:userName",
            Some("userName"),
        );
        check(
            "User",
            "urn:ietf:params:scim:schemas:core:2.0:User:name.givenName",
            Some("name.givenName"),
        );
        check(
            "User",
            &department.to_uppercase().replace("URN", "urn"),
            Some(department),
        );
        check(
            "User",
            standard::ENTERPRISE_USER,
            Some(standard::ENTERPRISE_USER),
        );
        check(
            "User",
            &standard::ENTERPRISE_USER.to_lowercase(),
            Some(standard::ENTERPRISE_USER),
        );
        check("User", standard::USER, None);
        check("User", "department", None);
        check(
            "User",
            "urn:ietf:params:scim:schemas:core:2.0:Group:displayName",
            None,
        );
        check("User", "meta.lastmodified", Some("meta.lastModified"));
        check("User", "schemas", Some("schemas"));
        check("User", "emails.primary", Some("emails.primary"));
        check("User", "addresses.display", Some("addresses.display"));
        check("User", "name.value", None);
        check("User", "groups.$ref", Some("groups.$ref"));
        check("Group", "members.display", Some("members.display"));
        check("Group", "userName", None);
        check("Group", "externalid", Some("externalId"));
    }

    #[test]
    fn indexed_attributes_are_the_declared_ones() {
        let set = SchemaSet::standard();
        let paths = |name: &str| {
            set.by_name(name)
                .unwrap()
                .indexed()
                .iter()
                .map(|i| (i.path.clone(), i.unique))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            paths("Group"),
            [
                ("externalId".to_owned(), false),
                ("displayName".to_owned(), false)
            ]
        );
        let user = paths("User");
        assert_eq!(user.len(), 17);
        assert!(user.contains(&("userName".to_owned(), true)));
        assert!(user.contains(&("emails.value".to_owned(), false)));
        assert!(user.contains(&(
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value".to_owned(),
            false
        )));
    }

    #[test]
    fn types_are_found_by_endpoint_and_name() {
        let set = SchemaSet::standard();
        for endpoint in ["/Users", "Users", "users"] {
            assert_eq!(set.by_endpoint(endpoint).unwrap().name(), "User");
        }
        assert!(set.by_endpoint("/User").is_none());
        assert_eq!(set.by_name("group").unwrap().name(), "Group");
        assert_eq!(set.schemas().len(), 6);
    }

    #[test]
    fn a_type_without_its_schema_is_refused() {
        let types = SchemaSet::standard()
            .types()
            .iter()
            .map(|t| t.resource_type.clone())
            .collect();
        assert_eq!(
            SchemaSet::new(types, Vec::new()).unwrap_err().kind(),
            ErrorKind::InvalidValue
        );
    }
}
