//! `Receivers` in SQLite: who is told of changes, how far each is, and what was put aside. Each write is one job of the writer, so it is whole or not at all.

use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
use events::event_log::{Acknowledgements, Choice, Delivery, Handout, NewReceiver, Receivers};
use events::receiver::{Parcel, ParcelState, Receiver, ReceiverId, ReceiverState, Secrets};
use events::room::ReceiverRoom;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::Sqlite;
use super::connections::fault;
use super::events::read_events;
use super::statements_of_events as sql;
use crate::event_rows::{
    KIND_FEED_ADD, KIND_FEED_REMOVE, ParcelColumns, RECEIVERS_LOOKED_AT_MAX, ReceiverColumns,
    parcel_state, receiver_kind, receiver_state, seal_secrets, sequence_of,
};
use crate::rows::{json_text, micros};
use crate::secrets::MasterKey;

#[async_trait]
impl Receivers for Sqlite {
    async fn add_receiver(
        &self,
        tenant: TenantId,
        new: NewReceiver,
    ) -> Result<Option<Receiver>, Fault> {
        let secrets = seal_secrets(&self.key, tenant, &new.name, &new.secrets)?;
        let settings = json_text(&new.settings)?;
        let added = self.writer.write(move |connection| {
            let (kind, from_oldest) = (receiver_kind(new.kind), i64::from(new.from_oldest));
            let values = params![
                tenant.0,
                new.name,
                kind,
                new.url,
                settings,
                secrets,
                micros(new.at),
                from_oldest
            ];
            let added = execute(connection, sql::ADD_RECEIVER, values)? > 0;
            Ok::<_, Fault>(added.then(|| ReceiverId(connection.last_insert_rowid())))
        });
        let Some(id) = added.await? else {
            return Ok(None);
        };
        self.committed.notify_one();
        self.read_receiver(tenant, id).await
    }

    async fn list_receivers(&self, tenant: TenantId) -> Result<Vec<Receiver>, Fault> {
        self.readers.read_short(|connection| {
            receivers(connection, &self.key, sql::LIST_RECEIVERS, [tenant.0])
        })
    }

    async fn read_receiver(
        &self,
        tenant: TenantId,
        id: ReceiverId,
    ) -> Result<Option<Receiver>, Fault> {
        self.readers
            .read_short(|connection| read(connection, &self.key, tenant, id))
    }

    async fn set_receiver_state(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        state: ReceiverState,
    ) -> Result<bool, Fault> {
        let values = move |connection: &Connection| {
            execute(
                connection,
                sql::SET_RECEIVER_STATE,
                params![tenant.0, id.0, receiver_state(state)],
            )
            .map(|count| count > 0)
        };
        let set = self.writer.write(values).await?;
        self.committed.notify_one();
        Ok(set)
    }

    async fn set_receiver_secrets(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        secrets: Secrets,
    ) -> Result<bool, Fault> {
        let Some(receiver) = self.read_receiver(tenant, id).await? else {
            return Ok(false);
        };
        let sealed = seal_secrets(&self.key, tenant, &receiver.name, &secrets)?;
        let set = move |connection: &Connection| {
            execute(
                connection,
                sql::SET_RECEIVER_SECRETS,
                params![tenant.0, id.0, sealed],
            )
            .map(|count| count > 0)
        };
        self.writer.write(set).await
    }

    async fn remove_receiver(&self, tenant: TenantId, id: ReceiverId) -> Result<bool, Fault> {
        let remove = move |connection: &Connection| {
            execute(connection, sql::REMOVE_PARCELS, params![tenant.0, id.0])?;
            execute(connection, sql::REMOVE_CHOSEN, params![tenant.0, id.0])?;
            execute(connection, sql::REMOVE_RECEIVER, params![tenant.0, id.0])
                .map(|count| count > 0)
        };
        self.writer.write(remove).await
    }

    async fn choose(&self, receiver: &Receiver, choice: Choice) -> Result<bool, Fault> {
        let (tenant, id) = (receiver.tenant, receiver.id);
        let changed = self
            .writer
            .write(move |connection| choose(connection, tenant, id, &choice))
            .await?;
        self.committed.notify_one();
        Ok(changed)
    }

