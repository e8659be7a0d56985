//! What is known of an application from what it answered: what it can do, what it never shows, how long it wants to be left alone. Kept by each process for
//! itself; nothing that is true depends on it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::connector::Capabilities;
use crate::pacing;

/// Where discovery failed it is tried again after this.
const DISCOVER_AGAIN_MILLISECONDS: u64 = 10 * 60 * 1_000;
/// A search that failed so often in a row is not used for a while.
const SEARCH_FAILURES_MAX: u32 = 2;
/// Then it is tried again.
const SEARCH_AGAIN_MILLISECONDS: u64 = 10 * 60 * 1_000;

/// What is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Knowledge {
    /// What it can do.
    pub capabilities: Capabilities,
    discovered: Discovered,
    /// Whether it has ever shown a member of a group.
    pub shows_members: bool,
    hidden: BTreeSet<(String, String)>,
    shown: BTreeSet<(String, String)>,
    /// How often in a row, and when it is tried again.
    failed_searches: BTreeMap<(String, String), (u32, Timestamp)>,
    lying_searches: BTreeSet<String>,
    throttled: u32,
    throttled_until: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Discovered {
    #[default]
    Never,
    Failed {
        again: Timestamp,
    },
    Done,
}

/// Something that an answer taught.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// What it publishes about itself.
    Described(Capabilities),
    /// It does not publish what it can do, for now.
    NotDescribed(Timestamp),
    /// It cannot change parts of an account.
    CannotPatch,
    /// It cannot look for accounts.
    CannotFilter,
    /// A search for this attribute of this type of resource failed at this time.
    SearchFailed(String, String, Timestamp),
    /// It worked.
    SearchWorked(String, String),
    /// Its search for this type of resource does not show an account that is there.
    SearchLies(String),
    /// It shows members.
    ShowsMembers,
    /// It was given this attribute and does not show it.
    Hides(String, String),
    /// It shows this attribute.
    Shows(String, String),
    /// It wants to be left alone until then.
    Throttled {
        /// When it said so.
        now: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// It did what it was asked.
    Flows,
}

impl Knowledge {
    /// Whether it is to be asked what it can do.
    pub fn is_to_discover(&self, now: Timestamp) -> bool {
        match self.discovered {
            Discovered::Never => true,
            Discovered::Failed { again } => again <= now,
            Discovered::Done => false,
        }
    }

    /// Whether its own search is used for this attribute.
    pub fn can_search(&self, resource_type: &str, attribute: &str, now: Timestamp) -> bool {
        let failed = self
            .failed_searches
            .get(&(resource_type.to_owned(), attribute.to_owned()));
        self.capabilities.filter
            && failed.is_none_or(|(times, again)| *times < SEARCH_FAILURES_MAX || *again <= now)
    }

    /// Whether its own search has left out an account that was there.
    pub fn search_lies(&self, resource_type: &str) -> bool {
        self.lying_searches.contains(resource_type)
    }

    /// Whether it does not show an attribute that it was given, of any account.
    pub fn is_hidden(&self, resource_type: &str, place: &str) -> bool {
        self.hidden
            .contains(&(resource_type.to_owned(), place.to_owned()))
    }

    /// Whether it shows an attribute of some account.
    pub fn is_shown(&self, resource_type: &str, place: &str) -> bool {
        self.shown
            .contains(&(resource_type.to_owned(), place.to_owned()))
    }

    /// When an application that says too fast, but not for how long, is asked again: each time twice as long.
    pub fn throttled_until(&self, now: Timestamp) -> Timestamp {
        let pending = self.throttled_until.filter(|until| *until > now);
        pending.unwrap_or_else(|| pacing::after(now, pacing::throttle_milliseconds(self.throttled)))
    }

    /// Whether it asked to be left alone since it last did what it was asked.
    pub fn is_throttled(&self) -> bool {
        self.throttled > 0
    }

    /// Learns.
    pub fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::Described(capabilities) => {
                self.capabilities = capabilities;
                self.discovered = Discovered::Done;
            }
            Fact::NotDescribed(now) => {
                self.discovered = Discovered::Failed {
                    again: pacing::after(now, DISCOVER_AGAIN_MILLISECONDS),
                };
            }
            Fact::CannotPatch => self.capabilities.patch = false,
            Fact::CannotFilter => self.capabilities.filter = false,
            Fact::SearchFailed(resource_type, attribute, now) => {
                let (times, again) = self
                    .failed_searches
                    .entry((resource_type, attribute))
                    .or_insert((0, now));
                (*times, *again) = (
                    times.saturating_add(1),
                    pacing::after(now, SEARCH_AGAIN_MILLISECONDS),
                );
            }
            Fact::SearchWorked(resource_type, attribute) => {
                self.failed_searches.remove(&(resource_type, attribute));
            }
            Fact::SearchLies(resource_type) => drop(self.lying_searches.insert(resource_type)),
            Fact::ShowsMembers => self.shows_members = true,
            Fact::Hides(resource_type, place) => {
                let key = (resource_type, place);
                if !self.shown.contains(&key) {
                    self.hidden.insert(key);
                }
            }
            Fact::Shows(resource_type, place) => {
                let key = (resource_type, place);
                self.hidden.remove(&key);
                self.shown.insert(key);
            }
            Fact::Throttled { now, until } => {
                // Requests that were on their way together are refused together; that counts once.
                if self.throttled_until.is_none_or(|before| before <= now) {
                    self.throttled = self.throttled.saturating_add(1);
                    self.throttled_until = Some(until);
                }
            }
            Fact::Flows => (self.throttled, self.throttled_until) = (0, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_without_a_time_grow_until_something_works() {
        let mut now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let mut knowledge = Knowledge::default();
        let mut wait = |knowledge: &mut Knowledge| {
            let until = knowledge.throttled_until(now);
            knowledge.learn(Fact::Throttled { now, until });
            // Another request that was on its way at the same time.
            assert_eq!(knowledge.throttled_until(now), until);
            knowledge.learn(Fact::Throttled { now, until });
            let seconds = until.duration_since(now).as_secs();
            now = until;
            seconds
        };
        let waits: Vec<i64> = (0..11).map(|_| wait(&mut knowledge)).collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        knowledge.learn(Fact::Flows);
        assert_eq!(wait(&mut knowledge), 2);
    }

    #[test]
    fn a_search_that_fails_twice_is_not_used_for_a_while() {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let mut knowledge = Knowledge::default();
        knowledge.learn(Fact::SearchFailed("User".into(), "externalId".into(), now));
        assert!(knowledge.can_search("User", "externalId", now));
        knowledge.learn(Fact::SearchFailed("User".into(), "externalId".into(), now));
        assert!(!knowledge.can_search("User", "externalId", now));
        assert!(
            knowledge.can_search("User", "userName", now)
                && knowledge.can_search("Group", "externalId", now)
        );
        assert!(knowledge.can_search(
            "User",
            "externalId",
            pacing::after(now, SEARCH_AGAIN_MILLISECONDS)
        ));
        knowledge.learn(Fact::SearchWorked("User".into(), "externalId".into()));
        assert!(knowledge.can_search("User", "externalId", now));
    }
}
