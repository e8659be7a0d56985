//! `Catalogue`: the settings of applications, their tokens sealed.

use std::sync::Arc;

use async_trait::async_trait;
use directory::audit::{Chain, Entry};
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use provisioning::application::{Application, ApplicationId, ApplicationState, Secret};
use provisioning::ledger::{Catalogue, NewApplication, OutOfDate};

use crate::audit::{append, append_if};
use crate::engine::{Database, Engine};
use crate::outbox::{hold, mark, mark_all};
use crate::rows::{application_state, application_state_text, json_text, storable};
use crate::secrets::{MasterKey, application_context};
use crate::session::{Columns, Session, fields};
use crate::statements_of_work as sql;

#[async_trait]
impl<E: Engine> Catalogue for Database<E> {
    async fn add_application(
        &self,
        tenant: TenantId,
        new: NewApplication,
        entry: Entry,
    ) -> Result<Option<Application>, Fault> {
        let name = storable(&new.name).into_owned();
        let context = application_context(tenant, &name);
        let token = self.key().seal(&context, new.token.reveal())?;
        let new = NewApplication { name, ..new };
        let Some(id) = self.write((tenant, new, token, entry), add).await? else {
            return Ok(None);
        };
        self.notify();
        self.read(&(self.key(), tenant, id), read).await
    }

    async fn list_applications(&self, tenant: TenantId) -> Result<Vec<Application>, Fault> {
        self.read(&(self.key(), tenant), list).await
    }

    async fn set_application_state(
        &self,
        tenant: TenantId,
        id: ApplicationId,
        state: ApplicationState,
        entry: Entry,
    ) -> Result<bool, Fault> {
        let set = self.write((tenant, id, state, entry), set_state).await?;
        self.notify();
        Ok(set)
    }

    async fn set_application_token(
        &self,
        tenant: TenantId,
        id: ApplicationId,
        token: Secret,
        entry: Entry,
    ) -> Result<bool, Fault> {
        let Some(application) = self.read(&(self.key(), tenant, id), read).await? else {
            return Ok(false);
        };
        let context = application_context(tenant, &application.name);
        let sealed = self.key().seal(&context, token.reveal())?;
        let set = self.write((tenant, id, sealed, entry), set_token).await?;
        self.notify();
        Ok(set)
    }

    async fn remove_application(
        &self,
        tenant: TenantId,
        id: ApplicationId,
        entry: Entry,
    ) -> Result<bool, Fault> {
        self.write((tenant, id, entry), remove).await
    }

    async fn compare_again(
        &self,
        tenant: TenantId,
        id: ApplicationId,
        one: Option<OutOfDate>,
        at: Timestamp,
        entry: Entry,
    ) -> Result<u64, Fault> {
        let asked = (tenant, id, one, at, entry);
        let marked = self.write(asked, compare_again).await?;
        self.notify();
        Ok(marked)
    }
}

/// The tenant is locked first, so an application that is added sees every resource, or every change after it.
async fn add(
    session: &mut dyn Session,
    (tenant, new, token, entry): &(TenantId, NewApplication, Vec<u8>, Entry),
) -> Result<Option<ApplicationId>, Fault> {
    let locked = session
        .first(&sql::LOCK_TENANT, fields![tenant], |_| Ok(()))
        .await?;
    if locked.is_none() {
        return Ok(None);
    }
    if session.is_again() {
        let values = fields![tenant, &new.name, &new.base_url, token, new.at];
        let found = session
            .first(&sql::FIND_ADDED_APPLICATION, values, |row| row.get(0))
            .await?;
        if let Some(id) = found {
            return Ok(Some(ApplicationId(id)));
        }
    }
    let settings = json_text(&new.settings)?;
    let values = fields![
        tenant,
        &new.name,
        &new.base_url,
        token,
        application_state_text(ApplicationState::Live),
        &settings,
        new.at
    ];
    let added = session
        .first(&sql::ADD_APPLICATION, values, |row| row.get(0))
        .await?;
    let Some(id) = added.map(ApplicationId) else {
        return Ok(None);
    };
    mark_all(session, *tenant, id, new.at, false).await?;
    append(session, Chain::Tenant(*tenant), entry).await?;
    Ok(Some(id))
}

async fn list(
    session: &mut dyn Session,
    (key, tenant): &(&Arc<MasterKey>, TenantId),
) -> Result<Vec<Application>, Fault> {
    session
        .rows(&sql::LIST_APPLICATIONS, fields![tenant], |row| {
            application(row, key, *tenant)
        })
        .await
}

/// One application.
pub(crate) async fn read(
    session: &mut dyn Session,
    (key, tenant, id): &(&Arc<MasterKey>, TenantId, ApplicationId),
) -> Result<Option<Application>, Fault> {
    session
        .first(&sql::READ_APPLICATION, fields![tenant, id.0], |row| {
            application(row, key, *tenant)
        })
        .await
}

async fn set_state(
    session: &mut dyn Session,
    (tenant, id, state, entry): &(TenantId, ApplicationId, ApplicationState, Entry),
) -> Result<bool, Fault> {
    let values = fields![tenant, id.0, application_state_text(*state)];
    let count = session.execute(&sql::SET_APPLICATION_STATE, values).await?;
    append_if(session, *tenant, entry, count > 0).await
}

async fn set_token(
    session: &mut dyn Session,
    (tenant, id, sealed, entry): &(TenantId, ApplicationId, Vec<u8>, Entry),
) -> Result<bool, Fault> {
    let values = fields![tenant, id.0, sealed];
    let count = session.execute(&sql::SET_APPLICATION_TOKEN, values).await?;
    append_if(session, *tenant, entry, count > 0).await
}

/// True where it was there, or may have been before an earlier try whose outcome got lost.
async fn remove(
    session: &mut dyn Session,
    (tenant, id, entry): &(TenantId, ApplicationId, Entry),
) -> Result<bool, Fault> {
    let values = fields![tenant, id.0];
    session
        .execute(&sql::LOCK_APPLICATION_TO_REMOVE, values)
        .await?;
    let mut count = 0;
    for statement in &sql::REMOVE_APPLICATION {
        count = session.execute(statement, values).await?;
    }
    let removed = count > 0 || session.is_again();
    append_if(session, *tenant, entry, removed).await
}

async fn compare_again(
    session: &mut dyn Session,
    (tenant, id, one, at, entry): &(TenantId, ApplicationId, Option<OutOfDate>, Timestamp, Entry),
) -> Result<u64, Fault> {
    if !hold(session, *tenant, *id).await? {
        return Ok(0);
    }
    let marked = match one {
        None => mark_all(session, *tenant, *id, *at, true).await?,
        Some(pair) => {
            mark(session, *tenant, std::slice::from_ref(pair)).await?;
            1
        }
    };
    append(session, Chain::Tenant(*tenant), entry).await?;
    Ok(marked)
}

fn application(row: &dyn Columns, key: &MasterKey, tenant: TenantId) -> Result<Application, Fault> {
    let name: String = row.get(1)?;
    Ok(Application {
        id: ApplicationId(row.get(0)?),
        tenant,
        token: Secret::new(key.open(&application_context(tenant, &name), row.get(3)?)?),
        name,
        base_url: row.get(2)?,
        state: application_state(row.get(4)?),
        settings: row.json(5)?,
        created: row.get(6)?,
    })
}
