//! `serve` and `demo`.

use serde_json::json;

use crate::http::send;
use crate::program::{Serve, TOKEN, finish, program, run};

#[test]
fn the_first_start_prints_a_token_and_later_ones_do_not() {
    let data = tempfile::tempdir().unwrap();
    let first = Serve::start(data.path(), None);
    let token = first
        .greeting
        .iter()
        .find_map(|line| line.trim().strip_prefix("token:"))
        .expect("a token")
        .trim()
        .to_owned();
    assert!(
        first
            .greeting
            .iter()
            .any(|line| line.contains("/t/default/scim/v2")),
        "{:?}",
        first.greeting
    );
    let base = first.base();
    assert_eq!(
        send(&base, &token, "GET", "/Users", None).unwrap().status,
        200
    );
    assert_eq!(
        send(&base, "wrong", "GET", "/Users", None).unwrap().status,
        401
    );
    let (code, rest) = first.terminate();
    assert_eq!(code, 0, "{rest}");

    let second = Serve::start(data.path(), None);
    assert!(!second.greeting.join("\n").contains(&token));
    assert!(
        !second.greeting.iter().any(|line| line.contains("token:")),
        "{:?}",
        second.greeting
    );
    assert_eq!(
        send(&second.base(), &token, "GET", "/Users", None)
            .unwrap()
            .status,
        200
    );
}

#[test]
fn the_first_token_can_be_given_and_is_not_printed_then() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    assert!(!serve.greeting.join("\n").contains(TOKEN));
    let made = serve.send(
        "POST",
        "/Users",
        Some(
            &json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada"}),
        ),
    );
    assert_eq!(made.status, 201);
    let long_name = format!("{}/t/default/scim/v2", serve.address);
    assert_eq!(
        send(&long_name, TOKEN, "GET", "/Users", None).unwrap().body["totalResults"],
        1
    );
    let key = data.path().join("rollcall.key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            std::fs::metadata(&key).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    assert!(data.path().join("rollcall.db").is_file());
    assert!(key.is_file());
}

#[test]
fn limits_are_printed_without_a_start() {
    let data = tempfile::tempdir().unwrap();
    let printed = run(data.path(), &["serve", "--print-limits", "--json"]);
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    assert!(
        printed.json()["server"]
            .as_object()
            .is_some_and(|limits| limits.contains_key("body_bytes_max")),
        "{}",
        printed.stdout
    );
    assert_eq!(printed.json()["lockout"]["failures_max"], 20);
    assert_eq!(printed.json()["oauth"]["assertion_seconds_max"], 3_600);
    assert_eq!(printed.json()["engine"]["log_lines_max"], 1_000_000);
    let connections = [
        "connections_max",
        "connections_per_address_max",
        "health_connections_max",
        "idle_seconds_max",
        "stall_seconds_max",
    ];
    let bodies = [
        "forget_seconds_max",
        "forgotten_bytes_max",
        "unread_bytes_max",
        "unread_seconds_max",
    ];
    let rates = [
        "rate_limit_per_second",
        "address_rate_limit_per_second",
        "address_rate_limit_burst",
    ];
    for what in connections.iter().chain(&bodies).chain(&rates) {
        assert!(
            printed.json()["server"][*what]
                .as_u64()
                .is_some_and(|limit| limit > 0),
            "{what}: {}",
            printed.stdout
        );
    }
    assert_eq!(printed.json()["resource"]["text_bytes_max"], 65_536);
    assert_eq!(
        (
            &printed.json()["undo"]["changes_max"],
            &printed.json()["undo"]["changes_per_resource_max"]
        ),
        (&100_000.into(), &10_000.into())
    );
    assert!(!data.path().join("rollcall.db").exists());
}

#[test]
fn a_folder_that_is_served_is_not_served_twice() {
    let data = tempfile::tempdir().unwrap();
    let first = Serve::start(data.path(), Some(TOKEN));
    let second = run(data.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 4, "{}", second.stderr);
    assert!(
        second.stderr.contains("serves this data folder already"),
        "{}",
        second.stderr
    );
    // The first one is as it was, and a server that was killed keeps no later one out.
    assert_eq!(first.send("GET", "/Users", None).status, 200);
    first.kill();
    assert_eq!(
        Serve::start(data.path(), None)
            .send("GET", "/Users", None)
            .status,
        200
    );
}

#[test]
fn a_log_level_that_does_not_exist_is_refused() {
    let data = tempfile::tempdir().unwrap();
    for (filter, word) in [
        ("loud", "loud"),
        ("info,verbos", "verbos"),
        ("server=loud", "server=loud"),
    ] {
        let refused = run(
            data.path(),
            &["serve", "--listen", "127.0.0.1:0", "--log", filter],
        );
        assert_eq!(refused.code, 2, "{filter}: {}", refused.stderr);
        assert!(
            refused.stderr.contains(word) && refused.stderr.contains("level"),
            "{}",
            refused.stderr
        );
    }
    assert!(
        !data.path().join("rollcall.db").exists(),
        "the filter is read before anything is made"
    );
}

#[test]
fn a_port_that_is_taken_is_told() {
    let data = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = run(data.path(), &["serve", "--listen", &address]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(
        refused.stderr.starts_with("error: ") && refused.stderr.contains(&address),
        "{}",
        refused.stderr
    );
}

#[test]
fn demo_ends_with_all_applications_equal() {
    let elsewhere = tempfile::tempdir().unwrap();
    let demo = finish(
        program(elsewhere.path())
            .env_remove("ROLLCALL_DATA")
            .current_dir(elsewhere.path())
            .args(["demo", "--exit"]),
    );
    assert_eq!(demo.code, 0, "{}\n{}", demo.stdout, demo.stderr);
    assert_eq!(
        demo.stdout.lines().last(),
        Some("demo: all applications equal"),
        "{}",
        demo.stdout
    );
    assert!(
        demo.stdout.contains("POST")
            && demo.stdout.contains("chat")
            && demo.stdout.contains("wiki"),
        "{}",
        demo.stdout
    );
    assert_eq!(
        std::fs::read_dir(elsewhere.path()).unwrap().count(),
        0,
        "the demo leaves nothing behind"
    );
}
