//! A directory, an outbox and links as plain values, the machine, and a model of an application: a whole world without a runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use directory::store::{Related, StoredResource};
use directory::tenant::TenantId;
use jiff::{SignedDuration, Timestamp};
use provisioning::account::{AccountChange, AccountId, Edit, Place};
use provisioning::application::{
    Application, ApplicationId, ApplicationSettings, ApplicationState, Secret,
};
use provisioning::connector::{Exchange, Failure, Trace};
use provisioning::invariants::{self, Sent};
use provisioning::knowledge::Knowledge;
use provisioning::ledger::{Claim, LinkChange, Next, OutOfDate, Record, Written};
use provisioning::link::{Link, LinkState};
use provisioning::machine::{self, Command, Event, Limits, Owner, Reply, Request, Rest, Situation};
use provisioning::mapping;
use provisioning::proof::{Acknowledged, Listing};
use provisioning::provisioning_log::LogEntry;
use scim_protocol::SchemaSet;
use serde_json::Value;

use crate::model::{Fault, Model};

pub type Key = (String, String);

#[derive(Clone, Debug)]
pub struct Entry {
    pub priority: i16,
    pub due: Timestamp,
    pub generation: u64,
    pub attempts: u32,
    pub verify: bool,
    pub held: bool,
}

/// A rule of the engine that a test takes out, between the machine and the world, to see that the simulation notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A list that fails or is cut off proves nothing.
    ProofOfAbsence,
    /// A page that is full is not the last one on the word of a count.
    FullPage,
    /// Only an answer of the right shape acknowledges.
    ProofOfAcknowledgement,
    /// After a create without an answer the application is asked before another one.
    LookAfterLostCreate,
    /// What takes something away goes alone.
    RevocationAlone,
    /// A lock goes before everything else.
    RevocationFirst,
    /// A member has an account before it is put into a group.
    MemberFirst,
    /// A claim whose lease was lost writes nothing.
    Fence,
    /// An application is left alone as long as it asks.
    Wait,
    /// What is not shown is unknown, not empty.
    HiddenIsUnknown,
    /// After a revocation that was acknowledged silently the account is read.
    RevocationProven,
}

/// What happens to a step: the request may fail, and the program may crash after it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fate {
    pub fault: Option<Fault>,
    pub crash: bool,
}

pub struct Pure {
    pub model: Model,
    pub directory: BTreeMap<Key, StoredResource>,
    pub links: BTreeMap<Key, Link>,
    pub outbox: BTreeMap<Key, Entry>,
    pub awaits: BTreeMap<Key, Vec<String>>,
    pub log: Vec<LogEntry>,
    pub knowledge: Knowledge,
    pub paused: Timestamp,
    /// Until when the application asked to be left alone.
    asked_until: Timestamp,
    rests: BTreeMap<Key, Rest>,
    pub now: Timestamp,
    pub settings: ApplicationSettings,
    schemas: SchemaSet,
    counter: u64,
    /// The rule that is taken out.
    pub without: Option<Rule>,
    /// Whether leases run out under the hands of those who have them.
    pub stalls: bool,
    /// Resources of which a create may have had its effect, and that were not looked for since.
    open_creates: BTreeSet<Key>,
    /// Pairs that were written to in the claim that is at work.
    written: bool,
    fence: i64,
    /// The newest lease of each pair.
    leases: BTreeMap<Key, i64>,
    /// Pairs whose claim was cut off by a crash.
    pub crashed: BTreeSet<Key>,
    /// What must never be, found while requests were sent.
    pub broken: Vec<String>,
}

