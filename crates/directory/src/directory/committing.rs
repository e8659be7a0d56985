//! *(shell)* Commits what was decided, and reads what the answer shows of it.

use scim_protocol::TypeSchema;

use super::refusal::NotWritten;
use super::{COMMAND_LINE, Directory, DirectoryError, Subject};
use crate::access::Caller;
use crate::change_set::{Change, ChangeSet, Committed, Former, Policy, Precondition, Write};
use crate::document::Document;
use crate::history::Tombstone;
use crate::journal::Touched;
use crate::names::hide_names;
use crate::store::{CommitError, Fault, Include, StoredResource};

impl Directory {
    /// Commits what does not depend on what the resource holds; reads it only where the demanded version cannot be checked by the write itself.
    pub(super) async fn commit_expecting(
        &self,
        subject: Subject<'_>,
        decide: impl Fn(Precondition) -> ChangeSet,
    ) -> Result<Committed, NotWritten> {
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
                .map_err(NotWritten::from);
        }
        if let Some(version) = expected.only_version() {
            return self
                .commit(caller, decide(Precondition::VersionIs(version)))
                .await
                .map_err(NotWritten::from);
        }
        let current = self
            .read_any(caller, schema, id, Include::default())
            .await?;
        expected.check(current.version)?;
        self.commit(caller, decide(Precondition::VersionIs(current.version)))
            .await
            .map_err(NotWritten::from)
    }

    /// Commits a change set of one write.
    pub(super) async fn commit(
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
    pub(super) async fn commit_all(
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

    /// Reads what was just written again if its members are wanted. Another request may have changed or deleted it since; it was written all the same.
    pub(super) async fn with_members(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        fresh: StoredResource,
        include: Include,
    ) -> Result<StoredResource, DirectoryError> {
        let wants_members = include.members && schema.core_attribute("members").is_some();
        // A manager who was named otherwise was given its id.
        if !wants_members && !caller.may_name_people() {
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
}

/// The policy for the writes of a caller. The guard does not hold the command line.
fn policy(caller: &Caller) -> Policy {
    if caller.credential_id == COMMAND_LINE {
        Policy::of_administrator(caller)
    } else {
        Policy::of_client(caller)
    }
}

/// Makes a create one of a resource that was deleted.
pub(super) fn come_back(change_set: &mut ChangeSet, tombstone: &Tombstone) {
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
pub(super) fn written(change_set: &ChangeSet) -> Option<&Document> {
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
pub(super) fn fresh(
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
