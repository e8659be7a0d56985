//! `TenantLife`: suspending, restoring and erasing tenants. How a tenant is read as a whole, each engine has in its own `export`.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use directory::audit::{Chain, Entry};
use directory::store::Fault;
use directory::tenant::{Tenant, TenantId, TenantSettings};
use directory::tenant_life::{RestoreError, Source, TenantLife};
use jiff::Timestamp;
use provisioning::application::ApplicationId;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::audit::{append, append_if};
use crate::engine::{Database, Engine};
use crate::outbox::mark_all;
use crate::restored::{Own, further};
use crate::rows::{decode_entries, json_text, micros};
use crate::secrets::MasterKey;
use crate::session::{Field, Session, Statement, fields};
use crate::statements_of_schemas::{ADD_VALUE, TAKE_VALUE};
use crate::statements_of_tenants as sql;
use crate::tenant_tables::{KEYS, Keys, Table, insert};
use crate::tenants::find_tenant;
use crate::transfer::{Cell, Header, Importer, Placement, Row, bytes_of, integer_of};

/// Rows that are written before the answer to the first of them is awaited.
const ROWS_ON_THEIR_WAY: usize = 200;

#[async_trait]
impl<E: Engine> TenantLife for Database<E> {
    async fn set_suspended(
        &self,
        tenant: TenantId,
        suspended: bool,
        entry: Entry,
    ) -> Result<bool, Fault> {
        let asked = (tenant, suspended, entry);
        let set = self.write(asked, set_suspended).await?;
        self.notify();
        Ok(set)
    }

    async fn set_settings(
        &self,
        tenant: &Tenant,
        settings: TenantSettings,
        entry: Entry,
    ) -> Result<bool, Fault> {
        let asked = (tenant.id, tenant.revision, settings, entry);
        let set = self.write(asked, set_settings).await?;
        self.notify();
        Ok(set)
    }

    async fn export(
        &self,
        tenant: TenantId,
        at: Timestamp,
        sink: Box<dyn Write + Send>,
    ) -> Result<u64, Fault> {
        self.export_tenant(tenant, at, sink).await
    }

    async fn restore(
        &self,
        name: &str,
        at: Timestamp,
        source: Box<dyn Source>,
        entry: Entry,
    ) -> Result<Tenant, RestoreError> {
        let (database, name) = (self.clone(), name.to_owned());
        // The file is read between the statements, where that keeps nothing else waiting.
        let restored = tokio::task::spawn_blocking(move || {
            Handle::current().block_on(restore_from(
                &database,
                name,
                at,
                Importer::new(source),
                entry,
            ))
        });
        let restored = restored
            .await
            .map_err(|error| Fault::from_source("a tenant was not restored to its end", error))??;
        self.notify();
        Ok(restored)
    }

    async fn erase(&self, tenant: TenantId, entry: Entry) -> Result<bool, Fault> {
        let erased = self.write((tenant, entry), erase).await?;
        self.forget_erased().await?;
        Ok(erased)
    }
}

async fn set_suspended(
    session: &mut dyn Session,
    (tenant, suspended, entry): &(TenantId, bool, Entry),
) -> Result<bool, Fault> {
    session.revised();
    let values = fields![tenant, if *suspended { "true" } else { "false" }];
    let count = session.execute(&sql::SET_SUSPENDED, values).await?;
    append_if(session, *tenant, entry, count > 0).await
}

async fn set_settings(
    session: &mut dyn Session,
    (tenant, revision, settings, entry): &(TenantId, i64, TenantSettings, Entry),
) -> Result<bool, Fault> {
    session.revised();
    let settings = json_text(settings)?;
    let values = fields![tenant, revision, &settings];
    let count = session.execute(&sql::SET_SETTINGS, values).await?;
    append_if(session, *tenant, entry, count > 0).await
}

