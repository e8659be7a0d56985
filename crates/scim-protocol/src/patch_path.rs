//! The path of a PATCH operation, parsed and printed, and the element that its filter describes (RFC 7644 section 3.5.2). Changes no resource.

use std::fmt;

use serde_json::{Map, Value};

use crate::attribute_path::AttributePath;
use crate::error::{Error, ErrorKind};
use crate::filter::parse::parse_value_path;
use crate::filter::{CompareOp, Filter, FilterLimits};
use crate::schema::{Attribute, AttributeType};

/// URN of the PATCH message.
pub const PATCH_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// The path of an operation: `attribute`, `attribute.sub`, `attribute[filter]` or `attribute[filter].sub`, each with a schema URN in front or not.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchPath {
    /// The attribute; `attribute.sub_attribute` only where there is no filter.
    pub attribute: AttributePath,
    /// Which elements.
    pub filter: Option<Filter>,
    /// The sub-attribute after a filter.
    pub sub_attribute: Option<String>,
}

impl PatchPath {
    /// Parses a path; `invalidPath` with the position.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let parts = parse_value_path(text, FilterLimits::default())
            .map_err(|error| error.of_kind(ErrorKind::InvalidPath).at(text))?;
        Ok(Self {
            attribute: parts.attribute,
            filter: parts.filter,
            sub_attribute: parts.sub_attribute,
        })
    }

    /// A path without a filter.
    pub fn plain(attribute: AttributePath) -> Self {
        Self {
            attribute,
            filter: None,
            sub_attribute: None,
        }
    }

    /// The name of the sub-attribute, wherever it stands.
    pub(crate) fn sub_name(&self) -> Option<&str> {
        self.sub_attribute
            .as_deref()
            .or(self.attribute.sub_attribute.as_deref())
    }
}

impl fmt::Display for PatchPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.attribute)?;
        if let Some(filter) = &self.filter {
            write!(f, "[{filter}]")?;
        }
        match &self.sub_attribute {
            Some(name) => write!(f, ".{name}"),
            None => Ok(()),
        }
    }
}

/// The element that a filter of `eq` terms describes; `None` where it says anything else.
pub(crate) fn element_from(attribute: &Attribute, filter: &Filter) -> Option<Map<String, Value>> {
    match filter {
        Filter::And(all) => all.iter().try_fold(Map::new(), |mut element, filter| {
            element.extend(element_from(attribute, filter)?);
            Some(element)
        }),
        Filter::Compare {
            path,
            op: CompareOp::Eq,
            value,
        } => {
            let sub = attribute.sub_attribute(&path.attribute)?;
            let value = match (sub.kind, value) {
                (AttributeType::Boolean, Value::String(text)) => {
                    Value::Bool(text.eq_ignore_ascii_case("true"))
                }
                (_, value) => value.clone(),
            };
            Some(Map::from_iter([(sub.name.clone(), value)]))
        }
        _ => None,
    }
}
