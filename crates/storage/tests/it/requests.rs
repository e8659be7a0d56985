//! The request log: what is recorded is found again, narrowed, counted, pruned, and each tenant's own.

use std::sync::Arc;

use directory::journal::{Learned, Touched};
use directory::request_log::{
    BodyKind, Draft, Kept, QuirkUse, Received, RequestEntry, RequestFilter,
};
use directory::tenant::TenantId;
use jiff::Timestamp;
use scim_protocol::quirk::{Adaptation, Quirk};
use scim_protocol::{SchemaSet, TypeSchema};
use serde_json::json;
use uuid::Uuid;

use crate::place::{Place, on_both_engines};

on_both_engines!(
    entries_are_found_again,
    entries_are_narrowed_newest_first,
    uses_of_quirks_are_counted,
    old_and_many_are_pruned,
    large_logs_are_pruned,
    what_finds_no_room_is_dropped_and_counted,
    what_cannot_be_written_is_counted_too,
    tenants_are_apart
);

const ACME: TenantId = TenantId(1);

fn user() -> Arc<TypeSchema> {
    SchemaSet::standard().by_name("User").unwrap().clone()
}

fn draft(tenant: TenantId, number: u64, status: u16, quirks: &[Quirk]) -> Draft {
    let entry = RequestEntry {
        id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number)),
        at: Timestamp::from_second(1_700_000_000 + i64::try_from(number).unwrap()).unwrap(),
        method: "PATCH".into(),
        path: "/Users/{id}".into(),
        resource_type: Some("User".into()),
        resource_id: Some(format!("u{}\0", number % 2)),
        query: Vec::new(),
        credential: Some(format!("c{}", number % 3)),
        profile: Some("entra".into()),
        peer: Some("192.0.2.1".into()),
        user_agent: Some("agent".into()),
        status,
        scim_type: (status == 409).then(|| "uniqueness".into()),
        detail: (status >= 400).then(|| "no".into()),
        duration_micros: 7,
        dry_run: false,
        body_bytes: 20,
        received: None,
        understood: Vec::new(),
        adaptations: Vec::new(),
        changes: Vec::new(),
    };
    let body = json!({"password": "s3cr3t", "userName": "ann\0"})
        .to_string()
        .into_bytes();
    let query = vec![
        ("filter".to_owned(), "userName eq \"a\"".to_owned()),
        ("access_token".to_owned(), "s3cr3t".to_owned()),
    ];
    let mut draft = Draft {
        tenant,
        entry,
        body: Some((body, BodyKind::Resource(user()))),
        query,
        types: vec![user()],
    };
    let adaptation = |quirk: &Quirk| Adaptation {
        quirk: *quirk,
        path: "active".into(),
        what: "in words".into(),
        times: 1,
    };
    draft.learn(Learned {
        adaptations: quirks.iter().map(adaptation).collect(),
        understood: vec![json!({"active": true})],
        changes: vec![Touched {
            resource_type: "User".into(),
            id: "u".into(),
            version: 2,
        }],
    });
    draft
}

async fn entries_are_found_again(place: Place) {
    let log = place.request_log().await;
    let one = draft(ACME, 1, 409, &[Quirk::OpCase]);
    log.record(one.clone());
    log.flush().await.unwrap();
    let (_, wanted) = one.finish();
    let found = log.find(ACME, wanted.id).await.unwrap().unwrap();
    assert_eq!(found, wanted);
    assert_eq!(
        found.received.as_ref().map(Received::value),
        Some(json!({"password": "***", "userName": "ann\0"}))
    );
    assert_eq!(
        found.query,
        [
            ("filter".to_owned(), "userName eq \"a\"".to_owned()),
            ("access_token".to_owned(), "***".to_owned())
        ]
    );
    assert!(!format!("{found:?}").contains("s3cr3t"));
    assert_eq!(log.find(ACME, Uuid::nil()).await.unwrap(), None);
    assert_eq!(log.dropped(), 0);
    // Another process sees the same.
    assert_eq!(
        place
            .request_log()
            .await
            .find(ACME, wanted.id)
            .await
            .unwrap(),
        Some(wanted)
    );
}

