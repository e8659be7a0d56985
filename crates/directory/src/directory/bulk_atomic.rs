//! *(shell)* A bulk request that is all or nothing: all of its operations are decided first, then committed in one change set.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use scim_protocol::messages::{BulkMethod, BulkOperation, BulkRequest, Malformed};
use scim_protocol::patch::member::{fold, split};
use scim_protocol::quirk::{Adaptations, normalize_patch, normalize_resource};
use scim_protocol::{Error, ErrorKind, TypeSchema, ValidResource, redaction};
use serde_json::Value;

use super::bulk_draft::{Back, Draft};
use super::bulk_operation::{BulkAnswer, Target, target, wrong_path};
use super::committing::{come_back, written};
use super::refusal::{ATTEMPTS_MAX, refusal, too_busy};
use super::reviving::enabling;
use super::{Directory, DirectoryError, Subject};
use crate::access::Caller;
use crate::bulk::{Scope, Step, order, resolve};
use crate::change_set::{ChangeSet, Committed, Precondition};
use crate::membership::Needs;
use crate::parking::Method;
use crate::store::CommitError;
use crate::version::Expected;
use crate::{create, delete, membership, patch, replace};

impl Directory {
    /// Carries out all operations in one commit, or none of them. Decides again if another request wrote in between and no operation names a version.
    pub(super) async fn bulk_or_nothing(
        &self,
        caller: &Caller,
        request: &BulkRequest,
    ) -> Vec<BulkAnswer> {
        let mut back = HashMap::new();
        for _ in 1..=ATTEMPTS_MAX {
            let mut draft = Draft::new(self.moment());
            let resources = match self.decide_all(caller, request, &back, &mut draft).await {
                Ok(resources) => resources,
                Err((at_fault, error)) => return nothing(request, at_fault, &error),
            };
            // Operations that refer to each other in a circle were decided before it was known that one of them brings a resource back.
            if draft.has_circles && draft.back != back {
                back = draft.back;
                continue;
            }
            if resources.is_empty() {
                return Vec::new();
            }
            let brought_back = std::mem::take(&mut draft.back);
            let change_set = draft.into_change_set();
            let written: Vec<String> = change_set
                .writes
                .iter()
                .map(|write| write.id.clone())
                .collect();
            match self.commit_all(caller, change_set).await {
                Ok(committed) => {
                    return self
                        .all_done(
                            caller,
                            request,
                            resources,
                            written.into_iter().zip(committed),
                        )
                        .await;
                }
                Err(CommitError::VersionChanged { .. }) if names_no_version(request) => {}
                // Another request has brought it back in between.
                Err(CommitError::NotFound { id, .. })
                    if brought_back.values().any(|back| back.id == id) => {}
                Err(error) => return nothing(request, blamed(&error, &resources), &refusal(error)),
            }
        }
        nothing(request, None, &too_busy().into())
    }

    /// Decides all operations; if one is refused, returns its place and the refusal. `back` has the resources that creates brought back when the request was
    /// decided before.
    async fn decide_all(
        &self,
        caller: &Caller,
        request: &BulkRequest,
        back: &HashMap<String, Back>,
        draft: &mut Draft,
    ) -> Result<BTreeMap<usize, (Arc<TypeSchema>, String)>, (Option<usize>, DirectoryError)> {
        // Ids first, so that operations may refer to each other in any order and in circles.
        for (index, operation) in request.operations.iter().enumerate() {
            let Ok(BulkOperation {
                method: BulkMethod::Post,
                bulk_id: Some(name),
                ..
            }) = operation
            else {
                continue;
            };
            let id = back
                .get(name)
                .map_or_else(|| self.ids.id().to_string(), |back| back.id.clone());
            if back.get(name).is_none_or(|back| back.is_deleted) {
                draft.unmade.insert(id.clone());
            }
            if draft.ids.insert(name.clone(), id).is_some() {
                let detail = "The `bulkId` names two operations of this request; accepted is one that no other operation has.";
                return Err((
                    Some(index),
                    Error::new(ErrorKind::InvalidValue, detail)
                        .at("bulkId")
                        .into(),
                ));
            }
        }
        let mut resources = BTreeMap::new();
        for step in order(&caller.schemas, &request.operations) {
            let index = match step {
                Step::Run { index, without } => {
                    draft.has_circles |= !without.is_empty();
                    index
                }
                Step::Complete { index } => {
                    draft.complete(index);
                    continue;
                }
            };
            if self.stop.is_set() {
                return Err((None, too_late().into()));
            }
            let decided = match request.operations.get(index) {
                Some(Ok(operation)) => {
                    self.decide_operation(caller, (index, operation), draft)
                        .await
                }
                Some(Err(malformed)) => Err(Error::clone(&malformed.error).into()),
                None => continue,
            };
            resources.insert(index, decided.map_err(|error| (Some(index), error))?);
        }
        Ok(resources)
    }

