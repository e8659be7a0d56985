//! Every quirk's example, and the bodies of the wire cases, run.

use serde_json::{Map, Value, json};

use super::*;
use crate::error::{Error, ErrorKind};
use crate::filter::FilterLimits;
use crate::messages::{BulkRequest, SearchRequest};
use crate::patch::{self, PATCH_SCHEMA, apply::apply, member};
use crate::projection::Projection;
use crate::resource::ValidResource;
use crate::schema::set::SchemaSet;
use crate::schema::standard::{ENTERPRISE_USER, GROUP, USER};
use crate::validate::validate;
use crate::{AttributePath, Filter};

/// The outcome of a request, and the quirks that acted.
fn create(type_name: &str, mut body: Value, set: &QuirkSet) -> (Result<Value, Error>, Vec<Quirk>) {
    let schemas = SchemaSet::standard();
    let schema = schemas.by_name(type_name).unwrap();
    let acted = normalize_resource(set, schema, &mut body).quirks();
    let outcome = validate(schema, body, None, set).map(|validated| {
        let mut document = validated.resource.into_document();
        document.extend(
            validated
                .members
                .map(|members| ("members".to_owned(), json!(members))),
        );
        Value::Object(document)
    });
    (outcome, acted)
}

/// Members `a` and `b` are there before.
fn change(
    type_name: &str,
    held: Value,
    mut body: Value,
    set: &QuirkSet,
) -> (Result<Value, Error>, Vec<Quirk>) {
    let schemas = SchemaSet::standard();
    let schema = schemas.by_name(type_name).unwrap();
    let Value::Object(held) = held else {
        panic!("a resource is an object")
    };
    let acted = normalize_patch(set, schema, &mut body).quirks();
    let outcome = patch::parse(schema, body, set)
        .and_then(|operations| member::split(schema, operations))
        .and_then(|split| {
            let mut document =
                apply(schema, &ValidResource::trusted(held), &split.others, set)?.into_document();
            if type_name == "Group" {
                let current = [json!({"value": "a"}), json!({"value": "b"})];
                let delta = member::fold(
                    schema,
                    &split.members,
                    &current,
                    &mut patch::work::Work::default(),
                )?;
                let mut members: Vec<String> = if delta.replace {
                    Vec::new()
                } else {
                    vec!["a".into(), "b".into()]
                };
                members.retain(|id| !delta.removed.contains(id) && !delta.added.contains(id));
                members.extend(delta.added);
                document.insert("members".into(), json!(members));
            }
            Ok(Value::Object(document))
        });
    (outcome, acted)
}

fn ann() -> Value {
    json!({"schemas": [USER], "userName": "ann", "active": true})
}

fn team() -> Value {
    json!({"schemas": [GROUP], "displayName": "team"})
}

fn with(base: Value, extra: Value) -> Value {
    let (Value::Object(mut base), Value::Object(extra)) = (base, extra) else {
        panic!("two objects")
    };
    base.extend(extra);
    Value::Object(base)
}

fn run(message: Message, body: Value, set: &QuirkSet) -> (Result<Value, Error>, Vec<Quirk>) {
    match message {
        Message::User => create("User", body, set),
        Message::UserPatch => change("User", ann(), body, set),
        Message::GroupPatch => change("Group", team(), body, set),
        Message::Query => {
            let Value::Object(body) = body else {
                panic!("an object of parameters")
            };
            let mut pairs = body
                .into_iter()
                .map(|(name, value)| (name, value.as_str().unwrap().to_owned()))
                .collect();
            let acted = normalize_query(set, &mut pairs).quirks();
            let request = SearchRequest::from_query(
                pairs
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str())),
            );
            let projected = request
                .and_then(|request| Projection::new(&request.attributes, &[]).map(|_| request));
            (
                projected.map(|request| json!(format!("{request:?}"))),
                acted,
            )
        }
        Message::Bulk => {
            let mut body = body;
            let acted = normalize_bulk(set, &mut body).quirks();
            (
                BulkRequest::from_body(body).map(|request| json!(format!("{request:?}"))),
                acted,
            )
        }
    }
}

