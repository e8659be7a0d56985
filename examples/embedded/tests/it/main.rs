//! The issue tracker, provisioned: what identity providers really send, and what the tracker makes of it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

// The same conversations as the server's; it wants `regex` and `percent_encoding`.
#[path = "../../../../crates/server/tests/it/replay.rs"]
mod replay;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use embedded::{Tracker, application};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::replay::{Answer, every_case};

const TOKEN: &str = "a-token-of-the-identity-provider";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

struct House {
    _folder: TempDir,
    router: Router,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let router = application(Arc::new(Tracker::default()), folder.path(), TOKEN)
            .await
            .unwrap();
        Self {
            _folder: folder,
            router,
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.router.clone().oneshot(request).await.unwrap()).await
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        header: (&str, &str),
        body: Option<Value>,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header.0, header.1)
            .header("content-type", "application/json");
        self.send(
            request
                .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
                .unwrap(),
        )
        .await
    }

    async fn scim(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let token = format!("Bearer {TOKEN}");
        self.call(
            method,
            &format!("/scim/v2{path}"),
            ("authorization", &token),
            body,
        )
        .await
    }

    async fn user(&self, user_name: &str) -> String {
        let made = self
            .scim(
                "POST",
                "/Users",
                Some(json!({"schemas": [USER], "userName": user_name, "displayName": "Somebody"})),
            )
            .await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        made.text("/id").to_owned()
    }
}

