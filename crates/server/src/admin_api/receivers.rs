//! Receivers of a tenant's changes, their dead letters, and the keys with which tokens are signed. Secrets are shown once.

use administration::administration::has_room;
use std::sync::Arc;

use access::credential::token_text;
use axum::extract::State as Extract;
use directory::access::{Caller, Scope};
use directory::secret::{Secret, is_bearer_token};
use events::event_log::NewReceiver;
use events::receiver::webhook_secret_text;
use events::receiver::{
    Reader, Receiver, ReceiverKind, ReceiverSettings, ReceiverState, Secrets, UndeliveredState,
    check,
};
use http::StatusCode;
use jiff::SignedDuration;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::administrator::{Administrator, Refuse, Refused};
use super::body::{Answer, Given, Parameters};
use crate::refusal::Failure;
use crate::state::{Events, State};

/// Most events that are listed at once.
const LISTED_MAX: usize = 1_000;
/// How long an old secret counts beside the new one, in hours.
const OVERLAP_HOURS: i64 = 24;

/// What a new receiver shall be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewReceiverBody {
    /// Its name in URLs: lower-case letters, digits and hyphens.
    name: String,
    /// `webhook`, `push` or `poll`.
    #[schema(value_type = String)]
    kind: ReceiverKind,
    /// Where it listens; none for one that polls.
    #[serde(default)]
    url: String,
    /// What it wants; each setting has a default.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: ReceiverSettings,
    /// Of a push receiver: the bearer token it wants from us.
    token: Option<String>,
    /// Whether it is told of everything that the log still holds, too.
    #[serde(default)]
    from_oldest: bool,
}

/// What shall change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateBody {
    /// `live` or `paused`.
    #[schema(value_type = String)]
    state: ReceiverState,
}

/// A secret, the only time it is shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownSecret {
    secret: String,
}

/// Which events.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Which {
    /// One event; all without it.
    sequence: Option<i64>,
}

/// How many it were.
#[derive(Serialize, ToSchema)]
pub(crate) struct Count {
    count: u64,
}

/// How keys are changed.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Rotation {
    /// Whether the old keys may be in wrong hands: then they are taken back at once.
    distrust_old: bool,
}

fn events(state: &State) -> Result<&Events, Error> {
    state.events().ok_or_else(|| {
        Error::new(
            ErrorKind::NotImplemented,
            "This server does not tell of changes.",
        )
    })
}

/// Those receivers that are told of nothing but what the caller's credential is for; others are not there for it.
async fn receivers(state: &State, caller: &Caller) -> Result<Vec<Receiver>, Failure> {
    let mut receivers = events(state)?
        .receivers
        .list_receivers(caller.tenant.id)
        .await?;
    receivers.retain(|receiver| caller.may_give_types(receiver.settings.types()).is_ok());
    Ok(receivers)
}

/// What the other side answered is shown to operators only.
fn reader(caller: &Caller) -> Reader {
    if caller.requires(Scope::Operator).is_ok() {
        Reader::Operator
    } else {
        Reader::Tenant
    }
}

async fn find(state: &State, caller: &Caller, name: &str) -> Result<Receiver, Failure> {
    let found = receivers(state, caller)
        .await?
        .into_iter()
        .find(|receiver| receiver.name == name);
    Ok(found.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("There is no receiver `{name}`."),
        )
    })?)
}

/// All receivers, by name; never their secrets.
#[utoipa::path(get, path = "/receivers", tag = "receivers", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Object>)))]
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
) -> Result<Answer<Vec<Value>>, Refused> {
    let listed = receivers(&state, &caller)
        .await
        .map_err(|failure| refuse.with(failure))?;
    Ok(Answer(
        StatusCode::OK,
        listed
            .iter()
            .map(|receiver| receiver.to_json(reader(&caller)))
            .collect(),
    ))
}

/// Adds a receiver; the answer is the only one that shows its secret.
#[utoipa::path(post, path = "/receivers", tag = "receivers", params(("tenant" = String, Path)), request_body = NewReceiverBody, responses((status = 201, body = Object), (status = 409)))]
pub(crate) async fn create(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Given(new): Given<NewReceiverBody>,
) -> Result<Answer<Value>, Refused> {
    let created = add(&state, &caller, new)
        .await
        .map_err(|failure| refuse.with(failure))?;
    Ok(Answer(StatusCode::CREATED, created))
}

