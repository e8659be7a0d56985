//! An `AccountStore` as the store that `directory` works with: one tenant, one writer at a time, searches by looking at every record.

use std::cmp::Ordering;
use std::sync::Arc;

use async_trait::async_trait;
use directory::change_set::{ChangeSet, Committed};
use directory::content::content;
use directory::search::{Condition, SearchPlan};
use directory::store::{
    CommitError, Fault, Include, Member, Membership, MembershipQuery, Related, SearchPage, Store,
    StoredResource,
};
use directory::tenant::TenantId;
use scim_protocol::filter::compare::sort_key;
use scim_protocol::{SchemaSet, TypeSchema, ValidResource};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::account_store::{AccountStore, Record};
use crate::condition::{selects, user_name};
use crate::draft::Draft;
use crate::memberships::{Memberships, members};

/// The store over an application's accounts.
pub struct AccountsAsStore {
    accounts: Arc<dyn AccountStore>,
    schemas: SchemaSet,
    /// The lock under which a change is made. Inside are the last change and its outcome.
    writer: Mutex<Option<(Uuid, Vec<Committed>)>>,
}

impl AccountsAsStore {
    /// Users and groups as the RFC has them.
    pub fn new(accounts: Arc<dyn AccountStore>) -> Self {
        Self {
            accounts,
            schemas: SchemaSet::standard(),
            writer: Mutex::new(None),
        }
    }

    /// The members without what people call them, which takes no reading.
    fn stored(record: Record) -> StoredResource {
        let related = |id: String| Related {
            id,
            resource_type: String::new(),
            display: String::new(),
            direct: true,
        };
        StoredResource {
            resource_type: record.resource_type,
            id: record.id,
            version: record.version,
            created: record.created,
            last_modified: record.last_modified,
            document: record.document.into(),
            members: record.members.into_iter().map(related).collect(),
            groups: Vec::new(),
        }
    }

    /// Everything of a type that the condition may select.
    async fn candidates(
        &self,
        schema: &TypeSchema,
        condition: &Condition,
    ) -> Result<Vec<Record>, Fault> {
        match user_name(condition) {
            _ if *condition == Condition::Nothing => Ok(Vec::new()),
            Some(user_name) if schema.name() == "User" => {
                self.accounts.find_by_user_name(&user_name).await
            }
            _ => self.accounts.list(schema.name()).await,
        }
    }

    async fn matching(&self, plan: &SearchPlan) -> Result<Vec<Found>, Fault> {
        let groups = Memberships::read(&*self.accounts, &self.schemas).await?;
        let needs_members = plan.residual_needs.members;
        let mut found = Vec::new();
        for (schema, condition) in plan.types.iter().zip(&plan.conditions) {
            for record in self.candidates(schema, condition).await? {
                let mut resource = Self::stored(record.clone());
                resource.groups = groups.groups_of(&resource.id);
                let index = content(schema, ValidResource::trusted(record.document.clone())).index;
                if !selects(condition, &resource, &index) {
                    continue;
                }
                if needs_members {
                    resource.members = members(&*self.accounts, &self.schemas, &record).await?;
                }
                let document = resource.clone().into_document();
                if plan
                    .residual
                    .as_ref()
                    .is_some_and(|filter| !filter.matches(schema, &document))
                {
                    continue;
                }
                let sort = plan
                    .sort
                    .as_ref()
                    .and_then(|sort| sort_key(schema, &sort.path, &document));
                found.push(Found {
                    sort,
                    record,
                    groups: resource.groups,
                });
            }
        }
        Ok(found)
    }

