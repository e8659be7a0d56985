//! The conformance suites of others, run against `rollcall serve`.

use std::path::Path;
use std::process::Command;

use crate::process::{Rollcall, TOKEN};

/// What `scim-sanity` fails, and nothing else: it wants a member accepted that does not exist (RFC 7644 leaves that to the server). Rollcall refuses one,
/// because a typing error in an id must not be answered with success.
const SANITY_FAILURES: &[&str] = &["PATCH /Groups/{id} add member"];

/// Runs a suite against a fresh server; it must find these failures and no others.
async fn fails_only(expected: &[&str], arguments: &[&str], suite: &Path, url: impl Fn(&mut Command, &str)) {
    let data = tempfile::tempdir().unwrap();
    let rollcall = Rollcall::start(data.path()).await;
    let mut command = Command::new(suite);
    command.env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {TOKEN}"));
    url(&mut command, &rollcall.base_url());
    let output = tokio::task::spawn_blocking({
        command.args(arguments);
        move || command.output().unwrap()
    })
    .await
    .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let failed: Vec<&str> = report.lines().filter_map(|line| line.trim().strip_prefix("[FAIL] ").or(line.strip_prefix("ERROR "))).collect();
    assert_eq!(failed, expected, "{}\n{report}\n{}", suite.display(), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.success(), expected.is_empty(), "{report}");
    println!("{report}");
}

#[tokio::test]
async fn scim2_cli_finds_no_failure() {
    let Some(peers) = crate::peers() else { return };
    fails_only(&[], &["test", "--verbose"], &peers.join("venv/bin/scim2"), |command, url| {
        command.args(["--url", url]);
    })
    .await;
}

#[tokio::test]
async fn scim_sanity_finds_one_failure_in_strict_mode() {
    let Some(peers) = crate::peers() else { return };
    fails_only(
        SANITY_FAILURES,
        &["--token", TOKEN, "--strict", "--i-accept-side-effects"],
        &peers.join("venv/bin/scim-sanity"),
        |command, url| {
            command.args(["probe", url]);
        },
    )
    .await;
}
