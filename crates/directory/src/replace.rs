//! PUT: a body takes the place of what a resource holds. What is absent is cleared, members too (RFC 7644 section 3.5.1).

use scim_protocol::patch::member::MemberDelta;
use scim_protocol::quirk::QuirkSet;
use scim_protocol::validate::validate;
use scim_protocol::{Error, TypeSchema, ValidResource};
use serde_json::Value;

use crate::change_set::{Change, ChangeSet, Effect, Moment, Precondition};
use crate::content::content;

/// Decides a replacement of the resource `id`, which held `current` in version `version`.
pub fn decide(
    moment: Moment,
    schema: &TypeSchema,
    (id, version): (&str, u64),
    current: &ValidResource,
    body: Value,
    quirks: &QuirkSet,
) -> Result<ChangeSet, Error> {
    let validated = validate(schema, body, Some(current), quirks)?;
    let members = validated
        .members
        .map_or_else(MemberDelta::default, |added| MemberDelta {
            replace: true,
            added,
            removed: Vec::new(),
        });
    let effect = Effect::between(current.document(), validated.resource.document(), true);
    let content = Some(content(schema, validated.resource));
    Ok(moment.change_set(
        schema,
        id,
        Change::Update {
            precondition: Precondition::VersionIs(version),
            content,
            members,
            effect,
        },
    ))
}
