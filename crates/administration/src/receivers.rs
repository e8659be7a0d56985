//! Receivers of a tenant's changes, their secrets, and the feeds of those that are told of chosen resources only. A secret is shown once, when it is made. The
//! events that could not be delivered are in `dead_letters`.

use access::credential::token_text;
use directory::DirectoryError;
use directory::access::Scope;
use directory::secret::{Secret, is_bearer_token};
use events::event_log::{Choice, NewReceiver as New, Reception};
use events::receiver::{
    Reader, Receiver as Stored, ReceiverKind, ReceiverSettings, ReceiverState, Secrets, check,
    webhook_secret_text,
};
use jiff::{SignedDuration, Timestamp};
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::administration::{Administration, has_room, may_be_reached};
use crate::administrator::{Administrator, NOTHING};
use crate::operations::{
    ADD_TO_FEED, CHANGE_RECEIVER, CREATE_RECEIVER, Operation, READ_RECEIVERS, REMOVE_FROM_FEED,
    REMOVE_RECEIVER, ROTATE_RECEIVER_SECRET, TEST_RECEIVER,
};

/// How long an old secret counts beside the new one where nothing is said, in hours.
const OVERLAP_HOURS: u32 = 24;
/// The longest time for which it may count, in hours.
const OVERLAP_HOURS_MAX: u32 = 8_760;

/// What a new receiver shall be.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewReceiver {
    /// Its name in URLs: lower-case letters, digits and hyphens.
    pub name: String,
    /// `webhook`, `push` or `poll`.
    #[schema(value_type = String)]
    pub kind: ReceiverKind,
    /// Where it listens; empty for one that polls.
    #[serde(default)]
    pub url: String,
    /// What it wants; each setting has a default.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub settings: ReceiverSettings,
    /// Of a push receiver: the bearer token that it wants from us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Whether it is told of everything that the log still holds, too.
    #[serde(default)]
    pub from_oldest: bool,
}

/// A receiver as it is shown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receiver {
    /// Its name in URLs.
    pub name: String,
    /// `webhook`, `push` or `poll`.
    #[schema(value_type = String)]
    pub kind: ReceiverKind,
    /// Where it listens; empty for one that polls.
    pub url: String,
    /// `live`, or `paused`: events wait.
    #[schema(value_type = String)]
    pub state: ReceiverState,
    /// What it wants.
    #[schema(value_type = Object)]
    pub settings: ReceiverSettings,
    /// When it was added.
    #[schema(value_type = String)]
    pub created: Timestamp,
    /// How often the next event was tried.
    pub attempts: u32,
    /// When the next event is tried; null: at once.
    #[schema(value_type = Option<String>)]
    pub due: Option<Timestamp>,
    /// Why the last attempt failed; empty after one that did not. Only operators read what the other side said.
    pub last_error: String,
    /// When it last took something.
    #[schema(value_type = Option<String>)]
    pub last_delivered: Option<Timestamp>,
    /// Until when the secret before the current one counts.
    #[schema(value_type = Option<String>)]
    pub secret_changes_until: Option<Timestamp>,
}

impl Receiver {
    fn of(stored: &Stored, reader: Reader) -> Self {
        Self {
            name: stored.name.clone(),
            kind: stored.kind,
            url: stored.url.clone(),
            state: stored.state,
            settings: stored.settings.clone(),
            created: stored.created,
            attempts: stored.attempts,
            due: stored.due,
            last_error: reader.sees(&stored.last_error),
            last_delivered: stored.last_delivered,
            secret_changes_until: stored.secrets.previous.as_ref().map(|(_, until)| *until),
        }
    }

    /// As the audit log has it, which administrators of the tenant read.
    pub(crate) fn logged(stored: &Stored) -> Self {
        Self::of(stored, Reader::Tenant)
    }

    /// Whom its tokens are for (`aud`).
    pub fn audience(&self) -> &str {
        let otherwise = if self.url.is_empty() {
            &self.name
        } else {
            &self.url
        };
        self.settings.audience.as_ref().unwrap_or(otherwise)
    }
}

/// A receiver that was just added, and what its owner has to know.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Added {
    /// The receiver.
    #[serde(flatten)]
    pub receiver: Receiver,
    /// Its secret, where it was made here; only in this answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Where its tokens come from (`iss`); absent for a webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Where the keys are with which its tokens are signed; absent for a webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Whom its tokens are for (`aud`); absent for a webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Where it polls; only for one that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_url: Option<String>,
}

