//! Every statement of the PostgreSQL back end by name; generated ones are in `filter_sql.rs`. Each names the tenant, apart from the few that are about
//! all tenants, and those say so. Many rows travel as arrays, so that a statement's cost in round trips does not depend on how many there are.

/// Held until the migrations are committed, so that nodes that start together run them once. The number is arbitrary ("rollcall" in ASCII).
pub(crate) const LOCK_MIGRATIONS: &str = "SELECT pg_advisory_xact_lock(8245929673105632364)";
pub(crate) const MAKE_MIGRATIONS: &str = "CREATE TABLE IF NOT EXISTS migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum BYTEA NOT NULL)";
pub(crate) const READ_MIGRATIONS: &str = "SELECT number, checksum FROM migrations ORDER BY number";
pub(crate) const RECORD_MIGRATION: &str =
    "INSERT INTO migrations (number, name, checksum) VALUES ($1, $2, $3)";

/// Hear of the commits of other nodes; about all tenants.
pub(crate) const LISTEN: &str = "LISTEN rollcall_committed";
/// Tell other nodes of a commit; about all tenants.
pub(crate) const NOTIFY: &str = "NOTIFY rollcall_committed";

/// Every commit shares this lock of its tenant, a change of types has it alone: the one that waits goes first, and no resource is locked yet while it is waited
/// for. The first number is arbitrary ("type" in ASCII).
pub(crate) const SHARE_TYPES: &str =
    "SELECT pg_advisory_xact_lock_shared(1954115685, ($1::BIGINT % 2147483647)::INTEGER) AS tenant";
/// What was committed under one of these change ids before.
pub(crate) const FIND_CHANGES: &str = "SELECT change_id, type, id, version, at FROM change_log WHERE tenant = $1 AND change_id = ANY ($2) ORDER BY sequence";
/// The last statement that writes for many. The tenant's row stays locked until the commit, which is near, and so change n + 1 is not read before n.
pub(crate) const LOG_CHANGES: &str = "WITH counter AS ( \
       UPDATE tenants SET last_sequence = last_sequence + cardinality($3::BYTEA[]) WHERE tenant = $1 AND types_revision = $2 \
       RETURNING last_sequence - cardinality($3::BYTEA[]) AS before) \
     INSERT INTO change_log (tenant, sequence, change_id, type, id, version, at, kind, attributes, credential) \
     SELECT $1, counter.before + c.place, c.change_id, c.type, c.id, c.version, c.at, c.kind, c.attributes, c.credential \
     FROM counter, unnest($3::BYTEA[], $4::TEXT[], $5::TEXT[], $6::BIGINT[], $7::BIGINT[], $8::BIGINT[], $9::TEXT[], $10::TEXT[]) \
       WITH ORDINALITY AS c (change_id, type, id, version, at, kind, attributes, credential, place)";

/// The keys come in the order of the arrays.
pub(crate) const CREATE_RESOURCES: &str = "WITH made AS ( \
       INSERT INTO resources (tenant, type, id, version, created, modified, display, entries, document) \
       SELECT $1, n.type, n.id, 1, n.at, n.at, n.display, n.entries, n.document \
       FROM unnest($2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::TEXT[], $6::BYTEA[], $7::TEXT[]) AS n (type, id, at, display, entries, document) \
       RETURNING id, resource) \
     SELECT made.resource FROM made JOIN unnest($3::TEXT[]) WITH ORDINALITY AS n (id, place) ON n.id = made.id ORDER BY n.place";
pub(crate) const CREATE_RESOURCE: &str = "INSERT INTO resources (tenant, type, id, version, created, modified, display, entries, document) \
     VALUES ($1, $2, $3, 1, $4, $4, $5, $6, $7) RETURNING resource";
/// As it is: what became of it.
pub(crate) const READ_HEAD: &str = "SELECT resource, type, version, created, modified FROM resources WHERE tenant = $1 AND id = $2";
/// To change it: others may refer to it meanwhile, but not change it.
pub(crate) const LOCK_HEAD_TO_UPDATE: &str = "SELECT resource, type, version, created, modified FROM resources WHERE tenant = $1 AND id = $2 FOR NO KEY UPDATE";
/// To delete it: it cannot be made a member meanwhile.
pub(crate) const LOCK_HEAD_TO_DELETE: &str = "SELECT resource, type, version, created, modified FROM resources WHERE tenant = $1 AND id = $2 FOR UPDATE";
pub(crate) const READ_BODY: &str =
    "SELECT display, entries, document FROM resources WHERE tenant = $1 AND resource = $2";
