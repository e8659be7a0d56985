//! A store that counts what it is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use directory::change_set::{ChangeSet, Committed};
use directory::search::SearchPlan;
use directory::store::{
    CommitError, Fault, Found, Include, Member, Membership, MembershipQuery, Memberships, Question,
    SearchPage, Stage, Store, StoredResource,
};
use directory::tenant::TenantId;
use storage::sqlite::Sqlite;

/// How often.
#[derive(Default)]
pub(crate) struct Counted {
    /// Members were read.
    pub members: AtomicUsize,
    /// Something was committed, or tried to.
    pub commits: AtomicUsize,
    /// Something was rehearsed, or asked about what was.
    pub rehearsed: AtomicUsize,
}

/// The store, and what was asked of it.
pub(crate) struct Counting {
    pub store: Arc<Sqlite>,
    pub counted: Arc<Counted>,
}

impl Counting {
    fn count(&self, reads_members: bool) {
        self.counted
            .members
            .fetch_add(usize::from(reads_members), Ordering::Relaxed);
    }
}

#[async_trait]
impl Memberships for Counting {
    async fn members_after(
        &self,
        tenant: TenantId,
        group_id: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Member>, Fault> {
        self.count(true);
        self.store
            .members_after(tenant, group_id, after, limit)
            .await
    }

    async fn find_memberships(
        &self,
        tenant: TenantId,
        query: &MembershipQuery,
    ) -> Result<Vec<Membership>, Fault> {
        self.count(true);
        self.store.find_memberships(tenant, query).await
    }

    async fn count_memberships(
        &self,
        tenant: TenantId,
        query: &MembershipQuery,
    ) -> Result<u64, Fault> {
        self.count(true);
        self.store.count_memberships(tenant, query).await
    }
}

#[async_trait]
impl Store for Counting {
    async fn commit(
        &self,
        tenant: TenantId,
        change_set: Arc<ChangeSet>,
    ) -> Result<Vec<Committed>, CommitError> {
        self.counted.commits.fetch_add(1, Ordering::Relaxed);
        self.store.commit(tenant, change_set).await
    }

    async fn read(
        &self,
        tenant: TenantId,
        resource_type: &str,
        id: &str,
        include: Include,
    ) -> Result<Option<StoredResource>, Fault> {
        self.count(include.members);
        self.store.read(tenant, resource_type, id, include).await
    }

    async fn has_more_members_than(
        &self,
        tenant: TenantId,
        group_id: &str,
        count: u32,
    ) -> Result<bool, Fault> {
        self.count(true);
        self.store
            .has_more_members_than(tenant, group_id, count)
            .await
    }

    async fn search(&self, tenant: TenantId, plan: SearchPlan) -> Result<SearchPage, Fault> {
        self.count(plan.include.members || plan.residual_needs.members);
        self.store.search(tenant, plan).await
    }

    fn stage(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(CountingStage {
            stage: self.store.stage()?,
            counted: Arc::clone(&self.counted),
        }))
    }
}

/// The store's stage, and what was asked of it.
struct CountingStage {
    stage: Box<dyn Stage>,
    counted: Arc<Counted>,
}

#[async_trait]
impl Stage for CountingStage {
    async fn commit(
        &self,
        tenant: TenantId,
        change_set: Arc<ChangeSet>,
    ) -> Result<Vec<Committed>, CommitError> {
        self.counted.rehearsed.fetch_add(1, Ordering::Relaxed);
        self.stage.commit(tenant, change_set).await
    }

    async fn ask(&self, tenant: TenantId, question: Question) -> Result<Found, Fault> {
        self.counted.rehearsed.fetch_add(1, Ordering::Relaxed);
        self.counted.members.fetch_add(1, Ordering::Relaxed);
        self.stage.ask(tenant, question).await
    }
}
