//! The statements about the installation as a whole, by name. None is about a tenant.

/// Whether a Rollcall has used the database.
pub(crate) const HAS_MIGRATIONS: &str = "SELECT to_regclass('migrations') IS NOT NULL";
/// Nodes that start together write the check value one after the other.
pub(crate) const LOCK_KEY_CHECK: &str =
    "SELECT key_check FROM installation WHERE only_row = 1 FOR UPDATE";
pub(crate) const SET_KEY_CHECK: &str = "UPDATE installation SET key_check = $1 WHERE only_row = 1";
/// For the transaction that begins now; where a trial takes longer, its answer is no longer waited for.
pub(crate) const LIMIT_TRIAL: &str = "SET LOCAL statement_timeout = 5000";
pub(crate) const TRY_TO_WRITE: &str =
    "UPDATE installation SET trials = trials + 1 WHERE only_row = 1 RETURNING key_check";

/// All of them, for tests that prepare each.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    HAS_MIGRATIONS,
    LOCK_KEY_CHECK,
    SET_KEY_CHECK,
    LIMIT_TRIAL,
    TRY_TO_WRITE,
    crate::secrets::SEALED,
];
