//! *(shell)* `Provisioning`: keeps dispatcher and worker at work until it is told to stop. Decides nothing about any account.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use directory::clock::{Clock, IdGenerator};
use directory::schema_store::SchemaStore;
use directory::store::{Fault, Store};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::application::ApplicationId;
use crate::connector::Connector;
use crate::dispatcher::Dispatcher;
use crate::lanes::{Limits, Room};
use crate::ledger::{Catalogue, Claim, Ledger};
use crate::pacing;
use crate::types::Types;
use crate::worker::{Worker, WorkerOptions};

/// From so many changes at once on the directory is busy, and more of them are let come together: to look after each would slow down those who write.
const MANY_CHANGES: usize = 8;
/// For so long.
const PAUSE: Duration = Duration::from_millis(5);

/// Limits of the engine.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many claims may be at work at once.
    pub lanes: Limits,
    /// How often work is looked for without being woken: changes of other processes, and retries.
    pub poll_milliseconds: u64,
    /// Most changes of a tenant that are dispatched in one transaction.
    pub changes_max: usize,
    /// Most lines of the provisioning log of one application that are kept.
    pub log_lines_max: u64,
    /// Limits of one claim.
    pub worker: WorkerOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lanes: Limits {
                applications_max: 1_000,
                per_application: 4,
                shared_max: 32,
            },
            poll_milliseconds: 500,
            changes_max: 500,
            log_lines_max: 1_000_000,
            worker: WorkerOptions::default(),
        }
    }
}

/// What the engine works with.
#[derive(Clone)]
pub struct Ports {
    /// Identities.
    pub store: Arc<dyn Store>,
    /// Work.
    pub ledger: Arc<dyn Ledger>,
    /// Applications.
    pub catalogue: Arc<dyn Catalogue>,
    /// Schemas.
    pub types: Arc<dyn SchemaStore>,
    /// The way to applications.
    pub connector: Arc<dyn Connector>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub ids: Arc<dyn IdGenerator>,
    /// Notified whenever something was committed that has to leave, so that it leaves at once and not at the next poll.
    pub committed: Arc<Notify>,
}

/// The engine.
pub struct Provisioning {
    dispatcher: Dispatcher,
    worker: Arc<Worker>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    options: Options,
    committed: Arc<Notify>,
    marked: Notify,
    room: Arc<Mutex<Room>>,
}

impl Provisioning {
    /// An engine at rest.
    pub fn new(ports: Ports, options: Options) -> Self {
        let Ports {
            store,
            ledger,
            catalogue,
            types,
            connector,
            clock,
            ids,
            committed,
        } = ports;
        let types = Arc::new(Types::new(types));
        let dispatcher = Dispatcher::new(
            Arc::clone(&ledger),
            catalogue,
            Arc::clone(&types),
            Arc::clone(&clock),
            options.changes_max,
        );
        let worker = Arc::new(Worker::new(
            store,
            Arc::clone(&ledger),
            types,
            connector,
            Arc::clone(&clock),
            ids,
            options.worker,
        ));
        let room = Arc::new(Mutex::new(Room::new(options.lanes)));
        Self {
            dispatcher,
            worker,
            ledger,
            clock,
            options,
            committed,
            marked: Notify::new(),
            room,
        }
    }

    /// Works until `shutdown` is true or its sender is gone; claims that have begun are finished first.
    pub async fn run(&self, shutdown: watch::Receiver<bool>) {
        tokio::join!(self.dispatch(shutdown.clone()), self.work(shutdown));
    }

    async fn dispatch(&self, mut shutdown: watch::Receiver<bool>) {
        let mut poll = self.poll();
        loop {
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => return,
                () = self.committed.notified() => {}
                _ = poll.tick() => {}
            }
            match self.dispatcher.run_once().await {
                Ok(dispatched) => {
                    self.marked.notify_one();
                    if dispatched >= MANY_CHANGES {
                        // Ends early where it is told to stop, which is looked at next.
                        let _ = tokio::time::timeout(PAUSE, shutdown.wait_for(|stop| *stop)).await;
                    }
                }
                Err(fault) => report("changes could not be dispatched", &fault),
            }
        }
    }

    async fn work(&self, mut shutdown: watch::Receiver<bool>) {
        let mut running = JoinSet::new();
        let mut poll = self.poll();
        loop {
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => break,
                Some(ended) = running.join_next() => {
                    notice(ended);
                    // Those that ended at the same time are replaced by one claim.
                    while let Some(ended) = running.try_join_next() {
                        notice(ended);
                    }
                }
                () = self.marked.notified() => {}
                _ = poll.tick() => {}
            }
            if let Err(fault) = self.claim(&mut running).await {
                report("work could not be claimed", &fault);
            }
        }
        while let Some(ended) = running.join_next().await {
            notice(ended);
        }
    }

    /// Dispatches and works until nothing is due; says how many claims that were.
    pub async fn run_until_idle(&self) -> Result<u64, Fault> {
        let mut running = JoinSet::new();
        let mut count = 0;
        loop {
            self.dispatcher.run_once().await?;
            count += self.claim(&mut running).await?;
            let Some(ended) = running.join_next().await else {
                return Ok(count);
            };
            notice(ended);
        }
    }

    async fn claim(&self, running: &mut JoinSet<Result<(), Fault>>) -> Result<u64, Fault> {
        let now = self.clock.now();
        let until = pacing::after(now, u64::from(self.options.worker.lease_seconds) * 1_000);
        let room = lock(&self.room).clone();
        let claims = self.ledger.claim(now, until, room).await?;
        let mut count = 0;
        for claim in claims {
            let (worker, place) = (Arc::clone(&self.worker), Place::take(&self.room, &claim));
            running.spawn(async move {
                let _place = place;
                worker.run_one(claim).await
            });
            count += 1;
        }
        Ok(count)
    }

    fn poll(&self) -> Interval {
        let mut poll = interval(Duration::from_millis(self.options.poll_milliseconds.max(1)));
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        poll
    }
}

/// A claim's place in the room; it is free again however the claim ends.
struct Place {
    room: Arc<Mutex<Room>>,
    application: ApplicationId,
}

impl Place {
    fn take(room: &Arc<Mutex<Room>>, claim: &Claim) -> Self {
        lock(room).begin(claim.application, claim.unanswered);
        Self {
            room: Arc::clone(room),
            application: claim.application,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.room).end(self.application);
    }
}

fn lock(room: &Mutex<Room>) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A claim that failed is not lost: its lease runs out, and whoever claims it next reads before writing.
fn notice(ended: Result<Result<(), Fault>, tokio::task::JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => report("a claim could not be finished", &fault),
        Err(error) => tracing::error!(%error, "a claim broke off"),
    }
}

fn report(what: &str, fault: &Fault) {
    let mut text = fault.to_string();
    let mut source = std::error::Error::source(fault);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    tracing::error!(fault = %text, "{what}");
}
