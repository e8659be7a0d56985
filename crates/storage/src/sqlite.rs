//! The SQLite back end: one file, one thread that writes, connections that read.

mod by_key;
mod catalogue;
mod clients;
mod commit;
pub(crate) mod connections;
mod events;
mod explain;
mod issuers;
mod guard;
mod history;
pub mod journal;
mod leavers;
mod ledger;
mod memberships;
mod pending;
mod provisioning_log;
mod read;
pub mod readiness;
mod rehearsal;
pub mod requests;
mod receivers;
mod record;
mod safety;
mod schemas;
mod revisions;
mod search;
pub mod serving;
pub(crate) mod statements;
pub(crate) mod statements_of_events;
pub(crate) mod statements_of_installation;
pub(crate) mod statements_of_requests;
pub(crate) mod statements_of_callers;
pub(crate) mod statements_of_safety;
pub(crate) mod statements_of_schemas;
pub(crate) mod statements_of_work;
mod tenant_life;
mod tenants;
mod writer;

use std::path::Path;
use std::sync::Arc;

use access::credential::{TokenHash, TokenRecord, Tokens};
use async_trait::async_trait;
use directory::change_set::{ChangeSet, Committed};
use directory::search::SearchPlan;
use directory::store::{
    CommitError, Fault, Include, Member, Membership, MembershipQuery, Memberships, SearchPage,
    Stage, Store, StoredResource, Tenants,
};
use directory::tenant::{Tenant, TenantId, TenantSettings};
use jiff::Timestamp;
use tokio::sync::Notify;

use self::connections::{Damage, Readers, open_writer, snapshot};
pub use self::connections::{LONG_READS_MAX, LONG_READS_PER_TENANT_MAX};
use self::journal::Journal;
use self::revisions::Revisions;
use self::writer::Writer;
use crate::rows::{json_text, micros};
use crate::secrets::MasterKey;
use crate::stage::Played;
use crate::totals::Totals;

/// A database in a file.
#[derive(Clone)]
pub struct Sqlite {
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
        Ok(Self {
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
        })
    }

    /// Notified whenever resources were changed.
    pub fn committed(&self) -> Arc<Notify> {
        Arc::clone(&self.committed)
    }
}

#[async_trait]
impl Memberships for Sqlite {
    async fn members_after(
        &self,
        tenant: TenantId,
        group_id: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Member>, Fault> {
        let group_id = group_id.to_owned();
        self.readers
            .read_long(tenant, move |connection| {
                read::members_after(connection, tenant, &group_id, after, limit)
            })
            .await
    }

    async fn find_memberships(
        &self,
        tenant: TenantId,
        query: &MembershipQuery,
    ) -> Result<Vec<Membership>, Fault> {
        let query = query.clone();
        self.readers
            .read_long(tenant, move |connection| {
                memberships::find(connection, tenant, &query)
            })
            .await
    }

    async fn count_memberships(
        &self,
        tenant: TenantId,
        query: &MembershipQuery,
    ) -> Result<u64, Fault> {
        let query = query.clone();
        self.readers
            .read_long(tenant, move |connection| {
                memberships::count_all(connection, tenant, &query)
            })
            .await
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

#[async_trait]
impl Tenants for Sqlite {
    async fn create_tenant(
        &self,
        name: &str,
        settings: TenantSettings,
        at: Timestamp,
    ) -> Result<Option<Tenant>, Fault> {
        let settings = json_text(&settings)?;
        let name = name.to_owned();
        self.writer
            .revise(move |connection| {
                tenants::create_tenant(connection, &name, &settings, micros(at))
            })
            .await
    }

    async fn find_tenant(&self, name: &str) -> Result<Option<Tenant>, Fault> {
        self.readers
            .read_short(|connection| tenants::find_tenant(connection, name))
    }

    async fn tenant_revision(&self, name: &str) -> Result<Option<i64>, Fault> {
        self.revisions.find(name, || {
            self.readers
                .read_short(|connection| tenants::tenant_revision(connection, name))
        })
    }

    async fn list_tenants(&self) -> Result<Vec<Tenant>, Fault> {
        self.readers.read_long(None, tenants::list_tenants).await
    }
}

#[async_trait]
impl Tokens for Sqlite {
    async fn create_token(&self, token: TokenRecord) -> Result<bool, Fault> {
        self.writer
            .write(move |connection| tenants::create_token(connection, &token))
            .await
    }

    async fn find_token(
        &self,
        tenant: TenantId,
        hash: TokenHash,
    ) -> Result<Option<TokenRecord>, Fault> {
        self.readers
            .read_short(|connection| tenants::find_token(connection, tenant, &hash))
    }

    async fn list_tokens(&self, tenant: TenantId) -> Result<Vec<TokenRecord>, Fault> {
        self.readers
            .read_long(tenant, move |connection| {
                tenants::list_tokens(connection, tenant)
            })
            .await
    }

    async fn revoke_token(&self, tenant: TenantId, id: &str, at: Timestamp) -> Result<bool, Fault> {
        let id = id.to_owned();
        self.writer
            .revise(move |connection| tenants::revoke_token(connection, tenant, &id, micros(at)))
            .await
    }

    async fn record_token_use(
        &self,
        tenant: TenantId,
        id: &str,
        at: Timestamp,
    ) -> Result<(), Fault> {
        let id = id.to_owned();
        self.writer
            .write(move |connection| tenants::record_token_use(connection, tenant, &id, micros(at)))
            .await
    }
}
