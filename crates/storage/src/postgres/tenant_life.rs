//! `TenantLife` in PostgreSQL: each step is one transaction, which others do not wait for.

use std::collections::BTreeMap;
use std::io::Write;

use async_trait::async_trait;
use deadpool_postgres::{Object, Transaction};
use directory::store::Fault;
use directory::tenant::{Tenant, TenantId, TenantSettings};
use directory::tenant_life::{RestoreError, Source, TenantLife};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use provisioning::application::ApplicationId;
use tokio::runtime::Handle;
use tokio_postgres::types::ToSql;

use super::Postgres;
use super::attempts::{Values, execute, in_transaction};
use super::connections::{begin, fault, snapshot};
use super::session::PostgresSession;
use super::statements as sql;
use crate::engine::Engine as _;
use crate::outbox::mark_all;
use crate::restored::{Own, further};
use crate::rows::{decode_entries, json_text, micros, storable, stored_key};
use crate::tenant_tables::{KEYS, Kind, TABLES, Table, insert, key_range, select};
use crate::tenants::find_tenant;
use crate::transfer::{Cell, Exporter, Header, Importer, Placement, Row, bytes_of, integer_of};

/// Rows that are read at once.
const ROWS_AT_ONCE: i32 = 500;
/// Rows that are written before the answer to the first of them is awaited.
const ROWS_ON_THEIR_WAY: usize = 200;

#[async_trait]
impl TenantLife for Postgres {
    async fn set_suspended(&self, tenant: TenantId, suspended: bool) -> Result<bool, Fault> {
        let count = execute(
            &self.connections,
            sql::SET_SUSPENDED,
            &[&tenant.0, &suspended],
        )
        .await?;
        self.notify();
        Ok(count > 0)
    }

    async fn set_settings(&self, tenant: &Tenant, settings: TenantSettings) -> Result<bool, Fault> {
        let settings = json_text(&settings)?;
        let count = execute(
            &self.connections,
            sql::SET_SETTINGS,
            &[&tenant.id.0, &tenant.revision, &settings],
        )
        .await?;
        self.notify();
        Ok(count > 0)
    }

    async fn export(
        &self,
        tenant: TenantId,
        at: Timestamp,
        mut sink: Box<dyn Write + Send>,
    ) -> Result<u64, Fault> {
        let (mut connection, runtime) = (self.connections.get().await?, Handle::current());
        on_a_thread(move || export(&runtime, &mut connection, tenant, at, &mut *sink)).await?
    }

    async fn restore(
        &self,
        name: &str,
        at: Timestamp,
        source: Box<dyn Source>,
    ) -> Result<Tenant, RestoreError> {
        let (postgres, name) = (self.clone(), storable(name).into_owned());
        let restored = on_a_thread(move || {
            Handle::current().block_on(restore(&postgres, &name, at, Importer::new(source)))
        })
        .await??;
        self.notify();
        Ok(restored)
    }

    async fn erase(&self, tenant: TenantId) -> Result<bool, Fault> {
        Ok(in_transaction!(
            &self.connections,
            begin,
            |transaction, attempts| erase(transaction, tenant, attempts.is_again())
        ))
    }
}

/// Runs what reads or writes a file between its statements where it keeps nobody waiting.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| Fault::from_source("a tenant was not moved to its end", error))
}

