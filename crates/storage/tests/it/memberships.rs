//! Members and groups: none is lost when many write at once, groups of groups are derived, and what is deleted is nowhere a member.

use directory::change_set::{Change, Effect, Precondition, Write};
use directory::store::{CommitError, Related, StoredResource};
use futures_util::future::join_all;
use scim_protocol::patch::member::MemberDelta;
use serde_json::json;

use crate::place::{Place, World, delete, members, on_both_engines};

on_both_engines!(
    members_come_and_go,
    concurrent_adds_and_removes_are_none_lost,
    groups_are_direct_and_indirect,
    circles_are_harmless,
    a_deleted_resource_is_nowhere_a_member,
    adding_and_deleting_at_once,
    a_deleted_group_leaves_nothing,
);

fn ids(related: &[Related]) -> Vec<&str> {
    related.iter().map(|related| related.id.as_str()).collect()
}

fn kinds(resource: &StoredResource) -> Vec<(&str, bool)> {
    resource
        .groups
        .iter()
        .map(|group| (group.id.as_str(), group.direct))
        .collect()
}

async fn members_come_and_go(place: Place) {
    let world = World::new(&place).await;
    for id in ["a", "b", "c", "d"] {
        world.user(id).await;
    }
    world.group("g", &["b", "a"]).await;
    let check = async |write: Write, expected: &[&str], version: u64| {
        let committed = world.commit_one(write).await.unwrap();
        let group = world.read("Group", "g").await.unwrap();
        let more = async |count: usize| {
            let count = u32::try_from(count).unwrap();
            world
                .opened
                .store
                .has_more_members_than(world.tenant.id, "g", count)
                .await
                .unwrap()
        };
        assert!(
            !more(expected.len()).await && (expected.is_empty() || more(expected.len() - 1).await)
        );
        assert_eq!(
            (ids(&group.members), group.version, committed.version),
            (expected.to_vec(), version, version)
        );
        assert_eq!(
            (group.last_modified, group.created),
            (committed.last_modified, committed.created)
        );
        assert!(group.members.iter().all(|member| member.direct
            && member.resource_type == "User"
            && member.display == member.id));
    };
    check(members("g", &["c", "c"], &["a", "unknown"]), &["b", "c"], 2).await;
    check(members("g", &["c"], &["a", "unknown"]), &["b", "c"], 2).await;
    check(members("g", &[], &[]), &["b", "c"], 2).await;
    let replace = |to: &[&str]| {
        let members = MemberDelta {
            replace: true,
            added: to.iter().map(ToString::to_string).collect(),
            removed: Vec::new(),
        };
        let change = Change::Update {
            precondition: Precondition::Exists,
            content: None,
            members,
            effect: Effect::default(),
        };
        Write {
            resource_type: "Group".into(),
            id: "g".into(),
            change,
        }
    };
    check(replace(&["c", "b"]), &["b", "c"], 2).await;
    check(replace(&["d", "b"]), &["b", "d"], 3).await;
    check(replace(&[]), &[], 4).await;
    let both = Change::Update {
        precondition: Precondition::VersionIs(4),
        content: match world
            .create_with("Group", "g", json!({"displayName": "New"}), &[])
            .change
        {
            Change::Create { content, .. } => Some(content),
            _ => None,
        },
        members: MemberDelta {
            replace: false,
            added: vec!["a".into()],
            removed: Vec::new(),
        },
        effect: Effect::default(),
    };
    check(
        Write {
            resource_type: "Group".into(),
            id: "g".into(),
            change: both,
        },
        &["a"],
        5,
    )
    .await;
    assert_eq!(
        world.read("User", "a").await.unwrap().groups[0].display,
        "New"
    );
    assert_eq!(place.log(world.tenant.id).await.len(), 9);
}

async fn concurrent_adds_and_removes_are_none_lost(place: Place) {
    let world = World::new(&place).await;
    let users: Vec<String> = (0..40).map(|n| format!("u{n:02}")).collect();
    for user in &users {
        world.user(user).await;
    }
    let old: Vec<&str> = users[..20].iter().map(String::as_str).collect();
    world.group("g", &old).await;
    let change = |n: usize| {
        let (world, users) = (world.clone(), users.clone());
        tokio::spawn(async move {
            world
                .commit_one(members("g", &[&users[20 + n]], &[&users[n]]))
                .await
                .unwrap()
                .version
        })
    };
    let mut versions: Vec<u64> = join_all((0..20).map(change))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, (2..=21).collect::<Vec<_>>());
    let group = world.read("Group", "g").await.unwrap();
    assert_eq!(
        ids(&group.members),
        users[20..].iter().map(String::as_str).collect::<Vec<_>>()
    );
}

