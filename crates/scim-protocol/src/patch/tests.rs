//! Laws of PATCH, tried with generated operations on generated users: plain attributes, value paths, and attributes of an extension.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::apply::{apply, apply_noting};
use super::difference::difference;
use super::work::{WORK_STEPS_MAX, Work};
use super::{Operation, PATCH_SCHEMA, parse};
use crate::error::{Error, ErrorKind};
use crate::quirk::{Adaptations, QuirkSet};
use crate::resource::ValidResource;
use crate::schema::optional;
use crate::schema::set::{SchemaSet, TypeSchema};
use crate::schema::standard::{ENTERPRISE_USER, USER};
use crate::validate::validate;

static SCHEMAS: LazyLock<SchemaSet> = LazyLock::new(SchemaSet::standard);

fn schema() -> &'static TypeSchema {
    SCHEMAS.by_name("User").unwrap()
}

fn parsed(operations: &[Value], quirks: &QuirkSet) -> Vec<Operation> {
    parse(
        schema(),
        json!({"schemas": [PATCH_SCHEMA], "Operations": operations}),
        quirks,
    )
    .unwrap()
}

fn patched(
    before: &ValidResource,
    operations: &[Value],
    quirks: &QuirkSet,
) -> Result<ValidResource, Error> {
    apply(schema(), before, &parsed(operations, quirks), quirks)
}

fn any_quirks() -> impl Strategy<Value = QuirkSet> {
    any::<bool>().prop_map(|strict| {
        if strict {
            QuirkSet::strict()
        } else {
            QuirkSet::standard()
        }
    })
}

fn any_text() -> impl Strategy<Value = Value> {
    select(vec![json!("a"), json!("b"), json!("c")])
}

/// An object with these keys where there is a value.
fn object<const N: usize>(pairs: [(&str, Option<Value>); N]) -> Value {
    pairs
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect::<Map<_, _>>()
        .into()
}

/// Few values, so that they meet; some without `value`.
fn any_email() -> impl Strategy<Value = Value> {
    let value = option::weighted(
        0.8,
        select(vec!["a@x", "b@x"]).prop_map(|value| json!(value)),
    );
    let kind = option::of(select(vec!["work", "home"]).prop_map(|kind| json!(kind)));
    (value, kind, option::of(any_text())).prop_map(|(value, kind, display)| {
        let value = value.or_else(|| (kind.is_none() && display.is_none()).then(|| json!("c@x")));
        object([("value", value), ("type", kind), ("display", display)])
    })
}

/// At most one of them primary.
fn any_emails() -> impl Strategy<Value = Vec<Value>> {
    (vec(any_email(), 1..4), option::of(0..3usize)).prop_map(|(mut emails, primary)| {
        if let Some(email) = primary.and_then(|place| emails.get_mut(place)) {
            email["primary"] = json!(true);
        }
        emails
    })
}

/// No pair of `value` and `type` twice (RFC 7643 section 2.4): a client that adds one twice means one, and that shows only once one of them is there.
fn distinct_emails() -> impl Strategy<Value = Value> {
    any_emails().prop_map(|emails| {
        let mut kept: Vec<Value> = Vec::new();
        for email in emails {
            let is_there =
                |one: &Value| one["value"] == email["value"] && one["type"] == email["type"];
            if email.get("value").is_none() || !kept.iter().any(is_there) {
                kept.push(email);
            }
        }
        Value::Array(kept)
    })
}

fn any_name() -> impl Strategy<Value = Value> {
    (any_text(), option::of(any_text()))
        .prop_map(|(given, family)| object([("givenName", Some(given)), ("familyName", family)]))
}

fn any_extension() -> impl Strategy<Value = Value> {
    (any_text(), option::of(any_text())).prop_map(|(department, manager)| {
        object([
            ("department", Some(department)),
            ("manager", manager.map(|manager| json!({"value": manager}))),
        ])
    })
}

prop_compose! {
    fn any_user()(
        title in option::of(any_text()),
        active in option::of(any::<bool>()),
        name in option::of(any_name()),
        emails in option::of(any_emails()),
        extension in option::of(any_extension()),
    ) -> ValidResource {
        let active = active.map(Value::Bool);
        let emails = emails.map(Value::Array);
        let mut body = object([("title", title), ("active", active), ("name", name), ("emails", emails), (ENTERPRISE_USER, extension)]);
        body["schemas"] = json!([USER, ENTERPRISE_USER]);
        body["userName"] = json!("ann");
        validate(schema(), body, None, &QuirkSet::strict()).unwrap().resource
    }
}

