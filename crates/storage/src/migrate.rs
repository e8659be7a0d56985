//! Which migrations there are, and which of them a database still needs. Does not run them; each engine does, inside one transaction and a lock.

use aws_lc_rs::digest::{SHA256, digest};
use directory::store::Fault;

/// A numbered change of the tables. Append-only: one that has run anywhere never changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    /// Its name; the place in the list is its number, counted from 1.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
}

/// A migration that a database has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Its number.
    pub number: i64,
    /// SHA-256 of its text, when it ran.
    pub checksum: Vec<u8>,
}

/// For SQLite.
pub(crate) const SQLITE: &[Migration] = &[
    Migration {
        name: "0001_directory",
        sql: include_str!("../migrations/sqlite/0001_directory.sql"),
    },
    Migration {
        name: "0002_ledger",
        sql: include_str!("../migrations/sqlite/0002_ledger.sql"),
    },
    Migration {
        name: "0003_callers",
        sql: include_str!("../migrations/sqlite/0003_callers.sql"),
    },
    Migration {
        name: "0004_change_kinds",
        sql: include_str!("../migrations/sqlite/0004_change_kinds.sql"),
    },
    Migration {
        name: "0005_schemas",
        sql: include_str!("../migrations/sqlite/0005_schemas.sql"),
    },
    Migration {
        name: "0006_receivers",
        sql: include_str!("../migrations/sqlite/0006_receivers.sql"),
    },
    Migration {
        name: "0007_requests",
        sql: include_str!("../migrations/sqlite/0007_requests.sql"),
    },
    Migration {
        name: "0008_clients",
        sql: include_str!("../migrations/sqlite/0008_clients.sql"),
    },
    Migration {
        name: "0009_safety",
        sql: include_str!("../migrations/sqlite/0009_safety.sql"),
    },
    Migration {
        name: "0010_statistics",
        sql: include_str!("../migrations/sqlite/0010_statistics.sql"),
    },
    Migration {
        name: "0011_people",
        sql: include_str!("../migrations/sqlite/0011_people.sql"),
    },
    Migration {
        name: "0012_installation",
        sql: include_str!("../migrations/sqlite/0012_installation.sql"),
    },
    Migration {
        name: "0013_unanswered",
        sql: include_str!("../migrations/sqlite/0013_unanswered.sql"),
    },
    Migration {
        name: "0014_audit",
        sql: include_str!("../migrations/sqlite/0014_audit.sql"),
    },
];

/// For the request log on SQLite, which has a file of its own.
pub(crate) const SQLITE_REQUESTS: &[Migration] = &[
    Migration {
        name: "0001_requests",
        sql: include_str!("../migrations/sqlite_requests/0001_requests.sql"),
    },
    Migration {
        name: "0002_rows",
        sql: include_str!("../migrations/sqlite_requests/0002_rows.sql"),
    },
];

/// For PostgreSQL.
pub(crate) const POSTGRES: &[Migration] = &[
    Migration {
        name: "0001_directory",
        sql: include_str!("../migrations/postgres/0001_directory.sql"),
    },
    Migration {
        name: "0002_ledger",
        sql: include_str!("../migrations/postgres/0002_ledger.sql"),
    },
    Migration {
        name: "0003_callers",
        sql: include_str!("../migrations/postgres/0003_callers.sql"),
    },
    Migration {
        name: "0004_change_kinds",
        sql: include_str!("../migrations/postgres/0004_change_kinds.sql"),
    },
    Migration {
        name: "0005_schemas",
        sql: include_str!("../migrations/postgres/0005_schemas.sql"),
    },
    Migration {
        name: "0006_receivers",
        sql: include_str!("../migrations/postgres/0006_receivers.sql"),
    },
    Migration {
        name: "0007_requests",
        sql: include_str!("../migrations/postgres/0007_requests.sql"),
    },
    Migration {
        name: "0008_clients",
        sql: include_str!("../migrations/postgres/0008_clients.sql"),
    },
    Migration {
        name: "0009_safety",
        sql: include_str!("../migrations/postgres/0009_safety.sql"),
    },
    Migration {
        name: "0010_statistics",
        sql: include_str!("../migrations/postgres/0010_statistics.sql"),
    },
    Migration {
        name: "0011_people",
        sql: include_str!("../migrations/postgres/0011_people.sql"),
    },
    Migration {
        name: "0012_installation",
        sql: include_str!("../migrations/postgres/0012_installation.sql"),
    },
    Migration {
        name: "0013_unanswered",
        sql: include_str!("../migrations/postgres/0013_unanswered.sql"),
    },
    Migration {
        name: "0014_audit",
        sql: include_str!("../migrations/postgres/0014_audit.sql"),
    },
];

/// SHA-256 of a migration's text.
pub(crate) fn checksum(migration: &Migration) -> Vec<u8> {
    digest(&SHA256, migration.sql.as_bytes()).as_ref().to_vec()
}

/// The migrations that are still to run, with their numbers. Refuses a database that is newer than the program, or that was made by other migrations.
pub(crate) fn pending(
    known: &'static [Migration],
    applied: &[Applied],
) -> Result<Vec<(i64, &'static Migration)>, Fault> {
    let numbered: Vec<(i64, &Migration)> = (1..).zip(known).collect();
    for done in applied {
        let Some((_, migration)) = numbered.iter().find(|(number, _)| *number == done.number)
        else {
            return Err(Fault::new(format!(
                "the database has migration {} but this program knows only {}: it was used by a newer Rollcall; start that one, or restore a backup",
                done.number,
                known.len()
            )));
        };
        if checksum(migration) != done.checksum {
            return Err(Fault::new(format!(
                "migration {} ({}) of the database is not the one that this program knows; nothing was changed",
                done.number, migration.name
            )));
        }
    }
    Ok(numbered
        .into_iter()
        .filter(|(number, _)| applied.iter().all(|done| done.number != *number))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(number: i64) -> Applied {
        let migration = usize::try_from(number - 1)
            .ok()
            .and_then(|index| SQLITE.get(index));
        Applied {
            number,
            checksum: migration.map(checksum).unwrap_or_default(),
        }
    }

    #[test]
    fn what_is_missing_is_pending() {
        assert_eq!(pending(SQLITE, &[]).unwrap().len(), SQLITE.len());
        let all: Vec<Applied> = (1..).take(SQLITE.len()).map(done).collect();
        assert!(pending(SQLITE, &all).unwrap().is_empty());
    }

    #[test]
    fn both_engines_have_the_same_migrations() {
        let names = |list: &'static [Migration]| {
            list.iter()
                .map(|migration| migration.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(SQLITE), names(POSTGRES));
    }

    #[test]
    fn newer_and_foreign_databases_are_refused() {
        let newer = pending(SQLITE, &[done(1), done(1_000)]).unwrap_err();
        assert!(newer.to_string().contains("newer Rollcall"), "{newer}");
        let foreign = pending(
            SQLITE,
            &[Applied {
                number: 1,
                checksum: vec![0],
            }],
        )
        .unwrap_err();
        assert!(foreign.to_string().contains("not the one"), "{foreign}");
    }
}
