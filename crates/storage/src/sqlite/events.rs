//! `EventLog` and `SigningKeys` in SQLite: what happened, and the keys with which tokens about it are signed.

use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
use events::event::LoggedEvent;
use events::event_log::{EventLog, SigningKey, SigningKeys, Window};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::Sqlite;
use super::connections::fault;
use super::statements_of_events as sql;
use crate::event_rows::EventColumns;
use crate::rows::{json_text, micros, timestamp};
use crate::secrets::MasterKey;
use crate::signing;

#[async_trait]
impl EventLog for Sqlite {
    async fn window(&self, tenant: TenantId) -> Result<Window, Fault> {
        self.readers.read_short(|connection| {
            let mut statement = connection.prepare_cached(sql::READ_WINDOW).map_err(fault)?;
            let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?));
            let found = statement
                .query_row([tenant.0], read)
                .optional()
                .map_err(fault)?;
            let (newest, first) = found.unwrap_or_default();
            Ok(Window {
                oldest: first.map_or(newest, |first| first - 1),
                newest,
            })
        })
    }

    async fn read_events(
        &self,
        tenant: TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, Fault> {
        self.readers
            .read_long(None, move |connection| {
                read_events(connection, tenant, after, limit)
            })
            .await
    }

    async fn trim_events(&self, before: Timestamp, rows: usize) -> Result<u64, Fault> {
        let tenants = self.readers.read_short(|connection| {
            let mut statement = connection
                .prepare_cached(sql::TENANTS_WITH_OLD_EVENTS)
                .map_err(fault)?;
            let rows = statement
                .query_map([], |row| row.get::<_, i64>(0))
                .map_err(fault)?;
            rows.collect::<Result<Vec<_>, _>>().map_err(fault)
        })?;
        let mut trimmed = 0;
        for tenant in tenants {
            trimmed += self
                .writer
                .write(move |connection| trim(connection, tenant, micros(before), rows))
                .await?;
        }
        Ok(trimmed)
    }
}

/// Events after a place.
pub(super) fn read_events(
    connection: &Connection,
    tenant: TenantId,
    after: i64,
    limit: usize,
) -> Result<Vec<LoggedEvent>, Fault> {
    let mut statement = connection.prepare_cached(sql::READ_EVENTS).map_err(fault)?;
    let read = |row: &Row<'_>| {
        Ok(EventColumns {
            sequence: row.get(0)?,
            change_id: row.get(1)?,
            resource_type: row.get(2)?,
            resource_id: row.get(3)?,
            version: row.get(4)?,
            at: row.get(5)?,
            kind: row.get(6)?,
            attributes: row.get(7)?,
        })
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement
        .query_map(params![tenant.0, after, limit], read)
        .map_err(fault)?;
    rows.map(|columns| columns.map_err(fault)?.into_event())
        .collect()
}

/// Only from the oldest on, so that what is left has no gaps.
fn trim(connection: &Connection, tenant: i64, before: i64, rows: usize) -> Result<u64, Fault> {
    let mut statement = connection
        .prepare_cached(sql::OLDEST_EVENTS)
        .map_err(fault)?;
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let oldest = statement
        .query_map(
            params![tenant, i64::try_from(rows).unwrap_or(i64::MAX)],
            read,
        )
        .map_err(fault)?;
    let oldest = oldest.collect::<Result<Vec<_>, _>>().map_err(fault)?;
    let Some(end) = oldest
        .into_iter()
        .take_while(|(_, at)| *at < before)
        .last()
        .map(|(sequence, _)| sequence)
    else {
        return Ok(0);
    };
    let mut statement = connection.prepare_cached(sql::TRIM_LIMIT).map_err(fault)?;
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?));
    let (dispatched, slowest) = statement.query_row([tenant], read).map_err(fault)?;
    let end = end.min(dispatched).min(slowest.unwrap_or(i64::MAX));
    let count = connection
        .prepare_cached(sql::TRIM)
        .map_err(fault)?
        .execute(params![tenant, end])
        .map_err(fault)?;
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

