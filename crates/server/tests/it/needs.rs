//! What a credential opens, for every operation of the OpenAPI document and every combination of scopes and types: the rule is written down here once more,
//! apart from the table that the server has. And what a credential may give.

use directory::access::{Permissions, Scope};
use http::StatusCode;
use scim_protocol::schema::standard::USER;
use serde_json::{Value, json};

use crate::house::{Answer, House};
use crate::rfc::GROUP;

const ADMIN: &str = "/t/default/admin/v1";

/// Which types a credential has to be for.
#[derive(Clone, Copy)]
enum For {
    /// Any; what it is not for is not shown, or is answered as if it were not there.
    Any,
    /// All of them.
    All,
    /// This one.
    Only(&'static str),
}

/// What opens an operation: nothing at all (`None`), or a bearer's token with these scopes (`r`, `w`, `a`, `o`) for these types.
type Rule = Option<(&'static str, For)>;

/// The rule, as the documents for users state it: reading takes `read`, writing `write`, the admin API of a tenant `admin` too, that of the installation
/// `operator` too. Who acts on, or reads of, resources of every type at once has to be for all types.
fn rule(method: &str, path: &str) -> Rule {
    let below = |base: &str| path.strip_prefix(base);
    if let Some(path) = below("/scim/v2") {
        return scim_rule(method, path);
    }
    if let Some(path) = below("/t/{tenant}/admin/v1") {
        return Some(admin_rule(method, path));
    }
    if let Some(path) = below("/admin/v1") {
        return Some(
            match (method, path.rsplit_once('/').map(|(_, last)| last)) {
                ("get", Some("export")) => ("ro", For::All),
                ("post", Some("restore")) | ("delete", _) => ("wo", For::All),
                _ => ("o", For::All),
            },
        );
    }
    match below("/t/{tenant}/").unwrap_or_else(|| panic!("{path} is new: write its rule down")) {
        "events" => Some(("r", For::Any)),
        "openapi.json" => Some(("", For::Any)),
        // They have another credential, or none.
        "oauth2/token"
        | ".well-known/oauth-authorization-server"
        | "receivers/{name}/poll"
        | ".well-known/jwks.json" => None,
        new => panic!("{new} is new: write its rule down"),
    }
}

fn scim_rule(method: &str, path: &str) -> Rule {
    let first = path.split('/').nth(1).unwrap_or_default();
    let reads = method == "get" || path.ends_with(".search");
    let kind = match first {
        "" | ".search" => return Some(("r", For::Any)),
        "Bulk" => return Some(("w", For::Any)),
        // Anybody may read it without a token.
        "ServiceProviderConfig" | "ResourceTypes" | "Schemas" => return Some(("", For::Any)),
        // The tokens here stand for nobody, so it is not offered to any of them.
        "Me" => return None,
        "Users" => "User",
        "Groups" | "GroupMembers" => "Group",
        new => panic!("{new} is new: write its rule down"),
    };
    Some((if reads { "r" } else { "w" }, For::Only(kind)))
}

#[expect(
    clippy::match_same_arms,
    reason = "one line for each noun, in the order of the documents"
)]
fn admin_rule(method: &str, path: &str) -> (&'static str, For) {
    let reads = method == "get";
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match (parts.as_slice(), reads) {
        // What is given is compared with what the giver has, below.
        (["tokens" | "clients" | "issuers", ..], _) => ("a", For::Any),
        (["applications"], false) => ("ar", For::All),
        (["applications", ..], _) => ("a", For::All),
        (["sync", _], _) => ("ar", For::All),
        (["sync"], _) => ("a", For::All),
        (["audit", ..], _) => ("a", For::All),
        (["guard"], _) => ("ar", For::All),
        (["guard", .., "approve"], _) => ("arw", For::All),
        (["guard", ..], _) => ("aw", For::All),
        (["history", .., "restore"], _) => ("arw", For::Any),
        (["history", ..] | ["deleted" | "pending"], _) => ("ar", For::Any),
        (["undo"], _) => ("arw", For::All),
        (["schemas" | "resource-types", ..], true) => ("a", For::Any),
        (["schemas" | "resource-types", ..], false) => ("ar", For::All),
        (["requests", ..] | ["quirks"], _) => ("ar", For::All),
        // A receiver for all types is for all types. What it hears or holds takes `read`; to see that it is there, or to end it, does not.
        (["receivers", "{name}", "dead-letters"], true) => ("ar", For::Any),
        (["receivers"] | ["receivers", "{name}"], true) => ("a", For::Any),
        (["receivers", "{name}"], _) if method == "delete" => ("a", For::Any),
        (["receivers", "{name}", "dead-letters", "discard"], _) => ("a", For::Any),
        (["receivers"] | ["receivers", "{name}", ..], _) => ("ar", For::Any),
        (["signing-keys"], _) => ("a", For::All),
        (new, _) => panic!("{new:?} is new: write its rule down"),
    }
}

