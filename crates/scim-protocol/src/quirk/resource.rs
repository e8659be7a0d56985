//! Bodies of POST and PUT.

use serde_json::{Map, Value};

use super::Quirk;
use super::rewrite::{Key, Rewrite};
use crate::filter::Filter;
use crate::patch_path::{PatchPath, element_from};
use crate::schema::{Attribute, Schema};

pub(super) fn normalize(rewrite: &mut Rewrite<'_>, body: &mut Value) {
    let Value::Object(document) = body else {
        return;
    };
    schemas(rewrite, document);
    let mut paths = Vec::new();
    object(rewrite, document, None, &mut paths);
    for (path, value) in paths {
        let before = rewrite.enter(&path.to_string());
        place(rewrite, document, &path, value);
        rewrite.leave(before);
        if let Some(urn) = rewrite
            .schema
            .resolve(&path.attribute)
            .and_then(|resolved| resolved.extension)
            && rewrite.set.has(Quirk::ExtensionNames)
        {
            name_extension(document, urn);
        }
    }
}

/// Adds the extension to `schemas`: a client that does not write its URN does not name it there either.
fn name_extension(document: &mut Map<String, Value>, urn: &str) {
    let mut lists = document
        .iter_mut()
        .filter(|(name, _)| name.eq_ignore_ascii_case("schemas"));
    if let Some(urns) = lists.find_map(|(_, value)| value.as_array_mut())
        && !urns
            .iter()
            .filter_map(Value::as_str)
            .any(|named| named.eq_ignore_ascii_case(urn))
    {
        urns.push(urn.into());
    }
}

fn schemas(rewrite: &mut Rewrite<'_>, document: &mut Map<String, Value>) {
    let core = &rewrite.schema.core.id;
    let mut has_core = false;
    for (_, value) in document
        .iter_mut()
        .filter(|(name, _)| name.eq_ignore_ascii_case("schemas"))
    {
        if value.is_string()
            && rewrite.acts_at(Quirk::SingleAsArray, "schemas", |_| {
                "accepted one URN for `schemas`, which is a list".into()
            })
        {
            *value = Value::Array(vec![value.take()]);
        }
        let Value::Array(urns) = value else { continue };
        for urn in urns {
            let modern = urn.as_str().and_then(|urn| rewrite.modern(urn));
            if let Some(modern) = modern {
                *urn = modern.into();
            }
            has_core |= urn
                .as_str()
                .is_some_and(|urn| urn.eq_ignore_ascii_case(core));
        }
    }
    let named = |urn: &str| {
        let lists = document
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("schemas"))
            .filter_map(|(_, value)| value.as_array());
        lists
            .flatten()
            .filter_map(Value::as_str)
            .any(|own| own.eq_ignore_ascii_case(urn))
    };
    let held = |urn: &str| {
        document
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case(urn) && !value.is_null())
    };
    let unnamed = rewrite
        .schema
        .extensions
        .iter()
        .map(|extension| extension.id.as_str())
        .find(|urn| held(urn) && !named(urn));
    if let Some(missing) = Some(core.as_str()).filter(|_| !has_core).or(unnamed) {
        rewrite.acts_at(Quirk::MissingSchemas, "schemas", |_| {
            format!("took `schemas` as if it named `{missing}`")
        });
    }
}

