-- What was, what is counted, what waits. Instants are microseconds since 1970, minutes count from 1970.

ALTER TABLE change_log ADD COLUMN credential TEXT NOT NULL DEFAULT '';
CREATE INDEX change_log_by_at ON change_log (tenant, at);

-- One row for every change of a resource that was there before: a create needs none.
CREATE TABLE history (
    tenant     BIGINT NOT NULL,
    id         TEXT    NOT NULL,
    version    BIGINT NOT NULL, -- that the change made; a deletion makes one too
    type       TEXT    NOT NULL,
    kind       TEXT    NOT NULL, -- update, members, delete, restore
    at         BIGINT NOT NULL,
    since      BIGINT NOT NULL, -- when what was before it began
    created    BIGINT NOT NULL,
    change_id  BYTEA   NOT NULL,
    credential TEXT    NOT NULL,
    document   TEXT              -- what was before, where the change replaced it
);
CREATE UNIQUE INDEX history_by_id ON history (tenant, id, version);
CREATE INDEX history_by_at ON history (tenant, at);

-- Members that joined and left, one row each, never a list.
CREATE TABLE member_history (
    tenant    BIGINT NOT NULL,
    group_id  TEXT    NOT NULL,
    version   BIGINT NOT NULL, -- of the group
    member_id TEXT    NOT NULL,
    joined    BIGINT NOT NULL, -- 1, or 0 where it left
    PRIMARY KEY (tenant, group_id, version, member_id)
);

CREATE TABLE tombstones (
    tenant      BIGINT NOT NULL,
    id          TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    version     BIGINT NOT NULL,
    created     BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    change_id   BYTEA   NOT NULL,
    credential  TEXT    NOT NULL,
    display     TEXT    NOT NULL,
    user_name   TEXT, -- in lower case
    external_id TEXT,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX tombstones_by_at ON tombstones (tenant, at);
CREATE INDEX tombstones_by_user_name ON tombstones (tenant, type, user_name) WHERE user_name IS NOT NULL;
CREATE INDEX tombstones_by_external_id ON tombstones (tenant, type, external_id) WHERE external_id IS NOT NULL;

-- Removals by minute, so that a window is a sum of at most as many rows as it has minutes.
CREATE TABLE guard_counts (
    tenant  BIGINT NOT NULL,
    removal TEXT    NOT NULL,
    minute  BIGINT NOT NULL,
    count   BIGINT NOT NULL,
    PRIMARY KEY (tenant, removal, minute)
);

-- What an administrator lets through.
CREATE TABLE guard_allowances (
    tenant    BIGINT NOT NULL,
    removal   TEXT    NOT NULL,
    remaining BIGINT NOT NULL,
    expires   BIGINT NOT NULL,
    PRIMARY KEY (tenant, removal)
);

-- Writes that the guard holds although their clients were told that they are done.
CREATE TABLE parked (
    tenant     BIGINT NOT NULL,
    parked     TEXT    NOT NULL,
    at         BIGINT NOT NULL,
    credential TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    id         TEXT    NOT NULL, -- of the resource
    write      TEXT    NOT NULL, -- JSON
    PRIMARY KEY (tenant, parked)
);
CREATE INDEX parked_by_resource ON parked (tenant, id);

CREATE TABLE pending_references (
    tenant   BIGINT NOT NULL,
    resource BIGINT NOT NULL, -- that refers
    path     TEXT    NOT NULL, -- members, manager
    value    TEXT    NOT NULL,
    folded   TEXT    NOT NULL, -- in lower case
    since    BIGINT NOT NULL,
    PRIMARY KEY (tenant, resource, path, value)
);
CREATE INDEX pending_references_by_value ON pending_references (tenant, folded);
