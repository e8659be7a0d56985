//! What can be wrong with a request, and the one table of HTTP status and scimType (RFC 7644 section 3.12).

use std::ops::Range;

use serde_json::{Value, json};

/// URN of the error message (RFC 7644 section 3.12).
pub const ERROR_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The filter is malformed or names an attribute that does not exist or may not be filtered on.
    InvalidFilter,
    /// The filter would yield more results than the server is willing to compute.
    TooMany,
    /// A value that must be unique is taken.
    Uniqueness,
    /// The attribute's mutability forbids the change.
    Mutability,
    /// The body is not JSON or not a message of the expected form.
    InvalidSyntax,
    /// The path of a PATCH operation is malformed.
    InvalidPath,
    /// The path of a PATCH operation selects nothing.
    NoTarget,
    /// A value is missing or not acceptable.
    InvalidValue,
    /// The protocol version is not supported.
    InvalidVersion,
    /// The request carries sensitive information in the URI.
    Sensitive,
    /// RFC 9865: the cursor is not one of ours.
    InvalidCursor,
    /// RFC 9865: the cursor is too old.
    ExpiredCursor,
    /// RFC 9865: the count is not acceptable.
    InvalidCount,
    /// No or wrong credentials.
    Unauthorized,
    /// Not allowed.
    Forbidden,
    /// Not allowed with this token; with another scope it would be (RFC 6750 section 3.1).
    InsufficientScope,
    /// No such resource or route.
    NotFound,
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// The client accepts none of the content types of the server.
    NotAcceptable,
    /// The request conflicts with the state of the server.
    Conflict,
    /// The data was there once and is deleted; the detail says how to start anew.
    Gone,
    /// `If-Match` does not hold.
    PreconditionFailed,
    /// The body or the number of operations is over the limit.
    PayloadTooLarge,
    /// The body's content type is not JSON.
    UnsupportedMediaType,
    /// Too many requests; try again later.
    TooManyRequests,
    /// Our fault.
    Internal,
    /// Not offered.
    NotImplemented,
    /// Stopping or overloaded.
    Unavailable,
}

impl ErrorKind {
    /// The HTTP status (RFC 7644 section 3.12, table 8 and 9).
    pub fn status(self) -> u16 {
        self.row().0
    }

    /// The `scimType`, where the RFC has one.
    pub fn scim_type(self) -> Option<&'static str> {
        self.row().1
    }

    fn row(self) -> (u16, Option<&'static str>) {
        match self {
            Self::InvalidFilter => (400, Some("invalidFilter")),
            Self::TooMany => (400, Some("tooMany")),
            Self::Uniqueness => (409, Some("uniqueness")),
            Self::Mutability => (400, Some("mutability")),
            Self::InvalidSyntax => (400, Some("invalidSyntax")),
            Self::InvalidPath => (400, Some("invalidPath")),
            Self::NoTarget => (400, Some("noTarget")),
            Self::InvalidValue => (400, Some("invalidValue")),
            Self::InvalidVersion => (400, Some("invalidVers")),
            Self::Sensitive => (403, Some("sensitive")),
            Self::InvalidCursor => (400, Some("invalidCursor")),
            Self::ExpiredCursor => (400, Some("expiredCursor")),
            Self::InvalidCount => (400, Some("invalidCount")),
            Self::Unauthorized => (401, None),
            Self::Forbidden | Self::InsufficientScope => (403, None),
            Self::NotFound => (404, None),
            Self::MethodNotAllowed => (405, None),
            Self::NotAcceptable => (406, None),
            Self::Conflict => (409, None),
            Self::Gone => (410, None),
            Self::PreconditionFailed => (412, None),
            Self::PayloadTooLarge => (413, None),
            Self::UnsupportedMediaType => (415, None),
            Self::TooManyRequests => (429, None),
            Self::Internal => (500, None),
            Self::NotImplemented => (501, None),
            Self::Unavailable => (503, None),
        }
    }
}

/// A refusal: what was wrong, where, and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Error {
    kind: ErrorKind,
    detail: String,
    path: Option<String>,
    span: Option<Range<usize>>,
    retry_after_seconds: Option<u64>,
}

impl Error {
    /// A refusal with a sentence for a stranger.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            path: None,
            span: None,
            retry_after_seconds: None,
        }
    }

    /// Names the attribute that was refused.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Names the bytes of the filter or path that were refused.
    #[must_use]
    pub fn spanning(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    /// Says when it makes sense to try again (`Retry-After`, RFC 9110 section 10.2.3).
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The same refusal, of another kind.
    #[must_use]
    pub fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The kind, from which status and scimType follow.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The attribute, where one is to blame.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The bytes of the filter or path, where some are to blame.
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }

    /// When it makes sense to try again, where that is known.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after_seconds
    }

    /// The error message (RFC 7644 section 3.12): `status` is a string.
    pub fn to_json(&self) -> Value {
        let mut body = json!({
            "schemas": [ERROR_SCHEMA],
            "status": self.kind.status().to_string(),
        });
        if let (Some(map), Some(scim_type)) = (body.as_object_mut(), self.kind.scim_type()) {
            map.insert("scimType".into(), scim_type.into());
        }
        if let Some(map) = body.as_object_mut() {
            map.insert("detail".into(), self.detail.clone().into());
        }
        body
    }
}
