//! The request log of a tenant: what came, what it was understood as, which quirk acted, what changed. Only read here.

use std::sync::Arc;

use axum::extract::State as Extract;
use directory::request_log::{RequestFilter, RequestLog};
use http::{StatusCode, Uri};
use jiff::Timestamp;
use scim_protocol::quirk::Quirk;
use scim_protocol::{Error, ErrorKind};
use serde_json::{Value, json};
use uuid::Uuid;

use super::administrator::{Administrator, Refuse, Refused};
use super::body::{Answer, Parameters};
use crate::state::State;

/// Most entries in one answer.
const LIMIT_MAX: usize = 500;

fn log(state: &State, refuse: &Refuse) -> Result<Arc<dyn RequestLog>, Refused> {
    let missing = || {
        refuse.with(Error::new(
            ErrorKind::NotImplemented,
            "This server keeps no request log.",
        ))
    };
    state.request_log.clone().ok_or_else(missing)
}

/// The filter in a query: `status` (`409` or `4xx`), `quirk`, `resource`, `credential`, `since`, `before`, `limit`.
fn filter(query: &str) -> Result<RequestFilter, Error> {
    let mut filter = RequestFilter::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let refuse = |accepted: &str| {
            let detail = format!("The parameter `{name}` cannot be read; accepted is {accepted}.");
            Error::new(ErrorKind::InvalidValue, detail).at(&*name)
        };
        match &*name {
            "status" => {
                let range = statuses(&value)
                    .ok_or_else(|| refuse("a status, or a class of them such as `4xx`"))?;
                (filter.status_min, filter.status_max) = range;
            }
            "quirk" => {
                filter.quirk = Some(
                    Quirk::by_name(&value)
                        .ok_or_else(|| refuse("the name of a quirk, such as `op-case`"))?,
                );
            }
            "resource" => filter.resource_id = Some(value.into_owned()),
            "credential" => filter.credential = Some(value.into_owned()),
            "since" => {
                filter.since = Some(
                    value
                        .parse::<Timestamp>()
                        .map_err(|_| refuse("an instant (RFC 3339)"))?,
                );
            }
            "before" => {
                filter.before = Some(
                    value
                        .parse::<Uuid>()
                        .map_err(|_| refuse("the id of an entry"))?,
                );
            }
            "limit" => {
                filter.limit = value
                    .parse::<usize>()
                    .map_err(|_| refuse("a number"))?
                    .min(LIMIT_MAX);
            }
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidValue,
                    "There is a parameter that is not known here.",
                )
                .at(&*name));
            }
        }
    }
    Ok(filter)
}

/// `409`, or `4xx`.
fn statuses(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
        return Some((class * 100, class * 100 + 99));
    }
    let status = text
        .parse()
        .ok()
        .filter(|status| (100..=599).contains(status))?;
    Some((status, status))
}

/// Requests, newest first.
#[utoipa::path(get, path = "/requests", tag = "requests",
    params(("tenant" = String, Path), ("status" = Option<String>, Query), ("quirk" = Option<String>, Query), ("resource" = Option<String>, Query),
        ("credential" = Option<String>, Query), ("since" = Option<String>, Query), ("before" = Option<String>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Object)))]
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    uri: Uri,
) -> Result<Answer<Value>, Refused> {
    let log = log(&state, &refuse)?;
    let filter = filter(uri.query().unwrap_or_default()).map_err(|error| refuse.with(error))?;
    log.flush().await.map_err(|fault| refuse.with(fault))?;
    let entries = log
        .list(caller.tenant.id, filter)
        .await
        .map_err(|fault| refuse.with(fault))?;
    Ok(Answer(
        StatusCode::OK,
        json!({ "requests": entries, "dropped": log.dropped() }),
    ))
}

/// One request.
#[utoipa::path(get, path = "/requests/{id}", tag = "requests", params(("tenant" = String, Path), ("id" = String, Path)), responses((status = 200, body = Object), (status = 404)))]
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, id)): Parameters<(String, String)>,
) -> Result<Answer<Value>, Refused> {
    let log = log(&state, &refuse)?;
    log.flush().await.map_err(|fault| refuse.with(fault))?;
    let found = match id.parse() {
        Ok(id) => log
            .find(caller.tenant.id, id)
            .await
            .map_err(|fault| refuse.with(fault))?,
        Err(_) => None,
    };
    let missing = || {
        refuse.with(Error::new(
            ErrorKind::NotFound,
            "There is no request with this id in the log of the tenant.",
        ))
    };
    found
        .map(|entry| Answer(StatusCode::OK, json!(entry)))
        .ok_or_else(missing)
}

/// How often each quirk acted for each client, and the quirks of the tenant's profile that never did.
#[utoipa::path(get, path = "/quirks", tag = "requests", params(("tenant" = String, Path)), responses((status = 200, body = Object)))]
pub(crate) async fn quirks(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
) -> Result<Answer<Value>, Refused> {
    let log = log(&state, &refuse)?;
    log.flush().await.map_err(|fault| refuse.with(fault))?;
    let uses = log
        .quirk_uses(caller.tenant.id)
        .await
        .map_err(|fault| refuse.with(fault))?;
    let profile = caller.tenant.settings.client_profile();
    let unused: Vec<&str> = profile
        .iter()
        .flat_map(|profile| &profile.tolerates)
        .map(|tolerated| tolerated.quirk.name())
        .filter(|name| uses.iter().all(|used| used.quirk != *name))
        .collect();
    Ok(Answer(
        StatusCode::OK,
        json!({ "profile": profile.map(|profile| &profile.name), "uses": uses, "neverUsed": unused }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let read =
            filter("status=4xx&quirk=op-case&resource=u%20&since=2026-01-01T00:00:00Z&limit=9999")
                .unwrap();
        assert_eq!(
            (read.status_min, read.status_max, read.quirk, read.limit),
            (400, 499, Some(Quirk::OpCase), LIMIT_MAX)
        );
        assert_eq!(filter("status=409").unwrap().status_max, 409);
        for wrong in [
            "status=9xx",
            "status=x",
            "quirk=none",
            "since=today",
            "before=x",
            "limit=-1",
            "colour=red",
        ] {
            assert_eq!(
                filter(wrong).unwrap_err().kind(),
                ErrorKind::InvalidValue,
                "{wrong}"
            );
        }
    }
}
