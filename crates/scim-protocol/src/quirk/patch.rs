//! PATCH messages.

use serde_json::{Map, Value};

use super::Quirk;
use super::resource::stringified_object;
use super::rewrite::{Key, Rewrite, is_urn, json_in};
use crate::patch_path::{PATCH_SCHEMA, PatchPath};
use crate::schema::{Attribute, Mutability, Schema};

pub(super) fn normalize(rewrite: &mut Rewrite<'_>, body: &mut Value) {
    let Value::Object(message) = body else { return };
    lower_keys(rewrite, message, &["schemas", "Operations"]);
    let is_patch = |urn: &Value| urn.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(PATCH_SCHEMA));
    if !message.get("schemas").and_then(Value::as_array).is_some_and(|urns| urns.iter().any(is_patch)) {
        rewrite.acts(Quirk::MissingSchemas);
    }
    let Some(found) = message.get_mut("Operations") else { return };
    if let Value::String(text) = &*found
        && let Some(parsed) = json_in(text)
        && rewrite.acts(Quirk::StringifiedJson)
    {
        *found = parsed;
    }
    if found.is_object() && rewrite.acts(Quirk::SingleAsArray) {
        *found = Value::Array(vec![found.take()]);
    }
    let Value::Array(operations) = found else { return };
    if operations.is_empty() {
        rewrite.acts(Quirk::EmptyOperations);
    }
    for operation in std::mem::take(operations) {
        match operation {
            Value::Object(operation) => one(rewrite, operation, operations),
            other => operations.push(other),
        }
    }
}

/// The message's own names with the case that the RFC gives them.
fn lower_keys(rewrite: &mut Rewrite<'_>, object: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        if object.contains_key(*name) {
            continue;
        }
        let Some(found) = object.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned() else { continue };
        if rewrite.acts(Quirk::OpCase)
            && let Some(value) = object.shift_remove(&found)
        {
            object.insert((*name).to_owned(), value);
        }
    }
}

/// One operation, which may become several.
fn one(rewrite: &mut Rewrite<'_>, mut operation: Map<String, Value>, operations: &mut Vec<Value>) {
    lower_keys(rewrite, &mut operation, &["op", "path", "value"]);
    if let Some(Value::String(op)) = operation.get_mut("op") {
        let lower = op.trim().to_ascii_lowercase();
        if *op != lower && matches!(lower.as_str(), "add" | "remove" | "replace") && rewrite.acts(Quirk::OpCase) {
            *op = lower;
        }
    }
    let path = match operation.get("path") {
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        None | Some(Value::Null | Value::String(_)) => return without_path(rewrite, operation, operations),
        Some(_) => return operations.push(Value::Object(operation)),
    };
    with_path(rewrite, path, operation, operations);
}

fn with_path(rewrite: &mut Rewrite<'_>, path: String, mut operation: Map<String, Value>, operations: &mut Vec<Value>) {
    let mut text = rewrite.modern(&path).unwrap_or(path);
    let Ok(mut path) = PatchPath::parse(&text) else { return operations.push(Value::Object(operation)) };
    if rewrite.schema.names_whole_core(&path.attribute) {
        return without_path(rewrite, operation, operations);
    }
    if rewrite.schema.resolve(&path.attribute).is_none()
        && let Some((qualified, parsed)) = in_an_extension(rewrite, &text)
        && rewrite.acts(Quirk::PathKeys)
    {
        (text, path) = (qualified, parsed);
    }
    operation.insert("path".into(), text.clone().into());
    let is_remove = operation.get("op").and_then(Value::as_str) == Some("remove");
    let Some(value) = operation.get_mut("value") else { return operations.push(Value::Object(operation)) };
    let Some((attribute, sub)) = rewrite.leaf(&path) else {
        return of_extension(rewrite, &text, operation, operations);
    };
    if is_remove && sub.is_none() && path.filter.is_none() && attribute.multi_valued {
        rewrite.attribute(attribute, value, false);
        return remove_by_value(rewrite, &text, attribute, operation, operations);
    }
    match sub {
        Some(sub) => {
            rewrite.attribute(sub, value, true);
            if sub.name == "value" && !attribute.multi_valued && value == "" && rewrite.acts(Quirk::ReferenceAsString) {
                *value = Value::Null;
            }
        }
        None if path.filter.is_some() => rewrite.element(attribute, value),
        None => rewrite.attribute(attribute, value, false),
    }
    operations.push(Value::Object(operation));
}

/// Entra's `manager`, which is an attribute of an extension, without the URN of that.
fn in_an_extension(rewrite: &Rewrite<'_>, text: &str) -> Option<(String, PatchPath)> {
    if is_urn(text) {
        return None;
    }
    rewrite.schema.extensions.iter().find_map(|extension| {
        let qualified = format!("{}:{text}", extension.id);
        let path = PatchPath::parse(&qualified).ok()?;
        rewrite.leaf(&path).map(|_| (qualified, path))
    })
}

