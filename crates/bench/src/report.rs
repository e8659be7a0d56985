//! What the benchmark prints: tables for `bench/README.md`, and which targets were missed. Measures nothing.

use std::process::Command;

use serde_json::Value;

use super::compared::Line;
use super::figure::Figure;
use super::sync::Waits;
use crate::Failure;

/// The figures as a Markdown table, reference beside.
pub fn table(lines: &[Line]) -> String {
    let mut text = "| users | operation | per second | p50 ms | p99 ms | CPU us | reference per second | reference p50/p99 ms | reference CPU us | ratio |\n".to_owned();
    text.push_str("|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for line in lines {
        let measured = &line.measured;
        let own = format!(
            "{:.0} | {:.2} | {:.2} | {:.0}",
            measured.per_second(),
            measured.percentile_ms(50),
            measured.percentile_ms(99),
            line.cpu_us
        );
        let (reference, cpu_us) = &line.reference;
        let reference = format!(
            "{:.0} | {:.2} / {:.2} | {cpu_us:.0}",
            reference.per_second(),
            reference.percentile_ms(50),
            reference.percentile_ms(99)
        );
        let ratio = format!("{:.2}", line.ratio());
        text.extend([format!(
            "| {} | {} | {own} | {reference} | {ratio} |\n",
            line.users, line.operation
        )]);
    }
    text
}

pub fn state_line(state: &Value) -> String {
    let number = |key: &str| state.get(key).and_then(Value::as_f64).unwrap_or_default();
    format!(
        "{} users: RSS {:.0} MiB (reference {:.0} MiB), start {:.0} ms",
        number("users"),
        number("rss_mib"),
        number("reference_rss_mib"),
        number("start_ms")
    )
}

/// Fails where a target is missed, after everything was printed.
pub fn judge(
    lines: &[Line],
    states: &[Value],
    waits: &Waits,
    figures: &[Figure],
) -> Result<(), Failure> {
    let mut expected = of_operations(lines);
    for state in states {
        let number = |key: &str| state.get(key).and_then(Value::as_f64).unwrap_or(f64::MAX);
        expected.push((
            format!("{}: at most 128 MiB wanted", state_line(state)),
            number("rss_mib") <= 128.0,
        ));
        expected.push((
            format!("{}: a start within 300 ms wanted", state_line(state)),
            number("start_ms") <= 300.0,
        ));
    }
    expected.push((
        format!("{}: a p99 under 50 ms wanted", waits.line()),
        waits.percentile_ms(99) < 50.0,
    ));
    expected.extend(figures.iter().map(|figure| (figure.line(), figure.holds())));
    let missed: Vec<String> = expected
        .into_iter()
        .filter(|(_, holds)| !holds)
        .map(|(name, _)| name)
        .collect();
    if missed.is_empty() {
        Ok(())
    } else {
        Err(format!("bench: missed\n  {}", missed.join("\n  ")).into())
    }
}

/// The targets of single requests, each with whether it holds.
fn of_operations(lines: &[Line]) -> Vec<(String, bool)> {
    let mut expected = Vec::new();
    for line in lines
        .iter()
        .filter(|line| matches!(line.operation, "POST" | "GET by id"))
    {
        let ratio = line.ratio();
        expected.push((
            format!(
                "{} at {} users: {ratio:.2} of the reference, at least 0.5 wanted",
                line.operation, line.users
            ),
            ratio >= 0.5,
        ));
    }
    for found in lines.iter().filter(|line| line.operation == "userName eq") {
        let got = lines
            .iter()
            .find(|line| line.operation == "GET by id" && line.users == found.users)
            .map_or(0.0, |line| line.measured.per_second());
        let ratio = found.measured.per_second() / got;
        expected.push((
            format!(
                "userName eq at {} users: {ratio:.2} of GET by id, at least 0.4 wanted",
                found.users
            ),
            ratio >= 0.4,
        ));
    }
    expected
}

/// The machine, as far as figures depend on it.
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("an unknown processor", |line| {
            line.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let date = Command::new("date")
        .args(["-u", "+%Y-%m-%d"])
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default();
    format!("{date}, {cores} cores of {model}")
}
