//! A link: this resource is that account in this application, and what was last acknowledged about it.

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
    /// uncertain: what was acknowledged and what was sent since, together.
    pub acknowledged: Map<String, Value>,
    /// The remote ids of members last acknowledged, sorted.
    pub acknowledged_members: Vec<String>,
    /// When it was last written.
    pub updated: Timestamp,
}
