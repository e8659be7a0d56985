//! *(shell)* `Directory`: reads, calls the decision, commits. The only writer of identities. Decides nothing itself.

mod schema_sets;

mod types;

mod oneself;
mod pages;
mod parking;
mod past;
mod undo;

mod group_members;

mod bulk_draft;

mod bulk_together;

mod bulk;

use std::sync::Arc;

use jiff::Timestamp;
use scim_protocol::patch::member::{Split, fold, split};
use scim_protocol::patch::work::{Sum, Work};
use scim_protocol::quirk::{Adaptations, QuirkSet, normalize_patch, normalize_resource};
use scim_protocol::{Error, ErrorKind, TypeSchema, ValidResource, redaction};
use serde_json::Value;

pub use self::bulk_together::BulkAnswer;
pub use self::group_members::{MembershipPage, MembershipSearch};
use self::oneself::own_groups;
use self::pages::Cursors;
pub use self::pages::MoreMembers;
pub use self::schema_sets::SchemaSets;
pub use self::types::Edited;
pub use self::undo::{UNDO_CHANGES_MAX, UNDO_ENTRIES_MAX, UndoLine, Undone};
use crate::access::{Caller, Permissions, unauthorized};
use crate::change_set::{
    Change, ChangeSet, Committed, Former, Moment, Policy, Precondition, Write,
};
use crate::clock::{Clock, IdGenerator};
use crate::document::Document;
use crate::history::{History, Tombstone};
use crate::journal::{Journal, Touched};
use crate::membership::Needs;
use crate::names::hide_names;
use crate::parking::{Method, Parking};
use crate::pending::PendingReferences;
use crate::rehearsal::Rehearsal;
use crate::schema_store::SchemaStore;
use crate::stop::Stop;
use crate::store::{CommitError, Fault, Include, Store, StoredResource};
use crate::tenant::Tenant;
use crate::version::{Expected, precondition_failed};
use crate::{create, delete, membership, patch, replace, self_service};

/// How often a write is decided again because somebody else wrote in between.
const ATTEMPTS_MAX: usize = 8;
/// A group with more members is not answered to a PATCH that changed only members, unless it was asked for.
const MEMBERS_ANSWERED_MAX: u32 = 100;

/// The credential of the program's own hand.
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

/// What a PATCH should answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchAnswer {
    /// Only the version.
    Version,
    /// The resource without its members, unless only members of a large group changed: then reading them for the answer would make the cost of the write
    /// depend on the size of the group.
    ResourceUnlessLarge(Include),
    /// The resource.
    Resource(Include),
}

impl PatchAnswer {
    fn include(self) -> Option<Include> {
        match self {
            Self::Version => None,
            Self::ResourceUnlessLarge(include) => Some(Include {
                members: false,
                ..include
            }),
            Self::Resource(include) => Some(include),
        }
    }
}

/// What became of a PATCH.
#[derive(Clone, Debug, PartialEq)]
pub struct Patched {
    /// The version it has now.
    pub version: u64,
    /// The resource as it is now, where it was asked for.
    pub resource: Option<StoredResource>,
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
    /// Whether an administrator does it: no guard holds it.
    unguarded: bool,
    /// Where nothing is kept of what is done: what it is only rehearsed on, which is the store too.
    rehearsal: Option<Arc<Rehearsal>>,
    /// Whether the client has stopped waiting for the answer.
    stop: Stop,
    /// What the `PATCH`es of a bulk request may take together.
    sum: Option<Sum>,
}

