//! The transaction of a commit, of one change set or of several that came at the same time: all of it, or an error and nothing. Retries inside.
//!
//! Change sets are applied one after the other, those that only make resources first and in one go. Their rows of the change log are written by one
//! statement at the end, as that locks the tenant's counter, for which every other commit of the tenant waits.

use std::collections::HashMap;

use deadpool_postgres::{Object, Transaction};
use directory::change_set::{ChangeSet, Committed};
use directory::store::{CommitError, Fault};
use directory::tenant::TenantId;
use tokio_postgres::Row;

use super::attempts::Attempts;
use super::commit::{Commit, Failure, Values};
use super::connections::{Connections, begin, fault};
use super::create::{New, NotMade, make};
use super::session::PostgresSession;
use super::statements as sql;
use crate::guard::guard;
use crate::leavers::end_credentials;
use crate::rows::storable;
use crate::schemas::revision;

/// Why change sets could not be committed together.
pub(super) enum Failed {
    /// These are refused, by their places. Nothing was changed, and whether they are refused without the others is not known.
    Refused(Vec<(usize, CommitError)>),
    /// PostgreSQL failed; perhaps not the next time.
    Fault(Fault),
}

impl Failed {
    fn of(place: usize) -> impl Fn(Failure) -> Self {
        move |failure| match failure.into_error() {
            CommitError::Fault(fault) => Self::Fault(fault),
            refused => Self::Refused(vec![(place, refused)]),
        }
    }
}

impl Failed {
    /// The error of the only change set.
    fn into_error(self) -> CommitError {
        match self {
            Self::Fault(fault) => fault.into(),
            Self::Refused(refused) => refused.into_iter().next().map_or_else(
                || Fault::new("a commit was refused without a reason").into(),
                |(_, error)| error,
            ),
        }
    }
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Fault(fault(error))
    }
}

impl From<NotMade> for Failed {
    fn from(error: NotMade) -> Self {
        match error {
            NotMade::Refused(refused) => Self::Refused(refused),
            NotMade::Database(error) => error.into(),
        }
    }
}

/// Commits a change set; one `Committed` per write. What was committed under the same change id before is not done again, so that a commit whose outcome
/// got lost with its connection can be tried again too. `failed`: how many attempts failed before.
pub(super) async fn commit(
    connections: &Connections,
    tenant: TenantId,
    change_set: &ChangeSet,
    failed: u32,
) -> Result<Vec<Committed>, CommitError> {
    let mut attempts = Attempts::after(connections, failed);
    loop {
        let mut connection = attempts.connection().await?;
        match commit_together(&mut connection, tenant, &[change_set]).await {
            Ok(committed) => return Ok(committed.into_iter().flatten().collect()),
            Err(failed) => match failed.into_error() {
                CommitError::Fault(fault) => attempts.again(fault)?,
                refused => return Err(refused),
            },
        }
    }
}

/// Commits change sets in one transaction, once; the outcomes of each, in order.
pub(super) async fn commit_together(
    connection: &mut Object,
    tenant: TenantId,
    change_sets: &[&ChangeSet],
) -> Result<Vec<Vec<Committed>>, Failed> {
    let transaction = begin(connection).await?;
    let committed = Together::new(&transaction, tenant, change_sets)
        .apply(true)
        .await?;
    transaction.commit().await?;
    Ok(committed)
}

/// Does what a commit does, and leaves it to the caller to take it back. It is in no log: for the tenant's counter every other commit waits.
pub(super) async fn rehearse(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    change_set: &ChangeSet,
) -> Result<Vec<Committed>, Failure> {
    let committed = Together::new(transaction, tenant, &[change_set])
        .apply(false)
        .await;
    match committed {
        Ok(committed) => Ok(committed.into_iter().flatten().collect()),
        Err(failed) => Err(failed.into_error().into()),
    }
}

struct Together<'a> {
    transaction: &'a Transaction<'a>,
    tenant: i64,
    commits: Vec<Commit<'a>>,
    /// What became of the writes of each.
    committed: Vec<Vec<Committed>>,
}

