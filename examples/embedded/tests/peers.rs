//! The issue tracker as a program, checked by a conformance suite that others wrote. Runs only where `ROLLCALL_PEERS` names the folder that
//! `cargo xtask test` fills; elsewhere it passes at once and says so.

#![expect(
    clippy::disallowed_methods,
    reason = "where the peers are is told by the environment"
)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Killed when the test is over, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn scim2_cli_finds_no_failure() {
    let Some(peers) = std::env::var_os("ROLLCALL_PEERS").map(PathBuf::from) else {
        println!("not run: ROLLCALL_PEERS is not set; `cargo xtask test` sets it");
        return;
    };
    let mut tracker = Command::new(env!("CARGO_BIN_EXE_embedded"));
    let mut running = Running(
        tracker
            .args(["127.0.0.1:0", "a-token"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut said = String::new();
    BufReader::new(running.0.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    let url = said.trim().rsplit(' ').next().unwrap();
    let mut suite = Command::new(peers.join("venv/bin/scim2"));
    let output = suite
        .args(["--url", url, "test", "--verbose"])
        .env("SCIM_CLI_HEADERS", "Authorization: Bearer a-token")
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let failures: Vec<&str> = report
        .lines()
        .filter(|line| line.starts_with("ERROR"))
        .collect();
    assert!(
        failures.is_empty() && report.contains("SUCCESS"),
        "{report}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{report}");
}
