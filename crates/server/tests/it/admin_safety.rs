//! The admin API for what was and what is held: history, restoring, undo, the guard, references that wait, and the settings that decide on them.

use directory::access::{Permissions, Scope};
use directory::deletion_guard::{GuardSettings, Mode, Threshold};
use directory::tenant::TenantSettings;
use http::StatusCode;
use serde_json::{Value, json};
use server::Options;

use crate::house::{Answer, House};
use crate::rfc::GROUP;

const ADMIN: &str = "/t/default/admin/v1";

async fn admin(house: &House, method: &str, path: &str, body: Option<Value>) -> Answer {
    let token = house
        .narrow(&[Scope::Admin, Scope::Read, Scope::Write], None)
        .await;
    house
        .call(&token, method, &format!("{ADMIN}{path}"), &[], body)
        .await
}

/// A guard that holds the second removal of each kind.
pub(crate) fn guarded(mode: Mode) -> TenantSettings {
    let one = Threshold {
        count: 1,
        percent: 0,
    };
    let guard = GuardSettings {
        mode,
        window_minutes: 60,
        disables: one,
        deletes: one,
        memberships: one,
    };
    TenantSettings {
        guard,
        ..TenantSettings::default()
    }
}

pub(crate) async fn patch(house: &House, id: &str, path: &str, value: Value) -> Answer {
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "path": path, "value": value}]});
    house
        .scim("PATCH", &format!("/Users/{id}"), Some(body))
        .await
}