#[test]
fn every_example_does_what_the_rfc_would_have_had() {
    for quirk in Quirk::ALL {
        let Example {
            message,
            before,
            after,
        } = quirk.example();
        let name = quirk.name();
        let wanted = run(message, after, &QuirkSet::strict());
        assert_eq!(
            (wanted.0.is_ok(), wanted.1.as_slice()),
            (true, [].as_slice()),
            "{name}: {:?}",
            wanted.0
        );
        // EmptyOperations and the like must not lean on other quirks.
        let (alone, acted) = run(message, before.clone(), &QuirkSet::of(&[quirk]));
        assert_eq!(alone, wanted.0, "{name}");
        if quirk != Quirk::ElementFromFilter {
            assert_eq!(acted, [quirk], "{name}");
        }
        assert_eq!(
            run(message, before.clone(), &QuirkSet::standard()).0,
            wanted.0,
            "{name}"
        );
        let (refused, acted) = run(message, before, &QuirkSet::strict());
        assert!(
            refused.is_err() && acted.is_empty(),
            "{name} is not refused by the RFC to the letter"
        );
    }
}

#[test]
fn strict_rewrites_nothing() {
    let schemas = SchemaSet::standard();
    for quirk in Quirk::ALL {
        let Example {
            message, before, ..
        } = quirk.example();
        let schema = schemas
            .by_name(if message == Message::GroupPatch {
                "Group"
            } else {
                "User"
            })
            .unwrap();
        let mut body = before.clone();
        let acted = match message {
            Message::Query => continue,
            Message::Bulk => normalize_bulk(&QuirkSet::strict(), &mut body),
            Message::User => normalize_resource(&QuirkSet::strict(), schema, &mut body),
            Message::UserPatch | Message::GroupPatch => {
                normalize_patch(&QuirkSet::strict(), schema, &mut body)
            }
        };
        assert_eq!(
            (acted.into_vec(), body),
            (Vec::new(), before),
            "{}",
            quirk.name()
        );
    }
}

#[test]
fn names_lead_back() {
    for quirk in Quirk::ALL {
        assert_eq!(Quirk::by_name(quirk.name()), Some(quirk));
        assert!(quirk.description().ends_with('.') && !quirk.source().is_empty());
        assert!(
            quirk
                .name()
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '-')
        );
    }
    assert!(
        QuirkSet::standard().iter().eq(Quirk::ALL) && QuirkSet::strict().iter().next().is_none()
    );
}

/// A User made of `extra` keeps `kept`, beside `userName`.
fn user_becomes(extra: Value, kept: Value, quirks: &[Quirk]) {
    let (made, acted) = create(
        "User",
        with(
            json!({"schemas": [USER, ENTERPRISE_USER], "userName": "ann"}),
            extra.clone(),
        ),
        &QuirkSet::standard(),
    );
    let mut made: Map<String, Value> = serde_json::from_value(made.unwrap()).unwrap();
    made.retain(|name, _| name != "schemas" && name != "userName");
    assert_eq!(
        (Value::Object(made), acted.as_slice()),
        (kept, quirks),
        "{extra}"
    );
}

