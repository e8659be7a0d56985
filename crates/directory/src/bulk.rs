//! Bulk requests (RFC 7644 section 3.7): in which order operations can run, what their `bulkId` references stand for, and how cycles are broken.
//! Does not run them: that is `directory`.
//!
//! An operation runs after those it refers to, otherwise in the order of the client. In a cycle one POST runs first without the references that cannot
//! be resolved yet; as soon as they can, a replacement with its whole body completes it (section 3.7.1), before anything else changes what it made.

mod reference;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use scim_protocol::messages::{BulkMethod, BulkOperation, Malformed};
use scim_protocol::schema::group_member::group_member;
use scim_protocol::{Error, ErrorKind, SchemaSet, TypeSchema};
use serde_json::Value;

pub(crate) use self::reference::Scope;

const REFERENCE: &str = "bulkId:";

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Run the operation at `index`.
    Run {
        /// Its place in the request.
        index: usize,
        /// Names that cannot be resolved yet; what refers to them is left out for now.
        without: Vec<String>,
    },
    /// Replace what the operation at `index` made with its whole body.
    Complete {
        /// Its place in the request.
        index: usize,
    },
}

/// The order of a request; an operation that is malformed is a step too, so that its error has its turn.
pub fn order(schemas: &SchemaSet, operations: &[Result<BulkOperation, Malformed>]) -> Vec<Step> {
    let mut defined = HashMap::new();
    for (index, operation) in operations.iter().enumerate() {
        if let Some(name) = operation.as_ref().ok().and_then(defines) {
            defined.entry(name).or_insert(index);
        }
    }
    let mut waits_for: Vec<BTreeSet<usize>> = Vec::with_capacity(operations.len());
    for operation in operations {
        let names = operation
            .as_ref()
            .map(|operation| references(schemas, operation))
            .unwrap_or_default();
        waits_for.push(
            names
                .iter()
                .filter_map(|name| defined.get(*name).copied())
                .collect(),
        );
    }
    sorted(operations, &waits_for)
}

/// Operations without open references first, by place; where none is left, a POST of the cycle goes without its references.
fn sorted(
    operations: &[Result<BulkOperation, Malformed>],
    waits_for: &[BTreeSet<usize>],
) -> Vec<Step> {
    let mut sorting = Sorting::new(operations, waits_for);
    loop {
        if let Some(index) = sorting.ready.pop_first() {
            sorting.run(index, Vec::new());
            continue;
        }
        let post = sorting
            .waiting
            .iter()
            .copied()
            .find(|index| operations.get(*index).is_some_and(is_post));
        let Some(index) = post else {
            return sorting.steps;
        };
        sorting.waiting.remove(&index);
        let lacks = sorting.open.get(index).cloned().unwrap_or_default();
        let without = names_of(operations, &lacks);
        sorting.lacking.insert(index, lacks);
        sorting.run(index, without);
    }
}

/// Operations on their way into an order.
struct Sorting<'a> {
    operations: &'a [Result<BulkOperation, Malformed>],
    /// What each still waits for.
    open: Vec<BTreeSet<usize>>,
    awaited_by: Vec<Vec<usize>>,
    ready: BTreeSet<usize>,
    waiting: BTreeSet<usize>,
    /// What the POSTs that went without references still lack.
    lacking: BTreeMap<usize, BTreeSet<usize>>,
    steps: Vec<Step>,
}

impl<'a> Sorting<'a> {
    fn new(
        operations: &'a [Result<BulkOperation, Malformed>],
        waits_for: &[BTreeSet<usize>],
    ) -> Self {
        let mut awaited_by: Vec<Vec<usize>> = vec![Vec::new(); operations.len()];
        for (index, names) in waits_for.iter().enumerate() {
            for target in names {
                if let Some(awaiting) = awaited_by.get_mut(*target) {
                    awaiting.push(index);
                }
            }
        }
        let waits = |index: &usize| waits_for.get(*index).is_some_and(|names| !names.is_empty());
        let (waiting, ready) = (0..operations.len()).partition(waits);
        let steps = Vec::with_capacity(operations.len());
        Self {
            operations,
            open: waits_for.to_vec(),
            awaited_by,
            ready,
            waiting,
            lacking: BTreeMap::new(),
            steps,
        }
    }

