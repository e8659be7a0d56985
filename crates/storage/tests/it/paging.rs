//! Pages by position while others write: who is there all the time, matches and keeps its place is visited exactly once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use directory::change_set::Precondition;
use directory::search::{Page, Position, Sort, plan};
use scim_protocol::filter::FilterLimits;
use scim_protocol::schema::standard::USER;
use scim_protocol::{AttributePath, Filter, TypeSchema};
use serde_json::{Value, json};

use crate::place::{NOTHING, Place, World, delete, members, on_both_engines};

on_both_engines!(
    everybody_is_visited_once_while_others_write,
    counts_follow_every_change,
    far_pages_follow_every_change,
    members_come_batch_by_batch,
);

/// Who stays; as many again come and go.
const STAYING: usize = 60;

fn user(number: usize) -> Value {
    json!({
        "schemas": [USER], "userName": format!("user{:03}", number * 7 % 1_000), "title": (["b", "a", "c"][number % 3]), "active": (!number.is_multiple_of(5)),
        "nickName": (format!("n{}", number % 4)), "emails": [{"value": format!("{}@x", number % 11)}, {"value": "z@x", "primary": (number.is_multiple_of(2))}],
    })
}

/// Writes until it is told to stop: others come, change, join a group and go.
async fn disturb(world: World, stop: Arc<AtomicBool>) -> usize {
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let id = format!("other{written}");
        let document = user(STAYING + written);
        if world
            .commit_one(world.create_with("User", &id, document, &[]))
            .await
            .is_ok()
        {
            world
                .commit_one(members("group", &[&id], &[]))
                .await
                .unwrap();
            if written >= 20 {
                let old = format!("other{}", written - 20);
                // One whose userName was taken was never there.
                drop(
                    world
                        .commit_one(delete("User", &old, Precondition::Exists))
                        .await,
                );
            }
        }
        written += 1;
    }
    written
}

async fn walk(
    world: &World,
    types: &[&str],
    filter: Option<&str>,
    sort: Option<(&str, bool)>,
) -> Vec<String> {
    let types: Vec<Arc<TypeSchema>> = types.iter().map(|name| world.schema(name)).collect();
    let (mut ids, mut after): (_, Option<Position>) = (Vec::new(), None);
    loop {
        let filter = filter.map(|text| Filter::parse(text, FilterLimits::default()).unwrap());
        let sort = sort.map(|(path, descending)| Sort {
            path: AttributePath::parse(path).unwrap(),
            descending,
        });
        let plan = plan(
            &types,
            filter,
            sort,
            Page {
                offset: 0,
                limit: 7,
            },
            NOTHING,
        )
        .unwrap()
        .by_position(after);
        let page = world
            .opened
            .store
            .search(world.tenant.id, plan)
            .await
            .unwrap();
        ids.extend(page.resources.into_iter().map(|resource| resource.id));
        match page.next {
            Some(next) => after = Some(next),
            None => return ids,
        }
    }
}

/// By number, in the default order, until a page is empty.
async fn walk_by_number(world: &World, types: &[&str], filter: Option<&str>) -> Vec<String> {
    let types: Vec<Arc<TypeSchema>> = types.iter().map(|name| world.schema(name)).collect();
    let (mut ids, mut offset) = (Vec::new(), 0);
    loop {
        let filter = filter.map(|text| Filter::parse(text, FilterLimits::default()).unwrap());
        let plan = plan(&types, filter, None, Page { offset, limit: 7 }, NOTHING).unwrap();
        let page = world
            .opened
            .store
            .search(world.tenant.id, plan)
            .await
            .unwrap();
        if page.resources.is_empty() {
            return ids;
        }
        offset += page.resources.len() as u64;
        ids.extend(page.resources.into_iter().map(|resource| resource.id));
    }
}

