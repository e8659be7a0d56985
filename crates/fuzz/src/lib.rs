//! Laws that hold for every input that a client can send, with a function for each kind of input. The function panics if the law is broken.
//!
//! `cargo xtask fuzz` looks for inputs that break them; what is in `corpus` is run by the ordinary tests, so a fault that was found stays found.

#![expect(
    clippy::missing_panics_doc,
    reason = "panicking is what these functions are for"
)]

mod unnamed;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use directory::bulk::{Step, order};
use directory::search::cursor::{decode, encode};
use directory::search::{Page, Sort, plan};
use directory::store::Include;
use jiff::Timestamp;
use scim_protocol::filter::FilterLimits;
use scim_protocol::messages::{BulkRequest, SearchRequest};
use scim_protocol::patch::apply::apply;
use scim_protocol::patch::difference::difference;
use scim_protocol::patch::{parse, to_json};
use scim_protocol::patch_path::PatchPath;
use scim_protocol::quirk::{QuirkSet, normalize_patch, normalize_resource};
use scim_protocol::validate::validate;
use scim_protocol::{AttributePath, Filter, SchemaSet, TypeSchema, ValidResource, json as bodies};
use serde_json::{Map, Value, json};

/// Most operations of a bulk request.
const OPERATIONS_MAX: usize = 100;

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 6] = [
    ("filter", filter),
    ("path", path),
    ("patch", patch),
    ("body", body),
    ("cursor", cursor),
    ("bulk", bulk),
];

/// The target with this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, target)| *target)
}

/// The example of RFC 7643 section 8.3, without what the server gives.
const USER: &str = include_str!("../corpus/body/enterprise_user.json");

fn schemas() -> &'static SchemaSet {
    static SCHEMAS: OnceLock<SchemaSet> = OnceLock::new();
    SCHEMAS.get_or_init(SchemaSet::standard)
}

fn schema(name: &str) -> &'static TypeSchema {
    schemas().by_name(name).expect("a standard type")
}

fn somebody() -> &'static ValidResource {
    static SOMEBODY: OnceLock<ValidResource> = OnceLock::new();
    SOMEBODY.get_or_init(|| {
        let body = serde_json::from_str(USER).expect("the example is JSON");
        validate(schema("User"), body, None, &QuirkSet::standard())
            .expect("the example is valid")
            .resource
    })
}

fn some_team() -> &'static ValidResource {
    static SOME_TEAM: OnceLock<ValidResource> = OnceLock::new();
    SOME_TEAM.get_or_init(|| {
        let body =
            json!({"schemas": [scim_protocol::schema::standard::GROUP], "displayName": "team"});
        validate(schema("Group"), body, None, &QuirkSet::standard())
            .expect("the example is valid")
            .resource
    })
}

fn quirk_sets() -> &'static [QuirkSet; 2] {
    static SETS: OnceLock<[QuirkSet; 2]> = OnceLock::new();
    SETS.get_or_init(|| [QuirkSet::standard(), QuirkSet::strict()])
}

/// A filter that parses prints to a text that parses to the same tree; it can be checked, evaluated and planned without a panic.
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(parsed) = Filter::parse(text, FilterLimits::default()) else {
        return;
    };
    let printed = parsed.to_string();
    // Printing writes out what was short, so the text may pass the limit on its length; the tree must not change.
    let limits = FilterLimits {
        length_max: usize::MAX,
        ..FilterLimits::default()
    };
    let again = Filter::parse(&printed, limits)
        .unwrap_or_else(|error| panic!("{printed:?} of {text:?} does not parse: {error}"));
    assert_eq!(again, parsed, "{printed:?} of {text:?} is another filter");
    let document: &Map<String, Value> = somebody().document();
    let types = schemas().types().to_vec();
    let exact = parsed.check(&[schema("User")]).is_ok();
    let matched = exact.then(|| parsed.matches(schema("User"), document));
    assert!(
        parsed.check(&[schema("User")]).is_ok() == exact
            && matched.is_none_or(|matched| matched == again.matches(schema("User"), document))
    );
    let sort = parsed.paths().first().cloned().map(|path| Sort {
        path,
        descending: true,
    });
    for sort in [None, sort] {
        // A refusal is an answer too.
        let _ = plan(
            &types,
            Some(parsed.clone()),
            sort,
            Page {
                offset: 0,
                limit: 1,
            },
            Include::default(),
        );
    }
}

/// A path prints to a text that parses to the same path, whether of an attribute or of a PATCH.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(parsed) = AttributePath::parse(text) {
        assert_eq!(
            AttributePath::parse(&parsed.to_string()).as_ref(),
            Ok(&parsed),
            "{text:?}"
        );
        for schema in schemas().types() {
            let _ = schema.resolve(&parsed);
        }
    }
    if let Ok(parsed) = PatchPath::parse(text) {
        assert_eq!(
            PatchPath::parse(&parsed.to_string()).as_ref(),
            Ok(&parsed),
            "{text:?}"
        );
    }
}

