//! Writes that the deletion guard holds although their clients were told that they are done, and what an administrator lets through: the values, and
//! the port to them. `deletion_guard` decides what is held.

use async_trait::async_trait;
use jiff::Timestamp;
use scim_protocol::patch::mention::Mention;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::deletion_guard::Removal;
use crate::store::Fault;
use crate::tenant::TenantId;

/// What a parked write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// PUT.
    Replace,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

/// What a write is about. It is stored as a text: `*`, `members:*`, `members:` and an id, or the name of an attribute in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Touch {
    /// All of the resource.
    Everything,
    /// An attribute.
    Attribute(String),
    /// All members of a group.
    Members,
    /// The member with this id.
    Member(String),
}

impl Touch {
    fn meets(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Everything, _)
                | (_, Self::Everything)
                | (Self::Members, Self::Member(_))
                | (Self::Member(_), Self::Members)
        ) || self == other
    }
}

impl From<String> for Touch {
    fn from(text: String) -> Self {
        match (text.as_str(), text.strip_prefix("members:")) {
            ("*", _) => Self::Everything,
            (_, Some("*")) => Self::Members,
            (_, Some(id)) => Self::Member(id.to_owned()),
            (_, None) => Self::Attribute(text),
        }
    }
}

impl From<&str> for Touch {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Touch> for String {
    fn from(touch: Touch) -> Self {
        match touch {
            Touch::Everything => "*".to_owned(),
            Touch::Attribute(name) => name,
            Touch::Members => "members:*".to_owned(),
            Touch::Member(id) => format!("members:{id}"),
        }
    }
}

impl From<Mention> for Touch {
    fn from(mention: Mention) -> Self {
        match mention {
            Mention::Attribute(name) => Self::Attribute(name.to_lowercase()),
            Mention::Members => Self::Members,
            Mention::Member(id) => Self::Member(id),
        }
    }
}

/// Whether a later write is about something that an earlier one is about too.
pub fn supersedes(later: &[Touch], earlier: &[Touch]) -> bool {
    later
        .iter()
        .any(|one| earlier.iter().any(|other| one.meets(other)))
}

/// A parked write, to be carried out as it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParkedWrite {
    /// What it does.
    pub method: Method,
    /// Its body as it came, without values that are write-only; null for a DELETE.
    pub body: Value,
    /// What it is about: a later write about the same takes its place.
    pub touches: Vec<Touch>,
    /// Why it is held.
    pub reason: String,
    /// The client profile of the credential that sent it; `None`: the tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

/// A parked write and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Parked {
    /// Its own id.
    pub id: String,
    /// When it came.
    pub at: Timestamp,
    /// Who sent it.
    pub credential_id: String,
    /// Name of the resource's type.
    pub resource_type: String,
    /// The resource's id.
    pub resource_id: String,
    /// The write.
    pub write: ParkedWrite,
}

/// Removals that an administrator lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Of which kind.
    pub removal: Removal,
    /// How many more.
    pub remaining: u64,
    /// Until when.
    pub expires: Timestamp,
}

/// The counts of the guard, the allowances, and the parked writes.
#[async_trait]
pub trait Parking: Send + Sync {
    /// How many of each kind were removed from this minute (since 1970) on.
    async fn removals_since(
        &self,
        tenant: TenantId,
        minute: i64,
    ) -> Result<Vec<(Removal, u64)>, Fault>;
    /// The allowances, expired ones too.
    async fn allowances(&self, tenant: TenantId) -> Result<Vec<Allowance>, Fault>;
    /// Lets so many more through. It replaces the earlier allowance of this kind.
    async fn allow(&self, tenant: TenantId, allowance: Allowance) -> Result<(), Fault>;
    /// Keeps a write; those of the same client about the same that it supersedes go.
    async fn park(
        &self,
        tenant: TenantId,
        parked: Parked,
        superseded: Vec<String>,
    ) -> Result<(), Fault>;
    /// Parked writes, the oldest first: all, or those about one resource.
    async fn list_parked(
        &self,
        tenant: TenantId,
        resource_id: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Parked>, Fault>;
    /// Takes one out.
    async fn remove_parked(&self, tenant: TenantId, id: &str) -> Result<bool, Fault>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_writes_about_the_same_supersede() {
        let check = |later: &[&str], earlier: &[&str], expected: bool| {
            let touches = |texts: &[&str]| {
                texts
                    .iter()
                    .map(|text| Touch::from(*text))
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                supersedes(&touches(later), &touches(earlier)),
                expected,
                "{later:?} {earlier:?}"
            );
        };
        check(&["active"], &["active"], true);
        check(&["title"], &["active"], false);
        check(&["*"], &["active"], true);
        check(&["active"], &["*"], true);
        check(&["members:a"], &["members:b"], false);
        check(&["members:a"], &["members:b", "members:a"], true);
        check(&["members:*"], &["members:b"], true);
        check(&["members:b"], &["members:*"], true);
        check(&["members:*"], &["active"], false);
        check(&[], &["*"], false);
    }

    #[test]
    fn a_touch_is_stored_as_a_text() {
        for text in [
            "*",
            "active",
            "members:*",
            "members:A",
            "urn:x:user:department",
        ] {
            assert_eq!(String::from(Touch::from(text)), text);
            let stored = serde_json::to_value(Touch::from(text)).unwrap();
            assert_eq!(stored, Value::from(text));
        }
    }
}
