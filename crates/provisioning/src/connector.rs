//! The port to an application: what can be asked of it and what it answers. Decides nothing about answers; `outcome` does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use directory::store::Fault;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::application::Application;

/// What an application says it can do.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// Whether it can PATCH.
    pub patch: bool,
    /// Whether it can filter.
    pub filter: bool,
    /// Writable attributes by schema URN in lower case, then by name in lower case; `None` where it does not publish its schemas.
    pub attributes: Option<BTreeMap<String, WritableAttributes>>,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { patch: true, filter: true, attributes: None }
    }
}

/// Writable attributes of a schema with their writable sub-attributes, names in lower case; an empty set: not complex.
pub type WritableAttributes = BTreeMap<String, BTreeSet<String>>;

/// What was sent and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Method and path, as the log shows them.
    pub request: String,
    /// The body that was sent, without secrets.
    pub body: Option<Value>,
    /// What came of it.
    pub reply: Reply,
    /// How long it took.
    pub milliseconds: u64,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// An answer.
    Answer(Answer),
    /// It certainly never left.
    NotSent(String),
    /// It may have had its effect.
    Lost(String),
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, where it is a JSON object.
    pub body: Option<Map<String, Value>>,
    /// The beginning of a body that is not.
    pub text: String,
    /// `Retry-After`.
    pub retry_after: Option<RetryAfter>,
}

/// `Retry-After` (RFC 9110 section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// So many seconds from now.
    Seconds(u64),
    /// At this instant.
    At(Timestamp),
}

impl Answer {
    /// Whether it is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
    /// Whether the body looks like SCIM: a JSON object with `schemas`, or an error with `detail`/`status`.
    pub fn is_scim(&self) -> bool {
        self.body.as_ref().is_some_and(|body| ["schemas", "scimtype", "detail"].iter().any(|name| get(body, name).is_some()))
    }
}

/// A member of a JSON object, its name compared without case.
pub fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// One application. Each method sends one request (`find` where the application cannot filter: as many as it has pages).
#[async_trait]
pub trait Target: Send + Sync {
    /// What it can do. An `Exchange` where it cannot be reached; what it merely does not publish has its default.
    async fn discover(&self) -> Result<Capabilities, Box<Exchange>>;
    /// Resources with this value: a list response.
    async fn find(&self, resource_type: &str, attribute: &str, value: &str, filter: bool) -> Exchange;
    /// One resource.
    async fn read(&self, resource_type: &str, remote_id: &str) -> Exchange;
    /// Makes one.
    async fn create(&self, resource_type: &str, body: Map<String, Value>) -> Exchange;
    /// Replaces one.
    async fn replace(&self, resource_type: &str, remote_id: &str, body: Map<String, Value>) -> Exchange;
    /// Changes one; the body is a PATCH message.
    async fn patch(&self, resource_type: &str, remote_id: &str, body: Value) -> Exchange;
    /// Deletes one.
    async fn delete(&self, resource_type: &str, remote_id: &str) -> Exchange;
}

/// Makes a `Target` of an application's settings.
pub trait Connector: Send + Sync {
    /// Sends nothing. Fails where the settings cannot work (a base URL that is none).
    fn connect(&self, application: &Application) -> Result<Arc<dyn Target>, Fault>;
}
