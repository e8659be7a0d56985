//! Receivers: each change arrives at least once and in order, whatever fails; an event that cannot be delivered becomes a dead letter and the next one follows.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use directory::change_set::Precondition;
use directory::clock::{Clock, IdGenerator};
use directory::retry::RetryAfter;
use directory::secret::Secret;
use events::event::Kind;
use events::event_log::{
    Acknowledgements, Choice, Delivery, EventDelivery, Message, NewReceiver, Receivers, Reception,
};
use events::receiver::{
    Receiver, ReceiverKind, ReceiverSettings, ReceiverState, Secrets, UndeliveredState,
};
use events::renderer::EventRenderer;
use events::room::ReceiverRoom;
use events::subscription::{Options, Ports, Subscriptions};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use crate::place::{Counter, Place, World, delete, entry, members, on_both_engines};

on_both_engines!(
    every_change_arrives_in_order_and_once,
    a_failure_is_tried_again_and_becomes_a_dead_letter,
    one_that_asks_for_time_gets_it_from_every_node,
    dead_letters_are_delivered_again_or_discarded,
    a_receiver_that_is_gone_is_paused,
    receivers_that_never_answer_do_not_delay_one_that_does,
    a_claim_that_was_lost_is_taken_over_and_nothing_with_it,
    two_nodes_never_send_to_one_receiver_at_once,
    one_that_polls_gets_what_it_did_not_acknowledge,
    only_chosen_resources_are_told,
    secrets_come_back_and_two_live_after_a_change,
    the_log_is_trimmed_behind_everybody,
    keys_are_rotated_and_stay_published,
    tenants_are_apart,
);

const START: i64 = 1_800_000_000;

/// Time that a test moves.
#[derive(Default)]
struct Time(AtomicI64);