#[tokio::test]
async fn a_resource_is_given_back_what_it_was() {
    let house = House::new().await;
    let ada = house.user("ada").await;
    house.wait(60);
    assert_eq!(
        patch(&house, &ada, "title", json!("Countess")).await.status,
        StatusCode::OK
    );
    house.wait(60);
    assert_eq!(
        patch(&house, &ada, "title", json!("Nobody")).await.status,
        StatusCode::OK
    );
    let versions = admin(&house, "GET", &format!("/history/{ada}"), None).await;
    assert_eq!(
        (
            versions.status,
            versions.body[0]["version"].as_u64(),
            versions.body[0]["kind"].as_str()
        ),
        (StatusCode::OK, Some(1), Some("create"))
    );
    assert_eq!(versions.body[2]["before"]["title"], "Countess");
    assert_eq!(
        admin(&house, "GET", &format!("/history/{ada}?above=2"), None)
            .await
            .body
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        (
            &versions.body[2]["joined"],
            &versions.body[2]["left"],
            &versions.body[2]["membersCut"]
        ),
        (&json!([]), &json!([]), &json!(false))
    );
    let body = json!({"schemas": [GROUP], "displayName": "team", "members": [{"value": ada}]});
    let team = house
        .scim("POST", "/Groups", Some(body.clone()))
        .await
        .text("/id")
        .to_owned();
    let alone = json!({"schemas": [GROUP], "displayName": "team"});
    assert_eq!(
        house
            .scim("PUT", &format!("/Groups/{team}"), Some(alone))
            .await
            .status,
        StatusCode::OK
    );
    let of_team = admin(&house, "GET", &format!("/history/{team}"), None).await;
    assert_eq!(
        (&of_team.body[0]["joined"], &of_team.body[1]["left"]),
        (&json!([ada]), &json!([ada]))
    );
    let then = admin(
        &house,
        "GET",
        &format!("/history/{ada}/then?version=2"),
        None,
    )
    .await;
    assert_eq!(
        (
            then.text("/title"),
            then.text("/id"),
            &then.body["meta"]["version"]
        ),
        ("Countess", ada.as_str(), &json!(2))
    );
    let at = house
        .hand_now()
        .checked_sub(jiff::SignedDuration::from_secs(90))
        .unwrap();
    let first = admin(&house, "GET", &format!("/history/{ada}/then?at={at}"), None).await;
    assert_eq!(
        (first.status, first.body.get("title")),
        (StatusCode::OK, None),
        "{first:?}"
    );
    let restored = admin(
        &house,
        "POST",
        &format!("/history/{ada}/restore"),
        Some(json!({"version": 2})),
    )
    .await;
    assert_eq!(
        (restored.status, restored.text("/title")),
        (StatusCode::OK, "Countess")
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{ada}"), None)
            .await
            .text("/title"),
        "Countess"
    );

    assert_eq!(
        house
            .scim("DELETE", &format!("/Users/{ada}"), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    let deleted = admin(&house, "GET", "/deleted", None).await;
    assert_eq!(
        (deleted.text("/0/id"), deleted.text("/0/userName")),
        (ada.as_str(), "ada")
    );
    let back = admin(
        &house,
        "POST",
        &format!("/history/{ada}/restore"),
        Some(json!({})),
    )
    .await;
    assert_eq!(
        (back.status, back.text("/title")),
        (StatusCode::OK, "Countess")
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{ada}"), None)
            .await
            .text("/userName"),
        "ada"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_question_about_the_past_is_named() {
    let house = House::new().await;
    let ada = house.user("ada").await;
    let check = async |method: &str, path: &str, body: Option<Value>, status: u16, said: &str| {
        let answer = admin(&house, method, path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {answer:?}");
        assert!(answer.text("/detail").contains(said), "{path} {answer:?}");
    };
    check(
        "GET",
        &format!("/history/{ada}?above=x"),
        None,
        400,
        "`above`",
    )
    .await;
    for query in ["", "?above=3"] {
        check(
            "GET",
            &format!("/history/nobody{query}"),
            None,
            404,
            "`nobody`",
        )
        .await;
    }
    let nothing_more = admin(&house, "GET", &format!("/history/{ada}?above=9"), None).await;
    assert_eq!(
        (nothing_more.status, nothing_more.body),
        (StatusCode::OK, json!([]))
    );
    check("GET", &format!("/history/{ada}/then"), None, 400, "`at`").await;
    check(
        "GET",
        &format!("/history/{ada}/then?version=9"),
        None,
        404,
        &ada,
    )
    .await;
    check(
        "GET",
        &format!("/history/{ada}/then?at=yesterday"),
        None,
        400,
        "RFC 3339",
    )
    .await;
    check(
        "POST",
        &format!("/history/{ada}/restore"),
        Some(json!({"version": 1, "at": "2030-01-01T00:00:00Z"})),
        400,
        "one of them",
    )
    .await;
    check(
        "POST",
        "/history/nobody/restore",
        Some(json!({})),
        404,
        "nobody",
    )
    .await;
    check(
        "POST",
        "/undo",
        Some(json!({"from": "now", "until": "2030-01-01T00:00:00Z"})),
        400,
        "`from`",
    )
    .await;
    check(
        "POST",
        "/guard/allowances",
        Some(json!({"removal": "promote", "count": 1})),
        400,
        "`disable`",
    )
    .await;
    check(
        "POST",
        "/guard/allowances",
        Some(json!({"removal": "delete", "count": 1, "minutes": 0})),
        400,
        "1 to 10080",
    )
    .await;
    check("POST", "/guard/parked/none/approve", None, 404, "`none`").await;
    check("DELETE", "/guard/parked/none", None, 404, "`none`").await;
}

#[tokio::test]
async fn a_window_is_undone_after_it_was_looked_at() {
    let house = House::with(Options::default(), guarded(Mode::Refuse)).await;
    let (ada, grace) = (house.user("ada").await, house.user("grace").await);
    house.wait(600);
    let from = house.hand_now();
    assert_eq!(
        house
            .scim("DELETE", &format!("/Users/{ada}"), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        patch(&house, &grace, "active", json!(false)).await.status,
        StatusCode::OK
    );
    house.wait(60);
    let window = |execute: bool| json!({"from": from.to_string(), "until": house.hand_now().to_string(), "execute": execute});
    let looked = admin(&house, "POST", "/undo", Some(window(false))).await;
    assert_eq!(
        (
            looked.body["executed"].as_bool(),
            looked.body["done"].as_array().unwrap().len()
        ),
        (Some(false), 2),
        "{looked:?}"
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{ada}"), None)
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    let done = admin(&house, "POST", "/undo", Some(window(true))).await;
    assert_eq!(
        (
            done.body["executed"].as_bool(),
            done.body["skipped"].as_array().unwrap().len()
        ),
        (Some(true), 0),
        "{done:?}"
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{ada}"), None)
            .await
            .text("/userName"),
        "ada"
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{grace}"), None)
            .await
            .body["active"],
        true
    );
}

/// The schema has changed since: what it does not allow any more stays away, and everything else comes back.
#[tokio::test]
async fn what_is_not_allowed_any_more_is_not_given_back() {
    let house = House::new().await;
    let (ada, grace, edith) = (
        house.user("ada").await,
        house.user("grace").await,
        house.user("edith").await,
    );
    assert_eq!(
        patch(&house, &edith, "displayName", json!("Edith"))
            .await
            .status,
        StatusCode::OK
    );
    house.wait(600);
    let from = house.hand_now();
    assert_eq!(
        house
            .scim("DELETE", &format!("/Users/{ada}"), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        patch(&house, &grace, "displayName", json!("Grace"))
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        patch(&house, &edith, "title", json!("wrong")).await.status,
        StatusCode::OK
    );
    house.wait(60);
    let constraint = json!({"id": scim_protocol::schema::standard::USER, "attributes": [{"name": "displayName", "required": true}]});
    assert_eq!(
        admin(&house, "POST", "/schemas", Some(constraint))
            .await
            .status,
        StatusCode::OK
    );
    for (id, body) in [
        (&ada, json!({})),
        (&ada, json!({"version": 1})),
        (&grace, json!({"version": 1})),
    ] {
        let refused = admin(
            &house,
            "POST",
            &format!("/history/{id}/restore"),
            Some(body),
        )
        .await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
        assert!(
            refused.text("/detail").contains("`displayName`"),
            "{refused:?}"
        );
    }
    for execute in [false, true] {
        let window = json!({"from": from.to_string(), "until": house.hand_now().to_string(), "execute": execute});
        let answer = admin(&house, "POST", "/undo", Some(window)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let lines = |which: &str| {
            let lines = answer.body[which].as_array().unwrap().iter();
            let mut lines: Vec<_> = lines
                .map(|line| {
                    (
                        line["id"].clone(),
                        line["what"].clone(),
                        line["why"].clone(),
                    )
                })
                .collect();
            lines.sort_by_key(|(id, ..)| id.to_string());
            lines
        };
        assert_eq!(
            lines("done"),
            [(json!(edith), json!("update"), json!(""))],
            "{answer:?}"
        );
        let skipped = lines("skipped");
        let whats: Vec<_> = skipped
            .iter()
            .map(|(id, what, _)| (id.clone(), what.clone()))
            .collect();
        assert_eq!(
            whats,
            [
                (json!(ada), json!("restore")),
                (json!(grace), json!("update"))
            ],
            "{answer:?}"
        );
        assert!(
            skipped
                .iter()
                .all(|(.., why)| why.as_str().unwrap().contains("`displayName`")),
            "{answer:?}"
        );
    }
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{edith}"), None)
            .await
            .body
            .get("title"),
        None
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{grace}"), None)
            .await
            .text("/displayName"),
        "Grace"
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{ada}"), None)
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn too_many_removals_are_refused_until_an_administrator_lets_them_through() {
    let house = House::with(Options::default(), guarded(Mode::Refuse)).await;
    let (ada, grace) = (house.user("ada").await, house.user("grace").await);
    house.user("edith").await;
    assert_eq!(
        house
            .scim("DELETE", &format!("/Users/{ada}"), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    let held = house.scim("DELETE", &format!("/Users/{grace}"), None).await;
    assert_eq!(held.status, StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = held.header("retry-after").unwrap().parse().unwrap();
    assert!((60..=3_600).contains(&seconds), "{held:?}");
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{grace}"), None)
            .await
            .status,
        StatusCode::OK
    );
    let guard = admin(&house, "GET", "/guard", None).await;
    let deletes = guard.body["removals"]
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["removal"] == "delete")
        .unwrap();
    assert_eq!(
        (
            guard.text("/mode"),
            &deletes["inWindow"],
            &deletes["count"],
            &deletes["allowed"]
        ),
        ("refuse", &json!(1), &json!(1), &json!(0))
    );
    let allowed = admin(
        &house,
        "POST",
        "/guard/allowances",
        Some(json!({"removal": "delete", "count": 1, "minutes": 10})),
    )
    .await;
    assert_eq!(
        (allowed.status, &allowed.body["remaining"]),
        (StatusCode::CREATED, &json!(1))
    );
    assert_eq!(
        house
            .scim("DELETE", &format!("/Users/{grace}"), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn parked_removals_are_carried_out_or_forgotten() {
    let house = House::with(Options::default(), guarded(Mode::Park)).await;
    let mut ids = Vec::new();
    for name in ["ada", "grace", "edith", "joan"] {
        ids.push(house.user(name).await);
    }
    for id in &ids[..3] {
        assert_eq!(
            house
                .scim("DELETE", &format!("/Users/{id}"), None)
                .await
                .status,
            StatusCode::NO_CONTENT,
            "its client is content"
        );
    }
    let guard = admin(&house, "GET", "/guard", None).await;
    let parked: Vec<&str> = guard.body["parked"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["resourceId"].as_str().unwrap())
        .collect();
    assert_eq!(parked, [ids[1].as_str(), ids[2].as_str()]);
    assert_eq!(
        (
            guard.text("/parked/0/method"),
            guard.text("/parked/0/resourceType")
        ),
        ("delete", "User")
    );
    let (first, second) = (
        guard.text("/parked/0/id").to_owned(),
        guard.text("/parked/1/id").to_owned(),
    );
    assert_eq!(
        admin(
            &house,
            "POST",
            &format!("/guard/parked/{first}/approve"),
            None
        )
        .await
        .text("/resourceId"),
        ids[1]
    );
    assert_eq!(
        admin(&house, "DELETE", &format!("/guard/parked/{second}"), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{}", ids[1]), None)
            .await
            .status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{}", ids[2]), None)
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        admin(&house, "GET", "/guard", None).await.body["parked"],
        json!([])
    );
}

#[tokio::test]
async fn a_dry_run_parks_nothing_and_takes_the_place_of_nothing() {
    let house = House::with(Options::default(), guarded(Mode::Park)).await;
    let mut ids = Vec::new();
    for name in ["ada", "grace", "edith", "joan"] {
        ids.push(house.user(name).await);
    }
    let dry = async |method: &str, path: &str, body: Option<Value>| {
        house
            .call(
                &house.token,
                method,
                &format!("/scim/v2{path}"),
                &[("prefer", "handling=dry-run")],
                body,
            )
            .await
    };
    let parked = async || {
        admin(&house, "GET", "/guard", None).await.body["parked"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(
        house
            .scim("DELETE", &format!("/Users/{}", ids[0]), None)
            .await
            .status,
        StatusCode::NO_CONTENT
    );
    let held = dry("DELETE", &format!("/Users/{}", ids[1]), None).await;
    assert_eq!(
        (held.status, parked().await),
        (StatusCode::NO_CONTENT, 0),
        "{held:?}"
    );
    for id in &ids[1..3] {
        assert_eq!(
            patch(&house, id, "active", json!(false)).await.status,
            StatusCode::OK
        );
    }
    assert_eq!(parked().await, 1);
    let enable = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "path": "active", "value": true}]});
    assert_eq!(
        dry("PATCH", &format!("/Users/{}", ids[2]), Some(enable))
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(parked().await, 1, "what was only tried supersedes nothing");
    assert_eq!(
        patch(&house, &ids[2], "active", json!(true)).await.status,
        StatusCode::OK
    );
    assert_eq!(parked().await, 0);
}

#[tokio::test]
async fn memberships_are_parked_as_resources_too_and_what_is_all_or_nothing_is_refused() {
    let house = House::with(Options::default(), guarded(Mode::Park)).await;
    let mut ids = Vec::new();
    for name in ["ada", "grace", "edith"] {
        ids.push(house.user(name).await);
    }
    let members: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
    let group = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Staff", "members": members});
    let group = house
        .scim("POST", "/Groups", Some(group))
        .await
        .text("/id")
        .to_owned();
    for id in &ids[..2] {
        let ended = house
            .scim("DELETE", &format!("/GroupMembers/{group}.{id}"), None)
            .await;
        assert_eq!(
            ended.status,
            StatusCode::NO_CONTENT,
            "its client is content: {ended:?}"
        );
    }
    let count = async || {
        house
            .scim("GET", &format!("/Groups/{group}"), None)
            .await
            .body["members"]
            .as_array()
            .map_or(0, Vec::len)
    };
    assert_eq!(count().await, 2);
    let operation = json!({"method": "PATCH", "path": format!("/Groups/{group}"), "data": {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "remove", "path": format!("members[value eq \"{}\"]", ids[2])}]
    }});
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "atomic": true, "Operations": [operation]});
    let refused = house.scim("POST", "/Bulk", Some(bulk)).await;
    assert_eq!(refused.text("/Operations/0/status"), "429", "{refused:?}");
    let guard = admin(&house, "GET", "/guard", None).await;
    assert_eq!(
        (
            guard.body["parked"].as_array().unwrap().len(),
            guard.text("/parked/0/resourceId")
        ),
        (1, group.as_str())
    );
    let approved = admin(
        &house,
        "POST",
        &format!("/guard/parked/{}/approve", guard.text("/parked/0/id")),
        None,
    )
    .await;
    assert_eq!(
        (approved.status, count().await),
        (StatusCode::OK, 1),
        "{approved:?}"
    );
}

/// A part of a request that is all or nothing cannot wait; the whole of one that removes few enough need not.
#[tokio::test]
async fn all_or_nothing_is_done_whole_or_refused_whole_where_removals_are_parked() {
    let two = Threshold {
        count: 2,
        percent: 0,
    };
    let guard = GuardSettings {
        mode: Mode::Park,
        window_minutes: 60,
        disables: two,
        deletes: two,
        memberships: two,
    };
    let house = House::with(
        Options::default(),
        TenantSettings {
            guard,
            ..TenantSettings::default()
        },
    )
    .await;
    let mut ids = Vec::new();
    for name in ["ada", "grace", "edith", "mary"] {
        ids.push(house.user(name).await);
    }
    let set = |id: &str, value: bool| {
        let data = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "path": "active", "value": value}]});
        json!({"method": "PATCH", "path": format!("/Users/{id}"), "data": data})
    };
    let user =
        |name: &str| json!({"schemas": [scim_protocol::schema::standard::USER], "userName": name});
    let post = |name: &str| json!({"method": "POST", "path": "/Users", "bulkId": name, "data": user(name)});
    let run = async |operations: Value| {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "atomic": true, "Operations": operations});
        let answer = house.scim("POST", "/Bulk", Some(body)).await;
        answer.body["Operations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["status"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let parked = async || {
        admin(&house, "GET", "/guard", None).await.body["parked"]
            .as_array()
            .unwrap()
            .len()
    };
    let is_active = async |id: &str| {
        house.scim("GET", &format!("/Users/{id}"), None).await.body["active"] != json!(false)
    };
    assert_eq!(
        run(json!([set(&ids[0], false), post("new")])).await,
        ["200", "201"]
    );
    // One more is let through, and two are too many.
    assert_eq!(
        run(json!([
            set(&ids[1], false),
            post("newer"),
            set(&ids[2], false)
        ]))
        .await,
        ["429"; 3]
    );
    assert_eq!(
        (
            is_active(&ids[0]).await,
            is_active(&ids[1]).await,
            parked().await
        ),
        (false, true, 0)
    );
    assert_eq!(
        house.scim("GET", "/Users", None).await.body["totalResults"],
        5
    );
    assert_eq!(run(json!([set(&ids[1], false)])).await, ["200"]);
    // What is parked of one is no longer meant when a later request says otherwise.
    assert_eq!(
        patch(&house, &ids[3], "active", json!(false)).await.status,
        StatusCode::OK
    );
    assert_eq!((is_active(&ids[3]).await, parked().await), (true, 1));
    assert_eq!(
        run(json!([set(&ids[3], true), post("newest")])).await,
        ["200", "201"]
    );
    assert_eq!(parked().await, 0);
}

/// What a credential's own profile made of a write is made of it again when it is carried out.
#[tokio::test]
async fn what_was_parked_is_understood_as_its_sender_meant_it() {
    let settings = TenantSettings {
        profile: "strict".into(),
        ..guarded(Mode::Park)
    };
    let house = House::with(Options::default(), settings).await;
    let ids = [house.user("ada").await, house.user("grace").await];
    let entra = house
        .issue(Permissions {
            profile: Some("entra".into()),
            ..Permissions::default()
        })
        .await;
    let disable = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "Replace", "path": "active", "value": "False"}]});
    for id in &ids {
        let answer = house
            .call(
                &entra,
                "PATCH",
                &format!("/scim/v2/Users/{id}"),
                &[],
                Some(disable.clone()),
            )
            .await;
        assert!(answer.status.is_success(), "{answer:?}");
    }
    let parked = admin(&house, "GET", "/guard", None)
        .await
        .text("/parked/0/id")
        .to_owned();
    let approved = admin(
        &house,
        "POST",
        &format!("/guard/parked/{parked}/approve"),
        None,
    )
    .await;
    assert_eq!(approved.status, StatusCode::OK, "{approved:?}");
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{}", ids[1]), None)
            .await
            .body["active"],
        false
    );
}

