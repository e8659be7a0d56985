//! PATCH messages.

use serde_json::{Map, Value, json};

use super::Quirk;
use super::resource::stringified_object;
use super::rewrite::{Key, Rewrite, is_value_id, json_in, modern_urn};
use crate::patch_path::{PATCH_SCHEMA, PatchPath};
use crate::schema::{Mutability, Schema};

pub(super) fn normalize(rewrite: &mut Rewrite<'_>, body: &mut Value) {
    let Value::Object(message) = body else { return };
    lower_keys(rewrite, message, &["schemas", "Operations"]);
    from_resource(rewrite, message);
    let is_patch = |urn: &Value| {
        urn.as_str()
            .is_some_and(|urn| urn.eq_ignore_ascii_case(PATCH_SCHEMA))
    };
    if !message
        .get("schemas")
        .and_then(Value::as_array)
        .is_some_and(|urns| urns.iter().any(is_patch))
    {
        rewrite.acts_at(Quirk::MissingSchemas, "schemas", |_| {
            format!("took `schemas` as if it named `{PATCH_SCHEMA}`")
        });
    }
    let Some(found) = message.get_mut("Operations") else {
        return;
    };
    if let Value::String(text) = &*found
        && let Some(parsed) = json_in(text)
        && rewrite.acts_at(Quirk::StringifiedJson, "Operations", |_| {
            "read the string given for `Operations` as JSON".into()
        })
    {
        *found = parsed;
    }
    if found.is_object()
        && rewrite.acts_at(Quirk::SingleAsArray, "Operations", |_| {
            "accepted one operation for `Operations`, which is a list".into()
        })
    {
        *found = Value::Array(vec![found.take()]);
    }
    let Value::Array(operations) = found else {
        return;
    };
    if operations.is_empty() {
        rewrite.acts_at(Quirk::EmptyOperations, "Operations", |_| {
            "accepted a PATCH without operations".into()
        });
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
        let Some(found) = object
            .keys()
            .find(|key| key.eq_ignore_ascii_case(name))
            .cloned()
        else {
            continue;
        };
        if rewrite.acts_at(Quirk::OpCase, name, |_| {
            format!("accepted `{found}` for `{name}`")
        }) && let Some(value) = object.shift_remove(&found)
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
        if *op != lower
            && matches!(lower.as_str(), "add" | "remove" | "replace")
            && rewrite.acts_at(Quirk::OpCase, "op", |_| {
                format!("accepted `{}` for `{lower}`", op.trim())
            })
        {
            *op = lower;
        }
    }
    rewrite.is_removal = is_remove(&operation);
    let path = match operation.get("path") {
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        None | Some(Value::Null | Value::String(_)) => {
            return without_path(rewrite, operation, operations);
        }
        Some(_) => return operations.push(Value::Object(operation)),
    };
    with_path(rewrite, path, operation, operations);
}

fn with_path(
    rewrite: &mut Rewrite<'_>,
    path: String,
    mut operation: Map<String, Value>,
    operations: &mut Vec<Value>,
) {
    let mut text = rewrite.modern(&path).unwrap_or(path);
    let Ok(mut path) = PatchPath::parse(&text) else {
        return operations.push(Value::Object(operation));
    };
    if rewrite.schema.names_whole_core(&path.attribute) {
        return without_path(rewrite, operation, operations);
    }
    if let Some(meant) = rewrite.meant(&path)
        && rewrite.acts_at(Quirk::ExtensionNames, &text, |place| {
            format!("read the path `{place}` as `{meant}`")
        })
    {
        (text, path) = (meant.to_string(), meant);
    }
    if rewrite.leaf(&path).is_none()
        && let Some((renamed, parsed)) = named_value(rewrite, &text)
        && rewrite.acts_at(Quirk::ReferenceId, &text, |place| {
            format!("read `{place}` as `{renamed}`")
        })
    {
        (text, path) = (renamed, parsed);
    }
    operation.insert("path".into(), text.clone().into());
    let before = rewrite.enter(&text);
    at_path(rewrite, &path, &text, operation, operations);
    rewrite.leave(before);
}

