//! The conformance suites of others, run against `rollcall serve`.

use std::path::Path;
use std::process::Command;

use crate::process::{Rollcall, TOKEN};

/// Runs a suite against a fresh server; it must find no failure.
async fn finds_nothing(tenant: Option<&str>, suite: &Path, arguments: impl Fn(&mut Command, &str, &str)) {
    let data = tempfile::tempdir().unwrap();
    let rollcall = Rollcall::start(data.path()).await;
    let (base_url, token) = match tenant {
        None => (rollcall.base_url(), TOKEN.to_owned()),
        Some(name) => waiting_tenant(&rollcall, name),
    };
    let mut command = Command::new(suite);
    command.env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {token}"));
    arguments(&mut command, &base_url, &token);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let failed: Vec<&str> = report.lines().filter_map(|line| line.trim().strip_prefix("[FAIL] ").or(line.strip_prefix("ERROR "))).collect();
    assert!(failed.is_empty(), "{}\n{report}\n{}", suite.display(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{report}");
    println!("{report}");
}

/// A tenant where members who are not there yet wait: its base URL and a token.
fn waiting_tenant(rollcall: &Rollcall, name: &str) -> (String, String) {
    rollcall.run(&["tenant", "create", name, "--pending-references", "true"]);
    let made: serde_json::Value = serde_json::from_str(&rollcall.run(&["token", "create", "--tenant", name, "--json"])).unwrap();
    let base_url = rollcall.base_url().replace("/scim/v2", &format!("/t/{name}/scim/v2"));
    (base_url, made["token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn scim2_cli_finds_no_failure() {
    let Some(peers) = crate::peers() else { return };
    finds_nothing(None, &peers.join("venv/bin/scim2"), |command, url, _| {
        command.args(["--url", url, "test", "--verbose"]);
    })
    .await;
}

/// It adds a member who does not exist and wants that accepted; with `pending_references` it is, and the member waits.
#[tokio::test]
async fn scim_sanity_finds_no_failure_in_strict_mode() {
    let Some(peers) = crate::peers() else { return };
    finds_nothing(Some("sane"), &peers.join("venv/bin/scim-sanity"), |command, url, token| {
        command.args(["probe", url, "--token", token, "--strict", "--i-accept-side-effects"]);
    })
    .await;
}
