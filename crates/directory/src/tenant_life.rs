//! The port for the life of a tenant after it was made: suspended and resumed, exported and restored, erased. Decides nothing about identities.

use std::io::{Read, Seek, Write};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::audit::Entry;
use crate::store::Fault;
use crate::tenant::{Tenant, TenantId, TenantSettings};

/// Where an exported tenant is read from: twice, as nothing is written before all of it was checked.
pub trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// Why a tenant was not restored. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is one with this name.
    #[error("the name is taken")]
    NameTaken,
    /// The file is damaged, of something else, or of a newer program; why.
    #[error("{0}")]
    Refused(String),
    /// Something of ours failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The life of tenants. What changes something stores the audit entry of the act in the same transaction: of the tenant's settings in its own chain, of the
/// tenant as a whole in that of the installation.
#[async_trait]
pub trait TenantLife: Send + Sync {
    /// Suspends or resumes. A suspended tenant refuses every caller and sends nothing to applications; all data stays. False if there is no such tenant.
    async fn set_suspended(
        &self,
        tenant: TenantId,
        suspended: bool,
        entry: Entry,
    ) -> Result<bool, Fault>;
    /// Gives a tenant other settings, and raises its revision; false where it has changed since it was read, or is gone.
    async fn set_settings(
        &self,
        tenant: &Tenant,
        settings: TenantSettings,
        entry: Entry,
    ) -> Result<bool, Fault>;
    /// Writes everything of a tenant apart from secrets as lines of JSON, from one snapshot, one line at a time; says how many lines.
    async fn export(
        &self,
        tenant: TenantId,
        at: Timestamp,
        sink: Box<dyn Write + Send>,
    ) -> Result<u64, Fault>;
    /// Makes a tenant of this name of what `export` wrote, all of it or nothing. Ids, versions and instants stay; its applications have no tokens and are
    /// paused, and everything is marked out of date for them; its receivers have no secrets and are paused; clients that had a secret are revoked.
    async fn restore(
        &self,
        name: &str,
        at: Timestamp,
        source: Box<dyn Source>,
        entry: Entry,
    ) -> Result<Tenant, RestoreError>;
    /// Erases a tenant with everything in it; false if there is no such tenant.
    async fn erase(&self, tenant: TenantId, entry: Entry) -> Result<bool, Fault>;
}
