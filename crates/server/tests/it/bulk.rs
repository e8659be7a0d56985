//! Bulk over HTTP: many creates in one commit are answered like one after the other; all or nothing where it is asked for; limits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use directory::store::Store;
use http::StatusCode;
use scim_protocol::schema::standard::{ENTERPRISE_USER, GROUP, USER};
use serde_json::{Value, json};
use server::Options;

use directory::tenant::TenantSettings;

use crate::counting::{Counted, Counting};
use crate::house::{Answer, House};

fn bulk(more: Value, operations: Value) -> Option<Value> {
    let mut body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations});
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    Some(body)
}

fn post(path: &str, name: &str, data: Value) -> Value {
    json!({"method": "POST", "path": path, "bulkId": name, "data": data})
}

fn user(name: &str) -> Value {
    json!({"schemas": [USER], "userName": name})
}

fn statuses(answer: &Answer) -> Vec<&str> {
    answer.body["Operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|operation| operation["status"].as_str().unwrap())
        .collect()
}

fn id(answer: &Answer, index: usize) -> String {
    answer
        .text(&format!("/Operations/{index}/location"))
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned()
}

async fn total(house: &House, path: &str) -> u64 {
    house.scim("GET", path, None).await.body["totalResults"]
        .as_u64()
        .unwrap()
}

#[tokio::test]
async fn creates_together_are_like_one_after_the_other() {
    let house = House::new().await;
    house.user("taken").await;
    let mut operations: Vec<Value> = (0..300)
        .map(|number| {
            post(
                "/Users",
                &format!("u{number}"),
                user(&format!("user{number}")),
            )
        })
        .collect();
    // One is refused by itself, one by the store, and a group refers to some of the others.
    operations.insert(10, post("/Users", "bad", json!({"schemas": [USER]})));
    operations.insert(20, post("/Users", "twice", user("TAKEN")));
    operations.push(post(
        "/Groups",
        "g",
        json!({"schemas": [GROUP], "displayName": "g", "members": [{"value": "bulkId:u0"}, {"value": "bulkId:u299"}]}),
    ));
    let answer = house
        .scim("POST", "/Bulk", bulk(json!({}), Value::Array(operations)))
        .await;
    let mut expected = vec!["201"; 303];
    (expected[10], expected[20]) = ("400", "409");
    assert_eq!(statuses(&answer), expected);
    assert_eq!(
        answer.text("/Operations/20/response/scimType"),
        "uniqueness"
    );
    assert_eq!(
        (
            answer.text("/Operations/0/version"),
            answer.text("/Operations/0/bulkId")
        ),
        ("W/\"1\"", "u0")
    );
    assert_eq!(total(&house, "/Users").await, 301);
    let group = house
        .scim("GET", &format!("/Groups/{}", id(&answer, 302)), None)
        .await;
    assert_eq!(group.body["members"].as_array().unwrap().len(), 2);
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{}", id(&answer, 0)), None)
            .await
            .text("/userName"),
        "user0"
    );
}

#[tokio::test]
async fn who_is_at_fault_among_many_creates_is_found_in_a_few_commits() {
    let counted = Arc::new(Counted::default());
    let counting = |store| {
        Arc::new(Counting {
            store,
            counted: counted.clone(),
        }) as Arc<dyn Store>
    };
    let house = House::over(Options::default(), TenantSettings::default(), counting).await;
    house.user("taken").await;
    counted.commits.store(0, Ordering::Relaxed);
    let mut operations: Vec<Value> = (0..250)
        .map(|number| {
            post(
                "/Users",
                &format!("u{number}"),
                user(&format!("user{number}")),
            )
        })
        .collect();
    for (place, name) in [(100, "a"), (101, "b"), (249, "c")] {
        operations[place] = post("/Users", name, user("TAKEN"));
    }
    let answer = house
        .scim("POST", "/Bulk", bulk(json!({}), Value::Array(operations)))
        .await;
    let refused: Vec<usize> = statuses(&answer)
        .iter()
        .enumerate()
        .filter(|(_, status)| **status == "409")
        .map(|(place, _)| place)
        .collect();
    assert_eq!(
        (
            refused,
            statuses(&answer).len(),
            total(&house, "/Users").await
        ),
        (vec![100, 101, 249], 250, 248)
    );
    let commits = counted.commits.load(Ordering::Relaxed);
    assert!(commits < 50, "{commits}");
}

