//! *(shell)* The audit entry of an administrator's act. The first commit of the act stores it, in the same transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Directory;
use crate::audit::Entry;

/// An act, and whether a commit has stored its entry.
pub(super) struct Act {
    entry: Entry,
    is_recorded: AtomicBool,
}

impl Directory {
    /// The same directory for one act of an administrator: the first commit stores this entry too. An act that commits nothing leaves no entry.
    #[must_use]
    pub fn recording(&self, entry: Entry) -> Self {
        let is_recorded = AtomicBool::new(false);
        Self {
            act: Some(Arc::new(Act { entry, is_recorded })),
            ..self.clone()
        }
    }

    /// The entry that the next commit stores.
    pub(super) fn unrecorded(&self) -> Option<Entry> {
        let act = self.act.as_ref()?;
        let is_recorded = act.is_recorded.load(Ordering::Relaxed);
        (!is_recorded).then(|| act.entry.clone())
    }

    /// A commit has stored the entry.
    pub(super) fn recorded(&self) {
        if let Some(act) = &self.act {
            act.is_recorded.store(true, Ordering::Relaxed);
        }
    }
}
