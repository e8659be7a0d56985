//! Operations on `members`. They stay operations, so that a change does not need the group.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::work::{Work, terms};
use super::{Op, Operation, PatchPath};
use crate::attribute_path::AttributePath;
use crate::error::{Error, ErrorKind};
use crate::filter::{CompareOp, Filter};
use crate::member::{OrderedSet, ids, members_attribute};
use crate::schema::Attribute;
use crate::schema::set::TypeSchema;

/// The change of the members of a group by a write, in a form that commutes. Ids are in order of first mention, once each; no id is in both lists.
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
    /// Put these ids in the place of those that match; needs the members, as it is refused where none does.
    ReplaceWhere(Filter, Vec<String>),
}

/// The operations of a PATCH: those on members, and the others.
#[derive(Clone, Debug, Default)]
pub struct Split {
    /// On `members`, in order.
    pub members: Vec<MemberOperation>,
    /// All others, in order.
    pub others: Vec<Operation>,
}

/// Separates the operations on members from the others; an operation whose object of attributes has `members` is divided. A type without `members` gets all in `others`.
/// `invalidValue` where a member has no id, `noTarget` where a removal names no member, `mutability` where a member is to lose its id and stay.
pub fn split(schema: &TypeSchema, operations: Vec<Operation>) -> Result<Split, Error> {
    let mut split = Split::default();
    if members_attribute(schema).is_none() {
        split.others = operations;
        return Ok(split);
    }
    for operation in operations {
        match operation {
            Operation {
                op,
                path: Some(path),
                value,
            } if is_members(schema, &path.attribute) => {
                by_path(op, &path, value, &mut split.members)?;
            }
            Operation {
                op,
                path,
                value: Some(Value::Object(object)),
            } if path
                .as_ref()
                .is_none_or(|path| schema.names_whole_core(&path.attribute)) =>
            {
                let rest = without_members(schema, op, object, &mut split.members)?;
                if !rest.is_empty() {
                    split.others.push(Operation {
                        op,
                        path,
                        value: Some(Value::Object(rest)),
                    });
                }
            }
            other => split.others.push(other),
        }
    }
    Ok(split)
}

fn is_members(schema: &TypeSchema, path: &AttributePath) -> bool {
    schema.resolve(path).is_some_and(|resolved| {
        resolved.extension.is_none()
            && resolved
                .attribute
                .is_some_and(|attribute| attribute.name == "members")
    })
}

/// Takes `members` out of the object of an operation on the resource itself.
fn without_members(
    schema: &TypeSchema,
    op: Op,
    object: Map<String, Value>,
    into: &mut Vec<MemberOperation>,
) -> Result<Map<String, Value>, Error> {
    let mut rest = Map::new();
    for (key, value) in object {
        if AttributePath::parse(&key)
            .is_ok_and(|path| path.sub_attribute.is_none() && is_members(schema, &path))
        {
            into.push(match op {
                Op::Add => MemberOperation::Add(ids(value)?),
                Op::Remove if !value.is_null() => MemberOperation::Remove(ids(value)?),
                Op::Remove | Op::Replace => MemberOperation::Replace(ids(value)?),
            });
        } else {
            rest.insert(key, value);
        }
    }
    Ok(rest)
}

