//! What an answer means: done, again later, look first, or not like this. Does not decide what follows for the link; `worker` does.

use jiff::Timestamp;

use crate::connector::{Answer, Reply};
use crate::pacing;

/// Characters of what an application says that the provisioning log keeps.
const SAID_CHARACTERS_MAX: usize = 500;

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<'a> {
    /// 2xx.
    Accepted(&'a Answer),
    /// Too fast (429, or 503 with `Retry-After`): nothing of the application is to be sent before this.
    Throttled(Timestamp),
    /// No answer, or 5xx; it may have had its effect where `uncertain`.
    Unreachable {
        /// Whether it may have had its effect.
        uncertain: bool,
    },
    /// 401 or 403.
    Unauthorized,
    /// 409, or 412: something is there already, or is not as we think.
    Conflict,
    /// A 404 that SCIM made: the resource is gone. A page of HTML with 404 proves nothing.
    Gone,
    /// The verb or the path is not offered: 405, 501, or a 404 that is not SCIM.
    NotOffered,
    /// Anything else: the application does not accept this.
    Refused,
}

/// Says what came of a request.
pub fn classify(reply: &Reply, now: Timestamp) -> Outcome<'_> {
    let answer = match reply {
        Reply::Answer(answer) => answer,
        Reply::NotSent(_) => return Outcome::Unreachable { uncertain: false },
        Reply::Lost(_) => return Outcome::Unreachable { uncertain: true },
    };
    match answer.status {
        200..=299 => Outcome::Accepted(answer),
        429 => Outcome::Throttled(pacing::resume_at(now, answer.retry_after)),
        // A 503 that names a time refuses before doing anything; one that does not may come from a proxy that lost the application's answer.
        503 if answer.retry_after.is_some() => Outcome::Throttled(pacing::resume_at(now, answer.retry_after)),
        401 | 403 => Outcome::Unauthorized,
        409 | 412 => Outcome::Conflict,
        404 if answer.is_scim() => Outcome::Gone,
        404 | 405 | 501 => Outcome::NotOffered,
        408 | 425 | 500..=599 => Outcome::Unreachable { uncertain: true },
        _ => Outcome::Refused,
    }
}

/// What came back, in words for the provisioning log: no more than so many.
pub fn describe(reply: &Reply) -> String {
    let said = said(reply);
    match said.char_indices().nth(SAID_CHARACTERS_MAX) {
        None => said,
        // The ellipsis takes the place of one.
        Some(_) => said.chars().take(SAID_CHARACTERS_MAX - 1).chain(['\u{2026}']).collect(),
    }
}

fn said(reply: &Reply) -> String {
    let answer = match reply {
        Reply::NotSent(why) => return format!("not sent: {why}"),
        Reply::Lost(why) => return format!("no answer: {why}"),
        Reply::Answer(answer) => answer,
    };
    let error = answer.body.as_ref().and_then(|body| {
        let detail = body.get("detail")?.as_str()?;
        let scim_type = body.get("scimType").and_then(|value| value.as_str());
        Some(scim_type.map_or_else(|| detail.to_owned(), |scim_type| format!("{scim_type}: {detail}")))
    });
    match error {
        _ if answer.is_success() => String::new(),
        Some(error) => error,
        None if answer.text.is_empty() => format!("status {} without a word", answer.status),
        None => format!("status {} and not SCIM: {}", answer.status, answer.text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::connector::RetryAfter;

    fn reply(status: u16, scim: bool, retry_after: Option<RetryAfter>) -> Reply {
        let body =
            scim.then(|| json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "detail": "no"}).as_object().cloned().unwrap());
        Reply::Answer(Answer { status, body, text: String::new(), retry_after })
    }

    #[test]
    fn each_answer_has_its_class() {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let seconds = |seconds: u64| pacing::after(now, seconds * 1_000);
        let cases = [
            (reply(429, false, None), Outcome::Throttled(seconds(2))),
            (reply(429, true, Some(RetryAfter::Seconds(7))), Outcome::Throttled(seconds(7))),
            (reply(503, false, Some(RetryAfter::Seconds(7))), Outcome::Throttled(seconds(7))),
            (reply(503, false, None), Outcome::Unreachable { uncertain: true }),
            (reply(500, true, None), Outcome::Unreachable { uncertain: true }),
            (Reply::NotSent("refused".into()), Outcome::Unreachable { uncertain: false }),
            (Reply::Lost("reset".into()), Outcome::Unreachable { uncertain: true }),
            (reply(401, false, None), Outcome::Unauthorized),
            (reply(409, true, None), Outcome::Conflict),
            (reply(404, true, None), Outcome::Gone),
            (reply(404, false, None), Outcome::NotOffered),
            (reply(405, true, None), Outcome::NotOffered),
            (reply(501, true, None), Outcome::NotOffered),
            (reply(400, true, None), Outcome::Refused),
            (reply(302, false, None), Outcome::Refused),
        ];
        for (reply, expected) in &cases {
            assert_eq!(classify(reply, now), *expected, "{reply:?}");
        }
    }

    #[test]
    fn what_an_application_says_has_an_end() {
        let describe = |detail: String| {
            let body = json!({ "detail": detail, "scimType": "invalidValue" }).as_object().cloned();
            describe(&Reply::Answer(Answer { status: 400, body, ..Answer::default() }))
        };
        assert_eq!(describe("no".into()), "invalidValue: no");
        let whole = SAID_CHARACTERS_MAX - "invalidValue: ".len();
        assert_eq!(describe("ä".repeat(whole)), format!("invalidValue: {}", "ä".repeat(whole)));
        assert_eq!(describe("ä".repeat(whole + 1)), format!("invalidValue: {}\u{2026}", "ä".repeat(whole - 1)));
    }
}
