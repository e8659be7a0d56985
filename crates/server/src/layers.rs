//! The stack around every request, from the outside in. Connections, and the time that a client may take, are `serve`'s.
//!
//! 1. A request id: in every answer, and in the log lines of failures.
//! 2. A log line with method, status and time; no path, because a path or a query can hold what people are called.
//! 3. A panic becomes a 500 with a SCIM body; the process and other requests go on.
//! 4. A time limit over everything below, bodies and the request log included; a longer one for what brings a whole tenant.
//! 5. What must hold before a route is asked: `admission.rs`.
//! 6. HEAD is GET without the body.
//! 7. When all is done, an entry of the tenant's request log.

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
use jiff::Timestamp;
use scim_protocol::{Error, ErrorKind};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::admin_api::AdminApi;
use crate::admission::admit;
use crate::answer_limit::timely;
use crate::authenticate::{Budget, caller};
use crate::event_routes::EventRoute;
use crate::needs::{Place, check};
use crate::oauth::Denied;
use crate::refusal::{self, Failure, error_response, hidden};
use crate::request_id::RequestId;
use crate::state::State;
use crate::trace::{Answered, Refusal, Trace};
use crate::{event_routes, health, oauth, scim_api};

/// Longest name of a method that is kept, in characters.
const METHOD_CHARACTERS_MAX: usize = 16;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// All routes with their layers. The whole path is matched in one place, so that every answer, also to unknown paths and wrong methods, is a SCIM one.
pub fn router(state: Arc<State>) -> Router {
    let admin_api = Arc::new(AdminApi::new(Arc::clone(&state)));
    Router::new().fallback(move |request: Request| stack(state.clone(), admin_api.clone(), request))
}

async fn stack(state: Arc<State>, admin_api: Arc<AdminApi>, mut request: Request) -> Response {
    let exchange = Exchange::begin(&state, &mut request);
    let is_restore = AdminApi::moves_a_tenant(&exchange.method, request.uri().path());
    let limit = Duration::from_secs(if is_restore {
        state.options.restore_seconds_max
    } else {
        state.options.request_seconds_max
    });
    let deadline = Instant::now() + limit;
    let mut response = guarded(&state, &admin_api, request, &exchange.id, deadline).await;
    let answered = exchange.finish(&state, &mut response);
    let refusal = response.extensions_mut().remove::<Refusal>();
    if timeout_at(deadline, keep(&state, &exchange.trace, answered, refusal))
        .await
        .is_err()
    {
        tracing::warn!(
            request_id = exchange.id.as_str(),
            "a request was not written down: there was no time left for it"
        );
    }
    if exchange.method == Method::HEAD {
        return without_body(response);
    }
    // A stream of events says at least this often that it is there.
    let silence = state
        .options
        .request_seconds_max
        .max(state.options.event_heartbeat_seconds.saturating_mul(2));
    response.map(|body| timely(body, Duration::from_secs(silence)))
}

/// What is known of a request from its beginning to its end.
struct Exchange {
    number: Uuid,
    id: RequestId,
    trace: Trace,
    budget: Budget,
    method: Method,
    started: Timestamp,
}

impl Exchange {
    /// Gives the request its id, and the places where the layers below write down what they learn.
    fn begin(state: &State, request: &mut Request) -> Self {
        let number = state.ids.id();
        let exchange = Self {
            number,
            id: RequestId::new(number),
            trace: Trace::default(),
            budget: Budget::default(),
            method: request.method().clone(),
            started: state.clock.now(),
        };
        let extensions = request.extensions_mut();
        extensions.insert(exchange.id.clone());
        extensions.insert(exchange.budget.clone());
        extensions.insert(exchange.trace.clone());
        exchange
    }

    /// Completes the headers of the answer and logs it.
    fn finish(&self, state: &State, response: &mut Response) -> Answered {
        let (id, method, status) = (self.id.as_str(), &self.method, response.status().as_u16());
        self.budget.describe(response.headers_mut());
        if let Ok(value) = HeaderValue::from_str(id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let taken = state.clock.now().duration_since(self.started);
        let micros = u64::try_from(taken.as_micros()).unwrap_or_default();
        tracing::debug!(request_id = id, %method, status, micros, "answered");
        Answered {
            id: self.number,
            at: self.started,
            method: method
                .as_str()
                .chars()
                .take(METHOD_CHARACTERS_MAX)
                .collect(),
            micros,
            status,
        }
    }
}

/// The answer within the time limit; a panic below becomes one, too.
async fn guarded(
    state: &Arc<State>,
    admin_api: &AdminApi,
    request: Request,
    id: &RequestId,
    deadline: Instant,
) -> Response {
    // On the heap: the future has some ten thousand bytes, and every layer above would move it.
    let admitted = Box::pin(admitted(state.clone(), admin_api, request, id));
    let guarded = AssertUnwindSafe(timeout_at(deadline, admitted)).catch_unwind();
    match guarded.await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => error_response(&Error::new(
            ErrorKind::Unavailable,
            "The request took too long; whether it took effect is not known, so look before you send it again.",
        )),
        Err(_) => {
            tracing::error!(request_id = id.as_str(), "a request panicked");
            error_response(&hidden(id.as_str()))
        }
    }
}

