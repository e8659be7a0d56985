//! The default mapping: a resource of the directory to the account it should be over there, and an account over there to what of it we manage.
//! Does not compare the two; `plan` does.

use std::collections::BTreeMap;

use directory::store::StoredResource;
use scim_protocol::TypeSchema;
use scim_protocol::schema::{Attribute, AttributeType, Mutability};
use serde_json::{Map, Value};

use crate::account::{Account, AccountChange, Members, Replacement};
use crate::connector::{Capabilities, WritableAttributes};

/// What an account should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// Attributes, names canonical; without `schemas`, `id`, `meta` and `members`.
    pub document: Map<String, Value>,
    /// Remote ids of members and whether each is a group, sorted.
    pub members: Members,
    /// Ids of resources that it refers to and that have no account yet.
    pub awaits: Vec<String>,
}

/// Attributes that no application is told by the default mapping.
const NEVER: [&str; 7] = [
    "schemas", "id", "meta", "groups", "members", "password", "$ref",
];

/// Ids of resources of the directory that a resource refers to.
pub fn references(schema: &TypeSchema, subject: &StoredResource) -> Vec<String> {
    let mut ids: Vec<String> = subject
        .members
        .iter()
        .map(|member| member.id.clone())
        .collect();
    let mut document = writable(schema, &subject.document);
    each_reference(schema, &mut document, &mut |id| {
        ids.push(id.to_owned());
        None
    });
    ids
}

/// Whether a change of these attributes can change what an account should be. What the schema does not know may matter.
pub fn depends_on(schema: &TypeSchema, attributes: &[String]) -> bool {
    attributes.iter().any(|name| {
        let in_extension = schema.extensions.iter().find_map(|extension| {
            let inner = name.strip_prefix(&extension.id)?.strip_prefix(':')?;
            extension.attribute(inner)
        });
        let attribute = in_extension.or_else(|| schema.core_attribute(name));
        name == "members" || attribute.is_none_or(is_mapped)
    })
}

/// What an account should be. `remote_ids`: of the resources in `references` that have one.
pub fn desired(
    schema: &TypeSchema,
    subject: &StoredResource,
    remote_ids: &BTreeMap<String, String>,
    capabilities: &Capabilities,
) -> Desired {
    let mut result = Desired {
        document: writable(schema, &subject.document),
        ..Desired::default()
    };
    let awaits = &mut result.awaits;
    each_reference(schema, &mut result.document, &mut |id| {
        let remote_id = remote_ids.get(id).cloned();
        if remote_id.is_none() {
            awaits.push(id.to_owned());
        }
        remote_id
    });
    if let Some(published) = &capabilities.attributes {
        retain_published(schema, &mut result.document, published);
    }
    if !result.document.contains_key("externalId") {
        result
            .document
            .insert("externalId".into(), subject.id.clone().into());
    }
    for member in &subject.members {
        match remote_ids.get(&member.id) {
            Some(remote_id) => drop(
                result
                    .members
                    .insert(remote_id.clone(), member.resource_type == "Group"),
            ),
            None => result.awaits.push(member.id.clone()),
        }
    }
    result
}

/// Whether an attribute names other resources of the directory, by their ids in `value`.
fn is_reference(attribute: &Attribute) -> bool {
    let is_type = |name: &String| {
        !["uri", "external"]
            .iter()
            .any(|it| name.eq_ignore_ascii_case(it))
    };
    let names_types = attribute
        .sub_attribute("$ref")
        .is_some_and(|reference| reference.reference_types.iter().any(is_type));
    attribute.kind == AttributeType::Complex
        && attribute.sub_attribute("value").is_some()
        && names_types
}

/// Gives each reference of a document the id that `resolve` has for it; one for which it has none is left out.
fn each_reference(
    schema: &TypeSchema,
    document: &mut Map<String, Value>,
    resolve: &mut dyn FnMut(&str) -> Option<String>,
) {
    for extension in &schema.extensions {
        if let Some(inner) = document
            .get_mut(&extension.id)
            .and_then(Value::as_object_mut)
        {
            resolve_in(&extension.attributes, inner, resolve);
            if inner.is_empty() {
                document.shift_remove(&extension.id);
            }
        }
    }
    resolve_in(&schema.core.attributes, document, resolve);
}

