//! Receivers: which events each of them gets, and how. Sends nothing.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use directory::secret::Secret;
use directory::tenant::TenantId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Kind, LoggedEvent};

/// The store's key of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceiverId(pub i64);

/// How a receiver gets events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiverKind {
    /// JSON is posted to it, signed with a shared secret (Standard Webhooks).
    Webhook,
    /// Security Event Tokens are posted to it (RFC 8935).
    Push,
    /// It fetches Security Event Tokens (RFC 8936).
    Poll,
}

/// Whether a receiver gets events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiverState {
    /// It does.
    Live,
    /// Events wait until it is resumed.
    Paused,
}

/// How much an event says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// What changed, and the resource.
    #[default]
    Full,
    /// Which attributes changed, without values.
    Notice,
}

/// What a receiver wants. Every setting has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ReceiverSettings {
    /// How much its events say.
    pub detail: Detail,
    /// The resource types whose events it gets; empty: all.
    pub resource_types: Vec<String>,
    /// Whether it gets only events of resources that were added to its feed.
    pub chosen_only: bool,
    /// The `aud` of its tokens; `None`: its URL, or its name where it has no URL.
    pub audience: Option<String>,
    /// How often an event is sent before it becomes a dead letter.
    pub attempts_max: u32,
    /// Most events in one request to a webhook.
    pub batch_max: u32,
}

impl ReceiverSettings {
    /// The resource types whose events it gets; `None`: all.
    pub fn types(&self) -> Option<&[String]> {
        Some(self.resource_types.as_slice()).filter(|types| !types.is_empty())
    }
}

impl Default for ReceiverSettings {
    fn default() -> Self {
        Self {
            detail: Detail::Full,
            resource_types: Vec::new(),
            chosen_only: false,
            audience: None,
            attempts_max: 16,
            batch_max: 50,
        }
    }
}

/// The secret of a receiver: the signing secret of a webhook, a bearer token otherwise. After a change both the old and the new one count for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// The newest; `None`: none, for a push receiver that wants no token.
    pub current: Option<Secret>,
    /// The one before it, and until when that one counts.
    pub previous: Option<(Secret, Timestamp)>,
}

impl Secrets {
    /// A first secret.
    pub fn new(current: Option<Secret>) -> Self {
        Self {
            current,
            previous: None,
        }
    }

    /// A new secret replaces the current one, which counts until `until`.
    #[must_use]
    pub fn rotated(self, next: Secret, until: Timestamp) -> Self {
        Self {
            current: Some(next),
            previous: self.current.map(|current| (current, until)),
        }
    }

    /// The secrets that count now, the newest first.
    pub fn live(&self, now: Timestamp) -> impl Iterator<Item = &Secret> {
        let previous = self
            .previous
            .as_ref()
            .filter(move |(_, until)| now < *until)
            .map(|(secret, _)| secret);
        self.current.iter().chain(previous)
    }
}

/// A receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The store's key.
    pub id: ReceiverId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The tenant's name, as it stands in URLs.
    pub tenant_name: String,
    /// Its name, unique in the tenant.
    pub name: String,
    /// How it is told.
    pub kind: ReceiverKind,
    /// Where it listens; empty for one that polls.
    pub url: String,
    /// Whether it is served.
    pub state: ReceiverState,
    /// What it wants.
    pub settings: ReceiverSettings,
    /// Its secret, sealed at rest.
    pub secrets: Secrets,
    /// When it was added.
    pub created: Timestamp,
    /// Every event up to this place of the change log was delivered, is a dead letter, or was not wanted.
    pub cursor: i64,
    /// How often the event after the cursor was sent.
    pub attempts: u32,
    /// When it is sent next; `None`: at once.
    pub due: Option<Timestamp>,
    /// Why the last attempt failed; empty where it did not.
    pub last_error: String,
    /// When it last accepted something.
    pub last_delivered: Option<Timestamp>,
    /// Proves that a claim is still the newest.
    pub fence: i64,
}

impl Receiver {
    /// Whether it gets an event. `chosen` says whether the resource was added to its feed, which only the store knows.
    pub fn wants(&self, event: &LoggedEvent, chosen: bool) -> bool {
        match event.kind {
            // Such a row is about one receiver, which it names.
            Kind::FeedAdd | Kind::FeedRemove => event
                .attributes
                .first()
                .is_some_and(|id| *id == self.id.0.to_string()),
            _ => {
                let types = self.settings.types();
                types.is_none_or(|types| types.contains(&event.resource_type))
                    && (chosen || !self.settings.chosen_only)
            }
        }
    }

