//! Key sets of tenants that have signed nothing yet, or do not exist. The key is made from the tenant's name and the installation's key, so the answer is the
//! same on every node and at every time, and looks like the answer of a tenant that signs. Signs nothing.

use access::credential::TokenHasher;
use events::event_log::{KEY_DAYS_MAX, KEY_OVERLAP_DAYS};
use jiff::Timestamp;
use keys::signing_key::public_of_number;
use serde_json::Value;

const DAY_SECONDS: i64 = 86_400;

/// The keys, the newest first. They change as those of a tenant that signs do: a key is good for so many days, and stays published for some more.
pub(crate) fn decoy_keys(hasher: &dyn TokenHasher, tenant: &str, now: Timestamp) -> Vec<Value> {
    let life = KEY_DAYS_MAX * DAY_SECONDS;
    // Tenants do not change their keys on the same day.
    let hash = hasher.hash(&format!("decoy key\nbegin\n{tenant}"));
    let begin = hash
        .0
        .first_chunk()
        .map_or(0, |bytes| i64::from(u32::from_be_bytes(*bytes)))
        % life;
    let since_begin = now.as_second().saturating_sub(begin);
    let (turn, age) = (since_begin.div_euclid(life), since_begin.rem_euclid(life));
    let is_overlapped = age < KEY_OVERLAP_DAYS * DAY_SECONDS;
    std::iter::once(turn)
        .chain(is_overlapped.then(|| turn - 1))
        .filter_map(|turn| decoy_key(hasher, tenant, turn))
        .collect()
}

/// The key of one turn, in the form of those with which tokens are signed.
fn decoy_key(hasher: &dyn TokenHasher, tenant: &str, turn: i64) -> Option<Value> {
    let attempt = |attempt: u8| {
        // No header and no path can carry a line break, so no token has such a text.
        let secret = hasher.hash(&format!("decoy key\n{turn}\n{attempt}\n{tenant}"));
        public_of_number(&secret.0)
    };
    (0..u8::MAX).find_map(attempt)
}

#[cfg(test)]
mod tests {
    use access::credential::TokenHash;
    use aws_lc_rs::digest::{SHA256, digest};

    use super::*;

    struct Digest(u8);

    impl TokenHasher for Digest {
        fn hash(&self, token: &str) -> TokenHash {
            let hash = digest(&SHA256, &[&[self.0], token.as_bytes()].concat());
            TokenHash(hash.as_ref().try_into().unwrap())
        }
    }

    #[test]
    fn they_are_the_same_until_they_change_as_others_do() {
        let at = |day: i64| Timestamp::from_second(1_800_000_000 + day * DAY_SECONDS).unwrap();
        let keys = |secret: u8, name: &str, day: i64| decoy_keys(&Digest(secret), name, at(day));
        assert_eq!(keys(1, "acme", 0), keys(1, "acme", 0));
        assert_ne!(
            keys(1, "acme", 0)[0],
            keys(2, "acme", 0)[0],
            "only who has the installation's key can make them"
        );
        assert_ne!(keys(1, "acme", 0)[0], keys(1, "acme2", 0)[0]);
        let counts: Vec<usize> = (0..90).map(|day| keys(1, "acme", day).len()).collect();
        assert_eq!(counts.iter().filter(|count| **count == 2).count(), 7);
        let changed = (1..90)
            .find(|day| keys(1, "acme", *day)[0] != keys(1, "acme", *day - 1)[0])
            .unwrap();
        assert_eq!(
            keys(1, "acme", changed)[1],
            keys(1, "acme", changed - 1)[0],
            "the old one stays beside the new one"
        );
        assert_ne!(keys(1, "acme", 0)[0], keys(1, "acme", 90)[0]);
    }
}
