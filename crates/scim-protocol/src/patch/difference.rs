//! The shortest PATCH that turns one resource into another. It leaves out the members of groups, which are kept and compared elsewhere.

use serde_json::{Map, Value};

use super::apply::apply;
use super::{Op, Operation, PatchPath};
use crate::attribute_path::AttributePath;
use crate::filter::{CompareOp, Filter};
use crate::quirk::QuirkSet;
use crate::resource::{ValidResource, is_same};
use crate::schema::set::TypeSchema;
use crate::schema::{Attribute, AttributeType, Mutability};

/// `apply(from, difference(from, to))` is the same as `to`, for resources that differ only in what a client may write and in nothing required. Empty where
/// nothing differs; the order of the values of a multi-valued attribute is no difference.
pub fn difference(schema: &TypeSchema, from: &ValidResource, to: &ValidResource) -> Vec<Operation> {
    let mut operations = Vec::new();
    let common = schema
        .common
        .iter()
        .filter(|attribute| attribute.name != "schemas");
    for attribute in common.chain(&schema.core.attributes) {
        let path = AttributePath::of(attribute.name.clone());
        attribute_difference(
            schema,
            &path,
            attribute,
            from.get(&attribute.name),
            to.get(&attribute.name),
            &mut operations,
        );
    }
    for extension in &schema.extensions {
        let (old, new) = (
            from.get(&extension.id).and_then(Value::as_object),
            to.get(&extension.id).and_then(Value::as_object),
        );
        if let (Some(_), None, Ok(path)) = (old, new, AttributePath::parse(&extension.id)) {
            operations.push(operation(Op::Remove, PatchPath::plain(path), None));
            continue;
        }
        for attribute in &extension.attributes {
            let path = AttributePath {
                schema: Some(extension.id.clone()),
                attribute: attribute.name.clone(),
                sub_attribute: None,
            };
            let value = |object: Option<&'_ Map<String, Value>>| {
                object
                    .and_then(|object| object.get(&attribute.name))
                    .cloned()
            };
            attribute_difference(
                schema,
                &path,
                attribute,
                value(old).as_ref(),
                value(new).as_ref(),
                &mut operations,
            );
        }
    }
    operations
}

fn operation(op: Op, path: PatchPath, value: Option<Value>) -> Operation {
    Operation {
        op,
        path: Some(path),
        value,
    }
}

fn attribute_difference(
    schema: &TypeSchema,
    path: &AttributePath,
    attribute: &Attribute,
    from: Option<&Value>,
    to: Option<&Value>,
    operations: &mut Vec<Operation>,
) {
    if is_unchanged(from, to) || !is_writable(attribute) {
        return;
    }
    let plain = || PatchPath::plain(path.clone());
    match (from, to) {
        (Some(_), None) => operations.push(operation(Op::Remove, plain(), None)),
        (None, Some(to)) => operations.push(operation(Op::Add, plain(), Some(to.clone()))),
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            operations.extend(elements_difference(schema, path, attribute, old, new));
        }
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for sub in attribute
                .sub_attributes
                .iter()
                .filter(|sub| is_writable(sub))
            {
                let path = PatchPath::plain(path.with_sub_attribute(sub.name.clone()));
                match (old.get(&sub.name), new.get(&sub.name)) {
                    (old, new) if is_unchanged(old, new) => {}
                    (Some(_), None) => operations.push(operation(Op::Remove, path, None)),
                    (None, Some(new)) => {
                        operations.push(operation(Op::Add, path, Some(new.clone())));
                    }
                    (_, new) => operations.push(operation(Op::Replace, path, new.cloned())),
                }
            }
        }
        (_, Some(to)) => operations.push(operation(Op::Replace, plain(), Some(to.clone()))),
        (None, None) => {}
    }
}

fn is_unchanged(from: Option<&Value>, to: Option<&Value>) -> bool {
    match (from, to) {
        (Some(from), Some(to)) => is_same(from, to),
        (from, to) => from == to,
    }
}

fn is_writable(attribute: &Attribute) -> bool {
    matches!(
        attribute.mutability,
        Mutability::ReadWrite | Mutability::Immutable
    )
}

/// The elements of a multi-valued attribute, one by one where that is shorter than all of them together and comes to the same.
fn elements_difference(
    schema: &TypeSchema,
    path: &AttributePath,
    attribute: &Attribute,
    old: &[Value],
    new: &[Value],
) -> Vec<Operation> {
    let replace = vec![operation(
        Op::Replace,
        PatchPath::plain(path.clone()),
        Some(Value::Array(new.to_vec())),
    )];
    let one_by_one = removed_and_added(path, attribute, old, new).filter(|operations| {
        length(operations) < length(&replace) && leads_to(schema, path, operations, old, new)
    });
    one_by_one.unwrap_or(replace)
}

