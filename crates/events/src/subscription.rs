//! *(shell)* Delivers events to receivers: at least once, in order, and one request at a time for each receiver. An event that cannot be delivered becomes a
//! dead letter after so many attempts, and the next event follows.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use directory::clock::{Clock, IdGenerator};
use directory::retry;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::event::LoggedEvent;
use crate::event_log::{
    Acknowledgements, Delivery, EventDelivery, EventLog, Message, Receivers, Reception,
};
use crate::receiver::{Receiver, ReceiverKind, UndeliveredState, after_attempts};
use crate::renderer::{EventRenderer, WithResource};
use crate::room::ReceiverRoom;

/// Limits of event delivery.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Most receivers that are sent to at once. Those that failed last time use at most half of them, and those of one tenant a quarter.
    pub receivers_max: usize,
    /// How often receivers are looked for without a commit in this process: for changes of other processes, and for retries.
    pub poll_milliseconds: u64,
    /// How long a claim lasts that is not renewed, in seconds.
    pub lease_seconds: u32,
    /// Most changes that are read at once for one receiver.
    pub events_max: usize,
    /// How long the change log is kept, in days.
    pub retention_days: u32,
    /// Most rows of a tenant's change log that are deleted in one step.
    pub trim_rows_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            receivers_max: 256,
            poll_milliseconds: 500,
            lease_seconds: 30,
            events_max: 200,
            retention_days: 30,
            trim_rows_max: 10_000,
        }
    }
}

/// How long to wait between two searches for rows that are too old.
const TRIM_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// The ports that delivery uses.
#[derive(Clone)]
pub struct Ports {
    /// The change log.
    pub log: Arc<dyn EventLog>,
    /// The receivers.
    pub receivers: Arc<dyn Receivers>,
    /// Renders events.
    pub renderer: EventRenderer,
    /// Sends to receivers.
    pub event_delivery: Arc<dyn EventDelivery>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub ids: Arc<dyn IdGenerator>,
    /// Changes with each commit.
    pub commits: watch::Receiver<u64>,
}

/// Delivery to all receivers.
pub struct Subscriptions {
    ports: Ports,
    options: Options,
    room: Arc<Mutex<ReceiverRoom>>,
}

/// How an attempt ended.
enum Sent {
    /// The receiver accepted it.
    Taken,
    /// It failed; what to record.
    Not(Delivery),
}

impl Subscriptions {
    /// Delivers nothing until it runs.
    pub fn new(ports: Ports, options: Options) -> Self {
        let room = Arc::new(Mutex::new(ReceiverRoom::new(options.receivers_max.max(1))));
        Self {
            ports,
            options,
            room,
        }
    }

