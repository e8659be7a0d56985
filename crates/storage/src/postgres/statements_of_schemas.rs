//! The statements about a tenant's schemas and resource types, by name.

/// Every commit shares this lock of its tenant, a change of types has it alone: whoever waits goes first, and no resource is locked yet while it is waited
/// for. The first number is arbitrary ("type" in ASCII).
pub(crate) const SHARE_TYPES: &str =
    "SELECT pg_advisory_xact_lock_shared(1954115685, ($1::BIGINT % 2147483647)::INTEGER) AS tenant";
pub(crate) const LOCK_TYPES: &str =
    "SELECT pg_advisory_xact_lock(1954115685, ($1::BIGINT % 2147483647)::INTEGER) AS tenant";

pub(crate) const READ_REVISION: &str = "SELECT types_revision FROM tenants WHERE tenant = $1";
pub(crate) const RAISE_REVISIONS: &str = "UPDATE tenants SET types_revision = types_revision + 1, revision = revision + 1 WHERE tenant = $1 AND types_revision = $2";
/// In the order in which they came.
pub(crate) const READ_DOCUMENTS: &str = "SELECT d.kind, d.document FROM type_documents AS d WHERE d.tenant = $1 AND d.document IS NOT NULL \
     AND d.version = (SELECT max(v.version) FROM type_documents AS v WHERE v.tenant = $1 AND v.kind = d.kind AND v.key = d.key) \
     ORDER BY (SELECT min(f.at) FROM type_documents AS f WHERE f.tenant = $1 AND f.kind = d.kind AND f.key = d.key), d.key COLLATE \"C\"";
pub(crate) const READ_HISTORY: &str = "SELECT version, at, author, document FROM type_documents WHERE tenant = $1 AND kind = $2 AND key = $3 ORDER BY version";
pub(crate) const ADD_DOCUMENT: &str = "INSERT INTO type_documents (tenant, kind, key, version, at, author, document) \
     SELECT $1, $2, $3, coalesce(max(version), 0) + 1, $4, $5, $6 FROM type_documents WHERE tenant = $1 AND kind = $2 AND key = $3";
pub(crate) const READ_STORED: &str = "SELECT resource, id, entries, document FROM resources \
     WHERE tenant = $1 AND type = $2 AND resource > $3 ORDER BY resource LIMIT $4";
pub(crate) const UPDATE_ENTRIES: &str = "UPDATE resources AS r SET entries = v.entries \
     FROM unnest($2::BIGINT[], $3::BYTEA[]) AS v (resource, entries) WHERE r.tenant = $1 AND r.resource = v.resource";

/// The same as for one resource, for many.
pub(crate) const TAKE_VALUES: &str = "INSERT INTO unique_values (tenant, attribute, value, resource) \
     SELECT $1, v.attribute, v.value, v.resource FROM unnest($2::BIGINT[], $3::BYTEA[], $4::BIGINT[]) AS v (attribute, value, resource) \
     ORDER BY v.attribute, v.value, v.resource ON CONFLICT DO NOTHING RETURNING attribute, value, resource";
pub(crate) const RELEASE_VALUES: &str = "DELETE FROM unique_values AS u \
     USING unnest($2::BIGINT[], $3::BYTEA[], $4::BIGINT[]) AS v (attribute, value, resource) \
     WHERE u.tenant = $1 AND u.attribute = v.attribute AND u.value = v.value AND u.resource = v.resource";
pub(crate) const ADD_VALUES: &str = "INSERT INTO index_values (tenant, attribute, value, resource) \
     SELECT $1, v.attribute, v.value, v.resource FROM unnest($2::BIGINT[], $3::BYTEA[], $4::BIGINT[]) AS v (attribute, value, resource) \
     ON CONFLICT DO NOTHING";
pub(crate) const REMOVE_VALUES: &str = "DELETE FROM index_values AS i \
     USING unnest($2::BIGINT[], $3::BYTEA[], $4::BIGINT[]) AS v (attribute, value, resource) \
     WHERE i.tenant = $1 AND i.attribute = v.attribute AND i.value = v.value AND i.resource = v.resource";

/// What the test prepares.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    SHARE_TYPES,
    LOCK_TYPES,
    READ_REVISION,
    RAISE_REVISIONS,
    READ_DOCUMENTS,
    READ_HISTORY,
    ADD_DOCUMENT,
    READ_STORED,
    UPDATE_ENTRIES,
    TAKE_VALUES,
    RELEASE_VALUES,
    ADD_VALUES,
    REMOVE_VALUES,
];
