//! Request lines whose query is not encoded: `GET /Users?filter=userName eq "ann" HTTP/1.1`. Command lines and small clients send such, and hyper would
//! refuse them, in words that are not SCIM's, before anything of ours sees them. Encodes what may not stand in a query, and touches nothing else.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose request lines are encoded as they are read. A request begins where the connection does, and with what is read first after something
/// was written: who sends one before the last is answered has to encode it.
pub(crate) struct Encoding<S> {
    stream: S,
    /// Whether a request may begin with the next byte.
    at_start: bool,
    /// What was read and is yet to be handed on: the beginning of a line while `at_start`, what was encoded otherwise.
    held: Vec<u8>,
    line_bytes_max: usize,
}

/// What to do with the beginning of a request.
#[derive(Debug, PartialEq)]
enum Look {
    /// It is no request line, or one as it should be.
    Fine,
    /// Its line has not ended yet.
    Unfinished,
    /// This is to take its place.
    Instead(Vec<u8>),
}

impl<S> Encoding<S> {
    /// Lines longer than `line_bytes_max` are left alone: they are refused anyway.
    pub(crate) fn new(stream: S, line_bytes_max: usize) -> Self {
        Self { stream, at_start: true, held: Vec::new(), line_bytes_max }
    }

    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.held.len().min(buffer.remaining());
        buffer.put_slice(self.held.get(..count).unwrap_or_default());
        self.held.drain(..count);
    }

    /// Something is written, so what is read next is not a part of what was read before.
    fn answered(&mut self) {
        self.at_start = self.held.is_empty();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Encoding<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.at_start {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let read = buffer.filled().get(before..).unwrap_or_default();
            let is_end = read.is_empty();
            if this.held.is_empty() && look(read, this.line_bytes_max) == Look::Fine {
                this.at_start = false;
                return Poll::Ready(Ok(()));
            }
            this.held.extend_from_slice(read);
            buffer.set_filled(before);
            match look(&this.held, this.line_bytes_max) {
                Look::Unfinished => this.at_start = !is_end,
                Look::Fine => this.at_start = false,
                Look::Instead(bytes) => (this.at_start, this.held) = (false, bytes),
            }
        }
        if this.held.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        this.hand_on(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Encoding<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.answered();
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.answered();
        Pin::new(&mut this.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

fn look(seen: &[u8], line_bytes_max: usize) -> Look {
    if !begins_with_method(seen) {
        return Look::Fine;
    }
    let Some(end) = seen.iter().position(|byte| *byte == b'\n') else {
        return if seen.len() < line_bytes_max { Look::Unfinished } else { Look::Fine };
    };
    let (line, rest) = seen.split_at(end);
    encoded(line).map_or(Look::Fine, |line| Look::Instead([&line, rest].concat()))
}

/// Frames of HTTP/2 never begin so: it would be their length, and they would be too long.
fn begins_with_method(seen: &[u8]) -> bool {
    let letters = seen.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    (1..=7).contains(&letters) && seen.get(letters).is_none_or(|byte| *byte == b' ')
}

/// The line with what may not stand in a query in `%` notation; `None` where nothing of it has to be encoded.
fn encoded(line: &[u8]) -> Option<Vec<u8>> {
    let version = line.iter().rposition(|byte| *byte == b' ')?;
    let (before, version) = line.split_at(version);
    let query = before.iter().position(|byte| *byte == b'?')?;
    let (path, query) = before.split_at(query);
    let is_wrong = |byte: &u8| matches!(byte, b' ' | b'"' | b'<' | b'>');
    if !version.starts_with(b" HTTP/1.") || !query.iter().any(is_wrong) {
        return None;
    }
    let mut encoded = path.to_vec();
    for byte in query {
        if is_wrong(byte) {
            encoded.extend(format!("%{byte:02X}").bytes());
        } else {
            encoded.push(*byte);
        }
    }
    encoded.extend(version);
    Some(encoded)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[test]
    fn only_queries_are_encoded() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(encoded(line.as_bytes()).map(|line| String::from_utf8(line).unwrap()).as_deref(), expected, "{line}");
        };
        check("GET /Users?filter=userName eq \"é<b>\" HTTP/1.1\r", Some("GET /Users?filter=userName%20eq%20%22é%3Cb%3E%22 HTTP/1.1\r"));
        check("GET /Users?filter=userName%20eq%20%22a%22 HTTP/1.1\r", None);
        check("GET /a b HTTP/1.1\r", None);
        check("GET /a\"b HTTP/1.1\r", None);
        check("GET /a?b=\"c\" HTTP/2.0\r", None);
        check("GET /a?b=\"c\"", None);
        check("", None);
    }

    #[test]
    fn a_line_is_waited_for() {
        let check = |seen: &[u8], expected: Look| assert_eq!(look(seen, 24), expected, "{}", String::from_utf8_lossy(seen));
        check(b"GE", Look::Unfinished);
        check(b"GET /a?b=\"", Look::Unfinished);
        check(b"GET /a?b=\"c\" HTTP/1.1\r\nHost: \"x\"", Look::Instead(b"GET /a?b=%22c%22 HTTP/1.1\r\nHost: \"x\"".to_vec()));
        check(b"GET /a?b=c HTTP/1.1\r\n", Look::Fine);
        check(b"GET /a?b=ccccccccccccccccccc", Look::Fine);
        check(b"{\"GET\": \"/a?b=\"}", Look::Fine);
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Look::Fine);
        check(b"\0\0\x12\x04\0\0\0\0\0", Look::Fine);
        check(b"OPTIONSX /", Look::Fine);
        check(b"", Look::Fine);
    }

    #[tokio::test]
    async fn whatever_the_pieces_bodies_stay_and_the_next_request_is_encoded_too() {
        let request = "POST /a?b=\"c\" HTTP/1.1\r\nContent-Length: 24\r\n\r\nGET /a?b=\"c\" HTTP/1.1\r\n\n";
        let expected = "POST /a?b=%22c%22 HTTP/1.1\r\nContent-Length: 24\r\n\r\nGET /a?b=\"c\" HTTP/1.1\r\n\n";
        for size in 1..request.len() {
            let (mut client, server) = duplex(1024);
            let mut server = Encoding::new(server, 1024);
            for _ in 0..2 {
                let send = async {
                    for piece in request.as_bytes().chunks(size) {
                        client.write_all(piece).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                };
                let mut got = vec![0; expected.len()];
                let ((), read) = tokio::join!(send, server.read_exact(&mut got));
                assert_eq!((read.unwrap(), String::from_utf8(got).unwrap().as_str()), (expected.len(), expected), "pieces of {size}");
                server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
                client.read_exact(&mut [0; 27]).await.unwrap();
            }
            client.write_all(b"GET /a?b=\"").await.unwrap();
            drop(client);
            let mut rest = String::new();
            server.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "GET /a?b=\"", "what ends unfinished is handed on as it is");
        }
    }
}
