//! The steps of the ledger inside a transaction: marks, leases, what a record changes. Opens none itself.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use directory::pending::manager_path;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::{SignedDuration, Timestamp};
use provisioning::application::ApplicationId;
use provisioning::lanes::{Lane, Room};
use provisioning::ledger::{
    Claim, GROUP_WAIT_SECONDS_MAX, LinkChange, Next, OutOfDate, Reach, Record, Written,
};
use provisioning::link::{Link, LinkState};
use provisioning::provisioning_log::LogEntry;
use tokio_postgres::Row;

use super::attempts::Values;
use super::connections::fault;
use super::read::storable;
use super::statements_of_work as sql;
use crate::rows::{attribute_key, json_text, link_state_text, micros};

/// What the marks of an awaited account have as priority: those who wait are mostly groups.
const AWAITED_PRIORITY: i16 = 3;

/// Rows of one statement.
pub(super) async fn query(
    transaction: &Transaction<'_>,
    statement: &str,
    values: Values<'_>,
) -> Result<Vec<Row>, Fault> {
    let statement = transaction.prepare_cached(statement).await.map_err(fault)?;
    transaction.query(&statement, values).await.map_err(fault)
}

/// How many rows one statement changed.
pub(super) async fn execute(
    transaction: &Transaction<'_>,
    statement: &str,
    values: Values<'_>,
) -> Result<u64, Fault> {
    let statement = transaction.prepare_cached(statement).await.map_err(fault)?;
    transaction.execute(&statement, values).await.map_err(fault)
}

/// Marks pairs, and moves the cursor. Changes that another node has dispatched meanwhile are not marked again.
pub(super) async fn mark_out_of_date(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    cursor: Option<i64>,
    pairs: &[OutOfDate],
) -> Result<(), Fault> {
    if let Some(cursor) = cursor {
        query(transaction, sql::LOCK_DISPATCH, &[&tenant.0]).await?;
        if !query(transaction, sql::IS_DISPATCHED, &[&tenant.0, &cursor])
            .await?
            .is_empty()
        {
            return Ok(());
        }
    }
    mark(transaction, tenant, pairs).await?;
    if let Some(cursor) = cursor {
        execute(transaction, sql::MOVE_CURSOR, &[&tenant.0, &cursor]).await?;
    }
    Ok(())
}

/// Marks pairs; nothing of applications that were removed meanwhile.
async fn mark(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    pairs: &[OutOfDate],
) -> Result<(), Fault> {
    if pairs.is_empty() {
        return Ok(());
    }
    let mut applications: Vec<i64> = pairs.iter().map(|pair| pair.application.0).collect();
    applications.sort_unstable();
    applications.dedup();
    let rows = query(
        transaction,
        sql::HOLD_APPLICATIONS,
        &[&tenant.0, &applications],
    )
    .await?;
    let there = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<Vec<i64>, _>>()
        .map_err(fault)?;
    let pairs = merged(pairs, |application| there.contains(&application));
    let ids: Vec<_> = pairs
        .iter()
        .map(|pair| storable(&pair.resource_id))
        .collect();
    let types: Vec<_> = pairs
        .iter()
        .map(|pair| storable(&pair.resource_type))
        .collect();
    let applications: Vec<i64> = pairs.iter().map(|pair| pair.application.0).collect();
    let priorities: Vec<i16> = pairs.iter().map(|pair| pair.priority).collect();
    let due: Vec<i64> = pairs.iter().map(|pair| micros(pair.due)).collect();
    let verify: Vec<bool> = pairs.iter().map(|pair| pair.verify).collect();
    execute(
        transaction,
        sql::MARK,
        &[
            &tenant.0,
            &applications,
            &ids,
            &types,
            &priorities,
            &due,
            &verify,
        ],
    )
    .await
    .map(drop)
}

/// Each pair once, as one after the other would have left it; in the order in which each was marked last.
fn merged(pairs: &[OutOfDate], keep: impl Fn(i64) -> bool) -> Vec<OutOfDate> {
    let mut newest: BTreeMap<(i64, &str), (usize, OutOfDate)> = BTreeMap::new();
    for (place, pair) in pairs
        .iter()
        .enumerate()
        .filter(|(_, pair)| keep(pair.application.0))
    {
        let mut pair_now = pair.clone();
        if let Some((_, before)) = newest.get(&(pair.application.0, pair.resource_id.as_str())) {
            pair_now.priority = pair.priority.min(before.priority);
            pair_now.verify |= before.verify;
        }
        newest.insert((pair.application.0, &pair.resource_id), (place, pair_now));
    }
    let mut placed: Vec<_> = newest.into_values().collect();
    placed.sort_unstable_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, pair)| pair).collect()
}

