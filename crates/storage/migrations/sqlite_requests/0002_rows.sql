-- Entries are too long for the leaves of an index: each took a page of its own beside its key. In a table of rows three share a page.

ALTER TABLE requests RENAME TO requests_before;
CREATE TABLE requests (
  tenant INTEGER NOT NULL,
  id BLOB NOT NULL,
  at INTEGER NOT NULL,
  status INTEGER NOT NULL,
  resource TEXT,
  credential TEXT,
  quirks TEXT NOT NULL,
  document TEXT NOT NULL
) STRICT;
INSERT INTO requests (tenant, id, at, status, resource, credential, quirks, document)
  SELECT tenant, id, at, status, resource, credential, quirks, document FROM requests_before ORDER BY tenant, id;
DROP TABLE requests_before;
CREATE UNIQUE INDEX requests_by_id ON requests (tenant, id);
