//! `/Me` (RFC 7644 section 3.11): the User whom a token stands for, answered directly.

use directory::access::Permissions;
use http::StatusCode;
use scim_protocol::schema::standard::USER;
use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn a_token_may_stand_for_a_user() {
    let house = House::new().await;
    let ann = house.user("ann").await;
    let token = house.issue(Permissions { user: Some(ann.clone()), ..Permissions::default() }).await;
    let read = house.call(&token, "GET", "/scim/v2/Me?attributes=userName", &[], None).await;
    assert_eq!((read.status, read.text("/id"), read.text("/userName")), (StatusCode::OK, ann.as_str(), "ann"));
    assert!(read.header("location").unwrap().ends_with(&format!("/Users/{ann}")), "{read:?}");
    let body = json!({"schemas": [USER], "userName": "ann", "title": "Dr."});
    let replaced = house.call(&token, "PUT", "/scim/v2/me/", &[("if-match", "W/\"1\"")], Some(body)).await;
    assert_eq!((replaced.status, replaced.header("etag")), (StatusCode::OK, Some("W/\"2\"")));
    assert_eq!(house.call(&token, "POST", "/scim/v2/Me", &[], Some(json!({}))).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(house.call(&token, "GET", "/scim/v2/Me/manager", &[], None).await.status, StatusCode::NOT_IMPLEMENTED);
    assert_eq!(house.call(&token, "DELETE", "/scim/v2/Me", &[], None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.call(&token, "GET", "/scim/v2/Me", &[], None).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_token_that_stands_for_nobody_is_told_so() {
    let house = House::new().await;
    for method in ["GET", "PUT", "PATCH", "DELETE", "POST"] {
        let answer = house.scim(method, "/Me", (method != "GET").then(|| json!({}))).await;
        assert_eq!((answer.status, answer.text("/status")), (StatusCode::NOT_IMPLEMENTED, "501"), "{method}");
    }
    assert_eq!(house.scim("TRACE", "/Me", None).await.status, StatusCode::METHOD_NOT_ALLOWED);
}