/// Writes to the sink outside of the runtime, as a sink may wait for whoever reads at its other end.
fn export(
    runtime: &Handle,
    connection: &mut Object,
    tenant: TenantId,
    at: Timestamp,
    sink: &mut (dyn Write + Send),
) -> Result<u64, Fault> {
    let transaction = runtime.block_on(snapshot(connection)).map_err(fault)?;
    let mut ranges = BTreeMap::new();
    for keys in KEYS {
        let row = runtime
            .block_on(transaction.query_one(&key_range(keys), &[&tenant.0]))
            .map_err(fault)?;
        if let (Some(first), Some(last)) = (
            row.try_get(0).map_err(fault)?,
            row.try_get(1).map_err(fault)?,
        ) {
            ranges.insert(keys, (first, last));
        }
    }
    let row = runtime
        .block_on(transaction.query_one(sql::NAME_OF_TENANT, &[&tenant.0]))
        .map_err(fault)?;
    let mut exporter = Exporter::begin(
        sink,
        &Header::new(row.try_get(0).map_err(fault)?, at, ranges),
    )?;
    for table in TABLES {
        let statement = runtime
            .block_on(transaction.prepare(&select(table)))
            .map_err(fault)?;
        let portal = runtime
            .block_on(transaction.bind(&statement, &[&tenant.0]))
            .map_err(fault)?;
        loop {
            let rows = runtime
                .block_on(transaction.query_portal(&portal, ROWS_AT_ONCE))
                .map_err(fault)?;
            for row in &rows {
                let cells = table
                    .columns
                    .iter()
                    .enumerate()
                    .map(|(place, column)| cell(row, place, column.kind));
                exporter.row(table, cells.collect::<Result<_, _>>().map_err(fault)?)?;
            }
            if rows.is_empty() {
                break;
            }
        }
    }
    runtime.block_on(transaction.commit()).map_err(fault)?;
    exporter.end()
}

fn cell(
    row: &tokio_postgres::Row,
    place: usize,
    kind: Kind,
) -> Result<Cell, tokio_postgres::Error> {
    Ok(match kind {
        Kind::Integer | Kind::Key(_) => row
            .try_get::<_, Option<i64>>(place)?
            .map_or(Cell::Null, Cell::Integer),
        Kind::Text | Kind::Json | Kind::Authentication => row
            .try_get::<_, Option<String>>(place)?
            .map_or(Cell::Null, Cell::Text),
        Kind::Bytes => row
            .try_get::<_, Option<Vec<u8>>>(place)?
            .map_or(Cell::Null, Cell::Bytes),
    })
}

async fn restore(
    postgres: &Postgres,
    name: &str,
    at: Timestamp,
    mut importer: Importer,
) -> Result<Tenant, RestoreError> {
    let header = importer.check()?;
    let mut connection = postgres.connections.get().await?;
    let placement = reserve(&mut connection, &header).await?;
    let transaction = begin(&mut connection).await.map_err(fault)?;
    let (mut tenant, mut applications, mut rows) = (None, Vec::new(), Vec::new());
    while let Some((table, mut row)) = importer.next_row(&header)? {
        if tenant.is_some() == (table.name == "tenants") {
            return Err(RestoreError::Refused(
                "the file does not begin with its tenant".into(),
            ));
        }
        placement.place(table, &header, &mut row)?;
        let id = tenant.unwrap_or_default();
        let further = further(
            table,
            &mut row,
            &Own {
                name,
                tenant: id,
                revision: micros(at),
                key: &postgres.key,
            },
        )?;
        if table.name == "applications" {
            applications.push(ApplicationId(integer_of(&row, "application")));
        }
        if tenant.is_none() {
            let mut session = PostgresSession::on(&transaction, false);
            if find_tenant(&mut session, name).await?.is_some() {
                return Err(RestoreError::NameTaken);
            }
            write(&transaction, table, &row, &further, id).await?;
            let made = find_tenant(&mut session, name).await?;
            tenant = made.map(|made| made.id.0);
            continue;
        }
        rows.push((table, row, further));
        if rows.len() >= ROWS_ON_THEIR_WAY {
            let written = rows
                .iter()
                .map(|(table, row, further)| write(&transaction, table, row, further, id));
            try_join_all(written).await?;
            rows.clear();
        }
    }
    let id =
        TenantId(tenant.ok_or_else(|| RestoreError::Refused("the file has no tenant".into()))?);
    try_join_all(
        rows.iter()
            .map(|(table, row, further)| write(&transaction, table, row, further, id.0)),
    )
    .await?;
    let mut session = PostgresSession::on(&transaction, false);
    for application in applications {
        mark_all(&mut session, id, application, at, true).await?;
    }
    let restored = find_tenant(&mut session, name).await?;
    transaction.commit().await.map_err(fault)?;
    restored.ok_or_else(|| Fault::new("the restored tenant is gone").into())
}

