//! The law that a PATCH changes nothing that it does not name. `reading` reads what an operation names once more, from the JSON as it
//! was sent: it shares only the grammar of paths and the meaning of filters with `scim-protocol`.

mod reading;

use std::collections::BTreeSet;

use scim_protocol::patch::apply::apply;
use scim_protocol::patch::member::{fold, split};
use scim_protocol::patch::parse;
use scim_protocol::patch::work::Work;
use scim_protocol::quirk::{QuirkSet, normalize_patch};
use scim_protocol::{Error, TypeSchema, ValidResource};
use serde_json::{Map, Value, json};

use self::reading::{Named, Scope, list, member, named};

/// What has become of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Operations that were carried out, and whose law was checked.
    pub checked: usize,
    /// Operations that were carried out and are written in a way that is not read here.
    pub unread: usize,
    /// Operations that were refused.
    pub refused: usize,
}

/// A resource, and the members that a group has.
#[derive(Clone, Debug)]
pub struct Held {
    /// The resource.
    pub resource: ValidResource,
    /// Elements with `value` and `type`.
    pub members: Vec<Value>,
}

/// Carries out the operations of a message one after the other, and panics where one changes what it does not name.
pub fn check(schema: &TypeSchema, quirks: &QuirkSet, held: &Held, message: &Value) -> Seen {
    let (mut seen, mut held) = (Seen::default(), held.clone());
    let Some(object) = message.as_object() else {
        return seen;
    };
    let Some((name, Value::Array(operations))) = member(object, "Operations") else {
        return seen;
    };
    for operation in operations {
        let mut one = object.clone();
        one.insert(name.to_owned(), json!([operation]));
        let Ok(after) = carried_out(schema, quirks, &held, Value::Object(one)) else {
            seen.refused += 1;
            continue;
        };
        match named(schema, quirks, operation, &held) {
            Some(named) => {
                seen.checked += 1;
                if let Some(lost) = broken(schema, &named, &held, &after) {
                    panic!(
                        "{operation} does not name `{lost}`, which it changes:\n{held:?}\n{after:?}"
                    );
                }
            }
            None => seen.unread += 1,
        }
        held = after;
    }
    seen
}

/// As `directory` does it.
fn carried_out(
    schema: &TypeSchema,
    quirks: &QuirkSet,
    held: &Held,
    mut message: Value,
) -> Result<Held, Error> {
    normalize_patch(quirks, schema, &mut message);
    let split = split(schema, parse(schema, message, quirks)?)?;
    let resource = apply(schema, &held.resource, &split.others, quirks)?;
    let delta = fold(schema, &split.members, &held.members, &mut Work::default())?;
    let is_in =
        |ids: &[String], element: &Value| ids.iter().any(|id| element["value"] == json!(id));
    let mut members = held.members.clone();
    members.retain(|element| {
        is_in(&delta.added, element) || !(delta.replace || is_in(&delta.removed, element))
    });
    let new = delta
        .added
        .iter()
        .filter(|id| !members.iter().any(|element| element["value"] == json!(id)));
    let new: Vec<Value> = new.map(|id| json!({"value": id, "type": "User"})).collect();
    members.extend(new);
    Ok(Held { resource, members })
}

impl Held {
    fn elements(&self, extension: Option<&str>, name: &str) -> Vec<Value> {
        if extension.is_none() && name == "members" {
            return self.members.clone();
        }
        value_of(self.resource.document(), extension, name)
            .map(list)
            .unwrap_or_default()
    }
}

fn value_of<'v>(
    document: &'v Map<String, Value>,
    extension: Option<&str>,
    name: &str,
) -> Option<&'v Value> {
    match extension {
        Some(urn) => document.get(urn)?.get(name),
        None => document.get(name),
    }
}

