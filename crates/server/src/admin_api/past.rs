//! What was: the versions of a resource, a moment of it, deleted resources; restoring one, undoing a window; and references that wait.

use std::sync::Arc;

use axum::extract::{Query, State as Extract};
use directory::directory::UndoLine;
use directory::history::{Deleted as Which, HistoryLine, Point, Window};
use http::StatusCode;
use jiff::Timestamp;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::administrator::{Administrator, Refuse, Refused};
use super::body::{Answer, Given, Parameters};
use crate::state::State;

/// Lines in one answer.
const LINES_MAX: u32 = 1_000;

/// A change of one resource.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    version: u64,
    /// `create`, `update`, `members`, `delete` or `restore`.
    kind: &'static str,
    at: String,
    credential: String,
    change_id: String,
    /// What the resource held before, where the change replaced it.
    #[schema(value_type = Option<Object>)]
    before: Option<Map<String, Value>>,
    /// Ids of the members that joined a group with it.
    joined: Vec<String>,
    /// Ids of the members that left a group with it.
    left: Vec<String>,
    /// Whether members may have joined or left with it that are not named here: an answer names at most 10000 of them, from its first version on.
    members_cut: bool,
}

/// A resource that is gone.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deleted {
    resource_type: String,
    id: String,
    display: String,
    at: String,
    credential: String,
    user_name: Option<String>,
    external_id: Option<String>,
}

/// A reference that waits.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pending {
    resource_type: String,
    id: String,
    /// `members` or `manager`.
    path: String,
    /// Whom it waits for: an id, a `userName` or an `externalId`.
    value: String,
    since: String,
}

/// Which moment: an instant (RFC 3339) or a version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct When {
    at: Option<String>,
    version: Option<u64>,
}

impl When {
    fn point(self) -> Result<Option<Point>, Error> {
        match (self.at, self.version) {
            (Some(_), Some(_)) => Err(Error::new(
                ErrorKind::InvalidValue,
                "Both `at` and `version` are given; accepted is one of them.",
            )),
            (Some(at), None) => instant("at", &at).map(|at| Some(Point::At(at))),
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
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewUndo {
    /// From this instant on (RFC 3339).
    from: String,
    /// Before this instant.
    until: String,
    /// Only what this credential did.
    credential: Option<String>,
    /// Whether to do it; else the answer says what would be done.
    #[serde(default)]
    execute: bool,
}

/// What was undone, or would be.
#[derive(Serialize, ToSchema)]
pub(crate) struct Undone {
    executed: bool,
    #[schema(value_type = Vec<Object>)]
    done: Vec<UndoLine>,
    #[schema(value_type = Vec<Object>)]
    skipped: Vec<UndoLine>,
}

/// Changes of one resource that are remembered, oldest first, above the version `above`.
#[utoipa::path(get, path = "/history/{id}", tag = "history",
    params(("tenant" = String, Path), ("id" = String, Path), ("above" = Option<u64>, Query)),
    responses((status = 200, body = Vec<Entry>), (status = 404)))]
pub(crate) async fn versions(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, id)): Parameters<(String, String)>,
    above: Result<Query<Above>, axum::extract::rejection::QueryRejection>,
) -> Result<Answer<Vec<Entry>>, Refused> {
    let wrong = |_| {
        refuse.with(
            Error::new(
                ErrorKind::InvalidValue,
                "The parameter `above` is a version, such as `3`.",
            )
            .at("above"),
        )
    };
    let above = above.map_err(wrong)?.0.above;
    let entries = state
        .directory
        .changes_of(&caller, &id, above, LINES_MAX)
        .await
        .map_err(|error| refuse.with(error))?;
    let version = |line: HistoryLine| Entry {
        version: line.version,
        kind: line.kind.name(),
        at: line.at.to_string(),
        credential: line.credential_id,
        change_id: line.change_id,
        before: line.before,
        joined: line.joined,
        left: line.left,
        members_cut: line.members_cut,
    };
    Ok(Answer(
        StatusCode::OK,
        entries.into_iter().map(version).collect(),
    ))
}

/// Where the list of versions begins.
#[derive(Deserialize)]
pub(crate) struct Above {
    #[serde(default)]
    above: u64,
}

