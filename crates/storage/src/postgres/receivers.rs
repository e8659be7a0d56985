//! `Receivers` in PostgreSQL: who is told of changes, how far each is, and what was put aside.

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use directory::store::Fault;
use directory::tenant::TenantId;
use events::event_log::{Acknowledgements, Choice, Delivery, Handout, NewReceiver, Receivers};
use events::receiver::{Parcel, ParcelState, Receiver, ReceiverId, ReceiverState, Secrets};
use events::room::ReceiverRoom;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::Postgres;
use super::attempts::{Values, execute, in_transaction, query};
use super::connections::{begin, fault};
use super::events::events;
use super::outbox;
use super::read::storable;
use super::statements_of_events as sql;
use crate::event_rows::{
    KIND_FEED_ADD, KIND_FEED_REMOVE, ParcelColumns, RECEIVERS_LOOKED_AT_MAX, ReceiverColumns,
    parcel_state, receiver_kind, receiver_state, seal_secrets, sequence_of,
};
use crate::rows::{json_text, micros};

#[async_trait]
impl Receivers for Postgres {
    async fn add_receiver(
        &self,
        tenant: TenantId,
        new: NewReceiver,
    ) -> Result<Option<Receiver>, Fault> {
        let (name, url) = (
            storable(&new.name).into_owned(),
            storable(&new.url).into_owned(),
        );
        let secrets = seal_secrets(&self.key, tenant, &name, &new.secrets)?;
        let (settings, kind) = (json_text(&new.settings)?, receiver_kind(new.kind));
        let values: Values<'_> = &[
            &tenant.0,
            &name,
            &kind,
            &url,
            &settings,
            &secrets,
            &micros(new.at),
            &i64::from(new.from_oldest),
        ];
        let rows = query(&self.connections, sql::ADD_RECEIVER, values).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let id: i64 = row.try_get(0).map_err(fault)?;
        self.notify();
        self.read_receiver(tenant, ReceiverId(id)).await
    }

    async fn list_receivers(&self, tenant: TenantId) -> Result<Vec<Receiver>, Fault> {
        let rows = query(&self.connections, sql::LIST_RECEIVERS, &[&tenant.0]).await?;
        rows.iter()
            .map(|row| columns(row)?.into_receiver(&self.key))
            .collect()
    }

    async fn read_receiver(
        &self,
        tenant: TenantId,
        id: ReceiverId,
    ) -> Result<Option<Receiver>, Fault> {
        let rows = query(&self.connections, sql::READ_RECEIVER, &[&tenant.0, &id.0]).await?;
        rows.first()
            .map(|row| columns(row)?.into_receiver(&self.key))
            .transpose()
    }

    async fn set_receiver_state(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        state: ReceiverState,
    ) -> Result<bool, Fault> {
        let values: Values<'_> = &[&tenant.0, &id.0, &receiver_state(state)];
        let count = execute(&self.connections, sql::SET_RECEIVER_STATE, values).await?;
        self.notify();
        Ok(count > 0)
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
        let count = execute(
            &self.connections,
            sql::SET_RECEIVER_SECRETS,
            &[&tenant.0, &id.0, &sealed],
        )
        .await?;
        Ok(count > 0)
    }

    async fn remove_receiver(&self, tenant: TenantId, id: ReceiverId) -> Result<bool, Fault> {
        Ok(in_transaction!(&self.connections, begin, |transaction| {
            remove(transaction, tenant, id)
        }))
    }

    async fn choose(&self, receiver: &Receiver, choice: Choice) -> Result<bool, Fault> {
        let changed = in_transaction!(&self.connections, begin, |transaction| choose(
            transaction,
            receiver,
            &choice
        ));
        self.notify();
        Ok(changed)
    }

    async fn chosen(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        resource_ids: Vec<String>,
    ) -> Result<Vec<String>, Fault> {
        let rows = query(
            &self.connections,
            sql::LIST_CHOSEN,
            &[&tenant.0, &id.0, &resource_ids],
        )
        .await?;
        rows.iter()
            .map(|row| row.try_get(0).map_err(fault))
            .collect()
    }

    async fn claim_receivers(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        mut room: ReceiverRoom,
    ) -> Result<Vec<Receiver>, Fault> {
        let mut claimed = Vec::new();
        for row in query(
            &self.connections,
            sql::WITH_EVENTS,
            &[&micros(now), &RECEIVERS_LOOKED_AT_MAX],
        )
        .await?
        {
            let (tenant, id): (i64, i64) = (
                row.try_get(0).map_err(fault)?,
                row.try_get(1).map_err(fault)?,
            );
            let attempts =
                u32::try_from(row.try_get::<_, i64>(2).map_err(fault)?).unwrap_or(u32::MAX);
            if !room.admits(TenantId(tenant), attempts) {
                continue;
            }
            // Another node may have been faster.
            let values: Values<'_> = &[&tenant, &id, &micros(now), &micros(lease_until)];
            if execute(&self.connections, sql::LEASE_RECEIVER, values).await? > 0 {
                room.begin(TenantId(tenant), attempts);
                claimed.extend(self.read_receiver(TenantId(tenant), ReceiverId(id)).await?);
            }
        }
        Ok(claimed)
    }

    async fn record_delivery(
        &self,
        claim: &Receiver,
        delivery: Delivery,
        lease_until: Option<Timestamp>,
    ) -> Result<bool, Fault> {
        let lease = lease_until.map_or(0, micros);
        Ok(in_transaction!(&self.connections, begin, |transaction| {
            record(transaction, claim, &delivery, lease)
        }))
    }

    async fn list_parcels(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        state: ParcelState,
        limit: usize,
    ) -> Result<Vec<Parcel>, Fault> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = query(
            &self.connections,
            sql::LIST_PARCELS,
            &[&tenant.0, &id.0, &parcel_state(state), &limit],
        )
        .await?;
        rows.iter().map(|row| parcel(row)?.into_parcel()).collect()
    }

    async fn redeliver(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        sequence: Option<i64>,
    ) -> Result<u64, Fault> {
        let count = execute(
            &self.connections,
            sql::REDELIVER,
            &[&tenant.0, &id.0, &sequence.unwrap_or(0)],
        )
        .await?;
        execute(&self.connections, sql::DUE_AT_ONCE, &[&tenant.0, &id.0]).await?;
        self.notify();
        Ok(count)
    }

    async fn discard(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        sequence: Option<i64>,
    ) -> Result<u64, Fault> {
        execute(
            &self.connections,
            sql::DISCARD,
            &[&tenant.0, &id.0, &sequence.unwrap_or(0)],
        )
        .await
    }

    async fn record_parcel(
        &self,
        claim: &Receiver,
        sequence: i64,
        error: Option<String>,
    ) -> Result<bool, Fault> {
        let error = error.map(|error| storable(&error).into_owned());
        Ok(in_transaction!(&self.connections, begin, |transaction| {
            record_parcel(transaction, claim, sequence, error.as_deref())
        }))
    }

    async fn poll(
        &self,
        receiver: &Receiver,
        said: Acknowledgements,
        limit: usize,
        now: Timestamp,
    ) -> Result<Handout, Fault> {
        Ok(in_transaction!(&self.connections, begin, |transaction| {
            poll(transaction, receiver, &said, limit, now)
        }))
    }
}

