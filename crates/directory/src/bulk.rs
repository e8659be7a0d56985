//! Bulk requests (RFC 7644 section 3.7): in which order operations can run, what their `bulkId` references stand for, and how cycles are broken.
//! Does not run them: that is `directory`.
//!
//! An operation runs after those it refers to, otherwise in the order of the client. In a cycle one POST runs first without the references that cannot
//! be resolved yet; as soon as they can, a replacement with its whole body completes it (section 3.7.1), before anything else changes what it made.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use scim_protocol::messages::{BulkMethod, BulkOperation, Malformed};
use scim_protocol::{Error, ErrorKind};
use serde_json::Value;

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
pub fn order(operations: &[Result<BulkOperation, Malformed>]) -> Vec<Step> {
    let mut defined = HashMap::new();
    for (index, operation) in operations.iter().enumerate() {
        if let Some(name) = operation.as_ref().ok().and_then(defines) {
            defined.entry(name).or_insert(index);
        }
    }
    let mut waits_for: Vec<BTreeSet<usize>> = Vec::with_capacity(operations.len());
    for operation in operations {
        let names = operation.as_ref().map(references).unwrap_or_default();
        waits_for.push(names.iter().filter_map(|name| defined.get(*name).copied()).collect());
    }
    sorted(operations, &waits_for)
}

