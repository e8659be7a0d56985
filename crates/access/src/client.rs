//! OAuth 2.0 clients of a tenant: how they show who they are, and what the store remembers of them. Verifies no signature; `server` does.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::credential::{TokenHash, TokenHasher};
use directory::access::Permissions;
use directory::audit::Entry;
use directory::store::Fault;
use directory::tenant::TenantId;

/// How a client shows at the token endpoint who it is; it has exactly one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "method",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum ClientAuthentication {
    /// `client_secret_basic` and `client_secret_post` (RFC 6749 section 2.3.1).
    ClientSecret {
        /// The keyed hash of the secret.
        hash: TokenHash,
    },
    /// `private_key_jwt` (RFC 7523, OpenID Connect Core section 9).
    PrivateKeyJwt {
        /// Its public keys, each a JWK (RFC 7517).
        keys: Vec<Value>,
    },
    /// `tls_client_auth` (RFC 8705 section 2.1): a certificate with this name.
    TlsClientAuth {
        /// The name.
        #[serde(flatten)]
        name: CertificateName,
    },
}

/// A name in a certificate (RFC 8705 section 2.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateName {
    /// The subject, as RFC 4514 writes it: the most specific part first.
    SubjectDn(String),
    /// A DNS name.
    SanDns(String),
    /// A URI.
    SanUri(String),
}

impl ClientAuthentication {
    /// Its name in metadata (RFC 8414).
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClientSecret { .. } => "client_secret_basic",
            Self::PrivateKeyJwt { .. } => "private_key_jwt",
            Self::TlsClientAuth { .. } => "tls_client_auth",
        }
    }
}

/// What the store remembers of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientRecord {
    /// Its `client_id`.
    pub id: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// For people; one client's in its tenant.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it was revoked, and its tokens with it.
    pub revoked: Option<Timestamp>,
    /// How it shows who it is.
    pub authentication: ClientAuthentication,
    /// What its tokens let it do at most.
    pub permissions: Permissions,
}

impl ClientRecord {
    /// Whether it may have tokens.
    pub fn is_live(&self) -> bool {
        self.revoked.is_none()
    }

    /// Whether this is its secret; false where it has none.
    pub fn has_secret(&self, hasher: &dyn TokenHasher, secret: &str) -> bool {
        let ClientAuthentication::ClientSecret { hash } = &self.authentication else {
            return false;
        };
        bool::from(hash.0.ct_eq(&hasher.hash(secret).0))
    }
}

/// Clients.
#[async_trait]
pub trait Clients: Send + Sync {
    /// Stores a client; false where the name is taken by one that is not revoked.
    /// The audit entry goes into the tenant's chain with it.
    async fn create_client(&self, client: ClientRecord, entry: Entry) -> Result<bool, Fault>;
    /// By id, revoked ones too.
    async fn find_client(&self, tenant: TenantId, id: &str) -> Result<Option<ClientRecord>, Fault>;
    /// All of a tenant, oldest first.
    async fn list_clients(&self, tenant: TenantId) -> Result<Vec<ClientRecord>, Fault>;
    /// Revokes one, and with the tenant's revision what is remembered of its tokens; false where there is none.
    /// The audit entry goes into the tenant's chain with it.
    async fn revoke_client(
        &self,
        tenant: TenantId,
        id: &str,
        at: Timestamp,
        entry: Entry,
    ) -> Result<bool, Fault>;
    /// Remembers that an assertion was used, until it is worth nothing anyway; false where it was used before. Forgets older ones.
    async fn use_assertion(
        &self,
        tenant: TenantId,
        client: &str,
        assertion: TokenHash,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Fault>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_to_authenticate_are_kept_as_json() {
        let check = |way: ClientAuthentication, json: &str| {
            assert_eq!(serde_json::to_string(&way).unwrap(), json);
            assert_eq!(
                serde_json::from_str::<ClientAuthentication>(json).unwrap(),
                way
            );
        };
        let hash = TokenHash([0; 32]);
        check(
            ClientAuthentication::ClientSecret { hash },
            r#"{"method":"client_secret","hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        );
        check(
            ClientAuthentication::PrivateKeyJwt { keys: vec![] },
            r#"{"method":"private_key_jwt","keys":[]}"#,
        );
        check(
            ClientAuthentication::TlsClientAuth {
                name: CertificateName::SanDns("a.example".into()),
            },
            r#"{"method":"tls_client_auth","san_dns":"a.example"}"#,
        );
    }
}
