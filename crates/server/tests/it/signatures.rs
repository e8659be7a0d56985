//! Tokens of a foreign issuer that another library has signed (`signed_tokens.json` of `keys` says how), from the request to the answer.

use access::issuer::IssuerRecord;
use serde_json::{Value, json};

use crate::house::{House, entry};

/// A house whose foreign issuer has one of the keys, changed by the test.
async fn house_with_key(key: Value) -> House {
    let house = House::new().await;
    *house.foreign.keys.lock().unwrap() = json!({"keys": [key]});
    let settings = json!({"issuer": "https://idp.example", "jwksUrl": "https://idp.example/keys", "audiences": ["scim"],
        "permissions": {"scopes": ["read"]}});
    let settings = serde_json::from_value(settings).unwrap();
    let record = IssuerRecord {
        tenant: house.tenant.id,
        name: "idp".into(),
        created: house.hand_now(),
        settings,
    };
    assert!(house.issuers.add_issuer(record, entry()).await.unwrap());
    house
}

#[tokio::test]
async fn a_token_signed_with_ps256_opens_the_api_and_a_forged_one_does_not() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../keys/tests/signed_tokens.json")).unwrap();
    let token = |name: &str| vectors["tokens"][name].as_str().unwrap().to_owned();
    let house = house_with_key(vectors["keys"]["rsa"].clone()).await;
    let check = async |token: &str, status: u16| {
        let answer = house.call(token, "GET", "/scim/v2/Users", &[], None).await;
        assert_eq!(answer.status.as_u16(), status, "{token}: {answer:?}");
    };
    check(&token("PS256"), 200).await;
    check(&token("RS256"), 200).await;
    for refused in [
        "PS384",
        "PS512",
        "RS384",
        "PS256 without salt",
        "PS256 signed as RS256",
        "RS256 signed as PS256",
    ] {
        check(&token(refused), 401).await;
    }
    // The token that was good a moment ago, with another signature, and with another's.
    let good = token("PS256");
    let (covered, signature) = good.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    check(&format!("{covered}.{first}{}", &signature[1..]), 401).await;
    check(
        &format!("{covered}.{}", token("RS256").rsplit_once('.').unwrap().1),
        401,
    )
    .await;
    check(&good, 200).await;
}

#[tokio::test]
async fn a_key_set_that_keeps_a_key_for_another_algorithm_is_obeyed() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../keys/tests/signed_tokens.json")).unwrap();
    for (algorithm, ps256, rs256) in [
        ("PS256", 200, 401),
        ("RS256", 401, 200),
        ("PS512", 401, 401),
    ] {
        let mut key = vectors["keys"]["rsa"].clone();
        key["alg"] = algorithm.into();
        let house = house_with_key(key).await;
        for (name, status) in [("PS256", ps256), ("RS256", rs256)] {
            let answer = house
                .call(
                    vectors["tokens"][name].as_str().unwrap(),
                    "GET",
                    "/scim/v2/Users",
                    &[],
                    None,
                )
                .await;
            assert_eq!(answer.status.as_u16(), status, "{algorithm}: {name}");
        }
    }
}
