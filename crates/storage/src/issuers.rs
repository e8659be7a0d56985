//! `Issuers`: foreign issuers whose tokens a tenant accepts.

use access::issuer::{IssuerRecord, Issuers};
use async_trait::async_trait;
use directory::audit::Entry;
use directory::store::Fault;
use directory::tenant::TenantId;

use crate::audit::append_if;
use crate::engine::{Database, Engine};
use crate::rows::json_text;
use crate::session::{Session, fields};
use crate::statements_of_callers as sql;
use crate::tenants::raise_revision;

#[async_trait]
impl<E: Engine> Issuers for Database<E> {
    async fn add_issuer(&self, issuer: IssuerRecord, entry: Entry) -> Result<bool, Fault> {
        self.write((issuer, entry), add).await
    }

    async fn list_issuers(&self, tenant: TenantId) -> Result<Vec<IssuerRecord>, Fault> {
        self.read(&tenant, list).await
    }

    async fn remove_issuer(
        &self,
        tenant: TenantId,
        name: &str,
        entry: Entry,
    ) -> Result<bool, Fault> {
        self.write((tenant, name.to_owned(), entry), remove).await
    }
}

async fn add(
    session: &mut dyn Session,
    (issuer, entry): &(IssuerRecord, Entry),
) -> Result<bool, Fault> {
    let settings = json_text(&issuer.settings)?;
    let person = &issuer.settings.permissions.user;
    let values = fields![
        issuer.tenant,
        &issuer.name,
        issuer.created,
        &settings,
        person
    ];
    let added = session.execute(&sql::ADD_ISSUER, values).await?;
    raise_revision(session, issuer.tenant).await?;
    append_if(session, issuer.tenant, entry, added > 0).await
}

async fn list(session: &mut dyn Session, tenant: &TenantId) -> Result<Vec<IssuerRecord>, Fault> {
    session
        .rows(&sql::LIST_ISSUERS, fields![tenant], |row| {
            Ok(IssuerRecord {
                tenant: *tenant,
                name: row.get(0)?,
                created: row.get(1)?,
                settings: row.json(2)?,
            })
        })
        .await
}

async fn remove(
    session: &mut dyn Session,
    (tenant, name, entry): &(TenantId, String, Entry),
) -> Result<bool, Fault> {
    let removed = session
        .execute(&sql::REMOVE_ISSUER, fields![tenant, name])
        .await?;
    raise_revision(session, *tenant).await?;
    append_if(session, *tenant, entry, removed > 0).await
}
