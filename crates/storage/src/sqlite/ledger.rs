//! `Ledger` in SQLite: outbox, leases, links, awaited accounts. Each write is one job of the writer, so it is whole or not at all.

use async_trait::async_trait;
use directory::pending::manager_path;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::{SignedDuration, Timestamp};
use provisioning::application::{Application, ApplicationId};
use provisioning::lanes::{Lane, Room};
use provisioning::ledger::{
    Claim, GROUP_WAIT_SECONDS_MAX, Ledger, LinkChange, LoggedChange, Next, OutOfDate, Reach,
    Record, SyncStatus, Written,
};
use provisioning::link::{Link, LinkState};
use provisioning::provisioning_log::LogEntry;
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, params};

use super::connections::{fault, snapshot};
use super::provisioning_log::write_lines;
use super::statements_of_work as sql;
use super::{Sqlite, catalogue};
use crate::event_rows::{active, touched};
use crate::rows::{
    MEMBER_LEFT, attribute_key, from_json, json_text, link_state, link_state_text, micros,
    timestamp, version,
};

/// What the marks of an awaited account have as priority: those who wait are mostly groups.
const AWAITED_PRIORITY: i16 = 3;

#[async_trait]
impl Ledger for Sqlite {
    async fn tenants_with_changes(&self) -> Result<Vec<TenantId>, Fault> {
        self.readers.read_short(|connection| {
            list(connection, sql::TENANTS_WITH_CHANGES, [], |row| {
                row.get(0).map(TenantId)
            })
        })
    }

    async fn read_changes(
        &self,
        tenant: TenantId,
        limit: usize,
    ) -> Result<Vec<LoggedChange>, Fault> {
        let read = move |connection: &Connection| {
            let columns = |row: &Row<'_>| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                    row.get(6)?,
                ))
            };
            let rows = list(
                connection,
                sql::READ_CHANGES,
                params![tenant.0, limit_of(limit)],
                columns,
            )?;
            let change =
                |(sequence, resource_type, resource_id, version, at, kind, attributes): (
                    _,
                    _,
                    _,
                    i64,
                    _,
                    i64,
                    String,
                )| {
                    Ok(LoggedChange {
                        sequence,
                        resource_type,
                        resource_id,
                        deleted: version == 0,
                        member_left: kind & MEMBER_LEFT != 0,
                        active: active(kind),
                        touched: touched(kind, &attributes),
                        at: timestamp(at)?,
                    })
                };
            rows.into_iter().map(change).collect()
        };
        self.readers.read_long(None, read).await
    }

    async fn mark_out_of_date(
        &self,
        tenant: TenantId,
        cursor: Option<i64>,
        pairs: Vec<OutOfDate>,
    ) -> Result<(), Fault> {
        let write = move |connection: &Connection| {
            for pair in &pairs {
                mark(connection, tenant, pair)?;
            }
            if let Some(cursor) = cursor {
                execute(connection, sql::MOVE_CURSOR, params![tenant.0, cursor])?;
            }
            Ok(())
        };
        self.writer.write(write).await
    }

    async fn claim(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        room: Room,
    ) -> Result<Vec<Claim>, Fault> {
        let with_work = self
            .readers
            .read_short(|connection| with_work(connection, now))?;
        if with_work.iter().all(|(_, lane)| room.free_for(lane) == 0) {
            return Ok(Vec::new());
        }
        self.writer
            .write(move |connection| claim(connection, now, lease_until, room.clone()))
            .await
    }

    async fn mark_all(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        at: Timestamp,
    ) -> Result<u64, Fault> {
        let marked = self
            .writer
            .write(move |connection| mark_all(connection, tenant, application, at, true))
            .await?;
        self.committed.notify_one();
        Ok(marked)
    }

    async fn renew(&self, claim: &Claim, lease_until: Timestamp) -> Result<bool, Fault> {
        let claim = claim.clone();
        let write = move |connection: &Connection| {
            let values = params![
                claim.tenant.0,
                claim.application.0,
                claim.resource_id,
                claim.fence,
                micros(lease_until)
            ];
            execute(connection, sql::RENEW, values).map(|count| count > 0)
        };
        self.writer.write(write).await
    }

    async fn read_application(
        &self,
        tenant: TenantId,
        id: ApplicationId,
    ) -> Result<Option<Application>, Fault> {
        self.readers
            .read_short(|connection| catalogue::read(connection, &self.key, tenant, id))
    }

    async fn read_link(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_type: &str,
        resource_id: &str,
    ) -> Result<Option<Link>, Fault> {
        let link = self
            .readers
            .read_short(|connection| read_link(connection, tenant, application, resource_id))?;
        Ok(link.filter(|link| link.resource_type == resource_type))
    }

    async fn read_remote_ids(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_ids: Vec<String>,
    ) -> Result<Vec<(String, String)>, Fault> {
        let read = move |connection: &Connection| {
            let mut statement = connection
                .prepare_cached(sql::READ_REMOTE_ID)
                .map_err(fault)?;
            let mut found = Vec::with_capacity(resource_ids.len());
            for id in resource_ids {
                let remote: Option<String> = statement
                    .query_row(params![tenant.0, application.0, id], |row| row.get(0))
                    .optional()
                    .map_err(fault)?;
                found.extend(remote.map(|remote| (id, remote)));
            }
            Ok(found)
        };
        self.readers
            .read_long(None, move |connection| snapshot(connection, read))
            .await
    }

    async fn find_linked(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_type: &str,
        remote_id: &str,
    ) -> Result<Option<String>, Fault> {
        let values = params![tenant.0, application.0, resource_type, remote_id];
        self.readers.read_short(|connection| {
            Ok(list(connection, sql::FIND_LINKED, values, |row| row.get(0))?.pop())
        })
    }

    async fn is_served(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        let values = params![tenant.0, application.0, micros(now)];
        self.readers.read_short(|connection| {
            Ok(!list(connection, sql::IS_SERVED, values, |row| {
                row.get::<_, i64>(0)
            })?
            .is_empty())
        })
    }

    async fn is_waiting(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_id: &str,
    ) -> Result<bool, Fault> {
        let values = params![tenant.0, application.0, resource_id];
        self.readers.read_short(|connection| {
            Ok(!list(connection, sql::IS_WAITING, values, |row| {
                row.get::<_, i64>(0)
            })?
            .is_empty())
        })
    }

    async fn write_link(
        &self,
        claim: &Claim,
        link: Link,
        log: Vec<LogEntry>,
    ) -> Result<Written, Fault> {
        let claim = claim.clone();
        let write = move |connection: &Connection| {
            if leased_generation(connection, &claim)?.is_none() {
                return Ok(Written::LeaseLost);
            }
            let values = params![
                claim.tenant.0,
                link.application.0,
                link.resource_type,
                link.remote_id
            ];
            let owners: Vec<String> = list(connection, sql::FIND_LINKED, values, |row| row.get(0))?;
            if owners.iter().any(|owner| *owner != link.resource_id) {
                return Ok(Written::Taken);
            }
            set_link(connection, claim.tenant, &link)?;
            write_lines(connection, sql::LOG, claim.tenant, claim.application, &log)?;
            Ok(Written::Written)
        };
        self.writer.write(write).await
    }

    async fn record(&self, record: Record) -> Result<(), Fault> {
        self.writer
            .write(move |connection| apply(connection, &record))
            .await
    }

    async fn status(
        &self,
        tenant: TenantId,
        application: ApplicationId,
    ) -> Result<SyncStatus, Fault> {
        let read = move |connection: &Connection| {
            let columns = |row: &Row<'_>| {
                let count = |column| row.get(column).map(version);
                Ok(SyncStatus {
                    waiting: count(0)?,
                    retrying: count(1)?,
                    held: count(2)?,
                    linked: count(3)?,
                })
            };
            Ok(list(
                connection,
                sql::STATUS,
                params![tenant.0, application.0],
                columns,
            )?
            .pop()
            .unwrap_or_default())
        };
        self.readers.read_long(None, read).await
    }
}

