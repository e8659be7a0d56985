//! A directory, a clock and a ledger in memory with one application: everything a test needs in one value.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use directory::audit::Entry;
use directory::change_set::{ChangeSet, Committed};
use directory::clock::{Clock, IdGenerator};
use directory::schema_change::TypeChange;
use directory::schema_store::{ActivateError, Activated, Activation, Author, SchemaStore};
use directory::search::SearchPlan;
use directory::store::{
    CommitError, Fault, Include, Member, Membership, MembershipQuery, Memberships, Related,
    SearchPage, Store, StoredResource,
};
use directory::tenant::TenantId;
use directory::tenant_types::{DocumentKind, DocumentVersion, TenantTypes};
use jiff::{SignedDuration, Timestamp};
use provisioning::application::{
    Application, ApplicationId, ApplicationSettings, ApplicationState, Secret,
};
use provisioning::ledger::{Catalogue, LoggedChange, Touched};
use provisioning::provisioning::{Options, Ports, Provisioning};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::application::MemoryApplication;
use crate::ledger::MemoryLedger;

pub struct TestClock(Mutex<Timestamp>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

#[derive(Default)]
pub struct TestIds(AtomicU8);

impl IdGenerator for TestIds {
    fn id(&self) -> Uuid {
        Uuid::from_bytes([self.0.fetch_add(1, Ordering::Relaxed); 16])
    }
    fn secret(&self) -> [u8; 32] {
        [self.0.fetch_add(1, Ordering::Relaxed); 32]
    }
}

#[derive(Default)]
pub struct MemoryStore(Mutex<BTreeMap<(String, String), StoredResource>>);

#[async_trait]
impl Memberships for MemoryStore {
    async fn members_after(
        &self,
        _: TenantId,
        _: &str,
        _: i64,
        _: u32,
    ) -> Result<Vec<Member>, Fault> {
        Ok(Vec::new())
    }

    async fn find_memberships(
        &self,
        _: TenantId,
        _: &MembershipQuery,
    ) -> Result<Vec<Membership>, Fault> {
        Ok(Vec::new())
    }

    async fn count_memberships(&self, _: TenantId, _: &MembershipQuery) -> Result<u64, Fault> {
        Ok(0)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, _: TenantId, _: Arc<ChangeSet>) -> Result<Vec<Committed>, CommitError> {
        Err(Fault::new("the tests write themselves").into())
    }

    async fn read(
        &self,
        _: TenantId,
        resource_type: &str,
        id: &str,
        include: Include,
    ) -> Result<Option<StoredResource>, Fault> {
        let resources = self.0.lock().unwrap();
        let mut found = resources
            .get(&(resource_type.to_owned(), id.to_owned()))
            .cloned();
        if let Some(found) = &mut found {
            if !include.members {
                found.members.clear();
            }
            if include.groups {
                let groups = resources
                    .values()
                    .filter(|group| group.members.iter().any(|member| member.id == id));
                found.groups = groups
                    .map(|group| related(&group.resource_type, &group.id))
                    .collect();
            }
        }
        Ok(found)
    }

    async fn has_more_members_than(
        &self,
        _: TenantId,
        id: &str,
        count: u32,
    ) -> Result<bool, Fault> {
        let resources = self.0.lock().unwrap();
        Ok(resources
            .get(&("Group".to_owned(), id.to_owned()))
            .is_some_and(|group| group.members.len() > count as usize))
    }

    async fn search(&self, _: TenantId, _: SearchPlan) -> Result<SearchPage, Fault> {
        Ok(SearchPage::default())
    }
}

fn related(resource_type: &str, id: &str) -> Related {
    Related {
        id: id.to_owned(),
        resource_type: resource_type.to_owned(),
        display: String::new(),
        direct: true,
    }
}

/// The types of the tenant.
pub struct MemoryTypes(pub Mutex<TenantTypes>);

#[async_trait]
impl SchemaStore for MemoryTypes {
    async fn read_types(&self, _: TenantId) -> Result<TenantTypes, Fault> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn type_history(
        &self,
        _: TenantId,
        _: DocumentKind,
        _: &str,
    ) -> Result<Vec<DocumentVersion>, Fault> {
        Ok(Vec::new())
    }

    async fn activate(
        &self,
        _: TenantId,
        _: TypeChange,
        _: Author,
        _: Activation,
    ) -> Result<Activated, ActivateError> {
        Err(Fault::new("the tests change no types").into())
    }
}

pub struct World {
    pub application: MemoryApplication,
    pub ledger: Arc<MemoryLedger>,
    pub clock: Arc<TestClock>,
    pub store: Arc<MemoryStore>,
    pub types: Arc<MemoryTypes>,
    pub engine: Arc<Provisioning>,
    pub ports: Ports,
}

impl World {
    pub fn new(settings: ApplicationSettings) -> Self {
        let (application, ledger, store) = (
            MemoryApplication::default(),
            Arc::new(MemoryLedger::default()),
            Arc::new(MemoryStore::default()),
        );
        let clock = Arc::new(TestClock(Mutex::new(
            "2026-11-24T10:00:00Z".parse().unwrap(),
        )));
        let types = Arc::new(MemoryTypes(Mutex::new(TenantTypes::first().clone())));
        ledger.state().applications.push(Application {
            id: ApplicationId(7),
            tenant: TenantId(1),
            name: "shop".into(),
            base_url: "http://shop.example/scim/v2".into(),
            token: Secret::new("secret"),
            state: ApplicationState::Live,
            settings,
            created: clock.now(),
        });
        let ports = Ports {
            store: store.clone(),
            ledger: ledger.clone(),
            catalogue: ledger.clone(),
            types: types.clone(),
            connector: Arc::new(application.clone()),
            clock: clock.clone(),
            ids: Arc::new(TestIds::default()),
            committed: Arc::default(),
        };
        let engine = Arc::new(Provisioning::new(ports.clone(), Options::default()));
        Self {
            application,
            ledger,
            clock,
            store,
            types,
            engine,
            ports,
        }
    }

    /// The program stops and starts again.
    pub fn restart(&mut self) {
        self.engine = Arc::new(Provisioning::new(self.ports.clone(), Options::default()));
    }

    pub fn put_user(&self, id: &str, document: &Value) {
        self.put("User", id, document, &[]);
    }

    pub fn put_group(&self, id: &str, document: &Value, members: &[&str]) {
        self.put("Group", id, document, members);
    }

    pub fn put(&self, resource_type: &str, id: &str, document: &Value, members: &[&str]) {
        let members = members
            .iter()
            .map(|id| related(if id.starts_with('g') { "Group" } else { "User" }, id))
            .collect();
        let now = self.clock.now();
        let resource = StoredResource {
            resource_type: resource_type.into(),
            id: id.into(),
            version: 1,
            created: now,
            last_modified: now,
            document: document.as_object().unwrap().clone().into(),
            members,
            groups: Vec::new(),
        };
        let now_in: Vec<String> = resource
            .members
            .iter()
            .map(|member| member.id.clone())
            .collect();
        let before = self
            .store
            .0
            .lock()
            .unwrap()
            .insert((resource_type.into(), id.into()), resource);
        let member_left = before.is_some_and(|before| {
            before
                .members
                .iter()
                .any(|member| !now_in.contains(&member.id))
        });
        let active = document.get("active").and_then(Value::as_bool);
        self.log_change(resource_type, id, false, member_left, active);
    }

    pub fn remove(&self, resource_type: &str, id: &str) {
        self.store
            .0
            .lock()
            .unwrap()
            .remove(&(resource_type.to_owned(), id.to_owned()));
        self.log_change(resource_type, id, true, false, None);
    }

    fn log_change(
        &self,
        resource_type: &str,
        id: &str,
        deleted: bool,
        member_left: bool,
        active: Option<bool>,
    ) {
        let mut state = self.ledger.state();
        let sequence = state.changes.last().map_or(1, |last| last.sequence + 1);
        state.changes.push(LoggedChange {
            sequence,
            resource_type: resource_type.into(),
            resource_id: id.into(),
            deleted,
            member_left,
            active,
            touched: Touched::Everything,
            at: self.clock.now(),
        });
    }

    pub fn pass(&self, seconds: i64) {
        let mut now = self.clock.0.lock().unwrap();
        *now = now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    pub fn set_time(&self, now: Timestamp) {
        *self.clock.0.lock().unwrap() = now;
    }

    /// Works, with time going on, until nothing waits that time alone would bring.
    pub async fn settle(&self) {
        for _ in 0..50 {
            self.engine.run_until_idle().await.unwrap();
            if self.ledger.state().outbox.values().all(|entry| entry.held) {
                return;
            }
            self.pass(1_000);
        }
        panic!(
            "did not settle: {:?} {:?}",
            self.ledger.state().outbox,
            self.ledger.state().log
        );
    }

    /// Everybody is read and compared.
    pub async fn verify(&self) {
        self.ledger
            .compare_again(
                TenantId(1),
                ApplicationId(7),
                None,
                self.clock.now(),
                Entry::of_program("test", "chat", self.clock.now()),
            )
            .await
            .unwrap();
        self.settle().await;
    }

    pub fn accounts(&self, resource_type: &str) -> Vec<Map<String, Value>> {
        let inner = self.application.inner();
        inner
            .accounts
            .iter()
            .filter(|((kind, _), _)| kind == resource_type)
            .map(|(_, account)| account.clone())
            .collect()
    }

    pub fn outcomes(&self) -> Vec<(String, String)> {
        self.ledger
            .state()
            .log
            .iter()
            .map(|entry| (entry.step.clone(), entry.outcome.clone()))
            .collect()
    }
}