/// An operation whose path leads to an attribute.
fn at_path(
    rewrite: &mut Rewrite<'_>,
    path: &PatchPath,
    text: &str,
    mut operation: Map<String, Value>,
    operations: &mut Vec<Value>,
) {
    boolean_in_filter(rewrite, path);
    let is_remove = is_remove(&operation);
    let Some(value) = operation.get_mut("value") else {
        return operations.push(Value::Object(operation));
    };
    without_its_name(rewrite, path, value);
    let Some((attribute, sub)) = rewrite.leaf(path) else {
        return of_extension(rewrite, text, operation, operations);
    };
    match sub {
        Some(sub) => {
            rewrite.value(sub, value, true);
            if sub.name == "value"
                && !attribute.multi_valued
                && value == ""
                && rewrite.acts(Quirk::ReferenceAsString, |place| {
                    format!("read an empty string for `{place}` as none")
                })
            {
                *value = Value::Null;
            }
        }
        // A remove may name several of the elements that its filter selects.
        None if path.filter.is_some() && !is_remove => rewrite.element(attribute, value),
        None => rewrite.value(attribute, value, false),
    }
    if is_remove {
        removes_by_value(rewrite, value);
    }
    operations.push(Value::Object(operation));
}

/// Takes the value out of an object that has the name of the path's attribute and nothing else: `{"members": [...]}` for `members`.
fn without_its_name(rewrite: &mut Rewrite<'_>, path: &PatchPath, value: &mut Value) {
    let Some((attribute, None)) = rewrite.leaf(path).filter(|_| path.filter.is_none()) else {
        return;
    };
    let Value::Object(object) = &mut *value else {
        return;
    };
    let mut names = object.keys();
    let (Some(name), None) = (names.next().cloned(), names.next()) else {
        return;
    };
    if name.eq_ignore_ascii_case(&attribute.name)
        && attribute.sub_attribute(&name).is_none()
        && rewrite.acts(Quirk::NamedValue, |place| {
            format!("read what stands below `{name}` in the value as the value of `{place}`")
        })
        && let Some(inner) = object.remove(&name)
    {
        *value = inner;
    }
}

fn is_remove(operation: &Map<String, Value>) -> bool {
    operation.get("op").and_then(Value::as_str) == Some("remove")
}

/// Notes that a `remove` takes only the values that it names; `patch::apply` and `patch::member` find them. Without the quirk `patch::parse` refuses it.
fn removes_by_value(rewrite: &mut Rewrite<'_>, value: &Value) {
    if !value.is_null() {
        rewrite.acts(Quirk::RemoveMembersByValue, |place| {
            format!("removed from `{place}` only the values that the operation names")
        });
    }
}

/// `emails[value eq "a@x" and type eq "work"]`.
fn selection(path: &str, element: &Value) -> Option<String> {
    let text = |name: &str| element.get(name).and_then(Value::as_str);
    let value = element.as_str().or_else(|| text("value"))?;
    let kind = text("type")
        .map(|kind| format!(" and type eq {}", Value::from(kind)))
        .unwrap_or_default();
    Some(format!("{path}[value eq {}{kind}]", Value::from(value)))
}

/// An operation whose path is the URN of an extension.
fn of_extension(
    rewrite: &mut Rewrite<'_>,
    urn: &str,
    mut operation: Map<String, Value>,
    operations: &mut Vec<Value>,
) {
    let Some(extension) = rewrite.schema.extension(urn) else {
        return operations.push(Value::Object(operation));
    };
    let removes = is_remove(&operation);
    let Some(value) = operation.get_mut("value") else {
        return operations.push(Value::Object(operation));
    };
    stringified_object(rewrite, value);
    if removes {
        removes_by_value(rewrite, value);
    }
    let mut paths = Vec::new();
    if let Value::Object(held) = value {
        object(rewrite, held, Some(extension), &mut paths);
    }
    push_all(rewrite, operation, paths, operations);
}

