//! The one thread that writes. Jobs that wait together are committed together: one transaction, one fsync, and each is answered once it is durable.
//! A job that fails undoes its own changes only.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use directory::store::Fault;
use rusqlite::Connection;
use tokio::sync::oneshot;

/// Jobs in one transaction.
const GROUP_MAX: usize = 512;
/// Jobs that wait; more make their senders wait.
const WAITING_MAX: usize = 8_192;

/// Tells the sender of a job what became of it, once the transaction has ended (with this fault, where it failed).
type Answer = Box<dyn FnOnce(Option<Fault>) + Send>;

/// A job: runs inside the transaction.
type Job = Box<dyn FnOnce(&Connection) -> Done + Send>;

/// What a job has done.
struct Done {
    keep: bool,
    answer: Answer,
}

/// The way to the thread that writes. The thread ends when the last of these is gone.
#[derive(Clone)]
pub(crate) struct Writer {
    jobs: SyncSender<Job>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(connection: Connection) -> Result<Self, Fault> {
        let (jobs, waiting) = sync_channel(WAITING_MAX);
        std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || run(&connection, &waiting))
            .map_err(|error| Fault::from_source("the writer could not be started", error))?;
        Ok(Self { jobs })
    }

    /// Runs a job; what it returns is durable when this returns. Where it returns an error, nothing of it was kept.
    pub(crate) async fn write<T, E>(&self, job: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let done = catch_unwind(AssertUnwindSafe(|| job(connection))).unwrap_or_else(|panic| Err(panicked(&*panic).into()));
            let keep = done.is_ok();
            let answer: Answer = Box::new(move |failed| {
                // A sender that no longer waits does not want the answer.
                let _ = sender.send(match (failed, done) {
                    (Some(failed), Ok(_)) => Err(failed.into()),
                    (_, done) => done,
                });
            });
            Done { keep, answer }
        });
        if let Err(std::sync::mpsc::TrySendError::Full(job)) = self.jobs.try_send(job) {
            let jobs = self.jobs.clone();
            let _ = tokio::task::spawn_blocking(move || jobs.send(job)).await;
        }
        receiver.await.unwrap_or_else(|_| Err(Fault::new("a write was not carried out").into()))
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Fault {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Fault::new(format!("a write panicked: {}", message.unwrap_or("no message")))
}

fn run(connection: &Connection, waiting: &Receiver<Job>) {
    while let Ok(first) = waiting.recv() {
        let mut answers = Vec::new();
        let outcome = run_group(connection, first, waiting, &mut answers);
        if outcome.is_err() && !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
        if let Err(error) = &outcome {
            tracing::error!(error = %error, "a transaction failed");
        }
        let failed = outcome.err().map(|error| error.to_string());
        for answer in answers {
            answer(failed.as_ref().map(|message| Fault::new(format!("SQLite: {message}"))));
        }
    }
}

/// Where the transaction cannot begin, the jobs are dropped, and their senders learn that they were not carried out.
fn run_group(connection: &Connection, first: Job, waiting: &Receiver<Job>, answers: &mut Vec<Answer>) -> Result<(), rusqlite::Error> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut job = Some(first);
    while let Some(next) = job {
        answers.push(run_job(connection, next)?);
        job = if answers.len() < GROUP_MAX { waiting.try_recv().ok() } else { None };
    }
    connection.prepare_cached("COMMIT")?.execute([]).map(drop)
}

fn run_job(connection: &Connection, job: Job) -> Result<Answer, rusqlite::Error> {
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    let Done { keep, answer } = job(connection);
    if !keep {
        connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    connection.prepare_cached("RELEASE job")?.execute([])?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::connections::{fault, open_writer};

    fn count(connection: &Connection) -> Result<i64, Fault> {
        connection.query_row("SELECT count(*) FROM tenants", [], |row| row.get(0)).map_err(fault)
    }

    fn add(connection: &Connection, name: &str) -> Result<(), Fault> {
        let sql = super::super::statements::CREATE_TENANT;
        connection.execute(sql, rusqlite::params![name, 0, "{}"]).map(drop).map_err(fault)
    }

    #[tokio::test]
    async fn a_job_that_fails_or_panics_undoes_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::start(open_writer(&folder.path().join("db")).unwrap()).unwrap();
        let good = writer.write(|connection| add(connection, "a"));
        let refused = writer.write(|connection| add(connection, "b").and_then(|()| Err::<(), _>(Fault::new("no"))));
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
}
