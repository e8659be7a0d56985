//! *(shell)* A tenant's schemas and resource types: reads what there is, calls the decision, lets the store check and activate it; commits a
//! change set that was decided with earlier types.

use std::sync::Arc;

use scim_protocol::{Error, ErrorKind, SchemaSet, TypeSchema};
use serde_json::{Map, Value};

use super::bulk_draft::Draft;
use super::{Directory, DirectoryError};
use crate::access::Caller;
use crate::allowed_values::asked;
use crate::change_set::{ChangeSet, Committed};
use crate::rebase::rebase;
use crate::schema_change::{Edit, decide};
use crate::schema_store::{
    ActivateError, Activated, Activation, Author, Contradiction, SchemaStore,
};
use crate::search::{Page, plan};
use crate::store::{CommitError, Fault, Include};
use crate::tenant::TenantId;
use crate::tenant_types::{DocumentKind, DocumentVersion, TenantTypes};

/// How often an edit is decided again because another one came in between.
const ATTEMPTS_MAX: usize = 4;
/// How often a write is committed while others change the types that it was decided with.
const TYPES_ATTEMPTS_MAX: usize = 3;

/// What became of an edit, or would become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The differences; empty if there is none.
    pub sentences: Vec<String>,
    /// What was done for it.
    pub activated: Activated,
}

impl Directory {
    fn type_store(&self) -> Result<&dyn SchemaStore, Error> {
        let missing = || {
            Error::new(
                ErrorKind::NotImplemented,
                "This directory keeps no schemas of its tenants' own.",
            )
        };
        self.types.as_deref().ok_or_else(missing)
    }

    /// The tenant's schemas as they are now.
    pub(super) async fn schemas_of(&self, tenant: TenantId) -> Result<SchemaSet, Fault> {
        match &self.types {
            Some(types) => {
                let set = self.sets.of(tenant, types.read_types(tenant).await?);
                set.map_err(|error| {
                    Fault::new(format!("the tenant's schemas do not fit together: {error}"))
                })
            }
            None => Ok(SchemaSet::standard()),
        }
    }

    /// Commits. If the tenant's types were changed after the decision and still allow it, commits once more.
    pub(super) async fn commit_of_today(
        &self,
        caller: &Caller,
        mut change_set: ChangeSet,
    ) -> Result<Vec<Committed>, CommitError> {
        if self.types.is_none() {
            return self
                .store
                .commit(caller.tenant.id, Arc::new(change_set))
                .await;
        }
        let mut decided_with = caller.schemas.clone();
        for _ in 0..TYPES_ATTEMPTS_MAX {
            let decided = Arc::new(change_set);
            match self
                .store
                .commit(caller.tenant.id, Arc::clone(&decided))
                .await
            {
                Err(CommitError::TypesChanged) => {
                    let today = self.schemas_of(caller.tenant.id).await?;
                    change_set =
                        rebase(&decided, &decided_with, &today).ok_or(CommitError::TypesChanged)?;
                    decided_with = today;
                }
                outcome => return outcome,
            }
        }
        Err(CommitError::TypesChanged)
    }

    /// Refuses roles and entitlements that a write adds and the tenant does not allow, as far as a draft leaves those that it does. What is allowed may
    /// change a moment later; then the value stays.
    pub(super) async fn check_allowed(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        [before, after]: [Option<&Map<String, Value>>; 2],
        draft: Option<&Draft>,
    ) -> Result<(), DirectoryError> {
        let Some(after) = after else { return Ok(()) };
        for asked in asked(schema, before, after) {
            let Some(holder) = caller.schemas.by_name(asked.resource_type) else {
                continue;
            };
            let page = Page {
                offset: 0,
                limit: u64::try_from(asked.values.len()).unwrap_or(u64::MAX),
            };
            let plan = plan(
                std::slice::from_ref(holder),
                Some(asked.filter()),
                None,
                page,
                Include::default(),
            )?;
            let found = self.store.search(caller.tenant.id, plan).await?.resources;
            let value = |document: &Map<String, Value>| {
                document
                    .get("value")
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            };
            let stored = found
                .iter()
                .filter(|found| draft.is_none_or(|draft| !draft.is_other_than_stored(&found.id)));
            let mut allowed: Vec<String> =
                stored.filter_map(|found| value(&found.document)).collect();
            let left = draft
                .into_iter()
                .flat_map(|draft| draft.written_of(asked.resource_type));
            let supported =
                left.filter(|document| document.get("supported") == Some(&Value::Bool(true)));
            allowed.extend(supported.filter_map(|document| value(document)));
            asked.check(&allowed)?;
        }
        Ok(())
    }

    /// The tenant's own schemas and resource types as they are now.
    pub async fn types(&self, caller: &Caller) -> Result<TenantTypes, DirectoryError> {
        Ok(self.type_store()?.read_types(caller.tenant.id).await?)
    }

    /// All versions of a document, oldest first; refuses (`404`) one that never was.
    pub async fn type_history(
        &self,
        caller: &Caller,
        kind: DocumentKind,
        name: &str,
    ) -> Result<Vec<DocumentVersion>, DirectoryError> {
        let versions = self
            .type_store()?
            .type_history(caller.tenant.id, kind, &name.to_ascii_lowercase())
            .await?;
        if versions.is_empty() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "The tenant never had a {} `{name}` of its own.",
                    kind.name()
                ),
            )
            .into());
        }
        Ok(versions)
    }

    /// Carries out an edit, or says what it would come to. Refuses what contradicts itself, other schemas, or what is stored.
    pub async fn edit_types(
        &self,
        caller: &Caller,
        edit: &Edit,
        activation: Activation,
    ) -> Result<Edited, DirectoryError> {
        let store = self.type_store()?;
        let author = Author {
            credential_id: caller.credential_id.clone(),
            at: self.moment().at,
        };
        for _ in 0..ATTEMPTS_MAX {
            let change = decide(&store.read_types(caller.tenant.id).await?, edit)?;
            if change.documents.is_empty() {
                return Ok(Edited {
                    sentences: Vec::new(),
                    activated: Activated {
                        revision: change.based_on,
                        ..Activated::default()
                    },
                });
            }
            let sentences = change.sentences.clone();
            match store
                .activate(caller.tenant.id, change, author.clone(), activation)
                .await
            {
                Ok(activated) => {
                    return Ok(Edited {
                        sentences,
                        activated,
                    });
                }
                Err(ActivateError::Stale) => {}
                Err(ActivateError::Contradicted(contradictions)) => {
                    return Err(contradicted(&contradictions).into());
                }
                Err(ActivateError::Fault(fault)) => return Err(fault.into()),
            }
        }
        Err(Fault::new("others keep changing the tenant's schemas").into())
    }
}

fn contradicted(contradictions: &[Contradiction]) -> Error {
    let named = contradictions.iter().map(|found| {
        format!(
            "{} {}: {}",
            found.resource_type,
            found.id,
            found.reason.trim_end_matches('.')
        )
    });
    let detail = format!(
        "Stored resources contradict the change, so nothing was changed: {}. Change or delete them first.",
        named.collect::<Vec<_>>().join("; ")
    );
    Error::new(ErrorKind::Conflict, detail)
}
