//! References that wait, in PostgreSQL: kept by commits, and linked by the commit in which what they wait for arrives.

use directory::change_set::Content;
use directory::history::Kind;
use directory::pending::{MANAGER, MEMBERS, Names, fold, manager, manager_path, set_manager};
use directory::store::{CommitError, Fault};
use scim_protocol::patch::member::MemberDelta;
use serde_json::{Map, Value};

use super::commit::values::columns;
use super::commit::{Commit, Failure};
use super::statements as basic;
use super::statements_of_safety as sql;
use crate::rows::{
    Told, attribute_key, decode_entries, encode_entries, from_json, json_text, relink_entries,
    short_name, storable, stored_key, usable_name_keys,
};
use crate::written::Changed;

/// A reference that has been waiting for a resource.
struct Awaiting {
    resource: i64,
    path: String,
    value: String,
    id: String,
    resource_type: String,
    created: i64,
    since: i64,
}

impl Commit<'_> {
    fn lets_wait(&self) -> bool {
        self.change_set.policy.pending_references
    }

    /// A resource by its `userName` or `externalId`.
    async fn find_named(&self, value: &str) -> Result<Option<i64>, Failure> {
        let Some((user_name, external_id)) = usable_name_keys(value) else {
            return Ok(None);
        };
        let [first, second, third] = [
            ("User", "userName"),
            ("User", "externalId"),
            ("Group", "externalId"),
        ]
        .map(|(name, path)| attribute_key(name, path));
        let (user_name, external_id) = (
            stored_key(&user_name).into_owned(),
            stored_key(&external_id).into_owned(),
        );
        let rows = self
            .query(
                sql::FIND_BY_NAMES,
                &[
                    &self.tenant,
                    &first,
                    &second,
                    &third,
                    &user_name,
                    &external_id,
                ],
            )
            .await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
    }

    async fn id_of(&self, resource: i64) -> Result<String, Failure> {
        let rows = self.query(sql::READ_ID, &[&self.tenant, &resource]).await?;
        let gone = || Failure::from(Fault::new("a resource that was found by its name is gone"));
        Ok(rows.first().ok_or_else(gone)?.try_get(0)?)
    }

    /// The keys of members to add; those that are not there wait, where they may.
    pub(super) async fn members_to_add(
        &self,
        group: i64,
        ids: &[String],
    ) -> Result<Vec<i64>, Failure> {
        let known = self.lock_members(ids).await?;
        let (mut found, mut waiting) = (Vec::with_capacity(ids.len()), Vec::new());
        for id in ids {
            let key = match known.get(id) {
                Some(key) => Some(*key),
                None if self.lets_wait() => self.lock_named(id).await?,
                None => None,
            };
            match key {
                Some(key) => found.push(key),
                None if self.lets_wait() && short_name(id) => waiting.push(id.as_str()),
                None => return Err(CommitError::ReferenceMissing { id: id.clone() }.into()),
            }
        }
        self.wait(group, MEMBERS, &waiting).await?;
        Ok(found)
    }

    /// The same as `find_named`, and it cannot be deleted from now on.
    async fn lock_named(&self, value: &str) -> Result<Option<i64>, Failure> {
        let Some(key) = self.find_named(value).await? else {
            return Ok(None);
        };
        let id = self.id_of(key).await?;
        Ok(self
            .lock_members(std::slice::from_ref(&id))
            .await?
            .get(&id)
            .copied())
    }

    /// Ids of members to remove, who may be named otherwise where references may wait.
    pub(super) async fn ids_of(&self, names: &[String]) -> Result<Vec<String>, Failure> {
        let mut ids: Vec<String> = names
            .iter()
            .map(|name| storable(name).into_owned())
            .collect();
        if self.lets_wait() {
            let known = self.lock_members(names).await?;
            for name in names.iter().filter(|name| !known.contains_key(*name)) {
                if let Some(key) = self.find_named(name).await? {
                    ids.push(self.id_of(key).await?);
                }
            }
        }
        Ok(ids)
    }

    async fn wait(&self, resource: i64, path: &str, values: &[&str]) -> Result<(), Failure> {
        if values.is_empty() {
            return Ok(());
        }
        let folded: Vec<String> = values.iter().map(|value| fold(value)).collect();
        self.execute(
            sql::AWAIT,
            &[&self.tenant, &resource, &path, &values, &folded, &self.at],
        )
        .await?;
        Ok(())
    }

    /// Members that are no longer wanted do not wait, whatever the switch says now.
    pub(super) async fn wait_no_more(
        &self,
        group: i64,
        delta: &MemberDelta,
    ) -> Result<(), Failure> {
        if delta.replace {
            self.execute(sql::AWAIT_NOTHING, &[&self.tenant, &group, &MEMBERS])
                .await?;
        }
        if !delta.removed.is_empty() {
            let removed: Vec<_> = delta.removed.iter().map(|id| storable(id)).collect();
            self.execute(
                sql::AWAIT_NO_MORE,
                &[&self.tenant, &group, &MEMBERS, &removed],
            )
            .await?;
        }
        Ok(())
    }

    /// The resource ends.
    pub(super) async fn wait_for_nothing(&self, resource: i64) -> Result<(), Failure> {
        self.execute(sql::AWAIT_NOTHING_AT_ALL, &[&self.tenant, &resource])
            .await?;
        Ok(())
    }

    /// The manager that a written document names: linked where known by another name, waited for where unknown.
    pub(super) async fn await_manager(
        &self,
        resource_type: &str,
        resource: i64,
        content: &Content,
    ) -> Result<(), Failure> {
        if !self.lets_wait() || resource_type != "User" {
            return Ok(());
        }
        self.execute(sql::AWAIT_NOTHING, &[&self.tenant, &resource, &MANAGER])
            .await?;
        let Some(value) = manager(&content.document).filter(|value| short_name(value)) else {
            return Ok(());
        };
        if !self
            .query(basic::READ_HEAD, &[&self.tenant, &value])
            .await?
            .is_empty()
        {
            return Ok(());
        }
        match self.find_named(value).await? {
            Some(found) => {
                let id = self.id_of(found).await?;
                self.link_manager(resource, &id).await.map(drop)
            }
            None => self.wait(resource, MANAGER, &[value]).await,
        }
    }

    /// Links what has been waiting for a resource that is here now.
    pub(super) async fn link_awaiting(
        &mut self,
        key: i64,
        id: &str,
        document: &Map<String, Value>,
    ) -> Result<(), Failure> {
        if !self.lets_wait() {
            return Ok(());
        }
        let names = Names::of(id, document);
        for row in self
            .query(sql::FIND_AWAITED, &[&self.tenant, &names.folded()])
            .await?
        {
            let awaiting = Awaiting {
                resource: row.try_get(0)?,
                path: row.try_get(1)?,
                value: row.try_get(2)?,
                id: row.try_get(3)?,
                resource_type: row.try_get(4)?,
                created: row.try_get(5)?,
                since: row.try_get(6)?,
            };
            if names.are_meant_by(&awaiting.value) {
                self.link(&awaiting, key, id).await?;
            }
        }
        Ok(())
    }

    async fn link(&mut self, awaiting: &Awaiting, key: i64, id: &str) -> Result<(), Failure> {
        let Awaiting {
            resource,
            path,
            value,
            id: of_id,
            resource_type,
            created,
            since,
        } = awaiting;
        self.execute(
            sql::AWAIT_NO_MORE,
            &[&self.tenant, resource, path, &[value].as_slice()],
        )
        .await?;
        let (before, kind) = if path == MANAGER {
            let Some(before) = self.link_manager(*resource, id).await? else {
                return Ok(());
            };
            (Some(before), Kind::Update)
        } else {
            (None, Kind::Members)
        };
        let rows = self
            .query(
                basic::UPDATE_VERSIONS,
                &[&self.tenant, &[*resource].as_slice(), &self.at],
            )
            .await?;
        let Some(version) = rows
            .first()
            .map(|row| row.try_get::<_, i64>(1))
            .transpose()?
        else {
            return Ok(());
        };
        if kind == Kind::Members {
            let keep = self.keeps_history();
            self.removals.memberships_added += self
                .count_of(
                    basic::ADD_MEMBERS,
                    &[
                        &self.tenant,
                        resource,
                        &[key].as_slice(),
                        of_id,
                        &version,
                        &keep,
                    ],
                )
                .await?;
        }
        let changed = Changed {
            resource_type,
            id: of_id,
            version,
            kind,
            since: *since,
            created: *created,
        };
        self.record(changed, before.as_deref()).await?;
        self.log(resource_type, of_id, version, Told::linked(path));
        Ok(())
    }

    /// Names the manager by its id in a document that names it otherwise: the document as it was.
    async fn link_manager(&self, resource: i64, id: &str) -> Result<Option<String>, Failure> {
        let statement = self.transaction.prepare_cached(basic::READ_BODY).await?;
        let body = self
            .transaction
            .query_one(&statement, &[&self.tenant, &resource])
            .await?;
        let before: String = body.try_get(2)?;
        let mut document: Map<String, Value> = from_json(&before)?;
        if !set_manager(&mut document, id) {
            return Ok(None);
        }
        let mut rows = decode_entries(body.try_get(1)?)?;
        let (old, new): (Vec<_>, Vec<_>) =
            relink_entries(&mut rows, attribute_key("User", &manager_path()), id)
                .into_iter()
                .unzip();
        self.remove_rows(resource, &old.iter().collect::<Vec<_>>())
            .await?;
        let (attributes, values) = columns(&new.iter().collect::<Vec<_>>(), false);
        self.execute(
            basic::ADD_VALUES,
            &[
                &self.tenant,
                &attributes,
                &values,
                &vec![resource; attributes.len()],
            ],
        )
        .await?;
        self.execute(
            sql::LINK_BODY,
            &[
                &self.tenant,
                &resource,
                &encode_entries(&rows),
                &json_text(&document)?,
            ],
        )
        .await?;
        Ok(Some(before))
    }
}
