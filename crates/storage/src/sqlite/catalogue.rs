//! `Catalogue` in SQLite: the settings of applications, their tokens sealed.

use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
use provisioning::application::{Application, ApplicationId, ApplicationState, Secret};
use provisioning::ledger::{Catalogue, NewApplication};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Sqlite;
use super::connections::fault;
use super::ledger::mark_all;
use super::statements_of_work as sql;
use crate::rows::{
    application_state, application_state_text, from_json, json_text, micros, timestamp,
};
use crate::secrets::{MasterKey, application_context};

#[async_trait]
impl Catalogue for Sqlite {
    async fn add_application(
        &self,
        tenant: TenantId,
        new: NewApplication,
    ) -> Result<Option<Application>, Fault> {
        let token = self
            .key
            .seal(&application_context(tenant, &new.name), new.token.reveal())?;
        let settings = json_text(&new.settings)?;
        let added = self.writer.write(move |connection| {
            let values = params![
                tenant.0,
                new.name,
                new.base_url,
                token,
                application_state_text(ApplicationState::Live),
                settings,
                micros(new.at)
            ];
            if connection
                .execute(sql::ADD_APPLICATION, values)
                .map_err(fault)?
                == 0
            {
                return Ok(None);
            }
            let id = ApplicationId(connection.last_insert_rowid());
            mark_all(connection, tenant, id, new.at, false)?;
            Ok::<_, Fault>(Some(id))
        });
        let Some(id) = added.await? else {
            return Ok(None);
        };
        self.committed.notify_one();
        self.readers
            .read_short(|connection| read(connection, &self.key, tenant, id))
    }

    async fn list_applications(&self, tenant: TenantId) -> Result<Vec<Application>, Fault> {
        self.readers.read_short(|connection| {
            let mut statement = connection
                .prepare_cached(sql::LIST_APPLICATIONS)
                .map_err(fault)?;
            let rows = statement
                .query_map([tenant.0], Columns::read)
                .map_err(fault)?;
            rows.map(|columns| columns.map_err(fault)?.into_application(&self.key, tenant))
                .collect()
        })
    }

    async fn set_application_state(
        &self,
        tenant: TenantId,
        id: ApplicationId,
        state: ApplicationState,
    ) -> Result<bool, Fault> {
        let set = self.writer.write(move |connection| {
            let count = connection.execute(
                sql::SET_APPLICATION_STATE,
                params![tenant.0, id.0, application_state_text(state)],
            );
            count.map(|count| count > 0).map_err(fault)
        });
        let set = set.await?;
        self.committed.notify_one();
        Ok(set)
    }

    async fn set_application_token(
        &self,
        tenant: TenantId,
        id: ApplicationId,
        token: Secret,
    ) -> Result<bool, Fault> {
        let key = self.key.clone();
        let set = self.writer.write(move |connection| {
            let name =
                connection.query_row(sql::NAME_OF_APPLICATION, params![tenant.0, id.0], |row| {
                    row.get::<_, String>(0)
                });
            let Some(name) = name.optional().map_err(fault)? else {
                return Ok(false);
            };
            let sealed = key.seal(&application_context(tenant, &name), token.reveal())?;
            connection
                .execute(sql::SET_APPLICATION_TOKEN, params![tenant.0, id.0, sealed])
                .map(|count| count > 0)
                .map_err(fault)
        });
        let set = set.await?;
        self.committed.notify_one();
        Ok(set)
    }

    async fn remove_application(&self, tenant: TenantId, id: ApplicationId) -> Result<bool, Fault> {
        let removed = self.writer.write(move |connection| {
            let mut count = 0;
            for statement in sql::REMOVE_APPLICATION {
                count = connection
                    .execute(statement, params![tenant.0, id.0])
                    .map_err(fault)?;
            }
            Ok(count > 0)
        });
        removed.await
    }
}

/// One application.
pub(super) fn read(
    connection: &Connection,
    key: &MasterKey,
    tenant: TenantId,
    id: ApplicationId,
) -> Result<Option<Application>, Fault> {
    let mut statement = connection
        .prepare_cached(sql::READ_APPLICATION)
        .map_err(fault)?;
    let found = statement
        .query_row(params![tenant.0, id.0], Columns::read)
        .optional()
        .map_err(fault)?;
    found
        .map(|columns| columns.into_application(key, tenant))
        .transpose()
}

struct Columns {
    id: i64,
    name: String,
    base_url: String,
    token: Vec<u8>,
    state: String,
    settings: String,
    created: i64,
}

impl Columns {
    fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            base_url: row.get(2)?,
            token: row.get(3)?,
            state: row.get(4)?,
            settings: row.get(5)?,
            created: row.get(6)?,
        })
    }

    fn into_application(self, key: &MasterKey, tenant: TenantId) -> Result<Application, Fault> {
        Ok(Application {
            id: ApplicationId(self.id),
            tenant,
            token: Secret::new(key.open(&application_context(tenant, &self.name), &self.token)?),
            name: self.name,
            base_url: self.base_url,
            state: application_state(&self.state),
            settings: from_json(&self.settings)?,
            created: timestamp(self.created)?,
        })
    }
}
