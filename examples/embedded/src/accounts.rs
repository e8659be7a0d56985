//! The issue tracker's people and teams as SCIM wants them: all that an application writes to have SCIM.

use async_trait::async_trait;
use embedding::{AccountChange, AccountStore, Fault, Record};
use serde_json::Value;

use crate::tracker::{Person, Tables, Tracker};

/// The columns of a person that the tracker itself needs.
fn person(record: Record) -> Person {
    let text = |pointer: &str| {
        Value::Object(record.document.clone())
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let login = text("/userName").unwrap_or_default().to_lowercase();
    Person {
        name: text("/displayName")
            .or_else(|| text("/name/formatted"))
            .unwrap_or_else(|| login.clone()),
        may_sign_in: record.document.get("active") != Some(&Value::Bool(false)),
        login,
        record,
    }
}

fn make(tables: &mut Tables, change: AccountChange) {
    match change {
        AccountChange::Put(record) if record.resource_type == "User" => {
            match tables
                .people
                .iter_mut()
                .find(|person| person.record.id == record.id)
            {
                Some(row) => *row = person(record),
                None => tables.people.push(person(record)),
            }
        }
        AccountChange::Put(record) => {
            match tables.teams.iter_mut().find(|team| team.id == record.id) {
                Some(row) => *row = record,
                None => tables.teams.push(record),
            }
        }
        AccountChange::Delete { resource_type, id } if resource_type == "User" => {
            tables.people.retain(|person| person.record.id != id);
        }
        AccountChange::Delete { id, .. } => tables.teams.retain(|team| team.id != id),
    }
}

#[async_trait]
impl AccountStore for Tracker {
    async fn list(&self, resource_type: &str) -> Result<Vec<Record>, Fault> {
        let tables = self.tables();
        Ok(match resource_type {
            "User" => tables
                .people
                .iter()
                .map(|person| person.record.clone())
                .collect(),
            _ => tables.teams.clone(),
        })
    }

    async fn get(&self, resource_type: &str, id: &str) -> Result<Option<Record>, Fault> {
        Ok(self
            .list(resource_type)
            .await?
            .into_iter()
            .find(|record| record.id == id))
    }

    async fn apply(&self, changes: Vec<AccountChange>) -> Result<(), Fault> {
        let mut tables = self.tables();
        for change in changes {
            make(&mut tables, change);
        }
        // What SCIM is for: whoever may not come in any longer has nothing to look after.
        tables.release_issues();
        Ok(())
    }

    async fn find_by_user_name(&self, user_name: &str) -> Result<Vec<Record>, Fault> {
        let tables = self.tables();
        Ok(tables
            .people
            .iter()
            .filter(|person| person.login == user_name)
            .map(|person| person.record.clone())
            .collect())
    }
}
