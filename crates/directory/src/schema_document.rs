//! A schema document that an administrator posts (RFC 7643 section 7), checked by itself. Does not look at what is stored, nor at other schemas.
//!
//! Beside the RFC's names it may have `x-indexed` (filters on the attribute use an index), `x-enforced` (no other values than the canonical ones),
//! `x-forms` (the only forms of a string), and at the top `extends` (the resource types that it extends).

mod constraint;

use scim_protocol::schema::{
    Attribute, AttributeType, Mutability, Returned, Schema, Uniqueness, standard,
};
use scim_protocol::{AttributePath, Error, ErrorKind};
use serde_json::{Map, Value};

pub use self::constraint::read_constraint;

/// Longest URN, in bytes.
const URN_BYTES_MAX: usize = 255;
/// Longest name of an attribute, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Most attributes of one schema, and sub-attributes of one attribute.
const ATTRIBUTES_MAX: usize = 200;
/// Most canonical values of one attribute.
const CANONICAL_VALUES_MAX: usize = 1_000;
/// Most forms of one attribute, and the longest of them, in bytes.
const FORMS_MAX: usize = 10;
const FORM_BYTES_MAX: usize = 255;

const EXTERNAL_ID: &str = "externalId";
/// Names that every resource has, or that this program fills.
const RESERVED: [&str; 6] = ["schemas", "id", EXTERNAL_ID, "meta", "members", "groups"];
const TOP_NAMES: [&str; 7] = [
    "schemas",
    "id",
    "name",
    "description",
    "attributes",
    "meta",
    "extends",
];
const ATTRIBUTE_NAMES: [&str; 15] = [
    "name",
    "type",
    "subAttributes",
    "multiValued",
    "description",
    "required",
    "canonicalValues",
    "caseExact",
    "mutability",
    "returned",
    "uniqueness",
    "referenceTypes",
    "x-indexed",
    "x-enforced",
    "x-forms",
];

/// What a document says.
#[derive(Clone, Debug, PartialEq)]
pub struct Posted {
    /// The schema.
    pub schema: Schema,
    /// The resource types that it extends from now on; those that it extends already stay.
    pub extends: Vec<String>,
}

/// A refusal of something in a document, at a place in it.
pub(crate) fn refuse(place: &str, detail: impl Into<String>) -> Error {
    let mut text = detail.into();
    if !text.ends_with('.') {
        text.push('.');
    }
    Error::new(ErrorKind::InvalidValue, text).at(place)
}

/// The URN of a document, before anything else of it is known.
pub fn urn_of(document: &Value) -> Result<&str, Error> {
    let urn = document.get("id").and_then(Value::as_str);
    urn.ok_or_else(|| refuse("id", "`id` is missing; a schema document has its URN there, such as `urn:example:params:scim:schemas:Badge`"))
}

/// Reads a whole document of a tenant's own schema.
pub fn read(document: &Value) -> Result<Posted, Error> {
    let map = top(document)?;
    check_urn(urn_of(document)?)?;
    let attributes = map
        .get("attributes")
        .and_then(Value::as_array)
        .filter(|attributes| !attributes.is_empty());
    let attributes = attributes.ok_or_else(|| {
        refuse(
            "attributes",
            "`attributes` must be an array with at least one attribute",
        )
    })?;
    check_list("attributes", attributes, false)?;
    let schema: Schema = serde_json::from_value(document.clone()).map_err(|error| {
        refuse(
            "attributes",
            format!("The document is not a schema (RFC 7643 section 7): {error}"),
        )
    })?;
    schema
        .attributes
        .iter()
        .try_for_each(|attribute| check(&attribute.name, attribute, false))?;
    if let Some(reserved) = schema.attributes.iter().find(|attribute| {
        RESERVED
            .iter()
            .any(|name| attribute.name.eq_ignore_ascii_case(name))
    }) {
        let detail = format!(
            "`{}` is a name that a tenant's schema may not use; {} have a meaning of their own",
            reserved.name,
            list(&RESERVED)
        );
        return Err(refuse(&reserved.name, detail));
    }
    Ok(Posted {
        schema,
        extends: extends(map)?,
    })
}

