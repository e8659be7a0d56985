//! `Ledger`: marks coalesce, claims are leased once, outcomes are recorded whole or not at all. Whose turn it is, the engine's own tests say.

use std::collections::BTreeSet;
use std::sync::Arc;

use directory::store::Fault;
use provisioning::application::{Application, ApplicationId, ApplicationState};
use provisioning::lanes::{Limits, Room};
use provisioning::ledger::{
    Claim, GROUP_WAIT_SECONDS_MAX, LinkChange, Next, OutOfDate, Reach, Record, SyncStatus, Written,
};
use provisioning::link::{Link, LinkState};
use provisioning::provisioning_log::LogEntry;
use serde_json::json;

use crate::applications::{add, at};
use crate::place::{Place, World, entry, on_both_engines};

on_both_engines!(
    ten_marks_are_one_entry,
    a_mark_during_work_is_not_lost,
    changes_are_read_after_the_cursor,
    a_change_says_that_a_member_left,
    lower_priorities_go_first_and_older_ones_before_younger,
    a_leased_entry_is_not_claimed_until_its_lease_runs_out,
    a_lost_lease_records_nothing,
    a_lease_is_renewed_by_its_owner_only,
    a_retry_waits_and_counts,
    a_held_entry_waits_for_a_mark,
    a_pause_stops_the_application_and_counts_no_attempt,
    one_that_does_not_answer_rests_and_is_then_asked_once_by_all_nodes,
    a_paused_application_is_not_served,
    groups_wait_for_users_but_not_for_ever,
    a_group_that_takes_something_away_waits_for_nobody,
    at_most_so_many_of_an_application_are_leased,
    a_link_comes_back,
    whoever_awaited_an_account_is_marked_when_it_is_there,
    an_account_that_arrived_meanwhile_is_not_missed,
    everything_is_marked_for_verification,
    the_log_is_read_newest_first,
    the_status_counts,
    ids_with_odd_characters_are_harmless,
    two_claimers_never_get_the_same_entry,
    whoever_awaits_and_whoever_arrives_meet,
);

pub(crate) fn pair(
    application: ApplicationId,
    resource_type: &str,
    id: &str,
    priority: i16,
    due: i64,
) -> OutOfDate {
    OutOfDate {
        application,
        resource_type: resource_type.into(),
        resource_id: id.into(),
        priority,
        due: at(due),
        verify: false,
    }
}

/// A node at which nothing is at work.
pub(crate) fn room(applications_max: usize, per_application: usize, shared_max: usize) -> Room {
    Room::new(Limits {
        applications_max,
        per_application,
        shared_max,
    })
}

/// Everything that is due at this second, leased for a minute.
pub(crate) async fn due(world: &World, second: i64) -> Vec<Claim> {
    world
        .opened
        .ledger
        .claim(at(second), at(second + 60), room(100, 100, 100))
        .await
        .unwrap()
}

/// A claim that is done, and nothing else.
pub(crate) fn record(claim: &Claim) -> Record {
    Record {
        claim: claim.clone(),
        link: LinkChange::Keep,
        log: Vec::new(),
        at: at(1),
        next: Next::Done,
        awaits: None,
        also: Vec::new(),
        reach: Reach::Known,
    }
}

pub(crate) fn link(claim: &Claim, remote_id: Option<&str>) -> Link {
    let state = if remote_id.is_some() {
        LinkState::Linked
    } else {
        LinkState::Creating
    };
    let serde_json::Value::Object(acknowledged) =
        json!({"userName": claim.resource_id, "b": 1, "a": null})
    else {
        panic!("an object")
    };
    Link {
        application: claim.application,
        resource_type: claim.resource_type.clone(),
        resource_id: claim.resource_id.clone(),
        remote_id: remote_id.map(str::to_owned),
        state,
        acknowledged,
        acknowledged_members: vec!["m1".into(), "m2".into()],
        updated: at(5),
    }
}

pub(crate) fn log_entry(id: &str, outcome: &str, second: i64) -> LogEntry {
    LogEntry {
        at: at(second),
        application: ApplicationId(0),
        resource_type: "User".into(),
        resource_id: id.into(),
        display: id.to_uppercase(),
        step: "create".into(),
        outcome: outcome.into(),
        request: "POST /Users".into(),
        request_body: Some("{\"userName\":\"\\u0000\"}".into()),
        status: Some(201),
        detail: "made".into(),
        duration_milliseconds: 12,
        attempt: 1,
    }
}

/// A tenant with an application and nobody in it.
pub(crate) async fn start(place: &Place) -> (World, Application) {
    let world = World::new(place).await;
    let application = add(&world, "wiki").await;
    (world, application)
}