#[test]
fn bodies_of_users() {
    use Quirk::{
        BooleanString, IgnoreUnknown, PathKeys, ReferenceAsString, SingleAsArray, StringifiedJson,
        WrappedSingleValue,
    };
    user_becomes(
        json!({"active": "True", "nickName": "True"}),
        json!({"active": true, "nickName": "True"}),
        &[BooleanString],
    );
    user_becomes(
        json!({"emails": [{"value": "a@x", "primary": "true"}]}),
        json!({"emails": [{"value": "a@x", "primary": true}]}),
        &[BooleanString],
    );
    user_becomes(
        json!({"active": ["False"]}),
        json!({"active": false}),
        &[WrappedSingleValue, BooleanString],
    );
    user_becomes(
        json!({"name.givenName": "A", "NAME.familyName": "B"}),
        json!({"name": {"givenName": "A", "familyName": "B"}}),
        &[PathKeys],
    );
    user_becomes(
        json!({"Name": {"givenName": "A"}, "name.familyName": "B"}),
        json!({"name": {"givenName": "A", "familyName": "B"}}),
        &[PathKeys],
    );
    user_becomes(
        json!({format!("{ENTERPRISE_USER}:department"): "D", format!("{ENTERPRISE_USER}:manager.value"): "7"}),
        json!({ENTERPRISE_USER: {"department": "D", "manager": {"value": "7"}}}),
        &[PathKeys],
    );
    user_becomes(
        json!({ENTERPRISE_USER: {"manager": "7"}, format!("{ENTERPRISE_USER}:department"): "D"}),
        json!({ENTERPRISE_USER: {"manager": {"value": "7"}, "department": "D"}}),
        &[ReferenceAsString, PathKeys],
    );
    user_becomes(
        json!({format!("{USER}:title"): "T", USER: {"nickName": "N"}}),
        json!({"nickName": "N", "title": "T"}),
        &[PathKeys],
    );
    user_becomes(
        json!({"emails[type eq \"work\"].value": "a@x", "emails[type eq \"work\" and primary eq \"True\"].display": "A"}),
        json!({"emails": [{"type": "work", "value": "a@x"}, {"type": "work", "primary": true, "display": "A"}]}),
        &[PathKeys],
    );
    user_becomes(
        json!({"emails": [{"value": "h@x", "type": "home"}], "emails[type eq \"work\"].value": "a@x", "emails[type eq \"work\"].primary": "True"}),
        json!({"emails": [{"value": "h@x", "type": "home"}, {"type": "work", "value": "a@x", "primary": true}]}),
        &[PathKeys, BooleanString],
    );
    user_becomes(
        json!({"emails": "[{\"value\":\"a@x\",\"primary\":\"True\"}]"}),
        json!({"emails": [{"value": "a@x", "primary": true}]}),
        &[StringifiedJson, BooleanString],
    );
    user_becomes(
        json!({"emails": ["{\"value\":\"a@x\"}"]}),
        json!({"emails": [{"value": "a@x"}]}),
        &[StringifiedJson],
    );
    user_becomes(
        json!({"name": "{\"givenName\":\"A\"}", "title": "[1]"}),
        json!({"name": {"givenName": "A"}, "title": "[1]"}),
        &[StringifiedJson],
    );
    user_becomes(
        json!({"emails": "a@x"}),
        json!({"emails": [{"value": "a@x"}]}),
        &[SingleAsArray, ReferenceAsString],
    );
    user_becomes(
        json!({"name": [{"givenName": "A"}]}),
        json!({"name": {"givenName": "A"}}),
        &[WrappedSingleValue],
    );
    user_becomes(
        json!({"name": {"givenName": "A", "x": 1}, "no such": 1}),
        json!({"name": {"givenName": "A"}}),
        &[IgnoreUnknown],
    );
    for manager in [
        json!(""),
        json!({"value": ""}),
        json!({"value": "", "$ref": null}),
    ] {
        user_becomes(
            json!({ENTERPRISE_USER: {"manager": manager}}),
            json!({}),
            &[ReferenceAsString],
        );
    }
    user_becomes(json!({ENTERPRISE_USER: {"manager": null}}), json!({}), &[]);
    user_becomes(
        json!({ENTERPRISE_USER: {"manager": {"value": "7", "$ref": null}}}),
        json!({ENTERPRISE_USER: {"manager": {"value": "7"}}}),
        &[],
    );
}

/// What is said of a body of a POST of a User, or of the operations of a PATCH.
fn said(type_name: &str, body: Value) -> Vec<String> {
    let schemas = SchemaSet::standard();
    let schema = schemas.by_name(type_name).unwrap();
    let mut body = body;
    let adaptations = if body.is_array() {
        body = json!({"schemas": [PATCH_SCHEMA], "Operations": body});
        normalize_patch(&QuirkSet::standard(), schema, &mut body)
    } else {
        normalize_resource(&QuirkSet::standard(), schema, &mut body)
    };
    adaptations
        .into_vec()
        .into_iter()
        .map(|one| format!("{}: {}", one.quirk.name(), one.what))
        .collect()
}

#[test]
fn adaptations_are_said_in_words() {
    let check = |type_name: &str, body: Value, wanted: &[&str]| {
        assert_eq!(said(type_name, body.clone()), wanted, "{body}");
    };
    check(
        "User",
        json!([{"op": "replace", "path": "active", "value": "False"}]),
        &["boolean-string: accepted `\"False\"` for `active`"],
    );
    check(
        "User",
        json!([{"op": "Add", "path": "emails[type eq \"work\"].primary", "value": "True"}]),
        &[
            "op-case: accepted `Add` for `add`",
            "boolean-string: accepted `\"True\"` for `emails[type eq \"work\"].primary`",
        ],
    );
    check(
        "User",
        json!([{"op": "replace", "path": "emails[primary eq \"True\"].value", "value": "a@x"}]),
        &[
            "boolean-string: accepted `\"True\"` for `primary` in `emails[primary eq \"True\"].value`",
        ],
    );
    check(
        "User",
        json!({"schemas": [USER], "userName": "ann", "shoeSize": 9, "emails": [{"value": "a@x", "lucky": 1}, {"value": "b@x", "lucky": 2}]}),
        &[
            "ignore-unknown: ignored `shoeSize`, which no schema of User has",
            "ignore-unknown: ignored `emails.lucky`, which no schema of User has",
        ],
    );
    check(
        "User",
        json!({"schemas": [USER], "userName": "ann", ENTERPRISE_USER: {"manager": "7"}}),
        &[
            &format!("missing-schemas: took `schemas` as if it named `{ENTERPRISE_USER}`"),
            &format!("reference-as-string: accepted a bare string for `{ENTERPRISE_USER}:manager`"),
        ],
    );
    check(
        "Group",
        json!([{"op": "remove", "path": "members", "value": [{"value": "a"}]}]),
        &[
            "remove-members-by-value: removed from `members` only the values that the operation names",
        ],
    );
    check(
        "User",
        json!({"schemas": [USER], "userName": "ann", "id": "x", "meta": {}}),
        &[],
    );
}

