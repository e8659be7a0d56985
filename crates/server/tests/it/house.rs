//! A server without a socket: a store in a folder of its own, a clock that tests move, one token that may do everything.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use access::client::Clients;
use access::credential::{TokenHash, TokenHasher, TokenRequest, Tokens, issue, token_text};
use access::issuer::Issuers;
use administration::Administration;
use administration::administration::{Engine, Events as Told, Options as Limits, Reach};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use directory::Directory;
use directory::access::{Permissions, Scope};
use directory::audit::Entry;
use directory::clock::{Clock, IdGenerator};
use directory::request_log::RequestLog;
use directory::store::{Fault, Store};
use directory::tenant::{Tenant, TenantSettings};
use events::event_log::{EventDelivery, Message, Reception};
use events::receiver::Receiver;
use events::renderer::EventRenderer;
use events::subscription::{Ports, Subscriptions};
use http::{Request, StatusCode};
use jiff::{SignedDuration, Timestamp};
use provisioning::application::Application;
use provisioning::connector::{Connector, Target};
use provisioning::dry_run::DryRun;
use provisioning::types::Types;
use serde_json::Value;
use server::{Callers, Events, Options, Parts, State, TenantLifecycle, router};
use storage::secrets::MasterKey;
use storage::sqlite::Sqlite;
use storage::sqlite::requests::SqliteRequestLog;
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;
use url::Url;
use uuid::Uuid;

use crate::oauth::Foreign;

impl Connector for Nowhere {
    fn connect(&self, _: &Application) -> Result<Arc<dyn Target>, Fault> {
        Err(Fault::new("no application is reached here"))
    }
}

#[async_trait]
impl Reach for Nowhere {
    async fn check(&self, url: &Url) -> Result<(), String> {
        match url.host_str() {
            Some("inside.example") => Err("it is inside".into()),
            _ => Ok(()),
        }
    }
}

/// An audit entry.
pub(crate) fn entry() -> Entry {
    Entry::of_program("test", "anything", Timestamp::UNIX_EPOCH)
}

pub(crate) use crate::replay::Answer;

/// Time stands still unless a test moves it; ids count.
pub(crate) struct Hand {
    seconds: AtomicI64,
    ids: AtomicU64,
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.seconds.load(Ordering::Relaxed)).unwrap()
    }
}

impl IdGenerator for Hand {
    fn id(&self) -> Uuid {
        Uuid::from_u128(
            0x0190_0000_0000_7000_8000_0000_0000_0000
                + u128::from(self.ids.fetch_add(1, Ordering::Relaxed)),
        )
    }

    fn secret(&self) -> [u8; 32] {
        let mut secret = [7; 32];
        secret[..16].copy_from_slice(self.id().as_bytes());
        secret
    }
}

pub(crate) struct House {
    pub folder: TempDir,
    router: Router,
    pub hand: Arc<Hand>,
    pub tenants: Arc<dyn Tokens>,
    pub request_log: Arc<dyn RequestLog>,
    pub store: Arc<Sqlite>,
    /// Says that something was committed, as the program does.
    pub announce: watch::Sender<u64>,
    hasher: Arc<MasterKey>,
    pub tenant: Tenant,
    pub token: String,
    pub clients: Arc<dyn Clients>,
    pub issuers: Arc<dyn Issuers>,
    pub foreign: Arc<Foreign>,
}

/// Nobody is at the other end: what is sent outside has tests of its own.
struct Nowhere;

#[async_trait]
impl EventDelivery for Nowhere {
    async fn send(&self, _: &Receiver, _: &Message, _: Timestamp) -> Reception {
        Reception::Later {
            why: "nobody is there".into(),
            retry_after: None,
        }
    }
}