/// Marks every User and Group and whatever is linked; says how many. 0 where there is no such application.
pub(super) async fn mark_all(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    application: ApplicationId,
    at: Timestamp,
    verify: bool,
) -> Result<u64, Fault> {
    if !hold(transaction, tenant, application).await? {
        return Ok(0);
    }
    execute(
        transaction,
        sql::MARK_ALL,
        &[&tenant.0, &application.0, &micros(at), &verify],
    )
    .await
}

/// Whether the application is there; it stays until the commit.
async fn hold(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    application: ApplicationId,
) -> Result<bool, Fault> {
    Ok(!query(
        transaction,
        sql::HOLD_APPLICATIONS,
        &[&tenant.0, &[application.0].as_slice()],
    )
    .await?
    .is_empty())
}

/// Which entries of one application are to be claimed, and until when.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) tenant: TenantId,
    pub(super) application: ApplicationId,
    pub(super) now: Timestamp,
    pub(super) lease_until: Timestamp,
}

/// Claims for one application, which meanwhile nobody else does.
pub(super) async fn claim(
    transaction: &Transaction<'_>,
    wanted: Wanted,
    room: &Room,
) -> Result<Vec<Claim>, Fault> {
    let Wanted {
        tenant,
        application,
        now,
        lease_until,
    } = wanted;
    let at = micros(now);
    let begun = query(
        transaction,
        sql::BEGIN_CLAIM,
        &[&tenant.0, &application.0, &at],
    )
    .await?;
    let Some(begun) = begun.first() else {
        return Ok(Vec::new());
    };
    let unanswered = u32::try_from(begun.try_get::<_, i64>(0).map_err(fault)?).unwrap_or(u32::MAX);
    let leased = query(
        transaction,
        sql::COUNT_LEASED,
        &[&tenant.0, &application.0, &at],
    )
    .await?;
    let leased: i64 = leased
        .first()
        .map_or(Ok(0), |row| row.try_get(0))
        .map_err(fault)?;
    let lane = Lane {
        application,
        leased: usize::try_from(leased).unwrap_or_default(),
        unanswered,
    };
    let free = i64::try_from(room.free_for(&lane)).unwrap_or(i64::MAX);
    if free == 0 {
        return Ok(Vec::new());
    }
    let long_ago = now
        .checked_sub(SignedDuration::from_secs(GROUP_WAIT_SECONDS_MAX))
        .unwrap_or(now);
    let values: Values<'_> = &[
        &tenant.0,
        &application.0,
        &at,
        &micros(long_ago),
        &free,
        &micros(lease_until),
    ];
    let mut claims = Vec::new();
    for row in query(transaction, sql::LEASE, values).await? {
        let read = || {
            let attempts: i64 = row.try_get(3)?;
            let claim = Claim {
                tenant,
                application,
                resource_id: row.try_get(0)?,
                resource_type: row.try_get(1)?,
                generation: row.try_get(2)?,
                attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
                fence: row.try_get(6)?,
                // A lease that ran out means that nobody recorded what was sent.
                verify: row.try_get::<_, bool>(4)? || row.try_get::<_, i64>(5)? > 0,
                lease_until,
                unanswered,
            };
            Ok((row.try_get::<_, i16>(7)?, claim))
        };
        claims.push(read().map_err(fault)?);
    }
    claims.sort_by_key(|(priority, claim)| (*priority, claim.generation));
    Ok(claims.into_iter().map(|(_, claim)| claim).collect())
}

/// Writes the link of a claim. Links of one application are written one after the other, so none can be taken in between.
pub(super) async fn write_link(
    transaction: &Transaction<'_>,
    claim: &Claim,
    link: &Link,
    log: &[LogEntry],
    log_by: &str,
) -> Result<Written, Fault> {
    if !hold(transaction, claim.tenant, claim.application).await? {
        return Ok(Written::LeaseLost);
    }
    query(
        transaction,
        sql::LOCK_ACCOUNTS,
        &[&claim.tenant.0, &claim.application.0],
    )
    .await?;
    if leased_generation(transaction, claim).await?.is_none() {
        return Ok(Written::LeaseLost);
    }
    if let Some(remote_id) = &link.remote_id {
        let values: Values<'_> = &[
            &claim.tenant.0,
            &link.application.0,
            &storable(&link.resource_type),
            &storable(remote_id),
        ];
        let owner: Option<String> = query(transaction, sql::FIND_LINKED, values)
            .await?
            .first()
            .map(|row| row.try_get(0))
            .transpose()
            .map_err(fault)?;
        if owner.is_some_and(|owner| owner != link.resource_id) {
            return Ok(Written::Taken);
        }
    }
    let awaiting = set_link(transaction, claim.tenant, link).await?;
    insert_lines(transaction, log_by, claim.tenant, claim.application, log).await?;
    mark(transaction, claim.tenant, &awaiting).await?;
    Ok(Written::Written)
}

