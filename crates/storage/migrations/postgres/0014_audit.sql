-- The audit log: what administrators did. The entries of a tenant form a chain of hashes; those with the tenant 0 are about the installation.
CREATE TABLE audit_log (
    tenant BIGINT NOT NULL, -- 0: the installation
    number BIGINT NOT NULL, -- from 1 on, none is left out
    entry  TEXT NOT NULL,   -- JSON
    hash   BYTEA NOT NULL,  -- SHA-256 over the hash before it and the entry
    PRIMARY KEY (tenant, number)
);

-- The newest entry of each chain, so that entries that are taken off its end are missed.
CREATE TABLE audit_heads (
    tenant BIGINT PRIMARY KEY,
    number BIGINT NOT NULL,
    hash   BYTEA NOT NULL
);