fn any_op() -> impl Strategy<Value = &'static str> {
    select(vec!["add", "replace"])
}

/// `add` or `replace` at a path.
fn at(
    path: impl Strategy<Value = String>,
    value: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Value> {
    (any_op(), path, value)
        .prop_map(|(op, path, value)| json!({"op": op, "path": path, "value": value}))
}

fn path_of(text: &str) -> Just<String> {
    Just(text.to_owned())
}

/// Without a path.
fn merged(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    (any_op(), value).prop_map(|(op, value)| json!({"op": op, "value": value}))
}

fn any_filter() -> impl Strategy<Value = &'static str> {
    select(vec!["type eq \"work\"", "type eq \"home\""])
}

/// What is set by it is not what its filter looks at.
fn on_emails() -> impl Strategy<Value = Value> {
    let element = (
        any_op(),
        select(vec!["work", "home"]),
        any_email(),
        option::of(any::<bool>()),
    )
        .prop_map(|(op, kind, email, primary)| {
            let mut email = email;
            email["type"] = json!(kind);
            if let Some(primary) = primary {
                email["primary"] = json!(primary);
            }
            json!({"op": op, "path": format!("emails[type eq \"{kind}\"]"), "value": email})
        });
    prop_oneof![
        at(path_of("emails"), distinct_emails()),
        at(path_of("emails"), any_email()),
        at(path_of("emails.display"), any_text()),
        at(
            any_filter().prop_map(|filter| format!("emails[{filter}].value")),
            select(vec![json!("a@x"), json!("b@x")])
        ),
        at(
            any_filter().prop_map(|filter| format!("emails[{filter}].display")),
            any_text()
        ),
        at(
            any_filter().prop_map(|filter| format!("emails[{filter}].primary")),
            any::<bool>().prop_map(Value::Bool)
        ),
        element,
        merged(distinct_emails().prop_map(|emails| json!({"emails": emails}))),
    ]
}

fn on_name() -> impl Strategy<Value = Value> {
    prop_oneof![
        at(path_of("name"), any_name()),
        at(path_of("name.givenName"), any_text()),
        merged(any_name().prop_map(|name| json!({"name": name}))),
    ]
}

fn on_extension() -> impl Strategy<Value = Value> {
    prop_oneof![
        at(path_of(ENTERPRISE_USER), any_extension()),
        at(
            path_of(&format!("{ENTERPRISE_USER}:department")),
            any_text()
        ),
        at(
            path_of(&format!("{ENTERPRISE_USER}:manager.value")),
            any_text()
        ),
        at(
            path_of(&format!("{ENTERPRISE_USER}:manager")),
            any_text().prop_map(|id| json!({"value": id}))
        ),
        merged(any_extension().prop_map(|extension| json!({ENTERPRISE_USER: extension}))),
    ]
}

fn on_title() -> impl Strategy<Value = Value> {
    prop_oneof![
        at(path_of("title"), any_text()),
        Just(json!({"op": "replace", "path": "title", "value": null}))
    ]
}

/// `add` and `replace` in any order, each on an attribute of its own.
fn apart() -> impl Strategy<Value = Vec<Value>> {
    let active = at(path_of("active"), any::<bool>().prop_map(Value::Bool));
    let slots = (
        option::of(on_title()),
        option::of(active),
        option::of(on_name()),
        option::weighted(0.8, on_emails()),
        option::of(on_extension()),
    );
    let list = slots.prop_map(|(title, active, name, emails, extension)| {
        [title, active, name, emails, extension]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    });
    list.prop_filter("none", |list| !list.is_empty())
        .prop_shuffle()
}

/// Anything that a client may say, also one on top of the other.
fn anything() -> impl Strategy<Value = Vec<Value>> {
    let removed = select(vec![
        "title".to_owned(),
        "name".to_owned(),
        "name.familyName".to_owned(),
        "emails".to_owned(),
        "emails.type".to_owned(),
        "emails.value".to_owned(),
        "emails[type eq \"work\"]".to_owned(),
        "emails[value eq \"a@x\"].type".to_owned(),
        "emails[not (primary eq true)].value".to_owned(),
        ENTERPRISE_USER.to_owned(),
        format!("{ENTERPRISE_USER}:department"),
        format!("{ENTERPRISE_USER}:manager"),
    ]);
    let operation = prop_oneof![
        1 => on_title(),
        1 => on_name(),
        2 => on_extension(),
        4 => on_emails(),
        1 => at(path_of("emails"), any_emails().prop_map(Value::Array)),
        1 => at(path_of("emails.type"), select(vec![json!("work"), json!("home")])),
        1 => at(path_of("emails.value"), select(vec![json!("a@x"), json!("b@x")])),
        1 => at(path_of("emails[value eq \"a@x\"].value"), Just(json!("b@x"))),
        1 => at(path_of("emails[display eq \"a\"].type"), Just(json!("home"))),
        4 => removed.prop_map(|path| json!({"op": "remove", "path": path})),
    ];
    vec(operation, 1..5)
}

