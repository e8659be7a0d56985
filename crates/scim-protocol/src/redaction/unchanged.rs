//! Whether redaction would leave the body of a POST or PUT as it is, found by reading over it once, without a tree. It says yes only
//! in plain cases; in every other case it says no, and the tree decides.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{NAME_CHARACTERS_MAX, is_urn};
use crate::schema::set::TypeSchema;
use crate::schema::{Attribute, AttributeType, Schema};

/// Whether this is JSON in which redaction would hide and shorten nothing. It may say no where that is so.
pub fn resource_stays(schema: &TypeSchema, body: &str) -> bool {
    let mut reader = serde_json::Deserializer::from_str(body);
    Plain::Resource(schema)
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .is_ok()
}

/// What stands at a place, as the schema has it.
#[derive(Clone, Copy)]
enum Plain<'a> {
    Resource(&'a TypeSchema),
    Extension(&'a Schema),
    Attribute(&'a Attribute),
    /// One of the values of a multi-valued attribute.
    Element(&'a Attribute),
    Urns,
    Urn,
}

/// The name of what comes next, in an object.
struct Name<'a>(Plain<'a>);

impl Plain<'_> {
    /// What stands under a name.
    fn under(self, name: &str) -> Option<Self> {
        let attribute = match self {
            Self::Resource(schema) => match schema.core_attribute(name) {
                Some(attribute) if attribute.name == "schemas" => return Some(Self::Urns),
                None => return schema.extension(name).map(Self::Extension),
                found => found,
            },
            Self::Extension(extension) => extension
                .attributes
                .iter()
                .find(|attribute| attribute.name.eq_ignore_ascii_case(name)),
            Self::Attribute(attribute) | Self::Element(attribute) => attribute.sub_attribute(name),
            Self::Urns | Self::Urn => None,
        };
        attribute
            .filter(|attribute| attribute.is_readable())
            .map(Self::Attribute)
    }

    /// What an element of a list of them is.
    fn element(self) -> Option<Self> {
        match self {
            Self::Attribute(attribute) => Some(Self::Element(attribute)),
            Self::Urns => Some(Self::Urn),
            Self::Resource(_) | Self::Extension(_) | Self::Element(_) | Self::Urn => None,
        }
    }

    /// Whether a single value may stand there.
    fn takes_single(self, text: Option<&str>) -> bool {
        match (self, text) {
            (Self::Attribute(attribute) | Self::Element(attribute), Some(_)) => {
                attribute.kind != AttributeType::Complex
            }
            (Self::Attribute(_) | Self::Element(_), None) => true,
            (Self::Urns | Self::Urn, Some(text)) => {
                is_urn(text) && text.len() <= NAME_CHARACTERS_MAX
            }
            (Self::Urns | Self::Urn, None) | (Self::Resource(_) | Self::Extension(_), _) => false,
        }
    }

    fn single<E: Error>(self, text: Option<&str>) -> Result<(), E> {
        if self.takes_single(text) {
            Ok(())
        } else {
            Err(not_plain())
        }
    }
}

fn not_plain<E: Error>() -> E {
    E::custom("not plain")
}

impl<'de> DeserializeSeed<'de> for Plain<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("what the schema has")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(next) = map.next_key_seed(Name(self))? {
            map.next_value_seed(next)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let element = self.element().ok_or_else(not_plain)?;
        while sequence.next_element_seed(element)?.is_some() {}
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.single(Some(text))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.single(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.single(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.single(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.single(None)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.single(None)
    }
}

impl<'de, 'a> DeserializeSeed<'de> for Name<'a> {
    type Value = Plain<'a>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Plain<'a>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Name<'a> {
    type Value = Plain<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Plain<'a>, E> {
        self.0.under(name).ok_or_else(not_plain)
    }
}
