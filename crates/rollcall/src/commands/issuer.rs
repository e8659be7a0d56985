//! `rollcall issuer`: foreign issuers whose JWTs a tenant accepts besides its own tokens.

use std::collections::BTreeMap;

use access::issuer::{IssuerRecord, IssuerSettings};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use url::Url;

use crate::commands::permissions::{PermissionArguments, permissions_json, scopes_text};
use crate::commands::{Named, TenantArgument};
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::{Output, instant};
use crate::wiring::{Missing, Rollcall};

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
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    match command {
        Command::Add(arguments) => add(&rollcall, *arguments, output).await,
        Command::List(argument) => {
            let tenant = rollcall.tenant(&argument.tenant).await?;
            let issuers = rollcall.store.issuers.list_issuers(tenant.id).await?;
            let values = issuers.iter().map(issuer_json).collect();
            let rows = issuers.iter().map(row).collect();
            output.table(
                &["name", "issuer", "audience", "scopes", "created"],
                rows,
                "No issuers.",
                &Value::Array(values),
            );
            Ok(())
        }
        Command::Remove(Named { name, tenant }) => {
            let tenant = rollcall.tenant(&tenant.tenant).await?;
            if !rollcall
                .store
                .issuers
                .remove_issuer(tenant.id, &name)
                .await?
            {
                return Err(Failure::not_found(format!(
                    "tenant {} has no issuer {name}",
                    tenant.name
                ))
                .hint("`rollcall issuer list` shows those that are there"));
            }
            output.say(
                format!("Tokens of {name} are not accepted any more."),
                &json!({ "name": name, "state": "removed" }),
            );
            Ok(())
        }
    }
}

async fn add(rollcall: &Rollcall, arguments: Add, output: Output) -> Result<(), Failure> {
    let tenant = rollcall.tenant(&arguments.tenant.tenant).await?;
    if let Some(why) = rollcall.key_sets.never(arguments.jwks_url.as_str()) {
        return Err(Failure::refused(format!("the keys can never be fetched from {}: {why}", arguments.jwks_url))
            .hint("`allow_private` in the configuration, or --allow-private, allows an address that is not public, and plain HTTP to it, by its name"));
    }
    let permissions = arguments.permissions.permissions(rollcall, &tenant).await?;
    let settings = IssuerSettings {
        issuer: arguments.issuer,
        jwks_url: arguments.jwks_url.into(),
        audiences: arguments.audience,
        required_claims: arguments
            .require_claim
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        subject_claim: arguments.subject_claim,
        permissions,
    };
    let record = IssuerRecord {
        tenant: tenant.id,
        name: arguments.name,
        created: rollcall.now(),
        settings,
    };
    if !rollcall.store.issuers.add_issuer(record.clone()).await? {
        return Err(Failure::conflict(format!(
            "there is an issuer `{}` already",
            record.name
        )));
    }
    output.say(
        format!(
            "Tokens of {} are accepted in tenant {}.",
            record.name, tenant.name
        ),
        &issuer_json(&record),
    );
    Ok(())
}

fn row(issuer: &IssuerRecord) -> Vec<String> {
    vec![
        issuer.name.clone(),
        issuer.settings.issuer.clone(),
        issuer.settings.audiences.join(", "),
        scopes_text(&issuer.settings.permissions),
        instant(issuer.created),
    ]
}

fn issuer_json(issuer: &IssuerRecord) -> Value {
    let settings = &issuer.settings;
    json!({
        "name": issuer.name,
        "issuer": settings.issuer,
        "jwksUrl": settings.jwks_url,
        "audiences": settings.audiences,
        "requiredClaims": settings.required_claims,
        "subjectClaim": settings.subject_claim,
        "permissions": permissions_json(&settings.permissions),
        "created": issuer.created.to_string(),
    })
}
