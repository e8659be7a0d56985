//! The steps of the ledger inside a transaction: marks, leases, what a record changes.

use std::collections::BTreeMap;

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
use provisioning::scope::priority;

use crate::rows::{attribute_key, json_text, link_state_text};
use crate::session::{Session, at_most, fields};
use crate::statements_of_work as sql;

/// What the marks of an awaited account have as priority: those who wait are mostly groups.
const AWAITED_PRIORITY: i16 = 3;

/// Marks pairs, and moves the cursor. Changes that another node has dispatched meanwhile are not marked again.
pub(crate) async fn mark_out_of_date(
    session: &mut dyn Session,
    (tenant, cursor, pairs): &(TenantId, Option<i64>, Vec<OutOfDate>),
) -> Result<(), Fault> {
    if let Some(cursor) = cursor {
        session
            .execute(&sql::LOCK_DISPATCH, fields![tenant])
            .await?;
        let is_dispatched = session
            .is_there(&sql::IS_DISPATCHED, fields![tenant, cursor])
            .await?;
        if is_dispatched {
            return Ok(());
        }
    }
    mark(session, *tenant, pairs).await?;
    if let Some(cursor) = cursor {
        session
            .execute(&sql::MOVE_CURSOR, fields![tenant, cursor])
            .await?;
    }
    Ok(())
}

/// Numbers that no generation and no fence of the application had before, as many as are wanted; none where there is no such application. It stays until
/// the commit.
async fn next_numbers(
    session: &mut dyn Session,
    tenant: TenantId,
    application: ApplicationId,
    count: usize,
) -> Result<Vec<i64>, Fault> {
    let values = fields![tenant, application.0, at_most(count)];
    let ranges = session
        .rows(&sql::NEXT_NUMBERS, values, |row| {
            Ok(row.get::<i64>(0)?..=row.get::<i64>(1)?)
        })
        .await?;
    Ok(ranges.into_iter().flatten().collect())
}

/// Marks pairs; nothing of applications that were removed meanwhile. They are numbered in the order in which each was marked last, and written in the order
/// of their ids, so that two who mark the same wait for each other.
pub(crate) async fn mark(
    session: &mut dyn Session,
    tenant: TenantId,
    pairs: &[OutOfDate],
) -> Result<(), Fault> {
    for (application, pairs) in merged(pairs) {
        let numbers = next_numbers(session, tenant, application, pairs.len()).await?;
        let mut numbered: Vec<_> = pairs.iter().zip(numbers).collect();
        numbered.sort_unstable_by(|(one, _), (other, _)| one.resource_id.cmp(&other.resource_id));
        let lists: Vec<_> = numbered
            .iter()
            .map(|(pair, number)| {
                fields![
                    tenant,
                    application.0,
                    &pair.resource_id,
                    &pair.resource_type,
                    *number,
                    pair.priority,
                    pair.due,
                    pair.verify
                ]
                .to_vec()
            })
            .collect();
        session.execute_each(&sql::MARK, &lists).await?;
    }
    Ok(())
}

/// The pairs of each application, each pair once, as one after the other would have left it; in the order in which each was marked last.
fn merged(pairs: &[OutOfDate]) -> BTreeMap<ApplicationId, Vec<OutOfDate>> {
    let mut newest: BTreeMap<(ApplicationId, &str), (usize, OutOfDate)> = BTreeMap::new();
    for (place, pair) in pairs.iter().enumerate() {
        let mut pair_now = pair.clone();
        if let Some((_, before)) = newest.get(&(pair.application, pair.resource_id.as_str())) {
            pair_now.priority = pair.priority.min(before.priority);
            pair_now.verify |= before.verify;
        }
        newest.insert((pair.application, &pair.resource_id), (place, pair_now));
    }
    let mut placed: Vec<_> = newest.into_values().collect();
    placed.sort_unstable_by_key(|(place, _)| *place);
    let mut by_application: BTreeMap<ApplicationId, Vec<OutOfDate>> = BTreeMap::new();
    for (_, pair) in placed {
        by_application
            .entry(pair.application)
            .or_default()
            .push(pair);
    }
    by_application
}

/// Marks every User and Group and everything that is linked; says how many. 0 where there is no such application.
pub(crate) async fn mark_all(
    session: &mut dyn Session,
    tenant: TenantId,
    application: ApplicationId,
    at: Timestamp,
    verify: bool,
) -> Result<u64, Fault> {
    let numbers = next_numbers(session, tenant, application, 1).await?;
    let Some(generation) = numbers.first() else {
        return Ok(0);
    };
    let (of_group, of_others) = (priority("Group", false), priority("User", false));
    let values = fields![
        tenant,
        application.0,
        generation,
        at,
        verify,
        of_group,
        of_others
    ];
    session.execute(&sql::MARK_ALL, values).await
}

