//! TLS ended by us: handshakes, certificates loaded again, clients with certificates, and peers that do not speak TLS.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use server::tls::{ClientCertificate, Reload, Tls, TlsFiles};
use server::{Connection, Options, serve_tls};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issued(authority: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, authority)
        .unwrap();
    (certificate, key)
}

fn write_pair(folder: &Path, authority: &Authority) {
    let (certificate, key) = issued(authority, "localhost");
    std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}

/// A server that says what it knows of the connection.
struct Running {
    folder: TempDir,
    address: std::net::SocketAddr,
    tls: Arc<Tls>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

async fn start(authority: &Authority, client_authority: Option<&Authority>) -> Running {
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path(), authority);
    let client_authorities = client_authority.map(|authority| {
        let path = folder.path().join("clients.pem");
        std::fs::write(&path, authority.pem()).unwrap();
        path
    });
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let tls = Arc::new(
        Tls::load(TlsFiles {
            certificate,
            key,
            client_authorities,
        })
        .unwrap(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(async |request: Request| {
        let certificate = request.extensions().get::<Arc<ClientCertificate>>();
        let connection = request.extensions().get::<Connection>().unwrap();
        format!("tls {} client {}", connection.is_tls, certificate.is_some())
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let served = {
        let tls = Arc::clone(&tls);
        let options = Options {
            tls_handshake_seconds_max: 1,
            ..Options::default()
        };
        tokio::spawn(async move {
            serve_tls(
                listener,
                tls,
                router,
                async { drop(stopped.await) },
                &options,
            )
            .await;
        })
    };
    Running {
        folder,
        address,
        tls,
        stop: Some(stop),
        served,
    }
}

fn client(
    trusted: &Authority,
    own: Option<(rcgen::Certificate, KeyPair)>,
    protocols: &[&[u8]],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from(certificate.der().to_vec())];
            builder
                .with_client_auth_cert(
                    chain,
                    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
                )
                .unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn connect(
    running: &Running,
    connector: &TlsConnector,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(running.address).await.unwrap();
    connector
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
}

/// One request on an open connection.
async fn ask(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await?;
    let mut text = String::new();
    while !text.contains("client true") && !text.contains("client false") {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    Ok(text)
}

#[tokio::test]
async fn a_new_certificate_is_used_while_old_connections_live_on() {
    let (first, second) = (authority(), authority());
    let mut running = start(&first, None).await;
    let trusts_first = client(&first, None, &[b"http/1.1"]);
    let mut old = connect(&running, &trusts_first).await.unwrap();
    assert!(
        ask(&mut old)
            .await
            .unwrap()
            .contains("tls true client false")
    );

    write_pair(running.folder.path(), &second);
    assert_eq!(running.tls.reload(), Reload::Done);
    assert!(
        ask(&mut old).await.unwrap().contains("tls true"),
        "the open connection lives on"
    );
    assert!(connect(&running, &trusts_first).await.is_err());
    let mut new = connect(&running, &client(&second, None, &[b"http/1.1"]))
        .await
        .unwrap();
    assert!(ask(&mut new).await.unwrap().contains("tls true"));

    std::fs::write(running.folder.path().join("key.pem"), "not a key").unwrap();
    assert_eq!(running.tls.reload(), Reload::Refused);
    assert!(
        connect(&running, &client(&second, None, &[])).await.is_ok(),
        "the old pair stays"
    );
    drop((old, new));
    running.stop.take();
    running.served.await.unwrap();
}

#[tokio::test]
async fn both_versions_of_http_are_offered() {
    let authority = authority();
    let running = start(&authority, None).await;
    let check = async |offered: &[&[u8]], expected: Option<&[u8]>| {
        let stream = connect(&running, &client(&authority, None, offered))
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), expected);
    };
    check(&[b"h2", b"http/1.1"], Some(b"h2")).await;
    check(&[b"http/1.1"], Some(b"http/1.1")).await;
    check(&[], None).await;
}

#[tokio::test]
async fn certificates_of_clients_are_optional_and_checked() {
    let (ours, clients, strangers) = (authority(), authority(), authority());
    let running = start(&ours, Some(&clients)).await;
    let answer = async |own| {
        let mut stream = connect(&running, &client(&ours, own, &[b"http/1.1"])).await?;
        ask(&mut stream).await
    };
    assert!(answer(None).await.unwrap().contains("client false"));
    assert!(
        answer(Some(issued(&clients, "app.example")))
            .await
            .unwrap()
            .contains("client true")
    );
    assert!(
        answer(Some(issued(&strangers, "app.example")))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn peers_that_do_not_speak_tls_are_cut_off() {
    let authority = authority();
    let running = start(&authority, None).await;
    let mut plain = TcpStream::connect(running.address).await.unwrap();
    plain
        .write_all(b"GET /scim/v2/Users HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut bytes = Vec::new();
    // The connection ends, in order or by a reset, and nothing of HTTP was said.
    drop(plain.read_to_end(&mut bytes).await);
    assert!(!bytes.starts_with(b"HTTP"), "{bytes:?}");
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(
        silent.read(&mut [0; 1]).await.unwrap_or(0),
        0,
        "the handshake has a time limit"
    );
    let mut good = connect(&running, &client(&authority, None, &[]))
        .await
        .unwrap();
    assert!(ask(&mut good).await.is_ok(), "others are served meanwhile");
}
