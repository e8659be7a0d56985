//! The program's parts in one process, put together as its `wiring` does, but with a clock that tests move; and servers of others. Everything that is sent
//! between them goes over real sockets.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use access::credential::{TokenRequest, Tokens, issue, token_text};
use administration::Administration;
use administration::administration::{Engine, Events as Told, Options as Limits, Reach};
use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use connectors::egress::Egress;
use connectors::event_receiver::HttpEventDelivery;
use connectors::key_sets::KeySetFetcher;
use connectors::scim_target::ScimConnector;
use directory::Directory;
use directory::access::Permissions;
use directory::audit::Entry;
use directory::clock::{Clock, IdGenerator};
use directory::store::Tenants;
use directory::tenant::TenantSettings;
use events::renderer::EventRenderer;
use events::subscription::{Options, Ports, Subscriptions};
use jiff::{SignedDuration, Timestamp};
use provisioning::dry_run::DryRun;
use provisioning::types::Types;
use serde_json::{Value, json};
use server::{Callers, DEFAULT_TENANT, Events, State};
use storage::secrets::MasterKey;
use storage::sqlite::Sqlite;
use storage::sqlite::requests::SqliteRequestLog;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use url::Url;
use uuid::Uuid;

use crate::http::{Answer, send};

/// Most bytes of a body that a server of others reads.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Time stands still unless a test moves it; ids count.
struct Hand {
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

/// A server with the tenant `default`, and delivery of its events whenever the test asks for it. Ends when dropped.
pub struct Parts {
    // Dropped first: what it runs holds the rest.
    runtime: Runtime,
    address: String,
    token: String,
    hand: Arc<Hand>,
    delivery: Arc<Subscriptions>,
    _commits: watch::Sender<u64>,
    _folder: TempDir,
}

impl Parts {
    pub fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let hand = Arc::new(Hand {
            seconds: AtomicI64::new(1_800_000_000),
            ids: AtomicU64::new(0),
        });
        let key = Arc::new(MasterKey::load_or_create(&folder.path().join("key")).unwrap());
        let store = Arc::new(Sqlite::open(&folder.path().join("db"), key.clone()).unwrap());
        let directory =
            Directory::new(store.clone(), hand.clone(), hand.clone()).with_types(store.clone());
        let token = token_text(&hand.secret());
        let listener = runtime.block_on(async {
            let tenant = store
                .create_tenant(
                    DEFAULT_TENANT,
                    TenantSettings::default(),
                    hand.now(),
                    Entry::of_program("tenant.create", DEFAULT_TENANT, hand.now()),
                )
                .await
                .unwrap()
                .unwrap();
            let request = TokenRequest {
                tenant: tenant.id,
                name: "first".into(),
                expires: None,
                permissions: Permissions::all(),
            };
            store
                .create_token(
                    issue(&*key, hand.id(), &token, request, hand.now()),
                    Entry::of_program("token.create", "first", hand.now()),
                )
                .await
                .unwrap();
            TcpListener::bind("127.0.0.1:0").await.unwrap()
        });
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (announce, events) = events(&store, &directory, &hand, &address);
        let delivery = events.delivery.clone();
        let options = server::Options::default();
        let administration = administration(&store, &directory, &hand, &key, &events, &folder);
        let state = State::new(server::Parts {
            directory,
            tenants: store.clone(),
            hasher: key,
            clock: hand.clone(),
            ids: hand.clone(),
            options: options.clone(),
            events: Some(events),
            readiness: None,
            request_log: None,
            callers: Some(Callers {
                clients: store.clone(),
                issuers: store,
                key_sets: Arc::new(KeySetFetcher::new(here()).unwrap()),
            }),
            tenant_lifecycle: None,
            administration: Some(Arc::new(administration)),
        });
        let router = server::router(state);
        runtime.spawn(async move {
            server::serve(listener, router, std::future::pending(), &options).await;
        });
        Self {
            runtime,
            address,
            token,
            hand,
            delivery,
            _commits: announce,
            _folder: folder,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.hand.now()
    }

    pub fn wait(&self, seconds: i64) {
        let later = self
            .now()
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap();
        self.hand
            .seconds
            .store(later.as_second(), Ordering::Relaxed);
    }

    /// A request with somebody's token.
    pub fn send_as(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        send(&self.address, token, method, path, body)
            .unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    /// A request with the token that may do everything.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.send_as(&self.token, method, path, body)
    }

    /// Adds a receiver, an issuer, ... by the admin API.
    pub fn add(&self, what: &str, new: &Value) {
        let added = self.send(
            "POST",
            &format!("/t/{DEFAULT_TENANT}/admin/v1/{what}"),
            Some(new),
        );
        assert_eq!(added.status, 201, "{}", added.body);
    }

