//! What both back ends promise: the suite is written once and runs on each.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod place;
mod postgres_server;

mod accounts;
mod applications;
mod audit;
mod callers;
mod credentials;
mod events;
mod encryption;
mod installation;
mod leavers;
mod ledger;
mod memberships;
mod opening;
mod paging;
mod schema_property;
mod rehearsal;
mod rehearsal_property;
mod remembered;
mod requests;
mod schemas;
mod receivers;
mod past;
mod safety;
mod safety_property;
mod search;
mod search_property;
mod provisioning_log;
mod writes;
mod together;
mod tenant_life;
