//! The statements about what was, what the deletion guard counts and holds, and references that wait, by name.

pub(crate) const RECORD_CHANGE: &str = "INSERT INTO history \
     (tenant, id, version, type, kind, at, since, created, change_id, credential, document) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
/// The groups that a resource leaves because it ends.
pub(crate) const RECORD_GROUPS: &str = "INSERT INTO history (tenant, id, version, type, kind, at, since, created, change_id, credential) \
     SELECT $1, g.id, g.version, g.type, 'members', $2, g.since, g.created, $3, $4 \
     FROM unnest($5::TEXT[], $6::BIGINT[], $7::TEXT[], $8::BIGINT[], $9::BIGINT[]) AS g (id, version, type, since, created)";
/// What ends leaves these groups.
pub(crate) const RECORD_LEAVER: &str = "INSERT INTO member_history (tenant, group_id, version, member_id, joined) \
     SELECT $1, g.id, g.version, $2, 0 FROM unnest($3::TEXT[], $4::BIGINT[]) AS g (id, version)";
pub(crate) const BURY: &str = "INSERT INTO tombstones \
     (tenant, id, type, version, created, at, change_id, credential, display, user_name, external_id) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (tenant, id) DO UPDATE SET type = excluded.type, \
     version = excluded.version, created = excluded.created, at = excluded.at, change_id = excluded.change_id, \
     credential = excluded.credential, display = excluded.display, user_name = excluded.user_name, external_id = excluded.external_id";
/// Of a resource that comes back: when it was deleted.
pub(crate) const UNBURY: &str = "DELETE FROM tombstones WHERE tenant = $1 AND id = $2 AND type = $3 AND version = $4 RETURNING at";
pub(crate) const CREATE_AGAIN: &str = "INSERT INTO resources (tenant, type, id, version, created, modified, display, entries, document) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING resource";

pub(crate) const READ_ENTRIES: &str = "SELECT version, kind, at, change_id, credential, document, created FROM history \
     WHERE tenant = $1 AND id = $2 AND version > $3 ORDER BY version LIMIT $4";
/// When a resource was made first, as far as anything says.
pub(crate) const FIND_CREATED: &str = "SELECT coalesce( \
     (SELECT created FROM history WHERE tenant = $1 AND id = $2 ORDER BY version LIMIT 1), \
     (SELECT created FROM resources WHERE tenant = $1 AND id = $2))";
pub(crate) const FIND_CREATION: &str = "SELECT change_id, credential FROM change_log WHERE tenant = $1 AND at = $3 AND id = $2 AND version = 1";
pub(crate) const NEXT_ENTRY_AFTER: &str = "SELECT version, kind, since, created, type FROM history \
     WHERE tenant = $1 AND id = $2 AND at > $3 ORDER BY version LIMIT 1";
pub(crate) const NEXT_ENTRY_ABOVE: &str = "SELECT version, kind, since, created, type FROM history \
     WHERE tenant = $1 AND id = $2 AND version > $3 ORDER BY version LIMIT 1";
pub(crate) const NEXT_DOCUMENT: &str = "SELECT document FROM history WHERE tenant = $1 AND id = $2 AND version >= $3 AND document IS NOT NULL ORDER BY version LIMIT 1";
pub(crate) const READ_ANY_TYPE: &str = "SELECT resource, version, created, modified, document, type FROM resources WHERE tenant = $1 AND id = $2";
pub(crate) const LIST_MEMBER_IDS: &str = "SELECT r.id FROM memberships AS m \
     JOIN resources AS r ON r.tenant = m.tenant AND r.resource = m.member_resource \
     WHERE m.tenant = $1 AND m.group_resource = (SELECT resource FROM resources WHERE tenant = $1 AND id = $2) ORDER BY m.member_resource";
/// What happened first to each member above a version.
pub(crate) const FIRST_MEMBER_CHANGES: &str = "SELECT DISTINCT ON (member_id) member_id, joined FROM member_history \
     WHERE tenant = $1 AND group_id = $2 AND version > $3 ORDER BY member_id, version";
pub(crate) const READ_MEMBER_CHANGES: &str = "SELECT version, member_id, joined FROM member_history \
     WHERE tenant = $1 AND group_id = $2 AND version > $3 ORDER BY version, member_id LIMIT $4";
