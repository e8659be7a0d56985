//! *(shell)* Bulk operations in one change set: creates that follow each other, and whole requests that are all or nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use scim_protocol::messages::{BulkMethod, BulkOperation, BulkRequest, Malformed};
use scim_protocol::patch::member::{MemberDelta, fold, split};
use scim_protocol::quirk::{Adaptations, normalize_patch, normalize_resource};
use scim_protocol::{Error, ErrorKind, TypeSchema, ValidResource, redaction};
use serde_json::Value;

use super::{Directory, DirectoryError, refusal, written};
use crate::access::Caller;
use crate::bulk::{Scope, resolve, resolve_id};
use crate::change_set::{Change, ChangeSet, Effect, Moment, Precondition, Write};
use crate::membership::Needs;
use crate::store::{CommitError, Include};
use crate::version::Expected;
use crate::{create, delete, membership, patch, replace};

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
pub(super) struct Target {
    pub schema: Arc<TypeSchema>,
    pub id: Option<String>,
}

/// A request that is all or nothing, as far as it has been decided.
struct Draft {
    moment: Moment,
    ids: HashMap<String, String>,
    types_revision: u64,
    writes: Vec<Write>,
    /// Members that are made later in the request than their groups.
    later: Vec<Write>,
    /// Resources that were written whole; none of them is written twice.
    touched: HashSet<String>,
    made: HashSet<String>,
}

impl Directory {
    /// Creates as many of these resources, from the first on, as can be decided, in one commit; none where it is refused or there are fewer than two. Then
    /// nothing has happened, and they are to be created one after the other, which finds out whose fault it is.
    pub(super) async fn create_together(
        &self,
        caller: &Caller,
        operations: &[(usize, &BulkOperation)],
        ids: &mut HashMap<String, String>,
    ) -> Vec<BulkAnswer> {
        // Whom a create may bring back is found out one after the other.
        if caller.safety().revive_deleted || caller.safety().revive_disabled {
            return Vec::new();
        }
        let quirks = &Self::quirks(caller);
        let moment = self.moment();
        let mut known = ids.clone();
        let mut change_set = moment.change_set_of(0, Vec::new());
        let (mut resources, mut noted) = (Vec::new(), Vec::new());
        for (_, operation) in operations {
            let Ok(Target { schema, id: None }) = target(caller, operation, &known) else { break };
            let is_taken = operation.bulk_id.as_ref().is_none_or(|name| known.contains_key(name));
            if is_taken || caller.may_write(&schema).is_err() {
                break;
            }
            let mut data = operation.data.clone().unwrap_or_default();
            if resolve(Scope::of(Some(&schema), operation.method), &mut data, &known).is_err() {
                break;
            }
            let adapted = normalize_resource(quirks, &schema, &mut data);
            let id = self.ids.id().to_string();
            let message = (!adapted.is_empty()).then(|| redaction::resource(&schema, data.clone()));
            let Ok(decided) = create::decide(moment, &schema, &id, data, quirks) else { break };
            if self.check_allowed(caller, &schema, None, written(&decided).map(|document| &**document)).await.is_err() {
                break;
            }
            noted.push((adapted, message));
            change_set.types_revision = decided.types_revision;
            change_set.writes.extend(decided.writes);
            known.extend(operation.bulk_id.clone().map(|name| (name, id.clone())));
            resources.push((schema, id));
        }
        if resources.len() < 2 {
            return Vec::new();
        }
        let Ok(committed) = self.commit_all(caller, change_set).await else { return Vec::new() };
        for (adapted, message) in noted {
            self.note(adapted, || message.unwrap_or_default());
        }
        *ids = known;
        let answer = |(((_, operation), resource), committed): ((&(usize, &BulkOperation), _), crate::change_set::Committed)| BulkAnswer {
            method: Some(operation.method),
            bulk_id: operation.bulk_id.clone(),
            resource: Some(resource),
            outcome: Ok(committed.version),
        };
        operations.iter().zip(resources).zip(committed).map(answer).collect()
    }

