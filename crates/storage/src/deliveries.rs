//! What was delivered to a receiver or handed out to it, what it took and what it refused: the steps of `Receivers` inside a transaction.

use directory::store::Fault;
use directory::tenant::TenantId;
use events::event::LoggedEvent;
use events::event_log::{Acknowledgements, Delivery, PollAnswer};
use events::receiver::{Receiver, ReceiverId, UndeliveredState};
use jiff::Timestamp;

use crate::event_log::read_events;
use crate::event_rows::{UndeliveredColumns, sequence_of, undelivered_state};
use crate::rows::{json_text, micros};
use crate::session::{Field, Session, Statement, at_most, fields};
use crate::statements_of_events as sql;

/// What came of a delivery; false where the claim is no longer the newest, or the receiver is paused.
pub(crate) async fn record_delivery(
    session: &mut dyn Session,
    (claim, delivery, lease_until): &(Receiver, Delivery, Option<Timestamp>),
) -> Result<bool, Fault> {
    let (tenant, id, fence) = (claim.tenant, claim.id.0, claim.fence);
    let lease = lease_until.map_or(0, micros);
    let state = match delivery {
        Delivery::Done { cursor, at } => {
            let at = at.map_or(0, micros);
            let values = fields![tenant, id, fence, cursor, at, lease];
            state(session, &sql::DELIVERED, values).await?
        }
        Delivery::RetryAt { due, error } => {
            let values = fields![tenant, id, fence, due, error];
            state(session, &sql::TRY_LATER, values).await?
        }
        Delivery::Pause { error } => {
            let values = fields![tenant, id, fence, error];
            state(session, &sql::PAUSE, values).await?
        }
        Delivery::DeadLetter { events, error } => {
            let cursor = events.last().map_or(0, |event| event.sequence);
            let values = fields![tenant, id, fence, cursor, error, lease];
            let state = state(session, &sql::PUT_ASIDE, values).await?;
            // Where the claim is no longer ours, another one delivers these.
            for event in events.iter().filter(|_| state.is_some()) {
                let one = Kept {
                    state: UndeliveredState::DeadLetter,
                    attempts: i64::from(claim.attempts) + 1,
                    counted: 0,
                    error,
                };
                keep(session, claim, event, &one).await?;
            }
            state
        }
    };
    Ok(state.as_deref() == Some("live"))
}

/// The state that a statement about a claim returns; `None` where the claim is no longer the newest.
async fn state(
    session: &mut dyn Session,
    statement: &'static Statement,
    values: &[Field<'_>],
) -> Result<Option<String>, Fault> {
    session.first(statement, values, |row| row.get(0)).await
}

/// Where a kept event stands.
struct Kept<'a> {
    state: UndeliveredState,
    attempts: i64,
    counted: i64,
    error: &'a str,
}

async fn keep(
    session: &mut dyn Session,
    receiver: &Receiver,
    event: &LoggedEvent,
    kept: &Kept<'_>,
) -> Result<(), Fault> {
    let (state, text) = (undelivered_state(kept.state), json_text(event)?);
    let values = fields![
        receiver.tenant,
        receiver.id.0,
        event.sequence,
        state,
        kept.attempts,
        kept.counted,
        kept.error,
        &text
    ];
    session.execute(&sql::ADD_PARCEL, values).await.map(drop)
}

/// Which of these resources a receiver has chosen.
pub(crate) async fn chosen(
    session: &mut dyn Session,
    (tenant, id, resource_ids): &(TenantId, ReceiverId, Vec<String>),
) -> Result<Vec<String>, Fault> {
    let values = fields![tenant, id.0, resource_ids];
    session
        .rows(&sql::LIST_CHOSEN, values, |row| row.get(0))
        .await
}

/// What came of an event that was kept.
pub(crate) async fn record_redelivery(
    session: &mut dyn Session,
    (claim, sequence, error): &(Receiver, i64, Option<String>),
) -> Result<bool, Fault> {
    let values = fields![claim.tenant, claim.id.0, claim.fence];
    let state = state(session, &sql::READ_FENCE, values).await?;
    settle(session, claim, *sequence, error.as_deref()).await?;
    Ok(state.as_deref() == Some("live"))
}

