//! Applies a change set inside the writer's transaction: checks, resource, index rows, memberships, change log. All of it, or an error and nothing.

mod record;

use std::cell::Cell;
use std::collections::HashSet;

use directory::audit::Chain;
use directory::change_set::{Change, ChangeSet, Committed, Content, Effect, Former, Write};
use directory::deletion_guard::Removals;
use directory::history::Kind;
use directory::store::{CommitError, Fault};
use directory::tenant::TenantId;
use rusqlite::{CachedStatement, OptionalExtension as _, Params, Row, params};
use scim_protocol::patch::member::MemberDelta;
use serde_json::{Map, Value};

use super::explain::fault;
use super::session::run_writing;
use super::statements as sql;
use super::statements_of_safety::{CREATE_AGAIN, READ_VERSION};
use super::writer::Writing;
use crate::audit::append;
use crate::guard::guard;
use crate::leavers::end_credentials;
use crate::rows::{
    IndexRow, KIND_CREATE, KIND_DELETE, MembersChanged, Stored, Told, alone, attribute_key,
    decode_entries, from_json, micros, version,
};
use crate::written::{Changed, Head, changed, check, committed};

/// What the writes of a change set store, made before their turn comes: the thread that writes is one for all.
pub(crate) fn prepare(change_set: &ChangeSet) -> Vec<Option<Stored>> {
    let stored = |write: &Write| match &write.change {
        Change::Create { content, .. }
        | Change::Update {
            content: Some(content),
            ..
        } => Some(Stored::of(&write.resource_type, content)),
        Change::Update { content: None, .. } | Change::Delete { .. } => None,
    };
    change_set.writes.iter().map(stored).collect()
}

/// Applies a change set with what `prepare` made of it; one `Committed` per write. What was committed under the same change id before is not done again.
pub(crate) fn apply(
    writing: &Writing<'_>,
    tenant: TenantId,
    change_set: &ChangeSet,
    prepared: &[Option<Stored>],
) -> Result<Vec<Committed>, CommitError> {
    let read = |row: &Row<'_>| {
        Ok(Begin {
            sequence: row.get(0)?,
            types_revision: row.get(1)?,
            is_again: row.get(2)?,
        })
    };
    let begin = writing
        .row(
            sql::BEGIN_COMMIT,
            params![tenant.0, change_set.change_id.as_bytes()],
            read,
        )
        .optional()
        .map_err(fault)?;
    let begin = begin.ok_or_else(|| Fault::new("there is no such tenant"))?;
    let (at, removals, sequence) = (
        micros(change_set.at),
        Cell::default(),
        Cell::new(begin.sequence),
    );
    let commit = Commit {
        writing,
        tenant: tenant.0,
        change_set,
        at,
        removals,
        begin,
        sequence,
    };
    if commit.begin.is_again {
        let before = commit.logged()?;
        return change_set
            .writes
            .iter()
            .map(|write| commit.again(write, &before))
            .collect();
    }
    commit.give_up(prepared)?;
    let writes = change_set.writes.iter().zip(prepared);
    let committed = writes
        .map(|(write, stored)| commit.write(write, stored.as_ref()))
        .collect::<Result<_, _>>()?;
    let held = run_writing(writing, async |session| {
        let held = guard(session, tenant, change_set, &commit.removals.get()).await?;
        if held.is_none() {
            end_credentials(session, tenant, change_set).await?;
            if let Some(entry) = &change_set.policy.entry {
                append(session, Chain::Tenant(tenant), entry).await?;
            }
        }
        Ok(held)
    })?;
    if let Some(excess) = held {
        return Err(CommitError::Held(excess));
    }
    commit.raise_sequence()?;
    Ok(committed)
}

/// What a change set finds.
struct Begin {
    /// Of the tenant's last change.
    sequence: i64,
    types_revision: i64,
    /// Whether it was committed before.
    is_again: bool,
}

/// What a resource holds.
struct Body {
    display: String,
    entries: Vec<u8>,
    document: String,
}

/// A row of the change log.
struct Logged {
    resource_type: String,
    id: String,
    version: i64,
    at: i64,
}

pub(super) struct Commit<'a, 'c> {
    pub(super) writing: &'a Writing<'c>,
    pub(super) tenant: i64,
    pub(super) change_set: &'a ChangeSet,
    pub(super) at: i64,
    /// What was taken away so far.
    pub(super) removals: Cell<Removals>,
    begin: Begin,
    /// Of the last change that is logged.
    sequence: Cell<i64>,
}

