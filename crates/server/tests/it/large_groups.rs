//! Groups with more members than are read at once: streamed whole, never read where they are not shown, changed by the difference.

use std::collections::BTreeSet;

use directory::tenant::{PatchResponse, TenantSettings};
use http::StatusCode;
use scim_protocol::schema::standard::{GROUP, USER};
use serde_json::{Value, json};
use server::Options;

use crate::house::{Answer, House};

/// Two batches and a half.
const MEMBERS: usize = 2_500;

async fn house(response: PatchResponse, members: usize) -> (House, Vec<String>, String) {
    let house = House::with(
        Options::default(),
        TenantSettings {
            patch_response: response,
            ..TenantSettings::default()
        },
    )
    .await;
    let mut ids = Vec::new();
    for some in (0..members).collect::<Vec<_>>().chunks(1_000) {
        let operations = some.iter().map(|number| {
            json!({"method": "POST", "path": "/Users", "bulkId": format!("b{number}"), "data": {"schemas": [USER], "userName": format!("user{number}")}})
        });
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations.collect::<Value>()});
        let made = house.scim("POST", "/Bulk", Some(body)).await;
        let locations = made.body["Operations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|operation| operation["location"].as_str().unwrap());
        ids.extend(locations.map(|location| location.rsplit('/').next().unwrap().to_owned()));
    }
    let all: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
    let made = house
        .scim(
            "POST",
            "/Groups",
            Some(json!({"schemas": [GROUP], "displayName": "all", "members": all})),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(members_of(&made).len(), members);
    let group = made.text("/id").to_owned();
    (house, ids, group)
}

fn members_of(answer: &Answer) -> BTreeSet<String> {
    elements(&answer.body)
}

fn elements(group: &Value) -> BTreeSet<String> {
    let members = group["members"].as_array().cloned().unwrap_or_default();
    let ids: BTreeSet<String> = members
        .iter()
        .map(|member| member["value"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), members.len(), "somebody is in it twice");
    ids
}

