//! What administrators do to clients, issuers, receivers and signing keys: each act leaves its audit entry without secrets, and a narrow administrator neither
//! ends nor opens what is broader.

use directory::access::Scope;
use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{Answer, House};

const ADMIN: &str = "/t/default/admin/v1";

async fn call(house: &House, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
    let path = format!("{ADMIN}{path}");
    house.call(token, method, &path, &[], body).await
}

/// With the token that may do everything; the answer has to be a success.
async fn act(house: &House, method: &str, path: &str, body: Option<Value>) -> Answer {
    let answer = call(house, &house.token, method, path, body).await;
    assert!(answer.status.is_success(), "{method} {path} {answer:?}");
    answer
}

/// The entries of the audit log about these acts, oldest first; none of them holds a secret.
async fn entries(house: &House, noun: &str, secrets: &[&str]) -> Vec<Value> {
    let log = act(house, "GET", "/audit", None).await;
    let text = log.body.to_string();
    for secret in secrets {
        assert!(!secret.is_empty() && !text.contains(secret), "{text}");
    }
    let about = |entry: &Value| {
        let act = entry["act"].as_str().unwrap();
        act.starts_with(noun).then(|| entry.clone())
    };
    let all = log.body.as_array().unwrap();
    all.iter()
        .filter_map(|recorded| about(&recorded["entry"]))
        .collect()
}

/// What was done, and to what.
fn acts(entries: &[Value]) -> Vec<(&str, &str)> {
    entries
        .iter()
        .filter_map(|entry| Some((entry["act"].as_str()?, entry["on"].as_str()?)))
        .collect()
}

fn issuer(name: &str, permissions: Value) -> Value {
    json!({
        "name": name,
        "issuer": format!("https://{name}.example"),
        "jwksUrl": "https://idp.example/keys",
        "audiences": ["rollcall"],
        "permissions": permissions,
    })
}

#[tokio::test]
async fn acts_on_clients_leave_entries_without_secrets() {
    let house = House::new().await;
    let made = act(&house, "POST", "/clients", Some(json!({"name": "hr"}))).await;
    let (id, secret) = (made.text("/id"), made.text("/clientSecret"));
    let path = format!("/clients/{id}");
    act(&house, "DELETE", &path, None).await;
    // Once more: nothing is done, so nothing is written down.
    act(&house, "DELETE", &path, None).await;
    let found = entries(&house, "client.", &[secret]).await;
    assert_eq!(acts(&found), [("client.create", id), ("client.revoke", id)]);
    assert_eq!(found[0]["after"]["name"], "hr");
    assert_eq!(found[1]["before"]["revoked"], Value::Null);
    assert!(found[1]["after"]["revoked"].is_string(), "{found:?}");
}

#[tokio::test]
async fn acts_on_issuers_leave_entries() {
    let house = House::new().await;
    act(&house, "POST", "/issuers", Some(issuer("idp", json!({})))).await;
    act(&house, "DELETE", "/issuers/idp", None).await;
    let again = call(&house, &house.token, "DELETE", "/issuers/idp", None).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    let found = entries(&house, "issuer.", &[]).await;
    assert_eq!(
        acts(&found),
        [("issuer.create", "idp"), ("issuer.remove", "idp")]
    );
    assert_eq!(found[0]["after"], found[1]["before"]);
    assert_eq!(found[1]["after"], Value::Null);
}

