//! *(shell)* One claim, from what it is about to what is recorded of it: reads the subject, asks `plan`, sends one request after the other, keeps the lease.
//! What each step sends is in `lookup` and `write`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use directory::store::{Fault, Include, StoredResource};
use jiff::Timestamp;
use scim_protocol::TypeSchema;
use serde_json::{Map, Value};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::application::Application;
use crate::connector::{Capabilities, Exchange, Reply, Target};
use crate::ledger::{Claim, LinkChange, Next, OutOfDate, Record, Written};
use crate::link::{Link, LinkState};
use crate::mapping::{self, Desired};
use crate::outcome::{self, Outcome};
use crate::pacing::{self, Contact};
use crate::plan::{self, Situation, Step};
use crate::provisioning_log::LogEntry;
use crate::scope::{self, Scope};
use crate::worker::{Connection, Worker};

/// What follows a step.
pub(super) enum Flow {
    /// The next step.
    Again,
    /// Nothing more in this claim.
    End(Next),
    /// Another account has the name: whether that is for a person to decide is found out first.
    Conflict(&'static str, Box<Exchange>),
    /// The lease is somebody else's: nothing more may be sent or recorded.
    LeaseLost,
}

/// No line of the provisioning log shows more of a body.
const LOGGED_BODY_BYTES_MAX: usize = 16 * 1_024;

/// One claim on its way.
#[expect(clippy::struct_excessive_bools, reason = "five independent facts of one run, not one state")]
pub(crate) struct Run<'a> {
    pub(super) worker: &'a Worker,
    pub(super) claim: Claim,
    pub(super) application: Application,
    pub(super) schema: Arc<TypeSchema>,
    pub(super) connection: Connection,
    pub(super) capabilities: Arc<Capabilities>,
    /// The link as it is now.
    pub(super) link: Option<Link>,
    /// The link as the ledger has it.
    stored: Option<Link>,
    subject: Option<StoredResource>,
    pub(super) scope: Scope,
    pub(super) desired: Option<Desired>,
    /// Whether PATCH works for this resource.
    pub(super) patch: bool,
    /// Whether the account is still to be read because somebody asked for it.
    pub(super) verify: bool,
    /// Whether the account was gone once in this run.
    vanished: bool,
    /// Whether a create or a rename met another account once in this run.
    pub(super) conflicted: bool,
    /// Whether an account was made that did not tell its id.
    pub(super) unnamed: bool,
    log: Vec<LogEntry>,
    pub(super) also: Vec<OutOfDate>,
    /// Whether the application answers.
    contact: Contact,
}

impl<'a> Run<'a> {
    /// A claim that has not begun.
    pub(crate) fn new(
        worker: &'a Worker,
        claim: Claim,
        application: Application,
        schema: Arc<TypeSchema>,
        connection: Connection,
        link: Option<Link>,
    ) -> Self {
        Self {
            verify: claim.verify,
            stored: link.clone(),
            capabilities: Arc::default(),
            subject: None,
            scope: Scope::Ignored,
            desired: None,
            patch: true,
            vanished: false,
            conflicted: false,
            unnamed: false,
            log: Vec::new(),
            also: Vec::new(),
            contact: Contact::default(),
            worker,
            claim,
            application,
            schema,
            connection,
            link,
        }
    }

    /// Takes the claim as far as it gets and records it.
    pub(crate) async fn finish(mut self) -> Result<(), Fault> {
        let next = match self.advance().await {
            Ok(Some(next)) => next,
            stopped => {
                // What was sent was sent, whoever goes on from here.
                self.write_lines().await?;
                if stopped.is_ok() {
                    tracing::warn!(application.id = self.application.id.0, resource.id = %self.claim.resource_id, "lost a lease");
                }
                return stopped.map(drop);
            }
        };
        let link = match &self.link {
            same if *same == self.stored => LinkChange::Keep,
            Some(link) => LinkChange::Set(link.clone()),
            None => LinkChange::Remove,
        };
        let awaits = match (self.scope, self.desired) {
            (Scope::Wanted, desired) => desired.map(|desired| desired.awaits),
            _ => Some(Vec::new()),
        };
        let at = self.worker.clock.now();
        let reach = self.contact.reach(self.claim.unanswered, at, self.worker.random());
        self.worker.ledger.record(Record { claim: self.claim, link, log: self.log, at, next, awaits, also: self.also, reach }).await
    }