    async fn chosen(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        resource_ids: Vec<String>,
    ) -> Result<Vec<String>, Fault> {
        let read = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(sql::IS_CHOSEN).map_err(fault)?;
            let mut chosen = Vec::new();
            for resource in resource_ids {
                let found: Option<String> = statement
                    .query_row(params![tenant.0, id.0, resource], |row| row.get(0))
                    .optional()
                    .map_err(fault)?;
                chosen.extend(found);
            }
            Ok(chosen)
        };
        self.readers.read_long(None, read).await
    }

    async fn claim_receivers(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        room: ReceiverRoom,
    ) -> Result<Vec<Receiver>, Fault> {
        let with_events_now = self
            .readers
            .read_short(|connection| with_events(connection, now))?;
        if !with_events_now
            .iter()
            .any(|(tenant, _, attempts)| room.admits(*tenant, *attempts))
        {
            return Ok(Vec::new());
        }
        let key = self.key.clone();
        let claim = move |connection: &Connection| {
            let (mut room, mut claimed) = (room.clone(), Vec::new());
            for (tenant, id, attempts) in with_events(connection, now)? {
                let values = params![tenant.0, id.0, micros(now), micros(lease_until)];
                if room.admits(tenant, attempts)
                    && execute(connection, sql::LEASE_RECEIVER, values)? > 0
                {
                    room.begin(tenant, attempts);
                    claimed.extend(read(connection, &key, tenant, id)?);
                }
            }
            Ok(claimed)
        };
        self.writer.write(claim).await
    }

    async fn record_delivery(
        &self,
        claim: &Receiver,
        delivery: Delivery,
        lease_until: Option<Timestamp>,
    ) -> Result<bool, Fault> {
        let (tenant, id, fence, attempts) = (
            claim.tenant.0,
            claim.id.0,
            claim.fence,
            i64::from(claim.attempts),
        );
        let lease = lease_until.map_or(0, micros);
        let record = move |connection: &Connection| match &delivery {
            Delivery::Done { cursor, at } => is_live(
                connection,
                sql::DELIVERED,
                params![tenant, id, fence, cursor, at.map_or(0, micros), lease],
            ),
            Delivery::RetryAt { due, error } => is_live(
                connection,
                sql::TRY_LATER,
                params![tenant, id, fence, micros(*due), error],
            ),
            Delivery::Pause { error } => {
                is_live(connection, sql::PAUSE, params![tenant, id, fence, error])
            }
            Delivery::PutAside { events, error } => {
                let cursor = events.last().map_or(0, |event| event.sequence);
                let live = state(
                    connection,
                    sql::PUT_ASIDE,
                    params![tenant, id, fence, cursor, error, lease],
                )?;
                // Where the claim is no longer ours, somebody else delivers these.
                for event in events.iter().filter(|_| live.is_some()) {
                    let put_aside = parcel_state(ParcelState::PutAside);
                    let values = params![
                        tenant,
                        id,
                        event.sequence,
                        put_aside,
                        attempts + 1,
                        0,
                        error,
                        json_text(event)?
                    ];
                    execute(connection, sql::ADD_PARCEL, values)?;
                }
                Ok(live.as_deref() == Some("live"))
            }
        };
        self.writer.write(record).await
    }

    async fn list_parcels(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        state: ParcelState,
        limit: usize,
    ) -> Result<Vec<Parcel>, Fault> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.readers.read_short(|connection| {
            let rows = parcels(
                connection,
                sql::LIST_PARCELS,
                params![tenant.0, id.0, parcel_state(state), limit],
            )?;
            rows.into_iter().map(ParcelColumns::into_parcel).collect()
        })
    }

    async fn redeliver(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        sequence: Option<i64>,
    ) -> Result<u64, Fault> {
        let redeliver = move |connection: &Connection| {
            let count = execute(
                connection,
                sql::REDELIVER,
                params![tenant.0, id.0, sequence.unwrap_or(0)],
            )?;
            execute(connection, sql::DUE_AT_ONCE, params![tenant.0, id.0])?;
            Ok(u64::try_from(count).unwrap_or(u64::MAX))
        };
        let count = self.writer.write(redeliver).await?;
        self.committed.notify_one();
        Ok(count)
    }

    async fn discard(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        sequence: Option<i64>,
    ) -> Result<u64, Fault> {
        let discard = move |connection: &Connection| {
            let count = execute(
                connection,
                sql::DISCARD,
                params![tenant.0, id.0, sequence.unwrap_or(0)],
            )?;
            Ok(u64::try_from(count).unwrap_or(u64::MAX))
        };
        self.writer.write(discard).await
    }

    async fn record_parcel(
        &self,
        claim: &Receiver,
        sequence: i64,
        error: Option<String>,
    ) -> Result<bool, Fault> {
        let (tenant, id, fence) = (claim.tenant.0, claim.id.0, claim.fence);
        let record = move |connection: &Connection| {
            let live = is_live(connection, sql::READ_FENCE, params![tenant, id, fence])?;
            match &error {
                None => execute(
                    connection,
                    sql::REMOVE_PARCEL,
                    params![tenant, id, sequence],
                )?,
                Some(error) => execute(
                    connection,
                    sql::FAIL_PARCEL,
                    params![tenant, id, sequence, error],
                )?,
            };
            Ok(live)
        };
        self.writer.write(record).await
    }

    async fn poll(
        &self,
        receiver: &Receiver,
        said: Acknowledgements,
        limit: usize,
        now: Timestamp,
    ) -> Result<Handout, Fault> {
        let receiver = receiver.clone();
        self.writer
            .write(move |connection| poll(connection, &receiver, &said, limit, now))
            .await
    }
}

