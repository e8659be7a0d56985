//! Reads one resource with what is derived for it. Does not search.

use directory::store::{Fault, Include, Related, StoredResource};
use directory::tenant::TenantId;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::explain::fault;
use super::statements as sql;
use crate::rows::{document, timestamp, version};

/// One resource by its type and id.
pub(crate) fn read(
    connection: &Connection,
    tenant: TenantId,
    resource_type: &str,
    id: &str,
    include: Include,
) -> Result<Option<StoredResource>, Fault> {
    let columns = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, Columns::read(row, 1)?));
    let mut statement = connection
        .prepare_cached(sql::READ_RESOURCE)
        .map_err(fault)?;
    let Some((key, columns)) = statement
        .query_row(params![tenant.0, id, resource_type], columns)
        .optional()
        .map_err(fault)?
    else {
        return Ok(None);
    };
    let resource = columns.into_resource(resource_type.to_owned(), id.to_owned())?;
    with_related(connection, tenant, key, resource, include).map(Some)
}

/// One resource by its key.
pub(crate) fn read_by_key(
    connection: &Connection,
    tenant: TenantId,
    key: i64,
    include: Include,
) -> Result<Option<StoredResource>, Fault> {
    let columns = |row: &Row<'_>| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            Columns::read(row, 2)?,
        ))
    };
    let mut statement = connection.prepare_cached(sql::READ_BY_KEY).map_err(fault)?;
    let Some((resource_type, id, columns)) = statement
        .query_row(params![tenant.0, key], columns)
        .optional()
        .map_err(fault)?
    else {
        return Ok(None);
    };
    with_related(
        connection,
        tenant,
        key,
        columns.into_resource(resource_type, id)?,
        include,
    )
    .map(Some)
}

/// Whether a group has more members than this.
pub(crate) fn has_more_members_than(
    connection: &Connection,
    tenant: TenantId,
    group_id: &str,
    count: u32,
) -> Result<bool, Fault> {
    let mut statement = connection
        .prepare_cached(sql::COUNT_MEMBERS)
        .map_err(fault)?;
    let limit = i64::from(count) + 1;
    let found: i64 = statement
        .query_row(params![tenant.0, group_id, limit], |row| row.get(0))
        .map_err(fault)?;
    Ok(found == limit)
}

/// The columns that every read of a resource ends with.
struct Columns {
    version: i64,
    created: i64,
    modified: i64,
    document: String,
}

impl Columns {
    fn read(row: &Row<'_>, first: usize) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            version: row.get(first)?,
            created: row.get(first + 1)?,
            modified: row.get(first + 2)?,
            document: row.get(first + 3)?,
        })
    }

    fn into_resource(self, resource_type: String, id: String) -> Result<StoredResource, Fault> {
        Ok(StoredResource {
            resource_type,
            id,
            version: version(self.version),
            created: timestamp(self.created)?,
            last_modified: timestamp(self.modified)?,
            document: document(self.document)?,
            members: Vec::new(),
            groups: Vec::new(),
        })
    }
}

fn with_related(
    connection: &Connection,
    tenant: TenantId,
    key: i64,
    mut resource: StoredResource,
    include: Include,
) -> Result<StoredResource, Fault> {
    if include.members {
        resource.members = related(connection, sql::READ_MEMBERS, tenant, key, |_| Ok(true))?;
    }
    if include.groups {
        resource.groups = related(connection, sql::READ_GROUPS, tenant, key, |row| row.get(3))?;
    }
    Ok(resource)
}

fn related(
    connection: &Connection,
    statement: &str,
    tenant: TenantId,
    key: i64,
    direct: impl Fn(&Row<'_>) -> Result<bool, rusqlite::Error>,
) -> Result<Vec<Related>, Fault> {
    let mut statement = connection.prepare_cached(statement).map_err(fault)?;
    let read = |row: &Row<'_>| {
        Ok(Related {
            id: row.get(0)?,
            resource_type: row.get(1)?,
            display: row.get(2)?,
            direct: direct(row)?,
        })
    };
    let rows = statement
        .query_map(params![tenant.0, key], read)
        .map_err(fault)?;
    rows.collect::<Result<_, _>>().map_err(fault)
}
