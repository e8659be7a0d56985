//! Filters (RFC 7644 section 3.4.2.2): the tree, how it is checked against schemas and how it is printed.
//! Parsing, comparing and evaluating are in the modules below.

pub mod compare;
pub mod evaluate;
pub mod parse;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::attribute_path::AttributePath;
use crate::error::{Error, ErrorKind};
use crate::schema::set::{Resolved, TypeSchema};
use crate::schema::{Attribute, AttributeType};

/// The comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum CompareOp {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
}

impl CompareOp {
    /// All nine.
    pub const ALL: [Self; 9] = [
        Self::Eq,
        Self::Ne,
        Self::Co,
        Self::Sw,
        Self::Ew,
        Self::Gt,
        Self::Ge,
        Self::Lt,
        Self::Le,
    ];

    /// As it stands in a filter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Co => "co",
            Self::Sw => "sw",
            Self::Ew => "ew",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Le => "le",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|op| op.name().eq_ignore_ascii_case(name))
    }
}

/// A filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All of them (at least two).
    And(Vec<Filter>),
    /// One of them (at least two).
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// `path op value`.
    Compare {
        /// The attribute.
        path: AttributePath,
        /// The operator.
        op: CompareOp,
        /// A string, number, boolean or null.
        value: Value,
    },
    /// `path pr`.
    Present(AttributePath),
    /// `path[filter]`: one element satisfies the whole inner filter.
    ValuePath {
        /// The multi-valued complex attribute.
        path: AttributePath,
        /// Paths inside are sub-attributes.
        filter: Box<Filter>,
    },
}

/// Limits of the parser.
#[derive(Clone, Copy, Debug)]
pub struct FilterLimits {
    /// Longest text, in bytes.
    pub length_max: usize,
    /// Deepest nesting of parentheses, `not` and value paths.
    pub depth_max: usize,
    /// Most comparisons, each `pr` among them.
    pub terms_max: usize,
}

impl Default for FilterLimits {
    fn default() -> Self {
        Self {
            length_max: 16 * 1024,
            depth_max: 64,
            terms_max: 250,
        }
    }
}

impl Filter {
    /// Parses a filter; `invalidFilter` with the position and what was expected.
    pub fn parse(text: &str, limits: FilterLimits) -> Result<Self, Error> {
        parse::parse(text, limits)
    }