async fn entries_are_narrowed_newest_first(place: Place) {
    let log = place.request_log().await;
    for number in 0..1_200 {
        let (status, quirks): (u16, &[Quirk]) = if number % 4 == 0 {
            (400, &[Quirk::PathKeys])
        } else {
            (200, &[])
        };
        log.record(draft(ACME, number, status, quirks));
    }
    log.flush().await.unwrap();
    let numbers = async |filter: RequestFilter| {
        let entries = log.list(ACME, filter).await.unwrap();
        entries
            .iter()
            .map(|entry| u64::try_from(entry.at.as_second() - 1_700_000_000).unwrap())
            .collect::<Vec<u64>>()
    };
    let filter = RequestFilter {
        limit: 3,
        ..RequestFilter::default()
    };
    assert_eq!(numbers(filter.clone()).await, [1_199, 1_198, 1_197]);
    let before = draft(ACME, 1_197, 200, &[]).entry.id;
    assert_eq!(
        numbers(RequestFilter {
            before: Some(before),
            ..filter.clone()
        })
        .await,
        [1_196, 1_195, 1_194]
    );
    assert_eq!(
        numbers(RequestFilter {
            status_min: 400,
            status_max: 499,
            ..filter.clone()
        })
        .await,
        [1_196, 1_192, 1_188]
    );
    assert_eq!(
        numbers(RequestFilter {
            quirk: Some(Quirk::PathKeys),
            ..filter.clone()
        })
        .await,
        [1_196, 1_192, 1_188]
    );
    assert!(
        numbers(RequestFilter {
            quirk: Some(Quirk::OpCase),
            ..filter.clone()
        })
        .await
        .is_empty()
    );
    assert_eq!(
        numbers(RequestFilter {
            resource_id: Some("u1\0".into()),
            ..filter.clone()
        })
        .await,
        [1_199, 1_197, 1_195]
    );
    assert_eq!(
        numbers(RequestFilter {
            credential: Some("c0".into()),
            ..filter.clone()
        })
        .await,
        [1_197, 1_194, 1_191]
    );
    let since = Timestamp::from_second(1_700_000_000 + 1_198).unwrap();
    assert_eq!(
        numbers(RequestFilter {
            since: Some(since),
            ..filter
        })
        .await,
        [1_199, 1_198]
    );
}

async fn uses_of_quirks_are_counted(place: Place) {
    let log = place.request_log().await;
    for number in 0..6 {
        log.record(draft(ACME, number, 200, &[Quirk::OpCase, Quirk::OpCase]));
    }
    log.record(draft(ACME, 6, 200, &[Quirk::PathKeys]));
    log.flush().await.unwrap();
    log.record(draft(ACME, 7, 200, &[Quirk::OpCase]));
    log.flush().await.unwrap();
    let at = |number: i64| Timestamp::from_second(1_700_000_000 + number).unwrap();
    let expected = |quirk: &str, credential: &str, requests, last| QuirkUse {
        quirk: quirk.into(),
        credential: credential.into(),
        requests,
        last_used: at(last),
    };
    let uses = log.quirk_uses(ACME).await.unwrap();
    let wanted = [
        expected("op-case", "c1", 3, 7),
        expected("op-case", "c0", 2, 3),
        expected("op-case", "c2", 2, 5),
        expected("path-keys", "c0", 1, 6),
    ];
    assert_eq!(uses, wanted);
}

async fn old_and_many_are_pruned(place: Place) {
    let log = place.request_log().await;
    for number in 0..700 {
        log.record(draft(ACME, number, 200, &[]));
    }
    log.record(draft(TenantId(2), 1, 200, &[]));
    log.flush().await.unwrap();
    let before = Timestamp::from_second(1_700_000_000 + 600).unwrap();
    let kept = |rows_max, bytes_max| Kept {
        since: before,
        rows_max,
        bytes_max,
    };
    let all = u64::MAX;
    assert_eq!(log.prune(ACME, kept(1_000, all)).await.unwrap(), 600);
    assert_eq!(log.prune(ACME, kept(30, all)).await.unwrap(), 70);
    let all = RequestFilter {
        limit: 1_000,
        ..RequestFilter::default()
    };
    let left = log.list(ACME, all.clone()).await.unwrap();
    assert_eq!((left.len(), left[29].at.as_second()), (30, 1_700_000_670));
    assert_eq!(log.list(TenantId(2), all).await.unwrap().len(), 1);
}

async fn large_logs_are_pruned(place: Place) {
    let log = place.request_log().await;
    for number in 0..20 {
        log.record(draft(ACME, number, 200, &[]));
    }
    log.record(draft(TenantId(2), 1, 200, &[]));
    log.flush().await.unwrap();
    let bytes = place
        .request_log_number("SELECT sum(octet_length(document)) FROM requests WHERE tenant = 1 AND at >= 1700000012000000")
        .await;
    let kept = |bytes_max: i64| Kept {
        since: Timestamp::from_second(1_700_000_000).unwrap(),
        rows_max: u64::MAX,
        bytes_max: u64::try_from(bytes_max).unwrap(),
    };
    assert_eq!(log.prune(ACME, kept(bytes)).await.unwrap(), 12);
    assert_eq!(log.prune(ACME, kept(bytes)).await.unwrap(), 0);
    assert_eq!(
        log.prune(ACME, kept(bytes - 1)).await.unwrap(),
        1,
        "the oldest goes first"
    );
    let all = RequestFilter {
        limit: 1_000,
        ..RequestFilter::default()
    };
    let left = log.list(ACME, all.clone()).await.unwrap();
    assert_eq!((left.len(), left[6].at.as_second()), (7, 1_700_000_013));
    assert_eq!(log.list(TenantId(2), all).await.unwrap().len(), 1);
}

