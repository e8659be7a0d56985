//! Unchecked JSON to `ValidResource`, for POST and PUT: the only way in. PATCH checks its values with the same code (`value.rs`).

mod value;

use serde_json::map::Entry;
use serde_json::{Map, Value};

pub use self::value::{DATA_BYTES_MAX, ELEMENTS_MAX, INDEXED_TEXT_BYTES_MAX, TEXT_BYTES_MAX};
pub(crate) use self::value::{Place, check_count, check_length, complete, element, parts, value};
use crate::error::{Error, ErrorKind};
use crate::member;
use crate::quirk::{Quirk, QuirkSet};
use crate::resource::ValidResource;
use crate::schema::set::TypeSchema;
use crate::schema::{Attribute, Mutability};

/// What a body said.
#[derive(Clone, Debug)]
pub struct Validated {
    /// The resource, without `id`, `meta`, `groups` and `members`.
    pub resource: ValidResource,
    /// Ids of the members that a Group's body listed, in order and once each; `None` where the type has no members, empty where none were listed.
    pub members: Option<Vec<String>>,
}

/// Checks a body (RFC 7644 section 3.3 and 3.5.1).
///
/// `current` is there for a PUT: immutable attributes must equal it or are kept where the body leaves them out. Read-only attributes are ignored; null,
/// `[]` and `{}` are unassigned (RFC 7643 section 2.5). A write-only attribute (`password`) is checked and not kept: nothing here may hold it in clear.
///
/// Refuses with `invalidSyntax` (no object, two spellings of one name, a name that no schema has), `invalidValue` and `mutability`, naming the attribute.
pub fn validate(
    schema: &TypeSchema,
    body: Value,
    current: Option<&ValidResource>,
    quirks: &QuirkSet,
) -> Result<Validated, Error> {
    let Value::Object(body) = body else {
        return Err(Error::new(
            ErrorKind::InvalidSyntax,
            format!("The body must be a JSON object: a {}.", schema.name()),
        ));
    };
    check_schemas(schema, &body, quirks)?;
    let mut checked = Checked {
        schema,
        quirks,
        document: Map::with_capacity(body.len() + 1),
        members: None,
    };
    checked.document.insert("schemas".into(), Value::Null);
    for (name, value) in body {
        checked.take(name, value)?;
    }
    let Checked {
        mut document,
        members,
        ..
    } = checked;
    if let Some(current) = current {
        keep_all_immutable(schema, current.document(), &mut document)?;
    }
    let schemas = schemas_of(schema, &document);
    document.insert("schemas".into(), schemas);
    drop_unassigned(&mut document);
    let resource = ValidResource::trusted(document);
    required(schema, &resource)?;
    let has_members = member::members_attribute(schema).is_some();
    Ok(Validated {
        resource,
        members: has_members.then(|| members.unwrap_or_default()),
    })
}

/// Refuses (`invalidValue`) a resource without a required attribute, or with an empty one.
pub(crate) fn required(schema: &TypeSchema, resource: &ValidResource) -> Result<(), Error> {
    missing("", &schema.core.attributes, resource.document())?;
    for (extension, reference) in schema
        .extensions
        .iter()
        .zip(&schema.resource_type.schema_extensions)
    {
        match resource.get(&extension.id).and_then(Value::as_object) {
            Some(held) => missing(&format!("{}:", extension.id), &extension.attributes, held)?,
            None if reference.required => return Err(is_missing(&extension.id)),
            None => {}
        }
    }
    Ok(())
}

/// Only what a client can provide is demanded of it.
fn missing(prefix: &str, attributes: &[Attribute], held: &Map<String, Value>) -> Result<(), Error> {
    let wanted = attributes.iter().filter(|attribute| {
        attribute.required
            && matches!(
                attribute.mutability,
                Mutability::ReadWrite | Mutability::Immutable
            )
    });
    for attribute in wanted {
        let is_there = match held.get(&attribute.name) {
            Some(Value::String(text)) => !text.trim().is_empty(),
            found => found.is_some(),
        };
        if !is_there {
            return Err(is_missing(&format!("{prefix}{}", attribute.name)));
        }
    }
    let mut demanding = attributes
        .iter()
        .filter(|attribute| attribute.sub_attributes.iter().any(|sub| sub.required));
    demanding.try_for_each(|attribute| missing_within(prefix, attribute, held.get(&attribute.name)))
}

