//! The statements about applications and the work for them, by name. Each names the tenant, apart from the few that are about all tenants, and those
//! say so.
//!
//! Locks are taken in this order: the tenant, the application, advisory locks, entries of the outbox in the order of their ids.

/// An application that is added sees every resource or every change after it: no commit can end between its first look and its own commit.
pub(crate) const LOCK_TENANT: &str = "SELECT 1 FROM tenants WHERE tenant = $1 FOR NO KEY UPDATE";
pub(crate) const ADD_APPLICATION: &str = "INSERT INTO applications (tenant, name, base_url, token, state, settings, created) VALUES ($1, $2, $3, $4, $5, $6, $7) \
     ON CONFLICT (tenant, name) DO NOTHING RETURNING application";
/// The application that a try made whose outcome got lost.
pub(crate) const FIND_ADDED_APPLICATION: &str = "SELECT application FROM applications WHERE tenant = $1 AND name = $2 AND base_url = $3 AND token = $4 AND created = $5";
pub(crate) const LIST_APPLICATIONS: &str = "SELECT application, name, base_url, token, state, settings, created FROM applications WHERE tenant = $1 ORDER BY name COLLATE \"C\"";
pub(crate) const READ_APPLICATION: &str = "SELECT application, name, base_url, token, state, settings, created FROM applications WHERE tenant = $1 AND application = $2";
pub(crate) const SET_APPLICATION_STATE: &str =
    "UPDATE applications SET state = $3 WHERE tenant = $1 AND application = $2";
pub(crate) const SET_APPLICATION_TOKEN: &str =
    "UPDATE applications SET token = $3 WHERE tenant = $1 AND application = $2";
/// Nobody marks, claims or records anything of it any more.
pub(crate) const LOCK_APPLICATION_TO_REMOVE: &str =
    "SELECT 1 FROM applications WHERE tenant = $1 AND application = $2 FOR UPDATE";
/// Everything of an application, the application itself last.
pub(crate) const REMOVE_APPLICATION: &[&str] = &[
    "DELETE FROM outbox WHERE tenant = $1 AND application = $2",
    "DELETE FROM links WHERE tenant = $1 AND application = $2",
    "DELETE FROM awaits WHERE tenant = $1 AND application = $2",
    "DELETE FROM provisioning_log WHERE tenant = $1 AND application = $2",
    "DELETE FROM applications WHERE tenant = $1 AND application = $2",
];
pub(crate) const PAUSE_APPLICATION: &str = "UPDATE applications SET paused_until = greatest(paused_until, $3) WHERE tenant = $1 AND application = $2";
/// It does not answer: it rests until `$4`.
pub(crate) const REST_APPLICATION: &str = "UPDATE applications SET unanswered = greatest(unanswered, $3), paused_until = greatest(paused_until, $4) \
     WHERE tenant = $1 AND application = $2";
/// It answers again.
pub(crate) const APPLICATION_ANSWERS: &str =
    "UPDATE applications SET unanswered = 0 WHERE tenant = $1 AND application = $2";

/// All tenants that are not suspended.
pub(crate) const TENANTS_WITH_CHANGES: &str = "SELECT tenant FROM tenants WHERE last_sequence > dispatched \
     AND NOT coalesce((settings::JSONB ->> 'suspended')::BOOLEAN, FALSE) ORDER BY tenant";
pub(crate) const READ_CHANGES: &str = "SELECT sequence, type, id, version, at, kind, attributes FROM change_log \
     WHERE tenant = $1 AND sequence > (SELECT dispatched FROM tenants WHERE tenant = $1) ORDER BY sequence LIMIT $2";
/// One node dispatches a tenant's changes at a time.
pub(crate) const LOCK_DISPATCH: &str = "SELECT pg_advisory_xact_lock(hashtextextended('rollcall dispatch of tenant ' || $1::BIGINT, 0))";
pub(crate) const IS_DISPATCHED: &str =
    "SELECT 1 FROM tenants WHERE tenant = $1 AND dispatched >= $2";
pub(crate) const MOVE_CURSOR: &str =
    "UPDATE tenants SET dispatched = greatest(dispatched, $2) WHERE tenant = $1";

