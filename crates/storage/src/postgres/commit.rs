//! What one change set does inside a transaction: checks, the resource, its members. The rows of indexes are in `commit/values.rs`, creates in `create.rs`, the
//! transaction and the change log in `together.rs`.
//!
//! Locks are taken in this order: the resource that is written, its members or groups in the order of their keys, values in their order, and last, and
//! shortly, the tenant's counter. Where two commits block each other all the same, PostgreSQL ends one, and it is tried again.

mod record;
pub(super) mod values;

use std::collections::{HashMap, HashSet};

use deadpool_postgres::Transaction;
use directory::change_set::{Change, ChangeSet, Committed, Content, Effect, Write};
use directory::deletion_guard::Removals;
use directory::history::Kind;
use directory::store::{CommitError, Fault};
use directory::tenant::TenantId;
use scim_protocol::patch::member::MemberDelta;
use serde_json::{Map, Value};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use self::record::Group;
use self::values::Added;
use super::connections::fault;
use super::statements as sql;
use crate::rows::{
    IndexRow, KIND_DELETE, MembersChanged, Told, alone, decode_entries, encode_entries, from_json,
    index_rows, micros, storable, version,
};
use crate::written::{Head, changed, check, committed};

/// Why an attempt failed.
pub(super) enum Failure {
    /// For good.
    Refused(CommitError),
    /// By PostgreSQL; perhaps not the next time.
    Database(tokio_postgres::Error),
}

impl Failure {
    /// The same as an error of the port.
    pub(super) fn into_error(self) -> CommitError {
        match self {
            Self::Refused(error) => error,
            Self::Database(error) => fault(error).into(),
        }
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        Self::Refused(error)
    }
}

impl From<Fault> for Failure {
    fn from(error: Fault) -> Self {
        Self::Refused(error.into())
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

/// Rows of the change log of one change set, in order, by column.
#[derive(Default)]
pub(super) struct Log {
    pub(super) types: Vec<String>,
    pub(super) ids: Vec<String>,
    pub(super) versions: Vec<i64>,
    pub(super) kinds: Vec<i64>,
    pub(super) attributes: Vec<String>,
}

pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

pub(super) struct Commit<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    pub(super) tenant: i64,
    pub(super) change_set: &'a ChangeSet,
    pub(super) at: i64,
    pub(super) log: Log,
    /// What was taken away so far.
    pub(super) removals: Removals,
}

impl<'a> Commit<'a> {
    pub(super) fn new(
        transaction: &'a Transaction<'a>,
        tenant: TenantId,
        change_set: &'a ChangeSet,
    ) -> Self {
        let at = micros(change_set.at);
        Self {
            transaction,
            tenant: tenant.0,
            change_set,
            at,
            log: Log::default(),
            removals: Removals::default(),
        }
    }
}

impl Commit<'_> {
    /// What the updates of one set give up is free before any of them takes anything, so that two resources may swap their names.
    pub(super) async fn give_up(&self) -> Result<(), Failure> {
        let mut updates: Vec<(&Write, &Content)> = Vec::new();
        for write in &self.change_set.writes {
            if let Change::Update {
                content: Some(content),
                ..
            } = &write.change
            {
                updates.push((write, content));
            }
        }
        for (write, content) in updates.iter().filter(|_| updates.len() > 1) {
            // One that the same set makes holds nothing yet, and one that is not there is refused when its turn comes.
            let head = match self.head(sql::LOCK_HEAD_TO_UPDATE, write).await {
                Err(Failure::Refused(CommitError::NotFound { .. })) => continue,
                head => head?,
            };
            let statement = self.transaction.prepare_cached(sql::READ_BODY).await?;
            let old = self
                .transaction
                .query_one(&statement, &[&self.tenant, &head.resource])
                .await?;
            let (old, new) = (
                decode_entries(old.try_get(1)?)?,
                index_rows(&write.resource_type, &content.index),
            );
            let alone = alone(self.change_set, &write.resource_type);
            let is_given_up = |row: &&IndexRow| {
                (row.unique || alone == Some(row.attribute)) && !new.contains(row)
            };
            let given_up: Vec<&IndexRow> = old.iter().filter(is_given_up).collect();
            self.remove_rows(head.resource, &given_up).await?;
        }
        Ok(())
    }

