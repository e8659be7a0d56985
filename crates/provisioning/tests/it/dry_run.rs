//! A dry run shows what would be sent, and sends nothing.

use directory::tenant::TenantId;
use provisioning::account::{AccountId, Place};
use provisioning::application::ApplicationSettings;
use provisioning::dry_run::DryRun;
use provisioning::ledger::Next;
use provisioning::machine::Request;
use provisioning::types::Types;
use serde_json::json;

use crate::world::World;

async fn plan(world: &World, id: &str) -> Vec<Request> {
    let dry_run = DryRun {
        store: world.ports.store.clone(),
        ledger: world.ports.ledger.clone(),
        types: Types::new(world.ports.types.clone()),
        connector: world.ports.connector.clone(),
    };
    let application = world.ledger.state().applications[0].clone();
    let now = world.ports.clock.now();
    let planned = dry_run
        .plan(TenantId(1), &application, "User", id, now)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(planned.next, Next::Done);
    planned.writes
}

#[tokio::test]
async fn a_plan_is_what_is_sent_and_sends_nothing() {
    let world = World::new(ApplicationSettings::default());
    // Somebody new, who changes and may no longer sign in, comes back, and leaves.
    let cases = [
        Some(json!({"userName": "ada", "title": "Countess"})),
        Some(json!({"userName": "ada.king", "active": false, "name": {"familyName": "King"}})),
        Some(json!({"userName": "ada.king", "active": true, "nickName": "A"})),
        None,
    ];
    for document in cases {
        match &document {
            Some(document) => world.put_user("u1", document),
            None => world.remove("User", "u1"),
        }
        world.application.inner().writes.clear();
        let planned = plan(&world, "u1").await;
        assert!(!planned.is_empty());
        assert_eq!(world.application.inner().writes, [], "a plan sends nothing");
        world.settle().await;
        assert_eq!(planned, world.application.inner().writes);
        assert_eq!(world.ledger.state().outbox.len(), 0);
    }
}

#[tokio::test]
async fn a_plan_sees_what_was_changed_over_there() {
    let world = World::new(ApplicationSettings::default());
    world.put_user("u1", &json!({"userName": "ada", "active": true}));
    world.settle().await;
    assert_eq!(plan(&world, "u1").await, []);
    world
        .application
        .inner()
        .accounts
        .get_mut(&("User".into(), "r1".into()))
        .unwrap()
        .insert("active".into(), json!(false));
    let writes = plan(&world, "u1").await;
    let Request::Change(change) = &writes[0] else {
        panic!("{writes:?}")
    };
    assert_eq!(
        (writes.len(), &change.id, &change.edits[0].place),
        (1, &AccountId::new("r1").unwrap(), &Place::core("active"))
    );
}
