//! Child processes that never outlive their test, and `rollcall serve` among them.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

pub const TOKEN: &str = "a-token-that-only-the-peers-tests-know";
const START_SECONDS_MAX: u64 = 30;

/// A running program; killed (SIGKILL) when dropped.
pub struct Process {
    child: Child,
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // Somebody has to read what it prints, or a full pipe would stop it.
        let output = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            BufReader::new(output)
                .lines()
                .map_while(Result::ok)
                .for_each(drop);
        });
        Self { child }
    }

    /// Ends it without giving it a chance to say goodbye.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port nobody listens on at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Waits until `url` answers anything at all.
pub async fn wait_for(client: &Client, url: &str) {
    let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
    while client.get(url).send().await.is_err() {
        assert!(Instant::now() < deadline, "{url} does not answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `rollcall serve` on a folder and a port that stay the same over restarts.
pub struct Rollcall {
    pub data: PathBuf,
    pub port: u16,
    /// The URL of a PostgreSQL database; none: SQLite in the folder.
    database: Option<String>,
    process: Option<Process>,
    pub client: Client,
}

impl Rollcall {
    pub async fn start(data: &Path) -> Self {
        Self::start_on(None, data).await
    }

    pub async fn start_on(database: Option<String>, data: &Path) -> Self {
        let mut rollcall = Self {
            data: data.to_path_buf(),
            port: free_port(),
            database,
            process: None,
            client: Client::new(),
        };
        rollcall.restart().await;
        rollcall
    }

    /// Kills it if it runs, and starts it again.
    pub async fn restart(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
        let mut command = self.command(&[]);
        command.args(["serve", "--listen", &format!("127.0.0.1:{}", self.port)]);
        self.process = Some(Process::start(
            command.env("ROLLCALL_BOOTSTRAP_TOKEN", TOKEN),
        ));
        wait_for(
            &self.client,
            &format!("http://127.0.0.1:{}/readyz", self.port),
        )
        .await;
    }

    /// The binary under test with its data folder.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
        command
            .args(arguments)
            .env("ROLLCALL_DATA", &self.data)
            .env("ROLLCALL_ALLOW_PRIVATE", "127.0.0.1");
        if let Some(database) = &self.database {
            command.env("ROLLCALL_DATABASE", database);
        }
        command
    }

    /// Runs another command of the binary on the same data and answers what it printed.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "rollcall {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/scim/v2", self.port)
    }

    /// One SCIM request that has to succeed.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.base_url()))
            .bearer_auth(TOKEN);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        if status == StatusCode::NO_CONTENT {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap()
        }
    }
}

/// Every resource of a type, page by page.
pub async fn list_all(client: &Client, base_url: &str, token: &str, path: &str) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let url = format!("{base_url}{path}?startIndex={}&count=100", all.len() + 1);
        let page: Value = client
            .get(url)
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let total = usize::try_from(page["totalResults"].as_u64().unwrap()).unwrap();
        let resources = page["Resources"].as_array().cloned().unwrap_or_default();
        assert!(
            !resources.is_empty() || all.len() >= total,
            "{path}: an empty page at {} of {total}",
            all.len()
        );
        all.extend(resources);
        if all.len() >= total {
            return all;
        }
    }
}
