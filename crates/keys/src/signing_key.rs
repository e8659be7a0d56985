//! Keys that sign tokens with ES256 (ECDSA on P-256 with SHA-256, RFC 7518 section 3.4): makes a key, signs with it, and writes its public half as a JWK.
//! Stores no key.

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key could not be made, or a token could not be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The key.
    #[error("a signing key could not be made")]
    NotMade,
    /// The token.
    #[error("a token could not be signed")]
    NotSigned,
}

/// A key pair. It has no `Debug`, because the private half is in it.
pub struct MadeKey {
    /// Its id: the thumbprint of the public half (RFC 7638).
    pub id: String,
    /// The public half as a JSON Web Key.
    pub public: Value,
    /// The private half: PKCS #8 as base64url.
    pub private: String,
}

/// Makes a key pair from the machine's randomness.
pub fn make() -> Result<MadeKey, SigningError> {
    let failed = |_| SigningError::NotMade;
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(failed)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref())
        .map_err(|_| SigningError::NotMade)?;
    let (id, public) = jwk(pair.public_key().as_ref()).ok_or(SigningError::NotMade)?;
    let private = BASE64_URL_SAFE_NO_PAD.encode(document.as_ref());
    Ok(MadeKey {
        id,
        public,
        private,
    })
}

/// Signs claims with the private half of the key with this id: a compact JWS (RFC 7515 section 3.1).
pub fn sign(
    id: &str,
    private: &str,
    token_type: &str,
    claims: &Value,
) -> Result<String, SigningError> {
    let private = BASE64_URL_SAFE_NO_PAD
        .decode(private)
        .map_err(|_| SigningError::NotSigned)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private)
        .map_err(|_| SigningError::NotSigned)?;
    let header = json!({"alg": "ES256", "typ": token_type, "kid": id});
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(&header), part(claims));
    let signature = pair
        .sign(&SystemRandom::new(), input.as_bytes())
        .map_err(|_| SigningError::NotSigned)?;
    Ok(format!(
        "{input}.{}",
        BASE64_URL_SAFE_NO_PAD.encode(signature.as_ref())
    ))
}

/// The public half, as a JWK, of the key whose private half is this number. `None`: the number is no private key of the curve, as one in four billion is.
pub fn public_of_number(private: &[u8; 32]) -> Option<Value> {
    let private = PrivateKey::from_private_key(&ECDH_P256, private).ok()?;
    let public = private.compute_public_key().ok()?;
    jwk(public.as_ref()).map(|(_, jwk)| jwk)
}

/// The JWK of an uncompressed point (the number 4, then two coordinates of 32 bytes), with its id before it.
fn jwk(point: &[u8]) -> Option<(String, Value)> {
    let (x, y) = (
        BASE64_URL_SAFE_NO_PAD.encode(point.get(1..33)?),
        BASE64_URL_SAFE_NO_PAD.encode(point.get(33..65)?),
    );
    let thumbprint = digest(
        &SHA256,
        format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes(),
    );
    let id = BASE64_URL_SAFE_NO_PAD.encode(thumbprint.as_ref());
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": id, "use": "sig", "alg": "ES256"});
    Some((id, jwk))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;
    use crate::signed_token::{PublicKey, Signed};

    #[test]
    fn what_is_signed_verifies_by_the_public_half_alone() {
        let made = make().unwrap();
        let token = sign(&made.id, &made.private, "secevent+jwt", &json!({"a": 1})).unwrap();
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
        let read = Signed::parse(&token).unwrap();
        let keys = |key: &MadeKey| PublicKey::from_set(&json!({"keys": [key.public]}));
        assert!(read.is_signed_by(&keys(&made)));
        assert!(!read.is_signed_by(&keys(&make().unwrap())));
    }

    #[test]
    fn a_number_has_one_public_half() {
        let one = public_of_number(&[1; 32]).unwrap();
        assert_eq!(Some(&one), public_of_number(&[1; 32]).as_ref());
        assert_ne!(one["x"], public_of_number(&[2; 32]).unwrap()["x"]);
        assert_eq!(public_of_number(&[0; 32]), None);
        assert_eq!(public_of_number(&[255; 32]), None);
    }
}