    /// All memberships that are looked for.
    async fn memberships(&self, query: &MembershipQuery) -> Result<Vec<Membership>, Fault> {
        let wanted = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        let mut found = Vec::new();
        for (place, record) in self.accounts.list("Group").await?.into_iter().enumerate() {
            if !wanted(&query.group_id, &record.id) {
                continue;
            }
            let display = record
                .document
                .get("displayName")
                .and_then(serde_json::Value::as_str)
                .unwrap_or_default()
                .to_owned();
            let group = Related {
                id: record.id.clone(),
                resource_type: record.resource_type.clone(),
                display,
                direct: true,
            };
            for (member_place, member) in members(&*self.accounts, &self.schemas, &record)
                .await?
                .into_iter()
                .enumerate()
            {
                if wanted(&query.member_id, &member.id)
                    && wanted(&query.member_type, &member.resource_type)
                {
                    found.push(Membership {
                        keys: (key(place), key(member_place)),
                        group: group.clone(),
                        member,
                    });
                }
            }
        }
        Ok(found)
    }

    /// What of a record the answer needs.
    async fn answered(
        &self,
        record: Record,
        groups: Vec<Related>,
        include: Include,
    ) -> Result<StoredResource, Fault> {
        let members = if include.members {
            members(&*self.accounts, &self.schemas, &record).await?
        } else {
            Vec::new()
        };
        let groups = if include.groups { groups } else { Vec::new() };
        Ok(StoredResource {
            members,
            groups,
            ..Self::stored(record)
        })
    }
}

