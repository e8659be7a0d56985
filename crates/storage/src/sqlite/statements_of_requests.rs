//! The statements about the request log, by name. Each names the tenant.

pub(crate) const RECORD_REQUEST: &str = "INSERT OR IGNORE INTO requests (tenant, id, at, status, resource, credential, quirks, document) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
pub(crate) const COUNT_QUIRK: &str = "INSERT INTO quirk_uses (tenant, credential, quirk, requests, last_used) VALUES (?1, ?2, ?3, ?4, ?5) \
     ON CONFLICT (tenant, credential, quirk) DO UPDATE SET requests = requests + excluded.requests, last_used = max(last_used, excluded.last_used)";
pub(crate) const FIND_REQUEST: &str = "SELECT document FROM requests WHERE tenant = ?1 AND id = ?2";
pub(crate) const LIST_REQUESTS: &str = "SELECT document FROM requests WHERE tenant = ?1 AND status BETWEEN ?2 AND ?3 AND at >= ?4 AND id < ?5 \
     AND (?6 IS NULL OR resource = ?6) AND (?7 IS NULL OR credential = ?7) AND (?8 IS NULL OR instr(quirks, ?8) > 0) \
     ORDER BY id DESC LIMIT ?9";
pub(crate) const LIST_QUIRK_USES: &str = "SELECT quirk, credential, requests, last_used FROM quirk_uses WHERE tenant = ?1 ORDER BY requests DESC, quirk, credential";
/// Some of the oldest at a time, so that no other write waits long.
pub(crate) const PRUNE_OLD_REQUESTS: &str = "DELETE FROM requests WHERE tenant = ?1 AND at < ?2 \
     AND id IN (SELECT id FROM requests WHERE tenant = ?1 ORDER BY id LIMIT ?3)";
pub(crate) const PRUNE_MANY_REQUESTS: &str = "DELETE FROM requests WHERE tenant = ?1 \
     AND id <= (SELECT id FROM requests WHERE tenant = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
/// Of the newest, as many as have so many bytes together.
pub(crate) const PRUNE_LARGE_REQUESTS: &str = "DELETE FROM requests WHERE tenant = ?1 AND id <= \
     (SELECT id FROM (SELECT id, sum(octet_length(document)) OVER (ORDER BY id DESC) AS bytes FROM requests WHERE tenant = ?1) AS newest \
     WHERE bytes > ?2 ORDER BY id DESC LIMIT 1)";
pub(crate) const ERASE_REQUESTS: &str = "DELETE FROM requests WHERE tenant = ?1";
pub(crate) const ERASE_QUIRK_USES: &str = "DELETE FROM quirk_uses WHERE tenant = ?1";

/// Every statement, for the tests that prepare them.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    RECORD_REQUEST,
    COUNT_QUIRK,
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
