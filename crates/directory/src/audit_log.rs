//! The port to the audit log. Entries are appended by the ports that change something, in the same transaction; here they are only read.

use async_trait::async_trait;

use crate::audit::{Chain, Entry, Head, Recorded};
use crate::store::Fault;

/// What was recorded.
#[async_trait]
pub trait Audit: Send + Sync {
    /// At most so many entries of a chain that come after this number, in their order.
    async fn audit_entries(
        &self,
        chain: Chain,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Recorded>, Fault>;
    /// Appends an entry about an act that changes nothing, such as an export.
    async fn append(&self, chain: Chain, entry: Entry) -> Result<(), Fault>;
    /// The newest entry of a chain; its beginning where there is none.
    async fn audit_head(&self, chain: Chain) -> Result<Head, Fault>;
}
