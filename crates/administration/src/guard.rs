//! The guard on removals that come in: what it has counted, what an administrator lets through, and the writes that it holds. What is held, and how a held
//! write is carried out, `directory` decides.

use directory::DirectoryError;
use directory::deletion_guard::{Mode, Removal};
use directory::parking::{Method, Parked as Held};
use jiff::{SignedDuration, Timestamp};
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::administration::Administration;
use crate::administrator::{Administrator, NOTHING};
use crate::operations::{ALLOW_REMOVALS, APPROVE_REMOVAL, READ_GUARD, REJECT_REMOVAL};

/// Held writes in one answer.
const PARKED_MAX: u32 = 1_000;
/// For how long removals can be let through: a week.
pub const MINUTES_MAX: u32 = 10_080;
/// For how long they are where nothing is said.
const MINUTES_DEFAULT: u32 = 60;

/// Where the guard stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// `refuse`, `park` or `off`.
    #[schema(value_type = String)]
    pub mode: Mode,
    /// Removals of so many minutes are counted together.
    pub window_minutes: u32,
    /// Each kind of removal.
    pub removals: Vec<Removals>,
    /// Writes that are held, the oldest first.
    pub parked: Vec<Parked>,
}

/// One kind of removal.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Removals {
    /// `disable`, `delete` or `membership`.
    #[schema(value_type = String)]
    pub removal: Removal,
    /// How many there were in the window.
    pub in_window: u64,
    /// More than so many, and more than so many of a hundred, are held.
    pub count: u64,
    /// The share, of a hundred.
    pub percent: u64,
    /// How many more are let through all the same.
    pub allowed: u64,
}

/// A write that is held.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Parked {
    /// Its own id.
    pub id: String,
    /// When it came.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// The credential that it came with.
    pub credential: String,
    /// The type of the resource that it is about.
    pub resource_type: String,
    /// The id of that resource.
    pub resource_id: String,
    /// `replace`, `patch` or `delete`.
    #[schema(value_type = String)]
    pub method: Method,
    /// As it was sent, without passwords.
    pub body: Value,
    /// What it is about: `*`, names of attributes, `members:*`, or `members:` and an id. A later write about the same takes its place.
    pub touches: Vec<String>,
    /// Why it is held.
    pub reason: String,
    /// The client profile of the credential that sent it; without it, the tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl Parked {
    fn of(held: Held) -> Self {
        Self {
            id: held.id,
            at: held.at,
            credential: held.credential_id,
            resource_type: held.resource_type,
            resource_id: held.resource_id,
            method: held.write.method,
            body: held.write.body,
            touches: held.write.touches.into_iter().map(String::from).collect(),
            reason: held.write.reason,
            profile: held.write.profile,
        }
    }

    /// What the audit log keeps of it: what it does to which resource, and not what it says of a person.
    fn named(&self) -> Value {
        json!({
            "at": self.at,
            "credential": self.credential,
            "resourceType": self.resource_type,
            "resourceId": self.resource_id,
            "method": self.method,
        })
    }
}

/// What shall be let through.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewAllowance {
    /// `disable`, `delete` or `membership`.
    pub removal: String,
    /// How many more.
    pub count: u64,
    /// For how long, in minutes; an hour where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u32>,
}

/// What is let through.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Allowance {
    /// `disable`, `delete` or `membership`.
    #[schema(value_type = String)]
    pub removal: Removal,
    /// How many more.
    pub remaining: u64,
    /// Until when.
    #[schema(value_type = String)]
    pub expires: Timestamp,
}

