//! Entries of the request log as both engines keep them. Knows no SQL.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use directory::request_log::{Draft, RequestEntry, RequestFilter};
use directory::store::Fault;
use directory::tenant::TenantId;

use crate::rows::{json_text, micros};

/// Entries that wait to be written; more are dropped.
pub(crate) const WAITING_MAX: usize = 8_192;
/// Entries written at a time.
pub(crate) const BATCH_MAX: usize = 512;
/// How long a batch waits for more once nothing is left to be taken, in milliseconds: short enough that somebody who looks sees what they did.
pub(crate) const BATCH_MILLISECONDS: u64 = 20;
/// Entries deleted at a time.
pub(crate) const PRUNED_MAX: i64 = 500;

/// Counts an entry that finds no room; the log of the program says so, ever more seldom the more there are.
pub(crate) fn count_dropped(dropped: &AtomicU64) {
    let count = dropped.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    if count.is_power_of_two() {
        tracing::warn!(
            dropped = count,
            "more requests come than can be written down: entries of the request log are lost"
        );
    }
}

/// An entry as a row.
pub(crate) struct Row {
    pub tenant: i64,
    pub id: [u8; 16],
    pub at: i64,
    pub status: i64,
    pub resource: Option<String>,
    pub credential: Option<String>,
    /// `,op-case,path-keys,`
    pub quirks: String,
    pub document: String,
}

/// Whose request it was, which quirk acted: how often, and when last.
pub(crate) type Uses = BTreeMap<(i64, String, &'static str), (i64, i64)>;

/// Redacts an entry and counts the quirks that acted in it.
pub(crate) fn row(draft: Draft, uses: &mut Uses) -> Result<Row, Fault> {
    let (TenantId(tenant), entry) = draft.finish();
    let at = micros(entry.at);
    let mut names: Vec<&'static str> = entry
        .adaptations
        .iter()
        .map(|adaptation| adaptation.quirk.name())
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in &names {
        let (count, last) = uses
            .entry((tenant, entry.credential.clone().unwrap_or_default(), name))
            .or_default();
        *count += 1;
        *last = at.max(*last);
    }
    Ok(Row {
        tenant,
        id: entry.id.into_bytes(),
        at,
        status: i64::from(entry.status),
        resource: entry.resource_id.clone().or_else(|| made(&entry)),
        credential: entry.credential.clone(),
        quirks: format!(",{},", names.join(",")),
        document: json_text(&entry)?,
    })
}

/// What a create made is what it is about.
fn made(entry: &RequestEntry) -> Option<String> {
    match entry.changes.as_slice() {
        [only] => Some(only.id.clone()),
        _ => None,
    }
}

/// Values of a filter as both engines take them.
pub(crate) struct Wanted {
    pub status_min: i64,
    pub status_max: i64,
    pub since: i64,
    pub before: [u8; 16],
    pub quirk: Option<String>,
    pub limit: i64,
}

pub(crate) fn wanted(filter: &RequestFilter) -> Wanted {
    Wanted {
        status_min: i64::from(filter.status_min),
        status_max: i64::from(filter.status_max),
        since: filter.since.map_or(i64::MIN, micros),
        before: filter.before.map_or([0xff; 16], uuid::Uuid::into_bytes),
        quirk: filter.quirk.map(|quirk| format!(",{},", quirk.name())),
        limit: i64::try_from(filter.limit).unwrap_or(i64::MAX),
    }
}
