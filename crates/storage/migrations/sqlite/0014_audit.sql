-- The audit log: what administrators did. The entries of a tenant form a chain of hashes; those with the tenant 0 are about the installation.
CREATE TABLE audit_log (
    tenant INTEGER NOT NULL, -- 0: the installation
    number INTEGER NOT NULL, -- from 1 on, none is left out
    entry  TEXT NOT NULL,    -- JSON
    hash   BLOB NOT NULL,    -- SHA-256 over the hash before it and the entry
    PRIMARY KEY (tenant, number)
) STRICT;

-- The newest entry of each chain, so that entries that are taken off its end are missed.
CREATE TABLE audit_heads (
    tenant INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    hash   BLOB NOT NULL
) STRICT;
