//! Where in an operation of a bulk request another one may be referred to: in the values of attributes that name resources, and in the filters of PATCH
//! paths on them. Everywhere else `bulkId:` is the beginning of a text. Does not resolve.
//!
//! What no schema has may refer too: quirks read it as something else afterwards.

use scim_protocol::messages::BulkMethod;
use scim_protocol::patch::PatchPath;
use scim_protocol::schema::Attribute;
use scim_protocol::schema::set::Resolved;
use scim_protocol::{AttributePath, TypeSchema};
use serde_json::{Map, Value};

/// What a part of an operation's data is.
#[derive(Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// The message of a PATCH.
    Message(&'a TypeSchema),
    /// One operation of it.
    Operation(&'a TypeSchema),
    /// Attributes of a resource, or of one of its extensions.
    Attributes(&'a TypeSchema, Option<&'a str>),
    /// The value of an attribute that names resources, or an element of it.
    Names(&'a Attribute),
    /// A path whose filter selects such elements.
    Path,
    /// Something of an unknown kind, which may refer.
    Unknown,
    /// It does not refer.
    Text,
}

/// The members of an object, as far as they depend on each other.
pub(crate) struct Members<'a> {
    scope: Scope<'a>,
    /// What the `path` of a PATCH operation leads to.
    target: Scope<'a>,
}

impl<'a> Scope<'a> {
    /// The data of an operation on a type. An operation on an unknown type is refused anyway.
    pub(crate) fn of(schema: Option<&'a TypeSchema>, method: BulkMethod) -> Self {
        match (schema, method) {
            (None, _) => Self::Unknown,
            (Some(schema), BulkMethod::Patch) => Self::Message(schema),
            (Some(schema), _) => Self::Attributes(schema, None),
        }
    }

    /// What the members of this object are.
    pub(crate) fn members(self, object: &Map<String, Value>) -> Members<'a> {
        let path = object
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("path"))
            .and_then(|(_, path)| path.as_str());
        let target = match self {
            Self::Operation(schema) => at_path(schema, path.unwrap_or_default()),
            other => other,
        };
        Members {
            scope: self,
            target,
        }
    }

    /// Whether a string here may refer as a whole.
    pub(crate) fn is_name(self) -> bool {
        matches!(self, Self::Names(_) | Self::Unknown)
    }
}

impl<'a> Members<'a> {
    /// What the member of this name is.
    pub(crate) fn named(&self, name: &str) -> Scope<'a> {
        match self.scope {
            Scope::Message(schema) if name.eq_ignore_ascii_case("Operations") => {
                Scope::Operation(schema)
            }
            Scope::Operation(_) if name.eq_ignore_ascii_case("value") => self.target,
            Scope::Operation(_)
                if name.eq_ignore_ascii_case("path") && !matches!(self.target, Scope::Text) =>
            {
                Scope::Path
            }
            Scope::Operation(_) => Scope::Text,
            Scope::Message(schema) => at_key(schema, None, name),
            Scope::Attributes(schema, extension) => at_key(schema, extension, name),
            Scope::Names(attribute) => attribute
                .sub_attribute(name)
                .map_or(Scope::Unknown, of_sub_attribute),
            other @ (Scope::Path | Scope::Unknown | Scope::Text) => other,
        }
    }
}

fn at_path<'a>(schema: &'a TypeSchema, path: &str) -> Scope<'a> {
    if path.is_empty() {
        return Scope::Attributes(schema, None);
    }
    let Ok(path) = PatchPath::parse(path) else {
        return Scope::Unknown;
    };
    match (at(schema, &path.attribute), &path.sub_attribute) {
        (Scope::Names(attribute), Some(name)) => attribute
            .sub_attribute(name)
            .map_or(Scope::Unknown, of_sub_attribute),
        (scope, _) => scope,
    }
}

fn at_key<'a>(schema: &'a TypeSchema, extension: Option<&str>, key: &str) -> Scope<'a> {
    let Ok(path) = AttributePath::parse(key) else {
        return Scope::Unknown;
    };
    let urn = path.schema.or_else(|| extension.map(str::to_owned));
    at(
        schema,
        &AttributePath {
            schema: urn,
            ..path
        },
    )
}

fn at<'a>(schema: &'a TypeSchema, path: &AttributePath) -> Scope<'a> {
    match schema.resolve(path) {
        None if schema.names_whole_core(path) => Scope::Attributes(schema, None),
        None => schema
            .meant(path)
            .map_or(Scope::Unknown, |meant| at(schema, &meant)),
        Some(Resolved {
            attribute: None,
            extension,
            ..
        }) => Scope::Attributes(schema, extension),
        Some(Resolved {
            attribute: Some(attribute),
            ..
        }) if !attribute.names_resources() => Scope::Text,
        Some(Resolved {
            sub_attribute: Some(sub),
            ..
        }) => of_sub_attribute(sub),
        Some(Resolved {
            attribute: Some(attribute),
            ..
        }) => Scope::Names(attribute),
    }
}

/// Of an element that names a resource, its `value` and its `$ref` do.
fn of_sub_attribute<'a>(sub: &Attribute) -> Scope<'a> {
    if matches!(sub.name.as_str(), "value" | "$ref") {
        Scope::Unknown
    } else {
        Scope::Text
    }
}
