-- The person whom a credential stands for, so that it ends with them: the `user` of its permissions, by itself. Tokens of people who are inactive or gone end now.

ALTER TABLE tokens ADD COLUMN person TEXT;
ALTER TABLE clients ADD COLUMN person TEXT;
ALTER TABLE issuers ADD COLUMN person TEXT;

UPDATE tokens SET person = permissions ->> '$.user';
UPDATE clients SET person = permissions ->> '$.user';
UPDATE issuers SET person = settings ->> '$.permissions.user';

CREATE INDEX tokens_by_person ON tokens (tenant, person) WHERE person IS NOT NULL AND revoked IS NULL;
CREATE INDEX clients_by_person ON clients (tenant, person) WHERE person IS NOT NULL AND revoked IS NULL;
CREATE INDEX issuers_by_person ON issuers (tenant, person) WHERE person IS NOT NULL;

UPDATE tokens SET revoked = unixepoch() * 1000000 WHERE person IS NOT NULL AND revoked IS NULL AND NOT EXISTS (
    SELECT 1 FROM resources AS r WHERE r.tenant = tokens.tenant AND r.id = tokens.person AND r.type = 'User'
        AND coalesce(r.document ->> '$.active', 1) <> 0);
UPDATE tenants SET revision = revision + 1;