    pub(super) async fn write(&mut self, write: &Write) -> Result<Committed, Failure> {
        match &write.change {
            Change::Create {
                content,
                members,
                former,
            } => self.create(write, content, members, *former).await,
            Change::Update {
                precondition,
                content,
                members,
                effect,
            } => {
                let head = self.head(sql::LOCK_HEAD_TO_UPDATE, write).await?;
                check(*precondition, &head)?;
                self.update(write, &head, content.as_ref(), members, effect)
                    .await
            }
            Change::Delete { precondition } => {
                let head = self.head(sql::LOCK_HEAD_TO_DELETE, write).await?;
                check(*precondition, &head)?;
                self.delete(write, &head).await
            }
        }
    }

    /// What became of a write that was committed before: what the log says, and not what others have made of it since.
    pub(super) async fn again(&self, write: &Write, before: &[&Row]) -> Result<Committed, Failure> {
        let head = match self.head(sql::READ_HEAD, write).await {
            Ok(head) => Some(head),
            Err(Failure::Refused(CommitError::NotFound { .. })) => None,
            Err(failure) => return Err(failure),
        };
        let created = head.as_ref().map_or(self.at, |head| head.created);
        for row in before.iter().rev() {
            if row.try_get::<_, &str>(1)? == write.resource_type
                && row.try_get::<_, &str>(2)? == write.id
            {
                return Ok(committed(
                    version(row.try_get(3)?),
                    created,
                    row.try_get(4)?,
                    true,
                )?);
            }
        }
        let (version_now, modified) =
            head.map_or((0, self.at), |head| (head.version, head.modified));
        Ok(committed(version(version_now), created, modified, false)?)
    }

    async fn update(
        &mut self,
        write: &Write,
        head: &Head,
        content: Option<&Content>,
        members: &MemberDelta,
        effect: &Effect,
    ) -> Result<Committed, Failure> {
        let before = match content {
            Some(content) => self.update_body(write, head, content).await?,
            None => None,
        };
        let members_changed = self.update_members(write, head, members).await?;
        if before.is_none() && !members_changed.is_any() {
            return Ok(committed(
                version(head.version),
                head.created,
                head.modified,
                false,
            )?);
        }
        if before.is_none() {
            self.execute(
                sql::UPDATE_VERSIONS,
                &[&self.tenant, &[head.resource].as_slice(), &self.at],
            )
            .await?;
        }
        let kind = if before.is_some() {
            Kind::Update
        } else {
            Kind::Members
        };
        self.record(changed(write, head, kind), before.as_deref())
            .await?;
        self.log(
            &write.resource_type,
            &write.id,
            head.version + 1,
            Told::update(effect, before.is_some(), members_changed),
        );
        if let (Some(content), Some(_)) = (content, &before) {
            self.await_manager(&write.resource_type, head.resource, content)
                .await?;
            self.link_awaiting(head.resource, &write.id, &content.document)
                .await?;
        }
        Ok(committed(
            version(head.version + 1),
            head.created,
            self.at,
            true,
        )?)
    }

