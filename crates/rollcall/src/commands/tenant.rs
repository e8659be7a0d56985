//! `rollcall tenant`: isolated directories in one database.

use clap::{Subcommand, ValueEnum};
use directory::tenant::{Tenant, TenantSettings, check_name};
use serde_json::{Value, json};

use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::{Output, instant};
use crate::wiring::{Missing, Rollcall};

/// `rollcall tenant ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a tenant; `rollcall token create --tenant NAME` then gives it a token
    #[command(after_help = "Example:\n  rollcall tenant create acme")]
    Create {
        /// 1 to 63 lower-case letters, digits and hyphens; part of its base URL
        name: String,
        /// Which dialects of identity providers it understands: all known ones, or the RFC to the letter
        #[arg(long, value_enum, default_value_t = Quirks::Standard)]
        quirks: Quirks,
        /// Answer PATCH with 204 and no body instead of 200 and the resource
        #[arg(long)]
        patch_without_body: bool,
    },
    /// List all tenants
    List,
    /// Show one tenant
    Show {
        /// Its name
        name: String,
    },
}

/// Sets of quirks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Quirks {
    /// Every dialect known to be sent.
    Standard,
    /// None.
    Strict,
}

/// Runs it.
pub async fn run(command: Command, configuration: &Configuration, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create { name, quirks, patch_without_body } => {
            let quirks = match quirks {
                Quirks::Standard => "standard",
                Quirks::Strict => "strict",
            };
            let settings = TenantSettings { quirks: quirks.into(), patch_returns_resource: !patch_without_body };
            check_name(&name)?;
            let rollcall = Rollcall::open(configuration, Missing::Create).await?;
            let made = rollcall.store.tenants.create_tenant(&name, settings, rollcall.now()).await?;
            let tenant = made.ok_or_else(|| Failure::conflict(format!("there is a tenant `{name}` already")))?;
            let hint = format!("Tenant {name} is there. Give it a token:\n  rollcall token create --tenant {name}");
            output.say(hint, &tenant_json(&tenant));
        }
        Command::List => {
            let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
            let tenants = rollcall.store.tenants.list_tenants().await?;
            let rows = tenants.iter().map(row).collect();
            let value = tenants.iter().map(tenant_json).collect();
            output.table(&["name", "quirks", "base path", "created"], rows, "No tenants.", &Value::Array(value));
        }
        Command::Show { name } => {
            let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
            let tenant = rollcall.tenant(&name).await?;
            output.table(&["name", "quirks", "base path", "created"], vec![row(&tenant)], "", &tenant_json(&tenant));
        }
    }
    Ok(())
}

fn row(tenant: &Tenant) -> Vec<String> {
    vec![tenant.name.clone(), tenant.settings.quirks.clone(), base_path(&tenant.name), instant(tenant.created)]
}

fn base_path(name: &str) -> String {
    format!("/t/{name}/scim/v2")
}

fn tenant_json(tenant: &Tenant) -> Value {
    json!({
        "name": tenant.name,
        "basePath": base_path(&tenant.name),
        "created": tenant.created.to_string(),
        "settings": tenant.settings,
    })
}
