//! *(shell)* Outbox to application: performs the commands of the machine for one claimed pair, keeps the lease meanwhile, and records. Decides nothing.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use directory::clock::{Clock, IdGenerator};
use directory::store::{Fault, Include, Store};
use directory::tenant::TenantId;
use scim_protocol::TypeSchema;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::account::AccountId;
use crate::application::{Application, ApplicationId};
use crate::connector::{Connector, Target};
use crate::knowledge::{Fact, Knowledge};
use crate::ledger::{Claim, Ledger, LinkChange, Next, Reach, Record};
use crate::machine::{self, Command, Event, Limits, Owner, Reply, Request, Rest, Situation, State};
use crate::mapping;
use crate::pacing;
use crate::resource_type::{has_members, name_attribute};
use crate::types::Types;

/// Limits of a worker.
#[derive(Clone, Copy, Debug)]
pub struct WorkerOptions {
    /// How long a lease lasts.
    pub lease_seconds: u32,
    /// Most steps for one claim before others get their turn.
    pub steps_max: u32,
    /// How often a refused create or rename is tried again by itself before it is held.
    pub conflicts_max: u32,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            lease_seconds: 30,
            steps_max: 200,
            conflicts_max: 6,
        }
    }
}

impl WorkerOptions {
    /// Those that the machine keeps.
    pub(crate) fn limits(self) -> Limits {
        Limits {
            steps_max: self.steps_max,
            conflicts_max: self.conflicts_max,
        }
    }
}

/// Takes claims to applications.
pub struct Worker {
    store: Arc<dyn Store>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    options: WorkerOptions,
    types: Arc<Types>,
    connector: Arc<dyn Connector>,
    connections: Mutex<HashMap<ApplicationId, Connection>>,
    rests: Mutex<HashMap<Key, Rest>>,
}

/// Most claims whose knowledge is kept while their application wants to be left alone.
const RESTS_MAX: usize = 1_000;

/// Application, type and id.
type Key = (ApplicationId, String, String);

fn key(claim: &Claim) -> Key {
    (
        claim.application,
        claim.resource_type.clone(),
        claim.resource_id.clone(),
    )
}

/// An application that was connected, and what is known of it.
#[derive(Clone)]
struct Connection {
    application: Application,
    target: Arc<dyn Target>,
    knowledge: Knowledge,
}

impl Worker {
    /// A worker.
    pub fn new(
        store: Arc<dyn Store>,
        ledger: Arc<dyn Ledger>,
        types: Arc<Types>,
        connector: Arc<dyn Connector>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        options: WorkerOptions,
    ) -> Self {
        Self {
            store,
            ledger,
            clock,
            ids,
            options,
            types,
            connector,
            connections: Mutex::default(),
            rests: Mutex::default(),
        }
    }

    /// Takes one claim as far as it gets and records it.
    pub async fn run_one(&self, claim: Claim) -> Result<(), Fault> {
        let at = self.clock.now();
        let forget = |claim| Record {
            claim,
            link: LinkChange::Keep,
            log: Vec::new(),
            at,
            next: Next::Done,
            awaits: None,
            also: Vec::new(),
            reach: Reach::Known,
        };
        let Some(application) = self
            .ledger
            .read_application(claim.tenant, claim.application)
            .await?
        else {
            return self.ledger.record(forget(claim)).await;
        };
        let schemas = self.types.of(claim.tenant).await?;
        let Some(schema) = schemas.by_name(&claim.resource_type).cloned() else {
            return self.ledger.record(forget(claim)).await;
        };
        let Connection {
            target, knowledge, ..
        } = self.connection(&application)?;
        let random = self
            .ids
            .secret()
            .first_chunk()
            .copied()
            .map_or(0, u64::from_le_bytes);
        let subject = Subject {
            claim: claim.clone(),
            application,
            schema: Arc::clone(&schema),
            knowledge,
            limits: self.options.limits(),
            random,
        };
        let situation = situation(&*self.store, &*self.ledger, subject).await?;
        let mut run = Run {
            worker: self,
            claim,
            schema,
            target,
        };
        let (mut state, mut command) = self.begin(situation);
        loop {
            self.learn(run.claim.application, state.take_facts());
            let event = match run.perform(command).await {
                Ok(Some(event)) => event,
                Ok(None) => {
                    self.keep(&run.claim, state.take_rest());
                    return Ok(());
                }
                Err(fault) => {
                    // What was sent was sent, whichever worker goes on from here.
                    run.write_lines(state.take_lines()).await?;
                    return Err(fault);
                }
            };
            (state, command) = machine::next(state, event, self.clock.now());
        }
    }

