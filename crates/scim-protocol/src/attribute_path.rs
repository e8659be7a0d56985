//! Attribute paths (RFC 7644 section 3.10): parse, print and compare. Does not know which attributes exist.

use std::fmt;
use std::ops::Range;

use crate::error::{Error, ErrorKind};

/// `attribute`, `attribute.sub`, or either with a schema URN in front. Compared without case.
#[derive(Clone, Debug)]
pub struct AttributePath {
    /// The schema URN, as written.
    pub schema: Option<String>,
    /// The attribute's name, as written. For a path that is only a URN it is the URN's last segment; `TypeSchema::resolve` sorts that out.
    pub attribute: String,
    /// The sub-attribute's name, as written.
    pub sub_attribute: Option<String>,
}

impl AttributePath {
    /// Parses a whole path; `invalidPath` where it is malformed. URN versions may contain dots (`...:2.0:User:name.givenName`).
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_at(text, 0)
    }

    /// The same for a path inside a longer text: refusals count from the start of that.
    pub(crate) fn parse_at(text: &str, start: usize) -> Result<Self, Error> {
        // A colon can only belong to the URN, so the last one ends it; dots before it are those of the URN's version.
        let (schema, name) = match text.rsplit_once(':') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, text),
        };
        if let Some(schema) = schema {
            check_urn(schema, start)?;
        }
        let offset = start + text.len() - name.len();
        let (attribute, sub_attribute) = match name.split_once('.') {
            Some((attribute, sub)) => (attribute, Some(sub)),
            None => (name, None),
        };
        check_name(attribute, offset, schema.is_some())?;
        let mut at = offset + attribute.len() + 1;
        // Some clients write a dot behind a URN, `...:2.0:User.manager.value`; `TypeSchema::meant` says what that is.
        let parts = if schema.is_some() { usize::MAX } else { 1 };
        for sub in sub_attribute
            .into_iter()
            .flat_map(|sub| sub.splitn(parts, '.'))
        {
            check_name(sub, at, schema.is_some())?;
            at += sub.len() + 1;
        }
        Ok(Self {
            schema: schema.map(str::to_owned),
            attribute: attribute.to_owned(),
            sub_attribute: sub_attribute.map(str::to_owned),
        })
    }

    /// A path of an attribute without URN and sub-attribute.
    pub fn of(attribute: impl Into<String>) -> Self {
        Self {
            schema: None,
            attribute: attribute.into(),
            sub_attribute: None,
        }
    }

    /// The same path with this sub-attribute.
    #[must_use]
    pub fn with_sub_attribute(&self, sub_attribute: impl Into<String>) -> Self {
        Self {
            schema: self.schema.clone(),
            attribute: self.attribute.clone(),
            sub_attribute: Some(sub_attribute.into()),
        }
    }

    /// Whether a character may be part of a path.
    pub(crate) fn is_path_char(c: char) -> bool {
        c.is_ascii_alphanumeric()
            || matches!(c, '-' | '_' | '$' | '.' | ':' | '%' | '+' | '/' | '#' | '~')
    }
}

fn malformed(detail: String, span: Range<usize>) -> Error {
    Error::new(ErrorKind::InvalidPath, detail).spanning(span)
}

fn check_urn(schema: &str, start: usize) -> Result<(), Error> {
    let is_urn = schema
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("urn:"));
    let filled = schema
        .split(':')
        .all(|segment| !segment.is_empty() && segment.chars().all(AttributePath::is_path_char));
    if is_urn && filled {
        return Ok(());
    }
    Err(malformed(
        format!(
            "`{schema}` is not a schema URN; a path is `attribute`, `attribute.sub` or `urn:...:attribute`."
        ),
        start..start + schema.len(),
    ))
}

/// ATTRNAME of RFC 7644 section 3.4.2.2, with the `$` of `$ref`; the last segment of a bare URN may also begin with a digit.
fn check_name(name: &str, offset: usize, after_urn: bool) -> Result<(), Error> {
    let mut characters = name.char_indices();
    let Some((_, first)) = characters.next() else {
        return Err(malformed(
            format!("An attribute name was expected at position {offset}."),
            offset..offset,
        ));
    };
    let bad =
        if first.is_ascii_alphabetic() || first == '$' || (after_urn && first.is_ascii_digit()) {
            characters.find(|(_, c)| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')))
        } else {
            Some((0, first))
        };
    match bad {
        None => Ok(()),
        Some((at, c)) => {
            let start = offset + at;
            let detail = format!(
                "`{c}` at position {start} may not be part of an attribute name; letters, digits, `-` and `_` may."
            );
            Err(malformed(detail, start..start + c.len_utf8()))
        }
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}:")?;
        }
        f.write_str(&self.attribute)?;
        match &self.sub_attribute {
            Some(sub) => write!(f, ".{sub}"),
            None => Ok(()),
        }
    }
}

impl PartialEq for AttributePath {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            (None, None) => true,
            _ => false,
        };
        same(&self.schema, &other.schema)
            && self.attribute.eq_ignore_ascii_case(&other.attribute)
            && same(&self.sub_attribute, &other.sub_attribute)
    }
}

impl Eq for AttributePath {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_parse_and_print() {
        let check = |text: &str, schema: Option<&str>, attribute: &str, sub: Option<&str>| {
            let path = AttributePath::parse(text).unwrap();
            assert_eq!(
                (
                    path.schema.as_deref(),
                    path.attribute.as_str(),
                    path.sub_attribute.as_deref()
                ),
                (schema, attribute, sub),
                "{text}"
            );
            assert_eq!(path.to_string(), text);
        };
        let user = "urn:ietf:params:scim:schemas:core:2.0:User";
        check("userName", None, "userName", None);
        check("name.familyName", None, "name", Some("familyName"));
        check("members.$ref", None, "members", Some("$ref"));
        check(
            "urn:ietf:params:scim:schemas:core:2.0:User:name.givenName",
            Some(user),
            "name",
            Some("givenName"),
        );
        check(
            user,
            Some("urn:ietf:params:scim:schemas:core:2.0"),
            "User",
            None,
        );
        let dotted = "urn:ietf:params:scim:schemas:core:2.0:User.name.givenName";
        check(
            dotted,
            Some("urn:ietf:params:scim:schemas:core:2.0"),
            "User",
            Some("name.givenName"),
        );
    }

    #[test]
    fn malformed_paths_are_refused_with_their_position() {
        let check = |text: &str, start: usize| {
            let error = AttributePath::parse(text).unwrap_err();
            assert_eq!(
                (error.kind(), error.span().unwrap().start),
                (ErrorKind::InvalidPath, start),
                "{text}"
            );
        };
        check("", 0);
        check("user name", 4);
        check("name.", 5);
        check("name..x", 5);
        check("name.givenName.x", 14);
        check("urn:x:User.name..x", 16);
        check("1name", 0);
        check("a:b", 0);
        check("urn::x:userName", 0);
        check("emails.va lue", 9);
        check("na\u{ef}ve", 2);
    }

    #[test]
    fn names_compare_without_case() {
        assert_eq!(
            AttributePath::parse("USERNAME").unwrap(),
            AttributePath::of("userName")
        );
        assert_ne!(
            AttributePath::parse("name.givenName").unwrap(),
            AttributePath::of("name")
        );
    }
}