    /// Refuses (`invalidFilter`) attributes that do not exist in any of `types`, that are never returned or write-only, and operators that make no sense for the type.
    pub fn check(&self, types: &[&TypeSchema]) -> Result<(), Error> {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().try_for_each(|filter| filter.check(types)),
            Self::Not(inner) => inner.check(types),
            Self::Present(path) => resolve_all(types, path).map(|_| ()),
            Self::Compare { path, op, value } => {
                // One type in which the comparison makes sense is enough; in the others nothing matches.
                first_success(
                    resolve_all(types, path)?
                        .into_iter()
                        .map(|resolved| check_comparison(path, resolved, *op, value)),
                )
            }
            Self::ValuePath { path, filter } => {
                first_success(resolve_all(types, path)?.into_iter().map(|resolved| {
                    match resolved.attribute {
                        _ if resolved.sub_attribute.is_some() => Err(refuse(
                            path,
                            "is a sub-attribute; brackets follow the attribute itself",
                        )),
                        Some(attribute) => filter.check_element(resolved.extension, attribute),
                        None => Err(refuse(
                            path,
                            "is a whole extension; name one of its attributes before the brackets",
                        )),
                    }
                }))
            }
        }
    }

    /// Refuses (`invalidFilter`) what the inner filter of a value path on this attribute, of this extension, may not say.
    pub fn check_element(
        &self,
        extension: Option<&str>,
        attribute: &Attribute,
    ) -> Result<(), Error> {
        let sub = |path: &AttributePath| -> Result<Resolved<'_>, Error> {
            let joined = || {
                AttributePath::of(attribute.name.clone()).with_sub_attribute(path.attribute.clone())
            };
            let leaf = if attribute.kind == AttributeType::Complex {
                attribute.sub_attribute(&path.attribute)
            } else {
                Some(attribute).filter(|_| path.attribute.eq_ignore_ascii_case("value"))
            };
            let leaf = leaf.ok_or_else(|| unknown(&joined()))?;
            if !leaf.is_readable() || path.schema.is_some() || path.sub_attribute.is_some() {
                return Err(unreadable(&joined()));
            }
            let written_late = Resolved {
                extension,
                attribute: Some(attribute),
                sub_attribute: Some(leaf),
            }
            .stored_instead();
            match written_late {
                Some(instead) => Err(not_stored(&joined(), &instead)),
                None => Ok(Resolved {
                    extension: None,
                    attribute: Some(leaf),
                    sub_attribute: None,
                }),
            }
        };
        match self {
            Self::And(all) | Self::Or(all) => all
                .iter()
                .try_for_each(|filter| filter.check_element(extension, attribute)),
            Self::Not(inner) => inner.check_element(extension, attribute),
            Self::Present(path) => sub(path).map(|_| ()),
            Self::Compare { path, op, value } => check_comparison(path, sub(path)?, *op, value),
            Self::ValuePath { path, .. } => Err(refuse(
                path,
                "has brackets inside brackets, which no filter may have",
            )),
        }
    }

    /// Whether a rendered resource (with `id`, `meta`, `groups`, `members` as far as the filter names them) satisfies it. Names canonical. An attribute that this type does not have is unassigned.
    pub fn matches(&self, schema: &TypeSchema, resource: &serde_json::Map<String, Value>) -> bool {
        evaluate::matches(self, schema, resource)
    }

    /// Whether one element of a multi-valued attribute satisfies it, as in a value path.
    pub fn matches_element(&self, attribute: &Attribute, element: &Value) -> bool {
        evaluate::matches_element(self, attribute, element)
    }

    /// How many comparisons it has, each `pr` among them.
    pub fn terms(&self) -> usize {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().map(Self::terms).sum(),
            Self::Not(inner) | Self::ValuePath { filter: inner, .. } => inner.terms(),
            Self::Compare { .. } | Self::Present(_) => 1,
        }
    }

    /// The strings that the filter inside a value path compares sub-attributes with.
    pub(crate) fn strings(&self) -> Vec<(&str, &str)> {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().flat_map(Self::strings).collect(),
            Self::Not(inner) => inner.strings(),
            Self::Compare {
                path,
                value: Value::String(text),
                ..
            } => vec![(path.attribute.as_str(), text.as_str())],
            Self::Compare { .. } | Self::Present(_) | Self::ValuePath { .. } => Vec::new(),
        }
    }

    /// The strings that attributes are compared with, value paths joined (`emails.primary`).
    fn compared_strings(&self) -> Vec<(AttributePath, &str)> {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().flat_map(Self::compared_strings).collect(),
            Self::Not(inner) => inner.compared_strings(),
            Self::Compare {
                path,
                value: Value::String(text),
                ..
            } => vec![(path.clone(), text)],
            Self::Compare { .. } | Self::Present(_) => Vec::new(),
            Self::ValuePath { path, filter } => filter
                .strings()
                .into_iter()
                .map(|(name, text)| (path.with_sub_attribute(name.to_owned()), text))
                .collect(),
        }
    }

    /// The same inside a value path on an attribute, by the names of its sub-attributes.
    pub(crate) fn strings_for_booleans_of(&self, attribute: &Attribute) -> Vec<(&str, &str)> {
        let is_boolean = |name: &str| {
            attribute
                .sub_attribute(name)
                .is_some_and(|sub| sub.kind == AttributeType::Boolean)
        };
        self.strings()
            .into_iter()
            .filter(|(name, text)| is_truth(text) && is_boolean(name))
            .collect()
    }

    /// The strings `"True"` and `"False"` that stand for booleans: nothing but a quirk lets them. Other strings are refused anyway.
    pub(crate) fn strings_for_booleans(
        &self,
        types: &[Arc<TypeSchema>],
    ) -> Vec<(AttributePath, &str)> {
        let is_boolean = |path: &AttributePath| {
            let leaf =
                |schema: &Arc<TypeSchema>| Some(schema.resolve(path)?.comparable()?.leaf()?.kind);
            types
                .iter()
                .filter_map(leaf)
                .any(|kind| kind == AttributeType::Boolean)
        };
        self.compared_strings()
            .into_iter()
            .filter(|(path, text)| is_truth(text) && is_boolean(path))
            .collect()
    }

    /// Shows each path that names an attribute of the resource, to be changed; not those in brackets, which name sub-attributes.
    pub(crate) fn each_path(&mut self, visit: &mut impl FnMut(&mut AttributePath)) {
        match self {
            Self::And(all) | Self::Or(all) => {
                for filter in all {
                    filter.each_path(visit);
                }
            }
            Self::Not(inner) => inner.each_path(visit),
            Self::Compare { path, .. } | Self::Present(path) | Self::ValuePath { path, .. } => {
                visit(path);
            }
        }
    }

    /// Every path named, value paths joined (`emails.type`).
    pub fn paths(&self) -> Vec<AttributePath> {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().flat_map(Self::paths).collect(),
            Self::Not(inner) => inner.paths(),
            Self::Compare { path, .. } | Self::Present(path) => vec![path.clone()],
            Self::ValuePath { path, filter } => filter
                .paths()
                .into_iter()
                .map(|inner| path.with_sub_attribute(inner.attribute))
                .collect(),
        }
    }
}