/// What a PATCH makes of a resource is a valid resource, and nothing that it does not name is changed; the difference leads from the one to the other;
/// operations print to a message that parses to the same operations.
pub fn patch(data: &[u8]) {
    let Ok(message) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    for quirks in quirk_sets() {
        for schema in schemas().types() {
            let members = ["a", "b"]
                .map(|id| json!({"value": id, "type": "User", "display": id}))
                .to_vec();
            let resource = if schema.name() == "User" {
                somebody().clone()
            } else {
                some_team().clone()
            };
            unnamed::check(
                schema,
                quirks,
                &unnamed::Held { resource, members },
                &message,
            );
            let mut message = message.clone();
            normalize_patch(quirks, schema, &mut message);
            let Ok(operations) = parse(schema, message, quirks) else {
                continue;
            };
            let printed = to_json(&operations);
            assert_eq!(
                parse(schema, printed.clone(), quirks).as_ref(),
                Ok(&operations),
                "{printed}"
            );
            if schema.name() != "User" {
                continue;
            }
            let before = somebody().clone();
            let Ok(after) = apply(schema, somebody(), &operations, quirks) else {
                continue;
            };
            assert_eq!(&before, somebody());
            let changes = difference(schema, &before, &after);
            assert!(
                apply(schema, &before, &changes, quirks).is_ok_and(|again| again.is_same(&after)),
                "{printed}"
            );
            let whole = Value::Object(after.document().clone());
            let valid =
                validate(schema, whole, Some(&before), quirks).map(|validated| validated.resource);
            assert_eq!(
                valid.as_ref(),
                Ok(&after),
                "{printed} makes what is not valid"
            );
        }
    }
}

/// A body that is accepted is accepted again as it was kept, and then nothing changes; the difference from it to another and back holds.
pub fn body(data: &[u8]) {
    let Ok(sent) = bodies::parse(data, None) else {
        return;
    };
    let _ = SearchRequest::from_body(sent.clone());
    for quirks in quirk_sets() {
        for schema in schemas().types() {
            let mut sent = sent.clone();
            normalize_resource(quirks, schema, &mut sent);
            let Ok(validated) = validate(schema, sent, None, quirks) else {
                continue;
            };
            let kept = validated.resource;
            let again = validate(schema, Value::Object(kept.document().clone()), None, quirks)
                .map(|validated| validated.resource);
            assert_eq!(again.as_ref(), Ok(&kept));
            if schema.name() == "User" {
                for (from, to) in [(&kept, somebody()), (somebody(), &kept)] {
                    let changes = difference(schema, from, to);
                    assert!(
                        apply(schema, from, &changes, quirks).is_ok_and(|again| again.is_same(to)),
                        "{changes:?}"
                    );
                }
            }
        }
    }
}

/// A position that is read from a cursor is written and read again the same.
pub fn cursor(data: &[u8]) {
    let now = Timestamp::UNIX_EPOCH;
    let Ok(position) = decode(data, now) else {
        return;
    };
    let written = encode(&position, Timestamp::MAX);
    assert_eq!(decode(&written, now).as_ref(), Ok(&position));
}

/// Each operation of a bulk request runs once. It is completed once if it ran without the resources that it refers to.
pub fn bulk(data: &[u8]) {
    let Ok(message) = bodies::parse(data, Some(OPERATIONS_MAX)) else {
        return;
    };
    let Ok(request) = BulkRequest::from_body(message) else {
        return;
    };
    let (mut ran, mut lacking) = (vec![false; request.operations.len()], BTreeSet::new());
    for step in order(schemas(), &request.operations) {
        match step {
            Step::Run { index, without } => {
                assert!(
                    !std::mem::replace(&mut ran[index], true),
                    "{index} runs twice"
                );
                lacking.extend((!without.is_empty()).then_some(index));
            }
            Step::Complete { index } => {
                assert!(ran[index], "{index} is completed before it has run");
                assert!(
                    lacking.remove(&index),
                    "{index} is completed though it lacks nothing"
                );
            }
        }
    }
    assert!(ran.iter().all(|ran| *ran), "an operation is forgotten");
    assert!(lacking.is_empty(), "{lacking:?} are never completed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_holds() {
        for (name, target) in TARGETS {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("corpus")
                .join(name);
            let mut files = 0;
            for file in std::fs::read_dir(&folder).unwrap() {
                target(&std::fs::read(file.unwrap().path()).unwrap());
                files += 1;
            }
            assert!(files >= 5, "{name} has only {files} files");
        }
    }

    #[test]
    fn what_breaks_the_law_is_noticed() {
        fn never(data: &[u8]) {
            assert!(
                Filter::parse(std::str::from_utf8(data).unwrap(), FilterLimits::default()).is_err()
            );
        }
        let panics = |target: Target, data: &'static str| {
            std::panic::catch_unwind(move || target(data.as_bytes())).is_err()
        };
        assert!(panics(never, "userName pr"));
        assert!(!panics(filter, "userName pr"));
        assert!(target("filter").is_some() && target("nothing").is_none());
    }
}
