//! The request log as clients and administrators meet it: what is in it, what never is, and what is only rehearsed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use directory::access::Scope;
use directory::request_log::{Draft, RequestEntry, RequestFilter};
use directory::store::Store;
use http::StatusCode;
use scim_protocol::schema::standard::{GROUP, USER};
use serde_json::{Value, json};
use server::Options;
use server::rate_limit::RateLimit;
use uuid::Uuid;

use crate::counting::{Counted, Counting};
use crate::house::{Answer, House};

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

pub(crate) async fn entries(house: &House) -> Vec<RequestEntry> {
    house.request_log.flush().await.unwrap();
    let mut entries = house
        .request_log
        .list(
            house.tenant.id,
            RequestFilter {
                limit: 1_000,
                ..RequestFilter::default()
            },
        )
        .await
        .unwrap();
    entries.reverse();
    entries
}

/// The entry that the header of an answer names.
pub(crate) async fn entry_of(house: &House, answer: &Answer) -> RequestEntry {
    house.request_log.flush().await.unwrap();
    let id = answer.header("x-request-id").unwrap().parse().unwrap();
    house
        .request_log
        .find(house.tenant.id, id)
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn what_was_adapted_is_said_in_words() {
    let house = House::new().await;
    let id = house.user("ann").await;
    let body = json!({"schemas": [PATCH], "Operations": [{"op": "Replace", "path": "active", "value": "False"}]});
    let answer = house
        .scim("PATCH", &format!("/Users/{id}"), Some(body.clone()))
        .await;
    assert_eq!(answer.body["active"], false);
    let entry = entry_of(&house, &answer).await;
    let said: Vec<&str> = entry
        .adaptations
        .iter()
        .map(|one| one.what.as_str())
        .collect();
    assert_eq!(
        said,
        [
            "accepted `Replace` for `replace`",
            "accepted `\"False\"` for `active`"
        ]
    );
    assert_eq!(
        (
            entry.path.as_str(),
            entry.resource_id.as_deref(),
            entry.status
        ),
        ("/Users/{id}", Some(id.as_str()), 200)
    );
    assert_eq!(entry.received.map(|received| received.value()), Some(body));
    assert_eq!(
        entry.understood[0]["Operations"],
        json!([{"op": "replace", "path": "active", "value": false}])
    );
    assert_eq!(
        (
            entry.changes.len(),
            entry.changes[0].version,
            entry.profile.as_deref()
        ),
        (1, 2, Some("standard"))
    );
    // What nothing was adapted in says so.
    let plain = entry_of(
        &house,
        &house.scim("GET", &format!("/Users/{id}"), None).await,
    )
    .await;
    assert!(
        plain.adaptations.is_empty()
            && plain.understood.is_empty()
            && plain.changes.is_empty()
            && plain.received.is_none()
    );
    let made = json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": "emails[type eq \"work\"].value", "value": "a@x"}]});
    let entry = entry_of(
        &house,
        &house
            .scim("PATCH", &format!("/Users/{id}"), Some(made))
            .await,
    )
    .await;
    assert_eq!(
        entry.adaptations[0].what,
        "made the element that `emails[type eq \"work\"].value` describes"
    );
}

#[tokio::test]
async fn rejected_requests_are_there_too() {
    let house = House::new().await;
    house.user("ann").await;
    let twin = house
        .scim(
            "POST",
            "/Users",
            Some(json!({"schemas": [USER], "userName": "ANN"})),
        )
        .await;
    let entry = entry_of(&house, &twin).await;
    assert_eq!(
        (entry.status, entry.scim_type.as_deref()),
        (409, Some("uniqueness"))
    );
    assert_eq!(entry.detail.as_deref(), Some(twin.text("/detail")));
    let nowhere = entry_of(&house, &house.scim("GET", "/Pets/s3cr3t", None).await).await;
    assert_eq!((nowhere.status, nowhere.path.as_str()), (404, "/Pets/…"));
    let wrong = entry_of(
        &house,
        &house
            .call("wrong", "GET", "/scim/v2/Users?filter=x", &[], None)
            .await,
    )
    .await;
    assert_eq!((wrong.status, wrong.credential), (401, None));
    let method = entry_of(&house, &house.scim("DELETE", "/Users", None).await).await;
    assert_eq!(method.status, 405);
}

