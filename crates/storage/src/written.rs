//! What a commit says of one write: what it found, what it changed, whether its precondition holds. The same on both engines. Reads and writes nothing.

use directory::change_set::{Committed, Precondition, Write};
use directory::history::Kind;
use directory::store::{CommitError, Fault};

use crate::rows::{timestamp, version};

/// What a resource's row says of it, apart from what it holds.
pub(crate) struct Head {
    pub(crate) resource: i64,
    pub(crate) version: i64,
    pub(crate) created: i64,
    pub(crate) modified: i64,
}

/// A change of a resource that was there before.
#[derive(Clone, Copy)]
pub(crate) struct Changed<'a> {
    pub(crate) resource_type: &'a str,
    pub(crate) id: &'a str,
    /// The version that the change made.
    pub(crate) version: i64,
    pub(crate) kind: Kind,
    /// When what was before it began.
    pub(crate) since: i64,
    pub(crate) created: i64,
}

/// A write's change of what was there before.
pub(crate) fn changed<'a>(write: &'a Write, head: &Head, kind: Kind) -> Changed<'a> {
    let Write {
        resource_type, id, ..
    } = write;
    Changed {
        resource_type,
        id,
        version: head.version + 1,
        kind,
        since: head.modified,
        created: head.created,
    }
}

/// Whether a precondition holds.
pub(crate) fn check(precondition: Precondition, head: &Head) -> Result<(), CommitError> {
    match precondition {
        Precondition::VersionIs(wanted) if wanted != version(head.version) => {
            Err(CommitError::VersionChanged {
                current: version(head.version),
            })
        }
        Precondition::VersionIs(_) | Precondition::Exists => Ok(()),
    }
}

/// What is answered of a write.
pub(crate) fn committed(
    version: u64,
    created: i64,
    modified: i64,
    changed: bool,
) -> Result<Committed, Fault> {
    Ok(Committed {
        version,
        created: timestamp(created)?,
        last_modified: timestamp(modified)?,
        changed,
    })
}
