//! The benchmark: Rollcall beside a reference server, on one machine in one run. Reports; judges only against the targets it prints.
//! `cargo xtask bench` builds both programs in release mode and runs this one, because a generator of load that is not optimised takes
//! processor time from both servers.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool for developers speaks to its terminal"
)]

mod server;
mod load;
mod population;
mod figure;
mod reference;
mod compared;
mod scale;
mod sync;
mod postgres;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use compared::{Line, Pair};
use figure::Figure;
use report::{judge, machine, state_line, table};

/// Requests of one measurement: long enough that a percentile means something, short enough to be run before a commit.
const REQUESTS: usize = 10_000;
const USERS_DEFAULT: &[usize] = &[10_000, 100_000];

struct Options {
    users: Vec<usize>,
    out: Option<PathBuf>,
    requests: usize,
}

const USAGE: &str = "\
cargo xtask bench [--users N,...] [--requests N] [--out FILE]
                                     measure beside a reference server; FILE receives the figures as JSON";

/// Why the benchmark stopped: a sentence for the developer who started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((command, rest)) if command == "reference" => reference::command(rest),
        _ => measure_all(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// The folder with the programs that are measured: the one this program lies in.
fn programs() -> Result<PathBuf, Failure> {
    Ok(std::env::current_exe()?
        .parent()
        .ok_or("this program lies in no folder")?
        .to_path_buf())
}

fn measure_all(arguments: &[String]) -> Result<(), Failure> {
    let options = parse(arguments)?;
    let release = programs()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (mut lines, mut states, mut figures) = (Vec::new(), Vec::new(), Vec::new());
    for &users in &options.users {
        let (measured, state, scaled) =
            runtime.block_on(measure(&release, users, options.requests))?;
        lines.extend(measured);
        figures.extend(scaled);
        states.push(state);
    }
    let waits = runtime.block_on(sync::measure(&release))?;
    let on_postgres = runtime.block_on(postgres::measure(&release, options.requests))?;
    if let Some(on_postgres) = &on_postgres {
        figures.extend(on_postgres.figures());
    }
    let machine = machine();
    println!("\n{machine}\n\n{}", table(&lines));
    for state in &states {
        println!("{}", state_line(state));
    }
    println!("{}", waits.line());
    println!(
        "{}",
        on_postgres
            .as_ref()
            .map_or_else(postgres::absent, postgres::OnPostgres::line)
    );
    println!(
        "\n| users | figure | measured | bound | |\n|---:|---|---:|---:|---|\n{}",
        figures.iter().map(Figure::row).collect::<String>()
    );
    let report = json!({
        "machine": machine,
        "commit_to_request": waits.json(),
        "postgresql": on_postgres.as_ref().map(postgres::OnPostgres::json),
        "scale": figures.iter().map(Figure::json).collect::<Vec<_>>(),
        "operations": lines.iter().map(Line::json).collect::<Vec<_>>(),
        "server": states,
    });
    if let Some(out) = options.out {
        std::fs::write(out, format!("{report:#}\n"))?;
    }
    judge(&lines, &states, &waits, &figures)
}

fn parse(arguments: &[String]) -> Result<Options, Failure> {
    let mut options = Options {
        users: USERS_DEFAULT.to_vec(),
        out: None,
        requests: REQUESTS,
    };
    let mut rest = arguments.iter();
    while let Some(flag) = rest.next() {
        let value = rest.next().ok_or(USAGE)?;
        match flag.as_str() {
            "--users" => {
                options.users = value.split(',').map(str::parse).collect::<Result<_, _>>()?;
            }
            "--out" => options.out = Some(PathBuf::from(value)),
            "--requests" => options.requests = value.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    Ok(options)
}

/// A server of each kind with so many users in it.
async fn measure(
    release: &Path,
    users: usize,
    requests: usize,
) -> Result<(Vec<Line>, Value, Vec<Figure>), Failure> {
    let mut pair = Pair::start(release, users, requests)?;
    let (lines, ids) = pair.measure().await?;
    let (rss_mib, reference_rss_mib) = pair.rss_mib()?;
    let groups = scale::groups(pair.rollcall()?, &ids).await?;
    let again = pair.restart()?;
    let start_ms = again.start.as_secs_f64() * 1e3;
    let figures = scale::measure(again, &ids, &groups).await?;
    let state = json!({"users": users, "rss_mib": rss_mib, "reference_rss_mib": reference_rss_mib, "start_ms": start_ms});
    Ok((lines, state, figures))
}
