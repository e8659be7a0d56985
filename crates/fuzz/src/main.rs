//! The program under libFuzzer: `ROLLCALL_FUZZ` names the target, the arguments are libFuzzer's. `cargo xtask fuzz` builds and runs it.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<fuzz::Target> = OnceLock::new();

#[expect(
    clippy::disallowed_methods,
    reason = "libFuzzer has the arguments, so the target's name comes by the environment"
)]
fn target() -> fuzz::Target {
    let name = std::env::var("ROLLCALL_FUZZ").unwrap_or_default();
    fuzz::target(&name).unwrap_or_else(|| {
        panic!(
            "ROLLCALL_FUZZ is `{name}`; there are {:?}",
            fuzz::TARGETS.map(|(name, _)| name)
        )
    })
}

fuzz_target!(|data: &[u8]| {
    TARGET.get_or_init(target)(data);
});
