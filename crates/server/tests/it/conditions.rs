//! Conditional requests (RFC 7644 section 3.14, RFC 9110 section 13): what each method makes of `If-Match` and `If-None-Match`. Where the condition does not
//! hold, nothing changes.

use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{Answer, House};
use crate::rfc::{GROUP, USER, operations, refused, user};

async fn asked(
    house: &House,
    method: &str,
    path: &str,
    header: (&str, &str),
    body: Option<Value>,
) -> Answer {
    house
        .call(
            &house.token,
            method,
            &format!("/scim/v2{path}"),
            &[header],
            body,
        )
        .await
}

async fn total(house: &House, path: &str) -> Value {
    house.scim("GET", path, None).await.body["totalResults"].clone()
}

#[tokio::test]
async fn discovery_documents_have_tags_that_conditions_name() {
    let house = House::new().await;
    for path in [
        "/ServiceProviderConfig",
        "/ResourceTypes",
        "/ResourceTypes/User",
        "/Schemas",
        &format!("/Schemas/{USER}"),
    ] {
        let whole = house.scim("GET", path, None).await;
        let tag = whole.header("etag").unwrap();
        let (strong, several) = (tag.trim_start_matches("W/"), format!("W/\"x\", {tag}"));
        for (name, value, status) in [
            ("if-none-match", tag, 304),
            ("if-none-match", strong, 304),
            ("if-none-match", &several, 304),
            ("if-none-match", "*", 304),
            ("if-none-match", "W/\"1\"", 200),
            ("if-match", tag, 200),
            ("if-match", strong, 200),
            ("if-match", &several, 200),
            ("if-match", "*", 200),
            ("if-match", "W/\"1\"", 412),
            ("if-match", "W/\"1\", \"2\"", 412),
        ] {
            let answer = asked(&house, "GET", path, (name, value), None).await;
            let found = (answer.status.as_u16(), &answer.body, answer.header("etag"));
            match status {
                412 => refused(&answer, 412, None),
                304 => assert_eq!(
                    found,
                    (304, &Value::Null, Some(tag)),
                    "{path} {name}: {value}"
                ),
                _ => assert_eq!(
                    found,
                    (200, &whole.body, Some(tag)),
                    "{path} {name}: {value}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn tags_of_discovery_documents_change_with_what_they_say() {
    let house = House::new().await;
    let paths = ["/ServiceProviderConfig", "/ResourceTypes", "/Schemas"];
    let mut before = Vec::new();
    for path in paths {
        before.push(
            house
                .scim("GET", path, None)
                .await
                .header("etag")
                .unwrap()
                .to_owned(),
        );
    }
    // What the configuration says of agents is of interest where there are some.
    let agent = json!({"schemas": [scim_protocol::schema::optional::AGENT], "name": "a"});
    assert_eq!(
        house.scim("POST", "/Agents", Some(agent)).await.status,
        StatusCode::CREATED
    );
    let switched = house
        .call(
            &house.token,
            "DELETE",
            "/t/default/admin/v1/resource-types/Role",
            &[],
            None,
        )
        .await;
    assert_eq!(switched.status, StatusCode::OK, "{switched:?}");
    for (path, tag) in paths.into_iter().zip(before) {
        let answer = asked(&house, "GET", path, ("if-none-match", &tag), None).await;
        assert!(
            answer.status == StatusCode::OK && answer.header("etag") != Some(&tag),
            "{path}: {answer:?}"
        );
        refused(
            &asked(&house, "GET", path, ("if-match", &tag), None).await,
            412,
            None,
        );
    }
}

#[tokio::test]
async fn what_is_to_be_made_has_no_version_yet() {
    let house = House::new().await;
    let bodies = [
        ("/Users", user(json!({"userName": "ann"}))),
        ("/Groups", json!({"schemas": [GROUP], "displayName": "g"})),
    ];
    for (path, body) in bodies {
        for tag in ["W/\"1\"", "\"1\"", "W/\"1\", W/\"2\"", "nonsense"] {
            let answer = asked(&house, "POST", path, ("if-match", tag), Some(body.clone())).await;
            refused(&answer, 412, None);
            assert!(answer.text("/detail").contains("`If-Match`"), "{answer:?}");
            assert_eq!(total(&house, path).await, 0, "{path} {tag}");
        }
        // It names no version, and the endpoint that it is about is there.
        let made = asked(&house, "POST", path, ("if-match", "*"), Some(body)).await;
        assert_eq!(
            (made.status, made.header("etag"), total(&house, path).await),
            (StatusCode::CREATED, Some("W/\"1\""), json!(1))
        );
    }
}

#[tokio::test]
async fn get_answers_only_the_version_that_is_asked_for() {
    let house = House::new().await;
    let id = house.user("ann").await;
    let path = format!("/Users/{id}");
    let whole = house
        .scim(
            "PUT",
            &path,
            Some(user(json!({"userName": "ann", "title": "t"}))),
        )
        .await;
    assert_eq!(whole.header("etag"), Some("W/\"2\""));
    for (name, value, status) in [
        ("if-match", "W/\"2\"", 200),
        ("if-match", "\"2\"", 200),
        ("if-match", "W/\"1\", W/\"2\"", 200),
        ("if-match", "*", 200),
        ("if-match", "W/\"1\"", 412),
        ("if-match", "W/\"1\", W/\"3\"", 412),
        ("if-match", "nonsense", 412),
        ("if-none-match", "W/\"2\"", 304),
        ("if-none-match", "\"2\"", 304),
        ("if-none-match", "W/\"1\", W/\"2\"", 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "W/\"1\"", 200),
        ("if-none-match", "nonsense", 200),
    ] {
        let answer = asked(&house, "GET", &path, (name, value), None).await;
        let found = (answer.status.as_u16(), &answer.body, answer.header("etag"));
        match status {
            412 => {
                refused(&answer, 412, None);
                assert!(answer.text("/detail").contains("W/\"2\""), "{answer:?}");
            }
            304 => assert_eq!(
                found,
                (304, &Value::Null, Some("W/\"2\"")),
                "{name}: {value}"
            ),
            _ => assert_eq!(
                found,
                (200, &whole.body, Some("W/\"2\"")),
                "{name}: {value}"
            ),
        }
    }
    refused(
        &asked(&house, "GET", "/Users/nobody", ("if-match", "*"), None).await,
        404,
        None,
    );
}

#[tokio::test]
async fn members_change_only_where_the_condition_holds() {
    let house = House::new().await;
    let [ann, bob, eve] = [
        house.user("ann").await,
        house.user("bob").await,
        house.user("eve").await,
    ];
    let add =
        |id: &str| operations(json!([{"op": "add", "path": "members", "value": [{"value": id}]}]));
    for (name, value, holds) in [
        ("if-match", "W/\"2\"", true),
        ("if-match", "\"2\"", true),
        ("if-match", "W/\"1\", W/\"2\"", true),
        ("if-match", "*", true),
        ("if-match", "W/\"1\"", false),
        ("if-match", "\"1\", W/\"7\"", false),
        ("if-match", "nonsense", false),
        ("if-none-match", "W/\"1\"", true),
        ("if-none-match", "*", false),
        ("if-none-match", "W/\"2\"", false),
        ("if-none-match", "W/\"1\", \"2\"", false),
    ] {
        let body = json!({"schemas": [GROUP], "displayName": format!("{name} {value}"), "members": [{"value": ann}]});
        let path = format!(
            "/Groups/{}",
            house.scim("POST", "/Groups", Some(body)).await.text("/id")
        );
        assert_eq!(
            house.scim("PATCH", &path, add(&bob)).await.header("etag"),
            Some("W/\"2\"")
        );
        let before = house.scim("GET", &path, None).await;
        let remove =
            operations(json!([{"op": "remove", "path": format!("members[value eq \"{ann}\"]")}]));
        // Ann is in it already, so that nothing would change; the condition counts all the same.
        for change in [add(&ann), add(&eve), remove] {
            let answer = asked(&house, "PATCH", &path, (name, value), change).await;
            let after = house.scim("GET", &path, None).await;
            if !holds {
                refused(&answer, 412, None);
                assert_eq!(after.body, before.body, "{name}: {value}");
            } else if after.header("etag") == Some("W/\"2\"") {
                assert_eq!(
                    (answer.status, &after.body),
                    (StatusCode::OK, &before.body),
                    "{name}: {value}"
                );
            } else {
                assert_eq!(
                    (answer.status, answer.header("etag")),
                    (StatusCode::OK, Some("W/\"3\"")),
                    "{name}: {value}"
                );
                assert_eq!(
                    after.body["members"].as_array().unwrap().len(),
                    3,
                    "{name}: {value}"
                );
                // What held before does not any more.
                break;
            }
        }
        assert_eq!(
            house.scim("GET", &path, None).await.header("etag"),
            Some(if holds { "W/\"3\"" } else { "W/\"2\"" })
        );
    }
    refused(
        &asked(
            &house,
            "PATCH",
            "/Groups/nobody",
            ("if-match", "*"),
            add(&ann),
        )
        .await,
        404,
        None,
    );
    refused(
        &asked(
            &house,
            "PATCH",
            "/Groups/nobody",
            ("if-match", "W/\"1\""),
            add(&ann),
        )
        .await,
        404,
        None,
    );
}

#[tokio::test]
async fn what_is_there_is_not_changed_by_who_wants_it_to_be_absent() {
    let house = House::new().await;
    let (title, name) = (
        operations(json!([{"op": "replace", "path": "title", "value": "t"}])),
        operations(json!([{"op": "replace", "path": "displayName", "value": "n"}])),
    );
    for (method, change) in [("PATCH", Some((title, name))), ("DELETE", None)] {
        let person = format!("/Users/{}", house.user(method).await);
        let group = house
            .scim(
                "POST",
                "/Groups",
                Some(json!({"schemas": [GROUP], "displayName": "g"})),
            )
            .await;
        let group = format!("/Groups/{}", group.text("/id"));
        let (of_person, of_group) = change.map_or((None, None), |(title, name)| (title, name));
        for (path, body) in [(person, of_person), (group, of_group)] {
            let before = house.scim("GET", &path, None).await;
            for tags in ["*", "W/\"1\"", "\"1\", W/\"5\""] {
                refused(
                    &asked(&house, method, &path, ("if-none-match", tags), body.clone()).await,
                    412,
                    None,
                );
                let after = house.scim("GET", &path, None).await;
                assert_eq!(
                    (after.status, &after.body),
                    (StatusCode::OK, &before.body),
                    "{method} {path} {tags}"
                );
            }
            // Another version than that one it is.
            let done = asked(&house, method, &path, ("if-none-match", "W/\"5\""), body).await;
            assert!(done.status.is_success(), "{method} {path}: {done:?}");
            let after = house.scim("GET", &path, None).await;
            assert_eq!(
                after.header("etag"),
                (method == "PATCH").then_some("W/\"2\""),
                "{after:?}"
            );
        }
    }
}
