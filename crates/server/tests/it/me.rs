//! `/Me` (RFC 7644 section 3.11): the User whom a token stands for, answered directly.

use axum::body::Body;
use directory::access::{Permissions, Scope};
use directory::tenant::TenantSettings;
use futures_util::StreamExt;
use http::{Request, StatusCode};
use scim_protocol::schema::group_member::GROUP_MEMBER;
use scim_protocol::schema::standard::{GROUP, USER};
use serde_json::{Value, json};
use server::Options;
use tower::ServiceExt;

use crate::house::{Answer, House};

#[tokio::test]
async fn a_token_may_stand_for_a_user() {
    let house = House::new().await;
    let ann = house.user("ann").await;
    let token = house
        .issue(Permissions {
            user: Some(ann.clone()),
            ..Permissions::default()
        })
        .await;
    let read = house
        .call(&token, "GET", "/scim/v2/Me?attributes=userName", &[], None)
        .await;
    assert_eq!(
        (read.status, read.text("/id"), read.text("/userName")),
        (StatusCode::OK, ann.as_str(), "ann")
    );
    assert!(
        read.header("location")
            .unwrap()
            .ends_with(&format!("/Users/{ann}")),
        "{read:?}"
    );
    let body = json!({"schemas": [USER], "userName": "ann", "title": "Dr."});
    let replaced = house
        .call(
            &token,
            "PUT",
            "/scim/v2/me/",
            &[("if-match", "W/\"1\"")],
            Some(body),
        )
        .await;
    assert_eq!(
        (replaced.status, replaced.header("etag")),
        (StatusCode::OK, Some("W/\"2\""))
    );
    assert_eq!(
        house
            .call(&token, "POST", "/scim/v2/Me", &[], Some(json!({})))
            .await
            .status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(
        house
            .call(&token, "GET", "/scim/v2/Me/manager", &[], None)
            .await
            .status,
        StatusCode::NOT_IMPLEMENTED
    );
    assert_eq!(
        house
            .call(&token, "DELETE", "/scim/v2/Me", &[], None)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        house
            .scim("DELETE", &format!("/Users/{ann}"), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        house
            .call(&token, "GET", "/scim/v2/Me", &[], None)
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
}

/// The token of somebody, who they are, and what they hold.
struct Ann {
    house: House,
    id: String,
    token: String,
    held: Value,
}

impl Ann {
    async fn new(profile: &str, scopes: &[Scope]) -> Self {
        let house = House::with(
            Options::default(),
            TenantSettings {
                profile: profile.into(),
                ..TenantSettings::default()
            },
        )
        .await;
        let body = json!({"schemas": [USER], "userName": "ann", "active": true, "roles": [{"value": "clerk"}, {"value": "editor"}],
            "entitlements": [{"value": "seat"}]});
        let made = house.scim("POST", "/Users", Some(body.clone())).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        let id = made.text("/id").to_owned();
        let team = json!({"schemas": [GROUP], "displayName": "team", "members": [{"value": id}]});
        assert_eq!(
            house.scim("POST", "/Groups", Some(team)).await.status,
            StatusCode::CREATED
        );
        let token = house
            .issue(Permissions {
                user: Some(id.clone()),
                ..Permissions::of(scopes)
            })
            .await;
        let held = house.scim("GET", &format!("/Users/{id}"), None).await.body;
        Self {
            house,
            id,
            token,
            held,
        }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.house
            .call(&self.token, method, &format!("/scim/v2{path}"), &[], body)
            .await
    }

    /// What is refused names the attribute, and changes nothing of her.
    async fn refused(&self, (method, path): (&str, &str), body: Option<Value>, attribute: &str) {
        let answer = self.call(method, path, body.clone()).await;
        assert_eq!(
            answer.status,
            StatusCode::FORBIDDEN,
            "{method} {path} {body:?}: {answer:?}"
        );
        assert!(
            answer
                .text("/detail")
                .contains(&format!("their own `{attribute}`")),
            "{answer:?}"
        );
        let now = self
            .house
            .scim("GET", &format!("/Users/{}", self.id), None)
            .await
            .body;
        assert_eq!(now, self.held, "{method} {path} {body:?}");
    }

    /// What she holds, with this member in place of hers.
    fn with(&self, name: &str, value: Value) -> Value {
        let mut body = self.held.clone();
        body[name] = value;
        body
    }
}

fn patch(operations: Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

#[tokio::test]
async fn nobody_changes_what_others_decide_about_them() {
    for profile in ["standard", "strict", "entra", "okta"] {
        let ann = Ann::new(profile, &[Scope::Read, Scope::Write]).await;
        let own = format!("/Users/{}", ann.id);
        let more = json!([{"value": "clerk"}, {"value": "editor"}, {"value": "admin"}]);
        for path in ["/Me", &own] {
            for (attribute, value) in [
                ("active", json!(false)),
                ("roles", more.clone()),
                ("entitlements", json!([])),
                ("groups", json!([{"value": "g"}])),
            ] {
                ann.refused(
                    ("PUT", path),
                    Some(ann.with(attribute, value.clone())),
                    attribute,
                )
                .await;
                ann.refused(
                    ("PATCH", path),
                    Some(patch(
                        json!([{"op": "replace", "path": attribute, "value": value}]),
                    )),
                    attribute,
                )
                .await;
            }
            for (operation, attribute) in [
                (
                    json!({"op": "replace", "value": {"active": false}}),
                    "active",
                ),
                (
                    json!({"op": "replace", "path": format!("{USER}:active"), "value": false}),
                    "active",
                ),
                (
                    json!({"op": "add", "path": "roles", "value": [{"value": "admin"}]}),
                    "roles",
                ),
                (
                    json!({"op": "replace", "path": "roles[value eq \"clerk\"].value", "value": "admin"}),
                    "roles",
                ),
                (
                    json!({"op": "remove", "path": "roles[value eq \"clerk\"]"}),
                    "roles",
                ),
                (
                    json!({"op": "remove", "path": "entitlements"}),
                    "entitlements",
                ),
                (
                    json!({"op": "add", "value": {"entitlements": [{"value": "all"}]}}),
                    "entitlements",
                ),
            ] {
                ann.refused(
                    ("PATCH", path),
                    Some(patch(
                        json!([{"op": "replace", "path": "title", "value": "x"}, operation]),
                    )),
                    attribute,
                )
                .await;
            }
            ann.refused(("DELETE", path), None, "active").await;
        }
        // By groups: directly, through a group that holds her, and by leaving.
        let all = ann.house.scim("GET", "/Groups", None).await;
        let team = all.text("/Resources/0/id").to_owned();
        let other = ann
            .house
            .scim(
                "POST",
                "/Groups",
                Some(json!({"schemas": [GROUP], "displayName": "admins"})),
            )
            .await
            .text("/id")
            .to_owned();
        for member in [&ann.id, &team] {
            let add =
                patch(json!([{"op": "add", "path": "members", "value": [{"value": member}]}]));
            ann.refused(("PATCH", &format!("/Groups/{other}")), Some(add), "groups")
                .await;
            let body =
                json!({"schemas": [GROUP], "displayName": "new", "members": [{"value": member}]});
            ann.refused(("POST", "/Groups"), Some(body.clone()), "groups")
                .await;
            ann.refused(("PUT", &format!("/Groups/{other}")), Some(body), "groups")
                .await;
        }
        let leave =
            patch(json!([{"op": "remove", "path": format!("members[value eq \"{}\"]", ann.id)}]));
        ann.refused(("PATCH", &format!("/Groups/{team}")), Some(leave), "groups")
            .await;
        ann.refused(("DELETE", &format!("/Groups/{team}")), None, "groups")
            .await;
    }
}

#[tokio::test]
async fn nobody_does_so_in_bulk_or_by_memberships() {
    let ann = Ann::new("standard", &[Scope::Read, Scope::Write]).await;
    let other = ann
        .house
        .scim(
            "POST",
            "/Groups",
            Some(json!({"schemas": [GROUP], "displayName": "admins"})),
        )
        .await
        .text("/id")
        .to_owned();
    let membership =
        json!({"schemas": [GROUP_MEMBER], "group": {"value": other}, "member": {"value": ann.id}});
    ann.refused(("POST", "/GroupMembers"), Some(membership), "groups")
        .await;
    let own = format!("/Users/{}", ann.id);
    let operations = [
        json!({"method": "PATCH", "path": own, "data": patch(json!([{"op": "replace", "path": "active", "value": false}]))}),
        json!({"method": "PUT", "path": own, "data": ann.with("roles", json!([]))}),
        json!({"method": "DELETE", "path": own}),
        json!({"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"schemas": [GROUP], "displayName": "g", "members": [{"value": ann.id}]}}),
    ];
    for operation in operations {
        for atomic in [false, true] {
            let schema = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
            let request = json!({"schemas": [schema], "atomic": atomic, "Operations": [operation]});
            let answer = ann.call("POST", "/Bulk", Some(request)).await;
            assert_eq!(
                answer.body["Operations"][0]["status"], "403",
                "{operation}: {answer:?}"
            );
        }
    }
    assert_eq!(ann.house.scim("GET", &own, None).await.body, ann.held);
}

#[tokio::test]
async fn people_change_the_rest_and_may_repeat_what_they_are() {
    let ann = Ann::new("standard", &[Scope::Read, Scope::Write]).await;
    let put = ann.call("PUT", "/Me", Some(ann.held.clone())).await;
    assert_eq!(put.status, StatusCode::OK, "{put:?}");
    let mut turned = ann.with("title", json!("Dr."));
    turned["roles"] = json!([{"value": "editor"}, {"value": "clerk"}]);
    turned.as_object_mut().unwrap().remove("active");
    turned.as_object_mut().unwrap().remove("groups");
    let put = ann.call("PUT", "/Me", Some(turned)).await;
    assert_eq!(
        (put.status, put.text("/title")),
        (StatusCode::OK, "Dr."),
        "{put:?}"
    );
    let same = patch(
        json!([{"op": "replace", "path": "active", "value": true}, {"op": "replace", "path": "nickName", "value": "A"}]),
    );
    assert_eq!(
        ann.call("PATCH", "/Me", Some(same)).await.status,
        StatusCode::OK
    );
    // Of others it may change what its scopes allow.
    let bob = ann.house.user("bob").await;
    let disable = patch(json!([{"op": "replace", "path": "active", "value": false}]));
    assert_eq!(
        ann.call("PATCH", &format!("/Users/{bob}"), Some(disable))
            .await
            .status,
        StatusCode::OK
    );
}

/// At `/Me` also an administrator is only themself; as an administrator they may change any User.
#[tokio::test]
async fn administrators_are_themselves_at_me() {
    let ann = Ann::new("standard", &[Scope::Read, Scope::Write, Scope::Admin]).await;
    let promote = || {
        Some(patch(
            json!([{"op": "add", "path": "roles", "value": [{"value": "admin"}]}]),
        ))
    };
    ann.refused(("PATCH", "/Me"), promote(), "roles").await;
    assert_eq!(
        ann.call("PATCH", &format!("/Users/{}", ann.id), promote())
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_was_issued_to_a_person_ends_with_them() {
    for way in ["PATCH", "PUT", "DELETE"] {
        let ann = Ann::new("standard", &[Scope::Read, Scope::Write]).await;
        let (bob, own) = (ann.house.user("bob").await, format!("/Users/{}", ann.id));
        assert_eq!(
            ann.call("GET", &format!("/Users/{bob}"), None).await.status,
            StatusCode::OK,
            "it is remembered now"
        );
        let request =
            Request::get("/t/default/events?after=latest").header("accept", "text/event-stream");
        let request = request
            .header("authorization", format!("Bearer {}", ann.token))
            .body(Body::empty())
            .unwrap();
        let mut stream = ann
            .house
            .router()
            .oneshot(request)
            .await
            .unwrap()
            .into_body()
            .into_data_stream();
        assert!(stream.next().await.unwrap().unwrap().starts_with(b"retry"));

        let off = patch(json!([{"op": "replace", "path": "active", "value": false}]));
        let body = match way {
            "PATCH" => Some(off),
            "PUT" => Some(ann.with("active", json!(false))),
            _ => None,
        };
        assert!(ann.house.scim(way, &own, body).await.status.is_success());
        assert!(
            stream.next().await.is_none(),
            "a stream that is open tells nothing more"
        );
        let on = patch(json!([{"op": "replace", "path": "active", "value": true}]));
        let refused = [
            ann.call("GET", "/Me", None).await,
            ann.call("PATCH", "/Me", Some(on.clone())).await,
            ann.call("GET", "/Users", None).await,
            ann.call("PATCH", &format!("/Users/{bob}"), Some(on.clone()))
                .await,
        ];
        assert!(
            refused
                .iter()
                .all(|answer| answer.status == StatusCode::UNAUTHORIZED),
            "{way}: {refused:?}"
        );
        // Who comes back gets new ones.
        if way != "DELETE" {
            assert_eq!(
                ann.house.scim("PATCH", &own, Some(on)).await.status,
                StatusCode::OK
            );
            assert_eq!(
                ann.call("GET", "/Me", None).await.status,
                StatusCode::UNAUTHORIZED,
                "revoked is revoked"
            );
            let new = ann
                .house
                .issue(Permissions {
                    user: Some(ann.id.clone()),
                    ..Permissions::default()
                })
                .await;
            assert_eq!(
                ann.house
                    .call(&new, "GET", "/scim/v2/Me", &[], None)
                    .await
                    .status,
                StatusCode::OK
            );
        }
    }
}

#[tokio::test]
async fn no_token_is_made_for_somebody_who_is_not_there_or_not_active() {
    let house = House::new().await;
    let (ann, bob) = (house.user("ann").await, house.user("bob").await);
    let off = patch(json!([{"op": "replace", "path": "active", "value": false}]));
    assert_eq!(
        house
            .scim("PATCH", &format!("/Users/{bob}"), Some(off))
            .await
            .status,
        StatusCode::OK
    );
    for (user, status) in [
        (ann.as_str(), StatusCode::CREATED),
        (&bob, StatusCode::BAD_REQUEST),
        ("none", StatusCode::BAD_REQUEST),
    ] {
        let new = json!({"name": "t", "user": user});
        let made = house
            .call(
                &house.token,
                "POST",
                "/t/default/admin/v1/tokens",
                &[],
                Some(new),
            )
            .await;
        assert_eq!(made.status, status, "{made:?}");
        assert!(
            status == StatusCode::CREATED || made.text("/detail").contains("no active User"),
            "{made:?}"
        );
    }
}

/// A name that people give themselves is none that a group waits for.
#[tokio::test]
async fn nobody_takes_a_name_that_a_group_waits_for() {
    let settings = TenantSettings {
        pending_references: Some(true),
        ..TenantSettings::default()
    };
    let house = House::with(Options::default(), settings).await;
    let ann = house.user("ann").await;
    let token = house
        .issue(Permissions {
            user: Some(ann.clone()),
            ..Permissions::default()
        })
        .await;
    let admins =
        json!({"schemas": [GROUP], "displayName": "admins", "members": [{"value": "boss"}]});
    let admins = house
        .scim("POST", "/Groups", Some(admins))
        .await
        .text("/id")
        .to_owned();
    for attribute in ["externalId", "userName"] {
        let take = patch(json!([{"op": "replace", "path": attribute, "value": "boss"}]));
        house
            .call(&token, "PATCH", "/scim/v2/Me", &[], Some(take))
            .await;
        let members = house.scim("GET", &format!("/Groups/{admins}"), None).await;
        assert!(members.body.get("members").is_none(), "{members:?}");
    }
    let me = house.call(&token, "GET", "/scim/v2/Me", &[], None).await;
    assert!(me.body.get("groups").is_none(), "{me:?}");
}

/// A group may be a member of another one, and be named by its `externalId`. The check of what people change of themselves knows ids.
#[tokio::test]
async fn nobody_joins_a_group_by_the_external_id_of_their_own_group() {
    let settings = TenantSettings {
        pending_references: Some(true),
        ..TenantSettings::default()
    };
    let house = House::with(Options::default(), settings).await;
    let ann = house.user("ann").await;
    let group = async |body: Value| {
        let made = house.scim("POST", "/Groups", Some(body)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        format!("/scim/v2/Groups/{}", made.text("/id"))
    };
    let team = json!({"schemas": [GROUP], "displayName": "team", "externalId": "E-team", "members": [{"value": ann}]});
    let team = group(team).await;
    let waits =
        json!({"schemas": [GROUP], "displayName": "admins", "members": [{"value": "E-later"}]});
    let admins = group(waits).await;
    let token = house
        .issue(Permissions {
            user: Some(ann.clone()),
            ..Permissions::of(&[Scope::Read, Scope::Write])
        })
        .await;
    for name in ["E-team", "ann"] {
        let join = json!([{"op": "add", "path": "members", "value": [{"value": name}]}]);
        let refused = house
            .call(&token, "PATCH", &admins, &[], Some(patch(join)))
            .await;
        assert!(refused.status.is_client_error(), "{name}: {refused:?}");
    }
    let rename = patch(json!([{"op": "replace", "path": "externalId", "value": "E-later"}]));
    let renamed = house.call(&token, "PATCH", &team, &[], Some(rename)).await;
    assert_eq!(renamed.status, StatusCode::OK, "{renamed:?}");
    let me = house.call(&token, "GET", "/scim/v2/Me", &[], None).await;
    assert_eq!(
        me.body["groups"].as_array().map(Vec::len),
        Some(1),
        "{me:?}"
    );
}

#[tokio::test]
async fn a_token_that_stands_for_nobody_is_told_so() {
    let house = House::new().await;
    for method in ["GET", "PUT", "PATCH", "DELETE", "POST"] {
        let answer = house
            .scim(method, "/Me", (method != "GET").then(|| json!({})))
            .await;
        assert_eq!(
            (answer.status, answer.text("/status")),
            (StatusCode::NOT_IMPLEMENTED, "501"),
            "{method}"
        );
    }
    assert_eq!(
        house.scim("TRACE", "/Me", None).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}
