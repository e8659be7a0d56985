//! Reads what an operation names, from the JSON as it was sent. Does not carry out anything, and does not compare.

use std::collections::BTreeSet;

use scim_protocol::attribute_path::AttributePath;
use scim_protocol::patch_path::PatchPath;
use scim_protocol::quirk::{Quirk, QuirkSet};
use scim_protocol::schema::{Attribute, AttributeType, Mutability};
use scim_protocol::{Filter, TypeSchema};
use serde_json::{Map, Value};

use super::Held;

/// An attribute that an operation names, and how much of it.
#[derive(Debug)]
pub(super) struct Named {
    pub extension: Option<String>,
    pub attribute: String,
    pub scope: Scope,
}

#[derive(Debug)]
pub(super) enum Scope {
    /// All of it.
    Whole,
    /// These sub-attributes of the one value.
    Parts(BTreeSet<String>),
    /// Of some elements these sub-attributes, or all of them; and as many elements may be new.
    Elements {
        chosen: Vec<Value>,
        parts: Option<BTreeSet<String>>,
        new: usize,
    },
    /// Elements beside those that are there, which may be merged into them by these sub-attributes.
    Added { parts: BTreeSet<String>, new: usize },
}

/// A member of an object, by its name without case.
pub(super) fn member<'v>(
    object: &'v Map<String, Value>,
    name: &str,
) -> Option<(&'v str, &'v Value)> {
    let found = object.get_key_value(name).or_else(|| {
        object
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
    });
    found.map(|(key, value)| (key.as_str(), value))
}

/// The values of a list, or the one.
pub(super) fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(elements) => elements.clone(),
        one => vec![one.clone()],
    }
}

/// What an operation names; `None` where it is not read here.
pub(super) fn named(
    schema: &TypeSchema,
    quirks: &QuirkSet,
    operation: &Value,
    held: &Held,
) -> Option<Vec<Named>> {
    let operation = operation.as_object()?;
    let text = |name: &str| member(operation, name).and_then(|(_, value)| value.as_str());
    let op = text("op")?.trim().to_ascii_lowercase();
    let value = member(operation, "value")
        .map(|(_, value)| value.clone())
        .unwrap_or_default();
    let reading = Reading {
        schema,
        quirks,
        held,
        op: &op,
    };
    match text("path").filter(|path| !path.is_empty()) {
        Some(path) => reading.path(path, &value),
        None => reading.object(None, &reading.unquoted(&value)),
    }
}

struct Reading<'a> {
    schema: &'a TypeSchema,
    quirks: &'a QuirkSet,
    held: &'a Held,
    op: &'a str,
}

