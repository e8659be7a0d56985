//! Statements about tenants and those who call for them: tokens, OAuth clients, foreign issuers. Runs none of them.

use crate::session::Statement;

/// The first revision is the instant of its making, so that nothing is remembered of an erased one of the same name.
pub(crate) static CREATE_TENANT: Statement = Statement::new(
    "INSERT INTO tenants (name, created, settings, revision, types_revision) VALUES ($1, $2, $3, $2, $4) ON CONFLICT (name) DO NOTHING",
);
pub(crate) static FIND_TENANT: Statement =
    Statement::new("SELECT tenant, name, created, settings, revision FROM tenants WHERE name = $1");
pub(crate) static TENANT_REVISION: Statement =
    Statement::new("SELECT revision FROM tenants WHERE name = $1");
pub(crate) static RAISE_REVISION: Statement =
    Statement::new("UPDATE tenants SET revision = revision + 1 WHERE tenant = $1");
/// All tenants.
pub(crate) static LIST_TENANTS: Statement = Statement::new(
    "SELECT tenant, name, created, settings, revision FROM tenants ORDER BY name COLLATE \"C\"",
);
/// It is not erased until the commit.
pub(crate) static HOLD_TENANT: Statement =
    Statement::new("SELECT tenant FROM tenants WHERE tenant = $1 FOR KEY SHARE");

/// Nothing where the person is not there or not active. On PostgreSQL a commit that deactivates or deletes them meanwhile waits for this, or this for it.
pub(crate) static CREATE_TOKEN: Statement = Statement::new(
    "WITH person AS MATERIALIZED (SELECT document FROM resources WHERE tenant = $1 AND id = $10 AND type = 'User' FOR SHARE) \
     INSERT INTO tokens (tenant, id, name, hash, created, expires, revoked, last_used, permissions, person) \
     SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 WHERE $10::TEXT IS NULL \
     OR EXISTS (SELECT 1 FROM person WHERE coalesce(document::JSON ->> 'active', 'true') <> 'false')",
)
.or_sqlite(
    "INSERT INTO tokens (tenant, id, name, hash, created, expires, revoked, last_used, permissions, person) \
     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 WHERE ?10 IS NULL OR EXISTS (SELECT 1 FROM resources \
     WHERE tenant = ?1 AND id = ?10 AND type = 'User' AND coalesce(document ->> '$.active', 1) <> 0)",
);
pub(crate) static FIND_TOKEN: Statement = Statement::new(
    "SELECT id, name, hash, created, expires, revoked, last_used, permissions FROM tokens WHERE tenant = $1 AND hash = $2",
);
pub(crate) static LIST_TOKENS: Statement = Statement::new(
    "SELECT id, name, hash, created, expires, revoked, last_used, permissions FROM tokens WHERE tenant = $1 ORDER BY created, id COLLATE \"C\"",
);
pub(crate) static REVOKE_TOKEN: Statement = Statement::new(
    "UPDATE tokens SET revoked = coalesce(revoked, $3) WHERE tenant = $1 AND id = $2",
);
pub(crate) static USE_TOKEN: Statement = Statement::new(
    "UPDATE tokens SET last_used = greatest(coalesce(last_used, 0), $3) WHERE tenant = $1 AND id = $2",
);

/// A unique index keeps two live clients from having one name.
pub(crate) static CREATE_CLIENT: Statement = Statement::new(
    "INSERT INTO clients (tenant, id, name, created, authentication, permissions, person) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
);
pub(crate) static FIND_CLIENT: Statement = Statement::new(
    "SELECT id, name, created, revoked, authentication, permissions FROM clients WHERE tenant = $1 AND id = $2",
);
pub(crate) static LIST_CLIENTS: Statement = Statement::new(
    "SELECT id, name, created, revoked, authentication, permissions FROM clients WHERE tenant = $1 ORDER BY created, id COLLATE \"C\"",
);
pub(crate) static REVOKE_CLIENT: Statement = Statement::new(
    "UPDATE clients SET revoked = coalesce(revoked, $3) WHERE tenant = $1 AND id = $2",
);
pub(crate) static FORGET_ASSERTIONS: Statement =
    Statement::new("DELETE FROM assertions WHERE tenant = $1 AND expires <= $2");
pub(crate) static USE_ASSERTION: Statement = Statement::new(
    "INSERT INTO assertions (tenant, client, assertion, expires) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
);
pub(crate) static ADD_ISSUER: Statement = Statement::new(
    "INSERT INTO issuers (tenant, name, created, settings, person) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
);
pub(crate) static LIST_ISSUERS: Statement = Statement::new(
    "SELECT name, created, settings FROM issuers WHERE tenant = $1 ORDER BY name COLLATE \"C\"",
);
pub(crate) static REMOVE_ISSUER: Statement =
    Statement::new("DELETE FROM issuers WHERE tenant = $1 AND name = $2");

/// What was issued to these people ends. The conditions are those of the indexes.
pub(crate) static END_TOKENS: Statement = Statement::new(
    "UPDATE tokens SET revoked = $3 WHERE tenant = $1 AND person = ANY ($2) AND person IS NOT NULL AND revoked IS NULL",
);
pub(crate) static END_CLIENTS: Statement = Statement::new(
    "UPDATE clients SET revoked = $3 WHERE tenant = $1 AND person = ANY ($2) AND person IS NOT NULL AND revoked IS NULL",
);
pub(crate) static END_ISSUERS: Statement = Statement::new(
    "DELETE FROM issuers WHERE tenant = $1 AND person = ANY ($2) AND person IS NOT NULL",
);

/// All of them, for the tests that prepare each.
#[cfg(test)]
pub(crate) static ALL: &[&Statement] = &[
    &CREATE_TENANT,
    &FIND_TENANT,
    &TENANT_REVISION,
    &RAISE_REVISION,
    &LIST_TENANTS,
    &HOLD_TENANT,
    &CREATE_TOKEN,
    &FIND_TOKEN,
    &LIST_TOKENS,
    &REVOKE_TOKEN,
    &USE_TOKEN,
    &CREATE_CLIENT,
    &FIND_CLIENT,
    &LIST_CLIENTS,
    &REVOKE_CLIENT,
    &FORGET_ASSERTIONS,
    &USE_ASSERTION,
    &ADD_ISSUER,
    &LIST_ISSUERS,
    &REMOVE_ISSUER,
    &END_TOKENS,
    &END_CLIENTS,
    &END_ISSUERS,
];
