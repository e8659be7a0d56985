//! A tenant's schemas and resource types: activated whole or not at all, also while others write; the index complete; every version kept.

use std::collections::HashSet;
use std::sync::Arc;

use directory::access::{Caller, Permissions};
use directory::directory::{DirectoryError, Edited, PatchAnswer};
use directory::schema_change::Edit;
use directory::schema_store::Activation;
use directory::search::{Condition, Page, plan};
use directory::store::{CommitError, Include};
use directory::tenant::TenantSettings;
use directory::tenant_types::{DocumentKind, TenantTypes};
use directory::version::Expected;
use scim_protocol::messages::BulkRequest;
use scim_protocol::schema::standard::{GROUP, USER};
use scim_protocol::{Error, ErrorKind, Filter};
use serde_json::{Value, json};

use crate::place::{ALL, NOTHING, Place, World, entry, on_both_engines};

on_both_engines!(
    an_index_is_made_for_what_is_there,
    contradictions_are_named_and_nothing_is_changed,
    a_rehearsal_changes_nothing,
    a_type_comes_lives_and_goes_when_it_is_empty,
    a_new_tenant_has_every_type_that_is_brought,
    no_write_is_missed_while_an_index_is_made,
    commits_of_yesterdays_types_are_refused,
    what_was_decided_with_yesterdays_types_is_done_with_those_of_today,
    every_version_is_kept,
    tenants_have_their_own,
    an_external_id_can_be_made_unique,
);

const BADGE: &str = "urn:example:Badge";

async fn caller(world: &World) -> Caller {
    world
        .directory()
        .caller(world.tenant.clone(), "test".into(), Permissions::all())
        .await
        .unwrap()
}

async fn edit_as(world: &World, edit: Edit, activation: Activation) -> Result<Edited, Error> {
    match world
        .directory()
        .edit_types(&caller(world).await, &edit, activation)
        .await
    {
        Ok(edited) => Ok(edited),
        Err(DirectoryError::Refused(error)) => Err(error),
        Err(DirectoryError::Fault(fault)) => panic!("{fault:?}"),
    }
}

async fn edit(world: &World, edit: Edit) -> Result<Edited, Error> {
    edit_as(world, edit, Activation::Keep).await
}

/// The schema of badges with these characteristics of its `number`.
fn badge(number: Value) -> Edit {
    let mut attribute = json!({"name": "number", "type": "string"});
    attribute
        .as_object_mut()
        .unwrap()
        .extend(number.as_object().unwrap().clone());
    Edit::PutSchema(
        json!({"id": BADGE, "extends": ["User"], "attributes": [attribute, {"name": "note", "type": "string"}]}),
    )
}

async fn user(world: &World, name: &str, number: &str) -> Result<String, DirectoryError> {
    let caller = caller(world).await;
    let body = json!({"schemas": [USER, BADGE], "userName": name, BADGE: {"number": number}});
    let schema = caller.schemas.by_name("User").unwrap().clone();
    Ok(world
        .directory()
        .create(&caller, &schema, body, Include::default())
        .await?
        .id)
}

/// Who has the number, and whether an index alone says so.
async fn found(world: &World, number: &str) -> (HashSet<String>, bool) {
    let caller = caller(world).await;
    let types = [caller.schemas.by_name("User").unwrap().clone()];
    let filter = Filter::parse(
        &format!("{BADGE}:number eq {}", json!(number)),
        scim_protocol::filter::FilterLimits::default(),
    )
    .unwrap();
    let plan = plan(
        &types,
        Some(filter),
        None,
        Page {
            offset: 0,
            limit: 10_000,
        },
        NOTHING,
    )
    .unwrap();
    let by_index = plan.residual.is_none()
        && plan
            .conditions
            .iter()
            .all(|condition| *condition != Condition::All);
    let page = world.directory().search(&caller, plan).await.unwrap();
    (
        page.resources.into_iter().map(|found| found.id).collect(),
        by_index,
    )
}

async fn index_rows(place: &Place) -> (i64, i64, i64, i64) {
    (
        place.number("SELECT count(*) FROM unique_values").await,
        place.number("SELECT count(*) FROM index_values").await,
        place.number("SELECT types_revision FROM tenants").await,
        place.number("SELECT count(*) FROM type_documents").await,
    )
}

