//! Statements about applications and the work for them. Runs none of them.
//!
//! Locks are taken in this order: the tenant, the application, advisory locks, entries of the outbox in the order of their ids.

use crate::session::Statement;

/// An application that is added sees every resource or every change after it: no commit can end between its first look and its own commit.
pub(crate) static LOCK_TENANT: Statement =
    Statement::new("SELECT 1 FROM tenants WHERE tenant = $1 FOR NO KEY UPDATE");
pub(crate) static ADD_APPLICATION: Statement = Statement::new(
    "INSERT INTO applications (tenant, name, base_url, token, state, settings, created) VALUES ($1, $2, $3, $4, $5, $6, $7) \
     ON CONFLICT (tenant, name) DO NOTHING RETURNING application",
);
/// The application that a try made whose outcome got lost.
pub(crate) static FIND_ADDED_APPLICATION: Statement = Statement::new(
    "SELECT application FROM applications WHERE tenant = $1 AND name = $2 AND base_url = $3 AND token = $4 AND created = $5",
);
pub(crate) static LIST_APPLICATIONS: Statement = Statement::new(
    "SELECT application, name, base_url, token, state, settings, created FROM applications WHERE tenant = $1 ORDER BY name COLLATE \"C\"",
);
pub(crate) static READ_APPLICATION: Statement = Statement::new(
    "SELECT application, name, base_url, token, state, settings, created FROM applications WHERE tenant = $1 AND application = $2",
);
pub(crate) static SET_APPLICATION_STATE: Statement =
    Statement::new("UPDATE applications SET state = $3 WHERE tenant = $1 AND application = $2");
pub(crate) static SET_APPLICATION_TOKEN: Statement =
    Statement::new("UPDATE applications SET token = $3 WHERE tenant = $1 AND application = $2");
/// Until the commit nothing of it is marked, claimed or recorded.
pub(crate) static LOCK_APPLICATION_TO_REMOVE: Statement =
    Statement::lock("SELECT 1 FROM applications WHERE tenant = $1 AND application = $2 FOR UPDATE");
/// Everything of an application, the application itself last.
pub(crate) static REMOVE_APPLICATION: [Statement; 5] = [
    Statement::new("DELETE FROM outbox WHERE tenant = $1 AND application = $2"),
    Statement::new("DELETE FROM links WHERE tenant = $1 AND application = $2"),
    Statement::new("DELETE FROM awaits WHERE tenant = $1 AND application = $2"),
    Statement::new("DELETE FROM provisioning_log WHERE tenant = $1 AND application = $2"),
    Statement::new("DELETE FROM applications WHERE tenant = $1 AND application = $2"),
];
pub(crate) static PAUSE_APPLICATION: Statement = Statement::new(
    "UPDATE applications SET paused_until = greatest(paused_until, $3) WHERE tenant = $1 AND application = $2",
);
/// It does not answer: it rests until `$4`.
pub(crate) static REST_APPLICATION: Statement = Statement::new(
    "UPDATE applications SET unanswered = greatest(unanswered, $3), paused_until = greatest(paused_until, $4) \
     WHERE tenant = $1 AND application = $2",
);
/// It answers again.
pub(crate) static APPLICATION_ANSWERS: Statement =
    Statement::new("UPDATE applications SET unanswered = 0 WHERE tenant = $1 AND application = $2");
/// All tenants that are not suspended.
pub(crate) static TENANTS_WITH_CHANGES: Statement = Statement::new(
    "SELECT tenant FROM tenants WHERE last_sequence > dispatched \
     AND NOT coalesce((settings::JSONB ->> 'suspended')::BOOLEAN, FALSE) ORDER BY tenant",
);
pub(crate) static READ_CHANGES: Statement = Statement::new(
    "SELECT sequence, type, id, version, at, kind, attributes FROM change_log \
     WHERE tenant = $1 AND sequence > (SELECT dispatched FROM tenants WHERE tenant = $1) ORDER BY sequence LIMIT $2",
);
/// One node dispatches a tenant's changes at a time.
pub(crate) static LOCK_DISPATCH: Statement = Statement::lock(
    "SELECT pg_advisory_xact_lock(hashtextextended('rollcall dispatch of tenant ' || $1::BIGINT, 0))",
);
pub(crate) static IS_DISPATCHED: Statement =
    Statement::new("SELECT 1 FROM tenants WHERE tenant = $1 AND dispatched >= $2");
pub(crate) static MOVE_CURSOR: Statement =
    Statement::new("UPDATE tenants SET dispatched = greatest(dispatched, $2) WHERE tenant = $1");
