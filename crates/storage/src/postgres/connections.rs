//! The pool of connections, migrations on the first of them, and the connection that hears of other nodes' commits. Knows no table but `migrations`.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Transaction,
};
use directory::shares::Shares;
use directory::store::Fault;
use futures_util::future::poll_fn;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio_postgres::{AsyncMessage, Config, IsolationLevel, Statement};

use super::tls::{self, Tls};
use super::{ConnectError, statements as sql};
use crate::migrate::{self, Applied};

/// Connections of one node.
const CONNECTIONS_MAX: usize = 16;
/// Of these, most for reads that may take long, and most of those for one tenant.
pub const LONG_READS_MAX: u64 = 12;
/// See there.
pub const LONG_READS_PER_TENANT_MAX: u64 = 5;
/// Most commits at once of one tenant, which wait for each other anyway. With its long reads it never has all connections.
pub const COMMITS_PER_TENANT_MAX: u64 = 10;
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

/// The connections of a node, and how many of them one tenant may have at once.
#[derive(Clone)]
pub(crate) struct Connections {
    pool: Pool,
    tls: Tls,
    /// For reads that may take long.
    pub(crate) long_reads: Shares,
    /// For commits.
    pub(crate) commits: Shares,
}

impl Connections {
    /// Connects, and brings the tables up to date.
    pub(crate) async fn open(config: Config, tls: Tls) -> Result<Self, ConnectError> {
        let manager = Manager::from_config(
            config,
            tls.clone(),
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .wait_timeout(Some(CONNECTION_WAIT_MAX))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| {
                Fault::from_source("the pool of connections could not be made", error)
            })?;
        let commits_max = u64::try_from(CONNECTIONS_MAX).unwrap_or(u64::MAX);
        let connections = Self {
            pool,
            tls,
            long_reads: Shares::new(LONG_READS_MAX, LONG_READS_PER_TENANT_MAX),
            commits: Shares::new(commits_max, COMMITS_PER_TENANT_MAX),
        };
        let mut first = connections
            .get()
            .await
            .map_err(ConnectError::NoConnection)?;
        migrate(&mut first).await?;
        drop(first);
        Ok(connections)
    }

    /// A connection, from the pool or a new one.
    pub(crate) async fn get(&self) -> Result<Object, Fault> {
        self.pool
            .get()
            .await
            .map_err(|error| Fault::from_source("PostgreSQL gave no connection", error))
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

impl Connections {
    /// The same connection. What runs on it is cancelled when its client has gone.
    pub(crate) fn watched(&self, connection: Object) -> Watched {
        Watched {
            connection: Some(connection),
            tls: self.tls.clone(),
            is_answered: false,
        }
    }
}

/// A connection of which an answer is expected. Where it is dropped before that, because the request was given up, what it executes is cancelled on the
/// server, and the connection does not go back into the pool: the cancellation could meet the statement of another request.
pub(crate) struct Watched {
    connection: Option<Object>,
    tls: Tls,
    is_answered: bool,
}

impl Watched {
    /// The answer has come.
    pub(crate) fn answered(&mut self) {
        self.is_answered = true;
    }

    /// The connection, which is there until the end.
    pub(crate) fn connection(&mut self) -> Result<&mut Object, Fault> {
        self.connection
            .as_mut()
            .ok_or_else(|| Fault::new("the connection has been given up"))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let (Some(connection), Ok(runtime)) = (
            self.connection.take().filter(|_| !self.is_answered),
            Handle::try_current(),
        ) else {
            return;
        };
        let (cancel, tls, connection) = (
            connection.cancel_token(),
            self.tls.clone(),
            Object::take(connection),
        );
        runtime.spawn(async move {
            if let Err(error) = cancel.cancel_query(tls).await {
                tracing::debug!(error = %error, "a statement whose client has gone could not be cancelled");
            }
            drop(connection);
        });
    }
}

/// Begins a transaction that writes.
pub(crate) async fn begin(
    connection: &mut Object,
) -> Result<Transaction<'_>, tokio_postgres::Error> {
    connection
        .build_transaction()
        .isolation_level(IsolationLevel::ReadCommitted)
        .start()
        .await
}

/// Begins a transaction that reads from one snapshot.
pub(crate) async fn snapshot(
    connection: &mut Object,
) -> Result<Transaction<'_>, tokio_postgres::Error> {
    connection
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await
}

/// Prepares a generated statement. Their number knows no end, so a connection that has many forgets them all.
pub(crate) async fn prepare_generated(
    transaction: &Transaction<'_>,
    text: &str,
) -> Result<Statement, tokio_postgres::Error> {
    if transaction.statement_cache.size() >= STATEMENTS_MAX {
        transaction.statement_cache.clear();
    }
    transaction.prepare_cached(text).await
}

