//! From a refusal or a fault to a response (RFC 7644 section 3.12). A fault is logged here, once; the caller sees only the id of the request.

use std::error::Error as _;
use std::fmt::Write as _;

use axum::body::Body;
use axum::response::Response;
use directory::DirectoryError;
use directory::store::Fault;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use scim_protocol::{Error, ErrorKind};

use crate::trace::Refusal;

/// The content type of every body.
pub(crate) const SCIM_JSON: HeaderValue = HeaderValue::from_static("application/scim+json");

/// RFC 6750 section 3.1: the token is good, but not for this.
const INSUFFICIENT_SCOPE: &str = "Bearer realm=\"rollcall\", error=\"insufficient_scope\""; // WWW-Authenticate

/// Why a request has no other answer.
pub(crate) enum Failure {
    /// The request is at fault.
    Refused(Error),
    /// No token, or one that is not accepted here.
    Unauthorized {
        /// Whether there was one.
        token_given: bool,
    },
    /// The caller has to wait.
    Limited {
        /// Why, for the caller.
        detail: &'static str,
        /// For how long.
        seconds: u64,
    },
    /// The route has other methods.
    MethodNotAllowed {
        /// Those that it has.
        allowed: &'static str,
    },
    /// We are at fault.
    Fault(Fault),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<DirectoryError> for Failure {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Refused(error) => Self::Refused(error),
            DirectoryError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// The response to a failure.
pub(crate) fn response(failure: Failure, request_id: &str) -> Response {
    match failure {
        Failure::Refused(error) => {
            let mut response = error_response(&error);
            if error.kind() == ErrorKind::InsufficientScope {
                response.headers_mut().insert(
                    WWW_AUTHENTICATE,
                    HeaderValue::from_static(INSUFFICIENT_SCOPE),
                );
            }
            response
        }
        Failure::Limited { detail, seconds } => {
            let mut response = error_response(&Error::new(
                ErrorKind::TooManyRequests,
                format!("{detail} Try again in {seconds} seconds."),
            ));
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
            response
        }
        Failure::Unauthorized { token_given } => {
            let mut response = error_response(&directory::access::unauthorized());
            // RFC 6750 section 3.1: no error code where no token was given.
            let challenge = if token_given {
                "Bearer realm=\"rollcall\", error=\"invalid_token\""
            } else {
                "Bearer realm=\"rollcall\""
            };
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            response
        }
        Failure::MethodNotAllowed { allowed } => {
            let detail = format!(
                "This route does not have the method of the request; accepted are {allowed}."
            );
            let mut response = error_response(&Error::new(ErrorKind::MethodNotAllowed, detail));
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(allowed));
            response
        }
        Failure::Fault(fault) => error_response(&internal(&fault, request_id)),
    }
}

/// Logs a fault and says what may be said of it.
fn internal(fault: &Fault, request_id: &str) -> Error {
    let mut chain = fault.to_string();
    let mut source = fault.source();
    while let Some(error) = source {
        // Writing to a string does not fail.
        let _ = write!(chain, ": {error}");
        source = error.source();
    }
    tracing::error!(request_id, error = chain, "a request failed");
    hidden(request_id)
}

/// What is said of an error inside a larger answer.
pub(crate) fn error_of(error: DirectoryError, request_id: &str) -> Error {
    match error {
        DirectoryError::Refused(error) => error,
        DirectoryError::Fault(fault) => internal(&fault, request_id),
    }
}

/// What the caller learns of a failure of ours.
pub(crate) fn hidden(request_id: &str) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!(
            "Something failed on our side. The log has more under the request id {request_id}."
        ),
    )
}

/// An error message as a response.
pub(crate) fn error_response(error: &Error) -> Response {
    let mut response = Response::new(Body::from(error.to_json().to_string()));
    *response.status_mut() =
        StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, SCIM_JSON);
    if let Some(seconds) = error.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response.extensions_mut().insert(Refusal::of(error));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_inside_is_told_as_an_id() {
        let told = error_of(
            DirectoryError::Fault(Fault::new("the disk /secret is full")),
            "request-7",
        );
        assert_eq!(told.kind(), ErrorKind::Internal);
        assert!(
            told.detail().contains("request-7") && !told.detail().contains("secret"),
            "{told:?}"
        );
    }
}