/// The place of an element in a list, as a key.
fn key(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

#[async_trait]
impl directory::store::Memberships for AccountsAsStore {
    async fn members_after(
        &self,
        _: TenantId,
        group_id: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Member>, Fault> {
        let Some(group) = self.accounts.get("Group", group_id).await? else {
            return Ok(Vec::new());
        };
        let all = members(&*self.accounts, &self.schemas, &group)
            .await?
            .into_iter()
            .enumerate();
        let found = all
            .map(|(place, related)| Member {
                key: key(place),
                related,
            })
            .filter(|member| member.key > after);
        Ok(found
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect())
    }

    async fn find_memberships(
        &self,
        _: TenantId,
        query: &MembershipQuery,
    ) -> Result<Vec<Membership>, Fault> {
        let behind = self
            .memberships(query)
            .await?
            .into_iter()
            .filter(|one| query.after.is_none_or(|after| one.keys > after));
        let as_usize = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(behind
            .skip(as_usize(query.offset))
            .take(as_usize(query.limit))
            .collect())
    }

    async fn count_memberships(&self, _: TenantId, query: &MembershipQuery) -> Result<u64, Fault> {
        Ok(u64::try_from(self.memberships(query).await?.len()).unwrap_or(u64::MAX))
    }
}

/// A record that matches.
struct Found {
    sort: Option<Vec<u8>>,
    record: Record,
    groups: Vec<Related>,
}

/// Resources without a value come last in ascending order, first in descending order (RFC 7644 section 3.4.2.3).
fn compare(a: &Found, b: &Found, descending: bool) -> Ordering {
    let ascending = (a.sort.is_none(), &a.sort).cmp(&(b.sort.is_none(), &b.sort));
    if descending {
        ascending.reverse()
    } else {
        ascending
    }
}

#[async_trait]
impl Store for AccountsAsStore {
    async fn commit(
        &self,
        _: TenantId,
        change_set: Arc<ChangeSet>,
    ) -> Result<Vec<Committed>, CommitError> {
        let mut last = self.writer.lock().await;
        if let Some((_, before)) = last.as_ref().filter(|(id, _)| *id == change_set.change_id) {
            return Ok(before.clone());
        }
        let mut draft = Draft::new(&*self.accounts, &self.schemas, change_set.at);
        let mut answers = Vec::new();
        for write in &change_set.writes {
            answers.push(draft.write(write).await?);
        }
        self.accounts.apply(draft.into_changes()).await?;
        *last = Some((change_set.change_id, answers.clone()));
        Ok(answers)
    }

    async fn read(
        &self,
        _: TenantId,
        resource_type: &str,
        id: &str,
        include: Include,
    ) -> Result<Option<StoredResource>, Fault> {
        let Some(record) = self.accounts.get(resource_type, id).await? else {
            return Ok(None);
        };
        let groups = if include.groups {
            Memberships::read(&*self.accounts, &self.schemas)
                .await?
                .groups_of(id)
        } else {
            Vec::new()
        };
        self.answered(record, groups, include).await.map(Some)
    }

    async fn has_more_members_than(
        &self,
        _: TenantId,
        group_id: &str,
        count: u32,
    ) -> Result<bool, Fault> {
        let group = self.accounts.get("Group", group_id).await?;
        Ok(group.is_some_and(|group| {
            u32::try_from(group.members.len()).is_ok_and(|found| found > count)
        }))
    }

    async fn search(&self, _: TenantId, plan: SearchPlan) -> Result<SearchPage, Fault> {
        let mut found = self.matching(&plan).await?;
        let total_results = u64::try_from(found.len()).unwrap_or(u64::MAX);
        if let Some(sort) = &plan.sort {
            // A stable sort: equals stay in order of creation.
            found.sort_by(|a, b| compare(a, b, sort.descending));
        }
        let as_usize = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let mut resources = Vec::new();
        for Found { record, groups, .. } in found
            .into_iter()
            .skip(as_usize(plan.offset))
            .take(as_usize(plan.limit))
        {
            resources.push(self.answered(record, groups, plan.include).await?);
        }
        // Cursors are not offered, so no page ends at a position.
        Ok(SearchPage {
            total_results,
            resources,
            next: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Lock;

    use directory::search::{Page, Sort, plan};
    use jiff::Timestamp;
    use scim_protocol::filter::FilterLimits;
    use scim_protocol::{AttributePath, Filter};
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::account_store::AccountChange;

    /// Records in memory; it counts how often a record was found by name.
    #[derive(Default)]
    struct Kept {
        records: Lock<Vec<Record>>,
        by_name: Lock<u32>,
    }

    #[async_trait]
    impl AccountStore for Kept {
        async fn list(&self, resource_type: &str) -> Result<Vec<Record>, Fault> {
            Ok(self
                .records
                .lock()
                .unwrap()
                .iter()
                .filter(|record| record.resource_type == resource_type)
                .cloned()
                .collect())
        }
        async fn get(&self, resource_type: &str, id: &str) -> Result<Option<Record>, Fault> {
            Ok(self
                .list(resource_type)
                .await?
                .into_iter()
                .find(|record| record.id == id))
        }
        async fn apply(&self, _: Vec<AccountChange>) -> Result<(), Fault> {
            Err(Fault::new("the disk is full"))
        }
        async fn find_by_user_name(&self, user_name: &str) -> Result<Vec<Record>, Fault> {
            *self.by_name.lock().unwrap() += 1;
            let users = self.list("User").await?;
            Ok(users
                .into_iter()
                .filter(|user| {
                    user.document["userName"].as_str().unwrap().to_lowercase() == user_name
                })
                .collect())
        }
    }

    fn record(
        resource_type: &str,
        id: &str,
        second: i64,
        document: Value,
        members: &[&str],
    ) -> Record {
        let Value::Object(document) = document else {
            panic!("not an object")
        };
        let at = Timestamp::from_second(1_700_000_000 + second).unwrap();
        let members = members.iter().map(ToString::to_string).collect();
        Record {
            resource_type: resource_type.into(),
            id: id.into(),
            version: 1,
            created: at,
            last_modified: at,
            document,
            members,
        }
    }

    fn kept() -> Arc<Kept> {
        let records = vec![
            record(
                "User",
                "a",
                0,
                json!({"userName": "Ann", "title": "Boss", "active": true, "emails": [{"value": "a@x", "type": "work"}]}),
                &[],
            ),
            record(
                "User",
                "b",
                1,
                json!({"userName": "bob", "active": false, "emails": [{"value": "b@x", "type": "home"}, {"value": "B@y"}]}),
                &[],
            ),
            record(
                "User",
                "c",
                2,
                json!({"userName": "carl", "title": "boss", "externalId": "X1", "name": {"familyName": "Smith"}}),
                &[],
            ),
            record("Group", "g", 3, json!({"displayName": "G"}), &["a", "h"]),
            record("Group", "h", 4, json!({"displayName": "H"}), &["b", "g"]),
        ];
        Arc::new(Kept {
            records: Lock::new(records),
            by_name: Lock::new(0),
        })
    }

    async fn ids(store: &AccountsAsStore, filter: &str, sort: Option<&str>) -> Vec<String> {
        let types = store.schemas.types().to_vec();
        let filter = Filter::parse(filter, FilterLimits::default()).unwrap();
        let sort = sort.map(|path| Sort {
            path: AttributePath::parse(path).unwrap(),
            descending: true,
        });
        let plan = plan(
            &types,
            Some(filter),
            sort,
            Page {
                offset: 0,
                limit: 100,
            },
            Include {
                members: true,
                groups: true,
            },
        )
        .unwrap();
        let page = store.search(TenantId(1), plan).await.unwrap();
        assert_eq!(page.total_results, page.resources.len() as u64);
        page.resources
            .into_iter()
            .map(|resource| resource.id)
            .collect()
    }

    #[tokio::test]
    async fn a_search_finds_exactly_what_the_filter_matches() {
        let store = AccountsAsStore::new(kept());
        for filter in [
            "userName eq \"ANN\"",
            "userName eq \"ann\" and active eq true",
            "userName eq \"ann\" or title pr",
            "not (userName eq \"ann\")",
            "userName sw \"B\" or emails.value ew \"@x\"",
            "title co \"OS\"",
            "title gt \"a\" and title lt \"c\"",
            "emails[type eq \"home\" and value co \"b\"]",
            "externalId eq \"x1\"",
            "externalId eq \"X1\"",
            "active ne true",
            "meta.created ge \"2023-11-14T22:13:22Z\"",
            "meta.lastModified lt \"2023-11-14T22:13:22Z\"",
            "id eq \"g\"",
            "members.value eq \"a\"",
            "members pr and members.type eq \"Group\"",
            "groups.value eq \"g\"",
            "groups[value eq \"g\" and type eq \"indirect\"]",
            "not (groups pr)",
            "displayName sw \"h\"",
            "name.familyName eq \"smith\" and not (title eq \"x\")",
        ] {
            let parsed = Filter::parse(filter, FilterLimits::default()).unwrap();
            let mut expected = Vec::new();
            for schema in store.schemas.types() {
                for record in store.accounts.list(schema.name()).await.unwrap() {
                    let include = Include {
                        members: true,
                        groups: true,
                    };
                    let read = store
                        .read(TenantId(1), schema.name(), &record.id, include)
                        .await
                        .unwrap()
                        .unwrap();
                    let document: Map<String, Value> = read.into_document();
                    if parsed.matches(schema, &document) {
                        expected.push(record.id);
                    }
                }
            }
            assert_eq!(ids(&store, filter, None).await, expected, "{filter}");
        }
    }

    #[tokio::test]
    async fn the_order_of_missing_values_and_the_shortcut_by_name() {
        let kept = kept();
        let store = AccountsAsStore::new(kept.clone());
        assert_eq!(
            ids(&store, "userName pr", Some("title")).await,
            ["b", "a", "c"]
        );
        assert_eq!(*kept.by_name.lock().unwrap(), 0);
        assert_eq!(
            ids(&store, "userName eq \"CARL\" and title pr", None).await,
            ["c"]
        );
        assert_eq!(*kept.by_name.lock().unwrap(), 1);
    }

    #[tokio::test]
    async fn what_the_application_cannot_keep_is_not_done() {
        let store = AccountsAsStore::new(kept());
        let write = directory::change_set::Write {
            resource_type: "User".into(),
            id: "a".into(),
            change: directory::change_set::Change::Delete {
                precondition: directory::change_set::Precondition::Exists,
            },
        };
        let change_set = Arc::new(ChangeSet {
            change_id: Uuid::from_u128(1),
            at: Timestamp::UNIX_EPOCH,
            types_revision: 0,
            writes: vec![write],
            policy: directory::change_set::Policy::default(),
        });
        assert!(matches!(
            store.commit(TenantId(1), change_set.clone()).await,
            Err(CommitError::Fault(_))
        ));
        // It is not remembered as done either.
        assert!(store.commit(TenantId(1), change_set).await.is_err());
    }
}
