//! The ports of events: `EventLog` reads what happened, `Receivers` keeps the receivers and how far each of them is, `SigningKeys` signs tokens, and
//! `EventDelivery` sends to a receiver. Each method is one atomic, retryable step. A method that an administrator changes something through takes the audit entry, and appends it
//! to the tenant's chain in the same transaction, where something has changed.

use async_trait::async_trait;
use directory::audit::Entry;
use directory::retry::RetryAfter;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::event::LoggedEvent;
use crate::receiver::{
    Receiver, ReceiverId, ReceiverKind, ReceiverSettings, ReceiverState, Secrets, Undelivered,
    UndeliveredState,
};
use crate::room::ReceiverRoom;

/// Which events the log of a tenant holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The place before the oldest event; a reader cannot go on from an older place.
    pub oldest: i64,
    /// The place of the newest event.
    pub newest: i64,
}

/// What happened.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// What the log holds.
    async fn window(&self, tenant: TenantId) -> Result<Window, Fault>;
    /// The events after a place, in order.
    async fn read_events(
        &self,
        tenant: TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, Fault>;
    /// Deletes at most `rows` rows of each tenant that are older than `before`, that the outbox has taken in, and that every receiver has got.
    async fn trim_events(&self, before: Timestamp, rows: usize) -> Result<u64, Fault>;
}

/// What an administrator asks for with a new receiver.
#[derive(Clone, Debug)]
pub struct NewReceiver {
    /// Its name.
    pub name: String,
    /// How it is told.
    pub kind: ReceiverKind,
    /// Where it listens.
    pub url: String,
    /// What it wants.
    pub settings: ReceiverSettings,
    /// Its secret.
    pub secrets: Secrets,
    /// Whether it gets everything that the log holds, and not only new events.
    pub from_oldest: bool,
    /// When it was added.
    pub at: Timestamp,
}

/// What became of the events after the cursor of a claimed receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Everything up to this cursor was delivered or not wanted.
    Done {
        /// The new cursor.
        cursor: i64,
        /// When something was delivered; `None`: nothing was.
        at: Option<Timestamp>,
    },
    /// The delivery failed and is tried again.
    RetryAt {
        /// Not before this time.
        due: Timestamp,
        /// Why.
        error: String,
    },
    /// These become dead letters, and the cursor goes behind them.
    DeadLetter {
        /// The events.
        events: Vec<LoggedEvent>,
        /// Why.
        error: String,
    },
    /// The receiver says that it is gone for good. Nothing more is sent until an administrator resumes it.
    Pause {
        /// What went wrong, as `receiver::failure` writes it.
        error: String,
    },
}

/// A resource that is added to the feed of a receiver or taken out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Type of the resource.
    pub resource_type: String,
    /// Id of the resource.
    pub resource_id: String,
    /// Whether it is in the feed from now on.
    pub chosen: bool,
    /// The id of this change.
    pub change_id: Uuid,
    /// When.
    pub at: Timestamp,
}

/// What a polling receiver says about the events that it got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledgements {
    /// Ids of the events that it accepts.
    pub taken: Vec<String>,
    /// Ids of the events that it refuses, and why.
    pub refused: Vec<(String, String)>,
}

/// What a polling receiver gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PollAnswer {
    /// The events, in order.
    pub events: Vec<LoggedEvent>,
    /// Whether more events can be fetched at once.
    pub more: bool,
}

