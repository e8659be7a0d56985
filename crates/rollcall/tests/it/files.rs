//! The files of a data folder: who may read them, what happens when one is lost, damaged, or copied while the server runs, and what `/readyz` says.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::nodes::{database, run_on};
use crate::postgres_server;
use crate::program::{Finished, Serve, TOKEN, finish, program, run};

const KEY: &str = "rollcall.key";
const DATABASE: &str = "rollcall.db";
const JOURNAL: &str = "rollcall.db-wal";
const MARK: &str = "rollcall.db-mark";

fn add(serve: &Serve, name: &str) -> u16 {
    let user = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name});
    serve.send("POST", "/Users", Some(&user)).status
}

fn people(serve: &Serve) -> u64 {
    serve.send("GET", "/Users?count=0", None).body["totalResults"]
        .as_u64()
        .unwrap()
}

/// The status and the words of `/readyz`.
fn readyz(serve: &Serve) -> (u16, String) {
    let host = serve.address.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

/// Asks until `/readyz` has this status, and says what it says then. What it found counts for a second, so it may say the former for so long.
#[track_caller]
fn readyz_becomes(serve: &Serve, status: u16) -> String {
    let give_up = Instant::now() + Duration::from_mins(1);
    loop {
        let (found, text) = readyz(serve);
        if found == status {
            return text;
        }
        assert!(Instant::now() < give_up, "{found} {text}");
    }
}

/// `serve`, which is expected to end by itself.
fn try_serve(data: &Path) -> Finished {
    run(data, &["serve", "--listen", "127.0.0.1:0"])
}

#[track_caller]
fn is_refused(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.code, 1, "{}\n{}", finished.stdout, finished.stderr);
    for word in words {
        assert!(
            finished.stderr.contains(word),
            "{word:?} is missing: {}",
            finished.stderr
        );
    }
}

/// Copies files of a data folder, as far as they are there, into a new one.
fn copy(data: &Path, files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files.iter().filter(|file| data.join(file).exists()) {
        fs::copy(data.join(file), folder.path().join(file)).unwrap();
    }
    folder
}

#[test]
fn a_lost_key_is_not_replaced() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    assert_eq!(add(&serve, "ann"), 201);
    assert_eq!(readyz(&serve).0, 200);
    serve.kill();
    let (key, kept) = (
        data.path().join(KEY),
        fs::read(data.path().join(KEY)).unwrap(),
    );
    fs::remove_file(&key).unwrap();
    is_refused(
        &try_serve(data.path()),
        &["rollcall.key is missing", "backup"],
    );
    is_refused(
        &run(data.path(), &["user", "list"]),
        &["rollcall.key is missing"],
    );
    assert!(!key.exists(), "no other key was made");
    fs::write(&key, [7; 32]).unwrap();
    is_refused(
        &try_serve(data.path()),
        &["not the one that the database was made with", "backup"],
    );
    is_refused(&run(data.path(), &["user", "list"]), &["not the one"]);
    fs::write(&key, &kept[..31]).unwrap();
    is_refused(&try_serve(data.path()), &["31 bytes", "backup"]);
    fs::write(&key, kept).unwrap();
    assert_eq!(people(&Serve::start(data.path(), None)), 1);
}

