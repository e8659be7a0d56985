//! Searches: pages in a stable order, orders with missing values, filters on what is indexed, derived or neither.

use std::sync::Arc;

use directory::search::{Page, Sort, plan};
use directory::store::{Include, SearchPage};
use scim_protocol::filter::FilterLimits;
use scim_protocol::schema::standard::{ENTERPRISE_USER, USER};
use scim_protocol::{AttributePath, Filter, TypeSchema};
use serde_json::{Value, json};

use crate::place::{ALL, NOTHING, Place, World, members, on_both_engines};

on_both_engines!(
    pages_visit_each_once,
    orders_with_missing_values,
    filters,
    filters_over_types,
    derived_attributes_are_included_where_asked,
    counting_only,
    odd_literals,
    many_different_filters,
);

#[derive(Default)]
struct Question<'a> {
    types: &'a [&'a str],
    filter: Option<&'a str>,
    sort: Option<(&'a str, bool)>,
    offset: u64,
    limit: Option<u64>,
    include: Include,
}

async fn ask(world: &World, question: Question<'_>) -> SearchPage {
    let types: Vec<Arc<TypeSchema>> = question
        .types
        .iter()
        .map(|name| world.schema(name))
        .collect();
    let filter = question
        .filter
        .map(|text| Filter::parse(text, FilterLimits::default()).unwrap());
    let sort = question.sort.map(|(path, descending)| Sort {
        path: AttributePath::parse(path).unwrap(),
        descending,
    });
    let page = Page {
        offset: question.offset,
        limit: question.limit.unwrap_or(1_000),
    };
    let plan = plan(&types, filter, sort, page, question.include).unwrap();
    world
        .opened
        .store
        .search(world.tenant.id, plan)
        .await
        .unwrap()
}

fn ids(page: &SearchPage) -> Vec<&str> {
    page.resources
        .iter()
        .map(|resource| resource.id.as_str())
        .collect()
}

async fn user(world: &World, id: &str, more: Value) {
    let mut document = json!({"schemas": [USER], "userName": id});
    document
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    world
        .commit_one(world.create_with("User", id, document, &[]))
        .await
        .unwrap();
}

