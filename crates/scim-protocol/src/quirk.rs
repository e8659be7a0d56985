//! Named deviations of clients from the RFCs: what each is, who sends it, and the sets of them that a tenant may choose.
//!
//! Most are pure rewrites of what came into what the RFC would have had (`quirk/`). Those that need the resource itself, or a decision at the place where
//! the RFC says otherwise, are asked for with `QuirkSet::has` by `validate` and `patch`; the rewrites only report them.

mod catalogue;
mod patch;
mod resource;
mod rewrite;

use serde_json::Value;

pub use self::catalogue::{Example, Message};
use self::rewrite::Rewrite;
use crate::schema::set::TypeSchema;

/// A deviation that a tenant may tolerate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is described by `Quirk::description`")]
pub enum Quirk {
    OpCase,
    BooleanString,
    RemoveMembersByValue,
    ElementFromFilter,
    PathKeys,
    ReferenceAsString,
    IgnoreReadOnly,
    IgnoreUnknown,
    MissingSchemas,
    SingleAsArray,
    StringifiedJson,
    OlderSchemaUrn,
    EmptyOperations,
    WrappedSingleValue,
}

impl Quirk {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::OpCase,
        Self::BooleanString,
        Self::RemoveMembersByValue,
        Self::ElementFromFilter,
        Self::PathKeys,
        Self::ReferenceAsString,
        Self::IgnoreReadOnly,
        Self::IgnoreUnknown,
        Self::MissingSchemas,
        Self::SingleAsArray,
        Self::StringifiedJson,
        Self::OlderSchemaUrn,
        Self::EmptyOperations,
        Self::WrappedSingleValue,
    ];

    /// The quirk with this name (`op-case`).
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|quirk| quirk.name() == name)
    }
}

/// A set of quirks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuirkSet {
    quirks: Vec<Quirk>,
}

impl QuirkSet {
    /// None: the RFC to the letter.
    pub fn strict() -> Self {
        Self { quirks: Vec::new() }
    }

    /// The default: every dialect known to be sent by a large identity provider.
    pub fn standard() -> Self {
        Self { quirks: Quirk::ALL.to_vec() }
    }

    /// These and no others.
    pub fn of(quirks: &[Quirk]) -> Self {
        Self { quirks: quirks.to_vec() }
    }

    /// `strict` or `standard`.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "strict" => Some(Self::strict()),
            "standard" => Some(Self::standard()),
            _ => None,
        }
    }

    /// Whether a quirk is tolerated.
    pub fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }
}

/// Rewrites a POST or PUT body; says which quirks acted, in the order in which they were met. What no quirk covers stays as it came, for `validate` to
/// refuse.
pub fn normalize_resource(set: &QuirkSet, schema: &TypeSchema, body: &mut Value) -> Vec<Quirk> {
    let mut rewrite = Rewrite::new(set, schema);
    resource::normalize(&mut rewrite, body);
    rewrite.into_acted()
}

/// Rewrites a PATCH body before it is parsed; says which quirks acted, in the order in which they were met. `ElementFromFilter` is not among them: whether
/// it acts depends on the resource.
pub fn normalize_patch(set: &QuirkSet, schema: &TypeSchema, body: &mut Value) -> Vec<Quirk> {
    let mut rewrite = Rewrite::new(set, schema);
    patch::normalize(&mut rewrite, body);
    rewrite.into_acted()
}

#[cfg(test)]
mod tests;
