-- OAuth 2.0 clients and foreign issuers. Instants are microseconds since 1970.

CREATE TABLE clients (
    tenant         BIGINT NOT NULL REFERENCES tenants,
    id             TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    created        BIGINT NOT NULL,
    revoked        BIGINT,
    authentication TEXT    NOT NULL, -- JSON: a keyed hash, public keys, or a name in a certificate
    permissions    TEXT    NOT NULL, -- JSON
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX clients_by_name ON clients (tenant, name) WHERE revoked IS NULL;

-- Assertions that were used, until they would have ended anyway.
CREATE TABLE assertions (
    tenant    BIGINT NOT NULL REFERENCES tenants,
    client    TEXT    NOT NULL,
    assertion BYTEA   NOT NULL, -- keyed hash of its jti
    expires   BIGINT NOT NULL,
    PRIMARY KEY (tenant, client, assertion)
);
CREATE INDEX assertions_by_end ON assertions (tenant, expires);

CREATE TABLE issuers (
    tenant   BIGINT NOT NULL REFERENCES tenants,
    name     TEXT    NOT NULL,
    created  BIGINT NOT NULL,
    settings TEXT    NOT NULL, -- JSON
    PRIMARY KEY (tenant, name)
);
