//! `rollcall import`: creates and updates people from a CSV file, through `Directory`. It deletes no person.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use directory::change_set::is_active;
use directory::revival::Wanted;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::assignment::Assignment;
use crate::commands::TenantArgument;
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::identities::Identities;
use crate::output::{Output, printable};
use crate::running::StopSignal;
use crate::wiring::{Missing, Rollcall};

/// How many people are written at once, so that the store can group their commits.
const PARALLEL_MAX: usize = 32;

/// `rollcall import`
#[derive(Args, Debug)]
#[command(after_help = "\
The first line names the attributes, one a column; `userName` must be among them, and is how a person is recognised:

  userName,name.givenName,name.familyName,emails.work,department,active
  ada@example.com,Ada,Lovelace,ada@example.com,Engines,true

A person who is not there is created, one who is there is updated, and no person is deleted. An empty cell leaves the attribute as it is.
A line that is refused is listed with its number and does not stop the others; the exit code is 5 then. A line that would give a disabled
person another `externalId` is refused, because it is about another person with the same `userName`.

Examples:
  rollcall import users.csv --dry-run
  rollcall import users.csv --tenant acme")]
pub struct Arguments {
    /// The CSV file (UTF-8, commas)
    file: PathBuf,
    #[command(flatten)]
    tenant: TenantArgument,
    /// Check every line and say what would happen, but write nothing
    #[arg(long)]
    dry_run: bool,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Created,
    Updated,
    Unchanged,
}

/// A line of the file: a person and its cells that are not empty, by column.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    line: u64,
    user_name: String,
    cells: Vec<(usize, String)>,
}

/// A line that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    line: u64,
    message: String,
}

#[derive(Default)]
struct Tally {
    created: u64,
    updated: u64,
    unchanged: u64,
    refused: Vec<Refusal>,
    /// How many lines were not looked at, because the import was stopped.
    left: u64,
}

impl Tally {
    /// Lines that were looked at.
    fn seen(&self) -> u64 {
        let refused = u64::try_from(self.refused.len()).unwrap_or(u64::MAX);
        self.created
            .saturating_add(self.updated)
            .saturating_add(self.unchanged)
            .saturating_add(refused)
    }
}

/// Runs it.
pub async fn run(
    arguments: &Arguments,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    let identities = Arc::new(
        rollcall
            .identities(&rollcall.tenant(&arguments.tenant.tenant).await?)
            .await?,
    );
    let schema = identities.schema("User")?;
    let text = read(&arguments.file)?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_slice());
    let headers = reader
        .headers()
        .map_err(|error| Failure::refused(format!("the first line cannot be read: {error}")))?
        .clone();
    let columns = Arc::new(parse_columns(&headers, |name| {
        Assignment::parse(&schema, name)
    })?);
    let (rows, refused) = parse_rows(reader.records(), &columns, &mut Lines::of(&text));
    let mut tally = Tally {
        refused,
        ..Tally::default()
    };
    write_all(
        &identities,
        &columns,
        rows,
        arguments.dry_run,
        &mut tally,
        output,
    )
    .await?;
    report(tally, arguments, output)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        let message = format!("{} cannot be read: {error}", path.display());
        if error.kind() == std::io::ErrorKind::NotFound {
            Failure::not_found(message)
        } else {
            Failure::failed(message)
        }
    })
}

fn parse_columns(
    headers: &csv::StringRecord,
    parse: impl Fn(&str) -> Result<Assignment, Failure>,
) -> Result<Vec<Assignment>, Failure> {
    let mut columns: Vec<Assignment> = Vec::with_capacity(headers.len());
    let mut wrong = Vec::new();
    for name in headers {
        match parse(name) {
            Ok(column)
                if columns
                    .iter()
                    .any(|other| other.path.eq_ignore_ascii_case(&column.path)) =>
            {
                wrong.push(format!("`{}` is there twice", printable(name)));
            }
            Ok(column) => columns.push(column),
            Err(failure) => wrong.push(printable(&failure.message)),
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::refused(format!("the first line names columns that cannot be imported: {}", wrong.join("; ")))
            .hint("columns are SCIM attributes: userName, displayName, name.givenName, emails.work, department, active"));
    }
    if !columns.iter().any(Assignment::is_user_name) {
        return Err(Failure::refused("the first line has no column `userName`, by which people are recognised")
            .hint("the first line names the attributes, such as userName,name.givenName,name.familyName,emails.work"));
    }
    Ok(columns)
}

/// Counts lines. The reader's own count is that of the empty lines before a record, where there are some.
struct Lines<'a> {
    rest: &'a [u8],
    offset: u64,
    line: u64,
}

impl<'a> Lines<'a> {
    fn of(text: &'a [u8]) -> Self {
        Self {
            rest: text,
            offset: 0,
            line: 1,
        }
    }

    /// The line of the record that begins at or, after empty lines, behind this position. Positions must grow.
    fn at(&mut self, position: Option<&csv::Position>) -> u64 {
        let target = position.map_or(0, csv::Position::byte);
        while let Some((first, rest)) = self.rest.split_first() {
            if self.offset >= target && !matches!(first, b'\r' | b'\n') {
                break;
            }
            self.line = self.line.saturating_add(u64::from(*first == b'\n'));
            self.offset = self.offset.saturating_add(1);
            self.rest = rest;
        }
        self.line
    }
}

