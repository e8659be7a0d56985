//! The example `examples/sidecar`: an application without a line of SCIM, kept up by signed webhooks.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::process::{Process, Rollcall, free_port, wait_for};

/// Longer than a lease of a receiver: whoever held it may have to be waited for.
const PATIENCE_SECONDS: u64 = 90;

struct TimeSheet {
    origin: String,
    client: Client,
}

impl TimeSheet {
    fn start(python: &Path, port: u16, database: &Path, secret: &str) -> Process {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/sidecar/app.py");
        let mut command = Command::new(python);
        Process::start(
            command
                .arg(program)
                .arg(port.to_string())
                .arg(database)
                .env("WEBHOOK_SECRET", secret),
        )
    }

    async fn people(&self) -> Value {
        self.client
            .get(format!("{}/people", self.origin))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    /// Waits until the application knows these people.
    async fn knows(&self, expected: Value) {
        let deadline = Instant::now() + Duration::from_secs(PATIENCE_SECONDS);
        loop {
            let known = self.people().await;
            if known == expected {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{known} is known, not {expected}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn post(&self, path: &str) -> StatusCode {
        self.client
            .post(format!("{}{path}", self.origin))
            .body("{}")
            .send()
            .await
            .unwrap()
            .status()
    }
}

#[tokio::test]
async fn the_sidecars_application_follows_also_what_it_missed() {
    let Some(peers) = crate::peers() else { return };
    let data = tempfile::tempdir().unwrap();
    let rollcall = Rollcall::start(data.path()).await;
    let port = free_port();
    let sheet = TimeSheet {
        origin: format!("http://127.0.0.1:{port}"),
        client: Client::new(),
    };
    let hook = format!("{}/hooks", sheet.origin);
    let added = rollcall.run(&[
        "receiver", "add", "hours", "--kind", "webhook", "--url", &hook, "--json",
    ]);
    let secret = serde_json::from_str::<Value>(&added).unwrap()["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let (python, database) = (peers.join("venv/bin/python"), data.path().join("hours.db"));
    let mut running = TimeSheet::start(&python, port, &database, &secret);
    wait_for(&sheet.client, &format!("{}/people", sheet.origin)).await;

    assert_eq!(
        sheet.post("/hooks").await,
        StatusCode::UNAUTHORIZED,
        "what is not signed is not heard"
    );
    assert_eq!(sheet.post("/hours?login=ada").await, StatusCode::FORBIDDEN);
    let ada = rollcall
        .call(
            Method::POST,
            "/Users",
            Some(&json!({"userName": "Ada", "displayName": "Ada L."})),
        )
        .await;
    let bob = rollcall
        .call(Method::POST, "/Users", Some(&json!({"userName": "bob"})))
        .await;
    let row = |login: &str, name: &str, active: bool| json!({"login": login, "name": name, "active": active});
    sheet
        .knows(json!([row("ada", "Ada L.", true), row("bob", "bob", true)]))
        .await;
    assert_eq!(sheet.post("/hours?login=ada").await, StatusCode::CREATED);

    let leave = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "path": "active", "value": false}]});
    rollcall
        .call(
            Method::PATCH,
            &format!("/Users/{}", ada["id"].as_str().unwrap()),
            Some(&leave),
        )
        .await;
    sheet
        .knows(json!([
            row("ada", "Ada L.", false),
            row("bob", "bob", true)
        ]))
        .await;
    assert_eq!(sheet.post("/hours?login=ada").await, StatusCode::FORBIDDEN);

    // What happens while it is away reaches it when it is back.
    running.kill();
    rollcall
        .call(
            Method::DELETE,
            &format!("/Users/{}", bob["id"].as_str().unwrap()),
            None,
        )
        .await;
    rollcall
        .call(Method::POST, "/Users", Some(&json!({"userName": "cleo"})))
        .await;
    let _running = TimeSheet::start(&python, port, &database, &secret);
    wait_for(&sheet.client, &format!("{}/people", sheet.origin)).await;
    sheet
        .knows(json!([
            row("ada", "Ada L.", false),
            row("cleo", "cleo", true)
        ]))
        .await;
}