    /// The `aud` of its tokens.
    pub fn audience(&self) -> &str {
        let otherwise = if self.url.is_empty() {
            &self.name
        } else {
            &self.url
        };
        self.settings.audience.as_ref().unwrap_or(otherwise)
    }
}

/// Who reads the failures of receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// An operator of the installation, who sees what the other side said.
    Operator,
    /// An administrator of a tenant, who sees only what happened, in our words: the other side's words could come from a network of somebody else.
    Tenant,
}

impl Reader {
    /// A failure as this reader sees it.
    pub fn sees(self, text: &str) -> String {
        let (happened, said) = text.split_once('\n').unwrap_or((text, ""));
        match self {
            Self::Operator if said.is_empty() => happened.to_owned(),
            Self::Operator => format!("{happened} ({said})"),
            // Older rows have what was said in parentheses or behind a colon.
            Self::Tenant => happened
                .split(" (")
                .next()
                .and_then(|text| text.split(": ").next())
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

/// A failure as it is stored: what happened, in our words, and on a second line what the other side or the network said.
pub fn failure(happened: &str, said: &str) -> String {
    let said = said.replace(char::is_control, " ");
    if said.trim().is_empty() {
        happened.to_owned()
    } else {
        format!("{happened}\n{}", said.trim())
    }
}

/// The last of so many failures, after which an event becomes a dead letter.
pub fn after_attempts(text: &str, attempts: u32) -> String {
    let (happened, said) = text.split_once('\n').unwrap_or((text, ""));
    failure(&format!("{happened}, after {attempts} attempts"), said)
}

/// Most characters of a receiver's name.
const NAME_LENGTH_MAX: usize = 63;
/// Most characters of a receiver's URL.
const URL_LENGTH_MAX: usize = 2_000;

/// What is wrong with a new receiver: the setting, and a sentence. Whether its address may be reached is checked in `connectors`.
pub fn check(
    name: &str,
    kind: ReceiverKind,
    url: &str,
    settings: &ReceiverSettings,
) -> Result<(), (&'static str, &'static str)> {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > NAME_LENGTH_MAX || !name.bytes().all(is_name) {
        return Err((
            "name",
            "The name of a receiver has 1 to 63 lower-case letters, digits and hyphens.",
        ));
    }
    let is_url =
        (url.starts_with("https://") || url.starts_with("http://")) && url.len() <= URL_LENGTH_MAX;
    match kind {
        ReceiverKind::Poll if !url.is_empty() => {
            return Err(("url", "A receiver that polls has no URL; it comes to us."));
        }
        ReceiverKind::Webhook | ReceiverKind::Push
            if !is_url || url.chars().any(|c| c.is_whitespace() || c.is_control()) =>
        {
            return Err((
                "url",
                "A receiver that is sent to has a URL that begins with https:// (or http://), of at most 2000 characters.",
            ));
        }
        _ => {}
    }
    if settings.attempts_max == 0 || settings.attempts_max > 100 {
        return Err(("attemptsMax", "An event is tried 1 to 100 times."));
    }
    if settings.batch_max == 0 || settings.batch_max > 1_000 {
        return Err(("batchMax", "A webhook is sent 1 to 1000 events at once."));
    }
    Ok(())
}

/// Why an event before the cursor of a receiver is not delivered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UndeliveredState {
    /// It failed too often, or the receiver refused it for good.
    DeadLetter,
    /// It was a dead letter, and an administrator wants it delivered again.
    Again,
    /// A polling receiver got it and has not acknowledged it yet.
    HandedOut,
}

/// An event before the cursor of a receiver that is not delivered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// The event.
    pub event: LoggedEvent,
    /// Why it is not.
    pub state: UndeliveredState,
    /// How often it was sent, or given to a polling receiver.
    pub attempts: u32,
    /// Why it became a dead letter.
    pub error: String,
}

/// The text of a new secret with which webhooks are signed, as Standard Webhooks writes it.
pub fn webhook_secret_text(secret: &[u8; 32]) -> String {
    format!("whsec_{}", BASE64_STANDARD.encode(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::sample;

    fn receiver(settings: ReceiverSettings) -> Receiver {
        Receiver {
            id: ReceiverId(5),
            tenant: TenantId(1),
            tenant_name: "acme".into(),
            name: "app".into(),
            kind: ReceiverKind::Webhook,
            url: String::new(),
            state: ReceiverState::Live,
            settings,
            secrets: Secrets::new(None),
            created: Timestamp::UNIX_EPOCH,
            cursor: 0,
            attempts: 0,
            due: None,
            last_error: String::new(),
            last_delivered: None,
            fence: 0,
        }
    }

    #[test]
    fn who_is_told_what() {
        let check =
            |settings: ReceiverSettings, event: LoggedEvent, chosen: bool, expected: bool| {
                assert_eq!(
                    receiver(settings).wants(&event, chosen),
                    expected,
                    "{event:?}"
                );
            };
        let all = ReceiverSettings::default();
        let groups = ReceiverSettings {
            resource_types: vec!["Group".into()],
            ..ReceiverSettings::default()
        };
        let chosen = ReceiverSettings {
            chosen_only: true,
            ..ReceiverSettings::default()
        };
        check(all.clone(), sample(Kind::Create, None, &[]), false, true);
        check(groups, sample(Kind::Create, None, &[]), true, false);
        check(chosen.clone(), sample(Kind::Patch, None, &[]), false, false);
        check(chosen.clone(), sample(Kind::Patch, None, &[]), true, true);
        check(chosen, sample(Kind::FeedAdd, None, &["5"]), false, true);
        check(all, sample(Kind::FeedAdd, None, &["6"]), true, false);
    }

    #[test]
    fn what_a_receiver_must_be() {
        let check = |name: &str,
                     kind: ReceiverKind,
                     url: &str,
                     attempts_max: u32,
                     expected: Option<&str>| {
            let settings = ReceiverSettings {
                attempts_max,
                ..ReceiverSettings::default()
            };
            assert_eq!(
                check(name, kind, url, &settings)
                    .err()
                    .map(|(setting, _)| setting),
                expected,
                "{name} {url}"
            );
        };
        check(
            "app-1",
            ReceiverKind::Webhook,
            "https://app.example/hook",
            3,
            None,
        );
        check("app", ReceiverKind::Poll, "", 3, None);
        check("App", ReceiverKind::Poll, "", 3, Some("name"));
        check("", ReceiverKind::Poll, "", 3, Some("name"));
        check(
            "app",
            ReceiverKind::Poll,
            "https://app.example",
            3,
            Some("url"),
        );
        check("app", ReceiverKind::Push, "", 3, Some("url"));
        check(
            "app",
            ReceiverKind::Push,
            "ftp://app.example",
            3,
            Some("url"),
        );
        check(
            "app",
            ReceiverKind::Push,
            "https://app.example/a b",
            3,
            Some("url"),
        );
        check(
            "app",
            ReceiverKind::Push,
            "https://app.example",
            0,
            Some("attemptsMax"),
        );
    }

    #[test]
    fn a_tenant_sees_what_happened_and_an_operator_what_was_said_too() {
        let check = |text: &str, tenant: &str, operator: &str| {
            assert_eq!(
                (
                    Reader::Tenant.sees(text).as_str(),
                    Reader::Operator.sees(text).as_str()
                ),
                (tenant, operator)
            );
        };
        check("", "", "");
        check(
            &failure("it answered 500", ""),
            "it answered 500",
            "it answered 500",
        );
        check(
            &failure("it answered 500", "the\nkey (x): y"),
            "it answered 500",
            "it answered 500 (the key (x): y)",
        );
        let last = after_attempts(&failure("it answered 500", "no"), 3);
        check(
            &last,
            "it answered 500, after 3 attempts",
            "it answered 500, after 3 attempts (no)",
        );
        // As rows were written before.
        check(
            "it answered 500 (the key), after 3 attempts",
            "it answered 500",
            "it answered 500 (the key), after 3 attempts",
        );
        check(
            "it cannot be reached: refused",
            "it cannot be reached",
            "it cannot be reached: refused",
        );
    }

    #[test]
    fn two_secrets_live_after_a_change() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let secrets = Secrets::new(Some(Secret::new("old"))).rotated(Secret::new("new"), at(10));
        let live = |now| {
            secrets
                .live(at(now))
                .map(Secret::reveal)
                .collect::<Vec<_>>()
        };
        assert_eq!(live(9), ["new", "old"]);
        assert_eq!(live(10), ["new"]);
    }
}
