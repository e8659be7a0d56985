//! A resource that has been checked: canonical names, right types, nothing unknown.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// A list that is no longer is compared value by value: that is faster than to hash them.
const SHORT: usize = 8;

/// A resource whose names are spelled as in its schema and whose values have the schema's types. Built by `validate` and `patch::apply`, and by
/// `trusted` from what the store returns. Holds `schemas`, `externalId`, core attributes and extension objects; never `id`, `meta`, `groups` of a
/// User or `members` of a Group: those are added when it is rendered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ValidResource {
    document: Map<String, Value>,
}

impl ValidResource {
    /// What the store returns was valid when it was written.
    pub fn trusted(document: Map<String, Value>) -> Self {
        Self { document }
    }
    /// The document.
    pub fn document(&self) -> &Map<String, Value> {
        &self.document
    }
    /// The document, by value.
    pub fn into_document(self) -> Map<String, Value> {
        self.document
    }
    /// A top-level attribute by its canonical name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.document.get(name)
    }
    /// Whether both hold the same, in any order.
    pub fn is_same(&self, other: &Self) -> bool {
        have_same(&self.document, &other.document)
    }
}

/// Whether two values are the same. The order of the values of a multi-valued attribute means nothing (RFC 7643 section 2.4), their number does.
pub fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => have_same(a, b),
        (Value::Array(a), Value::Array(b)) => a == b || (a.len() == b.len() && are_same(a, b)),
        _ => a == b,
    }
}

fn have_same(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    a.len() == b.len()
        && a.iter()
            .all(|(name, value)| b.get(name).is_some_and(|other| is_same(value, other)))
}

fn are_same(a: &[Value], b: &[Value]) -> bool {
    let mut left: Vec<&Value> = b.iter().collect();
    a.iter().all(|element| {
        left.iter()
            .position(|other| is_same(element, other))
            .map(|place| left.remove(place))
            .is_some()
    })
}

/// Leaves every value once: of the same values the first.
pub(crate) fn distinct(values: &mut Vec<Value>) {
    let again: Vec<bool> = if values.len() <= SHORT {
        values
            .iter()
            .enumerate()
            .map(|(place, value)| values.iter().take(place).any(|before| before == value))
            .collect()
    } else {
        let mut seen = HashSet::with_capacity(values.len());
        values.iter().map(|value| !seen.insert(value)).collect()
    };
    let mut again = again.into_iter();
    values.retain(|_| again.next() != Some(true));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_values_means_nothing_and_their_number_does() {
        let check = |a: Value, b: Value, expected: bool| {
            assert_eq!(
                (is_same(&a, &b), is_same(&b, &a)),
                (expected, expected),
                "{a} {b}"
            );
        };
        check(json!([1, 2, 2]), json!([2, 1, 2]), true);
        check(json!([1, 2, 2]), json!([1, 1, 2]), false);
        check(json!([1, 2]), json!([1, 2, 2]), false);
        check(
            json!({"a": [{"b": ["x", "y"]}, 1]}),
            json!({"a": [1, {"b": ["y", "x"]}]}),
            true,
        );
        check(json!({"a": 1, "b": 2}), json!({"b": 2, "a": 1}), true);
        check(json!({"a": 1}), json!({"a": 1, "b": null}), false);
        check(json!([]), json!({}), false);
        check(json!("x"), json!(["x"]), false);
    }

    #[test]
    fn every_value_is_left_once() {
        let check = |values: Vec<Value>, expected: Vec<Value>| {
            let mut left = values.clone();
            distinct(&mut left);
            assert_eq!(left, expected, "{values:?}");
        };
        check(
            vec![
                json!(1),
                json!("1"),
                json!(1),
                json!({"a": 1, "b": 2}),
                json!({"b": 2, "a": 1}),
            ],
            vec![json!(1), json!("1"), json!({"a": 1, "b": 2})],
        );
        let numbers = |most: usize| {
            (0..most)
                .map(|number| json!({"value": number, "type": "x"}))
                .collect::<Vec<_>>()
        };
        check([numbers(50), numbers(60)].concat(), numbers(60));
        check(Vec::new(), Vec::new());
    }
}