fn by_path(
    op: Op,
    path: &PatchPath,
    value: Option<Value>,
    into: &mut Vec<MemberOperation>,
) -> Result<(), Error> {
    if path
        .sub_name()
        .is_some_and(|name| !name.eq_ignore_ascii_case("value"))
    {
        // `display`, `type` and `$ref` of a member follow from the member itself; there is nothing to change.
        return Ok(());
    }
    let names_id = path.sub_name().is_some();
    let value = value.filter(|value| !value.is_null());
    // The id of a member is required and immutable (RFC 7643 section 8.7.1): a member is there with it, or not at all.
    let loses_id = match op {
        Op::Add => false,
        Op::Remove => path.filter.is_some(),
        Op::Replace => value
            .as_ref()
            .is_none_or(|value| value.as_array().is_some_and(Vec::is_empty)),
    };
    if names_id && loses_id {
        return Err(id_stays(path));
    }
    let Some(filter) = &path.filter else {
        into.push(match (op, value) {
            (Op::Add, value) => MemberOperation::Add(ids(value.unwrap_or_default())?),
            (Op::Replace, value) => MemberOperation::Replace(ids(value.unwrap_or_default())?),
            // RFC 7644 section 3.5.2.2 empties the list. With a value it is Entra's way to name the members to remove
            // (`Quirk::RemoveMembersByValue`); where that is not tolerated, `parse` has refused it.
            // A removal of the ids alone is neither of the two. The client may have lost its filter, so the group is not emptied.
            (Op::Remove, None) if names_id => return Err(no_member_named(path)),
            (Op::Remove, None) => MemberOperation::Replace(Vec::new()),
            (Op::Remove, Some(value)) => MemberOperation::Remove(ids(value)?),
        });
        return Ok(());
    };
    into.push(match op {
        Op::Add => MemberOperation::Add(match value {
            Some(value) => ids(value)?,
            None => named_ids(filter).unwrap_or_default(),
        }),
        Op::Remove => removal(filter, value)?,
        Op::Replace => {
            MemberOperation::ReplaceWhere(filter.clone(), ids(value.unwrap_or_default())?)
        }
    });
    Ok(())
}

/// Removes those that a filter selects; with a value only those of them that the value names.
fn removal(filter: &Filter, value: Option<Value>) -> Result<MemberOperation, Error> {
    let Some(value) = value else {
        return Ok(named_ids(filter).map_or_else(
            || MemberOperation::RemoveWhere(filter.clone()),
            MemberOperation::Remove,
        ));
    };
    let given = ids(value)?;
    if let Some(mut named) = named_ids(filter) {
        let given: HashSet<String> = given.into_iter().collect();
        named.retain(|id| given.contains(id));
        return Ok(MemberOperation::Remove(named));
    }
    let is_it = |id| Filter::Compare {
        path: AttributePath::of("value"),
        op: CompareOp::Eq,
        value: Value::String(id),
    };
    Ok(MemberOperation::RemoveWhere(Filter::And(vec![
        filter.clone(),
        Filter::Or(given.into_iter().map(is_it).collect()),
    ])))
}

fn id_stays(path: &PatchPath) -> Error {
    let detail = format!(
        "`{path}` is the id of a member, which cannot be unassigned; remove the member (`members[value eq \"...\"]`) instead."
    );
    Error::new(ErrorKind::Mutability, detail).at(path.to_string())
}

fn no_member_named(path: &PatchPath) -> Error {
    let detail = format!(
        "`{path}` names no member to remove; name one (`members[value eq \"...\"]`), or all (`members`)."
    );
    Error::new(ErrorKind::NoTarget, detail).at(path.to_string())
}

/// The ids of `value eq "a" or value eq "b"`; `None` where the filter says anything else.
fn named_ids(filter: &Filter) -> Option<Vec<String>> {
    match filter {
        Filter::Compare {
            path,
            op: CompareOp::Eq,
            value: Value::String(id),
        } if path.attribute.eq_ignore_ascii_case("value") => Some(vec![id.clone()]),
        Filter::Or(any) => any
            .iter()
            .map(named_ids)
            .collect::<Option<Vec<_>>>()
            .map(|ids| ids.concat()),
        _ => None,
    }
}