fn top(document: &Value) -> Result<&Map<String, Value>, Error> {
    let map = document.as_object().ok_or_else(|| {
        refuse(
            "id",
            "A schema document must be a JSON object (RFC 7643 section 7)",
        )
    })?;
    if let Some(unknown) = map.keys().find(|key| !TOP_NAMES.contains(&key.as_str())) {
        return Err(refuse(
            unknown,
            format!(
                "`{unknown}` is not a member of a schema document; use one of {}",
                list(&TOP_NAMES)
            ),
        ));
    }
    let names_it = |urns: &Value| {
        urns.as_array().is_some_and(|urns| {
            urns.iter()
                .any(|urn| urn.as_str() == Some(standard::SCHEMA))
        })
    };
    match map.get("schemas") {
        Some(urns) if !names_it(urns) => Err(refuse(
            "schemas",
            format!(
                "`schemas` must contain `{}`, or be left out",
                standard::SCHEMA
            ),
        )),
        _ => Ok(map),
    }
}

fn extends(map: &Map<String, Value>) -> Result<Vec<String>, Error> {
    let wrong = || {
        refuse(
            "extends",
            "`extends` must be an array of names of resource types, such as `[\"User\"]`",
        )
    };
    match map.get("extends") {
        None => Ok(Vec::new()),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| name.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

fn check_urn(urn: &str) -> Result<(), Error> {
    let wrong = |reason: &str| {
        let detail = format!(
            "`{urn}` cannot be the URN of a schema: {reason}; use `urn:`, a namespace and a name, such as `urn:example:params:scim:schemas:Badge`"
        );
        Err(refuse("id", detail))
    };
    if urn.len() > URN_BYTES_MAX {
        return wrong("it is longer than 255 bytes");
    }
    if !urn
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("urn:"))
        || urn.split(':').count() < 3
    {
        return wrong("it does not begin with `urn:` and a namespace");
    }
    if urn
        .to_ascii_lowercase()
        .starts_with("urn:ietf:params:scim:api:")
    {
        return wrong("the namespace `urn:ietf:params:scim:api:` is that of messages");
    }
    // Where the last segment had a dot, no path could tell it from an attribute.
    match AttributePath::parse(urn) {
        Ok(path) if path.sub_attribute.is_none() => Ok(()),
        _ => wrong(
            "its last segment may have only letters, digits, `-` and `_`, and no segment may be empty",
        ),
    }
}

/// The forms of a list of attributes: names, no unknown members, no name twice.
fn check_list(place: &str, attributes: &[Value], is_sub: bool) -> Result<(), Error> {
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(refuse(
            place,
            format!(
                "`{place}` has {} attributes; at most {ATTRIBUTES_MAX} are accepted",
                attributes.len()
            ),
        ));
    }
    let mut seen: Vec<&str> = Vec::with_capacity(attributes.len());
    for (index, attribute) in attributes.iter().enumerate() {
        let map = attribute
            .as_object()
            .ok_or_else(|| refuse(place, format!("`{place}[{index}]` must be an object")))?;
        let name = map
            .get("name")
            .and_then(Value::as_str)
            .ok_or_else(|| refuse(place, format!("`{place}[{index}].name` is missing")))?;
        check_name(name, is_sub)?;
        if seen.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(refuse(
                name,
                format!("`{name}` is there twice in `{place}`; names are compared without case"),
            ));
        }
        seen.push(name);
        if let Some(unknown) = map
            .keys()
            .find(|key| !ATTRIBUTE_NAMES.contains(&key.as_str()))
        {
            let detail = format!(
                "`{unknown}` of `{name}` is not a characteristic of attributes; use one of {}",
                list(&ATTRIBUTE_NAMES)
            );
            return Err(refuse(name, detail));
        }
        match (map.get("subAttributes"), is_sub) {
            (None, _) => {}
            // RFC 7643 section 2.3.8.
            (Some(_), true) => {
                return Err(refuse(
                    name,
                    format!(
                        "`{name}` is a sub-attribute, so it cannot have sub-attributes of its own"
                    ),
                ));
            }
            (Some(Value::Array(subs)), false) => {
                check_list(&format!("{name}.subAttributes"), subs, true)?;
            }
            (Some(_), false) => {
                return Err(refuse(
                    name,
                    format!("`subAttributes` of `{name}` must be an array"),
                ));
            }
        }
    }
    Ok(())
}