fn resolve_in(
    attributes: &[Attribute],
    holder: &mut Map<String, Value>,
    resolve: &mut dyn FnMut(&str) -> Option<String>,
) {
    for attribute in attributes
        .iter()
        .filter(|attribute| is_reference(attribute))
    {
        let Some(value) = holder.get_mut(&attribute.name) else {
            continue;
        };
        let mut is_kept = |element: &mut Value| {
            let Some(id) = element.get("value").and_then(Value::as_str) else {
                return false;
            };
            match (resolve(id), element.as_object_mut()) {
                (Some(id), Some(element)) => element.insert("value".into(), id.into()).is_some(),
                _ => false,
            }
        };
        let stays = match value {
            Value::Array(elements) => {
                elements.retain_mut(&mut is_kept);
                !elements.is_empty()
            }
            single => is_kept(single),
        };
        if !stays {
            holder.shift_remove(&attribute.name);
        }
    }
}
/// A document reduced to what a client may write, names as in the schema, nothing empty. Tolerant: what the schema does not know is left out.
pub fn writable(schema: &TypeSchema, document: &Map<String, Value>) -> Map<String, Value> {
    let mut result = Map::new();
    for (name, value) in document {
        if let Some(extension) = schema.extension(name) {
            let inner = value.as_object().map(|inner| {
                writable_attributes(inner, |name| {
                    extension
                        .attributes
                        .iter()
                        .find(|a| a.name.eq_ignore_ascii_case(name))
                })
            });
            if let Some(inner) = inner.filter(|inner| !inner.is_empty()) {
                result.insert(extension.id.clone(), Value::Object(inner));
            }
        }
    }
    let mut core = writable_attributes(document, |name| schema.core_attribute(name));
    core.append(&mut result);
    core
}

fn writable_attributes<'a>(
    document: &Map<String, Value>,
    find: impl Fn(&str) -> Option<&'a Attribute>,
) -> Map<String, Value> {
    let mut result = Map::new();
    for (name, value) in document {
        let Some(attribute) = find(name).filter(|attribute| is_mapped(attribute)) else {
            continue;
        };
        if let Some(value) = writable_value(attribute, value) {
            result.insert(attribute.name.clone(), value);
        }
    }
    result
}

fn is_mapped(attribute: &Attribute) -> bool {
    attribute.mutability != Mutability::ReadOnly
        && !NEVER
            .iter()
            .any(|never| never.eq_ignore_ascii_case(&attribute.name))
}

fn writable_value(attribute: &Attribute, value: &Value) -> Option<Value> {
    let value = match value {
        Value::Array(elements) => Value::Array(
            elements
                .iter()
                .filter_map(|element| writable_value(attribute, element))
                .collect(),
        ),
        Value::Object(object) if attribute.kind == AttributeType::Complex => {
            Value::Object(writable_attributes(object, |name| {
                attribute.sub_attribute(name)
            }))
        }
        other => other.clone(),
    };
    (!is_empty(&value)).then_some(value)
}

pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}

/// Leaves out what the application's schemas do not have.
fn retain_published(
    schema: &TypeSchema,
    document: &mut Map<String, Value>,
    published: &BTreeMap<String, WritableAttributes>,
) {
    let core = published.get(&schema.core.id.to_ascii_lowercase());
    document.retain(|name, value| {
        if let Some(extension) = schema.extension(name) {
            let Some(known) = published.get(&extension.id.to_ascii_lowercase()) else {
                return false;
            };
            if let Some(inner) = value.as_object_mut() {
                inner.retain(|name, value| retain_attribute(known, name, value));
            }
            return !is_empty(value);
        }
        name == "externalId" || core.is_none_or(|known| retain_attribute(known, name, value))
    });
}

fn retain_attribute(known: &WritableAttributes, name: &str, value: &mut Value) -> bool {
    let Some(sub_attributes) = known.get(&name.to_ascii_lowercase()) else {
        return false;
    };
    let mut prune = |value: &mut Value| {
        if let Some(object) = value.as_object_mut() {
            object.retain(|name, _| {
                sub_attributes.is_empty() || sub_attributes.contains(&name.to_ascii_lowercase())
            });
        }
    };
    if let Value::Array(elements) = value {
        elements.iter_mut().for_each(&mut prune);
        elements.retain(|element| !is_empty(element));
    } else {
        prune(value);
    }
    !is_empty(value)
}