    /// Goes on where an earlier claim of the pair stopped to wait, where nothing has changed since.
    fn begin(&self, situation: Situation) -> (State, Command) {
        let now = self.clock.now();
        let rest = self.rests().remove(&key(&situation.claim));
        rest.and_then(|rest| rest.resume(&situation, now))
            .unwrap_or_else(|| machine::start(situation, now))
    }

    fn keep(&self, claim: &Claim, rest: Option<Rest>) {
        let mut rests = self.rests();
        if let Some(rest) = rest.filter(|_| rests.len() < RESTS_MAX) {
            rests.insert(key(claim), rest);
        }
    }

    fn rests(&self) -> MutexGuard<'_, HashMap<Key, Rest>> {
        self.rests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The application's connection; made anew where its settings have changed.
    fn connection(&self, application: &Application) -> Result<Connection, Fault> {
        let mut connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = connections
            .get(&application.id)
            .filter(|known| known.application == *application)
        {
            return Ok(known.clone());
        }
        let target = self.connector.connect(application)?;
        let connection = Connection {
            application: application.clone(),
            target,
            knowledge: Knowledge::default(),
        };
        connections.insert(application.id, connection.clone());
        Ok(connection)
    }

    fn learn(&self, application: ApplicationId, facts: Vec<Fact>) {
        if facts.is_empty() {
            return;
        }
        let mut connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.get_mut(&application) {
            for fact in facts {
                connection.knowledge.learn(fact);
            }
        }
    }
}

/// What a claim is about, before anything is read.
pub(crate) struct Subject {
    pub(crate) claim: Claim,
    pub(crate) application: Application,
    pub(crate) schema: Arc<TypeSchema>,
    pub(crate) knowledge: Knowledge,
    pub(crate) limits: Limits,
    pub(crate) random: u64,
}

/// Reads what the machine begins with.
pub(crate) async fn situation(
    store: &dyn Store,
    ledger: &dyn Ledger,
    about: Subject,
) -> Result<Situation, Fault> {
    let Subject {
        claim,
        application,
        schema,
        knowledge,
        limits,
        random,
    } = about;
    let link = ledger
        .read_link(
            claim.tenant,
            claim.application,
            &claim.resource_type,
            &claim.resource_id,
        )
        .await?;
    let include = Include {
        members: has_members(&schema),
        groups: true,
    };
    let subject = store
        .read(
            claim.tenant,
            &claim.resource_type,
            &claim.resource_id,
            include,
        )
        .await?;
    let references = subject
        .as_ref()
        .map(|subject| mapping::references(&schema, subject))
        .unwrap_or_default();
    let mut remote_ids = BTreeMap::new();
    if !references.is_empty() {
        remote_ids.extend(
            ledger
                .read_remote_ids(claim.tenant, claim.application, references)
                .await?,
        );
    }
    Ok(Situation {
        claim,
        application,
        schema,
        subject,
        link,
        remote_ids,
        knowledge,
        limits,
        random,
    })
}

/// Where resources that are linked to accounts are looked for.
pub(crate) struct Owners<'a> {
    /// Where their names are read, where these are asked for.
    pub(crate) store: Option<&'a dyn Store>,
    pub(crate) ledger: &'a dyn Ledger,
    pub(crate) tenant: TenantId,
    pub(crate) application: ApplicationId,
    pub(crate) schema: &'a TypeSchema,
}