    /// `None`: the lease was lost.
    async fn advance(&mut self) -> Result<Option<Next>, Fault> {
        let include = Include { members: self.schema.name() == "Group", groups: true };
        self.subject = self.worker.store.read(self.claim.tenant, &self.claim.resource_type, &self.claim.resource_id, include).await?;
        self.scope = scope::evaluate(&self.claim.resource_type, self.subject.as_ref(), &self.application.settings);
        if self.scope == Scope::Ignored || (self.scope == Scope::Revoked && self.link.is_none()) {
            return Ok(Some(Next::Done));
        }
        let (worker, connection) = (self.worker, self.connection.clone());
        let Some(found) = self.keep_lease(worker.capabilities(&connection)).await? else { return Ok(None) };
        match found {
            Ok(capabilities) => self.capabilities = capabilities,
            Err(exchange) => {
                self.contact.hear(&exchange.reply);
                let flow = self.fail("discover", &exchange);
                return self.conclude(flow).await;
            }
        }
        self.patch = self.capabilities.patch;
        self.evaluate_desired().await?;
        for number in 0..self.worker.options.steps_max {
            if self.is_half_gone() && !self.renew().await? {
                return Ok(None);
            }
            // Somebody may have paused the application since, or it asked another worker to wait.
            if number > 0 && !self.worker.ledger.is_served(self.claim.tenant, self.claim.application, self.now()).await? {
                break;
            }
            match self.step().await? {
                Flow::Again => {}
                flow => return self.conclude(flow).await,
            }
        }
        // Others get their turn; the rest goes on from what was acknowledged.
        Ok(Some(Next::RetryAt(self.now())))
    }

    /// What is recorded of the claim; `None`: the lease was lost.
    async fn conclude(&mut self, flow: Flow) -> Result<Option<Next>, Fault> {
        let flow = match flow {
            Flow::Conflict(step, exchange) => self.dispute(step, &exchange).await?,
            flow => flow,
        };
        Ok(match flow {
            Flow::Again | Flow::Conflict(..) => Some(Next::Done),
            Flow::End(next) => Some(next),
            Flow::LeaseLost => None,
        })
    }

    async fn step(&mut self) -> Result<Flow, Fault> {
        let step = plan::decide(&Situation {
            schema: &self.schema,
            scope: self.scope,
            desired: self.desired.as_ref(),
            link: self.link.as_ref(),
            patch: self.patch,
            delete_users: self.application.settings.delete_users,
            read_first: self.verify,
            members_max: self.members_max(),
        });
        match step {
            Step::Nothing => Ok(Flow::End(Next::Done)),
            Step::Forget => {
                self.link = None;
                Ok(Flow::End(Next::Done))
            }
            Step::Match(lookups) => self.match_account(lookups).await,
            Step::Read(remote_id) => self.read(&remote_id).await,
            Step::Patch(patch) => self.update(patch).await,
            Step::Replace(remote_id) => self.replace(&remote_id).await,
            Step::Deactivate(remote_id) => self.deactivate(&remote_id).await,
            Step::Delete(remote_id) => self.delete(&remote_id).await,
        }
    }

    /// What the account should be, with the accounts it refers to as they are now.
    pub(super) async fn evaluate_desired(&mut self) -> Result<(), Fault> {
        self.desired = None;
        let Some(subject) = self.subject.as_ref().filter(|_| self.scope == Scope::Wanted) else { return Ok(()) };
        let references = mapping::references(subject);
        let mut remote_ids = std::collections::BTreeMap::new();
        if !references.is_empty() {
            remote_ids.extend(self.worker.ledger.read_remote_ids(self.claim.tenant, self.claim.application, references).await?);
        }
        if let Some(remote_id) = self.link.as_ref().and_then(|link| link.remote_id.clone()) {
            // Somebody may be their own manager.
            remote_ids.insert(subject.id.clone(), remote_id);
        }
        self.desired = Some(mapping::desired(&self.schema, subject, &remote_ids, &self.capabilities));
        Ok(())
    }

    /// Remembers the account, and finds out whether it refers to itself.
    pub(super) async fn link_to(&mut self, link: Link) -> Result<(), Fault> {
        self.link = Some(link);
        if self.desired.as_ref().is_some_and(|desired| desired.awaits.contains(&self.claim.resource_id)) {
            self.evaluate_desired().await?;
        }
        Ok(())
    }

