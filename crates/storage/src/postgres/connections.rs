//! The pool of connections, migrations on the first of them, and the connection that hears of other nodes' commits. Knows no table but `migrations`.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Transaction};
use directory::store::Fault;
use futures_util::future::poll_fn;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_postgres::{AsyncMessage, Config, IsolationLevel, Statement};

use super::tls::{self, Tls};
use super::{ConnectError, statements as sql};
use crate::migrate::{self, Applied};

/// Connections of one node.
const CONNECTIONS_MAX: usize = 16;
/// How long a request waits for a connection before it is told that we are at fault.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long the server may take to accept a connection.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
/// Prepared statements that a connection keeps; generated ones know no end.
const STATEMENTS_MAX: usize = 256;
/// Between attempts to hear again.
const RECONNECT_AFTER: Duration = Duration::from_secs(2);

/// Turns an error of PostgreSQL into a fault.
pub(crate) fn fault(error: tokio_postgres::Error) -> Fault {
    Fault::from_source("PostgreSQL", error)
}

/// Reads the URL, and adds what it leaves open.
pub(crate) fn configuration(url: &str) -> Result<(Config, Tls), Fault> {
    let (mut config, tls) = tls::read_url(url)?;
    config.application_name("rollcall");
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_WAIT_MAX);
    }
    Ok((config, tls))
}

/// The connections of a node.
#[derive(Clone)]
pub(crate) struct Connections {
    pool: Pool,
}

impl Connections {
    /// Connects, and brings the tables up to date.
    pub(crate) async fn open(config: Config, tls: Tls) -> Result<Self, ConnectError> {
        let manager = Manager::from_config(config, tls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .wait_timeout(Some(CONNECTION_WAIT_MAX))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Fault::from_source("the pool of connections could not be made", error))?;
        let connections = Self { pool };
        let mut first = connections.get().await.map_err(ConnectError::NoConnection)?;
        migrate(&mut first).await?;
        drop(first);
        Ok(connections)
    }

    /// A connection, from the pool or a new one.
    pub(crate) async fn get(&self) -> Result<Object, Fault> {
        self.pool.get().await.map_err(|error| Fault::from_source("PostgreSQL gave no connection", error))
    }

    /// A connection that has just answered: where one was lost, the idle ones may be lost too and not know it yet.
    pub(crate) async fn get_tried(&self) -> Result<Object, Fault> {
        for _ in 0..CONNECTIONS_MAX {
            let connection = self.get().await?;
            if connection.batch_execute("").await.is_ok() {
                return Ok(connection);
            }
            // Not back into the pool.
            drop(Object::take(connection));
        }
        self.get().await
    }
}

/// Begins a transaction that writes.
pub(crate) async fn begin(connection: &mut Object) -> Result<Transaction<'_>, tokio_postgres::Error> {
    connection.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await
}

/// Begins a transaction that reads from one snapshot.
pub(crate) async fn snapshot(connection: &mut Object) -> Result<Transaction<'_>, tokio_postgres::Error> {
    connection.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await
}

/// Prepares a generated statement. Their number knows no end, so a connection that has many forgets them all.
pub(crate) async fn prepare_generated(transaction: &Transaction<'_>, text: &str) -> Result<Statement, tokio_postgres::Error> {
    if transaction.statement_cache.size() >= STATEMENTS_MAX {
        transaction.statement_cache.clear();
    }
    transaction.prepare_cached(text).await
}

async fn migrate(connection: &mut Object) -> Result<(), Fault> {
    let transaction = begin(connection).await.map_err(fault)?;
    transaction.batch_execute(sql::LOCK_MIGRATIONS).await.map_err(fault)?;
    transaction.batch_execute(sql::MAKE_MIGRATIONS).await.map_err(fault)?;
    let mut applied = Vec::new();
    for row in transaction.query(sql::READ_MIGRATIONS, &[]).await.map_err(fault)? {
        applied.push(Applied { number: row.try_get(0).map_err(fault)?, checksum: row.try_get(1).map_err(fault)? });
    }
    for (number, migration) in migrate::pending(migrate::POSTGRES, &applied)? {
        let failed = |error| Fault::from_source(format!("migration {number} ({}) failed; nothing was changed", migration.name), error);
        transaction.batch_execute(migration.sql).await.map_err(failed)?;
        let checksum = migrate::checksum(migration);
        transaction.execute(sql::RECORD_MIGRATION, &[&number, &migration.name, &checksum]).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(fault)
}

/// The task that tells other nodes of our commits and hears of theirs; it ends with the last owner. Losing its connection loses nothing but promptness:
/// it connects again, and says then that there may have been commits.
pub(crate) struct Signals {
    task: AbortHandle,
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Signals {
    /// Starts the task. `committed` is notified of commits anywhere; notifying `ours` tells the other nodes. Many commits in a row are told of once, so the
    /// lock that PostgreSQL takes for a notification stays out of commits.
    pub(crate) fn start(config: Config, tls: Tls, committed: Arc<Notify>, ours: Arc<Notify>) -> Self {
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = exchange(&config, &tls, &committed, &ours).await {
                    tracing::warn!(error = %error, "the connection that hears of other nodes' commits was lost");
                }
                tokio::time::sleep(RECONNECT_AFTER).await;
            }
        });
        Self { task: task.abort_handle() }
    }
}

async fn exchange(config: &Config, tls: &Tls, committed: &Notify, ours: &Notify) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = config.connect(tls.clone()).await?;
    let hear = async {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(_) = message? {
                committed.notify_one();
            }
        }
        Ok(())
    };
    let tell = async {
        client.batch_execute(sql::LISTEN).await?;
        // Whatever was committed while nobody heard.
        committed.notify_one();
        loop {
            ours.notified().await;
            client.batch_execute(sql::NOTIFY).await?;
        }
    };
    tokio::select! {
        ended = hear => ended,
        failed = tell => failed,
    }
}
