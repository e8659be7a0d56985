//! Commands as clients of the admin API: of a server somewhere else, of the `serve` on the data folder, and of the same routes in their own process.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::program::{Finished, Serve, TOKEN, finish, program, run};

fn done(data: &Path, arguments: &[&str]) -> Value {
    let finished = run(data, &[arguments, &["--json"]].concat());
    assert_eq!(finished.code, 0, "{arguments:?}: {}", finished.stderr);
    finished.json()
}

/// From a folder that has no database, with a token.
fn remote(url: &str, token: &str, arguments: &[&str]) -> Finished {
    let elsewhere = tempfile::tempdir().unwrap();
    finish(
        program(elsewhere.path())
            .args(arguments)
            .env("ROLLCALL_URL", url)
            .env("ROLLCALL_TOKEN", token),
    )
}

/// Who did what, and from where, newest last.
fn entries(data: &Path) -> Vec<(String, String, String)> {
    let log = done(data, &["audit", "list"]);
    let text =
        |entry: &Value, pointer: &str| entry.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    log.as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                text(entry, "/entry/act"),
                text(entry, "/entry/actor/name"),
                text(entry, "/entry/actor/from"),
            )
        })
        .collect()
}

#[test]
fn a_command_reaches_the_admin_api_in_three_ways() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let serve = Serve::start(data, Some(TOKEN));
    let socket = data.join("admin.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let by_socket = done(data, &["token", "create", "--name", "socket"]);
    let away = remote(
        &serve.address,
        TOKEN,
        &["token", "create", "--name", "away", "--json"],
    );
    assert_eq!(away.code, 0, "{}", away.stderr);
    let list = remote(&serve.address, TOKEN, &["token", "list", "--json"]);
    assert!(list.stdout.contains("socket") && list.stdout.contains("away"));
    assert!(!list.stdout.contains(by_socket["token"].as_str().unwrap()));
    let (code, _) = serve.terminate();
    assert_eq!((code, socket.exists()), (0, false));

    let here = done(data, &["token", "create", "--name", "here"]);
    done(data, &["token", "revoke", here["id"].as_str().unwrap()]);
    let found = entries(data);
    let acts: Vec<&str> = found.iter().map(|(act, _, _)| act.as_str()).collect();
    let created = "token.create";
    assert_eq!(acts, [created, created, created, created, "token.revoke"]);
    let from: Vec<&str> = found.iter().map(|(_, _, from)| from.as_str()).collect();
    assert_eq!(
        from,
        [
            "this program",
            "local socket",
            "127.0.0.1",
            "command line",
            "command line"
        ]
    );
    assert!(found[1].1.starts_with("local user "), "{found:?}");
    assert_eq!(found[1].1, found[3].1);

    let verified = done(data, &["audit", "verify"]);
    assert_eq!(verified["entries"], 5);
    let exported = run(data, &["audit", "export"]);
    let newest: Value = serde_json::from_str(exported.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&newest["number"], &newest["hash"]),
        (&json!(5), &verified["hash"])
    );
    let installation = done(data, &["audit", "verify", "--installation"]);
    assert_eq!(installation["broken"], Value::Null);
}

#[test]
fn a_server_that_was_killed_leaves_no_wall() {
    let data = tempfile::tempdir().unwrap();
    Serve::start(data.path(), Some(TOKEN)).kill();
    assert!(data.path().join("admin.sock").exists());
    done(data.path(), &["token", "list"]);
    let again = Serve::start(data.path(), Some(TOKEN));
    done(data.path(), &["token", "list"]);
    drop(again);
}

#[test]
fn what_is_wrong_with_a_server_somewhere_else_is_said() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    let check = |url: &str, token: &str, code: i32, said: &str| {
        let refused = remote(url, token, &["token", "list"]);
        assert_eq!(refused.code, code, "{url}: {}", refused.stderr);
        assert!(refused.stderr.contains(said), "{url}: {}", refused.stderr);
    };
    check(&serve.address, "wrong", 1, "ROLLCALL_TOKEN");
    check("http://127.0.0.1:1", TOKEN, 6, "does not answer");
    check(
        &format!("{}/elsewhere", serve.address),
        TOKEN,
        1,
        "older Rollcall",
    );
    check("http://rollcall.example.com", TOKEN, 2, "https");
    check("rollcall", TOKEN, 2, "not the URL of a server");
    check(&serve.address, "", 2, "ROLLCALL_TOKEN");
    let local_only = remote(&serve.address, TOKEN, &["user", "list"]);
    assert_eq!(local_only.code, 2, "{}", local_only.stderr);
}

#[test]
fn a_token_with_a_role_is_made_by_hand() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    let auditor = done(data.path(), &["token", "create", "--role", "auditor"]);
    assert_eq!(auditor["permissions"]["role"], "auditor");
    let token = auditor["token"].as_str().unwrap();
    let read = remote(&serve.address, token, &["audit", "list"]);
    assert_eq!(read.code, 0, "{}", read.stderr);
    let refused = remote(&serve.address, token, &["token", "create", "--name", "x"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("needs the role `administrator`"),
        "{}",
        refused.stderr
    );
    assert_eq!(
        run(data.path(), &["token", "create", "--role", "king"]).code,
        2
    );
}

#[test]
fn commands_of_every_noun_go_to_a_server_somewhere_else() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    for command in [
        &["guard", "status"],
        &["history", "deleted"],
        &["history", "pending"],
        &["requests", "list"],
        &["requests", "quirks"],
        &["schema", "list"],
        &["resource-type", "list"],
    ] {
        let answer = remote(&serve.address, TOKEN, command);
        assert_eq!(answer.code, 0, "{command:?}: {}", answer.stderr);
    }
}
