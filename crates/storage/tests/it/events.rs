//! Changes as they are told: the log says what each of them did.

use directory::directory::PatchAnswer;
use directory::version::Expected;
use serde_json::{Value, json};

use crate::place::{NOTHING, Place, World, delete, on_both_engines};

on_both_engines!(the_log_says_what_a_change_did);

/// `kind` and `attributes` of each row, in order.
async fn told(place: &Place, rows: usize) -> Vec<(i64, i64)> {
    let mut all = Vec::new();
    for sequence in 1..=rows {
        let kind = place
            .number(&format!(
                "SELECT kind FROM change_log WHERE sequence = {sequence}"
            ))
            .await;
        // Numbers are what a stranger can read on both engines.
        let named = place.number(&format!("SELECT CAST(length(attributes) AS BIGINT) FROM change_log WHERE sequence = {sequence}")).await;
        all.push((kind, named));
    }
    all
}

async fn the_log_says_what_a_change_did(place: Place) {
    let world = World::new(&place).await;
    let (directory, caller) = (world.directory(), world.caller());
    let (users, groups) = (world.schema("User"), world.schema("Group"));
    let user = |document: Value| {
        let mut body =
            json!({"schemas": [scim_protocol::schema::standard::USER], "userName": "ann"});
        body.as_object_mut()
            .unwrap()
            .extend(document.as_object().unwrap().clone());
        body
    };
    let patch = |operations: Value| json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
    let ann = directory
        .create(&caller, &users, user(json!({})), NOTHING)
        .await
        .unwrap()
        .id;
    let group = json!({"schemas": [scim_protocol::schema::standard::GROUP], "displayName": "g", "members": [{"value": ann}]});
    let group = directory
        .create(&caller, &groups, group, NOTHING)
        .await
        .unwrap()
        .id;
    let any = Expected::default();
    let off = patch(
        json!([{"op": "replace", "path": "active", "value": false}, {"op": "add", "path": "title", "value": "t"}]),
    );
    directory
        .patch(&caller, &users, &ann, off, &any, PatchAnswer::Version)
        .await
        .unwrap();
    let same = patch(json!([{"op": "replace", "path": "title", "value": "t"}]));
    directory
        .patch(&caller, &users, &ann, same, &any, PatchAnswer::Version)
        .await
        .unwrap();
    directory
        .replace(
            &caller,
            &users,
            &ann,
            user(json!({"active": true, "title": "t"})),
            &any,
            NOTHING,
        )
        .await
        .unwrap();
    let members = patch(
        json!([{"op": "add", "path": "members", "value": [{"value": ann}]}, {"op": "replace", "path": "displayName", "value": "h"}]),
    );
    directory
        .patch(
            &caller,
            &groups,
            &group,
            members,
            &any,
            PatchAnswer::Version,
        )
        .await
        .unwrap();
    world
        .commit_one(delete(
            "User",
            &ann,
            directory::change_set::Precondition::Exists,
        ))
        .await
        .unwrap();
    let text = |text: &str| i64::try_from(text.len()).unwrap();
    let expected = [
        (1, 0),
        (1, 0),
        (2 + 32, text("active,title")),
        (3 + 16, text("active")),
        // Ann was a member before, so only the name is another.
        (2, text("displayName")),
        (4, 0),
        (2 + 64, text("members")),
    ];
    assert_eq!(told(&place, 7).await, expected);
}
