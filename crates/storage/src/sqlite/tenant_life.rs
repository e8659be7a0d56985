//! `TenantLife` in SQLite. A restore is one job of the writer, so other writes wait for it.

use std::collections::BTreeMap;
use std::io::Write;

use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::{Tenant, TenantId, TenantSettings};
use directory::tenant_life::{RestoreError, Source, TenantLife};
use jiff::Timestamp;
use provisioning::application::ApplicationId;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql, params, params_from_iter};

use super::Sqlite;
use super::connections::{empty_marked_journal, fault, snapshot};
use super::session::run;
use super::statements as sql;
use crate::outbox::mark_all;
use crate::restored::{Own, further};
use crate::rows::{decode_entries, json_text, micros};
use crate::secrets::MasterKey;
use crate::tenant_tables::{KEYS, TABLES, Table, insert, key_range, select};
use crate::tenants::find_tenant;
use crate::transfer::{Cell, Exporter, Header, Importer, Placement, Row, bytes_of, integer_of};

#[async_trait]
impl TenantLife for Sqlite {
    async fn set_suspended(&self, tenant: TenantId, suspended: bool) -> Result<bool, Fault> {
        let set = self.writer.revise(move |connection| {
            let value = if suspended { "true" } else { "false" };
            connection
                .execute(sql::SET_SUSPENDED, params![tenant.0, value])
                .map(|count| count > 0)
                .map_err(fault)
        });
        let set = set.await?;
        self.committed.notify_one();
        Ok(set)
    }

    async fn set_settings(&self, tenant: &Tenant, settings: TenantSettings) -> Result<bool, Fault> {
        let (id, revision, settings) = (tenant.id.0, tenant.revision, json_text(&settings)?);
        let set = move |connection: &Connection| {
            connection
                .execute(sql::SET_SETTINGS, params![id, revision, settings])
                .map(|count| count > 0)
                .map_err(fault)
        };
        self.writer.revise(set).await
    }

    async fn export(
        &self,
        tenant: TenantId,
        at: Timestamp,
        mut sink: Box<dyn Write + Send>,
    ) -> Result<u64, Fault> {
        self.readers
            .read_long(tenant, move |connection| {
                snapshot(connection, |c| export(c, tenant, at, &mut *sink))
            })
            .await
    }

    async fn restore(
        &self,
        name: &str,
        at: Timestamp,
        source: Box<dyn Source>,
    ) -> Result<Tenant, RestoreError> {
        let mut importer = Importer::new(source);
        let checked =
            tokio::task::spawn_blocking(move || importer.check().map(|header| (importer, header)))
                .await;
        let (mut importer, header) = checked
            .map_err(|error| Fault::from_source("the file was not read to its end", error))??;
        let (name, key) = (name.to_owned(), self.key.clone());
        let restored = self
            .writer
            .revise(move |connection| restore(connection, &key, &name, at, &mut importer, &header))
            .await?;
        self.committed.notify_one();
        Ok(restored)
    }

    async fn erase(&self, tenant: TenantId) -> Result<bool, Fault> {
        let erased = self
            .writer
            .revise(move |connection| erase(connection, tenant))
            .await?;
        self.readers.empty_journal(empty_marked_journal).await?;
        Ok(erased)
    }
}

fn export(
    connection: &Connection,
    tenant: TenantId,
    at: Timestamp,
    sink: &mut (dyn Write + Send),
) -> Result<u64, Fault> {
    let mut ranges = BTreeMap::new();
    for keys in KEYS {
        let range = connection
            .query_row(&key_range(keys), [tenant.0], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .map_err(fault)?;
        if let (Some(first), Some(last)) = range {
            ranges.insert(keys, (first, last));
        }
    }
    let name: String = connection
        .query_row(sql::NAME_OF_TENANT, [tenant.0], |row| row.get(0))
        .map_err(fault)?;
    let mut exporter = Exporter::begin(sink, &Header::new(&name, at, ranges))?;
    for table in TABLES {
        let mut statement = connection.prepare(&select(table)).map_err(fault)?;
        let mut rows = statement.query([tenant.0]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            let cells = (0..table.columns.len())
                .map(|place| row.get_ref(place).map_err(fault).and_then(cell));
            exporter.row(table, cells.collect::<Result<_, _>>()?)?;
        }
    }
    exporter.end()
}

fn cell(value: ValueRef<'_>) -> Result<Cell, Fault> {
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Integer(value),
        ValueRef::Text(text) => {
            Cell::Text(String::from_utf8(text.to_vec()).map_err(|error| {
                Fault::from_source("a text in the database is not UTF-8", error)
            })?)
        }
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => {
            return Err(Fault::new(
                "a column of the database has a number with a fraction",
            ));
        }
    })
}

