//! Forgets the history that is older than each tenant wants, in small batches, while the server runs. What is old enough, the settings say.

use std::sync::Arc;
use std::time::Duration;

use directory::clock::Clock;
use directory::history::History;
use directory::store::{Fault, Tenants};
use jiff::SignedDuration;
use tokio::sync::watch;

/// Between two looks for history that is old enough to be forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// Changes that are forgotten in one transaction.
const FORGET_AT_ONCE: u32 = 500;

/// What forgetting needs.
pub struct Forgetting {
    /// Whose history it is.
    pub tenants: Arc<dyn Tenants>,
    /// The history.
    pub history: Arc<dyn History>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Forgets, in small batches, the history that is older than each tenant wants; once in an hour.
pub async fn forget(parts: Forgetting, mut stopped: watch::Receiver<bool>) {
    loop {
        if let Err(fault) = forget_once(&parts).await {
            tracing::warn!(error = %fault, "old history could not be forgotten");
        }
        tokio::select! {
            () = tokio::time::sleep(FORGET_EVERY) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

async fn forget_once(parts: &Forgetting) -> Result<(), Fault> {
    for tenant in parts.tenants.list_tenants().await? {
        let kept = SignedDuration::from_hours(24 * i64::from(tenant.settings.history_days));
        let Ok(before) = parts.clock.now().checked_sub(kept) else { continue };
        while parts.history.prune(tenant.id, before, FORGET_AT_ONCE).await? > 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}
