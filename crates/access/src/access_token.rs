//! Access tokens of our token endpoint: what is in one, and how it is sealed. Short-lived, so that none of them is stored.
//!
//! A token holds its claims in the open and a keyed hash over them and the tenant. Every node has the key, so every node can check it; the client is
//! looked up with each use, so a token ends with its client. What it says means nothing to anybody else: to clients it is opaque (RFC 6749 section 1.4).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::credential::TokenHasher;
use directory::access::{Permissions, Scope};
use directory::tenant::TenantId;

/// By which secret scanners, and we, know such a token.
pub const PREFIX: &str = "rollcall_at_";
/// Longest token that is looked at, in bytes.
const LENGTH_MAX: usize = 2_048;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// The client it was made for.
    #[serde(rename = "c")]
    pub client: String,
    /// When it ends, in seconds since 1970.
    #[serde(rename = "e")]
    pub expires: i64,
    /// What it opens, of what the client may.
    #[serde(rename = "s")]
    pub scopes: Vec<Scope>,
    /// The certificate whose owner alone may use it (`x5t#S256`, RFC 8705 section 3).
    #[serde(rename = "x", skip_serializing_if = "Option::is_none", default)]
    pub certificate: Option<[u8; 32]>,
    /// No two tokens are equal.
    #[serde(rename = "n")]
    pub number: u64,
}

impl AccessClaims {
    /// What the token opens now: the client's permissions, which may have changed since, narrowed to the token's scopes.
    pub fn permissions(&self, of_client: &Permissions) -> Permissions {
        let mut permissions = of_client.clone();
        permissions
            .scopes
            .retain(|scope| self.scopes.contains(scope));
        permissions
    }
}

/// The token with these claims.
pub fn seal(hasher: &dyn TokenHasher, tenant: TenantId, claims: &AccessClaims) -> String {
    // A structure of texts and numbers always can be JSON.
    let payload = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).unwrap_or_default());
    let seal = BASE64_URL_SAFE_NO_PAD.encode(hasher.hash(&sealed_text(tenant, &payload)).0);
    format!("{PREFIX}{payload}.{seal}")
}

/// The claims of a token that was sealed here for this tenant. Whether it has ended, the caller decides.
pub fn open(hasher: &dyn TokenHasher, tenant: TenantId, token: &str) -> Option<AccessClaims> {
    if token.len() > LENGTH_MAX {
        return None;
    }
    let (payload, seal) = token.strip_prefix(PREFIX)?.split_once('.')?;
    let seal = BASE64_URL_SAFE_NO_PAD.decode(seal).ok()?;
    if !bool::from(
        hasher
            .hash(&sealed_text(tenant, payload))
            .0
            .ct_eq(seal.as_slice()),
    ) {
        return None;
    }
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// The hash is the one that stored tokens have. No header can carry a line break, so none of those has such a text.
fn sealed_text(tenant: TenantId, payload: &str) -> String {
    format!("access token\n{}\n{payload}", tenant.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::TokenHash;

    /// Not a hash at all, but every byte counts.
    struct Plain;

    impl TokenHasher for Plain {
        fn hash(&self, token: &str) -> TokenHash {
            let mut hash = [0_u8; 32];
            for (place, byte) in token.bytes().enumerate() {
                hash[place % 32] = hash[place % 32].wrapping_mul(31).wrapping_add(byte);
            }
            TokenHash(hash)
        }
    }

    #[test]
    fn what_is_sealed_opens_here_and_unchanged_only() {
        let claims = AccessClaims {
            client: "c".into(),
            expires: 100,
            scopes: vec![Scope::Read],
            certificate: Some([3; 32]),
            number: u64::MAX,
        };
        let token = seal(&Plain, TenantId(1), &claims);
        assert_eq!(open(&Plain, TenantId(1), &token), Some(claims));
        assert_eq!(open(&Plain, TenantId(2), &token), None);
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(
                open(&Plain, TenantId(1), &String::from_utf8(changed).unwrap()),
                None,
                "byte {place}"
            );
        }
        for text in [
            "",
            PREFIX,
            "rollcall_at_.",
            "rollcall_at_AAAA.AAAA",
            &"a".repeat(5_000),
        ] {
            assert_eq!(open(&Plain, TenantId(1), text), None);
        }
    }

    #[test]
    fn a_token_opens_no_more_than_its_client_may_now() {
        let claims = AccessClaims {
            client: "c".into(),
            expires: 0,
            scopes: vec![Scope::Read, Scope::Write],
            certificate: None,
            number: 0,
        };
        let client = Permissions {
            resource_types: Some(vec!["User".into()]),
            ..Permissions::of(&[Scope::Read, Scope::Admin])
        };
        let found = claims.permissions(&client);
        assert_eq!(
            (found.scopes, found.resource_types),
            (vec![Scope::Read], client.resource_types)
        );
    }
}
