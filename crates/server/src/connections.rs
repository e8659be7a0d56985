//! Which connections are open, from where, and what each of them waits for: the bounds on their number and on their time. Does not read or write them.
//!
//! A connection waits for its client where no request is in progress, or where each of its requests waits for the next piece of its body, or for the client
//! to take the next piece of the answer. Where there is no room for one more, the connection that has waited for its client for longest is closed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::lockout::network;
use crate::options::Options;

/// How many connections there may be.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    all_max: usize,
    per_address_max: usize,
    health_max: usize,
    trusted_proxies: Vec<IpAddr>,
}

impl Room {
    pub(crate) fn of(options: &Options) -> Self {
        Self {
            all_max: options.connections_max,
            per_address_max: options.connections_per_address_max,
            health_max: options.health_connections_max,
            trusted_proxies: options
                .trusted_proxies
                .iter()
                .map(IpAddr::to_canonical)
                .collect(),
        }
    }
}

/// For how long a connection may wait for its client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For its first request, and for its end once it was told to end.
    first: Duration,
    /// For its next request.
    next: Duration,
    /// For the next piece of a body, and until the client takes the next piece of an answer.
    piece: Duration,
}

impl Patience {
    pub(crate) fn of(options: &Options) -> Self {
        Self {
            first: Duration::from_secs(options.header_read_seconds_max),
            next: Duration::from_secs(options.idle_seconds_max),
            piece: Duration::from_secs(options.stall_seconds_max),
        }
    }
}

/// What has to happen with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing; look again then.
    Again(Instant),
    /// It has had no request for too long: it is told to end.
    Idle,
    /// It was told to end and did not, or its client does not go on: it is closed.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No request has come yet.
    First,
    /// There was one.
    Next,
    /// It was told to end.
    Last,
}

/// What one connection does.
pub(crate) struct Activity {
    state: Mutex<Requests>,
    evicted: Notify,
}

