//! Which attributes and which members a PATCH is about. Does not say what it does to them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Operation;
use super::member::{MemberOperation, Split};
use crate::attribute_path::AttributePath;
use crate::schema::set::TypeSchema;

/// Something that a PATCH is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mention {
    /// An attribute, as its schema spells it, behind the URN of its extension where it has one.
    Attribute(String),
    /// All members of a group, or members that only the group itself can tell.
    Members,
    /// The member with this id.
    Member(String),
}

/// What these operations are about. Names that no schema has are left out.
pub fn mentions(schema: &TypeSchema, split: &Split) -> BTreeSet<Mention> {
    let mut found = BTreeSet::new();
    for operation in &split.members {
        match operation {
            MemberOperation::Add(ids) | MemberOperation::Remove(ids) => {
                found.extend(ids.iter().cloned().map(Mention::Member));
            }
            MemberOperation::Replace(_)
            | MemberOperation::RemoveWhere(_)
            | MemberOperation::ReplaceWhere(..) => {
                found.insert(Mention::Members);
            }
        }
    }
    for Operation { path, value, .. } in &split.others {
        let value = value.as_ref().unwrap_or(&Value::Null);
        match path.as_ref().map(|path| &path.attribute) {
            Some(path) if !schema.names_whole_core(path) => {
                by_path(schema, path, value, &mut found);
            }
            _ => by_names(schema, value.as_object(), &mut found),
        }
    }
    found
}

fn by_path(
    schema: &TypeSchema,
    path: &AttributePath,
    value: &Value,
    found: &mut BTreeSet<Mention>,
) {
    let Some(resolved) = schema.resolve(path) else {
        return;
    };
    let name = |name: &str| match resolved.extension {
        Some(urn) => format!("{urn}:{name}"),
        None => name.to_owned(),
    };
    if let Some(attribute) = resolved.attribute {
        found.insert(Mention::Attribute(name(&attribute.name)));
        return;
    }
    let Some(extension) = resolved.extension.and_then(|urn| schema.extension(urn)) else {
        return;
    };
    // An operation on a whole extension is about the attributes in its value; without a value, about all of them.
    let is_meant = |attribute: &str| {
        value
            .as_object()
            .is_none_or(|object| object.keys().any(|key| key.eq_ignore_ascii_case(attribute)))
    };
    let meant = extension
        .attributes
        .iter()
        .filter(|attribute| is_meant(&attribute.name));
    found.extend(meant.map(|attribute| Mention::Attribute(name(&attribute.name))));
}

/// The keys of an object of attributes: names, or paths.
fn by_names(
    schema: &TypeSchema,
    object: Option<&Map<String, Value>>,
    found: &mut BTreeSet<Mention>,
) {
    for (key, value) in object.into_iter().flatten() {
        if let Ok(path) = AttributePath::parse(key) {
            by_path(schema, &path, value, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::patch::member::split;
    use crate::patch::parse;
    use crate::patch_path::PATCH_SCHEMA;
    use crate::quirk::{QuirkSet, normalize_patch};
    use crate::schema::set::SchemaSet;
    use crate::schema::standard::ENTERPRISE_USER;

    #[test]
    fn a_patch_is_about_what_it_names() {
        let (set, quirks) = (SchemaSet::standard(), QuirkSet::standard());
        let check = |resource_type: &str, operations: Value, expected: &[Mention]| {
            let schema = set.by_name(resource_type).unwrap();
            let mut body = json!({"schemas": [PATCH_SCHEMA], "Operations": operations});
            normalize_patch(&quirks, schema, &mut body);
            let split = split(schema, parse(schema, body, &quirks).unwrap()).unwrap();
            let found: Vec<Mention> = mentions(schema, &split).into_iter().collect();
            assert_eq!(found, expected, "{operations}");
        };
        let attribute = |name: &str| Mention::Attribute(name.to_owned());
        let member = |id: &str| Mention::Member(id.to_owned());
        check(
            "User",
            json!([{"op": "replace", "path": "active", "value": false}]),
            &[attribute("active")],
        );
        check(
            "User",
            json!([{"op": "Replace", "value": {"Active": "False", "title": "x"}}]),
            &[attribute("active"), attribute("title")],
        );
        check(
            "User",
            json!([{"op": "replace", "path": "emails[type eq \"a.b[\"].value", "value": "x"}]),
            &[attribute("emails")],
        );
        let department = attribute(&format!("{ENTERPRISE_USER}:department"));
        check(
            "User",
            json!([{"op": "add", "path": format!("{ENTERPRISE_USER}:Department"), "value": "D"}]),
            std::slice::from_ref(&department),
        );
        check(
            "User",
            json!([{"op": "add", "value": {ENTERPRISE_USER: {"department": "D"}}}]),
            std::slice::from_ref(&department),
        );
        check(
            "Group",
            json!([{"op": "remove", "path": "members[value eq \"A\" or value eq \"say \\\"B\\\"\"]"}]),
            &[member("A"), member("say \"B\"")],
        );
        check(
            "Group",
            json!([{"op": "Remove", "path": "members", "value": [{"value": "A"}, {"value": "B"}]}]),
            &[member("A"), member("B")],
        );
        check(
            "Group",
            json!([{"op": "add", "value": {"members": [{"value": "A"}], "displayName": "g"}}]),
            &[attribute("displayName"), member("A")],
        );
        for all in [
            json!([{"op": "remove", "path": "members"}]),
            json!([{"op": "replace", "path": "members", "value": [{"value": "A"}]}]),
            json!([{"op": "remove", "path": "members[type eq \"Group\"]"}]),
        ] {
            check("Group", all, &[Mention::Members]);
        }
    }
}