#[test]
fn adaptations_never_repeat_what_was_sent() {
    let secret = "s3cr3t";
    let body = json!({
        "schemas": [USER], "userName": secret, "password": [secret], secret_key(): secret, "name": format!("{{\"givenName\":\"{secret}\"}}"),
        "emails": secret, "active": "", ENTERPRISE_USER: {"manager": secret, "employeeNumber": 7, "x": secret},
    });
    let operations = json!([
        {"op": "Replace", "path": "password", "value": [{"$ref": null, "value": secret}]},
        {"op": "Add", "value": {"password": secret, "shoe": secret, "name.givenName": secret}},
        {"op": "Remove", "path": "emails", "value": secret},
    ]);
    for text in said("User", body)
        .into_iter()
        .chain(said("User", operations))
    {
        assert!(!text.contains(secret), "{text}");
    }
}

fn secret_key() -> String {
    "shoe".into()
}

/// What clients of the catalogue send beyond its examples.
#[test]
fn rules_and_not_only_examples() {
    use Quirk::{EmptyForNone, NumberString, ReferenceId, SeveralPrimaries, WrappedSingleValue};
    user_becomes(
        json!({"phoneNumbers": [{"value": 555, "type": "work"}]}),
        json!({"phoneNumbers": [{"value": "555", "type": "work"}]}),
        &[NumberString],
    );
    user_becomes(
        json!({"addresses": [{"postalCode": 91608, "primary": ""}]}),
        json!({"addresses": [{"postalCode": "91608"}]}),
        &[NumberString, EmptyForNone],
    );
    user_becomes(
        json!({"roles": [{"value": "a", "primary": true}, {"value": "b"}, {"value": "c", "primary": true}]}),
        json!({"roles": [{"value": "a", "primary": true}, {"value": "b"}, {"value": "c", "primary": false}]}),
        &[SeveralPrimaries],
    );
    user_becomes(
        json!({ENTERPRISE_USER: {"manager": {"ManagerID": "7"}}}),
        json!({ENTERPRISE_USER: {"manager": {"value": "7"}}}),
        &[ReferenceId],
    );
    user_becomes(json!({"title": []}), json!({}), &[WrappedSingleValue]);
    let manager = format!("{ENTERPRISE_USER}:manager");
    let held = json!({ENTERPRISE_USER: {"manager": {"value": "7"}}});
    patch_becomes(
        json!({}),
        json!([{"op": "add", "path": format!("{manager}.managerId"), "value": "7"}]),
        held.clone(),
    );
    patch_becomes(
        json!({}),
        json!([{"op": "add", "path": manager, "value": {"managerId": 7}}]),
        held,
    );
    patch_becomes(
        json!({"active": true}),
        json!([{"op": "replace", "path": "active", "value": ""}]),
        json!({"active": null}),
    );
    // A number where a name or a key is wanted is a mistake.
    for (name, value) in [
        ("userName", json!(7)),
        ("displayName", json!(7)),
        ("active", json!(7)),
    ] {
        let body = with(
            json!({"schemas": [USER], "userName": "ann"}),
            json!({name: value}),
        );
        assert_eq!(
            create("User", body, &QuirkSet::standard())
                .0
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidValue,
            "{name}"
        );
    }
}

#[test]
fn a_patch_of_scim_1_1() {
    let check = |type_name: &str, held: Value, body: Value, wanted: Value| {
        let (changed, acted) = change(type_name, held, body.clone(), &QuirkSet::standard());
        let changed = changed.unwrap();
        for (name, value) in wanted.as_object().unwrap() {
            assert_eq!(
                changed.get(name).unwrap_or(&Value::Null),
                value,
                "{name} of {body}"
            );
        }
        assert!(acted.contains(&Quirk::PatchAsResource), "{acted:?}");
    };
    let old = "urn:scim:schemas:core:1.0";
    check(
        "Group",
        team(),
        json!({"schemas": [old], "displayName": "new", "members": [{"value": "c"}, {"value": "a", "operation": "delete"}]}),
        json!({"displayName": "new", "members": ["b", "c"]}),
    );
    check(
        "User",
        with(ann(), json!({"title": "T", "nickName": "N"})),
        json!({"schemas": [old], "active": "False", "meta": {"attributes": ["nickName"]}, "name": {"givenName": "A"}}),
        json!({"active": false, "title": "T", "nickName": null, "name": {"givenName": "A"}}),
    );
    let refused = |body: Value| {
        assert_eq!(
            change("User", ann(), body, &QuirkSet::standard())
                .0
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidSyntax
        );
    };
    refused(json!({"schemas": [PATCH_SCHEMA], "title": "T"}));
    refused(json!({"title": "T"}));
}

