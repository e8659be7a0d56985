//! Who serves a database in a file: a lock that the one serving process holds for as long as it runs, however it ends. Commands that only read and
//! write do not need it.

use std::fs::{File, TryLockError};
use std::path::Path;

use directory::store::Fault;

use super::explain::fault;
use super::{Sqlite, statements as sql};
use crate::private_files::{make_private, private_options};

/// What is locked, beside the database.
const LOCK_FILE: &str = "serving.lock";

/// Held by a process that serves, for as long as it does.
#[derive(Debug)]
pub struct Serving {
    _locked: Option<File>,
}

/// What came of the attempt to serve.
#[derive(Debug)]
pub enum Begun {
    /// This process serves now.
    Serving(Serving),
    /// Another process serves this database.
    Taken,
}

impl Sqlite {
    /// Begins to serve, unless another process does. Leases of a former run end first, as if they had run out: what it had begun is not waited for.
    /// Where files cannot be locked (some network file systems) this process serves, and nothing is known about others; leases then run out by time.
    pub async fn begin_to_serve(&self) -> Result<Begun, Fault> {
        let end_leases = async || {
            self.writer
                .write(|connection| {
                    connection
                        .execute(sql::END_LEASES, [])
                        .map(drop)
                        .map_err(fault)
                })
                .await
        };
        begin(&self.readers.path().with_file_name(LOCK_FILE), end_leases).await
    }
}

/// `alone` is carried out while the lock is held.
async fn begin(
    path: &Path,
    alone: impl AsyncFnOnce() -> Result<(), Fault>,
) -> Result<Begun, Fault> {
    let unlocked = Begun::Serving(Serving { _locked: None });
    let Ok(file) = private_options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
    else {
        return Ok(unlocked);
    };
    make_private(path);
    match file.try_lock() {
        Ok(()) => {
            alone().await?;
            Ok(Begun::Serving(Serving {
                _locked: Some(file),
            }))
        }
        Err(TryLockError::WouldBlock) => Ok(Begun::Taken),
        Err(TryLockError::Error(_)) => Ok(unlocked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_process_serves_a_database() {
        let folder = tempfile::tempdir().unwrap();
        let begun = async |name: &str| {
            let mut alone = false;
            let mark = async || {
                alone = true;
                Ok(())
            };
            (begin(&folder.path().join(name), mark).await.unwrap(), alone)
        };
        let (first, alone) = begun(LOCK_FILE).await;
        assert!(matches!(first, Begun::Serving(_)) && alone);
        let (second, alone) = begun(LOCK_FILE).await;
        assert!(matches!(second, Begun::Taken) && !alone);
        drop(first);
        let (third, alone) = begun(LOCK_FILE).await;
        assert!(matches!(third, Begun::Serving(_)) && alone);
        let (nowhere, alone) = begun("no folder/file").await;
        assert!(
            matches!(nowhere, Begun::Serving(_)) && !alone,
            "a file that cannot be made keeps nobody from serving"
        );
    }
}