/// All lines, and those that are refused before anything is looked up.
fn parse_rows(
    records: impl Iterator<Item = csv::Result<csv::StringRecord>>,
    columns: &[Assignment],
    lines: &mut Lines<'_>,
) -> (Vec<Row>, Vec<Refusal>) {
    let mut rows = Vec::new();
    let mut refused = Vec::new();
    let mut seen: HashMap<String, u64> = HashMap::new();
    let user_name_column = columns
        .iter()
        .position(Assignment::is_user_name)
        .unwrap_or_default();
    for record in records {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = lines.at(error.position());
                refused.push(Refusal {
                    line,
                    message: reason(&error),
                });
                continue;
            }
        };
        let line = lines.at(record.position());
        let user_name = record.get(user_name_column).unwrap_or_default().to_owned();
        if user_name.is_empty() {
            refused.push(Refusal {
                line,
                message: "`userName` is empty".into(),
            });
            continue;
        }
        if let Some(earlier) = seen.insert(user_name.to_lowercase(), line) {
            refused.push(Refusal {
                line,
                message: format!("`userName` {user_name:?} is on line {earlier} already"),
            });
            continue;
        }
        let filled = record
            .iter()
            .enumerate()
            .filter(|(_, cell)| !cell.is_empty());
        rows.push(Row {
            line,
            user_name,
            cells: filled
                .map(|(column, cell)| (column, cell.to_owned()))
                .collect(),
        });
    }
    (rows, refused)
}

fn reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("there are {len} cells where the first line has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "the line is not UTF-8".into(),
        _ => error.to_string(),
    }
}

async fn write_all(
    identities: &Arc<Identities>,
    columns: &Arc<Vec<Assignment>>,
    rows: Vec<Row>,
    dry_run: bool,
    tally: &mut Tally,
    output: Output,
) -> Result<(), Failure> {
    let progress = output.progress(
        u64::try_from(rows.len()).unwrap_or(u64::MAX),
        if dry_run { "checking" } else { "importing" },
    );
    let mut running: JoinSet<(u64, Result<Done, Failure>)> = JoinSet::new();
    let mut rows = rows.into_iter();
    let mut stop = StopSignal::listen()?;
    loop {
        while running.len() < PARALLEL_MAX {
            let Some(row) = rows.next() else { break };
            let (identities, columns) = (Arc::clone(identities), Arc::clone(columns));
            running.spawn(
                async move { (row.line, write(&identities, &columns, &row, dry_run).await) },
            );
        }
        let finished = tokio::select! {
            biased;
            heard = stop.heard() => {
                heard?;
                // Lines that are being written are finished, so that the count below is true.
                tally.left = tally.left.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
                rows = Vec::new().into_iter();
                continue;
            }
            finished = running.join_next() => finished,
        };
        let Some(finished) = finished else { break };
        let (line, outcome) =
            finished.map_err(|error| Failure::failed(format!("the import stopped: {error}")))?;
        match outcome {
            Ok(Done::Created) => tally.created = tally.created.saturating_add(1),
            Ok(Done::Updated) => tally.updated = tally.updated.saturating_add(1),
            Ok(Done::Unchanged) => tally.unchanged = tally.unchanged.saturating_add(1),
            Err(failure) if failure.is_ours() => return Err(failure),
            Err(failure) => tally.refused.push(Refusal {
                line,
                message: failure.message,
            }),
        }
        progress.advance(1);
    }
    progress.finish();
    Ok(())
}

async fn write(
    identities: &Identities,
    columns: &[Assignment],
    row: &Row,
    dry_run: bool,
) -> Result<Done, Failure> {
    let before = identities.find("User", &row.user_name).await?;
    let mut document = before.clone().unwrap_or_default();
    for (column, text) in &row.cells {
        if let Some(column) = columns.get(*column) {
            column.set(&mut document, text)?;
        }
    }
    if let Some(before) = &before {
        refuse_another_person(before, &document, &row.user_name)?;
    }
    match before {
        None if dry_run => identities.check("User", document).map(|()| Done::Created),
        None => identities
            .create("User", document)
            .await
            .map(|_| Done::Created),
        Some(before) if before == document => Ok(Done::Unchanged),
        Some(_) if dry_run => identities.check("User", document).map(|()| Done::Updated),
        Some(before) => identities
            .replace("User", &before, document)
            .await
            .map(|_| Done::Updated),
    }
}

/// Refuses to give a disabled person another `externalId`: the line is about somebody else, who got the same `userName` later.
fn refuse_another_person(
    before: &Map<String, Value>,
    document: &Map<String, Value>,
    user_name: &str,
) -> Result<(), Failure> {
    let external_id = before.get("externalId").and_then(Value::as_str);
    if is_active(before) || !Wanted::of(document).is_other_than(external_id) {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "{user_name:?} is disabled and has the `externalId` {:?}; the line has another one, so it is about another person. Give one of the two people another \
         `userName`, or, if they are the same person, change the `externalId` with `rollcall user edit`",
        external_id.unwrap_or_default()
    )))
}

