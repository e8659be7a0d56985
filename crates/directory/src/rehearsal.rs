//! *(shell)* A store that rehearses: each commit is carried out on a stage of the real store, and reads see what was rehearsed so far. It refuses what the
//! real store would refuse. It keeps nothing, and it tells no listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use crate::change_set::{ChangeSet, Committed};
use crate::search::SearchPlan;
use crate::store::{
    CommitError, Fault, Found, Include, Member, Membership, MembershipQuery, Memberships, Question,
    SearchPage, Stage, Store, StoredResource,
};
use crate::tenant::TenantId;
use crate::tombstone::{Deleted, Tombstone};

/// A store in whose place nothing is kept.
pub struct Rehearsal {
    store: Arc<dyn Store>,
    stage: Box<dyn Stage>,
    /// Before the first commit there is nothing to see that the store does not know.
    has_begun: AtomicBool,
}

impl Rehearsal {
    /// Over a store; `None` where that cannot rehearse.
    pub fn new(store: Arc<dyn Store>) -> Option<Self> {
        Some(Self {
            stage: store.stage()?,
            store,
            has_begun: AtomicBool::new(false),
        })
    }

    /// `History::deleted`; `None` where nothing was rehearsed that could have changed it.
    pub async fn deleted(
        &self,
        tenant: TenantId,
        which: &Deleted,
        limit: u32,
    ) -> Result<Option<Vec<Tombstone>>, Fault> {
        match self
            .ask(tenant, || Question::Deleted {
                which: which.clone(),
                limit,
            })
            .await?
        {
            Some(Found::Deleted(found)) => Ok(Some(found)),
            _ => Ok(None),
        }
    }

    /// Asks the stage, where something has happened on it.
    async fn ask(
        &self,
        tenant: TenantId,
        question: impl FnOnce() -> Question,
    ) -> Result<Option<Found>, Fault> {
        if self.has_begun.load(Ordering::Acquire) {
            self.stage.ask(tenant, question()).await.map(Some)
        } else {
            Ok(None)
        }
    }
}

#[async_trait]
impl Memberships for Rehearsal {
    async fn members_after(
        &self,
        tenant: TenantId,
        group_id: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Member>, Fault> {
        match self
            .ask(tenant, || Question::MembersAfter {
                group_id: group_id.to_owned(),
                after,
                limit,
            })
            .await?
        {
            Some(Found::Members(members)) => Ok(members),
            _ => {
                self.store
                    .members_after(tenant, group_id, after, limit)
                    .await
            }
        }
    }

    async fn find_memberships(
        &self,
        tenant: TenantId,
        query: &MembershipQuery,
    ) -> Result<Vec<Membership>, Fault> {
        match self
            .ask(tenant, || Question::FindMemberships(query.clone()))
            .await?
        {
            Some(Found::Memberships(memberships)) => Ok(memberships),
            _ => self.store.find_memberships(tenant, query).await,
        }
    }

    async fn count_memberships(
        &self,
        tenant: TenantId,
        query: &MembershipQuery,
    ) -> Result<u64, Fault> {
        match self
            .ask(tenant, || Question::CountMemberships(query.clone()))
            .await?
        {
            Some(Found::Count(count)) => Ok(count),
            _ => self.store.count_memberships(tenant, query).await,
        }
    }
}

#[async_trait]
impl Store for Rehearsal {
    async fn commit(
        &self,
        tenant: TenantId,
        change_set: Arc<ChangeSet>,
    ) -> Result<Vec<Committed>, CommitError> {
        self.has_begun.store(true, Ordering::Release);
        self.stage.commit(tenant, change_set).await
    }

    async fn read(
        &self,
        tenant: TenantId,
        resource_type: &str,
        id: &str,
        include: Include,
    ) -> Result<Option<StoredResource>, Fault> {
        let question = || Question::Resource {
            resource_type: resource_type.to_owned(),
            id: id.to_owned(),
            include,
        };
        match self.ask(tenant, question).await? {
            Some(Found::Resource(found)) => Ok(found.map(|found| *found)),
            _ => self.store.read(tenant, resource_type, id, include).await,
        }
    }

    async fn has_more_members_than(
        &self,
        tenant: TenantId,
        group_id: &str,
        count: u32,
    ) -> Result<bool, Fault> {
        match self
            .ask(tenant, || Question::HasMoreMembers {
                group_id: group_id.to_owned(),
                count,
            })
            .await?
        {
            Some(Found::HasMoreMembers(answer)) => Ok(answer),
            _ => {
                self.store
                    .has_more_members_than(tenant, group_id, count)
                    .await
            }
        }
    }

    async fn search(&self, tenant: TenantId, plan: SearchPlan) -> Result<SearchPage, Fault> {
        match self
            .ask(tenant, || Question::Search(Box::new(plan.clone())))
            .await?
        {
            Some(Found::Page(page)) => Ok(page),
            _ => self.store.search(tenant, plan).await,
        }
    }
}
