//! `rollcall issuer`: foreign issuers whose JWTs a tenant accepts besides its own tokens.

use administration::issuers::{Issuer, NewIssuer};
use clap::{Args, Subcommand};
use serde_json::json;
use url::Url;

use crate::admin_client::{AdminClient, Destination};
use crate::commands::permissions::{PermissionArguments, allowed_text};
use crate::commands::{Named, TenantArgument};
use crate::failure::{Exit, Failure};
use crate::operations::{CREATE_ISSUER, LIST_ISSUERS, REMOVE_ISSUER};
use crate::output::{Output, instant};

/// `rollcall issuer ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Accept the tokens of an issuer
    #[command(
        after_help = "Example:\n  rollcall issuer add entra --issuer https://login.microsoftonline.com/TENANT/v2.0 \\\n    --jwks-url https://login.microsoftonline.com/TENANT/discovery/v2.0/keys --audience api://rollcall --require-claim azp=CLIENT"
    )]
    Add(Box<Add>),
    /// List issuers
    List(TenantArgument),
    /// Accept no tokens of an issuer any more, at once
    Remove(Named),
}

/// `rollcall issuer add`
#[derive(Args, Debug)]
pub struct Add {
    /// What people call it
    name: String,
    #[command(flatten)]
    tenant: TenantArgument,
    /// Its `iss`, to the letter
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// Where its public keys are
    #[arg(long, value_name = "URL")]
    jwks_url: Url,
    /// What must be in `aud`; may be repeated, then one of them is enough
    #[arg(long, value_name = "TEXT", required = true)]
    audience: Vec<String>,
    /// A claim that must have this value, or hold it in a list; may be repeated, then all of them must
    #[arg(long, value_name = "CLAIM=VALUE", value_parser = parse_claim)]
    require_claim: Vec<(String, String)>,
    /// The claim that names the caller
    #[arg(long, value_name = "CLAIM", default_value = "sub")]
    subject_claim: String,
    #[command(flatten)]
    permissions: PermissionArguments,
}

fn parse_claim(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("write CLAIM=VALUE, such as tid=1234")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs it.
pub async fn run(
    command: Command,
    destination: &Destination<'_>,
    output: Output,
) -> Result<(), Failure> {
    let client = destination.open().await?;
    match command {
        Command::Add(arguments) => add(&client, *arguments, output).await,
        Command::List(argument) => {
            let request = client.request(&LIST_ISSUERS, &[&argument.tenant]);
            let issuers: Vec<Issuer> = request.answer().await?;
            output.table(
                &["name", "issuer", "audience", "scopes", "created"],
                issuers.iter().map(row).collect(),
                "No issuers.",
                &json!(issuers),
            );
            Ok(())
        }
        Command::Remove(named) => {
            let request = client.request(&REMOVE_ISSUER, &named.path());
            request.done().await.map_err(|failure| match failure.exit {
                Exit::NotFound => failure.hint("`rollcall issuer list` shows those that are there"),
                _ => failure,
            })?;
            let name = named.name;
            output.say(
                format!("Tokens of {name} are not accepted any more."),
                &json!({ "name": name, "state": "removed" }),
            );
            Ok(())
        }
    }
}

async fn add(client: &AdminClient, arguments: Add, output: Output) -> Result<(), Failure> {
    let tenant = &arguments.tenant.tenant;
    let new = NewIssuer {
        name: arguments.name,
        issuer: arguments.issuer,
        jwks_url: arguments.jwks_url.into(),
        audiences: arguments.audience,
        required_claims: arguments.require_claim.into_iter().collect(),
        subject_claim: Some(arguments.subject_claim),
        permissions: arguments.permissions.requested(),
    };
    let request = client.request(&CREATE_ISSUER, &[tenant]).body(&new);
    let added: Issuer = request.answer().await?;
    output.say(
        format!("Tokens of {} are accepted in tenant {tenant}.", added.name),
        &json!(added),
    );
    Ok(())
}

fn row(issuer: &Issuer) -> Vec<String> {
    vec![
        issuer.name.clone(),
        issuer.iss.clone(),
        issuer.audiences.join(", "),
        allowed_text(&issuer.permissions),
        instant(issuer.created),
    ]
}
