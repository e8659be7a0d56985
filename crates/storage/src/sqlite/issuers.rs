//! `Issuers` in SQLite.

use access::issuer::{IssuerRecord, Issuers};
use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
use rusqlite::params;

use super::Sqlite;
use super::connections::fault;
use super::statements::RAISE_REVISION;
use super::statements_of_callers as sql;
use crate::rows::{from_json, json_text, micros, timestamp};

#[async_trait]
impl Issuers for Sqlite {
    async fn add_issuer(&self, issuer: IssuerRecord) -> Result<bool, Fault> {
        let settings = json_text(&issuer.settings)?;
        let added = self.writer.revise(move |connection| {
            connection
                .execute(RAISE_REVISION, [issuer.tenant.0])
                .map_err(fault)?;
            let values = params![
                issuer.tenant.0,
                issuer.name,
                micros(issuer.created),
                settings,
                issuer.settings.permissions.user
            ];
            connection
                .execute(sql::ADD_ISSUER, values)
                .map(|count| count > 0)
                .map_err(fault)
        });
        added.await
    }

    async fn list_issuers(&self, tenant: TenantId) -> Result<Vec<IssuerRecord>, Fault> {
        self.readers.read_short(|connection| {
            let mut statement = connection
                .prepare_cached(sql::LIST_ISSUERS)
                .map_err(fault)?;
            let rows = statement
                .query_map([tenant.0], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .map_err(fault)?;
            let record = |row: Result<(String, i64, String), rusqlite::Error>| {
                let (name, created, settings) = row.map_err(fault)?;
                Ok(IssuerRecord {
                    tenant,
                    name,
                    created: timestamp(created)?,
                    settings: from_json(&settings)?,
                })
            };
            rows.map(record).collect()
        })
    }

    async fn remove_issuer(&self, tenant: TenantId, name: &str) -> Result<bool, Fault> {
        let name = name.to_owned();
        let removed = self.writer.revise(move |connection| {
            connection
                .execute(RAISE_REVISION, [tenant.0])
                .map_err(fault)?;
            connection
                .execute(sql::REMOVE_ISSUER, params![tenant.0, name])
                .map(|count| count > 0)
                .map_err(fault)
        });
        removed.await
    }
}
