//! Keeps request logs as short as tenants want them: deletes what is too old or too much, from time to time.

use std::sync::Arc;
use std::time::Duration;

use directory::request_log::Kept;
use directory::store::Fault;
use jiff::SignedDuration;

use crate::state::State;

/// Between two looks, in seconds: so short that a log does not grow far beyond its bounds in between.
const INTERVAL_SECONDS: u64 = 60;

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
        let kept = Kept {
            since: before,
            rows_max: state.options.request_log_rows_max,
            bytes_max: state.options.request_log_bytes_max,
        };
        let deleted = log.prune(tenant.id, kept).await?;
        if deleted > 0 {
            tracing::info!(
                tenant.id = tenant.id.0,
                deleted,
                "entries of a request log were deleted, as it had grown too old or too large"
            );
        }
    }
    Ok(())
}
