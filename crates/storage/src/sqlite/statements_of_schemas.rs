//! The statements about a tenant's schemas and resource types, by name.

pub(crate) const READ_REVISION: &str = "SELECT types_revision FROM tenants WHERE tenant = ?1";
pub(crate) const RAISE_REVISIONS: &str = "UPDATE tenants SET types_revision = types_revision + 1, revision = revision + 1 WHERE tenant = ?1 AND types_revision = ?2";
/// In the order in which they came.
pub(crate) const READ_DOCUMENTS: &str = "SELECT d.kind, d.document FROM type_documents AS d WHERE d.tenant = ?1 AND d.document IS NOT NULL \
     AND d.version = (SELECT max(v.version) FROM type_documents AS v WHERE v.tenant = ?1 AND v.kind = d.kind AND v.key = d.key) \
     ORDER BY (SELECT min(f.at) FROM type_documents AS f WHERE f.tenant = ?1 AND f.kind = d.kind AND f.key = d.key), d.key";
pub(crate) const READ_HISTORY: &str = "SELECT version, at, author, document FROM type_documents WHERE tenant = ?1 AND kind = ?2 AND key = ?3 ORDER BY version";
pub(crate) const ADD_DOCUMENT: &str = "INSERT INTO type_documents (tenant, kind, key, version, at, author, document) \
     SELECT ?1, ?2, ?3, coalesce(max(version), 0) + 1, ?4, ?5, ?6 FROM type_documents WHERE tenant = ?1 AND kind = ?2 AND key = ?3";
pub(crate) const READ_STORED: &str = "SELECT resource, id, entries, document FROM resources \
     WHERE tenant = ?1 AND type = ?2 AND resource > ?3 ORDER BY resource LIMIT ?4";
pub(crate) const UPDATE_ENTRIES: &str =
    "UPDATE resources SET entries = ?3 WHERE tenant = ?1 AND resource = ?2";

/// What the test prepares.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    READ_REVISION,
    RAISE_REVISIONS,
    READ_DOCUMENTS,
    READ_HISTORY,
    ADD_DOCUMENT,
    READ_STORED,
    UPDATE_ENTRIES,
];