impl<'a> Together<'a> {
    fn new(
        transaction: &'a Transaction<'a>,
        tenant: TenantId,
        change_sets: &[&'a ChangeSet],
    ) -> Self {
        Self {
            transaction,
            tenant: tenant.0,
            commits: change_sets
                .iter()
                .map(|change_set| Commit::new(transaction, tenant, change_set))
                .collect(),
            committed: change_sets.iter().map(|_| Vec::new()).collect(),
        }
    }

    async fn apply(mut self, is_logged: bool) -> Result<Vec<Vec<Committed>>, Failed> {
        let fresh = self.fresh().await?;
        let mut run = Vec::new();
        for (place, change_set) in &fresh {
            if let Some(new) = all_new(*place, change_set) {
                run.extend(new);
            }
        }
        // Goes on after a refusal, so that one attempt finds all that are refused.
        let mut refused = Vec::new();
        refusals(self.create(run).await, &mut refused)?;
        for (place, change_set) in &fresh {
            if all_new(*place, change_set).is_none() {
                refusals(self.write(*place, change_set).await, &mut refused)?;
            }
        }
        if !refused.is_empty() {
            return Err(Failed::Refused(refused));
        }
        if !is_logged {
            // A rehearsal must not lock the tenant's row, and nothing that it shows depends on credentials.
            self.check_types().await?;
        } else if !self.write_log().await? {
            self.check_types().await?;
        }
        // Where the change is logged, the tenant's counter is locked now, so no other commit counts at the same time.
        for (place, commit) in self.commits.iter().enumerate() {
            if fresh.iter().any(|(fresh, _)| *fresh == place) {
                let mut session = PostgresSession::on(self.transaction, false);
                let (change_set, removals) = (commit.change_set, &commit.removals);
                let excess = guard(&mut session, TenantId(self.tenant), change_set, removals).await;
                if let Some(excess) = excess.map_err(Failed::Fault)? {
                    return Err(Failed::Refused(vec![(place, CommitError::Held(excess))]));
                }
                if is_logged {
                    end_credentials(&mut session, TenantId(self.tenant), change_set)
                        .await
                        .map_err(Failed::Fault)?;
                }
            }
        }
        Ok(self.committed)
    }

    /// The change sets that were not committed before, with their places. Of the others it is known what became of them.
    async fn fresh(&mut self) -> Result<Vec<(usize, &'a ChangeSet)>, Failed> {
        let change_ids: Vec<&[u8]> = self
            .commits
            .iter()
            .map(|commit| commit.change_set.change_id.as_bytes().as_slice())
            .collect();
        // Sent together: the lock costs no round trip.
        let (of_lock, of_find): (Values<'_>, Values<'_>) =
            (&[&self.tenant], &[&self.tenant, &change_ids]);
        let (locked, before) = tokio::join!(
            query(self.transaction, sql::SHARE_TYPES, of_lock),
            query(self.transaction, sql::FIND_CHANGES, of_find)
        );
        let (_, before) = (locked?, before?);
        let mut known: HashMap<&[u8], Vec<&Row>> = HashMap::new();
        for row in &before {
            known.entry(row.try_get(0)?).or_default().push(row);
        }
        let mut fresh = Vec::with_capacity(self.commits.len());
        for (place, (commit, committed)) in self.commits.iter().zip(&mut self.committed).enumerate()
        {
            let Some(before) = known.get(commit.change_set.change_id.as_bytes().as_slice()) else {
                fresh.push((place, commit.change_set));
                continue;
            };
            for write in &commit.change_set.writes {
                let again = commit.again(write, before).await;
                committed.push(again.map_err(Failed::of(place))?);
            }
        }
        Ok(fresh)
    }

    /// The writes of one change set, in order; those that follow each other and make resources in one go.
    async fn write(&mut self, place: usize, change_set: &'a ChangeSet) -> Result<(), Failed> {
        if let Some(commit) = self.commits.get(place) {
            commit.give_up().await.map_err(Failed::of(place))?;
        }
        let mut run = Vec::new();
        for write in &change_set.writes {
            if let Some(new) = New::of(place, change_set, write) {
                run.push(new);
                continue;
            }
            self.create(std::mem::take(&mut run)).await?;
            if let (Some(commit), Some(committed)) =
                (self.commits.get_mut(place), self.committed.get_mut(place))
            {
                committed.push(commit.write(write).await.map_err(Failed::of(place))?);
            }
        }
        self.create(run).await
    }

    async fn create(&mut self, run: Vec<New<'a>>) -> Result<(), Failed> {
        if run.is_empty() {
            return Ok(());
        }
        let (keys, is_awaited) = make(self.transaction, self.tenant, &run).await?;
        for (new, key) in run.iter().zip(keys) {
            if let (Some(commit), Some(committed)) = (
                self.commits.get_mut(new.place),
                self.committed.get_mut(new.place),
            ) {
                let made = commit.follow(new, key, is_awaited).await;
                committed.push(made.map_err(Failed::of(new.place))?);
            }
        }
        Ok(())
    }

    /// Writes the rows of all change sets. False where the tenant's types are not those that they were decided with.
    async fn write_log(&self) -> Result<bool, Failed> {
        let (mut change_ids, mut at, mut credentials) = (Vec::new(), Vec::new(), Vec::new());
        let (mut types, mut ids, mut attributes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut versions, mut kinds) = (Vec::<i64>::new(), Vec::<i64>::new());
        for commit in &self.commits {
            let change_set = commit.change_set;
            for _ in &commit.log.ids {
                change_ids.push(change_set.change_id.as_bytes().as_slice());
                at.push(commit.at);
                credentials.push(storable(&change_set.policy.credential_id));
            }
            types.extend(&commit.log.types);
            ids.extend(&commit.log.ids);
            attributes.extend(&commit.log.attributes);
            versions.extend(&commit.log.versions);
            kinds.extend(&commit.log.kinds);
        }
        if ids.is_empty() {
            return Ok(true);
        }
        let values: Values<'_> = &[
            &self.tenant,
            &self.decided_with(),
            &change_ids,
            &types,
            &ids,
            &versions,
            &at,
            &kinds,
            &attributes,
            &credentials,
        ];
        let statement = self.transaction.prepare_cached(sql::LOG_CHANGES).await?;
        let written = self.transaction.execute(&statement, values).await?;
        Ok(usize::try_from(written) == Ok(ids.len()))
    }

