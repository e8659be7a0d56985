//! Routes of what resources were, and of bringing it back. What they mean is in `administration`'s `history.rs`.

use administration::history::{
    self, Above, DeletedResource, HistoryEntry, NewUndo, Undone, WaitingReference, When,
};
use http::StatusCode;
use serde_json::Value;

use super::administrator::{Acting, Reply};
use super::body::{Asking, Given, Parameters};

/// Changes of one resource that are remembered, oldest first, above the version `above`.
#[utoipa::path(get, path = "/history/{id}", tag = "history",
    params(("tenant" = String, Path), ("id" = String, Path), ("above" = Option<u64>, Query)),
    responses((status = 200, body = Vec<HistoryEntry>), (status = 404)))]
pub(crate) async fn versions(
    at: Acting,
    Parameters((_, id)): Parameters<(String, String)>,
    Asking(above): Asking<Above>,
) -> Reply<Vec<HistoryEntry>> {
    let found = history::versions(&at.administration, &at.administrator, &id, above).await;
    at.reply(StatusCode::OK, found)
}

/// A resource as it was at an instant, or when it had a version.
#[utoipa::path(get, path = "/history/{id}/then", tag = "history",
    params(("tenant" = String, Path), ("id" = String, Path), ("at" = Option<String>, Query), ("version" = Option<u64>, Query)),
    responses((status = 200, body = Object), (status = 400), (status = 404)))]
pub(crate) async fn then(
    at: Acting,
    Parameters((_, id)): Parameters<(String, String)>,
    Asking(when): Asking<When>,
) -> Reply<Value> {
    let was = history::then(&at.administration, &at.administrator, &id, when).await;
    at.reply(StatusCode::OK, was)
}

/// Gives a resource back what it was; a deleted one, with an empty body what it was at its end, and its id, its members and its groups too.
#[utoipa::path(post, path = "/history/{id}/restore", tag = "history", params(("tenant" = String, Path), ("id" = String, Path)), request_body = When,
    responses((status = 200, body = Object), (status = 400), (status = 404)))]
pub(crate) async fn restore(
    at: Acting,
    Parameters((_, id)): Parameters<(String, String)>,
    Given(when): Given<When>,
) -> Reply<Value> {
    let restored = history::restore(&at.administration, &at.administrator, &id, when).await;
    at.reply(StatusCode::OK, restored)
}

/// Deleted resources that are remembered, newest first.
#[utoipa::path(get, path = "/deleted", tag = "history", params(("tenant" = String, Path)), responses((status = 200, body = Vec<DeletedResource>)))]
pub(crate) async fn deleted(at: Acting) -> Reply<Vec<DeletedResource>> {
    let found = history::deleted(&at.administration, &at.administrator).await;
    at.reply(StatusCode::OK, found)
}

/// Turns back what was done in a window, as far as later changes allow; without `execute` only says what that would be.
#[utoipa::path(post, path = "/undo", tag = "history", params(("tenant" = String, Path)), request_body = NewUndo,
    responses((status = 200, body = Undone), (status = 400)))]
pub(crate) async fn undo(at: Acting, Given(new): Given<NewUndo>) -> Reply<Undone> {
    let undone = history::undo(&at.administration, &at.administrator, new).await;
    at.reply(StatusCode::OK, undone)
}

/// References to people who are not there yet, the oldest first.
#[utoipa::path(get, path = "/pending", tag = "history", params(("tenant" = String, Path)), responses((status = 200, body = Vec<WaitingReference>)))]
pub(crate) async fn pending(at: Acting) -> Reply<Vec<WaitingReference>> {
    let found = history::pending(&at.administration, &at.administrator).await;
    at.reply(StatusCode::OK, found)
}
