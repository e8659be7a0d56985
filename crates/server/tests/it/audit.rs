//! Roles of administrators, and the audit log of what they did.

use directory::access::{Permissions, Role, Scope};
use directory::deletion_guard::Mode;
use http::StatusCode;
use serde_json::{Value, json};
use server::Options;

use crate::admin_safety::{guarded, patch};
use crate::house::{Answer, House};

const ADMIN: &str = "/t/default/admin/v1";

async fn call(house: &House, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
    let path = format!("{ADMIN}{path}");
    house.call(token, method, &path, &[], body).await
}

async fn made(house: &House, token: &str, body: Value) -> Answer {
    call(house, token, "POST", "/tokens", Some(body)).await
}

/// A token with a role, made through the API.
async fn with_role(house: &House, role: &str) -> String {
    let answer = made(house, &house.token, json!({"name": role, "role": role})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    assert_eq!(answer.text("/role"), role);
    answer.text("/token").to_owned()
}

#[tokio::test]
async fn each_act_leaves_an_entry_without_secrets() {
    let house = House::new().await;
    let token = made(&house, &house.token, json!({"name": "okta"})).await;
    let id = token.text("/id");
    let path = format!("/tokens/{id}");
    let revoked = call(&house, &house.token, "DELETE", &path, None).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    // Once more: nothing is done, so nothing is written down.
    call(&house, &house.token, "DELETE", &path, None).await;

    let log = call(&house, &house.token, "GET", "/audit?count=2", None).await;
    let text = log.body.to_string();
    assert!(!text.contains(token.text("/token")), "{text}");
    assert_eq!(log.text("/0/entry/act"), "token.create");
    assert_eq!(log.text("/0/entry/on"), id);
    assert_eq!(log.text("/0/entry/after/name"), "okta");
    assert_eq!(log.text("/0/entry/actor/role"), "owner");
    assert_eq!(log.text("/1/entry/act"), "token.revoke");
    assert_eq!(
        log.body.pointer("/1/entry/before/revoked"),
        Some(&Value::Null)
    );
    assert_eq!(log.body.as_array().map(Vec::len), Some(2), "{text}");

    let refused = made(
        &house,
        &house.token,
        json!({"name": "x", "scopes": ["all"]}),
    )
    .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let verified = call(&house, &house.token, "GET", "/audit/verify", None).await;
    assert_eq!(verified.body["broken"], Value::Null, "{verified:?}");
    let after = verified.body["entries"].as_u64().unwrap() - 1;
    let path = format!("/audit?after={after}");
    let last = call(&house, &house.token, "GET", &path, None).await;
    assert_eq!(last.text("/0/entry/act"), "token.revoke");
    assert_eq!(last.text("/0/hash"), verified.text("/hash"));
    for path in ["/audit?count=0", "/audit?colour=red", "/audit?after=x"] {
        let refused = call(&house, &house.token, "GET", path, None).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn an_auditor_reads_and_changes_nothing() {
    let house = House::new().await;
    let auditor = with_role(&house, "auditor").await;
    for path in [
        "/tokens",
        "/audit",
        "/audit/verify",
        "/clients",
        "/guard",
        "/receivers",
    ] {
        let read = call(&house, &auditor, "GET", path, None).await;
        assert_eq!(read.status, StatusCode::OK, "{path} {read:?}");
    }
    let refused = made(&house, &auditor, json!({"name": "x", "scopes": ["read"]})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(
        refused
            .text("/detail")
            .contains("needs the role `administrator`"),
        "{refused:?}"
    );
    let refused = call(&house, &auditor, "POST", "/undo", Some(json!({}))).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let tenants = house
        .call(&auditor, "GET", "/admin/v1/tenants", &[], None)
        .await;
    assert_eq!(
        tenants.status,
        StatusCode::FORBIDDEN,
        "it is a tenant's auditor"
    );
    let body = json!({"name": "x", "role": "auditor", "scopes": ["write"]});
    let refused = made(&house, &house.token, body).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
}

#[tokio::test]
async fn nobody_gives_a_broader_role_than_their_own() {
    let house = House::new().await;
    let administrator = with_role(&house, "administrator").await;
    let check = async |token: &str, role: &str, expected: StatusCode| {
        let answer = made(&house, token, json!({"name": "x", "role": role})).await;
        assert_eq!(answer.status, expected, "{role} {answer:?}");
    };
    check(&administrator, "auditor", StatusCode::CREATED).await;
    check(&administrator, "help-desk", StatusCode::CREATED).await;
    check(&administrator, "administrator", StatusCode::CREATED).await;
    check(&administrator, "owner", StatusCode::FORBIDDEN).await;
    check(&administrator, "king", StatusCode::BAD_REQUEST).await;
    let help_desk = with_role(&house, "help-desk").await;
    check(&help_desk, "auditor", StatusCode::FORBIDDEN).await;
}

#[tokio::test]
async fn a_narrow_administrator_does_not_revoke_a_broader_token() {
    let house = House::new().await;
    let list = call(&house, &house.token, "GET", "/tokens", None).await;
    let owner = format!("/tokens/{}", list.text("/0/id"));
    let groups = json!({"name": "groups", "resourceTypes": ["Group"]});
    let of_groups = made(&house, &house.token, groups).await;
    let of_groups = format!("/tokens/{}", of_groups.text("/id"));
    let all = made(&house, &house.token, json!({"name": "all"})).await;
    let all = format!("/tokens/{}", all.text("/id"));

    let administrator = with_role(&house, "administrator").await;
    let narrow = house
        .narrow(&[Scope::Read, Scope::Write, Scope::Admin], Some(&["Group"]))
        .await;
    let check = async |token: &str, path: &str, expected: StatusCode| {
        let answer = call(&house, token, "DELETE", path, None).await;
        assert_eq!(answer.status, expected, "{path} {answer:?}");
    };
    check(&narrow, &owner, StatusCode::FORBIDDEN).await;
    check(&narrow, &all, StatusCode::FORBIDDEN).await;
    check(&narrow, &of_groups, StatusCode::NO_CONTENT).await;
    check(&administrator, &owner, StatusCode::FORBIDDEN).await;
    check(&administrator, &all, StatusCode::NO_CONTENT).await;
    let still = call(&house, &house.token, "GET", "/tokens", None).await;
    assert_eq!(still.status, StatusCode::OK, "the owner's token works");
}

#[tokio::test]
async fn help_desk_ends_what_was_issued_to_a_person() {
    let house = House::new().await;
    let help_desk = with_role(&house, "help-desk").await;
    let ann = house.user("ann").await;
    let hers = made(&house, &house.token, json!({"name": "hers", "user": ann})).await;
    let other = made(&house, &house.token, json!({"name": "idp"})).await;
    let check = async |token: &Answer, expected: StatusCode| {
        let path = format!("/tokens/{}", token.text("/id"));
        let answer = call(&house, &help_desk, "DELETE", &path, None).await;
        assert_eq!(answer.status, expected, "{answer:?}");
    };
    check(&other, StatusCode::FORBIDDEN).await;
    check(&hers, StatusCode::NO_CONTENT).await;
}

#[tokio::test]
async fn a_role_opens_nothing_that_the_scopes_do_not() {
    let house = House::new().await;
    let permissions = Permissions {
        role: Some(Role::Owner),
        ..Permissions::of(&[Scope::Read])
    };
    let token = house.issue(permissions).await;
    let answer = call(&house, &token, "GET", "/tokens", None).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

/// The entries about a noun: what was done, and to what.
async fn entries_about(house: &House, noun: &str) -> Vec<Value> {
    let log = call(house, &house.token, "GET", "/audit?count=1000", None).await;
    let verified = call(house, &house.token, "GET", "/audit/verify", None).await;
    assert_eq!(verified.body["broken"], Value::Null, "{verified:?}");
    let entries = log.body.as_array().unwrap().iter();
    let about = entries.map(|one| one["entry"].clone()).filter(|entry| {
        let act = entry["act"].as_str().unwrap();
        act.split('.').next() == Some(noun)
    });
    about.collect()
}

fn acts(entries: &[Value]) -> Vec<(&str, &str)> {
    entries
        .iter()
        .map(|entry| {
            (
                entry["act"].as_str().unwrap(),
                entry["on"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn each_act_on_the_guard_leaves_one_entry_without_what_is_said_of_people() {
    let house = House::with(Options::default(), guarded(Mode::Park)).await;
    let mut people = Vec::new();
    for name in ["ada", "grace", "edith", "joan"] {
        let id = house.user(name).await;
        patch(&house, &id, "active", json!(false)).await;
        people.push(id);
    }
    let parked = call(&house, &house.token, "GET", "/guard", None).await;
    let id = |place: usize| parked.text(&format!("/parked/{place}/id")).to_owned();
    let (first, second, third) = (id(0), id(1), id(2));
    let decide = async |method: &str, path: &str| {
        let answer = call(&house, &house.token, method, path, None).await;
        assert!(answer.status.is_success(), "{path} {answer:?}");
    };
    decide("POST", &format!("/guard/parked/{first}/approve")).await;
    decide("DELETE", &format!("/guard/parked/{second}")).await;
    // The person is gone, so no change is committed; the decision is written down all the same.
    let path = format!("/Users/{}", people[3]);
    let other = house.narrow(&[Scope::Read, Scope::Write], None).await;
    let path = format!("/scim/v2{path}");
    house.call(&other, "DELETE", &path, &[], None).await;
    decide("POST", &format!("/guard/parked/{third}/approve")).await;
    let body = json!({"removal": "delete", "count": 5});
    call(
        &house,
        &house.token,
        "POST",
        "/guard/allowances",
        Some(body),
    )
    .await;
    // What is refused leaves no entry.
    let path = format!("/guard/parked/{first}/approve");
    call(&house, &house.token, "POST", &path, None).await;
    let body = json!({"removal": "delete", "count": 5, "minutes": 0});
    call(
        &house,
        &house.token,
        "POST",
        "/guard/allowances",
        Some(body),
    )
    .await;

    let entries = entries_about(&house, "guard").await;
    let expected = [
        ("guard.approve", first.as_str()),
        ("guard.reject", second.as_str()),
        ("guard.approve", third.as_str()),
        ("guard.allow", "delete"),
    ];
    assert_eq!(acts(&entries), expected);
    assert_eq!(entries[0]["before"]["resourceId"], people[1].as_str());
    assert_eq!(entries[3]["after"]["remaining"], 5);
    assert_eq!(entries[0]["before"].get("body"), None, "{entries:?}");
}

#[tokio::test]
async fn restoring_and_undoing_leave_one_entry_each() {
    let house = House::new().await;
    let ada = house.user("ada").await;
    let start = house.hand_now().to_string();
    house.wait(60);
    let grace = house.user("grace").await;
    patch(&house, &ada, "title", json!("Countess of Lovelace")).await;
    house.wait(60);
    let end = house.hand_now().to_string();
    let undo = async |execute: bool| {
        let body = json!({"from": start, "until": end, "execute": execute});
        let answer = call(&house, &house.token, "POST", "/undo", Some(body)).await;
        assert_eq!(
            answer.body["done"].as_array().unwrap().len(),
            2,
            "{answer:?}"
        );
    };
    undo(false).await;
    undo(true).await;
    let restore = async |id: &str, expected: StatusCode| {
        let path = format!("/history/{id}/restore");
        let answer = call(&house, &house.token, "POST", &path, Some(json!({}))).await;
        assert_eq!(answer.status, expected, "{answer:?}");
    };
    restore(&grace, StatusCode::OK).await;
    restore("none", StatusCode::NOT_FOUND).await;

    let entries = entries_about(&house, "history").await;
    let window = format!("{start}/{end}");
    let expected = [
        ("history.undo", window.as_str()),
        ("history.restore", grace.as_str()),
    ];
    assert_eq!(acts(&entries), expected);
    assert_eq!(entries[0]["after"]["until"], end.as_str());
    assert!(
        !json!(entries).to_string().contains("Countess"),
        "{entries:?}"
    );
}

#[tokio::test]
async fn edits_of_schemas_and_resource_types_leave_entries() {
    let house = House::new().await;
    let edit = async |method: &str, path: &str, body: Option<Value>| {
        let answer = call(&house, &house.token, method, path, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    };
    let urn = "urn:example:params:scim:schemas:Badge";
    let schema = |attribute: &str| {
        let attributes = json!([{"name": attribute, "type": "string"}]);
        Some(json!({"id": urn, "name": "Badge", "attributes": attributes}))
    };
    let path = format!("/schemas/{urn}");
    edit("POST", "/schemas?dryRun=true", schema("number")).await;
    edit("POST", "/schemas", schema("number")).await;
    // Once more: nothing changes, so nothing is written down.
    edit("POST", "/schemas", schema("number")).await;
    edit("DELETE", &path, None).await;
    edit("POST", "/resource-types", Some(json!({"name": "Device"}))).await;
    edit("DELETE", "/resource-types/Device", None).await;

    let schemas = entries_about(&house, "schema").await;
    assert_eq!(
        acts(&schemas),
        [("schema.change", urn), ("schema.remove", urn)]
    );
    assert_eq!(schemas[0].get("before"), None);
    assert_eq!(schemas[0]["after"]["attributes"][0]["name"], "number");
    assert_eq!(schemas[1]["before"]["id"], urn);
    let types = entries_about(&house, "resource-type").await;
    let expected = [
        ("resource-type.change", "Device"),
        ("resource-type.remove", "Device"),
    ];
    assert_eq!(acts(&types), expected);
}
