//! Where a test's data is: one of the engines, opened as often as the test likes. And the few things that tests make of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use access::client::Clients;
use access::credential::Tokens;
use access::issuer::Issuers;
use directory::Directory;
use directory::access::{Caller, Permissions};
use directory::audit::Entry;
use directory::audit_log::Audit;
use directory::change_set::{Change, ChangeSet, Committed, Effect, Policy, Precondition, Write};
use directory::clock::{Clock, IdGenerator};
use directory::content::content;
use directory::history::History;
use directory::parking::Parking;
use directory::pending::PendingReferences;
use directory::readiness::Readiness;
use directory::request_log::RequestLog;
use directory::schema_store::SchemaStore;
use directory::store::{CommitError, Fault, Include, Store, StoredResource};
use directory::tenant::{Tenant, TenantId, TenantSettings};
use directory::tenant_life::TenantLife;
use events::event_log::{EventLog, Receivers, SigningKeys};
use jiff::Timestamp;
use provisioning::ledger::{Catalogue, Ledger};
use scim_protocol::patch::member::MemberDelta;
use scim_protocol::{SchemaSet, TypeSchema, ValidResource};
use serde_json::{Value, json};
use storage::ports::Ports;
use storage::postgres::{ConnectError, Postgres};
use storage::secrets::MasterKey;
use storage::sqlite::Sqlite;
use storage::sqlite::requests::SqliteRequestLog;
use tempfile::TempDir;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::postgres_server;

/// Makes a test of each engine from functions that take a `Place`.
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() { super::$name(crate::place::Place::sqlite()).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() { super::$name(crate::place::Place::postgres().await).await; })*
        }
    };
}
pub(crate) use on_both_engines;

pub(crate) const ALL: Include = Include {
    members: true,
    groups: true,
};
pub(crate) const NOTHING: Include = Include {
    members: false,
    groups: false,
};

enum Engine {
    Sqlite,
    Postgres(String),
}

pub(crate) struct Place {
    folder: TempDir,
    key: Arc<MasterKey>,
    engine: Engine,
}

/// An audit entry.
pub(crate) fn entry() -> Entry {
    Entry::of_program("test", "anything", Timestamp::UNIX_EPOCH)
}

/// An opened store.
#[derive(Clone)]
pub(crate) struct Opened {
    pub store: Arc<dyn Store>,
    pub tenants: Arc<dyn Tokens>,
    pub audit: Arc<dyn Audit>,
    pub catalogue: Arc<dyn Catalogue>,
    pub ledger: Arc<dyn Ledger>,
    pub types: Arc<dyn SchemaStore>,
    pub events: Arc<dyn EventLog>,
    pub receivers: Arc<dyn Receivers>,
    pub keys: Arc<dyn SigningKeys>,
    pub clients: Arc<dyn Clients>,
    pub issuers: Arc<dyn Issuers>,
    pub life: Arc<dyn TenantLife>,
    pub history: Arc<dyn History>,
    pub parking: Arc<dyn Parking>,
    pub pending: Arc<dyn PendingReferences>,
    pub readiness: Arc<dyn Readiness>,
    pub committed: Arc<Notify>,
}

impl Opened {
    fn of(store: &impl Ports) -> Self {
        Self {
            committed: store.committed(),
            tenants: store.tokens(),
            audit: store.audit(),
            catalogue: store.catalogue(),
            ledger: store.ledger(),
            types: store.types(),
            events: store.events(),
            receivers: store.receivers(),
            keys: store.keys(),
            clients: store.clients(),
            issuers: store.issuers(),
            life: store.life(),
            history: store.history(),
            parking: store.parking(),
            pending: store.pending(),
            readiness: store.readiness(),
            store: store.identities(),
        }
    }
}

/// A stranger's transaction that others wait for.
#[expect(dead_code, reason = "what counts is that it lives")]
pub(crate) enum Held {
    Sqlite(rusqlite::Connection),
    Postgres(tokio_postgres::Client),
}

