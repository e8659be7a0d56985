//! What a commit leaves in the history: one row for each change of what was there before, one for each member that joined or left. Counts removals on the
//! way. Decides nothing.

use directory::change_set::{PERSON, is_active};
use directory::deletion_guard::Removals;
use directory::store::{CommitError, Fault};
use rusqlite::params;
use serde_json::{Map, Value};

use super::super::statements_of_safety as sql;
use super::Commit;
use crate::rows::{from_json, tombstone_names};
use crate::written::Changed;

impl Commit<'_, '_> {
    fn keeps_history(&self) -> bool {
        self.change_set.policy.keep_history
    }

    pub(crate) fn record(&self, changed: Changed<'_>, before: Option<&str>) -> Result<(), Fault> {
        if !self.keeps_history() {
            return Ok(());
        }
        let (change_id, credential) = (
            self.change_set.change_id.as_bytes(),
            &self.change_set.policy.credential_id,
        );
        let Changed {
            resource_type,
            id,
            version,
            kind,
            since,
            created,
        } = changed;
        let values = params![
            self.tenant,
            id,
            version,
            resource_type,
            kind.name(),
            self.at,
            since,
            created,
            change_id,
            credential,
            before
        ];
        self.execute(sql::RECORD_CHANGE, values).map(drop)
    }

    /// A member that joined or left, by its key.
    pub(crate) fn record_member(
        &self,
        group_id: &str,
        version: i64,
        member: i64,
        joined: bool,
    ) -> Result<(), Fault> {
        let one = if joined {
            Removals {
                memberships_added: 1,
                ..Removals::default()
            }
        } else {
            removed(1)
        };
        self.count(one);
        if !self.keeps_history() {
            return Ok(());
        }
        self.execute(
            sql::RECORD_MEMBER,
            params![self.tenant, group_id, version, member, joined],
        )
        .map(drop)
    }

    /// All members of a group that is about to end, so many.
    pub(crate) fn record_members(
        &self,
        group_id: &str,
        version: i64,
        group: i64,
    ) -> Result<(), Fault> {
        if !self.keeps_history() {
            return Ok(());
        }
        self.execute(
            sql::RECORD_MEMBERS,
            params![self.tenant, group_id, version, group],
        )
        .map(drop)
    }

    /// A member that is gone.
    pub(crate) fn record_leaver(
        &self,
        group_id: &str,
        version: i64,
        member_id: &str,
    ) -> Result<(), Fault> {
        if !self.keeps_history() {
            return Ok(());
        }
        self.execute(
            sql::RECORD_LEAVER,
            params![self.tenant, group_id, version, member_id],
        )
        .map(drop)
    }

    /// Remembers a deleted resource.
    pub(crate) fn keep_tombstone(
        &self,
        changed: Changed<'_>,
        display: &str,
        document: &str,
    ) -> Result<(), Fault> {
        if !self.keeps_history() {
            return Ok(());
        }
        let (user_name, external_id) = tombstone_names(&from_json::<Map<String, Value>>(document)?);
        let (change_id, credential) = (
            self.change_set.change_id.as_bytes(),
            &self.change_set.policy.credential_id,
        );
        let Changed {
            resource_type,
            id,
            version,
            created,
            ..
        } = changed;
        let values = params![
            self.tenant,
            id,
            resource_type,
            version,
            created,
            self.at,
            change_id,
            credential,
            display,
            user_name,
            external_id
        ];
        self.execute(sql::KEEP_TOMBSTONE, values).map(drop)
    }

    /// When the resource that comes back was deleted. Where that is not remembered, or another write was faster, it cannot come back.
    pub(crate) fn take_tombstone(
        &self,
        resource_type: &str,
        id: &str,
        version: i64,
    ) -> Result<i64, CommitError> {
        let values = params![self.tenant, id, resource_type, version];
        let found = self.find(sql::TAKE_TOMBSTONE, values, |row| row.get(0))?;
        found.ok_or_else(|| CommitError::NotFound {
            resource_type: resource_type.to_owned(),
            id: id.to_owned(),
        })
    }

    /// Counts a User that is no longer active.
    pub(crate) fn count_disabled(
        &self,
        resource_type: &str,
        before: &str,
        after: &Map<String, Value>,
    ) -> Result<(), Fault> {
        if resource_type == PERSON && !is_active(after) && is_active(&from_json(before)?) {
            self.count(Removals {
                disables: 1,
                ..Removals::default()
            });
        }
        Ok(())
    }

    /// Counts a deletion, with the members that the resource had.
    pub(crate) fn count_deleted(&self, resource_type: &str, members: u64) {
        self.count(Removals {
            deletes: u64::from(resource_type == "User"),
            ..removed(members)
        });
    }

    fn count(&self, more: Removals) {
        let counted = self.removals.get();
        self.removals.set(Removals {
            disables: counted.disables + more.disables,
            deletes: counted.deletes + more.deletes,
            memberships: counted.memberships + more.memberships,
            memberships_added: counted.memberships_added + more.memberships_added,
        });
    }
}

fn removed(memberships: u64) -> Removals {
    Removals {
        memberships,
        ..Removals::default()
    }
}
