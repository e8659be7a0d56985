//! Every write is a value: all of it is committed, or nothing.

use std::collections::BTreeSet;

use jiff::Timestamp;
use scim_protocol::TypeSchema;
use scim_protocol::patch::member::MemberDelta;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::access::Caller;
use crate::deletion_guard::GuardSettings;
use crate::document::Document;

/// A decision to change the directory. Built only with at least one write, and each write makes its change-log row, so no commit is without one.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeSet {
    /// Committing the same id twice is committing it once.
    pub change_id: Uuid,
    /// When it was decided; becomes `meta.lastModified`.
    pub at: Timestamp,
    /// The revision of the tenant's types that it was decided with: a commit at another one would write index rows of yesterday.
    pub types_revision: u64,
    /// In order.
    pub writes: Vec<Write>,
    /// Who wants it, and what else happens with it.
    pub policy: Policy,
}

impl ChangeSet {
    /// The ids of the people that it deletes or leaves inactive. What was issued to them (tokens, OAuth clients, issuers) ends in the same commit, and does
    /// not come back with them.
    pub fn leavers(&self) -> BTreeSet<&str> {
        self.writes
            .iter()
            .filter(|write| write.is_of_a_leaver())
            .map(|write| write.id.as_str())
            .collect()
    }
}

/// Who sent a change set, and what the store does besides applying it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// The credential it came with.
    pub credential_id: String,
    /// Whether the history is kept.
    pub keep_history: bool,
    /// The guard that may hold it; `None` if an administrator writes.
    pub guard: Option<GuardSettings>,
    /// Whether references to resources that are not there wait.
    pub pending_references: bool,
    /// Whether a group is refused a `displayName` that another group has.
    pub unique_group_names: bool,
}

impl Policy {
    /// The path of an attribute of this type, not unique by its schema, of which no resource may take a value that another one has. Those that had the
    /// same value before keep it.
    pub fn alone(&self, resource_type: &str) -> Option<&'static str> {
        (self.unique_group_names && resource_type == "Group").then_some("displayName")
    }

    /// The tenant's policy for writes of clients.
    pub fn of_client(caller: &Caller) -> Self {
        Self {
            guard: Some(caller.tenant.settings.guard),
            ..Self::of_administrator(caller)
        }
    }

    /// The tenant's policy for writes of administrators: no guard holds them.
    pub fn of_administrator(caller: &Caller) -> Self {
        Self {
            credential_id: caller.credential_id.clone(),
            keep_history: caller.tenant.settings.history_days > 0,
            guard: None,
            pending_references: caller.may_name_people(),
            unique_group_names: caller.tenant.settings.unique_group_names,
        }
    }
}

/// What a resource was when it was deleted: it gets its id back, and its versions go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    /// The version that its deletion made.
    pub version: u64,
    /// `meta.created`.
    pub created: Timestamp,
}

/// The time and the id with which a write is decided.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// The id of the change.
    pub change_id: Uuid,
}

impl Moment {
    /// A change set of one write.
    pub(crate) fn change_set(self, schema: &TypeSchema, id: &str, change: Change) -> ChangeSet {
        let write = Write {
            resource_type: schema.name().to_owned(),
            id: id.to_owned(),
            change,
        };
        self.change_set_of(schema.revision, vec![write])
    }

    /// A change set of these writes. The commit adds the policy.
    pub(crate) fn change_set_of(self, types_revision: u64, writes: Vec<Write>) -> ChangeSet {
        ChangeSet {
            change_id: self.change_id,
            at: self.at,
            types_revision,
            writes,
            policy: Policy::default(),
        }
    }
}

/// A write to one resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Name of the resource type (`User`).
    pub resource_type: String,
    /// The resource's id.
    pub id: String,
    /// What to do.
    pub change: Change,
}

/// The resource type of people.
pub const PERSON: &str = "User";

/// Whether a person with this document is active. A person who does not say is active.
pub fn is_active(document: &Map<String, Value>) -> bool {
    document.get("active") != Some(&Value::Bool(false))
}

impl Write {
    /// Whether it deletes a person or leaves one inactive. A new person, also one who comes back after a deletion, has nothing that could end.
    fn is_of_a_leaver(&self) -> bool {
        let leaves = match &self.change {
            Change::Update {
                content: Some(content),
                ..
            } => !is_active(&content.document),
            Change::Create { .. } | Change::Update { content: None, .. } => false,
            Change::Delete { .. } => true,
        };
        leaves && self.resource_type == PERSON
    }
}

/// What a write does.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A new resource.
    Create {
        /// What it holds.
        content: Content,
        /// Ids of its members; each must exist.
        members: Vec<String>,
        /// Of a resource that comes back: it must have been deleted, and the store must remember it.
        former: Option<Former>,
    },
    /// A change of an existing one. If neither content nor members change anything, nothing is written and the version stays.
    Update {
        /// What must hold.
        precondition: Precondition,
        /// What it holds from now on; `None`: only members change, and the resource was not read.
        content: Option<Content>,
        /// What happens to its members. Members to add must exist; members to remove may be unknown.
        members: MemberDelta,
        /// What of it is told to those who follow the changes.
        effect: Effect,
    },
    /// Its end. Its memberships go with it, and the groups it was in change too (version, change log).
    Delete {
        /// What must hold.
        precondition: Precondition,
    },
}

/// What an update does to the document, for the change log. That members changed is added by the commit, which alone knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Whether the whole took the place of the whole (PUT), and not a part of a part (PATCH).
    pub replaces: bool,
    /// What `active` is from now on, where it was the opposite before.
    pub active: Option<bool>,
    /// Canonical names of the attributes that differ; those of an extension begin with its URN.
    pub attributes: Vec<String>,
}