async fn remove(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    id: ReceiverId,
) -> Result<bool, Fault> {
    outbox::execute(transaction, sql::REMOVE_PARCELS, &[&tenant.0, &id.0]).await?;
    outbox::execute(transaction, sql::REMOVE_CHOSEN, &[&tenant.0, &id.0]).await?;
    Ok(outbox::execute(transaction, sql::REMOVE_RECEIVER, &[&tenant.0, &id.0]).await? > 0)
}

async fn choose(
    transaction: &Transaction<'_>,
    receiver: &Receiver,
    choice: &Choice,
) -> Result<bool, Fault> {
    let (tenant, id) = (receiver.tenant.0, receiver.id.0);
    let resource = storable(&choice.resource_id);
    let found = outbox::query(
        transaction,
        sql::FIND_VERSION,
        &[&tenant, &resource, &choice.resource_type],
    )
    .await?;
    let version: Option<i64> = found
        .first()
        .map(|row| row.try_get(0))
        .transpose()
        .map_err(fault)?;
    if version.is_none() && choice.chosen {
        return Ok(false);
    }
    let statement = if choice.chosen {
        sql::CHOOSE
    } else {
        sql::UNCHOOSE
    };
    let changed = outbox::execute(transaction, statement, &[&tenant, &id, &resource]).await? > 0;
    // Of one that is gone its receiver was told already.
    if let Some(version) = version.filter(|_| changed) {
        let kind = if choice.chosen {
            KIND_FEED_ADD
        } else {
            KIND_FEED_REMOVE
        };
        let change_id = choice.change_id.as_bytes().as_slice();
        let names = id.to_string();
        let values: Values<'_> = &[
            &tenant,
            &change_id,
            &choice.resource_type,
            &resource,
            &version,
            &micros(choice.at),
            &kind,
            &names,
        ];
        outbox::execute(transaction, sql::LOG_CHOICE, values).await?;
    }
    Ok(changed)
}

