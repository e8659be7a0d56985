//! What a token opens, and what it does not.

use directory::access::Scope;
use directory::tenant::TenantSettings;
use http::StatusCode;
use scim_protocol::patch::PATCH_SCHEMA;
use scim_protocol::schema::standard::{GROUP, USER};
use serde_json::{Value, json};
use server::Options;

use crate::house::{Answer, House, entry};

fn new_user(name: &str) -> Value {
    json!({"schemas": [USER], "userName": name})
}

fn is_refused(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
    assert_eq!(answer.body["status"], "403");
    assert!(
        answer.text("/detail").starts_with("This token "),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_token_that_reads_does_not_write() {
    let house = House::new().await;
    let id = house.user("ann").await;
    let reader = house.narrow(&[Scope::Read], None).await;
    let call = async |method, path: &str, body| house.call(&reader, method, path, &[], body).await;
    let user = format!("/scim/v2/Users/{id}");
    assert_eq!(call("GET", &user, None).await.status, StatusCode::OK);
    assert_eq!(
        call("GET", "/scim/v2/Users", None).await.body["totalResults"],
        1
    );
    let patch = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "path": "title", "value": "x"}]});
    is_refused(&call("POST", "/scim/v2/Users", Some(new_user("bob"))).await);
    is_refused(&call("PUT", &user, Some(new_user("ann"))).await);
    is_refused(&call("PATCH", &user, Some(patch)).await);
    is_refused(&call("DELETE", &user, None).await);
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [{"method": "DELETE", "path": format!("/Users/{id}")}]});
    is_refused(&call("POST", "/scim/v2/Bulk", Some(bulk)).await);
    assert_eq!(call("GET", &user, None).await.text("/userName"), "ann");
}

/// The answer to a write holds the whole resource for those only who may read it.
#[tokio::test]
async fn a_token_that_writes_does_not_read_by_writing() {
    let house = House::new().await;
    let held = json!({"schemas": [USER], "userName": "ann", "title": "Countess", "externalId": "of-the-house"});
    let id = house
        .scim("POST", "/Users", Some(held))
        .await
        .text("/id")
        .to_owned();
    let group = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Engines", "members": [{"value": id}]});
    let team = house
        .scim("POST", "/Groups", Some(group))
        .await
        .text("/id")
        .to_owned();
    let writer = house.narrow(&[Scope::Write], None).await;
    let is_silent = |answer: &Answer| {
        let body = answer.body.to_string();
        for told in ["Countess", "of-the-house", "Engines", "ann"] {
            assert!(!body.contains(told), "{answer:?}");
        }
    };
    for query in [
        "",
        "?attributes=title,externalId,members,displayName",
        "?excludedAttributes=meta",
    ] {
        for (path, attribute) in [
            (format!("/scim/v2/Users/{id}"), "nickName"),
            (format!("/scim/v2/Groups/{team}"), "externalId"),
        ] {
            let patch = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "path": attribute, "value": query}]});
            for headers in [&[] as &[(&str, &str)], &[("prefer", "handling=dry-run")]] {
                let answer = house
                    .call(
                        &writer,
                        "PATCH",
                        &format!("{path}{query}"),
                        headers,
                        Some(patch.clone()),
                    )
                    .await;
                assert!(answer.status.is_success(), "{answer:?}");
                is_silent(&answer);
            }
        }
        let made = house
            .call(
                &writer,
                "POST",
                &format!("/scim/v2/Users{query}"),
                &[],
                Some(new_user(&format!("bob{}", query.len()))),
            )
            .await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        assert!(
            !made.text("/id").is_empty() && made.text("/meta/location").ends_with(made.text("/id")),
            "{made:?}"
        );
        let membership = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:GroupMember"], "group": {"value": team}, "member": {"value": made.text("/id")}
        });
        let joined = house
            .call(
                &writer,
                "POST",
                &format!("/scim/v2/GroupMembers{query}"),
                &[],
                Some(membership),
            )
            .await;
        assert_eq!(joined.status, StatusCode::CREATED, "{joined:?}");
        is_silent(&joined);
    }
    let put = house
        .call(
            &writer,
            "PUT",
            &format!("/scim/v2/Users/{id}"),
            &[],
            Some(new_user("ann")),
        )
        .await;
    assert_eq!(put.status, StatusCode::OK, "{put:?}");
    is_silent(&put);
}

