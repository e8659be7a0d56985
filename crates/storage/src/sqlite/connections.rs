//! Connections: one that writes, some that only read. Opening one runs the migrations. Knows no table but `migrations`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use directory::shares::Shares;
use directory::stop::Stop;
use directory::store::Fault;
use directory::tenant::TenantId;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::explain::{explain, fault, is_of_damage};
use super::journal::{self, Carry};
use super::statements;
use crate::migrate::{self, Applied};
use crate::private_files::{create_private, make_private, refused};

/// Older versions can lose acknowledged commits when the write-ahead log is reset (fixed in 3.51.3).
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// Prepared statements that a connection keeps.
const STATEMENTS_MAX: usize = 128;
/// Readers that wait for their next use.
const READERS_MAX: usize = 8;
/// Long reads at the same time; more wait.
pub const LONG_READS_MAX: u64 = 6;
/// Of these, most for one tenant.
pub const LONG_READS_PER_TENANT_MAX: u64 = 4;
/// Steps of a statement between two looks at whether somebody still waits for what is read.
const STEPS_AT_ONCE: std::ffi::c_int = 1_000;

/// How long is waited for another process that writes to the request log, and for reads of a journal that is to be emptied.
const BUSY_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// Opens the connection that writes, and brings the tables up to date. Refuses a database that has lost its journal.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, Fault> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(Fault::new(format!(
            "SQLite {} can lose commits; at least 3.51.3 is needed",
            rusqlite::version()
        )));
    }
    journal::check_that_none_was_here(path)?;
    let failed = |error| explain(path, error);
    let mut connection = open_private(path)?;
    // Until it is known to be whole, nothing may be made of what the journal has.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(failed)?;
    journal::check(&connection, path)?;
    prepare(&connection)?;
    connection
        .execute_batch(statements::OPEN_WRITER)
        .map_err(failed)?;
    migrate(&mut connection, path, migrate::SQLITE)?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .map_err(failed)?;
    Ok(connection)
}

/// Opens the file of the request log. What is not on disk yet when the power goes is lost; that is worth the speed.
pub(crate) fn open_request_log(path: &Path) -> Result<Connection, Fault> {
    let mut connection = open_private(path)?;
    connection.busy_timeout(BUSY_MAX).map_err(fault)?;
    connection
        .execute_batch(statements::OPEN_REQUEST_LOG)
        .map_err(|error| explain(path, error))?;
    migrate(&mut connection, path, migrate::SQLITE_REQUESTS)?;
    Ok(connection)
}

/// Opens a database that only its owner may read. SQLite gives the files that it makes beside it the same permissions.
fn open_private(path: &Path) -> Result<Connection, Fault> {
    create_private(path).map_err(|error| refused(path, error))?;
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        make_private(Path::new(&name));
    }
    Connection::open(path).map_err(|error| explain(path, error))
}

/// Statements are prepared once, and a plan does not depend on the values it is first asked with: otherwise SQLite prepares again whenever one changes.
fn prepare(connection: &Connection) -> Result<(), Fault> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(drop)
        .map_err(fault)
}

fn migrate(
    connection: &mut Connection,
    path: &Path,
    known: &'static [migrate::Migration],
) -> Result<(), Fault> {
    let explained = |error| explain(path, error);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(explained)?;
    transaction
        .execute_batch(statements::MAKE_MIGRATIONS)
        .map_err(explained)?;
    let applied: Vec<Applied> = {
        let mut statement = transaction
            .prepare(statements::READ_MIGRATIONS)
            .map_err(explained)?;
        let rows = statement
            .query_map([], |row| {
                Ok(Applied {
                    number: row.get(0)?,
                    checksum: row.get(1)?,
                })
            })
            .map_err(explained)?;
        rows.collect::<Result<_, _>>().map_err(explained)?
    };
    for (number, migration) in migrate::pending(known, &applied)? {
        let failed = |error| {
            Fault::from_source(
                format!(
                    "migration {number} ({}) failed; nothing was changed",
                    migration.name
                ),
                error,
            )
        };
        transaction.execute_batch(migration.sql).map_err(failed)?;
        transaction
            .execute(
                statements::RECORD_MIGRATION,
                params![number, migration.name, migrate::checksum(migration)],
            )
            .map_err(failed)?;
    }
    transaction.commit().map_err(explained)
}

/// The connections that read.
#[derive(Clone)]
pub(crate) struct Readers {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Connection>>>,
    long: Shares,
    damage: Damage,
}

