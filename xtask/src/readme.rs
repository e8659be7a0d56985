//! `cargo xtask readme`: runs what README.md tells a newcomer to type, word for word, so that no command there can stop working unnoticed.
//! Decides nothing about the product: a command that ends badly, an answer that is a SCIM error, or an application that stays behind fails the chore.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::test::{run, target_folder};

/// The line with which the demo says that it has shown everything.
const DEMO_ENDS: &str = "demo: all applications equal";
/// The start of the line with which `serve` says that it answers.
const SERVE_ANSWERS: &str = "listening on ";
/// The schema of a SCIM error (RFC 7644 section 3.12).
const SCIM_ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
/// The longest time until the tour's leaver is locked out of the tour's application, in seconds.
const LEAVER_SECONDS_MAX: u64 = 60;

/// `cargo xtask readme [demo|tour]`: without an argument both.
pub fn command(root: &Path, arguments: &[String]) -> Result<(), Failure> {
    let readme = std::fs::read_to_string(root.join("README.md"))?;
    match arguments {
        [] => {
            demo(root, &readme)?;
            tour(root, &readme)
        }
        [one] if one == "demo" => demo(root, &readme),
        [one] if one == "tour" => tour(root, &readme),
        _ => Err(crate::USAGE.into()),
    }
}

/// The first of the two commands. It stays up when all is shown, so it is stopped as a person stops it.
fn demo(root: &Path, readme: &str) -> Result<(), Failure> {
    let blocks = blocks(readme, "## Two commands");
    let line = blocks
        .first()
        .and_then(|block| block.lines().next())
        .ok_or("README.md has no first command")?;
    let mut demo = Background::start(root, line)?;
    demo.wait_for(DEMO_ENDS)?;
    demo.stop()
}

/// The tour: its first block serves, the others talk to it.
fn tour(root: &Path, readme: &str) -> Result<(), Failure> {
    let data = root.join("rollcall-data");
    if data.exists() {
        return Err(format!(
            "{} is there already; the tour needs to be the first to use it, so move it away",
            data.display()
        )
        .into());
    }
    let blocks = blocks(readme, "## A tour in four minutes");
    let (serve, talk) = blocks.split_first().ok_or("README.md has no tour")?;
    let mut serving = Background::start(root, serve.trim())?;
    let told = serving
        .wait_for(SERVE_ANSWERS)
        .and_then(|()| talk_to(root, talk));
    let stopped = serving.stop();
    std::fs::remove_dir_all(&data)?;
    told.and(stopped)
}

/// The blocks of the tour as one shell session, and whether the leaver left the application.
fn talk_to(root: &Path, blocks: &[String]) -> Result<(), Failure> {
    let script = format!("set -euo pipefail\n{}", blocks.concat());
    let output = Command::new("bash")
        .current_dir(root)
        .args(["-c", &script])
        .stderr(Stdio::inherit())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    if !output.status.success() {
        return Err(format!("the tour ended with {}", output.status).into());
    }
    if said.contains(SCIM_ERROR) {
        return Err("one of the tour's requests was refused".into());
    }
    let begun = Instant::now();
    while !is_locked_out(root)? {
        if begun.elapsed() > Duration::from_secs(LEAVER_SECONDS_MAX) {
            return Err("the tour's leaver can still sign in at the tour's application".into());
        }
    }
    println!("readme: the tour works");
    Ok(())
}

fn is_locked_out(root: &Path) -> Result<bool, Failure> {
    let mut show = Command::new(program(root));
    let output = show
        .current_dir(root)
        .args([
            "user",
            "show",
            "ada@example.com",
            "--tenant",
            "chat",
            "--json",
        ])
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).contains("\"active\": false"))
}

fn program(root: &Path) -> PathBuf {
    target_folder(root).join("release/rollcall")
}

/// The shell blocks below a heading of the second level.
fn blocks(text: &str, heading: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let (mut is_below, mut is_inside) = (false, false);
    for line in text.lines() {
        match line {
            "```sh" if is_below => {
                is_inside = true;
                found.push(String::new());
            }
            "```" => is_inside = false,
            _ if line.starts_with("## ") && !is_inside => is_below = line == heading,
            _ if is_inside => {
                if let Some(block) = found.last_mut() {
                    block.push_str(line);
                    block.push('\n');
                }
            }
            _ => {}
        }
    }
    found
}

/// A command that goes on until it is told to stop. It leads a group of processes, so that `cargo run` and what it starts end together.
struct Background {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Background {
    fn start(root: &Path, line: &str) -> Result<Self, Failure> {
        use std::os::unix::process::CommandExt;
        println!("$ {line}");
        let mut command = Command::new("bash");
        command
            .current_dir(root)
            .args(["-c", line])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        Ok(Self { child, lines })
    }

    fn wait_for(&mut self, beginning: &str) -> Result<(), Failure> {
        let mut line = String::new();
        while self.lines.read_line(&mut line)? > 0 {
            print!("{line}");
            if line.starts_with(beginning) {
                return Ok(());
            }
            line.clear();
        }
        Err(format!(
            "it ended with {} before it said `{beginning}`",
            self.child.wait()?
        )
        .into())
    }

    /// Ctrl-C, and the end.
    fn stop(&mut self) -> Result<(), Failure> {
        run(Command::new("kill")
            .arg("-INT")
            .arg("--")
            .arg(format!("-{}", self.child.id())))?;
        std::io::copy(&mut self.lines, &mut std::io::sink())?;
        self.child.wait()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shell_blocks_below_the_heading_are_taken() {
        let text = "## A\n```sh\none\n```\n## B\n```sh\ntwo # why\n## no heading\n```\n```json\n{}\n```\n```sh\nthree\n```\n## C\n```sh\nfour\n```\n";
        assert_eq!(
            blocks(text, "## B"),
            ["two # why\n## no heading\n", "three\n"]
        );
        assert_eq!(blocks(text, "## D"), Vec::<String>::new());
    }
}