/// What was, and what is held.
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

    /// The same, with what was, what is held and what waits.
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

    /// The same directory for one request, whose operations that have not begun are left out once this is set.
    #[must_use]
    pub fn with_stop(&self, stop: Stop) -> Self {
        Self {
            stop,
            ..self.clone()
        }
    }

    /// The same directory, in which nothing is kept: every write is only rehearsed, and later reads see it as if it were done. Refused where the store
    /// cannot rehearse.
    pub fn rehearsing(&self) -> Result<Self, Error> {
        let rehearsal = Rehearsal::new(Arc::clone(&self.store)).map(Arc::new).ok_or_else(|| {
            let detail = "Dry runs are not offered here, as what is behind this server cannot rehearse a write; nothing was changed.";
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
        // Wanted once more only where it may revive somebody.
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
            // Somebody else has brought it back in between.
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

    /// The same for whoever writes: a caller that may only write is still answered with what it wrote.
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
        outcome
    }

    async fn replace_now(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        mut body: Value,
        expected: &Expected,
        include: Include,
    ) -> Result<StoredResource, DirectoryError> {
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
                    return self.with_members(caller, schema, fresh, include).await;
                }
                Err(error) => may_try_again(error, expected, attempt)?,
            }
        }
        Err(too_busy().into())
    }

    /// Changes a part of a resource (RFC 7644 section 3.5.2).
    pub async fn patch(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        body: Value,
        expected: &Expected,
        answer: PatchAnswer,
    ) -> Result<Patched, DirectoryError> {
        let outcome = self
            .patch_now(caller, schema, id, body.clone(), expected, answer)
            .await;
        let outcome = outcome.map_err(|error| own_groups(caller, schema, id, error));
        if self
            .parks(
                caller,
                (schema, id),
                (Method::Patch, &body),
                outcome.as_ref().err(),
            )
            .await?
        {
            let resource = self
                .read_any(caller, schema, id, answer.include().unwrap_or_default())
                .await?;
            return Ok(Patched {
                version: resource.version,
                resource: answer.include().map(|_| resource),
            });
        }
        outcome
    }

    async fn patch_now(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        mut body: Value,
        expected: &Expected,
        answer: PatchAnswer,
    ) -> Result<Patched, DirectoryError> {
        caller.may_write(schema)?;
        let quirks = &Self::quirks(caller);
        let adapted = normalize_patch(quirks, schema, &mut body);
        self.note(adapted, || redaction::patch(schema, body.clone()));
        let split = split(schema, scim_protocol::patch::parse(schema, body, quirks)?)?;
        let subject = Subject {
            caller,
            schema,
            id,
            expected,
        };
        if membership::needs(&split) == Needs::Nothing {
            self.patch_members(subject, &split, answer).await
        } else {
            self.patch_document(subject, &split, answer).await
        }
    }

    async fn patch_members(
        &self,
        subject: Subject<'_>,
        split: &Split,
        answer: PatchAnswer,
    ) -> Result<Patched, DirectoryError> {
        let Subject {
            caller, schema, id, ..
        } = subject;
        let members = fold(schema, &split.members, &[], &mut self.work())?;
        let decide = |precondition| {
            membership::decide(self.moment(), schema, id, precondition, members.clone())
        };
        let committed = self.commit_expecting(subject, decide).await?;
        let wanted = match answer {
            PatchAnswer::Version => None,
            PatchAnswer::Resource(include) => Some(include),
            PatchAnswer::ResourceUnlessLarge(include) => {
                let is_large = include.members
                    && self
                        .store
                        .has_more_members_than(caller.tenant.id, id, MEMBERS_ANSWERED_MAX)
                        .await?;
                (!is_large).then_some(Include {
                    members: false,
                    ..include
                })
            }
        };
        match wanted {
            Some(include) => {
                let resource = self.read_any(caller, schema, id, include).await?;
                Ok(Patched {
                    version: resource.version,
                    resource: Some(resource),
                })
            }
            None => Ok(Patched {
                version: committed.version,
                resource: None,
            }),
        }
    }

    async fn patch_document(
        &self,
        subject: Subject<'_>,
        split: &Split,
        answer: PatchAnswer,
    ) -> Result<Patched, DirectoryError> {
        let Subject {
            caller,
            schema,
            id,
            expected,
        } = subject;
        let include = answer.include().unwrap_or_default();
        let needed = Include {
            members: membership::needs(split) == Needs::Members,
            groups: include.groups,
        };
        for attempt in 1..=ATTEMPTS_MAX {
            let current = self.read_any(caller, schema, id, needed).await?;
            expected.check(current.version)?;
            let mut noted = Adaptations::default();
            let change_set = patch::decide(
                self.moment(),
                schema,
                &current,
                split,
                &Self::quirks(caller),
                &mut self.work(),
                &mut noted,
            )?;
            let document = written(&change_set).cloned();
            self.check_allowed(
                caller,
                schema,
                [Some(&current.document), document.as_deref()],
                None,
            )
            .await?;
            let outcome = self.commit(caller, change_set).await;
            if let (Some(journal), Ok(_)) = (&self.journal, &outcome) {
                journal.also_adapted(noted);
            }
            match outcome {
                Ok(committed) if answer == PatchAnswer::Version => {
                    return Ok(Patched {
                        version: committed.version,
                        resource: None,
                    });
                }
                Ok(committed) => {
                    let document = document.or(Some(current.document));
                    let fresh = StoredResource {
                        groups: current.groups,
                        ..fresh(schema, id, &committed, document)
                    };
                    let resource = self.with_members(caller, schema, fresh, include).await?;
                    return Ok(Patched {
                        version: resource.version,
                        resource: Some(resource),
                    });
                }
                Err(error) => may_try_again(error, expected, attempt)?,
            }
        }
        Err(too_busy().into())
    }

    /// Counts the steps of one PATCH, and of the bulk request that it is a part of.
    fn work(&self) -> Work {
        self.sum.as_ref().map_or_else(Work::default, Sum::work)
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
        if parked { Ok(()) } else { outcome }
    }

    async fn delete_now(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        expected: &Expected,
    ) -> Result<(), DirectoryError> {
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

    /// Commits what does not depend on what the resource holds; reads it only where the demanded version cannot be checked by the write itself.
    async fn commit_expecting(
        &self,
        subject: Subject<'_>,
        decide: impl Fn(Precondition) -> ChangeSet,
    ) -> Result<Committed, DirectoryError> {
        let Subject {
            caller,
            schema,
            id,
            expected,
        } = subject;
        if expected.is_anything() {
            return self
                .commit(caller, decide(Precondition::Exists))
                .await
                .map_err(refusal);
        }
        if let Some(version) = expected.only_version() {
            return self
                .commit(caller, decide(Precondition::VersionIs(version)))
                .await
                .map_err(refusal);
        }
        let current = self
            .read_any(caller, schema, id, Include::default())
            .await?;
        expected.check(current.version)?;
        self.commit(caller, decide(Precondition::VersionIs(current.version)))
            .await
            .map_err(refusal)
    }

    /// Commits a change set of one write.
    async fn commit(
        &self,
        caller: &Caller,
        change_set: ChangeSet,
    ) -> Result<Committed, CommitError> {
        let committed = self
            .commit_all(caller, change_set)
            .await?
            .into_iter()
            .next();
        committed.ok_or_else(|| {
            Fault::new("the store committed a write without saying what became of it").into()
        })
    }

    /// Commits a change set under the caller's policy, and notes what it changed where there is a journal.
    async fn commit_all(
        &self,
        caller: &Caller,
        mut change_set: ChangeSet,
    ) -> Result<Vec<Committed>, CommitError> {
        change_set.policy = if self.unguarded {
            Policy::of_administrator(caller)
        } else {
            policy(caller)
        };
        self.check_person(caller, &mut change_set).await?;
        let subject = |write: &Write| (write.resource_type.clone(), write.id.clone());
        let subjects: Vec<_> = change_set
            .writes
            .iter()
            .filter(|_| self.journal.is_some())
            .map(subject)
            .collect();
        let committed = self.commit_of_today(caller, change_set).await?;
        if let Some(journal) = &self.journal {
            for ((resource_type, id), committed) in subjects
                .into_iter()
                .zip(&committed)
                .filter(|(_, committed)| committed.changed)
            {
                journal.changed(Touched {
                    resource_type,
                    id,
                    version: committed.version,
                });
            }
        }
        Ok(committed)
    }

    /// Into the journal, where there is one.
    fn note(&self, adapted: Adaptations, message: impl FnOnce() -> Value) {
        if let Some(journal) = &self.journal {
            journal.adapted(adapted, message);
        }
    }

    /// Reads what was just written again where its members are wanted. Somebody may have changed or deleted it since; it was written all the same.
    async fn with_members(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        fresh: StoredResource,
        include: Include,
    ) -> Result<StoredResource, DirectoryError> {
        let wants_members = include.members && schema.core_attribute("members").is_some();
        // A manager who was named otherwise was given its id.
        if !wants_members && !caller.safety().pending_references {
            return Ok(fresh);
        }
        let mut again = self
            .store
            .read(caller.tenant.id, schema.name(), &fresh.id, include)
            .await?
            .unwrap_or(fresh);
        hide_names(&caller.permissions, &mut again);
        Ok(again)
    }

    fn quirks(caller: &Caller) -> QuirkSet {
        caller
            .profile()
            .map_or_else(QuirkSet::standard, scim_protocol::Profile::quirks)
    }

    /// Stores keep microseconds, so that is what is decided with.
    fn moment(&self) -> Moment {
        let now = self.clock.now();
        Moment {
            at: Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now),
            change_id: self.ids.id(),
        }
    }
}

