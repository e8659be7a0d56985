//! `cargo xtask bench`: builds what is measured and the program that measures it, and runs that program. Measures nothing itself.

use std::path::Path;
use std::process::Command;

use crate::Failure;
use crate::test::{run, target_folder};

pub fn command(root: &Path, arguments: &[String]) -> Result<(), Failure> {
    run(Command::new("cargo").current_dir(root).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "rollcall",
        "--package",
        "bench",
    ]))?;
    run(Command::new(target_folder(root).join("release/bench")).args(arguments))
}
