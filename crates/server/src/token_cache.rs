//! Tokens that were good a moment ago, so that not every request reads the store. Does not decide whether a token is good.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use directory::access::Caller;
use directory::credential::{TokenHash, is_use_news};
use jiff::{SignedDuration, Timestamp};

/// A token that was good.
pub(crate) struct Remembered {
    /// Whose it is.
    pub caller: Caller,
    /// When it was looked up.
    pub checked: Timestamp,
    /// Its last use that was recorded.
    pub last_used: Option<Timestamp>,
}

/// Tokens that were good a moment ago, by tenant name and hash.
pub(crate) struct TokenCache {
    entries: Mutex<HashMap<TokenHash, Vec<(String, Remembered)>>>,
    entries_max: usize,
    valid: SignedDuration,
}

impl TokenCache {
    pub(crate) fn new(entries_max: usize, seconds_max: i64) -> Self {
        Self { entries: Mutex::default(), entries_max, valid: SignedDuration::from_secs(seconds_max) }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<TokenHash, Vec<(String, Remembered)>>> {
        // The map is whole between any two of its calls, so a panic elsewhere does not spoil it.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The caller, and whether this use is to be recorded.
    pub(crate) fn find(&self, tenant: &str, hash: &TokenHash, now: Timestamp) -> Option<(Caller, bool)> {
        let mut entries = self.entries();
        let (_, found) = entries.get_mut(hash)?.iter_mut().find(|(name, _)| name == tenant)?;
        let age = now.duration_since(found.checked);
        if age.is_negative() || age >= self.valid {
            return None;
        }
        let news = is_use_news(found.last_used, now);
        if news {
            found.last_used = Some(now);
        }
        Some((found.caller.clone(), news))
    }

    pub(crate) fn remember(&self, tenant: &str, hash: TokenHash, remembered: Remembered) {
        let mut entries = self.entries();
        // Rare and cheap: everybody is looked up once more.
        if entries.len() >= self.entries_max {
            entries.clear();
        }
        let of_hash = entries.entry(hash).or_default();
        of_hash.retain(|(name, _)| name != tenant);
        of_hash.push((tenant.to_owned(), remembered));
    }

    pub(crate) fn forget(&self, credential_id: &str) {
        self.entries().retain(|_, of_hash| {
            of_hash.retain(|(_, remembered)| remembered.caller.credential_id != credential_id);
            !of_hash.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use directory::tenant::{Tenant, TenantId, TenantSettings};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn remembered(credential_id: &str) -> Remembered {
        let tenant = Tenant { id: TenantId(1), name: "a".into(), created: at(0), settings: TenantSettings::default() };
        let caller = Caller { tenant: Arc::new(tenant), credential_id: credential_id.into() };
        Remembered { caller, checked: at(100), last_used: Some(at(100)) }
    }

    #[test]
    fn tokens_are_remembered_for_a_while_and_for_their_tenant() {
        let cache = TokenCache::new(10, 5);
        let hash = TokenHash([1; 32]);
        cache.remember("a", hash, remembered("t"));
        let check = |tenant: &str, hash: TokenHash, now: i64, found: bool| assert_eq!(cache.find(tenant, &hash, at(now)).is_some(), found);
        check("a", hash, 104, true);
        check("a", hash, 105, false);
        check("a", hash, 99, false);
        check("b", hash, 101, false);
        check("a", TokenHash([2; 32]), 101, false);
        cache.forget("other");
        check("a", hash, 101, true);
        cache.forget("t");
        check("a", hash, 101, false);
    }

    #[test]
    fn it_is_bounded() {
        let cache = TokenCache::new(2, 5);
        for byte in 0..9 {
            cache.remember("a", TokenHash([byte; 32]), remembered("t"));
            assert!(cache.entries().len() <= 2);
        }
    }
}