/// Whether an application is there; it stays until the commit.
pub(crate) static HOLD_APPLICATION: Statement = Statement::new(
    "SELECT 1 FROM applications WHERE tenant = $1 AND application = $2 FOR KEY SHARE",
);
/// `$3` numbers that no generation and no fence of an application had before, as ranges; it stays until the commit.
pub(crate) static NEXT_NUMBERS: Statement = Statement::new("SELECT n.number, n.number FROM (SELECT nextval('work_numbers') AS number \
     FROM applications AS a CROSS JOIN generate_series(1, $3) WHERE a.tenant = $1 AND a.application = $2 FOR KEY SHARE OF a) AS n")
.or_sqlite("UPDATE applications SET last_number = last_number + ?3 WHERE tenant = ?1 AND application = ?2 RETURNING last_number - ?3 + 1, last_number");
pub(crate) static MARK: Statement = Statement::new(
    "INSERT INTO outbox AS o (tenant, application, id, type, generation, priority, waiting_since, due, verify) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8) \
     ON CONFLICT (tenant, application, id) DO UPDATE SET generation = excluded.generation, priority = least(o.priority, excluded.priority), \
       due = excluded.due, attempts = 0, held = FALSE, verify = o.verify OR excluded.verify",
);
/// Users and Groups of the tenant, and everything that is linked; `$6` is the priority of a Group, `$7` that of others.
pub(crate) static MARK_ALL: Statement = Statement::new(
    "INSERT INTO outbox AS o (tenant, application, id, type, generation, priority, waiting_since, due, verify) \
     SELECT $1, $2, n.id, n.type, $3, CASE n.type WHEN 'Group' THEN $6::SMALLINT ELSE $7::SMALLINT END, $4, $4, $5 FROM ( \
       SELECT id, type FROM resources WHERE tenant = $1 AND type IN ('User', 'Group') \
       UNION SELECT l.id, l.type FROM links AS l WHERE l.tenant = $1 AND l.application = $2 \
         AND NOT EXISTS (SELECT 1 FROM resources AS r WHERE r.tenant = $1 AND r.id = l.id AND r.type IN ('User', 'Group'))) AS n \
     WHERE TRUE ORDER BY n.id COLLATE \"C\" \
     ON CONFLICT (tenant, application, id) DO UPDATE SET generation = excluded.generation, priority = least(o.priority, excluded.priority), \
       due = excluded.due, attempts = 0, held = FALSE, verify = o.verify OR excluded.verify",
);
/// Applications of all tenants that are not suspended, where they have something to do now; the one that waited longest for a claim comes first.
pub(crate) static APPLICATIONS_WITH_WORK: Statement = Statement::new(
    "SELECT a.tenant, a.application, \
       (SELECT count(*) FROM outbox AS l WHERE l.tenant = a.tenant AND l.application = a.application AND l.lease_until > 0 AND l.lease_until > $1), a.unanswered \
     FROM applications AS a WHERE a.state = 'live' AND a.paused_until <= $1 AND EXISTS (SELECT 1 FROM outbox AS o \
       WHERE o.tenant = a.tenant AND o.application = a.application AND NOT o.held AND o.due <= $1 AND o.lease_until <= $1) \
       AND EXISTS (SELECT 1 FROM tenants AS t WHERE t.tenant = a.tenant AND NOT coalesce((t.settings::JSONB ->> 'suspended')::BOOLEAN, FALSE)) \
     ORDER BY a.claimed, a.application",
);
/// One node claims for an application at a time, so that it does not count leases that another one is just taking.
pub(crate) static BEGIN_CLAIM: Statement = Statement::new(
    "UPDATE applications SET claimed = $3 WHERE tenant = $1 AND application = $2 AND state = 'live' AND paused_until <= $3 RETURNING unanswered",
);
pub(crate) static COUNT_LEASED: Statement = Statement::new(
    "SELECT count(*) FROM outbox WHERE tenant = $1 AND application = $2 AND lease_until > 0 AND lease_until > $3",
);
pub(crate) static IS_SERVED: Statement = Statement::new(
    "SELECT 1 FROM applications AS a JOIN tenants AS t ON t.tenant = a.tenant \
     WHERE a.tenant = $1 AND a.application = $2 AND a.state = 'live' AND a.paused_until <= $3 AND NOT coalesce((t.settings::JSONB ->> 'suspended')::BOOLEAN, FALSE)",
);
pub(crate) static IS_WAITING: Statement = Statement::new(
    "SELECT 1 FROM outbox WHERE tenant = $1 AND application = $2 AND id = $3 AND NOT held",
);
/// Who has a value in an attribute that is a reference.
pub(crate) static LIST_REFERRERS: Statement = Statement::new(
    "SELECT r.id FROM index_values AS v JOIN resources AS r ON r.tenant = v.tenant AND r.resource = v.resource \
     WHERE v.tenant = $1 AND v.attribute = $2 AND v.value = $3",
);
pub(crate) static LEASE: Statement = Statement::new(
    "UPDATE outbox SET fence = $4, lease_until = $5 WHERE tenant = $1 AND application = $2 AND id = $3",
);
pub(crate) static RENEW: Statement = Statement::new(
    "UPDATE outbox SET lease_until = $5 WHERE tenant = $1 AND application = $2 AND id = $3 AND fence = $4 AND lease_until > 0",
);
/// A transaction that names an account and one that waits for an account see each other.
pub(crate) static LOCK_ACCOUNTS: Statement = Statement::lock(
    "SELECT pg_advisory_xact_lock(hashtextextended('rollcall accounts of tenant ' || $1::BIGINT || ' in ' || $2::BIGINT, 0))",
);
/// The generation of an entry whose lease is ours, and stays so until the commit.
pub(crate) static READ_LEASED: Statement = Statement::new(
    "SELECT generation FROM outbox WHERE tenant = $1 AND application = $2 AND id = $3 AND fence = $4 AND lease_until > 0 FOR UPDATE",
);
pub(crate) static RELEASE: Statement = Statement::new(
    "UPDATE outbox SET lease_until = 0 WHERE tenant = $1 AND application = $2 AND id = $3",
);
pub(crate) static RETRY: Statement = Statement::new(
    "UPDATE outbox SET lease_until = 0, attempts = attempts + 1, due = $4 WHERE tenant = $1 AND application = $2 AND id = $3",
);
pub(crate) static HOLD: Statement = Statement::new(
    "UPDATE outbox SET lease_until = 0, held = TRUE, attempts = attempts + 1 WHERE tenant = $1 AND application = $2 AND id = $3",
);
pub(crate) static FINISH: Statement =
    Statement::new("DELETE FROM outbox WHERE tenant = $1 AND application = $2 AND id = $3");
