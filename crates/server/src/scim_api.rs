//! The SCIM API below a base URL: who calls, which route, which handler. Bodies, queries and answers are in the modules below.

mod body;

mod long;

mod view;

mod pieces;

mod render;

mod route;

mod discovery;

mod search;

mod resources;

mod group_members;

mod bulk;

use std::sync::Arc;

use access::client::ClientRecord;
use axum::body::Body;
use axum::response::Response;
use directory::Directory;
use directory::access::Caller;
use directory::stop::Stop;
use directory::tenant::TenantId;
use events::receiver::ReceiverKind;
use http::header::{AUTHORIZATION, WARNING};
use http::request::Parts;
use http::{HeaderValue, Method, Request};
use scim_protocol::messages::SearchRequest;
use scim_protocol::quirk::{QuirkSet, normalize_query, normalize_search};
use scim_protocol::schema::optional::restricted;
use scim_protocol::{Error, ErrorKind, Profile, json};
use serde_json::Value;

pub use self::body::ROOMLESS_BYTES_MAX;
use self::body::Received;
pub(crate) use self::body::read as read_body;
use self::route::Route;
use crate::address::origin;
use crate::authenticate::caller;
use crate::needs::{Place, need};
use crate::prefer::{DRY_RUN, PREFERENCE_APPLIED, wants_dry_run};
use crate::refusal::{Failure, response};
use crate::state::{DEFAULT_TENANT, State};
use crate::trace::Trace;

/// Every method that RFC 7644 has (section 3.2), and HEAD, which is GET.
const SCIM_METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

/// Most characters of names in a warning.
const WARNING_CHARACTERS_MAX: usize = 1_000;

/// A request whose caller is known.
struct Call {
    state: Arc<State>,
    /// The directory as it is for this request: with a journal, and without effect where it is only rehearsed.
    directory: Directory,
    trace: Trace,
    caller: Caller,
    base_url: String,
    parts: Parts,
    /// What was sent, until it is understood.
    body: Received,
}

/// Answers a request below `/t/{tenant}/scim/v2` or `/scim/v2`.
pub(crate) async fn handle(
    state: Arc<State>,
    request: Request<Body>,
    request_id: &str,
) -> Response {
    let trace = request
        .extensions()
        .get::<Trace>()
        .cloned()
        .unwrap_or_default();
    let mut response = match answer(state, request, &trace).await {
        Ok(response) => response,
        Err(failure) => response(failure, request_id),
    };
    if trace.is_dry_run() {
        response
            .headers_mut()
            .insert(PREFERENCE_APPLIED, HeaderValue::from_static(DRY_RUN));
    }
    if let Some(warning) = warning(&trace.journal.ignored()) {
        response.headers_mut().insert(WARNING, warning);
    }
    response
}

/// Says which names of the request no schema has, so that a client sees in the answer that their values were not kept.
fn warning(ignored: &[String]) -> Option<HeaderValue> {
    if ignored.is_empty() {
        return None;
    }
    let plain = |c: char| {
        if c.is_ascii_graphic() && !matches!(c, '"' | '\\') || c == ' ' {
            c
        } else {
            '?'
        }
    };
    let names: String = ignored
        .join(", ")
        .chars()
        .map(plain)
        .take(WARNING_CHARACTERS_MAX)
        .collect();
    HeaderValue::from_str(&format!(
        "299 - \"Ignored, as no schema has them: {names}\""
    ))
    .ok()
}

async fn answer(
    state: Arc<State>,
    request: Request<Body>,
    trace: &Trace,
) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let Some((tenant, base_path, rest)) = part(parts.uri.path()) else {
        return Err(Error::new(
            ErrorKind::NotFound,
            "This path leads nowhere; a tenant's base URL is /t/{tenant}/scim/v2.",
        )
        .into());
    };
    trace.named(tenant, &parts);
    let base_url = format!(
        "{}{base_path}",
        origin(&state.options, &parts.headers, &parts.extensions)
    );
    if is_public(rest, &parts) {
        return discovery::service_provider_config(
            &state,
            &base_url,
            &parts,
            discovery::Known::default(),
        );
    }
    let mut caller = caller(&state, tenant, &parts, Some(trace)).await?;
    let route = allowed(&mut caller, rest, &parts, trace)?;
    let method = without_head(&parts.method);
    let stop = Stop::default();
    let mut directory = state
        .directory
        .with_journal(trace.journal.clone())
        .with_stop(stop.clone());
    if route.writes(&method) && wants_dry_run(&parts.headers) {
        directory = directory.rehearsing()?;
        trace.rehearsed();
    }
    let (tenant, options) = (caller.tenant.id, &state.options);
    let bytes_max = route.body_bytes_max(&method, options);
    let mut received = Received::default();
    if let Some(bytes_max) = bytes_max {
        received = body::collect(&state, Some(tenant), &parts.headers, body, bytes_max).await?;
        trace.received(
            &received.bytes,
            route.body_kind(&method, &caller.schemas),
            options.request_log_body_bytes_max,
        );
    }
    let is_long = received.bytes.len() > options.short_body_bytes_max
        || (bytes_max.is_some() && matches!(route, Route::Bulk));
    let call = Call {
        state: Arc::clone(&state),
        directory,
        trace: trace.clone(),
        caller,
        base_url,
        parts,
        body: received,
    };
    if is_long {
        return Box::pin(long::answer(
            &state,
            tenant,
            stop,
            dispatch(call, route, method),
        ))
        .await;
    }
    dispatch(call, route, method).await
}