/// Operations that are refused for every resource, and the kind of the refusal.
fn refused() -> impl Strategy<Value = (Value, ErrorKind)> {
    let two = json!([{"value": "a@x", "primary": true}, {"value": "b@x", "primary": true}]);
    select(vec![
        (
            json!({"op": "replace", "path": "id", "value": "x"}),
            ErrorKind::Mutability,
        ),
        (
            json!({"op": "remove", "path": "userName"}),
            ErrorKind::Mutability,
        ),
        (
            json!({"op": "remove", "path": "schemas"}),
            ErrorKind::Mutability,
        ),
        (
            json!({"op": "replace", "path": "userName", "value": null}),
            ErrorKind::Mutability,
        ),
        (
            json!({"op": "add", "path": "active", "value": "often"}),
            ErrorKind::InvalidValue,
        ),
        (
            json!({"op": "add", "path": "emails", "value": two}),
            ErrorKind::InvalidValue,
        ),
        (
            json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": 7}),
            ErrorKind::InvalidValue,
        ),
        (
            json!({"op": "replace", "path": "emails[type eq \"fax\"]", "value": {"value": "a@x"}}),
            ErrorKind::NoTarget,
        ),
        (
            json!({"op": "replace", "path": format!("{ENTERPRISE_USER}:department"), "value": 7}),
            ErrorKind::InvalidValue,
        ),
        (
            json!({"op": "add", "path": ENTERPRISE_USER, "value": 7}),
            ErrorKind::InvalidValue,
        ),
        (
            json!({"op": "add", "value": {"name": "Ann"}}),
            ErrorKind::InvalidValue,
        ),
    ])
}

proptest! {
    #[test]
    fn the_same_twice_is_the_same_as_once(before in any_user(), operations in apart(), quirks in any_quirks()) {
        let once = patched(&before, &operations, &quirks);
        prop_assume!(once.is_ok());
        let once = once.unwrap();
        let twice = patched(&once, &operations, &quirks);
        prop_assert_eq!(twice.as_ref(), Ok(&once), "{:?}", operations);
    }

    #[test]
    fn one_that_is_refused_takes_all_with_it(
        before in any_user(), operations in apart(), (wrong, kind) in refused(), place in any::<proptest::sample::Index>(), quirks in any_quirks(),
    ) {
        let is_known = patched(&before, &operations, &quirks).is_ok();
        prop_assume!(is_known);
        let mut all = operations.clone();
        all.insert(place.index(operations.len() + 1), wrong);
        let kept = before.clone();
        prop_assert_eq!(patched(&before, &all, &quirks).map_err(|error| error.kind()), Err(kind), "{:?}", all);
        prop_assert_eq!(&before, &kept);
        // Nothing of it has been kept elsewhere either.
        prop_assert_eq!(patched(&before, &operations, &quirks), patched(&kept, &operations, &quirks));
    }

    #[test]
    fn what_is_valid_stays_valid(before in any_user(), operations in anything(), quirks in any_quirks()) {
        let after = patched(&before, &operations, &quirks);
        prop_assume!(after.is_ok());
        let after = after.unwrap();
        for current in [None, Some(&before)] {
            let again = validate(schema(), Value::Object(after.document().clone()), current, &quirks).map(|validated| validated.resource);
            prop_assert_eq!(again.as_ref(), Ok(&after), "{:?}", operations);
        }
        let shortest = difference(schema(), &before, &after);
        let again = apply(schema(), &before, &shortest, &quirks);
        prop_assert!(again.as_ref().is_ok_and(|again| again.is_same(&after)), "{:?}: {:?}, not {:?}", operations, again, after);
    }

    #[test]
    fn one_message_is_like_one_operation_after_the_other(before in any_user(), operations in anything(), quirks in any_quirks()) {
        let one_by_one = operations.iter().try_fold(before.clone(), |held, operation| patched(&held, std::slice::from_ref(operation), &quirks));
        prop_assume!(one_by_one.is_ok());
        prop_assert_eq!(patched(&before, &operations, &quirks), one_by_one, "{:?}", operations);
    }
}

