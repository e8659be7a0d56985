//! Statements about OAuth clients and foreign issuers, by name. Runs none of them.

/// A unique index keeps two live clients from having one name; a second try finds its own row.
pub(crate) const CREATE_CLIENT: &str = "INSERT INTO clients (tenant, id, name, created, authentication, permissions, person) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
pub(crate) const FIND_CLIENT: &str = "SELECT id, name, created, revoked, authentication, permissions FROM clients WHERE tenant = $1 AND id = $2";
pub(crate) const LIST_CLIENTS: &str = "SELECT id, name, created, revoked, authentication, permissions FROM clients WHERE tenant = $1 ORDER BY created, id COLLATE \"C\"";
pub(crate) const REVOKE_CLIENT: &str = "WITH raised AS (UPDATE tenants SET revision = revision + 1 WHERE tenant = $1) \
    UPDATE clients SET revoked = coalesce(revoked, $3) WHERE tenant = $1 AND id = $2";
pub(crate) const FORGET_ASSERTIONS: &str =
    "DELETE FROM assertions WHERE tenant = $1 AND expires <= $2";
pub(crate) const USE_ASSERTION: &str = "INSERT INTO assertions (tenant, client, assertion, expires) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
pub(crate) const ADD_ISSUER: &str = "WITH raised AS (UPDATE tenants SET revision = revision + 1 WHERE tenant = $1) \
    INSERT INTO issuers (tenant, name, created, settings, person) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
pub(crate) const LIST_ISSUERS: &str =
    "SELECT name, created, settings FROM issuers WHERE tenant = $1 ORDER BY name COLLATE \"C\"";
pub(crate) const REMOVE_ISSUER: &str = "WITH raised AS (UPDATE tenants SET revision = revision + 1 WHERE tenant = $1) \
    DELETE FROM issuers WHERE tenant = $1 AND name = $2";

/// What was issued to these people ends, and with the tenant's revision what is remembered of it.
pub(crate) const END_CREDENTIALS: &str = "WITH of_tokens AS (UPDATE tokens SET revoked = $3 WHERE tenant = $1 AND person = ANY($2) \
      AND person IS NOT NULL AND revoked IS NULL RETURNING 1), \
    of_clients AS (UPDATE clients SET revoked = $3 WHERE tenant = $1 AND person = ANY($2) \
      AND person IS NOT NULL AND revoked IS NULL RETURNING 1), \
    of_issuers AS (DELETE FROM issuers WHERE tenant = $1 AND person = ANY($2) AND person IS NOT NULL RETURNING 1) \
    UPDATE tenants SET revision = revision + 1 WHERE tenant = $1 AND (EXISTS (SELECT 1 FROM of_tokens) \
      OR EXISTS (SELECT 1 FROM of_clients) OR EXISTS (SELECT 1 FROM of_issuers))";

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
    END_CREDENTIALS,
];
