//! Builds the object graph: configuration to store, directory, engine and server. The only file that knows the wall clock and the machine's randomness.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use access::client::Clients;
use access::credential::{TokenHasher, TokenRequest, Tokens, issue, token_text};
use access::issuer::{Issuers, KeySets};
use administration::administration::{Engine, Events, Options as Limits};
use administration::operations::{CREATE_TENANT, CREATE_TOKEN};
use administration::{Administration, Administrator};
use connectors::egress::Egress;
use connectors::event_receiver::HttpEventDelivery;
use connectors::key_sets::KeySetFetcher;
use connectors::scim_target::ScimConnector;
use directory::access::{Caller, Permissions};
use directory::audit::Entry;
use directory::audit_log::Audit;
use directory::clock::{Clock, IdGenerator};
use directory::directory::COMMAND_LINE;
use directory::directory::Directory;
use directory::history::History;
use directory::parking::Parking;
use directory::pending::PendingReferences;
use directory::readiness::Readiness;
use directory::request_log::RequestLog;
use directory::schema_store::SchemaStore;
use directory::search::cursor::CursorSealer;
use directory::store::Store;
use directory::tenant::{Tenant, TenantSettings};
use directory::tenant_life::TenantLife;
use events::event_log::{EventLog, Receivers, SigningKeys};
use events::renderer::EventRenderer;
use events::subscription::{self, Subscriptions};
use jiff::Timestamp;
use provisioning::application::Secret;
use provisioning::dry_run::DryRun;
use provisioning::ledger::{Catalogue, Ledger};
use provisioning::provisioning::{Ports, Provisioning};
use provisioning::types::Types;
use serde_json::json;
use server::local::{LocalUser, own_uid};
use server::lockout::LockoutLimit;
use server::rate_limit::RateLimit;
use server::{Callers, DEFAULT_TENANT, Parts, State, TenantLifecycle};
use storage::ports::Ports as StoragePorts;
use storage::postgres::{self, Postgres};
use storage::private_files::make_private;
use storage::secrets::MasterKey;
use storage::sqlite::requests::SqliteRequestLog;
use storage::sqlite::serving::{Begun, Serving};
use storage::sqlite::{self, Sqlite, journal};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::configuration::{Configuration, Database, Hidden};
use crate::failure::Failure;
use crate::forgetting::Forgetting;
use crate::identities::Identities;
use crate::reach::Rules;

/// The embedded database, in the data folder.
const DATABASE_FILE: &str = "rollcall.db";
/// The request log beside it.
const REQUESTS_FILE: &str = "requests.db";
/// The key that seals secrets and tokens, in the data folder.
const KEY_FILE: &str = "rollcall.key";

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The machine's randomness.
#[derive(Debug)]
pub struct OsIds;

impl IdGenerator for OsIds {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    fn id(&self) -> Uuid {
        Uuid::now_v7()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        // The operating system's randomness fails only where there is none at all; then no secret must be made.
        while getrandom::fill(&mut secret).is_err() {
            std::thread::yield_now();
        }
        secret
    }
}

/// Now.
pub fn now() -> Timestamp {
    SystemClock.now()
}

/// What to do where there is no database yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Make one.
    Create,
    /// Say so.
    Refuse,
}

/// The ports of one database.
pub struct AnyStore {
    /// Tenants and tokens.
    pub tenants: Arc<dyn Tokens>,
    /// Applications.
    pub catalogue: Arc<dyn Catalogue>,
    /// Work.
    pub ledger: Arc<dyn Ledger>,
    /// Request logs, apart from the rest.
    pub request_log: Arc<dyn RequestLog>,
    /// What happened.
    pub events: Arc<dyn EventLog>,
    /// Who is told.
    pub receivers: Arc<dyn Receivers>,
    /// With which keys tokens about it are signed.
    pub keys: Arc<dyn SigningKeys>,
    /// What administrators did.
    pub audit: Arc<dyn Audit>,
    /// OAuth clients.
    pub clients: Arc<dyn Clients>,
    /// Foreign issuers.
    pub issuers: Arc<dyn Issuers>,
    /// Suspending, moving and erasing tenants.
    pub life: Arc<dyn TenantLife>,
    /// References that wait.
    pub pending: Arc<dyn PendingReferences>,
    /// Notified at each commit.
    pub committed: Arc<Notify>,
    readiness: Arc<dyn Readiness>,
    history: Arc<dyn History>,
    parking: Arc<dyn Parking>,
    identities: Arc<dyn Store>,
    types: Arc<dyn SchemaStore>,
    /// The database itself, where it is the embedded one.
    embedded: Option<Sqlite>,
}