    /// Delivers until `shutdown` is true or its sender is gone; requests that are under way are finished first.
    pub async fn run(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let mut running = JoinSet::new();
        let mut commits = self.ports.commits.clone();
        let mut poll = interval(Duration::from_millis(self.options.poll_milliseconds.max(1)));
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trim_at = self.ports.clock.now();
        loop {
            let ticked = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => break,
                Some(ended) = running.join_next() => {
                    notice(ended);
                    false
                }
                // Where the sender is dropped, polling goes on.
                Ok(()) = commits.changed() => false,
                _ = poll.tick() => true,
            };
            if ticked {
                trim_at = self.trim(trim_at).await;
            }
            if let Err(fault) = self.claim(&mut running, &shutdown).await {
                report("receivers could not be claimed", &fault);
            }
        }
        while let Some(ended) = running.join_next().await {
            notice(ended);
        }
    }

    /// Delivers until nothing is due; returns the number of claims.
    pub async fn run_until_idle(self: &Arc<Self>) -> Result<u64, Fault> {
        let (_sender, shutdown) = watch::channel(false);
        let mut running = JoinSet::new();
        let mut count = 0;
        loop {
            count += self.claim(&mut running, &shutdown).await?;
            let Some(ended) = running.join_next().await else {
                return Ok(count);
            };
            notice(ended);
        }
    }

    /// The `iss` of a tenant's tokens, which is also the URL below which its receivers find this server.
    pub fn issuer(&self, tenant: &str) -> String {
        self.ports.renderer.issuer(tenant)
    }

    /// Sends a message that is about no resource.
    pub async fn test(&self, receiver: &Receiver) -> Result<Reception, Fault> {
        let now = self.ports.clock.now();
        let message = self
            .ports
            .renderer
            .test(receiver, self.ports.ids.id(), now)
            .await?;
        Ok(self
            .ports
            .event_delivery
            .send(receiver, &message, now)
            .await)
    }

    /// Takes the acknowledgements of a polling receiver; returns ids with tokens, and whether there are more.
    pub async fn poll(
        &self,
        receiver: &Receiver,
        said: Acknowledgements,
        limit: usize,
    ) -> Result<(Vec<(String, String)>, bool), Fault> {
        let now = self.ports.clock.now();
        let answer = self
            .ports
            .receivers
            .poll(receiver, said, limit, now)
            .await?;
        let mut tokens = Vec::with_capacity(answer.events.len());
        for told in self
            .ports
            .renderer
            .for_receiver(receiver, answer.events)
            .await?
        {
            tokens.push((
                told.0.id(),
                self.ports.renderer.token(receiver, &told, now).await?,
            ));
        }
        Ok((tokens, answer.more))
    }

    async fn trim(&self, due: Timestamp) -> Timestamp {
        let now = self.ports.clock.now();
        if now < due {
            return due;
        }
        let kept = SignedDuration::from_hours(24 * i64::from(self.options.retention_days));
        let before = now.checked_sub(kept).unwrap_or(Timestamp::MIN);
        match self
            .ports
            .log
            .trim_events(before, self.options.trim_rows_max)
            .await
        {
            Ok(trimmed) if trimmed > 0 => now,
            Ok(_) => now.checked_add(TRIM_EVERY).unwrap_or(Timestamp::MAX),
            Err(fault) => {
                report("the change log could not be trimmed", &fault);
                now.checked_add(TRIM_EVERY).unwrap_or(Timestamp::MAX)
            }
        }
    }

    async fn claim(
        self: &Arc<Self>,
        running: &mut JoinSet<Result<(), Fault>>,
        shutdown: &watch::Receiver<bool>,
    ) -> Result<u64, Fault> {
        let room = lock(&self.room).clone();
        let claimed = self
            .ports
            .receivers
            .claim_receivers(self.ports.clock.now(), self.lease(), room)
            .await?;
        let mut count = 0;
        for receiver in claimed {
            let (delivering, shutdown, place) = (
                Arc::clone(self),
                shutdown.clone(),
                Place::take(&self.room, &receiver),
            );
            running.spawn(async move {
                let _place = place;
                delivering.deliver(receiver, &shutdown).await
            });
            count += 1;
        }
        Ok(count)
    }

    fn lease(&self) -> Timestamp {
        retry::after(
            self.ports.clock.now(),
            u64::from(self.options.lease_seconds) * 1_000,
        )
    }

    /// Delivers to a claimed receiver until the log ends or something fails.
    async fn deliver(
        &self,
        mut receiver: Receiver,
        shutdown: &watch::Receiver<bool>,
    ) -> Result<(), Fault> {
        let receivers = &self.ports.receivers;
        if !self.deliver_again(&receiver).await? {
            return Ok(());
        }
        loop {
            let events = self
                .ports
                .log
                .read_events(receiver.tenant, receiver.cursor, self.options.events_max)
                .await?;
            let end = events
                .last()
                .map_or(receiver.cursor, |event| event.sequence);
            let mut wanted = self.wanted(&receiver, events).await?;
            while !wanted.is_empty() && !*shutdown.borrow() {
                // An event that failed is sent alone, so that it delays those after it only while it is tried.
                let most = if receiver.kind == ReceiverKind::Webhook && receiver.attempts == 0 {
                    receiver.settings.batch_max
                } else {
                    1
                };
                let count = wanted
                    .len()
                    .min(usize::try_from(most).unwrap_or(usize::MAX).max(1));
                let batch: Vec<LoggedEvent> = wanted.drain(..count).collect();
                receiver.cursor = batch.last().map_or(receiver.cursor, |event| event.sequence);
                match self.send(&receiver, batch).await? {
                    Sent::Taken => receiver.attempts = 0,
                    Sent::Not(delivery) => {
                        let goes_on = matches!(delivery, Delivery::DeadLetter { .. });
                        let lease = goes_on.then(|| self.lease());
                        if !receivers
                            .record_delivery(&receiver, delivery, lease)
                            .await?
                            || !goes_on
                        {
                            return Ok(());
                        }
                        receiver.attempts = 0;
                        continue;
                    }
                }
                let done = Delivery::Done {
                    cursor: receiver.cursor,
                    at: Some(self.ports.clock.now()),
                };
                if !receivers
                    .record_delivery(&receiver, done, Some(self.lease()))
                    .await?
                {
                    return Ok(());
                }
            }
            let is_stopping = !wanted.is_empty();
            let is_end = is_stopping
                || end == receiver.cursor
                    && self.ports.log.window(receiver.tenant).await?.newest <= end;
            receiver.cursor = if is_stopping { receiver.cursor } else { end };
            let lease = (!is_end).then(|| self.lease());
            let done = Delivery::Done {
                cursor: receiver.cursor,
                at: None,
            };
            if !receivers.record_delivery(&receiver, done, lease).await? || is_end {
                return Ok(());
            }
        }
    }

    /// The events that the receiver wants, in order.
    async fn wanted(
        &self,
        receiver: &Receiver,
        events: Vec<LoggedEvent>,
    ) -> Result<VecDeque<LoggedEvent>, Fault> {
        let chosen: HashSet<String> = if receiver.settings.chosen_only {
            let ids = events
                .iter()
                .map(|event| event.resource_id.clone())
                .collect();
            self.ports
                .receivers
                .chosen(receiver.tenant, receiver.id, ids)
                .await?
                .into_iter()
                .collect()
        } else {
            HashSet::new()
        };
        Ok(events
            .into_iter()
            .filter(|event| receiver.wants(event, chosen.contains(&event.resource_id)))
            .collect())
    }

    async fn send(&self, receiver: &Receiver, batch: Vec<LoggedEvent>) -> Result<Sent, Fault> {
        let told = self.ports.renderer.for_receiver(receiver, batch).await?;
        let reception = self.send_told(receiver, &told).await?;
        let events = || told.iter().map(|(event, _)| event.clone()).collect();
        Ok(match reception {
            Reception::Taken => Sent::Taken,
            Reception::Gone { why } => Sent::Not(Delivery::Pause { error: why }),
            Reception::Refused { why } => Sent::Not(Delivery::DeadLetter {
                events: events(),
                error: why,
            }),
            Reception::Later { why, .. }
                if told.len() == 1 && receiver.attempts + 1 >= receiver.settings.attempts_max =>
            {
                Sent::Not(Delivery::DeadLetter {
                    events: events(),
                    error: after_attempts(&why, receiver.attempts + 1),
                })
            }
            Reception::Later { why, retry_after } => {
                let now = self.ports.clock.now();
                let random = self
                    .ports
                    .ids
                    .secret()
                    .first_chunk::<8>()
                    .map_or(0, |bytes| u64::from_be_bytes(*bytes));
                let backoff =
                    retry::after(now, retry::backoff_milliseconds(receiver.attempts, random));
                let due =
                    retry_after.map_or(backoff, |wait| retry::resume_at(now, wait).max(backoff));
                Sent::Not(Delivery::RetryAt { due, error: why })
            }
        })
    }

    /// Sends with the secrets that the receiver has now: a claim lasts as long as there are events, and the secrets may have changed since it began.
    async fn send_told(
        &self,
        claimed: &Receiver,
        told: &[WithResource],
    ) -> Result<Reception, Fault> {
        let Some(receiver) = &self
            .ports
            .receivers
            .read_receiver(claimed.tenant, claimed.id)
            .await?
        else {
            return Ok(Reception::Gone {
                why: "it was removed".into(),
            });
        };
        let now = self.ports.clock.now();
        let message = match (receiver.kind, told.first()) {
            (ReceiverKind::Webhook, _) => EventRenderer::webhook(receiver, told, now),
            (_, Some(one)) => Message::Token(self.ports.renderer.token(receiver, one, now).await?),
            (_, None) => return Ok(Reception::Taken),
        };
        Ok(self
            .ports
            .event_delivery
            .send(receiver, &message, now)
            .await)
    }

    /// Delivers the dead letters that an administrator wants delivered again, until one fails. False where the claim is no longer the newest.
    async fn deliver_again(&self, receiver: &Receiver) -> Result<bool, Fault> {
        let undelivered = self
            .ports
            .receivers
            .list_undelivered(
                receiver.tenant,
                receiver.id,
                UndeliveredState::Again,
                self.options.events_max,
            )
            .await?;
        for one in undelivered {
            let sequence = one.event.sequence;
            let told = self
                .ports
                .renderer
                .for_receiver(receiver, vec![one.event])
                .await?;
            let error = match self.send_told(receiver, &told).await? {
                Reception::Taken => None,
                Reception::Later { why, .. }
                | Reception::Refused { why }
                | Reception::Gone { why } => Some(why),
            };
            let failed = error.is_some();
            if !self
                .ports
                .receivers
                .record_redelivery(receiver, sequence, error)
                .await?
            {
                return Ok(false);
            }
            if failed {
                break;
            }
        }
        Ok(true)
    }
}

/// The place of a claimed receiver in the room; it becomes free when this is dropped.
struct Place {
    room: Arc<Mutex<ReceiverRoom>>,
    tenant: TenantId,
    attempts: u32,
}

impl Place {
    fn take(room: &Arc<Mutex<ReceiverRoom>>, receiver: &Receiver) -> Self {
        lock(room).begin(receiver.tenant, receiver.attempts);
        Self {
            room: Arc::clone(room),
            tenant: receiver.tenant,
            attempts: receiver.attempts,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.room).end(self.tenant, self.attempts);
    }
}

fn lock(room: &Mutex<ReceiverRoom>) -> MutexGuard<'_, ReceiverRoom> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Logs how a claim ended. After a failure the lease runs out, and the events are sent again.
fn notice(ended: Result<Result<(), Fault>, tokio::task::JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => report("a receiver could not be served", &fault),
        Err(error) => tracing::error!(%error, "a delivery broke off"),
    }
}

fn report(what: &str, fault: &Fault) {
    tracing::error!(fault = fault as &dyn std::error::Error, "{what}");
}