/// Whether a read or a write has found the database damaged. That stays so until the program ends, because other pages may be damaged, too.
#[derive(Clone, Default)]
pub(crate) struct Damage(Arc<AtomicBool>);

impl Damage {
    /// Takes note of a fault.
    pub(crate) fn note(&self, fault: &Fault) {
        if is_of_damage(fault) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Whether there was such a fault.
    pub(crate) fn is_known(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Readers {
    /// Opens connections as they are needed.
    pub(crate) fn new(path: &Path, damage: Damage) -> Self {
        let long = Shares::new(LONG_READS_MAX, LONG_READS_PER_TENANT_MAX);
        Self {
            path: Arc::new(path.to_owned()),
            idle: Arc::default(),
            long,
            damage,
        }
    }

    /// Where the database is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a few rows by key, on the thread that asks: such a read takes microseconds, and handing it to another thread would cost more than it does.
    pub(crate) fn read_short<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.read_with(|connection| read(connection))
    }

    fn read_with<T>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.open().inspect_err(|fault| self.damage.note(fault))?,
        };
        let answer = read(&mut connection).inspect_err(|fault| self.damage.note(fault));
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < READERS_MAX {
            idle.push(connection);
        }
        answer
    }

    /// Reads as many rows as there are, on a thread that may block. Only so many such reads go on at once, and of each tenant only a part of them; `None`
    /// stands for the program itself. The read is interrupted where its future is dropped: the request was given up.
    pub(crate) async fn read_long<T: Send + 'static>(
        &self,
        tenant: impl Into<Option<TenantId>>,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let share = Arc::new(self.long.acquire(tenant, 1).await);
        let (readers, own) = (self.clone(), Arc::clone(&share));
        let given_up = GivenUp(Stop::default());
        let stop = given_up.0.clone();
        let joined = tokio::task::spawn_blocking(move || {
            let answer = readers.read_with(|connection| interruptible(connection, &stop, read));
            drop(own);
            answer
        })
        .await;
        // Hardly before the thread is free again: the next read would start another one, and each has memory of its own.
        drop(share);
        joined.map_err(|error| Fault::from_source("a read did not finish", error))?
    }

    /// Carries the journal over into the database and cuts it to nothing: what was overwritten in the one still stands in the other. Waits for reads that
    /// need it; where one takes too long, says so in the log and leaves the rest to the connection that is closed last.
    pub(crate) async fn empty_journal(
        &self,
        empty: fn(&Connection, &Path) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let path = Arc::clone(&self.path);
        let emptied = tokio::task::spawn_blocking(move || {
            let connection = Connection::open(&*path).map_err(fault)?;
            connection.busy_timeout(BUSY_MAX).map_err(fault)?;
            connection
                .execute_batch(statements::OPEN_CARRIER)
                .map_err(fault)?;
            empty(&connection, &path)
        });
        if !emptied
            .await
            .map_err(|error| Fault::from_source("the journal was not emptied", error))??
        {
            tracing::warn!(
                "the journal is being read: what was erased stands in it until it is carried over"
            );
        }
        Ok(())
    }

    /// Reads with a connection of its own, which has nothing in its cache.
    pub(crate) fn read_afresh<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.open()
            .and_then(|connection| read(&connection))
            .inspect_err(|fault| self.damage.note(fault))
    }

    fn open(&self) -> Result<Connection, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&*self.path, flags).map_err(fault)?;
        prepare(&connection)?;
        connection
            .execute_batch(statements::OPEN_READER)
            .map_err(fault)?;
        Ok(connection)
    }
}

/// Sets its sign when it is dropped.
struct GivenUp(Stop);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Reads until it is done or the sign is set. Statements that are executed many times over look at the sign too, as their steps are added up.
fn interruptible<T>(
    connection: &mut Connection,
    stop: &Stop,
    read: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    if stop.is_set() {
        return Err(Fault::new("the read was given up before it began"));
    }
    let stop = stop.clone();
    connection
        .progress_handler(STEPS_AT_ONCE, Some(move || stop.is_set()))
        .map_err(fault)?;
    let answer = read(connection);
    connection
        .progress_handler(0, None::<fn() -> bool>)
        .map_err(fault)?;
    answer
}

/// Empties the journal of a database that says whether it needs one.
pub(crate) fn empty_marked_journal(connection: &Connection, path: &Path) -> Result<bool, Fault> {
    journal::carry_over(connection, path, Carry::Truncate)
}

/// Empties the journal of the request log, which may lose its last moments.
pub(crate) fn empty_journal(connection: &Connection, _: &Path) -> Result<bool, Fault> {
    connection
        .query_row(statements::EMPTY_JOURNAL, [], |row| row.get::<_, i64>(0))
        .map(|busy| busy == 0)
        .map_err(fault)
}

