//! What does not show members does not read them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use directory::store::Store;
use directory::tenant::TenantSettings;
use http::StatusCode;
use serde_json::{Value, json};
use server::Options;

use crate::counting::{Counted, Counting};
use crate::house::House;
use crate::rfc::{GROUP, SEARCH};

/// A path, and a body where there is one.
type Asked = (String, Option<Value>);

#[tokio::test]
async fn members_that_are_not_shown_are_not_read() {
    let counted = Arc::new(Counted::default());
    let counting = |store| {
        Arc::new(Counting {
            store,
            counted: counted.clone(),
        }) as Arc<dyn Store>
    };
    let house = House::over(Options::default(), TenantSettings::default(), counting).await;
    let members = [house.user("ann").await, house.user("bob").await].map(|id| json!({"value": id}));
    let body = json!({"schemas": [GROUP], "displayName": "team", "members": members});
    let made = house.scim("POST", "/Groups", Some(body)).await;
    let group = format!("/Groups/{}", made.text("/id"));
    let search = |without: bool| {
        let mut message = json!({"schemas": [SEARCH], "filter": "displayName eq \"team\"", "sortBy": "displayName"});
        if without {
            message["excludedAttributes"] = json!(["members"]);
        }
        Some(message)
    };
    // Each as it is asked for without members, and with them.
    let pairs: [(&str, [Asked; 2]); 6] = [
        (
            "GET",
            [
                (format!("{group}?excludedAttributes=members"), None),
                (group.clone(), None),
            ],
        ),
        (
            "GET",
            [
                (format!("{group}?attributes=displayName"), None),
                (format!("{group}?attributes=members.value"), None),
            ],
        ),
        (
            "GET",
            [
                ("/Groups?excludedAttributes=members".into(), None),
                ("/Groups".into(), None),
            ],
        ),
        (
            "GET",
            [
                ("/?excludedAttributes=members".into(), None),
                ("/".into(), None),
            ],
        ),
        (
            "POST",
            [
                ("/Groups/.search".into(), search(true)),
                ("/Groups/.search".into(), search(false)),
            ],
        ),
        (
            "POST",
            [
                ("/.search".into(), search(true)),
                ("/.search".into(), search(false)),
            ],
        ),
    ];
    for (method, asked) in pairs {
        for (shown, (path, body)) in [false, true].into_iter().zip(asked) {
            counted.members.store(0, Ordering::Relaxed);
            let answer = house.scim(method, &path, body).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
            let all = answer.body["Resources"]
                .as_array()
                .map_or_else(|| vec![answer.body.clone()], Clone::clone);
            let team = all
                .iter()
                .find(|one| one["displayName"] == "team" || one.get("members").is_some())
                .unwrap();
            let members = team.get("members").and_then(Value::as_array).map(Vec::len);
            assert_eq!(members, shown.then_some(2), "{path}: {answer:?}");
            let reads = counted.members.load(Ordering::Relaxed);
            assert_eq!(
                reads > 0,
                shown,
                "{method} {path}: members were read {reads} times"
            );
        }
    }
}