/// An operation whose value is an object of attributes.
fn without_path(
    rewrite: &mut Rewrite<'_>,
    mut operation: Map<String, Value>,
    operations: &mut Vec<Value>,
) {
    let Some(value) = operation.get_mut("value") else {
        return operations.push(Value::Object(operation));
    };
    stringified_object(rewrite, value);
    let mut paths = Vec::new();
    if let Value::Object(held) = value {
        object(rewrite, held, None, &mut paths);
    }
    push_all(rewrite, operation, paths, operations);
}

/// The rest of an operation, and after it one operation for each key that was a path.
fn push_all(
    rewrite: &mut Rewrite<'_>,
    operation: Map<String, Value>,
    paths: Vec<(String, Value)>,
    operations: &mut Vec<Value>,
) {
    let op = operation.get("op").cloned();
    let is_empty = operation
        .get("value")
        .and_then(Value::as_object)
        .is_some_and(Map::is_empty);
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
fn object<'a>(
    rewrite: &mut Rewrite<'a>,
    held: &mut Map<String, Value>,
    extension: Option<&'a Schema>,
    paths: &mut Vec<(String, Value)>,
) {
    for (key, mut value) in std::mem::take(held) {
        let key = rewrite.modern(&key).unwrap_or(key);
        match rewrite.key(&key, extension) {
            Key::Attribute(attribute) => {
                if attribute.mutability == Mutability::ReadOnly
                    && ignores_read_only(rewrite, &attribute.name)
                {
                    continue;
                }
                rewrite.attribute(attribute, &mut value, false);
            }
            Key::Extension(named) => {
                if is_emptied(rewrite, named, &mut value, paths) {
                    continue;
                }
            }
            Key::Core => {
                rewrite.acts_at(Quirk::PathKeys, &key, |_| {
                    "read what stands below the URN of the core schema as attributes".into()
                });
                if let Value::Object(mut inner) = value {
                    object(rewrite, &mut inner, None, paths);
                    held.extend(inner);
                }
                continue;
            }
            Key::Path(text, path) => {
                rewrite.read_as_path(&key, &path);
                let is_read_only = rewrite.leaf(&path).is_some_and(|(attribute, sub)| {
                    [Some(attribute), sub]
                        .into_iter()
                        .flatten()
                        .any(|attribute| attribute.mutability == Mutability::ReadOnly)
                });
                if !(is_read_only && ignores_read_only(rewrite, &key)) {
                    paths.push((text, value));
                }
                continue;
            }
            Key::Unknown => {
                let before = rewrite.enter(&key);
                let ignored = rewrite.ignores_unknown();
                rewrite.leave(before);
                if ignored {
                    continue;
                }
            }
        }
        held.insert(key, value);
    }
}

/// Rewrites what stands below the URN of an extension; whether all of it went elsewhere.
fn is_emptied<'a>(
    rewrite: &mut Rewrite<'a>,
    named: &'a Schema,
    value: &mut Value,
    paths: &mut Vec<(String, Value)>,
) -> bool {
    let before = rewrite.enter(&named.id);
    stringified_object(rewrite, value);
    let mut emptied = false;
    if let Value::Object(inner) = value {
        let was_empty = inner.is_empty();
        object(rewrite, inner, Some(named), paths);
        emptied = inner.is_empty() && !was_empty;
    }
    rewrite.leave(before);
    emptied
}

fn ignores_read_only(rewrite: &mut Rewrite<'_>, name: &str) -> bool {
    rewrite.acts_at(Quirk::IgnoreReadOnly, name, |place| {
        format!("ignored `{place}`, which is read-only")
    })
}

