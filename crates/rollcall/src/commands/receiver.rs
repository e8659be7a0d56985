//! `rollcall receiver`: who is told of a tenant's changes. Sends nothing itself; the server does.

use std::path::{Path, PathBuf};

use administration::receivers::{
    Added, Change, FeedChanged, FeedMember, NewReceiver, NewSecret, Receiver, SecretRotation,
    TestOutcome, Tested,
};
use administration::undelivered::{Count, DeadLetter, Which};
use clap::{Args, Subcommand, ValueEnum};
use events::receiver::{Detail, ReceiverKind, ReceiverSettings, ReceiverState};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::admin_client::{AdminClient, Destination, Request};
use crate::commands::application::read_token;
use crate::commands::{Named, TenantArgument};
use crate::failure::{Exit, Failure};
use crate::operations::{
    ADD_RECEIVER, ADD_TO_FEED, CHANGE_RECEIVER, DISCARD, LIST_RECEIVERS, LIST_UNDELIVERED,
    Operation, REDELIVER, REMOVE_FROM_FEED, REMOVE_RECEIVER, ROTATE_RECEIVER_SECRET, SHOW_RECEIVER,
    TEST_RECEIVER,
};
use crate::output::{Output, instant, instant_or};

/// `rollcall receiver ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Add a receiver and print its secret, once; it is told of every change from now on
    #[command(
        after_help = "Examples:\n  rollcall receiver add shop --kind webhook --url https://shop.example.com/hooks/people\n  \
        rollcall receiver add siem --kind poll --detail notice"
    )]
    Add(Add),
    /// List receivers
    List(TenantArgument),
    /// Show one receiver: how far it is, and why the last attempt failed
    Show(Named),
    /// Send a message that is about no resource, and say in plain words what came back
    Test(Named),
    /// Stop telling a receiver; events wait
    Pause(Named),
    /// Tell a receiver again, what waited first
    Resume(Named),
    /// Forget a receiver and everything that waits for it
    Remove(Named),
    /// Make a new secret and print it, once; the old one counts a while longer
    RotateSecret(RotateSecret),
    /// The dead letters: events that could not be delivered
    DeadLetters(Named),
    /// Deliver events of the dead-letter list again
    Redeliver(Chosen),
    /// Forget events of the dead-letter list
    Discard(Chosen),
    /// Add a resource to the feed of a receiver that is told only of chosen ones
    FeedAdd(Member),
    /// Take a resource out of such a feed
    FeedRemove(Member),
}

/// How a receiver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// JSON is posted to it, signed (Standard Webhooks)
    Webhook,
    /// Security Event Tokens are posted to it (RFC 8935)
    Push,
    /// It fetches Security Event Tokens (RFC 8936)
    Poll,
}

/// How much a receiver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HowMuch {
    /// The resource too
    Full,
    /// What changed, without any value
    Notice,
}

/// `rollcall receiver add`
#[derive(Args, Debug)]
pub struct Add {
    /// What it is to be called here
    name: String,
    #[command(flatten)]
    tenant: TenantArgument,
    /// How it is told
    #[arg(long, value_enum)]
    kind: Kind,
    /// Where it listens; none for one that polls
    #[arg(long, value_name = "URL", default_value = "")]
    url: String,
    /// How much it is told
    #[arg(long, value_enum, default_value_t = HowMuch::Full)]
    detail: HowMuch,
    /// A resource type it is told of; may be repeated [default: all]
    #[arg(long, value_name = "TYPE")]
    resource_type: Vec<String>,
    /// Tell it only of resources that `feed-add` names
    #[arg(long)]
    chosen_only: bool,
    /// Whom its tokens are for (`aud`) [default: its URL, or its name]
    #[arg(long, value_name = "TEXT")]
    audience: Option<String>,
    /// How often an event is sent before it becomes a dead letter
    #[arg(long, value_name = "N", default_value_t = 16)]
    attempts_max: u32,
    /// Most events in one request to a webhook
    #[arg(long, value_name = "N", default_value_t = 50)]
    batch_max: u32,
    /// Tell it of everything that the change log still holds, too
    #[arg(long)]
    from_oldest: bool,
    /// Of a push receiver: a file that holds the bearer token it wants from us
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// `rollcall receiver rotate-secret`
#[derive(Args, Debug)]
pub struct RotateSecret {
    #[command(flatten)]
    named: Named,
    /// How long the old secret counts beside the new one
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=8_760))]
    overlap_hours: u32,
    /// Of a push receiver: a file that holds the bearer token it wants from us from now on
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Events of the dead-letter list.
#[derive(Args, Debug)]
pub struct Chosen {
    #[command(flatten)]
    named: Named,
    /// One event, as `rollcall receiver dead-letters` numbers it; all without it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    sequence: Option<i64>,
}

