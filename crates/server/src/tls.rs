//! TLS ended by us: certificates from files, loaded again when the files change, and the client's certificate where it showed one (RFC 8705). Does not
//! decide what a certificate allows.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use access::client::CertificateName;
use aws_lc_rs::digest;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tls_failure::Side;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The protocols we offer inside TLS, the better one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where certificates and keys lie, all in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate, followed by those that lead to its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities whose clients may show a certificate; without it, none is asked for.
    pub client_authorities: Option<PathBuf>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file has not what it should have.
    #[error("{} holds no {expected} in PEM", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What it should have.
        expected: &'static str,
    },
    /// Certificate, key and authorities do not go together.
    #[error("the certificate and its key cannot be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What came of a look at the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// They are as they were.
    Unchanged,
    /// New connections get the new certificate.
    Done,
    /// They cannot be used; the old certificate stays. Said once for each broken state.
    Refused,
}

/// The certificate in use.
pub struct Tls {
    files: TlsFiles,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// Of the files as they were last looked at, whether or not they could be used.
    fingerprint: [u8; 32],
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Loads the files; fails where they cannot be used.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let config = contents.config(&files)?;
        Ok(Self {
            current: Mutex::new(Current {
                config,
                fingerprint: contents.fingerprint(),
            }),
            files,
        })
    }

    /// Looks at the files again. Connections that are open keep what they have.
    pub fn reload(&self) -> Reload {
        let contents = match Contents::read(&self.files) {
            Ok(contents) => contents,
            Err(error) => return self.refuse([0; 32], &error),
        };
        let fingerprint = contents.fingerprint();
        if self.current().fingerprint == fingerprint {
            return Reload::Unchanged;
        }
        match contents.config(&self.files) {
            Ok(config) => {
                *self.current() = Current {
                    config,
                    fingerprint,
                };
                tracing::info!("the certificate was loaded again");
                Reload::Done
            }
            Err(error) => self.refuse(fingerprint, &error),
        }
    }

    fn refuse(&self, fingerprint: [u8; 32], error: &TlsError) -> Reload {
        let mut current = self.current();
        if current.fingerprint == fingerprint {
            return Reload::Unchanged;
        }
        current.fingerprint = fingerprint;
        tracing::error!(
            error = error as &dyn std::error::Error,
            "the certificate files changed and cannot be used; the old certificate stays"
        );
        Reload::Refused
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handshake, with a time limit.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        limit: Duration,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.current().config));
        let accepted = tokio::time::timeout(limit, acceptor.accept(stream))
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?;
        accepted.map_err(|error| match tls_failure::explain(&error, Side::Server) {
            Some(words) => std::io::Error::new(error.kind(), words),
            None => error,
        })
    }
}

/// The files as they are on the disk. The key is wiped from memory by `PrivateKeyDer`'s owner only; these bytes live as long as one look takes.
struct Contents {
    certificate: Vec<u8>,
    key: zeroize::Zeroizing<Vec<u8>>,
    client_authorities: Option<Vec<u8>>,
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Unreadable {
                path: path.to_owned(),
                source,
            })
        };
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: zeroize::Zeroizing::new(read(&files.key)?),
            client_authorities: files.client_authorities.as_deref().map(read).transpose()?,
        })
    }

    fn fingerprint(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        let parts = [
            &self.certificate,
            &*self.key,
            self.client_authorities.as_ref().unwrap_or(&Vec::new()),
        ]
        .map(|part| sha256(part));
        for part in parts {
            context.update(&part);
        }
        array(context.finish().as_ref())
    }

    fn config(&self, files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = certificates(&self.certificate, &files.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| TlsError::Malformed {
            path: files.key.clone(),
            expected: "private key",
        })?;
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match (&self.client_authorities, &files.client_authorities) {
            (Some(bytes), Some(path)) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(bytes, path)? {
                    roots.add(authority).map_err(unusable)?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .allow_unauthenticated()
                        .build();
                builder.with_client_cert_verifier(verifier.map_err(unusable)?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Arc::new(config))
    }
}

fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> TlsError {
    TlsError::Unusable(match tls_failure::explain(&error, Side::Server) {
        Some(words) => words.into(),
        None => Box::new(error),
    })
}

fn certificates(bytes: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let malformed = || TlsError::Malformed {
        path: path.to_owned(),
        expected: "certificate",
    };
    let found: Vec<_> = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|_| malformed())?;
    if found.is_empty() {
        Err(malformed())
    } else {
        Ok(found)
    }
}

/// The certificate that a client showed and proved to have the key of; put into each request of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-256 of the certificate: `x5t#S256` (RFC 8705 section 3.1).
    pub thumbprint: [u8; 32],
    /// The names by which a client may be registered (RFC 8705 section 2.1.2): subject and alternative names.
    pub names: Vec<CertificateName>,
}

