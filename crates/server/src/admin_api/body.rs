//! Bodies and path parameters of the admin API: read with limits, refused in the form of SCIM errors, answered as JSON.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use scim_protocol::{Error, ErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::refusal::error_response;
use crate::scim_api;
use crate::state::State;

/// A JSON body that was understood.
pub(crate) struct Given<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<State>> for Given<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let read = scim_api::read_body(
            state,
            None,
            &parts.headers,
            body,
            state.options.body_bytes_max,
        )
        .await;
        let value = read.map_err(|error| error_response(&error))?;
        serde_path_to_error::deserialize(value)
            .map(Self)
            .map_err(|error| {
                let path = error.path().to_string();
                let detail = format!(
                    "`{path}` in the body is not what is accepted there: {}.",
                    error.into_inner()
                );
                error_response(&Error::new(ErrorKind::InvalidValue, detail).at(path))
            })
    }
}

/// A JSON body that was understood, or the default where the request has no body.
pub(crate) struct GivenOrDefault<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<State>> for GivenOrDefault<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, Response> {
        if request.body().is_end_stream() {
            return Ok(Self(T::default()));
        }
        let Given(value) = Given::from_request(request, state).await?;
        Ok(Self(value))
    }
}

/// Parameters of the path.
pub(crate) struct Parameters<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value)).map_err(|_| {
            error_response(&Error::new(
                ErrorKind::NotFound,
                "The path of the request cannot be read; `/openapi.json` describes it.",
            ))
        })
    }
}

/// Parameters of the query.
pub(crate) struct Asking<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asking<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Response> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        query.map(|Query(value)| Self(value)).map_err(|rejection| {
            let detail = format!("The query is not accepted: {}.", rejection.body_text());
            error_response(&Error::new(ErrorKind::InvalidValue, detail))
        })
    }
}

/// A JSON answer.
pub(crate) struct Answer<T>(pub StatusCode, pub T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let Self(status, value) = self;
        // Answers are structures with named fields, which always can be JSON.
        let mut response =
            Response::new(Body::from(serde_json::to_vec(&value).unwrap_or_default()));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
