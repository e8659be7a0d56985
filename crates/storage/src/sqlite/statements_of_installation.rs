//! The statements about the installation as a whole, by name. None is about a tenant.

pub(crate) const HAS_INSTALLATION: &str =
    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'installation'";
pub(crate) const NEEDS_JOURNAL: &str =
    "SELECT journal_needed = 1 FROM installation WHERE only_row = 1";
pub(crate) const NEED_JOURNAL: &str =
    "UPDATE installation SET journal_needed = 1 WHERE only_row = 1";
pub(crate) const NEED_NO_JOURNAL: &str =
    "UPDATE installation SET journal_needed = 0 WHERE only_row = 1";
pub(crate) const READ_KEY_CHECK: &str = "SELECT key_check FROM installation WHERE only_row = 1";
pub(crate) const SET_KEY_CHECK: &str = "UPDATE installation SET key_check = ?1 WHERE only_row = 1";
pub(crate) const TRY_TO_WRITE: &str =
    "UPDATE installation SET trials = trials + 1 WHERE only_row = 1";

/// All of them, for tests that prepare each.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    HAS_INSTALLATION,
    NEEDS_JOURNAL,
    NEED_JOURNAL,
    NEED_NO_JOURNAL,
    READ_KEY_CHECK,
    SET_KEY_CHECK,
    TRY_TO_WRITE,
    crate::secrets::SEALED,
];