impl Pure {
    pub fn new(settings: ApplicationSettings) -> Self {
        let now = "2026-11-24T10:00:00Z".parse().unwrap();
        Self {
            model: Model::default(),
            directory: BTreeMap::new(),
            links: BTreeMap::new(),
            outbox: BTreeMap::new(),
            awaits: BTreeMap::new(),
            log: Vec::new(),
            knowledge: Knowledge::default(),
            paused: now,
            asked_until: now,
            rests: BTreeMap::new(),
            now,
            settings,
            schemas: SchemaSet::standard(),
            counter: 0,
            without: None,
            stalls: false,
            open_creates: BTreeSet::new(),
            written: false,
            fence: 0,
            leases: BTreeMap::new(),
            crashed: BTreeSet::new(),
            broken: Vec::new(),
        }
    }

    pub fn put(&mut self, kind: &str, id: &str, document: &Value, members: &[&str]) {
        let related = |id: &&str| Related {
            id: (*id).to_owned(),
            resource_type: if id.starts_with('g') { "Group" } else { "User" }.to_owned(),
            display: String::new(),
            direct: true,
        };
        let resource = StoredResource {
            resource_type: kind.into(),
            id: id.into(),
            version: 1,
            created: self.now,
            last_modified: self.now,
            document: document.as_object().unwrap().clone().into(),
            members: members.iter().map(related).collect(),
            groups: Vec::new(),
        };
        let inactive = document.get("active") == Some(&Value::Bool(false));
        self.directory.insert((kind.into(), id.into()), resource);
        let priority = if inactive {
            0
        } else {
            2 + i16::from(kind == "Group")
        };
        self.mark(kind, id, priority, self.now, false);
    }

    pub fn delete(&mut self, kind: &str, id: &str) {
        self.directory.remove(&(kind.to_owned(), id.to_owned()));
        let groups: Vec<String> = self
            .directory
            .values_mut()
            .filter_map(|group| {
                let before = group.members.len();
                group.members.retain(|member| member.id != id);
                (group.members.len() < before).then(|| group.id.clone())
            })
            .collect();
        for group in groups {
            self.mark("Group", &group, 0, self.now, false);
        }
        self.mark(kind, id, 0, self.now, false);
    }

    pub fn mark(&mut self, kind: &str, id: &str, priority: i16, due: Timestamp, verify: bool) {
        self.counter += 1;
        let fresh = Entry {
            priority,
            due,
            generation: 0,
            attempts: 0,
            verify,
            held: false,
        };
        let entry = self
            .outbox
            .entry((kind.to_owned(), id.to_owned()))
            .or_insert(fresh);
        *entry = Entry {
            priority: entry.priority.min(priority),
            due,
            generation: self.counter,
            attempts: 0,
            verify: entry.verify || verify,
            held: false,
        };
    }

    /// Everything is to be compared.
    pub fn mark_all(&mut self) {
        let keys: BTreeSet<Key> = self
            .directory
            .keys()
            .chain(self.links.keys())
            .cloned()
            .collect();
        for (kind, id) in keys {
            self.mark(&kind, &id, 1, self.now, true);
        }
    }

    pub fn pass(&mut self, seconds: i64) {
        self.now = self
            .now
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap();
    }

    /// Works until nothing waits that time alone would bring; false where that never comes.
    pub fn settle(&mut self, fate: &mut dyn FnMut(&Request) -> Fate) -> bool {
        (0..20_000).any(|_| !self.step(fate))
    }

    /// Takes the next claim; false where none waits for time alone.
    pub fn step(&mut self, fate: &mut dyn FnMut(&Request) -> Fate) -> bool {
        let waits = self.outbox.iter().filter(|(_, entry)| !entry.held);
        let users = self
            .outbox
            .iter()
            .any(|((kind, _), entry)| kind == "User" && entry.attempts == 0 && !entry.held);
        let ready = |key: &Key, entry: &Entry| !(key.0 == "Group" && entry.priority > 0 && users);
        let next = waits
            .filter(|(key, entry)| ready(key, entry))
            .min_by_key(|(_, entry)| (entry.due, entry.priority, entry.generation));
        let Some((key, entry)) = next.map(|(key, entry)| (key.clone(), entry.clone())) else {
            return false;
        };
        self.now = self.now.max(entry.due).max(self.paused);
        self.run(&key, &entry, fate);
        true
    }

