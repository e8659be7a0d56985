//! A link: this resource is that account in this application, and what was last acknowledged about it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::application::ApplicationId;

/// Where a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// A create was about to be sent or its answer was lost: look before creating again.
    Creating,
    /// An account was made, and the application did not say which id it has: it has to be found, and no other one may be made.
    Unnamed,
    /// The account is known.
    Linked,
    /// The account is known, but an answer was lost: read it before the next write.
    Uncertain,
}

/// A link.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The application.
    pub application: ApplicationId,
    /// Type of the resource.
    pub resource_type: String,
    /// Id of the resource.
    pub resource_id: String,
    /// The account's id over there; `None` while creating.
    pub remote_id: Option<String>,
    /// Where it stands.
    pub state: LinkState,
    /// The state the application last acknowledged, of the attributes we manage, without `members`. While creating: what was about to be sent. While
    /// uncertain: what was acknowledged and what was sent since, together. Null: something may be there, and the application does not show it. The name
    /// `members` holds the ids of members of which it is not known whether they are in, the name `id` the id of an account that is said to be gone.
    pub acknowledged: Map<String, Value>,
    /// The remote ids of members last acknowledged, sorted.
    pub acknowledged_members: Vec<String>,
    /// When it was last written.
    pub updated: Timestamp,
}

impl Link {
    /// The attributes alone, without what is kept beside them.
    pub fn attributes(&self) -> Map<String, Value> {
        let mut attributes = self.acknowledged.clone();
        attributes.shift_remove("members");
        attributes.shift_remove("id");
        attributes
    }

    /// The id of the account that is said to be gone.
    pub fn former(&self) -> Option<&str> {
        self.acknowledged.get("id").and_then(Value::as_str)
    }

    /// Remembers the id of an account that is said to be gone, or forgets it.
    pub fn set_former(&mut self, id: Option<&str>) {
        match id {
            Some(id) => drop(self.acknowledged.insert("id".into(), id.into())),
            None => drop(self.acknowledged.shift_remove("id")),
        }
    }

    /// Members that are in, as far as the application acknowledged.
    pub fn members(&self) -> BTreeSet<String> {
        self.acknowledged_members.iter().cloned().collect()
    }

    /// Members of which it is not known whether they are in: a request about them was lost, and the application does not show members.
    pub fn members_in_doubt(&self) -> BTreeSet<String> {
        let ids = self
            .acknowledged
            .get("members")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        ids.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Says which members are in, and of which it is not known.
    pub fn set_members(&mut self, members: BTreeSet<String>, in_doubt: &BTreeSet<String>) {
        self.acknowledged_members = members.into_iter().collect();
        if in_doubt.is_empty() {
            self.acknowledged.shift_remove("members");
        } else {
            self.acknowledged.insert(
                "members".into(),
                in_doubt.iter().map(|id| Value::from(id.as_str())).collect(),
            );
        }
    }
}
