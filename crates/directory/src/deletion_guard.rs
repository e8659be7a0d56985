//! The guard on what clients send: too many removals in a window are held until an administrator decides. This module decides; the store counts. It
//! does not look at what Rollcall sends to applications.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// A User whose `active` became false.
    Disable,
    /// A User that was deleted.
    Delete,
    /// A member that left a group, or lost it because the group was deleted. Members that are deleted count as `Delete`.
    Membership,
}

impl Removal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Disable, Self::Delete, Self::Membership];

    /// Its name in settings, commands and the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Delete => "delete",
            Self::Membership => "membership",
        }
    }

    /// The one with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|removal| removal.name() == name)
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Disable => ("people were disabled", "people"),
            Self::Delete => ("people were deleted", "people"),
            Self::Membership => ("memberships were removed", "memberships"),
        }
    }
}

/// What happens with a request that is over the threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is refused: 429 with `Retry-After`.
    #[default]
    Refuse,
    /// The client is told that it was done; it is kept until an administrator approves or rejects it.
    Park,
    /// There is no guard.
    Off,
}

/// How many are too many: both have to be exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// In the window.
    pub count: u64,
    /// Of what the tenant had.
    pub percent: u64,
}

/// The guard of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardSettings {
    /// What happens with a request that is over a threshold.
    pub mode: Mode,
    /// The window, in minutes.
    pub window_minutes: u32,
    /// Users that are disabled.
    pub disables: Threshold,
    /// Users that are deleted.
    pub deletes: Threshold,
    /// Members that leave groups.
    pub memberships: Threshold,
}

impl Default for GuardSettings {
    /// A tenth of all people within one hour is more likely an accident than a decision, in a directory of any size. Where a tenth is only a handful of
    /// people, the number has to be exceeded too, so that ordinary work in a small directory is not held. Identity providers disable people first, so that
    /// number is the smallest; a deleted person and a membership can be restored, and conformance suites create dozens of people and delete them.
    fn default() -> Self {
        Self {
            mode: Mode::Refuse,
            window_minutes: 60,
            disables: Threshold {
                count: 10,
                percent: 10,
            },
            deletes: Threshold {
                count: 50,
                percent: 10,
            },
            memberships: Threshold {
                count: 100,
                percent: 20,
            },
        }
    }
}

/// The longest window, in minutes: a week.
pub const WINDOW_MINUTES_MAX: u32 = 10_080;

impl GuardSettings {
    /// The threshold of a kind.
    pub fn threshold(&self, removal: Removal) -> Threshold {
        match removal {
            Removal::Disable => self.disables,
            Removal::Delete => self.deletes,
            Removal::Membership => self.memberships,
        }
    }

    /// The first minute (since 1970) of the window that ends at this instant.
    pub fn window_start(&self, at: Timestamp) -> i64 {
        minute(at) - i64::from(self.window_minutes.clamp(1, WINDOW_MINUTES_MAX)) + 1
    }
}

/// The minute (since 1970) that counts are kept by.
pub fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}

/// What a change set takes away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removals {
    /// Users disabled.
    pub disables: u64,
    /// Users deleted.
    pub deletes: u64,
    /// Memberships removed.
    pub memberships: u64,
    /// Memberships added. They are subtracted, so that a member that moves or comes back in the same minute does not count as removed.
    pub memberships_added: u64,
}

impl Removals {
    /// How many of this kind.
    pub fn of(&self, removal: Removal) -> u64 {
        match removal {
            Removal::Disable => self.disables,
            Removal::Delete => self.deletes,
            Removal::Membership => self.memberships.saturating_sub(self.memberships_added),
        }
    }

    /// Whether nothing was taken away.
    pub fn is_empty(&self) -> bool {
        Removal::ALL
            .into_iter()
            .all(|removal| self.of(removal) == 0)
    }
}

/// What the store has counted, the change set included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Removals in the window.
    pub in_window: u64,
    /// What the tenant had before them.
    pub of_all: u64,
    /// The oldest minute of the window in which something was removed.
    pub oldest_minute: i64,
}

/// A change set that is over a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// What there is too much of.
    pub removal: Removal,
    /// How many there would be in the window.
    pub in_window: u64,
    /// Of how many.
    pub of_all: u64,
    /// Within how many minutes.
    pub window_minutes: u32,
    /// When it makes sense to try again, in seconds.
    pub retry_after_seconds: u64,
}

/// Whether the number alone may be too many. Only then does the store have to count what the tenant has.
pub fn may_exceed(settings: &GuardSettings, removal: Removal, in_window: u64) -> bool {
    settings.mode != Mode::Off && in_window > settings.threshold(removal).count
}

