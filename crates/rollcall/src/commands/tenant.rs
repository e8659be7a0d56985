//! `rollcall tenant`: isolated directories in one database.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use administration::Administration;
use administration::tenants::{self, Change, NewTenant, Tenant};
use clap::{Args, Subcommand, ValueEnum};
use directory::deletion_guard::{Mode, Threshold};
use directory::tenant::{PatchResponse, TenantSettings, check_name};
use serde_json::{Map, Value, json};

use crate::admin_client::{AdminClient, Destination};
use crate::commands::profile::find_profile;
use crate::failure::{Exit, Failure};
use crate::operations::{
    CHANGE_TENANT, CREATE_TENANT, ERASE_TENANT, LIST_TENANTS, RESUME_TENANT, SHOW_TENANT,
    SUSPEND_TENANT,
};
use crate::output::{Output, Watched, instant};
use crate::serving_url;
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

/// What has changed between two JSON objects, as a merge patch (RFC 7396).
fn difference(before: &Value, after: &Value) -> Map<String, Value> {
    let mut patch = Map::new();
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else {
        return patch;
    };
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in after {
        match before.get(name) {
            Some(old) if old == value => {}
            Some(old) if old.is_object() && value.is_object() => {
                patch.insert(name.clone(), difference(old, value).into());
            }
            _ => drop(patch.insert(name.clone(), value.clone())),
        }
    }
    patch
}

/// What helps where a tenant is not there.
fn hinted(failure: Failure) -> Failure {
    match failure.exit {
        Exit::NotFound => failure.hint("`rollcall tenant list` shows those that are there"),
        _ => failure,
    }
}

/// Runs it.
pub async fn run(
    command: Command,
    destination: &Destination<'_>,
    output: Output,
) -> Result<(), Failure> {
    match command {
        Command::Create { name, switches } => create(name, switches, destination, output).await,
        Command::Edit { name, switches } => {
            edit(&name, switches, &destination.open().await?, output).await
        }
        Command::List => {
            let client = destination.open().await?;
            let tenants: Vec<Tenant> = client.request(&LIST_TENANTS, &[]).answer().await?;
            let rows = tenants.iter().map(row).collect();
            let headers = ["name", "profile", "base path", "created"];
            output.table(&headers, rows, "No tenants.", &json!(tenants));
            Ok(())
        }
        Command::Suspend { name } => {
            let text = "is suspended: its callers get 403, and nothing is sent to its applications";
            let client = destination.open().await?;
            let request = client.request(&SUSPEND_TENANT, &[&name]);
            let tenant: Tenant = request.answer().await.map_err(hinted)?;
            output.say(format!("Tenant {name} {text}."), &json!(tenant));
            Ok(())
        }
        Command::Resume { name } => {
            let client = destination.open().await?;
            let request = client.request(&RESUME_TENANT, &[&name]);
            let tenant: Tenant = request.answer().await.map_err(hinted)?;
            output.say(format!("Tenant {name} answers again."), &json!(tenant));
            Ok(())
        }
        Command::Export { name, to } => export(&name, &to, destination, output).await,
        Command::Restore { name, from } => restore(&name, &from, destination, output).await,
        Command::Erase { name, confirm } => {
            erase(&name, confirm, &destination.open().await?, output).await
        }
        Command::Show { name } => {
            let client = destination.open().await?;
            let tenant = shown(&client, &name).await?;
            let headers = ["name", "profile", "base path", "created"];
            output.table(&headers, vec![row(&tenant)], "", &json!(tenant));
            Ok(())
        }
    }
}

async fn shown(client: &AdminClient, name: &str) -> Result<Tenant, Failure> {
    let request = client.request(&SHOW_TENANT, &[name]);
    request.answer().await.map_err(hinted)
}

async fn create(
    name: String,
    switches: Switches,
    destination: &Destination<'_>,
    output: Output,
) -> Result<(), Failure> {
    let settings = switches.on(TenantSettings::default())?;
    check_name(&name)?;
    let client = destination.open_or_make().await?;
    let new = NewTenant { name, settings };
    let request = client.request(&CREATE_TENANT, &[]).body(&new);
    let tenant: Tenant = request.answer().await?;
    let hint = format!(
        "Tenant {name} is there. Give it a token:\n  rollcall token create --tenant {name}",
        name = tenant.name
    );
    output.say(hint, &json!(tenant));
    Ok(())
}

