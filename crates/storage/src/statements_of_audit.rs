//! Statements about the audit log. Runs none of them.

use crate::session::Statement;

pub(crate) static HEAD: Statement =
    Statement::new("SELECT number, hash FROM audit_heads WHERE tenant = $1");
/// So that there is a row to lock.
pub(crate) static BEGIN_CHAIN: Statement = Statement::new(
    "INSERT INTO audit_heads (tenant, number, hash) VALUES ($1, $2, $3) ON CONFLICT (tenant) DO NOTHING",
);
/// Entries of one chain are appended one after the other.
pub(crate) static LOCK_HEAD: Statement =
    Statement::new("SELECT number, hash FROM audit_heads WHERE tenant = $1 FOR UPDATE");
pub(crate) static MOVE_HEAD: Statement =
    Statement::new("UPDATE audit_heads SET number = $2, hash = $3 WHERE tenant = $1");
pub(crate) static ADD_ENTRY: Statement =
    Statement::new("INSERT INTO audit_log (tenant, number, entry, hash) VALUES ($1, $2, $3, $4)");
/// Whether one of the newest entries has this text.
pub(crate) static HAS_ENTRY: Statement =
    Statement::new("SELECT number FROM audit_log WHERE tenant = $1 AND number > $2 AND entry = $3");
pub(crate) static ENTRIES: Statement = Statement::new(
    "SELECT number, entry, hash FROM audit_log WHERE tenant = $1 AND number > $2 ORDER BY number LIMIT $3",
);

/// All of them, for the test that prepares them.
#[cfg(test)]
pub(crate) static ALL: &[&Statement] = &[
    &HEAD,
    &BEGIN_CHAIN,
    &LOCK_HEAD,
    &MOVE_HEAD,
    &ADD_ENTRY,
    &HAS_ENTRY,
    &ENTRIES,
];
