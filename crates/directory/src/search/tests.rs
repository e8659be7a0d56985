//! A plan selects exactly what the filter selects, tried with generated filters on generated resources; the condition is evaluated here as a store does.

use jiff::Timestamp;
use proptest::prelude::*;
use scim_protocol::filter::{CompareOp, FilterLimits};
use scim_protocol::schema::standard::ENTERPRISE_USER;
use scim_protocol::{SchemaSet, ValidResource};
use serde_json::{Map, Value, json};

use super::*;
use crate::change_set::IndexEntry;
use crate::content::content;
use crate::store::{Related, StoredResource};

fn selects(condition: &Condition, resource: &StoredResource, index: &[IndexEntry]) -> bool {
    let time = |test: &TimeTest, at: Timestamp| {
        let at = at.as_microsecond();
        test.from_micros.is_none_or(|from| from <= at) && test.to_micros.is_none_or(|to| at <= to)
    };
    match condition {
        Condition::All => true,
        Condition::Nothing => false,
        Condition::And(all) => {
            assert!(!all.is_empty());
            all.iter().all(|inner| selects(inner, resource, index))
        }
        Condition::Or(all) => {
            assert!(!all.is_empty());
            all.iter().any(|inner| selects(inner, resource, index))
        }
        Condition::Not(inner) => !selects(inner, resource, index),
        Condition::Probe(probe) => match probe {
            Probe::Id(id) => resource.id == *id,
            Probe::Created(test) => time(test, resource.created),
            Probe::LastModified(test) => time(test, resource.last_modified),
            Probe::Value { path, unique, test } => index.iter().any(|entry| {
                entry.path == *path && entry.unique == *unique && key_passes(test, &entry.key)
            }),
            Probe::HasMember(id) => resource.members.iter().any(|member| member.id == *id),
            Probe::HasMembers => !resource.members.is_empty(),
            Probe::InGroup(id) => resource.groups.iter().any(|group| group.id == *id),
            Probe::InGroups => !resource.groups.is_empty(),
        },
    }
}

fn key_passes(test: &ValueTest, key: &[u8]) -> bool {
    match test {
        ValueTest::Present => true,
        ValueTest::Equal(other) => key == other,
        ValueTest::Range {
            from,
            from_open,
            to,
            to_open,
        } => {
            let above = from
                .as_deref()
                .is_none_or(|from| if *from_open { key > from } else { key >= from });
            let below = to
                .as_deref()
                .is_none_or(|to| if *to_open { key < to } else { key <= to });
            above && below
        }
        ValueTest::Contains(part) => key.windows(part.len()).any(|window| window == part),
        ValueTest::EndsWith(part) => key.ends_with(part),
    }
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "", "a", "A", "ab", "b", "ba", "\u{e9}", "\u{c9}a", "work", "True",
    ])
    .prop_map(str::to_owned)
}

fn optional(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop::option::of(value)
}

fn email() -> impl Strategy<Value = Value> {
    let parts = (
        optional(word().prop_map(Value::from)),
        optional(word().prop_map(Value::from)),
        optional(any::<bool>().prop_map(Value::from)),
    );
    parts.prop_map(|(value, kind, primary)| {
        let members = [("value", value), ("type", kind), ("primary", primary)];
        members
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    })
}

fn related() -> impl Strategy<Value = Vec<Related>> {
    let one = (
        prop::sample::select(vec!["a", "b", "ab"]),
        prop::sample::select(vec!["User", "Group"]),
        word(),
        any::<bool>(),
    );
    let one = one.prop_map(|(id, kind, display, direct)| Related {
        id: id.into(),
        resource_type: kind.into(),
        display,
        direct,
    });
    prop::collection::vec(one, 0..3)
}

