//! What bodies and operations share: URNs, keys that are paths, and values against their attribute.

use serde_json::{Map, Number, Value};

use super::adaptation::{Adaptations, shortened};
use super::{Quirk, QuirkSet};
use crate::patch_path::PatchPath;
use crate::schema::set::TypeSchema;
use crate::schema::{Attribute, AttributeType, Mutability, Schema, Uniqueness};

/// One pass over one body.
pub(super) struct Rewrite<'a> {
    pub(super) set: &'a QuirkSet,
    pub(super) schema: &'a TypeSchema,
    /// Where the pass is: `emails.primary`.
    place: String,
    /// Whether values are of a `remove`: they say what goes, so to ignore a part of one would be to remove more than the client named.
    pub(super) is_removal: bool,
    adaptations: Adaptations,
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
        Self {
            set,
            schema,
            place: String::new(),
            is_removal: false,
            adaptations: Adaptations::default(),
        }
    }

    pub(super) fn into_adaptations(self) -> Adaptations {
        self.adaptations
    }

    /// Goes to an attribute; `leave` takes what this returns.
    pub(super) fn enter(&mut self, name: &str) -> usize {
        let before = self.place.len();
        if before > 0 {
            self.place
                .push(if self.schema.extension(&self.place).is_some() {
                    ':'
                } else {
                    '.'
                });
        }
        self.place.push_str(shortened(name));
        before
    }

    /// Goes back.
    pub(super) fn leave(&mut self, before: usize) {
        self.place.truncate(before);
    }

    /// Whether the quirk is tolerated; if so it has acted here, and `what` says how, given the place.
    pub(super) fn acts(&mut self, quirk: Quirk, what: impl FnOnce(&str) -> String) -> bool {
        let has = self.set.has(quirk);
        if has {
            self.adaptations
                .note(quirk, &self.place, || what(&self.place));
        }
        has
    }

    /// The same for a part of the message itself, or for a name that stands at no place of its own.
    pub(super) fn acts_at(
        &mut self,
        quirk: Quirk,
        name: &str,
        what: impl FnOnce(&str) -> String,
    ) -> bool {
        let before = self.enter(name);
        let acts = self.acts(quirk, what);
        self.leave(before);
        acts
    }

    /// The key or path with today's URN in front, where it has one of yesterday's.
    pub(super) fn modern(&mut self, text: &str) -> Option<String> {
        if !self.set.has(Quirk::OlderSchemaUrn) {
            return None;
        }
        let modern = modern_urn(self.schema, text)?;
        self.acts_at(Quirk::OlderSchemaUrn, text, |_| {
            format!("read `{}` as `{}`", shortened(text), shortened(&modern))
        });
        Some(modern)
    }

    /// What a key names in the top-level object, or in that of `extension`. A path is only looked for where `PathKeys` is tolerated, and a name of an
    /// extension where `ExtensionNames` is.
    pub(super) fn key(&self, key: &str, extension: Option<&'a Schema>) -> Key<'a> {
        let schema = self.schema;
        if let Some(extension) = extension {
            if let Some(attribute) = extension
                .attributes
                .iter()
                .find(|attribute| attribute.name.eq_ignore_ascii_case(key))
            {
                return Key::Attribute(attribute);
            }
        } else if let Some(attribute) = schema.core_attribute(key) {
            return Key::Attribute(attribute);
        } else if let Some(extension) = schema.extension(key) {
            return Key::Extension(extension);
        } else if key.eq_ignore_ascii_case(&schema.core.id) && self.set.has(Quirk::PathKeys) {
            return Key::Core;
        }
        let is_path = is_path(key);
        if is_path && !self.set.has(Quirk::PathKeys) || !is_path && extension.is_some() {
            return Key::Unknown;
        }
        let text = match extension {
            Some(extension) if !is_urn(key) => format!("{}:{key}", extension.id),
            _ => key.to_owned(),
        };
        match PatchPath::parse(&text) {
            Ok(path) if self.leaf(&path).is_some() => Key::Path(text, Box::new(path)),
            Ok(path) => match self.meant(&path).filter(|path| self.leaf(path).is_some()) {
                Some(path) => Key::Path(path.to_string(), Box::new(path)),
                None => Key::Unknown,
            },
            Err(_) => Key::Unknown,
        }
    }

    /// The path that is meant by one that leads nowhere.
    pub(super) fn meant(&self, path: &PatchPath) -> Option<PatchPath> {
        let attribute = self
            .schema
            .meant(&path.attribute)
            .filter(|_| self.set.has(Quirk::ExtensionNames))?;
        Some(PatchPath {
            attribute,
            ..path.clone()
        })
    }

    /// Says that a key was read as a path, and what the path is where the key does not lead there itself.
    pub(super) fn read_as_path(&mut self, key: &str, path: &PatchPath) {
        if is_path(key) {
            self.acts_at(Quirk::PathKeys, key, |place| {
                format!("read the key `{place}` as a path")
            });
        }
        if PatchPath::parse(key).is_ok_and(|sent| self.meant(&sent).is_some()) {
            self.acts_at(Quirk::ExtensionNames, key, |place| {
                format!("read the key `{place}` as `{path}`")
            });
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
    pub(super) fn attribute(
        &mut self,
        attribute: &Attribute,
        value: &mut Value,
        one_is_wrong: bool,
    ) {
        let before = self.enter(&attribute.name);
        self.value(attribute, value, one_is_wrong);
        self.leave(before);
    }

    /// The same, where the pass is at the attribute already.
    pub(super) fn value(&mut self, attribute: &Attribute, value: &mut Value, one_is_wrong: bool) {
        if attribute.mutability == Mutability::ReadOnly {
            return;
        }
        if !attribute.multi_valued {
            return self.element(attribute, value);
        }
        self.parse_json(attribute, value);
        match value {
            Value::Null => {}
            Value::Array(elements) => {
                for element in elements.iter_mut() {
                    self.element(attribute, element);
                }
                self.one_primary(attribute, elements);
            }
            one => {
                if one_is_wrong {
                    self.acts(Quirk::SingleAsArray, |place| {
                        format!("accepted one value for `{place}`, which holds several")
                    });
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
                self.acts(Quirk::WrappedSingleValue, |place| {
                    format!("accepted an array for `{place}`, which holds one value")
                });
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
            && self.acts(Quirk::WrappedSingleValue, |place| {
                format!("accepted an object around the value of `{place}`")
            })
        {
            *value = inner;
        }
        self.simple(attribute, value);
    }

    /// A value of another JSON type than the attribute's.
    fn simple(&mut self, attribute: &Attribute, value: &mut Value) {
        let wants_text = !matches!(
            attribute.kind,
            AttributeType::Boolean
                | AttributeType::Integer
                | AttributeType::Decimal
                | AttributeType::DateTime
                | AttributeType::Complex
        );
        if !wants_text && value.as_str().is_some_and(|text| text.trim().is_empty()) {
            return self.empty(value);
        }
        match (attribute.kind, &*value) {
            (AttributeType::Boolean, Value::String(text)) => {
                if let Some(flag) = boolean(text)
                    && self.acts(Quirk::BooleanString, |place| {
                        format!("accepted `\"{}\"` for `{place}`", text.trim())
                    })
                {
                    *value = Value::Bool(flag);
                }
            }
            (AttributeType::Integer | AttributeType::Decimal, Value::String(text)) => {
                if let Some(number) = number_in(attribute.kind, text)
                    && self.acts(Quirk::NumberString, |place| {
                        format!("accepted a number in quotes for `{place}`")
                    })
                {
                    *value = Value::Number(number);
                }
            }
            // Only what people call a number without it being one (`employeeNumber`, a phone's): a name or a key that is a number is a mistake.
            (AttributeType::String, Value::Number(number))
                if attribute.uniqueness == Uniqueness::None && self.place.contains(['.', ':']) =>
            {
                let text = number.to_string();
                if self.acts(Quirk::NumberString, |place| {
                    format!("accepted a number without quotes for `{place}`")
                }) {
                    *value = Value::String(text);
                }
            }
            _ => {}
        }
    }

    fn empty(&mut self, value: &mut Value) {
        if self.acts(Quirk::EmptyForNone, |place| {
            format!("read an empty string for `{place}` as no value")
        }) {
            *value = Value::Null;
        }
    }

    fn complex(&mut self, attribute: &Attribute, value: &mut Value) {
        let object = match value {
            Value::Object(object) => object,
            Value::String(text) if attribute.sub_attribute("value").is_some() => {
                // `validate` makes the object of it, or nothing of an empty string.
                let is_empty = text.is_empty();
                self.acts(Quirk::ReferenceAsString, |place| {
                    if is_empty {
                        format!("read an empty string for `{place}` as none")
                    } else {
                        format!("accepted a bare string for `{place}`")
                    }
                });
                return;
            }
            Value::String(text) if text.trim().is_empty() => return self.empty(value),
            _ => return,
        };
        self.name_value(attribute, object);
        object.retain(|name, value| {
            let before = self.enter(name);
            let stays = match attribute.sub_attribute(name) {
                None => self.is_removal || !self.ignores_unknown(),
                Some(sub) => {
                    self.value(sub, value, true);
                    true
                }
            };
            self.leave(before);
            stays
        });
        if !attribute.multi_valued
            && is_empty_reference(object)
            && self.acts(Quirk::ReferenceAsString, |place| {
                format!("read an empty reference for `{place}` as none")
            })
        {
            // Other parts of the attribute are not named by it, so a PATCH leaves them as they are.
            object.values_mut().for_each(|value| *value = Value::Null);
        }
    }

    /// Whether a name that no schema has is left out here.
    pub(super) fn ignores_unknown(&mut self) -> bool {
        let name = self.schema.name();
        self.acts(Quirk::IgnoreUnknown, |place| {
            format!("ignored `{place}`, which no schema of {name} has")
        })
    }

    /// SCIM 1.1 called the `value` of `manager` `managerId`.
    fn name_value(&mut self, attribute: &Attribute, object: &mut Map<String, Value>) {
        let old = object
            .keys()
            .find(|name| is_value_id(attribute, name))
            .cloned();
        if let Some(old) = old
            && !object.keys().any(|name| name.eq_ignore_ascii_case("value"))
            && self.acts_at(Quirk::ReferenceId, &old, |place| {
                format!("read `{place}` as `value`")
            })
            && let Some(value) = object.shift_remove(&old)
        {
            object.insert("value".to_owned(), value);
        }
    }

    /// Of several primary elements the first stays it.
    fn one_primary(&mut self, attribute: &Attribute, elements: &mut [Value]) {
        if attribute.sub_attribute("primary").is_none() {
            return;
        }
        let is_primary = |(name, value): (&String, &mut Value)| {
            name.eq_ignore_ascii_case("primary") && *value == Value::Bool(true)
        };
        let mut seen = false;
        for element in elements.iter_mut().filter_map(Value::as_object_mut) {
            let Some(name) = element
                .iter_mut()
                .find_map(|(name, value)| is_primary((name, value)).then(|| name.clone()))
            else {
                continue;
            };
            let again = std::mem::replace(&mut seen, true);
            if again
                && self.acts(Quirk::SeveralPrimaries, |place| {
                    format!("kept only the first primary value of `{place}` as primary")
                })
            {
                element.insert(name, Value::Bool(false));
            }
        }
    }

    /// A string that is JSON, where an array or an object is wanted.
    pub(super) fn parse_json(&mut self, attribute: &Attribute, value: &mut Value) {
        let Value::String(text) = value else { return };
        let Some(parsed) = json_in(text) else { return };
        let is_wanted = attribute.kind == AttributeType::Complex
            || (attribute.multi_valued && parsed.is_array());
        if is_wanted
            && self.acts(Quirk::StringifiedJson, |place| {
                format!("read the string given for `{place}` as JSON")
            })
        {
            *value = parsed;
        }
    }
}

/// Whether a name is SCIM 1.1's for the `value` of this attribute.
pub(super) fn is_value_id(attribute: &Attribute, name: &str) -> bool {
    let stem = name
        .len()
        .checked_sub(2)
        .and_then(|end| name.split_at_checked(end))
        .filter(|(_, end)| end.eq_ignore_ascii_case("id"));
    attribute.kind == AttributeType::Complex
        && !attribute.multi_valued
        && stem.is_some_and(|(stem, _)| stem.eq_ignore_ascii_case(&attribute.name))
        && attribute.sub_attribute(name).is_none()
        && attribute.sub_attribute("value").is_some()
}

/// Whether a key is more than a name.
fn is_path(key: &str) -> bool {
    key.contains(['.', ':', '['])
}

fn number_in(kind: AttributeType, text: &str) -> Option<Number> {
    let text = text.trim();
    match kind {
        AttributeType::Integer => text.parse::<i64>().ok().map(Number::from),
        _ => text.parse::<f64>().ok().and_then(Number::from_f64),
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
    text.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("urn:"))
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
    let others_are_null = object
        .iter()
        .all(|(name, value)| name == "value" || (name == "$ref" && value.is_null()));
    object
        .get("value")
        .filter(|value| others_are_null && !value.is_object() && !value.is_array())
        .cloned()
}

/// `{"value": ""}`, with a `$ref` that says nothing or none.
fn is_empty_reference(object: &Map<String, Value>) -> bool {
    let says_nothing = |value: &Value| value.is_null() || value == "";
    object
        .iter()
        .any(|(name, value)| name.eq_ignore_ascii_case("value") && says_nothing(value))
        && object.iter().all(|(name, value)| {
            matches!(name.to_ascii_lowercase().as_str(), "value" | "$ref") && says_nothing(value)
        })
}

/// SCIM 1.1 wrote `urn:scim:schemas:core:1.0`, and the drafts of 2.0 `urn:scim:schemas:core:2.0:User`. The text with the URN of today in place of such a
/// one, alone or in front of `:attribute`.
pub(super) fn modern_urn(schema: &TypeSchema, text: &str) -> Option<String> {
    if !is_urn(text) {
        return None;
    }
    let schemas = std::iter::once(&schema.core)
        .chain(&schema.extensions)
        .map(|schema| schema.id.as_str());
    for urn in schemas {
        let Some((family, type_name)) = urn
            .strip_prefix("urn:ietf:params:scim:")
            .and_then(|rest| rest.split_once(":2.0:"))
        else {
            continue;
        };
        if begins_with(text, urn).is_some() {
            return None;
        }
        for prefix in ["urn:scim:", "urn:ietf:params:scim:"] {
            // No text is made for names that are of today, which is nearly all of them.
            let Some(rest) = after(text, prefix).and_then(|rest| after(rest, family)) else {
                continue;
            };
            let Some(rest) = after(rest, ":1.0").or_else(|| after(rest, ":2.0")) else {
                continue;
            };
            let of_type = after(rest, ":")
                .and_then(|rest| after(rest, type_name))
                .filter(|rest| is_end(rest));
            if let Some(rest) = of_type.or(Some(rest).filter(|rest| is_end(rest))) {
                return Some(format!("{urn}{rest}"));
            }
        }
    }
    None
}

/// What follows the URN in a text that begins with it: nothing, or `:` or `.` and more.
fn begins_with<'t>(text: &'t str, urn: &str) -> Option<&'t str> {
    after(text, urn).filter(|rest| is_end(rest))
}

/// What follows the start, which may be written in any case.
fn after<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    let (begins, rest) = text.split_at_checked(start.len())?;
    begins.eq_ignore_ascii_case(start).then_some(rest)
}

/// Whether a URN ends where this follows.
fn is_end(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with([':', '.'])
}
