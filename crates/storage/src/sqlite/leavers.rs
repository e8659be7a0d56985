//! Ends what was issued to people who are deleted or left inactive, in the commit that does it, in SQLite. Who they are, the change set says.

use directory::store::Fault;
use rusqlite::params;

use super::commit::Commit;
use crate::statements_of_callers as sql;

impl Commit<'_, '_> {
    /// Revokes the tokens and OAuth clients of the people who leave, removes the issuers that speak for them, and raises the tenant's revision where there
    /// was any, so that no process goes by what it remembers.
    pub(super) fn end_credentials(&self) -> Result<(), Fault> {
        let mut ended = 0;
        for person in self.change_set.leavers() {
            ended += self.execute(
                sql::END_TOKENS.sqlite(),
                params![self.tenant, person, self.at],
            )?;
            ended += self.execute(
                sql::END_CLIENTS.sqlite(),
                params![self.tenant, person, self.at],
            )?;
            ended += self.execute(sql::END_ISSUERS.sqlite(), params![self.tenant, person])?;
        }
        if ended > 0 {
            self.execute(sql::RAISE_REVISION.sqlite(), [self.tenant])?;
            self.writing.revises();
        }
        Ok(())
    }
}
