//! `Tenants`: tenants, and the revision that says how long what is remembered of one is good.

use async_trait::async_trait;
use directory::audit::{Chain, Entry};
use directory::schema_change::first_documents;
use directory::store::{Fault, Tenants};
use directory::tenant::{Tenant, TenantId, TenantSettings};
use directory::tenant_types::{PROGRAM, TenantTypes};
use jiff::Timestamp;

use crate::audit::append;
use crate::engine::{Database, Engine};
use crate::rows::{json_text, stored};
use crate::session::{Columns, Session, fields};
use crate::statements_of_callers as sql;
use crate::statements_of_schemas::ADD_DOCUMENT;

#[async_trait]
impl<E: Engine> Tenants for Database<E> {
    async fn create_tenant(
        &self,
        name: &str,
        settings: TenantSettings,
        at: Timestamp,
        entry: Entry,
    ) -> Result<Option<Tenant>, Fault> {
        self.write((name.to_owned(), settings, at, entry), create_tenant)
            .await
    }

    async fn find_tenant(&self, name: &str) -> Result<Option<Tenant>, Fault> {
        self.read(name, find_tenant).await
    }

    async fn tenant_revision(&self, name: &str) -> Result<Option<i64>, Fault> {
        self.revision(name, tenant_revision).await
    }

    async fn list_tenants(&self) -> Result<Vec<Tenant>, Fault> {
        self.read_long(None, (), list_tenants).await
    }
}

/// Makes a tenant with its first types; `None` where the name is taken.
async fn create_tenant(
    session: &mut dyn Session,
    (name, settings, at, entry): &(String, TenantSettings, Timestamp, Entry),
) -> Result<Option<Tenant>, Fault> {
    let (settings, revision) = (json_text(settings)?, stored(TenantTypes::first().revision));
    let made = session
        .execute(&sql::CREATE_TENANT, fields![name, at, &settings, revision])
        .await?;
    if made == 0 {
        return Ok(None);
    }
    session.revised();
    let Some(tenant) = find_tenant(session, name).await? else {
        return Ok(None);
    };
    let mut documents = Vec::new();
    for first in first_documents() {
        let text = first.document.as_ref().map(json_text).transpose()?;
        documents.push((first.kind.name(), first.key, text));
    }
    let lists: Vec<_> = documents
        .iter()
        .map(|(kind, key, text)| fields![tenant.id, kind, key, at, PROGRAM, text].to_vec())
        .collect();
    session.execute_each(&ADD_DOCUMENT, &lists).await?;
    append(session, Chain::Installation, entry).await?;
    Ok(Some(tenant))
}

/// By name.
pub(crate) async fn find_tenant(
    session: &mut dyn Session,
    name: &str,
) -> Result<Option<Tenant>, Fault> {
    session
        .first(&sql::FIND_TENANT, fields![name], tenant)
        .await
}

async fn tenant_revision(session: &mut dyn Session, name: &str) -> Result<Option<i64>, Fault> {
    session
        .first(&sql::TENANT_REVISION, fields![name], |row| row.get(0))
        .await
}

async fn list_tenants(session: &mut dyn Session, (): &()) -> Result<Vec<Tenant>, Fault> {
    session.rows(&sql::LIST_TENANTS, &[], tenant).await
}

fn tenant(row: &dyn Columns) -> Result<Tenant, Fault> {
    Ok(Tenant {
        id: row.get(0)?,
        name: row.get(1)?,
        created: row.get(2)?,
        settings: row.json(3)?,
        revision: row.get(4)?,
    })
}

/// What is remembered of a tenant is good no more, in any process.
pub(crate) async fn raise_revision(
    session: &mut dyn Session,
    tenant: TenantId,
) -> Result<(), Fault> {
    session.revised();
    session
        .execute(&sql::RAISE_REVISION, fields![tenant])
        .await
        .map(drop)
}
