//! What every handler has at hand.

use std::sync::Arc;

use directory::Directory;
use directory::clock::{Clock, IdGenerator};
use directory::credential::TokenHasher;
use directory::store::Tenants;
use directory::tenant::TenantId;

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
    /// Limits.
    pub options: Options,
    pub(crate) tokens: TokenCache,
    pub(crate) rates: RateLimits<(TenantId, String)>,
    pub(crate) lockout: Lockout,
}

impl State {
    /// Puts the parts together.
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
        Arc::new(Self { directory, tenants, hasher, clock, ids, options, tokens, rates, lockout })
    }
}
