//! Bodies that look like requests: whatever is sent, in whatever pieces, each request has one answer, and nothing of a body is taken for a request.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use futures_util::future::join_all;
use h2::client::SendRequest;
use http::{Request, StatusCode};
use serde_json::json;
use server::Options;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::house::House;
use crate::listener::{SECONDS_MAX, listen, rest, send};
use crate::rfc::user;

const SHAPES: u64 = 100;
/// What would be answered by a document that no other request here gets.
const HIDDEN: &str = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
const HIDDEN_UNENCODED: &str =
    "GET /openapi.json?filter=userName eq \"a\" HTTP/1.1\r\nHost: x\r\n\r\n";
const LAST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Method, path, whether with a token, content type.
const TARGETS: [(&str, &str, bool, &str); 14] = [
    (
        "POST",
        "/t/unknown/oauth2/token",
        false,
        "application/x-www-form-urlencoded",
    ),
    (
        "POST",
        "/t/default/oauth2/token",
        false,
        "application/x-www-form-urlencoded",
    ),
    ("POST", "/scim/v2/Users", false, "application/scim+json"),
    ("POST", "/scim/v2/Users", true, "application/scim+json"),
    ("POST", "/scim/v2/Users", true, "text/plain"),
    ("POST", "/scim/v2/Bulk", true, "application/scim+json"),
    ("PUT", "/scim/v2/Nowhere", true, "application/scim+json"),
    (
        "DELETE",
        "/scim/v2/Users/none",
        true,
        "application/scim+json",
    ),
    ("GET", "/scim/v2/Users", true, "application/scim+json"),
    ("GET", "/healthz", false, "text/plain"),
    ("POST", "/openapi.json", false, "application/json"),
    (
        "POST",
        "/t/default/admin/v1/tokens",
        false,
        "application/json",
    ),
    (
        "POST",
        "/t/default/admin/v1/tokens",
        true,
        "application/json",
    ),
    (
        "POST",
        "/t/default/receivers/none/poll",
        true,
        "application/json",
    ),
];

/// Numbers that follow from a seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.next(values.len())]
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Expect {
    No,
    /// Sends the body when it is asked for it.
    Waits,
    /// Sends it at once.
    Hurries,
}

#[derive(Debug)]
struct Shape {
    target: (&'static str, &'static str, bool, &'static str),
    body_bytes: usize,
    hidden: &'static str,
    chunked: bool,
    expect: Expect,
    piece: usize,
}

impl Shape {
    fn of(seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        numbers.next(2);
        let body_bytes = numbers.one_of(&[1, 39, 70, 1_000, 20_000, 66_000, 150_000, 1_200_000]);
        Self {
            target: numbers.one_of(&TARGETS),
            body_bytes,
            hidden: numbers.one_of(&[HIDDEN, HIDDEN_UNENCODED]),
            chunked: numbers.next(3) == 0,
            expect: numbers.one_of(&[Expect::No, Expect::Waits, Expect::Hurries]),
            // Not so small that a large body takes for ever.
            piece: 1 + body_bytes / 300 + numbers.next(200),
        }
    }

    fn body(&self) -> Vec<u8> {
        self.hidden.bytes().cycle().take(self.body_bytes).collect()
    }

    /// The body as HTTP/1.1 sends it.
    fn framed(&self) -> Vec<u8> {
        if !self.chunked {
            return self.body();
        }
        let body = self.body();
        let chunks = body.chunks(7_000).flat_map(|chunk| {
            [
                format!("{:x}\r\n", chunk.len()).into_bytes(),
                chunk.to_vec(),
                b"\r\n".to_vec(),
            ]
            .concat()
        });
        chunks.chain(*b"0\r\n\r\n").collect()
    }

    fn head(&self, token: &str) -> String {
        let (method, path, with_token, content_type) = self.target;
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n");
        if with_token {
            head = head + "Authorization: Bearer " + token + "\r\n";
        }
        if self.expect != Expect::No {
            head.push_str("Expect: 100-continue\r\n");
        }
        let length = if self.chunked {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {}", self.body_bytes)
        };
        head + &length + "\r\n\r\n"
    }
}

/// Writes in pieces, and does not mind when the other side is gone.
async fn write(stream: &mut OwnedWriteHalf, bytes: &[u8], piece: usize) {
    for part in bytes.chunks(piece) {
        if stream.write_all(part).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Reads until the head of an answer is there.
async fn read_head(stream: &mut OwnedReadHalf, text: &mut Vec<u8>) {
    while !text.windows(4).any(|end| end == b"\r\n\r\n") {
        assert!(
            stream.read_buf(text).await.unwrap() > 0,
            "{}",
            String::from_utf8_lossy(text)
        );
    }
}

#[derive(Debug)]
struct Answered {
    status: u16,
    closes: bool,
    body: String,
}

/// The answers in what a server sent, without those that only ask for the body.
fn answers(mut bytes: &[u8]) -> Vec<Answered> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let end = bytes
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..end].to_vec())
            .unwrap()
            .to_lowercase();
        let status: u16 = head
            .strip_prefix("http/1.1 ")
            .and_then(|rest| rest[..3].parse().ok())
            .unwrap_or_else(|| panic!("{head}"));
        let field = |name: &str| {
            head.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        let length: usize = field("content-length:").map_or(0, |length| length.parse().unwrap());
        let body = &bytes[end + 4..][..length];
        bytes = &bytes[end + 4 + length..];
        if status != 100 {
            let body = String::from_utf8(body.to_vec()).unwrap();
            found.push(Answered {
                status,
                closes: field("connection:") == Some("close"),
                body,
            });
        }
    }
    found
}

