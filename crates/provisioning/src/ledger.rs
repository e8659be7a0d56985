//! The ports of the engine: `Catalogue` for settings, `Ledger` for work. Each method is one atomic, retryable step.

use async_trait::async_trait;
use directory::audit::Entry;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::application::{
    Application, ApplicationId, ApplicationSettings, ApplicationState, Secret,
};
use crate::lanes::Room;
use crate::link::Link;
use crate::provisioning_log::{LogEntry, ProvisioningLog};

/// What an administrator says of a new application.
#[derive(Clone, Debug)]
pub struct NewApplication {
    /// Its name.
    pub name: String,
    /// Where its SCIM API begins.
    pub base_url: String,
    /// Its bearer token.
    pub token: Secret,
    /// How it is spoken to.
    pub settings: ApplicationSettings,
    /// When it was added.
    pub at: Timestamp,
}

/// Applications. What changes something stores the audit entry of the act in the tenant's chain, in the same transaction.
#[async_trait]
pub trait Catalogue: Send + Sync {
    /// Adds one and marks every User and Group of the tenant out of date for it; `None` where the name is taken.
    async fn add_application(
        &self,
        tenant: TenantId,
        new: NewApplication,
        entry: Entry,
    ) -> Result<Option<Application>, Fault>;
    /// All of a tenant, by name.
    async fn list_applications(&self, tenant: TenantId) -> Result<Vec<Application>, Fault>;
    /// Pauses or resumes; false where there is none.
    async fn set_application_state(
        &self,
        tenant: TenantId,
        id: ApplicationId,
        state: ApplicationState,
        entry: Entry,
    ) -> Result<bool, Fault>;
    /// Gives one another token; false where there is none.
    async fn set_application_token(
        &self,
        tenant: TenantId,
        id: ApplicationId,
        token: Secret,
        entry: Entry,
    ) -> Result<bool, Fault>;
    /// Forgets one with its links, outbox and log; the accounts over there stay. False where there is none.
    async fn remove_application(
        &self,
        tenant: TenantId,
        id: ApplicationId,
        entry: Entry,
    ) -> Result<bool, Fault>;
    /// Marks one pair, or every User and Group of the tenant and everything that is linked, out of date and to be verified; says how many pairs. 0, and
    /// nothing is stored, where there is no such application.
    async fn compare_again(
        &self,
        tenant: TenantId,
        id: ApplicationId,
        one: Option<OutOfDate>,
        at: Timestamp,
        entry: Entry,
    ) -> Result<u64, Fault>;
}

/// A change-log row that has not been dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedChange {
    /// Its place in the tenant's order.
    pub sequence: i64,
    /// Type of the resource.
    pub resource_type: String,
    /// Id of the resource.
    pub resource_id: String,
    /// Whether the resource is gone.
    pub deleted: bool,
    /// Whether somebody was taken out of the group that it is.
    pub member_left: bool,
    /// What `active` is from then on, where it changed.
    pub active: Option<bool>,
    /// What changed.
    pub touched: Touched,
    /// When it was committed.
    pub at: Timestamp,
}

/// What a change touched, as far as the log knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// Everything: the resource was made or is gone, or the log does not know.
    Everything,
    /// These attributes, by their canonical names; those of an extension begin with its URN.
    Attributes(Vec<String>),
}

impl Touched {
    /// Takes in what another change touched.
    pub fn add(&mut self, other: Self) {
        match (&mut *self, other) {
            (Self::Attributes(names), Self::Attributes(more)) => names.extend(more),
            (Self::Everything, _) => {}
            (_, Self::Everything) => *self = Self::Everything,
        }
    }
}

/// A pair (application, resource) that is out of date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfDate {
    /// The application.
    pub application: ApplicationId,
    /// Type of the resource.
    pub resource_type: String,
    /// Id of the resource.
    pub resource_id: String,
    /// Lower goes first: 0 revocations, 1 on demand, 2 people and things, 3 groups.
    pub priority: i16,
    /// When it may first be tried.
    pub due: Timestamp,
    /// Whether the account is to be read and compared, not only what was last acknowledged.
    pub verify: bool,
}

/// A claimed outbox entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The tenant.
    pub tenant: TenantId,
    /// The application.
    pub application: ApplicationId,
    /// Type of the resource.
    pub resource_type: String,
    /// Id of the resource.
    pub resource_id: String,
    /// Grows whenever the pair is marked again; `record` removes the entry only where it is still this.
    pub generation: i64,
    /// How often it was tried before.
    pub attempts: u32,
    /// Proves that the lease is still ours.
    pub fence: i64,
    /// Whether the account is to be read first: somebody asked for it, or an earlier claim was never recorded (a crash).
    pub verify: bool,
    /// How long the lease lasts.
    pub lease_until: Timestamp,
    /// How many requests to the application stayed without an answer since it last answered.
    pub unanswered: u32,
}

