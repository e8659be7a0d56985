//! The guard on removals that come in: what it counted, what it lets through, and the writes that it holds.

use std::sync::Arc;

use axum::extract::State as Extract;
use directory::deletion_guard::{Mode, Removal};
use directory::parking::Parked as Held;
use http::StatusCode;
use jiff::SignedDuration;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::administrator::{Administrator, Refuse, Refused};
use super::body::{Answer, Given, Parameters};
use crate::state::State;

/// Held writes in one answer.
const PARKED_MAX: u32 = 1_000;
/// For how long removals can be let through: a week.
const MINUTES_MAX: u32 = 10_080;

/// Where the guard stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Guard {
    /// `refuse`, `park` or `off`.
    #[schema(value_type = String)]
    mode: Mode,
    window_minutes: u32,
    removals: Vec<Removals>,
    /// Writes that are held, the oldest first.
    parked: Vec<Parked>,
}

/// One kind of removal.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Removals {
    /// `disable`, `delete` or `membership`.
    removal: &'static str,
    in_window: u64,
    /// More than so many, and more than so many of a hundred, are held.
    count: u64,
    percent: u64,
    /// How many more are let through all the same.
    allowed: u64,
}

/// A write that is held.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parked {
    id: String,
    at: String,
    credential: String,
    resource_type: String,
    resource_id: String,
    /// `replace`, `patch` or `delete`.
    method: Value,
    /// As it was sent.
    body: Value,
    /// Why it is held.
    reason: String,
}

impl Parked {
    fn of(held: Held) -> Self {
        Self {
            id: held.id,
            at: held.at.to_string(),
            credential: held.credential_id,
            resource_type: held.resource_type,
            resource_id: held.resource_id,
            method: serde_json::to_value(held.write.method).unwrap_or_default(),
            body: held.write.body,
            reason: held.write.reason,
        }
    }
}

/// What shall be let through.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewAllowance {
    /// `disable`, `delete` or `membership`.
    removal: String,
    /// How many more.
    count: u64,
    /// For how long, in minutes; an hour where it is left out.
    minutes: Option<u32>,
}

/// What is let through.
#[derive(Serialize, ToSchema)]
pub(crate) struct Allowance {
    removal: &'static str,
    remaining: u64,
    expires: String,
}

/// What was removed in the window, what is let through, and which writes are held.
#[utoipa::path(get, path = "/guard", tag = "guard", params(("tenant" = String, Path)), responses((status = 200, body = Guard)))]
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
) -> Result<Answer<Guard>, Refused> {
    let (counted, allowances) = state
        .directory
        .guard_status(&caller)
        .await
        .map_err(|error| refuse.with(error))?;
    let parked = state
        .directory
        .parked(&caller, PARKED_MAX)
        .await
        .map_err(|error| refuse.with(error))?;
    let settings = caller.tenant.settings.guard;
    let line = |kind: Removal| Removals {
        removal: kind.name(),
        in_window: counted
            .iter()
            .find(|(counted, _)| *counted == kind)
            .map_or(0, |(_, count)| *count),
        count: settings.threshold(kind).count,
        percent: settings.threshold(kind).percent,
        allowed: allowances
            .iter()
            .find(|allowance| allowance.removal == kind)
            .map_or(0, |allowance| allowance.remaining),
    };
    let guard = Guard {
        mode: settings.mode,
        window_minutes: settings.window_minutes,
        removals: Removal::ALL.map(line).into(),
        parked: parked.into_iter().map(Parked::of).collect(),
    };
    Ok(Answer(StatusCode::OK, guard))
}

/// Lets so many more removals of a kind through; what was let through of it before is replaced.
#[utoipa::path(post, path = "/guard/allowances", tag = "guard", params(("tenant" = String, Path)), request_body = NewAllowance,
    responses((status = 201, body = Allowance), (status = 400)))]
pub(crate) async fn allow(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Given(NewAllowance {
        removal,
        count,
        minutes,
    }): Given<NewAllowance>,
) -> Result<Answer<Allowance>, Refused> {
    let wrong = |path: &str, detail: String| {
        refuse.with(Error::new(ErrorKind::InvalidValue, detail).at(path))
    };
    let unknown = || {
        let known = Removal::ALL.map(Removal::name).join("`, `");
        wrong(
            "removal",
            format!("There is no removal `{removal}`; accepted are `{known}`."),
        )
    };
    let kind = Removal::by_name(&removal).ok_or_else(unknown)?;
    let minutes = minutes.unwrap_or(60);
    let too_long = || {
        wrong(
            "minutes",
            format!("`minutes` is {minutes}; accepted are 1 to {MINUTES_MAX}."),
        )
    };
    let length = Some(minutes)
        .filter(|minutes| (1..=MINUTES_MAX).contains(minutes))
        .ok_or_else(too_long)?;
    let expires = state
        .clock
        .now()
        .checked_add(SignedDuration::from_mins(i64::from(length)))
        .map_err(|_| too_long())?;
    state
        .directory
        .allow(&caller, kind, count, expires)
        .await
        .map_err(|error| refuse.with(error))?;
    Ok(Answer(
        StatusCode::CREATED,
        Allowance {
            removal: kind.name(),
            remaining: count,
            expires: expires.to_string(),
        },
    ))
}

/// Carries out a held write, as its client sent it.
#[utoipa::path(post, path = "/guard/parked/{id}/approve", tag = "guard", params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = Parked), (status = 404)))]
pub(crate) async fn approve(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, id)): Parameters<(String, String)>,
) -> Result<Answer<Parked>, Refused> {
    let done = state
        .directory
        .approve(&caller, &id)
        .await
        .map_err(|error| refuse.with(error))?;
    Ok(Answer(StatusCode::OK, Parked::of(done)))
}

/// Forgets a held write.
#[utoipa::path(delete, path = "/guard/parked/{id}", tag = "guard", params(("tenant" = String, Path), ("id" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn reject(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, id)): Parameters<(String, String)>,
) -> Result<StatusCode, Refused> {
    state
        .directory
        .reject(&caller, &id)
        .await
        .map_err(|error| refuse.with(error))?;
    Ok(StatusCode::NO_CONTENT)
}
