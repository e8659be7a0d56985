//! Columns to domain types and back: the same on both engines. Reads and writes nothing.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use aws_lc_rs::digest::{SHA256, digest};
use directory::change_set::{ChangeSet, Content, Effect, IndexEntry};
use directory::deletion_guard::Removal;
use directory::document::Document;
use directory::history::Kind;
use directory::pending::{MANAGER, fold};
use directory::store::Fault;
use jiff::Timestamp;
use provisioning::application::ApplicationState;
use provisioning::link::LinkState;
use scim_protocol::schema::standard::ENTERPRISE_USER;
use serde_json::{Map, Value};

/// A row of `unique_values` or `index_values`, without its tenant and resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct IndexRow {
    /// Whether it is in `unique_values`.
    pub unique: bool,
    /// The key of the attribute.
    pub attribute: i64,
    /// The key of the value.
    pub value: Vec<u8>,
}

/// The key of an attribute of a resource type: the beginning of a hash, so that no table of names has to be kept. A tenant has some hundreds of
/// attributes; that two of them meet in 64 bits will not happen.
pub(crate) fn attribute_key(resource_type: &str, path: &str) -> i64 {
    with_keys(resource_type, |key| key(path))
}

/// The key of the attribute of which no resource of this type may take a value that another one has.
pub(crate) fn alone(change_set: &ChangeSet, resource_type: &str) -> Option<i64> {
    change_set
        .policy
        .alone(resource_type)
        .map(|path| attribute_key(resource_type, path))
}

/// The keys of several attributes of a type. Every write asks for those of all its attributes, so each thread remembers some.
fn with_keys<T>(resource_type: &str, ask: impl FnOnce(&mut dyn FnMut(&str) -> i64) -> T) -> T {
    KEYS.with_borrow_mut(|keys| {
        if keys.values().map(HashMap::len).sum::<usize>() >= KEYS_MAX {
            keys.clear();
        }
        let of_type = keys.entry(resource_type.to_owned()).or_default();
        ask(&mut |path| match of_type.get(path) {
            Some(key) => *key,
            None => *of_type
                .entry(path.to_owned())
                .or_insert_with(|| hashed_key(resource_type, path)),
        })
    })
}

/// Attributes whose keys a thread remembers; those of one resource more at most.
const KEYS_MAX: usize = 1_000;

thread_local! {
    static KEYS: RefCell<HashMap<String, HashMap<String, i64>>> = RefCell::default();
}

fn hashed_key(resource_type: &str, path: &str) -> i64 {
    let hash = digest(&SHA256, format!("{resource_type}\0{path}").as_bytes());
    hash.as_ref()
        .first_chunk::<8>()
        .copied()
        .map_or(0, i64::from_be_bytes)
}

/// What a row of the change log says happened, in the columns `kind` and `attributes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// One of `KIND_*`, with `ACTIVATED` or `DEACTIVATED` and `MEMBER_LEFT` added to it; 0 in rows that are older than the column.
    pub kind: i64,
    /// The names of the attributes that changed, with commas between.
    pub attributes: String,
}

pub(crate) const KIND_CREATE: i64 = 1;
pub(crate) const KIND_PATCH: i64 = 2;
pub(crate) const KIND_REPLACE: i64 = 3;
pub(crate) const KIND_DELETE: i64 = 4;
pub(crate) const ACTIVATED: i64 = 16;
pub(crate) const DEACTIVATED: i64 = 32;
pub(crate) const MEMBER_LEFT: i64 = 64;

/// What an update did to the members of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MembersChanged {
    pub joined: bool,
    pub left: bool,
}

impl MembersChanged {
    pub(crate) fn is_any(self) -> bool {
        self.joined || self.left
    }
}

impl Told {
    /// Of a create or a delete.
    pub(crate) fn plain(kind: i64) -> Self {
        Self {
            kind,
            attributes: String::new(),
        }
    }

    /// Of a group that lost a member because that was deleted.
    pub(crate) fn member_gone() -> Self {
        Self {
            kind: KIND_PATCH + MEMBER_LEFT,
            attributes: "members".into(),
        }
    }

