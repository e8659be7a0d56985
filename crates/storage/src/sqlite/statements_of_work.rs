//! The statements about applications and the work for them, by name. Each names the tenant, apart from the few that are about all tenants, and those
//! say so.

pub(crate) const ADD_APPLICATION: &str = "INSERT OR IGNORE INTO applications (tenant, name, base_url, token, state, settings, created) \
     SELECT tenant, ?2, ?3, ?4, ?5, ?6, ?7 FROM tenants WHERE tenant = ?1";
pub(crate) const LIST_APPLICATIONS: &str = "SELECT application, name, base_url, token, state, settings, created FROM applications WHERE tenant = ?1 ORDER BY name";
pub(crate) const READ_APPLICATION: &str = "SELECT application, name, base_url, token, state, settings, created FROM applications WHERE tenant = ?1 AND application = ?2";
pub(crate) const SET_APPLICATION_STATE: &str =
    "UPDATE applications SET state = ?3 WHERE tenant = ?1 AND application = ?2";
pub(crate) const NAME_OF_APPLICATION: &str =
    "SELECT name FROM applications WHERE tenant = ?1 AND application = ?2";
pub(crate) const SET_APPLICATION_TOKEN: &str =
    "UPDATE applications SET token = ?3 WHERE tenant = ?1 AND application = ?2";
/// Everything of an application, the application itself last.
pub(crate) const REMOVE_APPLICATION: &[&str] = &[
    "DELETE FROM outbox WHERE tenant = ?1 AND application = ?2",
    "DELETE FROM links WHERE tenant = ?1 AND application = ?2",
    "DELETE FROM awaits WHERE tenant = ?1 AND application = ?2",
    "DELETE FROM provisioning_log WHERE tenant = ?1 AND application = ?2",
    "DELETE FROM applications WHERE tenant = ?1 AND application = ?2",
];
pub(crate) const PAUSE_APPLICATION: &str = "UPDATE applications SET paused_until = max(paused_until, ?3) WHERE tenant = ?1 AND application = ?2";
/// It does not answer: it rests until `?4`.
pub(crate) const REST_APPLICATION: &str = "UPDATE applications SET unanswered = max(unanswered, ?3), paused_until = max(paused_until, ?4) \
     WHERE tenant = ?1 AND application = ?2";
/// It answers again.
pub(crate) const APPLICATION_ANSWERS: &str =
    "UPDATE applications SET unanswered = 0 WHERE tenant = ?1 AND application = ?2";

/// All tenants that are not suspended.
pub(crate) const TENANTS_WITH_CHANGES: &str = "SELECT tenant FROM tenants WHERE last_sequence > dispatched \
     AND NOT coalesce(json_extract(settings, '$.suspended'), 0) ORDER BY tenant";
pub(crate) const READ_CHANGES: &str = "SELECT sequence, type, id, version, at, kind, attributes FROM change_log \
     WHERE tenant = ?1 AND sequence > (SELECT dispatched FROM tenants WHERE tenant = ?1) ORDER BY sequence LIMIT ?2";
pub(crate) const MOVE_CURSOR: &str =
    "UPDATE tenants SET dispatched = max(dispatched, ?2) WHERE tenant = ?1";

/// A number that no generation and no fence of the application had before.
pub(crate) const NEXT_NUMBER: &str = "UPDATE applications SET last_number = last_number + 1 WHERE tenant = ?1 AND application = ?2 RETURNING last_number";
pub(crate) const MARK: &str = "INSERT INTO outbox (tenant, application, id, type, generation, priority, waiting_since, due, verify) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8) \
     ON CONFLICT (tenant, application, id) DO UPDATE SET generation = excluded.generation, priority = min(priority, excluded.priority), \
       due = excluded.due, attempts = 0, held = 0, verify = max(verify, excluded.verify)";
/// Users and Groups of the tenant, and whatever is linked.
pub(crate) const MARK_ALL: &str = "INSERT INTO outbox (tenant, application, id, type, generation, priority, waiting_since, due, verify) \
     SELECT ?1, ?2, id, type, ?3, CASE type WHEN 'User' THEN 2 ELSE 3 END, ?4, ?4, ?5 FROM ( \
       SELECT id, type FROM resources WHERE tenant = ?1 AND type IN ('User', 'Group') \
       UNION SELECT id, type FROM links WHERE tenant = ?1 AND application = ?2) \
     WHERE true \
     ON CONFLICT (tenant, application, id) DO UPDATE SET generation = excluded.generation, priority = min(priority, excluded.priority), \
       due = excluded.due, attempts = 0, held = 0, verify = max(verify, excluded.verify)";