/// Whether the application is there; it stays until the commit.
pub(crate) async fn hold(
    session: &mut dyn Session,
    tenant: TenantId,
    application: ApplicationId,
) -> Result<bool, Fault> {
    let values = fields![tenant, application.0];
    session.is_there(&sql::HOLD_APPLICATION, values).await
}

/// For which applications entries are to be claimed, and until when.
pub(crate) struct Wanted {
    pub(crate) lanes: Vec<(TenantId, Lane)>,
    pub(crate) now: Timestamp,
    pub(crate) lease_until: Timestamp,
    pub(crate) room: Room,
}

/// Claims for applications, for which no other node does so meanwhile.
pub(crate) async fn claim(session: &mut dyn Session, wanted: &Wanted) -> Result<Vec<Claim>, Fault> {
    let (mut room, mut claims) = (wanted.room.clone(), Vec::new());
    for (tenant, lane) in &wanted.lanes {
        if room.free_for(lane) == 0 {
            continue;
        }
        let more = claim_for(session, *tenant, lane.application, wanted, &room).await?;
        for claim in &more {
            room.begin(claim.application, claim.unanswered);
        }
        claims.extend(more);
    }
    Ok(claims)
}

async fn claim_for(
    session: &mut dyn Session,
    tenant: TenantId,
    application: ApplicationId,
    wanted: &Wanted,
    room: &Room,
) -> Result<Vec<Claim>, Fault> {
    let (now, lease_until) = (wanted.now, wanted.lease_until);
    let at = fields![tenant, application.0, now];
    let begun: Option<u32> = session
        .first(&sql::BEGIN_CLAIM, at, |row| row.get(0))
        .await?;
    let Some(unanswered) = begun else {
        return Ok(Vec::new());
    };
    let leased: Option<u32> = session
        .first(&sql::COUNT_LEASED, at, |row| row.get(0))
        .await?;
    let lane = Lane {
        application,
        leased: leased.unwrap_or_default() as usize,
        unanswered,
    };
    let free = room.free_for(&lane);
    if free == 0 {
        return Ok(Vec::new());
    }
    let long_ago = now
        .checked_sub(SignedDuration::from_secs(GROUP_WAIT_SECONDS_MAX))
        .unwrap_or(now);
    let values = fields![tenant, application.0, now, long_ago, at_most(free)];
    let mut claims = session
        .rows(&sql::LIST_READY, values, |row| {
            Ok(Claim {
                tenant,
                application,
                resource_id: row.get(0)?,
                resource_type: row.get(1)?,
                generation: row.get(2)?,
                attempts: row.get(3)?,
                fence: 0,
                // A lease that ran out means that nothing was recorded of what was sent.
                verify: row.get::<bool>(4)? || row.get::<i64>(5)? > 0,
                lease_until,
                unanswered,
            })
        })
        .await?;
    let numbers = next_numbers(session, tenant, application, claims.len()).await?;
    for (claim, number) in claims.iter_mut().zip(numbers) {
        claim.fence = number;
    }
    let lists: Vec<_> = claims
        .iter()
        .map(|claim| {
            fields![
                tenant,
                application.0,
                &claim.resource_id,
                claim.fence,
                lease_until
            ]
            .to_vec()
        })
        .collect();
    session.execute_each(&sql::LEASE, &lists).await?;
    Ok(claims)
}

/// Writes the link of a claim. Links of one application are written one after the other, so none can be taken in between.
pub(crate) async fn write_link(
    session: &mut dyn Session,
    (claim, link, log): &(Claim, Link, Vec<LogEntry>),
) -> Result<Written, Fault> {
    let (tenant, application) = (claim.tenant, claim.application);
    if !hold(session, tenant, application).await? {
        return Ok(Written::LeaseLost);
    }
    lock_accounts(session, tenant, application).await?;
    if leased_generation(session, claim).await?.is_none() {
        return Ok(Written::LeaseLost);
    }
    if let Some(remote_id) = &link.remote_id {
        let asked = (
            tenant,
            link.application,
            link.resource_type.as_str(),
            remote_id.as_str(),
        );
        let owner = find_linked(session, &asked).await?;
        if owner.is_some_and(|owner| owner != link.resource_id) {
            return Ok(Written::Taken);
        }
    }
    let awaiting = set_link(session, tenant, link).await?;
    write_lines(session, tenant, application, log).await?;
    mark(session, tenant, &awaiting).await?;
    Ok(Written::Written)
}

