//! *(shell)* Bulk: runs the steps that `bulk::order` decided, one after the other.

use std::collections::HashMap;
use std::sync::Arc;

use scim_protocol::messages::{BulkMethod, BulkOperation, BulkRequest};
use scim_protocol::{Error, ErrorKind, TypeSchema};

use super::{Directory, DirectoryError, PatchAnswer};
use crate::access::Caller;
use crate::bulk::{Step, leave_out, order, resolve, resolve_id};
use crate::store::Include;
use crate::version::Expected;

/// What became of one operation.
#[derive(Debug)]
pub struct BulkAnswer {
    /// Its method, where it had one.
    pub method: Option<BulkMethod>,
    /// The client's name for it.
    pub bulk_id: Option<String>,
    /// The type and the id of the resource, as far as they are known.
    pub resource: Option<(Arc<TypeSchema>, String)>,
    /// The version the resource has now (0 after a delete), or why not.
    pub outcome: Result<u64, DirectoryError>,
}

/// An operation whose path is understood.
struct Target {
    schema: Arc<TypeSchema>,
    id: Option<String>,
}

impl Directory {
    /// Runs a bulk request (RFC 7644 section 3.7). Answers in the order of the request; operations that were not reached because of `failOnErrors` have
    /// none.
    pub async fn bulk(&self, caller: &Caller, request: BulkRequest) -> Vec<BulkAnswer> {
        let mut answers: Vec<Option<BulkAnswer>> = request.operations.iter().map(|_| None).collect();
        let mut ids = HashMap::new();
        let mut errors = 0_u64;
        for step in order(&request.operations) {
            if request.fail_on_errors.is_some_and(|most| errors >= most) {
                break;
            }
            let (Step::Run { index, .. } | Step::Complete { index }) = &step;
            let (Some(operation), Some(slot)) = (request.operations.get(*index), answers.get_mut(*index)) else { continue };
            let answer = match (&step, operation) {
                (Step::Run { .. }, Err(error)) => refused(error.clone()),
                (Step::Run { without, .. }, Ok(operation)) => self.run(caller, operation, without, &mut ids).await,
                (Step::Complete { .. }, Ok(operation)) => match slot.take() {
                    Some(BulkAnswer { resource: Some((schema, id)), outcome: Ok(_), .. }) => {
                        self.complete(caller, operation, &schema, &id, &ids).await
                    }
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

    async fn run(&self, caller: &Caller, operation: &BulkOperation, without: &[String], ids: &mut HashMap<String, String>) -> BulkAnswer {
        let answer =
            |resource, outcome| BulkAnswer { method: Some(operation.method), bulk_id: operation.bulk_id.clone(), resource, outcome };
        let target = match target(caller, operation, ids) {
            Ok(target) => target,
            Err(error) => return answer(None, Err(error.into())),
        };
        if operation.method == BulkMethod::Post && operation.bulk_id.as_ref().is_some_and(|name| ids.contains_key(name)) {
            let detail = "The `bulkId` names an earlier operation of this request already; accepted is one that no other operation has.";
            return answer(None, Err(Error::new(ErrorKind::InvalidValue, detail).at("bulkId").into()));
        }
        match self.carry_out(caller, operation, &target, without, ids).await {
            Ok((id, version)) => {
                if let (BulkMethod::Post, Some(name)) = (operation.method, &operation.bulk_id) {
                    ids.insert(name.clone(), id.clone());
                }
                answer(Some((target.schema, id)), Ok(version))
            }
            Err(error) => answer(target.id.map(|id| (target.schema, id)), Err(error)),
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
        leave_out_all(&mut data, without);
        resolve(&mut data, ids)?;
        let expected = operation.version.as_deref().map(Expected::if_match).unwrap_or_default();
        let (schema, nothing) = (target.schema.as_ref(), Include::default());
        let id = match (&target.id, operation.method) {
            (None, BulkMethod::Post) => {
                let made = self.create(caller, schema, data, nothing).await?;
                return Ok((made.id, made.version));
            }
            (Some(id), BulkMethod::Put | BulkMethod::Patch | BulkMethod::Delete) => id.clone(),
            (None, method) => return Err(wrong_path(method, "a resource's, such as `/Users/id`").into()),
            (Some(_), method) => return Err(wrong_path(method, "a resource type's, such as `/Users`").into()),
        };
        let version = match operation.method {
            BulkMethod::Put => self.replace(caller, schema, &id, data, &expected, nothing).await?.version,
            BulkMethod::Patch => self.patch(caller, schema, &id, data, &expected, PatchAnswer::Version).await?.version,
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
        let outcome = match resolve(&mut data, ids) {
            Ok(()) => self.replace(caller, schema, id, data, &Expected::default(), Include::default()).await.map(|made| made.version),
            Err(error) => Err(error.into()),
        };
        BulkAnswer {
            method: Some(operation.method),
            bulk_id: operation.bulk_id.clone(),
            resource: Some((schema.clone(), id.to_owned())),
            outcome,
        }
    }
}

fn target(caller: &Caller, operation: &BulkOperation, ids: &HashMap<String, String>) -> Result<Target, Error> {
    let mut segments = operation.path.split('/').filter(|segment| !segment.is_empty());
    let schema = segments.next().and_then(|endpoint| caller.schemas.by_endpoint(endpoint));
    let (Some(schema), id, None) = (schema, segments.next(), segments.next()) else {
        let detail = format!("The path `{}` leads nowhere; accepted is a resource type's endpoint, with or without an id.", operation.path);
        return Err(Error::new(ErrorKind::NotFound, detail).at("path"));
    };
    let id = id.map(|segment| resolve_id(segment, ids)).transpose()?;
    Ok(Target { schema: schema.clone(), id })
}

fn leave_out_all(data: &mut serde_json::Value, names: &[String]) {
    if !names.is_empty() {
        leave_out(data, names);
    }
}

fn refused(error: Error) -> BulkAnswer {
    BulkAnswer { method: None, bulk_id: None, resource: None, outcome: Err(error.into()) }
}

fn wrong_path(method: BulkMethod, accepted: &str) -> Error {
    Error::new(ErrorKind::InvalidValue, format!("The path of a bulk operation with {} must be {accepted}.", method.name())).at("path")
}
