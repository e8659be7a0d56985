//! How this program reaches the network: address ranges, redirects, TLS, time limits. The only place that builds an HTTP client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use directory::store::Fault;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::{Host, Url};

/// What may be reached, and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Egress {
    /// Whether addresses of this machine and of private networks may be reached. Link-local addresses, where clouds keep their credentials, never may.
    pub allow_private_addresses: bool,
    /// Longest time until a connection is there, in seconds.
    pub connect_seconds_max: u64,
    /// Longest time from the beginning of a request to the end of its answer, in seconds.
    pub request_seconds_max: u64,
    /// Longest time an unused connection is kept, in seconds. Shorter than what common proxies allow, so that they rarely close one under a request.
    pub idle_seconds_max: u64,
}

impl Default for Egress {
    fn default() -> Self {
        Self { allow_private_addresses: true, connect_seconds_max: 5, request_seconds_max: 30, idle_seconds_max: 20 }
    }
}

impl Egress {
    /// An HTTP client that keeps these rules. It follows no redirect: a token must not go where its application did not say it lives.
    pub fn client(self) -> Result<reqwest::Client, Fault> {
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        let builder = reqwest::Client::builder();
        builder
            .user_agent(concat!("rollcall/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(self.connect_seconds_max))
            .timeout(Duration::from_secs(self.request_seconds_max))
            .pool_idle_timeout(Duration::from_secs(self.idle_seconds_max))
            .dns_resolver(Arc::new(Resolver(self)))
            .build()
            .map_err(|error| Fault::from_source("the HTTP client could not be built", error))
    }

    /// Refuses a URL that can never be reached: another scheme, no host, an address that is not allowed. Names are judged when they are resolved,
    /// because what a name leads to can change.
    pub fn check(self, url: &Url) -> Result<(), Fault> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Fault::new(format!("the URL begins with `{}:`; it must begin with https: or http:", url.scheme())));
        }
        let address = match url.host() {
            None => return Err(Fault::new("the URL names no host")),
            Some(Host::Domain(_)) => return Ok(()),
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
        };
        if self.allows(address) { Ok(()) } else { Err(Fault::new(format!("the address {address} of the URL may not be reached"))) }
    }

    fn allows(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let (is_local, is_private) = match address {
            IpAddr::V4(v4) => {
                let shared = v4.octets().first() == Some(&100) && v4.octets().get(1).is_some_and(|second| (64..128).contains(second));
                (
                    v4.is_link_local() || v4.is_multicast() || v4 == Ipv4Addr::BROADCAST,
                    v4.is_private() || v4.is_loopback() || v4.is_unspecified() || shared,
                )
            }
            IpAddr::V6(v6) => {
                (v6.is_unicast_link_local() || v6.is_multicast(), v6.is_unique_local() || v6.is_loopback() || v6.is_unspecified())
            }
        };
        !is_local && (self.allow_private_addresses || !is_private)
    }
}

/// The system's resolver, without the addresses that may not be reached. What is checked is what is connected to, so a name cannot be rebound in between.
struct Resolver(Egress);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found.into_iter().filter(|address| egress.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err(format!("{} leads to no address that may be reached", name.as_str()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |url: &str, open: bool, closed: bool| {
            let url: Url = url.parse().unwrap();
            let egress = |allow_private_addresses| Egress { allow_private_addresses, ..Egress::default() };
            assert_eq!((egress(true).check(&url).is_ok(), egress(false).check(&url).is_ok()), (open, closed), "{url}");
        };
        check("https://example.com/scim", true, true);
        check("https://8.8.8.8", true, true);
        check("http://127.0.0.1:80", true, false);
        check("http://10.1.2.3", true, false);
        check("http://100.64.0.1", true, false);
        check("http://[::1]", true, false);
        check("http://[fd00::1]", true, false);
        check("http://[::ffff:10.0.0.1]", true, false);
        check("http://169.254.169.254/latest", false, false);
        check("http://[::ffff:169.254.169.254]", false, false);
        check("http://[fe80::1]", false, false);
        check("ftp://example.com", false, false);
    }
}
