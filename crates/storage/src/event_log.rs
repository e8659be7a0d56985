//! `EventLog` and `SigningKeys`: what happened, and the keys with which tokens about it are signed.

use std::sync::Arc;

use async_trait::async_trait;
use directory::audit::{Chain, Entry};
use directory::store::Fault;
use directory::tenant::TenantId;
use events::event::LoggedEvent;
use events::event_log::{EventLog, SigningKey, SigningKeys, Window};
use jiff::Timestamp;
use serde_json::Value;

use crate::audit::append;
use crate::engine::{Database, Engine};
use crate::event_rows::EventColumns;
use crate::rows::json_text;
use crate::secrets::MasterKey;
use crate::session::{Columns, Session, at_most, fields};
use crate::signing;
use crate::statements_of_events as sql;

#[async_trait]
impl<E: Engine> EventLog for Database<E> {
    async fn window(&self, tenant: TenantId) -> Result<Window, Fault> {
        self.read(&tenant, window).await
    }

    async fn read_events(
        &self,
        tenant: TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, Fault> {
        self.read_long(None, (tenant, after, limit), read_events)
            .await
    }

    async fn trim_events(&self, before: Timestamp, rows: usize) -> Result<u64, Fault> {
        let mut trimmed = 0;
        for tenant in self.read(&(), tenants_with_old_events).await? {
            trimmed += self.write((tenant, before, rows), trim).await?;
        }
        Ok(trimmed)
    }
}

async fn window(session: &mut dyn Session, tenant: &TenantId) -> Result<Window, Fault> {
    let found = session
        .first(&sql::READ_WINDOW, fields![tenant], |row| {
            Ok((row.get::<i64>(0)?, row.get::<Option<i64>>(1)?))
        })
        .await?;
    let (newest, first) = found.unwrap_or_default();
    Ok(Window {
        oldest: first.map_or(newest, |first| first - 1),
        newest,
    })
}

/// Events after a place.
pub(crate) async fn read_events(
    session: &mut dyn Session,
    (tenant, after, limit): &(TenantId, i64, usize),
) -> Result<Vec<LoggedEvent>, Fault> {
    let values = fields![tenant, after, at_most(*limit)];
    session
        .rows(&sql::READ_EVENTS, values, |row| {
            EventColumns::read(row)?.into_event()
        })
        .await
}

async fn tenants_with_old_events(
    session: &mut dyn Session,
    (): &(),
) -> Result<Vec<TenantId>, Fault> {
    session
        .rows(&sql::TENANTS_WITH_OLD_EVENTS, &[], |row| row.get(0))
        .await
}

/// Only from the oldest on, so that what is left has no gaps.
async fn trim(
    session: &mut dyn Session,
    (tenant, before, rows): &(TenantId, Timestamp, usize),
) -> Result<u64, Fault> {
    let oldest = session
        .rows(
            &sql::OLDEST_EVENTS,
            fields![tenant, at_most(*rows)],
            |row| Ok((row.get::<i64>(0)?, row.get::<Timestamp>(1)?)),
        )
        .await?;
    let old = oldest.into_iter().take_while(|(_, at)| at < before);
    let Some((end, _)) = old.last() else {
        return Ok(0);
    };
    let limit = session
        .first(&sql::TRIM_LIMIT, fields![tenant], |row| {
            Ok((row.get::<i64>(0)?, row.get::<Option<i64>>(1)?))
        })
        .await?;
    let Some((dispatched, slowest)) = limit else {
        return Ok(0);
    };
    let end = end.min(dispatched).min(slowest.unwrap_or(i64::MAX));
    session.execute(&sql::TRIM, fields![tenant, end]).await
}

#[async_trait]
impl<E: Engine> SigningKeys for Database<E> {
    async fn sign(
        &self,
        tenant: TenantId,
        token_type: &str,
        claims: &Value,
        now: Timestamp,
    ) -> Result<String, Fault> {
        let current = match self.read(&tenant, current_key).await? {
            Some(current) if !signing::is_old(current.created, now) => current,
            old => {
                let seen = old.map(|old| old.id);
                let asked = (Arc::clone(self.key()), tenant, now, seen);
                self.write(asked, replace_key).await?
            }
        };
        signing::sign(
            self.key(),
            tenant,
            (&current.id, &current.sealed),
            token_type,
            claims,
        )
    }

