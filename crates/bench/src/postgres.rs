//! Creates on PostgreSQL beside PostgreSQL itself: a server of its own that keeps every commit (`fsync`), pgbench inserting rows of the same size one a
//! transaction, and one or two nodes of Rollcall on the same server, in turns.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::figure::Figure;
use super::load::{Load, Measured};
use super::population::{TOKEN, post_from, user};
use super::server::{Server, free_address};
use crate::Failure;

/// Connections that write, of pgbench and of all nodes together.
const CONNECTIONS: usize = 64;
/// Turns that all take.
const TURNS: usize = 5;
/// Where Debian's packages put PostgreSQL, by version.
const INSTALLED: &str = "/usr/lib/postgresql";
/// The table of the reference: the document, and the three indexes that the reference on SQLite has.
const TABLE: &str = "CREATE TABLE reference (id UUID PRIMARY KEY, user_name TEXT UNIQUE NOT NULL, external_id TEXT NOT NULL, document TEXT NOT NULL); \
     CREATE INDEX ON reference (external_id)";

/// What was measured, in creates a second.
pub struct OnPostgres {
    one_node: f64,
    two_nodes: f64,
    pgbench: f64,
}

impl OnPostgres {
    pub fn line(&self) -> String {
        format!(
            "PostgreSQL, {CONNECTIONS} connections: {:.0} creates per second on one node, {:.0} on two, {:.0} rows by pgbench",
            self.one_node, self.two_nodes, self.pgbench
        )
    }

    pub fn json(&self) -> Value {
        json!({"one_node_per_second": self.one_node.round(), "two_nodes_per_second": self.two_nodes.round(), "pgbench_per_second": self.pgbench.round()})
    }

    pub fn figures(&self) -> Vec<Figure> {
        let beside = |name: &str, value: f64, bound: f64| Figure::at_least(0, name, value, bound);
        vec![
            beside(
                "creates on PostgreSQL, beside rows of pgbench",
                self.one_node / self.pgbench,
                0.4,
            ),
            // A machine that is shared is not equally fast from one turn to the next.
            beside(
                "creates on PostgreSQL by two nodes, beside one",
                self.two_nodes / self.one_node,
                0.9,
            ),
        ]
    }
}

/// What is said where there is no PostgreSQL.
pub fn absent() -> String {
    format!("PostgreSQL was not measured: {INSTALLED} has no programs of it, pgbench among them")
}

/// `None` where PostgreSQL is not installed.
pub async fn measure(release: &Path, requests: usize) -> Result<Option<OnPostgres>, Failure> {
    let Some(programs) = programs() else {
        return Ok(None);
    };
    let database = Database::start(programs)?;
    let nodes = [
        node(release, &database, "one")?,
        node(release, &database, "two")?,
    ];
    let of_turn = requests / TURNS;
    let (mut one, mut two, mut pgbench) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = 0;
    for _ in 0..TURNS {
        let measured = creates(&nodes[..1], first, of_turn).await?;
        one.push(measured);
        let measured = creates(&nodes, first + of_turn, of_turn).await?;
        two.push(measured);
        first += of_turn * 2;
        pgbench.push(database.pgbench(of_turn)?);
    }
    Ok(Some(OnPostgres {
        one_node: median(one),
        two_nodes: median(two),
        pgbench: median(pgbench),
    }))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Creates a second by these nodes together, each with its part of the connections and of the users.
async fn creates(nodes: &[Server], first: usize, users: usize) -> Result<f64, Failure> {
    let each = users / nodes.len();
    let loads: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(place, node)| {
            let load = Load {
                address: node.address.clone(),
                connections: CONNECTIONS / nodes.len(),
                keep_bodies: false,
            };
            let first = first + place * each;
            tokio::spawn(async move { load.run(each, post_from(first)).await })
        })
        .collect();
    let mut all: Vec<Measured> = Vec::with_capacity(loads.len());
    for load in loads {
        all.push(load.await??);
    }
    // They ran at the same time, so what they did in a second adds up.
    Ok(all.iter().map(Measured::per_second).sum())
}

