//! *(shell)* Room that tenants share: memory for bodies, threads for long requests, readers of the store. Each tenant has a share that it cannot exceed, and
//! what becomes free goes to the tenant that uses least. Knows no runtime: waiting is a plain future.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::tenant::TenantId;

/// Who takes room: a tenant, or the program itself.
type Taker = Option<TenantId>;

/// Room of a certain size.
#[derive(Clone, Debug)]
pub struct Shares {
    room: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    total: u64,
    per_tenant: u64,
    use_of: Mutex<Use>,
}

#[derive(Debug, Default)]
struct Use {
    taken: u64,
    taken_by: HashMap<Taker, u64>,
    /// Those that wait, by the order in which they came.
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    taker: Taker,
    amount: u64,
    /// Whether the amount has been given, and only has to be fetched.
    is_given: bool,
    waker: Option<Waker>,
}

/// Room that is taken, until this is dropped.
#[derive(Debug)]
pub struct Share {
    room: Arc<Room>,
    taker: Taker,
    amount: u64,
}

/// Waits for room. A request that stops waiting leaves the queue.
#[derive(Debug)]
pub struct Acquire {
    room: Arc<Room>,
    /// The place in the queue; `None` once the share was fetched.
    number: Option<u64>,
}

impl Shares {
    /// Room for `total`, of which one tenant has at most `per_tenant`.
    pub fn new(total: u64, per_tenant: u64) -> Self {
        Self {
            room: Arc::new(Room {
                total,
                per_tenant: per_tenant.min(total),
                use_of: Mutex::default(),
            }),
        }
    }

    /// Takes an amount for a tenant, or for the program itself (`None`); waits until there is room. Who asks for more than a whole share gets a whole share.
    pub fn acquire(&self, taker: impl Into<Option<TenantId>>, amount: u64) -> Acquire {
        let (taker, amount) = (taker.into(), amount.min(self.room.per_tenant));
        let mut used = self.room.used();
        let number = used.next;
        used.next += 1;
        used.waiting.insert(
            number,
            Waiting {
                taker,
                amount,
                is_given: false,
                waker: None,
            },
        );
        let woken = self.room.give(&mut used);
        drop(used);
        woken.into_iter().for_each(Waker::wake);
        Acquire {
            room: Arc::clone(&self.room),
            number: Some(number),
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.room
            .used()
            .waiting
            .values()
            .filter(|waiting| !waiting.is_given)
            .count()
    }
}

impl Room {
    fn used(&self) -> MutexGuard<'_, Use> {
        self.use_of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the free room to a request that waits: of the tenant that uses least, the first one. A request that needs more than is free is not passed over,
    /// or it would wait for ever.
    fn give(&self, used: &mut Use) -> Vec<Waker> {
        let mut woken = Vec::new();
        loop {
            let mut chosen: Option<(u64, u64)> = None;
            for (number, waiting) in used.waiting.iter().filter(|(_, waiting)| !waiting.is_given) {
                let own = used
                    .taken_by
                    .get(&waiting.taker)
                    .copied()
                    .unwrap_or_default();
                if own + waiting.amount <= self.per_tenant
                    && chosen.is_none_or(|(least, _)| own < least)
                {
                    chosen = Some((own, *number));
                }
            }
            let Some(next) = chosen.and_then(|(_, number)| used.waiting.get_mut(&number)) else {
                return woken;
            };
            if used.taken + next.amount > self.total {
                return woken;
            }
            next.is_given = true;
            woken.extend(next.waker.take());
            used.taken += next.amount;
            *used.taken_by.entry(next.taker).or_default() += next.amount;
        }
    }

    fn give_back(&self, taker: Taker, amount: u64) {
        let mut used = self.used();
        used.taken = used.taken.saturating_sub(amount);
        if let Some(own) = used.taken_by.get_mut(&taker) {
            *own = own.saturating_sub(amount);
            if *own == 0 {
                used.taken_by.remove(&taker);
            }
        }
        let woken = self.give(&mut used);
        drop(used);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Future for Acquire {
    type Output = Share;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Share> {
        let room = Arc::clone(&self.room);
        let mut used = room.used();
        let Some(number) = self.number else {
            return Poll::Pending;
        };
        let Some(waiting) = used.waiting.get_mut(&number) else {
            return Poll::Pending;
        };
        if !waiting.is_given {
            waiting.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let (taker, amount) = (waiting.taker, waiting.amount);
        used.waiting.remove(&number);
        self.number = None;
        drop(used);
        Poll::Ready(Share {
            room,
            taker,
            amount,
        })
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(number) = self.number.take() else {
            return;
        };
        let left = self.room.used().waiting.remove(&number);
        // Also where nothing was given: one that waits for much may have held up others.
        let (taker, amount) = left
            .filter(|left| left.is_given)
            .map_or((None, 0), |left| (left.taker, left.amount));
        self.room.give_back(taker, amount);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.give_back(self.taker, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TenantId = TenantId(1);
    const B: TenantId = TenantId(2);
    const C: TenantId = TenantId(3);

    fn now(acquire: &mut Acquire) -> Option<Share> {
        match Pin::new(acquire).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(share) => Some(share),
            Poll::Pending => None,
        }
    }

    #[test]
    fn one_tenant_never_has_more_than_its_share() {
        let shares = Shares::new(6, 4);
        let mut own: Vec<Acquire> = (0..6).map(|_| shares.acquire(A, 1)).collect();
        let mut held: Vec<Share> = own.iter_mut().filter_map(now).collect();
        assert_eq!((held.len(), shares.waiting()), (4, 2));
        let other = now(&mut shares.acquire(B, 1));
        assert!(other.is_some(), "another tenant does not wait behind it");
        held.pop();
        held.extend(own.iter_mut().filter_map(now));
        assert_eq!(
            (held.len(), shares.waiting()),
            (4, 1),
            "what was given back is taken by who waits"
        );
    }

    #[test]
    fn what_becomes_free_goes_to_who_uses_least() {
        let shares = Shares::new(3, 2);
        let mut held: Vec<Share> = [A, A, B]
            .into_iter()
            .filter_map(|tenant| now(&mut shares.acquire(tenant, 1)))
            .collect();
        let (mut of_b, mut of_c) = (shares.acquire(B, 1), shares.acquire(C, 1));
        assert!(now(&mut of_b).is_none() && now(&mut of_c).is_none());
        held.remove(0);
        assert!(
            now(&mut of_b).is_none(),
            "it came first, and has one already"
        );
        assert!(now(&mut of_c).is_some());
    }

    #[test]
    fn who_stops_waiting_leaves_no_trace() {
        let shares = Shares::new(2, 2);
        let held = now(&mut shares.acquire(A, 1)).unwrap();
        let large = shares.acquire(B, 2);
        let mut small = shares.acquire(B, 1);
        assert!(
            now(&mut small).is_none(),
            "it waits behind one that needs all"
        );
        drop(large);
        let given = now(&mut small);
        assert!(given.is_some());
        drop((held, given));
        // Given, and never fetched.
        drop(shares.acquire(A, 2));
        assert!(
            now(&mut shares.acquire(None, 9)).is_some(),
            "all is free, and more than a share is a share"
        );
    }
}