pub(crate) async fn mark(world: &World, pairs: Vec<OutOfDate>) {
    world
        .opened
        .ledger
        .mark_out_of_date(world.tenant.id, None, pairs)
        .await
        .unwrap();
}

fn ids(claims: &[Claim]) -> Vec<&str> {
    claims
        .iter()
        .map(|claim| claim.resource_id.as_str())
        .collect()
}

pub(crate) async fn done(world: &World, claims: &[Claim]) {
    for claim in claims {
        world.opened.ledger.record(record(claim)).await.unwrap();
    }
}

async fn status(world: &World, application: &Application) -> SyncStatus {
    world
        .opened
        .ledger
        .status(world.tenant.id, application.id)
        .await
        .unwrap()
}

async fn ten_marks_are_one_entry(place: Place) {
    let (world, wiki) = start(&place).await;
    for second in 0..9 {
        mark(
            &world,
            vec![pair(
                wiki.id,
                "User",
                "ann",
                if second == 4 { 0 } else { 2 },
                second,
            )],
        )
        .await;
    }
    // Twice in one step, too; that it is to be verified is not forgotten by a later mark.
    let verified = OutOfDate {
        verify: true,
        ..pair(wiki.id, "User", "ann", 2, 0)
    };
    mark(
        &world,
        vec![
            verified,
            pair(wiki.id, "User", "bob", 1, 9),
            pair(wiki.id, "User", "ann", 2, 9),
        ],
    )
    .await;
    assert_eq!(due(&world, 8).await, []);
    let claims = due(&world, 9).await;
    assert_eq!(
        ids(&claims),
        ["ann", "bob"],
        "the priority that went highest stays"
    );
    assert!(claims[0].verify && !claims[1].verify);
    done(&world, &claims).await;
    assert_eq!(status(&world, &wiki).await.waiting, 0);
}

async fn a_mark_during_work_is_not_lost(place: Place) {
    let (world, wiki) = start(&place).await;
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    for next in [Next::Done, Next::Hold, Next::RetryAt(at(1_000))] {
        let first = due(&world, 1).await.remove(0);
        mark(&world, vec![pair(wiki.id, "User", "ann", 2, 1)]).await;
        assert_eq!(due(&world, 1).await, [], "it is still leased");
        world
            .opened
            .ledger
            .record(Record {
                next,
                ..record(&first)
            })
            .await
            .unwrap();
        let second = due(&world, 1).await;
        assert_eq!(ids(&second), ["ann"]);
        assert!(
            second[0].generation > first.generation && second[0].fence > first.fence,
            "{second:?} after {first:?}"
        );
        assert_eq!((second[0].attempts, second[0].verify), (0, false));
        done(&world, &second).await;
        assert_eq!(status(&world, &wiki).await.waiting, 0);
        mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    }
}

async fn changes_are_read_after_the_cursor(place: Place) {
    let (world, wiki) = start(&place).await;
    let (ledger, tenant) = (&world.opened.ledger, world.tenant.id);
    assert_eq!(ledger.tenants_with_changes().await.unwrap(), []);
    for id in ["ann", "bob", "cid"] {
        world.user(id).await;
    }
    world
        .commit_one(crate::place::delete(
            "User",
            "ann",
            directory::change_set::Precondition::Exists,
        ))
        .await
        .unwrap();
    assert_eq!(ledger.tenants_with_changes().await.unwrap(), [tenant]);
    let changes = ledger.read_changes(tenant, 3).await.unwrap();
    assert_eq!(
        changes
            .iter()
            .map(|c| (c.sequence, c.resource_id.as_str(), c.deleted))
            .collect::<Vec<_>>(),
        [(1, "ann", false), (2, "bob", false), (3, "cid", false)]
    );
    ledger
        .mark_out_of_date(tenant, Some(3), vec![pair(wiki.id, "User", "ann", 2, 0)])
        .await
        .unwrap();
    let changes = ledger.read_changes(tenant, 3).await.unwrap();
    assert_eq!(
        changes
            .iter()
            .map(|c| (c.sequence, c.resource_id.as_str(), c.deleted))
            .collect::<Vec<_>>(),
        [(4, "ann", true)]
    );
    ledger
        .mark_out_of_date(tenant, Some(4), Vec::new())
        .await
        .unwrap();
    // Another node that was slower moves it back no more.
    ledger
        .mark_out_of_date(tenant, Some(2), Vec::new())
        .await
        .unwrap();
    assert_eq!(ledger.tenants_with_changes().await.unwrap(), []);
    assert_eq!(ledger.read_changes(tenant, 3).await.unwrap(), []);
}

