//! POST: a body becomes a new resource. Does not know whether its values are taken or its members exist; the commit does.

use scim_protocol::quirk::QuirkSet;
use scim_protocol::validate::validate;
use scim_protocol::{Error, TypeSchema};
use serde_json::Value;

use crate::change_set::{Change, ChangeSet, Moment};
use crate::content::content;

/// Decides a create (RFC 7644 section 3.3).
pub fn decide(
    moment: Moment,
    schema: &TypeSchema,
    id: &str,
    body: Value,
    quirks: &QuirkSet,
) -> Result<ChangeSet, Error> {
    let validated = validate(schema, body, None, quirks)?;
    let members = validated.members.unwrap_or_default();
    Ok(moment.change_set(
        schema,
        id,
        Change::Create {
            content: content(schema, validated.resource),
            members,
            former: None,
        },
    ))
}
