//! Whether requests can be answered, for `/readyz`: tried at most once a second however often it is asked, and given up after a few seconds. How a store is
//! tried is the store's business.

use std::sync::Arc;
use std::time::Duration;

use directory::readiness::{NotReady, Readiness};
use directory::store::Fault;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

/// For so long what was found counts.
const FRESH_MAX: SignedDuration = SignedDuration::from_secs(1);

/// What the last trial found: why not, in words.
type Found = Result<(), String>;

/// Trials of the store.
pub(crate) struct Trials {
    store: Option<Arc<dyn Readiness>>,
    last: Mutex<Option<(Timestamp, Found)>>,
}

impl Trials {
    /// Of this store; `None`: of a store that cannot be tried.
    pub(crate) fn of(store: Option<Arc<dyn Readiness>>) -> Self {
        Self {
            store,
            last: Mutex::default(),
        }
    }

    /// What the last trial found, or a new one; without a store that can be tried nothing is in the way. Those who ask meanwhile wait for it and get the same answer.
    pub(crate) async fn find(&self, now: Timestamp, limit: Duration) -> Found {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let mut last = self.last.lock().await;
        if let Some((at, found)) = &*last
            && now.duration_since(*at).abs() < FRESH_MAX
        {
            return found.clone();
        }
        let late = |_| {
            Err(NotReady::NoAnswer(Fault::new(format!(
                "no answer within {} seconds",
                limit.as_secs()
            ))))
        };
        let tried = tokio::time::timeout(limit, store.check_readiness())
            .await
            .unwrap_or_else(late);
        let found = tried.map_err(|reason| {
            tracing::warn!(error = &reason as &dyn std::error::Error, "not ready");
            reason.to_string()
        });
        *last = Some((now, found.clone()));
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;

    /// Is ready at every second trial, and counts them.
    #[derive(Default)]
    struct Fickle(AtomicUsize);

    #[async_trait]
    impl Readiness for Fickle {
        async fn check_readiness(&self) -> Result<(), NotReady> {
            if self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                Ok(())
            } else {
                Err(NotReady::Damaged)
            }
        }
    }

    /// Never answers.
    struct Silent;

    #[async_trait]
    impl Readiness for Silent {
        async fn check_readiness(&self) -> Result<(), NotReady> {
            std::future::pending().await
        }
    }

    const LIMIT: Duration = Duration::from_secs(3);

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + milliseconds).unwrap()
    }

    #[tokio::test]
    async fn the_store_is_tried_once_a_second_and_recovers_by_itself() {
        let store = Arc::new(Fickle::default());
        let trials = Trials::of(Some(store.clone()));
        for milliseconds in [0, 500, 999] {
            assert_eq!(
                trials.find(at(milliseconds), LIMIT).await,
                Ok(()),
                "{milliseconds}"
            );
        }
        assert_eq!(store.0.load(Ordering::Relaxed), 1);
        assert!(
            trials
                .find(at(1_000), LIMIT)
                .await
                .unwrap_err()
                .contains("damaged")
        );
        assert_eq!(trials.find(at(2_000), LIMIT).await, Ok(()));
        // A clock that was put back does not keep an old answer.
        assert!(trials.find(at(-60_000), LIMIT).await.is_err());
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_is_not_ready() {
        let trials = Trials::of(Some(Arc::new(Silent)));
        assert!(
            trials
                .find(at(0), Duration::from_millis(1))
                .await
                .unwrap_err()
                .contains("does not answer")
        );
    }
}
