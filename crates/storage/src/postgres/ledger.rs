//! `Ledger` in PostgreSQL: many nodes work on one outbox. What happens inside a transaction is in `outbox.rs`.

use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use provisioning::application::{Application, ApplicationId};
use provisioning::lanes::{Lane, Room};
use provisioning::ledger::{Claim, Ledger, LoggedChange, OutOfDate, Record, SyncStatus, Written};
use provisioning::link::Link;
use provisioning::provisioning_log::LogEntry;
use tokio_postgres::Row;

use super::attempts::{Values, execute, in_transaction, query};
use super::connections::{begin, fault};
use super::outbox::{self, Wanted};
use super::read::storable;
use super::statements_of_work as sql;
use super::{Postgres, catalogue};
use crate::event_rows::{active, touched};
use crate::rows::{MEMBER_LEFT, from_json, link_state, micros, timestamp, version};

#[async_trait]
impl Ledger for Postgres {
    async fn tenants_with_changes(&self) -> Result<Vec<TenantId>, Fault> {
        let rows = query(&self.connections, sql::TENANTS_WITH_CHANGES, &[]).await?;
        rows.iter()
            .map(|row| row.try_get(0).map(TenantId).map_err(fault))
            .collect()
    }

    async fn read_changes(
        &self,
        tenant: TenantId,
        limit: usize,
    ) -> Result<Vec<LoggedChange>, Fault> {
        let rows = query(
            &self.connections,
            sql::READ_CHANGES,
            &[&tenant.0, &limit_of(limit)],
        )
        .await?;
        let change = |row: &Row| {
            let kind = row.try_get::<_, i64>(5).map_err(fault)?;
            Ok(LoggedChange {
                sequence: row.try_get(0).map_err(fault)?,
                resource_type: row.try_get(1).map_err(fault)?,
                resource_id: row.try_get(2).map_err(fault)?,
                deleted: row.try_get::<_, i64>(3).map_err(fault)? == 0,
                member_left: kind & MEMBER_LEFT != 0,
                active: active(kind),
                touched: touched(kind, row.try_get(6).map_err(fault)?),
                at: timestamp(row.try_get(4).map_err(fault)?)?,
            })
        };
        rows.iter().map(change).collect()
    }

    async fn mark_out_of_date(
        &self,
        tenant: TenantId,
        cursor: Option<i64>,
        pairs: Vec<OutOfDate>,
    ) -> Result<(), Fault> {
        in_transaction!(&self.connections, begin, |transaction| {
            outbox::mark_out_of_date(transaction, tenant, cursor, &pairs)
        });
        Ok(())
    }

    async fn claim(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        mut room: Room,
    ) -> Result<Vec<Claim>, Fault> {
        let mut claims = Vec::new();
        let rows = query(
            &self.connections,
            sql::APPLICATIONS_WITH_WORK,
            &[&micros(now)],
        )
        .await?;
        let with_work = rows.iter().map(with_work).collect::<Result<Vec<_>, _>>()?;
        room.share_among(with_work.iter().map(|(_, lane)| lane.application));
        for (tenant, lane) in with_work {
            if room.free_for(&lane) == 0 {
                continue;
            }
            match self
                .claim_for(
                    Wanted {
                        tenant,
                        application: lane.application,
                        now,
                        lease_until,
                    },
                    &room,
                )
                .await
            {
                Ok(more) => {
                    for claim in &more {
                        room.begin(claim.application, claim.unanswered);
                    }
                    claims.extend(more);
                }
                Err(fault) if claims.is_empty() => return Err(fault),
                // What is leased is not to wait for its lease to run out.
                Err(fault) => {
                    tracing::warn!(error = %fault, "claimed less than there is");
                    break;
                }
            }
        }
        Ok(claims)
    }

    async fn mark_all(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        at: Timestamp,
    ) -> Result<u64, Fault> {
        let marked = in_transaction!(&self.connections, begin, |transaction| outbox::mark_all(
            transaction,
            tenant,
            application,
            at,
            true
        ));
        self.notify();
        Ok(marked)
    }