/// Which of these applications are there; they stay until the commit.
pub(crate) const HOLD_APPLICATIONS: &str = "SELECT application FROM applications WHERE tenant = $1 AND application = ANY ($2) ORDER BY application FOR KEY SHARE";
/// Numbered in the order they are given in, written in the order of their ids, so that two who mark the same wait for each other.
pub(crate) const MARK: &str = "INSERT INTO outbox AS o (tenant, application, id, type, generation, priority, waiting_since, due, verify) \
     SELECT $1, n.application, n.id, n.type, n.generation, n.priority, n.due, n.due, n.verify FROM ( \
       SELECT p.*, nextval('work_numbers') AS generation FROM ( \
         SELECT * FROM unnest($2::BIGINT[], $3::TEXT[], $4::TEXT[], $5::SMALLINT[], $6::BIGINT[], $7::BOOLEAN[]) WITH ORDINALITY \
           AS u (application, id, type, priority, due, verify, place) ORDER BY place) AS p) AS n \
     ORDER BY n.application, n.id COLLATE \"C\" \
     ON CONFLICT (tenant, application, id) DO UPDATE SET generation = excluded.generation, priority = least(o.priority, excluded.priority), \
       due = excluded.due, attempts = 0, held = FALSE, verify = o.verify OR excluded.verify";
/// Users and Groups of the tenant, and whatever is linked.
pub(crate) const MARK_ALL: &str = "INSERT INTO outbox AS o (tenant, application, id, type, generation, priority, waiting_since, due, verify) \
     SELECT $1, $2, n.id, n.type, n.generation, CASE n.type WHEN 'User' THEN 2 ELSE 3 END, $3, $3, $4 FROM ( \
       SELECT a.id, a.type, nextval('work_numbers') AS generation FROM ( \
         SELECT id, type FROM resources WHERE tenant = $1 AND type IN ('User', 'Group') \
         UNION SELECT l.id, l.type FROM links AS l WHERE l.tenant = $1 AND l.application = $2 \
           AND NOT EXISTS (SELECT 1 FROM resources AS r WHERE r.tenant = $1 AND r.id = l.id AND r.type IN ('User', 'Group'))) AS a) AS n \
     ORDER BY n.id COLLATE \"C\" \
     ON CONFLICT (tenant, application, id) DO UPDATE SET generation = excluded.generation, priority = least(o.priority, excluded.priority), \
       due = excluded.due, attempts = 0, held = FALSE, verify = o.verify OR excluded.verify";

/// Applications of all tenants that are not suspended, where they have something to do now; who waited longest for a claim first.
pub(crate) const APPLICATIONS_WITH_WORK: &str = "SELECT a.tenant, a.application, \
       (SELECT count(*) FROM outbox AS l WHERE l.tenant = a.tenant AND l.application = a.application AND l.lease_until > 0 AND l.lease_until > $1), a.unanswered \
     FROM applications AS a WHERE a.state = 'live' AND a.paused_until <= $1 AND EXISTS (SELECT 1 FROM outbox AS o \
       WHERE o.tenant = a.tenant AND o.application = a.application AND NOT o.held AND o.due <= $1 AND o.lease_until <= $1) \
       AND EXISTS (SELECT 1 FROM tenants AS t WHERE t.tenant = a.tenant AND NOT coalesce((t.settings::JSONB ->> 'suspended')::BOOLEAN, FALSE)) \
     ORDER BY a.claimed, a.application";
/// One node claims for an application at a time, so that nobody counts leases that another is just taking.
pub(crate) const BEGIN_CLAIM: &str = "UPDATE applications SET claimed = $3 WHERE tenant = $1 AND application = $2 AND state = 'live' AND paused_until <= $3 RETURNING unanswered";
pub(crate) const COUNT_LEASED: &str = "SELECT count(*) FROM outbox WHERE tenant = $1 AND application = $2 AND lease_until > 0 AND lease_until > $3";
/// Leases entries that may be claimed. `$3` is now, `$4` the instant before which a Group has waited long enough; one that takes something away
/// (priority 0) waits for nobody. An entry that somebody is writing is left out.
pub(crate) const IS_SERVED: &str = "SELECT 1 FROM applications AS a JOIN tenants AS t ON t.tenant = a.tenant \
     WHERE a.tenant = $1 AND a.application = $2 AND a.state = 'live' AND a.paused_until <= $3 AND NOT coalesce((t.settings::JSONB ->> 'suspended')::BOOLEAN, FALSE)";
pub(crate) const IS_WAITING: &str =
    "SELECT 1 FROM outbox WHERE tenant = $1 AND application = $2 AND id = $3 AND NOT held";