fn resource() -> impl Strategy<Value = StoredResource> {
    let text = || optional(word().prop_map(Value::from));
    let user = (
        text(),
        text(),
        text(),
        optional(any::<bool>().prop_map(Value::from)),
        prop::collection::vec(email(), 0..3),
        text(),
        text(),
    );
    let user = user.prop_map(|(user_name, title, external_id, active, emails, family_name, department)| {
        let mut document = Map::new();
        let mut put = |name: &str, value: Option<Value>| value.map(|value| document.insert(name.to_owned(), value));
        put("schemas", Some(json!([ENTERPRISE_USER])));
        put("userName", user_name);
        put("title", title);
        put("externalId", external_id);
        put("active", active);
        put("emails", Some(Value::Array(emails)).filter(|emails| *emails != json!([])));
        put("name", family_name.map(|name| json!({"familyName": name})));
        put(ENTERPRISE_USER, department.map(|department| json!({"department": department, "manager": {"value": department}})));
        document
    });
    let group = (word(), text()).prop_map(|(name, external_id)| {
        let mut document = Map::from_iter([("displayName".to_owned(), Value::from(name))]);
        external_id.map(|id| document.insert("externalId".to_owned(), id));
        document
    });
    let at =
        || (0..3_i64).prop_map(|second| Timestamp::from_second(1_700_000_000 + second).unwrap());
    let both = prop_oneof![
        user.prop_map(|document| ("User", document)),
        group.prop_map(|document| ("Group", document))
    ];
    (
        both,
        prop::sample::select(vec!["a", "b", "ab"]),
        at(),
        at(),
        related(),
        related(),
    )
        .prop_map(
            |((resource_type, document), id, created, last_modified, members, groups)| {
                let is_group = resource_type == "Group";
                StoredResource {
                    resource_type: resource_type.into(),
                    id: id.into(),
                    version: 1,
                    created,
                    last_modified,
                    document: document.into(),
                    members: if is_group { members } else { Vec::new() },
                    groups: if is_group { Vec::new() } else { groups },
                }
            },
        )
}

const PATHS: &[&str] = &[
    "id",
    "externalId",
    "userName",
    "title",
    "displayName",
    "active",
    "nickName",
    "name",
    "name.familyName",
    "name.formatted",
    "emails",
    "emails.value",
    "emails.type",
    "emails.primary",
    "groups",
    "groups.value",
    "groups.type",
    "members",
    "members.value",
    "members.type",
    "meta.created",
    "meta.lastModified",
    "meta.resourceType",
    "meta.version",
    "schemas",
    "password",
    "nothing",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
];

fn literal() -> impl Strategy<Value = Value> {
    prop_oneof![
        5 => word().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!(5)),
        2 => (0..3).prop_map(|second| json!(format!("2023-11-14T22:13:2{second}Z"))),
        1 => prop::sample::select(vec!["User", "group", ENTERPRISE_USER, "direct"]).prop_map(Value::from),
    ]
}

fn op() -> impl Strategy<Value = CompareOp> {
    use CompareOp::{Co, Eq, Ew, Ge, Gt, Le, Lt, Ne, Sw};
    prop::sample::select(vec![Eq, Ne, Co, Sw, Ew, Gt, Ge, Lt, Le])
}

fn combined(leaf: impl Strategy<Value = Filter> + 'static) -> impl Strategy<Value = Filter> {
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::Or),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

