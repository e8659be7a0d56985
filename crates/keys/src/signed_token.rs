//! Takes signed tokens apart (RFC 7515) and checks them against public keys (RFC 7517). Decides nothing about their claims.
//!
//! A token's own word never decides the algorithm alone: `none` and keyed hashes are not accepted, and a key is used only with the algorithms of its type.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey as ParsedKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Most keys of one set that are looked at.
pub const KEYS_MAX: usize = 100;
/// Names of the algorithms, for metadata.
pub const ALGORITHMS: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];

/// Algorithms that are accepted (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    EdDsa,
}

impl Algorithm {
    fn by_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// A token that was taken apart. Nothing in it may be believed before `is_signed_by` is true.
pub struct Signed<'a> {
    algorithm: Algorithm,
    /// Which key it names.
    pub key_id: Option<String>,
    /// What it says it is (`typ`), in lower case and without `application/` (RFC 7515 section 4.1.9).
    token_type: Option<String>,
    /// What it says.
    pub claims: Map<String, Value>,
    message: &'a str,
    signature: Vec<u8>,
}

impl<'a> Signed<'a> {
    /// Whether a text could be such a token: three parts.
    pub fn looks_like(text: &str) -> bool {
        text.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// Takes a compact serialization apart. `None`: malformed, too long, an algorithm we do not accept, a critical header (`crit`), none of which we know, or
    /// a `typ` that is no text.
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let object = |part: &str| -> Option<Map<String, Value>> {
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        let header = object(header)?;
        if header.contains_key("crit") {
            return None;
        }
        let algorithm = Algorithm::by_name(header.get("alg")?.as_str()?)?;
        let token_type = match header.get("typ") {
            None => None,
            Some(text) => Some(short_type(text.as_str()?)),
        };
        let key_id = header.get("kid").and_then(Value::as_str).map(str::to_owned);
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        Some(Self {
            algorithm,
            key_id,
            token_type,
            claims: object(claims)?,
            message: signed,
            signature,
        })
    }

    /// Whether it can be an access token (RFC 9068 section 4). The same keys may sign other kinds of tokens, none of which was made to open anything here. Issuers that do not keep RFC 9068 write `JWT` or nothing for `typ`, so there the claims of other kinds are looked for: `events` of
    /// Security Event Tokens (RFC 8417 section 2.2, log-out tokens too), those of ID Tokens (OpenID Connect Core sections 2 and 3.3.2.11), and Keycloak's
    /// claim `typ`, which is `Bearer` in an access token.
    pub fn may_be_access_token(&self) -> bool {
        let has = |name: &&str| self.claims.contains_key(*name);
        let keycloak_type = self.claims.get("typ").and_then(Value::as_str);
        let is_named = match self.token_type.as_deref() {
            Some("at+jwt") => true,
            None | Some("jwt") => false,
            Some(_) => return false,
        };
        if ["events", "at_hash", "c_hash", "s_hash"].iter().any(has)
            || keycloak_type.is_some_and(|kind| OTHER_KINDS.contains(&kind))
        {
            return false;
        }
        is_named || keycloak_type == Some("Bearer") || !has(&"nonce")
    }

    /// Whether it can be an assertion of a client (RFC 7523 section 3), whose `typ` is `JWT`, `client-authentication+jwt`, or left out.
    pub fn may_be_assertion(&self) -> bool {
        let is_named_so = self
            .token_type
            .as_deref()
            .is_none_or(|kind| ["jwt", "client-authentication+jwt"].contains(&kind));
        is_named_so && !self.claims.contains_key("events")
    }

    /// Whether one of the keys that it may mean has signed it.
    pub fn is_signed_by(&self, keys: &[PublicKey]) -> bool {
        let named = |key: &&PublicKey| match (&self.key_id, &key.id) {
            (Some(wanted), Some(id)) => wanted == id,
            // A key or a token without a name: only trying tells.
            _ => true,
        };
        keys.iter().filter(named).any(|key| key.verifies(self))
    }

    /// Whether the key that it names is among these.
    pub fn is_key_known(&self, keys: &[PublicKey]) -> bool {
        self.key_id.is_none() || keys.iter().any(|key| key.id == self.key_id)
    }
}

/// What Keycloak's claim `typ` says of tokens that are no bearer's.
const OTHER_KINDS: [&str; 5] = ["ID", "Refresh", "Offline", "Logout", "DPoP"];

/// A media type as `typ` has it: compared without case, and `application/` may be left out.
fn short_type(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    lower
        .strip_prefix("application/")
        .map_or(lower.clone(), str::to_owned)
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl PublicKey {
    /// From a JWK. `None`: of a type we do not use, not for signatures, or malformed.
    pub fn from_jwk(key: &Value) -> Option<Self> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let bytes = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(text(name)?).ok();
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let n = bytes("n")?;
                // A modulus with leading zeros is the same number, but aws-lc-rs wants none.
                let n = n
                    .iter()
                    .copied()
                    .skip_while(|byte| *byte == 0)
                    .collect::<Vec<_>>();
                Material::Rsa { n, e: bytes("e")? }
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                (x.len() == 32 && y.len() == 32).then_some(Material::P256(point))?
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
            _ => return None,
        };
        let algorithm = match text("alg") {
            None => None,
            Some(name) => Some(Algorithm::by_name(name)?),
        };
        Some(Self {
            id: text("kid").map(str::to_owned),
            algorithm,
            material,
        })
    }

