//! Storage is written once: what stands in a folder of one engine is about that engine, and says why.

use super::Finding;
use super::source::SourceFile;

/// The files that an engine has of its own, and why; for each, the engines that have it.
const OF_AN_ENGINE: &[(&str, &[Engine], &str)] = &[
    ("session.rs", BOTH, "how an engine carries a statement out"),
    (
        "statements.rs",
        BOTH,
        "statements that are run by files of an engine",
    ),
    (
        "statements_of_installation.rs",
        BOTH,
        "opening a database differs",
    ),
    (
        "statements_of_requests.rs",
        BOTH,
        "the request log has a file of its own on SQLite",
    ),
    (
        "statements_of_safety.rs",
        BOTH,
        "what a commit records, row by row or as arrays",
    ),
    ("connections.rs", BOTH, "opening and sharing connections"),
    ("commit.rs", BOTH, "hot: every write of identities"),
    ("commit/record.rs", BOTH, "part of a commit: history"),
    ("pending.rs", BOTH, "part of a commit: references that wait"),
    (
        "rehearsal.rs",
        BOTH,
        "a commit in a transaction that is taken back",
    ),
    ("search.rs", BOTH, "hot: how a plan is carried out"),
    ("query.rs", SQLITE, "generated queries on a connection"),
    ("read.rs", BOTH, "hot: resources with what is derived"),
    (
        "requests.rs",
        BOTH,
        "hot: the request log, which is written in batches",
    ),
    (
        "readiness.rs",
        BOTH,
        "what can be wrong with an engine differs",
    ),
    ("by_key.rs", SQLITE, "hot: the search in key order"),
    (
        "export.rs",
        BOTH,
        "a whole tenant is read as a stream, not into memory",
    ),
    ("explain.rs", SQLITE, "why a file cannot be used"),
    ("journal.rs", SQLITE, "the write-ahead log"),
    (
        "revisions.rs",
        SQLITE,
        "revisions that other processes raise",
    ),
    ("serving.rs", SQLITE, "one process serves a file"),
    ("writer.rs", SQLITE, "the one thread that writes"),
    (
        "together.rs",
        POSTGRES,
        "hot: commits that come at the same time",
    ),
    ("group.rs", POSTGRES, "hot: which commits go together"),
    (
        "create.rs",
        POSTGRES,
        "part of a commit: many creates at once",
    ),
    (
        "commit/values.rs",
        POSTGRES,
        "part of a commit: index rows as arrays",
    ),
    ("attempts.rs", POSTGRES, "what is tried again"),
    ("tls.rs", POSTGRES, "TLS to the server"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Sqlite,
    Postgres,
}

const BOTH: &[Engine] = &[Engine::Sqlite, Engine::Postgres];
const SQLITE: &[Engine] = &[Engine::Sqlite];
const POSTGRES: &[Engine] = &[Engine::Postgres];

/// Files of an engine that are not in the list.
pub fn check(files: &[SourceFile]) -> Vec<Finding> {
    let paths = files.iter().map(|file| file.path.as_str());
    paths.filter_map(refusal).collect()
}

fn refusal(path: &str) -> Option<Finding> {
    let folders = [
        ("crates/storage/src/sqlite/", Engine::Sqlite),
        ("crates/storage/src/postgres/", Engine::Postgres),
    ];
    let (name, engine) = folders
        .iter()
        .find_map(|(folder, engine)| Some((path.strip_prefix(folder)?, *engine)))?;
    let is_known = OF_AN_ENGINE
        .iter()
        .any(|(known, engines, _)| *known == name && engines.contains(&engine));
    (!is_known).then(|| {
        Finding::new(
            path,
            1,
            "a port is written once, over a session, in crates/storage/src; a file that is about one engine has a line with its reason in \
             xtask/src/tidy/engines.rs",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_one_engine_is_refused() {
        assert!(refusal("crates/storage/src/sqlite/receivers.rs").is_some());
        assert!(refusal("crates/storage/src/postgres/writer.rs").is_some());
        assert!(refusal("crates/storage/src/postgres/tls.rs").is_none());
        assert!(refusal("crates/storage/src/sqlite/commit.rs").is_none());
        assert!(refusal("crates/storage/src/receivers.rs").is_none());
    }
}
