//! What the deletion guard counts and holds in a commit, in PostgreSQL.

use directory::deletion_guard::{
    Counted, GuardSettings, Mode, Removal, decide, may_exceed, minute,
};
use directory::store::CommitError;

use super::commit::{Commit, Failure};
use crate::statements_of_safety as sql;

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
            sql::COUNT_REMOVALS.postgres(),
            &[&self.tenant, &name, &this_minute, &count],
        )
        .await?;
        let statement = self
            .transaction
            .prepare_cached(sql::SUM_REMOVALS.postgres())
            .await?;
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
            .execute(
                sql::USE_ALLOWANCE.postgres(),
                &[&self.tenant, &name, &self.at, &count],
            )
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
            sql::COUNT_MEMBERSHIPS.postgres()
        } else {
            sql::COUNT_USERS.postgres()
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
