//! The built binary, run as people run it. Looks at what it prints, how it ends, and what it answers over HTTP. What depends on time is tried with its parts
//! in one process (`parts`).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]
#![expect(
    clippy::zombie_processes,
    reason = "a test that fails before it waits ends with its children"
)]

mod administration;
mod callers;
mod callers_and_receivers;
mod commands;
mod docs;
mod durability;
mod egress;
mod events;
mod files;
mod http;
mod key_sets;
mod nodes;
mod parts;
// Storage's throw-away server; it speaks to it by `tokio_postgres`.
#[path = "../../../storage/tests/it/postgres_server.rs"]
mod postgres_server;
mod program;
// The conversations of the server's own tests; it needs `percent_encoding` and `regex`.
#[expect(dead_code, reason = "those look at answers in more ways")]
#[path = "../../../server/tests/it/replay.rs"]
mod replay;
mod retry_after;
mod safety;
mod serve;
mod tenant_life;
mod wire;
