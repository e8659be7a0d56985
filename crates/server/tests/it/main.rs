//! Whole exchanges with the server, in one process: what goes over the wire, and what comes back.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]
#![expect(
    clippy::unnecessary_wraps,
    reason = "what makes a body gives it as calls take it"
)]

mod counting;
mod gate;
mod group_members;
mod house;
mod large_groups;
mod replay;
mod rfc;

mod admin;
mod audit;
mod applications;
mod admin_callers;
mod admin_safety;
mod bulk_circles;
mod callers_and_receivers;
mod conditions;
mod member_reads;
mod limits;
mod edge;
mod smuggling;
mod events;
mod bulk;
mod listener;
mod me;
mod members;
mod needs;
mod paging;
mod patches;
mod oauth;
mod permissions;
mod profiles;
mod refusals;
mod requests;
mod rfc7643;
mod rfc7644;
mod signatures;
mod tls;
mod types;
mod wire;
mod work;
mod tenant_life;