#[tokio::test]
async fn who_is_known_and_refused_all_the_same_is_named() {
    let rate_limit = Some(RateLimit {
        per_second: 1,
        burst: 1,
    });
    let house = House::with(
        Options {
            rate_limit,
            ..Options::default()
        },
        house_settings(),
    )
    .await;
    let first = entry_of(&house, &house.scim("GET", "/Users", None).await).await;
    let limited = house.scim("GET", "/Users", None).await;
    let entry = entry_of(&house, &limited).await;
    assert_eq!(
        (limited.status, entry.status, &entry.credential),
        (StatusCode::TOO_MANY_REQUESTS, 429, &first.credential)
    );
    assert!(entry.credential.is_some());
}

#[tokio::test]
async fn guessing_does_not_fill_the_log() {
    let house = House::with(
        Options {
            request_log_strangers_per_minute_max: 5,
            ..Options::default()
        },
        house_settings(),
    )
    .await;
    for number in 0..40 {
        house
            .call(
                &format!("guess-{number}"),
                "GET",
                "/scim/v2/Users",
                &[],
                None,
            )
            .await;
        house
            .call(
                "guess",
                "GET",
                &format!("/t/nobody-{number}/scim/v2/Users"),
                &[],
                None,
            )
            .await;
    }
    assert_eq!(entries(&house).await.len(), 5);
    house.wait(60);
    house
        .call("guess", "GET", "/scim/v2/Users", &[], None)
        .await;
    assert_eq!(entries(&house).await.len(), 6);
}

fn house_settings() -> directory::tenant::TenantSettings {
    directory::tenant::TenantSettings::default()
}

#[tokio::test]
async fn a_tenant_may_want_no_log() {
    let house = House::with(
        Options::default(),
        directory::tenant::TenantSettings {
            request_log_days: 0,
            ..house_settings()
        },
    )
    .await;
    house.user("ann").await;
    house
        .call("wrong", "GET", "/scim/v2/Users", &[], None)
        .await;
    assert!(entries(&house).await.is_empty());
}

