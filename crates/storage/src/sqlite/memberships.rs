//! `Memberships` in SQLite: direct memberships as a list of its own. Members of one group are read in `read`.

use directory::store::{Fault, Membership, MembershipQuery, Related};
use directory::tenant::TenantId;
use rusqlite::{Connection, Row, params_from_iter};

use super::connections::fault;
use super::search::number;
use crate::filter_sql::Dialect;
use crate::membership_sql::{count, list};

pub(crate) fn find(
    connection: &Connection,
    tenant: TenantId,
    query: &MembershipQuery,
) -> Result<Vec<Membership>, Fault> {
    let query = list(query, Dialect::Sqlite, tenant);
    let mut statement = connection.prepare_cached(&query.text).map_err(fault)?;
    let rows = statement
        .query_map(params_from_iter(&query.parameters), membership)
        .map_err(fault)?;
    rows.collect::<Result<_, _>>().map_err(fault)
}

pub(crate) fn count_all(
    connection: &Connection,
    tenant: TenantId,
    query: &MembershipQuery,
) -> Result<u64, Fault> {
    number(connection, &count(query, Dialect::Sqlite, tenant))
}

fn membership(row: &Row<'_>) -> Result<Membership, rusqlite::Error> {
    Ok(Membership {
        keys: (row.get(0)?, row.get(1)?),
        group: related(row, 2)?,
        member: related(row, 5)?,
    })
}

fn related(row: &Row<'_>, first: usize) -> Result<Related, rusqlite::Error> {
    Ok(Related {
        id: row.get(first)?,
        resource_type: row.get(first + 1)?,
        display: row.get(first + 2)?,
        direct: true,
    })
}
