//! The engine against an application in memory: what leaves, and what is true afterwards.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice, reason = "tests")]

mod application;
mod lanes;
mod ledger;
mod log;
mod sync;
mod world;
