//! Applies a change set in one transaction: checks, resource, index rows, memberships, change log. All of it, or an error and nothing. Retries inside.
//!
//! Locks are taken in this order: the resource that is written, its members or groups in the order of their keys, values in their order, and last, and
//! shortly, the tenant's counter. Where two commits block each other all the same, PostgreSQL ends one, and it is tried again.

pub(super) mod record;

use std::collections::{HashMap, HashSet};

use deadpool_postgres::{Object, Transaction};
use directory::change_set::{
    Change, ChangeSet, Committed, Content, Effect, Former, Precondition, Write,
};
use directory::deletion_guard::Removals;
use directory::history::Kind;
use directory::store::{CommitError, Fault};
use directory::tenant::TenantId;
use scim_protocol::patch::member::MemberDelta;
use serde_json::{Map, Value};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use self::record::{Changed, Group};
use super::attempts::Attempts;
use super::connections::{Connections, begin, fault};
use super::session::PostgresSession;
use super::statements as sql;
use super::statements::SHARE_TYPES;
use super::statements_of_safety::CREATE_AGAIN;
use crate::guard::guard;
use crate::rows::{
    IndexRow, KIND_CREATE, KIND_DELETE, MembersChanged, Told, alone, attribute_key, decode_entries,
    encode_entries, from_json, index_rows, micros, storable, stored_key, timestamp, version,
};
use crate::schemas::revision;

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

/// Commits a change set; one `Committed` per write. What was committed under the same change id before is not done again, so that a commit whose outcome
/// got lost with its connection can be tried again too.
pub(crate) async fn commit(
    connections: &Connections,
    tenant: TenantId,
    change_set: &ChangeSet,
) -> Result<Vec<Committed>, CommitError> {
    let mut attempts = Attempts::new(connections);
    loop {
        let mut connection = attempts.connection().await?;
        match commit_once(&mut connection, tenant, change_set).await {
            Ok(committed) => return Ok(committed),
            Err(failure) => match failure.into_error() {
                CommitError::Fault(fault) => attempts.again(fault)?,
                refused => return Err(refused),
            },
        }
    }
}

async fn commit_once(
    connection: &mut Object,
    tenant: TenantId,
    change_set: &ChangeSet,
) -> Result<Vec<Committed>, Failure> {
    let transaction = begin(connection).await?;
    let committed = Commit::new(&transaction, tenant, change_set)
        .apply()
        .await?;
    transaction.commit().await?;
    Ok(committed)
}

/// Does what a commit does, and leaves it to the caller to take it back. It is in no log: for the tenant's counter everybody waits.
pub(super) async fn rehearse(
    transaction: &Transaction<'_>,
    tenant: TenantId,
    change_set: &ChangeSet,
) -> Result<Vec<Committed>, Failure> {
    Commit {
        is_logged: false,
        ..Commit::new(transaction, tenant, change_set)
    }
    .apply()
    .await
}

/// What a resource's row says of it, apart from what it holds.
pub(super) struct Head {
    pub(super) resource: i64,
    pub(super) version: i64,
    pub(super) created: i64,
    pub(super) modified: i64,
}

/// Rows of the change log, in order, by column.
#[derive(Default)]
struct Log {
    types: Vec<String>,
    ids: Vec<String>,
    versions: Vec<i64>,
    kinds: Vec<i64>,
    attributes: Vec<String>,
}

pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

pub(super) struct Commit<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    pub(super) tenant: i64,
    pub(super) change_set: &'a ChangeSet,
    pub(super) at: i64,
    is_logged: bool,
    log: Log,
    /// What was taken away so far.
    pub(super) removals: Removals,
}

impl<'a> Commit<'a> {
    fn new(transaction: &'a Transaction<'a>, tenant: TenantId, change_set: &'a ChangeSet) -> Self {
        let at = micros(change_set.at);
        Self {
            transaction,
            tenant: tenant.0,
            change_set,
            at,
            is_logged: true,
            log: Log::default(),
            removals: Removals::default(),
        }
    }
}

