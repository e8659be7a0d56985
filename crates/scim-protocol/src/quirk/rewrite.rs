//! What bodies and operations share: URNs, keys that are paths, and values against their attribute.

use serde_json::{Map, Value};

use super::{Quirk, QuirkSet};
use crate::patch_path::PatchPath;
use crate::schema::set::TypeSchema;
use crate::schema::{Attribute, AttributeType, Mutability, Schema};

/// One pass over one body.
pub(super) struct Rewrite<'a> {
    pub(super) set: &'a QuirkSet,
    pub(super) schema: &'a TypeSchema,
    acted: Vec<Quirk>,
}

/// What a key of an object of attributes names.
pub(super) enum Key<'a> {
    /// An attribute of the object.
    Attribute(&'a Attribute),
    /// An extension, whole.
    Extension(&'a Schema),
    /// The core schema, whole.
    Core,
    /// A path that leads somewhere: its text, qualified where needed, and its parts.
    Path(String, Box<PatchPath>),
    /// Nothing.
    Unknown,
}

impl<'a> Rewrite<'a> {
    pub(super) fn new(set: &'a QuirkSet, schema: &'a TypeSchema) -> Self {
        Self { set, schema, acted: Vec::new() }
    }

    pub(super) fn into_acted(self) -> Vec<Quirk> {
        self.acted
    }

    /// Whether the quirk is tolerated; if so it has acted.
    pub(super) fn acts(&mut self, quirk: Quirk) -> bool {
        let has = self.set.has(quirk);
        if has && !self.acted.contains(&quirk) {
            self.acted.push(quirk);
        }
        has
    }

    /// The key or path with today's URN in front, where it has one of yesterday's.
    pub(super) fn modern(&mut self, text: &str) -> Option<String> {
        if !self.set.has(Quirk::OlderSchemaUrn) {
            return None;
        }
        let modern = modern_urn(self.schema, text)?;
        self.acts(Quirk::OlderSchemaUrn);
        Some(modern)
    }

    /// What a key names in the top-level object, or in that of `extension`. A path is only looked for where `PathKeys` is tolerated.
    pub(super) fn key(&self, key: &str, extension: Option<&'a Schema>) -> Key<'a> {
        let schema = self.schema;
        if let Some(extension) = extension {
            if let Some(attribute) = extension.attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(key)) {
                return Key::Attribute(attribute);
            }
        } else if let Some(attribute) = schema.core_attribute(key) {
            return Key::Attribute(attribute);
        } else if let Some(extension) = schema.extension(key) {
            return Key::Extension(extension);
        } else if key.eq_ignore_ascii_case(&schema.core.id) && self.set.has(Quirk::PathKeys) {
            return Key::Core;
        }
        if !self.set.has(Quirk::PathKeys) || !key.contains(['.', ':', '[']) {
            return Key::Unknown;
        }
        let text = match extension {
            Some(extension) if !is_urn(key) => format!("{}:{key}", extension.id),
            _ => key.to_owned(),
        };
        match PatchPath::parse(&text) {
            Ok(path) if self.leaf(&path).is_some() => Key::Path(text, Box::new(path)),
            _ => Key::Unknown,
        }
    }

    /// The attribute at the end of a path, and the one on the way.
    pub(super) fn leaf(&self, path: &PatchPath) -> Option<(&'a Attribute, Option<&'a Attribute>)> {
        let resolved = self.schema.resolve(&path.attribute)?;
        let attribute = resolved.attribute?;
        match &path.sub_attribute {
            Some(name) => Some((attribute, Some(attribute.sub_attribute(name)?))),
            None => Some((attribute, resolved.sub_attribute)),
        }
    }

    /// The whole value of an attribute. `one_is_wrong`: a single value where the attribute holds several deviates (not so in a PATCH, RFC 7644 section
    /// 3.5.2.1).
    pub(super) fn attribute(&mut self, attribute: &Attribute, value: &mut Value, one_is_wrong: bool) {
        if attribute.mutability == Mutability::ReadOnly {
            return;
        }
        if !attribute.multi_valued {
            return self.element(attribute, value);
        }
        self.parse_json(attribute, value);
        match value {
            Value::Null => {}
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.element(attribute, element)),
            one => {
                if one_is_wrong {
                    self.acts(Quirk::SingleAsArray);
                }
                self.element(attribute, one);
            }
        }
    }

    /// One element of a multi-valued attribute, or the value of another.
    pub(super) fn element(&mut self, attribute: &Attribute, value: &mut Value) {
        if attribute.kind == AttributeType::Complex {
            self.parse_json(attribute, value);
        }
        if let Value::Array(elements) = value {
            if elements.len() <= 1 {
                self.acts(Quirk::WrappedSingleValue);
            }
            for element in elements {
                self.element(attribute, element);
            }
            return;
        }
        if attribute.kind == AttributeType::Complex {
            return self.complex(attribute, value);
        }
        if !attribute.multi_valued
            && let Some(inner) = wrapped(value)
            && self.acts(Quirk::WrappedSingleValue)
        {
            *value = inner;
        }
        if attribute.kind == AttributeType::Boolean
            && let Value::String(text) = value
            && let Some(flag) = boolean(text)
            && self.acts(Quirk::BooleanString)
        {
            *value = Value::Bool(flag);
        }
    }

    fn complex(&mut self, attribute: &Attribute, value: &mut Value) {
        let object = match value {
            Value::Object(object) => object,
            Value::String(_) if attribute.sub_attribute("value").is_some() => {
                // `validate` makes the object of it, or nothing of an empty string.
                self.acts(Quirk::ReferenceAsString);
                return;
            }
            _ => return,
        };
        for (name, mut value) in std::mem::take(object) {
            match attribute.sub_attribute(&name) {
                None if self.acts(Quirk::IgnoreUnknown) => continue,
                None => {}
                Some(sub) => self.attribute(sub, &mut value, true),
            }
            object.insert(name, value);
        }
        if !attribute.multi_valued && is_empty_reference(object) && self.acts(Quirk::ReferenceAsString) {
            *value = Value::Null;
        }
    }

    /// A string that is JSON, where an array or an object is wanted.
    pub(super) fn parse_json(&mut self, attribute: &Attribute, value: &mut Value) {
        let Value::String(text) = value else { return };
        let Some(parsed) = json_in(text) else { return };
        let is_wanted = attribute.kind == AttributeType::Complex || (attribute.multi_valued && parsed.is_array());
        if is_wanted && self.acts(Quirk::StringifiedJson) {
            *value = parsed;
        }
    }
}

