//! From bytes to an answer, tolerant of servers that do not keep the RFC. Does not judge it.

use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use serde_json::{Map, Value};

use crate::hiding::{hide, hide_in};
use crate::rate_limit::{self, RetryAfter};

/// Characters that are kept of a body that is not JSON, so that an administrator sees what it was.
const TEXT_CHARACTERS_MAX: usize = 200;
/// The longest error that is read as JSON, in bytes; of a longer one, and of a body that is not JSON, only so much is looked at.
const ERROR_BYTES_MAX: usize = 256 * 1024;

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The body if it is a JSON object, also under another content type.
    pub body: Option<Map<String, Value>>,
    /// The beginning of a body that is not.
    pub text: String,
    /// `Retry-After`.
    pub retry_after: Option<RetryAfter>,
    /// When requests are allowed again, where other headers say that none is left (`RateLimit-*` and their kin).
    pub rate_limit: Option<RetryAfter>,
    /// `Location`: the URL of the new resource, or the target of a redirect.
    pub location: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It certainly never left: no connection could be made, or the request was none.
    #[error("{0}")]
    NotSent(String),
    /// It may have had its effect.
    #[error("{0}")]
    Lost(String),
}

impl Response {
    /// Whether it is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Reads one. The token is taken out of what people may be shown, before that is shortened, which could leave half of it; a resource stays as it is.
    pub(crate) fn read(status: u16, headers: &HeaderMap, bytes: &[u8], token: &str) -> Self {
        let retry_after = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(rate_limit::retry_after);
        let rate_limit = rate_limit::wait(status, headers);
        let location = headers
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .map(|value| hide(value, token));
        let is_error = !(200..300).contains(&status);
        let beginning = bytes.get(..ERROR_BYTES_MAX).unwrap_or(bytes);
        if let Ok(Value::Object(mut body)) =
            serde_json::from_slice(if is_error { beginning } else { bytes })
        {
            if is_error {
                body.values_mut().for_each(|value| hide_in(value, token));
            }
            Self {
                status,
                body: Some(body),
                text: String::new(),
                retry_after,
                rate_limit,
                location,
            }
        } else {
            let text = hide(String::from_utf8_lossy(beginning).trim(), token)
                .chars()
                .take(TEXT_CHARACTERS_MAX)
                .collect();
            Self {
                status,
                body: None,
                text,
                retry_after,
                rate_limit,
                location,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_are_no_objects_are_kept_as_text() {
        let read = |bytes: &[u8]| Response::read(200, &HeaderMap::new(), bytes, "sekret-tok");
        assert_eq!(read(br#"{"id": "1"}"#).body.unwrap()["id"], "1");
        assert_eq!(
            (read(b"<html>").body, read(b" <html>").text),
            (None, "<html>".to_owned())
        );
        assert_eq!(
            (read(b"[]").body, read(b"[]").text),
            (None, "[]".to_owned())
        );
        assert_eq!(
            read("ä".repeat(500).as_bytes()).text.chars().count(),
            TEXT_CHARACTERS_MAX
        );
        assert_eq!(
            read(b""),
            Response {
                status: 200,
                ..Response::default()
            }
        );
    }

    #[test]
    fn the_token_is_not_in_what_is_shown() {
        let read = |status, text: &str| {
            Response::read(status, &HeaderMap::new(), text.as_bytes(), "sekret-tok")
        };
        let refused =
            read(401, r#"{"detail": "Bearer sekret\u002dtok?", "headers": {"authorization": "Bearer sekret\u002Dtok"}}"#).body.unwrap();
        assert_eq!(
            (&refused["detail"], &refused["headers"]["authorization"]),
            (&"Bearer (hidden)?".into(), &"Bearer (hidden)".into())
        );
        assert_eq!(
            read(200, r#"{"nickName": "sekret-tok"}"#).body.unwrap()["nickName"],
            "sekret-tok"
        );
        assert_eq!(read(200, "<p>sekret-tok").text, "<p>(hidden)");
        // Where it is cut, nothing of the token is left.
        let long = read(
            500,
            &format!("{}sekret-tok", ".".repeat(TEXT_CHARACTERS_MAX - 4)),
        )
        .text;
        assert_eq!(long, format!("{}(hid", ".".repeat(TEXT_CHARACTERS_MAX - 4)));
    }
}
