//! Writes: what is written is read, unique values and versions hold when many write at once, and every change is in the log, in order.

use std::sync::Arc;

use directory::DirectoryError;
use directory::change_set::{Change, Precondition, Write};
use directory::directory::PatchAnswer;
use directory::store::{CommitError, Include};
use directory::version::Expected;
use futures_util::future::join_all;
use scim_protocol::ErrorKind;
use scim_protocol::messages::BulkRequest;
use scim_protocol::schema::standard::{GROUP, USER};
use serde_json::{Value, json};

use crate::place::{ALL, NOTHING, Place, World, delete, members, on_both_engines};

on_both_engines!(
    the_directory_works_on_it,
    a_write_is_read,
    refusals_change_nothing,
    a_change_set_is_all_or_nothing,
    a_change_set_writes_a_resource_more_than_once,
    committing_twice_is_committing_once,
    one_of_two_creates_gets_the_name,
    groups_take_a_name_that_no_other_has,
    two_cannot_swap_into_one_name,
    one_of_two_conditional_writes_wins,
    unconditional_writes_all_happen,
    the_log_has_no_gaps,
    tenants_are_apart,
    long_and_odd_values,
);

fn user(name: &str) -> Value {
    json!({"schemas": [USER], "userName": name})
}

async fn the_directory_works_on_it(place: Place) {
    let world = World::new(&place).await;
    let (directory, caller) = (world.directory(), world.caller());
    let (users, groups) = (world.schema("User"), world.schema("Group"));
    let ann = directory
        .create(
            &caller,
            &users,
            json!({"schemas": [USER], "userName": "Ann", "title": "Dr"}),
            ALL,
        )
        .await
        .unwrap();
    let team = json!({"schemas": [GROUP], "displayName": "Team", "members": [{"value": ann.id}]});
    let team = directory.create(&caller, &groups, team, ALL).await.unwrap();
    assert_eq!(
        (
            team.version,
            team.members.len(),
            team.members[0].display.as_str()
        ),
        (1, 1, "Ann")
    );
    let read = directory.read(&caller, &users, &ann.id, ALL).await.unwrap();
    assert_eq!(
        (&read.document, read.version, read.groups[0].id.as_str()),
        (&ann.document, 1, team.id.as_str())
    );

    let twin = directory
        .create(&caller, &users, user("aNN"), NOTHING)
        .await
        .unwrap_err();
    assert!(
        matches!(twin, DirectoryError::Refused(error) if error.kind() == ErrorKind::Uniqueness)
    );
    let replaced = directory
        .replace(
            &caller,
            &users,
            &ann.id,
            user("Anna"),
            &Expected::if_match("W/\"1\""),
            ALL,
        )
        .await
        .unwrap();
    assert_eq!(
        (
            replaced.version,
            replaced.document.get("title"),
            replaced.created
        ),
        (2, None, ann.created)
    );
    directory
        .create(&caller, &users, user("ann"), NOTHING)
        .await
        .unwrap();

    let patch = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "active", "value": false}]});
    let stale = Expected::if_match("W/\"1\"");
    let refused = directory
        .patch(
            &caller,
            &users,
            &ann.id,
            patch.clone(),
            &stale,
            PatchAnswer::Version,
        )
        .await
        .unwrap_err();
    assert!(
        matches!(refused, DirectoryError::Refused(error) if error.kind() == ErrorKind::PreconditionFailed)
    );
    let answer = PatchAnswer::Resource(ALL);
    let patched = directory
        .patch(
            &caller,
            &users,
            &ann.id,
            patch.clone(),
            &Expected::default(),
            answer,
        )
        .await
        .unwrap();
    assert_eq!(
        (
            patched.version,
            &patched.resource.unwrap().document["active"]
        ),
        (3, &json!(false))
    );
    let again = directory
        .patch(
            &caller,
            &users,
            &ann.id,
            patch,
            &Expected::default(),
            PatchAnswer::Version,
        )
        .await
        .unwrap();
    assert_eq!(again.version, 3, "nothing changes, so the version stays");

    directory
        .delete(&caller, &users, &ann.id, &Expected::default())
        .await
        .unwrap();
    let gone = directory
        .read(&caller, &users, &ann.id, NOTHING)
        .await
        .unwrap_err();
    assert!(matches!(gone, DirectoryError::Refused(error) if error.kind() == ErrorKind::NotFound));
    let team = directory
        .read(&caller, &groups, &team.id, ALL)
        .await
        .unwrap();
    assert_eq!((team.version, team.members), (2, Vec::new()));
    directory
        .create(&caller, &users, user("Anna"), NOTHING)
        .await
        .unwrap();
}

