//! `cargo xtask fuzz`: builds the targets with coverage counters and lets libFuzzer look for inputs that break them. What it finds lies in
//! `target/fuzz/TARGET` until somebody mends the fault and adds the input to the corpus.

use std::path::Path;
use std::process::Command;

use crate::Failure;
use crate::test::{run, target_folder};

/// What coverage takes on a stable compiler: LLVM's own pass, without a sanitizer, since the workspace has no `unsafe`.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                     -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg=fuzzing \
                     -Cdebug-assertions=on -Coverflow-checks=on -Ccodegen-units=1";
/// Longest input, in bytes.
const INPUT_BYTES_MAX: u32 = 4_096;
/// How long a target runs.
const SECONDS: u32 = 60;

pub fn command(root: &Path, arguments: &[String]) -> Result<(), Failure> {
    let (seconds, wanted) = match arguments {
        [] => (SECONDS, None),
        [flag, seconds] if flag == "--seconds" => (seconds.parse()?, None),
        [flag, seconds, target] if flag == "--seconds" => (seconds.parse()?, Some(target.as_str())),
        [target] if !target.starts_with('-') => (SECONDS, Some(target.as_str())),
        _ => return Err(crate::USAGE.into()),
    };
    let corpus = root.join("crates/fuzz/corpus");
    let mut targets = Vec::new();
    for folder in std::fs::read_dir(&corpus)? {
        targets.push(folder?.file_name().to_string_lossy().into_owned());
    }
    targets.sort();
    targets.retain(|target| wanted.is_none_or(|wanted| wanted == target));
    if targets.is_empty() {
        return Err(format!(
            "there is no such target; crates/fuzz/corpus has a folder for each: {}",
            wanted.unwrap_or_default()
        )
        .into());
    }
    let program = build(root)?;
    for target in targets {
        let found = target_folder(root).join("fuzz").join(&target);
        std::fs::create_dir_all(&found)?;
        let mut fuzzer = Command::new(&program);
        // New inputs go to the first folder; the corpus in the repository is only read.
        fuzzer
            .current_dir(&found)
            .arg(&found)
            .arg(corpus.join(&target))
            .env("ROLLCALL_FUZZ", &target);
        fuzzer
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={INPUT_BYTES_MAX}"));
        run(fuzzer.args([
            "-timeout=5",
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
            "-verbosity=0",
        ]))?;
    }
    Ok(())
}

/// In a folder of its own, so that ordinary builds stay warm.
fn build(root: &Path) -> Result<std::path::PathBuf, Failure> {
    let folder = target_folder(root).join("fuzz-build");
    let target = host()?;
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(root)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_PROFILE_RELEASE_LTO", "off");
    cargo.args([
        "build",
        "--release",
        "--locked",
        "--package",
        "fuzz",
        "--features",
        "libfuzzer",
        "--target",
        &target,
        "--target-dir",
    ]);
    run(cargo.arg(&folder))?;
    Ok(folder.join(target).join("release/fuzz"))
}

/// The triple of this machine: with one named, cargo keeps the flags away from build scripts.
fn host() -> Result<String, Failure> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "rustc does not name its host".into())
}
