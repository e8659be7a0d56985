//! `RequestLog` in SQLite: a file of its own with a thread of its own, so that no write of identities ever waits for it. What is lost in a power cut is
//! lost; what was not kept because too much came at once, or because the file could not be written, is counted.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Duration;

use async_trait::async_trait;
use directory::request_log::{Draft, Kept, QuirkUse, RequestEntry, RequestFilter, RequestLog};
use directory::store::Fault;
use directory::tenant::TenantId;
use rusqlite::{Connection, OptionalExtension, Params, params};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::connections::{Damage, Readers, empty_journal, open_request_log};
use super::explain::fault;
use super::statements::{ERASE_AS_USUAL, ERASE_FOR_GOOD};
use super::statements_of_requests as sql;
use crate::recorded::{
    BATCH_MAX, BATCH_MILLISECONDS, PRUNED_MAX, Uses, WAITING_MAX, count_dropped, row, wanted,
};
use crate::rows::{from_json, micros, timestamp};

type Work = Box<dyn FnOnce(&Connection) + Send>;

enum Message {
    Entry(Box<Draft>),
    /// After everything that was sent before.
    Work(Work),
}

/// Request logs in a file.
#[derive(Clone)]
pub struct SqliteRequestLog {
    messages: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
    readers: Readers,
}

impl SqliteRequestLog {
    /// Opens the file at this path, or makes it.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let connection = open_request_log(path)?;
        let (messages, waiting) = sync_channel(WAITING_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("request-log".into())
            .spawn(move || run(&connection, &waiting, &lost))
            .map_err(|error| Fault::from_source("the request log could not be started", error))?;
        Ok(Self {
            messages,
            dropped,
            readers: Readers::new(path, Damage::default()),
        })
    }

    /// How many entries the statement deleted.
    async fn delete(
        &self,
        statement: &'static str,
        values: impl Params + Send + 'static,
    ) -> Result<usize, Fault> {
        self.work(move |connection| connection.execute(statement, values).map_err(fault))
            .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (sender, receiver) = oneshot::channel();
        let work: Work = Box::new(move |connection| drop(sender.send(work(connection))));
        let messages = self.messages.clone();
        let sent =
            tokio::task::spawn_blocking(move || messages.send(Message::Work(work)).is_ok()).await;
        if !sent.unwrap_or(false) {
            return Err(Fault::new("the request log has ended"));
        }
        receiver
            .await
            .unwrap_or_else(|_| Err(Fault::new("the request log has ended")))
    }
}

#[async_trait]
impl RequestLog for SqliteRequestLog {
    fn record(&self, draft: Draft) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.messages.try_send(Message::Entry(Box::new(draft)))
        {
            count_dropped(&self.dropped);
        }
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    async fn flush(&self) -> Result<(), Fault> {
        self.work(|_| Ok(())).await
    }

    async fn find(&self, tenant: TenantId, id: Uuid) -> Result<Option<RequestEntry>, Fault> {
        let text: Option<String> = self.readers.read_short(|connection| {
            let mut statement = connection
                .prepare_cached(sql::FIND_REQUEST)
                .map_err(fault)?;
            statement
                .query_row(params![tenant.0, id.as_bytes()], |row| row.get(0))
                .optional()
                .map_err(fault)
        })?;
        text.map(|text| from_json(&text)).transpose()
    }

    async fn list(
        &self,
        tenant: TenantId,
        filter: RequestFilter,
    ) -> Result<Vec<RequestEntry>, Fault> {
        let list = move |connection: &Connection| {
            let wanted = wanted(&filter);
            let mut statement = connection
                .prepare_cached(sql::LIST_REQUESTS)
                .map_err(fault)?;
            let values = params![
                tenant.0,
                wanted.status_min,
                wanted.status_max,
                wanted.since,
                wanted.before,
                filter.resource_id,
                filter.credential,
                wanted.quirk,
                wanted.limit
            ];
            let rows = statement
                .query_map(values, |row| row.get::<_, String>(0))
                .map_err(fault)?;
            rows.map(|text| from_json(&text.map_err(fault)?)).collect()
        };
        self.readers.read_long(tenant, list).await
    }

