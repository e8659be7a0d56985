//! Statements about what was, what the deletion guard counts and holds, and what waits for others. Runs none of them.

use crate::session::Statement;

pub(crate) static READ_ENTRIES: Statement = Statement::new(
    "SELECT version, kind, at, change_id, credential, document, created FROM history \
     WHERE tenant = $1 AND id = $2 AND version > $3 ORDER BY version LIMIT $4",
);
/// When a resource was made first, as far as anything says.
pub(crate) static FIND_CREATED: Statement = Statement::new(
    "SELECT coalesce( \
     (SELECT created FROM history WHERE tenant = $1 AND id = $2 ORDER BY version LIMIT 1), \
     (SELECT created FROM resources WHERE tenant = $1 AND id = $2))",
);
pub(crate) static FIND_CREATION: Statement = Statement::new(
    "SELECT change_id, credential FROM change_log WHERE tenant = $1 AND at = $3 AND id = $2 AND version = 1",
);
pub(crate) static NEXT_ENTRY_AFTER: Statement = Statement::new(
    "SELECT version, kind, since, created, type FROM history \
     WHERE tenant = $1 AND id = $2 AND at > $3 ORDER BY version LIMIT 1",
);
pub(crate) static NEXT_ENTRY_ABOVE: Statement = Statement::new(
    "SELECT version, kind, since, created, type FROM history \
     WHERE tenant = $1 AND id = $2 AND version > $3 ORDER BY version LIMIT 1",
);
pub(crate) static NEXT_DOCUMENT: Statement = Statement::new(
    "SELECT document FROM history WHERE tenant = $1 AND id = $2 AND version >= $3 AND document IS NOT NULL ORDER BY version LIMIT 1",
);
pub(crate) static READ_ANY_TYPE: Statement = Statement::new(
    "SELECT resource, version, created, modified, document, type FROM resources WHERE tenant = $1 AND id = $2",
);
pub(crate) static LIST_MEMBER_IDS: Statement = Statement::new(
    "SELECT r.id FROM memberships AS m \
     JOIN resources AS r ON r.tenant = m.tenant AND r.resource = m.member_resource \
     WHERE m.tenant = $1 AND m.group_resource = (SELECT resource FROM resources WHERE tenant = $1 AND id = $2) ORDER BY m.member_resource",
);
/// What happened first to each member above a version.
pub(crate) static FIRST_MEMBER_CHANGES: Statement = Statement::new("SELECT DISTINCT ON (member_id) member_id, joined FROM member_history \
     WHERE tenant = $1 AND group_id = $2 AND version > $3 ORDER BY member_id, version")
.or_sqlite("SELECT member_id, joined, min(version) FROM member_history \
     WHERE tenant = ?1 AND group_id = ?2 AND version > ?3 GROUP BY member_id ORDER BY min(version), member_id");
pub(crate) static READ_MEMBER_CHANGES: Statement = Statement::new(
    "SELECT version, member_id, joined FROM member_history \
     WHERE tenant = $1 AND group_id = $2 AND version > $3 ORDER BY version, member_id LIMIT $4",
);
pub(crate) static FIND_GROUPS_LEFT: Statement = Statement::new(
    "SELECT h.id FROM change_log AS l \
     JOIN history AS h ON h.tenant = l.tenant AND h.id = l.id AND h.change_id = l.change_id \
     JOIN member_history AS m ON m.tenant = h.tenant AND m.group_id = h.id AND m.version = h.version \
     WHERE l.tenant = $1 AND l.change_id = $3 AND h.kind = 'members' AND m.member_id = $2 AND m.joined = 0 ORDER BY h.id",
);
pub(crate) static LIST_DELETED: Statement = Statement::new(
    "SELECT type, id, version, created, at, credential, change_id, display, user_name, external_id FROM tombstones \
     WHERE tenant = $1 AND at < $2 ORDER BY at DESC LIMIT $3",
);
pub(crate) static FIND_DELETED: Statement = Statement::new(
    "SELECT type, id, version, created, at, credential, change_id, display, user_name, external_id FROM tombstones \
     WHERE tenant = $1 AND id = $2 LIMIT $3",
);
pub(crate) static FIND_DELETED_BY_NAME: Statement = Statement::new(
    "SELECT type, id, version, created, at, credential, change_id, display, user_name, external_id FROM tombstones \
     WHERE tenant = $1 AND type = $2 AND (user_name = $3 OR external_id = $4) ORDER BY at DESC LIMIT $5",
);
pub(crate) static LIST_CHANGES: Statement = Statement::new(
    "SELECT sequence, type, id, version, at, change_id, credential FROM change_log \
     WHERE tenant = $1 AND at >= $2 AND at < $3 AND ($4::TEXT IS NULL OR credential = $4) AND sequence > $5 ORDER BY sequence LIMIT $6",
);
pub(crate) static FORGET_CHANGES: Statement = Statement::new("DELETE FROM history WHERE tenant = $1 AND (id, version) IN \
     (SELECT id, version FROM history WHERE tenant = $1 AND at < $2 ORDER BY at LIMIT $3) RETURNING id, version")