async fn pages_visit_each_once(place: Place) {
    let world = World::new(&place).await;
    for n in 0..25 {
        user(
            &world,
            &format!("u{:02}", (n * 7) % 25),
            json!({"title": (["a", "b", "c"][n % 3]), "locale": (["x", "y"][n % 2])}),
        )
        .await;
    }
    let elsewhere = World::in_store(world.opened.clone(), "globex", world.counter.clone()).await;
    elsewhere.user("other").await;
    for (filter, sort, count) in [
        (None, None, 25),
        (None, Some(("title", false)), 25),
        (None, Some(("title", true)), 25),
        (None, Some(("locale", false)), 25),
        (None, Some(("userName", true)), 25),
        (Some(r#"title eq "A""#), None, 9),
        (Some(r#"locale eq "x""#), Some(("title", false)), 13),
        (
            Some(r#"locale eq "x" or title eq "b""#),
            Some(("locale", true)),
            17,
        ),
    ] {
        let whole = ask(
            &world,
            Question {
                types: &["User"],
                filter,
                sort,
                ..Question::default()
            },
        )
        .await;
        let mut paged = Vec::new();
        for offset in (0..30).step_by(4) {
            let question = Question {
                types: &["User"],
                filter,
                sort,
                offset,
                limit: Some(4),
                ..Question::default()
            };
            let page = ask(&world, question).await;
            assert_eq!(page.total_results, count, "{filter:?} {sort:?} {offset}");
            paged.extend(page.resources.into_iter().map(|resource| resource.id));
        }
        assert_eq!(paged, ids(&whole), "{filter:?} {sort:?}");
        paged.sort();
        paged.dedup();
        assert_eq!(
            u64::try_from(paged.len()).unwrap(),
            count,
            "{filter:?} {sort:?}"
        );
    }
}

async fn orders_with_missing_values(place: Place) {
    let world = World::new(&place).await;
    user(&world, "1", json!({"title": "b", "locale": "b", "emails": [{"value": "z@x"}, {"value": "b@x", "primary": true}]})).await;
    user(&world, "2", json!({})).await;
    user(
        &world,
        "3",
        json!({"title": "A", "locale": "A", "emails": [{"value": "A@x"}], "active": true}),
    )
    .await;
    user(&world, "4", json!({"title": "\u{e9}", "locale": "\u{e9}", "emails": [{"value": "\u{e9}@x"}], "active": false})).await;
    user(&world, "5", json!({})).await;
    let check = async |path: &str, ascending: [&str; 5], descending: [&str; 5]| {
        for (is_descending, expected) in [(false, ascending), (true, descending)] {
            let question = Question {
                types: &["User"],
                sort: Some((path, is_descending)),
                ..Question::default()
            };
            assert_eq!(
                ids(&ask(&world, question).await),
                expected,
                "{path} {is_descending}"
            );
        }
    };
    // Equals stay in the order of creation.
    for path in ["title", "locale", "emails.value", "emails"] {
        check(path, ["3", "1", "4", "2", "5"], ["2", "5", "4", "1", "3"]).await;
    }
    check(
        "active",
        ["4", "3", "1", "2", "5"],
        ["1", "2", "5", "3", "4"],
    )
    .await;
    for path in ["id", "userName", "meta.created"] {
        check(path, ["1", "2", "3", "4", "5"], ["5", "4", "3", "2", "1"]).await;
    }
}

async fn filters(place: Place) {
    let world = World::new(&place).await;
    user(&world, "ann", json!({"externalId": "E1", "active": true, "emails": [{"value": "Ann@x", "type": "work"}], "title": "50% _off"}))
        .await;
    user(&world, "bob", json!({"externalId": "e1", "active": false, "emails": [{"value": "bob@x"}, {"value": "b@y", "type": "work"}]}))
        .await;
    user(&world, "CID", json!({"nickName": "\u{c9}a", ENTERPRISE_USER: {"department": "Ops", "manager": {"value": "ann"}}})).await;
    world.group("inner", &["ann"]).await;
    world.group("outer", &["inner", "bob"]).await;
    for (filter, expected) in [
        (r#"userName eq "cid""#, vec!["CID"]),
        (r#"userName ne "cid""#, vec!["ann", "bob"]),
        (r#"externalId eq "e1""#, vec!["bob"]),
        (r#"id eq "ann" or id eq "nobody""#, vec!["ann"]),
        (r#"emails.value eq "ann@X""#, vec!["ann"]),
        (r#"emails[type eq "work" and value sw "b"]"#, vec!["bob"]),
        (r#"emails[type eq "work" and value ew "Y"]"#, vec!["bob"]),
        (r#"emails.value co "b@""#, vec!["bob"]),
        ("emails pr", vec!["ann", "bob"]),
        // RFC 7643 section 2.4: a `primary` that is not there is false.
        ("emails.primary eq false", vec!["ann", "bob"]),
        ("emails.primary ne false", vec!["CID"]),
        ("not (emails.primary eq false)", vec!["CID"]),
        ("emails.primary ne true", vec!["ann", "bob", "CID"]),
        ("emails.primary eq true", vec![]),
        (
            r#"emails[type eq "work" and primary eq false]"#,
            vec!["ann", "bob"],
        ),
        ("emails[not (primary eq false)]", vec![]),
        ("not (emails pr)", vec!["CID"]),
        (r#"title co "% _O""#, vec!["ann"]),
        (r#"title co "%%""#, vec![]),
        (r#"nickName eq "\u00e9A""#, vec!["CID"]),
        ("active eq true", vec!["ann"]),
        ("active ne true", vec!["bob", "CID"]),
        (r#"userName gt "ann" and userName le "bob""#, vec!["bob"]),
        (r#"userName sw "b""#, vec!["bob"]),
        (
            r#"meta.created gt "2023-11-14T22:13:20Z""#,
            vec!["bob", "CID"],
        ),
        (
            r#"meta.lastModified le "2023-11-14T22:13:20Z""#,
            vec!["ann"],
        ),
        (
            r#"meta.resourceType eq "User" and active pr"#,
            vec!["ann", "bob"],
        ),
        (r#"groups.value eq "outer""#, vec!["ann", "bob"]),
        (r#"groups[type eq "indirect"]"#, vec!["ann"]),
        ("groups pr", vec!["ann", "bob"]),
        ("not (groups pr) and id pr", vec!["CID"]),
        (
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "OPS""#,
            vec!["CID"],
        ),
        (
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "ann""#,
            vec!["CID"],
        ),
    ] {
        let page = ask(
            &world,
            Question {
                types: &["User"],
                filter: Some(filter),
                ..Question::default()
            },
        )
        .await;
        assert_eq!(ids(&page), expected, "{filter}");
        assert_eq!(
            page.total_results,
            u64::try_from(expected.len()).unwrap(),
            "{filter}"
        );
    }
    for (filter, expected) in [
        (r#"members.value eq "ann""#, vec!["inner"]),
        (r#"members[value eq "inner"]"#, vec!["outer"]),
        (r#"members.type eq "Group""#, vec!["outer"]),
        (r#"displayName sw "IN""#, vec!["inner"]),
    ] {
        let page = ask(
            &world,
            Question {
                types: &["Group"],
                filter: Some(filter),
                ..Question::default()
            },
        )
        .await;
        assert_eq!(ids(&page), expected, "{filter}");
    }
}

async fn filters_over_types(place: Place) {
    let world = World::new(&place).await;
    user(&world, "b", json!({"displayName": "two"})).await;
    world.group("a", &["b"]).await;
    user(&world, "c", json!({"displayName": "A"})).await;
    let both: &[&str] = &["User", "Group"];
    let check = async |filter: Option<&str>, sort: Option<(&str, bool)>, expected: &[&str]| {
        let page = ask(
            &world,
            Question {
                types: both,
                filter,
                sort,
                ..Question::default()
            },
        )
        .await;
        assert_eq!(
            (ids(&page), page.total_results),
            (expected.to_vec(), u64::try_from(expected.len()).unwrap()),
            "{filter:?} {sort:?}"
        );
        let second = ask(
            &world,
            Question {
                types: both,
                filter,
                sort,
                offset: 1,
                limit: Some(1),
                ..Question::default()
            },
        )
        .await;
        assert_eq!(
            ids(&second),
            expected.iter().skip(1).take(1).copied().collect::<Vec<_>>(),
            "{filter:?} {sort:?}"
        );
    };
    check(None, None, &["b", "c", "a"]).await;
    check(None, Some(("displayName", false)), &["c", "a", "b"]).await;
    check(None, Some(("userName", false)), &["b", "c", "a"]).await;
    check(None, Some(("userName", true)), &["a", "c", "b"]).await;
    check(None, Some(("id", true)), &["c", "b", "a"]).await;
    check(Some(r#"displayName eq "a""#), None, &["c", "a"]).await;
    check(
        Some(r#"displayName eq "a" or members.value eq "b""#),
        Some(("meta.created", true)),
        &["c", "a"],
    )
    .await;
    check(Some(r#"meta.resourceType eq "Group""#), None, &["a"]).await;
}

async fn derived_attributes_are_included_where_asked(place: Place) {
    let world = World::new(&place).await;
    world.user("ann").await;
    world.user("bob").await;
    world.group("one", &["ann", "bob"]).await;
    world.group("two", &["one"]).await;
    world
        .commit_one(members("two", &["bob"], &[]))
        .await
        .unwrap();
    for (types, include) in [
        (["User"], ALL),
        (["User"], NOTHING),
        (["Group"], ALL),
        (["Group"], NOTHING),
    ] {
        let page = ask(
            &world,
            Question {
                types: &types,
                include,
                ..Question::default()
            },
        )
        .await;
        for found in page.resources {
            let mut expected = world.read(types[0], &found.id).await.unwrap();
            if !include.members {
                expected.members.clear();
            }
            if !include.groups {
                expected.groups.clear();
            }
            assert_eq!(found, expected);
        }
    }
}

async fn counting_only(place: Place) {
    let world = World::new(&place).await;
    for id in ["a", "b", "c"] {
        world.user(id).await;
    }
    for filter in [None, Some("userName pr"), Some("locale pr or userName pr")] {
        let page = ask(
            &world,
            Question {
                types: &["User"],
                filter,
                limit: Some(0),
                ..Question::default()
            },
        )
        .await;
        assert_eq!(
            (page.total_results, page.resources.len()),
            (3, 0),
            "{filter:?}"
        );
    }
    let past = ask(
        &world,
        Question {
            types: &["User"],
            offset: u64::MAX,
            limit: Some(u64::MAX),
            ..Question::default()
        },
    )
    .await;
    assert_eq!((past.total_results, past.resources.len()), (3, 0));
}

async fn odd_literals(place: Place) {
    let world = World::new(&place).await;
    user(&world, "ann", json!({"title": "it's; --"})).await;
    for (filter, count) in [
        (r#"id eq "\u0000""#, 0),
        (r#"userName eq "\u0000""#, 0),
        (r#"title eq "it's; --""#, 1),
        (r#"title co "'""#, 1),
        (r#"title ew "; --""#, 1),
        (r#"title ew "more than it has, it's; --""#, 0),
        (r#"title co """#, 1),
        (r#"userName sw "\uDBFF\uDFFF""#, 0),
    ] {
        let page = ask(
            &world,
            Question {
                types: &["User"],
                filter: Some(filter),
                ..Question::default()
            },
        )
        .await;
        assert_eq!(page.total_results, count, "{filter}");
    }
}

/// Each has a text of its own, and no connection remembers them all.
async fn many_different_filters(place: Place) {
    let world = World::new(&place).await;
    world.user("ann").await;
    for n in 1..300 {
        let filter = format!(r#"userName ew "{}" or id eq "ann""#, "x".repeat(n));
        let page = ask(
            &world,
            Question {
                types: &["User"],
                filter: Some(&filter),
                ..Question::default()
            },
        )
        .await;
        assert_eq!(page.total_results, 1);
    }
}
