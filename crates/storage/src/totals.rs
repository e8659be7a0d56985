//! Which resources a condition selects, remembered. Counts nothing itself; a search that has counted hands it in.
//!
//! Every commit raises the tenant's sequence in the same transaction, so what is remembered belongs to one sequence and is right as long as that stands; after
//! that, a caller who knows what has changed since may bring it up to date.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use roaring::RoaringBitmap;

use crate::filter_sql::Query;

/// Conditions remembered; the oldest goes first.
const TOTALS_MAX: usize = 512;
/// Bytes of keys remembered in all.
const BYTES_MAX: usize = 2 * 1024 * 1024;

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

/// Keys of resources, in order of creation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Keys(RoaringBitmap);

impl Keys {
    /// Of keys in ascending order; `None` where they are not, or where one has more than 32 bits.
    pub(crate) fn of(keys: &[i64]) -> Option<Self> {
        let short = keys
            .iter()
            .map(|key| u32::try_from(*key))
            .collect::<Result<Vec<u32>, _>>()
            .ok()?;
        let mut keys = RoaringBitmap::from_sorted_iter(short).ok()?;
        keys.optimize();
        Some(Self(keys))
    }

    /// How many.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// So many behind this key, after so many others.
    pub(crate) fn slice(&self, after: i64, offset: u64, limit: usize) -> Vec<i64> {
        let before = if after < 0 {
            0
        } else {
            self.0.rank(u32::try_from(after).unwrap_or(u32::MAX))
        };
        let first = u32::try_from(before.saturating_add(offset))
            .ok()
            .and_then(|place| self.0.select(place));
        let Some(first) = first else {
            return Vec::new();
        };
        let mut keys = self.0.iter();
        keys.advance_to(first);
        keys.take(limit).map(i64::from).collect()
    }

    /// Puts a key in or takes it out; whether that was possible.
    pub(crate) fn set(&mut self, key: i64, is_in: bool) -> bool {
        let Ok(key) = u32::try_from(key) else {
            return false;
        };
        if is_in {
            self.0.insert(key);
        } else {
            self.0.remove(key);
        }
        true
    }
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Total {
    /// How many there are.
    pub count: u64,
    /// Which, where that is known.
    pub keys: Option<Arc<Keys>>,
}

impl Total {
    /// A total of keys that are in order.
    pub(crate) fn of(keys: &[i64]) -> Self {
        match Keys::of(keys) {
            Some(keys) => keys.into(),
            None => Self::counted(u64::try_from(keys.len()).unwrap_or(u64::MAX)),
        }
    }

    /// A total that was only counted.
    pub(crate) fn counted(count: u64) -> Self {
        Self { count, keys: None }
    }

    /// How many bytes its keys take.
    fn bytes(&self) -> usize {
        self.keys
            .as_ref()
            .map_or(0, |keys| keys.0.serialized_size())
    }
}

impl From<Keys> for Total {
    fn from(keys: Keys) -> Self {
        Self {
            count: keys.count(),
            keys: Some(Arc::new(keys)),
        }
    }
}

/// The memory.
#[derive(Debug, Default)]
pub(crate) struct Totals(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    by_query: HashMap<Query, (State, Total)>,
    in_order: VecDeque<Query>,
    bytes: usize,
}

impl Remembered {
    fn forget_oldest(&mut self) {
        let Some(oldest) = self.in_order.pop_front() else {
            return;
        };
        if let Some((_, total)) = self.by_query.remove(&oldest) {
            self.bytes -= total.bytes();
        }
    }
}

impl Totals {
    /// What is remembered of a query in this state.
    pub(crate) fn find(&self, query: &Query, state: State) -> Option<Total> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered
            .by_query
            .get(query)
            .filter(|(then, _)| *then == state)
            .map(|(_, total)| total.clone())
    }

