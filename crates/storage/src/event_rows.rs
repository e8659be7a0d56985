//! Rows about events and receivers to domain types and back: the same on both engines. Reads and writes nothing.

use directory::secret::Secret;
use directory::store::Fault;
use directory::tenant::TenantId;
use events::event::{Kind, LoggedEvent};
use events::receiver::{
    Receiver, ReceiverId, ReceiverKind, ReceiverState, Secrets, Undelivered, UndeliveredState,
};
use jiff::{SignedDuration, Timestamp};
use provisioning::ledger::Touched;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::rows::{
    ACTIVATED, DEACTIVATED, KIND_CREATE, KIND_DELETE, KIND_PATCH, KIND_REPLACE, from_json,
    json_text, micros, timestamp, version,
};
use crate::secrets::MasterKey;
use crate::session::Columns;

/// A resource was added to one receiver's feed, which `attributes` names.
pub(crate) const KIND_FEED_ADD: i64 = 5;
/// A resource was taken out of one receiver's feed, which `attributes` names.
pub(crate) const KIND_FEED_REMOVE: i64 = 6;

/// An event that was handed out and is not acknowledged counts as an attempt not more often than this.
pub(crate) const POLL_COUNTS_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// Most receivers with something to send that are looked at for one claim.
pub(crate) const RECEIVERS_LOOKED_AT_MAX: i64 = 1_000;

/// What `active` is from a change on, where it changed.
pub(crate) fn active(kind: i64) -> Option<bool> {
    match kind & (ACTIVATED | DEACTIVATED) {
        ACTIVATED => Some(true),
        DEACTIVATED => Some(false),
        _ => None,
    }
}

/// What a change touched of its resource.
pub(crate) fn touched(kind: i64, attributes: &str) -> Touched {
    match kind % ACTIVATED {
        KIND_PATCH | KIND_REPLACE if !attributes.is_empty() => {
            Touched::Attributes(attributes.split(',').map(str::to_owned).collect())
        }
        // The column `attributes` names a receiver.
        KIND_FEED_ADD | KIND_FEED_REMOVE => Touched::Attributes(Vec::new()),
        _ => Touched::Everything,
    }
}

/// A row of the change log.
pub(crate) struct EventColumns {
    pub sequence: i64,
    pub change_id: Vec<u8>,
    pub resource_type: String,
    pub resource_id: String,
    pub version: i64,
    pub at: i64,
    pub kind: i64,
    pub attributes: String,
}

impl EventColumns {
    /// Reads it.
    pub(crate) fn read(row: &dyn Columns) -> Result<Self, Fault> {
        Ok(Self {
            sequence: row.get(0)?,
            change_id: row.get(1)?,
            resource_type: row.get(2)?,
            resource_id: row.get(3)?,
            version: row.get(4)?,
            at: row.get(5)?,
            kind: row.get(6)?,
            attributes: row.get(7)?,
        })
    }

