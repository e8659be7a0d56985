//! The port to a tenant's schemas and resource types. Each method is one atomic step.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::audit::Entry;
use crate::schema_change::TypeChange;
use crate::store::Fault;
use crate::tenant::TenantId;
use crate::tenant_types::{DocumentKind, DocumentVersion, TenantTypes};

/// Most contradictions that are named.
pub const CONTRADICTIONS_MAX: usize = 5;

/// A stored resource that contradicts a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Name of its type.
    pub resource_type: String,
    /// Its id.
    pub id: String,
    /// What is wrong with it, as a sentence.
    pub reason: String,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activated {
    /// The revision of the tenant's types from now on.
    pub revision: u64,
    /// Stored resources that were looked at.
    pub resources_checked: u64,
    /// Stored resources that got other index rows.
    pub resources_indexed: u64,
}

/// Why a change was not activated. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// Another change came in between.
    #[error("the tenant's types are at another revision")]
    Stale,
    /// Stored resources contradict it; the first few.
    #[error("stored resources contradict the change")]
    Contradicted(Vec<Contradiction>),
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Whether a change is to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// It is.
    Keep,
    /// Only say what would come of it.
    Rehearse,
}

/// Who changes something, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Author {
    /// The public id of the credential.
    pub credential_id: String,
    /// When.
    pub at: Timestamp,
    /// What the audit log says of it, where an administrator's act is behind it.
    pub entry: Option<Entry>,
}

/// A tenant's schemas and resource types.
#[async_trait]
pub trait SchemaStore: Send + Sync {
    /// Those that hold now.
    async fn read_types(&self, tenant: TenantId) -> Result<TenantTypes, Fault>;
    /// All versions of a document, oldest first; `key` is its URN or name in lower case.
    async fn type_history(
        &self,
        tenant: TenantId,
        kind: DocumentKind,
        key: &str,
    ) -> Result<Vec<DocumentVersion>, Fault>;
    /// Checks what is stored, makes the index rows that are missing and lets the change hold, all in one step that no write comes between: a write that was
    /// decided with the types before it is refused from then on. Raises the tenant's revision.
    async fn activate(
        &self,
        tenant: TenantId,
        change: TypeChange,
        author: Author,
        activation: Activation,
    ) -> Result<Activated, ActivateError>;
}
