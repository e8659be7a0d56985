//! What every handler has at hand.

use std::sync::{Arc, OnceLock};

use directory::Directory;
use directory::clock::{Clock, IdGenerator};
use directory::credential::TokenHasher;
use directory::store::Tenants;
use directory::tenant::TenantId;
use directory::tenant_life::TenantLife;
use provisioning::event_log::{EventLog, Receivers, SigningKeys};
use provisioning::subscription::Subscriptions;
use provisioning::telling::Teller;
use tokio::sync::watch;

use crate::listeners::Listeners;
use crate::lockout::Lockout;
use crate::options::Options;
use crate::rate_limit::RateLimits;
use crate::token_cache::TokenCache;

/// The tenant that is always there: behind the short base URL `/scim/v2`, and home of those who run the installation.
pub const DEFAULT_TENANT: &str = "default";

/// The server's parts.
pub struct State {
    /// Identities.
    pub directory: Directory,
    /// Tenants and tokens.
    pub tenants: Arc<dyn Tenants>,
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
    pub(crate) lockout: Lockout,
    pub(crate) listeners: Listeners,
    tenant_life: OnceLock<Arc<dyn TenantLife>>,
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
        tenants: Arc<dyn Tenants>,
        hasher: Arc<dyn TokenHasher>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        options: Options,
    ) -> Arc<Self> {
        let tokens = TokenCache::new(options.token_cache_entries_max, options.token_cache_seconds_max);
        let rates = RateLimits::new(options.rate_limit_entries_max);
        let lockout = Lockout::new(options.lockout);
        let listeners = Listeners::new(options.event_listeners_max, options.event_listeners_per_tenant_max);
        Arc::new(Self {
            directory,
            tenants,
            hasher,
            clock,
            ids,
            options,
            tokens,
            rates,
            lockout,
            listeners,
            events: OnceLock::new(),
            tenant_life: OnceLock::new(),
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

    /// From now on the admin API suspends, exports and erases tenants. A store of somebody else's accounts does not offer that.
    pub fn offer_tenant_life(&self, life: Arc<dyn TenantLife>) {
        self.tenant_life.get_or_init(|| life);
    }

    pub(crate) fn tenant_life(&self) -> Option<&Arc<dyn TenantLife>> {
        self.tenant_life.get()
    }
}
