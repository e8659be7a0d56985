//! How this program reaches the network: which addresses, no redirects, TLS, time limits. The only place that builds an HTTP client.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use directory::store::Fault;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use tokio::net::lookup_host;
use tokio::time::timeout;
use url::{Host, Url};

/// Longest time for which a name is looked up when somebody states a URL, in seconds.
const LOOKUP_SECONDS_MAX: u64 = 3;

/// What may be reached, and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// What may be reached although it is not public: hosts, addresses and networks that the operator names. Link-local addresses and those where clouds
    /// keep their credentials never may.
    pub allow_private: Vec<Place>,
    /// Longest time until a connection is there, in seconds.
    pub connect_seconds_max: u64,
    /// Longest time from the beginning of a request to the end of its answer, in seconds.
    pub request_seconds_max: u64,
    /// Longest time an unused connection is kept, in seconds. Shorter than what common proxies allow, so that they rarely close one under a request.
    pub idle_seconds_max: u64,
}

impl Default for Egress {
    fn default() -> Self {
        Self {
            allow_private: Vec::new(),
            connect_seconds_max: 5,
            request_seconds_max: 30,
            idle_seconds_max: 20,
        }
    }
}

/// Why a URL may not be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason, for an operator.
    pub why: String,
    /// What the operator has to allow; `None` where nothing allows it.
    pub place: Option<String>,
}

impl Refusal {
    fn for_good(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            place: None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)?;
        if self.place.is_some() {
            f.write_str(", and `allow_private` does not name it")
        } else {
            Ok(())
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.to_string())
    }
}

impl Egress {
    /// These rules, with what the operator allows.
    pub fn allowing(allow_private: Vec<Place>) -> Self {
        Self {
            allow_private,
            ..Self::default()
        }
    }

    /// An HTTP client that keeps these rules. It follows no redirect: a token must not go where its application did not say it lives. It asks no resolver about
    /// a URL that holds an address, so `check` is called for each URL before it gets here.
    pub fn client(&self) -> Result<reqwest::Client, Fault> {
        #[expect(clippy::disallowed_methods, reason = "this is the place")]
        let builder = reqwest::Client::builder();
        builder
            .user_agent(concat!("rollcall/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(self.connect_seconds_max))
            .timeout(Duration::from_secs(self.request_seconds_max))
            .pool_idle_timeout(Duration::from_secs(self.idle_seconds_max))
            .dns_resolver(Arc::new(Resolver(Arc::new(self.clone()))))
            .build()
            .map_err(|error| Fault::from_source("the HTTP client could not be built", error))
    }

    /// Refuses a URL that can never be reached: another scheme, no host, an address that is not allowed. Other names are judged when they are resolved, because
    /// what a name leads to can change.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::for_good(format!(
                "the URL begins with `{}:`; it must begin with https: or http:",
                url.scheme()
            )));
        }
        let address = match url.host() {
            None => return Err(Refusal::for_good("the URL names no host")),
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            // RFC 6761 section 6.3: such a name always leads to this machine.
            Some(Host::Domain(name)) if is_localhost(name) => {
                let is_allowed = LOOPBACK
                    .into_iter()
                    .any(|address| self.allows(address, self.names_host(name)));
                let refusal = || Refusal {
                    why: format!("{name} is this machine"),
                    place: Some(host_name(name)),
                };
                return if is_allowed { Ok(()) } else { Err(refusal()) };
            }
            Some(Host::Domain(_)) => return Ok(()),
        };
        if self.allows(address, false) {
            Ok(())
        } else {
            Err(refusal(&address.to_string(), &[address]))
        }
    }

    /// Refuses, too, a name that leads to no address that may be reached now. A name that cannot be resolved is not refused: it may be there later.
    pub async fn check_resolved(&self, url: &Url) -> Result<(), Refusal> {
        self.check(url)?;
        let Some(Host::Domain(name)) = url.host() else {
            return Ok(());
        };
        let found = timeout(
            Duration::from_secs(LOOKUP_SECONDS_MAX),
            lookup_host((name, 0)),
        )
        .await;
        let Ok(Ok(found)) = found else { return Ok(()) };
        self.keep_allowed(name, found.collect()).map(drop)
    }

    /// Whether the operator names what a URL leads to; then its connections stay inside and may do without TLS.
    pub fn names(&self, url: &Url) -> bool {
        match url.host() {
            None => false,
            Some(Host::Ipv4(address)) => self.lists(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => facets(IpAddr::V6(address))
                .into_iter()
                .any(|(facet, _)| self.lists(facet)),
            Some(Host::Domain(name)) => {
                self.names_host(name)
                    || is_localhost(name) && LOOPBACK.into_iter().any(|address| self.lists(address))
            }
        }
    }

    fn keep_allowed(&self, name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refusal> {
        let is_named = self.names_host(name);
        let (allowed, refused): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|address| self.allows(address.ip(), is_named));
        if !allowed.is_empty() {
            return Ok(allowed);
        }
        let refused: Vec<IpAddr> = refused.iter().map(SocketAddr::ip).collect();
        Err(refusal(name, &refused))
    }

    fn allows(&self, address: IpAddr, host_is_named: bool) -> bool {
        facets(address).into_iter().all(|(facet, kind)| match kind {
            Kind::Public => true,
            Kind::Private => host_is_named || self.lists(facet) || self.lists(address),
            Kind::Never => false,
        })
    }

    fn lists(&self, address: IpAddr) -> bool {
        self.allow_private.iter().any(|place| place.holds(address))
    }

    fn names_host(&self, name: &str) -> bool {
        let name = host_name(name);
        self.allow_private
            .iter()
            .any(|place| matches!(place, Place::Host(host) if *host == name))
    }
}