#[test]
fn older_urns() {
    let schemas = SchemaSet::standard();
    let schema = schemas.by_name("User").unwrap();
    let check = |text: &str, wanted: Option<&str>| {
        assert_eq!(
            rewrite::modern_urn(schema, text).as_deref(),
            wanted,
            "{text}"
        );
    };
    check("urn:scim:schemas:core:1.0", Some(USER));
    check("URN:scim:schemas:core:2.0:user", Some(USER));
    check("urn:ietf:params:scim:schemas:core:2.0", Some(USER));
    check(
        "urn:scim:schemas:core:1.0:userName",
        Some(&format!("{USER}:userName")),
    );
    check(
        "urn:scim:schemas:extension:enterprise:1.0:manager.value",
        Some(&format!("{ENTERPRISE_USER}:manager.value")),
    );
    check(USER, None);
    check(&ENTERPRISE_USER.to_lowercase(), None);
    check(&format!("{USER}:emails"), None);
    check("urn:scim:schemas:core:1.00", None);
    check("userName", None);
}

/// Operations on `held` (beside `ann()`) give `after` (beside `ann()`).
fn patch_becomes(held: Value, operations: Value, after: Value) {
    let body = json!({"schemas": [PATCH_SCHEMA], "Operations": operations});
    let (changed, _) = change("User", with(ann(), held), body, &QuirkSet::standard());
    let mut changed: Map<String, Value> = serde_json::from_value(changed.unwrap()).unwrap();
    changed.retain(|name, _| name != "schemas");
    let mut wanted: Map<String, Value> = serde_json::from_value(with(ann(), after)).unwrap();
    wanted.retain(|name, value| name != "schemas" && !value.is_null());
    assert_eq!(
        Value::Object(changed),
        Value::Object(wanted),
        "{operations}"
    );
}

#[test]
fn patches_of_users() {
    let manager = format!("{ENTERPRISE_USER}:manager");
    patch_becomes(
        json!({}),
        json!([{"op": "Replace", "path": "active", "value": "False"}]),
        json!({"active": false}),
    );
    patch_becomes(
        json!({}),
        json!([{"OP": "REPLACE", "Path": "active", "Value": ["false"]}]),
        json!({"active": false}),
    );
    patch_becomes(
        json!({}),
        json!([{"op": "replace", "value": {"Active": "False"}}]),
        json!({"active": false}),
    );
    patch_becomes(
        json!({}),
        json!({"op": "replace", "value": "{\"active\": \"False\"}"}),
        json!({"active": false}),
    );
    patch_becomes(
        json!({"emails": [{"value": "a@x", "type": "work"}]}),
        json!([{"op": "replace", "path": "emails[type eq \"work\"].primary", "value": "True"}]),
        json!({"emails": [{"value": "a@x", "type": "work", "primary": true}]}),
    );
    patch_becomes(
        json!({"roles": [{"value": "r", "primary": true}]}),
        json!([{"op": "Replace", "path": "roles[primary eq \"True\"].value", "value": "s"}]),
        json!({"roles": [{"value": "s", "primary": true}]}),
    );
    patch_becomes(
        json!({}),
        json!([{"op": "Add", "path": "roles[primary eq \"True\"].value", "value": "s"}]),
        json!({"roles": [{"primary": true, "value": "s"}]}),
    );
    patch_becomes(
        json!({}),
        json!([{"op": "Add", "value": {"emails[type eq \"work\"].value": "a@x", "emails[type eq \"work\"].primary": "True", "name.formatted": "A",
            "urn:scim:schemas:extension:enterprise:1.0:department": "D", ENTERPRISE_USER: {"manager.value": "7"}, "id": "x", "meta.created": "y",
            "no such": 1}}]),
        json!({"emails": [{"type": "work", "value": "a@x", "primary": true}], "name": {"formatted": "A"},
            ENTERPRISE_USER: {"manager": {"value": "7"}, "department": "D"}}),
    );
    patch_becomes(
        json!({}),
        json!([{"op": "add", "path": USER, "value": {"name.givenName": "A"}}]),
        json!({"name": {"givenName": "A"}}),
    );
    patch_becomes(
        json!({}),
        json!([{"op": "add", "path": "urn:scim:schemas:core:1.0:emails", "value": "[{\"value\":\"a@x\"}]"}]),
        json!({"emails": [{"value": "a@x"}]}),
    );
    // Entra's older form of a manager: no URN, an array of one.
    let held = json!({ENTERPRISE_USER: {"manager": {"value": "7"}}});
    patch_becomes(
        json!({}),
        json!([{"op": "Add", "path": "manager", "value": [{"$ref": null, "value": "7"}]}]),
        held.clone(),
    );
    patch_becomes(
        json!({}),
        json!([{"op": "add", "path": manager, "value": "{\"value\":\"7\"}"}]),
        held.clone(),
    );
    patch_becomes(
        json!({}),
        json!([{"op": "add", "path": ENTERPRISE_USER, "value": "{\"manager\":\"7\"}"}]),
        held.clone(),
    );
    for value in [
        json!(""),
        json!(null),
        json!({"value": ""}),
        json!({"value": null}),
        json!([]),
    ] {
        patch_becomes(
            held.clone(),
            json!([{"op": "Replace", "path": manager, "value": value}]),
            json!({}),
        );
        patch_becomes(
            held.clone(),
            json!([{"op": "Replace", "value": {ENTERPRISE_USER: {"manager": value}}}]),
            json!({}),
        );
    }
    patch_becomes(
        held.clone(),
        json!([{"op": "Replace", "path": format!("{manager}.value"), "value": ""}]),
        json!({}),
    );
    patch_becomes(held, json!([{"op": "Remove", "path": manager}]), json!({}));
    patch_becomes(
        json!({"emails": [{"value": "a@x", "type": "work"}, {"value": "b@x", "type": "home"}]}),
        json!([{"op": "Remove", "path": "emails", "value": [{"value": "a@x", "type": "work"}]}]),
        json!({"emails": [{"value": "b@x", "type": "home"}]}),
    );
    patch_becomes(json!({"title": "T"}), json!([]), json!({"title": "T"}));
}