pub(crate) static READ_LINK: Statement = Statement::new(
    "SELECT type, remote_id, state, acknowledged, members, updated FROM links \
     WHERE tenant = $1 AND application = $2 AND id = $3",
);
pub(crate) static WRITE_LINK: Statement = Statement::new(
    "INSERT INTO links (tenant, application, id, type, remote_id, state, acknowledged, members, updated) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
     ON CONFLICT (tenant, application, id) DO UPDATE SET type = excluded.type, remote_id = excluded.remote_id, state = excluded.state, \
       acknowledged = excluded.acknowledged, members = excluded.members, updated = excluded.updated",
);
pub(crate) static REMOVE_LINK: Statement =
    Statement::new("DELETE FROM links WHERE tenant = $1 AND application = $2 AND id = $3");
pub(crate) static READ_REMOTE_IDS: Statement = Statement::new(
    "SELECT id, remote_id FROM links WHERE tenant = $1 AND application = $2 AND id = ANY ($3) AND remote_id IS NOT NULL ORDER BY id COLLATE \"C\"",
);
pub(crate) static FIND_LINKED: Statement = Statement::new("SELECT id FROM links WHERE tenant = $1 AND application = $2 AND type = $3 AND md5(remote_id) = md5($4) AND remote_id = $4 LIMIT 1")
.or_sqlite("SELECT id FROM links WHERE tenant = ?1 AND application = ?2 AND type = ?3 AND remote_id = ?4 LIMIT 1");
pub(crate) static FORGET_AWAITED: Statement =
    Statement::new("DELETE FROM awaits WHERE tenant = $1 AND application = $2 AND id = $3");
