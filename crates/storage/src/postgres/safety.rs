//! The ports to what was, what is held and what waits, for PostgreSQL. What they do is in `history`, `guard` and `pending`.

use async_trait::async_trait;
use directory::deletion_guard::Removal;
use directory::history::{
    Deleted, Entry, History, MemberChange, Point, Remembered, Tombstone, Window, WindowChange,
};
use directory::parking::{Allowance, Parked, Parking};
use directory::pending::{PendingReference, PendingReferences};
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::connections::{begin, fault, snapshot};
use super::statements_of_safety as sql;
use super::{Postgres, guard, history, pending};
use crate::rows::{json_text, micros};

type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Reads from one snapshot.
macro_rules! reading {
    ($self:ident, $tenant:ident, |$transaction:ident| $read:expr) => {{
        let _share = $self.connections.long_reads.acquire($tenant, 1).await;
        let mut connection = $self.connections.watched($self.connections.get().await?);
        let read = async {
            let $transaction = snapshot(connection.connection()?).await.map_err(fault)?;
            let found = $read.await?;
            $transaction.commit().await.map_err(fault)?;
            Ok(found)
        };
        let found = read.await;
        connection.answered();
        found
    }};
}

#[async_trait]
impl History for Postgres {
    async fn entries(
        &self,
        tenant: TenantId,
        id: &str,
        above_version: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, Fault> {
        reading!(self, tenant, |t| history::entries(
            &t,
            tenant,
            id,
            above_version,
            limit
        ))
    }

    async fn snapshot(
        &self,
        tenant: TenantId,
        id: &str,
        point: Point,
    ) -> Result<Remembered, Fault> {
        reading!(self, tenant, |t| history::snapshot(&t, tenant, id, point))
    }

    async fn member_changes(
        &self,
        tenant: TenantId,
        group_id: &str,
        above_version: u64,
        limit: u32,
    ) -> Result<Vec<MemberChange>, Fault> {
        reading!(self, tenant, |t| history::member_changes(
            &t,
            tenant,
            group_id,
            above_version,
            limit
        ))
    }

    async fn groups_left(
        &self,
        tenant: TenantId,
        member_id: &str,
        change_id: Uuid,
    ) -> Result<Vec<String>, Fault> {
        reading!(self, tenant, |t| history::groups_left(
            &t, tenant, member_id, change_id
        ))
    }

    async fn deleted(
        &self,
        tenant: TenantId,
        which: Deleted,
        limit: u32,
    ) -> Result<Vec<Tombstone>, Fault> {
        reading!(self, tenant, |t| history::deleted(
            &t, tenant, &which, limit
        ))
    }

    async fn changes(
        &self,
        tenant: TenantId,
        window: &Window,
        after: u64,
        limit: u32,
    ) -> Result<Vec<WindowChange>, Fault> {
        reading!(self, tenant, |t| history::changes(
            &t, tenant, window, after, limit
        ))
    }

    async fn prune(&self, tenant: TenantId, before: Timestamp, limit: u32) -> Result<u32, Fault> {
        let mut connection = self.connections.get().await?;
        let transaction = begin(&mut connection).await.map_err(fault)?;
        let gone = history::prune(&transaction, tenant, before, limit).await?;
        transaction.commit().await.map_err(fault)?;
        Ok(gone)
    }
}

impl Postgres {
    async fn list<T>(
        &self,
        statement: &str,
        values: Values<'_>,
        read: fn(&Row) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let connection = self.connections.get().await?;
        let statement = connection.prepare_cached(statement).await.map_err(fault)?;
        connection
            .query(&statement, values)
            .await
            .map_err(fault)?
            .iter()
            .map(read)
            .collect()
    }

    async fn change(&self, statement: &str, values: Values<'_>) -> Result<u64, Fault> {
        let connection = self.connections.get().await?;
        let statement = connection.prepare_cached(statement).await.map_err(fault)?;
        connection.execute(&statement, values).await.map_err(fault)
    }
}

#[async_trait]
impl Parking for Postgres {
    async fn removals_since(
        &self,
        tenant: TenantId,
        minute: i64,
    ) -> Result<Vec<(Removal, u64)>, Fault> {
        self.list(sql::LIST_REMOVALS, &[&tenant.0, &minute], guard::counted)
            .await
    }

    async fn allowances(&self, tenant: TenantId) -> Result<Vec<Allowance>, Fault> {
        self.list(sql::LIST_ALLOWANCES, &[&tenant.0], guard::allowance)
            .await
    }

    async fn allow(&self, tenant: TenantId, allowance: Allowance) -> Result<(), Fault> {
        let (remaining, expires) = (
            i64::try_from(allowance.remaining).unwrap_or(i64::MAX),
            micros(allowance.expires),
        );
        self.change(
            sql::ALLOW,
            &[&tenant.0, &allowance.removal.name(), &remaining, &expires],
        )
        .await
        .map(drop)
    }

    async fn park(
        &self,
        tenant: TenantId,
        parked: Parked,
        superseded: Vec<String>,
    ) -> Result<(), Fault> {
        let mut connection = self.connections.get().await?;
        let transaction = begin(&mut connection).await.map_err(fault)?;
        for id in &superseded {
            transaction
                .execute(sql::REMOVE_PARKED, &[&tenant.0, id])
                .await
                .map_err(fault)?;
        }
        let (at, write) = (micros(parked.at), json_text(&parked.write)?);
        let values: Values<'_> = &[
            &tenant.0,
            &parked.id,
            &at,
            &parked.credential_id,
            &parked.resource_type,
            &parked.resource_id,
            &write,
        ];
        transaction
            .execute(sql::PARK, values)
            .await
            .map_err(fault)?;
        transaction.commit().await.map_err(fault)
    }

    async fn list_parked(
        &self,
        tenant: TenantId,
        resource_id: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Parked>, Fault> {
        self.list(
            sql::LIST_PARKED,
            &[&tenant.0, &resource_id, &i64::from(limit)],
            guard::parked,
        )
        .await
    }

    async fn remove_parked(&self, tenant: TenantId, id: &str) -> Result<bool, Fault> {
        Ok(self.change(sql::REMOVE_PARKED, &[&tenant.0, &id]).await? > 0)
    }
}

#[async_trait]
impl PendingReferences for Postgres {
    async fn list_pending(
        &self,
        tenant: TenantId,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<PendingReference>, Fault> {
        self.list(
            sql::LIST_AWAITED,
            &[&tenant.0, &i64::from(skip), &i64::from(limit)],
            pending::pending,
        )
        .await
    }
}