    /// A link of this resource, written now.
    pub(super) fn new_link(
        &self,
        remote_id: Option<String>,
        state: LinkState,
        acknowledged: Map<String, Value>,
        members: Vec<String>,
    ) -> Link {
        Link {
            application: self.application.id,
            resource_type: self.claim.resource_type.clone(),
            resource_id: self.claim.resource_id.clone(),
            remote_id,
            state,
            acknowledged,
            acknowledged_members: members,
            updated: self.now(),
        }
    }

    /// Writes a link before a request whose answer may be lost, and where an account was made or adopted; with it the lines of what led to it.
    pub(super) async fn write_link(&mut self, link: Link) -> Result<Written, Fault> {
        let written = self.worker.ledger.write_link(&self.claim, link.clone(), self.log.clone()).await?;
        if written == Written::Written {
            self.log.clear();
            self.stored = Some(link.clone());
            self.link = Some(link);
        }
        Ok(written)
    }

    /// Writes the lines of the log that wait for the end of the claim.
    async fn write_lines(&mut self) -> Result<(), Fault> {
        if self.log.is_empty() {
            return Ok(());
        }
        self.worker.ledger.write_lines(self.claim.tenant, self.claim.application, self.log.clone()).await?;
        self.log.clear();
        Ok(())
    }

    /// The account is not where we knew it: it is looked for before another is made, and groups that name it are compared again.
    pub(super) fn vanish(&mut self, step: &str, exchange: &Exchange) -> Flow {
        if self.vanished {
            return self.retry(step, exchange, "the account is there and is not there; looking again later");
        }
        self.vanished = true;
        self.note(step, "retry", exchange, "the account is gone; it is looked for before another one is made");
        let acknowledged = self.link.take().map(|link| link.acknowledged).unwrap_or_default();
        self.link = Some(self.new_link(None, LinkState::Creating, acknowledged, Vec::new()));
        let groups = self.subject.iter().flat_map(|subject| &subject.groups).filter(|group| group.direct);
        self.also = groups.map(|group| self.to_verify(&group.resource_type, &group.id)).collect();
        Flow::Again
    }

    /// Another resource whose account is to be read and compared.
    pub(super) fn to_verify(&self, resource_type: &str, resource_id: &str) -> OutOfDate {
        OutOfDate {
            application: self.application.id,
            resource_type: resource_type.to_owned(),
            resource_id: resource_id.to_owned(),
            priority: scope::priority(resource_type, false),
            due: self.now(),
            verify: true,
        }
    }

    /// The resource that an account is linked to.
    pub(super) async fn owner_of(&self, remote_id: Option<&str>) -> Result<Option<String>, Fault> {
        let Some(remote_id) = remote_id else { return Ok(None) };
        self.worker.ledger.find_linked(self.claim.tenant, self.claim.application, &self.claim.resource_type, remote_id).await
    }

    /// What follows an exchange that did not work and that no step knows better about.
    pub(super) fn fail(&mut self, step: &'static str, exchange: &Exchange) -> Flow {
        let now = self.now();
        let forbidden = matches!(&exchange.reply, Reply::Answer(answer) if answer.status == 403);
        match outcome::classify(&exchange.reply, now) {
            Outcome::Throttled(until) => {
                self.note(step, "retry", exchange, "the application asks us to wait");
                Flow::End(Next::PauseUntil(until))
            }
            // A 403 may be about this one account (an owner whom nobody may change): the others are not to wait for it.
            Outcome::Unauthorized if !forbidden => {
                self.note(step, "retry", exchange, "the application refuses our token");
                Flow::End(Next::PauseUntil(pacing::after(now, pacing::UNAUTHORIZED_MILLISECONDS)))
            }
            Outcome::Unauthorized => self.retry(step, exchange, "our token does not allow this"),
            Outcome::Unreachable { .. } => self.retry(step, exchange, ""),
            Outcome::Conflict => Flow::Conflict(step, Box::new(exchange.clone())),
            Outcome::NotOffered => self.retry(step, exchange, "the application does not offer this; is its base URL right?"),
            Outcome::Accepted(_) => self.retry(step, exchange, "the answer cannot be read"),
            Outcome::Gone | Outcome::Refused => self.hold(step, exchange, "the application does not accept this"),
        }
    }

