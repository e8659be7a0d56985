//! `/GroupMembers` (draft-zollner-scim-group-members): memberships found, filtered, paged, made and ended as resources.

use std::collections::BTreeSet;

use directory::access::Scope;
use directory::tenant::TenantSettings;
use http::StatusCode;
use scim_protocol::schema::group_member::GROUP_MEMBER;
use scim_protocol::schema::standard::GROUP;
use serde_json::{Value, json};
use server::Options;

use crate::house::{Answer, House};

struct Team {
    house: House,
    users: Vec<String>,
    inner: String,
    outer: String,
}

/// `inner` has five users; `outer` has `inner` and the first user.
async fn team() -> Team {
    let house = House::new().await;
    let mut users = Vec::new();
    for number in 0..5 {
        users.push(house.user(&format!("user{number}")).await);
    }
    let make = async |name: &str, members: &[&String]| {
        let members: Vec<Value> = members.iter().map(|id| json!({"value": id})).collect();
        let made = house
            .scim(
                "POST",
                "/Groups",
                Some(json!({"schemas": [GROUP], "displayName": name, "members": members})),
            )
            .await;
        made.text("/id").to_owned()
    };
    let inner = make("inner", &users.iter().collect::<Vec<_>>()).await;
    let outer = make("outer", &[&inner, &users[0]]).await;
    Team {
        house,
        users,
        inner,
        outer,
    }
}

