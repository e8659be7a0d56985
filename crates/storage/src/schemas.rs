//! `SchemaStore`: a tenant's schemas and resource types. A change waits for the tenant's commits on all nodes and holds new ones back while it checks what is
//! stored and makes index rows.

use async_trait::async_trait;
use directory::audit::Chain;
use directory::schema_change::TypeChange;
use directory::schema_effect::AffectedType;
use directory::schema_store::{
    ActivateError, Activated, Activation, Author, CONTRADICTIONS_MAX, Contradiction, SchemaStore,
};
use directory::store::Fault;
use directory::tenant::TenantId;
use directory::tenant_types::{DocumentKind, DocumentVersion, TenantTypes};

use crate::audit::append;
use crate::engine::{Database, Engine};
use crate::reindex::{BATCH, Reindex, Rows, Stored, document_version, in_use, tenant_types};
use crate::rows::{IndexRow, json_text, version};
use crate::session::{Field, Session, Statement, at_most, fields};
use crate::statements_of_schemas as sql;

#[async_trait]
impl<E: Engine> SchemaStore for Database<E> {
    async fn read_types(&self, tenant: TenantId) -> Result<TenantTypes, Fault> {
        self.read_snapshot(&tenant, read_types).await
    }

    async fn type_history(
        &self,
        tenant: TenantId,
        kind: DocumentKind,
        key: &str,
    ) -> Result<Vec<DocumentVersion>, Fault> {
        let asked = (tenant, kind, key.to_owned());
        self.read_long(Some(tenant), asked, type_history).await
    }

    async fn activate(
        &self,
        tenant: TenantId,
        change: TypeChange,
        author: Author,
        activation: Activation,
    ) -> Result<Activated, ActivateError> {
        let asked = (tenant, change, author, activation);
        let outcome = self.write(asked, activate).await?;
        self.notify();
        outcome
    }
}

/// The revision of the tenant's types.
pub(crate) async fn revision(session: &mut dyn Session, tenant: TenantId) -> Result<i64, Fault> {
    session
        .first(&sql::READ_REVISION, fields![tenant], |row| row.get(0))
        .await?
        .ok_or_else(|| Fault::new("there is no such tenant"))
}

