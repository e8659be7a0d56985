//! The listener: accepts connections up to a limit, with or without TLS, gives each handshake and each request's head a time limit (which `axum::serve`
//! does not), and finishes open requests when it is told to stop.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

use crate::address::Connection;
use crate::options::Options;
use crate::request_line::Encoding;
use crate::tls::{ClientCertificate, Tls};

/// Serves plain HTTP until `shutdown` is there, then finishes what is open, for at most `drain_seconds_max`.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()> + Send, options: &Options) {
    run(listener, None, router, shutdown, options).await;
}

/// As `serve`, over TLS. Looks at the certificate files every `tls_reload_seconds`.
pub async fn serve_tls(listener: TcpListener, tls: Arc<Tls>, router: Router, shutdown: impl Future<Output = ()> + Send, options: &Options) {
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

async fn run(listener: TcpListener, tls: Option<Arc<Tls>>, router: Router, shutdown: impl Future<Output = ()> + Send, options: &Options) {
    let permits = Arc::new(Semaphore::new(options.connections_max));
    let builder = builder(options);
    let graceful = GracefulShutdown::new();
    let handshake = Duration::from_secs(options.tls_handshake_seconds_max);
    let head_bytes_max = options.head_bytes_max;
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            () = &mut shutdown => break,
        };
        let (stream, mut connection, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or the peer was gone already: neither is a reason to stop, nor to spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (router, builder, watcher, tls) = (router.clone(), builder.clone(), graceful.watcher(), tls.clone());
        tokio::spawn(async move {
            let Some(tls) = tls else {
                converse(stream, connection, None, router, (&builder, head_bytes_max), watcher).await;
                return drop(permit);
            };
            // Here and not where connections are accepted, so that a slow handshake keeps nobody waiting.
            match tls.accept(stream, handshake).await {
                Ok(stream) => {
                    connection.is_tls = true;
                    let certificate = ClientCertificate::of(&stream).map(Arc::new);
                    converse(stream, connection, certificate, router, (&builder, head_bytes_max), watcher).await;
                }
                Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(Duration::from_secs(options.drain_seconds_max), graceful.shutdown()).await.is_err() {
        tracing::warn!("stopped with requests still open");
    }
}

/// Answers the requests of one connection.
async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    connection: Connection,
    certificate: Option<Arc<ClientCertificate>>,
    router: Router,
    (builder, head_bytes_max): (&Builder<TokioExecutor>, usize),
    watcher: Watcher,
) {
    let service = service_fn(move |request| call(router.clone(), connection, certificate.clone(), request));
    let stream = TokioIo::new(Encoding::new(stream, head_bytes_max));
    let served = builder.serve_connection_with_upgrades(stream, service).into_owned();
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(error = %error, "a connection broke");
    }
}

fn builder(options: &Options) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let head = Duration::from_secs(options.header_read_seconds_max);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(options.head_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.http2_streams_max)
        .max_header_list_size(options.http2_header_list_bytes_max)
        .keep_alive_interval(Some(Duration::from_secs(options.request_seconds_max)))
        .keep_alive_timeout(head);
    builder
}

/// Waits for room before it accepts, so that those who come too many wait in the kernel's queue.
async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> std::io::Result<(TcpStream, Connection, OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Answers are written whole, so waiting for more to send only delays them.
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    Ok((stream, Connection { peer, local, is_tls: false }, permit))
}

async fn call(
    mut router: Router,
    connection: Connection,
    certificate: Option<Arc<ClientCertificate>>,
    mut request: Request<Incoming>,
) -> Result<axum::response::Response, Infallible> {
    request.extensions_mut().insert(connection);
    if let Some(certificate) = certificate {
        request.extensions_mut().insert(certificate);
    }
    Service::call(&mut router, request.map(Body::new)).await
}
