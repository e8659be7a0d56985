//! The conformance suites of others, run against `rollcall serve`.

use std::path::Path;
use std::process::Command;

use crate::process::{Rollcall, TOKEN};

/// Runs a suite against a fresh server; its exit code is its verdict.
async fn passes(arguments: &[&str], suite: &Path, url: impl Fn(&mut Command, &str)) {
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
    assert!(output.status.success(), "{}\n{report}\n{}", suite.display(), String::from_utf8_lossy(&output.stderr));
    assert!(!report.contains("FAIL") && !report.contains("ERROR"), "{report}");
    println!("{report}");
}

#[tokio::test]
async fn scim2_cli_finds_no_failure() {
    let Some(peers) = crate::peers() else { return };
    passes(&["test", "--verbose"], &peers.join("venv/bin/scim2"), |command, url| {
        command.args(["--url", url]);
    })
    .await;
}

#[tokio::test]
async fn scim_sanity_finds_no_failure_in_strict_mode() {
    let Some(peers) = crate::peers() else { return };
    passes(&["--token", TOKEN, "--strict", "--i-accept-side-effects"], &peers.join("venv/bin/scim-sanity"), |command, url| {
        command.args(["probe", url]);
    })
    .await;
}