/// A resource and a receiver.
#[derive(Args, Debug)]
pub struct Member {
    #[command(flatten)]
    named: Named,
    /// The resource's id
    id: String,
    /// Its type
    #[arg(long, value_name = "TYPE", default_value = "User")]
    resource_type: String,
}

/// Runs it.
pub async fn run(
    command: Command,
    destination: &Destination<'_>,
    output: Output,
) -> Result<(), Failure> {
    let client = &destination.open().await?;
    match command {
        Command::Add(arguments) => add(client, arguments, output).await,
        Command::List(argument) => list(client, &argument.tenant, output).await,
        Command::Show(named) => {
            let receiver = answer(client.request(&SHOW_RECEIVER, &named.path())).await?;
            show(&receiver, output);
            Ok(())
        }
        Command::Test(named) => test(client, &named, output).await,
        Command::Pause(named) => set_state(client, &named, ReceiverState::Paused, output).await,
        Command::Resume(named) => set_state(client, &named, ReceiverState::Live, output).await,
        Command::Remove(named) => {
            let request = client.request(&REMOVE_RECEIVER, &named.path());
            request.done().await.map_err(hinted)?;
            output.say(
                format!("Receiver {} is forgotten.", named.name),
                &json!({ "name": named.name, "state": "removed" }),
            );
            Ok(())
        }
        Command::RotateSecret(arguments) => rotate_secret(client, arguments, output).await,
        Command::DeadLetters(named) => list_undelivered(client, &named, output).await,
        Command::Redeliver(chosen) => {
            let count = count(client, &REDELIVER, &chosen).await?;
            output.say(
                format!("{count} will be delivered again."),
                &json!({ "redelivered": count }),
            );
            Ok(())
        }
        Command::Discard(chosen) => {
            let count = count(client, &DISCARD, &chosen).await?;
            output.say(
                format!("{count} are forgotten."),
                &json!({ "discarded": count }),
            );
            Ok(())
        }
        Command::FeedAdd(member) => choose(client, &ADD_TO_FEED, member, output).await,
        Command::FeedRemove(member) => choose(client, &REMOVE_FROM_FEED, member, output).await,
    }
}

async fn answer<T: DeserializeOwned>(request: Request<'_>) -> Result<T, Failure> {
    request.answer().await.map_err(hinted)
}

/// What helps where a receiver is not there.
fn hinted(failure: Failure) -> Failure {
    match failure.exit {
        Exit::NotFound => failure.hint("`rollcall receiver list` shows those that are there"),
        _ => failure,
    }
}

async fn add(client: &AdminClient, arguments: Add, output: Output) -> Result<(), Failure> {
    let tenant = &arguments.tenant.tenant;
    let kind = match arguments.kind {
        Kind::Webhook => ReceiverKind::Webhook,
        Kind::Push => ReceiverKind::Push,
        Kind::Poll => ReceiverKind::Poll,
    };
    let detail = match arguments.detail {
        HowMuch::Full => Detail::Full,
        HowMuch::Notice => Detail::Notice,
    };
    let new = NewReceiver {
        name: arguments.name,
        kind,
        url: arguments.url,
        settings: ReceiverSettings {
            detail,
            resource_types: arguments.resource_type,
            chosen_only: arguments.chosen_only,
            audience: arguments.audience,
            attempts_max: arguments.attempts_max,
            batch_max: arguments.batch_max,
        },
        token: token(kind, arguments.token_file.as_deref())?,
        from_oldest: arguments.from_oldest,
    };
    let request = client.request(&ADD_RECEIVER, &[tenant]).body(&new);
    let mut added: Added = request.answer().await?;
    if let Some(base) = client.given_url() {
        lead_through(&mut added, &format!("{base}/t/{tenant}"));
    }
    say_added(client, &added, output);
    Ok(())
}

/// The URLs of a new receiver lead to the server by the way by which this command reached it. The issuer stays: it is what the tokens have.
fn lead_through(added: &mut Added, base: &str) {
    let issuer = added.issuer.clone().unwrap_or_default();
    for url in [&mut added.jwks_uri, &mut added.poll_url] {
        if let Some(below) = url.as_deref().and_then(|url| url.strip_prefix(&issuer)) {
            *url = Some(format!("{base}{below}"));
        }
    }
}

