//! Operations on `members`, kept as operations so that nobody has to load a group to change it.

use serde_json::{Map, Value, json};

use super::{Op, Operation, PatchPath};
use crate::attribute_path::AttributePath;
use crate::error::Error;
use crate::filter::{CompareOp, Filter};
use crate::member::{OrderedSet, ids, members_attribute};
use crate::schema::set::TypeSchema;

/// What a write does to the members of a group, in a form that commutes. Ids are in order of first mention, once each; no id is in both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberDelta {
    /// Whether all members that are not in `added` go.
    pub replace: bool,
    /// Members to be there afterwards.
    pub added: Vec<String>,
    /// Members not to be there afterwards; empty where `replace`.
    pub removed: Vec<String>,
}

impl MemberDelta {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        !self.replace && self.added.is_empty() && self.removed.is_empty()
    }
}

/// One operation on `members`.
#[derive(Clone, Debug, PartialEq)]
pub enum MemberOperation {
    /// Add these ids.
    Add(Vec<String>),
    /// Remove these ids.
    Remove(Vec<String>),
    /// Replace the whole list.
    Replace(Vec<String>),
    /// Remove those that match; needs the members (`members[type eq "Group"]`). `members[value eq "x"]` is `Remove`.
    RemoveWhere(Filter),
}

/// The operations, parted.
#[derive(Clone, Debug, Default)]
pub struct Split {
    /// On `members`, in order.
    pub members: Vec<MemberOperation>,
    /// All others, in order.
    pub others: Vec<Operation>,
}

/// Parts the operations of a PATCH; a path-less operation whose object has `members` is parted too. A type without `members` gets all in `others`.
/// `invalidValue` where a member has no id.
pub fn split(schema: &TypeSchema, operations: Vec<Operation>) -> Result<Split, Error> {
    let mut split = Split::default();
    if members_attribute(schema).is_none() {
        split.others = operations;
        return Ok(split);
    }
    for operation in operations {
        match operation {
            Operation { op, path: Some(path), value } if is_members(schema, &path.attribute) => {
                by_path(op, &path, value, &mut split.members)?;
            }
            Operation { op, path: None, value: Some(Value::Object(object)) } => {
                let rest = without_members(schema, op, object, &mut split.members)?;
                if !rest.is_empty() {
                    split.others.push(Operation { op, path: None, value: Some(Value::Object(rest)) });
                }
            }
            other => split.others.push(other),
        }
    }
    Ok(split)
}

fn is_members(schema: &TypeSchema, path: &AttributePath) -> bool {
    schema
        .resolve(path)
        .is_some_and(|resolved| resolved.extension.is_none() && resolved.attribute.is_some_and(|attribute| attribute.name == "members"))
}

/// Takes `members` out of the object of a path-less operation.
fn without_members(
    schema: &TypeSchema,
    op: Op,
    object: Map<String, Value>,
    into: &mut Vec<MemberOperation>,
) -> Result<Map<String, Value>, Error> {
    let mut rest = Map::new();
    for (key, value) in object {
        if AttributePath::parse(&key).is_ok_and(|path| path.sub_attribute.is_none() && is_members(schema, &path)) {
            into.push(if op == Op::Add { MemberOperation::Add(ids(value)?) } else { MemberOperation::Replace(ids(value)?) });
        } else {
            rest.insert(key, value);
        }
    }
    Ok(rest)
}

fn by_path(op: Op, path: &PatchPath, value: Option<Value>, into: &mut Vec<MemberOperation>) -> Result<(), Error> {
    if path.sub_name().is_some_and(|name| !name.eq_ignore_ascii_case("value")) {
        // `display`, `type` and `$ref` of a member follow from the member itself; there is nothing to change.
        return Ok(());
    }
    let Some(filter) = &path.filter else {
        into.push(match (op, value) {
            (Op::Add, value) => MemberOperation::Add(ids(value.unwrap_or_default())?),
            (Op::Replace, value) => MemberOperation::Replace(ids(value.unwrap_or_default())?),
            // RFC 7644 section 3.5.2.2 empties the list. With a value it is Entra's way to name the members to remove
            // (`Quirk::RemoveMembersByValue`); where that is not tolerated, `parse` has refused it.
            (Op::Remove, None | Some(Value::Null)) => MemberOperation::Replace(Vec::new()),
            (Op::Remove, Some(value)) => MemberOperation::Remove(ids(value)?),
        });
        return Ok(());
    };
    let named = named_ids(filter);
    if op == Op::Add {
        into.push(MemberOperation::Add(match value {
            Some(value) if !value.is_null() => ids(value)?,
            _ => named.unwrap_or_default(),
        }));
        return Ok(());
    }
    into.push(match named {
        Some(ids) => MemberOperation::Remove(ids),
        None => MemberOperation::RemoveWhere(filter.clone()),
    });
    if let (Op::Replace, Some(value)) = (op, value) {
        into.push(MemberOperation::Add(ids(value)?));
    }
    Ok(())
}

/// The ids of `value eq "a" or value eq "b"`; `None` where the filter says anything else.
fn named_ids(filter: &Filter) -> Option<Vec<String>> {
    match filter {
        Filter::Compare { path, op: CompareOp::Eq, value: Value::String(id) } if path.attribute.eq_ignore_ascii_case("value") => {
            Some(vec![id.clone()])
        }
        Filter::Or(any) => any.iter().map(named_ids).collect::<Option<Vec<_>>>().map(|ids| ids.concat()),
        _ => None,
    }
}

