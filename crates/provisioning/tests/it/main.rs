//! The engine against an application in memory: what leaves, and what is true afterwards.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod application;
mod dry_run;
mod known_faults;
mod faults;
mod lanes;
mod ledger;
mod log;
mod model;
mod pure;
mod simulation;
mod sync;
mod types;
mod world;
