//! What was done to whom, and why: what an administrator reads afterwards.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::application::ApplicationId;

/// One line of the provisioning log. Secrets are removed before it is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When.
    pub at: Timestamp,
    /// To which application.
    #[serde(skip, default = "ApplicationId::nobody")]
    pub application: ApplicationId,
    /// Type of the resource.
    pub resource_type: String,
    /// Id of the resource.
    pub resource_id: String,
    /// What people call it.
    pub display: String,
    /// `read`, `match`, `create`, `update`, `deactivate`, `delete`.
    pub step: String,
    /// `done`, `retry`, `held`.
    pub outcome: String,
    /// What was sent: method and path.
    pub request: String,
    /// The body that was sent.
    pub request_body: Option<String>,
    /// The status that came back; `None`: no answer.
    pub status: Option<u16>,
    /// What came back, or why nothing did.
    pub detail: String,
    /// How long it took.
    pub duration_milliseconds: u64,
    /// Which attempt it was, from 1.
    pub attempt: u32,
}
