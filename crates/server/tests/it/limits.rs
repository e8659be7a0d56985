//! Too many requests, too many guesses, and bodies that do not come.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use directory::access::Permissions;
use directory::tenant::TenantSettings;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use http::{Request, StatusCode};
use serde_json::json;
use server::lockout::LockoutLimit;
use server::rate_limit::RateLimit;
use server::{Connection, Options};

use crate::house::{Answer, House};
use crate::rfc::{operations, refused, user};

fn options() -> Options {
    Options {
        rate_limit: Some(RateLimit {
            per_second: 2,
            burst: 4,
        }),
        lockout: LockoutLimit {
            failures_max: 3,
            window_seconds: 60,
            proven_seconds_max: 3_600,
            entries_max: 100,
        },
        trusted_proxies: vec!["10.0.0.1".parse().unwrap()],
        ..Options::default()
    }
}

/// A request from an address.
async fn from(house: &House, address: &str, token: &str, forwarded: Option<&str>) -> Answer {
    let mut request = Request::builder()
        .uri("/scim/v2/Users")
        .header("host", "x")
        .header("authorization", format!("Bearer {token}"));
    if let Some(forwarded) = forwarded {
        request = request.header("x-forwarded-for", forwarded);
    }
    let mut request = request.body(Body::empty()).unwrap();
    let peer: SocketAddr = format!("{address}:5000").parse().unwrap();
    request.extensions_mut().insert(Connection {
        peer,
        local: "10.0.0.2:443".parse().unwrap(),
        is_tls: false,
    });
    house.send(request).await
}

#[track_caller]
fn waits(answer: &Answer, seconds: &str) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some(seconds));
    assert_eq!(answer.header("content-type"), Some("application/scim+json"));
    assert_eq!(
        (answer.text("/status"), answer.text("/schemas/0")),
        ("429", "urn:ietf:params:scim:api:messages:2.0:Error")
    );
}