    /// Rows older than the column `kind` say what their version says.
    pub(crate) fn into_event(self) -> Result<LoggedEvent, Fault> {
        let kind = match self.kind % ACTIVATED {
            KIND_CREATE => Kind::Create,
            KIND_PATCH => Kind::Patch,
            KIND_REPLACE => Kind::Replace,
            KIND_DELETE => Kind::Delete,
            KIND_FEED_ADD => Kind::FeedAdd,
            KIND_FEED_REMOVE => Kind::FeedRemove,
            _ => match self.version {
                0 => Kind::Delete,
                1 => Kind::Create,
                _ => Kind::Patch,
            },
        };
        let change_id = Uuid::from_slice(&self.change_id)
            .map_err(|error| Fault::from_source("a change id in the log is none", error))?;
        Ok(LoggedEvent {
            sequence: self.sequence,
            change_id,
            resource_type: self.resource_type,
            resource_id: self.resource_id,
            version: version(self.version),
            at: timestamp(self.at)?,
            kind,
            active: active(self.kind),
            attributes: self
                .attributes
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }
}

/// A receiver, from a row of `receivers` with the tenant's name.
pub(crate) fn receiver(row: &dyn Columns, key: &MasterKey) -> Result<Receiver, Fault> {
    let (tenant, name) = (row.get(1)?, row.get::<String>(3)?);
    Ok(Receiver {
        id: ReceiverId(row.get(0)?),
        secrets: open_secrets(key, tenant, &name, row.get(8)?)?,
        tenant,
        tenant_name: row.get(2)?,
        name,
        kind: from_text(row.get(4)?)?,
        url: row.get(5)?,
        state: from_text(row.get(6)?)?,
        settings: row.json(7)?,
        created: row.get(9)?,
        cursor: row.get(10)?,
        attempts: row.get(11)?,
        due: row.instant(12)?,
        last_error: row.get(13)?,
        last_delivered: row.instant(14)?,
        fence: row.get(15)?,
    })
}

/// A row of `parcels`.
pub(crate) struct UndeliveredColumns {
    pub state: String,
    pub attempts: i64,
    pub error: String,
    pub event: String,
    /// When an attempt was last counted.
    pub counted: i64,
}

impl UndeliveredColumns {
    /// Reads it.
    pub(crate) fn read(row: &dyn Columns) -> Result<Self, Fault> {
        Ok(Self {
            state: row.get(0)?,
            attempts: row.get(1)?,
            error: row.get(2)?,
            event: row.get(3)?,
            counted: row.get(4)?,
        })
    }

    pub(crate) fn into_undelivered(self) -> Result<Undelivered, Fault> {
        Ok(Undelivered {
            event: from_json(&self.event)?,
            state: undelivered_state_of(&self.state)?,
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            error: self.error,
        })
    }

    /// How often it was handed out, this time included where enough time has passed to count it.
    pub(crate) fn handed_out_again(&self, now: Timestamp) -> (i64, i64) {
        let counts =
            timestamp(self.counted).is_ok_and(|last| now.duration_since(last) >= POLL_COUNTS_AFTER);
        if counts {
            (self.attempts + 1, micros(now))
        } else {
            (self.attempts, self.counted)
        }
    }
}

fn from_text<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, Fault> {
    from_json(&format!("\"{text}\""))
}

/// The word for `UndeliveredState`.
pub(crate) fn undelivered_state(state: UndeliveredState) -> &'static str {
    match state {
        UndeliveredState::DeadLetter => "put-aside",
        UndeliveredState::Again => "again",
        UndeliveredState::HandedOut => "handed-out",
    }
}

/// The state for such a word.
fn undelivered_state_of(word: &str) -> Result<UndeliveredState, Fault> {
    let all = [
        UndeliveredState::DeadLetter,
        UndeliveredState::Again,
        UndeliveredState::HandedOut,
    ];
    all.into_iter()
        .find(|state| undelivered_state(*state) == word)
        .ok_or_else(|| {
            Fault::new("an undelivered event has a state that this program does not know")
        })
}

/// The word for `ReceiverState`.
pub(crate) fn receiver_state(state: ReceiverState) -> &'static str {
    match state {
        ReceiverState::Live => "live",
        ReceiverState::Paused => "paused",
    }
}

/// The word for `ReceiverKind`.
pub(crate) fn receiver_kind(kind: ReceiverKind) -> &'static str {
    match kind {
        ReceiverKind::Webhook => "webhook",
        ReceiverKind::Push => "push",
        ReceiverKind::Poll => "poll",
    }
}

#[derive(Default, Serialize, Deserialize)]
struct PlainSecrets {
    current: Option<String>,
    previous: Option<(String, Timestamp)>,
}

fn context(tenant: TenantId, name: &str) -> String {
    format!("receiver/{}/{name}", tenant.0)
}

/// Seals the secrets of a receiver.
pub(crate) fn seal_secrets(
    key: &MasterKey,
    tenant: TenantId,
    name: &str,
    secrets: &Secrets,
) -> Result<Vec<u8>, Fault> {
    let plain = PlainSecrets {
        current: secrets
            .current
            .as_ref()
            .map(|secret| secret.reveal().to_owned()),
        previous: secrets
            .previous
            .as_ref()
            .map(|(secret, until)| (secret.reveal().to_owned(), *until)),
    };
    key.seal(&context(tenant, name), &json_text(&plain)?)
}

fn open_secrets(
    key: &MasterKey,
    tenant: TenantId,
    name: &str,
    sealed: &[u8],
) -> Result<Secrets, Fault> {
    let plain: PlainSecrets = from_json(&key.open(&context(tenant, name), sealed)?)?;
    Ok(Secrets {
        current: plain.current.map(Secret::new),
        previous: plain
            .previous
            .map(|(secret, until)| (Secret::new(secret), until)),
    })
}

/// The sequence in the id of an event, where it looks like one.
pub(crate) fn sequence_of(event_id: &str) -> Option<i64> {
    event_id.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::MEMBER_LEFT;

    #[test]
    fn kinds_come_back_also_from_rows_that_have_none() {
        let check = |kind: i64, version: i64, expected: Kind, active: Option<bool>| {
            let columns = EventColumns {
                sequence: 1,
                change_id: vec![0; 16],
                resource_type: "User".into(),
                resource_id: "u".into(),
                version,
                at: 0,
                kind,
                attributes: "a,b".into(),
            };
            let event = columns.into_event().unwrap();
            assert_eq!(
                (event.kind, event.active, event.attributes.len()),
                (expected, active, 2)
            );
        };
        check(0, 0, Kind::Delete, None);
        check(0, 1, Kind::Create, None);
        check(0, 9, Kind::Patch, None);
        check(KIND_REPLACE + ACTIVATED, 9, Kind::Replace, Some(true));
        check(KIND_PATCH + DEACTIVATED, 9, Kind::Patch, Some(false));
        check(KIND_REPLACE + MEMBER_LEFT, 9, Kind::Replace, None);
        check(KIND_FEED_REMOVE, 9, Kind::FeedRemove, None);
    }
}