/// A row of the change log: sequence, type, id, version.
pub(crate) type Logged = (i64, String, String, i64);

const READ_LOG: &str =
    "SELECT sequence, type, id, version FROM change_log WHERE tenant = $1 ORDER BY sequence";

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self::new(Engine::Sqlite)
    }

    pub(crate) async fn postgres() -> Self {
        Self::new(Engine::Postgres(postgres_server::database().await))
    }

    fn new(engine: Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = Arc::new(MasterKey::load_or_create(&folder.path().join("key")).unwrap());
        Self {
            folder,
            key,
            engine,
        }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    pub(crate) fn key(&self) -> Arc<MasterKey> {
        self.key.clone()
    }

    pub(crate) async fn try_open(&self) -> Result<Opened, Fault> {
        self.try_open_with(self.key()).await
    }

    /// Where the file of the database is, if it is one.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("db")
    }

    pub(crate) async fn try_open_with(&self, key: Arc<MasterKey>) -> Result<Opened, Fault> {
        Ok(match &self.engine {
            Engine::Sqlite => Opened::of(&Sqlite::open(&self.file(), key)?),
            Engine::Postgres(url) => {
                let database = Postgres::connect(url, key)
                    .await
                    .map_err(ConnectError::into_fault)?;
                Opened::of(&database)
            }
        })
    }

    /// The request log, beside whatever else has it open.
    pub(crate) async fn request_log(&self) -> Arc<dyn RequestLog> {
        match &self.engine {
            Engine::Sqlite => {
                Arc::new(SqliteRequestLog::open(&self.folder.path().join("requests.db")).unwrap())
            }
            Engine::Postgres(url) => Arc::new(
                Postgres::connect(url, self.key())
                    .await
                    .unwrap()
                    .request_log(),
            ),
        }
    }

    fn request_log_connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("requests.db")).unwrap()
    }

    /// Statements without values on the request log, by a stranger.
    pub(crate) async fn execute_on_request_log(&self, sql: &str) {
        match &self.engine {
            Engine::Sqlite => self.request_log_connection().execute_batch(sql).unwrap(),
            Engine::Postgres(_) => self.execute(sql).await,
        }
    }

    /// One number of the request log, by a stranger.
    pub(crate) async fn request_log_number(&self, sql: &str) -> i64 {
        match &self.engine {
            Engine::Sqlite => self
                .request_log_connection()
                .query_row(sql, [], |row| row.get(0))
                .unwrap(),
            Engine::Postgres(_) => self.number(sql).await,
        }
    }

    /// Nothing is committed as long as the answer lives.
    pub(crate) async fn hold_commits(&self) -> Held {
        match &self.engine {
            Engine::Sqlite => {
                let connection = self.connection();
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                Held::Sqlite(connection)
            }
            Engine::Postgres(url) => {
                let client = postgres_server::client(url).await;
                // What a commit locks last.
                client
                    .batch_execute("BEGIN; SELECT 1 FROM tenants FOR NO KEY UPDATE")
                    .await
                    .unwrap();
                Held::Postgres(client)
            }
        }
    }

    /// Nothing is written into the request log as long as the answer lives.
    pub(crate) async fn hold_request_log(&self) -> Held {
        match &self.engine {
            Engine::Sqlite => {
                let connection = self.request_log_connection();
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                Held::Sqlite(connection)
            }
            Engine::Postgres(url) => {
                let client = postgres_server::client(url).await;
                client
                    .batch_execute("BEGIN; LOCK TABLE requests IN ACCESS EXCLUSIVE MODE")
                    .await
                    .unwrap();
                Held::Postgres(client)
            }
        }
    }

    pub(crate) async fn open(&self) -> Opened {
        self.try_open().await.unwrap()
    }

    fn connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("db")).unwrap()
    }

    /// Statements without values, by a stranger.
    pub(crate) async fn execute(&self, sql: &str) {
        match &self.engine {
            Engine::Sqlite => self.connection().execute_batch(sql).unwrap(),
            Engine::Postgres(url) => postgres_server::client(url)
                .await
                .batch_execute(sql)
                .await
                .unwrap(),
        }
    }

    /// The same, where the engines' texts differ.
    pub(crate) async fn execute_on(&self, sqlite: &str, postgres: &str) {
        self.execute(if matches!(self.engine, Engine::Sqlite) {
            sqlite
        } else {
            postgres
        })
        .await;
    }

    /// One number, by a stranger.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        match &self.engine {
            Engine::Sqlite => self
                .connection()
                .query_row(sql, [], |row| row.get(0))
                .unwrap(),
            Engine::Postgres(url) => postgres_server::client(url)
                .await
                .query_one(sql, &[])
                .await
                .unwrap()
                .get(0),
        }
    }

    /// Texts, one a row, by a stranger.
    pub(crate) async fn texts(&self, sqlite: &str, postgres: &str) -> Vec<String> {
        match &self.engine {
            Engine::Sqlite => {
                let connection = self.connection();
                let mut statement = connection.prepare(sqlite).unwrap();
                statement
                    .query_map([], |row| row.get(0))
                    .unwrap()
                    .map(Result::unwrap)
                    .collect()
            }
            Engine::Postgres(url) => {
                let rows = postgres_server::client(url)
                    .await
                    .query(postgres, &[])
                    .await
                    .unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }

    pub(crate) async fn log(&self, tenant: TenantId) -> Vec<Logged> {
        match &self.engine {
            Engine::Sqlite => {
                let connection = self.connection();
                let mut statement = connection.prepare(READ_LOG).unwrap();
                let rows = statement
                    .query_map([tenant.0], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                    })
                    .unwrap();
                rows.map(Result::unwrap).collect()
            }
            Engine::Postgres(url) => {
                let rows = postgres_server::client(url)
                    .await
                    .query(READ_LOG, &[&tenant.0])
                    .await
                    .unwrap();
                rows.iter()
                    .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
                    .collect()
            }
        }
    }
}