async fn a_change_says_that_a_member_left(place: Place) {
    let world = World::new(&place).await;
    for id in ["ann", "bob", "cid"] {
        world.user(id).await;
    }
    world.group("team", &["ann"]).await;
    for (added, removed) in [
        (&["bob", "cid"][..], &[][..]),
        (&[][..], &["ann"][..]),
        (&[][..], &["ann"][..]),
    ] {
        let change = crate::place::members("team", added, removed);
        world.commit_one(change).await.unwrap();
    }
    world
        .commit_one(crate::place::delete(
            "User",
            "bob",
            directory::change_set::Precondition::Exists,
        ))
        .await
        .unwrap();
    let changes = world
        .opened
        .ledger
        .read_changes(world.tenant.id, 100)
        .await
        .unwrap();
    let told: Vec<_> = changes
        .iter()
        .skip(3)
        .map(|c| (c.resource_id.as_str(), c.deleted, c.member_left))
        .collect();
    // To remove somebody who is not there is no change.
    let expected = [
        ("team", false, false),
        ("team", false, false),
        ("team", false, true),
        ("bob", true, false),
        ("team", false, true),
    ];
    assert_eq!(told, expected);
}

async fn lower_priorities_go_first_and_older_ones_before_younger(place: Place) {
    let (world, wiki) = start(&place).await;
    let marks = [
        ("late", 2),
        ("group", 3),
        ("leaver", 0),
        ("asked", 1),
        ("later", 2),
    ];
    mark(
        &world,
        marks
            .iter()
            .map(|(id, priority)| pair(wiki.id, "User", id, *priority, 0))
            .collect(),
    )
    .await;
    mark(&world, vec![pair(wiki.id, "User", "another leaver", 0, 0)]).await;
    assert_eq!(
        ids(&due(&world, 1).await),
        [
            "leaver",
            "another leaver",
            "asked",
            "late",
            "later",
            "group"
        ]
    );
}

async fn a_leased_entry_is_not_claimed_until_its_lease_runs_out(place: Place) {
    let (world, wiki) = start(&place).await;
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    let first = due(&world, 1).await.remove(0);
    assert!(!first.verify && first.fence > 0);
    assert_eq!(first.lease_until, at(61));
    assert_eq!(due(&world, 60).await, []);
    let second = due(&world, 61).await.remove(0);
    assert!(second.verify, "nobody recorded what was sent");
    assert!(second.fence > first.fence);
    assert_eq!(second.generation, first.generation);
}

async fn a_lost_lease_records_nothing(place: Place) {
    let (world, wiki) = start(&place).await;
    let ledger = &world.opened.ledger;
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    let lost = due(&world, 1).await.remove(0);
    let ours = due(&world, 100).await.remove(0);
    let late = Record {
        link: LinkChange::Set(link(&lost, Some("twin"))),
        log: vec![log_entry("ann", "done", 1)],
        also: vec![pair(wiki.id, "User", "bob", 2, 0)],
        awaits: Some(vec!["bob".into()]),
        ..record(&lost)
    };
    ledger.record(late.clone()).await.unwrap();
    assert_eq!(
        ledger
            .write_link(
                &lost,
                link(&lost, Some("twin")),
                vec![log_entry("ann", "done", 2)]
            )
            .await
            .unwrap(),
        Written::LeaseLost
    );
    assert!(!ledger.renew(&lost, at(500)).await.unwrap());
    assert_eq!(
        ledger
            .read_link(world.tenant.id, wiki.id, "User", "ann")
            .await
            .unwrap(),
        None
    );
    // But what was sent was sent.
    let sent = [LogEntry {
        application: wiki.id,
        ..log_entry("ann", "done", 1)
    }];
    assert_eq!(
        ledger
            .read_log(world.tenant.id, None, None, 10)
            .await
            .unwrap(),
        sent
    );
    assert_eq!(status(&world, &wiki).await.waiting, 1);
    assert_eq!(place.number("SELECT count(*) FROM awaits").await, 0);
    // Nor is a recorded one recorded twice, nor a line written twice.
    let ours = Record {
        claim: ours,
        log: vec![log_entry("ann", "done", 3)],
        ..late.clone()
    };
    for record in [ours.clone(), ours, late] {
        ledger.record(record).await.unwrap();
    }
    assert_eq!(
        ledger
            .read_log(world.tenant.id, None, None, 10)
            .await
            .unwrap()
            .len(),
        2
    );
}

async fn a_lease_is_renewed_by_its_owner_only(place: Place) {
    let (world, wiki) = start(&place).await;
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    let claim = due(&world, 1).await.remove(0);
    assert!(world.opened.ledger.renew(&claim, at(500)).await.unwrap());
    assert_eq!(due(&world, 499).await, []);
    let stranger = Claim {
        fence: claim.fence + 1,
        ..claim.clone()
    };
    assert!(!world.opened.ledger.renew(&stranger, at(900)).await.unwrap());
    assert_eq!(due(&world, 500).await.len(), 1);
}