/// ATTRNAME of RFC 7643 section 2.1; `$ref` is a name too.
fn check_name(name: &str, is_sub: bool) -> Result<(), Error> {
    let mut characters = name.chars();
    let starts = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic());
    let is_name = starts && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if (is_name && name.len() <= NAME_BYTES_MAX) || (is_sub && name == "$ref") {
        return Ok(());
    }
    let detail = format!(
        "`{name}` cannot be the name of an attribute; use a letter and then letters, digits, `-` and `_`, at most 64 bytes"
    );
    Err(refuse(name, detail))
}

/// Characteristics that contradict each other.
fn check(path: &str, attribute: &Attribute, is_sub: bool) -> Result<(), Error> {
    let is_complex = attribute.kind == AttributeType::Complex;
    let is_hidden =
        attribute.returned == Returned::Never || attribute.mutability == Mutability::WriteOnly;
    let is_unique = attribute.uniqueness != Uniqueness::None;
    let wrong = |detail: &str| Err(refuse(path, format!("`{path}` {detail}")));
    if is_complex && is_sub {
        return wrong(
            "is a complex sub-attribute, which RFC 7643 section 2.3.8 forbids; give the schema one more complex attribute instead",
        );
    }
    if is_complex == attribute.sub_attributes.is_empty() {
        return wrong("must have `subAttributes` where its type is `complex`, and only there");
    }
    if attribute.mutability == Mutability::WriteOnly && attribute.returned != Returned::Never {
        return wrong("is `writeOnly`, so `returned` must be `never`");
    }
    if attribute.mutability == Mutability::ReadOnly && attribute.required {
        return wrong("is `readOnly` and `required`: no client could ever provide it");
    }
    if (is_unique || attribute.indexed) && (is_complex || is_hidden) {
        return wrong(
            "has `uniqueness` or `x-indexed`, which complex, `writeOnly` and never returned attributes cannot have",
        );
    }
    if is_unique && attribute.kind == AttributeType::Boolean {
        return wrong("is a boolean, of which only two resources could have a unique value");
    }
    if !attribute.canonical_values.is_empty() && attribute.kind != AttributeType::String {
        return wrong("has `canonicalValues`, which only strings have");
    }
    if attribute.enforced && attribute.canonical_values.is_empty() {
        return wrong("has `x-enforced`, which needs `canonicalValues`");
    }
    if attribute.canonical_values.len() > CANONICAL_VALUES_MAX {
        return wrong("has more than 1000 `canonicalValues`");
    }
    if let Some(detail) = wrong_forms(attribute) {
        return wrong(detail);
    }
    if !attribute.reference_types.is_empty() && attribute.kind != AttributeType::Reference {
        return wrong("has `referenceTypes`, which only references have");
    }
    attribute
        .sub_attributes
        .iter()
        .try_for_each(|sub| check(&format!("{path}.{}", sub.name), sub, true))
}

fn wrong_forms(attribute: &Attribute) -> Option<&'static str> {
    let forms = &attribute.forms;
    if !forms.is_empty() && attribute.kind != AttributeType::String {
        return Some("has `x-forms`, which only strings have");
    }
    let is_long = forms.len() > FORMS_MAX
        || forms
            .iter()
            .any(|form| form.is_empty() || form.len() > FORM_BYTES_MAX);
    is_long.then_some("has `x-forms` of which there are more than 10, or one that is empty or longer than 255 bytes")
}

