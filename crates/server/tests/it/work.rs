//! One client's work does not hold up others: bodies are refused before they are read or stop being parsed at a limit, room for them is shared, long requests
//! leave the threads that answer everybody and end with their client, and filters that cost too much are refused.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, Bytes};
use directory::access::Scope;
use directory::tenant::TenantSettings;
use futures_util::stream;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use server::Options;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::gate::{Gate, Gated};
use crate::house::{Answer, House, entry};
use crate::rfc::{BULK, GROUP, PATCH, SEARCH, operations, query, refused, user};

/// Longer than a short body.
const LONG_BYTES: usize = 8 * 1024;

fn request(method: &str, path: &str, token: &str, body: Body) -> Request<Body> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {token}"));
    request
        .header("content-type", "application/scim+json")
        .body(body)
        .unwrap()
}

/// A body of which is told whether anybody wanted it.
fn watched() -> (Arc<AtomicBool>, Body) {
    let wanted = Arc::new(AtomicBool::new(false));
    let sign = Arc::clone(&wanted);
    let never = stream::poll_fn(move |_| {
        sign.store(true, Ordering::SeqCst);
        std::task::Poll::<Option<Result<Bytes, Infallible>>>::Pending
    });
    (wanted, Body::from_stream(never))
}

#[tokio::test]
async fn who_may_not_is_told_before_the_body_is_read() {
    let house = House::with(
        Options {
            request_seconds_max: 5,
            ..Options::default()
        },
        TenantSettings::default(),
    )
    .await;
    let ann = format!("/Users/{}", house.user("ann").await);
    let reads = house.narrow(&[Scope::Read], None).await;
    let writes = house.narrow(&[Scope::Write], None).await;
    let groups = house
        .narrow(&[Scope::Read, Scope::Write], Some(&["Group"]))
        .await;
    let cases = [
        (&reads, "POST", "/Bulk"),
        (&reads, "POST", "/Users"),
        (&reads, "POST", "/GroupMembers"),
        (&reads, "PUT", ann.as_str()),
        (&reads, "PATCH", ann.as_str()),
        (&writes, "POST", "/.search"),
        (&writes, "POST", "/Users/.search"),
        (&writes, "POST", "/GroupMembers/.search"),
        (&groups, "POST", "/Users"),
        (&groups, "PATCH", ann.as_str()),
        (&groups, "POST", "/Users/.search"),
    ];
    for (token, method, path) in cases {
        let (wanted, body) = watched();
        let answer = house
            .send(request(method, &format!("/scim/v2{path}"), token, body))
            .await;
        refused(&answer, 403, None);
        assert!(!wanted.load(Ordering::SeqCst), "{method} {path}");
    }
}

/// What follows the value that is one too many is not JSON, so it was not looked at.
#[tokio::test]
async fn parsing_stops_at_the_limit() {
    let house = House::with(
        Options {
            bulk_operations_max: 3,
            ..Options::default()
        },
        TenantSettings::default(),
    )
    .await;
    let ann = format!("/scim/v2/Users/{}", house.user("ann").await);
    let arrays = |member: &str| format!("{{\"{member}\":[{}!", "[],".repeat(30_000));
    for (method, path) in [
        ("POST", "/scim/v2/Bulk"),
        ("POST", "/scim/v2/Users"),
        ("POST", "/scim/v2/Groups"),
        ("PUT", ann.as_str()),
        ("PATCH", ann.as_str()),
        ("POST", "/scim/v2/.search"),
        ("POST", "/scim/v2/GroupMembers"),
        ("POST", "/t/default/admin/v1/schemas"),
    ] {
        let answer = house
            .send(request(
                method,
                path,
                &house.token,
                arrays("attributes").into(),
            ))
            .await;
        refused(&answer, 413, None);
        assert!(
            answer.text("/detail").contains("more than 20000 values"),
            "{method} {path}: {answer:?}"
        );
    }
    let answer = house
        .send(request(
            "POST",
            "/scim/v2/Bulk",
            &house.token,
            arrays("Operations").into(),
        ))
        .await;
    refused(&answer, 413, None);
    assert!(answer.text("/detail").contains("at most 3"), "{answer:?}");
}

/// A body that says how long it is, begins, and goes on when the test says so.
fn held(body: &Value) -> (Request<Body>, oneshot::Receiver<()>, oneshot::Sender<()>) {
    let text = body.to_string();
    let (begins, begun) = oneshot::channel();
    let (go, goes) = oneshot::channel();
    let length = text.len();
    let pieces = stream::once(async move {
        let _ = begins.send(());
        let _ = goes.await;
        Ok::<_, Infallible>(Bytes::from(text))
    });
    let mut request = request("POST", "/scim/v2/Groups", "", Body::from_stream(pieces));
    request
        .headers_mut()
        .insert("content-length", length.into());
    (request, begun, go)
}

