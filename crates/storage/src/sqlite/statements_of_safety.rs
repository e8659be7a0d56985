//! The statements about what was, what the deletion guard counts and holds, and references that wait, by name.

pub(crate) const RECORD_CHANGE: &str = "INSERT INTO history \
     (tenant, id, version, type, kind, at, since, created, change_id, credential, document) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
/// One member, by its key.
pub(crate) const RECORD_MEMBER: &str = "INSERT OR REPLACE INTO member_history (tenant, group_id, version, member_id, joined) \
     SELECT ?1, ?2, ?3, id, ?5 FROM resources WHERE tenant = ?1 AND resource = ?4";
/// All members of a group that ends.
pub(crate) const RECORD_MEMBERS: &str = "INSERT OR REPLACE INTO member_history (tenant, group_id, version, member_id, joined) \
     SELECT ?1, ?2, ?3, r.id, 0 FROM memberships AS m JOIN resources AS r ON r.tenant = m.tenant AND r.resource = m.member_resource \
     WHERE m.tenant = ?1 AND m.group_resource = ?4";
/// A member that ends, by its id.
pub(crate) const RECORD_LEAVER: &str = "INSERT OR REPLACE INTO member_history (tenant, group_id, version, member_id, joined) VALUES (?1, ?2, ?3, ?4, 0)";
pub(crate) const KEEP_TOMBSTONE: &str = "INSERT OR REPLACE INTO tombstones \
     (tenant, id, type, version, created, at, change_id, credential, display, user_name, external_id) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
/// Of a resource that comes back: when it was deleted.
pub(crate) const TAKE_TOMBSTONE: &str = "DELETE FROM tombstones WHERE tenant = ?1 AND id = ?2 AND type = ?3 AND version = ?4 RETURNING at";
pub(crate) const CREATE_AGAIN: &str = "INSERT INTO resources (tenant, type, id, version, created, modified, display, entries, document) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

pub(crate) const AWAIT: &str = "INSERT OR IGNORE INTO pending_references (tenant, resource, path, value, folded, since) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(crate) const AWAIT_NO_MORE: &str = "DELETE FROM pending_references WHERE tenant = ?1 AND resource = ?2 AND path = ?3 AND value = ?4";
pub(crate) const AWAIT_NOTHING: &str =
    "DELETE FROM pending_references WHERE tenant = ?1 AND resource = ?2 AND path = ?3";
pub(crate) const AWAIT_NOTHING_AT_ALL: &str =
    "DELETE FROM pending_references WHERE tenant = ?1 AND resource = ?2";
pub(crate) const FIND_AWAITED: &str = "SELECT p.resource, p.path, p.value, r.id, r.type FROM pending_references AS p \
     JOIN resources AS r ON r.tenant = p.tenant AND r.resource = p.resource WHERE p.tenant = ?1 AND p.folded = ?2 ORDER BY p.resource";
/// By the keys of its unique `userName`, or of its `externalId` as a User or as a Group, which a tenant may have made unique.
pub(crate) const FIND_BY_NAMES: &str = "SELECT resource FROM unique_values WHERE tenant = ?1 AND attribute = ?2 AND value = ?5 \
     UNION ALL SELECT resource FROM unique_values WHERE tenant = ?1 AND attribute IN (?3, ?4) AND value = ?6 \
     UNION ALL SELECT resource FROM index_values WHERE tenant = ?1 AND attribute IN (?3, ?4) AND value = ?6 LIMIT 1";
/// The body of what refers; its version stays or is raised apart.
pub(crate) const LINK_BODY: &str =
    "UPDATE resources SET entries = ?3, document = ?4 WHERE tenant = ?1 AND resource = ?2";
pub(crate) const READ_VERSION: &str =
    "SELECT version, created, modified FROM resources WHERE tenant = ?1 AND resource = ?2";

/// What the test prepares.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    RECORD_CHANGE,
    RECORD_MEMBER,
    RECORD_MEMBERS,
    RECORD_LEAVER,
    KEEP_TOMBSTONE,
    TAKE_TOMBSTONE,
    CREATE_AGAIN,
    AWAIT,
    AWAIT_NO_MORE,
    AWAIT_NOTHING,
    AWAIT_NOTHING_AT_ALL,
    FIND_AWAITED,
    FIND_BY_NAMES,
    LINK_BODY,
    READ_VERSION,
];