fn events(
    store: &Arc<Sqlite>,
    directory: &Directory,
    hand: &Arc<Hand>,
) -> (watch::Sender<u64>, Events) {
    let (announce, commits) = watch::channel(0);
    let renderer = EventRenderer::new(
        store.clone(),
        store.clone(),
        directory.clone(),
        store.clone(),
        "https://r.example".into(),
    );
    let ports = Ports {
        log: store.clone(),
        receivers: store.clone(),
        renderer: renderer.clone(),
        event_delivery: Arc::new(Nowhere),
        clock: hand.clone(),
        ids: hand.clone(),
        commits: commits.clone(),
    };
    let delivery = Arc::new(Subscriptions::new(
        ports,
        events::subscription::Options::default(),
    ));
    (
        announce,
        Events {
            log: store.clone(),
            receivers: store.clone(),
            keys: store.clone(),
            renderer,
            delivery,
            commits,
        },
    )
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default(), TenantSettings::default()).await
    }

    pub(crate) async fn with(options: Options, settings: TenantSettings) -> Self {
        Self::over(options, settings, |store| store).await
    }

    /// A server whose directory sees the store only through something else.
    pub(crate) async fn over(
        options: Options,
        settings: TenantSettings,
        seen: impl FnOnce(Arc<Sqlite>) -> Arc<dyn Store>,
    ) -> Self {
        Self::made(options, settings, seen, |tenants| tenants).await
    }

    /// A server that sees tenants and tokens only through something else.
    pub(crate) async fn behind(
        options: Options,
        seen: impl FnOnce(Arc<dyn Tokens>) -> Arc<dyn Tokens>,
    ) -> Self {
        Self::made(options, TenantSettings::default(), |store| store, seen).await
    }

    async fn made(
        options: Options,
        settings: TenantSettings,
        seen: impl FnOnce(Arc<Sqlite>) -> Arc<dyn Store>,
        seen_tenants: impl FnOnce(Arc<dyn Tokens>) -> Arc<dyn Tokens>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hasher = Arc::new(MasterKey::load_or_create(&folder.path().join("key")).unwrap());
        let store = Arc::new(Sqlite::open(&folder.path().join("db"), hasher.clone()).unwrap());
        let hand = Arc::new(Hand {
            seconds: AtomicI64::new(1_800_000_000),
            ids: AtomicU64::new(0),
        });
        let directory = Directory::new(seen(store.clone()), hand.clone(), hand.clone())
            .with_cursors(hasher.clone(), options.cursor_seconds_max)
            .with_types(store.clone())
            .with_past(store.clone(), store.clone(), store.clone());
        let (clients, issuers): (Arc<dyn Clients>, Arc<dyn Issuers>) =
            (store.clone(), store.clone());
        let (announce, events) = events(&store, &directory, &hand);
        let tenants: Arc<dyn Tokens> = store.clone();
        let foreign = Arc::new(Foreign {
            keys: Mutex::default(),
            fetches: AtomicUsize::default(),
        });
        let request_log: Arc<dyn RequestLog> =
            Arc::new(SqliteRequestLog::open(&folder.path().join("requests.db")).unwrap());
        let administration = Administration {
            tenants: tenants.clone(),
            life: store.clone(),
            request_log: request_log.clone(),
            clients: clients.clone(),
            issuers: issuers.clone(),
            key_sets: foreign.clone(),
            audit: store.clone(),
            events: Told {
                receivers: store.clone(),
                keys: store.clone(),
                delivery: events.delivery.clone(),
            },
            directory: directory.clone(),
            hasher: hasher.clone(),
            clock: hand.clone(),
            ids: hand.clone(),
            engine: Engine {
                catalogue: store.clone(),
                ledger: store.clone(),
                connector: Arc::new(Nowhere),
                reach: Arc::new(Nowhere),
                dry_run: Arc::new(DryRun {
                    store: store.clone(),
                    ledger: store.clone(),
                    types: Types::new(store.clone()),
                    connector: Arc::new(Nowhere),
                }),
            },
            options: Limits {
                credentials_max: options.credentials_max,
                partners_max: options.partners_max,
            },
        };
        let tenant = tenants
            .create_tenant("default", settings, hand.now(), entry())
            .await
            .unwrap()
            .unwrap();
        let state = State::new(Parts {
            directory,
            tenants: seen_tenants(tenants.clone()),
            hasher: hasher.clone(),
            clock: hand.clone(),
            ids: hand.clone(),
            options,
            events: Some(events),
            readiness: None,
            request_log: Some(request_log.clone()),
            callers: Some(Callers {
                clients: clients.clone(),
                issuers: issuers.clone(),
                key_sets: foreign.clone(),
            }),
            tenant_lifecycle: Some(TenantLifecycle {
                folder: folder.path().to_owned(),
            }),
            administration: Some(Arc::new(administration)),
        });
        let mut house = Self {
            clients,
            issuers,
            foreign,
            folder,
            router: router(state),
            hand,
            tenants,
            request_log,
            hasher,
            tenant,
            store,
            announce,
            token: String::new(),
        };
        house.token = house.issue(Permissions::all()).await;
        house
    }

    pub(crate) fn hash(&self, text: &str) -> TokenHash {
        self.hasher.hash(text)
    }

    /// A new token of the tenant.
    pub(crate) async fn issue(&self, permissions: Permissions) -> String {
        let text = token_text(&self.hand.secret());
        let request = TokenRequest {
            tenant: self.tenant.id,
            name: "test".into(),
            expires: None,
            permissions,
        };
        let hasher: &dyn TokenHasher = &*self.hasher;
        self.tenants
            .create_token(
                issue(hasher, self.hand.id(), &text, request, self.hand.now()),
                entry(),
            )
            .await
            .unwrap();
        text
    }

    /// A new token of another tenant, for everything.
    pub(crate) async fn issue_for(&self, tenant: directory::tenant::TenantId) -> String {
        let text = token_text(&self.hand.secret());
        let request = TokenRequest {
            tenant,
            name: "test".into(),
            expires: None,
            permissions: Permissions::all(),
        };
        let hasher: &dyn TokenHasher = &*self.hasher;
        self.tenants
            .create_token(
                issue(hasher, self.hand.id(), &text, request, self.hand.now()),
                entry(),
            )
            .await
            .unwrap();
        text
    }

    pub(crate) fn hand_now(&self) -> Timestamp {
        self.hand.now()
    }

    pub(crate) fn wait(&self, seconds: i64) {
        let later = self
            .hand
            .now()
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap();
        self.hand
            .seconds
            .store(later.as_second(), Ordering::Relaxed);
    }

    /// Any request.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.router.clone().oneshot(request).await.unwrap()).await
    }

    /// A request with this token, a JSON body where there is one, and further headers.
    pub(crate) async fn call(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"));
        if body.is_some() {
            request = request.header("content-type", "application/scim+json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    /// The server itself, for answers that do not end.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// A SCIM request below the base URL, with the token that may do everything.
    pub(crate) async fn scim(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call(&self.token, method, &format!("/scim/v2{path}"), &[], body)
            .await
    }

    /// Creates a User; its id.
    pub(crate) async fn user(&self, user_name: &str) -> String {
        let body = serde_json::json!({"schemas": [scim_protocol::schema::standard::USER], "userName": user_name, "active": true});
        let made = self.scim("POST", "/Users", Some(body)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
        made.text("/id").to_owned()
    }

    /// A token that only provisions.
    pub(crate) async fn narrow(&self, scopes: &[Scope], types: Option<&[&str]>) -> String {
        let resource_types = types.map(|types| types.iter().map(ToString::to_string).collect());
        self.issue(Permissions {
            resource_types,
            ..Permissions::of(scopes)
        })
        .await
    }
}