async fn an_index_is_made_for_what_is_there(place: Place) {
    let world = World::new(&place).await;
    edit(&world, badge(json!({}))).await.unwrap();
    let mut ids = Vec::new();
    for index in 0..7 {
        ids.push(
            user(
                &world,
                &format!("u{index}"),
                if index < 2 { "B" } else { "a" },
            )
            .await
            .unwrap(),
        );
    }
    assert_eq!(
        found(&world, "b").await,
        (ids[..2].iter().cloned().collect(), false)
    );
    let edited = edit(&world, badge(json!({"x-indexed": true})))
        .await
        .unwrap();
    assert_eq!(
        (
            edited.activated.resources_checked,
            edited.activated.resources_indexed
        ),
        (7, 7)
    );
    assert_eq!(
        found(&world, "b").await,
        (ids[..2].iter().cloned().collect(), true)
    );
    // Other keys of the same values.
    edit(&world, badge(json!({"x-indexed": true, "caseExact": true})))
        .await
        .unwrap();
    assert_eq!(found(&world, "b").await, (HashSet::new(), true));
    assert_eq!(found(&world, "B").await.0.len(), 2);
    user(&world, "later", "B").await.unwrap();
    assert_eq!(found(&world, "B").await.0.len(), 3);
    // Without the index again, whatever rows are left do no harm.
    edit(&world, badge(json!({}))).await.unwrap();
    assert_eq!(found(&world, "b").await.0.len(), 3);
    let deleted = caller(&world).await;
    let schema = deleted.schemas.by_name("User").unwrap().clone();
    world
        .directory()
        .delete(&deleted, &schema, &ids[0], &Expected::default())
        .await
        .unwrap();
    edit(&world, badge(json!({"x-indexed": true})))
        .await
        .unwrap();
    assert_eq!(found(&world, "b").await.0.len(), 2);
    let rows = place
        .number(
            "SELECT count(*) FROM index_values WHERE NOT EXISTS (SELECT 1 FROM resources WHERE resources.resource = index_values.resource)",
        )
        .await;
    assert_eq!(rows, 0);
}

