//! The one thread that writes. Jobs that wait together are committed together: one transaction, one fsync, and each is answered once it is durable.
//! A job that fails undoes its own changes only. What is only rehearsed has a transaction of its own, which is taken back.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use directory::store::{CommitError, Fault};
use rusqlite::{CachedStatement, Connection, Params, Row};
use tokio::sync::oneshot;

use super::connections::Damage;
use super::explain::fault;
use super::journal::Journal;
use super::revisions::Revisions;

/// Jobs in one transaction.
const GROUP_MAX: usize = 512;
/// Rows that one transaction changes before it takes no further job: its fsync is little by then, and all in it wait for the last of them.
const CHANGES_MAX: u64 = 4_000;
/// Jobs that wait; more make their senders wait.
const WAITING_MAX: usize = 8_192;

/// A job that waits for its turn, its outcome or its answer.
trait Job: Send {
    /// Does it, inside the transaction; whether what it did is to be kept. May be asked again after everything was undone.
    fn run(&mut self, writing: &Writing<'_>) -> bool;
    /// Tells the sender what became of it, once the transaction has ended (with this fault, where it failed).
    fn answer(self: Box<Self>, failed: Option<Fault>, damage: &Damage);
}

/// What a job may fail with.
pub(crate) trait JobError: From<Fault> + Send {
    /// The fault in it, where it is one.
    fn fault(&self) -> Option<&Fault>;
}

impl JobError for Fault {
    fn fault(&self) -> Option<&Fault> {
        Some(self)
    }
}

impl JobError for CommitError {
    fn fault(&self) -> Option<&Fault> {
        if let Self::Fault(fault) = self {
            Some(fault)
        } else {
            None
        }
    }
}

/// The connection that writes, and the statements that change sets execute again and again: to fetch one from the connection costs a tenth of what it does.
pub(crate) struct Writing<'c> {
    pub(crate) connection: &'c Connection,
    /// Whether a job has raised a tenant's revision.
    revised: Cell<bool>,
    held: RefCell<Vec<(&'static str, CachedStatement<'c>)>>,
}

impl<'c> Writing<'c> {
    pub(crate) fn on(connection: &'c Connection) -> Self {
        Self {
            connection,
            revised: Cell::default(),
            held: RefCell::default(),
        }
    }

    /// A tenant's revision was raised: every process learns of it with the commit.
    pub(crate) fn revises(&self) {
        self.revised.set(true);
    }

    /// Executes a statement, and says how many rows it changed.
    pub(crate) fn execute(
        &self,
        statement: &'static str,
        values: impl Params,
    ) -> Result<usize, rusqlite::Error> {
        self.with(statement, |statement| statement.execute(values))
    }

    /// The first row of a query, which must have one.
    pub(crate) fn row<T>(
        &self,
        query: &'static str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, rusqlite::Error> {
        self.with(query, |query| query.query_row(values, read))
    }

    fn with<T>(
        &self,
        statement: &'static str,
        run: impl FnOnce(&mut CachedStatement<'c>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, rusqlite::Error> {
        let mut held = self.held.borrow_mut();
        if let Some((_, held)) = held.iter_mut().find(|(own, _)| *own == statement) {
            return run(held);
        }
        let mut prepared = self.connection.prepare_cached(statement)?;
        let answer = run(&mut prepared)?;
        held.push((statement, prepared));
        Ok(answer)
    }
}

struct Typed<F, T, E> {
    job: F,
    outcome: Option<Result<T, E>>,
    /// Takes the job back with its outcome: what it holds is freed where it was made.
    sender: oneshot::Sender<(Result<T, E>, F)>,
}

impl<F, T, E> Job for Typed<F, T, E>
where
    F: FnMut(&Writing<'_>) -> Result<T, E> + Send,
    T: Send,
    E: JobError,
{
    fn run(&mut self, writing: &Writing<'_>) -> bool {
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.job)(writing)))
            .unwrap_or_else(|panic| Err(panicked(&*panic).into()));
        self.outcome.insert(outcome).is_ok()
    }

    fn answer(self: Box<Self>, failed: Option<Fault>, damage: &Damage) {
        let Self {
            job,
            outcome,
            sender,
            ..
        } = *self;
        let outcome = match (failed, outcome) {
            (_, Some(Err(error))) => Err(error).inspect_err(|error: &E| {
                error
                    .fault()
                    .into_iter()
                    .for_each(|fault| damage.note(fault));
            }),
            (Some(failed), _) => Err(failed.into()),
            (None, Some(done)) => done,
            (None, None) => Err(not_done().into()),
        };
        // A sender that no longer waits does not want the answer.
        drop(sender.send((outcome, job)));
    }
}

