//! Carries out a search from one snapshot: keys by generated SQL, what no index answers by looking at each candidate.

use deadpool_postgres::Transaction;
use directory::search::SearchPlan;
use directory::store::{Fault, Include, SearchPage, StoredResource};
use directory::tenant::TenantId;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connections::{fault, prepare_generated};
use super::read::{read_by_keys, storable};
use crate::candidates::Candidates;
use crate::filter_sql::{Dialect, Order, Parameter, Query, count, keys, order};

/// Documents in memory at a time.
const DOCUMENTS_MAX: usize = 256;

/// The page of a search.
pub(crate) async fn search(transaction: &Transaction<'_>, tenant: TenantId, plan: &SearchPlan) -> Result<SearchPage, Fault> {
    let order = order(plan);
    if plan.residual.is_none() && order == Order::InSql {
        let page = if plan.limit > 0 { integers(transaction, keys(plan, Dialect::Postgres, tenant, true)).await? } else { Vec::new() };
        // A first page that is not full has been counted by reading it.
        let read = u64::try_from(page.len()).unwrap_or(u64::MAX);
        let total_results = if plan.offset == 0 && read < plan.limit {
            read
        } else {
            let total = integers(transaction, count(plan, Dialect::Postgres, tenant)).await?.first().copied();
            u64::try_from(total.unwrap_or_default()).unwrap_or_default()
        };
        return Ok(SearchPage { total_results, resources: read_page(transaction, tenant, &page, plan.include).await? });
    }
    let mut candidates = Candidates::new(plan, order);
    let all = integers(transaction, keys(plan, Dialect::Postgres, tenant, false)).await?;
    for some in all.chunks(DOCUMENTS_MAX) {
        for (key, resource) in read_by_keys(transaction, tenant, some, plan.residual_needs).await? {
            candidates.offer(key, resource);
        }
    }
    let (total_results, page) = candidates.page();
    Ok(SearchPage { total_results, resources: read_page(transaction, tenant, &page, plan.include).await? })
}

async fn read_page(transaction: &Transaction<'_>, tenant: TenantId, page: &[i64], include: Include) -> Result<Vec<StoredResource>, Fault> {
    Ok(read_by_keys(transaction, tenant, page, include).await?.into_iter().map(|(_, resource)| resource).collect())
}

/// The one column of a generated query.
async fn integers(transaction: &Transaction<'_>, query: Query) -> Result<Vec<i64>, Fault> {
    let values: Vec<Box<dyn ToSql + Sync + Send>> = query.parameters.into_iter().map(value).collect();
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
    let statement = prepare_generated(transaction, &query.text).await.map_err(fault)?;
    let rows = transaction.query(&statement, &values).await.map_err(fault)?;
    rows.iter().map(|row: &Row| row.try_get(0).map_err(fault)).collect()
}

fn value(parameter: Parameter) -> Box<dyn ToSql + Sync + Send> {
    match parameter {
        Parameter::Integer(value) => Box::new(value),
        Parameter::Text(text) => Box::new(storable(&text).into_owned()),
        Parameter::Bytes(bytes) => Box::new(bytes),
    }
}
