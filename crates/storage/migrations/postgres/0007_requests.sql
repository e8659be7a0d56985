-- The request log of all tenants. Ids sort by time.
CREATE TABLE requests (
  tenant BIGINT NOT NULL,
  id BYTEA NOT NULL,
  at BIGINT NOT NULL,
  status BIGINT NOT NULL,
  resource TEXT,
  credential TEXT,
  quirks TEXT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE quirk_uses (
  tenant BIGINT NOT NULL,
  credential TEXT NOT NULL,
  quirk TEXT NOT NULL,
  requests BIGINT NOT NULL,
  last_used BIGINT NOT NULL,
  PRIMARY KEY (tenant, credential, quirk)
);
