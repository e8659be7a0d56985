//! `GET /t/{tenant}/events`: what happened, in order, from a position on: as one answer that may wait for something to tell, or as a stream
//! (server-sent events, as HTML defines them). Does not know receivers.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use access::credential::TokenHasher;
use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use directory::access::Caller;
use directory::store::Fault;
use directory::tenant::TenantId;
use events::event::Kind;
use events::receiver::Detail;
use futures_util::stream::unfold;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use scim_protocol::{Error, ErrorKind};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::address::origin;
use crate::authenticate::caller;
use crate::listeners::Listener;
use crate::needs::{Place, check};
use crate::refusal::{Failure, error_response};
use crate::state::{Events, State};

/// How often a listener looks for itself: commits of other processes are not always heard of.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Its row in the table of needs.
const ROUTE: &str = "/events";
/// Where the newest position is asked for without any event.
const LATEST: &str = "latest";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Question {
    after: After,
    limit: usize,
    wait: Duration,
    detail: Detail,
    streams: bool,
}

/// From where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// All that the log holds.
    Oldest,
    /// What comes.
    Latest,
    /// This place.
    Place(i64),
}

/// One who follows the events.
struct Follower {
    state: Arc<State>,
    events: Events,
    /// Who asked, so that the token can be looked at again.
    request: Parts,
    caller: Caller,
    base_url: String,
    detail: Detail,
    limit: usize,
    after: i64,
}

/// Some events, as they are told, and the position behind them.
struct Page {
    events: Vec<(String, Map<String, Value>)>,
    position: i64,
    more: bool,
}

/// Answers.
pub(crate) async fn feed(
    (state, events): (Arc<State>, Events),
    tenant: &str,
    parts: &Parts,
) -> Result<Response, Failure> {
    let caller = caller(&state, tenant, parts, None).await?;
    check(Place::Tenant, "GET", ROUTE, &caller)?;
    let question = question(&state, caller.tenant.id, parts)?;
    let window = events.log.window(caller.tenant.id).await?;
    let after = match question.after {
        After::Oldest => window.oldest,
        After::Latest => window.newest,
        After::Place(place) if place < window.oldest || place > window.newest => {
            return Err(gone().into());
        }
        After::Place(place) => place,
    };
    let base_url = format!(
        "{}/t/{tenant}/scim/v2",
        origin(&state.options, &parts.headers, &parts.extensions)
    );
    let (request, limit) = (parts.clone(), question.limit);
    let follower = Follower {
        request,
        caller,
        base_url,
        detail: question.detail,
        limit,
        after,
        state,
        events,
    };
    if question.streams {
        return Ok(follower.stream());
    }
    follower.answer(question).await
}

impl Follower {
    async fn answer(mut self, question: Question) -> Result<Response, Failure> {
        let until = Instant::now() + question.wait;
        let mut commits = self.events.commits.clone();
        let mut listener: Option<Listener> = None;
        loop {
            let page = self
                .page(question.after == After::Latest && question.wait.is_zero())
                .await?;
            if self.is_outdated().await? {
                self.caller = self.caller_again().await?;
                continue;
            }
            self.after = page.position;
            let left = until.saturating_duration_since(Instant::now());
            if !page.events.is_empty() || page.more || left.is_zero() {
                return Ok(self.json(page));
            }
            if listener.is_none() {
                listener = self.state.listeners.enter(self.caller.tenant.id);
                if listener.is_none() {
                    return Ok(too_many());
                }
            }
            // Nothing is missed between the look and the wait: the receiver has not seen what came after it was made.
            if let Ok(Err(_)) = timeout(left.min(LOOK_EVERY), commits.changed()).await {
                return Ok(self.json(Page {
                    events: Vec::new(),
                    position: self.after,
                    more: false,
                }));
            }
        }
    }