    fn run(&mut self, index: usize, without: Vec<String>) {
        self.steps.push(Step::Run { index, without });
        // What a POST refers to has to be there. What others change has to be whole as well: completing it afterwards would take their change back.
        let is_whole = !self.lacking.contains_key(&index);
        self.release(index, |operation| is_whole || is_post(operation));
        self.lacking.values_mut().for_each(|names| {
            names.remove(&index);
        });
        while let Some(index) = self
            .lacking
            .iter()
            .find(|(_, names)| names.is_empty())
            .map(|(index, _)| *index)
        {
            self.lacking.remove(&index);
            self.steps.push(Step::Complete { index });
            self.release(index, |_| true);
        }
    }

    /// The operations that waited for this one and need not wait for it any longer.
    fn release(
        &mut self,
        index: usize,
        may_go: impl Fn(&Result<BulkOperation, Malformed>) -> bool,
    ) {
        for follower in self.awaited_by.get(index).into_iter().flatten() {
            let Some(names) = self.open.get_mut(*follower) else {
                continue;
            };
            if !self.operations.get(*follower).is_some_and(&may_go) {
                continue;
            }
            names.remove(&index);
            if names.is_empty() && self.waiting.remove(follower) {
                self.ready.insert(*follower);
            }
        }
    }
}

fn is_post(operation: &Result<BulkOperation, Malformed>) -> bool {
    operation
        .as_ref()
        .is_ok_and(|operation| operation.method == BulkMethod::Post)
}

fn names_of(
    operations: &[Result<BulkOperation, Malformed>],
    indices: &BTreeSet<usize>,
) -> Vec<String> {
    let name = |index: &usize| {
        operations
            .get(*index)?
            .as_ref()
            .ok()
            .and_then(defines)
            .map(str::to_owned)
    };
    indices.iter().filter_map(name).collect()
}

/// The name that others may refer to; only what a POST makes has one.
fn defines(operation: &BulkOperation) -> Option<&str> {
    operation
        .bulk_id
        .as_deref()
        .filter(|_| operation.method == BulkMethod::Post)
}

/// The type that an operation is about: one of the tenant's, or the direct memberships of groups.
fn type_of<'a>(schemas: &'a SchemaSet, operation: &BulkOperation) -> Option<&'a TypeSchema> {
    let endpoint = operation
        .path
        .split('/')
        .find(|segment| !segment.is_empty())?;
    let membership = || group_member().filter(|_| endpoint.eq_ignore_ascii_case("GroupMembers"));
    schemas
        .by_endpoint(endpoint)
        .or_else(membership)
        .map(AsRef::as_ref)
}

fn references<'a>(schemas: &SchemaSet, operation: &'a BulkOperation) -> Vec<&'a str> {
    let mut names: Vec<&str> = operation
        .path
        .rsplit('/')
        .next()
        .and_then(|last| last.strip_prefix(REFERENCE))
        .into_iter()
        .collect();
    if let Some(data) = operation.data.as_ref().filter(|data| mentions(data)) {
        collect(
            Scope::of(type_of(schemas, operation), operation.method),
            data,
            &mut names,
        );
    }
    names
}

/// Whether a reference may be in it. Most bodies have none, and to find out which of their parts could hold one costs more than to store them.
fn mentions(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(REFERENCE),
        Value::Array(elements) => elements.iter().any(mentions),
        Value::Object(map) => map.values().any(mentions),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn collect<'a>(scope: Scope<'_>, value: &'a Value, names: &mut Vec<&'a str>) {
    match (scope, value) {
        (Scope::Text, _) | (_, Value::Null | Value::Bool(_) | Value::Number(_)) => {}
        (Scope::Path, Value::String(path)) => names.extend(in_path(path)),
        (scope, Value::String(text)) => {
            names.extend(text.strip_prefix(REFERENCE).filter(|_| scope.is_name()));
        }
        (scope, Value::Array(elements)) => elements
            .iter()
            .for_each(|element| collect(scope, element, names)),
        (scope, Value::Object(map)) => {
            let members = scope.members(map);
            map.iter()
                .for_each(|(name, value)| collect(members.named(name), value, names));
        }
    }
}

/// What the strings of a path's filter refer to: `members[value eq "bulkId:a"]`.
fn in_path(path: &str) -> impl Iterator<Item = &str> {
    path.split('"')
        .skip(1)
        .step_by(2)
        .filter_map(|text| text.strip_prefix(REFERENCE))
}

fn resolve_path(path: &mut String, ids: &HashMap<String, String>) -> Result<(), Error> {
    let resolved = |(place, part): (usize, &str)| match part.strip_prefix(REFERENCE) {
        Some(name) if place % 2 == 1 => id_of(name, ids).map(str::to_owned),
        _ => Ok(part.to_owned()),
    };
    // In one pass: a path may be as long as a body.
    let parts = path
        .split('"')
        .enumerate()
        .map(resolved)
        .collect::<Result<Vec<_>, _>>()?;
    *path = parts.join("\"");
    Ok(())
}