/// Whether a change set is over the threshold of a kind.
pub fn decide(
    settings: &GuardSettings,
    removal: Removal,
    counted: Counted,
    at: Timestamp,
) -> Option<Excess> {
    let Counted {
        in_window,
        of_all,
        oldest_minute,
    } = counted;
    let over_percent =
        in_window.saturating_mul(100) > of_all.saturating_mul(settings.threshold(removal).percent);
    if !may_exceed(settings, removal, in_window) || !over_percent {
        return None;
    }
    // The first of the window's removals leaves it then; an administrator may decide earlier.
    let leaves =
        (oldest_minute + i64::from(settings.window_minutes.clamp(1, WINDOW_MINUTES_MAX))) * 60;
    let wait = u64::try_from(leaves - at.as_second()).unwrap_or_default();
    Some(Excess {
        removal,
        in_window,
        of_all,
        window_minutes: settings.window_minutes,
        retry_after_seconds: wait.max(60),
    })
}

impl Excess {
    /// A sentence for the client that sent it.
    pub fn detail(&self) -> String {
        let (done, all) = self.removal.words();
        format!(
            "Held by the deletion guard: {} {done} within {} minutes, this request included, of {} {all}, which is more than this \
             tenant allows without the approval of an administrator. Nothing was changed; accepted is the same request after an administrator has let more through \
             (`rollcall guard allow`), or when the window has passed.",
            self.in_window, self.window_minutes, self.of_all
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn both_thresholds_have_to_be_exceeded() {
        let settings = GuardSettings::default();
        let check = |removal, in_window, of_all, held: bool| {
            let excess = decide(
                &settings,
                removal,
                Counted {
                    in_window,
                    of_all,
                    oldest_minute: 0,
                },
                at(600),
            );
            assert_eq!(
                excess.is_some(),
                held,
                "{removal:?} {in_window} of {of_all}"
            );
        };
        check(Removal::Delete, 1, 1, false);
        check(Removal::Delete, 50, 50, false);
        check(Removal::Delete, 51, 51, true);
        check(Removal::Delete, 51, 510, false);
        check(Removal::Delete, 51, 509, true);
        check(Removal::Disable, 10, 10, false);
        check(Removal::Disable, 11, 11, true);
        check(Removal::Disable, 28, 278, true);
        check(Removal::Disable, 27, 278, false);
        check(Removal::Delete, 10_000, 100_000, false);
        check(Removal::Disable, 10_001, 100_000, true);
        check(Removal::Membership, 100, 100, false);
        check(Removal::Membership, 101, 505, false);
        check(Removal::Membership, 101, 504, true);
        check(Removal::Membership, u64::MAX, 1, true);
    }

    #[test]
    fn off_is_off() {
        let settings = GuardSettings {
            mode: Mode::Off,
            ..GuardSettings::default()
        };
        assert_eq!(
            decide(
                &settings,
                Removal::Delete,
                Counted {
                    in_window: 9_999,
                    of_all: 9_999,
                    oldest_minute: 0
                },
                at(0)
            ),
            None
        );
    }

    #[test]
    fn the_wait_ends_when_the_oldest_leaves_the_window() {
        let settings = GuardSettings {
            window_minutes: 10,
            ..GuardSettings::default()
        };
        let check = |oldest_minute, now, seconds| {
            let excess = decide(
                &settings,
                Removal::Delete,
                Counted {
                    in_window: 300,
                    of_all: 300,
                    oldest_minute,
                },
                at(now),
            )
            .unwrap();
            assert_eq!(excess.retry_after_seconds, seconds);
        };
        check(0, 120, 480);
        check(0, 590, 60);
        check(0, 6_000, 60);
        assert_eq!(settings.window_start(at(600)), 1);
        assert_eq!(minute(at(-1)), -1);
    }

    #[test]
    fn moves_are_not_removals() {
        let moved = Removals {
            memberships: 5,
            memberships_added: 7,
            ..Removals::default()
        };
        assert_eq!((moved.of(Removal::Membership), moved.is_empty()), (0, true));
        let gone = Removals {
            memberships: 5,
            memberships_added: 2,
            ..Removals::default()
        };
        assert_eq!((gone.of(Removal::Membership), gone.is_empty()), (3, false));
    }

    #[test]
    fn names_are_known() {
        for removal in Removal::ALL {
            assert_eq!(Removal::by_name(removal.name()), Some(removal));
        }
    }
}
