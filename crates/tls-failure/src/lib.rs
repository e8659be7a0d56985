//! What a failed TLS connection means, in words for an operator: what is wrong, and what to do about it. It reads the errors of rustls, wherever in a chain
//! of errors they are, and those of hyper that say that the other side does not speak HTTP. It opens no connection and checks no certificate.
//!
//! Entry point: `explain`. What it returns is a fragment that fits behind a colon, without the URL, as there may be a secret in one.

use std::error::Error as StdError;
use std::io;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// The side of the connection on which this program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It connects to a server.
    Client,
    /// It listens, and a client connects to it.
    Server,
}

impl Side {
    fn other(self) -> &'static str {
        match self {
            Self::Client => "server",
            Self::Server => "client",
        }
    }
}

/// What is wrong with a TLS connection, and what to do; `None` where the error is about something else.
pub fn explain(error: &(dyn StdError + 'static), side: Side) -> Option<String> {
    if let Some(error) = find::<Error>(error) {
        return Some(of_tls(error, side));
    }
    let is_not_http = find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse);
    if is_not_http && side == Side::Client {
        return Some(
            "the server answered with something that is not HTTP; where it speaks TLS on this port, the URL must begin with https:"
                .into(),
        );
    }
    let broke_off = find::<io::Error>(error).is_some_and(|error| {
        error.kind() == io::ErrorKind::UnexpectedEof && error.to_string().contains("handshake")
    });
    broke_off.then(|| {
        format!(
            "the {} closed the connection during the TLS handshake; check that it speaks TLS on this port, and that it accepts this host name",
            side.other()
        )
    })
}

/// The first error of this kind in the chain. An `io::Error` is looked into, as its own `source` leaves out the error that it wraps.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

fn of_tls(error: &Error, side: Side) -> String {
    match (error, side) {
        (Error::InvalidMessage(_), Side::Client) => {
            "the server does not speak TLS on this port; use the port on which it does, or a URL that begins with http: where it speaks plain HTTP".into()
        }
        (Error::InvalidMessage(_), Side::Server) => {
            "the client does not speak TLS, and this port does; it must use a URL that begins with https:".into()
        }
        (Error::InvalidCertificate(error), side) => of_certificate(error, side),
        (Error::AlertReceived(alert), side) => of_alert(*alert, side),
        (Error::PeerIncompatible(error), side) => incompatible(error, side),
        (Error::NoCertificatesPresented, side) => {
            format!("the {} showed no certificate, and one is required", side.other())
        }
        (Error::NoApplicationProtocol, side) => format!(
            "the {} speaks none of the protocols that are offered inside TLS",
            side.other()
        ),
        (Error::InconsistentKeys(_), _) => {
            "the private key does not belong to the certificate; use the key with which the certificate was requested".into()
        }
        (Error::PeerMisbehaved(_) | Error::DecryptError, side) => format!(
            "the {} broke the rules of TLS ({error}); something between the two may change what they send",
            side.other()
        ),
        _ => format!("TLS failed: {error}"),
    }
}

fn of_certificate(error: &CertificateError, side: Side) -> String {
    let whose = side.other();
    match error {
        CertificateError::Expired => format!(
            "the certificate of the {whose} has expired; it must be renewed, unless the clock of this machine is wrong"
        ),
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "the certificate of the {whose} expired on {}; it must be renewed, unless the clock of this machine is wrong",
            day(*not_after)
        ),
        CertificateError::NotValidYet => format!(
            "the certificate of the {whose} is not valid yet; check the clock of this machine, and the dates of the certificate"
        ),
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the certificate of the {whose} is not valid before {}; check the clock of this machine, and the dates of the certificate",
            day(*not_before)
        ),
        CertificateError::NotValidForName => format!(
            "the certificate of the {whose} is for another host name; use a name that is in the certificate, or give the {whose} a certificate with this name"
        ),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => other_name(&expected.to_str(), presented, whose),
        CertificateError::UnknownIssuer => format!(
            "the certificate of the {whose} comes from an authority that is not trusted here; add the certificate of that authority to the trusted ones, and check that the {whose} sends the intermediate certificates, too"
        ),
        CertificateError::Revoked => {
            format!(
                "the certificate of the {whose} was revoked by its authority; it must be replaced"
            )
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!(
                "the certificate of the {whose} is not meant for a {whose}; it needs the extended key usage `{whose}Auth`"
            )
        }
        // webpki's error is not one of rustls' own.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            format!(
                "the certificate of the {whose} is the certificate of an authority (it says `CA:TRUE`), which must not be used for a {whose}; give the {whose} a certificate of its own, signed by that authority, and trust the authority here"
            )
        }
        CertificateError::BadEncoding => {
            format!("the certificate of the {whose} is damaged; it must be replaced")
        }
        CertificateError::BadSignature => format!(
            "the certificate of the {whose} is not signed by the authority that it names; its chain of certificates must be replaced"
        ),
        other => format!("the certificate of the {whose} is not accepted: {other}"),
    }
}