fn user(beside: Value) -> ValidResource {
    let mut body = json!({"schemas": [USER], "userName": "ann"});
    body.as_object_mut()
        .unwrap()
        .extend(beside.as_object().unwrap().clone());
    validate(schema(), body, None, &QuirkSet::strict())
        .unwrap()
        .resource
}

#[test]
fn what_has_become_the_same_is_there_once() {
    let check = |held: Value, operation: Value, expected: Value| {
        let after = patched(
            &user(json!({"emails": held})),
            std::slice::from_ref(&operation),
            &QuirkSet::strict(),
        )
        .unwrap();
        assert_eq!(after.get("emails"), Some(&expected), "{operation}");
    };
    let two = json!([{"value": "a@x", "type": "work"}, {"value": "a@x", "type": "home"}]);
    check(
        two.clone(),
        json!({"op": "replace", "path": "emails.type", "value": "work"}),
        json!([{"value": "a@x", "type": "work"}]),
    );
    check(
        two.clone(),
        json!({"op": "remove", "path": "emails.type"}),
        json!([{"value": "a@x"}]),
    );
    let path = "emails[type eq \"home\"].type";
    check(
        two.clone(),
        json!({"op": "replace", "path": path, "value": "work"}),
        json!([{"value": "a@x", "type": "work"}]),
    );
    let named = json!([{"value": "a@x", "display": "A"}, {"value": "a@x", "display": "B"}]);
    check(
        named,
        json!({"op": "add", "path": "emails", "value": [{"value": "a@x", "display": "B"}]}),
        json!([{"value": "a@x", "display": "B"}]),
    );
}

#[test]
fn what_was_emptied_is_absent_for_the_next_operation() {
    let held = user(json!({"emails": [{"value": "a@x"}, {"value": "b@x"}]}));
    let operations = [
        json!({"op": "remove", "path": "emails.value"}),
        json!({"op": "add", "path": "emails.value", "value": "c@x"}),
    ];
    assert_eq!(
        patched(&held, &operations, &QuirkSet::strict()),
        Ok(user(json!({"emails": [{"value": "c@x"}]})))
    );
}

#[test]
fn patch_does_not_get_past_the_most_values() {
    let many = |range: std::ops::Range<usize>| {
        range
            .map(|number| json!({"value": format!("{number}@x")}))
            .collect::<Vec<_>>()
    };
    let full = user(json!({"emails": many(0..1_000)}));
    let add = |value: Value| json!({"op": "add", "path": "emails", "value": value});
    for operations in [
        vec![add(json!(many(1_000..1_001)))],
        vec![add(
            json!([{"value": "0@x", "type": "work"}, {"value": "new@x"}]),
        )],
    ] {
        let error = patched(&full, &operations, &QuirkSet::strict()).unwrap_err();
        assert_eq!(
            (error.kind(), error.path()),
            (ErrorKind::InvalidValue, Some("emails"))
        );
    }
    // One out, one in.
    let out = json!({"op": "remove", "path": "emails[value eq \"7@x\"]"});
    let after = patched(
        &full,
        &[out, add(json!({"value": "new@x"}))],
        &QuirkSet::strict(),
    )
    .unwrap();
    assert_eq!(
        after.get("emails").and_then(Value::as_array).map(Vec::len),
        Some(1_000)
    );
}