/// Folds operations into one delta. `current` (member elements with `value`, `type`, `display`) is only needed where an operation chooses by filter.
/// `noTarget` where one replaces what is not there (RFC 7644 section 3.5.2.3), `tooMany` beyond the limit of `work`.
pub fn fold(
    schema: &TypeSchema,
    operations: &[MemberOperation],
    current: &[Value],
    work: &mut Work,
) -> Result<MemberDelta, Error> {
    let mut folded = Folded {
        schema,
        current,
        known: None,
        replace: false,
        added: OrderedSet::default(),
        removed: OrderedSet::default(),
    };
    for operation in operations {
        match operation {
            MemberOperation::Add(ids)
            | MemberOperation::Remove(ids)
            | MemberOperation::Replace(ids) => work.spend(ids.len() + 1)?,
            MemberOperation::RemoveWhere(_) | MemberOperation::ReplaceWhere(..) => {}
        }
        match operation {
            MemberOperation::Add(ids) => folded.add(ids),
            MemberOperation::Remove(ids) => folded.remove(ids),
            MemberOperation::Replace(ids) => {
                folded.replace = true;
                folded.removed = OrderedSet::default();
                folded.added = ids.iter().cloned().collect();
            }
            MemberOperation::RemoveWhere(filter) => {
                let matching = folded.matching(filter, work)?;
                folded.remove(&matching);
            }
            MemberOperation::ReplaceWhere(filter, ids) => {
                let matching = folded.matching(filter, work)?;
                if matching.is_empty() {
                    let detail = format!(
                        "`members[{filter}]` selects no member; add one to `members` first."
                    );
                    return Err(Error::new(ErrorKind::NoTarget, detail).at("members"));
                }
                folded.remove(&matching);
                folded.add(ids);
            }
        }
    }
    Ok(MemberDelta {
        replace: folded.replace,
        added: folded.added.into_vec(),
        removed: folded.removed.into_vec(),
    })
}

/// A delta that grows by one operation at a time.
struct Folded<'a> {
    schema: &'a TypeSchema,
    current: &'a [Value],
    /// `current` by id, once an operation has asked.
    known: Option<HashMap<&'a str, &'a Value>>,
    replace: bool,
    added: OrderedSet,
    removed: OrderedSet,
}

impl Folded<'_> {
    fn add(&mut self, ids: &[String]) {
        for id in ids {
            self.removed.remove(id);
            self.added.insert(id.clone());
        }
    }

    fn remove(&mut self, ids: &[String]) {
        for id in ids {
            self.added.remove(id);
            if !self.replace {
                self.removed.insert(id.clone());
            }
        }
    }

    /// The ids of the members that match as the operations so far leave them. A filter that only ids can match looks at no other member.
    fn matching(&mut self, filter: &Filter, work: &mut Work) -> Result<Vec<String>, Error> {
        let Some(attribute) = members_attribute(self.schema) else {
            return Ok(Vec::new());
        };
        if let Some(mut ids) = possible_ids(filter) {
            work.spend(
                ids.len().saturating_mul(terms(filter))
                    + self.known.as_ref().map_or(self.current.len(), |_| 0),
            )?;
            let current = self.current;
            let known = self.known.get_or_insert_with(|| {
                current
                    .iter()
                    .filter_map(|element| Some((id_of(element)?, element)))
                    .collect()
            });
            ids.retain(|id| {
                let element = known.get(id.as_str());
                let is_there = self.added.contains(id)
                    || (element.is_some() && !(self.replace || self.removed.contains(id)));
                is_there
                    && element.map_or_else(
                        || matches_id(filter, attribute, id),
                        |element| filter.matches_element(attribute, element),
                    )
            });
            return Ok(ids);
        }
        work.spend((self.current.len() + self.added.len() + 1).saturating_mul(terms(filter)))?;
        let (mut matching, mut unknown) = (Vec::new(), self.added.clone());
        for (id, element) in self
            .current
            .iter()
            .filter_map(|element| Some((id_of(element)?, element)))
        {
            unknown.remove(id);
            let is_there = self.added.contains(id) || !(self.replace || self.removed.contains(id));
            if is_there && filter.matches_element(attribute, element) {
                matching.push(id.to_owned());
            }
        }
        matching.extend(
            unknown
                .into_vec()
                .into_iter()
                .filter(|id| matches_id(filter, attribute, id)),
        );
        Ok(matching)
    }
}

/// Of a member that was only just added the id is all that is known.
fn matches_id(filter: &Filter, attribute: &Attribute, id: &str) -> bool {
    filter.matches_element(attribute, &json!({ "value": id }))
}