#[tokio::test]
async fn errors_stop_where_they_were_to() {
    let house = House::new().await;
    let operations = json!([
        post("/Users", "a", user("a")),
        post("/Users", "b", user("A")),
        post("/Users", "c", user("c"))
    ]);
    let answer = house
        .scim(
            "POST",
            "/Bulk",
            bulk(json!({"failOnErrors": 1}), operations),
        )
        .await;
    assert_eq!(statuses(&answer), ["201", "409"]);
    assert_eq!(total(&house, "/Users").await, 1);
}

#[tokio::test]
async fn names_are_swapped_in_one_step() {
    let house = House::new().await;
    let (ann, bob) = (house.user("ann").await, house.user("bob").await);
    let put = |id: &str, name: &str| json!({"method": "PUT", "path": format!("/Users/{id}"), "data": user(name)});
    let swap = |last: Value| {
        bulk(
            json!({"atomic": true}),
            json!([put(&ann, "bob"), put(&bob, "ann"), last]),
        )
    };
    let refused = house
        .scim("POST", "/Bulk", swap(post("/Users", "c", user("ANN"))))
        .await;
    assert_eq!(statuses(&refused), ["409"; 3]);
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{ann}"), None)
            .await
            .text("/userName"),
        "ann"
    );
    let answer = house
        .scim("POST", "/Bulk", swap(post("/Users", "c", user("cid"))))
        .await;
    assert_eq!(statuses(&answer), ["200", "200", "201"]);
    for (id, name) in [(&ann, "bob"), (&bob, "ann")] {
        assert_eq!(
            house
                .scim("GET", &format!("/Users/{id}"), None)
                .await
                .text("/userName"),
            name
        );
    }
    assert_eq!(
        house
            .scim("GET", "/Users?filter=userName%20eq%20%22ann%22", None)
            .await
            .body["Resources"][0]["id"],
        json!(bob)
    );
}