#[test]
fn patches_of_groups() {
    let check = |operations: Value, members: &[&str]| {
        let body = json!({"operations": operations});
        let changed = change("Group", team(), body, &QuirkSet::standard())
            .0
            .unwrap();
        assert_eq!(changed["members"], json!(members), "{operations}");
    };
    check(
        json!([{"op": "Remove", "path": "members", "value": [{"$ref": null, "value": "a"}]}]),
        &["b"],
    );
    check(
        json!([{"op": "Remove", "path": "members", "value": "[{\"value\":\"a\"}]"}]),
        &["b"],
    );
    check(
        json!([{"op": "Remove", "path": "members", "value": {"value": "a"}}]),
        &["b"],
    );
    check(
        json!([{"op": "Remove", "path": "members", "value": []}]),
        &["a", "b"],
    );
    check(json!([{"op": "Remove", "path": "members"}]), &[]);
    check(
        json!([{"op": "Add", "path": "members", "value": "[{\"value\":\"c\"}]"}]),
        &["a", "b", "c"],
    );
    check(
        json!([{"op": "Add", "value": {format!("{GROUP}:members"): [{"value": "c"}]}}]),
        &["a", "b", "c"],
    );
    check(
        json!([{"op": "remove", "path": "members[value eq \"a\"]"}]),
        &["b"],
    );
    check(
        json!([{"op": "replace", "value": {"id": "g", "displayName": "D"}}]),
        &["a", "b"],
    );
    let strict = change(
        "Group",
        team(),
        json!({"schemas": [PATCH_SCHEMA], "Operations": [{"op": "remove", "path": "members", "value": []}]}),
        &QuirkSet::strict(),
    );
    assert_eq!(strict.0.unwrap_err().kind(), ErrorKind::InvalidValue);
}

