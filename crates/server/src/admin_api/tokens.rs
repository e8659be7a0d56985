//! Routes of the bearer tokens of a tenant. What they mean is in `administration`'s `tokens.rs`.

use administration::tokens::{self, NewToken, Token};
use http::StatusCode;

use super::administrator::{Acting, ActingOnInstallation, Refused, Reply};
use super::body::{Given, Parameters};

/// All tokens, oldest first; never their values.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Token>)))]
pub(crate) async fn list(at: Acting) -> Reply<Vec<Token>> {
    let found = tokens::list(&at.administration, &at.administrator).await;
    at.reply(StatusCode::OK, found)
}

/// Makes a token; the answer is the only one that shows it.
#[utoipa::path(post, path = "/tokens", tag = "tokens", params(("tenant" = String, Path)), request_body = NewToken, responses((status = 201, body = Token)))]
pub(crate) async fn create(at: Acting, Given(new): Given<NewToken>) -> Reply<Token> {
    let made = tokens::create(&at.administration, &at.administrator, new).await;
    at.reply(StatusCode::CREATED, made)
}

/// Makes a token of any tenant, such as the first of one that was just made; the answer is the only one that shows it.
#[utoipa::path(post, path = "/tenants/{name}/tokens", tag = "tenants", params(("name" = String, Path)), request_body = NewToken,
    responses((status = 201, body = Token), (status = 404)))]
pub(crate) async fn create_in_tenant(
    ActingOnInstallation(at): ActingOnInstallation,
    Parameters(name): Parameters<String>,
    Given(new): Given<NewToken>,
) -> Reply<Token> {
    let made = tokens::create_in_tenant(&at.administration, &at.administrator, &name, new).await;
    at.reply(StatusCode::CREATED, made)
}

/// Makes a token stop to work, at once.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("tenant" = String, Path), ("id" = String, Path)), responses((status = 204), (status = 404)))]
pub(crate) async fn revoke(
    at: Acting,
    Parameters((_, id)): Parameters<(String, String)>,
) -> Result<StatusCode, Refused> {
    at.done(tokens::revoke(&at.administration, &at.administrator, &id).await)
}
