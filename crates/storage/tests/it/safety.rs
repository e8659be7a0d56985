//! What commits do for the safety of a tenant: the guard holds exactly what is too much, references wait and are linked, history is forgotten in time.

use std::sync::Arc;

use directory::change_set::{Change, ChangeSet, Effect, Policy, Precondition, Write};
use directory::clock::{Clock, IdGenerator};
use directory::deletion_guard::{GuardSettings, Mode, Removal, Threshold};
use directory::history::{Deleted, Point, Remembered, Window};
use directory::parking::{Allowance, Method, Parked, ParkedWrite};
use directory::pending::PendingReference;
use directory::store::CommitError;
use directory::tenant::TenantSettings;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use scim_protocol::patch::member::MemberDelta;
use scim_protocol::schema::standard::{ENTERPRISE_USER, USER};
use serde_json::json;

use crate::place::{Opened, Place, World, delete, members, on_both_engines};

on_both_engines!(
    the_guard_counts_exactly_on_all_nodes,
    the_window_moves_on,
    an_allowance_lets_through,
    disables_and_memberships_count,
    what_is_parked_is_kept,
    members_wait_and_link_themselves,
    managers_wait_and_link_themselves,
    those_who_are_not_wanted_any_more_do_not_wait,
    history_is_forgotten_in_batches,
    without_history_nothing_is_kept,
    changes_of_a_window,
    somebody_comes_back_only_once,
);

fn guard() -> GuardSettings {
    let threshold = Threshold {
        count: 3,
        percent: 20,
    };
    GuardSettings {
        mode: Mode::Refuse,
        window_minutes: 10,
        disables: threshold,
        deletes: threshold,
        memberships: threshold,
    }
}

