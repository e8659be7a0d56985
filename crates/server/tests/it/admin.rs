//! The admin API: who may, how it refuses, and that its description is served.

use directory::access::Scope;
use http::StatusCode;
use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn tokens_are_made_shown_once_and_revoked() {
    let house = House::new().await;
    let call = async |method, path, body| house.call(&house.token, method, path, &[], body).await;
    let body = json!({"name": "Entra ID", "scopes": ["read", "write"], "resourceTypes": ["User"], "expires": "2040-01-01T00:00:00Z"});
    let made = call("POST", "/t/default/admin/v1/tokens", Some(body)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(made.header("content-type"), Some("application/json"));
    let token = made.text("/token").to_owned();
    assert_eq!(house.call(&token, "GET", "/scim/v2/Users", &[], None).await.status, StatusCode::OK);
    let list = call("GET", "/t/default/admin/v1/tokens", None).await;
    assert_eq!(list.text("/1/name"), "Entra ID");
    assert!(!list.body.to_string().contains(&token));
    let path = format!("/t/default/admin/v1/tokens/{}", made.text("/id"));
    assert_eq!(call("DELETE", &path, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.call(&token, "GET", "/scim/v2/Users", &[], None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(call("DELETE", "/t/default/admin/v1/tokens/none", None).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_wrong_with_a_new_token_is_named() {
    let house = House::new().await;
    let check = async |body, status: u16, said: &str| {
        let answer = house.call(&house.token, "POST", "/t/default/admin/v1/tokens", &[], Some(body)).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        assert!(answer.text("/detail").contains(said), "{answer:?}");
        assert_eq!(answer.body["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
    };
    check(json!({}), 400, "missing field `name`").await;
    check(json!({"name": "x", "scope": ["read"]}), 400, "unknown field `scope`").await;
    check(json!({"name": "x", "scopes": ["everything"]}), 400, "`scopes` names a scope").await;
    check(json!({"name": "x", "resourceTypes": ["Pet"]}), 400, "`Pet`").await;
    check(json!({"name": "x", "expires": "tomorrow"}), 400, "RFC 3339").await;
}

#[tokio::test]
async fn only_administrators_and_operators_may() {
    let house = House::new().await;
    let provisioning = house.narrow(&[Scope::Read, Scope::Write], None).await;
    let administrator = house.narrow(&[Scope::Admin], None).await;
    let check = async |token: &str, path: &str, expected: StatusCode| {
        let answer = house.call(token, "GET", path, &[], None).await;
        assert_eq!(answer.status, expected, "{path} {answer:?}");
    };
    check("wrong", "/t/default/admin/v1/tokens", StatusCode::UNAUTHORIZED).await;
    check(&provisioning, "/t/default/admin/v1/tokens", StatusCode::FORBIDDEN).await;
    check(&administrator, "/t/default/admin/v1/tokens", StatusCode::OK).await;
    check(&administrator, "/t/acme/admin/v1/tokens", StatusCode::UNAUTHORIZED).await;
    check(&administrator, "/admin/v1/tenants", StatusCode::FORBIDDEN).await;
    check(&house.token, "/admin/v1/tenants", StatusCode::OK).await;
    check(&administrator, "/scim/v2/Users", StatusCode::FORBIDDEN).await;
    check(&administrator, "/t/default/admin/v1/none", StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn tenants_are_made_by_the_operator() {
    let house = House::new().await;
    let call = async |method, path, body| house.call(&house.token, method, path, &[], body).await;
    let made = call("POST", "/admin/v1/tenants", Some(json!({"name": "acme"}))).await;
    assert_eq!((made.status, made.text("/basePath")), (StatusCode::CREATED, "/t/acme/scim/v2"));
    assert_eq!(call("POST", "/admin/v1/tenants", Some(json!({"name": "acme"}))).await.status, StatusCode::CONFLICT);
    assert_eq!(call("POST", "/admin/v1/tenants", Some(json!({"name": "A c"}))).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(call("GET", "/admin/v1/tenants/acme", None).await.text("/name"), "acme");
    assert_eq!(call("PUT", "/admin/v1/tenants/acme", None).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_description_names_every_route() {
    let house = House::new().await;
    let answer = house.call("", "GET", "/openapi.json", &[], None).await;
    assert_eq!(answer.status, StatusCode::OK);
    let paths = answer.body["paths"].as_object().unwrap();
    for path in [
        "/t/{tenant}/admin/v1/tokens",
        "/t/{tenant}/admin/v1/tokens/{id}",
        "/admin/v1/tenants",
        "/admin/v1/tenants/{name}",
        "/scim/v2/Users/{id}",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
}
