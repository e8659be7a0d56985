//! Runs the binary: commands to their end, `serve` until it is dropped.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::http::{Answer, send};

/// The token that tests give to the first start.
pub const TOKEN: &str = "rc_test_0123456789abcdef0123456789abcdef";

/// What a command left behind.
pub struct Finished {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// The program on this data folder, without the variables of whoever runs the tests; it may reach the servers of the tests.
pub fn program(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROLLCALL_") {
            command.env_remove(name);
        }
    }
    command
        .env("ROLLCALL_DATA", data)
        .env("ROLLCALL_ALLOW_PRIVATE", "127.0.0.1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub fn run(data: &Path, arguments: &[&str]) -> Finished {
    finish(program(data).args(arguments))
}

/// Runs a prepared command to its end.
pub fn finish(command: &mut Command) -> Finished {
    let output = command.output().expect("the program starts");
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A running `serve`; killed when dropped.
pub struct Serve {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// The lines up to and with the one that says where it listens.
    pub greeting: Vec<String>,
    /// `http://127.0.0.1:PORT`
    pub address: String,
}

impl Serve {
    /// Starts it on any free port and waits until it listens.
    pub fn start(data: &Path, token: Option<&str>) -> Self {
        Self::listen(Self::command(data, token))
    }

    /// Starts one that may reach these places although they are not public.
    pub fn start_allowing(data: &Path, places: &str) -> Self {
        let mut command = Self::command(data, Some(TOKEN));
        command.env("ROLLCALL_ALLOW_PRIVATE", places);
        Self::listen(command)
    }

    /// One node of several on the database at this URL.
    pub fn start_on(database: &str, data: &Path) -> Self {
        let mut command = Self::command(data, Some(TOKEN));
        command.env("ROLLCALL_DATABASE", database);
        Self::listen(command)
    }

    fn command(data: &Path, token: Option<&str>) -> Command {
        let mut command = program(data);
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stderr(Stdio::inherit());
        if let Some(token) = token {
            command.env("ROLLCALL_BOOTSTRAP_TOKEN", token);
        }
        command
    }

    /// Starts a prepared `serve` and waits until it listens.
    pub fn listen(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut greeting = Vec::new();
        loop {
            let mut line = String::new();
            assert!(
                stdout.read_line(&mut line).expect("UTF-8") > 0,
                "it ended before it listened: {greeting:?}"
            );
            let line = line.trim_end().to_owned();
            greeting.push(line.clone());
            if let Some(address) = line.strip_prefix("listening on ") {
                return Self {
                    child,
                    stdout,
                    greeting,
                    address: address.to_owned(),
                };
            }
        }
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The base URL of the default tenant.
    pub fn base(&self) -> String {
        format!("{}/scim/v2", self.address)
    }

    /// One request with the test's token.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        send(&self.base(), TOKEN, method, path, body)
            .unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    /// One request to the admin API of the default tenant, with the test's token, which is an operator's.
    pub fn send_admin(&self, method: &str, path: &str) -> Answer {
        let base = format!("{}/t/default/admin/v1", self.address);
        send(&base, TOKEN, method, path, None)
            .unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// A signal by its name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &id])
                .status()
                .expect("kill(1)")
                .success()
        );
    }

    /// SIGTERM; the exit code and what else it printed.
    pub fn terminate(mut self) -> (i32, String) {
        let id = self.child.id().to_string();
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .expect("kill(1)");
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("UTF-8");
        (
            self.child.wait().expect("it ends").code().unwrap_or(-1),
            rest,
        )
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
