//! *(shell)* Callers that stand for a person: whether the person is still there and active, and what the person may not change of themself.

use scim_protocol::{ErrorKind, TypeSchema};

use super::{Directory, DirectoryError};
use crate::access::{Caller, Scope};
use crate::change_set::{ChangeSet, PERSON, is_active};
use crate::self_service::{self, GROUPS};
use crate::store::{CommitError, Fault, Include, StoredResource};

/// What decides about a person.
const WITH_GROUPS: Include = Include {
    members: false,
    groups: true,
};

impl Directory {
    /// Whether the person that a caller stands for is there and active; true of a caller that stands for no person.
    pub async fn has_active_person(&self, caller: &Caller) -> Result<bool, Fault> {
        Ok(caller.permissions.user.is_none()
            || self.person_of(caller, Include::default()).await?.is_some())
    }

    /// The person that a caller stands for, if they are there and active.
    async fn person_of(
        &self,
        caller: &Caller,
        include: Include,
    ) -> Result<Option<StoredResource>, Fault> {
        let Some(id) = &caller.permissions.user else {
            return Ok(None);
        };
        let found = self
            .store
            .read(caller.tenant.id, PERSON, id, include)
            .await?;
        Ok(found.filter(|person| is_active(&person.document)))
    }

    /// Refuses what a caller that stands for a person wants to write after the person left, and what the person may not change of themself.
    pub(super) async fn check_person(
        &self,
        caller: &Caller,
        change_set: &mut ChangeSet,
    ) -> Result<(), CommitError> {
        let Some(id) = &caller.permissions.user else {
            return Ok(());
        };
        let person = self
            .person_of(caller, WITH_GROUPS)
            .await?
            .ok_or(CommitError::PersonLeft)?;
        if acts_as_administrator(caller) {
            return Ok(());
        }
        self_service::check(&person, change_set)?;
        // The check above sees only ids. So a write of groups names members by ids, and a name that people give themselves or a group of theirs does not
        // match a reference that waits.
        change_set.policy.pending_references &= !change_set
            .writes
            .iter()
            .any(|write| write.id == *id || write.resource_type == "Group");
        Ok(())
    }

    /// The person, with their groups, if a caller acts on the person that it stands for.
    pub(super) async fn oneself(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
    ) -> Result<Option<StoredResource>, Fault> {
        if is_oneself(caller, schema, id) {
            self.person_of(caller, WITH_GROUPS).await
        } else {
            Ok(None)
        }
    }
}

/// Administrators may change any User, also the one that their token stands for.
fn acts_as_administrator(caller: &Caller) -> bool {
    caller.permissions.has(Scope::Admin)
}

fn is_oneself(caller: &Caller, schema: &TypeSchema, id: &str) -> bool {
    schema.name() == PERSON
        && caller.permissions.user.as_deref() == Some(id)
        && !acts_as_administrator(caller)
}

/// A PATCH of the caller's own groups is refused with a detail that says so. To other callers `groups` is only read-only.
pub(super) fn own_groups(
    caller: &Caller,
    schema: &TypeSchema,
    id: &str,
    error: DirectoryError,
) -> DirectoryError {
    let is_of_groups = |path: &str| {
        path.get(..GROUPS.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(GROUPS))
    };
    match &error {
        DirectoryError::Refused(refused)
            if is_oneself(caller, schema, id)
                && refused.kind() == ErrorKind::Mutability
                && refused.path().is_some_and(is_of_groups) =>
        {
            self_service::refusal(GROUPS).into()
        }
        _ => error,
    }
}
