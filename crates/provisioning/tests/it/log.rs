//! Lines of the provisioning log that outlive the claim they belong to.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use provisioning::application::ApplicationSettings;
use serde_json::json;

use crate::world::World;

/// One member in a request, so that a group with some of them takes several.
fn world_with_members(count: usize) -> (World, Vec<String>) {
    let world = World::new(ApplicationSettings {
        members_per_patch_max: 1,
        ..ApplicationSettings::default()
    });
    let members: Vec<String> = (0..count).map(|number| format!("u{number}")).collect();
    for id in &members {
        world.put_user(id, &json!({"userName": id}));
    }
    (world, members)
}

fn put_team(world: &World, members: &[String]) {
    world.put_group(
        "g1",
        &json!({"displayName": "Engineers"}),
        &members.iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

#[tokio::test]
async fn what_was_sent_is_on_record_before_more_is_sent() {
    let (world, members) = world_with_members(4);
    world.settle().await;
    let (ledger, seen) = (Arc::clone(&world.ledger), Arc::new(Mutex::new(Vec::new())));
    let look = {
        let seen = Arc::clone(&seen);
        move || {
            let state = ledger.state();
            let linked = state
                .links
                .values()
                .any(|link| link.resource_id == "g1" && link.remote_id.is_some());
            let steps: Vec<String> = state
                .log
                .iter()
                .filter(|line| line.resource_id == "g1")
                .map(|line| line.step.clone())
                .collect();
            seen.lock().unwrap().push((linked, steps));
        }
    };
    world.application.inner().after_patch = Some(Box::new(look));
    put_team(&world, &members);
    world.settle().await;
    let made = ["match", "match", "create"];
    let steps = |updates: usize| {
        made.into_iter()
            .chain(std::iter::repeat_n("update", updates))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        *seen.lock().unwrap(),
        [(true, steps(0)), (true, steps(1)), (true, steps(2))]
    );
    assert_eq!(
        world
            .outcomes()
            .iter()
            .filter(|(step, _)| step == "update")
            .count(),
        3,
        "none is there twice"
    );
}

#[tokio::test]
async fn whoever_loses_the_lease_still_says_what_was_sent() {
    let (world, members) = world_with_members(2);
    put_team(&world, &members[..1]);
    world.settle().await;
    let ledger = Arc::clone(&world.ledger);
    // Another worker takes the entry while the answer is on its way.
    let steal = move || {
        ledger
            .state()
            .outbox
            .values_mut()
            .for_each(|entry| entry.leased = Some((i64::MAX, Timestamp::MAX)));
    };
    world.application.inner().after_patch = Some(Box::new(steal));
    put_team(&world, &members);
    world.engine.run_until_idle().await.unwrap();
    assert_eq!(
        world
            .ledger
            .state()
            .links
            .values()
            .find(|link| link.resource_id == "g1")
            .unwrap()
            .acknowledged_members
            .len(),
        1
    );
    assert_eq!(
        world.outcomes().last(),
        Some(&("update".into(), "done".into()))
    );
}
