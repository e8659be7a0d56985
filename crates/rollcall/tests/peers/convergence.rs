//! Two applications that others wrote are kept equal to the directory, attribute by attribute, whatever the network and the machines do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Map, Value};

use crate::process::{Process, Rollcall, TOKEN, free_port, list_all, wait_for};
use crate::proxy::Proxy;
use crate::workload::Workload;

const USERS: usize = 500;
const GROUPS: usize = 40;
const EVENTS_EACH_DAY: usize = 200;
const SEED: u64 = 20_261_124;
/// Longer than any retry the faults can cause.
const CONVERGE_SECONDS_MAX: u64 = 900;
const APPLICATION_TOKEN: &str = "the-token-of-the-application";

/// An application, its journal, and the network in front of it.
struct Application {
    name: &'static str,
    program: Vec<String>,
    port: u16,
    path: &'static str,
    proxy: Proxy,
    process: Process,
}

impl Application {
    async fn start(
        name: &'static str,
        program: &[&Path],
        path: &'static str,
        data: &Path,
        seed: u64,
    ) -> Self {
        let port = free_port();
        let mut program: Vec<String> = program
            .iter()
            .map(|part| part.display().to_string())
            .collect();
        program.extend([
            port.to_string(),
            APPLICATION_TOKEN.to_owned(),
            data.join(format!("{name}.journal")).display().to_string(),
        ]);
        let process = Process::start(Command::new(&program[0]).args(&program[1..]));
        let proxy = Proxy::start(port, seed).await;
        let application = Self {
            name,
            program,
            port,
            path,
            proxy,
            process,
        };
        wait_for(&Client::new(), &application.base_url()).await;
        application
    }

    async fn restart(&mut self) {
        self.process.kill();
        self.process = Process::start(Command::new(&self.program[0]).args(&self.program[1..]));
        wait_for(&Client::new(), &self.base_url()).await;
    }

    /// Past the proxy: what the test itself asks must not fail.
    fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, self.path)
    }

    fn register(&self, rollcall: &Rollcall) {
        let url = format!("http://127.0.0.1:{}{}", self.proxy.port, self.path);
        rollcall.run(&[
            "application",
            "add",
            self.name,
            "--base-url",
            &url,
            "--token",
            APPLICATION_TOKEN,
        ]);
    }

    async fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.base_url(), APPLICATION_TOKEN).await
    }
}

/// Everything on one side, in a form in which equal means equal: ids replaced by names, server-made attributes left out, lists sorted.
#[derive(Debug, PartialEq)]
struct Snapshot {
    users: BTreeMap<String, Value>,
    groups: BTreeMap<String, Value>,
    twins: Vec<String>,
}

impl Snapshot {
    async fn take(base_url: &str, token: &str) -> Self {
        let client = Client::new();
        let users = list_all(&client, base_url, token, "/Users").await;
        let groups = list_all(&client, base_url, token, "/Groups").await;
        let names: BTreeMap<String, String> = users
            .iter()
            .map(|user| (text(user, "id"), text(user, "userName")))
            .chain(
                groups
                    .iter()
                    .map(|group| (text(group, "id"), text(group, "displayName"))),
            )
            .collect();
        let mut snapshot = Self {
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            twins: Vec::new(),
        };
        for user in users {
            let name = text(&user, "userName");
            if snapshot
                .users
                .insert(name.clone(), comparable(user, &names))
                .is_some()
            {
                snapshot.twins.push(name);
            }
        }
        for group in groups {
            let name = text(&group, "displayName");
            if snapshot
                .groups
                .insert(name.clone(), comparable(group, &names))
                .is_some()
            {
                snapshot.twins.push(name);
            }
        }
        snapshot
    }

