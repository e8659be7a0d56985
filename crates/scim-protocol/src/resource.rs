//! A resource that has been checked: canonical names, right types, nothing unknown.

use serde_json::{Map, Value};

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
}