async fn a_write_is_read(place: Place) {
    let world = World::new(&place).await;
    let document = json!({"schemas": [USER], "userName": "\u{c9}a", "z": 1, "a": {"d": [1, {"b": null}], "c": 1.5}});
    let created = world
        .commit_one(world.create_with("User", "1", document.clone(), &[]))
        .await
        .unwrap();
    let read = world.read("User", "1").await.unwrap();
    assert_eq!(Value::Object(read.document.clone().into_tree()), document);
    let names: Vec<&String> = read.document.keys().collect();
    assert_eq!(names, ["schemas", "userName", "z", "a"]);
    assert_eq!(
        (read.version, read.created, read.last_modified),
        (1, created.created, created.last_modified)
    );
    assert_eq!(world.read("Group", "1").await, None);
    assert_eq!(world.read("User", "2").await, None);
    let update = world.replace_with("User", "1", Precondition::VersionIs(1), user("b"));
    let updated = world.commit_one(update).await.unwrap();
    assert_eq!(
        (updated.version, updated.created, updated.changed),
        (2, created.created, true)
    );
    assert!(updated.last_modified > created.last_modified);
    let same = world
        .commit_one(world.replace_with("User", "1", Precondition::Exists, user("b")))
        .await
        .unwrap();
    assert_eq!(
        (same.version, same.last_modified, same.changed),
        (2, updated.last_modified, false)
    );
    // The order of names means nothing.
    let turned = json!({"userName": "b", "schemas": [USER]});
    assert!(
        !world
            .commit_one(world.replace_with("User", "1", Precondition::Exists, turned))
            .await
            .unwrap()
            .changed
    );
    assert_eq!(
        world
            .commit_one(delete("User", "1", Precondition::VersionIs(2)))
            .await
            .unwrap()
            .version,
        0
    );
    assert_eq!(world.read("User", "1").await, None);
    assert_eq!(place.number("SELECT count(*) FROM unique_values").await, 0);
    assert_eq!(place.number("SELECT count(*) FROM index_values").await, 0);
}

async fn refusals_change_nothing(place: Place) {
    let world = World::new(&place).await;
    world.user("ann").await;
    world.user("bob").await;
    world.group("team", &["ann"]).await;
    let log = place.log(world.tenant.id).await;
    let taken = world
        .commit_one(world.replace_with("User", "bob", Precondition::Exists, user("ANN")))
        .await;
    assert!(
        matches!(&taken, Err(CommitError::ValueTaken { path }) if path == "userName"),
        "{taken:?}"
    );
    for write in [
        members("team", &["bob", "nobody"], &["ann"]),
        world.create_with("Group", "new", json!({"displayName": "n"}), &["nobody"]),
    ] {
        let missing = world.commit_one(write).await;
        assert!(
            matches!(&missing, Err(CommitError::ReferenceMissing { id }) if id == "nobody"),
            "{missing:?}"
        );
    }
    for write in [
        members("ann", &["bob"], &[]),
        delete("Group", "ann", Precondition::Exists),
        delete("User", "no\0body", Precondition::Exists),
    ] {
        let missing = world.commit_one(write).await;
        assert!(
            matches!(&missing, Err(CommitError::NotFound { .. })),
            "{missing:?}"
        );
    }
    for write in [
        delete("User", "ann", Precondition::VersionIs(7)),
        world.replace_with("User", "ann", Precondition::VersionIs(7), user("x")),
    ] {
        let changed = world.commit_one(write).await;
        assert!(
            matches!(&changed, Err(CommitError::VersionChanged { current: 1 })),
            "{changed:?}"
        );
    }
    assert!(matches!(
        world
            .commit_one(world.create_with("User", "ann", user("other"), &[]))
            .await,
        Err(CommitError::Fault(_))
    ));
    assert_eq!(place.log(world.tenant.id).await, log);
    assert_eq!(world.read("Group", "team").await.unwrap().members.len(), 1);
    assert_eq!(
        world.read("User", "bob").await.unwrap().document["userName"],
        "bob"
    );
}