/// Sends a shape and one more request; all that came back.
async fn converse(address: &str, token: &str, shape: &Shape) -> Vec<u8> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let mut text = Vec::new();
    write(&mut writer, shape.head(token).as_bytes(), shape.piece).await;
    let mut sends_body = true;
    if shape.expect == Expect::Waits {
        read_head(&mut reader, &mut text).await;
        sends_body = text.starts_with(b"HTTP/1.1 100 ");
    }
    let sending = async {
        if sends_body {
            write(&mut writer, &shape.framed(), shape.piece).await;
        }
        write(&mut writer, LAST, LAST.len()).await;
    };
    let reading = async { drop(reader.read_to_end(&mut text).await) };
    tokio::time::timeout(SECONDS_MAX, async { tokio::join!(sending, reading) })
        .await
        .unwrap_or_else(|_| panic!("{shape:?}"));
    text
}

#[tokio::test]
async fn over_http_1_each_request_has_one_answer_whatever_its_body_looks_like() {
    let house = House::with(
        Options {
            address_rate_limit: None,
            ..Options::default()
        },
        directory::tenant::TenantSettings::default(),
    )
    .await;
    let listening = listen(house.router(), Options::default()).await;
    let (mut closed, mut went_on) = (0, 0);
    for seed in 0..SHAPES {
        let shape = Shape::of(seed);
        let text = converse(&listening.address, &house.token, &shape).await;
        let found = answers(&text);
        let first = found
            .first()
            .unwrap_or_else(|| panic!("no answer: {seed} {shape:?}"));
        if first.closes {
            assert_eq!(found.len(), 1, "{seed} {shape:?} {found:?}");
            closed += 1;
        } else {
            assert_eq!(found.len(), 2, "{seed} {shape:?} {found:?}");
            assert_eq!(
                (found[1].status, found[1].body.as_str()),
                (200, "ok\n"),
                "{seed} {shape:?}"
            );
            went_on += 1;
        }
        let own = if shape.target.1 == "/healthz" {
            first.body == "ok\n"
        } else {
            first.status >= 400 || shape.target.0 == "GET"
        };
        assert!(
            own && !first.body.contains("openapi\":"),
            "{seed} {shape:?} {first:?}"
        );
    }
    assert!(
        closed > 10 && went_on > 10,
        "{closed} ended with the answer, {went_on} went on"
    );
}

/// A body that is asked for with `100 Continue`, as long as one that is rewritten would grow.
#[tokio::test]
async fn a_body_after_100_continue_is_no_request() {
    let house = House::new().await;
    let listening = listen(house.router(), Options::default()).await;
    for path in ["/t/unknown/oauth2/token", "/t/default/oauth2/token"] {
        let body = format!("{HIDDEN_UNENCODED}{HIDDEN}");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let (mut reader, mut writer) = send(&listening.address, &head).await.into_split();
        let mut text = Vec::new();
        read_head(&mut reader, &mut text).await;
        assert!(
            text.starts_with(b"HTTP/1.1 100 Continue"),
            "{}",
            String::from_utf8_lossy(&text)
        );
        writer.write_all(body.as_bytes()).await.unwrap();
        writer.write_all(LAST).await.unwrap();
        tokio::time::timeout(SECONDS_MAX, reader.read_to_end(&mut text))
            .await
            .unwrap()
            .unwrap();
        let found = answers(&text);
        assert_eq!(
            found.iter().map(|answer| answer.status).collect::<Vec<_>>(),
            [400, 200],
            "{path} {found:?}"
        );
        assert_eq!(found[1].body, "ok\n");
    }
}

#[tokio::test]
async fn a_query_that_is_not_encoded_is_refused_and_ends_the_connection() {
    let house = House::new().await;
    let listening = listen(house.router(), Options::default()).await;
    let text = rest(send(&listening.address, &format!("{HIDDEN_UNENCODED}{HIDDEN}")).await).await;
    let found = answers(text.as_bytes());
    assert_eq!(
        found.iter().map(|answer| answer.status).collect::<Vec<_>>(),
        [400],
        "{text}"
    );
}