const SCOPES: [(char, Scope); 4] = [
    ('r', Scope::Read),
    ('w', Scope::Write),
    ('a', Scope::Admin),
    ('o', Scope::Operator),
];
const TYPES: [Option<&[&str]>; 4] = [
    None,
    Some(&["User"]),
    Some(&["Group"]),
    Some(&["User", "Group"]),
];

fn subsets() -> impl Iterator<Item = Vec<Scope>> {
    (0..16_u8).map(|bits| {
        SCOPES
            .iter()
            .enumerate()
            .filter(|(place, _)| bits & (1 << place) != 0)
            .map(|(_, (_, scope))| *scope)
            .collect()
    })
}

fn is_open(rule: Rule, scopes: &[Scope], types: Option<&[&str]>) -> bool {
    let Some((wanted, kinds)) = rule else {
        return true;
    };
    let has = |letter: char| {
        SCOPES
            .iter()
            .any(|(name, scope)| *name == letter && scopes.contains(scope))
    };
    let covers = match kinds {
        For::Any => true,
        For::All => types.is_none(),
        For::Only(kind) => types.is_none_or(|types| types.contains(&kind)),
    };
    wanted.chars().all(has) && covers
}

/// A body that says nothing: who may send it is told what is wrong with it, and nothing changes.
fn body_of(method: &str, path: &str) -> Option<Value> {
    let search = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]});
    match (method, path) {
        ("get" | "delete", _) => None,
        (_, path) if path.ends_with(".search") => Some(search),
        (_, path) if path.ends_with("/Bulk") => Some(
            json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": []}),
        ),
        _ => Some(json!({})),
    }
}

#[tokio::test]
async fn every_operation_opens_to_whom_it_should() {
    let house = House::new().await;
    let document = house
        .send(
            http::Request::builder()
                .uri("/openapi.json")
                .body(axum::body::Body::empty())
                .unwrap(),
        )
        .await;
    let paths = document.body["paths"].as_object().unwrap();
    let mut operations = Vec::new();
    for (path, item) in paths {
        for method in item
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| *key != "parameters")
        {
            operations.push((method.clone(), path.clone(), rule(method, path)));
        }
    }
    assert!(operations.len() > 80, "{}", operations.len());
    let mut opened = vec![0; operations.len()];
    for scopes in subsets() {
        for types in TYPES {
            let token = house.narrow(&scopes, types).await;
            for (place, (method, path, rule)) in operations.iter().enumerate() {
                let real = path
                    .replace("{tenant}", "default")
                    .replace("{id}", "none")
                    .replace("{name}", "none")
                    .replace("{urn}", "none");
                let answer = house
                    .call(
                        &token,
                        &method.to_uppercase(),
                        &real,
                        &[],
                        body_of(method, path),
                    )
                    .await;
                if rule.is_none() {
                    continue;
                }
                let is_refused = matches!(
                    answer.status,
                    StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED
                );
                let expected = is_open(*rule, &scopes, types);
                assert_eq!(
                    !is_refused, expected,
                    "{method} {path} with {scopes:?} for {types:?}: {answer:?}"
                );
                assert_ne!(
                    answer.status,
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "{method} {path}: {answer:?}"
                );
                opened[place] += usize::from(expected);
            }
        }
    }
    for ((method, path, rule), count) in operations.iter().zip(opened) {
        assert!(
            count > 0 || rule.is_none(),
            "{method} {path} opens to nobody"
        );
    }
}