/// Operations without open references first, by place; where none is left, a POST of the cycle goes without its references.
fn sorted(operations: &[Result<BulkOperation, Malformed>], waits_for: &[BTreeSet<usize>]) -> Vec<Step> {
    let mut sorting = Sorting::new(operations, waits_for);
    loop {
        if let Some(index) = sorting.ready.pop_first() {
            sorting.run(index, Vec::new());
            continue;
        }
        let post = sorting.waiting.iter().copied().find(|index| operations.get(*index).is_some_and(is_post));
        let Some(index) = post else { return sorting.steps };
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
    fn new(operations: &'a [Result<BulkOperation, Malformed>], waits_for: &[BTreeSet<usize>]) -> Self {
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
        Self { operations, open: waits_for.to_vec(), awaited_by, ready, waiting, lacking: BTreeMap::new(), steps }
    }

    fn run(&mut self, index: usize, without: Vec<String>) {
        self.steps.push(Step::Run { index, without });
        // What a POST refers to has to be there. What others change has to be whole as well: completing it afterwards would take their change back.
        let is_whole = !self.lacking.contains_key(&index);
        self.release(index, |operation| is_whole || is_post(operation));
        self.lacking.values_mut().for_each(|names| {
            names.remove(&index);
        });
        while let Some(index) = self.lacking.iter().find(|(_, names)| names.is_empty()).map(|(index, _)| *index) {
            self.lacking.remove(&index);
            self.steps.push(Step::Complete { index });
            self.release(index, |_| true);
        }
    }

    /// Those of whoever waits for this operation that need to wait for it no longer.
    fn release(&mut self, index: usize, may_go: impl Fn(&Result<BulkOperation, Malformed>) -> bool) {
        for follower in self.awaited_by.get(index).into_iter().flatten() {
            let Some(names) = self.open.get_mut(*follower) else { continue };
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
    operation.as_ref().is_ok_and(|operation| operation.method == BulkMethod::Post)
}

fn names_of(operations: &[Result<BulkOperation, Malformed>], indices: &BTreeSet<usize>) -> Vec<String> {
    let name = |index: &usize| operations.get(*index)?.as_ref().ok().and_then(defines).map(str::to_owned);
    indices.iter().filter_map(name).collect()
}

/// The name that others may refer to; only what a POST makes has one.
fn defines(operation: &BulkOperation) -> Option<&str> {
    operation.bulk_id.as_deref().filter(|_| operation.method == BulkMethod::Post)
}

fn references(operation: &BulkOperation) -> Vec<&str> {
    let mut names: Vec<&str> = operation.path.rsplit('/').next().and_then(|last| last.strip_prefix(REFERENCE)).into_iter().collect();
    if let Some(data) = &operation.data {
        collect(data, &mut names);
    }
    names
}

fn collect<'a>(value: &'a Value, names: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => names.extend(text.strip_prefix(REFERENCE)),
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, names)),
        Value::Object(map) => map.iter().for_each(|(name, value)| match value {
            Value::String(path) if is_path(name, path) => names.extend(in_path(path)),
            value => collect(value, names),
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether this is the `path` of a PATCH, whose filter may refer to somebody: `members[value eq "bulkId:a"]`.
fn is_path(name: &str, value: &str) -> bool {
    name.eq_ignore_ascii_case("path") && !value.starts_with(REFERENCE)
}

/// What the strings of a path's filter refer to.
fn in_path(path: &str) -> impl Iterator<Item = &str> {
    path.split('"').skip(1).step_by(2).filter_map(|text| text.strip_prefix(REFERENCE))
}

fn resolve_path(path: &mut String, ids: &HashMap<String, String>) -> Result<(), Error> {
    let resolved = |(place, part): (usize, &str)| match part.strip_prefix(REFERENCE) {
        Some(name) if place % 2 == 1 => id_of(name, ids).map(str::to_owned),
        _ => Ok(part.to_owned()),
    };
    // In one pass: a path may be as long as a body.
    let parts = path.split('"').enumerate().map(resolved).collect::<Result<Vec<_>, _>>()?;
    *path = parts.join("\"");
    Ok(())
}

/// Puts ids in the place of references; refuses (409, RFC 7644 section 3.7.1) one that stands for nothing.
pub fn resolve(value: &mut Value, ids: &HashMap<String, String>) -> Result<(), Error> {
    match value {
        Value::String(text) => {
            if let Some(name) = text.strip_prefix(REFERENCE) {
                *text = id_of(name, ids)?.to_owned();
            }
            Ok(())
        }
        Value::Array(elements) => elements.iter_mut().try_for_each(|element| resolve(element, ids)),
        Value::Object(map) => map.iter_mut().try_for_each(|(name, value)| match value {
            Value::String(path) if is_path(name, path) => resolve_path(path, ids),
            value => resolve(value, ids),
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
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
        let detail = format!("`{REFERENCE}{name}` refers to no resource that an operation of this request has made; accepted is the `bulkId` of a POST that succeeds.");
        Error::new(ErrorKind::Conflict, detail)
    })
}

/// Leaves out what refers to these names: whole elements and complex attributes, because a part of one may not be valid.
pub fn leave_out(body: &mut Value, names: &[String]) {
    let Value::Object(map) = body else { return };
    map.retain(|_, value| keep(value, names));
}

fn keep(value: &mut Value, names: &[String]) -> bool {
    let refers = |value: &Value| {
        let name = value.as_str().and_then(|text| text.strip_prefix(REFERENCE));
        name.is_some_and(|name| names.iter().any(|own| own == name))
    };
    match value {
        Value::Array(elements) => {
            elements.retain_mut(|element| keep(element, names));
            true
        }
        Value::Object(map) => {
            if map.values().any(refers) {
                return false;
            }
            map.retain(|_, value| keep(value, names));
            true
        }
        other => !refers(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use scim_protocol::messages::{BULK_REQUEST_SCHEMA, BulkRequest};
    use serde_json::json;

    use super::*;

    fn operations(list: Value) -> Vec<Result<BulkOperation, Malformed>> {
        BulkRequest::from_body(json!({"schemas": [BULK_REQUEST_SCHEMA], "Operations": list})).unwrap().operations
    }

    fn post(name: &str, refers_to: &[&str]) -> Value {
        let members: Vec<Value> = refers_to.iter().map(|name| json!({"value": format!("bulkId:{name}")})).collect();
        json!({"method": "POST", "path": "/Groups", "bulkId": name, "data": {"displayName": name, "members": members}})
    }

    fn run(index: usize) -> Step {
        Step::Run { index, without: Vec::new() }
    }

    #[test]
    fn orders() {
        let check = |list: Value, expected: Vec<Step>| assert_eq!(order(&operations(list.clone())), expected, "{list}");
        check(json!([post("a", &[]), post("b", &["a"])]), vec![run(0), run(1)]);
        check(json!([post("a", &["b"]), post("b", &[])]), vec![run(1), run(0)]);
        check(json!([post("a", &["nobody"]), post("b", &[])]), vec![run(0), run(1)]);
        check(json!([{"method": "DELETE", "path": "/Users/bulkId:b"}, 7, post("b", &[])]), vec![run(1), run(2), run(0)]);
        let without = |name: &str| vec![name.to_owned()];
        check(
            json!([post("a", &["b"]), post("b", &["a"])]),
            vec![Step::Run { index: 0, without: without("b") }, run(1), Step::Complete { index: 0 }],
        );
        check(json!([post("a", &["a"])]), vec![Step::Run { index: 0, without: without("a") }, Step::Complete { index: 0 }]);
        // Whoever changes what a cycle made waits until it is whole; whoever only refers to it does not.
        let delete = json!({"method": "DELETE", "path": "/Groups/bulkId:a"});
        check(
            json!([post("a", &["b"]), delete, post("c", &["a"]), post("b", &["a", "c"])]),
            vec![Step::Run { index: 0, without: without("b") }, run(2), run(3), Step::Complete { index: 0 }, run(1)],
        );
    }

    proptest! {
        /// Requests of a few operations that refer to each other, to themselves and to nobody: two of three make something.
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
            for step in order(&operations(requests.iter().enumerate().map(operation).collect())) {
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

    #[test]
    fn references_become_ids() {
        let ids = HashMap::from([("q".to_owned(), "1".to_owned())]);
        let mut body = json!({"members": [{"value": "bulkId:q"}, {"value": "2"}], "displayName": "x"});
        resolve(&mut body, &ids).unwrap();
        assert_eq!(body, json!({"members": [{"value": "1"}, {"value": "2"}], "displayName": "x"}));
        let refused = resolve(&mut json!({"members": [{"value": "bulkId:z"}]}), &ids).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert_eq!(resolve_id("bulkId:q", &ids).unwrap(), "1");
        assert_eq!(resolve_id("77", &ids).unwrap(), "77");
    }

    #[test]
    fn what_refers_is_left_out_whole() {
        let mut body = json!({
            "members": [{"value": "bulkId:q", "type": "User"}, {"value": "2"}],
            "urn:x": {"manager": {"value": "bulkId:q"}, "department": "d"}
        });
        leave_out(&mut body, &["q".to_owned()]);
        assert_eq!(body, json!({"members": [{"value": "2"}], "urn:x": {"department": "d"}}));
    }
}
