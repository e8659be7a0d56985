//! A session on a connection of SQLite's. It answers at once, so a port never waits on it.

use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row, ToSql, params_from_iter};
use send_wrapper::SendWrapper;
use tokio::sync::Notify;

use super::SqliteEngine;
use super::connections::{empty_marked_journal, snapshot};
use super::explain::fault;
use super::export::export;
use super::writer::{JobError, Writing};
use crate::engine::{Engine, Port};
use crate::rows::json_text;
use crate::secrets::MasterKey;
use crate::session::{Columns, Field, Session, Statement};

/// A connection, on the thread that has it. That thread polls what uses it; PostgreSQL's threads may take turns, and so a session has to be `Send`.
pub(crate) struct SqliteSession<'c> {
    connection: SendWrapper<&'c Connection>,
    revised: bool,
    is_taken_back: bool,
}

/// What a job that writes fails with.
enum Unkept<T> {
    /// It was taken back, and this is its answer.
    TakenBack(T),
    Fault(Fault),
}

impl<T> From<Fault> for Unkept<T> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl<T: Send> JobError for Unkept<T> {
    fn fault(&self) -> Option<&Fault> {
        match self {
            Self::TakenBack(_) => None,
            Self::Fault(fault) => Some(fault),
        }
    }
}

/// Runs a port on a connection of this thread, which only reads.
pub(crate) fn run<'c, T>(
    connection: &'c Connection,
    port: impl AsyncFnOnce(&mut SqliteSession<'c>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    at_once(port(&mut SqliteSession::on(connection)))
}

/// Runs a part of a job that writes.
pub(crate) fn run_writing<'c, T>(
    writing: &Writing<'c>,
    port: impl AsyncFnOnce(&mut SqliteSession<'c>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut session = SqliteSession::on(writing.connection);
    let answer = at_once(port(&mut session));
    if session.revised {
        writing.revises();
    }
    answer
}

/// The answer of a port that does not wait.
fn at_once<T>(port: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match pin!(port).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => Err(Fault::new("a port waits for something other than SQLite")),
    }
}

impl<'c> SqliteSession<'c> {
    fn on(connection: &'c Connection) -> Self {
        Self {
            connection: SendWrapper::new(connection),
            revised: false,
            is_taken_back: false,
        }
    }
}

impl ToSql for Field<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let list = |text: Result<String, Fault>| {
            text.map(|text| ToSqlOutput::Owned(Value::Text(text)))
                .map_err(|fault| rusqlite::Error::ToSqlConversionFailure(fault.into()))
        };
        Ok(ToSqlOutput::Borrowed(match self {
            Field::Null => ValueRef::Null,
            Field::Integer(value) => ValueRef::Integer(*value),
            Field::Text(text) => ValueRef::Text(text.as_bytes()),
            Field::Bytes(bytes) | Field::IndexKey(bytes) => ValueRef::Blob(bytes),
            Field::Texts(texts) => return list(json_text(texts)),
            Field::Integers(values) => return list(json_text(values)),
        }))
    }
}

impl Columns for Row<'_> {
    fn field(&self, column: usize) -> Result<Field<'_>, Fault> {
        Ok(match self.get_ref(column).map_err(fault)? {
            ValueRef::Null => Field::Null,
            ValueRef::Integer(value) => Field::Integer(value),
            ValueRef::Text(text) => Field::Text(std::str::from_utf8(text).map_err(|error| {
                Fault::from_source("a text in the database is not UTF-8", error)
            })?),
            ValueRef::Blob(bytes) => Field::Bytes(bytes),
            ValueRef::Real(_) => {
                return Err(Fault::new(
                    "a column of the database has a number with a fraction",
                ));
            }
        })
    }
}

