//! What the URL of a PostgreSQL database says of TLS, and TLS itself, by rustls. Connects nothing.
//!
//! `require` (or `verify-full`) checks the server's certificate and its name, with the authorities of the machine or those in the file that `sslrootcert`
//! names. `prefer`, the default, encrypts where the server can; it checks the certificate only where `sslrootcert` is given, as a server that has
//! made its own would otherwise be out of reach.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};

use directory::store::Fault;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tls_failure::Side;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client;

/// What the server is asked to speak.
const PROTOCOL: &[u8] = b"postgresql";

/// Reads the URL: where to connect, and by which TLS. The text of a refusal never contains it, as there may be a password in it.
pub(crate) fn read_url(url: &str) -> Result<(Config, Tls), Fault> {
    let (rest, root_file) = take_root_file(url)?;
    let config = Config::from_str(&rest).map_err(|error| {
        Fault::from_source(
            "the URL of the PostgreSQL database could not be read",
            error,
        )
    })?;
    let tls = Tls::new(config.get_ssl_mode(), root_file.as_deref().map(Path::new))?;
    Ok((config, tls))
}

/// The URL without what only we understand, and the value of `sslrootcert`.
fn take_root_file(url: &str) -> Result<(String, Option<String>), Fault> {
    let Some((place, query)) = url.split_once('?').filter(|_| url.contains("://")) else {
        return Ok((url.to_owned(), None));
    };
    let mut root_file = None;
    let mut kept = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslrootcert", path)) => root_file = Some(percent_decode(path)?),
            Some(("sslmode", "verify-full")) => kept.push("sslmode=require"),
            Some(("sslmode", mode)) if !matches!(mode, "disable" | "prefer" | "require") => {
                return Err(Fault::new(
                    "`sslmode` of the PostgreSQL database is disable, prefer, require or verify-full",
                ));
            }
            _ => kept.push(pair),
        }
    }
    let separator = if kept.is_empty() { "" } else { "?" };
    Ok((format!("{place}{separator}{}", kept.join("&")), root_file))
}

fn percent_decode(text: &str) -> Result<String, Fault> {
    let refuse = || {
        Fault::new(
            "`sslrootcert` in the URL of the PostgreSQL database is no path: a % is followed by two hexadecimal digits",
        )
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| {
            byte.and_then(|byte| char::from(byte).to_digit(16))
                .ok_or_else(refuse)
        };
        let decoded = if byte == b'%' {
            u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).unwrap_or_default()
        } else {
            byte
        };
        bytes.push(decoded);
    }
    String::from_utf8(bytes).map_err(|_| refuse())
}

/// TLS as one database wants it.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    fn new(mode: SslMode, root_file: Option<&Path>) -> Result<Self, Fault> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let refuse =
            |error: Error| Fault::from_source("TLS to PostgreSQL could not be set up", error);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(refuse)?;
        let mut config = match (root_file, mode) {
            (Some(path), _) => builder
                .with_root_certificates(roots(path)?)
                .with_no_client_auth(),
            (None, SslMode::Require) => {
                let verifier = Arc::new(Verifier::new(provider).map_err(refuse)?);
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(verifier)
                    .with_no_client_auth()
            }
            (None, _) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
                .with_no_client_auth(),
        };
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self {
            config: Arc::new(config),
        })
    }
}

fn roots(path: &Path) -> Result<RootCertStore, Fault> {
    let named = |what: &str| {
        format!(
            "the file {} that `sslrootcert` names {what}",
            path.display()
        )
    };
    let refuse =
        |error| Fault::from_source(named("could not be read as certificates in PEM"), error);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(refuse)? {
        roots.add(certificate.map_err(refuse)?).map_err(|error| {
            Fault::from_source(named("has a certificate of no authority"), error)
        })?;
    }
    if roots.is_empty() {
        Err(Fault::new(named("has no certificate")))
    } else {
        Ok(roots)
    }
}

/// Believes every certificate, and that its owner speaks: one who only listens learns nothing.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS to one host. A socket in a folder has no name, and needs none as long as it is not encrypted.
pub(crate) struct ToHost {
    connector: TlsConnector,
    name: Option<ServerName<'static>>,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Encrypted<S>;
    type TlsConnect = ToHost;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<ToHost, io::Error> {
        Ok(ToHost {
            connector: Arc::clone(&self.config).into(),
            name: ServerName::try_from(domain.to_owned()).ok(),
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> TlsConnect<S> for ToHost {
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Encrypted<S>, io::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let name = self.name.ok_or_else(|| {
                io::Error::other("the host of the database has a name that no certificate can have")
            })?;
            let connected = self.connector.connect(name, stream).await;
            Ok(Encrypted(Box::new(connected.map_err(in_words)?)))
        })
    }
}

/// The same kind of error, in words for an operator.
fn in_words(error: io::Error) -> io::Error {
    match tls_failure::explain(&error, Side::Client) {
        Some(words) => io::Error::new(error.kind(), words),
        None => error,
    }
}

/// An encrypted connection. Offers no channel binding: the certificate is what it is trusted by.
pub(crate) struct Encrypted<S>(Box<client::TlsStream<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_we_understand_is_taken_out_of_the_url() {
        let check = |url: &str, kept: &str, root: Option<&str>| {
            assert_eq!(
                take_root_file(url).unwrap(),
                (kept.to_owned(), root.map(str::to_owned)),
                "{url}"
            );
        };
        check("postgres://a:b@h/d", "postgres://a:b@h/d", None);
        check(
            "postgres://h/d?sslmode=require&sslrootcert=%2Fetc%2fca.pem",
            "postgres://h/d?sslmode=require",
            Some("/etc/ca.pem"),
        );
        check(
            "postgres://h/d?sslrootcert=/ca.pem",
            "postgres://h/d",
            Some("/ca.pem"),
        );
        check(
            "postgres://h/d?sslmode=verify-full&connect_timeout=3",
            "postgres://h/d?sslmode=require&connect_timeout=3",
            None,
        );
        check("host=h dbname=d", "host=h dbname=d", None);
        for refused in [
            "postgres://h/d?sslmode=verify-ca",
            "postgres://h/d?sslmode=",
            "postgres://h/d?sslrootcert=%2",
            "postgres://h/d?sslrootcert=%zz",
        ] {
            take_root_file(refused).unwrap_err();
        }
    }

    #[test]
    fn a_refused_url_is_not_repeated() {
        for url in [
            "postgres://ann:s3cret@host:port/db",
            "postgres://ann:s3cret@host/db?sslmode=s3cret",
            "postgres://ann:s3cret@host/db?colour=s3cret",
        ] {
            let refusal = read_url(url).err().unwrap();
            let source = std::error::Error::source(&refusal)
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                !format!("{refusal} {source}").contains("s3cret"),
                "{refusal} {source}"
            );
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let refusal = |path: &Path| {
            Tls::new(SslMode::Require, Some(path))
                .err()
                .unwrap()
                .to_string()
        };
        assert!(
            refusal(&path).contains("could not be read"),
            "{}",
            refusal(&path)
        );
        std::fs::write(&path, "nothing\n").unwrap();
        assert!(
            refusal(&path).contains("has no certificate"),
            "{}",
            refusal(&path)
        );
    }
}
