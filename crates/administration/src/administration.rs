//! What the functions of this crate work with: the ports, the clock, the randomness, and the limits. Does nothing itself.

use std::sync::Arc;

use access::client::Clients;
use access::credential::{TokenHasher, Tokens};
use access::issuer::{Issuers, KeySets};
use async_trait::async_trait;
use directory::access::{Caller, Scope};
use directory::audit_log::Audit;
use directory::clock::{Clock, IdGenerator};
use directory::request_log::RequestLog;
use directory::tenant_life::TenantLife;
use directory::{Directory, DirectoryError};
use events::event_log::{Receivers, SigningKeys};
use events::subscription::Subscriptions;
use provisioning::connector::Connector;
use provisioning::dry_run::DryRun;
use provisioning::ledger::{Catalogue, Ledger};
use scim_protocol::{Error, ErrorKind};
use url::Url;

use crate::administrator::Administrator;

/// The tenant that is always there, and home of those who own the installation.
pub const DEFAULT_TENANT: &str = "default";

/// Whether the outside can be reached at a URL. The rules are those of the server.
#[async_trait]
pub trait Reach: Send + Sync {
    /// Says why the server may not reach a URL, and what would allow it.
    async fn check(&self, url: &Url) -> Result<(), String>;
}

/// How much a tenant may have.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most live tokens of a tenant, and most live clients.
    pub credentials_max: usize,
    /// Most applications of a tenant, most issuers, and most receivers.
    pub partners_max: usize,
}

/// The engine's part: applications, and what is sent to them.
#[derive(Clone)]
pub struct Engine {
    /// Applications.
    pub catalogue: Arc<dyn Catalogue>,
    /// Work.
    pub ledger: Arc<dyn Ledger>,
    /// The way to applications.
    pub connector: Arc<dyn Connector>,
    /// Whether a URL may be reached.
    pub reach: Arc<dyn Reach>,
    /// What would be sent.
    pub dry_run: Arc<DryRun>,
}

/// The part of those who are told what happened.
#[derive(Clone)]
pub struct Events {
    /// Who is told.
    pub receivers: Arc<dyn Receivers>,
    /// With which keys tokens about it are signed.
    pub keys: Arc<dyn SigningKeys>,
    /// What sends to receivers, and knows under which URL they find this server.
    pub delivery: Arc<Subscriptions>,
}

/// The ports of one installation.
#[derive(Clone)]
pub struct Administration {
    /// Tenants and tokens.
    pub tenants: Arc<dyn Tokens>,
    /// Suspending, moving and erasing tenants.
    pub life: Arc<dyn TenantLife>,
    /// Request logs, which are erased with their tenants.
    pub request_log: Arc<dyn RequestLog>,
    /// OAuth clients.
    pub clients: Arc<dyn Clients>,
    /// Foreign issuers.
    pub issuers: Arc<dyn Issuers>,
    /// The way to their keys.
    pub key_sets: Arc<dyn KeySets>,
    /// The audit log.
    pub audit: Arc<dyn Audit>,
    /// Applications.
    pub engine: Engine,
    /// Receivers of events.
    pub events: Events,
    /// Identities.
    pub directory: Directory,
    /// Hashes tokens as the store has them.
    pub hasher: Arc<dyn TokenHasher>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids and secrets.
    pub ids: Arc<dyn IdGenerator>,
    /// Limits.
    pub options: Options,
}

impl Administration {
    /// The same administrator in another tenant.
    pub async fn in_tenant(
        &self,
        by: &Administrator,
        name: &str,
    ) -> Result<Administrator, DirectoryError> {
        let missing = || Error::new(ErrorKind::NotFound, format!("There is no tenant `{name}`."));
        let tenant = self.tenants.find_tenant(name).await?.ok_or_else(missing)?;
        let Caller {
            credential_id,
            permissions,
            expires,
            ..
        } = by.caller.clone();
        let there = self
            .directory
            .caller(Arc::new(tenant), credential_id, permissions)
            .await?;
        Ok(Administrator {
            caller: Caller { expires, ..there },
            actor: by.actor.clone(),
        })
    }
}

/// Refuses a URL that this server may not reach now. Only operators read why: the names and addresses of an inner network are not a tenant's to know.
pub async fn may_be_reached(
    on: &Administration,
    by: &Administrator,
    path: &str,
    url: &str,
) -> Result<(), Error> {
    let checked = match Url::parse(url) {
        Ok(url) => on.engine.reach.check(&url).await,
        Err(error) => Err(format!("it is not a URL ({error})")),
    };
    let Err(why) = checked else {
        return Ok(());
    };
    let detail = if by.caller.permissions.has(Scope::Operator) {
        format!("`{path}` may not be reached: {why}.")
    } else {
        format!(
            "`{path}` may not be reached; accepted is a public address, or one that the operator of this server allows."
        )
    };
    Err(Error::new(ErrorKind::InvalidValue, detail).at(path))
}

/// What an application or the network said, as this administrator may read it. Only operators read it: an answer can come from a network that is not the
/// tenant's.
pub fn what_was_said(by: &Administrator, said: String) -> String {
    if said.is_empty() || by.caller.permissions.has(Scope::Operator) {
        said
    } else {
        "only an operator of this server can read what was answered".to_owned()
    }
}

/// Refuses one more where there are as many as there may be.
pub fn has_room(there: usize, most: usize, noun: &str) -> Result<(), Error> {
    if there < most {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Conflict,
        format!(
            "There are {there} {noun}, which are as many as a tenant may have; take one away first."
        ),
    ))
}