async fn a_change_set_is_all_or_nothing(place: Place) {
    let world = World::new(&place).await;
    world.user("ann").await;
    let writes = vec![
        world.create_with("User", "bob", user("bob"), &[]),
        world.create_with("User", "cid", user("ann"), &[]),
    ];
    assert!(matches!(
        world.commit(writes).await,
        Err(CommitError::ValueTaken { .. })
    ));
    assert_eq!(world.read("User", "bob").await, None);
    let writes = vec![
        world.create_with("User", "bob", user("bob"), &[]),
        world.create_with(
            "Group",
            "team",
            json!({"displayName": "t"}),
            &["bob", "ann", "bob"],
        ),
        delete("User", "ann", Precondition::Exists),
    ];
    let versions: Vec<u64> = world
        .commit(writes)
        .await
        .unwrap()
        .iter()
        .map(|committed| committed.version)
        .collect();
    assert_eq!(versions, [1, 1, 0]);
    assert_eq!(
        world.read("Group", "team").await.unwrap().version,
        2,
        "it lost a member"
    );
    let ids: Vec<String> = place
        .log(world.tenant.id)
        .await
        .into_iter()
        .map(|row| row.2)
        .collect();
    assert_eq!(ids, ["ann", "bob", "team", "ann", "team"]);
}

/// As carrying out one after the other would leave it, with every version in the history.
async fn a_change_set_writes_a_resource_more_than_once(place: Place) {
    let world = World::new(&place).await;
    let (directory, caller) = (world.directory(), world.caller());
    let users = world.schema("User");
    let make = async |name: &str| {
        directory
            .create(&caller, &users, user(name), NOTHING)
            .await
            .unwrap()
            .id
    };
    let (ann, bob) = (make("ann").await, make("bob").await);
    let set = |path: &str, name: &str, value: &str| {
        let data = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": name, "value": value}]});
        json!({"method": "PATCH", "path": path, "data": data})
    };
    let (to_ann, to_bob) = (format!("/Users/{ann}"), format!("/Users/{bob}"));
    let run = async |operations: Value| {
        let schema = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
        let request = BulkRequest::from_body(
            json!({"schemas": [schema], "atomic": true, "Operations": operations}),
        )
        .unwrap();
        let answers = directory.bulk(&caller, request).await.into_iter();
        answers
            .map(|answer| answer.outcome.map_err(|error| error.to_string()))
            .collect::<Result<Vec<_>, _>>()
    };
    // Two swap their names by way of a third one, and one of them is changed once more.
    let swap = json!([
        set(&to_ann, "userName", "cid"),
        set(&to_bob, "userName", "ann"),
        set(&to_ann, "userName", "bob"),
        set(&to_ann, "title", "Dr"),
        {"method": "POST", "path": "/Users", "bulkId": "new", "data": user("dan")},
        set("/Users/bulkId:new", "title", "Sir"),
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"schemas": [GROUP], "displayName": "g", "members": [{"value": ann}]}},
        {"method": "DELETE", "path": to_bob},
    ]);
    assert_eq!(
        run(swap).await.unwrap(),
        [4, 2, 4, 4, 2, 2, 1, 0],
        "the versions that there are afterwards"
    );
    let now = directory.read(&caller, &users, &ann, ALL).await.unwrap();
    assert_eq!(
        (
            now.version,
            &now.document["userName"],
            &now.document["title"],
            now.groups.len()
        ),
        (4, &json!("bob"), &json!("Dr"), 1)
    );
    let names = async |id: &str| -> Vec<Value> {
        let entries = directory
            .changes_of(&caller, id, 0, 100)
            .await
            .unwrap()
            .into_iter();
        entries
            .filter_map(|entry| entry.before)
            .map(|before| before["userName"].clone())
            .collect()
    };
    assert_eq!(names(&ann).await, ["ann", "cid", "bob"]);
    assert!(
        directory
            .read(&caller, &users, &bob, NOTHING)
            .await
            .is_err()
    );
    // What is refused leaves nothing of what came before it.
    assert!(
        run(json!([
            set(&to_ann, "title", "Sir"),
            set(&to_ann, "userName", "dan")
        ]))
        .await
        .is_err()
    );
    assert_eq!(
        directory
            .read(&caller, &users, &ann, NOTHING)
            .await
            .unwrap()
            .version,
        4
    );
}

