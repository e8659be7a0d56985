//! *(shell)* Bulk: runs the steps that `bulk::order` decided, one after the other, and creates that follow each other in one commit.

use std::collections::HashMap;
use std::sync::Arc;

use scim_protocol::messages::{BulkMethod, BulkOperation, BulkRequest, Malformed};
use scim_protocol::patch::work::{BULK_STEPS_MAX, Sum};
use scim_protocol::schema::group_member::group_member;
use scim_protocol::{Error, ErrorKind, TypeSchema};

use super::bulk_operation::{BulkAnswer, Target, target, wrong_path};
use super::{Directory, DirectoryError, PatchAnswer};
use crate::access::Caller;
use crate::bulk::{Scope, Step, leave_out, order, resolve, resolve_id};
use crate::store::Include;
use crate::version::Expected;

/// Creates in one commit: so many that its fsync does not count, and so few that others do not wait for long.
const CREATES_AT_ONCE: usize = 250;

impl Directory {
    /// Runs a bulk request (RFC 7644 section 3.7). Answers in the order of the request; operations that were not reached because of `failOnErrors` have
    /// none. Ends before the next operation once the request is stopped.
    pub async fn bulk(&self, caller: &Caller, request: BulkRequest) -> Vec<BulkAnswer> {
        let within = Self {
            sum: Some(Sum::up_to(BULK_STEPS_MAX)),
            ..self.clone()
        };
        within.run_all(caller, request).await
    }

    async fn run_all(&self, caller: &Caller, request: BulkRequest) -> Vec<BulkAnswer> {
        if request.atomic {
            return self.bulk_or_nothing(caller, &request).await;
        }
        let mut answers: Vec<Option<BulkAnswer>> =
            request.operations.iter().map(|_| None).collect();
        let mut ids = HashMap::new();
        let mut errors = 0_u64;
        let steps = order(&caller.schemas, &request.operations);
        let (mut done, mut together) = (0, CREATES_AT_ONCE);
        // The client has gone: the next operation is not begun.
        while let Some(step) = steps.get(done).filter(|_| !self.stop.is_set()) {
            // After the last accepted error no new operation begins. A resource that was made is still completed, or its answer would not be true.
            if request.fail_on_errors.is_some_and(|most| errors >= most)
                && matches!(step, Step::Run { .. })
            {
                done += 1;
                continue;
            }
            let creates = creates(
                steps.get(done..).unwrap_or_default(),
                &request.operations,
                together,
            );
            let Some(made) = self.create_together(caller, &creates, &mut ids).await else {
                // Halves find the operation at fault in a few commits. One after the other would repeat all later operations each time.
                together = creates.len() / 2;
                continue;
            };
            together = together.saturating_mul(2).min(CREATES_AT_ONCE);
            if !made.is_empty() {
                done += made.len();
                for ((index, _), answer) in creates.iter().zip(made) {
                    if let Some(slot) = answers.get_mut(*index) {
                        *slot = Some(answer);
                    }
                }
                continue;
            }
            done += 1;
            let (Step::Run { index, .. } | Step::Complete { index }) = step;
            let (Some(operation), Some(slot)) =
                (request.operations.get(*index), answers.get_mut(*index))
            else {
                continue;
            };
            let answer = match (step, operation) {
                (Step::Run { .. }, Err(malformed)) => refused(malformed.clone()),
                (Step::Run { without, .. }, Ok(operation)) => {
                    self.run(caller, operation, without, &mut ids).await
                }
                (Step::Complete { .. }, Ok(operation)) => match slot.take() {
                    Some(BulkAnswer {
                        resource: Some((schema, id)),
                        outcome: Ok(_),
                        ..
                    }) => self.complete(caller, operation, &schema, &id, &ids).await,
                    Some(failed) => {
                        *slot = Some(failed);
                        continue;
                    }
                    None => continue,
                },
                (Step::Complete { .. }, Err(_)) => continue,
            };
            errors += u64::from(answer.outcome.is_err());
            *slot = Some(answer);
        }
        answers.into_iter().flatten().collect()
    }

    async fn run(
        &self,
        caller: &Caller,
        operation: &BulkOperation,
        without: &[String],
        ids: &mut HashMap<String, String>,
    ) -> BulkAnswer {
        let answer = |resource, outcome| BulkAnswer {
            method: Some(operation.method),
            bulk_id: operation.bulk_id.clone(),
            resource,
            outcome,
        };
        if let Some((schema, id)) = membership_target(caller, operation) {
            return match self
                .bulk_membership(caller, operation, (&schema, id), ids)
                .await
            {
                Ok((id, version)) => {
                    if let (BulkMethod::Post, Some(name)) = (operation.method, &operation.bulk_id) {
                        ids.insert(name.clone(), id.clone());
                    }
                    answer(Some((schema, id)), Ok(version))
                }
                Err(error) => answer(None, Err(error)),
            };
        }
        let target = match target(caller, operation, ids) {
            Ok(target) => target,
            Err(error) => return answer(None, Err(error.into())),
        };
        if operation.method == BulkMethod::Post
            && operation
                .bulk_id
                .as_ref()
                .is_some_and(|name| ids.contains_key(name))
        {
            let detail = "The `bulkId` names an earlier operation of this request already; accepted is one that no other operation has.";
            return answer(
                None,
                Err(Error::new(ErrorKind::InvalidValue, detail)
                    .at("bulkId")
                    .into()),
            );
        }
        match self
            .carry_out(caller, operation, &target, without, ids)
            .await
        {
            Ok((id, version)) => {
                if let (BulkMethod::Post, Some(name)) = (operation.method, &operation.bulk_id) {
                    ids.insert(name.clone(), id.clone());
                }
                answer(Some((target.schema, id)), Ok(version))
            }
            Err(error) => answer(target.id.map(|id| (target.schema, id)), Err(error)),
        }
    }

