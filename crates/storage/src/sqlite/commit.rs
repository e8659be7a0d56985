//! Applies a change set inside the writer's transaction: checks, resource, index rows, memberships, change log. All of it, or an error and nothing.

use std::collections::HashSet;

use directory::change_set::{Change, ChangeSet, Committed, Content, Effect, Precondition, Write};
use directory::store::{CommitError, Fault};
use directory::tenant::TenantId;
use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, params};
use scim_protocol::patch::member::MemberDelta;
use serde_json::{Map, Value};

use super::connections::fault;
use super::schemas::revision;
use super::statements as sql;
use crate::rows::{
    IndexRow, KIND_CREATE, KIND_DELETE, Told, attribute_key, decode_entries, encode_entries, from_json, index_rows, json_text, micros,
    timestamp, version,
};

/// Applies a change set; one `Committed` per write. What was committed under the same change id before is not done again.
pub(crate) fn apply(connection: &Connection, tenant: TenantId, change_set: &ChangeSet) -> Result<Vec<Committed>, CommitError> {
    let commit = Commit { connection, tenant: tenant.0, change_set, at: micros(change_set.at) };
    let before = commit.logged()?;
    if !before.is_empty() {
        return change_set.writes.iter().map(|write| commit.again(write, &before)).collect();
    }
    change_set.writes.iter().map(|write| commit.write(write)).collect()
}

/// What a resource's row says of it, apart from what it holds.
struct Head {
    resource: i64,
    version: i64,
    created: i64,
    modified: i64,
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

struct Commit<'a> {
    connection: &'a Connection,
    tenant: i64,
    change_set: &'a ChangeSet,
    at: i64,
}