    /// Of a resource that referred to somebody who arrived.
    pub(crate) fn linked(path: &str) -> Self {
        let attributes = if path == MANAGER {
            format!("{ENTERPRISE_USER}:{MANAGER}")
        } else {
            path.to_owned()
        };
        Self {
            kind: KIND_PATCH,
            attributes,
        }
    }

    /// Of an update: the document's part only where the document was written, `members` only where they are others now.
    pub(crate) fn update(effect: &Effect, body_changed: bool, members: MembersChanged) -> Self {
        let flip = match effect.active {
            Some(true) if body_changed => ACTIVATED,
            Some(false) if body_changed => DEACTIVATED,
            _ => 0,
        };
        let of_document = effect
            .attributes
            .iter()
            .filter(|_| body_changed)
            .map(String::as_str);
        let attributes = of_document
            .chain(members.is_any().then_some("members"))
            .collect::<Vec<_>>()
            .join(",");
        let loss = if members.left { MEMBER_LEFT } else { 0 };
        Self {
            kind: if effect.replaces {
                KIND_REPLACE
            } else {
                KIND_PATCH
            } + flip
                + loss,
            attributes,
        }
    }
}

/// The longest value that PostgreSQL's indexes are given whole: a row of theirs must fit a third of a page, some 2,700 bytes.
const STORED_KEY_BYTES_MAX: usize = 2_000;

/// A value's key as PostgreSQL's tables hold it. One that is too long for an index keeps its beginning, and a hash stands for the rest: equality and
/// prefixes stay exact, but what is inside or at the end of it is not found.
pub(crate) fn stored_key(key: &[u8]) -> Cow<'_, [u8]> {
    if key.len() <= STORED_KEY_BYTES_MAX {
        return Cow::Borrowed(key);
    }
    let hash = digest(&SHA256, key);
    Cow::Owned(
        key.iter()
            .take(STORED_KEY_BYTES_MAX - hash.as_ref().len())
            .chain(hash.as_ref())
            .copied()
            .collect(),
    )
}

/// A text as PostgreSQL can hold it: it refuses the character NUL, which is in no id of ours, so that a lookup then finds nothing, as it should.
pub(crate) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The rows of index entries.
pub(crate) fn index_rows(resource_type: &str, entries: &[IndexEntry]) -> Vec<IndexRow> {
    with_keys(resource_type, |key| {
        let row = |entry: &IndexEntry| IndexRow {
            unique: entry.unique,
            attribute: key(&entry.path),
            value: entry.key.clone(),
        };
        entries.iter().map(row).collect()
    })
}

/// What a resource holds, as its tables hold it.
pub(crate) struct Stored {
    /// Its rows in `unique_values` and `index_values`.
    pub rows: Vec<IndexRow>,
    /// The column `entries`.
    pub entries: Vec<u8>,
}

impl Stored {
    /// Of content of a resource of this type.
    pub(crate) fn of(resource_type: &str, content: &Content) -> Self {
        let rows = index_rows(resource_type, &content.index);
        // The text is made here, where no other write waits for it, and not by the thread that writes.
        let _made = content.document.text();
        Self {
            entries: encode_entries(&rows),
            rows,
        }
    }
}

/// Index rows as the column `entries`: for each a byte (unique or not), the attribute, the length of the value, the value.
pub(crate) fn encode_entries(rows: &[IndexRow]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.iter().map(|row| row.value.len() + 13).sum());
    for row in rows {
        bytes.push(u8::from(row.unique));
        bytes.extend(row.attribute.to_be_bytes());
        bytes.extend(
            u32::try_from(row.value.len())
                .unwrap_or(u32::MAX)
                .to_be_bytes(),
        );
        bytes.extend(&row.value);
    }
    bytes
}