/// What happens with what a caller writes. The guard does not hold what an administrator does by hand on the command line.
fn policy(caller: &Caller) -> Policy {
    if caller.credential_id == COMMAND_LINE {
        Policy::of_administrator(caller)
    } else {
        Policy::of_client(caller)
    }
}

/// Makes a create one of a resource that was deleted.
fn come_back(change_set: &mut ChangeSet, tombstone: &Tombstone) {
    for write in &mut change_set.writes {
        if let Change::Create { former, .. } = &mut write.change {
            *former = Some(Former {
                version: tombstone.version,
                created: tombstone.created,
            });
            write.id.clone_from(&tombstone.id);
        }
    }
}

/// The document that a change set leaves behind, where it writes one.
fn written(change_set: &ChangeSet) -> Option<&Document> {
    change_set
        .writes
        .iter()
        .find_map(|write| match &write.change {
            Change::Create { content, .. } => Some(&content.document),
            Change::Update { content, .. } => content.as_ref().map(|content| &content.document),
            Change::Delete { .. } => None,
        })
}

/// A resource as it was just written.
fn fresh(
    schema: &TypeSchema,
    id: &str,
    committed: &Committed,
    document: Option<Document>,
) -> StoredResource {
    StoredResource {
        resource_type: schema.name().to_owned(),
        id: id.to_owned(),
        version: committed.version,
        created: committed.created,
        last_modified: committed.last_modified,
        document: document.unwrap_or_default(),
        members: Vec::new(),
        groups: Vec::new(),
    }
}

