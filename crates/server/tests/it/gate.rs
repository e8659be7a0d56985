//! A store whose reads of one resource keep their thread busy until a test opens the gate, as a decision that takes long does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use directory::change_set::{ChangeSet, Committed};
use directory::search::SearchPlan;
use directory::store::{
    CommitError, Fault, Include, Member, Membership, MembershipQuery, Memberships, SearchPage,
    Store, StoredResource,
};
use directory::tenant::TenantId;
use storage::sqlite::Sqlite;
use tokio::sync::Notify;

/// After this the gate opens by itself, so that a test in which nothing else goes on fails and does not hang.
const OPENS_AFTER: Duration = Duration::from_secs(20);

/// What reads wait for.
#[derive(Default)]
pub(crate) struct Gate {
    /// The id of the resource; empty until there is one.
    pub id: Mutex<String>,
    is_open: Mutex<bool>,
    opened: Condvar,
    entered: AtomicUsize,
    news: Notify,
    /// How many reads did not wait for the test.
    pub overdue: AtomicUsize,
}

impl Gate {
    fn enter(&self, id: &str) {
        if *self.id.lock().unwrap_or_else(PoisonError::into_inner) != id {
            return;
        }
        self.entered.fetch_add(1, Ordering::SeqCst);
        self.news.notify_one();
        let is_open = self.is_open.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .opened
            .wait_timeout_while(is_open, OPENS_AFTER, |is_open| !*is_open);
        if waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
            self.overdue.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(crate) fn set(&self, is_open: bool) {
        *self.is_open.lock().unwrap_or_else(PoisonError::into_inner) = is_open;
        self.opened.notify_all();
    }

    /// How many reads have come to the gate.
    pub(crate) fn entered(&self) -> usize {
        self.entered.load(Ordering::SeqCst)
    }

    /// Waits until so many reads have come.
    pub(crate) async fn has(&self, count: usize) {
        while self.entered() < count {
            self.news.notified().await;
        }
    }
}

/// The store behind the gate.
pub(crate) struct Gated {
    pub store: Arc<Sqlite>,
    pub gate: Arc<Gate>,
}

#[async_trait]
impl Memberships for Gated {
    async fn members_after(
        &self,
        tenant: TenantId,
        group_id: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Member>, Fault> {
        self.store
            .members_after(tenant, group_id, after, limit)
            .await
    }

    async fn find_memberships(
        &self,
        tenant: TenantId,
        query: &MembershipQuery,
    ) -> Result<Vec<Membership>, Fault> {
        self.store.find_memberships(tenant, query).await
    }

    async fn count_memberships(
        &self,
        tenant: TenantId,
        query: &MembershipQuery,
    ) -> Result<u64, Fault> {
        self.store.count_memberships(tenant, query).await
    }
}

#[async_trait]
impl Store for Gated {
    async fn commit(
        &self,
        tenant: TenantId,
        change_set: Arc<ChangeSet>,
    ) -> Result<Vec<Committed>, CommitError> {
        self.store.commit(tenant, change_set).await
    }

    async fn read(
        &self,
        tenant: TenantId,
        resource_type: &str,
        id: &str,
        include: Include,
    ) -> Result<Option<StoredResource>, Fault> {
        self.gate.enter(id);
        self.store.read(tenant, resource_type, id, include).await
    }

    async fn has_more_members_than(
        &self,
        tenant: TenantId,
        group_id: &str,
        count: u32,
    ) -> Result<bool, Fault> {
        self.store
            .has_more_members_than(tenant, group_id, count)
            .await
    }

    async fn search(&self, tenant: TenantId, plan: SearchPlan) -> Result<SearchPage, Fault> {
        self.store.search(tenant, plan).await
    }
}
