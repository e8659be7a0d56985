//! Tells a database file that is whole from one that lacks what stands in its journal (SQLite's write-ahead log, the file that ends in `-wal`). Commits
//! stand in the journal first and are carried over into the file later, so a file that was copied alone, or whose journal was deleted or cut, opens as an
//! older database, or as an empty one. This module finds that out at the next opening. It mends nothing.
//!
//! Two things say so:
//!
//! 1. `installation.journal_needed` is 1 in the file and 0 in the journal. Whoever carries the journal over sets it to 1, carries that over as well, and then
//!    sets it back to 0; the 0 stands at the beginning of the journal from then on. A file without its journal therefore says 1, and a file to which SQLite
//!    or any other program has carried over everything says 0.
//! 2. A file beside the database that ends in `-mark` says how far the journal reached at least. It is written after commits and nobody waits for it, so
//!    after a power cut it may say less than the truth, and never more. It also says when the first of the two is being changed, in which case a 1 means
//!    nothing; that is on the disk before the change begins.
//!
//! Nothing here opens the database file itself. A process that closes any handle to a file loses all its locks on it (POSIX), also those of SQLite. Another
//! program that opens the database then takes itself for the only one, and deletes the journal while this process goes on writing into it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use directory::store::Fault;
use rusqlite::{Connection, OptionalExtension};

use super::explain::{explain, fault};
use super::{statements as sql, statements_of_installation as own};
use crate::private_files::{make_private, private_options, refused};

/// Frames (pages) in the journal after which it is carried over: 64 MiB. The same pages are written again and again meanwhile, and each carrying over makes
/// whoever writes wait.
const FRAMES_MAX: u32 = 16_000;
/// Further frames after which that is tried again, where a long read needs what stands in the journal.
const FRAMES_BETWEEN_TRIES: u32 = 1_000;

/// Where the salts are in the header of a journal; they are others whenever it begins anew.
const SALTS_AT: u64 = 16;
/// Where the mark says whether `journal_needed` is being changed.
const STATE_AT: u64 = 16;
const CHANGING: u8 = b'c';
const SETTLED: u8 = b's';

/// How far a journal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    salts: [u8; 8],
    frames: u32,
}

impl Extent {
    fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let parts = self
            .salts
            .into_iter()
            .chain(self.frames.to_le_bytes())
            .chain(self.check().to_le_bytes());
        bytes
            .iter_mut()
            .zip(parts)
            .for_each(|(to, from)| *to = from);
        bytes
    }

    fn from_bytes(bytes: &[u8; 16]) -> Option<Self> {
        let (salts, rest) = bytes.split_first_chunk::<8>()?;
        let (frames, check) = rest.split_first_chunk::<4>()?;
        let extent = Self {
            salts: *salts,
            frames: u32::from_le_bytes(*frames),
        };
        (extent.check().to_le_bytes() == *check).then_some(extent)
    }

    /// Differs where a write broke off in the middle.
    fn check(self) -> u32 {
        self.salts
            .iter()
            .fold(self.frames ^ 0x5a5a_5a5a, |sum, byte| {
                sum.rotate_left(5) ^ u32::from(*byte)
            })
    }
}

/// How the journal is carried over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carry {
    /// As much as nobody reads.
    Passive,
    /// All of it, and the journal is cut to nothing; waits for reads.
    Truncate,
}

/// What the thread that writes knows of the journal.
pub(crate) struct Journal {
    database: PathBuf,
    mark: File,
    /// The journal itself, once it is there.
    file: Option<File>,
    marked: Option<Extent>,
    /// Whether the file says that it needs the journal.
    is_told: bool,
    tried_at: u32,
}

/// The name of a file that belongs to this database.
fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(ending);
    PathBuf::from(name)
}

fn mark_path(database: &Path) -> PathBuf {
    beside(database, "-mark")
}

fn journal_path(database: &Path) -> PathBuf {
    beside(database, "-wal")
}

impl Journal {
    /// Of the database at this path.
    pub(crate) fn open(database: &Path) -> Result<Self, Fault> {
        let path = mark_path(database);
        let mark = open_mark(&path)?;
        make_private(&path);
        Ok(Self {
            database: database.to_owned(),
            mark,
            file: None,
            marked: None,
            is_told: false,
            tried_at: 0,
        })
    }

