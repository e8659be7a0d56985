//! The ports that a database has, each by its name; the request log, which may be another database, is not among them.

use std::sync::Arc;

use access::client::Clients;
use access::credential::Tokens;
use access::issuer::Issuers;
use directory::audit_log::Audit;
use directory::history::History;
use directory::parking::Parking;
use directory::pending::PendingReferences;
use directory::readiness::Readiness;
use directory::schema_store::SchemaStore;
use directory::store::Store;
use directory::tenant_life::TenantLife;
use events::event_log::{EventLog, Receivers, SigningKeys};
use provisioning::ledger::{Catalogue, Ledger};
use tokio::sync::Notify;

use crate::engine::{Database, Engine};

/// A database as its ports.
pub trait Ports {
    /// Tenants and tokens.
    fn tokens(&self) -> Arc<dyn Tokens>;
    /// OAuth clients.
    fn clients(&self) -> Arc<dyn Clients>;
    /// Foreign issuers.
    fn issuers(&self) -> Arc<dyn Issuers>;
    /// Identities.
    fn identities(&self) -> Arc<dyn Store>;
    /// Schemas and resource types.
    fn types(&self) -> Arc<dyn SchemaStore>;
    /// What was.
    fn history(&self) -> Arc<dyn History>;
    /// What the deletion guard holds.
    fn parking(&self) -> Arc<dyn Parking>;
    /// References that wait.
    fn pending(&self) -> Arc<dyn PendingReferences>;
    /// Suspending, moving and erasing tenants.
    fn life(&self) -> Arc<dyn TenantLife>;
    /// What administrators did.
    fn audit(&self) -> Arc<dyn Audit>;
    /// Applications.
    fn catalogue(&self) -> Arc<dyn Catalogue>;
    /// Work.
    fn ledger(&self) -> Arc<dyn Ledger>;
    /// What happened.
    fn events(&self) -> Arc<dyn EventLog>;
    /// Who is told of it.
    fn receivers(&self) -> Arc<dyn Receivers>;
    /// With which keys tokens about it are signed.
    fn keys(&self) -> Arc<dyn SigningKeys>;
    /// Whether it can be used.
    fn readiness(&self) -> Arc<dyn Readiness>;
    /// Notified when something was committed: here, or by another node as far as that is heard; sometimes when nothing was.
    fn committed(&self) -> Arc<Notify>;
}

impl<E: Engine> Ports for Database<E>
where
    Self: Store + Readiness,
{
    fn tokens(&self) -> Arc<dyn Tokens> {
        Arc::new(self.clone())
    }

    fn clients(&self) -> Arc<dyn Clients> {
        Arc::new(self.clone())
    }

    fn issuers(&self) -> Arc<dyn Issuers> {
        Arc::new(self.clone())
    }

    fn identities(&self) -> Arc<dyn Store> {
        Arc::new(self.clone())
    }

    fn types(&self) -> Arc<dyn SchemaStore> {
        Arc::new(self.clone())
    }

    fn history(&self) -> Arc<dyn History> {
        Arc::new(self.clone())
    }

    fn parking(&self) -> Arc<dyn Parking> {
        Arc::new(self.clone())
    }

    fn pending(&self) -> Arc<dyn PendingReferences> {
        Arc::new(self.clone())
    }

    fn life(&self) -> Arc<dyn TenantLife> {
        Arc::new(self.clone())
    }

    fn audit(&self) -> Arc<dyn Audit> {
        Arc::new(self.clone())
    }

    fn catalogue(&self) -> Arc<dyn Catalogue> {
        Arc::new(self.clone())
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.clone())
    }

    fn events(&self) -> Arc<dyn EventLog> {
        Arc::new(self.clone())
    }

    fn receivers(&self) -> Arc<dyn Receivers> {
        Arc::new(self.clone())
    }

    fn keys(&self) -> Arc<dyn SigningKeys> {
        Arc::new(self.clone())
    }

    fn readiness(&self) -> Arc<dyn Readiness> {
        Arc::new(self.clone())
    }

    fn committed(&self) -> Arc<Notify> {
        Arc::clone(self.0.commits())
    }
}
