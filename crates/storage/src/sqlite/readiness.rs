//! `Readiness` in SQLite: room on the disk, damage that was seen, the key, and a write. Also compares the key with the database when it is opened.

use std::path::Path;

use async_trait::async_trait;
use directory::readiness::{NotReady, Readiness};
use directory::store::Fault;
use rusqlite::{Connection, OptionalExtension};

use super::Sqlite;
use super::explain::{explain, fault, is_of_damage};
use super::statements_of_installation as sql;
use crate::private_files::free_bytes;
use crate::secrets::{MasterKey, SEALED};

/// Least room on the disk of the data folder, in bytes. The journal of the database and that of the request log grow while they are used.
pub const DISK_FREE_BYTES_MIN: u64 = 16 * 1024 * 1024;

#[async_trait]
impl Readiness for Sqlite {
    async fn check_readiness(&self) -> Result<(), NotReady> {
        if self.damage.is_known() {
            return Err(NotReady::Damaged);
        }
        let store = self.clone();
        let read = tokio::task::spawn_blocking(move || store.read_state()).await;
        read.map_err(|error| {
            NotReady::NoAnswer(Fault::from_source("a read did not finish", error))
        })??;
        let written = self
            .writer
            .write(|connection| {
                connection
                    .execute(sql::TRY_TO_WRITE, [])
                    .map(drop)
                    .map_err(fault)
            })
            .await;
        written.map_err(|fault| {
            if is_of_damage(&fault) {
                NotReady::Damaged
            } else {
                NotReady::ReadOnly(fault)
            }
        })
    }
}

impl Sqlite {
    fn read_state(&self) -> Result<(), NotReady> {
        let folder = self
            .readers
            .path()
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        if let Some(free) = free_bytes(folder).filter(|free| *free < DISK_FREE_BYTES_MIN) {
            return Err(NotReady::DiskFull {
                free,
                least: DISK_FREE_BYTES_MIN,
            });
        }
        let check = self.readers.read_afresh(read_check).map_err(|fault| {
            if is_of_damage(&fault) {
                NotReady::Damaged
            } else {
                NotReady::NoAnswer(fault)
            }
        })?;
        if check.is_some_and(|check| self.key.has_check(&check)) {
            Ok(())
        } else {
            Err(NotReady::WrongKey)
        }
    }
}

fn read_check(connection: &Connection) -> Result<Option<Vec<u8>>, Fault> {
    connection
        .query_row(sql::READ_KEY_CHECK, [], |row| row.get(0))
        .optional()
        .map(Option::flatten)
        .map_err(fault)
}

/// Refuses a database that was made with another key; tells a database that has no check value yet which key it has.
pub(crate) fn check_key(
    connection: &mut Connection,
    database: &Path,
    key: &MasterKey,
) -> Result<(), Fault> {
    let explained = |error| explain(database, error);
    let check = read_check(connection)?;
    if let Some(check) = check {
        return key.judge(Some(&check), &[]).map(drop);
    }
    let transaction = connection.transaction().map_err(explained)?;
    let sealed: Vec<(String, Vec<u8>)> = {
        let mut statement = transaction.prepare(SEALED).map_err(explained)?;
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(explained)?;
        rows.collect::<Result<_, _>>().map_err(explained)?
    };
    if let Some(check) = key.judge(None, &sealed)? {
        transaction
            .execute(sql::SET_KEY_CHECK, [check])
            .map_err(explained)?;
    }
    transaction.commit().map_err(explained)
}
