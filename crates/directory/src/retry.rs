//! When to ask a program again that did not answer or had enough for now: exponential backoff with jitter, and `Retry-After`. Does not know what failed.

use jiff::{SignedDuration, Timestamp};

/// The first wait is at most this.
const BACKOFF_BASE_MILLISECONDS: u64 = 1_000;
/// No wait is longer than this.
const BACKOFF_MILLISECONDS_MAX: u64 = 15 * 60 * 1_000;
/// The first wait after an answer that says too fast but not for how long, and the shortest after one that does.
const THROTTLE_MILLISECONDS: u64 = 2_000;
/// No `Retry-After` is believed beyond this.
const RETRY_AFTER_SECONDS_MAX: u64 = 24 * 60 * 60;

/// When a program that had enough for now may be asked again (RFC 9110 section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// So many seconds from now.
    Seconds(u64),
    /// At this instant.
    At(Timestamp),
}

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

/// When an application that says how long to wait may be asked again. Never at once, even if it says so: it has just had too much, and its clock may be
/// behind ours.
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

#[cfg(test)]
mod tests {
    use super::*;

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