/// A client's connection whose bytes leave in pieces of seeded sizes.
struct Pieces {
    stream: TcpStream,
    numbers: Numbers,
}

impl AsyncRead for Pieces {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let most = this
            .numbers
            .one_of(&[1, 2, 9, 100, 3_000, 16_000])
            .min(bytes.len());
        Pin::new(&mut this.stream).poll_write(context, &bytes[..most])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bytes
            .iter()
            .find(|part| !part.is_empty())
            .map_or(&[][..], |part| part);
        self.poll_write(context, first)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// A connection that speaks HTTP/2.
pub(crate) async fn connect_h2(address: &str, seed: u64) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (client, connection) = h2::client::handshake(Pieces {
        stream,
        numbers: Numbers(seed),
    })
    .await
    .unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

/// Sends the body as far as the server takes it.
async fn send_h2(mut stream: h2::SendStream<Bytes>, mut body: Bytes) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let Some(Ok(most)) = poll_fn(|context| stream.poll_capacity(context)).await else {
            return;
        };
        let part = body.split_to(most.min(body.len()));
        if stream.send_data(part, body.is_empty()).is_err() {
            return;
        }
    }
}

/// The whole answer.
pub(crate) async fn ask_h2(
    client: SendRequest<Bytes>,
    request: Request<()>,
    body: Bytes,
) -> (StatusCode, String) {
    let mut client = client.ready().await.unwrap();
    let (answer, stream) = client.send_request(request, body.is_empty()).unwrap();
    let reading = async {
        let (parts, mut body) = answer.await.unwrap().into_parts();
        let mut text = Vec::new();
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            text.extend_from_slice(&data);
        }
        (parts.status, String::from_utf8(text).unwrap())
    };
    let (answer, ()) = tokio::time::timeout(SECONDS_MAX, async {
        tokio::join!(reading, send_h2(stream, body))
    })
    .await
    .unwrap();
    answer
}

#[tokio::test]
async fn over_http_2_each_request_has_one_answer_whatever_its_body_looks_like() {
    let house = House::with(
        Options {
            address_rate_limit: None,
            ..Options::default()
        },
        directory::tenant::TenantSettings::default(),
    )
    .await;
    let listening = listen(house.router(), Options::default()).await;
    for connection in 0..5 {
        let client = connect_h2(&listening.address, connection).await;
        let shapes: Vec<Shape> = (0..SHAPES / 5)
            .map(|number| Shape::of(connection * 1_000 + number))
            .collect();
        let found = join_all(shapes.iter().map(|shape| {
            let (method, path, with_token, content_type) = shape.target;
            let mut request = Request::builder()
                .method(method)
                .uri(format!("http://x{path}"))
                .header("content-type", content_type);
            if with_token {
                request = request.header("authorization", format!("Bearer {}", house.token));
            }
            if shape.expect != Expect::No {
                request = request.header("expect", "100-continue");
            }
            if !shape.chunked {
                request = request.header("content-length", shape.body_bytes);
            }
            ask_h2(
                client.clone(),
                request.body(()).unwrap(),
                shape.body().into(),
            )
        }));
        for (shape, (status, body)) in shapes.iter().zip(found.await) {
            let own = if shape.target.1 == "/healthz" {
                body == "ok\n"
            } else {
                status.as_u16() >= 400 || shape.target.0 == "GET"
            };
            assert!(
                own && !body.contains("openapi\":"),
                "{shape:?} {status} {body}"
            );
        }
        let health = Request::builder().uri("http://x/healthz").body(()).unwrap();
        assert_eq!(
            ask_h2(client, health, Bytes::new()).await,
            (StatusCode::OK, "ok\n".to_owned()),
            "the connection goes on"
        );
    }
}

#[tokio::test]
async fn uploads_over_http_2_do_not_stall_between_reads() {
    let house = House::new().await;
    let listening = listen(house.router(), Options::default()).await;
    let client = connect_h2(&listening.address, 7).await;
    let request = |method: &str| {
        let request = Request::builder()
            .method(method)
            .uri("http://x/scim/v2/Users")
            .header("authorization", format!("Bearer {}", house.token));
        request
            .header("content-type", "application/scim+json")
            .body(())
            .unwrap()
    };
    let uploads = (0..20).map(|number| {
        // Upper-case letters where a piece may begin.
        let body =
            user(json!({"userName": format!("ann{number}"), "locale": "GET ".repeat(10_000)}))
                .to_string();
        ask_h2(client.clone(), request("POST"), body.into())
    });
    let reads = (0..20).map(|_| ask_h2(client.clone(), request("GET"), Bytes::new()));
    let (made, read) = tokio::join!(join_all(uploads), join_all(reads));
    assert!(
        made.iter()
            .all(|(status, _)| *status == StatusCode::CREATED),
        "{made:?}"
    );
    assert!(
        read.iter().all(|(status, _)| *status == StatusCode::OK),
        "{read:?}"
    );
}
