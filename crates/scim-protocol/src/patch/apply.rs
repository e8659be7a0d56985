//! Resource + operations = resource, or a refusal and nothing. Does not parse: operations come from `patch::parse`.

use serde_json::{Map, Value};

use super::{Op, Operation, PatchPath};
use crate::attribute_path::AttributePath;
use crate::error::{Error, ErrorKind};
use crate::filter::Filter;
use crate::patch_path::element_from;
use crate::quirk::{Adaptations, Quirk, QuirkSet};
use crate::resource::ValidResource;
use crate::schema::set::TypeSchema;
use crate::schema::{Attribute, Mutability};
use crate::validate::{self, Place};

/// Applies operations in order (RFC 7644 section 3.5.2); all or nothing. Returns the new resource; equal to the old one where nothing changed. Operations on
/// `members` of a type that has them must have been split off by `member::split` before.
///
/// Refuses with `noTarget`, `mutability` (read-only, immutable, or a required attribute left unassigned), `invalidPath` and `invalidValue`.
pub fn apply(schema: &TypeSchema, resource: &ValidResource, operations: &[Operation], quirks: &QuirkSet) -> Result<ValidResource, Error> {
    apply_noting(schema, resource, operations, quirks, &mut Adaptations::default())
}

/// The same; `noted` gets what a quirk has done that could not be known before the resource was.
pub fn apply_noting(
    schema: &TypeSchema,
    resource: &ValidResource,
    operations: &[Operation],
    quirks: &QuirkSet,
    noted: &mut Adaptations,
) -> Result<ValidResource, Error> {
    let mut work = Patch { schema, quirks, document: resource.document().clone(), made: Vec::new() };
    for operation in operations {
        match &operation.path {
            Some(path) => work.at_path(operation.op, path, operation.value.as_ref())?,
            None => work.object(operation.op, operation.value.as_ref())?,
        }
    }
    for path in std::mem::take(&mut work.made) {
        noted.note(Quirk::ElementFromFilter, &path, || format!("made the element that `{path}` describes"));
    }
    let patched = work.finish();
    check_immutable(schema, resource, &patched)?;
    // RFC 7644 section 3.5.2.2: a required attribute that becomes unassigned is an error of mutability, whichever operation did it.
    validate::required(schema, &patched).map_err(|error| error.of_kind(ErrorKind::Mutability))?;
    Ok(patched)
}

/// Where a value goes.
#[derive(Clone, Copy)]
struct Target<'a> {
    extension: Option<&'a str>,
    attribute: &'a Attribute,
    sub: Option<&'a Attribute>,
    filter: Option<&'a Filter>,
}

impl Target<'_> {
    fn path(&self) -> String {
        let mut path = self.extension.map(|urn| format!("{urn}:")).unwrap_or_default();
        path.push_str(&self.attribute.name);
        if let Some(sub) = self.sub {
            path.push('.');
            path.push_str(&sub.name);
        }
        path
    }

    /// The attribute whose characteristics the value must have.
    fn leaf(&self) -> &Attribute {
        self.sub.unwrap_or(self.attribute)
    }
}

