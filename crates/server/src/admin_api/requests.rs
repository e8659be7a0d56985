//! Routes of the request log of a tenant. What they mean is in `administration`'s `requests.rs`.

use administration::requests::{self, Asked, QuirkUses, Requests};
use directory::request_log::RequestEntry;
use http::StatusCode;

use super::administrator::{Acting, Reply};
use super::body::{Asking, Parameters};

/// Requests, newest first.
#[utoipa::path(get, path = "/requests", tag = "requests",
    params(("tenant" = String, Path), ("status" = Option<String>, Query), ("quirk" = Option<String>, Query), ("resource" = Option<String>, Query),
        ("credential" = Option<String>, Query), ("since" = Option<String>, Query), ("before" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Object)))]
pub(crate) async fn list(at: Acting, Asking(asked): Asking<Asked>) -> Reply<Requests> {
    let found = requests::list(&at.administration, &at.administrator, asked).await;
    at.reply(StatusCode::OK, found)
}

/// One request.
#[utoipa::path(get, path = "/requests/{id}", tag = "requests", params(("tenant" = String, Path), ("id" = String, Path)), responses((status = 200, body = Object), (status = 404)))]
pub(crate) async fn show(
    at: Acting,
    Parameters((_, id)): Parameters<(String, String)>,
) -> Reply<RequestEntry> {
    let found = requests::show(&at.administration, &at.administrator, &id).await;
    at.reply(StatusCode::OK, found)
}

/// How often each quirk acted for each client, and the quirks of the tenant's profile that never did.
#[utoipa::path(get, path = "/quirks", tag = "requests", params(("tenant" = String, Path)), responses((status = 200, body = Object)))]
pub(crate) async fn quirks(at: Acting) -> Reply<QuirkUses> {
    let found = requests::quirks(&at.administration, &at.administrator).await;
    at.reply(StatusCode::OK, found)
}