pub(crate) const FIND_GROUPS_LEFT: &str = "SELECT h.id FROM change_log AS l \
     JOIN history AS h ON h.tenant = l.tenant AND h.id = l.id AND h.change_id = l.change_id \
     JOIN member_history AS m ON m.tenant = h.tenant AND m.group_id = h.id AND m.version = h.version \
     WHERE l.tenant = $1 AND l.change_id = $3 AND h.kind = 'members' AND m.member_id = $2 AND m.joined = 0 ORDER BY h.id";
pub(crate) const LIST_DELETED: &str = "SELECT type, id, version, created, at, credential, change_id, display, user_name, external_id FROM tombstones \
     WHERE tenant = $1 AND at < $2 ORDER BY at DESC LIMIT $3";
pub(crate) const FIND_DELETED: &str = "SELECT type, id, version, created, at, credential, change_id, display, user_name, external_id FROM tombstones \
     WHERE tenant = $1 AND id = $2 LIMIT $3";
pub(crate) const FIND_DELETED_BY_NAME: &str = "SELECT type, id, version, created, at, credential, change_id, display, user_name, external_id FROM tombstones \
     WHERE tenant = $1 AND type = $2 AND (user_name = $3 OR external_id = $4) ORDER BY at DESC LIMIT $5";
pub(crate) const LIST_CHANGES: &str = "SELECT sequence, type, id, version, at, change_id, credential FROM change_log \
     WHERE tenant = $1 AND at >= $2 AND at < $3 AND ($4::TEXT IS NULL OR credential = $4) AND sequence > $5 ORDER BY sequence LIMIT $6";
pub(crate) const FORGET_CHANGES: &str = "DELETE FROM history WHERE tenant = $1 AND (id, version) IN \
     (SELECT id, version FROM history WHERE tenant = $1 AND at < $2 ORDER BY at LIMIT $3) RETURNING id, version";
pub(crate) const FORGET_MEMBERS: &str = "DELETE FROM member_history AS m USING unnest($2::TEXT[], $3::BIGINT[]) AS v (id, version) \
     WHERE m.tenant = $1 AND m.group_id = v.id AND m.version = v.version";
pub(crate) const FORGET_DELETED: &str = "DELETE FROM tombstones WHERE tenant = $1 AND at < $2";

pub(crate) const COUNT_REMOVALS: &str = "INSERT INTO guard_counts (tenant, removal, minute, count) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (tenant, removal, minute) DO UPDATE SET count = guard_counts.count + excluded.count";
pub(crate) const SUM_REMOVALS: &str = "SELECT coalesce(sum(count), 0)::BIGINT, coalesce(min(minute), $3) FROM guard_counts \
     WHERE tenant = $1 AND removal = $2 AND minute >= $3";
pub(crate) const FORGET_REMOVALS: &str =
    "DELETE FROM guard_counts WHERE tenant = $1 AND minute < $2";
pub(crate) const COUNT_USERS: &str =
    "SELECT count(*) FROM resources WHERE tenant = $1 AND type = 'User'";
pub(crate) const COUNT_MEMBERSHIPS: &str = "SELECT count(*) FROM memberships WHERE tenant = $1";
pub(crate) const USE_ALLOWANCE: &str = "UPDATE guard_allowances SET remaining = remaining - $4 \
     WHERE tenant = $1 AND removal = $2 AND expires > $3 AND remaining >= $4";
pub(crate) const ALLOW: &str = "INSERT INTO guard_allowances (tenant, removal, remaining, expires) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (tenant, removal) DO UPDATE SET remaining = excluded.remaining, expires = excluded.expires";
pub(crate) const LIST_ALLOWANCES: &str =
    "SELECT removal, remaining, expires FROM guard_allowances WHERE tenant = $1 ORDER BY removal";
pub(crate) const LIST_REMOVALS: &str = "SELECT removal, sum(count)::BIGINT FROM guard_counts WHERE tenant = $1 AND minute >= $2 GROUP BY removal ORDER BY removal";
pub(crate) const PARK: &str = "INSERT INTO parked (tenant, parked, at, credential, type, id, write) VALUES ($1, $2, $3, $4, $5, $6, $7)";
pub(crate) const LIST_PARKED: &str = "SELECT parked, at, credential, type, id, write FROM parked \
     WHERE tenant = $1 AND ($2::TEXT IS NULL OR id = $2) ORDER BY at, parked LIMIT $3";
