//! `rollcall tenant`: isolated directories in one database.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use directory::deletion_guard::{Mode, Threshold};
use directory::tenant::{PatchResponse, Tenant, TenantSettings, check_name};
use directory::tenant_life::RestoreError;
use serde_json::{Value, json};
use server::DEFAULT_TENANT;

use crate::commands::profile::find_profile;
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::{Output, Watched, instant};
use crate::wiring::{Missing, Rollcall};

/// `rollcall tenant ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a tenant; `rollcall token create --tenant NAME` then gives it a token
    #[command(after_help = "Example:\n  rollcall tenant create acme")]
    Create {
        /// 1 to 63 lower-case letters, digits and hyphens; part of its base URL
        name: String,
        #[command(flatten)]
        switches: Switches,
    },
    /// Change switches of a tenant; those that are not named stay
    #[command(
        after_help = "Example:\n  rollcall tenant edit default --profile entra --guard park --guard-deletes 50,10"
    )]
    Edit {
        /// Its name
        name: String,
        #[command(flatten)]
        switches: Switches,
    },
    /// List all tenants
    List,
    /// Suspend a tenant: its callers get 403 and nothing is sent to its applications; all data stays
    Suspend {
        /// Its name
        name: String,
    },
    /// Let a suspended tenant answer again, and tell its applications what waited
    Resume {
        /// Its name
        name: String,
    },
    /// Write a tenant into a file, one line of JSON for each row, without any secret
    #[command(
        after_help = "Examples:\n  rollcall tenant export acme --to acme.jsonl\n  rollcall tenant export acme --to - | gzip > acme.jsonl.gz"
    )]
    Export {
        /// Its name
        name: String,
        /// The file, which must not be there yet; `-` for standard output
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Make a tenant of a file that `export` wrote, on either kind of database; all of it or nothing
    #[command(
        after_help = "Its ids, versions and instants stay. No secrets come along; applications and receivers are paused:\n  \
        rollcall token create --tenant acme\n  \
        rollcall application token chat --tenant acme --token-file chat.token\n  \
        rollcall application resume chat --tenant acme"
    )]
    Restore {
        /// The name it is to have
        name: String,
        /// The file
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// Erase a tenant and everything of it for good; nothing can bring it back but an export
    Erase {
        /// Its name
        name: String,
        /// Its name again; asked for where it is left out
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
    },
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

/// The switches of a tenant.
#[derive(Args, Debug)]
pub struct Switches {
    /// Which kind of client it has; `rollcall profile list` shows all [default: standard]
    #[arg(long, alias = "quirks", value_name = "PROFILE")]
    profile: Option<String>,
    /// What PATCH answers with: the resource, with or without the members of a group, or nothing (204) [default: automatic]
    #[arg(long, value_enum, value_name = "ANSWER")]
    patch_response: Option<PatchAnswers>,
    /// How many days what was is kept; 0: not at all [default: 30]
    #[arg(long, value_name = "DAYS")]
    history_days: Option<u32>,
    /// How many days requests are kept; 0: not at all [default: 30]
    #[arg(long, value_name = "DAYS")]
    request_log_days: Option<u32>,
    /// How many days it is kept what was sent to applications [default: 90]
    #[arg(long, value_name = "DAYS")]
    provisioning_log_days: Option<u32>,
    /// What becomes of disables, deletes and membership removals that are too many at once [default: refuse]
    #[arg(long, value_enum, value_name = "MODE")]
    guard: Option<GuardMode>,
    /// The time in which they are counted [default: 60]
    #[arg(long, value_name = "MINUTES")]
    guard_window: Option<u32>,
    /// How many disables are let through, and how many of a hundred; both have to be exceeded [default: 10,10]
    #[arg(long, value_name = "COUNT,PERCENT", value_parser = parse_threshold)]
    guard_disables: Option<Threshold>,
    /// The same for deletes [default: 50,10]
    #[arg(long, value_name = "COUNT,PERCENT", value_parser = parse_threshold)]
    guard_deletes: Option<Threshold>,
    /// The same for members that leave groups [default: 100,20]
    #[arg(long, value_name = "COUNT,PERCENT", value_parser = parse_threshold)]
    guard_memberships: Option<Threshold>,
    /// Members and managers that are not there yet are accepted, and wait [default: profile]
    #[arg(long, value_enum, value_name = "CHOICE")]
    pending_references: Option<Choice>,
    /// A POST with the externalId or userName of a deleted resource gives it its id back [default: profile]
    #[arg(long, value_enum, value_name = "CHOICE")]
    revive_deleted: Option<Choice>,
    /// A POST with the externalId or userName of a disabled person enables that one [default: profile]
    #[arg(long, value_enum, value_name = "CHOICE")]
    revive_disabled: Option<Choice>,
    /// A POST that revived something answers 200 instead of 201 [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    revive_answers_200: Option<bool>,
    /// A group is refused a displayName that another group has [default: true]
    #[arg(long, value_name = "BOOL")]
    unique_group_names: Option<bool>,
    /// Members of groups are answered with their names in `display` [default: false]
    #[arg(long, value_name = "BOOL")]
    member_display: Option<bool>,
    /// A group without members is answered with `members: []` [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    empty_members: Option<bool>,
    /// Show the experimental type GroupMember among the resource types and schemas; /GroupMembers answers either way [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    announce_group_members: Option<bool>,
    /// A token that was good before is looked at also while others guess tokens from the same address [default: true]
    #[arg(long, value_name = "BOOL")]
    lockout_spares_known_tokens: Option<bool>,
}

/// What a tenant says to something that its profile has an opinion about.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Choice {
    /// Yes.
    True,
    /// No.
    False,
    /// As the client's profile says.
    Profile,
}

