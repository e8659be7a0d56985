//! `EventLog` and `SigningKeys` in PostgreSQL: what happened, and the keys with which tokens about it are signed.

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use directory::store::Fault;
use directory::tenant::TenantId;
use events::event::LoggedEvent;
use events::event_log::{EventLog, SigningKey, SigningKeys, Window};
use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;

use super::Postgres;
use super::attempts::{Values, in_transaction, query};
use super::connections::{begin, fault};
use super::outbox;
use super::statements_of_events as sql;
use crate::event_rows::EventColumns;
use crate::rows::{json_text, micros, timestamp};
use crate::secrets::MasterKey;
use crate::signing;

#[async_trait]
impl EventLog for Postgres {
    async fn window(&self, tenant: TenantId) -> Result<Window, Fault> {
        let rows = query(&self.connections, sql::READ_WINDOW, &[&tenant.0]).await?;
        let read = |row: &Row| Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, Option<i64>>(1)?));
        let (newest, first) = rows
            .first()
            .map(read)
            .transpose()
            .map_err(fault)?
            .unwrap_or_default();
        Ok(Window {
            oldest: first.map_or(newest, |first| first - 1),
            newest,
        })
    }

    async fn read_events(
        &self,
        tenant: TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, Fault> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        events(
            &query(
                &self.connections,
                sql::READ_EVENTS,
                &[&tenant.0, &after, &limit],
            )
            .await?,
        )
    }

    async fn trim_events(&self, before: Timestamp, rows: usize) -> Result<u64, Fault> {
        let mut trimmed = 0;
        for row in query(&self.connections, sql::TENANTS_WITH_OLD_EVENTS, &[]).await? {
            let tenant: i64 = row.try_get(0).map_err(fault)?;
            trimmed += in_transaction!(&self.connections, begin, |transaction| trim(
                transaction,
                tenant,
                micros(before),
                rows
            ));
        }
        Ok(trimmed)
    }
}

/// Rows of the change log as events.
pub(super) fn events(rows: &[Row]) -> Result<Vec<LoggedEvent>, Fault> {
    let read = |row: &Row| {
        Ok(EventColumns {
            sequence: row.try_get(0)?,
            change_id: row.try_get(1)?,
            resource_type: row.try_get(2)?,
            resource_id: row.try_get(3)?,
            version: row.try_get(4)?,
            at: row.try_get(5)?,
            kind: row.try_get(6)?,
            attributes: row.try_get(7)?,
        })
    };
    rows.iter()
        .map(|row| read(row).map_err(fault)?.into_event())
        .collect()
}

/// Only from the oldest on, so that what is left has no gaps.
async fn trim(
    transaction: &Transaction<'_>,
    tenant: i64,
    before: i64,
    rows: usize,
) -> Result<u64, Fault> {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let oldest = outbox::query(transaction, sql::OLDEST_EVENTS, &[&tenant, &rows]).await?;
    let read = |row: &Row| {
        Ok::<_, tokio_postgres::Error>((row.try_get::<_, i64>(0)?, row.try_get::<_, i64>(1)?))
    };
    let oldest = oldest
        .iter()
        .map(read)
        .collect::<Result<Vec<_>, _>>()
        .map_err(fault)?;
    let Some(end) = oldest
        .into_iter()
        .take_while(|(_, at)| *at < before)
        .last()
        .map(|(sequence, _)| sequence)
    else {
        return Ok(0);
    };
    let limit = outbox::query(transaction, sql::TRIM_LIMIT, &[&tenant]).await?;
    let Some(limit) = limit.first() else {
        return Ok(0);
    };
    let (dispatched, slowest): (i64, Option<i64>) = (
        limit.try_get(0).map_err(fault)?,
        limit.try_get(1).map_err(fault)?,
    );
    let end = end.min(dispatched).min(slowest.unwrap_or(i64::MAX));
    outbox::execute(transaction, sql::TRIM, &[&tenant, &end]).await
}

