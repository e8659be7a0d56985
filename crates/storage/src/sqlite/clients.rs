//! `Clients` in SQLite.

use access::client::{ClientRecord, Clients};
use access::credential::TokenHash;
use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use super::Sqlite;
use super::connections::fault;
use super::statements::RAISE_REVISION;
use super::statements_of_callers as sql;
use crate::rows::{from_json, json_text, micros, timestamp};

#[async_trait]
impl Clients for Sqlite {
    async fn create_client(&self, client: ClientRecord) -> Result<bool, Fault> {
        let (authentication, permissions) = (
            json_text(&client.authentication)?,
            json_text(&client.permissions)?,
        );
        let made = self.writer.write(move |connection| {
            let values = params![
                client.tenant.0,
                client.id,
                client.name,
                micros(client.created),
                authentication,
                permissions,
                client.permissions.user
            ];
            connection
                .execute(sql::CREATE_CLIENT, values)
                .map(|count| count > 0)
                .map_err(fault)
        });
        made.await
    }

    async fn find_client(&self, tenant: TenantId, id: &str) -> Result<Option<ClientRecord>, Fault> {
        self.readers.read_short(|connection| {
            let mut statement = connection.prepare_cached(sql::FIND_CLIENT).map_err(fault)?;
            let found = statement
                .query_row(params![tenant.0, id], Columns::read)
                .optional()
                .map_err(fault)?;
            found.map(|columns| columns.into_record(tenant)).transpose()
        })
    }

    async fn list_clients(&self, tenant: TenantId) -> Result<Vec<ClientRecord>, Fault> {
        self.readers.read_short(|connection| {
            let mut statement = connection
                .prepare_cached(sql::LIST_CLIENTS)
                .map_err(fault)?;
            let rows = statement
                .query_map([tenant.0], Columns::read)
                .map_err(fault)?;
            rows.map(|columns| columns.map_err(fault)?.into_record(tenant))
                .collect()
        })
    }

    async fn revoke_client(
        &self,
        tenant: TenantId,
        id: &str,
        at: Timestamp,
    ) -> Result<bool, Fault> {
        let (id, at) = (id.to_owned(), micros(at));
        let revoked = self.writer.revise(move |connection| {
            connection
                .execute(RAISE_REVISION, [tenant.0])
                .map_err(fault)?;
            connection
                .execute(sql::REVOKE_CLIENT, params![tenant.0, id, at])
                .map(|count| count > 0)
                .map_err(fault)
        });
        revoked.await
    }

    async fn use_assertion(
        &self,
        tenant: TenantId,
        client: &str,
        assertion: TokenHash,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        let (client, expires, now) = (client.to_owned(), micros(expires), micros(now));
        let used = self.writer.write(move |connection| {
            connection
                .execute(sql::FORGET_ASSERTIONS, params![tenant.0, now])
                .map_err(fault)?;
            let values = params![tenant.0, client, assertion.0, expires];
            connection
                .execute(sql::USE_ASSERTION, values)
                .map(|count| count > 0)
                .map_err(fault)
        });
        used.await
    }
}

struct Columns {
    id: String,
    name: String,
    created: i64,
    revoked: Option<i64>,
    authentication: String,
    permissions: String,
}

impl Columns {
    fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            created: row.get(2)?,
            revoked: row.get(3)?,
            authentication: row.get(4)?,
            permissions: row.get(5)?,
        })
    }

    fn into_record(self, tenant: TenantId) -> Result<ClientRecord, Fault> {
        Ok(ClientRecord {
            id: self.id,
            tenant,
            name: self.name,
            created: timestamp(self.created)?,
            revoked: self.revoked.map(timestamp).transpose()?,
            authentication: from_json(&self.authentication)?,
            permissions: from_json(&self.permissions)?,
        })
    }
}
