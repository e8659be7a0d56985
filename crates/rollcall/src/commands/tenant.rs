//! `rollcall tenant`: isolated directories in one database.

use clap::{Args, Subcommand, ValueEnum};
use directory::deletion_guard::Mode;
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
        #[command(flatten)]
        safety: Safety,
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

/// What happens to people who leave, come back or have not come yet.
#[derive(Args, Debug)]
pub struct Safety {
    /// How many days what was is kept; 0: not at all
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=3_650))]
    history_days: u32,
    /// What becomes of disables, deletes and membership removals that are too many at once
    #[arg(long, value_enum, value_name = "MODE", default_value = "refuse")]
    guard: GuardMode,
    /// Members and managers that are not there yet are accepted, and wait [default: as the profile says]
    #[arg(long, value_name = "BOOL")]
    pending_references: Option<bool>,
    /// A POST with the externalId or userName of a deleted resource gives it its id back [default: as the profile says]
    #[arg(long, value_name = "BOOL")]
    revive_deleted: Option<bool>,
    /// A POST with the externalId or userName of a disabled person enables that one [default: as the profile says]
    #[arg(long, value_name = "BOOL")]
    revive_disabled: Option<bool>,
    /// A POST that revived something answers 200 instead of 201
    #[arg(long)]
    revive_answers_200: bool,
}

/// What becomes of what the guard holds.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum GuardMode {
    /// 429, and nothing is changed.
    Refuse,
    /// The client is told that it was done; an administrator decides.
    Park,
    /// There is no guard.
    Off,
}

impl Safety {
    fn set(&self, settings: &mut TenantSettings) {
        settings.history_days = self.history_days;
        settings.guard.mode = match self.guard {
            GuardMode::Refuse => Mode::Refuse,
            GuardMode::Park => Mode::Park,
            GuardMode::Off => Mode::Off,
        };
        settings.pending_references = self.pending_references;
        settings.revive_deleted = self.revive_deleted;
        settings.revive_disabled = self.revive_disabled;
        settings.revive_answers_200 = self.revive_answers_200;
    }
}

/// Runs it.
pub async fn run(command: Command, configuration: &Configuration, output: Output) -> Result<(), Failure> {
    match command {
        Command::Create { name, profile, patch_response, safety } => {
            let profile = find_profile(&profile)?.name.clone();
            let mut settings = TenantSettings { profile, patch_response: patch_response.into(), ..TenantSettings::default() };
            safety.set(&mut settings);
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
