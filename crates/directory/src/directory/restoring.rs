//! *(shell)* Gives a resource back what it held at an earlier time, and commits what an administrator does by hand.

use std::sync::Arc;

use scim_protocol::patch::member::MemberDelta;
use scim_protocol::quirk::QuirkSet;
use scim_protocol::validate::validate;
use scim_protocol::{Error, ErrorKind, TypeSchema, ValidResource};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::refusal::{refusal, too_busy};
use super::{Directory, DirectoryError};
use crate::access::Caller;
use crate::change_set::{Change, ChangeSet, Effect, Former, Policy, Precondition, Write};
use crate::content::content;
use crate::history::{Deleted, Point, Snapshot, Tombstone};
use crate::search::Include;
use crate::store::{CommitError, Fault, StoredResource};

/// How often a restore is tried while others write.
const ATTEMPTS_MAX: usize = 8;
/// With everything that is derived.
const ALL: Include = Include {
    members: true,
    groups: true,
};

impl Directory {
    /// Gives a resource back what it was (of a deleted one, `None`: at its end), with its id, its members and, where it had been deleted, the groups it was
    /// in, as far as these are there. The deletion guard does not hold it. Refuses what the schemas of today do not allow any more, and what the caller could
    /// not write: the resource, and the groups that it would be in again.
    pub async fn restore(
        &self,
        caller: &Caller,
        id: &str,
        point: Option<Point>,
    ) -> Result<StoredResource, DirectoryError> {
        for _ in 0..ATTEMPTS_MAX {
            let buried = self
                .deleted(caller, Deleted::Id(id.to_owned()), 1)
                .await?
                .pop();
            let end = buried
                .as_ref()
                .map(|tombstone| Point::Version(tombstone.version.saturating_sub(1)));
            let missing = || {
                Error::new(
                    ErrorKind::NotFound,
                    format!("No deleted resource with the id `{id}` is remembered."),
                )
            };
            let snapshot = self
                .as_it_was(caller, id, point.or(end).ok_or_else(missing)?)
                .await?;
            let schema = type_of(caller, &snapshot.resource_type)?;
            caller.may_write(&schema)?;
            if let Some(tombstone) = buried
                .as_ref()
                .filter(|_| !caller.permissions.covers("Group"))
            {
                self.refuse_groups(caller, tombstone).await?;
            }
            let resource = still_valid(&schema, snapshot.document.clone())?;
            match self
                .give_back(caller, &schema, resource, &snapshot, buried.as_ref())
                .await
            {
                Err(
                    CommitError::VersionChanged { .. }
                    | CommitError::NotFound { .. }
                    | CommitError::ReferenceMissing { .. },
                ) => {}
                outcome => {
                    outcome.map_err(refusal)?;
                    return self.read_any(caller, &schema, id, ALL).await;
                }
            }
        }
        Err(too_busy().into())
    }

    /// Gives a resource back as `resource`, with the members that it had.
    pub(super) async fn give_back(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        resource: ValidResource,
        was: &Snapshot,
        buried: Option<&Tombstone>,
    ) -> Result<(), CommitError> {
        let present = self
            .store
            .read(caller.tenant.id, schema.name(), &was.id, ALL)
            .await?;
        let members = self
            .still_there(caller, &was.members, present.as_ref())
            .await?;
        let writes = match (present, buried) {
            (Some(present), _) => vec![overwritten(schema, resource, &present, members)],
            (None, Some(tombstone)) => {
                let former = Some(Former {
                    version: tombstone.version,
                    created: tombstone.created,
                });
                let change = Change::Create {
                    content: content(schema, resource),
                    members,
                    former,
                };
                let groups = self.groups_to_join(caller, tombstone).await?;
                let rejoin = groups.into_iter().map(|group| joined(group, &was.id));
                [write(schema.name(), &was.id, change)]
                    .into_iter()
                    .chain(rejoin)
                    .collect()
            }
            (None, None) => {
                return Err(CommitError::NotFound {
                    resource_type: was.resource_type.clone(),
                    id: was.id.clone(),
                });
            }
        };
        self.commit_by_hand(caller, writes).await.map(drop)
    }

    /// Commits what an administrator wants: no guard holds it. Returns the id of the change.
    pub(super) async fn commit_by_hand(
        &self,
        caller: &Caller,
        writes: Vec<Write>,
    ) -> Result<Uuid, CommitError> {
        let moment = self.moment();
        let policy = Policy::of_administrator(caller);
        let change_set = ChangeSet {
            change_id: moment.change_id,
            at: moment.at,
            types_revision: caller.schemas.revision(),
            writes,
            policy,
        };
        self.commit_of_today(caller, change_set)
            .await
            .map(|_| moment.change_id)
    }

