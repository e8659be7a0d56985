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

#[tokio::test]
async fn scim2_client_drives_everything() {
    let Some(peers) = crate::peers() else { return };
    let data = tempfile::tempdir().unwrap();
    let rollcall = Rollcall::start(data.path()).await;
    let mut command = Command::new(peers.join("venv/bin/python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/scim2_client_drive.py")).args([&rollcall.base_url(), TOKEN]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("every assertion held"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Checks of schemathesis that are switched off, and why.
const UNCHECKED: &[(&str, &str)] = &[
    ("ignored_auth", "it tries wrong credentials more often than the lock-out lets anybody; `permissions.rs` and `refusals.rs` test them"),
    ("positive_data_acceptance", "what a filter, a path or a unique value may be is more than JSON Schema can say"),
    ("negative_data_rejection", "the standard profile accepts on purpose what the schema does not; `docs/quirks.md` lists it"),
    ("use_after_free", "needs links between operations, which the document does not have"),
    ("ensure_resource_availability", "the same"),
    ("object_level_authorization", "needs two callers who own different things; a tenant's callers share its directory"),
];

#[tokio::test]
async fn schemathesis_finds_no_failure() {
    let Some(peers) = crate::peers() else { return };
    let data = tempfile::tempdir().unwrap();
    let rollcall = Rollcall::start(data.path()).await;
    let origin = format!("http://127.0.0.1:{}", rollcall.port);
    std::fs::write(data.path().join("schemathesis.toml"), "[parameters]\n\"path.tenant\" = \"default\"\n").unwrap();
    let mut command = Command::new(peers.join("venv/bin/schemathesis"));
    let unchecked: Vec<&str> = UNCHECKED.iter().map(|(check, _)| *check).collect();
    command.current_dir(data.path()).args(["run", &format!("{origin}/openapi.json"), "--url", &origin]);
    command.args(["--header", &format!("Authorization: Bearer {TOKEN}"), "--exclude-checks", &unchecked.join(",")]);
    // It finds out the id of the token it works with and revokes it; after that it would test 401 only.
    command.args(["--exclude-path", "/t/{tenant}/admin/v1/tokens/{id}"]);
    command.args([
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "10",
        "--max-time",
        "40",
        "--seed",
        "7644",
        "--continue-on-failure",
    ]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}\n{}", String::from_utf8_lossy(&output.stderr));
    // A run that reached nothing would find nothing.
    assert!(report.contains("Test cases:") && !report.contains("Tested: 0"), "{report}");
    assert!(!report.contains("Authentication failed"), "{report}");
}