/// What becomes of a claimed entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The claim.
    pub claim: Claim,
    /// The link from now on: unchanged, set, or removed.
    pub link: LinkChange,
    /// Lines for the provisioning log.
    pub log: Vec<LogEntry>,
    /// When it came to this.
    pub at: Timestamp,
    /// What next.
    pub next: Next,
    /// Ids of resources it refers to that have no account there yet. The pair is marked out of date when one of them gets a linked account, in the
    /// same transaction as that link. `None`: as before.
    pub awaits: Option<Vec<String>>,
    /// Other pairs of the same application that this makes out of date (the groups of a user whose account was made anew).
    pub also: Vec<OutOfDate>,
    /// Whether the application answers.
    pub reach: Reach,
}

/// What a claim found out about whether its application answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing that the ledger does not know.
    Known,
    /// It answers again.
    Answers,
    /// It does not answer.
    Silent {
        /// How many requests stayed without an answer since it last answered.
        unanswered: u32,
        /// No entry of it is claimed before this.
        until: Timestamp,
    },
}

/// What becomes of the link.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkChange {
    /// Nothing.
    Keep,
    /// This.
    Set(Link),
    /// It is gone.
    Remove,
}

/// What becomes of the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Done; the entry goes unless it was marked again meanwhile.
    Done,
    /// Again, not before; counts as an attempt.
    RetryAt(Timestamp),
    /// Again, not before; counts as no attempt, and no other entry of the application is claimed until then.
    PauseUntil(Timestamp),
    /// Not before something changes.
    Hold,
}

/// How an application stands. Each pair that is out of date counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncStatus {
    /// Pairs out of date that were not tried yet.
    pub waiting: u64,
    /// Pairs that were tried and failed, and are tried again.
    pub retrying: u64,
    /// Pairs that are held until something changes.
    pub held: u64,
    /// Links.
    pub linked: u64,
}

/// The longest time for which a Group waits for Users that keep coming.
pub const GROUP_WAIT_SECONDS_MAX: i64 = 30;

/// What became of a link that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is written.
    Written,
    /// Another resource is linked to the account; nothing is written.
    Taken,
    /// The lease was lost; nothing is written.
    LeaseLost,
}

/// Work, and the log of it, as both are written together.
#[async_trait]
pub trait Ledger: ProvisioningLog {
    /// Tenants that have changes after their cursor.
    async fn tenants_with_changes(&self) -> Result<Vec<TenantId>, Fault>;
    /// Changes after the tenant's cursor, in order.
    async fn read_changes(
        &self,
        tenant: TenantId,
        limit: usize,
    ) -> Result<Vec<LoggedChange>, Fault>;
    /// Writes outbox entries (one per pair; an older one is renewed) and moves the cursor, in one transaction.
    async fn mark_out_of_date(
        &self,
        tenant: TenantId,
        cursor: Option<i64>,
        pairs: Vec<OutOfDate>,
    ) -> Result<(), Fault>;
    /// Claims due entries of live applications that do not rest, by priority, oldest first; of each application as many as `room` has free for it. A Group is not
    /// claimed while a User of the same application waits that was not tried before, unless it is a revocation (priority 0) or has waited for
    /// `GROUP_WAIT_SECONDS_MAX`.
    /// Opens no write transaction where nothing is due.
    async fn claim(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        room: Room,
    ) -> Result<Vec<Claim>, Fault>;
    /// Extends a lease; false where it was lost.
    async fn renew(&self, claim: &Claim, lease_until: Timestamp) -> Result<bool, Fault>;
    /// The application of a claim.
    async fn read_application(
        &self,
        tenant: TenantId,
        id: ApplicationId,
    ) -> Result<Option<Application>, Fault>;
    /// One link.
    async fn read_link(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_type: &str,
        resource_id: &str,
    ) -> Result<Option<Link>, Fault>;
    /// Remote ids of linked resources: (resource id, remote id).
    async fn read_remote_ids(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_ids: Vec<String>,
    ) -> Result<Vec<(String, String)>, Fault>;
    /// The resource that is linked to an account, where there is one.
    async fn find_linked(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_type: &str,
        remote_id: &str,
    ) -> Result<Option<String>, Fault>;
    /// Whether an application may be sent something now: it is there and live, its tenant is not suspended, and it did not ask us to wait.
    async fn is_served(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        now: Timestamp,
    ) -> Result<bool, Fault>;
    /// Whether a resource is out of date over there and will be looked after without anybody's help.
    async fn is_waiting(
        &self,
        tenant: TenantId,
        application: ApplicationId,
        resource_id: &str,
    ) -> Result<bool, Fault>;
    /// Writes a link before a request whose answer may be lost, and where an account was made or adopted; in the same transaction, the lines of the log
    /// about what led to it. Where the link is not written, nor are these.
    async fn write_link(
        &self,
        claim: &Claim,
        link: Link,
        log: Vec<LogEntry>,
    ) -> Result<Written, Fault>;
    /// Records an outcome in one transaction; where the lease was lost, nothing but the lines of the log, each of them once.
    async fn record(&self, record: Record) -> Result<(), Fault>;
    /// How an application stands.
    async fn status(
        &self,
        tenant: TenantId,
        application: ApplicationId,
    ) -> Result<SyncStatus, Fault>;
}