async fn edit(
    name: &str,
    switches: Switches,
    client: &AdminClient,
    output: Output,
) -> Result<(), Failure> {
    let before = shown(client, name).await?.settings;
    let after = switches.on(before.clone())?;
    let change = Change {
        settings: difference(&json!(before), &json!(after)),
    };
    let request = client.request(&CHANGE_TENANT, &[name]).body(&change);
    let tenant: Tenant = request.answer().await.map_err(hinted)?;
    output.say(format!("Tenant {name} is changed."), &json!(tenant));
    Ok(())
}

/// The store of the data folder: a whole tenant goes from file to database, and not through memory.
async fn local(destination: &Destination<'_>, missing: Missing) -> Result<Administration, Failure> {
    if destination.remote.is_some() {
        return Err(Failure::usage(
            "a tenant is exported and restored on the machine of the data folder, so this takes no --url",
        )
        .hint("the admin API of a server does both: GET /admin/v1/tenants/NAME/export, POST /admin/v1/tenants/NAME/restore"));
    }
    let configuration = destination.configuration;
    let rollcall = Rollcall::open(configuration, missing).await?;
    let url = serving_url::find(configuration).url;
    let events = rollcall.events_of_command(&url, configuration);
    Ok(rollcall.administration(configuration, &events))
}

async fn export(
    name: &str,
    to: &Path,
    destination: &Destination<'_>,
    output: Output,
) -> Result<(), Failure> {
    let on = local(destination, Missing::Refuse).await?;
    let by = Rollcall::local_owner();
    let to_stdout = to == Path::new("-");
    let progress = output.progress_in_lines(to_stdout, "exporting");
    if to_stdout {
        let sink = Box::new(Watched::new(std::io::stdout(), &progress));
        let exported = progress.during(tenants::export(&on, &by, name, sink)).await;
        return exported.map(drop).map_err(|error| hinted(error.into()));
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
    let exported = progress.during(tenants::export(&on, &by, name, sink)).await;
    if exported.is_err() {
        // Half a file is none; that it cannot be removed is the smaller failure.
        drop(std::fs::remove_file(to));
    }
    let lines = exported.map_err(|error| hinted(error.into()))?;
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
    destination: &Destination<'_>,
    output: Output,
) -> Result<(), Failure> {
    check_name(name)?;
    let file = File::open(from).map_err(|error| {
        Failure::not_found(format!(
            "the file {} cannot be read: {error}",
            from.display()
        ))
    })?;
    let on = local(destination, Missing::Create).await?;
    let by = Rollcall::local_owner();
    // It is read twice: nothing is written before all of it was checked.
    let progress = output.progress_in_bytes(file.metadata()?.len().saturating_mul(2), "restoring");
    let source = Box::new(Watched::new(file, &progress));
    let restored = tenants::restore(&on, &by, name, source);
    let tenant = progress.during(restored).await?;
    let text = format!(
        "Tenant {name} is restored, without secrets. Make it a token, and give its applications and receivers theirs:\n  \
         rollcall token create --tenant {name}\n  rollcall application token APPLICATION --tenant {name} --token-file FILE\n  \
         rollcall receiver rotate-secret RECEIVER --tenant {name}"
    );
    output.say(text, &json!(tenant));
    Ok(())
}

async fn erase(
    name: &str,
    confirm: Option<String>,
    client: &AdminClient,
    output: Output,
) -> Result<(), Failure> {
    shown(client, name).await?;
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
    let request = client.request(&ERASE_TENANT, &[name]);
    let erased = request.query("confirm", again).done();
    output.waiting("erasing").during(erased).await?;
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
        tenant.base_path.clone(),
        instant(tenant.created),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_what_changed() {
        let check = |before: Value, after: Value, expected: Value| {
            assert_eq!(Value::from(difference(&before, &after)), expected);
        };
        check(json!({"a": 1}), json!({"a": 1}), json!({}));
        check(
            json!({"a": 1, "b": 2}),
            json!({"a": 3}),
            json!({"a": 3, "b": null}),
        );
        check(
            json!({"guard": {"mode": "off", "window": 1}}),
            json!({"guard": {"mode": "park", "window": 1}, "c": [1]}),
            json!({"guard": {"mode": "park"}, "c": [1]}),
        );
    }
}
