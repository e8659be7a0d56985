//! Who serves a database in a file: a lock that every serving process holds, for as long as it runs and however it ends. Keeps nobody out; several may serve.

use std::fs::File;
use std::path::Path;

use directory::store::Fault;

use super::connections::fault;
use super::{Sqlite, statements_of_work as sql};
use crate::private_files::{make_private, private_options};

/// What is locked, beside the database.
const LOCK_FILE: &str = "serving.lock";

/// Held by a process that serves, for as long as it does.
#[derive(Debug)]
pub struct Serving {
    _locked: File,
}

impl Sqlite {
    /// Begins to serve. Where nobody else does, leases of a former run end first, as if they had run out: what it had begun is not waited for. `None` where
    /// files cannot be locked; then nobody is known to be alone.
    pub async fn begin_to_serve(&self) -> Result<Option<Serving>, Fault> {
        let end_leases = async || self.writer.write(|connection| connection.execute(sql::END_LEASES, []).map(drop).map_err(fault)).await;
        begin(&self.readers.path().with_file_name(LOCK_FILE), end_leases).await
    }
}

/// `alone` is carried out where nobody else serves, and nobody begins meanwhile.
async fn begin(path: &Path, alone: impl AsyncFnOnce() -> Result<(), Fault>) -> Result<Option<Serving>, Fault> {
    let Ok(file) = private_options().create(true).truncate(false).write(true).open(path) else { return Ok(None) };
    make_private(path);
    if file.try_lock().is_ok() {
        alone().await?;
        // Whoever comes between these two is alone as well, as this process has not begun yet.
        drop(file.unlock());
    }
    Ok(file.lock_shared().is_ok().then_some(Serving { _locked: file }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_serves_is_not_alone_with_others() {
        let folder = tempfile::tempdir().unwrap();
        let begun = async |name: &str| {
            let mut alone = false;
            let mark = async || {
                alone = true;
                Ok(())
            };
            let serving = begin(&folder.path().join(name), mark).await.unwrap();
            (serving, alone)
        };
        let (first, alone) = begun(LOCK_FILE).await;
        assert!(first.is_some() && alone);
        let (second, alone) = begun(LOCK_FILE).await;
        assert!(second.is_some() && !alone);
        // The second still serves, so a third is not alone either.
        drop(first);
        let (third, alone) = begun(LOCK_FILE).await;
        assert!(third.is_some() && !alone);
        drop((second, third));
        assert!(begun(LOCK_FILE).await.1);
        let (nowhere, alone) = begun("no folder/file").await;
        assert!(nowhere.is_none() && !alone);
    }
}