    /// Answers of a request that was carried out. Its writes take the place of parked writes that are about the same.
    async fn all_done(
        &self,
        caller: &Caller,
        request: &BulkRequest,
        resources: BTreeMap<usize, (Arc<TypeSchema>, String)>,
        committed: impl Iterator<Item = (String, Committed)>,
    ) -> Vec<BulkAnswer> {
        // The last version of each resource, as no client has seen the earlier ones. 0 means that it was deleted.
        let versions: HashMap<String, u64> = committed
            .filter(|(_, it)| it.version > 0)
            .map(|(id, it)| (id, it.version))
            .collect();
        let mut answers = Vec::with_capacity(resources.len());
        for (index, (schema, id)) in resources {
            let Some(Ok(operation)) = request.operations.get(index) else {
                continue;
            };
            let version = if operation.method == BulkMethod::Delete {
                0
            } else {
                versions.get(&id).copied().unwrap_or_default()
            };
            let method = match operation.method {
                BulkMethod::Post => None,
                BulkMethod::Put => Some(Method::Replace),
                BulkMethod::Patch => Some(Method::Patch),
                BulkMethod::Delete => Some(Method::Delete),
            };
            let mut outcome = Ok(version);
            if let Some(method) = method
                && let Err(fault) = self
                    .parks(
                        caller,
                        (&schema, &id),
                        (method, operation.data.as_ref().unwrap_or(&Value::Null)),
                        None,
                    )
                    .await
            {
                outcome = Err(fault.into());
            }
            let (method, bulk_id) = (Some(operation.method), operation.bulk_id.clone());
            answers.push(BulkAnswer {
                method,
                bulk_id,
                resource: Some((schema, id)),
                outcome,
            });
        }
        answers
    }

    async fn decide_operation(
        &self,
        caller: &Caller,
        (index, operation): (usize, &BulkOperation),
        draft: &mut Draft,
    ) -> Result<(Arc<TypeSchema>, String), DirectoryError> {
        let Target { schema, id } = target(caller, operation, &draft.ids)?;
        caller.may_write(&schema)?;
        let mut data = operation.data.clone().unwrap_or_default();
        resolve(
            Scope::of(Some(&schema), operation.method),
            &mut data,
            &draft.ids,
        )?;
        let expected = operation
            .version
            .as_deref()
            .map(Expected::if_match)
            .unwrap_or_default();
        let id = match (id, operation.method) {
            (None, BulkMethod::Post) => {
                let id = self
                    .decide_post(caller, &schema, (index, operation), data, draft)
                    .await?;
                return Ok((schema, id));
            }
            (Some(id), BulkMethod::Put | BulkMethod::Patch | BulkMethod::Delete) => id,
            (None, method) => {
                return Err(wrong_path(method, "a resource's, such as `/Users/id`").into());
            }
            (Some(_), method) => {
                return Err(wrong_path(method, "a resource type's, such as `/Users`").into());
            }
        };
        let subject = Subject {
            caller,
            schema: &schema,
            id: &id,
            expected: &expected,
        };
        let decided = match operation.method {
            BulkMethod::Put => self.decide_replace(subject, data, draft).await?,
            BulkMethod::Patch => self.decide_patch(subject, data, draft).await?,
            BulkMethod::Post | BulkMethod::Delete => {
                self.check_there(subject, draft).await?;
                delete::decide(draft.moment, &schema, &id, Precondition::Exists)
            }
        };
        let demanded = draft.precondition(&id, &expected)?;
        draft.take(decided, demanded);
        Ok((schema, id))
    }

    /// A create. If the caller's profile says so, it brings back the resource that a single create would bring back. Returns the id of the resource.
    async fn decide_post(
        &self,
        caller: &Caller,
        schema: &Arc<TypeSchema>,
        (index, operation): (usize, &BulkOperation),
        data: Value,
        draft: &mut Draft,
    ) -> Result<String, DirectoryError> {
        let name = operation.bulk_id.clone().unwrap_or_default();
        let id = draft.ids.get(&name).cloned().unwrap_or_default();
        let kept = caller.safety().revive_disabled.then(|| data.clone());
        let mut decided = self.decide_create(caller, schema, &id, data, draft).await?;
        let document = written(&decided).cloned().unwrap_or_default();
        if let Some(body) = kept
            && let Some(disabled) = self
                .find_disabled(caller, schema, &document, Some(draft))
                .await?
        {
            let expected = Expected::default();
            draft.bring_back(
                name,
                Back {
                    id: disabled.id.clone(),
                    is_deleted: false,
                },
            );
            let decided = self
                .decide_replace(
                    Subject {
                        caller,
                        schema,
                        id: &disabled.id,
                        expected: &expected,
                    },
                    enabling(body),
                    draft,
                )
                .await?;
            let demanded = draft.precondition(&disabled.id, &expected)?;
            draft.take(decided, demanded);
            return Ok(disabled.id);
        }
        let former = self
            .find_former(caller, schema, &document)
            .await?
            .filter(|former| !draft.is_written(&former.id));
        if let Some(former) = &former {
            come_back(&mut decided, former);
            draft.bring_back(
                name,
                Back {
                    id: former.id.clone(),
                    is_deleted: true,
                },
            );
        }
        draft.postpone_members(index, &mut decided);
        draft.take(decided, Precondition::Exists);
        Ok(former.map_or(id, |former| former.id))
    }

