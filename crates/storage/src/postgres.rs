//! The PostgreSQL back end: many nodes, one database. Retries what PostgreSQL asks to retry, here and nowhere else.

mod attempts;
mod catalogue;
mod clients;
mod commit;
pub(crate) mod connections;
mod create;
mod events;
mod issuers;
mod ledger;
mod memberships;
mod outbox;
mod group;
mod guard;
mod history;
mod leavers;
mod pending;
mod provisioning_log;
mod read;
mod readiness;
mod rehearsal;
pub mod requests;
mod receivers;
mod schemas;
mod record;
mod safety;
mod search;
pub(crate) mod statements;
pub(crate) mod statements_of_events;
pub(crate) mod statements_of_installation;
pub(crate) mod statements_of_requests;
pub(crate) mod statements_of_callers;
pub(crate) mod statements_of_schemas;
pub(crate) mod statements_of_work;
mod tenant_life;
pub(crate) mod statements_of_safety;
mod tenants;
mod tls;
mod together;
mod values;

use std::sync::Arc;

use async_trait::async_trait;
use directory::change_set::{ChangeSet, Committed};
use directory::credential::{TokenHash, TokenRecord};
use directory::search::SearchPlan;
use directory::store::{
    CommitError, Fault, Include, Member, Membership, MembershipQuery, Memberships, SearchPage,
    Stage, Store, StoredResource, Tenants,
};
use directory::tenant::{Tenant, TenantId, TenantSettings};
use jiff::Timestamp;
use tokio::sync::Notify;

use self::attempts::{in_transaction, query};
pub use self::connections::{COMMITS_PER_TENANT_MAX, LONG_READS_MAX, LONG_READS_PER_TENANT_MAX};
use self::connections::{Connections, Signals, configuration, fault, snapshot};
use self::group::Groups;
use self::requests::PostgresRequestLog;
use crate::rows::micros;
use crate::secrets::MasterKey;
use crate::stage::Played;
use crate::totals::Totals;

/// Why a database on a server cannot be used.
#[derive(Debug)]
pub enum ConnectError {
    /// The server gave no connection: it does not answer, or lets nobody in. It may do so later.
    NoConnection(Fault),
    /// Anything else, such as a URL that is none, or tables of a newer program.
    Other(Fault),
}

impl From<Fault> for ConnectError {
    fn from(fault: Fault) -> Self {
        Self::Other(fault)
    }
}

impl ConnectError {
    /// What failed, whichever it was.
    pub fn into_fault(self) -> Fault {
        match self {
            Self::NoConnection(fault) | Self::Other(fault) => fault,
        }
    }
}

/// A database on a server.
#[derive(Clone)]
pub struct Postgres {
    connections: Connections,
    key: Arc<MasterKey>,
    committed: Arc<Notify>,
    /// Tells the other nodes.
    ours: Arc<Notify>,
    _signals: Arc<Signals>,
    totals: Arc<Totals>,
    groups: Groups,
}

/// Whether the database at this URL has been used by a node, which has a key.
pub async fn is_in_use(url: &str) -> Result<bool, ConnectError> {
    let (config, tls) = configuration(url)?;
    readiness::is_in_use(config, tls).await
}

impl Postgres {
    /// Connects to the database at this URL; brings its tables up to date. Refuses one that a newer program has used, and one that was made with another key.
    pub async fn connect(url: &str, key: Arc<MasterKey>) -> Result<Self, ConnectError> {
        let (config, tls) = configuration(url)?;
        let connections = Connections::open(config.clone(), tls.clone()).await?;
        readiness::check_key(&connections, &key).await?;
        let (committed, ours) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let signals = Signals::start(config, tls, Arc::clone(&committed), Arc::clone(&ours));
        Ok(Self {
            connections,
            key,
            committed,
            ours,
            _signals: Arc::new(signals),
            totals: Arc::default(),
            groups: Groups::default(),
        })
    }

    /// Request logs in the same database.
    pub fn request_log(&self) -> PostgresRequestLog {
        PostgresRequestLog::start(self.connections.clone())
    }

    /// Notified whenever something was committed, by this node or, as far as can be heard, by another one; sometimes when nothing was.
    pub fn committed(&self) -> Arc<Notify> {
        Arc::clone(&self.committed)
    }

    /// Wakes this node's engine and those of the other nodes.
    fn notify(&self) {
        self.committed.notify_one();
        self.ours.notify_one();
    }
}

