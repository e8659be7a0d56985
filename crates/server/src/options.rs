//! Limits and addresses of the server, each with its unit. Filled by `rollcall`.

use std::net::IpAddr;

use scim_protocol::filter::FilterLimits;

use crate::key_sets::KeySetLimits;
use crate::lockout::LockoutLimit;
use crate::rate_limit::RateLimit;

/// What the server allows, and how it is reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// Largest body of a request about one resource without members, in bytes.
    pub body_bytes_max: usize,
    /// Largest body of a request about a group, and of a bulk request, in bytes.
    pub large_body_bytes_max: usize,
    /// Largest exported tenant that the admin API restores, in bytes.
    pub restore_bytes_max: u64,
    /// Longest time that it may take to send and to restore it, in seconds.
    pub restore_seconds_max: u64,
    /// Largest sum of the bodies that are read or worked on at once, in bytes. Short bodies do not count.
    pub bodies_bytes_max: u64,
    /// Of this, most for one tenant.
    pub bodies_per_tenant_bytes_max: u64,
    /// Most operations in one bulk request.
    pub bulk_operations_max: usize,
    /// Largest body that is worked on by the threads that answer requests, in bytes. A request with a longer one, and every bulk request, counts as long.
    pub short_body_bytes_max: usize,
    /// Most long requests at once.
    pub long_requests_max: u64,
    /// Of these, most of one tenant.
    pub long_requests_per_tenant_max: u64,
    /// How long a request waits for room for its body, and then for its turn among the long ones, in seconds; below `request_seconds_max`.
    pub turn_wait_seconds_max: u64,
    /// Largest body that the request log keeps, in bytes.
    pub request_log_body_bytes_max: usize,
    /// Most requests of strangers that the request log of a tenant keeps, per minute.
    pub request_log_strangers_per_minute_max: u32,
    /// Most entries of the request log of a tenant.
    pub request_log_rows_max: u64,
    /// Most bytes of the entries of the request log of a tenant.
    pub request_log_bytes_max: u64,
    /// Resources on a page where the client does not say.
    pub page_size_default: u64,
    /// Most resources on a page.
    pub page_size_max: u64,
    /// How long a cursor is good for, in seconds.
    pub cursor_seconds_max: i64,
    /// Limits of filters.
    pub filter: FilterLimits,
    /// Most comparisons of a filter that are answered by looking at many resources.
    pub filter_costly_terms_max: usize,
    /// Longest time a request may take, in seconds.
    pub request_seconds_max: u64,
    /// Longest time that `/readyz` gives the store to answer, in seconds.
    pub readiness_seconds_max: u64,
    /// How many requests one caller may make, where its token says nothing else; `None`: any number. Far above what identity providers send: Entra
    /// asks for at least 25 a second, Okta for a few hundred a minute.
    pub rate_limit: Option<RateLimit>,
    /// How many requests one address (one /64 with IPv6) may send without a token that was accepted before; `None`: any number. `/healthz` and `/readyz`
    /// do not count.
    pub address_rate_limit: Option<RateLimit>,
    /// Most callers whose rate is remembered, and most addresses.
    pub rate_limit_entries_max: usize,
    /// When an address that guesses has to wait.
    pub lockout: LockoutLimit,
    /// How long an access token of the token endpoint is good, in seconds.
    pub access_token_seconds: i64,
    /// How long the keys of foreign issuers are remembered.
    pub key_sets: KeySetLimits,
    /// Whether clients can show certificates to us.
    pub takes_client_certificates: bool,
    /// Longest time until the head of a request has arrived, in seconds.
    pub header_read_seconds_max: u64,
    /// Longest time for which a connection may be without a request after its first, in seconds. HTTP/1.1 also has `header_read_seconds_max` for its next head.
    pub idle_seconds_max: u64,
    /// Longest time that a client may take to send the next piece of a body, or to take the next piece of an answer, in seconds.
    pub stall_seconds_max: u64,
    /// How much of a body that nothing reads is read and forgotten so that its connection can go on, in bytes.
    pub unread_bytes_max: usize,
    /// How long that may take, in seconds.
    pub unread_seconds_max: u64,
    /// Most connections at once. Where there is no room, the connection that waits for its client for longest is closed.
    pub connections_max: usize,
    /// Most connections of one address at once (of one /64 with IPv6). A trusted proxy may have any number.
    pub connections_per_address_max: usize,
    /// Most connections beyond these two bounds; they are only told of the server's health.
    pub health_connections_max: usize,
    /// Largest head of an HTTP/1.1 request, in bytes.
    pub head_bytes_max: usize,
    /// Largest list of headers of an HTTP/2 request, in bytes.
    pub http2_header_list_bytes_max: u32,
    /// Most requests at once on one HTTP/2 connection.
    pub http2_streams_max: u32,
    /// Longest time for a TLS handshake, in seconds.
    pub tls_handshake_seconds_max: u64,
    /// How often the certificate files are looked at, in seconds.
    pub tls_reload_seconds: u64,
    /// Longest time that open connections may take to finish when the server stops, in seconds.
    pub drain_seconds_max: u64,
    /// Longest time for which a token counts as good without a look into the store, in seconds.
    pub token_cache_seconds_max: i64,
    /// Most tokens remembered so.
    pub token_cache_entries_max: usize,
    /// Most tokens that are not revoked, and most OAuth clients, that the admin API gives a tenant.
    pub credentials_max: usize,
    /// Most foreign issuers, and most receivers of events, that the admin API gives a tenant.
    pub partners_max: usize,
    /// Most events in one answer of the feed.
    pub event_page_max: usize,
    /// Longest time for which an answer about events waits for one, in seconds; below `request_seconds_max`.
    pub event_wait_seconds_max: u64,
    /// How often a stream of events that has nothing to tell says that it is there, in seconds. The token is looked at as often.
    pub event_heartbeat_seconds: u64,
    /// Most requests and streams that wait for events at once.
    pub event_listeners_max: usize,
    /// Of these, most of one tenant.
    pub event_listeners_per_tenant_max: usize,
    /// The URL under which clients reach this server (`https://id.example.com`), without the paths of the API.
    pub public_url: Option<String>,
    /// Peers whose `X-Forwarded-Proto` and `X-Forwarded-Host` are believed.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            body_bytes_max: 1024 * 1024,
            large_body_bytes_max: 32 * 1024 * 1024,
            restore_bytes_max: 4 * 1024 * 1024 * 1024,
            restore_seconds_max: 3_600,
            bodies_bytes_max: 64 * 1024 * 1024,
            bodies_per_tenant_bytes_max: 40 * 1024 * 1024,
            bulk_operations_max: 1_000,
            short_body_bytes_max: 4 * 1024,
            long_requests_max: 16,
            long_requests_per_tenant_max: 4,
            turn_wait_seconds_max: 10,
            request_log_body_bytes_max: 16 * 1024,
            request_log_strangers_per_minute_max: 30,
            request_log_rows_max: 1_000_000,
            request_log_bytes_max: 256 * 1024 * 1024,
            page_size_default: 100,
            page_size_max: 1_000,
            cursor_seconds_max: 3_600,
            filter: FilterLimits::default(),
            filter_costly_terms_max: 20,
            request_seconds_max: 30,
            readiness_seconds_max: 3,
            rate_limit: Some(RateLimit::OF_CALLERS),
            address_rate_limit: Some(RateLimit::OF_ADDRESSES),
            rate_limit_entries_max: 100_000,
            lockout: LockoutLimit::default(),
            access_token_seconds: 600,
            key_sets: KeySetLimits::default(),
            takes_client_certificates: false,
            header_read_seconds_max: 10,
            idle_seconds_max: 60,
            stall_seconds_max: 60,
            unread_bytes_max: 64 * 1024,
            unread_seconds_max: 1,
            connections_max: 4_096,
            connections_per_address_max: 256,
            health_connections_max: 64,
            head_bytes_max: 64 * 1024,
            http2_header_list_bytes_max: 64 * 1024,
            http2_streams_max: 128,
            tls_handshake_seconds_max: 10,
            tls_reload_seconds: 10,
            drain_seconds_max: 10,
            token_cache_seconds_max: 60,
            token_cache_entries_max: 10_000,
            credentials_max: 1_000,
            partners_max: 100,
            event_page_max: 200,
            event_wait_seconds_max: 25,
            event_heartbeat_seconds: 15,
            event_listeners_max: 1_024,
            event_listeners_per_tenant_max: 64,
            public_url: None,
            trusted_proxies: Vec::new(),
        }
    }
}