fn leaf(paths: &'static [&'static str]) -> impl Strategy<Value = Filter> {
    let path =
        move || prop::sample::select(paths).prop_map(|path| AttributePath::parse(path).unwrap());
    prop_oneof![
        5 => (path(), op(), literal()).prop_map(|(path, op, value)| Filter::Compare { path, op, value }),
        1 => path().prop_map(Filter::Present),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let holders = prop::sample::select(vec![
        "emails", "members", "groups", "name", "schemas", "meta",
    ]);
    let inner = combined(leaf(&[
        "value",
        "type",
        "primary",
        "familyName",
        "created",
        "nothing",
    ]));
    let value_path = (holders, inner).prop_map(|(path, filter)| Filter::ValuePath {
        path: AttributePath::parse(path).unwrap(),
        filter: Box::new(filter),
    });
    combined(prop_oneof![4 => leaf(PATHS), 1 => value_path])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_condition_selects_what_its_filter_selects(filter in filter(), resource in resource()) {
        let set = SchemaSet::standard();
        let schema = set.by_name(&resource.resource_type).unwrap();
        let index = content(schema, ValidResource::trusted(resource.document.clone().into_tree())).index;
        let selection = condition::of_filter(schema, &filter);
        let selected = selects(&selection.condition, &resource, &index);
        let matches = filter.matches(schema, &resource.into_document());
        prop_assert!(selected || !matches, "{filter} misses by {:?}", selection.condition);
        prop_assert!(!selection.exact || selected == matches, "{filter} is not exactly {:?}", selection.condition);
    }
}

fn planned(text: &str, type_names: &[&str]) -> Result<SearchPlan, Error> {
    let set = SchemaSet::standard();
    let types: Vec<_> = type_names
        .iter()
        .map(|name| set.by_name(name).unwrap().clone())
        .collect();
    plan(
        &types,
        Some(Filter::parse(text, FilterLimits::default())?),
        None,
        Page {
            offset: 0,
            limit: 10,
        },
        Include::default(),
    )
}

#[test]
fn common_filters_need_no_residual() {
    for text in [
        r#"userName eq "a""#,
        r#"userName sw "a" and active eq true"#,
        r#"not (externalId eq "a") or title pr"#,
        r#"emails[value eq "a"]"#,
        r#"id eq "a" or meta.lastModified gt "2020-01-01T00:00:00Z""#,
        r#"groups.value eq "a""#,
    ] {
        assert_eq!(planned(text, &["User"]).unwrap().residual, None, "{text}");
    }
    let plan = planned(
        r#"displayName eq "a" and members[value eq "b"]"#,
        &["Group"],
    )
    .unwrap();
    assert_eq!(
        (plan.residual, plan.residual_needs),
        (None, Include::default())
    );
}

#[test]
fn inexact_filters_keep_what_an_index_can_say() {
    let plan = planned(
        r#"emails[type eq "work" and value eq "a"] and members.type eq "User""#,
        &["User", "Group"],
    )
    .unwrap();
    let probe = Probe::Value {
        path: "emails.value".into(),
        unique: false,
        test: ValueTest::Equal(b"a".to_vec()),
    };
    assert_eq!(plan.conditions, [Condition::Nothing, Condition::Nothing]);
    let plan_of_users = planned(r#"emails[type eq "work" and value eq "a"]"#, &["User"]).unwrap();
    assert_eq!(plan_of_users.conditions, [Condition::Probe(probe)]);
    assert!(plan_of_users.residual.is_some());
    let plan = planned(r#"members.type eq "User""#, &["Group"]).unwrap();
    assert_eq!(plan.conditions, [Condition::Probe(Probe::HasMembers)]);
    assert_eq!(
        plan.residual_needs,
        Include {
            members: true,
            groups: false
        }
    );
}

#[test]
fn refusals() {
    for text in ["pet eq \"a\"", "password eq \"a\"", "active gt true"] {
        assert!(planned(text, &["User"]).is_err(), "{text}");
    }
}

#[test]
fn one_at_most() {
    let check = |text: &str, include: Include, expected: bool| {
        let plan = SearchPlan {
            include,
            ..planned(text, &["User"]).unwrap()
        };
        assert_eq!(plan.finds_one_at_most(), expected, "{text}");
    };
    let groups = Include {
        members: false,
        groups: true,
    };
    check("userName eq \"Ann\"", groups, true);
    check("id eq \"1\"", groups, true);
    check(
        "userName eq \"ann\"",
        Include {
            members: true,
            groups: false,
        },
        false,
    );
    for many in [
        "active eq true",
        "userName sw \"ann\"",
        "userName ne \"ann\"",
        "userName eq \"ann\" or userName eq \"bob\"",
        "emails pr",
    ] {
        check(many, groups, false);
    }
    assert!(
        !planned("id eq \"1\"", &["User", "Group"])
            .unwrap()
            .finds_one_at_most()
    );
    let sorted = SearchPlan {
        residual_needs: Include {
            members: true,
            groups: false,
        },
        ..planned("id eq \"1\"", &["Group"]).unwrap()
    };
    assert!(!sorted.finds_one_at_most());
}