const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

fn host_name(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn is_localhost(name: &str) -> bool {
    let name = host_name(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// Why a host that leads to these addresses may not be reached.
fn refusal(host: &str, addresses: &[IpAddr]) -> Refusal {
    let Some(first) = addresses.first() else {
        return Refusal::for_good(format!("{host} leads to no address"));
    };
    let is_never = |address: &IpAddr| {
        facets(*address)
            .iter()
            .any(|(_, kind)| *kind == Kind::Never)
    };
    let leads_to = if host == first.to_string() {
        host.to_owned()
    } else {
        format!("{host} leads to {first}, which")
    };
    if addresses.iter().all(is_never) {
        return Refusal::for_good(format!(
            "{leads_to} is never reached: it is link-local, multicast, or where a cloud keeps credentials"
        ));
    }
    Refusal {
        why: format!("{leads_to} is not a public address"),
        place: Some(host_name(host)),
    }
}

/// What an operator allows by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A host name, in lower case, whatever address it leads to.
    Host(String),
    /// The addresses that agree with this one in so many leading bits.
    Network(IpAddr, u8),
}

impl Place {
    fn holds(&self, address: IpAddr) -> bool {
        let agree = |difference: u128, width: u32, bits: u8| {
            bits == 0 || difference >> (width - u32::from(bits)) == 0
        };
        match (self, address) {
            (Self::Network(IpAddr::V4(network), bits), IpAddr::V4(v4)) => {
                agree(u128::from(network.to_bits() ^ v4.to_bits()), 32, *bits)
            }
            (Self::Network(IpAddr::V6(network), bits), IpAddr::V6(v6)) => {
                agree(network.to_bits() ^ v6.to_bits(), 128, *bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "{text:?} is neither a host name, an address nor a network, such as chat.internal, 127.0.0.1 or 10.0.0.0/8"
            )
        };
        let (host, bits) = text
            .split_once('/')
            .map_or((text, None), |(host, bits)| (host, Some(bits)));
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        let address = match (bare.parse::<IpAddr>(), Host::parse(host)) {
            (Ok(address), _) => address,
            (Err(_), Ok(Host::Ipv4(address))) => IpAddr::V4(address),
            (Err(_), Ok(Host::Domain(name))) if bits.is_none() && !name.contains('*') => {
                return Ok(Self::Host(host_name(&name)));
            }
            _ => return Err(expected()),
        };
        let width: u8 = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), str::parse).map_err(|_| expected())?;
        if bits > width {
            return Err(expected());
        }
        if bits == width && facets(address).iter().any(|(_, kind)| *kind == Kind::Never) {
            return Err(format!(
                "{address} is never reached: it is link-local, multicast, or where a cloud keeps credentials"
            ));
        }
        Ok(Self::Network(address, bits))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => f.write_str(name),
            Self::Network(address, bits)
                if u32::from(*bits) == if address.is_ipv4() { 32 } else { 128 } =>
            {
                write!(f, "{address}")
            }
            Self::Network(address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

/// Who may reach an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Everybody.
    Public,
    /// Those to whom the operator allows it: loopback, private and shared networks, and what is reserved for documentation, tests and later use.
    Private,
    /// Nobody.
    Never,
}

/// An address and the addresses that it stands for: a packet to one that embeds an IPv4 address may end at that one. All of them are judged.
fn facets(address: IpAddr) -> Vec<(IpAddr, Kind)> {
    match address {
        IpAddr::V4(v4) => vec![(address, kind_of_v4(v4))],
        IpAddr::V6(v6) => facets_of_v6(v6),
    }
}

/// The special-purpose addresses of IPv4 (RFC 6890 and its registry), and where Alibaba Cloud, Oracle Cloud and Azure keep credentials.
fn kind_of_v4(v4: Ipv4Addr) -> Kind {
    match v4.octets() {
        [0 | 224..=239, ..]
        | [169, 254, ..]
        | [255, 255, 255, 255]
        | [100, 100, 100, 200]
        | [192, 0, 0, 192]
        | [168, 63, 129, 16] => Kind::Never,
        [10 | 127 | 240..=255, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [100, 64..=127, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Kind::Private,
        _ => Kind::Public,
    }
}

/// The same for IPv6, where only `2000::/3` is public.
fn facets_of_v6(v6: Ipv6Addr) -> Vec<(IpAddr, Kind)> {
    let embedded = |octets: [u8; 4]| (IpAddr::V4(octets.into()), kind_of_v4(octets.into()));
    let [
        _,
        _,
        b2,
        b3,
        b4,
        b5,
        b6,
        b7,
        b8,
        b9,
        b10,
        b11,
        b12,
        b13,
        b14,
        b15,
    ] = v6.octets();
    let last = [b12, b13, b14, b15];
    let own = (IpAddr::V6(v6), own_kind_of_v6(v6));
    match v6.segments() {
        _ if own.1 == Kind::Never || v6.is_loopback() => vec![own],
        // IPv4-compatible and -mapped, IPv4-translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..] => vec![embedded(last)],
        // NAT64 of one's own network (RFC 8215): where the IPv4 address stands is that network's to say.
        [0x64, 0xff9b, 1, ..] => {
            let hidden = [embedded(last), embedded([b6, b7, b9, b10])];
            // Where none stands there are zeros.
            let is_never = |(address, kind): &(IpAddr, Kind)| {
                *kind == Kind::Never
                    && !matches!(address, IpAddr::V4(v4) if v4.octets().starts_with(&[0]))
            };
            vec![hidden.into_iter().find(is_never).unwrap_or(own)]
        }
        // 6to4 (RFC 3056).
        [0x2002, ..] => vec![embedded([b2, b3, b4, b5])],
        // Teredo (RFC 4380): the server, and the client with its bits inverted.
        [0x2001, 0, ..] => vec![
            embedded([b4, b5, b6, b7]),
            embedded(last.map(|octet| !octet)),
        ],
        // ISATAP (RFC 5214) embeds an IPv4 address in the interface's id.
        _ if [b8 & !2, b9, b10, b11] == [0, 0, 0x5e, 0xfe] => vec![own, embedded(last)],
        _ => vec![own],
    }
}

/// What an IPv6 address is by itself, whatever it embeds.
fn own_kind_of_v6(v6: Ipv6Addr) -> Kind {
    match v6.segments() {
        // No address, link-local, multicast; the metadata of AWS and of Google Cloud.
        [0, 0, 0, 0, 0, 0, 0, 0]
        | [0xfe80..=0xfebf | 0xff00..=0xffff, ..]
        | [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
        | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => Kind::Never,
        // Public, apart from protocol assignments and the two networks for documentation.
        [0x2001, 0x200..=0xdb7 | 0xdb9..=0xffff, ..]
        | [0x2000 | 0x2002..=0x3ffe, ..]
        | [0x3fff, 0x1000..=0xffff, ..] => Kind::Public,
        _ => Kind::Private,
    }
}

/// The system's resolver, without the addresses that may not be reached. What is checked is what is connected to, so a name cannot be rebound in between.
struct Resolver(Arc<Egress>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = Arc::clone(&self.0);
        Box::pin(async move {
            let found = lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(egress.keep_allowed(name.as_str(), found)?.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(list: &[&str]) -> Vec<Place> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Everything that can be allowed.
    fn open() -> Egress {
        Egress::allowing(places(&["0.0.0.0/0", "::/0"]))
    }

    #[test]
    fn addresses() {
        let check = |hosts: &str, may_be_allowed: bool, is_public: bool| {
            for host in hosts.split_whitespace() {
                let url: Url = format!("http://{host}/scim").parse().unwrap();
                let found = (
                    open().check(&url).is_ok(),
                    Egress::default().check(&url).is_ok(),
                );
                assert_eq!(found, (may_be_allowed, is_public), "{host}");
            }
        };
        check(
            "example.com 8.8.8.8 1.1.1.1:8080 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 198.20.0.1 192.0.1.1",
            true,
            true,
        );
        check(
            "[2606:4700::1111] [2a00:1450::1] [2001:200::1] [2001:4860::8888]",
            true,
            true,
        );
        check(
            "[::ffff:8.8.8.8] [::8.8.8.8] [64:ff9b::8.8.8.8] [2002:808:808::1] [2001:0:808:808::f7f7:f7f7]",
            true,
            true,
        );
        // This machine, in every way to write it.
        check(
            "127.0.0.1 127.1 127.8.8.8 2130706433 0x7f.1 0177.0.0.1 0x7f000001 127.0.0.1. localhost LOCALHOST. a.localhost",
            true,
            false,
        );
        check(
            "[::1] [0:0::1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [64:ff9b::127.0.0.1] [2002:7f00:1::]",
            true,
            false,
        );
        // Private networks, in IPv4, in IPv6, and one in the other.
        check(
            "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 100.127.255.255",
            true,
            false,
        );
        check(
            "[fc00::1] [fd00::1] [fdff::1] [fec0::1] [feff::1] [::ffff:10.0.0.1] [::10.0.0.1] [::ffff:0:10.0.0.1]",
            true,
            false,
        );
        check(
            "[64:ff9b::10.0.0.1] [64:ff9b:1::1] [64:ff9b:1:a00:0:100::] [2002:a00:1::1] [2002:c0a8:1::1]",
            true,
            false,
        );
        check(
            "[2001:0:a00:1::f7f7:f7f7] [2001:0:808:808::f5ff:fffe] [2606:4700::5efe:10.0.0.1] [2606:4700::200:5efe:a00:1]",
            true,
            false,
        );
        // Reserved.
        check(
            "192.0.0.1 192.0.2.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 192.88.99.1 240.0.0.1 255.0.0.1",
            true,
            false,
        );
        check(
            "[100::1] [2001:db8::1] [2001:10::1] [3fff::1] [5f00::1] [4000::1] [::ffff:198.18.0.1]",
            true,
            false,
        );
        // Never: link-local, multicast, "this network", and where clouds keep credentials.
        check(
            "169.254.169.254 169.254.0.1 224.0.0.1 239.1.1.1 255.255.255.255 0.0.0.0 0.1.2.3 0",
            false,
            false,
        );
        check(
            "[::ffff:169.254.169.254] [::169.254.169.254] [64:ff9b::a9fe:a9fe] [64:ff9b:1::a9fe:a9fe] [64:ff9b:1:a9fe:a9:fe00::]",
            false,
            false,
        );
        check(
            "[2002:a9fe:a9fe::1] [2001:0:a9fe:a9fe::1] [2001:0:808:808::5601:5601] [::ffff:0:169.254.1.1]",
            false,
            false,
        );
        check(
            "[fe80::1] [febf::1] [ff02::1] [::] [::ffff:0.0.0.0] [fd00:ec2::254] [fd20:ce::254]",
            false,
            false,
        );
        check("100.100.100.200 192.0.0.192 168.63.129.16", false, false);
    }

    #[test]
    fn what_is_named_is_allowed_and_nothing_beside_it() {
        let check = |list: &[&str], url: &str, expected: bool| {
            assert_eq!(
                Egress::allowing(places(list))
                    .check(&url.parse().unwrap())
                    .is_ok(),
                expected,
                "{list:?} {url}"
            );
        };
        check(&["127.0.0.1"], "http://127.0.0.1:9000", true);
        check(&["127.0.0.1"], "http://[::ffff:127.0.0.1]", true);
        check(&["127.0.0.1"], "http://localhost", true);
        check(&["127.0.0.1"], "http://127.0.0.2", false);
        check(&["127.0.0.1"], "http://[::1]", false);
        check(&["localhost"], "http://localhost.:80", true);
        check(&["localhost"], "http://127.0.0.1", false);
        check(&["10.0.0.0/8", "::1"], "http://10.9.8.7", true);
        check(&["10.0.0.0/8", "::1"], "http://[64:ff9b::10.9.8.7]", true);
        check(&["10.0.0.0/8", "::1"], "http://[::1]", true);
        check(&["10.0.0.0/8", "::1"], "http://11.0.0.1", true);
        check(&["10.0.0.0/8", "::1"], "http://192.168.0.1", false);
        check(&["10.0.0.0/15"], "http://10.2.0.1", false);
        check(&["169.254.0.0/16"], "http://169.254.169.254", false);
        check(&["127.0.0.1"], "ftp://127.0.0.1", false);
    }

    #[test]
    fn a_name_is_judged_by_what_it_leads_to() {
        let check = |list: &[&str],
                     name: &str,
                     addresses: &[&str],
                     expected: Result<&[&str], Option<&str>>| {
            let found = addresses
                .iter()
                .map(|address| SocketAddr::new(address.parse().unwrap(), 0))
                .collect();
            let kept = Egress::allowing(places(list)).keep_allowed(name, found);
            let kept = kept.map(|kept| {
                kept.iter()
                    .map(|address| address.ip().to_string())
                    .collect::<Vec<_>>()
            });
            let expected =
                expected.map(|kept| kept.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(
                kept.map_err(|refusal| refusal.place),
                expected.map_err(|place| place.map(str::to_owned)),
                "{list:?} {name}"
            );
        };
        check(&[], "a.example", &["8.8.8.8", "10.0.0.1"], Ok(&["8.8.8.8"]));
        check(
            &[],
            "a.example",
            &["10.0.0.1", "::1"],
            Err(Some("a.example")),
        );
        check(
            &["a.example"],
            "A.example.",
            &["10.0.0.1", "169.254.169.254"],
            Ok(&["10.0.0.1"]),
        );
        check(
            &["b.example"],
            "a.example",
            &["10.0.0.1"],
            Err(Some("a.example")),
        );
        check(
            &["10.0.0.0/8"],
            "a.example",
            &["10.0.0.1", "192.168.0.1"],
            Ok(&["10.0.0.1"]),
        );
        check(&["a.example"], "a.example", &["169.254.169.254"], Err(None));
    }

    #[test]
    fn places_are_read_and_written() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(
                text.parse::<Place>()
                    .ok()
                    .map(|place| place.to_string())
                    .as_deref(),
                expected,
                "{text}"
            );
        };
        check("127.0.0.1", Some("127.0.0.1"));
        check("Chat.Internal.", Some("chat.internal"));
        check("10.0.0.0/8", Some("10.0.0.0/8"));
        check("[::1]", Some("::1"));
        check("fd00::/8", Some("fd00::/8"));
        check("2130706433", Some("127.0.0.1"));
        for text in [
            "",
            "a b",
            "http://a",
            "a:80",
            "10.0.0.0/33",
            "10.0.0.0/x",
            "a/8",
            "*.internal",
            "169.254.169.254",
            "::ffff:169.254.1.1",
        ] {
            check(text, None);
        }
    }
}
