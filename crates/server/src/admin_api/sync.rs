//! Routes of what is on its way to applications, and what was sent. What they mean is in `administration`'s `sync.rs`.

use administration::sync::{self, AskedLines, AskedPlan, Line, Marked, Planned, Status, Wanted};
use http::StatusCode;

use super::administrator::{Acting, Reply};
use super::body::{Asking, Given};

/// How each application stands.
#[utoipa::path(get, path = "/sync", tag = "sync", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Status>)))]
pub(crate) async fn status(at: Acting) -> Reply<Vec<Status>> {
    let found = sync::status(&at.administration, &at.administrator).await;
    at.reply(StatusCode::OK, found)
}

/// Has everything, or one resource, compared with applications again; the engine does the work.
#[utoipa::path(post, path = "/sync", tag = "sync", params(("tenant" = String, Path)), request_body = Wanted,
    responses((status = 200, body = Vec<Marked>), (status = 404)))]
pub(crate) async fn now(at: Acting, Given(wanted): Given<Wanted>) -> Reply<Vec<Marked>> {
    let marked = sync::now(&at.administration, &at.administrator, wanted).await;
    at.reply(StatusCode::OK, marked)
}

/// What was sent to applications and what came back, newest last.
#[utoipa::path(get, path = "/sync/log", tag = "sync",
    params(("tenant" = String, Path), ("application" = Option<String>, Query), ("resource" = Option<String>, Query), ("limit" = Option<usize>, Query)),
    responses((status = 200, body = Vec<Line>), (status = 404)))]
pub(crate) async fn log(at: Acting, Asking(asked): Asking<AskedLines>) -> Reply<Vec<Line>> {
    let found = sync::log(&at.administration, &at.administrator, asked).await;
    at.reply(StatusCode::OK, found)
}

/// What an application would be sent about one person if it were compared now; nothing is sent.
#[utoipa::path(get, path = "/sync/plan", tag = "sync", params(("tenant" = String, Path), ("application" = String, Query), ("person" = String, Query)),
    responses((status = 200, body = Planned), (status = 404)))]
pub(crate) async fn plan(at: Acting, Asking(asked): Asking<AskedPlan>) -> Reply<Planned> {
    let planned = sync::plan(&at.administration, &at.administrator, asked).await;
    at.reply(StatusCode::OK, planned)
}
