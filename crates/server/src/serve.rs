//! The listener: accepts connections up to a limit, gives each request's head a time limit (which `axum::serve` does not), and finishes open requests
//! when it is told to stop.

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
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

use crate::address::Connection;
use crate::options::Options;

/// Serves until `shutdown` is there, then finishes what is open, for at most `drain_seconds_max`.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()> + Send, options: &Options) {
    let permits = Arc::new(Semaphore::new(options.connections_max));
    let builder = builder(options);
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &permits) => accepted,
            () = &mut shutdown => break,
        };
        let (stream, connection, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or the peer was gone already: neither is a reason to stop, nor to spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let router = router.clone();
        let service = service_fn(move |request| call(router.clone(), connection, request));
        let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let served = graceful.watch(served);
        tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::debug!(error = %error, "a connection broke");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(Duration::from_secs(options.drain_seconds_max), graceful.shutdown()).await.is_err() {
        tracing::warn!("stopped with requests still open");
    }
}

fn builder(options: &Options) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let head = Duration::from_secs(options.header_read_seconds_max);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head);
    builder
        .http2()
        .timer(TokioTimer::new())
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
    Ok((stream, Connection { peer, local }, permit))
}

async fn call(mut router: Router, connection: Connection, mut request: Request<Incoming>) -> Result<axum::response::Response, Infallible> {
    request.extensions_mut().insert(connection);
    Service::call(&mut router, request.map(Body::new)).await
}