/// A complex value has what its attribute requires (RFC 7643 section 2.2), also where a PATCH took something out of it.
fn missing_within(prefix: &str, attribute: &Attribute, held: Option<&Value>) -> Result<(), Error> {
    let wanted = || {
        attribute
            .sub_attributes
            .iter()
            .filter(|sub| sub.required && sub.mutability != Mutability::ReadOnly)
    };
    let elements = match held {
        Some(Value::Array(elements)) => elements.as_slice(),
        held => held.map(std::slice::from_ref).unwrap_or_default(),
    };
    for element in elements.iter().filter_map(Value::as_object) {
        if let Some(sub) = wanted()
            .find(|sub| sub.mutability != Mutability::WriteOnly && !element.contains_key(&sub.name))
        {
            return Err(is_missing(&format!(
                "{prefix}{}.{}",
                attribute.name, sub.name
            )));
        }
    }
    Ok(())
}

fn is_missing(path: &str) -> Error {
    Error::new(
        ErrorKind::InvalidValue,
        format!("`{path}` is required; it is missing or empty."),
    )
    .at(path)
}

/// RFC 7643 section 3: `schemas` names the schemas that the body keeps.
fn check_schemas(
    schema: &TypeSchema,
    body: &Map<String, Value>,
    quirks: &QuirkSet,
) -> Result<(), Error> {
    let core = &schema.core.id;
    let refuse = |detail: String| Err(Error::new(ErrorKind::InvalidValue, detail).at("schemas"));
    let mut named = body
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("schemas"))
        .map(|(_, value)| value)
        .fuse();
    let (named, again) = (named.next(), named.next());
    if again.is_some() {
        return Err(twice("schemas"));
    }
    let urns: Vec<&str> = match named {
        Some(Value::Array(urns)) => urns.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !quirks.has(Quirk::MissingSchemas) && !urns.iter().any(|urn| urn.eq_ignore_ascii_case(core))
    {
        return refuse(format!(
            "`schemas` must be an array that contains `{core}`."
        ));
    }
    let is_named = |urn: &str| urns.iter().any(|named| named.eq_ignore_ascii_case(urn));
    let unnamed = schema
        .extensions
        .iter()
        .map(|extension| &extension.id)
        .find(|urn| {
            let is_there = body
                .iter()
                .any(|(name, value)| name.eq_ignore_ascii_case(urn) && !value.is_null());
            is_there && !is_named(urn)
        });
    if !quirks.has(Quirk::MissingSchemas)
        && let Some(unnamed) = unnamed
    {
        return refuse(format!(
            "`schemas` must also contain `{unnamed}`, whose attributes are in the body."
        ));
    }
    if !quirks.has(Quirk::IgnoreUnknown)
        && let Some(unknown) = urns
            .iter()
            .find(|urn| !urn.eq_ignore_ascii_case(core) && schema.extension(urn).is_none())
    {
        return refuse(format!(
            "`schemas` names `{unknown}`, which is not a schema of {}.",
            schema.name()
        ));
    }
    Ok(())
}

/// The core schema and the extensions that the document has.
fn schemas_of(schema: &TypeSchema, document: &Map<String, Value>) -> Value {
    let held = schema
        .extensions
        .iter()
        .map(|extension| extension.id.as_str())
        .filter(|urn| document.get(*urn).is_some_and(|held| !held.is_null()));
    Value::Array(
        std::iter::once(schema.core.id.as_str())
            .chain(held)
            .map(Value::from)
            .collect(),
    )
}

/// What has been taken from the body so far.
struct Checked<'a> {
    schema: &'a TypeSchema,
    quirks: &'a QuirkSet,
    document: Map<String, Value>,
    members: Option<Vec<String>>,
}