impl From<Choice> for Option<bool> {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::True => Some(true),
            Choice::False => Some(false),
            Choice::Profile => None,
        }
    }
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

fn parse_threshold(text: &str) -> Result<Threshold, String> {
    let numbers = text.split_once(',').and_then(|(count, percent)| {
        Some((count.trim().parse().ok()?, percent.trim().parse().ok()?))
    });
    numbers
        .map(|(count, percent)| Threshold { count, percent })
        .ok_or_else(|| "write COUNT,PERCENT, such as 10,10".into())
}

/// Sets what was named.
fn set<T>(setting: &mut T, wish: Option<impl Into<T>>) {
    if let Some(wish) = wish {
        *setting = wish.into();
    }
}

impl Switches {
    /// The settings with what was named; refuses what cannot be.
    fn on(self, mut settings: TenantSettings) -> Result<TenantSettings, Failure> {
        if let Some(profile) = &self.profile {
            settings.profile.clone_from(&find_profile(profile)?.name);
        }
        let mode = self.guard.map(|mode| match mode {
            GuardMode::Refuse => Mode::Refuse,
            GuardMode::Park => Mode::Park,
            GuardMode::Off => Mode::Off,
        });
        set(&mut settings.patch_response, self.patch_response);
        set(&mut settings.history_days, self.history_days);
        set(&mut settings.request_log_days, self.request_log_days);
        set(
            &mut settings.provisioning_log_days,
            self.provisioning_log_days,
        );
        set(&mut settings.guard.mode, mode);
        set(&mut settings.guard.window_minutes, self.guard_window);
        set(&mut settings.guard.disables, self.guard_disables);
        set(&mut settings.guard.deletes, self.guard_deletes);
        set(&mut settings.guard.memberships, self.guard_memberships);
        set(&mut settings.pending_references, self.pending_references);
        set(&mut settings.revive_deleted, self.revive_deleted);
        set(&mut settings.revive_disabled, self.revive_disabled);
        set(&mut settings.revive_answers_200, self.revive_answers_200);
        set(&mut settings.unique_group_names, self.unique_group_names);
        set(&mut settings.member_display, self.member_display);
        set(&mut settings.empty_members, self.empty_members);
        set(
            &mut settings.announce_group_members,
            self.announce_group_members,
        );
        set(
            &mut settings.lockout_spares_known_tokens,
            self.lockout_spares_known_tokens,
        );
        settings.check()?;
        Ok(settings)
    }
}

/// Runs it.
pub async fn run(
    command: Command,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    match command {
        Command::Create { name, switches } => {
            let settings = switches.on(TenantSettings::default())?;
            check_name(&name)?;
            let rollcall = Rollcall::open(configuration, Missing::Create).await?;
            let made = rollcall
                .store
                .tenants
                .create_tenant(&name, settings, rollcall.now())
                .await?;
            let tenant = made
                .ok_or_else(|| Failure::conflict(format!("there is a tenant `{name}` already")))?;
            let hint = format!(
                "Tenant {name} is there. Give it a token:\n  rollcall token create --tenant {name}"
            );
            output.say(hint, &tenant_json(&tenant));
        }
        Command::Edit { name, switches } => edit(&name, switches, configuration, output).await?,
        Command::List => {
            let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
            let tenants = rollcall.store.tenants.list_tenants().await?;
            let rows = tenants.iter().map(row).collect();
            let value = tenants.iter().map(tenant_json).collect();
            output.table(
                &["name", "profile", "base path", "created"],
                rows,
                "No tenants.",
                &Value::Array(value),
            );
        }
        Command::Suspend { name } => set_suspended(&name, true, configuration, output).await?,
        Command::Resume { name } => set_suspended(&name, false, configuration, output).await?,
        Command::Export { name, to } => export(&name, &to, configuration, output).await?,
        Command::Restore { name, from } => restore(&name, &from, configuration, output).await?,
        Command::Erase { name, confirm } => erase(&name, confirm, configuration, output).await?,
        Command::Show { name } => {
            let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
            let tenant = rollcall.tenant(&name).await?;
            output.table(
                &["name", "profile", "base path", "created"],
                vec![row(&tenant)],
                "",
                &tenant_json(&tenant),
            );
        }
    }
    Ok(())
}

