//! Messages without the values that must not be kept: those of attributes that are never returned or only written, of attributes that no schema has, and of
//! anything that is not where it should be. Names stay, so that a reader still sees what was sent. Changes nothing that is stored or answered.

mod unchanged;

use serde_json::{Map, Value};

use crate::filter::{Filter, FilterLimits};
use crate::messages::BulkMethod;
use crate::patch_path::PatchPath;
use crate::schema::set::{SchemaSet, TypeSchema};
use crate::schema::{Attribute, AttributeType, Mutability, Schema};

pub use unchanged::resource_stays;

/// What stands in the place of a value.
pub const HIDDEN: &str = "***";
/// Longest name that is kept, in characters.
const NAME_CHARACTERS_MAX: usize = 120;
/// Deepest nesting that is looked into; deeper values are hidden.
const DEPTH_MAX: usize = 8;

/// The body of a POST or PUT.
pub fn resource(schema: &TypeSchema, mut body: Value) -> Value {
    redact_resource(schema, &mut body);
    body
}

/// The body of a PATCH.
pub fn patch(schema: &TypeSchema, mut body: Value) -> Value {
    redact_patch(schema, &mut body);
    body
}

/// The body of a bulk request.
pub fn bulk(schemas: &SchemaSet, mut body: Value) -> Value {
    object_in(&mut body, |message| {
        each(message, |name, value| {
            match (name.to_ascii_lowercase().as_str(), value) {
                ("schemas", value) => urns(value),
                ("failonerrors", Value::Number(_)) => {}
                ("operations", Value::Array(operations)) => {
                    for operation in operations {
                        object_in(operation, |operation| bulk_operation(schemas, operation));
                    }
                }
                (_, value) => hide(value),
            }
        });
    });
    body
}

/// A filter as it is printed, without the values of attributes that may not be read; `***` if the text is no filter.
pub fn filter(types: &[&TypeSchema], text: &str) -> String {
    match Filter::parse(text, FilterLimits::default()) {
        Ok(filter) => {
            let readable = |path: &crate::AttributePath| {
                types.iter().any(|schema| {
                    let meant = schema.meant(path);
                    let resolved = schema.resolve(meant.as_ref().unwrap_or(path));
                    resolved.is_some_and(|resolved| {
                        resolved.attribute.is_some() && resolved.is_readable()
                    })
                })
            };
            if filter.paths().iter().all(readable) {
                filter.to_string()
            } else {
                HIDDEN.to_owned()
            }
        }
        Err(_) => HIDDEN.to_owned(),
    }
}

/// The body of a `.search`.
pub fn search(types: &[&TypeSchema], mut body: Value) -> Value {
    object_in(&mut body, |message| {
        each(message, |name, value| {
            match (name.to_ascii_lowercase().as_str(), value) {
                ("schemas", value) => urns(value),
                ("filter", Value::String(text)) => *text = filter(types, text),
                ("startindex" | "count", Value::Number(_)) => {}
                ("sortby" | "sortorder", value @ Value::String(_)) => shorten(value),
                ("attributes" | "excludedattributes", Value::Array(names)) => {
                    names.iter_mut().for_each(shorten);
                }
                (_, value) => hide(value),
            }
        });
    });
    body
}

/// A query parameter.
pub fn parameter(types: &[&TypeSchema], name: &str, value: &str) -> (String, String) {
    let value = match name.to_ascii_lowercase().as_str() {
        "filter" => filter(types, value),
        "startindex" | "count" | "sortby" | "sortorder" | "attributes" | "excludedattributes" => {
            shortened(value)
        }
        _ if value.is_empty() => String::new(),
        _ => HIDDEN.to_owned(),
    };
    (shortened(name), value)
}

/// The body of a PUT or PATCH that has to wait, without write-only values: Rollcall checks such a value and never keeps it, so the body means the same
/// without it. Every member with the name of such an attribute goes, wherever it is.
pub fn without_write_only(schema: &TypeSchema, mut body: Value) -> Value {
    let mut names = Vec::new();
    let schemas = std::iter::once(&schema.core).chain(&schema.extensions);
    write_only(
        schemas
            .flat_map(|schema| &schema.attributes)
            .chain(&schema.common),
        &mut names,
    );
    leave_out(&names, &mut body);
    body
}