fn say_added(client: &AdminClient, added: &Added, output: Output) {
    let mut lines = vec![format!(
        "Receiver {} is added; `serve` tells it of every change from now on.",
        added.receiver.name
    )];
    let told = [
        ("secret (shown only now)", &added.secret),
        ("issuer", &added.issuer),
        ("keys", &added.jwks_uri),
        ("audience", &added.audience),
        ("poll at", &added.poll_url),
    ];
    for (label, text) in told {
        lines.extend(text.iter().map(|text| format!("  {label}: {text}")));
    }
    if let Some(address) = client.assumed_address().filter(|_| added.issuer.is_some()) {
        lines.push(format!(
            "No `serve` runs on this data folder and `public_url` is not set: the URLs above are right if `serve` listens on {address}."
        ));
    }
    output.say(lines.join("\n"), &json!(added));
}

/// The token that a push receiver wants, where a file holds it.
fn token(kind: ReceiverKind, file: Option<&Path>) -> Result<Option<String>, Failure> {
    if file.is_some() && kind != ReceiverKind::Push {
        return Err(Failure::usage(
            "--token-file belongs to a push receiver; the others get a secret that is made here",
        ));
    }
    file.map(read_token).transpose()
}

async fn list(client: &AdminClient, tenant: &str, output: Output) -> Result<(), Failure> {
    let request = client.request(&LIST_RECEIVERS, &[tenant]);
    let receivers: Vec<Receiver> = request.answer().await?;
    let row = |receiver: &Receiver| {
        vec![
            receiver.name.clone(),
            kind_name(receiver.kind).to_owned(),
            state_name(receiver.state).to_owned(),
            receiver.url.clone(),
            instant_or(receiver.last_delivered, "never"),
            receiver.last_error.clone(),
        ]
    };
    let headers = [
        "name",
        "kind",
        "state",
        "url",
        "last delivered",
        "last error",
    ];
    output.table(
        &headers,
        receivers.iter().map(row).collect(),
        "No receivers. Add one:\n  rollcall receiver add NAME --kind webhook --url URL",
        &json!(receivers),
    );
    Ok(())
}

fn show(receiver: &Receiver, output: Output) {
    let settings = &receiver.settings;
    let types = if settings.resource_types.is_empty() {
        "all".to_owned()
    } else {
        settings.resource_types.join(", ")
    };
    let detail = match settings.detail {
        Detail::Full => "full",
        Detail::Notice => "notice",
    };
    let rows = [
        ("name", receiver.name.clone()),
        ("kind", kind_name(receiver.kind).to_owned()),
        ("url", receiver.url.clone()),
        ("state", state_name(receiver.state).to_owned()),
        ("detail", detail.to_owned()),
        ("resource types", types),
        ("only chosen resources", settings.chosen_only.to_string()),
        ("audience", receiver.audience().to_owned()),
        ("attempts at the next event", receiver.attempts.to_string()),
        ("next attempt", instant_or(receiver.due, "at once")),
        ("last error", receiver.last_error.clone()),
        (
            "last delivered",
            instant_or(receiver.last_delivered, "never"),
        ),
        ("added", instant(receiver.created)),
    ];
    let rows = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    output.table(&["setting", "value"], rows, "", &json!(receiver));
}

async fn test(client: &AdminClient, named: &Named, output: Output) -> Result<(), Failure> {
    let name = &named.name;
    let tested: Tested = answer(client.request(&TEST_RECEIVER, &named.path())).await?;
    match tested.outcome {
        TestOutcome::NotSent => {
            let last = instant_or(tested.last_delivered, "never");
            output.say(
                format!("{name} comes to us; it was last here: {last}."),
                &json!({ "name": name, "lastDelivered": last }),
            );
            Ok(())
        }
        TestOutcome::Taken => {
            output.say(
                format!("{name} took the message."),
                &json!({ "name": name, "taken": true }),
            );
            Ok(())
        }
        TestOutcome::Later => Err(Failure::unreachable(format!(
            "{name} did not take the message: {}",
            tested.why
        ))),
        TestOutcome::Refused => Err(Failure::failed(format!(
            "{name} refuses the message: {}",
            tested.why
        ))),
    }
}

