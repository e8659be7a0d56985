//! `Tokens`: bearer tokens of tenants.

use access::credential::{TokenHash, TokenRecord, Tokens};
use async_trait::async_trait;
use directory::audit::Entry;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;

use crate::audit::append_if;
use crate::engine::{Database, Engine};
use crate::rows::json_text;
use crate::session::{Columns, Session, fields};
use crate::statements_of_callers as sql;
use crate::tenants::raise_revision;

#[async_trait]
impl<E: Engine> Tokens for Database<E> {
    async fn create_token(&self, token: TokenRecord, entry: Entry) -> Result<bool, Fault> {
        self.write((token, entry), create_token).await
    }

    async fn find_token(
        &self,
        tenant: TenantId,
        hash: TokenHash,
    ) -> Result<Option<TokenRecord>, Fault> {
        self.read(&(tenant, hash), find_token).await
    }

    async fn list_tokens(&self, tenant: TenantId) -> Result<Vec<TokenRecord>, Fault> {
        self.read_long(Some(tenant), tenant, list_tokens).await
    }

    async fn revoke_token(
        &self,
        tenant: TenantId,
        id: &str,
        at: Timestamp,
        entry: Entry,
    ) -> Result<bool, Fault> {
        self.write((tenant, id.to_owned(), at, entry), revoke_token)
            .await
    }

    async fn record_token_use(
        &self,
        tenant: TenantId,
        id: &str,
        at: Timestamp,
    ) -> Result<(), Fault> {
        self.write_each((tenant, id.to_owned(), at), use_token)
            .await
    }
}

/// Stores a token; false where it is for a person who is not there or not active.
async fn create_token(
    session: &mut dyn Session,
    (token, entry): &(TokenRecord, Entry),
) -> Result<bool, Fault> {
    let tenant = token.tenant;
    let held = session
        .first(&sql::HOLD_TENANT, fields![tenant], |_| Ok(()))
        .await?;
    if held.is_none() {
        return Err(Fault::new("there is no such tenant"));
    }
    let permissions = json_text(&token.permissions)?;
    let values = fields![
        tenant,
        &token.id,
        &token.name,
        &token.hash,
        token.created,
        token.expires,
        token.revoked,
        token.last_used,
        &permissions,
        &token.permissions.user,
    ];
    let count = session.execute(&sql::CREATE_TOKEN, values).await?;
    append_if(session, tenant, entry, count > 0).await
}

async fn find_token(
    session: &mut dyn Session,
    (tenant, hash): &(TenantId, TokenHash),
) -> Result<Option<TokenRecord>, Fault> {
    session
        .first(&sql::FIND_TOKEN, fields![tenant, hash], |row| {
            token(row, *tenant)
        })
        .await
}

async fn list_tokens(
    session: &mut dyn Session,
    tenant: &TenantId,
) -> Result<Vec<TokenRecord>, Fault> {
    session
        .rows(&sql::LIST_TOKENS, fields![tenant], |row| {
            token(row, *tenant)
        })
        .await
}

fn token(row: &dyn Columns, tenant: TenantId) -> Result<TokenRecord, Fault> {
    Ok(TokenRecord {
        id: row.get(0)?,
        tenant,
        name: row.get(1)?,
        hash: row.get(2)?,
        created: row.get(3)?,
        expires: row.get(4)?,
        revoked: row.get(5)?,
        last_used: row.get(6)?,
        permissions: row.json(7)?,
    })
}

async fn revoke_token(
    session: &mut dyn Session,
    (tenant, id, at, entry): &(TenantId, String, Timestamp, Entry),
) -> Result<bool, Fault> {
    let revoked = session
        .execute(&sql::REVOKE_TOKEN, fields![tenant, id, at])
        .await?;
    raise_revision(session, *tenant).await?;
    append_if(session, *tenant, entry, revoked > 0).await
}

async fn use_token(
    session: &mut dyn Session,
    (tenant, id, at): &(TenantId, String, Timestamp),
) -> Result<(), Fault> {
    session
        .execute(&sql::USE_TOKEN, fields![tenant, id, at])
        .await
        .map(drop)
}