/// What of a receiver shall be otherwise.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// `live`, or `paused`: events wait.
    #[schema(value_type = String)]
    pub state: ReceiverState,
}

/// How a secret shall be changed.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct SecretRotation {
    /// How long the old secret counts beside the new one, in hours; without it, 24.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_hours: Option<u32>,
    /// Of a push receiver: the bearer token that it wants from us from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// A secret that was changed.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewSecret {
    /// The name of the receiver.
    pub name: String,
    /// Until when the old secret counts.
    #[schema(value_type = String)]
    pub old_secret_until: Timestamp,
    /// The new secret, where it was made here; only in this answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// What a receiver said to a message that is about no resource.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tested {
    /// What came of it.
    pub outcome: TestOutcome,
    /// What went wrong; empty where nothing did. Only operators read what the other side said.
    pub why: String,
    /// When it last took something.
    #[schema(value_type = Option<String>)]
    pub last_delivered: Option<Timestamp>,
}

/// What came of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TestOutcome {
    /// It took the message.
    Taken,
    /// It did not take the message now, or could not be reached.
    Later,
    /// It will never take the message.
    Refused,
    /// Nothing was sent, because it fetches its events.
    NotSent,
}

/// A resource that is in a receiver's feed, or shall be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FeedMember {
    /// The type of the resource, such as `User`.
    pub resource_type: String,
    /// The id of the resource.
    pub id: String,
}

/// Whether a feed is another one now.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct FeedChanged {
    /// False where it was so before, or where there is no such resource.
    pub changed: bool,
}

/// All receivers that the caller may see, by name; never their secrets.
pub async fn list(
    on: &Administration,
    by: &Administrator,
) -> Result<Vec<Receiver>, DirectoryError> {
    by.may(&READ_RECEIVERS)?;
    let found = visible(on, by).await?;
    let shown = found.iter().map(|stored| Receiver::of(stored, reader(by)));
    Ok(shown.collect())
}

/// One receiver.
pub async fn show(
    on: &Administration,
    by: &Administrator,
    name: &str,
) -> Result<Receiver, DirectoryError> {
    by.may(&READ_RECEIVERS)?;
    Ok(Receiver::of(&find(on, by, name).await?, reader(by)))
}

/// Adds a receiver; the answer is the only one that shows its secret.
pub async fn add(
    on: &Administration,
    by: &Administrator,
    new: NewReceiver,
) -> Result<Added, DirectoryError> {
    by.may(&CREATE_RECEIVER)?;
    check(&new.name, new.kind, &new.url, &new.settings).map_err(|(path, sentence)| {
        refusal(path, format!("`{path}` is not acceptable: {sentence}"))
    })?;
    by.caller.may_give_types(new.settings.types())?;
    by.caller.may_give_for_good()?;
    let (secret, made) = match secret(on, new.kind, new.token)? {
        NextSecret::Made(text) => (Some(Secret::new(text.clone())), Some(text)),
        NextSecret::Given(secret) => (Some(secret), None),
        NextSecret::None => (None, None),
    };
    if new.kind != ReceiverKind::Poll {
        may_be_reached(on, by, "url", &new.url).await?;
    }
    let tenant = &by.caller.tenant;
    let there = on.events.receivers.list_receivers(tenant.id).await?;
    has_room(there.len(), on.options.partners_max, "receivers")?;
    let at = on.clock.now();
    let after = Receiver {
        name: new.name.clone(),
        kind: new.kind,
        url: new.url.clone(),
        state: ReceiverState::Live,
        settings: new.settings.clone(),
        created: at,
        attempts: 0,
        due: None,
        last_error: String::new(),
        last_delivered: None,
        secret_changes_until: None,
    };
    let entry = by.entry(&CREATE_RECEIVER, &new.name, at, NOTHING, Some(&after));
    let stored = New {
        name: new.name,
        kind: new.kind,
        url: new.url,
        settings: new.settings,
        secrets: Secrets::new(secret),
        from_oldest: new.from_oldest,
        at,
    };
    let added = on
        .events
        .receivers
        .add_receiver(tenant.id, stored, entry)
        .await?;
    let added = added.ok_or_else(|| {
        let detail = format!("There is a receiver `{}` already.", after.name);
        Error::new(ErrorKind::Conflict, detail).at("name")
    })?;
    Ok(introduced(on, by, Receiver::of(&added, reader(by)), made))
}

