//! Stages: what was rehearsed on each, and how it is rehearsed again where its transaction has ended. The same on both engines; what is done inside the
//! transaction is theirs.
//!
//! A stage has a transaction that is never committed, and a line to whoever works inside it. Others wait for a transaction, so one in which nothing is asked
//! for a while ends; the next question begins another one, in which everything is rehearsed again first.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use directory::change_set::{ChangeSet, Committed};
use directory::store::{CommitError, Fault, Found, Question, Stage};
use directory::tenant::TenantId;
use tokio::sync::{Mutex, oneshot};

/// How long a transaction waits for the next thing to do.
pub(crate) const SILENCE_MAX: Duration = Duration::from_millis(100);
/// How often transactions may end under one question before it is given up.
const ATTEMPTS_MAX: u32 = 10;

/// Something to do in a transaction, and who waits for the outcome.
pub(crate) struct Cue {
    pub tenant: TenantId,
    pub asked: Asked,
    reply: oneshot::Sender<Result<Told, CommitError>>,
}

/// What is to be done.
#[derive(Clone)]
pub(crate) enum Asked {
    Commit(Arc<ChangeSet>),
    Question(Question),
}

/// What came of it.
pub(crate) enum Told {
    Committed(Vec<Committed>),
    Found(Found),
}

impl Cue {
    /// Tells who waits. A cue that is dropped without says that the transaction has ended, and nothing was done.
    pub(crate) fn tell(self, outcome: Result<Told, CommitError>) {
        // Who no longer waits does not want to know.
        drop(self.reply.send(outcome));
    }
}

/// The way into a transaction. It ends when this is gone.
pub(crate) type Line = Box<dyn Fn(Cue) + Send + Sync>;

/// Whoever can begin transactions for stages.
#[async_trait]
pub(crate) trait Begins: Send + Sync {
    /// Begins one, after so many that ended under the same question. What becomes of it, the first cue is told.
    async fn begin(&self, failed: u32) -> Line;
}

/// A stage.
pub(crate) struct Played<B> {
    begins: B,
    so_far: Mutex<SoFar>,
}

/// How far a rehearsal is.
#[derive(Default)]
struct SoFar {
    line: Option<Line>,
    /// What was carried out, in order.
    done: Vec<(TenantId, Arc<ChangeSet>)>,
}

impl<B: Begins> Played<B> {
    pub(crate) fn new(begins: B) -> Self {
        Self {
            begins,
            so_far: Mutex::default(),
        }
    }

    async fn hear(
        &self,
        so_far: &mut SoFar,
        tenant: TenantId,
        asked: &Asked,
    ) -> Result<Told, CommitError> {
        for failed in 0..ATTEMPTS_MAX {
            // It is put back with the answer: where nobody waits for that any more, what was done and what is known of it may differ.
            let line = match so_far.line.take() {
                Some(line) => line,
                None => match again(self.begins.begin(failed).await, &mut so_far.done).await? {
                    Some(line) => line,
                    None => continue,
                },
            };
            if let Some(outcome) = say(&line, tenant, asked.clone()).await {
                so_far.line = Some(line);
                return outcome;
            }
        }
        Err(Fault::new("a rehearsal was broken off again and again").into())
    }
}

/// Rehearses everything again in a new transaction; `None` where that has ended meanwhile. What is refused now, as others wrote in between, is left out: what
/// is there now is as good an answer as any.
async fn again(
    line: Line,
    done: &mut Vec<(TenantId, Arc<ChangeSet>)>,
) -> Result<Option<Line>, Fault> {
    let mut place = 0;
    while let Some((tenant, change_set)) = done.get(place) {
        match say(&line, *tenant, Asked::Commit(Arc::clone(change_set))).await {
            None => return Ok(None),
            Some(Ok(_)) => place += 1,
            Some(Err(CommitError::Fault(fault))) => return Err(fault),
            Some(Err(_)) => drop(done.remove(place)),
        }
    }
    Ok(Some(line))
}