    /// The first differences in words, for whoever reads a failed run.
    fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (ours, theirs) in [(&self.users, &other.users), (&self.groups, &other.groups)] {
            let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
            for name in names {
                match (ours.get(name), theirs.get(name)) {
                    (Some(a), Some(b)) if a == b => {}
                    (a, b) => found.push(format!(
                        "{name}:\n  directory   {}\n  application {}",
                        shown(a),
                        shown(b)
                    )),
                }
            }
        }
        found
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

fn text(resource: &Value, attribute: &str) -> String {
    resource[attribute].as_str().unwrap_or_default().to_owned()
}

/// A resource without what each server makes for itself (`id`, `meta`, `schemas`, `groups`, `externalId`, which is the provisioning client's own key),
/// its members by name, its lists in one order, and without empty values.
fn comparable(resource: Value, names: &BTreeMap<String, String>) -> Value {
    let Value::Object(mut object) = resource else {
        return resource;
    };
    for own in ["id", "meta", "schemas", "groups", "externalId"] {
        object.remove(own);
    }
    if let Some(Value::Array(members)) = object.remove("members") {
        let mut members: Vec<Value> = members
            .iter()
            .map(|member| {
                names
                    .get(&text(member, "value"))
                    .map_or_else(|| member.clone(), |name| Value::from(name.clone()))
            })
            .collect();
        members.sort_by_key(ToString::to_string);
        if !members.is_empty() {
            object.insert("members".to_owned(), Value::Array(members));
        }
    }
    sorted(Value::Object(object))
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let ordered: BTreeMap<String, Value> = object
                .into_iter()
                .filter(|(_, value)| !is_empty(value))
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            Value::Object(ordered.into_iter().collect::<Map<_, _>>())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(sorted).collect();
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}

async fn converge(rollcall: &Rollcall, applications: &[Application]) {
    let directory = Snapshot::take(&rollcall.base_url(), TOKEN).await;
    assert!(
        directory.twins.is_empty(),
        "the directory itself has twins: {:?}",
        directory.twins
    );
    let deadline = Instant::now() + Duration::from_secs(CONVERGE_SECONDS_MAX);
    for application in applications {
        loop {
            let there = application.snapshot().await;
            if directory == there {
                break;
            }
            if Instant::now() >= deadline {
                let differences = directory.differences(&there);
                let status = rollcall.run(&["sync", "status"]);
                panic!(
                    "{} differs in {} places, twins {:?}:\n{}\n{status}",
                    application.name,
                    differences.len(),
                    there.twins,
                    differences
                        .iter()
                        .take(5)
                        .cloned()
                        .collect::<Vec<_>>()
                        .join("\n")
                );
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Waits until nothing is out of date any more, and says how many writes each application has seen by then.
async fn settled(rollcall: &Rollcall, applications: &[Application]) -> Vec<u64> {
    let deadline = Instant::now() + Duration::from_secs(CONVERGE_SECONDS_MAX);
    loop {
        let status: Value =
            serde_json::from_str(&rollcall.run(&["sync", "status", "--json"])).unwrap();
        let rows = status.as_array().unwrap();
        assert_eq!(rows.len(), applications.len(), "{status}");
        if rows.iter().all(|row| {
            ["waiting", "retrying", "held"]
                .iter()
                .all(|name| row["status"][name] == 0)
        }) {
            return applications
                .iter()
                .map(|application| application.proxy.writes())
                .collect();
        }
        assert!(
            Instant::now() < deadline,
            "something stays out of date: {status}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_real_applications_become_equal_through_faults_and_restarts() {
    let Some(peers) = crate::peers() else { return };
    let data = tempfile::tempdir().unwrap();
    let mut rollcall = Rollcall::start(&data.path().join("rollcall")).await;
    // Whole groups and departments come and go within minutes, which the deletion guard would hold.
    rollcall.run(&["tenant", "edit", "default", "--guard", "off"]);
    let python = peers.join("venv/bin/python");
    let scim2 = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/scim2_app.py");
    let scimmy = peers.join("scimmy-app/app.mjs");
    let mut applications = vec![
        Application::start("scim2-server", &[&python, &scim2], "/v2", data.path(), SEED).await,
        Application::start(
            "scimmy",
            &[Path::new("node"), &scimmy],
            "/scim",
            data.path(),
            SEED + 1,
        )
        .await,
    ];
    for application in &applications {
        application.register(&rollcall);
    }
    let mut workload = Workload::new(SEED);
    workload.found(&rollcall, USERS, GROUPS).await;
    workload.live(&rollcall, EVENTS_EACH_DAY).await;
    applications[0].restart().await;
    workload.live(&rollcall, EVENTS_EACH_DAY).await;
    rollcall.restart().await;
    workload.live(&rollcall, EVENTS_EACH_DAY).await;
    applications[1].restart().await;
    converge(&rollcall, &applications).await;

    for application in &applications {
        println!(
            "{}: {} writes, {} faults",
            application.name,
            application.proxy.writes(),
            application.proxy.faults()
        );
        assert!(
            application.proxy.faults() > 100,
            "{}: the network was too kind",
            application.name
        );
        application.proxy.heal();
    }
    let before = settled(&rollcall, &applications).await;
    for application in &applications {
        rollcall.run(&["sync", "now", "--application", application.name]);
    }
    assert_eq!(
        settled(&rollcall, &applications).await,
        before,
        "a further pass sent something"
    );
    converge(&rollcall, &applications).await;
}