fn write_only<'a>(attributes: impl Iterator<Item = &'a Attribute>, names: &mut Vec<&'a str>) {
    for attribute in attributes {
        if attribute.mutability == Mutability::WriteOnly {
            names.push(&attribute.name);
        }
        write_only(attribute.sub_attributes.iter(), names);
    }
}

fn leave_out(names: &[&str], value: &mut Value) {
    let is_named = |path: &str| {
        let last = path
            .rsplit([':', '.'])
            .next()
            .and_then(|name| name.split('[').next())
            .unwrap_or_default();
        names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(last.trim()))
    };
    let is_about = |operation: &Map<String, Value>| {
        text_of(operation, "path").is_some_and(|path| is_named(&path))
    };
    match value {
        Value::Object(object) => {
            let is_about = is_about(object);
            object.retain(|name, _| {
                !(is_named(name) || is_about && name.eq_ignore_ascii_case("value"))
            });
            for value in object.values_mut() {
                leave_out(names, value);
            }
        }
        Value::Array(elements) => {
            elements.retain(|element| !element.as_object().is_some_and(is_about));
            for value in elements {
                leave_out(names, value);
            }
        }
        // Some clients send JSON in a string.
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
            if let Ok(mut parsed) = serde_json::from_str(text) {
                leave_out(names, &mut parsed);
                *text = parsed.to_string();
            }
        }
        _ => {}
    }
}

fn redact_resource(schema: &TypeSchema, body: &mut Value) {
    object_in(body, |object| attributes(schema, None, object));
}

fn redact_patch(schema: &TypeSchema, body: &mut Value) {
    let names_operations = body.as_object().is_some_and(|message| {
        message
            .keys()
            .any(|name| name.eq_ignore_ascii_case("Operations"))
    });
    if !names_operations {
        return redact_resource(schema, body);
    }
    object_in(body, |message| {
        each(message, |name, value| match name {
            name if name.eq_ignore_ascii_case("schemas") => urns(value),
            name if name.eq_ignore_ascii_case("Operations") => operations(schema, value),
            _ => hide(value),
        });
    });
}

/// The text that an operation has under a name, in any case.
fn text_of(operation: &Map<String, Value>, wanted: &str) -> Option<String> {
    operation
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .and_then(|(_, value)| value.as_str())
        .map(str::to_owned)
}

fn bulk_operation(schemas: &SchemaSet, operation: &mut Map<String, Value>) {
    let path = text_of(operation, "path");
    let endpoint = path
        .as_deref()
        .and_then(|path| path.split('/').find(|part| !part.is_empty()));
    let schema = endpoint.and_then(|endpoint| schemas.by_endpoint(endpoint));
    let is_patch = text_of(operation, "method")
        .is_some_and(|method| method.eq_ignore_ascii_case(BulkMethod::Patch.name()));
    each(operation, |name, value| {
        match (name.to_ascii_lowercase().as_str(), value, schema) {
            ("data", value, Some(schema)) if is_patch => redact_patch(schema, value),
            ("data", value, Some(schema)) => redact_resource(schema, value),
            ("path" | "version", value @ Value::String(_), Some(_))
            | ("method" | "bulkid", value @ Value::String(_), _) => shorten(value),
            (_, value, _) => hide(value),
        }
    });
}

fn operations(schema: &TypeSchema, value: &mut Value) {
    match value {
        Value::Array(all) => {
            for operation in all {
                object_in(operation, |operation| operation_of(schema, operation));
            }
        }
        Value::Object(operation) => operation_of(schema, operation),
        Value::String(text) => inside(text, |parsed| operations(schema, parsed)),
        other => hide(other),
    }
}

fn operation_of(schema: &TypeSchema, operation: &mut Map<String, Value>) {
    let path = text_of(operation, "path").filter(|path| !path.is_empty());
    each(operation, |name, value| {
        match (name.to_ascii_lowercase().as_str(), value) {
            ("op", value @ Value::String(_)) => shorten(value),
            ("path", Value::String(text)) => *text = path_text(schema, text),
            ("value", value) => match &path {
                Some(path) => at_path(schema, path, value),
                None => extension_or_core(schema, None, value),
            },
            (_, value) => hide(value),
        }
    });
}

