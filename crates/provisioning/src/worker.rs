//! *(shell)* Outbox to application: takes one claimed pair as far as it gets, and records what came of it. Decides nothing: `plan` says what to do,
//! `outcome` what an answer means.

mod lookup;
mod run;
mod write;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use directory::clock::{Clock, IdGenerator};
use directory::store::{Fault, Store};
use scim_protocol::SchemaSet;

use crate::application::{Application, ApplicationId};
use crate::connector::{Capabilities, Connector, Exchange, Target};
use crate::ledger::{Claim, Ledger, LinkChange, Next, Reach, Record};
use crate::worker::run::Run;

/// Limits of a worker.
#[derive(Clone, Copy, Debug)]
pub struct WorkerOptions {
    /// How long a lease lasts.
    pub lease_seconds: u32,
    /// Most requests for one claim before others get their turn.
    pub steps_max: u32,
    /// How often a refused create or rename is tried again by itself before it is held.
    pub conflicts_max: u32,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self { lease_seconds: 30, steps_max: 200, conflicts_max: 6 }
    }
}

/// Takes claims to applications.
pub struct Worker {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdGenerator>,
    pub(crate) options: WorkerOptions,
    pub(crate) schemas: SchemaSet,
    connector: Arc<dyn Connector>,
    connections: Mutex<HashMap<ApplicationId, Connection>>,
}

/// An application that was connected, and what it said it can do.
#[derive(Clone)]
pub(crate) struct Connection {
    application: Application,
    pub(crate) target: Arc<dyn Target>,
    pub(crate) capabilities: Option<Arc<Capabilities>>,
}

impl Worker {
    /// A worker.
    pub fn new(
        store: Arc<dyn Store>,
        ledger: Arc<dyn Ledger>,
        connector: Arc<dyn Connector>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        options: WorkerOptions,
    ) -> Self {
        let schemas = SchemaSet::standard();
        Self { store, ledger, clock, ids, options, schemas, connector, connections: Mutex::default() }
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
        let Some(application) = self.ledger.read_application(claim.tenant, claim.application).await? else {
            return self.ledger.record(forget(claim)).await;
        };
        let Some(schema) = self.schemas.by_name(&claim.resource_type).cloned() else {
            return self.ledger.record(forget(claim)).await;
        };
        let connection = self.connection(&application)?;
        let link = self.ledger.read_link(claim.tenant, claim.application, &claim.resource_type, &claim.resource_id).await?;
        Run::new(self, claim, application, schema, connection, link).finish().await
    }

    /// The application's connection; made anew where its settings have changed.
    fn connection(&self, application: &Application) -> Result<Connection, Fault> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = connections.get(&application.id).filter(|known| known.application == *application) {
            return Ok(known.clone());
        }
        let target = self.connector.connect(application)?;
        let connection = Connection { application: application.clone(), target, capabilities: None };
        connections.insert(application.id, connection.clone());
        Ok(connection)
    }

    /// What the application can do; asked once.
    pub(crate) async fn capabilities(&self, connection: &Connection) -> Result<Arc<Capabilities>, Box<Exchange>> {
        if let Some(known) = &connection.capabilities {
            return Ok(Arc::clone(known));
        }
        let mut found = connection.target.discover().await?;
        if let Some(patch) = connection.application.settings.patch {
            found.patch = patch;
        }
        Ok(self.remember(connection.application.id, found))
    }

    pub(crate) fn random(&self) -> u64 {
        self.ids.secret().first_chunk().copied().map_or(0, u64::from_le_bytes)
    }

    /// What was learned of an application since it was asked.
    pub(crate) fn remember(&self, application: ApplicationId, capabilities: Capabilities) -> Arc<Capabilities> {
        let capabilities = Arc::new(capabilities);
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.get_mut(&application) {
            connection.capabilities = Some(Arc::clone(&capabilities));
        }
        capabilities
    }
}