async fn add(state: &State, caller: &Caller, new: NewReceiverBody) -> Result<Value, Failure> {
    check(&new.name, new.kind, &new.url, &new.settings).map_err(|(path, sentence)| {
        Error::new(
            ErrorKind::InvalidValue,
            format!("`{path}` is not acceptable: {sentence}"),
        )
        .at(path)
    })?;
    caller.may_give_types(new.settings.types())?;
    caller.may_give_for_good()?;
    let refused = (new.kind != ReceiverKind::Poll)
        .then(|| events(state).map(|events| events.delivery.never(&new.url)))
        .transpose()?;
    if let Some(why) = refused.flatten() {
        let detail = format!(
            "`url` may not be reached: {why}. Accepted is a public address, or one that the operator of this server allows."
        );
        return Err(Error::new(ErrorKind::InvalidValue, detail).at("url").into());
    }
    let made = match new.kind {
        ReceiverKind::Push => None,
        ReceiverKind::Webhook => Some(webhook_secret_text(&state.ids.secret())),
        ReceiverKind::Poll => Some(token_text(&state.ids.secret())),
    };
    if new.token.is_some() && made.is_some() {
        let detail =
            "`token` belongs to a push receiver; the others get a secret that is made here.";
        return Err(Error::new(ErrorKind::InvalidValue, detail)
            .at("token")
            .into());
    }
    if new
        .token
        .as_deref()
        .is_some_and(|token| !is_bearer_token(token))
    {
        let detail =
            "`token` cannot be sent: accepted is one word of letters, digits and signs of ASCII.";
        return Err(Error::new(ErrorKind::InvalidValue, detail)
            .at("token")
            .into());
    }
    let there = events(state)?
        .receivers
        .list_receivers(caller.tenant.id)
        .await?
        .len();
    has_room(there, state.options.partners_max, "receivers")?;
    let secret = made.clone().or(new.token).map(Secret::new);
    let name = new.name.clone();
    let new = NewReceiver {
        name: new.name,
        kind: new.kind,
        url: new.url,
        settings: new.settings,
        secrets: Secrets::new(secret),
        from_oldest: new.from_oldest,
        at: state.clock.now(),
    };
    let Some(receiver) = events(state)?
        .receivers
        .add_receiver(caller.tenant.id, new)
        .await?
    else {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("There is a receiver `{name}` already."),
        )
        .at("name")
        .into());
    };
    let mut json = receiver.to_json(reader(caller));
    if let (Some(map), Some(secret)) = (json.as_object_mut(), made) {
        map.insert("secret".into(), secret.into());
    }
    Ok(json)
}

/// One receiver.
#[utoipa::path(get, path = "/receivers/{name}", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)), responses((status = 200, body = Object), (status = 404)))]
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Result<Answer<Value>, Refused> {
    let receiver = find(&state, &caller, &name)
        .await
        .map_err(|failure| refuse.with(failure))?;
    Ok(Answer(StatusCode::OK, receiver.to_json(reader(&caller))))
}

/// Pauses or resumes a receiver.
#[utoipa::path(patch, path = "/receivers/{name}", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)), request_body = StateBody, responses((status = 200, body = Object), (status = 404)))]
pub(crate) async fn change(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, name)): Parameters<(String, String)>,
    Given(body): Given<StateBody>,
) -> Result<Answer<Value>, Refused> {
    let changed = async {
        let receiver = find(&state, &caller, &name).await?;
        events(&state)?
            .receivers
            .set_receiver_state(caller.tenant.id, receiver.id, body.state)
            .await?;
        find(&state, &caller, &name).await
    };
    let receiver = changed.await.map_err(|failure| refuse.with(failure))?;
    Ok(Answer(StatusCode::OK, receiver.to_json(reader(&caller))))
}

