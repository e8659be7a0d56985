//! Forgets the history, and the lines of provisioning logs, that are older than each tenant wants: in small batches, while the server runs. What is old enough,
//! the settings say.

use std::sync::Arc;
use std::time::Duration;

use directory::clock::Clock;
use directory::history::History;
use directory::store::{Fault, Tenants};
use jiff::{SignedDuration, Timestamp};
use provisioning::ledger::{Catalogue, Ledger};
use provisioning::provisioning_log::Forget;
use tokio::sync::watch;

/// Between two looks for what is old enough to be forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// Changes, or lines, that are forgotten in one transaction.
const FORGET_AT_ONCE: u32 = 500;

/// What forgetting needs.
pub struct Forgetting {
    /// Whose history it is.
    pub tenants: Arc<dyn Tenants>,
    /// The history.
    pub history: Arc<dyn History>,
    /// Whose provisioning logs there are.
    pub catalogue: Arc<dyn Catalogue>,
    /// The provisioning logs.
    pub ledger: Arc<dyn Ledger>,
    /// Most lines of the provisioning log of one application.
    pub log_lines_max: u64,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Forgets, in small batches, what is older than each tenant wants; once in an hour.
pub async fn forget(parts: Forgetting, mut stopped: watch::Receiver<bool>) {
    loop {
        if let Err(fault) = forget_once(&parts).await {
            tracing::warn!(error = %fault, "what is old could not be forgotten");
        }
        tokio::select! {
            () = tokio::time::sleep(FORGET_EVERY) => {}
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

async fn forget_once(parts: &Forgetting) -> Result<(), Fault> {
    let ago = |days: u32| {
        parts
            .clock
            .now()
            .checked_sub(SignedDuration::from_hours(24 * i64::from(days)))
            .unwrap_or(Timestamp::MIN)
    };
    for tenant in parts.tenants.list_tenants().await? {
        let before = ago(tenant.settings.history_days);
        while parts
            .history
            .prune(tenant.id, before, FORGET_AT_ONCE)
            .await?
            > 0
        {
            tokio::task::yield_now().await;
        }
        let before = ago(tenant.settings.provisioning_log_days);
        let lines = Forget {
            before,
            lines_max: parts.log_lines_max,
            limit: FORGET_AT_ONCE,
        };
        for application in parts.catalogue.list_applications(tenant.id).await? {
            while parts
                .ledger
                .shorten_log(tenant.id, application.id, lines)
                .await?
                > 0
            {
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use directory::audit::Entry;
    use directory::tenant::TenantSettings;
    use provisioning::application::{ApplicationId, ApplicationSettings, Secret};
    use provisioning::ledger::NewApplication;
    use provisioning::provisioning_log::{LogEntry, ProvisioningLog};
    use storage::secrets::MasterKey;
    use storage::sqlite::Sqlite;

    use super::*;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            "2026-11-28T12:00:00Z".parse().unwrap()
        }
    }

    /// A line that was written so many days ago.
    fn line(days: i64) -> LogEntry {
        LogEntry {
            at: Noon.now() - SignedDuration::from_hours(24 * days),
            application: ApplicationId(0),
            resource_type: "User".into(),
            resource_id: "ann".into(),
            display: days.to_string(),
            step: "update".into(),
            outcome: "done".into(),
            request: "PATCH /Users/1".into(),
            request_body: None,
            status: Some(200),
            detail: String::new(),
            duration_milliseconds: 1,
            attempt: 1,
        }
    }

    #[tokio::test]
    async fn lines_are_kept_as_long_as_the_tenant_wants() {
        let folder = tempfile::tempdir().unwrap();
        let key = Arc::new(MasterKey::load_or_create(&folder.path().join("key")).unwrap());
        let store = Arc::new(Sqlite::open(&folder.path().join("db"), key).unwrap());
        let settings = TenantSettings {
            provisioning_log_days: 7,
            ..TenantSettings::default()
        };
        let tenant = store
            .create_tenant(
                "acme",
                settings,
                Noon.now(),
                Entry::of_program("test", "acme", Noon.now()),
            )
            .await
            .unwrap()
            .unwrap();
        let new = NewApplication {
            name: "wiki".into(),
            base_url: "https://wiki.example/scim".into(),
            token: Secret::new("secret"),
            settings: ApplicationSettings::default(),
            at: Noon.now(),
        };
        let application = store
            .add_application(
                tenant.id,
                new,
                Entry::of_program("test", "wiki", Noon.now()),
            )
            .await
            .unwrap()
            .unwrap()
            .id;
        store
            .write_lines(tenant.id, application, [9, 8, 6, 1, 0].map(line).to_vec())
            .await
            .unwrap();
        let mut parts = Forgetting {
            tenants: store.clone(),
            history: store.clone(),
            catalogue: store.clone(),
            ledger: store.clone(),
            log_lines_max: 100,
            clock: Arc::new(Noon),
        };
        for (lines_max, expected) in [(100, &["0", "1", "6"][..]), (2, &["0", "1"])] {
            parts.log_lines_max = lines_max;
            forget_once(&parts).await.unwrap();
            let kept = parts
                .ledger
                .read_log(tenant.id, None, None, 10)
                .await
                .unwrap();
            assert_eq!(
                kept.into_iter()
                    .map(|line| line.display)
                    .collect::<Vec<_>>(),
                expected
            );
        }
    }
}