/// Writes lines by one of the statements that do; nothing where the application was removed.
pub(super) async fn write_lines(
    transaction: &Transaction<'_>,
    statement: &str,
    tenant: TenantId,
    application: ApplicationId,
    lines: &[LogEntry],
) -> Result<(), Fault> {
    if !hold(transaction, tenant, application).await? {
        return Ok(());
    }
    insert_lines(transaction, statement, tenant, application, lines).await
}

async fn insert_lines(
    transaction: &Transaction<'_>,
    statement: &str,
    tenant: TenantId,
    application: ApplicationId,
    lines: &[LogEntry],
) -> Result<(), Fault> {
    if lines.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = lines
        .iter()
        .map(|line| storable(&line.resource_id))
        .collect();
    let entries = lines.iter().map(json_text).collect::<Result<Vec<_>, _>>()?;
    execute(
        transaction,
        statement,
        &[&tenant.0, &application.0, &ids, &entries],
    )
    .await
    .map(drop)
}

/// The generation of a claim's entry as it is now; `None` where the lease was lost. Nobody marks it until the commit.
async fn leased_generation(
    transaction: &Transaction<'_>,
    claim: &Claim,
) -> Result<Option<i64>, Fault> {
    let values: Values<'_> = &[
        &claim.tenant.0,
        &claim.application.0,
        &storable(&claim.resource_id),
        &claim.fence,
    ];
    let rows = query(transaction, sql::READ_LEASED, values).await?;
    rows.first()
        .map(|row| row.try_get(0))
        .transpose()
        .map_err(fault)
}

/// Writes a link; says who waited for this account, where it is new, or names it by what it was called before.
async fn set_link(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    link: &Link,
) -> Result<Vec<OutOfDate>, Fault> {
    let (application, id) = (link.application, storable(&link.resource_id));
    let named = query(
        transaction,
        sql::READ_REMOTE_IDS,
        &[&tenant.0, &application.0, &[&id].as_slice()],
    )
    .await?;
    let before: Option<String> = named
        .first()
        .map(|row| row.try_get(1))
        .transpose()
        .map_err(fault)?;
    let values: Values<'_> = &[
        &tenant.0,
        &application.0,
        &id,
        &storable(&link.resource_type),
        &link.remote_id.as_deref().map(storable),
        &link_state_text(link.state),
        &json_text(&link.acknowledged)?,
        &json_text(&link.acknowledged_members)?,
        &micros(link.updated),
    ];
    execute(transaction, sql::WRITE_LINK, values).await?;
    if before.is_some() && before != link.remote_id {
        // Accounts that name this one by what it was called name nobody now.
        let manager = attribute_key("User", &manager_path());
        let rows = query(
            transaction,
            sql::LIST_REFERRERS,
            &[&tenant.0, &manager, &link.resource_id.as_bytes()],
        )
        .await?;
        let refers = |row: &Row| {
            Ok(awaited(
                application,
                "User".to_owned(),
                row.try_get(0)?,
                link.updated,
            ))
        };
        return rows
            .iter()
            .map(refers)
            .collect::<Result<_, _>>()
            .map_err(fault);
    }
    if before.is_some() || link.remote_id.is_none() || link.state == LinkState::Creating {
        return Ok(Vec::new());
    }
    let rows = query(
        transaction,
        sql::LIST_AWAITING,
        &[&tenant.0, &application.0, &id],
    )
    .await?;
    let awaiting = |row: &Row| {
        Ok(awaited(
            application,
            row.try_get(1)?,
            row.try_get(0)?,
            link.updated,
        ))
    };
    rows.iter()
        .map(awaiting)
        .collect::<Result<_, _>>()
        .map_err(fault)
}