#[async_trait]
impl SigningKeys for Sqlite {
    async fn sign(
        &self,
        tenant: TenantId,
        token_type: &str,
        claims: &Value,
        now: Timestamp,
    ) -> Result<String, Fault> {
        let current = self
            .readers
            .read_short(|connection| current_key(connection, tenant))?;
        let current = match current {
            Some((id, sealed, created)) if !signing::is_old(created, now) => (id, sealed),
            old => {
                let key = self.key.clone();
                let seen = old.map(|(id, ..)| id);
                let made = move |connection: &Connection| {
                    replace_key(connection, &key, tenant, now, seen.as_deref())
                };
                self.writer.write(made).await?
            }
        };
        signing::sign(
            &self.key,
            tenant,
            (&current.0, &current.1),
            token_type,
            claims,
        )
    }

    async fn signing_keys(
        &self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Vec<SigningKey>, Fault> {
        self.readers.read_short(|connection| {
            let mut statement = connection.prepare_cached(sql::LIST_KEYS).map_err(fault)?;
            let read = |row: &Row<'_>| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get(2)?,
                    row.get::<_, i64>(3)?,
                ))
            };
            let rows = statement
                .query_map(
                    params![tenant.0, micros(signing::published_since(now))],
                    read,
                )
                .map_err(fault)?;
            let key = |row: Result<(String, String, i64, i64), rusqlite::Error>| {
                let (id, public, created, retired) = row.map_err(fault)?;
                let retired = if retired == 0 {
                    None
                } else {
                    Some(timestamp(retired)?)
                };
                Ok(SigningKey {
                    id,
                    public: signing::public(&public)?,
                    created: timestamp(created)?,
                    retired,
                })
            };
            rows.map(key).collect()
        })
    }

    async fn rotate_keys(
        &self,
        tenant: TenantId,
        now: Timestamp,
        distrust_old: bool,
    ) -> Result<SigningKey, Fault> {
        let key = self.key.clone();
        let rotate = move |connection: &Connection| {
            let made = add_key(connection, &key, tenant, now)?;
            if distrust_old {
                connection
                    .execute(sql::FORGET_KEYS, params![tenant.0, micros(now)])
                    .map_err(fault)?;
            }
            Ok(SigningKey {
                id: made.id,
                public: made.public,
                created: now,
                retired: None,
            })
        };
        self.writer.write(rotate).await
    }
}

fn current_key(
    connection: &Connection,
    tenant: TenantId,
) -> Result<Option<(String, Vec<u8>, Timestamp)>, Fault> {
    let mut statement = connection.prepare_cached(sql::SIGNING_KEY).map_err(fault)?;
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?));
    let found = statement
        .query_row([tenant.0], read)
        .optional()
        .map_err(fault)?;
    found
        .map(|(id, sealed, created)| Ok((id, sealed, timestamp(created)?)))
        .transpose()
}

/// A new key in the place of the one that was seen, unless somebody was faster.
fn replace_key(
    connection: &Connection,
    key: &MasterKey,
    tenant: TenantId,
    now: Timestamp,
    seen: Option<&str>,
) -> Result<(String, Vec<u8>), Fault> {
    match current_key(connection, tenant)? {
        Some((id, sealed, _)) if Some(id.as_str()) != seen => Ok((id, sealed)),
        _ => add_key(connection, key, tenant, now).map(|made| (made.id, made.sealed)),
    }
}

fn add_key(
    connection: &Connection,
    key: &MasterKey,
    tenant: TenantId,
    now: Timestamp,
) -> Result<signing::MadeKey, Fault> {
    let made = signing::make(key, tenant)?;
    connection
        .execute(sql::RETIRE_KEYS, params![tenant.0, micros(now)])
        .map_err(fault)?;
    connection
        .execute(
            sql::FORGET_KEYS,
            params![tenant.0, micros(signing::published_since(now))],
        )
        .map_err(fault)?;
    let values = params![
        tenant.0,
        made.id,
        made.sealed,
        json_text(&made.public)?,
        micros(now)
    ];
    connection.execute(sql::ADD_KEY, values).map_err(fault)?;
    Ok(made)
}
