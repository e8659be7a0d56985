//! `/healthz`: the process answers. `/readyz`: requests can be answered too, or why not.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::state::State;

pub(crate) fn live() -> Response {
    text(StatusCode::OK, "ok\n")
}

pub(crate) async fn ready(state: &State) -> Response {
    let limit = Duration::from_secs(state.options.readiness_seconds_max);
    match state.trials.find(state.clock.now(), limit).await {
        Ok(()) => text(StatusCode::OK, "ready\n"),
        Err(reason) => text(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {reason}\n"),
        ),
    }
}

fn text(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