fn pairs(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let text = |resource: &Value, name: &str| resource[name]["value"].as_str().unwrap().to_owned();
    answer.body["Resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(one, "group"), text(one, "member")))
        .collect()
}

fn body(group: &str, member: &str) -> Value {
    json!({"schemas": [GROUP_MEMBER], "group": {"value": group}, "member": {"value": member}})
}

#[tokio::test]
async fn it_can_be_discovered_where_the_tenant_shows_it() {
    let quiet = House::new().await;
    assert_eq!(
        quiet
            .scim("GET", "/ResourceTypes/GroupMember", None)
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    let house = House::with(
        Options::default(),
        TenantSettings {
            announce_group_members: true,
            ..TenantSettings::default()
        },
    )
    .await;
    let resource_type = house.scim("GET", "/ResourceTypes/GroupMember", None).await;
    assert_eq!(
        (
            resource_type.text("/endpoint"),
            resource_type.text("/schema")
        ),
        ("/GroupMembers", GROUP_MEMBER)
    );
    let schema = house
        .scim("GET", &format!("/Schemas/{GROUP_MEMBER}"), None)
        .await;
    assert_eq!(schema.text("/name"), "GroupMember");
}

#[tokio::test]
async fn memberships_are_filtered() {
    let Team {
        house,
        users,
        inner,
        outer,
    } = team().await;
    let check = async |filter: &str, expected: usize| {
        let query: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        let answer = house
            .scim("GET", &format!("/GroupMembers?filter={query}"), None)
            .await;
        assert_eq!(
            (pairs(&answer).len(), &answer.body["totalResults"]),
            (expected, &json!(expected)),
            "{filter}"
        );
    };
    check("group.value pr", 7).await;
    check(&format!("group.value eq \"{inner}\""), 5).await;
    check(&format!("member.value eq \"{}\"", users[0]), 2).await;
    check(
        &format!("group.value eq \"{outer}\" and member.value eq \"{inner}\""),
        1,
    )
    .await;
    check("member.type eq \"Group\"", 1).await;
    check(
        &format!("group.value eq \"{outer}\" and member.type eq \"User\""),
        1,
    )
    .await;
    check("member.display eq \"USER3\"", 1).await;
    check(
        &format!("group.value eq \"{inner}\" and not (member.display co \"user\")"),
        0,
    )
    .await;
    check("group.value eq \"nobody\"", 0).await;
    assert_eq!(
        house
            .scim("GET", "/GroupMembers?filter=nothing+pr", None)
            .await
            .text("/scimType"),
        "invalidFilter"
    );
}

#[tokio::test]
async fn memberships_are_paged_by_number_and_by_cursor() {
    let Team { house, .. } = team().await;
    let whole = pairs(&house.scim("GET", "/GroupMembers", None).await);
    assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), 7);
    for filter in ["", "&filter=member.display+pr"] {
        let mut by_number = Vec::new();
        for start in [1, 4, 7] {
            let page = house
                .scim(
                    "GET",
                    &format!("/GroupMembers?startIndex={start}&count=3{filter}"),
                    None,
                )
                .await;
            assert_eq!(
                (&page.body["totalResults"], &page.body["startIndex"]),
                (&json!(7), &json!(start))
            );
            by_number.extend(pairs(&page));
        }
        let (mut by_cursor, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = house
                .scim(
                    "GET",
                    &format!("/GroupMembers?count=3&cursor={cursor}{filter}"),
                    None,
                )
                .await;
            by_cursor.extend(pairs(&page));
            match page.body.get("nextCursor") {
                Some(next) => next.as_str().unwrap().clone_into(&mut cursor),
                None => break,
            }
        }
        assert_eq!((&by_number, &by_cursor), (&whole, &whole), "{filter}");
    }
    let message = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "count": 2, "startIndex": 2});
    assert_eq!(
        pairs(
            &house
                .scim("POST", "/GroupMembers/.search", Some(message))
                .await
        ),
        whole[1..3]
    );
    let cursor = house
        .scim("GET", "/GroupMembers?count=3&cursor=", None)
        .await
        .text("/nextCursor")
        .to_owned();
    let other = house
        .scim(
            "GET",
            &format!("/GroupMembers?filter=group.value+pr&cursor={cursor}"),
            None,
        )
        .await;
    assert_eq!(other.text("/scimType"), "invalidCursor");
    assert_eq!(
        house
            .scim("GET", &format!("/Users?cursor={cursor}"), None)
            .await
            .text("/scimType"),
        "invalidCursor"
    );
    for refused in [
        "sortBy=member.value&cursor=",
        "sortBy=member.nothing",
        "sortBy=userName",
    ] {
        let answer = house
            .scim("GET", &format!("/GroupMembers?{refused}"), None)
            .await;
        assert_eq!(
            answer.text("/scimType"),
            "invalidValue",
            "{refused}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn few_enough_are_sorted() {
    let Team {
        house,
        users,
        inner,
        outer,
    } = team().await;
    let shown = async |query: &str| {
        let answer = house
            .scim("GET", &format!("/GroupMembers?{query}"), None)
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {answer:?}");
        let name = |one: &Value| {
            format!(
                "{} {}",
                one["group"]["display"].as_str().unwrap(),
                one["member"]["display"].as_str().unwrap()
            )
        };
        (
            answer.body["totalResults"].as_u64().unwrap(),
            answer.body["Resources"]
                .as_array()
                .unwrap()
                .iter()
                .map(name)
                .collect::<Vec<_>>(),
        )
    };
    let of_inner = crate::rfc::query(&format!("group.value eq \"{inner}\""));
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let descending = shown(&format!(
        "filter={of_inner}&sortBy=member.display&sortOrder=descending&count=2&startIndex=2"
    ))
    .await;
    assert_eq!(descending, (5, names(&["inner user3", "inner user2"])));
    let all = shown("sortBy=member.display").await;
    assert_eq!(
        (all.0, &all.1[..3]),
        (
            7,
            &names(&["outer inner", "inner user0", "outer user0"])[..]
        )
    );
    assert_eq!(
        shown("sortBy=member.type&count=1").await.1,
        ["outer inner"],
        "Group is before User"
    );
    assert_eq!(
        shown("sortBy=member.type&sortOrder=descending&count=1")
            .await
            .1,
        ["inner user0"],
        "equals as they were"
    );
    let filter = crate::rfc::query("member.type eq \"User\" and group.display eq \"outer\"");
    assert_eq!(
        shown(&format!("filter={filter}&sortBy=group.value")).await,
        (1, names(&["outer user0"]))
    );
    let values = house
        .scim(
            "GET",
            "/GroupMembers?sortBy=member.value&sortOrder=descending",
            None,
        )
        .await;
    let found: Vec<String> = pairs(&values)
        .into_iter()
        .map(|(_, member)| member)
        .collect();
    let mut expected = [users.clone(), vec![users[0].clone(), inner]].concat();
    expected.sort();
    expected.reverse();
    assert_eq!(found, expected, "{outer}");
}

/// No index has their order, so nobody makes the server sort a whole tenant.
#[tokio::test]
async fn many_are_not_sorted() {
    let house = House::new().await;
    let users: Vec<String> = {
        let post = |number: usize| {
            json!({"method": "POST", "path": "/Users", "bulkId": number.to_string(), "data": {
            "schemas": [scim_protocol::schema::standard::USER], "userName": format!("user{number}")}})
        };
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": (0..101).map(post).collect::<Vec<_>>()});
        let made = house.scim("POST", "/Bulk", Some(body)).await;
        let id = |done: &Value| {
            done["location"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned()
        };
        made.body["Operations"]
            .as_array()
            .unwrap()
            .iter()
            .map(id)
            .collect()
    };
    let members: Vec<Value> = users.iter().map(|id| json!({"value": id})).collect();
    let mut last = String::new();
    for number in 0..100 {
        let body =
            json!({"schemas": [GROUP], "displayName": format!("g{number}"), "members": members});
        last = house
            .scim("POST", "/Groups", Some(body))
            .await
            .text("/id")
            .to_owned();
    }
    let refused = house
        .scim("GET", "/GroupMembers?sortBy=member.display", None)
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.text("/scimType")),
        (400, "tooMany"),
        "{refused:?}"
    );
    assert!(
        refused.text("/detail").contains("10100")
            && refused.text("/detail").contains("group.value eq"),
        "{refused:?}"
    );
    let filter = crate::rfc::query(&format!("group.value eq \"{last}\""));
    let sorted = house
        .scim(
            "GET",
            &format!("/GroupMembers?sortBy=member.display&sortOrder=descending&filter={filter}"),
            None,
        )
        .await;
    assert_eq!(
        (
            sorted.body["totalResults"].as_u64(),
            sorted.text("/Resources/0/member/display")
        ),
        (Some(101), "user99"),
        "{sorted:?}"
    );
}