/// The reverse.
pub(crate) fn decode_entries(mut bytes: &[u8]) -> Result<Vec<IndexRow>, Fault> {
    let damaged = || Fault::new("the column `entries` is damaged");
    let mut rows = Vec::new();
    while let Some((unique, rest)) = bytes.split_first() {
        let (attribute, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged())?;
        let (value, rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
        rows.push(IndexRow {
            unique: *unique != 0,
            attribute: i64::from_be_bytes(*attribute),
            value: value.to_vec(),
        });
        bytes = rest;
    }
    Ok(rows)
}

/// The attributes and values of the column `entries`, in place. Ends where the column is damaged; a change of the resource finds out.
pub(crate) fn each_entry(mut bytes: &[u8]) -> impl Iterator<Item = (i64, &[u8])> {
    std::iter::from_fn(move || {
        let (_, rest) = bytes.split_first()?;
        let (attribute, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (value, rest) =
            rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        bytes = rest;
        Some((i64::from_be_bytes(*attribute), value))
    })
}

/// An instant as it is stored: microseconds since 1970.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// The reverse.
pub(crate) fn timestamp(micros: i64) -> Result<Timestamp, Fault> {
    Timestamp::from_microsecond(micros)
        .map_err(|error| Fault::from_source("an instant in the database is out of range", error))
}

/// A version as it is stored.
pub(crate) fn version(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or_default()
}

/// The reverse.
pub(crate) fn stored(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// A JSON column.
pub(crate) fn json_text(value: &impl serde::Serialize) -> Result<String, Fault> {
    serde_json::to_string(value)
        .map_err(|error| Fault::from_source("a value could not be written as JSON", error))
}

/// Whether an application is served, as it is stored.
pub(crate) fn application_state_text(state: ApplicationState) -> &'static str {
    match state {
        ApplicationState::Live => "live",
        ApplicationState::Paused => "paused",
    }
}

/// The reverse; what is not known is better not sent to.
pub(crate) fn application_state(stored: &str) -> ApplicationState {
    if stored == "live" {
        ApplicationState::Live
    } else {
        ApplicationState::Paused
    }
}

/// Where a link stands, as it is stored.
pub(crate) fn link_state_text(state: LinkState) -> &'static str {
    match state {
        LinkState::Creating => "creating",
        LinkState::Unnamed => "unnamed",
        LinkState::Linked => "linked",
        LinkState::Uncertain => "uncertain",
    }
}

/// The reverse.
pub(crate) fn link_state(stored: &str) -> Result<LinkState, Fault> {
    let known = [
        LinkState::Creating,
        LinkState::Unnamed,
        LinkState::Linked,
        LinkState::Uncertain,
    ]
    .into_iter()
    .find(|state| link_state_text(*state) == stored);
    known.ok_or_else(|| {
        Fault::new(format!(
            "the database has a link in the unknown state `{stored}`"
        ))
    })
}

/// A kind of removal, from how it is stored.
pub(crate) fn removal(stored: &str) -> Result<Removal, Fault> {
    Removal::by_name(stored).ok_or_else(|| {
        Fault::new(format!(
            "the database counts removals of the unknown kind `{stored}`"
        ))
    })
}

/// A kind of change, from how it is stored.
pub(crate) fn history_kind(stored: &str) -> Result<Kind, Fault> {
    Kind::by_name(stored).ok_or_else(|| {
        Fault::new(format!(
            "the database has a change of the unknown kind `{stored}`"
        ))
    })
}

/// The longest name that is looked up, in bytes: an index of PostgreSQL must hold it.
const NAME_BYTES_MAX: usize = 500;

/// Whether a name is short enough to be looked up.
pub(crate) fn short_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains('\0')
}

/// The keys of a `userName` and of an `externalId`, as the index has them.
pub(crate) fn usable_name_keys(name: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    short_name(name).then(|| (fold(name).into_bytes(), name.as_bytes().to_vec()))
}

/// The `userName` (in lower case) and the `externalId` by which a deleted resource may be found; neither where the `externalId` is too long to be
/// remembered: nothing could tell that somebody else has the `userName` by now.
pub(crate) fn tombstone_names(document: &Map<String, Value>) -> (Option<String>, Option<String>) {
    let text = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let external_id = text("externalId");
    if external_id.is_some_and(|external_id| !short_name(external_id)) {
        return (None, None);
    }
    (
        text("userName").filter(|name| short_name(name)).map(fold),
        external_id.map(str::to_owned),
    )
}

/// Gives the entries of an attribute another value; what they were and are.
pub(crate) fn relink_entries(
    rows: &mut [IndexRow],
    attribute: i64,
    value: &str,
) -> Vec<(IndexRow, IndexRow)> {
    let mut changed = Vec::new();
    for row in rows.iter_mut().filter(|row| row.attribute == attribute) {
        let old = row.clone();
        row.value = value.as_bytes().to_vec();
        changed.push((old, row.clone()));
    }
    changed
}