    async fn renew(&self, claim: &Claim, lease_until: Timestamp) -> Result<bool, Fault> {
        let values: Values<'_> = &[
            &claim.tenant.0,
            &claim.application.0,
            &storable(&claim.resource_id),
            &claim.fence,
            &micros(lease_until),
        ];
        Ok(execute(&self.connections, sql::RENEW, values).await? > 0)
    }

    async fn read_application(
        &self,
        tenant: TenantId,
        id: ApplicationId,
    ) -> Result<Option<Application>, Fault> {
        catalogue::read(&self.connections, &self.key, tenant, id).await
    }

    async fn read_link(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_type: &str,
        resource_id: &str,
    ) -> Result<Option<Link>, Fault> {
        let rows = query(
            &self.connections,
            sql::READ_LINK,
            &[&tenant.0, &application.0, &storable(resource_id)],
        )
        .await?;
        let link = rows
            .first()
            .map(|row| link(row, application, resource_id))
            .transpose()?;
        Ok(link.filter(|link| link.resource_type == resource_type))
    }

    async fn read_remote_ids(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_ids: Vec<String>,
    ) -> Result<Vec<(String, String)>, Fault> {
        let ids: Vec<_> = resource_ids.iter().map(|id| storable(id)).collect();
        let rows = query(
            &self.connections,
            sql::READ_REMOTE_IDS,
            &[&tenant.0, &application.0, &ids],
        )
        .await?;
        rows.iter()
            .map(|row| {
                Ok((
                    row.try_get(0).map_err(fault)?,
                    row.try_get(1).map_err(fault)?,
                ))
            })
            .collect()
    }

    async fn find_linked(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_type: &str,
        remote_id: &str,
    ) -> Result<Option<String>, Fault> {
        let values: Values<'_> = &[
            &tenant.0,
            &application.0,
            &storable(resource_type),
            &storable(remote_id),
        ];
        let rows = query(&self.connections, sql::FIND_LINKED, values).await?;
        rows.first()
            .map(|row| row.try_get(0).map_err(fault))
            .transpose()
    }

    async fn is_served(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        Ok(!query(
            &self.connections,
            sql::IS_SERVED,
            &[&tenant.0, &application.0, &micros(now)],
        )
        .await?
        .is_empty())
    }

    async fn is_waiting(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_id: &str,
    ) -> Result<bool, Fault> {
        Ok(!query(
            &self.connections,
            sql::IS_WAITING,
            &[&tenant.0, &application.0, &storable(resource_id)],
        )
        .await?
        .is_empty())
    }

    async fn write_link(
        &self,
        claim: &Claim,
        link: Link,
        log: Vec<LogEntry>,
    ) -> Result<Written, Fault> {
        Ok(in_transaction!(
            &self.connections,
            begin,
            |transaction, attempts| {
                let log_by = if attempts.is_again() {
                    sql::LOG_ONCE
                } else {
                    sql::LOG
                };
                outbox::write_link(transaction, claim, &link, &log, log_by)
            }
        ))
    }

    async fn record(&self, record: Record) -> Result<(), Fault> {
        in_transaction!(&self.connections, begin, |transaction| outbox::record(
            transaction,
            &record
        ));
        Ok(())
    }

    async fn status(
        &self,
        tenant: TenantId,
        application: ApplicationId,
    ) -> Result<SyncStatus, Fault> {
        let rows = query(&self.connections, sql::STATUS, &[&tenant.0, &application.0]).await?;
        let Some(row) = rows.first() else {
            return Ok(SyncStatus::default());
        };
        let count = |column: usize| row.try_get(column).map(version).map_err(fault);
        Ok(SyncStatus {
            waiting: count(0)?,
            retrying: count(1)?,
            held: count(2)?,
            linked: count(3)?,
        })
    }
}

impl Postgres {
    async fn claim_for(&self, wanted: Wanted, room: &Room) -> Result<Vec<Claim>, Fault> {
        Ok(in_transaction!(&self.connections, begin, |transaction| {
            outbox::claim(transaction, wanted, room)
        }))
    }
}

/// An application with due entries.
fn with_work(row: &Row) -> Result<(TenantId, Lane), Fault> {
    let lane = Lane {
        application: ApplicationId(row.try_get(1).map_err(fault)?),
        leased: usize::try_from(row.try_get::<_, i64>(2).map_err(fault)?).unwrap_or_default(),
        unanswered: u32::try_from(row.try_get::<_, i64>(3).map_err(fault)?).unwrap_or(u32::MAX),
    };
    Ok((TenantId(row.try_get(0).map_err(fault)?), lane))
}

fn link(row: &Row, application: ApplicationId, resource_id: &str) -> Result<Link, Fault> {
    let (state, acknowledged, members): (&str, &str, &str) = (
        row.try_get(2).map_err(fault)?,
        row.try_get(3).map_err(fault)?,
        row.try_get(4).map_err(fault)?,
    );
    Ok(Link {
        application,
        resource_type: row.try_get(0).map_err(fault)?,
        resource_id: resource_id.to_owned(),
        remote_id: row.try_get(1).map_err(fault)?,
        state: link_state(state)?,
        acknowledged: from_json(acknowledged)?,
        acknowledged_members: from_json(members)?,
        updated: timestamp(row.try_get(5).map_err(fault)?)?,
    })
}

pub(super) fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
