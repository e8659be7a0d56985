//! *(shell)* `Directory`: reads, calls the decision, commits. The only writer of identities. Decides nothing itself.

mod refusal;

mod schema_sets;

mod types;

mod committing;

mod bulk_draft;

mod oneself;
mod pages;
mod parking;
mod patching;

mod past;

mod restoring;
mod reviving;
mod undo;

mod group_members;

mod bulk_operation;

mod bulk_creates;
mod bulk_left;

mod bulk_atomic;

mod bulk;

use std::sync::Arc;

use jiff::Timestamp;
use scim_protocol::patch::work::Sum;
use scim_protocol::quirk::{Adaptations, QuirkSet, normalize_resource};
use scim_protocol::{Error, ErrorKind, TypeSchema, ValidResource, redaction};
use serde_json::Value;

pub use self::bulk_operation::BulkAnswer;
use self::committing::{come_back, fresh, written};
pub use self::group_members::{MembershipPage, MembershipSearch};
use self::pages::Cursors;
pub use self::pages::MoreMembers;
pub use self::patching::{PatchAnswer, Patched};
use self::refusal::{ATTEMPTS_MAX, NotWritten, may_try_again, not_found, refusal, too_busy};
pub use self::schema_sets::SchemaSets;
pub use self::types::Edited;
pub use self::undo::{UNDO_CHANGES_MAX, UNDO_ENTRIES_MAX, UndoLine, Undone};
use crate::access::{Caller, Permissions};
use crate::change_set::{Change, Moment};
use crate::clock::{Clock, IdGenerator};
use crate::history::History;
use crate::journal::Journal;
use crate::names::hide_names;
use crate::parking::{Method, Parking};
use crate::pending::PendingReferences;
use crate::rehearsal::Rehearsal;
use crate::schema_store::SchemaStore;
use crate::stop::Stop;
use crate::store::{CommitError, Fault, Include, Store, StoredResource};
use crate::tenant::Tenant;
use crate::version::Expected;
use crate::{create, delete, replace, self_service};

/// The id under which the command line writes; it needs no credential.
pub const COMMAND_LINE: &str = "command-line";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The request is at fault; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Error),
    /// We are.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The resource that a request is about, and what the request demands of it.
#[derive(Clone, Copy)]
struct Subject<'a> {
    caller: &'a Caller,
    schema: &'a TypeSchema,
    id: &'a str,
    expected: &'a Expected,
}

/// The directory of all tenants.
#[derive(Clone)]
pub struct Directory {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    cursors: Option<Cursors>,
    types: Option<Arc<dyn SchemaStore>>,
    sets: Arc<SchemaSets>,
    journal: Option<Journal>,
    past: Option<Past>,
    /// Whether an administrator writes, so that no guard holds it.
    unguarded: bool,
    /// For a dry run, the rehearsal, which is the store then too.
    rehearsal: Option<Arc<Rehearsal>>,
    /// Whether the client has stopped waiting for the answer.
    stop: Stop,
    /// What the `PATCH`es of a bulk request may take together.
    sum: Option<Sum>,
}

/// The ports to the history, to parked writes and to references that wait.
#[derive(Clone)]
struct Past {
    history: Arc<dyn History>,
    parking: Arc<dyn Parking>,
    pending: Arc<dyn PendingReferences>,
}

