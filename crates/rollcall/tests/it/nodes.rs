//! `serve` on PostgreSQL: everything works as on SQLite, and many nodes share one database.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::send;
use crate::postgres_server;
use crate::program::{Finished, Serve, TOKEN, finish, program};

/// A database of its own, as a URL.
pub fn database() -> String {
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(postgres_server::database())
}

#[track_caller]
pub fn run_on(database: &str, data: &Path, arguments: &[&str]) -> Finished {
    let finished = finish(
        program(data)
            .args(arguments)
            .arg("--json")
            .env("ROLLCALL_DATABASE", database),
    );
    assert_eq!(finished.code, 0, "{arguments:?}: {}", finished.stderr);
    finished
}

fn create(node: &Serve, name: &str) -> String {
    let made = node.send(
        "POST",
        "/Users",
        Some(&json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name})),
    );
    assert_eq!(made.status, 201, "{}", made.body);
    made.body["id"].as_str().unwrap().to_owned()
}

/// The names of a server's people, once there are so many.
pub fn people(server: &Serve, count: u64) -> Vec<String> {
    let give_up = Instant::now() + Duration::from_mins(1);
    loop {
        let listed = server
            .send("GET", "/Users?count=200&attributes=userName", None)
            .body;
        if listed["totalResults"] == count {
            let resources = listed["Resources"].as_array().unwrap();
            let mut names: Vec<String> = resources
                .iter()
                .map(|user| user["userName"].as_str().unwrap().to_owned())
                .collect();
            names.sort();
            return names;
        }
        assert!(
            Instant::now() < give_up,
            "waited for {count} people: {listed}"
        );
    }
}

/// What a node says of the application, once nothing is waiting.
fn settled(database: &str, data: &Path) -> Value {
    let give_up = Instant::now() + Duration::from_mins(1);
    loop {
        let status = run_on(database, data, &["sync", "status"]).json();
        let is_settled = |name: &&str| status[0]["status"][name] == 0;
        if ["waiting", "retrying", "held"].iter().all(is_settled) {
            return status;
        }
        assert!(Instant::now() < give_up, "{status}");
    }
}

#[test]
fn two_nodes_share_one_database_and_one_may_die() {
    let (wiki_data, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (wiki, database) = (Serve::start(wiki_data.path(), Some(TOKEN)), database());
    // Both at once, on an empty database: one makes the tables and the first token, the other finds them.
    std::fs::write(data.path().join("rollcall.key"), [7; 32]).unwrap();
    let (one, other) = std::thread::scope(|scope| {
        let start = || Serve::start_on(&database, data.path());
        let (one, other) = (scope.spawn(start), scope.spawn(start));
        (one.join().unwrap(), other.join().unwrap())
    });
    create(&one, "ada");
    run_on(
        &database,
        data.path(),
        &[
            "application",
            "add",
            "wiki",
            "--base-url",
            &wiki.base(),
            "--token",
            TOKEN,
        ],
    );
    assert_eq!(
        people(&wiki, 1),
        ["ada"],
        "who was there before is told, too"
    );
    for number in 0..10 {
        create(
            if number % 2 == 0 { &one } else { &other },
            &format!("user{number}"),
        );
    }
    // What one node wrote the other reads at once.
    let grace = create(&one, "grace");
    assert_eq!(
        other.send("GET", &format!("/Users/{grace}"), None).body["userName"],
        "grace"
    );
    assert_eq!(people(&wiki, 12).len(), 12);

    one.kill();
    let group = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "team", "members": [{"value": grace}]});
    assert_eq!(other.send("POST", "/Groups", Some(&group)).status, 201);
    let deactivated = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "active", "value": false}]
    });
    assert_eq!(
        other
            .send("PATCH", &format!("/Users/{grace}"), Some(&deactivated))
            .status,
        200
    );
    let status = settled(&database, data.path());
    assert_eq!(status[0]["status"]["linked"], 13, "{status}");
    assert_eq!(people(&wiki, 12).len(), 12, "nobody has two accounts");
    let found = wiki
        .send("GET", "/Users?filter=userName%20eq%20%22grace%22", None)
        .body;
    assert_eq!(found["Resources"][0]["active"], false, "{found}");
    let groups = wiki.send("GET", "/Groups", None).body;
    assert_eq!(
        groups["Resources"][0]["members"].as_array().map(Vec::len),
        Some(1),
        "{groups}"
    );
    let log = run_on(&database, data.path(), &["sync", "log", "--limit", "200"]).json();
    // What the node that died had sent but not recorded was found by the other, and is no create in the log.
    let is_create = |entry: &&Value| entry["step"] == "create" && entry["outcome"] == "done";
    let creates: Vec<&Value> = log
        .as_array()
        .unwrap()
        .iter()
        .filter(is_create)
        .map(|entry| &entry["resource_id"])
        .collect();
    let made: std::collections::HashSet<&Value> = creates.iter().copied().collect();
    assert_eq!(
        creates.len(),
        made.len(),
        "each account was made once: {log}"
    );
    let (code, rest) = other.terminate();
    assert_eq!(code, 0, "{rest}");
}

#[test]
fn commands_work_beside_serve_on_postgresql() {
    let (data, database) = (tempfile::tempdir().unwrap(), database());
    let serve = Serve::start_on(&database, data.path());
    run_on(&database, data.path(), &["tenant", "create", "acme"]);
    let token = run_on(
        &database,
        data.path(),
        &["token", "create", "--tenant", "acme", "--name", "test"],
    )
    .json();
    let base = format!("{}/t/acme/scim/v2", serve.address);
    assert_eq!(
        send(
            &base,
            token["token"].as_str().unwrap(),
            "GET",
            "/Users",
            None
        )
        .unwrap()
        .body["totalResults"],
        0
    );
    run_on(
        &database,
        data.path(),
        &["user", "create", "ada", "--tenant", "acme"],
    );
    assert_eq!(
        send(
            &base,
            token["token"].as_str().unwrap(),
            "GET",
            "/Users",
            None
        )
        .unwrap()
        .body["totalResults"],
        1
    );
    assert!(!data.path().join("rollcall.db").exists());
}

#[test]
fn a_persons_token_ends_with_them_on_every_node() {
    let (data, database) = (tempfile::tempdir().unwrap(), database());
    let (one, two) = (
        Serve::start_on(&database, data.path()),
        Serve::start_on(&database, data.path()),
    );
    let off = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "active", "value": false}]});
    for (name, method, body) in [("ann", "PATCH", Some(&off)), ("bob", "DELETE", None)] {
        let id = create(&one, name);
        let made = run_on(&database, data.path(), &["token", "create", "--user", name]).json();
        let token = made["token"].as_str().unwrap();
        for node in [&one, &two] {
            assert_eq!(
                send(&node.base(), token, "GET", "/Users", None)
                    .unwrap()
                    .status,
                200,
                "{name}"
            );
        }
        assert!(one.send(method, &format!("/Users/{id}"), body).status < 300);
        for node in [&two, &one] {
            assert_eq!(
                send(&node.base(), token, "GET", "/Users", None)
                    .unwrap()
                    .status,
                401,
                "{name}"
            );
        }
    }
}
