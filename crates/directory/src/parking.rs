//! Writes that the deletion guard holds although their clients were told that they are done, and what an administrator lets through. The port to both.
//! Does not decide what is held.

use async_trait::async_trait;
use jiff::Timestamp;
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

/// A parked write, to be carried out as it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParkedWrite {
    /// What it does.
    pub method: Method,
    /// Its body as it came, without values that are write-only; null for a DELETE.
    pub body: Value,
    /// What it speaks about (`deletion_guard::supersedes`).
    pub touches: Vec<String>,
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

/// What the guard has counted and holds.
#[async_trait]
pub trait Parking: Send + Sync {
    /// How many of each kind were removed from this minute (since 1970) on.
    async fn removals_since(
        &self,
        tenant: TenantId,
        minute: i64,
    ) -> Result<Vec<(Removal, u64)>, Fault>;
    /// What is let through, expired ones too.
    async fn allowances(&self, tenant: TenantId) -> Result<Vec<Allowance>, Fault>;
    /// Lets through so many more; what was allowed of this kind before is replaced.
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
