//! Statements about OAuth clients and foreign issuers, by name. Runs none of them.

pub(crate) const CREATE_CLIENT: &str = "INSERT INTO clients (tenant, id, name, created, authentication, permissions, person) \
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS (SELECT 1 FROM clients WHERE tenant = ?1 AND name = ?3 AND revoked IS NULL)";
pub(crate) const FIND_CLIENT: &str = "SELECT id, name, created, revoked, authentication, permissions FROM clients WHERE tenant = ?1 AND id = ?2";
pub(crate) const LIST_CLIENTS: &str = "SELECT id, name, created, revoked, authentication, permissions FROM clients WHERE tenant = ?1 ORDER BY created, id";
pub(crate) const REVOKE_CLIENT: &str =
    "UPDATE clients SET revoked = coalesce(revoked, ?3) WHERE tenant = ?1 AND id = ?2";
pub(crate) const FORGET_ASSERTIONS: &str =
    "DELETE FROM assertions WHERE tenant = ?1 AND expires <= ?2";
pub(crate) const USE_ASSERTION: &str = "INSERT INTO assertions (tenant, client, assertion, expires) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
pub(crate) const ADD_ISSUER: &str = "INSERT INTO issuers (tenant, name, created, settings, person) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
pub(crate) const LIST_ISSUERS: &str =
    "SELECT name, created, settings FROM issuers WHERE tenant = ?1 ORDER BY name";
pub(crate) const REMOVE_ISSUER: &str = "DELETE FROM issuers WHERE tenant = ?1 AND name = ?2";

/// What was issued to a person ends. The conditions are those of the indexes.
pub(crate) const END_TOKENS: &str = "UPDATE tokens SET revoked = ?3 WHERE tenant = ?1 AND person = ?2 AND person IS NOT NULL AND revoked IS NULL";
pub(crate) const END_CLIENTS: &str = "UPDATE clients SET revoked = ?3 WHERE tenant = ?1 AND person = ?2 AND person IS NOT NULL AND revoked IS NULL";
pub(crate) const END_ISSUERS: &str =
    "DELETE FROM issuers WHERE tenant = ?1 AND person = ?2 AND person IS NOT NULL";

/// All of them, for the test that prepares them.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    CREATE_CLIENT,
    FIND_CLIENT,
    LIST_CLIENTS,
    REVOKE_CLIENT,
    FORGET_ASSERTIONS,
    USE_ASSERTION,
    ADD_ISSUER,
    LIST_ISSUERS,
    REMOVE_ISSUER,
    END_TOKENS,
    END_CLIENTS,
    END_ISSUERS,
];