impl Commit<'_, '_> {
    /// What the updates of one set give up is free before any of them takes anything, so that two resources may swap their names.
    fn give_up(&self, prepared: &[Option<Stored>]) -> Result<(), CommitError> {
        let writes = self.change_set.writes.iter().zip(prepared);
        let updates: Vec<_> = writes
            .filter(|(write, _)| {
                matches!(
                    write.change,
                    Change::Update {
                        content: Some(_),
                        ..
                    }
                )
            })
            .collect();
        for (write, stored) in updates.iter().filter(|_| updates.len() > 1) {
            let Some(stored) = stored else { continue };
            // One that the same set makes holds nothing yet, and one that is not there is refused when its turn comes.
            let head = match self.head(write) {
                Err(CommitError::NotFound { .. }) => continue,
                head => head?,
            };
            let read = |row: &Row<'_>| row.get::<_, Vec<u8>>(1);
            let entries = self.row(sql::READ_BODY, params![self.tenant, head.resource], read)?;
            let alone = alone(self.change_set, &write.resource_type);
            let is_given_up = |row: &&IndexRow| {
                (row.unique || alone == Some(row.attribute)) && !stored.rows.contains(row)
            };
            for row in decode_entries(&entries)?.iter().filter(is_given_up) {
                self.remove_row(row, head.resource)?;
            }
        }
        Ok(())
    }

    fn write(&self, write: &Write, stored: Option<&Stored>) -> Result<Committed, CommitError> {
        match &write.change {
            Change::Create {
                content,
                members,
                former,
            } => {
                let stored = stored.ok_or_else(|| Fault::new("a create was not prepared"))?;
                self.create(write, content, stored, members, *former)
            }
            Change::Update {
                precondition,
                content,
                members,
                effect,
            } => {
                let head = self.head(write)?;
                check(*precondition, &head)?;
                self.update(write, &head, content.as_ref().zip(stored), members, effect)
            }
            Change::Delete { precondition } => {
                let head = self.head(write)?;
                check(*precondition, &head)?;
                self.delete(write, &head)
            }
        }
    }

