//! `ProvisioningLog` in PostgreSQL. Lines about what is recorded of the work are written with it, by `outbox`.

use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
use provisioning::application::ApplicationId;
use provisioning::provisioning_log::{Forget, LogEntry, ProvisioningLog};
use tokio_postgres::Row;

use super::Postgres;
use super::attempts::{Values, execute, in_transaction, query};
use super::connections::{begin, fault};
use super::ledger::limit_of;
use super::outbox;
use super::read::storable;
use super::statements_of_work as sql;
use crate::rows::{from_json, last_to_forget};

#[async_trait]
impl ProvisioningLog for Postgres {
    async fn write_lines(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        lines: Vec<LogEntry>,
    ) -> Result<(), Fault> {
        in_transaction!(&self.connections, begin, |transaction, attempts| {
            let statement = if attempts.is_again() {
                sql::LOG_ONCE
            } else {
                sql::LOG
            };
            outbox::write_lines(transaction, statement, tenant, application, &lines)
        });
        Ok(())
    }

    async fn read_log(
        &self,
        tenant: TenantId,
        application: Option<ApplicationId>,
        resource_id: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LogEntry>, Fault> {
        let values: Values<'_> = &[
            &tenant.0,
            &application.map(|id| id.0),
            &resource_id.map(storable),
            &limit_of(limit),
        ];
        let entry = |row: &Row| {
            let text: &str = row.try_get(1).map_err(fault)?;
            Ok(LogEntry {
                application: ApplicationId(row.try_get(0).map_err(fault)?),
                ..from_json(text)?
            })
        };
        query(&self.connections, sql::READ_LOG, values)
            .await?
            .iter()
            .map(entry)
            .collect()
    }

    async fn shorten_log(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        forget: Forget,
    ) -> Result<u64, Fault> {
        let lines_max = i64::try_from(forget.lines_max).unwrap_or(i64::MAX);
        let surplus = query(
            &self.connections,
            sql::FIND_SURPLUS_LINE,
            &[&tenant.0, &application.0, &lines_max],
        )
        .await?;
        let surplus = surplus
            .first()
            .map(|row| row.try_get(0))
            .transpose()
            .map_err(fault)?;
        let rows = query(
            &self.connections,
            sql::LIST_OLDEST_LINES,
            &[&tenant.0, &application.0, &i64::from(forget.limit)],
        )
        .await?;
        let line = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?));
        let oldest: Vec<(i64, String)> = rows
            .iter()
            .map(line)
            .collect::<Result<_, _>>()
            .map_err(fault)?;
        // Lines only grow, so it stays the last while others are written.
        let Some(last) = last_to_forget(&oldest, forget.before, surplus)? else {
            return Ok(0);
        };
        execute(
            &self.connections,
            sql::FORGET_LINES,
            &[&tenant.0, &application.0, &last],
        )
        .await
    }
}
