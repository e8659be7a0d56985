//! The listener: accepts connections as far as there is room, with or without TLS, gives every state of a connection a time limit (which `axum::serve` does
//! not), and finishes open requests when it is told to stop.
//!
//! Where an answer is there before the request's body was read to its end, what is left of the body is read and forgotten within a bound, or the connection
//! ends with the answer: nothing of a body is ever taken for a request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tower::Service;

use crate::address::{Connection, OnlyHealth};
use crate::connections::{Activity, Connections, Look, Patience, Place, Room};
use crate::exchange::{Drained, Given, Lent};
use crate::lingering::Lingering;
use crate::options::Options;
use crate::tls::{ClientCertificate, Tls};

/// Serves plain HTTP until `shutdown` is there, then finishes what is open, for at most `drain_seconds_max`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
    options: &Options,
) {
    run(listener, None, router, shutdown, options).await;
}

/// As `serve`, over TLS. Looks at the certificate files every `tls_reload_seconds`.
pub async fn serve_tls(
    listener: TcpListener,
    tls: Arc<Tls>,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
    options: &Options,
) {
    let mut looks = tokio::time::interval(Duration::from_secs(options.tls_reload_seconds));
    let looking = Arc::clone(&tls);
    let look = async move {
        loop {
            looks.tick().await;
            looking.reload();
        }
    };
    tokio::select! {
        () = run(listener, Some(tls), router, shutdown, options) => {}
        () = look => {}
    }
}

/// What all connections have in common.
#[derive(Clone)]
struct Common {
    router: Router,
    builder: Builder<TokioExecutor>,
    tls: Option<Arc<Tls>>,
    handshake: Duration,
    patience: Patience,
    drained: Drained,
    /// Changes when the server stops.
    stop: watch::Receiver<()>,
}

async fn run(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
    options: &Options,
) {
    let connections = Connections::new(Room::of(options));
    let (stop, stopped) = watch::channel(());
    let common = Common {
        router,
        builder: builder(options),
        tls,
        handshake: Duration::from_secs(options.tls_handshake_seconds_max),
        patience: Patience::of(options),
        drained: Drained {
            bytes_max: options.unread_bytes_max,
            seconds_max: options.unread_seconds_max,
        },
        stop: stopped,
    };
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(place) = connections.enter(peer.ip()) {
                    tokio::spawn(connected(stream, peer, common.clone(), place));
                } else {
                    tracing::debug!("a connection was refused: there is no room for it");
                }
            }
            Err(error) => {
                // Out of file descriptors, or the peer was gone already: neither is a reason to stop, nor to spin.
                tracing::warn!(%error, "a connection could not be accepted");
                connections.close_one();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop((listener, common));
    stop.send_replace(());
    if tokio::time::timeout(
        Duration::from_secs(options.drain_seconds_max),
        stop.closed(),
    )
    .await
    .is_err()
    {
        tracing::warn!("stopped with requests still open");
    }
}

/// One connection, from its beginning to its end.
async fn connected(stream: TcpStream, peer: SocketAddr, common: Common, place: Place) {
    // Answers are written whole, so waiting for more to send only delays them. Both fail only where the peer is gone.
    let (Ok(()), Ok(local)) = (stream.set_nodelay(true), stream.local_addr()) else {
        return;
    };
    let mut connection = Connection {
        peer,
        local,
        is_tls: false,
    };
    let Some(tls) = common.tls.clone() else {
        return converse(stream, connection, None, common, place).await;
    };
    // Here and not where connections are accepted, so that a slow handshake delays no other.
    let shaken = tokio::select! {
        shaken = tls.accept(stream, common.handshake) => shaken,
        () = place.activity.evicted() => return,
    };
    match shaken {
        Ok(stream) => {
            connection.is_tls = true;
            place.activity.begins();
            let certificate = ClientCertificate::of(&stream).map(Arc::new);
            converse(stream, connection, certificate, common, place).await;
        }
        Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
    }
}

/// Answers the requests of one connection, as long as its client goes on.
async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    connection: Connection,
    certificate: Option<Arc<ClientCertificate>>,
    common: Common,
    place: Place,
) {
    let Common {
        router,
        builder,
        patience,
        drained,
        mut stop,
        ..
    } = common;
    let activity = Arc::clone(&place.activity);
    let peer = Peer {
        connection,
        certificate,
        only_health: place.only_health,
        activity: Arc::clone(&activity),
        drained,
    };
    let service = service_fn(move |request| call(router.clone(), peer.clone(), request));
    let mut served =
        std::pin::pin!(builder.serve_connection(TokioIo::new(Lingering::new(stream)), service));
    let mut is_stopping = false;
    let mut next = Instant::now();
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                }
                return;
            }
            () = activity.evicted() => return tracing::debug!("a connection was closed to make room"),
            _ = stop.changed(), if !is_stopping => {
                is_stopping = true;
                served.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep_until(next) => match activity.look(patience, Instant::now()) {
                Look::Again(at) => next = at,
                Look::Idle => served.as_mut().graceful_shutdown(),
                Look::Over => return tracing::debug!("a connection was closed because its client did not go on"),
            },
        }
    }
}

fn builder(options: &Options) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let head = Duration::from_secs(options.header_read_seconds_max);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(options.head_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.http2_streams_max)
        .max_header_list_size(options.http2_header_list_bytes_max)
        .keep_alive_interval(Some(Duration::from_secs(options.request_seconds_max)))
        .keep_alive_timeout(head);
    builder
}

/// The other side of a connection.
#[derive(Clone)]
struct Peer {
    connection: Connection,
    certificate: Option<Arc<ClientCertificate>>,
    only_health: bool,
    activity: Arc<Activity>,
    drained: Drained,
}

async fn call(
    mut router: Router,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Response<Given>, Infallible> {
    let progress = peer.activity.request();
    let is_http1 = request.version() < Version::HTTP_2;
    let is_held_back = request.headers().contains_key(EXPECT);
    let (parts, body) = request.into_parts();
    let (body, rest) = Lent::new(body, Arc::clone(&progress));
    let mut request = Request::from_parts(parts, Body::new(body));
    request.extensions_mut().insert(peer.connection);
    if let Some(certificate) = peer.certificate {
        request.extensions_mut().insert(certificate);
    }
    if peer.only_health {
        request.extensions_mut().insert(OnlyHealth);
    }
    let Ok(mut response) = Service::call(&mut router, request).await;
    // HTTP/2 ends the stream of the request instead (RFC 9113 section 8.1).
    if is_http1 && (peer.only_health || !rest.comes_to_its_end(is_held_back, peer.drained).await) {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Given::new(body, progress)))
}
