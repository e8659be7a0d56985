//! `SchemaStore` in SQLite: a tenant's schemas and resource types. A change is one job of the writer, so no write comes between its checks and itself.

use async_trait::async_trait;
use directory::schema_change::TypeChange;
use directory::schema_effect::AffectedType;
use directory::schema_store::{
    ActivateError, Activated, Activation, Author, CONTRADICTIONS_MAX, Contradiction, SchemaStore,
};
use directory::store::Fault;
use directory::tenant::TenantId;
use directory::tenant_types::{DocumentKind, DocumentVersion, TenantTypes};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::Sqlite;
use super::connections::{fault, snapshot};
use super::statements::{ADD_VALUE, RELEASE_VALUE, REMOVE_VALUE, TAKE_VALUE};
use super::statements_of_schemas as sql;
use super::writer::JobError;
use crate::reindex::{BATCH, Reindex, Rows, Stored, document_version, in_use, tenant_types};
use crate::rows::{json_text, micros, version};

#[async_trait]
impl SchemaStore for Sqlite {
    async fn read_types(&self, tenant: TenantId) -> Result<TenantTypes, Fault> {
        self.readers
            .read_short(|connection| snapshot(connection, |c| read_types(c, tenant)))
    }

    async fn type_history(
        &self,
        tenant: TenantId,
        kind: DocumentKind,
        key: &str,
    ) -> Result<Vec<DocumentVersion>, Fault> {
        let key = key.to_owned();
        self.readers
            .read_long(tenant, move |connection| {
                type_history(connection, tenant, kind, &key)
            })
            .await
    }

    async fn activate(
        &self,
        tenant: TenantId,
        change: TypeChange,
        author: Author,
        activation: Activation,
    ) -> Result<Activated, ActivateError> {
        let rehearsal = activation == Activation::Rehearse;
        let outcome = self.writer.revise(move |connection| {
            let activated = Activating {
                connection,
                tenant: tenant.0,
                change: &change,
                author: &author,
            }
            .activate()?;
            // An error undoes everything, which is what a rehearsal is.
            if rehearsal {
                Err(Outcome::Rehearsed(activated))
            } else {
                Ok(activated)
            }
        });
        match outcome.await {
            Ok(activated) => {
                self.committed.notify_one();
                Ok(activated)
            }
            Err(Outcome::Rehearsed(activated)) => Ok(activated),
            Err(Outcome::Failed(error)) => Err(error),
        }
    }
}

enum Outcome {
    Rehearsed(Activated),
    Failed(ActivateError),
}

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.into())
    }
}

impl JobError for Outcome {
    fn fault(&self) -> Option<&Fault> {
        if let Self::Failed(ActivateError::Fault(fault)) = self {
            Some(fault)
        } else {
            None
        }
    }
}

impl From<ActivateError> for Outcome {
    fn from(error: ActivateError) -> Self {
        Self::Failed(error)
    }
}

/// The revision of the tenant's types.
fn revision(connection: &Connection, tenant: i64) -> Result<i64, Fault> {
    let found = connection
        .prepare_cached(sql::READ_REVISION)
        .and_then(|mut s| s.query_row([tenant], |row| row.get(0)).optional());
    found
        .map_err(fault)?
        .ok_or_else(|| Fault::new("there is no such tenant"))
}