/// A resource as it was at an instant, or when it had a version.
#[utoipa::path(get, path = "/history/{id}/then", tag = "history",
    params(("tenant" = String, Path), ("id" = String, Path), ("at" = Option<String>, Query), ("version" = Option<u64>, Query)),
    responses((status = 200, body = Object), (status = 400), (status = 404)))]
pub(crate) async fn then(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, id)): Parameters<(String, String)>,
    when: Result<Query<When>, axum::extract::rejection::QueryRejection>,
) -> Result<Answer<Value>, Refused> {
    let which = || {
        Error::new(
            ErrorKind::InvalidValue,
            "One of the parameters `at` (RFC 3339) and `version` (a number) says which moment.",
        )
    };
    let point = when
        .map_err(|_| refuse.with(which()))?
        .0
        .point()
        .map_err(|error| refuse.with(error))?;
    let point = point.ok_or_else(|| refuse.with(which()))?;
    let was = state
        .directory
        .as_it_was(&caller, &id, point)
        .await
        .map_err(|error| refuse.with(error))?;
    Ok(Answer(StatusCode::OK, Value::Object(was.into_document())))
}

/// Gives a resource back what it was; a deleted one, with an empty body what it was at its end, and its id, its members and its groups too.
#[utoipa::path(post, path = "/history/{id}/restore", tag = "history", params(("tenant" = String, Path), ("id" = String, Path)), request_body = When,
    responses((status = 200, body = Object), (status = 400), (status = 404)))]
pub(crate) async fn restore(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, id)): Parameters<(String, String)>,
    Given(when): Given<When>,
) -> Result<Answer<Value>, Refused> {
    let point = when.point().map_err(|error| refuse.with(error))?;
    let restored = state
        .directory
        .restore(&caller, &id, point)
        .await
        .map_err(|error| refuse.with(error))?;
    Ok(Answer(
        StatusCode::OK,
        Value::Object(restored.into_document()),
    ))
}

/// Deleted resources that are remembered, newest first.
#[utoipa::path(get, path = "/deleted", tag = "history", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Deleted>)))]
pub(crate) async fn deleted(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
) -> Result<Answer<Vec<Deleted>>, Refused> {
    let found = state
        .directory
        .deleted(&caller, Which::Before(Timestamp::MAX), LINES_MAX)
        .await
        .map_err(|error| refuse.with(error))?;
    let line = |one: directory::history::Tombstone| Deleted {
        resource_type: one.resource_type,
        id: one.id,
        display: one.display,
        at: one.at.to_string(),
        credential: one.credential_id,
        user_name: one.user_name,
        external_id: one.external_id,
    };
    Ok(Answer(
        StatusCode::OK,
        found.into_iter().map(line).collect(),
    ))
}

/// Turns back what was done in a window, as far as later changes allow; without `execute` only says what that would be.
#[utoipa::path(post, path = "/undo", tag = "history", params(("tenant" = String, Path)), request_body = NewUndo,
    responses((status = 200, body = Undone), (status = 400)))]
pub(crate) async fn undo(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Given(wanted): Given<NewUndo>,
) -> Result<Answer<Undone>, Refused> {
    let at = |name: &str, text: &str| instant(name, text).map_err(|error| refuse.with(error));
    let window = Window {
        from: at("from", &wanted.from)?,
        until: at("until", &wanted.until)?,
        credential_id: wanted.credential,
    };
    let undone = state
        .directory
        .undo(&caller, &window, !wanted.execute)
        .await
        .map_err(|error| refuse.with(error))?;
    Ok(Answer(
        StatusCode::OK,
        Undone {
            executed: wanted.execute,
            done: undone.done,
            skipped: undone.skipped,
        },
    ))
}

/// References to people who are not there yet, the oldest first.
#[utoipa::path(get, path = "/pending", tag = "history", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Pending>)))]
pub(crate) async fn pending(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
) -> Result<Answer<Vec<Pending>>, Refused> {
    let found = state
        .directory
        .pending(&caller, 0, LINES_MAX)
        .await
        .map_err(|error| refuse.with(error))?;
    let line = |one: directory::pending::PendingReference| Pending {
        resource_type: one.resource_type,
        id: one.id,
        path: one.path,
        value: one.value,
        since: one.since.to_string(),
    };
    Ok(Answer(
        StatusCode::OK,
        found.into_iter().map(line).collect(),
    ))
}