#[tokio::test]
async fn a_caller_has_a_rate_and_is_told() {
    let house = House::with(options(), TenantSettings::default()).await;
    let other = house.issue(Permissions::default()).await;
    for remaining in ["3", "2", "1", "0"] {
        let answer = house.scim("GET", "/Users", None).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(
            answer.header("ratelimit"),
            Some(format!("\"caller\";r={remaining};t=0").as_str())
        );
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some("\"caller\";q=4;w=2")
        );
    }
    let refused = house.scim("GET", "/Users", None).await;
    waits(&refused, "1");
    assert_eq!(refused.header("ratelimit"), Some("\"caller\";r=0;t=1"));
    waits(
        &house
            .call(&house.token, "GET", "/t/default/admin/v1/tokens", &[], None)
            .await,
        "1",
    );
    assert_eq!(
        house
            .call(&other, "GET", "/scim/v2/Users", &[], None)
            .await
            .status,
        StatusCode::OK,
        "another caller"
    );
    house.wait(1);
    assert_eq!(
        house.scim("GET", "/Users", None).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_token_can_have_a_rate_of_its_own() {
    let house = House::with(options(), TenantSettings::default()).await;
    let free = house
        .issue(Permissions {
            requests_per_second: Some(0),
            ..Permissions::default()
        })
        .await;
    let slow = house
        .issue(Permissions {
            requests_per_second: Some(1),
            ..Permissions::default()
        })
        .await;
    for _ in 0..20 {
        let answer = house.call(&free, "GET", "/scim/v2/Users", &[], None).await;
        assert_eq!(
            (answer.status, answer.header("ratelimit")),
            (StatusCode::OK, None)
        );
    }
    assert_eq!(
        house
            .call(&slow, "GET", "/scim/v2/Users", &[], None)
            .await
            .header("ratelimit-policy"),
        Some("\"caller\";q=10;w=10")
    );
}

#[tokio::test]
async fn bulk_costs_its_operations() {
    let house = House::with(options(), TenantSettings::default()).await;
    let operation = json!({"method": "DELETE", "path": "/Users/none"});
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": vec![operation; 5]});
    assert_eq!(
        house.scim("POST", "/Bulk", Some(bulk)).await.status,
        StatusCode::OK
    );
    waits(&house.scim("GET", "/Users", None).await, "2");
}

#[tokio::test]
async fn who_guesses_waits_and_others_there_do_not() {
    let house = House::with(
        Options {
            rate_limit: None,
            ..options()
        },
        TenantSettings::default(),
    )
    .await;
    let unused = house.issue(Permissions::default()).await;
    assert_eq!(
        from(&house, "192.0.2.1", &house.token, None).await.status,
        StatusCode::OK
    );
    for _ in 0..3 {
        assert_eq!(
            from(&house, "192.0.2.1", "guess", None).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    waits(&from(&house, "192.0.2.1", "guess", None).await, "60");
    waits(&from(&house, "192.0.2.1", &unused, None).await, "60");
    assert_eq!(
        from(&house, "192.0.2.1", &house.token, None).await.status,
        StatusCode::OK,
        "a token that was good before"
    );
    assert_eq!(
        from(&house, "192.0.2.2", &unused, None).await.status,
        StatusCode::OK,
        "another address"
    );
    assert_eq!(
        from(&house, "192.0.2.1", &unused, None).await.status,
        StatusCode::OK,
        "good elsewhere"
    );
    house.wait(60);
    assert_eq!(
        from(&house, "192.0.2.1", "guess", None).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_tenant_may_choose_that_everybody_waits() {
    let settings = TenantSettings {
        lockout_spares_known_tokens: false,
        ..TenantSettings::default()
    };
    let house = House::with(options(), settings).await;
    assert_eq!(
        from(&house, "192.0.2.1", &house.token, None).await.status,
        StatusCode::OK
    );
    for _ in 0..3 {
        from(&house, "192.0.2.1", "guess", None).await;
    }
    waits(&from(&house, "192.0.2.1", &house.token, None).await, "60");
}

#[tokio::test]
async fn forwarded_addresses_count_only_from_trusted_proxies() {
    let house = House::with(options(), TenantSettings::default()).await;
    for number in 1..=3 {
        from(
            &house,
            "192.0.2.1",
            "guess",
            Some(&format!("198.51.100.{number}")),
        )
        .await;
    }
    waits(
        &from(&house, "192.0.2.1", "guess", Some("198.51.100.9")).await,
        "60",
    );
    for number in 1..=3 {
        from(
            &house,
            "10.0.0.1",
            "guess",
            Some(&format!("203.0.113.{number}, 198.51.100.7")),
        )
        .await;
    }
    waits(
        &from(
            &house,
            "10.0.0.1",
            "guess",
            Some("203.0.113.9, 198.51.100.7"),
        )
        .await,
        "60",
    );
    assert_eq!(
        from(&house, "10.0.0.1", "guess", Some("198.51.100.8"))
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn refusals_carry_the_challenge_of_rfc_6750() {
    let house = House::new().await;
    let reader = house.narrow(&[directory::access::Scope::Read], None).await;
    let check = async |token: Option<&str>, method: &str, status: u16, challenge: &str| {
        let mut request = Request::builder().method(method).uri("/scim/v2/Users/none");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = house.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("www-authenticate")),
            (status, Some(challenge))
        );
    };
    check(None, "GET", 401, "Bearer realm=\"rollcall\"").await;
    check(
        Some("wrong"),
        "GET",
        401,
        "Bearer realm=\"rollcall\", error=\"invalid_token\"",
    )
    .await;
    check(
        Some(&reader),
        "DELETE",
        403,
        "Bearer realm=\"rollcall\", error=\"insufficient_scope\"",
    )
    .await;
}

#[tokio::test]
async fn a_body_that_never_comes_is_answered_in_time() {
    const SECONDS_MAX: Duration = Duration::from_secs(20);
    let house = House::with(
        Options {
            request_seconds_max: 1,
            ..Options::default()
        },
        TenantSettings::default(),
    )
    .await;
    let id = house.user("ann").await;
    let before = house.scim("GET", &format!("/Users/{id}"), None).await;
    // Not a byte, or only the first ones.
    let never = || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let begun = || {
        let first =
            stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"{\"schemas\":")) });
        Body::from_stream(first.chain(stream::pending()))
    };
    let send = async |method: &str, path: &str, body: Body| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", house.token));
        house
            .send(
                request
                    .header("content-type", "application/scim+json")
                    .body(body)
                    .unwrap(),
            )
            .await
    };
    let user = format!("/scim/v2/Users/{id}");
    let requests = [
        ("POST", "/scim/v2/Users", never()),
        ("POST", "/scim/v2/Users", begun()),
        ("PUT", &user, begun()),
        ("PATCH", &user, never()),
        ("POST", "/scim/v2/Bulk", never()),
        ("POST", "/scim/v2/Users/.search", begun()),
        ("POST", "/t/default/admin/v1/schemas", never()),
    ];
    let started = Instant::now();
    let answers = join_all(requests.map(|(method, path, body)| send(method, path, body)));
    for answer in tokio::time::timeout(SECONDS_MAX, answers).await.unwrap() {
        refused(&answer, 503, None);
        assert!(
            answer.text("/detail").contains("took too long"),
            "{answer:?}"
        );
        assert!(answer.header("x-request-id").is_some(), "{answer:?}");
    }
    assert!(
        started.elapsed() >= Duration::from_secs(1),
        "it was given the time that it has"
    );
    assert_eq!(
        house.scim("GET", "/Users", None).await.body["totalResults"],
        1
    );
    assert_eq!(
        house.scim("GET", &format!("/Users/{id}"), None).await.body,
        before.body
    );
}

/// A value as long as a body was accepted, and kept in every index and every history.
#[tokio::test]
async fn texts_have_a_longest() {
    let house = House::new().await;
    let ann = house.user("ann").await;
    let long = |bytes: usize| "a".repeat(bytes);
    let said = |answer: &Answer, detail: &str| {
        refused(answer, 400, Some("invalidValue"));
        assert!(answer.text("/detail").contains(detail), "{answer:?}");
    };
    let made = house
        .scim(
            "POST",
            "/Users",
            Some(user(json!({"userName": long(300_000)}))),
        )
        .await;
    said(
        &made,
        "`userName` has 300000 bytes; at most 2000 are accepted",
    );
    let path = format!("/Users/{ann}");
    let change = |path: &str, value: String| {
        operations(json!([{"op": "add", "path": path, "value": value}]))
    };
    said(
        &house
            .scim("PATCH", &path, change("locale", long(70_000)))
            .await,
        "`locale` has 70000 bytes; at most 65536 are accepted",
    );
    let by_filter = format!("emails[value eq \"{}\"].type", long(2_001));
    said(
        &house
            .scim("PATCH", &path, change(&by_filter, "work".into()))
            .await,
        "`emails.value` has 2001 bytes",
    );
    assert_eq!(
        house
            .scim("PATCH", &path, change("locale", long(60_000)))
            .await
            .status,
        StatusCode::OK
    );
}
