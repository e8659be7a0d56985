//! `rollcall history`: what was: versions, instants, deleted resources; restoring them, undoing a window; and references that wait.

use clap::{Args, Subcommand};
use directory::directory::UndoLine;
use directory::history::{Deleted, HistoryLine, Point, Window};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::commands::{TenantArgument, show};
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::{Output, instant};
use crate::wiring::{Missing, Rollcall};

/// Lines that are shown at once.
const LINES_MAX: u32 = 1_000;
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

impl Then {
    fn point(&self) -> Option<Point> {
        self.at.map(Point::At).or(self.version.map(Point::Version))
    }
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
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    match command {
        Command::List { id, tenant } => list(&rollcall, &id, &tenant, output).await,
        Command::Show(then) => {
            let caller = rollcall.administrator(&then.tenant.tenant).await?;
            let point = then
                .point()
                .ok_or_else(|| Failure::usage("--at TIME or --version N says when"))?;
            let was = rollcall
                .directory
                .as_it_was(&caller, &then.id, point)
                .await?;
            show(was.into_document(), output);
            Ok(())
        }
        Command::Restore(then) => {
            let caller = rollcall.administrator(&then.tenant.tenant).await?;
            let restored = rollcall
                .directory
                .restore(&caller, &then.id, then.point())
                .await?;
            let text = format!(
                "{} {} is what it was; it has version {} now.",
                restored.resource_type, restored.id, restored.version
            );
            output.say(text, &Value::Object(restored.into_document()));
            Ok(())
        }
        Command::Deleted(argument) => deleted(&rollcall, &argument, output).await,
        Command::Undo(arguments) => undo(&rollcall, arguments, output).await,
        Command::Pending(argument) => pending(&rollcall, &argument, output).await,
    }
}

async fn list(
    rollcall: &Rollcall,
    id: &str,
    argument: &TenantArgument,
    output: Output,
) -> Result<(), Failure> {
    let caller = rollcall.administrator(&argument.tenant).await?;
    let lines = rollcall
        .directory
        .changes_of(&caller, id, 0, LINES_MAX)
        .await?;
    let row = |line: &HistoryLine| {
        vec![
            line.version.to_string(),
            line.kind.name().to_owned(),
            instant(line.at),
            line.credential_id.clone(),
            members(line),
        ]
    };
    let columns = ["version", "what", "when", "by", "members"];
    output.table(
        &columns,
        lines.iter().map(row).collect(),
        "Nothing is remembered of it.",
        &json!(lines),
    );
    Ok(())
}

/// Who joined and who left, the first of them by id.
fn members(line: &HistoryLine) -> String {
    let all = line
        .joined
        .iter()
        .map(|id| format!("+{id}"))
        .chain(line.left.iter().map(|id| format!("-{id}")));
    let mut words: Vec<String> = all.take(MEMBERS_MAX).collect();
    let more = line.joined.len() + line.left.len() - words.len();
    words.extend((more > 0).then(|| format!("and {more} more")));
    words.extend(line.members_cut.then(|| "(cut)".to_owned()));
    words.join(" ")
}

async fn deleted(
    rollcall: &Rollcall,
    argument: &TenantArgument,
    output: Output,
) -> Result<(), Failure> {
    let caller = rollcall.administrator(&argument.tenant).await?;
    let found = rollcall
        .directory
        .deleted(&caller, Deleted::Before(Timestamp::MAX), LINES_MAX)
        .await?;
    let rows = found.iter().map(|one| {
        vec![
            one.resource_type.clone(),
            one.display.clone(),
            instant(one.at),
            one.credential_id.clone(),
            one.id.clone(),
        ]
    });
    let values = found.iter().map(|one| {
        json!({ "resourceType": one.resource_type, "id": one.id, "display": one.display, "at": one.at.to_string(), "credentialId": one.credential_id, "userName": one.user_name, "externalId": one.external_id })
    });
    output.table(
        &["type", "name", "deleted", "by", "id"],
        rows.collect(),
        "Nothing deleted is remembered.",
        &values.collect(),
    );
    Ok(())
}

async fn undo(rollcall: &Rollcall, arguments: Undo, output: Output) -> Result<(), Failure> {
    let caller = rollcall.administrator(&arguments.tenant.tenant).await?;
    let window = Window {
        from: arguments.from,
        until: arguments.until,
        credential_id: arguments.credential,
    };
    let undone = rollcall
        .directory
        .undo(&caller, &window, !arguments.execute)
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
    let done = if arguments.execute {
        "undone"
    } else {
        "would undo"
    };
    let mut rows: Vec<Vec<String>> = undone.done.iter().map(|line| row(line, done)).collect();
    rows.extend(undone.skipped.iter().map(|line| row(line, "left")));
    let mut value = Map::new();
    value.insert("executed".into(), arguments.execute.into());
    value.insert("done".into(), json!(undone.done));
    value.insert("skipped".into(), json!(undone.skipped));
    output.table(
        &["", "type", "id", "what", "why"],
        rows,
        "Nothing is to be undone.",
        &Value::Object(value),
    );
    Ok(())
}

async fn pending(
    rollcall: &Rollcall,
    argument: &TenantArgument,
    output: Output,
) -> Result<(), Failure> {
    let caller = rollcall.administrator(&argument.tenant).await?;
    let found = rollcall.directory.pending(&caller, 0, LINES_MAX).await?;
    let rows = found.iter().map(|one| {
        vec![
            one.resource_type.clone(),
            one.id.clone(),
            one.path.clone(),
            one.value.clone(),
            instant(one.since),
        ]
    });
    let values = found.iter().map(|one| {
        json!({ "resourceType": one.resource_type, "id": one.id, "path": one.path, "value": one.value, "since": one.since.to_string() })
    });
    output.table(
        &["type", "id", "attribute", "waits for", "since"],
        rows.collect(),
        "Nothing waits.",
        &values.collect(),
    );
    Ok(())
}
