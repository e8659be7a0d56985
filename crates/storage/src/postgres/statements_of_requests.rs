//! The statements about the request log, by name. Each names the tenant.

pub(crate) const RECORD_REQUESTS: &str = "INSERT INTO requests (tenant, id, at, status, resource, credential, quirks, document) \
     SELECT * FROM unnest($1::BIGINT[], $2::BYTEA[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::TEXT[]) \
     ON CONFLICT (tenant, id) DO NOTHING";
/// Sorted by their key, so that two nodes do not wait for each other.
pub(crate) const COUNT_QUIRKS: &str = "INSERT INTO quirk_uses AS u (tenant, credential, quirk, requests, last_used) \
     SELECT * FROM unnest($1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::BIGINT[]) \
     ON CONFLICT (tenant, credential, quirk) DO UPDATE SET requests = u.requests + excluded.requests, \
       last_used = greatest(u.last_used, excluded.last_used)";
pub(crate) const FIND_REQUEST: &str = "SELECT document FROM requests WHERE tenant = $1 AND id = $2";
pub(crate) const LIST_REQUESTS: &str = "SELECT document FROM requests WHERE tenant = $1 AND status BETWEEN $2 AND $3 AND at >= $4 AND id < $5 \
     AND ($6::TEXT IS NULL OR resource = $6) AND ($7::TEXT IS NULL OR credential = $7) AND ($8::TEXT IS NULL OR strpos(quirks, $8) > 0) \
     ORDER BY id DESC LIMIT $9";
pub(crate) const LIST_QUIRK_USES: &str = "SELECT quirk, credential, requests, last_used FROM quirk_uses WHERE tenant = $1 ORDER BY requests DESC, quirk, credential";
/// Some of the oldest at a time, so that no other write waits long.
pub(crate) const PRUNE_OLD_REQUESTS: &str = "DELETE FROM requests WHERE tenant = $1 AND at < $2 \
     AND id IN (SELECT id FROM requests WHERE tenant = $1 ORDER BY id LIMIT $3)";
pub(crate) const PRUNE_MANY_REQUESTS: &str = "DELETE FROM requests WHERE tenant = $1 \
     AND id <= (SELECT id FROM requests WHERE tenant = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)";
/// Of the newest, as many as have so many bytes together.
pub(crate) const PRUNE_LARGE_REQUESTS: &str = "DELETE FROM requests WHERE tenant = $1 AND id <= \
     (SELECT id FROM (SELECT id, sum(octet_length(document)) OVER (ORDER BY id DESC) AS bytes FROM requests WHERE tenant = $1) AS newest \
     WHERE bytes > $2 ORDER BY id DESC LIMIT 1)";
pub(crate) const ERASE_REQUESTS: &str = "DELETE FROM requests WHERE tenant = $1";
pub(crate) const ERASE_QUIRK_USES: &str = "DELETE FROM quirk_uses WHERE tenant = $1";

/// Every statement, for the tests that prepare them.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    RECORD_REQUESTS,
    COUNT_QUIRKS,
    FIND_REQUEST,
    LIST_REQUESTS,
    LIST_QUIRK_USES,
    PRUNE_OLD_REQUESTS,
    PRUNE_MANY_REQUESTS,
    PRUNE_LARGE_REQUESTS,
    ERASE_REQUESTS,
    ERASE_QUIRK_USES,
];

#[cfg(test)]
mod tests {
    #[test]
    fn each_names_the_tenant() {
        for statement in super::ALL {
            assert!(statement.contains("tenant"), "{statement}");
        }
    }
}
