//! Every statement of the SQLite back end by name; generated ones are in `filter_sql.rs`. Each names the tenant, apart from the few that are about
//! all tenants, and those say so.

/// The journal and durability of a connection that writes. SQLite carries the journal over by itself only when the last connection is closed; `journal.rs`
/// does it otherwise.
pub(crate) const OPEN_WRITER: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -16384; \
     PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 134217728; PRAGMA temp_store = MEMORY;";
/// The same for the file of the request log, which may lose its last moments. What it puts onto the disk, commits of identities wait for.
pub(crate) const OPEN_REQUEST_LOG: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -2048; \
     PRAGMA wal_autocheckpoint = 8000; PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;";
/// A connection that only reads.
pub(crate) const OPEN_READER: &str =
    "PRAGMA query_only = ON; PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY;";

pub(crate) const MAKE_MIGRATIONS: &str = "CREATE TABLE IF NOT EXISTS migrations \
     (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum BLOB NOT NULL) STRICT";
pub(crate) const READ_MIGRATIONS: &str = "SELECT number, checksum FROM migrations ORDER BY number";
pub(crate) const RECORD_MIGRATION: &str =
    "INSERT INTO migrations (number, name, checksum) VALUES (?1, ?2, ?3)";

/// What is deleted is overwritten with zeros.
pub(crate) const ERASE_FOR_GOOD: &str = "PRAGMA secure_delete = ON";
pub(crate) const ERASE_AS_USUAL: &str = "PRAGMA secure_delete = OFF";

/// About all tenants, as the journal is.
pub(crate) const EMPTY_JOURNAL: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
pub(crate) const CARRY_JOURNAL: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// Carries nothing over; says how far the journal reaches.
pub(crate) const JOURNAL_FRAMES: &str = "PRAGMA wal_checkpoint(NOOP)";
/// A connection that carries the journal over leaves that to no other one.
pub(crate) const OPEN_CARRIER: &str = "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;";

/// What a change set finds; whether it was committed before.
pub(crate) const BEGIN_COMMIT: &str = "SELECT last_sequence, types_revision, \
     EXISTS (SELECT 1 FROM change_log AS c WHERE c.tenant = ?1 AND c.change_id = ?2) FROM tenants WHERE tenant = ?1";
pub(crate) const FIND_CHANGE: &str = "SELECT type, id, version, at FROM change_log WHERE tenant = ?1 AND change_id = ?2 ORDER BY sequence";
pub(crate) const RAISE_SEQUENCE: &str = "UPDATE tenants SET last_sequence = ?2 WHERE tenant = ?1";
pub(crate) const LOG_CHANGE: &str = "INSERT INTO change_log (tenant, sequence, change_id, type, id, version, at, kind, attributes, credential) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

pub(crate) const CREATE_RESOURCE: &str = "INSERT INTO resources (tenant, type, id, version, created, modified, display, entries, document) \
     VALUES (?1, ?2, ?3, 1, ?4, ?4, ?5, ?6, ?7)";
pub(crate) const READ_HEAD: &str = "SELECT resource, type, version, created, modified FROM resources WHERE tenant = ?1 AND id = ?2";
pub(crate) const READ_BODY: &str =
    "SELECT display, entries, document FROM resources WHERE tenant = ?1 AND resource = ?2";
pub(crate) const UPDATE_BODY: &str = "UPDATE resources SET version = version + 1, modified = ?4, display = ?5, entries = ?6, document = ?7 \
     WHERE tenant = ?1 AND resource = ?2 AND version = ?3";
pub(crate) const UPDATE_VERSION: &str = "UPDATE resources SET version = version + 1, modified = ?3 WHERE tenant = ?1 AND resource = ?2 RETURNING version, type, id";
pub(crate) const DELETE_RESOURCE: &str =
    "DELETE FROM resources WHERE tenant = ?1 AND resource = ?2";

