//! Applies operations to a resource: the result is another resource, or a refusal and no change. Does not parse: operations come from `patch::parse`. What one operation does to the value of
//! one attribute is in `change`.

use serde_json::{Map, Value};

use super::change::{Change, Given, Target, is_empty};
use super::work::Work;
use super::{Op, Operation, PatchPath, selection};
use crate::attribute_path::AttributePath;
use crate::error::{Error, ErrorKind};
use crate::filter::Filter;
use crate::quirk::{Adaptations, Quirk, QuirkSet};
use crate::resource::ValidResource;
use crate::schema::set::TypeSchema;
use crate::schema::{Attribute, AttributeType, Mutability};
use crate::validate::{self, Place};

/// Applies operations in order (RFC 7644 section 3.5.2); all or nothing. Returns the new resource; equal to the old one where nothing changed. Operations on
/// `members` of a type that has them must have been split off by `member::split` before.
///
/// Refuses with `noTarget`, `mutability` (read-only, immutable, or a required attribute left unassigned), `invalidPath` and `invalidValue`.
pub fn apply(
    schema: &TypeSchema,
    resource: &ValidResource,
    operations: &[Operation],
    quirks: &QuirkSet,
) -> Result<ValidResource, Error> {
    apply_noting(
        schema,
        resource,
        operations,
        quirks,
        &mut Work::default(),
        &mut Adaptations::default(),
    )
}

/// The same; `work` counts the steps, and `noted` gets what a quirk has done that could not be known before the resource was. Refuses with `tooMany` beyond
/// the limit of `work`.
pub fn apply_noting(
    schema: &TypeSchema,
    resource: &ValidResource,
    operations: &[Operation],
    quirks: &QuirkSet,
    work: &mut Work,
    noted: &mut Adaptations,
) -> Result<ValidResource, Error> {
    let mut run = Patch {
        schema,
        quirks,
        work,
        document: resource.document().clone(),
        made: Vec::new(),
    };
    for operation in operations {
        match &operation.path {
            Some(path) => run.at_path(operation.op, path, operation.value.as_ref())?,
            None => run.object(operation.op, operation.value.as_ref())?,
        }
    }
    for path in std::mem::take(&mut run.made) {
        noted.note(Quirk::ElementFromFilter, &path, || {
            format!("made the element that `{path}` describes")
        });
    }
    let patched = run.finish();
    check_immutable(schema, resource, &patched)?;
    // RFC 7644 section 3.5.2.2: a required attribute that becomes unassigned is an error of mutability, whichever operation did it.
    validate::required(schema, &patched).map_err(|error| error.of_kind(ErrorKind::Mutability))?;
    Ok(patched)
}

struct Patch<'a> {
    schema: &'a TypeSchema,
    quirks: &'a QuirkSet,
    work: &'a mut Work,
    document: Map<String, Value>,
    /// Paths whose filter selected nothing and became an element.
    made: Vec<String>,
}

