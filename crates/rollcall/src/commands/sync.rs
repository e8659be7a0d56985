//! `rollcall sync`: what is on its way to applications, and what was sent. Sends nothing itself: the running `serve` does.

use clap::{Args, Subcommand};
use directory::tenant::Tenant;
use jiff::Timestamp;
use provisioning::application::{Application, ApplicationId, ApplicationState};
use provisioning::dry_run::Plan;
use provisioning::ledger::{Next, OutOfDate, SyncStatus};
use provisioning::provisioning_log::LogEntry;
use serde_json::{Value, json};

use crate::commands::application::state_name;
use crate::commands::{TenantArgument, find_application};
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::{Output, instant};
use crate::wiring::{Missing, Rollcall};

/// `rollcall sync ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// How each application stands
    Status(TenantArgument),
    /// What was sent to applications and what came back, newest last
    #[command(
        after_help = "Examples:\n  rollcall sync log --application chat\n  rollcall sync log --user ada@example.com --json"
    )]
    Log(Log),
    /// Compare everything (or one person or group) with applications again; the running `serve` does the work
    #[command(
        after_help = "Examples:\n  rollcall sync now\n  rollcall sync now --application chat --user ada@example.com"
    )]
    Now(About),
    /// Show what an application would be sent about one person if it were compared now; sends nothing
    #[command(after_help = "Examples:\n  rollcall sync plan ada@example.com --application chat")]
    Plan(PlanOf),
}

/// `rollcall sync plan`
#[derive(Args, Debug)]
pub struct PlanOf {
    /// Whom it is about (id or userName)
    #[arg(value_name = "PERSON")]
    person: String,
    /// Which application
    #[arg(long, value_name = "NAME")]
    application: String,
    #[command(flatten)]
    tenant: TenantArgument,
}

/// What it is about.
#[derive(Args, Debug)]
pub struct About {
    #[command(flatten)]
    tenant: TenantArgument,
    /// Only this application
    #[arg(long, value_name = "NAME")]
    application: Option<String>,
    /// Only this person (id or userName)
    #[arg(long, value_name = "USER", conflicts_with = "group")]
    user: Option<String>,
    /// Only this group (id or displayName)
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

/// `rollcall sync log`
#[derive(Args, Debug)]
pub struct Log {
    #[command(flatten)]
    about: About,
    /// At most this many lines
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

/// Runs it.
pub async fn run(
    command: Command,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    match command {
        Command::Status(argument) => {
            let tenant = rollcall.tenant(&argument.tenant).await?;
            status(&rollcall, &tenant, output).await
        }
        Command::Log(arguments) => log(&rollcall, arguments, output).await,
        Command::Now(arguments) => now(&rollcall, arguments, output).await,
        Command::Plan(arguments) => plan(&rollcall, &arguments, output).await,
    }
}

async fn status(rollcall: &Rollcall, tenant: &Tenant, output: Output) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for application in rollcall
        .store
        .catalogue
        .list_applications(tenant.id)
        .await?
    {
        let status = rollcall
            .store
            .ledger
            .status(tenant.id, application.id)
            .await?;
        let numbers = [status.linked, status.waiting, status.retrying, status.held]
            .map(|number| number.to_string());
        let mut row = vec![
            application.name.clone(),
            state_name(application.state).to_owned(),
        ];
        row.extend(numbers);
        row.push(verdict(application.state, &status).to_owned());
        rows.push(row);
        values.push(json!({ "application": application.name, "state": state_name(application.state), "status": status }));
    }
    let empty = "No applications. Add one:\n  rollcall application add NAME --base-url URL --token-file FILE";
    output.table(
        &[
            "application",
            "state",
            "linked",
            "waiting",
            "retrying",
            "held",
            "",
        ],
        rows,
        empty,
        &Value::Array(values),
    );
    Ok(())
}

fn verdict(state: ApplicationState, status: &SyncStatus) -> &'static str {
    match (state, status) {
        (
            _,
            SyncStatus {
                waiting: 0,
                retrying: 0,
                held: 0,
                ..
            },
        ) => "equal to the directory",
        (ApplicationState::Paused, _) => "paused: changes wait",
        (_, SyncStatus { held: 1.., .. }) => "something is held: see `rollcall sync log`",
        (_, SyncStatus { retrying: 1.., .. }) => "being tried again: see `rollcall sync log`",
        _ => "on its way",
    }
}

async fn log(rollcall: &Rollcall, arguments: Log, output: Output) -> Result<(), Failure> {
    let Log { about, limit } = arguments;
    let tenant = rollcall.tenant(&about.tenant.tenant).await?;
    let identities = rollcall.identities(&tenant).await?;
    let applications = rollcall
        .store
        .catalogue
        .list_applications(tenant.id)
        .await?;
    let chosen = match &about.application {
        Some(name) => Some(find_application(rollcall, &tenant, name).await?.id),
        None => None,
    };
    // A person who is gone is not found by name any more, but its log is still there under its id.
    let resource = match (&about.user, &about.group) {
        (Some(user), _) => Some(
            identities
                .find_id("User", user)
                .await?
                .unwrap_or_else(|| user.clone()),
        ),
        (_, Some(group)) => Some(
            identities
                .find_id("Group", group)
                .await?
                .unwrap_or_else(|| group.clone()),
        ),
        _ => None,
    };
    let mut entries = rollcall
        .store
        .ledger
        .read_log(tenant.id, chosen, resource.as_deref(), limit)
        .await?;
    entries.reverse();
    let rows = entries
        .iter()
        .map(|entry| log_row(entry, name_of(&applications, entry.application)))
        .collect();
    let values = entries
        .iter()
        .map(|entry| log_json(entry, name_of(&applications, entry.application)))
        .collect();
    let headers = [
        "when",
        "application",
        "resource",
        "step",
        "request",
        "status",
        "ms",
        "outcome",
        "detail",
    ];
    output.table(
        &headers,
        rows,
        "Nothing was sent yet.",
        &Value::Array(values),
    );
    Ok(())
}

