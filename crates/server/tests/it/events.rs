//! The feed of changes, tokens for those who poll, and the keys: whole exchanges.

use std::time::Duration;

use axum::body::Body;
use directory::access::{Permissions, Scope};
use directory::secret::Secret;
use directory::tenant::TenantSettings;
use events::event_log::{EventLog, NewReceiver, Receivers, SigningKeys};
use events::receiver::{ReceiverKind, ReceiverSettings, Secrets};
use futures_util::StreamExt;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, Request, StatusCode};
use serde_json::{Value, json};
use server::Options;
use tower::ServiceExt;

use crate::house::{Answer, House, entry};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const FEED: &str = "/t/default/events";

async fn send(house: &House, method: &str, path: &str, body: Option<Value>) -> Answer {
    send_as(house, Some(&house.token), method, path, body).await
}

async fn send_as(
    house: &House,
    token: Option<&str>,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    house.send(request.body(body).unwrap()).await
}

async fn user(house: &House, name: &str) -> String {
    let body = json!({"schemas": [USER], "userName": name, "externalId": format!("E-{name}")});
    send(house, "POST", "/scim/v2/Users", Some(body))
        .await
        .text("/id")
        .to_owned()
}

async fn feed(house: &House, query: &str) -> (Vec<Value>, String) {
    let answer = send(house, "GET", &format!("{FEED}?{query}"), None).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    (
        answer.body["events"].as_array().unwrap().clone(),
        answer.text("/position").to_owned(),
    )
}

fn kinds(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .map(|event| {
            format!(
                "{} {}",
                event["resourceType"].as_str().unwrap(),
                event["kinds"]
            )
        })
        .collect()
}

