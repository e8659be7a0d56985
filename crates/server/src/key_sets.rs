//! Public keys of foreign issuers, remembered. Does not fetch them; the port does.
//!
//! Keys are fetched again when they are old, and when a token names a key that is not among them, but never more often than an interval allows: a caller
//! who makes up key ids causes no load at the issuer. While the issuer cannot be reached, old keys live on for a time.

use keys::signed_token::{PublicKey, Signed};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use access::issuer::KeySets;
use jiff::Timestamp;

/// How long keys are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySetLimits {
    /// Keys that are older are fetched again, in seconds.
    pub fresh_seconds_max: i64,
    /// Shortest time between two fetches of one set, in seconds.
    pub refetch_seconds_min: i64,
    /// Keys that are older are not used although nothing newer can be had, in seconds.
    pub stale_seconds_max: i64,
    /// Most sets remembered.
    pub entries_max: usize,
}

impl Default for KeySetLimits {
    fn default() -> Self {
        Self {
            fresh_seconds_max: 300,
            refetch_seconds_min: 30,
            stale_seconds_max: 86_400,
            entries_max: 1_000,
        }
    }
}

#[derive(Clone, Default)]
struct Entry {
    keys: Arc<Vec<PublicKey>>,
    fetched: Option<Timestamp>,
    tried: Option<Timestamp>,
}

/// The keys of all issuers, by URL.
pub(crate) struct KeySetCache {
    limits: KeySetLimits,
    entries: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Entry>>>>,
}

impl KeySetCache {
    pub(crate) fn new(limits: KeySetLimits) -> Self {
        Self {
            limits,
            entries: Mutex::default(),
        }
    }

    /// The keys at a URL that may have signed a token. Those who ask at once wait for one fetch.
    pub(crate) async fn keys(
        &self,
        source: &dyn KeySets,
        url: &str,
        token: &Signed<'_>,
        now: Timestamp,
    ) -> Arc<Vec<PublicKey>> {
        let entry = self.entry(url);
        let mut entry = entry.lock().await;
        let age =
            |at: Option<Timestamp>| at.map_or(i64::MAX, |at| now.duration_since(at).as_secs());
        let is_wanted =
            age(entry.fetched) >= self.limits.fresh_seconds_max || !token.is_key_known(&entry.keys);
        if is_wanted && age(entry.tried) >= self.limits.refetch_seconds_min {
            entry.tried = Some(now);
            match source.fetch(url).await {
                Ok(set) => {
                    entry.keys = Arc::new(PublicKey::from_set(&set));
                    entry.fetched = Some(now);
                }
                Err(fault) => {
                    tracing::warn!(
                        error = &fault as &dyn std::error::Error,
                        "the keys of a foreign issuer could not be fetched"
                    );
                }
            }
        }
        if age(entry.fetched) >= self.limits.stale_seconds_max {
            return Arc::default();
        }
        Arc::clone(&entry.keys)
    }

    fn entry(&self, url: &str) -> Arc<tokio::sync::Mutex<Entry>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // Rare: everything is fetched once more.
        if entries.len() >= self.limits.entries_max && !entries.contains_key(url) {
            entries.clear();
        }
        Arc::clone(entries.entry(url.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use async_trait::async_trait;
    use directory::store::Fault;
    use serde_json::{Value, json};

    use super::*;

    const LIMITS: KeySetLimits = KeySetLimits {
        fresh_seconds_max: 300,
        refetch_seconds_min: 30,
        stale_seconds_max: 86_400,
        entries_max: 2,
    };

    #[derive(Default)]
    struct Issuer {
        fetches: AtomicUsize,
        is_down: AtomicBool,
    }

    #[async_trait]
    impl KeySets for Issuer {
        fn never(&self, _url: &str) -> Option<String> {
            None
        }

        async fn fetch(&self, _url: &str) -> Result<Value, Fault> {
            self.fetches.fetch_add(1, Ordering::Relaxed);
            if self.is_down.load(Ordering::Relaxed) {
                return Err(Fault::new("down"));
            }
            Ok(
                json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}),
            )
        }
    }

    #[tokio::test]
    async fn keys_are_fetched_when_old_or_unknown_and_live_on_when_the_issuer_is_down() {
        let (cache, issuer) = (KeySetCache::new(LIMITS), Issuer::default());
        let known = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsxIn0.e30.AA"; // kid k1
        let unknown = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsyIn0.e30.AA"; // kid k2
        let check = async |token: &str, second: i64, keys: usize, fetches: usize| {
            let token = Signed::parse(token).unwrap();
            let found = cache
                .keys(
                    &issuer,
                    "https://a",
                    &token,
                    Timestamp::from_second(second).unwrap(),
                )
                .await;
            assert_eq!(
                (found.len(), issuer.fetches.load(Ordering::Relaxed)),
                (keys, fetches),
                "at {second}"
            );
        };
        check(known, 1_000, 1, 1).await;
        check(known, 1_299, 1, 1).await;
        check(unknown, 1_029, 1, 1).await;
        check(unknown, 1_030, 1, 2).await;
        check(unknown, 1_031, 1, 2).await;
        check(known, 1_330, 1, 3).await;
        issuer.is_down.store(true, Ordering::Relaxed);
        check(known, 1_700, 1, 4).await;
        check(known, 1_701, 1, 4).await;
        check(known, 1_330 + 86_399, 1, 5).await;
        check(known, 1_330 + 86_400, 0, 5).await;
    }

    #[tokio::test]
    async fn it_is_bounded() {
        let (cache, issuer) = (KeySetCache::new(LIMITS), Issuer::default());
        let token = Signed::parse("eyJhbGciOiJFZERTQSJ9.e30.AA").unwrap();
        for number in 0..9 {
            cache
                .keys(&issuer, &number.to_string(), &token, Timestamp::UNIX_EPOCH)
                .await;
            assert!(cache.entries.lock().unwrap().len() <= 2);
        }
    }
}