fn removed_and_added(
    path: &AttributePath,
    attribute: &Attribute,
    old: &[Value],
    new: &[Value],
) -> Option<Vec<Operation>> {
    let mut operations = Vec::new();
    let is_in = |all: &[Value], one: &Value| all.iter().any(|other| is_same(other, one));
    for element in old.iter().filter(|element| !is_in(new, element)) {
        let path = PatchPath {
            attribute: path.clone(),
            filter: Some(naming(attribute, element)?),
            sub_attribute: None,
        };
        operations.push(operation(Op::Remove, path, None));
    }
    let added: Vec<Value> = new
        .iter()
        .filter(|element| !is_in(old, element))
        .cloned()
        .collect();
    if !added.is_empty() {
        operations.push(operation(
            Op::Add,
            PatchPath::plain(path.clone()),
            Some(Value::Array(added)),
        ));
    }
    Some(operations)
}

/// A filter that selects an element by its `value`.
fn naming(attribute: &Attribute, element: &Value) -> Option<Filter> {
    let value = element.get("value").filter(|value| value.is_string())?;
    let sub = attribute.sub_attribute("value")?;
    let is_text = matches!(sub.kind, AttributeType::String | AttributeType::Reference);
    is_text.then(|| Filter::Compare {
        path: AttributePath::of("value"),
        op: CompareOp::Eq,
        value: value.clone(),
    })
}

fn length(operations: &[Operation]) -> usize {
    operations
        .iter()
        .map(|operation| operation.to_json().to_string().len())
        .sum()
}

/// Tries the operations on a resource that holds nothing else, because adding may merge and demote and a filter may select a second element.
fn leads_to(
    schema: &TypeSchema,
    path: &AttributePath,
    operations: &[Operation],
    old: &[Value],
    new: &[Value],
) -> bool {
    let resource = |elements: &[Value]| {
        let held = Map::from_iter([(path.attribute.clone(), Value::Array(elements.to_vec()))]);
        let mut document = required_values(schema);
        match &path.schema {
            Some(urn) => {
                document.insert(urn.clone(), Value::Object(held));
            }
            None => document.extend(held),
        }
        ValidResource::trusted(document)
    };
    let value = |resource: &ValidResource| {
        let holder = path
            .schema
            .as_ref()
            .map_or(Some(resource.document()), |urn| {
                resource.get(urn).and_then(Value::as_object)
            });
        holder
            .and_then(|holder| holder.get(&path.attribute))
            .cloned()
    };
    apply(schema, &resource(old), operations, &QuirkSet::strict())
        .is_ok_and(|patched| is_unchanged(value(&patched).as_ref(), value(&resource(new)).as_ref()))
}

