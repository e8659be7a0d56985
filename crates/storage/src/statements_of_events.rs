//! Statements about what happened, who is told of it, and the keys with which they are told. Runs none of them.

use crate::session::Statement;

pub(crate) static READ_WINDOW: Statement = Statement::new(
    "SELECT t.last_sequence, (SELECT min(c.sequence) FROM change_log AS c WHERE c.tenant = $1) FROM tenants AS t WHERE t.tenant = $1",
);
pub(crate) static READ_EVENTS: Statement = Statement::new(
    "SELECT sequence, change_id, type, id, version, at, kind, attributes FROM change_log WHERE tenant = $1 AND sequence > $2 ORDER BY sequence \
     LIMIT $3",
);
/// All tenants.
pub(crate) static TENANTS_WITH_OLD_EVENTS: Statement = Statement::new(
    "SELECT tenant FROM tenants AS t WHERE EXISTS (SELECT 1 FROM change_log AS c WHERE c.tenant = t.tenant AND c.sequence <= t.dispatched) \
     ORDER BY tenant",
);
pub(crate) static OLDEST_EVENTS: Statement = Statement::new(
    "SELECT sequence, at FROM change_log WHERE tenant = $1 ORDER BY sequence LIMIT $2",
);
/// What the outbox knows, and where the last of the receivers is.
pub(crate) static TRIM_LIMIT: Statement = Statement::new(
    "SELECT t.dispatched, (SELECT min(r.position) FROM receivers AS r WHERE r.tenant = $1) FROM tenants AS t WHERE t.tenant = $1",
);
pub(crate) static TRIM: Statement =
    Statement::new("DELETE FROM change_log WHERE tenant = $1 AND sequence <= $2");
pub(crate) static ADD_RECEIVER: Statement = Statement::new(
    "INSERT INTO receivers (tenant, name, kind, url, state, settings, secrets, created, position) SELECT $1::BIGINT, $2::TEXT, $3::TEXT, \
     $4::TEXT, 'live', $5::TEXT, $6::BYTEA, $7::BIGINT, CASE WHEN $8::BIGINT = 1 THEN coalesce((SELECT min(c.sequence) - 1 FROM change_log AS c \
     WHERE c.tenant = $1), t.last_sequence) ELSE t.last_sequence END FROM tenants AS t WHERE t.tenant = $1 ON CONFLICT DO NOTHING RETURNING \
     receiver",
);
pub(crate) static LIST_RECEIVERS: Statement = Statement::new(
    "SELECT r.receiver, r.tenant, t.name, r.name, r.kind, r.url, r.state, r.settings, r.secrets, r.created, r.position, r.attempts, r.due, \
     r.last_error, r.last_delivered, r.fence FROM receivers AS r JOIN tenants AS t ON t.tenant = r.tenant WHERE r.tenant = $1 ORDER BY r.name \
     COLLATE \"C\"",
);
pub(crate) static READ_RECEIVER: Statement = Statement::new(
    "SELECT r.receiver, r.tenant, t.name, r.name, r.kind, r.url, r.state, r.settings, r.secrets, r.created, r.position, r.attempts, r.due, \
     r.last_error, r.last_delivered, r.fence FROM receivers AS r JOIN tenants AS t ON t.tenant = r.tenant WHERE r.tenant = $1 AND r.receiver = \
     $2",
);
pub(crate) static SET_RECEIVER_STATE: Statement = Statement::new(
    "UPDATE receivers SET state = $3, due = 0, attempts = 0 WHERE tenant = $1 AND receiver = $2",
);
pub(crate) static SET_RECEIVER_SECRETS: Statement = Statement::new(
    "UPDATE receivers SET secrets = $3, due = 0 WHERE tenant = $1 AND receiver = $2",
);
pub(crate) static REMOVE_PARCELS: Statement =
    Statement::new("DELETE FROM parcels WHERE tenant = $1 AND receiver = $2");
pub(crate) static REMOVE_CHOSEN: Statement =
    Statement::new("DELETE FROM chosen_resources WHERE tenant = $1 AND receiver = $2");
pub(crate) static REMOVE_RECEIVER: Statement =
    Statement::new("DELETE FROM receivers WHERE tenant = $1 AND receiver = $2");
