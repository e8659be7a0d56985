//! `Receivers`: who is told of changes, how far each of them is, and the events that could not be delivered.

use std::sync::Arc;

use async_trait::async_trait;
use directory::audit::Entry;
use directory::store::Fault;
use directory::tenant::TenantId;
use events::event_log::{Acknowledgements, Choice, Delivery, NewReceiver, PollAnswer, Receivers};
use events::receiver::{
    Receiver, ReceiverId, ReceiverState, Secrets, Undelivered, UndeliveredState,
};
use events::room::ReceiverRoom;
use jiff::Timestamp;

use crate::audit::append_if;
use crate::deliveries;
use crate::engine::{Database, Engine};
use crate::event_rows::{
    KIND_FEED_ADD, KIND_FEED_REMOVE, RECEIVERS_LOOKED_AT_MAX, UndeliveredColumns, receiver,
    receiver_kind, receiver_state, seal_secrets, undelivered_state,
};
use crate::rows::{json_text, storable};
use crate::secrets::MasterKey;
use crate::session::{Session, at_most, fields};
use crate::statements_of_events as sql;

#[async_trait]
impl<E: Engine> Receivers for Database<E> {
    async fn add_receiver(
        &self,
        tenant: TenantId,
        new: NewReceiver,
        entry: Entry,
    ) -> Result<Option<Receiver>, Fault> {
        let name = storable(&new.name).into_owned();
        let secrets = seal_secrets(self.key(), tenant, &name, &new.secrets)?;
        let new = NewReceiver { name, ..new };
        let Some(id) = self.write((tenant, new, secrets, entry), add).await? else {
            return Ok(None);
        };
        self.notify();
        self.read_receiver(tenant, id).await
    }

    async fn list_receivers(&self, tenant: TenantId) -> Result<Vec<Receiver>, Fault> {
        self.read(&(self.key(), tenant), list).await
    }

    async fn read_receiver(
        &self,
        tenant: TenantId,
        id: ReceiverId,
    ) -> Result<Option<Receiver>, Fault> {
        self.read(&(self.key(), tenant, id), read).await
    }

    async fn set_receiver_state(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        state: ReceiverState,
        entry: Entry,
    ) -> Result<bool, Fault> {
        let set = self.write((tenant, id, state, entry), set_state).await?;
        self.notify();
        Ok(set)
    }

    async fn set_receiver_secrets(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        secrets: Secrets,
        entry: Entry,
    ) -> Result<bool, Fault> {
        let Some(receiver) = self.read_receiver(tenant, id).await? else {
            return Ok(false);
        };
        let sealed = seal_secrets(self.key(), tenant, &receiver.name, &secrets)?;
        self.write((tenant, id, sealed, entry), set_secrets).await
    }

    async fn remove_receiver(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        entry: Entry,
    ) -> Result<bool, Fault> {
        self.write((tenant, id, entry), remove).await
    }

    async fn choose(
        &self,
        receiver: &Receiver,
        choice: Choice,
        entry: Entry,
    ) -> Result<bool, Fault> {
        let asked = (receiver.tenant, receiver.id, choice, entry);
        let changed = self.write(asked, choose).await?;
        self.notify();
        Ok(changed)
    }

    async fn chosen(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        resource_ids: Vec<String>,
    ) -> Result<Vec<String>, Fault> {
        self.read(&(tenant, id, resource_ids), deliveries::chosen)
            .await
    }

    async fn claim_receivers(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        room: ReceiverRoom,
    ) -> Result<Vec<Receiver>, Fault> {
        let waiting = self.read(&now, with_events).await?;
        let admitted = |one: &Waiting| room.admits(one.tenant, one.attempts);
        if !waiting.iter().any(admitted) {
            return Ok(Vec::new());
        }
        let key = Arc::clone(self.key());
        let claim = Claim {
            key,
            waiting,
            now,
            lease_until,
            room,
        };
        self.write_each(claim, lease).await
    }

    async fn record_delivery(
        &self,
        claim: &Receiver,
        delivery: Delivery,
        lease_until: Option<Timestamp>,
    ) -> Result<bool, Fault> {
        let asked = (claim.clone(), delivery, lease_until);
        self.write(asked, deliveries::record_delivery).await
    }

