//! What people may not change of themselves: whether they are active, their groups, roles and entitlements. Others decide about these. Reads nothing, and does
//! not know by which path or message a change was asked for: it looks at what a change set would change.

use scim_protocol::Error;
use scim_protocol::ErrorKind;
use serde_json::{Map, Value};

use crate::change_set::{Change, ChangeSet, Content, PERSON, Precondition, Write, is_active};
use crate::pending::Names;
use crate::store::{CommitError, StoredResource};

/// The attribute by which a User says in which groups they are.
pub const GROUPS: &str = "groups";
/// The attributes, besides `active` and `groups`, that say what a person may do.
const GRANTS: [&str; 2] = ["roles", "entitlements"];

/// Refuses a change set that changes what its author, this person (read with their groups), may not change of themself.
pub fn check(person: &StoredResource, change_set: &ChangeSet) -> Result<(), CommitError> {
    for write in &change_set.writes {
        let attribute = if write.id == person.id {
            changed_of_person(person, write)
        } else {
            changes_groups(person, write).then_some(GROUPS)
        };
        if let Some(attribute) = attribute {
            return Err(CommitError::OfOneself { attribute });
        }
    }
    Ok(())
}

/// The refusal that names the attribute.
pub fn refusal(attribute: &str) -> Error {
    let detail = format!(
        "This token stands for a person, and people cannot change their own `{attribute}`; send a request that leaves their own `active`, `{GROUPS}`, `{}` \
         as they are. An administrator can change them.",
        GRANTS.join("`, `")
    );
    Error::new(ErrorKind::Forbidden, detail).at(attribute)
}

/// Refuses a representation of a person that names a group in which they are not. What it leaves out, and what it repeats, changes nothing.
pub fn check_groups(person: &StoredResource, body: &Value) -> Result<(), Error> {
    let named = body.as_object().and_then(|body| {
        body.iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(GROUPS))
    });
    let listed = named
        .and_then(|(_, groups)| groups.as_array())
        .map(Vec::as_slice)
        .unwrap_or_default();
    let is_own = |group: &Value| {
        group
            .get("value")
            .and_then(Value::as_str)
            .is_none_or(|id| person.groups.iter().any(|own| own.id == id))
    };
    if listed.iter().all(is_own) {
        Ok(())
    } else {
        Err(refusal(GROUPS))
    }
}

/// What a write to the person changes that it must not.
fn changed_of_person(person: &StoredResource, write: &Write) -> Option<&'static str> {
    match &write.change {
        // A write that was decided with another version is refused by the commit and decided again.
        Change::Update {
            precondition: Precondition::VersionIs(version),
            ..
        } if *version != person.version => None,
        Change::Update {
            content: Some(Content { document, .. }),
            ..
        } if write.resource_type == PERSON => changed(&person.document, document),
        Change::Update { .. } => None,
        Change::Create { .. } | Change::Delete { .. } => Some("active"),
    }
}

fn changed(before: &Map<String, Value>, after: &Map<String, Value>) -> Option<&'static str> {
    if is_active(before) != is_active(after) {
        return Some("active");
    }
    GRANTS
        .into_iter()
        .find(|name| !are_same(before.get(*name), after.get(*name)))
}

/// Whether two lists hold the same values, in any order.
fn are_same(one: Option<&Value>, other: Option<&Value>) -> bool {
    if one == other {
        return true;
    }
    let elements =
        |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let (one, mut other) = (elements(one), elements(other));
    one.len() == other.len()
        && one.iter().all(|element| {
            other
                .iter()
                .position(|candidate| candidate == element)
                .map(|place| other.swap_remove(place))
                .is_some()
        })
}