    /// What was logged of this change set, where it was committed before.
    fn logged(&self) -> Result<Vec<Logged>, Fault> {
        let mut statement = self.statement(sql::FIND_CHANGE)?;
        let read = |row: &Row<'_>| {
            Ok(Logged {
                resource_type: row.get(0)?,
                id: row.get(1)?,
                version: row.get(2)?,
                at: row.get(3)?,
            })
        };
        let rows = statement
            .query_map(
                params![self.tenant, self.change_set.change_id.as_bytes()],
                read,
            )
            .map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    /// What became of a write that was committed before: what the log says, and not what others have made of it since.
    fn again(&self, write: &Write, before: &[Logged]) -> Result<Committed, CommitError> {
        let head = match self.head(write) {
            Ok(head) => Some(head),
            Err(CommitError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let created = head.as_ref().map_or(self.at, |head| head.created);
        let is_it =
            |logged: &&Logged| logged.resource_type == write.resource_type && logged.id == write.id;
        if let Some(logged) = before.iter().rfind(is_it) {
            return Ok(committed(
                version(logged.version),
                created,
                logged.at,
                true,
            )?);
        }
        let (version_now, modified) =
            head.map_or((0, self.at), |head| (head.version, head.modified));
        Ok(committed(version(version_now), created, modified, false)?)
    }

    fn create(
        &self,
        write: &Write,
        content: &Content,
        stored: &Stored,
        members: &[String],
        former: Option<Former>,
    ) -> Result<Committed, CommitError> {
        let (number, created) = if let Some(former) = former {
            (
                self.come_back(write, former, content, stored)?,
                micros(former.created),
            )
        } else {
            let values = params![
                self.tenant,
                write.resource_type,
                write.id,
                self.at,
                content.display,
                stored.entries,
                content.document.text()
            ];
            self.execute(sql::CREATE_RESOURCE, values)?;
            (1, self.at)
        };
        let resource = self.writing.connection.last_insert_rowid();
        self.add_rows(write, content, resource, stored.rows.iter())?;
        for member in self.members_to_add(resource, members)? {
            if self.execute(sql::ADD_MEMBER, params![self.tenant, resource, member])? > 0
                && former.is_some()
            {
                self.record_member(&write.id, number, member, true)?;
            }
        }
        self.log(
            &write.resource_type,
            &write.id,
            number,
            &Told::plain(KIND_CREATE),
        )?;
        self.await_manager(&write.resource_type, resource, content)?;
        self.link_awaiting(resource, &write.id, &content.document)?;
        Ok(committed(version(number), created, self.at, true)?)
    }

    /// A deleted resource comes back under its id: its version.
    fn come_back(
        &self,
        write: &Write,
        former: Former,
        content: &Content,
        stored: &Stored,
    ) -> Result<i64, CommitError> {
        let (last, created) = (crate::rows::stored(former.version), micros(former.created));
        let (entries, document) = (&stored.entries, content.document.text());
        let since = self.take_tombstone(&write.resource_type, &write.id, last)?;
        let number = last + 1;
        let values = params![
            self.tenant,
            write.resource_type,
            write.id,
            number,
            created,
            self.at,
            content.display,
            entries,
            document
        ];
        // The statement is executed before anything else is inserted, so that the key of the new row is the last one.
        let changed = Changed {
            resource_type: &write.resource_type,
            id: &write.id,
            version: number,
            kind: Kind::Restore,
            since,
            created,
        };
        self.record(changed, None)?;
        self.execute(CREATE_AGAIN, values)?;
        Ok(number)
    }

    fn update(
        &self,
        write: &Write,
        head: &Head,
        content: Option<(&Content, &Stored)>,
        members: &MemberDelta,
        effect: &Effect,
    ) -> Result<Committed, CommitError> {
        let before = match content {
            Some((content, stored)) => self.update_body(write, head, content, stored)?,
            None => None,
        };
        let members_changed = self.update_members(write, head, members)?;
        if before.is_none() && !members_changed.is_any() {
            return Ok(committed(
                version(head.version),
                head.created,
                head.modified,
                false,
            )?);
        }
        if before.is_none() {
            self.raise_version(head.resource)?;
        }
        let kind = if before.is_some() {
            Kind::Update
        } else {
            Kind::Members
        };
        self.record(changed(write, head, kind), before.as_deref())?;
        self.log(
            &write.resource_type,
            &write.id,
            head.version + 1,
            &Told::update(effect, before.is_some(), members_changed),
        )?;
        if let (Some((content, _)), Some(_)) = (content, &before) {
            self.await_manager(&write.resource_type, head.resource, content)?;
            self.link_awaiting(head.resource, &write.id, &content.document)?;
        }
        Ok(committed(
            version(head.version + 1),
            head.created,
            self.at,
            true,
        )?)
    }

    /// The document as it was, where anything changed.
    fn update_body(
        &self,
        write: &Write,
        head: &Head,
        content: &Content,
        stored: &Stored,
    ) -> Result<Option<String>, CommitError> {
        let read = |row: &Row<'_>| {
            Ok(Body {
                display: row.get(0)?,
                entries: row.get(1)?,
                document: row.get(2)?,
            })
        };
        let old = self.row(sql::READ_BODY, params![self.tenant, head.resource], read)?;
        let Stored { rows, entries } = stored;
        let document = content.document.text();
        // The order of members means nothing, so it is not compared where the texts differ.
        let is_same = old.document == document
            || from_json::<Map<String, Value>>(&old.document)? == *content.document;
        if is_same && old.display == content.display && old.entries == *entries {
            return Ok(None);
        }
        self.count_disabled(&write.resource_type, &old.document, &content.document)?;
        if old.entries != *entries {
            let old_rows = decode_entries(&old.entries)?;
            for row in old_rows.iter().filter(|row| !rows.contains(row)) {
                self.remove_row(row, head.resource)?;
            }
            self.add_rows(
                write,
                content,
                head.resource,
                rows.iter().filter(|row| !old_rows.contains(row)),
            )?;
        }
        let values = params![
            self.tenant,
            head.resource,
            head.version,
            self.at,
            content.display,
            entries,
            document
        ];
        match self.execute(sql::UPDATE_BODY, values)? {
            1 => Ok(Some(old.document)),
            _ => Err(CommitError::VersionChanged {
                current: version(head.version),
            }),
        }
    }

    fn update_members(
        &self,
        write: &Write,
        head: &Head,
        delta: &MemberDelta,
    ) -> Result<MembersChanged, CommitError> {
        let (group, next) = (head.resource, head.version + 1);
        if delta.replace {
            self.wait_for_no_member(group)?;
        }
        self.wait_no_more(group, &delta.removed)?;
        let mut added = self.members_to_add(group, &delta.added)?;
        let mut removed = Vec::new();
        if delta.replace {
            let wanted: HashSet<i64> = added.iter().copied().collect();
            let present: HashSet<i64> = self.keys(sql::LIST_MEMBERS, group)?.into_iter().collect();
            removed.extend(present.difference(&wanted).copied());
            // Only the difference is written.
            added.retain(|member| !present.contains(member));
        }
        for id in &delta.removed {
            removed.extend(self.find_referred(id)?);
        }
        let mut changed = MembersChanged::default();
        for (statement, members, joined) in [
            (sql::REMOVE_MEMBER, removed, false),
            (sql::ADD_MEMBER, added, true),
        ] {
            for member in members {
                if self.execute(statement, params![self.tenant, group, member])? > 0 {
                    self.record_member(&write.id, next, member, joined)?;
                    *(if joined {
                        &mut changed.joined
                    } else {
                        &mut changed.left
                    }) = true;
                }
            }
        }
        Ok(changed)
    }

    /// The groups it was in lose it as a member, so they change too.
    fn delete(&self, write: &Write, head: &Head) -> Result<Committed, CommitError> {
        let read = |row: &Row<'_>| {
            Ok(Body {
                display: row.get(0)?,
                entries: row.get(1)?,
                document: row.get(2)?,
            })
        };
        let body = self.row(sql::READ_BODY, params![self.tenant, head.resource], read)?;
        for row in decode_entries(&body.entries)? {
            self.remove_row(&row, head.resource)?;
        }
        let ended = changed(write, head, Kind::Delete);
        self.record(ended, Some(&body.document))?;
        self.keep_tombstone(ended, &body.display, &body.document)?;
        self.record_members(&write.id, ended.version, head.resource)?;
        self.wait_for_nothing(head.resource)?;
        let groups = self.keys(sql::LIST_GROUPS, head.resource)?;
        let itself = u64::from(groups.contains(&head.resource));
        self.execute(sql::LEAVE_GROUPS, params![self.tenant, head.resource])?;
        let members = self.execute(sql::REMOVE_MEMBERS, params![self.tenant, head.resource])?;
        self.count_deleted(
            &write.resource_type,
            u64::try_from(members).unwrap_or_default() + itself,
        );
        self.execute(sql::DELETE_RESOURCE, params![self.tenant, head.resource])?;
        self.log(
            &write.resource_type,
            &write.id,
            0,
            &Told::plain(KIND_DELETE),
        )?;
        for group in groups.into_iter().filter(|group| *group != head.resource) {
            self.lose_member(group, &write.id)?;
        }
        Ok(committed(0, head.created, self.at, true)?)
    }

