//! The admin API: who may, how it refuses, and that its description is served.

use directory::access::Scope;
use http::StatusCode;
use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn tokens_are_made_shown_once_and_revoked() {
    let house = House::new().await;
    let call = async |method, path, body| house.call(&house.token, method, path, &[], body).await;
    let body = json!({"name": "Entra ID", "scopes": ["read", "write"], "resourceTypes": ["User"], "expires": "2040-01-01T00:00:00Z"});
    let made = call("POST", "/t/default/admin/v1/tokens", Some(body)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    assert_eq!(made.header("content-type"), Some("application/json"));
    let token = made.text("/token").to_owned();
    assert_eq!(
        house
            .call(&token, "GET", "/scim/v2/Users", &[], None)
            .await
            .status,
        StatusCode::OK
    );
    let list = call("GET", "/t/default/admin/v1/tokens", None).await;
    assert_eq!(list.text("/1/name"), "Entra ID");
    assert!(!list.body.to_string().contains(&token));
    let path = format!("/t/default/admin/v1/tokens/{}", made.text("/id"));
    assert_eq!(
        call("DELETE", &path, None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        house
            .call(&token, "GET", "/scim/v2/Users", &[], None)
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        call("DELETE", "/t/default/admin/v1/tokens/none", None)
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_new_token_is_named() {
    let house = House::new().await;
    let check = async |body, status: u16, said: &str| {
        let answer = house
            .call(
                &house.token,
                "POST",
                "/t/default/admin/v1/tokens",
                &[],
                Some(body),
            )
            .await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        assert!(answer.text("/detail").contains(said), "{answer:?}");
        assert_eq!(
            answer.body["schemas"][0],
            "urn:ietf:params:scim:api:messages:2.0:Error"
        );
    };
    check(json!({}), 400, "missing field `name`").await;
    check(
        json!({"name": "x", "scope": ["read"]}),
        400,
        "unknown field `scope`",
    )
    .await;
    check(
        json!({"name": "x", "scopes": ["everything"]}),
        400,
        "`scopes` names a scope",
    )
    .await;
    check(json!({"name": "x", "resourceTypes": ["Pet"]}), 400, "`Pet`").await;
    check(json!({"name": "x", "expires": "tomorrow"}), 400, "RFC 3339").await;
}

#[tokio::test]
async fn only_administrators_and_operators_may() {
    let house = House::new().await;
    let provisioning = house.narrow(&[Scope::Read, Scope::Write], None).await;
    let administrator = house.narrow(&[Scope::Admin], None).await;
    let check = async |token: &str, path: &str, expected: StatusCode| {
        let answer = house.call(token, "GET", path, &[], None).await;
        assert_eq!(answer.status, expected, "{path} {answer:?}");
    };
    check(
        "wrong",
        "/t/default/admin/v1/tokens",
        StatusCode::UNAUTHORIZED,
    )
    .await;
    check(
        &provisioning,
        "/t/default/admin/v1/tokens",
        StatusCode::FORBIDDEN,
    )
    .await;
    check(&administrator, "/t/default/admin/v1/tokens", StatusCode::OK).await;
    check(
        &administrator,
        "/t/acme/admin/v1/tokens",
        StatusCode::UNAUTHORIZED,
    )
    .await;
    check(&administrator, "/admin/v1/tenants", StatusCode::FORBIDDEN).await;
    check(&house.token, "/admin/v1/tenants", StatusCode::OK).await;
    check(&administrator, "/scim/v2/Users", StatusCode::FORBIDDEN).await;
    check(
        &administrator,
        "/t/default/admin/v1/none",
        StatusCode::NOT_FOUND,
    )
    .await;
}

#[tokio::test]
async fn tenants_are_made_by_the_operator() {
    let house = House::new().await;
    let call = async |method, path, body| house.call(&house.token, method, path, &[], body).await;
    let made = call("POST", "/admin/v1/tenants", Some(json!({"name": "acme"}))).await;
    assert_eq!(
        (made.status, made.text("/basePath")),
        (StatusCode::CREATED, "/t/acme/scim/v2")
    );
    assert_eq!(
        call("POST", "/admin/v1/tenants", Some(json!({"name": "acme"})))
            .await
            .status,
        StatusCode::CONFLICT
    );
    assert_eq!(
        call("POST", "/admin/v1/tenants", Some(json!({"name": "A c"})))
            .await
            .status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        call("GET", "/admin/v1/tenants/acme", None)
            .await
            .text("/name"),
        "acme"
    );
    assert_eq!(
        call("PUT", "/admin/v1/tenants/acme", None).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    // With its first token, which gives what it has itself, everything else is theirs.
    let first = json!({"name": "first", "scopes": ["admin", "read", "write"]});
    let administrator = call("POST", "/admin/v1/tenants/acme/tokens", Some(first)).await;
    assert_eq!(
        administrator.status,
        StatusCode::CREATED,
        "{administrator:?}"
    );
    let theirs = Some(json!({"name": "entra"}));
    let made = house
        .call(
            administrator.text("/token"),
            "POST",
            "/t/acme/admin/v1/tokens",
            &[],
            theirs.clone(),
        )
        .await;
    assert_eq!(
        house
            .call(
                made.text("/token"),
                "GET",
                "/t/acme/scim/v2/Users",
                &[],
                None
            )
            .await
            .status,
        StatusCode::OK
    );
    let elsewhere = house
        .call(
            administrator.text("/token"),
            "POST",
            "/admin/v1/tenants/default/tokens",
            &[],
            theirs.clone(),
        )
        .await;
    assert_eq!(elsewhere.status, StatusCode::UNAUTHORIZED);
    let operator = call(
        "POST",
        "/admin/v1/tenants/acme/tokens",
        Some(json!({"name": "o", "scopes": ["operator"]})),
    )
    .await;
    assert_eq!(operator.status, StatusCode::FORBIDDEN);
    assert_eq!(
        call("POST", "/admin/v1/tenants/nobody/tokens", theirs)
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn the_description_names_every_route() {
    let house = House::new().await;
    let answer = house.call("", "GET", "/openapi.json", &[], None).await;
    assert_eq!(answer.status, StatusCode::OK);
    let paths = answer.body["paths"].as_object().unwrap();
    for path in [
        "/t/{tenant}/admin/v1/tokens",
        "/t/{tenant}/admin/v1/tokens/{id}",
        "/admin/v1/tenants",
        "/admin/v1/tenants/{name}",
        "/scim/v2/",
        "/scim/v2/.search",
        "/scim/v2/Users",
        "/scim/v2/Users/.search",
        "/scim/v2/Users/{id}",
        "/scim/v2/Groups/{id}",
        "/scim/v2/GroupMembers",
        "/scim/v2/GroupMembers/.search",
        "/scim/v2/GroupMembers/{id}",
        "/scim/v2/Me",
        "/scim/v2/Bulk",
        "/scim/v2/ServiceProviderConfig",
        "/scim/v2/ResourceTypes/{id}",
        "/scim/v2/Schemas/{id}",
        "/t/{tenant}/oauth2/token",
        "/t/{tenant}/.well-known/oauth-authorization-server",
        "/t/{tenant}/events",
        "/t/{tenant}/receivers/{name}/poll",
        "/t/{tenant}/.well-known/jwks.json",
        "/t/{tenant}/openapi.json",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
    // Each of them leads somewhere: nothing is described that is not there.
    for (path, item) in paths {
        let real = path
            .replace("{tenant}", "default")
            .replace("{id}", "none")
            .replace("{name}", "none")
            .replace("{urn}", "none");
        for method in item
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| *key != "parameters")
        {
            let answer = house
                .call("wrong", &method.to_uppercase(), &real, &[], None)
                .await;
            assert_ne!(
                answer.status,
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {path}"
            );
            let leads_nowhere = answer.body["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("leads nowhere"));
            assert!(!leads_nowhere, "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_leads_nowhere() {
    let house = House::new().await;
    for path in [
        "/t/default/admin/v1/receivers/%FF",
        "/t/%80/admin/v1/tokens",
        "/admin/v1/tenants/%FF",
        "/scim/v2/Users/%FF",
    ] {
        let answer = house.call(&house.token, "GET", path, &[], None).await;
        assert!(
            [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST].contains(&answer.status),
            "{path} {answer:?}"
        );
        assert_eq!(
            answer.text("/schemas/0"),
            "urn:ietf:params:scim:api:messages:2.0:Error"
        );
    }
}

#[tokio::test]
async fn what_shall_only_be_tried_is_not_done() {
    let house = House::new().await;
    let (path, dry) = (
        "/t/default/admin/v1/tokens",
        [("prefer", "handling=dry-run")],
    );
    let before = house.call(&house.token, "GET", path, &dry, None).await;
    assert_eq!(before.status, StatusCode::OK);
    let refused = house
        .call(&house.token, "POST", path, &dry, Some(json!({"name": "x"})))
        .await;
    assert_eq!(
        (refused.status, refused.text("/status")),
        (StatusCode::NOT_IMPLEMENTED, "501")
    );
    assert_eq!(
        house
            .call(&house.token, "GET", path, &[], None)
            .await
            .body
            .as_array()
            .unwrap()
            .len(),
        before.body.as_array().unwrap().len()
    );
}

#[tokio::test]
async fn a_tenant_describes_its_own_types() {
    let house = House::new().await;
    let answer = house
        .call(&house.token, "GET", "/t/default/openapi.json", &[], None)
        .await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (StatusCode::OK, Some("application/json"))
    );
    let paths = answer.body["paths"].as_object().unwrap();
    assert!(
        paths.contains_key("/t/default/scim/v2/Devices/{id}")
            && paths.contains_key("/t/default/scim/v2/Users"),
        "{:?}",
        paths.keys()
    );
    let refused = house
        .call("wrong", "GET", "/t/default/openapi.json", &[], None)
        .await;
    assert_eq!(
        (refused.status, refused.text("/status")),
        (StatusCode::UNAUTHORIZED, "401")
    );
    assert!(
        !house.call("", "GET", "/openapi.json", &[], None).await.body["paths"]
            .as_object()
            .unwrap()
            .contains_key("/scim/v2/Devices")
    );
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own() {
    let house = House::new().await;
    for path in ["/openapi.json", "/t/default/openapi.json"] {
        let answer = house.call(&house.token, "GET", path, &[], None).await;
        let paths = answer.body["paths"].as_object().unwrap();
        let operations = paths
            .values()
            .flat_map(|item| item.as_object().unwrap())
            .filter(|(_, operation)| operation["responses"].is_object());
        let names: Vec<&str> = operations
            .map(|(_, operation)| operation["operationId"].as_str().unwrap())
            .collect();
        let different: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        assert!(
            names.len() > 50 && different.len() == names.len(),
            "{path}: {names:?}"
        );
        assert!(
            different.contains("createUser") && different.contains("getAdminV1TenantsByName"),
            "{names:?}"
        );
    }
}
