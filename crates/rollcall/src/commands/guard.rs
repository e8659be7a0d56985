//! `rollcall guard`: the guard on disables, deletes and membership removals that come in, and what it holds.

use administration::guard::{Allowance, Guard, MINUTES_MAX, NewAllowance, Parked};
use clap::Subcommand;
use directory::deletion_guard::Removal;
use serde_json::{Value, json};

use crate::admin_client::{AdminClient, Destination};
use crate::commands::TenantArgument;
use crate::failure::Failure;
use crate::operations::{ALLOW_REMOVALS, APPROVE_REMOVAL, READ_GUARD, REJECT_REMOVAL};
use crate::output::{Output, instant};

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
        #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=i64::from(MINUTES_MAX)))]
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
    destination: &Destination<'_>,
    output: Output,
) -> Result<(), Failure> {
    let client = destination.open().await?;
    match command {
        Command::Status(argument) => status(&client, &argument.tenant, output).await,
        Command::Allow {
            removal,
            count,
            for_minutes,
            tenant,
        } => {
            let new = NewAllowance {
                removal: removal.name().to_owned(),
                count,
                minutes: Some(for_minutes),
            };
            let allowed: Allowance = client
                .request(&ALLOW_REMOVALS, &[&tenant.tenant])
                .body(&new)
                .answer()
                .await?;
            let text = format!(
                "{} more of kind {} are let through until {}.",
                allowed.remaining,
                allowed.removal.name(),
                instant(allowed.expires)
            );
            output.say(text, &json!(allowed));
            Ok(())
        }
        Command::Approve { id, tenant } => {
            let request = client.request(&APPROVE_REMOVAL, &[&tenant.tenant, &id]);
            let parked: Parked = request.answer().await?;
            output.say(format!("{id} is carried out."), &parked_json(&parked));
            Ok(())
        }
        Command::Reject { id, tenant } => {
            let request = client.request(&REJECT_REMOVAL, &[&tenant.tenant, &id]);
            request.done().await?;
            output.say(
                format!("{id} is forgotten."),
                &json!({ "id": id, "rejected": true }),
            );
            Ok(())
        }
    }
}

async fn status(client: &AdminClient, tenant: &str, output: Output) -> Result<(), Failure> {
    let guard: Guard = client.request(&READ_GUARD, &[tenant]).answer().await?;
    let kinds = guard.removals.iter().map(|kind| {
        vec![
            kind.removal.name().to_owned(),
            kind.in_window.to_string(),
            format!("{} and {} %", kind.count, kind.percent),
            kind.allowed.to_string(),
            String::new(),
        ]
    });
    let parked = guard.parked.iter().map(|one| {
        vec![
            "parked".to_owned(),
            format!("{} {}", one.resource_type, one.resource_id),
            instant(one.at),
            one.credential.clone(),
            one.id.clone(),
        ]
    });
    let value = json!({
        "mode": guard.mode,
        "windowMinutes": guard.window_minutes,
        "removals": guard.removals,
        "parked": guard.parked.iter().map(parked_json).collect::<Vec<_>>(),
    });
    output.table(
        &["what", "in the window", "held above", "let through", "id"],
        kinds.chain(parked).collect(),
        "",
        &value,
    );
    Ok(())
}

fn parked_json(parked: &Parked) -> Value {
    let mut write = json!({
        "method": parked.method,
        "body": parked.body,
        "touches": parked.touches,
        "reason": parked.reason,
    });
    if let (Some(profile), Some(map)) = (&parked.profile, write.as_object_mut()) {
        map.insert("profile".into(), profile.clone().into());
    }
    json!({
        "id": parked.id,
        "at": parked.at,
        "credentialId": parked.credential,
        "resourceType": parked.resource_type,
        "resourceId": parked.resource_id,
        "write": write,
    })
}
