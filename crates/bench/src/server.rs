//! A server under measurement: started, watched through `/proc`, killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// Linux counts processor time in hundredths of a second on every machine Rust runs on (`getconf CLK_TCK`).
const TICKS_PER_SECOND: f64 = 100.0;
const START_SECONDS_MAX: u64 = 60;

pub struct Server {
    child: Child,
    pub address: String,
    /// From starting the process to its first answer.
    pub start: Duration,
}

impl Server {
    /// Starts `command` and waits until `path` answers at `address`.
    pub fn start(
        command: &mut Command,
        address: &str,
        path: &str,
        log: &Path,
    ) -> Result<Self, Failure> {
        let begun = Instant::now();
        let file = std::fs::File::create(log)?;
        let child = command
            .stdout(file.try_clone()?)
            .stderr(file)
            .stdin(Stdio::null())
            .spawn()?;
        let mut server = Self {
            child,
            address: address.to_owned(),
            start: Duration::ZERO,
        };
        while !answers(address, path) {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!(
                    "{command:?} ended with {status}: {}",
                    std::fs::read_to_string(log)?
                )
                .into());
            }
            if begun.elapsed() > Duration::from_secs(START_SECONDS_MAX) {
                return Err(format!("{command:?} does not answer at {address}").into());
            }
            std::thread::yield_now();
        }
        server.start = begun.elapsed();
        Ok(server)
    }

    /// Processor time so far, of all threads, in the kernel and outside.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may hold spaces; the fields are counted after it: utime and stime are the 14th and 15th of the line.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = |at: usize| -> Result<f64, Failure> {
            Ok(fields
                .get(at)
                .ok_or("a short /proc/pid/stat")?
                .parse::<f64>()?)
        };
        Ok(Duration::from_secs_f64(
            (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
        ))
    }

    /// Resident memory in MiB.
    pub fn rss_mib(&self) -> Result<f64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A process that is gone already is what this is for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether one GET gets any HTTP answer.
fn answers(address: &str, path: &str) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(address) else {
        return false;
    };
    let mut first = [0; 12];
    stream
        .write_all(
            format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").as_bytes(),
        )
        .is_ok()
        && stream.read_exact(&mut first).is_ok()
}

/// An address nobody listens on at this moment.
pub fn free_address() -> Result<String, Failure> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .to_string())
}
