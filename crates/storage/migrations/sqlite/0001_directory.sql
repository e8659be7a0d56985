-- Tenants, tokens and identities. The tenant is the first column of every key. Instants are microseconds since 1970.

CREATE TABLE tenants (
    tenant        INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    created       INTEGER NOT NULL,
    settings      TEXT    NOT NULL,
    last_sequence INTEGER NOT NULL DEFAULT 0, -- of the newest change in change_log
    dispatched    INTEGER NOT NULL DEFAULT 0  -- of the newest change that the outbox knows
) STRICT;

CREATE TABLE tokens (
    tenant    INTEGER NOT NULL REFERENCES tenants,
    id        TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    hash      BLOB    NOT NULL,
    created   INTEGER NOT NULL,
    expires   INTEGER,
    revoked   INTEGER,
    last_used INTEGER,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX tokens_by_hash ON tokens (tenant, hash);

CREATE TABLE resources (
    resource INTEGER PRIMARY KEY, -- grows, so its order is that of creation
    tenant   INTEGER NOT NULL,
    type     TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    created  INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    display  TEXT    NOT NULL, -- what people call it
    entries  BLOB    NOT NULL, -- its rows in unique_values and index_values, so that a change touches only those that differ
    document TEXT    NOT NULL  -- JSON
) STRICT;
CREATE UNIQUE INDEX resources_by_id ON resources (tenant, id);
CREATE INDEX resources_by_type ON resources (tenant, type, resource);
CREATE INDEX resources_by_modified ON resources (tenant, type, modified); -- what changed since

-- No foreign keys here: a commit keeps these rows, and a check on delete would need an index that nothing else wants.
-- `attribute` is the key of a type's attribute (rows.rs), `value` a key that sorts like the value (scim_protocol::filter).
CREATE TABLE unique_values (
    tenant    INTEGER NOT NULL,
    attribute INTEGER NOT NULL,
    value     BLOB    NOT NULL,
    resource  INTEGER NOT NULL,
    PRIMARY KEY (tenant, attribute, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE index_values (
    tenant    INTEGER NOT NULL,
    attribute INTEGER NOT NULL,
    value     BLOB    NOT NULL,
    resource  INTEGER NOT NULL,
    PRIMARY KEY (tenant, attribute, value, resource)
) STRICT, WITHOUT ROWID;

CREATE TABLE memberships (
    tenant          INTEGER NOT NULL,
    group_resource  INTEGER NOT NULL,
    member_resource INTEGER NOT NULL,
    PRIMARY KEY (tenant, group_resource, member_resource)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_by_member ON memberships (tenant, member_resource, group_resource);

CREATE TABLE change_log (
    tenant    INTEGER NOT NULL,
    sequence  INTEGER NOT NULL,
    change_id BLOB    NOT NULL, -- one for all rows of a change set
    type      TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    version   INTEGER NOT NULL, -- 0: deleted
    at        INTEGER NOT NULL,
    PRIMARY KEY (tenant, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX change_log_by_change_id ON change_log (tenant, change_id);