    /// To be called before a transaction: the file says that it needs the journal before anything is acknowledged that only the journal has.
    pub(crate) fn before(&mut self, connection: &Connection) {
        if self.is_told {
            return;
        }
        // Another process may have seen to it, and the journal has not begun anew since.
        let marked = read_extent(&mut &self.mark);
        self.is_told = !is_changing(&mut &self.mark)
            && marked.is_some()
            && marked.map(|extent| extent.salts) == self.salts();
        if !self.is_told {
            self.carry_over(connection);
        }
    }

    /// To be called after a transaction, when those who waited for it have their answer.
    pub(crate) fn after(&mut self, connection: &Connection) {
        let Some(extent) = self.extent(connection) else {
            return;
        };
        if self.marked != Some(extent) && write_at(&mut &self.mark, 0, &extent.to_bytes()).is_ok() {
            self.marked = Some(extent);
        }
        if extent.frames < self.tried_at {
            self.tried_at = 0;
        }
        if extent.frames >= FRAMES_MAX && extent.frames - self.tried_at >= FRAMES_BETWEEN_TRIES {
            self.tried_at = extent.frames;
            self.carry_over(connection);
        }
    }

    fn carry_over(&mut self, connection: &Connection) {
        match carry_over(connection, &self.database, Carry::Passive) {
            Ok(is_whole) => self.is_told |= is_whole,
            // A transaction that fails for the same reason says so to those who wait for it.
            Err(fault) => tracing::warn!(
                error = &fault as &dyn std::error::Error,
                "the journal was not carried over"
            ),
        }
    }

    fn extent(&mut self, connection: &Connection) -> Option<Extent> {
        let before = self.salts()?;
        let frames = frames(connection).ok()?;
        // Another process may have begun the journal anew in between.
        (self.salts()? == before).then_some(Extent {
            salts: before,
            frames,
        })
    }

    fn salts(&mut self) -> Option<[u8; 8]> {
        if self.file.is_none() {
            // It stays the same file as long as the connection is open.
            self.file = File::open(journal_path(&self.database)).ok();
        }
        read_at(&mut self.file.as_ref()?, SALTS_AT)
    }
}

