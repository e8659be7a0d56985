//! A ledger in memory: the contract of `Ledger` and `Catalogue` in as few lines as it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use directory::audit;
use directory::store::Fault;
use directory::tenant::TenantId;
use jiff::Timestamp;
use provisioning::application::{Application, ApplicationId, ApplicationState, Secret};
use provisioning::lanes::{Lane, Room};
use provisioning::ledger::{
    Catalogue, Claim, Ledger, LinkChange, LoggedChange, NewApplication, Next, OutOfDate, Reach,
    Record, SyncStatus, Written,
};
use provisioning::link::{Link, LinkState};
use provisioning::provisioning_log::{Forget, LogEntry, ProvisioningLog};

/// Application, type and id.
pub type Pair = (i64, String, String);

#[derive(Clone, Debug)]
pub struct Entry {
    pub priority: i16,
    pub due: Timestamp,
    pub generation: i64,
    pub attempts: u32,
    pub verify: bool,
    pub held: bool,
    pub leased: Option<(i64, Timestamp)>,
}

#[derive(Default)]
pub struct State {
    pub applications: Vec<Application>,
    pub changes: Vec<LoggedChange>,
    pub outbox: BTreeMap<Pair, Entry>,
    pub links: BTreeMap<Pair, Link>,
    pub awaits: BTreeMap<Pair, Vec<String>>,
    pub paused: BTreeMap<i64, Timestamp>,
    pub unanswered: BTreeMap<i64, u32>,
    pub log: Vec<LogEntry>,
    counter: i64,
}

#[derive(Default)]
pub struct MemoryLedger(Mutex<State>);

impl MemoryLedger {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn mark(&mut self, pair: &OutOfDate) {
        self.counter += 1;
        let (generation, key) = (
            self.counter,
            (
                pair.application.0,
                pair.resource_type.clone(),
                pair.resource_id.clone(),
            ),
        );
        let fresh = Entry {
            priority: pair.priority,
            due: pair.due,
            generation,
            attempts: 0,
            verify: pair.verify,
            held: false,
            leased: None,
        };
        let entry = self.outbox.entry(key).or_insert(fresh);
        entry.generation = generation;
        entry.priority = entry.priority.min(pair.priority);
        entry.due = pair.due;
        entry.attempts = 0;
        entry.held = false;
        entry.verify |= pair.verify;
    }

    fn owns(&self, claim: &Claim) -> bool {
        self.outbox
            .get(&key(claim))
            .and_then(|entry| entry.leased)
            .is_some_and(|(fence, _)| fence == claim.fence)
    }

    fn serves(&self, application: ApplicationId, now: Timestamp) -> bool {
        let is_live = self
            .applications
            .iter()
            .any(|known| known.id == application && known.state == ApplicationState::Live);
        is_live
            && self
                .paused
                .get(&application.0)
                .is_none_or(|until| *until <= now)
    }

    /// Marks who waits for a resource that has just got its account.
    fn wake(&mut self, application: ApplicationId, id: &str, at: Timestamp) {
        let waiting: Vec<Pair> = self
            .awaits
            .iter()
            .filter(|(pair, ids)| pair.0 == application.0 && ids.iter().any(|i| i == id))
            .map(|(pair, _)| pair.clone())
            .collect();
        for (_, resource_type, resource_id) in waiting {
            self.mark(&OutOfDate {
                application,
                resource_type,
                resource_id,
                priority: 3,
                due: at,
                verify: false,
            });
        }
    }
}

fn key(claim: &Claim) -> Pair {
    (
        claim.application.0,
        claim.resource_type.clone(),
        claim.resource_id.clone(),
    )
}

#[async_trait]
impl Catalogue for MemoryLedger {
    async fn compare_again(
        &self,
        _: TenantId,
        application: ApplicationId,
        _: Option<OutOfDate>,
        at: Timestamp,
        _: audit::Entry,
    ) -> Result<u64, Fault> {
        let mut state = self.state();
        let pairs: Vec<Pair> = state.links.keys().cloned().collect();
        for (_, resource_type, resource_id) in &pairs {
            state.mark(&OutOfDate {
                application,
                resource_type: resource_type.clone(),
                resource_id: resource_id.clone(),
                priority: 1,
                due: at,
                verify: true,
            });
        }
        Ok(pairs.len() as u64)
    }
    async fn add_application(
        &self,
        _: TenantId,
        _: NewApplication,
        _: audit::Entry,
    ) -> Result<Option<Application>, Fault> {
        Err(Fault::new("the tests add applications themselves"))
    }
    async fn list_applications(&self, _: TenantId) -> Result<Vec<Application>, Fault> {
        Ok(self.state().applications.clone())
    }
    async fn set_application_state(
        &self,
        _: TenantId,
        _: ApplicationId,
        _: ApplicationState,
        _: audit::Entry,
    ) -> Result<bool, Fault> {
        Ok(false)
    }
    async fn set_application_token(
        &self,
        _: TenantId,
        id: ApplicationId,
        token: Secret,
        _: audit::Entry,
    ) -> Result<bool, Fault> {
        let mut state = self.state();
        let found = state
            .applications
            .iter_mut()
            .find(|application| application.id == id);
        Ok(found.map(|application| application.token = token).is_some())
    }

