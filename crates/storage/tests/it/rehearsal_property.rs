//! Whatever a bulk request holds, rehearsed it is answered as it is answered when it is carried out right afterwards; and rehearsing changes nothing.

use directory::deletion_guard::{GuardSettings, Mode, Threshold};
use directory::directory::{BulkAnswer, DirectoryError};
use directory::history::Deleted;
use directory::tenant::TenantSettings;
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use scim_protocol::messages::BulkRequest;
use scim_protocol::schema::standard::{ENTERPRISE_USER, GROUP, USER};
use serde_json::{Value, json};

use crate::place::{Opened, Place, World};

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const USERS: [&str; 4] = ["u0", "u1", "u2", "u3"];
const GROUPS: [&str; 2] = ["g0", "g1"];

/// A tenant, and what it is sent, one request after the other.
#[derive(Clone, Debug)]
struct Case {
    settings: TenantSettings,
    requests: Vec<Value>,
}

/// Somebody who is there, who is made by another operation, or whom nobody knows.
fn reference(users: u32, groups: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        users => select(&USERS[..]).prop_map(str::to_owned),
        groups => select(&GROUPS[..]).prop_map(str::to_owned),
        3 => name().prop_map(|name| format!("bulkId:{name}")),
        1 => Just("nobody".to_owned()),
    ]
}

fn name() -> impl Strategy<Value = String> {
    (0..6).prop_map(|number| format!("b{number}"))
}

fn user_data() -> impl Strategy<Value = Value> {
    let name = select(&["u0", "U1", "u2", "n0", "N0", "n1", "n2", ""][..]);
    (
        name,
        option::weighted(0.4, any::<bool>()),
        option::weighted(0.3, reference(4, 1)),
    )
        .prop_map(|(name, active, manager)| {
            let mut data = json!({"schemas": [USER, ENTERPRISE_USER], "userName": name});
            if let Some(active) = active {
                data["active"] = active.into();
            }
            if let Some(manager) = manager {
                data[ENTERPRISE_USER] = json!({"manager": {"value": manager}});
            }
            data
        })
}

fn group_data() -> impl Strategy<Value = Value> {
    (select(&["g0", "h0", "h1"][..]), members()).prop_map(
        |(name, members)| json!({"schemas": [GROUP], "displayName": name, "members": members}),
    )
}

fn members() -> impl Strategy<Value = Value> {
    vec(reference(6, 2), 0..4)
        .prop_map(|members| members.iter().map(|id| json!({"value": id})).collect())
}

fn change_of_user() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => any::<bool>().prop_map(|active| json!({"op": "replace", "path": "active", "value": active})),
        2 => select(&["u0", "n0", "n1"][..]).prop_map(|name| json!({"op": "replace", "path": "userName", "value": name})),
        1 => Just(json!({"op": "remove", "path": "userName"})),
        1 => Just(json!({"op": "add", "path": "no[such", "value": 1})),
    ]
}

fn change_of_group() -> impl Strategy<Value = Value> {
    prop_oneof![
        (select(&["add", "replace"][..]), members())
            .prop_map(|(op, members)| json!({"op": op, "path": "members", "value": members})),
        reference(6, 1)
            .prop_map(|id| json!({"op": "remove", "path": format!("members[value eq \"{id}\"]")})),
        Just(json!({"op": "remove", "path": "members"})),
        Just(json!({"op": "replace", "path": "displayName", "value": "renamed"})),
    ]
}

/// An operation about somebody: method and data.
fn about(
    changes: BoxedStrategy<Value>,
    whole: BoxedStrategy<Value>,
) -> BoxedStrategy<(&'static str, Value)> {
    let patch = vec(changes, 1..3).prop_map(|operations| {
        (
            "PATCH",
            json!({"schemas": [PATCH], "Operations": operations}),
        )
    });
    prop_oneof![3 => patch, 2 => whole.prop_map(|data| ("PUT", data)), 2 => Just(("DELETE", Value::Null))].boxed()
}

fn operation() -> impl Strategy<Value = Value> {
    let post = |path: &'static str, data: BoxedStrategy<Value>| {
        (option::weighted(0.95, name()), data)
            .prop_map(move |(name, data)| json!({"method": "POST", "path": path, "bulkId": name, "data": data}))
    };
    let existing = |path: &'static str,
                    whom: BoxedStrategy<String>,
                    which: BoxedStrategy<(&'static str, Value)>| {
        let version = option::weighted(0.15, select(&["W/\"1\"", "W/\"2\""][..]));
        (whom, which, version).prop_map(move |(id, (method, data), version)| {
            json!({"method": method, "path": format!("{path}/{id}"), "data": data, "version": version})
        })
    };
    let membership = prop_oneof![
        (select(&GROUPS[..]), reference(4, 1)).prop_map(|(group, member)| {
            json!({"method": "POST", "path": "/GroupMembers", "bulkId": "m", "data": {"group": {"value": group}, "member": {"value": member}}})
        }),
        (select(&GROUPS[..]), select(&USERS[..]))
            .prop_map(|(group, member)| json!({"method": "DELETE", "path": format!("/GroupMembers/{group}.{member}")})),
    ];
    prop_oneof![
        5 => post("/Users", user_data().boxed()),
        3 => post("/Groups", group_data().boxed()),
        5 => existing("/Users", reference(6, 1).boxed(), about(change_of_user().boxed(), user_data().boxed())),
        4 => existing("/Groups", reference(1, 6).boxed(), about(change_of_group().boxed(), group_data().boxed())),
        2 => membership,
        1 => select(vec![json!({"method": "GET", "path": "/Users/u0"}), json!({"method": "DELETE", "path": "/Users"})]),
    ]
    .prop_map(without_nulls)
}