/// Rewrites the top-level object (`extension` is `None`) or that of an extension; what has a path as its key goes to `paths`.
fn object<'a>(
    rewrite: &mut Rewrite<'a>,
    document: &mut Map<String, Value>,
    extension: Option<&'a Schema>,
    paths: &mut Vec<(PatchPath, Value)>,
) {
    let named: Vec<Key<'a>> = document
        .keys()
        .map(|key| rewrite.key(key, extension))
        .collect();
    if named
        .iter()
        .all(|named| matches!(named, Key::Attribute(_) | Key::Extension(_)))
    {
        // In nearly every body the keys are right, and only the values may have to change.
        for (named, value) in named.iter().zip(document.values_mut()) {
            below(rewrite, named, value, paths);
        }
        return;
    }
    for (key, mut value) in std::mem::take(document) {
        let key = rewrite.modern(&key).unwrap_or(key);
        let named = rewrite.key(&key, extension);
        match named {
            Key::Attribute(_) | Key::Extension(_) => below(rewrite, &named, &mut value, paths),
            Key::Core => {
                rewrite.acts_at(Quirk::PathKeys, &key, |_| {
                    "read what stands below the URN of the core schema as attributes".into()
                });
                if let Value::Object(mut held) = value {
                    object(rewrite, &mut held, None, paths);
                    held.into_iter().for_each(|(name, value)| {
                        document.entry(name).or_insert(value);
                    });
                }
                continue;
            }
            Key::Path(_, path) => {
                rewrite.read_as_path(&key, &path);
                paths.push((*path, value));
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
        insert(document, key, value);
    }
}

/// Rewrites the value of an attribute, or what an extension holds.
fn below<'a>(
    rewrite: &mut Rewrite<'a>,
    named: &Key<'a>,
    value: &mut Value,
    paths: &mut Vec<(PatchPath, Value)>,
) {
    match named {
        Key::Attribute(attribute) if attribute.name != "schemas" => {
            rewrite.attribute(attribute, value, true);
        }
        Key::Extension(named) => {
            let before = rewrite.enter(&named.id);
            stringified_object(rewrite, value);
            if let Value::Object(held) = value {
                object(rewrite, held, Some(named), paths);
            }
            rewrite.leave(before);
        }
        _ => {}
    }
}

/// Two spellings of one extension become one key; anything else that is there twice stays for `validate` to refuse.
fn insert(document: &mut Map<String, Value>, key: String, value: Value) {
    match (document.get_mut(&key), value) {
        (Some(Value::Object(held)), Value::Object(more)) => held.extend(more),
        (_, value) => {
            document.insert(key, value);
        }
    }
}

pub(super) fn stringified_object(rewrite: &mut Rewrite<'_>, value: &mut Value) {
    if let Value::String(text) = value
        && let Some(parsed) = super::rewrite::json_in(text).filter(Value::is_object)
        && rewrite.acts(Quirk::StringifiedJson, |place| {
            format!(
                "read the string given for `{}` as JSON",
                if place.is_empty() { "value" } else { place }
            )
        })
    {
        *value = parsed;
    }
}

/// Puts the value of `name.givenName` or `emails[type eq "work"].value` where it belongs. What stands there already wins.
fn place(
    rewrite: &mut Rewrite<'_>,
    document: &mut Map<String, Value>,
    path: &PatchPath,
    mut value: Value,
) {
    let Some((attribute, sub)) = rewrite.leaf(path) else {
        return;
    };
    let extension = rewrite
        .schema
        .resolve(&path.attribute)
        .and_then(|resolved| resolved.extension);
    let container = match extension {
        None => document,
        Some(urn) => {
            let name = spelling(document, urn);
            match document
                .entry(name)
                .or_insert_with(|| Value::Object(Map::new()))
            {
                Value::Object(object) => object,
                _ => return,
            }
        }
    };
    let name = spelling(container, &attribute.name);
    match (sub, &path.filter) {
        (None, None) => {
            rewrite.value(attribute, &mut value, true);
            container.entry(name).or_insert(value);
        }
        (Some(sub), None) if !attribute.multi_valued => {
            rewrite.value(sub, &mut value, true);
            if let Value::Object(object) = container
                .entry(name)
                .or_insert_with(|| Value::Object(Map::new()))
            {
                let name = spelling(object, &sub.name);
                object.entry(name).or_insert(value);
            }
        }
        (sub, filter) => {
            match sub {
                Some(sub) => rewrite.value(sub, &mut value, true),
                None => rewrite.element(attribute, &mut value),
            }
            let terms = filter.as_ref().map_or_else(
                || Some(Map::new()),
                |filter| element_from(attribute, filter),
            );
            if let (Some(terms), Value::Array(elements)) = (
                terms,
                container
                    .entry(name)
                    .or_insert_with(|| Value::Array(Vec::new())),
            ) {
                into_element(elements, attribute, filter.as_ref(), terms, sub, value);
            }
        }
    }
}

/// Into the element that the filter selects (the first where there is no filter), or into a new one that has what the filter says.
fn into_element(
    elements: &mut Vec<Value>,
    attribute: &Attribute,
    filter: Option<&Filter>,
    terms: Map<String, Value>,
    sub: Option<&Attribute>,
    value: Value,
) {
    let selected =
        |element: &Value| filter.is_none_or(|filter| filter.matches_element(attribute, element));
    let place = elements.iter().position(selected).unwrap_or_else(|| {
        elements.push(Value::Object(terms));
        elements.len() - 1
    });
    let Some(Value::Object(element)) = elements.get_mut(place) else {
        return;
    };
    match (sub, value) {
        (Some(sub), value) => {
            let name = spelling(element, &sub.name);
            element.entry(name).or_insert(value);
        }
        (None, Value::Object(object)) => object.into_iter().for_each(|(name, value)| {
            element.entry(name).or_insert(value);
        }),
        (None, value) => {
            element.entry("value").or_insert(value);
        }
    }
}

/// The key as it is spelled in the object, if it is there.
fn spelling(object: &Map<String, Value>, name: &str) -> String {
    object
        .keys()
        .find(|key| key.eq_ignore_ascii_case(name))
        .map_or_else(|| name.to_owned(), Clone::clone)
}
