//! What does not show members does not read them: a store that counts how often it is asked for any.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use directory::change_set::{ChangeSet, Committed};
use directory::search::SearchPlan;
use directory::store::{
    CommitError, Fault, Include, Member, Membership, MembershipQuery, Memberships, Question, Rehearsed, SearchPage, Store, StoredResource,
};
use directory::tenant::{TenantId, TenantSettings};
use http::StatusCode;
use serde_json::{Value, json};
use server::Options;
use storage::sqlite::Sqlite;

use crate::house::House;
use crate::rfc::{GROUP, SEARCH};

/// The store, and how often members were read from it.
struct Counting {
    store: Arc<Sqlite>,
    reads: Arc<AtomicUsize>,
}

impl Counting {
    fn count(&self, reads_members: bool) {
        self.reads.fetch_add(usize::from(reads_members), Ordering::Relaxed);
    }
}

#[async_trait]
impl Memberships for Counting {
    async fn members_after(&self, tenant: TenantId, group_id: &str, after: i64, limit: u32) -> Result<Vec<Member>, Fault> {
        self.count(true);
        self.store.members_after(tenant, group_id, after, limit).await
    }

    async fn find_memberships(&self, tenant: TenantId, query: &MembershipQuery) -> Result<Vec<Membership>, Fault> {
        self.count(true);
        self.store.find_memberships(tenant, query).await
    }

    async fn count_memberships(&self, tenant: TenantId, query: &MembershipQuery) -> Result<u64, Fault> {
        self.count(true);
        self.store.count_memberships(tenant, query).await
    }
}

#[async_trait]
impl Store for Counting {
    async fn commit(&self, tenant: TenantId, change_set: ChangeSet) -> Result<Vec<Committed>, CommitError> {
        self.store.commit(tenant, change_set).await
    }

    async fn read(&self, tenant: TenantId, resource_type: &str, id: &str, include: Include) -> Result<Option<StoredResource>, Fault> {
        self.count(include.members);
        self.store.read(tenant, resource_type, id, include).await
    }

    async fn has_more_members_than(&self, tenant: TenantId, group_id: &str, count: u32) -> Result<bool, Fault> {
        self.count(true);
        self.store.has_more_members_than(tenant, group_id, count).await
    }

    async fn search(&self, tenant: TenantId, plan: SearchPlan) -> Result<SearchPage, Fault> {
        self.count(plan.include.members || plan.residual_needs.members);
        self.store.search(tenant, plan).await
    }

    async fn rehearse(&self, tenant: TenantId, change_sets: Vec<ChangeSet>, question: Question) -> Result<Rehearsed, CommitError> {
        self.count(true);
        self.store.rehearse(tenant, change_sets, question).await
    }
}

/// A path, and a body where there is one.
type Asked = (String, Option<Value>);

#[tokio::test]
async fn members_that_are_not_shown_are_not_read() {
    let reads = Arc::new(AtomicUsize::new(0));
    let counting = |store| Arc::new(Counting { store, reads: reads.clone() }) as Arc<dyn Store>;
    let house = House::over(Options::default(), TenantSettings::default(), counting).await;
    let members = [house.user("ann").await, house.user("bob").await].map(|id| json!({"value": id}));
    let body = json!({"schemas": [GROUP], "displayName": "team", "members": members});
    let made = house.scim("POST", "/Groups", Some(body)).await;
    let group = format!("/Groups/{}", made.text("/id"));
    let search = |without: bool| {
        let mut message = json!({"schemas": [SEARCH], "filter": "displayName eq \"team\"", "sortBy": "displayName"});
        if without {
            message["excludedAttributes"] = json!(["members"]);
        }
        Some(message)
    };
    // Each as it is asked for without members, and with them.
    let pairs: [(&str, [Asked; 2]); 6] = [
        ("GET", [(format!("{group}?excludedAttributes=members"), None), (group.clone(), None)]),
        ("GET", [(format!("{group}?attributes=displayName"), None), (format!("{group}?attributes=members.value"), None)]),
        ("GET", [("/Groups?excludedAttributes=members".into(), None), ("/Groups".into(), None)]),
        ("GET", [("/?excludedAttributes=members".into(), None), ("/".into(), None)]),
        ("POST", [("/Groups/.search".into(), search(true)), ("/Groups/.search".into(), search(false))]),
        ("POST", [("/.search".into(), search(true)), ("/.search".into(), search(false))]),
    ];
    for (method, asked) in pairs {
        for (shown, (path, body)) in [false, true].into_iter().zip(asked) {
            reads.store(0, Ordering::Relaxed);
            let answer = house.scim(method, &path, body).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
            let all = answer.body["Resources"].as_array().map_or_else(|| vec![answer.body.clone()], Clone::clone);
            let team = all.iter().find(|one| one["displayName"] == "team" || one.get("members").is_some()).unwrap();
            let members = team.get("members").and_then(Value::as_array).map(Vec::len);
            assert_eq!(members, shown.then_some(2), "{path}: {answer:?}");
            let counted = reads.load(Ordering::Relaxed);
            assert_eq!(counted > 0, shown, "{method} {path}: members were read {counted} times");
        }
    }
}
