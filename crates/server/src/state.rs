//! What every handler has at hand.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use access::client::Clients;
use access::credential::{TokenHasher, Tokens};
use access::issuer::{Issuers, KeySets};
use administration::Administration;
use directory::Directory;
use directory::clock::{Clock, IdGenerator};
use directory::readiness::Readiness;
use directory::request_log::RequestLog;
use directory::shares::Shares;
use directory::tenant::TenantId;
use events::event_log::{EventLog, Receivers, SigningKeys};
use events::renderer::EventRenderer;
use events::subscription::Subscriptions;
use tokio::sync::{Semaphore, watch};

use crate::key_sets::KeySetCache;
use crate::listeners::Listeners;
use crate::lockout::Lockout;
use crate::options::Options;
use crate::rate_limit::RateLimits;
use crate::readiness::Trials;
use crate::stranger_budget::StrangerBudget;
use crate::token_cache::TokenCache;

pub use administration::administration::DEFAULT_TENANT;

/// Where callers other than bearers of stored tokens come from.
pub struct Callers {
    /// OAuth clients.
    pub clients: Arc<dyn Clients>,
    /// Foreign issuers.
    pub issuers: Arc<dyn Issuers>,
    /// The way to their keys.
    pub key_sets: Arc<dyn KeySets>,
}

/// The server's parts.
pub struct State {
    /// Identities.
    pub directory: Directory,
    /// Tenants and tokens.
    pub tenants: Arc<dyn Tokens>,
    /// Hashes tokens as the store has them.
    pub hasher: Arc<dyn TokenHasher>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of requests.
    pub ids: Arc<dyn IdGenerator>,
    events: Option<Events>,
    /// Limits.
    pub options: Options,
    pub(crate) tokens: TokenCache,
    pub(crate) rates: RateLimits<(TenantId, String)>,
    /// Of requests without a token, by address.
    pub(crate) addresses: RateLimits<IpAddr>,
    pub(crate) lockout: Lockout,
    pub(crate) listeners: Listeners,
    /// Memory for bodies, in bytes.
    pub(crate) bodies: Shares,
    /// Turns of long requests.
    pub(crate) long_requests: Shares,
    pub(crate) trials: Trials,
    pub(crate) request_log: Option<Arc<dyn RequestLog>>,
    pub(crate) strangers: StrangerBudget,
    pub(crate) key_sets: KeySetCache,
    callers: Option<Callers>,
    tenant_life: Option<Life>,
    administration: Option<Arc<Administration>>,
}

/// What restoring a tenant takes.
pub struct TenantLifecycle {
    /// Where a restored tenant is kept while it is sent.
    pub folder: PathBuf,
}

/// `TenantLifecycle` at work.
pub(crate) struct Life {
    /// Where a restored tenant is kept while it is sent.
    pub folder: PathBuf,
    /// One at a time: each may fill the disk.
    pub restoring: Arc<Semaphore>,
}

/// What the server tells of changes with.
#[derive(Clone)]
pub struct Events {
    /// What happened.
    pub log: Arc<dyn EventLog>,
    /// Who is told.
    pub receivers: Arc<dyn Receivers>,
    /// With which keys tokens are signed.
    pub keys: Arc<dyn SigningKeys>,
    /// Puts it into words.
    pub renderer: EventRenderer,
    /// Delivery to receivers; the server only hands out to those that poll.
    pub delivery: Arc<Subscriptions>,
    /// Changes whenever something was committed; its end is the server's.
    pub commits: watch::Receiver<u64>,
}

/// What the server is put together from. A part that is `None` is not offered.
pub struct Parts {
    /// Identities.
    pub directory: Directory,
    /// Tenants and tokens.
    pub tenants: Arc<dyn Tokens>,
    /// Hashes tokens as the store has them.
    pub hasher: Arc<dyn TokenHasher>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of requests.
    pub ids: Arc<dyn IdGenerator>,
    /// Limits.
    pub options: Options,
    /// Telling of changes.
    pub events: Option<Events>,
    /// The store that `/readyz` tries.
    pub readiness: Option<Arc<dyn Readiness>>,
    /// Where requests are written down.
    pub request_log: Option<Arc<dyn RequestLog>>,
    /// OAuth clients and foreign issuers.
    pub callers: Option<Callers>,
    /// Suspending, exporting, restoring and erasing tenants; a store of somebody else's accounts does not offer that.
    pub tenant_lifecycle: Option<TenantLifecycle>,
    /// What administrators do.
    pub administration: Option<Arc<Administration>>,
}

impl State {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            directory,
            tenants,
            hasher,
            clock,
            ids,
            options,
            events,
            readiness,
            request_log,
            callers,
            tenant_lifecycle,
            administration,
        } = parts;
        let tenant_life = tenant_lifecycle.map(|parts| Life {
            folder: parts.folder,
            restoring: Arc::new(Semaphore::new(1)),
        });
        Arc::new(Self {
            tokens: TokenCache::new(
                options.token_cache_entries_max,
                options.token_cache_seconds_max,
            ),
            rates: RateLimits::new(options.rate_limit_entries_max),
            addresses: RateLimits::new(options.rate_limit_entries_max),
            lockout: Lockout::new(options.lockout),
            listeners: Listeners::new(
                options.event_listeners_max,
                options.event_listeners_per_tenant_max,
            ),
            bodies: Shares::new(
                options.bodies_bytes_max,
                options.bodies_per_tenant_bytes_max,
            ),
            long_requests: Shares::new(
                options.long_requests_max,
                options.long_requests_per_tenant_max,
            ),
            key_sets: KeySetCache::new(options.key_sets),
            strangers: StrangerBudget::default(),
            trials: Trials::of(readiness),
            directory,
            tenants,
            hasher,
            clock,
            ids,
            options,
            events,
            request_log,
            callers,
            tenant_life,
            administration,
        })
    }

    /// What tells of changes, where that is offered.
    pub(crate) fn events(&self) -> Option<&Events> {
        self.events.as_ref()
    }

    pub(crate) fn callers(&self) -> Option<&Callers> {
        self.callers.as_ref()
    }

    pub(crate) fn tenant_life(&self) -> Option<&Life> {
        self.tenant_life.as_ref()
    }

    pub(crate) fn administration(&self) -> Option<&Arc<Administration>> {
        self.administration.as_ref()
    }
}