pub(super) fn execute(
    connection: &Connection,
    statement: &str,
    values: &[&dyn ToSql],
) -> Result<usize, Fault> {
    connection
        .prepare_cached(statement)
        .and_then(|mut statement| statement.execute(values))
        .map_err(fault)
}

pub(super) fn list<T>(
    connection: &Connection,
    statement: &str,
    values: impl Params,
    columns: impl FnMut(&Row<'_>) -> Result<T, rusqlite::Error>,
) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare_cached(statement).map_err(fault)?;
    let rows = statement.query_map(values, columns).map_err(fault)?;
    rows.collect::<Result<_, _>>().map_err(fault)
}

pub(super) fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A number that no generation and no fence of the application had before; `None` where there is no such application.
fn next_number(
    connection: &Connection,
    tenant: TenantId,
    application: ApplicationId,
) -> Result<Option<i64>, Fault> {
    Ok(list(
        connection,
        sql::NEXT_NUMBER,
        params![tenant.0, application.0],
        |row| row.get(0),
    )?
    .pop())
}

/// Marks a pair; nothing where the application was removed meanwhile.
fn mark(connection: &Connection, tenant: TenantId, pair: &OutOfDate) -> Result<(), Fault> {
    let Some(generation) = next_number(connection, tenant, pair.application)? else {
        return Ok(());
    };
    let values = params![
        tenant.0,
        pair.application.0,
        pair.resource_id,
        pair.resource_type,
        generation,
        pair.priority,
        micros(pair.due),
        pair.verify
    ];
    execute(connection, sql::MARK, values).map(drop)
}