/// Receivers.
#[async_trait]
pub trait Receivers: Send + Sync {
    /// Adds one; `None` where the name is taken.
    async fn add_receiver(
        &self,
        tenant: TenantId,
        new: NewReceiver,
        entry: Entry,
    ) -> Result<Option<Receiver>, Fault>;
    /// All of a tenant, by name.
    async fn list_receivers(&self, tenant: TenantId) -> Result<Vec<Receiver>, Fault>;
    /// One as it is now.
    async fn read_receiver(
        &self,
        tenant: TenantId,
        id: ReceiverId,
    ) -> Result<Option<Receiver>, Fault>;
    /// Pauses or resumes one, and ends the wait after a failed attempt; false where there is none.
    async fn set_receiver_state(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        state: ReceiverState,
        entry: Entry,
    ) -> Result<bool, Fault>;
    /// Gives it other secrets; false where there is none.
    async fn set_receiver_secrets(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        secrets: Secrets,
        entry: Entry,
    ) -> Result<bool, Fault>;
    /// Deletes one with everything that waits for it; false where there is none.
    async fn remove_receiver(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        entry: Entry,
    ) -> Result<bool, Fault>;
    /// Adds a resource to the feed of a receiver or takes it out, and logs an event that says so. False where nothing changes or there is no such receiver.
    async fn choose(
        &self,
        receiver: &Receiver,
        choice: Choice,
        entry: Entry,
    ) -> Result<bool, Fault>;
    /// Which of these resources are in the feed of a receiver.
    async fn chosen(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        resource_ids: Vec<String>,
    ) -> Result<Vec<String>, Fault>;
    /// Claims receivers, of all tenants, that have something to get now: as many as `room` admits, each under a lease.
    async fn claim_receivers(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        room: ReceiverRoom,
    ) -> Result<Vec<Receiver>, Fault>;
    /// Records what became of the next events of a claimed receiver. The lease goes on until `lease_until`, or ends. False where the claim is no longer the
    /// newest or the receiver is no longer served; the caller then stops sending.
    async fn record_delivery(
        &self,
        claim: &Receiver,
        delivery: Delivery,
        lease_until: Option<Timestamp>,
    ) -> Result<bool, Fault>;
    /// The undelivered events of a receiver in this state, oldest first.
    async fn list_undelivered(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        state: UndeliveredState,
        limit: usize,
    ) -> Result<Vec<Undelivered>, Fault>;
    /// Marks dead letters (`None`: all of them) to be delivered again; says how many.
    async fn redeliver(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        sequence: Option<i64>,
        entry: Entry,
    ) -> Result<u64, Fault>;
    /// Deletes dead letters (`None`: all of them); says how many.
    async fn discard(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        sequence: Option<i64>,
        entry: Entry,
    ) -> Result<u64, Fault>;
    /// Records what became of a dead letter that was sent again: without an error it is deleted, with one it is a dead letter as before.
    async fn record_redelivery(
        &self,
        claim: &Receiver,
        sequence: i64,
        error: Option<String>,
    ) -> Result<bool, Fault>;
    /// Takes the acknowledgements of a polling receiver, then gives it events: first those that it got and did not acknowledge, then new ones.
    async fn poll(
        &self,
        receiver: &Receiver,
        said: Acknowledgements,
        limit: usize,
        now: Timestamp,
    ) -> Result<PollAnswer, Fault>;
}

/// A key with which tokens are signed. The private half never leaves the store.
#[derive(Clone, Debug, PartialEq)]
pub struct SigningKey {
    /// Its id (`kid`).
    pub id: String,
    /// The public half as a JSON Web Key.
    pub public: Value,
    /// When it was made.
    pub created: Timestamp,
    /// When another key replaced it.
    pub retired: Option<Timestamp>,
}

/// After so many days a key is replaced by itself.
pub const KEY_DAYS_MAX: i64 = 90;
/// For so many days a key that was replaced stays published, so that a receiver can verify the tokens that it has.
pub const KEY_OVERLAP_DAYS: i64 = 7;

/// The signing keys of tenants.
#[async_trait]
pub trait SigningKeys: Send + Sync {
    /// A signed token (JWS, compact) of this type with these claims. Makes a key where the tenant has none or its key is too old.
    async fn sign(
        &self,
        tenant: TenantId,
        token_type: &str,
        claims: &Value,
        now: Timestamp,
    ) -> Result<String, Fault>;
    /// The published keys, the newest first.
    async fn signing_keys(
        &self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Vec<SigningKey>, Fault>;
    /// Makes a new key. The old ones stay published for a while; with `distrust_old` they are published no longer. The audit entry is about the new key: its
    /// `on` becomes the id of that key.
    async fn rotate_keys(
        &self,
        tenant: TenantId,
        now: Timestamp,
        distrust_old: bool,
        entry: Entry,
    ) -> Result<SigningKey, Fault>;
}

/// What a receiver is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// To a webhook.
    Webhook {
        /// Its id, which is the same in every attempt.
        id: String,
        /// The JSON text that is signed.
        body: String,
    },
    /// One token.
    Token(String),
}

/// What a receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It accepted the message.
    Taken,
    /// It did not accept it now.
    Later {
        /// What went wrong, as `receiver::failure` writes it.
        why: String,
        /// When it wants to be asked again.
        retry_after: Option<RetryAfter>,
    },
    /// It will never accept this message.
    Refused {
        /// What went wrong, as `receiver::failure` writes it.
        why: String,
    },
    /// It no longer exists.
    Gone {
        /// What went wrong, as `receiver::failure` writes it.
        why: String,
    },
}

/// Sends to receivers.
#[async_trait]
pub trait EventDelivery: Send + Sync {
    /// Sends one message once.
    async fn send(&self, receiver: &Receiver, message: &Message, now: Timestamp) -> Reception;
}
