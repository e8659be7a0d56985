//! Members of a group as values: which attribute holds them, and which ids a value names. What operations on them do is in `patch::member`.

use std::collections::HashMap;

use serde_json::Value;

use crate::error::{Error, ErrorKind};
use crate::schema::Attribute;
use crate::schema::set::TypeSchema;

/// The `members` attribute of a type that has one in its core schema.
pub fn members_attribute(schema: &TypeSchema) -> Option<&Attribute> {
    schema
        .core
        .attributes
        .iter()
        .find(|attribute| attribute.name == "members" && attribute.multi_valued)
}

/// The ids in a value of `members`: an array of elements, or one; an element is an object with `value`, or the id itself.
pub fn ids(value: Value) -> Result<Vec<String>, Error> {
    let elements = match value {
        Value::Array(elements) => elements,
        Value::Null => Vec::new(),
        one => vec![one],
    };
    let mut ids = OrderedSet::with_capacity(elements.len());
    for (index, element) in elements.into_iter().enumerate() {
        ids.insert(id(index, element)?);
    }
    Ok(ids.into_vec())
}

fn id(index: usize, element: Value) -> Result<String, Error> {
    let found = match element {
        Value::String(id) => Some(id),
        Value::Object(object) => object
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("value"))
            .and_then(|(_, value)| match value {
                Value::String(id) => Some(id),
                _ => None,
            }),
        _ => None,
    };
    found
        .filter(|id| !id.is_empty() && !id.contains('\0'))
        .ok_or_else(|| {
            let place = format!("members[{index}].value");
            Error::new(
                ErrorKind::InvalidValue,
                format!("`{place}` must be the id of the member, as a string."),
            )
            .at(place)
        })
}

/// Strings in order of first mention, with insertion and removal that do not depend on how many there are.
#[derive(Clone, Default)]
pub(crate) struct OrderedSet {
    places: HashMap<String, usize>,
    next: usize,
}

impl OrderedSet {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            places: HashMap::with_capacity(capacity),
            next: 0,
        }
    }

    pub(crate) fn insert(&mut self, text: String) {
        let next = self.next;
        self.places.entry(text).or_insert(next);
        self.next += 1;
    }

    pub(crate) fn remove(&mut self, text: &str) {
        self.places.remove(text);
    }

    pub(crate) fn contains(&self, text: &str) -> bool {
        self.places.contains_key(text)
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn into_vec(self) -> Vec<String> {
        let mut placed: Vec<(String, usize)> = self.places.into_iter().collect();
        placed.sort_unstable_by_key(|(_, place)| *place);
        placed.into_iter().map(|(text, _)| text).collect()
    }
}