/// Folds operations into one delta. `current` (member elements with `value`, `type`, `display`) is only needed where an operation is `RemoveWhere`.
pub fn fold(schema: &TypeSchema, operations: &[MemberOperation], current: &[Value]) -> MemberDelta {
    let mut replace = false;
    let (mut added, mut removed) = (OrderedSet::default(), OrderedSet::default());
    for operation in operations {
        match operation {
            MemberOperation::Add(ids) => {
                for id in ids {
                    removed.remove(id);
                    added.insert(id.clone());
                }
            }
            MemberOperation::Remove(ids) => {
                for id in ids {
                    added.remove(id);
                    if !replace {
                        removed.insert(id.clone());
                    }
                }
            }
            MemberOperation::Replace(ids) => {
                replace = true;
                removed = OrderedSet::default();
                added = ids.iter().cloned().collect();
            }
            MemberOperation::RemoveWhere(filter) => {
                let Some(attribute) = members_attribute(schema) else { continue };
                added.retain(|id| {
                    let known = current.iter().find(|element| element.get("value").and_then(Value::as_str) == Some(id));
                    !filter.matches_element(attribute, known.unwrap_or(&json!({ "value": id })))
                });
                let matching = current.iter().filter(|element| !replace && filter.matches_element(attribute, element));
                for id in matching.filter_map(|element| element.get("value").and_then(Value::as_str)) {
                    removed.insert(id.to_owned());
                }
            }
        }
    }
    MemberDelta { replace, added: added.into_vec(), removed: removed.into_vec() }
}

impl FromIterator<String> for OrderedSet {
    fn from_iter<I: IntoIterator<Item = String>>(texts: I) -> Self {
        let mut set = Self::default();
        texts.into_iter().for_each(|text| set.insert(text));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::patch;
    use crate::quirk::QuirkSet;
    use crate::schema::set::SchemaSet;

    fn delta(operations: Value, current: &[Value]) -> (MemberDelta, usize) {
        let set = SchemaSet::standard();
        let schema = set.by_name("Group").unwrap();
        let body = json!({ "schemas": [patch::PATCH_SCHEMA], "Operations": operations });
        let split = split(schema, patch::parse(schema, body, &QuirkSet::standard()).unwrap()).unwrap();
        (fold(schema, &split.members, current), split.others.len())
    }

    fn check(operations: Value, replace: bool, added: &[&str], removed: &[&str]) {
        let current = [json!({"value": "u1", "type": "User"}), json!({"value": "g1", "type": "Group"})];
        let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let (found, others) = delta(operations.clone(), &current);
        assert_eq!(found, MemberDelta { replace, added: owned(added), removed: owned(removed) }, "{operations}");
        assert_eq!(others, 0, "{operations}");
    }

    #[test]
    fn every_way_to_say_it() {
        check(json!([{"op": "add", "path": "members", "value": [{"value": "a", "display": "A"}, {"value": "a"}]}]), false, &["a"], &[]);
        check(json!([{"op": "add", "value": {"Members": [{"value": "a"}]}}]), false, &["a"], &[]);
        check(json!([{"op": "remove", "path": "members[value eq \"a\"]"}]), false, &[], &["a"]);
        check(json!([{"op": "remove", "path": "members[value eq \"a\" or value eq \"b\"]"}]), false, &[], &["a", "b"]);
        check(json!([{"op": "remove", "path": "members[type eq \"Group\"]"}]), false, &[], &["g1"]);
        check(json!([{"op": "remove", "path": "members", "value": [{"$ref": null, "value": "a"}]}]), false, &[], &["a"]);
        check(json!([{"op": "remove", "path": "members", "value": []}]), false, &[], &[]);
        check(json!([{"op": "remove", "path": "members"}]), true, &[], &[]);
        check(json!([{"op": "replace", "path": "members", "value": [{"value": "a"}]}]), true, &["a"], &[]);
        check(json!([{"op": "replace", "path": "members", "value": []}]), true, &[], &[]);
        check(json!([{"op": "replace", "path": "members[value eq \"a\"].display", "value": "x"}]), false, &[], &[]);
        check(json!([{"op": "replace", "path": "members[value eq \"a\"]", "value": {"value": "b"}}]), false, &["b"], &["a"]);
    }

    #[test]
    fn the_last_word_counts() {
        let add = json!({"op": "add", "path": "members", "value": [{"value": "a"}]});
        let remove = json!({"op": "remove", "path": "members[value eq \"a\"]"});
        let clear = json!({"op": "remove", "path": "members"});
        check(json!([add, remove]), false, &[], &["a"]);
        check(json!([remove, add]), false, &["a"], &[]);
        check(json!([clear, add]), true, &["a"], &[]);
        check(json!([add, clear]), true, &[], &[]);
        check(json!([clear, add, remove]), true, &[], &[]);
    }

    #[test]
    fn other_operations_stay() {
        let (found, others) = delta(json!([{"op": "replace", "value": {"displayName": "D", "members": [{"value": "a"}]}}]), &[]);
        assert_eq!((found.replace, found.added, others), (true, vec!["a".to_owned()], 1));
    }

    #[test]
    fn a_member_without_an_id_is_refused() {
        for value in [json!([{"display": "A"}]), json!([{"value": ""}]), json!([7]), json!([{"value": 7}])] {
            assert_eq!(ids(value).unwrap_err().kind(), ErrorKind::InvalidValue);
        }
    }
}
