-- Receivers of events, how far each of them is, and the keys with which tokens are signed. Instants are microseconds since 1970; 0 where there is none.

CREATE TABLE receivers (
    receiver       INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again, so that nothing of a removed one belongs to its successor
    tenant         INTEGER NOT NULL REFERENCES tenants,
    name           TEXT    NOT NULL,
    kind           TEXT    NOT NULL, -- webhook, push, poll
    url            TEXT    NOT NULL,
    state          TEXT    NOT NULL, -- live, paused
    settings       TEXT    NOT NULL,
    secrets        BLOB    NOT NULL, -- sealed with the key file
    created        INTEGER NOT NULL,
    position       INTEGER NOT NULL, -- in change_log: everything up to here was delivered, put aside, or not wanted
    attempts       INTEGER NOT NULL DEFAULT 0,
    due            INTEGER NOT NULL DEFAULT 0,
    fence          INTEGER NOT NULL DEFAULT 0,
    lease_until    INTEGER NOT NULL DEFAULT 0,
    last_error     TEXT    NOT NULL DEFAULT '',
    last_delivered INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX receivers_by_name ON receivers (tenant, name);

-- Events that are not simply before or after a receiver's position.
CREATE TABLE parcels (
    tenant   INTEGER NOT NULL,
    receiver INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    state    TEXT    NOT NULL, -- put-aside, again, handed-out
    attempts INTEGER NOT NULL,
    counted  INTEGER NOT NULL, -- when an attempt was last counted
    error    TEXT    NOT NULL,
    event    TEXT    NOT NULL, -- JSON; the change log may have forgotten it
    PRIMARY KEY (tenant, receiver, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX parcels_by_state ON parcels (tenant, receiver, state, sequence);

-- The feed of a receiver that wants only chosen resources.
CREATE TABLE chosen_resources (
    tenant   INTEGER NOT NULL,
    receiver INTEGER NOT NULL,
    id       TEXT    NOT NULL,
    PRIMARY KEY (tenant, receiver, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_keys (
    tenant        INTEGER NOT NULL,
    key_id        TEXT    NOT NULL,
    private_key   BLOB    NOT NULL, -- sealed with the key file
    public_key    TEXT    NOT NULL, -- JSON Web Key
    created       INTEGER NOT NULL,
    retired       INTEGER NOT NULL DEFAULT 0, -- since when another signs
    PRIMARY KEY (tenant, key_id)
) STRICT, WITHOUT ROWID;
