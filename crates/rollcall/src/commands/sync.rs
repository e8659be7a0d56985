//! `rollcall sync`: what is on its way to applications, and what was sent. Sends nothing itself: the running `serve` does.

use administration::sync::{LINES_MAX, Line, Marked, Planned, Resource, Status, Wanted};
use clap::{Args, Subcommand};
use provisioning::application::ApplicationState;
use provisioning::ledger::SyncStatus;
use serde_json::json;

use crate::admin_client::{AdminClient, Destination};
use crate::commands::TenantArgument;
use crate::commands::application::{hinted, state_name};
use crate::failure::Failure;
use crate::operations::{COMPARE_AGAIN, PLAN_SYNC, SYNC_LOG, SYNC_STATUS};
use crate::output::{Output, instant};

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
    destination: &Destination<'_>,
    output: Output,
) -> Result<(), Failure> {
    let client = destination.open().await?;
    match command {
        Command::Status(argument) => status(&client, &argument.tenant, output).await,
        Command::Log(arguments) => log(&client, arguments, output).await,
        Command::Now(arguments) => now(&client, arguments, output).await,
        Command::Plan(arguments) => plan(&client, &arguments, output).await,
    }
}

async fn status(client: &AdminClient, tenant: &str, output: Output) -> Result<(), Failure> {
    let all: Vec<Status> = client.request(&SYNC_STATUS, &[tenant]).answer().await?;
    let row = |one: &Status| {
        let SyncStatus {
            linked,
            waiting,
            retrying,
            held,
        } = one.status;
        let mut row = vec![one.application.clone(), state_name(one.state).to_owned()];
        row.extend([linked, waiting, retrying, held].map(|number| number.to_string()));
        row.push(verdict(one.state, &one.status).to_owned());
        row
    };
    let empty = "No applications. Add one:\n  rollcall application add NAME --base-url URL --token-file FILE";
    let headers = [
        "application",
        "state",
        "linked",
        "waiting",
        "retrying",
        "held",
        "",
    ];
    output.table(&headers, all.iter().map(row).collect(), empty, &json!(all));
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

async fn log(client: &AdminClient, arguments: Log, output: Output) -> Result<(), Failure> {
    let Log { about, limit } = arguments;
    let tenant = &about.tenant.tenant;
    // A person who is gone is not found by name any more, but the log is still there under the id.
    let resource = match about.named() {
        Some((kind, name)) => {
            let found = client.find_id(tenant, kind, name).await?;
            Some(found.unwrap_or_else(|| name.to_owned()))
        }
        None => None,
    };
    let request = client
        .request(&SYNC_LOG, &[tenant])
        .query_if("application", about.application.as_ref())
        .query_if("resource", resource)
        .query("limit", limit.min(LINES_MAX));
    let lines: Vec<Line> = request.answer().await.map_err(hinted)?;
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
        lines.iter().map(log_row).collect(),
        "Nothing was sent yet.",
        &json!(lines),
    );
    Ok(())
}

fn log_row(line: &Line) -> Vec<String> {
    let entry = &line.entry;
    let detail: String = entry.detail.chars().take(80).collect();
    vec![
        instant(entry.at),
        line.application.clone(),
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

impl About {
    /// The type and the name, or the id, of the resource that it is about.
    fn named(&self) -> Option<(&'static str, &str)> {
        match (&self.user, &self.group) {
            (Some(user), _) => Some(("User", user)),
            (_, Some(group)) => Some(("Group", group)),
            _ => None,
        }
    }
}

async fn now(client: &AdminClient, about: About, output: Output) -> Result<(), Failure> {
    let tenant = &about.tenant.tenant;
    let resource = match about.named() {
        Some((kind, name)) => {
            let found = client.find_id(tenant, kind, name).await?;
            let missing = || {
                let kind = kind.to_lowercase();
                Failure::not_found(format!("there is no {kind} `{name}` in tenant {tenant}"))
            };
            Some(Resource {
                kind: kind.to_owned(),
                id: found.ok_or_else(missing)?,
            })
        }
        None => None,
    };
    let wanted = Wanted {
        application: about.application.clone(),
        resource,
    };
    let request = client.request(&COMPARE_AGAIN, &[tenant]).body(&wanted);
    let all: Vec<Marked> = request.answer().await.map_err(hinted)?;
    if output.is_json() {
        output.json(&json!(all));
    } else if all.is_empty() {
        output.line("No applications.");
    }
    for Marked {
        application,
        marked,
    } in all.iter().filter(|_| !output.is_json())
    {
        output.line(format!(
            "{application}: {marked} to be compared; the running `serve` does it, `rollcall sync status` shows how far it is."
        ));
    }
    Ok(())
}

async fn plan(client: &AdminClient, arguments: &PlanOf, output: Output) -> Result<(), Failure> {
    let tenant = &arguments.tenant.tenant;
    // Somebody who is gone is not found by name any more, and has an id.
    let found = client.find_id(tenant, "User", &arguments.person).await?;
    let request = client
        .request(&PLAN_SYNC, &[tenant])
        .query("application", &arguments.application)
        .query("person", found.as_ref().unwrap_or(&arguments.person));
    let planned: Planned = request.answer().await.map_err(hinted)?;
    if let Some(problem) = &planned.problem {
        let text = format!(
            "{} could not be planned to its end: {problem}",
            arguments.application
        );
        return Err(Failure::failed(text)
            .hint("`rollcall application test` says whether the application answers"));
    }
    let rows = planned.steps.iter().map(|step| {
        let what = match &step.what {
            what if what.is_null() => String::new(),
            what => what.to_string(),
        };
        let account = step.account.clone().unwrap_or_else(|| "-".to_owned());
        vec![step.step.clone(), account, what]
    });
    let empty = "Nothing would be sent: the account is as it should be.";
    let values = planned.steps.iter().map(|step| {
        json!({ "step": step.step, "account": step.account.as_deref().unwrap_or("-"), "what": step.what })
    });
    output.table(
        &["step", "account", "what"],
        rows.collect(),
        empty,
        &values.collect(),
    );
    Ok(())
}