impl ToSql for Cell {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>, rusqlite::Error> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

fn restore(
    connection: &Connection,
    key: &MasterKey,
    name: &str,
    at: Timestamp,
    importer: &mut Importer,
    header: &Header,
) -> Result<Tenant, RestoreError> {
    let find = || run(connection, async |session| find_tenant(session, name).await);
    if find()?.is_some() {
        return Err(RestoreError::NameTaken);
    }
    let mut first = BTreeMap::new();
    for keys in KEYS {
        header.span(keys)?;
        let (table, column) = keys.place();
        let last: i64 = connection
            .query_row(&sql::last_key(table, column), [], |row| row.get(0))
            .map_err(fault)?;
        first.insert(keys, last + 1);
    }
    let placement = Placement { first };
    importer.rewind_to_rows()?;
    let (mut tenant, mut applications) = (None, Vec::new());
    while let Some((table, mut row)) = importer.next_row(header)? {
        let id = tenant.unwrap_or_default();
        if tenant.is_some() == (table.name == "tenants") {
            return Err(RestoreError::Refused(
                "the file does not begin with its tenant".into(),
            ));
        }
        placement.place(table, header, &mut row)?;
        let own = Own {
            name,
            tenant: id,
            revision: micros(at),
            key,
        };
        write(connection, table, row, &own, &mut applications)?;
        tenant = tenant.or_else(|| Some(connection.last_insert_rowid()));
    }
    let restored = find()?.ok_or_else(|| RestoreError::Refused("the file has no tenant".into()))?;
    for application in applications {
        run(connection, async |session| {
            mark_all(session, restored.id, application, at, true).await
        })?;
    }
    Ok(restored)
}

fn write(
    connection: &Connection,
    table: &Table,
    mut row: Row,
    own: &Own<'_>,
    applications: &mut Vec<ApplicationId>,
) -> Result<(), Fault> {
    let further = further(table, &mut row, own)?;
    let columns: Vec<&str> = further
        .iter()
        .map(|(name, _)| *name)
        .chain(row.iter().map(|(column, _)| column.name))
        .collect();
    let mut statement = connection
        .prepare_cached(&insert(table.name, &columns, ""))
        .map_err(fault)?;
    let values = further
        .iter()
        .map(|(_, cell)| cell)
        .chain(row.iter().map(|(_, cell)| cell));
    statement.execute(params_from_iter(values)).map_err(fault)?;
    if table.name == "applications" {
        applications.push(ApplicationId(integer_of(&row, "application")));
    }
    if table.name == "resources" {
        let resource = integer_of(&row, "resource");
        for entry in decode_entries(bytes_of(&row, "entries"))? {
            let statement = if entry.unique {
                sql::TAKE_VALUE
            } else {
                sql::ADD_VALUE
            };
            let mut statement = connection.prepare_cached(statement).map_err(fault)?;
            statement
                .execute(params![own.tenant, entry.attribute, entry.value, resource])
                .map_err(fault)?;
        }
    }
    Ok(())
}

/// Every table that has rows of tenants, also one that a later migration made; what they held is overwritten in the file.
fn erase(connection: &Connection, tenant: TenantId) -> Result<bool, Fault> {
    connection
        .execute_batch(sql::ERASE_FOR_GOOD)
        .map_err(fault)?;
    let mut statement = connection.prepare(sql::TABLES_OF_TENANTS).map_err(fault)?;
    let tables: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .map_err(fault)?
        .collect::<Result<_, _>>()
        .map_err(fault)?;
    let mut erased = false;
    for table in tables {
        let count = connection
            .execute(&sql::erase_from(&table), [tenant.0])
            .map_err(fault)?;
        erased |= table == "tenants" && count > 0;
    }
    connection
        .execute_batch(sql::ERASE_AS_USUAL)
        .map_err(fault)?;
    Ok(erased)
}
