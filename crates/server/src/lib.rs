//! HTTP in: the SCIM API of every tenant, the admin API, and health.
//!
//! `router` gives the routes with their layers, `serve` runs them on a listener until it is told to stop. What a request means is decided in
//! `directory` and `scim_protocol`; here it is only carried there and back.
//!
//! Modules in dependency order: a module uses only those above it. (The blank lines keep rustfmt from sorting
//! them.)

pub mod key_sets;

mod decoy_keys;

pub mod rate_limit;

pub mod lockout;

pub mod options;

pub mod tls;

mod address;

pub mod local;

mod connections;

mod lingering;

mod exchange;

mod request_id;

mod prefer;

mod trace;

mod stranger_budget;

mod token_cache;

mod listeners;

mod readiness;

pub mod state;

mod refusal;

mod needs;

mod authenticate;

mod oauth;

mod scim_api;

mod openapi;

mod admin_api;

mod event_feed;

mod event_poll;

mod event_routes;

mod health;

mod admission;

mod answer_limit;

mod layers;

mod retention;

pub mod serve;

pub use address::Connection;
pub use admin_api::{NO_SUCH_ROUTE, admin_description};
pub use layers::router;
pub use lingering::{FORGET_SECONDS_MAX, FORGOTTEN_BYTES_MAX};
pub use oauth::{ASSERTION_SECONDS_MAX, TOKEN_REQUEST_BYTES_MAX};
pub use options::Options;
pub use retention::shorten_request_logs;
pub use scim_api::ROOMLESS_BYTES_MAX;
pub use serve::{serve, serve_tls};
pub use state::{Callers, DEFAULT_TENANT, Events, Parts, State, TenantLifecycle};