async fn set_state(
    client: &AdminClient,
    named: &Named,
    state: ReceiverState,
    output: Output,
) -> Result<(), Failure> {
    let request = client.request(&CHANGE_RECEIVER, &named.path());
    let receiver: Receiver = answer(request.body(&Change { state })).await?;
    let text = match state {
        ReceiverState::Live => format!("Receiver {} is told again.", receiver.name),
        ReceiverState::Paused => format!("Receiver {} is paused; events wait.", receiver.name),
    };
    output.say(text, &json!({ "name": receiver.name, "state": state }));
    Ok(())
}

async fn rotate_secret(
    client: &AdminClient,
    arguments: RotateSecret,
    output: Output,
) -> Result<(), Failure> {
    let path = arguments.named.path();
    let receiver: Receiver = answer(client.request(&SHOW_RECEIVER, &path)).await?;
    let token = token(receiver.kind, arguments.token_file.as_deref())?;
    if receiver.kind == ReceiverKind::Push && token.is_none() {
        return Err(Failure::usage(
            "a push receiver says itself which token it wants; give it with --token-file",
        ));
    }
    let rotation = SecretRotation {
        overlap_hours: Some(arguments.overlap_hours),
        token,
    };
    let request = client.request(&ROTATE_RECEIVER_SECRET, &path);
    let new: NewSecret = answer(request.body(&rotation)).await?;
    let mut text = format!(
        "Receiver {} has a new secret; the old one counts until {}.",
        new.name,
        instant(new.old_secret_until)
    );
    if let Some(secret) = &new.secret {
        text = format!("{text}\n  secret (shown only now): {secret}");
    }
    output.say(text, &json!(new));
    Ok(())
}

async fn list_undelivered(
    client: &AdminClient,
    named: &Named,
    output: Output,
) -> Result<(), Failure> {
    let request = client.request(&LIST_UNDELIVERED, &named.path());
    let letters: Vec<DeadLetter> = answer(request).await?;
    output.table(
        &["sequence", "happened", "resource", "attempts", "error"],
        letters.iter().map(letter_row).collect(),
        "The dead-letter list is empty: everything was delivered, or is on its way.",
        &json!(letters),
    );
    Ok(())
}

fn letter_row(letter: &DeadLetter) -> Vec<String> {
    let text = |name: &str| {
        let value = letter.event.get(name).and_then(Value::as_str);
        value.unwrap_or_default()
    };
    let at: Option<Timestamp> = text("at").parse().ok();
    vec![
        letter.sequence.to_string(),
        instant_or(at, "-"),
        format!("{} {}", text("resourceType"), text("resourceId")),
        letter.attempts.to_string(),
        letter.error.clone(),
    ]
}

async fn count(
    client: &AdminClient,
    operation: &Operation,
    chosen: &Chosen,
) -> Result<u64, Failure> {
    let which = Which {
        sequence: chosen.sequence,
    };
    let request = client.request(operation, &chosen.named.path());
    let count: Count = answer(request.body(&which)).await?;
    Ok(count.count)
}

async fn choose(
    client: &AdminClient,
    operation: &Operation,
    member: Member,
    output: Output,
) -> Result<(), Failure> {
    let Member {
        named,
        id,
        resource_type,
    } = member;
    let body = FeedMember { resource_type, id };
    let request = client.request(operation, &named.path()).body(&body);
    let FeedChanged { changed } = answer(request).await?;
    let (name, id) = (&named.name, &body.id);
    let chosen = operation.path == ADD_TO_FEED.path;
    let text = match (changed, chosen) {
        (true, true) => format!("{name} is told of {id} from now on."),
        (true, false) => format!("{name} is no longer told of {id}."),
        (false, true) => {
            format!("Nothing changed: {id} is in the feed already, or there is no such resource.")
        }
        (false, false) => format!("Nothing changed: {id} is not in the feed."),
    };
    output.say(
        text,
        &json!({ "receiver": name, "id": id, "inFeed": chosen, "changed": changed }),
    );
    Ok(())
}

fn kind_name(kind: ReceiverKind) -> &'static str {
    match kind {
        ReceiverKind::Webhook => "webhook",
        ReceiverKind::Push => "push",
        ReceiverKind::Poll => "poll",
    }
}

fn state_name(state: ReceiverState) -> &'static str {
    match state {
        ReceiverState::Live => "live",
        ReceiverState::Paused => "paused",
    }
}
