//! Statements about tenants as a whole: suspending, moving and erasing them. Runs none of them.

use crate::session::Statement;

pub(crate) static NAME_OF_TENANT: Statement =
    Statement::new("SELECT name FROM tenants WHERE tenant = $1");
pub(crate) static SET_SUSPENDED: Statement = Statement::new(
    "UPDATE tenants SET settings = jsonb_set(settings::JSONB, '{suspended}', $2::TEXT::JSONB)::TEXT, revision = revision + 1 WHERE tenant = $1",
)
.or_sqlite(
    "UPDATE tenants SET settings = json_set(settings, '$.suspended', json(?2)), revision = revision + 1 WHERE tenant = ?1",
);
pub(crate) static SET_SETTINGS: Statement = Statement::new(
    "UPDATE tenants SET settings = $3, revision = revision + 1 WHERE tenant = $1 AND revision = $2",
);
/// A commit for it waits, and finds it gone.
pub(crate) static LOCK_TENANT_TO_ERASE: Statement =
    Statement::new("SELECT tenant FROM tenants WHERE tenant = $1 FOR UPDATE");
/// The tables with rows of tenants, their own last.
pub(crate) static TABLES_OF_TENANTS: Statement = Statement::new(
    "SELECT table_name::TEXT FROM information_schema.columns \
     WHERE table_schema = current_schema() AND column_name = 'tenant' ORDER BY table_name = 'tenants', table_name",
)
.or_sqlite(
    "SELECT t.name FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c ON c.name = 'tenant' \
     WHERE t.type = 'table' ORDER BY t.name = 'tenants', t.name",
);
/// On SQLite, what is deleted is overwritten with zeros.
pub(crate) static ERASE_FOR_GOOD: Statement = Statement::sqlite_only("PRAGMA secure_delete = ON");
pub(crate) static ERASE_AS_USUAL: Statement = Statement::sqlite_only("PRAGMA secure_delete = OFF");

/// Erases the rows of a tenant from one of those tables.
pub(crate) fn erase_from(table: &str) -> Statement {
    Statement::made(format!("DELETE FROM {table} WHERE tenant = $1"))
}

/// No row is added to a table, of whichever tenant, until the commit.
pub(crate) fn lock_keys(table: &str) -> Statement {
    Statement::made(format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")).or_sqlite("")
}

/// The next key that a table gives out; about all tenants.
pub(crate) fn next_key(table: &str, column: &str) -> Statement {
    Statement::made_for(
        format!("SELECT nextval(pg_get_serial_sequence('{table}', '{column}'))"),
        format!(
            "SELECT max(coalesce((SELECT max({column}) FROM {table}), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0)) + 1"
        ),
    )
}

/// The next key that a table gives out is above `$1`; SQLite goes by the keys that are there.
pub(crate) fn give_out_above(table: &str, column: &str) -> Statement {
    Statement::made(format!(
        "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), $1)"
    ))
    .or_sqlite("")
}

/// All of them, for the tests that prepare each.
#[cfg(test)]
pub(crate) static ALL: &[&Statement] = &[
    &NAME_OF_TENANT,
    &SET_SUSPENDED,
    &SET_SETTINGS,
    &LOCK_TENANT_TO_ERASE,
    &TABLES_OF_TENANTS,
];