impl Reading<'_> {
    /// A value as it is meant where it, or an element of it, is sent as JSON in a string.
    fn unquoted(&self, value: &Value) -> Value {
        match value {
            Value::String(text)
                if self.quirks.has(Quirk::StringifiedJson)
                    && text.trim_start().starts_with(['{', '[']) =>
            {
                serde_json::from_str(text)
                    .map_or_else(|_| value.clone(), |parsed| self.unquoted(&parsed))
            }
            Value::Array(elements) => elements
                .iter()
                .map(|element| self.unquoted(element))
                .collect(),
            value => value.clone(),
        }
    }

    fn path(&self, text: &str, value: &Value) -> Option<Vec<Named>> {
        let path = PatchPath::parse(text).ok()?;
        if self.schema.names_whole_core(&path.attribute) {
            return self.object(None, &self.unquoted(value));
        }
        let sub = path
            .sub_attribute
            .clone()
            .or_else(|| path.attribute.sub_attribute.clone());
        let alone = AttributePath {
            sub_attribute: None,
            ..path.attribute.clone()
        };
        let qualified = || {
            let in_extension = |urn: &String| AttributePath {
                schema: Some(urn.clone()),
                ..alone.clone()
            };
            let mut all = self
                .schema
                .extensions
                .iter()
                .map(|extension| in_extension(&extension.id));
            all.find_map(|path| self.schema.resolve(&path))
        };
        let whole = self
            .schema
            .resolve(&path.attribute)
            .filter(|resolved| resolved.attribute.is_none());
        let resolved = whole.or_else(|| self.schema.resolve(&alone)).or_else(|| {
            if alone.schema.is_none() {
                qualified()
            } else {
                None
            }
        })?;
        let Some(attribute) = resolved.attribute else {
            return self.extension(resolved.extension?, value);
        };
        let sub = match sub {
            Some(name) => Some(sub_of(attribute, &name)?),
            None => None,
        };
        Some(vec![self.attribute(
            resolved.extension,
            attribute,
            path.filter.as_ref(),
            sub,
            value,
        )])
    }

    /// Attributes by their names, or by paths.
    fn object(&self, extension: Option<&str>, value: &Value) -> Option<Vec<Named>> {
        let mut all = Vec::new();
        for (key, value) in value.as_object()? {
            let own = match extension {
                Some(urn) => self.schema.extension(urn)?.attribute(key),
                None => self.schema.core_attribute(key),
            };
            if let Some(attribute) = own {
                all.push(self.attribute(extension, attribute, None, None, value));
            } else if let Some(found) = self.schema.extension(key).filter(|_| extension.is_none()) {
                all.extend(self.extension(&found.id, value)?);
            } else {
                let is_urn = key
                    .get(..4)
                    .is_some_and(|start| start.eq_ignore_ascii_case("urn:"));
                let text = extension
                    .filter(|_| !is_urn)
                    .map_or_else(|| key.clone(), |urn| format!("{urn}:{key}"));
                match self.path(&text, value) {
                    Some(named) => all.extend(named),
                    // An older URN may mean something.
                    None if is_urn => return None,
                    None => {}
                }
            }
        }
        Some(all)
    }

    fn extension(&self, urn: &str, value: &Value) -> Option<Vec<Named>> {
        let value = self.unquoted(value);
        if !value.is_null() {
            return self.object(Some(urn), &value);
        }
        let extension = self.schema.extension(urn).filter(|_| self.op != "add");
        let whole = |attribute: &Attribute| Named::new(Some(urn), attribute, Scope::Whole);
        Some(
            extension
                .map(|extension| extension.attributes.iter().map(whole).collect())
                .unwrap_or_default(),
        )
    }

    fn attribute(
        &self,
        extension: Option<&str>,
        attribute: &Attribute,
        filter: Option<&Filter>,
        sub: Option<&Attribute>,
        value: &Value,
    ) -> Named {
        let is_list = attribute.kind == AttributeType::Complex || attribute.multi_valued;
        let value = if is_list {
            self.unquoted(value)
        } else {
            value.clone()
        };
        let there = self.held.elements(extension, &attribute.name);
        let chosen: Vec<Value> = there
            .into_iter()
            .filter(|element| {
                filter.is_none_or(|filter| filter.matches_element(attribute, element))
            })
            .collect();
        // A member is known by its id, so another id is another member.
        let sub = sub.filter(|sub| {
            !(extension.is_none() && attribute.name == "members" && sub.name == "value")
        });
        let scope = match (sub, attribute.multi_valued) {
            (Some(sub), multi_valued) => {
                // Behind a filter an empty value says nothing more; without one it names none of the values.
                let names_values = multi_valued && filter.is_none();
                let is_silent = says_nothing(sub, names_values, &value);
                self.sub_attribute(sub, multi_valued, chosen, &value, is_silent)
            }
            (None, true) => self.several(attribute, filter, chosen, &value),
            (None, false) => self.single(attribute, &chosen, &value),
        };
        Named::new(extension, attribute, scope)
    }

    fn sub_attribute(
        &self,
        sub: &Attribute,
        multi_valued: bool,
        chosen: Vec<Value>,
        value: &Value,
        is_silent: bool,
    ) -> Scope {
        let parts = BTreeSet::from([sub.name.clone()]);
        let is_meant = |element: &Value| {
            let held = element.get(&sub.name).unwrap_or(&Value::Null);
            self.op != "remove"
                || is_silent
                || list(value)
                    .iter()
                    .any(|one| list(held).iter().any(|held| alike(held, one)))
        };
        let chosen: Vec<Value> = chosen.into_iter().filter(is_meant).collect();
        match (multi_valued, chosen.is_empty()) {
            (true, _) => Scope::Elements {
                chosen,
                parts: Some(parts),
                new: usize::from(self.op != "remove"),
            },
            (false, true) if self.op == "remove" => Scope::Parts(BTreeSet::new()),
            (false, _) => Scope::Parts(parts),
        }
    }

    fn several(
        &self,
        attribute: &Attribute,
        filter: Option<&Filter>,
        chosen: Vec<Value>,
        value: &Value,
    ) -> Scope {
        let given = list(value);
        // A filter of members names members, too.
        let new = filter
            .map_or(0, |filter| filter.paths().len())
            .max(given.len());
        match self.op {
            "remove" => {
                let is_meant = |element: &Value| {
                    value.is_null() || given.iter().any(|one| is_like(attribute, element, one))
                };
                Scope::Elements {
                    chosen: chosen.into_iter().filter(is_meant).collect(),
                    parts: None,
                    new: 0,
                }
            }
            "replace" if filter.is_none() => Scope::Whole,
            "replace" => {
                let assigns = given.iter().any(|one| {
                    one.as_object()
                        .is_none_or(|one| one.values().any(|part| !is_nothing(part)))
                });
                let parts = (!assigns && !is_nothing(value)).then(|| parts_of(attribute, &given));
                Scope::Elements { chosen, parts, new }
            }
            _ if filter.is_some() => Scope::Elements {
                chosen,
                parts: Some(parts_of(attribute, &given)),
                new,
            },
            _ => Scope::Added {
                parts: parts_of(attribute, &given),
                new,
            },
        }
    }

    fn single(&self, attribute: &Attribute, chosen: &[Value], value: &Value) -> Scope {
        let given = list(value);
        let nothing = || Scope::Parts(BTreeSet::new());
        if self.op == "remove" {
            let is_meant = says_nothing(attribute, false, value)
                || chosen
                    .iter()
                    .any(|held| given.iter().any(|one| is_like(attribute, held, one)));
            return if is_meant { Scope::Whole } else { nothing() };
        }
        match value {
            Value::Null if self.op == "add" => nothing(),
            _ if attribute.kind != AttributeType::Complex
                || given.iter().all(|one| one.is_null() || one == "") =>
            {
                Scope::Whole
            }
            _ => Scope::Parts(parts_of(attribute, &given)),
        }
    }
}