pub(crate) const REMOVE_PARKED: &str = "DELETE FROM parked WHERE tenant = $1 AND parked = $2";

pub(crate) const AWAIT: &str = "INSERT INTO pending_references (tenant, resource, path, value, folded, since) \
     SELECT $1, $2, $3, v.value, v.folded, $6 FROM unnest($4::TEXT[], $5::TEXT[]) AS v (value, folded) ON CONFLICT DO NOTHING";
pub(crate) const AWAIT_NO_MORE: &str = "DELETE FROM pending_references WHERE tenant = $1 AND resource = $2 AND path = $3 AND value = ANY ($4)";
pub(crate) const AWAIT_NOTHING: &str =
    "DELETE FROM pending_references WHERE tenant = $1 AND resource = $2 AND path = $3";
pub(crate) const AWAIT_NOTHING_AT_ALL: &str =
    "DELETE FROM pending_references WHERE tenant = $1 AND resource = $2";
pub(crate) const FIND_AWAITED: &str = "SELECT p.resource, p.path, p.value, r.id, r.type, r.created, r.modified FROM pending_references AS p \
     JOIN resources AS r ON r.tenant = p.tenant AND r.resource = p.resource WHERE p.tenant = $1 AND p.folded = ANY ($2) \
     ORDER BY p.resource FOR NO KEY UPDATE OF r";
pub(crate) const LIST_AWAITED: &str = "SELECT r.type, r.id, p.path, p.value, p.since FROM pending_references AS p \
     JOIN resources AS r ON r.tenant = p.tenant AND r.resource = p.resource \
     WHERE p.tenant = $1 ORDER BY p.since, p.resource, p.value LIMIT $3 OFFSET $2";
/// By the keys of its unique `userName`, or of its `externalId` as a User or as a Group, which a tenant may have made unique.
pub(crate) const FIND_BY_NAMES: &str = "SELECT resource FROM unique_values WHERE tenant = $1 AND attribute = $2 AND value = $5 \
     UNION ALL SELECT resource FROM unique_values WHERE tenant = $1 AND attribute IN ($3, $4) AND value = $6 \
     UNION ALL SELECT resource FROM index_values WHERE tenant = $1 AND attribute IN ($3, $4) AND value = $6 LIMIT 1";
/// The body of what refers; its version stays or is raised apart.
pub(crate) const LINK_BODY: &str =
    "UPDATE resources SET entries = $3, document = $4 WHERE tenant = $1 AND resource = $2";
pub(crate) const READ_ID: &str = "SELECT id FROM resources WHERE tenant = $1 AND resource = $2";

/// What the test prepares.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    RECORD_CHANGE,
    RECORD_GROUPS,
    RECORD_LEAVER,
    BURY,
    UNBURY,
    CREATE_AGAIN,
    READ_ENTRIES,
    FIND_CREATED,
    FIND_CREATION,
    NEXT_ENTRY_AFTER,
    NEXT_ENTRY_ABOVE,
    NEXT_DOCUMENT,
    READ_ANY_TYPE,
    LIST_MEMBER_IDS,
    FIRST_MEMBER_CHANGES,
    READ_MEMBER_CHANGES,
    FIND_GROUPS_LEFT,
    LIST_DELETED,
    FIND_DELETED,
    FIND_DELETED_BY_NAME,
    LIST_CHANGES,
    FORGET_CHANGES,
    FORGET_MEMBERS,
    FORGET_DELETED,
    COUNT_REMOVALS,
    SUM_REMOVALS,
    FORGET_REMOVALS,
    COUNT_USERS,
    COUNT_MEMBERSHIPS,
    USE_ALLOWANCE,
    ALLOW,
    LIST_ALLOWANCES,
    LIST_REMOVALS,
    PARK,
    LIST_PARKED,
    REMOVE_PARKED,
    AWAIT,
    AWAIT_NO_MORE,
    AWAIT_NOTHING,
    AWAIT_NOTHING_AT_ALL,
    FIND_AWAITED,
    LIST_AWAITED,
    FIND_BY_NAMES,
    LINK_BODY,
    READ_ID,
];