impl AnyStore {
    fn of(database: &impl StoragePorts, request_log: Arc<dyn RequestLog>) -> Self {
        Self {
            request_log,
            embedded: None,
            committed: database.committed(),
            tenants: database.tokens(),
            catalogue: database.catalogue(),
            ledger: database.ledger(),
            types: database.types(),
            events: database.events(),
            receivers: database.receivers(),
            keys: database.keys(),
            audit: database.audit(),
            clients: database.clients(),
            issuers: database.issuers(),
            life: database.life(),
            pending: database.pending(),
            readiness: database.readiness(),
            history: database.history(),
            parking: database.parking(),
            identities: database.identities(),
        }
    }
}

/// Everything that commands work with.
pub struct Rollcall {
    /// What is remembered.
    pub store: AnyStore,
    /// Identities.
    pub directory: Directory,
    /// The way to applications.
    pub connector: ScimConnector,
    /// The way to receivers of events.
    event_delivery: HttpEventDelivery,
    pub key_sets: Arc<dyn KeySets>,
    hasher: Arc<dyn TokenHasher>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
}

impl Rollcall {
    /// Opens the store.
    pub async fn open(configuration: &Configuration, missing: Missing) -> Result<Self, Failure> {
        let data = &configuration.data.value;
        let database = data.join(DATABASE_FILE);
        let is_embedded = configuration.database.value == Database::Embedded;
        if missing == Missing::Refuse && is_embedded && !database.exists() {
            return Err(Failure::not_found(format!("there is no database in {}", data.display()))
                .hint("`rollcall serve` makes one at its first start; another folder is named with --data"));
        }
        make_private_folder(data)?;
        let key = Arc::new(key(configuration, &database).await?);
        let store = match &configuration.database.value {
            Database::Embedded => {
                let request_log = Arc::new(SqliteRequestLog::open(&data.join(REQUESTS_FILE))?);
                let embedded = Sqlite::open(&database, Arc::clone(&key))?;
                AnyStore {
                    embedded: Some(embedded.clone()),
                    ..AnyStore::of(&embedded, request_log)
                }
            }
            Database::PostgreSql(url) => {
                let database = Postgres::connect(url.reveal(), Arc::clone(&key)).await?;
                let request_log = Arc::new(database.request_log());
                AnyStore::of(&database, request_log)
            }
        };
        let (clock, ids): (Arc<dyn Clock>, Arc<dyn IdGenerator>) =
            (Arc::new(SystemClock), Arc::new(OsIds));
        let directory = Directory::new(
            Arc::clone(&store.identities),
            Arc::clone(&clock),
            Arc::clone(&ids),
        )
        .with_cursors(
            Arc::clone(&key) as Arc<dyn CursorSealer>,
            server_options(configuration).cursor_seconds_max,
        )
        .with_types(Arc::clone(&store.types))
        .with_past(
            Arc::clone(&store.history),
            Arc::clone(&store.parking),
            Arc::clone(&store.pending),
        );
        let egress = Egress::allowing(configuration.allow_private.value.clone());
        let connector = ScimConnector::new(egress.clone())?;
        let event_delivery = HttpEventDelivery::new(egress.clone())?;
        let key_sets: Arc<dyn KeySets> = Arc::new(KeySetFetcher::new(egress)?);
        Ok(Self {
            store,
            directory,
            connector,
            event_delivery,
            key_sets,
            hasher: key,
            clock,
            ids,
        })
    }

    /// Goes on with what the file of the embedded database has, where its journal is lost.
    pub fn accept_lost_journal(configuration: &Configuration) -> Result<(), Failure> {
        let database = configuration.data.value.join(DATABASE_FILE);
        if configuration.database.value != Database::Embedded || !database.exists() {
            let folder = configuration.data.value.display();
            return Err(Failure::usage(format!(
                "--accept-lost-journal is for a database in the data folder, and there is none in {folder}"
            )));
        }
        Ok(journal::accept_lost_journal(&database)?)
    }

