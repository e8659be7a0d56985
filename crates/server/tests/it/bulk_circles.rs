//! References in a circle inside a bulk request (RFC 7644 section 3.7.1), here between managers: what becomes of the circle, also where a part of it fails or
//! is never begun, and that each answer says what is there afterwards.

use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{Answer, House};
use crate::rfc::{BULK, ENTERPRISE, PATCH, USER};

/// A User whose manager another operation makes.
fn managed(name: &str, by: &str) -> Value {
    let data = json!({"schemas": [USER, ENTERPRISE], "userName": name,
        ENTERPRISE: {"department": "d", "manager": {"value": format!("bulkId:{by}")}}});
    json!({"method": "POST", "path": "/Users", "bulkId": name, "data": data})
}

/// The same without a name to sign in with, so that it is refused.
fn nameless(name: &str, by: &str) -> Value {
    let mut operation = managed(name, by);
    operation["data"]
        .as_object_mut()
        .unwrap()
        .remove("userName");
    operation
}

async fn run(house: &House, fail_on_errors: Option<u64>, operations: Value) -> Answer {
    let mut body = json!({"schemas": [BULK], "Operations": operations});
    if let Some(most) = fail_on_errors {
        body["failOnErrors"] = most.into();
    }
    let answer = house.scim("POST", "/Bulk", Some(body)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer
}

/// `bulkId` and status of each operation that was answered.
fn outcomes(answer: &Answer) -> Vec<(&str, &str)> {
    let text = |operation: &'_ Value, name: &str| {
        operation[name].as_str().map(str::len).unwrap_or_default()
    };
    let operations = answer.body["Operations"].as_array().unwrap();
    assert!(
        operations
            .iter()
            .all(|operation| text(operation, "method") > 0),
        "{answer:?}"
    );
    operations
        .iter()
        .map(|operation| {
            (
                operation["bulkId"].as_str().unwrap_or_default(),
                operation["status"].as_str().unwrap(),
            )
        })
        .collect()
}

/// What is at the location that the operation was answered with, which is in the version that it was answered with.
async fn found(house: &House, answer: &Answer, index: usize) -> Answer {
    let location = answer.text(&format!("/Operations/{index}/location"));
    let found = house
        .scim(
            "GET",
            &format!("/Users/{}", location.rsplit('/').next().unwrap()),
            None,
        )
        .await;
    let version = answer.body["Operations"][index]["version"].as_str();
    assert!(
        version.is_none() || found.header("etag") == version,
        "{answer:?} {found:?}"
    );
    found
}

fn manager(user: &Answer) -> Option<&str> {
    user.body[ENTERPRISE]["manager"]["value"].as_str()
}

/// Made, and answered with a refusal that says so, because it is not what was asked for.
async fn half_made(house: &House, answer: &Answer, index: usize, names: &str) {
    let operation = &answer.body["Operations"][index];
    assert_eq!(
        (&operation["status"], &operation["response"]["status"]),
        (&json!("409"), &json!("409")),
        "{answer:?}"
    );
    let detail = operation["response"]["detail"].as_str().unwrap();
    assert!(
        detail.contains("was made, but without") && detail.contains(names),
        "{detail}"
    );
    assert!(operation.get("version").is_none(), "{answer:?}");
    let there = found(house, answer, index).await;
    assert_eq!(
        (
            there.status,
            manager(&there),
            &there.body[ENTERPRISE]["department"]
        ),
        (StatusCode::OK, None, &json!("d"))
    );
}