/// Receivers that something is to be sent to, with the number of times that the next event was tried.
fn with_events(
    connection: &Connection,
    now: Timestamp,
) -> Result<Vec<(TenantId, ReceiverId, u32)>, Fault> {
    let mut statement = connection.prepare_cached(sql::WITH_EVENTS).map_err(fault)?;
    let read = |row: &Row<'_>| Ok((TenantId(row.get(0)?), ReceiverId(row.get(1)?), row.get(2)?));
    let rows = statement
        .query_map(params![micros(now), RECEIVERS_LOOKED_AT_MAX], read)
        .map_err(fault)?;
    rows.collect::<Result<_, _>>().map_err(fault)
}

fn choose(
    connection: &Connection,
    tenant: TenantId,
    receiver: ReceiverId,
    choice: &Choice,
) -> Result<bool, Fault> {
    let values = params![tenant.0, receiver.0, choice.resource_id];
    let version: Option<i64> = connection
        .query_row(
            sql::FIND_VERSION,
            params![tenant.0, choice.resource_id, choice.resource_type],
            |row| row.get(0),
        )
        .optional()
        .map_err(fault)?;
    if version.is_none() && choice.chosen {
        return Ok(false);
    }
    let statement = if choice.chosen {
        sql::CHOOSE
    } else {
        sql::UNCHOOSE
    };
    let changed = execute(connection, statement, values)? > 0;
    // Of one that is gone its receiver was told already.
    if let Some(version) = version.filter(|_| changed) {
        let sequence: i64 = connection
            .query_row(sql::NEXT_OF_CHOICE, [tenant.0], |row| row.get(0))
            .map_err(fault)?;
        let kind = if choice.chosen {
            KIND_FEED_ADD
        } else {
            KIND_FEED_REMOVE
        };
        let (change_id, names) = (choice.change_id.as_bytes(), receiver.0.to_string());
        let (resource_type, id) = (&choice.resource_type, &choice.resource_id);
        let values = params![
            tenant.0,
            sequence,
            change_id,
            resource_type,
            id,
            version,
            micros(choice.at),
            kind,
            names
        ];
        execute(connection, sql::LOG_CHOICE, values)?;
    }
    Ok(changed)
}

fn poll(
    connection: &Connection,
    receiver: &Receiver,
    said: &Acknowledgements,
    limit: usize,
    now: Timestamp,
) -> Result<Handout, Fault> {
    let (tenant, id) = (receiver.tenant.0, receiver.id.0);
    acknowledge(connection, receiver, said)?;
    let position: Option<i64> = connection
        .query_row(sql::LOCK_RECEIVER, params![tenant, id], |row| row.get(0))
        .optional()
        .map_err(fault)?;
    let Some(mut position) = position.filter(|_| limit > 0) else {
        return Ok(Handout::default());
    };
    let mut events = Vec::new();
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    for parcel in parcels(connection, sql::LIST_HANDED_OUT, params![tenant, id, most])? {
        let (attempts, counted) = parcel.handed_out_again(now);
        let event = parcel.into_parcel()?.event;
        let gives_up = attempts > i64::from(receiver.settings.attempts_max);
        let (state, error) = if gives_up {
            (ParcelState::PutAside, "it was not acknowledged")
        } else {
            (ParcelState::HandedOut, "")
        };
        let values = params![
            tenant,
            id,
            event.sequence,
            parcel_state(state),
            attempts,
            counted,
            error,
            json_text(&event)?
        ];
        execute(connection, sql::ADD_PARCEL, values)?;
        if !gives_up {
            events.push(event);
        }
    }
    let mut more = events.len() >= limit;
    while events.len() < limit {
        let found = read_events(connection, receiver.tenant, position, limit.max(100))?;
        if found.is_empty() {
            break;
        }
        for event in found {
            if events.len() >= limit {
                more = true;
                break;
            }
            position = event.sequence;
            let values = params![tenant, id, event.resource_id];
            let chosen = receiver.settings.chosen_only
                && connection
                    .query_row(sql::IS_CHOSEN, values, |_| Ok(()))
                    .optional()
                    .map_err(fault)?
                    .is_some();
            if receiver.wants(&event, chosen) {
                let state = parcel_state(ParcelState::HandedOut);
                let values = params![
                    tenant,
                    id,
                    event.sequence,
                    state,
                    1,
                    micros(now),
                    "",
                    json_text(&event)?
                ];
                execute(connection, sql::ADD_PARCEL, values)?;
                events.push(event);
            }
        }
    }
    execute(
        connection,
        sql::POLLED,
        params![tenant, id, position, micros(now)],
    )?;
    Ok(Handout { events, more })
}