fn name_of(applications: &[Application], id: ApplicationId) -> &str {
    applications
        .iter()
        .find(|application| application.id == id)
        .map_or("-", |application| application.name.as_str())
}

fn log_row(entry: &LogEntry, application: &str) -> Vec<String> {
    let detail: String = entry.detail.chars().take(80).collect();
    vec![
        instant(entry.at),
        application.to_owned(),
        format!("{} {}", entry.resource_type, entry.display),
        entry.step.clone(),
        entry.request.clone(),
        entry
            .status
            .map_or_else(|| "-".into(), |status| status.to_string()),
        entry.duration_milliseconds.to_string(),
        entry.outcome.clone(),
        detail,
    ]
}

fn log_json(entry: &LogEntry, application: &str) -> Value {
    let mut value = json!(entry);
    if let Some(map) = value.as_object_mut() {
        map.insert("application".into(), application.into());
    }
    value
}

async fn now(rollcall: &Rollcall, about: About, output: Output) -> Result<(), Failure> {
    let tenant = rollcall.tenant(&about.tenant.tenant).await?;
    let applications = match &about.application {
        Some(name) => vec![find_application(rollcall, &tenant, name).await?],
        None => {
            rollcall
                .store
                .catalogue
                .list_applications(tenant.id)
                .await?
        }
    };
    let identities = rollcall.identities(&tenant).await?;
    let one = match (&about.user, &about.group) {
        (Some(user), _) => Some(("User", identities.require_id("User", user).await?)),
        (_, Some(group)) => Some(("Group", identities.require_id("Group", group).await?)),
        _ => None,
    };
    let at = rollcall.now();
    let mut values = Vec::new();
    for application in &applications {
        let marked = match &one {
            Some((resource_type, id)) => {
                let pair = on_demand(application.id, resource_type, id, at);
                rollcall
                    .store
                    .ledger
                    .mark_out_of_date(tenant.id, None, vec![pair])
                    .await?;
                1
            }
            None => {
                rollcall
                    .store
                    .ledger
                    .mark_all(tenant.id, application.id, at)
                    .await?
            }
        };
        values.push(json!({ "application": application.name, "marked": marked }));
        if !output.is_json() {
            output.line(format!(
                "{}: {marked} to be compared; the running `serve` does it, `rollcall sync status` shows how far it is.",
                application.name
            ));
        }
    }
    if output.is_json() {
        output.json(&Value::Array(values));
    } else if applications.is_empty() {
        output.line("No applications.");
    }
    Ok(())
}

async fn plan(rollcall: &Rollcall, arguments: &PlanOf, output: Output) -> Result<(), Failure> {
    let tenant = rollcall.tenant(&arguments.tenant.tenant).await?;
    let application = find_application(rollcall, &tenant, &arguments.application).await?;
    // Somebody who is gone is not found by name any more, and has an id.
    let found = rollcall
        .identities(&tenant)
        .await?
        .find_id("User", &arguments.person)
        .await?;
    let id = found.unwrap_or_else(|| arguments.person.clone());
    let dry_run = rollcall.dry_run();
    let planned = dry_run
        .plan(tenant.id, &application, "User", &id, rollcall.now())
        .await?;
    let Plan {
        writes,
        next,
        lines,
    } = planned.ok_or_else(|| Failure::failed("people are not provisioned"))?;
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for write in &writes {
        let (step, account, what) = write.explain();
        let account = account.map_or_else(|| "-".to_owned(), ToString::to_string);
        rows.push(vec![
            step.to_owned(),
            account.clone(),
            if what.is_null() {
                String::new()
            } else {
                what.to_string()
            },
        ]);
        values.push(json!({ "step": step, "account": account, "what": what }));
    }
    let remarks: Vec<&LogEntry> = lines.iter().filter(|line| line.outcome != "done").collect();
    if let (Some(remark), false) = (remarks.last(), next == Next::Done) {
        let text = format!(
            "{} could not be planned to its end: {}",
            arguments.application, remark.detail
        );
        return Err(Failure::failed(text)
            .hint("`rollcall application test` says whether the application answers"));
    }
    let empty = "Nothing would be sent: the account is as it should be.";
    output.table(
        &["step", "account", "what"],
        rows,
        empty,
        &Value::Array(values),
    );
    Ok(())
}

/// A pair that goes before everything but revocations, and whose account is read and compared.
fn on_demand(
    application: ApplicationId,
    resource_type: &str,
    id: &str,
    at: Timestamp,
) -> OutOfDate {
    OutOfDate {
        application,
        resource_type: resource_type.to_owned(),
        resource_id: id.to_owned(),
        priority: 1,
        due: at,
        verify: true,
    }
}