/// Puts ids in the place of references; refuses (409, RFC 7644 section 3.7.1) one that stands for nothing.
pub(crate) fn resolve(
    scope: Scope<'_>,
    value: &mut Value,
    ids: &HashMap<String, String>,
) -> Result<(), Error> {
    if mentions(value) {
        resolve_within(scope, value, ids)
    } else {
        Ok(())
    }
}

fn resolve_within(
    scope: Scope<'_>,
    value: &mut Value,
    ids: &HashMap<String, String>,
) -> Result<(), Error> {
    match (scope, value) {
        (Scope::Text, _) | (_, Value::Null | Value::Bool(_) | Value::Number(_)) => Ok(()),
        (Scope::Path, Value::String(path)) => resolve_path(path, ids),
        (scope, Value::String(text)) => {
            if let Some(name) = text.strip_prefix(REFERENCE).filter(|_| scope.is_name()) {
                *text = id_of(name, ids)?.to_owned();
            }
            Ok(())
        }
        (scope, Value::Array(elements)) => elements
            .iter_mut()
            .try_for_each(|element| resolve_within(scope, element, ids)),
        (scope, Value::Object(map)) => {
            let members = scope.members(map);
            map.iter_mut()
                .try_for_each(|(name, value)| resolve_within(members.named(name), value, ids))
        }
    }
}

/// The last segment of a path, resolved.
pub fn resolve_id(segment: &str, ids: &HashMap<String, String>) -> Result<String, Error> {
    match segment.strip_prefix(REFERENCE) {
        Some(name) => id_of(name, ids).map(str::to_owned),
        None => Ok(segment.to_owned()),
    }
}

fn id_of<'a>(name: &str, ids: &'a HashMap<String, String>) -> Result<&'a str, Error> {
    ids.get(name).map(String::as_str).ok_or_else(|| {
        let detail = format!("`{REFERENCE}{name}` refers to no resource that an operation of this request has made; use the `bulkId` of a POST that succeeds.");
        Error::new(ErrorKind::Conflict, detail)
    })
}

/// Leaves out what refers to these names: whole elements and complex attributes, because a part of one may not be valid.
pub(crate) fn leave_out(scope: Scope<'_>, body: &mut Value, names: &[String]) {
    // A body may have as many references as a request has names.
    let names: HashSet<&str> = names.iter().map(String::as_str).collect();
    keep(scope, body, &names);
}

