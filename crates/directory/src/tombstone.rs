//! Deleted resources, as they are remembered and asked for. Who remembers them is in `history`.

use jiff::Timestamp;
use uuid::Uuid;

/// A deleted resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Name of its type.
    pub resource_type: String,
    /// Its id.
    pub id: String,
    /// The version that its deletion made.
    pub version: u64,
    /// `meta.created`.
    pub created: Timestamp,
    /// When it was deleted.
    pub at: Timestamp,
    /// Who deleted it.
    pub credential_id: String,
    /// The change set that it was deleted in.
    pub change_id: Uuid,
    /// What people called it.
    pub display: String,
    /// Its `userName`.
    pub user_name: Option<String>,
    /// Its `externalId`.
    pub external_id: Option<String>,
}

/// Which deleted resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The newest, before this instant.
    Before(Timestamp),
    /// The one with this id.
    Id(String),
    /// Those of a type with one of these names, the newest first.
    Named {
        /// Name of the type.
        resource_type: String,
        /// `userName`, in lower case.
        user_name: Option<String>,
        /// `externalId`.
        external_id: Option<String>,
    },
}