async fn rows(
    transaction: &Transaction<'_>,
    statement: &str,
    values: Values<'_>,
) -> Result<Vec<tokio_postgres::Row>, Fault> {
    let statement = transaction.prepare_cached(statement).await.map_err(fault)?;
    transaction.query(&statement, values).await.map_err(fault)
}

async fn run(
    transaction: &Transaction<'_>,
    statement: &str,
    values: Values<'_>,
) -> Result<u64, Fault> {
    let statement = transaction.prepare_cached(statement).await.map_err(fault)?;
    transaction.execute(&statement, values).await.map_err(fault)
}

/// Sets keys aside, so that nobody else is given one of them. They stay unused where the restore fails.
async fn reserve(connection: &mut Object, header: &Header) -> Result<Placement, RestoreError> {
    let mut first = BTreeMap::new();
    for keys in KEYS {
        let span = header.span(keys)?;
        let (table, column) = keys.place();
        let transaction = begin(connection).await.map_err(fault)?;
        // Nobody adds a row, and so nobody asks for a key, between the two that are asked for here.
        transaction
            .batch_execute(&sql::lock_keys(table))
            .await
            .map_err(fault)?;
        let row = transaction
            .query_one(&sql::reserve_keys(table, column), &[&span])
            .await
            .map_err(fault)?;
        first.insert(keys, row.try_get(0).map_err(fault)?);
        transaction.commit().await.map_err(fault)?;
    }
    Ok(Placement { first })
}

async fn write(
    transaction: &Transaction<'_>,
    table: &Table,
    row: &Row,
    further: &[(&'static str, Cell)],
    tenant: i64,
) -> Result<(), Fault> {
    let columns: Vec<&str> = further
        .iter()
        .map(|(name, _)| *name)
        .chain(row.iter().map(|(column, _)| column.name))
        .collect();
    let cells = further
        .iter()
        .map(|(_, cell)| cell)
        .chain(row.iter().map(|(_, cell)| cell));
    let values: Vec<Box<dyn ToSql + Sync + Send>> = cells.map(value).collect();
    let values: Vec<&(dyn ToSql + Sync)> = values
        .iter()
        .map(|value| &**value as &(dyn ToSql + Sync))
        .collect();
    run(
        transaction,
        &insert(table.name, &columns, "OVERRIDING SYSTEM VALUE"),
        &values,
    )
    .await?;
    if table.name != "resources" {
        return Ok(());
    }
    let resource = integer_of(row, "resource");
    let entries = decode_entries(bytes_of(row, "entries"))?;
    for (unique, statement) in [(true, sql::TAKE_VALUES), (false, sql::ADD_VALUES)] {
        let of_kind = entries.iter().filter(|entry| entry.unique == unique);
        let (attributes, keys): (Vec<i64>, Vec<Vec<u8>>) = of_kind
            .map(|entry| (entry.attribute, stored_key(&entry.value).into_owned()))
            .unzip();
        if !attributes.is_empty() {
            let resources = vec![resource; attributes.len()];
            let values: Values<'_> = &[&tenant, &attributes, &keys, &resources];
            run(transaction, statement, values).await?;
        }
    }
    Ok(())
}

fn value(cell: &Cell) -> Box<dyn ToSql + Sync + Send> {
    match cell {
        // Rows have no cell for it; a column that is left out is NULL.
        Cell::Null => Box::new(None::<String>),
        Cell::Integer(value) => Box::new(*value),
        Cell::Text(text) => Box::new(storable(text).into_owned()),
        Cell::Bytes(bytes) => Box::new(bytes.clone()),
    }
}

/// Every table that has rows of tenants, also one that a later migration made. A commit that is under way ends without its tenant, and so without effect.
async fn erase(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    is_again: bool,
) -> Result<bool, Fault> {
    let mut erased = !rows(transaction, sql::LOCK_TENANT_TO_ERASE, &[&tenant.0])
        .await?
        .is_empty();
    for row in rows(transaction, sql::TABLES_OF_TENANTS, &[]).await? {
        run(
            transaction,
            &sql::erase_from(row.try_get(0).map_err(fault)?),
            &[&tenant.0],
        )
        .await?;
    }
    erased |= is_again;
    Ok(erased)
}