/// Time and ids that only count.
#[derive(Default)]
pub(crate) struct Counter {
    time: AtomicI64,
    ids: AtomicU64,
}

impl Clock for Counter {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + self.time.fetch_add(1, Ordering::Relaxed)).unwrap()
    }
}

impl IdGenerator for Counter {
    fn id(&self) -> Uuid {
        Uuid::from_u128(
            0x0190_0000_0000_7000_8000_0000_0000_0000
                + u128::from(self.ids.fetch_add(1, Ordering::Relaxed)),
        )
    }
    fn secret(&self) -> [u8; 32] {
        [7; 32]
    }
}

/// A tenant in an opened store, and what a test does with it.
#[derive(Clone)]
pub(crate) struct World {
    pub opened: Opened,
    pub tenant: Arc<Tenant>,
    pub counter: Arc<Counter>,
    pub schemas: SchemaSet,
}

impl World {
    pub(crate) async fn new(place: &Place) -> Self {
        Self::in_store(place.open().await, "acme", Arc::default()).await
    }

    pub(crate) async fn in_store(opened: Opened, name: &str, counter: Arc<Counter>) -> Self {
        Self::with_settings(opened, name, counter, TenantSettings::default()).await
    }

    pub(crate) async fn with_settings(
        opened: Opened,
        name: &str,
        counter: Arc<Counter>,
        settings: TenantSettings,
    ) -> Self {
        let at = Timestamp::from_second(1_600_000_000).unwrap();
        let tenant = opened
            .tenants
            .create_tenant(name, settings, at, entry())
            .await
            .unwrap()
            .unwrap();
        let schemas = opened
            .types
            .read_types(tenant.id)
            .await
            .unwrap()
            .schema_set()
            .unwrap();
        Self {
            opened,
            tenant: Arc::new(tenant),
            counter,
            schemas,
        }
    }

