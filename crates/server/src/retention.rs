//! Keeps request logs as short as tenants want them: deletes what is too old or too much, from time to time.

use std::sync::Arc;
use std::time::Duration;

use directory::store::Fault;
use jiff::SignedDuration;

use crate::state::State;

/// Between two looks, in seconds.
const INTERVAL_SECONDS: u64 = 600;

/// Works until `stop` is there.
pub async fn shorten_request_logs(state: Arc<State>, stop: impl Future<Output = ()> + Send) {
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(INTERVAL_SECONDS)) => {}
            () = &mut stop => return,
        }
        if let Err(fault) = shorten_once(&state).await {
            tracing::warn!(
                error = &fault as &dyn std::error::Error,
                "request logs could not be shortened"
            );
        }
    }
}

async fn shorten_once(state: &State) -> Result<(), Fault> {
    let Some(log) = &state.request_log else {
        return Ok(());
    };
    for tenant in state.tenants.list_tenants().await? {
        let age = SignedDuration::from_hours(24 * i64::from(tenant.settings.request_log_days));
        let before = state
            .clock
            .now()
            .checked_sub(age)
            .unwrap_or(jiff::Timestamp::MIN);
        log.prune(tenant.id, before, state.options.request_log_rows_max)
            .await?;
    }
    Ok(())
}
