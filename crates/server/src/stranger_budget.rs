//! How many requests of strangers are written into the request log of a tenant: guessing tokens must not fill a disk, nor push out what matters.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// Tenants that are watched at the same time; where there are more, all begin anew.
const TENANTS_MAX: usize = 1_000;
/// The time that a budget is for, in seconds.
const WINDOW_SECONDS: i64 = 60;

/// Counts by name of the tenant.
#[derive(Debug, Default)]
pub(crate) struct StrangerBudget {
    windows: Mutex<HashMap<String, (i64, u32)>>,
}

impl StrangerBudget {
    /// Whether one more is written down in this minute.
    pub(crate) fn allows(&self, tenant: &str, now: Timestamp, most: u32) -> bool {
        let window = now.as_second().div_euclid(WINDOW_SECONDS);
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= TENANTS_MAX && !windows.contains_key(tenant) {
            windows.clear();
        }
        let counted = windows.entry(tenant.to_owned()).or_insert((window, 0));
        if counted.0 != window {
            *counted = (window, 0);
        }
        counted.1 = counted.1.saturating_add(1);
        counted.1 <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_room_for_so_many() {
        let budget = StrangerBudget::default();
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let written = (0..100).filter(|_| budget.allows("a", at(600), 10)).count();
        assert_eq!(written, 10);
        assert!(budget.allows("b", at(600), 10) && budget.allows("a", at(660), 10));
        for number in 0..5_000 {
            budget.allows(&number.to_string(), at(700), 10);
        }
        assert!(budget.windows.lock().unwrap().len() <= TENANTS_MAX);
    }
}