/// Applications of all tenants that are not suspended, where they have something to do now; who waited longest for a claim first.
pub(crate) const APPLICATIONS_WITH_WORK: &str = "SELECT a.tenant, a.application, \
       (SELECT count(*) FROM outbox AS l WHERE l.tenant = a.tenant AND l.application = a.application AND l.lease_until > 0 AND l.lease_until > ?1), a.unanswered \
     FROM applications AS a WHERE a.state = 'live' AND a.paused_until <= ?1 AND EXISTS (SELECT 1 FROM outbox AS o \
       WHERE o.tenant = a.tenant AND o.application = a.application AND o.held = 0 AND o.due <= ?1 AND o.lease_until <= ?1) \
       AND EXISTS (SELECT 1 FROM tenants AS t WHERE t.tenant = a.tenant AND NOT coalesce(json_extract(t.settings, '$.suspended'), 0)) \
     ORDER BY a.claimed, a.application";
/// The entries of an application that may be claimed. `?3` is now, `?4` the instant before which a Group has waited long enough; one that takes
/// something away (priority 0) waits for nobody.
pub(crate) const LIST_READY: &str = "SELECT id, type, generation, attempts, verify, lease_until FROM outbox \
     WHERE tenant = ?1 AND application = ?2 AND held = 0 AND due <= ?3 AND lease_until <= ?3 \
       AND (type <> 'Group' OR priority = 0 OR waiting_since <= ?4 OR NOT EXISTS (SELECT 1 FROM outbox AS u \
         WHERE u.tenant = ?1 AND u.application = ?2 AND u.type = 'User' AND u.attempts = 0 AND u.held = 0)) \
     ORDER BY priority, generation LIMIT ?5";
pub(crate) const IS_SERVED: &str = "SELECT 1 FROM applications AS a JOIN tenants AS t ON t.tenant = a.tenant \
     WHERE a.tenant = ?1 AND a.application = ?2 AND a.state = 'live' AND a.paused_until <= ?3 AND NOT coalesce(json_extract(t.settings, '$.suspended'), 0)";
pub(crate) const IS_WAITING: &str =
    "SELECT 1 FROM outbox WHERE tenant = ?1 AND application = ?2 AND id = ?3 AND held = 0";
/// Who has a value in an attribute that is a reference.
pub(crate) const LIST_REFERRERS: &str = "SELECT r.id FROM index_values AS v JOIN resources AS r ON r.tenant = v.tenant AND r.resource = v.resource \
     WHERE v.tenant = ?1 AND v.attribute = ?2 AND v.value = ?3";
pub(crate) const LEASE: &str = "UPDATE outbox SET fence = ?4, lease_until = ?5 WHERE tenant = ?1 AND application = ?2 AND id = ?3";
pub(crate) const CLAIMED: &str =
    "UPDATE applications SET claimed = ?3 WHERE tenant = ?1 AND application = ?2";
pub(crate) const RENEW: &str = "UPDATE outbox SET lease_until = ?5 WHERE tenant = ?1 AND application = ?2 AND id = ?3 AND fence = ?4 AND lease_until > 0";
/// The generation of an entry whose lease is ours.
pub(crate) const READ_LEASED: &str = "SELECT generation FROM outbox WHERE tenant = ?1 AND application = ?2 AND id = ?3 AND fence = ?4 AND lease_until > 0";
pub(crate) const RELEASE: &str =
    "UPDATE outbox SET lease_until = 0 WHERE tenant = ?1 AND application = ?2 AND id = ?3";
/// Leases of all tenants end as if they had run out.
pub(crate) const END_LEASES: &str = "UPDATE outbox SET lease_until = 1 WHERE lease_until > 0";
pub(crate) const RETRY: &str = "UPDATE outbox SET lease_until = 0, attempts = attempts + 1, due = ?4 WHERE tenant = ?1 AND application = ?2 AND id = ?3";
pub(crate) const HOLD: &str = "UPDATE outbox SET lease_until = 0, held = 1, attempts = attempts + 1 WHERE tenant = ?1 AND application = ?2 AND id = ?3";
pub(crate) const FINISH: &str =
    "DELETE FROM outbox WHERE tenant = ?1 AND application = ?2 AND id = ?3";

pub(crate) const READ_LINK: &str = "SELECT type, remote_id, state, acknowledged, members, updated FROM links \
     WHERE tenant = ?1 AND application = ?2 AND id = ?3";