/// Into the request log of the tenant; of strangers only so many.
async fn keep(state: &State, trace: &Trace, answered: Answered, refusal: Option<Refusal>) {
    let Some(log) = &state.request_log else {
        return;
    };
    if let Some(tenant) = trace.unknown_caller_of() {
        let most = state.options.request_log_strangers_per_minute_max;
        if !state.strangers.allows(&tenant, answered.at, most) {
            return;
        }
        match state.tenants.find_tenant(&tenant).await {
            Ok(Some(tenant)) => trace.refused(tenant.id, tenant.settings.request_log_days),
            Ok(None) => return,
            Err(fault) => {
                return tracing::warn!(
                    error = &fault as &dyn std::error::Error,
                    "a request could not be written down"
                );
            }
        }
    }
    if let Some(draft) = trace.draft(answered, refusal) {
        log.record(draft);
    }
}

/// The answer of the route, where the request may reach one.
async fn admitted(
    state: Arc<State>,
    admin_api: &AdminApi,
    request: Request,
    id: &RequestId,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let takes_tokens = takes_tokens(parts.uri.path());
    let admission = admit(&state, &mut parts, takes_tokens);
    match admission {
        Ok(()) => route(state, admin_api, Request::from_parts(parts, body), id).await,
        Err(failure)
            if oauth::part(parts.uri.path())
                .is_some_and(|(_, is_token_endpoint)| is_token_endpoint) =>
        {
            oauth::refused(Denied::Failed(failure), id.as_str())
        }
        Err(failure) => refusal::response(failure, id.as_str()),
    }
}

/// Whether the route of a path asks who calls.
fn takes_tokens(path: &str) -> bool {
    let is_event_route = matches!(
        EventRoute::find(path),
        Some(EventRoute::Feed(_) | EventRoute::Poll(..))
    );
    is_event_route
        || described_tenant(path).is_some()
        || AdminApi::is_for(path)
        || scim_api::is_for(path)
}

/// The futures of rare routes are boxed: a future is as large as the largest one inside it.
async fn route(
    state: Arc<State>,
    admin_api: &AdminApi,
    request: Request,
    id: &RequestId,
) -> Response {
    match (request.uri().path(), request.method()) {
        ("/healthz", &Method::GET | &Method::HEAD) => health::live(),
        ("/readyz", &Method::GET | &Method::HEAD) => health::ready(&state).await,
        ("/openapi.json", &Method::GET | &Method::HEAD) => openapi(admin_api.document().to_owned()),
        (path, _) if described_tenant(path).is_some() => {
            Box::pin(openapi_of(&state, admin_api, request, id)).await
        }
        (path, _) if oauth::part(path).is_some() => {
            Box::pin(oauth::answer(state, request, id.as_str())).await
        }
        (path, _) if AdminApi::is_for(path) => Box::pin(admin_api.answer(request)).await,
        (path, _) if EventRoute::find(path).is_some() => {
            Box::pin(event_routes::answer(state, request, id.as_str())).await
        }
        _ => scim_api::handle(state, request, id.as_str()).await,
    }
}

/// The tenant whose OpenAPI document a path leads to.
fn described_tenant(path: &str) -> Option<&str> {
    path.strip_prefix("/t/")?
        .strip_suffix("/openapi.json")
        .filter(|tenant| !tenant.contains('/'))
}

async fn openapi_of(
    state: &Arc<State>,
    admin_api: &AdminApi,
    request: Request,
    id: &RequestId,
) -> Response {
    let (parts, _) = request.into_parts();
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return refusal::response(
            Failure::MethodNotAllowed {
                allowed: "GET, HEAD",
            },
            id.as_str(),
        );
    }
    let answered = async {
        let caller = caller(
            state,
            described_tenant(parts.uri.path()).unwrap_or_default(),
            &parts,
            None,
        )
        .await?;
        check(Place::Tenant, "GET", "/openapi.json", &caller).map(|()| caller)
    };
    match answered.await {
        Ok(caller) => openapi(admin_api.document_of(&caller)),
        Err(failure) => refusal::response(failure, id.as_str()),
    }
}

fn openapi(document: String) -> Response {
    let mut response = Response::new(Body::from(document));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The length stays the one that GET would have had (RFC 9110 section 9.3.2).
fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        parts
            .headers
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::empty())
}