    async fn still_there(
        &self,
        caller: &Caller,
        ids: &[String],
        present: Option<&StoredResource>,
    ) -> Result<Vec<String>, Fault> {
        let known: std::collections::HashSet<&str> = present
            .iter()
            .flat_map(|resource| &resource.members)
            .map(|member| member.id.as_str())
            .collect();
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            if known.contains(id.as_str()) || self.is_there(caller, id).await? {
                found.push(id.clone());
            }
        }
        Ok(found)
    }

    pub(super) async fn is_there(&self, caller: &Caller, id: &str) -> Result<bool, Fault> {
        for schema in caller.schemas.types() {
            if self
                .store
                .read(caller.tenant.id, schema.name(), id, Include::default())
                .await?
                .is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses (`403`) to bring back a resource that would be in groups again, if the caller is not for groups.
    async fn refuse_groups(
        &self,
        caller: &Caller,
        tombstone: &Tombstone,
    ) -> Result<(), DirectoryError> {
        if self
            .groups_to_join(caller, tombstone)
            .await
            .map_err(refusal)?
            .is_empty()
        {
            return Ok(());
        }
        let detail = "This token is not for the resource type Group, and the deleted resource was in groups that it would be in again.";
        Err(Error::new(ErrorKind::InsufficientScope, detail).into())
    }

    async fn groups_to_join(
        &self,
        caller: &Caller,
        tombstone: &Tombstone,
    ) -> Result<Vec<String>, CommitError> {
        let Some(past) = &self.past else {
            return Ok(Vec::new());
        };
        let mut groups = Vec::new();
        for id in past
            .history
            .groups_left(caller.tenant.id, &tombstone.id, tombstone.change_id)
            .await?
        {
            if self
                .store
                .read(caller.tenant.id, "Group", &id, Include::default())
                .await?
                .is_some()
            {
                groups.push(id);
            }
        }
        Ok(groups)
    }
}

fn write(resource_type: &str, id: &str, change: Change) -> Write {
    Write {
        resource_type: resource_type.to_owned(),
        id: id.to_owned(),
        change,
    }
}

/// A resource that is there, as it is given back.
fn overwritten(
    schema: &TypeSchema,
    resource: ValidResource,
    present: &StoredResource,
    members: Vec<String>,
) -> Write {
    let effect = Effect::between(&present.document, resource.document(), true);
    let change = Change::Update {
        precondition: Precondition::VersionIs(present.version),
        content: Some(content(schema, resource)),
        members: MemberDelta {
            replace: schema.core_attribute("members").is_some(),
            added: members,
            removed: Vec::new(),
        },
        effect,
    };
    write(schema.name(), &present.id, change)
}

/// A group that a resource joins again.
fn joined(group: String, member: &str) -> Write {
    let change = Change::Update {
        precondition: Precondition::Exists,
        content: None,
        members: MemberDelta {
            replace: false,
            added: vec![member.to_owned()],
            removed: Vec::new(),
        },
        effect: Effect::default(),
    };
    write("Group", &group, change)
}

/// An earlier document of a resource, checked against the type of now. If the type does not allow it any more, the refusal names the attribute.
pub(super) fn still_valid(
    schema: &TypeSchema,
    document: Map<String, Value>,
) -> Result<ValidResource, Error> {
    let checked = validate(schema, Value::Object(document), None, &QuirkSet::standard());
    checked.map(|checked| checked.resource).map_err(|error| {
        let detail = format!(
            "What the resource held then is not allowed any more, so it was not given back: {}",
            error.detail()
        );
        let refused = Error::new(ErrorKind::Conflict, detail);
        match error.path() {
            Some(path) => refused.at(path),
            None => refused,
        }
    })
}

/// A resource type, which may be gone since.
pub(super) fn type_of(caller: &Caller, name: &str) -> Result<Arc<TypeSchema>, Error> {
    let gone = || {
        Error::new(
            ErrorKind::NotFound,
            format!("The resource type {name} is not there any more."),
        )
    };
    caller.schemas.by_name(name).cloned().ok_or_else(gone)
}

#[cfg(test)]
mod tests {
    use scim_protocol::SchemaSet;
    use scim_protocol::schema::standard::USER;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_allowed_any_more_is_named() {
        let set = SchemaSet::standard();
        let check = |document: Value| {
            still_valid(
                set.by_name("User").unwrap(),
                document.as_object().unwrap().clone(),
            )
        };
        assert!(check(json!({"schemas": [USER], "userName": "ada"})).is_ok());
        // An earlier program took longer ones.
        for (document, path) in [
            (
                json!({"schemas": [USER], "userName": "a".repeat(2_001)}),
                "userName",
            ),
            (
                json!({"schemas": [USER], "userName": "ada", "title": "a".repeat(65_537)}),
                "title",
            ),
            (json!({"schemas": [USER]}), "userName"),
        ] {
            let error = check(document).unwrap_err();
            assert_eq!(
                (error.kind(), error.path()),
                (ErrorKind::Conflict, Some(path)),
                "{error}"
            );
            assert!(error.detail().contains(&format!("`{path}`")), "{error}");
        }
    }
}