/// The first attribute that is different though nothing names what has changed of it.
fn broken(schema: &TypeSchema, named: &[Named], before: &Held, after: &Held) -> Option<String> {
    let extensions = schema.extensions.iter().flat_map(|extension| {
        extension
            .attributes
            .iter()
            .map(|attribute| (Some(extension.id.as_str()), attribute.name.as_str()))
    });
    let own = schema
        .common
        .iter()
        .chain(&schema.core.attributes)
        .map(|attribute| (None, attribute.name.as_str()));
    // `schemas` follows from what the resource holds.
    own.chain(extensions)
        .filter(|(_, name)| *name != "schemas")
        .find_map(|(extension, name)| {
            let scopes: Vec<&Scope> = named
                .iter()
                .filter(|named| named.extension.as_deref() == extension && named.attribute == name)
                .map(|named| &named.scope)
                .collect();
            let (old, new) = (
                before.elements(extension, name),
                after.elements(extension, name),
            );
            // An attribute that is named twice is named by both, which is more than either allows.
            let holds = match scopes.as_slice() {
                [] => old == new,
                [scope] => allows(scope, &old, &new),
                _ => true,
            };
            (!holds)
                .then(|| extension.map_or_else(|| name.to_owned(), |urn| format!("{urn}:{name}")))
        })
}

fn allows(scope: &Scope, old: &[Value], new: &[Value]) -> bool {
    // A value that becomes primary makes every other one secondary (RFC 7644 section 3.5.2).
    let demotes = new.iter().any(|element| element["primary"] == json!(true));
    let is_kept = |element: &Value, parts: &BTreeSet<String>| {
        new.iter()
            .any(|new| differ_in(element, new, parts, demotes))
    };
    let none = BTreeSet::new();
    let new_ones = || {
        new.iter()
            .filter(|element| {
                !old.iter()
                    .any(|old| differ_in(old, element, &none, demotes))
            })
            .count()
    };
    match scope {
        Scope::Whole => true,
        Scope::Parts(parts) => {
            let one = |elements: &[Value]| elements.first().cloned().unwrap_or_else(|| json!({}));
            differ_in(&one(old), &one(new), parts, false)
        }
        Scope::Elements {
            chosen,
            parts,
            new: made,
        } => {
            let stays = |element: &Value| match parts {
                _ if !chosen.contains(element) => is_kept(element, &none),
                None => true,
                Some(parts) => {
                    let has_more = element
                        .as_object()
                        .is_none_or(|element| element.keys().any(|name| !parts.contains(name)));
                    !has_more || is_kept(element, parts)
                }
            };
            old.iter().all(stays) && new_ones() <= chosen.len() + made
        }
        Scope::Added { parts, new: made } => {
            let merged: BTreeSet<String> = parts
                .iter()
                .filter(|name| !["value", "type"].contains(&name.as_str()))
                .cloned()
                .collect();
            old.iter().all(|element| is_kept(element, &merged)) && new_ones() <= *made
        }
    }
}

