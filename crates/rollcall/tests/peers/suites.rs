//! The conformance suites of others, run against `rollcall serve`.

use std::path::Path;
use std::process::Command;

use crate::postgres_server;
use crate::process::{Rollcall, TOKEN};

/// Runs a suite against a fresh server, on each engine; it must find no failure.
async fn finds_nothing(
    tenant: Option<&str>,
    suite: &Path,
    arguments: impl Fn(&mut Command, &str, &str),
) {
    for database in [None, Some(postgres_server::database().await)] {
        finds_nothing_on(database, tenant, suite, &arguments).await;
    }
}

async fn finds_nothing_on(
    database: Option<String>,
    tenant: Option<&str>,
    suite: &Path,
    arguments: &impl Fn(&mut Command, &str, &str),
) {
    let data = tempfile::tempdir().unwrap();
    let rollcall = Rollcall::start_on(database, data.path()).await;
    let (base_url, token) = match tenant {
        None => (rollcall.base_url(), TOKEN.to_owned()),
        Some(name) => waiting_tenant(&rollcall, name),
    };
    let mut command = Command::new(suite);
    command.env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {token}"));
    arguments(&mut command, &base_url, &token);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let failed: Vec<&str> = report
        .lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("[FAIL] ")
                .or(line.strip_prefix("ERROR "))
        })
        .collect();
    assert!(
        failed.is_empty(),
        "{}\n{report}\n{}",
        suite.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{report}");
    println!("{report}");
}

/// A tenant where members who are not there yet wait: its base URL and a token.
fn waiting_tenant(rollcall: &Rollcall, name: &str) -> (String, String) {
    rollcall.run(&["tenant", "create", name, "--pending-references", "true"]);
    let made: serde_json::Value =
        serde_json::from_str(&rollcall.run(&["token", "create", "--tenant", name, "--json"]))
            .unwrap();
    let base_url = rollcall
        .base_url()
        .replace("/scim/v2", &format!("/t/{name}/scim/v2"));
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
    finds_nothing(
        Some("sane"),
        &peers.join("venv/bin/scim-sanity"),
        |command, url, token| {
            command.args([
                "probe",
                url,
                "--token",
                token,
                "--strict",
                "--i-accept-side-effects",
            ]);
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
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/scim2_client_drive.py"))
        .args([&rollcall.base_url(), TOKEN]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("every assertion held"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Checks of schemathesis that are switched off, and why.
const UNCHECKED: &[(&str, &str)] = &[
    (
        "positive_data_acceptance",
        "what a filter, a path or a unique value may be is more than JSON Schema can say",
    ),
    (
        "negative_data_rejection",
        "the standard profile accepts on purpose what the schema does not; `docs/quirks.md` lists it",
    ),
    (
        "object_level_authorization",
        "needs two callers who own different things; a tenant's callers share its directory",
    ),
];

/// Operations whose callers have credentials of another kind, which it is not given.
const OTHER_CREDENTIALS: &[&str] = &[
    "POST /t/{tenant}/oauth2/token",
    "POST /t/{tenant}/receivers/{name}/poll",
];

/// A token for these scopes that stands for a user, so that there is a `/Me`.
async fn token_of_a_user(rollcall: &Rollcall, scopes: &[&str]) -> String {
    let body = serde_json::json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "schemathesis"});
    let user = rollcall
        .call(reqwest::Method::POST, "/Users", Some(&body))
        .await;
    let scopes = scopes.iter().flat_map(|scope| ["--scope", *scope]);
    let arguments: Vec<&str> = [
        "token",
        "create",
        "--json",
        "--user",
        user["id"].as_str().unwrap(),
    ]
    .into_iter()
    .chain(scopes)
    .collect();
    token_in(&rollcall.run(&arguments))
}

fn token_in(printed: &str) -> String {
    let made: serde_json::Value = serde_json::from_str(printed).unwrap();
    made["token"].as_str().unwrap().to_owned()
}

/// Runs schemathesis on these paths with this token; nothing may fail, and the token has to be good for all operations but these.
async fn schemathesis_on(
    rollcall: &Rollcall,
    peers: &Path,
    token: &str,
    phases: &str,
    paths: &[&str],
    refused: &[&str],
) {
    let origin = format!("http://127.0.0.1:{}", rollcall.port);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("schemathesis.toml"),
        "[parameters]\n\"path.tenant\" = \"default\"\n",
    )
    .unwrap();
    let mut command = Command::new(peers.join("venv/bin/schemathesis"));
    let unchecked: Vec<&str> = UNCHECKED.iter().map(|(check, _)| *check).collect();
    command.current_dir(folder.path()).args([
        "run",
        &format!("{origin}/openapi.json"),
        "--url",
        &origin,
    ]);
    command
        .args([
            "--header",
            &format!("Authorization: Bearer {token}"),
            "--exclude-checks",
            &unchecked.join(","),
        ])
        .args(paths);
    // Bounded by numbers and not by time: with `--max-time` a slow machine reached some operations only without credentials.
    command.args([
        "--phases",
        phases,
        "--max-examples",
        "10",
        "--seed",
        "7644",
        "--continue-on-failure",
    ]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{report}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // A run that reached nothing would find nothing.
    assert!(
        report.contains("Test cases:") && !report.contains("Tested: 0"),
        "{report}"
    );
    let found = report
        .split("Authentication failed")
        .nth(1)
        .and_then(|rest| rest.split("💡").next())
        .unwrap_or_default();
    let found = found
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "));
    let ours: Vec<&str> = found
        .filter(|operation| !refused.contains(operation))
        .collect();
    assert!(ours.is_empty(), "{ours:?}\n{report}");
}

#[tokio::test]
async fn schemathesis_finds_no_failure() {
    let Some(peers) = crate::peers() else { return };
    let data = tempfile::tempdir().unwrap();
    // It sends wrong credentials to every operation, and each is to say 401; `refusals.rs` tests whom the lock-out lets wait.
    std::fs::write(data.path().join("rollcall.toml"), "lockout_failures = 0\n").unwrap();
    let rollcall = Rollcall::start(data.path()).await;
    // It deletes every person it finds, and what is issued to a person ends with the person: so this token stands for nobody.
    let all = [
        "token", "create", "--json", "--scope", "read", "--scope", "write", "--scope", "admin",
        "--scope", "operator",
    ];
    let token = token_in(&rollcall.run(&all));
    // It finds out the id of the token it works with and revokes it; after that it would test 401 only.
    let apart = [
        "--exclude-path",
        "/t/{tenant}/admin/v1/tokens/{id}",
        "--exclude-path",
        "/scim/v2/Me",
    ];
    schemathesis_on(
        &rollcall,
        &peers,
        &token,
        "examples,coverage,fuzzing,stateful",
        &apart,
        OTHER_CREDENTIALS,
    )
    .await;
    let token = token_of_a_user(&rollcall, &["read", "write"]).await;
    // One path alone has no links to follow from state to state, and people do not delete themselves.
    schemathesis_on(
        &rollcall,
        &peers,
        &token,
        "examples,coverage,fuzzing",
        &["--include-path", "/scim/v2/Me"],
        &["DELETE /scim/v2/Me"],
    )
    .await;
}
