//! *(shell)* Change log to outbox: which applications does a change concern? Sends nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use directory::clock::Clock;
use directory::store::{Fault, Include, Store};
use directory::tenant::TenantId;

use crate::ledger::{Catalogue, Ledger, LoggedChange, OutOfDate};
use crate::scope;

/// Reads changes and marks pairs as out of date.
pub struct Dispatcher {
    store: Arc<dyn Store>,
    ledger: Arc<dyn Ledger>,
    catalogue: Arc<dyn Catalogue>,
    clock: Arc<dyn Clock>,
    changes_max: usize,
}

impl Dispatcher {
    /// Reads at most `changes_max` changes of a tenant at a time.
    pub fn new(
        store: Arc<dyn Store>,
        ledger: Arc<dyn Ledger>,
        catalogue: Arc<dyn Catalogue>,
        clock: Arc<dyn Clock>,
        changes_max: usize,
    ) -> Self {
        Self {
            store,
            ledger,
            catalogue,
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
        let mut pairs = Vec::new();
        if !applications.is_empty() {
            // Ten changes to one person are one entry.
            let mut latest: BTreeMap<(String, String), (bool, bool)> = BTreeMap::new();
            for change in changes {
                let (deleted, member_left) = latest
                    .entry((change.resource_type, change.resource_id))
                    .or_default();
                *deleted = change.deleted;
                *member_left |= change.member_left;
            }
            for ((resource_type, resource_id), (deleted, member_left)) in latest {
                let revocation = deleted
                    || member_left
                    || self
                        .is_revocation(tenant, &resource_type, &resource_id)
                        .await?;
                for application in &applications {
                    pairs.push(OutOfDate {
                        application: application.id,
                        resource_type: resource_type.clone(),
                        resource_id: resource_id.clone(),
                        priority: scope::priority(&resource_type, revocation),
                        due: self.clock.now(),
                        verify: false,
                    });
                }
            }
        }
        self.ledger
            .mark_out_of_date(tenant, Some(cursor), pairs)
            .await
    }

    async fn is_revocation(
        &self,
        tenant: TenantId,
        resource_type: &str,
        id: &str,
    ) -> Result<bool, Fault> {
        if resource_type != "User" {
            return Ok(false);
        }
        let subject = self
            .store
            .read(tenant, resource_type, id, Include::default())
            .await?;
        Ok(scope::is_revocation(subject.as_ref()))
    }
}