#[test]
fn a_node_with_another_key_is_refused() {
    let (one, other, database) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        database(),
    );
    let first = Serve::start_on(&database, one.path());
    let second = || {
        finish(
            program(other.path())
                .args(["serve", "--listen", "127.0.0.1:0"])
                .env("ROLLCALL_DATABASE", &database),
        )
    };
    is_refused(&second(), &["rollcall.key is missing", "another node"]);
    assert!(!other.path().join(KEY).exists(), "no other key was made");
    fs::write(other.path().join(KEY), [7; 32]).unwrap();
    is_refused(
        &second(),
        &[
            "not the one that the database was made with",
            "another node",
        ],
    );
    fs::copy(one.path().join(KEY), other.path().join(KEY)).unwrap();
    let second = Serve::start_on(&database, other.path());
    assert_eq!((add(&first, "ann"), people(&second)), (201, 1));
    assert_eq!((readyz(&first).0, readyz(&second).0), (200, 200));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn files_are_their_owners_alone() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o775)).unwrap();
    let names = || {
        fs::read_dir(&data)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    let start = || Serve::start(&data, Some(TOKEN));
    let serve = start();
    assert_eq!(add(&serve, "ann"), 201);
    serve.kill();
    assert!(names().len() >= 8, "{:?}", names());
    for open in [false, true] {
        if open {
            // As another program, or an earlier build, may have left them.
            for path in names() {
                fs::set_permissions(path, Permissions::from_mode(0o664)).unwrap();
            }
            fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
            let serve = start();
            assert_eq!(add(&serve, "bob"), 201);
            serve.kill();
        }
        assert_eq!(mode(&data), 0o700);
        for path in names() {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}

#[test]
fn a_folder_that_is_also_for_other_things_stays_open() {
    let data = tempfile::tempdir().unwrap();
    fs::create_dir(data.path().join("project")).unwrap();
    fs::set_permissions(data.path(), Permissions::from_mode(0o755)).unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    assert_eq!(
        (mode(data.path()), mode(&data.path().join(DATABASE))),
        (0o755, 0o600)
    );
    serve.kill();
    fs::remove_dir(data.path().join("project")).unwrap();
    // As `/tmp` is.
    fs::set_permissions(data.path(), Permissions::from_mode(0o1777)).unwrap();
    let _serve = Serve::start(data.path(), None);
    assert_eq!(mode(data.path()), 0o777);
}

#[test]
fn a_file_that_was_copied_without_its_journal_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    for number in 0..5 {
        assert_eq!(add(&serve, &format!("user{number}")), 201);
        let alone = copy(data.path(), &[DATABASE, KEY]);
        is_refused(
            &try_serve(alone.path()),
            &["is not whole", JOURNAL, "copy both"],
        );
        is_refused(&run(alone.path(), &["user", "list"]), &["is not whole"]);
    }
    // The journal can still be brought to the copy that was refused.
    let alone = copy(data.path(), &[DATABASE, KEY]);
    is_refused(&try_serve(alone.path()), &["is not whole"]);
    fs::copy(data.path().join(JOURNAL), alone.path().join(JOURNAL)).unwrap();
    assert_eq!(people(&Serve::start(alone.path(), None)), 5);
    serve.kill();
    let images = [DATABASE, JOURNAL, MARK, KEY];
    assert_eq!(
        people(&Serve::start(copy(data.path(), &images).path(), None)),
        5,
        "a kill is none of this"
    );
    let cut = copy(data.path(), &images);
    let bytes = fs::metadata(cut.path().join(JOURNAL)).unwrap().len();
    fs::File::options()
        .write(true)
        .open(cut.path().join(JOURNAL))
        .unwrap()
        .set_len(bytes / 8)
        .unwrap();
    is_refused(&try_serve(cut.path()), &["is not whole", JOURNAL]);
    fs::remove_file(data.path().join(JOURNAL)).unwrap();
    is_refused(
        &try_serve(data.path()),
        &["is not whole", "--accept-lost-journal"],
    );
    let mut accepting = program(data.path());
    accepting
        .args(["serve", "--listen", "127.0.0.1:0", "--accept-lost-journal"])
        .env("ROLLCALL_BOOTSTRAP_TOKEN", TOKEN);
    let lost = Serve::listen(accepting);
    assert_eq!(
        (people(&lost), add(&lost, "new")),
        (0, 201),
        "what stood only in the journal is lost"
    );
    lost.kill();
    assert_eq!(people(&Serve::start(data.path(), None)), 1);
}

/// What `docs/backup.md` says, word for word.
#[test]
fn a_copy_that_is_made_as_the_documentation_says_is_whole() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    assert_eq!(add(&serve, "ann"), 201);
    let copies = tempfile::tempdir().unwrap();
    let page = include_str!("../../../../docs/backup.md");
    let scripts: Vec<&str> = page
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let [running, stopped] = scripts[..] else {
        panic!("{scripts:?}")
    };
    let carry_out = |script: &str, name: &str| {
        let target = copies.path().join(name);
        let script = script
            .replace("/var/lib/rollcall", data.path().to_str().unwrap())
            .replace("/backup/rollcall", target.to_str().unwrap());
        let done = Command::new("sh").args(["-ec", &script]).output().unwrap();
        assert!(
            done.status.success(),
            "{script}\n{}",
            String::from_utf8_lossy(&done.stderr)
        );
        target
    };
    let has_sqlite = Command::new("sqlite3").arg("--version").output().is_ok();
    if has_sqlite {
        let made = carry_out(running, "running");
        assert_eq!(add(&serve, "bob"), 201);
        let other = Serve::start(&made, None);
        assert_eq!((people(&other), add(&other, "carl")), (1, 201));
    } else {
        eprintln!(
            "the program sqlite3 is not installed: only the copy of a server that was stopped is tried"
        );
        assert_eq!(add(&serve, "bob"), 201);
    }
    let (code, rest) = serve.terminate();
    assert_eq!(code, 0, "{rest}");
    assert_eq!(
        people(&Serve::start(&carry_out(stopped, "stopped"), None)),
        2
    );
}