fn keep(scope: Scope<'_>, value: &mut Value, names: &HashSet<&str>) -> bool {
    let refers = |scope: Scope<'_>, value: &Value| {
        let name = value
            .as_str()
            .filter(|_| scope.is_name())
            .and_then(|text| text.strip_prefix(REFERENCE));
        name.is_some_and(|name| names.contains(name))
    };
    match (scope, value) {
        (Scope::Text, _) => true,
        (scope, Value::Array(elements)) => {
            elements.retain_mut(|element| keep(scope, element, names));
            true
        }
        (scope, Value::Object(map)) => {
            let members = scope.members(map);
            // Attributes stand for themselves; what names a resource is nothing without it.
            if scope.is_name()
                && map
                    .iter()
                    .any(|(name, value)| refers(members.named(name), value))
            {
                return false;
            }
            map.retain(|name, value| keep(members.named(name), value, names));
            true
        }
        (scope, other) => !refers(scope, other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use scim_protocol::messages::{BULK_REQUEST_SCHEMA, BulkRequest};
    use scim_protocol::schema::standard::ENTERPRISE_USER;
    use serde_json::json;

    use super::*;

    fn operations(list: Value) -> Vec<Result<BulkOperation, Malformed>> {
        BulkRequest::from_body(json!({"schemas": [BULK_REQUEST_SCHEMA], "Operations": list}))
            .unwrap()
            .operations
    }

    fn post(name: &str, refers_to: &[&str]) -> Value {
        let members: Vec<Value> = refers_to
            .iter()
            .map(|name| json!({"value": format!("bulkId:{name}")}))
            .collect();
        json!({"method": "POST", "path": "/Groups", "bulkId": name, "data": {"displayName": name, "members": members}})
    }

    fn run(index: usize) -> Step {
        Step::Run {
            index,
            without: Vec::new(),
        }
    }

    #[test]
    fn orders() {
        let schemas = SchemaSet::standard();
        let check = |list: Value, expected: Vec<Step>| {
            assert_eq!(
                order(&schemas, &operations(list.clone())),
                expected,
                "{list}"
            );
        };
        check(
            json!([post("a", &[]), post("b", &["a"])]),
            vec![run(0), run(1)],
        );
        check(
            json!([post("a", &["b"]), post("b", &[])]),
            vec![run(1), run(0)],
        );
        check(
            json!([post("a", &["nobody"]), post("b", &[])]),
            vec![run(0), run(1)],
        );
        check(
            json!([{"method": "DELETE", "path": "/Users/bulkId:b"}, 7, post("b", &[])]),
            vec![run(1), run(2), run(0)],
        );
        let without = |name: &str| vec![name.to_owned()];
        check(
            json!([post("a", &["b"]), post("b", &["a"])]),
            vec![
                Step::Run {
                    index: 0,
                    without: without("b"),
                },
                run(1),
                Step::Complete { index: 0 },
            ],
        );
        check(
            json!([post("a", &["a"])]),
            vec![
                Step::Run {
                    index: 0,
                    without: without("a"),
                },
                Step::Complete { index: 0 },
            ],
        );
        // An operation that changes what a cycle made waits until the cycle is whole; one that only refers to it does not.
        let delete = json!({"method": "DELETE", "path": "/Groups/bulkId:a"});
        check(
            json!([
                post("a", &["b"]),
                delete,
                post("c", &["a"]),
                post("b", &["a", "c"])
            ]),
            vec![
                Step::Run {
                    index: 0,
                    without: without("b"),
                },
                run(2),
                run(3),
                Step::Complete { index: 0 },
                run(1),
            ],
        );
    }

    proptest! {
        /// Requests of a few operations that refer to each other, to themselves and to names that no operation has: two of three make something.
        #[test]
        fn everything_runs_once_after_what_it_needs(requests in vec((0..3_usize, vec(0..7_usize, 0..3)), 1..7)) {
            let makes = |index: usize| requests.get(index).is_some_and(|(kind, _)| *kind > 0);
            let name = |index: usize| format!("n{index}");
            let operation = |(index, (_, refers_to)): (usize, &(usize, Vec<usize>))| {
                let names: Vec<String> = refers_to.iter().map(|other| name(*other)).collect();
                let mut operation = post(&name(index), &names.iter().map(String::as_str).collect::<Vec<_>>());
                if !makes(index) {
                    operation["method"] = json!("PUT");
                    operation["path"] = json!("/Groups/1");
                }
                operation
            };
            let needs = |index: usize| requests[index].1.iter().copied().filter(|other| makes(*other)).collect::<BTreeSet<_>>();
            let (mut ran, mut lacking) = (BTreeSet::new(), BTreeSet::new());
            for step in order(&SchemaSet::standard(), &operations(requests.iter().enumerate().map(operation).collect())) {
                match step {
                    Step::Run { index, without } => {
                        let open: BTreeSet<String> = needs(index).difference(&ran).map(|other| name(*other)).collect();
                        prop_assert_eq!(&open, &without.iter().cloned().collect::<BTreeSet<_>>());
                        prop_assert!(makes(index) || (open.is_empty() && needs(index).is_disjoint(&lacking)), "it changes what is not whole");
                        prop_assert!(ran.insert(index), "it runs twice");
                        lacking.extend((!open.is_empty()).then_some(index));
                    }
                    Step::Complete { index } => {
                        prop_assert!(needs(index).is_subset(&ran), "it is completed too early");
                        prop_assert!(lacking.remove(&index), "it was whole");
                    }
                }
            }
            prop_assert_eq!((ran.len(), lacking.len()), (requests.len(), 0));
        }
    }

    fn schema(name: &str) -> std::sync::Arc<TypeSchema> {
        SchemaSet::standard().by_name(name).unwrap().clone()
    }

    /// What is left of a body when `bulkId:q` is `1` and nothing else is known.
    fn resolved(name: &str, method: BulkMethod, mut body: Value) -> Result<Value, ErrorKind> {
        let ids = HashMap::from([("q".to_owned(), "1".to_owned())]);
        let schema = schema(name);
        resolve(Scope::of(Some(&schema), method), &mut body, &ids)
            .map(|()| body)
            .map_err(|error| error.kind())
    }

    #[test]
    fn references_become_ids() {
        let group = |body: Value| resolved("Group", BulkMethod::Post, body);
        assert_eq!(
            group(
                json!({"members": [{"value": "bulkId:q"}, {"value": "2"}, "bulkId:q"], "displayName": "x"})
            ),
            Ok(json!({"members": [{"value": "1"}, {"value": "2"}, "1"], "displayName": "x"}))
        );
        assert_eq!(
            group(json!({"members": [{"value": "bulkId:z"}]})),
            Err(ErrorKind::Conflict)
        );
        let ids = HashMap::from([("q".to_owned(), "1".to_owned())]);
        assert_eq!(resolve_id("bulkId:q", &ids).unwrap(), "1");
        assert_eq!(resolve_id("77", &ids).unwrap(), "77");
    }

    #[test]
    fn only_what_names_a_resource_refers() {
        let same = |name: &str, method: BulkMethod, body: Value| {
            assert_eq!(resolved(name, method, body.clone()), Ok(body));
        };
        let becomes = |method: BulkMethod, body: Value, text: &str| {
            let expected =
                serde_json::from_str(&body.to_string().replace("bulkId:q", text)).unwrap();
            assert_eq!(resolved("User", method, body), Ok(expected));
        };
        same(
            "User",
            BulkMethod::Post,
            json!({"userName": "bulkId:q", "displayName": "bulkId:foo", "name": {"formatted": "bulkId:foo"},
                "emails": [{"value": "bulkId:foo"}], "urn:ietf:params:scim:schemas:core:2.0:User:title": "bulkId:q",
                ENTERPRISE_USER: {"department": "bulkId:foo", "manager": {"displayName": "bulkId:foo"}}}),
        );
        same(
            "Group",
            BulkMethod::Put,
            json!({"displayName": "bulkId:q", "members": [{"value": "2", "display": "bulkId:q"}]}),
        );
        let manager = format!("{ENTERPRISE_USER}:manager");
        becomes(
            BulkMethod::Post,
            json!({ENTERPRISE_USER: {"manager": {"value": "bulkId:q"}}}),
            "1",
        );
        becomes(
            BulkMethod::Post,
            json!({ENTERPRISE_USER: {"manager": "bulkId:q"}}),
            "1",
        );
        // As quirks read them.
        becomes(
            BulkMethod::Post,
            json!({(&manager): "bulkId:q", "manager.managerId": "bulkId:q"}),
            "1",
        );
        let patch = |operation: Value| json!({"schemas": [], "operations": [operation]});
        becomes(
            BulkMethod::Patch,
            patch(json!({"op": "add", "path": manager, "value": "bulkId:q"})),
            "1",
        );
        becomes(
            BulkMethod::Patch,
            patch(json!({"op": "add", "path": "manager", "value": {"value": "bulkId:q"}})),
            "1",
        );
        becomes(
            BulkMethod::Patch,
            patch(json!({"op": "add", "value": {ENTERPRISE_USER: {"manager": "bulkId:q"}}})),
            "1",
        );
        for operation in [
            json!({"op": "add", "path": "displayName", "value": "bulkId:q"}),
            json!({"op": "add", "path": "emails[value eq \"bulkId:q\"].type", "value": "bulkId:q"}),
            json!({"op": "add", "path": "emails", "value": [{"value": "bulkId:q"}]}),
            json!({"op": "add", "value": {"displayName": "bulkId:q"}}),
            json!({"op": "add", "path": format!("{manager}.displayName"), "value": "bulkId:q"}),
        ] {
            same("User", BulkMethod::Patch, patch(operation));
        }
        let members = |id: &str| {
            patch(json!({"op": "remove", "path": format!("members[value eq \"{id}\"]")}))
        };
        assert_eq!(
            resolved("Group", BulkMethod::Patch, members("bulkId:q")),
            Ok(members("1"))
        );
        assert_eq!(
            resolved("Group", BulkMethod::Patch, members("bulkId:z")),
            Err(ErrorKind::Conflict)
        );
    }

    #[test]
    fn what_refers_is_left_out_whole() {
        let leave = |name: &str, mut body: Value, left: Value| {
            leave_out(
                Scope::of(Some(&schema(name)), BulkMethod::Post),
                &mut body,
                &["q".to_owned()],
            );
            assert_eq!(body, left);
        };
        leave(
            "Group",
            json!({"members": [{"value": "bulkId:q", "type": "User"}, {"value": "2"}]}),
            json!({"members": [{"value": "2"}]}),
        );
        for manager in [
            json!({"value": "bulkId:q", "displayName": "d"}),
            json!("bulkId:q"),
        ] {
            let body = json!({"title": "bulkId:q", ENTERPRISE_USER: {"manager": manager, "department": "d"}});
            leave(
                "User",
                body,
                json!({"title": "bulkId:q", ENTERPRISE_USER: {"department": "d"}}),
            );
        }
    }
}