/// Secrets in every place that a request has; none may be found in the log, in an error, or in `Debug`.
#[tokio::test]
async fn no_secret_is_kept_anywhere() {
    let house = House::new().await;
    let id = house.user("ann").await;
    let secret = "s3cr3t";
    let mut answers = Vec::new();
    let bodies = [
        (
            "POST",
            "/Users".to_owned(),
            json!({"schemas": [USER], "userName": "bob", "password": secret, "apiKey": secret, "name": {"pin": secret}}),
        ),
        (
            "POST",
            "/Users".to_owned(),
            json!({"schemas": [USER], "userName": "carl", "password": {"value": secret}}),
        ),
        (
            "POST",
            "/Users".to_owned(),
            json!({"schemas": [USER], "password": [secret, secret]}),
        ),
        (
            "PUT",
            format!("/Users/{id}"),
            json!({"schemas": [USER], "userName": "ann", "password": 73_325_937, "token": [secret]}),
        ),
        (
            "PATCH",
            format!("/Users/{id}"),
            json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "password", "value": secret}]}),
        ),
        (
            "PATCH",
            format!("/Users/{id}"),
            json!({"schemas": [PATCH], "Operations": [{"op": "Add", "value": {"password": secret, "shoe": secret}}]}),
        ),
        (
            "PATCH",
            format!("/Users/{id}"),
            json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": "pin", "value": secret}]}),
        ),
        (
            "PATCH",
            format!("/Users/{id}"),
            json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": "password", "value": {"a": secret}}], "x": secret}),
        ),
        (
            "POST",
            "/Bulk".to_owned(),
            json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"schemas": [USER], "userName": "dora", "password": secret, "k": secret}}]}),
        ),
        (
            "POST",
            "/Users/.search".to_owned(),
            json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
            "filter": format!("password eq \"{secret}\""), "hint": secret}),
        ),
    ];
    for (method, path, body) in bodies {
        answers.push(house.scim(method, &path, Some(body)).await);
    }
    answers.push(
        house
            .scim(
                "GET",
                &format!("/Users?access_token={secret}&filter=password%20eq%20%22{secret}%22"),
                None,
            )
            .await,
    );
    answers.push(
        house
            .scim(
                "GET",
                &format!("/Users?filter=pin%20eq%20%22{secret}%22&cursor={secret}"),
                None,
            )
            .await,
    );
    answers.push(
        house
            .call(
                secret,
                "GET",
                "/scim/v2/Users",
                &[("x-api-key", secret), ("cookie", secret)],
                None,
            )
            .await,
    );
    let log = entries(&house).await;
    assert!(log.len() >= answers.len(), "each is written down");
    for entry in &log {
        let texts = [serde_json::to_string(entry).unwrap(), format!("{entry:?}")];
        for text in texts {
            assert!(
                !text.contains(secret) && !text.contains("73325937"),
                "{text}"
            );
            assert!(!text.contains(&house.token), "{text}");
        }
    }
    for answer in answers {
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert!(
            !detail.contains(secret) && !detail.contains("73325937"),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn large_bodies_are_not_kept() {
    let house = House::with(
        Options {
            request_log_body_bytes_max: 200,
            ..Options::default()
        },
        house_settings(),
    )
    .await;
    let body =
        json!({"schemas": [USER], "userName": "ann", "title": "t".repeat(500), "active": "True"});
    let entry = entry_of(
        &house,
        &house.scim("POST", "/Users", Some(body.clone())).await,
    )
    .await;
    assert_eq!(
        (entry.received, entry.understood.len(), entry.body_bytes),
        (None, 0, body.to_string().len() as u64)
    );
    assert_eq!(entry.adaptations.len(), 1);
}

async fn dry(house: &House, method: &str, path: &str, body: Option<Value>) -> Answer {
    let prefer = [("prefer", "handling=dry-run")];
    house
        .call(
            &house.token,
            method,
            &format!("/scim/v2{path}"),
            &prefer,
            body,
        )
        .await
}

#[tokio::test]
async fn a_dry_run_answers_like_the_write_and_changes_nothing() {
    let house = House::new().await;
    let id = house.user("ann").await;
    let group = json!({"schemas": [GROUP], "displayName": "team", "members": [{"value": id}]});
    let team = house
        .scim("POST", "/Groups", Some(group))
        .await
        .text("/id")
        .to_owned();
    let before = house.scim("GET", "/Users", None).await.body;
    let rename = json!({"schemas": [PATCH], "Operations": [{"op": "Replace", "path": "displayName", "value": "Ann"}]});
    let out = json!({"schemas": [PATCH], "Operations": [{"op": "remove", "path": "members"}]});
    let cases = [
        (
            "POST",
            "/Users".to_owned(),
            Some(json!({"schemas": [USER], "userName": "bob"})),
            201,
        ),
        (
            "POST",
            "/Users".to_owned(),
            Some(json!({"schemas": [USER], "userName": "ANN"})),
            409,
        ),
        (
            "POST",
            "/Users".to_owned(),
            Some(json!({"schemas": [USER]})),
            400,
        ),
        (
            "POST",
            "/Groups".to_owned(),
            Some(json!({"schemas": [GROUP], "displayName": "g", "members": [{"value": "nobody"}]})),
            400,
        ),
        (
            "PUT",
            format!("/Users/{id}"),
            Some(json!({"schemas": [USER], "userName": "anna"})),
            200,
        ),
        ("PATCH", format!("/Users/{id}"), Some(rename), 200),
        ("PATCH", format!("/Groups/{team}"), Some(out), 200),
        ("DELETE", format!("/Users/{id}"), None, 204),
        ("DELETE", "/Users/nobody".to_owned(), None, 404),
    ];
    let known = [("/Users", "bob"), ("/Users", "anna")];
    for (method, path, body, status) in cases {
        let answer = dry(&house, method, &path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path} {answer:?}");
        assert_eq!(
            answer.header("preference-applied"),
            Some("handling=dry-run"),
            "{method} {path}"
        );
        assert_eq!(
            house.scim("GET", "/Users", None).await.body,
            before,
            "{method} {path}"
        );
        let members = house
            .scim("GET", &format!("/Groups/{team}"), None)
            .await
            .body["members"]
            .as_array()
            .map(Vec::len);
        assert_eq!(members, Some(1), "{method} {path}");
        let entry = entry_of(&house, &answer).await;
        assert!(entry.dry_run, "{method} {path}");
    }
    for (endpoint, name) in known {
        let found = house
            .scim(
                "GET",
                &format!("{endpoint}?filter=userName%20eq%20%22{name}%22"),
                None,
            )
            .await;
        assert_eq!(found.body["totalResults"], 0);
    }
    // Reads have nothing to rehearse.
    assert_eq!(
        dry(&house, "GET", &format!("/Users/{id}"), None)
            .await
            .header("preference-applied"),
        None
    );
    // The headers of the answer are those that the write would have had.
    let body = json!({"schemas": [USER], "userName": "zoe"});
    let rehearsed = dry(&house, "POST", "/Users", Some(body.clone())).await;
    assert!(
        rehearsed.header("etag").is_some()
            && rehearsed
                .header("location")
                .is_some_and(|location| location.contains("/Users/"))
    );
    let stale = house
        .call(
            &house.token,
            "PUT",
            &format!("/scim/v2/Users/{id}"),
            &[("prefer", "handling=dry-run"), ("if-match", "W/\"9\"")],
            Some(body),
        )
        .await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn a_whole_bulk_is_rehearsed_as_one() {
    let house = House::with(
        Options {
            bulk_operations_max: 3,
            ..Options::default()
        },
        house_settings(),
    )
    .await;
    let bulk = |operations: Value| json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations});
    let operations = json!([
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"schemas": [GROUP], "displayName": "g", "members": [{"value": "bulkId:u"}]}},
        {"method": "POST", "path": "/Users", "bulkId": "u", "data": {"schemas": [USER], "userName": "ann"}},
        {"method": "POST", "path": "/Users", "bulkId": "v", "data": {"schemas": [USER], "userName": "ANN"}},
    ]);
    let answer = dry(&house, "POST", "/Bulk", Some(bulk(operations.clone()))).await;
    let statuses: Vec<&str> = answer.body["Operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["201", "201", "409"]);
    for endpoint in ["/Users", "/Groups"] {
        assert_eq!(
            house.scim("GET", endpoint, None).await.body["totalResults"],
            0
        );
    }
    let many: Vec<Value> = (0..4)
        .map(|n| json!({"method": "DELETE", "path": format!("/Users/{n}")}))
        .collect();
    assert_eq!(
        dry(&house, "POST", "/Bulk", Some(bulk(many.into())))
            .await
            .status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test]
async fn what_is_all_or_nothing_is_rehearsed_at_any_size_and_answered_as_when_it_is_done() {
    let house = House::with(Options::default(), house_settings()).await;
    let ann = house.user("ann").await;
    let mut operations: Vec<Value> = (0..120)
        .map(|n| {
            json!({"method": "POST", "path": "/Users", "bulkId": format!("u{n}"), "data": {"schemas": [USER], "userName": format!("user{n}")}})
        })
        .collect();
    let add = json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": "members", "value": [{"value": ann}, {"value": "bulkId:u7"}]}]});
    operations.extend([
        json!({"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"schemas": [GROUP], "displayName": "g"}}),
        json!({"method": "PATCH", "path": "/Groups/bulkId:g", "data": add}),
        json!({"method": "DELETE", "path": "/Users/bulkId:u8"}),
        json!({"method": "PUT", "path": format!("/Users/{ann}"), "data": {"schemas": [USER], "userName": "anna"}}),
    ]);
    let body = |operations: &[Value]| {
        Some(
            json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "atomic": true, "Operations": operations}),
        )
    };
    // Ids of what would be made are not reserved.
    let said = |answer: &Answer| -> Vec<Value> {
        let one = |one: &Value| {
            json!([
                one["method"],
                one["bulkId"],
                one["version"],
                one["status"],
                one["response"]
            ])
        };
        answer.body["Operations"]
            .as_array()
            .unwrap()
            .iter()
            .map(one)
            .collect()
    };
    let twin = json!({"method": "POST", "path": "/Users", "bulkId": "twin", "data": {"schemas": [USER], "userName": "ANNA"}});
    let refused: Vec<Value> = operations.iter().cloned().chain([twin]).collect();
    for (operations, status) in [(refused, "409"), (operations, "201")] {
        let rehearsed = dry(&house, "POST", "/Bulk", body(&operations)).await;
        assert_eq!(
            rehearsed.header("preference-applied"),
            Some("handling=dry-run")
        );
        assert_eq!(
            house.scim("GET", "/Users", None).await.body["totalResults"],
            1
        );
        assert_eq!(
            house
                .scim("GET", &format!("/Users/{ann}"), None)
                .await
                .text("/meta/version"),
            "W/\"1\""
        );
        let done = house.scim("POST", "/Bulk", body(&operations)).await;
        assert_eq!(said(&rehearsed), said(&done));
        assert_eq!(said(&done)[0][3], status);
    }
}

#[tokio::test]
async fn a_bulk_is_rehearsed_at_any_size_that_is_announced() {
    let house = House::with(Options::default(), house_settings()).await;
    let announced =
        house.scim("GET", "/ServiceProviderConfig", None).await.body["bulk"]["maxOperations"]
            .as_u64()
            .unwrap();
    assert_eq!(announced, 1_000);
    let create = |n: usize| json!({"method": "POST", "path": "/Users", "bulkId": format!("u{n}"), "data": {"schemas": [USER], "userName": format!("user{n}")}});
    let operations: Vec<Value> = (0..1_000).map(create).collect();
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations});
    let statuses = |answer: &Answer| -> Vec<String> {
        answer.body["Operations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["status"].as_str().unwrap().to_owned())
            .collect()
    };
    let rehearsed = dry(&house, "POST", "/Bulk", Some(body.clone())).await;
    assert_eq!(
        (rehearsed.header("preference-applied"), statuses(&rehearsed)),
        (Some("handling=dry-run"), vec!["201".to_owned(); 1_000])
    );
    assert_eq!(
        house.scim("GET", "/Users", None).await.body["totalResults"],
        0
    );
    assert_eq!(
        statuses(&house.scim("POST", "/Bulk", Some(body.clone())).await),
        vec!["201"; 1_000]
    );
    // Now each of them is taken.
    assert_eq!(
        statuses(&dry(&house, "POST", "/Bulk", Some(body)).await),
        vec!["409"; 1_000]
    );
    assert_eq!(
        house.scim("GET", "/Users", None).await.body["totalResults"],
        1_000
    );
}

