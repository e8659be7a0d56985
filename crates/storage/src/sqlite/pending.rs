//! References that wait, in SQLite: kept by commits, and linked by the commit in which what they wait for arrives.

use directory::change_set::Content;
use directory::history::Kind;
use directory::pending::{MANAGER, MEMBERS, Names, fold, manager, manager_path, set_manager};
use directory::store::{CommitError, Fault};
use rusqlite::{Row, params};
use serde_json::{Map, Value};

use super::commit::Commit;
use super::explain::fault;
use super::statements as basic;
use super::statements_of_safety as sql;
use crate::rows::{
    Told, attribute_key, decode_entries, encode_entries, from_json, json_text, relink_entries,
    short_name, usable_name_keys,
};
use crate::written::Changed;

/// A reference that has been waiting for a resource.
struct Awaiting {
    resource: i64,
    path: String,
    value: String,
    id: String,
    resource_type: String,
}

impl Commit<'_, '_> {
    fn lets_wait(&self) -> bool {
        self.change_set.policy.pending_references
    }

    /// A resource that others may refer to, by id or, where references may wait, by `userName` or `externalId`.
    pub(super) fn find_referred(&self, value: &str) -> Result<Option<i64>, Fault> {
        let found = self.resource(value)?;
        if found.is_some() || !self.lets_wait() {
            return Ok(found);
        }
        let Some((user_name, external_id)) = usable_name_keys(value) else {
            return Ok(None);
        };
        let attributes = [
            ("User", "userName"),
            ("User", "externalId"),
            ("Group", "externalId"),
        ]
        .map(|(t, path)| attribute_key(t, path));
        let values = params![
            self.tenant,
            attributes[0],
            attributes[1],
            attributes[2],
            user_name,
            external_id
        ];
        self.find(sql::FIND_BY_NAMES, values, |row| row.get(0))
    }