pub(crate) static FIND_VERSION: Statement = Statement::new(
    "SELECT version FROM resources WHERE tenant = $1 AND id = $2 AND type = $3 FOR UPDATE",
);
pub(crate) static CHOOSE: Statement = Statement::new(
    "INSERT INTO chosen_resources (tenant, receiver, id) SELECT $1::BIGINT, receiver, $3::TEXT FROM receivers WHERE tenant = $1 AND receiver = \
     $2 ON CONFLICT DO NOTHING",
);
pub(crate) static UNCHOOSE: Statement =
    Statement::new("DELETE FROM chosen_resources WHERE tenant = $1 AND receiver = $2 AND id = $3");
/// Receivers of all tenants that something is to be sent to.
pub(crate) static WITH_EVENTS: Statement = Statement::new(
    "SELECT r.tenant, r.receiver, r.attempts FROM receivers AS r JOIN tenants AS t ON t.tenant = r.tenant WHERE r.kind <> 'poll' AND r.state = 'live' AND \
     r.lease_until <= $1 AND r.due <= $1 AND (r.position < t.last_sequence OR EXISTS (SELECT 1 FROM parcels AS p WHERE p.tenant = r.tenant AND \
     p.receiver = r.receiver AND p.state = 'again')) AND NOT coalesce((t.settings::JSONB ->> 'suspended')::BOOLEAN, FALSE) ORDER BY r.due, r.receiver LIMIT $2",
);
pub(crate) static LEASE_RECEIVER: Statement = Statement::new(
    "UPDATE receivers SET fence = fence + 1, lease_until = $4 WHERE tenant = $1 AND receiver = $2 AND lease_until <= $3 AND state = 'live'",
);
pub(crate) static DELIVERED: Statement = Statement::new(
    "UPDATE receivers SET position = greatest(position, $4), attempts = 0, due = 0, last_error = '', last_delivered = greatest(last_delivered, \
     $5), lease_until = $6 WHERE tenant = $1 AND receiver = $2 AND fence = $3 RETURNING state",
);
pub(crate) static TRY_LATER: Statement = Statement::new(
    "UPDATE receivers SET attempts = attempts + 1, due = $4, last_error = $5, lease_until = 0 WHERE tenant = $1 AND receiver = $2 AND fence = \
     $3 RETURNING state",
);
pub(crate) static PUT_ASIDE: Statement = Statement::new(
    "UPDATE receivers SET position = greatest(position, $4), attempts = 0, due = 0, last_error = $5, lease_until = $6 WHERE tenant = $1 AND \
     receiver = $2 AND fence = $3 RETURNING state",
);
pub(crate) static PAUSE: Statement = Statement::new(
    "UPDATE receivers SET state = 'paused', last_error = $4, lease_until = 0 WHERE tenant = $1 AND receiver = $2 AND fence = $3 RETURNING state",
);
pub(crate) static READ_FENCE: Statement = Statement::new(
    "SELECT state FROM receivers WHERE tenant = $1 AND receiver = $2 AND fence = $3 FOR UPDATE",
);
pub(crate) static ADD_PARCEL: Statement = Statement::new(
    "INSERT INTO parcels (tenant, receiver, sequence, state, attempts, counted, error, event) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON \
     CONFLICT (tenant, receiver, sequence) DO UPDATE SET state = excluded.state, attempts = excluded.attempts, error = excluded.error, counted \
     = excluded.counted",
);
pub(crate) static LIST_PARCELS: Statement = Statement::new(
    "SELECT state, attempts, error, event, counted FROM parcels WHERE tenant = $1 AND receiver = $2 AND state = $3 ORDER BY sequence LIMIT $4",
);
pub(crate) static REDELIVER: Statement = Statement::new(
    "UPDATE parcels SET state = 'again', attempts = 0 WHERE tenant = $1 AND receiver = $2 AND state = 'put-aside' AND ($3::BIGINT = 0 OR \
     sequence = $3)",
);
pub(crate) static DUE_AT_ONCE: Statement =
    Statement::new("UPDATE receivers SET due = 0 WHERE tenant = $1 AND receiver = $2");
pub(crate) static DISCARD: Statement = Statement::new(
    "DELETE FROM parcels WHERE tenant = $1 AND receiver = $2 AND state = 'put-aside' AND ($3::BIGINT = 0 OR sequence = $3)",
);
pub(crate) static REMOVE_PARCEL: Statement =
    Statement::new("DELETE FROM parcels WHERE tenant = $1 AND receiver = $2 AND sequence = $3");
