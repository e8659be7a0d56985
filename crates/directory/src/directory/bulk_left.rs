//! *(shell)* Reads resources as the operations of a request that is all or nothing have left them so far.

use std::collections::HashSet;

use super::bulk_draft::Draft;
use super::committing::fresh;
use super::refusal::not_found;
use super::{Directory, DirectoryError, Subject};
use crate::access::Caller;
use crate::change_set::Committed;
use crate::content::display;
use crate::names::hide_names;
use crate::store::{Include, Related, StoredResource};

impl Directory {
    /// Refuses to write a resource that an earlier operation deleted, or that is not in the version that the client names. The commit finds out whether it
    /// exists, so that changes of members never read a group.
    pub(super) async fn check_there(
        &self,
        subject: Subject<'_>,
        draft: &mut Draft,
    ) -> Result<(), DirectoryError> {
        let Subject {
            schema,
            id,
            expected,
            ..
        } = subject;
        match draft.left(schema, id) {
            Some(left) if left.is_gone => Err(not_found(schema.name(), id).into()),
            _ if expected.is_anything() || draft.is_written(id) => Ok(()),
            _ => self.read_left(subject, false, draft).await.map(drop),
        }
    }

    /// A resource as the operations so far leave it.
    pub(super) async fn read_left(
        &self,
        subject: Subject<'_>,
        members: bool,
        draft: &mut Draft,
    ) -> Result<StoredResource, DirectoryError> {
        let Subject {
            caller,
            schema,
            id,
            expected,
        } = subject;
        let (is_new, document) = match draft.left(schema, id) {
            Some(left) if left.is_gone => return Err(not_found(schema.name(), id).into()),
            Some(left) => (left.is_new, left.document.clone()),
            None => (false, None),
        };
        let (at, version) = (draft.moment.at, 1);
        let mut current = match document {
            // Its version is not used: the commit checks the version that an operation demands of what earlier ones left.
            Some(document) if is_new || !members => fresh(
                schema,
                id,
                &Committed {
                    version,
                    created: at,
                    last_modified: at,
                    changed: true,
                },
                Some(document),
            ),
            document => {
                let stored = self
                    .read_any(
                        caller,
                        schema,
                        id,
                        Include {
                            members,
                            groups: false,
                        },
                    )
                    .await?;
                if !draft.is_written(id) {
                    expected.check(stored.version)?;
                }
                draft.pin(schema, id, stored.version, stored.document.clone());
                StoredResource {
                    document: document.unwrap_or_else(|| stored.document.clone()),
                    ..stored
                }
            }
        };
        if members {
            current.members = self
                .members_left(caller, id, current.members, draft)
                .await?;
            hide_names(&caller.permissions, &mut current);
        }
        Ok(current)
    }

    /// The members of a group as the operations so far leave them, in order of joining.
    async fn members_left(
        &self,
        caller: &Caller,
        id: &str,
        stored: Vec<Related>,
        draft: &Draft,
    ) -> Result<Vec<Related>, DirectoryError> {
        let mut members = stored;
        for delta in draft.changes_of_members(id) {
            let (added, removed): (HashSet<&String>, HashSet<&String>) =
                (delta.added.iter().collect(), delta.removed.iter().collect());
            members.retain(|member| {
                !removed.contains(&member.id) && (!delta.replace || added.contains(&member.id))
            });
            let there: HashSet<String> = members.iter().map(|member| member.id.clone()).collect();
            for id in delta.added.iter().filter(|id| !there.contains(*id)) {
                let related = draft.related(id);
                members.extend(if related.is_some() {
                    related
                } else {
                    self.find_related(caller, id).await?
                });
            }
        }
        members.retain(|member| !draft.is_gone(&member.id));
        Ok(members
            .into_iter()
            .map(|member| draft.related(&member.id).unwrap_or(member))
            .collect())
    }

    /// The resource with this id, as a member.
    async fn find_related(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Option<Related>, DirectoryError> {
        for schema in caller.schemas.types() {
            if let Some(found) = self
                .store
                .read(caller.tenant.id, schema.name(), id, Include::default())
                .await?
            {
                let display = display(&found.document);
                return Ok(Some(Related {
                    id: found.id,
                    resource_type: found.resource_type,
                    display,
                    direct: true,
                }));
            }
        }
        Ok(None)
    }
}
