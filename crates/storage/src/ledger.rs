//! `Ledger`: what is out of date, who works on it, and the links to accounts. What is written is in `outbox`.

use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use provisioning::application::{Application, ApplicationId};
use provisioning::lanes::{Lane, Room};
use provisioning::ledger::{Claim, Ledger, LoggedChange, OutOfDate, Record, SyncStatus, Written};
use provisioning::link::Link;
use provisioning::provisioning_log::LogEntry;

use crate::catalogue;
use crate::engine::{Database, Engine};
use crate::event_rows::{active, touched};
use crate::outbox::{self, Wanted};
use crate::rows::{MEMBER_LEFT, link_state, version};
use crate::session::{Session, at_most, fields};
use crate::statements_of_work as sql;

#[async_trait]
impl<E: Engine> Ledger for Database<E> {
    async fn tenants_with_changes(&self) -> Result<Vec<TenantId>, Fault> {
        self.read(&(), tenants_with_changes).await
    }

    async fn read_changes(
        &self,
        tenant: TenantId,
        limit: usize,
    ) -> Result<Vec<LoggedChange>, Fault> {
        self.read_long(None, (tenant, limit), read_changes).await
    }

    async fn mark_out_of_date(
        &self,
        tenant: TenantId,
        cursor: Option<i64>,
        pairs: Vec<OutOfDate>,
    ) -> Result<(), Fault> {
        self.write((tenant, cursor, pairs), outbox::mark_out_of_date)
            .await
    }

    async fn claim(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        mut room: Room,
    ) -> Result<Vec<Claim>, Fault> {
        let mut claims = Vec::new();
        let with_work = self.read(&now, with_work).await?;
        if with_work.iter().all(|(_, lane)| room.free_for(lane) == 0) {
            return Ok(claims);
        }
        room.share_among(with_work.iter().map(|(_, lane)| lane.application));
        for some in with_work.chunks(E::CLAIMED_TOGETHER) {
            let wanted = Wanted {
                lanes: some.to_vec(),
                now,
                lease_until,
                room: room.clone(),
            };
            if some.iter().all(|(_, lane)| room.free_for(lane) == 0) {
                continue;
            }
            match self.write(wanted, outbox::claim).await {
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

    async fn renew(&self, claim: &Claim, lease_until: Timestamp) -> Result<bool, Fault> {
        self.write_each((claim.clone(), lease_until), renew).await
    }

    async fn read_application(
        &self,
        tenant: TenantId,
        id: ApplicationId,
    ) -> Result<Option<Application>, Fault> {
        self.read(&(self.key(), tenant, id), catalogue::read).await
    }

    async fn read_link(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_type: &str,
        resource_id: &str,
    ) -> Result<Option<Link>, Fault> {
        let link = self
            .read(&(tenant, application, resource_id), read_link)
            .await?;
        Ok(link.filter(|link| link.resource_type == resource_type))
    }

    async fn read_remote_ids(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_ids: Vec<String>,
    ) -> Result<Vec<(String, String)>, Fault> {
        self.read_long(
            None,
            (tenant, application, resource_ids),
            outbox::remote_ids,
        )
        .await
    }

    async fn find_linked(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_type: &str,
        remote_id: &str,
    ) -> Result<Option<String>, Fault> {
        let asked = (tenant, application, resource_type, remote_id);
        self.read(&asked, outbox::find_linked).await
    }

    async fn is_served(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        self.read(&(tenant, application, now), is_served).await
    }

    async fn is_waiting(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_id: &str,
    ) -> Result<bool, Fault> {
        self.read(&(tenant, application, resource_id), is_waiting)
            .await
    }

    async fn write_link(
        &self,
        claim: &Claim,
        link: Link,
        log: Vec<LogEntry>,
    ) -> Result<Written, Fault> {
        self.write((claim.clone(), link, log), outbox::write_link)
            .await
    }

    async fn record(&self, record: Record) -> Result<(), Fault> {
        self.write(record, outbox::record).await
    }

    async fn status(
        &self,
        tenant: TenantId,
        application: ApplicationId,
    ) -> Result<SyncStatus, Fault> {
        self.read_long(None, (tenant, application), status).await
    }
}

async fn tenants_with_changes(session: &mut dyn Session, (): &()) -> Result<Vec<TenantId>, Fault> {
    session
        .rows(&sql::TENANTS_WITH_CHANGES, &[], |row| row.get(0))
        .await
}

async fn read_changes(
    session: &mut dyn Session,
    (tenant, limit): &(TenantId, usize),
) -> Result<Vec<LoggedChange>, Fault> {
    session
        .rows(
            &sql::READ_CHANGES,
            fields![tenant, at_most(*limit)],
            |row| {
                let kind: i64 = row.get(5)?;
                Ok(LoggedChange {
                    sequence: row.get(0)?,
                    resource_type: row.get(1)?,
                    resource_id: row.get(2)?,
                    deleted: row.get::<i64>(3)? == 0,
                    at: row.get(4)?,
                    member_left: kind & MEMBER_LEFT != 0,
                    active: active(kind),
                    touched: touched(kind, row.get(6)?),
                })
            },
        )
        .await
}

/// The applications with due entries.
async fn with_work(
    session: &mut dyn Session,
    now: &Timestamp,
) -> Result<Vec<(TenantId, Lane)>, Fault> {
    session
        .rows(&sql::APPLICATIONS_WITH_WORK, fields![now], |row| {
            let lane = Lane {
                application: ApplicationId(row.get(1)?),
                leased: row.get::<u32>(2)? as usize,
                unanswered: row.get(3)?,
            };
            Ok((row.get(0)?, lane))
        })
        .await
}

async fn renew(
    session: &mut dyn Session,
    (claim, lease_until): &(Claim, Timestamp),
) -> Result<bool, Fault> {
    let values = fields![
        claim.tenant,
        claim.application.0,
        &claim.resource_id,
        claim.fence,
        lease_until
    ];
    Ok(session.execute(&sql::RENEW, values).await? > 0)
}

async fn read_link(
    session: &mut dyn Session,
    (tenant, application, id): &(TenantId, ApplicationId, &str),
) -> Result<Option<Link>, Fault> {
    session
        .first(&sql::READ_LINK, fields![tenant, application.0, id], |row| {
            Ok(Link {
                application: *application,
                resource_type: row.get(0)?,
                resource_id: (*id).to_owned(),
                remote_id: row.get(1)?,
                state: link_state(row.get(2)?)?,
                acknowledged: row.json(3)?,
                acknowledged_members: row.json(4)?,
                updated: row.get(5)?,
            })
        })
        .await
}

async fn is_served(
    session: &mut dyn Session,
    (tenant, application, now): &(TenantId, ApplicationId, Timestamp),
) -> Result<bool, Fault> {
    let values = fields![tenant, application.0, now];
    session.is_there(&sql::IS_SERVED, values).await
}

async fn is_waiting(
    session: &mut dyn Session,
    (tenant, application, id): &(TenantId, ApplicationId, &str),
) -> Result<bool, Fault> {
    let values = fields![tenant, application.0, id];
    session.is_there(&sql::IS_WAITING, values).await
}

async fn status(
    session: &mut dyn Session,
    (tenant, application): &(TenantId, ApplicationId),
) -> Result<SyncStatus, Fault> {
    let found = session
        .first(&sql::STATUS, fields![tenant, application.0], |row| {
            let count = |column| row.get(column).map(version);
            Ok(SyncStatus {
                waiting: count(0)?,
                retrying: count(1)?,
                held: count(2)?,
                linked: count(3)?,
            })
        })
        .await?;
    Ok(found.unwrap_or_default())
}