async fn committing_twice_is_committing_once(place: Place) {
    let world = World::new(&place).await;
    let change_set =
        Arc::new(world.change_set(vec![world.create_with("User", "ann", user("ann"), &[])]));
    let commit = || {
        world
            .opened
            .store
            .commit(world.tenant.id, Arc::clone(&change_set))
    };
    let first = commit().await.unwrap();
    assert_eq!(commit().await.unwrap(), first);
    // Somebody else has changed it meanwhile, and that is not what became of this write.
    world
        .commit_one(world.replace_with("User", "ann", Precondition::Exists, user("Anna")))
        .await
        .unwrap();
    assert_eq!(commit().await.unwrap(), first);
    world
        .commit_one(delete("User", "ann", Precondition::Exists))
        .await
        .unwrap();
    assert_eq!(commit().await.unwrap()[0].version, 1);
    assert_eq!(place.log(world.tenant.id).await.len(), 3);
}

async fn one_of_two_creates_gets_the_name(place: Place) {
    let world = World::new(&place).await;
    for round in 0..10 {
        let create = |n: usize| {
            let world = world.clone();
            let name = if n < 4 {
                format!("Ann{round}")
            } else {
                format!("aNN{round}")
            };
            tokio::spawn(async move {
                world
                    .commit_one(world.create_with(
                        "User",
                        &format!("{round}-{n}"),
                        user(&name),
                        &[],
                    ))
                    .await
            })
        };
        let outcomes: Vec<_> = join_all((0..8).map(create))
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        assert!(
            refused.into_iter().all(
                |error| matches!(error, CommitError::ValueTaken { path } if path == "userName")
            ),
            "{outcomes:?}"
        );
    }
    assert_eq!(place.log(world.tenant.id).await.len(), 10);
    assert_eq!(place.number("SELECT count(*) FROM resources").await, 10);
}

/// The tenant's switch: a name that another group has is refused, and those that had the same one before keep it.
async fn groups_take_a_name_that_no_other_has(place: Place) {
    let world = World::new(&place).await;
    let (caller, groups) = (world.caller(), world.schema("Group"));
    let group = |name: &str, note: &str| json!({"schemas": [GROUP], "displayName": name, "externalId": note});
    let is_taken = |outcome: &Result<_, DirectoryError>| matches!(outcome, Err(DirectoryError::Refused(error)) if error.kind() == ErrorKind::Uniqueness && error.path() == Some("displayName"));
    let mut lenient = caller.clone();
    Arc::make_mut(&mut lenient.tenant)
        .settings
        .unique_group_names = false;
    let directory = world.directory();
    let create = async |caller, body| directory.create(caller, &groups, body, NOTHING).await;
    let (old, twin) = (
        create(&lenient, group("Old", "1")).await.unwrap(),
        create(&lenient, group("old", "2")).await.unwrap(),
    );
    for body in [group("OLD", "3"), group("Old", "1")] {
        assert!(is_taken(&create(&caller, body).await));
    }
    // Those two go on as before, and one of them takes another name, but not back.
    let replace = async |id: &str, body| {
        directory
            .replace(&caller, &groups, id, body, &Expected::default(), NOTHING)
            .await
    };
    replace(&twin.id, group("Old", "new")).await.unwrap();
    replace(&twin.id, group("New", "new")).await.unwrap();
    assert!(is_taken(&replace(&twin.id, group("oLd", "new")).await));
    // A name is free once its group has another one or is gone.
    replace(&old.id, group("Older", "1")).await.unwrap();
    create(&caller, group("Old", "4")).await.unwrap();
    directory
        .delete(&caller, &groups, &old.id, &Expected::default())
        .await
        .unwrap();
    create(&caller, group("Older", "5")).await.unwrap();
    // Of many at once one gets it, on all nodes.
    let other = World {
        opened: place.open().await,
        ..world.clone()
    };
    let directories = [world.directory(), other.directory()];
    let creates = (0..8).map(|number| {
        let (directory, caller, groups) = (&directories[number % 2], &caller, &groups);
        async move {
            directory
                .create(
                    caller,
                    groups,
                    json!({"schemas": [GROUP], "displayName": "Race"}),
                    NOTHING,
                )
                .await
        }
    });
    let outcomes = join_all(creates).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(
        outcomes.iter().filter(|outcome| is_taken(outcome)).count(),
        7,
        "{outcomes:?}"
    );
}