fn types_of(names: Option<&[&str]>) -> Option<Vec<String>> {
    names.map(|names| names.iter().map(ToString::to_string).collect())
}

/// A body that asks for these scopes and types, where they are named.
fn wish(scopes: &[Scope], types: Option<&[&str]>) -> Value {
    let mut wish = json!({"scopes": scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>()});
    if let Some(types) = types {
        wish["resourceTypes"] = json!(types);
    }
    wish
}

#[tokio::test]
async fn nobody_gives_more_than_they_have() {
    let house = House::new().await;
    let mut number = 0;
    let mut both = [0, 0];
    for own in subsets().filter(|scopes| scopes.contains(&Scope::Admin)) {
        for own_types in TYPES {
            let giver = house.narrow(&own, own_types).await;
            for given in subsets().filter(|scopes| !scopes.is_empty()) {
                for given_types in TYPES {
                    let within = given.iter().all(|scope| own.contains(scope))
                        && own_types.is_none_or(|own| {
                            given_types
                                .is_some_and(|given| given.iter().all(|kind| own.contains(kind)))
                        });
                    number += 1;
                    let name = format!("n{number}");
                    let permissions = wish(&given, given_types);
                    let mut token = permissions.clone();
                    token["name"] = json!(name);
                    let issuer = json!({"name": name, "issuer": "https://i.example", "jwksUrl": "https://i.example/keys", "audiences": ["a"], "permissions": permissions});
                    let client = json!({"name": name, "permissions": permissions});
                    for (path, body) in [
                        ("/tokens", token),
                        ("/clients", client),
                        ("/issuers", issuer),
                    ] {
                        if path != "/tokens" && number % 9 != 0 {
                            continue;
                        }
                        let answer = house
                            .call(&giver, "POST", &format!("{ADMIN}{path}"), &[], Some(body))
                            .await;
                        let expected = if within {
                            StatusCode::CREATED
                        } else {
                            StatusCode::FORBIDDEN
                        };
                        assert_eq!(
                            answer.status, expected,
                            "{own:?} for {own_types:?} gave {given:?} for {given_types:?}: {answer:?}"
                        );
                        both[usize::from(within)] += 1;
                    }
                }
            }
        }
    }
    assert!(both[0] > 1_000 && both[1] > 400, "{both:?}");
}

