//! `rollcall receiver`: who is told of a tenant's changes. Sends something only in `test`; everything else `serve` does.

use std::path::{Path, PathBuf};

use access::credential::token_text;
use clap::{Args, Subcommand, ValueEnum};
use directory::secret::Secret;
use directory::tenant::Tenant;
use events::event_log::{Choice, NewReceiver, Reception};
use events::receiver::webhook_secret_text;
use events::receiver::{
    Detail, Reader, Receiver, ReceiverKind, ReceiverSettings, ReceiverState, Secrets,
    UndeliveredState, check,
};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::commands::{Named, TenantArgument};
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::{Output, instant, instant_or};
use crate::serving_url;
use crate::wiring::{self, Missing, Rollcall};

/// Most events that are shown at once.
const SHOWN_MAX: usize = 1_000;

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
    /// Send a message that is about nobody, and say in plain words what came back
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
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    match command {
        Command::Add(arguments) => add(&rollcall, arguments, configuration, output).await,
        Command::List(argument) => list(&rollcall, &argument, output).await,
        Command::Show(named) => {
            let (_, receiver) = named.receiver(&rollcall).await?;
            show(&receiver, output);
            Ok(())
        }
        Command::Test(named) => test(&rollcall, &named, configuration, output).await,
        Command::Pause(named) => set_state(&rollcall, &named, ReceiverState::Paused, output).await,
        Command::Resume(named) => set_state(&rollcall, &named, ReceiverState::Live, output).await,
        Command::Remove(named) => {
            let (tenant, receiver) = named.receiver(&rollcall).await?;
            rollcall
                .store
                .receivers
                .remove_receiver(tenant.id, receiver.id)
                .await?;
            output.say(
                format!("Receiver {} is forgotten.", receiver.name),
                &json!({ "name": receiver.name, "state": "removed" }),
            );
            Ok(())
        }
        Command::RotateSecret(arguments) => rotate_secret(&rollcall, &arguments, output).await,
        Command::DeadLetters(named) => list_dead_letters(&rollcall, &named, output).await,
        Command::Redeliver(chosen) => {
            let (tenant, receiver) = chosen.named.receiver(&rollcall).await?;
            let count = rollcall
                .store
                .receivers
                .redeliver(tenant.id, receiver.id, chosen.sequence)
                .await?;
            output.say(
                format!("{count} will be delivered again."),
                &json!({ "redelivered": count }),
            );
            Ok(())
        }
        Command::Discard(chosen) => {
            let (tenant, receiver) = chosen.named.receiver(&rollcall).await?;
            let count = rollcall
                .store
                .receivers
                .discard(tenant.id, receiver.id, chosen.sequence)
                .await?;
            output.say(
                format!("{count} are forgotten."),
                &json!({ "discarded": count }),
            );
            Ok(())
        }
        Command::FeedAdd(member) => choose(&rollcall, member, true, output).await,
        Command::FeedRemove(member) => choose(&rollcall, member, false, output).await,
    }
}

impl Named {
    async fn receiver(&self, rollcall: &Rollcall) -> Result<(Tenant, Receiver), Failure> {
        let tenant = rollcall.tenant(&self.tenant.tenant).await?;
        let receivers = rollcall.store.receivers.list_receivers(tenant.id).await?;
        let found = receivers
            .into_iter()
            .find(|receiver| receiver.name == self.name);
        let receiver = found.ok_or_else(|| {
            Failure::not_found(format!(
                "there is no receiver `{}` in tenant {}",
                self.name, tenant.name
            ))
            .hint("`rollcall receiver list` shows those that are there")
        })?;
        Ok((tenant, receiver))
    }
}

