//! `rollcall keys`: the keys with which a tenant's event tokens are signed. The private halves never leave the database.

use administration::signing_keys::{Rotation, SigningKey};
use clap::Subcommand;
use serde_json::{Value, json};

use crate::admin_client::{AdminClient, Destination};
use crate::commands::TenantArgument;
use crate::failure::Failure;
use crate::operations::{LIST_KEYS, ROTATE_KEYS};
use crate::output::{Output, instant, instant_or};

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
    destination: &Destination<'_>,
    output: Output,
) -> Result<(), Failure> {
    let client = &destination.open().await?;
    match command {
        Command::List(argument) => {
            let keys = list(client, &argument.tenant).await?;
            let row = |key: &SigningKey| {
                vec![
                    key.id.clone(),
                    instant(key.created),
                    instant_or(key.retired, "signs"),
                ]
            };
            output.table(
                &["key", "made", "replaced"],
                keys.iter().map(row).collect(),
                "No keys. The first is made when the first token is signed.",
                &json!(keys),
            );
            Ok(())
        }
        Command::Rotate {
            tenant,
            distrust_old,
        } => rotate(client, &tenant.tenant, distrust_old, output).await,
    }
}

async fn list(client: &AdminClient, tenant: &str) -> Result<Vec<SigningKey>, Failure> {
    client.request(&LIST_KEYS, &[tenant]).answer().await
}

async fn rotate(
    client: &AdminClient,
    tenant: &str,
    distrust_old: bool,
    output: Output,
) -> Result<(), Failure> {
    let request = client.request(&ROTATE_KEYS, &[tenant]);
    let public: Value = request.body(&Rotation { distrust_old }).answer().await?;
    let keys = list(client, tenant).await?;
    let made = keys.iter().find(|key| key.public == public);
    let made = made.ok_or_else(|| {
        Failure::conflict("the new key was taken back before this command could show it")
            .hint("`rollcall keys list` shows the keys that are published")
    })?;
    let old = if distrust_old {
        "The old keys are no longer published."
    } else {
        "The old key stays published for a week."
    };
    output.say(
        format!("Tokens are signed with {} from now on. {old}", made.id),
        &json!(made),
    );
    Ok(())
}
