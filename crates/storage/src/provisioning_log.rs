//! `ProvisioningLog`. The lines about what is recorded of the work are written with it, by `outbox`.

use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
use provisioning::application::ApplicationId;
use provisioning::provisioning_log::{Forget, LogEntry, ProvisioningLog};

use crate::engine::{Database, Engine};
use crate::outbox;
use crate::rows::last_to_forget;
use crate::session::{Session, at_most, fields};
use crate::statements_of_work as sql;

#[async_trait]
impl<E: Engine> ProvisioningLog for Database<E> {
    async fn write_lines(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        lines: Vec<LogEntry>,
    ) -> Result<(), Fault> {
        self.write((tenant, application, lines), write_lines).await
    }

    async fn read_log(
        &self,
        tenant: TenantId,
        application: Option<ApplicationId>,
        resource_id: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LogEntry>, Fault> {
        let resource_id = resource_id.map(str::to_owned);
        let asked = (tenant, application, resource_id, limit);
        self.read_long(Some(tenant), asked, read_log).await
    }

    async fn shorten_log(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        forget: Forget,
    ) -> Result<u64, Fault> {
        let asked = (tenant, application, forget);
        // Lines only grow, so it stays the last while others are written.
        match self.read_long(None, asked, find_last).await? {
            Some(last) => {
                self.write_each((tenant, application, last), forget_lines)
                    .await
            }
            None => Ok(0),
        }
    }
}

async fn write_lines(
    session: &mut dyn Session,
    (tenant, application, lines): &(TenantId, ApplicationId, Vec<LogEntry>),
) -> Result<(), Fault> {
    if outbox::hold(session, *tenant, *application).await? {
        outbox::write_lines(session, *tenant, *application, lines).await?;
    }
    Ok(())
}

async fn read_log(
    session: &mut dyn Session,
    (tenant, application, resource_id, limit): &(
        TenantId,
        Option<ApplicationId>,
        Option<String>,
        usize,
    ),
) -> Result<Vec<LogEntry>, Fault> {
    let application = application.map(|id| id.0);
    let values = fields![tenant, application, resource_id, at_most(*limit)];
    session
        .rows(&sql::READ_LOG, values, |row| {
            Ok(LogEntry {
                application: ApplicationId(row.get(0)?),
                ..row.json(1)?
            })
        })
        .await
}

/// The last line that is to go.
async fn find_last(
    session: &mut dyn Session,
    (tenant, application, forget): &(TenantId, ApplicationId, Forget),
) -> Result<Option<i64>, Fault> {
    let lines_max = i64::try_from(forget.lines_max).unwrap_or(i64::MAX);
    let values = fields![tenant, application.0, lines_max];
    let surplus = session
        .first(&sql::FIND_SURPLUS_LINE, values, |row| row.get(0))
        .await?;
    let values = fields![tenant, application.0, forget.limit];
    let oldest: Vec<(i64, String)> = session
        .rows(&sql::LIST_OLDEST_LINES, values, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .await?;
    last_to_forget(&oldest, forget.before, surplus)
}

async fn forget_lines(
    session: &mut dyn Session,
    (tenant, application, last): &(TenantId, ApplicationId, i64),
) -> Result<u64, Fault> {
    session
        .execute(&sql::FORGET_LINES, fields![tenant, application.0, last])
        .await
}
