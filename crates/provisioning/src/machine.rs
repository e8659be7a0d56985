//! The engine as a machine: what to do about one account, from a claim to what is recorded of it. Pure and total: `start` and `next` say which command comes
//! next; the worker, a dry run and a simulation perform commands and tell what came of them. Nothing is decided anywhere else.

mod adopt;
mod answer;
mod change;
mod conclude;
mod create;
mod dispute;
mod read;
mod refuse;
mod remove;
mod rest;
mod search;
mod vanish;

pub use self::rest::Rest;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use directory::store::StoredResource;
use jiff::Timestamp;
use scim_protocol::TypeSchema;

use crate::account::{Account, AccountChange, AccountId, Members, NewAccount, Replacement};
use crate::application::Application;
use crate::connector::{Capabilities, Created, Exchange, Failure, Trace};
use crate::knowledge::{Fact, Knowledge};
use crate::ledger::{Claim, Next, OutOfDate, Record, Written};
use crate::link::Link;
use crate::machine::search::Search;
use crate::mapping::{self, Desired};
use crate::matching::Lookup;
use crate::pacing::Contact;
use crate::plan::{self, Step};
use crate::proof::{Acknowledged, Listing};
use crate::provisioning_log::LogEntry;
use crate::scope::{self, Scope};

/// A request that was lost sooner than this was cut, and not left waiting.
const SILENT_MILLISECONDS_MIN: u64 = 1_000;

/// All that a claim is about when it begins.
#[derive(Clone, Debug)]
pub struct Situation {
    /// The claim.
    pub claim: Claim,
    /// The application.
    pub application: Application,
    /// The schema of the resource's type.
    pub schema: Arc<TypeSchema>,
    /// The resource as it is now; `None` where it is gone.
    pub subject: Option<StoredResource>,
    /// The link.
    pub link: Option<Link>,
    /// Ids of the accounts of the resources that it refers to, by the ids of these resources.
    pub remote_ids: BTreeMap<String, String>,
    /// What is known of the application.
    pub knowledge: Knowledge,
    /// Limits.
    pub limits: Limits,
    /// A random number, by which waits differ.
    pub random: u64,
}

/// Limits of one claim.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most steps before others get their turn.
    pub steps_max: u32,
    /// How often a refused create or rename is tried again by itself before it is held.
    pub conflicts_max: u32,
}

/// A request to the application.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// What can it do?
    Discover,
    /// Accounts with a value, by its own search.
    Find(Lookup),
    /// All accounts.
    List,
    /// One account.
    Read(AccountId),
    /// Make one.
    Create(NewAccount),
    /// Change parts of one.
    Change(AccountChange),
    /// Replace one as a whole.
    Replace(Replacement),
    /// Remove one.
    Remove(AccountId),
}

