//! Resources that a commit makes, in PostgreSQL: those without members many at a time, so that their cost in round trips does not depend on how many they
//! are; others, and those that come back after a deletion, one at a time.

use deadpool_postgres::Transaction;
use directory::change_set::{Change, ChangeSet, Committed, Content, Former, Write};
use directory::history::Kind;
use directory::pending::{Names, manager};
use directory::store::CommitError;

use super::commit::values::{Added, add_values, take_values};
use super::commit::{Commit, Failure, Values};
use super::statements as sql;
use super::statements_of_safety::{CREATE_AGAIN, FIND_AWAITED};
use crate::rows::{
    IndexRow, KIND_CREATE, Told, encode_entries, index_rows, micros, storable, stored, version,
};
use crate::written::{Changed, committed};

/// A new resource of one of the change sets that are committed together.
#[derive(Clone, Copy)]
pub(super) struct New<'a> {
    /// The place of its change set.
    pub(super) place: usize,
    change_set: &'a ChangeSet,
    write: &'a Write,
    content: &'a Content,
}

impl<'a> New<'a> {
    /// The new resource of a write that can be made together with others: it has no members yet, was not there before, and no value that it must have alone.
    pub(super) fn of(place: usize, change_set: &'a ChangeSet, write: &'a Write) -> Option<Self> {
        match &write.change {
            Change::Create {
                content,
                members,
                former: None,
            } if members.is_empty() && change_set.policy.alone(&write.resource_type).is_none() => {
                Some(Self {
                    place,
                    change_set,
                    write,
                    content,
                })
            }
            _ => None,
        }
    }
}