    /// Creates a User.
    pub fn user(&self, user_name: &str) {
        let body = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": user_name});
        let made = self.send("POST", "/scim/v2/Users", Some(&body));
        assert_eq!(made.status, 201, "{}", made.body);
    }

    /// Delivers until nothing is due.
    pub fn deliver(&self) {
        self.runtime
            .block_on(self.delivery.run_until_idle())
            .unwrap();
    }

    /// A server of somebody else, which ends with this.
    pub fn outside(&self) -> Outside {
        let listener = self
            .runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let outside = Outside {
            address,
            asked: Arc::default(),
            says: Arc::new(Mutex::new(Arc::new(|_| None))),
        };
        let (asked, says) = (outside.asked.clone(), outside.says.clone());
        let router = Router::new().fallback(async move |request: Request| {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.unwrap();
            let header = |name: &str| {
                head.headers
                    .get(name)
                    .map(|value| value.to_str().unwrap().to_owned())
                    .unwrap_or_default()
            };
            let asking = Asked {
                path: head.uri.path().to_owned(),
                message_id: header("webhook-id"),
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            let say = says.lock().unwrap().clone();
            let said = say(&asking.path);
            asked.lock().unwrap().push(asking);
            match said {
                Some(said) => said,
                None => std::future::pending().await,
            }
        });
        self.runtime
            .spawn(async move { axum::serve(listener, router).await });
        outside
    }
}

/// Rules that allow the address of the test's servers.
fn here() -> Egress {
    Egress::allowing(vec!["127.0.0.1".parse().unwrap()])
}

fn events(
    store: &Arc<Sqlite>,
    directory: &Directory,
    hand: &Arc<Hand>,
    public_url: &str,
) -> (watch::Sender<u64>, Events) {
    let (announce, commits) = watch::channel(0);
    let renderer = EventRenderer::new(
        store.clone(),
        store.clone(),
        directory.clone(),
        store.clone(),
        public_url.to_owned(),
    );
    let ports = Ports {
        log: store.clone(),
        receivers: store.clone(),
        renderer: renderer.clone(),
        event_delivery: Arc::new(HttpEventDelivery::new(here()).unwrap()),
        clock: hand.clone(),
        ids: hand.clone(),
        commits: commits.clone(),
    };
    let delivery = Arc::new(Subscriptions::new(ports, Options::default()));
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

#[async_trait]
impl Reach for Hand {
    async fn check(&self, url: &Url) -> Result<(), String> {
        let checked = here().check_resolved(url).await;
        checked.map_err(|refusal| refusal.to_string())
    }
}

fn administration(
    store: &Arc<Sqlite>,
    directory: &Directory,
    hand: &Arc<Hand>,
    key: &Arc<MasterKey>,
    events: &Events,
    folder: &TempDir,
) -> Administration {
    let connector = Arc::new(ScimConnector::new(here()).unwrap());
    let options = server::Options::default();
    Administration {
        tenants: store.clone(),
        life: store.clone(),
        request_log: Arc::new(SqliteRequestLog::open(&folder.path().join("requests.db")).unwrap()),
        clients: store.clone(),
        issuers: store.clone(),
        key_sets: Arc::new(KeySetFetcher::new(here()).unwrap()),
        audit: store.clone(),
        events: Told {
            receivers: store.clone(),
            keys: store.clone(),
            delivery: events.delivery.clone(),
        },
        directory: directory.clone(),
        hasher: key.clone(),
        clock: hand.clone(),
        ids: hand.clone(),
        engine: Engine {
            catalogue: store.clone(),
            ledger: store.clone(),
            connector: connector.clone(),
            reach: hand.clone(),
            dry_run: Arc::new(DryRun {
                store: store.clone(),
                ledger: store.clone(),
                types: Types::new(store.clone()),
                connector,
            }),
        },
        options: Limits {
            credentials_max: options.credentials_max,
            partners_max: options.partners_max,
        },
    }
}

/// What a server of others was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    /// The header `webhook-id`.
    pub message_id: String,
    pub body: String,
}

type Say = Arc<dyn Fn(&str) -> Option<Response> + Send + Sync>;

/// A server of others: answers what the test wants, and remembers what it was asked.
pub struct Outside {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    says: Arc<Mutex<Say>>,
}

impl Outside {
    /// From now on it answers this to a path.
    pub fn says<R: IntoResponse>(&self, answer: impl Fn(&str) -> R + Send + Sync + 'static) {
        *self.says.lock().unwrap() = Arc::new(move |path| Some(answer(path).into_response()));
    }

    /// From now on it takes what is asked and never answers.
    pub fn falls_silent(&self) {
        *self.says.lock().unwrap() = Arc::new(|_| None);
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}
