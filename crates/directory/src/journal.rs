//! What is learned of a request while it is carried out, for the request log: what was adapted, what it was understood as, what changed. Decides nothing,
//! and holds no value that may not be read back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scim_protocol::quirk::{Adaptation, Adaptations, Quirk};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most messages kept of one request (a bulk request has one an operation).
const MESSAGES_MAX: usize = 16;
/// Most changes kept of one request.
const CHANGES_MAX: usize = 64;

/// A resource that a request changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Touched {
    /// Name of its type.
    pub resource_type: String,
    /// Its id.
    pub id: String,
    /// The version it has now, 0 after a delete.
    pub version: u64,
}

/// The content of the journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned {
    /// What quirks changed in it.
    pub adaptations: Vec<Adaptation>,
    /// The messages after that, redacted; only where something was changed in them.
    pub understood: Vec<Value>,
    /// What it changed.
    pub changes: Vec<Touched>,
}

#[derive(Debug, Default)]
struct Pages {
    adaptations: Adaptations,
    understood: Vec<Value>,
    changes: Vec<Touched>,
    without_messages: bool,
}

/// Is written by `Directory` and read when the request has been answered.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    pages: Arc<Mutex<Pages>>,
}

impl Journal {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        // Each call leaves it whole, so a panic elsewhere does not spoil it.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on messages are not kept: this request is too large for that.
    pub fn keep_no_messages(&self) {
        self.pages().without_messages = true;
    }

    /// Notes the adaptations; `message` makes the redacted message, if it is kept.
    pub fn adapted(&self, adaptations: Adaptations, message: impl FnOnce() -> Value) {
        if adaptations.is_empty() {
            return;
        }
        let mut pages = self.pages();
        pages.adaptations.extend(adaptations);
        if !pages.without_messages && pages.understood.len() < MESSAGES_MAX {
            pages.understood.push(message());
        }
    }

    /// Notes what a quirk did that leaves no other message.
    pub fn also_adapted(&self, adaptations: Adaptations) {
        if !adaptations.is_empty() {
            self.pages().adaptations.extend(adaptations);
        }
    }

    pub(crate) fn changed(&self, touched: Touched) {
        let mut pages = self.pages();
        if pages.changes.len() < CHANGES_MAX {
            pages.changes.push(touched);
        }
    }

    /// The names that were ignored so far, as no schema has them.
    pub fn ignored(&self) -> Vec<String> {
        let pages = self.pages();
        let ignored = pages
            .adaptations
            .as_slice()
            .iter()
            .filter(|adaptation| adaptation.quirk == Quirk::IgnoreUnknown);
        ignored.map(|adaptation| adaptation.path.clone()).collect()
    }

    /// The quirks that acted so far.
    pub fn quirks(&self) -> Vec<Quirk> {
        self.pages().adaptations.quirks()
    }

    /// Takes everything out.
    pub fn take(&self) -> Learned {
        let Pages {
            adaptations,
            understood,
            changes,
            ..
        } = std::mem::take(&mut *self.pages());
        Learned {
            adaptations: adaptations.into_vec(),
            understood,
            changes,
        }
    }
}
