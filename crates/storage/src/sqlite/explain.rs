//! Why a database in a file cannot be used, in words with which somebody can mend it: which file, what is wrong, what to do. Repairs nothing.

use std::path::Path;

use directory::store::Fault;
use rusqlite::{Error, ErrorCode};

use crate::private_files::free_bytes;

/// Below this a disk counts as full, as SQLite does not always say why a write failed.
const FULL_BELOW_BYTES: u64 = 256 * 1024;

/// Whether an error says that the file is not what SQLite wrote.
pub(crate) fn is_damage(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Whether a fault comes from such an error.
pub(crate) fn is_of_damage(fault: &Fault) -> bool {
    let source = std::error::Error::source(fault);
    source
        .and_then(|source| source.downcast_ref::<Error>())
        .is_some_and(is_damage)
}

/// Turns an SQLite error into a fault.
pub(crate) fn fault(error: Error) -> Fault {
    Fault::from_source("SQLite", error)
}

/// Turns an error that came while the database at this path was opened into a fault.
pub(crate) fn explain(database: &Path, error: Error) -> Fault {
    let path = database.display();
    let folder = database.parent().unwrap_or(database);
    let is_full = || free_bytes(folder).is_some_and(|free| free < FULL_BELOW_BYTES);
    let sentence = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            format!(
                "the file {path} is not a database: put the database back from a backup, or name another folder with --data"
            )
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            format!("the database {path} is damaged: put it back from a backup")
        }
        Some(ErrorCode::DiskFull) => full(database),
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if is_full() => full(database),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => format!(
            "the database {path} cannot be opened for writing: this user must be able to write the file and the folder {}, and the disk must not be \
             mounted read-only",
            folder.display()
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!(
                "the database {path} is locked by another program: end it, or wait until it has finished"
            )
        }
        Some(ErrorCode::SystemIoFailure) => {
            format!(
                "the operating system did not read or write the database {path} as it was asked: look at the disk"
            )
        }
        _ => format!("the database {path} could not be opened"),
    };
    Fault::from_source(sentence, error)
}

fn full(database: &Path) -> String {
    format!(
        "the disk that holds {} is full: make room and start again; nothing is lost",
        database.display()
    )
}