fn is_truth(text: &str) -> bool {
    ["true", "false"]
        .iter()
        .any(|truth| text.eq_ignore_ascii_case(truth))
}

fn refuse(path: &AttributePath, reason: &str) -> Error {
    let mut detail = format!("In the filter, `{path}` ");
    detail.push_str(reason);
    detail.push('.');
    Error::new(ErrorKind::InvalidFilter, detail).at(path.to_string())
}

fn unknown(path: &AttributePath) -> Error {
    refuse(
        path,
        "is not a defined attribute; attributes of extensions are written with the extension's URN in front, and /Schemas shows all",
    )
}

fn unreadable(path: &AttributePath) -> Error {
    refuse(
        path,
        "may not be used in a filter, because it may not be read",
    )
}

fn not_stored(path: &AttributePath, instead: &str) -> Error {
    refuse(
        path,
        &format!(
            "is a URI that is written when a resource is answered, and is not stored; name `{instead}` instead"
        ),
    )
}

fn resolve_all<'a>(
    types: &[&'a TypeSchema],
    path: &AttributePath,
) -> Result<Vec<Resolved<'a>>, Error> {
    let found: Vec<_> = types
        .iter()
        .filter_map(|schema| schema.resolve(path))
        .collect();
    if found.is_empty() {
        return Err(unknown(path));
    }
    if !found.iter().all(Resolved::is_readable) {
        return Err(unreadable(path));
    }
    match found.iter().find_map(Resolved::stored_instead) {
        Some(instead) => Err(not_stored(path, &instead)),
        None => Ok(found),
    }
}

fn first_success(results: impl Iterator<Item = Result<(), Error>>) -> Result<(), Error> {
    let mut refusal = Ok(());
    for result in results {
        if result.is_ok() {
            return result;
        }
        refusal = result;
    }
    refusal
}

fn check_comparison(
    path: &AttributePath,
    resolved: Resolved<'_>,
    op: CompareOp,
    value: &Value,
) -> Result<(), Error> {
    if value.is_null() {
        let equality = matches!(op, CompareOp::Eq | CompareOp::Ne);
        let reason = || {
            format!(
                "is compared with null by `{}`; only `eq` and `ne` compare with null",
                op.name()
            )
        };
        return if equality {
            Ok(())
        } else {
            Err(refuse(path, &reason()))
        };
    }
    let Some(leaf) = resolved.comparable().and_then(|resolved| resolved.leaf()) else {
        return Err(refuse(
            path,
            "is complex and has no value of its own; name one of its sub-attributes",
        ));
    };
    if !compare::applies(op, leaf.kind) {
        return Err(refuse(
            path,
            &format!(
                "is {}, which `{}` does not compare",
                kind_words(leaf.kind).0,
                op.name()
            ),
        ));
    }
    if compare::key(leaf, value).is_none() {
        return Err(wrong_value(path, leaf.kind, value));
    }
    Ok(())
}

/// A value that an attribute of this type is not compared with.
pub(crate) fn wrong_value(path: &AttributePath, kind: AttributeType, value: &Value) -> Error {
    let (kind, accepted) = kind_words(kind);
    refuse(
        path,
        &format!("is {kind} and may not be compared with `{value}`; accepted is {accepted}"),
    )
}

/// The type and the values that it may be compared with, in words for a client.
fn kind_words(kind: AttributeType) -> (&'static str, &'static str) {
    match kind {
        AttributeType::String => ("a string", "a string in double quotes"),
        AttributeType::Boolean => ("a boolean", "true or false"),
        AttributeType::Decimal => ("a decimal", "a number"),
        AttributeType::Integer => ("an integer", "a number"),
        AttributeType::DateTime => ("a dateTime", "a string such as \"2011-05-13T04:42:34Z\""),
        AttributeType::Binary => ("a binary", "a base64 string in double quotes"),
        AttributeType::Reference => ("a reference", "a URI in double quotes"),
        AttributeType::Complex => ("complex", "null"),
    }
}