struct Requests {
    stage: Stage,
    /// Requests in progress: from the head until the answer was handed over.
    open: usize,
    /// Since when none is.
    idle_since: Instant,
    /// Those that wait for the client, and since when.
    waiting: HashMap<u64, Instant>,
    number: u64,
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        let state = Requests {
            stage: Stage::First,
            open: 0,
            idle_since: Instant::now(),
            waiting: HashMap::new(),
            number: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            evicted: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, Requests> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request begins.
    pub(crate) fn request(self: &Arc<Self>) -> Arc<Progress> {
        let mut state = self.state();
        state.open += 1;
        state.number += 1;
        if state.stage == Stage::First {
            state.stage = Stage::Next;
        }
        Arc::new(Progress {
            activity: Arc::clone(self),
            number: state.number,
        })
    }

    /// Since when the connection waits for its client, if it does.
    fn waits_since(&self) -> Option<Instant> {
        let state = self.state();
        if state.open == 0 {
            return Some(state.idle_since);
        }
        state
            .waiting
            .values()
            .max()
            .copied()
            .filter(|_| state.waiting.len() == state.open)
    }

    /// What has to happen now.
    pub(crate) fn look(&self, patience: Patience, now: Instant) -> Look {
        let mut state = self.state();
        let stalls = state
            .waiting
            .values()
            .min()
            .map(|since| *since + patience.piece);
        if stalls.is_some_and(|at| at <= now) {
            return Look::Over;
        }
        if state.open > 0 {
            // A request that begins to wait after this look has not waited too long before the next one.
            return Look::Again(
                stalls
                    .unwrap_or(now + patience.piece)
                    .min(now + patience.first),
            );
        }
        let ends = state.idle_since
            + if state.stage == Stage::Next {
                patience.next
            } else {
                patience.first
            };
        match state.stage {
            _ if now < ends => Look::Again(ends),
            Stage::Last => Look::Over,
            Stage::First | Stage::Next => {
                (state.stage, state.idle_since) = (Stage::Last, now);
                Look::Idle
            }
        }
    }

    /// Its time begins: until now it was TLS's.
    pub(crate) fn begins(&self) {
        self.state().idle_since = Instant::now();
    }

    /// Comes back when the connection has to make room for another.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

/// One request in progress; its end is the request's.
pub(crate) struct Progress {
    activity: Arc<Activity>,
    number: u64,
}

impl Progress {
    /// The client has to go on.
    pub(crate) fn waits(&self) {
        self.activity
            .state()
            .waiting
            .entry(self.number)
            .or_insert_with(Instant::now);
    }

    /// It did.
    pub(crate) fn goes_on(&self) {
        self.activity.state().waiting.remove(&self.number);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.waiting.remove(&self.number);
        state.open = state.open.saturating_sub(1);
        if state.open == 0 {
            state.idle_since = Instant::now();
        }
    }
}

/// All connections.
pub(crate) struct Connections {
    room: Room,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    number: u64,
    open: HashMap<u64, Entry>,
}

struct Entry {
    /// None for a trusted proxy, behind which many share one address.
    network: Option<IpAddr>,
    only_health: bool,
    activity: Arc<Activity>,
}

/// A place among the connections; its end makes room.
pub(crate) struct Place {
    connections: Arc<Connections>,
    number: u64,
    /// Whether there was only room for questions about health.
    pub only_health: bool,
    pub activity: Arc<Activity>,
}

impl Connections {
    pub(crate) fn new(room: Room) -> Arc<Self> {
        Arc::new(Self {
            room,
            entries: Mutex::default(),
        })
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection from this address; `None` where there is none.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = Some(network(address))
            .filter(|_| !self.room.trusted_proxies.contains(&address.to_canonical()));
        let mut entries = self.entries();
        let of_address = |entry: &Entry| !entry.only_health && entry.network == network;
        let has_room =
            network.is_none() || entries.make_room(self.room.per_address_max, of_address);
        let only_health =
            !(has_room && entries.make_room(self.room.all_max, |entry| !entry.only_health));
        if only_health && !entries.make_room(self.room.health_max, |entry| entry.only_health) {
            return None;
        }
        entries.number += 1;
        let (number, activity) = (entries.number, Activity::new());
        entries.open.insert(
            number,
            Entry {
                network,
                only_health,
                activity: Arc::clone(&activity),
            },
        );
        Some(Place {
            connections: Arc::clone(self),
            number,
            only_health,
            activity,
        })
    }

    /// Closes the connection that has waited for its client for longest, where the process has no room for another.
    pub(crate) fn close_one(&self) {
        self.entries().evict(|_| true);
    }
}

impl Entries {
    /// Whether there is room for one more of these, if need be after one of them was closed.
    fn make_room(&mut self, most: usize, counts: impl Fn(&Entry) -> bool) -> bool {
        self.open.values().filter(|entry| counts(entry)).count() < most || self.evict(counts)
    }

    fn evict(&mut self, counts: impl Fn(&Entry) -> bool) -> bool {
        let waiting = self.open.iter().filter(|(_, entry)| counts(entry));
        let longest = waiting
            .filter_map(|(number, entry)| Some((entry.activity.waits_since()?, *number)))
            .min();
        let Some(entry) = longest.and_then(|(_, number)| self.open.remove(&number)) else {
            return false;
        };
        entry.activity.evicted.notify_one();
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.entries().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        first: Duration::from_secs(10),
        next: Duration::from_secs(50),
        piece: Duration::from_secs(40),
    };

    fn connections(all_max: usize, per_address_max: usize, health_max: usize) -> Arc<Connections> {
        let trusted_proxies = vec!["10.0.0.1".parse().unwrap()];
        Connections::new(Room {
            all_max,
            per_address_max,
            health_max,
            trusted_proxies,
        })
    }

    fn enter(connections: &Arc<Connections>, address: &str) -> Option<Place> {
        connections.enter(address.parse().unwrap())
    }

    fn is_open(place: &Place) -> bool {
        place.connections.entries().open.contains_key(&place.number)
    }

    #[test]
    fn a_connection_without_requests_ends_in_time() {
        let after = |since: Instant, seconds: u64| since + Duration::from_secs(seconds);
        let activity = Activity::new();
        let start = activity.state().idle_since;
        assert_eq!(
            activity.look(PATIENCE, start),
            Look::Again(after(start, 10))
        );
        assert_eq!(activity.look(PATIENCE, after(start, 10)), Look::Idle);
        assert_eq!(
            activity.look(PATIENCE, after(start, 10)),
            Look::Again(after(start, 20))
        );
        assert_eq!(activity.look(PATIENCE, after(start, 20)), Look::Over);

        let activity = Activity::new();
        drop(activity.request());
        let start = activity.state().idle_since;
        assert_eq!(
            activity.look(PATIENCE, after(start, 49)),
            Look::Again(after(start, 50))
        );
        assert_eq!(activity.look(PATIENCE, after(start, 50)), Look::Idle);
        assert_eq!(activity.look(PATIENCE, after(start, 60)), Look::Over);
    }

    #[test]
    fn a_request_may_take_its_time_but_its_client_may_not() {
        let after = |since: Instant, seconds: u64| since + Duration::from_secs(seconds);
        let activity = Activity::new();
        let request = activity.request();
        let start = Instant::now();
        assert_eq!(
            activity.look(PATIENCE, after(start, 3_600)),
            Look::Again(after(start, 3_610))
        );
        request.waits();
        let since = activity.waits_since().unwrap();
        request.waits();
        assert_eq!(
            activity.look(PATIENCE, since),
            Look::Again(after(since, 10))
        );
        assert_eq!(
            activity.look(PATIENCE, after(since, 35)),
            Look::Again(after(since, 40))
        );
        let other = activity.request();
        assert_eq!(
            activity.waits_since(),
            None,
            "the other request waits for us"
        );
        assert_eq!(activity.look(PATIENCE, after(since, 40)), Look::Over);
        request.goes_on();
        assert_eq!(
            activity.look(PATIENCE, after(since, 40)),
            Look::Again(after(since, 50))
        );
        drop((request, other));
        assert!(activity.waits_since().is_some());
    }

    #[test]
    fn one_address_has_its_share() {
        let all = connections(100, 2, 1);
        let first = enter(&all, "192.0.2.1").unwrap();
        let second = enter(&all, "192.0.2.1").unwrap();
        let busy = first.activity.request();
        let third = enter(&all, "::ffff:192.0.2.1").unwrap();
        assert!(
            is_open(&first) && !is_open(&second) && is_open(&third),
            "the one that waits is closed, not the one at work"
        );
        let busy_too = third.activity.request();
        let health = enter(&all, "192.0.2.1").unwrap();
        assert!(health.only_health && !third.only_health);
        assert!(
            !enter(&all, "192.0.2.2").unwrap().only_health,
            "another address has its own share"
        );
        let asking = health.activity.request();
        assert!(
            enter(&all, "192.0.2.1").is_none(),
            "nothing waits for its client"
        );
        drop((busy, busy_too, asking));
        assert!(!enter(&all, "192.0.2.1").unwrap().only_health);
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_a_trusted_proxy_none() {
        let all = connections(100, 1, 0);
        let first = enter(&all, "2001:db8::1").unwrap();
        let _busy = first.activity.request();
        assert!(enter(&all, "2001:db8::2").is_none());
        let _other = enter(&all, "2001:db8:0:1::1").unwrap();
        let proxied: Vec<Place> = (0..10).map(|_| enter(&all, "10.0.0.1").unwrap()).collect();
        assert!(proxied.iter().all(is_open));
    }

    #[test]
    fn all_together_have_a_bound() {
        let all = connections(2, 2, 1);
        let places = ["192.0.2.1", "192.0.2.2"].map(|address| enter(&all, address).unwrap());
        let busy = places[1].activity.request();
        let third = enter(&all, "10.0.0.1").unwrap();
        assert!(
            !is_open(&places[0]) && !third.only_health,
            "the one that waits is closed"
        );
        let busy_too = third.activity.request();
        busy_too.waits();
        let fourth = enter(&all, "192.0.2.4").unwrap();
        assert!(
            !is_open(&third) && !fourth.only_health,
            "a request that waits for its client counts as waiting"
        );
        let busy_three = fourth.activity.request();
        assert!(enter(&all, "192.0.2.5").unwrap().only_health);
        drop((busy, busy_three));
        all.close_one();
        assert_eq!(all.entries().open.len(), 1);
        drop((places, third, fourth));
        assert_eq!(all.entries().open.len(), 0);
    }
}