impl Named {
    fn new(extension: Option<&str>, attribute: &Attribute, scope: Scope) -> Self {
        Self {
            extension: extension.map(str::to_owned),
            attribute: attribute.name.clone(),
            scope,
        }
    }
}

/// SCIM 1.1 called the `value` of `manager` `managerId`.
fn sub_of<'a>(attribute: &'a Attribute, name: &str) -> Option<&'a Attribute> {
    let is_id = name.eq_ignore_ascii_case(&format!("{}id", attribute.name));
    attribute
        .sub_attribute(name)
        .or_else(|| attribute.sub_attribute("value").filter(|_| is_id))
}

/// The names of sub-attributes that these values have and a client may write; a bare one is the `value`.
fn parts_of(attribute: &Attribute, given: &[Value]) -> BTreeSet<String> {
    let mut parts = BTreeSet::new();
    for one in given {
        match one {
            Value::Object(one) => {
                let subs = one
                    .keys()
                    .filter_map(|name| sub_of(attribute, name))
                    .filter(|sub| sub.mutability != Mutability::ReadOnly);
                parts.extend(subs.map(|sub| sub.name.clone()));
            }
            Value::Null => {}
            _ => parts.extend(["value".to_owned()]),
        }
    }
    parts
}

/// Whether an element has all that is given, which must be something.
fn is_like(attribute: &Attribute, element: &Value, given: &Value) -> bool {
    let inner = given
        .get("value")
        .filter(|_| attribute.kind != AttributeType::Complex);
    let given = inner.unwrap_or(given);
    let Value::Object(given) = given else {
        let held = if attribute.kind == AttributeType::Complex {
            element.get("value")
        } else {
            Some(element)
        };
        return !given.is_null() && held.is_some_and(|held| alike(held, given));
    };
    let has_value = member(given, "value").is_some();
    let sub = |name: &str| {
        if has_value {
            attribute.sub_attribute(name)
        } else {
            sub_of(attribute, name)
        }
    };
    let members = given
        .iter()
        .filter(|(_, value)| !is_nothing(value))
        .filter_map(|(name, value)| Some((sub(name)?, value)));
    let mut members = members
        .filter(|(sub, _)| sub.mutability != Mutability::ReadOnly)
        .peekable();
    let held = |name: &str| element.get(name).map(list).unwrap_or_default();
    members.peek().is_some()
        && members.all(|(sub, value)| {
            list(value)
                .iter()
                .all(|one| held(&sub.name).iter().any(|held| alike(held, one)))
        })
}

/// Without case, and with booleans and numbers in quotes.
fn alike(held: &Value, given: &Value) -> bool {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
            .trim()
            .to_lowercase()
    };
    let given = given
        .as_object()
        .and_then(|object| object.get("value"))
        .unwrap_or(given);
    text(held) == text(given)
}

fn is_nothing(value: &Value) -> bool {
    value.is_null()
        || value
            .as_array()
            .is_some_and(|elements| elements.iter().all(Value::is_null))
}

/// Whether a remove with this value is one without, as the path alone says what goes.
fn says_nothing(attribute: &Attribute, names_values: bool, value: &Value) -> bool {
    // Entra's older dialect puts an object around a simple value.
    let inner = value
        .get("value")
        .filter(|_| attribute.kind != AttributeType::Complex && !attribute.multi_valued);
    let value = inner.unwrap_or(value);
    let is_empty = value == "" || value.as_array().is_some_and(Vec::is_empty);
    value.is_null() || (is_empty && !attribute.multi_valued && !names_values)
}
