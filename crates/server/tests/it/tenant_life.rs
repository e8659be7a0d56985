//! The life of a tenant by the admin API of the installation.

use axum::body::Body;
use directory::access::Scope;
use directory::tenant::TenantSettings;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use server::Options;

use crate::house::{Answer, House};

/// The tenant `acme` with one person, and a token of its own that may do everything.
async fn acme(house: &House) -> String {
    let made = house
        .call(
            &house.token,
            "POST",
            "/admin/v1/tenants",
            &[],
            Some(json!({"name": "acme"})),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let tenant = house.tenants.find_tenant("acme").await.unwrap().unwrap();
    let token = house.issue_for(tenant.id).await;
    let user = json!({"schemas": [scim_protocol::schema::standard::USER], "userName": "ann"});
    let made = house
        .call(&token, "POST", "/t/acme/scim/v2/Users", &[], Some(user))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    token
}

#[tokio::test]
async fn a_suspended_tenant_tells_its_callers_so() {
    let house = House::new().await;
    let token = acme(&house).await;
    let operate = async |path: &str| {
        house
            .call(
                &house.token,
                "POST",
                &format!("/admin/v1/tenants/{path}"),
                &[],
                None,
            )
            .await
    };
    let suspended = operate("acme/suspend").await;
    assert_eq!(
        (suspended.status, &suspended.body["settings"]["suspended"]),
        (StatusCode::OK, &json!(true)),
        "{suspended:?}"
    );
    for path in [
        "/t/acme/scim/v2/Users",
        "/t/acme/scim/v2/ServiceProviderConfig",
        "/t/acme/admin/v1/tokens",
    ] {
        let refused = house.call(&token, "GET", path, &[], None).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path} {refused:?}");
        assert!(refused.text("/detail").contains("suspended"), "{refused:?}");
        assert_eq!(
            refused.body["schemas"][0],
            "urn:ietf:params:scim:api:messages:2.0:Error"
        );
        // Who has no token of it learns nothing.
        assert_eq!(
            house.call("wrong", "GET", path, &[], None).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(
        house.scim("GET", "/Users", None).await.status,
        StatusCode::OK,
        "another tenant is not disturbed"
    );
    assert_eq!(operate("acme/resume").await.status, StatusCode::OK);
    let back = house
        .call(&token, "GET", "/t/acme/scim/v2/Users", &[], None)
        .await;
    assert_eq!(back.body["totalResults"], 1);
    assert_eq!(
        operate("default/suspend").await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        operate("nobody/suspend").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_tenant_is_exported_as_lines() {
    let house = House::new().await;
    acme(&house).await;
    let exported = house
        .call(
            &house.token,
            "GET",
            "/admin/v1/tenants/acme/export",
            &[],
            None,
        )
        .await;
    assert_eq!(
        (exported.status, exported.header("content-type")),
        (StatusCode::OK, Some("application/jsonl"))
    );
    let Value::String(text) = &exported.body else {
        panic!("{exported:?}")
    };
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["tenant"], &lines[0]["format"]),
        (&json!("acme"), &json!(3))
    );
    assert!(
        lines
            .iter()
            .any(|line| line["row"]["document"]["userName"] == "ann")
    );
    assert_eq!(lines.last().unwrap()["end"]["lines"], lines.len() - 1);
    let missing = house
        .call(
            &house.token,
            "GET",
            "/admin/v1/tenants/nobody/export",
            &[],
            None,
        )
        .await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

/// What an operator exported.
async fn exported(house: &House) -> String {
    let answer = house
        .call(
            &house.token,
            "GET",
            "/admin/v1/tenants/acme/export",
            &[],
            None,
        )
        .await;
    let Value::String(text) = answer.body else {
        panic!("{answer:?}")
    };
    text
}

async fn restore(house: &House, token: &str, name: &str, body: Body) -> Answer {
    let request = Request::builder()
        .method("POST")
        .uri(format!("/admin/v1/tenants/{name}/restore"));
    let request = request
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/jsonl");
    house.send(request.body(body).unwrap()).await
}

#[tokio::test]
async fn a_tenant_is_restored_from_its_lines() {
    let house = House::new().await;
    acme(&house).await;
    let text = exported(&house).await;
    // In pieces, as a network has them.
    let pieces: Vec<Result<Vec<u8>, std::io::Error>> = text
        .as_bytes()
        .chunks(100)
        .map(|piece| Ok(piece.to_vec()))
        .collect();
    let made = restore(
        &house,
        &house.token,
        "copy",
        Body::from_stream(futures_util::stream::iter(pieces)),
    )
    .await;
    assert_eq!(
        (made.status, made.text("/name"), made.text("/basePath")),
        (StatusCode::CREATED, "copy", "/t/copy/scim/v2"),
        "{made:?}"
    );
    let copy = house.tenants.find_tenant("copy").await.unwrap().unwrap();
    let token = house.issue_for(copy.id).await;
    let users = house
        .call(&token, "GET", "/t/copy/scim/v2/Users", &[], None)
        .await;
    assert_eq!(
        (
            &users.body["totalResults"],
            users.text("/Resources/0/userName")
        ),
        (&json!(1), "ann")
    );

    let refused = async |name: &str, body: &str, status: u16, said: &str| {
        let answer = restore(&house, &house.token, name, Body::from(body.to_owned())).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        assert!(answer.text("/detail").contains(said), "{answer:?}");
    };
    refused("copy", &text, 409, "already").await;
    refused("No%20Name", &text, 400, "name").await;
    refused("no_name", &text, 400, "name").await;
    refused(
        "other",
        "hello",
        400,
        "nothing was changed: this is not an exported tenant.",
    )
    .await;
    refused(
        "other",
        &text.replace("\"ann\"", "\"bob\""),
        400,
        "the file was changed after it was written",
    )
    .await;
    refused(
        "other",
        text.rsplit_once("{\"end\"").unwrap().0,
        400,
        "before its end",
    )
    .await;
    refused(
        "other",
        &text.replace("\"format\":3", "\"format\":99"),
        400,
        "a newer Rollcall",
    )
    .await;
    for token in [
        house
            .narrow(&[Scope::Read, Scope::Write, Scope::Admin], None)
            .await,
        token,
    ] {
        let forbidden = restore(&house, &token, "other", Body::from(text.clone())).await;
        assert!(
            [401, 403].contains(&forbidden.status.as_u16()),
            "{forbidden:?}"
        );
    }
    let broken: [Result<&str, std::io::Error>; 2] = [Ok("{"), Err(std::io::Error::other("gone"))];
    let broken = restore(
        &house,
        &house.token,
        "other",
        Body::from_stream(futures_util::stream::iter(broken)),
    )
    .await;
    assert_eq!(
        (broken.status, broken.text("/detail")),
        (
            StatusCode::BAD_REQUEST,
            "The body broke off before its end; nothing was changed."
        )
    );
    assert_eq!(house.tenants.list_tenants().await.unwrap().len(), 3);
    let left: Vec<_> = std::fs::read_dir(house.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().starts_with("upload")),
        "{left:?}"
    );
    let described = house.call("", "GET", "/openapi.json", &[], None).await;
    let route = &described.body["paths"]["/admin/v1/tenants/{name}/restore"]["post"];
    assert!(
        route["requestBody"]["content"]
            .get("application/octet-stream")
            .is_some(),
        "{route}"
    );
}

#[tokio::test]
async fn what_is_restored_has_a_largest_size_and_a_time_of_its_own() {
    let options = Options {
        restore_bytes_max: 50,
        restore_seconds_max: 60,
        request_seconds_max: 0,
        ..Options::default()
    };
    let house = House::with(options, TenantSettings::default()).await;
    let big = "x".repeat(51);
    let unannounced = Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(
        big.clone(),
    )]));
    for body in [Body::from(big), unannounced] {
        let refused = restore(&house, &house.token, "other", body).await;
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(refused.text("/detail").contains("50 bytes"), "{refused:?}");
    }
    assert_eq!(
        restore(&house, &house.token, "other", Body::from("hello"))
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_tenant_is_erased_when_its_name_is_said_twice() {
    let house = House::new().await;
    let token = acme(&house).await;
    let erase = async |token: &str, path: &str| {
        house
            .call(
                token,
                "DELETE",
                &format!("/admin/v1/tenants/{path}"),
                &[],
                None,
            )
            .await
            .status
    };
    assert_eq!(erase(&house.token, "acme").await, StatusCode::BAD_REQUEST);
    assert_eq!(
        erase(&house.token, "acme?confirm=acne").await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        erase(&house.token, "default?confirm=default").await,
        StatusCode::FORBIDDEN
    );
    let narrow = house
        .narrow(&[Scope::Read, Scope::Write, Scope::Admin], None)
        .await;
    assert_eq!(
        erase(&narrow, "acme?confirm=acme").await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        house
            .call(&token, "GET", "/t/acme/scim/v2/Users", &[], None)
            .await
            .body["totalResults"],
        1
    );
    assert_eq!(
        erase(&house.token, "acme?confirm=acme").await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        house
            .call(&token, "GET", "/t/acme/scim/v2/Users", &[], None)
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        erase(&house.token, "acme?confirm=acme").await,
        StatusCode::NOT_FOUND
    );
    // A new one of the same name knows nothing of the old one's token.
    house.wait(1);
    let made = house
        .call(
            &house.token,
            "POST",
            "/admin/v1/tenants",
            &[],
            Some(json!({"name": "acme"})),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(
        house
            .call(&token, "GET", "/t/acme/scim/v2/Users", &[], None)
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
}
