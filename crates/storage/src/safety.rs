//! `Parking` and `PendingReferences`: what the deletion guard counts, lets through and holds, and the references that wait for others. Commits count and
//! remember them (`guard`, `pending`).

use async_trait::async_trait;
use directory::audit::{Chain, Entry};
use directory::deletion_guard::Removal;
use directory::parking::{Allowance, Parked, Parking};
use directory::pending::{PendingReference, PendingReferences};
use directory::store::Fault;
use directory::tenant::TenantId;

use crate::audit::append;
use crate::engine::{Database, Engine};
use crate::rows::{json_text, removal, stored, version};
use crate::session::{Session, fields};
use crate::statements_of_safety as sql;

#[async_trait]
impl<E: Engine> Parking for Database<E> {
    async fn removals_since(
        &self,
        tenant: TenantId,
        minute: i64,
    ) -> Result<Vec<(Removal, u64)>, Fault> {
        self.read(&(tenant, minute), removals_since).await
    }

    async fn allowances(&self, tenant: TenantId) -> Result<Vec<Allowance>, Fault> {
        self.read(&tenant, allowances).await
    }

    async fn allow(
        &self,
        tenant: TenantId,
        allowance: Allowance,
        entry: Option<Entry>,
    ) -> Result<(), Fault> {
        self.write((tenant, allowance, entry), allow).await
    }

    async fn park(
        &self,
        tenant: TenantId,
        parked: Parked,
        superseded: Vec<String>,
    ) -> Result<(), Fault> {
        self.write((tenant, parked, superseded), park).await
    }

    async fn list_parked(
        &self,
        tenant: TenantId,
        resource_id: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Parked>, Fault> {
        self.read(&(tenant, resource_id, limit), list_parked).await
    }

    async fn remove_parked(
        &self,
        tenant: TenantId,
        id: &str,
        entry: Option<Entry>,
    ) -> Result<bool, Fault> {
        self.write((tenant, id.to_owned(), entry), remove_parked)
            .await
    }
}

#[async_trait]
impl<E: Engine> PendingReferences for Database<E> {
    async fn list_pending(
        &self,
        tenant: TenantId,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<PendingReference>, Fault> {
        self.read(&(tenant, skip, limit), list_pending).await
    }
}

/// How many of each kind were removed from this minute on.
async fn removals_since(
    session: &mut dyn Session,
    (tenant, minute): &(TenantId, i64),
) -> Result<Vec<(Removal, u64)>, Fault> {
    session
        .rows(&sql::LIST_REMOVALS, fields![tenant, minute], |row| {
            Ok((removal(row.get(0)?)?, version(row.get(1)?)))
        })
        .await
}

async fn allowances(session: &mut dyn Session, tenant: &TenantId) -> Result<Vec<Allowance>, Fault> {
    session
        .rows(&sql::LIST_ALLOWANCES, fields![tenant], |row| {
            Ok(Allowance {
                removal: removal(row.get(0)?)?,
                remaining: version(row.get(1)?),
                expires: row.get(2)?,
            })
        })
        .await
}

async fn allow(
    session: &mut dyn Session,
    (tenant, allowance, entry): &(TenantId, Allowance, Option<Entry>),
) -> Result<(), Fault> {
    let (name, remaining) = (allowance.removal.name(), stored(allowance.remaining));
    let values = fields![tenant, name, remaining, allowance.expires];
    session.execute(&sql::ALLOW, values).await?;
    if let Some(entry) = entry {
        append(session, Chain::Tenant(*tenant), entry).await?;
    }
    Ok(())
}

/// Keeps a write; those it supersedes go.
async fn park(
    session: &mut dyn Session,
    (tenant, parked, superseded): &(TenantId, Parked, Vec<String>),
) -> Result<(), Fault> {
    for id in superseded {
        session
            .execute(&sql::REMOVE_PARKED, fields![tenant, id])
            .await?;
    }
    let write = json_text(&parked.write)?;
    let values = fields![
        tenant,
        &parked.id,
        parked.at,
        &parked.credential_id,
        &parked.resource_type,
        &parked.resource_id,
        &write
    ];
    session.execute(&sql::PARK, values).await.map(drop)
}

/// Parked writes, the oldest first.
async fn list_parked(
    session: &mut dyn Session,
    (tenant, resource_id, limit): &(TenantId, Option<&str>, u32),
) -> Result<Vec<Parked>, Fault> {
    let values = fields![tenant, resource_id, limit];
    session
        .rows(&sql::LIST_PARKED, values, |row| {
            Ok(Parked {
                id: row.get(0)?,
                at: row.get(1)?,
                credential_id: row.get(2)?,
                resource_type: row.get(3)?,
                resource_id: row.get(4)?,
                write: row.json(5)?,
            })
        })
        .await
}

async fn remove_parked(
    session: &mut dyn Session,
    (tenant, id, entry): &(TenantId, String, Option<Entry>),
) -> Result<bool, Fault> {
    let removed = session
        .execute(&sql::REMOVE_PARKED, fields![tenant, id])
        .await?;
    if removed == 0 {
        return Ok(false);
    }
    if let Some(entry) = entry {
        append(session, Chain::Tenant(*tenant), entry).await?;
    }
    Ok(true)
}

async fn list_pending(
    session: &mut dyn Session,
    (tenant, skip, limit): &(TenantId, u32, u32),
) -> Result<Vec<PendingReference>, Fault> {
    session
        .rows(&sql::LIST_AWAITED, fields![tenant, skip, limit], |row| {
            Ok(PendingReference {
                resource_type: row.get(0)?,
                id: row.get(1)?,
                path: row.get(2)?,
                value: row.get(3)?,
                since: row.get(4)?,
            })
        })
        .await
}