#[tokio::test]
async fn twice_as_many_operations_are_rehearsed_with_twice_the_work() {
    let counted = Arc::new(Counted::default());
    let counting = |store| {
        Arc::new(Counting {
            store,
            counted: counted.clone(),
        }) as Arc<dyn Store>
    };
    let house = House::over(Options::default(), house_settings(), counting).await;
    let ann = house.user("ann").await;
    let asked = async |operations: usize| {
        counted.rehearsed.store(0, Ordering::Relaxed);
        let patch = |n: usize| json!({"method": "PATCH", "path": format!("/Users/{ann}"), "data": {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "title", "value": n.to_string()}]}});
        let patches: Vec<Value> = (0..operations).map(patch).collect();
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": patches});
        let answer = dry(&house, "POST", "/Bulk", Some(body)).await;
        // Each was carried out on what those before it left.
        assert_eq!(
            answer.text(&format!("/Operations/{}/version", operations - 1)),
            format!("W/\"{}\"", operations + 1)
        );
        counted.rehearsed.load(Ordering::Relaxed)
    };
    // Each is read and committed; the first is read where nothing was rehearsed yet.
    assert_eq!((asked(100).await, asked(200).await), (199, 399));
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{ann}"), None)
            .await
            .text("/meta/version"),
        "W/\"1\""
    );
}