impl ClientCertificate {
    /// From the certificate that the handshake verified.
    pub(crate) fn of(stream: &TlsStream<TcpStream>) -> Option<Self> {
        let (_, connection) = stream.get_ref();
        Some(Self::from_der(connection.peer_certificates()?.first()?))
    }

    fn from_der(der: &[u8]) -> Self {
        Self {
            thumbprint: sha256(der),
            names: names(der).unwrap_or_default(),
        }
    }
}

fn names(der: &[u8]) -> Option<Vec<CertificateName>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let mut parts: Vec<String> = certificate
        .subject()
        .iter_rdn()
        .map(relative_name)
        .collect::<Option<_>>()?;
    parts.reverse();
    let mut names = vec![CertificateName::SubjectDn(parts.join(","))];
    if let Ok(Some(alternative)) = certificate.subject_alternative_name() {
        names.extend(
            alternative
                .value
                .general_names
                .iter()
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some(CertificateName::SanDns((*name).to_owned())),
                    GeneralName::URI(uri) => Some(CertificateName::SanUri((*uri).to_owned())),
                    _ => None,
                }),
        );
    }
    Some(names)
}

/// One part of a subject as RFC 4514 writes it, special characters escaped, so that two different subjects are never one text.
fn relative_name(part: &x509_parser::x509::RelativeDistinguishedName<'_>) -> Option<String> {
    let texts: Option<Vec<String>> = part
        .iter()
        .map(|pair| {
            let kind = x509_parser::objects::oid2abbrev(
                pair.attr_type(),
                x509_parser::objects::oid_registry(),
            )
            .map_or_else(|_| pair.attr_type().to_id_string(), str::to_owned);
            Some(format!("{kind}={}", escape(pair.as_str().ok()?)))
        })
        .collect();
    Some(texts?.join("+"))
}

fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (place, character) in value.chars().enumerate() {
        let special = ",+\"\\<>;=".contains(character)
            || (place == 0 && "# ".contains(character))
            || (place == last && character == ' ');
        match character {
            '\0' => text.push_str("\\00"),
            _ if special => text.extend(['\\', character]),
            _ => text.push(character),
        }
    }
    text
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    array(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn array(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    array
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
    array
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn files(folder: &Path) -> TlsFiles {
        TlsFiles {
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
            client_authorities: None,
        }
    }

    fn write(files: &TlsFiles, name: &str) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
    }

    #[test]
    fn a_broken_pair_is_refused_and_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        assert!(matches!(
            Tls::load(files.clone()),
            Err(TlsError::Unreadable { .. })
        ));
        write(&files, "a.example");
        let tls = Tls::load(files.clone()).unwrap();
        assert_eq!(tls.reload(), Reload::Unchanged);
        let old = Arc::clone(&tls.current().config);
        // A certificate whose key has not been written yet.
        let key = std::fs::read(&files.key).unwrap();
        write(&files, "b.example");
        let new_key = std::fs::read(&files.key).unwrap();
        std::fs::write(&files.key, key).unwrap();
        assert_eq!(tls.reload(), Reload::Refused);
        assert_eq!(tls.reload(), Reload::Unchanged, "said once");
        assert!(Arc::ptr_eq(&old, &tls.current().config));
        std::fs::remove_file(&files.key).unwrap();
        assert_eq!(tls.reload(), Reload::Refused);
        std::fs::write(&files.key, new_key).unwrap();
        assert_eq!(tls.reload(), Reload::Done);
        assert!(!Arc::ptr_eq(&old, &tls.current().config));
        std::fs::write(&files.certificate, "nothing").unwrap();
        assert!(matches!(
            Tls::load(files),
            Err(TlsError::Malformed {
                expected: "certificate",
                ..
            })
        ));
    }

    #[test]
    fn names_of_certificates() {
        let mut params = CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
        params
            .subject_alt_names
            .push(SanType::URI("spiffe://example/scim".try_into().unwrap()));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Acme, Inc.");
        params
            .distinguished_name
            .push(DnType::CommonName, "scim client");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let read = ClientCertificate::from_der(certificate.der());
        let expected = [
            CertificateName::SubjectDn("CN=scim client,O=Acme\\, Inc.".into()),
            CertificateName::SanDns("client.example".into()),
            CertificateName::SanUri("spiffe://example/scim".into()),
        ];
        assert_eq!(read.names, expected);
        assert_eq!(read.thumbprint, sha256(certificate.der()));
        assert!(ClientCertificate::from_der(b"nonsense").names.is_empty());
    }
}
