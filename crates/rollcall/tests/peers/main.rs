//! The built binary against software that others wrote: two conformance suites, a client, a fuzzer of APIs, and two applications kept equal through a faulty network.
//!
//! Runs only where `ROLLCALL_PEERS` names the folder that `cargo xtask test` fills with that software; elsewhere every test here passes at once and
//! says so. Owns no product code.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop, and says what it did"
)]

mod convergence;
// Storage's throw-away server.
#[path = "../../../storage/tests/it/postgres_server.rs"]
mod postgres_server;
mod process;
mod proxy;
mod sidecar;
mod suites;
mod workload;

use std::path::PathBuf;

/// The folder with the installed peers, or `None` where the tests do not run. A folder that lacks one of them is a failure, not a reason to skip.
fn peers() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("ROLLCALL_PEERS").map(PathBuf::from) else {
        println!("not run: ROLLCALL_PEERS is not set; `cargo xtask test` sets it");
        return None;
    };
    for needed in [
        "venv/bin/python",
        "venv/bin/scim2",
        "venv/bin/scim-sanity",
        "venv/bin/schemathesis",
        "scimmy-app/node_modules",
        "scimmy-app/app.mjs",
    ] {
        assert!(
            folder.join(needed).exists(),
            "ROLLCALL_PEERS lacks {needed}; `cargo xtask test` installs it"
        );
    }
    Some(folder)
}
