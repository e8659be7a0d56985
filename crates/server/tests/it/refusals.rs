//! What is wrong with a request is said in SCIM's form, wherever it goes wrong: routes, methods, tokens, bodies, conditions.

use axum::body::Body;
use directory::tenant::TenantSettings;
use http::{Request, StatusCode};
use scim_protocol::schema::standard::{GROUP, USER};
use serde_json::{Value, json};
use server::Options;

use crate::house::{Answer, House, entry};
use crate::rfc::{find, operations};

/// A SCIM error of this status whose detail says this.
fn is_error(answer: &Answer, status: u16, scim_type: Option<&str>, said: &str) {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/scim+json"),
        "{answer:?}"
    );
    assert_eq!(
        answer.body["schemas"],
        json!(["urn:ietf:params:scim:api:messages:2.0:Error"]),
        "{answer:?}"
    );
    assert_eq!(answer.body["status"], status.to_string());
    assert_eq!(
        answer.body.get("scimType").and_then(Value::as_str),
        scim_type,
        "{answer:?}"
    );
    assert!(answer.text("/detail").contains(said), "{answer:?}");
    assert!(
        answer
            .header("x-request-id")
            .is_some_and(|id| !id.is_empty())
    );
}

#[tokio::test]
async fn paths_that_lead_nowhere_and_methods_that_do_not_exist() {
    let house = House::new().await;
    let id = house.user("ann").await;
    let check = async |method: &str, path: &str, status: u16, said: &str, allowed: Option<&str>| {
        let answer = house.call(&house.token, method, path, &[], None).await;
        is_error(&answer, status, None, said);
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
    };
    check("GET", "/nowhere", 404, "/t/{tenant}/scim/v2", None).await;
    check("GET", "/scim/v1/Users", 404, "/t/{tenant}/scim/v2", None).await;
    check("GET", "/scim/v2/Pets", 404, "/ResourceTypes", None).await;
    check("GET", "/scim/v2/Users/none", 404, "`none`", None).await;
    check("GET", &format!("/scim/v2/Groups/{id}"), 404, "Group", None).await;
    check(
        "DELETE",
        "/scim/v2/Users",
        405,
        "GET, HEAD, POST",
        Some("GET, HEAD, POST"),
    )
    .await;
    check(
        "POST",
        "/scim/v2/Schemas",
        405,
        "GET, HEAD",
        Some("GET, HEAD"),
    )
    .await;
    check("GET", "/scim/v2/Bulk", 405, "POST", Some("POST")).await;
    check(
        "POST",
        &format!("/scim/v2/Users/{id}"),
        405,
        "PUT, PATCH, DELETE",
        Some("GET, HEAD, PUT, PATCH, DELETE"),
    )
    .await;
    check(
        "GET",
        "/scim/v2/Schemas?filter=id%20pr",
        403,
        "filters",
        None,
    )
    .await;
}

#[tokio::test]
async fn who_has_no_token_learns_only_that() {
    let house = House::new().await;
    let other = house
        .tenants
        .create_tenant("acme", TenantSettings::default(), house.hand_now(), entry())
        .await
        .unwrap()
        .unwrap();
    let check = async |path: &str, authorization: Option<&str>, challenge: &str| {
        let mut request = Request::builder().uri(path);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let answer = house.send(request.body(Body::empty()).unwrap()).await;
        is_error(&answer, 401, None, "Authorization: Bearer");
        assert_eq!(answer.header("www-authenticate"), Some(challenge), "{path}");
    };
    let plain = "Bearer realm=\"rollcall\"";
    let wrong = "Bearer realm=\"rollcall\", error=\"invalid_token\"";
    check("/scim/v2/Users", None, plain).await;
    check("/scim/v2/Users", Some("Basic YTpi"), plain).await;
    check("/scim/v2/Users", Some("Bearer "), plain).await;
    check("/scim/v2/Users", Some("Bearer guess"), wrong).await;
    check("/scim/v2/nowhere", Some("Bearer guess"), wrong).await;
    let own = format!("Bearer {}", house.token);
    check(
        &format!("/t/{}/scim/v2/Users", other.name),
        Some(&own),
        wrong,
    )
    .await;
    check("/t/nobody/scim/v2/Users", Some(&own), wrong).await;
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let house = House::with(
        Options {
            body_bytes_max: 2_000,
            ..Options::default()
        },
        TenantSettings::default(),
    )
    .await;
    let post = async |content_type: &str, body: &str| {
        let request = Request::builder()
            .method("POST")
            .uri("/scim/v2/Users")
            .header("authorization", format!("Bearer {}", house.token))
            .header("content-type", content_type);
        house
            .send(request.body(Body::from(body.to_owned())).unwrap())
            .await
    };
    let scim = "application/scim+json";
    is_error(&post(scim, "").await, 400, Some("invalidSyntax"), "empty");
    is_error(
        &post(scim, "{\"userName\":").await,
        400,
        Some("invalidSyntax"),
        "not JSON",
    );
    is_error(
        &post(scim, "[]").await,
        400,
        Some("invalidSyntax"),
        "JSON object",
    );
    is_error(
        &post(scim, "\u{0}").await,
        400,
        Some("invalidSyntax"),
        "not JSON",
    );
    is_error(
        &post("text/plain", "{}").await,
        415,
        None,
        "application/scim+json",
    );
    let long = json!({"schemas": [USER], "userName": "a".repeat(3_000)}).to_string();
    is_error(&post(scim, &long).await, 413, None, "2000 bytes");
    assert_eq!(
        house.scim("GET", "/Users", None).await.body["totalResults"],
        0
    );
}