impl Commit<'_> {
    async fn apply(&mut self) -> Result<Vec<Committed>, Failure> {
        let change_id = self.change_set.change_id.as_bytes().as_slice();
        // Sent together: the lock costs no round trip.
        let (of_lock, of_find): (Values<'_>, Values<'_>) =
            (&[&self.tenant], &[&self.tenant, &change_id]);
        let (locked, before) = tokio::join!(
            self.query(SHARE_TYPES, of_lock),
            self.query(sql::FIND_CHANGE, of_find)
        );
        let (_, before) = (locked?, before?);
        let mut committed = Vec::with_capacity(self.change_set.writes.len());
        if !before.is_empty() {
            for write in &self.change_set.writes {
                committed.push(self.again(write, &before).await?);
            }
            return Ok(committed);
        }
        self.give_up().await?;
        for write in &self.change_set.writes {
            committed.push(self.write(write).await?);
        }
        self.write_log(change_id).await?;
        // The tenant's counter is locked now, so nobody else counts at the same time.
        let mut session = PostgresSession::on(self.transaction, false);
        let tenant = TenantId(self.tenant);
        if let Some(excess) = guard(&mut session, tenant, self.change_set, &self.removals).await? {
            return Err(CommitError::Held(excess).into());
        }
        // A rehearsal must not lock the tenant's row, and nothing that it shows depends on credentials.
        if self.is_logged {
            self.end_credentials().await?;
        }
        Ok(committed)
    }

    /// What the updates of one set give up is free before any of them takes anything, so that two resources may swap their names.
    async fn give_up(&self) -> Result<(), Failure> {
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

    async fn write(&mut self, write: &Write) -> Result<Committed, Failure> {
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
    async fn again(&self, write: &Write, before: &[Row]) -> Result<Committed, Failure> {
        let head = match self.head(sql::READ_HEAD, write).await {
            Ok(head) => Some(head),
            Err(Failure::Refused(CommitError::NotFound { .. })) => None,
            Err(failure) => return Err(failure),
        };
        let created = head.as_ref().map_or(self.at, |head| head.created);
        for row in before.iter().rev() {
            if row.try_get::<_, &str>(0)? == write.resource_type
                && row.try_get::<_, &str>(1)? == write.id
            {
                return committed(version(row.try_get(2)?), created, row.try_get(3)?, true);
            }
        }
        let (version_now, modified) =
            head.map_or((0, self.at), |head| (head.version, head.modified));
        committed(version(version_now), created, modified, false)
    }

    async fn create(
        &mut self,
        write: &Write,
        content: &Content,
        members: &[String],
        former: Option<Former>,
    ) -> Result<Committed, Failure> {
        let rows = index_rows(&write.resource_type, &content.index);
        let document = content.document.text();
        let (id, display, entries) = (
            storable(&write.id),
            storable(&content.display),
            encode_entries(&rows),
        );
        let (number, created, statement) = match former {
            Some(former) => (
                self.come_back(write, former).await?,
                micros(former.created),
                CREATE_AGAIN,
            ),
            None => (1, self.at, sql::CREATE_RESOURCE),
        };
        let values: Values<'_> = match former {
            Some(_) => &[
                &self.tenant,
                &write.resource_type,
                &id,
                &number,
                &created,
                &self.at,
                &display,
                &entries,
                &document,
            ],
            None => &[
                &self.tenant,
                &write.resource_type,
                &id,
                &self.at,
                &display,
                &entries,
                &document,
            ],
        };
        let statement = self.transaction.prepare_cached(statement).await?;
        let resource: i64 = self
            .transaction
            .query_one(&statement, values)
            .await?
            .try_get(0)?;
        self.add_rows(write, content, resource, &rows.iter().collect::<Vec<_>>())
            .await?;
        let added = self.members_to_add(resource, members).await?;
        if !added.is_empty() {
            let keep = former.is_some() && self.keeps_history();
            self.count_of(
                sql::ADD_MEMBERS,
                &[&self.tenant, &resource, &added, &id, &number, &keep],
            )
            .await?;
        }
        self.log(
            &write.resource_type,
            &write.id,
            number,
            Told::plain(KIND_CREATE),
        );
        self.await_manager(&write.resource_type, resource, content)
            .await?;
        self.link_awaiting(resource, &write.id, &content.document)
            .await?;
        committed(version(number), created, self.at, true)
    }

    /// A deleted resource comes back under its id: its version.
    async fn come_back(&self, write: &Write, former: Former) -> Result<i64, Failure> {
        let (last, created) = (crate::rows::stored(former.version), micros(former.created));
        let since = self
            .take_tombstone(&write.resource_type, &write.id, last)
            .await?;
        let Write {
            resource_type, id, ..
        } = write;
        self.record(
            Changed {
                resource_type,
                id,
                version: last + 1,
                kind: Kind::Restore,
                since,
                created,
            },
            None,
        )
        .await?;
        Ok(last + 1)
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
            return committed(version(head.version), head.created, head.modified, false);
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
        committed(version(head.version + 1), head.created, self.at, true)
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
            self.add_rows(
                write,
                content,
                head.resource,
                &rows
                    .iter()
                    .filter(|row| !old_set.contains(row))
                    .collect::<Vec<_>>(),
            )
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
        committed(0, head.created, self.at, true)
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

    /// Refuses a value that another resource has, where the policy wants it alone.
    async fn check_alone(
        &self,
        write: &Write,
        resource: i64,
        rows: &[&IndexRow],
    ) -> Result<(), Failure> {
        let Some(path) = self.change_set.policy.alone(&write.resource_type) else {
            return Ok(());
        };
        for row in rows
            .iter()
            .filter(|row| !row.unique && row.attribute == attribute_key(&write.resource_type, path))
        {
            let value = stored_key(&row.value);
            self.query(sql::LOCK_VALUE, &[&self.tenant, &row.attribute, &&*value])
                .await?;
            // This sees what was committed before the lock was given.
            if !self
                .query(
                    sql::HAS_ANOTHER,
                    &[&self.tenant, &row.attribute, &&*value, &resource],
                )
                .await?
                .is_empty()
            {
                return Err(CommitError::ValueTaken {
                    path: path.to_owned(),
                }
                .into());
            }
        }
        Ok(())
    }

    async fn add_rows(
        &self,
        write: &Write,
        content: &Content,
        resource: i64,
        rows: &[&IndexRow],
    ) -> Result<(), Failure> {
        let unique = columns(rows, true);
        if !unique.0.is_empty() {
            let taken = self
                .query(
                    sql::TAKE_VALUES,
                    &[&self.tenant, &unique.0, &unique.1, &resource],
                )
                .await?;
            let read = |row: &Row| Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, Vec<u8>>(1)?));
            let taken = taken
                .iter()
                .map(read)
                .collect::<Result<HashSet<_>, tokio_postgres::Error>>()?;
            let refused = unique
                .0
                .iter()
                .zip(&unique.1)
                .find(|(attribute, value)| !taken.contains(&(**attribute, (*value).clone())));
            if let Some((attribute, _)) = refused {
                let is_it = |path: &&str| attribute_key(&write.resource_type, path) == *attribute;
                let path = content
                    .index
                    .iter()
                    .map(|entry| entry.path.as_str())
                    .find(is_it)
                    .unwrap_or_default();
                return Err(CommitError::ValueTaken {
                    path: path.to_owned(),
                }
                .into());
            }
        }
        let others = columns(rows, false);
        if !others.0.is_empty() {
            self.check_alone(write, resource, rows).await?;
            self.execute(
                sql::ADD_VALUES,
                &[&self.tenant, &others.0, &others.1, &resource],
            )
            .await?;
        }
        Ok(())
    }

    pub(super) async fn remove_rows(
        &self,
        resource: i64,
        rows: &[&IndexRow],
    ) -> Result<(), Failure> {
        for (statement, unique) in [(sql::RELEASE_VALUES, true), (sql::REMOVE_VALUES, false)] {
            let (attributes, values) = columns(rows, unique);
            if !attributes.is_empty() {
                self.execute(statement, &[&self.tenant, &attributes, &values, &resource])
                    .await?;
            }
        }
        Ok(())
    }

    pub(super) fn log(&mut self, resource_type: &str, id: &str, version: i64, told: Told) {
        self.log.types.push(resource_type.to_owned());
        self.log.ids.push(storable(id).into_owned());
        self.log.versions.push(version);
        self.log.kinds.push(told.kind);
        self.log.attributes.push(told.attributes);
    }

    async fn write_log(&mut self, change_id: &[u8]) -> Result<(), Failure> {
        let Log {
            types,
            ids,
            versions,
            kinds,
            attributes,
        } = std::mem::take(&mut self.log);
        if types.is_empty() {
            return Ok(());
        }
        // Every change is logged, so here is where one that was decided with the types of yesterday is refused.
        let decided_with = i64::try_from(self.change_set.types_revision).unwrap_or(i64::MAX);
        if !self.is_logged {
            let is_today = self.types_revision().await? == decided_with;
            return if is_today {
                Ok(())
            } else {
                Err(CommitError::TypesChanged.into())
            };
        }
        let credential = storable(&self.change_set.policy.credential_id);
        let values: Values<'_> = &[
            &self.tenant,
            &change_id,
            &types,
            &ids,
            &versions,
            &self.at,
            &kinds,
            &attributes,
            &decided_with,
            &credential,
        ];
        let written = self.execute(sql::LOG_CHANGES, values).await?;
        if usize::try_from(written) == Ok(types.len()) {
            return Ok(());
        }
        self.types_revision().await?;
        Err(CommitError::TypesChanged.into())
    }

    /// The revision of the tenant's types.
    async fn types_revision(&self) -> Result<i64, Failure> {
        let mut session = PostgresSession::on(self.transaction, false);
        Ok(revision(&mut session, TenantId(self.tenant)).await?)
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

/// The attributes and values of the rows of one kind, as columns.
pub(super) fn columns(rows: &[&IndexRow], unique: bool) -> (Vec<i64>, Vec<Vec<u8>>) {
    rows.iter()
        .filter(|row| row.unique == unique)
        .map(|row| (row.attribute, stored_key(&row.value).into_owned()))
        .unzip()
}

/// A write's change of what was there before.
fn changed<'a>(write: &'a Write, head: &Head, kind: Kind) -> Changed<'a> {
    let Write {
        resource_type, id, ..
    } = write;
    Changed {
        resource_type,
        id,
        version: head.version + 1,
        kind,
        since: head.modified,
        created: head.created,
    }
}

fn check(precondition: Precondition, head: &Head) -> Result<(), CommitError> {
    match precondition {
        Precondition::VersionIs(wanted) if wanted != version(head.version) => {
            Err(CommitError::VersionChanged {
                current: version(head.version),
            })
        }
        Precondition::VersionIs(_) | Precondition::Exists => Ok(()),
    }
}

fn committed(
    version: u64,
    created: i64,
    modified: i64,
    changed: bool,
) -> Result<Committed, Failure> {
    Ok(Committed {
        version,
        created: timestamp(created)?,
        last_modified: timestamp(modified)?,
        changed,
    })
}