    fn json(&self, page: Page) -> Response {
        let position = self.position(page.position);
        let events: Vec<_> = page.events.into_iter().map(|(_, event)| event).collect();
        let mut response = Response::new(Body::from(
            json!({"events": events, "position": position, "more": page.more}).to_string(),
        ));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// The events after the place that was reached. Those that are about one receiver's feed, or about types that the caller may not read, are left out.
    async fn page(&self, only_position: bool) -> Result<Page, Fault> {
        if only_position {
            return Ok(Page {
                events: Vec::new(),
                position: self.after,
                more: false,
            });
        }
        let tenant = self.caller.tenant.id;
        let found = self
            .events
            .log
            .read_events(tenant, self.after, self.limit)
            .await?;
        let more = found.len() >= self.limit;
        let position = found.last().map_or(self.after, |event| event.sequence);
        let mut shown = found;
        shown.retain(|event| {
            !matches!(event.kind, Kind::FeedAdd | Kind::FeedRemove)
                && self.caller.permissions.covers(&event.resource_type)
        });
        let told = match self.detail {
            Detail::Full => {
                self.events
                    .renderer
                    .with_resources(&self.caller, &self.base_url, shown)
                    .await?
            }
            Detail::Notice => shown.into_iter().map(|event| (event, None)).collect(),
        };
        let json =
            |(event, resource): (events::event::LoggedEvent, Option<Arc<Map<String, Value>>>)| {
                let position = self.position(event.sequence);
                let mut json = event.to_json(resource.as_deref());
                json.shift_insert(1, "position".into(), position.clone().into());
                (position, json)
            };
        Ok(Page {
            events: told.into_iter().map(json).collect(),
            position,
            more,
        })
    }

    /// Whether something of the tenant was changed since the caller was authenticated; its token may have ended with it. Asked after events were read, so
    /// that none of them happened after the token ended.
    async fn is_outdated(&self) -> Result<bool, Fault> {
        let Caller { tenant, .. } = &self.caller;
        Ok(self
            .state
            .tenants
            .tenant_revision(&tenant.name)
            .await?
            .is_none_or(|revision| revision > tenant.revision))
    }

    /// The caller as its token is now; refused where that is no longer good for this.
    async fn caller_again(&self) -> Result<Caller, Failure> {
        let again = caller(&self.state, &self.caller.tenant.name, &self.request, None).await?;
        check(Place::Tenant, "GET", ROUTE, &again)?;
        Ok(again)
    }

    fn position(&self, sequence: i64) -> String {
        position_text(&*self.state.hasher, self.caller.tenant.id, sequence)
    }

    fn stream(self) -> Response {
        let Some(listener) = self.state.listeners.enter(self.caller.tenant.id) else {
            return too_many();
        };
        let (commits, now) = (self.events.commits.clone(), Instant::now());
        let stream = Stream {
            follower: self,
            commits,
            heard: now,
            checked: now,
            _listener: listener,
            begun: false,
        };
        let mut response = Response::new(Body::from_stream(unfold(stream, Stream::next)));
        for (name, value) in [
            (CONTENT_TYPE, "text/event-stream"),
            (CACHE_CONTROL, "no-store"),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        // Proxies of the nginx kind would keep the events until there are many.
        response
            .headers_mut()
            .insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

/// A stream of events.
struct Stream {
    follower: Follower,
    commits: tokio::sync::watch::Receiver<u64>,
    /// When the client last heard of us.
    heard: Instant,
    /// When its token was last looked at.
    checked: Instant,
    _listener: Listener,
    begun: bool,
}

type Frame = Result<Bytes, Infallible>;

impl Stream {
    /// The next frames; the end where the server stops, the token is no longer good, or the store fails. The client then asks again with the last id.
    async fn next(mut self) -> Option<(Frame, Self)> {
        let heartbeat =
            Duration::from_secs(self.follower.state.options.event_heartbeat_seconds.max(1));
        if !std::mem::replace(&mut self.begun, true) {
            // The headers leave with the first frame, and the client knows where it is.
            let id = self.follower.position(self.follower.after);
            return Some((Ok(format!("retry: 2000\nid: {id}\n\n").into()), self));
        }
        loop {
            // However much there is to tell: a token that was taken back meanwhile is told nothing more.
            if self.checked.elapsed() >= heartbeat {
                self.follower.caller = self.follower.caller_again().await.ok()?;
                self.checked = Instant::now();
            }
            let (page, is_outdated) = match self.look().await {
                Ok(looked) => looked,
                Err(fault) => {
                    tracing::error!(
                        error = &fault as &dyn std::error::Error,
                        "a stream of events broke"
                    );
                    return None;
                }
            };
            if is_outdated {
                self.follower.caller = self.follower.caller_again().await.ok()?;
                continue;
            }
            if page.position > self.follower.after {
                self.follower.after = page.position;
                self.heard = Instant::now();
                return Some((Ok(self.frames(&page).into()), self));
            }
            let silent = self.heard.elapsed();
            if silent >= heartbeat {
                self.heard = Instant::now();
                return Some((Ok(Bytes::from_static(b": nothing new\n\n")), self));
            }
            tokio::select! {
                changed = self.commits.changed() => changed.ok()?,
                () = sleep(LOOK_EVERY.min(heartbeat.saturating_sub(silent))) => {}
            }
        }
    }

    /// The events that are there, and whether the caller has to be looked at again before any is told.
    async fn look(&self) -> Result<(Page, bool), Fault> {
        Ok((
            self.follower.page(false).await?,
            self.follower.is_outdated().await?,
        ))
    }

    fn frames(&self, page: &Page) -> String {
        let mut text = String::new();
        for (position, event) in &page.events {
            // JSON has no line breaks of its own here.
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "id: {position}\nevent: change\ndata: {}\n\n",
                Value::Object(event.clone())
            );
        }
        // What was left out counts as told; without data the client only learns the id.
        let end = self.follower.position(page.position);
        if page
            .events
            .last()
            .is_none_or(|(position, _)| *position != end)
        {
            let _ = write!(text, "id: {end}\n\n");
        }
        text
    }
}

fn question(state: &State, tenant: TenantId, parts: &Parts) -> Result<Question, Error> {
    let options = &state.options;
    let mut question = Question {
        after: After::Oldest,
        limit: options.event_page_max,
        wait: Duration::ZERO,
        detail: Detail::Full,
        streams: accepts_stream(&parts.headers),
    };
    let refuse = |name: &str, accepted: &str| {
        Err(Error::new(
            ErrorKind::InvalidValue,
            format!("`{name}` cannot be read; accepted is {accepted}."),
        )
        .at(name.to_owned()))
    };
    for (name, value) in
        url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
    {
        match (&*name, value.parse::<u64>()) {
            ("after", _) => question.after = after(state, tenant, &value)?,
            ("limit", Ok(limit)) if limit > 0 => {
                question.limit = usize::try_from(limit)
                    .unwrap_or(usize::MAX)
                    .min(options.event_page_max);
            }
            ("limit", _) => return refuse("limit", "a number from 1 on"),
            ("wait", Ok(seconds)) => {
                question.wait = Duration::from_secs(seconds.min(options.event_wait_seconds_max));
            }
            ("wait", _) => return refuse("wait", "a number of seconds"),
            ("detail", _) if &*value == "full" => question.detail = Detail::Full,
            ("detail", _) if &*value == "notice" => question.detail = Detail::Notice,
            ("detail", _) => return refuse("detail", "`full` or `notice`"),
            _ => {}
        }
    }
    // A client that lost its stream sends this by itself; it knows better than the URL it began with.
    if question.streams
        && let Some(id) = parts
            .headers
            .get("last-event-id")
            .and_then(|value| value.to_str().ok())
            .filter(|id| !id.is_empty())
    {
        question.after = after(state, tenant, id)?;
    }
    Ok(question)
}

fn accepts_stream(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    accept.split(',').any(|part| {
        part.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case("text/event-stream")
    })
}

fn after(state: &State, tenant: TenantId, text: &str) -> Result<After, Error> {
    if text == LATEST {
        return Ok(After::Latest);
    }
    let place = read_position(&*state.hasher, tenant, text);
    place.map(After::Place).ok_or_else(|| {
        let detail = "The position is not one that this tenant's feed gave out; accepted is such a position, or `latest`, or none for all that there is.";
        Error::new(ErrorKind::InvalidValue, detail).at("after")
    })
}

/// A position as clients hold it: the place in the log, and a mark by which it is known to be ours and this tenant's.
fn position_text(hasher: &dyn TokenHasher, tenant: TenantId, sequence: i64) -> String {
    let mut bytes = sequence.to_be_bytes().to_vec();
    bytes.extend(mark(hasher, tenant, sequence));
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn read_position(hasher: &dyn TokenHasher, tenant: TenantId, text: &str) -> Option<i64> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (sequence, given) = bytes.split_first_chunk::<8>()?;
    let sequence = i64::from_be_bytes(*sequence);
    (given == mark(hasher, tenant, sequence)).then_some(sequence)
}

fn mark(hasher: &dyn TokenHasher, tenant: TenantId, sequence: i64) -> Vec<u8> {
    let hash = hasher.hash(&format!("event position {} {sequence}", tenant.0));
    hash.0
        .first_chunk::<8>()
        .map(|mark| mark.to_vec())
        .unwrap_or_default()
}

fn gone() -> Error {
    let detail = "The feed no longer holds what came after this position. Start anew: take the newest position with `after=latest`, \
        read all resources by SCIM, then follow from that position.";
    Error::new(ErrorKind::Gone, detail).at("after")
}

/// Who finds no room is told when to try again.
pub(crate) fn too_many() -> Response {
    let detail = "Too many requests wait for events already; ask again shortly, or without `wait`.";
    let mut response = error_response(&Error::new(ErrorKind::Unavailable, detail));
    debug_assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

#[cfg(test)]
mod tests {
    use access::credential::TokenHash;

    use super::*;

    struct Plain;

    impl TokenHasher for Plain {
        fn hash(&self, token: &str) -> TokenHash {
            let mut hash = [0; 32];
            for (at, byte) in token.bytes().enumerate() {
                hash[at % 8] = u8::wrapping_mul(hash[at % 8], 31).wrapping_add(byte);
            }
            TokenHash(hash)
        }
    }

    #[test]
    fn positions_are_their_tenants_own() {
        for sequence in [0, 1, 77, i64::MAX] {
            let text = position_text(&Plain, TenantId(1), sequence);
            assert_eq!(read_position(&Plain, TenantId(1), &text), Some(sequence));
            assert_eq!(read_position(&Plain, TenantId(2), &text), None);
        }
        let text = position_text(&Plain, TenantId(1), 5);
        let forged = format!("B{}", text.get(1..).unwrap());
        let short = text.get(..20).unwrap();
        for refused in ["", "x", "latest", "AAAAAAAAAAU", &forged, short] {
            assert_eq!(
                read_position(&Plain, TenantId(1), refused),
                None,
                "{refused}"
            );
        }
    }

    #[test]
    fn who_wants_a_stream() {
        let check = |accept: &str, expected: bool| {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(accepts_stream(&headers), expected, "{accept}");
        };
        check("text/event-stream", true);
        check("Text/Event-Stream;q=0.9, */*", true);
        check("application/json", false);
        check("*/*", false);
    }
}