async fn names(house: &House) -> Vec<String> {
    let list = house.scim("GET", "/Users", None).await;
    list.body["Resources"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|user| user["userName"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn two_may_be_each_others_managers() {
    let house = House::new().await;
    let answer = run(
        &house,
        None,
        json!([managed("a", "b"), managed("b", "a"), managed("c", "c")]),
    )
    .await;
    assert_eq!(
        outcomes(&answer),
        [("a", "201"), ("b", "201"), ("c", "201")]
    );
    let [a, b, c] = [
        found(&house, &answer, 0).await,
        found(&house, &answer, 1).await,
        found(&house, &answer, 2).await,
    ];
    assert_eq!(
        (manager(&a), manager(&b), manager(&c)),
        (
            Some(b.text("/id")),
            Some(a.text("/id")),
            Some(c.text("/id"))
        )
    );
    for user in [a, b, c] {
        assert_eq!(
            (&user.body["schemas"], &user.body[ENTERPRISE]["department"]),
            (&json!([USER, ENTERPRISE]), &json!("d"))
        );
    }
    assert_eq!(names(&house).await.len(), 3);
}

#[tokio::test]
async fn whoever_refers_to_what_was_refused_is_not_said_to_be_whole() {
    let house = House::new().await;
    let answer = run(
        &house,
        None,
        json!([
            managed("a", "b"),
            nameless("b", "a"),
            managed("c", "a"),
            managed("d", "b")
        ]),
    )
    .await;
    assert_eq!(
        outcomes(&answer),
        [("a", "409"), ("b", "400"), ("c", "201"), ("d", "409")]
    );
    half_made(&house, &answer, 0, "bulkId:b").await;
    assert_eq!(
        answer.text("/Operations/1/response/scimType"),
        "invalidValue"
    );
    // Who refers to the half of it that is there is whole; who is in no circle was not made at all.
    assert_eq!(
        manager(&found(&house, &answer, 2).await),
        Some(found(&house, &answer, 0).await.text("/id"))
    );
    assert!(
        answer.body["Operations"][3].get("location").is_none(),
        "{answer:?}"
    );
    assert_eq!(names(&house).await, ["a", "c"]);
}

#[tokio::test]
async fn errors_that_end_a_request_leave_no_answer_untrue() {
    // The other half is refused, and that ends the request.
    let house = House::new().await;
    let operations = json!([managed("a", "b"), nameless("b", "a"), managed("c", "a")]);
    let answer = run(&house, Some(1), operations).await;
    assert_eq!(outcomes(&answer), [("a", "409"), ("b", "400")]);
    half_made(&house, &answer, 0, "bulkId:b").await;
    assert_eq!(names(&house).await, ["a"]);

    // Somebody else is refused before the other half has its turn.
    let house = House::new().await;
    let operations = json!([managed("a", "b"), nameless("x", "a"), managed("b", "a")]);
    let answer = run(&house, Some(1), operations.clone()).await;
    assert_eq!(outcomes(&answer), [("a", "409"), ("x", "400")]);
    half_made(&house, &answer, 0, "bulkId:b").await;
    assert_eq!(names(&house).await, ["a"]);

    // One error more is accepted, so the circle is closed.
    let house = House::new().await;
    let answer = run(&house, Some(2), operations).await;
    assert_eq!(
        outcomes(&answer),
        [("a", "201"), ("x", "400"), ("b", "201")]
    );
    assert_eq!(
        manager(&found(&house, &answer, 0).await),
        Some(found(&house, &answer, 2).await.text("/id"))
    );

    // The circle is closed already when somebody else is refused.
    let house = House::new().await;
    let answer = run(
        &house,
        Some(1),
        json!([
            managed("a", "b"),
            managed("b", "a"),
            nameless("x", "a"),
            managed("c", "a")
        ]),
    )
    .await;
    assert_eq!(
        outcomes(&answer),
        [("a", "201"), ("b", "201"), ("x", "400")]
    );
    assert_eq!(
        manager(&found(&house, &answer, 0).await),
        Some(found(&house, &answer, 1).await.text("/id"))
    );
    assert_eq!(names(&house).await, ["a", "b"]);
}

/// RFC 7644 section 3.7: the outcome is that of the operations in their order, whenever the circle is closed.
#[tokio::test]
async fn closing_a_circle_takes_no_later_change_back() {
    let house = House::new().await;
    let title =
        json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": "title", "value": "t"}]});
    let operations = json!([
        managed("a", "b"),
        {"method": "PATCH", "path": "/Users/bulkId:a", "data": title},
        managed("b", "a"),
        managed("c", "d"),
        {"method": "DELETE", "path": "/Users/bulkId:c"},
        managed("d", "c"),
    ]);
    let answer = run(&house, None, operations).await;
    let expected = [
        ("a", "201"),
        ("", "200"),
        ("b", "201"),
        ("c", "201"),
        ("", "204"),
        ("d", "201"),
    ];
    assert_eq!(outcomes(&answer), expected);
    let location = answer
        .text("/Operations/0/location")
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let a = house.scim("GET", &format!("/Users/{location}"), None).await;
    assert_eq!(
        (a.text("/title"), manager(&a)),
        ("t", Some(found(&house, &answer, 2).await.text("/id")))
    );
    assert_eq!(a.header("etag"), Some(answer.text("/Operations/1/version")));
    assert_eq!(names(&house).await, ["a", "b", "d"]);
}