impl Patch<'_> {
    fn at_path(&mut self, op: Op, path: &PatchPath, value: Option<&Value>) -> Result<(), Error> {
        let schema = self.schema;
        if schema.names_whole_core(&path.attribute) {
            return self.object(op, value);
        }
        let unknown = || {
            Error::new(
                ErrorKind::InvalidPath,
                format!("`{path}` names no attribute of {}.", schema.name()),
            )
            .at(path.to_string())
        };
        let resolved = schema.resolve(&path.attribute).ok_or_else(unknown)?;
        let Some(attribute) = resolved.attribute else {
            return self.whole_extension(op, resolved.extension.unwrap_or_default(), value);
        };
        let sub = match path.sub_name() {
            Some(name) => Some(attribute.sub_attribute(name).ok_or_else(unknown)?),
            None => None,
        };
        let target = Target {
            extension: resolved.extension,
            attribute,
            sub,
            filter: path.filter.as_ref(),
        };
        if target.leaf().mutability == Mutability::ReadOnly
            || attribute.mutability == Mutability::ReadOnly
        {
            return Err(read_only(&target));
        }
        self.assign(op, target, value)
    }

    /// A path-less operation, or one whose path is the core schema: every key is an attribute, or an extension with an object.
    fn object(&mut self, op: Op, value: Option<&Value>) -> Result<(), Error> {
        let Some(Value::Object(object)) = value else {
            let detail =
                "An operation without `path` needs an object of attributes as its `value`.";
            return Err(Error::new(ErrorKind::InvalidValue, detail).at("value"));
        };
        for (key, value) in object {
            self.member_of_object(op, None, key, value)?;
        }
        Ok(())
    }

    fn whole_extension(&mut self, op: Op, urn: &str, value: Option<&Value>) -> Result<(), Error> {
        match (op, value) {
            (Op::Remove, None) | (Op::Remove | Op::Replace, Some(Value::Null)) => {
                self.document.remove(urn);
                Ok(())
            }
            (Op::Add, Some(Value::Null)) => Ok(()),
            (_, Some(Value::Object(object))) => object
                .iter()
                .try_for_each(|(key, value)| self.member_of_object(op, Some(urn), key, value)),
            _ => Err(Error::new(
                ErrorKind::InvalidValue,
                format!("`{urn}` must be an object of its attributes."),
            )
            .at(urn)),
        }
    }

    fn member_of_object(
        &mut self,
        op: Op,
        extension: Option<&str>,
        key: &str,
        value: &Value,
    ) -> Result<(), Error> {
        let schema = self.schema;
        let own = extension.filter(|urn| {
            schema
                .extension(urn)
                .is_some_and(|extension| extension.attribute(key).is_some())
        });
        // Its name may be a URN, which is no path (RFC 9944 section 7.1.2).
        let path = if let Some(urn) = own {
            AttributePath {
                schema: Some(urn.to_owned()),
                attribute: key.to_owned(),
                sub_attribute: None,
            }
        } else {
            let path = AttributePath::parse(key)?;
            let qualified = path
                .schema
                .is_none()
                .then(|| extension.map(str::to_owned))
                .flatten();
            AttributePath {
                schema: path.schema.or(qualified),
                ..path
            }
        };
        // RFC 7644 section 3.5.2.1 wants names of attributes as keys; paths as keys are a deviation, which is rewritten before it comes here.
        let is_path = path.sub_attribute.is_some()
            || (path.schema.is_some() && extension.is_none() && schema.extension(key).is_none());
        if is_path && !self.quirks.has(Quirk::PathKeys) {
            let detail = format!(
                "`{key}` is a path; the keys of a `value` without `path` must be names of attributes."
            );
            return Err(Error::new(ErrorKind::InvalidPath, detail).at(key));
        }
        if extension.is_none() && schema.names_whole_core(&path) {
            return self.object(op, Some(value));
        }
        let Some(resolved) = schema.resolve(&path) else {
            if self.quirks.has(Quirk::IgnoreUnknown) {
                return Ok(());
            }
            let detail = format!(
                "The key `{path}` names no attribute of {}; /Schemas lists all.",
                schema.name()
            );
            return Err(Error::new(ErrorKind::InvalidSyntax, detail).at(path.to_string()));
        };
        let Some(attribute) = resolved.attribute else {
            return self.whole_extension(op, resolved.extension.unwrap_or_default(), Some(value));
        };
        let target = Target {
            extension: resolved.extension,
            attribute,
            sub: resolved.sub_attribute,
            filter: None,
        };
        if target.leaf().mutability == Mutability::ReadOnly {
            // Okta repeats `id` in a path-less replace; what a client cannot change it may still mention.
            return if self.quirks.has(Quirk::IgnoreReadOnly) {
                Ok(())
            } else {
                Err(read_only(&target))
            };
        }
        self.assign(op, target, Some(value))
    }

    fn assign(&mut self, op: Op, target: Target<'_>, value: Option<&Value>) -> Result<(), Error> {
        if target.extension.is_none() && target.attribute.name == "schemas" {
            if op == Op::Remove {
                let detail = "`schemas` is required and cannot be removed; what a resource no longer holds leaves it by itself.";
                return Err(Error::new(ErrorKind::Mutability, detail).at("schemas"));
            }
            // `schemas` follows from what the resource holds; `finish` writes it.
            return Ok(());
        }
        if op == Op::Remove {
            return self.remove(target, value);
        }
        // The value is always checked, even where nothing is done with it, so that a refusal does not depend on the state of the resource.
        let given = self.checked(op, &target, value)?;
        if target.leaf().mutability == Mutability::WriteOnly
            || (op == Op::Add && matches!(given, Given::Nothing))
        {
            return Ok(());
        }
        self.change(op, target, given, None)
    }

    /// A `remove` with a value removes the values that are like it.
    fn remove(&mut self, target: Target<'_>, value: Option<&Value>) -> Result<(), Error> {
        if target.leaf().mutability == Mutability::WriteOnly {
            return Ok(());
        }
        let Some(value) = value else {
            return self.change(Op::Remove, target, Given::Nothing, None);
        };
        let (
            path,
            Target {
                extension,
                attribute,
                ..
            },
        ) = (target.path(), target);
        let (elements, within) = match target.sub {
            None => (
                selection::of_attribute(&path, extension, attribute, value)?,
                None,
            ),
            Some(sub) if sub.multi_valued => {
                (None, selection::within_sub_attribute(&path, sub, value)?)
            }
            Some(sub) => (
                selection::of_sub_attribute(
                    &path,
                    extension,
                    (attribute, sub),
                    target.filter.is_some(),
                    value,
                )?,
                None,
            ),
        };
        let both = match (target.filter, elements) {
            (Some(filter), Some(elements)) => Some(Filter::And(vec![filter.clone(), elements])),
            (filter, elements) => elements.or_else(|| filter.cloned()),
        };
        self.change(
            Op::Remove,
            Target {
                filter: both.as_ref(),
                ..target
            },
            Given::Nothing,
            within.as_ref(),
        )
    }

    /// Changes the value of one attribute. `within`: only these values of a multi-valued sub-attribute.
    fn change(
        &mut self,
        op: Op,
        target: Target<'_>,
        given: Given,
        within: Option<&Filter>,
    ) -> Result<(), Error> {
        let container = match target.extension {
            None => &mut self.document,
            Some(urn) => {
                let extension = self
                    .document
                    .entry(urn)
                    .or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(extension) = extension else {
                    return Ok(());
                };
                extension
            }
        };
        let held = elements_in(container, target.attribute);
        let most = most_elements(container, &target);
        let mut change = Change {
            op,
            target,
            within,
            quirks: self.quirks,
            work: self.work,
        };
        change.apply(container, given)?;
        if let Some(filter) = target
            .filter
            .filter(|_| op != Op::Remove && elements_in(container, target.attribute) > held)
        {
            let sub = target
                .sub
                .map(|sub| format!(".{}", sub.name))
                .unwrap_or_default();
            self.made
                .push(format!("{}[{filter}]{sub}", target.attribute.name));
        }
        // One that has too many from before may still lose some.
        let now = most_elements(container, &target);
        if now > most {
            validate::check_count(Place::Path(&target.path()), now)
        } else {
            Ok(())
        }
    }

    /// The operation's value with canonical names and right types.
    fn checked(&self, op: Op, target: &Target<'_>, value: Option<&Value>) -> Result<Given, Error> {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return Ok(Given::Nothing);
        };
        let path = target.path();
        let (place, leaf) = (Place::Path(&path), target.leaf());
        let is_one = !leaf.multi_valued || (target.sub.is_none() && target.filter.is_some());
        if is_one && leaf.kind == AttributeType::Complex {
            let parts = validate::parts(place, leaf, value.clone(), self.quirks)?;
            return Ok(parts.map_or(Given::Nothing, Given::Parts));
        }
        let checked = match value {
            value if is_one => validate::element(place, leaf, value.clone(), self.quirks)?,
            // RFC 7644 section 3.5.2.1 lets a client add one element without an array around it.
            Value::Array(_) => validate::value(place, leaf, value.clone(), self.quirks)?,
            value => validate::element(place, leaf, value.clone(), self.quirks)?
                .map(|element| Value::Array(vec![element])),
        };
        // To replace all values by one without a value is to lose them; who means that says `[]` or null (RFC 7643 section 2.5).
        if checked.is_none() && op == Op::Replace && holds_one(value, is_one) {
            let detail = format!(
                "`{path}` is given no value that is assigned; `[]` or null removes all of its values."
            );
            return Err(Error::new(ErrorKind::InvalidValue, detail).at(path));
        }
        Ok(checked.map_or(Given::Nothing, Given::Whole))
    }

    /// Drops what became empty and names the schemas that the resource has.
    fn finish(mut self) -> ValidResource {
        let schema = self.schema;
        self.document.retain(|_, value| {
            if let Value::Object(object) = value {
                object.retain(|_, value| !is_empty(value));
            }
            !is_empty(value)
        });
        let held = schema
            .extensions
            .iter()
            .map(|extension| &extension.id)
            .filter(|urn| self.document.contains_key(urn.as_str()));
        let schemas: Vec<Value> = std::iter::once(&schema.core.id)
            .chain(held)
            .map(|urn| Value::from(urn.as_str()))
            .collect();
        self.document
            .insert("schemas".into(), Value::Array(schemas));
        ValidResource::trusted(self.document)
    }
}

