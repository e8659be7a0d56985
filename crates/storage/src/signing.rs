//! Keys for tokens: made, sealed, opened, signed with (ES256: ECDSA on P-256 with SHA-256, RFC 7518 section 3.4). Stores nothing.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::{SignedDuration, Timestamp};
use provisioning::event_log::{KEY_DAYS_MAX, KEY_OVERLAP_DAYS};
use serde_json::{Value, json};

use crate::rows::{from_json, json_text};
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

/// Makes a key.
pub(crate) fn make(key: &MasterKey, tenant: TenantId) -> Result<MadeKey, Fault> {
    let failed = || Fault::new("a signing key could not be made");
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| failed())?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref())
        .map_err(|_| failed())?;
    // An uncompressed point: 4, then two coordinates of 32 bytes.
    let point = pair.public_key().as_ref();
    let (Some(x), Some(y)) = (point.get(1..33), point.get(33..65)) else {
        return Err(failed());
    };
    let (x, y) = (
        BASE64_URL_SAFE_NO_PAD.encode(x),
        BASE64_URL_SAFE_NO_PAD.encode(y),
    );
    let thumbprint = digest(
        &SHA256,
        format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes(),
    );
    let id = BASE64_URL_SAFE_NO_PAD.encode(thumbprint.as_ref());
    let public = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": id, "use": "sig", "alg": "ES256"});
    let sealed = key.seal(
        &context(tenant, &id),
        &BASE64_URL_SAFE_NO_PAD.encode(document.as_ref()),
    )?;
    Ok(MadeKey { id, public, sealed })
}

/// Signs claims: a compact JWS (RFC 7515 section 3.1).
pub(crate) fn sign(
    key: &MasterKey,
    tenant: TenantId,
    (id, sealed): (&str, &[u8]),
    token_type: &str,
    claims: &Value,
) -> Result<String, Fault> {
    let failed = || Fault::new("a token could not be signed");
    let private = BASE64_URL_SAFE_NO_PAD
        .decode(key.open(&context(tenant, id), sealed)?)
        .map_err(|_| failed())?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private)
        .map_err(|_| failed())?;
    let header = json!({"alg": "ES256", "typ": token_type, "kid": id});
    let part = |value: &Value| Ok::<_, Fault>(BASE64_URL_SAFE_NO_PAD.encode(json_text(value)?));
    let input = format!("{}.{}", part(&header)?, part(claims)?);
    let signature = pair
        .sign(&SystemRandom::new(), input.as_bytes())
        .map_err(|_| failed())?;
    Ok(format!(
        "{input}.{}",
        BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref())
    ))
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
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn what_is_signed_verifies_by_the_public_half_alone() {
        let folder = tempfile::tempdir().unwrap();
        let master = MasterKey::load_or_create(&folder.path().join("key")).unwrap();
        let made = make(&master, TenantId(1)).unwrap();
        let token = sign(
            &master,
            TenantId(1),
            (&made.id, &made.sealed),
            "secevent+jwt",
            &json!({"a": 1}),
        )
        .unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        let mut point = vec![4];
        point.extend(decode(made.public["x"].as_str().unwrap()));
        point.extend(decode(made.public["y"].as_str().unwrap()));
        let verifier = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point);
        assert!(
            verifier
                .verify(input.as_bytes(), &decode(signature))
                .is_ok()
        );
        assert!(verifier.verify(b"other", &decode(signature)).is_err());
        let header: Value =
            serde_json::from_slice(&decode(input.split_once('.').unwrap().0)).unwrap();
        assert_eq!(
            header,
            json!({"alg": "ES256", "typ": "secevent+jwt", "kid": made.id})
        );
        // A key is sealed for its tenant.
        assert!(
            sign(
                &master,
                TenantId(2),
                (&made.id, &made.sealed),
                "t",
                &json!({})
            )
            .is_err()
        );
    }
}