#[tokio::test]
async fn what_is_left_out_is_not_more_either() {
    let house = House::new().await;
    let call = async |token: &str, path: &str, body: Value| {
        house
            .call(token, "POST", &format!("{ADMIN}{path}"), &[], Some(body))
            .await
    };
    // Without `scopes` a token may read and write, without `resourceTypes` it is for all types.
    let groups = house
        .narrow(&[Scope::Admin, Scope::Read, Scope::Write], Some(&["Group"]))
        .await;
    let refused = call(&groups, "/tokens", json!({"name": "all"})).await;
    assert_eq!(
        (
            refused.status,
            refused
                .text("/detail")
                .contains("`resourceTypes` has to name one or more of Group")
        ),
        (StatusCode::FORBIDDEN, true)
    );
    assert_eq!(
        call(
            &groups,
            "/tokens",
            json!({"name": "own", "resourceTypes": ["Group"]})
        )
        .await
        .status,
        StatusCode::CREATED
    );
    let reads = house.narrow(&[Scope::Admin, Scope::Read], None).await;
    assert_eq!(
        call(&reads, "/tokens", json!({"name": "writes"}))
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        call(&reads, "/clients", json!({"name": "writes"}))
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    // Nobody is found out by naming them.
    let ann = house.user("ann").await;
    for id in [ann.as_str(), "nobody"] {
        let body = json!({"name": "x", "resourceTypes": ["Group"], "user": id});
        assert_eq!(
            call(&groups, "/tokens", body).await.status,
            StatusCode::FORBIDDEN
        );
    }
    let of_ann = json!({"name": "ann's", "scopes": ["read"], "user": ann});
    assert_eq!(
        call(&house.token, "/tokens", of_ann).await.status,
        StatusCode::CREATED
    );
    let users = async |token: &str| {
        let listed = house
            .call(token, "GET", &format!("{ADMIN}/tokens"), &[], None)
            .await;
        listed
            .body
            .as_array()
            .unwrap()
            .iter()
            .filter(|token| token["user"].is_string())
            .count()
    };
    assert_eq!((users(&house.token).await, users(&groups).await), (1, 0));
    // An operator gives other tenants what it has itself, too.
    let make = json!({"name": "acme"});
    assert_eq!(
        house
            .call(&house.token, "POST", "/admin/v1/tenants", &[], Some(make))
            .await
            .status,
        StatusCode::CREATED
    );
    let operator = house.narrow(&[Scope::Operator, Scope::Read], None).await;
    for (scopes, expected) in [
        (["read"], StatusCode::CREATED),
        (["admin"], StatusCode::FORBIDDEN),
        (["operator"], StatusCode::FORBIDDEN),
    ] {
        let body = Some(json!({"name": "first", "scopes": scopes}));
        assert_eq!(
            house
                .call(
                    &operator,
                    "POST",
                    "/admin/v1/tenants/acme/tokens",
                    &[],
                    body
                )
                .await
                .status,
            expected,
            "{scopes:?}"
        );
    }
}

#[tokio::test]
async fn nothing_outlives_who_made_it() {
    let house = House::new().await;
    let call = async |token: &str, path: &str, body: Value| {
        house
            .call(token, "POST", &format!("{ADMIN}{path}"), &[], Some(body))
            .await
    };
    let end = |seconds: i64| {
        house
            .hand_now()
            .checked_add(jiff::SignedDuration::from_secs(seconds))
            .unwrap()
            .to_string()
    };
    let day = call(
        &house.token,
        "/tokens",
        json!({"name": "day", "scopes": ["admin", "read"], "expires": end(86_400)}),
    )
    .await;
    let day = day.text("/token").to_owned();
    let token =
        |expires: Option<String>| json!({"name": "x", "scopes": ["read"], "expires": expires});
    for (expires, status) in [
        (Some(end(86_400)), 201),
        (Some(end(86_401)), 403),
        (None, 403),
    ] {
        let answer = call(&day, "/tokens", token(expires.clone())).await;
        assert_eq!(answer.status.as_u16(), status, "{expires:?} {answer:?}");
        // Also when the token is remembered, and not looked up.
        assert_eq!(
            call(&day, "/tokens", token(expires)).await.status.as_u16(),
            status
        );
    }
    let permissions = json!({"scopes": ["read"]});
    let issuer = json!({"name": "i", "issuer": "https://i.example", "jwksUrl": "https://i.example/keys", "audiences": ["a"], "permissions": permissions});
    let poll = json!({"name": "p", "kind": "poll"});
    for (path, body) in [
        ("/clients", json!({"name": "c", "permissions": permissions})),
        ("/issuers", issuer),
        ("/receivers", poll.clone()),
    ] {
        let refused = call(&day, path, body.clone()).await;
        assert_eq!(
            (
                refused.status,
                refused.text("/detail").contains("This token ends at")
            ),
            (StatusCode::FORBIDDEN, true),
            "{path}"
        );
        assert_eq!(
            call(&house.token, path, body).await.status,
            StatusCode::CREATED,
            "{path}"
        );
    }
    assert_eq!(
        call(&day, "/receivers/p/secret", json!({})).await.status,
        StatusCode::FORBIDDEN,
        "a new secret has no end"
    );
    assert_eq!(
        call(&house.token, "/receivers/p/secret", json!({}))
            .await
            .status,
        StatusCode::OK
    );
    // An operator's end counts in other tenants too.
    let operator = call(
        &house.token,
        "/tokens",
        json!({"name": "o", "scopes": ["operator", "read"], "expires": end(60)}),
    )
    .await;
    let body = |expires: Option<String>| {
        Some(json!({"name": "x", "scopes": ["read"], "expires": expires}))
    };
    let path = "/admin/v1/tenants/default/tokens";
    assert_eq!(
        house
            .call(operator.text("/token"), "POST", path, &[], body(None))
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        house
            .call(
                operator.text("/token"),
                "POST",
                path,
                &[],
                body(Some(end(60)))
            )
            .await
            .status,
        StatusCode::CREATED
    );
    // What a person's token makes ends with the person.
    let ann = house.user("ann").await;
    let own = house
        .issue(Permissions {
            user: Some(ann.clone()),
            ..Permissions::of(&[Scope::Admin, Scope::Read])
        })
        .await;
    assert_eq!(
        call(&own, "/tokens", json!({"name": "x", "scopes": ["read"]}))
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        call(
            &own,
            "/tokens",
            json!({"name": "x", "scopes": ["read"], "user": ann})
        )
        .await
        .status,
        StatusCode::CREATED
    );
    assert_eq!(
        call(&own, "/receivers", json!({"name": "q", "kind": "poll"}))
            .await
            .status,
        StatusCode::FORBIDDEN
    );
}

/// A house with a user who is in a group, one who was deleted from it, and a deleted group.
struct Past {
    house: House,
    ann: String,
    team: String,
    gone_user: String,
    gone_group: String,
}

async fn past() -> Past {
    let house = House::new().await;
    let (ann, eve) = (house.user("ann").await, house.user("eve").await);
    let group = async |name: &str, members: Value| {
        let body = json!({"schemas": [GROUP], "displayName": name, "members": members});
        house
            .scim("POST", "/Groups", Some(body))
            .await
            .text("/id")
            .to_owned()
    };
    let team = group("Secret Team", json!([{"value": ann}])).await;
    let old = group("Old Team", json!([])).await;
    house.scim("DELETE", &format!("/Users/{eve}"), None).await;
    house.scim("DELETE", &format!("/Groups/{old}"), None).await;
    Past {
        house,
        ann,
        team,
        gone_user: eve,
        gone_group: old,
    }
}

#[tokio::test]
async fn of_what_was_only_the_own_types_are_told() {
    let Past {
        house,
        ann,
        team,
        gone_user,
        gone_group,
    } = past().await;
    for types in TYPES {
        let token = house
            .narrow(&[Scope::Admin, Scope::Read, Scope::Write], types)
            .await;
        let call = async |method: &str, path: &str, body| {
            house
                .call(&token, method, &format!("{ADMIN}{path}"), &[], body)
                .await
        };
        let covers = |kind: &str| types.is_none_or(|types| types.contains(&kind));
        let unknown = call("GET", "/history/none", None).await;
        let unknown_then = call("GET", "/history/none/then?version=1", None).await;
        for (kind, id) in [
            ("User", &ann),
            ("Group", &team),
            ("User", &gone_user),
            ("Group", &gone_group),
        ] {
            let history = call("GET", &format!("/history/{id}"), None).await;
            let then = call("GET", &format!("/history/{id}/then?version=1"), None).await;
            let before = call(
                "GET",
                &format!("/history/{id}/then?at=2001-01-01T00:00:00Z"),
                None,
            )
            .await;
            if covers(kind) {
                assert_eq!(
                    (history.status, then.status),
                    (StatusCode::OK, StatusCode::OK),
                    "{types:?} {kind}"
                );
            } else {
                for (answer, none) in [
                    (&history, &unknown),
                    (&then, &unknown_then),
                    (&before, &unknown_then),
                ] {
                    let same = none.text("/detail").replace("none`", &format!("{id}`"));
                    assert_eq!(
                        (answer.status, answer.text("/detail")),
                        (StatusCode::NOT_FOUND, same.as_str()),
                        "{types:?} {kind}"
                    );
                }
                let restored =
                    call("POST", &format!("/history/{id}/restore"), Some(json!({}))).await;
                assert_eq!(
                    restored.status,
                    StatusCode::NOT_FOUND,
                    "{types:?} {kind} {restored:?}"
                );
            }
        }
        let deleted = call("GET", "/deleted", None).await;
        let kinds: Vec<&str> = deleted
            .body
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["resourceType"].as_str().unwrap())
            .collect();
        let expected: Vec<&str> = ["Group", "User"]
            .into_iter()
            .filter(|kind| covers(kind))
            .collect();
        assert_eq!(
            {
                let mut kinds = kinds;
                kinds.sort_unstable();
                kinds
            },
            expected,
            "{types:?}"
        );
    }
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{gone_user}"), None)
            .await
            .status,
        StatusCode::NOT_FOUND,
        "nobody came back"
    );
    let only_users = house
        .narrow(&[Scope::Admin, Scope::Read, Scope::Write], Some(&["User"]))
        .await;
    let restore = async |id: &str| {
        house
            .call(
                &only_users,
                "POST",
                &format!("{ADMIN}/history/{id}/restore"),
                &[],
                Some(json!({})),
            )
            .await
    };
    assert_eq!(restore(&gone_user).await.status, StatusCode::OK);
    house.scim("DELETE", &format!("/Users/{ann}"), None).await;
    let refused = restore(&ann).await;
    assert_eq!(
        refused.status,
        StatusCode::FORBIDDEN,
        "she would be in the group again: {refused:?}"
    );
    assert_eq!(
        house
            .scim("GET", &format!("/Users/{ann}"), None)
            .await
            .status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn references_that_wait_are_told_to_those_who_may_read_who_refers() {
    let settings = directory::tenant::TenantSettings {
        pending_references: Some(true),
        ..Default::default()
    };
    let house = House::with(server::Options::default(), settings).await;
    let body =
        json!({"schemas": [GROUP], "displayName": "team", "members": [{"value": "not-here-yet"}]});
    assert_eq!(
        house.scim("POST", "/Groups", Some(body)).await.status,
        StatusCode::CREATED
    );
    for (types, count) in [
        (None, 1),
        (Some(["User"].as_slice()), 0),
        (Some(["Group"].as_slice()), 1),
    ] {
        let token = house.narrow(&[Scope::Admin, Scope::Read], types).await;
        let found = house
            .call(&token, "GET", &format!("{ADMIN}/pending"), &[], None)
            .await;
        assert_eq!(found.body.as_array().unwrap().len(), count, "{types:?}");
    }
}

/// Whether an answer says what the group is called.
fn tells(answer: &Answer) -> bool {
    answer.body.to_string().contains("Secret Team")
}

#[tokio::test]
async fn names_of_groups_are_for_those_who_may_read_groups() {
    let Past {
        house, ann, team, ..
    } = past().await;
    let search = |filter: &str| {
        Some(
            json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": filter, "attributes": ["groups"]}),
        )
    };
    let patch = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "path": "title", "value": "x"}]});
    let put = json!({"schemas": [USER], "userName": "ann"});
    for (types, may) in [
        (Some(["User"].as_slice()), false),
        (None, true),
        (Some(["User", "Group"].as_slice()), true),
    ] {
        let scopes = [Scope::Admin, Scope::Read, Scope::Write];
        let resource_types = types_of(types);
        let token = house
            .issue(Permissions {
                resource_types,
                user: Some(ann.clone()),
                ..Permissions::of(&scopes)
            })
            .await;
        let call = async |method: &str, path: &str, body| {
            house.call(&token, method, path, &[], body).await
        };
        let one = format!("/scim/v2/Users/{ann}");
        let answers = [
            call("GET", &one, None).await,
            call("GET", "/scim/v2/Me", None).await,
            call("GET", "/scim/v2/Users", None).await,
            call("GET", "/scim/v2/Users?cursor", None).await,
            call("GET", "/scim/v2/Users?attributes=groups.display", None).await,
            call("POST", "/scim/v2/Users/.search", search("userName pr")).await,
            call("POST", "/scim/v2/.search", search("userName pr")).await,
            call("PATCH", &one, Some(patch.clone())).await,
            call("PUT", &one, Some(put.clone())).await,
            call(
                "POST",
                &format!("{ADMIN}/history/{ann}/restore"),
                Some(json!({"version": 1})),
            )
            .await,
            call("GET", "/t/default/events", None).await,
        ];
        for (place, answer) in answers.iter().enumerate() {
            assert_eq!(
                answer.status,
                StatusCode::OK,
                "{types:?} {place}: {answer:?}"
            );
            assert_eq!(tells(answer), may, "{types:?} {place}: {answer:?}");
        }
        assert_eq!(
            answers[0].text("/groups/0/value"),
            team,
            "the id is part of the User"
        );
        // A filter that may not be asked tells nothing, whatever it would find.
        let name =
            ["eq", "ne", "co", "gt"].map(|op| format!("groups.display {op} \"Secret Team\""));
        let others = [
            "groups.display pr",
            "not (groups.display pr)",
            "groups[display sw \"S\"]",
            "userName eq \"ann\" or groups.display sw \"x\"",
        ];
        for filter in name.iter().map(String::as_str).chain(others) {
            let query: String = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("filter", filter)
                .finish();
            let expected = if may {
                StatusCode::OK
            } else {
                StatusCode::FORBIDDEN
            };
            for answer in [
                call("GET", &format!("/scim/v2/Users?{query}"), None).await,
                call("GET", &format!("/scim/v2/Users?{query}&cursor"), None).await,
                call("POST", "/scim/v2/Users/.search", search(filter)).await,
                call("POST", "/scim/v2/.search", search(filter)).await,
            ] {
                assert_eq!(answer.status, expected, "{types:?} {filter}: {answer:?}");
            }
        }
        let sorted = call("GET", "/scim/v2/Users?sortBy=groups.display", None).await;
        assert_eq!(
            sorted.status,
            if may {
                StatusCode::OK
            } else {
                StatusCode::FORBIDDEN
            },
            "{types:?} {sorted:?}"
        );
        let by_id = call(
            "GET",
            &format!("/scim/v2/Users?filter=groups.value+eq+%22{team}%22"),
            None,
        )
        .await;
        assert_eq!(by_id.body["totalResults"], 1);
        let document = call("GET", "/t/default/openapi.json", None).await;
        assert_eq!(
            document.body["paths"]
                .get("/t/default/scim/v2/Groups")
                .is_some(),
            may
        );
        let schemas = call("GET", "/scim/v2/Schemas", None).await;
        assert_eq!(
            schemas
                .body
                .to_string()
                .contains("schemas:core:2.0:Group\""),
            may
        );
    }
}

