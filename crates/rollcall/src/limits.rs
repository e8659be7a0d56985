//! Every limit by its name, which ends in its unit, for `rollcall serve --print-limits`. Sets none.

use events::subscription;
use provisioning::{lanes, provisioning as engine};
use scim_protocol::{patch, validate};
use serde_json::{Value, json};
use server::lockout::LockoutLimit;

/// Takes options apart in full, so that a new limit cannot be forgotten here, and gives those that are named first by their names.
macro_rules! named {
    ($options:expr, $type:path { $($shown:ident),* $(,)? } except { $($bound:ident: $pattern:pat),* $(,)? }) => {{
        let $type { $($shown,)* $($bound: $pattern,)* } = $options;
        Value::Object([$((stringify!($shown).to_owned(), json!($shown)),)*].into_iter().collect())
    }};
}

/// All of them, by the part of the program that keeps them.
pub fn limits() -> Value {
    let server::Options {
        key_sets: keys,
        lockout,
        filter,
        filter_costly_terms_max: costly_terms_max,
        ..
    } = server::Options::default();
    let events = named!(subscription::Options::default(), subscription::Options {
        receivers_max, poll_milliseconds, lease_seconds, events_max, retention_days, trim_rows_max,
    } except {});
    let engine = engine::Options::default();
    let slots = named!(engine.lanes, lanes::Limits { applications_max, per_application, shared_max } except {});
    let engine = named!(engine, engine::Options {
        poll_milliseconds, changes_max, log_lines_max,
    } except { worker: _, lanes: _ });
    json!({
        "server": of_server(),
        "engine": engine,
        "claims": slots,
        "events": events,
        "foreign_issuers": {
            "fresh_seconds_max": keys.fresh_seconds_max,
            "refetch_seconds_min": keys.refetch_seconds_min,
            "stale_seconds_max": keys.stale_seconds_max,
            "entries_max": keys.entries_max,
            "key_set_bytes_max": connectors::key_sets::KEY_SET_BYTES_MAX,
            "key_set_seconds_max": connectors::key_sets::KEY_SET_SECONDS_MAX,
        },
        "storage": { "disk_free_bytes_min": storage::sqlite::readiness::DISK_FREE_BYTES_MIN },
        "oauth": {
            "token_request_bytes_max": server::TOKEN_REQUEST_BYTES_MAX,
            "assertion_seconds_max": server::ASSERTION_SECONDS_MAX,
            "jwt_bytes_max": keys::signed_token::TOKEN_BYTES_MAX,
            "keys_max": keys::signed_token::KEYS_MAX,
        },
        "tenant": { "kept_days_max": directory::tenant::DAYS_MAX, "guard_window_minutes_max": directory::deletion_guard::WINDOW_MINUTES_MAX },
        "lockout": named!(lockout, LockoutLimit { failures_max, window_seconds, proven_seconds_max, entries_max } except {}),
        "resource": {
            "values_max": validate::ELEMENTS_MAX,
            "text_bytes_max": validate::TEXT_BYTES_MAX,
            "indexed_text_bytes_max": validate::INDEXED_TEXT_BYTES_MAX,
            "data_bytes_max": validate::DATA_BYTES_MAX,
        },
        "patch": { "work_steps_max": patch::work::WORK_STEPS_MAX, "bulk_steps_max": patch::work::BULK_STEPS_MAX },
        "undo": {
            "changes_max": directory::directory::UNDO_CHANGES_MAX,
            "changes_per_resource_max": directory::directory::UNDO_ENTRIES_MAX,
        },
        "body": {
            "values_always": scim_protocol::json::BODY_VALUES_ALWAYS,
            "bytes_per_value_min": scim_protocol::json::BODY_BYTES_PER_VALUE_MIN,
        },
        "filter": {
            "length_bytes_max": filter.length_max, "depth_max": filter.depth_max, "terms_max": filter.terms_max,
            "costly_terms_max": costly_terms_max,
        },
        "projection": { "names_max": scim_protocol::projection::NAMES_MAX },
        "store": storage::limits(),
    })
}

fn of_server() -> Value {
    let options = server::Options::default();
    let (rate, address_rate) = (options.rate_limit, options.address_rate_limit);
    let mut server = named!(options, server::Options {
        body_bytes_max, large_body_bytes_max, bodies_bytes_max, bodies_per_tenant_bytes_max, bulk_operations_max,
        short_body_bytes_max, long_requests_max, long_requests_per_tenant_max, turn_wait_seconds_max, request_log_body_bytes_max,
        request_log_strangers_per_minute_max, request_log_rows_max, request_log_bytes_max, page_size_default, page_size_max, cursor_seconds_max,
        request_seconds_max, readiness_seconds_max, header_read_seconds_max, idle_seconds_max, stall_seconds_max, unread_bytes_max, unread_seconds_max, rate_limit_entries_max, access_token_seconds, connections_max,
        connections_per_address_max, health_connections_max,
        head_bytes_max, http2_header_list_bytes_max, http2_streams_max, tls_handshake_seconds_max, tls_reload_seconds,
        drain_seconds_max, restore_bytes_max, restore_seconds_max, token_cache_seconds_max, token_cache_entries_max, credentials_max, partners_max, event_page_max, event_wait_seconds_max,
        event_heartbeat_seconds, event_listeners_max, event_listeners_per_tenant_max,
    } except {
        rate_limit: _, address_rate_limit: _, key_sets: _, lockout: _, filter: _, filter_costly_terms_max: _, takes_client_certificates: _, public_url: _, trusted_proxies: _,
    });
    if let Some(server) = server.as_object_mut() {
        server.insert(
            "roomless_body_bytes_max".into(),
            json!(server::ROOMLESS_BYTES_MAX),
        );
        server.insert(
            "forgotten_bytes_max".into(),
            json!(server::FORGOTTEN_BYTES_MAX),
        );
        server.insert(
            "forget_seconds_max".into(),
            json!(server::FORGET_SECONDS_MAX),
        );
        server.insert(
            "rate_limit_per_second".into(),
            json!(rate.map(|limit| limit.per_second)),
        );
        server.insert(
            "rate_limit_burst".into(),
            json!(rate.map(|limit| limit.burst)),
        );
        server.insert(
            "address_rate_limit_per_second".into(),
            json!(address_rate.map(|limit| limit.per_second)),
        );
        server.insert(
            "address_rate_limit_burst".into(),
            json!(address_rate.map(|limit| limit.burst)),
        );
    }
    server
}
