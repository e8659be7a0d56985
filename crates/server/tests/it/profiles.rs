//! Each kind of client under its own profile: what it sends, written after its vendor's pages, and what it is answered.

use directory::tenant::TenantSettings;
use http::StatusCode;
use scim_protocol::Profile;
use scim_protocol::quirk::{Message, Quirk};
use scim_protocol::schema::standard::{GROUP, USER};
use serde_json::{Value, json};
use server::Options;
use url::form_urlencoded;

use crate::house::{Answer, House};
use crate::replay::{every_case, failed_cases};
use crate::rfc::{SEARCH, operations, refused, user};

async fn of(profile: &str) -> House {
    House::with(
        Options::default(),
        TenantSettings {
            profile: profile.into(),
            ..TenantSettings::default()
        },
    )
    .await
}

#[tokio::test]
async fn every_client_is_understood_under_its_own_profile() {
    let text = include_str!("client_cases.jsonl");
    let clients: Vec<&str> = Profile::all()
        .iter()
        .map(|profile| profile.name.as_str())
        .filter(|name| !["strict", "standard"].contains(name))
        .collect();
    for client in clients {
        let cases: Vec<&str> = text
            .lines()
            .filter(|line| serde_json::from_str::<Value>(line).unwrap()["client"] == client)
            .collect();
        assert!(!cases.is_empty(), "{client} has no conversation");
        for profile in [client, "standard"] {
            let house = of(profile).await;
            let failed = failed_cases(&cases.join("\n"), &house.token, async |request| {
                house.send(request).await
            })
            .await;
            assert!(failed.is_empty(), "under {profile}: {}", failed.join("\n"));
        }
    }
}

#[tokio::test]
async fn the_wire_cases_of_entra_and_okta_hold_under_their_profiles() {
    for profile in ["entra", "okta"] {
        let house = of(profile).await;
        let failed = every_case(&house.token, async |request| house.send(request).await).await;
        let mut own: Vec<String> = failed
            .into_iter()
            .filter(|line| line.contains(profile) || line.contains("rfc."))
            .collect();
        // Under these profiles a member who is not there yet waits and is not refused.
        own.retain(|line| !line.starts_with("\"rfc.group.unknown\""));
        assert!(own.is_empty(), "{}", own.join("\n"));
    }
}

/// Every quirk's example over HTTP: accepted by `standard`, refused by `strict`.
#[tokio::test]
async fn every_example_is_accepted_by_standard_and_refused_by_strict() {
    for (profile, accepted) in [("standard", true), ("strict", false)] {
        for quirk in Quirk::ALL {
            let house = of(profile).await;
            let example = quirk.example();
            let user = house
                .scim(
                    "POST",
                    "/Users",
                    Some(json!({"schemas": [USER], "userName": "old", "active": true})),
                )
                .await;
            let id = user.text("/id").to_owned();
            let group = json!({"schemas": [GROUP], "displayName": "g", "members": [{"value": id}]});
            let team = house
                .scim("POST", "/Groups", Some(group))
                .await
                .text("/id")
                .to_owned();
            let answer = match example.message {
                Message::User => house.scim("POST", "/Users", Some(example.before)).await,
                Message::UserPatch => {
                    house
                        .scim("PATCH", &format!("/Users/{id}"), Some(example.before))
                        .await
                }
                Message::GroupPatch => {
                    house
                        .scim("PATCH", &format!("/Groups/{team}"), Some(example.before))
                        .await
                }
                Message::Query => {
                    let pairs = example
                        .before
                        .as_object()
                        .unwrap()
                        .iter()
                        .map(|(name, value)| (name, value.as_str().unwrap()));
                    let query = form_urlencoded::Serializer::new(String::new())
                        .extend_pairs(pairs)
                        .finish();
                    house.scim("GET", &format!("/Users?{query}"), None).await
                }
                Message::Bulk => house.scim("POST", "/Bulk", Some(example.before)).await,
            };
            assert_eq!(
                answer.status.is_success(),
                accepted,
                "{} under {profile}: {answer:?}",
                quirk.name()
            );
        }
    }
}