fn report(mut tally: Tally, arguments: &Arguments, output: Output) -> Result<(), Failure> {
    tally.refused.sort_by_key(|refusal| refusal.line);
    let refused: Vec<Value> = tally
        .refused
        .iter()
        .map(|refusal| json!({ "line": refusal.line, "message": refusal.message }))
        .collect();
    let value = json!({
        "dryRun": arguments.dry_run,
        "created": tally.created,
        "updated": tally.updated,
        "unchanged": tally.unchanged,
        "refused": refused,
        "notLookedAt": tally.left,
    });
    let would = if arguments.dry_run {
        "Nothing was written. It would be: "
    } else {
        ""
    };
    let text = format!(
        "{would}{} created, {} updated, {} unchanged, {} refused.",
        tally.created,
        tally.updated,
        tally.unchanged,
        tally.refused.len()
    );
    if !output.is_json() {
        for refusal in &tally.refused {
            output.note(format!(
                "line {}: {}",
                refusal.line,
                printable(&refusal.message)
            ));
        }
    }
    output.say(text, &value);
    if tally.left > 0 {
        let (seen, all) = (tally.seen(), tally.seen().saturating_add(tally.left));
        return Err(Failure::failed(format!(
            "the import was stopped after {seen} of {all} lines"
        ))
        .hint(
            "import the same file again to go on: lines that are done already stay as they are",
        ));
    }
    if tally.refused.is_empty() {
        return Ok(());
    }
    Err(
        Failure::refused(format!("{} of the lines were refused", tally.refused.len())).hint(
            "correct those lines and import the file again: what is equal already stays as it is",
        ),
    )
}

#[cfg(test)]
mod tests {
    use scim_protocol::SchemaSet;

    use super::*;

    fn parse(text: &str) -> Result<(Vec<Row>, Vec<Refusal>), Failure> {
        let set = SchemaSet::standard();
        let schema = set.by_name("User").unwrap();
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let headers = reader.headers().unwrap().clone();
        let columns = parse_columns(&headers, |name| Assignment::parse(schema, name))?;
        Ok(parse_rows(
            reader.records(),
            &columns,
            &mut Lines::of(text.as_bytes()),
        ))
    }

    #[test]
    fn lines_are_numbered_and_empty_cells_left_out() {
        let (rows, refused) =
            parse("userName, name.givenName\r\nada,Ada\r\n\r\ngrace,\n\"al\nan\",\nbob,B").unwrap();
        assert_eq!(refused, vec![]);
        let row = |line, user_name: &str, cells: &[(usize, &str)]| Row {
            line,
            user_name: user_name.into(),
            cells: cells
                .iter()
                .map(|(column, cell)| (*column, (*cell).to_owned()))
                .collect(),
        };
        let ada = row(2, "ada", &[(0, "ada"), (1, "Ada")]);
        let over_two_lines = row(5, "al\nan", &[(0, "al\nan")]);
        assert_eq!(
            rows,
            vec![
                ada,
                row(4, "grace", &[(0, "grace")]),
                over_two_lines,
                row(7, "bob", &[(0, "bob"), (1, "B")])
            ]
        );
    }

    #[test]
    fn lines_that_cannot_be_people_are_refused_one_by_one() {
        let check = |text: &str, line: u64, said: &str| {
            let (_, refused) = parse(text).unwrap();
            assert_eq!(refused.len(), 1, "{text}");
            assert_eq!(refused[0].line, line);
            assert!(refused[0].message.contains(said), "{}", refused[0].message);
        };
        check("userName,title\nada,x\n,y\n", 3, "is empty");
        check("userName,title\nada,x\nADA,y\n", 3, "on line 2 already");
        check(
            "userName,title\nada\ngrace,x\n",
            2,
            "1 cells where the first line has 2",
        );
    }

    #[test]
    fn columns_must_be_attributes() {
        let check = |text: &str, said: &str| {
            let message = parse(text).unwrap_err().message;
            assert!(message.contains(said), "{message}");
        };
        check("userName,salary\n", "`salary` is not an attribute");
        check("displayName\n", "no column `userName`");
        check("userName,USERNAME\n", "is there twice");
    }

    #[test]
    fn a_line_about_another_person_is_refused() {
        let check = |held: Value, line: Value, accepted: bool| {
            let [before, document] = [&held, &line].map(|value| value.as_object().unwrap());
            let outcome = refuse_another_person(before, document, "ada");
            assert_eq!(outcome.is_ok(), accepted, "{held} {line}");
        };
        let disabled = json!({"active": false, "externalId": "1"});
        check(disabled.clone(), json!({"externalId": "2"}), false);
        check(disabled.clone(), json!({"externalId": "1"}), true);
        check(disabled, json!({}), true);
        check(json!({"active": false}), json!({"externalId": "2"}), true);
        let active = json!({"active": true, "externalId": "1"});
        check(active, json!({"externalId": "2"}), true);
    }
}
