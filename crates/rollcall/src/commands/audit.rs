//! `rollcall audit`: what administrators did, as the audit log has it, and whether its chain of hashes fits together. Changes nothing.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use administration::audit::{AuditEntry, COUNT_MAX, Verified};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use storage::private_files::private_options;

use crate::admin_client::{AdminClient, Destination, Request};
use crate::failure::Failure;
use crate::operations::{
    LIST_AUDIT, LIST_INSTALLATION_AUDIT, VERIFY_AUDIT, VERIFY_INSTALLATION_AUDIT,
};
use crate::output::{Output, printable};

/// `rollcall audit ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Show the newest entries: who did what, to what, when, and from where
    #[command(
        after_help = "Examples:\n  rollcall audit list\n  rollcall audit list --installation --count 20 --json"
    )]
    List(List),
    /// Write all entries, oldest first, one line of JSON each, with the hashes that prove them
    #[command(
        after_help = "Examples:\n  rollcall audit export --to audit.jsonl\n  rollcall audit export | jq .entry.act"
    )]
    Export(Export),
    /// Recompute the chain of hashes, and name the first entry that does not fit
    Verify(Which),
}

/// Whose log.
#[derive(Args, Debug)]
pub struct Which {
    /// The tenant
    #[arg(long, value_name = "NAME", default_value = "default")]
    tenant: String,
    /// The log of the installation instead: tenants that were made, restored and erased
    #[arg(long, conflicts_with = "tenant")]
    installation: bool,
}

/// `rollcall audit list`
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    which: Which,
    /// Only those after the entry with this number
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(COUNT_MAX)))]
    count: u32,
}

/// `rollcall audit export`
#[derive(Args, Debug)]
pub struct Export {
    #[command(flatten)]
    which: Which,
    /// The file to write, which must not be there yet; without it, standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
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
        Command::Export(arguments) => export(&client, &arguments, output).await,
        Command::Verify(which) => verify(&client, &which, output).await,
    }
}

impl Which {
    fn entries<'a>(&self, client: &'a AdminClient) -> Request<'a> {
        if self.installation {
            client.request(&LIST_INSTALLATION_AUDIT, &[])
        } else {
            client.request(&LIST_AUDIT, &[&self.tenant])
        }
    }
}

async fn list(client: &AdminClient, arguments: &List, output: Output) -> Result<(), Failure> {
    let entries: Vec<AuditEntry> = arguments
        .which
        .entries(client)
        .query_if("after", arguments.after)
        .query("count", arguments.count)
        .answer()
        .await?;
    let rows = entries.iter().map(row).collect();
    let headers = ["number", "when", "who", "role", "from", "act", "on"];
    output.table(&headers, rows, "No entries.", &json!(entries));
    Ok(())
}

fn row(entry: &AuditEntry) -> Vec<String> {
    let text = |pointer: &str| {
        let value = entry.entry.pointer(pointer).and_then(Value::as_str);
        printable(value.unwrap_or("-"))
    };
    vec![
        entry.number.to_string(),
        text("/at"),
        text("/actor/name"),
        text("/actor/role"),
        text("/actor/from"),
        text("/act"),
        text("/on"),
    ]
}

async fn export(client: &AdminClient, arguments: &Export, output: Output) -> Result<(), Failure> {
    let mut file = match &arguments.to {
        Some(path) => Some(BufWriter::new(new_file(path)?)),
        None => None,
    };
    let mut after = 0;
    loop {
        let entries: Vec<AuditEntry> = arguments
            .which
            .entries(client)
            .query("after", after)
            .query("count", COUNT_MAX)
            .answer()
            .await?;
        let Some(last) = entries.last() else { break };
        after = last.number;
        for entry in &entries {
            let line = serde_json::to_string(entry).unwrap_or_default();
            match &mut file {
                Some(file) => writeln!(file, "{line}")?,
                None => output.line(line),
            }
        }
    }
    if let (Some(mut file), Some(path)) = (file, &arguments.to) {
        file.flush()?;
        file.get_ref().sync_all()?;
        let path = path.display();
        output.say(
            format!("The audit log is in {path}."),
            &json!({ "file": path.to_string(), "last": after }),
        );
    }
    Ok(())
}

fn new_file(path: &Path) -> Result<File, Failure> {
    private_options()
        .create_new(true)
        .write(true)
        .open(path)
        .map_err(|error| Failure::refused(format!("{} cannot be made: {error}", path.display())))
}

async fn verify(client: &AdminClient, which: &Which, output: Output) -> Result<(), Failure> {
    let request = if which.installation {
        client.request(&VERIFY_INSTALLATION_AUDIT, &[])
    } else {
        client.request(&VERIFY_AUDIT, &[&which.tenant])
    };
    let verified: Verified = request.answer().await?;
    if let Some(broken) = &verified.broken {
        return Err(Failure::failed(format!(
            "the audit log does not fit together at entry {}: {}",
            broken.number, broken.why
        ))
        .hint("compare it with an export or a backup from before"));
    }
    let text = format!(
        "All {} entries fit together; the newest has the hash {}.",
        verified.entries, verified.hash
    );
    output.say(text, &json!(verified));
    Ok(())
}
