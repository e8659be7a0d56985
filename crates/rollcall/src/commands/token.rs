//! `rollcall token`: the bearer tokens of a tenant. A token is shown once, when it is made; the store knows only its keyed hash.

use administration::tokens::{NewToken, Token};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::admin_client::{AdminClient, Destination};
use crate::commands::TenantArgument;
use crate::commands::permissions::{Ending, PermissionArguments, allowed_text};
use crate::failure::{Exit, Failure};
use crate::operations::{CREATE_TOKEN, LIST_TOKENS, REVOKE_TOKEN};
use crate::output::{Output, instant, instant_or};
use crate::wiring::now;

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
    destination: &Destination<'_>,
    output: Output,
) -> Result<(), Failure> {
    let client = destination.open().await?;
    match command {
        Command::Create(arguments) => create(&client, arguments, output).await,
        Command::List(argument) => list(&client, &argument.tenant, output).await,
        Command::Revoke { id, tenant } => {
            let revoked = client
                .request(&REVOKE_TOKEN, &[&tenant.tenant, &id])
                .done()
                .await;
            revoked.map_err(|failure| match failure.exit {
                Exit::NotFound => failure.hint("`rollcall token list` shows the ids of all tokens"),
                _ => failure,
            })?;
            output.say(
                format!("Token {id} is revoked."),
                &json!({ "id": id, "state": "revoked" }),
            );
            Ok(())
        }
    }
}

async fn list(client: &AdminClient, tenant: &str, output: Output) -> Result<(), Failure> {
    let tokens: Vec<Token> = client.request(&LIST_TOKENS, &[tenant]).answer().await?;
    let now = now();
    let rows = tokens.iter().map(|token| row(token, now)).collect();
    let values = tokens.iter().map(|token| token_json(token, now)).collect();
    let headers = [
        "id",
        "name",
        "state",
        "scopes",
        "role",
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

async fn create(client: &AdminClient, arguments: Create, output: Output) -> Result<(), Failure> {
    let tenant = &arguments.tenant.tenant;
    let now = now();
    let after = arguments
        .expires_in_days
        .map(|days| Ending::After(SignedDuration::from_hours(24 * i64::from(days))));
    let expires = after
        .or(arguments.expires)
        .map(|ending| ending.from(now))
        .transpose()?;
    let user =
        match &arguments.user {
            None => None,
            Some(name) => {
                let found = client.find_id(tenant, "User", name).await?;
                Some(found.ok_or_else(|| {
                    Failure::not_found(format!("tenant {tenant} has no user {name}"))
                })?)
            }
        };
    let requested = arguments.permissions.requested();
    let new = NewToken {
        name: arguments.name,
        expires: expires.map(|at| at.to_string()),
        scopes: requested.scopes,
        role: requested.role,
        resource_types: requested.resource_types,
        profile: requested.profile,
        requests_per_second: requested.requests_per_second,
        user,
    };
    let token: Token = client
        .request(&CREATE_TOKEN, &[tenant])
        .body(&new)
        .answer()
        .await?;
    let value = token.value.clone().unwrap_or_default();
    if output.is_json() {
        output.json(&token_json(&token, now));
    } else {
        // The token stands alone on standard output, so that a shell or a file can take it as it is.
        output.note(format!(
            "Token {} for tenant {tenant}. It is shown only now:",
            token.id
        ));
        output.line(value);
    }
    Ok(())
}

fn state(token: &Token, now: Timestamp) -> &'static str {
    match (token.revoked, token.expires) {
        (Some(_), _) => "revoked",
        (None, Some(expires)) if expires <= now => "expired",
        _ => "valid",
    }
}

fn row(token: &Token, now: Timestamp) -> Vec<String> {
    vec![
        token.id.clone(),
        token.name.clone(),
        state(token, now).to_owned(),
        allowed_text(&token.allowed),
        token.allowed.role.clone().unwrap_or_else(|| "-".into()),
        instant(token.created),
        instant_or(token.expires, "never"),
        instant_or(token.last_used, "never"),
    ]
}

fn token_json(token: &Token, now: Timestamp) -> Value {
    let mut permissions = json!(token.allowed);
    let mut value = json!({
        "id": token.id,
        "name": token.name,
        "state": state(token, now),
        "created": token.created.to_string(),
        "expires": token.expires.map(|at| at.to_string()),
        "revoked": token.revoked.map(|at| at.to_string()),
        "lastUsed": token.last_used.map(|at| at.to_string()),
    });
    if let (Some(user), Some(map)) = (&token.user, permissions.as_object_mut()) {
        map.insert("user".into(), user.clone().into());
    }
    if let Some(map) = value.as_object_mut() {
        map.insert("permissions".into(), permissions);
        if let Some(text) = &token.value {
            map.insert("token".into(), text.clone().into());
        }
    }
    value
}