#[tokio::test]
async fn a_token_for_groups_does_not_see_users() {
    let house = House::new().await;
    let id = house.user("ann").await;
    let group =
        json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "team"});
    assert_eq!(
        house.scim("POST", "/Groups", Some(group)).await.status,
        StatusCode::CREATED
    );
    let narrow = house
        .narrow(&[Scope::Read, Scope::Write], Some(&["Group"]))
        .await;
    let call = async |path: &str| house.call(&narrow, "GET", path, &[], None).await;
    is_refused(&call(&format!("/scim/v2/Users/{id}")).await);
    is_refused(&call("/scim/v2/Users").await);
    assert_eq!(call("/scim/v2/Groups").await.body["totalResults"], 1);
    let all = call("/scim/v2/").await;
    assert_eq!(
        (
            &all.body["totalResults"],
            all.text("/Resources/0/displayName")
        ),
        (&json!(1), "team")
    );
    let types = call("/scim/v2/ResourceTypes").await;
    assert_eq!(
        (&types.body["totalResults"], types.text("/Resources/0/id")),
        (&json!(1), "Group")
    );
    assert_eq!(
        call("/scim/v2/ResourceTypes/User").await.status,
        StatusCode::NOT_FOUND
    );
    let search = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]});
    let searched = house
        .call(&narrow, "POST", "/scim/v2/.search", &[], Some(search))
        .await;
    assert_eq!(searched.body["totalResults"], 1);
    let user = json!({"method": "POST", "path": "/Users", "bulkId": "1", "data": new_user("eve")});
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [user]});
    assert_eq!(
        house
            .call(&narrow, "POST", "/scim/v2/Bulk", &[], Some(bulk))
            .await
            .body["Operations"][0]["status"],
        "403"
    );
}

#[tokio::test]
async fn a_revoked_token_stops_at_once() {
    let house = House::new().await;
    let token = house.narrow(&[Scope::Read], None).await;
    assert_eq!(
        house
            .call(&token, "GET", "/scim/v2/Users", &[], None)
            .await
            .status,
        StatusCode::OK
    );
    let id = house
        .tenants
        .list_tokens(house.tenant.id)
        .await
        .unwrap()
        .last()
        .unwrap()
        .id
        .clone();
    // As another process does it: past this server.
    assert!(
        house
            .tenants
            .revoke_token(house.tenant.id, &id, house.hand_now(), entry())
            .await
            .unwrap()
    );
    assert_eq!(
        house
            .call(&token, "GET", "/scim/v2/Users", &[], None)
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn an_expired_token_stops_although_it_is_remembered() {
    let house = House::new().await;
    let expires = house
        .hand_now()
        .checked_add(jiff::SignedDuration::from_secs(10))
        .unwrap()
        .to_string();
    let body = json!({"name": "short", "expires": expires});
    let made = house
        .call(
            &house.token,
            "POST",
            "/t/default/admin/v1/tokens",
            &[],
            Some(body),
        )
        .await;
    let status = async || {
        house
            .call(made.text("/token"), "GET", "/scim/v2/Users", &[], None)
            .await
            .status
    };
    assert_eq!(status().await, StatusCode::OK);
    house.wait(9);
    assert_eq!(status().await, StatusCode::OK);
    house.wait(1);
    assert_eq!(status().await, StatusCode::UNAUTHORIZED);
}

/// With `pending_references` a member may be named by its `userName`. To a token that is not for people the answer would say whether somebody has it.
#[tokio::test]
async fn a_token_for_groups_alone_cannot_test_the_names_of_people() {
    let settings = TenantSettings {
        pending_references: Some(true),
        ..TenantSettings::default()
    };
    let house = House::with(Options::default(), settings).await;
    let ann = house.user("ann").await;
    let token = house
        .narrow(&[Scope::Read, Scope::Write], Some(&["Group"]))
        .await;
    let group = |name: &str, members: Value| json!({"schemas": [GROUP], "displayName": name, "members": members});
    let made = house
        .call(
            &token,
            "POST",
            "/scim/v2/Groups",
            &[],
            Some(group("first", json!([]))),
        )
        .await;
    let path = format!("/scim/v2/Groups/{}", made.text("/id"));
    let mut details = Vec::new();
    for name in ["ann", "bob"] {
        let member = json!([{"value": name}]);
        let add = json!({"schemas": [PATCH_SCHEMA], "Operations": [{"op": "add", "path": "members", "value": member}]});
        for (method, path, body) in [
            ("PATCH", path.as_str(), add),
            ("PUT", &path, group("first", member.clone())),
            ("POST", "/scim/v2/Groups", group("second", member.clone())),
        ] {
            let refused = house.call(&token, method, path, &[], Some(body)).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
            details.push(refused.text("/detail").replace(name, "NAME"));
        }
    }
    let (of_ann, of_bob) = details.split_at(3);
    assert_eq!(of_ann, of_bob, "the answers differ in the name alone");
    // An id is no name: it is the only way in which this token refers to people.
    let by_id = group("second", json!([{"value": ann}]));
    let made = house
        .call(&token, "POST", "/scim/v2/Groups", &[], Some(by_id))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    // A token for people too names them, and waits for those who are not there.
    let both = house
        .narrow(&[Scope::Read, Scope::Write], Some(&["Group", "User"]))
        .await;
    let names = group("third", json!([{"value": "ann"}, {"value": "bob"}]));
    let made = house
        .call(&both, "POST", "/scim/v2/Groups", &[], Some(names))
        .await;
    assert_eq!(made.text("/members/0/value"), ann, "{made:?}");
}
