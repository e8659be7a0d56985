//! `rollcall history`: what resources were: versions, instants, deleted ones; restoring them, undoing a window; and references that wait.

use administration::history::{
    DeletedResource, HistoryEntry, NewUndo, Undone, WaitingReference, When,
};
use clap::{Args, Subcommand};
use directory::directory::UndoLine;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::admin_client::{AdminClient, Destination};
use crate::commands::{TenantArgument, show};
use crate::failure::Failure;
use crate::operations::{
    LIST_DELETED, LIST_HISTORY, LIST_PENDING, READ_HISTORY_THEN, RESTORE_RESOURCE, UNDO_CHANGES,
};
use crate::output::{Output, instant};

/// Members that are named in one line of a table.
const MEMBERS_MAX: usize = 3;

/// `rollcall history ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Every change of one resource that is remembered, oldest first
    List {
        /// Its id
        id: String,
        #[command(flatten)]
        tenant: TenantArgument,
    },
    /// A resource as it was
    #[command(
        after_help = "Examples:\n  rollcall history show 0190c0de-... --at 2026-11-24T09:00:00Z\n  rollcall history show 0190c0de-... --version 3"
    )]
    Show(Then),
    /// Give a resource back what it was; a deleted one its id, its members and its groups too
    Restore(Then),
    /// Deleted resources that are remembered, newest first
    Deleted(TenantArgument),
    /// Turn back what was done in a window, as far as later changes allow; says what that would be until --execute is there
    #[command(
        after_help = "Example:\n  rollcall history undo --from 2026-11-24T09:00:00Z --until 2026-11-24T10:00:00Z --credential TOKEN-ID --execute"
    )]
    Undo(Undo),
    /// References to people who are not there yet
    Pending(TenantArgument),
}

/// A resource at a moment.
#[derive(Args, Debug)]
pub struct Then {
    /// Its id
    id: String,
    /// The instant, such as 2026-11-24T09:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// The version
    #[arg(long, value_name = "N", conflicts_with = "at")]
    version: Option<u64>,
    #[command(flatten)]
    tenant: TenantArgument,
}

/// `rollcall history undo`
#[derive(Args, Debug)]
pub struct Undo {
    /// From this instant on
    #[arg(long, value_name = "TIME")]
    from: Timestamp,
    /// Before this instant
    #[arg(long, value_name = "TIME")]
    until: Timestamp,
    /// Only what this token did
    #[arg(long, value_name = "TOKEN-ID")]
    credential: Option<String>,
    /// Do it
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    tenant: TenantArgument,
}

/// Runs it.
pub async fn run(
    command: Command,
    destination: &Destination<'_>,
    output: Output,
) -> Result<(), Failure> {
    let client = destination.open().await?;
    match command {
        Command::List { id, tenant } => list(&client, &id, &tenant.tenant, output).await,
        Command::Show(then) => {
            if then.at.is_none() && then.version.is_none() {
                return Err(Failure::usage("--at TIME or --version N says when"));
            }
            let was: Map<String, Value> = client
                .request(&READ_HISTORY_THEN, &[&then.tenant.tenant, &then.id])
                .query_if("at", then.at)
                .query_if("version", then.version)
                .answer()
                .await?;
            show(was, output);
            Ok(())
        }
        Command::Restore(then) => restore(&client, &then, output).await,
        Command::Deleted(argument) => deleted(&client, &argument.tenant, output).await,
        Command::Undo(arguments) => undo(&client, arguments, output).await,
        Command::Pending(argument) => pending(&client, &argument.tenant, output).await,
    }
}

async fn list(client: &AdminClient, id: &str, tenant: &str, output: Output) -> Result<(), Failure> {
    let request = client.request(&LIST_HISTORY, &[tenant, id]);
    let entries: Vec<HistoryEntry> = request.answer().await?;
    let row = |entry: &HistoryEntry| {
        vec![
            entry.version.to_string(),
            entry.kind.name().to_owned(),
            instant(entry.at),
            entry.credential.clone(),
            members(entry),
        ]
    };
    let values = entries.iter().map(|entry| {
        json!({
            "version": entry.version,
            "kind": entry.kind,
            "at": entry.at,
            "changeId": entry.change_id,
            "credentialId": entry.credential,
            "before": entry.before,
            "joined": entry.joined,
            "left": entry.left,
            "membersCut": entry.members_cut,
        })
    });
    let columns = ["version", "what", "when", "by", "members"];
    output.table(
        &columns,
        entries.iter().map(row).collect(),
        "Nothing is remembered of it.",
        &values.collect(),
    );
    Ok(())
}