#[tokio::test]
async fn a_patch_is_answered_as_the_client_expects() {
    let rename = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "path": "displayName", "value": "x"}]});
    for profile in Profile::all() {
        let house = of(&profile.name).await;
        let id = house.user("ann").await;
        let team = house
            .scim(
                "POST",
                "/Groups",
                Some(json!({"schemas": [GROUP], "displayName": "g"})),
            )
            .await
            .text("/id")
            .to_owned();
        let user = house
            .scim("PATCH", &format!("/Users/{id}"), Some(rename.clone()))
            .await;
        let group = house
            .scim("PATCH", &format!("/Groups/{team}"), Some(rename.clone()))
            .await;
        let expected = |answer| match answer {
            scim_protocol::profile::PatchAnswer::Resource => StatusCode::OK,
            scim_protocol::profile::PatchAnswer::NoContent => StatusCode::NO_CONTENT,
        };
        let wanted = (
            expected(profile.expects.patch),
            expected(profile.expects.group_patch),
        );
        assert_eq!((user.status, group.status), wanted, "{}", profile.name);
    }
}

/// Entra asks for `active eq "True"`: everybody but `strict` understands it, and the request log says so.
#[tokio::test]
async fn booleans_in_filters_are_adapted() {
    let path = "/Users?filter=active+eq+%22True%22+or+emails%5Bprimary+eq+%22false%22%5D";
    let house = of("entra").await;
    house.user("ann").await;
    let answer = house.scim("GET", path, None).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let id = answer.header("x-request-id").unwrap();
    let entry = house
        .call(
            &house.token,
            "GET",
            &format!("/t/default/admin/v1/requests/{id}"),
            &[],
            None,
        )
        .await;
    let said: Vec<&str> = entry.body["adaptations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["what"].as_str().unwrap())
        .collect();
    assert_eq!(
        said,
        [
            "accepted `\"True\"` for `active` in a filter",
            "accepted `\"false\"` for `emails.primary` in a filter"
        ]
    );
    let strict = of("strict").await;
    let refused = strict.scim("GET", path, None).await;
    assert_eq!(
        (refused.status, refused.text("/scimType")),
        (StatusCode::BAD_REQUEST, "invalidFilter"),
        "{refused:?}"
    );
    assert!(
        refused.text("/detail").contains("`active` is a boolean"),
        "{refused:?}"
    );
    assert_eq!(
        strict
            .scim("GET", "/Users?filter=active+eq+true", None)
            .await
            .status,
        StatusCode::OK
    );
}

/// What a request's entry in the request log says was adapted.
async fn adapted(house: &House, answer: &Answer) -> Vec<String> {
    let id = answer.header("x-request-id").unwrap();
    let entry = house
        .call(
            &house.token,
            "GET",
            &format!("/t/default/admin/v1/requests/{id}"),
            &[],
            None,
        )
        .await;
    let adaptations = entry.body["adaptations"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    adaptations
        .iter()
        .map(|one| one["what"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn booleans_in_paths_and_numbers_in_quotes_are_adapted_or_refused() {
    let change = operations(
        json!([{"op": "replace", "path": "emails[primary eq \"True\"].value", "value": "new@x"}]),
    );
    let asked =
        |count: Value| Some(json!({"schemas": [SEARCH], "filter": "userName pr", "count": count}));
    let person = user(json!({"userName": "ann", "emails": [{"value": "a@x", "primary": true}]}));
    let path = async |house: &House| {
        let made = house.scim("POST", "/Users", Some(person.clone())).await;
        format!("/Users/{}", made.text("/id"))
    };
    let house = of("standard").await;
    let patched = house
        .scim("PATCH", &path(&house).await, change.clone())
        .await;
    assert_eq!(
        (patched.status, patched.text("/emails/0/value")),
        (StatusCode::OK, "new@x"),
        "{patched:?}"
    );
    assert_eq!(
        adapted(&house, &patched).await,
        ["accepted `\"True\"` for `primary` in `emails[primary eq \"True\"].value`"]
    );
    for path in ["/Users/.search", "/.search", "/GroupMembers/.search"] {
        let mut body = asked(json!("5"));
        if path.starts_with("/GroupMembers") {
            body.as_mut().unwrap()["filter"] = json!("group.value pr");
        }
        let found = house.scim("POST", path, body).await;
        assert_eq!(found.status, StatusCode::OK, "{path}: {found:?}");
        assert_eq!(
            adapted(&house, &found).await,
            ["accepted a number in quotes for `count`"],
            "{path}"
        );
    }
    let strict = of("strict").await;
    let at = path(&strict).await;
    let answer = strict.scim("PATCH", &at, change).await;
    refused(&answer, 400, Some("invalidFilter"));
    assert!(
        answer
            .text("/detail")
            .contains("`emails.primary` is a boolean and may not be compared with `\"True\"`"),
        "{answer:?}"
    );
    let change = operations(
        json!([{"op": "replace", "path": "emails[primary eq true].value", "value": "new@x"}]),
    );
    assert_eq!(
        strict.scim("PATCH", &at, change).await.status,
        StatusCode::OK
    );
    let answer = strict
        .scim("POST", "/Users/.search", asked(json!("5")))
        .await;
    refused(&answer, 400, Some("invalidValue"));
    assert!(
        answer
            .text("/detail")
            .contains("`count` is `\"5\"`; use an integer"),
        "{answer:?}"
    );
    assert_eq!(
        strict
            .scim("POST", "/Users/.search", asked(json!(5)))
            .await
            .status,
        StatusCode::OK
    );
}

/// Microsoft's documented check of a reference, and what else names an attribute of an extension without its URN.
#[tokio::test]
async fn an_extension_may_be_left_out_wherever_its_attribute_is_named() {
    let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    for profile in ["standard", "entra"] {
        let house = of(profile).await;
        let boss = house.user("boss").await;
        let body = json!({"schemas": [USER], "userName": "ann", "department": "Sales", "manager": boss, "shoeSize": 9});
        let made = house.scim("POST", "/Users", Some(body)).await;
        assert_eq!(
            (made.status, made.text(&format!("/{urn}/department"))),
            (StatusCode::CREATED, "Sales"),
            "{made:?}"
        );
        let ignored = made.headers.get("warning").unwrap().to_str().unwrap();
        assert_eq!(
            ignored,
            "299 - \"Ignored, as no schema has them: shoeSize\""
        );
        let id = made.text("/id").to_owned();
        for (filter, found) in [
            (format!("id eq \"{id}\" and manager eq \"{boss}\""), 1),
            (format!("id eq \"{id}\" and manager eq \"{id}\""), 0),
            (format!("{urn}.manager.value eq \"{boss}\""), 1),
            ("department eq \"sales\"".to_owned(), 1),
        ] {
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs([
                    ("filter", filter.as_str()),
                    ("attributes", "department"),
                    ("sortBy", "department"),
                ])
                .finish();
            let answer = house.scim("GET", &format!("/Users?{query}"), None).await;
            assert_eq!(
                (answer.status, &answer.body["totalResults"]),
                (StatusCode::OK, &json!(found)),
                "{filter}: {answer:?}"
            );
            if found == 1 {
                assert_eq!(
                    answer.body["Resources"][0][urn],
                    json!({"department": "Sales"}),
                    "{filter}"
                );
            }
            assert_eq!(answer.headers.get("warning"), None);
        }
        let read = house
            .scim("GET", &format!("/Users/{id}?attributes=department"), None)
            .await;
        assert_eq!(read.body[urn], json!({"department": "Sales"}));
    }
    let house = of("strict").await;
    let body = json!({"schemas": [USER], "userName": "ann", "department": "Sales"});
    let refused_key = house.scim("POST", "/Users", Some(body)).await;
    assert_eq!(
        (refused_key.status, refused_key.text("/scimType")),
        (StatusCode::BAD_REQUEST, "invalidSyntax")
    );
    assert!(
        refused_key.text("/detail").contains("`department`"),
        "{refused_key:?}"
    );
    let refused_filter = house
        .scim("GET", "/Users?filter=manager%20eq%20%221%22", None)
        .await;
    assert_eq!(
        (refused_filter.status, refused_filter.text("/scimType")),
        (StatusCode::BAD_REQUEST, "invalidFilter")
    );
}

#[tokio::test]
async fn a_group_is_refused_the_name_of_another_unless_the_tenant_allows_it() {
    let group = |name: &str, external_id: &str| {
        Some(json!({"schemas": [GROUP], "displayName": name, "externalId": external_id}))
    };
    for profile in ["strict", "standard", "entra", "okta"] {
        let house = of(profile).await;
        assert_eq!(
            house
                .scim("POST", "/Groups", group("Sales", "1"))
                .await
                .status,
            StatusCode::CREATED
        );
        let other = house.scim("POST", "/Groups", group("Support", "2")).await;
        let path = format!("/Groups/{}", other.text("/id"));
        let is_refused = |answer: &Answer| {
            (answer.status, answer.text("/scimType")) == (StatusCode::CONFLICT, "uniqueness")
        };
        for body in [group("Sales", "1"), group("SALES", "3")] {
            let answer = house.scim("POST", "/Groups", body).await;
            assert!(
                is_refused(&answer) && answer.text("/detail").contains("`displayName`"),
                "{profile}: {answer:?}"
            );
        }
        assert!(is_refused(
            &house.scim("PUT", &path, group("sales", "2")).await
        ));
        let rename =
            operations(json!([{"op": "replace", "path": "displayName", "value": "Sales"}]));
        assert!(is_refused(&house.scim("PATCH", &path, rename).await));
        assert_eq!(
            house.scim("PUT", &path, group("support", "2")).await.status,
            StatusCode::OK
        );
        let create = json!({"method": "POST", "path": "/Groups", "bulkId": "g", "data": group("Sales", "4")});
        let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [create]});
        assert_eq!(
            house
                .scim("POST", "/Bulk", Some(bulk))
                .await
                .text("/Operations/0/status"),
            "409"
        );
        // Without a name there is none to be taken.
        for _ in 0..2 {
            let nameless = house
                .scim(
                    "POST",
                    "/Groups",
                    Some(json!({"schemas": [GROUP], "externalId": "x"})),
                )
                .await;
            assert_eq!(
                nameless.status,
                StatusCode::CREATED,
                "{profile}: {nameless:?}"
            );
        }
    }
    let lenient = TenantSettings {
        unique_group_names: false,
        ..TenantSettings::default()
    };
    let house = House::with(Options::default(), lenient).await;
    for _ in 0..2 {
        assert_eq!(
            house
                .scim("POST", "/Groups", group("Sales", "1"))
                .await
                .status,
            StatusCode::CREATED
        );
    }
}

/// Decisions on what the RFCs leave open or clients send otherwise (`docs/quirks.md`).
#[tokio::test]
async fn what_the_field_sends_is_taken() {
    let house = House::new().await;
    let id = house.user("ann").await;
    let body = json!({"schemas": [USER], "userName": "bob", "emails": [{"value": "b@x", "type": "work"}, {"value": "b@y", "type": "home"}]});
    let bob = house
        .scim("POST", "/Users", Some(body))
        .await
        .text("/id")
        .to_owned();
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "failOnErrors": 0, "Operations": [
        {"method": "DELETE", "path": "/Users/none"}, {"method": "DELETE", "path": "/Users/neither"},
    ]});
    let ran = house.scim("POST", "/Bulk", Some(bulk)).await;
    assert_eq!(
        (ran.status, ran.body["Operations"].as_array().unwrap().len()),
        (StatusCode::OK, 2),
        "{ran:?}"
    );
    let work = form_urlencoded::byte_serialize(br#"emails[type eq "work"]"#).collect::<String>();
    let shown = house
        .scim("GET", &format!("/Users/{bob}?attributes={work}"), None)
        .await;
    assert_eq!(
        (
            shown.status,
            shown.body["emails"].as_array().map(Vec::len),
            shown.body.get("userName")
        ),
        (StatusCode::OK, Some(2), None)
    );
    let hidden = house
        .scim(
            "GET",
            &format!("/Users/{bob}?excludedAttributes={work}"),
            None,
        )
        .await;
    assert_eq!(
        (hidden.status, hidden.text("/scimType")),
        (StatusCode::BAD_REQUEST, "invalidValue")
    );
    let team = json!({"schemas": [GROUP], "displayName": "team", "members": [{"value": id}, {"value": bob}]});
    let path = format!(
        "/Groups/{}",
        house.scim("POST", "/Groups", Some(team)).await.text("/id")
    );
    let removal = json!([{"op": "remove", "path": "members", "value": {"members": [{"$ref": null, "value": id}]}}]);
    assert!(
        house
            .scim("PATCH", &path, operations(removal))
            .await
            .status
            .is_success()
    );
    let left = house.scim("GET", &path, None).await;
    assert_eq!(
        (
            left.body["members"].as_array().unwrap().len(),
            left.text("/members/0/value")
        ),
        (1, bob.as_str())
    );
}

#[tokio::test]
async fn a_group_without_members_shows_an_empty_list_where_the_tenant_says_so() {
    for empty_members in [false, true] {
        let house = House::with(
            Options::default(),
            TenantSettings {
                empty_members,
                ..TenantSettings::default()
            },
        )
        .await;
        let id = house.user("ann").await;
        let wanted = empty_members.then(|| json!([]));
        let made = house
            .scim(
                "POST",
                "/Groups",
                Some(json!({"schemas": [GROUP], "displayName": "g", "members": []})),
            )
            .await;
        let path = format!("/Groups/{}", made.text("/id"));
        let read = house.scim("GET", &path, None).await;
        let list = house.scim("GET", "/Groups", None).await;
        for group in [&made.body, &read.body, &list.body["Resources"][0]] {
            assert_eq!(group.get("members"), wanted.as_ref(), "{group}");
        }
        let without = house
            .scim("GET", &format!("{path}?excludedAttributes=members"), None)
            .await;
        assert_eq!(without.body.get("members"), None);
        let user = house.scim("GET", &format!("/Users/{id}"), None).await;
        assert_eq!(user.body.get("members"), None);
        let added = operations(json!([{"op": "add", "path": "members", "value": [{"value": id}]}]));
        house.scim("PATCH", &path, added).await;
        assert_eq!(
            house.scim("GET", &path, None).await.body["members"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
    }
}

#[tokio::test]
async fn members_show_their_names_unless_the_tenant_says_otherwise() {
    for member_display in [false, true] {
        let house = House::with(
            Options::default(),
            TenantSettings {
                member_display,
                ..TenantSettings::default()
            },
        )
        .await;
        let id = house.user("ann").await;
        let body = json!({"schemas": [GROUP], "displayName": "g", "members": [{"value": id, "display": "made up"}]});
        let made = house.scim("POST", "/Groups", Some(body)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        let read = house
            .scim("GET", &format!("/Groups/{}", made.text("/id")), None)
            .await;
        let wanted = member_display.then(|| json!("ann"));
        for group in [&made.body, &read.body] {
            assert_eq!(
                group["members"][0].get("display"),
                wanted.as_ref(),
                "{group}"
            );
        }
    }
}