#[async_trait]
impl Session for SqliteSession<'_> {
    async fn execute(&mut self, statement: &Statement, fields: &[Field<'_>]) -> Result<u64, Fault> {
        if statement.sqlite().is_empty() {
            return Ok(0);
        }
        let mut prepared = self
            .connection
            .prepare_cached(statement.sqlite())
            .map_err(fault)?;
        let changed = prepared.execute(params_from_iter(fields)).map_err(fault)?;
        Ok(changed as u64)
    }

    async fn execute_each(
        &mut self,
        statement: &Statement,
        lists: &[Vec<Field<'_>>],
    ) -> Result<Vec<u64>, Fault> {
        if lists.is_empty() {
            return Ok(Vec::new());
        }
        let mut prepared = self
            .connection
            .prepare_cached(statement.sqlite())
            .map_err(fault)?;
        let changed = |fields: &Vec<Field<'_>>| prepared.execute(params_from_iter(fields));
        lists
            .iter()
            .map(changed)
            .map(|changed| changed.map(|count| count as u64).map_err(fault))
            .collect()
    }

    async fn execute_all(&mut self, all: &[(&Statement, &[Field<'_>])]) -> Result<Vec<u64>, Fault> {
        let mut changed = Vec::with_capacity(all.len());
        for (statement, fields) in all {
            changed.push(self.execute(statement, fields).await?);
        }
        Ok(changed)
    }

    async fn each_row(
        &mut self,
        statement: &Statement,
        fields: &[Field<'_>],
        read: &mut (dyn for<'r> FnMut(&'r dyn Columns) -> Result<(), Fault> + Send),
    ) -> Result<(), Fault> {
        let mut prepared = self
            .connection
            .prepare_cached(statement.sqlite())
            .map_err(fault)?;
        let mut rows = prepared.query(params_from_iter(fields)).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            read(row)?;
        }
        Ok(())
    }

    fn is_again(&self) -> bool {
        false
    }

    fn take_back(&mut self) {
        self.is_taken_back = true;
    }

    fn revised(&mut self) {
        self.revised = true;
    }
}

impl Engine for SqliteEngine {
    /// One transaction costs one `fsync`, and no other process waits for it.
    const CLAIMED_TOGETHER: usize = usize::MAX;
    const RESERVES_KEYS: bool = false;

    async fn write<A, T, P>(&self, asked: A, port: P) -> Result<T, Fault>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        P: for<'a> Port<'a, A, T> + 'static,
    {
        let job = move |writing: &Writing<'_>| {
            let mut session = SqliteSession::on(writing.connection);
            let answer = at_once(port.run(&mut session, &asked));
            if session.revised {
                writing.revises();
            }
            match answer? {
                answer if session.is_taken_back => Err(Unkept::TakenBack(answer)),
                answer => Ok(answer),
            }
        };
        match self.writer.write_holding(job).await {
            Ok(answer) | Err(Unkept::TakenBack(answer)) => Ok(answer),
            Err(Unkept::Fault(fault)) => Err(fault),
        }
    }

    async fn write_each<A, T, P>(&self, asked: A, port: P) -> Result<T, Fault>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        P: for<'a> Port<'a, A, T> + 'static,
    {
        self.write(asked, port).await
    }

    async fn read<A, T, P>(&self, asked: &A, port: P) -> Result<T, Fault>
    where
        A: Sync + ?Sized,
        T: Send,
        P: for<'a> Port<'a, A, T>,
    {
        self.readers
            .read_short(|connection| at_once(port.run(&mut SqliteSession::on(connection), asked)))
    }

    async fn read_snapshot<A, T, P>(&self, asked: &A, port: P) -> Result<T, Fault>
    where
        A: Sync + ?Sized,
        T: Send,
        P: for<'a> Port<'a, A, T>,
    {
        self.readers.read_short(|connection| {
            snapshot(connection, |connection| {
                at_once(port.run(&mut SqliteSession::on(connection), asked))
            })
        })
    }

    async fn read_long<A, T, P>(
        &self,
        tenant: Option<TenantId>,
        asked: A,
        port: P,
    ) -> Result<T, Fault>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        P: for<'a> Port<'a, A, T> + 'static,
    {
        let read = move |connection: &Connection| {
            at_once(port.run(&mut SqliteSession::on(connection), &asked))
        };
        self.readers.read_long(tenant, read).await
    }

    async fn read_long_snapshot<A, T, P>(
        &self,
        tenant: Option<TenantId>,
        asked: A,
        port: P,
    ) -> Result<T, Fault>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        P: for<'a> Port<'a, A, T> + 'static,
    {
        let read = move |connection: &Connection| {
            snapshot(connection, |connection| {
                at_once(port.run(&mut SqliteSession::on(connection), &asked))
            })
        };
        self.readers.read_long(tenant, read).await
    }

    async fn revision<P>(&self, name: &str, port: P) -> Result<Option<i64>, Fault>
    where
        P: for<'a> Port<'a, str, Option<i64>>,
    {
        self.revisions.find(name, || {
            self.readers.read_short(|connection| {
                at_once(port.run(&mut SqliteSession::on(connection), name))
            })
        })
    }

    async fn export_tenant(
        &self,
        tenant: TenantId,
        at: Timestamp,
        mut sink: Box<dyn Write + Send>,
    ) -> Result<u64, Fault> {
        let read = move |connection: &Connection| {
            snapshot(connection, |connection| {
                export(connection, tenant, at, &mut *sink)
            })
        };
        self.readers.read_long(tenant, read).await
    }

    async fn forget_erased(&self) -> Result<(), Fault> {
        self.readers.empty_journal(empty_marked_journal).await
    }

    fn notify(&self) {
        self.committed.notify_one();
    }

    fn commits(&self) -> &Arc<Notify> {
        &self.committed
    }

    fn key(&self) -> &Arc<MasterKey> {
        &self.key
    }
}