/// `manager.managerId` with `value` at its end.
fn named_value(rewrite: &Rewrite<'_>, text: &str) -> Option<(String, PatchPath)> {
    let (stem, name) = text.rsplit_once('.')?;
    let (attribute, sub) = rewrite.leaf(&PatchPath::parse(stem).ok()?)?;
    if sub.is_some() || !is_value_id(attribute, name) {
        return None;
    }
    let renamed = format!("{stem}.value");
    let path = PatchPath::parse(&renamed).ok()?;
    Some((renamed, path))
}

/// Filters take `"True"` for a boolean by themselves; here it is only said. Without the quirk `patch::parse` refuses it.
fn boolean_in_filter(rewrite: &mut Rewrite<'_>, path: &PatchPath) {
    let (Some(filter), Some(attribute)) = (
        &path.filter,
        rewrite
            .schema
            .resolve(&path.attribute)
            .and_then(|resolved| resolved.attribute),
    ) else {
        return;
    };
    for (name, text) in filter.strings_for_booleans_of(attribute) {
        rewrite.acts(Quirk::BooleanString, |place| {
            format!("accepted `\"{text}\"` for `{name}` in `{place}`")
        });
    }
}

/// SCIM 1.1 changed a part of a resource by a PATCH with that part: several values are added, those marked `"operation": "delete"` are removed, what
/// `meta.attributes` names is emptied, and everything else takes the place of what is there.
fn from_resource(rewrite: &mut Rewrite<'_>, message: &mut Map<String, Value>) {
    let is_resource = |urn: &Value| {
        let urn = urn.as_str().unwrap_or_default();
        let core = &rewrite.schema.core.id;
        urn.eq_ignore_ascii_case(core)
            || modern_urn(rewrite.schema, urn)
                .is_some_and(|modern| modern.eq_ignore_ascii_case(core))
    };
    let names_resource = message
        .get("schemas")
        .and_then(Value::as_array)
        .is_some_and(|urns| urns.iter().any(is_resource));
    if message.contains_key("Operations")
        || !names_resource
        || !rewrite.acts_at(Quirk::PatchAsResource, "Operations", |_| {
            "read a PATCH whose body is a part of the resource as operations".into()
        })
    {
        return;
    }
    let mut operations = Vec::new();
    let mut replaced = Map::new();
    for (name, value) in std::mem::take(message) {
        match (rewrite.schema.core_attribute(&name), value) {
            (Some(attribute), Value::Object(meta)) if attribute.name == "meta" => {
                let names = meta
                    .into_iter()
                    .find(|(name, _)| name == "attributes")
                    .and_then(|(_, names)| names.as_array().cloned());
                let removal = |path: Value| json!({"op": "remove", "path": path});
                operations.extend(
                    names
                        .unwrap_or_default()
                        .into_iter()
                        .filter(Value::is_string)
                        .map(removal),
                );
            }
            (Some(attribute), _) if attribute.name == "schemas" => {}
            (Some(attribute), Value::Array(elements)) if attribute.multi_valued => {
                let is_deleted = |element: &Value| {
                    element.get("operation").and_then(Value::as_str) == Some("delete")
                };
                let (gone, added): (Vec<Value>, Vec<Value>) =
                    elements.into_iter().partition(is_deleted);
                let paths = gone
                    .iter()
                    .filter_map(|element| selection(&attribute.name, element));
                operations.extend(paths.map(|path| json!({"op": "remove", "path": path})));
                if !added.is_empty() {
                    operations.push(json!({"op": "add", "path": attribute.name, "value": added}));
                }
            }
            (_, value) => {
                replaced.insert(name, value);
            }
        }
    }
    if !replaced.is_empty() {
        operations.push(json!({"op": "replace", "value": replaced}));
    }
    message.insert("schemas".into(), json!([PATCH_SCHEMA]));
    message.insert("Operations".into(), Value::Array(operations));
}
