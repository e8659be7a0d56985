//! *(shell)* Reads the past: the history of a resource, a resource at an earlier time, deleted resources, and references that wait.

use scim_protocol::{Error, ErrorKind};

use super::{Directory, DirectoryError};
use crate::access::Caller;
use crate::history::{
    Deleted, Entry, History, HistoryLine, Kind, MEMBER_CHANGES_MAX, Point, Remembered, Snapshot,
    Tombstone, lines,
};
use crate::pending::PendingReference;
use crate::search::Include;
use crate::store::Fault;

/// Most lines that are looked at for a credential that is for some resource types only.
const LOOKED_AT_MAX: u32 = 100_000;

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
        // The first members of a group are not written down. They follow from its members now and from all changes since.
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
}
