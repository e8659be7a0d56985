//! Attribute characteristics (RFC 7643 section 2.2) and schemas (section 7) as data. Does not look at resources.

pub mod group_member;
pub mod optional;
pub mod set;
pub mod standard;

use serde::{Deserialize, Serialize};

/// RFC 7643 section 2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum AttributeType {
    String,
    Boolean,
    Decimal,
    Integer,
    DateTime,
    Binary,
    Reference,
    Complex,
}

/// RFC 7643 section 7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum Mutability {
    ReadOnly,
    #[default]
    ReadWrite,
    Immutable,
    WriteOnly,
}

/// RFC 7643 section 7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum Returned {
    Always,
    Never,
    #[default]
    Default,
    Request,
}

/// RFC 7643 section 7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum Uniqueness {
    #[default]
    None,
    Server,
    Global,
}

/// One attribute or sub-attribute with all its characteristics (RFC 7643 section 7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the characteristics are the RFC's"
)]
pub struct Attribute {
    /// Its name, in the case in which it is returned.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: AttributeType,
    /// Sub-attributes of a complex attribute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub_attributes: Vec<Attribute>,
    /// Whether it holds several values.
    #[serde(default)]
    pub multi_valued: bool,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Whether it must be there.
    #[serde(default)]
    pub required: bool,
    /// Suggested values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canonical_values: Vec<String>,
    /// Whether strings are compared with case.
    #[serde(default)]
    pub case_exact: bool,
    /// Who may change it, and when.
    #[serde(default)]
    pub mutability: Mutability,
    /// When it is in an answer.
    #[serde(default)]
    pub returned: Returned,
    /// Among which resources its value is unique.
    #[serde(default)]
    pub uniqueness: Uniqueness,
    /// What a reference may point at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference_types: Vec<String>,
    /// Whether the store keeps an index for it (ours; an extension of the RFC's schema document).
    #[serde(default, rename = "x-indexed", skip_serializing_if = "is_false")]
    pub indexed: bool,
    /// Whether no other values than the canonical ones are accepted (ours too).
    #[serde(default, rename = "x-enforced", skip_serializing_if = "is_false")]
    pub enforced: bool,
    /// The only forms of its strings; `X` stands for a hexadecimal digit, anything else for itself (ours too). None: any form.
    #[serde(default, rename = "x-forms", skip_serializing_if = "Vec::is_empty")]
    pub forms: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Attribute {
    /// A sub-attribute by its name, without case; for multi-valued complex attributes also the default ones of RFC 7643 section 2.4.
    pub fn sub_attribute(&self, name: &str) -> Option<&Attribute> {
        let declared = self
            .sub_attributes
            .iter()
            .find(|attribute| attribute.name.eq_ignore_ascii_case(name));
        match declared {
            None if self.multi_valued && self.kind == AttributeType::Complex => {
                standard::default_sub_attribute(name)
            }
            declared => declared,
        }
    }

    /// Whether `sub` is its `primary`, which is false for a value that does not say it (RFC 7643 section 2.4).
    pub fn is_primary(&self, sub: &Attribute) -> bool {
        let is_flag = sub.kind == AttributeType::Boolean && !sub.multi_valued;
        self.multi_valued && is_flag && sub.name.eq_ignore_ascii_case("primary")
    }

    /// Whether its values name other resources: it has a `$ref` of its own beside the `value`, or is a reference to a type of resources and not to
    /// anything that has a URI (RFC 7643 section 2.3.7).
    pub fn names_resources(&self) -> bool {
        let is_any_uri = |kind: &String| {
            ["external", "uri"]
                .iter()
                .any(|uri| kind.eq_ignore_ascii_case(uri))
        };
        match self.kind {
            AttributeType::Complex => self
                .sub_attributes
                .iter()
                .any(|sub| sub.name == "$ref" && sub.kind == AttributeType::Reference),
            AttributeType::Reference => self.reference_types.iter().any(|kind| !is_any_uri(kind)),
            _ => false,
        }
    }

    /// Whether its value may be read. An attribute that may not be read may not be filtered or sorted on either.
    pub fn is_readable(&self) -> bool {
        self.returned != Returned::Never && self.mutability != Mutability::WriteOnly
    }

    /// Whether an answer has it only if it is asked for, or never.
    pub fn is_hidden(&self) -> bool {
        matches!(self.returned, Returned::Never | Returned::Request)
    }
}

/// A schema document (RFC 7643 section 7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    /// Its URN.
    pub id: String,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

impl Schema {
    /// An attribute by its name, without case.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
    }
}
