-- What a token lets its bearer do, and a number that is raised with everything that changes how a tenant's requests are answered.

ALTER TABLE tenants ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
ALTER TABLE tokens ADD COLUMN permissions TEXT NOT NULL DEFAULT '{"scopes":["read","write"],"resourceTypes":null}'; -- JSON
