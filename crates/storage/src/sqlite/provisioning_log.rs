//! `ProvisioningLog` in SQLite. Lines about what is recorded of the work are written with it, by `ledger`.

use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
use provisioning::application::ApplicationId;
use provisioning::provisioning_log::{Forget, LogEntry, ProvisioningLog};
use rusqlite::{Connection, Row, params};

use super::Sqlite;
use super::ledger::{execute, limit_of, list};
use super::statements_of_work as sql;
use crate::rows::{from_json, json_text, last_to_forget};

#[async_trait]
impl ProvisioningLog for Sqlite {
    async fn write_lines(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        lines: Vec<LogEntry>,
    ) -> Result<(), Fault> {
        self.writer
            .write(move |connection| write_lines(connection, sql::LOG, tenant, application, &lines))
            .await
    }

    async fn read_log(
        &self,
        tenant: TenantId,
        application: Option<ApplicationId>,
        resource_id: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LogEntry>, Fault> {
        let (application, resource_id) =
            (application.map(|id| id.0), resource_id.map(str::to_owned));
        let read = move |connection: &Connection| {
            let columns =
                |row: &Row<'_>| Ok((row.get(0).map(ApplicationId)?, row.get::<_, String>(1)?));
            let rows = list(
                connection,
                sql::READ_LOG,
                params![tenant.0, application, resource_id, limit_of(limit)],
                columns,
            )?;
            rows.into_iter()
                .map(|(application, entry)| {
                    Ok(LogEntry {
                        application,
                        ..from_json(&entry)?
                    })
                })
                .collect()
        };
        self.readers.read_long(tenant, read).await
    }

    async fn shorten_log(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        forget: Forget,
    ) -> Result<u64, Fault> {
        let Some(last) = self
            .readers
            .read_long(None, move |connection| {
                find_last(connection, tenant, application, forget)
            })
            .await?
        else {
            return Ok(0);
        };
        let forget = move |connection: &Connection| {
            execute(
                connection,
                sql::FORGET_LINES,
                params![tenant.0, application.0, last],
            )
        };
        Ok(self
            .writer
            .write(forget)
            .await?
            .try_into()
            .unwrap_or(u64::MAX))
    }
}

/// Writes lines by one of the statements that do.
pub(super) fn write_lines(
    connection: &Connection,
    statement: &str,
    tenant: TenantId,
    application: ApplicationId,
    lines: &[LogEntry],
) -> Result<(), Fault> {
    for line in lines {
        execute(
            connection,
            statement,
            params![tenant.0, application.0, line.resource_id, json_text(line)?],
        )?;
    }
    Ok(())
}

/// The last line that is to go. Lines only grow, so it stays the last while others are written.
fn find_last(
    connection: &Connection,
    tenant: TenantId,
    application: ApplicationId,
    forget: Forget,
) -> Result<Option<i64>, Fault> {
    let lines_max = i64::try_from(forget.lines_max).unwrap_or(i64::MAX);
    let surplus = list(
        connection,
        sql::FIND_SURPLUS_LINE,
        params![tenant.0, application.0, lines_max],
        |row| row.get(0),
    )?
    .pop();
    let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let oldest: Vec<(i64, String)> = list(
        connection,
        sql::LIST_OLDEST_LINES,
        params![tenant.0, application.0, forget.limit],
        columns,
    )?;
    last_to_forget(&oldest, forget.before, surplus)
}
