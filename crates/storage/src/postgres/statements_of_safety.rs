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
pub(crate) const KEEP_TOMBSTONE: &str = "INSERT INTO tombstones \
     (tenant, id, type, version, created, at, change_id, credential, display, user_name, external_id) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (tenant, id) DO UPDATE SET type = excluded.type, \
     version = excluded.version, created = excluded.created, at = excluded.at, change_id = excluded.change_id, \
     credential = excluded.credential, display = excluded.display, user_name = excluded.user_name, external_id = excluded.external_id";
/// Of a resource that comes back: when it was deleted.
pub(crate) const TAKE_TOMBSTONE: &str = "DELETE FROM tombstones WHERE tenant = $1 AND id = $2 AND type = $3 AND version = $4 RETURNING at";
pub(crate) const CREATE_AGAIN: &str = "INSERT INTO resources (tenant, type, id, version, created, modified, display, entries, document) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING resource";

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
    READ_ID,
];
