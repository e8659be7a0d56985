-- The request log of all tenants, apart from identities. Ids sort by time.
CREATE TABLE requests (
  tenant INTEGER NOT NULL,
  id BLOB NOT NULL,
  at INTEGER NOT NULL,
  status INTEGER NOT NULL,
  resource TEXT,
  credential TEXT,
  quirks TEXT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE quirk_uses (
  tenant INTEGER NOT NULL,
  credential TEXT NOT NULL,
  quirk TEXT NOT NULL,
  requests INTEGER NOT NULL,
  last_used INTEGER NOT NULL,
  PRIMARY KEY (tenant, credential, quirk)
) STRICT, WITHOUT ROWID;
