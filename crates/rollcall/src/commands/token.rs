//! `rollcall token`: the bearer tokens of a tenant. A token is shown once, when it is made; the store knows only its keyed hash.

use access::credential::{TokenRecord, TokenRequest};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::commands::TenantArgument;
use crate::commands::permissions::{Ending, PermissionArguments, scopes_text};
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::{Output, instant, instant_or};
use crate::wiring::{Missing, Rollcall};

/// `rollcall token ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a token and print it, once
    #[command(
        after_help = "Examples:\n  rollcall token create --name \"Entra ID\"\n  rollcall token create --name okta --expires-in-days 365 --json"
    )]
    Create(Create),
    /// List tokens: when each was made and last used, never its value
    List(TenantArgument),
    /// Make a token stop to work, at once
    Revoke {
        /// Its id, as `rollcall token list` shows it
        id: String,
        #[command(flatten)]
        tenant: TenantArgument,
    },
}

/// `rollcall token create`
#[derive(Args, Debug)]
pub struct Create {
    #[command(flatten)]
    tenant: TenantArgument,
    /// What it is for, so that people know it again
    #[arg(long, value_name = "TEXT", default_value = "unnamed")]
    name: String,
    /// The active person for whom its bearer stands, by userName or id: whom they find at /Me; the token ends with them
    #[arg(long, value_name = "USERNAME")]
    user: Option<String>,
    /// When it stops to work; without it, never
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    expires_in_days: Option<u32>,
    /// The same as a span (90d, 12h) or an instant
    #[arg(long, value_name = "WHEN", value_parser = Ending::parse, conflicts_with = "expires_in_days")]
    expires: Option<Ending>,
    #[command(flatten)]
    permissions: PermissionArguments,
}

/// Runs it.
pub async fn run(
    command: Command,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    match command {
        Command::Create(arguments) => create(&rollcall, arguments, output).await,
        Command::List(argument) => {
            let tenant = rollcall.tenant(&argument.tenant).await?;
            let tokens = rollcall.store.tenants.list_tokens(tenant.id).await?;
            let now = rollcall.now();
            let rows = tokens.iter().map(|token| row(token, now)).collect();
            let values = tokens.iter().map(|token| token_json(token, now)).collect();
            let headers = [
                "id",
                "name",
                "state",
                "scopes",
                "created",
                "expires",
                "last used",
            ];
            output.table(
                &headers,
                rows,
                "No tokens. Make one:\n  rollcall token create --name TEXT",
                &Value::Array(values),
            );
            Ok(())
        }
        Command::Revoke { id, tenant } => {
            let tenant = rollcall.tenant(&tenant.tenant).await?;
            if !rollcall
                .store
                .tenants
                .revoke_token(tenant.id, &id, rollcall.now())
                .await?
            {
                return Err(Failure::not_found(format!(
                    "tenant {} has no token {id}",
                    tenant.name
                ))
                .hint("`rollcall token list` shows the ids of all tokens"));
            }
            output.say(
                format!("Token {id} is revoked."),
                &json!({ "id": id, "state": "revoked" }),
            );
            Ok(())
        }
    }
}

async fn create(rollcall: &Rollcall, arguments: Create, output: Output) -> Result<(), Failure> {
    let tenant = rollcall.tenant(&arguments.tenant.tenant).await?;
    let now = rollcall.now();
    let after = arguments
        .expires_in_days
        .map(|days| Ending::After(SignedDuration::from_hours(24 * i64::from(days))));
    let expires = after
        .or(arguments.expires)
        .map(|ending| ending.from(now))
        .transpose()?;
    let mut permissions = arguments.permissions.permissions(rollcall, &tenant).await?;
    if let Some(name) = &arguments.user {
        let found = rollcall
            .identities(&tenant)
            .await?
            .find("User", name)
            .await?;
        let id = found
            .as_ref()
            .and_then(|user| user.get("id"))
            .and_then(Value::as_str)
            .map(str::to_owned);
        permissions.user = Some(id.ok_or_else(|| {
            Failure::not_found(format!("tenant {} has no user {name}", tenant.name))
        })?);
    }
    let issued = rollcall
        .issue_token(
            TokenRequest {
                tenant: tenant.id,
                name: arguments.name,
                expires,
                permissions,
            },
            None,
        )
        .await?;
    if output.is_json() {
        let mut value = token_json(&issued.record, now);
        if let Some(map) = value.as_object_mut() {
            map.insert("token".into(), issued.token.reveal().into());
        }
        output.json(&value);
    } else {
        // The token stands alone on standard output, so that a shell or a file can take it as it is.
        output.note(format!(
            "Token {} for tenant {}. It is shown only now:",
            issued.record.id, tenant.name
        ));
        output.line(issued.token.reveal());
    }
    Ok(())
}

fn state(token: &TokenRecord, now: Timestamp) -> &'static str {
    match (token.revoked, token.expires) {
        (Some(_), _) => "revoked",
        (None, Some(expires)) if expires <= now => "expired",
        _ => "valid",
    }
}

fn row(token: &TokenRecord, now: Timestamp) -> Vec<String> {
    vec![
        token.id.clone(),
        token.name.clone(),
        state(token, now).to_owned(),
        scopes_text(&token.permissions),
        instant(token.created),
        instant_or(token.expires, "never"),
        instant_or(token.last_used, "never"),
    ]
}

fn token_json(token: &TokenRecord, now: Timestamp) -> Value {
    let instant = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "id": token.id,
        "name": token.name,
        "state": state(token, now),
        "permissions": token.permissions,
        "created": token.created.to_string(),
        "expires": instant(token.expires),
        "revoked": instant(token.revoked),
        "lastUsed": instant(token.last_used),
    })
}