pub(crate) const TAKE_VALUE: &str = "INSERT OR IGNORE INTO unique_values (tenant, attribute, value, resource) VALUES (?1, ?2, ?3, ?4)";
pub(crate) const RELEASE_VALUE: &str = "DELETE FROM unique_values WHERE tenant = ?1 AND attribute = ?2 AND value = ?3 AND resource = ?4";
pub(crate) const ADD_VALUE: &str = "INSERT OR IGNORE INTO index_values (tenant, attribute, value, resource) VALUES (?1, ?2, ?3, ?4)";
/// Whether another resource has the value.
pub(crate) const HAS_ANOTHER: &str = "SELECT EXISTS (SELECT 1 FROM index_values WHERE tenant = ?1 AND attribute = ?2 AND value = ?3 AND resource <> ?4)";
pub(crate) const REMOVE_VALUE: &str = "DELETE FROM index_values WHERE tenant = ?1 AND attribute = ?2 AND value = ?3 AND resource = ?4";

/// Leases of all tenants end as if they had run out.
pub(crate) const END_LEASES: &str = "UPDATE outbox SET lease_until = 1 WHERE lease_until > 0";

/// What a remembered count belongs to.
pub(crate) const READ_STATE: &str = "SELECT created, last_sequence FROM tenants WHERE tenant = ?1";
pub(crate) const LIST_KEYS: &str = "SELECT resource FROM resources WHERE tenant = ?1 AND type = ?2 AND resource > ?3 \
     ORDER BY resource LIMIT ?4 OFFSET ?5";
/// The first value of an attribute, or the next after one.
pub(crate) const NEXT_VALUE: &str = "SELECT value FROM index_values WHERE tenant = ?1 AND attribute = ?2 AND value > coalesce(?3, -1) ORDER BY value LIMIT 1";
pub(crate) const LIST_HAVING: &str =
    "SELECT resource FROM index_values WHERE tenant = ?1 AND attribute = ?2 AND value = ?3";
/// What was written between two sequences, and the key it has; none where it is gone.
pub(crate) const LIST_WRITTEN: &str = "SELECT c.type, CASE WHEN c.version > 0 THEN r.resource END FROM change_log AS c LEFT JOIN resources AS r ON r.tenant = c.tenant AND r.id = c.id \
     WHERE c.tenant = ?1 AND c.sequence > ?2 AND c.sequence <= ?3";
pub(crate) const LIST_ALL_KEYS: &str =
    "SELECT resource FROM resources WHERE tenant = ?1 AND type = ?2 ORDER BY resource";
pub(crate) const READ_FACTS: &str = "SELECT id, created, modified, entries FROM resources WHERE tenant = ?1 AND type = ?2 AND resource = ?3";
pub(crate) const LIST_FACTS: &str = "SELECT id, created, modified, entries, resource FROM resources INDEXED BY resources_by_type \
     WHERE tenant = ?1 AND type = ?2 AND resource > ?3 ORDER BY resource LIMIT ?4";

pub(crate) const FIND_RESOURCE: &str =
    "SELECT resource FROM resources WHERE tenant = ?1 AND id = ?2";
pub(crate) const ADD_MEMBER: &str = "INSERT OR IGNORE INTO memberships (tenant, group_resource, member_resource) VALUES (?1, ?2, ?3)";
pub(crate) const REMOVE_MEMBER: &str =
    "DELETE FROM memberships WHERE tenant = ?1 AND group_resource = ?2 AND member_resource = ?3";
pub(crate) const LIST_MEMBERS: &str =
    "SELECT member_resource FROM memberships WHERE tenant = ?1 AND group_resource = ?2";
pub(crate) const REMOVE_MEMBERS: &str =
    "DELETE FROM memberships WHERE tenant = ?1 AND group_resource = ?2";
pub(crate) const LIST_GROUPS: &str =
    "SELECT group_resource FROM memberships WHERE tenant = ?1 AND member_resource = ?2";
pub(crate) const LEAVE_GROUPS: &str =
    "DELETE FROM memberships WHERE tenant = ?1 AND member_resource = ?2";