    fn run(&mut self, key: &Key, entry: &Entry, fate: &mut dyn FnMut(&Request) -> Fate) {
        let (kind, id) = key.clone();
        self.fence += 1;
        self.leases.insert(key.clone(), self.fence);
        self.written = false;
        let claim = Claim {
            tenant: TenantId(1),
            application: ApplicationId(7),
            resource_type: kind.clone(),
            resource_id: id.clone(),
            generation: i64::try_from(entry.generation).unwrap(),
            attempts: entry.attempts,
            fence: self.fence,
            verify: entry.verify,
            lease_until: self.now,
            unanswered: 0,
        };
        let fence = claim.fence;
        let mut situation = self.situation(claim);
        if self.without(Rule::MemberFirst)
            && let Some(subject) = &situation.subject
        {
            for member in &subject.members {
                let made_up = || format!("account-of-{}", member.id);
                situation
                    .remote_ids
                    .entry(member.id.clone())
                    .or_insert_with(made_up);
            }
        }
        let rest = self.rests.remove(key);
        let (mut state, mut command) = rest
            .and_then(|rest| rest.resume(&situation, self.now))
            .unwrap_or_else(|| machine::start(situation, self.now));
        loop {
            state
                .take_facts()
                .into_iter()
                .for_each(|fact| self.knowledge.learn(fact));
            let mut crash = false;
            let event = match command {
                Command::Ask { request, lines, .. } => {
                    self.log.extend(lines);
                    let request = self.spoil_request(key, *request);
                    let Fate {
                        fault,
                        crash: crashes,
                    } = fate(&request);
                    crash = crashes;
                    let reply = if let Some(reply) = self.unsent(&request) {
                        reply
                    } else {
                        self.watch(key, &request);
                        self.pass(1);
                        let reply = self.model.answer(&kind, &request, fault);
                        self.note_create(key, &request, &reply);
                        reply
                    };
                    Event::Answered(Box::new(self.spoil_reply(&request, reply)))
                }
                Command::FindOwners { ids, types, .. } => Event::Owners(self.owners(ids, &types)),
                Command::WriteLink(link, lines) => {
                    let is_other = |(other, held): (&Key, &Link)| {
                        *other != *key && other.0 == kind && held.remote_id == link.remote_id
                    };
                    if self.leases.get(key) != Some(&fence) && !self.without(Rule::Fence) {
                        Event::LinkWritten(Written::LeaseLost)
                    } else if link.remote_id.is_some() && self.links.iter().any(is_other) {
                        Event::LinkWritten(Written::Taken)
                    } else {
                        self.log.extend(lines);
                        self.watch_lease(key, fence);
                        self.set_link(key, *link);
                        Event::LinkWritten(Written::Written)
                    }
                }
                Command::Record(record) => {
                    if let Some(rest) = state.take_rest() {
                        self.rests.insert(key.clone(), rest);
                    }
                    if self.leases.get(key) != Some(&fence) && !self.without(Rule::Fence) {
                        return self.log.extend(record.log);
                    }
                    self.watch_lease(key, fence);
                    return self.record(key, *record);
                }
                Command::Leave(_) => return,
            };
            if crash {
                // The next one reads first, and knows nothing any more.
                self.knowledge = Knowledge::default();
                self.rests.clear();
                self.crashed.insert(key.clone());
                if let Some(entry) = self.outbox.get_mut(key) {
                    entry.verify = true;
                }
                return self.pass(30);
            }
            // The lease runs out, and another worker has had the pair meanwhile.
            if self.stalls && self.counter.is_multiple_of(7) {
                self.counter += 1;
                self.fence += 1;
                self.leases.insert(key.clone(), self.fence);
                if let Some(entry) = self.outbox.get_mut(key) {
                    entry.verify = true;
                }
            }
            (state, command) = machine::next(state, event, self.now);
        }
    }

