//! `ProvisioningLog`: lines are written once, and kept so long.

use std::sync::Arc;

use provisioning::application::{Application, ApplicationId};
use provisioning::ledger::{Record, Written};
use provisioning::provisioning_log::{Forget, LogEntry};

use crate::applications::{add, at};
use crate::ledger::{due, link, log_entry, mark, pair, record, start};
use crate::place::{Place, World, entry, on_both_engines};

on_both_engines!(
    lines_are_written_with_their_link,
    a_removed_application_has_no_lines,
    old_lines_are_forgotten,
    more_lines_than_are_kept_are_forgotten
);

/// A line for each of these seconds.
async fn write(
    world: &World,
    application: &Application,
    id: &str,
    seconds: impl Iterator<Item = i64>,
) {
    let lines = seconds
        .map(|second| log_entry(id, "done", second))
        .collect();
    world
        .opened
        .ledger
        .write_lines(world.tenant.id, application.id, lines)
        .await
        .unwrap();
}

async fn seconds(world: &World, application: &Application) -> Vec<i64> {
    let lines: Vec<LogEntry> = world
        .opened
        .ledger
        .read_log(world.tenant.id, Some(application.id), None, 100)
        .await
        .unwrap();
    lines
        .iter()
        .rev()
        .map(|line| line.at.as_second() - at(0).as_second())
        .collect()
}

async fn forget(world: &World, application: ApplicationId, forget: Forget) -> u64 {
    world
        .opened
        .ledger
        .shorten_log(world.tenant.id, application, forget)
        .await
        .unwrap()
}

async fn lines_are_written_with_their_link(place: Place) {
    let (world, wiki) = start(&place).await;
    let ledger = &world.opened.ledger;
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    let claim = due(&world, 1).await.remove(0);
    let lines = vec![log_entry("ann", "retry", 1), log_entry("ann", "done", 2)];
    assert_eq!(
        ledger
            .write_link(&claim, link(&claim, Some("r1")), lines)
            .await
            .unwrap(),
        Written::Written
    );
    assert_eq!(seconds(&world, &wiki).await, [1, 2]);
    ledger
        .write_lines(world.tenant.id, wiki.id, vec![log_entry("ann", "done", 3)])
        .await
        .unwrap();
    // Whoever has lost the lease adds what it sent, and nothing of it twice.
    let later = due(&world, 100).await.remove(0);
    let lost = Record {
        log: vec![log_entry("ann", "done", 3), log_entry("ann", "done", 4)],
        ..record(&claim)
    };
    ledger.record(lost).await.unwrap();
    assert_eq!(seconds(&world, &wiki).await, [1, 2, 3, 4]);
    ledger
        .record(Record {
            log: vec![log_entry("ann", "done", 5)],
            ..record(&later)
        })
        .await
        .unwrap();
    assert_eq!(seconds(&world, &wiki).await, [1, 2, 3, 4, 5]);
}

async fn a_removed_application_has_no_lines(place: Place) {
    let (world, wiki) = start(&place).await;
    let ledger = &world.opened.ledger;
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    let claim = due(&world, 1).await.remove(0);
    assert!(
        world
            .opened
            .catalogue
            .remove_application(world.tenant.id, wiki.id, entry())
            .await
            .unwrap()
    );
    let lines = vec![log_entry("ann", "done", 1)];
    ledger
        .write_lines(world.tenant.id, wiki.id, lines.clone())
        .await
        .unwrap();
    ledger
        .record(Record {
            log: lines.clone(),
            ..record(&claim)
        })
        .await
        .unwrap();
    assert_eq!(
        ledger
            .write_link(&claim, link(&claim, Some("r1")), lines)
            .await
            .unwrap(),
        Written::LeaseLost
    );
    assert_eq!(
        place.number("SELECT count(*) FROM provisioning_log").await,
        0
    );
}

async fn old_lines_are_forgotten(place: Place) {
    let (world, wiki) = start(&place).await;
    let chat = add(&world, "chat").await;
    write(&world, &wiki, "ann", 1..=10).await;
    write(&world, &chat, "ann", 1..=3).await;
    let old = Forget {
        before: at(8),
        lines_max: 100,
        limit: 4,
    };
    // Some at a time, the oldest first, and nothing of another application or tenant.
    assert_eq!(forget(&world, wiki.id, old).await, 4);
    assert_eq!(seconds(&world, &wiki).await, [5, 6, 7, 8, 9, 10]);
    assert_eq!(
        (
            forget(&world, wiki.id, old).await,
            forget(&world, wiki.id, old).await
        ),
        (3, 0)
    );
    assert_eq!(seconds(&world, &wiki).await, [8, 9, 10]);
    assert_eq!(seconds(&world, &chat).await, [1, 2, 3]);
    assert_eq!(forget(&world, ApplicationId(9_999), old).await, 0);
    let elsewhere = World::in_store(world.opened.clone(), "other", Arc::default()).await;
    assert_eq!(
        elsewhere
            .opened
            .ledger
            .shorten_log(elsewhere.tenant.id, chat.id, old)
            .await
            .unwrap(),
        0
    );
    assert_eq!(seconds(&world, &chat).await, [1, 2, 3]);
}

async fn more_lines_than_are_kept_are_forgotten(place: Place) {
    let (world, wiki) = start(&place).await;
    write(&world, &wiki, "ann", 1..=10).await;
    let many = Forget {
        before: at(0),
        lines_max: 3,
        limit: 5,
    };
    assert_eq!(
        (
            forget(&world, wiki.id, many).await,
            forget(&world, wiki.id, many).await
        ),
        (5, 2)
    );
    assert_eq!(forget(&world, wiki.id, many).await, 0);
    assert_eq!(seconds(&world, &wiki).await, [8, 9, 10]);
}