    /// An operation on `/GroupMembers`: the id of the membership and its version afterwards.
    async fn bulk_membership(
        &self,
        caller: &Caller,
        operation: &BulkOperation,
        (schema, id): (&TypeSchema, Option<&str>),
        ids: &HashMap<String, String>,
    ) -> Result<(String, u64), DirectoryError> {
        match (operation.method, id) {
            (BulkMethod::Post, None) => {
                let mut data = operation.data.clone().unwrap_or_default();
                resolve(Scope::of(Some(schema), operation.method), &mut data, ids)?;
                Ok((self.create_membership(caller, &data).await?.id(), 1))
            }
            (BulkMethod::Delete, Some(id)) => {
                let id = resolve_id(id, ids)?;
                self.delete_membership(caller, &id).await?;
                Ok((id, 0))
            }
            (method, _) => Err(wrong_path(
                method,
                "of `/GroupMembers` with POST, or of one of them with DELETE",
            )
            .into()),
        }
    }

    /// The id of the resource and its version afterwards.
    async fn carry_out(
        &self,
        caller: &Caller,
        operation: &BulkOperation,
        target: &Target,
        without: &[String],
        ids: &HashMap<String, String>,
    ) -> Result<(String, u64), DirectoryError> {
        let mut data = operation.data.clone().unwrap_or_default();
        let scope = Scope::of(Some(&target.schema), operation.method);
        if !without.is_empty() {
            leave_out(scope, &mut data, without);
        }
        resolve(scope, &mut data, ids)?;
        let expected = operation
            .version
            .as_deref()
            .map(Expected::if_match)
            .unwrap_or_default();
        let (schema, nothing) = (target.schema.as_ref(), Include::default());
        let id = match (&target.id, operation.method) {
            (None, BulkMethod::Post) => {
                let made = self.create(caller, schema, data, nothing).await?;
                return Ok((made.id, made.version));
            }
            (Some(id), BulkMethod::Put | BulkMethod::Patch | BulkMethod::Delete) => id.clone(),
            (None, method) => {
                return Err(wrong_path(method, "a resource's, such as `/Users/id`").into());
            }
            (Some(_), method) => {
                return Err(wrong_path(method, "a resource type's, such as `/Users`").into());
            }
        };
        let version = match operation.method {
            BulkMethod::Put => {
                self.replace(caller, schema, &id, data, &expected, nothing)
                    .await?
                    .version
            }
            BulkMethod::Patch => {
                self.patch(caller, schema, &id, data, &expected, PatchAnswer::Version)
                    .await?
                    .version
            }
            BulkMethod::Post | BulkMethod::Delete => {
                self.delete(caller, schema, &id, &expected).await?;
                0
            }
        };
        Ok((id, version))
    }

    /// Adds the references that a cycle made impossible at first.
    async fn complete(
        &self,
        caller: &Caller,
        operation: &BulkOperation,
        schema: &Arc<TypeSchema>,
        id: &str,
        ids: &HashMap<String, String>,
    ) -> BulkAnswer {
        let mut data = operation.data.clone().unwrap_or_default();
        let outcome = match resolve(Scope::of(Some(schema), operation.method), &mut data, ids) {
            Ok(()) => self
                .replace(
                    caller,
                    schema,
                    id,
                    data,
                    &Expected::default(),
                    Include::default(),
                )
                .await
                .map(|made| made.version),
            Err(error) => {
                let detail = format!(
                    "The resource was made, but without what refers to others: {}",
                    error.detail()
                );
                Err(Error::new(error.kind(), detail).into())
            }
        };
        BulkAnswer {
            method: Some(operation.method),
            bulk_id: operation.bulk_id.clone(),
            resource: Some((schema.clone(), id.to_owned())),
            outcome,
        }
    }
}

/// Creates at the beginning of these steps, which wait for nothing; at most so many.
fn creates<'a>(
    steps: &[Step],
    operations: &'a [Result<BulkOperation, Malformed>],
    most: usize,
) -> Vec<(usize, &'a BulkOperation)> {
    let create = |step: &Step| match step {
        Step::Run { index, without } if without.is_empty() => {
            let operation = operations.get(*index)?.as_ref().ok()?;
            (operation.method == BulkMethod::Post).then_some((*index, operation))
        }
        Step::Run { .. } | Step::Complete { .. } => None,
    };
    steps.iter().map_while(create).take(most).collect()
}

/// `/GroupMembers`, or one of them, where no type of the tenant has the name.
fn membership_target<'a>(
    caller: &Caller,
    operation: &'a BulkOperation,
) -> Option<(Arc<TypeSchema>, Option<&'a str>)> {
    let mut segments = operation
        .path
        .split('/')
        .filter(|segment| !segment.is_empty());
    let (endpoint, id, schema) = (segments.next()?, segments.next(), group_member()?);
    let is_it = endpoint.eq_ignore_ascii_case("GroupMembers")
        && caller.schemas.by_endpoint(endpoint).is_none()
        && segments.next().is_none();
    is_it.then(|| (Arc::clone(schema), id))
}

fn refused(
    Malformed {
        method,
        bulk_id,
        error,
    }: Malformed,
) -> BulkAnswer {
    BulkAnswer {
        method,
        bulk_id,
        resource: None,
        outcome: Err((*error).into()),
    }
}