async fn add(
    rollcall: &Rollcall,
    arguments: Add,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let tenant = rollcall.tenant(&arguments.tenant.tenant).await?;
    let kind = match arguments.kind {
        Kind::Webhook => ReceiverKind::Webhook,
        Kind::Push => ReceiverKind::Push,
        Kind::Poll => ReceiverKind::Poll,
    };
    let settings = ReceiverSettings {
        detail: if arguments.detail == HowMuch::Full {
            Detail::Full
        } else {
            Detail::Notice
        },
        resource_types: arguments.resource_type,
        chosen_only: arguments.chosen_only,
        audience: arguments.audience,
        attempts_max: arguments.attempts_max,
        batch_max: arguments.batch_max,
    };
    check(&arguments.name, kind, &arguments.url, &settings)
        .map_err(|(_, sentence)| Failure::refused(sentence))?;
    if kind != ReceiverKind::Poll {
        rollcall.event_delivery.check(&arguments.url).await?;
    }
    let secret = secret(rollcall, kind, arguments.token_file.as_deref())?;
    let new = NewReceiver {
        name: arguments.name.clone(),
        kind,
        url: arguments.url,
        settings,
        secrets: Secrets::new(secret.clone().map(|(secret, _)| secret)),
        from_oldest: arguments.from_oldest,
        at: rollcall.now(),
    };
    let added = rollcall
        .store
        .receivers
        .add_receiver(tenant.id, new)
        .await?;
    let receiver = added.ok_or_else(|| {
        Failure::conflict(format!("there is a receiver `{}` already", arguments.name))
    })?;
    let serving = serving_url::find(configuration);
    let base = format!("{}/t/{}", serving.url, tenant.name);
    let mut value = receiver.to_json(Reader::Operator);
    let mut lines = vec![format!(
        "Receiver {} is added; `serve` tells it of every change from now on.",
        receiver.name
    )];
    let mut add = |name: &str, label: &str, text: String| {
        lines.push(format!("  {label}: {text}"));
        if let Some(map) = value.as_object_mut() {
            map.insert(name.into(), text.into());
        }
    };
    if let Some((secret, true)) = secret {
        add(
            "secret",
            "secret (shown only now)",
            secret.reveal().to_owned(),
        );
    }
    if kind != ReceiverKind::Webhook {
        add("issuer", "issuer", base.clone());
        add("jwksUri", "keys", format!("{base}/.well-known/jwks.json"));
        add("audience", "audience", receiver.audience().to_owned());
    }
    if kind == ReceiverKind::Poll {
        add(
            "pollUrl",
            "poll at",
            format!("{base}/receivers/{}/poll", receiver.name),
        );
    }
    if kind != ReceiverKind::Webhook && serving.is_assumed {
        lines.push(format!(
            "No `serve` runs on this data folder and `public_url` is not set: the URLs above are right if `serve` listens on {}.",
            configuration.listen.value
        ));
    }
    output.say(lines.join("\n"), &value);
    Ok(())
}

/// The secret of a new receiver, and whether it was made here and has to be shown.
fn secret(
    rollcall: &Rollcall,
    kind: ReceiverKind,
    token_file: Option<&Path>,
) -> Result<Option<(Secret, bool)>, Failure> {
    match (kind, token_file) {
        (ReceiverKind::Push, Some(path)) => Ok(Some((
            Secret::new(super::application::read_token(path)?),
            false,
        ))),
        (ReceiverKind::Push, None) => Ok(None),
        (_, Some(_)) => Err(Failure::usage(
            "--token-file belongs to a push receiver; the others get a secret that is made here",
        )),
        (ReceiverKind::Webhook, None) => Ok(Some((
            Secret::new(webhook_secret_text(&rollcall.secret())),
            true,
        ))),
        (ReceiverKind::Poll, None) => Ok(Some((Secret::new(token_text(&rollcall.secret())), true))),
    }
}