/// Something for every required attribute, so that `apply` accepts the trial resource.
fn required_values(schema: &TypeSchema) -> Map<String, Value> {
    let required = schema
        .core
        .attributes
        .iter()
        .filter(|attribute| attribute.required && attribute.kind == AttributeType::String);
    required
        .map(|attribute| (attribute.name.clone(), Value::from("x")))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::patch;
    use crate::schema::set::SchemaSet;

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    fn user(parts: Map<String, Value>) -> ValidResource {
        let mut schemas = vec![json!("urn:ietf:params:scim:schemas:core:2.0:User")];
        if parts.contains_key(ENTERPRISE) {
            schemas.push(json!(ENTERPRISE));
        }
        let mut document = Map::from_iter([
            ("schemas".to_owned(), Value::Array(schemas)),
            ("userName".to_owned(), json!("ann")),
        ]);
        document.extend(parts);
        ValidResource::trusted(document)
    }

    fn check(from: Value, to: Value, expected: Value) {
        let set = SchemaSet::standard();
        let part = |value: Value| user(value.as_object().unwrap().clone());
        let operations = difference(set.by_name("User").unwrap(), &part(from), &part(to));
        assert_eq!(patch::to_json(&operations)["Operations"], expected);
    }

    #[test]
    fn the_shortest() {
        check(json!({"title": "a"}), json!({"title": "a"}), json!([]));
        check(
            json!({"title": "a"}),
            json!({"title": "b"}),
            json!([{"op": "replace", "path": "title", "value": "b"}]),
        );
        check(
            json!({"title": "a"}),
            json!({}),
            json!([{"op": "remove", "path": "title"}]),
        );
        check(
            json!({"name": {"givenName": "A", "familyName": "B"}}),
            json!({"name": {"givenName": "A", "familyName": "C"}}),
            json!([{"op": "replace", "path": "name.familyName", "value": "C"}]),
        );
        let many = |n: usize| {
            (0..n)
                .map(|i| json!({"value": format!("someone-{i}@example.com"), "type": "other"}))
                .collect::<Vec<_>>()
        };
        check(
            json!({"emails": many(4)}),
            json!({"emails": many(3)}),
            json!([{"op": "remove", "path": "emails[value eq \"someone-3@example.com\"]"}]),
        );
        // Another order is no difference; other differences are sent without it.
        let (one, two, three) = (
            json!({"value": "a@x"}),
            json!({"value": "b@x", "type": "work"}),
            json!({"value": "c@x"}),
        );
        check(
            json!({"emails": [one, two, three]}),
            json!({"emails": [three, one, two]}),
            json!([]),
        );
        check(
            json!({"emails": [one, two]}),
            json!({"emails": [three, two, one]}),
            json!([{"op": "add", "path": "emails", "value": [three]}]),
        );
        check(
            json!({ENTERPRISE: {"department": "A"}}),
            json!({}),
            json!([{"op": "remove", "path": ENTERPRISE}]),
        );
        check(
            json!({ENTERPRISE: {"department": "A", "division": "D"}}),
            json!({ENTERPRISE: {"department": "B", "division": "D"}}),
            json!([{"op": "replace", "path": format!("{ENTERPRISE}:department"), "value": "B"}]),
        );
    }

    fn any_email() -> impl Strategy<Value = Value> {
        (
            "[a-c]@x",
            proptest::option::of(prop_oneof![Just("work"), Just("home")]),
            proptest::option::of(Just(false)),
        )
            .prop_map(|(value, kind, primary)| {
                let mut email = Map::from_iter([("value".to_owned(), json!(value))]);
                if let Some(kind) = kind {
                    email.insert("type".into(), json!(kind));
                }
                if let Some(primary) = primary {
                    email.insert("primary".into(), json!(primary));
                }
                Value::Object(email)
            })
    }

    prop_compose! {
        fn any_user()(
            title in proptest::option::of("[a-z]{1,3}"),
            given in proptest::option::of("[a-z]{1,2}"),
            family in proptest::option::of("[a-z]{1,2}"),
            emails in proptest::collection::vec(any_email(), 0..4),
            primary in proptest::option::of(0..4usize),
            department in proptest::option::of("[a-z]{1,2}"),
            manager in proptest::option::of("[a-z]{1,2}"),
        ) -> ValidResource {
            let mut parts = Map::new();
            let some = |name: &str, value: Option<String>| value.map(|value| (name.to_owned(), json!(value)));
            parts.extend(some("title", title));
            let name: Map<_, _> = some("givenName", given).into_iter().chain(some("familyName", family)).collect();
            let mut distinct: Vec<Value> = Vec::new();
            for email in emails {
                if !distinct.contains(&email) {
                    distinct.push(email);
                }
            }
            if let Some(email) = primary.and_then(|place| distinct.get_mut(place)) {
                email["primary"] = json!(true);
            }
            let manager: Map<_, _> = some("value", manager).into_iter().collect();
            let mut extension: Map<_, _> = some("department", department).into_iter().collect();
            if !manager.is_empty() {
                extension.insert("manager".into(), Value::Object(manager));
            }
            for (name, object) in [("name", name), (ENTERPRISE, extension)] {
                if !object.is_empty() {
                    parts.insert(name.into(), Value::Object(object));
                }
            }
            if !distinct.is_empty() {
                parts.insert("emails".into(), Value::Array(distinct));
            }
            user(parts)
        }
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_the_other(from in any_user(), to in any_user()) {
            let set = SchemaSet::standard();
            let schema = set.by_name("User").unwrap();
            let operations = difference(schema, &from, &to);
            let patched = apply(schema, &from, &operations, &QuirkSet::strict()).unwrap();
            prop_assert!(patched.is_same(&to), "{patched:?} {to:?}");
            prop_assert!(difference(schema, &patched, &to).is_empty());
            let printed = patch::to_json(&operations);
            if !operations.is_empty() {
                prop_assert_eq!(patch::parse(schema, printed, &QuirkSet::strict()).unwrap(), operations);
            }
        }
    }
}