/// The route of a path, where the caller may use it. It is asked before the body is read, so that a request which is refused costs nothing more.
fn allowed(
    caller: &mut Caller,
    rest: &str,
    parts: &Parts,
    trace: &Trace,
) -> Result<Route, Failure> {
    let unknown = |_: &Error| trace.routed(unknown_path(rest), None);
    let route = match Route::find(&caller.schemas, rest).inspect_err(unknown)? {
        // A method that SCIM does not have is none of a User either.
        Route::Me if !SCIM_METHODS.contains(&parts.method) => {
            return Err(Failure::MethodNotAllowed {
                allowed: Route::Me.allowed(),
            });
        }
        Route::Me => {
            let route = me(caller, rest).inspect_err(unknown)?;
            caller.acts_for_oneself();
            route
        }
        route => route,
    };
    let (path, resource) = route.described();
    trace.routed(path, resource);
    let (pattern, named) = route.pattern();
    need(Place::Scim, without_head(&parts.method).as_str(), pattern)
        .ok_or(Failure::MethodNotAllowed {
            allowed: route.allowed(),
        })?
        .check(caller, named)?;
    Ok(route)
}

/// HEAD is answered like GET.
fn without_head(method: &Method) -> Method {
    if *method == Method::HEAD {
        Method::GET
    } else {
        method.clone()
    }
}

/// The futures of rare requests are boxed: a future is as large as the largest one inside it.
async fn dispatch(call: Call, route: Route, method: Method) -> Result<Response, Failure> {
    match (route, method) {
        (Route::Root, Method::GET) => Box::pin(search::query(call, None)).await,
        (Route::Type(schema), Method::GET) => Box::pin(search::query(call, Some(schema))).await,
        (Route::Search(schema), Method::POST) => Box::pin(search::message(call, schema)).await,
        (Route::Type(schema), Method::POST) => resources::create(call, schema).await,
        (Route::Resource(schema, id), Method::GET) => resources::read(call, schema, id).await,
        (Route::Resource(schema, id), Method::PUT) => resources::replace(call, schema, id).await,
        (Route::Resource(schema, id), Method::PATCH) => resources::patch(call, schema, id).await,
        (Route::Resource(schema, id), Method::DELETE) => resources::delete(call, schema, id).await,
        (Route::GroupMembers, Method::GET) => Box::pin(group_members::query(call)).await,
        (Route::GroupMembers, Method::POST) => Box::pin(group_members::create(call)).await,
        (Route::GroupMemberSearch, Method::POST) => Box::pin(group_members::message(call)).await,
        (Route::GroupMember(id), Method::GET) => Box::pin(group_members::read(call, id)).await,
        (Route::GroupMember(id), Method::DELETE) => Box::pin(group_members::delete(call, id)).await,
        (Route::Bulk, Method::POST) => Box::pin(bulk::bulk(call)).await,
        (Route::ServiceProviderConfig, Method::GET) => {
            Box::pin(service_provider_config(call)).await
        }
        (Route::ResourceTypes(id), Method::GET) => {
            let (directory, caller) = (call.directory.clone(), call.caller.clone());
            let types = discovery::visible(&directory, &caller, id.as_deref()).await?;
            discovery::resource_types(&call, &types, id.as_deref())
        }
        (Route::Schemas(id), Method::GET) => {
            let (directory, caller) = (call.directory.clone(), call.caller.clone());
            let types = discovery::visible(&directory, &caller, id.as_deref()).await?;
            discovery::schemas(&call, &types, id.as_deref())
        }
        (route, _) => Err(Failure::MethodNotAllowed {
            allowed: route.allowed(),
        }),
    }
}

async fn service_provider_config(call: Call) -> Result<Response, Failure> {
    // The body of a call must not be held while we wait.
    let (state, directory, caller) = (
        Arc::clone(&call.state),
        call.directory.clone(),
        call.caller.clone(),
    );
    let tenant = caller.tenant.id;
    let (takes_client_credentials, sends_tokens) = (
        has_clients(&state, tenant).await?,
        sends_tokens(&state, tenant).await?,
    );
    let types = restricted(&directory.listed(&caller).await?, |schema| {
        caller.permissions.covers(schema.name())
    });
    let known = discovery::Known {
        types: Some(&types),
        takes_client_credentials,
        sends_tokens,
    };
    discovery::service_provider_config(&call.state, &call.base_url, &call.parts, known)
}

