//! *(shell)* Change log to outbox: marks the pairs that changes make out of date. Sends nothing, and reads no resource.

use std::sync::Arc;

use directory::clock::Clock;
use directory::store::Fault;
use directory::tenant::TenantId;

use crate::concern;
use crate::ledger::{Catalogue, Ledger, LoggedChange};
use crate::types::Types;

/// Reads changes and marks pairs as out of date.
pub struct Dispatcher {
    ledger: Arc<dyn Ledger>,
    catalogue: Arc<dyn Catalogue>,
    types: Arc<Types>,
    clock: Arc<dyn Clock>,
    changes_max: usize,
}

impl Dispatcher {
    /// Reads at most `changes_max` changes of a tenant at a time.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        catalogue: Arc<dyn Catalogue>,
        types: Arc<Types>,
        clock: Arc<dyn Clock>,
        changes_max: usize,
    ) -> Self {
        Self {
            ledger,
            catalogue,
            types,
            clock,
            changes_max,
        }
    }

    /// Dispatches every change that is there, and says how many that were. One query where there is none.
    pub async fn run_once(&self) -> Result<usize, Fault> {
        let mut dispatched = 0;
        for tenant in self.ledger.tenants_with_changes().await? {
            loop {
                let changes = self.ledger.read_changes(tenant, self.changes_max).await?;
                let more = changes.len() >= self.changes_max;
                dispatched += changes.len();
                self.dispatch(tenant, changes).await?;
                if !more {
                    break;
                }
            }
        }
        Ok(dispatched)
    }

    async fn dispatch(&self, tenant: TenantId, changes: Vec<LoggedChange>) -> Result<(), Fault> {
        let Some(cursor) = changes.last().map(|change| change.sequence) else {
            return Ok(());
        };
        let applications = self.catalogue.list_applications(tenant).await?;
        let pairs = if applications.is_empty() {
            Vec::new()
        } else {
            let schemas = self.types.of(tenant).await?;
            concern::pairs(changes, &schemas, &applications, self.clock.now())
        };
        self.ledger
            .mark_out_of_date(tenant, Some(cursor), pairs)
            .await
    }
}