/// Whether one of these has an account whose id is known.
async fn are_named(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    application: ApplicationId,
    ids: &[&str],
) -> Result<bool, Fault> {
    Ok(!query(
        transaction,
        sql::READ_REMOTE_IDS,
        &[&tenant.0, &application.0, &ids],
    )
    .await?
    .is_empty())
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

/// Records what came of a claim; only the lines of the log where its lease was lost.
pub(super) async fn record(transaction: &Transaction<'_>, record: &Record) -> Result<(), Fault> {
    let claim = &record.claim;
    let (tenant, application) = (claim.tenant, claim.application);
    if !hold(transaction, tenant, application).await? {
        return Ok(());
    }
    // Before the entry is locked, as whoever has this lock may want to mark it.
    if matches!(record.link, LinkChange::Set(_)) || record.awaits.is_some() {
        query(
            transaction,
            sql::LOCK_ACCOUNTS,
            &[&tenant.0, &application.0],
        )
        .await?;
    }
    let Some(generation) = leased_generation(transaction, claim).await? else {
        return insert_lines(transaction, sql::LOG_ONCE, tenant, application, &record.log).await;
    };
    let id = storable(&claim.resource_id);
    let mut marks = match &record.link {
        LinkChange::Keep => Vec::new(),
        LinkChange::Set(link) => set_link(transaction, tenant, link).await?,
        LinkChange::Remove => {
            execute(
                transaction,
                sql::REMOVE_LINK,
                &[&tenant.0, &application.0, &id],
            )
            .await?;
            Vec::new()
        }
    };
    insert_lines(transaction, sql::LOG, tenant, application, &record.log).await?;
    set_next(transaction, record, generation == claim.generation).await?;
    match record.reach {
        Reach::Known => 0,
        Reach::Answers => {
            execute(
                transaction,
                sql::APPLICATION_ANSWERS,
                &[&tenant.0, &application.0],
            )
            .await?
        }
        Reach::Silent { unanswered, until } => {
            let values: Values<'_> = &[
                &tenant.0,
                &application.0,
                &i64::from(unanswered),
                &micros(until),
            ];
            execute(transaction, sql::REST_APPLICATION, values).await?
        }
    };
    marks.extend_from_slice(&record.also);
    if let Some(awaits) = &record.awaits {
        marks.extend(set_awaits(transaction, record, awaits).await?);
    }
    mark(transaction, tenant, &marks).await
}

async fn set_next(
    transaction: &Transaction<'_>,
    record: &Record,
    is_newest: bool,
) -> Result<(), Fault> {
    let claim = &record.claim;
    let (tenant, application, id) = (
        claim.tenant.0,
        claim.application.0,
        storable(&claim.resource_id),
    );
    let key: Values<'_> = &[&tenant, &application, &id];
    match record.next {
        Next::Done if is_newest => execute(transaction, sql::FINISH, key).await?,
        Next::Hold if is_newest => execute(transaction, sql::HOLD, key).await?,
        Next::RetryAt(at) if is_newest => {
            execute(
                transaction,
                sql::RETRY,
                &[&tenant, &application, &id, &micros(at)],
            )
            .await?
        }
        // It was marked again meanwhile, and that mark says when.
        Next::Done | Next::Hold | Next::RetryAt(_) => {
            execute(transaction, sql::RELEASE, key).await?
        }
        Next::PauseUntil(at) => {
            execute(
                transaction,
                sql::PAUSE_APPLICATION,
                &[&tenant, &application, &micros(at)],
            )
            .await?;
            execute(transaction, sql::RELEASE, key).await?
        }
    };
    Ok(())
}

/// Remembers whom the pair waits for; where one of them has got an account since it was looked up, the pair is out of date again at once.
async fn set_awaits(
    transaction: &Transaction<'_>,
    record: &Record,
    awaits: &[String],
) -> Result<Option<OutOfDate>, Fault> {
    let claim = &record.claim;
    let (tenant, application, id) = (
        claim.tenant,
        claim.application,
        storable(&claim.resource_id),
    );
    execute(
        transaction,
        sql::FORGET_AWAITED,
        &[&tenant.0, &application.0, &id],
    )
    .await?;
    if awaits.is_empty() {
        return Ok(None);
    }
    let texts: Vec<_> = awaits.iter().map(|id| storable(id)).collect();
    execute(
        transaction,
        sql::AWAIT,
        &[
            &tenant.0,
            &application.0,
            &texts,
            &id,
            &storable(&claim.resource_type),
        ],
    )
    .await?;
    let ids: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    if !are_named(transaction, tenant, application, &ids).await? {
        return Ok(None);
    }
    Ok(Some(awaited(
        application,
        claim.resource_type.clone(),
        claim.resource_id.clone(),
        record.at,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_is_marked_twice_is_marked_once() {
        let pair = |id: &str, priority, second, verify| OutOfDate {
            application: ApplicationId(1),
            resource_type: "User".into(),
            resource_id: id.into(),
            priority,
            due: Timestamp::from_second(second).unwrap(),
            verify,
        };
        let pairs = [
            pair("a", 1, 10, true),
            pair("b", 2, 20, false),
            pair("a", 3, 30, false),
        ];
        assert_eq!(
            merged(&pairs, |_| true),
            [pair("b", 2, 20, false), pair("a", 1, 30, true)]
        );
        assert_eq!(merged(&pairs, |_| false), []);
    }
}
