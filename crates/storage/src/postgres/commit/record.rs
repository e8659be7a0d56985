//! What a commit leaves in the history: one row for each change of what was there before; members that joined or left are recorded by the statements that
//! move them. Counts who was disabled. Decides nothing.

use directory::change_set::{PERSON, is_active};
use directory::store::CommitError;
use serde_json::{Map, Value};

use super::super::statements_of_safety as sql;
use super::{Commit, Failure};
use crate::rows::{from_json, storable, tombstone_names};
use crate::written::Changed;

/// A group that lost a member because the member ended.
pub(crate) struct Group {
    pub(crate) resource_type: String,
    pub(crate) id: String,
    pub(crate) version: i64,
    pub(crate) since: i64,
    pub(crate) created: i64,
}

impl Commit<'_> {
    pub(crate) fn keeps_history(&self) -> bool {
        self.change_set.policy.keep_history
    }

    pub(crate) async fn record(
        &self,
        changed: Changed<'_>,
        before: Option<&str>,
    ) -> Result<(), Failure> {
        if !self.keeps_history() {
            return Ok(());
        }
        let Changed {
            resource_type,
            id,
            version,
            kind,
            since,
            created,
        } = changed;
        let change_id = self.change_set.change_id.as_bytes().as_slice();
        let (id, credential, kind) = (
            storable(id),
            storable(&self.change_set.policy.credential_id),
            kind.name(),
        );
        self.execute(
            sql::RECORD_CHANGE,
            &[
                &self.tenant,
                &id,
                &version,
                &resource_type,
                &kind,
                &self.at,
                &since,
                &created,
                &change_id,
                &credential,
                &before,
            ],
        )
        .await?;
        Ok(())
    }

    /// Groups that lost this member.
    pub(crate) async fn record_groups(
        &self,
        groups: &[Group],
        member_id: &str,
    ) -> Result<(), Failure> {
        if !self.keeps_history() || groups.is_empty() {
            return Ok(());
        }
        let change_id = self.change_set.change_id.as_bytes().as_slice();
        let credential = storable(&self.change_set.policy.credential_id);
        let ids: Vec<&str> = groups.iter().map(|group| group.id.as_str()).collect();
        let types: Vec<&str> = groups
            .iter()
            .map(|group| group.resource_type.as_str())
            .collect();
        let column = |of: fn(&Group) -> i64| groups.iter().map(of).collect::<Vec<i64>>();
        let (versions, since, created) = (
            column(|group| group.version),
            column(|group| group.since),
            column(|group| group.created),
        );
        self.execute(
            sql::RECORD_GROUPS,
            &[
                &self.tenant,
                &self.at,
                &change_id,
                &credential,
                &ids,
                &versions,
                &types,
                &since,
                &created,
            ],
        )
        .await?;
        self.execute(
            sql::RECORD_LEAVER,
            &[&self.tenant, &storable(member_id), &ids, &versions],
        )
        .await?;
        Ok(())
    }

    /// Remembers a deleted resource.
    pub(crate) async fn keep_tombstone(
        &self,
        changed: Changed<'_>,
        display: &str,
        document: &str,
    ) -> Result<(), Failure> {
        if !self.keeps_history() {
            return Ok(());
        }
        let (user_name, external_id) = tombstone_names(&from_json::<Map<String, Value>>(document)?);
        let change_id = self.change_set.change_id.as_bytes().as_slice();
        let Changed {
            resource_type,
            id,
            version,
            created,
            ..
        } = changed;
        let (id, credential) = (
            storable(id),
            storable(&self.change_set.policy.credential_id),
        );
        self.execute(
            sql::KEEP_TOMBSTONE,
            &[
                &self.tenant,
                &id,
                &resource_type,
                &version,
                &created,
                &self.at,
                &change_id,
                &credential,
                &display,
                &user_name,
                &external_id,
            ],
        )
        .await?;
        Ok(())
    }

    /// When the resource that comes back was deleted. Where that is not remembered, or another write was faster, it cannot come back.
    pub(crate) async fn take_tombstone(
        &self,
        resource_type: &str,
        id: &str,
        version: i64,
    ) -> Result<i64, Failure> {
        let found = self
            .query(
                sql::TAKE_TOMBSTONE,
                &[&self.tenant, &storable(id), &resource_type, &version],
            )
            .await?;
        let missing = || CommitError::NotFound {
            resource_type: resource_type.to_owned(),
            id: id.to_owned(),
        };
        Ok(found.first().ok_or_else(missing)?.try_get(0)?)
    }

    /// Counts a User that is no longer active.
    pub(crate) fn count_disabled(
        &mut self,
        resource_type: &str,
        before: &str,
        after: &Map<String, Value>,
    ) -> Result<(), Failure> {
        if resource_type == PERSON && !is_active(after) && is_active(&from_json(before)?) {
            self.removals.disables += 1;
        }
        Ok(())
    }
}