async fn migrate(connection: &mut Object) -> Result<(), Fault> {
    let transaction = begin(connection).await.map_err(fault)?;
    transaction
        .batch_execute(sql::LOCK_MIGRATIONS)
        .await
        .map_err(fault)?;
    transaction
        .batch_execute(sql::MAKE_MIGRATIONS)
        .await
        .map_err(fault)?;
    let mut applied = Vec::new();
    for row in transaction
        .query(sql::READ_MIGRATIONS, &[])
        .await
        .map_err(fault)?
    {
        applied.push(Applied {
            number: row.try_get(0).map_err(fault)?,
            checksum: row.try_get(1).map_err(fault)?,
        });
    }
    for (number, migration) in migrate::pending(migrate::POSTGRES, &applied)? {
        let failed = |error| {
            Fault::from_source(
                format!(
                    "migration {number} ({}) failed; nothing was changed",
                    migration.name
                ),
                error,
            )
        };
        transaction
            .batch_execute(migration.sql)
            .await
            .map_err(failed)?;
        let checksum = migrate::checksum(migration);
        transaction
            .execute(
                sql::RECORD_MIGRATION,
                &[&number, &migration.name, &checksum],
            )
            .await
            .map_err(failed)?;
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
    pub(crate) fn start(
        config: Config,
        tls: Tls,
        committed: Arc<Notify>,
        ours: Arc<Notify>,
    ) -> Self {
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = exchange(&config, &tls, &committed, &ours).await {
                    tracing::warn!(error = %error, "the connection that hears of other nodes' commits was lost");
                }
                tokio::time::sleep(RECONNECT_AFTER).await;
            }
        });
        Self {
            task: task.abort_handle(),
        }
    }
}

async fn exchange(
    config: &Config,
    tls: &Tls,
    committed: &Notify,
    ours: &Notify,
) -> Result<(), tokio_postgres::Error> {
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
        // For everything that was committed before this connection listened.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use directory::search::{Page, plan};
    use directory::store::{Include, Store};
    use directory::tenant::TenantId;
    use scim_protocol::SchemaSet;

    use super::super::Postgres;
    use super::*;
    use crate::postgres::attempts::in_transaction;
    use crate::postgres_server;
    use crate::secrets::MasterKey;

    /// How often a server is asked whether a statement is still executed.
    const LOOKS_MAX: usize = 3_000;

    async fn store() -> (Postgres, String) {
        let folder = tempfile::tempdir().unwrap();
        let key = Arc::new(MasterKey::load_or_create(&folder.path().join("key")).unwrap());
        let url = postgres_server::database().await;
        (Postgres::connect(&url, key).await.unwrap(), url)
    }

    async fn search(store: Postgres, tenant: i64) -> usize {
        let user = SchemaSet::standard().by_name("User").unwrap().clone();
        let plan = plan(
            &[user],
            None,
            None,
            Page {
                offset: 0,
                limit: 10,
            },
            Include::default(),
        )
        .unwrap();
        store
            .search(TenantId(tenant), plan)
            .await
            .unwrap()
            .resources
            .len()
    }

    #[tokio::test]
    async fn long_reads_of_one_tenant_do_not_hold_up_another() {
        let (store, _) = store().await;
        let shares = &store.connections.long_reads;
        let mut held = Vec::new();
        for _ in 0..LONG_READS_PER_TENANT_MAX {
            held.push(shares.acquire(TenantId(1), 1).await);
        }
        let waiting: Vec<_> = (0..20)
            .map(|_| tokio::spawn(search(store.clone(), 1)))
            .collect();
        while shares.waiting() < waiting.len() {
            tokio::task::yield_now().await;
        }
        assert_eq!(search(store.clone(), 2).await, 0);
        assert_eq!(shares.waiting(), waiting.len());
        drop(held);
        for search in waiting {
            assert_eq!(search.await.unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn a_statement_that_nobody_waits_for_is_cancelled() {
        const RUNNING: &str = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND state = 'active'";
        let (store, url) = store().await;
        let client = postgres_server::client(&url).await;
        let running = async |wanted: i64| {
            for _ in 0..LOOKS_MAX {
                if client
                    .query_one(RUNNING, &[])
                    .await
                    .unwrap()
                    .get::<_, i64>(0)
                    == wanted
                {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            false
        };
        let own = store.clone();
        let reading = tokio::spawn(async move {
            let sleep = async |transaction: &Transaction<'_>| {
                transaction
                    .batch_execute("SELECT pg_sleep(600)")
                    .await
                    .map_err(fault)
            };
            in_transaction!(&own.connections, snapshot, |transaction| sleep(transaction));
            Ok::<(), Fault>(())
        });
        assert!(running(1).await, "it has begun");
        reading.abort();
        assert!(reading.await.unwrap_err().is_cancelled());
        assert!(
            running(0).await,
            "nobody waits for it, so it ends long before it would"
        );
        assert_eq!(
            search(store, 1).await,
            0,
            "the connections that are left are as good as before"
        );
    }
}
