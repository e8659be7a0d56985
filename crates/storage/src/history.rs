//! `History`: what was, and the forgetting of it. Commits write it (`record`).

use async_trait::async_trait;
use directory::deletion_guard::{Removal, WINDOW_MINUTES_MAX};
use directory::history::{
    Deleted, Entry, History, Kind, MemberChange, Point, Remembered, Snapshot, Tombstone, Window,
    WindowChange,
};
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use uuid::Uuid;

use crate::engine::{Database, Engine};
use crate::moments::{Next, Present, moment};
use crate::rows::{from_json, history_kind, members_then, micros, stored, version};
use crate::session::{Columns, Session, fields};
use crate::statements_of_safety as sql;

#[async_trait]
impl<E: Engine> History for Database<E> {
    async fn entries(
        &self,
        tenant: TenantId,
        id: &str,
        above_version: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, Fault> {
        let asked = (tenant, id.to_owned(), above_version, limit);
        self.read_long_snapshot(Some(tenant), asked, entries).await
    }

    async fn snapshot(
        &self,
        tenant: TenantId,
        id: &str,
        point: Point,
    ) -> Result<Remembered, Fault> {
        let asked = (tenant, id.to_owned(), point);
        self.read_long_snapshot(Some(tenant), asked, snapshot).await
    }

    async fn member_changes(
        &self,
        tenant: TenantId,
        group_id: &str,
        above_version: u64,
        limit: u32,
    ) -> Result<Vec<MemberChange>, Fault> {
        let asked = (tenant, group_id.to_owned(), above_version, limit);
        self.read_long(Some(tenant), asked, member_changes).await
    }

    async fn groups_left(
        &self,
        tenant: TenantId,
        member_id: &str,
        change_id: Uuid,
    ) -> Result<Vec<String>, Fault> {
        let asked = (tenant, member_id.to_owned(), change_id);
        self.read_long(Some(tenant), asked, groups_left).await
    }

    async fn deleted(
        &self,
        tenant: TenantId,
        which: Deleted,
        limit: u32,
    ) -> Result<Vec<Tombstone>, Fault> {
        self.read_long(Some(tenant), (tenant, which, limit), deleted)
            .await
    }

    async fn changes(
        &self,
        tenant: TenantId,
        window: &Window,
        after: u64,
        limit: u32,
    ) -> Result<Vec<WindowChange>, Fault> {
        let asked = (tenant, window.clone(), after, limit);
        self.read_long(Some(tenant), asked, changes).await
    }

    async fn prune(&self, tenant: TenantId, before: Timestamp, limit: u32) -> Result<u32, Fault> {
        self.write((tenant, before, limit), prune).await
    }
}

/// Changes of a resource above a version.
async fn entries(
    session: &mut dyn Session,
    (tenant, id, above, limit): &(TenantId, String, u64, u32),
) -> Result<Vec<Entry>, Fault> {
    let mut found = Vec::new();
    if *above == 0 {
        found.extend(creation(session, *tenant, id).await?);
    }
    let values = fields![tenant, id, stored(*above), limit];
    let later = session
        .rows(&sql::READ_ENTRIES, values, |row| {
            let before: Option<&str> = row.get(5)?;
            Ok(Entry {
                version: version(row.get(0)?),
                kind: history_kind(row.get(1)?)?,
                at: row.get(2)?,
                change_id: row.get(3)?,
                credential_id: row.get(4)?,
                before: before.map(from_json).transpose()?,
                created: row.get(6)?,
            })
        })
        .await?;
    found.extend(later);
    found.truncate(usize::try_from(*limit).unwrap_or(usize::MAX));
    Ok(found)
}

async fn creation(
    session: &mut dyn Session,
    tenant: TenantId,
    id: &str,
) -> Result<Option<Entry>, Fault> {
    let created: Option<Option<Timestamp>> = session
        .first(&sql::FIND_CREATED, fields![tenant, id], |row| row.get(0))
        .await?;
    let Some(at) = created.flatten() else {
        return Ok(None);
    };
    session
        .first(&sql::FIND_CREATION, fields![tenant, id, at], |row| {
            Ok(Entry {
                version: 1,
                kind: Kind::Create,
                at,
                change_id: row.get(0)?,
                credential_id: row.get(1)?,
                before: None,
                created: at,
            })
        })
        .await
}

/// A resource as it was.
async fn snapshot(
    session: &mut dyn Session,
    (tenant, id, point): &(TenantId, String, Point),
) -> Result<Remembered, Fault> {
    let (statement, value) = match point {
        Point::At(at) => (&sql::NEXT_ENTRY_AFTER, micros(*at)),
        Point::Version(version) => (&sql::NEXT_ENTRY_ABOVE, stored(*version)),
    };
    let next = session
        .first(statement, fields![tenant, id, value], next)
        .await?;
    let present = session
        .first(&sql::READ_ANY_TYPE, fields![tenant, id], present)
        .await?;
    let deletion = deleted(session, &(*tenant, Deleted::Id(id.clone()), 1)).await?;
    let deleted_at = deletion.first().map(|tombstone| micros(tombstone.at));
    let shot = match moment(id, *point, next.as_ref(), present.as_ref(), deleted_at)? {
        Ok(shot) => shot,
        Err(remembered) => return Ok(remembered),
    };
    let kept: Option<String> = match &next {
        Some(next) => {
            let values = fields![tenant, id, next.version];
            session
                .first(&sql::NEXT_DOCUMENT, values, |row| row.get(0))
                .await?
        }
        None => None,
    };
    let Some(document) = kept.or(present.map(|present| present.document)) else {
        return Ok(Remembered::Unknown);
    };
    let members = members(session, *tenant, id, stored(shot.version)).await?;
    Ok(Remembered::Was(Box::new(Snapshot {
        document: from_json(&document)?,
        members,
        ..shot
    })))
}

fn next(row: &dyn Columns) -> Result<Next, Fault> {
    Ok(Next {
        version: row.get(0)?,
        kind: history_kind(row.get(1)?)?,
        since: row.get(2)?,
        created: row.get(3)?,
        resource_type: row.get(4)?,
    })
}

fn present(row: &dyn Columns) -> Result<Present, Fault> {
    Ok(Present {
        version: row.get(1)?,
        created: row.get(2)?,
        modified: row.get(3)?,
        document: row.get(4)?,
        resource_type: row.get(5)?,
    })
}

/// The members that a group had when it had this version.
async fn members(
    session: &mut dyn Session,
    tenant: TenantId,
    id: &str,
    last_version: i64,
) -> Result<Vec<String>, Fault> {
    let now = session
        .rows(&sql::LIST_MEMBER_IDS, fields![tenant, id], |row| row.get(0))
        .await?;
    let values = fields![tenant, id, last_version];
    let first = session
        .rows(&sql::FIRST_MEMBER_CHANGES, values, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .await?;
    Ok(members_then(now, first))
}

/// Members that joined or left.
async fn member_changes(
    session: &mut dyn Session,
    (tenant, group_id, above, limit): &(TenantId, String, u64, u32),
) -> Result<Vec<MemberChange>, Fault> {
    let values = fields![tenant, group_id, stored(*above), limit];
    session
        .rows(&sql::READ_MEMBER_CHANGES, values, |row| {
            Ok(MemberChange {
                version: version(row.get(0)?),
                member_id: row.get(1)?,
                joined: row.get(2)?,
            })
        })
        .await
}

/// The groups that a resource left because of a change set.
async fn groups_left(
    session: &mut dyn Session,
    (tenant, member_id, change_id): &(TenantId, String, Uuid),
) -> Result<Vec<String>, Fault> {
    let values = fields![tenant, member_id, change_id];
    session
        .rows(&sql::FIND_GROUPS_LEFT, values, |row| row.get(0))
        .await
}

/// Deleted resources.
pub(crate) async fn deleted(
    session: &mut dyn Session,
    (tenant, which, limit): &(TenantId, Deleted, u32),
) -> Result<Vec<Tombstone>, Fault> {
    match which {
        Deleted::Before(at) => {
            let values = fields![tenant, at, limit];
            session.rows(&sql::LIST_DELETED, values, tombstone).await
        }
        Deleted::Id(id) => {
            let values = fields![tenant, id, limit];
            session.rows(&sql::FIND_DELETED, values, tombstone).await
        }
        Deleted::Named {
            resource_type,
            user_name,
            external_id,
        } => {
            let values = fields![tenant, resource_type, user_name, external_id, limit];
            session
                .rows(&sql::FIND_DELETED_BY_NAME, values, tombstone)
                .await
        }
    }
}

fn tombstone(row: &dyn Columns) -> Result<Tombstone, Fault> {
    Ok(Tombstone {
        resource_type: row.get(0)?,
        id: row.get(1)?,
        version: version(row.get(2)?),
        created: row.get(3)?,
        at: row.get(4)?,
        credential_id: row.get(5)?,
        change_id: row.get(6)?,
        display: row.get(7)?,
        user_name: row.get(8)?,
        external_id: row.get(9)?,
    })
}

/// Changes of a window.
async fn changes(
    session: &mut dyn Session,
    (tenant, window, after, limit): &(TenantId, Window, u64, u32),
) -> Result<Vec<WindowChange>, Fault> {
    let values = fields![
        tenant,
        window.from,
        window.until,
        &window.credential_id,
        stored(*after),
        limit
    ];
    session
        .rows(&sql::LIST_CHANGES, values, |row| {
            Ok(WindowChange {
                sequence: version(row.get(0)?),
                resource_type: row.get(1)?,
                id: row.get(2)?,
                version: version(row.get(3)?),
                at: row.get(4)?,
                change_id: row.get(5)?,
                credential_id: row.get(6)?,
            })
        })
        .await
}

/// Forgets what ended before an instant, at most so many changes at once.
async fn prune(
    session: &mut dyn Session,
    (tenant, before, limit): &(TenantId, Timestamp, u32),
) -> Result<u32, Fault> {
    let gone: Vec<(String, i64)> = session
        .rows(
            &sql::FORGET_CHANGES,
            fields![tenant, before, limit],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .await?;
    let lists: Vec<_> = gone
        .iter()
        .map(|(id, version)| fields![tenant, id, *version].to_vec())
        .collect();
    session.execute_each(&sql::FORGET_MEMBERS, &lists).await?;
    if gone.is_empty() {
        session
            .execute(&sql::FORGET_DELETED, fields![tenant, before])
            .await?;
        let oldest = before.as_second().div_euclid(60) - i64::from(WINDOW_MINUTES_MAX);
        for removal in Removal::ALL {
            let values = fields![tenant, removal.name(), oldest];
            session.execute(&sql::FORGET_REMOVALS, values).await?;
        }
    }
    Ok(u32::try_from(gone.len()).unwrap_or(u32::MAX))
}