pub(crate) static READ_PARCEL: Statement = Statement::new(
    "SELECT state, attempts, error, event, counted FROM parcels WHERE tenant = $1 AND receiver = $2 AND sequence = $3",
);
pub(crate) static FAIL_PARCEL: Statement = Statement::new(
    "UPDATE parcels SET state = 'put-aside', attempts = attempts + 1, error = $4 WHERE tenant = $1 AND receiver = $2 AND sequence = $3",
);
pub(crate) static LIST_HANDED_OUT: Statement = Statement::new(
    "SELECT state, attempts, error, event, counted FROM parcels WHERE tenant = $1 AND receiver = $2 AND state IN ('again', 'handed-out') ORDER \
     BY sequence LIMIT $3",
);
pub(crate) static LOCK_RECEIVER: Statement = Statement::new(
    "SELECT position FROM receivers WHERE tenant = $1 AND receiver = $2 AND state = 'live' FOR UPDATE",
);
pub(crate) static POLLED: Statement = Statement::new(
    "UPDATE receivers SET position = greatest(position, $3), last_delivered = greatest(last_delivered, $4) WHERE tenant = $1 AND receiver = $2",
);
pub(crate) static ADD_KEY: Statement = Statement::new(
    "INSERT INTO signing_keys (tenant, key_id, private_key, public_key, created) VALUES ($1, $2, $3, $4, $5)",
);
pub(crate) static SIGNING_KEY: Statement = Statement::new(
    "SELECT key_id, private_key, created FROM signing_keys WHERE tenant = $1 AND retired = 0 ORDER BY created DESC, key_id LIMIT 1",
);
pub(crate) static LIST_KEYS: Statement = Statement::new(
    "SELECT key_id, public_key, created, retired FROM signing_keys WHERE tenant = $1 AND (retired = 0 OR retired > $2) ORDER BY created DESC, \
     key_id",
);
pub(crate) static RETIRE_KEYS: Statement =
    Statement::new("UPDATE signing_keys SET retired = $2 WHERE tenant = $1 AND retired = 0");
pub(crate) static FORGET_KEYS: Statement =
    Statement::new("DELETE FROM signing_keys WHERE tenant = $1 AND retired > 0 AND retired <= $2");
pub(crate) static LIST_CHOSEN: Statement = Statement::new(
    "SELECT id FROM chosen_resources WHERE tenant = $1 AND receiver = $2 AND id = ANY ($3)",
);
/// No other transaction makes or retires a key of the tenant until the commit.
pub(crate) static LOCK_TENANT: Statement =
    Statement::new("SELECT tenant FROM tenants WHERE tenant = $1 FOR UPDATE");
/// A choice changes no resource, so it depends on no types. Its sequence is that of `NEXT_OF_CHOICE`.
pub(crate) static LOG_CHOICE: Statement = Statement::new(
    "INSERT INTO change_log (tenant, sequence, change_id, type, id, version, at, kind, attributes) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
);
/// The tenant's row stays locked until the commit, so change n + 1 is not read before n.
pub(crate) static NEXT_OF_CHOICE: Statement = Statement::new(
    "UPDATE tenants SET last_sequence = last_sequence + 1 WHERE tenant = $1 RETURNING last_sequence",
);

/// All of them, for the tests that prepare each.
#[cfg(test)]
pub(crate) static ALL: &[&Statement] = &[
    &READ_WINDOW,
    &READ_EVENTS,
    &TENANTS_WITH_OLD_EVENTS,
    &OLDEST_EVENTS,
    &TRIM_LIMIT,
    &TRIM,
    &ADD_RECEIVER,
    &LIST_RECEIVERS,
    &READ_RECEIVER,
    &SET_RECEIVER_STATE,
    &SET_RECEIVER_SECRETS,
    &REMOVE_PARCELS,
    &REMOVE_CHOSEN,
    &REMOVE_RECEIVER,
    &FIND_VERSION,
    &CHOOSE,
    &UNCHOOSE,
    &WITH_EVENTS,
    &LEASE_RECEIVER,
    &DELIVERED,
    &TRY_LATER,
    &PUT_ASIDE,
    &PAUSE,
    &READ_FENCE,
    &ADD_PARCEL,
    &LIST_PARCELS,
    &REDELIVER,
    &DUE_AT_ONCE,
    &DISCARD,
    &REMOVE_PARCEL,
    &READ_PARCEL,
    &FAIL_PARCEL,
    &LIST_HANDED_OUT,
    &LOCK_RECEIVER,
    &POLLED,
    &ADD_KEY,
    &SIGNING_KEY,
    &LIST_KEYS,
    &RETIRE_KEYS,
    &FORGET_KEYS,
    &LIST_CHOSEN,
    &LOCK_TENANT,
    &LOG_CHOICE,
    &NEXT_OF_CHOICE,
];