/// One step of carrying the journal over. The process may end after any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The mark says that `journal_needed` is being changed, or that it is so no more.
    State(u8),
    /// Carries over what is in the journal.
    Carry(&'static str),
    /// Changes `journal_needed`.
    Execute(&'static str),
}

/// The steps, in order.
fn steps(carry: Carry) -> [Step; 6] {
    let last = if carry == Carry::Passive {
        sql::CARRY_JOURNAL
    } else {
        sql::EMPTY_JOURNAL
    };
    [
        // Most of it before the file says anything else, so that it does so for a moment only.
        Step::Carry(sql::CARRY_JOURNAL),
        Step::State(CHANGING),
        Step::Execute(own::NEED_JOURNAL),
        Step::Carry(last),
        Step::Execute(own::NEED_NO_JOURNAL),
        Step::State(SETTLED),
    ]
}

/// Whether all of the journal was carried over, where that is what the step does.
fn take(
    step: Step,
    connection: &Connection,
    mark: &File,
    mark_path: &Path,
) -> Result<Option<bool>, Fault> {
    match step {
        Step::State(state) => set_state(mark, state)
            .map(|()| None)
            .map_err(|error| refused(mark_path, error)),
        Step::Carry(statement) => checkpoint(connection, statement).map(Some).map_err(fault),
        Step::Execute(statement) => {
            let executed = connection
                .prepare_cached(statement)
                .and_then(|mut statement| statement.execute([]));
            executed.map(|_| None).map_err(fault)
        }
    }
}

/// Carries the journal over into the file, and leaves the file saying that it needs what the journal gets from now on; false where reads were in the way. To
/// be called outside of a transaction.
pub(crate) fn carry_over(
    connection: &Connection,
    database: &Path,
    carry: Carry,
) -> Result<bool, Fault> {
    let path = mark_path(database);
    // A handle of its own: a lock belongs to a handle, and another process may do the same at this moment.
    let mark = open_mark(&path)?;
    // Where files cannot be locked the worst is that a lost journal is not noticed.
    drop(mark.lock());
    let mut is_whole = false;
    for step in steps(carry) {
        is_whole = take(step, connection, &mark, &path)?.unwrap_or(is_whole);
    }
    Ok(is_whole)
}

/// Refuses a database whose file alone is not whole and whose journal is missing, or ends before what was acknowledged. Changes nothing; `connection` has
/// not been used yet, and where this refuses, it must not carry the journal over when it is closed.
pub(crate) fn check(connection: &Connection, database: &Path) -> Result<(), Fault> {
    let failed = |error| explain(database, error);
    if connection
        .query_row(own::HAS_INSTALLATION, [], |row| row.get(0))
        .map(|count: i64| count == 0)
        .map_err(failed)?
    {
        return Ok(());
    }
    let mark = File::options()
        .read(true)
        .write(true)
        .open(mark_path(database))
        .ok();
    let marked = mark.as_ref().and_then(|mut mark| read_extent(&mut mark));
    let needs_journal = || {
        connection
            .query_row(own::NEEDS_JOURNAL, [], |row| row.get(0))
            .optional()
            .map_err(failed)
    };
    if needs_journal()? == Some(true) {
        // Another process may be changing it right now; it has the lock for so long.
        drop(mark.as_ref().map(File::lock));
        let is_changing = mark.as_ref().is_some_and(|mut mark| is_changing(&mut mark));
        if !is_changing && needs_journal()? == Some(true) {
            return Err(Fault::new(missing(database)));
        }
    }
    let mut journal = File::open(journal_path(database)).ok();
    let salts: Option<[u8; 8]> = journal
        .as_mut()
        .and_then(|journal| read_at(journal, SALTS_AT));
    match marked {
        Some(marked)
            if Some(marked.salts) == salts
                && frames(connection).map_err(failed)? < marked.frames =>
        {
            Err(Fault::new(cut(database)))
        }
        _ => Ok(()),
    }
}

/// Goes on with what the file has, after `check` has refused it: what stood only in the journal is lost.
pub fn accept_lost_journal(database: &Path) -> Result<(), Fault> {
    check_that_none_was_here(database)?;
    let failed = |error| explain(database, error);
    let connection = Connection::open(database).map_err(failed)?;
    if connection
        .query_row(own::HAS_INSTALLATION, [], |row| row.get(0))
        .map(|count: i64| count > 0)
        .map_err(failed)?
    {
        connection
            .execute(own::NEED_NO_JOURNAL, [])
            .map_err(failed)?;
    }
    connection.close().map_err(|(_, error)| failed(error))?;
    match std::fs::remove_file(mark_path(database)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Fault::from_source(
            "the mark of the journal could not be removed",
            error,
        )),
        _ => Ok(()),
    }
}

/// Refuses to make a database where one has been. SQLite makes one of a file that is missing or empty, and deletes the journal beside it, in which all of the
/// database may stand.
pub(crate) fn check_that_none_was_here(database: &Path) -> Result<(), Fault> {
    let state = match size(database) {
        None => "missing",
        // SQLite counts one byte as none.
        Some(0 | 1) => "empty",
        Some(_) => return Ok(()),
    };
    let journal =
        Some(journal_path(database)).filter(|journal| size(journal).is_some_and(|bytes| bytes > 0));
    let left: Vec<String> = Some(mark_path(database))
        .filter(|mark| mark.exists())
        .into_iter()
        .chain(journal)
        .map(|path| path.display().to_string())
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(Fault::new(format!(
        "the database {} is {state}, and there was one, of which {left} is left: put the database back together with the file that ends in -wal; nothing was \
         changed. To begin with an empty one, delete {left}",
        database.display(),
        left = left.join(" and ")
    )))
}

/// In bytes; `None` where there is no file.
fn size(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|metadata| metadata.len())
}

fn missing(database: &Path) -> String {
    let (database, journal) = (database.display(), journal_path(database));
    format!(
        "the database {database} is not whole: the newest changes stood in its journal {}, which is missing or is not the journal of this file. Put the \
         journal back, or copy both files again while `rollcall serve` is stopped; nothing was changed. \
         Where it cannot be brought back, `rollcall serve --accept-lost-journal` goes on without it: the newest changes are lost",
        journal.display()
    )
}

