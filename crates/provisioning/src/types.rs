//! *(shell)* The schemas of tenants as they are now: the engine provisions each resource by its tenant's schemas.

use std::sync::Arc;

use directory::directory::SchemaSets;
use directory::schema_store::SchemaStore;
use directory::store::Fault;
use directory::tenant::TenantId;
use scim_protocol::SchemaSet;

/// Reads the schemas of tenants.
pub struct Types {
    store: Arc<dyn SchemaStore>,
    sets: SchemaSets,
}

impl Types {
    /// Of this store.
    pub fn new(store: Arc<dyn SchemaStore>) -> Self {
        Self {
            store,
            sets: SchemaSets::default(),
        }
    }

    /// A tenant's schemas as they are now.
    pub async fn of(&self, tenant: TenantId) -> Result<SchemaSet, Fault> {
        let types = self.store.read_types(tenant).await?;
        self.sets.of(tenant, types).map_err(|error| {
            Fault::new(format!("the tenant's schemas do not fit together: {error}"))
        })
    }
}
