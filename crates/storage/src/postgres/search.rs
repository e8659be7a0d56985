//! Carries out a search from one snapshot: keys by generated SQL, what no index answers by looking at each candidate.

use deadpool_postgres::Transaction;
use directory::search::{Position, SearchPlan};
use directory::store::{Fault, Include, SearchPage, StoredResource};
use directory::tenant::TenantId;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::connections::{fault, prepare_generated};
use super::read::read_by_keys;
use super::statements as sql;
use crate::candidates::{Candidates, cut};
use crate::filter_sql::{Dialect, Order, Parameter, Query, count, keys, order};
use crate::rows::storable;
use crate::totals::{State, Total, Totals};

/// Documents in memory at a time.
const DOCUMENTS_MAX: usize = 256;

/// The page of a search.
pub(crate) async fn search(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    plan: &SearchPlan,
    totals: &Totals,
) -> Result<SearchPage, Fault> {
    let order = order(plan);
    let (total_results, found) = if plan.residual.is_none() && order == Order::InSql {
        let found = if plan.limit > 0 {
            positions(transaction, keys(plan, Dialect::Postgres, tenant, true)).await?
        } else {
            Vec::new()
        };
        // A first page that is not full has been counted by reading it.
        let read = u64::try_from(found.len()).unwrap_or(u64::MAX);
        let begins = plan.offset == 0
            && plan
                .keyset
                .as_ref()
                .is_none_or(|keyset| keyset.after.is_none());
        let total = if begins && read < plan.limit {
            read
        } else {
            total(transaction, tenant, plan, totals).await?
        };
        (total, found)
    } else {
        look_at_candidates(transaction, tenant, plan, order).await?
    };
    let total_results = if plan.is_counted() { total_results } else { 0 };
    let (page, next) = cut(plan, found);
    Ok(SearchPage {
        total_results,
        resources: read_page(transaction, tenant, &page, plan.include).await?,
        next,
    })
}

async fn look_at_candidates(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    plan: &SearchPlan,
    order: Order,
) -> Result<(u64, Vec<Position>), Fault> {
    let mut candidates = Candidates::new(plan, order);
    // By positions in an order that SQL knows, no more is read than what the page needs.
    let in_parts = plan.keyset.is_some() && order == Order::InSql;
    let mut part = SearchPlan {
        limit: u64::try_from(DOCUMENTS_MAX).unwrap_or(u64::MAX),
        ..plan.clone()
    };
    loop {
        let all = positions(
            transaction,
            keys(&part, Dialect::Postgres, tenant, in_parts),
        )
        .await?;
        for some in all.chunks(DOCUMENTS_MAX) {
            let keys: Vec<i64> = some.iter().map(|position| position.key).collect();
            let mut read = read_by_keys(transaction, tenant, &keys, plan.residual_needs)
                .await?
                .into_iter()
                .peekable();
            for position in some {
                if let Some((_, resource)) = read.next_if(|(key, _)| *key == position.key) {
                    candidates.offer(position.clone(), resource);
                }
            }
        }
        match all
            .into_iter()
            .next_back()
            .filter(|_| in_parts && !candidates.is_full())
        {
            Some(last) => part = part.by_position(Some(last)),
            None => return Ok(candidates.page()),
        }
    }
}

async fn total(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    plan: &SearchPlan,
    totals: &Totals,
) -> Result<u64, Fault> {
    let statement = transaction
        .prepare_cached(sql::READ_STATE)
        .await
        .map_err(fault)?;
    // A tenant that is gone has nothing.
    let Some(row) = transaction
        .query_opt(&statement, &[&tenant.0])
        .await
        .map_err(fault)?
    else {
        return Ok(0);
    };
    let state = State {
        tenant: tenant.0,
        created: row.try_get(0).map_err(fault)?,
        sequence: row.try_get(1).map_err(fault)?,
    };
    let mut sum = 0_u64;
    for (schema, condition) in plan.types.iter().zip(&plan.conditions) {
        let query = count(schema, condition, Dialect::Postgres, tenant);
        let total = if let Some(total) = totals.find(&query, state) {
            total
        } else {
            let rows = rows(transaction, query.clone()).await?;
            let count: i64 = rows
                .first()
                .map_or(Ok(0), |row| row.try_get(0))
                .map_err(fault)?;
            let total = Total::counted(u64::try_from(count).unwrap_or_default());
            totals.remember(query, state, total.clone());
            total
        };
        sum = sum.saturating_add(total.count);
    }
    Ok(sum)
}

async fn read_page(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    page: &[i64],
    include: Include,
) -> Result<Vec<StoredResource>, Fault> {
    Ok(read_by_keys(transaction, tenant, page, include)
        .await?
        .into_iter()
        .map(|(_, resource)| resource)
        .collect())
}

/// The rows of a generated query.
pub(super) async fn rows(transaction: &Transaction<'_>, query: Query) -> Result<Vec<Row>, Fault> {
    let values: Vec<Box<dyn ToSql + Sync + Send>> =
        query.parameters.into_iter().map(value).collect();
    let values: Vec<&(dyn ToSql + Sync)> = values
        .iter()
        .map(|value| &**value as &(dyn ToSql + Sync))
        .collect();
    let statement = prepare_generated(transaction, &query.text)
        .await
        .map_err(fault)?;
    transaction.query(&statement, &values).await.map_err(fault)
}

async fn positions(transaction: &Transaction<'_>, query: Query) -> Result<Vec<Position>, Fault> {
    rows(transaction, query)
        .await?
        .iter()
        .map(position)
        .collect()
}

fn position(row: &Row) -> Result<Position, Fault> {
    let kind = row.columns().get(3).map(tokio_postgres::Column::type_);
    let value = match kind {
        Some(&Type::INT8) => row
            .try_get::<_, i64>(3)
            .map(|number| number.to_be_bytes().to_vec()),
        Some(&Type::TEXT) => row.try_get::<_, String>(3).map(String::into_bytes),
        _ => row.try_get::<_, Vec<u8>>(3),
    };
    let place: i32 = row.try_get(1).map_err(fault)?;
    let missing: i32 = row.try_get(2).map_err(fault)?;
    Ok(Position {
        key: row.try_get(0).map_err(fault)?,
        place: u32::try_from(place).unwrap_or_default(),
        missing: missing != 0,
        value: value.map_err(fault)?,
    })
}

fn value(parameter: Parameter) -> Box<dyn ToSql + Sync + Send> {
    match parameter {
        Parameter::Integer(value) => Box::new(value),
        Parameter::Text(text) => Box::new(storable(&text).into_owned()),
        Parameter::Bytes(bytes) => Box::new(bytes),
    }
}