    /// Again after a while.
    pub(super) fn retry(&mut self, step: &str, exchange: &Exchange, why: &str) -> Flow {
        self.note(step, "retry", exchange, why);
        Flow::End(Next::RetryAt(pacing::after(self.now(), pacing::backoff_milliseconds(self.claim.attempts, self.worker.random()))))
    }

    /// Not before something changes.
    pub(super) fn hold(&mut self, step: &str, exchange: &Exchange, why: &str) -> Flow {
        self.note(step, "held", exchange, why);
        Flow::End(Next::Hold)
    }

    /// A line of the provisioning log.
    pub(super) fn note(&mut self, step: &str, outcome: &str, exchange: &Exchange, why: &str) {
        let said = outcome::describe(&exchange.reply);
        let detail = [why, said.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
        self.log.push(LogEntry {
            at: self.now(),
            application: self.application.id,
            resource_type: self.claim.resource_type.clone(),
            resource_id: self.claim.resource_id.clone(),
            display: self.display(),
            step: step.to_owned(),
            outcome: outcome.to_owned(),
            request: exchange.request.clone(),
            request_body: exchange.body.as_ref().map(|body| shorten(body.to_string())),
            status: match &exchange.reply {
                Reply::Answer(answer) => Some(answer.status),
                Reply::NotSent(_) | Reply::Lost(_) => None,
            },
            detail,
            duration_milliseconds: exchange.milliseconds,
            attempt: self.claim.attempts.saturating_add(1),
        });
    }

    /// Takes the last line back, as another is to say what came of the exchange.
    pub(super) fn unnote(&mut self) {
        self.log.pop();
    }

    fn display(&self) -> String {
        let documents = [self.subject.as_ref().map(|subject| &*subject.document), self.link.as_ref().map(|link| &link.acknowledged)];
        let name = documents
            .into_iter()
            .flatten()
            .find_map(|document| ["userName", "displayName"].iter().find_map(|key| document.get(*key)?.as_str()));
        name.unwrap_or(&self.claim.resource_id).to_owned()
    }

    /// Sends a request and takes in whether the application answers; `None` where the lease was lost.
    pub(super) async fn ask(&mut self, request: impl Future<Output = Exchange>) -> Result<Option<Exchange>, Fault> {
        let exchange = self.keep_lease(request).await?;
        if let Some(exchange) = &exchange {
            self.contact.hear(&exchange.reply);
        }
        Ok(exchange)
    }

    /// Waits for a request and renews the lease meanwhile; `None` where it was lost. What was changed over there before is on record when the request leaves;
    /// lookups and reads are not worth a commit of their own.
    async fn keep_lease<T>(&mut self, request: impl Future<Output = T>) -> Result<Option<T>, Fault> {
        if self.log.iter().any(|line| !matches!(line.step.as_str(), "match" | "read")) {
            self.write_lines().await?;
        }
        let half = Duration::from_secs(u64::from(self.worker.options.lease_seconds)).div_f64(2.0).max(Duration::from_millis(100));
        let mut beat = interval_at(Instant::now() + half, half);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(request);
        loop {
            tokio::select! {
                done = &mut request => return Ok(Some(done)),
                _ = beat.tick() => if !self.renew().await? { return Ok(None) },
            }
        }
    }

    async fn renew(&mut self) -> Result<bool, Fault> {
        let until = pacing::after(self.now(), u64::from(self.worker.options.lease_seconds) * 1_000);
        let renewed = self.worker.ledger.renew(&self.claim, until).await?;
        if renewed {
            self.claim.lease_until = until;
        }
        Ok(renewed)
    }

    fn is_half_gone(&self) -> bool {
        pacing::after(self.now(), u64::from(self.worker.options.lease_seconds) * 500) > self.claim.lease_until
    }

    /// Most members in one request.
    pub(super) fn members_max(&self) -> usize {
        self.application.settings.members_per_patch_max.max(1)
    }

    pub(super) fn target(&self) -> Arc<dyn Target> {
        Arc::clone(&self.connection.target)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.worker.clock.now()
    }
}

fn shorten(mut text: String) -> String {
    if text.len() > LOGGED_BODY_BYTES_MAX {
        let end = (0..=LOGGED_BODY_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str(" ...");
    }
    text
}