pub(crate) const UPDATE_BODY: &str = "UPDATE resources SET version = version + 1, modified = $4, display = $5, entries = $6, document = $7 \
     WHERE tenant = $1 AND resource = $2 AND version = $3";
pub(crate) const UPDATE_VERSIONS: &str = "UPDATE resources SET version = version + 1, modified = $3 \
     WHERE tenant = $1 AND resource = ANY ($2) RETURNING resource, version, type, id";
pub(crate) const DELETE_RESOURCE: &str =
    "DELETE FROM resources WHERE tenant = $1 AND resource = $2";

/// In the order of the values, so that two commits which want the same ones wait for each other and do not block each other.
pub(crate) const TAKE_VALUES: &str = "INSERT INTO unique_values (tenant, attribute, value, resource) \
     SELECT $1, v.attribute, v.value, v.resource FROM unnest($2::BIGINT[], $3::BYTEA[], $4::BIGINT[]) AS v (attribute, value, resource) \
     ORDER BY v.attribute, v.value, v.resource ON CONFLICT DO NOTHING RETURNING attribute, value, resource";
pub(crate) const RELEASE_VALUES: &str = "DELETE FROM unique_values AS u USING unnest($2::BIGINT[], $3::BYTEA[]) AS v (attribute, value) \
     WHERE u.tenant = $1 AND u.attribute = v.attribute AND u.value = v.value AND u.resource = $4";
/// Until the end of the transaction no other one of the tenant looks whether this value of the attribute is free.
pub(crate) const LOCK_VALUE: &str = "SELECT pg_advisory_xact_lock(hashtextextended(\
     'rollcall value of tenant ' || $1::BIGINT || ' ' || $2::BIGINT || ' ' || encode($3::BYTEA, 'hex'), 0))";
/// Whether another resource has the value.
pub(crate) const HAS_ANOTHER: &str = "SELECT 1 FROM index_values WHERE tenant = $1 AND attribute = $2 AND value = $3 AND resource <> $4 LIMIT 1";
pub(crate) const ADD_VALUES: &str = "INSERT INTO index_values (tenant, attribute, value, resource) \
     SELECT $1, v.attribute, v.value, v.resource FROM unnest($2::BIGINT[], $3::BYTEA[], $4::BIGINT[]) AS v (attribute, value, resource) \
     ON CONFLICT DO NOTHING";
pub(crate) const REMOVE_VALUES: &str = "DELETE FROM index_values AS i USING unnest($2::BIGINT[], $3::BYTEA[]) AS v (attribute, value) \
     WHERE i.tenant = $1 AND i.attribute = v.attribute AND i.value = v.value AND i.resource = $4";

/// Members to add are held against being deleted until the commit.
pub(crate) const LOCK_MEMBERS: &str = "SELECT id, resource FROM resources WHERE tenant = $1 AND id = ANY ($2) ORDER BY resource FOR KEY SHARE";
/// The three below: how many they were, and the history of it ($4: the group's id, $5: its next version, $6: whether history is kept).
pub(crate) const ADD_MEMBERS: &str = "WITH new AS (INSERT INTO memberships (tenant, group_resource, member_resource) \
       SELECT $1, $2, m FROM unnest($3::BIGINT[]) AS m ON CONFLICT DO NOTHING RETURNING member_resource), \
     kept AS (INSERT INTO member_history (tenant, group_id, version, member_id, joined) SELECT $1, $4::TEXT, $5::BIGINT, r.id, 1 \
       FROM new JOIN resources AS r ON r.tenant = $1 AND r.resource = new.member_resource WHERE $6::BOOLEAN ON CONFLICT DO NOTHING) \
     SELECT count(*) FROM new";
pub(crate) const REMOVE_MEMBERS: &str = "WITH gone AS (DELETE FROM memberships AS m USING resources AS r \
       WHERE m.tenant = $1 AND m.group_resource = $2 AND r.tenant = $1 AND r.id = ANY ($3) AND m.member_resource = r.resource \
       RETURNING r.id), \
     kept AS (INSERT INTO member_history (tenant, group_id, version, member_id, joined) SELECT $1, $4::TEXT, $5::BIGINT, gone.id, 0 \
       FROM gone WHERE $6::BOOLEAN ON CONFLICT DO NOTHING) \
     SELECT count(*) FROM gone";
