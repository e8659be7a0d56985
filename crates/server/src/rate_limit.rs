//! How many requests a caller may make: a bucket of tokens for each credential, in bounded memory. Does not know requests or answers.
//!
//! A bucket fills at a steady rate up to its burst; a request takes one. A bulk request takes one more for each operation, afterwards and if need be on
//! credit, so that bulk is no way around the limit and still is never refused in the middle.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// A thousandth of a request, so that slow rates are exact enough.
const MILLI: i64 = 1_000;

/// How many requests one caller may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a second in the long run.
    pub per_second: u32,
    /// Requests at once after a time of silence.
    pub burst: u32,
}

impl RateLimit {
    /// What a caller may send by default.
    pub const OF_CALLERS: Self = Self {
        per_second: 1_000,
        burst: 5_000,
    };
    /// What an address may send by default without a token that was accepted before.
    pub const OF_ADDRESSES: Self = Self {
        per_second: 100,
        burst: 500,
    };
}

/// Whether a request may go on, and what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Yes.
    Go {
        /// How many may follow at once.
        remaining: u32,
    },
    /// Not now.
    Wait {
        /// After so many seconds, at least 1.
        seconds: u64,
    },
}

/// What a caller has left, in thousandths of a request; below 0 after a bulk request on credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    level: i64,
    filled: Timestamp,
}

impl Bucket {
    fn full(limit: RateLimit, now: Timestamp) -> Self {
        Self {
            level: i64::from(limit.burst).saturating_mul(MILLI),
            filled: now,
        }
    }

    /// What has flowed in since.
    fn fill(&mut self, limit: RateLimit, now: Timestamp) {
        let passed = now
            .duration_since(self.filled)
            .as_millis()
            .clamp(0, i128::from(u32::MAX));
        let gained = i64::try_from(passed)
            .unwrap_or_default()
            .saturating_mul(i64::from(limit.per_second));
        // A clock that goes back gives nothing and takes nothing.
        self.filled = self.filled.max(now);
        self.level = self
            .level
            .saturating_add(gained)
            .min(i64::from(limit.burst).saturating_mul(MILLI));
    }

    fn take(&mut self, limit: RateLimit, now: Timestamp) -> Verdict {
        self.fill(limit, now);
        if self.level < MILLI {
            let missing = MILLI.saturating_sub(self.level).unsigned_abs();
            let flow = u64::from(limit.per_second).max(1);
            return Verdict::Wait {
                seconds: missing.div_ceil(flow).div_ceil(MILLI.unsigned_abs()).max(1),
            };
        }
        self.level -= MILLI;
        Verdict::Go {
            remaining: u32::try_from(self.level / MILLI).unwrap_or_default(),
        }
    }
}

/// The buckets of all callers.
pub(crate) struct RateLimits<K> {
    buckets: Mutex<HashMap<K, Bucket>>,
    entries_max: usize,
}

impl<K: Eq + Hash + Clone> RateLimits<K> {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            buckets: Mutex::default(),
            entries_max,
        }
    }

    fn buckets(&self) -> std::sync::MutexGuard<'_, HashMap<K, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One request.
    pub(crate) fn take(&self, key: &K, limit: RateLimit, now: Timestamp) -> Verdict {
        let mut buckets = self.buckets();
        if let Some(bucket) = buckets.get_mut(key) {
            return bucket.take(limit, now);
        }
        make_room(&mut buckets, self.entries_max);
        let mut bucket = Bucket::full(limit, now);
        let verdict = bucket.take(limit, now);
        buckets.insert(key.clone(), bucket);
        verdict
    }

    /// What a request turned out to cost on top, on credit of at most one burst.
    pub(crate) fn charge(&self, key: &K, limit: RateLimit, cost: usize) {
        if let Some(bucket) = self.buckets().get_mut(key) {
            let cost = i64::try_from(cost)
                .unwrap_or(i64::MAX)
                .saturating_mul(MILLI);
            bucket.level = bucket
                .level
                .saturating_sub(cost)
                .max(-i64::from(limit.burst).saturating_mul(MILLI));
        }
    }
}

/// Forgets the half that was quiet for longest: their buckets are the fullest, so the least is lost. Rare, so that its cost spreads over many inserts.
fn make_room<K: Eq + Hash + Clone>(buckets: &mut HashMap<K, Bucket>, entries_max: usize) {
    if buckets.len() < entries_max {
        return;
    }
    let mut ages: Vec<Timestamp> = buckets.values().map(|bucket| bucket.filled).collect();
    ages.sort_unstable();
    let middle = ages.get(ages.len() / 2).copied();
    buckets.retain(|_, bucket| middle.is_some_and(|middle| bucket.filled > middle));
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit {
        per_second: 2,
        burst: 3,
    };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    #[test]
    fn a_bucket_empties_and_fills() {
        let limits = RateLimits::new(10);
        let check = |now: i64, expected: Verdict| {
            assert_eq!(limits.take(&"a", LIMIT, at(now)), expected, "{now}");
        };
        check(0, Verdict::Go { remaining: 2 });
        check(0, Verdict::Go { remaining: 1 });
        check(0, Verdict::Go { remaining: 0 });
        check(0, Verdict::Wait { seconds: 1 });
        check(499, Verdict::Wait { seconds: 1 });
        check(500, Verdict::Go { remaining: 0 });
        check(400, Verdict::Wait { seconds: 1 });
        check(1_000, Verdict::Go { remaining: 0 });
        check(60_000, Verdict::Go { remaining: 2 });
        assert_eq!(
            limits.take(&"b", LIMIT, at(0)),
            Verdict::Go { remaining: 2 },
            "everybody has a bucket of his own"
        );
    }

    #[test]
    fn bulk_pays_afterwards_and_at_most_one_burst() {
        let limits = RateLimits::new(10);
        assert_eq!(
            limits.take(&"a", LIMIT, at(0)),
            Verdict::Go { remaining: 2 }
        );
        limits.charge(&"a", LIMIT, 1_000_000);
        assert_eq!(
            limits.take(&"a", LIMIT, at(0)),
            Verdict::Wait { seconds: 2 }
        );
        assert_eq!(
            limits.take(&"a", LIMIT, at(2_000)),
            Verdict::Go { remaining: 0 }
        );
        limits.charge(&"nobody", LIMIT, 1);
    }

    #[test]
    fn memory_is_bounded_and_those_at_work_are_kept() {
        let limits = RateLimits::new(100);
        for time in 0..1_000 {
            assert!(matches!(
                limits.take(&u64::MAX, LIMIT, at(0)),
                Verdict::Go { .. } | Verdict::Wait { .. }
            ));
            limits.take(&(i64::unsigned_abs(time)), LIMIT, at(time));
            assert!(limits.buckets().len() <= 101);
        }
        assert!(limits.buckets().contains_key(&999));
    }
}
