//! `ProvisioningLog`: how long lines are kept.

use std::sync::Arc;

use provisioning::application::{Application, ApplicationId};
use provisioning::ledger::Record;
use provisioning::provisioning_log::{Forget, LogEntry};

use crate::applications::{add, at};
use crate::ledger::{due, log_entry, mark, pair, record, start};
use crate::place::{Place, World, on_both_engines};

on_both_engines!(old_lines_are_forgotten, more_lines_than_are_kept_are_forgotten);

/// A claim of somebody with a line for each of these seconds.
async fn write(world: &World, application: &Application, id: &str, seconds: impl Iterator<Item = i64>) {
    mark(world, vec![pair(application.id, "User", id, 2, 0)]).await;
    let claim = due(world, 1).await.remove(0);
    let log = seconds.map(|second| log_entry(id, "done", second)).collect();
    world.opened.ledger.record(Record { log, ..record(&claim) }).await.unwrap();
}

async fn seconds(world: &World, application: &Application) -> Vec<i64> {
    let lines: Vec<LogEntry> = world.opened.ledger.read_log(world.tenant.id, Some(application.id), None, 100).await.unwrap();
    lines.iter().rev().map(|line| line.at.as_second() - at(0).as_second()).collect()
}

async fn forget(world: &World, application: ApplicationId, forget: Forget) -> u64 {
    world.opened.ledger.shorten_log(world.tenant.id, application, forget).await.unwrap()
}

async fn old_lines_are_forgotten(place: Place) {
    let (world, wiki) = start(&place).await;
    let chat = add(&world, "chat").await;
    write(&world, &wiki, "ann", 1..=10).await;
    write(&world, &chat, "ann", 1..=3).await;
    let old = Forget { before: at(8), lines_max: 100, limit: 4 };
    // Some at a time, the oldest first, and nothing of another application or tenant.
    assert_eq!(forget(&world, wiki.id, old).await, 4);
    assert_eq!(seconds(&world, &wiki).await, [5, 6, 7, 8, 9, 10]);
    assert_eq!((forget(&world, wiki.id, old).await, forget(&world, wiki.id, old).await), (3, 0));
    assert_eq!(seconds(&world, &wiki).await, [8, 9, 10]);
    assert_eq!(seconds(&world, &chat).await, [1, 2, 3]);
    assert_eq!(forget(&world, ApplicationId(9_999), old).await, 0);
    let elsewhere = World::in_store(world.opened.clone(), "other", Arc::default()).await;
    assert_eq!(elsewhere.opened.ledger.shorten_log(elsewhere.tenant.id, chat.id, old).await.unwrap(), 0);
    assert_eq!(seconds(&world, &chat).await, [1, 2, 3]);
}

async fn more_lines_than_are_kept_are_forgotten(place: Place) {
    let (world, wiki) = start(&place).await;
    write(&world, &wiki, "ann", 1..=10).await;
    let many = Forget { before: at(0), lines_max: 3, limit: 5 };
    assert_eq!((forget(&world, wiki.id, many).await, forget(&world, wiki.id, many).await), (5, 2));
    assert_eq!(forget(&world, wiki.id, many).await, 0);
    assert_eq!(seconds(&world, &wiki).await, [8, 9, 10]);
}