fn node(release: &Path, database: &Database, name: &str) -> Result<Server, Failure> {
    let address = free_address()?;
    let folder = database.folder.path();
    // A key is made once and belongs to the database.
    let data = folder.join(name);
    let first = folder.join("one").join("rollcall.key");
    if first.exists() {
        fs::create_dir_all(&data)?;
        fs::copy(&first, data.join("rollcall.key"))?;
    }
    let mut command = Command::new(release.join("rollcall"));
    command
        .args(["serve", "--listen", &address, "--data"])
        .arg(&data)
        .env("ROLLCALL_DATABASE", database.url("rollcall"))
        .env("ROLLCALL_BOOTSTRAP_TOKEN", TOKEN)
        .env("ROLLCALL_RATE_LIMIT_PER_SECOND", "0");
    let log = folder.join(format!("{name}.log"));
    Server::start(&mut command, &address, "/readyz", &log)
}

/// The newest programs that are installed whole.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(INSTALLED)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists() && bin.join("pgbench").exists())
        .collect();
    found.sort();
    found.pop()
}

/// A server that ends with this value.
struct Database {
    programs: PathBuf,
    folder: TempDir,
}

impl Database {
    fn start(programs: PathBuf) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("rollcall-pg").tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777))?;
        let database = Self { programs, folder };
        let (data, socket) = (database.path("data"), database.path(""));
        database.run(
            "initdb",
            &[
                "-D",
                &data,
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
            ],
        )?;
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories='{socket}' -c max_connections=200"
        );
        let log = database.path("server.log");
        database.run(
            "pg_ctl",
            &["-D", &data, "-w", "-l", &log, "-o", &options, "start"],
        )?;
        for name in ["rollcall", "reference"] {
            database.run("createdb", &["-h", &socket, "-U", "postgres", name])?;
        }
        database.run(
            "psql",
            &["-q", "-d", &database.url("reference"), "-c", TABLE],
        )?;
        Ok(database)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn url(&self, name: &str) -> String {
        let socket = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{socket}/{name}")
    }

    /// One of PostgreSQL's programs, which refuse to run as root.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<Output, Failure> {
        let program = self.programs.join(program);
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let mut command = if is_root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        let output = command
            .current_dir(self.folder.path())
            .args(arguments)
            .output()?;
        if output.status.success() {
            return Ok(output);
        }
        Err(format!(
            "{} failed: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        )
        .into())
    }

    /// Rows a second that pgbench inserts, one a transaction.
    fn pgbench(&self, rows: usize) -> Result<f64, Failure> {
        let document = user(0).to_string().replace('\'', "''");
        // A colon before a letter is a variable of pgbench's.
        let script = format!(
            "\\set n random(1, 1000000000000)\n\
             INSERT INTO reference VALUES (gen_random_uuid(), 'user' || :n, '00u' || :n, '{}');\n",
            document.replace("urn:", "urn.").replace("f:p", "f.p")
        );
        let file = self.path("insert.sql");
        fs::write(&file, script)?;
        fs::set_permissions(&file, Permissions::from_mode(0o644))?;
        let (clients, each) = (CONNECTIONS.to_string(), (rows / CONNECTIONS).to_string());
        let output = self.run(
            "pgbench",
            &[
                "-n",
                "-M",
                "prepared",
                "-c",
                &clients,
                "-j",
                "2",
                "-t",
                &each,
                "-f",
                &file,
                &self.url("reference"),
            ],
        )?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let tps = text
            .lines()
            .find_map(|line| line.strip_prefix("tps = "))
            .and_then(|rest| rest.split(' ').next()?.parse().ok());
        Ok(tps.ok_or_else(|| format!("pgbench did not say how fast it was: {text}"))?)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let data = self.path("data");
        let _ = self.run("pg_ctl", &["-D", &data, "-m", "immediate", "stop"]);
    }
}
