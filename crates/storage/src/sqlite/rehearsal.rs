//! Commits that are taken back: carried out inside the writer's transaction, in a job that always fails. Does not take them back itself; the writer does.

use directory::change_set::ChangeSet;
use directory::store::{CommitError, Fault, Found, Question, Rehearsed};
use directory::tenant::TenantId;
use rusqlite::Connection;

use super::{commit, memberships, read, search};
use crate::totals::Totals;

/// What a rehearsal came to, as the failure of its job.
pub(crate) struct Undone(pub Result<Rehearsed, CommitError>);

impl From<Fault> for Undone {
    fn from(fault: Fault) -> Self {
        Self(Err(fault.into()))
    }
}

impl From<Result<Rehearsed, CommitError>> for Undone {
    fn from(outcome: Result<Rehearsed, CommitError>) -> Self {
        Self(outcome)
    }
}

/// Carries out the commits and answers the question.
pub(crate) fn rehearse(
    connection: &Connection,
    tenant: TenantId,
    change_sets: &[ChangeSet],
    question: &Question,
) -> Result<Rehearsed, CommitError> {
    let committed = change_sets
        .iter()
        .map(|change_set| commit::apply(connection, tenant, change_set, &commit::prepare(change_set)))
        .collect::<Result<_, _>>()?;
    Ok(Rehearsed { committed, found: answer(connection, tenant, question)? })
}

fn answer(connection: &Connection, tenant: TenantId, question: &Question) -> Result<Option<Found>, Fault> {
    Ok(match question {
        Question::Nothing => None,
        Question::Resource { resource_type, id, include } => {
            Some(Found::Resource(read::read(connection, tenant, resource_type, id, *include)?.map(Box::new)))
        }
        Question::HasMoreMembers { group_id, count } => {
            Some(Found::HasMoreMembers(read::has_more_members_than(connection, tenant, group_id, *count)?))
        }
        // What is counted here is true of nothing that stays, so it is not remembered.
        Question::Search(plan) => Some(Found::Page(search::search(connection, tenant, plan, &Totals::default())?)),
        Question::MembersAfter { group_id, after, limit } => {
            Some(Found::Members(read::members_after(connection, tenant, group_id, *after, *limit)?))
        }
        Question::FindMemberships(query) => Some(Found::Memberships(memberships::find(connection, tenant, query)?)),
        Question::CountMemberships(query) => Some(Found::Count(memberships::count_all(connection, tenant, query)?)),
    })
}