fn patch(operations: Value) -> Option<Value> {
    Some(
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations}),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_group_is_streamed_whole() {
    let (house, ids, group) = house(PatchResponse::Automatic, MEMBERS).await;
    let all: BTreeSet<String> = ids.iter().cloned().collect();
    let path = format!("/Groups/{group}");
    let read = house.scim("GET", &path, None).await;
    assert_eq!(members_of(&read), all);
    // A body that is not in memory as a whole has no length; everything else is as ever.
    assert_eq!(read.header("content-length"), None);
    assert_eq!(
        (read.header("etag"), read.text("/meta/version")),
        (Some("W/\"1\""), "W/\"1\"")
    );
    let member = &read.body["members"][MEMBERS - 1];
    assert_eq!(
        (
            member["type"].as_str(),
            member["$ref"].as_str().unwrap().contains("/Users/")
        ),
        (Some("User"), true)
    );

    let projected = house
        .scim("GET", &format!("{path}?attributes=members.value"), None)
        .await;
    assert_eq!(members_of(&projected), all);
    assert_eq!(
        projected.body["members"][MEMBERS - 1]
            .as_object()
            .unwrap()
            .len(),
        1,
        "only what was asked for"
    );
    assert!(projected.body.get("displayName").is_none());
    let without = house
        .scim("GET", &format!("{path}?excludedAttributes=members"), None)
        .await;
    assert!(without.body.get("members").is_none());
    assert_eq!(without.text("/displayName"), "all");

    house
        .scim(
            "POST",
            "/Groups",
            Some(
                json!({"schemas": [GROUP], "displayName": "small", "members": [{"value": ids[0]}]}),
            ),
        )
        .await;
    let list = house.scim("GET", "/Groups", None).await;
    assert_eq!(
        (&list.body["totalResults"], &list.body["itemsPerPage"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(elements(&list.body["Resources"][0]), all);
    assert_eq!(
        elements(&list.body["Resources"][1]),
        BTreeSet::from([ids[0].clone()])
    );
    let found = house
        .scim(
            "GET",
            &format!(
                "/Groups?filter=members.value+eq+%22{}%22&excludedAttributes=members",
                ids[7]
            ),
            None,
        )
        .await;
    assert_eq!(found.body["totalResults"], json!(1));
    assert_eq!(house.scim("GET", &path, None).await.status, StatusCode::OK);
    let unchanged = house
        .call(
            &house.token,
            "GET",
            &format!("/scim/v2{path}"),
            &[("if-none-match", "W/\"1\"")],
            None,
        )
        .await;
    assert_eq!(
        (unchanged.status, &unchanged.body),
        (StatusCode::NOT_MODIFIED, &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_group_is_replaced_by_the_difference() {
    let (house, ids, group) = house(PatchResponse::Automatic, MEMBERS).await;
    let path = format!("/Groups/{group}");
    let body = |ids: &[String]| {
        let members: Vec<Value> = ids.iter().rev().map(|id| json!({"value": id})).collect();
        Some(json!({"schemas": [GROUP], "displayName": "all", "members": members}))
    };
    // The same members in another order are no change.
    let same = house.scim("PUT", &path, body(&ids)).await;
    assert_eq!(
        (same.status, same.header("etag")),
        (StatusCode::OK, Some("W/\"1\""))
    );
    assert_eq!(members_of(&same).len(), MEMBERS);
    let fewer = house.scim("PUT", &path, body(&ids[1..])).await;
    assert_eq!(fewer.header("etag"), Some("W/\"2\""));
    assert_eq!(members_of(&fewer), ids[1..].iter().cloned().collect());
    let back = house.scim("PUT", &path, body(&ids)).await;
    assert_eq!(members_of(&back).len(), MEMBERS);
    let none = house
        .scim(
            "PUT",
            &path,
            Some(json!({"schemas": [GROUP], "displayName": "all"})),
        )
        .await;
    assert!(none.body.get("members").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_patch_answers_is_a_switch() {
    for (response, members, status, shown) in [
        (PatchResponse::Automatic, 3, StatusCode::OK, Some(2)),
        (PatchResponse::Automatic, 150, StatusCode::NO_CONTENT, None),
        (PatchResponse::WithMembers, 150, StatusCode::OK, Some(149)),
        (
            PatchResponse::WithMembers,
            1_200,
            StatusCode::OK,
            Some(1_199),
        ),
        (PatchResponse::WithoutMembers, 3, StatusCode::OK, Some(0)),
        (PatchResponse::NoContent, 3, StatusCode::NO_CONTENT, None),
    ] {
        let (house, ids, group) = house(response, members).await;
        let path = format!("/Groups/{group}");
        let remove =
            patch(json!([{"op": "remove", "path": format!("members[value eq \"{}\"]", ids[0])}]));
        let answer = house.scim("PATCH", &path, remove).await;
        assert_eq!(
            (answer.status, answer.header("etag")),
            (status, Some("W/\"2\"")),
            "{response:?}"
        );
        assert_eq!(
            shown,
            (status == StatusCode::OK).then(|| members_of(&answer).len()),
            "{response:?} {members}"
        );
        // Another attribute together with members.
        let rename = patch(json!([
            {"op": "replace", "path": "displayName", "value": "renamed"}, {"op": "add", "path": "members", "value": [{"value": ids[0]}]}
        ]));
        let answer = house.scim("PATCH", &path, rename).await;
        assert!(answer.status.is_success());
        if answer.status == StatusCode::OK {
            let expected = if response == PatchResponse::WithoutMembers {
                0
            } else {
                members
            };
            assert_eq!(
                (answer.text("/displayName"), members_of(&answer).len()),
                ("renamed", expected),
                "{response:?} {members}"
            );
        }
        // Who names attributes is answered with them.
        let add = patch(json!([{"op": "add", "path": "members", "value": [{"value": ids[0]}]}]));
        let answer = house
            .scim("PATCH", &format!("{path}?attributes=members"), add)
            .await;
        assert_eq!(
            (answer.status, members_of(&answer).len()),
            (StatusCode::OK, members),
            "{response:?}"
        );
    }
}

#[tokio::test]
async fn deep_and_cyclic_nesting_is_seen_from_below() {
    let house = House::new().await;
    let user = house.user("ann").await;
    let mut below = user.clone();
    let mut groups = Vec::new();
    for level in 0..60 {
        let body = json!({"schemas": [GROUP], "displayName": format!("level{level}"), "members": [{"value": below}]});
        below = house
            .scim("POST", "/Groups", Some(body))
            .await
            .text("/id")
            .to_owned();
        groups.push(below.clone());
    }
    // The lowest has the highest as a member.
    let close = patch(json!([{"op": "add", "path": "members", "value": [{"value": groups[59]}]}]));
    assert!(
        house
            .scim("PATCH", &format!("/Groups/{}", groups[0]), close)
            .await
            .status
            .is_success()
    );
    let read = house.scim("GET", &format!("/Users/{user}"), None).await;
    let found = read.body["groups"].as_array().unwrap();
    assert_eq!(found.len(), 60);
    let direct: Vec<&str> = found
        .iter()
        .filter(|group| group["type"] == "direct")
        .map(|group| group["value"].as_str().unwrap())
        .collect();
    assert_eq!(direct, [groups[0].as_str()]);
    let filter = format!("/Users?filter=groups.value+eq+%22{}%22", groups[42]);
    assert_eq!(
        house.scim("GET", &filter, None).await.body["totalResults"],
        json!(1)
    );
}