    /// The revision of the tenant's types that all were decided with.
    fn decided_with(&self) -> i64 {
        let first = self.commits.first();
        first.map_or(0, |commit| {
            i64::try_from(commit.change_set.types_revision).unwrap_or(i64::MAX)
        })
    }

    /// Refuses what changes something and was decided with types of yesterday: its index rows would be those of yesterday.
    async fn check_types(&self) -> Result<(), Failed> {
        let changing: Vec<usize> = self
            .commits
            .iter()
            .enumerate()
            .filter(|(_, commit)| !commit.log.ids.is_empty())
            .map(|(place, _)| place)
            .collect();
        if changing.is_empty() {
            return Ok(());
        }
        let mut session = PostgresSession::on(self.transaction, false);
        let today = revision(&mut session, TenantId(self.tenant))
            .await
            .map_err(Failed::Fault)?;
        if today == self.decided_with() {
            return Ok(());
        }
        let refused = |place| (place, CommitError::TypesChanged);
        Err(Failed::Refused(changing.into_iter().map(refused).collect()))
    }
}

/// Puts the refusals to the others; any other failure ends the transaction.
fn refusals(
    outcome: Result<(), Failed>,
    refused: &mut Vec<(usize, CommitError)>,
) -> Result<(), Failed> {
    match outcome {
        Err(Failed::Refused(more)) => refused.extend(more),
        other => other?,
    }
    Ok(())
}

/// The resources of a change set that does nothing but make some.
fn all_new<'a>(place: usize, change_set: &'a ChangeSet) -> Option<Vec<New<'a>>> {
    change_set
        .writes
        .iter()
        .map(|write| New::of(place, change_set, write))
        .collect()
}

async fn query(
    transaction: &Transaction<'_>,
    statement: &str,
    values: Values<'_>,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let statement = transaction.prepare_cached(statement).await?;
    transaction.query(&statement, values).await
}
