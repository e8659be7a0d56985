//! The commands of `docs/`: every shell block of a page is run as one script by `bash`, beside a running `serve`, and every command within the text has to
//! exist with the flags that stand there. Of README.md only the latter: `cargo xtask readme` runs its blocks.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::nodes::database;
use crate::program::{Serve, TOKEN, program, run};

/// `files` runs the blocks of this page itself and looks at the copies that they make.
const RUN_ELSEWHERE: &str = "backup.md";

/// Hosts of the documentation. A receiver on this machine stands for them.
const RECEIVERS: &[&str] = &[
    "https://shop.example.com",
    "https://siem.example.com",
    "https://login.microsoftonline.com",
    "http://127.0.0.1:8090",
];

/// The PostgreSQL database of the documentation, and the command that makes it.
const DATABASE: &str = "postgres://rollcall:secret@db.example.com/rollcall";
const CREATE_DATABASE: &str = "createdb rollcall\n";

/// What the script begins with. A `serve` in a block gets a data folder of its own, has to say that it listens, and is stopped. The request log is written
/// after the answer, so an entry of it is waited for.
const BEGINNING: &str = r#"
set -euo pipefail
rollcall() {
  case " $* " in
    *" serve --print-limits"*) ;;
    *" serve "*)
      ROLLCALL_DATA="$PWD/served" command rollcall "$@" > served.log &
      until grep -q '^listening on ' served.log; do kill -0 $!; sleep 0.1; done
      kill -TERM $!
      wait $!
      return ;;
    *" requests show "*)
      for _ in {1..300}; do
        if command rollcall "$@"; then return; fi
        sleep 0.1
      done ;;
  esac
  command rollcall "$@"
}
"#;

fn pages() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut pages: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    assert!(pages.len() >= 15, "{pages:?}");
    pages
}

fn pages_and_readme() -> Vec<PathBuf> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    pages().into_iter().chain([readme]).collect()
}

/// A page as pairs of a language and a block; the text between blocks has the language `None`.
fn parts(page: &Path) -> Vec<(Option<String>, String)> {
    let mut parts = vec![(None, String::new())];
    for line in fs::read_to_string(page).unwrap().lines() {
        let is_inside = parts.last().unwrap().0.is_some();
        match line.trim_start().strip_prefix("```") {
            Some(_) if is_inside => parts.push((None, String::new())),
            Some(language) => parts.push((Some(language.to_owned()), String::new())),
            None => {
                let text = &mut parts.last_mut().unwrap().1;
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    parts
}

fn script(page: &Path) -> String {
    parts(page)
        .into_iter()
        .filter(|(language, _)| language.as_deref() == Some("sh"))
        .map(|(_, text)| text)
        .collect()
}

/// A receiver that takes whatever is posted to it; its address.
fn receiver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || drop(take(stream)));
        }
    });
    address
}

fn take(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line)? > 2 {
        if let Some((_, value)) = line.to_ascii_lowercase().split_once("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length])?;
    stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// What the pages take for granted: a server, the tenant `acme`, a person, and the file of a public key.
fn run_page(page: &Path, script: &str) -> Result<(), String> {
    let (data, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let serve = Serve::start(data.path(), Some(TOKEN));
    for command in [
        &["tenant", "create", "acme"][..],
        &["user", "create", "ada@example.com"],
    ] {
        assert_eq!(run(data.path(), command).code, 0, "{command:?}");
    }
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(work.path().join("hr-public.pem"), key.public_key_pem()).unwrap();
    let mut script = script
        .replace("http://127.0.0.1:8700", &serve.address)
        .replace("--listen 127.0.0.1:8080", "--listen 127.0.0.1:0");
    let receiver = receiver();
    for host in RECEIVERS {
        script = script.replace(host, &receiver);
    }
    if script.contains(DATABASE) {
        script = script
            .replace(CREATE_DATABASE, "")
            .replace(DATABASE, &database());
    }
    let built = Path::new(env!("CARGO_BIN_EXE_rollcall")).parent().unwrap();
    let mut bash = Command::new("bash");
    for (name, value) in program(data.path()).get_envs() {
        match value {
            Some(value) => bash.env(name, value),
            None => bash.env_remove(name),
        };
    }
    bash.args([
        "-c",
        &format!("PATH={}:$PATH\n{BEGINNING}{script}", built.display()),
    ])
    .current_dir(work.path());
    bash.env("ROLLCALL_LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null());
    let output = bash.output().expect("bash is there");
    if output.status.success() {
        return Ok(());
    }
    let (said, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Err(format!(
        "{}: {}\n{said}\n{errors}",
        page.display(),
        output.status
    ))
}

#[test]
fn every_command_of_the_documentation_works() {
    let scripts = pages()
        .into_iter()
        .filter(|page| !page.ends_with(RUN_ELSEWHERE))
        .map(|page| (script(&page), page));
    let scripts: Vec<_> = scripts.filter(|(script, _)| !script.is_empty()).collect();
    assert!(scripts.len() >= 6, "pages with commands: {scripts:?}");
    let failed: Vec<String> = scripts
        .iter()
        .filter_map(|(script, page)| run_page(page, script).err())
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn commands_stand_in_blocks_that_are_run() {
    for page in pages_and_readme() {
        for (language, text) in parts(&page)
            .into_iter()
            .filter_map(|(language, text)| Some((language?, text)))
        {
            // Variables may stand before a command.
            let command = |line: &str| {
                line.split_whitespace()
                    .find(|word| !word.contains('='))
                    .map(str::to_owned)
            };
            let is_command = |line: &&str| {
                command(line).is_some_and(|word| ["rollcall", "curl", "$"].contains(&word.as_str()))
            };
            let escaped = text.lines().find(is_command).filter(|_| language != "sh");
            assert_eq!(
                escaped,
                None,
                "{}: a command stands in a block that is not `sh`, so it is not run",
                page.display()
            );
        }
    }
}

/// The commands that stand between backticks in the text.
fn commands_in_text(page: &Path) -> Vec<String> {
    let text: String = parts(page)
        .into_iter()
        .filter(|(language, _)| language.is_none())
        .map(|(_, text)| text)
        .collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|span| span.starts_with("rollcall "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn commands_in_the_text_exist_with_their_flags() {
    let data = tempfile::tempdir().unwrap();
    let mut tried = 0;
    for page in pages_and_readme() {
        for command in commands_in_text(&page) {
            let is_name = |word: &&str| {
                word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
            };
            let mut names: Vec<&str> = command
                .split(' ')
                .skip(1)
                .take(2)
                .take_while(is_name)
                .collect();
            names.push("--help");
            let help = run(data.path(), &names);
            assert_eq!(
                help.code,
                0,
                "{}: `{command}`: {}",
                page.display(),
                help.stderr
            );
            for flag in command
                .split([' ', '[', ']', '=', '|'])
                .filter(|word| word.starts_with("--"))
            {
                assert!(
                    help.stdout.contains(&format!("{flag} "))
                        || help.stdout.contains(&format!("{flag}\n")),
                    "{}: `{command}`: there is no {flag}",
                    page.display()
                );
            }
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
}