/// The printed text parses to the same tree.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(all) => joined(f, all, " and ", |inner| {
                matches!(inner, Self::And(_) | Self::Or(_))
            }),
            Self::Or(all) => joined(f, all, " or ", |inner| matches!(inner, Self::Or(_))),
            Self::Not(inner) => write!(f, "not ({inner})"),
            Self::Compare { path, op, value } => write!(f, "{path} {} {value}", op.name()),
            Self::Present(path) => write!(f, "{path} pr"),
            Self::ValuePath { path, filter } => write!(f, "{path}[{filter}]"),
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    all: &[Filter],
    word: &str,
    needs_parentheses: fn(&Filter) -> bool,
) -> fmt::Result {
    for (at, inner) in all.iter().enumerate() {
        if at > 0 {
            f.write_str(word)?;
        }
        if needs_parentheses(inner) {
            write!(f, "({inner})")?;
        } else {
            write!(f, "{inner}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::set::SchemaSet;

    fn check(text: &str, types: &[&TypeSchema], mentions: Option<&str>) {
        let result = Filter::parse(text, FilterLimits::default())
            .unwrap()
            .check(types);
        match (result, mentions) {
            (Ok(()), None) => {}
            (Err(error), Some(mentions)) => {
                assert_eq!(error.kind(), ErrorKind::InvalidFilter);
                assert!(error.detail().contains(mentions), "{text}: {error}");
            }
            (result, _) => panic!("{text}: {result:?}"),
        }
    }

    #[test]
    fn what_is_written_when_a_resource_is_answered_is_not_filtered_on() {
        let set = SchemaSet::standard();
        let (user, group) = (set.by_name("User").unwrap(), set.by_name("Group").unwrap());
        let manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager";
        check(
            r#"meta.location eq "https://x/Users/1""#,
            &[user, group],
            Some("name `id` instead"),
        );
        check(
            "not (meta.location pr)",
            &[group],
            Some("name `id` instead"),
        );
        check(
            r#"members.$ref eq "https://x/Users/1""#,
            &[group],
            Some("name `members.value` instead"),
        );
        check(
            r#"members[type eq "User" and $ref pr]"#,
            &[group],
            Some("name `members.value` instead"),
        );
        check(
            r#"groups.$ref ew "/Groups/1""#,
            &[user, group],
            Some("name `groups.value` instead"),
        );
        check(
            r#"groups[$ref ew "/Groups/1"]"#,
            &[user],
            Some("name `groups.value` instead"),
        );
        // What clients write is stored as they write it.
        check(&format!(r#"{manager}.$ref ew "/Users/1""#), &[user], None);
        check("emails[$ref pr]", &[user], None);
    }

    #[test]
    fn what_may_be_filtered_on() {
        let set = SchemaSet::standard();
        let (user, group) = (set.by_name("User").unwrap(), set.by_name("Group").unwrap());
        let unknown = Some("not a defined attribute");
        let unreadable = Some("may not be used in a filter");
        check("userName pr", &[user], None);
        check("userName pr", &[group], unknown);
        check("userName pr", &[group, user], None);
        check("department pr", &[user], unknown);
        check("not (a pr or userName pr)", &[user], unknown);
        check("password pr", &[user], unreadable);
        check(r#"password eq "x""#, &[group, user], unreadable);
        check("password eq null", &[user], unreadable);
        check(r#"emails[type eq "work"]"#, &[user], None);
        check(r#"emails[kind eq "work"]"#, &[user], unknown);
        check(r#"members[display sw "a" and type pr]"#, &[group], None);
        check(r#"schemas[value eq "urn:a"]"#, &[user], None);
        check(r#"emails co "x""#, &[user], None);
        check(r#"name co "x""#, &[user], Some("sub-attributes"));
        check("name eq null", &[user], None);
        check("name pr", &[user], None);
        check("active eq true", &[user], None);
        check(r#"active eq "True""#, &[user], None);
        check(r#"active eq "yes""#, &[user], Some("true or false"));
        check("active gt false", &[user], Some("`gt`"));
        check(r#"x509Certificates.value gt "a""#, &[user], Some("`gt`"));
        check("userName eq true", &[user], Some("string in double quotes"));
        check("userName gt null", &[user], Some("null"));
        check(
            r#"meta.created gt "2011-05-13T04:42:34Z""#,
            &[user, group],
            None,
        );
        check(r#"meta.created gt "soon""#, &[user], Some("dateTime"));
        check(r#"meta.created co "2011""#, &[user], Some("`co`"));
        check(
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User pr",
            &[user],
            None,
        );
    }

    #[test]
    fn paths_are_those_named() {
        let filter = Filter::parse(
            r#"userName pr and not (emails[type eq "work" or value pr])"#,
            FilterLimits::default(),
        )
        .unwrap();
        let paths: Vec<_> = filter.paths().iter().map(ToString::to_string).collect();
        assert_eq!(paths, ["userName", "emails.type", "emails.value"]);
    }
}