/// A new receiver with what its owner has to know of this server.
fn introduced(
    on: &Administration,
    by: &Administrator,
    receiver: Receiver,
    secret: Option<String>,
) -> Added {
    let issuer = on.events.delivery.issuer(&by.caller.tenant.name);
    let with_tokens = receiver.kind != ReceiverKind::Webhook;
    let polls = receiver.kind == ReceiverKind::Poll;
    Added {
        secret,
        jwks_uri: with_tokens.then(|| format!("{issuer}/.well-known/jwks.json")),
        audience: with_tokens.then(|| receiver.audience().to_owned()),
        poll_url: polls.then(|| format!("{issuer}/receivers/{}/poll", receiver.name)),
        issuer: with_tokens.then_some(issuer),
        receiver,
    }
}

/// Pauses a receiver, or tells it again; the wait after a failed attempt ends.
pub async fn change(
    on: &Administration,
    by: &Administrator,
    name: &str,
    change: Change,
) -> Result<Receiver, DirectoryError> {
    by.may(&CHANGE_RECEIVER)?;
    let stored = find(on, by, name).await?;
    let before = Receiver::logged(&stored);
    let after = Receiver {
        state: change.state,
        attempts: 0,
        due: None,
        ..before.clone()
    };
    let at = on.clock.now();
    let entry = by.entry(&CHANGE_RECEIVER, name, at, Some(&before), Some(&after));
    let (tenant, receivers) = (by.caller.tenant.id, &on.events.receivers);
    receivers
        .set_receiver_state(tenant, stored.id, change.state, entry)
        .await?;
    Ok(Receiver::of(&find(on, by, name).await?, reader(by)))
}

/// Forgets a receiver and everything that waits for it.
pub async fn remove(
    on: &Administration,
    by: &Administrator,
    name: &str,
) -> Result<(), DirectoryError> {
    by.may(&REMOVE_RECEIVER)?;
    let stored = find(on, by, name).await?;
    let before = Receiver::logged(&stored);
    let at = on.clock.now();
    let entry = by.entry(&REMOVE_RECEIVER, name, at, Some(&before), NOTHING);
    let (tenant, receivers) = (by.caller.tenant.id, &on.events.receivers);
    if receivers.remove_receiver(tenant, stored.id, entry).await? {
        return Ok(());
    }
    Err(missing(name).into())
}

/// Changes the secret of a receiver; the old one counts a while longer. The answer is the only one that shows a secret that was made here.
pub async fn rotate_secret(
    on: &Administration,
    by: &Administrator,
    name: &str,
    rotation: SecretRotation,
) -> Result<NewSecret, DirectoryError> {
    by.may(&ROTATE_RECEIVER_SECRET)?;
    let stored = find(on, by, name).await?;
    by.caller.may_give_for_good()?;
    let hours = rotation.overlap_hours.unwrap_or(OVERLAP_HOURS);
    if hours > OVERLAP_HOURS_MAX {
        let detail =
            format!("`overlapHours` is {hours}; accepted are 0 to {OVERLAP_HOURS_MAX} hours.");
        return Err(refusal("overlapHours", detail).into());
    }
    let (secret, made) = match secret(on, stored.kind, rotation.token)? {
        NextSecret::Made(text) => (Secret::new(text.clone()), Some(text)),
        NextSecret::Given(secret) => (secret, None),
        NextSecret::None => {
            let detail = "A push receiver says itself which token it wants, so `token` has to hold that token.";
            return Err(refusal("token", detail.into()).into());
        }
    };
    let at = on.clock.now();
    let until = at
        .checked_add(SignedDuration::from_hours(i64::from(hours)))
        .unwrap_or(Timestamp::MAX);
    let before = Receiver::logged(&stored);
    let after = Receiver {
        secret_changes_until: Some(until),
        ..before.clone()
    };
    let operation = &ROTATE_RECEIVER_SECRET;
    let entry = by.entry(operation, name, at, Some(&before), Some(&after));
    let secrets = stored.secrets.rotated(secret, until);
    let (tenant, receivers) = (by.caller.tenant.id, &on.events.receivers);
    if receivers
        .set_receiver_secrets(tenant, stored.id, secrets, entry)
        .await?
    {
        return Ok(NewSecret {
            name: stored.name,
            old_secret_until: until,
            secret: made,
        });
    }
    Err(missing(name).into())
}

/// Sends a receiver a message that is about no resource; nothing of it is kept.
pub async fn test(
    on: &Administration,
    by: &Administrator,
    name: &str,
) -> Result<Tested, DirectoryError> {
    by.may(&TEST_RECEIVER)?;
    let stored = find(on, by, name).await?;
    let (outcome, why) = if stored.kind == ReceiverKind::Poll {
        (TestOutcome::NotSent, String::new())
    } else {
        match on.events.delivery.test(&stored).await? {
            Reception::Taken => (TestOutcome::Taken, String::new()),
            Reception::Later { why, .. } => (TestOutcome::Later, why),
            Reception::Refused { why } | Reception::Gone { why } => (TestOutcome::Refused, why),
        }
    };
    Ok(Tested {
        outcome,
        why: reader(by).sees(&why),
        last_delivered: stored.last_delivered,
    })
}

