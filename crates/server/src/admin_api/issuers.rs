//! Routes of the foreign issuers of a tenant. What they mean is in `administration`'s `issuers.rs`.

use administration::issuers::{self, Issuer, NewIssuer};
use http::StatusCode;

use super::administrator::{Acting, Refused, Reply};
use super::body::{Given, Parameters};

/// All issuers, by name.
#[utoipa::path(get, path = "/issuers", tag = "issuers", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Issuer>)))]
pub(crate) async fn list(at: Acting) -> Reply<Vec<Issuer>> {
    let found = issuers::list(&at.administration, &at.administrator).await;
    at.reply(StatusCode::OK, found)
}

/// Accepts the tokens of an issuer.
#[utoipa::path(post, path = "/issuers", tag = "issuers", params(("tenant" = String, Path)), request_body = NewIssuer,
    responses((status = 201, body = Issuer), (status = 400), (status = 409)))]
pub(crate) async fn create(at: Acting, Given(new): Given<NewIssuer>) -> Reply<Issuer> {
    let added = issuers::create(&at.administration, &at.administrator, new).await;
    at.reply(StatusCode::CREATED, added)
}

/// Accepts no tokens of an issuer any more, at once.
#[utoipa::path(delete, path = "/issuers/{name}", tag = "issuers", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn remove(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Result<StatusCode, Refused> {
    at.done(issuers::remove(&at.administration, &at.administrator, &name).await)
}
