//! What to do next about one account: the difference between what it should be and what was last acknowledged. Sends nothing and reads no answer.

use std::collections::BTreeSet;

use scim_protocol::TypeSchema;
use scim_protocol::resource::is_same;
use scim_protocol::schema::AttributeType;
use serde_json::{Map, Value, json};

use crate::link::{Link, LinkState};
use crate::mapping::{self, Desired};
use crate::matching::{self, Lookup};
use crate::scope::Scope;

/// All that a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The type's standard schema.
    pub schema: &'a TypeSchema,
    /// What the resource is to the application.
    pub scope: Scope,
    /// What the account should be, where it is wanted.
    pub desired: Option<&'a Desired>,
    /// The link.
    pub link: Option<&'a Link>,
    /// Whether the application can PATCH this resource.
    pub patch: bool,
    /// Whether people who leave are deleted there (else deactivated).
    pub delete_users: bool,
    /// Whether the account is to be read before anything is said of it.
    pub read_first: bool,
    /// Most members in one request.
    pub members_max: usize,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// All is as it should be.
    Nothing,
    /// The account is no longer ours to care for.
    Forget,
    /// Look for the account; create it only with proof that there is none.
    Match(Vec<Lookup>),
    /// Read the account.
    Read(String),
    /// Change it.
    Patch(Patch),
    /// Read it and replace it.
    Replace(String),
    /// Deactivate it.
    Deactivate(String),
    /// Delete it.
    Delete(String),
}

/// A PATCH and what is acknowledged once it is accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// The account.
    pub remote_id: String,
    /// The operations.
    pub operations: Vec<Value>,
    /// The attributes afterwards.
    pub document: Map<String, Value>,
    /// The members afterwards, sorted.
    pub members: Vec<String>,
}

/// Decides.
pub fn decide(situation: &Situation<'_>) -> Step {
    let Some(link) = situation.link else {
        return match (situation.scope, situation.desired) {
            (Scope::Wanted, Some(desired)) => Step::Match(matching::lookups(situation.schema.name(), Some(&desired.document), None)),
            _ => Step::Nothing,
        };
    };
    let remote_id = match (&link.remote_id, link.state) {
        (Some(remote_id), LinkState::Linked | LinkState::Uncertain) if situation.scope != Scope::Ignored => remote_id.clone(),
        _ if situation.scope == Scope::Ignored => return Step::Nothing,
        _ => {
            let wanted = situation.desired.map(|desired| &desired.document);
            return Step::Match(matching::lookups(situation.schema.name(), wanted, Some(&link.acknowledged)));
        }
    };
    match situation.desired {
        None if situation.schema.name() == "User" && !situation.delete_users => match link.acknowledged.get("active") {
            Some(Value::Bool(false)) if link.state == LinkState::Linked => Step::Forget,
            _ => Step::Deactivate(remote_id),
        },
        None => Step::Delete(remote_id),
        Some(_) if situation.read_first || link.state == LinkState::Uncertain => Step::Read(remote_id),
        Some(desired) => update(situation, link, remote_id, desired),
    }
}

fn update(situation: &Situation<'_>, link: &Link, remote_id: String, desired: &Desired) -> Step {
    let has: BTreeSet<&String> = link.acknowledged_members.iter().collect();
    let changes = changes(situation.schema, &link.acknowledged, &desired.document);
    let removed: Vec<&String> = has.iter().copied().filter(|id| !desired.members.contains_key(*id)).collect();
    let added: Vec<(&String, &bool)> = desired.members.iter().filter(|(id, _)| !has.contains(id)).collect();
    if changes.is_empty() && removed.is_empty() && added.is_empty() {
        return Step::Nothing;
    }
    if !situation.patch {
        return Step::Replace(remote_id);
    }
    let mut operations = changes;
    let mut members: BTreeSet<String> = has.into_iter().cloned().collect();
    let removed = removed.into_iter().take(situation.members_max);
    for id in removed.clone() {
        // A remove with a value array means "remove these" to some and "remove all" to others; a value path means one thing to all.
        operations.push(json!({ "op": "remove", "path": format!("members[value eq {}]", quoted(id)) }));
        members.remove(id);
    }
    let added: Vec<_> = added.into_iter().take(situation.members_max.saturating_sub(removed.count())).collect();
    if !added.is_empty() {
        members.extend(added.iter().map(|(id, _)| (*id).clone()));
        operations.push(json!({ "op": "add", "path": "members", "value": mapping::member_elements(added.into_iter()) }));
    }
    Step::Patch(Patch { remote_id, operations, document: desired.document.clone(), members: members.into_iter().collect() })
}

