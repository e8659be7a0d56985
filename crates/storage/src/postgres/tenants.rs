//! Tenants and tokens in PostgreSQL.

use access::credential::{TokenHash, TokenRecord};
use directory::schema_change::first_documents;
use directory::store::Fault;
use directory::tenant::{Tenant, TenantId};
use directory::tenant_types::{PROGRAM, TenantTypes};
use tokio_postgres::Row;

use super::attempts::{Values, execute, query};
use super::connections::{Connections, fault};
use super::read::storable;
use super::statements as sql;
use crate::rows::{from_json, json_text, micros, stored, timestamp};

/// Makes a tenant with its first types, in one statement; `None` where the name is taken.
pub(crate) async fn create_tenant(
    connections: &Connections,
    name: &str,
    settings: &str,
    created: i64,
) -> Result<Option<Tenant>, Fault> {
    let (mut kinds, mut keys, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    for first in first_documents() {
        kinds.push(first.kind.name());
        keys.push(first.key);
        documents.push(first.document.as_ref().map(json_text).transpose()?);
    }
    let revision = stored(TenantTypes::first().revision);
    let values: Values<'_> = &[
        &storable(name),
        &created,
        &settings,
        &revision,
        &PROGRAM,
        &kinds,
        &keys,
        &documents,
    ];
    let made = execute(connections, sql::CREATE_TENANT, values).await?;
    if made == 0 {
        Ok(None)
    } else {
        find_tenant(connections, name).await
    }
}

/// By name.
pub(crate) async fn find_tenant(
    connections: &Connections,
    name: &str,
) -> Result<Option<Tenant>, Fault> {
    query(connections, sql::FIND_TENANT, &[&storable(name)])
        .await?
        .first()
        .map(tenant)
        .transpose()
}

/// The revision of the tenant with this name.
pub(crate) async fn tenant_revision(
    connections: &Connections,
    name: &str,
) -> Result<Option<i64>, Fault> {
    let rows = query(connections, sql::TENANT_REVISION, &[&storable(name)]).await?;
    rows.first()
        .map(|row| row.try_get(0).map_err(fault))
        .transpose()
}

/// All, by name.
pub(crate) async fn list_tenants(connections: &Connections) -> Result<Vec<Tenant>, Fault> {
    query(connections, sql::LIST_TENANTS, &[])
        .await?
        .iter()
        .map(tenant)
        .collect()
}

fn tenant(row: &Row) -> Result<Tenant, Fault> {
    let settings: &str = row.try_get(3).map_err(fault)?;
    Ok(Tenant {
        id: TenantId(row.try_get(0).map_err(fault)?),
        name: row.try_get(1).map_err(fault)?,
        created: timestamp(row.try_get(2).map_err(fault)?)?,
        settings: from_json(settings)?,
        revision: row.try_get(4).map_err(fault)?,
    })
}

/// Stores a token; false where it is for a person who is not there or not active.
pub(crate) async fn create_token(
    connections: &Connections,
    token: &TokenRecord,
) -> Result<bool, Fault> {
    let values: Values<'_> = &[
        &token.tenant.0,
        &storable(&token.id),
        &storable(&token.name),
        &token.hash.0.as_slice(),
        &micros(token.created),
        &token.expires.map(micros),
        &token.revoked.map(micros),
        &token.last_used.map(micros),
        &json_text(&token.permissions)?,
        &token.permissions.user.as_deref().map(storable),
    ];
    execute(connections, sql::CREATE_TOKEN, values)
        .await
        .map(|count| count > 0)
}

/// By hash.
pub(crate) async fn find_token(
    connections: &Connections,
    tenant: TenantId,
    hash: &TokenHash,
) -> Result<Option<TokenRecord>, Fault> {
    let rows = query(
        connections,
        sql::FIND_TOKEN,
        &[&tenant.0, &hash.0.as_slice()],
    )
    .await?;
    rows.first().map(|row| token(row, tenant)).transpose()
}

/// All of a tenant, oldest first.
pub(crate) async fn list_tokens(
    connections: &Connections,
    tenant: TenantId,
) -> Result<Vec<TokenRecord>, Fault> {
    query(connections, sql::LIST_TOKENS, &[&tenant.0])
        .await?
        .iter()
        .map(|row| token(row, tenant))
        .collect()
}

/// Revokes one; false where there is none.
pub(crate) async fn revoke_token(
    connections: &Connections,
    tenant: TenantId,
    id: &str,
    at: i64,
) -> Result<bool, Fault> {
    Ok(execute(
        connections,
        sql::REVOKE_TOKEN,
        &[&tenant.0, &storable(id), &at],
    )
    .await?
        > 0)
}

/// Remembers a use.
pub(crate) async fn record_token_use(
    connections: &Connections,
    tenant: TenantId,
    id: &str,
    at: i64,
) -> Result<(), Fault> {
    execute(
        connections,
        sql::USE_TOKEN,
        &[&tenant.0, &storable(id), &at],
    )
    .await
    .map(drop)
}

fn token(row: &Row, tenant: TenantId) -> Result<TokenRecord, Fault> {
    let hash: &[u8] = row.try_get(2).map_err(fault)?;
    let optional = |column: usize| {
        row.try_get::<_, Option<i64>>(column)
            .map_err(fault)?
            .map(timestamp)
            .transpose()
    };
    Ok(TokenRecord {
        id: row.try_get(0).map_err(fault)?,
        tenant,
        name: row.try_get(1).map_err(fault)?,
        hash: TokenHash(hash.try_into().map_err(|error| {
            Fault::from_source("the hash of a token has the wrong length", error)
        })?),
        created: timestamp(row.try_get(3).map_err(fault)?)?,
        expires: optional(4)?,
        revoked: optional(5)?,
        last_used: optional(6)?,
        permissions: from_json(row.try_get(7).map_err(fault)?)?,
    })
}