#[tokio::test]
async fn settings_are_changed_while_clients_call() {
    let house = House::new().await;
    let group = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Staff", "members": [{"value": "not-here-yet"}]});
    assert_eq!(
        house
            .scim("POST", "/Groups", Some(group.clone()))
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
    let change = async |settings: Value| {
        house
            .call(
                &house.token,
                "PATCH",
                "/admin/v1/tenants/default",
                &[],
                Some(json!({"settings": settings})),
            )
            .await
    };
    let changed = change(json!({"pending_references": true, "guard": {"mode": "park"}})).await;
    assert_eq!(
        (changed.status, changed.text("/settings/guard/mode")),
        (StatusCode::OK, "park")
    );
    assert_eq!(
        changed.body["settings"]["guard"]["window_minutes"], 60,
        "what is not named stays"
    );
    assert_eq!(
        house.scim("POST", "/Groups", Some(group)).await.status,
        StatusCode::CREATED
    );
    let waits = admin(&house, "GET", "/pending", None).await;
    assert_eq!(
        (waits.text("/0/value"), waits.text("/0/path")),
        ("not-here-yet", "members")
    );
    for (settings, said) in [
        (json!({"profile": "none"}), "`strict`"),
        (json!({"color": 1}), "`color`"),
        (json!({"suspended": true}), "suspended"),
    ] {
        let refused = change(settings).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.text("/detail").contains(said), "{refused:?}");
    }
    let narrow = house.narrow(&[Scope::Admin], None).await;
    let body = Some(json!({"settings": {}}));
    assert_eq!(
        house
            .call(&narrow, "PATCH", "/admin/v1/tenants/default", &[], body)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
}