/// Many that differ in nothing but their number, without a body.
fn drafts(count: u64) -> impl Iterator<Item = Draft> {
    let model = Draft {
        body: None,
        ..draft(ACME, 0, 200, &[])
    };
    (0..count).map(move |number| {
        let mut draft = model.clone();
        draft.entry.id = Uuid::from_u128(model.entry.id.as_u128() + u128::from(number));
        draft.entry.at =
            Timestamp::from_second(1_700_000_000 + i64::try_from(number).unwrap()).unwrap();
        draft
    })
}

/// Somebody keeps the table to themselves while more comes than can wait.
async fn what_finds_no_room_is_dropped_and_counted(place: Place) {
    // What may wait, and what the log has in its hand at a time.
    let (waiting, batch) = (8_192, 512);
    let sent = waiting + batch + 1_000;
    let log = place.request_log().await;
    // Made before: SQLite waits only so long for somebody else.
    let drafts: Vec<Draft> = drafts(sent).collect();
    let held = place.hold_request_log().await;
    for draft in drafts {
        log.record(draft);
    }
    assert!(
        (sent - waiting - batch..=sent - waiting).contains(&log.dropped()),
        "{}",
        log.dropped()
    );
    drop(held);
    log.flush().await.unwrap();
    let dropped = log.dropped();
    let all = RequestFilter {
        limit: 20_000,
        ..RequestFilter::default()
    };
    let kept = log.list(ACME, all.clone()).await.unwrap();
    assert_eq!(kept.len() as u64 + dropped, sent, "each is kept or counted");
    assert_eq!(
        kept.last().unwrap().at.as_second(),
        1_700_000_000,
        "those that came first are kept"
    );
    // There is room again.
    log.record(draft(ACME, sent, 200, &[]));
    log.flush().await.unwrap();
    assert_eq!(
        (log.list(ACME, all).await.unwrap().len(), log.dropped()),
        (kept.len() + 1, dropped)
    );
    // What others have dropped is theirs.
    assert_eq!(place.request_log().await.dropped(), 0);
}

async fn what_cannot_be_written_is_counted_too(place: Place) {
    let log = place.request_log().await;
    log.record(draft(ACME, 0, 200, &[]));
    log.flush().await.unwrap();
    place
        .execute_on_request_log("ALTER TABLE requests RENAME TO hidden")
        .await;
    for number in 1..=3 {
        log.record(draft(ACME, number, 200, &[]));
    }
    log.flush().await.unwrap();
    assert_eq!(log.dropped(), 3);
    place
        .execute_on_request_log("ALTER TABLE hidden RENAME TO requests")
        .await;
    log.record(draft(ACME, 4, 200, &[]));
    log.flush().await.unwrap();
    let numbers: Vec<i64> = log
        .list(ACME, RequestFilter::default())
        .await
        .unwrap()
        .iter()
        .map(|entry| entry.at.as_second())
        .collect();
    assert_eq!(
        (numbers, log.dropped()),
        (vec![1_700_000_004, 1_700_000_000], 3)
    );
}

async fn tenants_are_apart(place: Place) {
    let log = place.request_log().await;
    let (ours, theirs) = (
        draft(ACME, 1, 200, &[Quirk::OpCase]),
        draft(TenantId(2), 2, 200, &[Quirk::OpCase]),
    );
    let id = theirs.entry.id;
    log.record(ours);
    log.record(theirs);
    log.flush().await.unwrap();
    assert_eq!(log.find(ACME, id).await.unwrap(), None);
    assert_eq!(
        log.list(ACME, RequestFilter::default())
            .await
            .unwrap()
            .len(),
        1
    );
    log.erase(ACME).await.unwrap();
    assert!(
        log.list(ACME, RequestFilter::default())
            .await
            .unwrap()
            .is_empty()
            && log.quirk_uses(ACME).await.unwrap().is_empty()
    );
    assert!(
        log.find(TenantId(2), id).await.unwrap().is_some()
            && log.quirk_uses(TenantId(2)).await.unwrap().len() == 1
    );
}
