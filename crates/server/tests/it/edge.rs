//! The edge of the server: hosts, connections that do nothing, addresses that take more than their share, and a store that no longer answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use access::credential::{TokenHash, TokenRecord, Tokens};
use async_trait::async_trait;
use axum::body::{Body, Bytes};
use directory::audit::Entry;
use directory::store::{Fault, Tenants};
use directory::tenant::{Tenant, TenantId, TenantSettings};
use futures_util::future::join_all;
use http::{Request, StatusCode};
use jiff::Timestamp;
use server::rate_limit::RateLimit;
use server::{Connection, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::{Answer, House, entry};
use crate::listener::{SECONDS_MAX, WHOLE, listen, rest, send};
use crate::rfc::refused;
use crate::smuggling::{ask_h2, connect_h2};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn a_request_names_one_host() {
    let house = House::new().await;
    let listening = listen(house.router(), Options::default()).await;
    let check = async |version: &str, hosts: &str, status: &str| {
        let answer = rest(
            send(
                &listening.address,
                &format!("GET /healthz {version}\r\n{hosts}Connection: close\r\n\r\n"),
            )
            .await,
        )
        .await;
        assert!(
            answer.starts_with(&format!("{version} {status}")),
            "{version} {hosts:?}: {answer}"
        );
        if status == "400" {
            assert!(
                answer.contains("application/scim+json")
                    && answer.contains("x-request-id")
                    && answer.contains("Host"),
                "{answer}"
            );
        }
    };
    check("HTTP/1.1", "Host: x\r\n", "200").await;
    check("HTTP/1.1", "", "400").await;
    check("HTTP/1.1", "Host: x\r\nHost: x\r\n", "400").await;
    check("HTTP/1.1", "Host: x\r\nhost: y\r\n", "400").await;
    check("HTTP/1.1", "Host:\r\n", "400").await;
    check("HTTP/1.1", "Host: x y\r\n", "400").await;
    check("HTTP/1.0", "", "200").await;
    check("HTTP/1.0", "Host: x\r\nHost: y\r\n", "400").await;
    let client = connect_h2(&listening.address, 1).await;
    let check = async |hosts: &[&str], status: StatusCode| {
        let request = hosts.iter().fold(
            Request::builder().uri("http://x/healthz"),
            |request, host| request.header("host", *host),
        );
        assert_eq!(
            ask_h2(client.clone(), request.body(()).unwrap(), Bytes::new())
                .await
                .0,
            status,
            "{hosts:?}"
        );
    };
    check(&[], StatusCode::OK).await;
    check(&["x"], StatusCode::OK).await;
    check(&["x:80"], StatusCode::OK).await;
    check(&["y"], StatusCode::BAD_REQUEST).await;
    check(&["x", "x"], StatusCode::BAD_REQUEST).await;
}

#[tokio::test]
async fn connections_that_do_nothing_end_in_time() {
    let options = Options {
        header_read_seconds_max: 1,
        idle_seconds_max: 1,
        ..Options::default()
    };
    let house = House::new().await;
    let listening = listen(house.router(), options).await;
    let settings = format!("{PREFACE}\0\0\0\x04\0\0\0\0\0");
    let asked = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let beginnings = [
        "",
        "G",
        "P",
        "PRI",
        "PRI * HTTP/2.0\r\n",
        "GET /healthz HTTP/1.1\r\nHost:",
        PREFACE,
        &settings,
        asked,
    ];
    let ended = join_all(beginnings.map(async |beginning| {
        let mut stream = send(&listening.address, beginning).await;
        let mut bytes = Vec::new();
        // In order or by a reset; and the client does not have to answer anything.
        drop(
            tokio::time::timeout(SECONDS_MAX, stream.read_to_end(&mut bytes))
                .await
                .unwrap_or_else(|_| panic!("{beginning:?}")),
        );
        bytes
    }));
    assert!(ended.await.last().unwrap().ends_with(b"ok\n"));

    let client = connect_h2(&listening.address, 1).await;
    let health = || Request::builder().uri("http://x/healthz").body(()).unwrap();
    assert_eq!(
        ask_h2(client.clone(), health(), Bytes::new()).await.0,
        StatusCode::OK
    );
    let mut client = client;
    let gone = std::future::poll_fn(|context| match client.poll_ready(context) {
        std::task::Poll::Ready(Ok(())) => {
            // Looked at again until it is so; the time limit is the test's.
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        }
        gone => gone.map(|gone| gone.is_err()),
    });
    assert!(
        tokio::time::timeout(SECONDS_MAX, gone).await.unwrap(),
        "a connection over HTTP/2 without requests ends"
    );
}

/// A client that takes nothing of an answer that is larger than all buffers between.
#[tokio::test]
async fn an_answer_that_is_not_taken_ends_in_time() {
    let options = Options {
        header_read_seconds_max: 1,
        idle_seconds_max: 1,
        stall_seconds_max: 1,
        ..Options::default()
    };
    let (begun, mut has_begun) = tokio::sync::mpsc::channel::<Held>(2);
    let router = axum::Router::new().fallback(async move || {
        let (held, given) = hold();
        begun.send(held).await.unwrap();
        given
    });
    let listening = listen(router, options).await;
    let _silent = send(&listening.address, WHOLE).await;
    let mut held = has_begun.recv().await.unwrap();
    tokio::time::timeout(SECONDS_MAX, held.ended())
        .await
        .unwrap();
    // The same over HTTP/2, where the client still answers pings but opens no window.
    let client = connect_h2(&listening.address, 1).await;
    let mut client = client.ready().await.unwrap();
    let request = Request::builder().uri("http://x/").body(()).unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    let _answer = answer.await.unwrap();
    let mut held = has_begun.recv().await.unwrap();
    tokio::time::timeout(SECONDS_MAX, held.ended())
        .await
        .unwrap();
}

/// An answer without an end, and who learns that it is gone.
struct Held(tokio::sync::mpsc::Receiver<()>);

impl Held {
    async fn ended(&mut self) {
        assert_eq!(self.0.recv().await, None);
    }
}

fn hold() -> (Held, Body) {
    let (alive, gone) = tokio::sync::mpsc::channel::<()>(1);
    let pieces = futures_util::stream::repeat_with(move || {
        let _alive = &alive;
        Ok::<_, std::convert::Infallible>(Bytes::from(vec![b'x'; 60_000]))
    });
    (Held(gone), Body::from_stream(pieces))
}

/// Many connections that wait, from one address: they make room for those who come.
#[tokio::test]
async fn connections_that_wait_make_room_for_others() {
    let check = async |options: Options| {
        let house = House::new().await;
        let listening = listen(house.router(), options).await;
        let mut silent = Vec::new();
        for beginning in ["", "G", "PRI * HT", "GET / HTTP/1.1\r\nHost: x\r\n"]
            .iter()
            .cycle()
            .take(50)
        {
            silent.push(send(&listening.address, beginning).await);
            let answer = rest(send(&listening.address, HEALTH).await).await;
            assert!(answer.ends_with("ok\n"), "{answer:?}");
        }
    };
    check(Options {
        connections_max: 4,
        ..Options::default()
    })
    .await;
    check(Options {
        connections_per_address_max: 4,
        ..Options::default()
    })
    .await;
}

/// One that begins a request for which nothing is missing, so that it waits for the server and not for its client.
async fn busy(address: &str, token: &str) -> TcpStream {
    let request = format!(
        "GET /t/default/events?wait=20 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    send(address, &request).await
}

#[tokio::test]
async fn health_is_told_where_all_places_are_taken_by_work() {
    let check = async |options: Options| {
        let house = House::new().await;
        let listening = listen(house.router(), options).await;
        let _busy = [
            busy(&listening.address, &house.token).await,
            busy(&listening.address, &house.token).await,
        ];
        // Until both are at work they can be closed to make room, so look until there is none.
        let refused = tokio::time::timeout(SECONDS_MAX, async {
            loop {
                let answer = rest(
                    send(
                        &listening.address,
                        "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n",
                    )
                    .await,
                )
                .await;
                if answer.starts_with("HTTP/1.1 503") {
                    return answer;
                }
            }
        });
        let refused = refused.await.unwrap().to_lowercase();
        assert!(
            refused.contains("application/scim+json")
                && refused.contains("retry-after: 1")
                && refused.contains("connection: close"),
            "{refused}"
        );
        assert!(
            rest(send(&listening.address, HEALTH).await)
                .await
                .ends_with("ok\n")
        );
        let ready = HEALTH.replace("healthz", "readyz");
        assert!(
            rest(send(&listening.address, &ready).await)
                .await
                .starts_with("HTTP/1.1 200")
        );
    };
    check(Options {
        connections_max: 2,
        ..Options::default()
    })
    .await;
    check(Options {
        connections_per_address_max: 2,
        ..Options::default()
    })
    .await;
}

#[tokio::test]
async fn a_trusted_proxy_may_have_any_number_of_connections() {
    let house = House::new().await;
    let trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let listening = listen(
        house.router(),
        Options {
            connections_per_address_max: 1,
            health_connections_max: 0,
            trusted_proxies,
            ..Options::default()
        },
    )
    .await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(send(&listening.address, HEALTH.split_at(30).0).await);
    }
    for mut stream in streams {
        stream
            .write_all(HEALTH.split_at(30).1.as_bytes())
            .await
            .unwrap();
        assert!(rest(stream).await.ends_with("ok\n"));
    }
}

/// A request from an address, with or without a token.
async fn ask(
    house: &House,
    address: &str,
    forwarded: Option<&str>,
    token: Option<&str>,
    method: &str,
    path: &str,
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "x");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if let Some(forwarded) = forwarded {
        request = request.header("x-forwarded-for", forwarded);
    }
    let mut request = request.body(Body::empty()).unwrap();
    let peer = std::net::SocketAddr::new(address.parse().unwrap(), 5_000);
    request.extensions_mut().insert(Connection {
        peer,
        local: "10.0.0.2:443".parse().unwrap(),
        is_tls: false,
    });
    house.send(request).await
}