#[async_trait]
impl SigningKeys for Postgres {
    async fn sign(
        &self,
        tenant: TenantId,
        token_type: &str,
        claims: &Value,
        now: Timestamp,
    ) -> Result<String, Fault> {
        let rows = query(&self.connections, sql::SIGNING_KEY, &[&tenant.0]).await?;
        let (id, sealed) = match rows.first().map(current).transpose()? {
            Some((id, sealed, created)) if !signing::is_old(created, now) => (id, sealed),
            old => {
                let seen = old.map(|(id, ..)| id);
                in_transaction!(&self.connections, begin, |transaction| replace(
                    transaction,
                    &self.key,
                    tenant,
                    now,
                    seen.as_deref()
                ))
            }
        };
        signing::sign(&self.key, tenant, (&id, &sealed), token_type, claims)
    }

    async fn signing_keys(
        &self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Vec<SigningKey>, Fault> {
        let since = micros(signing::published_since(now));
        let rows = query(&self.connections, sql::LIST_KEYS, &[&tenant.0, &since]).await?;
        let key = |row: &Row| {
            let retired: i64 = row.try_get(3).map_err(fault)?;
            Ok(SigningKey {
                id: row.try_get(0).map_err(fault)?,
                public: signing::public(row.try_get(1).map_err(fault)?)?,
                created: timestamp(row.try_get(2).map_err(fault)?)?,
                retired: if retired == 0 {
                    None
                } else {
                    Some(timestamp(retired)?)
                },
            })
        };
        rows.iter().map(key).collect()
    }

    async fn rotate_keys(
        &self,
        tenant: TenantId,
        now: Timestamp,
        distrust_old: bool,
    ) -> Result<SigningKey, Fault> {
        let made = in_transaction!(&self.connections, begin, |transaction| rotate(
            transaction,
            &self.key,
            tenant,
            now,
            distrust_old
        ));
        Ok(SigningKey {
            id: made.id,
            public: made.public,
            created: now,
            retired: None,
        })
    }
}

fn current(row: &Row) -> Result<(String, Vec<u8>, Timestamp), Fault> {
    let created = timestamp(row.try_get(2).map_err(fault)?)?;
    Ok((
        row.try_get(0).map_err(fault)?,
        row.try_get(1).map_err(fault)?,
        created,
    ))
}

/// A new key in the place of the one that was seen, unless somebody was faster.
async fn replace(
    transaction: &Transaction<'_>,
    key: &MasterKey,
    tenant: TenantId,
    now: Timestamp,
    seen: Option<&str>,
) -> Result<(String, Vec<u8>), Fault> {
    outbox::query(transaction, sql::LOCK_TENANT, &[&tenant.0]).await?;
    let rows = outbox::query(transaction, sql::SIGNING_KEY, &[&tenant.0]).await?;
    match rows.first().map(current).transpose()? {
        Some((id, sealed, _)) if Some(id.as_str()) != seen => Ok((id, sealed)),
        _ => add(transaction, key, tenant, now)
            .await
            .map(|made| (made.id, made.sealed)),
    }
}

async fn rotate(
    transaction: &Transaction<'_>,
    key: &MasterKey,
    tenant: TenantId,
    now: Timestamp,
    distrust_old: bool,
) -> Result<signing::MadeKey, Fault> {
    outbox::query(transaction, sql::LOCK_TENANT, &[&tenant.0]).await?;
    let made = add(transaction, key, tenant, now).await?;
    if distrust_old {
        outbox::execute(transaction, sql::FORGET_KEYS, &[&tenant.0, &micros(now)]).await?;
    }
    Ok(made)
}

async fn add(
    transaction: &Transaction<'_>,
    key: &MasterKey,
    tenant: TenantId,
    now: Timestamp,
) -> Result<signing::MadeKey, Fault> {
    let made = signing::make(key, tenant)?;
    outbox::execute(transaction, sql::RETIRE_KEYS, &[&tenant.0, &micros(now)]).await?;
    outbox::execute(
        transaction,
        sql::FORGET_KEYS,
        &[&tenant.0, &micros(signing::published_since(now))],
    )
    .await?;
    let values: Values<'_> = &[
        &tenant.0,
        &made.id,
        &made.sealed,
        &json_text(&made.public)?,
        &micros(now),
    ];
    outbox::execute(transaction, sql::ADD_KEY, values).await?;
    Ok(made)
}
