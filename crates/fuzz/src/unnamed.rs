//! The law that a PATCH changes nothing that it does not name. What an operation names is read here once more, from the JSON as it was sent: only the grammar
//! of paths and the meaning of filters are those of `scim-protocol`.

use std::collections::BTreeSet;

use scim_protocol::attribute_path::AttributePath;
use scim_protocol::patch::apply::apply;
use scim_protocol::patch::member::{fold, split};
use scim_protocol::patch::parse;
use scim_protocol::patch::work::Work;
use scim_protocol::patch_path::PatchPath;
use scim_protocol::quirk::{Quirk, QuirkSet, normalize_patch};
use scim_protocol::schema::{Attribute, AttributeType, Mutability};
use scim_protocol::{Error, Filter, TypeSchema, ValidResource};
use serde_json::{Map, Value, json};

/// What has become of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Operations that were carried out, and whose law was checked.
    pub checked: usize,
    /// Operations that were carried out and are written in a way that is not read here.
    pub unread: usize,
    /// Operations that were refused.
    pub refused: usize,
}

/// A resource, and the members that a group has.
#[derive(Clone, Debug)]
pub struct Held {
    /// The resource.
    pub resource: ValidResource,
    /// Elements with `value` and `type`.
    pub members: Vec<Value>,
}

/// Carries out the operations of a message one after the other, and panics where one changes what it does not name.
pub fn check(schema: &TypeSchema, quirks: &QuirkSet, held: &Held, message: &Value) -> Seen {
    let (mut seen, mut held) = (Seen::default(), held.clone());
    let Some(object) = message.as_object() else {
        return seen;
    };
    let Some((name, Value::Array(operations))) = member(object, "Operations") else {
        return seen;
    };
    for operation in operations {
        let mut one = object.clone();
        one.insert(name.to_owned(), json!([operation]));
        let Ok(after) = carried_out(schema, quirks, &held, Value::Object(one)) else {
            seen.refused += 1;
            continue;
        };
        match named(schema, quirks, operation, &held) {
            Some(named) => {
                seen.checked += 1;
                if let Some(lost) = broken(schema, &named, &held, &after) {
                    panic!(
                        "{operation} does not name `{lost}`, which it changes:\n{held:?}\n{after:?}"
                    );
                }
            }
            None => seen.unread += 1,
        }
        held = after;
    }
    seen
}

/// As `directory` does it.
fn carried_out(
    schema: &TypeSchema,
    quirks: &QuirkSet,
    held: &Held,
    mut message: Value,
) -> Result<Held, Error> {
    normalize_patch(quirks, schema, &mut message);
    let split = split(schema, parse(schema, message, quirks)?)?;
    let resource = apply(schema, &held.resource, &split.others, quirks)?;
    let delta = fold(schema, &split.members, &held.members, &mut Work::default())?;
    let is_in =
        |ids: &[String], element: &Value| ids.iter().any(|id| element["value"] == json!(id));
    let mut members = held.members.clone();
    members.retain(|element| {
        is_in(&delta.added, element) || !(delta.replace || is_in(&delta.removed, element))
    });
    let new = delta
        .added
        .iter()
        .filter(|id| !members.iter().any(|element| element["value"] == json!(id)));
    let new: Vec<Value> = new.map(|id| json!({"value": id, "type": "User"})).collect();
    members.extend(new);
    Ok(Held { resource, members })
}

/// An attribute that an operation names, and how much of it.
#[derive(Debug)]
pub struct Named {
    extension: Option<String>,
    attribute: String,
    scope: Scope,
}

#[derive(Debug)]
enum Scope {
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
fn member<'v>(object: &'v Map<String, Value>, name: &str) -> Option<(&'v str, &'v Value)> {
    let found = object.get_key_value(name).or_else(|| {
        object
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
    });
    found.map(|(key, value)| (key.as_str(), value))
}

