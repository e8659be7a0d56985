//! Many who change the members of one group at once: nobody is lost, nobody conflicts, and removing one never removes another.

use std::collections::BTreeSet;
use std::sync::Arc;

use directory::deletion_guard::{GuardSettings, Mode};
use directory::tenant::TenantSettings;
use http::StatusCode;
use scim_protocol::schema::standard::GROUP;
use serde_json::{Value, json};
use server::Options;

use crate::house::House;

const CLIENTS: usize = 32;
const MEMBERS_EACH: usize = 8;

fn patch(operations: &Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

/// Adds all of its own, then removes every second of them, in each of the forms that clients use.
async fn client(house: Arc<House>, group: String, own: Vec<String>) {
    let path = format!("/Groups/{group}");
    for (number, id) in own.iter().enumerate() {
        let add = patch(&json!([{"op": "add", "path": "members", "value": [{"value": id}]}]));
        let answer = house.scim("PATCH", &path, Some(add)).await;
        assert!(answer.status.is_success(), "{answer:?}");
        if number % 2 == 1 {
            let remove = match number % 4 {
                1 => json!([{"op": "remove", "path": format!("members[value eq \"{id}\"]")}]),
                _ => {
                    json!([{"op": "Remove", "path": "members", "value": [{"$ref": null, "value": id}]}])
                }
            };
            let answer = house.scim("PATCH", &path, Some(patch(&remove))).await;
            assert!(answer.status.is_success(), "{answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thirty_two_clients_change_one_group_and_nobody_is_lost() {
    // Half of a whole group leaves again within seconds, which the deletion guard would hold.
    let guard = GuardSettings {
        mode: Mode::Off,
        ..GuardSettings::default()
    };
    let settings = TenantSettings {
        guard,
        ..TenantSettings::default()
    };
    let house = Arc::new(House::with(Options::default(), settings).await);
    let mut ids = Vec::new();
    for number in 0..CLIENTS * MEMBERS_EACH {
        ids.push(house.user(&format!("user{number}")).await);
    }
    let stays = house.user("stays").await;
    let body = json!({"schemas": [GROUP], "displayName": "team", "members": [{"value": stays}]});
    let group = house
        .scim("POST", "/Groups", Some(body))
        .await
        .text("/id")
        .to_owned();

    let clients = ids
        .chunks(MEMBERS_EACH)
        .map(|own| tokio::spawn(client(house.clone(), group.clone(), own.to_vec())));
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }

    let answer = house.scim("GET", &format!("/Groups/{group}"), None).await;
    assert_eq!(answer.status, StatusCode::OK);
    let found: Vec<&str> = answer.body["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["value"].as_str().unwrap())
        .collect();
    let kept = ids
        .chunks(MEMBERS_EACH)
        .flat_map(|own| own.iter().step_by(2));
    let expected: BTreeSet<&str> = kept.map(String::as_str).chain([stays.as_str()]).collect();
    assert_eq!(found.len(), expected.len(), "somebody is in it twice");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
}
