//! *(shell)* A dry run: the machine of the worker with a target that only writes down what it would be sent. Reads the application, changes nothing there,
//! and records nothing here.

mod paper;

use std::sync::Arc;

use directory::store::{Fault, Store};
use directory::tenant::TenantId;
use jiff::Timestamp;
use scim_protocol::TypeSchema;
use serde_json::{Map, Value, json};

use self::paper::Paper;
use crate::account::{AccountId, Members};
use crate::application::{Application, ApplicationId};
use crate::connector::{Connector, Target};
use crate::knowledge::Knowledge;
use crate::ledger::{Claim, Ledger, Next, Written};
use crate::machine::{self, Command, Event, Request, Situation};
use crate::provisioning_log::LogEntry;
use crate::types::Types;
use crate::worker::{Owners, Subject, WorkerOptions, send, situation};

/// What a dry run reads.
pub struct DryRun {
    /// Identities.
    pub store: Arc<dyn Store>,
    /// Links.
    pub ledger: Arc<dyn Ledger>,
    /// Schemas.
    pub types: Types,
    /// The way to applications.
    pub connector: Arc<dyn Connector>,
}

/// What would be done about one resource.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the application would be sent, in order.
    pub writes: Vec<Request>,
    /// What would become of the pair if the application did all that.
    pub next: Next,
    /// Lines that the log would have.
    pub lines: Vec<LogEntry>,
}

impl DryRun {
    /// What would be sent to an application about a resource, once its account is compared with the directory.
    pub async fn plan(
        &self,
        tenant: TenantId,
        application: &Application,
        resource_type: &str,
        resource_id: &str,
        now: Timestamp,
    ) -> Result<Option<Plan>, Fault> {
        let schemas = self.types.of(tenant).await?;
        let Some(schema) = schemas.by_name(resource_type).cloned() else {
            return Ok(None);
        };
        let claim = Claim {
            tenant,
            application: application.id,
            resource_type: resource_type.to_owned(),
            resource_id: resource_id.to_owned(),
            generation: 0,
            attempts: 0,
            fence: 0,
            verify: true,
            lease_until: now,
            unanswered: 0,
        };
        let target = self.connector.connect(application)?;
        let limits = WorkerOptions::default().limits();
        let subject = Subject {
            claim,
            application: application.clone(),
            schema: Arc::clone(&schema),
            knowledge: Knowledge::default(),
            limits,
            random: 0,
        };
        let situation = situation(&*self.store, &*self.ledger, subject).await?;
        self.rehearse(&*target, &schema, situation, now)
            .await
            .map(Some)
    }

    /// Performs the commands of the machine; what would change something is only written down.
    async fn rehearse(
        &self,
        target: &dyn Target,
        schema: &TypeSchema,
        situation: Situation,
        now: Timestamp,
    ) -> Result<Plan, Fault> {
        let (tenant, application): (TenantId, ApplicationId) =
            (situation.claim.tenant, situation.application.id);
        let mut paper = Paper::default();
        let mut lines = Vec::new();
        let (mut state, mut command) = machine::start(situation, now);
        loop {
            let event = match command {
                Command::Ask {
                    request,
                    lines: more,
                    ..
                } => {
                    lines.extend(more);
                    Event::Answered(Box::new(match paper.write(&request) {
                        Some(reply) => reply,
                        None => paper.note(send(target, schema, &request).await),
                    }))
                }
                Command::FindOwners {
                    ids,
                    types,
                    with_names,
                } => {
                    let search = Owners {
                        store: with_names.then_some(&*self.store),
                        ledger: &*self.ledger,
                        tenant,
                        application,
                        schema,
                    };
                    Event::Owners(search.find(ids, &types).await?)
                }
                Command::WriteLink(_, more) => {
                    lines.extend(more);
                    Event::LinkWritten(Written::Written)
                }
                Command::Record(record) => {
                    lines.extend(record.log);
                    return Ok(Plan {
                        writes: paper.writes,
                        next: record.next,
                        lines,
                    });
                }
                Command::Leave(more) => {
                    lines.extend(more);
                    return Ok(Plan {
                        writes: paper.writes,
                        next: Next::Done,
                        lines,
                    });
                }
            };
            (state, command) = machine::next(state, event, now);
        }
    }
}

impl Request {
    /// What it would do, in a word, to which account, and with what: for people.
    pub fn explain(&self) -> (&'static str, Option<&AccountId>, Value) {
        let members = |members: &Members| Value::from(members.keys().cloned().collect::<Vec<_>>());
        let whole = |attributes: &Map<String, Value>, ids: &Members| {
            let mut shown = attributes.clone();
            if !ids.is_empty() {
                shown.insert("members".into(), members(ids));
            }
            Value::Object(shown)
        };
        match self {
            Self::Discover => ("discover", None, Value::Null),
            Self::Find(lookup) => (
                "find",
                None,
                json!({ lookup.attribute.as_str(): lookup.value }),
            ),
            Self::List => ("list", None, Value::Null),
            Self::Read(id) => ("read", Some(id), Value::Null),
            Self::Create(new) => ("create", None, whole(&new.attributes, &new.members)),
            Self::Change(change) => {
                let mut shown = Map::new();
                for edit in &change.edits {
                    shown.insert(
                        edit.place.to_string(),
                        edit.value.clone().unwrap_or_default(),
                    );
                }
                if !change.added.is_empty() {
                    shown.insert("members added".into(), members(&change.added));
                }
                if !change.removed.is_empty() {
                    shown.insert(
                        "members removed".into(),
                        Value::from(change.removed.iter().cloned().collect::<Vec<_>>()),
                    );
                }
                ("change", Some(&change.id), Value::Object(shown))
            }
            Self::Replace(replacement) => (
                "replace",
                Some(&replacement.id),
                whole(&replacement.attributes, &replacement.members),
            ),
            Self::Remove(id) => ("delete", Some(id), Value::Null),
        }
    }
}
