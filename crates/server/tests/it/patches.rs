//! A PATCH loses nothing that it does not name, and takes no more work than it may: over HTTP, under every profile.

use directory::tenant::TenantSettings;
use http::StatusCode;
use scim_protocol::Profile;
use scim_protocol::schema::standard::{ENTERPRISE_USER, GROUP, USER};
use serde_json::{Value, json};
use server::Options;

use crate::house::House;
use crate::rfc::{operations, refused};

async fn of(profile: &Profile) -> House {
    House::with(
        Options::default(),
        TenantSettings {
            profile: profile.name.clone(),
            ..TenantSettings::default()
        },
    )
    .await
}

#[tokio::test]
async fn what_a_patch_does_not_name_stays_under_every_profile() {
    let manager = format!("{ENTERPRISE_USER}:manager");
    let pointer = format!("/{}", ENTERPRISE_USER.replace('/', "~1"));
    for profile in Profile::all() {
        let house = of(profile).await;
        let boss = house.user("boss").await;
        let body = json!({
            "schemas": [USER, ENTERPRISE_USER], "userName": "ann", "name": {"givenName": "A", "familyName": "B", "formatted": "A B"},
            "addresses": [{"type": "work", "locality": "Bath"}, {"type": "home", "locality": "York"}],
            ENTERPRISE_USER: {"department": "D", "manager": {"value": boss}},
        });
        let id = house
            .scim("POST", "/Users", Some(body))
            .await
            .text("/id")
            .to_owned();
        let path = format!("/Users/{id}");
        let patched = async |operation: Value| {
            house
                .scim("PATCH", &path, operations(json!([operation])))
                .await
        };
        for operation in [
            json!({"op": "replace", "path": "name", "value": {"formatted": null}}),
            json!({"op": "replace", "value": {"name": {"formatted": null}}}),
            json!({"op": "replace", "path": "name", "value": {}}),
            json!({"op": "replace", "path": manager, "value": {"displayName": "Boss"}}),
            json!({"op": "replace", "value": {ENTERPRISE_USER: {"manager": {"displayName": "Boss"}}}}),
            json!({"op": "replace", "path": "addresses[type eq \"work\"]", "value": {"country": null}}),
        ] {
            let answer = patched(operation.clone()).await;
            assert!(
                answer.status.is_success(),
                "{operation} under {}: {answer:?}",
                profile.name
            );
        }
        // Removed are those that are like the value, or nothing where a remove has none.
        let answer =
            patched(json!({"op": "remove", "path": "addresses", "value": [{"type": "work"}]}))
                .await;
        assert!(
            answer.status.is_success() || answer.status == StatusCode::BAD_REQUEST,
            "{answer:?}"
        );
        let mut left = vec![
            json!({"type": "work", "locality": "Bath"}),
            json!({"type": "home", "locality": "York"}),
        ];
        if answer.status.is_success() {
            left.remove(0);
        }
        let after = house.scim("GET", &path, None).await;
        assert_eq!(
            after.body["name"],
            json!({"givenName": "A", "familyName": "B"}),
            "{}",
            profile.name
        );
        assert_eq!(after.body["addresses"], json!(left), "{}", profile.name);
        let extension = after.body.pointer(&pointer).unwrap();
        assert_eq!(
            (&extension["department"], &extension["manager"]["value"]),
            (&json!("D"), &json!(boss)),
            "{}",
            profile.name
        );
    }
}

#[tokio::test]
async fn a_member_keeps_its_id_under_every_profile() {
    for profile in Profile::all() {
        let house = of(profile).await;
        let ann = house.user("ann").await;
        let group = json!({"schemas": [GROUP], "displayName": "g", "members": [{"value": ann}]});
        let path = format!(
            "/Groups/{}",
            house.scim("POST", "/Groups", Some(group)).await.text("/id")
        );
        for named in [
            format!("members[value eq \"{ann}\"].value"),
            "members.value".to_owned(),
        ] {
            let operation = json!([{"op": "replace", "path": named, "value": null}]);
            let answer = house.scim("PATCH", &path, operations(operation)).await;
            refused(&answer, 400, Some("mutability"));
        }
        assert_eq!(
            house.scim("GET", &path, None).await.body["members"]
                .as_array()
                .unwrap()
                .len(),
            1,
            "{}",
            profile.name
        );
    }
}

/// 0.46 MB that once took 74 seconds of processor.
#[tokio::test]
async fn a_patch_of_too_much_work_is_refused_and_an_ordinary_large_one_is_not() {
    let house = House::new().await;
    let emails: Vec<Value> = (0..1_000)
        .map(|number| json!({"value": format!("{number}@x"), "type": "other"}))
        .collect();
    let body = json!({"schemas": [USER], "userName": "ann", "emails": emails});
    let ann = house.scim("POST", "/Users", Some(body)).await;
    let path = format!("/Users/{}", ann.text("/id"));
    let each = |count: usize| -> Vec<Value> {
        let operation = |number| json!({"op": "replace", "path": format!("emails[value eq \"{}@x\"].display", number % 1_000), "value": "D"});
        (0..count).map(operation).collect()
    };
    let answer = house
        .scim("PATCH", &path, operations(json!(each(6_000))))
        .await;
    refused(&answer, 400, Some("tooMany"));
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(
        detail.contains("4000000 steps") && detail.contains("fewer operations"),
        "{detail}"
    );
    assert_eq!(
        house.scim("GET", &path, None).await.body["meta"]["version"],
        ann.body["meta"]["version"]
    );
    assert_eq!(
        house
            .scim("PATCH", &path, operations(json!(each(1_000))))
            .await
            .status,
        StatusCode::OK
    );
    // Members are looked at by their ids, however many operations there are.
    let ids = [house.user("one").await, house.user("two").await];
    let group = json!({"schemas": [GROUP], "displayName": "g", "members": [{"value": ids[0]}, {"value": ids[1]}]});
    let path = format!(
        "/Groups/{}",
        house.scim("POST", "/Groups", Some(group)).await.text("/id")
    );
    let members: Vec<Value> = (0..4_000)
        .flat_map(|number| {
            let id = &ids[number % 2];
            [
                json!({"op": "Remove", "path": format!("members[value eq \"{id}\"]")}),
                json!({"op": "Add", "path": "members", "value": [{"value": id}]}),
            ]
        })
        .collect();
    let answer = house.scim("PATCH", &path, operations(json!(members))).await;
    assert!(answer.status.is_success(), "{answer:?}");
    assert_eq!(
        house.scim("GET", &path, None).await.body["members"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}
