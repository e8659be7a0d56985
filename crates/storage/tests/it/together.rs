//! Commits that come at the same time go together, and what becomes of one does nothing to the others.

use std::collections::BTreeSet;
use std::sync::Arc;

use directory::change_set::{Committed, Precondition, Write};
use directory::store::CommitError;
use futures_util::future::join_all;
use scim_protocol::schema::standard::USER;
use serde_json::{Value, json};

use crate::place::{Place, World, delete, members, on_both_engines};

on_both_engines!(
    neighbours_of_a_refused_commit_are_committed,
    members_that_many_add_at_once_are_all_there,
);

/// How often a database is asked whether something is so already.
const LOOKS_MAX: usize = 3_000;
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

fn named(name: &str) -> Value {
    json!({"schemas": [USER], "userName": name})
}

type Outcome = Result<Committed, CommitError>;

/// Commits these at once, each alone in its change set. Where there is PostgreSQL, the first of them wait for a lock until all are there.
async fn all_at_once(place: &Place, world: &World, writes: Vec<Write>) -> Vec<Outcome> {
    let held = place.hold_commits().await;
    let commits = join_all(writes.into_iter().map(|write| world.commit_one(write)));
    // The commits are begun before this looks for the first time.
    let release = async {
        for _ in 0..LOOKS_MAX {
            if !place.is_postgres() || place.number(WAITING).await > 0 {
                break;
            }
        }
        drop(held);
    };
    tokio::join!(commits, release).0
}

async fn neighbours_of_a_refused_commit_are_committed(place: Place) {
    let world = World::new(&place).await;
    world.user("keeper").await;
    world.user("ann").await;
    let create = |id: &str, name: &str| world.create_with("User", id, named(name), &[]);
    let mut writes: Vec<Write> = (0..40)
        .map(|n| create(&format!("u{n}"), &format!("name{n}")))
        .collect();
    // Refused for what is there already, for what is not there, and for another version.
    let refused = [
        create("taken", "KEEPER"),
        delete("User", "missing", Precondition::Exists),
        world.replace_with("User", "ann", Precondition::VersionIs(7), named("anna")),
        members("missing", &["ann"], &[]),
    ];
    for (place, write) in refused.into_iter().enumerate() {
        writes.insert(place * 9 + 3, write);
    }
    // Refused for what a neighbour takes.
    writes.push(create("second", "name5"));
    let outcomes = all_at_once(&place, &world, writes).await;
    let places = [3, 12, 21, 30];
    for (number, outcome) in outcomes.iter().enumerate().take(44) {
        assert!(
            outcome.is_ok() != places.contains(&number) || number == 6,
            "{number}: {outcome:?}"
        );
    }
    assert!(matches!(outcomes[3], Err(CommitError::ValueTaken { .. })));
    assert!(matches!(outcomes[12], Err(CommitError::NotFound { .. })));
    assert!(matches!(
        outcomes[21],
        Err(CommitError::VersionChanged { current: 1 })
    ));
    assert!(matches!(outcomes[30], Err(CommitError::NotFound { .. })));
    assert!(
        outcomes[6].is_ok() != outcomes[44].is_ok(),
        "one of the two that want one name gets it"
    );
    assert_eq!(place.number("SELECT count(*) FROM resources").await, 42);
    assert_eq!(place.number("SELECT count(*) FROM unique_values").await, 42);
    let log = place.log(world.tenant.id).await;
    assert_eq!(
        log.iter().map(|row| row.0).collect::<Vec<_>>(),
        (1..=42).collect::<Vec<_>>()
    );
    if place.is_postgres() {
        let transactions = place
            .number("SELECT count(DISTINCT xmin::TEXT) FROM resources")
            .await;
        assert!(
            transactions <= 12,
            "most of 40 commits go together, and took {transactions} transactions"
        );
    }
}

async fn members_that_many_add_at_once_are_all_there(place: Place) {
    let world = World::new(&place).await;
    let ids: Vec<String> = (0..24).map(|n| format!("u{n}")).collect();
    for id in &ids {
        world.user(id).await;
    }
    world.group("g", &[]).await;
    let writes = ids.iter().map(|id| members("g", &[id], &[])).collect();
    let mut versions: Vec<u64> = all_at_once(&place, &world, writes)
        .await
        .into_iter()
        .map(|outcome| outcome.unwrap().version)
        .collect();
    versions.sort_unstable();
    assert_eq!(
        versions,
        (2..=25).collect::<Vec<_>>(),
        "each has a version of its own"
    );
    let group = world.read("Group", "g").await.unwrap();
    assert_eq!((group.version, group.members.len()), (25, 24));
}

/// Two processes on one database, and one tenant.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_commit_for_one_tenant() {
    let place = Place::postgres().await;
    let one = World::new(&place).await;
    one.group("g", &[]).await;
    let other = World {
        opened: place.open().await,
        ..one.clone()
    };
    let life = |world: &World, node: &'static str, n: usize| {
        let world = world.clone();
        tokio::spawn(async move {
            let id = format!("{node}{n}");
            let made = world
                .commit_one(world.create_with("User", &id, named(&format!("name{n}")), &[]))
                .await;
            if made.is_ok() {
                world.commit_one(members("g", &[&id], &[])).await.unwrap();
            } else {
                assert!(
                    matches!(made, Err(CommitError::ValueTaken { .. })),
                    "{made:?}"
                );
            }
            made.is_ok().then_some(id)
        })
    };
    let lives = (0..40).flat_map(|n| [life(&one, "a", n), life(&other, "b", n)]);
    let made: BTreeSet<String> = join_all(lives)
        .await
        .into_iter()
        .filter_map(Result::unwrap)
        .collect();
    assert_eq!(made.len(), 40, "each name went to one of the two nodes");
    let group = one.read("Group", "g").await.unwrap();
    let members: BTreeSet<String> = group.members.into_iter().map(|member| member.id).collect();
    assert_eq!((group.version, members), (41, made));
    let log = place.log(one.tenant.id).await;
    assert_eq!(
        log.iter().map(|row| row.0).collect::<Vec<_>>(),
        (1..=81).collect::<Vec<_>>()
    );
}

/// A group whose connection is lost, be it before the commit or with its answer, is committed all the same, and once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_group_whose_connection_is_lost_is_committed_once() {
    const KILL: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'rollcall'";
    let place = Arc::new(Place::postgres().await);
    let world = World::new(&place).await;
    let (writers, rounds) = (32, 4);
    let write = |n: usize| {
        let world = world.clone();
        async move {
            for round in 0..rounds {
                world.user(&format!("{n}-{round}")).await;
            }
        }
    };
    let held = place.hold_commits().await;
    let killed = async {
        // The first groups wait for the tenant's counter, and lose their connections there.
        for _ in 0..LOOKS_MAX {
            if place.number(WAITING).await > 0 {
                break;
            }
        }
        place.number(KILL).await;
        drop(held);
        for _ in 0..4 {
            place.number(KILL).await;
        }
    };
    tokio::join!(join_all((0..writers).map(write)), killed);
    let all = i64::try_from(writers * rounds).unwrap();
    assert_eq!(place.number("SELECT count(*) FROM resources").await, all);
    let log = place.log(world.tenant.id).await;
    assert_eq!(
        log.iter().map(|row| row.0).collect::<Vec<_>>(),
        (1..=all).collect::<Vec<_>>()
    );
}
