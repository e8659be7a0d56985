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
mod reference;
mod scale;
mod sync;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::{Value, json};

use load::{Load, Measured, Request, count, request};
use scale::Figure;
use server::{Server, free_address};
use sync::Waits;

const TOKEN: &str = "a-token-that-only-the-benchmark-knows";
const WRITE_CONNECTIONS: usize = 32;
const READ_CONNECTIONS: usize = 8;
/// Requests of one measurement: long enough that a percentile means something, short enough to be run before a commit.
const REQUESTS: usize = 10_000;
/// Turns that the two servers take in one measurement.
const TURNS: usize = 10;
const USERS_DEFAULT: &[usize] = &[10_000, 100_000];

/// One line of the table.
struct Line {
    users: usize,
    operation: &'static str,
    measured: Measured,
    cpu_us: f64,
    reference: (Measured, f64),
}

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
    let machine = machine();
    println!("\n{machine}\n\n{}", table(&lines));
    for state in &states {
        println!("{}", state_line(state));
    }
    println!("{}", waits.line());
    println!(
        "\n| users | figure | measured | bound | |\n|---:|---|---:|---:|---|\n{}",
        figures.iter().map(Figure::row).collect::<String>()
    );
    let report = json!({"machine": machine, "commit_to_request": waits.json(), "scale": figures.iter().map(Figure::json).collect::<Vec<_>>(), "operations": lines.iter().map(Line::json).collect::<Vec<_>>(), "server": states});
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
    let data = tempfile::tempdir()?;
    let address = free_address()?;
    let start_rollcall = || {
        let mut command = Command::new(release.join("rollcall"));
        command
            .args(["serve", "--listen", &address, "--data"])
            .arg(data.path().join("rollcall"))
            .env("ROLLCALL_BOOTSTRAP_TOKEN", TOKEN)
            .env("ROLLCALL_RATE_LIMIT_PER_SECOND", "0");
        Server::start(
            &mut command,
            &address,
            "/readyz",
            &data.path().join("rollcall.log"),
        )
    };
    let reference_address = free_address()?;
    let mut command = Command::new(release.join("bench"));
    command.args([
        "reference",
        &data.path().display().to_string(),
        &reference_address,
    ]);
    let reference = Server::start(
        &mut command,
        &reference_address,
        "/",
        &data.path().join("reference.log"),
    )?;
    let rollcall = start_rollcall()?;

    println!("loading {users} users into each");
    let both = Both {
        rollcall: &rollcall,
        reference: &reference,
        requests,
    };
    let (ids, reference_ids) = both.filled(users - requests.min(users)).await?;
    let loaded = ids.len();
    let posting = Both {
        requests: requests.min(users),
        ..both
    };
    let post = posting
        .in_turns(
            "POST",
            users,
            WRITE_CONNECTIONS,
            true,
            post_from(loaded),
            post_from(loaded),
        )
        .await?;
    let ids = [ids, ids_of(&post.measured)?].concat();
    let reference_ids = [reference_ids, ids_of(&post.reference.0)?].concat();
    let got = both
        .in_turns(
            "GET by id",
            users,
            READ_CONNECTIONS,
            false,
            get_of(&ids),
            get_of(&reference_ids),
        )
        .await?;
    let find = |number: usize| {
        request(
            "GET",
            &format!(
                "/scim/v2/Users?filter=userName%20eq%20%22user{}%40example.com%22",
                scatter(number, users)
            ),
            TOKEN,
            None,
        )
    };
    let found = both
        .in_turns("userName eq", users, READ_CONNECTIONS, false, find, find)
        .await?;
    let patched = both
        .in_turns(
            "PATCH",
            users,
            WRITE_CONNECTIONS,
            false,
            patch_of(&ids),
            patch_of(&reference_ids),
        )
        .await?;

    let rss_mib = rollcall.rss_mib()?;
    let reference_rss_mib = reference.rss_mib()?;
    let groups = scale::groups(&rollcall, &ids).await?;
    drop(rollcall);
    let again = start_rollcall()?;
    let start_ms = again.start.as_secs_f64() * 1e3;
    let figures = scale::measure(&again, &ids, &groups).await?;
    let lines = vec![post, got, found, patched];
    Ok((
        lines,
        json!({"users": users, "rss_mib": rss_mib, "reference_rss_mib": reference_rss_mib, "start_ms": start_ms}),
        figures,
    ))
}

