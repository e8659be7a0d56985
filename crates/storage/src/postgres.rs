//! The PostgreSQL back end: many nodes, one database. Retries what PostgreSQL asks to retry, here and nowhere else.

mod attempts;
mod commit;
pub(crate) mod connections;
mod create;
mod export;
mod group;
mod pending;
mod read;
mod readiness;
mod rehearsal;
pub mod requests;
mod search;
pub(crate) mod session;
pub(crate) mod statements;
pub(crate) mod statements_of_installation;
pub(crate) mod statements_of_requests;
pub(crate) mod statements_of_safety;
mod tls;
mod together;

use std::sync::Arc;

use async_trait::async_trait;
use directory::change_set::{ChangeSet, Committed};
use directory::search::SearchPlan;
use directory::store::{CommitError, Fault, Include, SearchPage, Stage, Store, StoredResource};
use directory::tenant::TenantId;
use tokio::sync::Notify;

use self::attempts::{in_transaction, query};
pub use self::connections::{COMMITS_PER_TENANT_MAX, LONG_READS_MAX, LONG_READS_PER_TENANT_MAX};
use self::connections::{Connections, Signals, configuration, fault, snapshot};
use self::group::Groups;
use self::requests::PostgresRequestLog;
use crate::engine::{Database, Engine as _};
use crate::rows::storable;
use crate::secrets::MasterKey;
use crate::stage::Played;
use crate::totals::Totals;

/// Why a database on a server cannot be used.
#[derive(Debug)]
pub enum ConnectError {
    /// The server gave no connection: it does not answer, or refuses the connection. It may do so later.
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
pub type Postgres = Database<PostgresEngine>;

/// What makes up a database on a server.
#[derive(Clone)]
pub struct PostgresEngine {
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
        Ok(Database(PostgresEngine {
            connections,
            key,
            committed,
            ours,
            _signals: Arc::new(signals),
            totals: Arc::default(),
            groups: Groups::default(),
        }))
    }

    /// Request logs in the same database.
    pub fn request_log(&self) -> PostgresRequestLog {
        PostgresRequestLog::start(self.connections.clone())
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
            &[&tenant.0, &storable(group_id), &limit],
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