#[tokio::test]
async fn administrators_read_the_log() {
    let house = House::new().await;
    let id = house.user("ann").await;
    let body = json!({"schemas": [PATCH], "Operations": [{"op": "Replace", "path": "active", "value": false}]});
    let patched = house
        .scim("PATCH", &format!("/Users/{id}"), Some(body))
        .await;
    let request = patched.header("x-request-id").unwrap().to_owned();
    let admin = async |token: &str, path: &str| {
        house
            .call(
                token,
                "GET",
                &format!("/t/default/admin/v1{path}"),
                &[],
                None,
            )
            .await
    };
    let list = admin(&house.token, "/requests?quirk=op-case").await;
    assert_eq!(
        (
            list.body["requests"].as_array().map(Vec::len),
            list.body["dropped"].as_u64()
        ),
        (Some(1), Some(0))
    );
    assert_eq!(list.body["requests"][0]["id"], request.as_str());
    let one = admin(&house.token, &format!("/requests/{request}")).await;
    assert_eq!(
        one.body["adaptations"][0]["what"],
        "accepted `Replace` for `replace`"
    );
    assert_eq!(
        admin(&house.token, "/requests/none").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        admin(&house.token, "/requests?status=x").await.status,
        StatusCode::BAD_REQUEST
    );
    let quirks = admin(&house.token, "/quirks").await;
    assert_eq!(
        (
            quirks.body["uses"][0]["quirk"].as_str(),
            quirks.body["uses"][0]["requests"].as_u64()
        ),
        (Some("op-case"), Some(1))
    );
    let unused = quirks.body["neverUsed"].as_array().unwrap();
    assert!(unused.contains(&"path-keys".into()) && !unused.contains(&"op-case".into()));
    let narrow = house.narrow(&[Scope::Read, Scope::Write], None).await;
    assert_eq!(
        admin(&narrow, "/requests").await.status,
        StatusCode::FORBIDDEN
    );
}

