//! The default mapping: a resource of the directory to the account it should be over there, and an account over there to what of it we manage.
//! Does not compare the two; `plan` does.

use std::collections::BTreeMap;

use directory::store::StoredResource;
use scim_protocol::TypeSchema;
use scim_protocol::schema::{Attribute, AttributeType, Mutability};
use serde_json::{Map, Value, json};

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
pub fn references(subject: &StoredResource) -> Vec<String> {
    let managers = subject
        .document
        .values()
        .filter_map(|value| value.get("manager")?.get("value")?.as_str())
        .map(str::to_owned);
    subject
        .members
        .iter()
        .map(|member| member.id.clone())
        .chain(managers)
        .collect()
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
    for extension in &schema.extensions {
        resolve_manager(&mut result, &extension.id, remote_ids);
    }
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

/// A manager is named by the id of their account over there, and left out until they have one.
fn resolve_manager(result: &mut Desired, urn: &str, remote_ids: &BTreeMap<String, String>) {
    let Some(extension) = result.document.get_mut(urn).and_then(Value::as_object_mut) else {
        return;
    };
    let Some(id) = extension
        .get("manager")
        .and_then(|manager| manager.get("value"))
        .and_then(Value::as_str)
        .map(str::to_owned)
    else {
        return;
    };
    if let Some(remote_id) = remote_ids.get(&id) {
        drop(extension.insert("manager".into(), json!({ "value": remote_id })));
    } else {
        extension.shift_remove("manager");
        result.awaits.push(id);
    }
    if extension.is_empty() {
        result.document.shift_remove(urn);
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