/// Who joined and who left, the first of them by id.
fn members(entry: &HistoryEntry) -> String {
    let all = entry
        .joined
        .iter()
        .map(|id| format!("+{id}"))
        .chain(entry.left.iter().map(|id| format!("-{id}")));
    let mut words: Vec<String> = all.take(MEMBERS_MAX).collect();
    let more = entry.joined.len() + entry.left.len() - words.len();
    words.extend((more > 0).then(|| format!("and {more} more")));
    words.extend(entry.members_cut.then(|| "(cut)".to_owned()));
    words.join(" ")
}

async fn restore(client: &AdminClient, then: &Then, output: Output) -> Result<(), Failure> {
    let when = When {
        at: then.at.map(|at| at.to_string()),
        version: then.version,
    };
    let restored: Value = client
        .request(&RESTORE_RESOURCE, &[&then.tenant.tenant, &then.id])
        .body(&when)
        .answer()
        .await?;
    let text = |pointer: &str| {
        let value = restored.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    // A weak entity tag (RFC 7644 section 3.14) with the number of the version.
    let version = text("/meta/version");
    let version = version.trim_start_matches("W/").trim_matches('"');
    let text = format!(
        "{} {} is what it was; it has version {version} now.",
        text("/meta/resourceType"),
        text("/id")
    );
    output.say(text, &restored);
    Ok(())
}

async fn deleted(client: &AdminClient, tenant: &str, output: Output) -> Result<(), Failure> {
    let request = client.request(&LIST_DELETED, &[tenant]);
    let found: Vec<DeletedResource> = request.answer().await?;
    let rows = found.iter().map(|one| {
        vec![
            one.resource_type.clone(),
            one.display.clone(),
            instant(one.at),
            one.credential.clone(),
            one.id.clone(),
        ]
    });
    let values = found.iter().map(|one| {
        json!({ "resourceType": one.resource_type, "id": one.id, "display": one.display, "at": one.at, "credentialId": one.credential, "userName": one.user_name, "externalId": one.external_id })
    });
    output.table(
        &["type", "name", "deleted", "by", "id"],
        rows.collect(),
        "Nothing deleted is remembered.",
        &values.collect(),
    );
    Ok(())
}

async fn undo(client: &AdminClient, arguments: Undo, output: Output) -> Result<(), Failure> {
    let new = NewUndo {
        from: arguments.from.to_string(),
        until: arguments.until.to_string(),
        credential: arguments.credential,
        execute: arguments.execute,
    };
    let undone: Undone = client
        .request(&UNDO_CHANGES, &[&arguments.tenant.tenant])
        .body(&new)
        .answer()
        .await?;
    let row = |line: &UndoLine, state: &str| {
        vec![
            state.to_owned(),
            line.resource_type.clone(),
            line.id.clone(),
            line.what.clone(),
            line.why.clone(),
        ]
    };
    let done = if undone.executed {
        "undone"
    } else {
        "would undo"
    };
    let mut rows: Vec<Vec<String>> = undone.done.iter().map(|line| row(line, done)).collect();
    rows.extend(undone.skipped.iter().map(|line| row(line, "left")));
    output.table(
        &["", "type", "id", "what", "why"],
        rows,
        "Nothing is to be undone.",
        &json!(undone),
    );
    Ok(())
}

async fn pending(client: &AdminClient, tenant: &str, output: Output) -> Result<(), Failure> {
    let request = client.request(&LIST_PENDING, &[tenant]);
    let found: Vec<WaitingReference> = request.answer().await?;
    let rows = found.iter().map(|one| {
        vec![
            one.resource_type.clone(),
            one.id.clone(),
            one.path.clone(),
            one.value.clone(),
            instant(one.since),
        ]
    });
    output.table(
        &["type", "id", "attribute", "waits for", "since"],
        rows.collect(),
        "Nothing waits.",
        &json!(found),
    );
    Ok(())
}
