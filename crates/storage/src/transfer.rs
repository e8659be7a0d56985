//! The file in which a tenant travels: how a row is a line, where its keys go, and that nothing of it was lost. Opens no database.
//!
//! One JSON object a line. The first says what this is; one for each row follows, in the order of `TABLES`; the last counts them and has the SHA-256 of
//! everything before it. Keys of rows are moved as a block, so that nothing has to be remembered while reading or writing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::store::Fault;
use directory::tenant_life::{RestoreError, Source};
use events::event::{Kind as EventKind, LoggedEvent};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::event_rows::{KIND_FEED_ADD, KIND_FEED_REMOVE};
use crate::tenant_tables::{Column, Keys, Kind, TABLES, Table};

/// The form of the file; a newer one is refused.
const FORMAT: u32 = 3;
/// What the file says it is.
const CONTENT: &str = "rollcall tenant";
/// The longest line; a resource is far below.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    /// Text, or JSON as text.
    Text(String),
    Bytes(Vec<u8>),
}

/// A row, with the columns that the file has of it.
pub(crate) type Row = Vec<(&'static Column, Cell)>;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    content: String,
    format: u32,
    /// When it was written.
    exported: Timestamp,
    /// The name of the tenant there.
    tenant: String,
    /// The smallest and the largest key of each kind that has any.
    pub keys: BTreeMap<Keys, (i64, i64)>,
}

impl Header {
    /// Of a tenant.
    pub(crate) fn new(tenant: &str, exported: Timestamp, keys: BTreeMap<Keys, (i64, i64)>) -> Self {
        Self {
            content: CONTENT.into(),
            format: FORMAT,
            exported,
            tenant: tenant.into(),
            keys,
        }
    }

    /// How many keys of a kind the file may have.
    pub(crate) fn span(&self, keys: Keys) -> Result<i64, RestoreError> {
        let Some((first, last)) = self.keys.get(&keys) else {
            return Ok(0);
        };
        let span = last
            .checked_sub(*first)
            .and_then(|span| span.checked_add(1))
            .filter(|span| *span > 0);
        span.ok_or_else(|| damaged(1, "its keys cannot be counted"))
    }
}

/// Only what tells the form, so that a newer header is known as one.
#[derive(Deserialize)]
struct Form {
    content: String,
    format: u32,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    table: Cow<'a, str>,
    #[serde(borrow)]
    row: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    end: Count,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    lines: u64,
    sha256: String,
}

/// Writes the file.
pub(crate) struct Exporter<'a> {
    sink: &'a mut (dyn Write + Send),
    digest: Context,
    lines: u64,
}

impl<'a> Exporter<'a> {
    /// With its first line.
    pub(crate) fn begin(sink: &'a mut (dyn Write + Send), header: &Header) -> Result<Self, Fault> {
        let mut exporter = Self {
            sink,
            digest: Context::new(&SHA256),
            lines: 0,
        };
        exporter.line(&crate::rows::json_text(header)?)?;
        Ok(exporter)
    }

    fn line(&mut self, line: &str) -> Result<(), Fault> {
        let failed = |error| Fault::from_source("the exported tenant could not be written", error);
        for part in [line.as_bytes(), b"\n"] {
            self.digest.update(part);
            self.sink.write_all(part).map_err(failed)?;
        }
        self.lines += 1;
        Ok(())
    }

    /// A row of a table, with a cell for each of its columns.
    pub(crate) fn row(&mut self, table: &Table, cells: Vec<Cell>) -> Result<(), Fault> {
        let mut row = String::new();
        for (column, cell) in table.columns.iter().zip(cells) {
            let value = match (column.kind, cell) {
                (_, Cell::Null) => continue,
                (_, Cell::Integer(value)) => value.to_string(),
                (Kind::Json, Cell::Text(text)) => text,
                (Kind::Authentication, Cell::Text(text)) => without_hash(&text)?,
                (_, Cell::Text(text)) => Value::String(text).to_string(),
                (_, Cell::Bytes(bytes)) => Value::String(STANDARD.encode(bytes)).to_string(),
            };
            let comma = if row.is_empty() { "" } else { "," };
            row.extend([comma, "\"", column.name, "\":", &value]);
        }
        self.line(&format!(
            "{{\"table\":\"{}\",\"row\":{{{row}}}}}",
            table.name
        ))
    }