impl Effect {
    /// Compares what a resource held with what it will hold.
    pub fn between(
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        replaces: bool,
    ) -> Self {
        let active = (is_active(before) != is_active(after)).then(|| is_active(after));
        let mut attributes = Vec::new();
        for (name, before, after) in differing(before, after) {
            match (
                before.and_then(Value::as_object),
                after.and_then(Value::as_object),
            ) {
                (before, after) if name.contains(':') && (before.is_some() || after.is_some()) => {
                    let none = Map::new();
                    let inside = differing(before.unwrap_or(&none), after.unwrap_or(&none));
                    attributes.extend(inside.map(|(inner, ..)| format!("{name}:{inner}")));
                }
                _ => attributes.push(name.to_owned()),
            }
        }
        Self {
            replaces,
            active,
            attributes,
        }
    }
}

/// The attributes whose values differ. `schemas` follows from the others.
fn differing<'a>(
    before: &'a Map<String, Value>,
    after: &'a Map<String, Value>,
) -> impl Iterator<Item = (&'a str, Option<&'a Value>, Option<&'a Value>)> {
    let gone = before
        .iter()
        .filter(|(name, _)| !after.contains_key(*name))
        .map(|(name, value)| (name.as_str(), Some(value), None));
    let there = after
        .iter()
        .map(|(name, value)| (name.as_str(), before.get(name), Some(value)));
    gone.chain(there)
        .filter(|(name, before, after)| *name != "schemas" && before != after)
}

/// What must hold when the write is applied, checked in the statement that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// It exists.
    Exists,
    /// It exists in this version.
    VersionIs(u64),
}

/// What a resource holds, ready to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// The document of a `ValidResource`; the answer shares it.
    pub document: Document,
    /// What people call it: a User's `displayName` or `userName`, a Group's `displayName`.
    pub display: String,
    /// Values of indexed attributes.
    pub index: Vec<IndexEntry>,
}

/// A value of an indexed attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Canonical path (`emails.value`).
    pub path: String,
    /// Whether no other resource of the type may have it.
    pub unique: bool,
    /// The value's order-preserving key (`scim_protocol::filter` makes it).
    pub key: Vec<u8>,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The version it has now (0 after a delete).
    pub version: u64,
    /// `meta.created`.
    pub created: Timestamp,
    /// `meta.lastModified`.
    pub last_modified: Timestamp,
    /// Whether anything changed.
    pub changed: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leavers_are_people_who_are_deleted_or_left_inactive() {
        let content = |document: Value| Content {
            document: document.as_object().unwrap().clone().into(),
            display: String::new(),
            index: Vec::new(),
        };
        let (precondition, members, effect) = (
            Precondition::Exists,
            MemberDelta::default(),
            Effect::default(),
        );
        let update = |document: Option<Value>| Change::Update {
            precondition,
            content: document.map(content),
            members: members.clone(),
            effect: effect.clone(),
        };
        let check = |resource_type: &str, change: Change, leaves: bool| {
            let write = Write {
                resource_type: resource_type.into(),
                id: "a".into(),
                change,
            };
            let (change_id, at) = (Uuid::nil(), Timestamp::UNIX_EPOCH);
            let again = write.clone();
            let change_set = ChangeSet {
                change_id,
                at,
                types_revision: 0,
                writes: vec![write, again],
                policy: Policy::default(),
            };
            assert_eq!(
                change_set.leavers().into_iter().collect::<Vec<_>>(),
                if leaves { vec!["a"] } else { vec![] },
                "{change_set:?}"
            );
        };
        check("User", update(Some(json!({"active": false}))), true);
        check("User", update(Some(json!({"active": true}))), false);
        check("User", update(Some(json!({}))), false);
        check("User", update(None), false);
        check("User", Change::Delete { precondition }, true);
        check(
            "User",
            Change::Create {
                content: content(json!({"active": false})),
                members: Vec::new(),
                former: None,
            },
            false,
        );
        check("Device", update(Some(json!({"active": false}))), false);
        check("Group", Change::Delete { precondition }, false);
    }

    #[test]
    fn effects() {
        let check = |before: Value, after: Value, active: Option<bool>, attributes: &[&str]| {
            let (Value::Object(before), Value::Object(after)) = (before, after) else {
                panic!("not objects")
            };
            let effect = Effect::between(&before, &after, false);
            assert_eq!(
                (effect.active, effect.attributes),
                (active, attributes.iter().map(ToString::to_string).collect()),
                "{after:?}"
            );
        };
        check(json!({"title": "a"}), json!({"title": "a"}), None, &[]);
        check(
            json!({"title": "a", "locale": "de"}),
            json!({"title": "b", "timezone": "x"}),
            None,
            &["locale", "title", "timezone"],
        );
        check(json!({}), json!({"active": true}), None, &["active"]);
        check(
            json!({}),
            json!({"active": false}),
            Some(false),
            &["active"],
        );
        check(json!({"active": false}), json!({}), Some(true), &["active"]);
        check(
            json!({"schemas": ["a"], "urn:x:User": {"department": "d", "division": "e"}}),
            json!({"schemas": ["b"], "urn:x:User": {"division": "e", "costCenter": "1"}}),
            None,
            &["urn:x:User:department", "urn:x:User:costCenter"],
        );
        check(
            json!({}),
            json!({"urn:x:User": {"division": "e"}}),
            None,
            &["urn:x:User:division"],
        );
    }
}
