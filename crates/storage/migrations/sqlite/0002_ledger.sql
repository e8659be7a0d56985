-- Applications and the work for them. Instants are microseconds since 1970; 0 where there is none.

CREATE TABLE applications (
    application  INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again, so that nothing of a removed one belongs to its successor
    tenant       INTEGER NOT NULL REFERENCES tenants,
    name         TEXT    NOT NULL,
    base_url     TEXT    NOT NULL,
    token        BLOB    NOT NULL, -- sealed with the key file
    state        TEXT    NOT NULL, -- live, paused
    settings     TEXT    NOT NULL,
    created      INTEGER NOT NULL,
    paused_until INTEGER NOT NULL DEFAULT 0, -- it asked for rest until then
    claimed      INTEGER NOT NULL DEFAULT 0, -- when work for it was last claimed
    last_number  INTEGER NOT NULL DEFAULT 0  -- of the newest generation or fence in its outbox
) STRICT;
CREATE UNIQUE INDEX applications_by_name ON applications (tenant, name);

-- What is out of date: one row for a resource in an application, however often it changed.
CREATE TABLE outbox (
    tenant        INTEGER NOT NULL,
    application   INTEGER NOT NULL,
    id            TEXT    NOT NULL,
    type          TEXT    NOT NULL,
    generation    INTEGER NOT NULL, -- of the newest mark
    priority      INTEGER NOT NULL,
    waiting_since INTEGER NOT NULL,
    due           INTEGER NOT NULL,
    attempts      INTEGER NOT NULL DEFAULT 0,
    verify        INTEGER NOT NULL DEFAULT 0,
    held          INTEGER NOT NULL DEFAULT 0,
    fence         INTEGER NOT NULL DEFAULT 0,
    lease_until   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, application, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_ready ON outbox (tenant, application, priority, generation) WHERE held = 0;
CREATE INDEX outbox_leased ON outbox (tenant, application) WHERE lease_until > 0;
CREATE INDEX outbox_untried_users ON outbox (tenant, application) WHERE type = 'User' AND attempts = 0 AND held = 0;

CREATE TABLE links (
    tenant       INTEGER NOT NULL,
    application  INTEGER NOT NULL,
    id           TEXT    NOT NULL,
    type         TEXT    NOT NULL,
    remote_id    TEXT,
    state        TEXT    NOT NULL, -- creating, linked, uncertain
    acknowledged TEXT    NOT NULL, -- JSON
    members      TEXT    NOT NULL, -- JSON: remote ids
    updated      INTEGER NOT NULL,
    PRIMARY KEY (tenant, application, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_by_remote_id ON links (tenant, application, type, remote_id);

-- Who refers to somebody that has no account there yet.
CREATE TABLE awaits (
    tenant      INTEGER NOT NULL,
    application INTEGER NOT NULL,
    awaited     TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    PRIMARY KEY (tenant, application, awaited, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX awaits_by_id ON awaits (tenant, application, id);

CREATE TABLE provisioning_log (
    line        INTEGER PRIMARY KEY, -- grows, so its order is that of recording
    tenant      INTEGER NOT NULL,
    application INTEGER NOT NULL,
    id          TEXT    NOT NULL,
    entry       TEXT    NOT NULL  -- JSON
) STRICT;
CREATE INDEX provisioning_log_by_application ON provisioning_log (tenant, application, line);
CREATE INDEX provisioning_log_by_id ON provisioning_log (tenant, id, line);
