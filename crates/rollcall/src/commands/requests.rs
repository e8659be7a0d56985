//! `rollcall requests`: what clients sent to a tenant, what it was understood as, and what became of it. Only reads.

use administration::requests::{LIMIT_MAX, QuirkUses, Requests, statuses};
use clap::{Args, Subcommand};
use directory::request_log::{QuirkUse, RequestEntry};
use jiff::Timestamp;
use scim_protocol::quirk::Quirk;
use serde_json::{Value, json};

use crate::admin_client::{AdminClient, Destination};
use crate::commands::TenantArgument;
use crate::failure::Failure;
use crate::operations::{LIST_QUIRKS, LIST_REQUESTS, READ_REQUEST};
use crate::output::{Output, instant};

/// `rollcall requests ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List requests, newest last
    #[command(
        after_help = "Examples:\n  rollcall requests list --status 4xx\n  rollcall requests list --quirk op-case --json"
    )]
    List(List),
    /// Show one request: what came, what was adapted, what changed
    Show {
        /// Its id, as in the header X-Request-Id of its answer
        id: String,
        #[command(flatten)]
        tenant: TenantArgument,
    },
    /// How often each quirk acted for each client, and which of the profile never did
    Quirks(TenantArgument),
}

/// `rollcall requests list`
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    tenant: TenantArgument,
    /// Only this status, or this class of them (4xx)
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only where this quirk acted
    #[arg(long, value_name = "NAME")]
    quirk: Option<String>,
    /// Only about the resource with this id
    #[arg(long, value_name = "ID")]
    resource: Option<String>,
    /// Not older than this instant (RFC 3339)
    #[arg(long, value_name = "INSTANT")]
    since: Option<Timestamp>,
    /// At most this many
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
        Command::List(arguments) => list(&client, &arguments, output).await,
        Command::Show { id, tenant } => {
            let request = client.request(&READ_REQUEST, &[&tenant.tenant, &id]);
            let entry: RequestEntry = request.answer().await?;
            show(&entry, output);
            Ok(())
        }
        Command::Quirks(argument) => quirks(&client, &argument.tenant, output).await,
    }
}

async fn list(client: &AdminClient, arguments: &List, output: Output) -> Result<(), Failure> {
    arguments.check()?;
    let mut entries: Vec<RequestEntry> = Vec::new();
    // The server answers only so many at once.
    while entries.len() < arguments.limit {
        let count = (arguments.limit - entries.len()).min(LIMIT_MAX);
        let page: Requests = client
            .request(&LIST_REQUESTS, &[&arguments.tenant.tenant])
            .query_if("status", arguments.status.as_ref())
            .query_if("quirk", arguments.quirk.as_ref())
            .query_if("resource", arguments.resource.as_ref())
            .query_if("since", arguments.since)
            .query_if("before", entries.last().map(|entry| entry.id))
            .query("limit", count)
            .answer()
            .await?;
        let is_last = page.requests.len() < count;
        entries.extend(page.requests);
        if is_last {
            break;
        }
    }
    entries.reverse();
    let rows = entries.iter().map(row).collect();
    let headers = [
        "when", "id", "method", "path", "status", "ms", "client", "adapted", "detail",
    ];
    output.table(&headers, rows, "No requests.", &json!(entries));
    Ok(())
}

impl List {
    /// Refuses what is misspelt before a server is asked.
    fn check(&self) -> Result<(), Failure> {
        if let Some(text) = self
            .status
            .as_deref()
            .filter(|text| statuses(text).is_none())
        {
            return Err(Failure::usage(format!("`{text}` is no status"))
                .hint("write a status (409) or a class of them (4xx)"));
        }
        let unknown = |name: &&str| Quirk::by_name(name).is_none();
        if let Some(name) = self.quirk.as_deref().filter(unknown) {
            return Err(Failure::not_found(format!("there is no quirk `{name}`"))
                .hint("`rollcall profile show standard` shows all"));
        }
        Ok(())
    }
}

async fn quirks(client: &AdminClient, tenant: &str, output: Output) -> Result<(), Failure> {
    let found: QuirkUses = client.request(&LIST_QUIRKS, &[tenant]).answer().await?;
    let row = |used: &QuirkUse| {
        vec![
            used.quirk.clone(),
            used.credential.clone(),
            used.requests.to_string(),
            instant(used.last_used),
        ]
    };
    output.table(
        &["quirk", "client", "requests", "last used"],
        found.uses.iter().map(row).collect(),
        "No quirk has acted yet.",
        &json!(found),
    );
    if !output.is_json() && !found.never_used.is_empty() {
        output.line(format!("never used: {}", found.never_used.join(", ")));
    }
    Ok(())
}

fn row(entry: &RequestEntry) -> Vec<String> {
    let quirks: Vec<&str> = entry
        .adaptations
        .iter()
        .map(|adaptation| adaptation.quirk.name())
        .collect();
    vec![
        instant(entry.at),
        entry.id.to_string(),
        entry.method.clone(),
        entry.path.clone(),
        if entry.dry_run {
            format!("{} (dry run)", entry.status)
        } else {
            entry.status.to_string()
        },
        (entry.duration_micros / 1_000).to_string(),
        entry.credential.clone().unwrap_or_else(|| "-".into()),
        quirks.join(", "),
        entry
            .detail
            .clone()
            .unwrap_or_default()
            .chars()
            .take(80)
            .collect(),
    ]
}

fn show(entry: &RequestEntry, output: Output) {
    let value: Value = json!(entry);
    if output.is_json() {
        return output.json(&value);
    }
    let resource = entry
        .resource_id
        .as_deref()
        .map(|id| format!(" ({id})"))
        .unwrap_or_default();
    output.line(format!(
        "{} {}{resource}: {}",
        entry.method, entry.path, entry.status
    ));
    for adaptation in &entry.adaptations {
        output.line(format!(
            "  adapted: {} ({})",
            adaptation.what,
            adaptation.quirk.name()
        ));
    }
    for change in &entry.changes {
        output.line(format!(
            "  changed: {} {} is now version {}",
            change.resource_type, change.id, change.version
        ));
    }
    if let Some(detail) = &entry.detail {
        output.line(format!("  refused: {detail}"));
    }
    output.json(&value);
}
