//! `rollcall requests`: what clients sent to a tenant, what it was understood as, and what became of it. Only reads.

use clap::{Args, Subcommand};
use directory::request_log::{RequestEntry, RequestFilter};
use jiff::Timestamp;
use scim_protocol::quirk::Quirk;
use serde_json::{Value, json};

use crate::commands::TenantArgument;
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::{Output, instant};
use crate::wiring::{Missing, Rollcall};

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
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    match command {
        Command::List(list) => {
            let tenant = rollcall.tenant(&list.tenant.tenant).await?;
            let mut entries = rollcall
                .store
                .request_log
                .list(tenant.id, list.filter()?)
                .await?;
            entries.reverse();
            let rows = entries.iter().map(row).collect();
            let headers = [
                "when", "id", "method", "path", "status", "ms", "client", "adapted", "detail",
            ];
            output.table(&headers, rows, "No requests.", &json!(entries));
        }
        Command::Show { id, tenant } => {
            let tenant = rollcall.tenant(&tenant.tenant).await?;
            let entry = match id.parse() {
                Ok(id) => rollcall.store.request_log.find(tenant.id, id).await?,
                Err(_) => None,
            };
            let missing = || {
                Failure::not_found(format!(
                    "there is no request `{id}` in the log of the tenant {}",
                    tenant.name
                ))
            };
            show(&entry.ok_or_else(missing)?, output);
        }
        Command::Quirks(argument) => {
            let tenant = rollcall.tenant(&argument.tenant).await?;
            let uses = rollcall.store.request_log.quirk_uses(tenant.id).await?;
            let profile = tenant.settings.client_profile();
            let tolerated = profile
                .iter()
                .flat_map(|profile| &profile.tolerates)
                .map(|tolerated| tolerated.quirk.name());
            let unused: Vec<&str> = tolerated
                .filter(|name| uses.iter().all(|used| used.quirk != *name))
                .collect();
            let rows = uses
                .iter()
                .map(|used| {
                    vec![
                        used.quirk.clone(),
                        used.credential.clone(),
                        used.requests.to_string(),
                        instant(used.last_used),
                    ]
                })
                .collect();
            let value = json!({ "profile": profile.map(|profile| &profile.name), "uses": uses, "neverUsed": unused });
            output.table(
                &["quirk", "client", "requests", "last used"],
                rows,
                "No quirk has acted yet.",
                &value,
            );
            if !output.is_json() && !unused.is_empty() {
                output.line(format!("never used: {}", unused.join(", ")));
            }
        }
    }
    Ok(())
}

impl List {
    fn filter(&self) -> Result<RequestFilter, Failure> {
        let (status_min, status_max) = match self.status.as_deref() {
            None => (0, 999),
            Some(text) => statuses(text).ok_or_else(|| {
                Failure::usage(format!("`{text}` is no status"))
                    .hint("write a status (409) or a class of them (4xx)")
            })?,
        };
        let quirk = match self.quirk.as_deref() {
            None => None,
            Some(name) => Some(Quirk::by_name(name).ok_or_else(|| {
                Failure::not_found(format!("there is no quirk `{name}`"))
                    .hint("`rollcall profile show standard` shows all")
            })?),
        };
        Ok(RequestFilter {
            status_min,
            status_max,
            quirk,
            resource_id: self.resource.clone(),
            since: self.since,
            limit: self.limit,
            ..RequestFilter::default()
        })
    }
}

fn statuses(text: &str) -> Option<(u16, u16)> {
    match text.strip_suffix("xx") {
        Some(class) => class
            .parse()
            .ok()
            .filter(|class| (1..=5).contains(class))
            .map(|class: u16| (class * 100, class * 100 + 99)),
        None => text.parse().ok().map(|status| (status, status)),
    }
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

#[cfg(test)]
mod tests {
    use super::statuses;

    #[test]
    fn classes_of_statuses() {
        assert_eq!(statuses("4xx"), Some((400, 499)));
        assert_eq!(statuses("409"), Some((409, 409)));
        assert_eq!((statuses("9xx"), statuses("four")), (None, None));
    }
}
