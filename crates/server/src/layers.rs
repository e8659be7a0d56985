//! The stack around every request, from the outside in. Connections, and the time for the head of a request, are `serve`'s.
//!
//! 1. A request id: in every answer, and in the log lines of failures.
//! 2. A log line with method, status and time; no path, because a path or a query can hold what people are called.
//! 3. A panic becomes a 500 with a SCIM body; the process and other requests go on.
//! 4. A time limit over everything below, the body included.
//! 5. HEAD is GET without the body.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use http_body::Body as _;
use scim_protocol::{Error, ErrorKind};

use crate::admin_api::AdminApi;
use crate::authenticate::Budget;
use crate::event_routes::EventRoute;
use crate::refusal::{error_response, hidden};
use crate::request_id::RequestId;
use crate::state::State;
use crate::{event_routes, health, oauth, scim_api};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// All routes with their layers. The whole path is matched in one place, so that every answer, also to unknown paths and wrong methods, is a SCIM one.
pub fn router(state: Arc<State>) -> Router {
    let admin_api = Arc::new(AdminApi::new(Arc::clone(&state)));
    Router::new().fallback(move |request: Request| stack(state.clone(), admin_api.clone(), request))
}

async fn stack(state: Arc<State>, admin_api: Arc<AdminApi>, mut request: Request) -> Response {
    let id = RequestId::new(state.ids.id());
    let method = request.method().clone();
    let clock = state.clock.clone();
    let started = clock.now();
    request.extensions_mut().insert(id.clone());
    let budget = Budget::default();
    request.extensions_mut().insert(budget.clone());
    let limit = Duration::from_secs(state.options.request_seconds_max);
    let guarded = AssertUnwindSafe(tokio::time::timeout(limit, route(state, &admin_api, request, &id))).catch_unwind();
    let mut response = match guarded.await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => error_response(&Error::new(
            ErrorKind::Unavailable,
            "The request took too long; whether it took effect is not known, so look before you send it again.",
        )),
        Err(_) => {
            tracing::error!(request_id = id.as_str(), "a request panicked");
            error_response(&hidden(id.as_str()))
        }
    };
    budget.describe(response.headers_mut());
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    tracing::debug!(request_id = id.as_str(), %method, status = response.status().as_u16(), micros = clock.now().duration_since(started).as_micros(), "answered");
    if method == Method::HEAD { without_body(response) } else { response }
}

async fn route(state: Arc<State>, admin_api: &AdminApi, request: Request, id: &RequestId) -> Response {
    match (request.uri().path(), request.method()) {
        ("/healthz", &Method::GET | &Method::HEAD) => health::live(),
        ("/readyz", &Method::GET | &Method::HEAD) => health::ready(&state).await,
        ("/openapi.json", &Method::GET | &Method::HEAD) => openapi(admin_api),
        (path, _) if oauth::part(path).is_some() => oauth::answer(state, request, id.as_str()).await,
        (path, _) if AdminApi::is_for(path) => admin_api.answer(request).await,
        (path, _) if EventRoute::find(path).is_some() => event_routes::answer(state, request, id.as_str()).await,
        _ => scim_api::handle(state, request, id.as_str()).await,
    }
}

fn openapi(admin_api: &AdminApi) -> Response {
    let mut response = Response::new(Body::from(admin_api.document().to_owned()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The length stays the one that GET would have had (RFC 9110 section 9.3.2).
fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::empty())
}
