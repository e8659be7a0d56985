//! Carries out a search from one snapshot: keys by generated SQL, what no index answers by looking at each candidate.

use directory::search::SearchPlan;
use directory::store::{Fault, Include, SearchPage, StoredResource};
use directory::tenant::TenantId;
use rusqlite::types::{ToSqlOutput, Value as Column};
use rusqlite::{Connection, ToSql, params_from_iter};

use super::connections::fault;
use super::read::read_by_key;
use crate::candidates::Candidates;
use crate::filter_sql::{Dialect, Order, Parameter, Query, count, keys, order};

/// The page of a search.
pub(crate) fn search(connection: &Connection, tenant: TenantId, plan: &SearchPlan) -> Result<SearchPage, Fault> {
    let order = order(plan);
    if plan.residual.is_none() && order == Order::InSql {
        let mut page = Vec::new();
        if plan.limit > 0 {
            for_each_key(connection, &keys(plan, Dialect::Sqlite, tenant, true), |key| {
                page.push(key);
                Ok(())
            })?;
        }
        // A first page that is not full has been counted by reading it.
        let read = u64::try_from(page.len()).unwrap_or(u64::MAX);
        let total_results =
            if plan.offset == 0 && read < plan.limit { read } else { total(connection, &count(plan, Dialect::Sqlite, tenant))? };
        return Ok(SearchPage { total_results, resources: read_page(connection, tenant, page, plan.include)? });
    }
    let mut candidates = Candidates::new(plan, order);
    for_each_key(connection, &keys(plan, Dialect::Sqlite, tenant, false), |key| {
        let resource = read_by_key(connection, tenant, key, plan.residual_needs)?;
        if let Some(resource) = resource {
            candidates.offer(key, resource);
        }
        Ok(())
    })?;
    let (total_results, page) = candidates.page();
    Ok(SearchPage { total_results, resources: read_page(connection, tenant, page, plan.include)? })
}

fn read_page(connection: &Connection, tenant: TenantId, page: Vec<i64>, include: Include) -> Result<Vec<StoredResource>, Fault> {
    page.into_iter().filter_map(|key| read_by_key(connection, tenant, key, include).transpose()).collect()
}

fn total(connection: &Connection, query: &Query) -> Result<u64, Fault> {
    let mut statement = connection.prepare_cached(&query.text).map_err(fault)?;
    let count: i64 = statement.query_row(params_from_iter(&query.parameters), |row| row.get(0)).map_err(fault)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

fn for_each_key(connection: &Connection, query: &Query, mut take: impl FnMut(i64) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(&query.text).map_err(fault)?;
    let mut rows = statement.query(params_from_iter(&query.parameters)).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        take(row.get(0).map_err(fault)?)?;
    }
    Ok(())
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
