//! A resource's version as an entity tag, and what a caller may demand of it (RFC 7644 section 3.14, RFC 9110 section 13). Does not compare with the store;
//! the statement that writes does.

use scim_protocol::{Error, ErrorKind};

/// The entity tag of a version: `W/"3"`.
pub fn version_tag(version: u64) -> String {
    format!("W/\"{version}\"")
}

/// The versions that a header names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`.
    Any,
    /// A list; tags that cannot be ours are not in it, because they match nothing.
    OneOf(Vec<u64>),
}

impl Tags {
    /// Reads a header such as `W/"3", "4"`. SCIM clients send weak tags with `If-Match` (RFC 7644 section 3.14), so weak and strong are the same here;
    /// quotes may be missing, as some clients strip them.
    pub fn parse(text: &str) -> Self {
        if text.trim() == "*" {
            return Self::Any;
        }
        let one = |tag: &str| {
            let tag = tag.trim();
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            let bare = tag
                .strip_prefix('"')
                .and_then(|tag| tag.strip_suffix('"'))
                .unwrap_or(tag);
            // Only the spelling that we give out is ours.
            bare.parse::<u64>()
                .ok()
                .filter(|version| version.to_string() == bare)
        };
        Self::OneOf(text.split(',').filter_map(one).collect())
    }

    /// Whether this version is named.
    pub fn name(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => versions.contains(&version),
        }
    }
}

/// What a caller demands of the version that it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// `If-Match`.
    pub if_match: Option<Tags>,
    /// `If-None-Match`.
    pub if_none_match: Option<Tags>,
}

impl Expected {
    /// From the header `If-Match`, or the `version` of a bulk operation.
    pub fn if_match(text: &str) -> Self {
        Self {
            if_match: Some(Tags::parse(text)),
            if_none_match: None,
        }
    }

    /// Whether any version will do.
    pub fn is_anything(&self) -> bool {
        self.if_none_match.is_none() && matches!(self.if_match, None | Some(Tags::Any))
    }

    /// The one version that will do, where that needs no look at the current one.
    pub fn only_version(&self) -> Option<u64> {
        match (&self.if_match, &self.if_none_match) {
            (Some(Tags::OneOf(versions)), None) => {
                versions.first().copied().filter(|_| versions.len() == 1)
            }
            _ => None,
        }
    }

    /// Refuses (`PreconditionFailed`) a version that will not do.
    pub fn check(&self, current: u64) -> Result<(), Error> {
        let matched = self.if_match.as_ref().is_none_or(|tags| tags.name(current));
        let unmatched = self
            .if_none_match
            .as_ref()
            .is_none_or(|tags| !tags.name(current));
        if matched && unmatched {
            Ok(())
        } else {
            Err(precondition_failed(current))
        }
    }
}

/// The refusal of a caller who knows another version.
pub fn precondition_failed(current: u64) -> Error {
    let tag = version_tag(current);
    Error::new(
        ErrorKind::PreconditionFailed,
        format!(
            "The resource is in version {tag} now, which the precondition of the request does not allow."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        let check = |text: &str, expected: Tags| assert_eq!(Tags::parse(text), expected, "{text}");
        check("*", Tags::Any);
        check(&version_tag(7), Tags::OneOf(vec![7]));
        check("\"7\"", Tags::OneOf(vec![7]));
        check("7", Tags::OneOf(vec![7]));
        check("W/\"1\", W/\"22\" ,\"x\"", Tags::OneOf(vec![1, 22]));
        check("W/\"07\"", Tags::OneOf(Vec::new()));
        check("", Tags::OneOf(Vec::new()));
    }

    #[test]
    fn demands() {
        let check =
            |if_match: Option<&str>, if_none_match: Option<&str>, current: u64, accepted: bool| {
                let expected = Expected {
                    if_match: if_match.map(Tags::parse),
                    if_none_match: if_none_match.map(Tags::parse),
                };
                assert_eq!(
                    expected.check(current).is_ok(),
                    accepted,
                    "{expected:?} {current}"
                );
            };
        check(None, None, 1, true);
        check(Some("*"), None, 1, true);
        check(Some("W/\"1\""), None, 1, true);
        check(Some("W/\"1\""), None, 2, false);
        check(Some("nonsense"), None, 1, false);
        check(None, Some("*"), 1, false);
        check(None, Some("W/\"1\""), 1, false);
        check(None, Some("W/\"1\""), 2, true);
        assert!(Expected::default().is_anything() && Expected::if_match("*").is_anything());
        assert_eq!(Expected::if_match("W/\"4\"").only_version(), Some(4));
        assert_eq!(Expected::if_match("W/\"4\", W/\"5\"").only_version(), None);
    }
}