    /// What tells of changes, at rest. `public_url` is where receivers find this server.
    pub fn events(
        &self,
        public_url: &str,
        options: subscription::Options,
        commits: watch::Receiver<u64>,
    ) -> server::Events {
        let (store, tenants) = (
            Arc::clone(&self.store.identities),
            Arc::clone(&self.store.tenants),
        );
        let public_url = public_url.trim_end_matches('/').to_owned();
        let renderer = EventRenderer::new(
            store,
            tenants,
            self.directory.clone(),
            Arc::clone(&self.store.keys),
            public_url,
        );
        let ports = subscription::Ports {
            log: Arc::clone(&self.store.events),
            receivers: Arc::clone(&self.store.receivers),
            renderer: renderer.clone(),
            event_delivery: Arc::new(self.event_delivery.clone()),
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            commits: commits.clone(),
        };
        server::Events {
            log: Arc::clone(&self.store.events),
            receivers: Arc::clone(&self.store.receivers),
            keys: Arc::clone(&self.store.keys),
            renderer,
            delivery: Arc::new(Subscriptions::new(ports, options)),
            commits,
        }
    }

    /// The same for a command that answers itself, where nothing wakes it.
    pub fn events_of_command(
        &self,
        public_url: &str,
        configuration: &Configuration,
    ) -> server::Events {
        let (_, commits) = watch::channel(0);
        self.events(public_url, event_options(configuration), commits)
    }

    /// Begins to serve the data folder; in a database that many nodes share there is nothing to begin.
    pub async fn begin_to_serve(&self) -> Result<Option<Serving>, Failure> {
        let Some(database) = &self.store.embedded else {
            return Ok(None);
        };
        match database.begin_to_serve().await? {
            Begun::Serving(serving) => Ok(Some(serving)),
            Begun::Taken => Err(Failure::conflict("another `rollcall serve` serves this data folder already")
                .hint("stop it first, or give this one another folder with --data; several nodes can serve one PostgreSQL database")),
        }
    }

    /// What the server works with.
    pub fn state(&self, configuration: &Configuration, events: server::Events) -> Arc<State> {
        let store = &self.store;
        let administration = self.administration(configuration, &events);
        State::new(Parts {
            directory: self.directory.clone(),
            tenants: Arc::clone(&store.tenants),
            hasher: Arc::clone(&self.hasher),
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            options: server_options(configuration),
            events: Some(events),
            readiness: Some(Arc::clone(&store.readiness)),
            request_log: Some(Arc::clone(&store.request_log)),
            callers: Some(Callers {
                clients: Arc::clone(&store.clients),
                issuers: Arc::clone(&store.issuers),
                key_sets: Arc::clone(&self.key_sets),
            }),
            tenant_lifecycle: Some(TenantLifecycle {
                folder: configuration.data.value.clone(),
            }),
            administration: Some(Arc::new(administration)),
        })
    }

    /// What administrators work with.
    pub fn administration(
        &self,
        configuration: &Configuration,
        events: &server::Events,
    ) -> Administration {
        let options = server_options(configuration);
        let egress = Egress::allowing(configuration.allow_private.value.clone());
        Administration {
            tenants: Arc::clone(&self.store.tenants),
            life: Arc::clone(&self.store.life),
            request_log: Arc::clone(&self.store.request_log),
            clients: Arc::clone(&self.store.clients),
            issuers: Arc::clone(&self.store.issuers),
            key_sets: Arc::clone(&self.key_sets),
            audit: Arc::clone(&self.store.audit),
            events: Events {
                receivers: Arc::clone(&events.receivers),
                keys: Arc::clone(&events.keys),
                delivery: Arc::clone(&events.delivery),
            },
            directory: self.directory.clone(),
            hasher: Arc::clone(&self.hasher),
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            engine: Engine {
                catalogue: Arc::clone(&self.store.catalogue),
                ledger: Arc::clone(&self.store.ledger),
                connector: Arc::new(self.connector.clone()),
                reach: Arc::new(Rules(egress)),
                dry_run: Arc::new(self.dry_run()),
            },
            options: Limits {
                credentials_max: options.credentials_max,
                partners_max: options.partners_max,
            },
        }
    }