async fn list(
    rollcall: &Rollcall,
    argument: &TenantArgument,
    output: Output,
) -> Result<(), Failure> {
    let tenant = rollcall.tenant(&argument.tenant).await?;
    let receivers = rollcall.store.receivers.list_receivers(tenant.id).await?;
    let row = |receiver: &Receiver| {
        let last = instant_or(receiver.last_delivered, "never");
        vec![
            receiver.name.clone(),
            kind_name(receiver.kind).to_owned(),
            state_name(receiver.state).to_owned(),
            receiver.url.clone(),
            last,
            Reader::Operator.sees(&receiver.last_error),
        ]
    };
    let rows = receivers.iter().map(row).collect();
    let values = receivers
        .iter()
        .map(|receiver| receiver.to_json(Reader::Operator))
        .collect();
    let empty = "No receivers. Add one:\n  rollcall receiver add NAME --kind webhook --url URL";
    output.table(
        &[
            "name",
            "kind",
            "state",
            "url",
            "last delivered",
            "last error",
        ],
        rows,
        empty,
        &Value::Array(values),
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
    let detail = if settings.detail == Detail::Full {
        "full"
    } else {
        "notice"
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
        ("last error", Reader::Operator.sees(&receiver.last_error)),
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
    output.table(
        &["setting", "value"],
        rows,
        "",
        &receiver.to_json(Reader::Operator),
    );
}

async fn test(
    rollcall: &Rollcall,
    named: &Named,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let (_, receiver) = named.receiver(rollcall).await?;
    let name = &receiver.name;
    if receiver.kind == ReceiverKind::Poll {
        let last = instant_or(receiver.last_delivered, "never");
        output.say(
            format!("{name} comes to us; it was last here: {last}."),
            &json!({ "name": name, "lastDelivered": last }),
        );
        return Ok(());
    }
    let public_url = serving_url::find(configuration).url;
    let (_announce, commits) = watch::channel(0);
    match rollcall
        .events(&public_url, wiring::event_options(configuration), commits)
        .delivery
        .test(&receiver)
        .await?
    {
        Reception::Taken => {
            output.say(
                format!("{name} took the message."),
                &json!({ "name": name, "taken": true }),
            );
            Ok(())
        }
        Reception::Later { why, .. } => Err(Failure::unreachable(format!(
            "{name} did not take the message: {}",
            Reader::Operator.sees(&why)
        ))),
        Reception::Refused { why } | Reception::Gone { why } => Err(Failure::failed(format!(
            "{name} refuses the message: {}",
            Reader::Operator.sees(&why)
        ))),
    }
}

async fn set_state(
    rollcall: &Rollcall,
    named: &Named,
    state: ReceiverState,
    output: Output,
) -> Result<(), Failure> {
    let (tenant, receiver) = named.receiver(rollcall).await?;
    rollcall
        .store
        .receivers
        .set_receiver_state(tenant.id, receiver.id, state)
        .await?;
    let text = match state {
        ReceiverState::Live => format!("Receiver {} is told again.", receiver.name),
        ReceiverState::Paused => format!("Receiver {} is paused; events wait.", receiver.name),
    };
    output.say(text, &json!({ "name": receiver.name, "state": state }));
    Ok(())
}

async fn rotate_secret(
    rollcall: &Rollcall,
    arguments: &RotateSecret,
    output: Output,
) -> Result<(), Failure> {
    let (tenant, receiver) = arguments.named.receiver(rollcall).await?;
    let Some((new, made_here)) = secret(rollcall, receiver.kind, arguments.token_file.as_deref())?
    else {
        return Err(Failure::usage(
            "a push receiver says itself which token it wants; give it with --token-file",
        ));
    };
    let overlap = SignedDuration::from_hours(i64::from(arguments.overlap_hours));
    let until = rollcall
        .now()
        .checked_add(overlap)
        .map_err(|_| Failure::usage("--overlap-hours is too large"))?;
    let secrets = receiver.secrets.clone().rotated(new.clone(), until);
    rollcall
        .store
        .receivers
        .set_receiver_secrets(tenant.id, receiver.id, secrets)
        .await?;
    let mut value = json!({ "name": receiver.name, "oldSecretUntil": until.to_string() });
    let mut text = format!(
        "Receiver {} has a new secret; the old one counts until {}.",
        receiver.name,
        instant(until)
    );
    if made_here {
        text = format!("{text}\n  secret (shown only now): {}", new.reveal());
        if let Some(map) = value.as_object_mut() {
            map.insert("secret".into(), new.reveal().into());
        }
    }
    output.say(text, &value);
    Ok(())
}

async fn list_dead_letters(
    rollcall: &Rollcall,
    named: &Named,
    output: Output,
) -> Result<(), Failure> {
    let (tenant, receiver) = named.receiver(rollcall).await?;
    let undelivered = rollcall
        .store
        .receivers
        .list_undelivered(
            tenant.id,
            receiver.id,
            UndeliveredState::DeadLetter,
            SHOWN_MAX,
        )
        .await?;
    let mut rows = Vec::new();
    for one in &undelivered {
        let event = &one.event;
        let resource = format!("{} {}", event.resource_type, event.resource_id);
        rows.push(vec![
            event.sequence.to_string(),
            instant(event.at),
            resource,
            one.attempts.to_string(),
            Reader::Operator.sees(&one.error),
        ]);
    }
    let values = undelivered
        .iter()
        .map(|one| one.to_json(Reader::Operator))
        .collect();
    let empty = "The dead-letter list is empty: everything was delivered, or is on its way.";
    output.table(
        &["sequence", "happened", "resource", "attempts", "error"],
        rows,
        empty,
        &Value::Array(values),
    );
    Ok(())
}

async fn choose(
    rollcall: &Rollcall,
    member: Member,
    chosen: bool,
    output: Output,
) -> Result<(), Failure> {
    let (_, receiver) = member.named.receiver(rollcall).await?;
    let choice = Choice {
        resource_type: member.resource_type,
        resource_id: member.id.clone(),
        chosen,
        change_id: rollcall.change_id(),
        at: rollcall.now(),
    };
    let changed = rollcall.store.receivers.choose(&receiver, choice).await?;
    let text = match (changed, chosen) {
        (true, true) => format!("{} is told of {} from now on.", receiver.name, member.id),
        (true, false) => format!("{} is no longer told of {}.", receiver.name, member.id),
        (false, true) => format!(
            "Nothing changed: {} is in the feed already, or there is no such resource.",
            member.id
        ),
        (false, false) => format!("Nothing changed: {} is not in the feed.", member.id),
    };
    output.say(text, &json!({ "receiver": receiver.name, "id": member.id, "inFeed": chosen, "changed": changed }));
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
