//! Carries out a search from one snapshot: keys by generated SQL, what no index answers by looking at each candidate.

use directory::search::{Position, SearchPlan};
use directory::store::{Fault, Include, SearchPage, StoredResource};
use directory::tenant::TenantId;
use rusqlite::types::{ToSqlOutput, Value as Column};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use super::by_key::{Found, Look};
use super::connections::fault;
use super::read::read_by_key;
use crate::candidates::{Candidates, cut};
use crate::filter_sql::{Dialect, Order, Parameter, Query, keys, order};
use crate::totals::Totals;

/// The page of a search.
pub(crate) fn search(
    connection: &Connection,
    tenant: TenantId,
    plan: &SearchPlan,
    totals: &Totals,
) -> Result<SearchPage, Fault> {
    let order = order(plan);
    let (total_results, found) = if plan.residual.is_none() && order == Order::InSql {
        let Found { total, rows } = Look::new(connection, tenant, plan, totals)?.page()?;
        (total, rows)
    } else {
        let mut candidates = Candidates::new(plan, order);
        for_each_row(
            connection,
            &keys(plan, Dialect::Sqlite, tenant, false),
            |position| {
                if let Some(resource) =
                    read_by_key(connection, tenant, position.key, plan.residual_needs)?
                {
                    candidates.offer(position, resource);
                }
                Ok(!candidates.is_full())
            },
        )?;
        candidates.page()
    };
    let total_results = if plan.is_counted() { total_results } else { 0 };
    let (page, next) = cut(plan, found);
    Ok(SearchPage {
        total_results,
        resources: read_page(connection, tenant, page, plan.include)?,
        next,
    })
}

fn read_page(
    connection: &Connection,
    tenant: TenantId,
    page: Vec<i64>,
    include: Include,
) -> Result<Vec<StoredResource>, Fault> {
    page.into_iter()
        .filter_map(|key| read_by_key(connection, tenant, key, include).transpose())
        .collect()
}

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