fn acknowledge(
    connection: &Connection,
    receiver: &Receiver,
    said: &Acknowledgements,
) -> Result<(), Fault> {
    let (tenant, id) = (receiver.tenant.0, receiver.id.0);
    let is_ours = |event_id: &str, sequence: i64| -> Result<bool, Fault> {
        let found = parcels(connection, sql::READ_PARCEL, params![tenant, id, sequence])?.pop();
        Ok(found
            .map(ParcelColumns::into_parcel)
            .transpose()?
            .is_some_and(|parcel| parcel.event.id() == event_id))
    };
    for event_id in &said.taken {
        if let Some(sequence) = sequence_of(event_id)
            && is_ours(event_id, sequence)?
        {
            execute(
                connection,
                sql::REMOVE_PARCEL,
                params![tenant, id, sequence],
            )?;
        }
    }
    for (event_id, error) in &said.refused {
        if let Some(sequence) = sequence_of(event_id)
            && is_ours(event_id, sequence)?
        {
            execute(
                connection,
                sql::FAIL_PARCEL,
                params![tenant, id, sequence, error],
            )?;
        }
    }
    Ok(())
}

fn read(
    connection: &Connection,
    key: &MasterKey,
    tenant: TenantId,
    id: ReceiverId,
) -> Result<Option<Receiver>, Fault> {
    Ok(receivers(connection, key, sql::READ_RECEIVER, params![tenant.0, id.0])?.pop())
}

fn receivers(
    connection: &Connection,
    key: &MasterKey,
    statement: &str,
    values: impl Params,
) -> Result<Vec<Receiver>, Fault> {
    let mut statement = connection.prepare_cached(statement).map_err(fault)?;
    let read = |row: &Row<'_>| {
        Ok(ReceiverColumns {
            id: row.get(0)?,
            tenant: row.get(1)?,
            tenant_name: row.get(2)?,
            name: row.get(3)?,
            kind: row.get(4)?,
            url: row.get(5)?,
            state: row.get(6)?,
            settings: row.get(7)?,
            secrets: row.get(8)?,
            created: row.get(9)?,
            cursor: row.get(10)?,
            attempts: row.get(11)?,
            due: row.get(12)?,
            last_error: row.get(13)?,
            last_delivered: row.get(14)?,
            fence: row.get(15)?,
        })
    };
    let rows = statement.query_map(values, read).map_err(fault)?;
    rows.map(|columns| columns.map_err(fault)?.into_receiver(key))
        .collect()
}

fn parcels(
    connection: &Connection,
    statement: &str,
    values: impl Params,
) -> Result<Vec<ParcelColumns>, Fault> {
    let mut statement = connection.prepare_cached(statement).map_err(fault)?;
    let read = |row: &Row<'_>| {
        Ok(ParcelColumns {
            state: row.get(0)?,
            attempts: row.get(1)?,
            error: row.get(2)?,
            event: row.get(3)?,
            counted: row.get(4)?,
        })
    };
    let rows = statement.query_map(values, read).map_err(fault)?;
    rows.collect::<Result<_, _>>().map_err(fault)
}

/// The state that a statement about a claim returns; `None` where the claim is no longer the newest.
fn state(
    connection: &Connection,
    statement: &str,
    values: impl Params,
) -> Result<Option<String>, Fault> {
    connection
        .prepare_cached(statement)
        .map_err(fault)?
        .query_row(values, |row| row.get(0))
        .optional()
        .map_err(fault)
}

fn is_live(connection: &Connection, statement: &str, values: impl Params) -> Result<bool, Fault> {
    Ok(state(connection, statement, values)?.as_deref() == Some("live"))
}

fn execute(connection: &Connection, statement: &str, values: impl Params) -> Result<usize, Fault> {
    connection
        .prepare_cached(statement)
        .map_err(fault)?
        .execute(values)
        .map_err(fault)
}