impl World {
    async fn guarded(&self, at: Timestamp, write: Write) -> Result<(), CommitError> {
        let policy = Policy {
            guard: Some(guard()),
            ..Policy::of_administrator(&self.caller())
        };
        let change_set = ChangeSet {
            change_id: self.counter.id(),
            at,
            types_revision: self.schemas.revision(),
            writes: vec![write],
            policy,
        };
        self.opened
            .store
            .commit(self.tenant.id, Arc::new(change_set))
            .await
            .map(drop)
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

async fn the_guard_counts_exactly_on_all_nodes(place: Place) {
    let world = World::new(&place).await;
    let other = World {
        opened: place.open().await,
        ..world.clone()
    };
    for number in 0..12 {
        world.user(&format!("u{number}")).await;
    }
    let deletions = (0..12).map(|number| {
        let (world, other) = (world.clone(), other.clone());
        async move {
            let node = if number % 2 == 0 { world } else { other };
            node.guarded(
                at(0),
                delete("User", &format!("u{number}"), Precondition::Exists),
            )
            .await
        }
    });
    let outcomes = join_all(deletions).await;
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        3,
        "{outcomes:?}"
    );
    for outcome in outcomes.into_iter().filter_map(Result::err) {
        let CommitError::Held(excess) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(
            (excess.removal, excess.in_window, excess.of_all),
            (Removal::Delete, 4, 12)
        );
    }
    // It survives a restart, and a refused deletion did not count.
    let again = World {
        opened: place.open().await,
        ..world.clone()
    };
    let counted = again
        .opened
        .parking
        .removals_since(world.tenant.id, at(0).as_second() / 60)
        .await
        .unwrap();
    assert_eq!(counted, [(Removal::Delete, 3)]);
}

async fn the_window_moves_on(place: Place) {
    let world = World::new(&place).await;
    for number in 0..10 {
        world.user(&format!("u{number}")).await;
    }
    let gone = |number: usize| delete("User", &format!("u{number}"), Precondition::Exists);
    for (number, second) in [(0, 0), (1, 60), (2, 120)] {
        world.guarded(at(second), gone(number)).await.unwrap();
    }
    let Err(CommitError::Held(excess)) = world.guarded(at(180), gone(3)).await else {
        panic!("held")
    };
    let wait = i64::try_from(excess.retry_after_seconds).unwrap();
    world.guarded(at(180 + wait), gone(3)).await.unwrap();
    assert!(matches!(
        world.guarded(at(180 + wait), gone(4)).await,
        Err(CommitError::Held(_))
    ));
}

async fn an_allowance_lets_through(place: Place) {
    let world = World::new(&place).await;
    for number in 0..10 {
        world.user(&format!("u{number}")).await;
    }
    let allow = async |remaining: u64, expires: Timestamp| {
        let allowance = Allowance {
            removal: Removal::Delete,
            remaining,
            expires,
        };
        world
            .opened
            .parking
            .allow(world.tenant.id, allowance, None)
            .await
            .unwrap();
    };
    allow(5, at(-1)).await;
    let mut done = 0;
    for number in 0..10 {
        done += u64::from(
            world
                .guarded(
                    at(0),
                    delete("User", &format!("u{number}"), Precondition::Exists),
                )
                .await
                .is_ok(),
        );
        if number == 5 {
            allow(2, at(600)).await;
        }
    }
    assert_eq!(
        done, 5,
        "three by right, two by the allowance that had not expired"
    );
    assert_eq!(
        world
            .opened
            .parking
            .allowances(world.tenant.id)
            .await
            .unwrap()[0]
            .remaining,
        0
    );
}

async fn disables_and_memberships_count(place: Place) {
    let world = World::new(&place).await;
    for number in 0..8 {
        world.user(&format!("u{number}")).await;
    }
    let set = |number: usize, active: bool| {
        let user = json!({"schemas": [USER], "userName": format!("u{number}"), "active": active});
        world.replace_with("User", &format!("u{number}"), Precondition::Exists, user)
    };
    for number in 0..3 {
        world.guarded(at(0), set(number, false)).await.unwrap();
        // Again is nothing new.
        world.guarded(at(0), set(number, false)).await.unwrap();
    }
    let Err(CommitError::Held(excess)) = world.guarded(at(0), set(3, false)).await else {
        panic!("held")
    };
    assert_eq!(
        (excess.removal, excess.in_window, excess.of_all),
        (Removal::Disable, 4, 8)
    );
    world.guarded(at(0), set(3, true)).await.unwrap();

    world
        .group("g", &["u0", "u1", "u2", "u3", "u4", "u5"])
        .await;
    // Who moves is not taken away.
    world
        .guarded(at(0), members("g", &["u6", "u7"], &["u0", "u1"]))
        .await
        .unwrap();
    let all = MemberDelta {
        replace: true,
        added: vec!["u2".into()],
        removed: Vec::new(),
    };
    let change = Change::Update {
        precondition: Precondition::Exists,
        content: None,
        members: all,
        effect: Effect::default(),
    };
    let wipe = Write {
        resource_type: "Group".into(),
        id: "g".into(),
        change,
    };
    let Err(CommitError::Held(excess)) = world.guarded(at(0), wipe).await else {
        panic!("held")
    };
    assert_eq!((excess.removal, excess.in_window), (Removal::Membership, 5));
    let Err(CommitError::Held(_)) = world
        .guarded(at(0), delete("Group", "g", Precondition::Exists))
        .await
    else {
        panic!("held")
    };
    assert_eq!(world.read("Group", "g").await.unwrap().members.len(), 6);
    // An administrator's hand is not held.
    world
        .commit_one(delete("Group", "g", Precondition::Exists))
        .await
        .unwrap();
}

async fn what_is_parked_is_kept(place: Place) {
    let world = World::new(&place).await;
    let parked = |id: &str, resource_id: &str, second: i64| Parked {
        id: id.into(),
        at: at(second),
        credential_id: "client".into(),
        resource_type: "User".into(),
        resource_id: resource_id.into(),
        write: ParkedWrite {
            method: Method::Patch,
            body: json!({"a": 1}),
            touches: vec!["active".into()],
            reason: "why".into(),
            profile: Some("entra".into()),
        },
    };
    let (parking, tenant) = (world.opened.parking.clone(), world.tenant.id);
    parking
        .park(tenant, parked("1", "u", 1), Vec::new())
        .await
        .unwrap();
    parking
        .park(tenant, parked("2", "v", 2), Vec::new())
        .await
        .unwrap();
    parking
        .park(tenant, parked("3", "u", 3), vec!["1".into()])
        .await
        .unwrap();
    assert_eq!(
        parking.list_parked(tenant, None, 10).await.unwrap(),
        [parked("2", "v", 2), parked("3", "u", 3)]
    );
    assert_eq!(
        parking.list_parked(tenant, Some("u"), 10).await.unwrap(),
        [parked("3", "u", 3)]
    );
    assert!(parking.remove_parked(tenant, "2", None).await.unwrap());
    assert!(!parking.remove_parked(tenant, "2", None).await.unwrap());
    assert_eq!(
        parking.list_parked(tenant, None, 10).await.unwrap().len(),
        1
    );
}

async fn waiting(place: &Place) -> World {
    let settings = TenantSettings {
        pending_references: Some(true),
        ..TenantSettings::default()
    };
    World::with_settings(place.open().await, "acme", Arc::default(), settings).await
}

fn named(pending: &[PendingReference]) -> Vec<(&str, &str, &str)> {
    pending
        .iter()
        .map(|one| (one.id.as_str(), one.path.as_str(), one.value.as_str()))
        .collect()
}

async fn list(opened: &Opened, world: &World) -> Vec<PendingReference> {
    opened
        .pending
        .list_pending(world.tenant.id, 0, 100)
        .await
        .unwrap()
}

async fn members_wait_and_link_themselves(place: Place) {
    let world = waiting(&place).await;
    world.user("here").await;
    world.group("g", &["here", "x1", "Ext-1", "ANN@x"]).await;
    assert_eq!(world.read("Group", "g").await.unwrap().members.len(), 1);
    assert_eq!(list(&world.opened, &world).await.len(), 3);
    let same = world.commit_one(members("g", &["x1"], &[])).await.unwrap();
    assert!(!same.changed, "who waits already waits on");
    world.user("x1").await;
    let user = |name: &str, external: &str| json!({"schemas": [USER], "userName": name, "externalId": external});
    world
        .commit_one(world.create_with("User", "id-2", user("bob", "ext-1"), &[]))
        .await
        .unwrap();
    assert_eq!(
        world.read("Group", "g").await.unwrap().version,
        2,
        "an `externalId` is meant exactly"
    );
    world
        .commit_one(world.create_with("User", "id-3", user("cid", "Ext-1"), &[]))
        .await
        .unwrap();
    world
        .commit_one(world.create_with("User", "id-4", user("Ann@X", "E4"), &[]))
        .await
        .unwrap();
    let group = world.read("Group", "g").await.unwrap();
    let ids: Vec<&str> = group
        .members
        .iter()
        .map(|member| member.id.as_str())
        .collect();
    assert_eq!(
        (ids, group.version),
        (vec!["here", "x1", "id-3", "id-4"], 4)
    );
    assert_eq!(list(&world.opened, &world).await, []);
    let logged = place.log(world.tenant.id).await;
    assert_eq!(
        logged
            .iter()
            .filter(|(_, kind, ..)| kind == "Group")
            .count(),
        4,
        "each link is in the log"
    );
    let Remembered::Was(then) = world
        .opened
        .history
        .snapshot(world.tenant.id, "g", Point::Version(2))
        .await
        .unwrap()
    else {
        panic!("known")
    };
    assert_eq!(then.members, ["here", "x1"]);
    // Who is here already may be named otherwise, in both directions.
    world.group("h", &["Ext-1"]).await;
    assert_eq!(
        world.read("Group", "h").await.unwrap().members[0].id,
        "id-3"
    );
    world
        .commit_one(members("h", &[], &["Ext-1"]))
        .await
        .unwrap();
    assert_eq!(world.read("Group", "h").await.unwrap().members, []);
}

async fn managers_wait_and_link_themselves(place: Place) {
    let world = waiting(&place).await;
    let user = |name: &str, manager: &str| json!({"schemas": [USER, ENTERPRISE_USER], "userName": name, ENTERPRISE_USER: {"manager": {"value": manager}}});
    world
        .commit_one(world.create_with("User", "1", user("ann", "BOSS"), &[]))
        .await
        .unwrap();
    assert_eq!(
        named(&list(&world.opened, &world).await),
        [("1", "manager", "BOSS")]
    );
    world
        .commit_one(world.create_with(
            "User",
            "2",
            json!({"schemas": [USER], "userName": "boss"}),
            &[],
        ))
        .await
        .unwrap();
    let ann = world.read("User", "1").await.unwrap();
    assert_eq!(
        (
            &ann.document[ENTERPRISE_USER]["manager"]["value"],
            ann.version
        ),
        (&json!("2"), 2)
    );
    assert_eq!(list(&world.opened, &world).await, []);
    // One who is here already is linked at once.
    world
        .commit_one(world.create_with("User", "3", user("cid", "Boss"), &[]))
        .await
        .unwrap();
    assert_eq!(
        world.read("User", "3").await.unwrap().document[ENTERPRISE_USER]["manager"]["value"],
        json!("2")
    );
}

async fn those_who_are_not_wanted_any_more_do_not_wait(place: Place) {
    let world = waiting(&place).await;
    world.group("g", &["x", "y", "z"]).await;
    world.commit_one(members("g", &[], &["x"])).await.unwrap();
    assert_eq!(
        named(&list(&world.opened, &world).await),
        [("g", "members", "y"), ("g", "members", "z")]
    );
    let change = |added: &[&str]| Change::Update {
        precondition: Precondition::Exists,
        content: None,
        members: MemberDelta {
            replace: true,
            added: added.iter().map(ToString::to_string).collect(),
            removed: Vec::new(),
        },
        effect: Effect::default(),
    };
    let put = Write {
        resource_type: "Group".into(),
        id: "g".into(),
        change: change(&["z"]),
    };
    world.commit_one(put).await.unwrap();
    assert_eq!(
        named(&list(&world.opened, &world).await),
        [("g", "members", "z")]
    );
    world
        .commit_one(delete("Group", "g", Precondition::Exists))
        .await
        .unwrap();
    assert_eq!(list(&world.opened, &world).await, []);
    world.user("z").await;
    // Without the switch nobody waits.
    let strict = World {
        tenant: World::in_store(world.opened.clone(), "other", world.counter.clone())
            .await
            .tenant,
        ..world.clone()
    };
    let refused = strict
        .commit_one(strict.create_with("Group", "g", json!({"displayName": "g"}), &["x"]))
        .await;
    assert!(
        matches!(refused, Err(CommitError::ReferenceMissing { .. })),
        "{refused:?}"
    );
}

async fn history_is_forgotten_in_batches(place: Place) {
    let world = World::new(&place).await;
    world.user("u").await;
    world.group("g", &[]).await;
    let before = world.counter.now();
    for number in 0..6 {
        let (added, removed): (&[&str], &[&str]) = if number % 2 == 0 {
            (&["u"], &[])
        } else {
            (&[], &["u"])
        };
        world
            .commit_one(members("g", added, removed))
            .await
            .unwrap();
    }
    world
        .commit_one(delete("User", "u", Precondition::Exists))
        .await
        .unwrap();
    let after = world.counter.now();
    world.commit_one(members("g", &["g"], &[])).await.unwrap();
    let (history, tenant) = (world.opened.history.clone(), world.tenant.id);
    assert!(matches!(
        history
            .snapshot(tenant, "g", Point::At(before))
            .await
            .unwrap(),
        Remembered::Was(_)
    ));
    let mut batches = Vec::new();
    loop {
        batches.push(history.prune(tenant, after, 3).await.unwrap());
        if batches.last() == Some(&0) {
            break;
        }
    }
    assert_eq!(batches, [3, 3, 1, 0]);
    assert_eq!(
        history
            .snapshot(tenant, "g", Point::At(before))
            .await
            .unwrap(),
        Remembered::Unknown
    );
    assert!(matches!(
        history
            .snapshot(tenant, "g", Point::At(after))
            .await
            .unwrap(),
        Remembered::Was(_)
    ));
    assert_eq!(
        history
            .deleted(tenant, Deleted::Before(after), 10)
            .await
            .unwrap(),
        []
    );
    assert_eq!(place.number("SELECT count(*) FROM member_history").await, 1);
}

async fn without_history_nothing_is_kept(place: Place) {
    let settings = TenantSettings {
        history_days: 0,
        ..TenantSettings::default()
    };
    let world = World::with_settings(place.open().await, "acme", Arc::default(), settings).await;
    world.user("u").await;
    world.user("v").await;
    world.group("g", &["u"]).await;
    world
        .commit_one(members("g", &["v"], &["u"]))
        .await
        .unwrap();
    world
        .commit_one(delete("User", "v", Precondition::Exists))
        .await
        .unwrap();
    for table in ["history", "member_history", "tombstones"] {
        assert_eq!(
            place.number(&format!("SELECT count(*) FROM {table}")).await,
            0,
            "{table}"
        );
    }
}

async fn changes_of_a_window(place: Place) {
    let world = World::new(&place).await;
    world.user("u").await;
    let from = world.counter.now();
    world.group("g", &["u"]).await;
    let policy = Policy {
        credential_id: "other".into(),
        ..Policy::of_administrator(&world.caller())
    };
    let change_set = ChangeSet {
        policy,
        ..world.change_set(vec![delete("User", "u", Precondition::Exists)])
    };
    let change_id = change_set.change_id;
    world
        .opened
        .store
        .commit(world.tenant.id, Arc::new(change_set))
        .await
        .unwrap();
    let until = world.counter.now();
    world.user("w").await;
    let changes = async |credential: Option<&str>, after: u64| {
        let window = Window {
            from,
            until,
            credential_id: credential.map(str::to_owned),
        };
        let found = world
            .opened
            .history
            .changes(world.tenant.id, &window, after, 10)
            .await
            .unwrap();
        found
            .into_iter()
            .map(|change| (change.id, change.version))
            .collect::<Vec<_>>()
    };
    let all = [
        ("g".to_owned(), 1),
        ("u".to_owned(), 0),
        ("g".to_owned(), 2),
    ];
    assert_eq!(changes(None, 0).await, all);
    assert_eq!(changes(Some("other"), 0).await, all[1..]);
    assert_eq!(changes(Some("other"), 3).await, all[2..]);
    assert_eq!(changes(Some("nobody"), 0).await, []);
    assert_eq!(
        world
            .opened
            .history
            .groups_left(world.tenant.id, "u", change_id)
            .await
            .unwrap(),
        ["g"]
    );
    let later = until + SignedDuration::from_hours(1);
    let buried = world
        .opened
        .history
        .deleted(world.tenant.id, Deleted::Before(later), 10)
        .await
        .unwrap();
    assert_eq!(
        (
            buried.len(),
            buried[0].credential_id.as_str(),
            buried[0].user_name.as_deref()
        ),
        (1, "other", Some("u"))
    );
}

async fn somebody_comes_back_only_once(place: Place) {
    let world = World::new(&place).await;
    world.user("u").await;
    world
        .commit_one(delete("User", "u", Precondition::Exists))
        .await
        .unwrap();
    let buried = world
        .opened
        .history
        .deleted(world.tenant.id, Deleted::Id("u".into()), 1)
        .await
        .unwrap()
        .remove(0);
    let back = || {
        let mut write = world.create_with(
            "User",
            "u",
            json!({"schemas": [USER], "userName": "u"}),
            &[],
        );
        let Change::Create { former, .. } = &mut write.change else {
            panic!("a create")
        };
        *former = Some(directory::change_set::Former {
            version: buried.version,
            created: buried.created,
        });
        write
    };
    let outcomes = join_all((0..4).map(|_| world.commit_one(back()))).await;
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        1,
        "{outcomes:?}"
    );
    assert!(
        outcomes
            .iter()
            .flatten()
            .all(|committed| committed.version == 3 && committed.created == buried.created)
    );
    assert!(
        outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().err())
            .all(|error| matches!(error, CommitError::NotFound { .. }))
    );
}