async fn a_retry_waits_and_counts(place: Place) {
    let (world, wiki) = start(&place).await;
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    for attempts in 0..3 {
        let second = i64::from(attempts) * 100;
        let claim = due(&world, second + 1).await.remove(0);
        assert_eq!((claim.attempts, claim.verify), (attempts, false));
        world
            .opened
            .ledger
            .record(Record {
                next: Next::RetryAt(at(second + 100)),
                ..record(&claim)
            })
            .await
            .unwrap();
        assert_eq!(due(&world, second + 99).await, []);
    }
    assert_eq!(
        status(&world, &wiki).await,
        SyncStatus {
            waiting: 0,
            retrying: 1,
            held: 0,
            linked: 0
        }
    );
    // What changes is tried at once, as if for the first time.
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 210)]).await;
    assert_eq!(due(&world, 210).await[0].attempts, 0);
}

async fn a_held_entry_waits_for_a_mark(place: Place) {
    let (world, wiki) = start(&place).await;
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    let claim = due(&world, 1).await.remove(0);
    world
        .opened
        .ledger
        .record(Record {
            next: Next::Hold,
            ..record(&claim)
        })
        .await
        .unwrap();
    assert_eq!(due(&world, 1_000_000).await, []);
    assert_eq!(
        status(&world, &wiki).await,
        SyncStatus {
            waiting: 0,
            retrying: 0,
            held: 1,
            linked: 0
        }
    );
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    assert_eq!(ids(&due(&world, 1).await), ["ann"]);
}

async fn a_pause_stops_the_application_and_counts_no_attempt(place: Place) {
    let (world, wiki) = start(&place).await;
    let chat = add(&world, "chat").await;
    let (ann, bob) = (
        pair(wiki.id, "User", "ann", 2, 0),
        pair(wiki.id, "User", "bob", 2, 0),
    );
    mark(&world, vec![ann, bob, pair(chat.id, "User", "ann", 2, 0)]).await;
    let claim = world
        .opened
        .ledger
        .claim(at(1), at(61), room(1, 1, 0))
        .await
        .unwrap()
        .remove(0);
    assert_eq!(claim.application, wiki.id);
    world
        .opened
        .ledger
        .record(Record {
            next: Next::PauseUntil(at(100)),
            ..record(&claim)
        })
        .await
        .unwrap();
    let others = due(&world, 99).await;
    assert_eq!(
        others
            .iter()
            .map(|claim| claim.application)
            .collect::<Vec<_>>(),
        [chat.id]
    );
    let rested = due(&world, 100).await;
    assert_eq!(ids(&rested), ["ann", "bob"]);
    assert!(rested.iter().all(|claim| claim.attempts == 0));
}

async fn one_that_does_not_answer_rests_and_is_then_asked_once_by_all_nodes(place: Place) {
    let (world, wiki) = start(&place).await;
    let chat = add(&world, "chat").await;
    let names = ["ann", "bob", "cid", "dan"];
    mark(
        &world,
        names
            .iter()
            .flat_map(|id| {
                [
                    pair(wiki.id, "User", id, 2, 0),
                    pair(chat.id, "User", id, 2, 0),
                ]
            })
            .collect(),
    )
    .await;
    let of = |claims: &[Claim], id| {
        claims
            .iter()
            .filter(|claim| claim.application == id)
            .count()
    };
    let first: Vec<Claim> = due(&world, 1)
        .await
        .into_iter()
        .filter(|claim| claim.application == wiki.id)
        .collect();
    assert!(first.len() == 4 && first.iter().all(|claim| claim.unanswered == 0));
    let silent = |unanswered, until| Reach::Silent {
        unanswered,
        until: at(until),
    };
    for claim in &first {
        let reach = silent(1, if claim.resource_id == "bob" { 100 } else { 90 });
        world
            .opened
            .ledger
            .record(Record {
                next: Next::RetryAt(at(2)),
                reach,
                ..record(claim)
            })
            .await
            .unwrap();
    }
    // What rests, rests on every node and after a restart; others do not.
    let other = World {
        opened: place.open().await,
        ..world.clone()
    };
    let others = due(&other, 99).await;
    assert_eq!((of(&others, wiki.id), of(&others, chat.id)), (0, 4));
    let probe = due(&other, 100).await;
    assert_eq!((of(&probe, wiki.id), probe[0].unanswered), (1, 1));
    assert_eq!(of(&due(&world, 101).await, wiki.id), 0, "one node asks");
    other
        .opened
        .ledger
        .record(Record {
            next: Next::RetryAt(at(102)),
            reach: silent(2, 200),
            ..record(&probe[0])
        })
        .await
        .unwrap();
    assert_eq!(of(&due(&world, 199).await, wiki.id), 0);
    let probe = due(&world, 200)
        .await
        .into_iter()
        .find(|claim| claim.application == wiki.id)
        .unwrap();
    assert_eq!(probe.unanswered, 2);
    world
        .opened
        .ledger
        .record(Record {
            reach: Reach::Answers,
            ..record(&probe)
        })
        .await
        .unwrap();
    let rest = due(&other, 201).await;
    assert_eq!(of(&rest, wiki.id), 3);
    assert!(
        rest.iter()
            .filter(|claim| claim.application == wiki.id)
            .all(|claim| claim.unanswered == 0)
    );
}

