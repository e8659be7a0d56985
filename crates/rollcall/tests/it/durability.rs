//! An acknowledged write survives `kill -9`; a write that was not acknowledged is there whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use provisioning::lanes::{Limits, Room};
use provisioning::ledger::Ledger;
use serde_json::{Value, json};
use storage::secrets::MasterKey;
use storage::sqlite::Sqlite;

use crate::http::send;
use crate::program::{Serve, TOKEN, run};

const ROUNDS: u64 = 30;
const WRITERS: usize = 4;

/// What one writer did before the answers stopped.
#[derive(Default)]
struct Journal {
    /// Id of each acknowledged user, with the titles it may have.
    users: BTreeMap<String, BTreeSet<String>>,
    /// userName of a user whose answer was lost.
    lost_user: Option<String>,
    /// Acknowledged groups: id and members.
    groups: Vec<(String, BTreeSet<String>)>,
    /// A group whose answer was lost: displayName and members.
    lost_group: Option<(String, BTreeSet<String>)>,
}

/// Writes until no answer comes. Each answer is reported, so that the killer can choose its moment without a clock.
fn write(base: &str, name: &str, answered: &Sender<()>) -> Journal {
    let mut journal = Journal::default();
    for count in 0.. {
        let user_name = format!("{name}-{count}");
        let Some(made) = send(
            base,
            TOKEN,
            "POST",
            "/Users",
            Some(&json!({ "userName": user_name, "title": "new" })),
        ) else {
            journal.lost_user = Some(user_name);
            break;
        };
        assert_eq!(made.status, 201, "{}", made.body);
        let id = made.body["id"].as_str().expect("an id").to_owned();
        journal
            .users
            .insert(id.clone(), BTreeSet::from(["new".to_owned()]));
        answered.send(()).ok();

        let title = format!("title {count}");
        let patch = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "replace", "path": "title", "value": title }]
        });
        let Some(patched) = send(base, TOKEN, "PATCH", &format!("/Users/{id}"), Some(&patch))
        else {
            journal.users.entry(id).or_default().insert(title);
            break;
        };
        assert!(matches!(patched.status, 200 | 204), "{}", patched.body);
        journal.users.insert(id, BTreeSet::from([title]));
        answered.send(()).ok();

        let members: BTreeSet<String> = journal.users.keys().cloned().collect();
        let display_name = format!("{name}-group-{count}");
        let body = json!({ "displayName": display_name, "members": members.iter().map(|id| json!({ "value": id })).collect::<Vec<_>>() });
        let Some(made) = send(base, TOKEN, "POST", "/Groups", Some(&body)) else {
            journal.lost_group = Some((display_name, members));
            break;
        };
        assert_eq!(made.status, 201, "{}", made.body);
        journal
            .groups
            .push((made.body["id"].as_str().expect("an id").to_owned(), members));
        answered.send(()).ok();
    }
    journal
}

/// What a killed process had begun is taken up at once, and does not wait for a lease to run out.
#[tokio::test]
async fn work_of_a_killed_run_goes_on_at_once() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    assert_eq!(
        serve
            .send("POST", "/Users", Some(&json!({ "userName": "ann" })))
            .status,
        201
    );
    serve.kill();
    let application = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/scim/v2", application.local_addr().unwrap());
    let added = run(
        data.path(),
        &[
            "application",
            "add",
            "wiki",
            "--base-url",
            &base_url,
            "--token",
            "x",
        ],
    );
    assert_eq!(added.code, 0, "{}", added.stderr);
    let leased = {
        let key = Arc::new(MasterKey::load_or_create(&data.path().join("rollcall.key")).unwrap());
        let store = Sqlite::open(&data.path().join("rollcall.db"), key).unwrap();
        let room = Room::new(Limits {
            applications_max: 1,
            per_application: 10,
            shared_max: 10,
        });
        store
            .claim(
                "2100-01-01T00:00:00Z".parse().unwrap(),
                "2101-01-01T00:00:00Z".parse().unwrap(),
                room,
            )
            .await
            .unwrap()
    };
    assert_eq!(leased.len(), 1);
    let (asked, requests) = channel();
    thread::spawn(move || asked.send(application.accept().is_ok()));
    let _serve = Serve::start(data.path(), None);
    assert_eq!(
        requests.recv_timeout(Duration::from_secs(20)),
        Ok(true),
        "nothing was asked of the application"
    );
}

fn members(group: &Value) -> BTreeSet<String> {
    let members = group["members"].as_array().cloned().unwrap_or_default();
    members
        .iter()
        .map(|member| member["value"].as_str().expect("an id").to_owned())
        .collect()
}

fn filtered(serve: &Serve, endpoint: &str, attribute: &str, value: &str) -> Vec<Value> {
    let answer = serve.send(
        "GET",
        &format!("/{endpoint}?filter={attribute}%20eq%20%22{value}%22"),
        None,
    );
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["Resources"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn verify(serve: &Serve, journal: &Journal) {
    for (id, titles) in &journal.users {
        let user = serve.send("GET", &format!("/Users/{id}"), None);
        assert_eq!(user.status, 200, "an acknowledged user is gone: {id}");
        let title = user.body["title"].as_str().unwrap_or_default();
        assert!(
            titles.contains(title),
            "user {id} is {title:?}, not one of {titles:?}"
        );
    }
    for (id, expected) in &journal.groups {
        let group = serve.send("GET", &format!("/Groups/{id}"), None);
        assert_eq!(group.status, 200, "an acknowledged group is gone: {id}");
        assert_eq!(&members(&group.body), expected, "group {id}");
    }
    if let Some(user_name) = &journal.lost_user {
        assert!(filtered(serve, "Users", "userName", user_name).len() <= 1);
    }
    if let Some((display_name, expected)) = &journal.lost_group {
        for group in filtered(serve, "Groups", "displayName", display_name) {
            let whole = serve.send(
                "GET",
                &format!("/Groups/{}", group["id"].as_str().expect("an id")),
                None,
            );
            assert_eq!(
                &members(&whole.body),
                expected,
                "half a group: {display_name}"
            );
        }
    }
}

#[test]
fn acknowledged_writes_survive_thirty_kills() {
    let data = tempfile::tempdir().unwrap();
    let mut users: u64 = 0;
    let mut serve = Serve::start(data.path(), Some(TOKEN));
    for round in 0..ROUNDS {
        // Knuth's multiplier spreads the rounds over 1 to 60 answers; the instant after that answer is the scheduler's choice.
        let answers = 1 + (round.wrapping_mul(2_654_435_761) >> 7) % 60;
        let (sender, receiver) = channel();
        let base = serve.base();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (base, sender) = (base.clone(), sender.clone());
                thread::spawn(move || write(&base, &format!("r{round}-w{writer}"), &sender))
            })
            .collect();
        drop(sender);
        for _ in 0..answers {
            receiver.recv().expect("the writers write");
        }
        serve.kill();
        let journals: Vec<Journal> = writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer failed"))
            .collect();
        serve = Serve::start(data.path(), Some(TOKEN));
        for journal in &journals {
            verify(&serve, journal);
            users += u64::try_from(journal.users.len()).unwrap();
        }
    }
    // Nothing of an earlier round was lost in a later one, and nothing is there twice.
    let total = serve.send("GET", "/Users?count=0", None).body["totalResults"]
        .as_u64()
        .expect("a number");
    let unacknowledged_max = ROUNDS * u64::try_from(WRITERS).unwrap();
    assert!(
        (users..=users + unacknowledged_max).contains(&total),
        "{users} were acknowledged, {total} are there"
    );
}
