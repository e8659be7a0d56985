//! Schemas and resource types at run time, over HTTP: discoverable at once, and used by every kind of request.

use directory::access::Scope;
use directory::tenant::TenantSettings;
use http::StatusCode;
use scim_protocol::schema::optional::{AGENT, AGENTIC_APPLICATION};
use serde_json::{Value, json};

use crate::house::{Answer, House, entry};

const BADGE: &str = "urn:example:params:scim:schemas:Badge";
const DOOR: &str = "urn:example:params:scim:schemas:Door";
const USER: &str = scim_protocol::schema::standard::USER;
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

async fn admin(house: &House, method: &str, path: &str, body: Option<Value>) -> Answer {
    house
        .call(
            &house.token,
            method,
            &format!("/t/default/admin/v1{path}"),
            &[],
            body,
        )
        .await
}

async fn post(house: &House, path: &str, body: Value) -> Answer {
    let answer = admin(house, "POST", path, Some(body)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer
}

async fn doors(house: &House) {
    let attributes = json!([
        {"name": "name", "type": "string", "required": true, "uniqueness": "server"},
        {"name": "floor", "type": "integer", "x-indexed": true},
        {"name": "locks", "type": "complex", "multiValued": true, "subAttributes": [
            {"name": "value", "type": "string", "x-indexed": true}, {"name": "type", "type": "string", "canonicalValues": ["key", "card"], "x-enforced": true}]}
    ]);
    post(
        house,
        "/schemas",
        json!({"id": DOOR, "name": "Door", "attributes": attributes}),
    )
    .await;
    post(
        house,
        "/resource-types",
        json!({"name": "Door", "endpoint": "/Doors", "schema": DOOR}),
    )
    .await;
}

#[tokio::test]
async fn a_type_is_discoverable_and_usable_at_once() {
    let house = House::new().await;
    assert_eq!(
        house.scim("GET", "/Doors", None).await.status,
        StatusCode::NOT_FOUND
    );
    let count = async || {
        house.scim("GET", "/ResourceTypes", None).await.body["totalResults"]
            .as_u64()
            .unwrap()
    };
    let before = count().await;
    doors(&house).await;
    assert_eq!(count().await, before + 1);
    assert_eq!(
        house
            .scim("GET", "/ResourceTypes/Door", None)
            .await
            .text("/endpoint"),
        "/Doors"
    );
    let schema = house.scim("GET", &format!("/Schemas/{DOOR}"), None).await;
    assert_eq!(schema.text("/attributes/0/uniqueness"), "server");
    assert!(!schema.body.to_string().contains("x-indexed"));

    let body = json!({"schemas": [DOOR], "NAME": "Front", "floor": 1, "locks": [{"value": "L1", "type": "key"}]});
    let made = house.scim("POST", "/Doors", Some(body)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert!(made.header("location").unwrap().contains("/scim/v2/Doors/"));
    assert_eq!(
        (made.text("/name"), made.text("/meta/resourceType")),
        ("Front", "Door")
    );
    let path = format!("/Doors/{}", made.text("/id"));
    let twice = house
        .scim(
            "POST",
            "/Doors",
            Some(json!({"schemas": [DOOR], "name": "FRONT"})),
        )
        .await;
    assert_eq!(
        (twice.status.as_u16(), twice.text("/scimType")),
        (409, "uniqueness")
    );
    let wrong = house
        .scim(
            "POST",
            "/Doors",
            Some(json!({"schemas": [DOOR], "name": "x", "locks": [{"type": "magic"}]})),
        )
        .await;
    assert_eq!(wrong.status.as_u16(), 400);
    assert!(wrong.text("/detail").contains("`key`, `card`"));

    let operations = json!([
        {"op": "replace", "path": "floor", "value": 2},
        {"op": "add", "path": "locks", "value": [{"value": "L2", "type": "card"}]},
        {"op": "replace", "path": "locks[type eq \"key\"].value", "value": "L0"}
    ]);
    let patched = house
        .scim(
            "PATCH",
            &path,
            Some(json!({"schemas": [PATCH], "Operations": operations})),
        )
        .await;
    assert_eq!(
        patched.body["locks"],
        json!([{"value": "L0", "type": "key"}, {"value": "L2", "type": "card"}]),
        "{patched:?}"
    );
    for (filter, expected) in [
        ("name eq \"front\"", 1),
        ("floor gt 1", 1),
        ("floor gt 2", 0),
        ("locks.value eq \"l2\"", 1),
        ("locks[type eq \"key\" and value eq \"L2\"]", 0),
        ("not (locks pr)", 0),
    ] {
        let found = house
            .scim(
                "GET",
                &format!(
                    "/Doors?filter={}",
                    filter.replace(' ', "%20").replace('"', "%22")
                ),
                None,
            )
            .await;
        assert_eq!(found.body["totalResults"], expected, "{filter}: {found:?}");
    }
    let sorted = house
        .scim("GET", "/Doors?sortBy=floor&attributes=name", None)
        .await;
    assert_eq!(sorted.body["Resources"][0]["name"], "Front");
    assert!(sorted.body["Resources"][0].get("floor").is_none());
    let put = house
        .scim(
            "PUT",
            &path,
            Some(json!({"schemas": [DOOR], "name": "Back"})),
        )
        .await;
    assert!(
        put.status == StatusCode::OK && put.body.get("locks").is_none(),
        "{put:?}"
    );
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [
        {"method": "POST", "path": "/Doors", "bulkId": "a", "data": {"schemas": [DOOR], "name": "Side"}},
        {"method": "DELETE", "path": path}]});
    let bulk = house.scim("POST", "/Bulk", Some(bulk)).await;
    let statuses: Vec<_> = bulk.body["Operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|done| done["status"].clone())
        .collect();
    assert_eq!(statuses, [json!("201"), json!("204")], "{bulk:?}");
    assert_eq!(
        house.scim("GET", "/Doors", None).await.body["totalResults"],
        1
    );
}

#[tokio::test]
async fn an_extension_is_there_at_once_and_goes_when_it_has_no_values() {
    let house = House::new().await;
    let ann = house.user("ann").await;
    let extension = json!({"id": BADGE, "extends": ["User"], "attributes": [{"name": "number", "type": "string", "uniqueness": "global"}]});
    let outcome = admin(
        &house,
        "POST",
        "/schemas?dryRun=true",
        Some(extension.clone()),
    )
    .await;
    assert_eq!(outcome.body["dryRun"], true);
    assert!(
        outcome.body["changes"]
            .to_string()
            .contains("User gets the extension"),
        "{outcome:?}"
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Schemas/{BADGE}"), None)
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    post(&house, "/schemas", extension.clone()).await;
    let operations = json!([{"op": "add", "path": format!("{BADGE}:number"), "value": "7"}]);
    let patched = house
        .scim(
            "PATCH",
            &format!("/Users/{ann}"),
            Some(json!({"schemas": [PATCH], "Operations": operations})),
        )
        .await;
    assert_eq!(patched.body["schemas"], json!([USER, BADGE]), "{patched:?}");
    let bob = json!({"schemas": [USER, BADGE], "userName": "bob", BADGE: {"number": "7"}});
    let taken = house.scim("POST", "/Users", Some(bob)).await;
    assert_eq!(
        (taken.status.as_u16(), taken.text("/scimType")),
        (409, "uniqueness")
    );
    assert!(taken.text("/detail").contains(BADGE));

    let refused = admin(&house, "DELETE", &format!("/schemas/{BADGE}"), None).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text("/detail").contains(&ann), "{refused:?}");
    let operations = json!([{"op": "remove", "path": BADGE}]);
    house
        .scim(
            "PATCH",
            &format!("/Users/{ann}"),
            Some(json!({"schemas": [PATCH], "Operations": operations})),
        )
        .await;
    assert_eq!(
        admin(&house, "DELETE", &format!("/schemas/{BADGE}"), None)
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Schemas/{BADGE}"), None)
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    let history = admin(&house, "GET", &format!("/schemas/{BADGE}/history"), None).await;
    assert_eq!(
        (
            history.body[0]["version"].clone(),
            history.body[1]["document"].clone()
        ),
        (json!(1), Value::Null),
        "{history:?}"
    );
}

#[tokio::test]
async fn constraints_hold_for_the_next_request() {
    let house = House::new().await;
    let constraint = json!({"id": USER, "attributes": [{"name": "displayName", "required": true}]});
    let create = async |body| house.scim("POST", "/Users", Some(body)).await.status;
    post(&house, "/schemas", constraint.clone()).await;
    assert_eq!(
        create(json!({"schemas": [USER], "userName": "ann"})).await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        create(json!({"schemas": [USER], "userName": "ann", "displayName": "Ann"})).await,
        StatusCode::CREATED
    );
    assert_eq!(
        admin(&house, "GET", &format!("/schemas/{USER}"), None)
            .await
            .body["attributes"][2]["name"],
        "displayName"
    );
    assert_eq!(
        admin(&house, "DELETE", &format!("/schemas/{USER}"), None)
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        create(json!({"schemas": [USER], "userName": "bob"})).await,
        StatusCode::CREATED
    );
    let refused = admin(&house, "POST", "/schemas", Some(constraint)).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(
        refused
            .text("/detail")
            .contains("`displayName` is required")
    );
}

/// RFC 9944 section 7.1, with the pairing methods within the extension.
#[tokio::test]
async fn devices_are_there_from_the_start() {
    let house = House::new().await;
    let (device, ble) = (
        "urn:ietf:params:scim:schemas:core:2.0:Device",
        "urn:ietf:params:scim:schemas:extension:ble:2.0:Device",
    );
    let (pass_key, null) = (
        "urn:ietf:params:scim:schemas:extension:pairingPassKey:2.0:Device",
        "urn:ietf:params:scim:schemas:extension:pairingNull:2.0:Device",
    );
    let body = json!({"schemas": [device, ble], "displayName": "BLE Heart Monitor", "active": true, ble: {
        "versionSupport": ["5.3"], "deviceMacAddress": "2C:54:91:88:C9:E2", "isRandom": false, "mobility": true, "irk": "never shown",
        "pairingMethods": [pass_key], null: null, pass_key: {"key": 123_456}}});
    let made = house.scim("POST", "/Devices", Some(body)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert!(!made.body.to_string().contains("irk"));
    assert_eq!(made.body[ble][pass_key]["key"], 123_456);
    let address = format!("{ble}:deviceMacAddress");
    let wrong = json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": address, "value": "2C-54-91-88-C9-E2"}]});
    let refused = house
        .scim(
            "PATCH",
            &format!("/Devices/{}", made.text("/id")),
            Some(wrong),
        )
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.text("/scimType")),
        (400, "invalidValue"),
        "{refused:?}"
    );
    assert!(
        refused.text("/detail").contains(&address)
            && refused.text("/detail").contains("`XX:XX:XX:XX:XX:XX`"),
        "{refused:?}"
    );
    let operations =
        json!([{"op": "replace", "path": format!("{ble}:{pass_key}.key"), "value": 7}]);
    let path = format!("/Devices/{}", made.text("/id"));
    let patched = house
        .scim(
            "PATCH",
            &path,
            Some(json!({"schemas": [PATCH], "Operations": operations})),
        )
        .await;
    assert_eq!(patched.body[ble][pass_key]["key"], 7, "{patched:?}");
    let group = json!({"schemas": [scim_protocol::schema::standard::GROUP], "displayName": "Ward", "members": [{"value": made.text("/id")}]});
    assert_eq!(
        house.scim("POST", "/Groups", Some(group)).await.status,
        StatusCode::CREATED
    );
    let filter = format!(
        "{ble}:deviceMacAddress eq \"2c:54:91:88:c9:e2\" and {ble}:{pass_key}.key eq 7 and groups.display eq \"ward\""
    );
    let found = house
        .scim(
            "GET",
            &format!(
                "/Devices?filter={}",
                filter.replace(' ', "%20").replace('"', "%22")
            ),
            None,
        )
        .await;
    assert_eq!(found.body["totalResults"], 1, "{found:?}");
    assert_eq!(
        house
            .scim("GET", &format!("/Schemas/{pass_key}"), None)
            .await
            .status,
        StatusCode::OK
    );
    assert!(
        !house
            .scim("GET", &format!("/Schemas/{ble}"), None)
            .await
            .body
            .to_string()
            .contains("x-forms"),
        "of interest to us alone"
    );
    assert_eq!(
        admin(&house, "DELETE", "/resource-types/Device", None)
            .await
            .status,
        StatusCode::CONFLICT
    );
    house.scim("DELETE", &path, None).await;
    assert_eq!(
        admin(&house, "DELETE", "/resource-types/Device", None)
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        house.scim("GET", "/Devices", None).await.status,
        StatusCode::NOT_FOUND
    );
}

/// Where a type is not switched on, nothing knows it.
async fn is_absent(house: &House, token: &str, base: &str, name: &str, urn: &str) {
    for path in [
        format!("/{name}s"),
        format!("/ResourceTypes/{name}"),
        format!("/Schemas/{urn}"),
    ] {
        let answer = house
            .call(token, "GET", &format!("{base}{path}"), &[], None)
            .await;
        assert_eq!(
            answer.status,
            StatusCode::NOT_FOUND,
            "{base}{path}: {answer:?}"
        );
    }
    let made = house
        .call(
            token,
            "POST",
            &format!("{base}/{name}s"),
            &[],
            Some(json!({"schemas": [urn], "name": "x"})),
        )
        .await;
    assert_eq!(made.status, StatusCode::NOT_FOUND, "{made:?}");
    for path in ["/ResourceTypes", "/Schemas"] {
        let list = house
            .call(token, "GET", &format!("{base}{path}"), &[], None)
            .await;
        assert!(
            list.status == StatusCode::OK && !list.body.to_string().contains(&format!("\"{urn}\"")),
            "{base}{path}"
        );
    }
}

async fn is_there(house: &House, name: &str, urn: &str) {
    let found = house
        .scim("GET", &format!("/ResourceTypes/{name}"), None)
        .await;
    assert_eq!(
        (found.text("/endpoint"), found.text("/schema")),
        (format!("/{name}s").as_str(), urn)
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Schemas/{urn}"), None)
            .await
            .text("/id"),
        urn
    );
    for (path, key, value) in [("/ResourceTypes", "name", name), ("/Schemas", "id", urn)] {
        let list = house.scim("GET", path, None).await;
        assert_eq!(
            list.body["Resources"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|one| one[key] == value)
                .count(),
            1,
            "{path}"
        );
    }
    assert_eq!(
        house.scim("GET", &format!("/{name}s"), None).await.body["totalResults"],
        0
    );
}

async fn change(house: &House, path: &str, operations: Value) -> Answer {
    house
        .scim(
            "PATCH",
            path,
            Some(json!({"schemas": [PATCH], "Operations": operations})),
        )
        .await
}

/// It works, and can be asked about by its name; lists of what there is have it only while there is one.
async fn is_quiet(house: &House, name: &str, urn: &str) {
    assert_eq!(
        house
            .scim("GET", &format!("/ResourceTypes/{name}"), None)
            .await
            .text("/schema"),
        urn
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Schemas/{urn}"), None)
            .await
            .text("/id"),
        urn
    );
    for path in ["/ResourceTypes", "/Schemas"] {
        let list = house.scim("GET", path, None).await;
        assert!(
            !list.body.to_string().contains(&format!("\"{urn}\"")),
            "{path}: {list:?}"
        );
    }
    assert_eq!(
        house.scim("GET", &format!("/{name}s"), None).await.body["totalResults"],
        0
    );
}

/// How many each of these filters finds.
async fn finds(house: &House, path: &str, filters: &[(&str, u64)]) {
    for (filter, expected) in filters {
        let found = house
            .scim(
                "GET",
                &format!("{path}?filter={}", crate::rfc::query(filter)),
                None,
            )
            .await;
        assert_eq!(found.body["totalResults"], *expected, "{filter}: {found:?}");
    }
}

/// A tenant that has a type, had not for a while, and has it again from now on; and another one that has not.
async fn switched_on(name: &str, urn: &str) -> House {
    let house = House::new().await;
    let other = house
        .tenants
        .create_tenant("acme", TenantSettings::default(), house.hand_now(), entry())
        .await
        .unwrap()
        .unwrap();
    let token = house.issue_for(other.id).await;
    is_quiet(&house, name, urn).await;
    assert_eq!(
        house
            .call(
                &token,
                "GET",
                &format!("/t/acme/scim/v2/{name}s"),
                &[],
                None
            )
            .await
            .body["totalResults"],
        0
    );
    let removed = house
        .call(
            &token,
            "DELETE",
            &format!("/t/acme/admin/v1/resource-types/{name}"),
            &[],
            None,
        )
        .await;
    assert_eq!(removed.status, StatusCode::OK, "{removed:?}");
    without(&house, name).await;
    is_absent(&house, &house.token, "/scim/v2", name, urn).await;
    post(&house, "/resource-types", json!({"name": name})).await;
    is_there(&house, name, urn).await;
    is_absent(&house, &token, "/t/acme/scim/v2", name, urn).await;
    house
}

/// Switches a type off.
async fn without(house: &House, name: &str) {
    assert_eq!(
        admin(house, "DELETE", &format!("/resource-types/{name}"), None)
            .await
            .status,
        StatusCode::OK
    );
}

/// Nobody configured anything.
#[tokio::test]
async fn a_new_tenant_has_every_type_that_is_brought() {
    let house = House::new().await;
    let made = house
        .call(
            &house.token,
            "POST",
            "/admin/v1/tenants",
            &[],
            Some(json!({"name": "acme"})),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let acme = house.tenants.find_tenant("acme").await.unwrap().unwrap();
    let token = house.issue_for(acme.id).await;
    for (token, base) in [(&house.token, "/scim/v2"), (&token, "/t/acme/scim/v2")] {
        let get = async |path: &str| {
            house
                .call(token, "GET", &format!("{base}{path}"), &[], None)
                .await
        };
        for brought in scim_protocol::schema::optional::types() {
            let (own, urn) = (&brought.resource_type, &brought.resource_type.schema);
            assert_eq!(
                get(&own.endpoint).await.body["totalResults"],
                0,
                "{base}{}",
                own.endpoint
            );
            let shown = [
                get(&format!("/ResourceTypes/{}", own.name)).await,
                get(&format!("/Schemas/{urn}")).await,
            ];
            let described = shown.map(|shown| shown.body["description"].clone());
            let says_so = described
                .iter()
                .all(|text| text.as_str().unwrap().contains("experimental"));
            assert_eq!(says_so, brought.experimental, "{described:?}");
        }
        assert_eq!(
            listed(&get("/ResourceTypes").await),
            ["User", "Group"],
            "{base}"
        );
        assert_eq!(get("/Schemas").await.body["totalResults"], 6, "{base}");
        assert!(
            get("/ServiceProviderConfig")
                .await
                .body
                .get("agentExtension")
                .is_none()
        );
    }
    let history = admin(&house, "GET", "/resource-types/Device/history", None).await;
    assert_eq!(
        (
            history.text("/0/author"),
            history.body[0]["version"].clone()
        ),
        ("rollcall", json!(1)),
        "{history:?}"
    );
}

fn listed(types: &Answer) -> Vec<&str> {
    types.body["Resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect()
}

/// Lists have a type that nobody chose from its first resource to its last, with what belongs to it, and one that somebody chose.
#[tokio::test]
async fn a_type_is_listed_while_there_is_one_of_it() {
    let house = House::new().await;
    let narrow = house.narrow(&[Scope::Read], Some(&["User", "Group"])).await;
    let types = async |token: &str| {
        house
            .call(token, "GET", "/scim/v2/ResourceTypes", &[], None)
            .await
    };
    let pairing = "urn:ietf:params:scim:schemas:extension:pairingOOB:2.0:Device";
    let schemas = async || house.scim("GET", "/Schemas", None).await.body.to_string();
    assert!(!schemas().await.contains(pairing));
    let device = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Device"], "displayName": "Lamp", "active": true});
    let made = house.scim("POST", "/Devices", Some(device)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(
        listed(&types(&house.token).await),
        ["User", "Group", "Device"]
    );
    assert_eq!(listed(&types(&narrow).await), ["User", "Group"]);
    let all = schemas().await;
    assert!(
        all.contains(pairing) && !all.contains(AGENT) && !all.contains("x-quiet"),
        "{all}"
    );
    assert_eq!(
        house
            .scim("DELETE", &format!("/Devices/{}", made.text("/id")), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(listed(&types(&house.token).await), ["User", "Group"]);
    let chosen = post(&house, "/resource-types", json!({"name": "Device"})).await;
    assert!(
        chosen
            .body
            .to_string()
            .contains("Device is listed from now on"),
        "{chosen:?}"
    );
    assert_eq!(
        listed(&types(&house.token).await),
        ["User", "Group", "Device"]
    );
}

/// Only when the last one is gone, the type can go.
async fn switched_off(house: &House, name: &str, urn: &str, paths: &[String]) {
    let removal = format!("/resource-types/{name}");
    for path in paths {
        assert_eq!(
            admin(house, "DELETE", &removal, None).await.status,
            StatusCode::CONFLICT,
            "some are there"
        );
        assert_eq!(
            house.scim("DELETE", path, None).await.status,
            StatusCode::NO_CONTENT
        );
        assert_eq!(
            house.scim("GET", path, None).await.status,
            StatusCode::NOT_FOUND
        );
    }
    assert_eq!(
        admin(house, "DELETE", &removal, None).await.status,
        StatusCode::OK
    );
    is_absent(house, &house.token, "/scim/v2", name, urn).await;
}

/// draft-abbey-scim-agent-extension.
#[tokio::test]
async fn agents_can_be_switched_on() {
    let house = switched_on("Agent", AGENT).await;
    let ann = house.user("ann").await;
    let body = json!({"schemas": [AGENT], "name": "Triage", "displayName": "Triage of mail", "agentType": "Assistant", "active": true,
        "subject": "Agent-7", "owners": [{"value": ann}], "groups": [{"value": "made up"}],
        "protocols": [{"type": "A2A", "specificationUrl": "https://a.example/a2a"}]});
    let made = house.scim("POST", "/Agents", Some(body)).await;
    assert_eq!(
        (
            made.status,
            made.text("/meta/resourceType"),
            made.body.get("groups")
        ),
        (StatusCode::CREATED, "Agent", None),
        "{made:?}"
    );
    assert!(
        made.header("location")
            .unwrap()
            .contains("/scim/v2/Agents/")
    );
    let (agent, id) = (format!("/Agents/{}", made.text("/id")), made.text("/id"));
    assert_eq!(house.scim("GET", &agent, None).await.body, made.body);
    let twice = house
        .scim(
            "POST",
            "/Agents",
            Some(json!({"schemas": [AGENT], "name": "TRIAGE"})),
        )
        .await;
    assert_eq!(
        (twice.status.as_u16(), twice.text("/scimType")),
        (409, "uniqueness")
    );
    let nameless = house
        .scim(
            "POST",
            "/Agents",
            Some(json!({"schemas": [AGENT], "displayName": "x"})),
        )
        .await;
    assert_eq!(
        (nameless.status.as_u16(), nameless.text("/scimType")),
        (400, "invalidValue")
    );
    let child = house
        .scim(
            "POST",
            "/Agents",
            Some(json!({"schemas": [AGENT], "name": "Sorter", "parent": {"value": id}})),
        )
        .await;
    let group = json!({"schemas": [scim_protocol::schema::standard::GROUP], "displayName": "Robots", "members": [{"value": id}]});
    assert_eq!(
        house.scim("POST", "/Groups", Some(group)).await.status,
        StatusCode::CREATED
    );
    let before = house.scim("GET", &agent, None).await;
    assert_eq!(before.text("/groups/0/display"), "Robots");

    let half = json!([{"op": "replace", "path": "active", "value": false}, {"op": "remove", "path": "groups"}]);
    let refused = change(&house, &agent, half).await;
    assert_eq!(
        (refused.status.as_u16(), refused.text("/scimType")),
        (400, "mutability")
    );
    assert_eq!(house.scim("GET", &agent, None).await.body, before.body);
    let operations = json!([
        {"op": "replace", "path": "active", "value": false},
        {"op": "replace", "path": "protocols[type eq \"a2a\"].specificationUrl", "value": "https://a.example/v2"},
        {"op": "add", "path": "protocols", "value": [{"type": "MCP-Server", "specificationUrl": "https://a.example/mcp"}]},
    ]);
    let patched = change(&house, &agent, operations).await;
    assert_eq!(
        (patched.status, &patched.body["active"]),
        (StatusCode::OK, &json!(false)),
        "{patched:?}"
    );
    let protocol = |kind: &str, url: &str| json!({"type": kind, "specificationUrl": url});
    assert_eq!(
        patched.body["protocols"],
        json!([
            protocol("A2A", "https://a.example/v2"),
            protocol("MCP-Server", "https://a.example/mcp")
        ])
    );
    let (owner, parent) = (
        format!("owners.value eq \"{ann}\""),
        format!("parent.value eq \"{id}\""),
    );
    let filters = [
        ("name eq \"triage\"", 1),
        ("agentType eq \"assistant\" and active eq false", 1),
        ("active eq true", 0),
        ("subject eq \"Agent-7\"", 1),
        ("subject eq \"agent-7\"", 0),
        (owner.as_str(), 1),
        (parent.as_str(), 1),
        (
            "protocols[type eq \"mcp-server\" and specificationUrl co \"/mcp\"]",
            1,
        ),
        ("groups.display eq \"robots\"", 1),
        ("not (parent pr)", 1),
    ];
    finds(&house, "/Agents", &filters).await;
    switched_off(
        &house,
        "Agent",
        AGENT,
        &[format!("/Agents/{}", child.text("/id")), agent],
    )
    .await;
}

#[tokio::test]
async fn agentic_applications_can_be_switched_on() {
    let house = switched_on("AgenticApplication", AGENTIC_APPLICATION).await;
    let agent = house
        .scim(
            "POST",
            "/Agents",
            Some(json!({"schemas": [AGENT], "name": "Triage"})),
        )
        .await;
    let id = agent.text("/id");
    let body = json!({"schemas": [AGENTIC_APPLICATION], "name": "Desk", "lastAccessed": "2026-01-01T00:00:00Z", "active": true,
        "applicationUrls": [{"type": "web", "value": "https://desk.example"}], "agents": [{"value": id, "type": "owned"}],
        "oAuthConfiguration": [{"clientId": "Desk-1", "redirectUri": ["https://desk.example/a"]}]});
    let made = house.scim("POST", "/AgenticApplications", Some(body)).await;
    assert_eq!(
        (made.status, made.body.get("lastAccessed")),
        (StatusCode::CREATED, None),
        "{made:?}"
    );
    let path = format!("/AgenticApplications/{}", made.text("/id"));
    assert_eq!(house.scim("GET", &path, None).await.body, made.body);
    let twice = house
        .scim(
            "POST",
            "/AgenticApplications",
            Some(json!({"schemas": [AGENTIC_APPLICATION], "name": "DESK"})),
        )
        .await;
    assert_eq!(
        (twice.status.as_u16(), twice.text("/scimType")),
        (409, "uniqueness")
    );
    let uris = json!(["https://desk.example/a", "https://desk.example/b"]);
    let add = json!([{"op": "add", "path": "oAuthConfiguration[clientId eq \"Desk-1\"].redirectUri", "value": uris}]);
    let patched = change(&house, &path, add).await;
    assert_eq!(
        patched.body["oAuthConfiguration"],
        json!([{"clientId": "Desk-1", "redirectUri": uris}]),
        "{patched:?}"
    );
    let refused = change(
        &house,
        &path,
        json!([{"op": "replace", "path": "lastAccessed", "value": "2026-01-01T00:00:00Z"}]),
    )
    .await;
    assert_eq!(
        (refused.status.as_u16(), refused.text("/scimType")),
        (400, "mutability")
    );
    assert_eq!(house.scim("GET", &path, None).await.body, patched.body);
    let owned = format!("agents[type eq \"owned\" and value eq \"{id}\"]");
    let filters = [
        (owned.as_str(), 1),
        ("agents[type eq \"guest\"]", 0),
        ("applicationUrls.value eq \"https://desk.example\"", 1),
        (
            "oAuthConfiguration.redirectUri eq \"https://desk.example/b\"",
            1,
        ),
        ("oAuthConfiguration.clientId eq \"desk-1\"", 0),
    ];
    finds(&house, "/AgenticApplications", &filters).await;
    switched_off(&house, "AgenticApplication", AGENTIC_APPLICATION, &[path]).await;
    assert_eq!(
        house.scim("GET", "/Agents", None).await.body["totalResults"],
        1,
        "another type stays"
    );
}

/// RFC 9944 sections 6 and 7.6.
#[tokio::test]
async fn endpoint_applications_can_be_switched_on() {
    let house = House::new().await;
    let (urn, device) = (
        "urn:ietf:params:scim:schemas:core:2.0:EndpointApp",
        "urn:ietf:params:scim:schemas:core:2.0:Device",
    );
    let extension = "urn:ietf:params:scim:schemas:extension:endpointAppsExt:2.0:Device";
    without(&house, "Device").await;
    is_quiet(&house, "EndpointApp", urn).await;
    is_absent(&house, &house.token, "/scim/v2", "Device", device).await;
    let body = |kind: &str, certificate: Value| json!({"schemas": [urn], "applicationType": kind, "applicationName": "Heart Monitor", "clientToken": "made up", "certificateInfo": certificate});
    let certificate = json!({"rootCA": "MIIB", "subjectName": "CN=monitor"});
    for (refused, said) in [
        (
            body("other", certificate.clone()),
            "`deviceControl`, `telemetry`",
        ),
        (
            body("telemetry", json!({"rootCA": "MIIB"})),
            "`certificateInfo.subjectName`",
        ),
        (
            json!({"schemas": [urn], "applicationType": "telemetry"}),
            "`applicationName`",
        ),
    ] {
        let answer = house.scim("POST", "/EndpointApps", Some(refused)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text("/scimType")),
            (400, "invalidValue"),
            "{answer:?}"
        );
        assert!(answer.text("/detail").contains(said), "{answer:?}");
    }
    let made = house
        .scim(
            "POST",
            "/EndpointApps",
            Some(body("telemetry", certificate)),
        )
        .await;
    assert_eq!(
        (made.status, made.body.get("clientToken")),
        (StatusCode::CREATED, None),
        "{made:?}"
    );
    let (path, id) = (
        format!("/EndpointApps/{}", made.text("/id")),
        made.text("/id"),
    );
    assert_eq!(house.scim("GET", &path, None).await.body, made.body);
    for refused in [
        json!([{"op": "replace", "path": "applicationType", "value": "deviceControl"}]),
        json!([{"op": "remove", "path": "certificateInfo.subjectName"}]),
        json!([{"op": "replace", "path": "clientToken", "value": "made up"}]),
        json!([{"op": "remove", "path": "applicationName"}]),
    ] {
        let answer = change(&house, &path, refused.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text("/scimType")),
            (400, "mutability"),
            "{refused}: {answer:?}"
        );
        assert_eq!(
            house.scim("GET", &path, None).await.body,
            made.body,
            "{refused}"
        );
    }
    let patched = change(
        &house,
        &path,
        json!([
            {"op": "replace", "path": "applicationName", "value": "Monitor"},
            {"op": "remove", "path": "certificateInfo.rootCA"},
        ]),
    )
    .await;
    assert_eq!(
        (
            patched.text("/applicationName"),
            &patched.body["certificateInfo"]
        ),
        ("Monitor", &json!({"subjectName": "CN=monitor"}))
    );
    finds(
        &house,
        "/EndpointApps",
        &[
            (
                "applicationType eq \"TELEMETRY\" and applicationName eq \"monitor\"",
                1,
            ),
            ("certificateInfo.subjectName eq \"CN=monitor\"", 1),
            ("certificateInfo.rootCA pr", 0),
        ],
    )
    .await;

    post(&house, "/resource-types", json!({"name": "Device"})).await;
    let body = json!({"schemas": [device, extension], "displayName": "Strap", "active": true, extension: {
        "applications": [{"value": id}], "telemetryEnterpriseEndpoint": "https://made.up.example"}});
    let strap = house.scim("POST", "/Devices", Some(body)).await;
    assert_eq!(
        strap.body[extension],
        json!({"applications": [{"value": id}]}),
        "{strap:?}"
    );
    finds(
        &house,
        "/Devices",
        &[
            (&format!("{extension}:applications.value eq \"{id}\""), 1),
            (&format!("{extension}:applications.value eq \"nobody\""), 0),
        ],
    )
    .await;

    assert_eq!(
        admin(&house, "DELETE", "/resource-types/EndpointApp", None)
            .await
            .status,
        StatusCode::CONFLICT
    );
    assert_eq!(
        house.scim("DELETE", &path, None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        house.scim("GET", &path, None).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        admin(&house, "DELETE", "/resource-types/EndpointApp", None)
            .await
            .status,
        StatusCode::OK
    );
    is_absent(&house, &house.token, "/scim/v2", "EndpointApp", urn).await;
}

#[tokio::test]
async fn only_administrators_change_types_and_refusals_say_what_is_wrong() {
    let house = House::new().await;
    let provisioning = house.narrow(&[Scope::Read, Scope::Write], None).await;
    let answer = house
        .call(
            &provisioning,
            "GET",
            "/t/default/admin/v1/schemas",
            &[],
            None,
        )
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let check = async |method: &str, path: &str, body: Option<Value>, status: u16, said: &str| {
        let answer = admin(&house, method, path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {answer:?}");
        assert!(answer.text("/detail").contains(said), "{path}: {answer:?}");
    };
    check(
        "POST",
        "/schemas",
        Some(json!({"id": "Badge"})),
        400,
        "cannot be the URN",
    )
    .await;
    check(
        "POST",
        "/schemas?dryRun=maybe",
        Some(json!({})),
        400,
        "`dryRun`",
    )
    .await;
    check(
        "POST",
        "/resource-types",
        Some(json!({"name": "Pet"})),
        400,
        "`Device`",
    )
    .await;
    check("DELETE", "/schemas/urn:x:y", None, 404, "urn:x:y").await;
    check("DELETE", "/resource-types/User", None, 409, "every tenant").await;
    check("GET", "/schemas/urn:x:y", None, 404, "urn:x:y").await;
    check("GET", "/resource-types/Pet/history", None, 404, "`Pet`").await;
    doors(&house).await;
    assert_eq!(
        admin(&house, "GET", "/schemas", None).await.body[0]["attributes"][1]["x-indexed"],
        true
    );
    let types = admin(&house, "GET", "/resource-types", None).await;
    assert!(
        types
            .body
            .as_array()
            .unwrap()
            .iter()
            .any(|own| own["name"] == "Door"),
        "{types:?}"
    );
    check(
        "DELETE",
        &format!("/schemas/{DOOR}"),
        None,
        409,
        "resource type Door",
    )
    .await;
}

/// draft-ietf-scim-roles-entitlements: what is allowed is discoverable, and held to where the tenant says so.
#[tokio::test]
async fn roles_are_held_to_those_that_are_allowed() {
    let house = House::new().await;
    without(&house, "Role").await;
    without(&house, "Entitlement").await;
    let config = house.scim("GET", "/ServiceProviderConfig", None).await;
    assert!(config.body.get("RolesAndEntitlements").is_none());
    let enforce = json!({"id": USER, "attributes": [{"name": "roles", "subAttributes": [{"name": "value", "x-enforced": true}]}]});
    let early = admin(&house, "POST", "/schemas", Some(enforce.clone())).await;
    assert!(
        early.status == StatusCode::CONFLICT
            && early.text("/detail").contains("resource type Role"),
        "{early:?}"
    );
    post(&house, "/resource-types", json!({"name": "Role"})).await;
    let role = async |value: &str, supported: bool| {
        let body = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Role"], "value": value, "supported": supported});
        assert_eq!(
            house.scim("POST", "/Roles", Some(body)).await.status,
            StatusCode::CREATED
        );
    };
    role("staff", true).await;
    role("retired", false).await;
    let announced = async |token: &str| {
        house
            .call(token, "GET", "/scim/v2/ServiceProviderConfig", &[], None)
            .await
            .body
    };
    let config = announced(&house.token).await;
    assert_eq!(config["RolesAndEntitlements"]["roles"]["supported"], true);
    assert_eq!(
        config["RolesAndEntitlements"]["entitlements"]["supported"],
        false
    );
    assert!(
        config.get("agentExtension").is_none(),
        "there are no agents"
    );
    let narrow = house.narrow(&[Scope::Read], Some(&["User"])).await;
    assert!(
        announced(&narrow)
            .await
            .get("RolesAndEntitlements")
            .is_none(),
        "none that it may know of"
    );
    let user = async |name: &str, roles: Value| {
        house
            .scim(
                "POST",
                "/Users",
                Some(json!({"schemas": [USER], "userName": name, "roles": roles})),
            )
            .await
    };
    let ann = user("ann", json!([{"value": "anything"}])).await;
    assert_eq!(ann.status, StatusCode::CREATED, "not enforced yet");
    post(&house, "/schemas", enforce).await;
    assert_eq!(
        user("bob", json!([{"value": "Staff"}])).await.status,
        StatusCode::CREATED
    );
    for refused in ["retired", "unknown"] {
        let answer = user("eve", json!([{"value": "staff"}, {"value": refused}])).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text("/scimType")),
            (400, "invalidValue")
        );
        assert!(
            answer.text("/detail").contains(refused) && answer.text("/detail").contains("/Roles"),
            "{answer:?}"
        );
    }
    let path = format!("/Users/{}", ann.text("/id"));
    let change = async |operation: Value| {
        house
            .scim(
                "PATCH",
                &path,
                Some(json!({"schemas": [PATCH], "Operations": [operation]})),
            )
            .await
            .status
    };
    assert_eq!(
        change(json!({"op": "replace", "path": "title", "value": "T"})).await,
        StatusCode::OK,
        "what was there stays"
    );
    assert_eq!(
        change(json!({"op": "add", "path": "roles", "value": [{"value": "unknown"}]})).await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        change(json!({"op": "add", "path": "roles", "value": [{"value": "staff"}]})).await,
        StatusCode::OK
    );
    let put = json!({"schemas": [USER], "userName": "ann", "roles": [{"value": "unknown"}]});
    assert_eq!(
        house.scim("PUT", &path, Some(put)).await.status,
        StatusCode::BAD_REQUEST
    );
}