/// A path as it is, if its attribute may be read; otherwise only its names.
fn path_text(schema: &TypeSchema, text: &str) -> String {
    match PatchPath::parse(text) {
        Ok(path) if path.filter.is_none() => shortened(text),
        Ok(path) => {
            let attribute = schema
                .resolve(&path.attribute)
                .and_then(|resolved| resolved.attribute)
                .filter(|found| found.is_readable());
            let names = path.filter.as_ref().map(Filter::paths).unwrap_or_default();
            let is_readable = |attribute: &Attribute| {
                names.iter().all(|name| {
                    attribute
                        .sub_attribute(&name.attribute)
                        .is_some_and(Attribute::is_readable)
                })
            };
            if attribute.is_some_and(is_readable) {
                shortened(text)
            } else {
                format!("{}[{HIDDEN}]", path.attribute)
            }
        }
        Err(_) => HIDDEN.to_owned(),
    }
}

fn at_path(schema: &TypeSchema, path: &str, value: &mut Value) {
    let Ok(path) = PatchPath::parse(path) else {
        return hide(value);
    };
    if schema.names_whole_core(&path.attribute) {
        return extension_or_core(schema, None, value);
    }
    // Entra names `manager` without the URN of its extension.
    let named = schema.meant(&path.attribute).unwrap_or(path.attribute);
    let found = schema.resolve(&named).map(|resolved| {
        (
            resolved.attribute,
            resolved.sub_attribute,
            resolved.extension,
        )
    });
    let (attribute, sub) = match found {
        Some((None, _, Some(urn))) => {
            return extension_or_core(schema, schema.extension(urn), value);
        }
        Some((Some(attribute), sub, _)) => (attribute, sub),
        _ => return hide(value),
    };
    if !attribute.is_readable() {
        return hide(value);
    }
    match (
        path.sub_attribute.as_deref(),
        named.sub_attribute.as_deref(),
        sub,
    ) {
        (Some(name), _, _) => of_sub_attribute(attribute, name, value, 0),
        (None, Some(_), Some(sub)) => of_attribute(sub, value, 0),
        (None, Some(_), None) => hide(value),
        (None, None, _) => of_attribute(attribute, value, 0),
    }
}

fn extension_or_core(schema: &TypeSchema, extension: Option<&Schema>, value: &mut Value) {
    match value {
        Value::Object(object) => attributes(schema, extension, object),
        Value::String(text) => {
            inside(text, |parsed| {
                if parsed.is_object() {
                    extension_or_core(schema, extension, parsed);
                } else {
                    hide(parsed);
                }
            });
        }
        other => hide(other),
    }
}

fn attributes(schema: &TypeSchema, extension: Option<&Schema>, object: &mut Map<String, Value>) {
    each(object, |name, value| {
        attribute_named(schema, extension, name, value);
    });
}

fn attribute_named(schema: &TypeSchema, extension: Option<&Schema>, name: &str, value: &mut Value) {
    let own = match extension {
        Some(extension) => extension
            .attributes
            .iter()
            .find(|attribute| attribute.name.eq_ignore_ascii_case(name)),
        None => schema.core_attribute(name),
    };
    match own {
        Some(attribute) if attribute.name == "schemas" => urns(value),
        Some(attribute) => of_attribute(attribute, value, 0),
        None if extension.is_none() && schema.extension(name).is_some() => {
            extension_or_core(schema, schema.extension(name), value);
        }
        None if extension.is_none() => at_path(schema, name, value),
        None => hide(value),
    }
}

