//! `rollcall guard`: the guard on disables, deletes and membership removals that come in, and what it holds.

use clap::Subcommand;
use directory::deletion_guard::{Mode, Removal};
use directory::parking::Parked;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::commands::TenantArgument;
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::{Output, instant};
use crate::wiring::{Missing, Rollcall};

/// Parked writes that are shown.
const PARKED_MAX: u32 = 1_000;

/// `rollcall guard ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// What was removed in the window, what is let through, and which writes are parked
    Status(TenantArgument),
    /// Let so many more removals through
    #[command(after_help = "Example:\n  rollcall guard allow delete 5000 --for-minutes 120")]
    Allow {
        /// disable, delete or membership
        #[arg(value_parser = parse_removal)]
        removal: Removal,
        /// How many
        count: u64,
        /// For how long
        #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_080))]
        for_minutes: u32,
        #[command(flatten)]
        tenant: TenantArgument,
    },
    /// Carry out a parked write, as its client sent it
    Approve {
        /// Its id, as `rollcall guard status` shows it
        id: String,
        #[command(flatten)]
        tenant: TenantArgument,
    },
    /// Forget a parked write
    Reject {
        /// Its id
        id: String,
        #[command(flatten)]
        tenant: TenantArgument,
    },
}

fn parse_removal(text: &str) -> Result<Removal, String> {
    Removal::by_name(text)
        .ok_or_else(|| format!("kinds are {}", Removal::ALL.map(Removal::name).join(", ")))
}

/// Runs it.
pub async fn run(
    command: Command,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    match command {
        Command::Status(argument) => status(&rollcall, &argument, output).await,
        Command::Allow {
            removal,
            count,
            for_minutes,
            tenant,
        } => {
            let caller = rollcall.administrator(&tenant.tenant).await?;
            let far = |_| Failure::usage("--for-minutes: that is too far away");
            let expires = rollcall
                .now()
                .checked_add(SignedDuration::from_mins(i64::from(for_minutes)))
                .map_err(far)?;
            rollcall
                .directory
                .allow(&caller, removal, count, expires)
                .await?;
            let text = format!(
                "{count} more of kind {} are let through until {}.",
                removal.name(),
                instant(expires)
            );
            output.say(text, &json!({ "removal": removal.name(), "remaining": count, "expires": expires.to_string() }));
            Ok(())
        }
        Command::Approve { id, tenant } => {
            let parked = rollcall
                .directory
                .approve(&rollcall.administrator(&tenant.tenant).await?, &id)
                .await?;
            output.say(format!("{id} is carried out."), &parked_json(&parked));
            Ok(())
        }
        Command::Reject { id, tenant } => {
            rollcall
                .directory
                .reject(&rollcall.administrator(&tenant.tenant).await?, &id)
                .await?;
            output.say(
                format!("{id} is forgotten."),
                &json!({ "id": id, "rejected": true }),
            );
            Ok(())
        }
    }
}

async fn status(
    rollcall: &Rollcall,
    argument: &TenantArgument,
    output: Output,
) -> Result<(), Failure> {
    let caller = rollcall.administrator(&argument.tenant).await?;
    let (counted, allowances) = rollcall.directory.guard_status(&caller).await?;
    let parked = rollcall.directory.parked(&caller, PARKED_MAX).await?;
    let settings = caller.tenant.settings.guard;
    let count = |removal: Removal| {
        counted
            .iter()
            .find(|(kind, _)| *kind == removal)
            .map_or(0, |(_, count)| *count)
    };
    let left = |removal: Removal| {
        allowances
            .iter()
            .find(|one| one.removal == removal)
            .map_or(0, |one| one.remaining)
    };
    let mode = match settings.mode {
        Mode::Refuse => "refuse",
        Mode::Park => "park",
        Mode::Off => "off",
    };
    let kinds: Vec<Value> = Removal::ALL
        .into_iter()
        .map(|kind| {
            let threshold = settings.threshold(kind);
            json!({ "removal": kind.name(), "inWindow": count(kind), "count": threshold.count, "percent": threshold.percent, "allowed": left(kind) })
        })
        .collect();
    let mut rows: Vec<Vec<String>> = Removal::ALL
        .into_iter()
        .map(|kind| {
            let threshold = settings.threshold(kind);
            let limit = format!("{} and {} %", threshold.count, threshold.percent);
            vec![
                kind.name().to_owned(),
                count(kind).to_string(),
                limit,
                left(kind).to_string(),
                String::new(),
            ]
        })
        .collect();
    rows.extend(parked.iter().map(|one| {
        let what = format!("{} {}", one.resource_type, one.resource_id);
        vec![
            "parked".to_owned(),
            what,
            instant(one.at),
            one.credential_id.clone(),
            one.id.clone(),
        ]
    }));
    let value = json!({
        "mode": mode,
        "windowMinutes": settings.window_minutes,
        "removals": kinds,
        "parked": parked.iter().map(parked_json).collect::<Vec<_>>(),
    });
    output.table(
        &["what", "in the window", "held above", "let through", "id"],
        rows,
        "",
        &value,
    );
    Ok(())
}

fn parked_json(parked: &Parked) -> Value {
    json!({
        "id": parked.id,
        "at": parked.at.to_string(),
        "credentialId": parked.credential_id,
        "resourceType": parked.resource_type,
        "resourceId": parked.resource_id,
        "write": parked.write,
    })
}