#[tokio::test]
async fn encoded_bodies_are_not_taken_for_broken_ones() {
    let house = House::new().await;
    let body = Some(json!({"schemas": [USER], "userName": "ann"}));
    for path in ["/scim/v2/Users", "/t/default/admin/v1/tokens"] {
        let answer = house
            .call(
                &house.token,
                "POST",
                path,
                &[("content-encoding", "gzip")],
                body.clone(),
            )
            .await;
        is_error(&answer, 415, None, "`Content-Encoding`");
    }
    let answer = house
        .call(
            &house.token,
            "POST",
            "/scim/v2/Users",
            &[("content-encoding", "identity")],
            body,
        )
        .await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
}

#[tokio::test]
async fn conditions_are_checked_by_the_write_itself() {
    let house = House::new().await;
    let id = house.user("ann").await;
    let path = format!("/scim/v2/Users/{id}");
    let call = async |method: &str, headers: &[(&str, &str)], body: Option<Value>| {
        house.call(&house.token, method, &path, headers, body).await
    };
    let body = || Some(json!({"schemas": [USER], "userName": "ann", "title": "x"}));
    let first = call("GET", &[], None).await;
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!(first.text("/meta/version"), tag);
    assert_eq!(
        call("GET", &[("if-none-match", &tag)], None).await.status,
        StatusCode::NOT_MODIFIED
    );
    assert_eq!(
        call("GET", &[("if-none-match", "W/\"77\"")], None)
            .await
            .status,
        StatusCode::OK
    );
    is_error(
        &call("PUT", &[("if-match", "W/\"77\"")], body()).await,
        412,
        None,
        "version",
    );
    is_error(
        &call("DELETE", &[("if-match", "W/\"77\"")], None).await,
        412,
        None,
        "version",
    );
    is_error(
        &call("PUT", &[("if-none-match", "*")], body()).await,
        412,
        None,
        "version",
    );
    let changed = call("PUT", &[("if-match", &tag)], body()).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    is_error(
        &call("PUT", &[("if-match", &tag)], body()).await,
        412,
        None,
        "version",
    );
    assert_eq!(
        call("DELETE", &[("if-match", "*")], None).await.status,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn locations_come_from_the_stated_url_and_never_from_host() {
    let options = Options {
        public_url: Some("https://id.example.com/".into()),
        ..Options::default()
    };
    let house = House::with(options, TenantSettings::default()).await;
    let body = json!({"schemas": [USER], "userName": "ann"});
    let made = house
        .call(
            &house.token,
            "POST",
            "/t/default/scim/v2/Users",
            &[("host", "evil.example")],
            Some(body),
        )
        .await;
    let location = format!(
        "https://id.example.com/t/default/scim/v2/Users/{}",
        made.text("/id")
    );
    assert_eq!(
        (made.header("location"), made.text("/meta/location")),
        (Some(location.as_str()), location.as_str())
    );
    assert!(!made.body.to_string().contains("evil"));
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let house = House::new().await;
    let id = house.user("ann").await;
    let path = format!("/Users/{id}");
    let (get, head) = (
        house.scim("GET", &path, None).await,
        house.scim("HEAD", &path, None).await,
    );
    assert_eq!(
        (head.status, head.header("etag"), head.body.is_null()),
        (get.status, get.header("etag"), true)
    );
    assert_eq!(
        head.header("content-length")
            .unwrap()
            .parse::<usize>()
            .unwrap(),
        get.body.to_string().len()
    );
}

#[tokio::test]
async fn what_is_written_into_answers_only_is_neither_searched_for_nor_sorted_by() {
    let house = House::new().await;
    let ann = house.user("ann").await;
    let group = json!({"schemas": [GROUP], "displayName": "G", "members": [{"value": ann}]});
    let made = house.scim("POST", "/Groups", Some(group)).await;
    for (path, filter, instead) in [
        ("/Users", "meta.location pr", "`id`"),
        ("", "meta.location ew \"x\"", "`id`"),
        ("/Users", "groups.$ref co \"Groups\"", "`groups.value`"),
        ("/Groups", "members[$ref co \"Users\"]", "`members.value`"),
        (
            "/GroupMembers",
            "member.$ref co \"Users\"",
            "`member.value`",
        ),
    ] {
        is_error(
            &find(&house, path, filter).await,
            400,
            Some("invalidFilter"),
            instead,
        );
    }
    let sorted = house.scim("GET", "/Users?sortBy=meta.location", None).await;
    is_error(&sorted, 400, Some("invalidValue"), "sort by `id`");
    let path = format!("/Groups/{}", made.text("/id"));
    let operation = json!([{"op": "remove", "path": "members[$ref eq \"https://x/Users/1\"]"}]);
    is_error(
        &house.scim("PATCH", &path, operations(operation)).await,
        400,
        Some("invalidFilter"),
        "`members.value`",
    );
}