/// Odd requests that every profile refuses.
#[test]
fn refusals_stay() {
    let check = |operations: Value, kind: ErrorKind| {
        let body = json!({"schemas": [PATCH_SCHEMA], "Operations": operations});
        assert_eq!(
            change("User", ann(), body, &QuirkSet::standard())
                .0
                .unwrap_err()
                .kind(),
            kind,
            "{operations}"
        );
    };
    check(json!([{"op": "Remove"}]), ErrorKind::NoTarget);
    check(
        json!([{"op": "Move", "path": "title"}]),
        ErrorKind::InvalidSyntax,
    );
    check(
        json!([{"op": "Replace", "path": "emails[type eq", "value": 1}]),
        ErrorKind::InvalidPath,
    );
    check(
        json!([{"op": "Replace", "path": "shoeSize", "value": 1}]),
        ErrorKind::InvalidPath,
    );
    check(
        json!([{"op": "Replace", "path": "id", "value": "x"}]),
        ErrorKind::Mutability,
    );
    check(
        json!([{"op": "Replace", "path": "meta.created", "value": "x"}]),
        ErrorKind::Mutability,
    );
    check(
        json!([{"op": "Replace", "path": "active", "value": "perhaps"}]),
        ErrorKind::InvalidValue,
    );
    check(
        json!([{"op": "Replace", "path": "active", "value": 7}]),
        ErrorKind::InvalidValue,
    );
    check(
        json!([{"op": "Replace", "path": "title", "value": ["a", "b"]}]),
        ErrorKind::InvalidValue,
    );
    // Without the part that no schema has it would remove every work address.
    check(
        json!([{"op": "Remove", "path": "emails", "value": [{"type": "work", "vaule": "ann@x"}]}]),
        ErrorKind::InvalidValue,
    );
    check(
        json!([{"op": "Remove", "value": {"emails": [{"type": "work", "vaule": "ann@x"}]}}]),
        ErrorKind::NoTarget,
    );
    check(json!(["Replace"]), ErrorKind::InvalidSyntax);
    check(json!("nothing"), ErrorKind::InvalidSyntax);
    check(
        json!([{"op": "Replace", "path": "emails[type eq \"fax\"]", "value": {"value": "q@x"}}]),
        ErrorKind::NoTarget,
    );
}

#[test]
fn a_name_that_one_extension_has_means_that_one_wherever_it_stands() {
    let urn = ENTERPRISE_USER;
    let held = json!({urn: {"department": "D", "manager": {"value": "7"}}});
    for body in [
        json!({"department": "D", "manager": {"value": "7"}}),
        json!({"DEPARTMENT": "D", "manager": "7"}),
        json!({"department": "D", "manager.value": "7"}),
        json!({format!("{urn}.department"): "D", format!("{urn}.manager.value"): "7"}),
        json!({urn: {"department": "D"}, "manager": {"value": "7"}}),
    ] {
        let whole = with(json!({"schemas": [USER], "userName": "ann"}), body.clone());
        let (made, acted) = create("User", whole, &QuirkSet::standard());
        let made = made.unwrap();
        assert_eq!(
            (&made[urn], acted.contains(&Quirk::ExtensionNames)),
            (&held[urn], true),
            "{body}"
        );
        assert_eq!(made["schemas"], json!([USER, urn]), "{body}");
        let operations =
            json!({"schemas": [PATCH_SCHEMA], "Operations": [{"op": "add", "value": body}]});
        let (changed, acted) = change("User", ann(), operations, &QuirkSet::standard());
        assert_eq!(
            (
                &changed.unwrap()[urn],
                acted.contains(&Quirk::ExtensionNames)
            ),
            (&held[urn], true),
            "{body}"
        );
    }
    let department = json!({"department": "D"});
    for path in [
        "department".to_owned(),
        format!("{urn}.department"),
        format!("{}.Department", urn.to_uppercase()),
    ] {
        let operations = json!({"schemas": [PATCH_SCHEMA], "Operations": [{"op": "add", "path": path, "value": "D"}]});
        let (changed, acted) = change(
            "User",
            ann(),
            operations.clone(),
            &QuirkSet::of(&[Quirk::ExtensionNames]),
        );
        assert_eq!(
            (&changed.unwrap()[urn], acted),
            (&department, vec![Quirk::ExtensionNames]),
            "{path}"
        );
        let refused = change("User", ann(), operations, &QuirkSet::strict())
            .0
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidPath, "{path}");
    }
    let operations = json!({"schemas": [PATCH_SCHEMA], "Operations": [
        {"op": "add", "path": format!("{USER}.emails[type eq \"work\"].value"), "value": "a@x"}, {"op": "add", "path": format!("{USER}.name.givenName"), "value": "A"},
    ]});
    let changed = change("User", ann(), operations, &QuirkSet::standard())
        .0
        .unwrap();
    assert_eq!(
        (&changed["emails"], &changed["name"]),
        (
            &json!([{"type": "work", "value": "a@x"}]),
            &json!({"givenName": "A"})
        )
    );
    // What the core schema has is not an extension's, and what two extensions have is of neither.
    assert!(
        SchemaSet::standard()
            .by_name("User")
            .unwrap()
            .meant(&AttributePath::parse("title.x").unwrap())
            .is_none()
    );
    let mut twice = SchemaSet::standard()
        .by_name("User")
        .unwrap()
        .as_ref()
        .clone();
    let mut second = twice.extensions.first().unwrap().clone();
    second.id = "urn:acme:User".to_owned();
    twice.extensions.push(second);
    assert!(twice.meant(&AttributePath::of("department")).is_none());
    assert_eq!(
        twice
            .meant(&AttributePath::parse("urn:acme:User.department").unwrap())
            .unwrap()
            .to_string(),
        "urn:acme:User:department"
    );
}

