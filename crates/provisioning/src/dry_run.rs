//! *(shell)* A dry run: the machine of the worker with a target that only writes down what it would be sent. Reads the application, changes nothing there,
//! and records nothing here.

use std::sync::Arc;

use directory::store::{Fault, Store};
use directory::tenant::TenantId;
use jiff::Timestamp;
use scim_protocol::SchemaSet;
use serde_json::{Map, Value, json};

use crate::account::{Account, AccountChange, AccountId};
use crate::application::Application;
use crate::connector::{Connector, Created, Exchange, Trace};
use crate::knowledge::Knowledge;
use crate::ledger::{Claim, Ledger, Next, Written};
use crate::machine::{self, Command, Event, Reply, Request};
use crate::proof::Acknowledged;
use crate::provisioning_log::LogEntry;
use crate::worker::{Subject, WorkerOptions, owners, send, situation};

/// The id that an account has in a plan that would make it.
const TO_BE_MADE: &str = "(to be made)";

/// What a dry run reads.
pub struct DryRun {
    /// Identities.
    pub store: Arc<dyn Store>,
    /// Links.
    pub ledger: Arc<dyn Ledger>,
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
        let schemas = SchemaSet::standard();
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
                        None => paper.note(send(&*target, &schema, &request).await),
                    }))
                }
                Command::FindOwners { ids, types } => {
                    Event::Owners(owners(&*self.ledger, tenant, application.id, ids, &types).await?)
                }
                Command::WriteLink(_, more) => {
                    lines.extend(more);
                    Event::LinkWritten(Written::Written)
                }
                Command::Record(record) => {
                    lines.extend(record.log);
                    return Ok(Some(Plan {
                        writes: paper.writes,
                        next: record.next,
                        lines,
                    }));
                }
                Command::Leave(more) => {
                    lines.extend(more);
                    return Ok(Some(Plan {
                        writes: paper.writes,
                        next: Next::Done,
                        lines,
                    }));
                }
            };
            (state, command) = machine::next(state, event, now);
        }
    }
}

/// What would be sent, and the account as it would be then.
#[derive(Default)]
struct Paper {
    writes: Vec<Request>,
    account: Option<Account>,
}

impl Paper {
    /// Writes a request down and answers as an application that keeps the RFC; `None` where the request changes nothing, so that it may be sent.
    fn write(&mut self, request: &Request) -> Option<Reply> {
        if !request.is_write() {
            // What would have been changed is as it would be then.
            let is_it =
                |account: &&Account| matches!(request, Request::Read(id) if *id == account.id);
            let account = self
                .account
                .as_ref()
                .filter(|_| !self.writes.is_empty())
                .filter(is_it)?;
            return Some(Reply::Read(done(account.clone())));
        }
        self.writes.push(request.clone());
        Some(match request {
            Request::Create(new) => {
                let mut attributes = new.attributes.clone();
                attributes.insert("id".into(), TO_BE_MADE.into());
                let made = Account::of_json(attributes).map(|account| {
                    let members =
                        (!new.members.is_empty()).then(|| new.members.keys().cloned().collect());
                    Account { members, ..account }
                });
                self.account.clone_from(&made);
                Reply::Created(done(made.map_or(Created::Unnamed, Created::Shown)))
            }
            Request::Change(change) => Reply::Written(done(self.change(change))),
            Request::Replace(whole) => {
                let mut attributes = whole.attributes.clone();
                attributes.insert("id".into(), whole.id.as_str().into());
                self.account = Account::of_json(attributes).map(|account| Account {
                    members: Some(whole.members.keys().cloned().collect()),
                    ..account
                });
                Reply::Written(done(self.acknowledgement(&whole.id)))
            }
            _ => Reply::Written(done(Acknowledged::silently())),
        })
    }

    fn change(&mut self, change: &AccountChange) -> Acknowledged {
        if let Some(account) = &mut self.account {
            for edit in &change.edits {
                edit.place.put(&mut account.attributes, edit.value.clone());
            }
            if let Some(members) = &mut account.members {
                members.retain(|id| !change.removed.contains(id));
                members.extend(change.added.keys().cloned());
            }
        }
        self.acknowledgement(&change.id)
    }

    fn acknowledgement(&self, id: &AccountId) -> Acknowledged {
        self.account
            .clone()
            .and_then(|account| Acknowledged::showing(id, account))
            .unwrap_or_else(Acknowledged::silently)
    }

    /// Remembers the account that was read.
    fn note(&mut self, reply: Reply) -> Reply {
        if let Reply::Read(Exchange {
            outcome: Ok(account),
            ..
        }) = &reply
        {
            self.account = Some(account.clone());
        }
        reply
    }
}

fn done<T>(value: T) -> Exchange<T> {
    Exchange {
        trace: Trace::default(),
        wait: None,
        outcome: Ok(value),
    }
}

impl Request {
    /// What it would do, in a word, to which account, and with what: for people.
    pub fn explain(&self) -> (&'static str, Option<&AccountId>, Value) {
        let members = |members: &crate::account::Members| {
            Value::from(members.keys().cloned().collect::<Vec<_>>())
        };
        let whole = |attributes: &Map<String, Value>, ids: &crate::account::Members| {
            let mut shown = attributes.clone();
            if !ids.is_empty() {
                shown.insert("members".into(), members(ids));
            }
            Value::Object(shown)
        };
        match self {
            Self::Discover => ("discover", None, Value::Null),
            Self::Find(lookup) => ("find", None, json!({ lookup.attribute: lookup.value })),
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