#[test]
fn a_file_that_is_no_database_or_a_damaged_one_is_told() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    assert_eq!(add(&serve, "ann"), 201);
    assert_eq!(serve.terminate().0, 0);
    let whole = [DATABASE, JOURNAL, MARK, KEY];
    let other = copy(data.path(), &whole);
    fs::remove_file(other.path().join(JOURNAL)).ok();
    fs::write(
        other.path().join(DATABASE),
        "Dear operator, this is a letter.\n".repeat(200),
    )
    .unwrap();
    is_refused(
        &try_serve(other.path()),
        &["rollcall.db is not a database", "backup"],
    );
    let requests = copy(data.path(), &whole);
    fs::write(
        requests.path().join("requests.db"),
        "Dear operator, this is a letter.\n".repeat(200),
    )
    .unwrap();
    is_refused(
        &try_serve(requests.path()),
        &["requests.db is not a database"],
    );
    let gone = copy(data.path(), &[MARK, KEY]);
    is_refused(
        &try_serve(gone.path()),
        &["rollcall.db is missing", "put the database back"],
    );
}

/// Runs the program with a small disk of its own as data folder. The disk is there only for this program, and goes with it.
fn on_a_small_disk(data: &Path, bytes: u64, prepare: &str) -> Command {
    let plain = program(data);
    let mut command = Command::new("unshare");
    let script =
        format!("mount -t tmpfs -o size={bytes} none \"$ROLLCALL_DATA\" && {prepare} exec \"$@\"");
    command
        .args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"])
        .arg(plain.get_program());
    plain.get_envs().for_each(|(name, value)| {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    });
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    command
}

/// Whether this machine lets its users mount a disk of their own. Where it does not, that has to be said by whoever runs the tests.
#[expect(
    clippy::disallowed_methods,
    reason = "the rule is for the product; its tests are told by whoever runs them"
)]
fn has_small_disks() -> bool {
    let tried = Command::new("unshare")
        .args(["--map-root-user", "--mount", "true"])
        .output();
    let may = tried.is_ok_and(|tried| tried.status.success());
    assert!(
        may || std::env::var_os("ROLLCALL_TEST_NO_MOUNTS").is_some(),
        "this test mounts a small disk in a namespace of its own, which is not allowed here; ROLLCALL_TEST_NO_MOUNTS=1 leaves it out"
    );
    may
}

#[test]
fn a_start_on_a_full_disk_says_so() {
    if !has_small_disks() {
        return;
    }
    for bytes in [4_096, 16_384, 65_536, 131_072] {
        let data = tempfile::tempdir().unwrap();
        let refused = finish(on_a_small_disk(data.path(), bytes, "").args([
            "serve",
            "--listen",
            "127.0.0.1:0",
        ]));
        is_refused(
            &refused,
            &["full", "make room", data.path().to_str().unwrap()],
        );
    }
}

