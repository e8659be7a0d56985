//! The history of a tenant: versions, instants, deleted resources, the changes of a window. The port to it, and its values. The store writes it with every commit.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::store::Fault;
use crate::tenant::TenantId;

pub use crate::tombstone::{Deleted, Tombstone};

/// Most members in one answer about the versions of a group.
pub const MEMBER_CHANGES_MAX: u32 = 10_000;

/// What a change did to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Made it.
    Create,
    /// Changed what it holds (its members too, perhaps).
    Update,
    /// Changed only its members.
    Members,
    /// Ended it.
    Delete,
    /// Gave it back after it had been deleted.
    Restore,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Create,
        Self::Update,
        Self::Members,
        Self::Delete,
        Self::Restore,
    ];

    /// Its name, in the store and for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Members => "members",
            Self::Delete => "delete",
            Self::Restore => "restore",
        }
    }

    /// The one with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A change of one resource, as it is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The version it made. A deletion makes one too, so that versions go on when the resource comes back.
    pub version: u64,
    /// What it did.
    pub kind: Kind,
    /// When.
    pub at: Timestamp,
    /// The change set it was part of.
    pub change_id: Uuid,
    /// Who did it.
    pub credential_id: String,
    /// What the resource held before, where the change replaced it.
    pub before: Option<Map<String, Value>>,
    /// `meta.created`.
    pub created: Timestamp,
}

/// A member that joined or left a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberChange {
    /// The version of the group that it made.
    pub version: u64,
    /// The member.
    pub member_id: String,
    /// Whether it joined.
    pub joined: bool,
}

/// A version of a resource as administrators read of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryLine {
    /// The version.
    pub version: u64,
    /// What made it.
    pub kind: Kind,
    /// When.
    pub at: Timestamp,
    /// The change set it was part of.
    pub change_id: String,
    /// Who did it.
    pub credential_id: String,
    /// What the resource held before, where the change replaced it.
    pub before: Option<Map<String, Value>>,
    /// Ids of the members that joined with it.
    pub joined: Vec<String>,
    /// Ids of the members that left with it.
    pub left: Vec<String>,
    /// Whether members may have joined or left with it that are not named here.
    pub members_cut: bool,
}

/// Versions with who joined and who left. Of the changes of members, which are in order, the first `most` count; if there are more, the version of the
/// first one that does not, and those after it, say so.
pub fn lines(entries: Vec<Entry>, mut changes: Vec<MemberChange>, most: usize) -> Vec<HistoryLine> {
    let cut_from = changes.get(most).map(|change| change.version);
    changes.truncate(most);
    let mut changes = changes.into_iter().peekable();
    let line = |entry: Entry| {
        let (mut joined, mut left) = (Vec::new(), Vec::new());
        while let Some(change) = changes.next_if(|change| change.version <= entry.version) {
            match (change.version == entry.version, change.joined) {
                (true, true) => joined.push(change.member_id),
                (true, false) => left.push(change.member_id),
                (false, _) => {}
            }
        }
        HistoryLine {
            version: entry.version,
            kind: entry.kind,
            at: entry.at,
            change_id: entry.change_id.to_string(),
            credential_id: entry.credential_id,
            before: entry.before,
            joined,
            left,
            members_cut: cut_from.is_some_and(|cut| entry.version >= cut),
        }
    };
    entries.into_iter().map(line).collect()
}

/// Which moment of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// When it had this version.
    Version(u64),
    /// At this instant.
    At(Timestamp),
}

/// A resource as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Name of its type.
    pub resource_type: String,
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: u64,
    /// `meta.created`.
    pub created: Timestamp,
    /// When it got this version.
    pub last_modified: Timestamp,
    /// What it held.
    pub document: Map<String, Value>,
    /// The ids of its members then.
    pub members: Vec<String>,
}

impl Snapshot {
    /// The resource as a document, with `id`, `members` and `meta`.
    pub fn into_document(self) -> Map<String, Value> {
        let mut document = self.document;
        document.insert("id".into(), self.id.into());
        if !self.members.is_empty() {
            document.insert(
                "members".into(),
                self.members
                    .into_iter()
                    .map(|id| json!({ "value": id }))
                    .collect(),
            );
        }
        let meta = json!({
            "resourceType": self.resource_type,
            "created": self.created.to_string(),
            "lastModified": self.last_modified.to_string(),
            "version": self.version,
        });
        document.insert("meta".into(), meta);
        document
    }
}