#[tokio::test]
async fn names_of_members_are_for_those_who_may_read_them() {
    let Past {
        house, ann, team, ..
    } = past().await;
    let update = json!({"schemas": [USER], "userName": "ann", "displayName": "Ann Secret"});
    assert_eq!(
        house
            .scim("PUT", &format!("/Users/{ann}"), Some(update))
            .await
            .status,
        StatusCode::OK
    );
    for (types, may) in [(Some(["Group"].as_slice()), false), (None, true)] {
        let token = house.narrow(&[Scope::Read, Scope::Write], types).await;
        let call = async |path: &str| {
            house
                .call(&token, "GET", &format!("/scim/v2{path}"), &[], None)
                .await
        };
        for path in [
            format!("/GroupMembers/{team}.{ann}"),
            "/GroupMembers".to_owned(),
            "/GroupMembers?cursor".to_owned(),
        ] {
            let found = call(&path).await;
            assert_eq!(
                (found.status, found.body.to_string().contains("Ann Secret")),
                (StatusCode::OK, may),
                "{types:?} {path} {found:?}"
            );
        }
        let expected = if may {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        };
        for query in [
            "filter=member.display+sw+%22A%22",
            "sortBy=member.display",
            "filter=not+(member.display+pr)",
        ] {
            assert_eq!(
                call(&format!("/GroupMembers?{query}")).await.status,
                expected,
                "{types:?} {query}"
            );
        }
        assert_eq!(
            call("/GroupMembers?filter=group.display+sw+%22S%22&sortBy=group.display")
                .await
                .status,
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn receivers_hear_and_show_no_more_than_their_maker_may_read() {
    let Past { house, ann, .. } = past().await;
    let only_users = house
        .narrow(&[Scope::Admin, Scope::Read], Some(&["User"]))
        .await;
    let call = async |token: &str, method: &str, path: &str, body| {
        house
            .call(token, method, &format!("{ADMIN}{path}"), &[], body)
            .await
    };
    let poll = |name: &str, types: Value| {
        Some(
            json!({"name": name, "kind": "poll", "settings": {"resourceTypes": types}, "fromOldest": true}),
        )
    };
    for (types, status) in [
        (json!([]), 403),
        (json!(["Group"]), 403),
        (json!(["User", "Group"]), 403),
        (json!(["User"]), 201),
    ] {
        let made = call(
            &only_users,
            "POST",
            "/receivers",
            poll("own", types.clone()),
        )
        .await;
        assert_eq!(made.status.as_u16(), status, "{types} {made:?}");
    }
    assert_eq!(
        call(&house.token, "POST", "/receivers", poll("all", json!([])))
            .await
            .status,
        StatusCode::CREATED
    );
    assert_eq!(
        call(&only_users, "GET", "/receivers", None)
            .await
            .body
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for (method, path) in [
        ("GET", "/receivers/all"),
        ("POST", "/receivers/all/secret"),
        ("GET", "/receivers/all/dead-letters"),
        ("DELETE", "/receivers/all"),
    ] {
        let body = (method == "POST").then(|| json!({}));
        assert_eq!(
            call(&only_users, method, path, body).await.status,
            StatusCode::NOT_FOUND,
            "{method} {path}"
        );
    }
    let secret = async |name: &str| {
        let shown = call(
            &house.token,
            "POST",
            &format!("/receivers/{name}/secret"),
            Some(json!({})),
        )
        .await;
        shown.text("/secret").to_owned()
    };
    for (name, may) in [("own", false), ("all", true)] {
        let body = Some(json!({"returnImmediately": true}));
        let polled = house
            .call(
                &secret(name).await,
                "POST",
                &format!("/t/default/receivers/{name}/poll"),
                &[],
                body,
            )
            .await;
        let told: Vec<String> = polled.body["sets"]
            .as_object()
            .unwrap()
            .values()
            .map(|set| payload(set.as_str().unwrap()))
            .collect();
        assert!(
            told.iter().any(|claims| claims.contains(&ann)),
            "{polled:?}"
        );
        assert_eq!(
            told.iter().any(|claims| claims.contains("Secret Team")),
            may,
            "{name} {told:?}"
        );
    }
}

/// What a token says.
fn payload(token: &str) -> String {
    use base64::Engine;
    let part = token.split('.').nth(1).unwrap();
    String::from_utf8(
        base64::prelude::BASE64_URL_SAFE_NO_PAD
            .decode(part)
            .unwrap(),
    )
    .unwrap()
}
