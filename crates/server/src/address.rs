//! Under which URL a caller reached us, and from where. Never taken from the `Host` header, which anybody can write: from the configuration, from a trusted proxy, or
//! from the socket.

use std::net::{IpAddr, SocketAddr};

use http::{Extensions, HeaderMap};

use crate::options::Options;

/// The two ends of a connection, put into each request by `serve`.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// Theirs.
    pub peer: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
    /// Whether it is TLS, ended by us.
    pub is_tls: bool,
}

/// Put into each request of a connection for which there was only room to ask after the health of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnlyHealth;

/// Scheme and authority, with the path of the stated URL if it has one, without a slash at the end.
pub(crate) fn origin(options: &Options, headers: &HeaderMap, extensions: &Extensions) -> String {
    if let Some(url) = &options.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let Some(connection) = extensions.get::<Connection>() else {
        return "http://localhost".to_owned();
    };
    let peer = connection.peer.ip().to_canonical();
    if options
        .trusted_proxies
        .iter()
        .any(|trusted| trusted.to_canonical() == peer)
        && let Some(origin) = forwarded(headers)
    {
        return origin;
    }
    format!(
        "{}://{}",
        if connection.is_tls { "https" } else { "http" },
        connection.local
    )
}

/// Where a caller is. `X-Forwarded-For` is read from its end, which the nearest proxy wrote, and only as far as trusted proxies wrote it: what stands
/// before that, the caller may have written itself.
pub(crate) fn caller_address(
    options: &Options,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| {
        options
            .trusted_proxies
            .iter()
            .any(|trusted| trusted.to_canonical() == address)
    };
    let mut nearest = extensions.get::<Connection>()?.peer.ip().to_canonical();
    let lines = headers
        .get_all("x-forwarded-for")
        .iter()
        .rev()
        .filter_map(|line| line.to_str().ok());
    for text in lines.flat_map(|line| line.rsplit(',')) {
        if !is_trusted(nearest) {
            break;
        }
        let Some(address) = address_of(text.trim()) else {
            break;
        };
        nearest = address;
    }
    Some(nearest)
}

/// An address, with or without a port.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let address: Option<IpAddr> = bare.parse().ok();
    address
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .map(|address| address.to_canonical())
}

/// What the proxy says; the first of several is the one the client spoke to.
fn forwarded(headers: &HeaderMap) -> Option<String> {
    let first = |name: &str| {
        headers
            .get(name)?
            .to_str()
            .ok()?
            .split(',')
            .next()
            .map(str::trim)
    };
    let host = first("x-forwarded-host").filter(|host| {
        !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
    })?;
    let scheme = first("x-forwarded-proto")
        .filter(|scheme| *scheme == "http")
        .unwrap_or("https");
    Some(format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn forwarded_addresses_count_as_far_as_proxies_are_trusted() {
        let check = |trusted: &[&str], lines: &[&str], expected: &str| {
            let trusted_proxies = trusted.iter().map(|text| text.parse().unwrap()).collect();
            let options = Options {
                trusted_proxies,
                ..Options::default()
            };
            let headers: HeaderMap = lines
                .iter()
                .map(|line| {
                    (
                        HeaderName::from_static("x-forwarded-for"),
                        line.parse().unwrap(),
                    )
                })
                .collect();
            let mut extensions = Extensions::new();
            let (peer, local) = (
                "10.0.0.9:5000".parse().unwrap(),
                "10.0.0.1:8080".parse().unwrap(),
            );
            extensions.insert(Connection {
                peer,
                local,
                is_tls: false,
            });
            assert_eq!(
                caller_address(&options, &headers, &extensions),
                Some(expected.parse().unwrap()),
                "{trusted:?} {lines:?}"
            );
        };
        check(&[], &[], "10.0.0.9");
        check(&[], &["192.0.2.1"], "10.0.0.9");
        check(&["10.0.0.9"], &["192.0.2.1"], "192.0.2.1");
        check(&["10.0.0.9"], &["6.6.6.6, 192.0.2.1"], "192.0.2.1");
        check(&["10.0.0.9"], &["6.6.6.6", "192.0.2.1"], "192.0.2.1");
        check(
            &["10.0.0.9", "10.0.0.8"],
            &["6.6.6.6, 192.0.2.1, 10.0.0.8"],
            "192.0.2.1",
        );
        check(&["10.0.0.9"], &["192.0.2.1, 10.0.0.8"], "10.0.0.8");
        check(&["10.0.0.9"], &["192.0.2.1, unknown"], "10.0.0.9");
        check(&["10.0.0.9"], &["192.0.2.1:443"], "192.0.2.1");
        check(&["10.0.0.9"], &["[2001:db8::1]:443"], "2001:db8::1");
        check(&["10.0.0.9"], &["[2001:db8::1]"], "2001:db8::1");
        check(&["::ffff:10.0.0.9"], &["192.0.2.1"], "192.0.2.1");
        check(&["10.0.0.9"], &[], "10.0.0.9");
        assert_eq!(
            caller_address(&Options::default(), &HeaderMap::new(), &Extensions::new()),
            None
        );
    }

    #[test]
    fn origins() {
        let check = |options: &Options, headers: &[(&'static str, &str)], expected: &str| {
            let pair = |(name, value): &(&'static str, &str)| {
                (HeaderName::from_static(name), value.parse().unwrap())
            };
            let headers: HeaderMap = headers.iter().map(pair).collect();
            let mut extensions = Extensions::new();
            extensions.insert(Connection {
                peer: "10.0.0.9:5000".parse().unwrap(),
                local: "10.0.0.1:8080".parse().unwrap(),
                is_tls: false,
            });
            assert_eq!(
                origin(options, &headers, &extensions),
                expected,
                "{headers:?}"
            );
        };
        let forwarded = [
            ("x-forwarded-host", "id.example.com, inner"),
            ("x-forwarded-proto", "https"),
        ];
        let plain = Options::default();
        check(&plain, &[("host", "evil.example")], "http://10.0.0.1:8080");
        check(&plain, &forwarded, "http://10.0.0.1:8080");
        let trusting = Options {
            trusted_proxies: vec!["10.0.0.9".parse().unwrap()],
            ..Options::default()
        };
        check(&trusting, &forwarded, "https://id.example.com");
        check(
            &trusting,
            &[("x-forwarded-host", "a/b")],
            "http://10.0.0.1:8080",
        );
        check(
            &trusting,
            &[("x-forwarded-host", "a"), ("x-forwarded-proto", "http")],
            "http://a",
        );
        let stated = Options {
            public_url: Some("https://x.example/id/".into()),
            ..trusting
        };
        check(&stated, &forwarded, "https://x.example/id");
        assert_eq!(
            origin(&plain, &HeaderMap::new(), &Extensions::new()),
            "http://localhost"
        );
    }
}