/// The two that are compared.
#[derive(Clone, Copy)]
struct Both<'a> {
    rollcall: &'a Server,
    reference: &'a Server,
    /// Of each measurement, to each.
    requests: usize,
}

impl Both<'_> {
    /// Loads so many users into each; the ids they got.
    async fn filled(&self, users: usize) -> Result<(Vec<String>, Vec<String>), Failure> {
        Ok((
            fill(self.rollcall, users).await?,
            fill(self.reference, users).await?,
        ))
    }

    /// One operation on both, in short turns: a machine that is shared is not equally fast from one second to the next, and this way
    /// both meet the same.
    async fn in_turns(
        &self,
        operation: &'static str,
        users: usize,
        connections: usize,
        keep_bodies: bool,
        rollcall: impl Fn(usize) -> Request,
        reference: impl Fn(usize) -> Request,
    ) -> Result<Line, Failure> {
        let (mut own, mut other) = ((Measured::default(), 0.0), (Measured::default(), 0.0));
        for turn in 0..TURNS {
            let (first, next) = (
                self.requests * turn / TURNS,
                self.requests * (turn + 1) / TURNS,
            );
            for (server, request, sum) in [
                (
                    self.rollcall,
                    &rollcall as &dyn Fn(usize) -> Request,
                    &mut own,
                ),
                (self.reference, &reference, &mut other),
            ] {
                let (measured, cpu_us) =
                    timed(server, connections, next - first, keep_bodies, |number| {
                        request(first + number)
                    })
                    .await?;
                sum.1 += cpu_us * count(measured.requests) / count(self.requests);
                sum.0.add(measured);
            }
        }
        Ok(Line {
            users,
            operation,
            measured: own.0,
            cpu_us: own.1,
            reference: other,
        })
    }
}

async fn fill(server: &Server, users: usize) -> Result<Vec<String>, Failure> {
    ids_of(
        &Load {
            address: server.address.clone(),
            connections: WRITE_CONNECTIONS,
            keep_bodies: true,
        }
        .run(users, post_from(0))
        .await?,
    )
}

/// Creates, numbered from `first`.
fn post_from(first: usize) -> impl Fn(usize) -> Request {
    move |number| {
        request(
            "POST",
            "/scim/v2/Users",
            TOKEN,
            Some(&user(first + number).to_string()),
        )
    }
}

/// Reads of these, scattered.
fn get_of(ids: &[String]) -> impl Fn(usize) -> Request {
    move |number| {
        request(
            "GET",
            &format!("/scim/v2/Users/{}", nth(ids, number)),
            TOKEN,
            None,
        )
    }
}

/// Changes of the title of these, scattered.
fn patch_of(ids: &[String]) -> impl Fn(usize) -> Request {
    move |number| {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "title", "value": format!("Title {number}")}]});
        request(
            "PATCH",
            &format!("/scim/v2/Users/{}", nth(ids, number)),
            TOKEN,
            Some(&body.to_string()),
        )
    }
}

/// Runs a load and says how much processor time a request took, in microseconds.
async fn timed(
    server: &Server,
    connections: usize,
    requests: usize,
    keep_bodies: bool,
    make: impl Fn(usize) -> Request,
) -> Result<(Measured, f64), Failure> {
    let before = server.cpu()?;
    let measured = Load {
        address: server.address.clone(),
        connections,
        keep_bodies,
    }
    .run(requests, make)
    .await?;
    let spent = server.cpu()?.saturating_sub(before);
    Ok((measured, spent.as_secs_f64() * 1e6 / count(requests)))
}

fn ids_of(measured: &Measured) -> Result<Vec<String>, Failure> {
    let id = |body: &Vec<u8>| -> Result<String, Failure> {
        let document: Value = serde_json::from_slice(body)?;
        Ok(document
            .get("id")
            .and_then(Value::as_str)
            .ok_or("a created user without an id")?
            .to_owned())
    };
    measured.bodies.iter().map(id).collect()
}