#[tokio::test]
async fn all_or_nothing() {
    let house = House::new().await;
    let ann = house.user("ann").await;
    let bob = house.user("bob").await;
    let atomic = json!({"atomic": true});
    // Circles among what is made, a manager who comes later, changes of what is there.
    let everything = |last: Value| {
        json!([
            post("/Groups", "g", json!({"schemas": [GROUP], "displayName": "g", "members": [{"value": "bulkId:h"}, {"value": ann}]})),
            post("/Groups", "h", json!({"schemas": [GROUP], "displayName": "h", "members": [{"value": "bulkId:g"}, {"value": "bulkId:new"}]})),
            post("/Users", "low", json!({"schemas": [USER, ENTERPRISE_USER], "userName": "low", ENTERPRISE_USER: {"manager": {"value": "bulkId:new"}}})),
            post("/Users", "new", user("new")),
            {"method": "PUT", "path": format!("/Users/{ann}"), "version": "W/\"1\"", "data": user("ann2")},
            {"method": "PATCH", "path": "/Groups/bulkId:g", "data": {
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [{"op": "add", "path": "members", "value": [{"value": "bulkId:low"}]}]}},
            last,
        ])
    };
    for (refused, status, scim_type) in [
        (
            json!({"method": "DELETE", "path": format!("/Users/{bob}"), "version": "W/\"9\""}),
            "412",
            None,
        ),
        (
            json!({"method": "DELETE", "path": "/Users/nobody"}),
            "404",
            None,
        ),
        (
            post("/Users", "low2", json!({"schemas": [USER]})),
            "400",
            Some("invalidValue"),
        ),
    ] {
        let answer = house
            .scim(
                "POST",
                "/Bulk",
                bulk(atomic.clone(), everything(refused.clone())),
            )
            .await;
        let mut expected = vec!["409"; 7];
        expected[6] = status;
        assert_eq!(
            (answer.status, statuses(&answer)),
            (StatusCode::OK, expected),
            "{refused}"
        );
        assert_eq!(
            answer
                .body
                .pointer("/Operations/6/response/scimType")
                .and_then(Value::as_str),
            scim_type
        );
        assert_eq!(
            (
                total(&house, "/Users").await,
                total(&house, "/Groups").await
            ),
            (2, 0),
            "{refused}"
        );
        assert_eq!(
            house
                .scim("GET", &format!("/Users/{ann}"), None)
                .await
                .text("/userName"),
            "ann"
        );
    }
    // Taken values are found out by the store, which does not say by whom.
    let answer = house
        .scim(
            "POST",
            "/Bulk",
            bulk(atomic.clone(), everything(post("/Users", "t", user("BOB")))),
        )
        .await;
    assert_eq!(statuses(&answer), ["409"; 7]);
    assert_eq!(
        (
            answer.text("/Operations/0/response/scimType"),
            total(&house, "/Users").await
        ),
        ("uniqueness", 2)
    );

    let answer = house
        .scim(
            "POST",
            "/Bulk",
            bulk(
                atomic,
                everything(json!({"method": "DELETE", "path": format!("/Users/{bob}")})),
            ),
        )
        .await;
    assert_eq!(
        statuses(&answer),
        ["201", "201", "201", "201", "200", "200", "204"]
    );
    assert_eq!(
        (
            total(&house, "/Users").await,
            total(&house, "/Groups").await
        ),
        (3, 2)
    );
    let members = async |index: usize| {
        let group = house
            .scim("GET", &format!("/Groups/{}", id(&answer, index)), None)
            .await;
        assert_eq!(
            group.header("etag"),
            Some(answer.text(&format!("/Operations/{index}/version")))
        );
        group.body["members"].as_array().unwrap().len()
    };
    assert_eq!((members(0).await, members(1).await), (3, 2));
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{ann}"), None)
            .await
            .text("/userName"),
        "ann2"
    );
    let low = house
        .scim("GET", &format!("/Users/{}", id(&answer, 2)), None)
        .await;
    assert_eq!(
        low.body[ENTERPRISE_USER]["manager"]["value"],
        json!(id(&answer, 3))
    );
}

/// Later operations are decided on what earlier ones of the same request leave behind.
#[tokio::test]
async fn all_or_nothing_writes_a_resource_more_than_once() {
    let house = House::new().await;
    let (ann, bob) = (house.user("ann").await, house.user("bob").await);
    let patch = |path: String, operations: Value| {
        let data = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
        json!({"method": "PATCH", "path": path, "data": data})
    };
    let add = |members: Value| json!([{"op": "add", "path": "members", "value": members}]);
    let operations = json!([
        post("/Users", "u", user("new")),
        patch("/Users/bulkId:u".into(), json!([{"op": "add", "path": "title", "value": "a"}])),
        patch("/Users/bulkId:u".into(), json!([{"op": "replace", "path": "title", "value": "b"}])),
        {"method": "PUT", "path": format!("/Users/{ann}"), "version": "W/\"1\"", "data": user("ann2")},
        patch(format!("/Users/{ann}"), json!([{"op": "add", "path": "nickName", "value": "An"}])),
        post("/Groups", "g", json!({"schemas": [GROUP], "displayName": "g", "members": [{"value": ann}]})),
        patch("/Groups/bulkId:g".into(), add(json!([{"value": bob}, {"value": "bulkId:u"}]))),
        patch("/Groups/bulkId:g".into(), json!([{"op": "remove", "path": "members[display eq \"ann2\" or display eq \"bob\"]"}])),
        post("/Users", "short", user("short")),
        {"method": "DELETE", "path": "/Users/bulkId:short"},
        {"method": "DELETE", "path": format!("/Users/{bob}")},
        post("/Users", "bob2", user("bob")),
    ]);
    let answer = house
        .scim("POST", "/Bulk", bulk(json!({"atomic": true}), operations))
        .await;
    assert_eq!(
        statuses(&answer),
        [
            "201", "200", "200", "200", "200", "201", "200", "200", "201", "204", "204", "201"
        ],
        "{answer:?}"
    );
    assert_eq!(
        (id(&answer, 0), id(&answer, 5)),
        (id(&answer, 2), id(&answer, 7))
    );
    let new = house
        .scim("GET", &format!("/Users/{}", id(&answer, 0)), None)
        .await;
    assert_eq!(
        (new.text("/title"), new.header("etag")),
        ("b", Some("W/\"3\""))
    );
    let changed = house.scim("GET", &format!("/Users/{ann}"), None).await;
    assert_eq!(
        (changed.text("/userName"), changed.text("/nickName")),
        ("ann2", "An")
    );
    let group = house
        .scim("GET", &format!("/Groups/{}", id(&answer, 5)), None)
        .await;
    assert_eq!(
        group.body["members"].as_array().unwrap().len(),
        1,
        "{group:?}"
    );
    assert_eq!(group.body["members"][0]["value"], json!(id(&answer, 0)));
    assert_eq!(total(&house, "/Users").await, 3);

    // What is refused after an earlier write of the same resource leaves nothing of that write either.
    let gone = json!([{"method": "DELETE", "path": format!("/Users/{ann}")}, patch(format!("/Users/{ann}"), json!([{"op": "remove", "path": "title"}]))]);
    let answer = house
        .scim("POST", "/Bulk", bulk(json!({"atomic": true}), gone))
        .await;
    assert_eq!(
        (statuses(&answer), total(&house, "/Users").await),
        (vec!["409", "404"], 3)
    );
}