/// Who has a value in an attribute that is a reference.
pub(crate) const LIST_REFERRERS: &str = "SELECT r.id FROM index_values AS v JOIN resources AS r ON r.tenant = v.tenant AND r.resource = v.resource \
     WHERE v.tenant = $1 AND v.attribute = $2 AND v.value = $3";
pub(crate) const LEASE: &str = "WITH ready AS ( \
       SELECT o.id, o.lease_until FROM outbox AS o \
       WHERE o.tenant = $1 AND o.application = $2 AND NOT o.held AND o.due <= $3 AND o.lease_until <= $3 \
         AND (o.type <> 'Group' OR o.priority = 0 OR o.waiting_since <= $4 OR NOT EXISTS (SELECT 1 FROM outbox AS u \
           WHERE u.tenant = $1 AND u.application = $2 AND u.type = 'User' AND u.attempts = 0 AND NOT u.held)) \
       ORDER BY o.priority, o.generation LIMIT $5 FOR UPDATE OF o SKIP LOCKED) \
     UPDATE outbox AS l SET fence = nextval('work_numbers'), lease_until = $6 FROM ready \
     WHERE l.tenant = $1 AND l.application = $2 AND l.id = ready.id \
     RETURNING l.id, l.type, l.generation, l.attempts, l.verify, ready.lease_until, l.fence, l.priority";
pub(crate) const RENEW: &str = "UPDATE outbox SET lease_until = $5 WHERE tenant = $1 AND application = $2 AND id = $3 AND fence = $4 AND lease_until > 0";
/// Whoever names an account and whoever waits for one see each other.
pub(crate) const LOCK_ACCOUNTS: &str = "SELECT pg_advisory_xact_lock(hashtextextended('rollcall accounts of tenant ' || $1::BIGINT || ' in ' || $2::BIGINT, 0))";
/// The generation of an entry whose lease is ours, and stays so until the commit.
pub(crate) const READ_LEASED: &str = "SELECT generation FROM outbox WHERE tenant = $1 AND application = $2 AND id = $3 AND fence = $4 AND lease_until > 0 FOR UPDATE";
pub(crate) const RELEASE: &str =
    "UPDATE outbox SET lease_until = 0 WHERE tenant = $1 AND application = $2 AND id = $3";
pub(crate) const RETRY: &str = "UPDATE outbox SET lease_until = 0, attempts = attempts + 1, due = $4 WHERE tenant = $1 AND application = $2 AND id = $3";
pub(crate) const HOLD: &str = "UPDATE outbox SET lease_until = 0, held = TRUE, attempts = attempts + 1 WHERE tenant = $1 AND application = $2 AND id = $3";
pub(crate) const FINISH: &str =
    "DELETE FROM outbox WHERE tenant = $1 AND application = $2 AND id = $3";

pub(crate) const READ_LINK: &str = "SELECT type, remote_id, state, acknowledged, members, updated FROM links \
     WHERE tenant = $1 AND application = $2 AND id = $3";
pub(crate) const WRITE_LINK: &str = "INSERT INTO links (tenant, application, id, type, remote_id, state, acknowledged, members, updated) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
     ON CONFLICT (tenant, application, id) DO UPDATE SET type = excluded.type, remote_id = excluded.remote_id, state = excluded.state, \
       acknowledged = excluded.acknowledged, members = excluded.members, updated = excluded.updated";
pub(crate) const REMOVE_LINK: &str =
    "DELETE FROM links WHERE tenant = $1 AND application = $2 AND id = $3";
pub(crate) const READ_REMOTE_IDS: &str = "SELECT id, remote_id FROM links WHERE tenant = $1 AND application = $2 AND id = ANY ($3) AND remote_id IS NOT NULL ORDER BY id COLLATE \"C\"";
pub(crate) const FIND_LINKED: &str = "SELECT id FROM links WHERE tenant = $1 AND application = $2 AND type = $3 AND md5(remote_id) = md5($4) AND remote_id = $4 LIMIT 1";

pub(crate) const FORGET_AWAITED: &str =
    "DELETE FROM awaits WHERE tenant = $1 AND application = $2 AND id = $3";
pub(crate) const AWAIT: &str = "INSERT INTO awaits (tenant, application, awaited, id, type) \
     SELECT $1, $2, a, $4, $5 FROM unnest($3::TEXT[]) AS a ON CONFLICT DO NOTHING";