async fn two_cannot_swap_into_one_name(place: Place) {
    let world = World::new(&place).await;
    world.user("a").await;
    world.user("b").await;
    for _ in 0..10 {
        let rename = |id: &'static str, name: &'static str| {
            let world = world.clone();
            tokio::spawn(async move {
                world
                    .commit_one(world.replace_with("User", id, Precondition::Exists, user(name)))
                    .await
            })
        };
        for outcome in join_all([rename("a", "b"), rename("b", "a")]).await {
            assert!(matches!(
                outcome.unwrap(),
                Err(CommitError::ValueTaken { .. })
            ));
        }
    }
    assert_eq!(place.log(world.tenant.id).await.len(), 2);
}

async fn one_of_two_conditional_writes_wins(place: Place) {
    let world = World::new(&place).await;
    world.user("ann").await;
    for version in 1..=10 {
        let write = |n: usize| {
            let world = world.clone();
            let document =
                json!({"schemas": [USER], "userName": "ann", "title": format!("{version} {n}")});
            tokio::spawn(async move {
                world
                    .commit_one(world.replace_with(
                        "User",
                        "ann",
                        Precondition::VersionIs(version),
                        document,
                    ))
                    .await
            })
        };
        let outcomes: Vec<_> = join_all((0..6).map(write))
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let winner: Vec<usize> = (0..6).filter(|n| outcomes[*n].is_ok()).collect();
        assert_eq!(winner.len(), 1, "{outcomes:?}");
        let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        assert!(refused.into_iter().all(|error| matches!(error, CommitError::VersionChanged { current } if *current == version + 1)));
        let read = world.read("User", "ann").await.unwrap();
        assert_eq!(
            (read.version, &read.document["title"]),
            (version + 1, &json!(format!("{version} {}", winner[0])))
        );
    }
}

async fn unconditional_writes_all_happen(place: Place) {
    let world = World::new(&place).await;
    world.user("ann").await;
    let write = |n: usize| {
        let world = world.clone();
        let document = json!({"schemas": [USER], "userName": format!("ann{n}"), "emails": [{"value": format!("{n}@x")}]});
        tokio::spawn(async move {
            world
                .commit_one(world.replace_with("User", "ann", Precondition::Exists, document))
                .await
                .unwrap()
                .version
        })
    };
    let mut versions: Vec<u64> = join_all((0..20).map(write))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, (2..=21).collect::<Vec<_>>());
    // The index rows are those of the last one, and of no other.
    assert_eq!(place.number("SELECT count(*) FROM unique_values").await, 1);
    assert_eq!(place.number("SELECT count(*) FROM index_values").await, 1);
}

async fn the_log_has_no_gaps(place: Place) {
    let world = World::new(&place).await;
    world.group("g1", &[]).await;
    world.group("g2", &[]).await;
    let life = |n: usize| {
        let world = world.clone();
        tokio::spawn(async move {
            let id = format!("u{n}");
            world.user(&id).await;
            world.commit_one(members("g1", &[&id], &[])).await.unwrap();
            world.commit_one(members("g2", &[&id], &[])).await.unwrap();
            let refused = world
                .commit_one(world.create_with("User", &format!("x{n}"), user("Keeper"), &[]))
                .await;
            assert!(matches!(refused, Err(CommitError::ValueTaken { .. })));
            world
                .commit_one(delete("User", &id, Precondition::Exists))
                .await
                .unwrap();
        })
    };
    world.user("keeper").await;
    for done in join_all((0..16).map(life)).await {
        done.unwrap();
    }
    let log = place.log(world.tenant.id).await;
    let sequences: Vec<i64> = log.iter().map(|row| row.0).collect();
    assert_eq!(
        sequences,
        (1..=i64::try_from(log.len()).unwrap()).collect::<Vec<_>>()
    );
    // Of each resource: 1, 2, 3 ... and 0 at its end.
    let mut latest: std::collections::HashMap<(&str, &str), i64> = std::collections::HashMap::new();
    for (_, resource_type, id, version) in &log {
        let latest = latest.entry((resource_type, id)).or_default();
        assert!(
            *version == *latest + 1 || *version == 0,
            "{resource_type} {id}: {version} after {latest}"
        );
        *latest = *version;
    }
    for group in ["g1", "g2"] {
        let read = world.read("Group", group).await.unwrap();
        assert_eq!(
            (i64::try_from(read.version).unwrap(), read.members.len()),
            (latest[&("Group", group)], 0)
        );
    }
}

