//! The life of a tenant by the admin API of the installation.

use directory::access::Scope;
use http::StatusCode;
use serde_json::{Value, json};

use crate::house::House;

/// The tenant `acme` with one person, and a token of its own that may do everything.
async fn acme(house: &House) -> String {
    let made = house.call(&house.token, "POST", "/admin/v1/tenants", &[], Some(json!({"name": "acme"}))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let tenant = house.tenants.find_tenant("acme").await.unwrap().unwrap();
    let token = house.issue_for(tenant.id).await;
    let user = json!({"schemas": [scim_protocol::schema::standard::USER], "userName": "ann"});
    let made = house.call(&token, "POST", "/t/acme/scim/v2/Users", &[], Some(user)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    token
}

#[tokio::test]
async fn a_suspended_tenant_tells_its_callers_so() {
    let house = House::new().await;
    let token = acme(&house).await;
    let operate = async |path: &str| house.call(&house.token, "POST", &format!("/admin/v1/tenants/{path}"), &[], None).await;
    let suspended = operate("acme/suspend").await;
    assert_eq!((suspended.status, &suspended.body["settings"]["suspended"]), (StatusCode::OK, &json!(true)), "{suspended:?}");
    for path in ["/t/acme/scim/v2/Users", "/t/acme/scim/v2/ServiceProviderConfig", "/t/acme/admin/v1/tokens"] {
        let refused = house.call(&token, "GET", path, &[], None).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path} {refused:?}");
        assert!(refused.text("/detail").contains("suspended"), "{refused:?}");
        assert_eq!(refused.body["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
        // Who has no token of it learns nothing.
        assert_eq!(house.call("wrong", "GET", path, &[], None).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(house.scim("GET", "/Users", None).await.status, StatusCode::OK, "another tenant is not disturbed");
    assert_eq!(operate("acme/resume").await.status, StatusCode::OK);
    let back = house.call(&token, "GET", "/t/acme/scim/v2/Users", &[], None).await;
    assert_eq!(back.body["totalResults"], 1);
    assert_eq!(operate("default/suspend").await.status, StatusCode::FORBIDDEN);
    assert_eq!(operate("nobody/suspend").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_tenant_is_exported_as_lines() {
    let house = House::new().await;
    acme(&house).await;
    let exported = house.call(&house.token, "GET", "/admin/v1/tenants/acme/export", &[], None).await;
    assert_eq!((exported.status, exported.header("content-type")), (StatusCode::OK, Some("application/jsonl")));
    let Value::String(text) = &exported.body else { panic!("{exported:?}") };
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["tenant"], &lines[0]["format"]), (&json!("acme"), &json!(3)));
    assert!(lines.iter().any(|line| line["row"]["document"]["userName"] == "ann"));
    assert_eq!(lines.last().unwrap()["end"]["lines"], lines.len() - 1);
    let missing = house.call(&house.token, "GET", "/admin/v1/tenants/nobody/export", &[], None).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_tenant_is_erased_when_its_name_is_said_twice() {
    let house = House::new().await;
    let token = acme(&house).await;
    let erase = async |token: &str, path: &str| house.call(token, "DELETE", &format!("/admin/v1/tenants/{path}"), &[], None).await.status;
    assert_eq!(erase(&house.token, "acme").await, StatusCode::BAD_REQUEST);
    assert_eq!(erase(&house.token, "acme?confirm=acne").await, StatusCode::BAD_REQUEST);
    assert_eq!(erase(&house.token, "default?confirm=default").await, StatusCode::FORBIDDEN);
    let narrow = house.narrow(&[Scope::Read, Scope::Write, Scope::Admin], None).await;
    assert_eq!(erase(&narrow, "acme?confirm=acme").await, StatusCode::FORBIDDEN);
    assert_eq!(house.call(&token, "GET", "/t/acme/scim/v2/Users", &[], None).await.body["totalResults"], 1);
    assert_eq!(erase(&house.token, "acme?confirm=acme").await, StatusCode::NO_CONTENT);
    assert_eq!(house.call(&token, "GET", "/t/acme/scim/v2/Users", &[], None).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(erase(&house.token, "acme?confirm=acme").await, StatusCode::NOT_FOUND);
    // A new one of the same name knows nothing of the old one's token.
    house.wait(1);
    let made = house.call(&house.token, "POST", "/admin/v1/tenants", &[], Some(json!({"name": "acme"}))).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(house.call(&token, "GET", "/t/acme/scim/v2/Users", &[], None).await.status, StatusCode::UNAUTHORIZED);
}