/// Reads within one snapshot.
pub(crate) fn snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.unchecked_transaction().map_err(fault)?;
    let answer = read(&transaction)?;
    transaction.finish().map_err(fault)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn a_newer_database_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rollcall.db");
        let connection = open_writer(&path).unwrap();
        connection
            .execute(
                statements::RECORD_MIGRATION,
                params![1_000, "from the future", vec![0_u8]],
            )
            .unwrap();
        drop(connection);
        let refusal = open_writer(&path).unwrap_err().to_string();
        assert!(refusal.contains("newer Rollcall"), "{refusal}");
    }

    #[test]
    fn opening_twice_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rollcall.db");
        drop(open_writer(&path).unwrap());
        let connection = open_writer(&path).unwrap();
        let count: i64 = connection
            .query_row("SELECT count(*) FROM migrations", [], |row| row.get(0))
            .unwrap();
        assert_eq!(usize::try_from(count).unwrap(), migrate::SQLITE.len());
    }

    #[test]
    fn the_bundled_sqlite_is_new_enough() {
        assert!(rusqlite::version_number() >= SQLITE_VERSION_MIN);
    }

    /// A read that ends when the sender is used or dropped, and says when it began.
    fn held(
        readers: &Readers,
        tenant: i64,
    ) -> (
        tokio::task::JoinHandle<Result<(), Fault>>,
        oneshot::Receiver<()>,
        mpsc::Sender<()>,
    ) {
        let (begins, begun) = oneshot::channel();
        let (end, ends) = mpsc::channel();
        let readers = readers.clone();
        let read = move |_: &Connection| {
            let _ = begins.send(());
            let _ = ends.recv();
            Ok(())
        };
        (
            tokio::spawn(async move { readers.read_long(TenantId(tenant), read).await }),
            begun,
            end,
        )
    }

    fn readers() -> (tempfile::TempDir, Readers) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rollcall.db");
        drop(open_writer(&path).unwrap());
        (folder, Readers::new(&path, Damage::default()))
    }

    #[tokio::test]
    async fn long_reads_of_one_tenant_do_not_hold_up_another() {
        let (_folder, readers) = readers();
        let mut ends = Vec::new();
        for _ in 0..LONG_READS_PER_TENANT_MAX {
            let (_, begun, end) = held(&readers, 1);
            begun.await.unwrap();
            ends.push(end);
        }
        let waiting: Vec<_> = (0..20).map(|_| held(&readers, 1)).collect();
        while readers.long.waiting() < waiting.len() {
            tokio::task::yield_now().await;
        }
        let count = |connection: &Connection| {
            connection
                .query_row("SELECT count(*) FROM tenants", [], |row| {
                    row.get::<_, i64>(0)
                })
                .map_err(fault)
        };
        assert_eq!(readers.read_long(TenantId(2), count).await.unwrap(), 0);
        assert_eq!(readers.long.waiting(), waiting.len());
    }

    #[tokio::test]
    async fn a_read_that_was_given_up_is_interrupted() {
        const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        const ONE: &str = "SELECT 1 WHERE ?1 = ?1";
        let (_folder, readers) = readers();
        // One statement without an end, and statements without an end.
        for is_one in [true, false] {
            let (begins, begun) = oneshot::channel();
            let (ends, ended) = oneshot::channel();
            let read = move |connection: &Connection| {
                let _ = begins.send(());
                let failed = loop {
                    let text = if is_one { ENDLESS } else { ONE };
                    let mut statement = connection.prepare_cached(text).map_err(fault)?;
                    let values: &[&dyn rusqlite::ToSql] = if is_one { &[] } else { &[&1] };
                    if let Err(error) = statement.query_row(values, |row| row.get::<_, i64>(0)) {
                        break error;
                    }
                };
                let _ = ends.send(failed.sqlite_error_code());
                Ok(())
            };
            let own = readers.clone();
            let reading = tokio::spawn(async move { own.read_long(TenantId(1), read).await });
            begun.await.unwrap();
            reading.abort();
            assert_eq!(
                ended.await.unwrap(),
                Some(rusqlite::ErrorCode::OperationInterrupted)
            );
        }
        let read = |connection: &Connection| {
            connection
                .query_row("SELECT 7", [], |row| row.get::<_, i64>(0))
                .map_err(fault)
        };
        assert_eq!(
            readers.read_long(TenantId(1), read).await.unwrap(),
            7,
            "the connection is as good as before"
        );
    }
}
