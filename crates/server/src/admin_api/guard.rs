//! Routes of the guard on removals that come in. What they mean is in `administration`'s `guard.rs`.

use administration::guard::{self, Allowance, Guard, NewAllowance, Parked};
use http::StatusCode;

use super::administrator::{Acting, Refused, Reply};
use super::body::{Given, Parameters};

/// What was removed in the window, what is let through, and which writes are held.
#[utoipa::path(get, path = "/guard", tag = "guard", params(("tenant" = String, Path)), responses((status = 200, body = Guard)))]
pub(crate) async fn show(at: Acting) -> Reply<Guard> {
    let found = guard::show(&at.administration, &at.administrator).await;
    at.reply(StatusCode::OK, found)
}

/// Lets so many more removals of a kind through; what was let through of it before is replaced.
#[utoipa::path(post, path = "/guard/allowances", tag = "guard", params(("tenant" = String, Path)), request_body = NewAllowance,
    responses((status = 201, body = Allowance), (status = 400)))]
pub(crate) async fn allow(at: Acting, Given(new): Given<NewAllowance>) -> Reply<Allowance> {
    let allowed = guard::allow(&at.administration, &at.administrator, new).await;
    at.reply(StatusCode::CREATED, allowed)
}

/// Carries out a held write, as its client sent it.
#[utoipa::path(post, path = "/guard/parked/{id}/approve", tag = "guard", params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = Parked), (status = 404)))]
pub(crate) async fn approve(
    at: Acting,
    Parameters((_, id)): Parameters<(String, String)>,
) -> Reply<Parked> {
    let done = guard::approve(&at.administration, &at.administrator, &id).await;
    at.reply(StatusCode::OK, done)
}

/// Forgets a held write.
#[utoipa::path(delete, path = "/guard/parked/{id}", tag = "guard", params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn reject(
    at: Acting,
    Parameters((_, id)): Parameters<(String, String)>,
) -> Result<StatusCode, Refused> {
    at.done(guard::reject(&at.administration, &at.administrator, &id).await)
}