    /// With its last line; says how many there are.
    pub(crate) fn end(mut self) -> Result<u64, Fault> {
        let end = End {
            end: Count {
                lines: self.lines,
                sha256: hexadecimal(&self.digest.clone()),
            },
        };
        self.line(&crate::rows::json_text(&end)?)?;
        self.sink.flush().map_err(|error| {
            Fault::from_source("the exported tenant could not be written", error)
        })?;
        Ok(self.lines)
    }
}

fn without_hash(authentication: &str) -> Result<String, Fault> {
    let mut map: Map<String, Value> = crate::rows::from_json(authentication)?;
    map.remove("hash");
    crate::rows::json_text(&map)
}

fn hexadecimal(digest: &Context) -> String {
    let digits = |byte: &u8| {
        [byte >> 4, byte & 15]
            .map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or_default())
    };
    digest
        .clone()
        .finish()
        .as_ref()
        .iter()
        .flat_map(digits)
        .collect()
}

fn damaged(line: u64, why: &str) -> RestoreError {
    RestoreError::Refused(format!("line {line} of the file cannot be read: {why}"))
}

/// Reads the file.
pub(crate) struct Importer {
    source: BufReader<Box<dyn Source>>,
    digest: Context,
    line: u64,
}

impl Importer {
    pub(crate) fn new(source: Box<dyn Source>) -> Self {
        Self {
            source: BufReader::new(source),
            digest: Context::new(&SHA256),
            line: 0,
        }
    }

    /// Reads all of it and finds everything that is wrong with it; afterwards its rows can be read.
    pub(crate) fn check(&mut self) -> Result<Header, RestoreError> {
        self.rewind()?;
        let header = self.header()?;
        while self.next_row(&header)?.is_some() {}
        self.rewind_to_rows()?;
        Ok(header)
    }

    /// Goes back to where the rows begin.
    pub(crate) fn rewind_to_rows(&mut self) -> Result<(), RestoreError> {
        self.rewind()?;
        self.header().map(drop)
    }

    fn rewind(&mut self) -> Result<(), RestoreError> {
        self.source
            .seek(SeekFrom::Start(0))
            .map_err(|error| Fault::from_source("the file could not be read", error))?;
        (self.digest, self.line) = (Context::new(&SHA256), 0);
        Ok(())
    }

    fn header(&mut self) -> Result<Header, RestoreError> {
        let line = self.read_line()?;
        let form: Form = serde_json::from_str(&line)
            .map_err(|_| RestoreError::Refused("this is not an exported tenant".into()))?;
        if form.content != CONTENT {
            return Err(RestoreError::Refused(
                "this is not an exported tenant".into(),
            ));
        }
        if form.format > FORMAT {
            return Err(RestoreError::Refused(format!(
                "the file has format {}, and this program reads up to {FORMAT}: it was exported by a newer Rollcall",
                form.format
            )));
        }
        self.digest.update(line.as_bytes());
        serde_json::from_str(&line).map_err(|error| damaged(1, &error.to_string()))
    }

    /// The next line with its end; empty where the file ends.
    fn read_line(&mut self) -> Result<String, RestoreError> {
        let mut line = Vec::new();
        let read = (&mut self.source)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line);
        read.map_err(|error| Fault::from_source("the file could not be read", error))?;
        self.line += 1;
        String::from_utf8(line).map_err(|_| damaged(self.line, "it is not UTF-8"))
    }

    /// The next row, in which the keys are those of the file; `None` after the last.
    pub(crate) fn next_row(
        &mut self,
        header: &Header,
    ) -> Result<Option<(&'static Table, Row)>, RestoreError> {
        let line = self.read_line()?;
        if line.is_empty() {
            return Err(RestoreError::Refused(format!(
                "the file ends after line {}, before its end",
                self.line - 1
            )));
        }
        if let Ok(End { end }) = serde_json::from_str::<End>(&line) {
            let is_whole = end.lines == self.line - 1 && end.sha256 == hexadecimal(&self.digest);
            let is_last = self.read_line()?.is_empty();
            return if is_whole && is_last {
                Ok(None)
            } else {
                Err(RestoreError::Refused(
                    "the file was changed after it was written".into(),
                ))
            };
        }
        self.digest.update(line.as_bytes());
        decode(&line, header)
            .map(Some)
            .map_err(|why| damaged(self.line, &why))
    }
}

