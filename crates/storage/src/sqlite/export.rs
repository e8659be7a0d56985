//! Reads a tenant as a whole from SQLite, row by row from one snapshot.

use std::collections::BTreeMap;
use std::io::Write;

use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::explain::fault;
use crate::statements_of_tenants::NAME_OF_TENANT;
use crate::tenant_tables::{KEYS, TABLES, key_range, select};
use crate::transfer::{Cell, Exporter, Header};

/// Writes everything of a tenant apart from secrets; says how many lines.
pub(crate) fn export(
    connection: &Connection,
    tenant: TenantId,
    at: Timestamp,
    sink: &mut (dyn Write + Send),
) -> Result<u64, Fault> {
    let mut ranges = BTreeMap::new();
    for keys in KEYS {
        let range = connection
            .query_row(&key_range(keys), [tenant.0], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .map_err(fault)?;
        if let (Some(first), Some(last)) = range {
            ranges.insert(keys, (first, last));
        }
    }
    let name: String = connection
        .query_row(NAME_OF_TENANT.sqlite(), [tenant.0], |row| row.get(0))
        .map_err(fault)?;
    let mut exporter = Exporter::begin(sink, &Header::new(&name, at, ranges))?;
    for table in TABLES {
        let mut statement = connection.prepare(&select(table)).map_err(fault)?;
        let mut rows = statement.query([tenant.0]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            let cells = (0..table.columns.len())
                .map(|place| row.get_ref(place).map_err(fault).and_then(cell));
            exporter.row(table, cells.collect::<Result<_, _>>()?)?;
        }
    }
    exporter.end()
}

fn cell(value: ValueRef<'_>) -> Result<Cell, Fault> {
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Integer(value),
        ValueRef::Text(text) => {
            Cell::Text(String::from_utf8(text.to_vec()).map_err(|error| {
                Fault::from_source("a text in the database is not UTF-8", error)
            })?)
        }
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => {
            return Err(Fault::new(
                "a column of the database has a number with a fraction",
            ));
        }
    })
}
