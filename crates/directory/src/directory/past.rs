//! *(shell)* What was: history, moments, deleted resources; giving back a version, and giving their ids back to those who are created again.

use std::sync::Arc;

use scim_protocol::filter::CompareOp;
use scim_protocol::patch::member::MemberDelta;
use scim_protocol::quirk::QuirkSet;
use scim_protocol::validate::validate;
use scim_protocol::{AttributePath, Error, ErrorKind, Filter, TypeSchema, ValidResource};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::bulk_draft::Draft;
use super::{Directory, DirectoryError, refusal};
use crate::access::Caller;
use crate::change_set::{Change, ChangeSet, Effect, Former, Policy, Precondition, Write};
use crate::content::content;
use crate::history::{
    Deleted, Entry, History, HistoryLine, Kind, MEMBER_CHANGES_MAX, Point, Remembered, Snapshot,
    Tombstone, lines,
};
use crate::pending::{Names, PendingReference, fold};
use crate::revival::Wanted;
use crate::search::{Include, Page, plan};
use crate::store::{CommitError, Fault, StoredResource};
use crate::version::Expected;

/// How often a restore is tried while others write.
const ATTEMPTS_MAX: usize = 8;
/// Resources, deleted or not, that are looked at for a name.
const NAMESAKES_MAX: u32 = 10;
/// Most lines that are looked at for a credential that is for some resource types only.
const LOOKED_AT_MAX: u32 = 100_000;
/// With everything that is derived.
const ALL: Include = Include {
    members: true,
    groups: true,
};

impl Directory {
    pub(super) fn history(&self) -> Result<&dyn History, DirectoryError> {
        let missing = || Error::new(ErrorKind::NotImplemented, "This store keeps no history.");
        Ok(self
            .past
            .as_ref()
            .map(|past| &*past.history)
            .ok_or_else(missing)?)
    }

    /// Changes of a resource above a version, oldest first; those of a group with who joined and who left. Refuses (404) an id of which nothing is known:
    /// neither a change nor the resource itself.
    pub async fn changes_of(
        &self,
        caller: &Caller,
        id: &str,
        above: u64,
        limit: u32,
    ) -> Result<Vec<HistoryLine>, DirectoryError> {
        let history = self.history()?;
        let found = history.entries(caller.tenant.id, id, above, limit).await?;
        let is_known = !found.is_empty()
            || (above > 0
                && !history
                    .entries(caller.tenant.id, id, 0, 1)
                    .await?
                    .is_empty())
            || self.is_there(caller, id).await?;
        if is_known && self.may_know(caller, id).await? {
            return Ok(self.joined_and_left(caller, id, above, found).await?);
        }
        let detail = format!("No resource with the id `{id}` is there, and none is remembered.");
        Err(Error::new(ErrorKind::NotFound, detail).into())
    }

    async fn joined_and_left(
        &self,
        caller: &Caller,
        id: &str,
        above: u64,
        entries: Vec<Entry>,
    ) -> Result<Vec<HistoryLine>, Fault> {
        let (Some(past), tenant) = (&self.past, caller.tenant.id) else {
            return Ok(Vec::new());
        };
        let changes = past
            .history
            .member_changes(tenant, id, above, MEMBER_CHANGES_MAX + 1)
            .await?;
        let (is_cut, has_changed) = (
            changes.len() > MEMBER_CHANGES_MAX as usize,
            !changes.is_empty(),
        );
        let mut lines = lines(entries, changes, MEMBER_CHANGES_MAX as usize);
        // Who was in a group when it was made is not written down: it follows from who is in it now and from all that changed since.
        if let Some(first) = lines.first_mut().filter(|line| line.kind == Kind::Create) {
            if is_cut
                || self
                    .store
                    .has_more_members_than(tenant, id, MEMBER_CHANGES_MAX)
                    .await?
            {
                first.members_cut = true;
            } else if has_changed || self.store.has_more_members_than(tenant, id, 0).await? {
                match past
                    .history
                    .snapshot(tenant, id, Point::Version(first.version))
                    .await?
                {
                    Remembered::Was(was) => first.joined = was.members,
                    Remembered::WasNot | Remembered::Unknown => first.members_cut = true,
                }
            }
        }
        Ok(lines)
    }

    /// A resource as it was.
    pub async fn as_it_was(
        &self,
        caller: &Caller,
        id: &str,
        point: Point,
    ) -> Result<Snapshot, DirectoryError> {
        let unknown =
            || format!("What the resource `{id}` was then is not kept, or there never was one.");
        let detail = match self
            .history()?
            .snapshot(caller.tenant.id, id, point)
            .await?
        {
            Remembered::Was(snapshot) if caller.permissions.covers(&snapshot.resource_type) => {
                return Ok(*snapshot);
            }
            Remembered::WasNot if self.may_know(caller, id).await? => {
                format!("There was no resource with the id `{id}` then.")
            }
            _ => unknown(),
        };
        Err(Error::new(ErrorKind::NotFound, detail).into())
    }

