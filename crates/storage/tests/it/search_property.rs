//! A search finds what its filter says in memory, in the order that the documents say, page by page: tried with generated directories and filters.

use std::cell::Cell;
use std::cmp::Ordering;
use std::sync::Arc;

use directory::search::{Page, Sort, plan};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use scim_protocol::filter::CompareOp;
use scim_protocol::filter::compare::{check_sort, sort_key};
use scim_protocol::schema::standard::ENTERPRISE_USER;
use scim_protocol::{AttributePath, Filter, TypeSchema};
use serde_json::{Map, Value, json};

use crate::place::{NOTHING, Opened, Place, World, members};

/// What an attribute is compared with.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Truth,
    Instant,
    /// Only whether it is there, and by its `value`.
    Complex,
}

const COMMON: &[(&str, Kind)] = &[
    ("id", Kind::Text),
    ("externalId", Kind::Text),
    ("displayName", Kind::Text),
    ("meta.created", Kind::Instant),
    ("meta.lastModified", Kind::Instant),
    ("meta.resourceType", Kind::Text),
    ("meta.version", Kind::Text),
    ("schemas", Kind::Text),
];

const OF_USERS: &[(&str, Kind)] = &[
    ("userName", Kind::Text),
    ("title", Kind::Text),
    ("active", Kind::Truth),
    ("nickName", Kind::Text),
    ("locale", Kind::Text),
    ("name", Kind::Complex),
    ("name.familyName", Kind::Text),
    ("name.formatted", Kind::Text),
    ("emails", Kind::Text),
    ("emails.value", Kind::Text),
    ("emails.type", Kind::Text),
    ("emails.primary", Kind::Truth),
    ("phoneNumbers.value", Kind::Text),
    ("groups", Kind::Text),
    ("groups.value", Kind::Text),
    ("groups.type", Kind::Text),
    (
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        Kind::Text,
    ),
    (
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
        Kind::Text,
    ),
];

const OF_GROUPS: &[(&str, Kind)] = &[
    ("members", Kind::Text),
    ("members.value", Kind::Text),
    ("members.type", Kind::Text),
];

/// The holders of value paths, and what is in their brackets.
const ELEMENTS_OF_USERS: &[(&str, &[(&str, Kind)])] = &[
    (
        "emails",
        &[
            ("value", Kind::Text),
            ("type", Kind::Text),
            ("primary", Kind::Truth),
        ],
    ),
    ("groups", &[("value", Kind::Text), ("type", Kind::Text)]),
    (
        "name",
        &[("familyName", Kind::Text), ("formatted", Kind::Text)],
    ),
];

const ELEMENTS_OF_GROUPS: &[(&str, &[(&str, Kind)])] =
    &[("members", &[("value", Kind::Text), ("type", Kind::Text)])];

const USER_IDS: &[&str] = &["u0", "u1", "u2", "u3", "u4", "u5", "u6"];
const GROUP_IDS: &[&str] = &["g0", "g1", "g2", "g3"];