fn of_attribute(attribute: &Attribute, value: &mut Value, depth: usize) {
    if !attribute.is_readable() || depth > DEPTH_MAX {
        return hide(value);
    }
    match (value, attribute.kind) {
        (Value::Array(elements), _) => elements
            .iter_mut()
            .for_each(|element| of_attribute(attribute, element, depth + 1)),
        (Value::Object(object), AttributeType::Complex) => each(object, |name, value| {
            of_sub_attribute(attribute, name, value, depth + 1);
        }),
        // An object around a single value, as Entra's older dialect has it.
        (Value::Object(object), _) => {
            each(object, |name, value| {
                if name == "value" {
                    of_attribute(attribute, value, depth + 1);
                } else {
                    hide(value);
                }
            });
        }
        (Value::String(text), AttributeType::Complex)
            if text.trim_start().starts_with(['{', '[']) =>
        {
            inside(text, |parsed| {
                if parsed.is_string() {
                    hide(parsed);
                } else {
                    of_attribute(attribute, parsed, depth + 1);
                }
            });
        }
        // The text alone stands for `value`.
        (value @ Value::String(_), AttributeType::Complex) => {
            of_sub_attribute(attribute, "value", value, depth + 1);
        }
        _ => {}
    }
}

fn of_sub_attribute(attribute: &Attribute, name: &str, value: &mut Value, depth: usize) {
    match attribute.sub_attribute(name) {
        Some(sub) => of_attribute(sub, value, depth),
        None => hide(value),
    }
}

/// Redacts an object; anything else should be one and is hidden.
fn object_in(value: &mut Value, redact: impl FnOnce(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => redact(object),
        other => hide(other),
    }
}

/// Redacts each value of an object by its name. Names that are too long are shortened.
fn each(object: &mut Map<String, Value>, mut redact: impl FnMut(&str, &mut Value)) {
    for (name, value) in object.iter_mut() {
        redact(name, value);
    }
    if object.keys().any(|name| name.len() > NAME_CHARACTERS_MAX) {
        *object = std::mem::take(object)
            .into_iter()
            .map(|(name, value)| (shortened(&name), value))
            .collect();
    }
}

/// JSON in a string stays in a string.
fn inside(text: &mut String, redact: impl FnOnce(&mut Value)) {
    *text = match serde_json::from_str(text) {
        Ok(mut parsed) => {
            redact(&mut parsed);
            parsed.to_string()
        }
        Err(_) => HIDDEN.to_owned(),
    };
}

fn urns(value: &mut Value) {
    let one = |value: &mut Value| match value {
        Value::String(urn) if is_urn(urn) => *urn = shortened(urn),
        other => hide(other),
    };
    match value {
        Value::Array(urns) => urns.iter_mut().for_each(one),
        other => one(other),
    }
}

fn is_urn(text: &str) -> bool {
    text.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("urn:"))
}

/// That something was there, and nothing else.
fn hide(value: &mut Value) {
    let is_nothing = match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    };
    if !is_nothing {
        *value = HIDDEN.into();
    }
}

