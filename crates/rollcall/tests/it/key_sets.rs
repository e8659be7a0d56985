//! Keys of foreign issuers, fetched over HTTP: how often, for how long they count, and what an issuer that answers nonsense can do. Real issuers, a clock that
//! the test moves.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use connectors::key_sets::KEY_SET_BYTES_MAX;
use serde_json::{Value, json};

use crate::parts::{Outside, Parts};

/// A key of an issuer.
struct Signer {
    id: &'static str,
    pair: EcdsaKeyPair,
    tokens: AtomicU32,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        Self {
            id,
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            tokens: AtomicU32::new(0),
        }
    }

    /// The key set with this key alone.
    fn set(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": self.id, "x": encode(&point[1..33]), "y": encode(&point[33..])}]})
    }

    /// A token that nobody has seen before, so that nothing is remembered of it.
    fn token(&self, parts: &Parts) -> String {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let (number, exp) = (
            self.tokens.fetch_add(1, Ordering::Relaxed),
            parts.now().as_second() + 1_000_000,
        );
        let claims = json!({"iss": "https://idp.example", "aud": "scim", "sub": "app", "exp": exp, "jti": number.to_string()});
        let signed = format!(
            "{}.{}",
            encode(&json!({"alg": "ES256", "kid": self.id})),
            encode(&claims)
        );
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A server that accepts the tokens of an issuer, and that issuer, with these keys.
fn begin(set: Value) -> (Parts, Outside) {
    let parts = Parts::new();
    let issuer = parts.outside();
    publish(&issuer, set);
    let new = json!({"name": "idp", "issuer": "https://idp.example", "jwksUrl": format!("{}/keys", issuer.address), "audiences": ["scim"]});
    parts.add("issuers", &new);
    (parts, issuer)
}

fn publish(issuer: &Outside, set: Value) {
    issuer.says(move |_| axum::Json(set.clone()));
}

/// What a read with this token is answered, and how often the issuer has been asked.
fn read(parts: &Parts, issuer: &Outside, token: &str) -> (u16, usize) {
    let answer = parts.send_as(token, "GET", "/scim/v2/Users", None);
    (answer.status, issuer.asked().len())
}

#[test]
fn keys_are_fetched_once_and_again_for_a_key_that_is_not_known_but_only_so_often() {
    let (own, next, stranger) = (Signer::new("k1"), Signer::new("k2"), Signer::new("made-up"));
    let (parts, issuer) = begin(own.set());
    let check = |signer: &Signer, expected: (u16, usize), when: &str| {
        assert_eq!(
            read(&parts, &issuer, &signer.token(&parts)),
            expected,
            "{when}"
        );
    };
    assert_eq!(
        issuer.asked().len(),
        0,
        "nobody is asked before there is a token"
    );
    for _ in 0..3 {
        check(&own, (200, 1), "the first tokens");
    }
    assert_eq!(issuer.asked()[0].path, "/keys");
    publish(
        &issuer,
        json!({"keys": [own.set()["keys"][0], next.set()["keys"][0]]}),
    );
    parts.wait(29);
    check(
        &next,
        (401, 1),
        "a new key within half a minute of the last look",
    );
    check(&stranger, (401, 1), "a key that is made up");
    parts.wait(1);
    check(&next, (200, 2), "a new key, after it");
    check(&own, (200, 2), "the old key beside it");
    for _ in 0..3 {
        check(
            &stranger,
            (401, 2),
            "made-up keys cause no load at the issuer",
        );
    }
    parts.wait(30);
    check(&stranger, (401, 3), "one look each half a minute");
    check(&stranger, (401, 3), "and no more");
    parts.wait(299);
    check(&own, (200, 3), "as long as they are fresh");
    parts.wait(1);
    check(&own, (200, 4), "fetched again when they are old");
    // A token that would not be accepted anyway causes no fetch.
    parts.wait(10_000);
    let other = json!({"iss": "https://other.example", "aud": "scim", "sub": "app", "exp": parts.now().as_second() + 60});
    let header = own.token(&parts);
    let token = format!(
        "{}.{}.AAAA",
        header.split('.').next().unwrap(),
        BASE64_URL_SAFE_NO_PAD.encode(other.to_string())
    );
    assert_eq!(read(&parts, &issuer, &token), (401, 4));
}

#[test]
fn a_withdrawn_key_ends_when_its_set_is_old_and_the_key_that_took_its_place_works() {
    let (old, new) = (Signer::new("k1"), Signer::new("k2"));
    let (parts, issuer) = begin(old.set());
    assert_eq!(read(&parts, &issuer, &old.token(&parts)), (200, 1));
    publish(&issuer, new.set());
    parts.wait(299);
    let remembered = old.token(&parts);
    assert_eq!(
        read(&parts, &issuer, &remembered),
        (200, 1),
        "five minutes are not over"
    );
    parts.wait(1);
    assert_eq!(
        read(&parts, &issuer, &old.token(&parts)),
        (401, 2),
        "they are over"
    );
    assert_eq!(read(&parts, &issuer, &new.token(&parts)), (200, 2));
    // A token that was good is remembered for a minute more.
    parts.wait(58);
    assert_eq!(read(&parts, &issuer, &remembered).0, 200);
    parts.wait(1);
    assert_eq!(read(&parts, &issuer, &remembered).0, 401);

    // Whoever comes with the new key ends the old one earlier.
    let (parts, issuer) = begin(old.set());
    assert_eq!(read(&parts, &issuer, &old.token(&parts)), (200, 1));
    publish(&issuer, new.set());
    parts.wait(30);
    assert_eq!(read(&parts, &issuer, &new.token(&parts)), (200, 2));
    assert_eq!(read(&parts, &issuer, &old.token(&parts)), (401, 2));
}

/// An issuer that answers so before it ever answered well, and afterwards.
fn check_harmless<R: IntoResponse>(
    case: &str,
    bad: impl Fn(&str) -> R + Clone + Send + Sync + 'static,
) {
    let own = Signer::new("k1");
    let (parts, issuer) = begin(json!({}));
    let ours = || {
        assert_eq!(
            parts.send("GET", "/scim/v2/Users", None).status,
            200,
            "{case}: other tokens work"
        );
    };
    issuer.says(bad.clone());
    assert_eq!(
        read(&parts, &issuer, &own.token(&parts)),
        (401, 1),
        "{case}"
    );
    ours();
    publish(&issuer, own.set());
    assert_eq!(
        read(&parts, &issuer, &own.token(&parts)),
        (401, 1),
        "{case}: not asked again at once"
    );
    parts.wait(30);
    assert_eq!(
        read(&parts, &issuer, &own.token(&parts)),
        (200, 2),
        "{case}: it recovers"
    );
    issuer.says(bad);
    parts.wait(300);
    assert_eq!(
        read(&parts, &issuer, &own.token(&parts)),
        (200, 3),
        "{case}: old keys live on"
    );
    assert_eq!(
        read(&parts, &issuer, &own.token(&parts)),
        (200, 3),
        "{case}: and it is left alone"
    );
    parts.wait(86_399 - 300);
    assert_eq!(
        read(&parts, &issuer, &own.token(&parts)),
        (200, 4),
        "{case}: for a day"
    );
    parts.wait(1);
    assert_eq!(
        read(&parts, &issuer, &own.token(&parts)),
        (401, 4),
        "{case}: and no longer"
    );
    ours();
    assert!(
        issuer.asked().iter().all(|asked| asked.path == "/keys"),
        "{case}: {:?}",
        issuer.asked()
    );
}

#[test]
fn an_issuer_that_answers_nonsense_harms_nobody() {
    check_harmless("not JSON", |_| "<html>a proxy says hello</html>");
    check_harmless("nothing", |_| "");
    check_harmless("a failure", |_| StatusCode::INTERNAL_SERVER_ERROR);
    check_harmless("a failure with keys", |_| {
        (StatusCode::NOT_FOUND, axum::Json(Signer::new("k1").set()))
    });
    check_harmless("an error in JSON", |_| axum::Json(json!({"error": "busy"})));
    check_harmless("too large", |_| {
        format!("{{\"keys\": []}}{}", " ".repeat(KEY_SET_BYTES_MAX))
    });
    // Where it leads is never asked, although keys would be there.
    check_harmless("a redirect", |_| {
        (StatusCode::FOUND, [(LOCATION, "/elsewhere")])
    });
    check_harmless("a redirect that stays", |_| {
        (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "/elsewhere")])
    });
}

/// In real time: the issuer is given up after five seconds.
#[test]
fn an_issuer_that_never_answers_keeps_nobody_else_waiting() {
    let own = Signer::new("k1");
    let (parts, issuer) = begin(json!({}));
    issuer.falls_silent();
    let token = own.token(&parts);
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let waiting = scope.spawn(|| read(&parts, &issuer, &token));
        while issuer.asked().is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(parts.send("GET", "/scim/v2/Users", None).status, 200);
        assert!(!waiting.is_finished(), "others are answered first");
        assert_eq!(waiting.join().unwrap(), (401, 1));
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "{:?}",
            begun.elapsed()
        );
    });
    publish(&issuer, own.set());
    parts.wait(30);
    assert_eq!(read(&parts, &issuer, &token), (200, 2), "it recovers");
}