/// Whether a value is given, be it one that assigns nothing; `is_one`: where a list is only a way to write one value.
fn holds_one(value: &Value, is_one: bool) -> bool {
    value.is_object()
        || value.as_array().is_some_and(|elements| {
            elements
                .iter()
                .any(|element| !is_one || element.is_object())
        })
}

fn read_only(target: &Target<'_>) -> Error {
    let path = target.path();
    Error::new(
        ErrorKind::Mutability,
        format!("`{path}` is read-only; it cannot be changed by a client."),
    )
    .at(path)
}

fn check_immutable(
    schema: &TypeSchema,
    before: &ValidResource,
    after: &ValidResource,
) -> Result<(), Error> {
    let check = |path: String,
                 attribute: &Attribute,
                 before: Option<&Value>,
                 after: Option<&Value>| match before {
        Some(_) if attribute.mutability == Mutability::Immutable && before != after => {
            Err(Error::new(
                ErrorKind::Mutability,
                format!("`{path}` is immutable; it cannot be changed once it is set."),
            )
            .at(path))
        }
        _ => Ok(()),
    };
    let within = |prefix: &str,
                  attributes: &[Attribute],
                  before: &Map<String, Value>,
                  after: Option<&Map<String, Value>>| {
        attributes.iter().try_for_each(|attribute| {
            let (old, new) = (
                before.get(&attribute.name),
                after.and_then(|after| after.get(&attribute.name)),
            );
            check(format!("{prefix}{}", attribute.name), attribute, old, new)?;
            let Some(Value::Object(old)) = old else {
                return Ok(());
            };
            attribute.sub_attributes.iter().try_for_each(|sub| {
                check(
                    format!("{prefix}{}.{}", attribute.name, sub.name),
                    sub,
                    old.get(&sub.name),
                    new.and_then(|new| new.get(&sub.name)),
                )
            })
        })
    };
    within(
        "",
        &schema.core.attributes,
        before.document(),
        Some(after.document()),
    )?;
    schema
        .extensions
        .iter()
        .try_for_each(|extension| match before.get(&extension.id) {
            Some(Value::Object(old)) => {
                let new = after.get(&extension.id).and_then(Value::as_object);
                within(
                    &format!("{}:", extension.id),
                    &extension.attributes,
                    old,
                    new,
                )
            }
            _ => Ok(()),
        })
}

