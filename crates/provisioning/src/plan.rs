//! What to do next about one account: the difference between what it should be and what was last acknowledged. Sends nothing and reads no answer.

use std::collections::BTreeSet;

use scim_protocol::TypeSchema;
use scim_protocol::resource::is_same;
use serde_json::{Map, Value};

use crate::account::{AccountChange, AccountId, Edit, Place};
use crate::comparison::is_single_complex;
use crate::link::{Link, LinkState};
use crate::mapping::Desired;
use crate::matching::{self, Lookup};
use crate::resource_type::has_active;
use crate::scope::Scope;

/// All that a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The type's schema.
    pub schema: &'a TypeSchema,
    /// What the resource is to the application.
    pub scope: Scope,
    /// What the account should be, where it is wanted.
    pub desired: Option<&'a Desired>,
    /// The link.
    pub link: Option<&'a Link>,
    /// Whether accounts that can be deactivated are deleted there when their resource leaves.
    pub delete_users: bool,
    /// Whether the account is to be read before anything is said of it.
    pub read_first: bool,
    /// Most members in one request.
    pub members_max: usize,
    /// What the application did not accept in this claim, by name: it is not sent again.
    pub aside: &'a BTreeSet<String>,
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
    Read(AccountId),
    /// Change it.
    Change(AccountChange),
    /// Delete it.
    Delete(AccountId),
}

/// Decides.
pub fn decide(situation: &Situation<'_>) -> Step {
    let Some(link) = situation.link else {
        return match (situation.scope, situation.desired) {
            (Scope::Wanted, Some(desired)) => Step::Match(matching::lookups(
                situation.schema,
                Some(&desired.document),
                None,
            )),
            _ => Step::Nothing,
        };
    };
    if situation.scope == Scope::Ignored {
        return Step::Nothing;
    }
    let known = link
        .remote_id
        .as_ref()
        .filter(|_| matches!(link.state, LinkState::Linked | LinkState::Uncertain));
    let Some(id) = known.and_then(|id| AccountId::new(id.as_str())) else {
        let wanted = situation.desired.map(|desired| &desired.document);
        return Step::Match(matching::lookups(
            situation.schema,
            wanted,
            Some(&link.acknowledged),
        ));
    };
    match situation.desired {
        None if has_active(situation.schema) && !situation.delete_users => {
            match link.acknowledged.get("active") {
                Some(Value::Bool(false)) if link.state == LinkState::Linked => Step::Forget,
                _ if situation.aside.contains("active") => Step::Nothing,
                _ => Step::Change(AccountChange::disable(id)),
            }
        }
        None => Step::Delete(id),
        Some(_) if situation.read_first || link.state == LinkState::Uncertain => Step::Read(id),
        Some(desired) => update(situation, link, id, desired),
    }
}

/// The next change. What takes something away from somebody goes alone and first, so that nothing else can have it refused: members who leave, then that
/// the account may no longer be used, then everything else.
fn update(situation: &Situation<'_>, link: &Link, id: AccountId, desired: &Desired) -> Step {
    let is_sent = |name: &str| !situation.aside.contains(name);
    let (has, in_doubt) = (link.members(), link.members_in_doubt());
    let removed = has
        .union(&in_doubt)
        .filter(|member| !desired.members.contains_key(*member) && is_sent(member));
    let removed: BTreeSet<String> = removed.take(situation.members_max).cloned().collect();
    if !removed.is_empty() {
        return Step::Change(AccountChange {
            removed,
            ..AccountChange::of(id)
        });
    }
    let mut edits = changes(situation.schema, &link.attributes(), &desired.document);
    edits.retain(|edit| is_sent(&edit.place.to_string()));
    if edits
        .iter()
        .any(|edit| edit.place.is_active() && edit.value == Some(Value::Bool(false)))
    {
        return Step::Change(AccountChange::disable(id));
    }
    let added = desired
        .members
        .iter()
        .filter(|(member, _)| !has.contains(*member) && is_sent(member));
    let added = added
        .take(situation.members_max)
        .map(|(member, group)| (member.clone(), *group))
        .collect();
    let change = AccountChange {
        edits,
        added,
        ..AccountChange::of(id)
    };
    if change.is_empty() {
        Step::Nothing
    } else {
        Step::Change(change)
    }
}

/// The edits that make `from` into `to`, in the forms that most applications accept: sub-attributes of a single complex attribute on their own, a
/// multi-valued attribute whole. (`patch::difference` finds shorter ones, with value paths that fewer applications read.) In `from` null stands for
/// something that is not known.
pub fn changes(
    schema: &TypeSchema,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
) -> Vec<Edit> {
    let mut edits = Vec::new();
    for name in names(from, to)
        .into_iter()
        .filter(|name| *name != "members")
    {
        let single = |name: &str| schema.core_attribute(name).is_some_and(is_single_complex);
        match schema.extension(name) {
            Some(extension) => {
                let empty = Map::new();
                let part =
                    |side: &Map<String, Value>| side.get(name).and_then(Value::as_object).cloned();
                let (from, to) = (
                    part(from).unwrap_or_else(|| empty.clone()),
                    part(to).unwrap_or(empty),
                );
                for inner in names(&from, &to) {
                    let place = Place {
                        extension: Some(extension.id.clone()),
                        attribute: inner.clone(),
                        sub: None,
                    };
                    edits.extend(edit(place, from.get(inner), to.get(inner)));
                }
            }
            None if single(name) => match (
                from.get(name).and_then(Value::as_object),
                to.get(name).and_then(Value::as_object),
            ) {
                (Some(from), Some(to)) => {
                    for inner in names(from, to) {
                        let place = Place {
                            extension: None,
                            attribute: name.clone(),
                            sub: Some(inner.clone()),
                        };
                        edits.extend(edit(place, from.get(inner), to.get(inner)));
                    }
                }
                _ => edits.extend(edit(Place::core(name), from.get(name), to.get(name))),
            },
            None => edits.extend(edit(Place::core(name), from.get(name), to.get(name))),
        }
    }
    edits
}

fn names<'a>(from: &'a Map<String, Value>, to: &'a Map<String, Value>) -> Vec<&'a String> {
    to.keys()
        .chain(from.keys().filter(|name| !to.contains_key(*name)))
        .collect()
}

fn edit(place: Place, from: Option<&Value>, to: Option<&Value>) -> Option<Edit> {
    let value = match to {
        None if from.is_none() => return None,
        // The order of values means nothing, here and over there.
        Some(to) if from.is_some_and(|from| is_same(from, to)) => return None,
        // Somebody of whom nothing is said is active (RFC 7643 section 4.1.1); some applications take it for the contrary.
        None if place.is_active() && from.and_then(Value::as_bool) == Some(true) => return None,
        None if place.is_active() => Some(Value::Bool(true)),
        other => other.cloned(),
    };
    Some(Edit { place, value })
}