/// The same change without what an account is matched by, which stays as it was acknowledged; `None` where nothing else is changed, or none of that is.
pub fn without_name(patch: &Patch, resource_type: &str, acknowledged: &Map<String, Value>) -> Option<Patch> {
    let kept = matching::attributes(resource_type);
    let is_name = |operation: &Value| operation.get("path").and_then(Value::as_str).is_some_and(|path| kept.contains(&path));
    let (names, operations): (Vec<Value>, Vec<Value>) = patch.operations.iter().cloned().partition(is_name);
    if names.is_empty() || operations.is_empty() {
        return None;
    }
    let mut document = patch.document.clone();
    for name in kept {
        match acknowledged.get(name) {
            Some(old) => drop(document.insert(name.to_owned(), old.clone())),
            None => drop(document.shift_remove(name)),
        }
    }
    Some(Patch { operations, document, ..patch.clone() })
}

/// A string of a filter: that of JSON (RFC 7644 section 3.4.2.2).
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The operations that make `from` into `to`, in the forms that most applications accept: one plain path each, sub-attributes of a single complex
/// attribute on their own, a multi-valued attribute whole. (`patch::difference` finds shorter ones, with value paths that fewer applications read.)
pub fn changes(schema: &TypeSchema, from: &Map<String, Value>, to: &Map<String, Value>) -> Vec<Value> {
    let mut operations = Vec::new();
    for name in names(from, to) {
        let single = |name: &str| schema.core_attribute(name).is_some_and(|a| a.kind == AttributeType::Complex && !a.multi_valued);
        match schema.extension(name) {
            Some(extension) => {
                let empty = Map::new();
                let part = |side: &Map<String, Value>| side.get(name).and_then(Value::as_object).cloned();
                let (from, to) = (part(from).unwrap_or_else(|| empty.clone()), part(to).unwrap_or(empty));
                for inner in names(&from, &to) {
                    change(&mut operations, &format!("{}:{inner}", extension.id), from.get(inner), to.get(inner));
                }
            }
            None if single(name) => match (from.get(name).and_then(Value::as_object), to.get(name).and_then(Value::as_object)) {
                (Some(from), Some(to)) => {
                    for inner in names(from, to) {
                        change(&mut operations, &format!("{name}.{inner}"), from.get(inner), to.get(inner));
                    }
                }
                _ => change(&mut operations, name, from.get(name), to.get(name)),
            },
            None => change(&mut operations, name, from.get(name), to.get(name)),
        }
    }
    operations
}

fn names<'a>(from: &'a Map<String, Value>, to: &'a Map<String, Value>) -> Vec<&'a String> {
    to.keys().chain(from.keys().filter(|name| !to.contains_key(*name))).collect()
}

fn change(operations: &mut Vec<Value>, path: &str, from: Option<&Value>, to: Option<&Value>) {
    match to {
        None if from.is_none() => {}
        // The order of values means nothing, here and over there.
        Some(to) if from.is_some_and(|from| is_same(from, to)) => {}
        // Who is not said to be inactive is active (RFC 7643 section 4.1.1); that nothing is said is taken for the contrary by some.
        None if path == "active" && from != Some(&Value::Bool(false)) => {}
        None if path == "active" => operations.push(json!({ "op": "replace", "path": path, "value": true })),
        // Replace where there is nothing yet is an add (RFC 7644 section 3.5.2.3), and on a multi-valued attribute it never merges.
        Some(value) => operations.push(json!({ "op": "replace", "path": path, "value": value })),
        None => operations.push(json!({ "op": "remove", "path": path })),
    }
}

/// The PATCH message of these operations.
pub fn message(operations: &[Value]) -> Value {
    json!({ "schemas": [scim_protocol::patch::PATCH_SCHEMA], "Operations": operations })
}