impl Owners<'_> {
    /// The resources of these types that are linked to accounts.
    pub(crate) async fn find(
        &self,
        ids: Vec<AccountId>,
        types: &[String],
    ) -> Result<BTreeMap<AccountId, Owner>, Fault> {
        let mut found = BTreeMap::new();
        for id in ids {
            for resource_type in types {
                if let Some(owner) = self.of(&id, resource_type).await? {
                    found.insert(id.clone(), owner);
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Some applications write the letters of an id in another case in lists than in the account itself.
    async fn of(&self, id: &AccountId, resource_type: &str) -> Result<Option<Owner>, Fault> {
        let mut spellings = vec![id.to_string(), id.as_str().to_lowercase()];
        spellings.push(id.as_str().to_uppercase());
        spellings.dedup();
        for spelling in spellings {
            let linked = self
                .ledger
                .find_linked(self.tenant, self.application, resource_type, &spelling)
                .await?;
            if let Some(resource_id) = linked {
                return Ok(Some(Owner {
                    is_waiting: self
                        .ledger
                        .is_waiting(self.tenant, self.application, &resource_id)
                        .await?,
                    name: self.name_of(resource_type, &resource_id).await?,
                    account_id: AccountId::new(spelling).filter(|known| known != id),
                    resource_id,
                }));
            }
        }
        Ok(None)
    }

    async fn name_of(&self, resource_type: &str, id: &str) -> Result<Option<String>, Fault> {
        let (Some(store), Some(name)) = (self.store, name_attribute(self.schema)) else {
            return Ok(None);
        };
        let subject = store
            .read(self.tenant, resource_type, id, Include::default())
            .await?;
        Ok(subject.and_then(|subject| {
            let name = subject.document.get(&name.name)?;
            name.as_str().map(str::to_owned)
        }))
    }
}

/// Sends one request.
pub(crate) async fn send(target: &dyn Target, schema: &TypeSchema, request: &Request) -> Reply {
    match request {
        Request::Discover => Reply::Described(target.discover().await),
        Request::Find(lookup) => Reply::Listed(target.find(schema, lookup).await),
        Request::List => Reply::Listed(target.list(schema).await),
        Request::Read(id) => Reply::Read(target.read(schema, id).await),
        Request::Create(account) => Reply::Created(target.create(schema, account).await),
        Request::Change(change) => Reply::Written(target.change(schema, change).await),
        Request::Replace(replacement) => Reply::Written(target.replace(schema, replacement).await),
        Request::Remove(id) => Reply::Written(target.remove(schema, id).await),
    }
}

/// One claim at work.
struct Run<'a> {
    worker: &'a Worker,
    claim: Claim,
    schema: Arc<TypeSchema>,
    target: Arc<dyn Target>,
}

impl Run<'_> {
    /// Performs a command; `None`: the claim has ended.
    async fn perform(&mut self, command: Command) -> Result<Option<Event>, Fault> {
        let ledger = &self.worker.ledger;
        match command {
            Command::Ask {
                request,
                lines,
                is_step,
            } => {
                self.write_lines(lines).await?;
                if self.is_half_gone() && !self.renew().await? {
                    return Ok(Some(Event::LeaseLost));
                }
                // Somebody may have paused the application since, or it asked another worker to wait.
                let now = self.worker.clock.now();
                if is_step
                    && !ledger
                        .is_served(self.claim.tenant, self.claim.application, now)
                        .await?
                {
                    return Ok(Some(Event::NotServed));
                }
                let (target, schema) = (Arc::clone(&self.target), Arc::clone(&self.schema));
                let reply = self.keep_lease(send(&*target, &schema, &request)).await?;
                Ok(Some(reply.map_or(Event::LeaseLost, |reply| {
                    Event::Answered(Box::new(reply))
                })))
            }
            Command::FindOwners {
                ids,
                types,
                with_names,
            } => {
                let search = Owners {
                    store: with_names.then_some(&*self.worker.store),
                    ledger: &**ledger,
                    tenant: self.claim.tenant,
                    application: self.claim.application,
                    schema: &self.schema,
                };
                let found = search.find(ids, &types).await?;
                Ok(Some(Event::Owners(found)))
            }
            Command::WriteLink(link, lines) => Ok(Some(Event::LinkWritten(
                ledger.write_link(&self.claim, *link, lines).await?,
            ))),
            Command::Record(record) => {
                // The lease may have been renewed since the machine began.
                ledger
                    .record(Record {
                        claim: self.claim.clone(),
                        ..*record
                    })
                    .await?;
                Ok(None)
            }
            Command::Leave(lines) => {
                self.write_lines(lines).await?;
                tracing::warn!(application.id = self.claim.application.0, resource.id = %self.claim.resource_id, "lost a lease");
                Ok(None)
            }
        }
    }

    async fn write_lines(
        &self,
        lines: Vec<crate::provisioning_log::LogEntry>,
    ) -> Result<(), Fault> {
        if lines.is_empty() {
            return Ok(());
        }
        self.worker
            .ledger
            .write_lines(self.claim.tenant, self.claim.application, lines)
            .await
    }

    /// Waits for a request and renews the lease meanwhile; `None` where it was lost.
    async fn keep_lease<T>(
        &mut self,
        request: impl Future<Output = T>,
    ) -> Result<Option<T>, Fault> {
        let half = Duration::from_secs(u64::from(self.worker.options.lease_seconds))
            .div_f64(2.0)
            .max(Duration::from_millis(100));
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
        let until = pacing::after(
            self.worker.clock.now(),
            u64::from(self.worker.options.lease_seconds) * 1_000,
        );
        let renewed = self.worker.ledger.renew(&self.claim, until).await?;
        if renewed {
            self.claim.lease_until = until;
        }
        Ok(renewed)
    }

    fn is_half_gone(&self) -> bool {
        pacing::after(
            self.worker.clock.now(),
            u64::from(self.worker.options.lease_seconds) * 500,
        ) > self.claim.lease_until
    }
}