/// An account as it was read, reduced to what we manage: the attributes and sub-attributes that `acknowledged` or `desired` have. What the application
/// added of its own (a `formatted` name, a `display`) is not ours to remove; what somebody changed or removed there shows as a difference.
pub fn managed(
    schema: &TypeSchema,
    account: &Map<String, Value>,
    acknowledged: &Map<String, Value>,
    desired: &Map<String, Value>,
) -> Map<String, Value> {
    let account = Value::Object(writable(schema, account));
    let expected = [
        Value::Object(desired.clone()),
        Value::Object(acknowledged.clone()),
    ];
    match restrict(&account, &expected.iter().collect::<Vec<_>>()) {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// `expected`: what should be first.
pub(crate) fn restrict(value: &Value, expected: &[&Value]) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.iter().filter_map(|(name, value)| {
                let expected: Vec<&Value> = expected
                    .iter()
                    .filter_map(|expected| expected.get(name))
                    .collect();
                (!expected.is_empty()).then(|| (name.clone(), restrict(value, &expected)))
            });
            Value::Object(kept.collect())
        }
        Value::Array(elements) => restrict_elements(elements, expected),
        Value::String(text)
            if expected
                .first()
                .is_some_and(|expected| expected.is_boolean()) =>
        {
            match text.to_ascii_lowercase().as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => value.clone(),
            }
        }
        other => other.clone(),
    }
}

fn restrict_elements(elements: &[Value], expected: &[&Value]) -> Value {
    let known: Vec<&Value> = expected
        .iter()
        .filter_map(|expected| expected.as_array())
        .flatten()
        .collect();
    let restricted = elements.iter().map(|element| {
        let same: Vec<&Value> = known
            .iter()
            .copied()
            .filter(|known| is_same_element(known, element))
            .collect();
        if same.is_empty() {
            element.clone()
        } else {
            restrict(element, &same)
        }
    });
    Value::Array(restricted.collect())
}

fn is_same_element(a: &Value, b: &Value) -> bool {
    match (a.get("value"), b.get("value")) {
        (Some(x), Some(y)) => x == y,
        // Addresses have no `value`: they are the same where every sub-attribute that both have is.
        (None, None) => match (a.as_object(), b.as_object()) {
            (Some(x), Some(y)) => x
                .iter()
                .all(|(name, value)| y.get(name).is_none_or(|other| other == value)),
            _ => a == b,
        },
        _ => false,
    }
}

/// An account as a whole after a change: as it was read with the changed values in their places, so that attributes of the application's own survive.
/// `members`: all of its members afterwards.
pub fn replacement(
    schema: &TypeSchema,
    account: &Account,
    acknowledged: &Map<String, Value>,
    change: &AccountChange,
    members: Members,
) -> Replacement {
    let mut document = writable(schema, &account.attributes);
    for edit in &change.edits {
        let (held, before) = (
            edit.place.value_in(&document),
            edit.place.value_in(acknowledged),
        );
        let value = edit
            .value
            .as_ref()
            .map(|wanted| merged(held, before, wanted));
        edit.place.put(&mut document, value);
    }
    document.extend(foreign(schema, &account.attributes));
    Replacement {
        id: account.id.clone(),
        attributes: document,
        members,
    }
}

/// What the account has that no schema of ours knows: attributes and extensions of the application's own.
fn foreign(schema: &TypeSchema, account: &Map<String, Value>) -> Map<String, Value> {
    let is_ours =
        |name: &str| schema.core_attribute(name).is_some() || schema.extension(name).is_some();
    account
        .iter()
        .filter(|(name, _)| !is_ours(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A value of ours in the place of the account's, with what the account has in it besides: sub-attributes that we have never said anything about.
fn merged(held: Option<&Value>, before: Option<&Value>, wanted: &Value) -> Value {
    match (held, wanted) {
        (Some(Value::Object(held)), Value::Object(wanted)) => {
            let was_ours = |name: &str| {
                before
                    .and_then(Value::as_object)
                    .is_some_and(|before| before.contains_key(name))
            };
            let kept = held
                .iter()
                .filter(|(name, _)| !was_ours(name) && !wanted.contains_key(*name));
            let kept: Vec<(String, Value)> = kept
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            Value::Object(wanted.clone().into_iter().chain(kept).collect())
        }
        (Some(Value::Array(held)), Value::Array(wanted)) => {
            let same = |all: &[Value], one: &Value| {
                all.iter()
                    .find(|other| {
                        one.get("value").is_some() && other.get("value") == one.get("value")
                    })
                    .cloned()
            };
            let before = before
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            wanted
                .iter()
                .map(|one| merged(same(held, one).as_ref(), same(before, one).as_ref(), one))
                .collect()
        }
        _ => wanted.clone(),
    }
}
