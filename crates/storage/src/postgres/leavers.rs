//! Ends what was issued to people who are deleted or left inactive, in the commit that does it, in PostgreSQL. Who they are, the change set says.

use super::commit::{Commit, Failure};
use super::statements::END_CREDENTIALS;
use crate::rows::storable;

impl Commit<'_> {
    /// Revokes the tokens and OAuth clients of the people who leave, removes the issuers that speak for them, and raises the tenant's revision where there
    /// was any, so that no node goes by what it remembers. The rows of these people are locked, so a token that is made meanwhile is either seen here or
    /// refused there.
    pub(super) async fn end_credentials(&self) -> Result<(), Failure> {
        let people: Vec<_> = self
            .change_set
            .leavers()
            .into_iter()
            .map(storable)
            .collect();
        if !people.is_empty() {
            self.execute(END_CREDENTIALS, &[&self.tenant, &people, &self.at])
                .await?;
        }
        Ok(())
    }
}