#[tokio::test]
async fn a_membership_is_made_read_and_ended() {
    let Team {
        house,
        users,
        inner,
        outer,
    } = team().await;
    let made = house
        .scim("POST", "/GroupMembers", Some(body(&outer, &users[3])))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let id = made.text("/id").to_owned();
    assert_eq!(
        (
            made.text("/member/type"),
            made.text("/member/display"),
            made.text("/group/display")
        ),
        ("User", "user3", "outer")
    );
    assert!(
        made.text("/member/$ref")
            .ends_with(&format!("/Users/{}", users[3]))
    );
    assert_eq!(made.header("location"), Some(made.text("/meta/location")));
    assert!(
        made.text("/meta/location")
            .ends_with(&format!("/GroupMembers/{id}"))
    );
    let path = format!("/GroupMembers/{id}");
    assert_eq!(house.scim("GET", &path, None).await.body, made.body);
    // The group and the user know of it.
    let group = house.scim("GET", &format!("/Groups/{outer}"), None).await;
    assert_eq!(
        (
            group.body["members"].as_array().unwrap().len(),
            group.header("etag")
        ),
        (3, Some("W/\"2\""))
    );

    let again = house
        .scim("POST", "/GroupMembers", Some(body(&outer, &users[3])))
        .await;
    assert_eq!(
        (again.status, again.text("/scimType")),
        (StatusCode::CONFLICT, "uniqueness")
    );
    for (group, member) in [("nobody", users[0].as_str()), (inner.as_str(), "nobody")] {
        let refused = house
            .scim("POST", "/GroupMembers", Some(body(group, member)))
            .await;
        assert_eq!(
            (refused.status, refused.text("/scimType")),
            (StatusCode::BAD_REQUEST, "invalidValue")
        );
    }
    assert_eq!(
        house
            .scim(
                "POST",
                "/GroupMembers",
                Some(json!({"group": {"value": outer}}))
            )
            .await
            .text("/scimType"),
        "invalidValue"
    );

    let header = |value: &'static str| [("if-match", value)];
    let stale = house
        .call(
            &house.token,
            "DELETE",
            &format!("/scim/v2{path}"),
            &header("W/\"9\""),
            None,
        )
        .await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let unchanged = house
        .call(
            &house.token,
            "GET",
            &format!("/scim/v2{path}"),
            &[("if-none-match", "*")],
            None,
        )
        .await;
    assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED);
    assert_eq!(
        house.scim("DELETE", &path, None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        house.scim("DELETE", &path, None).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        house.scim("GET", &path, None).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        house
            .scim("PATCH", &path, Some(body(&outer, &users[3])))
            .await
            .status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn who_may_not_see_groups_does_not_see_who_is_in_them() {
    let Team {
        house,
        users,
        outer,
        ..
    } = team().await;
    let only_users = house
        .narrow(&[Scope::Read, Scope::Write], Some(&["User"]))
        .await;
    let only_reads = house.narrow(&[Scope::Read], None).await;
    assert_eq!(
        house
            .call(&only_users, "GET", "/scim/v2/GroupMembers", &[], None)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    let path = "/scim/v2/GroupMembers";
    assert_eq!(
        house
            .call(
                &only_reads,
                "POST",
                path,
                &[],
                Some(body(&outer, &users[4]))
            )
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        house.call(&only_reads, "GET", path, &[], None).await.status,
        StatusCode::OK
    );
}

/// In `members` of a group somebody may be waited for; a membership is a resource, and there is none of somebody who is not there.
#[tokio::test]
async fn nobody_is_waited_for() {
    let settings = TenantSettings {
        pending_references: Some(true),
        ..TenantSettings::default()
    };
    let house = House::with(Options::default(), settings).await;
    let user = house.user("ann").await;
    let group = house
        .scim(
            "POST",
            "/Groups",
            Some(json!({"schemas": [GROUP], "displayName": "g"})),
        )
        .await
        .text("/id")
        .to_owned();
    let refused = house
        .scim("POST", "/GroupMembers", Some(body(&group, "ghost")))
        .await;
    assert_eq!(
        (refused.status, refused.text("/scimType")),
        (StatusCode::BAD_REQUEST, "invalidValue"),
        "{refused:?}"
    );
    assert!(
        refused
            .text("/detail")
            .contains("`member.value` is `ghost`"),
        "{refused:?}"
    );
    let pending = house
        .call(
            &house.token,
            "GET",
            "/t/default/admin/v1/pending",
            &[],
            None,
        )
        .await;
    assert_eq!(pending.body, json!([]));
    assert_eq!(
        house
            .scim("POST", "/GroupMembers", Some(body(&group, &user)))
            .await
            .status,
        StatusCode::CREATED
    );
}
