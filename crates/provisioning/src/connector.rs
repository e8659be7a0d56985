//! The port to an application: what can be asked of it, in the words of accounts, and what came of it. Knows no protocol and decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
pub use directory::retry::RetryAfter;
use directory::store::Fault;
use scim_protocol::TypeSchema;
use serde_json::Value;

use crate::account::{Account, AccountChange, AccountId, NewAccount, Replacement};
use crate::application::Application;
use crate::matching::Lookup;
use crate::proof::{Acknowledged, Listing};

/// What an application says it can do.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// Whether parts of an account can be changed (else it is replaced as a whole).
    pub patch: bool,
    /// Whether it can look for accounts (else all of them are listed).
    pub filter: bool,
    /// Writable attributes by schema URN in lower case, then by name in lower case; `None` where it does not publish its schemas.
    pub attributes: Option<BTreeMap<String, WritableAttributes>>,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            patch: true,
            filter: true,
            attributes: None,
        }
    }
}

/// Writable attributes of a schema with their writable sub-attributes, names in lower case; an empty set: not complex.
pub type WritableAttributes = BTreeMap<String, BTreeSet<String>>;

/// One request, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange<T> {
    /// What the log shows of it.
    pub trace: Trace,
    /// How long the application wants to be left alone from now on, where it says so; also after a success.
    pub wait: Option<RetryAfter>,
    /// What came of it.
    pub outcome: Outcome<T>,
}

/// What the provisioning log shows of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// What was sent, as a person reads it: method and path, where it is HTTP.
    pub request: String,
    /// The body that was sent, without secrets.
    pub body: Option<Value>,
    /// The status of the answer, where there is one.
    pub status: Option<u16>,
    /// What the application said, in its own words, or why there is no answer. Nothing where it did what it was asked.
    pub said: String,
    /// How long it took.
    pub milliseconds: u64,
}

/// What came of a request.
pub type Outcome<T> = Result<T, Failure>;

/// Why a request did not do what it was to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The application refused it; it had no effect.
    Refused(Refusal),
    /// Too fast; it had no effect.
    Throttled,
    /// It certainly never left.
    NotReached,
    /// It may have had its effect.
    Unknown {
        /// Whether there was an answer that says so (else there was none).
        answered: bool,
    },
    /// The application does not accept our credential.
    Unauthorized,
    /// There is an answer that is none: a page of HTML, an error that calls itself a success, another account. It may have had its effect.
    NotUnderstood,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of which kind.
    pub kind: RefusalKind,
    /// Which attribute of those that were sent it names.
    pub attribute: Option<String>,
}

/// Kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// Another account has a value that is unique.
    Uniqueness,
    /// Something is in the way, and the application does not say what.
    Conflict,
    /// The account is not as it was when it was last read.
    Version,
    /// A value is not accepted.
    InvalidValue,
    /// The account is not there; the application says so in a form that nothing else uses.
    Gone,
    /// Something is not there: the account, or the whole interface.
    NotFound,
    /// The application does not offer this.
    NotOffered,
    /// Our credential does not allow this.
    Forbidden,
    /// Anything else.
    Other,
}

/// An account that was made.
#[derive(Clone, Debug, PartialEq)]
pub enum Created {
    /// This one.
    Shown(Account),
    /// The application says which id it has, and shows no more of it.
    Named(AccountId),
    /// The application does not say which id it has.
    Unnamed,
}

/// One application. Each method sends one request (`list` as many as there are pages).
#[async_trait]
pub trait Target: Send + Sync {
    /// What it can do; what it does not publish has its default.
    async fn discover(&self) -> Exchange<Capabilities>;
    /// Accounts with this value, by the application's own search.
    async fn find(&self, schema: &TypeSchema, lookup: &Lookup) -> Exchange<Listing>;
    /// All accounts.
    async fn list(&self, schema: &TypeSchema) -> Exchange<Listing>;
    /// One account.
    async fn read(&self, schema: &TypeSchema, id: &AccountId) -> Exchange<Account>;
    /// Makes one.
    async fn create(&self, schema: &TypeSchema, account: &NewAccount) -> Exchange<Created>;
    /// Changes parts of one.
    async fn change(&self, schema: &TypeSchema, change: &AccountChange) -> Exchange<Acknowledged>;
    /// Replaces one as a whole.
    async fn replace(
        &self,
        schema: &TypeSchema,
        replacement: &Replacement,
    ) -> Exchange<Acknowledged>;
    /// Removes one.
    async fn remove(&self, schema: &TypeSchema, id: &AccountId) -> Exchange<Acknowledged>;
}

/// Makes a `Target` of an application's settings.
pub trait Connector: Send + Sync {
    /// Sends nothing. Fails where the settings cannot work (a base URL that is none).
    fn connect(&self, application: &Application) -> Result<Arc<dyn Target>, Fault>;
}