/// Whether a write may be decided again: somebody else wrote in between, and the caller did not name a version.
fn may_try_again(
    error: CommitError,
    expected: &Expected,
    attempt: usize,
) -> Result<(), DirectoryError> {
    match error {
        CommitError::VersionChanged { .. } if expected.is_anything() && attempt < ATTEMPTS_MAX => {
            Ok(())
        }
        CommitError::VersionChanged { .. } if expected.is_anything() => Err(too_busy().into()),
        error => Err(refusal(error)),
    }
}

fn refusal(error: CommitError) -> DirectoryError {
    let refused = match error {
        CommitError::VersionChanged { current } => precondition_failed(current),
        CommitError::NotFound { resource_type, id } => not_found(&resource_type, &id),
        CommitError::ValueTaken { path } => {
            let detail =
                format!("The value of `{path}` is taken by another resource; accepted is a value that none has (case may not matter).");
            Error::new(ErrorKind::Uniqueness, detail).at(path)
        }
        CommitError::ReferenceMissing { id } => {
            let detail =
                format!("`members` names `{id}`, but there is no such resource; accepted is the `id` of an existing User or Group.");
            Error::new(ErrorKind::InvalidValue, detail).at("members")
        }
        CommitError::TypesChanged => Error::new(
            ErrorKind::Unavailable,
            "The tenant's schemas were changed while the request was under way; nothing was changed by it, and sending it again is safe.",
        )
        .retry_after(1),
        CommitError::Held(excess) => Error::new(ErrorKind::TooManyRequests, excess.detail()).retry_after(excess.retry_after_seconds),
        CommitError::OfOneself { attribute } => self_service::refusal(attribute),
        CommitError::PersonLeft => unauthorized(),
        CommitError::Fault(fault) => return DirectoryError::Fault(fault),
    };
    DirectoryError::Refused(refused)
}

fn not_found(resource_type: &str, id: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("There is no {resource_type} with the id `{id}`."),
    )
}

fn too_busy() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "Others keep changing this resource at the same time; nothing was changed, and sending the request again is safe.",
    )
}