fn elements_in(container: &Map<String, Value>, attribute: &Attribute) -> usize {
    container
        .get(&attribute.name)
        .and_then(Value::as_array)
        .map_or(0, Vec::len)
}

/// How many elements the target has; those of a multi-valued sub-attribute where there are most.
fn most_elements(container: &Map<String, Value>, target: &Target<'_>) -> usize {
    let Some(sub) = target.sub.filter(|sub| sub.multi_valued) else {
        return elements_in(container, target.attribute);
    };
    let within = match container.get(&target.attribute.name) {
        Some(Value::Array(elements)) => elements.as_slice(),
        value => value.map(std::slice::from_ref).unwrap_or_default(),
    };
    let count = |element: &Value| {
        element
            .get(&sub.name)
            .and_then(Value::as_array)
            .map_or(0, Vec::len)
    };
    within.iter().map(count).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::patch;
    use crate::schema::set::SchemaSet;

    fn user(extra: Value) -> ValidResource {
        let mut document = Map::from_iter([
            (
                "schemas".to_owned(),
                json!(["urn:ietf:params:scim:schemas:core:2.0:User"]),
            ),
            ("userName".to_owned(), json!("ann")),
        ]);
        if let Value::Object(extra) = extra {
            document.extend(extra);
        }
        ValidResource::trusted(document)
    }

    fn patched_with(
        quirks: &QuirkSet,
        before: Value,
        operations: Value,
    ) -> Result<ValidResource, Error> {
        let set = SchemaSet::standard();
        let schema = set.by_name("User").unwrap();
        let body = json!({ "schemas": [patch::PATCH_SCHEMA], "Operations": operations });
        apply(
            schema,
            &user(before),
            &patch::parse(schema, body, quirks)?,
            quirks,
        )
    }

    fn check(before: Value, operations: Value, after: Value) {
        let patched = patched_with(&QuirkSet::standard(), before, operations.clone()).unwrap();
        assert_eq!(
            Value::Object(patched.into_document()),
            Value::Object(user(after).into_document()),
            "{operations}"
        );
    }

    fn refused(before: Value, operations: Value, kind: ErrorKind) {
        assert_eq!(
            patched_with(&QuirkSet::standard(), before, operations.clone())
                .unwrap_err()
                .kind(),
            kind,
            "{operations}"
        );
    }

    #[test]
    fn rfc7644_section_3_5_2_1_add() {
        check(
            json!({}),
            json!([{"op": "add", "path": "nickName", "value": "N"}]),
            json!({"nickName": "N"}),
        );
        check(
            json!({}),
            json!([{"op": "add", "value": {"TITLE": "T", "name": {"GivenName": "A"}}}]),
            json!({"title": "T", "name": {"givenName": "A"}}),
        );
        check(
            json!({"emails": [{"value": "a@x", "type": "work", "primary": true}]}),
            json!([{"op": "add", "path": "emails", "value": [{"value": "b@x", "type": "home", "primary": true}]}]),
            json!({"emails": [{"value": "a@x", "type": "work", "primary": false}, {"value": "b@x", "type": "home", "primary": true}]}),
        );
        check(
            json!({"emails": [{"value": "a@x", "type": "work"}]}),
            json!([{"op": "add", "path": "emails", "value": {"value": "a@x", "type": "work"}}]),
            json!({"emails": [{"value": "a@x", "type": "work"}]}),
        );
        check(
            json!({"name": {"givenName": "A", "familyName": "B"}}),
            json!([{"op": "add", "path": "name", "value": {"givenName": "C"}}]),
            json!({"name": {"givenName": "C", "familyName": "B"}}),
        );
    }

    #[test]
    fn rfc7644_section_3_5_2_2_remove() {
        let before = json!({"nickName": "N", "emails": [{"value": "a@x", "type": "work"}, {"value": "b@x", "type": "home"}]});
        check(
            before.clone(),
            json!([{"op": "remove", "path": "emails"}]),
            json!({"nickName": "N"}),
        );
        check(
            before.clone(),
            json!([{"op": "remove", "path": "emails[type eq \"home\"]"}, {"op": "remove", "path": "nickName"}]),
            json!({"emails": [{"value": "a@x", "type": "work"}]}),
        );
        check(
            before.clone(),
            json!([{"op": "remove", "path": "emails[type eq \"home\"].type"}]),
            json!({"nickName": "N", "emails": [{"value": "a@x", "type": "work"}, {"value": "b@x"}]}),
        );
        check(
            before.clone(),
            json!([{"op": "remove", "path": "emails[type eq \"fax\"]"}]),
            before.clone(),
        );
        check(
            before.clone(),
            json!([{"op": "remove", "path": "title"}]),
            before.clone(),
        );
        refused(
            before.clone(),
            json!([{"op": "remove", "path": "userName"}]),
            ErrorKind::Mutability,
        );
        refused(before, json!([{"op": "remove"}]), ErrorKind::NoTarget);
    }

    #[test]
    fn rfc7644_section_3_5_2_3_replace() {
        let before =
            json!({"emails": [{"value": "a@x", "type": "work"}, {"value": "b@x", "type": "home"}]});
        check(
            before.clone(),
            json!([{"op": "replace", "path": "emails[type eq \"work\"].value", "value": "z@x"}]),
            json!({"emails": [{"value": "z@x", "type": "work"}, {"value": "b@x", "type": "home"}]}),
        );
        check(
            before.clone(),
            json!([{"op": "replace", "path": "emails[type eq \"work\"]", "value": {"value": "z@x", "type": "other"}}]),
            json!({"emails": [{"value": "z@x", "type": "other"}, {"value": "b@x", "type": "home"}]}),
        );
        check(
            before.clone(),
            json!([{"op": "replace", "value": {"emails": [{"value": "q@x"}], "active": true}}]),
            json!({"emails": [{"value": "q@x"}], "active": true}),
        );
        check(
            before.clone(),
            json!([{"op": "replace", "path": "emails", "value": null}]),
            json!({}),
        );
        refused(
            before.clone(),
            json!([{"op": "replace", "path": "emails[type eq \"fax\"]", "value": {"value": "q@x"}}]),
            ErrorKind::NoTarget,
        );
        refused(
            before.clone(),
            json!([{"op": "replace", "path": "id", "value": "other"}]),
            ErrorKind::Mutability,
        );
        refused(
            before.clone(),
            json!([{"op": "replace", "path": "emails[type eq", "value": 1}]),
            ErrorKind::InvalidPath,
        );
        refused(
            before,
            json!([{"op": "replace", "path": "shoeSize", "value": 1}]),
            ErrorKind::InvalidPath,
        );
    }

    #[test]
    fn rfc7643_section_2_4_a_path_finds_a_primary_that_is_not_there_as_false() {
        let first = json!({"value": "a@x", "type": "work", "primary": true});
        let held = json!({"emails": [first, {"value": "b@x", "type": "home"}]});
        for path in [
            "emails[primary eq false].value",
            "emails[primary ne true].value",
            "emails[type eq \"home\" and primary eq \"False\"].value",
        ] {
            check(
                held.clone(),
                json!([{"op": "replace", "path": path, "value": "c@x"}]),
                json!({"emails": [first, {"value": "c@x", "type": "home"}]}),
            );
        }
        for (path, value) in [
            ("emails[primary eq false]", Value::Null),
            ("emails", json!([{"primary": false}])),
        ] {
            check(
                held.clone(),
                json!([{"op": "remove", "path": path, "value": value}]),
                json!({"emails": [first]}),
            );
        }
        let only = json!({"emails": [first]});
        check(
            only,
            json!([{"op": "add", "path": "emails[primary eq false].value", "value": "c@x"}]),
            json!({"emails": [first, {"value": "c@x", "primary": false}]}),
        );
    }

    #[test]
    fn entra_makes_one_element_with_several_operations() {
        check(
            json!({}),
            json!([
                {"op": "add", "path": "addresses[type eq \"work\"].streetAddress", "value": "1 High St"},
                {"op": "replace", "path": "addresses[type eq \"work\"].locality", "value": "Bath"},
            ]),
            json!({"addresses": [{"type": "work", "streetAddress": "1 High St", "locality": "Bath"}]}),
        );
        let strict = patched_with(
            &QuirkSet::strict(),
            json!({}),
            json!([{"op": "add", "path": "emails[type eq \"work\"].value", "value": "a@x"}]),
        );
        assert_eq!(strict.unwrap_err().kind(), ErrorKind::NoTarget);
    }

    #[test]
    fn extensions_by_urn() {
        let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let held = json!({urn: {"department": "Ops"}, "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", urn]});
        check(
            json!({}),
            json!([{"op": "add", "path": format!("{urn}:department"), "value": "Ops"}]),
            held.clone(),
        );
        check(
            json!({}),
            json!([{"op": "add", "value": {urn: {"department": "Ops"}}}]),
            held.clone(),
        );
        check(
            held.clone(),
            json!([{"op": "remove", "path": urn}]),
            json!({}),
        );
        check(
            held,
            json!([{"op": "remove", "path": format!("{urn}:department")}]),
            json!({}),
        );
    }

    /// RFC 7643 section 2.5 and RFC 7644 section 3.5.2.3: a null unassigns what it stands for, and what is not named stays.
    #[test]
    fn a_null_unassigns_its_sub_attribute_and_nothing_else() {
        let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let core = "urn:ietf:params:scim:schemas:core:2.0:User";
        let held = json!({"name": {"givenName": "A", "familyName": "B", "formatted": "A B"}});
        for (value, after) in [
            (
                json!({"familyName": null}),
                json!({"givenName": "A", "formatted": "A B"}),
            ),
            (
                json!({"FAMILYNAME": null}),
                json!({"givenName": "A", "formatted": "A B"}),
            ),
            (
                json!({"familyName": null, "givenName": "C"}),
                json!({"givenName": "C", "formatted": "A B"}),
            ),
            (
                json!({}),
                json!({"givenName": "A", "familyName": "B", "formatted": "A B"}),
            ),
            (
                json!({"givenName": null, "familyName": null, "formatted": null}),
                Value::Null,
            ),
            (Value::Null, Value::Null),
        ] {
            let after = if after.is_null() {
                json!({})
            } else {
                json!({ "name": after })
            };
            check(
                held.clone(),
                json!([{"op": "replace", "path": "name", "value": value}]),
                after.clone(),
            );
            check(
                held.clone(),
                json!([{"op": "replace", "path": format!("{core}:Name"), "value": value}]),
                after.clone(),
            );
            check(
                held.clone(),
                json!([{"op": "replace", "value": {"name": value}}]),
                after.clone(),
            );
            check(
                held.clone(),
                json!([{"op": "replace", "path": core, "value": {"name": value}}]),
                after,
            );
        }
        // An `add` of an unassigned value adds nothing.
        check(
            held.clone(),
            json!([{"op": "add", "path": "name", "value": {"familyName": null, "givenName": "C"}}]),
            json!({"name": {"givenName": "C", "familyName": "B", "formatted": "A B"}}),
        );
        check(
            held.clone(),
            json!([{"op": "add", "value": {"name": null}}, {"op": "add", "value": {"name": {}}}]),
            held,
        );
        let manager = json!({"value": "7", "$ref": "../Users/7"});
        let extended = |manager: &Value| json!({"schemas": [core, urn], urn: {"department": "D", "manager": manager}});
        for (value, after) in [
            (json!({"displayName": "Bob"}), manager.clone()),
            (
                json!({"displayName": "Bob", "value": "8"}),
                json!({"value": "8", "$ref": "../Users/7"}),
            ),
            (json!({"$ref": null}), json!({"value": "7"})),
            (json!({"value": null}), json!({"$ref": "../Users/7"})),
        ] {
            check(
                extended(&manager),
                json!([{"op": "replace", "path": format!("{urn}:manager"), "value": value}]),
                extended(&after),
            );
            check(
                extended(&manager),
                json!([{"op": "replace", "path": urn, "value": {"manager": value}}]),
                extended(&after),
            );
            check(
                extended(&manager),
                json!([{"op": "replace", "value": {(urn.to_uppercase()): {"Manager": value}}}]),
                extended(&after),
            );
        }
        for value in [json!({}), json!({"manager": {}})] {
            check(
                extended(&manager),
                json!([{"op": "replace", "path": urn, "value": value}]),
                extended(&manager),
            );
        }
    }

    #[test]
    fn elements_keep_what_is_not_named() {
        let work = json!({"value": "a@x", "type": "work", "display": "A"});
        let held = json!({"emails": [work, {"value": "b@x", "type": "home"}]});
        let replaced = |value: Value| json!([{"op": "replace", "path": "emails[type eq \"work\"]", "value": value}]);
        let first = |element: Value| json!({"emails": [element, {"value": "b@x", "type": "home"}]});
        check(
            held.clone(),
            replaced(json!({"value": null})),
            first(json!({"type": "work", "display": "A"})),
        );
        check(
            held.clone(),
            replaced(json!({"display": null, "primary": null})),
            first(json!({"value": "a@x", "type": "work"})),
        );
        check(held.clone(), replaced(json!({})), held.clone());
        check(
            held.clone(),
            replaced(json!(null)),
            json!({"emails": [{"value": "b@x", "type": "home"}]}),
        );
        // What assigns something replaces the whole element.
        check(
            held.clone(),
            replaced(json!({"value": "c@x", "type": null})),
            first(json!({"value": "c@x"})),
        );
        check(
            held.clone(),
            json!([{"op": "add", "path": "emails[type eq \"work\"]", "value": {"display": null, "primary": true}}]),
            first(json!({"value": "a@x", "type": "work", "display": "A", "primary": true})),
        );
        check(
            held.clone(),
            json!([{"op": "add", "path": "emails", "value": [{"value": "a@x", "type": "work", "display": null}, null, {}]}]),
            held.clone(),
        );
        check(
            held.clone(),
            json!([{"op": "replace", "path": "emails", "value": []}]),
            json!({}),
        );
        // All emails are not lost for a value that has none.
        for value in [
            json!({}),
            json!([{}]),
            json!([{"value": null}]),
            json!({"value": null}),
            json!([null]),
            json!([null, {}]),
        ] {
            refused(
                held.clone(),
                json!([{"op": "replace", "path": "emails", "value": value}]),
                ErrorKind::InvalidValue,
            );
            refused(
                held.clone(),
                json!([{"op": "replace", "value": {"Emails": value}}]),
                ErrorKind::InvalidValue,
            );
        }
    }

    #[test]
    fn a_remove_with_a_value_removes_what_is_like_it() {
        let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let work = json!({"type": "work", "locality": "Bath", "primary": true});
        let held =
            json!({"addresses": [work, {"type": "home", "locality": "Bath"}, {"type": "other"}]});
        let removed =
            |path: &str, value: Value| json!([{"op": "remove", "path": path, "value": value}]);
        let left = |elements: &[Value]| {
            if elements.is_empty() {
                json!({})
            } else {
                json!({ "addresses": elements })
            }
        };
        let (home, other) = (
            json!({"type": "home", "locality": "Bath"}),
            json!({"type": "other"}),
        );
        for (value, after) in [
            (
                json!([{"type": "work"}]),
                left(&[home.clone(), other.clone()]),
            ),
            (
                json!({"TYPE": "Work"}),
                left(&[home.clone(), other.clone()]),
            ),
            (
                json!([{"type": "work"}, {"type": "other"}]),
                left(std::slice::from_ref(&home)),
            ),
            (
                json!([{"locality": "Bath", "country": null}]),
                left(std::slice::from_ref(&other)),
            ),
            (
                json!([{"locality": "Bath", "primary": true}]),
                left(&[home.clone(), other.clone()]),
            ),
            (json!([{"type": "work", "locality": "York"}]), held.clone()),
            (json!([]), held.clone()),
            (json!(null), left(&[])),
        ] {
            check(held.clone(), removed("addresses", value), after);
        }
        check(
            held.clone(),
            removed(
                "addresses[locality eq \"Bath\"]",
                json!([{"type": "home"}, {"type": "other"}]),
            ),
            left(&[work.clone(), other]),
        );
        check(
            held.clone(),
            removed("addresses.locality", json!("york")),
            held.clone(),
        );
        // A list without values names none of them.
        for value in [json!([]), json!("")] {
            check(
                held.clone(),
                removed("addresses.locality", value),
                held.clone(),
            );
        }
        check(
            held.clone(),
            removed("addresses[type eq \"home\"].locality", json!("York")),
            held.clone(),
        );
        check(
            held.clone(),
            removed("addresses[type eq \"home\"].locality", json!("Bath")),
            left(&[work, json!({"type": "home"}), json!({"type": "other"})]),
        );
        for value in [
            json!({}),
            json!([{}]),
            json!([{"type": null}]),
            json!([{"shoe": 9}]),
            json!([{"primary": 7}]),
            json!(7),
        ] {
            refused(
                held.clone(),
                removed("addresses", value),
                ErrorKind::InvalidValue,
            );
        }
        let one = json!({"title": "T", "name": {"givenName": "A", "familyName": "B"}, urn: {"department": "D", "division": "E"}, "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", urn]});
        let without = |name: &str| {
            let mut left = one.clone();
            left.as_object_mut().unwrap().remove(name);
            left
        };
        check(one.clone(), removed("title", json!("U")), one.clone());
        check(one.clone(), removed("title", json!("t")), without("title"));
        check(one.clone(), removed("title", json!("")), without("title"));
        check(
            one.clone(),
            removed("name", json!({"familyName": "C"})),
            one.clone(),
        );
        check(
            one.clone(),
            removed("name", json!({"familyName": "B"})),
            without("name"),
        );
        check(
            one.clone(),
            removed("name.familyName", json!("C")),
            one.clone(),
        );
        refused(
            one.clone(),
            removed("name", json!({})),
            ErrorKind::InvalidValue,
        );
        for value in [json!({}), json!({"department": "X"})] {
            check(one.clone(), removed(urn, value), one.clone());
        }
        let mut left = one.clone();
        left[urn] = json!({"division": "E"});
        check(
            one.clone(),
            removed(urn, json!({"department": "D"})),
            left.clone(),
        );
        check(
            one.clone(),
            removed(&format!("{urn}:department"), json!("D")),
            left,
        );
        refused(
            one.clone(),
            removed(urn, json!("D")),
            ErrorKind::InvalidValue,
        );
        let strict = patched_with(&QuirkSet::strict(), one, removed("title", json!("T")));
        assert_eq!(strict.unwrap_err().kind(), ErrorKind::InvalidValue);
    }

    #[test]
    fn what_a_client_may_mention_but_not_change() {
        check(
            json!({}),
            json!([{"op": "replace", "value": {"id": "x", "displayName": "D"}}]),
            json!({"displayName": "D"}),
        );
        let strict = patched_with(
            &QuirkSet::strict(),
            json!({}),
            json!([{"op": "replace", "value": {"id": "x"}}]),
        );
        assert_eq!(strict.unwrap_err().kind(), ErrorKind::Mutability);
    }
}
