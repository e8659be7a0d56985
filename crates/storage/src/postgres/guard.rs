//! What the deletion guard counts and holds, in PostgreSQL: removals by minute, allowances, parked writes.

use directory::deletion_guard::{
    Counted, GuardSettings, Mode, Removal, decide, may_exceed, minute,
};
use directory::parking::{Allowance, Parked};
use directory::store::{CommitError, Fault};
use tokio_postgres::Row;

use super::commit::{Commit, Failure};
use super::connections::fault;
use super::statements_of_safety as sql;
use crate::rows::{from_json, removal, timestamp};

impl Commit<'_> {
    /// Counts what this change set takes away, and holds it where that is too much.
    pub(super) async fn guard(&self) -> Result<(), Failure> {
        let Some(settings) = self
            .change_set
            .policy
            .guard
            .filter(|settings| settings.mode != Mode::Off)
        else {
            return Ok(());
        };
        for removal in Removal::ALL {
            let count = i64::try_from(self.removals.of(removal)).unwrap_or(i64::MAX);
            if count > 0 {
                self.guard_one(&settings, removal, count).await?;
            }
        }
        Ok(())
    }

    async fn guard_one(
        &self,
        settings: &GuardSettings,
        removal: Removal,
        count: i64,
    ) -> Result<(), Failure> {
        let (name, at) = (removal.name(), self.change_set.at);
        let (this_minute, start) = (minute(at), settings.window_start(at));
        self.execute(
            sql::COUNT_REMOVALS,
            &[&self.tenant, &name, &this_minute, &count],
        )
        .await?;
        let statement = self.transaction.prepare_cached(sql::SUM_REMOVALS).await?;
        let sum = self
            .transaction
            .query_one(&statement, &[&self.tenant, &name, &start])
            .await?;
        let (in_window, oldest_minute): (i64, i64) = (sum.try_get(0)?, sum.try_get(1)?);
        let in_window = u64::try_from(in_window).unwrap_or_default();
        if !may_exceed(settings, removal, in_window) {
            return Ok(());
        }
        let of_all = self.had_before(removal, in_window).await?;
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
        let allowed = self
            .execute(sql::USE_ALLOWANCE, &[&self.tenant, &name, &self.at, &count])
            .await?;
        if allowed > 0 {
            Ok(())
        } else {
            Err(CommitError::Held(excess).into())
        }
    }

    /// What there was before the removals of the window.
    async fn had_before(&self, removal: Removal, in_window: u64) -> Result<u64, Failure> {
        let statement = if removal == Removal::Membership {
            sql::COUNT_MEMBERSHIPS
        } else {
            sql::COUNT_USERS
        };
        let now = self.count_of(statement, &[&self.tenant]).await?;
        // Who was disabled is still there.
        Ok(if removal == Removal::Disable {
            now
        } else {
            now.saturating_add(in_window)
        })
    }
}

/// A row of counts.
pub(super) fn counted(row: &Row) -> Result<(Removal, u64), Fault> {
    let count: i64 = row.try_get(1).map_err(fault)?;
    Ok((
        removal(row.try_get(0).map_err(fault)?)?,
        u64::try_from(count).unwrap_or_default(),
    ))
}

/// A row of allowances.
pub(super) fn allowance(row: &Row) -> Result<Allowance, Fault> {
    let remaining: i64 = row.try_get(1).map_err(fault)?;
    Ok(Allowance {
        removal: removal(row.try_get(0).map_err(fault)?)?,
        remaining: u64::try_from(remaining).unwrap_or_default(),
        expires: timestamp(row.try_get(2).map_err(fault)?)?,
    })
}

/// A row of parked writes.
pub(super) fn parked(row: &Row) -> Result<Parked, Fault> {
    Ok(Parked {
        id: row.try_get(0).map_err(fault)?,
        at: timestamp(row.try_get(1).map_err(fault)?)?,
        credential_id: row.try_get(2).map_err(fault)?,
        resource_type: row.try_get(3).map_err(fault)?,
        resource_id: row.try_get(4).map_err(fault)?,
        write: from_json(row.try_get(5).map_err(fault)?)?,
    })
}
