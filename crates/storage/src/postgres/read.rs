//! Reads resources with what is derived for them, many at once. Does not search.

use std::collections::HashMap;

use deadpool_postgres::Transaction;
use directory::store::{Fault, Include, Related, StoredResource};
use directory::tenant::TenantId;
use tokio_postgres::Row;

use super::connections::fault;
use super::statements as sql;
use crate::rows::{document, storable, timestamp, version};

/// One resource by its type and id.
pub(crate) async fn read(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    resource_type: &str,
    id: &str,
    include: Include,
) -> Result<Option<StoredResource>, Fault> {
    let statement = transaction
        .prepare_cached(sql::READ_RESOURCE)
        .await
        .map_err(fault)?;
    let row = transaction
        .query_opt(
            &statement,
            &[&tenant.0, &storable(id), &storable(resource_type)],
        )
        .await
        .map_err(fault)?;
    let Some(row) = row else { return Ok(None) };
    let mut found = vec![resource(&row)?];
    add_related(transaction, tenant, include, &mut found).await?;
    Ok(found.pop().map(|(_, resource)| resource))
}

/// Resources by their keys, in the order of the keys; those that are not there are left out.
pub(crate) async fn read_by_keys(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    keys: &[i64],
    include: Include,
) -> Result<Vec<(i64, StoredResource)>, Fault> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let statement = transaction
        .prepare_cached(sql::READ_BY_KEYS)
        .await
        .map_err(fault)?;
    let rows = transaction
        .query(&statement, &[&tenant.0, &keys])
        .await
        .map_err(fault)?;
    let mut by_key = rows
        .iter()
        .map(resource)
        .collect::<Result<HashMap<_, _>, _>>()?;
    let mut found: Vec<_> = keys
        .iter()
        .filter_map(|key| Some((*key, by_key.remove(key)?)))
        .collect();
    add_related(transaction, tenant, include, &mut found).await?;
    Ok(found)
}

fn resource(row: &Row) -> Result<(i64, StoredResource), Fault> {
    let resource = StoredResource {
        resource_type: row.try_get(1).map_err(fault)?,
        id: row.try_get(2).map_err(fault)?,
        version: version(row.try_get(3).map_err(fault)?),
        created: timestamp(row.try_get(4).map_err(fault)?)?,
        last_modified: timestamp(row.try_get(5).map_err(fault)?)?,
        document: document(row.try_get(6).map_err(fault)?)?,
        members: Vec::new(),
        groups: Vec::new(),
    };
    Ok((row.try_get(0).map_err(fault)?, resource))
}

async fn add_related(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    include: Include,
    found: &mut [(i64, StoredResource)],
) -> Result<(), Fault> {
    let keys: Vec<i64> = found.iter().map(|(key, _)| *key).collect();
    if include.members {
        let mut members = related(transaction, sql::READ_MEMBERS, tenant, &keys).await?;
        for (key, resource) in found.iter_mut() {
            resource.members = members.remove(key).unwrap_or_default();
        }
    }
    if include.groups {
        let mut groups = related(transaction, sql::READ_GROUPS, tenant, &keys).await?;
        for (key, resource) in found.iter_mut() {
            resource.groups = groups.remove(key).unwrap_or_default();
        }
    }
    Ok(())
}

async fn related(
    transaction: &Transaction<'_>,
    statement: &str,
    tenant: TenantId,
    keys: &[i64],
) -> Result<HashMap<i64, Vec<Related>>, Fault> {
    let statement = transaction.prepare_cached(statement).await.map_err(fault)?;
    let mut by_key: HashMap<i64, Vec<Related>> = HashMap::new();
    for row in transaction
        .query(&statement, &[&tenant.0, &keys])
        .await
        .map_err(fault)?
    {
        by_key
            .entry(row.try_get(0).map_err(fault)?)
            .or_default()
            .push(Related {
                id: row.try_get(1).map_err(fault)?,
                resource_type: row.try_get(2).map_err(fault)?,
                display: row.try_get(3).map_err(fault)?,
                direct: row.try_get(4).map_err(fault)?,
            });
    }
    Ok(by_key)
}