async fn groups_are_direct_and_indirect(place: Place) {
    let world = World::new(&place).await;
    world.user("ann").await;
    world.group("inner", &["ann"]).await;
    world.group("middle", &["inner"]).await;
    world.group("outer", &["middle"]).await;
    world.group("both", &["ann", "middle"]).await;
    world.group("other", &[]).await;
    let ann = world.read("User", "ann").await.unwrap();
    assert_eq!(
        kinds(&ann),
        [
            ("inner", true),
            ("both", true),
            ("middle", false),
            ("outer", false)
        ]
    );
    assert_eq!(
        kinds(&world.read("Group", "middle").await.unwrap()),
        [("outer", true), ("both", true)]
    );
    world
        .commit_one(members("middle", &[], &["inner"]))
        .await
        .unwrap();
    assert_eq!(
        kinds(&world.read("User", "ann").await.unwrap()),
        [("inner", true), ("both", true)]
    );
}

async fn circles_are_harmless(place: Place) {
    let world = World::new(&place).await;
    world.user("ann").await;
    world.group("a", &["ann"]).await;
    world.group("b", &["a"]).await;
    world
        .commit_one(members("a", &["b", "a"], &[]))
        .await
        .unwrap();
    assert_eq!(
        kinds(&world.read("User", "ann").await.unwrap()),
        [("a", true), ("b", false)]
    );
    assert_eq!(
        kinds(&world.read("Group", "a").await.unwrap()),
        [("b", true)]
    );
    world
        .commit_one(delete("Group", "a", Precondition::Exists))
        .await
        .unwrap();
    assert_eq!(kinds(&world.read("User", "ann").await.unwrap()), []);
    assert_eq!(world.read("Group", "b").await.unwrap().members, []);
    assert_eq!(place.number("SELECT count(*) FROM memberships").await, 0);
}

async fn a_deleted_resource_is_nowhere_a_member(place: Place) {
    let world = World::new(&place).await;
    world.user("ann").await;
    world.user("bob").await;
    world.group("one", &["ann", "bob"]).await;
    world.group("two", &["ann"]).await;
    world.group("three", &["bob"]).await;
    world
        .commit_one(delete("User", "ann", Precondition::Exists))
        .await
        .unwrap();
    for (group, members, version) in [
        ("one", vec!["bob"], 2),
        ("two", vec![], 2),
        ("three", vec!["bob"], 1),
    ] {
        let read = world.read("Group", group).await.unwrap();
        assert_eq!(
            (ids(&read.members), read.version),
            (members, version),
            "{group}"
        );
    }
    let log = place.log(world.tenant.id).await;
    let last: Vec<(&str, i64)> = log[5..].iter().map(|row| (row.2.as_str(), row.3)).collect();
    assert_eq!(last, [("ann", 0), ("one", 2), ("two", 2)]);
}

async fn adding_and_deleting_at_once(place: Place) {
    let world = World::new(&place).await;
    for group in ["g1", "g2", "g3"] {
        world.group(group, &[]).await;
    }
    for round in 0..12 {
        let id = format!("u{round}");
        world.user(&id).await;
        let add = |group: &'static str| {
            let (world, id) = (world.clone(), id.clone());
            tokio::spawn(async move { world.commit_one(members(group, &[&id], &[])).await })
        };
        let remove = {
            let (world, id) = (world.clone(), id.clone());
            tokio::spawn(async move {
                world
                    .commit_one(delete("User", &id, Precondition::Exists))
                    .await
            })
        };
        for added in join_all(["g1", "g2", "g3"].map(add)).await {
            let added = added.unwrap();
            assert!(
                matches!(added, Ok(_) | Err(CommitError::ReferenceMissing { .. })),
                "{added:?}"
            );
        }
        remove.await.unwrap().unwrap();
    }
    assert_eq!(place.number("SELECT count(*) FROM memberships").await, 0);
}

async fn a_deleted_group_leaves_nothing(place: Place) {
    let world = World::new(&place).await;
    world.user("ann").await;
    world.group("g", &["ann"]).await;
    world
        .commit_one(delete("Group", "g", Precondition::Exists))
        .await
        .unwrap();
    let ann = world.read("User", "ann").await.unwrap();
    assert_eq!((ann.version, ann.groups), (1, Vec::new()));
    assert_eq!(place.number("SELECT count(*) FROM memberships").await, 0);
}