async fn a_paused_application_is_not_served(place: Place) {
    let (world, wiki) = start(&place).await;
    let set = async |state| {
        world
            .opened
            .catalogue
            .set_application_state(world.tenant.id, wiki.id, state, entry())
            .await
            .unwrap()
    };
    set(ApplicationState::Paused).await;
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    assert_eq!(due(&world, 1).await, []);
    set(ApplicationState::Live).await;
    assert_eq!(ids(&due(&world, 1).await), ["ann"]);
}

async fn groups_wait_for_users_but_not_for_ever(place: Place) {
    let (world, wiki) = start(&place).await;
    mark(
        &world,
        vec![
            pair(wiki.id, "Group", "team", 3, 0),
            pair(wiki.id, "User", "ann", 2, 0),
        ],
    )
    .await;
    let users = due(&world, 1).await;
    assert_eq!(ids(&users), ["ann"]);
    assert_eq!(due(&world, 2).await, [], "its members may be on their way");
    // Who failed once keeps nobody waiting.
    world
        .opened
        .ledger
        .record(Record {
            next: Next::RetryAt(at(900)),
            ..record(&users[0])
        })
        .await
        .unwrap();
    let groups = due(&world, 2).await;
    assert_eq!(ids(&groups), ["team"]);
    done(&world, &groups).await;
    // One that waited for long goes, and a held one keeps nobody waiting either.
    mark(
        &world,
        vec![
            pair(wiki.id, "Group", "team", 3, 10),
            pair(wiki.id, "User", "bob", 2, 1_000),
        ],
    )
    .await;
    assert_eq!(due(&world, 10 + GROUP_WAIT_SECONDS_MAX - 1).await, []);
    assert_eq!(
        ids(&due(&world, 10 + GROUP_WAIT_SECONDS_MAX).await),
        ["team"]
    );
}

async fn a_group_that_takes_something_away_waits_for_nobody(place: Place) {
    let (world, wiki) = start(&place).await;
    mark(
        &world,
        vec![
            pair(wiki.id, "User", "ann", 2, 0),
            pair(wiki.id, "Group", "team", 0, 0),
            pair(wiki.id, "Group", "crew", 3, 0),
        ],
    )
    .await;
    assert_eq!(ids(&due(&world, 1).await), ["team", "ann"]);
}

async fn at_most_so_many_of_an_application_are_leased(place: Place) {
    let (world, wiki) = start(&place).await;
    let chat = add(&world, "chat").await;
    let names: Vec<String> = (0..9).map(|number| format!("user{number}")).collect();
    mark(
        &world,
        names
            .iter()
            .flat_map(|id| {
                [
                    pair(wiki.id, "User", id, 2, 0),
                    pair(chat.id, "User", id, 2, 0),
                ]
            })
            .collect(),
    )
    .await;
    let claim = async || {
        world
            .opened
            .ledger
            .claim(at(1), at(61), room(10, 3, 3))
            .await
            .unwrap()
    };
    let of = |claims: &[Claim], id| {
        claims
            .iter()
            .filter(|claim| claim.application == id)
            .count()
    };
    let first = claim().await;
    assert_eq!((of(&first, wiki.id), of(&first, chat.id)), (3, 2));
    let second = claim().await;
    assert_eq!((of(&second, wiki.id), of(&second, chat.id)), (0, 1));
    assert_eq!(claim().await, []);
    done(&world, &first[..1]).await;
    assert_eq!(claim().await.len(), 1);
}

