//! `Clients` in PostgreSQL.

use access::client::{ClientRecord, Clients};
use access::credential::TokenHash;
use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use tokio_postgres::Row;

use super::Postgres;
use super::attempts::{Values, execute, query};
use super::connections::fault;
use super::read::storable;
use super::statements_of_callers as sql;
use crate::rows::{from_json, json_text, micros, timestamp};

#[async_trait]
impl Clients for Postgres {
    async fn create_client(&self, client: ClientRecord) -> Result<bool, Fault> {
        let (authentication, permissions) = (
            json_text(&client.authentication)?,
            json_text(&client.permissions)?,
        );
        let (id, name, created) = (
            storable(&client.id),
            storable(&client.name),
            micros(client.created),
        );
        let person = client.permissions.user.as_deref().map(storable);
        let values: Values<'_> = &[
            &client.tenant.0,
            &id,
            &name,
            &created,
            &authentication,
            &permissions,
            &person,
        ];
        execute(&self.connections, sql::CREATE_CLIENT, values).await?;
        // A try whose answer was lost may have made it, so the row tells and not the count.
        Ok(self.find_client(client.tenant, &client.id).await?.is_some())
    }

    async fn find_client(&self, tenant: TenantId, id: &str) -> Result<Option<ClientRecord>, Fault> {
        let rows = query(
            &self.connections,
            sql::FIND_CLIENT,
            &[&tenant.0, &storable(id)],
        )
        .await?;
        rows.first().map(|row| record(row, tenant)).transpose()
    }

    async fn list_clients(&self, tenant: TenantId) -> Result<Vec<ClientRecord>, Fault> {
        query(&self.connections, sql::LIST_CLIENTS, &[&tenant.0])
            .await?
            .iter()
            .map(|row| record(row, tenant))
            .collect()
    }

    async fn revoke_client(
        &self,
        tenant: TenantId,
        id: &str,
        at: Timestamp,
    ) -> Result<bool, Fault> {
        Ok(execute(
            &self.connections,
            sql::REVOKE_CLIENT,
            &[&tenant.0, &storable(id), &micros(at)],
        )
        .await?
            > 0)
    }

    /// An assertion whose insert was tried twice, because the first answer was lost, counts as used: the client makes another one.
    async fn use_assertion(
        &self,
        tenant: TenantId,
        client: &str,
        assertion: TokenHash,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        execute(
            &self.connections,
            sql::FORGET_ASSERTIONS,
            &[&tenant.0, &micros(now)],
        )
        .await?;
        let (client, hash, expires) = (storable(client), assertion.0.as_slice(), micros(expires));
        Ok(execute(
            &self.connections,
            sql::USE_ASSERTION,
            &[&tenant.0, &client, &hash, &expires],
        )
        .await?
            > 0)
    }
}

fn record(row: &Row, tenant: TenantId) -> Result<ClientRecord, Fault> {
    let revoked: Option<i64> = row.try_get(3).map_err(fault)?;
    Ok(ClientRecord {
        id: row.try_get(0).map_err(fault)?,
        tenant,
        name: row.try_get(1).map_err(fault)?,
        created: timestamp(row.try_get(2).map_err(fault)?)?,
        revoked: revoked.map(timestamp).transpose()?,
        authentication: from_json(row.try_get(4).map_err(fault)?)?,
        permissions: from_json(row.try_get(5).map_err(fault)?)?,
    })
}
