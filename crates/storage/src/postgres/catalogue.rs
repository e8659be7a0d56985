//! `Catalogue` in PostgreSQL: the settings of applications, their tokens sealed.

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use directory::store::Fault;
use directory::tenant::TenantId;
use provisioning::application::{Application, ApplicationId, ApplicationState, Secret};
use provisioning::ledger::{Catalogue, NewApplication};
use tokio_postgres::Row;

use super::Postgres;
use super::attempts::{Values, execute, in_transaction, query};
use super::connections::{Connections, begin, fault};
use super::outbox::{self, mark_all};
use super::read::storable;
use super::statements_of_work as sql;
use crate::rows::{
    application_state, application_state_text, from_json, json_text, micros, timestamp,
};
use crate::secrets::{MasterKey, application_context};

#[async_trait]
impl Catalogue for Postgres {
    async fn add_application(
        &self,
        tenant: TenantId,
        new: NewApplication,
    ) -> Result<Option<Application>, Fault> {
        let new = NewApplication {
            name: storable(&new.name).into_owned(),
            ..new
        };
        let token = self
            .key
            .seal(&application_context(tenant, &new.name), new.token.reveal())?;
        let settings = json_text(&new.settings)?;
        let added = in_transaction!(&self.connections, begin, |transaction, attempts| add(
            transaction,
            tenant,
            &new,
            (&token, &settings),
            attempts.is_again()
        ));
        let Some(id) = added else { return Ok(None) };
        self.notify();
        read(&self.connections, &self.key, tenant, id).await
    }

    async fn list_applications(&self, tenant: TenantId) -> Result<Vec<Application>, Fault> {
        let rows = query(&self.connections, sql::LIST_APPLICATIONS, &[&tenant.0]).await?;
        rows.iter()
            .map(|row| application(row, &self.key, tenant))
            .collect()
    }

    async fn set_application_state(
        &self,
        tenant: TenantId,
        id: ApplicationId,
        state: ApplicationState,
    ) -> Result<bool, Fault> {
        let values: Values<'_> = &[&tenant.0, &id.0, &application_state_text(state)];
        let count = execute(&self.connections, sql::SET_APPLICATION_STATE, values).await?;
        self.notify();
        Ok(count > 0)
    }

    async fn set_application_token(
        &self,
        tenant: TenantId,
        id: ApplicationId,
        token: Secret,
    ) -> Result<bool, Fault> {
        let Some(application) = read(&self.connections, &self.key, tenant, id).await? else {
            return Ok(false);
        };
        let sealed = self.key.seal(
            &application_context(tenant, &application.name),
            token.reveal(),
        )?;
        let count = execute(
            &self.connections,
            sql::SET_APPLICATION_TOKEN,
            &[&tenant.0, &id.0, &sealed],
        )
        .await?;
        self.notify();
        Ok(count > 0)
    }

    async fn remove_application(&self, tenant: TenantId, id: ApplicationId) -> Result<bool, Fault> {
        Ok(in_transaction!(
            &self.connections,
            begin,
            |transaction, attempts| remove(transaction, tenant, id, attempts.is_again())
        ))
    }
}

async fn add(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    new: &NewApplication,
    (token, settings): (&Vec<u8>, &str),
    is_again: bool,
) -> Result<Option<ApplicationId>, Fault> {
    let (base_url, created, state) = (
        storable(&new.base_url),
        micros(new.at),
        application_state_text(ApplicationState::Live),
    );
    outbox::query(transaction, sql::LOCK_TENANT, &[&tenant.0]).await?;
    if is_again {
        let values: Values<'_> = &[&tenant.0, &new.name, &base_url, token, &created];
        if let Some(row) = outbox::query(transaction, sql::FIND_ADDED_APPLICATION, values)
            .await?
            .first()
        {
            return Ok(Some(ApplicationId(row.try_get(0).map_err(fault)?)));
        }
    }
    let values: Values<'_> = &[
        &tenant.0, &new.name, &base_url, token, &state, &settings, &created,
    ];
    let rows = outbox::query(transaction, sql::ADD_APPLICATION, values).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let id = ApplicationId(row.try_get(0).map_err(fault)?);
    mark_all(transaction, tenant, id, new.at, false).await?;
    Ok(Some(id))
}

/// True where it was there, or may have been before an earlier try whose outcome got lost.
async fn remove(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    id: ApplicationId,
    is_again: bool,
) -> Result<bool, Fault> {
    let mut count = 0;
    outbox::query(
        transaction,
        sql::LOCK_APPLICATION_TO_REMOVE,
        &[&tenant.0, &id.0],
    )
    .await?;
    for statement in sql::REMOVE_APPLICATION {
        count = outbox::execute(transaction, statement, &[&tenant.0, &id.0]).await?;
    }
    Ok(count > 0 || is_again)
}

/// One application.
pub(super) async fn read(
    connections: &Connections,
    key: &MasterKey,
    tenant: TenantId,
    id: ApplicationId,
) -> Result<Option<Application>, Fault> {
    let rows = query(connections, sql::READ_APPLICATION, &[&tenant.0, &id.0]).await?;
    rows.first()
        .map(|row| application(row, key, tenant))
        .transpose()
}

fn application(row: &Row, key: &MasterKey, tenant: TenantId) -> Result<Application, Fault> {
    let name: String = row.try_get(1).map_err(fault)?;
    let (token, state, settings): (&[u8], &str, &str) = (
        row.try_get(3).map_err(fault)?,
        row.try_get(4).map_err(fault)?,
        row.try_get(5).map_err(fault)?,
    );
    Ok(Application {
        id: ApplicationId(row.try_get(0).map_err(fault)?),
        tenant,
        token: Secret::new(key.open(&application_context(tenant, &name), token)?),
        name,
        base_url: row.try_get(2).map_err(fault)?,
        state: application_state(state),
        settings: from_json(settings)?,
        created: timestamp(row.try_get(6).map_err(fault)?)?,
    })
}
