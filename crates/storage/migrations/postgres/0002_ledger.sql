-- Applications and the work for them. Instants are microseconds since 1970; 0 where there is none.

CREATE SEQUENCE work_numbers; -- generations and fences: a number is given out once, whoever asks

CREATE TABLE applications (
    application  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- never used again, so that nothing of a removed one belongs to its successor
    tenant       BIGINT NOT NULL REFERENCES tenants,
    name         TEXT   NOT NULL,
    base_url     TEXT   NOT NULL,
    token        BYTEA  NOT NULL, -- sealed with the key file
    state        TEXT   NOT NULL, -- live, paused
    settings     TEXT   NOT NULL,
    created      BIGINT NOT NULL,
    paused_until BIGINT NOT NULL DEFAULT 0, -- it asked for rest until then
    claimed      BIGINT NOT NULL DEFAULT 0  -- when work for it was last claimed
);
CREATE UNIQUE INDEX applications_by_name ON applications (tenant, name);

-- What is out of date: one row for a resource in an application, however often it changed.
CREATE TABLE outbox (
    tenant        BIGINT   NOT NULL,
    application   BIGINT   NOT NULL,
    id            TEXT     NOT NULL,
    type          TEXT     NOT NULL,
    generation    BIGINT   NOT NULL, -- of the newest mark
    priority      SMALLINT NOT NULL,
    waiting_since BIGINT   NOT NULL,
    due           BIGINT   NOT NULL,
    attempts      BIGINT   NOT NULL DEFAULT 0,
    verify        BOOLEAN  NOT NULL DEFAULT FALSE,
    held          BOOLEAN  NOT NULL DEFAULT FALSE,
    fence         BIGINT   NOT NULL DEFAULT 0,
    lease_until   BIGINT   NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, application, id)
);
CREATE INDEX outbox_ready ON outbox (tenant, application, priority, generation) WHERE NOT held;
CREATE INDEX outbox_leased ON outbox (tenant, application) WHERE lease_until > 0;
CREATE INDEX outbox_untried_users ON outbox (tenant, application) WHERE type = 'User' AND attempts = 0 AND NOT held;

CREATE TABLE links (
    tenant       BIGINT NOT NULL,
    application  BIGINT NOT NULL,
    id           TEXT   NOT NULL,
    type         TEXT   NOT NULL,
    remote_id    TEXT,
    state        TEXT   NOT NULL, -- creating, linked, uncertain
    acknowledged TEXT   NOT NULL, -- JSON
    members      TEXT   NOT NULL, -- JSON: remote ids
    updated      BIGINT NOT NULL,
    PRIMARY KEY (tenant, application, id)
);
-- A hash, as an application may name its accounts as long as it likes.
CREATE INDEX links_by_remote_id ON links (tenant, application, type, md5(remote_id));

-- Who refers to somebody that has no account there yet.
CREATE TABLE awaits (
    tenant      BIGINT NOT NULL,
    application BIGINT NOT NULL,
    awaited     TEXT   NOT NULL,
    id          TEXT   NOT NULL,
    type        TEXT   NOT NULL,
    PRIMARY KEY (tenant, application, awaited, id)
);
CREATE INDEX awaits_by_id ON awaits (tenant, application, id);

CREATE TABLE provisioning_log (
    line        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- grows, so its order is that of recording
    tenant      BIGINT NOT NULL,
    application BIGINT NOT NULL,
    id          TEXT   NOT NULL,
    entry       TEXT   NOT NULL -- JSON
);
CREATE INDEX provisioning_log_by_tenant ON provisioning_log (tenant, line);
CREATE INDEX provisioning_log_by_application ON provisioning_log (tenant, application, line);
CREATE INDEX provisioning_log_by_id ON provisioning_log (tenant, id, line);
