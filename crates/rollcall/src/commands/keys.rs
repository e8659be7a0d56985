//! `rollcall keys`: the keys with which a tenant's event tokens are signed. The private halves never leave the database.

use clap::Subcommand;
use events::event_log::SigningKey;
use serde_json::{Value, json};

use crate::commands::TenantArgument;
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::{Output, instant, instant_or};
use crate::wiring::{Missing, Rollcall};

/// `rollcall keys ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List the keys that are published
    List(TenantArgument),
    /// Sign with a new key; the old one stays published for a week, so that what it signed can still be verified
    Rotate {
        #[command(flatten)]
        tenant: TenantArgument,
        /// The old keys may be in wrong hands: take them back at once. Tokens they signed are no longer believed
        #[arg(long)]
        distrust_old: bool,
    },
}

/// Runs it.
pub async fn run(
    command: Command,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    match command {
        Command::List(argument) => {
            let tenant = rollcall.tenant(&argument.tenant).await?;
            let keys = rollcall
                .store
                .keys
                .signing_keys(tenant.id, rollcall.now())
                .await?;
            let row = |key: &SigningKey| {
                vec![
                    key.id.clone(),
                    instant(key.created),
                    instant_or(key.retired, "signs"),
                ]
            };
            let rows = keys.iter().map(row).collect();
            let empty = "No keys. The first is made when the first token is signed.";
            output.table(
                &["key", "made", "replaced"],
                rows,
                empty,
                &Value::Array(keys.iter().map(key_json).collect()),
            );
            Ok(())
        }
        Command::Rotate {
            tenant,
            distrust_old,
        } => {
            let tenant = rollcall.tenant(&tenant.tenant).await?;
            let key = rollcall
                .store
                .keys
                .rotate_keys(tenant.id, rollcall.now(), distrust_old)
                .await?;
            let old = if distrust_old {
                "The old keys are no longer published."
            } else {
                "The old key stays published for a week."
            };
            output.say(
                format!("Tokens are signed with {} from now on. {old}", key.id),
                &key_json(&key),
            );
            Ok(())
        }
    }
}

fn key_json(key: &SigningKey) -> Value {
    json!({
        "id": key.id,
        "public": key.public,
        "created": key.created.to_string(),
        "retired": key.retired.map(|at| at.to_string()),
    })
}