/// `remove` of a whole attribute with a value: only those values are meant. Members are taken from the value where they are parted from the rest
/// (`member::split`); of other attributes each value becomes an operation of its own.
fn remove_by_value(
    rewrite: &mut Rewrite<'_>,
    path: &str,
    attribute: &Attribute,
    mut operation: Map<String, Value>,
    operations: &mut Vec<Value>,
) {
    let value = operation.get("value").cloned().unwrap_or_default();
    if value.is_null() || !rewrite.acts(Quirk::RemoveMembersByValue) || attribute.name == "members" {
        return operations.push(Value::Object(operation));
    }
    let elements = match value {
        Value::Array(elements) => elements,
        one => vec![one],
    };
    let paths: Option<Vec<String>> = elements.iter().map(|element| selection(path, element)).collect();
    let Some(paths) = paths else { return operations.push(Value::Object(operation)) };
    operation.shift_remove("value");
    for path in paths {
        let mut removal = operation.clone();
        removal.insert("path".into(), path.into());
        operations.push(Value::Object(removal));
    }
}

/// `emails[value eq "a@x" and type eq "work"]`.
fn selection(path: &str, element: &Value) -> Option<String> {
    let text = |name: &str| element.get(name).and_then(Value::as_str);
    let value = element.as_str().or_else(|| text("value"))?;
    let kind = text("type").map(|kind| format!(" and type eq {}", Value::from(kind))).unwrap_or_default();
    Some(format!("{path}[value eq {}{kind}]", Value::from(value)))
}

/// An operation whose path is the URN of an extension.
fn of_extension(rewrite: &mut Rewrite<'_>, urn: &str, mut operation: Map<String, Value>, operations: &mut Vec<Value>) {
    let Some(extension) = rewrite.schema.extension(urn) else { return operations.push(Value::Object(operation)) };
    let Some(value) = operation.get_mut("value") else { return operations.push(Value::Object(operation)) };
    stringified_object(rewrite, value);
    let mut paths = Vec::new();
    if let Value::Object(held) = value {
        object(rewrite, held, Some(extension), &mut paths);
    }
    push_all(rewrite, operation, paths, operations);
}

/// An operation whose value is an object of attributes.
fn without_path(rewrite: &mut Rewrite<'_>, mut operation: Map<String, Value>, operations: &mut Vec<Value>) {
    let Some(value) = operation.get_mut("value") else { return operations.push(Value::Object(operation)) };
    stringified_object(rewrite, value);
    let mut paths = Vec::new();
    if let Value::Object(held) = value {
        object(rewrite, held, None, &mut paths);
    }
    push_all(rewrite, operation, paths, operations);
}

/// What is left of an operation, and after it one for each path that was a key.
fn push_all(rewrite: &mut Rewrite<'_>, operation: Map<String, Value>, paths: Vec<(String, Value)>, operations: &mut Vec<Value>) {
    let op = operation.get("op").cloned();
    let is_empty = operation.get("value").and_then(Value::as_object).is_some_and(Map::is_empty);
    if !is_empty || paths.is_empty() {
        operations.push(Value::Object(operation));
    }
    for (path, value) in paths {
        let mut made = Map::new();
        made.extend(op.clone().map(|op| ("op".to_owned(), op)));
        made.insert("path".into(), path.clone().into());
        made.insert("value".into(), value);
        with_path(rewrite, path, made, operations);
    }
}

/// Rewrites the object of an operation without path (`extension` is `None`) or that of an extension; what has a path as its key goes to `paths`.
fn object<'a>(rewrite: &mut Rewrite<'a>, held: &mut Map<String, Value>, extension: Option<&'a Schema>, paths: &mut Vec<(String, Value)>) {
    for (key, mut value) in std::mem::take(held) {
        let key = rewrite.modern(&key).unwrap_or(key);
        match rewrite.key(&key, extension) {
            Key::Attribute(attribute) => {
                if attribute.mutability == Mutability::ReadOnly && rewrite.acts(Quirk::IgnoreReadOnly) {
                    continue;
                }
                rewrite.attribute(attribute, &mut value, false);
            }
            Key::Extension(named) => {
                stringified_object(rewrite, &mut value);
                if let Value::Object(inner) = &mut value {
                    let was_empty = inner.is_empty();
                    object(rewrite, inner, Some(named), paths);
                    if inner.is_empty() && !was_empty {
                        continue;
                    }
                }
            }
            Key::Core => {
                rewrite.acts(Quirk::PathKeys);
                if let Value::Object(mut inner) = value {
                    object(rewrite, &mut inner, None, paths);
                    held.extend(inner);
                }
                continue;
            }
            Key::Path(text, path) => {
                rewrite.acts(Quirk::PathKeys);
                let is_read_only = rewrite.leaf(&path).is_some_and(|(attribute, sub)| {
                    [Some(attribute), sub].into_iter().flatten().any(|attribute| attribute.mutability == Mutability::ReadOnly)
                });
                if !(is_read_only && rewrite.acts(Quirk::IgnoreReadOnly)) {
                    paths.push((text, value));
                }
                continue;
            }
            Key::Unknown => {
                if rewrite.acts(Quirk::IgnoreUnknown) {
                    continue;
                }
            }
        }
        held.insert(key, value);
    }
}