/// Why resources could not be made.
pub(super) enum NotMade {
    /// These change sets are refused, by their places.
    Refused(Vec<(usize, CommitError)>),
    /// PostgreSQL failed.
    Database(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for NotMade {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

/// Makes these resources with the rows of their indexes: their keys, in order. Also whether references wait for any of them.
pub(super) async fn make(
    transaction: &Transaction<'_>,
    tenant: i64,
    new: &[New<'_>],
) -> Result<(Vec<i64>, bool), NotMade> {
    let rows: Vec<Vec<IndexRow>> = new
        .iter()
        .map(|one| index_rows(&one.write.resource_type, &one.content.index))
        .collect();
    let keys = insert(transaction, tenant, new, &rows).await?;
    let added: Vec<Added<'_>> = new
        .iter()
        .zip(&rows)
        .zip(&keys)
        .map(|((one, rows), key)| Added {
            write: one.write,
            content: one.content,
            resource: *key,
            rows: rows.iter().collect(),
        })
        .collect();
    // Sent together, as none needs the answer of another.
    let (refused, added, awaited) = tokio::join!(
        take_values(transaction, tenant, &added),
        add_values(transaction, tenant, &added),
        is_awaited(transaction, tenant, new)
    );
    let refused: Vec<_> = refused?
        .into_iter()
        .filter_map(|(place, refusal)| Some((new.get(place)?.place, refusal)))
        .collect();
    added?;
    if refused.is_empty() {
        Ok((keys, awaited?))
    } else {
        Err(NotMade::Refused(refused))
    }
}

async fn insert(
    transaction: &Transaction<'_>,
    tenant: i64,
    new: &[New<'_>],
    rows: &[Vec<IndexRow>],
) -> Result<Vec<i64>, tokio_postgres::Error> {
    let types: Vec<&str> = new
        .iter()
        .map(|one| one.write.resource_type.as_str())
        .collect();
    let ids: Vec<_> = new.iter().map(|one| storable(&one.write.id)).collect();
    let at: Vec<i64> = new.iter().map(|one| micros(one.change_set.at)).collect();
    let displays: Vec<_> = new
        .iter()
        .map(|one| storable(&one.content.display))
        .collect();
    let entries: Vec<Vec<u8>> = rows.iter().map(|rows| encode_entries(rows)).collect();
    let documents: Vec<_> = new.iter().map(|one| one.content.document.text()).collect();
    let statement = transaction.prepare_cached(sql::CREATE_RESOURCES).await?;
    transaction
        .query(
            &statement,
            &[&tenant, &types, &ids, &at, &displays, &entries, &documents],
        )
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect()
}

/// Whether a reference waits for any of these.
async fn is_awaited(
    transaction: &Transaction<'_>,
    tenant: i64,
    new: &[New<'_>],
) -> Result<bool, tokio_postgres::Error> {
    let names: Vec<String> = new
        .iter()
        .filter(|one| one.change_set.policy.pending_references)
        .flat_map(|one| Names::of(&one.write.id, &one.content.document).folded())
        .collect();
    if names.is_empty() {
        return Ok(false);
    }
    let statement = transaction.prepare_cached(FIND_AWAITED).await?;
    Ok(!transaction
        .query(&statement, &[&tenant, &names])
        .await?
        .is_empty())
}

impl Commit<'_> {
    /// What follows when a resource was made together with others. `is_awaited`: whether a reference waits for one of them.
    pub(super) async fn follow(
        &mut self,
        new: &New<'_>,
        resource: i64,
        is_awaited: bool,
    ) -> Result<Committed, Failure> {
        let New { write, content, .. } = new;
        let first = 1;
        self.log(
            &write.resource_type,
            &write.id,
            first,
            Told::plain(KIND_CREATE),
        );
        if manager(&content.document).is_some() {
            self.await_manager(&write.resource_type, resource, content)
                .await?;
        }
        if is_awaited {
            self.link_awaiting(resource, &write.id, &content.document)
                .await?;
        }
        Ok(committed(version(first), self.at, self.at, true)?)
    }

    /// Makes one resource with its members, or brings one back.
    pub(super) async fn create(
        &mut self,
        write: &Write,
        content: &Content,
        members: &[String],
        former: Option<Former>,
    ) -> Result<Committed, Failure> {
        let rows = index_rows(&write.resource_type, &content.index);
        let (number, created) = match former {
            Some(former) => (self.come_back(write, former).await?, micros(former.created)),
            None => (1, self.at),
        };
        let resource = self
            .insert(write, content, &rows, former.map(|_| (number, created)))
            .await?;
        self.add_rows(Added {
            write,
            content,
            resource,
            rows: rows.iter().collect(),
        })
        .await?;
        let added = self.members_to_add(resource, members).await?;
        if !added.is_empty() {
            let keep = former.is_some() && self.keeps_history();
            let id = storable(&write.id);
            self.count_of(
                sql::ADD_MEMBERS,
                &[&self.tenant, &resource, &added, &id, &number, &keep],
            )
            .await?;
        }
        self.log(
            &write.resource_type,
            &write.id,
            number,
            Told::plain(KIND_CREATE),
        );
        self.await_manager(&write.resource_type, resource, content)
            .await?;
        self.link_awaiting(resource, &write.id, &content.document)
            .await?;
        Ok(committed(version(number), created, self.at, true)?)
    }

    /// Inserts the row of a resource: its key. `back`: the version and the creation of one that comes back.
    async fn insert(
        &self,
        write: &Write,
        content: &Content,
        rows: &[IndexRow],
        back: Option<(i64, i64)>,
    ) -> Result<i64, Failure> {
        let document = content.document.text();
        let (id, display, entries) = (
            storable(&write.id),
            storable(&content.display),
            encode_entries(rows),
        );
        let (statement, values): (&str, Values<'_>) = match &back {
            Some((number, created)) => (
                CREATE_AGAIN,
                &[
                    &self.tenant,
                    &write.resource_type,
                    &id,
                    number,
                    created,
                    &self.at,
                    &display,
                    &entries,
                    &document,
                ],
            ),
            None => (
                sql::CREATE_RESOURCE,
                &[
                    &self.tenant,
                    &write.resource_type,
                    &id,
                    &self.at,
                    &display,
                    &entries,
                    &document,
                ],
            ),
        };
        let statement = self.transaction.prepare_cached(statement).await?;
        let row = self.transaction.query_one(&statement, values).await?;
        Ok(row.try_get(0)?)
    }

    /// A deleted resource comes back under its id: its version.
    async fn come_back(&self, write: &Write, former: Former) -> Result<i64, Failure> {
        let (last, created) = (stored(former.version), micros(former.created));
        let since = self
            .take_tombstone(&write.resource_type, &write.id, last)
            .await?;
        let Write {
            resource_type, id, ..
        } = write;
        self.record(
            Changed {
                resource_type,
                id,
                version: last + 1,
                kind: Kind::Restore,
                since,
                created,
            },
            None,
        )
        .await?;
        Ok(last + 1)
    }
}