#[test]
fn questions_name_attributes_of_extensions_as_bodies_do() {
    let schemas = SchemaSet::standard();
    let users = [schemas.by_name("User").unwrap().clone()];
    let check = |text: &str, wanted: &str| {
        let mut filter = Filter::parse(text, FilterLimits::default()).unwrap();
        let said = normalize_filter(&QuirkSet::standard(), schemas.types(), &mut filter).unwrap();
        assert_eq!(
            (filter.to_string(), said.quirks()),
            (wanted.to_owned(), vec![Quirk::ExtensionNames]),
            "{text}"
        );
        assert!(filter.check(&[&users[0]]).is_ok(), "{text}");
        let mut strict = Filter::parse(text, FilterLimits::default()).unwrap();
        assert!(
            normalize_filter(&QuirkSet::strict(), schemas.types(), &mut strict)
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            strict.check(&[&users[0]]).unwrap_err().kind(),
            ErrorKind::InvalidFilter,
            "{text}"
        );
    };
    let urn = ENTERPRISE_USER;
    check(
        r#"id eq "1" and manager eq "2""#,
        &format!(r#"id eq "1" and {urn}:manager eq "2""#),
    );
    check(
        &format!(r#"{urn}.manager eq "2""#),
        &format!(r#"{urn}:manager eq "2""#),
    );
    check(
        &format!(r#"not ({urn}.manager.value eq "2")"#),
        &format!(r#"not ({urn}:manager.value eq "2")"#),
    );
    check(
        "manager.displayName pr or department pr",
        &format!("{urn}:manager.displayName pr or {urn}:department pr"),
    );
    check(
        &format!(r#"{USER}.emails[type eq "work"]"#),
        &format!(r#"{USER}:emails[type eq "work"]"#),
    );
    let mut sort = AttributePath::of("department");
    assert_eq!(
        normalize_sort(&QuirkSet::standard(), &users, &mut sort).quirks(),
        [Quirk::ExtensionNames]
    );
    assert_eq!(sort.to_string(), format!("{urn}:department"));
    let resource = with(ann(), json!({urn: {"department": "D", "division": "E"}}));
    let shown = |only: &[&str], without: &[&str]| {
        let owned = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let mut projection = Projection::new(&owned(only), &owned(without)).unwrap();
        normalize_projection(&QuirkSet::standard(), &users, &mut projection);
        let Value::Object(mut shown) = resource.clone() else {
            panic!("a user is an object")
        };
        projection.apply(&users[0], &mut shown);
        shown.get(urn).cloned()
    };
    assert_eq!(
        shown(&["department"], &[]),
        Some(json!({"department": "D"}))
    );
    assert_eq!(
        shown(&[&format!("{urn}.division")], &[]),
        Some(json!({"division": "E"}))
    );
    assert_eq!(shown(&[], &["department"]), Some(json!({"division": "E"})));
}

#[test]
fn members_may_stand_below_their_own_name() {
    let check = |value: Value, after: Value| {
        let operations = json!({"schemas": [PATCH_SCHEMA], "Operations": [{"op": "remove", "path": "members", "value": value}]});
        let (changed, acted) = change("Group", team(), operations, &QuirkSet::standard());
        assert_eq!(
            (&changed.unwrap()["members"], acted),
            (&after, vec![Quirk::NamedValue, Quirk::RemoveMembersByValue]),
            "{value}"
        );
    };
    check(
        json!({"members": [{"$ref": null, "value": "a"}]}),
        json!(["b"]),
    );
    check(json!({"Members": {"value": "b"}}), json!(["a"]));
    check(json!({"members": []}), json!(["a", "b"]));
}

#[test]
fn brackets_among_attributes_are_left_out() {
    let check = |before: &str, after: &str| {
        let mut pairs = vec![("Attributes".to_owned(), before.to_owned())];
        normalize_query(&QuirkSet::standard(), &mut pairs);
        assert_eq!(pairs[0].1, after, "{before}");
    };
    check(r#"emails[type eq "work"]"#, "emails");
    check(
        r#"userName,emails[type eq "a],\"b" and primary eq true].value,id"#,
        "userName,emails.value,id",
    );
    check("emails[type", "emails[type");
    check("userName", "userName");
}
