//! Ends what was issued to people who are deleted or left inactive, in the commit that does it. Who they are, the change set says.

use directory::change_set::ChangeSet;
use directory::store::Fault;
use directory::tenant::TenantId;

use crate::session::{Session, fields};
use crate::statements_of_callers as sql;
use crate::tenants::raise_revision;

/// Revokes the tokens and OAuth clients of the people who leave, removes the issuers that speak for them, and raises the tenant's revision where there was
/// any, so that no process goes by what it remembers. On PostgreSQL the rows of these people are locked, so a token that is made meanwhile is either seen
/// here or refused there.
pub(crate) async fn end_credentials(
    session: &mut dyn Session,
    tenant: TenantId,
    change_set: &ChangeSet,
) -> Result<(), Fault> {
    let people: Vec<String> = change_set
        .leavers()
        .into_iter()
        .map(str::to_owned)
        .collect();
    if people.is_empty() {
        return Ok(());
    }
    let to_revoke = fields![tenant, &people, change_set.at];
    let to_remove = fields![tenant, &people];
    let ended = session
        .execute_all(&[
            (&sql::END_TOKENS, to_revoke),
            (&sql::END_CLIENTS, to_revoke),
            (&sql::END_ISSUERS, to_remove),
        ])
        .await?;
    if ended.iter().any(|count| *count > 0) {
        raise_revision(session, tenant).await?;
    }
    Ok(())
}
