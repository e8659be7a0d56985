//! What the SQLite store remembers of a search is what one finds that has just been opened, whatever was written in between. (PostgreSQL remembers counts of one
//! state only; `paging.rs` has that.)

use directory::change_set::Precondition;
use directory::search::{Page, plan};
use scim_protocol::Filter;
use scim_protocol::filter::FilterLimits;
use serde_json::{Value, json};

use crate::place::{NOTHING, Place, World, delete, members};

/// More than are looked at again each time.
const USERS: usize = 700;
const WRITES: usize = 24;
const FILTERS: &[&str] = &[
    "userName pr",
    "active eq true",
    "title co \"lead\"",
    "title co \"lead\" and active eq true",
    "name.familyName sw \"Sm\"",
    "meta.lastModified gt \"2020-01-01T00:00:00Z\"",
    "not (title eq \"engineer\")",
    "title eq \"Team lead\" or active eq false",
    "groups pr and active eq true",
];

/// A user with the name of one and the rest of another.
fn changed(name: usize, number: usize) -> Value {
    let mut user = user(number);
    user["userName"] = format!("u{name}").into();
    user
}

fn user(number: usize) -> Value {
    let title = if number.is_multiple_of(3) {
        "Team lead"
    } else {
        "Engineer"
    };
    let family = if number.is_multiple_of(2) {
        "Smith"
    } else {
        "Miller"
    };
    json!({"userName": format!("u{number}"), "title": title, "active": !number.is_multiple_of(5), "name": {"familyName": family}})
}

async fn found(world: &World, filter: Option<&str>, offset: u64) -> (u64, Vec<String>) {
    let filter = filter.map(|text| Filter::parse(text, FilterLimits::default()).unwrap());
    let plan = plan(
        &[world.schema("User")],
        filter,
        None,
        Page { offset, limit: 20 },
        NOTHING,
    )
    .unwrap();
    let page = world
        .opened
        .store
        .search(world.tenant.id, plan)
        .await
        .unwrap();
    (
        page.total_results,
        page.resources
            .into_iter()
            .map(|resource| resource.id)
            .collect(),
    )
}

/// One of everything that can happen to a user, one after the other.
async fn write(world: &World, number: usize) {
    let id = format!("u{:04}", number * 29);
    let any = Precondition::Exists;
    match number % 6 {
        0 => drop(
            world
                .commit_one(world.create_with(
                    "User",
                    &format!("new{number}"),
                    user(USERS + number),
                    &[],
                ))
                .await
                .unwrap(),
        ),
        1 => drop(
            world
                .commit_one(world.replace_with(
                    "User",
                    &id,
                    any,
                    changed(number * 29, number * 29 + 1),
                ))
                .await
                .unwrap(),
        ),
        2 => drop(world.commit_one(delete("User", &id, any)).await.unwrap()),
        3 => drop(
            world
                .commit_one(members("g", &[&id], &["u0000"]))
                .await
                .unwrap(),
        ),
        // The last key of all is given out again after its owner is gone.
        4 => {
            let last = format!("last{number}");
            world
                .commit_one(world.create_with("User", &last, user(2), &[]))
                .await
                .unwrap_err();
            world
                .commit_one(world.create_with("User", &last, user(9_000 + number), &[]))
                .await
                .unwrap();
            world.commit_one(delete("User", &last, any)).await.unwrap();
            world
                .commit_one(world.create_with(
                    "User",
                    &format!("next{number}"),
                    user(9_001 + number),
                    &[],
                ))
                .await
                .unwrap();
        }
        _ => {
            let change = |place: usize| {
                world.replace_with(
                    "User",
                    &format!("u{place:04}"),
                    any,
                    changed(place, place + number),
                )
            };
            world
                .commit((100..130).map(change).collect())
                .await
                .unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_remembered_follows_every_write() {
    let place = Place::sqlite();
    let world = World::new(&place).await;
    for some in (0..USERS).collect::<Vec<_>>().chunks(100) {
        let creates = some
            .iter()
            .map(|number| world.create_with("User", &format!("u{number:04}"), user(*number), &[]));
        world.commit(creates.collect()).await.unwrap();
    }
    world.group("g", &["u0000", "u0001"]).await;
    for number in 0..WRITES {
        for filter in FILTERS.iter().map(|text| Some(*text)).chain([None]) {
            for offset in [0, 150, 600] {
                found(&world, filter, offset).await;
            }
        }
        write(&world, number).await;
        let fresh = World {
            opened: place.open().await,
            ..world.clone()
        };
        for filter in FILTERS.iter().map(|text| Some(*text)).chain([None]) {
            for offset in [0, 150, 600] {
                assert_eq!(
                    found(&world, filter, offset).await,
                    found(&fresh, filter, offset).await,
                    "{filter:?} from {offset} after {number}"
                );
            }
        }
    }
}
