//! A change set on its way: what has been decided lies over what is kept, until all of it is handed to the application at once.

use std::collections::{BTreeMap, HashSet};

use directory::change_set::{Change, Committed, Content, Precondition, Write};
use directory::content::content;
use directory::store::{CommitError, Fault};
use jiff::Timestamp;
use scim_protocol::{SchemaSet, ValidResource};
use serde_json::{Map, Value};

use crate::account_store::{AccountChange, AccountStore, Record};

/// Changes that have been decided and not yet been made.
pub(crate) struct Draft<'a> {
    accounts: &'a dyn AccountStore,
    schemas: &'a SchemaSet,
    at: Timestamp,
    /// By type and id; `None`: it is gone.
    changed: BTreeMap<(String, String), Option<Record>>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(
        accounts: &'a dyn AccountStore,
        schemas: &'a SchemaSet,
        at: Timestamp,
    ) -> Self {
        Self {
            accounts,
            schemas,
            at,
            changed: BTreeMap::new(),
        }
    }

    /// What the application has to do.
    pub(crate) fn into_changes(self) -> Vec<AccountChange> {
        let change = |((resource_type, id), record): (_, Option<Record>)| match record {
            Some(record) => AccountChange::Put(record),
            None => AccountChange::Delete { resource_type, id },
        };
        self.changed.into_iter().map(change).collect()
    }

    /// Decides one write.
    pub(crate) async fn write(&mut self, write: &Write) -> Result<Committed, CommitError> {
        match &write.change {
            Change::Create {
                content, members, ..
            } => self.create(write, content, members).await,
            Change::Update {
                precondition,
                content,
                members,
                ..
            } => {
                let before = self.existing(write, *precondition).await?;
                let mut after = before.clone();
                if let Some(content) = content {
                    self.check_unique(write, content).await?;
                    after.document.clone_from(&content.document);
                }
                self.check_references(&members.added).await?;
                let gone: HashSet<&String> = members.removed.iter().collect();
                let wanted: HashSet<&String> = members.added.iter().collect();
                after
                    .members
                    .retain(|id| !gone.contains(id) && (!members.replace || wanted.contains(id)));
                join(&mut after.members, &members.added);
                if after == before {
                    return Ok(committed(&before, false));
                }
                after.version += 1;
                after.last_modified = self.at;
                let answer = committed(&after, true);
                self.put(after);
                Ok(answer)
            }
            Change::Delete { precondition, .. } => {
                let before = self.existing(write, *precondition).await?;
                self.changed
                    .insert((write.resource_type.clone(), write.id.clone()), None);
                self.leave_groups(&write.id).await?;
                Ok(Committed {
                    version: 0,
                    created: before.created,
                    last_modified: self.at,
                    changed: true,
                })
            }
        }
    }

    async fn create(
        &mut self,
        write: &Write,
        content: &Content,
        members: &[String],
    ) -> Result<Committed, CommitError> {
        self.check_unique(write, content).await?;
        self.check_references(members).await?;
        let mut record = Record {
            resource_type: write.resource_type.clone(),
            id: write.id.clone(),
            version: 1,
            created: self.at,
            last_modified: self.at,
            document: Map::clone(&content.document),
            members: Vec::new(),
        };
        join(&mut record.members, members);
        let answer = committed(&record, true);
        self.put(record);
        Ok(answer)
    }

    /// The groups it was in lose it as a member, so they change too.
    async fn leave_groups(&mut self, id: &str) -> Result<(), Fault> {
        for mut group in self.list("Group").await? {
            if group.members.iter().any(|member| member == id) {
                group.members.retain(|member| member != id);
                group.version += 1;
                group.last_modified = self.at;
                self.put(group);
            }
        }
        Ok(())
    }

    fn put(&mut self, record: Record) {
        self.changed.insert(
            (record.resource_type.clone(), record.id.clone()),
            Some(record),
        );
    }

    async fn get(&self, resource_type: &str, id: &str) -> Result<Option<Record>, Fault> {
        match self.changed.get(&(resource_type.to_owned(), id.to_owned())) {
            Some(changed) => Ok(changed.clone()),
            None => self.accounts.get(resource_type, id).await,
        }
    }

    async fn list(&self, resource_type: &str) -> Result<Vec<Record>, Fault> {
        Ok(self.overlay(resource_type, self.accounts.list(resource_type).await?))
    }

    /// A record as it is kept, with the changes that have been decided so far.
    fn overlay(&self, resource_type: &str, kept: Vec<Record>) -> Vec<Record> {
        let is_untouched = |record: &Record| {
            !self
                .changed
                .contains_key(&(record.resource_type.clone(), record.id.clone()))
        };
        let decided = self
            .changed
            .values()
            .flatten()
            .filter(|record| record.resource_type == resource_type)
            .cloned();
        kept.into_iter()
            .filter(is_untouched)
            .chain(decided)
            .collect()
    }

    async fn existing(
        &self,
        write: &Write,
        precondition: Precondition,
    ) -> Result<Record, CommitError> {
        let found = self.get(&write.resource_type, &write.id).await?;
        let found = found.ok_or_else(|| CommitError::NotFound {
            resource_type: write.resource_type.clone(),
            id: write.id.clone(),
        })?;
        match precondition {
            Precondition::VersionIs(wanted) if wanted != found.version => {
                Err(CommitError::VersionChanged {
                    current: found.version,
                })
            }
            Precondition::VersionIs(_) | Precondition::Exists => Ok(found),
        }
    }

    async fn check_references(&self, ids: &[String]) -> Result<(), CommitError> {
        for id in ids {
            let mut found = false;
            for schema in self.schemas.types() {
                found = found || self.get(schema.name(), id).await?.is_some();
            }
            if !found {
                return Err(CommitError::ReferenceMissing { id: id.clone() });
            }
        }
        Ok(())
    }

    async fn check_unique(&self, write: &Write, wanted: &Content) -> Result<(), CommitError> {
        let Some(schema) = self.schemas.by_name(&write.resource_type) else {
            return Ok(());
        };
        let unique: Vec<_> = wanted.index.iter().filter(|entry| entry.unique).collect();
        if unique.is_empty() {
            return Ok(());
        }
        let others = match (
            unique.as_slice(),
            wanted.document.get("userName").and_then(Value::as_str),
        ) {
            ([only], Some(user_name)) if only.path == "userName" => {
                let kept = self
                    .accounts
                    .find_by_user_name(&user_name.to_lowercase())
                    .await?;
                self.overlay(&write.resource_type, kept)
            }
            _ => self.list(&write.resource_type).await?,
        };
        for other in others.into_iter().filter(|other| other.id != write.id) {
            let index = content(schema, ValidResource::trusted(other.document)).index;
            if let Some(taken) = unique.iter().find(|entry| index.contains(entry)) {
                return Err(CommitError::ValueTaken {
                    path: taken.path.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Adds those who are not there yet.
fn join(members: &mut Vec<String>, added: &[String]) {
    let mut there: HashSet<String> = members.iter().cloned().collect();
    members.extend(
        added
            .iter()
            .filter(|id| there.insert((*id).clone()))
            .cloned(),
    );
}

fn committed(record: &Record, changed: bool) -> Committed {
    Committed {
        version: record.version,
        created: record.created,
        last_modified: record.last_modified,
        changed,
    }
}
