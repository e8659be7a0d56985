//! Guessing credentials: an address that failed too often has to wait. In bounded memory. Does not know what a credential is.
//!
//! Many people can share an address, so others' guessing must not lock out who has a good token. A token that was good a while ago is remembered by its
//! keyed hash; it goes on to be checked as always. A token seen for the first time waits with the rest: that is what keeps the store out of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use access::credential::TokenHash;
use jiff::{SignedDuration, Timestamp};

/// When an address has failed too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockoutLimit {
    /// Failures within the window after which the address waits.
    pub failures_max: u32,
    /// The window, and how long the address waits, in seconds.
    pub window_seconds: i64,
    /// How long a good token is remembered as such, in seconds.
    pub proven_seconds_max: i64,
    /// Most addresses remembered, and most good tokens.
    pub entries_max: usize,
}

impl Default for LockoutLimit {
    fn default() -> Self {
        Self {
            failures_max: 20,
            window_seconds: 60,
            proven_seconds_max: 86_400,
            entries_max: 100_000,
        }
    }
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    since: Timestamp,
    locked_until: Option<Timestamp>,
}

/// Addresses that failed, and tokens that were good.
pub(crate) struct Lockout {
    limit: LockoutLimit,
    failures: Mutex<HashMap<IpAddr, Failures>>,
    proven: Mutex<HashMap<TokenHash, Timestamp>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lockout {
    pub(crate) fn new(limit: LockoutLimit) -> Self {
        Self {
            limit,
            failures: Mutex::default(),
            proven: Mutex::default(),
        }
    }

    /// For how many seconds the address still waits.
    pub(crate) fn waits(&self, address: IpAddr, now: Timestamp) -> Option<u64> {
        let until = lock(&self.failures).get(&network(address))?.locked_until?;
        let left = until.duration_since(now).as_millis();
        u64::try_from(left)
            .ok()
            .filter(|left| *left > 0)
            .map(|left| left.div_ceil(1_000))
    }

    /// A credential was refused.
    pub(crate) fn failed(&self, address: IpAddr, now: Timestamp) {
        let window = SignedDuration::from_secs(self.limit.window_seconds);
        let mut failures = lock(&self.failures);
        let address = network(address);
        if !failures.contains_key(&address) && failures.len() >= self.limit.entries_max {
            forget_half(&mut failures, |entry| {
                entry.locked_until.unwrap_or(entry.since)
            });
        }
        let entry = failures.entry(address).or_insert(Failures {
            count: 0,
            since: now,
            locked_until: None,
        });
        let is_over = entry.locked_until.is_some_and(|until| until <= now)
            || now.duration_since(entry.since) >= window;
        if is_over {
            *entry = Failures {
                count: 0,
                since: now,
                locked_until: None,
            };
        }
        entry.count = entry.count.saturating_add(1);
        if entry.count >= self.limit.failures_max && entry.locked_until.is_none() {
            entry.locked_until = now.checked_add(window).ok();
            tracing::warn!("an address failed to authenticate too often and has to wait");
        }
    }

    /// A token was good.
    pub(crate) fn succeeded(&self, hash: TokenHash, now: Timestamp) {
        let mut proven = lock(&self.proven);
        if !proven.contains_key(&hash) && proven.len() >= self.limit.entries_max {
            forget_half(&mut proven, |at| *at);
        }
        proven.insert(hash, now);
    }

    /// A token that was good is so no more.
    pub(crate) fn forget(&self, hash: &TokenHash) {
        lock(&self.proven).remove(hash);
    }

    /// Whether a token was good a while ago.
    pub(crate) fn is_proven(&self, hash: &TokenHash, now: Timestamp) -> bool {
        let seconds = lock(&self.proven)
            .get(hash)
            .map(|at| now.duration_since(*at).as_secs());
        seconds.is_some_and(|seconds| seconds < self.limit.proven_seconds_max)
    }
}

/// Forgets the older half; rare, so that its cost spreads over many inserts.
fn forget_half<K: Eq + std::hash::Hash, V>(
    entries: &mut HashMap<K, V>,
    at: impl Fn(&V) -> Timestamp,
) {
    let mut ages: Vec<Timestamp> = entries.values().map(&at).collect();
    ages.sort_unstable();
    let middle = ages.get(ages.len() / 2).copied();
    entries.retain(|_, value| middle.is_some_and(|middle| at(value) > middle));
}

/// An IPv6 customer has at least 2^64 addresses, so they count as one.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: LockoutLimit = LockoutLimit {
        failures_max: 3,
        window_seconds: 60,
        proven_seconds_max: 3_600,
        entries_max: 50,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn who_fails_too_often_waits() {
        let lockout = Lockout::new(LIMIT);
        let (guesser, other): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        lockout.failed(guesser, at(0));
        lockout.failed(guesser, at(1));
        assert_eq!(lockout.waits(guesser, at(2)), None);
        lockout.failed(guesser, at(2));
        assert_eq!(lockout.waits(guesser, at(2)), Some(60));
        assert_eq!(
            lockout.waits("::ffff:192.0.2.1".parse().unwrap(), at(61)),
            Some(1)
        );
        assert_eq!(lockout.waits(guesser, at(62)), None);
        assert_eq!(lockout.waits(other, at(2)), None);
        lockout.failed(guesser, at(63));
        assert_eq!(
            lockout.waits(guesser, at(63)),
            None,
            "the count starts again"
        );
    }

    #[test]
    fn failures_far_apart_do_not_add_up() {
        let lockout = Lockout::new(LIMIT);
        let address = "2001:db8::1".parse().unwrap();
        for second in [0, 59, 60, 100, 120, 130, 180, 230] {
            lockout.failed(address, at(second));
            assert_eq!(lockout.waits(address, at(second)), None, "{second}");
        }
        lockout.failed(address, at(239));
        assert_eq!(lockout.waits(address, at(239)), Some(60));
    }

    #[test]
    fn neighbours_in_one_ipv6_network_count_as_one() {
        let lockout = Lockout::new(LIMIT);
        for last in 1..=3 {
            lockout.failed(format!("2001:db8::{last}").parse().unwrap(), at(0));
        }
        assert!(
            lockout
                .waits("2001:db8::9".parse().unwrap(), at(0))
                .is_some()
        );
        assert!(
            lockout
                .waits("2001:db8:0:1::9".parse().unwrap(), at(0))
                .is_none()
        );
    }

    #[test]
    fn good_tokens_are_known_for_a_while() {
        let lockout = Lockout::new(LIMIT);
        lockout.succeeded(TokenHash([1; 32]), at(0));
        assert!(lockout.is_proven(&TokenHash([1; 32]), at(3_599)));
        assert!(!lockout.is_proven(&TokenHash([1; 32]), at(3_600)));
        assert!(!lockout.is_proven(&TokenHash([2; 32]), at(0)));
        lockout.forget(&TokenHash([1; 32]));
        assert!(!lockout.is_proven(&TokenHash([1; 32]), at(0)));
    }

    #[test]
    fn memory_is_bounded() {
        let lockout = Lockout::new(LIMIT);
        for number in 0..500_u32 {
            lockout.failed(IpAddr::from(number.to_be_bytes()), at(number.into()));
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&number.to_be_bytes());
            lockout.succeeded(TokenHash(hash), at(number.into()));
        }
        assert!(lock(&lockout.failures).len() <= 50 && lock(&lockout.proven).len() <= 50);
        assert!(lockout.is_proven(
            &TokenHash({
                let mut h = [0; 32];
                h[..4].copy_from_slice(&499_u32.to_be_bytes());
                h
            }),
            at(500)
        ));
    }
}
