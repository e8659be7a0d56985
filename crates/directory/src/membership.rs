//! Changes of members that never load the group: what they need to know, and their change set. Does not look into other attributes.

use scim_protocol::TypeSchema;
use scim_protocol::patch::member::{MemberDelta, MemberOperation, Split};
use serde_json::{Value, json};

use crate::change_set::{Change, ChangeSet, Effect, Moment, Precondition};
use crate::store::Related;

/// What must be read before a PATCH can be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: only members change, by id.
    Nothing,
    /// The resource without its members.
    Document,
    /// The resource with its members: some are chosen by a filter.
    Members,
}

/// Classifies a PATCH by what it needs.
pub fn needs(split: &Split) -> Needs {
    if split.members.iter().any(|operation| {
        matches!(
            operation,
            MemberOperation::RemoveWhere(_) | MemberOperation::ReplaceWhere(..)
        )
    }) {
        Needs::Members
    } else if split.others.is_empty() && !split.members.is_empty() {
        Needs::Nothing
    } else {
        Needs::Document
    }
}

/// Decides a PATCH of members only, by what `fold` made of it. The group is not read: that it exists is checked in the statement that writes, and such
/// writes commute.
pub fn decide(
    moment: Moment,
    schema: &TypeSchema,
    id: &str,
    precondition: Precondition,
    members: MemberDelta,
) -> ChangeSet {
    moment.change_set(
        schema,
        id,
        Change::Update {
            precondition,
            content: None,
            members,
            effect: Effect::default(),
        },
    )
}

/// Members as the elements that filters in PATCH paths are evaluated on.
pub fn elements(members: &[Related]) -> Vec<Value> {
    members.iter().map(|member| json!({"value": member.id, "type": member.resource_type, "display": member.display})).collect()
}
