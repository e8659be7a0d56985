//! As much of an HTTP client as these tests need: one request, one connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// An answer.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, where it is JSON.
    pub body: Value,
}

/// Sends a request to `path` below `base` (`http://host:port/...`); `None` where no whole answer came.
pub fn send(
    base: &str,
    token: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Option<Answer> {
    let rest = base.strip_prefix("http://").expect("a base URL");
    let (host, prefix) = rest
        .split_once('/')
        .map_or((rest, String::new()), |(host, prefix)| {
            (host, format!("/{prefix}"))
        });
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(host).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    let request = format!(
        "{method} {prefix}{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/scim+json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    parse(&String::from_utf8(bytes).ok()?)
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    let body = match (header("content-length"), header("transfer-encoding")) {
        (Some(length), _) if length.parse() != Ok(body.len()) => return None,
        (None, Some("chunked")) => dechunk(body)?,
        _ => body.to_owned(),
    };
    Some(Answer {
        status,
        body: serde_json::from_str(&body).unwrap_or(Value::Null),
    })
}

fn dechunk(mut text: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (length, rest) = text.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(whole);
        }
        whole.push_str(rest.get(..length)?);
        text = rest.get(length + 2..)?;
    }
}