async fn a_link_comes_back(place: Place) {
    let (world, wiki) = start(&place).await;
    let (ledger, tenant) = (&world.opened.ledger, world.tenant.id);
    mark(
        &world,
        vec![
            pair(wiki.id, "User", "ann", 2, 0),
            pair(wiki.id, "User", "bob", 2, 0),
        ],
    )
    .await;
    let claims = due(&world, 1).await;
    let creating = link(&claims[0], None);
    assert_eq!(
        ledger
            .write_link(&claims[0], creating.clone(), Vec::new())
            .await
            .unwrap(),
        Written::Written
    );
    assert_eq!(
        ledger
            .read_link(tenant, wiki.id, "User", "ann")
            .await
            .unwrap(),
        Some(creating)
    );
    assert_eq!(status(&world, &wiki).await.linked, 0);
    let remote = "x".repeat(5_000);
    let linked = Link {
        state: LinkState::Uncertain,
        ..link(&claims[0], Some(&remote))
    };
    ledger
        .record(Record {
            link: LinkChange::Set(linked.clone()),
            ..record(&claims[0])
        })
        .await
        .unwrap();
    assert_eq!(
        ledger
            .read_link(tenant, wiki.id, "User", "ann")
            .await
            .unwrap(),
        Some(linked)
    );
    assert_eq!(
        ledger
            .read_link(tenant, wiki.id, "Group", "ann")
            .await
            .unwrap(),
        None
    );
    let found = ledger
        .read_remote_ids(tenant, wiki.id, vec!["bob".into(), "ann".into()])
        .await
        .unwrap();
    assert_eq!(found, [("ann".to_owned(), remote.clone())]);
    assert_eq!(
        ledger
            .find_linked(tenant, wiki.id, "User", &remote)
            .await
            .unwrap()
            .as_deref(),
        Some("ann")
    );
    assert_eq!(
        ledger
            .find_linked(tenant, wiki.id, "Group", &remote)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        ledger
            .find_linked(tenant, wiki.id, "User", "other")
            .await
            .unwrap(),
        None
    );
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    let again = due(&world, 1).await.remove(0);
    ledger
        .record(Record {
            link: LinkChange::Remove,
            ..record(&again)
        })
        .await
        .unwrap();
    assert_eq!(
        ledger
            .read_link(tenant, wiki.id, "User", "ann")
            .await
            .unwrap(),
        None
    );
}

async fn whoever_awaited_an_account_is_marked_when_it_is_there(place: Place) {
    let (world, wiki) = start(&place).await;
    let ledger = &world.opened.ledger;
    mark(&world, vec![pair(wiki.id, "Group", "team", 3, 0)]).await;
    let group = due(&world, 1).await.remove(0);
    ledger
        .record(Record {
            awaits: Some(vec!["ann".into(), "bob".into()]),
            ..record(&group)
        })
        .await
        .unwrap();
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    let user = due(&world, 1).await.remove(0);
    assert_eq!(
        ledger
            .write_link(&user, link(&user, None), Vec::new())
            .await
            .unwrap(),
        Written::Written
    );
    assert_eq!(
        status(&world, &wiki).await.waiting,
        1,
        "an account that may not be there wakes nobody"
    );
    ledger
        .record(Record {
            link: LinkChange::Set(link(&user, Some("r1"))),
            ..record(&user)
        })
        .await
        .unwrap();
    let woken = due(&world, 10).await;
    assert_eq!(
        woken
            .iter()
            .map(|c| (c.resource_type.as_str(), c.resource_id.as_str()))
            .collect::<Vec<_>>(),
        [("Group", "team")]
    );
    ledger
        .record(Record {
            awaits: Some(vec!["bob".into()]),
            ..record(&woken[0])
        })
        .await
        .unwrap();
    // A further write of the same account wakes nobody; nor does one that nobody awaits any more.
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    let user = due(&world, 10).await.remove(0);
    ledger
        .record(Record {
            link: LinkChange::Set(link(&user, Some("r1"))),
            ..record(&user)
        })
        .await
        .unwrap();
    assert_eq!(due(&world, 20).await, []);
}

async fn an_account_that_arrived_meanwhile_is_not_missed(place: Place) {
    let (world, wiki) = start(&place).await;
    let ledger = &world.opened.ledger;
    mark(
        &world,
        vec![
            pair(wiki.id, "User", "ann", 2, 0),
            pair(wiki.id, "Group", "team", 3, -60),
        ],
    )
    .await;
    let claims = due(&world, 1).await;
    assert_eq!(ids(&claims), ["ann", "team"]);
    // The group looked before the account was there, and is recorded after.
    ledger
        .record(Record {
            link: LinkChange::Set(link(&claims[0], Some("r1"))),
            ..record(&claims[0])
        })
        .await
        .unwrap();
    let late = Record {
        awaits: Some(vec!["ann".into()]),
        at: at(3),
        ..record(&claims[1])
    };
    ledger.record(late).await.unwrap();
    assert_eq!(ids(&due(&world, 3).await), ["team"]);
}

