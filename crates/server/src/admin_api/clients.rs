//! OAuth 2.0 clients of a tenant. A secret is shown once, when it is made; the store knows only its keyed hash.

use keys::signed_token::keys_from_text;
use std::sync::Arc;

use access::client::{CertificateName, ClientAuthentication, ClientRecord, Clients};
use access::credential::token_text;
use axum::extract::State as Extract;
use http::StatusCode;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::administrator::{Administrator, Refuse, Refused, has_room};
use super::body::{Answer, Given, Parameters};
use super::wishes::{Allowed, Wishes};
use crate::state::State;

/// What a new client shall be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewClient {
    /// What people call it; one client's in its tenant.
    name: String,
    /// Its public key: PEM, a JWK or a JWK set. Then it shows itself by `private_key_jwt` (RFC 7523).
    #[schema(value_type = Option<Object>)]
    public_key: Option<Value>,
    /// A name in its certificate. Then it shows itself by `tls_client_auth` (RFC 8705): `{"subject_dn": …}`, `{"san_dns": …}` or `{"san_uri": …}`.
    #[schema(value_type = Option<Object>)]
    certificate: Option<CertificateName>,
    /// What its tokens are allowed at most.
    #[serde(default)]
    permissions: Wishes,
}

/// A client as it is shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Client {
    /// Its `client_id`.
    id: String,
    name: String,
    created: String,
    revoked: Option<String>,
    /// How it shows itself at the token endpoint (RFC 8414): `client_secret_basic`, `private_key_jwt` or `tls_client_auth`.
    authentication: &'static str,
    permissions: Allowed,
    /// Where it gets its tokens.
    token_path: String,
    /// Its secret; only in the answer that made it.
    #[serde(rename = "clientSecret", skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl Client {
    fn of(record: ClientRecord, tenant: &str) -> Self {
        Self {
            permissions: Allowed::of(&record.permissions),
            authentication: record.authentication.name(),
            created: record.created.to_string(),
            revoked: record.revoked.map(|at| at.to_string()),
            token_path: format!("/t/{tenant}/oauth2/token"),
            id: record.id,
            name: record.name,
            secret: None,
        }
    }
}

fn clients<'s>(state: &'s State, refuse: &Refuse) -> Result<&'s dyn Clients, Refused> {
    let missing = || {
        refuse.with(Error::new(
            ErrorKind::NotImplemented,
            "This server has no OAuth clients.",
        ))
    };
    state
        .callers()
        .map(|callers| &*callers.clients)
        .ok_or_else(missing)
}

/// How it shows itself, and its secret where that is the way.
fn authentication(
    state: &State,
    key: Option<Value>,
    certificate: Option<CertificateName>,
) -> Result<(ClientAuthentication, Option<String>), Error> {
    match (key, certificate) {
        (Some(_), Some(_)) => Err(Error::new(
            ErrorKind::InvalidValue,
            "Both `publicKey` and `certificate` are given; a client shows itself in one way.",
        )),
        (Some(key), None) => {
            let text = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            let wrong = |error| {
                Error::new(ErrorKind::InvalidValue, format!("`publicKey`: {error}."))
                    .at("publicKey")
            };
            Ok((
                ClientAuthentication::PrivateKeyJwt {
                    keys: keys_from_text(&text).map_err(wrong)?,
                },
                None,
            ))
        }
        (None, Some(name)) => Ok((ClientAuthentication::TlsClientAuth { name }, None)),
        (None, None) => {
            let secret = token_text(&state.ids.secret());
            Ok((
                ClientAuthentication::ClientSecret {
                    hash: state.hasher.hash(&secret),
                },
                Some(secret),
            ))
        }
    }
}

/// All clients, oldest first; never their secrets.
#[utoipa::path(get, path = "/clients", tag = "clients", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Client>)))]
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
) -> Result<Answer<Vec<Client>>, Refused> {
    let found = clients(&state, &refuse)?
        .list_clients(caller.tenant.id)
        .await
        .map_err(|fault| refuse.with(fault))?;
    Ok(Answer(
        StatusCode::OK,
        found
            .into_iter()
            .map(|client| Client::of(client, &caller.tenant.name))
            .collect(),
    ))
}

/// Registers a client; the answer is the only one that shows its secret.
#[utoipa::path(post, path = "/clients", tag = "clients", params(("tenant" = String, Path)), request_body = NewClient,
    responses((status = 201, body = Client), (status = 400), (status = 409)))]
pub(crate) async fn create(
    Extract(state): Extract<Arc<State>>,
    administrator: Administrator,
    refuse: Refuse,
    Given(new): Given<NewClient>,
) -> Result<Answer<Client>, Refused> {
    let permissions = new
        .permissions
        .grant_for_good(&administrator)
        .map_err(|error| refuse.with(error))?;
    let (authentication, secret) = authentication(&state, new.public_key, new.certificate)
        .map_err(|error| refuse.with(error))?;
    let tenant = &administrator.0.tenant;
    let client = ClientRecord {
        id: state.ids.id().to_string(),
        tenant: tenant.id,
        name: new.name,
        created: state.clock.now(),
        revoked: None,
        authentication,
        permissions,
    };
    let live = clients(&state, &refuse)?
        .list_clients(tenant.id)
        .await
        .map_err(|fault| refuse.with(fault))?;
    let live = live.iter().filter(|client| client.is_live()).count();
    has_room(live, state.options.credentials_max, "clients").map_err(|error| refuse.with(error))?;
    let made = clients(&state, &refuse)?
        .create_client(client.clone())
        .await
        .map_err(|fault| refuse.with(fault))?;
    if !made {
        return Err(refuse.with(
            Error::new(
                ErrorKind::Uniqueness,
                format!("There is a client `{}` already.", client.name),
            )
            .at("name"),
        ));
    }
    Ok(Answer(
        StatusCode::CREATED,
        Client {
            secret,
            ..Client::of(client, &tenant.name)
        },
    ))
}

/// Makes a client and all of its tokens stop to work, at once.
#[utoipa::path(delete, path = "/clients/{id}", tag = "clients", params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn revoke(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, id)): Parameters<(String, String)>,
) -> Result<StatusCode, Refused> {
    let revoked = clients(&state, &refuse)?
        .revoke_client(caller.tenant.id, &id, state.clock.now())
        .await;
    if revoked.map_err(|fault| refuse.with(fault))? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(refuse.with(Error::new(
        ErrorKind::NotFound,
        format!("There is no client with the id `{id}`."),
    )))
}
