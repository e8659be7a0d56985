//! `Clients`: OAuth clients, and the assertions that they used.

use access::client::{ClientRecord, Clients};
use access::credential::TokenHash;
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
impl<E: Engine> Clients for Database<E> {
    async fn create_client(&self, client: ClientRecord, entry: Entry) -> Result<bool, Fault> {
        self.write((client, entry), create).await
    }

    async fn find_client(&self, tenant: TenantId, id: &str) -> Result<Option<ClientRecord>, Fault> {
        self.read(&(tenant, id), find).await
    }

    async fn list_clients(&self, tenant: TenantId) -> Result<Vec<ClientRecord>, Fault> {
        self.read(&tenant, list).await
    }

    async fn revoke_client(
        &self,
        tenant: TenantId,
        id: &str,
        at: Timestamp,
        entry: Entry,
    ) -> Result<bool, Fault> {
        self.write((tenant, id.to_owned(), at, entry), revoke).await
    }

    async fn use_assertion(
        &self,
        tenant: TenantId,
        client: &str,
        assertion: TokenHash,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        let asked = (tenant, client.to_owned(), assertion, expires, now);
        self.write_each(asked, use_assertion).await
    }
}

async fn create(
    session: &mut dyn Session,
    (client, entry): &(ClientRecord, Entry),
) -> Result<bool, Fault> {
    let authentication = json_text(&client.authentication)?;
    let permissions = json_text(&client.permissions)?;
    let values = fields![
        client.tenant,
        &client.id,
        &client.name,
        client.created,
        &authentication,
        &permissions,
        &client.permissions.user,
    ];
    session.execute(&sql::CREATE_CLIENT, values).await?;
    // An earlier try may have made it, so the row decides and not the count.
    let found = find(session, &(client.tenant, &client.id)).await?;
    append_if(session, client.tenant, entry, found.is_some()).await
}

async fn find(
    session: &mut dyn Session,
    (tenant, id): &(TenantId, &str),
) -> Result<Option<ClientRecord>, Fault> {
    session
        .first(&sql::FIND_CLIENT, fields![tenant, id], |row| {
            record(row, *tenant)
        })
        .await
}

async fn list(session: &mut dyn Session, tenant: &TenantId) -> Result<Vec<ClientRecord>, Fault> {
    session
        .rows(&sql::LIST_CLIENTS, fields![tenant], |row| {
            record(row, *tenant)
        })
        .await
}

async fn revoke(
    session: &mut dyn Session,
    (tenant, id, at, entry): &(TenantId, String, Timestamp, Entry),
) -> Result<bool, Fault> {
    let revoked = session
        .execute(&sql::REVOKE_CLIENT, fields![tenant, id, at])
        .await?;
    raise_revision(session, *tenant).await?;
    append_if(session, *tenant, entry, revoked > 0).await
}

/// An assertion whose insert was tried twice, because the answer to the first was lost, counts as used: the client makes another one.
async fn use_assertion(
    session: &mut dyn Session,
    (tenant, client, assertion, expires, now): &(TenantId, String, TokenHash, Timestamp, Timestamp),
) -> Result<bool, Fault> {
    session
        .execute(&sql::FORGET_ASSERTIONS, fields![tenant, now])
        .await?;
    let values = fields![tenant, client, assertion, expires];
    Ok(session.execute(&sql::USE_ASSERTION, values).await? > 0)
}

fn record(row: &dyn Columns, tenant: TenantId) -> Result<ClientRecord, Fault> {
    Ok(ClientRecord {
        id: row.get(0)?,
        tenant,
        name: row.get(1)?,
        created: row.get(2)?,
        revoked: row.get(3)?,
        authentication: row.json(4)?,
        permissions: row.json(5)?,
    })
}
