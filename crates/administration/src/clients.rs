//! OAuth clients of a tenant. A secret is shown once, when it is made; the store knows only its keyed hash.

use access::client::{CertificateName, ClientAuthentication, ClientRecord};
use access::credential::token_text;
use directory::DirectoryError;
use jiff::Timestamp;
use keys::signed_token::keys_from_text;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::administration::{Administration, has_room};
use crate::administrator::{Administrator, NOTHING};
use crate::operations::{CREATE_CLIENT, READ_CLIENTS, REVOKE_CLIENT};
use crate::permissions::{Allowed, RequestedPermissions};

/// What a new client shall be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewClient {
    /// What people call it; one client's in its tenant.
    pub name: String,
    /// Its public key: PEM, a JWK or a JWK set. Then it shows itself by `private_key_jwt` (RFC 7523).
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<Value>,
    /// A name in its certificate. Then it shows itself by `tls_client_auth` (RFC 8705): `{"subject_dn": …}`, `{"san_dns": …}` or `{"san_uri": …}`.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateName>,
    /// What its tokens are allowed at most.
    #[serde(default)]
    pub permissions: RequestedPermissions,
}

/// A client as it is shown.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// When it was registered.
    #[schema(value_type = String)]
    pub created: Timestamp,
    /// When it was revoked.
    #[schema(value_type = Option<String>)]
    pub revoked: Option<Timestamp>,
    /// How it shows itself at the token endpoint (RFC 8414): `client_secret_basic`, `private_key_jwt` or `tls_client_auth`.
    pub authentication: String,
    /// What its tokens are allowed at most.
    pub permissions: Allowed,
    /// Where it gets its tokens.
    pub token_path: String,
    /// Its secret; only in the answer that made it.
    #[serde(
        rename = "clientSecret",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub secret: Option<String>,
}

impl Client {
    fn of(record: ClientRecord, tenant: &str) -> Self {
        Self {
            permissions: Allowed::of(&record.permissions),
            authentication: record.authentication.name().to_owned(),
            created: record.created,
            revoked: record.revoked,
            token_path: format!("/t/{tenant}/oauth2/token"),
            id: record.id,
            name: record.name,
            secret: None,
        }
    }
}

/// All clients, oldest first; never their secrets.
pub async fn list(on: &Administration, by: &Administrator) -> Result<Vec<Client>, DirectoryError> {
    by.may(&READ_CLIENTS)?;
    let tenant = &by.caller.tenant;
    let found = on.clients.list_clients(tenant.id).await?;
    Ok(found
        .into_iter()
        .map(|client| Client::of(client, &tenant.name))
        .collect())
}

/// Registers a client; the answer is the only one that shows its secret.
pub async fn create(
    on: &Administration,
    by: &Administrator,
    new: NewClient,
) -> Result<Client, DirectoryError> {
    by.may(&CREATE_CLIENT)?;
    let permissions = new.permissions.check_for_good(&by.caller)?;
    let (authentication, secret) = authentication(on, new.public_key, new.certificate)?;
    let (tenant, at) = (&by.caller.tenant, on.clock.now());
    let live = on.clients.list_clients(tenant.id).await?;
    let live = live.iter().filter(|client| client.is_live()).count();
    has_room(live, on.options.credentials_max, "clients")?;
    let record = ClientRecord {
        id: on.ids.id().to_string(),
        tenant: tenant.id,
        name: new.name,
        created: at,
        revoked: None,
        authentication,
        permissions,
    };
    let made = Client::of(record.clone(), &tenant.name);
    let entry = by.entry(&CREATE_CLIENT, &made.id, at, NOTHING, Some(&made));
    if !on.clients.create_client(record, entry).await? {
        let detail = format!("There is a client `{}` already.", made.name);
        return Err(Error::new(ErrorKind::Uniqueness, detail).at("name").into());
    }
    Ok(Client { secret, ..made })
}

/// Makes a client and all of its tokens stop to work, at once.
pub async fn revoke(
    on: &Administration,
    by: &Administrator,
    id: &str,
) -> Result<(), DirectoryError> {
    by.may(&REVOKE_CLIENT)?;
    let (tenant, at) = (&by.caller.tenant, on.clock.now());
    let missing = || {
        let detail = format!("There is no client with the id `{id}`.");
        Error::new(ErrorKind::NotFound, detail)
    };
    let found = on.clients.find_client(tenant.id, id).await?;
    let record = found.ok_or_else(missing)?;
    by.caller.may_end(&record.permissions)?;
    if record.revoked.is_some() {
        return Ok(());
    }
    let before = Client::of(record, &tenant.name);
    let after = Client {
        revoked: Some(at),
        ..before.clone()
    };
    let entry = by.entry(&REVOKE_CLIENT, id, at, Some(&before), Some(&after));
    if on.clients.revoke_client(tenant.id, id, at, entry).await? {
        return Ok(());
    }
    Err(missing().into())
}

/// How it shows itself, and its secret where that is the way.
fn authentication(
    on: &Administration,
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
            let keys = keys_from_text(&text).map_err(wrong)?;
            Ok((ClientAuthentication::PrivateKeyJwt { keys }, None))
        }
        (None, Some(name)) => Ok((ClientAuthentication::TlsClientAuth { name }, None)),
        (None, None) => {
            let secret = token_text(&on.ids.secret());
            let hash = on.hasher.hash(&secret);
            Ok((ClientAuthentication::ClientSecret { hash }, Some(secret)))
        }
    }
}