fn send(house: &House, token: &str, mut request: Request<Body>) -> JoinHandle<Answer> {
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    let router = house.router();
    tokio::spawn(async move { Answer::of(router.oneshot(request).await.unwrap()).await })
}

fn large_group(name: &str) -> Value {
    json!({"schemas": [GROUP], "displayName": name, "externalId": "x".repeat(1_500), "members": vec![json!({"value": "x".repeat(700)}); 100]})
}

#[tokio::test]
async fn room_for_bodies_is_shared_between_tenants() {
    let options = Options {
        bodies_bytes_max: 300_000,
        bodies_per_tenant_bytes_max: 100_000,
        turn_wait_seconds_max: 0,
        ..Options::default()
    };
    let house = House::with(options, TenantSettings::default()).await;
    let other = house
        .tenants
        .create_tenant(
            "other",
            TenantSettings::default(),
            house.hand_now(),
            entry(),
        )
        .await
        .unwrap()
        .unwrap();
    let stranger = house.issue_for(other.id).await;
    let (first, begun, go) = held(&large_group("first"));
    let first = send(&house, &house.token, first);
    begun.await.unwrap();
    // The tenant has used what it may; the members do not exist, so what is read is refused for that.
    let waits = house
        .scim("POST", "/Groups", Some(large_group("second")))
        .await;
    refused(&waits, 503, None);
    assert_eq!(waits.header("retry-after"), Some("5"));
    let chunked = request("POST", "/scim/v2/Groups", &house.token, {
        Body::from_stream(stream::once(async {
            Ok::<_, Infallible>(Bytes::from(large_group("third").to_string()))
        }))
    });
    refused(&house.send(chunked).await, 503, None);
    house.user("small").await;
    let there = house
        .call(
            &stranger,
            "POST",
            "/t/other/scim/v2/Groups",
            &[],
            Some(large_group("fourth")),
        )
        .await;
    refused(&there, 400, Some("invalidValue"));
    go.send(()).unwrap();
    refused(&first.await.unwrap(), 400, Some("invalidValue"));
    refused(
        &house
            .scim("POST", "/Groups", Some(large_group("fifth")))
            .await,
        400,
        Some("invalidValue"),
    );
}

async fn gated(options: Options) -> (House, Arc<Gate>, String) {
    let gate = Arc::new(Gate::default());
    let behind = Arc::clone(&gate);
    let house = House::over(options, TenantSettings::default(), |store| {
        Arc::new(Gated {
            store,
            gate: behind,
        })
    })
    .await;
    let id = house.user("gated").await;
    gate.id.lock().unwrap().clone_from(&id);
    (house, gate, id)
}

/// A PATCH that is not short.
fn long_patch(title: &str) -> Value {
    let filler = json!({"op": "replace", "path": "title", "value": title});
    json!({"schemas": [PATCH], "Operations": vec![filler; LONG_BYTES / 48]})
}

#[tokio::test]
async fn others_are_answered_while_long_requests_keep_threads_busy() {
    let (house, gate, id) = gated(Options {
        turn_wait_seconds_max: 0,
        ..Options::default()
    })
    .await;
    let other = house
        .tenants
        .create_tenant(
            "other",
            TenantSettings::default(),
            house.hand_now(),
            entry(),
        )
        .await
        .unwrap()
        .unwrap();
    let stranger = house.issue_for(other.id).await;
    let path = format!("/scim/v2/Users/{id}");
    let body = |title: &str| Body::from(long_patch(title).to_string());
    let busy: Vec<_> = (0..4)
        .map(|_| {
            send(
                &house,
                &house.token,
                request("PATCH", &path, "", body("busy")),
            )
        })
        .collect();
    gate.has(4).await;
    assert_eq!(
        house
            .send(Request::get("/healthz").body(Body::empty()).unwrap())
            .await
            .status,
        StatusCode::OK
    );
    house.user("meanwhile").await;
    assert_eq!(
        house.scim("GET", "/Users", None).await.body["totalResults"],
        2
    );
    // The tenant has all turns that it may have, another one has its own.
    let fifth = house
        .send(request("PATCH", &path, &house.token, body("fifth")))
        .await;
    refused(&fifth, 503, None);
    assert_eq!(fifth.header("retry-after"), Some("5"));
    let made = house
        .call(
            &stranger,
            "POST",
            "/t/other/scim/v2/Users",
            &[],
            Some(user(json!({"userName": "bob"}))),
        )
        .await;
    let there = format!("/t/other/scim/v2/Users/{}", made.text("/id"));
    let patched = house
        .call(&stranger, "PATCH", &there, &[], Some(long_patch("there")))
        .await;
    assert_eq!(patched.status, StatusCode::OK, "{patched:?}");
    assert_eq!(
        gate.overdue.load(Ordering::SeqCst),
        0,
        "all of that happened while they were busy"
    );
    gate.set(true);
    for answer in busy {
        assert_eq!(answer.await.unwrap().status, StatusCode::OK);
    }
}

