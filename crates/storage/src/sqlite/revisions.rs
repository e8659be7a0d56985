//! Revisions of tenants that were read a moment ago, so that a request costs no read of the database where none was changed since. Any process that
//! changes one leaves a mark in a file beside the database, which every other sees at its next request; looking at its length is one system call.
//!
//! A mark is left before such a change is committed and another one after it. What is read in between may be the revision before, but it is remembered
//! under a length that has passed when the change is answered. A process that is killed in between leaves the others with what they knew until a token is
//! looked up again (`token_cache_seconds_max`), and has not answered that the change was made.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use directory::store::Fault;

use crate::private_files::{make_private, private_options, refused};

/// What is marked, beside the database.
const MARKS_FILE: &str = "revisions";

fn fault(error: std::io::Error) -> Fault {
    Fault::from_source("the file of marks beside the database", error)
}

/// The marks, and what was read since the last of them.
#[derive(Clone)]
pub(crate) struct Revisions {
    marks: Arc<File>,
    read: Arc<Mutex<Read>>,
}

/// What was read while there were so many marks.
#[derive(Default)]
struct Read {
    marks: u64,
    by_name: HashMap<String, i64>,
}

impl Revisions {
    /// Of the database at this path.
    pub(crate) fn open(database: &Path) -> Result<Self, Fault> {
        let path = database.with_file_name(MARKS_FILE);
        let marks = private_options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|error| refused(&path, error))?;
        make_private(&path);
        Ok(Self {
            marks: Arc::new(marks),
            read: Arc::default(),
        })
    }

    /// Tells every process that a revision may change, or may have changed.
    pub(crate) fn mark(&self) -> Result<(), Fault> {
        // What is appended by several at once is appended whole, so the file grows with each.
        (&*self.marks).write_all(b".").map_err(fault)
    }

    /// The revision of the tenant with this name; `read` asks the database.
    pub(crate) fn find(
        &self,
        name: &str,
        read: impl FnOnce() -> Result<Option<i64>, Fault>,
    ) -> Result<Option<i64>, Fault> {
        // Before the database is read: what is read may be newer than this says, and never older.
        let marks = self.marks.metadata().map_err(fault)?.len();
        if let Some(known) = self.of(marks).by_name.get(name) {
            return Ok(Some(*known));
        }
        let found = read()?;
        if let Some(revision) = found {
            let mut known = self.of(marks);
            if known.marks == marks {
                known.by_name.insert(name.to_owned(), revision);
            }
        }
        Ok(found)
    }

    /// What is known; nothing, where there are more marks now than when it was read.
    fn of(&self, marks: u64) -> MutexGuard<'_, Read> {
        // Each use leaves it whole, so a panic elsewhere does not spoil it.
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.marks < marks {
            *read = Read {
                marks,
                by_name: HashMap::new(),
            };
        }
        read
    }
}