async fn record(
    transaction: &Transaction<'_>,
    claim: &Receiver,
    delivery: &Delivery,
    lease: i64,
) -> Result<bool, Fault> {
    let (tenant, id, fence) = (claim.tenant.0, claim.id.0, claim.fence);
    let rows = match delivery {
        Delivery::Done { cursor, at } => {
            outbox::query(
                transaction,
                sql::DELIVERED,
                &[&tenant, &id, &fence, cursor, &at.map_or(0, micros), &lease],
            )
            .await?
        }
        Delivery::RetryAt { due, error } => {
            outbox::query(
                transaction,
                sql::TRY_LATER,
                &[&tenant, &id, &fence, &micros(*due), &storable(error)],
            )
            .await?
        }
        Delivery::Pause { error } => {
            outbox::query(
                transaction,
                sql::PAUSE,
                &[&tenant, &id, &fence, &storable(error)],
            )
            .await?
        }
        Delivery::PutAside { events, error } => {
            let cursor = events.last().map_or(0, |event| event.sequence);
            let error = storable(error);
            let rows = outbox::query(
                transaction,
                sql::PUT_ASIDE,
                &[&tenant, &id, &fence, &cursor, &error, &lease],
            )
            .await?;
            // Where the claim is no longer ours, somebody else delivers these.
            for event in events.iter().filter(|_| !rows.is_empty()) {
                let attempts = i64::from(claim.attempts) + 1;
                let (state, text) = (parcel_state(ParcelState::PutAside), json_text(event)?);
                let values: Values<'_> = &[
                    &tenant,
                    &id,
                    &event.sequence,
                    &state,
                    &attempts,
                    &0_i64,
                    &error,
                    &text,
                ];
                outbox::execute(transaction, sql::ADD_PARCEL, values).await?;
            }
            rows
        }
    };
    is_live(&rows)
}

/// Whether the claim is the newest, and the receiver served.
fn is_live(rows: &[Row]) -> Result<bool, Fault> {
    let state = rows
        .first()
        .map(|row| row.try_get::<_, &str>(0))
        .transpose()
        .map_err(fault)?;
    Ok(state == Some("live"))
}

async fn record_parcel(
    transaction: &Transaction<'_>,
    claim: &Receiver,
    sequence: i64,
    error: Option<&str>,
) -> Result<bool, Fault> {
    let (tenant, id) = (claim.tenant.0, claim.id.0);
    let live = is_live(
        &outbox::query(transaction, sql::READ_FENCE, &[&tenant, &id, &claim.fence]).await?,
    )?;
    match error {
        None => {
            outbox::execute(transaction, sql::REMOVE_PARCEL, &[&tenant, &id, &sequence]).await?
        }
        Some(error) => {
            outbox::execute(
                transaction,
                sql::FAIL_PARCEL,
                &[&tenant, &id, &sequence, &error],
            )
            .await?
        }
    };
    Ok(live)
}