    async fn remove_application(
        &self,
        _: TenantId,
        _: ApplicationId,
        _: audit::Entry,
    ) -> Result<bool, Fault> {
        Ok(false)
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn tenants_with_changes(&self) -> Result<Vec<TenantId>, Fault> {
        Ok(if self.state().changes.is_empty() {
            Vec::new()
        } else {
            vec![TenantId(1)]
        })
    }

    async fn read_changes(&self, _: TenantId, limit: usize) -> Result<Vec<LoggedChange>, Fault> {
        Ok(self.state().changes.iter().take(limit).cloned().collect())
    }

    async fn mark_out_of_date(
        &self,
        _: TenantId,
        cursor: Option<i64>,
        pairs: Vec<OutOfDate>,
    ) -> Result<(), Fault> {
        let mut state = self.state();
        for pair in &pairs {
            state.mark(pair);
        }
        state
            .changes
            .retain(|change| cursor.is_none_or(|cursor| change.sequence > cursor));
        Ok(())
    }

    async fn claim(
        &self,
        now: Timestamp,
        lease_until: Timestamp,
        mut room: Room,
    ) -> Result<Vec<Claim>, Fault> {
        let mut state = self.state();
        let ready = |entry: &Entry| {
            !entry.held && entry.due <= now && entry.leased.is_none_or(|(_, until)| until <= now)
        };
        let mut due: Vec<(Pair, Entry)> = state
            .outbox
            .iter()
            .filter(|(_, entry)| ready(entry))
            .map(|(pair, entry)| (pair.clone(), entry.clone()))
            .collect();
        due.sort_by_key(|(_, entry)| (entry.priority, entry.generation));
        room.share_among(
            due.iter()
                .map(|(pair, _)| ApplicationId(pair.0))
                .collect::<BTreeSet<_>>()
                .into_iter(),
        );
        let mut claims = Vec::new();
        for (pair, entry) in due {
            let leased = state
                .outbox
                .iter()
                .filter(|(other, entry)| {
                    other.0 == pair.0 && entry.leased.is_some_and(|(_, until)| until > now)
                })
                .count();
            let users = state.outbox.iter().any(|(other, entry)| {
                other.0 == pair.0 && other.1 == "User" && entry.attempts == 0 && !entry.held
            });
            let paused = !state.serves(ApplicationId(pair.0), now);
            let unanswered = state.unanswered.get(&pair.0).copied().unwrap_or(0);
            let full = room.free_for(&Lane {
                application: ApplicationId(pair.0),
                leased,
                unanswered,
            }) == 0;
            if full || paused || (pair.1 == "Group" && entry.priority > 0 && users) {
                continue;
            }
            state.counter += 1;
            let fence = state.counter;
            let Some(stored) = state.outbox.get_mut(&pair) else {
                continue;
            };
            let crashed = stored.leased.is_some();
            stored.leased = Some((fence, lease_until));
            let (application, resource_type, resource_id) = pair;
            claims.push(Claim {
                tenant: TenantId(1),
                application: ApplicationId(application),
                resource_type,
                resource_id,
                generation: entry.generation,
                attempts: entry.attempts,
                fence,
                verify: entry.verify || crashed,
                lease_until,
                unanswered,
            });
            room.begin(ApplicationId(application), unanswered);
        }
        Ok(claims)
    }

    async fn renew(&self, claim: &Claim, lease_until: Timestamp) -> Result<bool, Fault> {
        let mut state = self.state();
        let owns = state.owns(claim);
        if let Some(entry) = state.outbox.get_mut(&key(claim)).filter(|_| owns) {
            entry.leased = Some((claim.fence, lease_until));
        }
        Ok(owns)
    }

    async fn read_application(
        &self,
        _: TenantId,
        id: ApplicationId,
    ) -> Result<Option<Application>, Fault> {
        Ok(self
            .state()
            .applications
            .iter()
            .find(|application| application.id == id)
            .cloned())
    }

    async fn read_link(
        &self,
        _: TenantId,
        application: ApplicationId,
        resource_type: &str,
        id: &str,
    ) -> Result<Option<Link>, Fault> {
        Ok(self
            .state()
            .links
            .get(&(application.0, resource_type.to_owned(), id.to_owned()))
            .cloned())
    }

    async fn read_remote_ids(
        &self,
        _: TenantId,
        application: ApplicationId,
        ids: Vec<String>,
    ) -> Result<Vec<(String, String)>, Fault> {
        let state = self.state();
        let linked = state
            .links
            .values()
            .filter(|link| link.application == application && ids.contains(&link.resource_id));
        Ok(linked
            .filter_map(|link| Some((link.resource_id.clone(), link.remote_id.clone()?)))
            .collect())
    }

    async fn find_linked(
        &self,
        _: TenantId,
        application: ApplicationId,
        resource_type: &str,
        remote_id: &str,
    ) -> Result<Option<String>, Fault> {
        let is_it = |link: &&Link| {
            link.application == application
                && link.resource_type == resource_type
                && link.remote_id.as_deref() == Some(remote_id)
        };
        let found = self
            .state()
            .links
            .values()
            .find(is_it)
            .map(|link| link.resource_id.clone());
        // Others go on meanwhile, as they do where it takes time.
        tokio::task::yield_now().await;
        Ok(found)
    }

    async fn is_served(
        &self,
        _: TenantId,
        application: ApplicationId,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        Ok(self.state().serves(application, now))
    }

    async fn is_waiting(
        &self,
        _: TenantId,
        application: ApplicationId,
        resource_id: &str,
    ) -> Result<bool, Fault> {
        let state = self.state();
        Ok(state
            .outbox
            .iter()
            .any(|(key, entry)| key.0 == application.0 && key.2 == resource_id && !entry.held))
    }

    async fn write_link(
        &self,
        claim: &Claim,
        link: Link,
        log: Vec<LogEntry>,
    ) -> Result<Written, Fault> {
        let mut state = self.state();
        if !state.owns(claim) {
            return Ok(Written::LeaseLost);
        }
        let owner = |other: &&Link| {
            other.remote_id.is_some()
                && other.remote_id == link.remote_id
                && other.resource_type == link.resource_type
        };
        if state
            .links
            .values()
            .filter(|other| other.resource_id != link.resource_id)
            .any(|other| owner(&other))
        {
            return Ok(Written::Taken);
        }
        if link.remote_id.is_some() && link.state != LinkState::Creating {
            state.wake(claim.application, &claim.resource_id, link.updated);
        }
        state.links.insert(key(claim), link);
        state.log.extend(log);
        Ok(Written::Written)
    }

    async fn record(&self, record: Record) -> Result<(), Fault> {
        let mut state = self.state();
        if !state.owns(&record.claim) {
            state.log.extend(record.log);
            return Ok(());
        }
        let key = key(&record.claim);
        match record.link {
            LinkChange::Keep => {}
            LinkChange::Set(link) => {
                let (at, named) = (link.updated, link.remote_id.is_some());
                let before = state.links.insert(key.clone(), link);
                if named && before.is_none_or(|before| before.remote_id.is_none()) {
                    state.wake(record.claim.application, &record.claim.resource_id, at);
                }
            }
            LinkChange::Remove => drop(state.links.remove(&key)),
        }
        if let Some(awaits) = record.awaits {
            state.awaits.insert(key.clone(), awaits);
        }
        record.also.iter().for_each(|pair| state.mark(pair));
        state.log.extend(record.log);
        match record.reach {
            Reach::Known => {}
            Reach::Answers => drop(state.unanswered.remove(&key.0)),
            Reach::Silent { unanswered, until } => {
                state.unanswered.insert(key.0, unanswered);
                let paused = state.paused.entry(key.0).or_insert(until);
                *paused = until.max(*paused);
            }
        }
        let Some(entry) = state.outbox.get_mut(&key) else {
            return Ok(());
        };
        entry.leased = None;
        let renewed = entry.generation != record.claim.generation;
        match record.next {
            Next::Done if !renewed => drop(state.outbox.remove(&key)),
            Next::Hold if !renewed => entry.held = true,
            Next::RetryAt(at) if !renewed => {
                entry.due = at;
                entry.attempts += 1;
            }
            Next::PauseUntil(at) => drop(state.paused.insert(record.claim.application.0, at)),
            _ => {}
        }
        Ok(())
    }

    async fn status(&self, _: TenantId, _: ApplicationId) -> Result<SyncStatus, Fault> {
        let state = self.state();
        let count = |keep: &dyn Fn(&Entry) -> bool| {
            state.outbox.values().filter(|entry| keep(entry)).count() as u64
        };
        Ok(SyncStatus {
            waiting: count(&|entry| !entry.held && entry.attempts == 0),
            retrying: count(&|entry| !entry.held && entry.attempts > 0),
            held: count(&|entry| entry.held),
            linked: state.links.len() as u64,
        })
    }
}

#[async_trait]
impl ProvisioningLog for MemoryLedger {
    async fn read_log(
        &self,
        _: TenantId,
        _: Option<ApplicationId>,
        _: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LogEntry>, Fault> {
        Ok(self.state().log.iter().rev().take(limit).cloned().collect())
    }

    async fn write_lines(
        &self,
        _: TenantId,
        _: ApplicationId,
        lines: Vec<LogEntry>,
    ) -> Result<(), Fault> {
        self.state().log.extend(lines);
        Ok(())
    }

    async fn shorten_log(&self, _: TenantId, _: ApplicationId, _: Forget) -> Result<u64, Fault> {
        Ok(0)
    }
}