    /// The document as it was, where anything changed.
    async fn update_body(
        &mut self,
        write: &Write,
        head: &Head,
        content: &Content,
    ) -> Result<Option<String>, Failure> {
        let statement = self.transaction.prepare_cached(sql::READ_BODY).await?;
        let old = self
            .transaction
            .query_one(&statement, &[&self.tenant, &head.resource])
            .await?;
        let (old_display, old_entries, old_document): (&str, &[u8], &str) =
            (old.try_get(0)?, old.try_get(1)?, old.try_get(2)?);
        let rows = index_rows(&write.resource_type, &content.index);
        let document = content.document.text();
        // The order of members means nothing, so it is not compared where the texts differ.
        let is_same = old_document == document
            || from_json::<Map<String, Value>>(old_document)? == *content.document;
        let (display, entries) = (storable(&content.display), encode_entries(&rows));
        if is_same && old_display == display && old_entries == entries {
            return Ok(None);
        }
        self.count_disabled(&write.resource_type, old_document, &content.document)?;
        if old_entries != entries {
            let old_rows = decode_entries(old_entries)?;
            // Sets, as a resource may have thousands of values.
            let (old_set, new_set): (HashSet<&IndexRow>, HashSet<&IndexRow>) =
                (old_rows.iter().collect(), rows.iter().collect());
            self.remove_rows(
                head.resource,
                &old_rows
                    .iter()
                    .filter(|row| !new_set.contains(row))
                    .collect::<Vec<_>>(),
            )
            .await?;
            self.add_rows(Added {
                write,
                content,
                resource: head.resource,
                rows: rows.iter().filter(|row| !old_set.contains(row)).collect(),
            })
            .await?;
        }
        let values: Values<'_> = &[
            &self.tenant,
            &head.resource,
            &head.version,
            &self.at,
            &display,
            &entries,
            &document,
        ];
        match self.execute(sql::UPDATE_BODY, values).await? {
            1 => Ok(Some(old_document.to_owned())),
            _ => Err(CommitError::VersionChanged {
                current: version(head.version),
            }
            .into()),
        }
    }

    async fn update_members(
        &mut self,
        write: &Write,
        head: &Head,
        delta: &MemberDelta,
    ) -> Result<MembersChanged, Failure> {
        if delta.is_empty() {
            return Ok(MembersChanged::default());
        }
        let (group, next, keep, id) = (
            head.resource,
            head.version + 1,
            self.keeps_history(),
            storable(&write.id),
        );
        self.wait_no_more(group, delta).await?;
        let added = self.members_to_add(group, &delta.added).await?;
        let (mut removed, mut joined) = (0, 0);
        if delta.replace {
            removed += self
                .count_of(
                    sql::REMOVE_OTHER_MEMBERS,
                    &[&self.tenant, &group, &added, &id, &next, &keep],
                )
                .await?;
        }
        if !delta.removed.is_empty() {
            let ids = self.ids_of(&delta.removed).await?;
            removed += self
                .count_of(
                    sql::REMOVE_MEMBERS,
                    &[&self.tenant, &group, &ids, &id, &next, &keep],
                )
                .await?;
        }
        if !added.is_empty() {
            joined += self
                .count_of(
                    sql::ADD_MEMBERS,
                    &[&self.tenant, &group, &added, &id, &next, &keep],
                )
                .await?;
        }
        self.removals.memberships += removed;
        self.removals.memberships_added += joined;
        Ok(MembersChanged {
            joined: joined > 0,
            left: removed > 0,
        })
    }

    /// The keys of these resources as far as they are there; nobody can delete them from now on.
    pub(super) async fn lock_members(
        &self,
        ids: &[String],
    ) -> Result<HashMap<String, i64>, Failure> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let texts: Vec<_> = ids.iter().map(|id| storable(id)).collect();
        let rows = self
            .query(sql::LOCK_MEMBERS, &[&self.tenant, &texts])
            .await?;
        let read = |row: &Row| Ok((row.try_get::<_, String>(0)?, row.try_get::<_, i64>(1)?));
        Ok(rows
            .iter()
            .map(read)
            .collect::<Result<_, tokio_postgres::Error>>()?)
    }

    /// The groups it was in lose it as a member, so they change too.
    async fn delete(&mut self, write: &Write, head: &Head) -> Result<Committed, Failure> {
        let statement = self.transaction.prepare_cached(sql::READ_BODY).await?;
        let body = self
            .transaction
            .query_one(&statement, &[&self.tenant, &head.resource])
            .await?;
        let rows = decode_entries(body.try_get(1)?)?;
        self.remove_rows(head.resource, &rows.iter().collect::<Vec<_>>())
            .await?;
        let ended = changed(write, head, Kind::Delete);
        self.record(ended, Some(body.try_get(2)?)).await?;
        self.keep_tombstone(ended, body.try_get(0)?, body.try_get(2)?)
            .await?;
        self.wait_for_nothing(head.resource).await?;
        let locked = self
            .query(sql::LOCK_GROUPS, &[&self.tenant, &head.resource])
            .await?;
        let (none, id, keep): (&[i64], _, _) = (&[], storable(&write.id), self.keeps_history());
        let values: Values<'_> = &[
            &self.tenant,
            &head.resource,
            &none,
            &id,
            &ended.version,
            &keep,
        ];
        self.removals.memberships += self.count_of(sql::REMOVE_OTHER_MEMBERS, values).await?;
        self.removals.deletes += u64::from(write.resource_type == "User");
        self.query(sql::LEAVE_GROUPS, &[&self.tenant, &head.resource])
            .await?;
        self.execute(sql::DELETE_RESOURCE, &[&self.tenant, &head.resource])
            .await?;
        self.log(&write.resource_type, &write.id, 0, Told::plain(KIND_DELETE));
        self.change_groups(&locked, &write.id).await?;
        Ok(committed(0, head.created, self.at, true)?)
    }

    /// Groups (locked, in the order of their keys) that lost a member because the member ended.
    async fn change_groups(&mut self, locked: &[Row], member_id: &str) -> Result<(), Failure> {
        if locked.is_empty() {
            return Ok(());
        }
        let keys = locked
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<Vec<i64>, _>>()?;
        let rows = self
            .query(sql::UPDATE_VERSIONS, &[&self.tenant, &keys, &self.at])
            .await?;
        let read = |row: &Row| {
            Ok((
                row.try_get(0)?,
                (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?),
            ))
        };
        let mut changed = rows
            .iter()
            .map(read)
            .collect::<Result<HashMap<i64, (i64, String, String)>, tokio_postgres::Error>>()?;
        let mut groups = Vec::with_capacity(locked.len());
        for row in locked {
            if let Some((version, resource_type, id)) = changed.remove(&row.try_get(0)?) {
                self.log(&resource_type, &id, version, Told::member_gone());
                groups.push(Group {
                    resource_type,
                    id,
                    version,
                    since: row.try_get(1)?,
                    created: row.try_get(2)?,
                });
            }
        }
        self.record_groups(&groups, member_id).await
    }

    pub(super) fn log(&mut self, resource_type: &str, id: &str, version: i64, told: Told) {
        self.log.types.push(resource_type.to_owned());
        self.log.ids.push(storable(id).into_owned());
        self.log.versions.push(version);
        self.log.kinds.push(told.kind);
        self.log.attributes.push(told.attributes);
    }

    async fn head(&self, statement: &str, write: &Write) -> Result<Head, Failure> {
        for row in self
            .query(statement, &[&self.tenant, &storable(&write.id)])
            .await?
        {
            if row.try_get::<_, &str>(1)? == write.resource_type {
                let (resource, version, created, modified) = (
                    row.try_get(0)?,
                    row.try_get(2)?,
                    row.try_get(3)?,
                    row.try_get(4)?,
                );
                return Ok(Head {
                    resource,
                    version,
                    created,
                    modified,
                });
            }
        }
        Err(CommitError::NotFound {
            resource_type: write.resource_type.clone(),
            id: write.id.clone(),
        }
        .into())
    }

    pub(super) async fn query(
        &self,
        statement: &str,
        values: Values<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = self.transaction.prepare_cached(statement).await?;
        self.transaction.query(&statement, values).await
    }

    pub(super) async fn execute(
        &self,
        statement: &str,
        values: Values<'_>,
    ) -> Result<u64, tokio_postgres::Error> {
        let statement = self.transaction.prepare_cached(statement).await?;
        self.transaction.execute(&statement, values).await
    }

    /// The one number that a statement answers with.
    pub(super) async fn count_of(
        &self,
        statement: &str,
        values: Values<'_>,
    ) -> Result<u64, tokio_postgres::Error> {
        let statement = self.transaction.prepare_cached(statement).await?;
        let count: i64 = self
            .transaction
            .query_one(&statement, values)
            .await?
            .try_get(0)?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}
