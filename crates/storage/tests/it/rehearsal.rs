//! What is only rehearsed: refused like everything else, answered like everything else, and gone.

use std::sync::Arc;

use directory::directory::{DirectoryError, PatchAnswer};
use directory::journal::Journal;
use directory::store::Include;
use directory::tenant::TenantSettings;
use directory::version::Expected;
use scim_protocol::ErrorKind;
use scim_protocol::messages::BulkRequest;
use scim_protocol::schema::standard::{GROUP, USER};
use serde_json::{Value, json};

use crate::place::{ALL, NOTHING, Place, World, on_both_engines};

on_both_engines!(
    a_rehearsed_create_leaves_nothing,
    what_would_be_refused_is_refused,
    a_rehearsed_patch_answers_with_what_would_be,
    a_rehearsed_delete_leaves_everything,
    later_steps_see_what_was_rehearsed_before,
    a_silent_rehearsal_gives_way_and_goes_on,
    who_is_deleted_in_a_rehearsal_comes_back_in_it,
    nobody_is_woken_by_a_rehearsal,
);

fn ann() -> Value {
    json!({"schemas": [USER], "userName": "ann"})
}

fn kind<T: std::fmt::Debug>(outcome: Result<T, DirectoryError>) -> ErrorKind {
    match outcome.unwrap_err() {
        DirectoryError::Refused(error) => error.kind(),
        DirectoryError::Fault(fault) => panic!("{fault}"),
    }
}

async fn a_rehearsed_create_leaves_nothing(place: Place) {
    let world = World::new(&place).await;
    let (directory, caller, user) = (world.directory(), world.caller(), world.schema("User"));
    let would_be = directory
        .rehearsing()
        .unwrap()
        .create(&caller, &user, ann(), ALL)
        .await
        .unwrap();
    assert_eq!(
        (would_be.version, would_be.document["userName"].as_str()),
        (1, Some("ann"))
    );
    assert_eq!(world.read("User", &would_be.id).await, None);
    assert!(place.log(world.tenant.id).await.is_empty());
    assert_eq!(place.number("SELECT count(*) FROM unique_values").await, 0);
    let made = directory.create(&caller, &user, ann(), ALL).await.unwrap();
    assert_eq!(made.document, would_be.document);
    assert_eq!(
        place.log(world.tenant.id).await.len(),
        1,
        "a rehearsal uses up no sequence"
    );
    assert_eq!(place.log(world.tenant.id).await[0].0, 1);
}

async fn what_would_be_refused_is_refused(place: Place) {
    let world = World::new(&place).await;
    let (directory, caller, user, group) = (
        world.directory(),
        world.caller(),
        world.schema("User"),
        world.schema("Group"),
    );
    let held = directory
        .create(&caller, &user, ann(), NOTHING)
        .await
        .unwrap();
    let rehearsal = directory.rehearsing().unwrap();
    assert_eq!(
        kind(rehearsal.create(&caller, &user, ann(), NOTHING).await),
        ErrorKind::Uniqueness
    );
    let stranger =
        json!({"schemas": [GROUP], "displayName": "g", "members": [{"value": "nobody"}]});
    assert_eq!(
        kind(rehearsal.create(&caller, &group, stranger, NOTHING).await),
        ErrorKind::InvalidValue
    );
    let stale = Expected::if_match("W/\"7\"");
    assert_eq!(
        kind(
            rehearsal
                .replace(&caller, &user, &held.id, ann(), &stale, NOTHING)
                .await
        ),
        ErrorKind::PreconditionFailed
    );
    assert_eq!(
        kind(
            rehearsal
                .delete(&caller, &user, "nobody", &Expected::default())
                .await
        ),
        ErrorKind::NotFound
    );
    assert_eq!(world.read("User", &held.id).await.unwrap().version, 1);
}

async fn a_rehearsed_patch_answers_with_what_would_be(place: Place) {
    let world = World::new(&place).await;
    let (directory, caller, group) = (world.directory(), world.caller(), world.schema("Group"));
    world.user("a").await;
    world.user("b").await;
    world.group("g", &["a"]).await;
    let before = world.read("Group", "g").await.unwrap();
    let operations = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
        {"op": "add", "path": "members", "value": [{"value": "b"}]},
    ]});
    let patch = |directory: directory::Directory, operations: Value| {
        let (caller, group) = (caller.clone(), group.clone());
        async move {
            directory
                .patch(
                    &caller,
                    &group,
                    "g",
                    operations,
                    &Expected::default(),
                    PatchAnswer::Resource(ALL),
                )
                .await
                .unwrap()
        }
    };
    let would_be = patch(directory.rehearsing().unwrap(), operations.clone())
        .await
        .resource
        .unwrap();
    assert_eq!((would_be.version, would_be.members.len()), (2, 2));
    assert_eq!(world.read("Group", "g").await.unwrap(), before);
    let renamed = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
        {"op": "replace", "path": "displayName", "value": "h"}, {"op": "remove", "path": "members"},
    ]});
    let would_be = patch(directory.rehearsing().unwrap(), renamed)
        .await
        .resource
        .unwrap();
    assert_eq!(
        (
            would_be.document["displayName"].as_str(),
            would_be.members.len()
        ),
        (Some("h"), 0)
    );
    assert_eq!(world.read("Group", "g").await.unwrap(), before);
    assert_eq!(
        patch(directory, operations)
            .await
            .resource
            .unwrap()
            .members
            .len(),
        2
    );
}

