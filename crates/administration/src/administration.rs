//! What the functions of this crate work with: the ports, the clock, the randomness, and the limits. Does nothing itself.

use std::sync::Arc;

use access::credential::{TokenHasher, Tokens};
use directory::access::Caller;
use directory::audit_log::Audit;
use directory::clock::{Clock, IdGenerator};
use directory::{Directory, DirectoryError};
use scim_protocol::{Error, ErrorKind};

use crate::administrator::Administrator;

/// The tenant that is always there, and home of those who own the installation.
pub const DEFAULT_TENANT: &str = "default";

/// How much a tenant may have.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most live tokens of a tenant, and most live clients.
    pub credentials_max: usize,
}

/// The ports of one installation.
#[derive(Clone)]
pub struct Administration {
    /// Tenants and tokens.
    pub tenants: Arc<dyn Tokens>,
    /// The audit log.
    pub audit: Arc<dyn Audit>,
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