    fn situation(&self, claim: Claim) -> Situation {
        let key = (claim.resource_type.clone(), claim.resource_id.clone());
        let mut subject = self.directory.get(&key).cloned();
        if let Some(subject) = &mut subject {
            let groups = self.directory.values().filter(|group| {
                group
                    .members
                    .iter()
                    .any(|member| member.id == claim.resource_id)
            });
            subject.groups = groups
                .map(|group| Related {
                    id: group.id.clone(),
                    resource_type: "Group".into(),
                    display: String::new(),
                    direct: true,
                })
                .collect();
        }
        let schema = Arc::clone(self.schemas.by_name(&claim.resource_type).unwrap());
        let references = subject
            .as_ref()
            .map(|subject| mapping::references(&schema, subject))
            .unwrap_or_default();
        let linked = self
            .links
            .values()
            .filter(|link| references.contains(&link.resource_id));
        Situation {
            application: Application {
                id: ApplicationId(7),
                tenant: TenantId(1),
                name: "shop".into(),
                base_url: "http://shop.example/scim/v2".into(),
                token: Secret::new("secret"),
                state: ApplicationState::Live,
                settings: self.settings.clone(),
                created: Timestamp::UNIX_EPOCH,
            },
            schema,
            link: self.links.get(&key).cloned(),
            remote_ids: linked
                .filter_map(|link| Some((link.resource_id.clone(), link.remote_id.clone()?)))
                .collect(),
            knowledge: self.knowledge.clone(),
            limits: Limits {
                steps_max: 200,
                conflicts_max: 6,
            },
            random: self.counter,
            subject,
            claim,
        }
    }

    fn owners(&self, ids: Vec<AccountId>, types: &[String]) -> BTreeMap<AccountId, Owner> {
        let owner = |id: &AccountId| {
            let is_it = |known: &str| known.eq_ignore_ascii_case(id.as_str());
            let mut links = self.links.iter().filter(|((kind, _), link)| {
                types.contains(kind) && link.remote_id.as_deref().is_some_and(is_it)
            });
            let ((kind, resource_id), link) = links.next()?;
            let name = if kind == "Group" {
                "displayName"
            } else {
                "userName"
            };
            let subject = self.directory.get(&(kind.clone(), resource_id.clone()));
            let known = link.remote_id.clone().and_then(AccountId::new);
            let is_waiting = self
                .outbox
                .get(&(kind.clone(), resource_id.clone()))
                .is_some_and(|entry| !entry.held);
            Some(Owner {
                resource_id: resource_id.clone(),
                is_waiting,
                account_id: known.filter(|known| known != id),
                name: subject
                    .and_then(|subject| subject.document.get(name)?.as_str().map(str::to_owned)),
            })
        };
        ids.into_iter()
            .filter_map(|id| Some((id.clone(), owner(&id)?)))
            .collect()
    }

    fn set_link(&mut self, key: &Key, link: Link) {
        let named = link.remote_id.is_some() && link.state != LinkState::Creating;
        let before = self.links.insert(key.clone(), link);
        if named && before.is_none_or(|before| before.remote_id.is_none()) {
            let waiting: Vec<Key> = self
                .awaits
                .iter()
                .filter(|(_, ids)| ids.contains(&key.1))
                .map(|(key, _)| key.clone())
                .collect();
            for (kind, id) in waiting {
                self.mark(&kind, &id, 3, self.now, false);
            }
        }
    }