/// The log is full of entries that the test itself sends, so that those of requests find no room.
#[tokio::test]
async fn requests_are_answered_although_their_entries_find_no_room_and_administrators_see_how_many_did_not()
 {
    let house = House::with(
        Options {
            rate_limit: None,
            ..Options::default()
        },
        house_settings(),
    )
    .await;
    let id = house.user("ann").await;
    let model = entries(&house).await.remove(0);
    let mut numbers = 1_u128..;
    let mut fill = || {
        let dropped = house.request_log.dropped();
        while house.request_log.dropped() == dropped {
            let entry = RequestEntry {
                id: Uuid::from_u128(numbers.next().unwrap()),
                ..model.clone()
            };
            house.request_log.record(Draft {
                tenant: house.tenant.id,
                entry,
                body: None,
                query: Vec::new(),
                types: Vec::new(),
            });
        }
    };
    let mut without_entry = None;
    for _ in 0..1_000 {
        fill();
        let dropped = house.request_log.dropped();
        let answer = house.scim("GET", &format!("/Users/{id}"), None).await;
        assert_eq!(
            (answer.status, answer.text("/userName")),
            (StatusCode::OK, "ann")
        );
        // Otherwise the log has written some in between.
        if house.request_log.dropped() > dropped {
            without_entry = answer.header("x-request-id").map(str::to_owned);
            break;
        }
    }
    let without_entry = without_entry.expect("the log is slower than the test");
    fill();
    let made = house
        .scim(
            "POST",
            "/Users",
            Some(json!({"schemas": [USER], "userName": "bob"})),
        )
        .await;
    assert_eq!(
        made.status,
        StatusCode::CREATED,
        "writes are not refused either"
    );
    let admin = async |path: &str| {
        house
            .call(
                &house.token,
                "GET",
                &format!("/t/default/admin/v1{path}"),
                &[],
                None,
            )
            .await
    };
    let list = admin("/requests?limit=1").await;
    assert_eq!(list.body["dropped"], house.request_log.dropped());
    assert!(list.body["dropped"].as_u64() > Some(2), "{list:?}");
    assert_eq!(
        admin(&format!("/requests/{without_entry}")).await.status,
        StatusCode::NOT_FOUND
    );
    // There is room again, and nothing more is dropped.
    let later = house.scim("GET", &format!("/Users/{id}"), None).await;
    assert_eq!(entry_of(&house, &later).await.status, 200);
    assert_eq!(
        admin("/requests?limit=1").await.body["dropped"],
        list.body["dropped"]
    );
}