impl Request {
    /// Whether it may change something.
    pub fn is_write(&self) -> bool {
        matches!(
            self,
            Self::Create(_) | Self::Change(_) | Self::Replace(_) | Self::Remove(_)
        )
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Ask the application something.
    Ask {
        /// What.
        request: Box<Request>,
        /// Lines of the log that are on record before the request leaves.
        lines: Vec<LogEntry>,
        /// Whether a step begins: it is looked first whether the application may still be sent something.
        is_step: bool,
    },
    /// Find out which resources are linked to accounts.
    FindOwners {
        /// The accounts.
        ids: Vec<AccountId>,
        /// The types of resources that count.
        types: Vec<String>,
        /// Whether the names that the resources have are asked for.
        with_names: bool,
    },
    /// Write the link, and lines of the log with it, before anything else happens.
    WriteLink(Box<Link>, Vec<LogEntry>),
    /// Record what came of the claim; it ends.
    Record(Box<Record>),
    /// The claim is another worker's: only write these lines; it ends.
    Leave(Vec<LogEntry>),
}

/// What came of a command.
#[derive(Clone, Debug)]
pub enum Event {
    /// Of the request that was asked.
    Answered(Box<Reply>),
    /// The application is not to be sent anything now.
    NotServed,
    /// The linked resources by account id.
    Owners(BTreeMap<AccountId, Owner>),
    /// Of the link that was to be written.
    LinkWritten(Written),
    /// The lease is another worker's.
    LeaseLost,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To `Discover`.
    Described(Exchange<Capabilities>),
    /// To `Find` and `List`.
    Listed(Exchange<Listing>),
    /// To `Read`.
    Read(Exchange<Account>),
    /// To `Create`.
    Created(Exchange<Created>),
    /// To `Change`, `Replace` and `Remove`.
    Written(Exchange<Acknowledged>),
}

impl Reply {
    /// Whether the application left the request without an answer; `None`: this says nothing about it. A gateway that says that nothing answers behind it
    /// (502, 504) is no answer. A connection that was cut at once is no silence: it took no place from others.
    pub fn is_silent(&self) -> Option<bool> {
        fn of<T>(Exchange { trace, outcome, .. }: &Exchange<T>) -> Option<bool> {
            match outcome {
                Err(Failure::NotReached) => Some(true),
                Err(Failure::Unknown { answered: false }) => {
                    (trace.milliseconds >= SILENT_MILLISECONDS_MIN).then_some(true)
                }
                Err(Failure::Unknown { answered: true }) => {
                    Some(matches!(trace.status, Some(502 | 504)))
                }
                _ => Some(false),
            }
        }
        match self {
            Self::Described(exchange) => of(exchange),
            Self::Listed(exchange) => of(exchange),
            Self::Read(exchange) => of(exchange),
            Self::Created(exchange) => of(exchange),
            Self::Written(exchange) => of(exchange),
        }
    }
}

/// The resource that is linked to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its id.
    pub resource_id: String,
    /// Whether it is out of date over there and will be looked after without anybody's help.
    pub is_waiting: bool,
    /// The account's id as the link has it, where the letters are in another case.
    pub account_id: Option<AccountId>,
    /// The name that people know it by, where that was asked for.
    pub name: Option<String>,
}

/// What the machine waits for, and what it needs when that comes.
#[derive(Clone, Debug)]
enum Phase {
    Discover,
    Search(Search),
    SearchOwners(Search, BTreeMap<AccountId, Account>, Trace),
    Adopt,
    Announce(NewAccount),
    Create(NewAccount),
    Made(Trace),
    MadeForAnother(Trace),
    Unnamed,
    Read,
    ReadOwners(Box<Account>, Trace),
    Intend(AccountChange, Option<Link>),
    Change(AccountChange, How),
    Remove,
    Removed(Trace),
    Dispute(Dispute),
    DisputeOwners(Dispute),
    Ended,
}

/// How a change was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    InParts,
    AsAWhole,
}

/// Another account is in the way; whether its owner will leave it is found out.
#[derive(Clone, Debug)]
struct Dispute {
    step: &'static str,
    trace: Trace,
    why: &'static str,
    /// Who has the name.
    lookup: Option<Lookup>,
    /// How many accounts are in the way.
    accounts: usize,
    /// How many resources were found to wait for one another.
    chain: u32,
    /// The resource that has the name that is wanted.
    owner: Option<String>,
}

/// What has happened in this claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    /// The account is still to be read because somebody asked for it.
    Verify,
    /// What was read was not as it was told.
    Drifted,
    /// The account was not where it was known.
    Vanished,
    /// A create or a rename met another account.
    Conflicted,
    /// The account was read again because it had changed.
    VersionChecked,
    /// Parts of accounts cannot be changed.
    WithoutPatch,
    /// Accounts cannot be deleted.
    WithoutDelete,
    /// The account was not where it was known, in an earlier claim as well.
    Confirmed,
    /// An account that no search shows is told what it should be by the id that it had.
    Restored,
    /// A revocation was acknowledged by an answer that shows nothing: the account is read before the claim ends.
    Unproven,
    /// A name for a while is given, so that others who wait for one another can go on.
    Temporary,
    /// A request may have had its effect, and its parts are sent one by one.
    Unsettled,
    /// Something is put aside until something changes.
    Held,
    /// Something is put aside until it is tried again.
    Again,
}