    /// The user of this machine, as an owner of the installation, for what only this program itself can do.
    pub fn local_owner() -> Administrator {
        let user = LocalUser::here(own_uid());
        let (name, from) = (user.name().to_owned(), user.from().to_owned());
        Administrator::of(Caller::of_installation(COMMAND_LINE.into()), name, from)
    }

    /// What forgets in time.
    pub fn forgetting(&self) -> Forgetting {
        let store = &self.store;
        let (tenants, history, clock) = (
            Arc::clone(&store.tenants),
            Arc::clone(&store.history),
            Arc::clone(&self.clock),
        );
        let (catalogue, ledger) = (Arc::clone(&store.catalogue), Arc::clone(&store.ledger));
        let log_lines_max = provisioning::provisioning::Options::default().log_lines_max;
        Forgetting {
            tenants,
            history,
            catalogue,
            ledger,
            log_lines_max,
            clock,
        }
    }

    /// The engine, at rest; `committed` wakes it.
    pub fn engine(&self, committed: Arc<Notify>) -> Provisioning {
        let ports = Ports {
            store: Arc::clone(&self.store.identities),
            ledger: Arc::clone(&self.store.ledger),
            catalogue: Arc::clone(&self.store.catalogue),
            types: Arc::clone(&self.store.types),
            connector: Arc::new(self.connector.clone()),
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            committed,
        };
        Provisioning::new(ports, provisioning::provisioning::Options::default())
    }