    /// Carries out all operations in one commit, or none of them.
    pub(super) async fn bulk_or_nothing(&self, caller: &Caller, request: &BulkRequest) -> Vec<BulkAnswer> {
        let moment = self.moment();
        let (ids, made, touched) = (HashMap::new(), HashSet::new(), HashSet::new());
        let mut draft = Draft { moment, ids, types_revision: 0, writes: Vec::new(), later: Vec::new(), touched, made };
        // Ids first, so that operations may refer to each other in any order and in circles.
        for (index, operation) in request.operations.iter().enumerate() {
            let Ok(BulkOperation { method: BulkMethod::Post, bulk_id: Some(name), .. }) = operation else { continue };
            if draft.ids.insert(name.clone(), self.ids.id().to_string()).is_some() {
                let detail = "The `bulkId` names two operations of this request; accepted is one that no other operation has.";
                return nothing(request, Some(index), &Error::new(ErrorKind::InvalidValue, detail).at("bulkId").into());
            }
        }
        let mut resources = Vec::new();
        for (index, operation) in request.operations.iter().enumerate() {
            let decided = match operation {
                Ok(operation) => self.decide_operation(caller, operation, &mut draft).await,
                Err(malformed) => Err(Error::clone(&malformed.error).into()),
            };
            match decided {
                Ok(resource) => resources.push(resource),
                Err(error) => return nothing(request, Some(index), &error),
            }
        }
        if resources.is_empty() {
            return Vec::new();
        }
        let Draft { types_revision, mut writes, mut later, .. } = draft;
        writes.append(&mut later);
        let written: Vec<String> = writes.iter().map(|write| write.id.clone()).collect();
        let change_set = moment.change_set_of(types_revision, writes);
        let committed = match self.commit_all(caller, change_set).await {
            Ok(committed) => committed,
            Err(error) => return nothing(request, blamed(&error, &resources), &refusal(error)),
        };
        let version = |id: &str| written.iter().zip(&committed).rfind(|(own, _)| *own == id).map_or(0, |(_, committed)| committed.version);
        let answer = |(operation, (schema, id)): (&Result<BulkOperation, Malformed>, (Arc<TypeSchema>, String))| {
            let operation = operation.as_ref().ok()?;
            let outcome = Ok(if operation.method == BulkMethod::Delete { 0 } else { version(&id) });
            Some(BulkAnswer { method: Some(operation.method), bulk_id: operation.bulk_id.clone(), resource: Some((schema, id)), outcome })
        };
        request.operations.iter().zip(resources).filter_map(answer).collect()
    }

    async fn decide_operation(
        &self,
        caller: &Caller,
        operation: &BulkOperation,
        draft: &mut Draft,
    ) -> Result<(Arc<TypeSchema>, String), DirectoryError> {
        let Target { schema, id } = target(caller, operation, &draft.ids)?;
        caller.may_write(&schema)?;
        let mut data = operation.data.clone().unwrap_or_default();
        resolve(Scope::of(Some(&schema), operation.method), &mut data, &draft.ids)?;
        let expected = operation.version.as_deref().map(Expected::if_match).unwrap_or_default();
        let id = match (id, operation.method) {
            (None, BulkMethod::Post) => {
                let id = operation.bulk_id.as_ref().and_then(|name| draft.ids.get(name)).cloned().unwrap_or_default();
                self.decide_create(caller, &schema, &id, data, draft).await?;
                return Ok((schema, id));
            }
            (Some(id), BulkMethod::Put | BulkMethod::Patch | BulkMethod::Delete) => id,
            (None, method) => return Err(wrong_path(method, "a resource's, such as `/Users/id`").into()),
            (Some(_), method) => return Err(wrong_path(method, "a resource type's, such as `/Users`").into()),
        };
        let decided = match operation.method {
            BulkMethod::Put => self.decide_replace(caller, &schema, &id, data, &expected, draft).await?,
            BulkMethod::Patch => self.decide_patch(caller, &schema, &id, data, &expected, draft).await?,
            BulkMethod::Post | BulkMethod::Delete => {
                draft.touch(&id)?;
                let precondition = self.precondition(caller, &schema, &id, &expected).await?;
                delete::decide(draft.moment, &schema, &id, precondition)
            }
        };
        draft.types_revision = decided.types_revision;
        draft.writes.extend(decided.writes);
        Ok((schema, id))
    }

    async fn decide_create(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        mut data: Value,
        draft: &mut Draft,
    ) -> Result<(), DirectoryError> {
        let quirks = &Self::quirks(caller);
        let adapted = normalize_resource(quirks, schema, &mut data);
        self.note(adapted, || redaction::resource(schema, data.clone()));
        let mut decided = create::decide(draft.moment, schema, id, data, quirks)?;
        self.check_allowed(caller, schema, None, written(&decided).map(|document| &**document)).await?;
        let new: HashSet<&String> = draft.ids.values().collect();
        for write in &mut decided.writes {
            let Change::Create { members, .. } = &mut write.change else { continue };
            let not_yet = |member: &String| new.contains(member) && !draft.made.contains(member);
            let added: Vec<String> = members.iter().filter(|member| not_yet(member)).cloned().collect();
            members.retain(|member| !not_yet(member));
            if !added.is_empty() {
                let members = MemberDelta { replace: false, added, removed: Vec::new() };
                let change = Change::Update { precondition: Precondition::Exists, content: None, members, effect: Effect::default() };
                draft.later.push(Write { resource_type: write.resource_type.clone(), id: write.id.clone(), change });
            }
        }
        draft.touch(id)?;
        draft.made.insert(id.to_owned());
        draft.types_revision = decided.types_revision;
        draft.writes.extend(decided.writes);
        Ok(())
    }