impl Checked<'_> {
    fn take(&mut self, name: String, value: Value) -> Result<(), Error> {
        let schema = self.schema;
        let Some(attribute) = schema.core_attribute(&name) else {
            if let Some(extension) = schema.extension(&name) {
                let held = self.extension(&extension.id, &extension.attributes, value)?;
                return put(&mut self.document, spelled(name, &extension.id), held);
            }
            return if self.quirks.has(Quirk::IgnoreUnknown) {
                Ok(())
            } else {
                Err(unknown(schema, &name))
            };
        };
        if attribute.name == "schemas" {
            return Ok(());
        }
        if member::members_attribute(schema).is_some_and(|members| members.name == attribute.name) {
            if self.members.replace(member::ids(value)?).is_some() {
                return Err(twice("members"));
            }
            return Ok(());
        }
        let checked = attribute_value(Place::Path(&attribute.name), attribute, value, self.quirks)?;
        put(&mut self.document, spelled(name, &attribute.name), checked)
    }

    fn extension(
        &self,
        urn: &str,
        attributes: &[Attribute],
        value: Value,
    ) -> Result<Option<Value>, Error> {
        let object = match value {
            Value::Null => return Ok(None),
            Value::Object(object) => object,
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidValue,
                    format!("`{urn}` must be an object of its attributes."),
                )
                .at(urn));
            }
        };
        let mut held = Map::with_capacity(object.len());
        for (name, value) in object {
            match attributes
                .iter()
                .find(|attribute| attribute.name.eq_ignore_ascii_case(&name))
            {
                Some(attribute) => {
                    let place = Place::Extension(urn, &attribute.name);
                    let checked = attribute_value(place, attribute, value, self.quirks)?;
                    put(&mut held, spelled(name, &attribute.name), checked)?;
                }
                None if self.quirks.has(Quirk::IgnoreUnknown) => {}
                None => return Err(unknown(self.schema, &format!("{urn}:{name}"))),
            }
        }
        drop_unassigned(&mut held);
        Ok((!held.is_empty()).then_some(Value::Object(held)))
    }
}

/// The value as it is kept; `None` for a value that is unassigned, read-only or write-only.
fn attribute_value(
    place: Place<'_>,
    attribute: &Attribute,
    given: Value,
    quirks: &QuirkSet,
) -> Result<Option<Value>, Error> {
    match attribute.mutability {
        Mutability::ReadOnly => Ok(None),
        Mutability::WriteOnly => value(place, attribute, given, quirks).map(|_| None),
        Mutability::ReadWrite | Mutability::Immutable => value(place, attribute, given, quirks),
    }
}

/// Unassigned values keep their place as null until the end, so that a second spelling of a name is noticed.
fn put(map: &mut Map<String, Value>, name: String, value: Option<Value>) -> Result<(), Error> {
    match map.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(value.unwrap_or_default());
            Ok(())
        }
        Entry::Occupied(entry) => Err(twice(entry.key())),
    }
}

/// Takes the places of unassigned values away.
fn drop_unassigned(map: &mut Map<String, Value>) {
    // Nearly none has any, and a look is cheaper than moving everything to where it is.
    if map.values().any(Value::is_null) {
        map.retain(|_, value| !value.is_null());
    }
}

/// The name of an attribute as its schema has it: the one that was sent, where that is spelled so.
fn spelled(sent: String, name: &str) -> String {
    if sent == name { sent } else { name.to_owned() }
}

fn twice(name: &str) -> Error {
    Error::new(
        ErrorKind::InvalidSyntax,
        format!("`{name}` is there twice; names are compared without case."),
    )
    .at(name)
}

fn unknown(schema: &TypeSchema, name: &str) -> Error {
    Error::new(
        ErrorKind::InvalidSyntax,
        format!(
            "`{name}` is not an attribute of {}; /Schemas lists all.",
            schema.name()
        ),
    )
    .at(name)
}

/// RFC 7644 section 3.5.1: an immutable attribute that has a value keeps it; the body may only repeat it.
fn keep_all_immutable(
    schema: &TypeSchema,
    current: &Map<String, Value>,
    new: &mut Map<String, Value>,
) -> Result<(), Error> {
    keep_immutable(&schema.core.attributes, "", current, new)?;
    for extension in &schema.extensions {
        let Some(Value::Object(held)) = current.get(&extension.id) else {
            continue;
        };
        let mut kept = match new.get_mut(&extension.id).map(Value::take) {
            Some(Value::Object(object)) => object,
            _ => Map::new(),
        };
        keep_immutable(
            &extension.attributes,
            &format!("{}:", extension.id),
            held,
            &mut kept,
        )?;
        if !kept.is_empty() {
            new.insert(extension.id.clone(), Value::Object(kept));
        }
    }
    Ok(())
}

