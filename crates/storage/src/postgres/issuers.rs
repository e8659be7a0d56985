//! `Issuers` in PostgreSQL.

use access::issuer::{IssuerRecord, Issuers};
use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
use tokio_postgres::Row;

use super::Postgres;
use super::attempts::{execute, query};
use super::connections::fault;
use super::read::storable;
use super::statements_of_callers as sql;
use crate::rows::{from_json, json_text, micros, timestamp};

#[async_trait]
impl Issuers for Postgres {
    async fn add_issuer(&self, issuer: IssuerRecord) -> Result<bool, Fault> {
        let (name, created, settings) = (
            storable(&issuer.name),
            micros(issuer.created),
            json_text(&issuer.settings)?,
        );
        let person = issuer.settings.permissions.user.as_deref().map(storable);
        Ok(execute(
            &self.connections,
            sql::ADD_ISSUER,
            &[&issuer.tenant.0, &name, &created, &settings, &person],
        )
        .await?
            > 0)
    }

    async fn list_issuers(&self, tenant: TenantId) -> Result<Vec<IssuerRecord>, Fault> {
        query(&self.connections, sql::LIST_ISSUERS, &[&tenant.0])
            .await?
            .iter()
            .map(|row| record(row, tenant))
            .collect()
    }

    async fn remove_issuer(&self, tenant: TenantId, name: &str) -> Result<bool, Fault> {
        Ok(execute(
            &self.connections,
            sql::REMOVE_ISSUER,
            &[&tenant.0, &storable(name)],
        )
        .await?
            > 0)
    }
}

fn record(row: &Row, tenant: TenantId) -> Result<IssuerRecord, Fault> {
    Ok(IssuerRecord {
        tenant,
        name: row.try_get(0).map_err(fault)?,
        created: timestamp(row.try_get(1).map_err(fault)?)?,
        settings: from_json(row.try_get(2).map_err(fault)?)?,
    })
}