/// One claim on its way.
#[derive(Clone, Debug)]
pub struct State {
    about: Situation,
    scope: Scope,
    /// The link as the ledger has it.
    stored: Option<Link>,
    /// The link as it is now.
    link: Option<Link>,
    /// The link of an account that is said to be gone in a form that proves nothing: it stays on record until the whole list proves it.
    lost: Option<Link>,
    desired: Option<Desired>,
    phase: Phase,
    now: Timestamp,
    marks: BTreeSet<Mark>,
    /// What is sent next, last one first.
    parts: Vec<AccountChange>,
    /// The account as it was read, until something is written.
    current: Option<Account>,
    /// The link before the request that is on its way, where its effect was put on record before it left.
    intended: Option<Link>,
    /// How often each value and member was sent.
    sent: BTreeMap<String, u32>,
    /// What was not accepted in this claim.
    aside: BTreeSet<String>,
    /// What the application shows of the account and does not accept with the whole.
    left_out: BTreeSet<String>,
    /// How often a revocation that is sent with the whole account was made smaller.
    lessened: u32,
    /// The application wants to be left alone until then.
    pause: Option<Timestamp>,
    /// Whether the application answers.
    contact: Contact,
    steps: u32,
    is_step: bool,
    log: Vec<LogEntry>,
    also: Vec<OutOfDate>,
    facts: Vec<Fact>,
    rest: Option<Rest>,
}

/// Begins a claim.
pub fn start(situation: Situation, now: Timestamp) -> (State, Command) {
    let mut state = State {
        scope: scope::evaluate(
            &situation.claim.resource_type,
            situation.subject.as_ref(),
            &situation.application.settings,
        ),
        stored: situation.link.clone(),
        link: situation.link.clone(),
        lost: None,
        desired: None,
        phase: Phase::Ended,
        now,
        marks: situation
            .claim
            .verify
            .then_some(Mark::Verify)
            .into_iter()
            .collect(),
        parts: Vec::new(),
        current: None,
        intended: None,
        sent: BTreeMap::new(),
        aside: BTreeSet::new(),
        left_out: BTreeSet::new(),
        lessened: 0,
        pause: None,
        contact: Contact::default(),
        steps: 0,
        is_step: false,
        log: Vec::new(),
        also: Vec::new(),
        facts: Vec::new(),
        rest: None,
        about: situation,
    };
    let command = state.begin();
    (state, command)
}

/// Goes on with what came of the last command.
pub fn next(mut state: State, event: Event, now: Timestamp) -> (State, Command) {
    state.now = now;
    let command = state.on(event);
    (state, command)
}