async fn poll(
    transaction: &Transaction<'_>,
    receiver: &Receiver,
    said: &Acknowledgements,
    limit: usize,
    now: Timestamp,
) -> Result<Handout, Fault> {
    let (tenant, id) = (receiver.tenant.0, receiver.id.0);
    acknowledge(transaction, receiver, said).await?;
    let locked = outbox::query(transaction, sql::LOCK_RECEIVER, &[&tenant, &id]).await?;
    let position: Option<i64> = locked
        .first()
        .map(|row| row.try_get(0))
        .transpose()
        .map_err(fault)?;
    let Some(mut position) = position.filter(|_| limit > 0) else {
        return Ok(Handout::default());
    };
    let mut handed_out = Vec::new();
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    for row in outbox::query(transaction, sql::LIST_HANDED_OUT, &[&tenant, &id, &most]).await? {
        let columns = parcel(&row)?;
        let (attempts, counted) = columns.handed_out_again(now);
        let event = columns.into_parcel()?.event;
        let gives_up = attempts > i64::from(receiver.settings.attempts_max);
        let (state, error) = if gives_up {
            (ParcelState::PutAside, "it was not acknowledged")
        } else {
            (ParcelState::HandedOut, "")
        };
        let (state, text) = (parcel_state(state), json_text(&event)?);
        let values: Values<'_> = &[
            &tenant,
            &id,
            &event.sequence,
            &state,
            &attempts,
            &counted,
            &error,
            &text,
        ];
        outbox::execute(transaction, sql::ADD_PARCEL, values).await?;
        if !gives_up {
            handed_out.push(event);
        }
    }
    let mut more = handed_out.len() >= limit;
    while handed_out.len() < limit {
        let page = i64::try_from(limit.max(100)).unwrap_or(i64::MAX);
        let found = events(
            &outbox::query(transaction, sql::READ_EVENTS, &[&tenant, &position, &page]).await?,
        )?;
        if found.is_empty() {
            break;
        }
        let ids: Vec<&str> = found
            .iter()
            .map(|event| event.resource_id.as_str())
            .collect();
        let chosen = outbox::query(transaction, sql::LIST_CHOSEN, &[&tenant, &id, &ids]).await?;
        let chosen = chosen
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<Vec<String>, _>>()
            .map_err(fault)?;
        for event in found {
            if handed_out.len() >= limit {
                more = true;
                break;
            }
            position = event.sequence;
            if receiver.wants(&event, chosen.contains(&event.resource_id)) {
                let (state, text) = (parcel_state(ParcelState::HandedOut), json_text(&event)?);
                let values: Values<'_> = &[
                    &tenant,
                    &id,
                    &event.sequence,
                    &state,
                    &1_i64,
                    &micros(now),
                    &"",
                    &text,
                ];
                outbox::execute(transaction, sql::ADD_PARCEL, values).await?;
                handed_out.push(event);
            }
        }
    }
    outbox::execute(
        transaction,
        sql::POLLED,
        &[&tenant, &id, &position, &micros(now)],
    )
    .await?;
    Ok(Handout {
        events: handed_out,
        more,
    })
}

async fn acknowledge(
    transaction: &Transaction<'_>,
    receiver: &Receiver,
    said: &Acknowledgements,
) -> Result<(), Fault> {
    let (tenant, id) = (receiver.tenant.0, receiver.id.0);
    let taken = said.taken.iter().map(|event_id| (event_id, None));
    let refused = said
        .refused
        .iter()
        .map(|(event_id, error)| (event_id, Some(storable(error))));
    for (event_id, error) in taken.chain(refused) {
        let Some(sequence) = sequence_of(event_id) else {
            continue;
        };
        let found =
            outbox::query(transaction, sql::READ_PARCEL, &[&tenant, &id, &sequence]).await?;
        let Some(row) = found.first() else { continue };
        if parcel(row)?.into_parcel()?.event.id() != *event_id {
            continue;
        }
        match error {
            None => {
                outbox::execute(transaction, sql::REMOVE_PARCEL, &[&tenant, &id, &sequence]).await?
            }
            Some(error) => {
                outbox::execute(
                    transaction,
                    sql::FAIL_PARCEL,
                    &[&tenant, &id, &sequence, &error],
                )
                .await?
            }
        };
    }
    Ok(())
}

fn columns(row: &Row) -> Result<ReceiverColumns, Fault> {
    let read = || {
        Ok(ReceiverColumns {
            id: row.try_get(0)?,
            tenant: row.try_get(1)?,
            tenant_name: row.try_get(2)?,
            name: row.try_get(3)?,
            kind: row.try_get(4)?,
            url: row.try_get(5)?,
            state: row.try_get(6)?,
            settings: row.try_get(7)?,
            secrets: row.try_get(8)?,
            created: row.try_get(9)?,
            cursor: row.try_get(10)?,
            attempts: row.try_get(11)?,
            due: row.try_get(12)?,
            last_error: row.try_get(13)?,
            last_delivered: row.try_get(14)?,
            fence: row.try_get(15)?,
        })
    };
    read().map_err(fault)
}

fn parcel(row: &Row) -> Result<ParcelColumns, Fault> {
    let read = || {
        Ok(ParcelColumns {
            state: row.try_get(0)?,
            attempts: row.try_get(1)?,
            error: row.try_get(2)?,
            event: row.try_get(3)?,
            counted: row.try_get(4)?,
        })
    };
    read().map_err(fault)
}