/// Which roles are allowed is what the operations so far leave, and nothing that the request undoes before.
#[tokio::test]
async fn all_or_nothing_knows_the_roles_that_it_makes() {
    let house = House::new().await;
    let enforce = json!({"id": USER, "attributes": [{"name": "roles", "subAttributes": [{"name": "value", "x-enforced": true}]}]});
    let enforced = house
        .call(
            &house.token,
            "POST",
            "/t/default/admin/v1/schemas",
            &[],
            Some(enforce),
        )
        .await;
    assert_eq!(enforced.status, StatusCode::OK, "{enforced:?}");
    let role = |name: &str, supported: bool| {
        post(
            "/Roles",
            name,
            json!({"schemas": [scim_protocol::schema::optional::ROLE], "value": name, "supported": supported}),
        )
    };
    let with = |name: &str, role: &str| {
        post(
            "/Users",
            name,
            json!({"schemas": [USER], "userName": name, "roles": [{"value": role}]}),
        )
    };
    let run = async |operations: Value| {
        house
            .scim("POST", "/Bulk", bulk(json!({"atomic": true}), operations))
            .await
    };
    let made = run(json!([role("staff", true), with("ann", "Staff")])).await;
    assert_eq!(statuses(&made), ["201", "201"], "{made:?}");
    let staff = format!("/Roles/{}", id(&made, 0));
    let support = |path: &str, supported: bool| {
        let data = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "supported", "value": supported}]});
        json!({"method": "PATCH", "path": path, "data": data})
    };
    for (before, said) in [
        (json!([role("late", false), with("bob", "late")]), "400"),
        (json!([support(&staff, false), with("bob", "staff")]), "400"),
        (
            json!([{"method": "DELETE", "path": staff}, with("bob", "staff")]),
            "400",
        ),
        (json!([with("bob", "after"), role("after", true)]), "409"),
    ] {
        let answer = run(before.clone()).await;
        assert_eq!(statuses(&answer)[1], said, "{before}: {answer:?}");
        assert_eq!(
            (total(&house, "/Users").await, total(&house, "/Roles").await),
            (1, 1),
            "{before}"
        );
    }
    let again = run(json!([
        support(&staff, false),
        support(&staff, true),
        with("bob", "staff")
    ]))
    .await;
    assert_eq!(statuses(&again), ["200", "200", "201"], "{again:?}");
}

