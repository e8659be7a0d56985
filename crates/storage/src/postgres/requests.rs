//! `RequestLog` in PostgreSQL: a task gathers entries and writes many at a time, so that no request waits. What was not kept because too much came at
//! once, or because the database did not answer, is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use directory::request_log::{Draft, Kept, QuirkUse, RequestEntry, RequestFilter, RequestLog};
use directory::store::Fault;
use directory::tenant::TenantId;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::connections::{Connections, begin, fault};
use super::statements_of_requests as sql;
use crate::recorded::{
    BATCH_MAX, BATCH_MILLISECONDS, PRUNED_MAX, Row, Uses, WAITING_MAX, count_dropped, row, wanted,
};
use crate::rows::storable;
use crate::rows::{from_json, micros, timestamp};

enum Message {
    Entry(Box<Draft>),
    /// Answered when everything before it is written.
    Flush(oneshot::Sender<()>),
}

/// Request logs in a database.
#[derive(Clone)]
pub struct PostgresRequestLog {
    messages: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
    connections: Connections,
}

impl PostgresRequestLog {
    /// Starts the task that writes; it ends when the last of these is gone.
    pub(crate) fn start(connections: Connections) -> Self {
        let (messages, waiting) = mpsc::channel(WAITING_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        tokio::spawn(run(connections.clone(), waiting, Arc::clone(&dropped)));
        Self {
            messages,
            dropped,
            connections,
        }
    }

    async fn execute(&self, statement: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64, Fault> {
        let connection = self.connections.get().await?;
        let statement = connection.prepare_cached(statement).await.map_err(fault)?;
        connection.execute(&statement, values).await.map_err(fault)
    }

    async fn query(
        &self,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, Fault> {
        let connection = self.connections.get().await?;
        let statement = connection.prepare_cached(statement).await.map_err(fault)?;
        connection.query(&statement, values).await.map_err(fault)
    }
}

fn entry(row: &tokio_postgres::Row) -> Result<RequestEntry, Fault> {
    from_json(row.try_get(0).map_err(fault)?)
}

#[async_trait]
impl RequestLog for PostgresRequestLog {
    fn record(&self, draft: Draft) {
        if self
            .messages
            .try_send(Message::Entry(Box::new(draft)))
            .is_err()
        {
            count_dropped(&self.dropped);
        }
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    async fn flush(&self) -> Result<(), Fault> {
        let ended = |()| Fault::new("the request log has ended");
        let (sender, receiver) = oneshot::channel();
        self.messages
            .send(Message::Flush(sender))
            .await
            .map_err(|_| ended(()))?;
        receiver.await.map_err(|_| ended(()))
    }

    async fn find(&self, tenant: TenantId, id: Uuid) -> Result<Option<RequestEntry>, Fault> {
        let rows = self
            .query(sql::FIND_REQUEST, &[&tenant.0, &id.as_bytes().as_slice()])
            .await?;
        rows.first().map(entry).transpose()
    }

    async fn list(
        &self,
        tenant: TenantId,
        filter: RequestFilter,
    ) -> Result<Vec<RequestEntry>, Fault> {
        let wanted = wanted(&filter);
        let (resource, credential) = (
            filter.resource_id.as_deref().map(storable),
            filter.credential.as_deref().map(storable),
        );
        let values: &[&(dyn ToSql + Sync)] = &[
            &tenant.0,
            &wanted.status_min,
            &wanted.status_max,
            &wanted.since,
            &wanted.before.as_slice(),
            &resource,
            &credential,
            &wanted.quirk,
            &wanted.limit,
        ];
        self.query(sql::LIST_REQUESTS, values)
            .await?
            .iter()
            .map(entry)
            .collect()
    }

    async fn quirk_uses(&self, tenant: TenantId) -> Result<Vec<QuirkUse>, Fault> {
        let rows = self.query(sql::LIST_QUIRK_USES, &[&tenant.0]).await?;
        let read = |row: &tokio_postgres::Row| {
            Ok(QuirkUse {
                quirk: row.try_get(0).map_err(fault)?,
                credential: row.try_get(1).map_err(fault)?,
                requests: row.try_get::<_, i64>(2).map_err(fault)?.unsigned_abs(),
                last_used: timestamp(row.try_get(3).map_err(fault)?)?,
            })
        };
        rows.iter().map(read).collect()
    }

    async fn prune(&self, tenant: TenantId, kept: Kept) -> Result<u64, Fault> {
        let before = micros(kept.since);
        let mut deleted = 0;
        loop {
            let part = self
                .execute(sql::PRUNE_OLD_REQUESTS, &[&tenant.0, &before, &PRUNED_MAX])
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
            deleted += self.execute(statement, &[&tenant.0, &most]).await?;
        }
        Ok(deleted)
    }

    async fn erase(&self, tenant: TenantId) -> Result<(), Fault> {
        self.execute(sql::ERASE_REQUESTS, &[&tenant.0]).await?;
        self.execute(sql::ERASE_QUIRK_USES, &[&tenant.0])
            .await
            .map(drop)
    }
}

async fn run(
    connections: Connections,
    mut waiting: mpsc::Receiver<Message>,
    dropped: Arc<AtomicU64>,
) {
    while let Some(first) = waiting.recv().await {
        let mut entries = Vec::new();
        let flushed = collect(first, &mut waiting, &mut entries).await;
        let count = entries.len() as u64;
        if count > 0
            && let Err(error) = write(&connections, entries).await
        {
            dropped.fetch_add(count, Ordering::Relaxed);
            tracing::error!(
                error = &error as &dyn std::error::Error,
                count,
                "entries of the request log were lost"
            );
        }
        if let Some(flushed) = flushed {
            let _ = flushed.send(());
        }
    }
}

/// Entries that come within a short time, and those who wait for them.
async fn collect(
    first: Message,
    waiting: &mut mpsc::Receiver<Message>,
    entries: &mut Vec<Draft>,
) -> Option<oneshot::Sender<()>> {
    let mut message = first;
    loop {
        match message {
            Message::Flush(sender) => return Some(sender),
            Message::Entry(draft) => entries.push(*draft),
        }
        if entries.len() >= BATCH_MAX {
            return None;
        }
        message =
            match tokio::time::timeout(Duration::from_millis(BATCH_MILLISECONDS), waiting.recv())
                .await
            {
                Ok(Some(message)) => message,
                Ok(None) | Err(_) => return None,
            };
    }
}

async fn write(connections: &Connections, entries: Vec<Draft>) -> Result<(), Fault> {
    let mut uses = Uses::new();
    let rows = entries
        .into_iter()
        .map(|draft| row(draft, &mut uses))
        .collect::<Result<Vec<Row>, Fault>>()?;
    let column = |of: fn(&Row) -> i64| rows.iter().map(of).collect::<Vec<i64>>();
    let (tenants, ats, statuses) = (
        column(|row| row.tenant),
        column(|row| row.at),
        column(|row| row.status),
    );
    let ids: Vec<&[u8]> = rows.iter().map(|row| row.id.as_slice()).collect();
    let resources: Vec<_> = rows
        .iter()
        .map(|row| row.resource.as_deref().map(storable))
        .collect();
    let credentials: Vec<_> = rows
        .iter()
        .map(|row| row.credential.as_deref().map(storable))
        .collect();
    let quirks: Vec<&str> = rows.iter().map(|row| row.quirks.as_str()).collect();
    let documents: Vec<&str> = rows.iter().map(|row| row.document.as_str()).collect();
    let mut connection = connections.get_tried().await?;
    let transaction = begin(&mut connection).await.map_err(fault)?;
    let record = transaction
        .prepare_cached(sql::RECORD_REQUESTS)
        .await
        .map_err(fault)?;
    let values: &[&(dyn ToSql + Sync)] = &[
        &tenants,
        &ids,
        &ats,
        &statuses,
        &resources,
        &credentials,
        &quirks,
        &documents,
    ];
    transaction.execute(&record, values).await.map_err(fault)?;
    if !uses.is_empty() {
        let tenants: Vec<i64> = uses.keys().map(|(tenant, ..)| *tenant).collect();
        let credentials: Vec<_> = uses
            .keys()
            .map(|(_, credential, _)| storable(credential))
            .collect();
        let quirks: Vec<&str> = uses.keys().map(|(.., quirk)| *quirk).collect();
        let (counts, lasts): (Vec<i64>, Vec<i64>) = uses.values().copied().unzip();
        let count = transaction
            .prepare_cached(sql::COUNT_QUIRKS)
            .await
            .map_err(fault)?;
        transaction
            .execute(&count, &[&tenants, &credentials, &quirks, &counts, &lasts])
            .await
            .map_err(fault)?;
    }
    transaction.commit().await.map_err(fault)
}