fn keep_immutable(
    attributes: &[Attribute],
    prefix: &str,
    current: &Map<String, Value>,
    new: &mut Map<String, Value>,
) -> Result<(), Error> {
    for attribute in attributes {
        let Some(old) = current.get(&attribute.name) else {
            continue;
        };
        let path = format!("{prefix}{}", attribute.name);
        if attribute.mutability != Mutability::Immutable {
            // Elements of a multi-valued attribute have no identity that outlives a PUT, so only those of a single value are held to theirs.
            if let (Value::Object(old), Some(Value::Object(new))) =
                (old, new.get_mut(&attribute.name))
            {
                keep_immutable(&attribute.sub_attributes, &format!("{path}."), old, new)?;
            }
            continue;
        }
        match new.get(&attribute.name).filter(|value| !value.is_null()) {
            None => {
                new.insert(attribute.name.clone(), old.clone());
            }
            Some(value) if value == old => {}
            Some(_) => {
                return Err(Error::new(
                    ErrorKind::Mutability,
                    format!("`{path}` is immutable; it cannot be changed once it is set."),
                )
                .at(path));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::Schema;
    use crate::schema::set::{ResourceType, SchemaSet};
    use crate::schema::standard::{ENTERPRISE_USER, GROUP, USER};

    fn run(type_name: &str, body: Value, quirks: &QuirkSet) -> Result<Validated, Error> {
        validate(
            SchemaSet::standard().by_name(type_name).unwrap(),
            body,
            None,
            quirks,
        )
    }

    fn user(extra: Value) -> Value {
        let mut body = json!({"schemas": [USER, ENTERPRISE_USER], "userName": "ann"});
        if let (Value::Object(body), Value::Object(extra)) = (&mut body, extra) {
            body.extend(extra);
        }
        body
    }

    /// `kept`: what the resource holds beside `schemas` and `userName`.
    fn check(extra: Value, kept: Value) {
        let validated = run("User", user(extra.clone()), &QuirkSet::standard()).unwrap();
        let mut document = validated.resource.into_document();
        document.retain(|name, _| name != "schemas" && name != "userName");
        assert_eq!(
            (Value::Object(document), validated.members),
            (kept, None),
            "{extra}"
        );
    }

    fn refused(extra: Value, kind: ErrorKind, path: &str) {
        let error = run("User", user(extra.clone()), &QuirkSet::standard()).unwrap_err();
        assert_eq!((error.kind(), error.path()), (kind, Some(path)), "{extra}");
    }

    #[test]
    fn required_attributes_must_be_there() {
        let check = |type_name: &str, body: Value, path: &str| {
            let error = run(type_name, body, &QuirkSet::standard()).unwrap_err();
            assert_eq!(
                (error.kind(), error.path()),
                (ErrorKind::InvalidValue, Some(path))
            );
        };
        check(
            "User",
            json!({"schemas": [USER], "displayName": "x"}),
            "userName",
        );
        check(
            "User",
            json!({"schemas": [USER], "userName": null}),
            "userName",
        );
        check(
            "User",
            json!({"schemas": [USER], "userName": "  "}),
            "userName",
        );
        assert_eq!(
            run("User", json!(["ann"]), &QuirkSet::standard())
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidSyntax
        );
    }

    #[test]
    fn values_have_the_types_of_the_schema() {
        check(
            json!({"active": true, "NICKNAME": "N", "title": null, "roles": [], "name": {}}),
            json!({"active": true, "nickName": "N"}),
        );
        check(
            json!({"name": {"GivenName": "A", "middleName": null}}),
            json!({"name": {"givenName": "A"}}),
        );
        check(
            json!({"emails": [{"value": "a@x"}, {"value": "a@x"}, null]}),
            json!({"emails": [{"value": "a@x"}]}),
        );
        check(
            json!({(ENTERPRISE_USER.to_uppercase()): {"department": "D", "manager": {"value": "7", "$ref": null}}}),
            json!({ENTERPRISE_USER: {"department": "D", "manager": {"value": "7"}}}),
        );
        refused(json!({"active": 7}), ErrorKind::InvalidValue, "active");
        refused(
            json!({"active": "perhaps"}),
            ErrorKind::InvalidValue,
            "active",
        );
        refused(json!({"title": 7}), ErrorKind::InvalidValue, "title");
        refused(json!({"name": "Ann"}), ErrorKind::InvalidValue, "name");
        refused(
            json!({"emails": [{"value": 7}]}),
            ErrorKind::InvalidValue,
            "emails[0].value",
        );
        refused(
            json!({"x509Certificates": [{"value": "not base64!"}]}),
            ErrorKind::InvalidValue,
            "x509Certificates[0].value",
        );
        refused(
            json!({ENTERPRISE_USER: "D"}),
            ErrorKind::InvalidValue,
            ENTERPRISE_USER,
        );
        refused(
            json!({"displayName": "a\u{0}b"}),
            ErrorKind::InvalidValue,
            "displayName",
        );
        refused(
            json!({"emails": [{"value": "a\u{0}b"}]}),
            ErrorKind::InvalidValue,
            "emails[0].value",
        );
    }

    #[test]
    fn texts_have_a_longest() {
        let longest = |attribute: &str, within: &dyn Fn(String) -> Value, most: usize| {
            assert!(
                run(
                    "User",
                    user(within("a".repeat(most))),
                    &QuirkSet::standard()
                )
                .is_ok(),
                "{attribute}"
            );
            let error = run(
                "User",
                user(within("a".repeat(most + 1))),
                &QuirkSet::standard(),
            )
            .unwrap_err();
            assert_eq!(
                (error.kind(), error.path()),
                (ErrorKind::InvalidValue, Some(attribute))
            );
            assert!(
                error.detail().ends_with(&format!(
                    "has {} bytes; at most {most} are accepted.",
                    most + 1
                )),
                "{error}"
            );
        };
        longest(
            "userName",
            &|text| json!({"userName": text}),
            INDEXED_TEXT_BYTES_MAX,
        );
        longest(
            "externalId",
            &|text| json!({"externalId": text}),
            INDEXED_TEXT_BYTES_MAX,
        );
        longest(
            "emails[0].value",
            &|text| json!({"emails": [{"value": text}]}),
            INDEXED_TEXT_BYTES_MAX,
        );
        longest("locale", &|text| json!({"locale": text}), TEXT_BYTES_MAX);
        longest(
            "password",
            &|text| json!({"password": text}),
            TEXT_BYTES_MAX,
        );
        longest(
            "photos[0].value",
            &|text| json!({"photos": [{"value": text}]}),
            DATA_BYTES_MAX,
        );
        longest(
            "x509Certificates[0].value",
            &|text| json!({"x509Certificates": [{"value": text}]}),
            DATA_BYTES_MAX,
        );
    }

    #[test]
    fn rfc7643_section_2_4_one_primary() {
        let two = json!({"emails": [{"value": "a@x", "primary": true}, {"value": "b@x", "primary": true}]});
        refused(two, ErrorKind::InvalidValue, "emails");
    }

    #[test]
    fn one_value_where_an_array_is_wanted() {
        check(
            json!({"emails": {"value": "a@x"}}),
            json!({"emails": [{"value": "a@x"}]}),
        );
        check(
            json!({"emails": "a@x"}),
            json!({"emails": [{"value": "a@x"}]}),
        );
        check(json!({"title": ["T"]}), json!({"title": "T"}));
        let strict = |extra: Value| {
            run("User", user(extra), &QuirkSet::strict())
                .unwrap_err()
                .kind()
        };
        assert_eq!(
            strict(json!({"emails": {"value": "a@x"}})),
            ErrorKind::InvalidValue
        );
        assert_eq!(strict(json!({"emails": ["a@x"]})), ErrorKind::InvalidValue);
        assert_eq!(strict(json!({"title": ["T"]})), ErrorKind::InvalidValue);
    }

    #[test]
    fn what_a_client_cannot_write_is_ignored_and_secrets_are_not_kept() {
        check(
            json!({"id": "mine", "meta": {"created": 1}, "groups": [{"value": "g"}], "password": "s3cret", "shoeSize": 9}),
            json!({}),
        );
        check(
            json!({ENTERPRISE_USER: {"manager": {"value": "7", "displayName": "Boss"}}}),
            json!({ENTERPRISE_USER: {"manager": {"value": "7"}}}),
        );
        refused(json!({"password": 7}), ErrorKind::InvalidValue, "password");
        let strict = run(
            "User",
            user(json!({"id": "mine", "meta": {}})),
            &QuirkSet::strict(),
        )
        .unwrap();
        assert_eq!(strict.resource.get("id"), None);
        let unknown = run("User", user(json!({"shoeSize": 9})), &QuirkSet::strict()).unwrap_err();
        assert_eq!(
            (unknown.kind(), unknown.path()),
            (ErrorKind::InvalidSyntax, Some("shoeSize"))
        );
    }

    #[test]
    fn a_name_may_be_there_once() {
        refused(
            json!({"title": "A", "Title": null}),
            ErrorKind::InvalidSyntax,
            "title",
        );
        refused(
            json!({"name": {"givenName": "A", "GIVENNAME": "B"}}),
            ErrorKind::InvalidSyntax,
            "name.givenName",
        );
        refused(
            json!({"Schemas": [USER]}),
            ErrorKind::InvalidSyntax,
            "schemas",
        );
    }

    #[test]
    fn rfc7643_section_3_schemas_name_what_is_there() {
        let strict = |body: Value| {
            run("User", body, &QuirkSet::strict())
                .map(|validated| validated.resource.get("schemas").cloned().unwrap())
        };
        let tolerant = run(
            "User",
            json!({"userName": "ann", ENTERPRISE_USER: {"department": "D"}}),
            &QuirkSet::standard(),
        )
        .unwrap();
        assert_eq!(
            tolerant.resource.get("schemas"),
            Some(&json!([USER, ENTERPRISE_USER]))
        );
        // An extension that is named and has no attributes is not named in the resource that is kept.
        assert_eq!(strict(user(json!({}))).unwrap(), json!([USER]));
        for body in [
            json!({"userName": "ann"}),
            json!({"schemas": [], "userName": "ann"}),
            json!({"schemas": [GROUP], "userName": "ann"}),
            json!({"schemas": [USER, "urn:x:y"], "userName": "ann"}),
            json!({"schemas": [USER], "userName": "ann", ENTERPRISE_USER: {"department": "D"}}),
        ] {
            let error = strict(body.clone()).unwrap_err();
            assert_eq!(
                (error.kind(), error.path()),
                (ErrorKind::InvalidValue, Some("schemas")),
                "{body}"
            );
        }
    }

    #[test]
    fn members_are_split_out() {
        let group = |members: Value| {
            let validated = run(
                "Group",
                json!({"schemas": [GROUP], "displayName": "G", "members": members}),
                &QuirkSet::standard(),
            )?;
            assert_eq!(validated.resource.get("members"), None);
            Ok::<_, Error>(validated.members.unwrap())
        };
        assert_eq!(
            group(json!([{"value": "a"}, {"value": "b", "display": "B"}, {"value": "a"}])).unwrap(),
            ["a", "b"]
        );
        assert_eq!(group(json!([])).unwrap(), Vec::<String>::new());
        assert_eq!(
            group(json!([{"display": "B"}])).unwrap_err().path(),
            Some("members[0].value")
        );
        assert_eq!(
            group(json!([{"value": "a\u{0}"}])).unwrap_err().kind(),
            ErrorKind::InvalidValue
        );
        let twice = json!({"schemas": [GROUP], "displayName": "G", "members": [], "Members": []});
        assert_eq!(
            run("Group", twice, &QuirkSet::standard())
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidSyntax
        );
    }

    fn badge_type() -> TypeSchema {
        let immutable =
            |name: &str| json!({"name": name, "type": "string", "mutability": "immutable"});
        let core: Schema = serde_json::from_value(json!({"id": "urn:x:Badge", "attributes": [
            immutable("serial"), {"name": "label", "type": "string"},
            {"name": "maker", "type": "complex", "subAttributes": [immutable("code"), {"name": "town", "type": "string"}]},
        ]}))
        .unwrap();
        let extension: Schema =
            serde_json::from_value(json!({"id": "urn:x:Site", "attributes": [immutable("door")]}))
                .unwrap();
        let resource_type: ResourceType = serde_json::from_value(json!({"id": "Badge", "name": "Badge", "endpoint": "/Badges",
            "schema": "urn:x:Badge", "schemaExtensions": [{"schema": "urn:x:Site", "required": false}]}))
        .unwrap();
        TypeSchema::new(resource_type, core, vec![extension])
    }

    #[test]
    fn a_required_extension_must_be_there() {
        let core: Schema =
            serde_json::from_value(json!({"id": "urn:x:Badge", "attributes": []})).unwrap();
        let needed = json!([{"name": "door", "type": "string", "required": true}]);
        let extension: Schema =
            serde_json::from_value(json!({"id": "urn:x:Site", "attributes": needed})).unwrap();
        let resource_type: ResourceType = serde_json::from_value(json!({"id": "Badge", "name": "Badge", "endpoint": "/Badges",
            "schema": "urn:x:Badge", "schemaExtensions": [{"schema": "urn:x:Site", "required": true}]}))
        .unwrap();
        let schema = TypeSchema::new(resource_type, core, vec![extension]);
        let path = |body: Value| {
            validate(&schema, body, None, &QuirkSet::standard())
                .map_err(|error| error.path().unwrap().to_owned())
                .map(|_| ())
        };
        assert_eq!(path(json!({})), Err("urn:x:Site".to_owned()));
        assert_eq!(
            path(json!({"urn:x:Site": {}})),
            Err("urn:x:Site".to_owned())
        );
        assert_eq!(path(json!({"urn:x:Site": {"door": "d"}})), Ok(()));
    }

    #[test]
    fn rfc7643_section_2_3_data_types() {
        let attribute = |name: &str, kind: &str| json!({"name": name, "type": kind});
        let kinds = [
            ("whole", "integer"),
            ("part", "decimal"),
            ("at", "dateTime"),
            ("bytes", "binary"),
            ("link", "reference"),
            ("on", "boolean"),
        ];
        let attributes: Vec<Value> = kinds
            .iter()
            .map(|(name, kind)| attribute(name, kind))
            .collect();
        let core: Schema =
            serde_json::from_value(json!({"id": "urn:x:Thing", "attributes": attributes})).unwrap();
        let resource_type: ResourceType = serde_json::from_value(
            json!({"id": "Thing", "name": "Thing", "endpoint": "/Things", "schema": "urn:x:Thing"}),
        )
        .unwrap();
        let schema = TypeSchema::new(resource_type, core, Vec::new());
        let check = |name: &str, value: Value, accepted: bool| {
            let answer = validate(
                &schema,
                json!({"schemas": ["urn:x:Thing"], name: value}),
                None,
                &QuirkSet::strict(),
            );
            assert_eq!(answer.is_ok(), accepted, "{name} {value}");
        };
        check("whole", json!(-7), true);
        check("whole", json!(7.5), false);
        check("whole", serde_json::from_str("7e2").unwrap(), false);
        check("whole", json!("7"), false);
        check("part", json!(7.5), true);
        check("part", json!("7.5"), false);
        check("at", json!("2008-01-23T04:56:22Z"), true);
        check("at", json!("2008-01-23T04:56:22.123+02:00"), true);
        check("at", json!("2008-01-23"), false);
        check("at", json!("04:56:22"), false);
        check("at", json!(1_201_064_182), false);
        check("bytes", json!("AQID"), true);
        check("bytes", json!("AQI="), true);
        check("bytes", json!("AQI"), true);
        check("bytes", json!("A~ID"), false);
        check("link", json!("../Users/1"), true);
        check("link", json!(["x"]), false);
        check("on", json!(true), true);
        check("on", json!("true"), false);
    }

    #[test]
    fn rfc7644_section_3_5_1_immutable_attributes_stay() {
        let schema = badge_type();
        let held = json!({"serial": "1", "label": "L", "maker": {"code": "c", "town": "Bath"}, "urn:x:Site": {"door": "d"}});
        let Value::Object(held) = held else { panic!() };
        let current = ValidResource::trusted(held);
        let put = |body: Value| validate(&schema, body, Some(&current), &QuirkSet::standard());
        let kept = put(json!({"maker": {"town": "Rome"}}))
            .unwrap()
            .resource
            .into_document();
        assert_eq!(
            Value::Object(kept),
            json!({"schemas": ["urn:x:Badge", "urn:x:Site"], "serial": "1", "maker": {"code": "c", "town": "Rome"}, "urn:x:Site": {"door": "d"}})
        );
        assert!(put(json!({"serial": "1", "urn:x:Site": {"door": "d"}})).is_ok());
        for (body, path) in [
            (json!({"serial": "2"}), "serial"),
            (json!({"maker": {"code": "z"}}), "maker.code"),
            (json!({"urn:x:Site": {"door": "z"}}), "urn:x:Site:door"),
        ] {
            let error = put(body).unwrap_err();
            assert_eq!(
                (error.kind(), error.path()),
                (ErrorKind::Mutability, Some(path))
            );
        }
    }
}