fn word() -> impl Strategy<Value = String> {
    let words = [
        "",
        "a",
        "A",
        "ab",
        "b",
        "ba",
        "\u{e9}",
        "\u{c9}a",
        "\u{df}",
        "SS",
        "\u{1f600}",
        "%",
        "_a",
        "'",
        "work",
        "True",
        "u1",
    ];
    prop::sample::select(words.to_vec()).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = Option<Value>> {
    prop::option::of(word().prop_map(Value::from))
}

fn truth() -> impl Strategy<Value = Option<Value>> {
    prop::option::of(prop_oneof![
        any::<bool>().prop_map(Value::from),
        Just(json!("True"))
    ])
}

fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn email() -> impl Strategy<Value = Value> {
    (text(), text(), truth()).prop_map(|(value, kind, primary)| {
        object([("value", value), ("type", kind), ("primary", primary)]).into()
    })
}

fn user() -> impl Strategy<Value = Value> {
    let plain = (word(), text(), text(), truth(), text(), text(), text());
    let nested = (
        prop::collection::vec(email(), 0..4),
        text(),
        text(),
        text(),
        text(),
    );
    (plain, nested).prop_map(
        |(
            (user_name, title, external_id, active, nick_name, locale, url),
            (emails, family, formatted, phone, department),
        )| {
            let name = object([("familyName", family), ("formatted", formatted)]);
            let manager = department.clone().map(|value| json!({"value": value}));
            let enterprise = object([("department", department), ("manager", manager)]);
            object([
                ("schemas", Some(json!([ENTERPRISE_USER]))),
                ("userName", Some(user_name.into())),
                ("title", title),
                ("externalId", external_id),
                ("active", active),
                ("nickName", nick_name),
                ("locale", locale),
                ("profileUrl", url),
                ("name", (!name.is_empty()).then_some(name.into())),
                ("emails", (!emails.is_empty()).then_some(emails.into())),
                ("phoneNumbers", phone.map(|value| json!([{"value": value}]))),
                (
                    ENTERPRISE_USER,
                    (!enterprise.is_empty()).then_some(enterprise.into()),
                ),
            ])
            .into()
        },
    )
}

fn group() -> impl Strategy<Value = (Value, Vec<&'static str>)> {
    let ids: Vec<&'static str> = USER_IDS.iter().chain(GROUP_IDS).copied().collect();
    let document = (word(), text()).prop_map(|(name, external_id)| {
        object([
            ("displayName", Some(name.into())),
            ("externalId", external_id),
        ])
        .into()
    });
    (document, prop::sample::subsequence(ids, 0..5))
}

fn literal_text() -> impl Strategy<Value = Value> {
    let known = prop::sample::select(vec![
        "u0",
        "u1",
        "U2",
        "g0",
        "g1",
        "g2",
        "User",
        "group",
        "direct",
        "indirect",
        ENTERPRISE_USER,
    ]);
    prop_oneof![3 => word().prop_map(Value::from), 2 => known.prop_map(Value::from)]
}

fn comparison(path: &'static str, kind: Kind) -> BoxedStrategy<Filter> {
    use CompareOp::{Co, Eq, Ew, Ge, Gt, Le, Lt, Ne, Sw};
    let path = AttributePath::parse(path).unwrap();
    let with = |ops: &[CompareOp], literal: BoxedStrategy<Value>| {
        let path = path.clone();
        let ops = prop::sample::select(ops.to_vec());
        (ops, literal)
            .prop_map(move |(op, value)| Filter::Compare {
                path: path.clone(),
                op,
                value,
            })
            .boxed()
    };
    let present = Just(Filter::Present(path.clone())).boxed();
    let null = with(&[Eq, Ne], Just(Value::Null).boxed());
    let compared = match kind {
        Kind::Text => with(
            &[Eq, Eq, Ne, Co, Sw, Ew, Gt, Ge, Lt, Le],
            literal_text().boxed(),
        ),
        Kind::Truth => with(&[Eq, Ne], any::<bool>().prop_map(Value::from).boxed()),
        Kind::Instant => {
            let instants = (20..40).prop_map(|second| json!(format!("2023-11-14T22:13:{second}Z")));
            with(&[Eq, Ne, Gt, Ge, Lt, Le], instants.boxed())
        }
        Kind::Complex => present.clone(),
    };
    prop_oneof![8 => compared, 1 => present, 1 => null].boxed()
}

fn leaf(paths: Vec<(&'static str, Kind)>) -> impl Strategy<Value = Filter> {
    prop::sample::select(paths).prop_flat_map(|(path, kind)| comparison(path, kind))
}

fn combined(leaf: impl Strategy<Value = Filter> + 'static) -> impl Strategy<Value = Filter> {
    leaf.prop_recursive(3, 6, 2, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..3).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 2..3).prop_map(Filter::Or),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

fn filter(types: &[&str]) -> impl Strategy<Value = Filter> {
    let (mut paths, mut holders) = (COMMON.to_vec(), Vec::new());
    if types.contains(&"User") {
        paths.extend(OF_USERS);
        holders.extend(ELEMENTS_OF_USERS);
    }
    if types.contains(&"Group") {
        paths.extend(OF_GROUPS);
        holders.extend(ELEMENTS_OF_GROUPS);
    }
    let value_path = prop::sample::select(holders).prop_flat_map(|(holder, parts)| {
        let path = AttributePath::parse(holder).unwrap();
        combined(leaf(parts.to_vec())).prop_map(move |filter| Filter::ValuePath {
            path: path.clone(),
            filter: Box::new(filter),
        })
    });
    combined(prop_oneof![4 => leaf(paths), 1 => value_path])
}

fn sort() -> impl Strategy<Value = Sort> {
    let paths: Vec<_> = COMMON
        .iter()
        .chain(OF_USERS)
        .map(|(path, _)| AttributePath::parse(path).unwrap())
        .collect();
    (prop::sample::select(paths), any::<bool>())
        .prop_map(|(path, descending)| Sort { path, descending })
}

#[derive(Clone, Debug)]
struct Search {
    types: &'static [&'static str],
    filter: Option<Filter>,
    sort: Option<Sort>,
    page: Page,
}

fn search() -> impl Strategy<Value = Search> {
    let types = prop::sample::select(vec![
        &["User"][..],
        &["User"],
        &["Group"],
        &["User", "Group"],
        &["Group", "User"],
    ]);
    types.prop_flat_map(|types| {
        let page = (
            prop_oneof![3 => Just(0_u64), 1 => 0..8_u64],
            prop_oneof![2 => Just(100_u64), 1 => 0..5_u64],
        );
        let page = page.prop_map(|(offset, limit)| Page { offset, limit });
        (
            prop::option::weighted(0.9, filter(types)),
            prop::option::of(sort()),
            page,
        )
            .prop_map(move |(filter, sort, page)| Search {
                types,
                filter,
                sort,
                page,
            })
    })
}

/// How the generated searches fared.
#[derive(Clone, Copy, Default)]
struct Tried {
    all: u32,
    refused: u32,
    found_some: u32,
}

type People = (Vec<Value>, Vec<(Value, Vec<&'static str>)>, Vec<Search>);

fn people() -> impl Strategy<Value = People> {
    let users = prop::collection::vec(user(), 1..=USER_IDS.len());
    let groups = prop::collection::vec(group(), 0..=GROUP_IDS.len());
    (users, groups, prop::collection::vec(search(), 24))
}

/// Unique values that are taken already are for the others to have; there is one resource less then.
async fn fill(
    world: &World,
    users: Vec<Value>,
    groups: &[(Value, Vec<&'static str>)],
) -> Vec<(&'static str, &'static str)> {
    let mut there = Vec::new();
    for (id, document) in USER_IDS.iter().zip(users) {
        if world
            .commit_one(world.create_with("User", id, document, &[]))
            .await
            .is_ok()
        {
            there.push(("User", *id));
        }
    }
    for (id, (document, _)) in GROUP_IDS.iter().zip(groups) {
        if world
            .commit_one(world.create_with("Group", id, document.clone(), &[]))
            .await
            .is_ok()
        {
            there.push(("Group", *id));
        }
    }
    for (id, (_, wanted)) in GROUP_IDS.iter().zip(groups) {
        let known: Vec<&str> = wanted
            .iter()
            .filter(|id| there.iter().any(|(_, known)| known == *id))
            .copied()
            .collect();
        if there.contains(&("Group", *id)) {
            world.commit_one(members(id, &known, &[])).await.unwrap();
        }
    }
    there
}

/// What the filter and the order say of the documents: how many match, and the ids of the page.
async fn expected(world: &World, there: &[(&str, &str)], search: &Search) -> (usize, Vec<String>) {
    let mut found = Vec::new();
    for name in search.types {
        let schema = world.schema(name);
        for (_, id) in there
            .iter()
            .filter(|(resource_type, _)| resource_type == name)
        {
            let document = world.read(name, id).await.unwrap().into_document();
            if search
                .filter
                .as_ref()
                .is_none_or(|filter| filter.matches(&schema, &document))
            {
                let key = search
                    .sort
                    .as_ref()
                    .and_then(|sort| sort_key(&schema, &sort.path, &document));
                found.push(((*id).to_owned(), key));
            }
        }
    }
    if let Some(sort) = &search.sort {
        found.sort_by(|(_, a), (_, b)| {
            let ascending = match (a, b) {
                (Some(a), Some(b)) => a.cmp(b),
                (a, b) => a.is_none().cmp(&b.is_none()),
            };
            if sort.descending {
                Ordering::reverse(ascending)
            } else {
                ascending
            }
        });
    }
    let page = found
        .iter()
        .skip(usize::try_from(search.page.offset).unwrap())
        .take(usize::try_from(search.page.limit).unwrap());
    (found.len(), page.map(|(id, _)| id.clone()).collect())
}

/// The ids of all pages, from position to position.
async fn walk(
    world: &World,
    types: &[Arc<TypeSchema>],
    search: &Search,
) -> Result<Vec<String>, TestCaseError> {
    let page = Page {
        offset: 0,
        limit: search.page.limit.clamp(1, 3),
    };
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let plan = plan(
            types,
            search.filter.clone(),
            search.sort.clone(),
            page,
            NOTHING,
        )
        .unwrap()
        .by_position(after);
        let found = world.opened.store.search(world.tenant.id, plan).await;
        let found = found.map_err(|error| TestCaseError::fail(format!("{search:?}: {error:?}")))?;
        ids.extend(found.resources.iter().map(|resource| resource.id.clone()));
        match found.next {
            Some(next) => after = Some(next),
            None => return Ok(ids),
        }
    }
}

async fn check(
    opened: Opened,
    tenant: &str,
    (users, groups, searches): People,
    tried: &Cell<Tried>,
) -> Result<(), TestCaseError> {
    let world = World::in_store(opened, tenant, Arc::default()).await;
    let there = fill(&world, users, &groups).await;
    for search in searches {
        let types: Vec<Arc<TypeSchema>> =
            search.types.iter().map(|name| world.schema(name)).collect();
        let schemas: Vec<&TypeSchema> = types.iter().map(AsRef::as_ref).collect();
        let sort = search
            .sort
            .clone()
            .filter(|sort| check_sort(&schemas, &sort.path).is_ok());
        let search = Search { sort, ..search };
        let mut counts = tried.get();
        counts.all += 1;
        if search
            .filter
            .as_ref()
            .is_some_and(|filter| filter.check(&schemas).is_err())
        {
            counts.refused += 1;
            tried.set(counts);
            continue;
        }
        let text = format!(
            "{:?} {:?} {:?} {:?}",
            search.types,
            search.filter.as_ref().map(ToString::to_string),
            search.sort,
            search.page
        );
        let plan = plan(
            &types,
            search.filter.clone(),
            search.sort.clone(),
            search.page,
            NOTHING,
        )
        .unwrap();
        let found = world.opened.store.search(world.tenant.id, plan).await;
        let found = found.map_err(|error| TestCaseError::fail(format!("{text}: {error:?}")))?;
        let found_ids: Vec<String> = found
            .resources
            .iter()
            .map(|resource| resource.id.clone())
            .collect();
        let (total, ids) = expected(&world, &there, &search).await;
        let of_types = there
            .iter()
            .filter(|(resource_type, _)| search.types.contains(resource_type))
            .count();
        counts.found_some += u32::from(total > 0 && total < of_types);
        tried.set(counts);
        prop_assert_eq!(
            (usize::try_from(found.total_results).unwrap(), found_ids),
            (total, ids),
            "{}",
            text
        );
        let (_, whole) = expected(
            &world,
            &there,
            &Search {
                page: Page {
                    offset: 0,
                    limit: 1_000,
                },
                ..search.clone()
            },
        )
        .await;
        prop_assert_eq!(
            walk(&world, &types, &search).await?,
            whole,
            "by position: {}",
            text
        );
        // What is answered is what is read.
        for resource in found.resources {
            let mut read = world
                .read(&resource.resource_type, &resource.id)
                .await
                .unwrap();
            (read.members, read.groups) = (Vec::new(), Vec::new());
            prop_assert_eq!(resource, read);
        }
    }
    Ok(())
}

fn run(place: impl Future<Output = Place>, cases: u32) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(place);
    let opened = runtime.block_on(place.open());
    let (tenants, tried) = (Cell::new(0), Cell::new(Tried::default()));
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    });
    let outcome = runner.run(&people(), |people| {
        tenants.set(tenants.get() + 1);
        runtime.block_on(check(
            opened.clone(),
            &format!("t{}", tenants.get()),
            people,
            &tried,
        ))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    // Generated searches must be worth their time.
    let Tried {
        all,
        refused,
        found_some,
    } = tried.get();
    assert!(
        refused * 20 < all && found_some * 8 > all,
        "of {all} searches {refused} were refused, {found_some} found some but not all"
    );
}

#[test]
fn sqlite_finds_what_the_filter_says() {
    run(async { Place::sqlite() }, 150);
}

#[test]
fn postgres_finds_what_the_filter_says() {
    run(Place::postgres(), 60);
}
