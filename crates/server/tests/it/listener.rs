//! The listener on a real socket: slow heads are cut off, slow bodies answered, and a stop lets open requests finish.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use directory::tenant::TenantSettings;
use server::Options;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::house::House;

pub(crate) const SECONDS_MAX: Duration = Duration::from_secs(20);

pub(crate) struct Listening {
    pub address: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

/// Serves these routes.
pub(crate) async fn listen(router: Router, options: Options) -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let until = async move { drop(stopped.await) };
    let served =
        tokio::spawn(async move { server::serve(listener, router, until, &options).await });
    Listening {
        address,
        stop,
        served,
    }
}

pub(crate) async fn send(address: &str, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Everything until the server closes the connection.
pub(crate) async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    let _ = tokio::time::timeout(SECONDS_MAX, stream.read_to_string(&mut text))
        .await
        .unwrap();
    text
}

pub(crate) const WHOLE: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off() {
    let options = Options {
        header_read_seconds_max: 1,
        ..Options::default()
    };
    let listening = listen(Router::new().route("/", get(async || "ok")), options).await;
    let slow = send(&listening.address, "GET / HTTP/1.1\r\nhost: x\r\n").await;
    assert!(!rest(slow).await.contains("200 OK"));
    assert!(
        rest(send(&listening.address, WHOLE).await)
            .await
            .ends_with("ok")
    );
}

#[tokio::test]
async fn a_stop_lets_open_requests_finish_and_takes_no_new_ones() {
    let (begun, mut has_begun) = mpsc::channel::<oneshot::Sender<()>>(1);
    let route = get(async move || {
        let (finish, finished) = oneshot::channel();
        begun.send(finish).await.unwrap();
        finished.await.unwrap();
        "finished"
    });
    let listening = listen(Router::new().route("/", route), Options::default()).await;
    let open = send(&listening.address, WHOLE).await;
    let finish = has_begun.recv().await.unwrap();
    listening.stop.send(()).unwrap();
    // The listener is gone as soon as the stop is seen; the open request is not.
    while TcpStream::connect(&listening.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    finish.send(()).unwrap();
    assert!(rest(open).await.ends_with("finished"));
    tokio::time::timeout(SECONDS_MAX, listening.served)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let options = Options {
        drain_seconds_max: 1,
        ..Options::default()
    };
    let (begun, mut has_begun) = mpsc::channel::<()>(1);
    let route = get(async move || {
        begun.send(()).await.unwrap();
        std::future::pending::<&str>().await
    });
    let listening = listen(Router::new().route("/", route), options).await;
    let _open = send(&listening.address, WHOLE).await;
    has_begun.recv().await.unwrap();
    listening.stop.send(()).unwrap();
    tokio::time::timeout(SECONDS_MAX, listening.served)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_on_the_wire() {
    let house = House::with(
        Options {
            request_seconds_max: 1,
            ..Options::default()
        },
        TenantSettings::default(),
    )
    .await;
    let listening = listen(house.router(), Options::default()).await;
    let head = format!(
        "POST /scim/v2/Users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{{",
        house.token
    );
    let answer = rest(send(&listening.address, &head).await).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.contains("application/scim+json")
            && answer.contains("urn:ietf:params:scim:api:messages:2.0:Error"),
        "{answer}"
    );
}

/// Many clients look for an answer only when they have sent everything.
#[tokio::test]
async fn who_sends_too_much_is_answered_when_they_are_done() {
    let house = House::new().await;
    let listening = listen(house.router(), Options::default()).await;
    let length = 20_000_000;
    let head = format!(
        "POST /scim/v2/Users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n",
        house.token
    );
    let mut stream = send(&listening.address, &head).await;
    stream.write_all(&vec![b' '; length]).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}
