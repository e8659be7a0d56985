//! What resources were: the versions of one, a moment of one, deleted ones; restoring one, undoing what was done in a window; and references that wait. What
//! comes back and what stays, `directory` decides.

use directory::DirectoryError;
use directory::directory::UndoLine;
use directory::history::{Deleted, HistoryLine, Kind, Point, Tombstone, Window};
use directory::pending::PendingReference;
use jiff::Timestamp;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::administration::Administration;
use crate::administrator::{Administrator, NOTHING};
use crate::operations::{READ_HISTORY, RESTORE_RESOURCE, UNDO_CHANGES};

/// Lines in one answer.
const LINES_MAX: u32 = 1_000;

/// A change of one resource.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The version that it made.
    pub version: u64,
    /// `create`, `update`, `members`, `delete` or `restore`.
    #[schema(value_type = String)]
    pub kind: Kind,
    /// When.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// The credential that did it.
    pub credential: String,
    /// The change set that it was part of.
    pub change_id: String,
    /// What the resource held before, where the change replaced it.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Map<String, Value>>,
    /// Ids of the members that joined a group with it.
    pub joined: Vec<String>,
    /// Ids of the members that left a group with it.
    pub left: Vec<String>,
    /// Whether members may have joined or left with it that are not named here: an answer names at most 10000 of them, from its first version on.
    pub members_cut: bool,
}

impl HistoryEntry {
    fn of(line: HistoryLine) -> Self {
        Self {
            version: line.version,
            kind: line.kind,
            at: line.at,
            credential: line.credential_id,
            change_id: line.change_id,
            before: line.before,
            joined: line.joined,
            left: line.left,
            members_cut: line.members_cut,
        }
    }
}

/// A resource that is gone.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletedResource {
    /// Its type.
    pub resource_type: String,
    /// Its id.
    pub id: String,
    /// What people called it.
    pub display: String,
    /// When it was deleted.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// The credential that deleted it.
    pub credential: String,
    /// Its `userName`, where it had one.
    pub user_name: Option<String>,
    /// Its `externalId`, where it had one.
    pub external_id: Option<String>,
}

impl DeletedResource {
    fn of(tombstone: Tombstone) -> Self {
        Self {
            resource_type: tombstone.resource_type,
            id: tombstone.id,
            display: tombstone.display,
            at: tombstone.at,
            credential: tombstone.credential_id,
            user_name: tombstone.user_name,
            external_id: tombstone.external_id,
        }
    }
}

/// A reference that waits.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitingReference {
    /// The type of the resource that has it.
    pub resource_type: String,
    /// The id of that resource.
    pub id: String,
    /// `members` or `manager`.
    pub path: String,
    /// Whom it waits for: an id, a `userName` or an `externalId`.
    pub value: String,
    /// Since when.
    #[schema(value_type = String)]
    pub since: Timestamp,
}

impl WaitingReference {
    fn of(reference: PendingReference) -> Self {
        Self {
            resource_type: reference.resource_type,
            id: reference.id,
            path: reference.path,
            value: reference.value,
            since: reference.since,
        }
    }
}

/// Where a list of versions begins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Above {
    /// Only versions above this one.
    pub above: Option<String>,
}

impl Above {
    fn version(&self) -> Result<u64, Error> {
        let refused = |_| {
            let detail = "The parameter `above` is a version, such as `3`.";
            Error::new(ErrorKind::InvalidValue, detail).at("above")
        };
        let version = self.above.as_deref().unwrap_or("0");
        version.parse().map_err(refused)
    }
}

/// Which moment: an instant (RFC 3339) or a version.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

impl When {
    fn point(&self) -> Result<Option<Point>, Error> {
        match (&self.at, self.version) {
            (Some(_), Some(_)) => Err(Error::new(
                ErrorKind::InvalidValue,
                "Both `at` and `version` are given; accepted is one of them.",
            )),
            (Some(at), None) => instant("at", at).map(|at| Some(Point::At(at))),
            (None, version) => Ok(version.map(Point::Version)),
        }
    }
}

fn instant(name: &str, text: &str) -> Result<Timestamp, Error> {
    let detail = || {
        format!("`{name}` is not an instant; accepted is RFC 3339, such as `2030-01-31T00:00:00Z`.")
    };
    text.parse()
        .map_err(|_| Error::new(ErrorKind::InvalidValue, detail()).at(name))
}