impl Commit<'_> {
    fn write(&self, write: &Write) -> Result<Committed, CommitError> {
        match &write.change {
            Change::Create { content, members } => self.create(write, content, members),
            Change::Update { precondition, content, members, effect } => {
                let head = self.head(write)?;
                check(*precondition, &head)?;
                self.update(write, &head, content.as_ref(), members, effect)
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
        let read = |row: &Row<'_>| Ok(Logged { resource_type: row.get(0)?, id: row.get(1)?, version: row.get(2)?, at: row.get(3)? });
        let rows = statement.query_map(params![self.tenant, self.change_set.change_id.as_bytes()], read).map_err(fault)?;
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
        let is_it = |logged: &&Logged| logged.resource_type == write.resource_type && logged.id == write.id;
        if let Some(logged) = before.iter().rfind(is_it) {
            return committed(version(logged.version), created, logged.at, true);
        }
        let (version_now, modified) = head.map_or((0, self.at), |head| (head.version, head.modified));
        committed(version(version_now), created, modified, false)
    }

    fn create(&self, write: &Write, content: &Content, members: &[String]) -> Result<Committed, CommitError> {
        let rows = index_rows(&write.resource_type, &content.index);
        let document = json_text(&content.document)?;
        let entries = encode_entries(&rows);
        self.execute(
            sql::CREATE_RESOURCE,
            params![self.tenant, write.resource_type, write.id, self.at, content.display, entries, document],
        )?;
        let resource = self.connection.last_insert_rowid();
        self.add_rows(write, content, resource, rows.iter())?;
        self.add_members(resource, members)?;
        self.log(&write.resource_type, &write.id, 1, &Told::plain(KIND_CREATE))?;
        committed(1, self.at, self.at, true)
    }

    fn update(
        &self,
        write: &Write,
        head: &Head,
        content: Option<&Content>,
        members: &MemberDelta,
        effect: &Effect,
    ) -> Result<Committed, CommitError> {
        let body_changed = match content {
            Some(content) => self.update_body(write, head, content)?,
            None => false,
        };
        let members_changed = self.update_members(head.resource, members)?;
        if !body_changed && !members_changed {
            return committed(version(head.version), head.created, head.modified, false);
        }
        if !body_changed {
            self.raise_version(head.resource)?;
        }
        self.log(&write.resource_type, &write.id, head.version + 1, &Told::update(effect, body_changed, members_changed))?;
        committed(version(head.version + 1), head.created, self.at, true)
    }

    fn update_body(&self, write: &Write, head: &Head, content: &Content) -> Result<bool, CommitError> {
        let read = |row: &Row<'_>| Ok(Body { display: row.get(0)?, entries: row.get(1)?, document: row.get(2)? });
        let old = self.statement(sql::READ_BODY)?.query_row(params![self.tenant, head.resource], read).map_err(fault)?;
        let rows = index_rows(&write.resource_type, &content.index);
        let document = json_text(&content.document)?;
        // The order of members means nothing, so it is not compared where the texts differ.
        let is_same = old.document == document || from_json::<Map<String, Value>>(&old.document)? == content.document;
        let entries = encode_entries(&rows);
        if is_same && old.display == content.display && old.entries == entries {
            return Ok(false);
        }
        if old.entries != entries {
            let old_rows = decode_entries(&old.entries)?;
            for row in old_rows.iter().filter(|row| !rows.contains(row)) {
                self.remove_row(row, head.resource)?;
            }
            self.add_rows(write, content, head.resource, rows.iter().filter(|row| !old_rows.contains(row)))?;
        }
        let values = params![self.tenant, head.resource, head.version, self.at, content.display, entries, document];
        match self.execute(sql::UPDATE_BODY, values)? {
            1 => Ok(true),
            _ => Err(CommitError::VersionChanged { current: version(head.version) }),
        }
    }

    fn update_members(&self, group: i64, delta: &MemberDelta) -> Result<bool, CommitError> {
        let added = delta.added.iter().map(|id| self.resource(id)?.ok_or_else(|| CommitError::ReferenceMissing { id: id.clone() }));
        let mut added: Vec<i64> = added.collect::<Result<_, _>>()?;
        let mut changed = false;
        if delta.replace {
            let wanted: HashSet<i64> = added.iter().copied().collect();
            let held: HashSet<i64> = self.keys(sql::LIST_MEMBERS, group)?.into_iter().collect();
            for member in held.difference(&wanted) {
                changed |= self.execute(sql::REMOVE_MEMBER, params![self.tenant, group, member])? > 0;
            }
            // Only the difference is written.
            added.retain(|member| !held.contains(member));
        }
        for id in &delta.removed {
            if let Some(member) = self.resource(id)? {
                changed |= self.execute(sql::REMOVE_MEMBER, params![self.tenant, group, member])? > 0;
            }
        }
        for member in added {
            changed |= self.execute(sql::ADD_MEMBER, params![self.tenant, group, member])? > 0;
        }
        Ok(changed)
    }

    /// The groups it was in lose it as a member, so they change too.
    fn delete(&self, write: &Write, head: &Head) -> Result<Committed, CommitError> {
        let body = self.statement(sql::READ_BODY)?.query_row(params![self.tenant, head.resource], |row| row.get::<_, Vec<u8>>(1));
        for row in decode_entries(&body.map_err(fault)?)? {
            self.remove_row(&row, head.resource)?;
        }
        let groups = self.keys(sql::LIST_GROUPS, head.resource)?;
        self.execute(sql::LEAVE_GROUPS, params![self.tenant, head.resource])?;
        self.execute(sql::REMOVE_MEMBERS, params![self.tenant, head.resource])?;
        self.execute(sql::DELETE_RESOURCE, params![self.tenant, head.resource])?;
        self.log(&write.resource_type, &write.id, 0, &Told::plain(KIND_DELETE))?;
        for group in groups.into_iter().filter(|group| *group != head.resource) {
            let (version, resource_type, id) = self.raise_version(group)?;
            self.log(&resource_type, &id, version, &Told::member_gone())?;
        }
        committed(0, head.created, self.at, true)
    }

    /// The resource changes, but not its body: its new version, its type and its id.
    fn raise_version(&self, resource: i64) -> Result<(i64, String, String), Fault> {
        // A statement with RETURNING answers with a row, so it is queried and not executed.
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        self.statement(sql::UPDATE_VERSION)?.query_row(params![self.tenant, resource, self.at], read).map_err(fault)
    }

    fn add_rows<'r>(
        &self,
        write: &Write,
        content: &Content,
        resource: i64,
        rows: impl Iterator<Item = &'r IndexRow>,
    ) -> Result<(), CommitError> {
        for row in rows {
            let values = params![self.tenant, row.attribute, row.value, resource];
            if !row.unique {
                self.execute(sql::ADD_VALUE, values)?;
            } else if self.execute(sql::TAKE_VALUE, values)? == 0 {
                let is_it = |path: &&str| attribute_key(&write.resource_type, path) == row.attribute;
                let path = content.index.iter().map(|entry| entry.path.as_str()).find(is_it).unwrap_or_default();
                return Err(CommitError::ValueTaken { path: path.to_owned() });
            }
        }
        Ok(())
    }

    fn remove_row(&self, row: &IndexRow, resource: i64) -> Result<(), Fault> {
        let statement = if row.unique { sql::RELEASE_VALUE } else { sql::REMOVE_VALUE };
        self.execute(statement, params![self.tenant, row.attribute, row.value, resource]).map(drop)
    }

    fn add_members(&self, group: i64, members: &[String]) -> Result<(), CommitError> {
        for id in members {
            let member = self.resource(id)?.ok_or_else(|| CommitError::ReferenceMissing { id: id.clone() })?;
            self.execute(sql::ADD_MEMBER, params![self.tenant, group, member])?;
        }
        Ok(())
    }

    /// Every change is logged, so here is where one that was decided with the types of yesterday is refused.
    fn log(&self, resource_type: &str, id: &str, version: i64, told: &Told) -> Result<(), CommitError> {
        let types = i64::try_from(self.change_set.types_revision).unwrap_or(i64::MAX);
        let next = self.statement(sql::NEXT_SEQUENCE)?.query_row(params![self.tenant, types], |row| row.get::<_, i64>(0));
        let Some(sequence) = next.optional().map_err(fault)? else {
            revision(self.connection, self.tenant)?;
            return Err(CommitError::TypesChanged);
        };
        let change_id = self.change_set.change_id.as_bytes();
        let values = params![self.tenant, sequence, change_id, resource_type, id, version, self.at, told.kind, told.attributes];
        self.execute(sql::LOG_CHANGE, values)?;
        Ok(())
    }

    fn head(&self, write: &Write) -> Result<Head, CommitError> {
        let read = |row: &Row<'_>| {
            let head = Head { resource: row.get(0)?, version: row.get(2)?, created: row.get(3)?, modified: row.get(4)? };
            Ok((row.get::<_, String>(1)?, head))
        };
        let found = self.statement(sql::READ_HEAD)?.query_row(params![self.tenant, write.id], read).optional().map_err(fault)?;
        let found = found.filter(|(resource_type, _)| *resource_type == write.resource_type).map(|(_, head)| head);
        found.ok_or_else(|| CommitError::NotFound { resource_type: write.resource_type.clone(), id: write.id.clone() })
    }

    fn resource(&self, id: &str) -> Result<Option<i64>, Fault> {
        self.statement(sql::FIND_RESOURCE)?.query_row(params![self.tenant, id], |row| row.get(0)).optional().map_err(fault)
    }

    fn keys(&self, statement: &str, resource: i64) -> Result<Vec<i64>, Fault> {
        let mut statement = self.statement(statement)?;
        let rows = statement.query_map(params![self.tenant, resource], |row| row.get(0)).map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    fn execute(&self, statement: &str, values: impl Params) -> Result<usize, Fault> {
        self.statement(statement)?.execute(values).map_err(fault)
    }

    fn statement(&self, statement: &str) -> Result<CachedStatement<'_>, Fault> {
        self.connection.prepare_cached(statement).map_err(fault)
    }
}

fn check(precondition: Precondition, head: &Head) -> Result<(), CommitError> {
    match precondition {
        Precondition::VersionIs(wanted) if wanted != version(head.version) => {
            Err(CommitError::VersionChanged { current: version(head.version) })
        }
        Precondition::VersionIs(_) | Precondition::Exists => Ok(()),
    }
}

fn committed(version: u64, created: i64, modified: i64, changed: bool) -> Result<Committed, CommitError> {
    let (created, last_modified): (Timestamp, Timestamp) = (timestamp(created)?, timestamp(modified)?);
    Ok(Committed { version, created, last_modified, changed })
}
