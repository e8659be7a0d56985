//! Routes of the keys with which a tenant's event tokens are signed. What they mean is in `administration`'s `signing_keys.rs`.

use administration::signing_keys::{self, Rotation, SigningKey};
use http::StatusCode;
use serde_json::Value;

use super::administrator::{Acting, Reply};
use super::body::Given;

/// The keys that are published, newest first.
#[utoipa::path(get, path = "/signing-keys", tag = "receivers", params(("tenant" = String, Path)), responses((status = 200, body = Vec<SigningKey>)))]
pub(crate) async fn list(at: Acting) -> Reply<Vec<SigningKey>> {
    let found = signing_keys::list(&at.administration, &at.administrator).await;
    at.reply(StatusCode::OK, found)
}

/// Signs event tokens with a new key from now on; the public half, a JSON Web Key.
#[utoipa::path(post, path = "/signing-keys", tag = "receivers", params(("tenant" = String, Path)), request_body = Rotation,
    responses((status = 201, body = Object)))]
pub(crate) async fn rotate(at: Acting, Given(rotation): Given<Rotation>) -> Reply<Value> {
    let made = signing_keys::rotate(&at.administration, &at.administrator, rotation).await;
    at.reply(StatusCode::CREATED, made.map(|key| key.public))
}
