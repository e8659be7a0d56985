//! The ports of events out: `EventLog` for what happened, `Receivers` for who is told and how far they are, `SigningKeys` for tokens, `Courier` for the way
//! to receivers. Each method is one atomic, retryable step. A method that an administrator changes something through takes the audit entry, and appends it
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
    Parcel, ParcelState, Receiver, ReceiverId, ReceiverKind, ReceiverSettings, ReceiverState,
    Secrets,
};
use crate::room::ReceiverRoom;

/// Which events a tenant's log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The place before the oldest event; a reader cannot go on from an older one.
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
    /// Forgets at most so many rows of each tenant that are older than this, that the outbox knows, and that no receiver still has to be told of.
    async fn trim_events(&self, before: Timestamp, rows: usize) -> Result<u64, Fault>;
}

/// What an administrator says of a new receiver.
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
    /// Whether it is told of everything that the log holds, and not only of what comes.
    pub from_oldest: bool,
    /// When it was added.
    pub at: Timestamp,
}

/// What becomes of the events after a claimed receiver's cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Delivered, or not wanted, up to here. `at` is given where something was delivered.
    Done {
        /// The new cursor.
        cursor: i64,
        /// When something was delivered.
        at: Option<Timestamp>,
    },
    /// Again, not before.
    RetryAt {
        /// When.
        due: Timestamp,
        /// Why.
        error: String,
    },
    /// These are put aside; the cursor goes behind them.
    PutAside {
        /// The events.
        events: Vec<LoggedEvent>,
        /// Why.
        error: String,
    },
    /// The receiver is gone for good, as it says: nothing more is sent until an administrator resumes it.
    Pause {
        /// What went wrong, as `receiver::failure` writes it.
        error: String,
    },
}

/// A resource that is added to a receiver's feed, or taken out.
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

/// What one that polls says about what it was handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledgements {
    /// Ids of events that it has.
    pub taken: Vec<String>,
    /// Ids of events that it refuses, and why.
    pub refused: Vec<(String, String)>,
}

/// What one that polls gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handout {
    /// The events, in order.
    pub events: Vec<LoggedEvent>,
    /// Whether there are more at once.
    pub more: bool,
}

/// Who is told.
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
    /// Pauses or resumes (and forgets the wait of a failed attempt); false where there is none.
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
    /// Forgets one with everything that waits for it; false where there is none.
    async fn remove_receiver(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        entry: Entry,
    ) -> Result<bool, Fault>;
    /// Adds a resource to a receiver's feed or takes it out, and tells the receiver so in the tenant's order. False where it was so already, or where there
    /// is no such receiver.
    async fn choose(
        &self,
        receiver: &Receiver,
        choice: Choice,
        entry: Entry,
    ) -> Result<bool, Fault>;
    /// Which of these resources are in a receiver's feed.
    async fn chosen(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        resource_ids: Vec<String>,
    ) -> Result<Vec<String>, Fault>;
    /// Receivers of all tenants that something is to be sent to now, each under a lease, as many as `room` admits.
    async fn claim_receivers(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        room: ReceiverRoom,
    ) -> Result<Vec<Receiver>, Fault>;
    /// Records what became of a claimed receiver's next events; the lease goes on until then, or ends. False where the claim is no longer the newest or the
    /// receiver is no longer served: then the sender stops.
    async fn record_delivery(
        &self,
        claim: &Receiver,
        delivery: Delivery,
        lease_until: Option<Timestamp>,
    ) -> Result<bool, Fault>;
    /// Events that are not simply before or after the cursor, in this state, oldest first.
    async fn list_parcels(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        state: ParcelState,
        limit: usize,
    ) -> Result<Vec<Parcel>, Fault>;
    /// Wants events that were put aside delivered again (`None`: all); how many.
    async fn redeliver(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        sequence: Option<i64>,
        entry: Entry,
    ) -> Result<u64, Fault>;
    /// Forgets events that were put aside (`None`: all); how many.
    async fn discard(
        &self,
        tenant: TenantId,
        id: ReceiverId,
        sequence: Option<i64>,
        entry: Entry,
    ) -> Result<u64, Fault>;
    /// Records what became of one event that was delivered again: it goes, or is put aside once more.
    async fn record_parcel(
        &self,
        claim: &Receiver,
        sequence: i64,
        error: Option<String>,
    ) -> Result<bool, Fault>;
    /// Takes the acknowledgements of one that polls, then hands out: first what was handed out and not acknowledged, then what is new.
    async fn poll(
        &self,
        receiver: &Receiver,
        said: Acknowledgements,
        limit: usize,
        now: Timestamp,
    ) -> Result<Handout, Fault>;
}

/// A key with which tokens are signed; the private half never leaves the store.
#[derive(Clone, Debug, PartialEq)]
pub struct SigningKey {
    /// Its id (`kid`).
    pub id: String,
    /// The public half as a JSON Web Key.
    pub public: Value,
    /// When it was made.
    pub created: Timestamp,
    /// When another took its place.
    pub retired: Option<Timestamp>,
}

/// After so many days a key is replaced without being asked.
pub const KEY_DAYS_MAX: i64 = 90;
/// A key that was replaced stays published for so many days: a receiver that takes longer to verify a token asks for it again.
pub const KEY_OVERLAP_DAYS: i64 = 7;

/// Keys of tenants.
#[async_trait]
pub trait SigningKeys: Send + Sync {
    /// A signed token (JWS, compact) of this type with these claims. Makes the first key, and a new one in the place of one that is too old.
    async fn sign(
        &self,
        tenant: TenantId,
        token_type: &str,
        claims: &Value,
        now: Timestamp,
    ) -> Result<String, Fault>;
    /// The keys that receivers may still need to verify a token, the newest first.
    async fn signing_keys(
        &self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Vec<SigningKey>, Fault>;
    /// Makes a new key. The old ones stay published for a while, or, where they may be in wrong hands, not a moment. The audit entry is about the new key: its
    /// `on` becomes the id of that key.
    async fn rotate_keys(
        &self,
        tenant: TenantId,
        now: Timestamp,
        distrust_old: bool,
        entry: Entry,
    ) -> Result<SigningKey, Fault>;
}

/// What is sent to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// To a webhook.
    Webhook {
        /// Its id: the same in every attempt.
        id: String,
        /// The JSON text, which is what is signed.
        body: String,
    },
    /// One token.
    Token(String),
}

/// What a receiver said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It has it.
    Taken,
    /// Not now.
    Later {
        /// What went wrong, as `receiver::failure` writes it.
        why: String,
        /// When it wants to be asked again.
        retry_after: Option<RetryAfter>,
    },
    /// It will never take this.
    Refused {
        /// What went wrong, as `receiver::failure` writes it.
        why: String,
    },
    /// It is there no more.
    Gone {
        /// What went wrong, as `receiver::failure` writes it.
        why: String,
    },
}

/// The way to receivers.
#[async_trait]
pub trait Courier: Send + Sync {
    /// Sends once.
    async fn send(&self, receiver: &Receiver, message: &Message, now: Timestamp) -> Reception;
}