    async fn quirk_uses(&self, tenant: TenantId) -> Result<Vec<QuirkUse>, Fault> {
        let list = move |connection: &Connection| {
            let mut statement = connection
                .prepare_cached(sql::LIST_QUIRK_USES)
                .map_err(fault)?;
            let mut rows = statement.query([tenant.0]).map_err(fault)?;
            let mut uses = Vec::new();
            while let Some(row) = rows.next().map_err(fault)? {
                uses.push(QuirkUse {
                    quirk: row.get(0).map_err(fault)?,
                    credential: row.get(1).map_err(fault)?,
                    requests: row.get::<_, i64>(2).map_err(fault)?.unsigned_abs(),
                    last_used: timestamp(row.get(3).map_err(fault)?)?,
                });
            }
            Ok(uses)
        };
        self.readers.read_long(tenant, list).await
    }

    async fn prune(&self, tenant: TenantId, kept: Kept) -> Result<u64, Fault> {
        let before = micros(kept.since);
        let mut deleted = 0;
        loop {
            let part = self
                .delete(sql::PRUNE_OLD_REQUESTS, [tenant.0, before, PRUNED_MAX])
                .await?;
            deleted += part;
            if part == 0 {
                break;
            }
        }
        for (statement, most) in [
            (sql::PRUNE_MANY_REQUESTS, kept.rows_max),
            (sql::PRUNE_LARGE_REQUESTS, kept.bytes_max),
        ] {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            deleted += self.delete(statement, [tenant.0, most]).await?;
        }
        Ok(u64::try_from(deleted).unwrap_or(u64::MAX))
    }

    async fn erase(&self, tenant: TenantId) -> Result<(), Fault> {
        let erase = move |connection: &Connection| {
            connection.execute_batch(ERASE_FOR_GOOD).map_err(fault)?;
            connection
                .execute(sql::ERASE_REQUESTS, [tenant.0])
                .map_err(fault)?;
            connection
                .execute(sql::ERASE_QUIRK_USES, [tenant.0])
                .map_err(fault)?;
            connection.execute_batch(ERASE_AS_USUAL).map_err(fault)
        };
        self.work(erase).await?;
        self.readers.empty_journal(empty_journal).await
    }
}

fn run(connection: &Connection, waiting: &Receiver<Message>, dropped: &AtomicU64) {
    while let Ok(first) = waiting.recv() {
        let mut entries = Vec::new();
        let work = collect(first, waiting, &mut entries);
        let count = entries.len() as u64;
        if count > 0
            && let Err(error) = write(connection, entries)
        {
            if !connection.is_autocommit() {
                drop(connection.execute_batch("ROLLBACK"));
            }
            dropped.fetch_add(count, Ordering::Relaxed);
            tracing::error!(
                error = &error as &dyn std::error::Error,
                count,
                "entries of the request log were lost"
            );
        }
        if let Some(work) = work {
            work(connection);
        }
    }
}

/// Entries that come within a short time, and the work that came after them. In between the thread sleeps and does not listen: to wake it for each entry
/// would cost those who send them more than the sending.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread of its own, which wants to sleep and not to be woken"
)]
fn collect(first: Message, waiting: &Receiver<Message>, entries: &mut Vec<Draft>) -> Option<Work> {
    let mut message = first;
    let mut has_slept = false;
    loop {
        match message {
            Message::Work(work) => return Some(work),
            Message::Entry(draft) => entries.push(*draft),
        }
        if entries.len() >= BATCH_MAX {
            return None;
        }
        message = match waiting.try_recv() {
            Ok(message) => message,
            Err(TryRecvError::Empty) if !has_slept => {
                has_slept = true;
                std::thread::sleep(Duration::from_millis(BATCH_MILLISECONDS));
                match waiting.try_recv() {
                    Ok(message) => message,
                    Err(_) => return None,
                }
            }
            Err(_) => return None,
        };
    }
}

fn write(connection: &Connection, entries: Vec<Draft>) -> Result<(), Fault> {
    let transaction = connection.unchecked_transaction().map_err(fault)?;
    let mut uses = Uses::new();
    {
        let mut record = transaction
            .prepare_cached(sql::RECORD_REQUEST)
            .map_err(fault)?;
        for draft in entries {
            let row = row(draft, &mut uses)?;
            let values = params![
                row.tenant,
                row.id,
                row.at,
                row.status,
                row.resource,
                row.credential,
                row.quirks,
                row.document
            ];
            record.execute(values).map_err(fault)?;
        }
        let mut count = transaction
            .prepare_cached(sql::COUNT_QUIRK)
            .map_err(fault)?;
        for ((tenant, credential, quirk), (requests, last)) in uses {
            count
                .execute(params![tenant, credential, quirk, requests, last])
                .map_err(fault)?;
        }
    }
    transaction.commit().map_err(fault)
}
