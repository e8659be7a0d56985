//! Bodies of requests: content type, size, JSON. Does not know what they mean.

use axum::body::{Body, Bytes};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use scim_protocol::{Error, ErrorKind};
use serde_json::Value;

/// Reads a JSON body of at most `bytes_max` bytes.
pub(crate) async fn read(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Value, Error> {
    parse(&collect(headers, body, bytes_max).await?)
}

/// Reads a body of at most `bytes_max` bytes that says it is JSON.
pub(crate) async fn collect(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, Error> {
    check_content_type(headers)?;
    check_encoding(headers)?;
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()).and_then(|length| length.parse::<usize>().ok());
    if announced.is_none_or(|length| length <= bytes_max) {
        match Limited::new(body, bytes_max).collect().await {
            Ok(collected) => return Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {}
            Err(_) => return Err(Error::new(ErrorKind::InvalidSyntax, "The body broke off before its end.")),
        }
    }
    Err(too_large(bytes_max))
}

/// The JSON in a body.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, Error> {
    // Some clients put a byte order mark in front.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(Error::new(ErrorKind::InvalidSyntax, "The body is empty; accepted is a JSON object."));
    }
    serde_json::from_slice(bytes).map_err(|error| Error::new(ErrorKind::InvalidSyntax, format!("The body is not JSON: {error}.")))
}

/// A missing content type is tolerated.
fn check_content_type(headers: &HeaderMap) -> Result<(), Error> {
    let Some(given) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let given = given.to_str().unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.is_empty() || ["application/scim+json", "application/json"].iter().any(|accepted| essence.eq_ignore_ascii_case(accepted)) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::UnsupportedMediaType,
        "The content type of the body is not JSON; accepted are `application/scim+json` and `application/json`.",
    ))
}

/// What is encoded could not even be told to be JSON (RFC 9110 section 15.5.16). `utf-8` is no coding; whoever writes it there means the characters.
fn check_encoding(headers: &HeaderMap) -> Result<(), Error> {
    let codings = headers.get_all(CONTENT_ENCODING).iter().flat_map(|given| given.as_bytes().split(|byte| *byte == b','));
    let mut codings = codings.map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty());
    if codings.all(|coding| [b"identity".as_slice(), b"utf-8"].iter().any(|accepted| coding.eq_ignore_ascii_case(accepted))) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::UnsupportedMediaType,
        "The body is compressed or encoded otherwise, as `Content-Encoding` says; accepted is one as it is, without that header.",
    ))
}

fn too_large(bytes_max: usize) -> Error {
    Error::new(ErrorKind::PayloadTooLarge, format!("The body is too large; accepted are at most {bytes_max} bytes."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        let check = |given: &str, accepted: bool| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, given.parse().unwrap())]);
            assert_eq!(check_content_type(&headers).is_ok(), accepted, "{given}");
        };
        check("application/scim+json", true);
        check("Application/JSON; charset=utf-8", true);
        check("", true);
        check("text/plain", false);
        check("application/x-www-form-urlencoded", false);
        assert!(check_content_type(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn encodings() {
        let check = |given: &[&str], accepted: bool| {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(CONTENT_ENCODING, value.parse().unwrap());
            }
            assert_eq!(check_encoding(&headers).is_ok(), accepted, "{given:?}");
        };
        check(&[], true);
        check(&[""], true);
        check(&["Identity"], true);
        check(&["UTF-8"], true);
        check(&["gzip"], false);
        check(&["identity, br"], false);
        check(&["identity", "deflate"], false);
    }

    #[test]
    fn bodies() {
        let check = |text: &str, expected: Result<Value, &str>| {
            let found = parse(text.as_bytes()).map_err(|error| error.detail().to_owned());
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        };
        check("\u{feff}{\"a\": 1}", Ok(serde_json::json!({"a": 1})));
        check(" ", Err("The body is empty; accepted is a JSON object."));
        check("{\"a\":", Err("The body is not JSON: EOF while parsing a value at line 1 column 5."));
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }
}
