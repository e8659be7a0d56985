//! The SQLite back end: one file, one thread that writes, connections that read.

mod by_key;
mod commit;
pub(crate) mod connections;
mod explain;
mod export;
pub mod journal;
mod pending;
mod query;
mod read;
pub mod readiness;
mod rehearsal;
pub mod requests;
mod revisions;
mod search;
pub mod serving;
pub(crate) mod session;
pub(crate) mod statements;
pub(crate) mod statements_of_installation;
pub(crate) mod statements_of_requests;
pub(crate) mod statements_of_safety;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use directory::change_set::{ChangeSet, Committed};
use directory::search::SearchPlan;
use directory::store::{CommitError, Fault, Include, SearchPage, Stage, Store, StoredResource};
use directory::tenant::TenantId;
use tokio::sync::Notify;

use self::connections::{Damage, Readers, open_writer, snapshot};
pub use self::connections::{LONG_READS_MAX, LONG_READS_PER_TENANT_MAX};
use self::journal::Journal;
use self::revisions::Revisions;
use self::writer::Writer;
use crate::engine::Database;
use crate::secrets::MasterKey;
use crate::stage::Played;
use crate::totals::Totals;

/// A database in a file.
pub type Sqlite = Database<SqliteEngine>;

/// What makes up a database in a file.
#[derive(Clone)]
pub struct SqliteEngine {
    writer: Writer,
    readers: Readers,
    revisions: Revisions,
    key: Arc<MasterKey>,
    committed: Arc<Notify>,
    totals: Arc<Totals>,
    damage: Damage,
}

/// Whether there is a database at this path, which has a key.
pub fn is_in_use(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.len() > 0)
}

impl Sqlite {
    /// Opens the database at this path, or makes it; brings its tables up to date. Refuses one that a newer program has used, one that was made with another
    /// key, and one that has lost its journal.
    pub fn open(path: &Path, key: Arc<MasterKey>) -> Result<Self, Fault> {
        let mut connection = open_writer(path)?;
        readiness::check_key(&mut connection, path, &key)?;
        let (revisions, damage) = (Revisions::open(path)?, Damage::default());
        Ok(Database(SqliteEngine {
            writer: Writer::start(
                connection,
                Journal::open(path)?,
                revisions.clone(),
                damage.clone(),
            )?,
            readers: Readers::new(path, damage.clone()),
            damage,
            revisions,
            key,
            committed: Arc::default(),
            totals: Arc::default(),
        }))
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn commit(
        &self,
        tenant: TenantId,
        change_set: Arc<ChangeSet>,
    ) -> Result<Vec<Committed>, CommitError> {
        let prepared = commit::prepare(&change_set);
        let committed = self
            .writer
            .write_holding(move |writing| commit::apply(writing, tenant, &change_set, &prepared))
            .await?;
        self.committed.notify_one();
        Ok(committed)
    }

    async fn read(
        &self,
        tenant: TenantId,
        resource_type: &str,
        id: &str,
        include: Include,
    ) -> Result<Option<StoredResource>, Fault> {
        if !include.members {
            return self.readers.read_short(|connection| {
                snapshot(connection, |c| {
                    read::read(c, tenant, resource_type, id, include)
                })
            });
        }
        let (resource_type, id) = (resource_type.to_owned(), id.to_owned());
        self.readers
            .read_long(tenant, move |connection| {
                snapshot(connection, |c| {
                    read::read(c, tenant, &resource_type, &id, include)
                })
            })
            .await
    }

    async fn has_more_members_than(
        &self,
        tenant: TenantId,
        group_id: &str,
        count: u32,
    ) -> Result<bool, Fault> {
        self.readers.read_short(|connection| {
            read::has_more_members_than(connection, tenant, group_id, count)
        })
    }

    async fn search(&self, tenant: TenantId, plan: SearchPlan) -> Result<SearchPage, Fault> {
        if plan.finds_one_at_most() {
            return self.readers.read_short(|connection| {
                snapshot(connection, |c| {
                    search::search(c, tenant, &plan, &self.totals)
                })
            });
        }
        let totals = Arc::clone(&self.totals);
        self.readers
            .read_long(tenant, move |connection| {
                snapshot(connection, |c| search::search(c, tenant, &plan, &totals))
            })
            .await
    }

    fn stage(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(Played::new(self.writer.clone())))
    }
}
