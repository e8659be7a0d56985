//! Tokens that were good a moment ago, so that not every request reads all of them from the store. Does not decide whether a token is good.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use access::credential::{TokenHash, is_use_news};
use directory::access::Caller;
use jiff::{SignedDuration, Timestamp};

/// A token that was good.
pub(crate) struct Remembered {
    /// Whose it is.
    pub caller: Caller,
    /// The tenant's revision before it was looked up.
    pub revision: i64,
    /// When it was looked up.
    pub checked: Timestamp,
    /// When it stops to work.
    pub expires: Option<Timestamp>,
    /// The certificate whose owner alone may use it (RFC 8705 section 3).
    pub certificate: Option<[u8; 32]>,
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
        Self {
            entries: Mutex::default(),
            entries_max,
            valid: SignedDuration::from_secs(seconds_max),
        }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<TokenHash, Vec<(String, Remembered)>>> {
        // The map is whole between any two of its calls, so a panic elsewhere does not spoil it.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The caller, where nothing of the tenant has changed since, and whether this use is to be recorded.
    pub(crate) fn find(
        &self,
        tenant: &str,
        revision: i64,
        hash: &TokenHash,
        certificate: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Option<(Caller, bool)> {
        let mut entries = self.entries();
        let (_, found) = entries
            .get_mut(hash)?
            .iter_mut()
            .find(|(name, _)| name == tenant)?;
        let age = now.duration_since(found.checked);
        let is_over = found.expires.is_some_and(|expires| expires <= now);
        let is_bound_elsewhere = found.certificate.is_some() && found.certificate != certificate;
        if is_bound_elsewhere
            || found.revision != revision
            || age.is_negative()
            || age >= self.valid
            || is_over
        {
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
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use directory::access::Permissions;
    use directory::tenant::{Tenant, TenantId, TenantSettings};
    use scim_protocol::SchemaSet;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn remembered(credential_id: &str) -> Remembered {
        let tenant = Tenant {
            id: TenantId(1),
            name: "a".into(),
            created: at(0),
            settings: TenantSettings::default(),
            revision: 1,
        };
        let (schemas, permissions) = (SchemaSet::standard(), Permissions::default());
        let caller = Caller {
            tenant: Arc::new(tenant),
            schemas,
            credential_id: credential_id.into(),
            permissions,
            expires: None,
        };
        Remembered {
            caller,
            revision: 1,
            checked: at(100),
            expires: Some(at(104)),
            certificate: None,
            last_used: Some(at(100)),
        }
    }

    #[test]
    fn tokens_are_remembered_for_a_while_and_for_their_tenant() {
        let cache = TokenCache::new(10, 5);
        let hash = TokenHash([1; 32]);
        cache.remember("a", hash, remembered("t"));
        let check = |tenant: &str, revision: i64, hash: TokenHash, now: i64, found: bool| {
            assert_eq!(
                cache.find(tenant, revision, &hash, None, at(now)).is_some(),
                found,
                "{tenant} {revision} {now}"
            );
        };
        check("a", 1, hash, 103, true);
        check("a", 1, hash, 104, false);
        check("a", 1, hash, 99, false);
        check("a", 2, hash, 101, false);
        check("b", 1, hash, 101, false);
        check("a", 1, TokenHash([2; 32]), 101, false);
        cache.remember(
            "a",
            hash,
            Remembered {
                expires: None,
                ..remembered("t")
            },
        );
        check("a", 1, hash, 104, true);
        check("a", 1, hash, 105, false);
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