const OPEN: [(&str, &str); 10] = [
    ("GET", "/scim/v2/ServiceProviderConfig"),
    ("GET", "/t/none/scim/v2/ServiceProviderConfig"),
    ("GET", "/openapi.json"),
    ("GET", "/t/default/.well-known/jwks.json"),
    ("GET", "/.well-known/oauth-authorization-server/t/default"),
    ("GET", "/t/default/events"),
    ("GET", "/nowhere"),
    ("DELETE", "/healthz"),
    ("POST", "/scim/v2/Users"),
    ("GET", "/t/default/admin/v1/tokens"),
];

fn rated() -> Options {
    let trusted_proxies = vec!["10.0.0.1".parse().unwrap()];
    Options {
        address_rate_limit: Some(RateLimit {
            per_second: 1,
            burst: 3,
        }),
        trusted_proxies,
        ..Options::default()
    }
}

#[tokio::test]
async fn requests_without_a_token_have_a_rate_for_each_address() {
    let house = House::with(rated(), TenantSettings::default()).await;
    for (number, (method, path)) in OPEN.iter().enumerate() {
        let address = format!("192.0.2.{number}");
        for _ in 0..3 {
            assert_ne!(
                ask(&house, &address, None, None, method, path).await.status,
                StatusCode::TOO_MANY_REQUESTS,
                "{path}"
            );
        }
        let answer = ask(&house, &address, None, None, method, path).await;
        refused(&answer, 429, None);
        assert_eq!(
            (answer.header("retry-after"), answer.header("content-type")),
            (Some("1"), Some("application/scim+json")),
            "{path}"
        );
        for health in ["/healthz", "/readyz"] {
            assert_eq!(
                ask(&house, &address, None, None, "GET", health)
                    .await
                    .status,
                StatusCode::OK
            );
        }
    }
    let token = async || {
        ask(
            &house,
            "2001:db8::1",
            None,
            None,
            "POST",
            "/t/default/oauth2/token",
        )
        .await
    };
    for _ in 0..3 {
        assert_eq!(token().await.status, StatusCode::BAD_REQUEST);
    }
    let answer = token().await;
    assert_eq!(
        (
            answer.status,
            answer.text("/error"),
            answer.header("retry-after")
        ),
        (
            StatusCode::TOO_MANY_REQUESTS,
            "temporarily_unavailable",
            Some("1")
        )
    );
    assert_eq!(
        ask(&house, "2001:db8::2", None, None, "GET", "/nowhere")
            .await
            .status,
        StatusCode::TOO_MANY_REQUESTS,
        "the same /64"
    );
    house.wait(1);
    assert_eq!(token().await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_forwarded_address_has_the_rate() {
    let house = House::with(rated(), TenantSettings::default()).await;
    let asked = async |address: &str, forwarded: &str| {
        ask(&house, address, Some(forwarded), None, "GET", "/nowhere")
            .await
            .status
            .as_u16()
    };
    for _ in 0..3 {
        assert_eq!(asked("10.0.0.1", "192.0.2.1").await, 404);
        assert_eq!(asked("10.0.0.9", "192.0.2.1").await, 404);
    }
    assert_eq!(asked("10.0.0.1", "192.0.2.1").await, 429);
    assert_eq!(asked("10.0.0.1", "192.0.2.2").await, 404);
    assert_eq!(
        asked("10.0.0.9", "192.0.2.3").await,
        429,
        "this one is no trusted proxy"
    );
}

/// Neighbours of an address that asks too often are let in with a token that was accepted before, and with no other.
#[tokio::test]
async fn tokens_that_are_known_do_not_share_the_rate_of_their_address() {
    let house = House::with(rated(), TenantSettings::default()).await;
    let asked = async |token: Option<&str>, path: &str| {
        ask(&house, "192.0.2.1", None, token, "GET", path)
            .await
            .status
            .as_u16()
    };
    let token = Some(house.token.as_str());
    for _ in 0..10 {
        assert_eq!(asked(token, "/scim/v2/Users").await, 200);
    }
    assert_eq!(
        [
            asked(None, "/nowhere").await,
            asked(Some("guess"), "/scim/v2/Users").await
        ],
        [404, 401]
    );
    assert_eq!(
        [
            asked(None, "/nowhere").await,
            asked(Some("guess"), "/scim/v2/Users").await
        ],
        [429, 429]
    );
    assert_eq!(asked(token, "/scim/v2/Users").await, 200);
    assert_eq!(
        asked(token, "/openapi.json").await,
        429,
        "no route that asks who calls"
    );
    let tokens = house.tenants.list_tokens(house.tenant.id).await.unwrap();
    assert!(
        house
            .tenants
            .revoke_token(house.tenant.id, &tokens[0].id, house.hand_now(), entry())
            .await
            .unwrap()
    );
    assert_eq!(
        [
            asked(token, "/scim/v2/Users").await,
            asked(token, "/scim/v2/Users").await
        ],
        [401, 429],
        "a revoked token is none"
    );
}

/// Tenants and tokens of a store that no longer answers from some moment on.
struct Stuck {
    tenants: Arc<dyn Tokens>,
    /// Whether only tenants cannot be found, or nothing is answered.
    finds_only: bool,
    has_stopped: Arc<AtomicBool>,
}

impl Stuck {
    async fn answers(&self, is_find: bool) {
        if self.has_stopped.load(Ordering::Relaxed) && (is_find || !self.finds_only) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Tenants for Stuck {
    async fn create_tenant(
        &self,
        name: &str,
        settings: TenantSettings,
        at: Timestamp,
        entry: Entry,
    ) -> Result<Option<Tenant>, Fault> {
        self.answers(false).await;
        self.tenants.create_tenant(name, settings, at, entry).await
    }

    async fn find_tenant(&self, name: &str) -> Result<Option<Tenant>, Fault> {
        self.answers(true).await;
        self.tenants.find_tenant(name).await
    }

    async fn tenant_revision(&self, name: &str) -> Result<Option<i64>, Fault> {
        self.answers(false).await;
        self.tenants.tenant_revision(name).await
    }

    async fn list_tenants(&self) -> Result<Vec<Tenant>, Fault> {
        self.answers(false).await;
        self.tenants.list_tenants().await
    }
}

#[async_trait]
impl Tokens for Stuck {
    async fn create_token(&self, token: TokenRecord, entry: Entry) -> Result<bool, Fault> {
        self.answers(false).await;
        self.tenants.create_token(token, entry).await
    }

    async fn find_token(
        &self,
        tenant: TenantId,
        hash: TokenHash,
    ) -> Result<Option<TokenRecord>, Fault> {
        self.answers(false).await;
        self.tenants.find_token(tenant, hash).await
    }

    async fn list_tokens(&self, tenant: TenantId) -> Result<Vec<TokenRecord>, Fault> {
        self.answers(false).await;
        self.tenants.list_tokens(tenant).await
    }

    async fn revoke_token(
        &self,
        tenant: TenantId,
        id: &str,
        at: Timestamp,
        entry: Entry,
    ) -> Result<bool, Fault> {
        self.answers(false).await;
        self.tenants.revoke_token(tenant, id, at, entry).await
    }

    async fn record_token_use(
        &self,
        tenant: TenantId,
        id: &str,
        at: Timestamp,
    ) -> Result<(), Fault> {
        self.answers(false).await;
        self.tenants.record_token_use(tenant, id, at).await
    }
}

#[tokio::test]
async fn a_store_that_no_longer_answers_delays_no_request_beyond_its_limit() {
    for finds_only in [true, false] {
        let has_stopped = Arc::new(AtomicBool::new(false));
        let stopped = has_stopped.clone();
        let options = Options {
            request_seconds_max: 1,
            ..Options::default()
        };
        let house = House::behind(options, |tenants| {
            Arc::new(Stuck {
                tenants,
                finds_only,
                has_stopped: stopped,
            })
        })
        .await;
        has_stopped.store(true, Ordering::Relaxed);
        let paths = [
            "/scim/v2/Users",
            "/scim/v2/Schemas",
            "/t/default/events",
            "/t/default/openapi.json",
            "/t/default/.well-known/jwks.json",
            "/t/default/admin/v1/tokens",
            "/admin/v1/tenants",
            "/admin/v1/tenants/default/restore",
            "/t/default/oauth2/token",
            "/readyz",
        ];
        let ask = async |token: Option<&str>, path: &str| {
            let mut request = Request::builder().uri(path);
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let answer = house.send(request.body(Body::empty()).unwrap());
            let answer = tokio::time::timeout(SECONDS_MAX, answer)
                .await
                .unwrap_or_else(|_| panic!("{path}"));
            (path.to_owned(), answer.status.as_u16())
        };
        let strangers = join_all(paths.map(|path| ask(None, path))).await;
        let known = join_all(paths.map(|path| ask(Some(&house.token), path))).await;
        let of = |found: &[(String, u16)], path: &str| {
            found.iter().find(|(asked, _)| asked == path).unwrap().1
        };
        let restore = house.call(
            &house.token,
            "POST",
            "/admin/v1/tenants/default/restore",
            &[],
            None,
        );
        let restore = tokio::time::timeout(SECONDS_MAX, restore).await.unwrap();
        assert_eq!(
            restore.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "only the body of a restore may take longer"
        );
        assert_eq!(
            of(&strangers, "/scim/v2/Users"),
            401,
            "the answer does not wait for the request log for ever"
        );
        assert_eq!(of(&known, "/scim/v2/Users"), 503);
    }
}