    async fn list_undelivered(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        state: UndeliveredState,
        limit: usize,
    ) -> Result<Vec<Undelivered>, Fault> {
        self.read(&(tenant, id, state, limit), list_undelivered)
            .await
    }

    async fn redeliver(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        sequence: Option<i64>,
        entry: Entry,
    ) -> Result<u64, Fault> {
        let asked = (tenant, id, sequence, entry);
        let count = self.write(asked, redeliver).await?;
        self.notify();
        Ok(count)
    }

    async fn discard(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        sequence: Option<i64>,
        entry: Entry,
    ) -> Result<u64, Fault> {
        self.write((tenant, id, sequence, entry), discard).await
    }

    async fn record_redelivery(
        &self,
        claim: &Receiver,
        sequence: i64,
        error: Option<String>,
    ) -> Result<bool, Fault> {
        let asked = (claim.clone(), sequence, error);
        self.write(asked, deliveries::record_redelivery).await
    }

    async fn poll(
        &self,
        receiver: &Receiver,
        said: Acknowledgements,
        limit: usize,
        now: Timestamp,
    ) -> Result<PollAnswer, Fault> {
        self.write((receiver.clone(), said, limit, now), deliveries::poll)
            .await
    }
}

async fn add(
    session: &mut dyn Session,
    (tenant, new, secrets, entry): &(TenantId, NewReceiver, Vec<u8>, Entry),
) -> Result<Option<ReceiverId>, Fault> {
    let (kind, settings) = (receiver_kind(new.kind), json_text(&new.settings)?);
    let values = fields![
        tenant,
        &new.name,
        kind,
        &new.url,
        &settings,
        secrets,
        new.at,
        new.from_oldest
    ];
    let added = session
        .first(&sql::ADD_RECEIVER, values, |row| row.get(0).map(ReceiverId))
        .await?;
    append_if(session, *tenant, entry, added.is_some()).await?;
    Ok(added)
}

async fn list(
    session: &mut dyn Session,
    (key, tenant): &(&Arc<MasterKey>, TenantId),
) -> Result<Vec<Receiver>, Fault> {
    session
        .rows(&sql::LIST_RECEIVERS, fields![tenant], |row| {
            receiver(row, key)
        })
        .await
}

async fn read(
    session: &mut dyn Session,
    (key, tenant, id): &(&Arc<MasterKey>, TenantId, ReceiverId),
) -> Result<Option<Receiver>, Fault> {
    session
        .first(&sql::READ_RECEIVER, fields![tenant, id.0], |row| {
            receiver(row, key)
        })
        .await
}

async fn set_state(
    session: &mut dyn Session,
    (tenant, id, state, entry): &(TenantId, ReceiverId, ReceiverState, Entry),
) -> Result<bool, Fault> {
    let values = fields![tenant, id.0, receiver_state(*state)];
    let set = session.execute(&sql::SET_RECEIVER_STATE, values).await?;
    append_if(session, *tenant, entry, set > 0).await
}

async fn set_secrets(
    session: &mut dyn Session,
    (tenant, id, sealed, entry): &(TenantId, ReceiverId, Vec<u8>, Entry),
) -> Result<bool, Fault> {
    let values = fields![tenant, id.0, sealed];
    let set = session.execute(&sql::SET_RECEIVER_SECRETS, values).await?;
    append_if(session, *tenant, entry, set > 0).await
}

async fn remove(
    session: &mut dyn Session,
    (tenant, id, entry): &(TenantId, ReceiverId, Entry),
) -> Result<bool, Fault> {
    let values = fields![tenant, id.0];
    session.execute(&sql::REMOVE_PARCELS, values).await?;
    session.execute(&sql::REMOVE_CHOSEN, values).await?;
    let removed = session.execute(&sql::REMOVE_RECEIVER, values).await?;
    append_if(session, *tenant, entry, removed > 0).await
}

