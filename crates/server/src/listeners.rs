//! Who waits for events: counted, so that nobody takes all the room. Does not wait itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use directory::tenant::TenantId;

/// The count of those who wait.
#[derive(Clone)]
pub(crate) struct Listeners {
    waiting: Arc<Mutex<HashMap<TenantId, usize>>>,
    all_max: usize,
    per_tenant_max: usize,
}

/// One who waits; its end makes room.
pub(crate) struct Listener {
    listeners: Listeners,
    tenant: TenantId,
}

impl Listeners {
    /// Room for so many.
    pub fn new(all_max: usize, per_tenant_max: usize) -> Self {
        Self {
            waiting: Arc::default(),
            all_max,
            per_tenant_max,
        }
    }

    /// Takes a place; `None` where there is none.
    pub fn enter(&self, tenant: TenantId) -> Option<Listener> {
        let mut waiting = self.waiting();
        let all: usize = waiting.values().sum();
        let of_tenant = waiting.entry(tenant).or_default();
        if all >= self.all_max || *of_tenant >= self.per_tenant_max {
            return None;
        }
        *of_tenant += 1;
        Some(Listener {
            listeners: self.clone(),
            tenant,
        })
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<TenantId, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut waiting = self.listeners.waiting();
        if let Some(count) = waiting.get_mut(&self.tenant) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                waiting.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many() {
        let listeners = Listeners::new(3, 2);
        let first = listeners.enter(TenantId(1)).unwrap();
        let _second = listeners.enter(TenantId(1)).unwrap();
        assert!(listeners.enter(TenantId(1)).is_none(), "of this tenant");
        let _third = listeners.enter(TenantId(2)).unwrap();
        assert!(listeners.enter(TenantId(2)).is_none(), "in all");
        drop(first);
        assert!(listeners.enter(TenantId(2)).is_some());
    }
}