/// Connections that are lost, with or without the answer to a commit, are no reason to do it twice or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lost_connections_lose_no_commit() {
    let place = Place::postgres().await;
    let world = World::new(&place).await;
    let write = |n: usize| {
        let world = world.clone();
        tokio::spawn(async move {
            for round in 0..6 {
                world.user(&format!("{n}-{round}")).await;
            }
        })
    };
    let writers = join_all((0..8).map(write));
    let stranger = async {
        for _ in 0..4 {
            place.number("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").await;
        }
    };
    let (writers, ()) = tokio::join!(writers, stranger);
    for writer in writers {
        writer.unwrap();
    }
    let log = place.log(world.tenant.id).await;
    assert_eq!(
        log.iter().map(|row| row.0).collect::<Vec<_>>(),
        (1..=48).collect::<Vec<_>>()
    );
    assert_eq!(place.number("SELECT count(*) FROM resources").await, 48);
}

async fn tenants_are_apart(place: Place) {
    let ours = World::new(&place).await;
    let theirs = World::in_store(ours.opened.clone(), "globex", ours.counter.clone()).await;
    ours.user("ann").await;
    ours.group("team", &["ann"]).await;
    theirs.user("ann").await;
    theirs.user("bob").await;
    assert_eq!(theirs.read("Group", "team").await, None);
    assert_eq!(theirs.read("User", "ann").await.unwrap().groups, Vec::new());
    assert!(matches!(
        theirs
            .commit_one(delete("Group", "team", Precondition::Exists))
            .await,
        Err(CommitError::NotFound { .. })
    ));
    assert!(matches!(
        ours.commit_one(members("team", &["bob"], &[])).await,
        Err(CommitError::ReferenceMissing { .. })
    ));
    theirs
        .commit_one(delete("User", "ann", Precondition::Exists))
        .await
        .unwrap();
    assert_eq!(ours.read("Group", "team").await.unwrap().members.len(), 1);
    for (world, count) in [(&ours, 2), (&theirs, 3)] {
        let sequences: Vec<i64> = place
            .log(world.tenant.id)
            .await
            .iter()
            .map(|row| row.0)
            .collect();
        assert_eq!(sequences, (1..=count).collect::<Vec<_>>());
    }
    let nobody = directory::tenant::TenantId(ours.tenant.id.0 + 1_000);
    let write = Arc::new(ours.change_set(vec![ours.create_with("User", "x", user("x"), &[])]));
    assert!(matches!(
        ours.opened.store.commit(nobody, write).await,
        Err(CommitError::Fault(_))
    ));
    assert_eq!(
        ours.opened
            .store
            .read(nobody, "User", "x", Include::default())
            .await
            .unwrap(),
        None
    );
}

async fn long_and_odd_values(place: Place) {
    let world = World::new(&place).await;
    // Too long for a page of an index, and nothing that could be compressed.
    let long: String = (0..9_000_u32)
        .filter_map(|n| char::from_u32(0x4e00 + n * 7_919 % 20_000))
        .collect();
    let create = |id: &str, name: String| {
        world.create_with(
            "User",
            id,
            json!({"schemas": [USER], "userName": name, "title": long}),
            &[],
        )
    };
    world.commit_one(create("1", long.clone())).await.unwrap();
    world
        .commit_one(create("2", format!("{long}!")))
        .await
        .unwrap();
    assert!(matches!(
        world.commit_one(create("3", long.clone())).await,
        Err(CommitError::ValueTaken { .. })
    ));
    world
        .commit_one(world.create_with(
            "User",
            "4",
            json!({"userName": "d", "displayName": "a\0b"}),
            &[],
        ))
        .await
        .unwrap();
    assert_eq!(
        world.read("User", "4").await.unwrap().document["displayName"],
        "a\0b"
    );
    let none: Write = Write {
        resource_type: "User".into(),
        id: "no\0body".into(),
        change: Change::Delete {
            precondition: Precondition::Exists,
        },
    };
    assert!(matches!(
        world.commit_one(none).await,
        Err(CommitError::NotFound { .. })
    ));
    assert_eq!(world.read("User", "no\0body").await, None);
    for id in ["1", "2", "4"] {
        world
            .commit_one(delete("User", id, Precondition::Exists))
            .await
            .unwrap();
    }
    assert_eq!(
        place.number("SELECT count(*) FROM unique_values").await
            + place.number("SELECT count(*) FROM index_values").await,
        0
    );
}