/// Those who name an account and those who wait for one see each other.
async fn lock_accounts(
    session: &mut dyn Session,
    tenant: TenantId,
    application: ApplicationId,
) -> Result<(), Fault> {
    session
        .execute(&sql::LOCK_ACCOUNTS, fields![tenant, application.0])
        .await
        .map(drop)
}

/// Whose an account is.
pub(crate) async fn find_linked(
    session: &mut dyn Session,
    (tenant, application, resource_type, remote_id): &(TenantId, ApplicationId, &str, &str),
) -> Result<Option<String>, Fault> {
    let values = fields![tenant, application.0, resource_type, remote_id];
    session
        .first(&sql::FIND_LINKED, values, |row| row.get(0))
        .await
}

/// What the accounts of these resources are called, where that is known.
pub(crate) async fn remote_ids(
    session: &mut dyn Session,
    (tenant, application, ids): &(TenantId, ApplicationId, Vec<String>),
) -> Result<Vec<(String, String)>, Fault> {
    session
        .rows(
            &sql::READ_REMOTE_IDS,
            fields![tenant, application.0, ids],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .await
}

/// Writes lines of the log, once; the application is held.
pub(crate) async fn write_lines(
    session: &mut dyn Session,
    tenant: TenantId,
    application: ApplicationId,
    lines: &[LogEntry],
) -> Result<(), Fault> {
    let may_be_there = session.is_again();
    insert_lines(session, tenant, application, lines, may_be_there).await
}

async fn insert_lines(
    session: &mut dyn Session,
    tenant: TenantId,
    application: ApplicationId,
    lines: &[LogEntry],
    may_be_there: bool,
) -> Result<(), Fault> {
    let entries = lines.iter().map(json_text).collect::<Result<Vec<_>, _>>()?;
    let lists: Vec<_> = lines
        .iter()
        .zip(&entries)
        .map(|(line, entry)| fields![tenant, application.0, &line.resource_id, entry].to_vec())
        .collect();
    let statement = if may_be_there {
        &sql::LOG_ONCE
    } else {
        &sql::LOG
    };
    session.execute_each(statement, &lists).await.map(drop)
}

/// The generation of a claim's entry as it is now, which is not marked again until the commit; `None` where the lease was lost.
async fn leased_generation(session: &mut dyn Session, claim: &Claim) -> Result<Option<i64>, Fault> {
    let values = fields![
        claim.tenant,
        claim.application.0,
        &claim.resource_id,
        claim.fence
    ];
    session
        .first(&sql::READ_LEASED, values, |row| row.get(0))
        .await
}

/// Writes a link; says who waited for this account, where it is new, or names it by what it was called before.
async fn set_link(
    session: &mut dyn Session,
    tenant: TenantId,
    link: &Link,
) -> Result<Vec<OutOfDate>, Fault> {
    let (application, id) = (link.application, &link.resource_id);
    let key = fields![tenant, application.0, id];
    let before: Option<String> = session
        .first(&sql::READ_REMOTE_ID, key, |row| row.get(0))
        .await?;
    let acknowledged = json_text(&link.acknowledged)?;
    let members = json_text(&link.acknowledged_members)?;
    let values = fields![
        tenant,
        application.0,
        id,
        &link.resource_type,
        &link.remote_id,
        link_state_text(link.state),
        &acknowledged,
        &members,
        link.updated
    ];
    session.execute(&sql::WRITE_LINK, values).await?;
    if before.is_some() && before != link.remote_id {
        // Accounts that name this one by what it was called name none now.
        let manager = attribute_key("User", &manager_path());
        let values = fields![tenant, manager, id.as_bytes()];
        return session
            .rows(&sql::LIST_REFERRERS, values, |row| {
                Ok(awaited(
                    application,
                    "User".into(),
                    row.get(0)?,
                    link.updated,
                ))
            })
            .await;
    }
    if before.is_some() || link.remote_id.is_none() || link.state == LinkState::Creating {
        return Ok(Vec::new());
    }
    session
        .rows(&sql::LIST_AWAITING, key, |row| {
            Ok(awaited(application, row.get(1)?, row.get(0)?, link.updated))
        })
        .await
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
pub(crate) async fn record(session: &mut dyn Session, record: &Record) -> Result<(), Fault> {
    let claim = &record.claim;
    let (tenant, application) = (claim.tenant, claim.application);
    if !hold(session, tenant, application).await? {
        return Ok(());
    }
    // Before the entry is locked, as the one who has this lock may want to mark it.
    if matches!(record.link, LinkChange::Set(_)) || record.awaits.is_some() {
        lock_accounts(session, tenant, application).await?;
    }
    let Some(generation) = leased_generation(session, claim).await? else {
        return insert_lines(session, tenant, application, &record.log, true).await;
    };
    let key = fields![tenant, application.0, &claim.resource_id];
    let mut marks = match &record.link {
        LinkChange::Keep => Vec::new(),
        LinkChange::Set(link) => set_link(session, tenant, link).await?,
        LinkChange::Remove => {
            session.execute(&sql::REMOVE_LINK, key).await?;
            Vec::new()
        }
    };
    insert_lines(session, tenant, application, &record.log, false).await?;
    set_next(session, record, generation == claim.generation).await?;
    set_reach(session, record).await?;
    marks.extend_from_slice(&record.also);
    if let Some(awaits) = &record.awaits {
        marks.extend(set_awaits(session, record, awaits).await?);
    }
    mark(session, tenant, &marks).await
}

async fn set_next(
    session: &mut dyn Session,
    record: &Record,
    is_newest: bool,
) -> Result<(), Fault> {
    let claim = &record.claim;
    let (tenant, application, id) = (claim.tenant, claim.application.0, &claim.resource_id);
    let key = fields![tenant, application, id];
    match record.next {
        Next::Done if is_newest => session.execute(&sql::FINISH, key).await?,
        Next::Hold if is_newest => session.execute(&sql::HOLD, key).await?,
        Next::RetryAt(at) if is_newest => {
            let values = fields![tenant, application, id, at];
            session.execute(&sql::RETRY, values).await?
        }
        // It was marked again meanwhile, and that mark says when.
        Next::Done | Next::Hold | Next::RetryAt(_) => session.execute(&sql::RELEASE, key).await?,
        Next::PauseUntil(at) => {
            let values = fields![tenant, application, at];
            session.execute(&sql::PAUSE_APPLICATION, values).await?;
            session.execute(&sql::RELEASE, key).await?
        }
    };
    Ok(())
}

async fn set_reach(session: &mut dyn Session, record: &Record) -> Result<(), Fault> {
    let (tenant, application) = (record.claim.tenant, record.claim.application.0);
    match record.reach {
        Reach::Known => 0,
        Reach::Answers => {
            let values = fields![tenant, application];
            session.execute(&sql::APPLICATION_ANSWERS, values).await?
        }
        Reach::Silent { unanswered, until } => {
            let values = fields![tenant, application, unanswered, until];
            session.execute(&sql::REST_APPLICATION, values).await?
        }
    };
    Ok(())
}

/// Remembers whom the pair waits for; where one of them has got an account since it was looked up, the pair is out of date again at once.
async fn set_awaits(
    session: &mut dyn Session,
    record: &Record,
    awaits: &[String],
) -> Result<Option<OutOfDate>, Fault> {
    let claim = &record.claim;
    let (tenant, application, id) = (claim.tenant, claim.application, &claim.resource_id);
    session
        .execute(&sql::FORGET_AWAITED, fields![tenant, application.0, id])
        .await?;
    if awaits.is_empty() {
        return Ok(None);
    }
    let lists: Vec<_> = awaits
        .iter()
        .map(|awaited| fields![tenant, application.0, awaited, id, &claim.resource_type].to_vec())
        .collect();
    session.execute_each(&sql::AWAIT, &lists).await?;
    let named = remote_ids(session, &(tenant, application, awaits.to_vec())).await?;
    if named.is_empty() {
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
        let pair = |application, id: &str, priority, second, verify| OutOfDate {
            application: ApplicationId(application),
            resource_type: "User".into(),
            resource_id: id.into(),
            priority,
            due: Timestamp::from_second(second).unwrap(),
            verify,
        };
        let pairs = [
            pair(1, "a", 1, 10, true),
            pair(1, "b", 2, 20, false),
            pair(2, "a", 4, 25, false),
            pair(1, "a", 3, 30, false),
        ];
        let merged: Vec<_> = merged(&pairs).into_iter().collect();
        let of_first = vec![pair(1, "b", 2, 20, false), pair(1, "a", 1, 30, true)];
        let of_second = vec![pair(2, "a", 4, 25, false)];
        assert_eq!(
            merged,
            [(ApplicationId(1), of_first), (ApplicationId(2), of_second)]
        );
    }
}