fn read_types(connection: &Connection, tenant: TenantId) -> Result<TenantTypes, Fault> {
    let revision = revision(connection, tenant.0)?;
    // Most tenants have none, and are asked for often.
    if revision == 0 {
        return Ok(TenantTypes::default());
    }
    let mut statement = connection
        .prepare_cached(sql::READ_DOCUMENTS)
        .map_err(fault)?;
    let rows = statement
        .query_map([tenant.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(fault)?;
    tenant_types(revision, rows.collect::<Result<_, _>>().map_err(fault)?)
}

fn type_history(
    connection: &Connection,
    tenant: TenantId,
    kind: DocumentKind,
    key: &str,
) -> Result<Vec<DocumentVersion>, Fault> {
    let mut statement = connection
        .prepare_cached(sql::READ_HISTORY)
        .map_err(fault)?;
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let rows = statement
        .query_map(params![tenant.0, kind.name(), key], read)
        .map_err(fault)?;
    let rows: Vec<(i64, i64, String, Option<String>)> =
        rows.collect::<Result<_, _>>().map_err(fault)?;
    rows.into_iter()
        .map(|(number, at, author, document)| document_version(number, at, author, document))
        .collect()
}

struct Activating<'a> {
    connection: &'a Connection,
    tenant: i64,
    change: &'a TypeChange,
    author: &'a Author,
}

impl Activating<'_> {
    fn activate(&self) -> Result<Activated, ActivateError> {
        let based_on = revision(self.connection, self.tenant)?;
        if version(based_on) != self.change.based_on {
            return Err(ActivateError::Stale);
        }
        let mut activated = Activated {
            revision: self.change.based_on + 1,
            ..Activated::default()
        };
        let mut contradictions = Vec::new();
        for affected in &self.change.affected {
            self.look_at(affected, &mut activated, &mut contradictions)?;
        }
        if !contradictions.is_empty() {
            return Err(ActivateError::Contradicted(contradictions));
        }
        for document in &self.change.documents {
            let text = document.document.as_ref().map(json_text).transpose()?;
            let (at, author) = (micros(self.author.at), &self.author.credential_id);
            self.execute(
                sql::ADD_DOCUMENT,
                params![
                    self.tenant,
                    document.kind.name(),
                    document.key,
                    at,
                    author,
                    text
                ],
            )?;
        }
        self.execute(sql::RAISE_REVISIONS, params![self.tenant, based_on])?;
        Ok(activated)
    }

    fn look_at(
        &self,
        affected: &AffectedType,
        activated: &mut Activated,
        found: &mut Vec<Contradiction>,
    ) -> Result<(), Fault> {
        let mut after = 0;
        loop {
            let batch = self.stored(&affected.name, after)?;
            let Some(last) = batch.last() else {
                return Ok(());
            };
            after = last.resource;
            let reindex = affected
                .schema
                .as_ref()
                .map(|schema| Reindex::new(affected, schema));
            for stored in &batch {
                if found.len() >= CONTRADICTIONS_MAX {
                    return Ok(());
                }
                activated.resources_checked += 1;
                let Some(reindex) = &reindex else {
                    found.push(in_use(affected, &stored.id));
                    continue;
                };
                match reindex.rows(stored)? {
                    Ok(Some(rows)) => {
                        activated.resources_indexed += 1;
                        found.extend(self.change_rows(reindex, stored, &rows)?);
                    }
                    Ok(None) => {}
                    Err(contradiction) => found.push(contradiction),
                }
            }
        }
    }

    fn stored(&self, resource_type: &str, after: i64) -> Result<Vec<Stored>, Fault> {
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let mut statement = self
            .connection
            .prepare_cached(sql::READ_STORED)
            .map_err(fault)?;
        let read = |row: &Row<'_>| {
            Ok(Stored {
                resource: row.get(0)?,
                id: row.get(1)?,
                entries: row.get(2)?,
                document: row.get(3)?,
            })
        };
        let rows = statement
            .query_map(params![self.tenant, resource_type, after, limit], read)
            .map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    fn change_rows(
        &self,
        reindex: &Reindex<'_>,
        stored: &Stored,
        rows: &Rows,
    ) -> Result<Option<Contradiction>, Fault> {
        for row in &rows.removed {
            let statement = if row.unique {
                RELEASE_VALUE
            } else {
                REMOVE_VALUE
            };
            self.execute(
                statement,
                params![self.tenant, row.attribute, row.value, stored.resource],
            )?;
        }
        for row in &rows.added {
            let statement = if row.unique { TAKE_VALUE } else { ADD_VALUE };
            let taken = self.execute(
                statement,
                params![self.tenant, row.attribute, row.value, stored.resource],
            )?;
            if row.unique && taken == 0 {
                return Ok(Some(reindex.taken(&stored.id, row.attribute)));
            }
        }
        self.execute(
            sql::UPDATE_ENTRIES,
            params![self.tenant, stored.resource, rows.entries],
        )?;
        Ok(None)
    }

    fn execute(&self, statement: &str, values: impl Params) -> Result<usize, Fault> {
        self.connection
            .prepare_cached(statement)
            .and_then(|mut statement| statement.execute(values))
            .map_err(fault)
    }
}
