//! How long an application that does not answer is left alone. Does not know what failed.

pub use directory::retry::{after, backoff_milliseconds, resume_at, throttle_milliseconds};
use jiff::Timestamp;

use crate::ledger::Reach;

/// The wait after a refused token: one probe each minute.
pub const UNAUTHORIZED_MILLISECONDS: u64 = 60_000;
/// An application that does not answer rests no longer than this before it is asked again.
pub const REST_MILLISECONDS_MAX: u64 = 5 * 60 * 1_000;

/// What one claim learns about whether its application answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contact {
    answered: bool,
    silent: bool,
}

impl Contact {
    /// Takes in whether a request went without an answer.
    pub fn hear(&mut self, is_silent: bool) {
        self.silent = is_silent;
        self.answered |= !is_silent;
    }

    /// What follows for the application, which had left so many requests without an answer when the claim began: from the second one on it rests, each time
    /// for longer, and one claim at a time asks it until it answers.
    pub fn reach(self, unanswered: u32, now: Timestamp, random: u64) -> Reach {
        if !self.silent {
            return if self.answered && unanswered > 0 {
                Reach::Answers
            } else {
                Reach::Known
            };
        }
        let before = if self.answered { 0 } else { unanswered };
        // Once may be a connection that was cut. It is asked again at once, but by one claim only, so that many do not wait for nothing.
        let rest = before.checked_sub(1).map_or(0, |before| {
            backoff_milliseconds(before, random).min(REST_MILLISECONDS_MAX)
        });
        Reach::Silent {
            unanswered: before.saturating_add(1),
            until: after(now, rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_that_does_not_answer_rests_for_longer_each_time() {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let check = |silences: &[bool], unanswered, expected| {
            let mut contact = Contact::default();
            for is_silent in silences {
                contact.hear(*is_silent);
            }
            assert_eq!(
                contact.reach(unanswered, now, u64::MAX / 2),
                expected,
                "{silences:?}"
            );
        };
        let silent = |unanswered, milliseconds| {
            let wait = if unanswered > 1 {
                backoff_milliseconds(unanswered - 2, u64::MAX / 2).min(milliseconds)
            } else {
                0
            };
            Reach::Silent {
                unanswered,
                until: after(now, wait),
            }
        };
        check(&[], 3, Reach::Known);
        check(&[false], 0, Reach::Known);
        check(&[false], 3, Reach::Answers);
        check(&[true], 0, silent(1, 0));
        check(&[true], 1, silent(2, 1_000));
        check(&[true], 2, silent(3, 2_000));
        check(&[true], 30, silent(31, REST_MILLISECONDS_MAX));
        // It answered and then fell silent: the count begins anew.
        check(&[false, true], 7, silent(1, 0));
        check(&[true, false], 7, Reach::Answers);
    }
}
