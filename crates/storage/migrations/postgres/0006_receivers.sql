-- Receivers of events, how far each of them is, and the keys with which tokens are signed. Instants are microseconds since 1970; 0 where there is none.

CREATE TABLE receivers (
    receiver       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- never used again, so that nothing of a removed one belongs to its successor
    tenant         BIGINT  NOT NULL REFERENCES tenants,
    name           TEXT    NOT NULL,
    kind           TEXT    NOT NULL, -- webhook, push, poll
    url            TEXT    NOT NULL,
    state          TEXT    NOT NULL, -- live, paused
    settings       TEXT    NOT NULL,
    secrets        BYTEA   NOT NULL, -- sealed with the key file
    created        BIGINT  NOT NULL,
    position       BIGINT  NOT NULL, -- in change_log: everything up to here was delivered, put aside, or not wanted
    attempts       BIGINT  NOT NULL DEFAULT 0,
    due            BIGINT  NOT NULL DEFAULT 0,
    fence          BIGINT  NOT NULL DEFAULT 0,
    lease_until    BIGINT  NOT NULL DEFAULT 0,
    last_error     TEXT    NOT NULL DEFAULT '',
    last_delivered BIGINT  NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX receivers_by_name ON receivers (tenant, name);

-- Events that are not simply before or after a receiver's position.
CREATE TABLE parcels (
    tenant   BIGINT  NOT NULL,
    receiver BIGINT  NOT NULL,
    sequence BIGINT  NOT NULL,
    state    TEXT    NOT NULL, -- put-aside, again, handed-out
    attempts BIGINT  NOT NULL,
    counted  BIGINT  NOT NULL, -- when an attempt was last counted
    error    TEXT    NOT NULL,
    event    TEXT    NOT NULL, -- JSON; the change log may have forgotten it
    PRIMARY KEY (tenant, receiver, sequence)
);
CREATE INDEX parcels_by_state ON parcels (tenant, receiver, state, sequence);

-- The feed of a receiver that wants only chosen resources.
CREATE TABLE chosen_resources (
    tenant   BIGINT  NOT NULL,
    receiver BIGINT  NOT NULL,
    id       TEXT    NOT NULL,
    PRIMARY KEY (tenant, receiver, id)
);

CREATE TABLE signing_keys (
    tenant        BIGINT  NOT NULL,
    key_id        TEXT    NOT NULL,
    private_key   BYTEA   NOT NULL, -- sealed with the key file
    public_key    TEXT    NOT NULL, -- JSON Web Key
    created       BIGINT  NOT NULL,
    retired       BIGINT  NOT NULL DEFAULT 0, -- since when another signs
    PRIMARY KEY (tenant, key_id)
);