/// Operations after the one that was under way are not begun; whether or not what they do ever waits.
#[tokio::test]
async fn a_bulk_request_ends_with_its_client() {
    let (house, gate, id) = gated(Options {
        long_requests_per_tenant_max: 1,
        ..Options::default()
    })
    .await;
    let patch =
        |data: Value| json!({"method": "PATCH", "path": format!("/Users/{id}"), "data": data});
    let written =
        patch(operations(json!([{"op": "replace", "path": "title", "value": "x"}])).unwrap());
    let refused = patch(
        operations(
            json!([{"op": "replace", "path": "emails[type eq \"none\"].value", "value": "x"}]),
        )
        .unwrap(),
    );
    for (operation, atomic) in [(&written, false), (&refused, false), (&written, true)] {
        gate.set(false);
        let before = gate.entered();
        let body = json!({"schemas": [BULK], "atomic": atomic, "Operations": vec![operation; 50]});
        let given_up = send(
            &house,
            &house.token,
            request("POST", "/scim/v2/Bulk", "", body.to_string().into()),
        );
        gate.has(before + 1).await;
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
        gate.set(true);
        // There is one turn, so the next one begins when the first has ended.
        let next =
            json!({"schemas": [BULK], "Operations": [{"method": "DELETE", "path": "/Users/none"}]});
        assert_eq!(
            house.scim("POST", "/Bulk", Some(next)).await.status,
            StatusCode::OK
        );
        assert_eq!(gate.entered() - before, 1, "{operation} {atomic}");
    }
}

#[tokio::test]
async fn long_requests_are_answered_as_short_ones() {
    let house = House::new().await;
    let id = house.user("ann").await;
    let answer = house
        .scim("PATCH", &format!("/Users/{id}"), Some(long_patch("x")))
        .await;
    assert_eq!(
        (answer.status, answer.body["title"].as_str()),
        (StatusCode::OK, Some("x"))
    );
    refused(
        &house
            .scim("PATCH", "/Users/none", Some(long_patch("x")))
            .await,
        404,
        None,
    );
}

#[tokio::test]
async fn filters_that_cost_too_much_are_refused() {
    let house = House::new().await;
    house.user("ann").await;
    let any_of = |term: &str, count: usize| vec![term; count].join(" or ");
    let check = async |filter: &str, says: Option<&str>| {
        let body = json!({"schemas": [SEARCH], "filter": filter});
        let answers = [
            house
                .scim("GET", &format!("/Users?filter={}", query(filter)), None)
                .await,
            house.scim("POST", "/Users/.search", Some(body)).await,
        ];
        for answer in answers {
            match says {
                None => assert_eq!(answer.status, StatusCode::OK, "{answer:?}"),
                Some(says) => {
                    refused(&answer, 400, Some("invalidFilter"));
                    assert!(answer.text("/detail").contains(says), "{answer:?}");
                }
            }
        }
    };
    check(&any_of("groups.display co \"a\"", 20), None).await;
    for term in [
        "groups.display co \"a\"",
        "userName co \"a\"",
        "nickName ew \"a\"",
        "active eq true",
        "not (userName eq \"a\")",
    ] {
        check(&any_of(term, 200), Some("at most 20")).await;
    }
    let names: Vec<String> = (0..200)
        .map(|number| format!("userName eq \"{number}\""))
        .collect();
    check(&names.join(" or "), None).await;
    check(
        &any_of("userName eq \"a\"", 251),
        Some("more than 250 comparisons"),
    )
    .await;
    let many = json!({"schemas": [SEARCH], "attributes": vec!["userName"; 501]});
    let answer = house.scim("POST", "/Users/.search", Some(many)).await;
    refused(&answer, 400, Some("invalidValue"));
    assert!(answer.text("/detail").contains("at most 500"), "{answer:?}");
}
