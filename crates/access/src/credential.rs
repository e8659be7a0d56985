//! Bearer tokens: how they look, how they are hashed, what the store remembers of them.

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use scim_protocol::Error;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use directory::access::{Permissions, unauthorized};
use directory::audit::Entry;
use directory::store::{Fault, Tenants};
use directory::tenant::TenantId;

/// The keyed hash of a token (HMAC-SHA-256), as stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl serde::Serialize for TokenHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de> serde::Deserialize<'de> for TokenHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(text.as_bytes())
            .map_err(serde::de::Error::custom)?;
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| serde::de::Error::custom("a hash has 32 bytes"))
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// Makes the keyed hash of a token; the key is the store's.
pub trait TokenHasher: Send + Sync {
    /// The hash of a token's text.
    fn hash(&self, token: &str) -> TokenHash;
}

/// The text of a new token: 256 random bits, with a prefix by which secret scanners know it.
pub fn token_text(secret: &[u8; 32]) -> String {
    format!("rollcall_{}", BASE64_URL_SAFE_NO_PAD.encode(secret))
}

/// What is asked for with a new token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRequest {
    /// Whose it is.
    pub tenant: TenantId,
    /// For people.
    pub name: String,
    /// When it shall stop to work.
    pub expires: Option<Timestamp>,
    /// What it lets its bearer do.
    pub permissions: Permissions,
}

/// What to remember of a token with this text, whatever the text is.
pub fn issue(
    hasher: &dyn TokenHasher,
    id: Uuid,
    text: &str,
    request: TokenRequest,
    at: Timestamp,
) -> TokenRecord {
    TokenRecord {
        id: id.to_string(),
        tenant: request.tenant,
        name: request.name,
        hash: hasher.hash(text),
        created: at,
        expires: request.expires,
        permissions: request.permissions,
        revoked: None,
        last_used: None,
    }
}

/// Whether what the store found for a hash lets its bearer in. The answer is the same for every reason, so that nobody learns which tokens there are.
pub fn authenticate<'a>(
    record: Option<&'a TokenRecord>,
    tenant: TenantId,
    hash: &TokenHash,
    now: Timestamp,
) -> Result<&'a TokenRecord, Error> {
    let good = |record: &&TokenRecord| {
        record.tenant == tenant
            && bool::from(record.hash.0.ct_eq(&hash.0))
            && record.revoked.is_none()
            && record.expires.is_none_or(|expires| now < expires)
    };
    record.filter(good).ok_or_else(unauthorized)
}

/// Whether a use is worth remembering: the last use is kept to the minute.
pub fn is_use_news(last_used: Option<Timestamp>, now: Timestamp) -> bool {
    last_used.is_none_or(|last| now.duration_since(last) >= SignedDuration::from_mins(1))
}

/// What the store remembers of a token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRecord {
    /// Its public id.
    pub id: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// For people.
    pub name: String,
    /// Its hash.
    pub hash: TokenHash,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops to work.
    pub expires: Option<Timestamp>,
    /// What it lets its bearer do.
    pub permissions: Permissions,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
}

/// Tokens, kept beside the tenants that they belong to.
#[async_trait]
pub trait Tokens: Tenants {
    /// Stores a token; false, and nothing is stored, where it is for a person who is not there or not active.
    /// The audit entry goes into the tenant's chain with it.
    async fn create_token(&self, token: TokenRecord, entry: Entry) -> Result<bool, Fault>;
    /// By hash, revoked and expired ones too.
    async fn find_token(
        &self,
        tenant: TenantId,
        hash: TokenHash,
    ) -> Result<Option<TokenRecord>, Fault>;
    /// All of a tenant, oldest first.
    async fn list_tokens(&self, tenant: TenantId) -> Result<Vec<TokenRecord>, Fault>;
    /// Revokes one and raises the tenant's revision; false, and nothing is stored, where there is none. The audit entry goes into the tenant's chain with it.
    async fn revoke_token(
        &self,
        tenant: TenantId,
        id: &str,
        at: Timestamp,
        entry: Entry,
    ) -> Result<bool, Fault>;
    /// Remembers a use.
    async fn record_token_use(
        &self,
        tenant: TenantId,
        id: &str,
        at: Timestamp,
    ) -> Result<(), Fault>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not a hash at all, but different texts of the same length differ.
    struct Plain;

    impl TokenHasher for Plain {
        fn hash(&self, token: &str) -> TokenHash {
            let mut hash = [0; 32];
            hash.iter_mut()
                .zip(token.bytes())
                .for_each(|(to, from)| *to = from);
            TokenHash(hash)
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn texts_are_long_and_safe_in_headers() {
        let text = token_text(&[255; 32]);
        assert_eq!(text.len(), "rollcall_".len() + 43);
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        );
    }

    #[test]
    fn who_is_let_in() {
        let tenant = TenantId(1);
        let request = TokenRequest {
            tenant,
            name: "t".into(),
            expires: Some(at(100)),
            permissions: Permissions::default(),
        };
        let record = issue(&Plain, Uuid::nil(), "any text", request, at(0));
        let check =
            |record: Option<&TokenRecord>, tenant: i64, text: &str, now: i64, accepted: bool| {
                let answer = authenticate(record, TenantId(tenant), &Plain.hash(text), at(now));
                assert_eq!(answer.is_ok(), accepted, "{tenant} {text} {now}");
            };
        check(Some(&record), 1, "any text", 99, true);
        check(Some(&record), 1, "any text", 100, false);
        check(Some(&record), 2, "any text", 1, false);
        check(Some(&record), 1, "my text!", 1, false);
        check(None, 1, "any text", 1, false);
        let revoked = TokenRecord {
            revoked: Some(at(5)),
            ..record
        };
        check(Some(&revoked), 1, "any text", 6, false);
    }

    #[test]
    fn uses_are_news_once_a_minute() {
        assert!(is_use_news(None, at(0)));
        assert!(!is_use_news(Some(at(0)), at(59)));
        assert!(is_use_news(Some(at(0)), at(60)));
    }
}