fn list(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(attribute: Value) -> Value {
        json!({"id": "urn:example:Badge", "attributes": [attribute]})
    }

    #[test]
    fn a_document_reads() {
        let posted = read(&json!({
            "schemas": [standard::SCHEMA], "id": "urn:example:params:scim:schemas:Badge", "name": "Badge", "extends": ["User"], "meta": {},
            "attributes": [
                {"name": "number", "type": "string", "uniqueness": "server", "caseExact": true},
                {"name": "color", "type": "string", "canonicalValues": ["red"], "x-enforced": true, "x-indexed": true},
                {"name": "doors", "type": "complex", "multiValued": true, "subAttributes": [{"name": "value", "type": "integer"}, {"name": "$ref", "type": "reference"}]}
            ]
        }))
        .unwrap();
        assert_eq!(posted.extends, ["User"]);
        assert_eq!(posted.schema.attributes.len(), 3);
        assert!(posted.schema.attributes[1].enforced && posted.schema.attributes[1].indexed);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |document: Value, place: &str, said: &str| {
            let error = read(&document).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidValue);
            assert!(
                error.path() == Some(place) && error.detail().contains(said),
                "{document}: {error} at {:?}",
                error.path()
            );
        };
        check(json!([]), "id", "JSON object");
        check(json!({"attributes": []}), "id", "`id` is missing");
        check(
            json!({"id": "urn:x:A", "atributes": []}),
            "atributes",
            "not a member",
        );
        check(
            json!({"id": "urn:x:A", "attributes": []}),
            "attributes",
            "at least one",
        );
        check(
            json!({"schemas": ["urn:x"], "id": "urn:x:A"}),
            "schemas",
            "must contain",
        );
        for urn in [
            "Badge",
            "urn:Badge",
            "urn:x:",
            "urn:x:a.b",
            "urn:x:a b",
            "urn::x:a",
            "urn:ietf:params:scim:api:messages:2.0:X",
        ] {
            check(
                json!({"id": urn, "attributes": [{"name": "a", "type": "string"}]}),
                "id",
                "cannot be the URN",
            );
        }
        check(
            with(json!({"type": "string"})),
            "attributes",
            "`attributes[0].name` is missing",
        );
        for name in ["1a", "a b", "", "$ref", "a.b", &"a".repeat(65)] {
            check(
                with(json!({"name": name, "type": "string"})),
                name,
                "cannot be the name",
            );
        }
        check(
            with(json!({"name": "Members", "type": "string"})),
            "Members",
            "meaning of their own",
        );
        check(
            with(json!({"name": "a", "type": "text"})),
            "attributes",
            "unknown variant `text`",
        );
        check(
            with(json!({"name": "a", "type": "string", "uniquenes": "server"})),
            "a",
            "`uniquenes`",
        );
        check(
            with(json!({"name": "a", "type": "complex"})),
            "a",
            "subAttributes",
        );
        check(
            with(
                json!({"name": "a", "type": "string", "subAttributes": [{"name": "b", "type": "string"}]}),
            ),
            "a",
            "and only there",
        );
        let nested = json!({"name": "a", "type": "complex", "subAttributes": [{"name": "b", "type": "complex", "subAttributes": []}]});
        check(with(nested), "b", "sub-attributes of its own");
        let nested = json!({"name": "a", "type": "complex", "subAttributes": [{"name": "b", "type": "complex"}]});
        check(with(nested), "a.b", "2.3.8");
        check(
            with(json!({"name": "a", "type": "string", "mutability": "writeOnly"})),
            "a",
            "`returned` must be `never`",
        );
        check(
            with(
                json!({"name": "a", "type": "string", "mutability": "readOnly", "required": true}),
            ),
            "a",
            "no client",
        );
        check(
            with(json!({"name": "a", "type": "string", "returned": "never", "x-indexed": true})),
            "a",
            "`x-indexed`",
        );
        check(
            with(json!({"name": "a", "type": "boolean", "uniqueness": "global"})),
            "a",
            "boolean",
        );
        check(
            with(json!({"name": "a", "type": "string", "x-enforced": true})),
            "a",
            "needs `canonicalValues`",
        );
        check(
            with(json!({"name": "a", "type": "integer", "canonicalValues": ["1"]})),
            "a",
            "only strings",
        );
        check(
            with(json!({"name": "a", "type": "string", "referenceTypes": ["User"]})),
            "a",
            "only references",
        );
        check(
            with(json!({"name": "a", "type": "integer", "x-forms": ["X"]})),
            "a",
            "`x-forms`, which only strings",
        );
        check(
            with(json!({"name": "a", "type": "string", "x-forms": ["X", ""]})),
            "a",
            "one that is empty",
        );
        check(
            with(json!({"name": "a", "type": "string", "x-forms": vec!["X"; 11]})),
            "a",
            "more than 10",
        );
        let twice = json!({"id": "urn:x:A", "attributes": [{"name": "a", "type": "string"}, {"name": "A", "type": "string"}]});
        check(twice, "A", "twice");
        check(
            json!({"id": "urn:x:A", "extends": "User", "attributes": [{"name": "a", "type": "string"}]}),
            "extends",
            "array of names",
        );
    }
}
