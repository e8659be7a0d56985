-- OAuth 2.0 clients and foreign issuers. Instants are microseconds since 1970.

CREATE TABLE clients (
    tenant         INTEGER NOT NULL REFERENCES tenants,
    id             TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    created        INTEGER NOT NULL,
    revoked        INTEGER,
    authentication TEXT    NOT NULL, -- JSON: a keyed hash, public keys, or a name in a certificate
    permissions    TEXT    NOT NULL, -- JSON
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX clients_by_name ON clients (tenant, name) WHERE revoked IS NULL;

-- Assertions that were used, until they would have ended anyway.
CREATE TABLE assertions (
    tenant    INTEGER NOT NULL REFERENCES tenants,
    client    TEXT    NOT NULL,
    assertion BLOB    NOT NULL, -- keyed hash of its jti
    expires   INTEGER NOT NULL,
    PRIMARY KEY (tenant, client, assertion)
) STRICT, WITHOUT ROWID;
CREATE INDEX assertions_by_end ON assertions (tenant, expires);

CREATE TABLE issuers (
    tenant   INTEGER NOT NULL REFERENCES tenants,
    name     TEXT    NOT NULL,
    created  INTEGER NOT NULL,
    settings TEXT    NOT NULL, -- JSON
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
