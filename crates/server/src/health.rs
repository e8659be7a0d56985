//! `/healthz`: the process answers. `/readyz`: the store answers too.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::state::State;

pub(crate) fn live() -> Response {
    text(StatusCode::OK, "ok\n")
}

pub(crate) async fn ready(state: &Arc<State>) -> Response {
    match state.tenants.find_tenant("default").await {
        Ok(_) => text(StatusCode::OK, "ready\n"),
        Err(fault) => {
            tracing::warn!(error = &fault as &dyn std::error::Error, "not ready");
            text(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n")
        }
    }
}

fn text(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
