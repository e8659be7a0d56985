//! The request log of a tenant: what came, what it was understood as, what was adapted, what changed, and what was refused. The port, and what an entry
//! holds; never a secret. Does not store anything, and no request waits for it.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use scim_protocol::quirk::{Adaptation, Quirk};
use scim_protocol::{SchemaSet, TypeSchema, redaction};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::journal::{Learned, Touched};
use crate::store::Fault;
use crate::tenant::TenantId;

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestEntry {
    /// As in the header `X-Request-Id` of its answer.
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub id: Uuid,
    /// When it came.
    pub at: Timestamp,
    /// Its method.
    pub method: String,
    /// Its path below the base URL, with `{id}` in the place of ids.
    pub path: String,
    /// Name of the resource type it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// The id of the resource it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// Its query parameters, redacted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<(String, String)>,
    /// The public id of the credential; `None` where none was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Name of the client profile under which it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// `User-Agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// The `scimType` of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scim_type: Option<String>,
    /// The `detail` of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How long the answer took, in microseconds.
    pub duration_micros: u64,
    /// Whether it was only rehearsed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Size of the body, in bytes.
    #[serde(default)]
    pub body_bytes: u64,
    /// The body, redacted; `None` where it had none, was no JSON, or was too large to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Received>,
    /// The messages after quirks had rewritten them, redacted; only where one did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub understood: Vec<Value>,
    /// What quirks changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adaptations: Vec<Adaptation>,
    /// What changed in the directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Touched>,
}

/// How much of a tenant's request log is kept: the newest entries, as far as each of these bounds allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Nothing older.
    pub since: Timestamp,
    /// Most entries.
    pub rows_max: u64,
    /// Most bytes of all entries together.
    pub bytes_max: u64,
}

/// A body as JSON: the text that came where nothing of it had to be hidden.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Received(Box<RawValue>);

impl Received {
    /// `None` where it is no JSON.
    fn redacted(body: Vec<u8>, kind: &BodyKind) -> Option<Self> {
        let body = String::from_utf8(body).ok()?;
        if let BodyKind::Resource(schema) = kind
            && redaction::resource_stays(schema, &body)
        {
            return RawValue::from_string(body).ok().map(Self);
        }
        let body = serde_json::from_str(&body).ok()?;
        let kept = match kind {
            BodyKind::Resource(schema) => redaction::resource(schema, body),
            BodyKind::Patch(schema) => redaction::patch(schema, body),
            BodyKind::Bulk(schemas) => redaction::bulk(schemas, body),
            BodyKind::Search(types) => redaction::search(
                &types.iter().map(|schema| &**schema).collect::<Vec<_>>(),
                body,
            ),
        };
        serde_json::value::to_raw_value(&kept).ok().map(Self)
    }

    /// What it says.
    pub fn value(&self) -> Value {
        // A raw value is JSON, by its making.
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }
}

impl PartialEq for Received {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

fn write_id<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn read_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(D::Error::custom)
}

/// What a body is, so that it can be redacted.
#[derive(Clone, Debug)]
pub enum BodyKind {
    /// Of a POST or PUT.
    Resource(Arc<TypeSchema>),
    /// Of a PATCH.
    Patch(Arc<TypeSchema>),
    /// Of a bulk request.
    Bulk(SchemaSet),
    /// Of a `.search`, of one type or all.
    Search(Vec<Arc<TypeSchema>>),
}

/// An entry before its bodies are read again and redacted, which is done after the request was answered.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The tenant whose log it belongs to.
    pub tenant: TenantId,
    /// The rest of the entry.
    pub entry: RequestEntry,
    /// The body as it came, where it is to be kept.
    pub body: Option<(Vec<u8>, BodyKind)>,
    /// Query parameters as they came, and the types that were searched.
    pub query: Vec<(String, String)>,
    /// The resource types that the query is about.
    pub types: Vec<Arc<TypeSchema>>,
}

impl Draft {
    /// Adds the journal of the request.
    pub fn learn(&mut self, learned: Learned) {
        self.entry.adaptations.extend(learned.adaptations);
        self.entry.understood = learned.understood;
        self.entry.changes = learned.changes;
    }

    /// Redacts.
    pub fn finish(self) -> (TenantId, RequestEntry) {
        let Self {
            tenant,
            mut entry,
            body,
            query,
            types,
        } = self;
        let types: Vec<&TypeSchema> = types.iter().map(|schema| &**schema).collect();
        entry.query = query
            .iter()
            .map(|(name, value)| redaction::parameter(&types, name, value))
            .collect();
        entry.received = body.and_then(|(body, kind)| Received::redacted(body, &kind));
        (tenant, entry)
    }
}

/// Which entries are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFilter {
    /// From this status on.
    pub status_min: u16,
    /// Up to this status.
    pub status_max: u16,
    /// Where this quirk acted.
    pub quirk: Option<Quirk>,
    /// About this resource.
    pub resource_id: Option<String>,
    /// By this credential.
    pub credential: Option<String>,
    /// Not older.
    pub since: Option<Timestamp>,
    /// Older than this entry.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: usize,
}

impl Default for RequestFilter {
    fn default() -> Self {
        Self {
            status_min: 0,
            status_max: 999,
            quirk: None,
            resource_id: None,
            credential: None,
            since: None,
            before: None,
            limit: 50,
        }
    }
}

/// How often a quirk acted for a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuirkUse {
    /// Which.
    pub quirk: String,
    /// The public id of the credential.
    pub credential: String,
    /// In how many requests.
    pub requests: u64,
    /// The last of them.
    pub last_used: Timestamp,
}

/// Request logs of tenants, apart from identities.
#[async_trait]
pub trait RequestLog: Send + Sync {
    /// Writes an entry down soon. Never waits: where too much is waiting to be written, it is dropped and counted.
    fn record(&self, draft: Draft);
    /// How many entries this process has dropped.
    fn dropped(&self) -> u64;
    /// Waits until everything recorded so far can be read.
    async fn flush(&self) -> Result<(), Fault>;
    /// One entry.
    async fn find(&self, tenant: TenantId, id: Uuid) -> Result<Option<RequestEntry>, Fault>;
    /// Entries, newest first.
    async fn list(
        &self,
        tenant: TenantId,
        filter: RequestFilter,
    ) -> Result<Vec<RequestEntry>, Fault>;
    /// How often each quirk acted for each client; kept longer than the entries.
    async fn quirk_uses(&self, tenant: TenantId) -> Result<Vec<QuirkUse>, Fault>;
    /// Deletes what is not kept; how many entries were deleted.
    async fn prune(&self, tenant: TenantId, kept: Kept) -> Result<u64, Fault>;
    /// Deletes everything of a tenant.
    async fn erase(&self, tenant: TenantId) -> Result<(), Fault>;
}