pub(crate) const READ_RESOURCE: &str = "SELECT resource, version, created, modified, document FROM resources WHERE tenant = ?1 AND id = ?2 AND type = ?3";
pub(crate) const READ_BY_KEY: &str = "SELECT type, id, version, created, modified, document FROM resources WHERE tenant = ?1 AND resource = ?2";
pub(crate) const READ_MEMBERS: &str = "SELECT r.id, r.type, r.display FROM memberships AS m \
     JOIN resources AS r ON r.tenant = m.tenant AND r.resource = m.member_resource \
     WHERE m.tenant = ?1 AND m.group_resource = ?2 ORDER BY m.member_resource";
pub(crate) const COUNT_MEMBERS: &str = "SELECT count(*) FROM (SELECT 1 FROM memberships WHERE tenant = ?1 \
     AND group_resource = (SELECT resource FROM resources WHERE tenant = ?1 AND id = ?2) LIMIT ?3)";
/// Upwards; `UNION` makes circles of groups harmless. `CROSS JOIN` gives the order of reading, as it is not known how few groups there will be.
pub(crate) const READ_GROUPS: &str = "WITH RECURSIVE above (g) AS ( \
       SELECT group_resource FROM memberships WHERE tenant = ?1 AND member_resource = ?2 \
       UNION SELECT m.group_resource FROM above CROSS JOIN memberships AS m ON m.member_resource = above.g WHERE m.tenant = ?1) \
     SELECT r.id, r.type, r.display, \
       EXISTS (SELECT 1 FROM memberships AS d WHERE d.tenant = ?1 AND d.group_resource = above.g AND d.member_resource = ?2) AS direct \
     FROM above CROSS JOIN resources AS r ON r.tenant = ?1 AND r.resource = above.g WHERE above.g <> ?2 ORDER BY direct DESC, above.g";

/// What the test prepares; the pragmas and the making of `migrations` are run on every start.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    READ_MIGRATIONS,
    RECORD_MIGRATION,
    BEGIN_COMMIT,
    FIND_CHANGE,
    RAISE_SEQUENCE,
    LOG_CHANGE,
    CREATE_RESOURCE,
    READ_HEAD,
    READ_BODY,
    UPDATE_BODY,
    UPDATE_VERSION,
    DELETE_RESOURCE,
    TAKE_VALUE,
    RELEASE_VALUE,
    ADD_VALUE,
    HAS_ANOTHER,
    REMOVE_VALUE,
    END_LEASES,
    READ_STATE,
    LIST_KEYS,
    LIST_ALL_KEYS,
    LIST_WRITTEN,
    NEXT_VALUE,
    LIST_HAVING,
    READ_FACTS,
    LIST_FACTS,
    FIND_RESOURCE,
    ADD_MEMBER,
    REMOVE_MEMBER,
    LIST_MEMBERS,
    REMOVE_MEMBERS,
    LIST_GROUPS,
    LEAVE_GROUPS,
    READ_RESOURCE,
    READ_BY_KEY,
    READ_MEMBERS,
    COUNT_MEMBERS,
    READ_GROUPS,
];

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn each_prepares_and_names_the_tenant() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(super::MAKE_MIGRATIONS).unwrap();
        for migration in crate::migrate::SQLITE {
            connection.execute_batch(migration.sql).unwrap();
        }
        let of_safety = crate::sqlite::statements_of_safety::ALL;
        for statement in ALL.iter().chain(of_safety) {
            connection
                .prepare(statement)
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
            let about_all =
                [super::END_LEASES].contains(statement) || statement.contains("migrations");
            assert!(statement.contains("tenant") || about_all, "{statement}");
        }
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        for migration in crate::migrate::SQLITE_REQUESTS {
            connection.execute_batch(migration.sql).unwrap();
        }
        for statement in crate::sqlite::statements_of_requests::ALL {
            connection
                .prepare(statement)
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }
}