async fn everything_is_marked_for_verification(place: Place) {
    let (world, wiki) = start(&place).await;
    let ledger = &world.opened.ledger;
    mark(&world, vec![pair(wiki.id, "User", "gone", 2, 0)]).await;
    let gone = due(&world, 1).await.remove(0);
    ledger
        .record(Record {
            link: LinkChange::Set(link(&gone, Some("r1"))),
            ..record(&gone)
        })
        .await
        .unwrap();
    world.user("ann").await;
    world.group("team", &["ann"]).await;
    let chat = add(&world, "chat").await;
    let claims = due(&world, 1).await;
    assert_eq!(
        ids(&claims),
        ["ann"],
        "a new application is told of everybody, users first"
    );
    assert!(claims[0].application == chat.id && !claims[0].verify);
    done(&world, &claims).await;
    done(&world, &due(&world, 1).await).await;
    assert_eq!(
        world
            .opened
            .catalogue
            .compare_again(world.tenant.id, wiki.id, None, at(10), entry())
            .await
            .unwrap(),
        3
    );
    assert_eq!(
        world
            .opened
            .catalogue
            .compare_again(world.tenant.id, wiki.id, None, at(10), entry())
            .await
            .unwrap(),
        3
    );
    assert_eq!(due(&world, 9).await, []);
    let claims = due(&world, 10).await;
    assert_eq!(
        claims
            .iter()
            .map(|claim| claim.resource_id.as_str())
            .collect::<BTreeSet<_>>(),
        BTreeSet::from(["ann", "gone"])
    );
    assert!(
        claims
            .iter()
            .all(|claim| claim.verify && claim.application == wiki.id)
    );
    done(&world, &claims).await;
    assert_eq!(ids(&due(&world, 10).await), ["team"]);
    assert_eq!(
        world
            .opened
            .catalogue
            .compare_again(world.tenant.id, ApplicationId(9_999), None, at(10), entry())
            .await
            .unwrap(),
        0
    );
}

async fn the_log_is_read_newest_first(place: Place) {
    let (world, wiki) = start(&place).await;
    let chat = add(&world, "chat").await;
    for (application, id) in [(&wiki, "ann"), (&wiki, "bob"), (&chat, "ann")] {
        mark(&world, vec![pair(application.id, "User", id, 2, 0)]).await;
        let claim = due(&world, 1).await.remove(0);
        let log = vec![log_entry(id, "retry", 1), log_entry(id, "done", 2)];
        world
            .opened
            .ledger
            .record(Record {
                log,
                ..record(&claim)
            })
            .await
            .unwrap();
    }
    let read = async |application: Option<ApplicationId>, id: Option<&str>, limit| {
        let entries = world
            .opened
            .ledger
            .read_log(world.tenant.id, application, id, limit)
            .await
            .unwrap();
        entries
            .into_iter()
            .map(|entry| (entry.application, entry.resource_id, entry.outcome))
            .collect::<Vec<_>>()
    };
    let line = |application: &Application, id: &str, outcome: &str| {
        (application.id, id.to_owned(), outcome.to_owned())
    };
    assert_eq!(
        read(None, None, 3).await,
        [
            line(&chat, "ann", "done"),
            line(&chat, "ann", "retry"),
            line(&wiki, "bob", "done")
        ]
    );
    assert_eq!(
        read(Some(wiki.id), None, 1).await,
        [line(&wiki, "bob", "done")]
    );
    assert_eq!(
        read(Some(wiki.id), Some("ann"), 10).await,
        [line(&wiki, "ann", "done"), line(&wiki, "ann", "retry")]
    );
    assert_eq!(read(None, Some("ann"), 10).await.len(), 4);
    let whole = world
        .opened
        .ledger
        .read_log(world.tenant.id, Some(chat.id), None, 1)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        whole,
        LogEntry {
            application: chat.id,
            ..log_entry("ann", "done", 2)
        }
    );
}

async fn the_status_counts(place: Place) {
    let (world, wiki) = start(&place).await;
    let ledger = &world.opened.ledger;
    assert_eq!(status(&world, &wiki).await, SyncStatus::default());
    mark(
        &world,
        ["ann", "bob", "cid", "dan"]
            .iter()
            .map(|id| pair(wiki.id, "User", id, 2, 0))
            .collect(),
    )
    .await;
    let claims = due(&world, 1).await;
    ledger
        .record(Record {
            link: LinkChange::Set(link(&claims[0], Some("r1"))),
            ..record(&claims[0])
        })
        .await
        .unwrap();
    ledger
        .record(Record {
            next: Next::Hold,
            ..record(&claims[1])
        })
        .await
        .unwrap();
    ledger
        .record(Record {
            next: Next::RetryAt(at(50)),
            ..record(&claims[2])
        })
        .await
        .unwrap();
    assert_eq!(
        status(&world, &wiki).await,
        SyncStatus {
            waiting: 1,
            retrying: 1,
            held: 1,
            linked: 1
        }
    );
}

