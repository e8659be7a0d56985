//! `rollcall tenant`: isolated directories in one database.

use clap::{Subcommand, ValueEnum};
use directory::tenant::{PatchResponse, Tenant, TenantSettings, check_name};
use scim_protocol::profile::DEFAULT_PROFILE;
use serde_json::{Value, json};

use crate::commands::profile::find_profile;
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
        /// Which kind of client it has; `rollcall profile list` shows all
        #[arg(long, alias = "quirks", value_name = "PROFILE", default_value = DEFAULT_PROFILE)]
        profile: String,
        /// What PATCH answers with: the resource, with or without the members of a group, or nothing (204)
        #[arg(long, value_enum, default_value_t = PatchAnswers::Automatic)]
        patch_response: PatchAnswers,
    },
    /// List all tenants
    List,
    /// Show one tenant
    Show {
        /// Its name
        name: String,
    },
}

/// What PATCH answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PatchAnswers {
    /// With members, but 204 where only members of a group of more than 100 changed.
    Automatic,
    /// 200 and the whole resource.
    WithMembers,
    /// 200 and the resource without members.
    WithoutMembers,
    /// 204 and no body.
    NoContent,
}

impl From<PatchAnswers> for PatchResponse {
    fn from(answers: PatchAnswers) -> Self {
        match answers {
            PatchAnswers::Automatic => Self::Automatic,
            PatchAnswers::WithMembers => Self::WithMembers,
            PatchAnswers::WithoutMembers => Self::WithoutMembers,
            PatchAnswers::NoContent => Self::NoContent,
        }
    }
}

/// Runs it.
pub async fn run(command: Command, configuration: &Configuration, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create { name, profile, patch_response } => {
            let profile = find_profile(&profile)?.name.clone();
            let settings = TenantSettings { profile, patch_response: patch_response.into(), ..TenantSettings::default() };
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
            output.table(&["name", "profile", "base path", "created"], rows, "No tenants.", &Value::Array(value));
        }
        Command::Show { name } => {
            let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
            let tenant = rollcall.tenant(&name).await?;
            output.table(&["name", "profile", "base path", "created"], vec![row(&tenant)], "", &tenant_json(&tenant));
        }
    }
    Ok(())
}

fn row(tenant: &Tenant) -> Vec<String> {
    vec![tenant.name.clone(), tenant.settings.profile.clone(), base_path(&tenant.name), instant(tenant.created)]
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
