//! What was, read from PostgreSQL; and the forgetting of it. Commits write it (`record`).

use deadpool_postgres::Transaction;
use directory::history::{
    Deleted, Entry, Kind, MemberChange, Point, Remembered, Snapshot, Tombstone, Window,
    WindowChange,
};
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};
use uuid::Uuid;

use super::connections::fault;
use super::read::storable;
use super::statements_of_safety as sql;
use crate::moments::{Next, Present, moment};
use crate::rows::{
    from_json, history_kind, members_then, micros, stored, timestamp, uuid, version,
};

type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

async fn list<T>(
    transaction: &Transaction<'_>,
    statement: &str,
    values: Values<'_>,
    read: impl Fn(&Row) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let statement = transaction.prepare_cached(statement).await.map_err(fault)?;
    transaction
        .query(&statement, values)
        .await
        .map_err(fault)?
        .iter()
        .map(read)
        .collect()
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, Fault> {
    row.try_get(column).map_err(fault)
}

/// Changes of a resource above a version.
pub(super) async fn entries(
    t: &Transaction<'_>,
    tenant: TenantId,
    id: &str,
    above: u64,
    limit: u32,
) -> Result<Vec<Entry>, Fault> {
    let (id, above_version, most) = (storable(id), stored(above), i64::from(limit));
    let mut found = Vec::new();
    if above == 0 {
        found.extend(creation(t, tenant, &id).await?);
    }
    let read = |row: &Row| {
        let before: Option<&str> = get(row, 5)?;
        Ok(Entry {
            version: version(get(row, 0)?),
            kind: history_kind(get(row, 1)?)?,
            at: timestamp(get(row, 2)?)?,
            change_id: uuid(get(row, 3)?)?,
            credential_id: get(row, 4)?,
            before: before.map(from_json).transpose()?,
            created: timestamp(get(row, 6)?)?,
        })
    };
    found.extend(
        list(
            t,
            sql::READ_ENTRIES,
            &[&tenant.0, &id, &above_version, &most],
            read,
        )
        .await?,
    );
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

async fn creation(t: &Transaction<'_>, tenant: TenantId, id: &str) -> Result<Option<Entry>, Fault> {
    let created = list(t, sql::FIND_CREATED, &[&tenant.0, &id], |row| {
        get::<Option<i64>>(row, 0)
    })
    .await?
    .pop()
    .flatten();
    let Some(created) = created else {
        return Ok(None);
    };
    let at = timestamp(created)?;
    let read = |row: &Row| {
        let (change_id, credential_id) = (uuid(get(row, 0)?)?, get(row, 1)?);
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
    Ok(
        list(t, sql::FIND_CREATION, &[&tenant.0, &id, &created], read)
            .await?
            .pop(),
    )
}

/// A resource as it was.
pub(super) async fn snapshot(
    t: &Transaction<'_>,
    tenant: TenantId,
    id: &str,
    point: Point,
) -> Result<Remembered, Fault> {
    let id = storable(id);
    let read = |row: &Row| {
        let kind = history_kind(get(row, 1)?)?;
        Ok(Next {
            version: get(row, 0)?,
            kind,
            since: get(row, 2)?,
            created: get(row, 3)?,
            resource_type: get(row, 4)?,
        })
    };
    let (statement, value) = match point {
        Point::At(at) => (sql::NEXT_ENTRY_AFTER, micros(at)),
        Point::Version(version) => (sql::NEXT_ENTRY_ABOVE, stored(version)),
    };
    let next = list(t, statement, &[&tenant.0, &id, &value], read)
        .await?
        .pop();
    let read = |row: &Row| {
        Ok(Present {
            version: get(row, 1)?,
            created: get(row, 2)?,
            modified: get(row, 3)?,
            document: get(row, 4)?,
            resource_type: get(row, 5)?,
        })
    };
    let present = list(t, sql::READ_ANY_TYPE, &[&tenant.0, &id], read)
        .await?
        .pop();
    let buried_at = deleted(t, tenant, &Deleted::Id(id.clone().into_owned()), 1)
        .await?
        .pop()
        .map(|tombstone| micros(tombstone.at));
    let shot = match moment(&id, point, next.as_ref(), present.as_ref(), buried_at)? {
        Ok(shot) => shot,
        Err(remembered) => return Ok(remembered),
    };
    let kept = match &next {
        Some(next) => list(
            t,
            sql::NEXT_DOCUMENT,
            &[&tenant.0, &id, &next.version],
            |row| get::<String>(row, 0),
        )
        .await?
        .pop(),
        None => None,
    };
    let Some(document) = kept.or(present.map(|present| present.document)) else {
        return Ok(Remembered::Unknown);
    };
    let now = list(t, sql::LIST_MEMBER_IDS, &[&tenant.0, &id], |row| {
        get(row, 0)
    })
    .await?;
    let last = stored(shot.version);
    let first = list(
        t,
        sql::FIRST_MEMBER_CHANGES,
        &[&tenant.0, &id, &last],
        |row| Ok((get(row, 0)?, get::<i64>(row, 1)? != 0)),
    )
    .await?;
    Ok(Remembered::Was(Box::new(Snapshot {
        document: from_json(&document)?,
        members: members_then(now, first),
        ..shot
    })))
}

/// Members that joined or left.
pub(super) async fn member_changes(
    t: &Transaction<'_>,
    tenant: TenantId,
    group_id: &str,
    above: u64,
    limit: u32,
) -> Result<Vec<MemberChange>, Fault> {
    let read = |row: &Row| {
        Ok(MemberChange {
            version: version(get(row, 0)?),
            member_id: get(row, 1)?,
            joined: get::<i64>(row, 2)? != 0,
        })
    };
    let (id, above, limit) = (storable(group_id), stored(above), i64::from(limit));
    list(
        t,
        sql::READ_MEMBER_CHANGES,
        &[&tenant.0, &id, &above, &limit],
        read,
    )
    .await
}

/// The groups that a resource left because of a change set.
pub(super) async fn groups_left(
    t: &Transaction<'_>,
    tenant: TenantId,
    member_id: &str,
    change_id: Uuid,
) -> Result<Vec<String>, Fault> {
    let change_id = change_id.as_bytes().as_slice();
    list(
        t,
        sql::FIND_GROUPS_LEFT,
        &[&tenant.0, &storable(member_id), &change_id],
        |row| get(row, 0),
    )
    .await
}

/// Deleted resources.
pub(super) async fn deleted(
    t: &Transaction<'_>,
    tenant: TenantId,
    which: &Deleted,
    limit: u32,
) -> Result<Vec<Tombstone>, Fault> {
    let read = |row: &Row| {
        Ok(Tombstone {
            resource_type: get(row, 0)?,
            id: get(row, 1)?,
            version: version(get(row, 2)?),
            created: timestamp(get(row, 3)?)?,
            at: timestamp(get(row, 4)?)?,
            credential_id: get(row, 5)?,
            change_id: uuid(get(row, 6)?)?,
            display: get(row, 7)?,
            user_name: get(row, 8)?,
            external_id: get(row, 9)?,
        })
    };
    let limit = i64::from(limit);
    match which {
        Deleted::Before(at) => {
            list(
                t,
                sql::LIST_DELETED,
                &[&tenant.0, &micros(*at), &limit],
                read,
            )
            .await
        }
        Deleted::Id(id) => {
            list(
                t,
                sql::FIND_DELETED,
                &[&tenant.0, &storable(id), &limit],
                read,
            )
            .await
        }
        Deleted::Named {
            resource_type,
            user_name,
            external_id,
        } => {
            list(
                t,
                sql::FIND_DELETED_BY_NAME,
                &[&tenant.0, resource_type, user_name, external_id, &limit],
                read,
            )
            .await
        }
    }
}

/// Changes of a window.
pub(super) async fn changes(
    t: &Transaction<'_>,
    tenant: TenantId,
    window: &Window,
    after: u64,
    limit: u32,
) -> Result<Vec<WindowChange>, Fault> {
    let read = |row: &Row| {
        Ok(WindowChange {
            sequence: version(get(row, 0)?),
            resource_type: get(row, 1)?,
            id: get(row, 2)?,
            version: version(get(row, 3)?),
            at: timestamp(get(row, 4)?)?,
            change_id: uuid(get(row, 5)?)?,
            credential_id: get(row, 6)?,
        })
    };
    let (from, until, after, limit) = (
        micros(window.from),
        micros(window.until),
        stored(after),
        i64::from(limit),
    );
    list(
        t,
        sql::LIST_CHANGES,
        &[
            &tenant.0,
            &from,
            &until,
            &window.credential_id,
            &after,
            &limit,
        ],
        read,
    )
    .await
}

/// Forgets what ended before an instant, at most so many changes at once.
pub(super) async fn prune(
    t: &Transaction<'_>,
    tenant: TenantId,
    before: Timestamp,
    limit: u32,
) -> Result<u32, Fault> {
    let (at, most) = (micros(before), i64::from(limit));
    let read = |row: &Row| Ok((get::<String>(row, 0)?, get::<i64>(row, 1)?));
    let gone = list(t, sql::FORGET_CHANGES, &[&tenant.0, &at, &most], read).await?;
    let count = u32::try_from(gone.len()).unwrap_or(u32::MAX);
    let nothing = |_: &Row| Ok(());
    if gone.is_empty() {
        list(t, sql::FORGET_DELETED, &[&tenant.0, &at], nothing).await?;
        let oldest = before.as_second().div_euclid(60)
            - i64::from(directory::deletion_guard::WINDOW_MINUTES_MAX);
        list(t, sql::FORGET_REMOVALS, &[&tenant.0, &oldest], nothing).await?;
        return Ok(0);
    }
    let (ids, versions): (Vec<String>, Vec<i64>) = gone.into_iter().unzip();
    list(
        t,
        sql::FORGET_MEMBERS,
        &[&tenant.0, &ids, &versions],
        nothing,
    )
    .await?;
    Ok(count)
}