pub(crate) const REMOVE_OTHER_MEMBERS: &str = "WITH gone AS (DELETE FROM memberships \
       WHERE tenant = $1 AND group_resource = $2 AND member_resource <> ALL ($3) RETURNING member_resource), \
     kept AS (INSERT INTO member_history (tenant, group_id, version, member_id, joined) SELECT $1, $4::TEXT, $5::BIGINT, r.id, 0 \
       FROM gone JOIN resources AS r ON r.tenant = $1 AND r.resource = gone.member_resource WHERE $6::BOOLEAN ON CONFLICT DO NOTHING) \
     SELECT count(*) FROM gone";
/// The groups of a resource that is about to be deleted, locked in one order for all.
pub(crate) const LOCK_GROUPS: &str = "SELECT resource, modified, created FROM resources WHERE tenant = $1 AND resource <> $2 \
     AND resource IN (SELECT group_resource FROM memberships WHERE tenant = $1 AND member_resource = $2) ORDER BY resource FOR NO KEY UPDATE";
pub(crate) const LEAVE_GROUPS: &str =
    "DELETE FROM memberships WHERE tenant = $1 AND member_resource = $2 RETURNING group_resource";

/// What a remembered count belongs to.
pub(crate) const READ_STATE: &str = "SELECT created, last_sequence FROM tenants WHERE tenant = $1";
pub(crate) const READ_RESOURCE: &str = "SELECT resource, type, id, version, created, modified, document FROM resources WHERE tenant = $1 AND id = $2 AND type = $3";
pub(crate) const READ_BY_KEYS: &str = "SELECT resource, type, id, version, created, modified, document FROM resources WHERE tenant = $1 AND resource = ANY ($2)";
pub(crate) const READ_MEMBERS: &str = "SELECT m.group_resource, r.id, r.type, r.display, TRUE AS direct FROM memberships AS m \
     JOIN resources AS r ON r.tenant = m.tenant AND r.resource = m.member_resource \
     WHERE m.tenant = $1 AND m.group_resource = ANY ($2) ORDER BY m.group_resource, m.member_resource";
pub(crate) const COUNT_MEMBERS: &str = "SELECT count(*) FROM (SELECT 1 FROM memberships WHERE tenant = $1 \
     AND group_resource = (SELECT resource FROM resources WHERE tenant = $1 AND id = $2) LIMIT $3) AS counted";
/// Upwards; `UNION` makes circles of groups harmless.
pub(crate) const READ_GROUPS: &str = "WITH RECURSIVE above (start, g) AS ( \
       SELECT member_resource, group_resource FROM memberships WHERE tenant = $1 AND member_resource = ANY ($2) \
       UNION SELECT above.start, m.group_resource FROM memberships AS m JOIN above ON m.member_resource = above.g WHERE m.tenant = $1) \
     SELECT above.start, r.id, r.type, r.display, EXISTS (SELECT 1 FROM memberships AS d \
       WHERE d.tenant = $1 AND d.group_resource = above.g AND d.member_resource = above.start) AS direct \
     FROM above JOIN resources AS r ON r.tenant = $1 AND r.resource = above.g \
     WHERE above.g <> above.start ORDER BY above.start, direct DESC, above.g";

/// What the test prepares; the lock, the making of `migrations`, `LISTEN` and `NOTIFY` are run on every start.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    READ_MIGRATIONS,
    RECORD_MIGRATION,
    SHARE_TYPES,
    FIND_CHANGES,
    LOG_CHANGES,
    CREATE_RESOURCE,
    CREATE_RESOURCES,
    READ_HEAD,
    LOCK_HEAD_TO_UPDATE,
    LOCK_HEAD_TO_DELETE,
    READ_BODY,
    UPDATE_BODY,
    UPDATE_VERSIONS,
    DELETE_RESOURCE,
    TAKE_VALUES,
    RELEASE_VALUES,
    ADD_VALUES,
    LOCK_VALUE,
    HAS_ANOTHER,
    REMOVE_VALUES,
    LOCK_MEMBERS,
    ADD_MEMBERS,
    REMOVE_MEMBERS,
    REMOVE_OTHER_MEMBERS,
    LOCK_GROUPS,
    LEAVE_GROUPS,
    READ_STATE,
    READ_RESOURCE,
    READ_BY_KEYS,
    READ_MEMBERS,
    COUNT_MEMBERS,
    READ_GROUPS,
];

#[cfg(test)]
mod tests {
    #[test]
    fn each_names_the_tenant() {
        for statement in super::ALL
            .iter()
            .chain(crate::postgres::statements_of_safety::ALL)
        {
            assert!(
                statement.contains("tenant") || statement.contains("migrations"),
                "{statement}"
            );
        }
    }
}
