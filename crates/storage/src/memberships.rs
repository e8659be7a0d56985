//! `Memberships`: the members of a group batch by batch, and direct memberships as a list of its own.

use async_trait::async_trait;
use directory::store::{Fault, Member, Membership, MembershipQuery, Memberships, Related};
use directory::tenant::TenantId;

use crate::engine::{Database, Engine};
use crate::membership_sql::{READ_MEMBERS_AFTER, count, list};
use crate::session::{Columns, Field, Session, Statement, fields};

#[async_trait]
impl<E: Engine> Memberships for Database<E> {
    async fn members_after(
        &self,
        tenant: TenantId,
        group_id: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Member>, Fault> {
        let asked = (tenant, group_id.to_owned(), after, limit);
        self.read_long(Some(tenant), asked, members_after).await
    }

    async fn find_memberships(
        &self,
        tenant: TenantId,
        query: &MembershipQuery,
    ) -> Result<Vec<Membership>, Fault> {
        self.read_long(Some(tenant), (tenant, query.clone()), find)
            .await
    }

    async fn count_memberships(
        &self,
        tenant: TenantId,
        query: &MembershipQuery,
    ) -> Result<u64, Fault> {
        self.read_long(Some(tenant), (tenant, query.clone()), count_all)
            .await
    }
}

/// Members of a group after one of them.
pub(crate) async fn members_after(
    session: &mut dyn Session,
    (tenant, group_id, after, limit): &(TenantId, String, i64, u32),
) -> Result<Vec<Member>, Fault> {
    let values = fields![tenant, group_id, after, limit];
    session
        .rows(&READ_MEMBERS_AFTER, values, |row| {
            Ok(Member {
                key: row.get(0)?,
                related: related(row, 1)?,
            })
        })
        .await
}

/// Direct memberships.
pub(crate) async fn find(
    session: &mut dyn Session,
    (tenant, query): &(TenantId, MembershipQuery),
) -> Result<Vec<Membership>, Fault> {
    let query = list(query, *tenant);
    let values: Vec<_> = query.parameters.iter().map(Field::from).collect();
    session
        .rows(&Statement::made(query.text), &values, |row| {
            Ok(Membership {
                keys: (row.get(0)?, row.get(1)?),
                group: related(row, 2)?,
                member: related(row, 5)?,
            })
        })
        .await
}

/// How many there are.
pub(crate) async fn count_all(
    session: &mut dyn Session,
    (tenant, query): &(TenantId, MembershipQuery),
) -> Result<u64, Fault> {
    let query = count(query, *tenant);
    let values: Vec<_> = query.parameters.iter().map(Field::from).collect();
    let count: Option<i64> = session
        .first(&Statement::made(query.text), &values, |row| row.get(0))
        .await?;
    Ok(u64::try_from(count.unwrap_or_default()).unwrap_or_default())
}

fn related(row: &dyn Columns, first: usize) -> Result<Related, Fault> {
    Ok(Related {
        id: row.get(first)?,
        resource_type: row.get(first + 1)?,
        display: row.get(first + 2)?,
        direct: true,
    })
}
