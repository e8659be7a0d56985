//! Named deviations of clients from the RFCs: what each is, who sends it, and the sets of them that a tenant may choose.
//!
//! Most are pure rewrites of what came into what the RFC would have had (`quirk/`). Those that need the resource itself, or a decision at the place where
//! the RFC says otherwise, are asked for with `QuirkSet::has` by `validate` and `patch`; the rewrites only report them.

mod adaptation;
mod catalogue;
mod patch;
mod resource;
mod rewrite;

use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub use self::adaptation::{Adaptation, Adaptations};
pub use self::catalogue::{Example, Message};
use self::rewrite::Rewrite;
use crate::error::Error;
use crate::filter::{Filter, wrong_value};
use crate::schema::AttributeType;
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
}

impl Quirk {
    /// All of them.
    pub const ALL: [Self; 20] = [
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
        Self { bits: quirks.iter().fold(0, |bits, quirk| bits | bit(*quirk)) }
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

/// Rewrites a POST or PUT body; says what was adapted, in the order in which it was met. What no quirk covers stays as it came, for `validate` to refuse.
pub fn normalize_resource(set: &QuirkSet, schema: &TypeSchema, body: &mut Value) -> Adaptations {
    let mut rewrite = Rewrite::new(set, schema);
    resource::normalize(&mut rewrite, body);
    rewrite.into_adaptations()
}

/// Rewrites a PATCH body before it is parsed; says what was adapted, in the order in which it was met. `ElementFromFilter` is not among it: whether it acts
/// depends on the resource.
pub fn normalize_patch(set: &QuirkSet, schema: &TypeSchema, body: &mut Value) -> Adaptations {
    let mut rewrite = Rewrite::new(set, schema);
    patch::normalize(&mut rewrite, body);
    rewrite.into_adaptations()
}

/// Leaves out query parameters that have a name and nothing else; says which.
pub fn normalize_query(set: &QuirkSet, parameters: &mut Vec<(String, String)>) -> Adaptations {
    let mut adaptations = Adaptations::default();
    if set.has(Quirk::EmptyParameter) {
        // An empty `cursor` asks for the first page (RFC 9865), and an empty list of attributes is one.
        let names = ["filter", "sortBy", "sortOrder", "startIndex", "count"];
        parameters.retain(|(name, value)| {
            let known = names.into_iter().find(|known| known.eq_ignore_ascii_case(name)).filter(|_| value.trim().is_empty());
            if let Some(name) = known {
                adaptations.note(Quirk::EmptyParameter, name, || format!("ignored the parameter `{name}`, which has no value"));
            }
            known.is_none()
        });
    }
    adaptations
}

/// Rewrites a `.search` body before it is read: numbers in quotes. Says what was adapted.
pub fn normalize_search(set: &QuirkSet, body: &mut Value) -> Adaptations {
    let mut adaptations = Adaptations::default();
    let Value::Object(body) = body else { return adaptations };
    for name in ["startIndex", "count"] {
        let of_name = body.iter_mut().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        for (_, value) in of_name.filter(|_| set.has(Quirk::NumberString)) {
            if let Some(number) = value.as_str().and_then(|text| text.trim().parse::<i64>().ok()) {
                adaptations.note(Quirk::NumberString, name, || format!("accepted a number in quotes for `{name}`"));
                *value = number.into();
            }
        }
    }
    adaptations
}

/// Says where a filter has `"True"` for a boolean; refuses it (`invalidFilter`) where no quirk allows that.
pub fn check_filter(set: &QuirkSet, types: &[Arc<TypeSchema>], filter: &Filter) -> Result<Adaptations, Error> {
    let mut adaptations = Adaptations::default();
    for (path, text) in filter.strings_for_booleans(types) {
        if !set.has(Quirk::BooleanString) {
            return Err(wrong_value(&path, AttributeType::Boolean, &Value::from(text)));
        }
        let place = path.to_string();
        adaptations.note(Quirk::BooleanString, &place, || format!("accepted `\"{text}\"` for `{path}` in a filter"));
    }
    Ok(adaptations)
}

#[cfg(test)]
mod tests;