    /// The keys of members to add; those that are not there wait, where they may.
    pub(super) fn members_to_add(
        &self,
        group: i64,
        ids: &[String],
    ) -> Result<Vec<i64>, CommitError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            match self.find_referred(id)? {
                Some(member) => found.push(member),
                None if self.lets_wait() && short_name(id) => self.wait(group, MEMBERS, id)?,
                None => return Err(CommitError::ReferenceMissing { id: id.clone() }),
            }
        }
        Ok(found)
    }

    fn wait(&self, resource: i64, path: &str, value: &str) -> Result<(), Fault> {
        self.execute(
            sql::AWAIT,
            params![self.tenant, resource, path, value, fold(value), self.at],
        )
        .map(drop)
    }

    /// Members that are no longer wanted do not wait, whatever the switch says now.
    pub(super) fn wait_no_more(&self, group: i64, removed: &[String]) -> Result<(), Fault> {
        for id in removed {
            self.execute(sql::AWAIT_NO_MORE, params![self.tenant, group, MEMBERS, id])?;
        }
        Ok(())
    }

    /// The list of members is replaced.
    pub(super) fn wait_for_no_member(&self, group: i64) -> Result<(), Fault> {
        self.execute(sql::AWAIT_NOTHING, params![self.tenant, group, MEMBERS])
            .map(drop)
    }

    /// The resource ends.
    pub(super) fn wait_for_nothing(&self, resource: i64) -> Result<(), Fault> {
        self.execute(sql::AWAIT_NOTHING_AT_ALL, params![self.tenant, resource])
            .map(drop)
    }

    /// The manager that a written document names: linked where known by another name, waited for where unknown.
    pub(super) fn await_manager(
        &self,
        resource_type: &str,
        resource: i64,
        content: &Content,
    ) -> Result<(), CommitError> {
        if !self.lets_wait() || resource_type != "User" {
            return Ok(());
        }
        self.execute(sql::AWAIT_NOTHING, params![self.tenant, resource, MANAGER])?;
        let Some(value) = manager(&content.document) else {
            return Ok(());
        };
        if self.resource(value)?.is_some() || !short_name(value) {
            return Ok(());
        }
        match self.find_referred(value)? {
            Some(found) => {
                let id = self.id_of(found)?;
                self.link_manager(resource, &id).map(drop)
            }
            None => Ok(self.wait(resource, MANAGER, value)?),
        }
    }

    fn id_of(&self, resource: i64) -> Result<String, Fault> {
        self.row(basic::READ_BY_KEY, params![self.tenant, resource], |row| {
            row.get(1)
        })
    }

    /// Links what has been waiting for a resource that is here now.
    pub(super) fn link_awaiting(
        &self,
        key: i64,
        id: &str,
        document: &Map<String, Value>,
    ) -> Result<(), CommitError> {
        if !self.lets_wait() {
            return Ok(());
        }
        let names = Names::of(id, document);
        for name in names.folded() {
            for awaiting in self.awaiting(&name)? {
                if names.are_meant_by(&awaiting.value) {
                    self.link(&awaiting, key, id)?;
                }
            }
        }
        Ok(())
    }

    fn awaiting(&self, folded: &str) -> Result<Vec<Awaiting>, Fault> {
        let read = |row: &Row<'_>| {
            Ok(Awaiting {
                resource: row.get(0)?,
                path: row.get(1)?,
                value: row.get(2)?,
                id: row.get(3)?,
                resource_type: row.get(4)?,
            })
        };
        let mut statement = self.statement(sql::FIND_AWAITED)?;
        let rows = statement
            .query_map(params![self.tenant, folded], read)
            .map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    fn link(&self, awaiting: &Awaiting, key: i64, id: &str) -> Result<(), CommitError> {
        let Awaiting {
            resource,
            path,
            value,
            id: of_id,
            resource_type,
        } = awaiting;
        self.execute(
            sql::AWAIT_NO_MORE,
            params![self.tenant, resource, path, value],
        )?;
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let (created, since) = self.row(sql::READ_VERSION, params![self.tenant, resource], read)?;
        if path == MANAGER {
            let Some(before) = self.link_manager(*resource, id)? else {
                return Ok(());
            };
            let (version, _, _) = self.raise_version(*resource)?;
            self.record(
                Changed {
                    resource_type,
                    id: of_id,
                    version,
                    kind: Kind::Update,
                    since,
                    created,
                },
                Some(&before),
            )?;
            return self.log(resource_type, of_id, version, &Told::linked(path));
        }
        if self.execute(basic::ADD_MEMBER, params![self.tenant, resource, key])? == 0 {
            return Ok(());
        }
        let (version, _, _) = self.raise_version(*resource)?;
        self.record_member(of_id, version, key, true)?;
        self.record(
            Changed {
                resource_type,
                id: of_id,
                version,
                kind: Kind::Members,
                since,
                created,
            },
            None,
        )?;
        self.log(resource_type, of_id, version, &Told::linked(path))
    }

    /// Names the manager by its id in a document that names it otherwise: the document as it was.
    fn link_manager(&self, resource: i64, id: &str) -> Result<Option<String>, CommitError> {
        let read = |row: &Row<'_>| Ok((row.get::<_, Vec<u8>>(1)?, row.get::<_, String>(2)?));
        let (entries, before) = self.row(basic::READ_BODY, params![self.tenant, resource], read)?;
        let mut document: Map<String, Value> = from_json(&before)?;
        if !set_manager(&mut document, id) {
            return Ok(None);
        }
        let mut rows = decode_entries(&entries)?;
        for (old, new) in relink_entries(&mut rows, attribute_key("User", &manager_path()), id) {
            self.remove_row(&old, resource)?;
            self.execute(
                basic::ADD_VALUE,
                params![self.tenant, new.attribute, new.value, resource],
            )?;
        }
        self.execute(
            sql::LINK_BODY,
            params![
                self.tenant,
                resource,
                encode_entries(&rows),
                json_text(&document)?
            ],
        )?;
        Ok(Some(before))
    }
}
