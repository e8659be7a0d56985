-- A tenant's own schemas and resource types. Every version is kept; the newest of a key holds.

ALTER TABLE tenants ADD COLUMN types_revision INTEGER NOT NULL DEFAULT 0; -- a commit that was decided with another one is refused

CREATE TABLE type_documents (
    tenant   INTEGER NOT NULL,
    kind     TEXT    NOT NULL, -- schema, resource-type
    key      TEXT    NOT NULL, -- URN or name, in lower case
    version  INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    author   TEXT    NOT NULL,
    document TEXT,             -- JSON; NULL: removed
    PRIMARY KEY (tenant, kind, key, version)
) STRICT, WITHOUT ROWID;