/// A file that was checked, and what its tenant becomes.
struct Restoring {
    importer: Mutex<Importer>,
    header: Header,
    /// The keys that were set aside for it.
    first: BTreeMap<Keys, i64>,
    name: String,
    at: Timestamp,
    key: Arc<MasterKey>,
    entry: Entry,
}

async fn restore_from<E: Engine>(
    database: &Database<E>,
    name: String,
    at: Timestamp,
    mut importer: Importer,
    entry: Entry,
) -> Result<Tenant, RestoreError> {
    let header = importer.check()?;
    let mut first = BTreeMap::new();
    for keys in KEYS.into_iter().filter(|_| E::RESERVES_KEYS) {
        let reserved = database.write((keys, header.span(keys)?), reserve).await?;
        first.insert(keys, reserved);
    }
    let restoring = Restoring {
        importer: Mutex::new(importer),
        header,
        first,
        name,
        at,
        key: Arc::clone(database.key()),
        entry,
    };
    database.write(restoring, restore).await?
}

/// Sets keys of a kind aside, so that no other row is given one of them; the first of them. They stay unused where the restore fails.
async fn reserve(session: &mut dyn Session, (keys, count): &(Keys, i64)) -> Result<i64, Fault> {
    let (table, column) = keys.place();
    // No row is added, and so no key is given out, between the steps.
    session.execute(&sql::lock_keys(table), &[]).await?;
    let first = session
        .first(&sql::next_key(table, column), &[], |row| row.get::<i64>(0))
        .await?;
    let first = first.ok_or_else(|| Fault::new("a table gives out no keys"))?;
    let last = first.saturating_add((*count).max(1) - 1);
    session
        .execute(&sql::give_out_above(table, column), fields![last])
        .await?;
    Ok(first)
}

/// Nothing is kept of a tenant that is refused.
async fn restore(
    session: &mut dyn Session,
    asked: &Restoring,
) -> Result<Result<Tenant, RestoreError>, Fault> {
    match write_all(session, asked).await {
        Err(RestoreError::Fault(fault)) => Err(fault),
        Err(refused) => {
            session.take_back();
            Ok(Err(refused))
        }
        Ok(restored) => Ok(Ok(restored)),
    }
}

async fn write_all(session: &mut dyn Session, asked: &Restoring) -> Result<Tenant, RestoreError> {
    session.revised();
    if find_tenant(session, &asked.name).await?.is_some() {
        return Err(RestoreError::NameTaken);
    }
    let mut first = asked.first.clone();
    if first.is_empty() {
        for keys in KEYS {
            let reserved = reserve(session, &(keys, asked.header.span(keys)?)).await?;
            first.insert(keys, reserved);
        }
    }
    let placement = Placement { first };
    let mut importer = asked.importer.lock().await;
    importer.rewind_to_rows()?;
    let (mut tenant, mut applications, mut waiting) = (None, Vec::new(), Vec::new());
    while let Some((table, mut row)) = importer.next_row(&asked.header)? {
        if tenant.is_some() == (table.name == "tenants") {
            return Err(RestoreError::Refused(
                "the file does not begin with its tenant".into(),
            ));
        }
        placement.place(table, &asked.header, &mut row)?;
        let own = Own {
            name: &asked.name,
            tenant: tenant.map_or(0, |tenant: TenantId| tenant.0),
            revision: micros(asked.at),
            key: &asked.key,
        };
        let further = further(table, &mut row, &own)?;
        if table.name == "applications" {
            applications.push(ApplicationId(integer_of(&row, "application")));
        }
        waiting.push(Restored {
            table,
            row,
            further,
        });
        let Some(tenant_now) = tenant else {
            write(session, TenantId::NONE, &mut waiting).await?;
            tenant = find_tenant(session, &asked.name).await?.map(|made| made.id);
            continue;
        };
        if waiting.len() >= ROWS_ON_THEIR_WAY {
            write(session, tenant_now, &mut waiting).await?;
        }
    }
    let tenant = tenant.ok_or_else(|| RestoreError::Refused("the file has no tenant".into()))?;
    write(session, tenant, &mut waiting).await?;
    for application in applications {
        mark_all(session, tenant, application, asked.at, true).await?;
    }
    append(session, Chain::Installation, &asked.entry).await?;
    let restored = find_tenant(session, &asked.name).await?;
    restored.ok_or_else(|| Fault::new("the restored tenant is gone").into())
}

