//! A throw-away PostgreSQL server for the tests of one binary, one database per test. It ends with the test binary, however that ends: a shell that
//! ignores signals waits for the end of a pipe, which the operating system closes.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{Client, NoTls};

/// Makes the database, starts the server, says so, waits for the end of its input, and cleans up.
///
/// Its arguments: the folder, the folder of the programs with a `/` or nothing, what runs a command as somebody else, further options of the server.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
cd "$1" || exit 1
bin="$2"
# Where the programs are out of reach for whoever runs the server, it gets a copy.
if [ -n "$bin" ] && ! $3 test -x "$bin"postgres; then
  cp -r "$bin".. program && bin="$1/program/bin/" || exit 1
fi
$3 "$bin"initdb -D data -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >initdb.log 2>&1 || { cat initdb.log >&2; exit 1; }
if [ -f server.key ]; then
  $3 sh -c 'cp server.crt server.key data/ && chmod 600 data/server.key' || exit 1
fi
$3 "$bin"pg_ctl -D data -w -l server.log -o "-c listen_addresses= -c unix_socket_directories='$1' -c fsync=off -c synchronous_commit=off \
  -c full_page_writes=off -c max_connections=400 -c deadlock_timeout=50ms -c shared_buffers=64MB $4" start >start.log 2>&1 \
  || { cat start.log server.log >&2; exit 1; }
echo ready
read -r line
$3 "$bin"pg_ctl -D data -m immediate stop >stop.log 2>&1
cd / && rm -rf "$1"
"#;

/// The folder with the programs of the PostgreSQL that the tests are to use; `cargo xtask test` runs them with several.
const PROGRAMS_VARIABLE: &str = "ROLLCALL_POSTGRES_PROGRAMS";

/// A running server; it ends with the process.
pub(crate) struct Server {
    pub(crate) folder: PathBuf,
    /// Its input is open until the process ends.
    _shell: Child,
}

static SERVER: OnceLock<Server> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The version that the tests are to find.
const MAJOR_VARIABLE: &str = "ROLLCALL_POSTGRES_MAJOR";

/// The programs that the variable names; else of the version that is asked for, or the newest, that Debian's packages put aside; else those on the PATH.
#[expect(
    clippy::disallowed_methods,
    reason = "the rule is for the product; its tests are told by whoever runs them"
)]
fn programs() -> String {
    if let Some(folder) = std::env::var_os(PROGRAMS_VARIABLE) {
        return format!("{}/", folder.display());
    }
    let installed = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut folders: Vec<PathBuf> = installed
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    if let Some(major) = std::env::var_os(MAJOR_VARIABLE) {
        folders.retain(|bin| {
            bin.parent()
                .is_some_and(|version| version.ends_with(&major))
        });
    }
    folders.sort();
    folders
        .pop()
        .map_or_else(String::new, |bin| format!("{}/", bin.display()))
}

/// Starts one with further options; `files` are in its folder when it starts (`server.crt` and `server.key` are its certificate).
pub(crate) fn start(options: &str, files: &[(&str, &str)]) -> Server {
    // The shell removes it.
    let folder = tempfile::Builder::new()
        .prefix("rollcall-pg")
        .tempdir()
        .unwrap()
        .keep();
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
    // PostgreSQL refuses to run as root.
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if is_root {
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    }
    let run_as = if is_root {
        "runuser -u postgres --"
    } else {
        ""
    };
    let mut command = Command::new("sh");
    command
        .args(["-c", SCRIPT, "sh"])
        .arg(&folder)
        .arg(programs())
        .arg(run_as)
        .arg(options);
    let mut shell = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(
        line.trim(),
        "ready",
        "PostgreSQL did not start (initdb and postgres must be installed)"
    );
    Server {
        folder,
        _shell: shell,
    }
}

/// A new, empty database: its URL.
pub(crate) async fn database() -> String {
    let server = tokio::task::spawn_blocking(|| SERVER.get_or_init(|| start("", &[])))
        .await
        .unwrap();
    let socket = server.folder.display().to_string().replace('/', "%2F");
    let url = |name: &str| format!("postgres://postgres@{socket}/{name}");
    let name = format!("test{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    client(&url("postgres"))
        .await
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .unwrap();
    url(&name)
}

/// A connection of the test itself.
pub(crate) async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