impl Directory {
    /// A directory over a store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, ids: Arc<dyn IdGenerator>) -> Self {
        let (sets, stop) = (Arc::default(), Stop::default());
        Self {
            store,
            clock,
            ids,
            cursors: None,
            types: None,
            sets,
            journal: None,
            past: None,
            unguarded: false,
            rehearsal: None,
            stop,
            sum: None,
        }
    }

    /// The same directory, whose tenants have schemas and resource types of their own.
    #[must_use]
    pub fn with_types(self, types: Arc<dyn SchemaStore>) -> Self {
        Self {
            types: Some(types),
            ..self
        }
    }

    /// The same, with the history, parked writes and references that wait.
    #[must_use]
    pub fn with_past(
        self,
        history: Arc<dyn History>,
        parking: Arc<dyn Parking>,
        pending: Arc<dyn PendingReferences>,
    ) -> Self {
        Self {
            past: Some(Past {
                history,
                parking,
                pending,
            }),
            ..self
        }
    }

    /// The same directory for one request, which is written down in the journal.
    #[must_use]
    pub fn with_journal(&self, journal: Journal) -> Self {
        Self {
            journal: Some(journal),
            ..self.clone()
        }
    }

    /// The same directory for one request. Once the sign is set, it begins no further operation of the request.
    #[must_use]
    pub fn with_stop(&self, stop: Stop) -> Self {
        Self {
            stop,
            ..self.clone()
        }
    }

    /// The same directory for a dry run: every write is only rehearsed, and later reads see it as if it was done. Refused if the store cannot rehearse.
    pub fn rehearsing(&self) -> Result<Self, Error> {
        let rehearsal = Rehearsal::new(Arc::clone(&self.store)).map(Arc::new).ok_or_else(|| {
            let detail = "This server offers no dry runs, because its store cannot rehearse a write; nothing was changed.";
            Error::new(ErrorKind::NotImplemented, detail)
        })?;
        Ok(Self {
            store: rehearsal.clone(),
            rehearsal: Some(rehearsal),
            ..self.clone()
        })
    }

    /// A caller of this tenant whose credential does not end by itself, with the tenant's schemas as they are now.
    pub async fn caller(
        &self,
        tenant: Arc<Tenant>,
        credential_id: String,
        permissions: Permissions,
    ) -> Result<Caller, Fault> {
        let schemas = self.schemas_of(tenant.id).await?;
        Ok(Caller {
            tenant,
            schemas,
            credential_id,
            permissions,
            expires: None,
        })
    }

    /// Creates a resource (RFC 7644 section 3.3).
    pub async fn create(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        mut body: Value,
        include: Include,
    ) -> Result<StoredResource, DirectoryError> {
        caller.may_write(schema)?;
        let quirks = &Self::quirks(caller);
        let adapted = normalize_resource(quirks, schema, &mut body);
        self.note(adapted, || redaction::resource(schema, body.clone()));
        let mut id = self.ids.id().to_string();
        // It is used once more only where the create may revive a person.
        let kept = caller.safety().revive_disabled.then(|| body.clone());
        let mut change_set = create::decide(self.moment(), schema, &id, body, quirks)?;
        let document = written(&change_set).cloned();
        self.check_allowed(caller, schema, [None, document.as_deref()], None)
            .await?;
        let mut anew = None;
        if let Some(document) = &document {
            if let Some(body) = &kept
                && let Some(revived) = self
                    .revive_disabled(caller, schema, (body, document), include)
                    .await?
            {
                return Ok(revived);
            }
            if let Some(tombstone) = self.find_former(caller, schema, document).await? {
                anew = Some((id.clone(), change_set.clone()));
                id.clone_from(&tombstone.id);
                come_back(&mut change_set, &tombstone);
            }
        }
        let has_members = change_set.writes.iter().any(
            |write| matches!(&write.change, Change::Create { members, .. } if !members.is_empty()),
        );
        let committed = match (self.commit(caller, change_set).await, anew) {
            // Another request has brought it back in between.
            (Err(CommitError::NotFound { .. }), Some((new, change_set))) => {
                id = new;
                self.commit(caller, change_set).await.map_err(refusal)?
            }
            (outcome, _) => outcome.map_err(refusal)?,
        };
        let fresh = fresh(schema, &id, &committed, document);
        // A new resource is in no group yet, and the names of its members are all that is not known here.
        let include = Include {
            members: include.members && has_members,
            groups: false,
        };
        self.with_members(caller, schema, fresh, include).await
    }

    /// Reads a resource (RFC 7644 section 3.4.1).
    pub async fn read(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        include: Include,
    ) -> Result<StoredResource, DirectoryError> {
        caller.may_read(schema)?;
        self.read_any(caller, schema, id, include).await
    }

    /// The same for a caller that writes: one that may only write is still answered with what it wrote.
    async fn read_any(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        include: Include,
    ) -> Result<StoredResource, DirectoryError> {
        let mut found = self
            .store
            .read(caller.tenant.id, schema.name(), id, include)
            .await?
            .ok_or_else(|| not_found(schema.name(), id))?;
        hide_names(&caller.permissions, &mut found);
        Ok(found)
    }

    /// Replaces a resource (RFC 7644 section 3.5.1); never creates one.
    pub async fn replace(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        body: Value,
        expected: &Expected,
        include: Include,
    ) -> Result<StoredResource, DirectoryError> {
        let outcome = self
            .replace_now(caller, schema, id, body.clone(), expected, include)
            .await;
        if self
            .parks(
                caller,
                (schema, id),
                (Method::Replace, &body),
                outcome.as_ref().err(),
            )
            .await?
        {
            return self.read_any(caller, schema, id, include).await;
        }
        Ok(outcome?)
    }

    async fn replace_now(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        mut body: Value,
        expected: &Expected,
        include: Include,
    ) -> Result<StoredResource, NotWritten> {
        caller.may_write(schema)?;
        let quirks = &Self::quirks(caller);
        let adapted = normalize_resource(quirks, schema, &mut body);
        self.note(adapted, || redaction::resource(schema, body.clone()));
        if let Some(person) = self.oneself(caller, schema, id).await? {
            self_service::check_groups(&person, &body)?;
        }
        for attempt in 1..=ATTEMPTS_MAX {
            let current = self
                .read_any(
                    caller,
                    schema,
                    id,
                    Include {
                        members: false,
                        groups: include.groups,
                    },
                )
                .await?;
            expected.check(current.version)?;
            let held = ValidResource::trusted(current.document.into_tree());
            let change_set = replace::decide(
                self.moment(),
                schema,
                (id, current.version),
                &held,
                body.clone(),
                quirks,
            )?;
            let document = written(&change_set).cloned();
            self.check_allowed(
                caller,
                schema,
                [Some(held.document()), document.as_deref()],
                None,
            )
            .await?;
            match self.commit(caller, change_set).await {
                Ok(committed) => {
                    let fresh = StoredResource {
                        groups: current.groups,
                        ..fresh(schema, id, &committed, document)
                    };
                    return Ok(self.with_members(caller, schema, fresh, include).await?);
                }
                Err(error) => may_try_again(error, expected, attempt)?,
            }
        }
        Err(too_busy().into())
    }

    /// Deletes a resource (RFC 7644 section 3.6).
    pub async fn delete(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        expected: &Expected,
    ) -> Result<(), DirectoryError> {
        let outcome = self.delete_now(caller, schema, id, expected).await;
        let parked = self
            .parks(
                caller,
                (schema, id),
                (Method::Delete, &Value::Null),
                outcome.as_ref().err(),
            )
            .await?;
        if parked { Ok(()) } else { Ok(outcome?) }
    }

    async fn delete_now(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        expected: &Expected,
    ) -> Result<(), NotWritten> {
        caller.may_write(schema)?;
        let subject = Subject {
            caller,
            schema,
            id,
            expected,
        };
        self.commit_expecting(subject, |precondition| {
            delete::decide(self.moment(), schema, id, precondition)
        })
        .await?;
        Ok(())
    }

    /// Into the journal, where there is one.
    fn note(&self, adapted: Adaptations, message: impl FnOnce() -> Value) {
        if let Some(journal) = &self.journal {
            journal.adapted(adapted, message);
        }
    }

    fn quirks(caller: &Caller) -> QuirkSet {
        caller
            .profile()
            .map_or_else(QuirkSet::standard, scim_protocol::Profile::quirks)
    }

    /// Stores keep microseconds, so decisions use microseconds too.
    fn moment(&self) -> Moment {
        let now = self.clock.now();
        Moment {
            at: Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now),
            change_id: self.ids.id(),
        }
    }
}
