//! What the deletion guard counts and holds, in SQLite: removals by minute, allowances, parked writes.

use directory::deletion_guard::{
    Counted, GuardSettings, Mode, Removal, decide, may_exceed, minute,
};
use directory::parking::{Allowance, Parked};
use directory::store::{CommitError, Fault};
use directory::tenant::TenantId;
use rusqlite::{Connection, Row, params};

use super::commit::Commit;
use super::connections::fault;
use super::statements_of_safety as sql;
use crate::rows::{from_json, json_text, micros, removal, timestamp};

impl Commit<'_, '_> {
    /// Counts what this change set takes away, and holds it where that is too much.
    pub(super) fn guard(&self) -> Result<(), CommitError> {
        let Some(settings) = self
            .change_set
            .policy
            .guard
            .filter(|settings| settings.mode != Mode::Off)
        else {
            return Ok(());
        };
        let removals = self.removals.get();
        for removal in Removal::ALL {
            let count = i64::try_from(removals.of(removal)).unwrap_or(i64::MAX);
            if count > 0 {
                self.guard_one(&settings, removal, count)?;
            }
        }
        Ok(())
    }

    fn guard_one(
        &self,
        settings: &GuardSettings,
        removal: Removal,
        count: i64,
    ) -> Result<(), CommitError> {
        let (name, at) = (removal.name(), self.change_set.at);
        let (this_minute, start) = (minute(at), settings.window_start(at));
        self.execute(
            sql::COUNT_REMOVALS,
            params![self.tenant, name, this_minute, count],
        )?;
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let (in_window, oldest_minute) =
            self.row(sql::SUM_REMOVALS, params![self.tenant, name, start], read)?;
        let in_window = u64::try_from(in_window).unwrap_or_default();
        if !may_exceed(settings, removal, in_window) {
            return Ok(());
        }
        let of_all = self.had_before(removal, in_window)?;
        let Some(excess) = decide(
            settings,
            removal,
            Counted {
                in_window,
                of_all,
                oldest_minute,
            },
            at,
        ) else {
            return Ok(());
        };
        let allowed = self.execute(
            sql::USE_ALLOWANCE,
            params![self.tenant, name, self.at, count],
        )?;
        if allowed > 0 {
            Ok(())
        } else {
            Err(CommitError::Held(excess))
        }
    }

    /// What there was before the removals of the window.
    fn had_before(&self, removal: Removal, in_window: u64) -> Result<u64, Fault> {
        let statement = if removal == Removal::Membership {
            sql::COUNT_MEMBERSHIPS
        } else {
            sql::COUNT_USERS
        };
        let now: i64 = self.row(statement, [self.tenant], |row| row.get(0))?;
        let now = u64::try_from(now).unwrap_or_default();
        // Who was disabled is still there.
        Ok(if removal == Removal::Disable {
            now
        } else {
            now.saturating_add(in_window)
        })
    }
}

/// Forgets counts that are in no window any more.
pub(crate) fn forget_removals(
    connection: &Connection,
    tenant: TenantId,
    before_minute: i64,
) -> Result<(), Fault> {
    let mut statement = connection
        .prepare_cached(sql::FORGET_REMOVALS)
        .map_err(fault)?;
    for removal in Removal::ALL {
        statement
            .execute(params![tenant.0, removal.name(), before_minute])
            .map_err(fault)?;
    }
    Ok(())
}

/// How many of each kind were removed from this minute on.
pub(crate) fn removals_since(
    connection: &Connection,
    tenant: TenantId,
    minute: i64,
) -> Result<Vec<(Removal, u64)>, Fault> {
    let mut statement = connection
        .prepare_cached(sql::LIST_REMOVALS)
        .map_err(fault)?;
    let mut rows = statement.query(params![tenant.0, minute]).map_err(fault)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(fault)? {
        let (name, count): (String, i64) = (row.get(0).map_err(fault)?, row.get(1).map_err(fault)?);
        found.push((removal(&name)?, u64::try_from(count).unwrap_or_default()));
    }
    Ok(found)
}

/// What is let through.
pub(crate) fn allowances(
    connection: &Connection,
    tenant: TenantId,
) -> Result<Vec<Allowance>, Fault> {
    let mut statement = connection
        .prepare_cached(sql::LIST_ALLOWANCES)
        .map_err(fault)?;
    let mut rows = statement.query([tenant.0]).map_err(fault)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(fault)? {
        let (name, remaining): (String, i64) =
            (row.get(0).map_err(fault)?, row.get(1).map_err(fault)?);
        found.push(Allowance {
            removal: removal(&name)?,
            remaining: u64::try_from(remaining).unwrap_or_default(),
            expires: timestamp(row.get(2).map_err(fault)?)?,
        });
    }
    Ok(found)
}

/// Lets through so many more.
pub(crate) fn allow(
    connection: &Connection,
    tenant: TenantId,
    allowance: Allowance,
) -> Result<(), Fault> {
    let remaining = i64::try_from(allowance.remaining).unwrap_or(i64::MAX);
    let values = params![
        tenant.0,
        allowance.removal.name(),
        remaining,
        micros(allowance.expires)
    ];
    connection
        .execute(sql::ALLOW, values)
        .map(drop)
        .map_err(fault)
}

/// Keeps a write; those it supersedes go.
pub(crate) fn park(
    connection: &Connection,
    tenant: TenantId,
    parked: &Parked,
    superseded: &[String],
) -> Result<(), Fault> {
    for id in superseded {
        remove_parked(connection, tenant, id)?;
    }
    let write = json_text(&parked.write)?;
    let values = params![
        tenant.0,
        parked.id,
        micros(parked.at),
        parked.credential_id,
        parked.resource_type,
        parked.resource_id,
        write
    ];
    connection
        .execute(sql::PARK, values)
        .map(drop)
        .map_err(fault)
}

/// Parked writes, the oldest first.
pub(crate) fn list_parked(
    connection: &Connection,
    tenant: TenantId,
    resource_id: Option<&str>,
    limit: u32,
) -> Result<Vec<Parked>, Fault> {
    let mut statement = connection.prepare_cached(sql::LIST_PARKED).map_err(fault)?;
    let mut rows = statement
        .query(params![tenant.0, resource_id, limit])
        .map_err(fault)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(fault)? {
        let write: String = row.get(5).map_err(fault)?;
        found.push(Parked {
            id: row.get(0).map_err(fault)?,
            at: timestamp(row.get(1).map_err(fault)?)?,
            credential_id: row.get(2).map_err(fault)?,
            resource_type: row.get(3).map_err(fault)?,
            resource_id: row.get(4).map_err(fault)?,
            write: from_json(&write)?,
        });
    }
    Ok(found)
}

/// Takes one out.
pub(crate) fn remove_parked(
    connection: &Connection,
    tenant: TenantId,
    id: &str,
) -> Result<bool, Fault> {
    connection
        .execute(sql::REMOVE_PARKED, params![tenant.0, id])
        .map(|count| count > 0)
        .map_err(fault)
}