/// Whether a tenant has OAuth clients.
async fn has_clients(state: &State, tenant: TenantId) -> Result<bool, Failure> {
    let Some(callers) = state.callers() else {
        return Ok(false);
    };
    Ok(callers
        .clients
        .list_clients(tenant)
        .await?
        .iter()
        .any(ClientRecord::is_live))
}

/// Whether somebody is sent Security Event Tokens of a tenant.
async fn sends_tokens(state: &State, tenant: TenantId) -> Result<bool, Failure> {
    let Some(events) = state.events() else {
        return Ok(false);
    };
    Ok(events
        .receivers
        .list_receivers(tenant)
        .await?
        .iter()
        .any(|receiver| receiver.kind != ReceiverKind::Webhook))
}

/// The resource behind `/Me` (RFC 7644 section 3.11), which is answered directly: its `Location` and `meta.location` are those of the User.
fn me(caller: &Caller, path: &str) -> Result<Route, Error> {
    let is_whole = path.trim_matches('/').eq_ignore_ascii_case("Me");
    match (&caller.permissions.user, caller.schemas.by_name("User")) {
        (Some(id), Some(schema)) if is_whole => Ok(Route::Resource(Arc::clone(schema), id.clone())),
        _ => Err(Error::new(
            ErrorKind::NotImplemented,
            "/Me is not offered to this token, as it stands for nobody; use /Users with an id or a filter, or a token that was made for a User.",
        )),
    }
}

/// Whether it is what anybody may read to learn how to authenticate (RFC 7643 section 5): the same for every tenant, also for one that does not exist.
fn is_public(path: &str, parts: &Parts) -> bool {
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    reads
        && path
            .trim_matches('/')
            .eq_ignore_ascii_case("ServiceProviderConfig")
        && !parts.headers.contains_key(AUTHORIZATION)
}

/// Whether a path is one of the SCIM API.
pub(crate) fn is_for(path: &str) -> bool {
    part(path).is_some()
}

/// Tenant, base path and the path below it.
fn part(path: &str) -> Option<(&str, &str, &str)> {
    let (tenant, rest) = match path.strip_prefix("/t/") {
        Some(path) => path
            .split_once('/')
            .and_then(|(tenant, rest)| Some((tenant, rest.strip_prefix("scim/v2")?)))?,
        None => (DEFAULT_TENANT, path.strip_prefix("/scim/v2")?),
    };
    let base_path = path.strip_suffix(rest)?;
    (rest.is_empty() || rest.starts_with('/')).then_some((tenant, base_path, rest))
}

fn query(parts: &Parts) -> Vec<(String, String)> {
    let query = parts.uri.query().unwrap_or_default();
    // Some clients put a second question mark behind the path.
    url::form_urlencoded::parse(query.trim_matches('?').as_bytes())
        .into_owned()
        .collect()
}

/// What is kept of a path that leads nowhere: its first part, where that could be an endpoint.
fn unknown_path(path: &str) -> String {
    let first = path
        .split('/')
        .find(|segment| !segment.is_empty())
        .unwrap_or_default();
    let could_be = first.len() <= 32
        && first
            .bytes()
            .all(|byte| byte.is_ascii_alphabetic() || byte == b'.');
    if could_be {
        format!("/{first}/…")
    } else {
        "/…".to_owned()
    }
}

impl Call {
    /// Decoded query parameters.
    fn query(&self) -> Vec<(String, String)> {
        let mut query = query(&self.parts);
        let adapted = normalize_query(&self.quirks(), &mut query);
        self.trace.journal.also_adapted(adapted);
        query
    }

    /// What the caller's profile tolerates.
    fn quirks(&self) -> QuirkSet {
        self.caller
            .profile()
            .map_or_else(QuirkSet::standard, Profile::quirks)
    }

    /// The body as JSON; of a bulk request with at most so many operations.
    fn json(&mut self, operations_max: Option<usize>) -> Result<Value, Error> {
        // The room that it takes is given back with the request, as the values take more.
        json::parse(&std::mem::take(&mut self.body.bytes), operations_max)
    }

    /// The body of a `.search`.
    fn search_request(&mut self) -> Result<SearchRequest, Error> {
        let mut body = self.json(None)?;
        self.trace
            .journal
            .also_adapted(normalize_search(&self.quirks(), &mut body));
        SearchRequest::from_body(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        let check = |path: &str, expected: Option<(&str, &str, &str)>| {
            assert_eq!(part(path), expected, "{path}");
        };
        check(
            "/t/acme/scim/v2/Users/1",
            Some(("acme", "/t/acme/scim/v2", "/Users/1")),
        );
        check("/t/acme/scim/v2", Some(("acme", "/t/acme/scim/v2", "")));
        check("/scim/v2/", Some(("default", "/scim/v2", "/")));
        check("/scim/v2Users", None);
        check("/scim", None);
        check("/t/acme", None);
    }
}