async fn contradictions_are_named_and_nothing_is_changed(place: Place) {
    let world = World::new(&place).await;
    edit(&world, badge(json!({}))).await.unwrap();
    let ann = user(&world, "ann", "7").await.unwrap();
    let bob = user(&world, "bob", "7").await.unwrap();
    let plain = json!({"schemas": [USER], "userName": "plain"});
    let asker = caller(&world).await;
    let schema = asker.schemas.by_name("User").unwrap().clone();
    let plain = world
        .directory()
        .create(&asker, &schema, plain, Include::default())
        .await
        .unwrap()
        .id;
    let before = index_rows(&place).await;
    let check = async |change: Edit, named: &[&String], said: &str| {
        let error = edit(&world, change.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{change:?}: {error}");
        assert!(
            named.iter().all(|id| error.detail().contains(id.as_str()))
                && error.detail().contains(said),
            "{change:?}: {error}"
        );
        assert_eq!(index_rows(&place).await, before, "{change:?}");
    };
    check(
        badge(json!({"uniqueness": "server"})),
        &[&bob],
        "has a value that another User has too",
    )
    .await;
    check(
        badge(json!({"type": "integer"})),
        &[&ann, &bob],
        "must be an integer",
    )
    .await;
    check(
        badge(json!({"multiValued": true})),
        &[&ann],
        "must be an array",
    )
    .await;
    check(
        badge(json!({"canonicalValues": ["8"], "x-enforced": true})),
        &[&ann],
        "accepted is one of `8`",
    )
    .await;
    check(
        badge(json!({"mutability": "readOnly"})),
        &[&ann],
        "number` has a value",
    )
    .await;
    let without =
        Edit::PutSchema(json!({"id": BADGE, "attributes": [{"name": "note", "type": "string"}]}));
    check(without, &[&ann], "is not an attribute").await;
    check(
        Edit::RemoveSchema(BADGE.into()),
        &[&ann, &bob],
        "not a schema of User",
    )
    .await;
    let constraint = Edit::PutSchema(
        json!({"id": USER, "attributes": [{"name": "displayName", "required": true}]}),
    );
    check(constraint, &[&ann, &plain], "`displayName` is required").await;
    // What only some lack is asked only of those that have the extension.
    edit(&world, badge(json!({"required": true})))
        .await
        .unwrap();
}

async fn a_rehearsal_changes_nothing(place: Place) {
    let world = World::new(&place).await;
    edit(&world, badge(json!({}))).await.unwrap();
    user(&world, "ann", "7").await.unwrap();
    let before = index_rows(&place).await;
    let edited = edit_as(
        &world,
        badge(json!({"uniqueness": "server"})),
        Activation::Rehearse,
    )
    .await
    .unwrap();
    assert_eq!(
        (edited.activated.resources_indexed, edited.sentences.len()),
        (1, 1)
    );
    assert_eq!(index_rows(&place).await, before);
    assert!(!found(&world, "7").await.1);
}

async fn a_type_comes_lives_and_goes_when_it_is_empty(place: Place) {
    let world = World::new(&place).await;
    let urn = "urn:example:Door";
    let door = json!({"id": urn, "attributes": [{"name": "name", "type": "string", "required": true, "uniqueness": "global"}]});
    edit(&world, Edit::PutSchema(door)).await.unwrap();
    edit(
        &world,
        Edit::PutResourceType(json!({"name": "Door", "endpoint": "/Doors", "schema": urn})),
    )
    .await
    .unwrap();
    let asker = caller(&world).await;
    let schema = asker.schemas.by_endpoint("/Doors").unwrap().clone();
    let make = async |name: &str| {
        world
            .directory()
            .create(
                &asker,
                &schema,
                json!({"schemas": [urn], "name": name}),
                NOTHING,
            )
            .await
    };
    let front = make("Front").await.unwrap().id;
    match make("FRONT").await.unwrap_err() {
        DirectoryError::Refused(error) => assert_eq!(
            (error.kind(), error.path()),
            (ErrorKind::Uniqueness, Some("name"))
        ),
        DirectoryError::Fault(fault) => panic!("{fault:?}"),
    }
    let refused = edit(&world, Edit::RemoveResourceType("Door".into()))
        .await
        .unwrap_err();
    assert!(
        refused.kind() == ErrorKind::Conflict && refused.detail().contains(&front),
        "{refused}"
    );
    world
        .directory()
        .delete(&asker, &schema, &front, &Expected::default())
        .await
        .unwrap();
    edit(&world, Edit::RemoveResourceType("Door".into()))
        .await
        .unwrap();
    edit(&world, Edit::RemoveSchema(urn.into())).await.unwrap();
    assert!(caller(&world).await.schemas.by_name("Door").is_none());
}

/// Writers on two nodes while an index comes; whoever is told that the types changed reads them again.
async fn no_write_is_missed_while_an_index_is_made(place: Place) {
    let world = World::new(&place).await;
    edit(&world, badge(json!({}))).await.unwrap();
    for index in 0..20 {
        user(&world, &format!("before{index}"), "n").await.unwrap();
    }
    let other_node = World {
        opened: place.open().await,
        ..world.clone()
    };
    let writers = (0..4).map(|writer| {
        let world = if writer % 2 == 0 {
            world.clone()
        } else {
            other_node.clone()
        };
        tokio::spawn(async move {
            for index in 0..25 {
                loop {
                    match user(&world, &format!("w{writer}-{index}"), "n").await {
                        Ok(_) => break,
                        Err(DirectoryError::Refused(error))
                            if error.kind() == ErrorKind::Unavailable => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    for round in 0..4 {
        edit(&world, badge(json!({"x-indexed": round % 2 == 0})))
            .await
            .unwrap();
    }
    edit(&world, badge(json!({"x-indexed": true})))
        .await
        .unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    let (everybody, by_index) = found(&world, "n").await;
    assert!(by_index);
    assert_eq!(everybody.len(), 120);
}

/// Whoever was known before an edit, and writes after it.
async fn what_was_decided_with_yesterdays_types_is_done_with_those_of_today(place: Place) {
    let world = World::new(&place).await;
    edit(&world, badge(json!({}))).await.unwrap();
    let directory = world.directory();
    let (any, nothing) = (Expected::default(), Include::default());
    let body =
        |name: &str| json!({"schemas": [USER, BADGE], "userName": name, BADGE: {"number": name}});
    let late = caller(&world).await;
    let users = late.schemas.by_name("User").unwrap().clone();
    let ann = directory
        .create(&late, &users, body("ann"), nothing)
        .await
        .unwrap()
        .id;
    // Nothing of its own type, and then its index.
    edit(&world, Edit::RemoveResourceType("Role".into()))
        .await
        .unwrap();
    directory
        .replace(&late, &users, &ann, body("ann2"), &any, nothing)
        .await
        .unwrap();
    edit(&world, badge(json!({"uniqueness": "server"})))
        .await
        .unwrap();
    directory
        .create(&late, &users, body("bob"), nothing)
        .await
        .unwrap();
    assert_eq!(
        (
            found(&world, "bob").await.0.len(),
            found(&world, "ann2").await
        ),
        (1, (HashSet::from([ann.clone()]), true))
    );
    let twin = json!({"schemas": [USER, BADGE], "userName": "cid", BADGE: {"number": "BOB"}});
    let refused = |outcome: Result<String, DirectoryError>| match outcome {
        Err(DirectoryError::Refused(error)) => error.kind(),
        outcome => panic!("{outcome:?}"),
    };
    let create = async |body: Value| {
        directory
            .create(&late, &users, body, nothing)
            .await
            .map(|made| made.id)
    };
    assert_eq!(refused(create(twin).await), ErrorKind::Uniqueness);
    let data = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": format!("{BADGE}:number"), "value": "7"}]});
    directory
        .patch(&late, &users, &ann, data, &any, PatchAnswer::Version)
        .await
        .unwrap();
    assert_eq!(found(&world, "7").await.0, HashSet::from([ann.clone()]));
    for (atomic, names) in [(false, ["dora", "emma"]), (true, ["dan", "eve"])] {
        edit(&world, badge(json!({"x-indexed": !atomic})))
            .await
            .unwrap();
        let schema = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
        let operations = names.map(
            |name| json!({"method": "POST", "path": "/Users", "bulkId": name, "data": body(name)}),
        );
        let request = BulkRequest::from_body(
            json!({"schemas": [schema], "atomic": atomic, "Operations": operations}),
        )
        .unwrap();
        assert!(
            directory
                .bulk(&late, request)
                .await
                .iter()
                .all(|answer| answer.outcome.is_ok()),
            "{atomic}"
        );
    }
    assert_eq!(
        (
            found(&world, "dora").await.0.len(),
            found(&world, "eve").await.0.len()
        ),
        (1, 1)
    );
    // What the types of today refuse: the client is told to send it again, and then is told why.
    edit(
        &world,
        Edit::PutSchema(
            json!({"id": GROUP, "attributes": [{"name": "externalId", "required": true}]}),
        ),
    )
    .await
    .unwrap();
    let groups = late.schemas.by_name("Group").unwrap().clone();
    let group = |more: Value| {
        let mut body = json!({"schemas": [GROUP], "displayName": "g"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    let make = async |more: Value| {
        directory
            .create(&late, &groups, group(more), nothing)
            .await
            .map(|made| made.id)
    };
    assert_eq!(refused(make(json!({})).await), ErrorKind::Unavailable);
    assert!(make(json!({"externalId": "e"})).await.is_ok());
    // A type that is gone.
    let devices = late.schemas.by_name("Device").unwrap().clone();
    edit(&world, Edit::RemoveResourceType("Device".into()))
        .await
        .unwrap();
    let device = json!({"schemas": [devices.core.id], "active": true});
    assert_eq!(
        refused(
            directory
                .create(&late, &devices, device, nothing)
                .await
                .map(|made| made.id)
        ),
        ErrorKind::Unavailable
    );
    directory.delete(&late, &users, &ann, &any).await.unwrap();
}

async fn commits_of_yesterdays_types_are_refused(place: Place) {
    let world = World::new(&place).await;
    let late = world.create_with(
        "User",
        "late",
        json!({"schemas": [USER], "userName": "late"}),
        &[],
    );
    edit(&world, badge(json!({}))).await.unwrap();
    assert!(matches!(
        world.commit_one(late.clone()).await,
        Err(CommitError::TypesChanged)
    ));
    assert!(world.read("User", "late").await.is_none());
    assert_eq!(place.number("SELECT count(*) FROM unique_values").await, 0);
    let now = World {
        schemas: caller(&world).await.schemas,
        ..world
    };
    now.commit_one(late).await.unwrap();
}

async fn a_new_tenant_has_every_type_that_is_brought(place: Place) {
    let world = World::new(&place).await;
    let types = async || {
        world
            .opened
            .types
            .read_types(world.tenant.id)
            .await
            .unwrap()
    };
    let documents = async || place.number("SELECT count(*) FROM type_documents").await;
    assert_eq!(types().await, *TenantTypes::first());
    assert_eq!(documents().await, 6);
    // A name that is taken leaves nothing behind.
    let twice = world
        .opened
        .tenants
        .create_tenant(
            "acme",
            TenantSettings::default(),
            world.tenant.created,
            entry(),
        )
        .await
        .unwrap();
    assert_eq!((twice, documents().await), (None, 6));
    edit(&world, Edit::RemoveResourceType("Role".into()))
        .await
        .unwrap();
    assert!(types().await.resource_type("role").is_none());
    edit(&world, Edit::PutResourceType(json!({"name": "Role"})))
        .await
        .unwrap();
    let again = types().await;
    // Whoever adds it wants it listed.
    let mut expected = TenantTypes {
        revision: 3,
        ..TenantTypes::first().clone()
    };
    expected.resource_types.last_mut().unwrap().quiet = false;
    assert_eq!(
        (again, expected.resource_types.last().unwrap().name.as_str()),
        (expected.clone(), "Role")
    );
    let history = world
        .directory()
        .type_history(&caller(&world).await, DocumentKind::ResourceType, "Role")
        .await
        .unwrap();
    let seen: Vec<_> = history
        .iter()
        .map(|version| (version.author.as_str(), version.document.is_some()))
        .collect();
    assert_eq!(seen, [("rollcall", true), ("test", false), ("test", true)]);
}

async fn every_version_is_kept(place: Place) {
    let world = World::new(&place).await;
    edit(&world, badge(json!({}))).await.unwrap();
    assert!(
        edit(&world, badge(json!({})))
            .await
            .unwrap()
            .sentences
            .is_empty()
    );
    edit(&world, badge(json!({"x-indexed": true})))
        .await
        .unwrap();
    edit(&world, Edit::RemoveSchema(BADGE.into()))
        .await
        .unwrap();
    edit(&world, badge(json!({}))).await.unwrap();
    let asker = caller(&world).await;
    let versions = world
        .directory()
        .type_history(&asker, DocumentKind::Schema, &BADGE.to_uppercase())
        .await
        .unwrap();
    let indexed = |document: &Value| document.pointer("/attributes/0/x-indexed").is_some();
    let seen: Vec<_> = versions
        .iter()
        .map(|version| (version.version, version.document.as_ref().map(indexed)))
        .collect();
    assert_eq!(
        seen,
        [
            (1, Some(false)),
            (2, Some(true)),
            (3, None),
            (4, Some(false))
        ]
    );
    assert!(versions.iter().all(|version| version.author == "test"));
    let types = world
        .directory()
        .type_history(&asker, DocumentKind::ResourceType, "User")
        .await
        .unwrap();
    assert_eq!(types.len(), 3);
    assert!(
        world
            .directory()
            .type_history(&asker, DocumentKind::Schema, "urn:x:y")
            .await
            .is_err()
    );
    let reopened = place.open().await;
    let types = reopened.types.read_types(world.tenant.id).await.unwrap();
    // Six types that are brought, and User with the extension.
    assert_eq!(
        (
            types.revision,
            types.schemas.len(),
            types.resource_types.len()
        ),
        (5, 1, 7)
    );
}

async fn tenants_have_their_own(place: Place) {
    let world = World::new(&place).await;
    let other = World::in_store(world.opened.clone(), "other", Arc::clone(&world.counter)).await;
    let elsewhere = place.open().await.tenants;
    let revision = elsewhere.tenant_revision("acme").await.unwrap();
    assert_eq!(
        world.opened.tenants.tenant_revision("acme").await.unwrap(),
        revision
    );
    edit(&world, badge(json!({}))).await.unwrap();
    assert!(
        caller(&world)
            .await
            .schemas
            .by_name("User")
            .unwrap()
            .extension(BADGE)
            .is_some()
    );
    assert!(
        caller(&other)
            .await
            .schemas
            .by_name("User")
            .unwrap()
            .extension(BADGE)
            .is_none()
    );
    for tenants in [&world.opened.tenants, &elsewhere] {
        assert_ne!(tenants.tenant_revision("acme").await.unwrap(), revision);
    }
    assert_eq!(
        world.opened.tenants.tenant_revision("other").await.unwrap(),
        revision
    );
}

/// It is no attribute of any schema, and resources are found by it wherever its index is.
async fn an_external_id_can_be_made_unique(place: Place) {
    let settings = TenantSettings {
        pending_references: Some(true),
        ..TenantSettings::default()
    };
    let world = World::with_settings(place.open().await, "acme", Arc::default(), settings).await;
    let asker = caller(&world).await;
    let make = async |resource_type: &str, name: &str, external_id: &str| {
        let asker = caller(&world).await;
        let schema = asker.schemas.by_name(resource_type).unwrap().clone();
        let body = json!({"schemas": [schema.core.id], "userName": name, "displayName": name, "externalId": external_id});
        world
            .directory()
            .create(&asker, &schema, body, NOTHING)
            .await
            .map(|made| made.id)
    };
    let (ann, bob) = (
        make("User", "ann", "E1").await.unwrap(),
        make("User", "bob", "E1").await.unwrap(),
    );
    let unique = Edit::PutSchema(
        json!({"id": USER, "attributes": [{"name": "externalId", "uniqueness": "server"}]}),
    );
    let before = index_rows(&place).await;
    let refused = edit(&world, unique.clone()).await.unwrap_err();
    assert!(
        refused.kind() == ErrorKind::Conflict
            && refused
                .detail()
                .contains("`externalId` has a value that another User has"),
        "{refused}"
    );
    assert!(
        refused.detail().contains(&bob) && index_rows(&place).await == before,
        "{refused}"
    );
    let schema = asker.schemas.by_name("User").unwrap().clone();
    world
        .directory()
        .delete(&asker, &schema, &bob, &Expected::default())
        .await
        .unwrap();
    assert_eq!(
        edit(&world, unique)
            .await
            .unwrap()
            .activated
            .resources_indexed,
        1
    );
    match make("User", "carl", "E1").await.unwrap_err() {
        DirectoryError::Refused(error) => assert_eq!(
            (error.kind(), error.path()),
            (ErrorKind::Uniqueness, Some("externalId"))
        ),
        DirectoryError::Fault(fault) => panic!("{fault:?}"),
    }
    let carl = make("User", "carl", "e1").await.unwrap();
    let body = json!({"schemas": [GROUP], "displayName": "by name", "members": [{"value": "e1"}]});
    let asker = caller(&world).await;
    let group = world
        .directory()
        .create(
            &asker,
            &asker.schemas.by_name("Group").unwrap().clone(),
            body,
            ALL,
        )
        .await
        .unwrap();
    assert_eq!(
        group
            .members
            .iter()
            .map(|member| member.id.as_str())
            .collect::<Vec<_>>(),
        [carl]
    );
    // Of another type.
    make("Group", "staff", "E1").await.unwrap();
    make("Group", "crew", "E1").await.unwrap();
    let asker = caller(&world).await;
    let filter = Filter::parse(
        "externalId eq \"E1\"",
        scim_protocol::filter::FilterLimits::default(),
    )
    .unwrap();
    let plan = plan(
        &[asker.schemas.by_name("User").unwrap().clone()],
        Some(filter),
        None,
        Page {
            offset: 0,
            limit: 9,
        },
        NOTHING,
    )
    .unwrap();
    let page = world.directory().search(&asker, plan).await.unwrap();
    assert_eq!(
        page.resources
            .iter()
            .map(|found| found.id.as_str())
            .collect::<Vec<_>>(),
        [ann]
    );
    edit(&world, Edit::RemoveSchema(USER.into())).await.unwrap();
    make("User", "dora", "E1").await.unwrap();
}