/// Forgets a receiver and everything that waits for it.
#[utoipa::path(delete, path = "/receivers/{name}", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)), responses((status = 204), (status = 404)))]
pub(crate) async fn remove(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Result<StatusCode, Refused> {
    let removed = async {
        let receiver = find(&state, &caller, &name).await?;
        Ok::<_, Failure>(
            events(&state)?
                .receivers
                .remove_receiver(caller.tenant.id, receiver.id)
                .await?,
        )
    };
    removed.await.map_err(|failure| refuse.with(failure))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a new secret, which is shown only in this answer; the old one counts for a day.
#[utoipa::path(post, path = "/receivers/{name}/secret", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)), responses((status = 200, body = ShownSecret), (status = 404)))]
pub(crate) async fn rotate_secret(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Result<Answer<ShownSecret>, Refused> {
    let rotated = async {
        let receiver = find(&state, &caller, &name).await?;
        caller.may_give_for_good()?;
        let secret = match receiver.kind {
            ReceiverKind::Webhook => webhook_secret_text(&state.ids.secret()),
            ReceiverKind::Poll => token_text(&state.ids.secret()),
            ReceiverKind::Push => {
                return Err(Error::new(
                    ErrorKind::InvalidValue,
                    "A push receiver says itself which token it wants; add it anew.",
                )
                .into());
            }
        };
        let until = state
            .clock
            .now()
            .checked_add(SignedDuration::from_hours(OVERLAP_HOURS))
            .unwrap_or(jiff::Timestamp::MAX);
        let secrets = receiver.secrets.rotated(Secret::new(secret.clone()), until);
        events(&state)?
            .receivers
            .set_receiver_secrets(caller.tenant.id, receiver.id, secrets)
            .await?;
        Ok::<_, Failure>(ShownSecret { secret })
    };
    let shown = rotated.await.map_err(|failure| refuse.with(failure))?;
    Ok(Answer(StatusCode::OK, shown))
}

/// The dead letters of a receiver, oldest first.
#[utoipa::path(get, path = "/receivers/{name}/dead-letters", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)), responses((status = 200, body = Vec<Object>), (status = 404)))]
pub(crate) async fn list_dead_letters(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Result<Answer<Vec<Value>>, Refused> {
    let listed = async {
        let receiver = find(&state, &caller, &name).await?;
        Ok::<_, Failure>(
            events(&state)?
                .receivers
                .list_undelivered(
                    caller.tenant.id,
                    receiver.id,
                    UndeliveredState::DeadLetter,
                    LISTED_MAX,
                )
                .await?,
        )
    };
    let undelivered = listed.await.map_err(|failure| refuse.with(failure))?;
    Ok(Answer(
        StatusCode::OK,
        undelivered
            .iter()
            .map(|one| one.to_json(reader(&caller)))
            .collect(),
    ))
}

/// Delivers events of the dead-letter list again.
#[utoipa::path(post, path = "/receivers/{name}/dead-letters/redeliver", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)), request_body = Which, responses((status = 200, body = Count), (status = 404)))]
pub(crate) async fn redeliver(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, name)): Parameters<(String, String)>,
    Given(which): Given<Which>,
) -> Result<Answer<Count>, Refused> {
    let counted = async {
        let receiver = find(&state, &caller, &name).await?;
        Ok::<_, Failure>(
            events(&state)?
                .receivers
                .redeliver(caller.tenant.id, receiver.id, which.sequence)
                .await?,
        )
    };
    let count = counted.await.map_err(|failure| refuse.with(failure))?;
    Ok(Answer(StatusCode::OK, Count { count }))
}

/// Forgets events of the dead-letter list.
#[utoipa::path(post, path = "/receivers/{name}/dead-letters/discard", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)), request_body = Which, responses((status = 200, body = Count), (status = 404)))]
pub(crate) async fn discard(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Parameters((_, name)): Parameters<(String, String)>,
    Given(which): Given<Which>,
) -> Result<Answer<Count>, Refused> {
    let counted = async {
        let receiver = find(&state, &caller, &name).await?;
        Ok::<_, Failure>(
            events(&state)?
                .receivers
                .discard(caller.tenant.id, receiver.id, which.sequence)
                .await?,
        )
    };
    let count = counted.await.map_err(|failure| refuse.with(failure))?;
    Ok(Answer(StatusCode::OK, Count { count }))
}

/// Signs event tokens with a new key from now on; the public half.
#[utoipa::path(post, path = "/signing-keys", tag = "receivers", params(("tenant" = String, Path)), request_body = Rotation, responses((status = 201, body = Object)))]
pub(crate) async fn rotate_keys(
    Extract(state): Extract<Arc<State>>,
    Administrator(caller): Administrator,
    refuse: Refuse,
    Given(rotation): Given<Rotation>,
) -> Result<Answer<Value>, Refused> {
    let rotated = async {
        let keys = &events(&state)?.keys;
        Ok::<_, Failure>(
            keys.rotate_keys(caller.tenant.id, state.clock.now(), rotation.distrust_old)
                .await?,
        )
    };
    let key = rotated.await.map_err(|failure| refuse.with(failure))?;
    Ok(Answer(StatusCode::CREATED, key.public))
}
