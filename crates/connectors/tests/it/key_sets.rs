//! The keys of foreign issuers, fetched from servers that answer well, badly, too much, and never.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::issuer::KeySets;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use connectors::egress::Egress;
use connectors::key_sets::{KEY_SET_BYTES_MAX, KeySetFetcher};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::{here, serve};

async fn fetch(url: &str) -> Result<Value, String> {
    fetch_under(here(), url).await
}

async fn fetch_under(egress: Egress, url: &str) -> Result<Value, String> {
    KeySetFetcher::new(egress)
        .unwrap()
        .fetch(url)
        .await
        .map_err(|fault| fault.to_string())
}

/// A key set of so many bytes.
fn sized(bytes: usize) -> String {
    let set = r#"{"keys":[]}"#;
    format!("{set}{}", " ".repeat(bytes - set.len()))
}

#[tokio::test]
async fn a_key_set_is_fetched_whole_and_what_is_none_is_refused() {
    let other = serve(|_, _| axum::Json(json!({"keys": ["of somebody else"]}))).await;
    let elsewhere = format!("http://{}/keys", other.address);
    let server = serve(move |_, path| -> Response {
        match path {
            "/largest" => sized(KEY_SET_BYTES_MAX).into_response(),
            "/larger" => sized(KEY_SET_BYTES_MAX + 1).into_response(),
            "/html" => "<html>".into_response(),
            "/cut" => r#"{"keys":["#.into_response(),
            "/error" => r#"{"error":"busy"}"#.into_response(),
            "/failed" => (StatusCode::BAD_GATEWAY, sized(20)).into_response(),
            "/moved" => (
                StatusCode::FOUND,
                [(header::LOCATION, elsewhere.clone())],
                sized(20),
            )
                .into_response(),
            _ => (StatusCode::NOT_FOUND, sized(20)).into_response(),
        }
    })
    .await;
    let check = async |path: &str, expected: Result<(), &str>| {
        let found = fetch(&format!("http://{}{path}", server.address)).await;
        match expected {
            Ok(()) => assert_eq!(found, Ok(json!({"keys": []})), "{path}"),
            Err(word) => assert!(
                found.as_ref().is_err_and(|error| error.contains(word)),
                "{path}: {found:?}"
            ),
        }
    };
    check("/largest", Ok(())).await;
    check("/larger", Err("larger than 262144 bytes")).await;
    check("/html", Err("not JSON")).await;
    check("/cut", Err("not JSON")).await;
    check("/error", Err("no array `keys`")).await;
    check("/failed", Err("status 502")).await;
    check("/moved", Err("status 302")).await;
    check("/other", Err("status 404")).await;
    assert!(other.requests().is_empty(), "a redirect is not followed");
}

#[tokio::test]
async fn what_the_operator_does_not_name_is_not_asked() {
    let server = serve(|_, _| axum::Json(json!({"keys": []}))).await;
    let strict = Egress::default();
    let port = server.address.port();
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("https://localhost:{port}/"),
    ] {
        assert!(fetch_under(strict.clone(), &url).await.is_err(), "{url}");
    }
    assert!(server.requests().is_empty());
    let plain = fetch_under(strict, "http://idp.example/keys").await;
    assert!(
        plain.is_err_and(|error| error.contains("https:")),
        "keys that anybody on the way could change"
    );
    for url in [
        "",
        "/keys",
        "ftp://idp.example/keys",
        "file:///etc/passwd",
        "http://169.254.169.254/keys",
    ] {
        assert!(fetch(url).await.is_err(), "{url}");
    }
}

/// What is fetched from a server that answers with these bytes to one request, and then says no more.
async fn fetch_from(answer: &[u8]) -> Result<Value, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4_096];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        // The other side may have enough of it before all of it is sent.
        drop(stream.write_all(answer).await);
        while stream.read(&mut head).await.is_ok_and(|read| read > 0) {}
    };
    let both = async { tokio::join!(fetch(&url), serving) };
    tokio::time::timeout(Duration::from_secs(30), both)
        .await
        .unwrap()
        .0
}

#[tokio::test]
async fn a_key_set_whose_size_is_not_told_beforehand_is_measured() {
    let piece = format!("1000\r\n{}\r\n", " ".repeat(4_096));
    let in_pieces = |count: usize| {
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}b\r\n{{\"keys\":[]}}\r\n",
            piece.repeat(count)
        )
    };
    let small = fetch_from(format!("{}0\r\n\r\n", in_pieces(3)).as_bytes()).await;
    assert_eq!(small, Ok(json!({"keys": []})));
    // It never says that it is done.
    let endless = fetch_from(in_pieces(10 * KEY_SET_BYTES_MAX / 4_096).as_bytes()).await;
    assert!(
        endless
            .as_ref()
            .is_err_and(|error| error.contains("larger than 262144 bytes")),
        "{endless:?}"
    );
}

/// Given up after five seconds, in real time.
#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    let (nothing, half) = tokio::join!(
        fetch_from(b""),
        fetch_from(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"keys\"")
    );
    for found in [nothing, half] {
        assert!(
            found
                .as_ref()
                .is_err_and(|error| error.contains("could not be fetched")),
            "{found:?}"
        );
    }
}

/// A server that ends the TLS of each connection with a certificate that it made itself; its address.
async fn tls_server(is_authority: bool) -> SocketAddr {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    if is_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { acceptor.accept(stream).await.map(drop) });
        }
    });
    address
}

#[tokio::test]
async fn failures_of_tls_are_told_in_words() {
    let check = async |url: String, expected: &str| {
        let told = fetch(&url).await.unwrap_err();
        assert!(told.contains(expected), "{url}: {told}");
    };
    let (server, authority) = (tls_server(false).await, tls_server(true).await);
    check(
        format!("https://{server}/"),
        "an authority that is not trusted here",
    )
    .await;
    check(format!("https://{authority}/"), "`CA:TRUE`").await;
    check(
        format!("http://{server}/"),
        "the URL must begin with https:",
    )
    .await;
    let plain = serve(|_, _| axum::Json(json!({"keys": []}))).await;
    check(
        format!("https://{}/", plain.address),
        "the server does not speak TLS on this port",
    )
    .await;
}
