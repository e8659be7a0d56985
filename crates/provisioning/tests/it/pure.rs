//! A directory, an outbox and links as plain values, the machine, and a model of an application: a whole world without a runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use directory::store::{Related, StoredResource};
use directory::tenant::TenantId;
use jiff::{SignedDuration, Timestamp};
use provisioning::account::AccountId;
use provisioning::application::{
    Application, ApplicationId, ApplicationSettings, ApplicationState, Secret,
};
use provisioning::knowledge::Knowledge;
use provisioning::ledger::{Claim, LinkChange, Next, OutOfDate, Record, Written};
use provisioning::link::{Link, LinkState};
use provisioning::machine::{self, Command, Event, Limits, Owner, Request, Rest, Situation};
use provisioning::mapping;
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
    rests: BTreeMap<Key, Rest>,
    pub now: Timestamp,
    pub settings: ApplicationSettings,
    schemas: SchemaSet,
    counter: u64,
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
            rests: BTreeMap::new(),
            now,
            settings,
            schemas: SchemaSet::standard(),
            counter: 0,
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
        let claim = Claim {
            tenant: TenantId(1),
            application: ApplicationId(7),
            resource_type: kind.clone(),
            resource_id: id.clone(),
            generation: i64::try_from(entry.generation).unwrap(),
            attempts: entry.attempts,
            fence: 1,
            verify: entry.verify,
            lease_until: self.now,
            unanswered: 0,
        };
        let situation = self.situation(claim);
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
                    self.watch(&kind, &request);
                    let Fate {
                        fault,
                        crash: crashes,
                    } = fate(&request);
                    crash = crashes;
                    self.pass(1);
                    Event::Answered(Box::new(self.model.answer(&kind, &request, fault)))
                }
                Command::FindOwners { ids, types, .. } => Event::Owners(self.owners(ids, &types)),
                Command::WriteLink(link, lines) => {
                    let is_other = |(other, held): (&Key, &Link)| {
                        *other != *key && other.0 == kind && held.remote_id == link.remote_id
                    };
                    if link.remote_id.is_some() && self.links.iter().any(is_other) {
                        Event::LinkWritten(Written::Taken)
                    } else {
                        self.log.extend(lines);
                        self.set_link(key, *link);
                        Event::LinkWritten(Written::Written)
                    }
                }
                Command::Record(record) => {
                    if let Some(rest) = state.take_rest() {
                        self.rests.insert(key.clone(), rest);
                    }
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
            Next::PauseUntil(at) => self.paused = self.paused.max(at),
            Next::Done if is_newest => drop(self.outbox.remove(key)),
            Next::Hold if is_newest => entry.held = true,
            Next::RetryAt(at) if is_newest => {
                (entry.due, entry.attempts) = (at, entry.attempts + 1);
            }
            _ => {}
        }
    }

    /// What must hold of every request that leaves.
    fn watch(&mut self, kind: &str, request: &Request) {
        let owned = |id: &AccountId| {
            self.model.made.contains(id.as_str())
                || self.links.iter().any(|((it, _), link)| {
                    it == kind && link.remote_id.as_deref() == Some(id.as_str())
                })
        };
        let touched = match request {
            Request::Change(change) => Some(&change.id),
            Request::Replace(whole) => Some(&whole.id),
            Request::Remove(id) => Some(id),
            _ => None,
        };
        if let Some(id) = touched.filter(|id| !owned(id)) {
            self.broken
                .push(format!("{id} belongs to others and was sent {request:?}"));
        }
        if let Request::Change(change) = request {
            let takes =
                usize::from(!change.removed.is_empty())
                    + usize::from(change.edits.iter().any(|edit| {
                        edit.place.is_active() && edit.value == Some(Value::Bool(false))
                    }));
            let alone = change.parts() == 1 || (change.edits.is_empty() && change.added.is_empty());
            if takes > 0 && !alone {
                self.broken
                    .push(format!("a revocation does not go alone: {change:?}"));
            }
        }
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
