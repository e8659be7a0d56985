//! When a server wants to be asked again, from the headers of its answer: `Retry-After`, and the headers with which many say that a limit is used up.

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::HeaderMap;

/// Headers that say how many requests are left.
const REMAINING: [&str; 3] = [
    "ratelimit-remaining",
    "x-ratelimit-remaining",
    "x-rate-limit-remaining",
];
/// Headers that say when there are more.
const RESET: [&str; 3] = ["ratelimit-reset", "x-ratelimit-reset", "x-rate-limit-reset"];
/// A number from here on is an instant in seconds since 1970, and not a number of seconds from now.
const INSTANT_SECONDS_MIN: f64 = 1e9;
/// A number from here on is an instant in milliseconds since 1970.
const INSTANT_MILLISECONDS_MIN: f64 = 1e12;

/// When a server wants to be asked again (RFC 9110 section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// So many seconds from now.
    Seconds(u64),
    /// At this instant.
    At(Timestamp),
}

/// The value of `Retry-After`.
pub(crate) fn retry_after(value: &str) -> Option<RetryAfter> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(RetryAfter::Seconds(seconds));
    }
    let instant = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(RetryAfter::At(instant))
}

/// When there are requests left again, where other headers than `Retry-After` say that none is left. A server that always says when its window ends says
/// nothing by that: it has to say that nothing is left, in numbers or by the status.
pub(crate) fn wait(status: u16, headers: &HeaderMap) -> Option<RetryAfter> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    let combined = text("ratelimit").unwrap_or_default();
    let remaining = REMAINING
        .iter()
        .find_map(|name| text(name))
        .and_then(|value| value.parse::<f64>().ok());
    let remaining = remaining.or_else(|| parameter(combined, &["remaining", "r"]));
    let reset = RESET
        .iter()
        .find_map(|name| text(name))
        .and_then(instant)
        .or_else(|| {
            let seconds = parameter(combined, &["reset", "t"])?;
            number(seconds)
        });
    let is_used_up = remaining.map_or(matches!(status, 403 | 429 | 503), |remaining| {
        remaining < 1.0
    });
    reset.filter(|_| is_used_up)
}

/// One of these parameters of `RateLimit`, as `remaining=0, reset=5` or `"default";r=0;t=5`.
fn parameter(header: &str, names: &[&str]) -> Option<f64> {
    let mut pairs = header
        .split([',', ';'])
        .filter_map(|part| part.split_once('='));
    let (_, value) = pairs.find(|(name, _)| names.contains(&name.trim()))?;
    value.trim().parse().ok()
}

fn instant(value: &str) -> Option<RetryAfter> {
    match value.parse::<f64>() {
        Ok(value) => number(value),
        Err(_) => value
            .parse()
            .ok()
            .or_else(|| rfc2822::DateTimeParser::new().parse_timestamp(value).ok())
            .map(RetryAfter::At),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of seconds that is not negative; too large a one is cut off"
)]
fn number(value: f64) -> Option<RetryAfter> {
    if !value.is_finite() || value < 0.0 {
        return None;
    }
    if value >= INSTANT_MILLISECONDS_MIN {
        return Timestamp::from_millisecond(value as i64)
            .ok()
            .map(RetryAfter::At);
    }
    if value >= INSTANT_SECONDS_MIN {
        return Timestamp::from_second(value as i64)
            .ok()
            .map(RetryAfter::At);
    }
    Some(RetryAfter::Seconds(value.ceil() as u64))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn retry_after_in_both_forms() {
        let check = |value: &str, expected: Option<RetryAfter>| {
            assert_eq!(retry_after(value), expected, "{value}");
        };
        check("120", Some(RetryAfter::Seconds(120)));
        check(" 0 ", Some(RetryAfter::Seconds(0)));
        check(
            "Wed, 21 Oct 2015 07:28:00 GMT",
            Some(RetryAfter::At("2015-10-21T07:28:00Z".parse().unwrap())),
        );
        check("soon", None);
        check("-1", None);
    }

    #[test]
    fn a_limit_that_is_used_up_says_when_it_ends() {
        let at = |text: &str| Some(RetryAfter::At(text.parse().unwrap()));
        let check = |status, headers: &[(&'static str, &str)], expected: Option<RetryAfter>| {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_str(value).unwrap(),
                    )
                })
                .collect();
            assert_eq!(wait(status, &headers), expected, "{status} {headers:?}");
        };
        check(
            429,
            &[("x-rate-limit-reset", "1700000000")],
            at("2023-11-14T22:13:20Z"),
        );
        check(
            403,
            &[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1700000000"),
            ],
            at("2023-11-14T22:13:20Z"),
        );
        check(
            200,
            &[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1700000000000"),
            ],
            at("2023-11-14T22:13:20Z"),
        );
        check(
            200,
            &[
                ("x-ratelimit-remaining", "4999"),
                ("x-ratelimit-reset", "1700000000"),
            ],
            None,
        );
        check(
            404,
            &[
                ("x-ratelimit-remaining", "4999"),
                ("x-ratelimit-reset", "1700000000"),
            ],
            None,
        );
        check(200, &[("x-ratelimit-reset", "1700000000")], None);
        check(
            400,
            &[("ratelimit-remaining", "0"), ("ratelimit-reset", "7.2")],
            Some(RetryAfter::Seconds(8)),
        );
        check(
            429,
            &[("ratelimit", "limit=100, remaining=0, reset=5")],
            Some(RetryAfter::Seconds(5)),
        );
        check(
            200,
            &[("ratelimit", "\"default\";r=0;t=5")],
            Some(RetryAfter::Seconds(5)),
        );
        check(200, &[("ratelimit", "\"default\";r=9;t=5")], None);
        check(
            429,
            &[("x-rate-limit-reset", "2023-11-14T22:13:20Z")],
            at("2023-11-14T22:13:20Z"),
        );
        check(429, &[("x-rate-limit-reset", "soon")], None);
    }
}
