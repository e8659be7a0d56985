//! Requests that need no token because they come from this machine: over a Unix socket that only its owner can open, or from this program itself. They act
//! as an operator, under the name of the local user. Accepts nothing from the network.

use axum::Router;
use axum::body::{Body, to_bytes};
use directory::store::Fault;
use http::header::CONTENT_TYPE;
use http::{Method, Request};
use tower::ServiceExt;

/// The user of this machine who sends a request; put into each request by this module alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalUser {
    /// What the audit log calls the user.
    name: String,
    /// How the request came.
    from: &'static str,
}

impl LocalUser {
    /// The user with this number, in this program.
    pub fn here(uid: Option<u32>) -> Self {
        Self::of(uid, "command line")
    }

    fn of(uid: Option<u32>, from: &'static str) -> Self {
        let name = match uid {
            None => "local user".to_owned(),
            Some(uid) => match user_name(uid) {
                Some(name) => format!("local user {name}"),
                None => format!("local user {uid}"),
            },
        };
        Self { name, from }
    }

    /// What the audit log calls the user.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the request came.
    pub fn from(&self) -> &'static str {
        self.from
    }
}

/// The name of a user, as `/etc/passwd` has it.
fn user_name(uid: u32) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let uid = uid.to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

/// The routes, asked by this program itself.
#[derive(Clone)]
pub struct InProcess {
    router: Router,
    user: LocalUser,
}

impl InProcess {
    /// These routes, for this user.
    pub fn new(router: Router, user: LocalUser) -> Self {
        Self { router, user }
    }

    /// Sends a request and waits for the status and the whole body of its answer.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(u16, Vec<u8>), Fault> {
        let broken = |error: http::Error| Fault::from_source("a request cannot be built", error);
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|error| Fault::from_source("a method has a wrong name", error))?;
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .extension(self.user.clone())
            .body(body.map_or_else(Body::empty, Body::from))
            .map_err(broken)?;
        let Ok(answer) = self.router.clone().oneshot(request).await;
        let status = answer.status().as_u16();
        let body = to_bytes(answer.into_body(), usize::MAX)
            .await
            .map_err(|error| Fault::from_source("an answer broke off", error))?;
        Ok((status, body.to_vec()))
    }
}

#[cfg(unix)]
pub use self::socket::serve_socket;
pub use self::socket::{OverSocket, own_uid};

#[cfg(unix)]
mod socket {
    use std::convert::Infallible;
    use std::time::Duration;

    use std::path::PathBuf;

    use axum::Router;
    use axum::body::Body;
    use directory::store::Fault;
    use http::header::{CONTENT_TYPE, HOST};
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};
    use hyper::body::{Bytes, Incoming};
    use hyper::client::conn::http1::handshake;
    use hyper::server::conn::http1::Builder;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioIo, TokioTimer};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::sync::watch;
    use tower::Service;

    use super::LocalUser;
    use crate::options::Options;

    /// The user of this process.
    pub fn own_uid() -> Option<u32> {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().ok()?;
        ours.set_nonblocking(true).ok()?;
        let ours = UnixStream::from_std(ours).ok()?;
        ours.peer_cred().ok().map(|own| own.uid())
    }

    /// Serves the socket until `shutdown` is there, then finishes what is open, for at most `drain_seconds_max`. The user is the one who opened the connection.
    pub async fn serve_socket(
        listener: UnixListener,
        router: Router,
        shutdown: impl Future<Output = ()> + Send,
        options: &Options,
    ) {
        let mut builder = Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(options.header_read_seconds_max));
        let own = own_uid();
        let (stop, stopped) = watch::channel(());
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut shutdown => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let uid = stream.peer_cred().ok().map(|peer| peer.uid());
                    // The mode of the file says the same, from the moment on at which it is set.
                    if uid != own && uid != Some(0) {
                        tracing::warn!(uid, "another user may not use the local socket");
                        continue;
                    }
                    let user = LocalUser::of(uid, "local socket");
                    tokio::spawn(converse(
                        stream,
                        user,
                        router.clone(),
                        builder.clone(),
                        stopped.clone(),
                    ));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the local socket could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop((listener, stopped));
        stop.send_replace(());
        let drained = Duration::from_secs(options.drain_seconds_max);
        if tokio::time::timeout(drained, stop.closed()).await.is_err() {
            tracing::warn!("stopped with requests of the local socket still open");
        }
    }

    async fn converse(
        stream: UnixStream,
        user: LocalUser,
        router: Router,
        builder: Builder,
        mut stop: watch::Receiver<()>,
    ) {
        let service = service_fn(move |request| call(router.clone(), user.clone(), request));
        let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = served.as_mut() => ended,
            _ = stop.changed() => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to the local socket broke");
        }
    }

    async fn call(
        mut router: Router,
        user: LocalUser,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(user);
        Service::call(&mut router, request).await
    }

    /// The server behind a socket, asked by another process of its user.
    #[derive(Clone, Debug)]
    pub struct OverSocket {
        path: PathBuf,
    }

    impl OverSocket {
        /// The socket at this path; `None` where nothing serves it.
        pub async fn find(path: PathBuf) -> Option<Self> {
            UnixStream::connect(&path).await.ok()?;
            Some(Self { path })
        }

        /// Sends a request and waits for the status and the whole body of its answer.
        pub async fn send(
            &self,
            method: &str,
            path: &str,
            body: Option<Vec<u8>>,
        ) -> Result<(u16, Vec<u8>), Fault> {
            let lost = |error| Fault::from_source("the running server does not answer", error);
            let broken = |error: hyper::Error| {
                Fault::from_source("the running server broke off its answer", error)
            };
            let stream = UnixStream::connect(&self.path).await.map_err(lost)?;
            let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
            let connection = tokio::spawn(connection);
            let mut request = Request::builder()
                .method(method)
                .uri(path)
                .header(HOST, "localhost");
            if body.is_some() {
                request = request.header(CONTENT_TYPE, "application/json");
            }
            let request = request
                .body(Full::new(Bytes::from(body.unwrap_or_default())))
                .map_err(|error| Fault::from_source("a request cannot be built", error))?;
            let answer = sender.send_request(request).await.map_err(broken)?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.map_err(broken)?;
            connection.abort();
            Ok((status, body.to_bytes().to_vec()))
        }
    }
}

/// Where there are no Unix sockets, commands work in their own process.
#[cfg(not(unix))]
mod socket {
    use std::convert::Infallible;
    use std::path::PathBuf;

    use directory::store::Fault;

    /// It is not known.
    pub fn own_uid() -> Option<u32> {
        None
    }

    /// There is none.
    #[derive(Clone, Debug)]
    pub struct OverSocket(Infallible);

    impl OverSocket {
        /// There is none.
        pub async fn find(_path: PathBuf) -> Option<Self> {
            None
        }

        /// Is never called.
        pub async fn send(
            &self,
            _method: &str,
            _path: &str,
            _body: Option<Vec<u8>>,
        ) -> Result<(u16, Vec<u8>), Fault> {
            match self.0 {}
        }
    }
}
