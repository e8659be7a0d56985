//! Reads a tenant as a whole from PostgreSQL, some rows at a time from one snapshot.

use std::collections::BTreeMap;
use std::io::Write;

use deadpool_postgres::Object;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use tokio::runtime::Handle;

use super::connections::{Connections, fault, snapshot};
use crate::statements_of_tenants::NAME_OF_TENANT;
use crate::tenant_tables::{KEYS, Kind, TABLES, key_range, select};
use crate::transfer::{Cell, Exporter, Header};

/// Rows that are read at once.
const ROWS_AT_ONCE: i32 = 500;

/// Writes everything of a tenant apart from secrets; says how many lines.
pub(crate) async fn export(
    connections: &Connections,
    tenant: TenantId,
    at: Timestamp,
    mut sink: Box<dyn Write + Send>,
) -> Result<u64, Fault> {
    let (mut connection, runtime) = (connections.get().await?, Handle::current());
    let written = tokio::task::spawn_blocking(move || {
        write(&runtime, &mut connection, tenant, at, &mut *sink)
    });
    written
        .await
        .map_err(|error| Fault::from_source("a tenant was not exported to its end", error))?
}

/// Writes to the sink outside of the runtime, as a sink may wait for the reader at its other end.
fn write(
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
        .block_on(transaction.query_one(NAME_OF_TENANT.postgres(), &[&tenant.0]))
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
