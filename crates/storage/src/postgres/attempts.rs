//! Tries a transaction again where PostgreSQL asks for it or its connection was lost: here and nowhere else. Knows no table.

use std::error::Error;
use std::time::Duration;

use deadpool_postgres::{Object, PoolError};
use directory::store::Fault;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::connections::{Connections, fault};

/// How often a transaction is tried.
const ATTEMPTS_MAX: u32 = 10;
/// The wait before the third try; it doubles with each. The second is made at once, as most failures are two transactions that met.
const WAIT_FIRST: Duration = Duration::from_millis(10);
/// The longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The tries of one transaction.
pub(crate) struct Attempts<'a> {
    connections: &'a Connections,
    /// How many failed.
    failed: u32,
}

impl<'a> Attempts<'a> {
    /// None yet.
    pub(crate) fn new(connections: &'a Connections) -> Self {
        Self {
            connections,
            failed: 0,
        }
    }

    /// After so many that failed.
    pub(crate) fn after(connections: &'a Connections, failed: u32) -> Self {
        Self {
            connections,
            failed,
        }
    }

    /// Whether an earlier try may have been committed although no answer came.
    pub(crate) fn is_again(&self) -> bool {
        self.failed > 0
    }

    /// A connection for the next try: after a failure one that has just answered. While the server is away (a restart, a failover) it is waited for.
    pub(crate) async fn connection(&mut self) -> Result<Object, Fault> {
        loop {
            tokio::time::sleep(wait(self.failed)).await;
            let connection = if self.failed == 0 {
                self.connections.get().await
            } else {
                self.connections.get_tried().await
            };
            match connection {
                Err(refusal) => self.again(refusal)?,
                Ok(connection) => return Ok(connection),
            }
        }
    }

    /// Takes note of a failure: an error where trying again would not help.
    pub(crate) fn again(&mut self, refusal: Fault) -> Result<(), Fault> {
        let is_again = self.is_again();
        let may_pass = error_of(&refusal).is_some_and(|error| may_pass(error, is_again));
        if !may_pass || self.failed + 1 >= ATTEMPTS_MAX {
            return Err(refusal);
        }
        self.failed += 1;
        tracing::debug!(
            failed = self.failed,
            error = refusal.source(),
            "a transaction is tried again"
        );
        Ok(())
    }
}

/// What a statement's parameters stand for.
pub(crate) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Rows of one statement that stands alone, and may be run twice.
pub(crate) async fn query(
    connections: &Connections,
    statement: &str,
    values: Values<'_>,
) -> Result<Vec<Row>, Fault> {
    let mut attempts = Attempts::new(connections);
    loop {
        let connection = attempts.connection().await?;
        let tried = async {
            connection
                .query(&connection.prepare_cached(statement).await?, values)
                .await
        };
        match tried.await {
            Ok(rows) => return Ok(rows),
            Err(error) => attempts.again(fault(error))?,
        }
    }
}

/// PostgreSQL's error in a fault, where it is one.
fn error_of(fault: &Fault) -> Option<&tokio_postgres::Error> {
    let source = fault.source()?;
    let backend = || match source.downcast_ref::<PoolError>() {
        Some(PoolError::Backend(error)) => Some(error),
        _ => None,
    };
    source
        .downcast_ref::<tokio_postgres::Error>()
        .or_else(backend)
}

fn wait(failed: u32) -> Duration {
    let doublings = failed.saturating_sub(2).min(16);
    if failed < 2 {
        Duration::ZERO
    } else {
        WAIT_FIRST.saturating_mul(1 << doublings).min(WAIT_MAX)
    }
}

/// Whether a transaction that was taken back may succeed the next time.
pub(crate) fn passes(fault: &Fault) -> bool {
    error_of(fault).is_some_and(|error| may_pass(error, false))
}

fn may_pass(error: &tokio_postgres::Error, is_again: bool) -> bool {
    const PASSING: [SqlState; 6] = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        // A standby that was the primary a moment ago.
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    match error.code() {
        // The attempt whose outcome got lost has been committed meanwhile; the next one will see that.
        Some(code) if *code == SqlState::UNIQUE_VIOLATION => is_again,
        Some(code) => PASSING.contains(code),
        None => {
            error.is_closed()
                || error
                    .source()
                    .is_some_and(<dyn Error>::is::<std::io::Error>)
        }
    }
}

/// Runs `$work`, in which `$transaction` names a transaction that `$begin` opened, and commits; again where that may help. `$attempts` names the tries.
/// Where the future is dropped, PostgreSQL is told to give up what it executes.
/// A macro, as the future of a closure that borrows cannot be said to be `Send`.
macro_rules! in_transaction {
    ($connections:expr, $begin:path, |$transaction:ident, $attempts:ident| $work:expr) => {{
        let mut $attempts = $crate::postgres::attempts::Attempts::new($connections);
        loop {
            let mut connection = $connections.watched($attempts.connection().await?);
            let tried = async {
                let opened = $begin(connection.connection()?)
                    .await
                    .map_err($crate::postgres::connections::fault)?;
                let $transaction = &opened;
                let done = $work.await?;
                opened
                    .commit()
                    .await
                    .map_err($crate::postgres::connections::fault)?;
                Ok::<_, directory::store::Fault>(done)
            };
            let tried = tried.await;
            connection.answered();
            match tried {
                Ok(done) => break done,
                Err(failure) => $attempts.again(failure)?,
            }
        }
    }};
    ($connections:expr, $begin:path, |$transaction:ident| $work:expr) => {
        in_transaction!($connections, $begin, |$transaction, attempts| $work)
    };
}
pub(crate) use in_transaction;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit() {
        let waits: Vec<Duration> = (0..ATTEMPTS_MAX + 8).map(wait).collect();
        assert_eq!(
            &waits[..4],
            &[Duration::ZERO, Duration::ZERO, WAIT_FIRST, WAIT_FIRST * 2]
        );
        assert_eq!(waits.last(), Some(&WAIT_MAX));
        assert!(waits.is_sorted());
    }
}