#[tokio::test]
async fn acts_on_receivers_leave_entries_without_secrets() {
    let house = House::new().await;
    let ann = house.user("ann").await;
    let hook = json!({"name": "hook", "kind": "webhook", "url": "https://hook.example.com/a"});
    let made = act(&house, "POST", "/receivers", Some(hook)).await;
    let push = json!({"name": "push", "kind": "push", "url": "https://push.example.com/a", "token": "first-token"});
    let added = act(&house, "POST", "/receivers", Some(push)).await;
    assert_eq!(added.body.pointer("/secret"), None, "{added:?}");
    assert_eq!(added.text("/issuer"), "https://r.example/t/default");

    let secret = made.text("/secret");
    let rotated = act(&house, "POST", "/receivers/hook/secret", None).await;
    let next = json!({"token": "second-token", "overlapHours": 1});
    let replaced = act(&house, "POST", "/receivers/push/secret", Some(next)).await;
    assert_eq!(replaced.body.pointer("/secret"), None, "{replaced:?}");
    let paused = Some(json!({"state": "paused"}));
    act(&house, "PATCH", "/receivers/hook", paused).await;
    let member = json!({"resourceType": "User", "id": ann});
    for verb in ["add", "add", "remove"] {
        let path = format!("/receivers/hook/feed/{verb}");
        act(&house, "POST", &path, Some(member.clone())).await;
    }
    let tested = act(&house, "POST", "/receivers/hook/test", None).await;
    assert_eq!(
        (tested.text("/outcome"), tested.text("/why")),
        ("later", "nobody is there")
    );
    act(&house, "DELETE", "/receivers/hook", None).await;

    let secrets = [
        secret,
        rotated.text("/secret"),
        "first-token",
        "second-token",
    ];
    let found = entries(&house, "receiver.", &secrets).await;
    assert_eq!(
        acts(&found),
        [
            ("receiver.create", "hook"),
            ("receiver.create", "push"),
            ("receiver.rotate-secret", "hook"),
            ("receiver.rotate-secret", "push"),
            ("receiver.change", "hook"),
            ("receiver.feed-add", "hook"),
            ("receiver.feed-remove", "hook"),
            ("receiver.remove", "hook"),
        ]
    );
    assert!(
        found[2]["after"]["secretChangesUntil"].is_string(),
        "{found:?}"
    );
    assert_eq!(found[4]["after"]["state"], "paused");
    assert_eq!(found[5]["after"], member);
}

#[tokio::test]
async fn acts_on_dead_letters_leave_entries() {
    let house = House::new().await;
    let poll = json!({"name": "app", "kind": "poll", "settings": {"attemptsMax": 1}});
    let made = act(&house, "POST", "/receivers", Some(poll)).await;
    assert_eq!(
        made.text("/pollUrl"),
        "https://r.example/t/default/receivers/app/poll"
    );
    house.user("ann").await;
    let polled = async |body: Value| {
        let path = "/t/default/receivers/app/poll";
        house
            .call(made.text("/secret"), "POST", path, &[], Some(body))
            .await
    };
    let refuse = async || {
        let handed = polled(json!({"returnImmediately": true})).await;
        let sets = handed.body["sets"].as_object().unwrap();
        let id = sets.keys().next().unwrap();
        let said =
            json!({"returnImmediately": true, "maxEvents": 0, "setErrs": {id: {"err": "no"}}});
        polled(said).await;
    };
    refuse().await;
    let path = |verb: &str| format!("/receivers/app/dead-letters/{verb}");
    let letters = act(&house, "GET", "/receivers/app/dead-letters", None).await;
    let which = json!({"sequence": letters.body[0]["sequence"]});
    let again = act(&house, "POST", &path("redeliver"), Some(which.clone())).await;
    assert_eq!(again.body["count"], 1);
    refuse().await;
    let gone = act(&house, "POST", &path("discard"), Some(json!({}))).await;
    assert_eq!(gone.body["count"], 1);
    // There is none left, so nothing is done and nothing is written down.
    act(&house, "POST", &path("discard"), Some(json!({}))).await;
    let found = entries(&house, "receiver.", &[made.text("/secret")]).await;
    assert_eq!(
        acts(&found),
        [
            ("receiver.create", "app"),
            ("receiver.redeliver", "app"),
            ("receiver.discard", "app"),
        ]
    );
    assert_eq!(found[1]["after"], which);
    // No event has this number; it does not stand for all.
    let body = Some(json!({"sequence": 0}));
    let refused = call(&house, &house.token, "POST", &path("redeliver"), body).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
}

#[tokio::test]
async fn a_new_signing_key_leaves_an_entry_with_its_id() {
    let house = House::new().await;
    let body = Some(json!({"distrustOld": true}));
    let made = act(&house, "POST", "/signing-keys", body).await;
    let listed = act(&house, "GET", "/signing-keys", None).await;
    assert_eq!(listed.body.as_array().unwrap().len(), 1);
    assert_eq!(listed.body[0]["public"], made.body);
    assert_eq!(listed.body[0]["retired"], Value::Null);
    let found = entries(&house, "signing-key.", &[]).await;
    assert_eq!(acts(&found), [("signing-key.rotate", made.text("/kid"))]);
    assert_eq!(found[0]["after"], json!({"distrustOld": true}));
}