/// Spreads consecutive numbers over `below`, so that no cache sees a pattern.
fn scatter(number: usize, below: usize) -> usize {
    number.wrapping_mul(7919) % below.max(1)
}

fn nth(ids: &[String], number: usize) -> &str {
    ids.get(scatter(number, ids.len()))
        .map_or("", String::as_str)
}

/// One of forty is a Smith.
fn family(number: usize) -> String {
    if number.is_multiple_of(40) {
        format!("Smith{number}")
    } else {
        format!("Family{number}")
    }
}

/// One of twenty leads.
fn title(number: usize) -> &'static str {
    if number.is_multiple_of(20) {
        "Team lead"
    } else {
        "Engineer"
    }
}

/// A user as an identity provider sends one.
fn user(number: usize) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "userName": format!("user{number}@example.com"),
        "externalId": format!("00u{number:09}"),
        "active": true,
        "displayName": format!("Given{number} Family{number}"),
        "name": {"givenName": format!("Given{number}"), "familyName": family(number), "formatted": format!("Given{number} Family{number}")},
        "title": title(number),
        "emails": [{"value": format!("user{number}@example.com"), "type": "work", "primary": true}],
        "phoneNumbers": [{"value": format!("+44 20 {number:07}"), "type": "work"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": number.to_string(), "department": "Research"},
    })
}

impl Line {
    fn json(&self) -> Value {
        let one = |measured: &Measured, cpu_us: f64| json!({"per_second": measured.per_second().round(), "p50_ms": measured.percentile_ms(50), "p99_ms": measured.percentile_ms(99), "cpu_us": cpu_us});
        let reference = one(&self.reference.0, self.reference.1);
        json!({"users": self.users, "operation": self.operation, "rollcall": one(&self.measured, self.cpu_us), "reference": reference})
    }

    /// Rollcall's throughput as a part of the reference's.
    fn ratio(&self) -> f64 {
        self.measured.per_second() / self.reference.0.per_second()
    }
}

/// The figures as a Markdown table, reference beside.
fn table(lines: &[Line]) -> String {
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

fn state_line(state: &Value) -> String {
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
fn judge(
    lines: &[Line],
    states: &[Value],
    waits: &Waits,
    figures: &[Figure],
) -> Result<(), Failure> {
    let mut missed = Vec::new();
    let mut expect = |name: String, holds: bool| {
        if !holds {
            missed.push(name);
        }
    };
    for line in lines
        .iter()
        .filter(|line| matches!(line.operation, "POST" | "GET by id"))
    {
        let ratio = line.ratio();
        expect(
            format!(
                "{} at {} users: {ratio:.2} of the reference, at least 0.5 wanted",
                line.operation, line.users
            ),
            ratio >= 0.5,
        );
    }
    for found in lines.iter().filter(|line| line.operation == "userName eq") {
        let got = lines
            .iter()
            .find(|line| line.operation == "GET by id" && line.users == found.users)
            .map_or(0.0, |line| line.measured.per_second());
        let ratio = found.measured.per_second() / got;
        expect(
            format!(
                "userName eq at {} users: {ratio:.2} of GET by id, at least 0.4 wanted",
                found.users
            ),
            ratio >= 0.4,
        );
    }
    for state in states {
        let number = |key: &str| state.get(key).and_then(Value::as_f64).unwrap_or(f64::MAX);
        expect(
            format!("{}: at most 128 MiB wanted", state_line(state)),
            number("rss_mib") <= 128.0,
        );
        expect(
            format!("{}: a start within 300 ms wanted", state_line(state)),
            number("start_ms") <= 300.0,
        );
    }
    expect(
        format!("{}: a p99 under 50 ms wanted", waits.line()),
        waits.percentile_ms(99) < 50.0,
    );
    for figure in figures {
        expect(figure.line(), figure.holds());
    }
    if missed.is_empty() {
        Ok(())
    } else {
        Err(format!("bench: missed\n  {}", missed.join("\n  ")).into())
    }
}

/// The machine, as far as figures depend on it.
fn machine() -> String {
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
