//! Tenants and tokens in SQLite.

use access::credential::{TokenHash, TokenRecord};
use directory::schema_change::first_documents;
use directory::store::Fault;
use directory::tenant::{Tenant, TenantId};
use directory::tenant_types::{PROGRAM, TenantTypes};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::connections::fault;
use super::statements as sql;
use super::statements_of_schemas::ADD_DOCUMENT;
use crate::rows::{from_json, json_text, micros, stored, timestamp};

/// Makes a tenant with its first types; `None` where the name is taken.
pub(crate) fn create_tenant(
    connection: &Connection,
    name: &str,
    settings: &str,
    created: i64,
) -> Result<Option<Tenant>, Fault> {
    let revision = stored(TenantTypes::first().revision);
    let made = connection
        .execute(
            sql::CREATE_TENANT,
            params![name, created, settings, revision],
        )
        .map_err(fault)?;
    let Some(tenant) = (if made == 0 {
        None
    } else {
        find_tenant(connection, name)?
    }) else {
        return Ok(None);
    };
    for first in first_documents() {
        let text = first.document.as_ref().map(json_text).transpose()?;
        let values = params![
            tenant.id.0,
            first.kind.name(),
            first.key,
            created,
            PROGRAM,
            text
        ];
        connection
            .prepare_cached(ADD_DOCUMENT)
            .and_then(|mut statement| statement.execute(values))
            .map_err(fault)?;
    }
    Ok(Some(tenant))
}

/// By name.
pub(crate) fn find_tenant(connection: &Connection, name: &str) -> Result<Option<Tenant>, Fault> {
    Ok(tenants(connection, sql::FIND_TENANT, [name])?.pop())
}

/// The revision of the tenant with this name.
pub(crate) fn tenant_revision(connection: &Connection, name: &str) -> Result<Option<i64>, Fault> {
    let mut statement = connection
        .prepare_cached(sql::TENANT_REVISION)
        .map_err(fault)?;
    statement
        .query_row([name], |row| row.get(0))
        .optional()
        .map_err(fault)
}

/// All, by name.
pub(crate) fn list_tenants(connection: &Connection) -> Result<Vec<Tenant>, Fault> {
    tenants(connection, sql::LIST_TENANTS, [])
}

fn tenants(
    connection: &Connection,
    statement: &str,
    values: impl Params,
) -> Result<Vec<Tenant>, Fault> {
    let mut statement = connection.prepare_cached(statement).map_err(fault)?;
    let mut rows = statement.query(values).map_err(fault)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(fault)? {
        let text: String = row.get(3).map_err(fault)?;
        found.push(Tenant {
            id: TenantId(row.get(0).map_err(fault)?),
            name: row.get(1).map_err(fault)?,
            created: timestamp(row.get(2).map_err(fault)?)?,
            settings: from_json(&text)?,
            revision: row.get(4).map_err(fault)?,
        });
    }
    Ok(found)
}

/// Stores a token; false where it is for a person who is not there or not active.
pub(crate) fn create_token(connection: &Connection, token: &TokenRecord) -> Result<bool, Fault> {
    // It may have been erased meanwhile.
    if !connection
        .query_row(sql::IS_TENANT, [token.tenant.0], |row| row.get(0))
        .map_err(fault)?
    {
        return Err(Fault::new("there is no such tenant"));
    }
    let values = params![
        token.tenant.0,
        token.id,
        token.name,
        token.hash.0,
        micros(token.created),
        token.expires.map(micros),
        token.revoked.map(micros),
        token.last_used.map(micros),
        json_text(&token.permissions)?,
        token.permissions.user
    ];
    connection
        .execute(sql::CREATE_TOKEN, values)
        .map(|count| count > 0)
        .map_err(fault)
}

/// By hash.
pub(crate) fn find_token(
    connection: &Connection,
    tenant: TenantId,
    hash: &TokenHash,
) -> Result<Option<TokenRecord>, Fault> {
    let mut statement = connection.prepare_cached(sql::FIND_TOKEN).map_err(fault)?;
    let found = statement
        .query_row(params![tenant.0, hash.0], Columns::read)
        .optional()
        .map_err(fault)?;
    found.map(|columns| columns.into_record(tenant)).transpose()
}

/// All of a tenant, oldest first.
pub(crate) fn list_tokens(
    connection: &Connection,
    tenant: TenantId,
) -> Result<Vec<TokenRecord>, Fault> {
    let mut statement = connection.prepare_cached(sql::LIST_TOKENS).map_err(fault)?;
    let rows = statement
        .query_map([tenant.0], Columns::read)
        .map_err(fault)?;
    rows.map(|columns| columns.map_err(fault)?.into_record(tenant))
        .collect()
}

/// Revokes one; false where there is none.
pub(crate) fn revoke_token(
    connection: &Connection,
    tenant: TenantId,
    id: &str,
    at: i64,
) -> Result<bool, Fault> {
    connection
        .execute(sql::RAISE_REVISION, [tenant.0])
        .map_err(fault)?;
    connection
        .execute(sql::REVOKE_TOKEN, params![tenant.0, id, at])
        .map(|count| count > 0)
        .map_err(fault)
}

/// Remembers a use.
pub(crate) fn record_token_use(
    connection: &Connection,
    tenant: TenantId,
    id: &str,
    at: i64,
) -> Result<(), Fault> {
    connection
        .execute(sql::USE_TOKEN, params![tenant.0, id, at])
        .map(drop)
        .map_err(fault)
}

struct Columns {
    id: String,
    name: String,
    hash: [u8; 32],
    created: i64,
    expires: Option<i64>,
    revoked: Option<i64>,
    last_used: Option<i64>,
    permissions: String,
}

impl Columns {
    fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            hash: row.get(2)?,
            created: row.get(3)?,
            expires: row.get(4)?,
            revoked: row.get(5)?,
            last_used: row.get(6)?,
            permissions: row.get(7)?,
        })
    }

    fn into_record(self, tenant: TenantId) -> Result<TokenRecord, Fault> {
        Ok(TokenRecord {
            id: self.id,
            tenant,
            name: self.name,
            hash: TokenHash(self.hash),
            created: timestamp(self.created)?,
            expires: self.expires.map(timestamp).transpose()?,
            revoked: self.revoked.map(timestamp).transpose()?,
            last_used: self.last_used.map(timestamp).transpose()?,
            permissions: from_json(&self.permissions)?,
        })
    }
}