/// By position in every order; by number in the default order, where whoever comes and goes is behind those who stay.
async fn everybody_is_visited_once_while_others_write(place: Place) {
    let world = World::new(&place).await;
    world.group("group", &[]).await;
    for number in 0..STAYING {
        world
            .commit_one(world.create_with("User", &format!("stays{number}"), user(number), &[]))
            .await
            .unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(disturb(world.clone(), stop.clone()));
    for (filter, sort) in [
        (None, None),
        (Some("active eq true"), None),
        (Some(r#"nickName eq "n1" or title co "a""#), None),
        (None, Some(("userName", false))),
        (None, Some(("userName", true))),
        (None, Some(("title", true))),
        (None, Some(("emails", false))),
        (None, Some(("id", true))),
        (None, Some(("meta.created", false))),
        (Some("active eq true"), Some(("title", false))),
    ] {
        for types in [&["User"][..], &["User", "Group"]] {
            if types.len() > 1 && sort.is_some_and(|(path, _)| path != "id") {
                continue;
            }
            let mut walks = vec![("position", walk(&world, types, filter, sort).await)];
            if sort.is_none() {
                walks.push(("number", walk_by_number(&world, types, filter).await));
            }
            for (by, visited) in walks {
                let staying: Vec<&String> = visited
                    .iter()
                    .filter(|id| id.starts_with("stays"))
                    .collect();
                let once: BTreeSet<&String> = staying.iter().copied().collect();
                assert_eq!(
                    staying.len(),
                    once.len(),
                    "somebody twice: {by} {types:?} {filter:?} {sort:?}"
                );
                let matches = |number: &usize| match filter {
                    None => true,
                    Some("active eq true") => !number.is_multiple_of(5),
                    Some(_) => number % 4 == 1 || number % 3 == 1,
                };
                assert_eq!(
                    once.len(),
                    (0..STAYING).filter(matches).count(),
                    "somebody missed: {by} {types:?} {filter:?} {sort:?}"
                );
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() > 0, "nobody wrote meanwhile");
}

async fn total(world: &World, filter: Option<&str>) -> u64 {
    let filter = filter.map(|text| Filter::parse(text, FilterLimits::default()).unwrap());
    let plan = plan(
        &[world.schema("User")],
        filter,
        None,
        Page {
            offset: 0,
            limit: 2,
        },
        NOTHING,
    )
    .unwrap();
    world
        .opened
        .store
        .search(world.tenant.id, plan)
        .await
        .unwrap()
        .total_results
}

async fn counts_follow_every_change(place: Place) {
    let world = World::new(&place).await;
    world.group("group", &[]).await;
    for number in 0..10_u64 {
        world
            .commit_one(world.create_with(
                "User",
                &format!("u{number}"),
                json!({"userName": format!("u{number}"), "active": true}),
                &[],
            ))
            .await
            .unwrap();
        for _ in 0..2 {
            assert_eq!(total(&world, None).await, number + 1);
            assert_eq!(total(&world, Some("active eq true")).await, number + 1);
            assert_eq!(total(&world, Some(r#"userName co "u""#)).await, number + 1);
            assert_eq!(total(&world, Some("groups pr")).await, number);
        }
        world
            .commit_one(members("group", &[&format!("u{number}")], &[]))
            .await
            .unwrap();
    }
    world
        .commit_one(delete("User", "u3", Precondition::Exists))
        .await
        .unwrap();
    assert_eq!(
        (
            total(&world, None).await,
            total(&world, Some("groups pr")).await
        ),
        (9, 9)
    );
    let off = world.replace_with(
        "User",
        "u4",
        Precondition::Exists,
        json!({"userName": "u4", "active": false}),
    );
    world.commit_one(off).await.unwrap();
    assert_eq!(total(&world, Some("active eq true")).await, 8);
}

/// Pages far down the list go by marks, which must not outlive a change.
async fn far_pages_follow_every_change(place: Place) {
    let world = World::new(&place).await;
    let create = |number: usize| {
        world.create_with(
            "User",
            &format!("u{number:04}"),
            json!({"userName": format!("u{number}")}),
            &[],
        )
    };
    for some in (0..1_200).collect::<Vec<_>>().chunks(100) {
        world
            .commit(some.iter().map(|number| create(*number)).collect())
            .await
            .unwrap();
    }
    let mut there: Vec<String> = (0..1_200).map(|number| format!("u{number:04}")).collect();
    let check = async |there: &[String]| {
        for offset in [0, 499, 500, 501, 999, 1_003, 1_190, 1_300] {
            let page = Page { offset, limit: 5 };
            let plan = plan(&[world.schema("User")], None, None, page, NOTHING).unwrap();
            let page = world
                .opened
                .store
                .search(world.tenant.id, plan)
                .await
                .unwrap();
            let ids: Vec<String> = page
                .resources
                .into_iter()
                .map(|resource| resource.id)
                .collect();
            let offset = usize::try_from(offset).unwrap();
            let expected: Vec<String> = there.iter().skip(offset).take(5).cloned().collect();
            assert_eq!(
                (page.total_results, ids),
                (there.len() as u64, expected),
                "{offset}"
            );
        }
    };
    check(&there).await;
    for number in [0, 600, 1_100] {
        let id = format!("u{number:04}");
        world
            .commit_one(delete("User", &id, Precondition::Exists))
            .await
            .unwrap();
        there.retain(|other| *other != id);
        check(&there).await;
    }
    world.commit_one(create(5_000)).await.unwrap();
    there.push("u5000".into());
    check(&there).await;
}

async fn members_come_batch_by_batch(place: Place) {
    let world = World::new(&place).await;
    let ids: Vec<String> = (0..10).map(|number| format!("u{number}")).collect();
    for id in &ids {
        world.user(id).await;
    }
    world
        .group("g", &ids.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    let (mut found, mut after) = (Vec::new(), i64::MIN);
    loop {
        let batch = world
            .opened
            .store
            .members_after(world.tenant.id, "g", after, 3)
            .await
            .unwrap();
        let Some(last) = batch.last() else { break };
        assert!(batch.len() <= 3);
        after = last.key;
        found.extend(
            batch
                .into_iter()
                .map(|member| (member.related.id, member.related.resource_type)),
        );
        // Whoever leaves does not shift the others.
        if found.len() == 3 {
            world
                .commit_one(members("g", &[], &["u0", "u9"]))
                .await
                .unwrap();
        }
    }
    let expected: Vec<(String, String)> = ids
        .into_iter()
        .take(9)
        .map(|id| (id, "User".to_owned()))
        .collect();
    assert_eq!(found, expected);
    assert!(
        world
            .opened
            .store
            .members_after(world.tenant.id, "nobody", i64::MIN, 3)
            .await
            .unwrap()
            .is_empty()
    );
}