.or_sqlite("DELETE FROM history WHERE tenant = ?1 AND rowid IN \
     (SELECT rowid FROM history WHERE tenant = ?1 AND at < ?2 ORDER BY at LIMIT ?3) RETURNING id, version");
pub(crate) static FORGET_MEMBERS: Statement = Statement::new(
    "DELETE FROM member_history WHERE tenant = $1 AND group_id = $2 AND version = $3",
);
pub(crate) static FORGET_DELETED: Statement =
    Statement::new("DELETE FROM tombstones WHERE tenant = $1 AND at < $2");
pub(crate) static COUNT_REMOVALS: Statement = Statement::new(
    "INSERT INTO guard_counts (tenant, removal, minute, count) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (tenant, removal, minute) DO UPDATE SET count = guard_counts.count + excluded.count",
);
pub(crate) static SUM_REMOVALS: Statement = Statement::new(
    "SELECT coalesce(sum(count), 0)::BIGINT, coalesce(min(minute), $3) FROM guard_counts \
     WHERE tenant = $1 AND removal = $2 AND minute >= $3",
);
pub(crate) static FORGET_REMOVALS: Statement =
    Statement::new("DELETE FROM guard_counts WHERE tenant = $1 AND removal = $2 AND minute < $3");
pub(crate) static COUNT_USERS: Statement =
    Statement::new("SELECT count(*) FROM resources WHERE tenant = $1 AND type = 'User'");
pub(crate) static COUNT_MEMBERSHIPS: Statement =
    Statement::new("SELECT count(*) FROM memberships WHERE tenant = $1");
pub(crate) static USE_ALLOWANCE: Statement = Statement::new(
    "UPDATE guard_allowances SET remaining = remaining - $4 \
     WHERE tenant = $1 AND removal = $2 AND expires > $3 AND remaining >= $4",
);
pub(crate) static ALLOW: Statement = Statement::new(
    "INSERT INTO guard_allowances (tenant, removal, remaining, expires) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (tenant, removal) DO UPDATE SET remaining = excluded.remaining, expires = excluded.expires",
);
pub(crate) static LIST_ALLOWANCES: Statement = Statement::new(
    "SELECT removal, remaining, expires FROM guard_allowances WHERE tenant = $1 ORDER BY removal",
);
pub(crate) static LIST_REMOVALS: Statement = Statement::new(
    "SELECT removal, sum(count)::BIGINT FROM guard_counts WHERE tenant = $1 AND minute >= $2 GROUP BY removal ORDER BY removal",
);
pub(crate) static PARK: Statement = Statement::new(
    "INSERT INTO parked (tenant, parked, at, credential, type, id, write) VALUES ($1, $2, $3, $4, $5, $6, $7)",
);
pub(crate) static LIST_PARKED: Statement = Statement::new(
    "SELECT parked, at, credential, type, id, write FROM parked \
     WHERE tenant = $1 AND ($2::TEXT IS NULL OR id = $2) ORDER BY at, parked LIMIT $3",
);
pub(crate) static REMOVE_PARKED: Statement =
    Statement::new("DELETE FROM parked WHERE tenant = $1 AND parked = $2");
pub(crate) static LIST_AWAITED: Statement = Statement::new(
    "SELECT r.type, r.id, p.path, p.value, p.since FROM pending_references AS p \
     JOIN resources AS r ON r.tenant = p.tenant AND r.resource = p.resource \
     WHERE p.tenant = $1 ORDER BY p.since, p.resource, p.value LIMIT $3 OFFSET $2",
);

/// All of them, for the tests that prepare each.
#[cfg(test)]
pub(crate) static ALL: &[&Statement] = &[
    &READ_ENTRIES,
    &FIND_CREATED,
    &FIND_CREATION,
    &NEXT_ENTRY_AFTER,
    &NEXT_ENTRY_ABOVE,
    &NEXT_DOCUMENT,
    &READ_ANY_TYPE,
    &LIST_MEMBER_IDS,
    &FIRST_MEMBER_CHANGES,
    &READ_MEMBER_CHANGES,
    &FIND_GROUPS_LEFT,
    &LIST_DELETED,
    &FIND_DELETED,
    &FIND_DELETED_BY_NAME,
    &LIST_CHANGES,
    &FORGET_CHANGES,
    &FORGET_MEMBERS,
    &FORGET_DELETED,
    &COUNT_REMOVALS,
    &SUM_REMOVALS,
    &FORGET_REMOVALS,
    &COUNT_USERS,
    &COUNT_MEMBERSHIPS,
    &USE_ALLOWANCE,
    &ALLOW,
    &LIST_ALLOWANCES,
    &LIST_REMOVALS,
    &PARK,
    &LIST_PARKED,
    &REMOVE_PARKED,
    &LIST_AWAITED,
];