fn cut(database: &Path) -> String {
    let (database, journal) = (database.display(), journal_path(database));
    format!(
        "the database {database} is not whole: its journal {} ends before the newest changes, so it was cut or damaged. Put back the whole journal, or \
         copy both files again while `rollcall serve` is stopped; nothing was changed. \
         Where it cannot be brought back, `rollcall serve --accept-lost-journal` goes on without it: the newest changes are lost",
        journal.display()
    )
}

/// How many frames of the journal count.
fn frames(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection
        .prepare_cached(sql::JOURNAL_FRAMES)?
        .query_row([], |row| row.get::<_, i64>(1))
        .map(|frames| u32::try_from(frames).unwrap_or(0))
}

/// Whether all of the journal was carried over.
fn checkpoint(connection: &Connection, statement: &str) -> Result<bool, rusqlite::Error> {
    connection.prepare_cached(statement)?.query_row([], |row| {
        let (busy, frames, carried): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(busy == 0 && frames == carried)
    })
}

fn open_mark(path: &Path) -> Result<File, Fault> {
    private_options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| refused(path, error))
}

fn set_state(mark: &File, state: u8) -> io::Result<()> {
    write_at(&mut &*mark, STATE_AT, &[state])?;
    mark.sync_data()
}

fn is_changing(mark: &mut (impl Read + Seek)) -> bool {
    read_at(mark, STATE_AT) == Some([CHANGING])
}

fn read_extent(mark: &mut (impl Read + Seek)) -> Option<Extent> {
    Extent::from_bytes(&read_at(mark, 0)?)
}