/// RFC 7644 section 3.7: `version` is the `If-Match` of an operation.
#[tokio::test]
async fn versions_of_operations_are_conditions() {
    let house = House::new().await;
    let change = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "add", "path": "title", "value": "t"}]});
    let put = json!({"schemas": [USER], "userName": "PUT", "title": "t"});
    for (method, data, current) in [
        ("PUT", Some(put), "W/\"1\""),
        ("PATCH", Some(change), "\"1\""),
        ("DELETE", None, "W/\"1\", W/\"7\""),
    ] {
        let path = format!("/Users/{}", house.user(method).await);
        let operation = |version: &str| {
            let mut operation = json!({"method": method, "path": path, "version": version});
            if let Some(data) = &data {
                operation["data"] = data.clone();
            }
            operation
        };
        let before = house.scim("GET", &path, None).await;
        for (number, stale) in ["W/\"2\"", "\"0\", W/\"9\"", "nonsense"]
            .into_iter()
            .enumerate()
        {
            let name = format!("{method}{number}");
            let answer = house
                .scim(
                    "POST",
                    "/Bulk",
                    bulk(
                        json!({}),
                        json!([operation(stale), post("/Users", "n", user(&name))]),
                    ),
                )
                .await;
            assert_eq!(
                (answer.status, statuses(&answer)),
                (StatusCode::OK, vec!["412", "201"]),
                "{method} {stale}"
            );
            let refused = &answer.body["Operations"][0];
            assert_eq!(
                (&refused["response"]["status"], refused.get("version")),
                (&json!("412"), None),
                "{answer:?}"
            );
            assert!(
                refused["response"]["detail"]
                    .as_str()
                    .unwrap()
                    .contains("version W/\"1\""),
                "{answer:?}"
            );
            assert!(answer.text("/Operations/0/location").ends_with(&path));
            let after = house.scim("GET", &path, None).await;
            assert_eq!(
                (after.status, &after.body),
                (StatusCode::OK, &before.body),
                "{method} {stale}"
            );
        }
        // It is an error like others.
        let ended = bulk(
            json!({"failOnErrors": 1}),
            json!([operation("W/\"2\""), operation(current)]),
        );
        assert_eq!(
            statuses(&house.scim("POST", "/Bulk", ended).await),
            ["412"],
            "{method}"
        );
        assert_eq!(house.scim("GET", &path, None).await.body, before.body);

        let answer = house
            .scim(
                "POST",
                "/Bulk",
                bulk(json!({}), json!([operation(current), operation(current)])),
            )
            .await;
        let after = house.scim("GET", &path, None).await;
        if method == "DELETE" {
            assert_eq!(
                (statuses(&answer), after.status),
                (vec!["204", "404"], StatusCode::NOT_FOUND)
            );
        } else {
            // The first has made the version of the second a stale one.
            assert_eq!(
                (statuses(&answer), answer.text("/Operations/0/version")),
                (vec!["200", "412"], "W/\"2\""),
                "{method}"
            );
            assert_eq!(
                (after.text("/title"), after.header("etag")),
                ("t", Some("W/\"2\"")),
                "{method}"
            );
        }
    }
}

#[tokio::test]
async fn versions_of_operations_on_members_are_conditions() {
    let house = House::new().await;
    let ann = house.user("ann").await;
    let group = house
        .scim(
            "POST",
            "/Groups",
            Some(json!({"schemas": [GROUP], "displayName": "g"})),
        )
        .await
        .text("/id")
        .to_owned();
    let add = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "add", "path": "members", "value": [{"value": ann}]}]});
    let operation = |version: &str| json!({"method": "PATCH", "path": format!("/Groups/{group}"), "version": version, "data": add});
    for stale in ["W/\"2\"", "W/\"2\", W/\"3\"", "nonsense"] {
        assert_eq!(
            statuses(
                &house
                    .scim("POST", "/Bulk", bulk(json!({}), json!([operation(stale)])))
                    .await
            ),
            ["412"],
            "{stale}"
        );
        let read = house.scim("GET", &format!("/Groups/{group}"), None).await;
        assert_eq!(
            (read.header("etag"), read.body.get("members")),
            (Some("W/\"1\""), None),
            "{stale}"
        );
    }
    let answer = house
        .scim(
            "POST",
            "/Bulk",
            bulk(json!({}), json!([operation("W/\"1\"")])),
        )
        .await;
    assert_eq!(
        (statuses(&answer), answer.text("/Operations/0/version")),
        (vec!["200"], "W/\"2\"")
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Groups/{group}"), None)
            .await
            .text("/members/0/value"),
        ann
    );
}