    /// The engine as it only writes down what it would send.
    fn dry_run(&self) -> DryRun {
        DryRun {
            store: Arc::clone(&self.store.identities),
            ledger: Arc::clone(&self.store.ledger),
            types: Types::new(Arc::clone(&self.store.types)),
            connector: Arc::new(self.connector.clone()),
        }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A tenant by its name.
    pub async fn tenant(&self, name: &str) -> Result<Tenant, Failure> {
        self.store.tenants.find_tenant(name).await?.ok_or_else(|| {
            Failure::not_found(format!("there is no tenant `{name}`"))
                .hint("`rollcall tenant list` shows those that are there")
        })
    }

    /// People and groups of a tenant.
    pub async fn identities(&self, tenant: &Tenant) -> Result<Identities, Failure> {
        Identities::new(self.directory.clone(), tenant).await
    }

    /// Makes the first token, of this value where one is given.
    async fn issue_first_token(
        &self,
        request: TokenRequest,
        value: Option<&str>,
    ) -> Result<Secret, Failure> {
        let text = value.map_or_else(|| token_text(&self.ids.secret()), str::to_owned);
        let record = issue(&*self.hasher, self.ids.id(), &text, request, self.now());
        let entry = Entry {
            after: Some(json!({ "name": record.name, "scopes": record.permissions.scopes })),
            ..Entry::of_program(CREATE_TOKEN.name, record.id.clone(), record.created)
        };
        // It stands for no person, so nothing keeps it from being made.
        self.store.tenants.create_token(record, entry).await?;
        Ok(Secret::new(text))
    }
}

/// What the first start made.
pub struct First {
    /// The tenant's name.
    pub tenant: String,
    /// Its token; `None` where somebody gave it and knows it.
    pub token: Option<String>,
}

/// Makes the tenant `default` and its first token, where they are not there. A start that was cut short before it printed the token counts as none
/// only while the tenant has no token.
pub async fn first_start(
    rollcall: &Rollcall,
    given: Option<&Hidden>,
) -> Result<Option<First>, Failure> {
    let at = rollcall.now();
    let entry = Entry::of_program(CREATE_TENANT.name, DEFAULT_TENANT, at);
    let made = rollcall
        .store
        .tenants
        .create_tenant(DEFAULT_TENANT, TenantSettings::default(), at, entry)
        .await?;
    let tenant = match made {
        Some(tenant) => tenant,
        None => rollcall.tenant(DEFAULT_TENANT).await?,
    };
    if !rollcall
        .store
        .tenants
        .list_tokens(tenant.id)
        .await?
        .is_empty()
    {
        return Ok(None);
    }
    // Whoever starts the program owns it: the first token may do everything, and makes narrower ones for provisioning clients.
    let request = TokenRequest {
        tenant: tenant.id,
        name: "first".into(),
        expires: None,
        permissions: Permissions::all(),
    };
    let issued = match rollcall
        .issue_first_token(request, given.map(Hidden::reveal))
        .await
    {
        // Another node started at the same moment, with the same token.
        Err(_)
            if given.is_some()
                && !rollcall
                    .store
                    .tenants
                    .list_tokens(tenant.id)
                    .await?
                    .is_empty() =>
        {
            return Ok(None);
        }
        issued => issued?,
    };
    let token = given.is_none().then(|| issued.reveal().to_owned());
    Ok(Some(First {
        tenant: tenant.name,
        token,
    }))
}

/// Where others find a server that listens there: as configured, else that address.
pub fn public_url(configuration: &Configuration, listening: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    let otherwise = || format!("{scheme}://{listening}");
    configuration
        .public_url
        .value
        .as_ref()
        .map_or_else(otherwise, |url| {
            url.as_str().trim_end_matches('/').to_owned()
        })
}

/// What is configured of the server, and what is not.
pub fn server_options(configuration: &Configuration) -> server::Options {
    let defaults = server::Options::default();
    let rate = |setting: Option<u32>, default: Option<RateLimit>| match setting {
        None => default,
        Some(0) => None,
        Some(per_second) => Some(RateLimit {
            per_second,
            burst: per_second.saturating_mul(5),
        }),
    };
    let lockout = match configuration.lockout_failures.value {
        None => defaults.lockout,
        Some(failures) => LockoutLimit {
            failures_max: if failures == 0 { u32::MAX } else { failures },
            ..defaults.lockout
        },
    };
    server::Options {
        rate_limit: rate(
            configuration.rate_limit_per_second.value,
            defaults.rate_limit,
        ),
        address_rate_limit: rate(
            configuration.address_rate_limit_per_second.value,
            defaults.address_rate_limit,
        ),
        lockout,
        takes_client_certificates: configuration.tls_client_ca.value.is_some(),
        public_url: configuration
            .public_url
            .value
            .as_ref()
            .map(|url| url.as_str().trim_end_matches('/').to_owned()),
        trusted_proxies: configuration.trusted_proxies.value.clone(),
        ..defaults
    }
}

/// How changes are told and for how long they are kept.
pub fn event_options(configuration: &Configuration) -> subscription::Options {
    let defaults = subscription::Options::default();
    subscription::Options {
        retention_days: configuration
            .event_retention_days
            .value
            .unwrap_or(defaults.retention_days),
        ..defaults
    }
}

/// A name that nothing else has.
pub fn fresh_name() -> String {
    OsIds.id().simple().to_string()
}

/// The key of the database. Makes one only for a database that nothing has used yet.
async fn key(configuration: &Configuration, database: &Path) -> Result<MasterKey, Failure> {
    let path = configuration.data.value.join(KEY_FILE);
    let is_in_use = match &configuration.database.value {
        Database::Embedded => sqlite::is_in_use(database),
        // With a key the database is asked whether it is the right one.
        Database::PostgreSql(_) if path.exists() => true,
        Database::PostgreSql(url) => postgres::is_in_use(url.reveal()).await?,
    };
    Ok(MasterKey::of_database(&path, is_in_use)?)
}

/// Makes a folder that only its owner can look into, with those above it. One that is there is closed to others, if it is only for data: where it has folders
/// in it, or everybody may write into it as in `/tmp`, it is also for something else.
pub fn make_private_folder(path: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::failed(format!(
            "the data folder {} cannot be used: {error}",
            path.display()
        ))
        .hint("name a folder that this user can write into with --data")
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(failed)?;
    if is_only_for_data(path).map_err(failed)? {
        make_private(path);
    } else {
        tracing::warn!(path = %path.display(), "the data folder is also for other things, so it stays as open as it is; its files are private");
    }
    Ok(())
}

fn is_only_for_data(path: &Path) -> std::io::Result<bool> {
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path)?.permissions()) & 0o1000
        != 0
    {
        return Ok(false);
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        // Disks have one at their root.
        if entry.file_type()?.is_dir() && entry.file_name() != "lost+found" {
            return Ok(false);
        }
    }
    Ok(true)
}
