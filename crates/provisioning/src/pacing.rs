//! When to try again: exponential backoff with jitter, `Retry-After`, and the rest of an application that does not answer. Does not know what failed.

use jiff::{SignedDuration, Timestamp};

use crate::connector::RetryAfter;
use crate::ledger::Reach;

/// The first wait is at most this.
pub const BACKOFF_BASE_MILLISECONDS: u64 = 1_000;
/// No wait is longer than this.
pub const BACKOFF_MILLISECONDS_MAX: u64 = 15 * 60 * 1_000;
/// The first wait after an answer that says too fast but not for how long, and the shortest after one that does.
pub const THROTTLE_MILLISECONDS: u64 = 2_000;
/// The wait after a refused token: one probe each minute.
pub const UNAUTHORIZED_MILLISECONDS: u64 = 60_000;
/// No `Retry-After` is believed beyond this.
pub const RETRY_AFTER_SECONDS_MAX: u64 = 24 * 60 * 60;

/// An application that does not answer rests no longer than this before it is asked again.
pub const REST_MILLISECONDS_MAX: u64 = 5 * 60 * 1_000;

/// How long to wait after so many failed attempts (0 for the first): between one half and the whole of `base * 2^attempts`, by a random number.
/// Never nothing: an application that failed is not asked again at once.
pub fn backoff_milliseconds(attempts: u32, random: u64) -> u64 {
    let ceiling = BACKOFF_BASE_MILLISECONDS
        .saturating_mul(1_u64.checked_shl(attempts.min(32)).unwrap_or(u64::MAX))
        .min(BACKOFF_MILLISECONDS_MAX);
    ceiling / 2 + random % (ceiling / 2 + 1)
}

/// An instant so many milliseconds from now.
pub fn after(now: Timestamp, milliseconds: u64) -> Timestamp {
    let wait = SignedDuration::from_millis(i64::try_from(milliseconds).unwrap_or(i64::MAX));
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// How long an application that says too fast, but not for how long, is left alone, after so many such answers in a row.
pub fn throttle_milliseconds(answers: u32) -> u64 {
    THROTTLE_MILLISECONDS
        .saturating_mul(1_u64.checked_shl(answers.min(32)).unwrap_or(u64::MAX))
        .min(BACKOFF_MILLISECONDS_MAX)
}

/// When an application that says how long it wants to be left alone may be asked again. Not at once, whatever it says: it has just had too much, and its
/// clock may be behind ours.
pub fn resume_at(now: Timestamp, retry_after: RetryAfter) -> Timestamp {
    let (earliest, latest) = (
        after(now, THROTTLE_MILLISECONDS),
        after(now, RETRY_AFTER_SECONDS_MAX * 1_000),
    );
    match retry_after {
        RetryAfter::Seconds(seconds) => {
            after(now, seconds.saturating_mul(1_000)).clamp(earliest, latest)
        }
        RetryAfter::At(instant) => instant.clamp(earliest, latest),
    }
}

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

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        for (attempts, ceiling) in [
            (0, 1_000),
            (1, 2_000),
            (5, 32_000),
            (10, 900_000),
            (31, 900_000),
            (u32::MAX, 900_000),
        ] {
            assert_eq!(
                backoff_milliseconds(attempts, ceiling / 2),
                ceiling,
                "{attempts}"
            );
            assert_eq!(backoff_milliseconds(attempts, 0), ceiling / 2, "{attempts}");
        }
    }

    #[test]
    fn retry_after_is_honoured_in_both_forms() {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let check = |retry_after, expected: &str| {
            assert_eq!(
                resume_at(now, retry_after),
                expected.parse::<Timestamp>().unwrap()
            );
        };
        assert_eq!(
            after(now, throttle_milliseconds(0)),
            "2026-11-24T10:00:02Z".parse::<Timestamp>().unwrap()
        );
        check(RetryAfter::Seconds(90), "2026-11-24T10:01:30Z");
        check(RetryAfter::Seconds(u64::MAX), "2026-11-25T10:00:00Z");
        check(
            RetryAfter::At("2026-11-24T11:00:00Z".parse().unwrap()),
            "2026-11-24T11:00:00Z",
        );
        // A clock that is behind ours, and nothing at all: still no hot loop.
        check(
            RetryAfter::At("2026-11-24T09:00:00Z".parse().unwrap()),
            "2026-11-24T10:00:02Z",
        );
        check(RetryAfter::Seconds(0), "2026-11-24T10:00:02Z");
    }
}