    /// Whether the caller's credential is for the type of a resource, be it there or gone. What it is not for does not exist for it.
    async fn may_know(&self, caller: &Caller, id: &str) -> Result<bool, DirectoryError> {
        if caller.permissions.resource_types.is_none() {
            return Ok(true);
        }
        for schema in caller
            .schemas
            .types()
            .iter()
            .filter(|schema| caller.permissions.covers(schema.name()))
        {
            if self
                .store
                .read(caller.tenant.id, schema.name(), id, Include::default())
                .await?
                .is_some()
            {
                return Ok(true);
            }
        }
        Ok(!self
            .deleted(caller, Deleted::Id(id.to_owned()), 1)
            .await?
            .is_empty())
    }

    /// Deleted resources of the types that the caller's credential is for. One that is only for some is told of those among the last 100,000 deletions.
    pub async fn deleted(
        &self,
        caller: &Caller,
        which: Deleted,
        limit: u32,
    ) -> Result<Vec<Tombstone>, DirectoryError> {
        let looked_at = if caller.permissions.resource_types.is_some() {
            LOOKED_AT_MAX
        } else {
            limit
        };
        let mut found = self
            .history()?
            .deleted(caller.tenant.id, which, looked_at)
            .await?;
        found.retain(|tombstone| caller.permissions.covers(&tombstone.resource_type));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// References to resources that are not there yet, the oldest first, behind the first `skip`; those of the types that the caller's credential is for.
    pub async fn pending(
        &self,
        caller: &Caller,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<PendingReference>, DirectoryError> {
        let Some(past) = &self.past else {
            return Ok(Vec::new());
        };
        if caller.permissions.resource_types.is_none() {
            return Ok(past
                .pending
                .list_pending(caller.tenant.id, skip, limit)
                .await?);
        }
        let all = past
            .pending
            .list_pending(caller.tenant.id, 0, LOOKED_AT_MAX)
            .await?;
        let own = all
            .into_iter()
            .filter(|reference| caller.permissions.covers(&reference.resource_type));
        let (skip, limit) = (
            usize::try_from(skip).unwrap_or(usize::MAX),
            usize::try_from(limit).unwrap_or(usize::MAX),
        );
        Ok(own.skip(skip).take(limit).collect())
    }

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
        Err(super::too_busy().into())
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
        let write = |id: &str, change| Write {
            resource_type: schema.name().to_owned(),
            id: id.to_owned(),
            change,
        };
        let mut writes = Vec::new();
        match (present, buried) {
            (Some(present), _) => {
                let effect = Effect::between(&present.document, resource.document(), true);
                let has_members = schema.core_attribute("members").is_some();
                let members = MemberDelta {
                    replace: has_members,
                    added: members,
                    removed: Vec::new(),
                };
                let (precondition, content) = (
                    Precondition::VersionIs(present.version),
                    Some(content(schema, resource)),
                );
                writes.push(write(
                    &was.id,
                    Change::Update {
                        precondition,
                        content,
                        members,
                        effect,
                    },
                ));
            }
            (None, Some(tombstone)) => {
                let former = Some(Former {
                    version: tombstone.version,
                    created: tombstone.created,
                });
                writes.push(write(
                    &was.id,
                    Change::Create {
                        content: content(schema, resource),
                        members,
                        former,
                    },
                ));
                for group in self.groups_to_join(caller, tombstone).await? {
                    let members = MemberDelta {
                        replace: false,
                        added: vec![was.id.clone()],
                        removed: Vec::new(),
                    };
                    let change = Change::Update {
                        precondition: Precondition::Exists,
                        content: None,
                        members,
                        effect: Effect::default(),
                    };
                    writes.push(Write {
                        resource_type: "Group".to_owned(),
                        id: group,
                        change,
                    });
                }
            }
            (None, None) => {
                return Err(CommitError::NotFound {
                    resource_type: was.resource_type.clone(),
                    id: was.id.clone(),
                });
            }
        }
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

    /// Refuses (`403`) to bring back somebody who would be in groups again, to a caller that is not for groups.
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

    /// A deleted resource with one of the names of what is to be created, where the caller's profile gives it its id back.
    pub(super) async fn find_former(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        document: &Map<String, Value>,
    ) -> Result<Option<Tombstone>, Fault> {
        let Some(past) = self
            .past
            .as_ref()
            .filter(|_| caller.safety().revive_deleted)
        else {
            return Ok(None);
        };
        let wanted = Wanted::of(document);
        let (user_name, external_id) = (
            wanted.user_name.map(fold),
            wanted.external_id.map(str::to_owned),
        );
        if user_name.is_none() && external_id.is_none() {
            return Ok(None);
        }
        let which = Deleted::Named {
            resource_type: schema.name().to_owned(),
            user_name,
            external_id: external_id.clone(),
        };
        let rehearsed = match &self.rehearsal {
            Some(rehearsal) => {
                rehearsal
                    .deleted(caller.tenant.id, &which, NAMESAKES_MAX)
                    .await?
            }
            None => None,
        };
        let mut found = match rehearsed {
            Some(found) => found,
            None => {
                past.history
                    .deleted(caller.tenant.id, which, NAMESAKES_MAX)
                    .await?
            }
        };
        found.retain(|tombstone| !wanted.is_other_than(tombstone.external_id.as_deref()));
        let same =
            |tombstone: &Tombstone| external_id.is_some() && tombstone.external_id == external_id;
        let place = found.iter().position(same).unwrap_or(0);
        Ok(if found.is_empty() {
            None
        } else {
            Some(found.swap_remove(place))
        })
    }

    /// A disabled person with one of the names of what is to be created is enabled by it, where the caller's profile says so.
    pub(super) async fn revive_disabled(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        (body, document): (&Value, &Map<String, Value>),
        include: Include,
    ) -> Result<Option<StoredResource>, DirectoryError> {
        let Some(one) = self.find_disabled(caller, schema, document, None).await? else {
            return Ok(None);
        };
        let expected = Expected::if_match(&crate::version::version_tag(one.version));
        self.replace_now(
            caller,
            schema,
            &one.id,
            enabling(body.clone()),
            &expected,
            include,
        )
        .await
        .map(Some)
    }

    /// The disabled person whom a create enables, where the caller's profile says so; as a draft leaves them, where there is one.
    pub(super) async fn find_disabled(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        document: &Map<String, Value>,
        draft: Option<&Draft>,
    ) -> Result<Option<StoredResource>, DirectoryError> {
        let wants_active = document.get("active") != Some(&Value::Bool(false));
        if !caller.safety().revive_disabled
            || !wants_active
            || schema.core_attribute("active").is_none()
        {
            return Ok(None);
        }
        let Some(schema) = caller.schemas.by_name(schema.name()) else {
            return Ok(None);
        };
        let wanted = Wanted::of(document);
        // The person with the `externalId` is meant. If no person has it, the `userName` decides.
        let mut found = self
            .named(caller, schema, ("externalId", wanted.external_id), draft)
            .await?;
        if found.is_empty() {
            found = self
                .named(caller, schema, ("userName", wanted.user_name), draft)
                .await?;
        }
        Ok(wanted.choose(found))
    }

    /// Resources with this value of an attribute, as a draft leaves them, where there is one.
    async fn named(
        &self,
        caller: &Caller,
        schema: &Arc<TypeSchema>,
        (attribute, value): (&str, Option<&str>),
        draft: Option<&Draft>,
    ) -> Result<Vec<StoredResource>, DirectoryError> {
        let Some(value) = value else {
            return Ok(Vec::new());
        };
        let filter = Filter::Compare {
            path: AttributePath::parse(attribute)?,
            op: CompareOp::Eq,
            value: value.into(),
        };
        let page = Page {
            offset: 0,
            limit: NAMESAKES_MAX.into(),
        };
        let plan = plan(
            std::slice::from_ref(schema),
            Some(filter),
            None,
            page,
            Include::default(),
        )?;
        let mut found = self.store.search(caller.tenant.id, plan).await?.resources;
        for one in &mut found {
            if let Some(document) = draft
                .and_then(|draft| draft.left(schema, &one.id))
                .and_then(|left| left.document.clone())
            {
                one.document = document;
            }
        }
        found.retain(|one| draft.is_none_or(|draft| !draft.is_gone(&one.id)));
        found.retain(|one| Names::of(&one.id, &one.document).are_meant_by(value));
        Ok(found)
    }
}

/// The body of a create, as one that enables.
pub(super) fn enabling(mut body: Value) -> Value {
    if let Some(body) = body
        .as_object_mut()
        .filter(|body| !body.keys().any(|name| name.eq_ignore_ascii_case("active")))
    {
        body.insert("active".to_owned(), true.into());
    }
    body
}

/// What a resource held, checked against its type as it is now. Refuses what is not allowed any more, naming the attribute.
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
