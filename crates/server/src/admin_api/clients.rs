//! Routes of the OAuth clients of a tenant. What they mean is in `administration`'s `clients.rs`.

use administration::clients::{self, Client, NewClient};
use http::StatusCode;

use super::administrator::{Acting, Refused, Reply};
use super::body::{Given, Parameters};

/// All clients, oldest first; never their secrets.
#[utoipa::path(get, path = "/clients", tag = "clients", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Client>)))]
pub(crate) async fn list(at: Acting) -> Reply<Vec<Client>> {
    let found = clients::list(&at.administration, &at.administrator).await;
    at.reply(StatusCode::OK, found)
}

/// Registers a client; the answer is the only one that shows its secret.
#[utoipa::path(post, path = "/clients", tag = "clients", params(("tenant" = String, Path)), request_body = NewClient,
    responses((status = 201, body = Client), (status = 400), (status = 409)))]
pub(crate) async fn create(at: Acting, Given(new): Given<NewClient>) -> Reply<Client> {
    let made = clients::create(&at.administration, &at.administrator, new).await;
    at.reply(StatusCode::CREATED, made)
}

/// Makes a client and all of its tokens stop to work, at once.
#[utoipa::path(delete, path = "/clients/{id}", tag = "clients", params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn revoke(
    at: Acting,
    Parameters((_, id)): Parameters<(String, String)>,
) -> Result<StatusCode, Refused> {
    at.done(clients::revoke(&at.administration, &at.administrator, &id).await)
}