    async fn decide_create(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        mut data: Value,
        draft: &Draft,
    ) -> Result<ChangeSet, DirectoryError> {
        let quirks = &Self::quirks(caller);
        let adapted = normalize_resource(quirks, schema, &mut data);
        self.note(adapted, || redaction::resource(schema, data.clone()));
        let decided = create::decide(draft.moment, schema, id, data, quirks)?;
        self.check_allowed(
            caller,
            schema,
            [None, written(&decided).map(|document| &**document)],
            Some(draft),
        )
        .await?;
        Ok(decided)
    }

    async fn decide_replace(
        &self,
        subject: Subject<'_>,
        mut data: Value,
        draft: &mut Draft,
    ) -> Result<ChangeSet, DirectoryError> {
        let Subject {
            caller, schema, id, ..
        } = subject;
        let quirks = &Self::quirks(caller);
        let adapted = normalize_resource(quirks, schema, &mut data);
        self.note(adapted, || redaction::resource(schema, data.clone()));
        let current = self.read_left(subject, false, draft).await?;
        let held = ValidResource::trusted(current.document.into_tree());
        let decided = replace::decide(
            draft.moment,
            schema,
            (id, current.version),
            &held,
            data,
            quirks,
        )?;
        self.check_allowed(
            caller,
            schema,
            [
                Some(held.document()),
                written(&decided).map(|document| &**document),
            ],
            Some(draft),
        )
        .await?;
        Ok(decided)
    }

    async fn decide_patch(
        &self,
        subject: Subject<'_>,
        mut data: Value,
        draft: &mut Draft,
    ) -> Result<ChangeSet, DirectoryError> {
        let Subject {
            caller, schema, id, ..
        } = subject;
        let quirks = &Self::quirks(caller);
        let adapted = normalize_patch(quirks, schema, &mut data);
        self.note(adapted, || redaction::patch(schema, data.clone()));
        let split = split(schema, scim_protocol::patch::parse(schema, data, quirks)?)?;
        let needs = membership::needs(&split);
        if needs == Needs::Nothing {
            self.check_there(subject, draft).await?;
            let members = fold(schema, &split.members, &[], &mut self.work())?;
            return Ok(membership::decide(
                draft.moment,
                schema,
                id,
                Precondition::Exists,
                members,
            ));
        }
        let current = self
            .read_left(subject, needs == Needs::Members, draft)
            .await?;
        let mut noted = Adaptations::default();
        let decided = patch::decide(
            draft.moment,
            schema,
            &current,
            &split,
            quirks,
            &mut self.work(),
            &mut noted,
        )?;
        self.check_allowed(
            caller,
            schema,
            [
                Some(&current.document),
                written(&decided).map(|document| &**document),
            ],
            Some(draft),
        )
        .await?;
        if let Some(journal) = &self.journal {
            journal.also_adapted(noted);
        }
        Ok(decided)
    }
}

fn too_late() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "The client has gone, or the time of the request is over; nothing was changed.",
    )
}

/// Whether no operation demands a version, so that each may be decided again with the new versions.
fn names_no_version(request: &BulkRequest) -> bool {
    request
        .operations
        .iter()
        .flatten()
        .all(|operation| operation.version.is_none())
}

/// The operation that the store's refusal is about, as far as it says so.
fn blamed(
    error: &CommitError,
    resources: &BTreeMap<usize, (Arc<TypeSchema>, String)>,
) -> Option<usize> {
    let CommitError::NotFound { id, .. } = error else {
        return None;
    };
    resources
        .iter()
        .find(|(_, (_, own))| own == id)
        .map(|(index, _)| *index)
}

/// Answers of a request of which nothing was carried out. The operation at fault is answered with the refusal; if it is not known, every operation is.
fn nothing(
    request: &BulkRequest,
    at_fault: Option<usize>,
    error: &DirectoryError,
) -> Vec<BulkAnswer> {
    let reason = match error {
        DirectoryError::Refused(error) => error.clone(),
        // Only what may be said; the fault itself is told once, with the first operation.
        DirectoryError::Fault(_) => Error::new(
            ErrorKind::Internal,
            "Something failed on our side; nothing was changed.",
        ),
    };
    let one = |(index, operation): (usize, &Result<BulkOperation, Malformed>)| {
        let (method, bulk_id) = match operation {
            Ok(operation) => (Some(operation.method), operation.bulk_id.clone()),
            Err(malformed) => (malformed.method, malformed.bulk_id.clone()),
        };
        let detail = "Nothing was carried out: the request is all or nothing, and another operation was refused.";
        let outcome = if at_fault.is_none_or(|at_fault| at_fault == index) {
            reason.clone()
        } else {
            Error::new(ErrorKind::Conflict, detail)
        };
        BulkAnswer {
            method,
            bulk_id,
            resource: None,
            outcome: Err(outcome.into()),
        }
    };
    request.operations.iter().enumerate().map(one).collect()
}