async fn read_types(session: &mut dyn Session, tenant: &TenantId) -> Result<TenantTypes, Fault> {
    let revision = revision(session, *tenant).await?;
    // Most tenants have none, and are asked for often.
    if revision == 0 {
        return Ok(TenantTypes::default());
    }
    let rows = session
        .rows(&sql::READ_DOCUMENTS, fields![tenant], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .await?;
    tenant_types(revision, rows)
}

async fn type_history(
    session: &mut dyn Session,
    (tenant, kind, key): &(TenantId, DocumentKind, String),
) -> Result<Vec<DocumentVersion>, Fault> {
    session
        .rows(
            &sql::READ_HISTORY,
            fields![tenant, kind.name(), key],
            |row| document_version(row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?),
        )
        .await
}

/// Nothing is kept of a change that is refused or only rehearsed.
async fn activate(
    session: &mut dyn Session,
    (tenant, change, author, activation): &(TenantId, TypeChange, Author, Activation),
) -> Result<Result<Activated, ActivateError>, Fault> {
    session.execute(&sql::LOCK_TYPES, fields![tenant]).await?;
    let based_on = revision(session, *tenant).await?;
    if version(based_on) != change.based_on {
        return Ok(Err(ActivateError::Stale));
    }
    let mut activated = Activated {
        revision: change.based_on + 1,
        ..Activated::default()
    };
    let mut contradictions = Vec::new();
    for affected in &change.affected {
        look_at(
            session,
            *tenant,
            affected,
            &mut activated,
            &mut contradictions,
        )
        .await?;
    }
    if !contradictions.is_empty() {
        session.take_back();
        contradictions.truncate(CONTRADICTIONS_MAX);
        return Ok(Err(ActivateError::Contradicted(contradictions)));
    }
    for document in &change.documents {
        let text = document.document.as_ref().map(json_text).transpose()?;
        let values = fields![
            tenant,
            document.kind.name(),
            &document.key,
            author.at,
            &author.credential_id,
            &text
        ];
        session.execute(&sql::ADD_DOCUMENT, values).await?;
    }
    session.revised();
    session
        .execute(&sql::RAISE_REVISIONS, fields![tenant, based_on])
        .await?;
    if *activation == Activation::Rehearse {
        session.take_back();
    } else if let Some(entry) = &author.entry {
        append(session, Chain::Tenant(*tenant), entry).await?;
    }
    Ok(Ok(activated))
}

/// Checks the stored resources of a type, and changes their index rows.
async fn look_at(
    session: &mut dyn Session,
    tenant: TenantId,
    affected: &AffectedType,
    activated: &mut Activated,
    found: &mut Vec<Contradiction>,
) -> Result<(), Fault> {
    let mut after = 0;
    loop {
        let batch = stored(session, tenant, &affected.name, after).await?;
        let Some(last) = batch.last() else {
            return Ok(());
        };
        after = last.resource;
        activated.resources_checked += u64::try_from(batch.len()).unwrap_or_default();
        let Some(schema) = &affected.schema else {
            let some = batch.iter().take(CONTRADICTIONS_MAX);
            found.extend(some.map(|stored| in_use(affected, &stored.id)));
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
        found.extend(change_rows(session, tenant, &reindex, &changes).await?);
        if found.len() >= CONTRADICTIONS_MAX {
            return Ok(());
        }
    }
}

async fn stored(
    session: &mut dyn Session,
    tenant: TenantId,
    resource_type: &str,
    after: i64,
) -> Result<Vec<Stored>, Fault> {
    let values = fields![tenant, resource_type, after, at_most(BATCH)];
    session
        .rows(&sql::READ_STORED, values, |row| {
            Ok(Stored {
                resource: row.get(0)?,
                id: row.get(1)?,
                entries: row.get(2)?,
                document: row.get(3)?,
            })
        })
        .await
}

/// Changes the index rows of resources; says which values of theirs others have.
async fn change_rows(
    session: &mut dyn Session,
    tenant: TenantId,
    reindex: &Reindex<'_>,
    changes: &[(&Stored, Rows)],
) -> Result<Vec<Contradiction>, Fault> {
    let removed = |unique| of_kind(changes, |rows| &rows.removed, unique);
    let added = |unique| of_kind(changes, |rows| &rows.added, unique);
    each(session, tenant, &sql::RELEASE_VALUE, &removed(true)).await?;
    each(session, tenant, &sql::REMOVE_VALUE, &removed(false)).await?;
    each(session, tenant, &sql::ADD_VALUE, &added(false)).await?;
    let wanted = added(true);
    let taken = each(session, tenant, &sql::TAKE_VALUE, &wanted).await?;
    let refused = wanted.iter().zip(taken).filter(|(_, taken)| *taken == 0);
    let contradictions = refused
        .map(|((stored, row), _)| reindex.taken(&stored.id, row.attribute))
        .collect();
    let lists: Vec<_> = changes
        .iter()
        .map(|(stored, rows)| fields![tenant, stored.resource, &rows.entries].to_vec())
        .collect();
    session.execute_each(&sql::UPDATE_ENTRIES, &lists).await?;
    Ok(contradictions)
}

/// The unique rows, or the others, of many resources.
fn of_kind<'a>(
    changes: &'a [(&'a Stored, Rows)],
    which: fn(&Rows) -> &Vec<IndexRow>,
    unique: bool,
) -> Vec<(&'a Stored, &'a IndexRow)> {
    let mut found = Vec::new();
    for (stored, rows) in changes {
        let some = which(rows).iter().filter(|row| row.unique == unique);
        found.extend(some.map(|row| (*stored, row)));
    }
    found
}

async fn each(
    session: &mut dyn Session,
    tenant: TenantId,
    statement: &Statement,
    rows: &[(&Stored, &IndexRow)],
) -> Result<Vec<u64>, Fault> {
    let lists: Vec<_> = rows
        .iter()
        .map(|(stored, row)| {
            let value = Field::IndexKey(&row.value);
            fields![tenant, row.attribute, value, stored.resource].to_vec()
        })
        .collect();
    session.execute_each(statement, &lists).await
}
