//! What the deletion guard does in a commit: it counts what a change set takes away, and holds it where that is too much. Decides nothing itself.

use directory::change_set::ChangeSet;
use directory::deletion_guard::{
    Counted, Excess, GuardSettings, Mode, Removal, Removals, decide, may_exceed, minute,
};
use directory::store::Fault;
use directory::tenant::TenantId;

use crate::rows::{stored, version};
use crate::session::{Session, fields};
use crate::statements_of_safety as sql;

/// Counts what a change set takes away; says what of it is too much.
pub(crate) async fn guard(
    session: &mut dyn Session,
    tenant: TenantId,
    change_set: &ChangeSet,
    removals: &Removals,
) -> Result<Option<Excess>, Fault> {
    let settings = change_set.policy.guard;
    let Some(settings) = settings.filter(|settings| settings.mode != Mode::Off) else {
        return Ok(None);
    };
    let guarding = Guarding {
        tenant,
        change_set,
        settings: &settings,
    };
    for removal in Removal::ALL {
        let count = stored(removals.of(removal));
        if count > 0
            && let Some(excess) = guarding.one(session, removal, count).await?
        {
            return Ok(Some(excess));
        }
    }
    Ok(None)
}

struct Guarding<'a> {
    tenant: TenantId,
    change_set: &'a ChangeSet,
    settings: &'a GuardSettings,
}

impl Guarding<'_> {
    async fn one(
        &self,
        session: &mut dyn Session,
        removal: Removal,
        count: i64,
    ) -> Result<Option<Excess>, Fault> {
        let (tenant, name, at) = (self.tenant, removal.name(), self.change_set.at);
        session
            .execute(
                &sql::COUNT_REMOVALS,
                fields![tenant, name, minute(at), count],
            )
            .await?;
        let values = fields![tenant, name, self.settings.window_start(at)];
        let sum = session
            .first(&sql::SUM_REMOVALS, values, |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .await?;
        let (in_window, oldest_minute): (i64, i64) = sum.unwrap_or_default();
        let in_window = version(in_window);
        if !may_exceed(self.settings, removal, in_window) {
            return Ok(None);
        }
        let counted = Counted {
            in_window,
            of_all: self.had_before(session, removal, in_window).await?,
            oldest_minute,
        };
        let Some(excess) = decide(self.settings, removal, counted, at) else {
            return Ok(None);
        };
        let allowed = session
            .execute(&sql::USE_ALLOWANCE, fields![tenant, name, at, count])
            .await?;
        Ok((allowed == 0).then_some(excess))
    }

    /// What there was before the removals of the window.
    async fn had_before(
        &self,
        session: &mut dyn Session,
        removal: Removal,
        in_window: u64,
    ) -> Result<u64, Fault> {
        let statement = if removal == Removal::Membership {
            &sql::COUNT_MEMBERSHIPS
        } else {
            &sql::COUNT_USERS
        };
        let now: Option<i64> = session
            .first(statement, fields![self.tenant], |row| row.get(0))
            .await?;
        let now = version(now.unwrap_or_default());
        // A person who was disabled is still there.
        Ok(if removal == Removal::Disable {
            now
        } else {
            now.saturating_add(in_window)
        })
    }
}
