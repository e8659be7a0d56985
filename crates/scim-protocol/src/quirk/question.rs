//! Questions, without the resource itself: query parameters, `.search` bodies, the names in filters, orders and lists of attributes, and a bulk request itself.

use std::sync::Arc;

use serde_json::Value;

use super::adaptation::{Adaptations, shortened};
use super::{Quirk, QuirkSet};
use crate::attribute_path::AttributePath;
use crate::error::Error;
use crate::filter::{Filter, wrong_value};
use crate::projection::Projection;
use crate::schema::AttributeType;
use crate::schema::set::TypeSchema;

/// Leaves out query parameters that have a name and no value, and the brackets of value paths in `attributes`. Returns the adaptations.
pub fn normalize_query(set: &QuirkSet, parameters: &mut Vec<(String, String)>) -> Adaptations {
    let mut adaptations = Adaptations::default();
    if set.has(Quirk::EmptyParameter) {
        // An empty `cursor` asks for the first page (RFC 9865), and an empty list of attributes is one.
        let names = ["filter", "sortBy", "sortOrder", "startIndex", "count"];
        parameters.retain(|(name, value)| {
            let known = names
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(name))
                .filter(|_| value.trim().is_empty());
            if let Some(name) = known {
                adaptations.note(Quirk::EmptyParameter, name, || {
                    format!("ignored the parameter `{name}`, which has no value")
                });
            }
            known.is_none()
        });
    }
    for (_, value) in parameters
        .iter_mut()
        .filter(|(name, _)| name.eq_ignore_ascii_case("attributes"))
    {
        without_brackets(set, value, &mut adaptations);
    }
    adaptations
}

/// Rewrites a `.search` body before it is read: numbers in quotes, and value paths in `attributes`. Returns the adaptations.
pub fn normalize_search(set: &QuirkSet, body: &mut Value) -> Adaptations {
    let mut adaptations = Adaptations::default();
    let Value::Object(body) = body else {
        return adaptations;
    };
    for name in ["startIndex", "count"] {
        let of_name = body
            .iter_mut()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        for (_, value) in of_name.filter(|_| set.has(Quirk::NumberString)) {
            if let Some(number) = value
                .as_str()
                .and_then(|text| text.trim().parse::<i64>().ok())
            {
                adaptations.note(Quirk::NumberString, name, || {
                    format!("accepted a number in quotes for `{name}`")
                });
                *value = number.into();
            }
        }
    }
    let lists = body
        .iter_mut()
        .filter(|(key, _)| key.eq_ignore_ascii_case("attributes"))
        .filter_map(|(_, list)| list.as_array_mut());
    for name in lists.flatten() {
        if let Value::String(name) = name {
            without_brackets(set, name, &mut adaptations);
        }
    }
    adaptations
}

/// Reads `emails[type eq "work"].value` in a list of attributes as `emails.value`: more is answered than was asked for, and nothing is missing.
fn without_brackets(set: &QuirkSet, names: &mut String, adaptations: &mut Adaptations) {
    if !(names.contains('[') && set.has(Quirk::ValuePathNames)) {
        return;
    }
    let mut kept = String::with_capacity(names.len());
    let (mut is_inside, mut is_quoted, mut is_escaped) = (false, false, false);
    for character in names.chars() {
        match character {
            '"' if is_inside && !is_escaped => is_quoted = !is_quoted,
            '[' if !is_inside => is_inside = true,
            ']' if is_inside && !is_quoted => is_inside = false,
            other if !is_inside => kept.push(other),
            _ => {}
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    // Brackets that do not close are no value path.
    if !is_inside {
        adaptations.note(Quirk::ValuePathNames, "attributes", || {
            format!(
                "read `{}` in `attributes` without brackets",
                shortened(&kept)
            )
        });
        *names = kept;
    }
}

/// Rewrites a filter: names of attributes of extensions. Says what was adapted, also where the filter has `"True"` for a boolean; refuses that
/// (`invalidFilter`) where no quirk allows it.
pub fn normalize_filter(
    set: &QuirkSet,
    types: &[Arc<TypeSchema>],
    filter: &mut Filter,
) -> Result<Adaptations, Error> {
    let mut adaptations = Adaptations::default();
    filter.each_path(&mut |path| adaptations.extend(qualify(set, types, path, "a filter")));
    for (path, text) in filter.strings_for_booleans(types) {
        if !set.has(Quirk::BooleanString) {
            return Err(wrong_value(
                &path,
                AttributeType::Boolean,
                &Value::from(text),
            ));
        }
        let place = path.to_string();
        adaptations.note(Quirk::BooleanString, &place, || {
            format!("accepted `\"{text}\"` for `{path}` in a filter")
        });
    }
    Ok(adaptations)
}

/// Rewrites the name in `sortBy` if it is that of an attribute of an extension. Returns the adaptations.
pub fn normalize_sort(
    set: &QuirkSet,
    types: &[Arc<TypeSchema>],
    path: &mut AttributePath,
) -> Adaptations {
    qualify(set, types, path, "`sortBy`")
}

/// Reads a name that no type has as what all types that could have it mean by it.
fn qualify(
    set: &QuirkSet,
    types: &[Arc<TypeSchema>],
    path: &mut AttributePath,
    place: &str,
) -> Adaptations {
    let mut adaptations = Adaptations::default();
    let is_known =
        |schema: &Arc<TypeSchema>| schema.resolve(path).is_some() || schema.names_whole_core(path);
    if !set.has(Quirk::ExtensionNames) || types.iter().any(is_known) {
        return adaptations;
    }
    let mut meant = types.iter().filter_map(|schema| schema.meant(path));
    let Some(first) = meant.next() else {
        return adaptations;
    };
    if meant.all(|other| other == first) {
        adaptations.note(Quirk::ExtensionNames, &path.to_string(), || {
            format!("read `{path}` in {place} as `{first}`")
        });
        *path = first;
    }
    adaptations
}

/// Adds to the names of a projection what the types mean by those that lead nowhere in them. Says what was adapted.
pub fn normalize_projection(
    set: &QuirkSet,
    types: &[Arc<TypeSchema>],
    projection: &mut Projection,
) -> Adaptations {
    let mut adaptations = Adaptations::default();
    let (Projection::Only(paths) | Projection::Without(paths)) = projection else {
        return adaptations;
    };
    if !set.has(Quirk::ExtensionNames) {
        return adaptations;
    }
    let mut meant: Vec<AttributePath> = Vec::new();
    for path in paths.iter() {
        for found in types.iter().filter_map(|schema| schema.meant(path)) {
            adaptations.note(Quirk::ExtensionNames, &path.to_string(), || {
                format!("read `{path}` among the names of attributes as `{found}`")
            });
            meant.push(found);
        }
    }
    paths.extend(meant);
    adaptations
}

/// Rewrites a bulk request before it is read: `failOnErrors` of 0 is left out. Returns the adaptations.
pub fn normalize_bulk(set: &QuirkSet, body: &mut Value) -> Adaptations {
    let mut adaptations = Adaptations::default();
    let Value::Object(body) = body else {
        return adaptations;
    };
    if set.has(Quirk::ZeroFailOnErrors) {
        body.retain(|name, value| {
            let is_zero = name.eq_ignore_ascii_case("failOnErrors") && value.as_i64() == Some(0);
            if is_zero {
                adaptations.note(Quirk::ZeroFailOnErrors, "failOnErrors", || {
                    "read 0 for `failOnErrors` as if it were not there".into()
                });
            }
            !is_zero
        });
    }
    adaptations
}