async fn edit(
    name: &str,
    switches: Switches,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    let tenant = rollcall.tenant(name).await?;
    let settings = switches.on(tenant.settings.clone())?;
    if !rollcall.store.life.set_settings(&tenant, settings).await? {
        return Err(Failure::conflict(format!(
            "the tenant `{name}` was changed by somebody else meanwhile"
        ))
        .hint("try it again"));
    }
    output.say(
        format!("Tenant {name} is changed."),
        &tenant_json(&rollcall.tenant(name).await?),
    );
    Ok(())
}

async fn set_suspended(
    name: &str,
    suspended: bool,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    if name == DEFAULT_TENANT && suspended {
        return Err(Failure::refused(format!(
            "the tenant `{name}` cannot be suspended: whoever runs this installation calls by it"
        )));
    }
    let tenant = rollcall.tenant(name).await?;
    rollcall
        .store
        .life
        .set_suspended(tenant.id, suspended)
        .await?;
    let text = if suspended {
        "is suspended: its callers get 403, and nothing is sent to its applications"
    } else {
        "answers again"
    };
    output.say(
        format!("Tenant {name} {text}."),
        &tenant_json(&rollcall.tenant(name).await?),
    );
    Ok(())
}

async fn export(
    name: &str,
    to: &Path,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    let tenant = rollcall.tenant(name).await?;
    let to_stdout = to == Path::new("-");
    let progress = output.progress_in_lines(to_stdout, "exporting");
    if to_stdout {
        let sink = Box::new(Watched::new(std::io::stdout(), &progress));
        progress
            .during(rollcall.store.life.export(tenant.id, rollcall.now(), sink))
            .await?;
        return Ok(());
    }
    let refuse = |error| {
        Failure::refused(format!(
            "the file {} cannot be written: {error}",
            to.display()
        ))
    };
    let mut options = File::options();
    options.write(true).create_new(true);
    // Names and addresses of people are in it.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(to).map_err(refuse)?;
    let whole = file.try_clone().map_err(refuse)?;
    let sink = Box::new(BufWriter::new(Watched::new(file, &progress)));
    let exported = progress
        .during(rollcall.store.life.export(tenant.id, rollcall.now(), sink))
        .await;
    if exported.is_err() {
        // Half a file is none; that it cannot be removed is the smaller failure.
        drop(std::fs::remove_file(to));
    }
    let lines = exported?;
    whole.sync_all().map_err(refuse)?;
    let text = format!(
        "Tenant {name} is in {}: {lines} lines, without secrets.",
        to.display()
    );
    output.say(
        text,
        &json!({ "name": name, "file": to.display().to_string(), "lines": lines }),
    );
    Ok(())
}

async fn restore(
    name: &str,
    from: &Path,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    check_name(name)?;
    let file = File::open(from).map_err(|error| {
        Failure::not_found(format!(
            "the file {} cannot be read: {error}",
            from.display()
        ))
    })?;
    let rollcall = Rollcall::open(configuration, Missing::Create).await?;
    // It is read twice: nothing is written before all of it was checked.
    let progress = output.progress_in_bytes(file.metadata()?.len().saturating_mul(2), "restoring");
    let source = Box::new(Watched::new(file, &progress));
    let restored = progress
        .during(rollcall.store.life.restore(name, rollcall.now(), source))
        .await;
    let tenant = restored.map_err(|error| match error {
        RestoreError::NameTaken => Failure::conflict(format!("there is a tenant `{name}` already")),
        RestoreError::Refused(why) => {
            Failure::refused(format!("{}: {why}", from.display())).hint("nothing was changed")
        }
        RestoreError::Fault(fault) => fault.into(),
    })?;
    let text = format!(
        "Tenant {name} is restored, without secrets. Make it a token, and give its applications and receivers theirs:\n  \
         rollcall token create --tenant {name}\n  rollcall application token APPLICATION --tenant {name} --token-file FILE\n  \
         rollcall receiver rotate-secret RECEIVER --tenant {name}"
    );
    output.say(text, &tenant_json(&tenant));
    Ok(())
}

async fn erase(
    name: &str,
    confirm: Option<String>,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    let tenant = rollcall.tenant(name).await?;
    let again = if let Some(again) = confirm {
        again
    } else {
        output.note(format!("Everything of the tenant {name} will be gone for good. Write its name again to erase it:"));
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        line.trim().to_owned()
    };
    if again != name {
        return Err(Failure::refused(format!(
            "`{again}` is not `{name}`; nothing was erased"
        )));
    }
    let erase = async {
        rollcall.store.life.erase(tenant.id).await?;
        // It may be in a file of its own.
        rollcall.store.request_log.erase(tenant.id).await
    };
    output.waiting("erasing").during(erase).await?;
    output.say(
        format!("Tenant {name} is erased."),
        &json!({ "name": name, "state": "erased" }),
    );
    Ok(())
}

fn row(tenant: &Tenant) -> Vec<String> {
    vec![
        tenant.name.clone(),
        tenant.settings.profile.clone(),
        base_path(&tenant.name),
        instant(tenant.created),
    ]
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
