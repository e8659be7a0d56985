//! Applications and sync by the admin API.

use directory::access::Scope;
use http::StatusCode;
use jiff::Timestamp;
use provisioning::ledger::Catalogue;
use provisioning::provisioning_log::{LogEntry, ProvisioningLog};
use serde_json::{Value, json};

use crate::house::{Answer, House};

async fn call(house: &House, method: &str, path: &str, body: Option<Value>) -> Answer {
    let path = format!("/t/default/admin/v1{path}");
    house.call(&house.token, method, &path, &[], body).await
}

fn chat() -> Value {
    json!({"name": "chat", "baseUrl": "https://chat.example.com/scim/v2/", "token": "very-secret"})
}

#[tokio::test]
async fn applications_are_added_changed_and_removed() {
    let house = House::new().await;
    house.user("ann").await;
    let added = call(&house, "POST", "/applications", Some(chat())).await;
    assert_eq!(added.status, StatusCode::CREATED, "{added:?}");
    assert_eq!(added.text("/baseUrl"), "https://chat.example.com/scim/v2");
    let again = call(&house, "POST", "/applications", Some(chat())).await;
    assert_eq!(again.status, StatusCode::CONFLICT);

    let paused = json!({"state": "paused"});
    let paused = call(&house, "PATCH", "/applications/chat", Some(paused)).await;
    assert_eq!(paused.text("/state"), "paused");
    let shown = call(&house, "GET", "/applications/chat", None).await;
    assert_eq!(shown.text("/state"), "paused");
    let token = json!({"token": "other-secret"});
    let token = call(&house, "POST", "/applications/chat/token", Some(token)).await;
    assert_eq!(token.status, StatusCode::NO_CONTENT);

    let status = call(&house, "GET", "/sync", None).await;
    assert_eq!(status.body[0]["status"]["waiting"], 1, "{status:?}");
    let marked = call(
        &house,
        "POST",
        "/sync",
        Some(json!({"application": "chat"})),
    )
    .await;
    assert_eq!(marked.body, json!([{"application": "chat", "marked": 1}]));
    let log = call(&house, "GET", "/sync/log?application=chat", None).await;
    assert_eq!(log.body, json!([]));

    let removed = call(&house, "DELETE", "/applications/chat", None).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(
        call(&house, "GET", "/applications", None).await.body,
        json!([])
    );
    for (method, path) in [
        ("GET", "/applications/chat"),
        ("DELETE", "/applications/chat"),
        ("POST", "/applications/chat/test"),
        ("GET", "/sync/log?application=chat"),
        ("GET", "/sync/plan?application=chat&person=x"),
    ] {
        let missing = call(&house, method, path, None).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{method} {path}");
    }

    let audit = call(&house, "GET", "/audit", None).await;
    let acts: Vec<&str> = audit
        .body
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["entry"]["act"].as_str())
        .filter(|act| *act != "test")
        .collect();
    assert_eq!(
        acts,
        [
            "application.add",
            "application.change",
            "application.set-token",
            "sync.compare-all",
            "application.remove"
        ]
    );
    assert!(!audit.body.to_string().contains("secret"), "{audit:?}");
}

#[tokio::test]
async fn what_is_wrong_with_an_application_is_named() {
    let house = House::new().await;
    let check = async |change: Value, said: &str| {
        let mut body = chat();
        let map = body.as_object_mut().unwrap();
        map.extend(change.as_object().unwrap().clone());
        let refused = call(&house, "POST", "/applications", Some(body)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert!(refused.text("/detail").contains(said), "{refused:?}");
        assert!(!refused.body.to_string().contains("very-secret"));
    };
    check(json!({"baseUrl": "chat.example.com"}), "`baseUrl`").await;
    check(
        json!({"baseUrl": "https://u:p@chat.example.com"}),
        "`baseUrl`",
    )
    .await;
    check(
        json!({"baseUrl": "https://inside.example/scim"}),
        "it is inside",
    )
    .await;
    // Why a URL may not be reached is not a tenant's to know.
    let narrow = house.narrow(&[Scope::Admin, Scope::Read], None).await;
    let mut inside = chat();
    inside["baseUrl"] = json!("https://inside.example/scim");
    let path = "/t/default/admin/v1/applications";
    let refused = house.call(&narrow, "POST", path, &[], Some(inside)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
    assert!(!refused.text("/detail").contains("inside"), "{refused:?}");
    check(json!({"token": "two words"}), "`token`").await;
    check(json!({"settings": {"colour": "red"}}), "colour").await;
    check(json!({"settings": {"other_types": ["Pet"]}}), "`Pet`").await;
}

#[tokio::test]
async fn only_operators_read_what_an_application_answered() {
    let house = House::new().await;
    call(&house, "POST", "/applications", Some(chat())).await;
    let tenant = house.tenant.id;
    let chat = house
        .store
        .list_applications(tenant)
        .await
        .unwrap()
        .remove(0);
    let line = LogEntry {
        at: Timestamp::UNIX_EPOCH,
        application: chat.id,
        resource_type: "User".into(),
        resource_id: "ann".into(),
        display: "Ann".into(),
        step: "create".into(),
        outcome: "retry".into(),
        request: "POST /Users".into(),
        request_body: None,
        status: Some(500),
        detail: "a word from inside".into(),
        duration_milliseconds: 1,
        attempt: 1,
    };
    let written = house.store.write_lines(tenant, chat.id, vec![line]).await;
    written.unwrap();
    let path = "/t/default/admin/v1/sync/log";
    let narrow = house.narrow(&[Scope::Admin, Scope::Read], None).await;
    let theirs = house.call(&narrow, "GET", path, &[], None).await;
    assert_eq!(theirs.body[0]["status"], 500, "{theirs:?}");
    assert!(!theirs.body.to_string().contains("inside"), "{theirs:?}");
    let ours = call(&house, "GET", "/sync/log", None).await;
    assert!(
        ours.body.to_string().contains("a word from inside"),
        "{ours:?}"
    );
}

#[tokio::test]
async fn one_person_is_compared_by_help_desk() {
    let house = House::new().await;
    let id = house.user("ann").await;
    call(&house, "POST", "/applications", Some(chat())).await;
    let help_desk = call(
        &house,
        "POST",
        "/tokens",
        Some(json!({"name": "h", "role": "help-desk"})),
    )
    .await;
    let sync = async |body: Value| {
        let token = help_desk.text("/token");
        house
            .call(token, "POST", "/t/default/admin/v1/sync", &[], Some(body))
            .await
    };
    assert_eq!(sync(json!({})).await.status, StatusCode::FORBIDDEN);
    let one = sync(json!({"resource": {"type": "User", "id": id}})).await;
    assert_eq!(
        one.body,
        json!([{"application": "chat", "marked": 1}]),
        "{one:?}"
    );
    let unknown = sync(json!({"resource": {"type": "Pet", "id": id}})).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    let narrow = house
        .narrow(&[Scope::Admin, Scope::Read], Some(&["User"]))
        .await;
    let refused = house
        .call(
            &narrow,
            "GET",
            "/t/default/admin/v1/applications",
            &[],
            None,
        )
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}