/// A name; anything else should be one and is hidden.
fn shorten(value: &mut Value) {
    match value {
        Value::String(text) => *text = shortened(text),
        other => hide(other),
    }
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(NAME_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::standard::{ENTERPRISE_USER, USER};

    const SECRET: &str = "s3cr3t";

    fn user(check: impl FnOnce(&TypeSchema)) {
        check(SchemaSet::standard().by_name("User").unwrap());
    }

    #[test]
    fn names_without_the_urn_of_their_extension_are_judged_by_what_they_mean() {
        let mut schema = SchemaSet::standard()
            .by_name("User")
            .unwrap()
            .as_ref()
            .clone();
        let extension = json!({"id": "urn:acme:User", "attributes": [{"name": "pin", "type": "string", "returned": "never"}]});
        schema
            .extensions
            .push(serde_json::from_value(extension).unwrap());
        let dotted = format!("{ENTERPRISE_USER}.department");
        let sent = json!({"department": "D", dotted.clone(): "D", "pin": SECRET, "urn:acme:User.pin": SECRET});
        assert_eq!(
            resource(&schema, sent),
            json!({"department": "D", dotted.clone(): "D", "pin": "***", "urn:acme:User.pin": "***"})
        );
        let operations = |value: &str| json!({"Operations": [{"op": "add", "path": "urn:acme:User.pin", "value": value}, {"op": "add", "path": dotted, "value": "D"}]});
        assert_eq!(patch(&schema, operations(SECRET)), operations("***"));
        assert_eq!(filter(&[&schema], "manager eq \"7\""), "manager eq \"7\"");
        assert_eq!(filter(&[&schema], "pin eq \"7\""), HIDDEN);
    }

    #[test]
    fn bodies_keep_what_may_be_read() {
        let body = json!({
            "schemas": [USER, SECRET], "userName": "ann", "Password": SECRET, "shoeSize": SECRET, "name": {"givenName": "A", "x": SECRET},
            "emails": [{"value": "a@x", "primary": "True", "token": SECRET}], "title": {"$ref": SECRET, "value": "T"},
            "roles": format!("[{{\"value\":\"r\",\"x\":\"{SECRET}\"}}]"), "name.familyName": "B", "name.secret": SECRET,
            ENTERPRISE_USER: {"manager": "7", "apiKey": SECRET}, format!("{ENTERPRISE_USER}:department"): "D", USER: {"title": "T", "y": SECRET},
        });
        let kept = json!({
            "schemas": [USER, "***"], "userName": "ann", "Password": "***", "shoeSize": "***", "name": {"givenName": "A", "x": "***"},
            "emails": [{"value": "a@x", "primary": "True", "token": "***"}], "title": {"$ref": "***", "value": "T"},
            "roles": "[{\"value\":\"r\",\"x\":\"***\"}]", "name.familyName": "B", "name.secret": "***",
            ENTERPRISE_USER: {"manager": "7", "apiKey": "***"}, format!("{ENTERPRISE_USER}:department"): "D", USER: {"title": "T", "y": "***"},
        });
        user(|schema| assert_eq!(resource(schema, body), kept));
    }

    /// What stays by the quick look stays in the tree too, and what an identity provider sends stays by the quick look.
    #[test]
    fn what_is_read_past_is_what_the_tree_keeps() {
        let plain = json!({
            "schemas": [USER, ENTERPRISE_USER], "userName": "ann\u{1}", "active": true, "name": {"givenName": "A"}, "nickName": null,
            "emails": [{"value": "a@x", "primary": true}], "title": ["T"], "meta": {"version": "7"},
            ENTERPRISE_USER: {"manager": {"value": "7"}, "department": 3},
        });
        user(|schema| {
            let stays = |body: &Value| resource_stays(schema, &body.to_string());
            assert!(stays(&plain), "plain");
            let long = format!("urn:{}", "é".repeat(NAME_CHARACTERS_MAX));
            for (name, value) in [
                ("password", json!(SECRET)),
                ("PASSWORD", json!(SECRET)),
                ("shoeSize", json!(1)),
                ("emails", json!([{"token": SECRET}])),
                ("emails", json!([["a@x"]])),
                ("roles", json!(format!("[{{\"x\":\"{SECRET}\"}}]"))),
                ("title", json!({"value": "T"})),
                ("schemas", json!(SECRET)),
                ("schemas", json!([[USER]])),
                ("schemas", json!([long])),
                ("schemas", json!({"a": SECRET})),
                (ENTERPRISE_USER, json!({"apiKey": SECRET})),
                (ENTERPRISE_USER, json!(SECRET)),
                (ENTERPRISE_USER, json!([SECRET])),
                ("name", json!({"secret": SECRET})),
                (USER, json!({"password": SECRET})),
                ("name.secret", json!(SECRET)),
            ] {
                let mut body = plain.clone();
                body[name] = value;
                assert!(!stays(&body), "{name}: {body}");
            }
            assert_eq!(resource(schema, plain.clone()), plain);
            for text in [
                "",
                "[]",
                "\"a\"",
                "1",
                "null",
                "{} {}",
                "{",
                "{\"pass\\u0077ord\": 1}",
                "{\"userName\": \"a\", \"password\": 1}",
            ] {
                assert!(!resource_stays(schema, text), "{text}");
            }
        });
    }

    #[test]
    fn what_waits_has_nothing_write_only() {
        user(|schema| {
            let check = |body: Value, kept: Value| {
                assert_eq!(without_write_only(schema, body.clone()), kept, "{body}");
            };
            check(
                json!({"userName": "ann", "Password": SECRET, "shoe": 9}),
                json!({"userName": "ann", "shoe": 9}),
            );
            check(
                json!({USER: {"password": SECRET, "title": "T"}}),
                json!({USER: {"title": "T"}}),
            );
            check(
                json!({format!("{USER}:password"): SECRET, "active": false}),
                json!({"active": false}),
            );
            let active = json!({"op": "replace", "path": "active", "value": false});
            check(
                json!({"Operations": [{"op": "add", "path": "PASSWORD", "value": SECRET}, active]}),
                json!({"Operations": [active]}),
            );
            check(
                json!({"Operations": [{"op": "add", "path": format!("{USER}:password"), "value": SECRET}, active]}),
                json!({"Operations": [active]}),
            );
            check(
                json!({"Operations": [{"op": "replace", "value": {"active": false, "password": SECRET}}]}),
                json!({"Operations": [{"op": "replace", "value": {"active": false}}]}),
            );
            check(
                json!({"Operations": format!("[{{\"op\":\"add\",\"value\":{{\"password\":\"{SECRET}\",\"active\":false}}}}]")}),
                json!({"Operations": "[{\"op\":\"add\",\"value\":{\"active\":false}}]"}),
            );
            check(
                json!({"members": [{"value": "password"}], "title": "{password"}),
                json!({"members": [{"value": "password"}], "title": "{password"}),
            );
        });
    }

    #[test]
    fn patches_keep_what_may_be_read() {
        user(|schema| {
            let check = |operation: Value, kept: Value| {
                let body = json!({"operations": [operation], "token": SECRET});
                assert_eq!(
                    patch(schema, body),
                    json!({"operations": [kept], "token": "***"}),
                    "{operation}"
                );
            };
            check(
                json!({"op": "Replace", "path": "active", "value": "False"}),
                json!({"op": "Replace", "path": "active", "value": "False"}),
            );
            check(
                json!({"op": "add", "path": "password", "value": SECRET}),
                json!({"op": "add", "path": "password", "value": "***"}),
            );
            check(
                json!({"op": "add", "path": "password", "value": [{"value": SECRET}]}),
                json!({"op": "add", "path": "password", "value": "***"}),
            );
            check(
                json!({"op": "add", "path": "pin", "value": SECRET}),
                json!({"op": "add", "path": "pin", "value": "***"}),
            );
            check(
                json!({"op": "add", "path": format!("a[{SECRET}"), "value": 1}),
                json!({"op": "add", "path": "***", "value": "***"}),
            );
            check(
                json!({"op": "add", "path": format!("emails[pin eq \"{SECRET}\"].value"), "value": "a@x"}),
                json!({"op": "add", "path": "emails[***]", "value": "a@x"}),
            );
            check(
                json!({"op": "add", "value": {"password": SECRET, "title": "T", "emails[type eq \"work\"].value": "a@x", "secret": SECRET}}),
                json!({"op": "add", "value": {"password": "***", "title": "T", "emails[type eq \"work\"].value": "a@x", "secret": "***"}}),
            );
            check(
                json!({"op": "add", "path": ENTERPRISE_USER, "value": {"department": "D", "k": SECRET}}),
                json!({"op": "add", "path": ENTERPRISE_USER, "value": {"department": "D", "k": "***"}}),
            );
            check(
                json!({"op": "add", "path": "manager", "value": "7"}),
                json!({"op": "add", "path": "manager", "value": "7"}),
            );
        });
    }

    #[test]
    fn bulk_and_filters() {
        let body = json!({"schemas": [], "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"userName": "ann", "password": SECRET}},
            {"method": "PATCH", "path": "/Users/1", "data": {"Operations": [{"op": "replace", "path": "password", "value": SECRET}]}},
            {"method": "POST", "path": format!("/{SECRET}"), "data": {"x": SECRET}}, SECRET,
        ]});
        let kept = bulk(&SchemaSet::standard(), body).to_string();
        assert!(
            !kept.contains(SECRET) && kept.contains("ann") && kept.contains("/Users/1"),
            "{kept}"
        );
        user(|schema| {
            let check =
                |text: &str, kept: &str| assert_eq!(filter(&[schema], text), kept, "{text}");
            check(
                "userName eq \"ann\" and active eq true",
                "userName eq \"ann\" and active eq true",
            );
            check("password eq \"s3cr3t\"", "***");
            check("userName eq \"ann\" or pin eq \"s3cr3t\"", "***");
            check("s3cr3t", "***");
        });
    }
}