fn other_name(wanted: &str, presented: &[String], whose: &str) -> String {
    let presented: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
    let names = if presented.is_empty() {
        "no name".to_owned()
    } else {
        presented.join(", ")
    };
    format!(
        "the certificate of the {whose} is for {names}, and not for {wanted}; use a name that is in the certificate, or give the {whose} a certificate with this name"
    )
}

/// A name without the words that the library puts around it (`DnsName("a.example")`).
fn bare(name: &str) -> &str {
    match name.split_once('"') {
        Some((_, rest)) => rest.split_once('"').map_or(rest, |(name, _)| name),
        None => match name.split_once('(') {
            Some((_, rest)) => rest.trim_end_matches(')'),
            None => name,
        },
    }
}

fn day(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(
            || "an impossible date".into(),
            |at| at.strftime("%Y-%m-%d").to_string(),
        )
}

/// What the other side said when it ended the handshake.
fn of_alert(alert: AlertDescription, side: Side) -> String {
    let whose = side.other();
    match (alert, side) {
        (AlertDescription::CertificateRequired | AlertDescription::NoCertificate, _) => {
            format!("the {whose} requires a certificate of ours, and none was sent")
        }
        (
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate,
            _,
        ) => format!(
            "the {whose} does not accept our certificate; it must trust the authority from which the certificate comes, and the certificate must hold the name by which the {whose} reaches us"
        ),
        (AlertDescription::CertificateExpired, _) => {
            format!("the {whose} does not accept our certificate, as it has expired; it must be renewed")
        }
        (AlertDescription::CertificateRevoked, _) => {
            format!("the {whose} does not accept our certificate, as it was revoked; it must be replaced")
        }
        (AlertDescription::AccessDenied, _) => {
            format!("the {whose} knows our certificate and does not let its owner in")
        }
        (AlertDescription::ProtocolVersion, _) => too_old(whose),
        (
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity,
            Side::Client,
        ) => "the server ended the TLS handshake: it has no cipher or key exchange in common with us, or requires a client certificate".into(),
        (AlertDescription::UnrecognisedName, Side::Client) => {
            "the server does not know this host name; check the URL".into()
        }
        _ => format!("the {whose} ended the TLS handshake: {alert:?}"),
    }
}

fn incompatible(error: &PeerIncompatible, side: Side) -> String {
    match error {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::SupportedVersionsExtensionRequired => too_old(side.other()),
        _ => format!(
            "the {} has no cipher, key exchange or signature in common with us ({error:?})",
            side.other()
        ),
    }
}

fn too_old(whose: &str) -> String {
    format!(
        "the {whose} speaks no version of TLS that is spoken here; it must speak TLS 1.2 or 1.3"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_bare() {
        for (name, expected) in [
            ("DnsName(\"a.example\")", "a.example"),
            ("IpAddress(127.0.0.1)", "127.0.0.1"),
            ("a.example", "a.example"),
        ] {
            assert_eq!(bare(name), expected);
        }
    }

    #[test]
    fn other_errors_are_left_to_others() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(explain(&refused, Side::Client), None);
        let wrapped = io::Error::other(io::Error::other(Error::NoCertificatesPresented));
        assert!(explain(&wrapped, Side::Server).is_some(), "it looks inside");
    }
}
