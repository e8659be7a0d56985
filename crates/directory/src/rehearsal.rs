//! *(shell)* A store that rehearses: commits are carried out against the real one and taken back at once, and reads see what was rehearsed so far. What would
//! be refused is refused as always; nothing is kept and nobody is woken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::change_set::{ChangeSet, Committed};
use crate::search::SearchPlan;
use crate::store::{
    CommitError, Fault, Found, Include, Member, Membership, MembershipQuery, Memberships, Question, Rehearsed, SearchPage, Store,
    StoredResource,
};
use crate::tenant::TenantId;

/// Most commits in one rehearsal: each repeats those before it, so that their cost grows with the square of their number.
pub const REHEARSED_COMMITS_MAX: usize = 200;

/// A store in whose place nothing is kept.
pub struct Rehearsal {
    store: Arc<dyn Store>,
    so_far: Mutex<Vec<ChangeSet>>,
}

impl Rehearsal {
    /// Over a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, so_far: Mutex::default() }
    }

    fn so_far(&self) -> MutexGuard<'_, Vec<ChangeSet>> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, tenant: TenantId, question: Question) -> Result<Option<Found>, Fault> {
        let so_far = self.so_far().clone();
        if so_far.is_empty() {
            return Ok(None);
        }
        match self.store.rehearse(tenant, so_far, question).await {
            Ok(Rehearsed { found, .. }) => Ok(found),
            Err(CommitError::Fault(fault)) => Err(fault),
            // Somebody else wrote in between; what is there now is as good an answer as any.
            Err(_) => Ok(None),
        }
    }
}

#[async_trait]
impl Memberships for Rehearsal {
    async fn members_after(&self, tenant: TenantId, group_id: &str, after: i64, limit: u32) -> Result<Vec<Member>, Fault> {
        match self.ask(tenant, Question::MembersAfter { group_id: group_id.to_owned(), after, limit }).await? {
            Some(Found::Members(members)) => Ok(members),
            _ => self.store.members_after(tenant, group_id, after, limit).await,
        }
    }

    async fn find_memberships(&self, tenant: TenantId, query: &MembershipQuery) -> Result<Vec<Membership>, Fault> {
        match self.ask(tenant, Question::FindMemberships(query.clone())).await? {
            Some(Found::Memberships(memberships)) => Ok(memberships),
            _ => self.store.find_memberships(tenant, query).await,
        }
    }

    async fn count_memberships(&self, tenant: TenantId, query: &MembershipQuery) -> Result<u64, Fault> {
        match self.ask(tenant, Question::CountMemberships(query.clone())).await? {
            Some(Found::Count(count)) => Ok(count),
            _ => self.store.count_memberships(tenant, query).await,
        }
    }
}

#[async_trait]
impl Store for Rehearsal {
    async fn commit(&self, tenant: TenantId, change_set: ChangeSet) -> Result<Vec<Committed>, CommitError> {
        let mut all = self.so_far().clone();
        if all.len() >= REHEARSED_COMMITS_MAX {
            return Err(Fault::new(format!("a rehearsal has at most {REHEARSED_COMMITS_MAX} commits")).into());
        }
        all.push(change_set.clone());
        let rehearsed = self.store.rehearse(tenant, all, Question::Nothing).await?;
        self.so_far().push(change_set);
        rehearsed.committed.into_iter().next_back().ok_or_else(|| Fault::new("a rehearsal did not say what would become of it").into())
    }

    async fn rehearse(&self, tenant: TenantId, change_sets: Vec<ChangeSet>, question: Question) -> Result<Rehearsed, CommitError> {
        let mut all = self.so_far().clone();
        let before = all.len();
        all.extend(change_sets);
        let mut rehearsed = self.store.rehearse(tenant, all, question).await?;
        rehearsed.committed.drain(..before.min(rehearsed.committed.len()));
        Ok(rehearsed)
    }

    async fn read(&self, tenant: TenantId, resource_type: &str, id: &str, include: Include) -> Result<Option<StoredResource>, Fault> {
        let question = Question::Resource { resource_type: resource_type.to_owned(), id: id.to_owned(), include };
        match self.ask(tenant, question).await? {
            Some(Found::Resource(found)) => Ok(found.map(|found| *found)),
            _ => self.store.read(tenant, resource_type, id, include).await,
        }
    }

    async fn has_more_members_than(&self, tenant: TenantId, group_id: &str, count: u32) -> Result<bool, Fault> {
        match self.ask(tenant, Question::HasMoreMembers { group_id: group_id.to_owned(), count }).await? {
            Some(Found::HasMoreMembers(answer)) => Ok(answer),
            _ => self.store.has_more_members_than(tenant, group_id, count).await,
        }
    }

    async fn search(&self, tenant: TenantId, plan: SearchPlan) -> Result<SearchPage, Fault> {
        match self.ask(tenant, Question::Search(Box::new(plan.clone()))).await? {
            Some(Found::Page(page)) => Ok(page),
            _ => self.store.search(tenant, plan).await,
        }
    }
}