    async fn signing_keys(
        &self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Vec<SigningKey>, Fault> {
        self.read(&(tenant, now), list_keys).await
    }

    async fn rotate_keys(
        &self,
        tenant: TenantId,
        now: Timestamp,
        distrust_old: bool,
        entry: Entry,
    ) -> Result<SigningKey, Fault> {
        let asked = (Arc::clone(self.key()), tenant, now, distrust_old, entry);
        self.write(asked, rotate_keys).await
    }
}

/// The key with which a tenant's tokens are signed now.
struct CurrentKey {
    id: String,
    sealed: Vec<u8>,
    created: Timestamp,
}

async fn current_key(
    session: &mut dyn Session,
    tenant: &TenantId,
) -> Result<Option<CurrentKey>, Fault> {
    session
        .first(&sql::SIGNING_KEY, fields![tenant], |row| {
            Ok(CurrentKey {
                id: row.get(0)?,
                sealed: row.get(1)?,
                created: row.get(2)?,
            })
        })
        .await
}

/// A new key in the place of the one that was seen, unless another caller was faster.
async fn replace_key(
    session: &mut dyn Session,
    (key, tenant, now, seen): &(Arc<MasterKey>, TenantId, Timestamp, Option<String>),
) -> Result<CurrentKey, Fault> {
    lock(session, *tenant).await?;
    match current_key(session, tenant).await? {
        Some(current) if Some(&current.id) != seen.as_ref() => Ok(current),
        _ => {
            let made = add_key(session, key, *tenant, *now).await?;
            Ok(CurrentKey {
                id: made.id,
                sealed: made.sealed,
                created: *now,
            })
        }
    }
}

async fn rotate_keys(
    session: &mut dyn Session,
    (key, tenant, now, distrust_old, entry): &(Arc<MasterKey>, TenantId, Timestamp, bool, Entry),
) -> Result<SigningKey, Fault> {
    lock(session, *tenant).await?;
    let made = add_key(session, key, *tenant, *now).await?;
    if *distrust_old {
        session
            .execute(&sql::FORGET_KEYS, fields![tenant, now])
            .await?;
    }
    let entry = Entry {
        on: made.id.clone(),
        ..entry.clone()
    };
    append(session, Chain::Tenant(*tenant), &entry).await?;
    Ok(SigningKey {
        id: made.id,
        public: made.public,
        created: *now,
        retired: None,
    })
}

/// Until the end of the transaction no other one makes or retires a key of the tenant.
async fn lock(session: &mut dyn Session, tenant: TenantId) -> Result<(), Fault> {
    session
        .rows(&sql::LOCK_TENANT, fields![tenant], |_| Ok(()))
        .await
        .map(drop)
}

async fn add_key(
    session: &mut dyn Session,
    key: &MasterKey,
    tenant: TenantId,
    now: Timestamp,
) -> Result<signing::MadeKey, Fault> {
    let made = signing::make(key, tenant)?;
    session
        .execute(&sql::RETIRE_KEYS, fields![tenant, now])
        .await?;
    let since = signing::published_since(now);
    session
        .execute(&sql::FORGET_KEYS, fields![tenant, since])
        .await?;
    let public = json_text(&made.public)?;
    let values = fields![tenant, &made.id, &made.sealed, &public, now];
    session.execute(&sql::ADD_KEY, values).await?;
    Ok(made)
}

async fn list_keys(
    session: &mut dyn Session,
    (tenant, now): &(TenantId, Timestamp),
) -> Result<Vec<SigningKey>, Fault> {
    let since = signing::published_since(*now);
    session
        .rows(&sql::LIST_KEYS, fields![tenant, since], signing_key)
        .await
}

fn signing_key(row: &dyn Columns) -> Result<SigningKey, Fault> {
    Ok(SigningKey {
        id: row.get(0)?,
        public: signing::public(row.get(1)?)?,
        created: row.get(2)?,
        retired: row.instant(3)?,
    })
}
