//! Receivers of events over HTTP: webhooks, signed as Standard Webhooks says, and Security Event Tokens pushed as RFC 8935 says. Decides nothing about
//! when to try again.

use async_trait::async_trait;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use directory::retry::RetryAfter;
use directory::secret::Secret;
use directory::store::Fault;
use events::event_log::{EventDelivery, Message, Reception};
use events::receiver::{Receiver, failure};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response};
use scim_client::hiding::hide;
use serde_json::Value;
use tls_failure::Side;
use url::Url;

use crate::egress::{Egress, Refusal};

/// What the secret of a webhook begins with; the key behind it is base64.
pub const SECRET_PREFIX: &str = "whsec_";
/// Longest time for one delivery, in seconds.
const DELIVERY_SECONDS_MAX: u64 = 15;
/// Of what a receiver answers, at most so many bytes are read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Of these, at most so many characters are told to administrators.
const ANSWER_CHARACTERS_MAX: usize = 200;
/// Errors of RFC 8935 section 2.4 that sending the same token again cannot mend.
const FOR_GOOD: [&str; 4] = [
    "invalid_request",
    "invalid_key",
    "invalid_issuer",
    "invalid_audience",
];

/// Brings events to receivers.
#[derive(Clone, Debug)]
pub struct HttpEventDelivery {
    egress: Egress,
    http: Client,
}

impl HttpEventDelivery {
    /// Under these rules of the network.
    pub fn new(egress: Egress) -> Result<Self, Fault> {
        let egress = Egress {
            request_seconds_max: egress.request_seconds_max.min(DELIVERY_SECONDS_MAX),
            ..egress
        };
        Ok(Self {
            http: egress.client()?,
            egress,
        })
    }

    fn request(
        &self,
        receiver: &Receiver,
        message: &Message,
        now: Timestamp,
    ) -> Result<RequestBuilder, String> {
        let refused =
            |refusal: Refusal| failure("its address may not be reached", &refusal.to_string());
        parse(&receiver.url)
            .and_then(|url| self.egress.check(&url))
            .map_err(refused)?;
        let request = self.http.post(&receiver.url);
        match message {
            Message::Webhook { id, body } => {
                let timestamp = now.as_second();
                let signatures: Option<Vec<String>> = receiver
                    .secrets
                    .live(now)
                    .map(|secret| signature(secret, id, timestamp, body))
                    .collect();
                let signatures = signatures.ok_or("its signing secret cannot be read")?;
                // As after a tenant was restored. Nobody is told without a signature.
                if signatures.is_empty() {
                    return Err("it has no secret to sign with; give it a new one with `rollcall receiver rotate-secret`".into());
                }
                let signatures = signatures.join(" ");
                let request = request
                    .header(CONTENT_TYPE, "application/json")
                    .header("webhook-id", id);
                Ok(request
                    .header("webhook-timestamp", timestamp)
                    .header("webhook-signature", signatures)
                    .body(body.clone()))
            }
            Message::Token(token) => {
                let request = request
                    .header(CONTENT_TYPE, "application/secevent+jwt")
                    .header(ACCEPT, "application/json");
                let request = match &receiver.secrets.current {
                    Some(secret) => {
                        request.header(AUTHORIZATION, format!("Bearer {}", secret.reveal()))
                    }
                    None => request,
                };
                Ok(request.body(token.clone()))
            }
        }
    }
}

fn parse(url: &str) -> Result<Url, Refusal> {
    url.parse().map_err(|error| Refusal {
        why: format!("the URL {url:?} cannot be read: {error}"),
        place: None,
    })
}

#[async_trait]
impl EventDelivery for HttpEventDelivery {
    async fn send(&self, receiver: &Receiver, message: &Message, now: Timestamp) -> Reception {
        let later = |why: String| Reception::Later {
            why,
            retry_after: None,
        };
        let request = match self.request(receiver, message, now) {
            Ok(request) => request,
            Err(why) => return later(why),
        };
        match request.send().await {
            Err(error) => later(words(&error)),
            Ok(response) if response.status().is_success() => Reception::Taken,
            Ok(response) => refusal(receiver, message, response, now).await,
        }
    }
}

/// The signature of a message (Standard Webhooks: `v1`, HMAC-SHA-256 over id, time and body).
fn signature(secret: &Secret, id: &str, timestamp: i64, body: &str) -> Option<String> {
    let key = BASE64_STANDARD
        .decode(secret.reveal().strip_prefix(SECRET_PREFIX)?)
        .ok()?;
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, &key),
        format!("{id}.{timestamp}.{body}").as_bytes(),
    );
    Some(format!("v1,{}", BASE64_STANDARD.encode(tag.as_ref())))
}

async fn refusal(
    receiver: &Receiver,
    message: &Message,
    response: Response,
    now: Timestamp,
) -> Reception {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers(), now);
    let text = beginning(response).await;
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let said = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
    let told = if said("err").is_empty() {
        text.clone()
    } else {
        format!("{}: {}", said("err"), said("description"))
    };
    // Some repeat the headers of the request, and with them the token.
    let told = receiver
        .secrets
        .current
        .as_ref()
        .map_or(told.clone(), |secret| hide(&told, secret.reveal()));
    let told: String = told
        .chars()
        .filter(|c| !c.is_control())
        .take(ANSWER_CHARACTERS_MAX)
        .collect();
    let why = failure(&format!("it answered {status}"), &told);
    match (status, message) {
        (410, _) => Reception::Gone { why },
        (400, Message::Token(_)) if FOR_GOOD.contains(&said("err")) => Reception::Refused { why },
        _ => Reception::Later { why, retry_after },
    }
}

/// The beginning of an answer; what cannot be read is left out.
async fn beginning(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    bytes.truncate(ANSWER_BYTES_MAX);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<RetryAfter> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(RetryAfter::Seconds(seconds));
    }
    let at = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(RetryAfter::At(at.max(now)))
}

/// What went wrong, without the URL, which may hold a secret of the receiver's.
fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".into();
    }
    let mut innermost = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        innermost = inner.to_string();
        source = inner.source();
    }
    if let Some(words) = tls_failure::explain(error, Side::Client) {
        innermost = words;
    }
    failure(
        if error.is_connect() {
            "it cannot be reached"
        } else {
            "the connection broke"
        },
        &innermost,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_standard_webhooks() {
        // The signature was computed with the reference implementation (PyPI `standardwebhooks`), and is that of its own test.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = r#"{"test": 2432232314}"#;
        let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(
            signed.as_deref(),
            Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        );
        assert_eq!(signature(&Secret::new("other"), "a", 0, ""), None);
    }

    #[test]
    fn waits_in_both_forms() {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let check = |text: &str, expected: Option<RetryAfter>| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), expected, "{text}");
        };
        check("120", Some(RetryAfter::Seconds(120)));
        check(
            "Tue, 24 Nov 2026 11:00:00 GMT",
            Some(RetryAfter::At("2026-11-24T11:00:00Z".parse().unwrap())),
        );
        check("Tue, 24 Nov 2026 09:00:00 GMT", Some(RetryAfter::At(now)));
        check("soon", None);
    }
}