    pub(crate) fn directory(&self) -> Directory {
        let directory = Directory::new(
            self.opened.store.clone(),
            self.counter.clone(),
            self.counter.clone(),
        )
        .with_types(self.opened.types.clone());
        directory.with_past(
            self.opened.history.clone(),
            self.opened.parking.clone(),
            self.opened.pending.clone(),
        )
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller {
            tenant: self.tenant.clone(),
            schemas: self.schemas.clone(),
            credential_id: "test".into(),
            permissions: Permissions::default(),
            expires: None,
        }
    }

    pub(crate) fn schema(&self, name: &str) -> Arc<TypeSchema> {
        self.schemas.by_name(name).unwrap().clone()
    }

    pub(crate) fn change_set(&self, writes: Vec<Write>) -> ChangeSet {
        let policy = Policy::of_administrator(&self.caller());
        ChangeSet {
            change_id: self.counter.id(),
            at: self.counter.now(),
            types_revision: self.schemas.revision(),
            writes,
            policy,
        }
    }

    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Committed>, CommitError> {
        self.opened
            .store
            .commit(self.tenant.id, Arc::new(self.change_set(writes)))
            .await
    }

    pub(crate) async fn commit_one(&self, write: Write) -> Result<Committed, CommitError> {
        Ok(self.commit(vec![write]).await?.remove(0))
    }

    pub(crate) fn create_with(
        &self,
        resource_type: &str,
        id: &str,
        document: Value,
        members: &[&str],
    ) -> Write {
        let Value::Object(document) = document else {
            panic!("not an object")
        };
        let content = content(
            &self.schema(resource_type),
            ValidResource::trusted(document),
        );
        let members = members.iter().map(ToString::to_string).collect();
        Write {
            resource_type: resource_type.into(),
            id: id.into(),
            change: Change::Create {
                content,
                members,
                former: None,
            },
        }
    }

    pub(crate) async fn user(&self, id: &str) -> Committed {
        let write = self.create_with(
            "User",
            id,
            json!({"schemas": [scim_protocol::schema::standard::USER], "userName": id}),
            &[],
        );
        self.commit_one(write).await.unwrap()
    }

    pub(crate) async fn group(&self, id: &str, members: &[&str]) -> Committed {
        self.commit_one(self.create_with("Group", id, json!({"displayName": id}), members))
            .await
            .unwrap()
    }

    pub(crate) fn replace_with(
        &self,
        resource_type: &str,
        id: &str,
        precondition: Precondition,
        document: Value,
    ) -> Write {
        let Change::Create { content, .. } =
            self.create_with(resource_type, id, document, &[]).change
        else {
            panic!("a create")
        };
        let change = Change::Update {
            precondition,
            content: Some(content),
            members: MemberDelta::default(),
            effect: Effect::default(),
        };
        Write {
            resource_type: resource_type.into(),
            id: id.into(),
            change,
        }
    }

    pub(crate) async fn read(&self, resource_type: &str, id: &str) -> Option<StoredResource> {
        self.opened
            .store
            .read(self.tenant.id, resource_type, id, ALL)
            .await
            .unwrap()
    }
}

pub(crate) fn members(id: &str, added: &[&str], removed: &[&str]) -> Write {
    let texts = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
    let delta = MemberDelta {
        replace: false,
        added: texts(added),
        removed: texts(removed),
    };
    let change = Change::Update {
        precondition: Precondition::Exists,
        content: None,
        members: delta,
        effect: Effect::default(),
    };
    Write {
        resource_type: "Group".into(),
        id: id.into(),
        change,
    }
}

pub(crate) fn delete(resource_type: &str, id: &str, precondition: Precondition) -> Write {
    Write {
        resource_type: resource_type.into(),
        id: id.into(),
        change: Change::Delete { precondition },
    }
}
