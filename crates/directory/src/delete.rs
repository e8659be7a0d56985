//! DELETE (RFC 7644 section 3.6): the end of a resource and of its memberships.

use scim_protocol::TypeSchema;

use crate::change_set::{Change, ChangeSet, Moment, Precondition};

/// Decides a deletion.
pub fn decide(
    moment: Moment,
    schema: &TypeSchema,
    id: &str,
    precondition: Precondition,
) -> ChangeSet {
    moment.change_set(schema, id, Change::Delete { precondition })
}
