//! A network that fails: an HTTP proxy in front of one application that refuses, cuts and delays by a seeded plan, and counts what gets through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the network does to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Delay(u64),
    TooManyRequests,
    Unavailable,
    CutBefore,
    CutAfter,
}

/// A running proxy.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    upstream: AtomicU16,
    faulty: AtomicBool,
    random: AtomicU64,
    writes: AtomicU64,
    faults: AtomicU64,
}

impl Proxy {
    pub async fn start(upstream: u16, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            upstream: AtomicU16::new(upstream),
            faulty: AtomicBool::new(true),
            random: AtomicU64::new(seed | 1),
            writes: AtomicU64::new(0),
            faults: AtomicU64::new(0),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                // A connection that breaks is what this proxy is for; nothing to report.
                tokio::spawn(async move { drop(serve(stream, &state).await) });
            }
        });
        Self { port, state }
    }

    /// From now on every request gets through.
    pub fn heal(&self) {
        self.state.faulty.store(false, Ordering::SeqCst);
    }

    /// How many requests that change something arrived here, whatever became of them.
    pub fn writes(&self) -> u64 {
        self.state.writes.load(Ordering::SeqCst)
    }

    /// How many faults were made.
    pub fn faults(&self) -> u64 {
        self.state.faults.load(Ordering::SeqCst)
    }
}

impl State {
    /// xorshift64*: the order of requests is not repeatable anyway, so a plain generator will do.
    fn draw(&self) -> u64 {
        let step = |mut x: u64| {
            x ^= x >> 12;
            x ^= x << 25;
            x ^ (x >> 27)
        };
        let before = self
            .random
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |x| Some(step(x)))
            .unwrap();
        step(before).wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }

    fn fault(&self) -> Fault {
        if !self.faulty.load(Ordering::SeqCst) {
            return Fault::None;
        }
        let fault = match self.draw() % 100 {
            0..=2 => Fault::TooManyRequests,
            3..=5 => Fault::Unavailable,
            6..=8 => Fault::CutBefore,
            9..=12 => Fault::CutAfter,
            13..=20 => Fault::Delay(5 + self.draw() % 50),
            _ => Fault::None,
        };
        if fault != Fault::None {
            self.faults.fetch_add(1, Ordering::SeqCst);
        }
        fault
    }
}

/// One request for each connection: simple, and a client must bear it.
async fn serve(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    let request = read_request(&mut stream).await?;
    let line =
        String::from_utf8_lossy(&request[..request.iter().position(|&b| b == b'\r').unwrap_or(0)])
            .into_owned();
    let reads = line.starts_with("GET ") || line.starts_with("HEAD ") || line.contains("/.search");
    if !reads {
        state.writes.fetch_add(1, Ordering::SeqCst);
    }
    match state.fault() {
        Fault::CutBefore => return Ok(()),
        Fault::TooManyRequests => {
            return refuse(&mut stream, "429 Too Many Requests", "retry-after: 1\r\n").await;
        }
        Fault::Unavailable => return refuse(&mut stream, "503 Service Unavailable", "").await,
        Fault::CutAfter => {
            forward(&request, state).await?;
            return Ok(());
        }
        Fault::Delay(milliseconds) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
        Fault::None => {}
    }
    let answer = forward(&request, state).await?;
    stream.write_all(&answer).await?;
    stream.shutdown().await
}

async fn refuse(stream: &mut TcpStream, status: &str, headers: &str) -> std::io::Result<()> {
    let answer =
        format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// A whole request, its `connection` header replaced by `connection: close` so that the answer ends with the connection.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let header = |name: &str| {
        head.lines().find_map(|line| {
            line.split_once(':')
                .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        })
    };
    assert!(
        header("transfer-encoding").is_none(),
        "the proxy reads bodies by their length only"
    );
    let length: usize = header("content-length").map_or(0, |value| value.parse().unwrap());
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let kept: Vec<&str> = head
        .lines()
        .filter(|line| !line.to_ascii_lowercase().starts_with("connection:"))
        .collect();
    let mut request = kept.join("\r\n").into_bytes();
    request.extend_from_slice(b"\r\nconnection: close\r\n\r\n");
    request.extend_from_slice(&bytes[head_end + 4..]);
    Ok(request)
}

async fn forward(request: &[u8], state: &State) -> std::io::Result<Vec<u8>> {
    let mut upstream =
        TcpStream::connect(("127.0.0.1", state.upstream.load(Ordering::SeqCst))).await?;
    upstream.write_all(request).await?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await?;
    if answer.is_empty() {
        Err(std::io::ErrorKind::UnexpectedEof.into())
    } else {
        Ok(answer)
    }
}