/// A row that is to be written.
struct Restored {
    table: &'static Table,
    row: Row,
    /// What it has beside what the file says.
    further: Vec<(&'static str, Cell)>,
}

impl Restored {
    fn columns(&self) -> Vec<&'static str> {
        let further = self.further.iter().map(|(name, _)| *name);
        let own = self.row.iter().map(|(column, _)| column.name);
        further.chain(own).collect()
    }

    fn values(&self) -> Vec<Field<'_>> {
        let further = self.further.iter().map(|(_, cell)| cell);
        let own = self.row.iter().map(|(_, cell)| cell);
        further.chain(own).map(field).collect()
    }
}

/// Writes the rows that wait, those in a line that have the same columns together.
async fn write(
    session: &mut dyn Session,
    tenant: TenantId,
    waiting: &mut Vec<Restored>,
) -> Result<(), Fault> {
    let alike = |one: &Restored, other: &Restored| {
        one.table.name == other.table.name && one.columns() == other.columns()
    };
    for some in waiting.chunk_by(alike) {
        let Some(first) = some.first() else { continue };
        let statement = Statement::made(insert(first.table.name, &first.columns()));
        let lists: Vec<_> = some.iter().map(Restored::values).collect();
        session.execute_each(&statement, &lists).await?;
        if first.table.name == "resources" {
            write_values(session, tenant, some).await?;
        }
    }
    waiting.clear();
    Ok(())
}

/// Makes the index rows of resources again, from the column `entries`.
async fn write_values(
    session: &mut dyn Session,
    tenant: TenantId,
    resources: &[Restored],
) -> Result<(), Fault> {
    let mut entries = Vec::new();
    for Restored { row, .. } in resources {
        let resource = integer_of(row, "resource");
        let decoded = decode_entries(bytes_of(row, "entries"))?;
        entries.extend(decoded.into_iter().map(|entry| (resource, entry)));
    }
    for (unique, statement) in [(true, &TAKE_VALUE), (false, &ADD_VALUE)] {
        let of_kind = entries.iter().filter(|(_, entry)| entry.unique == unique);
        let lists: Vec<_> = of_kind
            .map(|(resource, entry)| {
                let value = Field::IndexKey(&entry.value);
                fields![tenant, entry.attribute, value, *resource].to_vec()
            })
            .collect();
        session.execute_each(statement, &lists).await?;
    }
    Ok(())
}

fn field(cell: &Cell) -> Field<'_> {
    match cell {
        Cell::Null => Field::Null,
        Cell::Integer(value) => Field::Integer(*value),
        Cell::Text(text) => Field::Text(text),
        Cell::Bytes(bytes) => Field::Bytes(bytes),
    }
}

/// Every table that has rows of tenants, also one that a later migration made. A commit that is under way ends without its tenant, and so without effect.
async fn erase(
    session: &mut dyn Session,
    (tenant, entry): &(TenantId, Entry),
) -> Result<bool, Fault> {
    session.revised();
    let values = fields![tenant];
    let found = session.is_there(&sql::LOCK_TENANT_TO_ERASE, values).await?;
    session.rows(&sql::ERASE_FOR_GOOD, &[], |_| Ok(())).await?;
    let tables: Vec<String> = session
        .rows(&sql::TABLES_OF_TENANTS, &[], |row| row.get(0))
        .await?;
    for table in tables {
        session.execute(&sql::erase_from(&table), values).await?;
    }
    session.rows(&sql::ERASE_AS_USUAL, &[], |_| Ok(())).await?;
    let erased = found || session.is_again();
    if erased {
        append(session, Chain::Installation, entry).await?;
    }
    Ok(erased)
}