fn decode(line: &str, header: &Header) -> Result<(&'static Table, Row), String> {
    let line: Line<'_> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let table = TABLES
        .iter()
        .find(|table| table.name == line.table)
        .ok_or_else(|| format!("there is no table {}", line.table))?;
    let mut row = Row::new();
    for (name, value) in line.row {
        let column = table.columns.iter().find(|column| column.name == name);
        let column = column.ok_or_else(|| format!("{} has no column {name}", table.name))?;
        let wrong = |_| format!("{name} has a value of another kind");
        let cell = match column.kind {
            Kind::Integer => Cell::Integer(serde_json::from_str(value.get()).map_err(wrong)?),
            Kind::Key(keys) => {
                let key: i64 = serde_json::from_str(value.get()).map_err(wrong)?;
                let is_announced = header
                    .keys
                    .get(&keys)
                    .is_some_and(|(first, last)| (first..=last).contains(&&key));
                Cell::Integer(
                    Some(key)
                        .filter(|_| is_announced)
                        .ok_or_else(|| format!("the first line does not know {name} {key}"))?,
                )
            }
            Kind::Text => Cell::Text(serde_json::from_str(value.get()).map_err(wrong)?),
            Kind::Json | Kind::Authentication => Cell::Text(value.get().to_owned()),
            Kind::Bytes => {
                let encoded: String = serde_json::from_str(value.get()).map_err(wrong)?;
                Cell::Bytes(
                    STANDARD
                        .decode(encoded)
                        .map_err(|_| format!("{name} is not in base 64"))?,
                )
            }
        };
        row.push((column, cell));
    }
    Ok((table, row))
}

/// Where the keys of a file go: each kind to its first new key.
pub(crate) struct Placement {
    /// The new keys' first, by kind.
    pub first: BTreeMap<Keys, i64>,
}

impl Placement {
    /// Gives the keys of a row their new values.
    pub(crate) fn place(&self, table: &Table, header: &Header, row: &mut Row) -> Result<(), Fault> {
        if table.name == "change_log"
            && [KIND_FEED_ADD, KIND_FEED_REMOVE].contains(&integer_of(row, "kind"))
        {
            self.place_feed(header, row);
        }
        if table.name == "parcels" {
            self.place_event(header, row)?;
        }
        for (column, cell) in row {
            let (Kind::Key(keys), Cell::Integer(key)) = (column.kind, cell) else {
                continue;
            };
            let moved = header
                .keys
                .get(&keys)
                .zip(self.first.get(&keys))
                .and_then(|((old, _), new)| key.checked_sub(*old)?.checked_add(*new));
            *key = moved.ok_or_else(|| Fault::new("a key of the file has no place"))?;
        }
        Ok(())
    }

    /// A line of the change log about the feed of one receiver names it: by its new key afterwards, and by none where the file has no receivers.
    fn place_feed(&self, header: &Header, row: &mut Row) {
        for (column, cell) in row {
            if let ("attributes", Cell::Text(receiver)) = (column.name, cell) {
                *receiver = self.receiver(header, receiver).unwrap_or_default();
            }
        }
    }

    /// Such a line as an event that is on its way.
    fn place_event(&self, header: &Header, row: &mut Row) -> Result<(), Fault> {
        for (column, cell) in row {
            let ("event", Cell::Text(event)) = (column.name, cell) else {
                continue;
            };
            let mut logged: LoggedEvent = crate::rows::from_json(event)?;
            if matches!(logged.kind, EventKind::FeedAdd | EventKind::FeedRemove) {
                logged.attributes = logged
                    .attributes
                    .iter()
                    .filter_map(|receiver| self.receiver(header, receiver))
                    .collect();
                *event = crate::rows::json_text(&logged)?;
            }
        }
        Ok(())
    }

