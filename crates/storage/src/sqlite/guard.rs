//! What the deletion guard counts and holds in a commit, in SQLite.

use directory::deletion_guard::{
    Counted, GuardSettings, Mode, Removal, decide, may_exceed, minute,
};
use directory::store::{CommitError, Fault};
use rusqlite::{Row, params};

use super::commit::Commit;
use crate::statements_of_safety as sql;

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
            sql::COUNT_REMOVALS.sqlite(),
            params![self.tenant, name, this_minute, count],
        )?;
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let (in_window, oldest_minute) = self.row(
            sql::SUM_REMOVALS.sqlite(),
            params![self.tenant, name, start],
            read,
        )?;
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
            sql::USE_ALLOWANCE.sqlite(),
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
            sql::COUNT_MEMBERSHIPS.sqlite()
        } else {
            sql::COUNT_USERS.sqlite()
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
