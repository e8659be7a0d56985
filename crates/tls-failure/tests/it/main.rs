//! Real handshakes that fail, and what both sides are told.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tls_failure::{Side, explain};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A certificate with its key.
struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn server_params() -> CertificateParams {
    let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn signed(params: CertificateParams, authority: &Authority) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    Identity {
        certificate: certificate.der().clone(),
        key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    }
}

fn trusting(authority: &Authority) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    roots
}

fn client(
    roots: RootCertStore,
    versions: &[&'static SupportedProtocolVersion],
    own: Option<Identity>,
) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match own {
        Some(own) => builder
            .with_client_auth_cert(vec![own.certificate], own.key)
            .unwrap(),
        None => builder.with_no_client_auth(),
    }
}

/// A server; with authorities of clients it requires a certificate of one.
fn server(
    own: Identity,
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<RootCertStore>,
) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match clients {
        Some(roots) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap(),
        ),
        None => builder.with_no_client_auth(),
    };
    builder
        .with_single_cert(vec![own.certificate], own.key)
        .unwrap()
}

/// What both sides of a connection are told: the client reads until the server has spoken, as a refused client certificate is told of after the handshake.
async fn told(client: ClientConfig, server: ServerConfig) -> (Option<String>, Option<String>) {
    let (ours, theirs) = duplex(64 * 1024);
    let connect = async {
        let name = ServerName::try_from("a.example").unwrap();
        let mut stream = TlsConnector::from(Arc::new(client))
            .connect(name, ours)
            .await?;
        stream.read(&mut [0]).await.map(drop)
    };
    let accept = async {
        TlsAcceptor::from(Arc::new(server))
            .accept(theirs)
            .await
            .map(drop)
    };
    let (connected, accepted) = tokio::join!(connect, accept);
    (
        words(connected.err(), Side::Client),
        words(accepted.err(), Side::Server),
    )
}

fn words(error: Option<io::Error>, side: Side) -> Option<String> {
    error.and_then(|error| explain(&error, side))
}

fn check(told: Option<String>, expected: &[&str]) {
    let told = told.unwrap_or_else(|| "nothing".into());
    for part in expected {
        assert!(told.contains(part), "{told:?} does not say {part:?}");
    }
    for debug in ["Other(", "InvalidContentType", "CaUsed", "UnknownIssuer"] {
        assert!(!told.contains(debug), "{told}");
    }
}

#[tokio::test]
async fn certificates_of_servers() {
    let ours = authority("ours");
    let cases: Vec<(Identity, &[&str])> = vec![
        (
            signed(
                CertificateParams::new(vec!["b.example".to_owned()]).unwrap(),
                &ours,
            ),
            &["is for b.example, and not for a.example"],
        ),
        (
            {
                let mut params = server_params();
                params.not_before = date_time_ymd(2001, 1, 1);
                params.not_after = date_time_ymd(2002, 2, 3);
                signed(params, &ours)
            },
            &["expired on 2002-02-03", "must be renewed"],
        ),
        (
            {
                let mut params = server_params();
                params.not_before = date_time_ymd(4000, 5, 6);
                params.not_after = date_time_ymd(4001, 1, 1);
                signed(params, &ours)
            },
            &["is not valid before 4000-05-06", "the clock"],
        ),
        (
            signed(server_params(), &authority("strange")),
            &["authority that is not trusted here", "add the certificate"],
        ),
        (
            {
                let mut params = server_params();
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                signed(params, &ours)
            },
            &["not meant for a server", "`serverAuth`"],
        ),
    ];
    for (identity, expected) in cases {
        let (connected, accepted) = told(
            client(trusting(&ours), BOTH, None),
            server(identity, BOTH, None),
        )
        .await;
        check(connected, expected);
        check(accepted, &["the client does not accept our certificate"]);
    }
}

#[tokio::test]
async fn the_certificate_of_an_authority_is_no_certificate_of_a_server() {
    let mut params = server_params();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own: Authority =
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let identity = Identity {
        certificate: own.der().clone(),
        key: PrivateKeyDer::try_from(own.key().serialize_der()).unwrap(),
    };
    let (connected, _) = told(
        client(trusting(&own), BOTH, None),
        server(identity, BOTH, None),
    )
    .await;
    check(connected, &["`CA:TRUE`", "a certificate of its own"]);
}

#[tokio::test]
async fn certificates_of_clients() {
    let (ours, strange) = (authority("ours"), authority("strange"));
    for versions in [&[&TLS12], &[&TLS13]] {
        let serve = || {
            server(
                signed(server_params(), &ours),
                versions,
                Some(trusting(&ours)),
            )
        };
        let (connected, accepted) = told(client(trusting(&ours), versions, None), serve()).await;
        check(accepted, &["the client showed no certificate"]);
        check(connected, &["requires a certificate of ours"]);
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let unknown = signed(params, &strange);
        let (connected, accepted) =
            told(client(trusting(&ours), versions, Some(unknown)), serve()).await;
        check(connected, &["the server does not accept our certificate"]);
        check(
            accepted,
            &["the certificate of the client comes from an authority that is not trusted here"],
        );
    }
}

#[tokio::test]
async fn versions() {
    let ours = authority("ours");
    let expected = ["must speak TLS 1.2 or 1.3"];
    for (of_client, of_server) in [(&TLS12, &TLS13), (&TLS13, &TLS12)] {
        let (connected, accepted) = told(
            client(trusting(&ours), &[of_client], None),
            server(signed(server_params(), &ours), &[of_server], None),
        )
        .await;
        check(connected, &expected);
        check(accepted, &expected);
    }
}

/// Speaks plain HTTP.
async fn plain(mut stream: DuplexStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // The other side says what it thinks of it, and ends.
    let _ = stream.read_to_end(&mut bytes).await;
}

#[tokio::test]
async fn plain_http() {
    let ours = authority("ours");
    let (client_end, server_end) = duplex(64 * 1024);
    let acceptor = TlsAcceptor::from(Arc::new(server(signed(server_params(), &ours), BOTH, None)));
    let accept = async { acceptor.accept(server_end).await.map(drop) };
    let (accepted, ()) = tokio::join!(
        accept,
        plain(client_end, "GET /scim/v2/Users HTTP/1.1\r\nHost: a\r\n\r\n")
    );
    check(
        words(accepted.err(), Side::Server),
        &["the client does not speak TLS", "begins with https:"],
    );
    let (client_end, server_end) = duplex(64 * 1024);
    let connector = TlsConnector::from(Arc::new(client(trusting(&ours), BOTH, None)));
    let connect = async {
        connector
            .connect(ServerName::try_from("a.example").unwrap(), client_end)
            .await
            .map(drop)
    };
    let (connected, ()) = tokio::join!(
        connect,
        plain(
            server_end,
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
        )
    );
    check(
        words(connected.err(), Side::Client),
        &["the server does not speak TLS on this port", "http:"],
    );
}

#[tokio::test]
async fn a_server_that_hangs_up() {
    let ours = authority("ours");
    let (client_end, server_end) = duplex(64 * 1024);
    drop(server_end);
    let connector = TlsConnector::from(Arc::new(client(trusting(&ours), BOTH, None)));
    let name = ServerName::try_from("a.example").unwrap();
    let connected = connector.connect(name, client_end).await.map(drop);
    let told = words(connected.err(), Side::Client);
    assert!(
        told.is_none_or(|told| told.contains("closed the connection during the TLS handshake"))
    );
}
