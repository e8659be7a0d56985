//! Statements about a tenant's schemas and resource types. Runs none of them.

use crate::session::Statement;

/// A change of types has this lock of its tenant alone, every commit shares it (`SHARE_TYPES`).
pub(crate) static LOCK_TYPES: Statement = Statement::lock(
    "SELECT pg_advisory_xact_lock(1954115685, ($1::BIGINT % 2147483647)::INTEGER) AS tenant",
);
pub(crate) static READ_REVISION: Statement =
    Statement::new("SELECT types_revision FROM tenants WHERE tenant = $1");
pub(crate) static RAISE_REVISIONS: Statement = Statement::new(
    "UPDATE tenants SET types_revision = types_revision + 1, revision = revision + 1 WHERE tenant = $1 AND types_revision = $2",
);
/// In the order in which they came.
pub(crate) static READ_DOCUMENTS: Statement = Statement::new(
    "SELECT d.kind, d.document FROM type_documents AS d WHERE d.tenant = $1 AND d.document IS NOT NULL \
     AND d.version = (SELECT max(v.version) FROM type_documents AS v WHERE v.tenant = $1 AND v.kind = d.kind AND v.key = d.key) \
     ORDER BY (SELECT min(f.at) FROM type_documents AS f WHERE f.tenant = $1 AND f.kind = d.kind AND f.key = d.key), d.key COLLATE \"C\"",
);
pub(crate) static READ_HISTORY: Statement = Statement::new(
    "SELECT version, at, author, document FROM type_documents WHERE tenant = $1 AND kind = $2 AND key = $3 ORDER BY version",
);
pub(crate) static ADD_DOCUMENT: Statement = Statement::new(
    "INSERT INTO type_documents (tenant, kind, key, version, at, author, document) \
     SELECT $1, $2, $3, coalesce(max(version), 0) + 1, $4, $5, $6 FROM type_documents WHERE tenant = $1 AND kind = $2 AND key = $3",
);
pub(crate) static READ_STORED: Statement = Statement::new(
    "SELECT resource, id, entries, document FROM resources \
     WHERE tenant = $1 AND type = $2 AND resource > $3 ORDER BY resource LIMIT $4",
);
pub(crate) static UPDATE_ENTRIES: Statement =
    Statement::new("UPDATE resources SET entries = $3 WHERE tenant = $1 AND resource = $2");
pub(crate) static TAKE_VALUE: Statement = Statement::new(
    "INSERT INTO unique_values (tenant, attribute, value, resource) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
);
pub(crate) static RELEASE_VALUE: Statement = Statement::new(
    "DELETE FROM unique_values WHERE tenant = $1 AND attribute = $2 AND value = $3 AND resource = $4",
);
pub(crate) static ADD_VALUE: Statement = Statement::new(
    "INSERT INTO index_values (tenant, attribute, value, resource) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
);
pub(crate) static REMOVE_VALUE: Statement = Statement::new(
    "DELETE FROM index_values WHERE tenant = $1 AND attribute = $2 AND value = $3 AND resource = $4",
);

/// All of them, for the tests that prepare each.
#[cfg(test)]
pub(crate) static ALL: &[&Statement] = &[
    &LOCK_TYPES,
    &READ_REVISION,
    &RAISE_REVISIONS,
    &READ_DOCUMENTS,
    &READ_HISTORY,
    &ADD_DOCUMENT,
    &READ_STORED,
    &UPDATE_ENTRIES,
    &TAKE_VALUE,
    &RELEASE_VALUE,
    &ADD_VALUE,
    &REMOVE_VALUE,
];