impl State {
    /// What was learned of the application since this was last asked.
    pub fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts)
    }

    /// Lines of the log that are not on record yet: for a claim that breaks off.
    pub fn take_lines(&mut self) -> Vec<LogEntry> {
        std::mem::take(&mut self.log)
    }

    fn begin(&mut self) -> Command {
        if self.scope == Scope::Ignored || (self.scope == Scope::Revoked && self.link.is_none()) {
            return self.conclude(Next::Done);
        }
        if self.about.knowledge.is_to_discover(self.now) {
            return self.ask(Phase::Discover, Request::Discover);
        }
        self.evaluate_desired();
        self.advance()
    }

    fn on(&mut self, event: Event) -> Command {
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        match (phase, event) {
            (phase, Event::Answered(reply)) => self.on_reply(phase, *reply),
            (_, Event::LeaseLost | Event::LinkWritten(Written::LeaseLost)) => {
                Command::Leave(self.take_lines())
            }
            (_, Event::NotServed) => self.conclude(Next::RetryAt(self.now)),
            (Phase::SearchOwners(search, accounts, trace), Event::Owners(owners)) => {
                self.on_owners(search, accounts, &trace, &owners)
            }
            (Phase::Adopt, Event::LinkWritten(written)) => self.on_adopted(written),
            (Phase::Announce(account), Event::LinkWritten(_)) => self.send_create(account),
            (Phase::Made(trace), Event::LinkWritten(written)) => self.on_made(trace, written),
            (Phase::MadeForAnother(trace), Event::Owners(owners)) => {
                self.on_made_for_another(&trace, &owners)
            }
            (Phase::Unnamed, Event::LinkWritten(_)) => self.advance(),
            (Phase::ReadOwners(account, trace), Event::Owners(owners)) => {
                self.settle(*account, &trace, &owners)
            }
            (Phase::Intend(change, before), Event::LinkWritten(_)) => {
                self.send_intended(change, before)
            }
            (Phase::DisputeOwners(dispute), Event::Owners(owners)) => {
                self.on_dispute_owners(&dispute, &owners)
            }
            // What came is not what was asked: the claim is tried again from what is on record.
            (..) => self.conclude(Next::RetryAt(self.backoff())),
        }
    }

    fn on_reply(&mut self, phase: Phase, reply: Reply) -> Command {
        if let Some(is_silent) = reply.is_silent() {
            self.contact.hear(is_silent);
        }
        match (phase, reply) {
            (Phase::Discover, Reply::Described(exchange)) => self.on_described(exchange),
            (Phase::Search(search), Reply::Listed(exchange)) => self.on_listed(search, exchange),
            (Phase::Create(account), Reply::Created(exchange)) => {
                self.on_created(account, exchange)
            }
            (Phase::Read, Reply::Read(exchange)) => self.on_read(exchange),
            (Phase::Change(change, how), Reply::Written(exchange)) => {
                self.on_changed(change, how, exchange)
            }
            (Phase::Remove, Reply::Written(exchange)) => self.on_removed(exchange),
            (Phase::Removed(trace), Reply::Read(exchange)) => {
                self.on_removal_read(&trace, exchange)
            }
            (Phase::Dispute(dispute), Reply::Listed(exchange)) => {
                self.on_dispute_listed(dispute, exchange)
            }
            (..) => self.conclude(Next::RetryAt(self.backoff())),
        }
    }

    /// Discovery describes and does not gate (RFC 7644 section 4): only what stands in the way of every request ends the claim.
    fn on_described(&mut self, exchange: Exchange<Capabilities>) -> Command {
        let Exchange {
            trace,
            wait,
            outcome,
        } = exchange;
        self.heed(wait, outcome.is_ok());
        let mut capabilities = match outcome {
            Ok(capabilities) => capabilities,
            Err(failure @ (Failure::Unauthorized | Failure::Throttled | Failure::NotReached)) => {
                return self.fail("discover", &trace, &failure);
            }
            Err(_) => {
                self.note(
                    "discover",
                    "done",
                    &trace,
                    "the application does not say what it can do; the usual is assumed for now",
                );
                self.learn(Fact::NotDescribed(self.now));
                self.evaluate_desired();
                return self.advance();
            }
        };
        if let Some(patch) = self.about.application.settings.patch {
            capabilities.patch = patch;
        }
        self.learn(Fact::Described(capabilities));
        self.evaluate_desired();
        self.advance()
    }

    /// The next step.
    fn advance(&mut self) -> Command {
        self.steps += 1;
        if self.steps > self.about.limits.steps_max {
            // Others get their turn; the rest goes on from what was acknowledged.
            return self.conclude(Next::RetryAt(self.now));
        }
        self.is_step = self.steps > 1;
        if let Some(part) = self.parts.pop() {
            return self.send_part(part);
        }
        self.recall_former();
        let step = plan::decide(&plan::Situation {
            schema: &self.about.schema,
            scope: self.scope,
            desired: self.desired.as_ref(),
            link: self.link.as_ref(),
            delete_users: self.about.application.settings.delete_users
                && !self.is(Mark::WithoutDelete),
            read_first: self.is(Mark::Verify),
            members_max: self.members_max(),
            aside: &self.aside,
        });
        match step {
            Step::Nothing | Step::Forget if self.is(Mark::Unproven) => self.read_back(),
            Step::Nothing => self.finish(),
            Step::Forget => {
                // Somebody whom the application refuses to delete stays linked, so that it is seen.
                if !self.is(Mark::Held) && !self.is(Mark::Again) {
                    self.link = None;
                }
                self.finish()
            }
            Step::Match(lookups) => self.search(lookups),
            Step::Read(id) => self.ask(Phase::Read, Request::Read(id)),
            Step::Change(change) => self.send_change(change),
            Step::Delete(id) => self.ask(Phase::Remove, Request::Remove(id)),
        }
    }

    /// What the account should be, with the accounts it refers to as they are now.
    fn evaluate_desired(&mut self) {
        let Some(subject) = self
            .about
            .subject
            .as_ref()
            .filter(|_| self.scope == Scope::Wanted)
        else {
            return;
        };
        let mut remote_ids = self.about.remote_ids.clone();
        if let Some(remote_id) = self.link.as_ref().and_then(|link| link.remote_id.clone()) {
            // Somebody may be their own manager.
            remote_ids.insert(subject.id.clone(), remote_id);
        }
        self.desired = Some(mapping::desired(
            &self.about.schema,
            subject,
            &remote_ids,
            &self.about.knowledge.capabilities,
        ));
    }

    /// Remembers the account, and finds out whether it refers to itself.
    fn link_to(&mut self, link: Link) {
        self.link = Some(link);
        if self
            .desired
            .as_ref()
            .is_some_and(|desired| desired.awaits.contains(&self.about.claim.resource_id))
        {
            self.evaluate_desired();
        }
    }

    /// Asks the application something, unless it wants to be left alone.
    fn ask(&mut self, phase: Phase, request: Request) -> Command {
        if let Some(until) = self.pause {
            return self.rest(phase, request, until);
        }
        self.phase = phase;
        // What was changed over there before is on record when the next request leaves; lookups and reads are not worth a commit of their own.
        let is_worth_it =
            |line: &LogEntry| !matches!(line.step.as_str(), "match" | "read" | "discover");
        let lines = if self.log.iter().any(is_worth_it) {
            self.take_lines()
        } else {
            Vec::new()
        };
        let is_step = std::mem::replace(&mut self.is_step, false);
        Command::Ask {
            request: Box::new(request),
            lines,
            is_step,
        }
    }

    /// Has the link written before anything else happens, with the lines of what led to it.
    fn write_link(&mut self, phase: Phase, link: Link) -> Command {
        self.phase = phase;
        self.link = Some(link.clone());
        Command::WriteLink(Box::new(link), self.log.clone())
    }

    /// The link that was to be written is written.
    fn is_written(&mut self) {
        self.log.clear();
        self.stored.clone_from(&self.link);
    }

    /// Reads what the application holds after a revocation that it acknowledged without showing the account.
    fn read_back(&mut self) -> Command {
        let id = self
            .link
            .as_ref()
            .and_then(|link| link.remote_id.clone())
            .and_then(AccountId::new);
        match id {
            Some(id) => self.ask(Phase::Read, Request::Read(id)),
            None => self.finish(),
        }
    }

    fn find_owners(&mut self, phase: Phase, ids: Vec<AccountId>) -> Command {
        self.phase = phase;
        Command::FindOwners {
            ids,
            types: vec![self.about.claim.resource_type.clone()],
            with_names: false,
        }
    }

    fn learn(&mut self, fact: Fact) {
        self.about.knowledge.learn(fact.clone());
        self.facts.push(fact);
    }

    fn is(&self, mark: Mark) -> bool {
        self.marks.contains(&mark)
    }

    fn set(&mut self, mark: Mark) {
        self.marks.insert(mark);
    }

    fn clear(&mut self, mark: Mark) {
        self.marks.remove(&mark);
    }

    fn resource_type(&self) -> &str {
        &self.about.claim.resource_type
    }

    fn can_patch(&self) -> bool {
        let settings = &self.about.application.settings;
        self.about.knowledge.capabilities.patch
            && settings.patch != Some(false)
            && !self.is(Mark::WithoutPatch)
    }

    /// Most members in one request. Where accounts are replaced as a whole, several requests would each cost as much as one.
    fn members_max(&self) -> usize {
        if self.can_patch() {
            self.about.application.settings.members_per_patch_max.max(1)
        } else {
            usize::MAX
        }
    }

    /// Members of a group, each with whether it is a group itself.
    fn with_kinds(
        &self,
        ids: impl IntoIterator<Item = String>,
        shown: Option<&Account>,
    ) -> Members {
        let desired = self.desired.as_ref().map(|desired| &desired.members);
        let is_group = |id: &String| {
            desired
                .and_then(|members| members.get(id))
                .copied()
                .unwrap_or_else(|| shown.is_some_and(|account| read::is_group(account, id)))
        };
        ids.into_iter()
            .map(|id| (id.clone(), is_group(&id)))
            .collect()
    }
}
