//! The load generator: a keep-alive HTTP/1.1 client as small as it can be, so that the processor's time goes to the server that is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Failure;

/// One request, ready to be written to a connection.
pub type Request = Vec<u8>;

/// What a run of requests took.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    pub requests: usize,
    pub elapsed: Duration,
    /// Sorted.
    pub latencies: Vec<Duration>,
    /// The bodies of the answers, where they were asked for.
    pub bodies: Vec<Vec<u8>>,
}

impl Measured {
    pub fn per_second(&self) -> f64 {
        count(self.requests) / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Takes a further run of the same load in.
    pub fn add(&mut self, run: Self) {
        self.requests += run.requests;
        self.elapsed += run.elapsed;
        self.latencies.extend(run.latencies);
        self.latencies.sort_unstable();
        self.bodies.extend(run.bodies);
    }

    pub fn percentile_ms(&self, percent: usize) -> f64 {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies
            .get(at)
            .map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// A count as a number to divide by; exact far beyond what is measured here.
pub fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

/// What to send, how widely, and whether the bodies of the answers are wanted.
pub struct Load {
    pub address: String,
    pub connections: usize,
    pub keep_bodies: bool,
}

impl Load {
    /// Sends `total` requests, each made by `request` from its number; every answer has to be a 2xx.
    pub async fn run(
        &self,
        total: usize,
        request: impl FnMut(usize) -> Request,
    ) -> Result<Measured, Failure> {
        let next = Arc::new(AtomicUsize::new(0));
        // Made before the clock runs, as making them is not what is measured.
        let requests: Arc<Vec<Request>> = Arc::new((0..total).map(request).collect());
        let begun = Instant::now();
        let mut tasks = Vec::new();
        for _ in 0..self.connections {
            let (next, requests, address, keep) = (
                Arc::clone(&next),
                Arc::clone(&requests),
                self.address.clone(),
                self.keep_bodies,
            );
            tasks.push(tokio::spawn(async move {
                let mut connection = Connection {
                    stream: TcpStream::connect(&address).await?,
                    buffer: Vec::with_capacity(16 * 1024),
                };
                connection.stream.set_nodelay(true)?;
                let mut latencies = Vec::new();
                let mut bodies = Vec::new();
                loop {
                    let Some(bytes) = requests.get(next.fetch_add(1, Ordering::Relaxed)) else {
                        return Ok::<_, Failure>((latencies, bodies));
                    };
                    let sent = Instant::now();
                    let body = connection.exchange(bytes).await?;
                    latencies.push(sent.elapsed());
                    if keep {
                        bodies.push(body);
                    }
                }
            }));
        }
        let mut measured = Measured {
            requests: total,
            ..Measured::default()
        };
        for task in tasks {
            let (latencies, bodies) = task.await??;
            measured.latencies.extend(latencies);
            measured.bodies.extend(bodies);
        }
        measured.elapsed = begun.elapsed();
        measured.latencies.sort_unstable();
        Ok(measured)
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Writes a request, reads its answer and returns the body.
    async fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, Failure> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head_end = loop {
            if let Some(at) = self
                .buffer
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                break at + 4;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed a connection it was to keep".into());
            }
        };
        let head = String::from_utf8_lossy(self.buffer.get(..head_end).unwrap_or_default())
            .to_ascii_lowercase();
        if head
            .lines()
            .any(|line| line.trim_end() == "transfer-encoding: chunked")
        {
            self.read_chunks(head_end).await?;
            return if head.get(9..10) == Some("2") {
                Ok(Vec::new())
            } else {
                Err(head.into())
            };
        }
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .map_or(Ok(0), |value| value.trim().parse())?;
        while self.buffer.len() < head_end + length {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("an answer ended early".into());
            }
        }
        let body = self
            .buffer
            .get(head_end..head_end + length)
            .unwrap_or_default()
            .to_vec();
        if head.get(9..10) == Some("2") {
            return Ok(body);
        }
        Err(format!(
            "{}: {}",
            head.lines().next().unwrap_or_default(),
            String::from_utf8_lossy(&body)
        )
        .into())
    }
}

impl Connection {
    /// Reads a body without a length to its end, and keeps none of it but its last bytes.
    async fn read_chunks(&mut self, head_end: usize) -> Result<(), Failure> {
        self.buffer.drain(..head_end);
        while !self.buffer.ends_with(b"\r\n0\r\n\r\n") {
            let kept = self.buffer.len().saturating_sub(16);
            self.buffer.drain(..kept);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("an answer ended early".into());
            }
        }
        Ok(())
    }
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, token: &str, body: Option<&str>) -> Request {
    let body = body.unwrap_or_default();
    let kind = if body.is_empty() {
        ""
    } else {
        "content-type: application/scim+json\r\n"
    };
    format!(
        "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n{kind}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_latencies() {
        let measured = Measured {
            requests: 100,
            latencies: (1..=100).map(Duration::from_millis).collect(),
            ..Measured::default()
        };
        let check = |percent: usize, expected: f64| {
            assert!(
                (measured.percentile_ms(percent) - expected).abs() < 1e-6,
                "{percent}"
            );
        };
        check(50, 51.0);
        check(99, 100.0);
        assert!(Measured::default().percentile_ms(50).abs() < 1e-9);
    }

    #[test]
    fn a_request_says_its_length() {
        let text = String::from_utf8(request("POST", "/Users", "t", Some("{}"))).unwrap();
        assert!(
            text.starts_with("POST /Users HTTP/1.1\r\n")
                && text.ends_with("content-length: 2\r\n\r\n{}"),
            "{text}"
        );
    }
}