/// What an operation names; `None` where it is not read here.
fn named(
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
            (Some(sub), multi_valued) => self.sub_attribute(sub, multi_valued, chosen, &value),
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
    ) -> Scope {
        let parts = BTreeSet::from([sub.name.clone()]);
        let is_meant = |element: &Value| {
            let held = element.get(&sub.name).unwrap_or(&Value::Null);
            self.op != "remove"
                || says_nothing(sub, value)
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
            let is_meant = says_nothing(attribute, value)
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

/// The values of a list, or the one.
fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(elements) => elements.clone(),
        one => vec![one.clone()],
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null()
        || value
            .as_array()
            .is_some_and(|elements| elements.iter().all(Value::is_null))
}

/// Whether a remove with this value is one without, as the path alone says what goes.
fn says_nothing(attribute: &Attribute, value: &Value) -> bool {
    // Entra's older dialect puts an object around a simple value.
    let inner = value
        .get("value")
        .filter(|_| attribute.kind != AttributeType::Complex && !attribute.multi_valued);
    let value = inner.unwrap_or(value);
    let is_empty = value == "" || value.as_array().is_some_and(Vec::is_empty);
    value.is_null() || (is_empty && !attribute.multi_valued)
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

impl Held {
    fn elements(&self, extension: Option<&str>, name: &str) -> Vec<Value> {
        if extension.is_none() && name == "members" {
            return self.members.clone();
        }
        value_of(self.resource.document(), extension, name)
            .map(list)
            .unwrap_or_default()
    }
}

fn value_of<'v>(
    document: &'v Map<String, Value>,
    extension: Option<&str>,
    name: &str,
) -> Option<&'v Value> {
    match extension {
        Some(urn) => document.get(urn)?.get(name),
        None => document.get(name),
    }
}

/// The first attribute that is different though nothing names what has changed of it.
fn broken(schema: &TypeSchema, named: &[Named], before: &Held, after: &Held) -> Option<String> {
    let extensions = schema.extensions.iter().flat_map(|extension| {
        extension
            .attributes
            .iter()
            .map(|attribute| (Some(extension.id.as_str()), attribute.name.as_str()))
    });
    let own = schema
        .common
        .iter()
        .chain(&schema.core.attributes)
        .map(|attribute| (None, attribute.name.as_str()));
    // `schemas` follows from what the resource holds.
    own.chain(extensions)
        .filter(|(_, name)| *name != "schemas")
        .find_map(|(extension, name)| {
            let scopes: Vec<&Scope> = named
                .iter()
                .filter(|named| named.extension.as_deref() == extension && named.attribute == name)
                .map(|named| &named.scope)
                .collect();
            let (old, new) = (
                before.elements(extension, name),
                after.elements(extension, name),
            );
            // An attribute that is named twice is named by both, which is more than either allows.
            let holds = match scopes.as_slice() {
                [] => old == new,
                [scope] => allows(scope, &old, &new),
                _ => true,
            };
            (!holds)
                .then(|| extension.map_or_else(|| name.to_owned(), |urn| format!("{urn}:{name}")))
        })
}

fn allows(scope: &Scope, old: &[Value], new: &[Value]) -> bool {
    // A value that becomes primary makes every other one secondary (RFC 7644 section 3.5.2).
    let demotes = new.iter().any(|element| element["primary"] == json!(true));
    let is_kept = |element: &Value, parts: &BTreeSet<String>| {
        new.iter()
            .any(|new| differ_in(element, new, parts, demotes))
    };
    let none = BTreeSet::new();
    let new_ones = || {
        new.iter()
            .filter(|element| {
                !old.iter()
                    .any(|old| differ_in(old, element, &none, demotes))
            })
            .count()
    };
    match scope {
        Scope::Whole => true,
        Scope::Parts(parts) => {
            let one = |elements: &[Value]| elements.first().cloned().unwrap_or_else(|| json!({}));
            differ_in(&one(old), &one(new), parts, false)
        }
        Scope::Elements {
            chosen,
            parts,
            new: made,
        } => {
            let stays = |element: &Value| match parts {
                _ if !chosen.contains(element) => is_kept(element, &none),
                None => true,
                Some(parts) => {
                    let has_more = element
                        .as_object()
                        .is_none_or(|element| element.keys().any(|name| !parts.contains(name)));
                    !has_more || is_kept(element, parts)
                }
            };
            old.iter().all(stays) && new_ones() <= chosen.len() + made
        }
        Scope::Added { parts, new: made } => {
            let merged: BTreeSet<String> = parts
                .iter()
                .filter(|name| !["value", "type"].contains(&name.as_str()))
                .cloned()
                .collect();
            old.iter().all(|element| is_kept(element, &merged)) && new_ones() <= *made
        }
    }
}

