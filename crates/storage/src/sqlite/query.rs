//! Runs generated queries: one number, rows, or keys. Generates none.

use directory::search::Position;
use directory::store::Fault;
use rusqlite::types::{ToSqlOutput, Value as Column};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use super::explain::fault;
use crate::filter_sql::{Parameter, Query};

/// The one number of a query.
pub(super) fn number(connection: &Connection, query: &Query) -> Result<u64, Fault> {
    let mut statement = connection.prepare_cached(&query.text).map_err(fault)?;
    let count: i64 = statement
        .query_row(params_from_iter(&query.parameters), |row| row.get(0))
        .map_err(fault)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Rows until there are none, or `take` says that it has enough.
pub(super) fn for_each_row(
    connection: &Connection,
    query: &Query,
    mut take: impl FnMut(Position) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(&query.text).map_err(fault)?;
    let mut rows = statement
        .query(params_from_iter(&query.parameters))
        .map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        if !take(position(row).map_err(fault)?)? {
            break;
        }
    }
    Ok(())
}

/// The first column of every row.
pub(super) fn for_each_key(
    connection: &Connection,
    query: &Query,
    mut take: impl FnMut(i64) -> bool,
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(&query.text).map_err(fault)?;
    let mut rows = statement
        .query(params_from_iter(&query.parameters))
        .map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        if !take(row.get(0).map_err(fault)?) {
            break;
        }
    }
    Ok(())
}

fn position(row: &Row<'_>) -> Result<Position, rusqlite::Error> {
    let value = match row.get(3)? {
        Column::Integer(number) => number.to_be_bytes().to_vec(),
        Column::Text(text) => text.into_bytes(),
        Column::Blob(bytes) => bytes,
        Column::Null | Column::Real(_) => Vec::new(),
    };
    Ok(Position {
        key: row.get(0)?,
        place: row.get(1)?,
        missing: row.get(2)?,
        value,
    })
}

impl ToSql for Parameter {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>, rusqlite::Error> {
        Ok(match self {
            Self::Integer(value) => ToSqlOutput::Owned(Column::Integer(*value)),
            Self::Text(text) => text.as_str().into(),
            Self::Bytes(bytes) => bytes.as_slice().into(),
        })
    }
}