#[test]
fn a_start_on_a_disk_that_is_read_only_says_so() {
    if !has_small_disks() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let read_only = "mount -o remount,ro none \"$ROLLCALL_DATA\" &&";
    let refused = finish(on_a_small_disk(data.path(), 33_554_432, read_only).args([
        "serve",
        "--listen",
        "127.0.0.1:0",
    ]));
    is_refused(&refused, &["read-only", data.path().to_str().unwrap()]);
    // A database is there already.
    let used = format!("cp -r '{}/.' \"$ROLLCALL_DATA\" && {read_only}", {
        let made = data.path();
        assert_eq!(run(made, &["tenant", "create", "acme"]).code, 0);
        made.display()
    });
    let elsewhere = tempfile::tempdir().unwrap();
    let refused = finish(on_a_small_disk(elsewhere.path(), 33_554_432, &used).args([
        "serve",
        "--listen",
        "127.0.0.1:0",
    ]));
    is_refused(&refused, &["read-only", elsewhere.path().to_str().unwrap()]);
}

#[test]
fn readyz_tells_of_a_disk_that_fills_up() {
    if !has_small_disks() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let mut command = on_a_small_disk(data.path(), 33_554_432, "");
    command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("ROLLCALL_BOOTSTRAP_TOKEN", TOKEN);
    let serve = Serve::listen(command);
    assert_eq!(
        (add(&serve, "ann"), readyz_becomes(&serve, 200).as_str()),
        (201, "ready\n")
    );
    // The disk as the program sees it.
    let filler = format!("/proc/{}/root{}/filler", serve.id(), data.path().display());
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[1; 4_096]).is_ok() {}
    assert!(readyz_becomes(&serve, 503).contains("full"));
    assert_eq!(people(&serve), 1, "what is there can be read");
    drop(file);
    fs::remove_file(&filler).unwrap();
    readyz_becomes(&serve, 200);
    assert_eq!(add(&serve, "bob"), 201);
}

#[test]
fn readyz_tells_of_a_damaged_database() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    for number in 0..50 {
        assert_eq!(add(&serve, &format!("user{number}")), 201);
    }
    assert_eq!(serve.terminate().0, 0);
    let serve = Serve::start(data.path(), None);
    readyz_becomes(&serve, 200);
    let mut file = fs::File::options()
        .write(true)
        .open(data.path().join(DATABASE))
        .unwrap();
    let bytes = file.metadata().unwrap().len();
    file.write_all(&vec![0xff; usize::try_from(bytes).unwrap()])
        .unwrap();
    fs::write(data.path().join(JOURNAL), []).unwrap();
    let said = readyz_becomes(&serve, 503);
    assert!(said.contains("damaged"), "{said}");
}

async fn execute(url: &str, sql: &str) {
    postgres_server::client(url)
        .await
        .batch_execute(sql)
        .await
        .unwrap();
}

#[test]
fn readyz_tells_of_a_postgresql_that_does_not_answer_refuses_or_is_gone() {
    let (data, url) = (tempfile::tempdir().unwrap(), database());
    let (server, name) = url.rsplit_once('/').unwrap();
    let admin = format!("{server}/postgres");
    let serve = Serve::start_on(&url, data.path());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    readyz_becomes(&serve, 200);

    // It does not answer: somebody holds the table.
    let held = runtime.block_on(async {
        let client = postgres_server::client(&url).await;
        client
            .batch_execute("BEGIN; LOCK TABLE installation IN ACCESS EXCLUSIVE MODE")
            .await
            .unwrap();
        client
    });
    let asked = Instant::now();
    assert!(readyz_becomes(&serve, 503).contains("does not answer"));
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "{:?}",
        asked.elapsed()
    );
    drop(held);
    readyz_becomes(&serve, 200);

    let end_all =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    let set = |change: &str| {
        runtime.block_on(async {
            execute(&admin, &format!("ALTER DATABASE {name} {change}")).await;
            execute(&admin, &end_all).await;
        });
    };
    set("SET default_transaction_read_only = on");
    assert!(readyz_becomes(&serve, 503).contains("cannot be written"));
    set("RESET default_transaction_read_only");
    readyz_becomes(&serve, 200);
    set("ALLOW_CONNECTIONS false");
    assert!(readyz_becomes(&serve, 503).contains("does not answer"));
    set("ALLOW_CONNECTIONS true");
    readyz_becomes(&serve, 200);
    assert_eq!(add(&serve, "ann"), 201);
    run_on(&url, data.path(), &["user", "list"]);
}
