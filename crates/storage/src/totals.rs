//! How many resources a condition selects, remembered until something changes. Counts nothing itself; whoever has counted hands it in.
//!
//! Every commit raises the tenant's sequence in the same transaction, so a count belongs to one sequence and is right as long as that stands.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::filter_sql::Query;

/// Counts remembered; the oldest goes first.
const TOTALS_MAX: usize = 512;
/// Keys remembered with one count; more are read again.
const KEYS_MAX: usize = 10_000;
/// Keys remembered in all, of eight bytes each.
const ALL_KEYS_MAX: usize = 250_000;
/// Resources between two marks of a list in order of creation.
pub(crate) const MARK_EVERY: usize = 500;

/// What state of which tenant's data something was counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// The store's key of the tenant.
    pub tenant: i64,
    /// When the tenant was made: its key may have been another's.
    pub created: i64,
    /// Its newest change.
    pub sequence: i64,
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Total {
    /// How many there are.
    pub count: u64,
    /// Their keys in order of creation, where they are few.
    pub keys: Option<Arc<[i64]>>,
    /// Every `MARK_EVERY`th key in order of creation, beginning with the first, where all of a type were counted.
    pub marks: Option<Arc<[i64]>>,
}

impl Total {
    /// A total of keys that are in order.
    pub(crate) fn of(keys: &[i64]) -> Self {
        let few = keys.len() <= KEYS_MAX;
        Self { count: u64::try_from(keys.len()).unwrap_or(u64::MAX), keys: few.then(|| keys.into()), marks: None }
    }

    /// How many keys it holds.
    fn size(&self) -> usize {
        [&self.keys, &self.marks].into_iter().flatten().map(|keys| keys.len()).sum()
    }

    /// A total that was only counted.
    pub(crate) fn counted(count: u64) -> Self {
        Self { count, ..Self::default() }
    }
}

/// The memory.
#[derive(Debug, Default)]
pub(crate) struct Totals(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    by_query: HashMap<Query, (State, Total)>,
    in_order: VecDeque<Query>,
    keys: usize,
}

impl Remembered {
    fn forget_oldest(&mut self) {
        let Some(oldest) = self.in_order.pop_front() else { return };
        if let Some((_, total)) = self.by_query.remove(&oldest) {
            self.keys -= total.size();
        }
    }
}

impl Totals {
    /// What is remembered of a query in this state.
    pub(crate) fn find(&self, query: &Query, state: State) -> Option<Total> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.by_query.get(query).filter(|(then, _)| *then == state).map(|(_, total)| total.clone())
    }

    /// Remembers one.
    pub(crate) fn remember(&self, query: Query, state: State, total: Total) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.keys += total.size();
        match remembered.by_query.insert(query.clone(), (state, total)) {
            Some((_, before)) => remembered.keys -= before.size(),
            None => remembered.in_order.push_back(query),
        }
        while remembered.in_order.len() > TOTALS_MAX || remembered.keys > ALL_KEYS_MAX {
            remembered.forget_oldest();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter_sql::Parameter;

    fn query(number: i64) -> Query {
        Query { text: "q".into(), parameters: vec![Parameter::Integer(number)] }
    }

    #[test]
    fn a_total_is_good_for_one_state() {
        let totals = Totals::default();
        let state = State { tenant: 1, created: 0, sequence: 5 };
        totals.remember(query(1), state, Total::counted(7));
        assert_eq!(totals.find(&query(1), state).unwrap().count, 7);
        assert!(totals.find(&query(2), state).is_none());
        for other in [State { sequence: 6, ..state }, State { tenant: 2, ..state }, State { created: 1, ..state }] {
            assert!(totals.find(&query(1), other).is_none());
        }
        totals.remember(query(1), State { sequence: 6, ..state }, Total::counted(8));
        assert!(totals.find(&query(1), state).is_none());
    }

    #[test]
    fn the_memory_is_bounded() {
        let totals = Totals::default();
        let state = State { tenant: 1, created: 0, sequence: 5 };
        for number in 0..2_000 {
            totals.remember(query(number), state, Total::of(&[1, 2]));
        }
        let remembered = totals.0.lock().unwrap();
        assert_eq!((remembered.by_query.len(), remembered.in_order.len(), remembered.keys), (TOTALS_MAX, TOTALS_MAX, 2 * TOTALS_MAX));
        drop(remembered);
        for number in 0..100 {
            totals.remember(query(number % 50), state, Total::of(&vec![1; KEYS_MAX]));
        }
        let remembered = totals.0.lock().unwrap();
        assert_eq!((remembered.by_query.len(), remembered.keys), (ALL_KEYS_MAX / KEYS_MAX, ALL_KEYS_MAX));
    }
}
