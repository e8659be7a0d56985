//! *(shell)* Searches page by page, by number and by cursor, and the members of groups batch by batch. Decides nothing itself.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use scim_protocol::schema::optional;
use scim_protocol::{Error, ErrorKind, SchemaSet, TypeSchema};

use super::{Directory, DirectoryError};
use crate::access::Caller;
use crate::names::{check_names, hide_name, hide_names};
use crate::search::cursor::{self, CursorSealer};
use crate::search::{Keyset, Page, SearchPlan, plan};
use crate::store::{Fault, Include, MEMBERS_AT_ONCE, Member, SearchPage, StoredResource};
use crate::tenant::TenantId;

/// How cursors are made.
#[derive(Clone)]
pub(super) struct Cursors {
    sealer: Arc<dyn CursorSealer>,
    seconds: i64,
}

/// Members of a group from some place on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoreMembers {
    /// Whose group it is.
    pub tenant: TenantId,
    /// The group's id.
    pub group_id: String,
    /// The key of the last member that has been read.
    pub after: i64,
}

impl Directory {
    /// The same, with cursors (RFC 9865) that are good for so many seconds.
    #[must_use]
    pub fn with_cursors(self, sealer: Arc<dyn CursorSealer>, seconds: i64) -> Self {
        Self {
            cursors: Some(Cursors { sealer, seconds }),
            ..self
        }
    }

    /// For how many seconds a cursor is good; `None` where there are none.
    pub fn cursor_seconds(&self) -> Option<i64> {
        self.cursors.as_ref().map(|cursors| cursors.seconds)
    }

    /// Carries out a search that was planned for the caller's schemas.
    pub async fn search(
        &self,
        caller: &Caller,
        plan: SearchPlan,
    ) -> Result<SearchPage, DirectoryError> {
        check_search(caller, &plan)?;
        let mut page = self.store.search(caller.tenant.id, plan).await?;
        for resource in &mut page.resources {
            hide_names(&caller.permissions, resource);
        }
        Ok(page)
    }

    /// The tenant's types and schemas as they are listed: quiet types only where there is a resource of them that the caller's token is for. Clients and
    /// checkers go through every type that they find; a directory of people does not look like one of devices, and takes the first device all the same.
    pub async fn listed(&self, caller: &Caller) -> Result<SchemaSet, DirectoryError> {
        let mut used = Vec::new();
        for schema in
            caller.schemas.types().iter().filter(|schema| {
                schema.resource_type.quiet && caller.permissions.covers(schema.name())
            })
        {
            let page = Page {
                offset: 0,
                limit: 1,
            };
            let plan = plan(
                std::slice::from_ref(schema),
                None,
                None,
                page,
                Include::default(),
            )?;
            let plan = SearchPlan {
                keyset: Some(Keyset::default()),
                ..plan
            };
            if !self
                .store
                .search(caller.tenant.id, plan)
                .await?
                .resources
                .is_empty()
            {
                used.push(schema.name());
            }
        }
        Ok(optional::restricted(&caller.schemas, |schema| {
            !schema.resource_type.quiet || used.contains(&schema.name())
        }))
    }

    /// A page of a search by cursor (RFC 9865), and the cursor of the next page, where there is more. An empty cursor begins.
    pub async fn search_by_cursor(
        &self,
        caller: &Caller,
        plan: SearchPlan,
        cursor: &str,
    ) -> Result<(SearchPage, Option<String>), DirectoryError> {
        check_search(caller, &plan)?;
        let context = cursor::context(caller.tenant.id, &plan);
        let after = self.open_cursor(&context, cursor)?;
        let mut page = self
            .store
            .search(caller.tenant.id, plan.by_position(after))
            .await?;
        for resource in &mut page.resources {
            hide_names(&caller.permissions, resource);
        }
        let next = page
            .next
            .as_ref()
            .map(|position| self.seal_cursor(&context, position))
            .transpose()?;
        Ok((page, next))
    }

    /// What a cursor holds; `None` where it is empty.
    pub(super) fn open_cursor(
        &self,
        context: &[u8],
        sealed: &str,
    ) -> Result<Option<crate::search::Position>, Error> {
        let cursors = self.cursors.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::NotImplemented,
                "Cursors are not offered here; page by `startIndex` and `count`.",
            )
            .at("cursor")
        })?;
        if sealed.is_empty() {
            return Ok(None);
        }
        let opened = cursors
            .sealer
            .open_cursor(context, sealed)
            .ok_or_else(cursor::invalid)?;
        cursor::decode(&opened, self.clock.now()).map(Some)
    }

    pub(super) fn seal_cursor(
        &self,
        context: &[u8],
        position: &crate::search::Position,
    ) -> Result<String, Fault> {
        let failed = || Fault::new("a cursor could not be sealed");
        let cursors = self.cursors.as_ref().ok_or_else(failed)?;
        let expires = self
            .clock
            .now()
            .saturating_add(SignedDuration::from_secs(cursors.seconds))
            .unwrap_or(Timestamp::MAX);
        cursors
            .sealer
            .seal_cursor(context, &cursor::encode(position, expires))
            .ok_or_else(failed)
    }

    /// Whether a group has more members than are read at once.
    pub async fn is_large(&self, caller: &Caller, group_id: &str) -> Result<bool, DirectoryError> {
        Ok(self
            .store
            .has_more_members_than(caller.tenant.id, group_id, MEMBERS_AT_ONCE)
            .await?)
    }

    /// Adds the first members to a group that was read without them; where there are more, from where on they are to be read.
    pub async fn add_first_members(
        &self,
        caller: &Caller,
        resource: &mut StoredResource,
    ) -> Result<Option<MoreMembers>, DirectoryError> {
        let begin = MoreMembers {
            tenant: caller.tenant.id,
            group_id: resource.id.clone(),
            after: i64::MIN,
        };
        let (members, more) = self.next_members(caller, begin).await?;
        resource.members = members.into_iter().map(|member| member.related).collect();
        Ok(more)
    }

    /// The next members of a group, in order of their creation, and where further members begin. Somebody who is a member all the time is read once, also if
    /// other members come and go meanwhile.
    pub async fn next_members(
        &self,
        caller: &Caller,
        from: MoreMembers,
    ) -> Result<(Vec<Member>, Option<MoreMembers>), DirectoryError> {
        let MoreMembers {
            tenant,
            group_id,
            after,
        } = from;
        let mut members = self
            .store
            .members_after(tenant, &group_id, after, MEMBERS_AT_ONCE)
            .await?;
        for member in &mut members {
            hide_name(&caller.permissions, &mut member.related);
        }
        let is_full = members.len() == usize::try_from(MEMBERS_AT_ONCE).unwrap_or(usize::MAX);
        let more = members.last().filter(|_| is_full).map(|last| MoreMembers {
            tenant,
            group_id,
            after: last.key,
        });
        Ok((members, more))
    }
}

/// Refuses types that the caller may not read, and filters and orders by names that it may not.
fn check_search(caller: &Caller, plan: &SearchPlan) -> Result<(), Error> {
    plan.types
        .iter()
        .try_for_each(|schema| caller.may_read(schema))?;
    let schemas: Vec<&TypeSchema> = plan.types.iter().map(AsRef::as_ref).collect();
    // No index has such a name, so a filter that goes by one is evaluated, and is the residual.
    check_names(
        caller,
        &schemas,
        plan.residual.as_ref(),
        plan.sort.as_ref().map(|sort| &sort.path),
    )
}