/// A kept event was taken, or refused with an error.
async fn settle(
    session: &mut dyn Session,
    receiver: &Receiver,
    sequence: i64,
    error: Option<&str>,
) -> Result<(), Fault> {
    let (tenant, id) = (receiver.tenant, receiver.id.0);
    match error {
        None => {
            let values = fields![tenant, id, sequence];
            session.execute(&sql::REMOVE_PARCEL, values).await?
        }
        Some(error) => {
            let values = fields![tenant, id, sequence, error];
            session.execute(&sql::FAIL_PARCEL, values).await?
        }
    };
    Ok(())
}

/// What a receiver that asks gets: first what it had before and did not acknowledge.
pub(crate) async fn poll(
    session: &mut dyn Session,
    (receiver, said, limit, now): &(Receiver, Acknowledgements, usize, Timestamp),
) -> Result<PollAnswer, Fault> {
    acknowledge(session, receiver, said).await?;
    let (tenant, id) = (receiver.tenant, receiver.id.0);
    let position: Option<i64> = session
        .first(&sql::LOCK_RECEIVER, fields![tenant, id], |row| row.get(0))
        .await?;
    let Some(mut position) = position.filter(|_| *limit > 0) else {
        return Ok(PollAnswer::default());
    };
    let mut events = hand_out_again(session, receiver, *limit, *now).await?;
    let mut more = events.len() >= *limit;
    while events.len() < *limit {
        let page = (tenant, position, (*limit).max(100));
        let found = read_events(session, &page).await?;
        if found.is_empty() {
            break;
        }
        let chosen = if receiver.settings.chosen_only {
            let ids = found.iter().map(|event| event.resource_id.clone());
            chosen(session, &(tenant, receiver.id, ids.collect())).await?
        } else {
            Vec::new()
        };
        for event in found {
            if events.len() >= *limit {
                more = true;
                break;
            }
            position = event.sequence;
            if receiver.wants(&event, chosen.contains(&event.resource_id)) {
                let first = Kept {
                    state: UndeliveredState::HandedOut,
                    attempts: 1,
                    counted: micros(*now),
                    error: "",
                };
                keep(session, receiver, &event, &first).await?;
                events.push(event);
            }
        }
    }
    session
        .execute(&sql::POLLED, fields![tenant, id, position, now])
        .await?;
    Ok(PollAnswer { events, more })
}

/// The events that were handed out before and not acknowledged; one that was handed out too often is kept apart.
async fn hand_out_again(
    session: &mut dyn Session,
    receiver: &Receiver,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<LoggedEvent>, Fault> {
    let values = fields![receiver.tenant, receiver.id.0, at_most(limit)];
    let handed_out = session
        .rows(&sql::LIST_HANDED_OUT, values, UndeliveredColumns::read)
        .await?;
    let mut events = Vec::new();
    for one in handed_out {
        let (attempts, counted) = one.handed_out_again(now);
        let event = one.into_undelivered()?.event;
        let gives_up = attempts > i64::from(receiver.settings.attempts_max);
        let (state, error) = if gives_up {
            (UndeliveredState::DeadLetter, "it was not acknowledged")
        } else {
            (UndeliveredState::HandedOut, "")
        };
        let kept = Kept {
            state,
            attempts,
            counted,
            error,
        };
        keep(session, receiver, &event, &kept).await?;
        if !gives_up {
            events.push(event);
        }
    }
    Ok(events)
}

async fn acknowledge(
    session: &mut dyn Session,
    receiver: &Receiver,
    said: &Acknowledgements,
) -> Result<(), Fault> {
    let taken = said.taken.iter().map(|event_id| (event_id, None));
    let refused = said.refused.iter();
    let refused = refused.map(|(event_id, error)| (event_id, Some(error.as_str())));
    for (event_id, error) in taken.chain(refused) {
        let Some(sequence) = sequence_of(event_id) else {
            continue;
        };
        let values = fields![receiver.tenant, receiver.id.0, sequence];
        let found = session
            .first(&sql::READ_PARCEL, values, |row| {
                UndeliveredColumns::read(row)?.into_undelivered()
            })
            .await?;
        if found.is_some_and(|one| one.event.id() == *event_id) {
            settle(session, receiver, sequence, error).await?;
        }
    }
    Ok(())
}