    fn record(&mut self, key: &Key, record: Record) {
        match record.link {
            LinkChange::Keep => {}
            LinkChange::Set(link) => self.set_link(key, link),
            LinkChange::Remove => drop(self.links.remove(key)),
        }
        if let Some(awaits) = record.awaits {
            self.awaits.insert(key.clone(), awaits);
        }
        self.log.extend(record.log);
        for OutOfDate {
            resource_type,
            resource_id,
            priority,
            due,
            verify,
            ..
        } in record.also
        {
            self.mark(&resource_type, &resource_id, priority, due, verify);
        }
        let Some(entry) = self.outbox.get_mut(key) else {
            return;
        };
        let is_newest = i64::try_from(entry.generation).unwrap() == record.claim.generation;
        match record.next {
            Next::PauseUntil(at) => {
                self.asked_until = self.asked_until.max(at);
                if !self.without(Rule::Wait) {
                    self.paused = self.paused.max(at);
                }
            }
            Next::Done if is_newest => drop(self.outbox.remove(key)),
            Next::Hold if is_newest => entry.held = true,
            Next::RetryAt(at) if is_newest => {
                (entry.due, entry.attempts) = (at, entry.attempts + 1);
            }
            _ => {}
        }
    }

    fn without(&self, rule: Rule) -> bool {
        self.without == Some(rule)
    }

    /// A request as it would be without a rule.
    fn spoil_request(&mut self, key: &Key, request: Request) -> Request {
        let Request::Change(mut change) = request else {
            return request;
        };
        let locks = |change: &AccountChange| change.touches(&["active"]) && change.is_revocation();
        if self.without(Rule::RevocationAlone) && locks(&change) {
            change.edits.push(Edit {
                place: Place::core("title"),
                value: Some("Lady".into()),
            });
        }
        if self.without(Rule::RevocationFirst) && locks(&change) && !self.written {
            // Something else is sent first.
            let title = self
                .directory
                .get(key)
                .and_then(|subject| subject.document.get("title").cloned());
            if title.is_some() {
                change.edits = vec![Edit {
                    place: Place::core("title"),
                    value: title,
                }];
            }
        }
        Request::Change(change)
    }

    /// The answer to a request that is not sent, because the rule that asks for it is taken out.
    fn unsent(&self, request: &Request) -> Option<Reply> {
        let nothing = Listing {
            counted: Some(0),
            whole: matches!(request, Request::List),
            ..Listing::default()
        };
        let is_look = matches!(request, Request::Find(_) | Request::List);
        (is_look && self.without(Rule::LookAfterLostCreate)).then(|| {
            Reply::Listed(Exchange {
                trace: Trace::default(),
                wait: None,
                outcome: Ok(nothing),
            })
        })
    }

    /// An answer as it would be taken without a rule.
    fn spoil_reply(&self, request: &Request, mut reply: Reply) -> Reply {
        match &mut reply {
            Reply::Listed(exchange) => match &mut exchange.outcome {
                Err(Failure::Unknown { .. } | Failure::NotUnderstood | Failure::Refused(_))
                    if self.without(Rule::ProofOfAbsence) =>
                {
                    exchange.outcome = Ok(Listing {
                        counted: Some(0),
                        whole: true,
                        ..Listing::default()
                    });
                }
                Ok(listing) if self.without(Rule::FullPage) => {
                    (listing.counted, listing.whole) = (None, true);
                }
                _ => {}
            },
            Reply::Written(exchange) => {
                let is_unclear = matches!(
                    exchange.outcome,
                    Err(Failure::NotUnderstood | Failure::Unknown { .. })
                );
                if self.without(Rule::ProofOfAcknowledgement) && is_unclear {
                    exchange.outcome = Ok(Acknowledged::silently());
                }
            }
            Reply::Read(exchange) => {
                if let Ok(account) = &mut exchange.outcome
                    && self.without(Rule::HiddenIsUnknown)
                    && account.members.is_none()
                {
                    account.members = Some(BTreeSet::from(["nobody".to_owned()]));
                }
                if self.without(Rule::RevocationProven)
                    && let Request::Read(id) = request
                    && let Some((_, link)) = self
                        .links
                        .iter()
                        .find(|(_, link)| link.remote_id.as_deref() == Some(id.as_str()))
                    && let Ok(account) = &mut exchange.outcome
                {
                    // What is read is taken for what was told.
                    account.attributes.extend(link.attributes());
                    account.attributes.insert("active".into(), false.into());
                }
            }
            _ => {}
        }
        reply
    }