#[tokio::test]
async fn memberships_in_bulk() {
    let house = House::new().await;
    let ann = house.user("ann").await;
    let group = house
        .scim(
            "POST",
            "/Groups",
            Some(json!({"schemas": [GROUP], "displayName": "g"})),
        )
        .await
        .text("/id")
        .to_owned();
    let operations = json!([
        post("/Users", "bob", user("bob")),
        post("/GroupMembers", "m1", json!({"group": {"value": group}, "member": {"value": ann}})),
        post("/GroupMembers", "m2", json!({"group": {"value": group}, "member": {"value": "bulkId:bob"}})),
        {"method": "DELETE", "path": format!("/GroupMembers/{group}.{ann}")},
        {"method": "PUT", "path": format!("/GroupMembers/{group}.{ann}"), "data": {}},
    ]);
    let answer = house
        .scim("POST", "/Bulk", bulk(json!({}), operations))
        .await;
    assert_eq!(statuses(&answer), ["201", "201", "201", "204", "400"]);
    assert!(
        answer
            .text("/Operations/2/location")
            .contains("/GroupMembers/")
    );
    assert_eq!(
        total(
            &house,
            &format!("/GroupMembers?filter=group.value+eq+%22{group}%22")
        )
        .await,
        1
    );
}

#[tokio::test]
async fn limits_are_those_that_are_announced() {
    let options = Options {
        bulk_operations_max: 2,
        large_body_bytes_max: 2_000,
        ..Options::default()
    };
    let house = House::with(options, TenantSettings::default()).await;
    let config = house.scim("GET", "/ServiceProviderConfig", None).await;
    assert_eq!(
        (
            &config.body["bulk"]["maxOperations"],
            &config.body["bulk"]["maxPayloadSize"]
        ),
        (&json!(2), &json!(2_000))
    );
    let three: Vec<Value> = (0..3)
        .map(|number| post("/Users", &format!("u{number}"), user(&format!("u{number}"))))
        .collect();
    let answer = house
        .scim(
            "POST",
            "/Bulk",
            bulk(json!({}), Value::Array(three.clone())),
        )
        .await;
    assert_eq!(
        (answer.status, total(&house, "/Users").await),
        (StatusCode::PAYLOAD_TOO_LARGE, 0)
    );
    let large = post(
        "/Users",
        "l",
        json!({"schemas": [USER], "userName": "l".repeat(2_000)}),
    );
    assert_eq!(
        house
            .scim("POST", "/Bulk", bulk(json!({}), json!([large])))
            .await
            .status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(
        statuses(
            &house
                .scim("POST", "/Bulk", bulk(json!({}), json!(three[..2])))
                .await
        ),
        ["201", "201"]
    );
    let wrong = house
        .scim("POST", "/Bulk", bulk(json!({"atomic": "yes"}), json!([])))
        .await;
    assert_eq!(wrong.text("/scimType"), "invalidValue");
}

/// Who sent it must know which of the operations is meant (RFC 7644 section 3.7.3).
#[tokio::test]
async fn what_is_malformed_is_answered_under_its_name() {
    let house = House::new().await;
    let operations = json!([
        {"method": "POST", "path": "Users", "bulkId": "no-slash", "data": user("a")},
        {"method": "POST", "path": "/Users", "bulkId": "no-data"},
        {"path": "/Users", "bulkId": "no-method"},
        {"method": "DELETE"},
    ]);
    for more in [json!({}), json!({"atomic": true})] {
        let answer = house
            .scim("POST", "/Bulk", bulk(more, operations.clone()))
            .await;
        let said = |operation: &Value| {
            (
                operation["method"].as_str().map(str::to_owned),
                operation["bulkId"].as_str().map(str::to_owned),
            )
        };
        let said: Vec<_> = answer.body["Operations"]
            .as_array()
            .unwrap()
            .iter()
            .map(said)
            .collect();
        let expected = [
            (Some("POST"), Some("no-slash")),
            (Some("POST"), Some("no-data")),
            (None, Some("no-method")),
            (Some("DELETE"), None),
        ];
        let expected =
            expected.map(|(method, name)| (method.map(str::to_owned), name.map(str::to_owned)));
        assert_eq!(said, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn a_path_may_refer_to_what_is_made_in_the_same_request() {
    let house = House::new().await;
    let remove = |name: &str| {
        let path = format!("members[value eq \"bulkId:{name}\"]");
        let data = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "remove", "path": path}]});
        json!({"method": "PATCH", "path": "/Groups/bulkId:g", "data": data})
    };
    let members = json!([{"value": "bulkId:a"}, {"value": "bulkId:b"}]);
    let group = json!({"schemas": [GROUP], "displayName": "g", "members": members});
    let operations = json!([
        remove("a"),
        post("/Groups", "g", group),
        post("/Users", "a", user("a")),
        post("/Users", "b", user("b")),
        remove("c")
    ]);
    let answer = house
        .scim("POST", "/Bulk", bulk(json!({}), operations))
        .await;
    assert_eq!(
        statuses(&answer),
        ["200", "201", "201", "201", "409"],
        "{answer:?}"
    );
    let group = house
        .scim("GET", &format!("/Groups/{}", id(&answer, 1)), None)
        .await;
    let left: Vec<&str> = group.body["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["value"].as_str().unwrap())
        .collect();
    assert_eq!(left, [id(&answer, 3)]);
}

#[tokio::test]
async fn a_text_may_begin_as_a_reference_does() {
    let house = House::new().await;
    let ann = json!({"schemas": [USER], "userName": "ann", "displayName": "bulkId:foo", "nickName": "bulkId:b",
        "emails": [{"value": "bulkId:foo"}]});
    let bob = json!({"schemas": [USER, ENTERPRISE_USER], "userName": "bob", ENTERPRISE_USER: {"manager": {"value": "bulkId:a"}}});
    let patch = |path: &str| {
        let data = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "add", "path": path, "value": "bulkId:foo"}]});
        json!({"method": "PATCH", "path": "/Users/bulkId:a", "data": data})
    };
    let manager = format!("{ENTERPRISE_USER}:manager.value");
    let (ann, bob) = (post("/Users", "a", ann), post("/Users", "b", bob));
    let texts = async |house: &House, id: &str| {
        let ann = house.scim("GET", &format!("/Users/{id}"), None).await;
        ["/displayName", "/nickName", "/emails/0/value"].map(|place| ann.text(place).to_owned())
    };
    let answer = house
        .scim(
            "POST",
            "/Bulk",
            bulk(
                json!({}),
                json!([bob, ann, patch("title"), patch(&manager)]),
            ),
        )
        .await;
    assert_eq!(
        statuses(&answer),
        ["201", "201", "200", "409"],
        "{answer:?}"
    );
    assert_eq!(
        texts(&house, &id(&answer, 1)).await,
        ["bulkId:foo", "bulkId:b", "bulkId:foo"]
    );
    let other = House::new().await;
    let answer = other
        .scim(
            "POST",
            "/Bulk",
            bulk(json!({"atomic": true}), json!([bob, ann])),
        )
        .await;
    assert_eq!(statuses(&answer), ["201", "201"], "{answer:?}");
    assert_eq!(
        texts(&other, &id(&answer, 1)).await,
        ["bulkId:foo", "bulkId:b", "bulkId:foo"]
    );
    let bob = other
        .scim("GET", &format!("/Users/{}", id(&answer, 0)), None)
        .await;
    assert_eq!(
        bob.body[ENTERPRISE_USER]["manager"]["value"],
        json!(id(&answer, 1))
    );
}