    /// A group that lost a member because the member ended.
    fn lose_member(&self, group: i64, member_id: &str) -> Result<(), CommitError> {
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let (created, since) = self.row(READ_VERSION, params![self.tenant, group], read)?;
        let (version, resource_type, id) = self.raise_version(group)?;
        let kind = Kind::Members;
        self.record(
            Changed {
                resource_type: &resource_type,
                id: &id,
                version,
                kind,
                since,
                created,
            },
            None,
        )?;
        self.record_leaver(&id, version, member_id)?;
        self.log(&resource_type, &id, version, &Told::member_gone())
    }

    /// The resource changes, but not its body: its new version, its type and its id.
    pub(super) fn raise_version(&self, resource: i64) -> Result<(i64, String, String), Fault> {
        // A statement with RETURNING answers with a row, so it is queried and not executed.
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        self.row(
            sql::UPDATE_VERSION,
            params![self.tenant, resource, self.at],
            read,
        )
    }

    fn add_rows<'r>(
        &self,
        write: &Write,
        content: &Content,
        resource: i64,
        rows: impl Iterator<Item = &'r IndexRow>,
    ) -> Result<(), CommitError> {
        let alone = alone(self.change_set, &write.resource_type);
        for row in rows {
            let statement = if row.unique {
                sql::TAKE_VALUE
            } else {
                sql::ADD_VALUE
            };
            let values = params![self.tenant, row.attribute, row.value, resource];
            let added = self.execute(statement, values)?;
            let is_shared = !row.unique
                && alone == Some(row.attribute)
                && self.row(sql::HAS_ANOTHER, values, |row| row.get(0))?;
            if is_shared || (row.unique && added == 0) {
                let is_it =
                    |path: &&str| attribute_key(&write.resource_type, path) == row.attribute;
                let path = content
                    .index
                    .iter()
                    .map(|entry| entry.path.as_str())
                    .find(is_it)
                    .unwrap_or_default();
                return Err(CommitError::ValueTaken {
                    path: path.to_owned(),
                });
            }
        }
        Ok(())
    }

    pub(super) fn remove_row(&self, row: &IndexRow, resource: i64) -> Result<(), Fault> {
        let statement = if row.unique {
            sql::RELEASE_VALUE
        } else {
            sql::REMOVE_VALUE
        };
        self.execute(
            statement,
            params![self.tenant, row.attribute, row.value, resource],
        )
        .map(drop)
    }

    /// Every change is logged, so here is where one that was decided with the types of yesterday is refused.
    pub(super) fn log(
        &self,
        resource_type: &str,
        id: &str,
        version: i64,
        told: &Told,
    ) -> Result<(), CommitError> {
        if u64::try_from(self.begin.types_revision) != Ok(self.change_set.types_revision) {
            return Err(CommitError::TypesChanged);
        }
        let sequence = self.sequence.get() + 1;
        let (change_id, credential) = (
            self.change_set.change_id.as_bytes(),
            &self.change_set.policy.credential_id,
        );
        let values = params![
            self.tenant,
            sequence,
            change_id,
            resource_type,
            id,
            version,
            self.at,
            told.kind,
            told.attributes,
            credential
        ];
        self.execute(sql::LOG_CHANGE, values)?;
        self.sequence.set(sequence);
        Ok(())
    }

    /// Once for all that was logged: no other transaction writes meanwhile.
    fn raise_sequence(&self) -> Result<(), Fault> {
        let sequence = self.sequence.get();
        if sequence > self.begin.sequence {
            self.execute(sql::RAISE_SEQUENCE, params![self.tenant, sequence])?;
        }
        Ok(())
    }

    fn head(&self, write: &Write) -> Result<Head, CommitError> {
        let read = |row: &Row<'_>| {
            let head = Head {
                resource: row.get(0)?,
                version: row.get(2)?,
                created: row.get(3)?,
                modified: row.get(4)?,
            };
            Ok((row.get::<_, String>(1)?, head))
        };
        let found = self.find(sql::READ_HEAD, params![self.tenant, write.id], read)?;
        let found = found
            .filter(|(resource_type, _)| *resource_type == write.resource_type)
            .map(|(_, head)| head);
        found.ok_or_else(|| CommitError::NotFound {
            resource_type: write.resource_type.clone(),
            id: write.id.clone(),
        })
    }

    pub(super) fn resource(&self, id: &str) -> Result<Option<i64>, Fault> {
        self.find(sql::FIND_RESOURCE, params![self.tenant, id], |row| {
            row.get(0)
        })
    }

    pub(super) fn keys(&self, statement: &str, resource: i64) -> Result<Vec<i64>, Fault> {
        let mut statement = self.statement(statement)?;
        let rows = statement
            .query_map(params![self.tenant, resource], |row| row.get(0))
            .map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    pub(super) fn execute(
        &self,
        statement: &'static str,
        values: impl Params,
    ) -> Result<usize, Fault> {
        self.writing.execute(statement, values).map_err(fault)
    }

    /// The first row of a query, which must have one.
    pub(super) fn row<T>(
        &self,
        query: &'static str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, Fault> {
        self.writing.row(query, values, read).map_err(fault)
    }

    /// The first row of a query, where there is one.
    pub(super) fn find<T>(
        &self,
        query: &'static str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<Option<T>, Fault> {
        self.writing
            .row(query, values, read)
            .optional()
            .map_err(fault)
    }

    /// For a query of many rows.
    pub(super) fn statement(&self, statement: &str) -> Result<CachedStatement<'_>, Fault> {
        self.writing
            .connection
            .prepare_cached(statement)
            .map_err(fault)
    }
}
