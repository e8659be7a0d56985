//! `Memberships` in PostgreSQL: members of a group batch by batch, and direct memberships as a list of its own.

use deadpool_postgres::Transaction;
use directory::store::{Fault, Member, Membership, MembershipQuery, Related};
use directory::tenant::TenantId;
use tokio_postgres::Row;

use super::connections::fault;
use super::read::storable;
use super::search::rows;
use super::statements as sql;
use crate::filter_sql::Dialect;
use crate::membership_sql::{count, list};

pub(crate) async fn members_after(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    group_id: &str,
    after: i64,
    limit: u32,
) -> Result<Vec<Member>, Fault> {
    let statement = transaction
        .prepare_cached(sql::READ_MEMBERS_AFTER)
        .await
        .map_err(fault)?;
    let found = transaction
        .query(
            &statement,
            &[&tenant.0, &storable(group_id), &after, &i64::from(limit)],
        )
        .await
        .map_err(fault)?;
    found
        .iter()
        .map(|row| {
            Ok(Member {
                key: row.try_get(0).map_err(fault)?,
                related: related(row, 1)?,
            })
        })
        .collect()
}

pub(crate) async fn find(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    query: &MembershipQuery,
) -> Result<Vec<Membership>, Fault> {
    let found = rows(transaction, list(query, Dialect::Postgres, tenant)).await?;
    let one = |row: &Row| {
        let keys = (
            row.try_get(0).map_err(fault)?,
            row.try_get(1).map_err(fault)?,
        );
        Ok(Membership {
            keys,
            group: related(row, 2)?,
            member: related(row, 5)?,
        })
    };
    found.iter().map(one).collect()
}

pub(crate) async fn count_all(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    query: &MembershipQuery,
) -> Result<u64, Fault> {
    let found = rows(transaction, count(query, Dialect::Postgres, tenant)).await?;
    let count: i64 = found
        .first()
        .map_or(Ok(0), |row| row.try_get(0))
        .map_err(fault)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

fn related(row: &Row, first: usize) -> Result<Related, Fault> {
    Ok(Related {
        id: row.try_get(first).map_err(fault)?,
        resource_type: row.try_get(first + 1).map_err(fault)?,
        display: row.try_get(first + 2).map_err(fault)?,
        direct: true,
    })
}
