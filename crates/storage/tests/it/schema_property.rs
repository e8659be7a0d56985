//! A search finds what its filter says in memory, whatever the schema: tried with generated schemas, resources and filters on attributes of every type,
//! indexed or not, with case or without, single or many, in complex attributes and in extensions.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use directory::access::{Caller, Permissions};
use directory::schema_change::Edit;
use directory::schema_store::Activation;
use directory::search::{Page, plan};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use scim_protocol::filter::CompareOp;
use scim_protocol::{AttributePath, Filter, TypeSchema};
use serde_json::{Map, Value, json};

use crate::place::{NOTHING, Opened, Place, World};

const CORE: &str = "urn:example:Thing";
const EXTENSION: &str = "urn:example:More:2.0:Thing";
const KINDS: [&str; 7] = [
    "string",
    "boolean",
    "integer",
    "decimal",
    "dateTime",
    "reference",
    "binary",
];

#[test]
fn sqlite_finds_what_memory_finds_in_generated_schemas() {
    let place = Place::sqlite();
    run(&place);
}

#[test]
fn postgres_finds_what_memory_finds_in_generated_schemas() {
    let runtime = runtime();
    let place = runtime.block_on(Place::postgres());
    run(&place);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// An attribute and how it is compared.
#[derive(Clone, Debug)]
struct Leaf {
    name: String,
    kind: &'static str,
    many: bool,
    exact: bool,
    indexed: bool,
}

/// An attribute of a schema: a leaf, or complex.
#[derive(Clone, Debug)]
enum Node {
    Leaf(Leaf),
    Complex {
        name: String,
        many: bool,
        subs: Vec<Leaf>,
    },
}

#[derive(Clone, Debug)]
struct Case {
    core: Vec<Node>,
    extension: Vec<Node>,
    /// Whether the indexes come after the resources.
    late: bool,
    resources: Vec<Vec<Option<u32>>>,
    filters: Vec<Tree>,
}

/// A filter before its paths and values are known.
#[derive(Clone, Debug)]
enum Tree {
    Test { path: u32, op: u32, literal: u32 },
    And(Vec<Tree>),
    Or(Vec<Tree>),
    Not(Box<Tree>),
    Element { path: u32, inner: Box<Tree> },
}

fn leaf(name: String) -> impl Strategy<Value = Leaf> {
    (
        prop::sample::select(KINDS.to_vec()),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(move |(kind, many, exact, indexed)| Leaf {
            name: name.clone(),
            kind,
            many,
            exact,
            indexed,
        })
}

fn node(prefix: &'static str, place: usize) -> impl Strategy<Value = Node> {
    let name = format!("{prefix}{place}");
    let subs = prop_oneof![Just(vec!["value", "type"]), Just(vec!["left", "right"])];
    let subs = subs.prop_flat_map(|names| {
        names
            .into_iter()
            .map(|name| leaf(name.to_owned()))
            .collect::<Vec<_>>()
    });
    let complex = {
        let name = name.clone();
        (any::<bool>(), subs).prop_map(move |(many, subs)| Node::Complex {
            name: name.clone(),
            many,
            subs,
        })
    };
    prop_oneof![2 => leaf(name).prop_map(Node::Leaf), 1 => complex]
}

fn tree() -> impl Strategy<Value = Tree> {
    let test = (any::<u32>(), any::<u32>(), any::<u32>())
        .prop_map(|(path, op, literal)| Tree::Test { path, op, literal });
    test.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Tree::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Tree::Or),
            inner.clone().prop_map(|inner| Tree::Not(Box::new(inner))),
            (any::<u32>(), inner).prop_map(|(path, inner)| Tree::Element {
                path,
                inner: Box::new(inner)
            }),
        ]
    })
}

fn case() -> impl Strategy<Value = Case> {
    let nodes = |prefix: &'static str, count: usize| {
        (0..count)
            .map(|place| node(prefix, place))
            .collect::<Vec<_>>()
    };
    (
        nodes("c", 4),
        nodes("x", 3),
        any::<bool>(),
        prop::collection::vec(
            prop::collection::vec(prop::option::weighted(0.7, any::<u32>()), 24),
            1..10,
        ),
        prop::collection::vec(tree(), 25),
    )
        .prop_map(|(core, extension, late, resources, filters)| Case {
            core,
            extension,
            late,
            resources,
            filters,
        })
}

fn of<T: Clone>(all: &[T], place: u32) -> T {
    all[place as usize % all.len()].clone()
}

/// A value of a type; few, so that resources and filters share some.
fn value(kind: &str, choice: u32) -> Value {
    let words = [
        "a",
        "A",
        "ab",
        "Ba",
        "\u{e9}",
        "\u{c9}x",
        "%",
        "_",
        "\u{1f600}",
        "SS",
        "\u{df}",
        "10",
    ];
    let urls = ["https://a.example/", "https://A.example/", "urn:x:y"];
    let times = [
        "2026-01-31T08:00:00Z",
        "2026-01-31T09:00:00+01:00",
        "2026-02-01T00:00:00.5Z",
        "1969-12-31T23:59:59Z",
    ];
    match kind {
        "boolean" => json!(choice.is_multiple_of(2)),
        "integer" => json!(of(&[-7, 0, 1, 2, 10, 9_007_199_254_740_991_i64], choice)),
        "decimal" => json!(of(&[-1.5, 0.0, 0.25, 1.0, 1e9], choice)),
        "dateTime" => json!(of(&times, choice)),
        "reference" => json!(of(&urls, choice)),
        "binary" => json!(of(&["YQ==", "QUJD", "YWJj"], choice)),
        _ => json!(of(&words, choice)),
    }
}

