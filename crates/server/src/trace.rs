//! What is seen of one request on its way, for the request log of its tenant. Reads no body twice and waits for nobody; what may be kept of a body is decided
//! where the log is written.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use access::client::ClientRecord;
use directory::access::Caller;
use directory::journal::Journal;
use directory::request_log::{BodyKind, Draft, RequestEntry};
use directory::tenant::{Tenant, TenantId};
use http::header::USER_AGENT;
use http::request::Parts;
use jiff::Timestamp;
use scim_protocol::{Error, TypeSchema};
use uuid::Uuid;

use crate::address::Connection;

/// Longest text from a header or a path that is kept, in characters.
const TEXT_CHARACTERS_MAX: usize = 200;

/// The refusal that an answer holds, beside the answer itself.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub scim_type: Option<&'static str>,
    pub detail: String,
}

/// What is known of a request once it is answered.
pub(crate) struct Answered {
    pub id: Uuid,
    pub at: Timestamp,
    pub method: String,
    pub micros: u64,
    pub status: u16,
}

impl Refusal {
    pub(crate) fn of(error: &Error) -> Self {
        Self {
            scim_type: error.kind().scim_type(),
            detail: error.detail().to_owned(),
        }
    }
}

#[derive(Debug, Default)]
struct Seen {
    tenant_name: Option<String>,
    tenant: Option<(TenantId, u32)>,
    credential: Option<String>,
    profile: Option<String>,
    peer: Option<String>,
    user_agent: Option<String>,
    path: Option<String>,
    resource: Option<(String, Option<String>)>,
    query: Vec<(String, String)>,
    types: Vec<Arc<TypeSchema>>,
    body: Option<(Vec<u8>, BodyKind)>,
    body_bytes: u64,
    dry_run: bool,
}

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    seen: Arc<Mutex<Seen>>,
    /// Filled by the directory.
    pub journal: Journal,
}

impl Trace {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tenant that the URL names, and who seems to ask.
    pub(crate) fn named(&self, tenant: &str, parts: &Parts) {
        let mut seen = self.seen();
        seen.tenant_name = Some(tenant.to_owned());
        seen.peer = parts
            .extensions
            .get::<Connection>()
            .map(|connection| connection.peer.ip().to_canonical().to_string());
        seen.user_agent = parts
            .headers
            .get(USER_AGENT)
            .and_then(|agent| agent.to_str().ok())
            .map(shortened);
    }

    /// Who asks.
    pub(crate) fn called(&self, caller: &Caller) {
        let mut seen = self.seen();
        seen.tenant = Some((caller.tenant.id, caller.tenant.settings.request_log_days));
        seen.credential = Some(caller.credential_id.clone());
        seen.profile = caller.profile().map(|profile| profile.name.clone());
    }

    /// A client that showed at the token endpoint who it is.
    pub(crate) fn called_by_client(&self, tenant: &Tenant, client: &ClientRecord) {
        let mut seen = self.seen();
        seen.tenant = Some((tenant.id, tenant.settings.request_log_days));
        seen.credential = Some(client.id.clone());
    }

    /// A tenant whose caller was refused.
    pub(crate) fn refused(&self, tenant: TenantId, days: u32) {
        self.seen().tenant = Some((tenant, days));
    }

    /// The tenant that the URL named, where nobody of it was let in.
    pub(crate) fn unknown_caller_of(&self) -> Option<String> {
        let seen = self.seen();
        if seen.tenant.is_none() {
            seen.tenant_name.clone()
        } else {
            None
        }
    }

    /// Where it leads.
    pub(crate) fn routed(&self, path: String, resource: Option<(String, Option<String>)>) {
        let mut seen = self.seen();
        seen.path = Some(path);
        seen.resource = resource.map(|(name, id)| (name, id.as_deref().map(shortened)));
    }

    /// Its query, and what it is about.
    pub(crate) fn asked(&self, query: &[(String, String)], types: &[Arc<TypeSchema>]) {
        let mut seen = self.seen();
        seen.query = query.to_vec();
        seen.types = types.to_vec();
    }

    /// Its body, kept up to this size.
    pub(crate) fn received(&self, bytes: &[u8], kind: Option<BodyKind>, bytes_max: usize) {
        if bytes.len() > bytes_max {
            self.journal.keep_no_messages();
        }
        let mut seen = self.seen();
        seen.body_bytes = bytes.len() as u64;
        seen.body = kind
            .filter(|_| bytes.len() <= bytes_max)
            .map(|kind| (bytes.to_vec(), kind));
    }

    /// Nothing of it is kept.
    pub(crate) fn rehearsed(&self) {
        self.seen().dry_run = true;
    }

    pub(crate) fn is_dry_run(&self) -> bool {
        self.seen().dry_run
    }

    /// The entry, where the request belongs to a tenant that keeps any.
    pub(crate) fn draft(&self, answered: Answered, refusal: Option<Refusal>) -> Option<Draft> {
        let Answered {
            id,
            at,
            method,
            micros,
            status,
        } = answered;
        let seen = std::mem::take(&mut *self.seen());
        let (tenant, _) = seen.tenant.filter(|(_, days)| *days > 0)?;
        let (resource_type, resource_id) = seen
            .resource
            .map_or((None, None), |(name, id)| (Some(name), id));
        let entry = RequestEntry {
            id,
            at,
            method,
            path: seen.path.unwrap_or_default(),
            resource_type,
            resource_id,
            query: Vec::new(),
            credential: seen.credential,
            profile: seen.profile,
            peer: seen.peer,
            user_agent: seen.user_agent,
            status,
            scim_type: refusal
                .as_ref()
                .and_then(|refusal| refusal.scim_type)
                .map(str::to_owned),
            detail: refusal.map(|refusal| {
                refusal
                    .detail
                    .chars()
                    .take(4 * TEXT_CHARACTERS_MAX)
                    .collect()
            }),
            duration_micros: micros,
            dry_run: seen.dry_run,
            body_bytes: seen.body_bytes,
            received: None,
            understood: Vec::new(),
            adaptations: Vec::new(),
            changes: Vec::new(),
        };
        let mut draft = Draft {
            tenant,
            entry,
            body: seen.body,
            query: seen.query,
            types: seen.types,
        };
        draft.learn(self.journal.take());
        Some(draft)
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_CHARACTERS_MAX).collect()
}
