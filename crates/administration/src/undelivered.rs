//! The dead-letter list: events that a receiver did not take, which an administrator can have delivered again or forgotten.

use directory::DirectoryError;
use events::receiver::{Reader, Undelivered, UndeliveredState};
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::administration::Administration;
use crate::administrator::{Administrator, NOTHING};
use crate::operations::{DISCARD_EVENTS, READ_RECEIVERS, REDELIVER_EVENTS};
use crate::receivers::{find, reader};

/// Most events that are listed at once.
const LISTED_MAX: usize = 1_000;

/// An event that was not taken.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// Its place in the change log.
    pub sequence: i64,
    /// The event, without the resource.
    #[schema(value_type = Object)]
    pub event: Map<String, Value>,
    /// `dead-letter`.
    #[schema(value_type = String)]
    pub state: UndeliveredState,
    /// How often it was tried or handed out.
    pub attempts: u32,
    /// Why it was not delivered. Only operators read what the other side said.
    pub error: String,
}

impl DeadLetter {
    fn of(one: &Undelivered, reader: Reader) -> Self {
        Self {
            sequence: one.event.sequence,
            event: one.event.to_json(None),
            state: one.state,
            attempts: one.attempts,
            error: reader.sees(&one.error),
        }
    }
}

/// Which of them.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Which {
    /// One, by its place in the change log; without it, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
}

impl Which {
    /// Refuses a number that no event has.
    fn check(self) -> Result<(), Error> {
        match self.sequence {
            Some(sequence) if sequence < 1 => {
                let detail = format!(
                    "`sequence` is {sequence}; accepted is the `sequence` of an event on the dead-letter list."
                );
                Err(Error::new(ErrorKind::InvalidValue, detail).at("sequence"))
            }
            _ => Ok(()),
        }
    }
}

/// How many there were.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Count {
    /// So many.
    pub count: u64,
}

/// The dead-letter list of a receiver, oldest first.
pub async fn list(
    on: &Administration,
    by: &Administrator,
    name: &str,
) -> Result<Vec<DeadLetter>, DirectoryError> {
    by.may(&READ_RECEIVERS)?;
    let receiver = find(on, by, name).await?;
    let (tenant, receivers) = (by.caller.tenant.id, &on.events.receivers);
    let found = receivers
        .list_undelivered(
            tenant,
            receiver.id,
            UndeliveredState::DeadLetter,
            LISTED_MAX,
        )
        .await?;
    let reader = reader(by);
    Ok(found
        .iter()
        .map(|one| DeadLetter::of(one, reader))
        .collect())
}

/// Delivers events of the list again.
pub async fn redeliver(
    on: &Administration,
    by: &Administrator,
    name: &str,
    which: Which,
) -> Result<Count, DirectoryError> {
    by.may(&REDELIVER_EVENTS)?;
    which.check()?;
    let receiver = find(on, by, name).await?;
    let at = on.clock.now();
    let entry = by.entry(&REDELIVER_EVENTS, name, at, NOTHING, Some(&which));
    let (tenant, receivers) = (by.caller.tenant.id, &on.events.receivers);
    let count = receivers
        .redeliver(tenant, receiver.id, which.sequence, entry)
        .await?;
    Ok(Count { count })
}

/// Forgets events of the list.
pub async fn discard(
    on: &Administration,
    by: &Administrator,
    name: &str,
    which: Which,
) -> Result<Count, DirectoryError> {
    by.may(&DISCARD_EVENTS)?;
    which.check()?;
    let receiver = find(on, by, name).await?;
    let at = on.clock.now();
    let entry = by.entry(&DISCARD_EVENTS, name, at, Some(&which), NOTHING);
    let (tenant, receivers) = (by.caller.tenant.id, &on.events.receivers);
    let count = receivers
        .discard(tenant, receiver.id, which.sequence, entry)
        .await?;
    Ok(Count { count })
}