impl Leaf {
    fn document(&self, with_indexes: bool) -> Value {
        json!({"name": self.name, "type": self.kind, "multiValued": self.many, "caseExact": self.exact, "x-indexed": self.indexed && with_indexes})
    }

    fn value(&self, choice: u32) -> Value {
        if !self.many {
            return value(self.kind, choice);
        }
        (0..choice % 3)
            .map(|step| value(self.kind, choice.wrapping_add(step * 5 + 1)))
            .collect()
    }
}

impl Node {
    fn document(&self, with_indexes: bool) -> Value {
        match self {
            Self::Leaf(leaf) => leaf.document(with_indexes),
            Self::Complex { name, many, subs } => {
                let subs: Vec<Value> = subs.iter().map(|sub| sub.document(with_indexes)).collect();
                json!({"name": name, "type": "complex", "multiValued": many, "subAttributes": subs})
            }
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Leaf(leaf) => &leaf.name,
            Self::Complex { name, .. } => name,
        }
    }

    fn value(&self, choice: u32) -> Value {
        match self {
            Self::Leaf(leaf) => leaf.value(choice),
            Self::Complex { many, subs, .. } => {
                let element = |choice: u32| {
                    let present = subs
                        .iter()
                        .enumerate()
                        .filter(|(place, _)| !(choice >> place).is_multiple_of(5));
                    Value::Object(
                        present
                            .map(|(place, sub)| {
                                (
                                    sub.name.clone(),
                                    sub.value(
                                        choice.rotate_left(3 * u32::try_from(place).unwrap()),
                                    ),
                                )
                            })
                            .collect(),
                    )
                };
                if *many {
                    (0..choice % 3)
                        .map(|step| element(choice.wrapping_mul(7).wrapping_add(step)))
                        .collect()
                } else {
                    element(choice)
                }
            }
        }
    }

    /// Paths below a prefix, each with the type that it is compared as.
    fn paths(&self, prefix: &str) -> Vec<(String, &'static str)> {
        match self {
            Self::Leaf(leaf) => vec![(format!("{prefix}{}", leaf.name), leaf.kind)],
            Self::Complex { name, subs, .. } => {
                let whole = subs
                    .iter()
                    .find(|sub| sub.name == "value")
                    .map_or("complex", |sub| sub.kind);
                let subs = subs
                    .iter()
                    .map(|sub| (format!("{prefix}{name}.{}", sub.name), sub.kind));
                std::iter::once((format!("{prefix}{name}"), whole))
                    .chain(subs)
                    .collect()
            }
        }
    }
}

impl Case {
    fn documents(&self, with_indexes: bool) -> [Edit; 2] {
        let of = |nodes: &[Node]| {
            nodes
                .iter()
                .map(|node| node.document(with_indexes))
                .collect::<Vec<_>>()
        };
        [
            Edit::PutSchema(json!({"id": CORE, "attributes": of(&self.core)})),
            Edit::PutSchema(json!({"id": EXTENSION, "attributes": of(&self.extension)})),
        ]
    }

    fn resource(&self, choices: &[Option<u32>]) -> Value {
        let mut choices = choices.iter().copied();
        let mut fill = |nodes: &[Node]| {
            let values = nodes
                .iter()
                .filter_map(|node| Some((node.name().to_owned(), node.value(choices.next()??))));
            values.collect::<Map<String, Value>>()
        };
        let mut body = fill(&self.core);
        let extension = fill(&self.extension);
        let mut schemas = vec![CORE];
        if !extension.is_empty() {
            schemas.push(EXTENSION);
            body.insert(EXTENSION.into(), Value::Object(extension));
        }
        body.insert("schemas".into(), json!(schemas));
        Value::Object(body)
    }

    fn paths(&self) -> Vec<(String, &'static str)> {
        let core = self.core.iter().flat_map(|node| node.paths(""));
        core.chain(
            self.extension
                .iter()
                .flat_map(|node| node.paths(&format!("{EXTENSION}:"))),
        )
        .collect()
    }

