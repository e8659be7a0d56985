//! Routes of the receivers of a tenant's changes, and of their dead-letter lists. What they mean is in `administration`'s `receivers.rs` and `undelivered.rs`.

use administration::receivers::{
    self, Added, Change, FeedChanged, FeedMember, NewReceiver, NewSecret, Receiver, SecretRotation,
    Tested,
};
use administration::undelivered::{self, Count, DeadLetter, Which};
use http::StatusCode;

use super::administrator::{Acting, Refused, Reply};
use super::body::{Given, GivenOrDefault, Parameters};

/// All receivers, by name; never their secrets.
#[utoipa::path(get, path = "/receivers", tag = "receivers", params(("tenant" = String, Path)), responses((status = 200, body = Vec<Receiver>)))]
pub(crate) async fn list(at: Acting) -> Reply<Vec<Receiver>> {
    let found = receivers::list(&at.administration, &at.administrator).await;
    at.reply(StatusCode::OK, found)
}

/// Adds a receiver; the answer is the only one that shows its secret.
#[utoipa::path(post, path = "/receivers", tag = "receivers", params(("tenant" = String, Path)), request_body = NewReceiver,
    responses((status = 201, body = Added), (status = 400), (status = 409)))]
pub(crate) async fn create(at: Acting, Given(new): Given<NewReceiver>) -> Reply<Added> {
    let added = receivers::add(&at.administration, &at.administrator, new).await;
    at.reply(StatusCode::CREATED, added)
}

/// One receiver.
#[utoipa::path(get, path = "/receivers/{name}", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Receiver), (status = 404)))]
pub(crate) async fn show(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Reply<Receiver> {
    let found = receivers::show(&at.administration, &at.administrator, &name).await;
    at.reply(StatusCode::OK, found)
}

/// Pauses a receiver, or tells it again.
#[utoipa::path(patch, path = "/receivers/{name}", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)), request_body = Change,
    responses((status = 200, body = Receiver), (status = 404)))]
pub(crate) async fn change(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
    Given(change): Given<Change>,
) -> Reply<Receiver> {
    let changed = receivers::change(&at.administration, &at.administrator, &name, change).await;
    at.reply(StatusCode::OK, changed)
}

/// Forgets a receiver and everything that waits for it.
#[utoipa::path(delete, path = "/receivers/{name}", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404)))]
pub(crate) async fn remove(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Result<StatusCode, Refused> {
    at.done(receivers::remove(&at.administration, &at.administrator, &name).await)
}

/// Changes the secret; the old one counts a while longer. The answer is the only one that shows a secret that was made here.
#[utoipa::path(post, path = "/receivers/{name}/secret", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)),
    request_body = Option<SecretRotation>, responses((status = 200, body = NewSecret), (status = 400), (status = 404)))]
pub(crate) async fn rotate_secret(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
    GivenOrDefault(rotation): GivenOrDefault<SecretRotation>,
) -> Reply<NewSecret> {
    let (on, by) = (&at.administration, &at.administrator);
    let rotated = receivers::rotate_secret(on, by, &name, rotation).await;
    at.reply(StatusCode::OK, rotated)
}

/// Sends the receiver a message that is about no resource, and says what came back.
#[utoipa::path(post, path = "/receivers/{name}/test", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Tested), (status = 404)))]
pub(crate) async fn test(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Reply<Tested> {
    let tested = receivers::test(&at.administration, &at.administrator, &name).await;
    at.reply(StatusCode::OK, tested)
}

/// Adds a resource to the feed of a receiver that is told of chosen resources only.
#[utoipa::path(post, path = "/receivers/{name}/feed/add", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)),
    request_body = FeedMember, responses((status = 200, body = FeedChanged), (status = 404)))]
pub(crate) async fn add_to_feed(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
    Given(member): Given<FeedMember>,
) -> Reply<FeedChanged> {
    let (on, by) = (&at.administration, &at.administrator);
    let changed = receivers::add_to_feed(on, by, &name, member).await;
    at.reply(StatusCode::OK, changed)
}

/// Takes a resource out of such a feed.
#[utoipa::path(post, path = "/receivers/{name}/feed/remove", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)),
    request_body = FeedMember, responses((status = 200, body = FeedChanged), (status = 404)))]
pub(crate) async fn remove_from_feed(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
    Given(member): Given<FeedMember>,
) -> Reply<FeedChanged> {
    let (on, by) = (&at.administration, &at.administrator);
    let changed = receivers::remove_from_feed(on, by, &name, member).await;
    at.reply(StatusCode::OK, changed)
}

/// The dead letters, oldest first: events that could not be delivered.
#[utoipa::path(get, path = "/receivers/{name}/dead-letters", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Vec<DeadLetter>), (status = 404)))]
pub(crate) async fn undelivered(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
) -> Reply<Vec<DeadLetter>> {
    let found = undelivered::list(&at.administration, &at.administrator, &name).await;
    at.reply(StatusCode::OK, found)
}

/// Delivers events of the dead-letter list again.
#[utoipa::path(post, path = "/receivers/{name}/dead-letters/redeliver", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)),
    request_body = Which, responses((status = 200, body = Count), (status = 400), (status = 404)))]
pub(crate) async fn redeliver(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
    Given(which): Given<Which>,
) -> Reply<Count> {
    let (on, by) = (&at.administration, &at.administrator);
    let counted = undelivered::redeliver(on, by, &name, which).await;
    at.reply(StatusCode::OK, counted)
}

/// Forgets events of the dead-letter list.
#[utoipa::path(post, path = "/receivers/{name}/dead-letters/discard", tag = "receivers", params(("tenant" = String, Path), ("name" = String, Path)),
    request_body = Which, responses((status = 200, body = Count), (status = 400), (status = 404)))]
pub(crate) async fn discard(
    at: Acting,
    Parameters((_, name)): Parameters<(String, String)>,
    Given(which): Given<Which>,
) -> Reply<Count> {
    let (on, by) = (&at.administration, &at.administrator);
    let counted = undelivered::discard(on, by, &name, which).await;
    at.reply(StatusCode::OK, counted)
}