    fn receiver(&self, header: &Header, key: &str) -> Option<String> {
        let ((old, _), new) = header
            .keys
            .get(&Keys::Receiver)
            .zip(self.first.get(&Keys::Receiver))?;
        Some(
            key.parse::<i64>()
                .ok()?
                .checked_sub(*old)?
                .checked_add(*new)?
                .to_string(),
        )
    }
}

/// A text of a row.
pub(crate) fn text_of<'a>(row: &'a Row, name: &str) -> &'a str {
    row.iter()
        .find_map(|(column, cell)| {
            if let (true, Cell::Text(text)) = (column.name == name, cell) {
                Some(text.as_str())
            } else {
                None
            }
        })
        .unwrap_or_default()
}

/// An integer of a row.
pub(crate) fn integer_of(row: &Row, name: &str) -> i64 {
    let found = row.iter().find_map(|(column, cell)| {
        if let (true, Cell::Integer(value)) = (column.name == name, cell) {
            Some(*value)
        } else {
            None
        }
    });
    found.unwrap_or_default()
}

/// Bytes of a row.
pub(crate) fn bytes_of<'a>(row: &'a Row, name: &str) -> &'a [u8] {
    row.iter()
        .find_map(|(column, cell)| {
            if let (true, Cell::Bytes(bytes)) = (column.name == name, cell) {
                Some(bytes.as_slice())
            } else {
                None
            }
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn header() -> Header {
        Header::new(
            "acme",
            Timestamp::UNIX_EPOCH,
            BTreeMap::from([(Keys::Resource, (5, 9))]),
        )
    }

    fn file() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut exporter = Exporter::begin(&mut bytes, &header()).unwrap();
        let cells = vec![Cell::Integer(5), Cell::Integer(9)];
        exporter
            .row(
                TABLES
                    .iter()
                    .find(|table| table.name == "memberships")
                    .unwrap(),
                cells,
            )
            .unwrap();
        assert_eq!(exporter.end().unwrap(), 3);
        bytes
    }

    fn refusal(bytes: Vec<u8>) -> String {
        Importer::new(Box::new(Cursor::new(bytes)))
            .check()
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_row_comes_back_and_its_keys_move() {
        let mut importer = Importer::new(Box::new(Cursor::new(file())));
        let header = importer.check().unwrap();
        let (table, mut row) = importer.next_row(&header).unwrap().unwrap();
        assert_eq!(table.name, "memberships");
        Placement {
            first: BTreeMap::from([(Keys::Resource, 100)]),
        }
        .place(table, &header, &mut row)
        .unwrap();
        assert_eq!(
            (
                integer_of(&row, "group_resource"),
                integer_of(&row, "member_resource")
            ),
            (100, 104)
        );
        assert!(importer.next_row(&header).unwrap().is_none());
    }

    #[test]
    fn what_was_changed_is_refused() {
        let text = String::from_utf8(file()).unwrap();
        let check = |changed: String, said: &str| {
            assert_ne!(changed, text);
            let refusal = refusal(changed.into_bytes());
            assert!(refusal.contains(said), "{refusal}");
        };
        check(text.replace(":9}", ":8}"), "changed");
        check(text.replace(":9}", ":10}"), "does not know");
        check(text.replace("memberships", "friendships"), "friendships");
        check(text.replace("member_resource", "nobody"), "nobody");
        check(
            text.replace("\"format\":3", "\"format\":4"),
            "newer Rollcall",
        );
        check(
            text.replace("rollcall tenant", "a shopping list"),
            "not an exported tenant",
        );
        check(
            text.lines().take(2).flat_map(|line| [line, "\n"]).collect(),
            "before its end",
        );
        check(format!("{text}{text}"), "changed");
        check(String::new(), "not an exported tenant");
        assert!(refusal(vec![0xff, b'\n']).contains("UTF-8"));
        for cut in 0..text.len() - 1 {
            refusal(text.as_bytes()[..cut].to_vec());
        }
    }
}
