//! Under which URL a caller reached us. Never taken from the `Host` header, which anybody can write: from the configuration, from a trusted proxy, or
//! from the socket.

use std::net::SocketAddr;

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

/// Scheme and authority, with the path of the stated URL if it has one, without a slash at the end.
pub(crate) fn origin(options: &Options, headers: &HeaderMap, extensions: &Extensions) -> String {
    if let Some(url) = &options.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let Some(connection) = extensions.get::<Connection>() else { return "http://localhost".to_owned() };
    let peer = connection.peer.ip().to_canonical();
    if options.trusted_proxies.iter().any(|trusted| trusted.to_canonical() == peer)
        && let Some(origin) = forwarded(headers)
    {
        return origin;
    }
    format!("{}://{}", if connection.is_tls { "https" } else { "http" }, connection.local)
}

/// What the proxy says; the first of several is the one the client spoke to.
fn forwarded(headers: &HeaderMap) -> Option<String> {
    let first = |name: &str| headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim);
    let host = first("x-forwarded-host")
        .filter(|host| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte)))?;
    let scheme = first("x-forwarded-proto").filter(|scheme| *scheme == "http").unwrap_or("https");
    Some(format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn origins() {
        let check = |options: &Options, headers: &[(&'static str, &str)], expected: &str| {
            let pair = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
            let headers: HeaderMap = headers.iter().map(pair).collect();
            let mut extensions = Extensions::new();
            extensions.insert(Connection {
                peer: "10.0.0.9:5000".parse().unwrap(),
                local: "10.0.0.1:8080".parse().unwrap(),
                is_tls: false,
            });
            assert_eq!(origin(options, &headers, &extensions), expected, "{headers:?}");
        };
        let forwarded = [("x-forwarded-host", "id.example.com, inner"), ("x-forwarded-proto", "https")];
        let plain = Options::default();
        check(&plain, &[("host", "evil.example")], "http://10.0.0.1:8080");
        check(&plain, &forwarded, "http://10.0.0.1:8080");
        let trusting = Options { trusted_proxies: vec!["10.0.0.9".parse().unwrap()], ..Options::default() };
        check(&trusting, &forwarded, "https://id.example.com");
        check(&trusting, &[("x-forwarded-host", "a/b")], "http://10.0.0.1:8080");
        check(&trusting, &[("x-forwarded-host", "a"), ("x-forwarded-proto", "http")], "http://a");
        let stated = Options { public_url: Some("https://x.example/id/".into()), ..trusting };
        check(&stated, &forwarded, "https://x.example/id");
        assert_eq!(origin(&plain, &HeaderMap::new(), &Extensions::new()), "http://localhost");
    }
}