async fn choose(
    session: &mut dyn Session,
    (tenant, receiver, choice, entry): &(TenantId, ReceiverId, Choice, Entry),
) -> Result<bool, Fault> {
    let (id, resource_type) = (&choice.resource_id, &choice.resource_type);
    let found = fields![tenant, id, resource_type];
    let version: Option<i64> = session
        .first(&sql::FIND_VERSION, found, |row| row.get(0))
        .await?;
    if version.is_none() && choice.chosen {
        return Ok(false);
    }
    let (statement, kind) = if choice.chosen {
        (&sql::CHOOSE, KIND_FEED_ADD)
    } else {
        (&sql::UNCHOOSE, KIND_FEED_REMOVE)
    };
    let values = fields![tenant, receiver.0, id];
    let changed = session.execute(statement, values).await? > 0;
    // Of a resource that is gone, its receiver was told already.
    if let Some(version) = version.filter(|_| changed) {
        let sequence: Option<i64> = session
            .first(&sql::NEXT_OF_CHOICE, fields![tenant], |row| row.get(0))
            .await?;
        let (change_id, names) = (choice.change_id.as_bytes(), receiver.0.to_string());
        let values = fields![
            tenant,
            sequence,
            change_id,
            resource_type,
            id,
            version,
            choice.at,
            kind,
            &names
        ];
        session.execute(&sql::LOG_CHOICE, values).await?;
    }
    append_if(session, *tenant, entry, changed).await
}

/// A receiver that something is to be sent to.
struct Waiting {
    tenant: TenantId,
    id: ReceiverId,
    /// How often the next event was tried.
    attempts: u32,
}

async fn with_events(session: &mut dyn Session, now: &Timestamp) -> Result<Vec<Waiting>, Fault> {
    let values = fields![now, RECEIVERS_LOOKED_AT_MAX];
    session
        .rows(&sql::WITH_EVENTS, values, |row| {
            Ok(Waiting {
                tenant: row.get(0)?,
                id: ReceiverId(row.get(1)?),
                attempts: row.get(2)?,
            })
        })
        .await
}

/// What is needed to claim receivers.
struct Claim {
    key: Arc<MasterKey>,
    waiting: Vec<Waiting>,
    now: Timestamp,
    lease_until: Timestamp,
    room: ReceiverRoom,
}

/// Leases those that are still free: another node may have been faster.
async fn lease(session: &mut dyn Session, claim: &Claim) -> Result<Vec<Receiver>, Fault> {
    let (mut room, mut claimed) = (claim.room.clone(), Vec::new());
    for one in &claim.waiting {
        if !room.admits(one.tenant, one.attempts) {
            continue;
        }
        let values = fields![one.tenant, one.id.0, claim.now, claim.lease_until];
        if session.execute(&sql::LEASE_RECEIVER, values).await? > 0 {
            room.begin(one.tenant, one.attempts);
            claimed.extend(read(session, &(&claim.key, one.tenant, one.id)).await?);
        }
    }
    Ok(claimed)
}

async fn list_undelivered(
    session: &mut dyn Session,
    (tenant, id, state, limit): &(TenantId, ReceiverId, UndeliveredState, usize),
) -> Result<Vec<Undelivered>, Fault> {
    let values = fields![tenant, id.0, undelivered_state(*state), at_most(*limit)];
    session
        .rows(&sql::LIST_PARCELS, values, |row| {
            UndeliveredColumns::read(row)?.into_undelivered()
        })
        .await
}

async fn redeliver(
    session: &mut dyn Session,
    (tenant, id, sequence, entry): &(TenantId, ReceiverId, Option<i64>, Entry),
) -> Result<u64, Fault> {
    let values = fields![tenant, id.0, sequence.unwrap_or(0)];
    let count = session.execute(&sql::REDELIVER, values).await?;
    session
        .execute(&sql::DUE_AT_ONCE, fields![tenant, id.0])
        .await?;
    append_if(session, *tenant, entry, count > 0).await?;
    Ok(count)
}

async fn discard(
    session: &mut dyn Session,
    (tenant, id, sequence, entry): &(TenantId, ReceiverId, Option<i64>, Entry),
) -> Result<u64, Fault> {
    let values = fields![tenant, id.0, sequence.unwrap_or(0)];
    let count = session.execute(&sql::DISCARD, values).await?;
    append_if(session, *tenant, entry, count > 0).await?;
    Ok(count)
}