fn not_done() -> Fault {
    Fault::new("a write was not carried out")
}

/// What waits for the thread that writes.
enum Waiting {
    Job(Box<dyn Job>),
    /// Of what it does nothing is kept.
    Rehearsal(Box<dyn FnOnce(&Connection) + Send>),
}

/// The way to the thread that writes. The thread ends when the last of these is gone.
#[derive(Clone)]
pub(crate) struct Writer {
    waiting: SyncSender<Waiting>,
}

impl Writer {
    /// Starts the thread, which marks changes of revisions there, sees to the journal, and notes when the database is damaged.
    pub(crate) fn start(
        connection: Connection,
        mut journal: Journal,
        revisions: Revisions,
        damage: Damage,
    ) -> Result<Self, Fault> {
        let (sender, waiting) = sync_channel(WAITING_MAX);
        std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || run(&connection, &mut journal, &revisions, &damage, &waiting))
            .map_err(|error| Fault::from_source("the writer could not be started", error))?;
        Ok(Self { waiting: sender })
    }

    /// Runs a job; what it returns is durable when this returns. Where it returns an error, nothing of it was kept. It may be run twice, the first time
    /// without effect.
    pub(crate) async fn write<T, E>(
        &self,
        mut job: impl FnMut(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: JobError + 'static,
    {
        self.write_holding(move |writing| job(writing.connection))
            .await
    }

    /// The same for a job that executes statements which the thread holds, or raises a tenant's revision.
    pub(crate) async fn write_holding<T, E>(
        &self,
        job: impl FnMut(&Writing<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: JobError + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.send(Waiting::Job(Box::new(Typed {
            job,
            outcome: None,
            sender,
        })))
        .await;
        receiver
            .await
            .map_or_else(|_| Err(not_done().into()), |(outcome, _)| outcome)
    }

    /// Lets something be done in a transaction of its own, which is taken back when it returns. Does not wait for it.
    pub(crate) async fn rehearse(&self, rehearsal: impl FnOnce(&Connection) + Send + 'static) {
        self.send(Waiting::Rehearsal(Box::new(rehearsal))).await;
    }

    async fn send(&self, one: Waiting) {
        if let Err(TrySendError::Full(one)) = self.waiting.try_send(one) {
            let waiting = self.waiting.clone();
            let _ = tokio::task::spawn_blocking(move || waiting.send(one)).await;
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Fault {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Fault::new(format!(
        "a write panicked: {}",
        message.unwrap_or("no message")
    ))
}

fn run(
    connection: &Connection,
    journal: &mut Journal,
    revisions: &Revisions,
    damage: &Damage,
    waiting: &Receiver<Waiting>,
) {
    let (session, mut next) = (Writing::on(connection), None);
    while let Some(one) = next.take().or_else(|| waiting.recv().ok()) {
        let first = match one {
            Waiting::Job(first) => first,
            Waiting::Rehearsal(rehearsal) => {
                run_rehearsal(connection, rehearsal);
                continue;
            }
        };
        journal.before(connection);
        let mut jobs = vec![first];
        let outcome = run_together(&session, &mut jobs, || match waiting.try_recv().ok()? {
            Waiting::Job(job) => Some(job),
            rehearsal @ Waiting::Rehearsal(_) => {
                next = Some(rehearsal);
                None
            }
        })
        .and_then(|done| {
            if done {
                Ok(())
            } else {
                run_each(&session, &mut jobs)
            }
        })
        .map_err(fault)
        .and_then(|()| commit(&session, revisions));
        if let Err(fault) = &outcome {
            undo(connection);
            damage.note(fault);
            tracing::error!(
                error = fault as &dyn std::error::Error,
                "a transaction failed"
            );
        }
        let failed = outcome.err().map(|fault| {
            fault
                .source()
                .map_or_else(|| fault.to_string(), |source| format!("{fault}: {source}"))
        });
        for job in jobs {
            job.answer(failed.as_ref().map(Fault::new), damage);
        }
        journal.after(connection);
    }
}

/// Those who wait for an answer of a rehearsal that fails learn of it when their sender is dropped.
fn run_rehearsal(connection: &Connection, rehearsal: Box<dyn FnOnce(&Connection) + Send>) {
    if let Err(error) = execute(connection, "BEGIN IMMEDIATE") {
        tracing::error!(error = %error, "a rehearsal could not begin");
        return;
    }
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| rehearsal(connection))) {
        tracing::error!(error = %panicked(&*panic), "a rehearsal was broken off");
    }
    undo(connection);
}

fn undo(connection: &Connection) {
    if !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
}

/// The first job and all that come meanwhile, in one transaction. `false`, and nothing is done, where one of them failed when it had changed something
/// already: savepoints for everybody would cost those who succeed more than they cost now.
fn run_together(
    writing: &Writing<'_>,
    jobs: &mut Vec<Box<dyn Job>>,
    mut another: impl FnMut() -> Option<Box<dyn Job>>,
) -> Result<bool, rusqlite::Error> {
    let connection = writing.connection;
    execute(connection, "BEGIN IMMEDIATE")?;
    let (mut place, begin) = (0, connection.total_changes());
    while let Some(job) = jobs.get_mut(place) {
        let before = connection.total_changes();
        if !job.run(writing) && connection.total_changes() != before {
            undo(connection);
            return Ok(false);
        }
        place += 1;
        if place == jobs.len()
            && place < GROUP_MAX
            && connection.total_changes() - begin < CHANGES_MAX
        {
            jobs.extend(another());
        }
    }
    Ok(true)
}

/// The same jobs, each with a savepoint of its own.
fn run_each(writing: &Writing<'_>, jobs: &mut [Box<dyn Job>]) -> Result<(), rusqlite::Error> {
    let connection = writing.connection;
    execute(connection, "BEGIN IMMEDIATE")?;
    for job in jobs {
        execute(connection, "SAVEPOINT job")?;
        if !job.run(writing) {
            execute(connection, "ROLLBACK TO job")?;
        }
        execute(connection, "RELEASE job")?;
    }
    Ok(())
}

/// Makes what the jobs did durable. Processes that remember a revision are told before and after.
fn commit(writing: &Writing<'_>, revisions: &Revisions) -> Result<(), Fault> {
    let revised = writing.revised.take();
    if revised {
        revisions.mark()?;
    }
    execute(writing.connection, "COMMIT").map_err(fault)?;
    if revised { revisions.mark() } else { Ok(()) }
}

fn execute(connection: &Connection, statement: &str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::connections::open_writer;

    fn count(connection: &Connection) -> Result<i64, Fault> {
        connection
            .query_row("SELECT count(*) FROM tenants", [], |row| row.get(0))
            .map_err(fault)
    }

    fn add(connection: &Connection, name: &str) -> Result<(), Fault> {
        let sql = crate::statements_of_callers::CREATE_TENANT.sqlite();
        connection
            .execute(sql, rusqlite::params![name, 0, "{}", 0])
            .map(drop)
            .map_err(fault)
    }

    fn start(path: &std::path::Path) -> Writer {
        let connection = open_writer(path).unwrap();
        Writer::start(
            connection,
            Journal::open(path).unwrap(),
            Revisions::open(path).unwrap(),
            Damage::default(),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn a_job_that_fails_or_panics_undoes_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let writer = start(&path);
        let good = writer.write(|connection| add(connection, "a"));
        let refused = writer
            .write(|connection| add(connection, "b").and_then(|()| Err::<(), _>(Fault::new("no"))));
        let panics = writer.write(|connection| -> Result<(), Fault> {
            add(connection, "c")?;
            panic!("a bug")
        });
        let (good, refused, panics) = tokio::join!(good, refused, panics);
        assert!(good.is_ok());
        assert_eq!(refused.unwrap_err().to_string(), "no");
        assert!(panics.unwrap_err().to_string().contains("a bug"));
        assert_eq!(writer.write(count).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_large_transaction_takes_no_further_job() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let writer = start(&path);
        let (release, released) = std::sync::mpsc::channel();
        let first = writer.write(move |_| {
            released
                .recv()
                .map_err(|error| Fault::from_source("never released", error))
        });
        let large = writer.write(|connection| {
            (0..CHANGES_MAX).try_for_each(|number| add(connection, &number.to_string()))
        });
        let after = writer.write(move |_| count(&Connection::open(&path).map_err(fault)?));
        let (first, large, after, ()) =
            tokio::join!(first, large, after, async { release.send(()).unwrap() });
        assert!(first.is_ok() && large.is_ok());
        assert_eq!(
            after.unwrap(),
            i64::try_from(CHANGES_MAX).unwrap(),
            "it is there for others before the next begins"
        );
    }
}