pub(crate) const WRITE_LINK: &str = "INSERT INTO links (tenant, application, id, type, remote_id, state, acknowledged, members, updated) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
     ON CONFLICT (tenant, application, id) DO UPDATE SET type = excluded.type, remote_id = excluded.remote_id, state = excluded.state, \
       acknowledged = excluded.acknowledged, members = excluded.members, updated = excluded.updated";
pub(crate) const REMOVE_LINK: &str =
    "DELETE FROM links WHERE tenant = ?1 AND application = ?2 AND id = ?3";
pub(crate) const READ_REMOTE_ID: &str = "SELECT remote_id FROM links WHERE tenant = ?1 AND application = ?2 AND id = ?3 AND remote_id IS NOT NULL";
pub(crate) const FIND_LINKED: &str = "SELECT id FROM links WHERE tenant = ?1 AND application = ?2 AND type = ?3 AND remote_id = ?4 LIMIT 1";

pub(crate) const FORGET_AWAITED: &str =
    "DELETE FROM awaits WHERE tenant = ?1 AND application = ?2 AND id = ?3";
pub(crate) const AWAIT: &str = "INSERT OR IGNORE INTO awaits (tenant, application, awaited, id, type) VALUES (?1, ?2, ?3, ?4, ?5)";
pub(crate) const LIST_AWAITING: &str =
    "SELECT id, type FROM awaits WHERE tenant = ?1 AND application = ?2 AND awaited = ?3";

/// A line about an application that is there.
pub(crate) const LOG: &str = "INSERT INTO provisioning_log (tenant, application, id, entry) \
     SELECT tenant, application, ?3, ?4 FROM applications WHERE tenant = ?1 AND application = ?2";
/// A line that may be there already.
pub(crate) const LOG_ONCE: &str = "INSERT INTO provisioning_log (tenant, application, id, entry) \
     SELECT tenant, application, ?3, ?4 FROM applications WHERE tenant = ?1 AND application = ?2 \
       AND NOT EXISTS (SELECT 1 FROM provisioning_log AS l WHERE l.tenant = ?1 AND l.application = ?2 AND l.id = ?3 AND l.entry = ?4)";
/// The newest of a tenant, of one application where `?2` is one, about one resource where `?3` is one.
pub(crate) const READ_LOG: &str = "SELECT application, entry FROM provisioning_log WHERE tenant = ?1 AND (?2 IS NULL OR application = ?2) \
     AND (?3 IS NULL OR id = ?3) ORDER BY line DESC LIMIT ?4";
/// The newest of the lines of an application that are more than `?3`.
pub(crate) const FIND_SURPLUS_LINE: &str = "SELECT line FROM provisioning_log WHERE tenant = ?1 AND application = ?2 ORDER BY line DESC LIMIT 1 OFFSET ?3";
pub(crate) const LIST_OLDEST_LINES: &str = "SELECT line, entry FROM provisioning_log WHERE tenant = ?1 AND application = ?2 ORDER BY line LIMIT ?3";
pub(crate) const FORGET_LINES: &str =
    "DELETE FROM provisioning_log WHERE tenant = ?1 AND application = ?2 AND line <= ?3";
pub(crate) const STATUS: &str = "SELECT count(*) FILTER (WHERE held = 0 AND attempts = 0), count(*) FILTER (WHERE held = 0 AND attempts > 0), count(*) FILTER (WHERE held = 1), \
       (SELECT count(*) FROM links AS l WHERE l.tenant = ?1 AND l.application = ?2 AND l.remote_id IS NOT NULL) \
     FROM outbox WHERE tenant = ?1 AND application = ?2";

/// What the test prepares.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    ADD_APPLICATION,
    LIST_APPLICATIONS,
    READ_APPLICATION,
    SET_APPLICATION_STATE,
    NAME_OF_APPLICATION,
    SET_APPLICATION_TOKEN,
    PAUSE_APPLICATION,
    REST_APPLICATION,
    APPLICATION_ANSWERS,
    TENANTS_WITH_CHANGES,
    READ_CHANGES,
    MOVE_CURSOR,
    NEXT_NUMBER,
    MARK,
    MARK_ALL,
    APPLICATIONS_WITH_WORK,
    IS_SERVED,
    IS_WAITING,
    LIST_REFERRERS,
    LIST_READY,
    LEASE,
    CLAIMED,
    RENEW,
    READ_LEASED,
    RELEASE,
    END_LEASES,
    RETRY,
    HOLD,
    FINISH,
    READ_LINK,
    WRITE_LINK,
    REMOVE_LINK,
    READ_REMOTE_ID,
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
