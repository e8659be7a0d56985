//! What was, read from SQLite; and the forgetting of it. Commits write it (`record`).

use directory::deletion_guard::WINDOW_MINUTES_MAX;
use directory::history::{
    Deleted, Entry, Kind, MemberChange, Point, Remembered, Snapshot, Tombstone, Window,
    WindowChange,
};
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use rusqlite::{Connection, Params, Row, params};
use uuid::Uuid;

use super::connections::fault;
use super::statements_of_safety as sql;
use crate::moments::{Next, Present, moment};
use crate::rows::{
    from_json, history_kind, members_then, micros, stored, timestamp, uuid, version,
};

/// A row of anything, read as values of ours.
fn list<T>(
    connection: &Connection,
    statement: &str,
    values: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare_cached(statement).map_err(fault)?;
    let mut rows = statement.query(values).map_err(fault)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(fault)? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, column: usize) -> Result<T, Fault> {
    row.get(column).map_err(fault)
}

/// Changes of a resource above a version.
pub(crate) fn entries(
    connection: &Connection,
    tenant: TenantId,
    id: &str,
    above: u64,
    limit: u32,
) -> Result<Vec<Entry>, Fault> {
    let mut found = Vec::new();
    if above == 0 {
        found.extend(creation(connection, tenant, id)?);
    }
    let read = |row: &Row<'_>| {
        let before: Option<String> = get(row, 5)?;
        Ok(Entry {
            version: version(get(row, 0)?),
            kind: history_kind(&get::<String>(row, 1)?)?,
            at: timestamp(get(row, 2)?)?,
            change_id: uuid(&get::<Vec<u8>>(row, 3)?)?,
            credential_id: get(row, 4)?,
            before: before.map(|text| from_json(&text)).transpose()?,
            created: timestamp(get(row, 6)?)?,
        })
    };
    found.extend(list(
        connection,
        sql::READ_ENTRIES,
        params![tenant.0, id, stored(above), limit],
        read,
    )?);
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

fn creation(connection: &Connection, tenant: TenantId, id: &str) -> Result<Option<Entry>, Fault> {
    let mut statement = connection
        .prepare_cached(sql::FIND_CREATED)
        .map_err(fault)?;
    let created: Option<i64> = statement
        .query_row(params![tenant.0, id], |row| row.get(0))
        .map_err(fault)?;
    let Some(created) = created else {
        return Ok(None);
    };
    let at = timestamp(created)?;
    let read = |row: &Row<'_>| {
        let (change_id, credential_id) = (uuid(&get::<Vec<u8>>(row, 0)?)?, get(row, 1)?);
        Ok(Entry {
            version: 1,
            kind: Kind::Create,
            at,
            change_id,
            credential_id,
            before: None,
            created: at,
        })
    };
    Ok(list(
        connection,
        sql::FIND_CREATION,
        params![tenant.0, id, created],
        read,
    )?
    .pop())
}

/// A resource as it was.
pub(crate) fn snapshot(
    connection: &Connection,
    tenant: TenantId,
    id: &str,
    point: Point,
) -> Result<Remembered, Fault> {
    let read = |row: &Row<'_>| {
        let kind = history_kind(&get::<String>(row, 1)?)?;
        Ok(Next {
            version: get(row, 0)?,
            kind,
            since: get(row, 2)?,
            created: get(row, 3)?,
            resource_type: get(row, 4)?,
        })
    };
    let mut next = match point {
        Point::At(at) => list(
            connection,
            sql::NEXT_ENTRY_AFTER,
            params![tenant.0, id, micros(at)],
            read,
        )?,
        Point::Version(version) => list(
            connection,
            sql::NEXT_ENTRY_ABOVE,
            params![tenant.0, id, stored(version)],
            read,
        )?,
    };
    let read = |row: &Row<'_>| {
        Ok(Present {
            version: get(row, 1)?,
            created: get(row, 2)?,
            modified: get(row, 3)?,
            document: get(row, 4)?,
            resource_type: get(row, 5)?,
        })
    };
    let present = list(connection, sql::READ_ANY_TYPE, params![tenant.0, id], read)?.pop();
    let buried_at = deleted(connection, tenant, &Deleted::Id(id.to_owned()), 1)?
        .pop()
        .map(|tombstone| micros(tombstone.at));
    let next = next.pop();
    let shot = match moment(id, point, next.as_ref(), present.as_ref(), buried_at)? {
        Ok(shot) => shot,
        Err(remembered) => return Ok(remembered),
    };
    let read = |row: &Row<'_>| get::<String>(row, 0);
    let kept = match &next {
        Some(next) => list(
            connection,
            sql::NEXT_DOCUMENT,
            params![tenant.0, id, next.version],
            read,
        )?
        .pop(),
        None => None,
    };
    let Some(document) = kept.or(present.map(|present| present.document)) else {
        return Ok(Remembered::Unknown);
    };
    let members = members(connection, tenant, id, stored(shot.version))?;
    Ok(Remembered::Was(Box::new(Snapshot {
        document: from_json(&document)?,
        members,
        ..shot
    })))
}

