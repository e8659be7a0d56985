//! RFC 7644: the protocol.

use directory::tenant::TenantSettings;
use http::StatusCode;
use serde_json::{Value, json};
use server::Options;

use crate::house::{Answer, House};
use crate::rfc::{
    BULK, ENTERPRISE, ERROR, GROUP, LIST, PATCH, SEARCH, USER, find, made, names, operations,
    refused, user,
};

#[tokio::test]
async fn rfc7644_2_the_schemes_are_named_where_nobody_is_let_in() {
    let house = House::new().await;
    let answer = house
        .call("wrong", "GET", "/scim/v2/Users", &[], None)
        .await;
    refused(&answer, 401, None);
    assert!(
        answer
            .header("www-authenticate")
            .is_some_and(|value| value.starts_with("Bearer ")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn rfc7644_3_3_what_is_read_only_is_ignored_and_what_is_made_is_answered() {
    let house = House::new().await;
    let manager = house.user("boss").await;
    let body = json!({"schemas": [USER, ENTERPRISE], "userName": "a", "groups": [{"value": "x"}],
        ENTERPRISE: {"manager": {"value": manager, "displayName": "made up"}}});
    let made = house.scim("POST", "/Users", Some(body)).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert!(made.body.get("groups").is_none(), "{made:?}");
    assert_ne!(
        made.body
            .pointer(&format!("/{ENTERPRISE}/manager/displayName")),
        Some(&json!("made up"))
    );
    assert_eq!(made.header("location"), Some(made.text("/meta/location")));
    let read = house
        .scim("GET", &format!("/Users/{}", made.text("/id")), None)
        .await;
    assert_eq!(read.body, made.body);
}

#[tokio::test]
async fn rfc7644_3_4_2_lists_have_their_shape_and_unknown_parameters_are_ignored() {
    let house = House::new().await;
    let none = house.scim("GET", "/Users?colour=red&foo", None).await;
    assert_eq!(
        (
            none.status,
            &none.body["totalResults"],
            &none.body["schemas"]
        ),
        (StatusCode::OK, &json!(0), &json!([LIST]))
    );
    for name in ["a", "b", "c"] {
        house.user(name).await;
    }
    let page = house
        .scim("GET", "/Users?startIndex=2&count=1&unknown=1", None)
        .await;
    let shape = (
        &page.body["totalResults"],
        &page.body["startIndex"],
        &page.body["itemsPerPage"],
    );
    assert_eq!(shape, (&json!(3), &json!(2), &json!(1)));
    assert_eq!(names(&page), ["b"]);
    let beyond = house.scim("GET", "/Users?startIndex=9", None).await;
    assert_eq!(
        (
            beyond.status,
            &beyond.body["totalResults"],
            names(&beyond).len()
        ),
        (StatusCode::OK, &json!(3), 0)
    );
}

#[tokio::test]
async fn rfc7644_3_4_2_1_the_root_has_everything_and_foreign_attributes_have_no_value() {
    let house = House::new().await;
    let ann = house.user("ann").await;
    let body = json!({"schemas": [GROUP], "displayName": "G", "members": [{"value": ann}]});
    house.scim("POST", "/Groups", Some(body)).await;
    assert_eq!(house.scim("GET", "", None).await.body["totalResults"], 2);
    for (filter, expected) in [
        (r#"meta.resourceType eq "Group""#, 1),
        (r#"userName eq "ann""#, 1),
        (r#"not (userName eq "ann")"#, 1),
        (r#"userName eq "ann" or displayName eq "g""#, 2),
        ("members pr", 1),
    ] {
        assert_eq!(
            find(&house, "", filter).await.body["totalResults"],
            expected,
            "{filter}"
        );
    }
}

#[tokio::test]
async fn rfc7644_3_4_2_2_filters_that_make_no_sense_are_refused() {
    let house = House::new().await;
    house.user("a").await;
    for filter in [
        "userName",
        "userName like \"a\"",
        "userName eq",
        "active gt true",
        "active le false",
        "x509Certificates.value ge \"a\"",
        "emails[type eq \"work\"",
        "emails[nothing eq \"work\"]",
        "userName eq \"a\" xor title pr",
        "(userName eq \"a\"",
    ] {
        refused(
            &find(&house, "/Users", filter).await,
            400,
            Some("invalidFilter"),
        );
    }
}

#[tokio::test]
async fn rfc7644_3_4_2_2_only_what_matches_is_returned() {
    let house = House::new().await;
    made(
        &house,
        json!({"userName": "Ann", "title": "Boss", "emails": [{"value": "a@x", "type": "work"}, {"value": "b@x", "type": "home"}]}),
    )
    .await;
    made(&house, json!({"userName": "bob", "active": false})).await;
    for (filter, expected) in [
        ("userName eq \"ANN\"", &["Ann"][..]),
        ("userName ne \"ann\"", &["bob"]),
        ("userName co \"N\"", &["Ann"]),
        ("userName sw \"B\"", &["bob"]),
        ("userName ew \"b\"", &["bob"]),
        ("title pr", &["Ann"]),
        ("not (title pr)", &["bob"]),
        ("userName gt \"b\"", &["bob"]),
        ("userName le \"ann\"", &["Ann"]),
        (
            "title pr and active eq false or userName sw \"a\"",
            &["Ann"],
        ),
        ("title pr and (active eq false or userName sw \"b\")", &[]),
        ("emails[type eq \"work\" and value eq \"b@x\"]", &[]),
        ("emails[type eq \"home\" and value eq \"b@x\"]", &["Ann"]),
        ("emails.type eq \"home\"", &["Ann"]),
        (
            "urn:ietf:params:scim:schemas:core:2.0:User:userName eq \"bob\"",
            &["bob"],
        ),
        (&format!("schemas eq \"{USER}\""), &["Ann", "bob"]),
    ] {
        let found = find(&house, "/Users", filter).await;
        assert_eq!(
            (found.status, names(&found).as_slice()),
            (StatusCode::OK, expected),
            "{filter}"
        );
    }
}

#[tokio::test]
async fn rfc7644_3_4_2_3_order_is_ascending_unless_said_otherwise_and_without_case() {
    let house = House::new().await;
    for name in ["b", "C", "a"] {
        made(&house, json!({"userName": name, "externalId": name})).await;
    }
    for (order, expected) in [
        ("sortBy=userName", ["a", "b", "C"]),
        ("sortBy=userName&sortOrder=descending", ["C", "b", "a"]),
        // Case-exact: capitals come first in Unicode.
        ("sortBy=externalId&sortOrder=ascending", ["C", "a", "b"]),
    ] {
        assert_eq!(
            names(&house.scim("GET", &format!("/Users?{order}"), None).await),
            expected,
            "{order}"
        );
    }
}

#[tokio::test]
async fn rfc7644_3_4_2_4_pages_have_bounds() {
    let house = House::with(
        Options {
            page_size_max: 2,
            ..Options::default()
        },
        TenantSettings::default(),
    )
    .await;
    for name in ["a", "b", "c"] {
        house.user(name).await;
    }
    for (page, start, expected) in [
        ("startIndex=0", 1, &["a", "b"][..]),
        ("startIndex=-5&count=1", 1, &["a"]),
        ("count=-1", 1, &[]),
        ("count=0", 1, &[]),
        ("count=99", 1, &["a", "b"]),
    ] {
        let found = house.scim("GET", &format!("/Users?{page}"), None).await;
        assert_eq!(
            (found.status, names(&found).as_slice()),
            (StatusCode::OK, expected),
            "{page}"
        );
        assert_eq!(
            (&found.body["startIndex"], &found.body["totalResults"]),
            (&json!(start), &json!(3)),
            "{page}"
        );
    }
}

#[tokio::test]
async fn rfc7644_3_9_attributes_are_chosen_and_the_minimum_stays() {
    let house = House::new().await;
    let made = made(
        &house,
        json!({"userName": "a", "title": "t", "name": {"familyName": "f", "givenName": "g"}}),
    )
    .await;
    let path = format!("/Users/{}", made.text("/id"));
    let keys = |answer: &Answer| {
        answer
            .body
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    let only = house
        .scim("GET", &format!("{path}?attributes=name.familyName"), None)
        .await;
    assert_eq!(
        (keys(&only), &only.body["name"]),
        (
            vec!["schemas".into(), "id".into(), "name".into()],
            &json!({"familyName": "f"})
        )
    );
    let without = house
        .scim(
            "GET",
            &format!("{path}?excludedAttributes=id,schemas,meta,name,USERNAME"),
            None,
        )
        .await;
    assert_eq!(keys(&without), ["schemas", "id", "title"]);
    // On every operation that answers with a resource.
    let body = user(json!({"userName": "a", "title": "t"}));
    let put = house
        .scim(
            "PUT",
            &format!("{path}?attributes=title"),
            Some(body.clone()),
        )
        .await;
    assert_eq!(keys(&put), ["schemas", "id", "title"]);
    let change = operations(json!([{"op": "add", "path": "title", "value": "u"}]));
    assert_eq!(
        keys(
            &house
                .scim("PATCH", &format!("{path}?attributes=title"), change)
                .await
        ),
        ["schemas", "id", "title"]
    );
    assert_eq!(
        keys(
            &house
                .scim(
                    "POST",
                    "/Users?attributes=title",
                    Some(user(json!({"userName": "b", "title": "t"})))
                )
                .await
        ),
        ["schemas", "id", "title"]
    );
    let search =
        json!({"schemas": [SEARCH], "attributes": ["title"], "filter": "userName eq \"a\""});
    let found = house.scim("POST", "/Users/.search", Some(search)).await;
    assert_eq!(
        found.body["Resources"][0]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["schemas", "id", "title"]
    );
}

#[tokio::test]
async fn rfc7644_3_4_3_search_by_post_is_the_same_as_by_get() {
    let house = House::new().await;
    for name in ["a", "b", "c"] {
        house.user(name).await;
    }
    let message = json!({"schemas": [SEARCH], "filter": "userName pr", "sortBy": "userName", "sortOrder": "descending", "startIndex": 2, "count": 1});
    for path in ["/Users/.search", "/.search"] {
        let found = house.scim("POST", path, Some(message.clone())).await;
        assert_eq!(
            (found.status, names(&found)),
            (StatusCode::OK, vec!["b"]),
            "{path}"
        );
        assert_eq!(
            (&found.body["schemas"], &found.body["totalResults"]),
            (&json!([LIST]), &json!(3))
        );
    }
    refused(
        &house
            .scim(
                "POST",
                "/Users/.search",
                Some(json!({"filter": "userName pr"})),
            )
            .await,
        400,
        Some("invalidSyntax"),
    );
    refused(
        &house
            .scim(
                "POST",
                "/Users/.search",
                Some(json!({"schemas": [SEARCH], "filter": "userName"})),
            )
            .await,
        400,
        Some("invalidFilter"),
    );
}

#[tokio::test]
async fn rfc7644_3_5_1_put_replaces_and_never_creates() {
    let house = House::new().await;
    refused(
        &house
            .scim("PUT", "/Users/nobody", Some(user(json!({"userName": "a"}))))
            .await,
        404,
        None,
    );
    let made = made(
        &house,
        json!({"userName": "a", "title": "t", "nickName": "n"}),
    )
    .await;
    let path = format!("/Users/{}", made.text("/id"));
    let put = house
        .scim(
            "PUT",
            &path,
            Some(user(json!({"userName": "a", "title": "u"}))),
        )
        .await;
    assert_eq!(
        (put.status, put.text("/title"), put.body.get("nickName")),
        (StatusCode::OK, "u", None)
    );
    refused(
        &house
            .scim("PUT", &path, Some(user(json!({"title": "u"}))))
            .await,
        400,
        Some("invalidValue"),
    );
}

#[tokio::test]
async fn rfc7644_3_5_2_patch_messages_have_their_form() {
    let house = House::with(
        Options::default(),
        TenantSettings {
            profile: "strict".into(),
            ..TenantSettings::default()
        },
    )
    .await;
    let path = format!("/Users/{}", house.user("a").await);
    let check = async |body: Value, scim_type: &str| {
        refused(
            &house.scim("PATCH", &path, Some(body)).await,
            400,
            Some(scim_type),
        );
    };
    check(
        json!({"Operations": [{"op": "add", "path": "title", "value": "t"}]}),
        "invalidSyntax",
    )
    .await;
    check(json!({"schemas": [PATCH]}), "invalidSyntax").await;
    check(
        json!({"schemas": [PATCH], "Operations": [{"path": "title", "value": "t"}]}),
        "invalidSyntax",
    )
    .await;
    check(
        json!({"schemas": [PATCH], "Operations": [{"op": "move", "path": "title", "value": "t"}]}),
        "invalidSyntax",
    )
    .await;
    check(
        json!({"schemas": [PATCH], "Operations": [{"op": "remove"}]}),
        "noTarget",
    )
    .await;
    check(
        json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": "title"}]}),
        "invalidValue",
    )
    .await;
    check(
        json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": "title[", "value": "t"}]}),
        "invalidPath",
    )
    .await;
    check(json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "emails[type eq \"x\"].value", "value": "t"}]}), "noTarget")
        .await;
    check(
        json!({"schemas": [PATCH], "Operations": [{"op": "remove", "path": "userName"}]}),
        "mutability",
    )
    .await;
    check(
        json!({"schemas": [PATCH], "Operations": [{"op": "remove", "path": "meta"}]}),
        "mutability",
    )
    .await;
    check(json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": "often"}]}), "invalidValue").await;
}

#[tokio::test]
async fn rfc7644_3_5_2_3_a_member_that_is_not_there_is_not_replaced() {
    let house = House::new().await;
    let [ann, bob, eve] = [
        house.user("ann").await,
        house.user("bob").await,
        house.user("eve").await,
    ];
    let group = json!({"schemas": [GROUP], "displayName": "g", "members": [{"value": ann}]});
    let path = format!(
        "/Groups/{}",
        house.scim("POST", "/Groups", Some(group)).await.text("/id")
    );
    let before = house.scim("GET", &path, None).await;
    let replace = |old: &str, new: &str| json!([{"op": "replace", "path": format!("members[value eq \"{old}\"]"), "value": {"value": new}}]);
    for old in ["nope", &bob] {
        refused(
            &house
                .scim("PATCH", &path, operations(replace(old, &eve)))
                .await,
            400,
            Some("noTarget"),
        );
    }
    refused(
        &house
            .scim(
                "PATCH",
                &path,
                operations(json!([{"op": "remove", "path": "members.value"}])),
            )
            .await,
        400,
        Some("noTarget"),
    );
    assert_eq!(house.scim("GET", &path, None).await.body, before.body);
    let data = json!({"schemas": [PATCH], "Operations": replace("nope", &eve)});
    let bulk =
        json!({"schemas": [BULK], "Operations": [{"method": "PATCH", "path": path, "data": data}]});
    let bulk = house.scim("POST", "/Bulk", Some(bulk)).await;
    assert_eq!(
        bulk.text("/Operations/0/response/scimType"),
        "noTarget",
        "{bulk:?}"
    );
    let replaced = house
        .scim("PATCH", &path, operations(replace(&ann, &eve)))
        .await;
    assert_eq!(replaced.status, StatusCode::OK, "{replaced:?}");
    let members = house.scim("GET", &path, None).await.body["members"].clone();
    assert_eq!(
        (members.as_array().map(Vec::len), &members[0]["value"]),
        (Some(1), &json!(eve))
    );
}

#[tokio::test]
async fn rfc7644_3_5_2_patch_is_atomic_and_nothing_new_changes_nothing() {
    let house = House::new().await;
    let made = made(
        &house,
        json!({"userName": "a", "title": "t", "emails": [{"value": "a@x", "primary": true}]}),
    )
    .await;
    let path = format!("/Users/{}", made.text("/id"));
    house.wait(5);
    let half = json!([{"op": "replace", "path": "title", "value": "u"}, {"op": "remove", "path": "userName"}]);
    refused(
        &house.scim("PATCH", &path, operations(half)).await,
        400,
        Some("mutability"),
    );
    assert_eq!(house.scim("GET", &path, None).await.body, made.body);
    let same = house
        .scim(
            "PATCH",
            &path,
            operations(json!([{"op": "add", "path": "title", "value": "t"}])),
        )
        .await;
    assert_eq!((same.status, &same.body), (StatusCode::OK, &made.body));
    let primary =
        json!([{"op": "add", "path": "emails", "value": [{"value": "b@x", "primary": true}]}]);
    let patched = house.scim("PATCH", &path, operations(primary)).await;
    let primaries: Vec<&Value> = patched.body["emails"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|email| email["primary"] == true)
        .collect();
    assert_eq!(primaries, [&json!({"value": "b@x", "primary": true})]);
    assert!(patched.text("/meta/lastModified") > made.text("/meta/lastModified"));
}

#[tokio::test]
async fn rfc7644_3_5_2_patch_answers_with_the_whole_or_with_204() {
    let silent = House::with(
        Options::default(),
        TenantSettings {
            patch_response: directory::tenant::PatchResponse::NoContent,
            ..TenantSettings::default()
        },
    )
    .await;
    let path = format!("/Users/{}", silent.user("a").await);
    let title =
        |title: &str| operations(json!([{"op": "replace", "path": "title", "value": title}]));
    let patched = silent.scim("PATCH", &path, title("t")).await;
    assert_eq!(
        (patched.status, &patched.body),
        (StatusCode::NO_CONTENT, &Value::Null)
    );
    assert!(patched.header("etag").is_some());
    let named = silent
        .scim("PATCH", &format!("{path}?attributes=title"), title("u"))
        .await;
    assert_eq!((named.status, named.text("/title")), (StatusCode::OK, "u"));
    let house = House::new().await;
    let path = format!("/Users/{}", house.user("a").await);
    let patched = house.scim("PATCH", &path, title("t")).await;
    assert_eq!(
        (patched.status, &patched.body),
        (StatusCode::OK, &house.scim("GET", &path, None).await.body)
    );
}

#[tokio::test]
async fn rfc7644_3_5_2_extensions_and_schemas_follow_what_is_added() {
    let house = House::new().await;
    let path = format!("/Users/{}", house.user("a").await);
    let add = json!([{"op": "add", "path": format!("{ENTERPRISE}:department"), "value": "d"}]);
    assert_eq!(
        house.scim("PATCH", &path, operations(add)).await.body["schemas"],
        json!([USER, ENTERPRISE])
    );
    let remove = json!([{"op": "remove", "path": format!("{ENTERPRISE}:department")}]);
    assert_eq!(
        house.scim("PATCH", &path, operations(remove)).await.body["schemas"],
        json!([USER])
    );
}

#[tokio::test]
async fn rfc7644_3_6_what_is_deleted_is_gone_and_its_name_is_free() {
    let house = House::new().await;
    let path = format!("/Users/{}", house.user("a").await);
    let gone = house.scim("DELETE", &path, None).await;
    assert_eq!(
        (gone.status, &gone.body),
        (StatusCode::NO_CONTENT, &Value::Null)
    );
    let title = operations(json!([{"op": "replace", "path": "title", "value": "t"}]));
    for (method, body) in [
        ("GET", None),
        ("PUT", Some(user(json!({"userName": "a"})))),
        ("PATCH", title),
        ("DELETE", None),
    ] {
        refused(&house.scim(method, &path, body).await, 404, None);
    }
    assert_eq!(
        house.scim("GET", "/Users", None).await.body["totalResults"],
        0
    );
    assert_ne!(format!("/Users/{}", house.user("a").await), path);
}

#[tokio::test]
async fn rfc7644_3_7_bulk_goes_on_after_failures_and_tells_of_each() {
    let house = House::new().await;
    let user = |name: &str| json!({"schemas": [USER], "userName": name});
    let bulk = |fail_on_errors: Option<u32>| {
        let mut body = json!({"schemas": [BULK], "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "1", "data": user("a")},
            {"method": "POST", "path": "/Users", "bulkId": "2", "data": {"schemas": [USER]}},
            {"method": "PATCH", "path": "/Users/nobody", "data": {"schemas": [PATCH], "Operations": [{"op": "add", "path": "title", "value": "t"}]}},
            {"method": "POST", "path": "/Users", "bulkId": "3", "data": user("b")},
        ]});
        if let Some(most) = fail_on_errors {
            body["failOnErrors"] = most.into();
        }
        Some(body)
    };
    let done = house.scim("POST", "/Bulk", bulk(None)).await;
    assert_eq!(done.status, StatusCode::OK);
    assert_eq!(
        done.body["schemas"],
        json!(["urn:ietf:params:scim:api:messages:2.0:BulkResponse"])
    );
    let statuses: Vec<&Value> = done.body["Operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|operation| &operation["status"])
        .collect();
    assert_eq!(statuses, ["201", "400", "404", "201"]);
    let [first, second, third, _] = [0, 1, 2, 3].map(|at| &done.body["Operations"][at]);
    assert_eq!(
        (&first["bulkId"], &first["method"]),
        (&json!("1"), &json!("POST"))
    );
    assert!(
        first["location"]
            .as_str()
            .is_some_and(|location| location.contains("/scim/v2/Users/"))
            && first["version"].is_string()
    );
    assert!(
        second.get("location").is_none()
            && second["response"]["detail"].is_string()
            && second["response"]["schemas"] == json!([ERROR])
    );
    assert!(
        third["location"]
            .as_str()
            .is_some_and(|location| location.ends_with("/Users/nobody"))
            && third["response"]["status"] == "404"
    );
    // The first failure of another run ends it; what was done stays.
    let ended = house.scim("POST", "/Bulk", bulk(Some(1))).await;
    assert_eq!(
        ended.body["Operations"].as_array().map(Vec::len),
        Some(1),
        "{ended:?}"
    );
    assert_eq!(ended.body["Operations"][0]["status"], "409");
}

#[tokio::test]
async fn rfc7644_3_7_2_references_inside_a_bulk_request_become_ids() {
    let house = House::new().await;
    let body = json!({"schemas": [BULK], "Operations": [
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"schemas": [GROUP], "displayName": "G", "members": [{"value": "bulkId:u"}]}},
        {"method": "POST", "path": "/Users", "bulkId": "u", "data": {"schemas": [USER, ENTERPRISE], "userName": "a", ENTERPRISE: {"manager": {"value": "bulkId:m"}}}},
        {"method": "POST", "path": "/Users", "bulkId": "m", "data": {"schemas": [USER], "userName": "m"}},
    ]});
    let done = house.scim("POST", "/Bulk", Some(body)).await;
    let id = |bulk_id: &str| {
        let operations = done.body["Operations"].as_array().unwrap();
        let made = operations
            .iter()
            .find(|operation| operation["bulkId"] == bulk_id)
            .unwrap();
        made["location"]
            .as_str()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned()
    };
    let group = house
        .scim("GET", &format!("/Groups/{}", id("g")), None)
        .await;
    assert_eq!(group.text("/members/0/value"), id("u"));
    let read = house
        .scim("GET", &format!("/Users/{}", id("u")), None)
        .await;
    assert_eq!(read.text(&format!("/{ENTERPRISE}/manager/value")), id("m"));
}

#[tokio::test]
async fn rfc7644_3_7_1_circles_of_references_are_resolved() {
    let house = House::new().await;
    let group = |name: &str, other: &str| {
        json!({"method": "POST", "path": "/Groups", "bulkId": name,
            "data": {"schemas": [GROUP], "displayName": name, "members": [{"value": format!("bulkId:{other}")}]}})
    };
    let body = json!({"schemas": [BULK], "Operations": [group("a", "b"), group("b", "a")]});
    let done = house.scim("POST", "/Bulk", Some(body)).await;
    assert!(
        done.body["Operations"]
            .as_array()
            .unwrap()
            .iter()
            .all(|operation| operation["status"] == "201"),
        "{done:?}"
    );
    let ids: Vec<&str> = [0, 1]
        .map(|at| {
            done.text(&format!("/Operations/{at}/location"))
                .rsplit('/')
                .next()
                .unwrap()
        })
        .to_vec();
    for (own, other) in [(ids[0], ids[1]), (ids[1], ids[0])] {
        assert_eq!(
            house
                .scim("GET", &format!("/Groups/{own}"), None)
                .await
                .text("/members/0/value"),
            other
        );
    }
}

#[tokio::test]
async fn rfc7644_3_7_4_limits_of_bulk_are_announced_enforced_and_named() {
    let options = Options {
        bulk_operations_max: 2,
        large_body_bytes_max: 2_000,
        ..Options::default()
    };
    let house = House::with(options, TenantSettings::default()).await;
    let config = house.scim("GET", "/ServiceProviderConfig", None).await;
    assert_eq!(
        (
            &config.body["bulk"]["maxOperations"],
            &config.body["bulk"]["maxPayloadSize"]
        ),
        (&json!(2), &json!(2_000))
    );
    let operation = json!({"method": "DELETE", "path": "/Users/nobody"});
    let many = house
        .scim(
            "POST",
            "/Bulk",
            Some(json!({"schemas": [BULK], "Operations": [operation, operation, operation]})),
        )
        .await;
    refused(&many, 413, None);
    assert!(many.text("/detail").contains("at most 2"), "{many:?}");
    let long = json!({"schemas": [BULK], "Operations": [{"method": "DELETE", "path": "/Users/nobody", "data": {"x": "y".repeat(3_000)}}]});
    let long = house.scim("POST", "/Bulk", Some(long)).await;
    refused(&long, 413, None);
    assert!(
        long.text("/detail").contains("2000") || long.text("/detail").contains("2,000"),
        "{long:?}"
    );
}

#[tokio::test]
async fn rfc7644_3_8_both_media_types_are_spoken_in_utf_8() {
    let house = House::new().await;
    let body = Some(user(json!({"userName": "zo\u{eb}\u{1f642}"})));
    for (number, (content, accept)) in [
        ("application/scim+json", "application/scim+json"),
        ("application/json; charset=utf-8", "application/json"),
        ("application/scim+json;charset=UTF-8", "*/*"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = body.clone().unwrap();
        body["userName"] = format!("zo\u{eb}\u{1f642}{number}").into();
        let request = http::Request::builder()
            .method("POST")
            .uri("/scim/v2/Users")
            .header("authorization", format!("Bearer {}", house.token));
        let request = request
            .header("content-type", content)
            .header("accept", accept);
        let made = house
            .send(
                request
                    .body(axum::body::Body::from(body.to_string()))
                    .unwrap(),
            )
            .await;
        assert_eq!(made.status, StatusCode::CREATED, "{content}: {made:?}");
        assert!(
            made.header("content-type")
                .is_some_and(|value| value.ends_with("json"))
        );
        assert_eq!(made.body["userName"], body["userName"]);
    }
}

#[tokio::test]
async fn rfc7644_3_11_me_is_nobody() {
    let house = House::new().await;
    refused(&house.scim("GET", "/Me", None).await, 501, None);
}

#[tokio::test]
async fn rfc7644_3_13_another_version_is_refused() {
    let house = House::new().await;
    refused(
        &house
            .call(&house.token, "GET", "/scim/v1/Users", &[], None)
            .await,
        404,
        None,
    );
    assert_eq!(
        house
            .call(&house.token, "GET", "/scim/v2/Users", &[], None)
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn rfc7644_3_14_versions_are_tags_that_conditions_name() {
    let house = House::new().await;
    let made = made(&house, json!({"userName": "a"})).await;
    let (path, tag) = (
        format!("/scim/v2/Users/{}", made.text("/id")),
        made.text("/meta/version"),
    );
    assert_eq!(made.header("etag"), Some(tag));
    let same = house
        .call(&house.token, "GET", &path, &[("if-none-match", tag)], None)
        .await;
    assert_eq!(
        (same.status, &same.body),
        (StatusCode::NOT_MODIFIED, &Value::Null)
    );
    let body = Some(user(json!({"userName": "a", "title": "t"})));
    let put = house
        .call(
            &house.token,
            "PUT",
            &path,
            &[("if-match", tag)],
            body.clone(),
        )
        .await;
    assert_eq!(put.status, StatusCode::OK);
    assert_ne!(put.text("/meta/version"), tag);
    let title = operations(json!([{"op": "replace", "path": "title", "value": "u"}]));
    for (method, body) in [("PUT", body), ("PATCH", title), ("DELETE", None)] {
        refused(
            &house
                .call(&house.token, method, &path, &[("if-match", tag)], body)
                .await,
            412,
            None,
        );
    }
}

#[tokio::test]
async fn rfc7644_4_discovery_lists_everything_and_takes_no_filter() {
    let house = House::new().await;
    for path in ["/Schemas", "/ResourceTypes"] {
        let all = house.scim("GET", path, None).await;
        let paged = house
            .scim(
                "GET",
                &format!("{path}?count=1&startIndex=2&sortBy=id"),
                None,
            )
            .await;
        assert_eq!(
            (all.status, &all.body["schemas"]),
            (StatusCode::OK, &json!([LIST]))
        );
        assert_eq!(all.body, paged.body, "what is for queries is ignored");
        assert_eq!(
            all.body["totalResults"],
            all.body["Resources"].as_array().unwrap().len()
        );
        refused(&find(&house, path, "name eq \"User\"").await, 403, None);
        let first = all.text("/Resources/0/id").to_owned();
        assert_eq!(
            house
                .scim("GET", &format!("{path}/{first}"), None)
                .await
                .text("/id"),
            first
        );
    }
    refused(
        &find(&house, "/ServiceProviderConfig", "patch.supported eq true").await,
        403,
        None,
    );
}

#[tokio::test]
async fn rfc7644_5_user_names_are_prepared_before_they_are_compared() {
    let house = House::new().await;
    let zoe = made(&house, json!({"userName": "Zoe\u{308}@example.com"})).await;
    // Composed, in capitals, and with a wide sign.
    for same in [
        "zo\u{eb}@example.com",
        "ZO\u{cb}@EXAMPLE.COM",
        "zoe\u{308}\u{ff20}example.com",
    ] {
        refused(
            &house
                .scim("POST", "/Users", Some(user(json!({"userName": same}))))
                .await,
            409,
            Some("uniqueness"),
        );
        assert_eq!(
            names(&find(&house, "/Users", &format!("userName eq \"{same}\"")).await),
            ["Zoe\u{308}@example.com"],
            "{same}"
        );
    }
    assert_eq!(
        names(&find(&house, "/Users", "userName sw \"zo\u{eb}\"").await).len(),
        1
    );
    assert_eq!(
        zoe.text("/userName"),
        "Zoe\u{308}@example.com",
        "it is kept as it came"
    );
}

#[tokio::test]
async fn rfc7644_3_4_2_2_an_empty_filter_is_none_only_where_the_profile_says_so() {
    let strict = House::with(
        Options::default(),
        TenantSettings {
            profile: "strict".into(),
            ..TenantSettings::default()
        },
    )
    .await;
    refused(
        &strict.scim("GET", "/Users?filter=", None).await,
        400,
        Some("invalidFilter"),
    );
    let standard = House::new().await;
    made(&standard, json!({"userName": "ada"})).await;
    assert_eq!(
        names(&standard.scim("GET", "/Users?filter=", None).await),
        ["ada"]
    );
}