#[tokio::test]
async fn the_feed_tells_everything_in_order_and_goes_on_from_a_position() {
    let house = House::new().await;
    let ann = user(&house, "ann").await;
    let (events, position) = feed(&house, "").await;
    assert_eq!(kinds(&events), [r#"User ["create"]"#]);
    assert_eq!(events[0]["resource"]["userName"], "ann");
    assert_eq!(
        events[0]["resource"]["meta"]["location"],
        format!("http://localhost/t/default/scim/v2/Users/{ann}")
    );
    assert_eq!(events[0]["position"], position);
    let off = json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": false}]});
    send(&house, "PATCH", &format!("/scim/v2/Users/{ann}"), Some(off)).await;
    send(&house, "DELETE", &format!("/scim/v2/Users/{ann}"), None).await;
    let (events, end) = feed(&house, &format!("after={position}")).await;
    assert_eq!(
        kinds(&events),
        [r#"User ["change","deactivate"]"#, r#"User ["delete"]"#]
    );
    assert_eq!(
        (&events[0]["attributes"], &events[0]["version"]),
        (&json!(["active"]), &json!("W/\"2\""))
    );
    // She is gone by now, so there is nothing to show.
    assert!(
        events
            .iter()
            .all(|event| event.get("resource").is_none() && event["resourceId"] == *ann)
    );
    assert_eq!(
        feed(&house, &format!("after={end}")).await,
        (Vec::new(), end.clone())
    );
    assert_eq!(feed(&house, "after=latest").await, (Vec::new(), end));
    let (first, second) = (
        feed(&house, "limit=1").await,
        feed(&house, &format!("limit=1&after={position}")).await,
    );
    assert_eq!((first.1, second.0.len()), (position, 1));
    user(&house, "bob").await;
    assert!(
        feed(&house, "detail=notice")
            .await
            .0
            .iter()
            .all(|event| event.get("resource").is_none())
    );
}

#[tokio::test]
async fn a_request_that_waits_is_answered_as_soon_as_something_happens() {
    let house = House::new().await;
    let waiting = feed(&house, "after=latest&wait=20");
    let write = async {
        // Only once the other waits for it.
        while house.announce.receiver_count() < 3 {
            tokio::task::yield_now().await;
        }
        user(&house, "ann").await;
        house.announce.send_modify(|count| *count += 1);
    };
    let ((events, _), ()) = tokio::time::timeout(Duration::from_secs(10), async {
        tokio::join!(waiting, write)
    })
    .await
    .unwrap();
    assert_eq!(kinds(&events), [r#"User ["create"]"#]);
}

#[tokio::test]
async fn positions_that_are_too_old_or_of_others_are_refused() {
    let house = House::new().await;
    user(&house, "ann").await;
    let (_, position) = feed(&house, "").await;
    user(&house, "bob").await;
    let check = async |query: &str, status: u16, word: &str| {
        let answer = send(&house, "GET", &format!("{FEED}?{query}"), None).await;
        assert_eq!(answer.status, status, "{query}");
        assert!(answer.text("/detail").contains(word), "{answer:?}");
    };
    check("after=nonsense", 400, "position").await;
    check("limit=0", 400, "`limit`").await;
    check("wait=soon", 400, "`wait`").await;
    check("detail=some", 400, "`detail`").await;
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
    let answer = send_as(
        &house,
        None,
        "GET",
        &format!("/t/other/events?after={position}"),
        None,
    )
    .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(house.store.window(other.id).await.unwrap().newest, 0);
    // The log forgets what is old.
    provisioning::ledger::Ledger::mark_out_of_date(
        &*house.store,
        house.tenant.id,
        Some(2),
        Vec::new(),
    )
    .await
    .unwrap();
    assert_eq!(
        house
            .store
            .trim_events(jiff::Timestamp::MAX, 100)
            .await
            .unwrap(),
        2
    );
    check(&format!("after={position}"), 410, "Start anew").await;
    assert!(feed(&house, "").await.0.is_empty());
}

#[tokio::test]
async fn the_feed_shows_what_the_caller_may_read() {
    let house = House::new().await;
    user(&house, "ann").await;
    let group =
        json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "g"});
    send(&house, "POST", "/scim/v2/Groups", Some(group)).await;
    let only_groups = Permissions {
        resource_types: Some(vec!["Group".into()]),
        ..Permissions::of(&[Scope::Read])
    };
    let token = house.issue(only_groups).await;
    let answer = send_as(&house, Some(&token), "GET", FEED, None).await;
    assert_eq!(
        kinds(answer.body["events"].as_array().unwrap()),
        [r#"Group ["create"]"#]
    );
    let writer = house.issue(Permissions::of(&[Scope::Write])).await;
    assert_eq!(
        send_as(&house, Some(&writer), "GET", FEED, None)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        send(&house, "POST", FEED, None).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

/// The text of a stream until it has so many frames with data.
async fn frames(house: &House, position: Option<&str>, count: usize) -> Vec<(String, Value)> {
    let mut request =
        Request::get(format!("{FEED}?after=latest")).header("accept", "text/event-stream");
    request = request.header("authorization", format!("Bearer {}", house.token));
    if let Some(position) = position {
        request = request.header("last-event-id", position);
    }
    let response = house
        .router()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body().into_data_stream();
    let mut text = String::new();
    let frames = |text: &str| {
        let fields = |frame: &str, name: &str| {
            frame
                .lines()
                .find_map(|line| line.strip_prefix(name).map(str::to_owned))
        };
        let parsed = text.split("\n\n").filter_map(|frame| {
            Some((
                fields(frame, "id: ")?,
                serde_json::from_str(&fields(frame, "data: ")?).unwrap(),
            ))
        });
        parsed.collect::<Vec<(String, Value)>>()
    };
    while frames(&text).len() < count {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
    }
    frames(&text)
}

#[tokio::test]
async fn a_stream_goes_on_where_it_broke() {
    let house = House::new().await;
    let (_, start) = feed(&house, "after=latest").await;
    for name in ["a", "b", "c"] {
        user(&house, name).await;
    }
    let first = frames(&house, Some(&start), 1).await;
    let (id, event) = &first[0];
    assert_eq!(
        (
            event["resource"]["userName"].as_str(),
            event["position"].as_str()
        ),
        (Some("a"), Some(id.as_str()))
    );
    let rest = frames(&house, Some(id), 2).await;
    let names: Vec<_> = rest
        .iter()
        .map(|(_, event)| event["resource"]["userName"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["b", "c"]);
    let live = frames(&house, None, 1);
    let write = async {
        while house.announce.receiver_count() < 3 {
            tokio::task::yield_now().await;
        }
        user(&house, "d").await;
        house.announce.send_modify(|count| *count += 1);
    };
    let (live, ()) =
        tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(live, write) })
            .await
            .unwrap();
    assert_eq!(live[0].1["resource"]["userName"], "d");
}

/// Heartbeats come while nothing happens; a token that is taken back ends the stream, also one on which much happens.
#[tokio::test]
async fn a_stream_ends_with_its_token() {
    for busy in [false, true] {
        let house = House::with(
            Options {
                event_heartbeat_seconds: 1,
                ..Options::default()
            },
            TenantSettings::default(),
        )
        .await;
        let token = house.narrow(&[Scope::Read], None).await;
        let request =
            Request::get(format!("{FEED}?after=latest")).header("accept", "text/event-stream");
        let request = request
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        let mut body = house
            .router()
            .oneshot(request)
            .await
            .unwrap()
            .into_body()
            .into_data_stream();
        let mut told = async || {
            tokio::time::timeout(Duration::from_secs(20), body.next())
                .await
                .unwrap()
                .map(Result::unwrap)
        };
        assert!(told().await.unwrap().starts_with(b"retry: 2000\nid: "));
        assert_eq!(told().await.unwrap(), &b": nothing new\n\n"[..]);
        let tokens = send_as(
            &house,
            Some(&house.token),
            "GET",
            "/t/default/admin/v1/tokens",
            None,
        )
        .await;
        let id = tokens.body.as_array().unwrap().last().unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let revoked = send_as(
            &house,
            Some(&house.token),
            "DELETE",
            &format!("/t/default/admin/v1/tokens/{id}"),
            None,
        )
        .await;
        assert!(revoked.status.is_success(), "{revoked:?}");
        let write = async {
            for number in 0.. {
                if !busy {
                    std::future::pending::<()>().await;
                }
                user(&house, &format!("u{number}")).await;
            }
        };
        let end = async { while told().await.is_some() {} };
        let ended = async {
            tokio::select! { () = end => true, () = write => false }
        };
        assert!(
            tokio::time::timeout(Duration::from_secs(20), ended)
                .await
                .unwrap(),
            "busy: {busy}"
        );
    }
}

#[tokio::test]
async fn there_is_room_for_so_many_who_wait() {
    let house = House::with(
        Options {
            event_listeners_per_tenant_max: 0,
            ..Options::default()
        },
        TenantSettings::default(),
    )
    .await;
    let answer = send(&house, "GET", &format!("{FEED}?wait=5"), None).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (StatusCode::SERVICE_UNAVAILABLE, Some("5"))
    );
    user(&house, "ann").await;
    assert_eq!(
        feed(&house, "wait=5").await.0.len(),
        1,
        "nobody has to wait for what is there"
    );
}

async fn poller(house: &House, name: &str, secret: &str) {
    let new = NewReceiver {
        name: name.into(),
        kind: ReceiverKind::Poll,
        url: String::new(),
        settings: ReceiverSettings::default(),
        secrets: Secrets::new(Some(Secret::new(secret))),
        from_oldest: false,
        at: house.hand_now(),
    };
    house
        .store
        .add_receiver(house.tenant.id, new, entry())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn tokens_are_polled_acknowledged_and_refused() {
    let house = House::new().await;
    poller(&house, "app", "s3cret").await;
    let url = "/t/default/receivers/app/poll";
    let ids = [user(&house, "a").await, user(&house, "b").await];
    let poll = async |body: Value| {
        let answer = send_as(&house, Some("s3cret"), "POST", url, Some(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.body
    };
    let first = poll(json!({"returnImmediately": true, "maxEvents": 1})).await;
    assert_eq!(first["moreAvailable"], true);
    let (jti, token) = first["sets"].as_object().unwrap().iter().next().unwrap();
    let claims: Value = {
        let part = token.as_str().unwrap().split('.').nth(1).unwrap();
        serde_json::from_slice(
            &base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, part).unwrap(),
        )
        .unwrap()
    };
    assert_eq!(
        (claims["jti"].as_str(), claims["aud"].as_str()),
        (Some(jti.as_str()), Some("app"))
    );
    assert_eq!(claims["iss"], "https://r.example/t/default");
    assert_eq!(
        claims["sub_id"],
        json!({"format": "scim", "uri": format!("/Users/{}", ids[0]), "externalId": "E-a"})
    );
    assert!(
        claims["events"]["urn:ietf:params:scim:event:prov:create:full"]["data"]["userName"] == "a",
        "{claims}"
    );
    let second = poll(json!({"returnImmediately": true, "ack": [jti]})).await;
    assert_eq!(
        (
            second["sets"].as_object().unwrap().len(),
            &second["moreAvailable"]
        ),
        (1, &json!(false))
    );
    let other = second["sets"]
        .as_object()
        .unwrap()
        .keys()
        .next()
        .unwrap()
        .clone();
    assert_ne!(other, *jti);
    let third = poll(json!({"returnImmediately": true, "setErrs": {&other: {"err": "invalid_key", "description": "?"}}})).await;
    assert_eq!(third["sets"], json!({}));
    for (token, path) in [
        (None, url),
        (Some("wrong"), url),
        (Some("s3cret"), "/t/default/receivers/other/poll"),
        (Some("s3cret"), "/t/x/receivers/app/poll"),
    ] {
        assert_eq!(
            send_as(&house, token, "POST", path, Some(json!({})))
                .await
                .status,
            StatusCode::UNAUTHORIZED,
            "{token:?} {path}"
        );
    }
    // The token of a receiver opens nothing else.
    assert_eq!(
        send_as(&house, Some("s3cret"), "GET", FEED, None)
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn keys_are_public_and_events_are_announced() {
    let house = House::new().await;
    house
        .store
        .sign(house.tenant.id, "t", &json!({}), house.hand_now())
        .await
        .unwrap();
    let answer = send_as(
        &house,
        None,
        "GET",
        "/t/default/.well-known/jwks.json",
        None,
    )
    .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        (
            answer.text("/keys/0/alg"),
            answer.text("/keys/0/crv"),
            answer.body.pointer("/keys/0/d")
        ),
        ("ES256", "P-256", None)
    );
    // What nobody is sent is not announced.
    let config = async || send(&house, "GET", "/scim/v2/ServiceProviderConfig", None).await;
    assert!(config().await.body.get("securityEvents").is_none());
    let new = json!({"name": "app", "kind": "poll"});
    assert_eq!(
        send(&house, "POST", "/t/default/admin/v1/receivers", Some(new))
            .await
            .status,
        StatusCode::CREATED
    );
    let config = config().await;
    assert_eq!(config.text("/securityEvents/asyncRequest"), "none");
    let uris = config.body["securityEvents"]["eventUris"]
        .as_array()
        .unwrap();
    assert!(
        uris.contains(&json!("urn:ietf:params:scim:event:prov:deactivate")) && uris.len() == 11
    );
}

#[tokio::test]
async fn receivers_are_administered_and_their_secrets_shown_once() {
    let house = House::new().await;
    let base = "/t/default/admin/v1/receivers";
    let new =
        json!({"name": "app", "kind": "poll", "settings": {"attemptsMax": 1, "detail": "notice"}});
    let made = send(&house, "POST", base, Some(new.clone())).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let secret = made.text("/secret").to_owned();
    assert_eq!(
        send(&house, "POST", base, Some(new)).await.status,
        StatusCode::CONFLICT
    );
    for (wrong, path) in [
        (json!({"name": "A", "kind": "poll"}), "name"),
        (
            json!({"name": "a", "kind": "webhook", "url": "ftp://x"}),
            "url",
        ),
        (
            json!({"name": "a", "kind": "poll", "settings": {"attemptsMax": 0}}),
            "attempts",
        ),
        (json!({"name": "a", "kind": "poll", "token": "x"}), "token"),
        (
            json!({"name": "a", "kind": "push", "url": "https://example.com/a", "token": "a\nb"}),
            "token",
        ),
        (
            json!({"name": "a", "kind": "push", "url": "https://example.com/a", "token": ""}),
            "token",
        ),
    ] {
        let answer = send(&house, "POST", base, Some(wrong)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.text("/detail").contains(path), "{answer:?}");
    }
    let listed = send(&house, "GET", base, None).await;
    assert_eq!(
        (listed.text("/0/name"), listed.text("/0/settings/detail")),
        ("app", "notice")
    );
    assert!(!listed.body.to_string().contains(&secret));
    let one = format!("{base}/app");
    assert_eq!(
        send(&house, "PATCH", &one, Some(json!({"state": "paused"})))
            .await
            .text("/state"),
        "paused"
    );
    assert_eq!(
        send(&house, "PATCH", &one, Some(json!({"state": "live"})))
            .await
            .text("/state"),
        "live"
    );
    let rotated = send(&house, "POST", &format!("{one}/secret"), None)
        .await
        .text("/secret")
        .to_owned();
    user(&house, "ann").await;
    let poll = "/t/default/receivers/app/poll";
    for token in [&secret, &rotated] {
        let answer = send_as(
            &house,
            Some(token),
            "POST",
            poll,
            Some(json!({"returnImmediately": true})),
        )
        .await;
        let id = answer.body["sets"]
            .as_object()
            .unwrap()
            .keys()
            .next()
            .unwrap()
            .clone();
        let refusal = json!({"returnImmediately": true, "maxEvents": 0, "setErrs": {id: {"err": "invalid_key", "description": "no"}}});
        send_as(&house, Some(token), "POST", poll, Some(refusal)).await;
        let letters = send(&house, "GET", &format!("{one}/dead-letters"), None).await;
        assert_eq!(letters.text("/0/error"), "invalid_key: no");
        let again = send(
            &house,
            "POST",
            &format!("{one}/dead-letters/redeliver"),
            Some(json!({})),
        )
        .await;
        assert_eq!(again.body["count"], 1);
    }
    assert_eq!(
        send(
            &house,
            "POST",
            &format!("{one}/dead-letters/discard"),
            Some(json!({}))
        )
        .await
        .body["count"],
        0
    );
    let key = send(
        &house,
        "POST",
        "/t/default/admin/v1/signing-keys",
        Some(json!({"distrustOld": true})),
    )
    .await;
    let keys = send_as(
        &house,
        None,
        "GET",
        "/t/default/.well-known/jwks.json",
        None,
    )
    .await;
    assert_eq!(
        (
            keys.text("/keys/0/kid"),
            keys.body["keys"].as_array().unwrap().len()
        ),
        (key.text("/kid"), 1)
    );
    assert_eq!(
        send(&house, "DELETE", &one, None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        send(&house, "GET", &one, None).await.status,
        StatusCode::NOT_FOUND
    );
    let reader = house.issue(Permissions::of(&[Scope::Read])).await;
    assert_eq!(
        send_as(&house, Some(&reader), "GET", base, None)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn nobody_learns_from_key_sets_which_tenants_there_are() {
    let house = House::new().await;
    let make = async |name: &str| {
        house
            .tenants
            .create_tenant(name, TenantSettings::default(), house.hand_now(), entry())
            .await
            .unwrap()
            .unwrap()
    };
    make("quiet").await;
    let signs = make("signs").await;
    let real = house
        .store
        .rotate_keys(signs.id, house.hand_now(), true, entry())
        .await
        .unwrap();
    let keys = async |name: &str, token: Option<&str>| {
        send_as(
            &house,
            token,
            "GET",
            &format!("/t/{name}/.well-known/jwks.json"),
            None,
        )
        .await
    };
    let shape = |answer: &Answer| {
        // How long the body is follows from the number of keys.
        let differs = |name: &HeaderName| *name == "x-request-id" || *name == CONTENT_LENGTH;
        let headers: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| !differs(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let keys = answer.body["keys"].as_array().unwrap();
        let names: Vec<Vec<String>> = keys
            .iter()
            .map(|key| key.as_object().unwrap().keys().cloned().collect())
            .collect();
        let lengths: Vec<Vec<usize>> = keys
            .iter()
            .map(|key| {
                key.as_object()
                    .unwrap()
                    .values()
                    .map(|value| value.as_str().unwrap().len())
                    .collect()
            })
            .collect();
        (
            answer.status,
            headers,
            answer.body.as_object().unwrap().len(),
            names,
            lengths,
        )
    };
    let of_signs = keys("signs", None).await;
    assert_eq!(
        of_signs.body["keys"],
        json!([real.public]),
        "whoever signs tells the keys that verify it"
    );
    for name in ["quiet", "absent", "Not-A_name", "default"] {
        let found = keys(name, None).await;
        // Those whose keys change these days have two, as tenants that sign have.
        let expected = shape(&of_signs);
        let (status, headers, members, names, lengths) = shape(&found);
        assert_eq!(
            (status, headers, members),
            (expected.0, expected.1, expected.2),
            "{name}"
        );
        assert_eq!(
            (names.first(), lengths.first()),
            (expected.3.first(), expected.4.first()),
            "{name}"
        );
        let has_one = found.headers[CONTENT_LENGTH] == of_signs.headers[CONTENT_LENGTH];
        assert_eq!(has_one, names.len() == 1, "{name}");
        assert_eq!(
            keys(name, None).await.body,
            found.body,
            "{name}: always the same"
        );
        assert_eq!(keys(name, Some("wrong")).await.body, found.body, "{name}");
    }
    // Making a tenant changes nothing of what strangers see.
    let before = keys("later", None).await.body;
    make("later").await;
    assert_eq!(keys("later", None).await.body, before);
    assert_ne!(keys("quiet", None).await.body, before, "each has its own");
}

#[tokio::test]
async fn what_strangers_are_answered_does_not_depend_on_the_tenant() {
    let house = House::new().await;
    house
        .tenants
        .create_tenant(
            "there",
            TenantSettings::default(),
            house.hand_now(),
            entry(),
        )
        .await
        .unwrap()
        .unwrap();
    let jwt = "eyJhbGciOiJFUzI1NiJ9.e30.AAAA";
    let form = Some("grant_type=client_credentials&client_id=x&client_secret=y");
    let asked = [
        ("GET", "/t/{}/events"),
        ("GET", "/t/{}/openapi.json"),
        ("GET", "/t/{}/.well-known/oauth-authorization-server"),
        ("GET", "/.well-known/oauth-authorization-server/t/{}"),
        ("POST", "/t/{}/oauth2/token"),
        ("POST", "/t/{}/receivers/app/poll"),
        ("GET", "/t/{}/receivers/app/poll"),
        ("GET", "/t/{}/scim/v2/ServiceProviderConfig"),
        ("GET", "/t/{}/scim/v2/Users"),
        ("POST", "/t/{}/scim/v2/Bulk"),
        ("GET", "/t/{}/scim/v2/nothing"),
        ("GET", "/t/{}/admin/v1/tokens"),
        ("GET", "/t/{}/admin/v1/nothing"),
        ("PUT", "/t/{}/.well-known/jwks.json"),
        ("GET", "/t/{}"),
    ];
    for (method, pattern) in asked {
        for token in [
            None,
            Some("wrong"),
            Some("rollcall_at_AAAA.AAAA"),
            Some(jwt),
        ] {
            let answer = async |name: &str| {
                let is_form = pattern.ends_with("/token");
                let mut request = Request::builder()
                    .method(method)
                    .uri(pattern.replace("{}", name));
                request = request.header(
                    "content-type",
                    if is_form {
                        "application/x-www-form-urlencoded"
                    } else {
                        "application/json"
                    },
                );
                if let Some(token) = token {
                    request = request.header("authorization", format!("Bearer {token}"));
                }
                let body = form
                    .filter(|_| is_form)
                    .map_or_else(|| Body::from("{}"), Body::from);
                let answer = house.send(request.body(body).unwrap()).await;
                // The tag of a document is made from what it says, the tenant's name too.
                let headers: Vec<_> = answer
                    .headers
                    .iter()
                    .filter(|(name, _)| !["x-request-id", "etag"].contains(&name.as_str()))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                (
                    answer.status,
                    headers,
                    answer.body.to_string().replace(name, "NAME"),
                )
            };
            // No address is known here, so nothing counts as guessing.
            assert_eq!(
                answer("there").await,
                answer("other").await,
                "{method} {pattern} {token:?}"
            );
        }
    }
}
