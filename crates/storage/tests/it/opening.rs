//! Opening: a newer database is refused, nodes may start together, and what was written is there the next time.

use std::sync::Arc;
use std::time::Duration;

use crate::place::{Place, World, on_both_engines};

on_both_engines!(
    a_newer_database_is_refused,
    a_foreign_database_is_refused,
    reopening_keeps_everything,
    a_commit_is_heard
);

async fn a_newer_database_is_refused(place: Place) {
    drop(place.open().await);
    place
        .execute(
            "INSERT INTO migrations (number, name, checksum) SELECT 1000, 'from the future', checksum FROM migrations WHERE number = 1",
        )
        .await;
    let refusal = place.try_open().await.err().unwrap().to_string();
    assert!(refusal.contains("newer Rollcall"), "{refusal}");
    place
        .execute("DELETE FROM migrations WHERE number = 1000")
        .await;
    place.open().await;
}

async fn a_foreign_database_is_refused(place: Place) {
    drop(place.open().await);
    place
        .execute(
            "UPDATE migrations SET name = 'other', checksum = substr(checksum, 2) WHERE number = 1",
        )
        .await;
    let refusal = place.try_open().await.err().unwrap().to_string();
    assert!(
        refusal.contains("not the one that this program knows"),
        "{refusal}"
    );
}

async fn reopening_keeps_everything(place: Place) {
    let world = World::new(&place).await;
    world.user("ann").await;
    world.group("team", &["ann"]).await;
    let (before, tenant, schemas) = (
        world.read("User", "ann").await,
        world.tenant.clone(),
        world.schemas.clone(),
    );
    let counter = world.counter.clone();
    drop(world);
    let opened = place.open().await;
    assert_eq!(
        opened.tenants.find_tenant("acme").await.unwrap().as_ref(),
        Some(&*tenant)
    );
    let world = World {
        opened,
        tenant,
        counter,
        schemas,
    };
    let after = world.read("User", "ann").await;
    assert_eq!(after, before);
    assert_eq!(after.unwrap().groups.len(), 1);
    world.user("bob").await;
    let log: Vec<i64> = place
        .log(world.tenant.id)
        .await
        .iter()
        .map(|row| row.0)
        .collect();
    assert_eq!(log, [1, 2, 3]);
}

async fn a_commit_is_heard(place: Place) {
    let world = World::new(&place).await;
    let heard = world.opened.committed.clone();
    world.user("ann").await;
    tokio::time::timeout(Duration::from_secs(10), heard.notified())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_together_migrate_once() {
    let place = Arc::new(Place::postgres().await);
    let start = || {
        let place = place.clone();
        tokio::spawn(async move { place.open().await })
    };
    let nodes: Vec<_> = (0..6).map(|_| start()).collect();
    for node in nodes {
        node.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_is_heard_by_other_nodes() {
    let place = Place::postgres().await;
    let world = World::new(&place).await;
    let other = place.open().await;
    let wait = Duration::from_secs(20);
    // The first permit says that it listens from now on.
    tokio::time::timeout(wait, other.committed.notified())
        .await
        .unwrap();
    world.user("ann").await;
    tokio::time::timeout(wait, other.committed.notified())
        .await
        .unwrap();
}

/// `cargo xtask test` runs this suite on several versions and says which one it means.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the rule is for the product; its tests are told by whoever runs them"
)]
async fn postgres_is_the_version_that_was_asked_for() {
    let place = Place::postgres().await;
    let version = place
        .number("SELECT current_setting('server_version_num')::BIGINT / 10000")
        .await;
    assert!(
        version >= 15,
        "PostgreSQL {version} is older than what is promised"
    );
    if let Ok(wanted) = std::env::var("ROLLCALL_POSTGRES_MAJOR") {
        assert_eq!(version.to_string(), wanted);
    }
}