/// The members of a moment: those of now, without those that joined first since, with those that left first since.
pub(crate) fn members_then(now: Vec<String>, first_changes: Vec<(String, bool)>) -> Vec<String> {
    let (joined, left): (Vec<_>, Vec<_>) =
        first_changes.into_iter().partition(|(_, joined)| *joined);
    let joined: HashSet<String> = joined.into_iter().map(|(id, _)| id).collect();
    let left: Vec<String> = left.into_iter().map(|(id, _)| id).collect();
    let gone: HashSet<&String> = left.iter().collect();
    let stayed = now
        .into_iter()
        .filter(|id| !joined.contains(id) && !gone.contains(id))
        .collect::<Vec<_>>();
    stayed.into_iter().chain(left.clone()).collect()
}

/// A resource's document.
pub(crate) fn document(text: String) -> Result<Document, Fault> {
    Document::stored(text)
        .map_err(|error| Fault::from_source("a document in the database could not be read", error))
}

/// The last of the oldest lines of a provisioning log that goes, with all before it: one from before an instant, or one too many.
pub(crate) fn last_to_forget(
    oldest: &[(i64, String)],
    before: Timestamp,
    surplus: Option<i64>,
) -> Result<Option<i64>, Fault> {
    #[derive(serde::Deserialize)]
    struct Entry {
        at: Timestamp,
    }
    for (line, entry) in oldest.iter().rev() {
        if surplus.is_some_and(|surplus| *line <= surplus) || from_json::<Entry>(entry)?.at < before
        {
            return Ok(Some(*line));
        }
    }
    Ok(None)
}

/// The reverse of `json_text`.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text)
        .map_err(|error| Fault::from_source("JSON in the database could not be read", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_of_links_come_back() {
        for state in [
            LinkState::Creating,
            LinkState::Unnamed,
            LinkState::Linked,
            LinkState::Uncertain,
        ] {
            assert_eq!(link_state(link_state_text(state)).unwrap(), state);
        }
        assert!(link_state("elsewhere").is_err());
    }

    #[test]
    fn nul_is_replaced() {
        assert_eq!(storable("ann"), "ann");
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
    }

    #[test]
    fn entries_come_back() {
        let row = |unique, attribute, value: &[u8]| IndexRow {
            unique,
            attribute,
            value: value.to_vec(),
        };
        let rows = vec![
            row(true, -1, b"ann"),
            row(false, i64::MAX, b""),
            row(false, 0, &[0, 255]),
        ];
        let bytes = encode_entries(&rows);
        assert_eq!(decode_entries(&bytes).unwrap(), rows);
        let each: Vec<_> = each_entry(&bytes).collect();
        assert_eq!(each, [(-1, &b"ann"[..]), (i64::MAX, b""), (0, &[0, 255])]);
        assert!(decode_entries(&bytes[..bytes.len() - 1]).is_err());
        assert_eq!(decode_entries(&[]).unwrap(), Vec::new());
    }

    #[test]
    fn long_keys_are_shortened_and_differ() {
        let (one, other) = (vec![b'a'; 5_000], vec![b'a'; 5_001]);
        assert_eq!(stored_key(&one[..2_000]), &one[..2_000]);
        assert_eq!(stored_key(&one).len(), 2_000);
        assert_ne!(stored_key(&one), stored_key(&other));
    }

    #[test]
    fn attributes_of_different_types_differ() {
        assert_ne!(
            attribute_key("User", "displayName"),
            attribute_key("Group", "displayName")
        );
        // The keys are in databases already, so they stay what they are, remembered or not.
        for _ in 0..2 {
            assert_eq!(attribute_key("User", "userName"), 3_079_122_278_149_497_528);
        }
        for number in 0..2 * KEYS_MAX {
            let path = format!("urn:x:Many:a{number}");
            assert_eq!(attribute_key("User", &path), hashed_key("User", &path));
        }
        assert!(
            KEYS.with_borrow(|keys| keys.values().map(HashMap::len).sum::<usize>()) <= KEYS_MAX
        );
    }
}