pub(crate) const LIST_AWAITING: &str = "SELECT id, type FROM awaits WHERE tenant = $1 AND application = $2 AND awaited = $3 ORDER BY id COLLATE \"C\"";

pub(crate) const LOG: &str = "INSERT INTO provisioning_log (tenant, application, id, entry) \
     SELECT $1, $2, e.id, e.entry FROM unnest($3::TEXT[], $4::TEXT[]) WITH ORDINALITY AS e (id, entry, place) ORDER BY e.place";
/// Lines that may be there already.
pub(crate) const LOG_ONCE: &str = "INSERT INTO provisioning_log (tenant, application, id, entry) \
     SELECT $1, $2, e.id, e.entry FROM unnest($3::TEXT[], $4::TEXT[]) WITH ORDINALITY AS e (id, entry, place) \
     WHERE NOT EXISTS (SELECT 1 FROM provisioning_log AS l WHERE l.tenant = $1 AND l.application = $2 AND l.id = e.id AND l.entry = e.entry) \
     ORDER BY e.place";
/// The newest of a tenant, of one application where `$2` is one, about one resource where `$3` is one.
pub(crate) const READ_LOG: &str = "SELECT application, entry FROM provisioning_log WHERE tenant = $1 \
     AND ($2::BIGINT IS NULL OR application = $2) AND ($3::TEXT IS NULL OR id = $3) ORDER BY line DESC LIMIT $4";
/// The newest of the lines of an application that are more than `$3`.
pub(crate) const FIND_SURPLUS_LINE: &str = "SELECT line FROM provisioning_log WHERE tenant = $1 AND application = $2 ORDER BY line DESC LIMIT 1 OFFSET $3";
pub(crate) const LIST_OLDEST_LINES: &str = "SELECT line, entry FROM provisioning_log WHERE tenant = $1 AND application = $2 ORDER BY line LIMIT $3";
pub(crate) const FORGET_LINES: &str =
    "DELETE FROM provisioning_log WHERE tenant = $1 AND application = $2 AND line <= $3";
pub(crate) const STATUS: &str = "SELECT count(*) FILTER (WHERE NOT held AND attempts = 0), count(*) FILTER (WHERE NOT held AND attempts > 0), count(*) FILTER (WHERE held), \
       (SELECT count(*) FROM links AS l WHERE l.tenant = $1 AND l.application = $2 AND l.remote_id IS NOT NULL) \
     FROM outbox WHERE tenant = $1 AND application = $2";

/// What the test prepares.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    LOCK_TENANT,
    ADD_APPLICATION,
    FIND_ADDED_APPLICATION,
    LIST_APPLICATIONS,
    READ_APPLICATION,
    SET_APPLICATION_STATE,
    SET_APPLICATION_TOKEN,
    LOCK_APPLICATION_TO_REMOVE,
    PAUSE_APPLICATION,
    REST_APPLICATION,
    APPLICATION_ANSWERS,
    TENANTS_WITH_CHANGES,
    IS_SERVED,
    IS_WAITING,
    LIST_REFERRERS,
    READ_CHANGES,
    LOCK_DISPATCH,
    IS_DISPATCHED,
    MOVE_CURSOR,
    HOLD_APPLICATIONS,
    MARK,
    MARK_ALL,
    APPLICATIONS_WITH_WORK,
    BEGIN_CLAIM,
    COUNT_LEASED,
    LEASE,
    RENEW,
    LOCK_ACCOUNTS,
    READ_LEASED,
    RELEASE,
    RETRY,
    HOLD,
    FINISH,
    READ_LINK,
    WRITE_LINK,
    REMOVE_LINK,
    READ_REMOTE_IDS,
    FIND_LINKED,
    FORGET_AWAITED,
    AWAIT,
    LIST_AWAITING,
    LOG,
    LOG_ONCE,
    READ_LOG,
    FIND_SURPLUS_LINE,
    LIST_OLDEST_LINES,
    FORGET_LINES,
    STATUS,
];

#[cfg(test)]
mod tests {
    #[test]
    fn each_names_the_tenant() {
        let about_all = [super::TENANTS_WITH_CHANGES, super::APPLICATIONS_WITH_WORK];
        for statement in super::ALL
            .iter()
            .chain(super::REMOVE_APPLICATION)
            .filter(|statement| !about_all.contains(statement))
        {
            assert!(
                statement.contains("tenant") && statement.contains("$1"),
                "{statement}"
            );
        }
    }
}
