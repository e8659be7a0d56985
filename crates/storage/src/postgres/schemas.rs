//! `SchemaStore` in PostgreSQL: a tenant's schemas and resource types. A change waits for the tenant's commits on all nodes and holds new ones back while
//! it checks what is stored and makes index rows.

use std::collections::HashSet;

use async_trait::async_trait;
use deadpool_postgres::{Object, Transaction};
use directory::schema_change::TypeChange;
use directory::schema_effect::AffectedType;
use directory::schema_store::{
    ActivateError, Activated, Activation, Author, CONTRADICTIONS_MAX, Contradiction, SchemaStore,
};
use directory::store::Fault;
use directory::tenant::TenantId;
use directory::tenant_types::{DocumentKind, DocumentVersion, TenantTypes};
use tokio_postgres::Row;

use super::Postgres;
use super::attempts::{self, Attempts, Values, in_transaction};
use super::connections::{begin, fault, snapshot};
use super::read::storable;
use super::statements_of_schemas as sql;
use crate::reindex::{BATCH, Reindex, Rows, Stored, document_version, in_use, tenant_types};
use crate::rows::{IndexRow, json_text, micros, stored_key, version};

#[async_trait]
impl SchemaStore for Postgres {
    async fn read_types(&self, tenant: TenantId) -> Result<TenantTypes, Fault> {
        Ok(in_transaction!(
            &self.connections,
            snapshot,
            |transaction| read_types(transaction, tenant.0)
        ))
    }

    async fn type_history(
        &self,
        tenant: TenantId,
        kind: DocumentKind,
        key: &str,
    ) -> Result<Vec<DocumentVersion>, Fault> {
        let rows = attempts::query(
            &self.connections,
            sql::READ_HISTORY,
            &[&tenant.0, &kind.name(), &storable(key)],
        )
        .await?;
        let read = |row: &Row| {
            let author = row.try_get(2).map_err(fault)?;
            document_version(
                row.try_get(0).map_err(fault)?,
                row.try_get(1).map_err(fault)?,
                author,
                row.try_get(3).map_err(fault)?,
            )
        };
        rows.iter().map(read).collect()
    }

    async fn activate(
        &self,
        tenant: TenantId,
        change: TypeChange,
        author: Author,
        activation: Activation,
    ) -> Result<Activated, ActivateError> {
        let mut attempts = Attempts::new(&self.connections);
        loop {
            let mut connection = attempts.connection().await?;
            match activate_once(&mut connection, tenant, &change, &author, activation).await {
                Err(ActivateError::Fault(fault)) => attempts.again(fault)?,
                outcome => {
                    self.notify();
                    return outcome;
                }
            }
        }
    }
}

async fn activate_once(
    connection: &mut Object,
    tenant: TenantId,
    change: &TypeChange,
    author: &Author,
    activation: Activation,
) -> Result<Activated, ActivateError> {
    let transaction = begin(connection).await.map_err(fault)?;
    let activated = Activating {
        transaction: &transaction,
        tenant: tenant.0,
        change,
        author,
    }
    .activate()
    .await?;
    match activation {
        Activation::Keep => transaction.commit().await.map_err(fault)?,
        Activation::Rehearse => transaction.rollback().await.map_err(fault)?,
    }
    Ok(activated)
}

async fn read_types(transaction: &Transaction<'_>, tenant: i64) -> Result<TenantTypes, Fault> {
    let revision = revision(transaction, tenant).await?;
    // Most tenants have none, and are asked for often.
    if revision == 0 {
        return Ok(TenantTypes::default());
    }
    let rows = query(transaction, sql::READ_DOCUMENTS, &[&tenant]).await?;
    let read = |row: &Row| {
        Ok((
            row.try_get(0).map_err(fault)?,
            row.try_get(1).map_err(fault)?,
        ))
    };
    tenant_types(
        revision,
        rows.iter().map(read).collect::<Result<_, Fault>>()?,
    )
}

async fn query(
    transaction: &Transaction<'_>,
    statement: &str,
    values: Values<'_>,
) -> Result<Vec<Row>, Fault> {
    let statement = transaction.prepare_cached(statement).await.map_err(fault)?;
    transaction.query(&statement, values).await.map_err(fault)
}

/// The revision of the tenant's types.
pub(crate) async fn revision(transaction: &Transaction<'_>, tenant: i64) -> Result<i64, Fault> {
    let rows = query(transaction, sql::READ_REVISION, &[&tenant]).await?;
    rows.first()
        .ok_or_else(|| Fault::new("there is no such tenant"))?
        .try_get(0)
        .map_err(fault)
}

/// Rows of many resources, by column.
#[derive(Default)]
struct Columns {
    attributes: Vec<i64>,
    values: Vec<Vec<u8>>,
    resources: Vec<i64>,
}

impl Columns {
    fn of(changes: &[(&Stored, Rows)], which: fn(&Rows) -> &[IndexRow], unique: bool) -> Self {
        let mut columns = Self::default();
        for (stored, rows) in changes {
            for row in which(rows).iter().filter(|row| row.unique == unique) {
                columns.attributes.push(row.attribute);
                columns.values.push(stored_key(&row.value).into_owned());
                columns.resources.push(stored.resource);
            }
        }
        columns
    }
}

struct Activating<'a> {
    transaction: &'a Transaction<'a>,
    tenant: i64,
    change: &'a TypeChange,
    author: &'a Author,
}