#[async_trait]
impl Memberships for Postgres {
    async fn members_after(
        &self,
        tenant: TenantId,
        group_id: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Member>, Fault> {
        let _share = self.connections.long_reads.acquire(tenant, 1).await;
        Ok(in_transaction!(
            &self.connections,
            snapshot,
            |transaction| memberships::members_after(transaction, tenant, group_id, after, limit)
        ))
    }

    async fn find_memberships(
        &self,
        tenant: TenantId,
        query: &MembershipQuery,
    ) -> Result<Vec<Membership>, Fault> {
        let _share = self.connections.long_reads.acquire(tenant, 1).await;
        Ok(in_transaction!(
            &self.connections,
            snapshot,
            |transaction| memberships::find(transaction, tenant, query)
        ))
    }

    async fn count_memberships(
        &self,
        tenant: TenantId,
        query: &MembershipQuery,
    ) -> Result<u64, Fault> {
        let _share = self.connections.long_reads.acquire(tenant, 1).await;
        Ok(in_transaction!(
            &self.connections,
            snapshot,
            |transaction| memberships::count_all(transaction, tenant, query)
        ))
    }
}

#[async_trait]
impl Store for Postgres {
    async fn commit(
        &self,
        tenant: TenantId,
        change_set: Arc<ChangeSet>,
    ) -> Result<Vec<Committed>, CommitError> {
        let committed = self
            .groups
            .commit(&self.connections, tenant, change_set)
            .await?;
        self.notify();
        Ok(committed)
    }

    async fn read(
        &self,
        tenant: TenantId,
        resource_type: &str,
        id: &str,
        include: Include,
    ) -> Result<Option<StoredResource>, Fault> {
        // One resource without members takes no longer than a read by key.
        let _share = if include.members {
            Some(self.connections.long_reads.acquire(tenant, 1).await)
        } else {
            None
        };
        Ok(in_transaction!(
            &self.connections,
            snapshot,
            |transaction| read::read(transaction, tenant, resource_type, id, include)
        ))
    }

    async fn has_more_members_than(
        &self,
        tenant: TenantId,
        group_id: &str,
        count: u32,
    ) -> Result<bool, Fault> {
        let limit = i64::from(count) + 1;
        let rows = query(
            &self.connections,
            statements::COUNT_MEMBERS,
            &[&tenant.0, &read::storable(group_id), &limit],
        )
        .await?;
        let counted = rows
            .first()
            .map(|row| row.try_get::<_, i64>(0))
            .transpose()
            .map_err(fault)?;
        Ok(counted == Some(limit))
    }

    async fn search(&self, tenant: TenantId, plan: SearchPlan) -> Result<SearchPage, Fault> {
        let _share = if plan.finds_one_at_most() {
            None
        } else {
            Some(self.connections.long_reads.acquire(tenant, 1).await)
        };
        Ok(in_transaction!(
            &self.connections,
            snapshot,
            |transaction| search::search(transaction, tenant, &plan, &self.totals)
        ))
    }

    fn stage(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(Played::new(self.connections.clone())))
    }
}

#[async_trait]
impl Tenants for Postgres {
    async fn create_tenant(
        &self,
        name: &str,
        settings: TenantSettings,
        at: Timestamp,
    ) -> Result<Option<Tenant>, Fault> {
        let settings = serde_json::to_string(&settings)
            .map_err(|error| Fault::from_source("settings could not be written as JSON", error))?;
        tenants::create_tenant(&self.connections, name, &settings, micros(at)).await
    }

    async fn find_tenant(&self, name: &str) -> Result<Option<Tenant>, Fault> {
        tenants::find_tenant(&self.connections, name).await
    }

    async fn tenant_revision(&self, name: &str) -> Result<Option<i64>, Fault> {
        tenants::tenant_revision(&self.connections, name).await
    }

    async fn list_tenants(&self) -> Result<Vec<Tenant>, Fault> {
        tenants::list_tenants(&self.connections).await
    }

    async fn create_token(&self, token: TokenRecord) -> Result<bool, Fault> {
        tenants::create_token(&self.connections, &token).await
    }

    async fn find_token(
        &self,
        tenant: TenantId,
        hash: TokenHash,
    ) -> Result<Option<TokenRecord>, Fault> {
        tenants::find_token(&self.connections, tenant, &hash).await
    }

    async fn list_tokens(&self, tenant: TenantId) -> Result<Vec<TokenRecord>, Fault> {
        tenants::list_tokens(&self.connections, tenant).await
    }

    async fn revoke_token(&self, tenant: TenantId, id: &str, at: Timestamp) -> Result<bool, Fault> {
        tenants::revoke_token(&self.connections, tenant, id, micros(at)).await
    }

    async fn record_token_use(
        &self,
        tenant: TenantId,
        id: &str,
        at: Timestamp,
    ) -> Result<(), Fault> {
        tenants::record_token_use(&self.connections, tenant, id, micros(at)).await
    }
}