/// What the history has of a resource at a moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Remembered {
    /// It was so.
    Was(Box<Snapshot>),
    /// It did not exist.
    WasNot,
    /// That is longer ago than anything that is kept of it.
    Unknown,
}

/// A change in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowChange {
    /// Its place in the change log.
    pub sequence: u64,
    /// Name of the resource's type.
    pub resource_type: String,
    /// The resource's id.
    pub id: String,
    /// The version it made; 0: deleted.
    pub version: u64,
    /// When.
    pub at: Timestamp,
    /// The change set it was part of.
    pub change_id: Uuid,
    /// Who did it.
    pub credential_id: String,
}

/// A window of time: from this instant on, before that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// From.
    pub from: Timestamp,
    /// Until (that instant is not in it).
    pub until: Timestamp,
    /// Only what this credential did.
    pub credential_id: Option<String>,
}

/// The history of a tenant. Commits write it; these methods only read, apart from `prune`.
#[async_trait]
pub trait History: Send + Sync {
    /// Changes of a resource above this version, oldest first. The creation is among them while the change log has it.
    async fn entries(
        &self,
        tenant: TenantId,
        id: &str,
        above_version: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, Fault>;
    /// A resource as it was.
    async fn snapshot(&self, tenant: TenantId, id: &str, point: Point)
    -> Result<Remembered, Fault>;
    /// Members that joined or left a group above this version, in order.
    async fn member_changes(
        &self,
        tenant: TenantId,
        group_id: &str,
        above_version: u64,
        limit: u32,
    ) -> Result<Vec<MemberChange>, Fault>;
    /// The groups that a resource left because of this change set.
    async fn groups_left(
        &self,
        tenant: TenantId,
        member_id: &str,
        change_id: Uuid,
    ) -> Result<Vec<String>, Fault>;
    /// Deleted resources.
    async fn deleted(
        &self,
        tenant: TenantId,
        which: Deleted,
        limit: u32,
    ) -> Result<Vec<Tombstone>, Fault>;
    /// Changes of a window behind this place in the change log, in order.
    async fn changes(
        &self,
        tenant: TenantId,
        window: &Window,
        after: u64,
        limit: u32,
    ) -> Result<Vec<WindowChange>, Fault>;
    /// Forgets what ended before this instant, at most so many changes at once; how many it were.
    async fn prune(&self, tenant: TenantId, before: Timestamp, limit: u32) -> Result<u32, Fault>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_joined_and_left_is_cut_where_it_is_said() {
        let entry = |version: u64| Entry {
            version,
            kind: Kind::Members,
            at: Timestamp::UNIX_EPOCH,
            change_id: Uuid::nil(),
            credential_id: "c".into(),
            before: None,
            created: Timestamp::UNIX_EPOCH,
        };
        let change = |version: u64, id: &str, joined: bool| MemberChange {
            version,
            member_id: id.into(),
            joined,
        };
        let changes = [
            change(2, "a", true),
            change(2, "b", false),
            change(3, "x", true),
            change(4, "a", false),
            change(4, "c", true),
        ];
        let check = |most: usize, expected: [(&[&str], &[&str], bool); 3]| {
            // Of version 3 nothing is asked.
            let told = lines([2, 4, 5].map(entry).into(), changes.to_vec(), most);
            let ids = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
            let expected = expected.map(|(joined, left, cut)| (ids(joined), ids(left), cut));
            assert_eq!(
                told.into_iter()
                    .map(|line| (line.joined, line.left, line.members_cut))
                    .collect::<Vec<_>>(),
                expected,
                "{most}"
            );
        };
        check(
            5,
            [
                (&["a"], &["b"], false),
                (&["c"], &["a"], false),
                (&[], &[], false),
            ],
        );
        check(
            4,
            [
                (&["a"], &["b"], false),
                (&[], &["a"], true),
                (&[], &[], true),
            ],
        );
        check(
            2,
            [(&["a"], &["b"], false), (&[], &[], true), (&[], &[], true)],
        );
        check(1, [(&["a"], &[], true), (&[], &[], true), (&[], &[], true)]);
    }
}