/// Adds a resource to the feed of a receiver that is told of chosen resources only.
pub async fn add_to_feed(
    on: &Administration,
    by: &Administrator,
    name: &str,
    member: FeedMember,
) -> Result<FeedChanged, DirectoryError> {
    choose(on, by, name, member, true, &ADD_TO_FEED).await
}

/// Takes a resource out of such a feed.
pub async fn remove_from_feed(
    on: &Administration,
    by: &Administrator,
    name: &str,
    member: FeedMember,
) -> Result<FeedChanged, DirectoryError> {
    choose(on, by, name, member, false, &REMOVE_FROM_FEED).await
}

async fn choose(
    on: &Administration,
    by: &Administrator,
    name: &str,
    member: FeedMember,
    chosen: bool,
    operation: &Operation,
) -> Result<FeedChanged, DirectoryError> {
    by.may(operation)?;
    let stored = find(on, by, name).await?;
    // The answer tells whether there is such a resource.
    by.caller.is_for(&member.resource_type)?;
    let at = on.clock.now();
    let entry = match chosen {
        true => by.entry(operation, name, at, NOTHING, Some(&member)),
        false => by.entry(operation, name, at, Some(&member), NOTHING),
    };
    let choice = Choice {
        resource_type: member.resource_type,
        resource_id: member.id,
        chosen,
        change_id: on.ids.id(),
        at,
    };
    let receivers = &on.events.receivers;
    let changed = receivers.choose(&stored, choice, entry).await?;
    Ok(FeedChanged { changed })
}

/// What a receiver's next secret is.
enum NextSecret {
    /// It was made here, and has to be shown.
    Made(String),
    /// A push receiver's token, as it was given.
    Given(Secret),
    /// A push receiver that wants no token.
    None,
}

fn secret(
    on: &Administration,
    kind: ReceiverKind,
    token: Option<String>,
) -> Result<NextSecret, Error> {
    match (kind, token) {
        (ReceiverKind::Push, None) => Ok(NextSecret::None),
        (ReceiverKind::Push, Some(token)) if is_bearer_token(&token) => {
            Ok(NextSecret::Given(Secret::new(token)))
        }
        (ReceiverKind::Push, Some(_)) => {
            let detail = "`token` cannot be sent: accepted is one word of letters, digits and signs of ASCII.";
            Err(refusal("token", detail.into()))
        }
        (_, Some(_)) => {
            let detail =
                "`token` belongs to a push receiver; the others get a secret that is made here.";
            Err(refusal("token", detail.into()))
        }
        (ReceiverKind::Webhook, None) => {
            Ok(NextSecret::Made(webhook_secret_text(&on.ids.secret())))
        }
        (ReceiverKind::Poll, None) => Ok(NextSecret::Made(token_text(&on.ids.secret()))),
    }
}

/// Only operators read what the other side answered: it could come from a network that is not the tenant's.
pub(crate) fn reader(by: &Administrator) -> Reader {
    if by.caller.permissions.has(Scope::Operator) {
        Reader::Operator
    } else {
        Reader::Tenant
    }
}

/// Those receivers that are told of nothing but what the caller's credential is for; the others are not there for it.
async fn visible(on: &Administration, by: &Administrator) -> Result<Vec<Stored>, DirectoryError> {
    let receivers = &on.events.receivers;
    let mut found = receivers.list_receivers(by.caller.tenant.id).await?;
    found.retain(|stored| by.caller.may_give_types(stored.settings.types()).is_ok());
    Ok(found)
}

/// One of them, by name.
pub(crate) async fn find(
    on: &Administration,
    by: &Administrator,
    name: &str,
) -> Result<Stored, DirectoryError> {
    let mut found = visible(on, by).await?.into_iter();
    let named = found.find(|stored| stored.name == name);
    Ok(named.ok_or_else(|| missing(name))?)
}

fn missing(name: &str) -> Error {
    let detail = format!("There is no receiver `{name}`.");
    Error::new(ErrorKind::NotFound, detail)
}

fn refusal(path: &str, detail: String) -> Error {
    Error::new(ErrorKind::InvalidValue, detail).at(path)
}
