//! *(shell)* The schemas of tenants as they were last made: all callers of a tenant share one set. It does not know whether a tenant's types are still
//! these; its caller has just read them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use scim_protocol::{Error, SchemaSet};

use crate::tenant::TenantId;
use crate::tenant_types::TenantTypes;

/// Most tenants whose sets are remembered. Those that changed nothing share one anyway.
const TENANTS_MAX: usize = 1_000;

/// Sets of schemas by tenant, each with the types that it was made of.
#[derive(Default)]
pub struct SchemaSets {
    known: Mutex<HashMap<TenantId, (TenantTypes, SchemaSet)>>,
}

impl SchemaSets {
    /// The set of these types. Refuses types whose schemas are not there.
    pub fn of(&self, tenant: TenantId, types: TenantTypes) -> Result<SchemaSet, Error> {
        if types.is_shared() {
            return types.schema_set();
        }
        // The map is whole between any two of its calls, so a panic elsewhere does not spoil it.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, set)) = known.get(&tenant).filter(|(before, _)| *before == types) {
            return Ok(set.clone());
        }
        let set = types.schema_set()?;
        // This is rare and cheap: the sets of all tenants are made once more.
        if known.len() >= TENANTS_MAX {
            known.clear();
        }
        known.insert(tenant, (types, set.clone()));
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_of_a_tenant_share_a_set_until_its_types_change() {
        let sets = SchemaSets::default();
        let types = |revision| TenantTypes {
            revision,
            ..TenantTypes::first().clone()
        };
        let of = |tenant, types| sets.of(TenantId(tenant), types).unwrap();
        let is_same =
            |one: &SchemaSet, other: &SchemaSet| std::ptr::eq(one.schemas(), other.schemas());
        let first = of(1, types(2));
        assert!(is_same(&first, &of(1, types(2))) && !is_same(&first, &of(2, types(2))));
        // Also where a tenant is another one that has the id of one that is gone.
        let mut less = types(2);
        less.resource_types.pop();
        assert!(of(1, less).by_name("Role").is_none());
        assert_eq!(of(1, types(3)).revision(), 3);
        for tenant in 0..2 * i64::try_from(TENANTS_MAX).unwrap() {
            of(
                tenant,
                TenantTypes {
                    revision: 1,
                    ..TenantTypes::default()
                },
            );
            assert!(sets.known.lock().unwrap().len() <= TENANTS_MAX);
        }
    }
}
