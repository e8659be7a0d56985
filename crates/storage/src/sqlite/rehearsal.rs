//! What is done inside the transaction of a stage, on the thread that writes. Does not take it back; the writer does.

use std::sync::mpsc::{Receiver, channel};

use async_trait::async_trait;
use directory::change_set::{ChangeSet, Committed};
use directory::store::{CommitError, Fault, Found, Question};
use directory::tenant::TenantId;
use rusqlite::Connection;

use super::explain::fault;
use super::session::run;
use super::writer::{Writer, Writing};
use super::{commit, read, search};
use crate::history::deleted;
use crate::memberships::{count_all, find, members_after};
use crate::stage::{Asked, Begins, Cue, Line, SILENCE_MAX, Told};
use crate::totals::Totals;

#[async_trait]
impl Begins for Writer {
    async fn begin(&self, _: u32) -> Line {
        let (sender, cues) = channel();
        self.rehearse(move |connection| play(connection, &cues))
            .await;
        // A cue that cannot be sent is dropped: the transaction has ended.
        Box::new(move |cue| drop(sender.send(cue)))
    }
}

/// Does what it is told until nothing comes for a while.
fn play(connection: &Connection, cues: &Receiver<Cue>) {
    // An error may have ended the transaction, and outside of one everything would be kept.
    while let Ok(cue) = cues.recv_timeout(SILENCE_MAX)
        && !connection.is_autocommit()
    {
        let outcome = match &cue.asked {
            Asked::Commit(change_set) => {
                rehearse(connection, cue.tenant, change_set).map(Told::Committed)
            }
            Asked::Question(question) => answer(connection, cue.tenant, question)
                .map(Told::Found)
                .map_err(CommitError::from),
        };
        let failed = matches!(outcome, Err(CommitError::Fault(_)));
        cue.tell(outcome);
        if failed {
            return;
        }
    }
}

/// A commit, of which nothing is left where it is refused.
fn rehearse(
    connection: &Connection,
    tenant: TenantId,
    change_set: &ChangeSet,
) -> Result<Vec<Committed>, CommitError> {
    execute(connection, "SAVEPOINT rehearsed")?;
    let outcome = commit::apply(
        &Writing::on(connection),
        tenant,
        change_set,
        &commit::prepare(change_set),
    );
    if outcome.is_err() {
        execute(connection, "ROLLBACK TO rehearsed")?;
    }
    execute(connection, "RELEASE rehearsed")?;
    outcome
}

fn execute(connection: &Connection, statement: &str) -> Result<(), Fault> {
    connection
        .prepare_cached(statement)
        .and_then(|mut statement| statement.execute([]))
        .map(drop)
        .map_err(fault)
}

fn answer(connection: &Connection, tenant: TenantId, question: &Question) -> Result<Found, Fault> {
    Ok(match question {
        Question::Resource {
            resource_type,
            id,
            include,
        } => Found::Resource(
            read::read(connection, tenant, resource_type, id, *include)?.map(Box::new),
        ),
        Question::HasMoreMembers { group_id, count } => Found::HasMoreMembers(
            read::has_more_members_than(connection, tenant, group_id, *count)?,
        ),
        // What is counted here is true of nothing that stays, so it is not remembered.
        Question::Search(plan) => Found::Page(search::search(
            connection,
            tenant,
            plan,
            &Totals::default(),
        )?),
        Question::MembersAfter {
            group_id,
            after,
            limit,
        } => {
            let asked = (tenant, group_id.clone(), *after, *limit);
            let found = run(connection, async |session| {
                members_after(session, &asked).await
            });
            Found::Members(found?)
        }
        Question::FindMemberships(query) => {
            let asked = (tenant, query.clone());
            let found = run(connection, async |session| find(session, &asked).await);
            Found::Memberships(found?)
        }
        Question::CountMemberships(query) => {
            let asked = (tenant, query.clone());
            let found = run(connection, async |session| count_all(session, &asked).await);
            Found::Count(found?)
        }
        Question::Deleted { which, limit } => {
            let asked = (tenant, which.clone(), *limit);
            let found = run(connection, async |session| deleted(session, &asked).await);
            Found::Deleted(found?)
        }
    })
}