    fn note_create(&mut self, key: &Key, request: &Request, reply: &Reply) {
        match (request, reply) {
            (Request::Create(_), Reply::Created(exchange)) => {
                let is_open = matches!(
                    exchange.outcome,
                    Err(Failure::Unknown { .. } | Failure::NotUnderstood)
                );
                if is_open {
                    self.open_creates.insert(key.clone());
                }
            }
            (Request::Find(_) | Request::List, Reply::Listed(Exchange { outcome: Ok(_), .. })) => {
                self.open_creates.remove(key);
            }
            _ => {}
        }
    }

    fn watch_lease(&mut self, key: &Key, fence: i64) {
        let held = self.leases.get(key).copied().unwrap_or_default();
        if let Some(broken) = invariants::of_link_write(fence, held) {
            self.broken.push(format!("{broken}: {key:?}"));
        }
    }

    /// What must hold of every request that leaves.
    fn watch(&mut self, key: &Key, request: &Request) {
        let owned = |id: &AccountId| {
            self.model.made.contains(id.as_str())
                || self.links.iter().any(|((it, _), link)| {
                    *it == key.0 && link.remote_id.as_deref() == Some(id.as_str())
                })
        };
        let touched = match request {
            Request::Change(change) => Some(&change.id),
            Request::Replace(whole) => Some(&whole.id),
            Request::Remove(id) => Some(id),
            _ => None,
        };
        let is_off = |document: &serde_json::Map<String, Value>| {
            document.get("active") == Some(&Value::Bool(false))
        };
        let is_to_be_locked = key.0 == "User"
            && self
                .directory
                .get(key)
                .is_some_and(|subject| is_off(&subject.document))
            && self.links.get(key).is_some_and(|link| {
                let there = (key.0.clone(), link.remote_id.clone().unwrap_or_default());
                // A crash may have forgotten that the lock was sent.
                let is_on = self
                    .model
                    .accounts
                    .get(&there)
                    .is_some_and(|it| !is_off(it));
                is_on
                    && link.acknowledged.get("active") == Some(&Value::Bool(true))
                    && link.state == LinkState::Linked
            });
        let linked: BTreeSet<String> = self
            .links
            .values()
            .filter_map(|link| link.remote_id.clone())
            .chain(self.model.made.iter().cloned())
            .collect();
        let broken = invariants::of_request(&Sent {
            request,
            now: self.now,
            paused_until: self.asked_until,
            is_ours: touched.is_none_or(owned),
            is_create_open: self.open_creates.contains(key),
            is_lock_open: is_to_be_locked && !self.written,
            linked: &linked,
        });
        if let Some(broken) = broken {
            self.broken.push(format!("{broken}: {request:?}"));
        }
        self.written |= request.is_write();
    }

    /// Requests since the last call that may have changed something.
    pub fn take_writes(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.model.requests)
            .into_iter()
            .filter(Request::is_write)
            .collect()
    }

    /// Without any fault.
    pub fn calm(&mut self) {
        assert!(
            self.settle(&mut |_| Fate::default()),
            "does not settle: {:?} {:?}",
            self.outbox,
            self.log.iter().rev().take(20).collect::<Vec<_>>()
        );
        assert!(self.broken.is_empty(), "{:?}", self.broken);
    }

    pub fn link(&self, kind: &str, id: &str) -> &Link {
        &self.links[&(kind.to_owned(), id.to_owned())]
    }

    pub fn account(&self, kind: &str, remote_id: &str) -> &crate::model::Document {
        &self.model.accounts[&(kind.to_owned(), remote_id.to_owned())]
    }

    pub fn people(&self) -> usize {
        self.model
            .accounts
            .keys()
            .filter(|(kind, _)| kind == "User")
            .count()
    }

    /// What the log says of what is held.
    pub fn held(&self) -> Vec<String> {
        self.log
            .iter()
            .filter(|line| line.outcome == "held")
            .map(|line| line.detail.clone())
            .collect()
    }
}
