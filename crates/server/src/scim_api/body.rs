//! Bodies of requests: content type, size, and room for them in memory. Does not know what they mean.

use std::time::Duration;

use axum::body::{Body, Bytes};
use directory::shares::{Acquire, Share};
use directory::tenant::TenantId;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;
use scim_protocol::{Error, ErrorKind, json};
use serde_json::Value;

use crate::options::Options;
use crate::state::State;

/// Largest body that is read without asking for room, in bytes: what provisioning clients send all day is never held up by those who send much.
pub const ROOMLESS_BYTES_MAX: usize = 64 * 1024;
/// When who did not get a turn shall come again, in seconds.
const RETRY_SECONDS: u64 = 5;

/// A body that has arrived.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub bytes: Bytes,
    /// Its part of the memory for bodies, where it is not short.
    _room: Option<Share>,
}

/// Reads a JSON body of at most `bytes_max` bytes. The room that it takes is the tenant's, or that of all whose tenant is not known.
pub(crate) async fn read(
    state: &State,
    tenant: Option<TenantId>,
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Value, Error> {
    let received = collect(state, tenant, headers, body, bytes_max).await?;
    json::parse(&received.bytes, None)
}

/// Reads a body of at most `bytes_max` bytes that says it is JSON. One that is not short waits until there is room for all of it.
pub(crate) async fn collect(
    state: &State,
    tenant: Option<TenantId>,
    headers: &HeaderMap,
    mut body: Body,
    bytes_max: usize,
) -> Result<Received, Error> {
    check_content_type(headers)?;
    check_encoding(headers)?;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok());
    if announced.is_none_or(|length| length <= bytes_max) {
        let room = match announced.filter(|length| *length > ROOMLESS_BYTES_MAX) {
            Some(length) => Some(room(state, tenant, length).await?),
            None => None,
        };
        let mut collecting = Collecting {
            state,
            tenant,
            bytes_max,
            bytes: Vec::new(),
            room,
        };
        if collecting.all_of(&mut body).await? {
            return Ok(Received {
                bytes: collecting.bytes.into(),
                _room: collecting.room,
            });
        }
    }
    Err(too_large(bytes_max))
}

/// A body on its way.
struct Collecting<'a> {
    state: &'a State,
    tenant: Option<TenantId>,
    bytes_max: usize,
    bytes: Vec<u8>,
    room: Option<Share>,
}

impl Collecting<'_> {
    /// Reads to the end; `false` where the body is too large.
    async fn all_of(&mut self, body: &mut Body) -> Result<bool, Error> {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| {
                Error::new(
                    ErrorKind::InvalidSyntax,
                    "The body broke off before its end.",
                )
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let length = self.bytes.len().saturating_add(data.len());
            if length > self.bytes_max {
                return Ok(false);
            }
            // A client that did not say how long its body is may go on to the largest one.
            if self.room.is_none() && length > ROOMLESS_BYTES_MAX {
                self.room = Some(room(self.state, self.tenant, self.bytes_max).await?);
            }
            self.bytes.extend_from_slice(&data);
        }
        Ok(true)
    }
}

async fn room(state: &State, tenant: Option<TenantId>, bytes: usize) -> Result<Share, Error> {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    turn(
        &state.options,
        state.bodies.acquire(tenant, bytes),
        "The server has no room for a body as long as this one now.",
    )
    .await
}

/// Waits for a share, but not for as long as the request may take, so that the client is told when to come again.
pub(super) async fn turn(options: &Options, share: Acquire, detail: &str) -> Result<Share, Error> {
    tokio::time::timeout(Duration::from_secs(options.turn_wait_seconds_max), share)
        .await
        .map_err(|_| {
            let detail = format!(
                "{detail} Nothing was changed; send the request again in {RETRY_SECONDS} seconds."
            );
            Error::new(ErrorKind::Unavailable, detail).retry_after(RETRY_SECONDS)
        })
}

/// A missing content type is tolerated.
fn check_content_type(headers: &HeaderMap) -> Result<(), Error> {
    let Some(given) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let given = given.to_str().unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.is_empty()
        || ["application/scim+json", "application/json"]
            .iter()
            .any(|accepted| essence.eq_ignore_ascii_case(accepted))
    {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::UnsupportedMediaType,
        "The content type of the body is not JSON; accepted are `application/scim+json` and `application/json`.",
    ))
}

/// What is encoded could not even be told to be JSON (RFC 9110 section 15.5.16). `utf-8` is no coding; whoever writes it there means the characters.
fn check_encoding(headers: &HeaderMap) -> Result<(), Error> {
    let codings = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .flat_map(|given| given.as_bytes().split(|byte| *byte == b','));
    let mut codings = codings
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty());
    if codings.all(|coding| {
        [b"identity".as_slice(), b"utf-8"]
            .iter()
            .any(|accepted| coding.eq_ignore_ascii_case(accepted))
    }) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::UnsupportedMediaType,
        "The body is compressed or encoded otherwise, as `Content-Encoding` says; accepted is one as it is, without that header.",
    ))
}

fn too_large(bytes_max: usize) -> Error {
    Error::new(
        ErrorKind::PayloadTooLarge,
        format!("The body is too large; accepted are at most {bytes_max} bytes."),
    )
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
}