pub(crate) static AWAIT: Statement = Statement::new(
    "INSERT INTO awaits (tenant, application, awaited, id, type) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
);
pub(crate) static LIST_AWAITING: Statement = Statement::new(
    "SELECT id, type FROM awaits WHERE tenant = $1 AND application = $2 AND awaited = $3 ORDER BY id COLLATE \"C\"",
);
/// A line about an application that is there.
pub(crate) static LOG: Statement = Statement::new(
    "INSERT INTO provisioning_log (tenant, application, id, entry) \
     SELECT tenant, application, $3, $4 FROM applications WHERE tenant = $1 AND application = $2",
);
/// Lines that may be there already.
pub(crate) static LOG_ONCE: Statement = Statement::new(
    "INSERT INTO provisioning_log (tenant, application, id, entry) \
     SELECT tenant, application, $3, $4 FROM applications WHERE tenant = $1 AND application = $2 \
       AND NOT EXISTS (SELECT 1 FROM provisioning_log AS l WHERE l.tenant = $1 AND l.application = $2 AND l.id = $3 AND l.entry = $4)",
);
/// The newest of a tenant, of one application where `$2` is one, about one resource where `$3` is one.
pub(crate) static READ_LOG: Statement = Statement::new(
    "SELECT application, entry FROM provisioning_log WHERE tenant = $1 \
     AND ($2::BIGINT IS NULL OR application = $2) AND ($3::TEXT IS NULL OR id = $3) ORDER BY line DESC LIMIT $4",
);
/// The newest of the lines of an application that are more than `$3`.
pub(crate) static FIND_SURPLUS_LINE: Statement = Statement::new(
    "SELECT line FROM provisioning_log WHERE tenant = $1 AND application = $2 ORDER BY line DESC LIMIT 1 OFFSET $3",
);
pub(crate) static LIST_OLDEST_LINES: Statement = Statement::new(
    "SELECT line, entry FROM provisioning_log WHERE tenant = $1 AND application = $2 ORDER BY line LIMIT $3",
);
pub(crate) static FORGET_LINES: Statement = Statement::new(
    "DELETE FROM provisioning_log WHERE tenant = $1 AND application = $2 AND line <= $3",
);
pub(crate) static STATUS: Statement = Statement::new(
    "SELECT count(*) FILTER (WHERE NOT held AND attempts = 0), \
       count(*) FILTER (WHERE NOT held AND attempts > 0), count(*) FILTER (WHERE held), \
       (SELECT count(*) FROM links AS l WHERE l.tenant = $1 AND l.application = $2 AND l.remote_id IS NOT NULL) \
     FROM outbox WHERE tenant = $1 AND application = $2",
);
/// Entries that may be claimed. `$3` is now, `$4` the instant before which a Group has waited long enough; one that takes something away (priority 0) does not
/// wait. An entry that another transaction writes is left out.
pub(crate) static LIST_READY: Statement = Statement::new(
    "SELECT o.id, o.type, o.generation, o.attempts, o.verify, o.lease_until FROM outbox AS o \
     WHERE o.tenant = $1 AND o.application = $2 AND NOT o.held AND o.due <= $3 AND o.lease_until <= $3 \
       AND (o.type <> 'Group' OR o.priority = 0 OR o.waiting_since <= $4 OR NOT EXISTS (SELECT 1 FROM outbox AS u \
         WHERE u.tenant = $1 AND u.application = $2 AND u.type = 'User' AND u.attempts = 0 AND NOT u.held)) \
     ORDER BY o.priority, o.generation LIMIT $5 FOR UPDATE OF o SKIP LOCKED",
);
pub(crate) static READ_REMOTE_ID: Statement = Statement::new(
    "SELECT remote_id FROM links WHERE tenant = $1 AND application = $2 AND id = $3 AND remote_id IS NOT NULL",
);

/// All of them, for the tests that prepare each.
#[cfg(test)]
pub(crate) static ALL: &[&Statement] = &[
    &LOCK_TENANT,
    &ADD_APPLICATION,
    &FIND_ADDED_APPLICATION,
    &LIST_APPLICATIONS,
    &READ_APPLICATION,
    &SET_APPLICATION_STATE,
    &SET_APPLICATION_TOKEN,
    &LOCK_APPLICATION_TO_REMOVE,
    &PAUSE_APPLICATION,
    &REST_APPLICATION,
    &APPLICATION_ANSWERS,
    &TENANTS_WITH_CHANGES,
    &READ_CHANGES,
    &LOCK_DISPATCH,
    &IS_DISPATCHED,
    &MOVE_CURSOR,
    &HOLD_APPLICATION,
    &NEXT_NUMBERS,
    &MARK,
    &MARK_ALL,
    &APPLICATIONS_WITH_WORK,
    &BEGIN_CLAIM,
    &COUNT_LEASED,
    &IS_SERVED,
    &IS_WAITING,
    &LIST_REFERRERS,
    &LEASE,
    &RENEW,
    &LOCK_ACCOUNTS,
    &READ_LEASED,
    &RELEASE,
    &RETRY,
    &HOLD,
    &FINISH,
    &READ_LINK,
    &WRITE_LINK,
    &REMOVE_LINK,
    &READ_REMOTE_IDS,
    &FIND_LINKED,
    &FORGET_AWAITED,
    &AWAIT,
    &LIST_AWAITING,
    &LOG,
    &LOG_ONCE,
    &READ_LOG,
    &FIND_SURPLUS_LINE,
    &LIST_OLDEST_LINES,
    &FORGET_LINES,
    &STATUS,
    &LIST_READY,
    &READ_REMOTE_ID,
];