    /// Those keys of a JWK set that can be used.
    pub fn from_set(set: &Value) -> Vec<Self> {
        set.get("keys")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .take(KEYS_MAX)
            .filter_map(Self::from_jwk)
            .collect()
    }

    fn verifies(&self, token: &Signed<'_>) -> bool {
        if self.algorithm.is_some_and(|own| own != token.algorithm) {
            return false;
        }
        let (message, signature) = (token.message.as_bytes(), token.signature.as_slice());
        match (&self.material, token.algorithm) {
            (Material::Rsa { n, e }, Algorithm::Rs256) => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            (Material::Rsa { n, e }, Algorithm::Ps256) => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PSS_2048_8192_SHA256, message, signature)
                .is_ok(),
            (Material::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signature)
                    .is_ok()
            }
            (Material::Ed25519(key), Algorithm::EdDsa) => UnparsedPublicKey::new(&ED25519, key)
                .verify(message, signature)
                .is_ok(),
            _ => false,
        }
    }
}

/// Why the text of a key was refused.
#[derive(Debug, thiserror::Error)]
#[error(
    "this is neither a public key in PEM, nor a JWK or a JWK set, with RSA (2048 bits and more), P-256 or Ed25519"
)]
pub struct NotAKey;

/// Public keys as JWKs, from PEM (`BEGIN PUBLIC KEY`), a JWK or a JWK set. Refuses a text with none that can be used, and one with a private key.
pub fn keys_from_text(text: &str) -> Result<Vec<Value>, NotAKey> {
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let keys = match value.get("keys") {
            Some(Value::Array(keys)) => keys.clone(),
            _ => vec![value],
        };
        let is_public = |key: &Value| key.get("d").is_none() && key.get("k").is_none();
        let good = !keys.is_empty()
            && keys.len() <= KEYS_MAX
            && keys
                .iter()
                .all(|key| is_public(key) && PublicKey::from_jwk(key).is_some());
        return if good { Ok(keys) } else { Err(NotAKey) };
    }
    let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).map_err(|_| NotAKey)?;
    let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| NotAKey)?;
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let key = match info.parsed() {
        Ok(ParsedKey::RSA(rsa)) => {
            let modulus: Vec<u8> = rsa
                .modulus
                .iter()
                .copied()
                .skip_while(|byte| *byte == 0)
                .collect();
            if modulus.len() < 256 {
                return Err(NotAKey);
            }
            json!({"kty": "RSA", "n": encode(&modulus), "e": encode(rsa.exponent)})
        }
        Ok(ParsedKey::EC(point)) => {
            let (&[4], coordinates) = point.data().split_first_chunk::<1>().ok_or(NotAKey)? else {
                return Err(NotAKey);
            };
            let (x, y) = coordinates.split_at_checked(32).ok_or(NotAKey)?;
            json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
        }
        _ if info.algorithm.algorithm.to_id_string() == "1.3.101.112" => {
            json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&info.subject_public_key.data)})
        }
        _ => return Err(NotAKey),
    };
    PublicKey::from_jwk(&key).map(|_| vec![key]).ok_or(NotAKey)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;

    fn pair() -> (EcdsaKeyPair, Value) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref().to_vec();
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "k1", "x": encode(&point[1..33]), "y": encode(&point[33..])});
        (pair, jwk)
    }

    fn token(pair: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    fn is_good(token: &str, keys: &Value) -> bool {
        Signed::parse(token).is_some_and(|signed| signed.is_signed_by(&PublicKey::from_set(keys)))
    }

    #[test]
    fn what_can_be_an_access_token() {
        let kinds = |mut header: Value, claims: Value| {
            let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
            header["alg"] = "ES256".into();
            let token = format!("{}.{}.", encode(&header), encode(&claims));
            Signed::parse(&token)
                .map(|signed| [signed.may_be_access_token(), signed.may_be_assertion()])
                .unwrap_or_default()
        };
        let access = |header: Value, claims: Value| kinds(header, claims)[0];
        for typ in [
            "at+jwt",
            "AT+JWT",
            "application/at+jwt",
            "JWT",
            "jwt",
            "application/jwt",
        ] {
            assert!(access(json!({"typ": typ}), json!({})), "{typ}");
        }
        for typ in [
            "secevent+jwt",
            "application/secevent+jwt",
            "Secevent+JWT",
            "logout+jwt",
            "dpop+jwt",
            "oauth-authz-req+jwt",
            "token-introspection+jwt",
            "client-authentication+jwt",
            "vc+sd-jwt",
            "JOSE",
            "JWS",
            "",
            " at+jwt",
        ] {
            assert!(!access(json!({"typ": typ}), json!({})), "{typ}");
        }
        assert!(!access(json!({"typ": 1}), json!({})) && !access(json!({"typ": null}), json!({})));
        assert!(access(json!({}), json!({"sub": "x"})));
        for claims in [
            json!({"events": {}}),
            json!({"at_hash": "x"}),
            json!({"c_hash": "x"}),
            json!({"nonce": "x"}),
            json!({"typ": "ID"}),
            json!({"typ": "Refresh"}),
        ] {
            assert!(
                !access(json!({}), claims.clone())
                    && !access(json!({"typ": "JWT"}), claims.clone()),
                "{claims}"
            );
        }
        assert!(!access(json!({"typ": "at+jwt"}), json!({"events": {}})));
        assert!(access(json!({"typ": "at+jwt"}), json!({"nonce": "x"})));
        assert!(
            access(
                json!({"typ": "JWT"}),
                json!({"typ": "Bearer", "nonce": "x"})
            ),
            "Keycloak before 25"
        );
        let assertion = |header: Value, claims: Value| kinds(header, claims)[1];
        assert!(assertion(json!({}), json!({})) && assertion(json!({"typ": "JWT"}), json!({})));
        assert!(assertion(
            json!({"typ": "client-authentication+jwt"}),
            json!({})
        ));
        assert!(
            !assertion(json!({"typ": "secevent+jwt"}), json!({}))
                && !assertion(json!({"typ": "at+jwt"}), json!({}))
        );
        assert!(!assertion(json!({}), json!({"events": {}})));
    }

    /// RFC 7515 appendix A.2 (RS256), A.3 (ES256) and RFC 8037 appendix A.4 (`EdDSA`).
    #[test]
    fn vectors_of_the_rfcs() {
        let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let rsa = json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"});
        let rs256 = format!(
            "eyJhbGciOiJSUzI1NiJ9.{payload}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
        );
        let ec = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
        let es256 = format!(
            "eyJhbGciOiJFUzI1NiJ9.{payload}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        );
        for (token, key, other) in [(&rs256, &rsa, &ec), (&es256, &ec, &rsa)] {
            assert!(is_good(token, &json!({"keys": [key]})), "{token}");
            assert!(is_good(token, &json!({"keys": [other, key]})), "{token}");
            assert!(!is_good(token, &json!({"keys": [other]})), "{token}");
            let changed = token.replace("eyJpc3Mi", "eyJpc3Nj");
            assert!(!is_good(&changed, &json!({"keys": [key]})));
        }
        let ed = PublicKey::from_jwk(&json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})).unwrap();
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        assert!(ed.verifies(&Signed {
            algorithm: Algorithm::EdDsa,
            key_id: None,
            token_type: None,
            claims: Map::new(),
            message: signed,
            signature
        }));
    }

    /// `cryptography` signed them; the file says how.
    #[test]
    fn tokens_that_another_library_signed() {
        let vectors: Value =
            serde_json::from_str(include_str!("../tests/signed_tokens.json")).unwrap();
        let keys =
            json!({"keys": vectors["keys"].as_object().unwrap().values().collect::<Vec<_>>()});
        let tokens = vectors["tokens"].as_object().unwrap();
        let good = [
            "PS256",
            "PS256 of 4096 bits",
            "RS256",
            "ES256",
            "EdDSA",
            "Ed25519",
        ];
        for (name, token) in tokens {
            assert_eq!(
                is_good(token.as_str().unwrap(), &keys),
                good.contains(&name.as_str()),
                "{name}"
            );
        }
        assert!(tokens.len() == 18 && good.iter().all(|name| tokens.contains_key(*name)));
        for name in good {
            let token = tokens[name].as_str().unwrap();
            let (covered, signature) = token.rsplit_once('.').unwrap();
            let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
            let signed = |signature: &[u8]| {
                format!("{covered}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
            };
            assert!(is_good(&signed(&signature), &keys), "{name}");
            for place in [0, signature.len() / 2, signature.len() - 1] {
                let mut changed = signature.clone();
                changed[place] ^= 1;
                assert!(!is_good(&signed(&changed), &keys), "{name}, byte {place}");
            }
            assert!(
                !is_good(&signed(&signature[1..]), &keys)
                    && !is_good(&signed(&[&signature[..], &[0]].concat()), &keys),
                "{name}"
            );
            assert!(
                !is_good(&signed(&vec![0; signature.len()]), &keys)
                    && !is_good(&signed(&[]), &keys),
                "{name}"
            );
            let claims = token.split('.').nth(1).unwrap();
            let others = BASE64_URL_SAFE_NO_PAD.encode(
                r#"{"iss":"https://idp.example","aud":"scim","sub":"root","exp":4000000000}"#,
            );
            assert!(!is_good(&token.replace(claims, &others), &keys), "{name}");
        }
    }

    /// A key that says for which algorithm it is is used for no other, although its type could be (RFC 8725 section 3.1).
    #[test]
    fn a_key_is_used_only_for_its_own_algorithm() {
        let vectors: Value =
            serde_json::from_str(include_str!("../tests/signed_tokens.json")).unwrap();
        let check = |key: &str, algorithm: &str, token: &str, accepted: bool| {
            let mut key = vectors["keys"][key].clone();
            key["alg"] = algorithm.into();
            assert_eq!(
                is_good(
                    vectors["tokens"][token].as_str().unwrap(),
                    &json!({"keys": [key]})
                ),
                accepted,
                "{algorithm}: {token}"
            );
        };
        check("rsa", "PS256", "PS256", true);
        check("rsa", "RS256", "RS256", true);
        check("rsa", "RS256", "PS256", false);
        check("rsa", "PS256", "RS256", false);
        check("rsa", "PS384", "PS256", false);
        check("rsa", "PS384", "PS384", false);
        check("p256", "PS256", "ES256", false);
        check("ed", "Ed25519", "EdDSA", true);
    }

    #[test]
    fn what_is_refused() {
        let (own, jwk) = pair();
        let keys = json!({"keys": [jwk]});
        let claims = json!({"sub": "x"});
        assert!(is_good(
            &token(&own, &json!({"alg": "ES256", "kid": "k1"}), &claims),
            &keys
        ));
        assert!(is_good(
            &token(&own, &json!({"alg": "ES256"}), &claims),
            &keys
        ));
        for header in [
            json!({"alg": "none"}),
            json!({"alg": "HS256"}),
            json!({"alg": "RS256"}),
            json!({"alg": "EdDSA"}),
            json!({"alg": "ES256", "kid": "k2"}),
            json!({"alg": "ES256", "crit": ["b64"], "b64": false}),
            json!({}),
        ] {
            assert!(!is_good(&token(&own, &header, &claims), &keys), "{header}");
        }
        let (stranger, _) = pair();
        assert!(!is_good(
            &token(&stranger, &json!({"alg": "ES256", "kid": "k1"}), &claims),
            &keys
        ));
        assert!(
            !is_good("a.b.c", &keys) && !is_good("", &keys) && !is_good(&"a".repeat(20_000), &keys)
        );
        // A token without a signature, signed with nothing, or with its public key as a secret.
        let unsigned = token(&own, &json!({"alg": "ES256"}), &claims);
        let (covered, _) = unsigned.rsplit_once('.').unwrap();
        assert!(!is_good(&format!("{covered}."), &keys));
    }

    #[test]
    fn keys_from_files() {
        let (own, jwk) = pair();
        let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(
            own.public_key(),
        )
        .unwrap();
        let body = base64::prelude::BASE64_STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
        let keys = keys_from_text(&pem).unwrap();
        assert!(is_good(
            &token(&own, &json!({"alg": "ES256"}), &json!({})),
            &json!({"keys": keys})
        ));
        assert_eq!(
            keys_from_text(&jwk.to_string()).unwrap(),
            std::slice::from_ref(&jwk)
        );
        assert_eq!(
            keys_from_text(&json!({"keys": [jwk]}).to_string()).unwrap(),
            std::slice::from_ref(&jwk)
        );
        let mut private = jwk;
        private["d"] = "AAAA".into();
        for refused in [
            private.to_string(),
            json!({"keys": []}).to_string(),
            "nonsense".into(),
            json!({"kty": "oct", "k": "AAAA"}).to_string(),
        ] {
            assert!(keys_from_text(&refused).is_err(), "{refused}");
        }
    }
}
