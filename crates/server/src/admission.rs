//! What must hold of a request before any route looks at it: there is room for it, it names one host, and its address has not asked too often without a
//! token. Reads no store.

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, Version};
use scim_protocol::{Error, ErrorKind};

use crate::address::{Connection, OnlyHealth, caller_address};
use crate::authenticate::bearer;
use crate::lockout::network;
use crate::rate_limit::Verdict;
use crate::refusal::Failure;
use crate::state::State;

/// How soon it makes sense to try again where there was no room, in seconds.
const NO_ROOM_SECONDS: u64 = 1;

/// Refuses what no route looks at. `takes_tokens`: whether the route asks who calls; then the extensions of the request hold the hash of its token afterwards.
pub(crate) fn admit(state: &State, parts: &mut Parts, takes_tokens: bool) -> Result<(), Failure> {
    let asks_for_health = matches!(
        (parts.uri.path(), &parts.method),
        ("/healthz" | "/readyz", &Method::GET | &Method::HEAD)
    );
    if parts.extensions.get::<OnlyHealth>().is_some() && !asks_for_health {
        let detail = "This server has as many connections as it takes, or as many from this address; send the request again on another.";
        return Err(Error::new(ErrorKind::Unavailable, detail)
            .retry_after(NO_ROOM_SECONDS)
            .into());
    }
    // Without a connection of ours, HTTP was read elsewhere.
    if parts.extensions.get::<Connection>().is_some() {
        check_host(parts)?;
    }
    if asks_for_health {
        Ok(())
    } else {
        spend(state, parts, takes_tokens)
    }
}

/// One request of what its address may send without a token. A token that was good a while ago has a limit of its own.
fn spend(state: &State, parts: &mut Parts, takes_tokens: bool) -> Result<(), Failure> {
    let hash = bearer(&parts.headers)
        .filter(|_| takes_tokens)
        .map(|token| state.hasher.hash(token));
    if let Some(hash) = hash {
        parts.extensions.insert(hash);
    }
    let Some(limit) = state.options.address_rate_limit else {
        return Ok(());
    };
    let Some(address) = caller_address(&state.options, &parts.headers, &parts.extensions) else {
        return Ok(());
    };
    let now = state.clock.now();
    if hash.is_some_and(|hash| state.lockout.is_proven(&hash, now)) {
        return Ok(());
    }
    match state.addresses.take(&network(address), limit, now) {
        Verdict::Go { .. } => Ok(()),
        Verdict::Wait { seconds } => Err(Failure::Limited {
            detail: "This address has sent too many requests without a token that was accepted before.",
            seconds,
        }),
    }
}

/// RFC 9112 section 3.2: one `Host`, in HTTP/1.0 none is as good. RFC 9113 section 8.3.1: `:authority` or `Host`, and where both are there they name the same.
fn check_host(parts: &Parts) -> Result<(), Error> {
    let wrong = |detail: &str| Err(Error::new(ErrorKind::InvalidValue, detail));
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = match hosts.next().map(host_of) {
        Some(None) => {
            return wrong(
                "The `Host` header is no host; accepted is a name or an address, with a port where it has one.",
            );
        }
        Some(host) => host,
        None => None,
    };
    if hosts.next().is_some() {
        return wrong("The request has more than one `Host` header; accepted is exactly one.");
    }
    let authority = parts
        .uri
        .authority()
        .filter(|_| parts.version >= Version::HTTP_2);
    match (&host, authority) {
        (_, Some(authority)) if authority.as_str().contains('@') => wrong(
            "The `:authority` of the request names a user; accepted is a host, with a port where it has one.",
        ),
        (Some(host), Some(authority)) if !is_same(host, authority, parts.uri.scheme_str()) => {
            wrong(
                "The `Host` header and the `:authority` of the request name different hosts; accepted is the same, or one of them.",
            )
        }
        (None, None) if parts.version == Version::HTTP_11 => {
            wrong("The request has no `Host` header; HTTP/1.1 asks for exactly one.")
        }
        (None, None) if parts.version >= Version::HTTP_2 => {
            wrong("The request has no `:authority`; HTTP/2 asks for one, or for a `Host` header.")
        }
        _ => Ok(()),
    }
}

/// The host and port that a header names.
fn host_of(value: &HeaderValue) -> Option<Authority> {
    // A comma may stand in a name, but comes from two headers that were made one.
    let text = value.to_str().ok()?.trim();
    if text.contains(',') {
        return None;
    }
    let authority: Authority = text.parse().ok()?;
    let port = text.strip_prefix(authority.host())?;
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    (!authority.host().is_empty()
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)))
    .then_some(authority)
}

fn is_same(host: &Authority, authority: &Authority, scheme: Option<&str>) -> bool {
    let port = |authority: &Authority| {
        authority.port_u16().or(if scheme == Some("http") {
            Some(80)
        } else {
            Some(443)
        })
    };
    host.host().eq_ignore_ascii_case(authority.host()) && port(host) == port(authority)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(version: Version, uri: &str, hosts: &[&str]) -> Parts {
        let request = hosts.iter().fold(
            Request::builder().version(version).uri(uri),
            |request, host| request.header(HOST, *host),
        );
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn hosts_of_http_1() {
        let check = |version: Version, hosts: &[&str], accepted: bool| {
            assert_eq!(
                check_host(&parts(version, "/Users", hosts)).is_ok(),
                accepted,
                "{version:?} {hosts:?}"
            );
        };
        for good in [
            "x",
            "id.example.com",
            "ID.example.com:8700",
            "[2001:db8::1]",
            "[2001:db8::1]:443",
            "192.0.2.1:80",
            "a_b",
            "x:",
        ] {
            check(Version::HTTP_11, &[good], true);
            check(Version::HTTP_10, &[good], true);
        }
        for bad in [
            "",
            " ",
            "a b",
            "a/b",
            "user@a",
            "a:b",
            "a,b",
            "http://a",
            "a:80:80",
            "[2001:db8::1",
            "a\tb",
            "a?b",
        ] {
            check(Version::HTTP_11, &[bad], false);
            check(Version::HTTP_10, &[bad], false);
        }
        check(Version::HTTP_11, &[], false);
        check(Version::HTTP_10, &[], true);
        for twice in [&["a", "a"], &["a", "b"], &["", "a"], &["a", ""]] {
            check(Version::HTTP_11, twice, false);
            check(Version::HTTP_10, twice, false);
        }
        assert!(
            check_host(&parts(Version::HTTP_11, "http://a/Users", &["b"])).is_ok(),
            "RFC 9112 section 3.2.2: the target counts"
        );
        assert!(check_host(&parts(Version::HTTP_11, "http://a/Users", &[])).is_err());
    }

    #[test]
    fn authorities_of_http_2() {
        let check = |uri: &str, hosts: &[&str], accepted: bool| {
            assert_eq!(
                check_host(&parts(Version::HTTP_2, uri, hosts)).is_ok(),
                accepted,
                "{uri} {hosts:?}"
            );
        };
        check("https://a/Users", &[], true);
        check("https://a/Users", &["A"], true);
        check("https://a/Users", &["a:443"], true);
        check("https://a/Users", &["a:80"], false);
        check("http://a/Users", &["a:80"], true);
        check("https://a/Users", &["b"], false);
        check("https://a/Users", &["a", "a"], false);
        check("https://user@a/Users", &[], false);
        check("/Users", &["a"], true);
        check("/Users", &[], false);
        check("/Users", &["a", "b"], false);
    }
}
