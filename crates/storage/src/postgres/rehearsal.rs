//! The transaction of a stage: a task that does what it is told, and takes it back.

use async_trait::async_trait;
use deadpool_postgres::{Object, Transaction};
use directory::change_set::ChangeSet;
use directory::store::{CommitError, Fault, Found, Question};
use directory::tenant::TenantId;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::attempts::{Attempts, passes};
use super::commit::Failure;
use super::connections::{Connections, begin, fault};
use super::session::PostgresSession;
use super::statements::COUNT_MEMBERS;
use super::{read, search, together};
use crate::history::deleted;
use crate::memberships::{count_all, find, members_after};
use crate::rows::storable;
use crate::stage::{Asked, Begins, Cue, Line, SILENCE_MAX, Told};
use crate::totals::Totals;

#[async_trait]
impl Begins for Connections {
    async fn begin(&self, failed: u32) -> Line {
        let (sender, cues) = unbounded_channel();
        tokio::spawn(play(self.clone(), failed, cues));
        // A cue that cannot be sent is dropped: the transaction has ended.
        Box::new(move |cue| drop(sender.send(cue)))
    }
}

async fn play(connections: Connections, failed: u32, mut cues: UnboundedReceiver<Cue>) {
    let Some(first) = next(&mut cues).await else {
        return;
    };
    let mut connection = match Attempts::after(&connections, failed).connection().await {
        Ok(connection) => connection,
        Err(fault) => return first.tell(Err(fault.into())),
    };
    if let Err(error) = play_on(&mut connection, first, &mut cues).await {
        tracing::debug!(error = %error, "a rehearsal has to begin again");
    }
}

/// Fails where PostgreSQL, asked once more, may do it; then the cue is not answered.
async fn play_on(
    connection: &mut Object,
    first: Cue,
    cues: &mut UnboundedReceiver<Cue>,
) -> Result<(), Fault> {
    let mut transaction = begin(connection).await.map_err(fault)?;
    let mut cue = Some(first);
    while let Some(one) = cue {
        let outcome = match &one.asked {
            Asked::Commit(change_set) => rehearse(&mut transaction, one.tenant, change_set).await,
            Asked::Question(question) => answer(&transaction, one.tenant, question)
                .await
                .map(Told::Found),
        };
        let outcome = match outcome {
            Ok(told) => Ok(told),
            Err(failure) => match failure.into_error() {
                CommitError::Fault(fault) if passes(&fault) => return Err(fault),
                refused => Err(refused),
            },
        };
        // After an error of PostgreSQL's nothing can be asked in this transaction any more.
        let failed = matches!(outcome, Err(CommitError::Fault(_)));
        one.tell(outcome);
        if failed {
            break;
        }
        cue = next(cues).await;
    }
    transaction.rollback().await.map_err(fault)
}

async fn next(cues: &mut UnboundedReceiver<Cue>) -> Option<Cue> {
    timeout(SILENCE_MAX, cues.recv()).await.ok().flatten()
}

/// A commit, of which nothing is left where it is refused.
async fn rehearse(
    transaction: &mut Transaction<'_>,
    tenant: TenantId,
    change_set: &ChangeSet,
) -> Result<Told, Failure> {
    let savepoint = transaction.savepoint("rehearsed").await?;
    let outcome = together::rehearse(&savepoint, tenant, change_set).await;
    match outcome {
        Ok(committed) => {
            savepoint.commit().await?;
            Ok(Told::Committed(committed))
        }
        // After an error of PostgreSQL's the whole transaction ends.
        Err(Failure::Refused(CommitError::Fault(fault))) => Err(fault.into()),
        Err(Failure::Refused(refused)) => {
            savepoint.rollback().await?;
            Err(Failure::Refused(refused))
        }
        Err(failure) => Err(failure),
    }
}

async fn answer(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    question: &Question,
) -> Result<Found, Failure> {
    let mut session = PostgresSession::on(transaction, false);
    Ok(match question {
        Question::Resource {
            resource_type,
            id,
            include,
        } => Found::Resource(
            read::read(transaction, tenant, resource_type, id, *include)
                .await?
                .map(Box::new),
        ),
        Question::HasMoreMembers { group_id, count } => {
            let limit = i64::from(*count) + 1;
            let statement = transaction.prepare_cached(COUNT_MEMBERS).await?;
            let row = transaction
                .query_one(&statement, &[&tenant.0, &storable(group_id), &limit])
                .await?;
            Found::HasMoreMembers(row.try_get::<_, i64>(0)? == limit)
        }
        // What is counted here is true of nothing that stays, so it is not remembered.
        Question::Search(plan) => {
            Found::Page(search::search(transaction, tenant, plan, &Totals::default()).await?)
        }
        Question::MembersAfter {
            group_id,
            after,
            limit,
        } => {
            let asked = (tenant, group_id.clone(), *after, *limit);
            Found::Members(members_after(&mut session, &asked).await?)
        }
        Question::FindMemberships(query) => {
            Found::Memberships(find(&mut session, &(tenant, query.clone())).await?)
        }
        Question::CountMemberships(query) => {
            Found::Count(count_all(&mut session, &(tenant, query.clone())).await?)
        }
        Question::Deleted { which, limit } => {
            Found::Deleted(deleted(&mut session, &(tenant, which.clone(), *limit)).await?)
        }
    })
}