/// Whether a write to another resource puts the person into a group or takes them out of one, directly or through a group in which they are.
fn changes_groups(person: &StoredResource, write: &Write) -> bool {
    let names = Names::of(&person.id, &person.document);
    let leads_to_person =
        |id: &String| names.are_meant_by(id) || person.groups.iter().any(|group| group.id == *id);
    let is_in = person.groups.iter().any(|group| group.id == write.id);
    match &write.change {
        Change::Create { members, .. } => members.iter().any(leads_to_person),
        Change::Update { members, .. } => {
            let joins = members.added.iter().any(leads_to_person);
            let leaves = members.removed.iter().any(leads_to_person) || (members.replace && !joins);
            if is_in { leaves } else { joins }
        }
        Change::Delete { .. } => is_in,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use scim_protocol::patch::member::MemberDelta;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::change_set::{Effect, Policy};
    use crate::document::Document;
    use crate::store::Related;

    fn document(value: Value) -> Document {
        value.as_object().unwrap().clone().into()
    }

    fn person() -> StoredResource {
        let held = json!({"userName": "Ann", "externalId": "E", "active": true, "roles": [{"value": "a"}, {"value": "b"}]});
        let group = |id: &str, direct| Related {
            id: id.into(),
            resource_type: "Group".into(),
            display: String::new(),
            direct,
        };
        StoredResource {
            resource_type: PERSON.into(),
            id: "ann".into(),
            version: 3,
            created: Timestamp::UNIX_EPOCH,
            last_modified: Timestamp::UNIX_EPOCH,
            document: document(held),
            members: Vec::new(),
            groups: vec![group("direct", true), group("indirect", false)],
        }
    }

    fn refused(resource_type: &str, id: &str, change: Change) -> Option<&'static str> {
        let write = Write {
            resource_type: resource_type.into(),
            id: id.into(),
            change,
        };
        let (change_id, at) = (Uuid::nil(), Timestamp::UNIX_EPOCH);
        let change_set = ChangeSet {
            change_id,
            at,
            types_revision: 0,
            writes: vec![write],
            policy: Policy::default(),
        };
        match check(&person(), &change_set) {
            Err(CommitError::OfOneself { attribute }) => Some(attribute),
            outcome => outcome.map(|()| None).unwrap(),
        }
    }

    #[test]
    fn people_change_what_is_theirs_and_nothing_that_others_decide() {
        let check = |after: Value, version: u64, attribute: Option<&str>| {
            let content = Some(Content {
                document: document(after.clone()),
                display: String::new(),
                index: Vec::new(),
            });
            let (precondition, members) =
                (Precondition::VersionIs(version), MemberDelta::default());
            let change = Change::Update {
                precondition,
                content,
                members,
                effect: Effect::default(),
            };
            assert_eq!(refused(PERSON, "ann", change), attribute, "{after}");
        };
        let roles = json!([{"value": "a"}, {"value": "b"}]);
        check(
            json!({"userName": "Ann", "title": "Dr", "active": true, "roles": roles}),
            3,
            None,
        );
        check(
            json!({"active": true, "roles": [{"value": "b"}, {"value": "a"}]}),
            3,
            None,
        );
        check(json!({"roles": roles}), 3, None);
        check(json!({"active": false, "roles": roles}), 3, Some("active"));
        check(json!({"active": true}), 3, Some("roles"));
        check(
            json!({"roles": [{"value": "a"}, {"value": "a"}]}),
            3,
            Some("roles"),
        );
        check(
            json!({"roles": [{"value": "a"}, {"value": "b", "primary": true}]}),
            3,
            Some("roles"),
        );
        check(
            json!({"roles": roles, "entitlements": [{"value": "x"}]}),
            3,
            Some("entitlements"),
        );
        check(json!({"roles": roles, "entitlements": []}), 3, None);
        check(json!({"active": false}), 2, None);
        assert_eq!(
            refused(
                PERSON,
                "ann",
                Change::Delete {
                    precondition: Precondition::Exists
                }
            ),
            Some("active")
        );
        assert_eq!(
            refused(
                PERSON,
                "bob",
                Change::Delete {
                    precondition: Precondition::Exists
                }
            ),
            None
        );
    }

    #[test]
    fn nobody_joins_or_leaves_a_group_by_their_own_hand() {
        let check =
            |group: &str, replace: bool, added: &[&str], removed: &[&str], is_refused: bool| {
                let owned = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
                let members = MemberDelta {
                    replace,
                    added: owned(added),
                    removed: owned(removed),
                };
                let change = Change::Update {
                    precondition: Precondition::Exists,
                    content: None,
                    members,
                    effect: Effect::default(),
                };
                assert_eq!(
                    refused("Group", group, change),
                    is_refused.then_some(GROUPS),
                    "{group} {added:?} {removed:?}"
                );
            };
        check("other", false, &["bob"], &["cy"], false);
        check("other", false, &["ann"], &[], true);
        check("other", false, &["aNN"], &[], true);
        check("other", false, &["E"], &[], true);
        check("other", false, &["indirect"], &[], true);
        check("other", true, &["bob", "direct"], &[], true);
        check("other", true, &["bob"], &[], false);
        check("other", false, &[], &["ann"], false);
        check("direct", false, &["ann", "bob"], &[], false);
        check("direct", false, &[], &["ann"], true);
        check("direct", false, &[], &["bob"], false);
        check("direct", true, &["ann", "bob"], &[], false);
        check("direct", true, &["bob"], &[], true);
        check("direct", true, &[], &[], true);
        let create = |members: &[&str]| Change::Create {
            content: Content {
                document: document(json!({})),
                display: String::new(),
                index: Vec::new(),
            },
            members: members.iter().map(ToString::to_string).collect(),
            former: None,
        };
        assert_eq!(refused("Group", "new", create(&["bob"])), None);
        assert_eq!(
            refused("Group", "new", create(&["bob", "ann"])),
            Some(GROUPS)
        );
        assert_eq!(
            refused(
                "Group",
                "direct",
                Change::Delete {
                    precondition: Precondition::Exists
                }
            ),
            Some(GROUPS)
        );
        assert_eq!(
            refused(
                "Group",
                "other",
                Change::Delete {
                    precondition: Precondition::Exists
                }
            ),
            None
        );
    }

    #[test]
    fn groups_may_be_repeated() {
        let check = |body: Value, is_refused: bool| {
            assert_eq!(
                check_groups(&person(), &body).is_err(),
                is_refused,
                "{body}"
            );
        };
        check(json!({}), false);
        check(json!({"groups": []}), false);
        check(
            json!({"groups": [{"value": "direct", "type": "direct"}]}),
            false,
        );
        check(
            json!({"GROUPS": [{"value": "direct"}, {"value": "other"}]}),
            true,
        );
    }
}