async fn a_rehearsed_delete_leaves_everything(place: Place) {
    let world = World::new(&place).await;
    let (directory, caller) = (world.directory(), world.caller());
    world.user("a").await;
    world.group("g", &["a"]).await;
    let before = (
        world.read("User", "a").await,
        world.read("Group", "g").await,
    );
    directory
        .rehearsing()
        .unwrap()
        .delete(&caller, &world.schema("User"), "a", &Expected::default())
        .await
        .unwrap();
    assert_eq!(
        (
            world.read("User", "a").await,
            world.read("Group", "g").await
        ),
        before
    );
}

async fn later_steps_see_what_was_rehearsed_before(place: Place) {
    let world = World::new(&place).await;
    let (caller, log_before) = (world.caller(), place.log(world.tenant.id).await);
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"schemas": [GROUP], "displayName": "g", "members": [{"value": "bulkId:u"}]}},
        {"method": "POST", "path": "/Users", "bulkId": "u", "data": ann()},
        {"method": "POST", "path": "/Users", "bulkId": "twin", "data": ann()},
        {"method": "PATCH", "path": "/Users/bulkId:u", "data": {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "Replace", "path": "active", "value": "False"}]}},
        {"method": "DELETE", "path": "/Users/bulkId:u"},
    ]});
    let journal = Journal::default();
    let directory = world
        .directory()
        .with_journal(journal.clone())
        .rehearsing()
        .unwrap();
    let answers = directory
        .bulk(&caller, BulkRequest::from_body(body).unwrap())
        .await;
    let versions: Vec<_> = answers
        .iter()
        .map(|answer| answer.outcome.as_ref().ok().copied())
        .collect();
    assert_eq!(versions, [Some(1), Some(1), None, Some(2), Some(0)]);
    assert_eq!(place.number("SELECT count(*) FROM resources").await, 0);
    assert_eq!(place.log(world.tenant.id).await, log_before);
    let learned = journal.take();
    assert_eq!(learned.changes.len(), 4);
    assert!(
        learned
            .adaptations
            .iter()
            .any(|one| one.what == "accepted `\"False\"` for `active`"),
        "{learned:?}"
    );
}

async fn a_silent_rehearsal_gives_way_and_goes_on(place: Place) {
    let world = World::new(&place).await;
    let (directory, caller, user) = (world.directory(), world.caller(), world.schema("User"));
    let bob = || json!({"schemas": [USER], "userName": "bob"});
    let rehearsal = directory.rehearsing().unwrap();
    let would_be = rehearsal
        .create(&caller, &user, ann(), NOTHING)
        .await
        .unwrap();
    // On SQLite this waits until the rehearsal gives way.
    directory
        .create(&caller, &user, bob(), NOTHING)
        .await
        .unwrap();
    assert_eq!(
        kind(rehearsal.create(&caller, &user, bob(), NOTHING).await),
        ErrorKind::Uniqueness,
        "what others wrote is seen"
    );
    assert_eq!(
        kind(rehearsal.create(&caller, &user, ann(), NOTHING).await),
        ErrorKind::Uniqueness,
        "what was rehearsed is remembered"
    );
    assert_eq!(
        rehearsal
            .read(&caller, &user, &would_be.id, NOTHING)
            .await
            .unwrap()
            .document,
        would_be.document
    );
    // On both engines this does: the name is taken until then.
    let ann_is = directory
        .create(&caller, &user, ann(), NOTHING)
        .await
        .unwrap();
    assert_eq!(
        kind(rehearsal.read(&caller, &user, &would_be.id, NOTHING).await),
        ErrorKind::NotFound,
        "it cannot be any more"
    );
    rehearsal
        .delete(&caller, &user, &ann_is.id, &Expected::default())
        .await
        .unwrap();
    assert_eq!(world.read("User", &ann_is.id).await.unwrap().version, 1);
}

async fn who_is_deleted_in_a_rehearsal_comes_back_in_it(place: Place) {
    let settings = TenantSettings {
        revive_deleted: Some(true),
        ..TenantSettings::default()
    };
    let world = World::with_settings(place.open().await, "acme", Arc::default(), settings).await;
    let (directory, caller, user) = (world.directory(), world.caller(), world.schema("User"));
    let held = directory
        .create(&caller, &user, ann(), NOTHING)
        .await
        .unwrap();
    let rehearsal = directory.rehearsing().unwrap();
    rehearsal
        .delete(&caller, &user, &held.id, &Expected::default())
        .await
        .unwrap();
    let back = rehearsal
        .create(&caller, &user, ann(), NOTHING)
        .await
        .unwrap();
    assert_eq!((&back.id, back.version), (&held.id, 3));
    assert_eq!(world.read("User", &held.id).await.unwrap().version, 1);
}

async fn nobody_is_woken_by_a_rehearsal(place: Place) {
    let world = World::new(&place).await;
    let committed = world.opened.committed.clone();
    let user = world.schema("User");
    let include = Include::default();
    // Whoever was woken by making the tenant is done with that.
    while tokio::time::timeout(std::time::Duration::from_millis(300), committed.notified())
        .await
        .is_ok()
    {}
    world
        .directory()
        .rehearsing()
        .unwrap()
        .create(&world.caller(), &user, ann(), include)
        .await
        .unwrap();
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(100), committed.notified())
            .await
            .is_err()
    );
    world
        .directory()
        .create(&world.caller(), &user, ann(), include)
        .await
        .unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(10), committed.notified())
        .await
        .unwrap();
}
