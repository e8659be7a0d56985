//! What an application has to offer: its accounts and groups, as records. Does not say how they are kept.

use async_trait::async_trait;
use directory::store::Fault;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// An account or a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// `User` or `Group`.
    pub resource_type: String,
    /// Given once and never changed.
    pub id: String,
    /// Counted from 1; becomes the `ETag`.
    pub version: u64,
    /// `meta.created`.
    pub created: Timestamp,
    /// `meta.lastModified`.
    pub last_modified: Timestamp,
    /// What it holds, in SCIM's names (`userName`, `name.familyName`, `emails`): checked, and without `id`, `meta`, `members` and `groups`. An
    /// application may take from it what it shows or decides by (`active`), but has to give the whole of it back.
    pub document: Map<String, Value>,
    /// Ids of a group's members, in order of joining.
    pub members: Vec<String>,
}

/// What becomes of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum AccountChange {
    /// It is this from now on, whether or not it was there.
    Put(Record),
    /// It is gone.
    Delete {
        /// `User` or `Group`.
        resource_type: String,
        /// Its id.
        id: String,
    },
}

/// The accounts and groups of an application.
///
/// Only one adapter writes at a time, and it looks before it writes; so an implementation need not check versions or that a `userName` is free, as
/// long as nothing else writes to the same records.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// All records of a type, in order of creation.
    async fn list(&self, resource_type: &str) -> Result<Vec<Record>, Fault>;

    /// One record.
    async fn get(&self, resource_type: &str, id: &str) -> Result<Option<Record>, Fault>;

    /// Makes all of these changes, or none. Kept when it returns: the identity provider is told so.
    async fn apply(&self, changes: Vec<AccountChange>) -> Result<(), Fault>;

    /// The users with this `userName`, compared without regard to case (it is given in lower case). Identity providers ask for it before everything else,
    /// so an application with an index answers from it; without one, all users are looked through.
    async fn find_by_user_name(&self, user_name: &str) -> Result<Vec<Record>, Fault> {
        let is_it = |record: &Record| {
            let name = record.document.get("userName").and_then(Value::as_str);
            name.is_some_and(|name| name.to_lowercase() == user_name.to_lowercase())
        };
        Ok(self.list("User").await?.into_iter().filter(is_it).collect())
    }
}