async fn ids_with_odd_characters_are_harmless(place: Place) {
    let (world, wiki) = start(&place).await;
    let ledger = &world.opened.ledger;
    mark(&world, vec![pair(wiki.id, "User", "å'\";--", 2, 0)]).await;
    let claim = due(&world, 1).await.remove(0);
    ledger
        .record(Record {
            link: LinkChange::Set(link(&claim, Some("\u{1f600}'"))),
            ..record(&claim)
        })
        .await
        .unwrap();
    assert_eq!(
        ledger
            .find_linked(world.tenant.id, wiki.id, "User", "\u{1f600}'")
            .await
            .unwrap()
            .as_deref(),
        Some("å'\";--")
    );
    assert_eq!(
        ledger
            .find_linked(world.tenant.id, wiki.id, "User", "nul\0")
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        ledger
            .read_log(world.tenant.id, None, Some("nul\0"), 5)
            .await
            .unwrap(),
        []
    );
}

/// Four workers on two nodes take everything there is; each entry once, and never more of an application at once than allowed.
async fn two_claimers_never_get_the_same_entry(place: Place) {
    let (world, wiki) = start(&place).await;
    let chat = add(&world, "chat").await;
    let other_node = place.open().await;
    let names: Vec<String> = (0..40).map(|number| format!("user{number}")).collect();
    mark(
        &world,
        names
            .iter()
            .flat_map(|id| {
                [
                    pair(wiki.id, "User", id, 2, 0),
                    pair(chat.id, "User", id, 2, 0),
                ]
            })
            .collect(),
    )
    .await;
    let claimed = Arc::new(std::sync::Mutex::new(Vec::new()));
    let work = |ledger: Arc<dyn provisioning::ledger::Ledger>| {
        let claimed = claimed.clone();
        tokio::spawn(async move {
            let mut idle = 0;
            while idle < 20 {
                let claims = ledger.claim(at(1), at(61), room(10, 5, 5)).await?;
                idle = if claims.is_empty() { idle + 1 } else { 0 };
                claimed.lock().unwrap().extend(
                    claims
                        .iter()
                        .map(|c| (c.application, c.resource_id.clone(), c.fence)),
                );
                for claim in &claims {
                    ledger.record(record(claim)).await?;
                }
                tokio::task::yield_now().await;
            }
            Ok::<_, Fault>(())
        })
    };
    let workers: Vec<_> = (0..4)
        .map(|n| {
            work(if n % 2 == 0 {
                world.opened.ledger.clone()
            } else {
                other_node.ledger.clone()
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap().unwrap();
    }
    done(&world, &due(&world, 2).await).await;
    let claimed = claimed.lock().unwrap().clone();
    let pairs: BTreeSet<_> = claimed
        .iter()
        .map(|(application, id, _)| (*application, id.clone()))
        .collect();
    let fences: BTreeSet<_> = claimed
        .iter()
        .map(|(application, _, fence)| (*application, *fence))
        .collect();
    assert_eq!(
        (pairs.len(), fences.len()),
        (claimed.len(), claimed.len()),
        "an entry was claimed twice"
    );
    assert_eq!(
        status(&world, &wiki).await.waiting + status(&world, &chat).await.waiting,
        0
    );
}

/// Groups record whom they wait for while, on another node, those get their accounts: in whatever order, each group is marked in the end.
async fn whoever_awaits_and_whoever_arrives_meet(place: Place) {
    let (world, wiki) = start(&place).await;
    let other_node = place.open().await;
    let count = 30;
    let pairs = |number: i64| {
        [
            pair(wiki.id, "User", &format!("user{number}"), 2, 0),
            pair(wiki.id, "Group", &format!("group{number}"), 3, -60),
        ]
    };
    mark(&world, (0..count).flat_map(pairs).collect()).await;
    let (users, groups): (Vec<_>, Vec<_>) = due(&world, 1)
        .await
        .into_iter()
        .partition(|claim| claim.resource_type == "User");
    assert_eq!((users.len(), groups.len()), (30, 30));
    let mut tasks = Vec::new();
    for claim in users.into_iter().chain(groups) {
        let number = claim
            .resource_id
            .trim_start_matches(char::is_alphabetic)
            .to_owned();
        let is_user = claim.resource_type == "User";
        let ledger = if is_user {
            world.opened.ledger.clone()
        } else {
            other_node.ledger.clone()
        };
        let outcome = if is_user {
            Record {
                link: LinkChange::Set(link(&claim, Some(&number))),
                ..record(&claim)
            }
        } else {
            Record {
                awaits: Some(vec![format!("user{number}")]),
                at: at(2),
                ..record(&claim)
            }
        };
        tasks.push(tokio::spawn(async move { ledger.record(outcome).await }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let woken = due(&world, 10).await;
    assert_eq!(woken.len(), 30);
    assert!(woken.iter().all(|claim| claim.resource_type == "Group"));
}