/// Whether two values are the same but for these parts.
fn differ_in(old: &Value, new: &Value, parts: &BTreeSet<String>, demotes: bool) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return old == new;
    };
    old.keys().chain(new.keys()).all(|name| {
        let is_demoted = || {
            demotes
                && name == "primary"
                && old.get(name) == Some(&json!(true))
                && new.get(name) == Some(&json!(false))
        };
        parts.contains(name) || old.get(name) == new.get(name) || is_demoted()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};
    use scim_protocol::patch::PATCH_SCHEMA;
    use scim_protocol::schema::set::SchemaExtension;
    use scim_protocol::schema::standard::{self, ENTERPRISE_USER, GROUP, USER};
    use scim_protocol::validate::validate;
    use scim_protocol::{Profile, SchemaSet};

    use super::*;

    const BADGES: &str = "urn:example:params:scim:schemas:extension:badges:2.0:User";

    /// The standard types, and an extension with every kind of attribute that they have not.
    static SCHEMAS: LazyLock<SchemaSet> = LazyLock::new(|| {
        let text = |name: &str| json!({"name": name, "type": "string"});
        let badges = json!({"id": BADGES, "attributes": [
            {"name": "tags", "type": "string", "multiValued": true},
            {"name": "badge", "type": "complex", "subAttributes": [
                text("value"), text("note"), {"name": "codes", "type": "string", "multiValued": true},
                {"name": "seen", "type": "string", "mutability": "readOnly"}]},
            {"name": "doors", "type": "complex", "multiValued": true, "subAttributes": [
                text("type"), text("note"), {"name": "codes", "type": "string", "multiValued": true}]},
        ]});
        let mut schemas = standard::schemas();
        schemas.push(serde_json::from_value(badges).unwrap());
        let mut types: Vec<_> = SchemaSet::standard()
            .types()
            .iter()
            .map(|schema| schema.resource_type.clone())
            .collect();
        let user = types
            .iter_mut()
            .find(|resource_type| resource_type.name == "User")
            .unwrap();
        user.schema_extensions.push(SchemaExtension {
            schema: BADGES.into(),
            required: false,
        });
        SchemaSet::new(types, schemas).unwrap()
    });

    fn of_type(name: &str) -> &'static TypeSchema {
        SCHEMAS.by_name(name).unwrap()
    }

    fn any_text() -> impl Strategy<Value = Value> {
        select(vec!["a", "b", "work", "home", ""]).prop_map(|text| json!(text))
    }

    fn any_scalar() -> impl Strategy<Value = Value> {
        prop_oneof![4 => any_text(), 2 => Just(Value::Null), 1 => any::<bool>().prop_map(Value::Bool), 1 => Just(json!("True")), 1 => Just(json!([]))]
    }

    /// An object with some of these members.
    fn any_object(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
        let part =
            prop_oneof![3 => any_scalar(), 1 => vec(any_text(), 0..3).prop_map(Value::Array)];
        (subsequence(names, 0..=names.len()), vec(part, names.len())).prop_map(|(names, parts)| {
            Value::Object(names.into_iter().map(str::to_owned).zip(parts).collect())
        })
    }

    /// What a resource may hold of an attribute: each of these sub-attributes or not, without doubles.
    fn held_object(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
        (
            subsequence(names, 1..=names.len()),
            vec(select(vec!["a", "b", "work", "home"]), names.len()),
        )
            .prop_map(|(names, values)| {
                let value = |name: &str, text: &str| {
                    if name == "codes" {
                        json!([text, "c"])
                    } else {
                        json!(text)
                    }
                };
                Value::Object(
                    names
                        .into_iter()
                        .zip(values)
                        .map(|(name, text)| (name.to_owned(), value(name, text)))
                        .collect(),
                )
            })
    }

    fn held_list(names: &'static [&'static str], primary: bool) -> impl Strategy<Value = Value> {
        vec(held_object(names), 0..4).prop_map(move |mut elements| {
            if let Some(first) = elements.first_mut().filter(|_| primary) {
                first["primary"] = json!(true);
            }
            Value::Array(elements)
        })
    }

    const NAME: &[&str] = &["familyName", "GIVENNAME", "formatted", "nothing"];
    const EMAIL: &[&str] = &["value", "type", "Display", "primary"];
    const ADDRESS: &[&str] = &["type", "locality", "country", "primary"];
    const MANAGER: &[&str] = &["value", "$ref", "displayName", "managerId"];
    const BADGE: &[&str] = &["value", "note", "codes", "seen"];
    const DOOR: &[&str] = &["type", "note", "Codes"];

    prop_compose! {
        fn any_user()(
            (title, name) in (any::<bool>(), held_object(&["familyName", "givenName", "formatted"])),
            (emails, phones) in (held_list(&["value", "type", "display"], true), held_list(&["value", "type"], false)),
            addresses in held_list(&["type", "locality", "country"], true),
            (department, manager) in (any::<bool>(), held_object(&["value", "$ref"])),
            (tags, badge) in (vec(select(vec!["a", "b", "work"]), 0..3), held_object(&["value", "note", "codes"])),
            doors in held_list(&["type", "note", "codes"], false),
        ) -> Held {
            let some = |is_there: bool| if is_there { json!("T") } else { Value::Null };
            let body = json!({
                "schemas": [USER, ENTERPRISE_USER, BADGES], "userName": "ann", "title": some(title), "name": name, "active": true,
                "emails": emails, "phoneNumbers": phones, "addresses": addresses,
                ENTERPRISE_USER: {"department": some(department), "division": "V", "manager": manager},
                BADGES: {"tags": tags, "badge": badge, "doors": doors},
            });
            let resource = validate(of_type("User"), body, None, &QuirkSet::strict()).unwrap().resource;
            Held { resource, members: Vec::new() }
        }
    }

    /// An attribute, by the URN of its extension and its name, with the sub-attributes that are spoken of.
    fn any_attribute()
    -> impl Strategy<Value = (&'static str, &'static str, &'static [&'static str])> {
        const NONE: &[&str] = &[];
        select(vec![
            ("", "title", NONE),
            (USER, "Active", NONE),
            ("", "name", NAME),
            (USER, "Name", NAME),
            ("", "emails", EMAIL),
            ("", "phoneNumbers", EMAIL),
            (USER, "ADDRESSES", ADDRESS),
            (ENTERPRISE_USER, "department", NONE),
            (ENTERPRISE_USER, "manager", MANAGER),
            (BADGES, "tags", NONE),
            (BADGES, "Badge", BADGE),
            (BADGES, "doors", DOOR),
        ])
    }

    fn any_filter() -> impl Strategy<Value = &'static str> {
        select(vec![
            "",
            "",
            "",
            "[type eq \"work\"]",
            "[type eq \"HOME\"]",
            "[value eq \"a\"]",
            "[not (type eq \"work\")]",
            "[primary eq true]",
            "[type eq \"work\" and value eq \"b\"]",
            "[primary eq \"True\"]",
            "[note pr]",
        ])
    }

    /// A value for an attribute with these sub-attributes: right ones, and ones that clients send.
    fn any_value(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
        let one = if names.is_empty() {
            any_scalar().boxed()
        } else {
            prop_oneof![5 => any_object(names), 1 => any_scalar()].boxed()
        };
        let several = vec(one.clone(), 0..3).prop_map(Value::Array);
        prop_oneof![4 => one, 3 => several, 1 => Just(Value::Null)].prop_flat_map(|value| {
            let quoted = json!(value.to_string());
            prop_oneof![6 => Just(value), 1 => Just(quoted)]
        })
    }

    fn any_op() -> impl Strategy<Value = &'static str> {
        select(vec!["add", "replace", "remove", "Replace", "ADD", "Remove"])
    }

    fn any_operation() -> impl Strategy<Value = Value> {
        any_attribute().prop_flat_map(|(urn, name, subs)| {
            let sub = prop_oneof![3 => Just(""), 2 => select(if subs.is_empty() { vec![""] } else { subs.to_vec() })];
            let value = prop_oneof![3 => any_value(subs), 1 => any_scalar()];
            (any_op(), any_filter(), sub, value, 0..5_usize).prop_map(move |(op, filter, sub, value, form)| {
                let dotted = if sub.is_empty() { String::new() } else { format!(".{sub}") };
                let qualified = if urn.is_empty() { name.to_owned() } else { format!("{urn}:{name}") };
                match form {
                    0 if sub.is_empty() => json!({"op": op, "value": {name: value}}),
                    1 if !urn.is_empty() => json!({"op": op, "value": {urn: {name: value}}}),
                    2 if !urn.is_empty() => json!({"op": op, "path": urn, "value": {format!("{name}{filter}{dotted}"): value}}),
                    3 if op.eq_ignore_ascii_case("remove") => json!({"op": op, "path": format!("{qualified}{filter}{dotted}")}),
                    _ => json!({"Op": op, "PATH": format!("{qualified}{filter}{dotted}"), "value": value}),
                }
            })
        })
    }

    fn any_group_operation() -> impl Strategy<Value = Value> {
        let path = select(vec![
            "members",
            "members",
            "Members.value",
            "members[value eq \"1\"]",
            "members[value eq \"1\" or value eq \"9\"]",
            "members[type eq \"Group\"]",
            "members[value eq \"1\"].value",
            "members[type eq \"User\"].value",
            "members[value eq \"2\"].display",
            "displayName",
            GROUP,
            "",
        ]);
        let id = || {
            select(vec![
                json!("1"),
                json!("2"),
                json!("9"),
                Value::Null,
                json!(""),
            ])
        };
        let element = prop_oneof![
            4 => id().prop_map(|id| json!({"value": id})),
            1 => id().prop_map(|id| json!({"$ref": null, "value": id, "type": "User"})),
            1 => Just(json!({"type": "Group"})),
            1 => id(),
        ];
        let value = prop_oneof![3 => vec(element.clone(), 0..3).prop_map(Value::Array), 3 => element, 1 => Just(json!("[{\"value\": \"1\"}]"))];
        (any_op(), path, proptest::option::weighted(0.8, value)).prop_map(|(op, path, value)| {
            let value = match path {
                "" | GROUP => {
                    Some(json!({"members": value.unwrap_or_default(), "displayName": "D"}))
                }
                _ => value,
            };
            let mut operation = json!({"op": op, "path": path});
            if let Some(value) = value {
                operation["value"] = value;
            }
            operation
        })
    }

    fn team() -> Held {
        let resource = validate(
            of_type("Group"),
            json!({"schemas": [GROUP], "displayName": "team"}),
            None,
            &QuirkSet::strict(),
        )
        .unwrap()
        .resource;
        let members = [("1", "User"), ("2", "User"), ("3", "Group")]
            .map(|(id, kind)| json!({"value": id, "type": kind, "display": id}));
        Held {
            resource,
            members: members.to_vec(),
        }
    }

    fn message(operations: &[Value]) -> Value {
        json!({"schemas": [PATCH_SCHEMA], "Operations": operations})
    }

    fn any_profile() -> impl Strategy<Value = &'static str> {
        select(
            Profile::all()
                .iter()
                .map(|profile| profile.name.as_str())
                .collect::<Vec<_>>(),
        )
    }

    fn quirks_of(profile: &str) -> QuirkSet {
        Profile::by_name(profile).unwrap().quirks()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_patch_of_a_user_never_changes_what_it_does_not_name(
            held in any_user(), operations in vec(any_operation(), 1..4), profile in any_profile(),
        ) {
            let seen = check(of_type("User"), &quirks_of(profile), &held, &message(&operations));
            prop_assert_eq!(seen.unread, 0, "{:?}", operations);
        }

        #[test]
        fn a_patch_of_a_group_never_changes_what_it_does_not_name(operations in vec(any_group_operation(), 1..4), profile in any_profile()) {
            let seen = check(of_type("Group"), &quirks_of(profile), &team(), &message(&operations));
            prop_assert_eq!(seen.unread, 0, "{:?}", operations);
        }
    }

    /// Or the law would hold for want of operations.
    #[test]
    fn many_generated_operations_are_carried_out() {
        use proptest::strategy::ValueTree;
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let operations = vec(any_operation(), 2_000)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let held = any_user().new_tree(&mut runner).unwrap().current();
        let one_by_one = operations.iter().map(|operation| {
            check(
                of_type("User"),
                &QuirkSet::standard(),
                &held,
                &message(std::slice::from_ref(operation)),
            )
        });
        let checked: usize = one_by_one.map(|seen| seen.checked).sum();
        assert!(checked > 800, "{checked} of {}", operations.len());
    }

    #[test]
    fn what_breaks_the_law_is_noticed() {
        let user = |beside: Value| {
            let mut body = json!({"schemas": [USER], "userName": "ann"});
            body.as_object_mut()
                .unwrap()
                .extend(beside.as_object().unwrap().clone());
            Held {
                resource: validate(of_type("User"), body, None, &QuirkSet::strict())
                    .unwrap()
                    .resource,
                members: Vec::new(),
            }
        };
        let broken = |before: Value, operation: Value, after: Value| {
            let (before, after) = (user(before), user(after));
            broken(
                of_type("User"),
                &named(of_type("User"), &QuirkSet::standard(), &operation, &before).unwrap(),
                &before,
                &after,
            )
        };
        let name = json!({"name": {"givenName": "A", "familyName": "B"}});
        let null = json!({"op": "replace", "path": "name", "value": {"familyName": null}});
        assert_eq!(
            broken(name.clone(), null.clone(), json!({})),
            Some("name".into())
        );
        assert_eq!(
            broken(
                name.clone(),
                null.clone(),
                json!({"name": {"givenName": "A"}})
            ),
            None
        );
        assert_eq!(
            broken(
                name,
                null,
                json!({"name": {"givenName": "A"}, "title": "T"})
            ),
            Some("title".into())
        );
        let addresses =
            json!({"addresses": [{"type": "work", "locality": "Bath"}, {"type": "home"}]});
        let remove = json!({"op": "remove", "path": "addresses", "value": [{"type": "work"}]});
        assert_eq!(
            broken(addresses.clone(), remove.clone(), json!({})),
            Some("addresses".into())
        );
        assert_eq!(
            broken(
                addresses.clone(),
                remove,
                json!({"addresses": [{"type": "home"}]})
            ),
            None
        );
        let add = json!({"op": "add", "path": "addresses", "value": [{"type": "other"}]});
        assert_eq!(
            broken(addresses, add, json!({"addresses": [{"type": "other"}]})),
            Some("addresses".into())
        );
        let group = team();
        let lost = Held {
            members: Vec::new(),
            ..group.clone()
        };
        let replace =
            json!({"op": "replace", "path": "members[value eq \"1\"].value", "value": null});
        assert_eq!(
            super::broken(
                of_type("Group"),
                &named(of_type("Group"), &QuirkSet::standard(), &replace, &group).unwrap(),
                &group,
                &lost
            ),
            Some("members".into())
        );
    }
}