fn read_at<const N: usize>(file: &mut (impl Read + Seek), place: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(place)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn write_at(file: &mut (impl Write + Seek), place: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(place))?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rusqlite::params;
    use tempfile::TempDir;

    use super::*;
    use crate::sqlite::connections::open_writer;
    use crate::statements_of_callers::CREATE_TENANT;

    #[test]
    fn an_extent_that_was_half_written_says_nothing() {
        let extent = Extent {
            salts: *b"saltsalt",
            frames: 70_000,
        };
        let bytes = extent.to_bytes();
        assert_eq!(Extent::from_bytes(&bytes), Some(extent));
        for place in 0..bytes.len() {
            let mut changed = bytes;
            changed[place] ^= 1;
            assert_eq!(Extent::from_bytes(&changed), None, "{place}");
        }
        assert_eq!(Extent::from_bytes(&[0; 16]), None);
    }

    /// A database that is being written, and how many rows were acknowledged.
    struct Live {
        folder: TempDir,
        connection: Connection,
        journal: Journal,
        rows: i64,
    }

    impl Live {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("db");
            let connection = open_writer(&path).unwrap();
            let journal = Journal::open(&path).unwrap();
            Self {
                folder,
                connection,
                journal,
                rows: 0,
            }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("db")
        }

        /// What the thread that writes does with a transaction.
        fn commit(&mut self) {
            self.journal.before(&self.connection);
            self.insert();
            self.journal.after(&self.connection);
        }

        fn insert(&mut self) {
            self.connection
                .execute(
                    CREATE_TENANT.sqlite(),
                    params![self.rows.to_string(), 0, "{}", 0],
                )
                .unwrap();
            self.rows += 1;
        }

        /// The files as they are found when the process is killed now; of the journal only so many bytes, where that is said.
        fn image(&self, endings: &[&str], journal_bytes: Option<u64>) -> TempDir {
            let copy = tempfile::tempdir().unwrap();
            for ending in endings {
                let (from, to) = (
                    beside(&self.path(), ending),
                    beside(&copy.path().join("db"), ending),
                );
                if from.exists() {
                    fs::copy(from, to).unwrap();
                }
            }
            if let Some(bytes) = journal_bytes {
                File::options()
                    .write(true)
                    .open(journal_path(&copy.path().join("db")))
                    .unwrap()
                    .set_len(bytes)
                    .unwrap();
            }
            copy
        }

        fn journal_bytes(&self) -> u64 {
            fs::metadata(journal_path(&self.path())).unwrap().len()
        }
    }

    const ALL: &[&str] = &["", "-wal", "-mark"];

    /// How many rows the copy has; `None` where it is refused as not whole.
    fn rows_of(copy: &TempDir) -> Option<i64> {
        match open_writer(&copy.path().join("db")) {
            Ok(connection) => Some(
                connection
                    .query_row("SELECT count(*) FROM tenants", [], |row| row.get(0))
                    .unwrap(),
            ),
            Err(fault) => {
                assert!(fault.to_string().contains("is not whole"), "{fault}");
                None
            }
        }
    }

    #[test]
    fn a_killed_database_opens_and_its_file_alone_does_not() {
        let mut live = Live::new();
        for round in 0..40 {
            live.commit();
            if round % 7 == 6 {
                assert!(
                    carry_over(
                        &live.connection,
                        &live.path(),
                        if round % 2 == 0 {
                            Carry::Passive
                        } else {
                            Carry::Truncate
                        }
                    )
                    .unwrap()
                );
            }
            assert_eq!(rows_of(&live.image(ALL, None)), Some(live.rows));
            assert_eq!(
                rows_of(&live.image(&["", "-wal"], None)),
                Some(live.rows),
                "a copy without the mark"
            );
            assert_eq!(rows_of(&live.image(&[""], None)), None, "the file alone");
            assert_eq!(
                rows_of(&live.image(&["", "-mark"], None)),
                None,
                "the journal was deleted"
            );
        }
    }

    #[test]
    fn a_journal_that_was_cut_anywhere_is_noticed() {
        let mut live = Live::new();
        for _ in 0..12 {
            live.commit();
        }
        let (mut refused, bytes) = (0, live.journal_bytes());
        for cut in (0..bytes).step_by(997) {
            match rows_of(&live.image(ALL, Some(cut))) {
                None => refused += 1,
                // What follows the last commit is of an earlier use of the file, and counts for nothing.
                Some(rows) => assert_eq!(rows, live.rows, "cut to {cut} of {bytes} bytes"),
            }
        }
        assert!(refused > 10, "{refused} of {bytes} bytes");
    }

    #[test]
    fn a_kill_between_any_two_steps_of_carrying_over_loses_nothing() {
        for (carry, with_others) in [Carry::Passive, Carry::Truncate]
            .into_iter()
            .flat_map(|carry| [(carry, false), (carry, true)])
        {
            let mut live = Live::new();
            for _ in 0..5 {
                live.commit();
            }
            let path = mark_path(&live.path());
            let mark = open_mark(&path).unwrap();
            for (place, step) in steps(carry).into_iter().enumerate() {
                take(step, &live.connection, &mark, &path).unwrap();
                assert_eq!(
                    rows_of(&live.image(ALL, None)),
                    Some(live.rows),
                    "after {step:?}"
                );
                // While the last transaction of them is written the journal begins anew, and what was before in it is gone.
                if step == Step::Execute(own::NEED_NO_JOURNAL) && !with_others {
                    for cut in (0..live.journal_bytes()).step_by(61) {
                        assert_eq!(
                            rows_of(&live.image(ALL, Some(cut))),
                            Some(live.rows),
                            "{cut} bytes of the journal"
                        );
                    }
                }
                if place == 3 && with_others {
                    live.insert();
                    assert_eq!(rows_of(&live.image(ALL, None)), Some(live.rows));
                }
            }
            live.commit();
            assert_eq!(rows_of(&live.image(ALL, None)), Some(live.rows));
            assert_eq!(rows_of(&live.image(&[""], None)), None);
        }
    }

    #[test]
    fn what_sqlite_carries_over_by_itself_needs_no_journal() {
        let mut live = Live::new();
        live.commit();
        // After a kill another program opens the database and closes it as the last one.
        let copy = live.image(ALL, None);
        Connection::open(copy.path().join("db"))
            .unwrap()
            .query_row("SELECT count(*) FROM tenants", [], |row| {
                row.get::<_, i64>(0)
            })
            .unwrap();
        assert!(!journal_path(&copy.path().join("db")).exists());
        assert_eq!(rows_of(&copy), Some(1));
        // SQLite's own copies have everything.
        let other = tempfile::tempdir().unwrap();
        live.connection
            .execute(
                "VACUUM INTO ?1",
                [other.path().join("db").to_str().unwrap()],
            )
            .unwrap();
        assert_eq!(rows_of(&other), Some(1));
        // A database that was closed is whole without a journal.
        let Live {
            folder,
            connection,
            journal,
            ..
        } = live;
        drop((connection, journal));
        fs::remove_file(mark_path(&folder.path().join("db"))).unwrap();
        assert!(!journal_path(&folder.path().join("db")).exists());
        assert_eq!(rows_of(&folder), Some(1));
    }

    #[test]
    fn a_reader_that_stays_delays_the_carrying_over_and_hides_nothing() {
        let mut live = Live::new();
        live.commit();
        let reader = Connection::open(live.path()).unwrap();
        reader
            .execute_batch("BEGIN; SELECT count(*) FROM tenants")
            .unwrap();
        let _: i64 = reader
            .query_row("SELECT count(*) FROM tenants", [], |row| row.get(0))
            .unwrap();
        live.commit();
        assert!(!carry_over(&live.connection, &live.path(), Carry::Passive).unwrap());
        live.commit();
        assert_eq!(rows_of(&live.image(ALL, None)), Some(3));
        reader.execute_batch("COMMIT").unwrap();
        assert!(carry_over(&live.connection, &live.path(), Carry::Passive).unwrap());
        live.commit();
        assert_eq!(rows_of(&live.image(&[""], None)), None);
    }

    #[test]
    fn a_second_process_does_not_carry_over_what_the_first_has_seen_to() {
        let mut live = Live::new();
        live.commit();
        let before = live.journal_bytes();
        let other = open_writer(&live.path()).unwrap();
        let mut journal = Journal::open(&live.path()).unwrap();
        journal.before(&other);
        assert!(journal.is_told && live.journal_bytes() == before);
        other
            .execute(CREATE_TENANT.sqlite(), params!["other", 0, "{}", 0])
            .unwrap();
        journal.after(&other);
        assert_eq!(rows_of(&live.image(ALL, None)), Some(2));
        assert_eq!(rows_of(&live.image(&[""], None)), None);
    }

    #[test]
    fn a_lost_journal_can_be_accepted() {
        let mut live = Live::new();
        live.commit();
        carry_over(&live.connection, &live.path(), Carry::Passive).unwrap();
        live.commit();
        let copy = live.image(&["", "-mark"], None);
        assert_eq!(rows_of(&copy), None);
        assert_eq!(rows_of(&copy), None, "the refusal changes nothing");
        accept_lost_journal(&copy.path().join("db")).unwrap();
        assert_eq!(rows_of(&copy), Some(1), "what was carried over");
        let cut = live.image(ALL, Some(live.journal_bytes() / 3));
        if rows_of(&cut).is_none() {
            accept_lost_journal(&cut.path().join("db")).unwrap();
            assert!(rows_of(&cut).is_some());
        }
    }

    #[test]
    fn a_database_that_is_gone_is_not_made_again() {
        let mut live = Live::new();
        live.commit();
        let check = |endings: &[&str], bytes: Option<u64>, said: &str| {
            let copy = live.image(endings, None);
            let path = copy.path().join("db");
            if let Some(bytes) = bytes {
                File::create(&path).unwrap().set_len(bytes).unwrap();
            }
            for refusal in [open_writer(&path).map(drop), accept_lost_journal(&path)] {
                let refusal = refusal.unwrap_err().to_string();
                assert!(
                    refusal.contains(said),
                    "{endings:?}, {bytes:?} bytes: {refusal}"
                );
            }
            for ending in endings {
                let is_kept = fs::read(beside(&path, ending)).unwrap()
                    == fs::read(beside(&live.path(), ending)).unwrap();
                assert!(is_kept, "{ending} of {endings:?} is not what it was");
            }
            assert_eq!(size(&path), bytes);
        };
        for endings in [&["-mark", "-wal"] as &[&str], &["-mark"], &["-wal"]] {
            check(endings, None, "is missing");
            // What a copy onto a full disk leaves.
            check(endings, Some(0), "is empty");
            check(endings, Some(1), "is empty");
        }
    }

    #[test]
    fn an_empty_file_becomes_a_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        File::create(&path).unwrap();
        File::create(journal_path(&path)).unwrap();
        assert_eq!(
            rows_of(&folder),
            Some(0),
            "a first start that was killed before anything was written"
        );
        drop(open_writer(&path).unwrap());
    }
}
