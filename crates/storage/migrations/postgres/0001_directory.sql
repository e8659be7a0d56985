-- Tenants, tokens and identities. The tenant is the first column of every key. Instants are microseconds since 1970.

CREATE TABLE tenants (
    tenant        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    created       BIGINT NOT NULL,
    settings      TEXT    NOT NULL,
    last_sequence BIGINT NOT NULL DEFAULT 0, -- of the newest change in change_log
    dispatched    BIGINT NOT NULL DEFAULT 0  -- of the newest change that the outbox knows
);

CREATE TABLE tokens (
    tenant    BIGINT NOT NULL REFERENCES tenants,
    id        TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    hash      BYTEA   NOT NULL,
    created   BIGINT NOT NULL,
    expires   BIGINT,
    revoked   BIGINT,
    last_used BIGINT,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX tokens_by_hash ON tokens (tenant, hash);

CREATE TABLE resources (
    resource BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- grows, so its order is that of creation
    tenant   BIGINT NOT NULL,
    type     TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    version  BIGINT NOT NULL,
    created  BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    display  TEXT    NOT NULL, -- what people call it
    entries  BYTEA   NOT NULL, -- its rows in unique_values and index_values, so that a change touches only those that differ
    document TEXT    NOT NULL  -- JSON, with the order of its members, which JSONB would lose
);
CREATE UNIQUE INDEX resources_by_id ON resources (tenant, id);
CREATE INDEX resources_by_type ON resources (tenant, type, resource);
CREATE INDEX resources_by_modified ON resources (tenant, type, modified); -- what changed since

-- No foreign keys here: a commit keeps these rows, and a check on delete would need an index that nothing else wants.
-- `attribute` is the key of a type's attribute (rows.rs), `value` a key that sorts like the value (scim_protocol::filter).
CREATE TABLE unique_values (
    tenant    BIGINT NOT NULL,
    attribute BIGINT NOT NULL,
    value     BYTEA   NOT NULL,
    resource  BIGINT NOT NULL,
    PRIMARY KEY (tenant, attribute, value)
);

CREATE TABLE index_values (
    tenant    BIGINT NOT NULL,
    attribute BIGINT NOT NULL,
    value     BYTEA   NOT NULL,
    resource  BIGINT NOT NULL,
    PRIMARY KEY (tenant, attribute, value, resource)
);

CREATE TABLE memberships (
    tenant          BIGINT NOT NULL,
    group_resource  BIGINT NOT NULL,
    member_resource BIGINT NOT NULL,
    PRIMARY KEY (tenant, group_resource, member_resource)
);
CREATE INDEX memberships_by_member ON memberships (tenant, member_resource, group_resource);

CREATE TABLE change_log (
    tenant    BIGINT NOT NULL,
    sequence  BIGINT NOT NULL,
    change_id BYTEA   NOT NULL, -- one for all rows of a change set
    type      TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    version   BIGINT NOT NULL, -- 0: deleted
    at        BIGINT NOT NULL,
    PRIMARY KEY (tenant, sequence)
);
CREATE INDEX change_log_by_change_id ON change_log (tenant, change_id);
