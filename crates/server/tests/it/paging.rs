//! Pages by number and by cursor (RFC 9865) over HTTP: what is announced, what is answered, what is refused.

use directory::clock::IdGenerator;
use directory::tenant::TenantSettings;
use http::StatusCode;
use scim_protocol::schema::standard::{GROUP, USER};
use serde_json::{Value, json};
use server::Options;

use crate::house::{Answer, House, entry};

async fn house(users: usize) -> House {
    let house = House::with(
        Options {
            page_size_max: 4,
            page_size_default: 3,
            ..Options::default()
        },
        TenantSettings::default(),
    )
    .await;
    for number in 0..users {
        house.user(&format!("user{number}")).await;
    }
    house
}

fn refused(answer: &Answer, scim_type: &str) {
    assert_eq!(
        (answer.status, answer.text("/scimType")),
        (StatusCode::BAD_REQUEST, scim_type),
        "{answer:?}"
    );
}

fn names(answer: &Answer) -> Vec<String> {
    let resources = answer.body["Resources"].as_array().unwrap();
    resources
        .iter()
        .map(|resource| {
            resource["userName"]
                .as_str()
                .or(resource["displayName"].as_str())
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn paging_is_announced() {
    let house = house(0).await;
    let config = house.scim("GET", "/ServiceProviderConfig", None).await;
    let expected = json!({
        "cursor": true, "index": true, "defaultPaginationMethod": "index", "defaultPageSize": 3, "maxPageSize": 4, "cursorTimeout": 3600
    });
    assert_eq!(config.body["pagination"], expected);
}

#[tokio::test]
async fn pages_follow_each_other_by_cursor() {
    let house = house(10).await;
    house
        .scim(
            "POST",
            "/Groups",
            Some(json!({"schemas": [GROUP], "displayName": "team"})),
        )
        .await;
    for (path, expected) in [
        (
            "/Users?count=4",
            (0..10)
                .map(|number| format!("user{number}"))
                .collect::<Vec<_>>(),
        ),
        (
            "/Users?count=3&sortBy=userName&sortOrder=descending",
            (0..10)
                .rev()
                .map(|number| format!("user{number}"))
                .collect(),
        ),
        (
            "/Users?count=2&filter=userName+co+%225%22+or+userName+co+%227%22",
            vec!["user5".into(), "user7".into()],
        ),
        (
            "/?count=4",
            (0..10)
                .map(|number| format!("user{number}"))
                .chain(["team".into()])
                .collect(),
        ),
        (
            "/Users",
            (0..10).map(|number| format!("user{number}")).collect(),
        ),
    ] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let separator = if path.contains('?') { "&" } else { "?" };
            let page = house
                .scim("GET", &format!("{path}{separator}cursor={cursor}"), None)
                .await;
            assert_eq!(page.status, StatusCode::OK, "{page:?}");
            assert_eq!(page.body["totalResults"], json!(expected.len()), "{path}");
            assert_eq!(page.body["itemsPerPage"], json!(names(&page).len()));
            assert!(
                page.body.get("startIndex").is_none() && page.body.get("previousCursor").is_none()
            );
            found.extend(names(&page));
            match page.body.get("nextCursor") {
                Some(next) => next.as_str().unwrap().clone_into(&mut cursor),
                None => break,
            }
            assert!(
                cursor
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
                "{cursor}"
            );
        }
        assert_eq!(found, expected, "{path}");
    }
}

#[tokio::test]
async fn attributes_and_sizes_may_vary_but_nothing_else() {
    let house = house(6).await;
    let first = house
        .scim(
            "GET",
            "/Users?filter=active+eq+true&sortBy=userName&count=2&cursor=",
            None,
        )
        .await;
    let cursor = first.text("/nextCursor").to_owned();
    let next = house
        .scim("GET", &format!("/Users?filter=active%20EQ%20true&sortBy=USERNAME&count=3&attributes=userName&cursor={cursor}"), None)
        .await;
    assert_eq!(names(&next), ["user2", "user3", "user4"]);
    assert!(next.body["Resources"][0].get("active").is_none());
    for other in [
        "/Users?sortBy=userName".to_owned(),
        "/Users?filter=active+eq+false&sortBy=userName".to_owned(),
        "/Users?filter=active+eq+true".to_owned(),
        "/Users?filter=active+eq+true&sortBy=userName&sortOrder=descending".to_owned(),
        "/?filter=active+eq+true&sortBy=userName".to_owned(),
    ] {
        refused(
            &house
                .scim("GET", &format!("{other}&cursor={cursor}"), None)
                .await,
            "invalidCursor",
        );
    }
    // Somebody else's tenant.
    let tenant = house
        .tenants
        .create_tenant("acme", TenantSettings::default(), house.hand_now(), entry())
        .await
        .unwrap()
        .unwrap();
    let token = house.issue_for(tenant.id).await;
    let path =
        format!("/t/acme/scim/v2/Users?filter=active+eq+true&sortBy=userName&cursor={cursor}");
    refused(
        &house.call(&token, "GET", &path, &[], None).await,
        "invalidCursor",
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_cursor() {
    let house = house(6).await;
    let cursor = house
        .scim("GET", "/Users?count=2&cursor=", None)
        .await
        .text("/nextCursor")
        .to_owned();
    refused(
        &house.scim("GET", "/Users?cursor=nonsense", None).await,
        "invalidCursor",
    );
    refused(
        &house
            .scim("GET", &format!("/Users?cursor=A{cursor}"), None)
            .await,
        "invalidCursor",
    );
    refused(
        &house.scim("GET", "/Users?cursor=&startIndex=1", None).await,
        "invalidCursor",
    );
    for count in ["0", "-1", "many"] {
        refused(
            &house
                .scim("GET", &format!("/Users?cursor=&count={count}"), None)
                .await,
            "invalidCount",
        );
    }
    assert_eq!(
        names(&house.scim("GET", "/Users?cursor=&count=1000", None).await).len(),
        4
    );
    house.wait(3_600);
    assert_eq!(
        house
            .scim("GET", &format!("/Users?count=2&cursor={cursor}"), None)
            .await
            .status,
        StatusCode::OK
    );
    house.wait(1);
    refused(
        &house
            .scim("GET", &format!("/Users?count=2&cursor={cursor}"), None)
            .await,
        "expiredCursor",
    );
}

#[tokio::test]
async fn search_messages_have_cursors_too() {
    let house = house(5).await;
    house
        .scim(
            "POST",
            "/Groups",
            Some(json!({"schemas": [GROUP], "displayName": "team"})),
        )
        .await;
    let message = |more: Value| {
        let mut body =
            json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "count": 4});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        Some(body)
    };
    let first = house
        .scim("POST", "/.search", message(json!({"cursor": ""})))
        .await;
    assert_eq!(first.body["totalResults"], json!(6));
    let cursor = first.text("/nextCursor");
    let last = house
        .scim("POST", "/.search", message(json!({"cursor": cursor})))
        .await;
    assert_eq!(
        (names(&last), last.body.get("nextCursor")),
        (vec!["user4".to_owned(), "team".to_owned()], None)
    );
    // The same list, asked for by GET.
    assert_eq!(
        house
            .scim("GET", &format!("/?cursor={cursor}"), None)
            .await
            .body,
        last.body
    );
    refused(
        &house
            .scim("POST", "/Users/.search", message(json!({"cursor": cursor})))
            .await,
        "invalidCursor",
    );
    refused(
        &house
            .scim(
                "POST",
                "/Users/.search",
                message(json!({"cursor": "", "count": 0})),
            )
            .await,
        "invalidCount",
    );
    refused(
        &house
            .scim(
                "POST",
                "/Users/.search",
                message(json!({"cursor": "", "startIndex": 2})),
            )
            .await,
        "invalidCursor",
    );
    // By number, as ever.
    let page = house
        .scim("POST", "/.search", message(json!({"startIndex": 5})))
        .await;
    assert_eq!(
        (names(&page), &page.body["startIndex"]),
        (vec!["user4".to_owned(), "team".to_owned()], &json!(5))
    );
}

#[tokio::test]
async fn a_filter_without_an_index_pages_without_a_total() {
    let house = house(7).await;
    let path = "/Users?count=4&filter=schemas+pr+and+meta.version+pr";
    let by_number = house.scim("GET", path, None).await;
    assert_eq!(by_number.body["totalResults"], json!(7));
    let first = house.scim("GET", &format!("{path}&cursor="), None).await;
    assert!(first.body.get("totalResults").is_none(), "{first:?}");
    let last = house
        .scim(
            "GET",
            &format!("{path}&cursor={}", first.text("/nextCursor")),
            None,
        )
        .await;
    assert_eq!(
        [names(&first), names(&last)].concat(),
        (0..7)
            .map(|number| format!("user{number}"))
            .collect::<Vec<_>>()
    );
    assert!(last.body.get("nextCursor").is_none());
}

/// What a list shows of each resource: its id, and what it is sorted by.
fn sorted(answer: &Answer) -> Vec<(String, Option<String>)> {
    let resources = answer.body["Resources"].as_array().unwrap();
    let name = |resource: &Value| resource["displayName"].as_str().map(str::to_lowercase);
    resources
        .iter()
        .map(|resource| (resource["id"].as_str().unwrap().to_owned(), name(resource)))
        .collect()
}

#[tokio::test]
async fn an_order_over_several_types_is_walked_whole() {
    let house = house(0).await;
    let mut matching = Vec::new();
    for (name, is_user, matches) in [
        (Some("delta"), true, true),
        (Some("bravo"), false, true),
        (Some("Alpha"), true, true),
        (Some("ALPHA"), false, true),
        (None, true, true),
        (Some("other"), true, false),
        (Some("Charlie a"), false, true),
        (Some("alpha"), true, true),
        (Some("else"), false, false),
        (Some("charlie A"), true, true),
    ] {
        let number = house.hand.id();
        let (path, mut body) = if is_user {
            (
                "/Users",
                json!({"schemas": [USER], "userName": format!("{}-{number}", if matches { "yes" } else { "no" })}),
            )
        } else {
            ("/Groups", json!({"schemas": [GROUP]}))
        };
        if let Some(name) = name {
            body["displayName"] = name.into();
        }
        let made = house.scim("POST", path, Some(body)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        if matches {
            matching.push(made.text("/id").to_owned());
        }
    }
    matching.sort();
    // One that needs every document, and one that an index answers.
    for filter in [
        "displayName co \"a\" or userName sw \"yes\"",
        "displayName eq \"bravo\" or displayName sw \"alpha\" or displayName sw \"charlie\" or userName sw \"yes\"",
    ] {
        for order in ["ascending", "descending"] {
            let message = |cursor: &str| {
                Some(
                    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": filter,
                    "sortBy": "displayName", "sortOrder": order, "count": 2, "cursor": cursor}),
                )
            };
            let query = format!(
                "/?filter={}&sortBy=displayName&sortOrder={order}",
                crate::rfc::query(filter)
            );
            let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let page = house.scim("POST", "/.search", message(&cursor)).await;
                assert_eq!(page.status, StatusCode::OK, "{page:?}");
                let same = house
                    .scim("GET", &format!("{query}&count=2&cursor={cursor}"), None)
                    .await;
                assert_eq!(sorted(&same), sorted(&page), "{filter} {order}");
                found.extend(sorted(&page));
                pages += 1;
                match page.body.get("nextCursor") {
                    Some(next) => next.as_str().unwrap().clone_into(&mut cursor),
                    None => break,
                }
            }
            let mut ids: Vec<String> = found.iter().map(|(id, _)| id.clone()).collect();
            ids.sort();
            assert_eq!((ids, pages), (matching.clone(), 4), "{filter} {order}");
            // Without a value: last, and first in descending order (RFC 7644 section 3.4.2.3).
            let mut names: Vec<Option<&str>> =
                found.iter().map(|(_, name)| name.as_deref()).collect();
            if order == "descending" {
                names.reverse();
            }
            let alpha = Some("alpha");
            let expected = [
                alpha,
                alpha,
                alpha,
                Some("bravo"),
                Some("charlie a"),
                Some("charlie a"),
                Some("delta"),
                None,
            ];
            assert_eq!(names, expected, "{filter} {order}");
            let mut by_number = Vec::new();
            for start in [1, 5, 9] {
                by_number.extend(sorted(
                    &house
                        .scim("GET", &format!("{query}&startIndex={start}&count=4"), None)
                        .await,
                ));
            }
            assert_eq!(by_number, found, "{filter} {order}");
        }
    }
}
