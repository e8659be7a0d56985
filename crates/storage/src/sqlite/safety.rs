//! The ports to what was, what is held and what waits, for SQLite. What they do is in `history`, `guard` and `pending`.

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
use uuid::Uuid;

use super::connections::snapshot;
use super::{Sqlite, guard, history, pending};

#[async_trait]
impl History for Sqlite {
    async fn entries(
        &self,
        tenant: TenantId,
        id: &str,
        above_version: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, Fault> {
        let id = id.to_owned();
        self.readers
            .read_long(tenant, move |c| {
                snapshot(c, |c| {
                    history::entries(c, tenant, &id, above_version, limit)
                })
            })
            .await
    }

    async fn snapshot(
        &self,
        tenant: TenantId,
        id: &str,
        point: Point,
    ) -> Result<Remembered, Fault> {
        let id = id.to_owned();
        self.readers
            .read_long(tenant, move |c| {
                snapshot(c, |c| history::snapshot(c, tenant, &id, point))
            })
            .await
    }

    async fn member_changes(
        &self,
        tenant: TenantId,
        group_id: &str,
        above_version: u64,
        limit: u32,
    ) -> Result<Vec<MemberChange>, Fault> {
        let group_id = group_id.to_owned();
        self.readers
            .read_long(tenant, move |c| {
                history::member_changes(c, tenant, &group_id, above_version, limit)
            })
            .await
    }

    async fn groups_left(
        &self,
        tenant: TenantId,
        member_id: &str,
        change_id: Uuid,
    ) -> Result<Vec<String>, Fault> {
        let member_id = member_id.to_owned();
        self.readers
            .read_long(tenant, move |c| {
                history::groups_left(c, tenant, &member_id, change_id)
            })
            .await
    }

    async fn deleted(
        &self,
        tenant: TenantId,
        which: Deleted,
        limit: u32,
    ) -> Result<Vec<Tombstone>, Fault> {
        self.readers
            .read_long(tenant, move |c| history::deleted(c, tenant, &which, limit))
            .await
    }

    async fn changes(
        &self,
        tenant: TenantId,
        window: &Window,
        after: u64,
        limit: u32,
    ) -> Result<Vec<WindowChange>, Fault> {
        let window = window.clone();
        self.readers
            .read_long(tenant, move |c| {
                history::changes(c, tenant, &window, after, limit)
            })
            .await
    }

    async fn prune(&self, tenant: TenantId, before: Timestamp, limit: u32) -> Result<u32, Fault> {
        self.writer
            .write(move |c| history::prune(c, tenant, before, limit))
            .await
    }
}

#[async_trait]
impl Parking for Sqlite {
    async fn removals_since(
        &self,
        tenant: TenantId,
        minute: i64,
    ) -> Result<Vec<(Removal, u64)>, Fault> {
        self.readers
            .read_short(|c| guard::removals_since(c, tenant, minute))
    }

    async fn allowances(&self, tenant: TenantId) -> Result<Vec<Allowance>, Fault> {
        self.readers.read_short(|c| guard::allowances(c, tenant))
    }

    async fn allow(&self, tenant: TenantId, allowance: Allowance) -> Result<(), Fault> {
        self.writer
            .write(move |c| guard::allow(c, tenant, allowance))
            .await
    }

    async fn park(
        &self,
        tenant: TenantId,
        parked: Parked,
        superseded: Vec<String>,
    ) -> Result<(), Fault> {
        self.writer
            .write(move |c| guard::park(c, tenant, &parked, &superseded))
            .await
    }

    async fn list_parked(
        &self,
        tenant: TenantId,
        resource_id: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Parked>, Fault> {
        self.readers
            .read_short(|c| guard::list_parked(c, tenant, resource_id, limit))
    }

    async fn remove_parked(&self, tenant: TenantId, id: &str) -> Result<bool, Fault> {
        let id = id.to_owned();
        self.writer
            .write(move |c| guard::remove_parked(c, tenant, &id))
            .await
    }
}

#[async_trait]
impl PendingReferences for Sqlite {
    async fn list_pending(
        &self,
        tenant: TenantId,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<PendingReference>, Fault> {
        self.readers
            .read_short(|c| pending::list(c, tenant, skip, limit))
    }
}
