//! Resource types beside users and groups, and attributes of a tenant's own: provisioned by the tenant's schemas.

use provisioning::application::ApplicationSettings;
use scim_protocol::schema::Schema;
use scim_protocol::schema::set::{ResourceType, SchemaExtension};
use serde_json::{Value, json};

use crate::world::World;

const BADGE: &str = "urn:example:badge";
const SITE: &str = "urn:example:site";

fn settings(types: &[&str]) -> ApplicationSettings {
    ApplicationSettings {
        other_types: types.iter().map(ToString::to_string).collect(),
        ..ApplicationSettings::default()
    }
}

fn schema(id: &str, attributes: Value) -> Schema {
    serde_json::from_value(json!({"id": id, "name": id, "attributes": attributes})).unwrap()
}

/// A type of the tenant's own, and an extension of people.
fn add_own_types(world: &World) {
    let mut types = world.types.0.lock().unwrap();
    types.revision = 2;
    types.schemas.push(schema(
        BADGE,
        json!([
            {"name": "serial", "type": "string", "required": true, "caseExact": true, "uniqueness": "server"},
            {"name": "colour", "type": "string"},
            {"name": "holder", "type": "complex", "subAttributes": [
                {"name": "value", "type": "string"},
                {"name": "$ref", "type": "reference", "referenceTypes": ["User"]},
            ]},
        ]),
    ));
    types.schemas.push(schema(
        SITE,
        json!([{"name": "building", "type": "string", "caseExact": true}]),
    ));
    types.resource_types.push(ResourceType {
        id: "Badge".into(),
        name: "Badge".into(),
        endpoint: "/Badges".into(),
        description: String::new(),
        schema: BADGE.into(),
        schema_extensions: Vec::new(),
        quiet: false,
    });
    let standard = scim_protocol::SchemaSet::standard();
    let mut person = standard.by_name("User").unwrap().resource_type.clone();
    person.schema_extensions.push(SchemaExtension {
        schema: SITE.into(),
        required: false,
    });
    types.resource_types.push(person);
}

#[tokio::test]
async fn a_device_is_provisioned_like_a_person() {
    for delete_users in [true, false] {
        let world = World::new(ApplicationSettings {
            delete_users,
            ..settings(&["Device"])
        });
        world.put(
            "Device",
            "d1",
            &json!({"displayName": "scanner", "active": true}),
            &[],
        );
        world.settle().await;
        let account = |world: &World| world.accounts("Device").first().cloned();
        assert_eq!(account(&world).unwrap()["displayName"], "scanner");
        world.put(
            "Device",
            "d1",
            &json!({"displayName": "scanner", "active": false}),
            &[],
        );
        world.settle().await;
        assert_eq!(account(&world).unwrap()["active"], false);
        world.put(
            "Device",
            "d1",
            &json!({"displayName": "scanner", "active": true}),
            &[],
        );
        world.settle().await;
        world.remove("Device", "d1");
        world.settle().await;
        match account(&world) {
            None => assert!(delete_users),
            Some(account) => assert_eq!((delete_users, &account["active"]), (false, &json!(false))),
        }
        world.application.take_requests(true);
        world.verify().await;
        assert_eq!(world.application.take_requests(true), Vec::<String>::new());
    }
}

#[tokio::test]
async fn only_the_types_that_were_chosen_are_provisioned() {
    let world = World::new(settings(&[]));
    world.put("Device", "d1", &json!({"displayName": "scanner"}), &[]);
    world.settle().await;
    assert_eq!(world.application.take_requests(false), Vec::<String>::new());
    assert!(world.ledger.state().log.is_empty());
}

#[tokio::test]
async fn a_type_of_the_tenants_own_is_matched_by_its_unique_name() {
    let world = World::new(settings(&["Badge"]));
    add_own_types(&world);
    // It refers to a person, who has no account yet.
    let badge = json!({"serial": "B7", "colour": "red", "holder": {"value": "u1"}});
    world.put("Badge", "b1", &badge, &[]);
    world.settle().await;
    let badges = world.accounts("Badge");
    assert_eq!(
        (&badges[0]["serial"], badges[0].get("holder")),
        (&json!("B7"), None)
    );
    let finds: Vec<String> = world
        .application
        .take_requests(false)
        .into_iter()
        .filter(|request| request.starts_with("FIND"))
        .collect();
    assert_eq!(
        finds,
        ["FIND Badge externalId=b1 true", "FIND Badge serial=B7 true"]
    );
    world.put_user("u1", &json!({"userName": "ada"}));
    world.settle().await;
    let person = world.accounts("User")[0]["id"].clone();
    assert_eq!(
        world.accounts("Badge")[0]["holder"],
        json!({ "value": person })
    );
    // It cannot be deactivated, so it is deleted.
    world.remove("Badge", "b1");
    world.settle().await;
    assert!(world.accounts("Badge").is_empty());
}

#[tokio::test]
async fn an_attribute_of_the_tenants_own_is_sent() {
    let world = World::new(settings(&[]));
    world.put_user(
        "u1",
        &json!({"userName": "ada", SITE: {"building": "North"}}),
    );
    world.settle().await;
    assert_eq!(
        world.accounts("User")[0].get(SITE),
        None,
        "no schema has it yet"
    );
    add_own_types(&world);
    for building in ["North", "north"] {
        world.put_user(
            "u1",
            &json!({"userName": "ada", SITE: {"building": building}}),
        );
        world.settle().await;
        assert_eq!(
            world.accounts("User")[0][SITE],
            json!({ "building": building })
        );
    }
}
