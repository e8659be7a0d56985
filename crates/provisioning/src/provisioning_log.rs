//! What was done to whom, and why: what an administrator reads afterwards; the port to it.

use async_trait::async_trait;
use directory::store::Fault;
use directory::tenant::TenantId;
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

/// What is to go of the log of one application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forget {
    /// Lines from before this instant.
    pub before: Timestamp,
    /// The oldest of those that are more than this.
    pub lines_max: u64,
    /// Most lines in one step.
    pub limit: u32,
}

/// Lines of the log. Each method is one atomic, retryable step.
#[async_trait]
pub trait ProvisioningLog: Send + Sync {
    /// Writes lines about an application, whoever has the lease meanwhile: what was sent was sent. Nothing where the application was removed.
    async fn write_lines(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        lines: Vec<LogEntry>,
    ) -> Result<(), Fault>;
    /// The newest log lines, newest first.
    async fn read_log(
        &self,
        tenant: TenantId,
        application: Option<ApplicationId>,
        resource_id: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LogEntry>, Fault>;
    /// Forgets the oldest lines of an application; says how many. 0: there is nothing more to forget.
    async fn shorten_log(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        forget: Forget,
    ) -> Result<u64, Fault>;
}