    async fn decide_replace(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        mut data: Value,
        expected: &Expected,
        draft: &mut Draft,
    ) -> Result<ChangeSet, DirectoryError> {
        draft.touch(id)?;
        let quirks = &Self::quirks(caller);
        let adapted = normalize_resource(quirks, schema, &mut data);
        self.note(adapted, || redaction::resource(schema, data.clone()));
        let current = self.read_any(caller, schema, id, Include::default()).await?;
        expected.check(current.version)?;
        let held = ValidResource::trusted(current.document.into_tree());
        let decided = replace::decide(draft.moment, schema, (id, current.version), &held, data, quirks)?;
        self.check_allowed(caller, schema, Some(held.document()), written(&decided).map(|document| &**document)).await?;
        Ok(decided)
    }

    async fn decide_patch(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        mut data: Value,
        expected: &Expected,
        draft: &mut Draft,
    ) -> Result<ChangeSet, DirectoryError> {
        let quirks = &Self::quirks(caller);
        let adapted = normalize_patch(quirks, schema, &mut data);
        self.note(adapted, || redaction::patch(schema, data.clone()));
        let split = split(schema, scim_protocol::patch::parse(schema, data, quirks)?)?;
        let needs = membership::needs(&split);
        if needs == Needs::Nothing && expected.is_anything() {
            // Changes of members commute, so there may be any number of them.
            let members = fold(schema, &split.members, &[])?;
            return Ok(membership::decide(draft.moment, schema, id, Precondition::Exists, members));
        }
        draft.touch(id)?;
        let current = self.read_any(caller, schema, id, Include { members: needs == Needs::Members, groups: false }).await?;
        expected.check(current.version)?;
        let mut noted = Adaptations::default();
        let decided = patch::decide(draft.moment, schema, &current, &split, quirks, &mut noted)?;
        self.check_allowed(caller, schema, Some(&current.document), written(&decided).map(|document| &**document)).await?;
        if let Some(journal) = &self.journal {
            journal.also_adapted(noted);
        }
        Ok(decided)
    }

    async fn precondition(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        id: &str,
        expected: &Expected,
    ) -> Result<Precondition, DirectoryError> {
        if expected.is_anything() {
            return Ok(Precondition::Exists);
        }
        let current = self.read_any(caller, schema, id, Include::default()).await?;
        expected.check(current.version)?;
        Ok(Precondition::VersionIs(current.version))
    }
}

impl Draft {
    fn touch(&mut self, id: &str) -> Result<(), Error> {
        if self.touched.insert(id.to_owned()) {
            return Ok(());
        }
        let detail = format!("A request that is all or nothing changes a resource once, but `{id}` twice; put both into one operation.");
        Err(Error::new(ErrorKind::InvalidValue, detail).at("path"))
    }
}

/// The operation that the store's refusal is about, as far as it says so.
fn blamed(error: &CommitError, resources: &[(Arc<TypeSchema>, String)]) -> Option<usize> {
    let CommitError::NotFound { id, .. } = error else { return None };
    resources.iter().position(|(_, own)| own == id)
}

/// Answers of a request of which nothing was carried out. Whoever is at fault is answered with the refusal; where nobody knows who it is, everybody.
fn nothing(request: &BulkRequest, at_fault: Option<usize>, error: &DirectoryError) -> Vec<BulkAnswer> {
    let reason = match error {
        DirectoryError::Refused(error) => error.clone(),
        // Only what may be said; the fault itself is told once, with the first operation.
        DirectoryError::Fault(_) => Error::new(ErrorKind::Internal, "Something failed on our side; nothing was changed."),
    };
    let one = |(index, operation): (usize, &Result<BulkOperation, Malformed>)| {
        let (method, bulk_id) = match operation {
            Ok(operation) => (Some(operation.method), operation.bulk_id.clone()),
            Err(malformed) => (malformed.method, malformed.bulk_id.clone()),
        };
        let detail = "Nothing was carried out: the request is all or nothing, and another operation was refused.";
        let outcome =
            if at_fault.is_none_or(|at_fault| at_fault == index) { reason.clone() } else { Error::new(ErrorKind::Conflict, detail) };
        BulkAnswer { method, bulk_id, resource: None, outcome: Err(outcome.into()) }
    };
    request.operations.iter().enumerate().map(one).collect()
}

pub(super) fn target(caller: &Caller, operation: &BulkOperation, ids: &HashMap<String, String>) -> Result<Target, Error> {
    let mut segments = operation.path.split('/').filter(|segment| !segment.is_empty());
    let schema = segments.next().and_then(|endpoint| caller.schemas.by_endpoint(endpoint));
    let (Some(schema), id, None) = (schema, segments.next(), segments.next()) else {
        let detail = format!("The path `{}` leads nowhere; accepted is a resource type's endpoint, with or without an id.", operation.path);
        return Err(Error::new(ErrorKind::NotFound, detail).at("path"));
    };
    let id = id.map(|segment| resolve_id(segment, ids)).transpose()?;
    Ok(Target { schema: schema.clone(), id })
}

pub(super) fn wrong_path(method: BulkMethod, accepted: &str) -> Error {
    Error::new(ErrorKind::InvalidValue, format!("The path of a bulk operation with {} must be {accepted}.", method.name())).at("path")
}