impl Time {
    fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(START + self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// A receiver's end: remembers what it took, and says to events about some resources what the test wants.
#[derive(Default)]
struct Ends {
    taken: Mutex<Vec<(String, String)>>,
    says: Mutex<HashMap<String, Reception>>,
    attempts: Mutex<Vec<usize>>,
    /// The current secret with each message.
    signed: Mutex<Vec<String>>,
    /// Receivers that accept a request and do not answer it until this is open.
    hang: Mutex<Option<(HashSet<String>, Arc<Semaphore>)>>,
    hanging: AtomicUsize,
    /// Secrets that the receiver is given while its next message is under way.
    rotates: Mutex<Option<(Arc<dyn Receivers>, Secrets)>>,
}

impl Ends {
    fn says(&self, resource: &str, reception: Reception) {
        self.says
            .lock()
            .unwrap()
            .insert(resource.to_owned(), reception);
    }

    fn rotates(&self, receivers: &Arc<dyn Receivers>, secrets: Secrets) {
        *self.rotates.lock().unwrap() = Some((receivers.clone(), secrets));
    }

    fn signed(&self) -> Vec<String> {
        self.signed.lock().unwrap().clone()
    }

    fn taken(&self) -> Vec<String> {
        self.taken
            .lock()
            .unwrap()
            .iter()
            .map(|(_, resource)| resource.clone())
            .collect()
    }
}

fn later() -> Reception {
    Reception::Later {
        why: "503".into(),
        retry_after: None,
    }
}

#[async_trait]
impl EventDelivery for Ends {
    async fn send(&self, receiver: &Receiver, message: &Message, _: Timestamp) -> Reception {
        let Message::Webhook { body, .. } = message else {
            panic!("a webhook")
        };
        self.signed.lock().unwrap().extend(
            receiver
                .secrets
                .current
                .as_ref()
                .map(|secret| secret.reveal().to_owned()),
        );
        let rotates = self.rotates.lock().unwrap().take();
        if let Some((receivers, secrets)) = rotates {
            assert!(
                receivers
                    .set_receiver_secrets(receiver.tenant, receiver.id, secrets, entry())
                    .await
                    .unwrap()
            );
        }
        let gate = self
            .hang
            .lock()
            .unwrap()
            .as_ref()
            .filter(|(names, _)| names.contains(&receiver.name))
            .map(|(_, gate)| gate.clone());
        if let Some(gate) = gate {
            self.hanging.fetch_add(1, Ordering::SeqCst);
            drop(gate.acquire().await.unwrap());
            return Reception::Later {
                why: "no answer: timed out".into(),
                retry_after: None,
            };
        }
        let body: Value = serde_json::from_str(body).unwrap();
        let events = body["data"]["events"].as_array().unwrap();
        self.attempts.lock().unwrap().push(events.len());
        let ids: Vec<String> = events
            .iter()
            .map(|event| event["resourceId"].as_str().unwrap().to_owned())
            .collect();
        for id in &ids {
            if let Some(said) = self.says.lock().unwrap().get(id) {
                return said.clone();
            }
        }
        self.taken
            .lock()
            .unwrap()
            .extend(ids.into_iter().map(|id| (receiver.name.clone(), id)));
        Reception::Taken
    }
}

/// A tenant, receivers, and delivery to them.
struct Office {
    world: World,
    time: Arc<Time>,
    ends: Arc<Ends>,
    delivery: Arc<Subscriptions>,
}

impl Office {
    async fn new(place: &Place) -> Self {
        Self::of(World::new(place).await, Arc::default())
    }

    fn of(world: World, time: Arc<Time>) -> Self {
        let ends = Arc::<Ends>::default();
        let (_, commits) = watch::channel(0);
        let opened = &world.opened;
        let renderer = EventRenderer::new(
            opened.store.clone(),
            opened.tenants.clone(),
            world.directory(),
            opened.keys.clone(),
            "https://r.example".into(),
        );
        let ports = Ports {
            log: opened.events.clone(),
            receivers: opened.receivers.clone(),
            renderer,
            event_delivery: ends.clone(),
            clock: time.clone(),
            ids: Arc::new(Counter::default()),
            commits,
        };
        Self {
            delivery: Arc::new(Subscriptions::new(ports, Options::default())),
            world,
            time,
            ends,
        }
    }

    async fn add(&self, name: &str, kind: ReceiverKind, settings: ReceiverSettings) -> Receiver {
        let new = NewReceiver {
            name: name.into(),
            kind,
            url: "https://app.example/hook".into(),
            settings,
            secrets: Secrets::new(Some(Secret::new("s3cret"))),
            from_oldest: false,
            at: self.time.now(),
        };
        self.world
            .opened
            .receivers
            .add_receiver(self.world.tenant.id, new, entry())
            .await
            .unwrap()
            .unwrap()
    }

    async fn again(&self, receiver: &Receiver) -> Receiver {
        let all = self
            .world
            .opened
            .receivers
            .list_receivers(self.world.tenant.id)
            .await
            .unwrap();
        all.into_iter()
            .find(|found| found.id == receiver.id)
            .unwrap()
    }

    async fn run(&self) {
        self.delivery.run_until_idle().await.unwrap();
    }

    async fn dead_letters(&self, receiver: &Receiver) -> Vec<(String, u32, String)> {
        let undelivered = self
            .world
            .opened
            .receivers
            .list_undelivered(
                self.world.tenant.id,
                receiver.id,
                UndeliveredState::DeadLetter,
                100,
            )
            .await
            .unwrap();
        undelivered
            .into_iter()
            .map(|one| (one.event.resource_id, one.attempts, one.error))
            .collect()
    }
}

fn three_attempts() -> ReceiverSettings {
    ReceiverSettings {
        attempts_max: 3,
        ..ReceiverSettings::default()
    }
}

async fn every_change_arrives_in_order_and_once(place: Place) {
    let office = Office::new(&place).await;
    office.world.user("before").await;
    let app = office
        .add(
            "app",
            ReceiverKind::Webhook,
            ReceiverSettings {
                batch_max: 2,
                ..ReceiverSettings::default()
            },
        )
        .await;
    for id in ["a", "b", "c"] {
        office.world.user(id).await;
    }
    office.world.group("g", &["a"]).await;
    office
        .world
        .commit_one(members("g", &["b"], &[]))
        .await
        .unwrap();
    office
        .world
        .commit_one(delete("User", "a", Precondition::Exists))
        .await
        .unwrap();
    office.run().await;
    office.run().await;
    assert_eq!(office.ends.taken(), ["a", "b", "c", "g", "g", "a", "g"]);
    assert!(
        office
            .ends
            .attempts
            .lock()
            .unwrap()
            .iter()
            .all(|count| *count <= 2)
    );
    let app = office.again(&app).await;
    assert_eq!(
        (app.attempts, app.last_error.as_str(), app.last_delivered),
        (0, "", Some(office.time.now()))
    );
    let only_groups = ReceiverSettings {
        resource_types: vec!["Group".into()],
        ..ReceiverSettings::default()
    };
    office
        .add("groups", ReceiverKind::Webhook, only_groups)
        .await;
    office.world.user("d").await;
    office.world.group("h", &[]).await;
    office.run().await;
    let taken = office
        .ends
        .taken
        .lock()
        .unwrap()
        .iter()
        .skip(7)
        .cloned()
        .collect::<Vec<_>>();
    let of = |name: &str| {
        taken
            .iter()
            .filter(|(to, _)| to == name)
            .map(|(_, id)| id.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!((of("app"), of("groups")), (vec!["d", "h"], vec!["h"]));
}

async fn a_failure_is_tried_again_and_becomes_a_dead_letter(place: Place) {
    let office = Office::new(&place).await;
    let app = office
        .add("app", ReceiverKind::Webhook, three_attempts())
        .await;
    for id in ["a", "b", "c"] {
        office.world.user(id).await;
    }
    office.ends.says("b", later());
    office.run().await;
    // The three together failed; now each alone, so that `b` does not hold up `a`.
    assert_eq!(
        (office.ends.taken().len(), office.again(&app).await.attempts),
        (0, 1)
    );
    office.run().await;
    assert_eq!(
        *office.ends.attempts.lock().unwrap(),
        [3],
        "not before it is due"
    );
    office.time.forward(10);
    office.run().await;
    assert_eq!(office.ends.taken(), ["a"]);
    for _ in 0..2 {
        office.time.forward(60);
        office.run().await;
    }
    assert_eq!(office.ends.taken(), ["a", "c"]);
    assert_eq!(
        office.dead_letters(&app).await,
        [("b".to_owned(), 3, "503, after 3 attempts".to_owned())]
    );
    office.world.user("d").await;
    office.run().await;
    assert_eq!(office.ends.taken(), ["a", "c", "d"]);
}

async fn one_that_asks_for_time_gets_it_from_every_node(place: Place) {
    let office = Office::new(&place).await;
    let app = office
        .add("app", ReceiverKind::Webhook, three_attempts())
        .await;
    let world = World {
        opened: place.open().await,
        ..office.world.clone()
    };
    let other = Office::of(world, office.time.clone());
    let later_still = office
        .time
        .now()
        .checked_add(jiff::SignedDuration::from_mins(20))
        .unwrap();
    for (id, wait) in [
        ("a", RetryAfter::Seconds(600)),
        ("b", RetryAfter::At(later_still)),
    ] {
        office.ends.says(
            id,
            Reception::Later {
                why: "429".into(),
                retry_after: Some(wait),
            },
        );
        office.world.user(id).await;
        office.run().await;
        let attempts = office.ends.attempts.lock().unwrap().len();
        office.ends.says.lock().unwrap().clear();
        office.time.forward(599);
        for node in [&office, &other] {
            node.run().await;
        }
        assert_eq!(office.again(&app).await.attempts, 1, "{id}");
        assert_eq!(office.ends.attempts.lock().unwrap().len(), attempts, "{id}");
        assert!(other.ends.attempts.lock().unwrap().is_empty(), "{id}");
        office.time.forward(1);
        office.run().await;
        assert_eq!(office.ends.taken().last().map(String::as_str), Some(id));
        assert_eq!(office.again(&app).await.attempts, 0);
    }
    assert_eq!(office.ends.taken(), ["a", "b"]);
}

async fn dead_letters_are_delivered_again_or_discarded(place: Place) {
    let office = Office::new(&place).await;
    let app = office
        .add("app", ReceiverKind::Webhook, three_attempts())
        .await;
    let (receivers, tenant) = (&office.world.opened.receivers, office.world.tenant.id);
    for id in ["a", "b", "c"] {
        office.ends.says(
            id,
            Reception::Refused {
                why: "never".into(),
            },
        );
        office.world.user(id).await;
        office.run().await;
    }
    assert_eq!(office.dead_letters(&app).await.len(), 3);
    office.ends.says.lock().unwrap().remove("a");
    let first = receivers
        .list_undelivered(tenant, app.id, UndeliveredState::DeadLetter, 1)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (first.event.resource_id.as_str(), first.event.kind),
        ("a", Kind::Create)
    );
    assert_eq!(
        receivers
            .redeliver(tenant, app.id, Some(first.event.sequence), entry())
            .await
            .unwrap(),
        1
    );
    office.run().await;
    assert_eq!(office.ends.taken(), ["a"]);
    assert_eq!(
        receivers
            .redeliver(tenant, app.id, None, entry())
            .await
            .unwrap(),
        2
    );
    office.run().await;
    let left = office.dead_letters(&app).await;
    assert_eq!(
        left.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>(),
        ["b", "c"]
    );
    assert_eq!(
        receivers
            .discard(tenant, app.id, None, entry())
            .await
            .unwrap(),
        2
    );
    assert!(office.dead_letters(&app).await.is_empty());
    assert_eq!(
        receivers
            .redeliver(tenant, app.id, None, entry())
            .await
            .unwrap(),
        0
    );
}

async fn a_receiver_that_is_gone_is_paused(place: Place) {
    let office = Office::new(&place).await;
    let app = office
        .add("app", ReceiverKind::Webhook, ReceiverSettings::default())
        .await;
    office.ends.says("a", Reception::Gone { why: "410".into() });
    office.world.user("a").await;
    office.run().await;
    let paused = office.again(&app).await;
    assert_eq!(
        (paused.state, paused.last_error.as_str()),
        (ReceiverState::Paused, "410")
    );
    office.ends.says.lock().unwrap().clear();
    office.world.user("b").await;
    office.time.forward(1_000);
    office.run().await;
    assert!(office.ends.taken().is_empty());
    assert!(
        office
            .world
            .opened
            .receivers
            .set_receiver_state(office.world.tenant.id, app.id, ReceiverState::Live, entry())
            .await
            .unwrap()
    );
    office.run().await;
    assert_eq!(office.ends.taken(), ["a", "b"]);
}

async fn receivers_that_never_answer_do_not_delay_one_that_does(place: Place) {
    let office = Office::new(&place).await;
    let (names, gate): (HashSet<String>, _) = (
        (0..20).map(|number| format!("hangs-{number}")).collect(),
        Arc::new(Semaphore::new(0)),
    );
    *office.ends.hang.lock().unwrap() = Some((names.clone(), gate.clone()));
    for name in names.iter().map(String::as_str).chain(["healthy"]) {
        office
            .add(name, ReceiverKind::Webhook, ReceiverSettings::default())
            .await;
    }
    office.world.user("a").await;
    let delivery = office.delivery.clone();
    let running = tokio::spawn(async move { delivery.run_until_idle().await });
    let told = async {
        while office.ends.taken() != ["a"]
            || office.ends.hanging.load(Ordering::SeqCst) < names.len()
        {
            tokio::task::yield_now().await;
        }
    };
    assert!(
        tokio::time::timeout(std::time::Duration::from_mins(1), told)
            .await
            .is_ok(),
        "the healthy one waits for those that hang"
    );
    gate.add_permits(1);
    running.await.unwrap().unwrap();
    assert_eq!(
        office.ends.hanging.load(Ordering::SeqCst),
        names.len(),
        "each was asked once, and waits"
    );
}

async fn a_claim_that_was_lost_is_taken_over_and_nothing_with_it(place: Place) {
    let office = Office::new(&place).await;
    office
        .add("app", ReceiverKind::Webhook, ReceiverSettings::default())
        .await;
    office.world.user("a").await;
    let now = office.time.now();
    let lease = now
        .checked_add(jiff::SignedDuration::from_secs(60))
        .unwrap();
    let lost = office
        .world
        .opened
        .receivers
        .claim_receivers(now, lease, ReceiverRoom::new(40))
        .await
        .unwrap()
        .remove(0);
    office.run().await;
    assert!(office.ends.taken().is_empty(), "it is leased");
    office.time.forward(60);
    // Another process, as after a crash.
    let restarted = Office::of(
        World {
            opened: place.open().await,
            ..office.world.clone()
        },
        office.time.clone(),
    );
    restarted.run().await;
    assert_eq!(restarted.ends.taken(), ["a"]);
    // The first one wakes up: what it has to say is no longer heard.
    let late = Delivery::Done {
        cursor: 99,
        at: None,
    };
    assert!(
        !office
            .world
            .opened
            .receivers
            .record_delivery(&lost, late, None)
            .await
            .unwrap()
    );
    office.world.user("b").await;
    restarted.run().await;
    assert_eq!(restarted.ends.taken(), ["a", "b"]);
}

async fn two_nodes_never_send_to_one_receiver_at_once(place: Place) {
    let office = Office::new(&place).await;
    let other = World {
        opened: place.open().await,
        ..office.world.clone()
    };
    office
        .add("app", ReceiverKind::Webhook, ReceiverSettings::default())
        .await;
    office.world.user("a").await;
    let now = office.time.now();
    let lease = now
        .checked_add(jiff::SignedDuration::from_secs(60))
        .unwrap();
    let (one, two) = tokio::join!(
        office
            .world
            .opened
            .receivers
            .claim_receivers(now, lease, ReceiverRoom::new(40)),
        other
            .opened
            .receivers
            .claim_receivers(now, lease, ReceiverRoom::new(40))
    );
    assert_eq!(one.unwrap().len() + two.unwrap().len(), 1);
}

async fn one_that_polls_gets_what_it_did_not_acknowledge(place: Place) {
    let office = Office::new(&place).await;
    let app = office
        .add(
            "app",
            ReceiverKind::Poll,
            ReceiverSettings {
                attempts_max: 2,
                ..ReceiverSettings::default()
            },
        )
        .await;
    for id in ["a", "b", "c"] {
        office.world.user(id).await;
    }
    let receivers = office.world.opened.receivers.clone();
    let poll = async |said: Acknowledgements, limit: usize| {
        receivers
            .poll(&app, said, limit, office.time.now())
            .await
            .unwrap()
    };
    let nothing = Acknowledgements::default;
    let first = poll(nothing(), 2).await;
    let names = |events: &[events::event::LoggedEvent]| {
        events
            .iter()
            .map(|event| event.resource_id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&first.events), first.more),
        (vec!["a".into(), "b".into()], true)
    );
    assert_eq!(names(&poll(nothing(), 10).await.events), ["a", "b", "c"]);
    let taken = Acknowledgements {
        taken: vec![first.events[0].id(), "nobody-1".into()],
        refused: vec![(first.events[1].id(), "no".into())],
    };
    let rest = poll(taken, 10).await;
    assert_eq!((names(&rest.events), rest.more), (vec!["c".into()], false));
    assert_eq!(
        office.dead_letters(&app).await,
        [("b".to_owned(), 2, "no".to_owned())]
    );
    // What is never acknowledged does not come for ever.
    for _ in 0..3 {
        office.time.forward(61);
        poll(nothing(), 10).await;
    }
    assert!(poll(nothing(), 10).await.events.is_empty());
    assert_eq!(office.dead_letters(&app).await.len(), 2);
    assert_eq!(
        receivers
            .redeliver(office.world.tenant.id, app.id, None, entry())
            .await
            .unwrap(),
        2
    );
    assert_eq!(names(&poll(nothing(), 10).await.events), ["b", "c"]);
    // Only acknowledging hands nothing out.
    assert!(poll(nothing(), 0).await.events.is_empty());
    office.run().await;
    assert!(
        office.ends.taken().is_empty(),
        "nothing is sent to one that polls"
    );
}

async fn only_chosen_resources_are_told(place: Place) {
    let office = Office::new(&place).await;
    let app = office
        .add(
            "app",
            ReceiverKind::Poll,
            ReceiverSettings {
                chosen_only: true,
                ..ReceiverSettings::default()
            },
        )
        .await;
    office
        .add("other", ReceiverKind::Webhook, ReceiverSettings::default())
        .await;
    office.world.user("a").await;
    office.world.user("b").await;
    let receivers = office.world.opened.receivers.clone();
    let choose = async |id: &str, chosen: bool| {
        let change_id = Uuid::from_u128(u128::from(chosen));
        let choice = Choice {
            resource_type: "User".into(),
            resource_id: id.into(),
            chosen,
            change_id,
            at: office.time.now(),
        };
        receivers.choose(&app, choice, entry()).await.unwrap()
    };
    assert!(choose("a", true).await);
    assert!(!choose("a", true).await, "it is in the feed already");
    assert!(!choose("nobody", true).await);
    office.world.group("g", &["a"]).await;
    let change = |title: &str| {
        let document = json!({"userName": "a", "title": title});
        office
            .world
            .replace_with("User", "a", Precondition::Exists, document)
    };
    office.world.commit_one(change("x")).await.unwrap();
    let poll = async || {
        let events = receivers
            .poll(&app, Acknowledgements::default(), 10, office.time.now())
            .await
            .unwrap()
            .events;
        events
            .into_iter()
            .map(|event| (event.resource_id, event.kind))
            .collect::<Vec<_>>()
    };
    let told = poll().await;
    // What happened before is told too where it was not handed out yet; what matters is that nobody else is.
    assert_eq!(
        told,
        [
            ("a".into(), Kind::Create),
            ("a".into(), Kind::FeedAdd),
            ("a".into(), Kind::Patch)
        ]
    );
    assert!(choose("a", false).await);
    office.world.commit_one(change("y")).await.unwrap();
    assert_eq!(poll().await.last(), Some(&("a".into(), Kind::FeedRemove)));
    office.run().await;
    assert_eq!(
        office.ends.taken(),
        ["a", "b", "g", "a", "a"],
        "the feed of one is not told to another"
    );
}

async fn secrets_come_back_and_two_live_after_a_change(place: Place) {
    let office = Office::new(&place).await;
    let app = office
        .add(
            "app",
            ReceiverKind::Webhook,
            ReceiverSettings {
                batch_max: 1,
                ..ReceiverSettings::default()
            },
        )
        .await;
    assert_eq!(
        app.secrets.current.as_ref().map(Secret::reveal),
        Some("s3cret")
    );
    let stored = place.number("SELECT CAST(count(*) AS BIGINT) FROM receivers WHERE CAST(secrets AS TEXT) LIKE '%s3cret%'").await;
    assert_eq!(stored, 0);
    let until = office
        .time
        .now()
        .checked_add(jiff::SignedDuration::from_hours(24))
        .unwrap();
    let secrets = app.secrets.clone().rotated(Secret::new("n3w"), until);
    // It changes while the first of two messages is under way.
    office.ends.rotates(&office.world.opened.receivers, secrets);
    office.world.user("ann").await;
    office.world.user("bob").await;
    office.run().await;
    assert_eq!(office.ends.signed(), ["s3cret", "n3w"]);
    let live = |receiver: &Receiver, now| {
        receiver
            .secrets
            .live(now)
            .map(|secret| secret.reveal().to_owned())
            .collect::<Vec<_>>()
    };
    let app = office.again(&app).await;
    assert_eq!(live(&app, office.time.now()), ["n3w", "s3cret"]);
    assert_eq!(live(&app, until), ["n3w"]);
    let taken = NewReceiver {
        name: "app".into(),
        kind: ReceiverKind::Push,
        url: String::new(),
        settings: ReceiverSettings::default(),
        secrets: Secrets::new(None),
        from_oldest: true,
        at: office.time.now(),
    };
    assert!(
        office
            .world
            .opened
            .receivers
            .add_receiver(office.world.tenant.id, taken, entry())
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        office
            .world
            .opened
            .receivers
            .remove_receiver(office.world.tenant.id, app.id, entry())
            .await
            .unwrap()
    );
    assert!(
        !office
            .world
            .opened
            .receivers
            .remove_receiver(office.world.tenant.id, app.id, entry())
            .await
            .unwrap()
    );
}

async fn the_log_is_trimmed_behind_everybody(place: Place) {
    let office = Office::new(&place).await;
    let (events, tenant) = (office.world.opened.events.clone(), office.world.tenant.id);
    for id in ["a", "b", "c", "d"] {
        office.world.user(id).await;
    }
    let window = async || {
        let window = events.window(tenant).await.unwrap();
        (window.oldest, window.newest)
    };
    assert_eq!(window().await, (0, 4));
    let all = Timestamp::MAX;
    assert_eq!(
        events.trim_events(all, 100).await.unwrap(),
        0,
        "the outbox does not know them yet"
    );
    office
        .world
        .opened
        .ledger
        .mark_out_of_date(tenant, Some(3), Vec::new())
        .await
        .unwrap();
    let app = office
        .add("app", ReceiverKind::Poll, ReceiverSettings::default())
        .await;
    assert_eq!(app.cursor, 4);
    assert_eq!(
        events
            .trim_events(Timestamp::UNIX_EPOCH, 100)
            .await
            .unwrap(),
        0,
        "none is so old"
    );
    assert_eq!(events.trim_events(all, 2).await.unwrap(), 2);
    assert_eq!(window().await, (2, 4));
    assert_eq!(events.read_events(tenant, 2, 100).await.unwrap().len(), 2);
    place.execute("UPDATE receivers SET position = 2").await;
    assert_eq!(
        events.trim_events(all, 100).await.unwrap(),
        0,
        "a receiver still has to be told"
    );
    place.execute("UPDATE receivers SET position = 4").await;
    assert_eq!(events.trim_events(all, 100).await.unwrap(), 1);
    office
        .world
        .opened
        .ledger
        .mark_out_of_date(tenant, Some(4), Vec::new())
        .await
        .unwrap();
    assert_eq!(events.trim_events(all, 100).await.unwrap(), 1);
    assert_eq!(window().await, (4, 4));
}

async fn keys_are_rotated_and_stay_published(place: Place) {
    let office = Office::new(&place).await;
    let (keys, tenant) = (office.world.opened.keys.clone(), office.world.tenant.id);
    let kid = async || {
        let token = keys
            .sign(tenant, "secevent+jwt", &json!({}), office.time.now())
            .await
            .unwrap();
        let header = token.split('.').next().unwrap().to_owned();
        let header: Value = serde_json::from_slice(
            &base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, header).unwrap(),
        )
        .unwrap();
        header["kid"].as_str().unwrap().to_owned()
    };
    let published = async || {
        let keys = keys.signing_keys(tenant, office.time.now()).await.unwrap();
        keys.into_iter().map(|key| key.id).collect::<Vec<_>>()
    };
    assert!(published().await.is_empty());
    let first = kid().await;
    assert_eq!(kid().await, first);
    office.time.forward(1);
    let second = keys
        .rotate_keys(tenant, office.time.now(), false, entry())
        .await
        .unwrap()
        .id;
    assert_eq!(kid().await, second);
    assert_eq!(published().await, [second.clone(), first.clone()]);
    office.time.forward(8 * 24 * 3600);
    assert_eq!(
        published().await,
        std::slice::from_ref(&second),
        "nothing signed with the old one is alive"
    );
    office.time.forward(90 * 24 * 3600);
    let third = kid().await;
    assert_ne!(
        third, second,
        "a key that is old is replaced without being asked"
    );
    assert_eq!(published().await, [third.clone(), second]);
    let fourth = keys
        .rotate_keys(tenant, office.time.now(), true, entry())
        .await
        .unwrap()
        .id;
    assert_eq!(
        published().await,
        [fourth],
        "keys in wrong hands are not published a moment longer"
    );
}

async fn tenants_are_apart(place: Place) {
    let office = Office::new(&place).await;
    let app = office
        .add("app", ReceiverKind::Webhook, ReceiverSettings::default())
        .await;
    let other = Office::of(
        World::in_store(
            office.world.opened.clone(),
            "other",
            office.world.counter.clone(),
        )
        .await,
        office.time.clone(),
    );
    let theirs = other
        .add("app", ReceiverKind::Webhook, ReceiverSettings::default())
        .await;
    other.world.user("theirs").await;
    office.world.user("ours").await;
    // One engine serves all tenants, so both arrive there, each at its own receiver.
    office.run().await;
    let mut taken = office.ends.taken();
    taken.sort();
    assert_eq!(taken, ["ours", "theirs"]);
    let receivers = &office.world.opened.receivers;
    assert_eq!(
        receivers
            .list_receivers(office.world.tenant.id)
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(
        !receivers
            .remove_receiver(office.world.tenant.id, theirs.id, entry())
            .await
            .unwrap()
    );
    assert!(
        !receivers
            .set_receiver_state(
                other.world.tenant.id,
                app.id,
                ReceiverState::Paused,
                entry()
            )
            .await
            .unwrap()
    );
    assert_eq!(
        office
            .world
            .opened
            .events
            .read_events(office.world.tenant.id, 0, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    let (ours, others) = (office.world.opened.keys.clone(), other.world.tenant.id);
    ours.sign(office.world.tenant.id, "t", &json!({}), office.time.now())
        .await
        .unwrap();
    assert!(
        ours.signing_keys(others, office.time.now())
            .await
            .unwrap()
            .is_empty()
    );
    let _ = office.world.counter.id();
}
