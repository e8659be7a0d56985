//! A session on a connection of PostgreSQL's: in a transaction, or without one where each statement stands for itself.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::GenericClient;
use directory::shares::Share;
use directory::store::Fault;
use directory::tenant::TenantId;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_postgres::Row;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::PostgresEngine;
use super::attempts::{Attempts, in_transaction};
use super::connections::{begin, fault, snapshot};
use super::export::export;
use crate::engine::{Engine, Port};
use crate::rows::{storable, stored_key};
use crate::secrets::MasterKey;
use crate::session::{Columns, Field, Session, Statement};

/// A connection or a transaction.
pub(crate) struct PostgresSession<'c, C> {
    client: &'c C,
    is_again: bool,
    is_taken_back: bool,
}

impl<'c, C: GenericClient> PostgresSession<'c, C> {
    /// On a connection or in a transaction; whether an earlier try may have been committed.
    pub(crate) fn on(client: &'c C, is_again: bool) -> Self {
        Self {
            client,
            is_again,
            is_taken_back: false,
        }
    }
}

impl ToSql for Field<'_> {
    fn to_sql(
        &self,
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Field::Null => Ok(IsNull::Yes),
            Field::Integer(value) => match *of {
                Type::BOOL => (*value != 0).to_sql(of, out),
                Type::INT2 => i16::try_from(*value)?.to_sql(of, out),
                Type::INT4 => i32::try_from(*value)?.to_sql(of, out),
                _ => value.to_sql(of, out),
            },
            Field::Text(text) => storable(text).to_sql(of, out),
            Field::Bytes(bytes) => bytes.to_sql(of, out),
            Field::IndexKey(key) => stored_key(key).as_ref().to_sql(of, out),
            Field::Texts(texts) => {
                let texts: Vec<_> = texts.iter().map(|text| storable(text)).collect();
                texts.to_sql(of, out)
            }
            Field::Integers(values) => values.to_sql(of, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl Columns for Row {
    fn field(&self, column: usize) -> Result<Field<'_>, Fault> {
        let of = self
            .columns()
            .get(column)
            .map(tokio_postgres::Column::type_);
        let integer = |value: Option<i64>| value.map_or(Field::Null, Field::Integer);
        match of {
            Some(&Type::INT8) => self.try_get(column).map(integer),
            Some(&Type::INT4) => {
                let value = self.try_get::<_, Option<i32>>(column);
                value.map(|value| integer(value.map(i64::from)))
            }
            Some(&Type::INT2) => {
                let value = self.try_get::<_, Option<i16>>(column);
                value.map(|value| integer(value.map(i64::from)))
            }
            Some(&Type::BOOL) => {
                let value = self.try_get::<_, Option<bool>>(column);
                value.map(|value| integer(value.map(i64::from)))
            }
            Some(&Type::BYTEA) => {
                let value = self.try_get::<_, Option<&[u8]>>(column);
                value.map(|value| value.map_or(Field::Null, Field::Bytes))
            }
            _ => {
                let value = self.try_get::<_, Option<&str>>(column);
                value.map(|value| value.map_or(Field::Null, Field::Text))
            }
        }
        .map_err(fault)
    }
}

/// Fields as PostgreSQL's client takes them.
fn values<'a>(fields: &'a [Field<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    fields
        .iter()
        .map(|field| field as &(dyn ToSql + Sync))
        .collect()
}

#[async_trait]
impl<C: GenericClient + Sync> Session for PostgresSession<'_, C> {
    async fn execute(&mut self, statement: &Statement, fields: &[Field<'_>]) -> Result<u64, Fault> {
        if statement.postgres().is_empty() {
            return Ok(0);
        }
        let prepared = self.client.prepare_cached(statement.postgres()).await;
        self.client
            .execute(&prepared.map_err(fault)?, &values(fields))
            .await
            .map_err(fault)
    }

    async fn execute_each(
        &mut self,
        statement: &Statement,
        lists: &[Vec<Field<'_>>],
    ) -> Result<Vec<u64>, Fault> {
        if lists.is_empty() {
            return Ok(Vec::new());
        }
        let prepared = self.client.prepare_cached(statement.postgres()).await;
        let (client, prepared) = (self.client, prepared.map_err(fault)?);
        let prepared = &prepared;
        let each = lists
            .iter()
            .map(|fields| async move { client.execute(prepared, &values(fields)).await });
        try_join_all(each).await.map_err(fault)
    }

    async fn execute_all(&mut self, all: &[(&Statement, &[Field<'_>])]) -> Result<Vec<u64>, Fault> {
        let client = self.client;
        let each = all.iter().map(|(statement, fields)| async move {
            let prepared = client.prepare_cached(statement.postgres()).await?;
            client.execute(&prepared, &values(fields)).await
        });
        try_join_all(each).await.map_err(fault)
    }

    async fn each_row(
        &mut self,
        statement: &Statement,
        fields: &[Field<'_>],
        read: &mut (dyn for<'r> FnMut(&'r dyn Columns) -> Result<(), Fault> + Send),
    ) -> Result<(), Fault> {
        if statement.postgres().is_empty() {
            return Ok(());
        }
        let prepared = self.client.prepare_cached(statement.postgres()).await;
        let rows = self
            .client
            .query(&prepared.map_err(fault)?, &values(fields))
            .await
            .map_err(fault)?;
        rows.iter().try_for_each(|row| read(row))
    }

    fn is_again(&self) -> bool {
        self.is_again
    }

    fn take_back(&mut self) {
        self.is_taken_back = true;
    }

    /// Every node reads the revision from the database.
    fn revised(&mut self) {}
}

impl PostgresEngine {
    /// A tenant's part of the long reads; the program itself does not wait for one.
    async fn share(&self, tenant: Option<TenantId>) -> Option<Share> {
        match tenant {
            Some(tenant) => Some(self.connections.long_reads.acquire(tenant, 1).await),
            None => None,
        }
    }

    /// Runs a port without a transaction; again where that may help.
    async fn without_transaction<A, T, P>(&self, asked: &A, port: P) -> Result<T, Fault>
    where
        A: Sync + ?Sized,
        T: Send,
        P: for<'a> Port<'a, A, T>,
    {
        let mut attempts = Attempts::new(&self.connections);
        loop {
            let connection = attempts.connection().await?;
            let mut session = PostgresSession::on(&connection, attempts.is_again());
            match port.run(&mut session, asked).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => attempts.again(failure)?,
            }
        }
    }
}

impl Engine for PostgresEngine {
    /// Other nodes wait for it.
    const CLAIMED_TOGETHER: usize = 1;
    const RESERVES_KEYS: bool = true;

    async fn write<A, T, P>(&self, asked: A, port: P) -> Result<T, Fault>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        P: for<'a> Port<'a, A, T> + 'static,
    {
        let mut attempts = Attempts::new(&self.connections);
        loop {
            let mut connection = self.connections.watched(attempts.connection().await?);
            let tried = async {
                let transaction = begin(connection.connection()?).await.map_err(fault)?;
                let mut session = PostgresSession::on(&transaction, attempts.is_again());
                let answer = port.run(&mut session, &asked).await?;
                if session.is_taken_back {
                    transaction.rollback().await.map_err(fault)?;
                } else {
                    transaction.commit().await.map_err(fault)?;
                }
                Ok::<_, Fault>(answer)
            };
            let tried = tried.await;
            connection.answered();
            match tried {
                Ok(answer) => return Ok(answer),
                Err(failure) => attempts.again(failure)?,
            }
        }
    }

    async fn write_each<A, T, P>(&self, asked: A, port: P) -> Result<T, Fault>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        P: for<'a> Port<'a, A, T> + 'static,
    {
        self.without_transaction(&asked, port).await
    }

    async fn read<A, T, P>(&self, asked: &A, port: P) -> Result<T, Fault>
    where
        A: Sync + ?Sized,
        T: Send,
        P: for<'a> Port<'a, A, T>,
    {
        self.without_transaction(asked, port).await
    }

    async fn read_snapshot<A, T, P>(&self, asked: &A, port: P) -> Result<T, Fault>
    where
        A: Sync + ?Sized,
        T: Send,
        P: for<'a> Port<'a, A, T>,
    {
        Ok(in_transaction!(
            &self.connections,
            snapshot,
            |transaction| async {
                let mut session = PostgresSession::on(transaction, false);
                port.run(&mut session, asked).await
            }
        ))
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
        let _share = self.share(tenant).await;
        self.read(&asked, port).await
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
        let _share = self.share(tenant).await;
        self.read_snapshot(&asked, port).await
    }

    async fn revision<P>(&self, name: &str, port: P) -> Result<Option<i64>, Fault>
    where
        P: for<'a> Port<'a, str, Option<i64>>,
    {
        self.read(name, port).await
    }

    async fn export_tenant(
        &self,
        tenant: TenantId,
        at: Timestamp,
        sink: Box<dyn Write + Send>,
    ) -> Result<u64, Fault> {
        export(&self.connections, tenant, at, sink).await
    }

    /// PostgreSQL keeps nothing of it that could be read.
    async fn forget_erased(&self) -> Result<(), Fault> {
        Ok(())
    }

    fn notify(&self) {
        self.committed.notify_one();
        self.ours.notify_one();
    }

    fn commits(&self) -> &Arc<Notify> {
        &self.committed
    }

    fn key(&self) -> &Arc<MasterKey> {
        &self.key
    }
}
