//! Carries out a search from one snapshot: keys by generated SQL, what no index answers by looking at each candidate.

use directory::search::SearchPlan;
use directory::store::{Fault, Include, SearchPage, StoredResource};
use directory::tenant::TenantId;
use rusqlite::Connection;

use super::by_key::{Found, Look};
use super::query::for_each_row;
use super::read::read_by_key;
use crate::candidates::{Candidates, cut};
use crate::filter_sql::{Dialect, Order, keys, order};
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