impl Activating<'_> {
    async fn activate(&self) -> Result<Activated, ActivateError> {
        self.query(sql::LOCK_TYPES, &[&self.tenant]).await?;
        let based_on = revision(self.transaction, self.tenant).await?;
        if version(based_on) != self.change.based_on {
            return Err(ActivateError::Stale);
        }
        let mut activated = Activated {
            revision: self.change.based_on + 1,
            ..Activated::default()
        };
        let mut contradictions = Vec::new();
        for affected in &self.change.affected {
            self.look_at(affected, &mut activated, &mut contradictions)
                .await?;
        }
        if !contradictions.is_empty() {
            contradictions.truncate(CONTRADICTIONS_MAX);
            return Err(ActivateError::Contradicted(contradictions));
        }
        for document in &self.change.documents {
            let text = document.document.as_ref().map(json_text).transpose()?;
            let (kind, at, author) = (
                document.kind.name(),
                micros(self.author.at),
                &self.author.credential_id,
            );
            self.query(
                sql::ADD_DOCUMENT,
                &[&self.tenant, &kind, &document.key, &at, author, &text],
            )
            .await?;
        }
        self.query(sql::RAISE_REVISIONS, &[&self.tenant, &based_on])
            .await?;
        Ok(activated)
    }

    async fn look_at(
        &self,
        affected: &AffectedType,
        activated: &mut Activated,
        found: &mut Vec<Contradiction>,
    ) -> Result<(), Fault> {
        let mut after = 0;
        loop {
            let batch = self.stored(&affected.name, after).await?;
            let Some(last) = batch.last() else {
                return Ok(());
            };
            after = last.resource;
            activated.resources_checked += u64::try_from(batch.len()).unwrap_or_default();
            let Some(schema) = &affected.schema else {
                found.extend(
                    batch
                        .iter()
                        .take(CONTRADICTIONS_MAX)
                        .map(|stored| in_use(affected, &stored.id)),
                );
                return Ok(());
            };
            let reindex = Reindex::new(affected, schema);
            let mut changes = Vec::new();
            for stored in &batch {
                match reindex.rows(stored)? {
                    Ok(Some(rows)) => changes.push((stored, rows)),
                    Ok(None) => {}
                    Err(contradiction) => found.push(contradiction),
                }
            }
            activated.resources_indexed += u64::try_from(changes.len()).unwrap_or_default();
            self.change_rows(&reindex, &changes, found).await?;
            if found.len() >= CONTRADICTIONS_MAX {
                return Ok(());
            }
        }
    }

    async fn stored(&self, resource_type: &str, after: i64) -> Result<Vec<Stored>, Fault> {
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let rows = self
            .query(
                sql::READ_STORED,
                &[&self.tenant, &resource_type, &after, &limit],
            )
            .await?;
        let read = |row: &Row| {
            Ok(Stored {
                resource: row.try_get(0)?,
                id: row.try_get(1)?,
                entries: row.try_get(2)?,
                document: row.try_get(3)?,
            })
        };
        rows.iter()
            .map(read)
            .collect::<Result<_, tokio_postgres::Error>>()
            .map_err(fault)
    }

    async fn change_rows(
        &self,
        reindex: &Reindex<'_>,
        changes: &[(&Stored, Rows)],
        found: &mut Vec<Contradiction>,
    ) -> Result<(), Fault> {
        if changes.is_empty() {
            return Ok(());
        }
        let removed = |unique| Columns::of(changes, |rows| &rows.removed, unique);
        let added = |unique| Columns::of(changes, |rows| &rows.added, unique);
        self.of_columns(sql::RELEASE_VALUES, &removed(true)).await?;
        self.of_columns(sql::REMOVE_VALUES, &removed(false)).await?;
        self.of_columns(sql::ADD_VALUES, &added(false)).await?;
        let wanted = added(true);
        let taken = self.of_columns(sql::TAKE_VALUES, &wanted).await?;
        if taken.len() < wanted.resources.len() {
            let read = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
            let taken: HashSet<(i64, Vec<u8>, i64)> = taken
                .iter()
                .map(read)
                .collect::<Result<_, tokio_postgres::Error>>()
                .map_err(fault)?;
            let all = wanted
                .attributes
                .iter()
                .zip(wanted.values)
                .zip(&wanted.resources);
            for ((attribute, value), resource) in all {
                if !taken.contains(&(*attribute, value, *resource))
                    && let Some((stored, _)) = changes
                        .iter()
                        .find(|(stored, _)| stored.resource == *resource)
                {
                    found.push(reindex.taken(&stored.id, *attribute));
                }
            }
        }
        let resources: Vec<i64> = changes.iter().map(|(stored, _)| stored.resource).collect();
        let entries: Vec<&[u8]> = changes
            .iter()
            .map(|(_, rows)| rows.entries.as_slice())
            .collect();
        self.query(sql::UPDATE_ENTRIES, &[&self.tenant, &resources, &entries])
            .await
            .map(drop)
    }

    async fn of_columns(&self, statement: &str, columns: &Columns) -> Result<Vec<Row>, Fault> {
        if columns.resources.is_empty() {
            return Ok(Vec::new());
        }
        self.query(
            statement,
            &[
                &self.tenant,
                &columns.attributes,
                &columns.values,
                &columns.resources,
            ],
        )
        .await
    }

    async fn query(&self, statement: &str, values: Values<'_>) -> Result<Vec<Row>, Fault> {
        query(self.transaction, statement, values).await
    }
}