/// The body of 0.46 MB that once took 74 seconds.
#[test]
fn the_steps_of_a_patch_are_counted_and_bounded() {
    let emails: Vec<Value> = (0..1_000)
        .map(|number| json!({"value": format!("{number}@x"), "type": "other"}))
        .collect();
    let full = user(json!({ "emails": emails }));
    let decided = |count: usize, operation: &dyn Fn(usize) -> Value| {
        let operations: Vec<Value> = (0..count).map(operation).collect();
        let quirks = QuirkSet::standard();
        let mut work = Work::default();
        let outcome = apply_noting(
            schema(),
            &full,
            &parsed(&operations, &quirks),
            &quirks,
            &mut work,
            &mut Adaptations::default(),
        );
        (outcome, work.steps())
    };
    let named = |number: usize| json!({"op": "replace", "path": format!("emails[value eq \"{}@x\"].display", number % 1_000), "value": "D"});
    let (outcome, steps) = decided(6_000, &named);
    let error = outcome.unwrap_err();
    assert_eq!(
        (error.kind(), error.path()),
        (ErrorKind::TooMany, Some("Operations"))
    );
    assert!(
        error.detail().contains(&WORK_STEPS_MAX.to_string())
            && error.detail().contains("fewer operations"),
        "{error}"
    );
    // It ends with the operation that passes the limit.
    assert!(
        steps > WORK_STEPS_MAX && steps < WORK_STEPS_MAX + 2_000,
        "{steps}"
    );
    let (outcome, steps) = decided(1_000, &named);
    let displays = |patched: &ValidResource| {
        patched
            .get("emails")
            .unwrap()
            .as_array()
            .unwrap()
            .iter()
            .filter(|email| email["display"] == "D")
            .count()
    };
    assert_eq!(displays(&outcome.unwrap()), 1_000);
    assert!((1_000_000..1_100_000).contains(&steps), "{steps}");
    // Every form counts what it looks at.
    let all_at_once = json!({"op": "remove", "path": "emails", "value": (0..900).map(|number| json!({"value": format!("{number}@x"), "type": "other"})).collect::<Vec<_>>()});
    for (operation, least) in [
        (
            json!({"op": "replace", "path": "emails.display", "value": "D"}),
            1_000,
        ),
        (
            json!({"op": "replace", "path": "emails.display", "value": "D".repeat(2_560)}),
            11_000,
        ),
        (
            json!({"op": "replace", "path": "emails[type eq \"a\" or not (type eq \"other\")].display", "value": null}),
            2_000,
        ),
        (
            json!({"op": "add", "path": "emails", "value": [{"value": "0@x", "type": "other"}, {"value": "1@x", "type": "other"}]}),
            2_000,
        ),
        (all_at_once, 1_800_000),
        (json!({"op": "replace", "path": "title", "value": "T"}), 1),
    ] {
        let (outcome, steps) = decided(1, &|_| operation.clone());
        assert!(
            outcome.is_ok() && steps >= least && steps <= least + least / 10 + 2,
            "{operation}: {steps}"
        );
    }
}

/// A sub-attribute may be multi-valued as well (RFC 7643 section 2.3.8 only forbids complex ones).
#[test]
fn sub_attributes_may_have_several_values() {
    let application = optional::type_named("AgenticApplication").unwrap();
    let set = SchemaSet::new(
        vec![application.resource_type.clone()],
        application.schemas.clone(),
    )
    .unwrap();
    let schema = set.by_name("AgenticApplication").unwrap();
    let before = |uris: Value| {
        let body = json!({"schemas": [optional::AGENTIC_APPLICATION], "name": "a", "oAuthConfiguration": [{"clientId": "c", "redirectUri": uris}]});
        validate(schema, body, None, &QuirkSet::strict())
            .unwrap()
            .resource
    };
    let run = |held: Value, op: &str, path: &str, value: Value| {
        let message = json!({"schemas": [PATCH_SCHEMA], "Operations": [{"op": op, "path": path, "value": value}]});
        apply(
            schema,
            &before(held),
            &parse(schema, message, &QuirkSet::strict()).unwrap(),
            &QuirkSet::strict(),
        )
    };
    let (all, one) = (
        "oAuthConfiguration.redirectUri",
        "oAuthConfiguration[clientId eq \"c\"].redirectUri",
    );
    for path in [all, one] {
        for (op, value, expected) in [
            ("add", json!(["u:1", "u:2"]), json!(["u:1", "u:2"])),
            ("add", json!("u:2"), json!(["u:1", "u:2"])),
            ("replace", json!(["u:2", "u:3"]), json!(["u:2", "u:3"])),
            ("replace", json!("u:2"), json!(["u:2"])),
        ] {
            let after = run(json!(["u:1"]), op, path, value.clone()).unwrap();
            assert_eq!(after, before(expected), "{op} {path} {value}");
        }
        assert_eq!(
            run(json!(["u:1"]), "add", path, json!([7]))
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidValue
        );
        for (value, expected) in [
            (json!(["u:1"]), json!(["u:2"])),
            (json!("u:2"), json!(["u:1"])),
            (json!(["u:1", "u:2", "u:3"]), Value::Null),
            (json!([]), json!(["u:1", "u:2"])),
            (Value::Null, Value::Null),
        ] {
            let message = json!({"schemas": [PATCH_SCHEMA], "Operations": [{"op": "remove", "path": path, "value": value}]});
            let operations = parse(schema, message, &QuirkSet::standard()).unwrap();
            let after = apply(
                schema,
                &before(json!(["u:1", "u:2"])),
                &operations,
                &QuirkSet::standard(),
            );
            assert_eq!(after, Ok(before(expected)), "{path} {value}");
        }
        let full: Vec<String> = (0..1_000).map(|number| format!("u:{number}")).collect();
        let error = run(json!(full), "add", path, json!("u:new")).unwrap_err();
        assert_eq!(
            (error.kind(), error.path()),
            (ErrorKind::InvalidValue, Some(all))
        );
    }
}
