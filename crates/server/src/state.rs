//! What every handler has at hand.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

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
use directory::tenant_life::TenantLife;
use events::event_log::{EventLog, Receivers, SigningKeys};
use events::subscription::Subscriptions;
use events::telling::Teller;
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
    events: OnceLock<Events>,
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
    pub(crate) request_log: OnceLock<Arc<dyn RequestLog>>,
    pub(crate) strangers: StrangerBudget,
    pub(crate) key_sets: KeySetCache,
    callers: OnceLock<Callers>,
    tenant_life: OnceLock<Life>,
    administration: OnceLock<Arc<Administration>>,
}

/// What the life of tenants takes.
pub(crate) struct Life {
    /// The store's part.
    pub tenants: Arc<dyn TenantLife>,
    /// Where what is restored is kept while it is sent.
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
    pub teller: Teller,
    /// Delivery to receivers; the server only hands out to those that poll.
    pub delivery: Arc<Subscriptions>,
    /// Changes whenever something was committed; its end is the server's.
    pub commits: watch::Receiver<u64>,
}

impl State {
    /// Puts the parts together. Without `with_events` nothing is told of changes.
    pub fn new(
        directory: Directory,
        tenants: Arc<dyn Tokens>,
        hasher: Arc<dyn TokenHasher>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        options: Options,
    ) -> Arc<Self> {
        let tokens = TokenCache::new(
            options.token_cache_entries_max,
            options.token_cache_seconds_max,
        );
        let rates = RateLimits::new(options.rate_limit_entries_max);
        let addresses = RateLimits::new(options.rate_limit_entries_max);
        let lockout = Lockout::new(options.lockout);
        let listeners = Listeners::new(
            options.event_listeners_max,
            options.event_listeners_per_tenant_max,
        );
        let bodies = Shares::new(
            options.bodies_bytes_max,
            options.bodies_per_tenant_bytes_max,
        );
        let long_requests = Shares::new(
            options.long_requests_max,
            options.long_requests_per_tenant_max,
        );
        let key_sets = KeySetCache::new(options.key_sets);
        let callers = OnceLock::new();
        Arc::new(Self {
            directory,
            tenants,
            hasher,
            clock,
            ids,
            options,
            tokens,
            rates,
            addresses,
            lockout,
            listeners,
            bodies,
            long_requests,
            trials: Trials::default(),
            events: OnceLock::new(),
            request_log: OnceLock::new(),
            strangers: StrangerBudget::default(),
            key_sets,
            callers,
            tenant_life: OnceLock::new(),
            administration: OnceLock::new(),
        })
    }

    /// Tells of changes from now on. To be called once, before the first request; later calls change nothing.
    #[must_use]
    pub fn with_events(self: Arc<Self>, events: Events) -> Arc<Self> {
        drop(self.events.set(events));
        self
    }

    /// What is told of changes with, where that is offered.
    pub(crate) fn events(&self) -> Option<&Events> {
        self.events.get()
    }

    /// `/readyz` tries this store from now on. Only the first call counts.
    pub fn try_readiness_of(&self, store: Arc<dyn Readiness>) {
        self.trials.of(store);
    }

    /// From now on requests are written down there. Only the first call counts.
    pub fn keep_requests(&self, log: Arc<dyn RequestLog>) {
        let _ = self.request_log.set(log);
    }

    /// Adds OAuth clients and foreign issuers; without this there are none. What was added first stays.
    pub fn set_callers(&self, callers: Callers) {
        let _ = self.callers.set(callers);
    }

    pub(crate) fn callers(&self) -> Option<&Callers> {
        self.callers.get()
    }

    /// From now on the admin API suspends, exports, restores and erases tenants; what is restored is kept in this folder while it is sent. A store of somebody
    /// else's accounts does not offer that.
    pub fn offer_tenant_life(&self, tenants: Arc<dyn TenantLife>, folder: PathBuf) {
        self.tenant_life.get_or_init(|| Life {
            tenants,
            folder,
            restoring: Arc::new(Semaphore::new(1)),
        });
    }

    pub(crate) fn tenant_life(&self) -> Option<&Life> {
        self.tenant_life.get()
    }

    /// From now on administrators are served. Only the first call counts.
    pub fn administer(&self, administration: Arc<Administration>) {
        let _ = self.administration.set(administration);
    }

    pub(crate) fn administration(&self) -> Option<&Arc<Administration>> {
        self.administration.get()
    }
}