/// The ids without which the filter matches nothing: those of `value eq "a"` and of `value eq "a" and type eq "User"`; `None` where any may match.
fn possible_ids(filter: &Filter) -> Option<Vec<String>> {
    match filter {
        Filter::And(all) => all.iter().find_map(possible_ids),
        filter => named_ids(filter),
    }
}

fn id_of(element: &Value) -> Option<&str> {
    element.get("value").and_then(Value::as_str)
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
        let split = split(
            schema,
            patch::parse(schema, body, &QuirkSet::standard()).unwrap(),
        )
        .unwrap();
        (
            fold(schema, &split.members, current, &mut Work::default()).unwrap(),
            split.others.len(),
        )
    }

    fn refusal(operations: Value) -> ErrorKind {
        let set = SchemaSet::standard();
        let schema = set.by_name("Group").unwrap();
        let body = json!({ "schemas": [patch::PATCH_SCHEMA], "Operations": operations });
        let parsed = patch::parse(schema, body, &QuirkSet::standard()).unwrap();
        let folded = split(schema, parsed).and_then(|split| {
            fold(
                schema,
                &split.members,
                &[json!({"value": "u1", "type": "User"})],
                &mut Work::default(),
            )
        });
        folded.unwrap_err().kind()
    }

    fn check(operations: Value, replace: bool, added: &[&str], removed: &[&str]) {
        let current = [
            json!({"value": "u1", "type": "User"}),
            json!({"value": "g1", "type": "Group"}),
        ];
        let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let (found, others) = delta(operations.clone(), &current);
        assert_eq!(
            found,
            MemberDelta {
                replace,
                added: owned(added),
                removed: owned(removed)
            },
            "{operations}"
        );
        assert_eq!(others, 0, "{operations}");
    }

    #[test]
    fn every_way_to_say_it() {
        check(
            json!([{"op": "add", "path": "members", "value": [{"value": "a", "display": "A"}, {"value": "a"}]}]),
            false,
            &["a"],
            &[],
        );
        check(
            json!([{"op": "add", "value": {"Members": [{"value": "a"}]}}]),
            false,
            &["a"],
            &[],
        );
        check(
            json!([{"op": "remove", "path": "members[value eq \"a\"]"}]),
            false,
            &[],
            &["a"],
        );
        check(
            json!([{"op": "remove", "path": "members[value eq \"a\" or value eq \"b\"]"}]),
            false,
            &[],
            &["a", "b"],
        );
        check(
            json!([{"op": "remove", "path": "members[type eq \"Group\"]"}]),
            false,
            &[],
            &["g1"],
        );
        check(
            json!([{"op": "remove", "path": "members", "value": [{"$ref": null, "value": "a"}]}]),
            false,
            &[],
            &["a"],
        );
        check(
            json!([{"op": "remove", "path": "members", "value": []}]),
            false,
            &[],
            &[],
        );
        check(json!([{"op": "remove", "path": "members"}]), true, &[], &[]);
        check(
            json!([{"op": "replace", "path": "members", "value": [{"value": "a"}]}]),
            true,
            &["a"],
            &[],
        );
        check(
            json!([{"op": "replace", "path": "members", "value": []}]),
            true,
            &[],
            &[],
        );
        check(
            json!([{"op": "replace", "path": "members[value eq \"a\"].display", "value": "x"}]),
            false,
            &[],
            &[],
        );
        check(
            json!([{"op": "replace", "path": "members[value eq \"u1\"]", "value": {"value": "b"}}]),
            false,
            &["b"],
            &["u1"],
        );
        check(
            json!([{"op": "replace", "path": "members[value eq \"u1\"].value", "value": "b"}]),
            false,
            &["b"],
            &["u1"],
        );
        check(
            json!([{"op": "replace", "path": "members[value eq \"u1\"]", "value": {"value": "u1"}}]),
            false,
            &["u1"],
            &[],
        );
        check(
            json!([{"op": "replace", "path": "members[type eq \"Group\"]", "value": {"value": "b"}}]),
            false,
            &["b"],
            &["g1"],
        );
    }

    #[test]
    fn a_filter_selects_among_what_the_operations_before_left() {
        let replace =
            json!({"op": "replace", "path": "members[value eq \"a\"]", "value": {"value": "b"}});
        let add = json!({"op": "add", "path": "members", "value": [{"value": "a"}]});
        check(json!([add, replace]), false, &["b"], &["a"]);
        check(
            json!([{"op": "replace", "path": "members", "value": [{"value": "a"}]}, replace]),
            true,
            &["b"],
            &[],
        );
        check(
            json!([add, {"op": "remove", "path": "members[type eq \"Group\" or value eq \"a\"]"}]),
            false,
            &[],
            &["g1", "a"],
        );
    }

    /// RFC 7644 section 3.5.2.3.
    #[test]
    fn what_is_not_there_is_not_replaced() {
        let replace = |filter: &str| json!({"op": "replace", "path": format!("members[{filter}]"), "value": {"value": "b"}});
        let (nope, u1) = (replace("value eq \"nope\""), replace("value eq \"u1\""));
        for operations in [
            json!([nope]),
            json!([replace("type eq \"Group\"")]),
            json!([{"op": "replace", "path": "members[value eq \"nope\"].value", "value": "b"}]),
            json!([{"op": "remove", "path": "members[value eq \"u1\"]"}, u1]),
            json!([{"op": "remove", "path": "members"}, u1]),
            json!([u1, u1]),
        ] {
            assert_eq!(
                refusal(operations.clone()),
                ErrorKind::NoTarget,
                "{operations}"
            );
        }
    }

    #[test]
    fn a_removal_of_ids_that_names_none_does_not_empty_the_group() {
        assert_eq!(
            refusal(json!([{"op": "remove", "path": "members.value"}])),
            ErrorKind::NoTarget
        );
        assert_eq!(
            refusal(json!([{"op": "remove", "path": "members.value", "value": null}])),
            ErrorKind::NoTarget
        );
        check(
            json!([{"op": "remove", "path": "members.value", "value": ["a"]}]),
            false,
            &[],
            &["a"],
        );
    }

    /// RFC 7643 section 8.7.1: `value` is required and immutable.
    #[test]
    fn a_member_does_not_lose_its_id() {
        for path in [
            "members[value eq \"u1\"].value",
            "members[type eq \"User\"].VALUE",
            "members.value",
        ] {
            for value in [json!(null), json!([])] {
                assert_eq!(
                    refusal(json!([{"op": "replace", "path": path, "value": value}])),
                    ErrorKind::Mutability,
                    "{path} {value}"
                );
            }
        }
        assert_eq!(
            refusal(json!([{"op": "remove", "path": "members[value eq \"u1\"].value"}])),
            ErrorKind::Mutability
        );
        // A malformed id and a missing id are wrong values.
        for value in [
            json!(""),
            json!({"value": null}),
            json!({}),
            json!([{"value": null}]),
        ] {
            let path = "members[value eq \"u1\"]";
            assert_eq!(
                refusal(json!([{"op": "replace", "path": path, "value": value}])),
                ErrorKind::InvalidValue,
                "{value}"
            );
            assert_eq!(
                refusal(json!([{"op": "remove", "path": "members", "value": value}])),
                ErrorKind::InvalidValue,
                "{value}"
            );
        }
    }

    #[test]
    fn a_removal_with_filter_and_value_removes_what_both_name() {
        let remove = |filter: &str, value: Value| json!([{"op": "remove", "path": format!("members[{filter}]"), "value": value}]);
        check(
            remove("value eq \"a\"", json!([{"value": "b"}])),
            false,
            &[],
            &[],
        );
        check(
            remove("value eq \"a\" or value eq \"b\"", json!([{"value": "b"}])),
            false,
            &[],
            &["b"],
        );
        check(
            json!([{"op": "remove", "path": "members[type eq \"User\" and value eq \"u1\"]"}]),
            false,
            &[],
            &["u1"],
        );
        check(
            json!([{"op": "remove", "path": "members[value eq \"u1\" and type eq \"Group\"]"}]),
            false,
            &[],
            &[],
        );
        check(
            remove("type eq \"Group\"", json!([{"value": "u1"}])),
            false,
            &[],
            &[],
        );
        check(
            remove(
                "type eq \"Group\"",
                json!([{"value": "u1"}, {"value": "g1"}]),
            ),
            false,
            &[],
            &["g1"],
        );
    }

    #[test]
    fn the_urn_of_the_core_schema_is_the_group_itself() {
        let urn = crate::schema::standard::GROUP;
        check(
            json!([{"op": "add", "path": urn, "value": {"members": [{"value": "a"}]}}]),
            false,
            &["a"],
            &[],
        );
        check(
            json!([{"op": "remove", "path": urn, "value": {"members": [{"value": "a"}]}}]),
            false,
            &[],
            &["a"],
        );
        check(
            json!([{"op": "replace", "path": urn, "value": {"members": [{"value": "a"}]}}]),
            true,
            &["a"],
            &[],
        );
    }

    #[test]
    fn many_operations_take_as_many_steps_and_a_filter_takes_one_for_each_member() {
        let set = SchemaSet::standard();
        let schema = set.by_name("Group").unwrap();
        let current: Vec<Value> = (0..1_000)
            .map(|number| json!({"value": format!("u{number}"), "type": "User"}))
            .collect();
        let folded = |count: usize, operation: &dyn Fn(usize) -> Value| {
            let operations: Vec<Value> = (0..count).map(operation).collect();
            let body = json!({ "schemas": [patch::PATCH_SCHEMA], "Operations": operations });
            let split = split(
                schema,
                patch::parse(schema, body, &QuirkSet::standard()).unwrap(),
            )
            .unwrap();
            let mut work = Work::default();
            fold(schema, &split.members, &current, &mut work)
                .map(|delta| (delta.added.len() + delta.removed.len(), work.steps()))
        };
        let by_id = |op: &'static str| move |number: usize| json!({"op": op, "path": format!("members[value eq \"u{number}\"]")});
        let add = |number: usize| json!({"op": "add", "path": "members", "value": [{"value": format!("n{number}")}]});
        // What Entra sends.
        assert_eq!(folded(10_000, &by_id("remove")), Ok((10_000, 20_000)));
        assert_eq!(folded(10_000, &add), Ok((10_000, 20_000)));
        let replace = |number: usize| json!({"op": "replace", "path": format!("members[value eq \"u{number}\"].value"), "value": format!("n{number}")});
        assert_eq!(folded(1_000, &replace), Ok((2_000, 2_000)));
        let typed = |number: usize| json!({"op": "remove", "path": format!("members[value eq \"u{number}\" and type eq \"User\"]")});
        assert_eq!(folded(1_000, &typed), Ok((1_000, 3_000)));
        let by_type = |number: usize| json!({"op": "remove", "path": format!("members[type eq \"t{number}\"]")});
        assert_eq!(folded(1_000, &by_type).map(|(changed, _)| changed), Ok(0));
        let error = folded(6_000, &by_type).unwrap_err();
        assert_eq!(
            (error.kind(), error.path()),
            (ErrorKind::TooMany, Some("Operations"))
        );
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
        let (found, others) = delta(
            json!([{"op": "replace", "value": {"displayName": "D", "members": [{"value": "a"}]}}]),
            &[],
        );
        assert_eq!(
            (found.replace, found.added, others),
            (true, vec!["a".to_owned()], 1)
        );
    }

    #[test]
    fn a_member_without_an_id_is_refused() {
        for value in [
            json!([{"display": "A"}]),
            json!([{"value": ""}]),
            json!([7]),
            json!([{"value": 7}]),
        ] {
            assert_eq!(ids(value).unwrap_err().kind(), ErrorKind::InvalidValue);
        }
    }
}