/// What was removed in the window, what is let through, and which writes are held.
pub async fn show(on: &Administration, by: &Administrator) -> Result<Guard, DirectoryError> {
    by.may(&READ_GUARD)?;
    let caller = &by.caller;
    let (counted, allowances) = on.directory.guard_status(caller).await?;
    let parked = on.directory.parked(caller, PARKED_MAX).await?;
    let settings = caller.tenant.settings.guard;
    let of_kind = |removal: Removal| Removals {
        removal,
        in_window: counted
            .iter()
            .find(|(counted, _)| *counted == removal)
            .map_or(0, |(_, count)| *count),
        count: settings.threshold(removal).count,
        percent: settings.threshold(removal).percent,
        allowed: allowances
            .iter()
            .find(|allowance| allowance.removal == removal)
            .map_or(0, |allowance| allowance.remaining),
    };
    Ok(Guard {
        mode: settings.mode,
        window_minutes: settings.window_minutes,
        removals: Removal::ALL.map(of_kind).into(),
        parked: parked.into_iter().map(Parked::of).collect(),
    })
}

/// Lets so many more removals of a kind through; what was let through of it before is replaced.
pub async fn allow(
    on: &Administration,
    by: &Administrator,
    new: NewAllowance,
) -> Result<Allowance, DirectoryError> {
    by.may(&ALLOW_REMOVALS)?;
    let now = on.clock.now();
    let allowance = new.check(now)?;
    let Allowance {
        removal,
        remaining,
        expires,
    } = allowance;
    let (_, before) = on.directory.guard_status(&by.caller).await?;
    let before = before
        .into_iter()
        .find(|one| one.removal == removal)
        .map(|one| Allowance {
            removal,
            remaining: one.remaining,
            expires: one.expires,
        });
    let name = removal.name();
    let entry = by.entry(
        &ALLOW_REMOVALS,
        name,
        now,
        before.as_ref(),
        Some(&allowance),
    );
    on.directory
        .recording(entry)
        .allow(&by.caller, removal, remaining, expires)
        .await?;
    Ok(allowance)
}

impl NewAllowance {
    fn check(&self, now: Timestamp) -> Result<Allowance, Error> {
        let wrong =
            |path: &str, detail: String| Error::new(ErrorKind::InvalidValue, detail).at(path);
        let unknown = || {
            let known = Removal::ALL.map(Removal::name).join("`, `");
            let detail = format!(
                "There is no removal `{}`; accepted are `{known}`.",
                self.removal
            );
            wrong("removal", detail)
        };
        let minutes = self.minutes.unwrap_or(MINUTES_DEFAULT);
        let too_long = || {
            let detail = format!("`minutes` is {minutes}; accepted are 1 to {MINUTES_MAX}.");
            wrong("minutes", detail)
        };
        let removal = Removal::by_name(&self.removal).ok_or_else(unknown)?;
        let length = Some(minutes)
            .filter(|minutes| (1..=MINUTES_MAX).contains(minutes))
            .ok_or_else(too_long)?;
        let expires = now
            .checked_add(SignedDuration::from_mins(i64::from(length)))
            .map_err(|_| too_long())?;
        Ok(Allowance {
            removal,
            remaining: self.count,
            expires,
        })
    }
}

/// Carries out a held write, as its client sent it.
pub async fn approve(
    on: &Administration,
    by: &Administrator,
    id: &str,
) -> Result<Parked, DirectoryError> {
    by.may(&APPROVE_REMOVAL)?;
    let held = Parked::of(on.directory.find_parked(&by.caller, id).await?);
    let at = on.clock.now();
    let entry = by.entry(&APPROVE_REMOVAL, id, at, Some(&held.named()), NOTHING);
    on.directory
        .recording(entry)
        .approve(&by.caller, id)
        .await?;
    Ok(held)
}

/// Forgets a held write.
pub async fn reject(
    on: &Administration,
    by: &Administrator,
    id: &str,
) -> Result<(), DirectoryError> {
    by.may(&REJECT_REMOVAL)?;
    let held = Parked::of(on.directory.find_parked(&by.caller, id).await?);
    let at = on.clock.now();
    let entry = by.entry(&REJECT_REMOVAL, id, at, Some(&held.named()), NOTHING);
    on.directory.recording(entry).reject(&by.caller, id).await
}