/// Whether two values are the same but for these parts.
fn differ_in(old: &Value, new: &Value, parts: &BTreeSet<String>, demotes: bool) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return old == new;
    };
    old.keys().chain(new.keys()).all(|name| {
        let is_demoted = || {
            demotes
                && name == "primary"
                && old.get(name) == Some(&json!(true))
                && new.get(name) == Some(&json!(false))
        };
        parts.contains(name) || old.get(name) == new.get(name) || is_demoted()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};
    use scim_protocol::patch::PATCH_SCHEMA;
    use scim_protocol::schema::set::SchemaExtension;
    use scim_protocol::schema::standard::{self, ENTERPRISE_USER, GROUP, USER};
    use scim_protocol::validate::validate;
    use scim_protocol::{Profile, SchemaSet};

    use super::*;

    const BADGES: &str = "urn:example:params:scim:schemas:extension:badges:2.0:User";

    /// The standard types, and an extension with every kind of attribute that they have not.
    static SCHEMAS: LazyLock<SchemaSet> = LazyLock::new(|| {
        let text = |name: &str| json!({"name": name, "type": "string"});
        let badges = json!({"id": BADGES, "attributes": [
            {"name": "tags", "type": "string", "multiValued": true},
            {"name": "badge", "type": "complex", "subAttributes": [
                text("value"), text("note"), {"name": "codes", "type": "string", "multiValued": true},
                {"name": "seen", "type": "string", "mutability": "readOnly"}]},
            {"name": "doors", "type": "complex", "multiValued": true, "subAttributes": [
                text("type"), text("note"), {"name": "codes", "type": "string", "multiValued": true}]},
        ]});
        let mut schemas = standard::schemas();
        schemas.push(serde_json::from_value(badges).unwrap());
        let mut types: Vec<_> = SchemaSet::standard()
            .types()
            .iter()
            .map(|schema| schema.resource_type.clone())
            .collect();
        let user = types
            .iter_mut()
            .find(|resource_type| resource_type.name == "User")
            .unwrap();
        user.schema_extensions.push(SchemaExtension {
            schema: BADGES.into(),
            required: false,
        });
        SchemaSet::new(types, schemas).unwrap()
    });

    fn of_type(name: &str) -> &'static TypeSchema {
        SCHEMAS.by_name(name).unwrap()
    }

    fn any_text() -> impl Strategy<Value = Value> {
        select(vec!["a", "b", "work", "home", ""]).prop_map(|text| json!(text))
    }

    fn any_scalar() -> impl Strategy<Value = Value> {
        prop_oneof![4 => any_text(), 2 => Just(Value::Null), 1 => any::<bool>().prop_map(Value::Bool), 1 => Just(json!("True")), 1 => Just(json!([]))]
    }

    /// An object with some of these members.
    fn any_object(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
        let part =
            prop_oneof![3 => any_scalar(), 1 => vec(any_text(), 0..3).prop_map(Value::Array)];
        (subsequence(names, 0..=names.len()), vec(part, names.len())).prop_map(|(names, parts)| {
            Value::Object(names.into_iter().map(str::to_owned).zip(parts).collect())
        })
    }

    /// What a resource may hold of an attribute: each of these sub-attributes or not, without doubles.
    fn held_object(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
        (
            subsequence(names, 1..=names.len()),
            vec(select(vec!["a", "b", "work", "home"]), names.len()),
        )
            .prop_map(|(names, values)| {
                let value = |name: &str, text: &str| {
                    if name == "codes" {
                        json!([text, "c"])
                    } else {
                        json!(text)
                    }
                };
                Value::Object(
                    names
                        .into_iter()
                        .zip(values)
                        .map(|(name, text)| (name.to_owned(), value(name, text)))
                        .collect(),
                )
            })
    }

    fn held_list(names: &'static [&'static str], primary: bool) -> impl Strategy<Value = Value> {
        vec(held_object(names), 0..4).prop_map(move |mut elements| {
            if let Some(first) = elements.first_mut().filter(|_| primary) {
                first["primary"] = json!(true);
            }
            Value::Array(elements)
        })
    }

    const NAME: &[&str] = &["familyName", "GIVENNAME", "formatted", "nothing"];
    const EMAIL: &[&str] = &["value", "type", "Display", "primary"];
    const ADDRESS: &[&str] = &["type", "locality", "country", "primary"];
    const MANAGER: &[&str] = &["value", "$ref", "displayName", "managerId"];
    const BADGE: &[&str] = &["value", "note", "codes", "seen"];
    const DOOR: &[&str] = &["type", "note", "Codes"];

    prop_compose! {
        fn any_user()(
            (title, name) in (any::<bool>(), held_object(&["familyName", "givenName", "formatted"])),
            (emails, phones) in (held_list(&["value", "type", "display"], true), held_list(&["value", "type"], false)),
            addresses in held_list(&["type", "locality", "country"], true),
            (department, manager) in (any::<bool>(), held_object(&["value", "$ref"])),
            (tags, badge) in (vec(select(vec!["a", "b", "work"]), 0..3), held_object(&["value", "note", "codes"])),
            doors in held_list(&["type", "note", "codes"], false),
        ) -> Held {
            let some = |is_there: bool| if is_there { json!("T") } else { Value::Null };
            let body = json!({
                "schemas": [USER, ENTERPRISE_USER, BADGES], "userName": "ann", "title": some(title), "name": name, "active": true,
                "emails": emails, "phoneNumbers": phones, "addresses": addresses,
                ENTERPRISE_USER: {"department": some(department), "division": "V", "manager": manager},
                BADGES: {"tags": tags, "badge": badge, "doors": doors},
            });
            let resource = validate(of_type("User"), body, None, &QuirkSet::strict()).unwrap().resource;
            Held { resource, members: Vec::new() }
        }
    }

    /// An attribute, by the URN of its extension and its name, with the sub-attributes that are spoken of.
    fn any_attribute()
    -> impl Strategy<Value = (&'static str, &'static str, &'static [&'static str])> {
        const NONE: &[&str] = &[];
        select(vec![
            ("", "title", NONE),
            (USER, "Active", NONE),
            ("", "name", NAME),
            (USER, "Name", NAME),
            ("", "emails", EMAIL),
            ("", "phoneNumbers", EMAIL),
            (USER, "ADDRESSES", ADDRESS),
            (ENTERPRISE_USER, "department", NONE),
            (ENTERPRISE_USER, "manager", MANAGER),
            (BADGES, "tags", NONE),
            (BADGES, "Badge", BADGE),
            (BADGES, "doors", DOOR),
        ])
    }

    fn any_filter() -> impl Strategy<Value = &'static str> {
        select(vec![
            "",
            "",
            "",
            "[type eq \"work\"]",
            "[type eq \"HOME\"]",
            "[value eq \"a\"]",
            "[not (type eq \"work\")]",
            "[primary eq true]",
            "[type eq \"work\" and value eq \"b\"]",
            "[primary eq \"True\"]",
            "[note pr]",
        ])
    }

    /// What is sent for an attribute with these sub-attributes: rightly, and as clients do.
    fn any_value(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
        let one = if names.is_empty() {
            any_scalar().boxed()
        } else {
            prop_oneof![5 => any_object(names), 1 => any_scalar()].boxed()
        };
        let several = vec(one.clone(), 0..3).prop_map(Value::Array);
        prop_oneof![4 => one, 3 => several, 1 => Just(Value::Null)].prop_flat_map(|value| {
            let quoted = json!(value.to_string());
            prop_oneof![6 => Just(value), 1 => Just(quoted)]
        })
    }

    fn any_op() -> impl Strategy<Value = &'static str> {
        select(vec!["add", "replace", "remove", "Replace", "ADD", "Remove"])
    }

    fn any_operation() -> impl Strategy<Value = Value> {
        any_attribute().prop_flat_map(|(urn, name, subs)| {
            let sub = prop_oneof![3 => Just(""), 2 => select(if subs.is_empty() { vec![""] } else { subs.to_vec() })];
            let value = prop_oneof![3 => any_value(subs), 1 => any_scalar()];
            (any_op(), any_filter(), sub, value, 0..5_usize).prop_map(move |(op, filter, sub, value, form)| {
                let dotted = if sub.is_empty() { String::new() } else { format!(".{sub}") };
                let qualified = if urn.is_empty() { name.to_owned() } else { format!("{urn}:{name}") };
                match form {
                    0 if sub.is_empty() => json!({"op": op, "value": {name: value}}),
                    1 if !urn.is_empty() => json!({"op": op, "value": {urn: {name: value}}}),
                    2 if !urn.is_empty() => json!({"op": op, "path": urn, "value": {format!("{name}{filter}{dotted}"): value}}),
                    3 if op.eq_ignore_ascii_case("remove") => json!({"op": op, "path": format!("{qualified}{filter}{dotted}")}),
                    _ => json!({"Op": op, "PATH": format!("{qualified}{filter}{dotted}"), "value": value}),
                }
            })
        })
    }

    fn any_group_operation() -> impl Strategy<Value = Value> {
        let path = select(vec![
            "members",
            "members",
            "Members.value",
            "members[value eq \"1\"]",
            "members[value eq \"1\" or value eq \"9\"]",
            "members[type eq \"Group\"]",
            "members[value eq \"1\"].value",
            "members[type eq \"User\"].value",
            "members[value eq \"2\"].display",
            "displayName",
            GROUP,
            "",
        ]);
        let id = || {
            select(vec![
                json!("1"),
                json!("2"),
                json!("9"),
                Value::Null,
                json!(""),
            ])
        };
        let element = prop_oneof![
            4 => id().prop_map(|id| json!({"value": id})),
            1 => id().prop_map(|id| json!({"$ref": null, "value": id, "type": "User"})),
            1 => Just(json!({"type": "Group"})),
            1 => id(),
        ];
        let value = prop_oneof![3 => vec(element.clone(), 0..3).prop_map(Value::Array), 3 => element, 1 => Just(json!("[{\"value\": \"1\"}]"))];
        (any_op(), path, proptest::option::weighted(0.8, value)).prop_map(|(op, path, value)| {
            let value = match path {
                "" | GROUP => {
                    Some(json!({"members": value.unwrap_or_default(), "displayName": "D"}))
                }
                _ => value,
            };
            let mut operation = json!({"op": op, "path": path});
            if let Some(value) = value {
                operation["value"] = value;
            }
            operation
        })
    }

    fn team() -> Held {
        let resource = validate(
            of_type("Group"),
            json!({"schemas": [GROUP], "displayName": "team"}),
            None,
            &QuirkSet::strict(),
        )
        .unwrap()
        .resource;
        let members = [("1", "User"), ("2", "User"), ("3", "Group")]
            .map(|(id, kind)| json!({"value": id, "type": kind, "display": id}));
        Held {
            resource,
            members: members.to_vec(),
        }
    }

    fn message(operations: &[Value]) -> Value {
        json!({"schemas": [PATCH_SCHEMA], "Operations": operations})
    }

    fn any_profile() -> impl Strategy<Value = &'static str> {
        select(
            Profile::all()
                .iter()
                .map(|profile| profile.name.as_str())
                .collect::<Vec<_>>(),
        )
    }

    fn quirks_of(profile: &str) -> QuirkSet {
        Profile::by_name(profile).unwrap().quirks()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_patch_of_a_user_never_changes_what_it_does_not_name(
            held in any_user(), operations in vec(any_operation(), 1..4), profile in any_profile(),
        ) {
            let seen = check(of_type("User"), &quirks_of(profile), &held, &message(&operations));
            prop_assert_eq!(seen.unread, 0, "{:?}", operations);
        }

        #[test]
        fn a_patch_of_a_group_never_changes_what_it_does_not_name(operations in vec(any_group_operation(), 1..4), profile in any_profile()) {
            let seen = check(of_type("Group"), &quirks_of(profile), &team(), &message(&operations));
            prop_assert_eq!(seen.unread, 0, "{:?}", operations);
        }
    }

    /// Or the law would hold for want of operations.
    #[test]
    fn many_generated_operations_are_carried_out() {
        use proptest::strategy::ValueTree;
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let operations = vec(any_operation(), 2_000)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let held = any_user().new_tree(&mut runner).unwrap().current();
        let one_by_one = operations.iter().map(|operation| {
            check(
                of_type("User"),
                &QuirkSet::standard(),
                &held,
                &message(std::slice::from_ref(operation)),
            )
        });
        let checked: usize = one_by_one.map(|seen| seen.checked).sum();
        assert!(checked > 800, "{checked} of {}", operations.len());
    }

    #[test]
    fn what_breaks_the_law_is_noticed() {
        let user = |beside: Value| {
            let mut body = json!({"schemas": [USER], "userName": "ann"});
            body.as_object_mut()
                .unwrap()
                .extend(beside.as_object().unwrap().clone());
            Held {
                resource: validate(of_type("User"), body, None, &QuirkSet::strict())
                    .unwrap()
                    .resource,
                members: Vec::new(),
            }
        };
        let broken = |before: Value, operation: Value, after: Value| {
            let (before, after) = (user(before), user(after));
            broken(
                of_type("User"),
                &named(of_type("User"), &QuirkSet::standard(), &operation, &before).unwrap(),
                &before,
                &after,
            )
        };
        let name = json!({"name": {"givenName": "A", "familyName": "B"}});
        let null = json!({"op": "replace", "path": "name", "value": {"familyName": null}});
        assert_eq!(
            broken(name.clone(), null.clone(), json!({})),
            Some("name".into())
        );
        assert_eq!(
            broken(
                name.clone(),
                null.clone(),
                json!({"name": {"givenName": "A"}})
            ),
            None
        );
        assert_eq!(
            broken(
                name,
                null,
                json!({"name": {"givenName": "A"}, "title": "T"})
            ),
            Some("title".into())
        );
        let addresses =
            json!({"addresses": [{"type": "work", "locality": "Bath"}, {"type": "home"}]});
        let remove = json!({"op": "remove", "path": "addresses", "value": [{"type": "work"}]});
        assert_eq!(
            broken(addresses.clone(), remove.clone(), json!({})),
            Some("addresses".into())
        );
        assert_eq!(
            broken(
                addresses.clone(),
                remove,
                json!({"addresses": [{"type": "home"}]})
            ),
            None
        );
        let add = json!({"op": "add", "path": "addresses", "value": [{"type": "other"}]});
        assert_eq!(
            broken(addresses, add, json!({"addresses": [{"type": "other"}]})),
            Some("addresses".into())
        );
        let group = team();
        let lost = Held {
            members: Vec::new(),
            ..group.clone()
        };
        let replace =
            json!({"op": "replace", "path": "members[value eq \"1\"].value", "value": null});
        assert_eq!(
            super::broken(
                of_type("Group"),
                &named(of_type("Group"), &QuirkSet::standard(), &replace, &group).unwrap(),
                &group,
                &lost
            ),
            Some("members".into())
        );
    }
}