/// Marks every User and Group and whatever is linked; says how many.
pub(super) fn mark_all(
    connection: &Connection,
    tenant: TenantId,
    application: ApplicationId,
    at: Timestamp,
    verify: bool,
) -> Result<u64, Fault> {
    let Some(generation) = next_number(connection, tenant, application)? else {
        return Ok(0);
    };
    let marked = execute(
        connection,
        sql::MARK_ALL,
        params![tenant.0, application.0, generation, micros(at), verify],
    )?;
    Ok(u64::try_from(marked).unwrap_or(u64::MAX))
}

/// The applications with due entries.
fn with_work(connection: &Connection, now: Timestamp) -> Result<Vec<(TenantId, Lane)>, Fault> {
    let columns = |row: &Row<'_>| {
        let lane = Lane {
            application: ApplicationId(row.get(1)?),
            leased: row.get::<_, u32>(2)? as usize,
            unanswered: row.get(3)?,
        };
        Ok((TenantId(row.get(0)?), lane))
    };
    list(
        connection,
        sql::APPLICATIONS_WITH_WORK,
        params![micros(now)],
        columns,
    )
}

fn claim(
    connection: &Connection,
    now: Timestamp,
    lease_until: Timestamp,
    mut room: Room,
) -> Result<Vec<Claim>, Fault> {
    let mut claims = Vec::new();
    let with_work = with_work(connection, now)?;
    room.share_among(with_work.iter().map(|(_, lane)| lane.application));
    for (tenant, lane) in with_work {
        let (application, free) = (lane.application, room.free_for(&lane));
        if free == 0 {
            continue;
        }
        let long_ago = now
            .checked_sub(SignedDuration::from_secs(GROUP_WAIT_SECONDS_MAX))
            .unwrap_or(now);
        let columns = |row: &Row<'_>| {
            Ok(Claim {
                tenant,
                application,
                resource_id: row.get(0)?,
                resource_type: row.get(1)?,
                generation: row.get(2)?,
                attempts: row.get(3)?,
                fence: 0,
                // A lease that ran out means that nobody recorded what was sent.
                verify: row.get::<_, bool>(4)? || row.get::<_, i64>(5)? > 0,
                lease_until,
                unanswered: lane.unanswered,
            })
        };
        let values = params![
            tenant.0,
            application.0,
            micros(now),
            micros(long_ago),
            limit_of(free)
        ];
        let ready = list(connection, sql::LIST_READY, values, columns)?;
        for mut claim in ready {
            let Some(fence) = next_number(connection, tenant, application)? else {
                continue;
            };
            execute(
                connection,
                sql::LEASE,
                params![
                    tenant.0,
                    application.0,
                    claim.resource_id,
                    fence,
                    micros(lease_until)
                ],
            )?;
            claim.fence = fence;
            room.begin(application, lane.unanswered);
            claims.push(claim);
        }
        execute(
            connection,
            sql::CLAIMED,
            params![tenant.0, application.0, micros(now)],
        )?;
    }
    Ok(claims)
}

/// The generation of a claim's entry as it is now; `None` where the lease was lost.
fn leased_generation(connection: &Connection, claim: &Claim) -> Result<Option<i64>, Fault> {
    let values = params![
        claim.tenant.0,
        claim.application.0,
        claim.resource_id,
        claim.fence
    ];
    Ok(list(connection, sql::READ_LEASED, values, |row| row.get(0))?.pop())
}

fn read_link(
    connection: &Connection,
    tenant: TenantId,
    application: ApplicationId,
    id: &str,
) -> Result<Option<Link>, Fault> {
    let columns = |row: &Row<'_>| {
        let texts = (
            row.get::<_, String>(2)?,
            row.get::<_, String>(3)?,
            row.get::<_, String>(4)?,
        );
        Ok((row.get(0)?, row.get(1)?, texts, row.get::<_, i64>(5)?))
    };
    let found = list(
        connection,
        sql::READ_LINK,
        params![tenant.0, application.0, id],
        columns,
    )?
    .pop();
    let link = |(resource_type, remote_id, (state, acknowledged, members), updated): (
        String,
        _,
        (String, String, String),
        _,
    )| {
        Ok(Link {
            application,
            resource_type,
            resource_id: id.to_owned(),
            remote_id,
            state: link_state(&state)?,
            acknowledged: from_json(&acknowledged)?,
            acknowledged_members: from_json(&members)?,
            updated: timestamp(updated)?,
        })
    };
    found.map(link).transpose()
}

