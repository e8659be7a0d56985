//! Routes of the applications of a tenant. What they mean is in `administration`'s `applications.rs`.

use administration::applications::{self, Application, Change, NewApplication, NewToken, Tested};
use http::StatusCode;

use super::administrator::{Acting, Refused, Reply};
use super::body::{Given, Parameters};

/// All applications, by name; never their tokens.
#[utoipa::path(get, path = "/applications", tag = "applications", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Application>)))]
pub(crate) async fn list(at: Acting) -> Reply<Vec<Application>> {
    let found = applications::list(&at.administration, &at.administrator).await;
    at.reply(StatusCode::OK, found)
}

/// Adds an application; everybody is provisioned into it.
#[utoipa::path(post, path = "/applications", tag = "applications", params(("tenant" = String, Path)), request_body = NewApplication,
    responses((status = 201, body = Application), (status = 400), (status = 409)))]
pub(crate) async fn add(at: Acting, Given(new): Given<NewApplication>) -> Reply<Application> {
    let added = applications::add(&at.administration, &at.administrator, new).await;
    at.reply(StatusCode::CREATED, added)
}

/// One application.
#[utoipa::path(get, path = "/applications/{name}", tag = "applications", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Application), (status = 404)))]
pub(crate) async fn show(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Reply<Application> {
    let found = applications::show(&at.administration, &at.administrator, &name).await;
    at.reply(StatusCode::OK, found)
}

/// Pauses an application, or serves it again.
#[utoipa::path(patch, path = "/applications/{name}", tag = "applications", params(("tenant" = String, Path), ("name" = String, Path)), request_body = Change,
    responses((status = 200, body = Application), (status = 404)))]
pub(crate) async fn change(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
    Given(change): Given<Change>,
) -> Reply<Application> {
    let changed = applications::change(&at.administration, &at.administrator, &name, change).await;
    at.reply(StatusCode::OK, changed)
}

/// Forgets an application; the accounts over there stay as they are.
#[utoipa::path(delete, path = "/applications/{name}", tag = "applications", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn remove(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Result<StatusCode, Refused> {
    at.done(applications::remove(&at.administration, &at.administrator, &name).await)
}

/// Gives an application another token, which no answer shows.
#[utoipa::path(post, path = "/applications/{name}/token", tag = "applications", params(("tenant" = String, Path), ("name" = String, Path)),
    request_body = NewToken, responses((status = 204), (status = 404)))]
pub(crate) async fn set_token(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
    Given(new): Given<NewToken>,
) -> Result<StatusCode, Refused> {
    at.done(applications::set_token(&at.administration, &at.administrator, &name, new).await)
}

/// Asks an application what the engine would ask it; changes nothing there.
#[utoipa::path(post, path = "/applications/{name}/test", tag = "applications", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Tested), (status = 404)))]
pub(crate) async fn test(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Reply<Tested> {
    let tested = applications::test(&at.administration, &at.administrator, &name).await;
    at.reply(StatusCode::OK, tested)
}
