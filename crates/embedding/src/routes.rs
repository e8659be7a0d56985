//! SCIM's routes for an application to mount. The only file here that knows the wall clock, the machine's randomness and the file system.

use std::path::Path;
use std::sync::Arc;

use access::credential::{TokenHasher, TokenRequest, Tokens, issue, token_text};
use axum::Router;
use directory::Directory;
use directory::access::Permissions;
use directory::audit::Entry;
use directory::clock::{Clock, IdGenerator};
use directory::store::Fault;
use directory::tenant::{Tenant, TenantSettings};
use jiff::Timestamp;
use server::{DEFAULT_TENANT, Options, Parts, State, router};
use storage::secrets::MasterKey;
use storage::sqlite::{self, Sqlite};
use uuid::Uuid;

use crate::account_store::AccountStore;
use crate::adapter::AccountsAsStore;

/// The machine's clock and randomness.
struct Machine;

impl Clock for Machine {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl IdGenerator for Machine {
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    fn id(&self) -> Uuid {
        Uuid::now_v7()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        // The operating system has no randomness, so no secret may be made.
        while getrandom::fill(&mut secret).is_err() {
            std::thread::yield_now();
        }
        secret
    }
}

/// SCIM over an application's accounts.
pub struct ScimRoutes {
    router: Router,
    tenants: Arc<dyn Tokens>,
    hasher: Arc<MasterKey>,
    tenant: Tenant,
}

impl ScimRoutes {
    /// Over these accounts. `folder` is there already; tokens (as keyed hashes) and the key are kept in it.
    pub async fn open(
        accounts: Arc<dyn AccountStore>,
        folder: &Path,
        options: Options,
    ) -> Result<Self, Fault> {
        let database = folder.join("rollcall.db");
        let hasher = Arc::new(MasterKey::of_database(
            &folder.join("rollcall.key"),
            sqlite::is_in_use(&database),
        )?);
        let own = Arc::new(Sqlite::open(&database, Arc::clone(&hasher))?);
        let machine = Arc::new(Machine);
        let directory = Directory::new(
            Arc::new(AccountsAsStore::new(accounts)),
            machine.clone(),
            machine.clone(),
        );
        let tenants: Arc<dyn Tokens> = own.clone();
        let made = tenants
            .create_tenant(
                DEFAULT_TENANT,
                TenantSettings::default(),
                machine.now(),
                Entry::of_program("tenant.create", DEFAULT_TENANT, machine.now()),
            )
            .await?;
        let tenant = match made {
            Some(made) => made,
            None => tenants
                .find_tenant(DEFAULT_TENANT)
                .await?
                .ok_or_else(|| Fault::new("the folder's database has no tenant"))?,
        };
        let state = State::new(Parts {
            directory,
            tenants: tenants.clone(),
            hasher: hasher.clone(),
            clock: machine.clone(),
            ids: machine,
            options,
            events: None,
            readiness: Some(own),
            request_log: None,
            callers: None,
            tenant_lifecycle: None,
            administration: None,
        });
        Ok(Self {
            router: router(state),
            tenants,
            hasher,
            tenant,
        })
    }

    /// A new token for an identity provider; shown this once.
    pub async fn issue_token(&self, name: &str) -> Result<String, Fault> {
        let text = token_text(&Machine.secret());
        self.accept_token(name, &text).await?;
        Ok(text)
    }

    /// Lets a token in that was made elsewhere, such as one from the application's own settings. Twice the same is no error.
    pub async fn accept_token(&self, name: &str, text: &str) -> Result<(), Fault> {
        if self
            .tenants
            .find_token(self.tenant.id, self.hasher.hash(text))
            .await?
            .is_some()
        {
            return Ok(());
        }
        let request = TokenRequest {
            tenant: self.tenant.id,
            name: name.to_owned(),
            expires: None,
            permissions: Permissions::default(),
        };
        let at = Machine.now();
        let token = issue(&*self.hasher, Machine.id(), text, request, at);
        let entry = Entry::of_program("token.create", token.id.clone(), at);
        self.tenants.create_token(token, entry).await.map(drop)
    }

    /// The routes, below `/scim/v2`. They want the whole path, so they are mounted with `route_service("/scim/v2/{*rest}", ...)` or as the fallback.
    pub fn router(&self) -> Router {
        self.router.clone()
    }
}