fn without_nulls(mut operation: Value) -> Value {
    operation
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    operation
}

fn case() -> impl Strategy<Value = Case> {
    let guard =
        (select(&[Mode::Off, Mode::Refuse, Mode::Park][..]), 1_u64..4).prop_map(|(mode, count)| {
            let threshold = Threshold { count, percent: 10 };
            GuardSettings {
                mode,
                window_minutes: 60,
                disables: threshold,
                deletes: threshold,
                memberships: threshold,
            }
        });
    let settings = (any::<bool>(), any::<bool>(), any::<bool>());
    let request = (vec(operation(), 1..14), option::weighted(0.3, 1..4)).prop_map(|(operations, errors)| {
        let body =
            json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "failOnErrors": errors, "Operations": operations});
        without_nulls(body)
    });
    (guard, settings, vec(request, 1..4)).prop_map(
        |(guard, (deleted, disabled, pending), requests)| {
            let settings = TenantSettings {
                guard,
                revive_deleted: Some(deleted),
                revive_disabled: Some(disabled),
                pending_references: Some(pending),
                ..TenantSettings::default()
            };
            Case { settings, requests }
        },
    )
}

/// What an answer says. New ids are not known before, so a resource is named by the place of the answer that made it.
fn said(answers: &[BulkAnswer]) -> Vec<Value> {
    let ids: Vec<&str> = answers
        .iter()
        .map(|answer| {
            answer
                .resource
                .as_ref()
                .map(|(_, id)| id.as_str())
                .unwrap_or_default()
        })
        .collect();
    let named = |text: &str| {
        let made = |id: &&&str| id.len() == 36;
        ids.iter().filter(made).fold(text.to_owned(), |text, id| {
            text.replace(
                id,
                &format!("#{}", ids.iter().position(|other| other == id).unwrap()),
            )
        })
    };
    let one = |answer: &BulkAnswer| {
        let outcome = match &answer.outcome {
            Ok(version) => json!({ "version": version }),
            Err(DirectoryError::Refused(error)) => {
                json!({ "refused": named(&error.to_json().to_string()) })
            }
            Err(DirectoryError::Fault(fault)) => panic!("{fault}"),
        };
        let resource = answer
            .resource
            .as_ref()
            .map(|(schema, id)| format!("{}/{}", schema.name(), named(id)));
        json!([
            format!("{:?}", answer.method),
            answer.bulk_id,
            resource,
            outcome
        ])
    };
    answers.iter().map(one).collect()
}

/// Everything that a request may change.
async fn held(place: &Place, world: &World) -> Vec<String> {
    let (tenant, opened) = (world.tenant.id, &world.opened);
    let sql = format!(
        "SELECT id || ' ' || version || ' ' || modified || ' ' || document FROM resources WHERE tenant = {} ORDER BY id",
        tenant.0
    );
    let mut held = place.texts(&sql, &sql).await;
    held.push(format!("{:?}", place.log(tenant).await));
    held.push(format!(
        "{:?}",
        opened
            .history
            .deleted(tenant, Deleted::Before(Timestamp::MAX), 100)
            .await
            .unwrap()
    ));
    held.push(format!(
        "{:?}",
        opened.parking.list_parked(tenant, None, 100).await.unwrap()
    ));
    held.push(format!(
        "{:?}",
        opened.parking.removals_since(tenant, 0).await.unwrap()
    ));
    held.push(format!(
        "{:?}",
        opened.pending.list_pending(tenant, 0, 100).await.unwrap()
    ));
    for group in GROUPS {
        held.push(format!(
            "{:?}",
            world.read("Group", group).await.map(|group| group.members)
        ));
    }
    held
}

async fn check(place: &Place, opened: Opened, name: &str, case: &Case) {
    let world = World::with_settings(
        opened,
        name,
        std::sync::Arc::default(),
        case.settings.clone(),
    )
    .await;
    for id in USERS {
        world.user(id).await;
    }
    world.group("g0", &["u0", "u1", "u2"]).await;
    world.group("g1", &["u3", "g0"]).await;
    let (directory, caller) = (world.directory(), world.caller());
    for request in &case.requests {
        let request = || BulkRequest::from_body(request.clone()).unwrap();
        let before = held(place, &world).await;
        let rehearsed = directory
            .rehearsing()
            .unwrap()
            .bulk(&caller, request())
            .await;
        assert_eq!(held(place, &world).await, before);
        let done = directory.bulk(&caller, request()).await;
        assert_eq!(said(&rehearsed), said(&done));
    }
}

fn every_case(place: &Place, runtime: &tokio::runtime::Runtime, cases: u32) {
    let opened = runtime.block_on(place.open());
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 256,
        ..Config::default()
    });
    let number = std::cell::Cell::new(0);
    let outcome = runner.run(&case(), |case| {
        number.set(number.get() + 1);
        runtime.block_on(check(
            place,
            opened.clone(),
            &format!("case-{}", number.get()),
            &case,
        ));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_bulk_is_rehearsed_as_it_is_done_on_sqlite() {
    every_case(
        &Place::sqlite(),
        &tokio::runtime::Runtime::new().unwrap(),
        64,
    );
}

#[test]
fn a_bulk_is_rehearsed_as_it_is_done_on_postgres() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    every_case(&runtime.block_on(Place::postgres()), &runtime, 16);
}