#[tokio::test]
async fn what_is_wrong_with_a_change_of_a_receiver_is_named() {
    let house = House::new().await;
    let push = json!({"name": "push", "kind": "push", "url": "https://push.example.com/a"});
    act(&house, "POST", "/receivers", Some(push)).await;
    let poll = json!({"name": "poll", "kind": "poll"});
    act(&house, "POST", "/receivers", Some(poll)).await;
    let check = async |path: &str, body: Option<Value>, said: &str| {
        let refused = call(&house, &house.token, "POST", path, body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert!(refused.text("/detail").contains(said), "{refused:?}");
    };
    check("/receivers/push/secret", None, "`token`").await;
    let words = Some(json!({"token": "two words"}));
    check("/receivers/push/secret", words, "`token`").await;
    let token = Some(json!({"token": "x"}));
    check("/receivers/poll/secret", token, "push receiver").await;
    let long = Some(json!({"overlapHours": 10_000}));
    check("/receivers/poll/secret", long, "8760").await;
    let inside = json!({"name": "in", "kind": "webhook", "url": "https://inside.example/a"});
    check("/receivers", Some(inside.clone()), "it is inside").await;
    // Why a URL may not be reached is not a tenant's to know.
    let narrow = house.narrow(&[Scope::Admin, Scope::Read], None).await;
    let refused = call(&house, &narrow, "POST", "/receivers", Some(inside)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    assert!(!refused.text("/detail").contains("inside"), "{refused:?}");
}

#[tokio::test]
async fn a_narrow_administrator_ends_no_broader_client_or_issuer() {
    let house = House::new().await;
    let narrow = house
        .narrow(&[Scope::Admin, Scope::Read], Some(&["Group"]))
        .await;
    let groups = json!({"scopes": ["read"], "resourceTypes": ["Group"]});
    let all = act(&house, "POST", "/clients", Some(json!({"name": "all"}))).await;
    let own = json!({"name": "own", "permissions": groups});
    let own = act(&house, "POST", "/clients", Some(own)).await;
    act(&house, "POST", "/issuers", Some(issuer("all", json!({})))).await;
    act(&house, "POST", "/issuers", Some(issuer("own", groups))).await;
    let check = async |path: &str, expected: StatusCode| {
        let answer = call(&house, &narrow, "DELETE", path, None).await;
        assert_eq!(answer.status, expected, "{path} {answer:?}");
    };
    let client = |made: &Answer| format!("/clients/{}", made.text("/id"));
    check(&client(&all), StatusCode::FORBIDDEN).await;
    check(&client(&own), StatusCode::NO_CONTENT).await;
    check("/issuers/all", StatusCode::FORBIDDEN).await;
    check("/issuers/own", StatusCode::NO_CONTENT).await;
    let live = act(&house, "GET", "/clients", None).await;
    assert_eq!(live.body[0]["revoked"], Value::Null, "{live:?}");
}

#[tokio::test]
async fn a_narrow_administrator_neither_sees_nor_feeds_a_broader_receiver() {
    let house = House::new().await;
    let group = house
        .scim("POST", "/Groups", Some(json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "g"})))
        .await;
    let narrow = house
        .narrow(&[Scope::Admin, Scope::Read], Some(&["User"]))
        .await;
    let users = json!({"name": "own", "kind": "poll", "settings": {"resourceTypes": ["User"]}});
    act(&house, "POST", "/receivers", Some(users)).await;
    let all = json!({"name": "all", "kind": "poll"});
    act(&house, "POST", "/receivers", Some(all)).await;
    let member = json!({"resourceType": "Group", "id": group.text("/id")});
    let check = async |path: &str, body: Value, expected: StatusCode| {
        let answer = call(&house, &narrow, "POST", path, Some(body)).await;
        assert_eq!(answer.status, expected, "{path} {answer:?}");
    };
    let (missing, forbidden) = (StatusCode::NOT_FOUND, StatusCode::FORBIDDEN);
    check("/receivers/all/feed/add", member.clone(), missing).await;
    check("/receivers/all/test", json!({}), missing).await;
    check("/receivers/own/feed/add", member, forbidden).await;
    check("/receivers/own/test", json!({}), StatusCode::OK).await;
    check("/signing-keys", json!({}), forbidden).await;
}
