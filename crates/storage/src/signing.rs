//! Seals and opens the keys with which a tenant's tokens are signed, and says how long they are used. Stores nothing, and leaves signing to `keys`.

use directory::store::Fault;
use directory::tenant::TenantId;
use events::event_log::{KEY_DAYS_MAX, KEY_OVERLAP_DAYS};
use jiff::{SignedDuration, Timestamp};
use keys::signing_key;
use serde_json::Value;

use crate::rows::from_json;
use crate::secrets::MasterKey;

/// A new key, ready to be stored.
pub(crate) struct MadeKey {
    /// Its id: the thumbprint of its public half (RFC 7638).
    pub id: String,
    /// The public half as a JSON Web Key.
    pub public: Value,
    /// The private half, sealed.
    pub sealed: Vec<u8>,
}

fn context(tenant: TenantId, id: &str) -> String {
    format!("signing-key/{}/{id}", tenant.0)
}

/// Makes a key and seals it for its tenant.
pub(crate) fn make(key: &MasterKey, tenant: TenantId) -> Result<MadeKey, Fault> {
    let made = signing_key::make().map_err(|error| Fault::new(error.to_string()))?;
    let sealed = key.seal(&context(tenant, &made.id), &made.private)?;
    Ok(MadeKey {
        id: made.id,
        public: made.public,
        sealed,
    })
}

/// Signs claims with a sealed key: a compact JWS (RFC 7515 section 3.1).
pub(crate) fn sign(
    key: &MasterKey,
    tenant: TenantId,
    (id, sealed): (&str, &[u8]),
    token_type: &str,
    claims: &Value,
) -> Result<String, Fault> {
    let private = key.open(&context(tenant, id), sealed)?;
    signing_key::sign(id, &private, token_type, claims)
        .map_err(|error| Fault::new(error.to_string()))
}

/// Whether a key that signs is so old that another takes its place.
pub(crate) fn is_old(created: Timestamp, now: Timestamp) -> bool {
    now.duration_since(created) >= SignedDuration::from_hours(24 * KEY_DAYS_MAX)
}

/// Keys that were replaced before this are no longer published.
pub(crate) fn published_since(now: Timestamp) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(24 * KEY_OVERLAP_DAYS))
        .unwrap_or(Timestamp::MIN)
}

/// A stored public half.
pub(crate) fn public(text: &str) -> Result<Value, Fault> {
    from_json(text)
}

#[cfg(test)]
mod tests {
    use keys::signed_token::{PublicKey, Signed};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_signed_verifies_by_the_public_half_and_a_key_is_sealed_for_its_tenant() {
        let folder = tempfile::tempdir().unwrap();
        let master = MasterKey::load_or_create(&folder.path().join("key")).unwrap();
        let made = make(&master, TenantId(1)).unwrap();
        let sign = |tenant: i64| {
            let key = (made.id.as_str(), made.sealed.as_slice());
            sign(
                &master,
                TenantId(tenant),
                key,
                "secevent+jwt",
                &json!({"a": 1}),
            )
        };
        let token = sign(1).unwrap();
        let keys = PublicKey::from_set(&json!({"keys": [made.public]}));
        assert!(Signed::parse(&token).unwrap().is_signed_by(&keys));
        assert!(sign(2).is_err());
    }
}
