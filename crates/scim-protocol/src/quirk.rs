//! Named deviations of clients from the RFCs: what each is, who sends it, and the sets of them that a tenant may choose.
//!
//! Most are pure rewrites of what came into what the RFC would have had (`quirk/`). Those that need the resource itself, or a decision at the place where
//! the RFC says otherwise, are asked for with `QuirkSet::has` by `validate` and `patch`; the rewrites only report them.

mod adaptation;
mod catalogue;
mod patch;
mod question;
mod resource;
mod rewrite;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub use self::adaptation::{Adaptation, Adaptations};
pub use self::catalogue::{Example, Message};
pub use self::question::{
    normalize_bulk, normalize_filter, normalize_projection, normalize_query, normalize_search,
    normalize_sort,
};
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
    ReferenceId,
    SeveralPrimaries,
    EmptyForNone,
    NumberString,
    PatchAsResource,
    EmptyParameter,
    ExtensionNames,
    NamedValue,
    ZeroFailOnErrors,
    ValuePathNames,
}

impl Quirk {
    /// All of them.
    pub const ALL: [Self; 24] = [
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
        Self::ReferenceId,
        Self::SeveralPrimaries,
        Self::EmptyForNone,
        Self::NumberString,
        Self::PatchAsResource,
        Self::EmptyParameter,
        Self::ExtensionNames,
        Self::NamedValue,
        Self::ZeroFailOnErrors,
        Self::ValuePathNames,
    ];

    /// The quirk with this name (`op-case`).
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|quirk| quirk.name() == name)
    }
}

impl Serialize for Quirk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Quirk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::by_name(&name).ok_or_else(|| D::Error::custom(format!("there is no quirk `{name}`")))
    }
}

/// A set of quirks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuirkSet {
    bits: u32,
}

impl QuirkSet {
    /// None: the RFC to the letter.
    pub const fn strict() -> Self {
        Self { bits: 0 }
    }

    /// Every one of them: what the large identity providers are known to send.
    pub fn standard() -> Self {
        Self::of(&Quirk::ALL)
    }

    /// These and no others.
    pub fn of(quirks: &[Quirk]) -> Self {
        Self {
            bits: quirks.iter().fold(0, |bits, quirk| bits | bit(*quirk)),
        }
    }

    /// Whether a quirk is tolerated.
    pub fn has(&self, quirk: Quirk) -> bool {
        self.bits & bit(quirk) != 0
    }

    /// Those that are in it.
    pub fn iter(&self) -> impl Iterator<Item = Quirk> + use<> {
        let set = self.clone();
        Quirk::ALL.into_iter().filter(move |quirk| set.has(*quirk))
    }
}

fn bit(quirk: Quirk) -> u32 {
    1 << quirk as u32
}

/// Rewrites a POST or PUT body; returns the adaptations in their order. A deviation that no quirk covers stays as it came, and `validate` refuses it.
pub fn normalize_resource(set: &QuirkSet, schema: &TypeSchema, body: &mut Value) -> Adaptations {
    let mut rewrite = Rewrite::new(set, schema);
    resource::normalize(&mut rewrite, body);
    rewrite.into_adaptations()
}

/// Rewrites a PATCH body before it is parsed; returns the adaptations in their order. `ElementFromFilter` is not among it: whether it acts
/// depends on the resource.
pub fn normalize_patch(set: &QuirkSet, schema: &TypeSchema, body: &mut Value) -> Adaptations {
    let mut rewrite = Rewrite::new(set, schema);
    patch::normalize(&mut rewrite, body);
    rewrite.into_adaptations()
}

#[cfg(test)]
mod tests;