/// What shall be undone.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewUndo {
    /// From this instant on (RFC 3339).
    pub from: String,
    /// Before this instant.
    pub until: String,
    /// Only what this credential did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Whether to do it; else the answer says what would be done.
    #[serde(default)]
    pub execute: bool,
}

/// What was undone, or would be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Undone {
    /// Whether it was done.
    pub executed: bool,
    /// What is turned back.
    #[schema(value_type = Vec<Object>)]
    pub done: Vec<UndoLine>,
    /// What stays, and why.
    #[schema(value_type = Vec<Object>)]
    pub skipped: Vec<UndoLine>,
}

/// Changes of one resource that are remembered, oldest first.
pub async fn versions(
    on: &Administration,
    by: &Administrator,
    id: &str,
    above: Above,
) -> Result<Vec<HistoryEntry>, DirectoryError> {
    by.may(&READ_HISTORY)?;
    let above = above.version()?;
    let changes = on.directory.changes_of(&by.caller, id, above, LINES_MAX);
    Ok(changes.await?.into_iter().map(HistoryEntry::of).collect())
}

/// A resource as it was at an instant, or when it had a version.
pub async fn then(
    on: &Administration,
    by: &Administrator,
    id: &str,
    when: When,
) -> Result<Value, DirectoryError> {
    by.may(&READ_HISTORY)?;
    let which = || {
        let detail =
            "One of the parameters `at` (RFC 3339) and `version` (a number) says which moment.";
        Error::new(ErrorKind::InvalidValue, detail)
    };
    let point = when.point()?.ok_or_else(which)?;
    let was = on.directory.as_it_was(&by.caller, id, point).await?;
    Ok(Value::Object(was.into_document()))
}

/// Gives a resource back what it was. A deleted one gets its id, its members and its groups too; where no moment is named, it gets what it was at its end.
pub async fn restore(
    on: &Administration,
    by: &Administrator,
    id: &str,
    when: When,
) -> Result<Value, DirectoryError> {
    by.may(&RESTORE_RESOURCE)?;
    let point = when.point()?;
    let at = on.clock.now();
    let entry = by.entry(&RESTORE_RESOURCE, id, at, NOTHING, Some(&when));
    let directory = on.directory.recording(entry);
    let restored = directory.restore(&by.caller, id, point).await?;
    Ok(Value::Object(restored.into_document()))
}

/// Deleted resources that are remembered, newest first.
pub async fn deleted(
    on: &Administration,
    by: &Administrator,
) -> Result<Vec<DeletedResource>, DirectoryError> {
    by.may(&READ_HISTORY)?;
    let all = Deleted::Before(Timestamp::MAX);
    let found = on.directory.deleted(&by.caller, all, LINES_MAX).await?;
    Ok(found.into_iter().map(DeletedResource::of).collect())
}

/// Turns back what was done in a window, as far as later changes allow; without `execute` only says what that would be. The audit log has one entry for all
/// of it, which the first change stores.
pub async fn undo(
    on: &Administration,
    by: &Administrator,
    new: NewUndo,
) -> Result<Undone, DirectoryError> {
    by.may(&UNDO_CHANGES)?;
    let window = Window {
        from: instant("from", &new.from)?,
        until: instant("until", &new.until)?,
        credential_id: new.credential.clone(),
    };
    // As ISO 8601 writes an interval.
    let interval = format!("{}/{}", window.from, window.until);
    let at = on.clock.now();
    let entry = by.entry(&UNDO_CHANGES, interval, at, NOTHING, Some(&new));
    let directory = on.directory.recording(entry);
    let undone = directory.undo(&by.caller, &window, !new.execute).await?;
    Ok(Undone {
        executed: new.execute,
        done: undone.done,
        skipped: undone.skipped,
    })
}

/// References to people who are not there yet, the oldest first.
pub async fn pending(
    on: &Administration,
    by: &Administrator,
) -> Result<Vec<WaitingReference>, DirectoryError> {
    by.may(&READ_HISTORY)?;
    let found = on.directory.pending(&by.caller, 0, LINES_MAX).await?;
    Ok(found.into_iter().map(WaitingReference::of).collect())
}
