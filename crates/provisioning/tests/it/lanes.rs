//! Applications that do not answer: the others go on as if these were not there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use directory::clock::Clock;
use directory::store::Fault;
use jiff::Timestamp;
use provisioning::account::{Account, AccountChange, AccountId, NewAccount, Replacement};
use provisioning::application::{Application, ApplicationId, ApplicationSettings};
use provisioning::connector::{Capabilities, Connector, Created, Exchange, Failure, Target, Trace};
use provisioning::matching::Lookup;
use provisioning::proof::{Acknowledged, Listing};
use scim_protocol::TypeSchema;
use serde_json::json;
use tokio::sync::{Semaphore, watch};

use crate::application::{MemoryApplication, Trouble};
use crate::world::World;

/// One application that answers, and all others, which accept a request and never answer it.
#[derive(Clone)]
struct Office {
    healthy: ApplicationId,
    application: MemoryApplication,
    gate: Arc<Semaphore>,
    hanging: Arc<Mutex<BTreeMap<ApplicationId, usize>>>,
}

impl Connector for Office {
    fn connect(&self, application: &Application) -> Result<Arc<dyn Target>, Fault> {
        if application.id == self.healthy {
            return Ok(Arc::new(self.application.clone()));
        }
        Ok(Arc::new(Hanging {
            id: application.id,
            gate: self.gate.clone(),
            requests: self.hanging.clone(),
        }))
    }
}

struct Hanging {
    id: ApplicationId,
    gate: Arc<Semaphore>,
    requests: Arc<Mutex<BTreeMap<ApplicationId, usize>>>,
}

impl Hanging {
    async fn hang<T>(&self) -> Exchange<T> {
        *self.requests.lock().unwrap().entry(self.id).or_default() += 1;
        drop(self.gate.acquire().await.unwrap());
        let trace = Trace {
            said: "timed out".into(),
            milliseconds: 30_000,
            ..Trace::default()
        };
        Exchange {
            trace,
            wait: None,
            outcome: Err(Failure::Unknown { answered: false }),
        }
    }
}

#[async_trait]
impl Target for Hanging {
    async fn discover(&self) -> Exchange<Capabilities> {
        self.hang().await
    }
    async fn find(&self, _: &TypeSchema, _: &Lookup) -> Exchange<Listing> {
        self.hang().await
    }
    async fn list(&self, _: &TypeSchema) -> Exchange<Listing> {
        self.hang().await
    }
    async fn read(&self, _: &TypeSchema, _: &AccountId) -> Exchange<Account> {
        self.hang().await
    }
    async fn create(&self, _: &TypeSchema, _: &NewAccount) -> Exchange<Created> {
        self.hang().await
    }
    async fn change(&self, _: &TypeSchema, _: &AccountChange) -> Exchange<Acknowledged> {
        self.hang().await
    }
    async fn replace(&self, _: &TypeSchema, _: &Replacement) -> Exchange<Acknowledged> {
        self.hang().await
    }
    async fn remove(&self, _: &TypeSchema, _: &AccountId) -> Exchange<Acknowledged> {
        self.hang().await
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_mins(1), wait)
            .await
            .is_ok(),
        "{what}"
    );
}

async fn a_healthy_one_beside(count: i64) {
    let mut world = World::new(ApplicationSettings::default());
    let healthy = world.ledger.state().applications[0].clone();
    // Those that hang come first and have waited as long as the healthy one.
    let hanging = (0..count).map(|number| ApplicationId(1_000 + number));
    let applications = hanging.map(|id| Application {
        id,
        name: format!("hanging {}", id.0),
        ..healthy.clone()
    });
    world.ledger.state().applications.splice(0..0, applications);
    let office = Office {
        healthy: healthy.id,
        application: world.application.clone(),
        gate: Arc::new(Semaphore::new(0)),
        hanging: Arc::default(),
    };
    world.ports.connector = Arc::new(office.clone());
    world.restart();
    for number in 0..10 {
        world.put_user(
            &format!("u{number}"),
            &json!({"userName": format!("u{number}")}),
        );
    }
    let (stop, shutdown) = watch::channel(false);
    let engine = Arc::clone(&world.engine);
    let running = tokio::spawn(async move { engine.run(shutdown).await });
    until("all hang", || {
        office.hanging.lock().unwrap().len() == usize::try_from(count).unwrap()
    })
    .await;
    until("what waited is sent while all hang", || {
        world.accounts("User").len() == 10
    })
    .await;
    world.put_user("late", &json!({"userName": "late"}));
    world.ports.committed.notify_one();
    until("a change is sent while all hang", || {
        world.accounts("User").len() == 11
    })
    .await;
    assert!(
        office
            .hanging
            .lock()
            .unwrap()
            .values()
            .all(|requests| *requests <= 4),
        "{:?}",
        office.hanging
    );
    stop.send(true).unwrap();
    office.gate.add_permits(1);
    running.await.unwrap();
}

#[tokio::test]
async fn eight_applications_that_never_answer_do_not_delay_one_that_does() {
    a_healthy_one_beside(8).await;
}

#[tokio::test]
async fn a_hundred_applications_that_never_answer_do_not_delay_one_that_does() {
    a_healthy_one_beside(100).await;
}

#[tokio::test]
async fn one_that_does_not_answer_is_asked_once_after_growing_rests_until_it_answers() {
    let mut world = World::new(ApplicationSettings::default());
    for number in 0..20 {
        world.put_user(
            &format!("u{number}"),
            &json!({"userName": format!("u{number}")}),
        );
    }
    for _ in 0..15 {
        world.application.trouble("DISCOVER", Trouble::Unreachable);
    }
    world.engine.run_until_idle().await.unwrap();
    assert_eq!(
        world.application.take_requests(false).len(),
        5,
        "it was trusted before, and asked once more by one claim"
    );
    let resting = |world: &World| -> Timestamp { world.ledger.state().paused[&7] };
    for number in 1_u32..=10 {
        let rest = resting(&world)
            .duration_since(world.clock.now())
            .as_millis();
        let most = 1_000 * 2_i128.pow(number - 1);
        assert!(
            (most / 2).min(300_000) <= rest && rest <= most.min(300_000),
            "rest {number}: {rest} ms"
        );
        world.engine.run_until_idle().await.unwrap();
        assert_eq!(
            world.application.take_requests(false),
            Vec::<String>::new(),
            "it rests"
        );
        if number == 5 {
            world.restart();
        }
        world.set_time(resting(&world));
        world.engine.run_until_idle().await.unwrap();
        assert_eq!(
            world.application.take_requests(false).len(),
            1,
            "after rest {number}"
        );
    }
    world.set_time(resting(&world));
    world.engine.run_until_idle().await.unwrap();
    assert!(
        world.accounts("User").len() > 4,
        "it has all its slots again"
    );
    assert!(world.ledger.state().unanswered.is_empty());
    world.settle().await;
    assert_eq!(world.accounts("User").len(), 20);
}