    /// What was remembered of a query last, in this state or an earlier one, and the sequence of that.
    pub(crate) fn find_last(&self, query: &Query, state: State) -> Option<(i64, Total)> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (then, total) = remembered.by_query.get(query)?;
        let is_before = then.tenant == state.tenant
            && then.created == state.created
            && then.sequence <= state.sequence;
        is_before.then(|| (then.sequence, total.clone()))
    }

    /// Remembers one.
    pub(crate) fn remember(&self, query: Query, state: State, total: Total) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.bytes += total.bytes();
        match remembered.by_query.insert(query.clone(), (state, total)) {
            Some((_, before)) => remembered.bytes -= before.bytes(),
            None => remembered.in_order.push_back(query),
        }
        while remembered.in_order.len() > TOTALS_MAX || remembered.bytes > BYTES_MAX {
            remembered.forget_oldest();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter_sql::Parameter;

    fn query(number: i64) -> Query {
        Query {
            text: "q".into(),
            parameters: vec![Parameter::Integer(number)],
        }
    }

    #[test]
    fn a_total_is_good_for_one_state() {
        let totals = Totals::default();
        let state = State {
            tenant: 1,
            created: 0,
            sequence: 5,
        };
        totals.remember(query(1), state, Total::counted(7));
        assert_eq!(totals.find(&query(1), state).unwrap().count, 7);
        assert!(totals.find(&query(2), state).is_none());
        for other in [
            State {
                sequence: 6,
                ..state
            },
            State { tenant: 2, ..state },
            State {
                created: 1,
                ..state
            },
        ] {
            assert!(totals.find(&query(1), other).is_none());
        }
        totals.remember(
            query(1),
            State {
                sequence: 6,
                ..state
            },
            Total::counted(8),
        );
        assert!(totals.find(&query(1), state).is_none());
    }

    #[test]
    fn the_memory_is_bounded() {
        let totals = Totals::default();
        let state = State {
            tenant: 1,
            created: 0,
            sequence: 5,
        };
        for number in 0..2_000 {
            totals.remember(query(number), state, Total::of(&[1, 2]));
        }
        let remembered = totals.0.lock().unwrap();
        assert_eq!(
            (remembered.by_query.len(), remembered.in_order.len()),
            (TOTALS_MAX, TOTALS_MAX)
        );
        drop(remembered);
        let scattered: Vec<i64> = (0..100_000).map(|key| key * 7).collect();
        let one = Total::of(&scattered).bytes();
        assert!(one > BYTES_MAX / 50, "{one}");
        for number in 0..100 {
            totals.remember(query(number % 50), state, Total::of(&scattered));
        }
        let remembered = totals.0.lock().unwrap();
        assert_eq!(
            (remembered.by_query.len(), remembered.bytes),
            (BYTES_MAX / one, BYTES_MAX / one * one)
        );
    }

    #[test]
    fn an_earlier_state_is_found_and_a_later_one_is_not() {
        let totals = Totals::default();
        let state = State {
            tenant: 1,
            created: 0,
            sequence: 5,
        };
        totals.remember(query(1), state, Total::counted(7));
        let last = |sequence: i64, created: i64| {
            totals
                .find_last(
                    &query(1),
                    State {
                        created,
                        sequence,
                        ..state
                    },
                )
                .map(|(then, total)| (then, total.count))
        };
        assert_eq!(
            (last(5, 0), last(9, 0), last(4, 0), last(9, 1)),
            (Some((5, 7)), Some((5, 7)), None, None)
        );
    }

    #[test]
    fn keys_are_cut_and_changed() {
        let mut keys = Keys::of(&[2, 3, 5, 70_000, 70_001]).unwrap();
        let check = |keys: &Keys, after: i64, offset: u64, limit: usize, expected: &[i64]| {
            assert_eq!(keys.slice(after, offset, limit), expected);
        };
        check(&keys, i64::MIN, 0, 2, &[2, 3]);
        check(&keys, i64::MIN, 2, 9, &[5, 70_000, 70_001]);
        check(&keys, 3, 0, 2, &[5, 70_000]);
        check(&keys, 4, 1, 2, &[70_000, 70_001]);
        check(&keys, 70_001, 0, 2, &[]);
        check(&keys, i64::MIN, 5, 2, &[]);
        check(&keys, i64::MAX, u64::MAX, 2, &[]);
        assert!(keys.set(4, true) && keys.set(2, false) && !keys.set(i64::MAX, true));
        check(&keys, i64::MIN, 0, 9, &[3, 4, 5, 70_000, 70_001]);
        assert_eq!(Keys::of(&[1, i64::from(u32::MAX) + 1]), None);
        assert_eq!(Total::of(&[1, i64::from(u32::MAX) + 1]).count, 2);
    }
}
