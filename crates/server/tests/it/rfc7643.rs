//! RFC 7643: schemas.

use directory::tenant::TenantSettings;
use http::StatusCode;
use serde_json::{Value, json};
use server::Options;

use crate::house::House;
use crate::rfc::{ENTERPRISE, GROUP, LIST, USER, find, made, operations, refused, user};

#[tokio::test]
async fn rfc7643_2_5_null_and_empty_are_unassigned() {
    let house = House::new().await;
    let made = made(
        &house,
        json!({"userName": "a", "title": null, "emails": [], "nickName": "n"}),
    )
    .await;
    let document = made.body.as_object().unwrap();
    assert!(
        !document.contains_key("title") && !document.contains_key("emails"),
        "{document:?}"
    );
    let path = format!("/Users/{}", made.text("/id"));
    let put = house
        .scim(
            "PUT",
            &path,
            Some(user(json!({"userName": "a", "nickName": null}))),
        )
        .await;
    assert!(put.body.get("nickName").is_none(), "{put:?}");
    assert_eq!(
        find(&house, "/Users", "title pr or emails pr or nickName pr")
            .await
            .body["totalResults"],
        0
    );
}

#[tokio::test]
async fn rfc7643_3_schemas_are_the_types_own_without_duplicates_in_any_order() {
    let house = House::new().await;
    let body = json!({"schemas": [ENTERPRISE, USER, ENTERPRISE], "userName": "a", ENTERPRISE: {"department": "d"}});
    let made = house.scim("POST", "/Users", Some(body)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(made.body["schemas"], json!([USER, ENTERPRISE]));
    assert_eq!(made.text(&format!("/{ENTERPRISE}/department")), "d");
    // The standard profile tolerates a URI too many in a request; what is answered has only those of the type.
    let foreign = house
        .scim(
            "POST",
            "/Users",
            Some(json!({"schemas": [USER, GROUP], "userName": "b"})),
        )
        .await;
    assert_eq!(foreign.body["schemas"], json!([USER]), "{foreign:?}");
    let strict = House::with(
        Options::default(),
        TenantSettings {
            profile: "strict".into(),
            ..TenantSettings::default()
        },
    )
    .await;
    refused(
        &strict
            .scim(
                "POST",
                "/Users",
                Some(json!({"schemas": [USER, GROUP], "userName": "b"})),
            )
            .await,
        400,
        Some("invalidValue"),
    );
    refused(
        &strict
            .scim(
                "POST",
                "/Users",
                Some(json!({"schemas": [], "userName": "b"})),
            )
            .await,
        400,
        Some("invalidValue"),
    );
    for path in ["/Users", "/Groups", "/Schemas", "/ResourceTypes"] {
        let list = house.scim("GET", path, None).await;
        assert_eq!(list.body["schemas"], json!([LIST]));
        for resource in list.body["Resources"].as_array().into_iter().flatten() {
            assert!(
                resource["schemas"]
                    .as_array()
                    .is_some_and(|schemas| !schemas.is_empty()),
                "{resource}"
            );
        }
    }
}

#[tokio::test]
async fn rfc7643_3_1_id_and_meta_are_the_servers() {
    let house = House::new().await;
    let wanted = json!({"userName": "a", "id": "mine", "meta": {"resourceType": "Group", "created": "2001-01-01T00:00:00Z", "version": "x"}});
    let made = made(&house, wanted).await;
    let id = made.text("/id").to_owned();
    assert!(id != "mine" && !id.contains("bulkId") && !id.is_empty());
    assert_eq!(made.text("/meta/resourceType"), "User");
    assert_eq!(made.text("/meta/created"), made.text("/meta/lastModified"));
    assert_ne!(made.text("/meta/created"), "2001-01-01T00:00:00Z");
    assert!(made.text("/meta/version").starts_with("W/\""));
    let path = format!("/Users/{id}");
    house.wait(5);
    let put = house
        .scim(
            "PUT",
            &path,
            Some(user(
                json!({"userName": "b", "id": "other", "meta": {"location": "http://x"}}),
            )),
        )
        .await;
    assert_eq!(
        (put.text("/id"), put.text("/meta/created")),
        (id.as_str(), made.text("/meta/created"))
    );
    assert!(put.text("/meta/lastModified") > made.text("/meta/lastModified"));
    let patched = house
        .scim(
            "PATCH",
            &path,
            operations(json!([{"op": "replace", "path": "id", "value": "mine"}])),
        )
        .await;
    refused(&patched, 400, Some("mutability"));
    assert_eq!(house.scim("GET", &path, None).await.text("/id"), id);
}

#[tokio::test]
async fn rfc7643_3_1_an_id_is_of_one_resource_only() {
    let house = House::new().await;
    let ann = house.user("ann").await;
    let group = house
        .scim(
            "POST",
            "/Groups",
            Some(json!({"schemas": [GROUP], "displayName": "G"})),
        )
        .await
        .text("/id")
        .to_owned();
    assert_ne!(ann, group);
    assert_eq!(
        find(&house, "", &format!("id eq \"{ann}\"")).await.body["totalResults"],
        1
    );
    refused(
        &house.scim("GET", &format!("/Groups/{ann}"), None).await,
        404,
        None,
    );
    refused(
        &house.scim("DELETE", &format!("/Users/{group}"), None).await,
        404,
        None,
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Groups/{group}"), None)
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn rfc7643_3_1_location_is_that_of_both_headers() {
    let house = House::new().await;
    let made = made(&house, json!({"userName": "a"})).await;
    let path = format!("/Users/{}", made.text("/id"));
    let put = house
        .scim(
            "PUT",
            &path,
            Some(user(json!({"userName": "a", "title": "t"}))),
        )
        .await;
    let patched = house
        .scim(
            "PATCH",
            &path,
            operations(json!([{"op": "add", "path": "title", "value": "u"}])),
        )
        .await;
    for answer in [&made, &house.scim("GET", &path, None).await, &put, &patched] {
        let location = answer.text("/meta/location");
        assert!(location.ends_with(&format!("/scim/v2{path}")), "{location}");
        assert_eq!(
            (answer.header("location"), answer.header("content-location")),
            (Some(location), Some(location))
        );
        assert_eq!(answer.header("etag"), Some(answer.text("/meta/version")));
    }
}

#[tokio::test]
async fn rfc7643_3_1_external_ids_are_the_clients() {
    let house = House::new().await;
    assert!(
        made(&house, json!({"userName": "a"}))
            .await
            .body
            .get("externalId")
            .is_none()
    );
    assert_eq!(
        made(&house, json!({"userName": "b", "externalId": "Ab-1"}))
            .await
            .text("/externalId"),
        "Ab-1"
    );
    assert_eq!(
        find(&house, "/Users", r#"externalId eq "Ab-1""#).await.body["totalResults"],
        1
    );
    assert_eq!(
        find(&house, "/Users", r#"externalId eq "ab-1""#).await.body["totalResults"],
        0
    );
}

#[tokio::test]
async fn rfc7643_4_1_1_user_names_are_needed_and_unique_without_case() {
    let house = House::new().await;
    refused(
        &house
            .scim("POST", "/Users", Some(user(json!({"title": "t"}))))
            .await,
        400,
        Some("invalidValue"),
    );
    refused(
        &house
            .scim("POST", "/Users", Some(user(json!({"userName": ""}))))
            .await,
        400,
        Some("invalidValue"),
    );
    let first = made(&house, json!({"userName": "Bjensen"})).await;
    refused(
        &house
            .scim("POST", "/Users", Some(user(json!({"userName": "bJENSEN"}))))
            .await,
        409,
        Some("uniqueness"),
    );
    let second = made(&house, json!({"userName": "other"})).await;
    let path = format!("/Users/{}", second.text("/id"));
    refused(
        &house
            .scim("PUT", &path, Some(user(json!({"userName": "bjensen"}))))
            .await,
        409,
        Some("uniqueness"),
    );
    let rename = operations(json!([{"op": "replace", "path": "userName", "value": "BJENSEN"}]));
    refused(
        &house.scim("PATCH", &path, rename).await,
        409,
        Some("uniqueness"),
    );
    assert_eq!(first.text("/userName"), "Bjensen");
}

#[tokio::test]
async fn rfc7643_4_1_1_passwords_never_come_back() {
    let house = House::new().await;
    let made = made(&house, json!({"userName": "a", "password": "t1meMa$heen"})).await;
    let path = format!("/Users/{}", made.text("/id"));
    let patched = house
        .scim(
            "PATCH",
            &path,
            operations(json!([{"op": "replace", "path": "password", "value": "t1meMa$heen"}])),
        )
        .await;
    let read = house
        .scim("GET", &format!("{path}?attributes=password,userName"), None)
        .await;
    let list = house.scim("GET", "/Users", None).await;
    for answer in [&made, &patched, &read, &list] {
        assert!(answer.status.is_success(), "{answer:?}");
        assert!(
            !answer.body.to_string().contains("t1meMa")
                && !answer.body.to_string().contains("password"),
            "{answer:?}"
        );
    }
    refused(
        &find(&house, "/Users", r#"password eq "t1meMa$heen""#).await,
        400,
        Some("invalidFilter"),
    );
}

#[tokio::test]
async fn rfc7643_4_1_2_groups_of_a_user_name_the_group_and_are_changed_there() {
    let house = House::new().await;
    let ann = house.user("ann").await;
    let body = json!({"schemas": [GROUP], "displayName": "G", "members": [{"value": ann}]});
    let group = house.scim("POST", "/Groups", Some(body)).await;
    let path = format!("/Users/{ann}");
    let read = house.scim("GET", &path, None).await;
    let shown = (
        read.text("/groups/0/value"),
        read.text("/groups/0/$ref"),
        read.text("/groups/0/type"),
    );
    assert_eq!(
        shown,
        (group.text("/id"), group.text("/meta/location"), "direct")
    );
    let put = house
        .scim(
            "PUT",
            &path,
            Some(user(json!({"userName": "ann", "groups": []}))),
        )
        .await;
    assert_eq!(
        put.body["groups"].as_array().map(Vec::len),
        Some(1),
        "what is read-only is ignored"
    );
    refused(
        &house
            .scim(
                "PATCH",
                &path,
                operations(json!([{"op": "remove", "path": "groups"}])),
            )
            .await,
        400,
        Some("mutability"),
    );
}

#[tokio::test]
async fn rfc7643_2_4_an_element_is_not_there_twice() {
    let house = House::new().await;
    let email = json!({"value": "a@x", "type": "work"});
    let made = made(
        &house,
        json!({"userName": "a", "emails": [email, email, {"value": "a@x", "type": "home"}]}),
    )
    .await;
    assert_eq!(
        made.body["emails"].as_array().map(Vec::len),
        Some(2),
        "{made:?}"
    );
    let path = format!("/Users/{}", made.text("/id"));
    let again = house
        .scim(
            "PATCH",
            &path,
            operations(json!([{"op": "add", "path": "emails", "value": [email]}])),
        )
        .await;
    assert_eq!(
        again.body["emails"].as_array().map(Vec::len),
        Some(2),
        "{again:?}"
    );
    assert_eq!(again.text("/meta/version"), made.text("/meta/version"));
}

#[tokio::test]
async fn rfc7643_5_the_configuration_is_public_and_whole() {
    let house = House::new().await;
    let request = http::Request::builder()
        .uri("/scim/v2/ServiceProviderConfig")
        .body(axum::body::Body::empty())
        .unwrap();
    let open = house.send(request).await;
    assert_eq!(open.status, StatusCode::OK, "{open:?}");
    assert_eq!(
        open.body["schemas"],
        json!(["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"])
    );
    for pointer in [
        "/patch/supported",
        "/bulk/supported",
        "/bulk/maxOperations",
        "/bulk/maxPayloadSize",
        "/filter/supported",
        "/filter/maxResults",
    ] {
        assert!(open.body.pointer(pointer).is_some(), "{pointer}");
    }
    for pointer in [
        "/changePassword/supported",
        "/sort/supported",
        "/etag/supported",
    ] {
        assert!(
            open.body.pointer(pointer).is_some_and(Value::is_boolean),
            "{pointer}"
        );
    }
    for scheme in open.body["authenticationSchemes"].as_array().unwrap() {
        assert!(
            ["type", "name", "description"]
                .iter()
                .all(|name| scheme[*name].is_string()),
            "{scheme}"
        );
    }
    // Everything else is for callers, and a wrong token is not as good as none.
    let request = http::Request::builder()
        .uri("/scim/v2/Schemas")
        .body(axum::body::Body::empty())
        .unwrap();
    refused(&house.send(request).await, 401, None);
    refused(
        &house
            .call("wrong", "GET", "/scim/v2/ServiceProviderConfig", &[], None)
            .await,
        401,
        None,
    );
}

#[tokio::test]
async fn rfc7643_6_and_7_types_name_schemas_that_are_there() {
    let house = House::new().await;
    let schemas = house.scim("GET", "/Schemas", None).await;
    let all = schemas.body["Resources"].as_array().unwrap();
    let ids: Vec<&str> = all
        .iter()
        .map(|schema| schema["id"].as_str().unwrap())
        .collect();
    for schema in all {
        assert!(
            schema["name"].is_string() && schema["description"].is_string(),
            "{schema}"
        );
        assert!(
            !schema["id"]
                .as_str()
                .unwrap()
                .starts_with("urn:ietf:params:scim:api:"),
            "messages are not discoverable"
        );
        for attribute in schema["attributes"].as_array().unwrap() {
            let has_parts = attribute["subAttributes"]
                .as_array()
                .is_some_and(|parts| !parts.is_empty());
            assert_eq!(attribute["type"] == "complex", has_parts, "{attribute}");
            // Section 2.1.
            assert!(
                !attribute["name"].as_str().unwrap().contains(':'),
                "{attribute}"
            );
        }
    }
    for resource_type in house.scim("GET", "/ResourceTypes", None).await.body["Resources"]
        .as_array()
        .unwrap()
    {
        assert!(
            ["name", "endpoint", "schema"]
                .iter()
                .all(|name| resource_type[*name].is_string()),
            "{resource_type}"
        );
        let extensions = resource_type["schemaExtensions"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let named = extensions
            .iter()
            .inspect(|extension| assert!(extension["required"].is_boolean()))
            .map(|extension| &extension["schema"]);
        for schema in named.chain([&resource_type["schema"]]) {
            assert!(ids.contains(&schema.as_str().unwrap()), "{schema}");
        }
    }
}

#[tokio::test]
async fn rfc7643_2_3_7_references_are_uris() {
    let house = House::new().await;
    let photo = |value: &str| {
        user(json!({"userName": "ada", "photos": [{"value": value, "type": "photo"}]}))
    };
    for wrong in [
        "not a uri",
        "https://example.com/a b",
        "https://example.com/<a>",
        "https://example.com/%zz",
        "a\u{7}b",
    ] {
        let answer = house.scim("POST", "/Users", Some(photo(wrong))).await;
        refused(&answer, 400, Some("invalidValue"));
        assert!(
            answer.text("/detail").contains("photos[0].value"),
            "{answer:?}"
        );
    }
    // Relative ones too, which a bare id is.
    let manager = json!({"value": "26118915", "$ref": "26118915"});
    let body = json!({"userName": "grace", "photos": [{"value": "../photos/1"}], "profileUrl": "https://example.com/%C3%A9?a=b#c", ENTERPRISE: {"manager": manager}});
    made(&house, body).await;
}