/// The members that a group had when it had this version.
fn members(
    connection: &Connection,
    tenant: TenantId,
    id: &str,
    last_version: i64,
) -> Result<Vec<String>, Fault> {
    let now = list(
        connection,
        sql::LIST_MEMBER_IDS,
        params![tenant.0, id],
        |row| get(row, 0),
    )?;
    let first = list(
        connection,
        sql::FIRST_MEMBER_CHANGES,
        params![tenant.0, id, last_version],
        |row| Ok((get(row, 0)?, get(row, 1)?)),
    )?;
    Ok(members_then(now, first))
}

/// Members that joined or left.
pub(crate) fn member_changes(
    connection: &Connection,
    tenant: TenantId,
    group_id: &str,
    above: u64,
    limit: u32,
) -> Result<Vec<MemberChange>, Fault> {
    let read = |row: &Row<'_>| {
        Ok(MemberChange {
            version: version(get(row, 0)?),
            member_id: get(row, 1)?,
            joined: get(row, 2)?,
        })
    };
    list(
        connection,
        sql::READ_MEMBER_CHANGES,
        params![tenant.0, group_id, stored(above), limit],
        read,
    )
}

/// The groups that a resource left because of a change set.
pub(crate) fn groups_left(
    connection: &Connection,
    tenant: TenantId,
    member_id: &str,
    change_id: Uuid,
) -> Result<Vec<String>, Fault> {
    list(
        connection,
        sql::FIND_GROUPS_LEFT,
        params![tenant.0, member_id, change_id.as_bytes()],
        |row| get(row, 0),
    )
}

/// Deleted resources.
pub(crate) fn deleted(
    connection: &Connection,
    tenant: TenantId,
    which: &Deleted,
    limit: u32,
) -> Result<Vec<Tombstone>, Fault> {
    let read = |row: &Row<'_>| {
        Ok(Tombstone {
            resource_type: get(row, 0)?,
            id: get(row, 1)?,
            version: version(get(row, 2)?),
            created: timestamp(get(row, 3)?)?,
            at: timestamp(get(row, 4)?)?,
            credential_id: get(row, 5)?,
            change_id: uuid(&get::<Vec<u8>>(row, 6)?)?,
            display: get(row, 7)?,
            user_name: get(row, 8)?,
            external_id: get(row, 9)?,
        })
    };
    match which {
        Deleted::Before(at) => list(
            connection,
            sql::LIST_DELETED,
            params![tenant.0, micros(*at), limit],
            read,
        ),
        Deleted::Id(id) => list(
            connection,
            sql::FIND_DELETED,
            params![tenant.0, id, limit],
            read,
        ),
        Deleted::Named {
            resource_type,
            user_name,
            external_id,
        } => list(
            connection,
            sql::FIND_DELETED_BY_NAME,
            params![tenant.0, resource_type, user_name, external_id, limit],
            read,
        ),
    }
}

/// Changes of a window.
pub(crate) fn changes(
    connection: &Connection,
    tenant: TenantId,
    window: &Window,
    after: u64,
    limit: u32,
) -> Result<Vec<WindowChange>, Fault> {
    let read = |row: &Row<'_>| {
        Ok(WindowChange {
            sequence: version(get(row, 0)?),
            resource_type: get(row, 1)?,
            id: get(row, 2)?,
            version: version(get(row, 3)?),
            at: timestamp(get(row, 4)?)?,
            change_id: uuid(&get::<Vec<u8>>(row, 5)?)?,
            credential_id: get(row, 6)?,
        })
    };
    let values = params![
        tenant.0,
        micros(window.from),
        micros(window.until),
        window.credential_id,
        stored(after),
        limit
    ];
    list(connection, sql::LIST_CHANGES, values, read)
}

/// Forgets what ended before an instant, at most so many changes at once.
pub(crate) fn prune(
    connection: &Connection,
    tenant: TenantId,
    before: Timestamp,
    limit: u32,
) -> Result<u32, Fault> {
    let values = params![tenant.0, micros(before), limit];
    let gone = list(connection, sql::FORGET_CHANGES, values, |row| {
        Ok((get::<String>(row, 0)?, get::<i64>(row, 1)?))
    })?;
    let mut statement = connection
        .prepare_cached(sql::FORGET_MEMBERS)
        .map_err(fault)?;
    for (id, version) in &gone {
        statement
            .execute(params![tenant.0, id, version])
            .map_err(fault)?;
    }
    if gone.is_empty() {
        connection
            .execute(sql::FORGET_DELETED, params![tenant.0, micros(before)])
            .map_err(fault)?;
        let oldest = before.as_second().div_euclid(60) - i64::from(WINDOW_MINUTES_MAX);
        super::guard::forget_removals(connection, tenant, oldest)?;
    }
    Ok(u32::try_from(gone.len()).unwrap_or(u32::MAX))
}
