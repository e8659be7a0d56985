//! The routes about events: the feed, polling, and the keys. What they answer is in `event_feed` and `event_poll`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::Method;
use scim_protocol::{Error, ErrorKind};

use crate::refusal::{Failure, response};
use crate::state::State;
use crate::{event_feed, event_poll};

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventRoute<'a> {
    /// The feed of a tenant.
    Feed(&'a str),
    /// Where a receiver of a tenant polls.
    Poll(&'a str, &'a str),
    /// The keys of a tenant.
    Keys(&'a str),
}

impl<'a> EventRoute<'a> {
    /// What a path leads to.
    pub(crate) fn find(path: &'a str) -> Option<Self> {
        let (tenant, rest) = path.strip_prefix("/t/")?.split_once('/')?;
        match rest {
            "events" => Some(Self::Feed(tenant)),
            ".well-known/jwks.json" => Some(Self::Keys(tenant)),
            _ => {
                let name = rest.strip_prefix("receivers/")?.strip_suffix("/poll")?;
                (!name.is_empty() && !name.contains('/')).then_some(Self::Poll(tenant, name))
            }
        }
    }
}

/// Answers a request to one of them.
pub(crate) async fn answer(
    state: Arc<State>,
    request: Request<Body>,
    request_id: &str,
) -> Response {
    let (parts, body) = request.into_parts();
    let Some(events) = state.events().cloned() else {
        return response(
            Error::new(ErrorKind::NotFound, "This server does not tell of changes.").into(),
            request_id,
        );
    };
    let answered = match (EventRoute::find(parts.uri.path()), &parts.method) {
        (Some(EventRoute::Feed(tenant)), &Method::GET | &Method::HEAD) => {
            event_feed::feed((state, events), tenant, &parts).await
        }
        (Some(EventRoute::Poll(tenant, name)), &Method::POST) => {
            event_poll::poll((&state, &events), tenant, name, &parts, body).await
        }
        (Some(EventRoute::Keys(tenant)), &Method::GET | &Method::HEAD) => {
            event_poll::keys((&state, &events), tenant).await
        }
        (Some(EventRoute::Poll(..)), _) => Err(Failure::MethodNotAllowed { allowed: "POST" }),
        _ => Err(Failure::MethodNotAllowed {
            allowed: "GET, HEAD",
        }),
    };
    answered.unwrap_or_else(|failure| response(failure, request_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let check = |path: &str, expected: Option<EventRoute<'_>>| {
            assert_eq!(EventRoute::find(path), expected, "{path}");
        };
        check("/t/acme/events", Some(EventRoute::Feed("acme")));
        check(
            "/t/acme/receivers/app/poll",
            Some(EventRoute::Poll("acme", "app")),
        );
        check(
            "/t/acme/.well-known/jwks.json",
            Some(EventRoute::Keys("acme")),
        );
        check("/t/acme/receivers/a/b/poll", None);
        check("/t/acme/receivers//poll", None);
        check("/t/acme/scim/v2/events", None);
        check("/events", None);
    }
}
