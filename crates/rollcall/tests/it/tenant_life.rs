//! The life of a tenant by commands, beside a running `serve` and from one kind of database to the other.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::http::send;
use crate::nodes::{database, run_on};
use crate::program::{Serve, TOKEN, program, run};

#[track_caller]
fn done(data: &Path, arguments: &[&str]) -> Value {
    let finished = run(data, &[arguments, &["--json"]].concat());
    assert_eq!(finished.code, 0, "{arguments:?}: {}", finished.stderr);
    finished.json()
}

#[test]
fn a_suspended_tenant_answers_403_at_once() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    done(data.path(), &["tenant", "create", "acme"]);
    let token = done(data.path(), &["token", "create", "--tenant", "acme"])["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let ask = || {
        send(
            &format!("{}/t/acme/scim/v2", serve.address),
            &token,
            "GET",
            "/Users",
            None,
        )
        .unwrap()
    };
    assert_eq!(ask().status, 200);
    done(data.path(), &["tenant", "suspend", "acme"]);
    let refused = ask();
    assert_eq!(refused.status, 403);
    assert!(
        refused.body["detail"]
            .as_str()
            .unwrap()
            .contains("suspended"),
        "{}",
        refused.body
    );
    done(data.path(), &["tenant", "resume", "acme"]);
    assert_eq!(ask().status, 200);
    assert_eq!(run(data.path(), &["tenant", "suspend", "default"]).code, 5);
    assert_eq!(run(data.path(), &["tenant", "suspend", "nobody"]).code, 3);
}

#[test]
fn a_tenant_moves_to_postgresql_and_is_provisioned_from_there() {
    let (old, new, wiki_data) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let (wiki, database) = (Serve::start(wiki_data.path(), Some(TOKEN)), database());
    done(old.path(), &["tenant", "create", "acme"]);
    let ada = done(old.path(), &["user", "create", "ada", "--tenant", "acme"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    done(
        old.path(),
        &[
            "application",
            "add",
            "wiki",
            "--tenant",
            "acme",
            "--base-url",
            &wiki.base(),
            "--token",
            TOKEN,
        ],
    );
    let file = old.path().join("acme.jsonl");
    let path = file.to_str().unwrap();
    done(old.path(), &["tenant", "export", "acme", "--to", path]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    assert!(!std::fs::read_to_string(&file).unwrap().contains(TOKEN));
    assert_eq!(
        run(old.path(), &["tenant", "export", "acme", "--to", path]).code,
        5,
        "a file that is there stays"
    );
    let piped = run(old.path(), &["tenant", "export", "acme", "--to", "-"]);
    assert_eq!(
        (piped.code, piped.stdout.lines().count()),
        (0, std::fs::read_to_string(&file).unwrap().lines().count())
    );

    let serve = Serve::start_on(&database, new.path());
    run_on(
        &database,
        new.path(),
        &["tenant", "restore", "acme-2", "--from", path],
    );
    let shown = run_on(
        &database,
        new.path(),
        &["user", "show", "ada", "--tenant", "acme-2"],
    )
    .json();
    assert_eq!(shown["id"], ada.as_str());
    run_on(
        &database,
        new.path(),
        &[
            "application",
            "token",
            "wiki",
            "--tenant",
            "acme-2",
            "--token",
            TOKEN,
        ],
    );
    run_on(
        &database,
        new.path(),
        &["application", "resume", "wiki", "--tenant", "acme-2"],
    );
    crate::nodes::people(&wiki, 1);
    drop(serve);

    // Damaged or twice: refused, and nothing is left of it.
    std::fs::write(
        &file,
        std::fs::read_to_string(&file)
            .unwrap()
            .replace("\"ada\"", "\"eve\""),
    )
    .unwrap();
    let refused = run(old.path(), &["tenant", "restore", "copy", "--from", path]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("changed after it was written"),
        "{}",
        refused.stderr
    );
    assert_eq!(run(old.path(), &["tenant", "show", "copy"]).code, 3);
}

#[test]
fn erasing_asks_for_the_name_again() {
    let data = tempfile::tempdir().unwrap();
    done(data.path(), &["tenant", "create", "acme"]);
    done(
        data.path(),
        &["user", "create", "a-name-like-no-other", "--tenant", "acme"],
    );
    assert_eq!(
        run(data.path(), &["tenant", "erase", "acme"]).code,
        5,
        "nobody answers"
    );
    assert_eq!(
        run(
            data.path(),
            &["tenant", "erase", "acme", "--confirm", "acne"]
        )
        .code,
        5
    );
    done(
        data.path(),
        &["user", "show", "a-name-like-no-other", "--tenant", "acme"],
    );
    let mut child = program(data.path())
        .args(["tenant", "erase", "acme"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"acme\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("Write its name again"));
    assert_eq!(run(data.path(), &["tenant", "show", "acme"]).code, 3);
    // Not even pages that nothing points to, nor the journals, remember.
    let name = b"a-name-like-no-other";
    for file in std::fs::read_dir(data.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        assert!(
            !std::fs::read(&file)
                .unwrap()
                .windows(name.len())
                .any(|window| window == name),
            "{}",
            file.display()
        );
    }
}