/// Writes a link; whoever waited for this account is marked where it is new.
fn set_link(connection: &Connection, tenant: TenantId, link: &Link) -> Result<(), Fault> {
    let key = params![tenant.0, link.application.0, link.resource_id];
    let before: Option<String> =
        list(connection, sql::READ_REMOTE_ID, key, |row| row.get(0))?.pop();
    let values = params![
        tenant.0,
        link.application.0,
        link.resource_id,
        link.resource_type,
        link.remote_id,
        link_state_text(link.state),
        json_text(&link.acknowledged)?,
        json_text(&link.acknowledged_members)?,
        micros(link.updated)
    ];
    execute(connection, sql::WRITE_LINK, values)?;
    if before.is_some() && before != link.remote_id {
        // Accounts that name this one by what it was called name nobody now.
        let key = params![
            tenant.0,
            attribute_key("User", &manager_path()),
            link.resource_id.as_bytes()
        ];
        for id in list(connection, sql::LIST_REFERRERS, key, |row| row.get(0))? {
            mark(
                connection,
                tenant,
                &awaited(link.application, "User".into(), id, link.updated),
            )?;
        }
    }
    if before.is_some() || link.remote_id.is_none() || link.state == LinkState::Creating {
        return Ok(());
    }
    let awaiting: Vec<(String, String)> = list(connection, sql::LIST_AWAITING, key, |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    for (id, resource_type) in awaiting {
        mark(
            connection,
            tenant,
            &awaited(link.application, resource_type, id, link.updated),
        )?;
    }
    Ok(())
}

fn awaited(
    application: ApplicationId,
    resource_type: String,
    resource_id: String,
    due: Timestamp,
) -> OutOfDate {
    OutOfDate {
        application,
        resource_type,
        resource_id,
        priority: AWAITED_PRIORITY,
        due,
        verify: false,
    }
}

fn apply(connection: &Connection, record: &Record) -> Result<(), Fault> {
    let claim = &record.claim;
    let (tenant, application) = (claim.tenant, claim.application);
    let key = params![tenant.0, application.0, claim.resource_id];
    let Some(generation) = leased_generation(connection, claim)? else {
        return write_lines(connection, sql::LOG_ONCE, tenant, application, &record.log);
    };
    match &record.link {
        LinkChange::Keep => {}
        LinkChange::Set(link) => set_link(connection, tenant, link)?,
        LinkChange::Remove => drop(execute(connection, sql::REMOVE_LINK, key)?),
    }
    write_lines(connection, sql::LOG, tenant, application, &record.log)?;
    let is_newest = generation == claim.generation;
    match record.next {
        Next::Done if is_newest => execute(connection, sql::FINISH, key)?,
        Next::Hold if is_newest => execute(connection, sql::HOLD, key)?,
        Next::RetryAt(at) if is_newest => execute(
            connection,
            sql::RETRY,
            params![tenant.0, application.0, claim.resource_id, micros(at)],
        )?,
        // It was marked again meanwhile, and that mark says when.
        Next::Done | Next::Hold | Next::RetryAt(_) => execute(connection, sql::RELEASE, key)?,
        Next::PauseUntil(at) => {
            execute(
                connection,
                sql::PAUSE_APPLICATION,
                params![tenant.0, application.0, micros(at)],
            )?;
            execute(connection, sql::RELEASE, key)?
        }
    };
    match record.reach {
        Reach::Known => 0,
        Reach::Answers => execute(
            connection,
            sql::APPLICATION_ANSWERS,
            params![tenant.0, application.0],
        )?,
        Reach::Silent { unanswered, until } => execute(
            connection,
            sql::REST_APPLICATION,
            params![tenant.0, application.0, unanswered, micros(until)],
        )?,
    };
    for pair in &record.also {
        mark(connection, tenant, pair)?;
    }
    record.awaits.as_ref().map_or(Ok(()), |awaits| {
        set_awaits(connection, claim, awaits, record)
    })
}

/// Remembers whom the pair waits for; where one of them has got an account since it was looked up, the pair is out of date again at once.
fn set_awaits(
    connection: &Connection,
    claim: &Claim,
    awaits: &[String],
    record: &Record,
) -> Result<(), Fault> {
    let (tenant, application) = (claim.tenant, claim.application);
    execute(
        connection,
        sql::FORGET_AWAITED,
        params![tenant.0, application.0, claim.resource_id],
    )?;
    let mut is_there_now = false;
    for id in awaits {
        execute(
            connection,
            sql::AWAIT,
            params![
                tenant.0,
                application.0,
                id,
                claim.resource_id,
                claim.resource_type
            ],
        )?;
        let found = list(
            connection,
            sql::READ_REMOTE_ID,
            params![tenant.0, application.0, id],
            |row| row.get::<_, String>(0),
        )?;
        is_there_now |= !found.is_empty();
    }
    if is_there_now {
        mark(
            connection,
            tenant,
            &awaited(
                application,
                claim.resource_type.clone(),
                claim.resource_id.clone(),
                record.at,
            ),
        )?;
    }
    Ok(())
}