/// The array or object that a string holds.
pub(super) fn json_in(text: &str) -> Option<Value> {
    if !text.trim_start().starts_with(['[', '{']) {
        return None;
    }
    serde_json::from_str(text).ok()
}

pub(super) fn is_urn(text: &str) -> bool {
    text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"))
}

fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The value in `{"$ref": null, "value": "x"}`, which Entra's older dialect puts around every value.
fn wrapped(value: &Value) -> Option<Value> {
    let object = value.as_object()?;
    let others_are_null = object.iter().all(|(name, value)| name == "value" || (name == "$ref" && value.is_null()));
    object.get("value").filter(|value| others_are_null && !value.is_object() && !value.is_array()).cloned()
}

/// `{"value": ""}`, with a `$ref` that says nothing or none.
fn is_empty_reference(object: &Map<String, Value>) -> bool {
    let says_nothing = |value: &Value| value.is_null() || value == "";
    object.iter().any(|(name, value)| name.eq_ignore_ascii_case("value") && says_nothing(value))
        && object.iter().all(|(name, value)| matches!(name.to_ascii_lowercase().as_str(), "value" | "$ref") && says_nothing(value))
}

/// SCIM 1.1 wrote `urn:scim:schemas:core:1.0`, and the drafts of 2.0 `urn:scim:schemas:core:2.0:User`. The text with the URN of today in place of such a
/// one, alone or in front of `:attribute`.
pub(super) fn modern_urn(schema: &TypeSchema, text: &str) -> Option<String> {
    let schemas = std::iter::once(&schema.core).chain(&schema.extensions).map(|schema| schema.id.as_str());
    for urn in schemas {
        let Some((family, type_name)) = urn.strip_prefix("urn:ietf:params:scim:").and_then(|rest| rest.split_once(":2.0:")) else {
            continue;
        };
        if begins_with(text, urn).is_some() {
            return None;
        }
        for prefix in ["urn:scim", "urn:ietf:params:scim"] {
            for version in ["1.0", "2.0"] {
                let whole = format!("{prefix}:{family}:{version}");
                let rest = begins_with(text, &format!("{whole}:{type_name}")).or_else(|| begins_with(text, &whole));
                if let Some(rest) = rest {
                    return Some(format!("{urn}{rest}"));
                }
            }
        }
    }
    None
}

/// What follows the URN in a text that begins with it: nothing, or `:` and more.
fn begins_with<'t>(text: &'t str, urn: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(urn.len())?;
    (start.eq_ignore_ascii_case(urn) && (rest.is_empty() || rest.starts_with(':'))).then_some(rest)
}
