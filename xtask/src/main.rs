//! The chores of the workspace: `tidy`, `test`, `readme`, `fuzz` and `bench`. Owns no product code, and nothing of the product may depend on it.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool for developers speaks to its terminal"
)]

mod tidy;
mod test;
mod bench;
mod fuzz;
mod readme;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask tidy                     check the rules of the house
cargo xtask test [--no-peers]        every test; without --no-peers also against independent software
cargo xtask readme [demo|tour]       run what README.md tells a newcomer to type, word for word
cargo xtask fuzz [--seconds N] [TARGET]
                                     look for inputs that break what must hold, 60 s for each target
cargo xtask bench [--users N,...] [--requests N] [--out FILE]
                                     measure beside a reference server; FILE receives the figures as JSON";

/// Why a chore stopped: a sentence for the developer who started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = arguments
        .split_first()
        .map_or(("", &[][..]), |(command, rest)| (command.as_str(), rest));
    let outcome = match command {
        "tidy" => tidy::command(&root()),
        "test" => test::command(&root(), rest),
        "bench" => bench::command(&root(), rest),
        "fuzz" => fuzz::command(&root(), rest),
        "readme" => readme::command(&root(), rest),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace: cargo tells every program it runs where that program's package is.
fn root() -> PathBuf {
    let mut folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    folder.pop();
    folder
}
