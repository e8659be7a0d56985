//! The admin API for callers: clients, issuers, and what tokens are allowed. What they then may do is tested in `oauth` and `permissions`.

use axum::body::Body;
use directory::access::Scope;
use directory::tenant::TenantSettings;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use server::Options;

use crate::house::{Answer, House};
use crate::oauth::Signer;

const ADMIN: &str = "/t/default/admin/v1";

async fn admin(house: &House, method: &str, path: &str, body: Option<Value>) -> Answer {
    house
        .call(&house.token, method, &format!("{ADMIN}{path}"), &[], body)
        .await
}

async fn token_of(house: &House, id: &str, secret: &str) -> Answer {
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let request = Request::builder()
        .method("POST")
        .uri("/t/default/oauth2/token");
    house
        .send(
            request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Body::from(form))
                .unwrap(),
        )
        .await
}

#[tokio::test]
async fn a_client_is_made_uses_its_secret_and_is_revoked() {
    let house = House::new().await;
    let body = json!({"name": "hr", "permissions": {"scopes": ["read"], "resourceTypes": ["User"], "profile": "entra"}});
    let made = admin(&house, "POST", "/clients", Some(body.clone())).await;
    assert_eq!(
        (
            made.status,
            made.text("/authentication"),
            made.text("/tokenPath")
        ),
        (
            StatusCode::CREATED,
            "client_secret_basic",
            "/t/default/oauth2/token"
        )
    );
    let (id, secret) = (
        made.text("/id").to_owned(),
        made.text("/clientSecret").to_owned(),
    );
    let access = token_of(&house, &id, &secret).await;
    assert_eq!(access.status, StatusCode::OK, "{access:?}");
    let access = access.text("/access_token").to_owned();
    assert_eq!(
        house
            .call(&access, "GET", "/scim/v2/Users", &[], None)
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        house
            .call(&access, "GET", "/scim/v2/Groups", &[], None)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        admin(&house, "POST", "/clients", Some(body)).await.status,
        StatusCode::CONFLICT
    );
    let list = admin(&house, "GET", "/clients", None).await;
    assert_eq!(
        (list.text("/0/name"), list.text("/0/permissions/profile")),
        ("hr", "entra")
    );
    assert!(!list.body.to_string().contains(&secret));
    assert_eq!(
        admin(&house, "DELETE", &format!("/clients/{id}"), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        house
            .call(&access, "GET", "/scim/v2/Users", &[], None)
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        admin(&house, "DELETE", "/clients/none", None).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn clients_show_themselves_in_one_good_way() {
    let house = House::new().await;
    let key = Signer::new().jwk();
    let made = admin(
        &house,
        "POST",
        "/clients",
        Some(json!({"name": "by key", "publicKey": key})),
    )
    .await;
    assert_eq!(
        (
            made.status,
            made.text("/authentication"),
            made.body.get("clientSecret")
        ),
        (StatusCode::CREATED, "private_key_jwt", None)
    );
    let made = admin(
        &house,
        "POST",
        "/clients",
        Some(json!({"name": "by certificate", "certificate": {"san_dns": "hr.example.com"}})),
    )
    .await;
    assert_eq!(
        (made.status, made.text("/authentication")),
        (StatusCode::CREATED, "tls_client_auth")
    );
    let check = async |body: Value, said: &str| {
        let refused = admin(&house, "POST", "/clients", Some(body)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert!(refused.text("/detail").contains(said), "{refused:?}");
    };
    check(
        json!({"name": "x", "publicKey": "nothing"}),
        "public key in PEM",
    )
    .await;
    check(
        json!({"name": "x", "publicKey": key, "certificate": {"san_dns": "x"}}),
        "one way",
    )
    .await;
    check(
        json!({"name": "x", "permissions": {"scopes": ["fly"]}}),
        "`scopes`",
    )
    .await;
    check(
        json!({"name": "x", "permissions": {"profile": "none"}}),
        "`strict`",
    )
    .await;
    check(json!({}), "missing field `name`").await;
}

#[tokio::test]
async fn an_issuer_is_added_listed_and_removed() {
    let house = House::new().await;
    let body = json!({"name": "entra", "issuer": "https://i.example", "jwksUrl": "https://i.example/keys", "audiences": ["api://rollcall"],
        "requiredClaims": {"azp": "abc"}});
    let made = admin(&house, "POST", "/issuers", Some(body.clone())).await;
    assert_eq!(
        (
            made.status,
            made.text("/subjectClaim"),
            made.text("/requiredClaims/azp")
        ),
        (StatusCode::CREATED, "sub", "abc")
    );
    assert_eq!(
        house
            .issuers
            .list_issuers(house.tenant.id)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        admin(&house, "POST", "/issuers", Some(body)).await.status,
        StatusCode::CONFLICT
    );
    assert_eq!(
        admin(&house, "GET", "/issuers", None)
            .await
            .text("/0/jwksUrl"),
        "https://i.example/keys"
    );
    assert_eq!(
        admin(&house, "DELETE", "/issuers/entra", None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        admin(&house, "DELETE", "/issuers/entra", None).await.status,
        StatusCode::NOT_FOUND
    );
    let check = async |body: Value, said: &str| {
        let refused = admin(&house, "POST", "/issuers", Some(body)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert!(refused.text("/detail").contains(said), "{refused:?}");
    };
    check(
        json!({"name": "x", "issuer": "i", "jwksUrl": "keys", "audiences": ["a"]}),
        "`https://`",
    )
    .await;
    check(
        json!({"name": "x", "issuer": "i", "jwksUrl": "https://i", "audiences": []}),
        "`audiences`",
    )
    .await;
    // The real ones are told where they may not go; here it is the stand-in for them that says so.
    check(
        json!({"name": "x", "issuer": "i", "jwksUrl": "http://127.0.0.1/keys", "audiences": ["a"]}),
        "`jwksUrl` can never be fetched",
    )
    .await;
    assert!(
        house
            .issuers
            .list_issuers(house.tenant.id)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_token_may_have_a_profile_a_rate_and_a_person() {
    let house = House::new().await;
    let ada = house.user("ada").await;
    let body = json!({"name": "ada's", "scopes": ["read"], "profile": "okta", "requestsPerSecond": 7, "user": ada});
    let made = admin(&house, "POST", "/tokens", Some(body)).await;
    assert_eq!(
        (
            made.status,
            made.text("/profile"),
            &made.body["requestsPerSecond"]
        ),
        (StatusCode::CREATED, "okta", &json!(7))
    );
    let me = house
        .call(made.text("/token"), "GET", "/scim/v2/Me", &[], None)
        .await;
    assert_eq!(
        (
            me.status,
            me.text("/userName"),
            me.header("ratelimit-policy")
        ),
        (StatusCode::OK, "ada", Some("\"caller\";q=70;w=10"))
    );
    let check = async |body: Value, said: &str| {
        let refused = admin(&house, "POST", "/tokens", Some(body)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert!(refused.text("/detail").contains(said), "{refused:?}");
    };
    check(json!({"name": "x", "user": "nobody"}), "`nobody`").await;
    check(json!({"name": "x", "profile": "none"}), "`entra`").await;
    check(
        json!({"name": "x", "requestsPerSecond": 2_000_000}),
        "0 to 1000000",
    )
    .await;
    // Not by an administrator who may not read people, nor do what the token may.
    let narrow = house.narrow(&[Scope::Admin], None).await;
    let body = Some(json!({"name": "y", "user": ada}));
    assert_eq!(
        house
            .call(&narrow, "POST", &format!("{ADMIN}/tokens"), &[], body)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_tenant_has_so_many_of_each() {
    let house = House::with(
        Options {
            credentials_max: 2,
            partners_max: 1,
            ..Options::default()
        },
        TenantSettings::default(),
    )
    .await;
    let issuer = |name: &str| json!({"name": name, "issuer": format!("https://{name}.example"), "jwksUrl": "https://i.example/keys", "audiences": ["a"]});
    let receiver = |name: &str| json!({"name": name, "kind": "poll"});
    // The token of the test is one of the two.
    let cases = [
        (
            "/tokens",
            json!({"name": "one"}),
            json!({"name": "two"}),
            "tokens",
        ),
        ("/issuers", issuer("one"), issuer("two"), "issuers"),
        ("/receivers", receiver("one"), receiver("two"), "receivers"),
    ];
    for (path, first, second, noun) in cases {
        let made = admin(&house, "POST", path, Some(first)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{path} {made:?}");
        let refused = admin(&house, "POST", path, Some(second.clone())).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{path} {refused:?}");
        assert!(refused.text("/detail").contains(noun), "{refused:?}");
        let which = if path == "/tokens" {
            made.text("/id")
        } else {
            "one"
        };
        assert!(
            admin(&house, "DELETE", &format!("{path}/{which}"), None)
                .await
                .status
                .is_success()
        );
        assert_eq!(
            admin(&house, "POST", path, Some(second)).await.status,
            StatusCode::CREATED,
            "{path}"
        );
    }
    for (name, status) in [
        ("one", StatusCode::CREATED),
        ("two", StatusCode::CREATED),
        ("three", StatusCode::CONFLICT),
    ] {
        assert_eq!(
            admin(&house, "POST", "/clients", Some(json!({"name": name})))
                .await
                .status,
            status,
            "{name}"
        );
    }
}