struct Patch<'a> {
    schema: &'a TypeSchema,
    quirks: &'a QuirkSet,
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
        let unknown =
            || Error::new(ErrorKind::InvalidPath, format!("`{path}` names no attribute of {}.", schema.name())).at(path.to_string());
        let resolved = schema.resolve(&path.attribute).ok_or_else(unknown)?;
        let Some(attribute) = resolved.attribute else {
            return self.whole_extension(op, resolved.extension.unwrap_or_default(), value);
        };
        let sub = match path.sub_name() {
            Some(name) => Some(attribute.sub_attribute(name).ok_or_else(unknown)?),
            None => None,
        };
        let target = Target { extension: resolved.extension, attribute, sub, filter: path.filter.as_ref() };
        if target.leaf().mutability == Mutability::ReadOnly || attribute.mutability == Mutability::ReadOnly {
            return Err(read_only(&target));
        }
        self.assign(op, target, value)
    }

    /// A path-less operation, or one whose path is the core schema: every key is an attribute, or an extension with an object.
    fn object(&mut self, op: Op, value: Option<&Value>) -> Result<(), Error> {
        let Some(Value::Object(object)) = value else {
            let detail = "An operation without `path` needs an object of attributes as its `value`.";
            return Err(Error::new(ErrorKind::InvalidValue, detail).at("value"));
        };
        for (key, value) in object {
            self.member_of_object(op, None, key, value)?;
        }
        Ok(())
    }

    fn whole_extension(&mut self, op: Op, urn: &str, value: Option<&Value>) -> Result<(), Error> {
        match (op, value) {
            (Op::Remove, _) | (Op::Replace, Some(Value::Null)) => {
                self.document.remove(urn);
                Ok(())
            }
            (Op::Add, Some(Value::Null)) => Ok(()),
            (_, Some(Value::Object(object))) => object.iter().try_for_each(|(key, value)| self.member_of_object(op, Some(urn), key, value)),
            _ => Err(Error::new(ErrorKind::InvalidValue, format!("`{urn}` must be an object of its attributes.")).at(urn)),
        }
    }

    fn member_of_object(&mut self, op: Op, extension: Option<&str>, key: &str, value: &Value) -> Result<(), Error> {
        let schema = self.schema;
        let own = extension.filter(|urn| schema.extension(urn).is_some_and(|extension| extension.attribute(key).is_some()));
        // Its name may be a URN, which is no path (RFC 9944 section 7.1.2).
        let path = if let Some(urn) = own {
            AttributePath { schema: Some(urn.to_owned()), attribute: key.to_owned(), sub_attribute: None }
        } else {
            let path = AttributePath::parse(key)?;
            let qualified = path.schema.is_none().then(|| extension.map(str::to_owned)).flatten();
            AttributePath { schema: path.schema.or(qualified), ..path }
        };
        // RFC 7644 section 3.5.2.1 wants names of attributes as keys; paths as keys are a deviation, which is rewritten before it comes here.
        let is_path = path.sub_attribute.is_some() || (path.schema.is_some() && extension.is_none() && schema.extension(key).is_none());
        if is_path && !self.quirks.has(Quirk::PathKeys) {
            let detail = format!("`{key}` is a path; the keys of a `value` without `path` must be names of attributes.");
            return Err(Error::new(ErrorKind::InvalidPath, detail).at(key));
        }
        if extension.is_none() && schema.names_whole_core(&path) {
            return self.object(op, Some(value));
        }
        let Some(resolved) = schema.resolve(&path) else {
            if self.quirks.has(Quirk::IgnoreUnknown) {
                return Ok(());
            }
            return Err(
                Error::new(ErrorKind::InvalidPath, format!("`{path}` names no attribute of {}.", schema.name())).at(path.to_string())
            );
        };
        let Some(attribute) = resolved.attribute else {
            return self.whole_extension(op, resolved.extension.unwrap_or_default(), Some(value));
        };
        let target = Target { extension: resolved.extension, attribute, sub: resolved.sub_attribute, filter: None };
        if target.leaf().mutability == Mutability::ReadOnly {
            // Okta repeats `id` in a path-less replace; what a client cannot change it may still mention.
            return if self.quirks.has(Quirk::IgnoreReadOnly) { Ok(()) } else { Err(read_only(&target)) };
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
        // The value is checked whatever happens to it afterwards, so that a refusal does not depend on the resource's state.
        let value = if op == Op::Remove { None } else { self.checked(&target, value)? };
        if target.leaf().mutability == Mutability::WriteOnly || (op == Op::Add && value.is_none()) {
            return Ok(());
        }
        let container = match target.extension {
            None => &mut self.document,
            Some(urn) => {
                let extension = self.document.entry(urn).or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(extension) = extension else { return Ok(()) };
                extension
            }
        };
        let held = elements_in(container, target.attribute);
        let most = most_elements(container, &target);
        match (target.filter, target.sub) {
            (Some(filter), _) => {
                by_filter(container, op, &target, filter, value, self.quirks)?;
                if op != Op::Remove && elements_in(container, target.attribute) > held {
                    let sub = target.sub.map(|sub| format!(".{}", sub.name)).unwrap_or_default();
                    self.made.push(format!("{}[{filter}]{sub}", target.attribute.name));
                }
            }
            (None, Some(sub)) => by_sub_attribute(container, op, target.attribute, sub, value),
            (None, None) => whole(container, op, target.attribute, value),
        }
        // One that has too many from before may still lose some.
        let now = most_elements(container, &target);
        if now > most { validate::check_count(Place::Path(&target.path()), now) } else { Ok(()) }
    }

    /// The operation's value with canonical names and right types; `None` where it is unassigned.
    fn checked(&self, target: &Target<'_>, value: Option<&Value>) -> Result<Option<Value>, Error> {
        let value = value.cloned().unwrap_or_default();
        if value.is_null() {
            return Ok(None);
        }
        let path = target.path();
        let (place, leaf) = (Place::Path(&path), target.leaf());
        match (target.sub, target.filter, &value) {
            (None, Some(_), _) => validate::element(place, leaf, value, self.quirks),
            // RFC 7644 section 3.5.2.1 lets a client add one element without an array around it.
            (.., Value::Array(_)) => validate::value(place, leaf, value, self.quirks),
            _ if leaf.multi_valued => Ok(validate::element(place, leaf, value, self.quirks)?.map(|element| Value::Array(vec![element]))),
            _ => validate::value(place, leaf, value, self.quirks),
        }
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
        let held = schema.extensions.iter().map(|extension| &extension.id).filter(|urn| self.document.contains_key(urn.as_str()));
        let schemas: Vec<Value> = std::iter::once(&schema.core.id).chain(held).map(|urn| Value::from(urn.as_str())).collect();
        self.document.insert("schemas".into(), Value::Array(schemas));
        ValidResource::trusted(self.document)
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}

fn read_only(target: &Target<'_>) -> Error {
    let path = target.path();
    Error::new(ErrorKind::Mutability, format!("`{path}` is read-only; it cannot be changed by a client.")).at(path)
}

fn check_immutable(schema: &TypeSchema, before: &ValidResource, after: &ValidResource) -> Result<(), Error> {
    let check = |path: String, attribute: &Attribute, before: Option<&Value>, after: Option<&Value>| match before {
        Some(_) if attribute.mutability == Mutability::Immutable && before != after => {
            Err(Error::new(ErrorKind::Mutability, format!("`{path}` is immutable; it cannot be changed once it is set.")).at(path))
        }
        _ => Ok(()),
    };
    let within = |prefix: &str, attributes: &[Attribute], before: &Map<String, Value>, after: Option<&Map<String, Value>>| {
        attributes.iter().try_for_each(|attribute| {
            let (old, new) = (before.get(&attribute.name), after.and_then(|after| after.get(&attribute.name)));
            check(format!("{prefix}{}", attribute.name), attribute, old, new)?;
            let Some(Value::Object(old)) = old else { return Ok(()) };
            attribute.sub_attributes.iter().try_for_each(|sub| {
                check(format!("{prefix}{}.{}", attribute.name, sub.name), sub, old.get(&sub.name), new.and_then(|new| new.get(&sub.name)))
            })
        })
    };
    within("", &schema.core.attributes, before.document(), Some(after.document()))?;
    schema.extensions.iter().try_for_each(|extension| match before.get(&extension.id) {
        Some(Value::Object(old)) => {
            let new = after.get(&extension.id).and_then(Value::as_object);
            within(&format!("{}:", extension.id), &extension.attributes, old, new)
        }
        _ => Ok(()),
    })
}

/// RFC 7644 section 3.5.2.1 to 3.5.2.3 for a path that is a whole attribute.
fn whole(container: &mut Map<String, Value>, op: Op, attribute: &Attribute, value: Option<Value>) {
    let Some(value) = value else {
        container.remove(&attribute.name);
        return;
    };
    match (container.get_mut(&attribute.name), value) {
        (Some(Value::Array(elements)), Value::Array(new)) if op == Op::Add => {
            let touched: Vec<usize> = new.into_iter().map(|element| add_element(elements, element)).collect();
            demote(elements, &touched);
            distinct(elements);
        }
        // Both add and replace of a single-valued complex attribute touch only the sub-attributes that are named.
        (Some(Value::Object(object)), Value::Object(new)) if !attribute.multi_valued => object.extend(new),
        (_, value) => {
            container.insert(attribute.name.clone(), value);
        }
    }
}

/// Adds an element, or merges it into the one with the same `value` and `type`: RFC 7643 section 2.4 wants no such pair twice. Answers its place.
fn add_element(elements: &mut Vec<Value>, new: Value) -> usize {
    let same = |element: &Value| match (element, &new) {
        (Value::Object(old), Value::Object(new)) if new.contains_key("value") => {
            ["value", "type"].iter().all(|name| old.get(*name) == new.get(*name))
        }
        (old, new) => old == new,
    };
    if let Some(place) = elements.iter().position(same) {
        if let (Some(Value::Object(old)), Value::Object(new)) = (elements.get_mut(place), new) {
            old.extend(new);
        }
        place
    } else {
        elements.push(new);
        elements.len() - 1
    }
}

/// RFC 7644 section 3.5.2: a value that becomes primary makes every other one secondary.
fn demote(elements: &mut [Value], touched: &[usize]) {
    let is_primary = |element: &Value| element.get("primary") == Some(&Value::Bool(true));
    let Some(keep) = touched.iter().rev().copied().find(|place| elements.get(*place).is_some_and(is_primary)) else { return };
    for (place, element) in elements.iter_mut().enumerate() {
        if place != keep
            && is_primary(element)
            && let Value::Object(object) = element
        {
            object.insert("primary".into(), Value::Bool(false));
        }
    }
}

/// What has become the same value is there once, as in a body of POST or PUT.
fn distinct(elements: &mut Vec<Value>) {
    let mut kept: Vec<Value> = Vec::with_capacity(elements.len());
    for element in std::mem::take(elements) {
        if !kept.contains(&element) {
            kept.push(element);
        }
    }
    *elements = kept;
}

/// `attribute.sub` without a filter: of the one value, or of every element.
fn by_sub_attribute(container: &mut Map<String, Value>, op: Op, attribute: &Attribute, sub: &Attribute, value: Option<Value>) {
    let set = |object: &mut Map<String, Value>, value: Option<&Value>| set_sub(object, op, sub, value);
    match container.get_mut(&attribute.name) {
        Some(Value::Array(elements)) => {
            elements.iter_mut().filter_map(Value::as_object_mut).for_each(|element| set(element, value.as_ref()));
            elements.retain(|element| !is_empty(element));
            let all: Vec<usize> = (0..elements.len()).collect();
            demote(elements, &all);
            distinct(elements);
            // What is empty counts as absent for the next operation, too.
            if elements.is_empty() {
                container.remove(&attribute.name);
            }
        }
        Some(Value::Object(object)) => set(object, value.as_ref()),
        _ => {
            if let Some(value) = value {
                let mut object = Map::new();
                set(&mut object, Some(&value));
                let object = Value::Object(object);
                container.insert(attribute.name.clone(), if attribute.multi_valued { Value::Array(vec![object]) } else { object });
            }
        }
    }
}

fn set_sub(object: &mut Map<String, Value>, op: Op, sub: &Attribute, value: Option<&Value>) {
    match (object.get_mut(&sub.name), value) {
        (_, None) => {
            object.remove(&sub.name);
        }
        (Some(Value::Object(old)), Some(Value::Object(new))) => old.extend(new.clone()),
        (Some(Value::Array(old)), Some(Value::Array(new))) if op == Op::Add => {
            let fresh: Vec<Value> = new.iter().filter(|value| !old.contains(value)).cloned().collect();
            old.extend(fresh);
        }
        (_, Some(value)) => {
            object.insert(sub.name.clone(), value.clone());
        }
    }
}

fn elements_in(container: &Map<String, Value>, attribute: &Attribute) -> usize {
    container.get(&attribute.name).and_then(Value::as_array).map_or(0, Vec::len)
}

/// How many elements the target has; those of a multi-valued sub-attribute where there are most.
fn most_elements(container: &Map<String, Value>, target: &Target<'_>) -> usize {
    let Some(sub) = target.sub.filter(|sub| sub.multi_valued) else { return elements_in(container, target.attribute) };
    let within = match container.get(&target.attribute.name) {
        Some(Value::Array(elements)) => elements.as_slice(),
        value => value.map(std::slice::from_ref).unwrap_or_default(),
    };
    let count = |element: &Value| element.get(&sub.name).and_then(Value::as_array).map_or(0, Vec::len);
    within.iter().map(count).max().unwrap_or(0)
}

/// `attribute[filter]` and `attribute[filter].sub`.
fn by_filter(
    container: &mut Map<String, Value>,
    op: Op,
    target: &Target<'_>,
    filter: &Filter,
    value: Option<Value>,
    quirks: &QuirkSet,
) -> Result<(), Error> {
    let attribute = target.attribute;
    if !attribute.multi_valued {
        let matches = container.get(&attribute.name).is_some_and(|element| filter.matches_element(attribute, element));
        return match (matches, target.sub, op) {
            (true, Some(sub), _) => {
                by_sub_attribute(container, op, attribute, sub, value);
                Ok(())
            }
            (true, None, _) => {
                whole(container, op, attribute, value);
                Ok(())
            }
            (false, _, Op::Remove) => Ok(()),
            (false, ..) => Err(no_target(target, filter)),
        };
    }
    let mut elements = match container.remove(&attribute.name) {
        Some(Value::Array(elements)) => elements,
        _ => Vec::new(),
    };
    let mut matched: Vec<usize> = (0..elements.len())
        .filter(|place| elements.get(*place).is_some_and(|element| filter.matches_element(attribute, element)))
        .collect();
    if matched.is_empty() && value.is_some() {
        // Entra adds `emails[type eq "work"].value` to a user who has no such element yet, and means one to be made; a whole element that is to
        // replace what is not there stays `noTarget` (RFC 7644 section 3.5.2.3).
        let made = (target.sub.is_some() || op == Op::Add).then(|| element_from(attribute, filter)).flatten();
        let made = made.filter(|_| quirks.has(Quirk::ElementFromFilter)).ok_or_else(|| no_target(target, filter))?;
        for (name, value) in &made {
            if let (Some(sub), Some(text)) = (attribute.sub_attribute(name), value.as_str()) {
                let path = Target { sub: None, ..*target }.path();
                validate::check_length(Place::Sub(&Place::Path(&path), name), sub, text)?;
            }
        }
        matched.push(elements.len());
        elements.push(Value::Object(made));
    }
    for place in &matched {
        if let Some(element) = elements.get_mut(*place) {
            change_element(element, op, target.sub, value.as_ref());
        }
    }
    demote(&mut elements, &matched);
    elements.retain(|element| !is_empty(element));
    distinct(&mut elements);
    if !elements.is_empty() {
        container.insert(attribute.name.clone(), Value::Array(elements));
    }
    Ok(())
}

/// An element that a filter selected.
fn change_element(element: &mut Value, op: Op, sub: Option<&Attribute>, value: Option<&Value>) {
    match (sub, value, element) {
        (Some(sub), value, Value::Object(object)) => set_sub(object, op, sub, value),
        (None, Some(Value::Object(new)), Value::Object(object)) if op == Op::Add => object.extend(new.clone()),
        (None, value, element) => *element = value.cloned().unwrap_or_default(),
        (Some(_), _, _) => {}
    }
}

fn no_target(target: &Target<'_>, filter: &Filter) -> Error {
    let name = &target.attribute.name;
    Error::new(ErrorKind::NoTarget, format!("`{name}[{filter}]` selects no value; add one to `{name}` first.")).at(target.path())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::patch;
    use crate::schema::set::SchemaSet;

    fn user(extra: Value) -> ValidResource {
        let mut document = Map::from_iter([
            ("schemas".to_owned(), json!(["urn:ietf:params:scim:schemas:core:2.0:User"])),
            ("userName".to_owned(), json!("ann")),
        ]);
        if let Value::Object(extra) = extra {
            document.extend(extra);
        }
        ValidResource::trusted(document)
    }

    fn patched_with(quirks: &QuirkSet, before: Value, operations: Value) -> Result<ValidResource, Error> {
        let set = SchemaSet::standard();
        let schema = set.by_name("User").unwrap();
        let body = json!({ "schemas": [patch::PATCH_SCHEMA], "Operations": operations });
        apply(schema, &user(before), &patch::parse(schema, body, quirks)?, quirks)
    }

    fn check(before: Value, operations: Value, after: Value) {
        let patched = patched_with(&QuirkSet::standard(), before, operations.clone()).unwrap();
        assert_eq!(Value::Object(patched.into_document()), Value::Object(user(after).into_document()), "{operations}");
    }

    fn refused(before: Value, operations: Value, kind: ErrorKind) {
        assert_eq!(patched_with(&QuirkSet::standard(), before, operations.clone()).unwrap_err().kind(), kind, "{operations}");
    }

    #[test]
    fn rfc7644_section_3_5_2_1_add() {
        check(json!({}), json!([{"op": "add", "path": "nickName", "value": "N"}]), json!({"nickName": "N"}));
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
        check(before.clone(), json!([{"op": "remove", "path": "emails"}]), json!({"nickName": "N"}));
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
        check(before.clone(), json!([{"op": "remove", "path": "emails[type eq \"fax\"]"}]), before.clone());
        check(before.clone(), json!([{"op": "remove", "path": "title"}]), before.clone());
        refused(before.clone(), json!([{"op": "remove", "path": "userName"}]), ErrorKind::Mutability);
        refused(before, json!([{"op": "remove"}]), ErrorKind::NoTarget);
    }

    #[test]
    fn rfc7644_section_3_5_2_3_replace() {
        let before = json!({"emails": [{"value": "a@x", "type": "work"}, {"value": "b@x", "type": "home"}]});
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
        check(before.clone(), json!([{"op": "replace", "path": "emails", "value": null}]), json!({}));
        refused(
            before.clone(),
            json!([{"op": "replace", "path": "emails[type eq \"fax\"]", "value": {"value": "q@x"}}]),
            ErrorKind::NoTarget,
        );
        refused(before.clone(), json!([{"op": "replace", "path": "id", "value": "other"}]), ErrorKind::Mutability);
        refused(before.clone(), json!([{"op": "replace", "path": "emails[type eq", "value": 1}]), ErrorKind::InvalidPath);
        refused(before, json!([{"op": "replace", "path": "shoeSize", "value": 1}]), ErrorKind::InvalidPath);
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
        let strict =
            patched_with(&QuirkSet::strict(), json!({}), json!([{"op": "add", "path": "emails[type eq \"work\"].value", "value": "a@x"}]));
        assert_eq!(strict.unwrap_err().kind(), ErrorKind::NoTarget);
    }

    #[test]
    fn extensions_by_urn() {
        let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let held = json!({urn: {"department": "Ops"}, "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", urn]});
        check(json!({}), json!([{"op": "add", "path": format!("{urn}:department"), "value": "Ops"}]), held.clone());
        check(json!({}), json!([{"op": "add", "value": {urn: {"department": "Ops"}}}]), held.clone());
        check(held.clone(), json!([{"op": "remove", "path": urn}]), json!({}));
        check(held, json!([{"op": "remove", "path": format!("{urn}:department")}]), json!({}));
    }

    #[test]
    fn what_a_client_may_mention_but_not_change() {
        check(json!({}), json!([{"op": "replace", "value": {"id": "x", "displayName": "D"}}]), json!({"displayName": "D"}));
        let strict = patched_with(&QuirkSet::strict(), json!({}), json!([{"op": "replace", "value": {"id": "x"}}]));
        assert_eq!(strict.unwrap_err().kind(), ErrorKind::Mutability);
    }
}