/// `None` where the transaction has ended.
async fn say(line: &Line, tenant: TenantId, asked: Asked) -> Option<Result<Told, CommitError>> {
    let (reply, told) = oneshot::channel();
    line(Cue {
        tenant,
        asked,
        reply,
    });
    told.await.ok()
}

#[async_trait]
impl<B: Begins> Stage for Played<B> {
    async fn commit(
        &self,
        tenant: TenantId,
        change_set: Arc<ChangeSet>,
    ) -> Result<Vec<Committed>, CommitError> {
        let mut so_far = self.so_far.lock().await;
        match self
            .hear(&mut so_far, tenant, &Asked::Commit(Arc::clone(&change_set)))
            .await?
        {
            Told::Committed(committed) => {
                so_far.done.push((tenant, change_set));
                Ok(committed)
            }
            Told::Found(_) => Err(Fault::new("a commit was answered like a question").into()),
        }
    }

    async fn ask(&self, tenant: TenantId, question: Question) -> Result<Found, Fault> {
        let mut so_far = self.so_far.lock().await;
        match self
            .hear(&mut so_far, tenant, &Asked::Question(question))
            .await
        {
            Ok(Told::Found(found)) => Ok(found),
            Ok(Told::Committed(_)) => Err(Fault::new("a question was answered like a commit")),
            Err(CommitError::Fault(fault)) => Err(fault),
            Err(refused) => Err(Fault::from_source("a question was refused", refused)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use directory::change_set::Policy;
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    /// The first of its transactions ends after so many cues, and so do all where none lasts.
    struct Fake {
        said: Arc<AtomicUsize>,
        begun: Arc<AtomicUsize>,
        lasts: usize,
        all_end: bool,
    }

    #[async_trait]
    impl Begins for Fake {
        async fn begin(&self, _: u32) -> Line {
            let is_first = self.begun.fetch_add(1, Ordering::Relaxed) == 0;
            let lasts = if is_first || self.all_end {
                self.lasts
            } else {
                usize::MAX
            };
            let (said, here) = (Arc::clone(&self.said), AtomicUsize::new(0));
            Box::new(move |cue| {
                if here.fetch_add(1, Ordering::Relaxed) < lasts {
                    said.fetch_add(1, Ordering::Relaxed);
                    cue.tell(Ok(Told::Committed(Vec::new())));
                }
            })
        }
    }

    async fn commit(stage: &Played<Fake>) -> Result<(), CommitError> {
        let policy = Policy::default();
        let change_set = ChangeSet {
            change_id: Uuid::nil(),
            at: Timestamp::UNIX_EPOCH,
            types_revision: 0,
            writes: Vec::new(),
            policy,
        };
        stage
            .commit(TenantId(1), Arc::new(change_set))
            .await
            .map(drop)
    }

    #[tokio::test]
    async fn everything_is_done_once_unless_a_transaction_ends() {
        for (lasts, expected, transactions) in [(usize::MAX, 100, 1), (60, 160, 2)] {
            let (said, begun) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
            let stage = Played::new(Fake {
                said: said.clone(),
                begun: begun.clone(),
                lasts,
                all_end: false,
            });
            for _ in 0..100 {
                commit(&stage).await.unwrap();
            }
            assert_eq!(
                (said.load(Ordering::Relaxed), begun.load(Ordering::Relaxed)),
                (expected, transactions)
            );
        }
    }

    #[tokio::test]
    async fn a_rehearsal_that_gets_nowhere_is_given_up() {
        let begun = Arc::<AtomicUsize>::default();
        let stage = Played::new(Fake {
            said: Arc::default(),
            begun: begun.clone(),
            lasts: 0,
            all_end: true,
        });
        assert!(matches!(commit(&stage).await, Err(CommitError::Fault(_))));
        assert_eq!(
            begun.load(Ordering::Relaxed),
            usize::try_from(ATTEMPTS_MAX).unwrap()
        );
    }
}