    fn holders(&self) -> Vec<(String, Vec<(String, &'static str)>)> {
        let of = |prefix: &str, nodes: &[Node]| {
            let one = |node: &Node| match node {
                Node::Complex { name, subs, .. } => (
                    format!("{prefix}{name}"),
                    subs.iter()
                        .map(|sub| (sub.name.clone(), sub.kind))
                        .collect::<Vec<_>>(),
                ),
                Node::Leaf(leaf) => (
                    format!("{prefix}{}", leaf.name),
                    vec![("value".to_owned(), leaf.kind)],
                ),
            };
            nodes.iter().map(one).collect::<Vec<_>>()
        };
        let mut holders = of("", &self.core);
        holders.extend(of(&format!("{EXTENSION}:"), &self.extension));
        holders
    }
}

/// The filter that a tree stands for; inside brackets there are no further brackets.
fn filter(
    tree: &Tree,
    paths: &[(String, &'static str)],
    holders: &[(String, Vec<(String, &'static str)>)],
) -> Filter {
    let all = |inner: &[Tree]| {
        inner
            .iter()
            .map(|tree| filter(tree, paths, holders))
            .collect::<Vec<_>>()
    };
    match tree {
        Tree::And(inner) => Filter::And(all(inner)),
        Tree::Or(inner) => Filter::Or(all(inner)),
        Tree::Not(inner) => Filter::Not(Box::new(filter(inner, paths, holders))),
        Tree::Element { inner, .. } if holders.is_empty() => filter(inner, paths, holders),
        Tree::Element { path, inner } => {
            let (holder, subs) = of(holders, *path);
            Filter::ValuePath {
                path: AttributePath::parse(&holder).unwrap(),
                filter: Box::new(filter(inner, &subs, &[])),
            }
        }
        Tree::Test { path, op, literal } => {
            let (name, kind) = of(paths, *path);
            let path = AttributePath::parse(&name).unwrap();
            if op.is_multiple_of(11) {
                return Filter::Present(path);
            }
            let null = op.is_multiple_of(7);
            let equality = [CompareOp::Eq, CompareOp::Ne];
            let ordered = [CompareOp::Gt, CompareOp::Ge, CompareOp::Lt, CompareOp::Le];
            let substring = [CompareOp::Co, CompareOp::Sw, CompareOp::Ew];
            let ops = match kind {
                _ if null => equality.to_vec(),
                "string" | "reference" => CompareOp::ALL.to_vec(),
                "binary" => [equality.as_slice(), &substring].concat(),
                "boolean" | "complex" => equality.to_vec(),
                _ => [equality.as_slice(), &ordered].concat(),
            };
            let value = if null || kind == "complex" {
                Value::Null
            } else {
                value(kind, *literal)
            };
            Filter::Compare {
                path,
                op: of(&ops, op / 11),
                value,
            }
        }
    }
}

fn run(place: &Place) {
    let runtime = runtime();
    let opened = runtime.block_on(place.open());
    let number = Cell::new(0);
    let mut runner = TestRunner::new(Config {
        cases: 16,
        failure_persistence: None,
        max_shrink_iters: 64,
        ..Config::default()
    });
    let outcome = runner.run(&case(), |case| {
        number.set(number.get() + 1);
        runtime.block_on(check(
            opened.clone(),
            &format!("case-{}", number.get()),
            &case,
        ));
        Ok(())
    });
    outcome.unwrap();
}

async fn check(opened: Opened, name: &str, case: &Case) {
    let world = World::in_store(opened, name, Arc::default()).await;
    let directory = world.directory();
    let caller = async || -> Caller {
        directory
            .caller(world.tenant.clone(), "test".into(), Permissions::all())
            .await
            .unwrap()
    };
    let edit = async |edit: Edit| {
        directory
            .edit_types(&caller().await, &edit, Activation::Keep)
            .await
            .unwrap()
    };
    for document in case.documents(!case.late) {
        edit(document).await;
    }
    let extensions = json!([{"schema": EXTENSION, "required": false}]);
    edit(Edit::PutResourceType(json!({"name": "Thing", "endpoint": "/Things", "schema": CORE, "schemaExtensions": extensions}))).await;
    let early = caller().await;
    for choices in &case.resources {
        let schema = early.schemas.by_name("Thing").unwrap();
        directory
            .create(&early, schema, case.resource(choices), NOTHING)
            .await
            .unwrap();
    }
    for document in case.documents(true) {
        edit(document).await;
    }
    let asker = caller().await;
    let schema: Arc<TypeSchema> = asker.schemas.by_name("Thing").unwrap().clone();
    let find = async |filter: Option<Filter>| {
        let plan = plan(
            std::slice::from_ref(&schema),
            filter,
            None,
            Page {
                offset: 0,
                limit: 1_000,
            },
            NOTHING,
        )
        .unwrap();
        directory.search(&asker, plan).await.unwrap().resources
    };
    let everything: Vec<_> = find(None)
        .await
        .into_iter()
        .map(|found| (found.id.clone(), found.into_document()))
        .collect();
    assert_eq!(everything.len(), case.resources.len());
    let (paths, holders) = (case.paths(), case.holders());
    for tree in &case.filters {
        let filter = filter(tree, &paths, &holders);
        let expected: BTreeSet<&String> = everything
            .iter()
            .filter(|(_, document)| filter.matches(&schema, document))
            .map(|(id, _)| id)
            .collect();
        let found = find(Some(filter.clone())).await;
        let found: BTreeSet<&String> = found.iter().map(|found| &found.id).collect();
        assert_eq!(found, expected, "{filter}");
    }
}
