//! How many receivers are sent to at once on one node, so that those that fail and those of one tenant leave room for others. Sends nothing.

use std::collections::HashMap;

use directory::tenant::TenantId;

/// The claims of receivers on one node, and whether another may begin. Receivers that failed last time use at most half of the room, those of one tenant a
/// quarter.
#[derive(Clone, Debug)]
pub struct ReceiverRoom {
    receivers_max: usize,
    at_work: usize,
    failing: usize,
    by_tenant: HashMap<TenantId, usize>,
}

impl ReceiverRoom {
    /// Empty.
    pub fn new(receivers_max: usize) -> Self {
        Self {
            receivers_max,
            at_work: 0,
            failing: 0,
            by_tenant: HashMap::new(),
        }
    }

    /// Whether a receiver that failed so often may be claimed now.
    pub fn admits(&self, tenant: TenantId, attempts: u32) -> bool {
        let of_tenant = self.by_tenant.get(&tenant).copied().unwrap_or(0);
        self.at_work < self.receivers_max
            && of_tenant < self.receivers_max.div_ceil(4)
            && (attempts == 0 || self.failing < self.receivers_max.div_ceil(2))
    }

    /// A claim begins.
    pub fn begin(&mut self, tenant: TenantId, attempts: u32) {
        self.at_work += 1;
        self.failing += usize::from(attempts > 0);
        *self.by_tenant.entry(tenant).or_default() += 1;
    }

    /// A claim that began with so many attempts has ended.
    pub fn end(&mut self, tenant: TenantId, attempts: u32) {
        self.at_work = self.at_work.saturating_sub(1);
        self.failing = self.failing.saturating_sub(usize::from(attempts > 0));
        if let Some(of_tenant) = self.by_tenant.get_mut(&tenant) {
            *of_tenant = of_tenant.saturating_sub(1);
            if *of_tenant == 0 {
                self.by_tenant.remove(&tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_that_fail_and_those_of_one_tenant_leave_room_for_others() {
        let mut room = ReceiverRoom::new(16);
        let mut fill = |tenant: i64, attempts: u32| {
            let mut count = 0;
            while room.admits(TenantId(tenant), attempts) {
                room.begin(TenantId(tenant), attempts);
                count += 1;
            }
            count
        };
        assert_eq!(
            [fill(1, 1), fill(2, 1), fill(3, 1), fill(3, 0), fill(4, 0)],
            [4, 4, 0, 4, 4]
        );
        room.end(TenantId(1), 1);
        assert!(
            room.admits(TenantId(1), 1)
                && room.admits(TenantId(5), 0)
                && !room.admits(TenantId(2), 0)
        );
    }
}