#[tokio::test]
async fn every_conversation_goes_as_expected() {
    let house = House::new().await;
    let failed = every_case(TOKEN, async |request| house.send(request).await).await;
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test]
async fn who_leaves_loses_the_door_and_the_issues() {
    let house = House::new().await;
    assert_eq!(
        house
            .call("GET", "/issues", ("x-login", "ann@x"), None)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    let ann = house.user("Ann@X").await;
    house.user("bob@x").await;
    let made = house
        .call(
            "POST",
            "/issues",
            ("x-login", "bob@x"),
            Some(json!({"title": "it leaks"})),
        )
        .await;
    assert_eq!(
        (made.status, made.text("/reporter")),
        (StatusCode::CREATED, "bob@x")
    );
    let assigned = house
        .call(
            "PUT",
            "/issues/1/assignee",
            ("x-login", "bob@x"),
            Some(json!({"login": "ann@x"})),
        )
        .await;
    assert_eq!(assigned.text("/assignee"), "ann@x");

    let leave = json!({"schemas": [PATCH], "Operations": [{"op": "Replace", "path": "active", "value": "False"}]});
    assert_eq!(
        house
            .scim("PATCH", &format!("/Users/{ann}"), Some(leave))
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        house
            .call("GET", "/issues", ("x-login", "ann@x"), None)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    let issues = house
        .call("GET", "/issues", ("x-login", "bob@x"), None)
        .await;
    assert_eq!(
        issues.body,
        json!([{"number": 1, "title": "it leaks", "reporter": "bob@x", "assignee": null}])
    );
    let people = house
        .call("GET", "/people", ("x-login", "bob@x"), None)
        .await;
    assert_eq!(people.body, json!([{"login": "bob@x", "name": "Somebody"}]));
}

/// The tracker cannot take back what it did, so it does nothing.
#[tokio::test]
async fn a_dry_run_is_refused() {
    let house = House::new().await;
    let request = Request::post("/scim/v2/Users")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("prefer", "handling=dry-run");
    let body = json!({"schemas": [USER], "userName": "ann@x"}).to_string();
    let answer = house
        .send(
            request
                .header("content-type", "application/scim+json")
                .body(Body::from(body))
                .unwrap(),
        )
        .await;
    assert_eq!(
        (answer.status, answer.text("/status")),
        (StatusCode::NOT_IMPLEMENTED, "501")
    );
    house.user("ann@x").await;
}

#[tokio::test]
async fn groups_are_teams_direct_and_through_others() {
    let house = House::new().await;
    let ann = house.user("ann").await;
    let group = |name: &str, member: &str| json!({"schemas": [GROUP], "displayName": name, "members": [{"value": member}]});
    let inner = house
        .scim("POST", "/Groups", Some(group("Inner", &ann)))
        .await
        .text("/id")
        .to_owned();
    let outer = house
        .scim("POST", "/Groups", Some(group("Outer", &inner)))
        .await
        .text("/id")
        .to_owned();
    // A circle is harmless.
    let circle = json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": "members", "value": [{"value": outer}]}]});
    assert!(
        house
            .scim("PATCH", &format!("/Groups/{inner}"), Some(circle))
            .await
            .status
            .is_success()
    );
    let found = house.scim("GET", &format!("/Users/{ann}"), None).await;
    let groups: Vec<(&str, &str)> = (0..2)
        .map(|i| {
            (
                found.text(&format!("/groups/{i}/display")),
                found.text(&format!("/groups/{i}/type")),
            )
        })
        .collect();
    assert_eq!(groups, [("Inner", "direct"), ("Outer", "indirect")]);
    let of_ann = house
        .scim(
            "GET",
            &format!("/Groups?filter=members.value%20eq%20%22{ann}%22"),
            None,
        )
        .await;
    assert_eq!(
        (
            of_ann.body["totalResults"].as_u64(),
            of_ann.text("/Resources/0/displayName")
        ),
        (Some(1), "Inner")
    );
    // Whoever is deleted leaves the teams, and the teams change with it.
    let before = house
        .scim("GET", &format!("/Groups/{inner}"), None)
        .await
        .text("/meta/version")
        .to_owned();
    assert_eq!(
        house
            .scim("DELETE", &format!("/Users/{ann}"), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    let after = house.scim("GET", &format!("/Groups/{inner}"), None).await;
    assert_eq!(after.body["members"].as_array().unwrap().len(), 1);
    assert_ne!(after.text("/meta/version"), before);
    let nobody = json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": "members", "value": [{"value": ann}]}]});
    assert_eq!(
        house
            .scim("PATCH", &format!("/Groups/{inner}"), Some(nobody))
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn versions_uniqueness_order_and_bulk() {
    let house = House::new().await;
    let ann = house.user("ann").await;
    for name in ["carl", "bob"] {
        house.user(name).await;
    }
    let taken = house
        .scim(
            "POST",
            "/Users",
            Some(json!({"schemas": [USER], "userName": "ANN"})),
        )
        .await;
    assert_eq!(
        (taken.status, taken.text("/scimType")),
        (StatusCode::CONFLICT, "uniqueness")
    );
    let sorted = house
        .scim(
            "GET",
            "/Users?sortBy=userName&sortOrder=descending&startIndex=2&count=2",
            None,
        )
        .await;
    let names: Vec<&str> = (0..2)
        .map(|i| sorted.text(&format!("/Resources/{i}/userName")))
        .collect();
    assert_eq!(
        (sorted.body["totalResults"].as_u64(), names.as_slice()),
        (Some(3), &["bob", "ann"][..])
    );
    let stale = Request::builder()
        .method("PUT")
        .uri(format!("/scim/v2/Users/{ann}"))
        .header("authorization", format!("Bearer {TOKEN}"));
    let stale = stale
        .header("content-type", "application/scim+json")
        .header("if-match", "W/\"77\"");
    let body = json!({"schemas": [USER], "userName": "ann"}).to_string();
    assert_eq!(
        house
            .send(stale.body(Body::from(body)).unwrap())
            .await
            .status,
        StatusCode::PRECONDITION_FAILED
    );
    let bulk = json!({"schemas": [BULK], "Operations": [
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"schemas": [GROUP], "displayName": "G", "members": [{"value": "bulkId:u"}]}},
        {"method": "POST", "path": "/Users", "bulkId": "u", "data": {"schemas": [USER], "userName": "dora"}},
    ]});
    let done = house.scim("POST", "/Bulk", Some(bulk)).await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
    let groups = house
        .scim(
            "GET",
            "/Groups?filter=displayName%20eq%20%22G%22&attributes=members",
            None,
        )
        .await;
    assert_eq!(
        groups.body["Resources"][0]["members"]
            .as_array()
            .map(Vec::len),
        Some(1),
        "{groups:?}"
    );
}
